//! What a killed process, a broken network, a full disk, a damaged file or a crowd does to people's recordings: after
//! each fault the command is run once more, and then everything must be as if nothing had happened.
//!
//! `cargo test` runs a quick part; `scripts/faults.sh` runs all of it and prints a table. Each point is made from the
//! seed and its number alone: `FAULTS_SEED` and `FAULTS_POINT` repeat one.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod cases;
mod check;
mod disk;
mod kill;
mod network;
mod planted;
mod processes;
mod races;
mod report;
mod rig;
#[path = "../it/support/mod.rs"]
mod support;
mod sweep;
