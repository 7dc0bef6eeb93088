//! Starting, watching and ending the processes of one point.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Run, finish};

/// The variable by which the processes of a point are known: `assets`, its gits and theirs.
pub const MARK: &str = "FAULTS_MARK";

/// The longest that any command may take, with all its retries; one that takes longer counts as hung.
const LIMIT: Duration = Duration::from_secs(150);

/// The processes with this mark, youngest last.
pub fn marked(mark: &Path) -> Vec<Pid> {
    let variable = format!("{MARK}={}", mark.display());
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|&b| b == 0).any(|part| part == variable.as_bytes()) {
            found.push(pid);
        }
    }
    found.sort_by_key(|pid| pid.as_raw_nonzero());
    found
}

/// Ends every process with this mark at once.
pub fn end_marked(mark: &Path) {
    loop {
        let pids = marked(mark);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Starts a command with a process group of its own.
pub fn start(command: &mut Command, mark: &Path) -> Child {
    command.env(MARK, mark).process_group(0).spawn().expect("the program starts")
}

/// Waits for a program and whatever it left running, but not for ever: an exit code of -1 means that it hung.
pub fn wait(child: Child, mark: &Path) -> Run {
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || drop(sender.send(finish(child))));
    let run = ended.recv_timeout(LIMIT);
    run.unwrap_or_else(|_| {
        end_marked(mark);
        Run { code: Some(-1), stdout: String::new(), stderr: format!("took longer than {} s", LIMIT.as_secs()) }
    })
}
