//! Killed: all processes at once as when the machine stops, `assets` alone, or one git of it alone.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process, kill_process_group};

use crate::cases::{self, Case};
use crate::processes::{end_marked, marked, start, wait};
use crate::report::{Fate, skipped};
use crate::rig::Rig;
use crate::support::{ASSETS, Run};
use crate::sweep::sweep;

const STRACE: &str = "/usr/bin/strace";

/// System calls that write; those that a system does not have are passed over.
const WRITES: &str = "openat,?rename,renameat,?renameat2,?unlink,unlinkat,write,pwrite64,?mkdir,mkdirat,?link,linkat,\
                      fsync,ftruncate,?rmdir,utimensat,?chmod,fchmod,execve";

/// How a command ends too early.
#[derive(Debug)]
enum Way {
    /// All processes at their nth write in all.
    All(usize),
    /// The process that first comes to its own nth write; the others live on.
    One(usize),
}

#[test]
fn at_a_system_call() {
    if !Path::new(STRACE).exists() {
        return skipped("kill at a write", "there is no strace");
    }
    sweep("kill at a write", &cases::all(), "FAULTS_KILL", 6, 2, |rig, case, _, random| {
        rig.set_up(case);
        let way =
            if random.bool() { Way::One(random.usize(1..120)) } else { Way::All(random.usize(1..=writes(rig, case))) };
        let what = format!("{}: {way:?}", case.name);
        let run = match way {
            Way::All(nth) => all_at(rig, case, nth).0,
            Way::One(nth) => one_at(rig, case, nth),
        };
        (what, fate(rig, case, run))
    });
}

#[test]
fn after_a_while() {
    sweep("kill after a while", &cases::all(), "FAULTS_RANDOM", 8, 2, |rig, case, _, random| {
        rig.set_up(case);
        let usual = rig.usual_time(case);
        let delay = usual.mul_f64(random.f64() * 1.05);
        let way = ["all", "all", "assets", "a git", "TERM"][random.usize(..5)];
        let run = after(rig, case, delay, way, random);
        (format!("{}: {way} after {delay:?} of {usual:?}", case.name), fate(rig, case, run))
    });
}

fn fate(rig: &Rig, case: &Case, run: Run) -> Fate {
    let judged = rig.judge(case, &run);
    if judged == Fate::Healed && run.code == Some(0) { Fate::Missed } else { judged }
}

/// How many writes the command makes when nothing happens to it; found out once for each case.
fn writes(rig: &mut Rig, case: &'static Case) -> usize {
    if let Some(writes) = rig.writes.get(case.name) {
        return *writes;
    }
    let (_, writes) = all_at(rig, case, usize::MAX);
    rig.writes.insert(case.name, writes);
    rig.set_up(case);
    writes
}

fn traced(rig: &Rig, case: &Case, more: &[String]) -> Command {
    let usual = rig.command(case.args);
    let mut command = Command::new(STRACE);
    command.args(["-f", "-qq", "-e", "signal=none", "-e"]).arg(format!("trace={WRITES}")).args(more);
    command.arg(ASSETS).args(case.args).current_dir(&rig.code.path).env_clear();
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends all processes at their nth write; returns how many there were.
fn all_at(rig: &Rig, case: &Case, nth: usize) -> (Run, usize) {
    let mark = rig.world.root();
    // Quicker, but no signal can be injected with it.
    let mut child = start(&mut traced(rig, case, &["--seccomp-bpf".into()]), mark);
    let tracer = rustix::process::Pid::from_child(&child);
    let mut seen = 0;
    for line in BufReader::new(child.stderr.take().expect("piped")).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let reads = line.contains("openat(") && !line.contains("O_CREAT");
        if reads || !line.contains('(') || line.contains("resumed>") {
            continue;
        }
        seen += 1;
        if seen == nth {
            // While the tracer stands still nobody gets past a next system call.
            let _ = kill_process(tracer, Signal::STOP);
            let pids = marked(mark);
            for pid in pids.iter().filter(|pid| **pid != tracer) {
                let _ = kill_process(*pid, Signal::KILL);
            }
            end_marked(mark);
        }
    }
    (wait(child, mark), seen)
}

/// Kills whichever process first makes its own nth write.
fn one_at(rig: &Rig, case: &Case, nth: usize) -> Run {
    let log = rig.world.root().join("strace.log").display().to_string();
    let more = ["-e".into(), format!("inject={WRITES}:signal=KILL:when={nth}"), "-o".into(), log];
    wait(start(&mut traced(rig, case, &more), rig.world.root()), rig.world.root())
}

fn after(rig: &Rig, case: &Case, delay: Duration, way: &str, random: &mut fastrand::Rng) -> Run {
    let mark = rig.world.root();
    let child = start(&mut rig.command(case.args), mark);
    let pid = rustix::process::Pid::from_child(&child);
    std::thread::sleep(delay);
    match way {
        "assets" => drop(kill_process(pid, Signal::KILL)),
        "TERM" => drop(kill_process_group(pid, Signal::TERM)),
        "a git" => {
            let gits: Vec<_> = marked(mark).into_iter().filter(|other| *other != pid).collect();
            if !gits.is_empty() {
                let _ = kill_process(gits[random.usize(..gits.len())], Signal::KILL);
            }
        }
        _ => {
            let _ = kill_process(pid, Signal::KILL);
            end_marked(mark);
        }
    }
    wait(child, mark)
}

impl Rig {
    /// How long the command takes when nothing happens to it; found out once for each case.
    fn usual_time(&mut self, case: &'static Case) -> Duration {
        if let Some(time) = self.times.get(case.name) {
            return *time;
        }
        let started = Instant::now();
        self.assets(case.args).ok();
        let time = started.elapsed();
        self.times.insert(case.name, time);
        self.set_up(case);
        time
    }
}
