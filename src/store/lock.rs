//! Kernel locks: one per checkout and one per store. The kernel frees them when their holder is gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::{entries_of, is_there};
use crate::error::{AtPath, Error, Kind, Result};
use crate::inherit;
use crate::interrupt::sleep;
use crate::names::printable;
use crate::report::Reporter;

/// How a lock is waited for.
#[derive(Clone, Debug)]
pub struct Patience {
    /// What others are told while we hold it, such as `assets restore sdk/tables (process 123)`.
    pub holder: String,
    /// The longest wait; none for no end.
    pub timeout: Option<Duration>,
}

/// A held lock. Given back when dropped.
///
/// On Unix the gits that write here inherit the handle: when this process is killed, the lock stays taken until the last
/// of them has ended. Dropping it unlocks it for all of them.
#[derive(Debug)]
pub struct Lock {
    file: Arc<File>,
}

impl Lock {
    /// Takes the lock at `path`, waiting for whoever has it.
    ///
    /// # Errors
    /// When the file cannot be made, the wait is too long, or the user interrupts it.
    pub fn take(path: &Path, patience: &Patience, report: &Reporter) -> Result<Lock> {
        Self::wait_for(path, patience, report, File::try_lock)
    }

    /// Takes the lock at `path` together with others that share it, waiting for whoever has it alone.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn share(path: &Path, patience: &Patience, report: &Reporter) -> Result<Lock> {
        Self::wait_for(path, patience, report, File::try_lock_shared)
    }

    fn wait_for(
        path: &Path,
        patience: &Patience,
        report: &Reporter,
        try_lock: fn(&File) -> std::result::Result<(), TryLockError>,
    ) -> Result<Lock> {
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = open().at("create", path)?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match try_lock(&file) {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(e).at("lock", path),
                Err(TryLockError::WouldBlock) => {}
            }
            if patience.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                let holder = holder(&mut file);
                return Err(Error::new(
                    Kind::Transient,
                    format!("{holder} did not finish within {} s", started.elapsed().as_secs()),
                )
                .cause(format!("it holds the lock `{}`", path.display()))
                .hint("try again, or wait longer with `--lock-timeout <seconds>`"));
            }
            if !told {
                report.phase(&format!("waiting for {}", holder(&mut file)));
                told = true;
            }
            sleep(Duration::from_millis(20))?;
        }
        // Only for the messages of those who wait.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(patience.holder.as_bytes()));
        let file = Arc::new(file);
        inherit::add(&file);
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
        inherit::remove(&self.file);
    }
}

/// What the mark of a folder is called.
const MARK: &str = "in-use";

/// Shows that a folder is in use, also after a kill: as long as this process lives, or one that it started since. A daemon
/// that one of these left behind keeps it too, so nobody may wait for a mark to go.
#[derive(Debug)]
pub struct Mark {
    _file: File,
}

impl Mark {
    /// Marks a folder that no other process marks.
    pub fn set(folder: &Path) -> Result<Mark> {
        let path = folder.join(MARK);
        let file = File::create(&path).at("create", &path)?;
        file.lock().at("lock", &path)?;
        inherit::let_inherit(&file, true);
        Ok(Mark { _file: file })
    }

    /// Whether a folder is marked.
    pub fn is_on(folder: &Path) -> Result<bool> {
        let path = folder.join(MARK);
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.at("read", &path)?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e).at("lock", &path),
        }
    }
}

/// Who holds the lock, by what it wrote into it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match read {
        Ok(1..=500) => format!("`{}`", printable(text.trim())),
        _ => "another `assets`".to_string(),
    }
}

/// Who holds the lock at `path`, found out without taking or changing it: what the holder wrote, while its process
/// lives.
pub fn holder_of(path: &Path) -> Option<String> {
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    let mut text = String::new();
    match File::open(path).ok()?.take(500).read_to_string(&mut text) {
        Ok(_) => is_alive(text.trim()).then(|| printable(text.trim())),
        // Windows lets nobody else read a locked file.
        Err(_) => cfg!(windows).then(|| "another `assets`".to_string()),
    }
}

