//! Ctrl-C and termination: the handler only raises a flag; whoever waits looks at it, ends its children and returns.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Installs the handler. The third Ctrl-C ends the process at once, for the case that the orderly way hangs.
pub fn install() {
    // Fails only when a handler is installed already, which is then as good.
    let _ = ctrlc::set_handler(|| {
        if COUNT.fetch_add(1, Ordering::SeqCst) >= 2 {
            let _ = console::Term::stderr().show_cursor();
            std::process::exit(130);
        }
    });
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
