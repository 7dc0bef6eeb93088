//! The most memory that a process had.

use crate::lab::{Failure, finished};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Runs a command to its end; the answer is the most memory that it had resident, in bytes, its children not counted,
/// or nothing where the system does not tell.
pub fn peak(command: &mut Command) -> Result<Option<u64>, Failure> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return finished(command, Err(error)).map(|_| None),
    };
    let (status, ended) = (format!("/proc/{}/status", child.id()), AtomicBool::new(false));
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = None;
            // The kernel keeps the maximum, but forgets it when the process ends.
            while !ended.load(Ordering::Relaxed) {
                peak = fs::read_to_string(&status).ok().and_then(|text| high_water_mark(&text)).or(peak);
                thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let output = child.wait_with_output();
        ended.store(true, Ordering::Relaxed);
        finished(command, output)?;
        Ok(watcher.join().unwrap_or_default())
    })
}

fn high_water_mark(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
