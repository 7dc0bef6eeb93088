//! Which processes inherit the locks of this one.
//!
//! When this process is killed, a git that it started works on, and a lock must stay taken until that git has ended. So
//! gits that write in a checkout or a store inherit the handles of the locks. A git that talks to a remote does not: it may
//! start a credential helper, an ssh master or another daemon, which inherits every handle and outlives the command by
//! minutes or hours. Such a git writes into a lane, which has a mark of its own, or nowhere.

use std::fs::File;
use std::io::Result;
use std::process::{Child, Command};
use std::sync::{Arc, PoisonError, RwLock};

/// The files of the locks that are held. Who starts a process holds this too, so that no other one starts while the
/// handles are not as they should be.
static HELD: RwLock<Vec<Arc<File>>> = RwLock::new(Vec::new());

/// Lets processes that are started from now on inherit the file of a lock.
pub fn add(file: &Arc<File>) {
    let mut held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    let_inherit(file, true);
    held.push(file.clone());
}

/// The lock is given back.
pub fn remove(file: &Arc<File>) {
    HELD.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, file));
}

/// Starts a process that inherits the locks: it must start no daemon.
pub fn start_with_locks(command: &mut Command) -> Result<Child> {
    let _held = HELD.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Starts a process that inherits no lock.
pub fn start_without_locks(command: &mut Command) -> Result<Child> {
    let held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    held.iter().for_each(|file| let_inherit(file, false));
    // It returns when the new program runs: then its handles are settled.
    let child = command.spawn();
    held.iter().for_each(|file| let_inherit(file, true));
    child
}

/// Decides whether processes inherit a file.
#[cfg(unix)]
pub fn let_inherit(file: &File, inherit: bool) {
    use rustix::io::{FdFlags, fcntl_setfd};
    // Where it fails, a lock is freed a little early or late after a kill: not worth failing for.
    let _ = fcntl_setfd(file, if inherit { FdFlags::empty() } else { FdFlags::CLOEXEC });
}

#[cfg(not(unix))]
pub fn let_inherit(_file: &File, _inherit: bool) {}
