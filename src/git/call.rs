//! One call of git: what goes in, what is captured, and how Ctrl-C, time limits and retries work.
//!
//! `std::process` and not a wrapper around it: a call needs its own process group (so that `git-remote-https` ends
//! with its parent), progress while it runs, and a dialogue with `cat-file`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::output::Output;
use super::program::Git;
use super::session::Session;
use super::stderr::{Lines, sort_line};
use crate::error::{Error, Kind, Result};
use crate::inherit;
use crate::interrupt;
use crate::names::{RemoteUrl, printable};
use crate::process::{Limits, Pipe, drain, wait_for};
use crate::report::{Ended, Work};

/// The longest a call that talks to a remote may take.
const NETWORK_LIMIT: Duration = Duration::from_secs(3600);
/// The longest that git may say nothing about a remote that curl does not watch: `git://` and ssh.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Where a call works. Git is always told, so that it never walks up into the code repo.
#[derive(Clone, Debug)]
pub struct Place {
    /// The git directory, absolute.
    pub git_dir: PathBuf,
    /// The work tree, absolute; none for the store.
    pub work_tree: Option<PathBuf>,
    /// Objects directories to read besides the repository's own.
    pub also_objects: Vec<PathBuf>,
    /// The objects directory to write to instead of the repository's own.
    pub write_objects: Option<PathBuf>,
}

/// One git command to be run.
pub struct Call<'a> {
    pub(super) git: &'a Git,
    pub(super) place: &'a Place,
    pub(super) args: Vec<OsString>,
    pub(super) stdin: Vec<u8>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) config: Vec<(String, String)>,
    pub(super) remote: Option<&'a RemoteUrl>,
    limit: Duration,
}

impl<'a> Call<'a> {
    /// A call of git without arguments, at `place`.
    pub(super) fn new(git: &'a Git, place: &'a Place) -> Self {
        let (args, stdin, env, config) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Call { git, place, args, stdin, env, config, remote: None, limit: NETWORK_LIMIT }
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self
    }

    /// What to feed to its standard input; without it there is none.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Lets the call talk to `url`, as the remote [`REMOTE`](super::environment::REMOTE). Without this no call can: a lazy
    /// fetch fails at once.
    pub fn remote(mut self, url: &'a RemoteUrl) -> Self {
        self.remote = Some(url);
        self
    }

    /// The longest that it may take when it talks to a remote.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When git cannot be started, is interrupted or takes too long. A git that failed is an [`Output`].
    pub fn run(&self) -> Result<Output> {
        interrupt::check()?;
        let command = self.display();
        let (start, started) = (SystemTime::now(), Instant::now());
        let mut process = self.command();
        let child = match self.remote {
            // It may start a credential helper that outlives it.
            Some(_) => inherit::start_without_locks(&mut process),
            None => inherit::start_with_locks(&mut process),
        };
        let mut child = child.map_err(|e| self.git.cannot_start(&command, &e))?;
        let output = self.wait(&mut child, &command, started);
        let code = output.as_ref().ok().and_then(|output| output.code);
        let bytes = output.as_ref().map_or(0, |output| output.received.max(output.stdout.len() as u64));
        let kind = Work::Process { code };
        self.git.report().ended(&Ended { what: &command, start, took: started.elapsed(), kind, bytes });
        output
    }

    /// Runs a call that may be repeated, again and again while it fails for a passing reason.
    pub fn run_with_retries(&self) -> Result<Output> {
        self.run_with_retries_unless(|_| false)
    }

    /// The same, but a failure of this kind is left to the caller at once.
    pub fn run_with_retries_unless(&self, is_other: impl Fn(&Output) -> bool) -> Result<Output> {
        let mut tries = 1;
        loop {
            let output = self.run()?;
            if output.code == Some(0) || is_other(&output) {
                return Ok(output);
            }
            let Some(retry) = output.failure().retry().filter(|retry| tries < retry.tries) else {
                return Ok(output);
            };
            let pause = retry.pause(tries);
            self.git.report().phase(&format!("trying again in {:.1} s: {}", pause.as_secs_f32(), output.last_line()));
            interrupt::sleep(pause)?;
            self.git.report().phase(&format!("trying again (try {} of {})", tries + 1, retry.tries));
            tries += 1;
        }
    }

    /// Starts it and leaves it running, for a dialogue through its standard input and output.
    pub fn start(&self) -> Result<Session> {
        interrupt::check()?;
        let command = self.display();
        let mut process = self.command();
        process.stdin(Stdio::piped());
        let child = inherit::start_with_locks(&mut process).map_err(|e| self.git.cannot_start(&command, &e))?;
        Session::new(child, command, self.git.report().clone())
    }

    fn wait(&self, child: &mut Child, command: &str, started: Instant) -> Result<Output> {
        let (done, finished) = mpsc::channel();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let received = Arc::new(AtomicU64::new(0));
        if let Some(mut pipe) = child.stdin.take() {
            let bytes = self.stdin.clone();
            // A git that fails early closes the pipe; its exit code and words tell why.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        if let Some(pipe) = child.stdout.take() {
            let (into, done) = (stdout.clone(), done.clone());
            std::thread::spawn(move || {
                drain(pipe, |bytes| {
                    lock(&into).extend_from_slice(bytes);
                    let _ = done.send(Pipe::Bytes);
                });
                let _ = done.send(Pipe::End);
            });
        }
        if let Some(pipe) = child.stderr.take() {
            let (into, report, received) = (stderr.clone(), self.git.report().clone(), received.clone());
            std::thread::spawn(move || {
                let mut lines = Lines::default();
                drain(pipe, |bytes| {
                    lines.feed(bytes, |line| sort_line(line, &report, &mut lock(&into), &received));
                    let _ = done.send(Pipe::Bytes);
                });
                lines.finish(|line| sort_line(line, &report, &mut lock(&into), &received));
                let _ = done.send(Pipe::End);
            });
        }
        let limits = match self.remote {
            None => Limits::default(),
            // Curl ends a connection that is too slow by itself.
            Some(url) if url.http_host().is_some() => Limits { total: Some(self.limit), silence: None },
            Some(_) => Limits { total: Some(self.limit), silence: Some(SILENCE_LIMIT) },
        };
        let status = wait_for(child, &finished, started, &limits)?.ok_or_else(|| {
            Error::new(Kind::Transient, "the remote took too long to answer")
                .hint("try again; `assets -v` shows the git commands that are run")
        })?;
        let output = Output {
            code: status.code(),
            stdout: std::mem::take(&mut lock(&stdout)),
            stderr: std::mem::take(&mut lock(&stderr)),
            received: received.load(Ordering::Relaxed),
            command: command.to_string(),
        };
        Ok(output)
    }

    fn display(&self) -> String {
        let mut text = String::from("git");
        for arg in &self.args {
            text.push(' ');
            text.push_str(&crate::error::shell_word(&arg.to_string_lossy()));
        }
        printable(&text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
