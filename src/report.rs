//! How the layers below the command line tell what they are doing, without printing.

use std::time::Duration;

/// Receives what happens while a command runs. Nothing here may block for long.
pub trait Report: Send + Sync {
    /// A new part of the work began; `what` completes "assets is …", such as "fetching from `o/n`".
    fn phase(&self, what: &str);
    /// A line of git's own progress, such as `Receiving objects: 45% (27/60), 1.20 MiB`.
    fn progress(&self, line: &str);
    /// A git process ended. `command` holds no secret.
    fn command(&self, command: &str, took: Duration, code: Option<i32>);
    /// Something the user should know although nothing failed.
    fn note(&self, text: &str);
}
