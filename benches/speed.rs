//! How long `assets` takes, beside today's sequence of git commands and the least that a network allows.
//!
//! `cargo bench --bench speed -- [--quick] [--only cold-tags,cold-many-tags,cold-mono,noop,push,fleet]
//! [--rtt 0,40] [--mbit 200] [--runs 5] [--packages 40] [--files 60] [--bytes 22000] [--pushes 3]
//! [--extra-tags 20000] [--sample 10] [--binary PATH] [--log]`
//!
//! It makes its repos itself (once, kept below `target/tmp`) and serves them on loopback, directly
//! and through a proxy that adds round trips and a line rate. What is compared is run in turn
//! within one run, so compare ratios. The page cache is warm, the disk is real.
//!
//! - *git fetch, git checkout*: the least that git can do, in a git directory written by hand
//! - *limit*: one request for a tar of exactly the needed files, unpacked while it comes (`curl | tar`)
//! - *today*: the git commands of the test proxy that `assets` replaces, without the proxy itself
//! - *git*: the git processes that the program started / and all that came of them
//! - *peak MB*: the most memory that `assets` itself had, without git's
//!
//! `fleet`, all packages of a code repo in one command, runs only when it is asked for, with defaults of its own:
//! 200 packages, 40 ms, 3 runs. `fleet-cold`, `fleet-changed`, `fleet-noop` and `fleet-scaling` are its parts. What
//! takes seconds per package is measured for `--sample` of them, one after the other, and scaled to all.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[path = "speed/fleet.rs"]
mod fleet;
#[path = "speed/lab.rs"]
mod lab;
#[path = "speed/limit.rs"]
mod limit;
#[path = "speed/memory.rs"]
mod memory;
#[path = "speed/noop.rs"]
mod noop;
#[path = "speed/push.rs"]
mod push;
#[path = "speed/repos.rs"]
mod repos;
#[path = "../tests/it/support/server.rs"]
mod server;
#[path = "speed/single.rs"]
mod single;
#[path = "speed/subject.rs"]
mod subject;
#[path = "speed/summary.rs"]
mod summary;
#[path = "speed/table.rs"]
mod table;
#[path = "speed/text.rs"]
mod text;
#[path = "speed/today.rs"]
mod today;

use lab::{Failure, Lab};
use repos::Size;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Flags::parse(std::env::args().skip(1)).and_then(|flags| bench(&flags)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} rows failed");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what was asked for; the answer is how many rows failed.
fn bench(flags: &Flags) -> Result<usize, Failure> {
    let lab = Lab::start(flags)?;
    let mut failed = 0;
    if flags.wants_single() {
        failed += single::bench(&lab)?;
    }
    if flags.wants_fleet() {
        failed += fleet::bench(&lab);
    }
    Ok(failed)
}

/// What the command line asks for.
pub struct Flags {
    only: Vec<String>,
    /// For one package, and for all packages of a code repo.
    single: Scope,
    fleet: Scope,
    sample: usize,
    mbit: u64,
    binary: PathBuf,
    log: bool,
}

/// How large and how thorough a measurement is.
pub struct Scope {
    size: Size,
    rtts: Vec<u64>,
    runs: usize,
    noop_runs: usize,
}

impl Flags {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let size = Size { packages: 40, files: 60, bytes: 22_000, pushes: 3, extra_tags: 20_000 };
        let mut flags = Self {
            only: Vec::new(),
            single: Scope { size, rtts: vec![0, 40], runs: 5, noop_runs: 300 },
            // 12,000 files of 370 MB.
            fleet: Scope {
                size: Size { packages: 200, bytes: 24_000, ..size },
                rtts: vec![40],
                runs: 3,
                noop_runs: 50,
            },
            sample: 10,
            mbit: 200,
            binary: env!("CARGO_BIN_EXE_assets").into(),
            log: false,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{flag}` needs a value"));
            match flag.as_str() {
                "--bench" => {} // cargo says so
                "--quick" => {
                    flags.sample = 2;
                    flags.each(|scope| {
                        (scope.runs, scope.noop_runs) = (1, 30);
                        scope.size = Size { packages: 8, files: 20, extra_tags: 2000, ..scope.size };
                    });
                }
                "--log" => flags.log = true,
                "--only" => flags.only = value()?.split(',').map(str::to_owned).collect(),
                "--rtt" => {
                    let rtts = value()?.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?;
                    flags.each(|scope| scope.rtts = rtts.clone());
                }
                "--mbit" => flags.mbit = value()?.parse()?,
                "--sample" => flags.sample = value()?.parse::<usize>()?.max(1),
                "--binary" => flags.binary = fs::canonicalize(value()?)?,
                number => {
                    let set: fn(&mut Scope, usize) = match number {
                        "--runs" => |scope, value| scope.runs = value.max(1),
                        "--packages" => |scope, value| scope.size.packages = value.max(4),
                        "--files" => |scope, value| scope.size.files = value.max(3),
                        "--bytes" => |scope, value| scope.size.bytes = value,
                        "--pushes" => |scope, value| scope.size.pushes = value.max(2),
                        "--extra-tags" => |scope, value| scope.size.extra_tags = value,
                        _ => return Err(format!("unknown flag `{flag}`").into()),
                    };
                    let value = value()?.parse()?;
                    flags.each(|scope| set(scope, value));
                }
            }
        }
        Ok(flags)
    }

    fn each(&mut self, mut change: impl FnMut(&mut Scope)) {
        change(&mut self.single);
        change(&mut self.fleet);
    }

    /// Whether this part is measured; without `--only` all are but the fleet.
    fn wants(&self, what: &str) -> bool {
        let is_fleet = what.starts_with("fleet");
        let named = |only: &String| only == what || is_fleet && only == "fleet";
        if self.only.is_empty() { !is_fleet } else { self.only.iter().any(named) }
    }

    fn wants_fleet(&self) -> bool {
        self.only.iter().any(|only| only.starts_with("fleet"))
    }

    fn wants_single(&self) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| !only.starts_with("fleet"))
    }
}
