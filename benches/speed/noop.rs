//! A restore when everything is restored already, beside programs that do as little.

use crate::lab::{Failure, Lab, STILL, execute};
use crate::table::median;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A command line to be run in the code repo.
pub struct Program<'a> {
    pub name: &'a str,
    pub program: &'a OsStr,
    pub args: &'a [&'a str],
}

/// Runs the first program once, which may restore, then all in turn, and prints a table that compares them with the
/// second; the answer is the milliseconds of each.
pub fn noop<const N: usize>(lab: &Lab, runs: usize, title: &str, programs: &[Program; N]) -> Result<[f64; N], Failure> {
    let reference = programs[1].name;
    println!("\n### {title}\n");
    println!("| | ms | min | ms above `{reference}` | x `{reference}` | programs started |\n|---|---|---|---|---|---|");
    eprintln!("{title}");
    measure(lab, runs, programs).inspect_err(|failure| {
        println!("| {} | failed | | | | |", programs[0].name);
        eprintln!("{title}: {failure}");
    })
}

fn measure<const N: usize>(lab: &Lab, runs: usize, programs: &[Program; N]) -> Result<[f64; N], Failure> {
    let code = lab.path("code");
    let command = |program: &Program| -> Command { lab.command(&STILL, &code, program.program, program.args) };
    execute(&mut command(&programs[0]))?;
    lab.server.reset_log();
    let mut times = [const { Vec::new() }; N];
    for _ in 0..runs {
        for (program, times) in programs.iter().zip(&mut times) {
            let mut command = command(program);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let status = command.status()?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            if !status.success() {
                return Err(format!("{}: {status}", program.name).into());
            }
        }
    }
    let medians = times.each_ref().map(|times| median(times));
    for (program, times) in programs.iter().zip(&times) {
        let (middle, least) = (median(times), times.iter().copied().fold(f64::INFINITY, f64::min));
        let started = lab.programs_started(&command(program)).map_or("?".to_owned(), |count| count.to_string());
        let (above, ratio) = (middle - medians[1], middle / medians[1]);
        println!("| {} | {middle:.2} | {least:.2} | {above:.2} | {ratio:.2} | {started} |", program.name);
    }
    match lab.server.totals().requests {
        0 => Ok(medians),
        requests => Err(format!("{requests} requests although there was nothing to do").into()),
    }
}
