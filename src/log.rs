//! `ASSETS_LOG=json:FILE`: a line of JSON for each git process and phase, to explain a slow run afterwards.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde_json::json;

use crate::error::{AtPath, Result};
use crate::report::{Ended, Report, Subject, Work};

/// Passes everything on, and writes down what has ended. Several processes may write to one file.
pub struct Log {
    file: File,
    next: Arc<dyn Report>,
}

impl Log {
    /// Appends to `file`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to(file: &Path, next: Arc<dyn Report>) -> Result<Log> {
        let file = OpenOptions::new().create(true).append(true).open(file).at("write the log", file)?;
        Ok(Log { file, next })
    }
}

impl Report for Log {
    fn phase(&self, about: &Subject, what: &str) {
        self.next.phase(about, what);
    }

    fn progress(&self, about: &Subject, line: &str) {
        self.next.progress(about, line);
    }

    fn count(&self, done: usize, all: usize, files: usize) {
        self.next.count(done, all, files);
    }

    fn ended(&self, about: &Subject, ended: &Ended) {
        let since_1970 = ended.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = json!({
            "assets": std::process::id(),
            "kind": if ended.kind == Work::Phase { "phase" } else { "process" },
            "what": ended.what,
            "repo": *about.repo,
            "manifest": *about.manifest,
            "start": since_1970.as_secs_f64(),
            "seconds": ended.took.as_secs_f64(),
            "bytes": ended.bytes,
        });
        if let Work::Process { code } = ended.kind {
            line["exit"] = json!(code);
        }
        // In one piece, so that lines of several processes do not mix. A log that cannot be written stops no restore.
        let _ = (&self.file).write_all(format!("{line}\n").as_bytes());
        self.next.ended(about, ended);
    }

    fn note(&self, text: &str) {
        self.next.note(text);
    }
}
