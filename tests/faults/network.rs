//! A network that breaks, hangs, refuses or lies.

use crate::cases::{Case, networked};
use crate::processes::{start, wait};
use crate::report::Fate;
use crate::rig::Rig;
use crate::support::Run;
use crate::support::server::{ALWAYS, Fault};
use crate::sweep::{number, sweep};

/// Broken networks are mostly waited for.
const WORKERS: usize = 4;

#[test]
fn cut() {
    sweep("network cut", &networked(), "FAULTS_CUT", 4, WORKERS, |rig, case, _, random| {
        rig.set_up(case);
        let bytes = random.u64(0..=answered(rig, case));
        // For good, or once: then it is tried again and nobody notices.
        let times = if random.u8(..4) == 0 { 1 } else { ALWAYS };
        let what = format!("{}: after {bytes} bytes, {}", case.name, if times == 1 { "once" } else { "for good" });
        (what, under(rig, case, Fault::CutAfter { bytes, times }))
    });
}

/// What a server answers, and whether it ends by itself.
fn answers() -> Vec<Fault> {
    let status = |code, retry_after, times| Fault::Status { code, retry_after, times };
    let mut answers: Vec<Fault> = [401, 403, 404].map(|code| status(code, None, ALWAYS)).to_vec();
    answers.extend([429, 500, 503].map(|code| status(code, None, 1)));
    answers.extend([
        status(429, Some(1), 2),
        Fault::CaptivePortal,
        Fault::RedirectTo("http://127.0.0.1:1".into()),
        Fault::DropPushAnswer { times: 1 },
        Fault::DropPushAnswer { times: ALWAYS },
    ]);
    if number("FAULTS_ANSWERS").is_some() {
        // These take up to a minute each.
        answers.extend([503, 429].map(|code| status(code, None, ALWAYS)));
        answers.extend([Fault::Hang, Fault::StallAfter { bytes: 3_000 }]);
    }
    answers
}

#[test]
fn wrong_answers() {
    let (answers, cases) = (answers(), networked());
    sweep("wrong answer", &cases, "FAULTS_ANSWERS", 4, WORKERS, |rig, case, number, _| {
        let fault = answers[(number + number / cases.len()) % answers.len()].clone();
        rig.set_up(case);
        (format!("{}: {fault:?}", case.name), under(rig, case, fault))
    });
}

/// Runs a command while the network is broken: if it fails, everything is as it was.
fn under(rig: &Rig, case: &Case, fault: Fault) -> Fate {
    rig.server.set_fault(fault);
    let run = run(rig, case);
    if run.code == Some(-1) {
        return Fate::Unhealed(run.stderr);
    }
    if run.code != Some(0)
        && !case.name.ends_with("all")
        && let Err(difference) = rig.is_untouched(case)
    {
        return Fate::Phantom(format!("changed by a command that failed: {difference}"));
    }
    if !matches!(run.code, Some(0 | 1 | 4 | 5)) || (run.code != Some(0) && !run.stderr.contains("error:")) {
        return Fate::Unhealed(format!("exit {:?}: {}", run.code, run.stderr));
    }
    rig.judge(case, &run)
}

fn run(rig: &Rig, case: &Case) -> Run {
    wait(start(&mut rig.command(case.args), rig.world.root()), rig.world.root())
}

/// How many bytes the server answers when nothing is wrong; found out once for each case.
fn answered(rig: &mut Rig, case: &'static Case) -> u64 {
    if let Some(bytes) = rig.bytes.get(case.name) {
        return *bytes;
    }
    run(rig, case).ok();
    let bytes = rig.server.requests().iter().map(|request| request.response_bytes).sum();
    rig.bytes.insert(case.name, bytes);
    rig.set_up(case);
    bytes
}
