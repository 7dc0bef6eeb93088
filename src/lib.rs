//! The library behind the `assets` binary: test recordings in an external git repository, pinned by `assets.json`.
//!
//! The path data takes: `cli` reads the arguments and finds manifests, `ops` observes, plans and applies, `store` knows
//! the object store and the checkouts, `git` runs the system's git.

mod cli;
mod error;
mod folders;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod git;
mod inherit;
mod interrupt;
mod log;
mod manifest;
mod names;
mod ops;
mod process;
mod report;
mod settings;
mod store;
mod ui;
mod units;

use std::ffi::OsString;

/// The command line with all that its help says, for man pages and other references.
pub fn command_line() -> clap::Command {
    cli::command_line()
}

/// Runs one command line (the program's name first) and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    cli::run(args.into_iter().collect())
}
