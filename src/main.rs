//! The `assets` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(assets::run(std::env::args_os()))
}
