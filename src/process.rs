//! Processes: waiting for one with an eye on Ctrl-C and the clock, and running a program that is not git.
#![allow(clippy::disallowed_methods, reason = "src/git/program.rs starts git, and this place everything else")]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::inherit;
use crate::interrupt::{self, TICK};

/// What a process gets to clean up after a SIGTERM: git removes its lock files.
const GRACE: Duration = Duration::from_secs(2);

/// What happened to one of the two outputs of a process.
pub enum Pipe {
    Bytes,
    End,
}

/// How long a process may take, and how long it may say nothing.
#[derive(Default)]
pub struct Limits {
    pub total: Option<Duration>,
    pub silence: Option<Duration>,
}

/// A program that is not git, on its way to be run.
pub struct Program {
    pub program: PathBuf,
    /// Its arguments; no shell sees them.
    pub args: Vec<OsString>,
    /// Where it works.
    pub dir: PathBuf,
    /// Variables that it gets besides ours.
    pub env: Vec<(OsString, OsString)>,
    /// Variables of ours that it does not get.
    pub not_env: Vec<OsString>,
    pub limit: Duration,
}

/// What a program left behind.
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it said on its standard error.
    pub stderr: String,
}

impl Program {
    /// Runs it to its end, without any input; `None` when it took too long and was ended.
    ///
    /// # Errors
    /// When it cannot be started, or on Ctrl-C.
    pub fn run(&self) -> Result<Option<Ended>> {
        interrupt::check()?;
        let started = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir);
        for name in &self.not_env {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = inherit::start_without_locks(&mut command)
            .map_err(|e| Error::failed(format!("cannot start `{}`", self.program.display())).cause(e.to_string()))?;
        let (done, finished) = mpsc::channel();
        // There is no standard output to wait for.
        let _ = done.send(Pipe::End);
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(pipe) = child.stderr.take() {
            let said = said.clone();
            std::thread::spawn(move || {
                drain(pipe, |bytes| said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes));
                let _ = done.send(Pipe::End);
            });
        }
        let limits = Limits { total: Some(self.limit), silence: None };
        let Some(status) = wait_for(&mut child, &finished, started, &limits)? else { return Ok(None) };
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(Ended { code: status.code(), stderr: String::from_utf8_lossy(&said).into_owned() }))
    }
}

/// Shows text through a pager: a command line for a shell, as git takes it. Whether it could be started.
pub fn page(pager: &str, env: &[(OsString, OsString)], text: &str) -> bool {
    /// The exit codes of a shell that cannot find, or cannot start, a command.
    const NOT_STARTED: [i32; 2] = [126, 127];
    let mut shell = Command::new("sh");
    shell.args(["-c", pager]).envs(env.iter().map(|(name, value)| (name, value))).stdin(Stdio::piped());
    let ended = interrupt::leave_to(|| {
        let mut child = inherit::start_without_locks(&mut shell)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A reader who has seen enough leaves before the end.
            let _ = stdin.write_all(text.as_bytes());
        }
        child.wait()
    });
    ended.is_ok_and(|status| !status.code().is_some_and(|code| NOT_STARTED.contains(&code)))
}

/// Waits until both outputs are closed and the process has ended. A grandchild that keeps a pipe open (a credential
/// daemon) does not hold us up: what came until then counts. `None` when it took
/// too long and was ended.
pub fn wait_for(
    child: &mut Child,
    pipes: &mpsc::Receiver<Pipe>,
    started: Instant,
    limits: &Limits,
) -> Result<Option<ExitStatus>> {
    let gone = |e: std::io::Error| Error::failed("lost track of a process").cause(e.to_string());
    let mut open_pipes = 2;
    let mut ended: Option<Instant> = None;
    let mut heard = started;
    while open_pipes > 0 && ended.is_none_or(|at| at.elapsed() < Duration::from_millis(500)) {
        match pipes.recv_timeout(TICK) {
            Ok(Pipe::End) => open_pipes -= 1,
            Ok(Pipe::Bytes) => heard = Instant::now(),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if ended.is_none() && child.try_wait().map_err(gone)?.is_some() {
                    ended = Some(Instant::now());
                }
            }
        }
        if interrupt::raised() {
            end_group(child, true);
            return Err(Error::interrupted());
        }
        let over = |limit: Option<Duration>, since: Instant| limit.is_some_and(|limit| since.elapsed() > limit);
        if over(limits.total, started) || over(limits.silence, heard) {
            end_group(child, true);
            return Ok(None);
        }
    }
    let status = child.wait().map_err(gone)?;
    interrupt::check()?;
    Ok(Some(status))
}

/// Ends a process and all that it started; first gently, so that git removes its lock files.
pub fn end_group(child: &mut Child, wait: bool) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = Pid::from_child(child);
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + GRACE;
        while wait && Instant::now() < until {
            if matches!(child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = GRACE;
    let _ = child.kill();
    if wait {
        let _ = child.wait();
    }
}

/// Reads a pipe to its end.
pub fn drain(mut pipe: impl Read, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        take(&buffer[..count]);
    }
}
