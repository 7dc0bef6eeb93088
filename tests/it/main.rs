//! The whole program against real git, real servers on loopback and real terminals.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod restore;
mod shims;
mod support;