/// Whether the process that a holder's text ends with still runs. One that was killed left its text.
#[cfg(unix)]
fn is_alive(holder: &str) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let number = holder.rsplit_once("(process ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    let Some(process) = number.and_then(Pid::from_raw) else { return false };
    !matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_alive(_holder: &str) -> bool {
    false
}

/// Removes lock files that git left in a git directory when it was killed. Call it under our own lock. A git that
/// somebody runs there by hand gets a second to finish.
pub fn remove_stale_git_locks(git_dir: &Path) -> Result<()> {
    let names = [
        "index.lock",
        "assets-index.lock",
        "assets-index-merge.lock",
        "HEAD.lock",
        "config.lock",
        "shallow.lock",
        "packed-refs.lock",
        "config.worktree.lock",
    ];
    let present = || -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for path in names.iter().map(|name| git_dir.join(name)) {
            if is_there(&path)? {
                found.push(path);
            }
        }
        find_locks(&git_dir.join("refs"), &mut found)?;
        Ok(found)
    };
    let started = Instant::now();
    while !present()?.is_empty() {
        if started.elapsed() > Duration::from_secs(1) {
            for path in present()? {
                std::fs::remove_file(&path).at("remove the stale lock", &path)?;
            }
        }
        sleep(Duration::from_millis(20))?;
    }
    Ok(())
}

/// Git locks each ref that it writes by a file beside it.
fn find_locks(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries_of(folder)? {
        if entry.file_type().at("look at", &entry.path())?.is_dir() {
            find_locks(&entry.path(), found)?;
        } else if entry.file_name().as_encoded_bytes().ends_with(b".lock") {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Removes packs that a killed download left unfinished in a store. Call it under the store's lock; a download that
/// still runs, of a process that was killed without its children, is younger than the hour that they are given.
pub fn remove_unfinished_packs(store: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in std::fs::read_dir(store.join("objects/pack")).into_iter().flatten().flatten() {
        let unfinished = entry.file_name().to_string_lossy().starts_with("tmp_");
        let modified = entry.metadata().and_then(|meta| meta.modified()).ok();
        if unfinished && modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > OLD) {
            // Takes up room, and no more than that.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::progress::{Mode, Progress};
    use std::sync::Arc;

    fn silent() -> Reporter {
        Reporter::new(Arc::new(Progress::new(Mode::Silent, true, 0)))
    }

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let patience = |holder: &str, ms| Patience { holder: holder.into(), timeout: Some(Duration::from_millis(ms)) };
        let first = Lock::take(&path, &patience("assets restore a", 0), &silent()).unwrap();
        let refused = Lock::take(&path, &patience("assets restore b", 30), &silent()).unwrap_err();
        assert_eq!(refused.kind, Kind::Transient);
        assert!(refused.message.contains("`assets restore a`"), "{}", refused.message);
        drop(first);
        Lock::take(&path, &patience("assets restore b", 0), &silent()).unwrap();
    }

    #[test]
    fn a_mark_is_on_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Mark::is_on(dir.path()).unwrap());
        let mark = Mark::set(dir.path()).unwrap();
        assert!(Mark::is_on(dir.path()).unwrap());
        drop(mark);
        assert!(!Mark::is_on(dir.path()).unwrap());
    }

    #[test]
    fn locks_of_a_killed_git_go() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("refs/tags/py")).unwrap();
        let write = |name: &str| std::fs::write(dir.path().join(name), "").unwrap();
        ["index", "index.lock", "refs/tags/py/a", "refs/tags/py/a.lock", "refs/heads.lock"].into_iter().for_each(write);
        remove_stale_git_locks(dir.path()).unwrap();
        let is_there = |name: &&str| dir.path().join(name).exists();
        let left = ["index", "index.lock", "refs/tags/py/a", "refs/tags/py/a.lock", "refs/heads.lock"];
        assert_eq!(left.iter().copied().filter(is_there).collect::<Vec<_>>(), ["index", "refs/tags/py/a"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_holder_is_seen_while_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(holder_of(&path), None);
        let title = format!("assets restore a (process {})", std::process::id());
        let lock = Lock::take(&path, &Patience { holder: title.clone(), timeout: None }, &silent()).unwrap();
        assert_eq!(holder_of(&path), Some(title));
        drop(lock);
        assert_eq!(holder_of(&path), None);
        for left in ["assets restore a (process 2147483647)", "assets restore a", "(process 0)", "(process x)"] {
            std::fs::write(&path, left).unwrap();
            assert_eq!(holder_of(&path), None, "{left}");
        }
        assert_eq!(holder_of(dir.path()), None);
    }

    #[test]
    fn a_shared_lock_keeps_out_only_who_wants_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let patience = Patience { holder: "assets restore a".into(), timeout: Some(Duration::ZERO) };
        let shared = [(); 2].map(|()| Lock::share(&path, &patience, &silent()).unwrap());
        assert!(Lock::take(&path, &patience, &silent()).is_err());
        drop(shared);
        let alone = Lock::take(&path, &patience, &silent()).unwrap();
        assert!(Lock::share(&path, &patience, &silent()).is_err());
        drop(alone);
    }
}
