//! How the layers below the command line tell what they are doing, without printing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Who a piece of work is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The assets repo; empty when it is for none in particular.
    pub repo: Arc<str>,
    /// The manifest; empty for a download, `several` for a checkout of several.
    pub manifest: Arc<str>,
    /// Which of the downloads that run at the same time.
    pub lane: usize,
}

/// A piece of work that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// A git command without any secret, or the name of a phase.
    pub what: &'a str,
    pub start: SystemTime,
    pub took: Duration,
    pub kind: Work,
    /// What came of it: what was received from a remote, else what the process answered or what was written.
    pub bytes: u64,
}

/// What kind of work has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A git process, with its exit code; none when a signal ended it.
    Process { code: Option<i32> },
    /// A phase of a restore.
    Phase,
}

/// Receives what happens while a command runs, from several threads. Nothing here may block for long.
pub trait Report: Send + Sync {
    /// A new part of the work began; `what` completes "assets is …", such as "fetching from `o/n`". Empty: it ended.
    fn phase(&self, about: &Subject, what: &str);
    /// A line of git's own progress, such as `Receiving objects: 45% (27/60), 1.20 MiB`.
    fn progress(&self, about: &Subject, line: &str);
    /// So many of all packages are done.
    fn count(&self, done: usize, all: usize, files: usize);
    /// A git process or a phase ended.
    fn ended(&self, about: &Subject, ended: &Ended);
    /// Something the user should know although nothing failed.
    fn note(&self, text: &str);
}

/// A report with the subject of whatever is told through it.
#[derive(Clone)]
pub struct Reporter {
    report: Arc<dyn Report>,
    subject: Subject,
}

impl Reporter {
    pub fn new(report: Arc<dyn Report>) -> Reporter {
        Reporter { report, subject: Subject::default() }
    }

    /// The same report about another subject.
    pub fn about(&self, repo: &str, manifest: &str) -> Reporter {
        let subject = Subject { repo: repo.into(), manifest: manifest.into(), lane: 0 };
        Reporter { report: self.report.clone(), subject }
    }

    /// The same report about another download for the same subject.
    pub fn in_lane(&self, lane: usize) -> Reporter {
        Reporter { report: self.report.clone(), subject: Subject { lane, ..self.subject.clone() } }
    }

    pub fn phase(&self, what: &str) {
        self.report.phase(&self.subject, what);
    }

    pub fn progress(&self, line: &str) {
        self.report.progress(&self.subject, line);
    }

    pub fn ended(&self, ended: &Ended) {
        self.report.ended(&self.subject, ended);
    }

    pub fn note(&self, text: &str) {
        self.report.note(text);
    }
}
