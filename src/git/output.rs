//! What a finished git command left behind.

use super::failure::{Failure, classify};
use crate::error::{Error, Kind, Result};

/// Adds what helps against a kind of failure wherever it comes from.
pub fn with_hint(error: Error, failure: Failure) -> Error {
    match failure {
        Failure::Disk => error.hint("check the free space (`df -h`) and the permissions of the folder named above"),
        Failure::LocalLock => error.hint("another git process works there: try again when it has ended"),
        Failure::Configuration => error.hint(
            "git cannot read its configuration: see where that comes from with `git config --list --show-origin`, and correct it",
        ),
        _ => error,
    }
}

/// What a finished git command left behind.
#[derive(Debug)]
pub struct Output {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    /// The messages, without progress, safe to print.
    pub stderr: String,
    /// Bytes that came from a remote, as git's progress told last.
    pub received: u64,
    /// The command as a person would type it, without secrets.
    pub command: String,
}

impl Output {
    /// The output of a command that did not have to run.
    pub fn nothing_to_do() -> Output {
        Output { code: Some(0), stdout: Vec::new(), stderr: String::new(), received: 0, command: String::new() }
    }

    /// What kind of failure this is, by git's words.
    pub fn failure(&self) -> Failure {
        classify(&self.stderr)
    }

    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output of a success, else the failure as an error.
    pub fn checked(self) -> Result<Vec<u8>> {
        if self.succeeded() { Ok(self.stdout) } else { Err(self.into_error()) }
    }

    /// The failure as an error with git's own words.
    pub fn into_error(self) -> Error {
        let failure = self.failure();
        let kind = match failure {
            Failure::Auth => Kind::Auth,
            failure if failure.is_transient() => Kind::Transient,
            _ => Kind::Failed,
        };
        let how = match self.code {
            Some(code) => format!("exited with status {code}"),
            None => "was ended by a signal".to_string(),
        };
        let mut cause = format!("`{}` {how}", self.command);
        for line in self.stderr.lines() {
            cause.push('\n');
            cause.push_str(line);
        }
        let error =
            Error::new(kind, format!("git {} failed", self.command.split(' ').nth(1).unwrap_or_default())).cause(cause);
        with_hint(error, failure)
    }

    /// The last thing it said.
    pub fn last_line(&self) -> String {
        self.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed").to_string()
    }
}
