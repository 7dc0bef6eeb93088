//! Many at once: restores into one checkout, and pushes to one branch while answers are lost.

use std::process::Child;

use crate::cases::case;
use crate::processes::{start, wait};
use crate::report::{Fate, Tally};
use crate::rig::{Rig, path, recording};
use crate::support::server::Fault;
use crate::support::{CodeRepo, Run, write};
use crate::sweep::{number, seed};

/// How many restores and pushes there are at once.
const RESTORES: usize = 64;
const PUSHES: usize = 32;

/// The quick part has fewer of them.
fn rounds(count: &str, quick: usize, full: usize) -> (u64, usize) {
    number(count).map_or((1, quick), |rounds| (rounds, full))
}

#[test]
fn restores() {
    let (rounds, at_once) = rounds("FAULTS_RESTORES", 12, RESTORES);
    let (seed, mut tally, mut rig) = (seed(), Tally::default(), Rig::new());
    for round in 0..rounds as usize {
        // Cold, to another pin with changes in the way, and with nothing to do for all but the first.
        let case = case(["cold all", "switch branch", "switch tag"][round % 3]);
        rig.set_up(case);
        let children: Vec<Child> = (0..at_once).map(|_| start(&mut rig.command(case.args), rig.world.root())).collect();
        let runs: Vec<Run> = children.into_iter().map(|child| wait(child, rig.world.root())).collect();
        let fate = match runs.iter().find(|run| run.code != Some(0)) {
            Some(run) => Fate::Unhealed(format!("exit {:?}: {}", run.code, run.stderr)),
            None => rig.judge(case, &runs[0]),
        };
        tally.add(&format!("round {round}: {at_once} times {}", case.name), fate);
    }
    tally.close(&format!("{at_once} restores at once"), seed);
}

#[test]
fn pushes() {
    let (rounds, at_once) = rounds("FAULTS_PUSHES", 6, PUSHES);
    let (seed, mut tally, mut rig) = (seed(), Tally::default(), Rig::new());
    rig.set_up(case("cold branch"));
    let clones: Vec<CodeRepo> = (0..at_once).map(|n| rig.world.code_repo(&format!("clone{n}"))).collect();
    let mut landed = 0;
    for round in 0..rounds as usize {
        let fate = one_round(&rig, &clones, round, seed, &mut landed).map_or_else(Fate::Unhealed, |()| Fate::Healed);
        tally.add(&format!("round {round}: {at_once} pushes"), fate);
    }
    tally.close(&format!("{at_once} pushes at once"), seed);
}

/// Each clone records a file of its own and pushes it; a tenth of the answers are lost.
fn one_round(rig: &Rig, clones: &[CodeRepo], round: usize, seed: u64, landed: &mut usize) -> Result<(), String> {
    let content = |n: usize| recording("a", n, &format!("clone {n} in round {round}"));
    for (n, clone) in clones.iter().enumerate() {
        let pin = rig.repo.rev("refs/heads/auto/a").unwrap_or_else(|| rig.new.clone());
        clone.branch_manifest("sdk/a", &rig.url(), &pin);
        let run = in_clone(rig, clone, ["restore", "sdk/a"]);
        if run.code != Some(0) {
            return Err(format!("restore before the push: exit {:?}: {}", run.code, run.stderr));
        }
        write(&clone.only_checkout().join(path("a", 100 + n)), content(n));
    }
    let lost = (clones.len() / 10).max(1) as u32;
    rig.server.set_fault(Fault::DropPushAnswer { times: lost });
    let children: Vec<Child> =
        clones.iter().map(|clone| start(&mut command(rig, clone, ["push", "sdk/a"]), rig.world.root())).collect();
    let runs: Vec<Run> = children.into_iter().map(|child| wait(child, rig.world.root())).collect();
    rig.server.set_fault(Fault::None);
    if let Some(run) = runs.iter().find(|run| run.code != Some(0)) {
        return Err(format!("seed {seed}: exit {:?}: {}", run.code, run.stderr));
    }
    *landed += clones.len();
    let range = format!("{}..refs/heads/auto/a", rig.new);
    let count = rig.repo.git(["rev-list", "--count", &range]).ok().stdout;
    if count.trim() != landed.to_string() {
        return Err(format!("{} commits, and {landed} wanted", count.trim()));
    }
    for (n, clone) in clones.iter().enumerate() {
        let pin = clone.pin("sdk/a", "SHA");
        for commit in ["refs/heads/auto/a", pin.as_str()] {
            if rig.repo.file(commit, &path("a", 100 + n)) != Some(content(n)) {
                return Err(format!("what clone {n} recorded is not in {commit}"));
            }
        }
    }
    Ok(())
}

fn command<const N: usize>(rig: &Rig, clone: &CodeRepo, args: [&str; N]) -> std::process::Command {
    let mut command = rig.command(args);
    command.current_dir(&clone.path);
    command
}

fn in_clone<const N: usize>(rig: &Rig, clone: &CodeRepo, args: [&str; N]) -> Run {
    wait(start(&mut command(rig, clone, args), rig.world.root()), rig.world.root())
}
