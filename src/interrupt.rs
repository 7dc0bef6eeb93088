//! Ctrl-C and termination: the handler only raises a flag; whoever waits looks at it, ends its children and returns.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often a waiting call looks for Ctrl-C and its time limit.
pub const TICK: Duration = Duration::from_millis(50);

static COUNT: AtomicU32 = AtomicU32::new(0);
/// Whether somebody else answers signals.
static IS_LEFT: AtomicBool = AtomicBool::new(false);

/// Installs the handler. The third Ctrl-C ends the process at once, for the case that the orderly way hangs.
pub fn install() {
    // Fails only when a handler is installed already, which is then as good.
    let _ = ctrlc::set_handler(|| {
        if IS_LEFT.load(Ordering::SeqCst) {
            return;
        }
        if COUNT.fetch_add(1, Ordering::SeqCst) >= 2 {
            let _ = console::Term::stderr().show_cursor();
            std::process::exit(130);
        }
    });
}

/// Waits for a program that has the terminal and makes something of Ctrl-C itself, such as a pager: to go away before it
/// would leave it and the shell with one terminal.
pub fn leave_to<T>(wait: impl FnOnce() -> T) -> T {
    IS_LEFT.store(true, Ordering::SeqCst);
    let result = wait();
    IS_LEFT.store(false, Ordering::SeqCst);
    result
}

/// Records an interruption that did not come as a signal, such as Ctrl-C in a prompt.
pub fn raise() {
    COUNT.fetch_add(1, Ordering::SeqCst);
}

/// Whether the user wants to stop.
pub fn raised() -> bool {
    COUNT.load(Ordering::SeqCst) > 0
}

/// An error when the user wants to stop.
pub fn check() -> Result<()> {
    if raised() { Err(Error::interrupted()) } else { Ok(()) }
}

/// Sleeps unless the user wants to stop.
pub fn sleep(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}
