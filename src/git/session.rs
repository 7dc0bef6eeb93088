//! A dialogue with a git that is left running.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use super::failure::classify;
use super::output::with_hint;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::names::printable;
use crate::process::end_group;
use crate::report::{Ended, Reporter, Work};

/// A git process that answers questions until it is dropped.
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Reads the messages, so that git never waits for that.
    messages: Option<JoinHandle<String>>,
    command: String,
    start: SystemTime,
    started: Instant,
    report: Reporter,
    broken: bool,
}

impl Session {
    /// A dialogue with a process that was just started with three pipes.
    pub(super) fn new(mut child: Child, command: String, report: Reporter) -> Result<Session> {
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::failed(format!("`{command}` has no pipes")));
        };
        Ok(Session {
            child,
            stdin: Some(stdin),
            stdout: BufReader::with_capacity(1 << 16, stdout),
            messages: Some(std::thread::spawn(move || messages(stderr))),
            command,
            start: SystemTime::now(),
            started: Instant::now(),
            report,
            broken: false,
        })
    }

    /// Sends a request. Keep what is sent before the next read below the size of a pipe (16 KiB), else both sides wait.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        interrupt::check()?;
        let sent = self.stdin.as_mut().map(|stdin| stdin.write_all(request));
        sent.unwrap_or(Ok(())).map_err(|e| self.broken(&e.to_string()))
    }

    /// Its answers.
    pub fn answers(&mut self) -> &mut BufReader<ChildStdout> {
        &mut self.stdout
    }

    /// Whether an answer broke off or made no sense.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The error for an answer that breaks off or makes no sense.
    pub fn broken(&mut self, why: &str) -> Error {
        self.broken = true;
        // With its input closed it ends, unless it waits for us to read the rest.
        drop(self.stdin.take());
        let _ = std::io::copy(&mut self.stdout, &mut std::io::sink());
        let messages = self.messages.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let cause = match messages.trim_end() {
            "" => why,
            messages => messages,
        };
        let error = Error::failed(format!("`{}` gave no usable answer", self.command)).cause(cause);
        with_hint(error, classify(&messages))
    }
}

/// What git says of its own accord, as far as a person would read it.
fn messages(stderr: ChildStderr) -> String {
    const MOST: u64 = 1 << 16;
    let (mut bytes, mut stderr) = (Vec::new(), stderr);
    let _ = Read::by_ref(&mut stderr).take(MOST).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    printable(&String::from_utf8_lossy(&bytes))
}

impl Drop for Session {
    fn drop(&mut self) {
        // With its input closed it has nothing to do and ends by itself.
        drop(self.stdin.take());
        if interrupt::raised() {
            end_group(&mut self.child, false);
        }
        let code = self.child.wait().ok().and_then(|status| status.code());
        let kind = Work::Process { code };
        let took = self.started.elapsed();
        self.report.ended(&Ended { what: &self.command, start: self.start, took, kind, bytes: 0 });
    }
}
