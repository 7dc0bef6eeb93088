//! A model of teams: users with clones of one code repo do what comes into their minds, on several packages of both
//! forms, while their machines fail; an oracle over plain maps knows what each of them shows and has pending, and looks
//! after each step whether every promise was kept. What breaks one is made short and written down as a script.
//!
//! `MODEL_SEED`, `MODEL_RUNS`, `MODEL_STEPS` and `ASSETS_BIN` choose; `MODEL_RUN=7,8` does the runs of these numbers again,
//! `MODEL_REPLAY=FILE` the steps of a file.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod choose;
mod objects;
mod ops;
mod oracle;
mod perform;
mod rules_always;
mod rules_commit;
mod rules_pop;
mod rules_push;
mod rules_show;
mod run;
mod script;
mod shrink;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use run::{Failure, Tools, chosen};

/// How many runs a plain `cargo test` makes, and of how many steps: always the same ones.
const SHORT: (usize, usize) = (20, 40);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// The gits of this machine, one path for each version: `PATH`'s first, then the system's own.
fn gits() -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u8>, PathBuf)> = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]) {
        let git = folder.join("git");
        let Ok(output) = Command::new(&git).arg("--version").output() else { continue };
        if !found.iter().any(|(known, _)| *known == output.stdout) {
            found.push((output.stdout, git));
        }
    }
    found.into_iter().map(|(_, git)| git).collect()
}

fn tools() -> Tools {
    let assets = std::env::var_os("ASSETS_BIN").map_or(PathBuf::from(env!("CARGO_BIN_EXE_assets")), PathBuf::from);
    Tools { gits: gits(), assets }
}

#[test]
fn every_promise_is_kept() {
    if let Some(file) = std::env::var_os("MODEL_REPLAY") {
        return replay(&PathBuf::from(file));
    }
    let tools = tools();
    let seed = number("MODEL_SEED").unwrap_or(1);
    let only: Vec<u64> = std::env::var("MODEL_RUN")
        .map(|list| list.split(',').map(|seed| seed.trim().parse().expect("MODEL_RUN has numbers")).collect())
        .unwrap_or_default();
    let (runs, is_short) = number("MODEL_RUNS")
        .or((!only.is_empty()).then_some(only.len() as u64))
        .map_or((SHORT.0, true), |runs| (runs as usize, false));
    let steps = number("MODEL_STEPS").map_or(if is_short { SHORT.1 } else { 60 }, |steps| steps as usize);
    let most = number("MODEL_FAILURES").unwrap_or(if is_short { 1 } else { 5 }) as usize;
    let threads = number("MODEL_THREADS")
        .map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), |threads| threads as usize);
    // For scripts/model-check.sh: the first violation is enough, if the program without the defect keeps the promise.
    let stops = number("MODEL_STOP").is_some();
    let sound = std::env::var_os("MODEL_SOUND_BIN").map(|bin| Tools { assets: bin.into(), ..tools.clone() });
    let started = Instant::now();
    let (next, pushes, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed: Mutex<BTreeMap<&'static str, Vec<u64>>> = Mutex::default();
    let shrunk: Mutex<BTreeMap<&'static str, usize>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        break;
                    }
                    let seed = only.get(number).copied().unwrap_or(seed * 1_000_000 + number as u64);
                    let result = chosen(&tools, seed, steps);
                    done.fetch_add(1, Ordering::Relaxed);
                    match result {
                        Ok(fine) => drop(pushes.fetch_add(fine.pushes, Ordering::Relaxed)),
                        // What another binary does wrong too is not what is looked for.
                        Err(failure) if sound.as_ref().is_some_and(|sound| is_broken_by(sound, &failure)) => {}
                        Err(failure) if stops => {
                            println!("found in run {}: {}", number + 1, failure.violation.promise);
                            next.store(runs, Ordering::Relaxed);
                            failed.lock().unwrap().entry(failure.violation.promise).or_default().push(seed);
                        }
                        Err(failure) => {
                            let promise = failure.violation.promise;
                            failed.lock().unwrap().entry(promise).or_default().push(seed);
                            println!("run {seed}, step {}: {promise}", failure.steps.len());
                            let first = {
                                let mut shrunk = shrunk.lock().unwrap();
                                let count = shrunk.entry(promise).or_default();
                                *count += 1;
                                *count <= most
                            };
                            if first {
                                tell(&tools, seed, *failure);
                            }
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let (done, pushes) = (done.into_inner(), pushes.into_inner());
    let broken: usize = failed.values().map(Vec::len).sum();
    println!(
        "{done} runs of {steps} steps in {:.0?}, {pushes} pushes, {broken} runs with a violation",
        started.elapsed()
    );
    write_table(done, steps, &failed);
    for (promise, seeds) in &failed {
        println!("{:5}  {promise}: {seeds:?}", seeds.len());
    }
    assert!(failed.is_empty(), "{broken} of {done} runs broke a promise");
}

/// Whether the same steps break a promise with other tools too.
fn is_broken_by(tools: &Tools, failure: &Failure) -> bool {
    run::given(tools, failure.setup, &failure.steps).is_some()
}

/// Makes a failed history short, and writes it down.
fn tell(tools: &Tools, seed: u64, failure: Failure) {
    let failure = if number("MODEL_SHRINK") == Some(0) { failure } else { shrink::shrink(tools, failure) };
    let file = script::write(&failure, seed);
    let history: Vec<String> = failure.steps.iter().map(|step| format!("    {step}")).collect();
    println!(
        "run {seed} broke \"{}\" after {} steps:\n{}\n  {}\n  script: {}\n",
        failure.violation.promise,
        failure.steps.len(),
        history.join("\n"),
        failure.violation.details,
        file.display()
    );
}

/// Does the steps of a file: the lines of a history, or of a script.
fn replay(file: &std::path::Path) {
    let text = std::fs::read_to_string(file).expect("the file is there");
    let lines = text.lines().map(|line| line.trim_start_matches("step ").replace('\'', ""));
    let (mut setup, mut steps) = (None, Vec::new());
    for line in lines {
        setup = setup.or(ops::parse_setup(line.trim()));
        steps.extend(ops::parse_step(line.trim()));
    }
    let setup = setup.expect("a line `setup`");
    match run::given(&tools(), setup, &steps) {
        None => println!("every promise was kept in {} steps", steps.len()),
        Some((count, violation)) => {
            println!("step {}: {}: {}", steps[count - 1], violation.promise, violation.details);
            panic!("a promise was broken");
        }
    }
}

/// A row for the table of `scripts/faults.sh`.
fn write_table(runs: usize, steps: usize, failed: &BTreeMap<&'static str, Vec<u64>>) {
    use std::io::Write;
    let Some(file) = std::env::var_os("MODEL_TABLE") else { return };
    let mut file = std::fs::File::options().create(true).append(true).open(file).expect("the table opens");
    let broken: usize = failed.values().map(Vec::len).sum();
    writeln!(file, "{runs}\t{steps}\t{broken}").expect("the table is written");
    for (promise, seeds) in failed {
        writeln!(file, "{promise}\t{}", seeds.len()).expect("the table is written");
    }
}
