//! Makes a history that broke a promise shorter, as long as it breaks the same one.

use std::time::{Duration, Instant};

use crate::ops::{Fault, Op, Step, Verb};
use crate::run::{Failure, Tools, given};

/// The longest that one history is made shorter, and the most tries.
const LIMIT: Duration = Duration::from_secs(240);
const TRIES: usize = 400;

/// Removes steps in ever smaller parts, then makes the steps that are left simpler.
pub fn shrink(tools: &Tools, failure: Failure) -> Failure {
    let mut best = failure;
    let (until, mut tries) = (Instant::now() + LIMIT, 0);
    let mut part = best.steps.len() / 2;
    while part > 0 {
        let mut from = 0;
        let mut removed = false;
        while from < best.steps.len() {
            if Instant::now() > until || tries > TRIES {
                return best;
            }
            let to = (from + part).min(best.steps.len());
            let fewer = [&best.steps[..from], &best.steps[to..]].concat();
            tries += 1;
            if accept(tools, &mut best, fewer) {
                removed = true;
            } else {
                from = to;
            }
        }
        if !removed || part > 1 {
            part /= 2;
        }
    }
    for index in 0..best.steps.len() {
        for simpler in simpler(&best.steps.get(index).map(|step| step.op.clone())) {
            if Instant::now() > until || index >= best.steps.len() {
                return best;
            }
            let mut steps = best.steps.clone();
            steps[index].op = simpler;
            accept(tools, &mut best, steps);
        }
    }
    best
}

/// Takes these steps if they break the same promise in the same way.
fn accept(tools: &Tools, best: &mut Failure, steps: Vec<Step>) -> bool {
    let Some((count, violation)) = given(tools, best.setup, &steps) else { return false };
    if violation.kind() != best.violation.kind() {
        return false;
    }
    best.steps = steps[..count].to_vec();
    best.violation = violation;
    true
}

/// Simpler operations than this one.
fn simpler(op: &Option<Op>) -> Vec<Op> {
    let mut found = Vec::new();
    match op {
        Some(Op::Commit { base, branch, tag, changes }) => {
            for index in 0..changes.len() {
                let mut fewer = changes.clone();
                fewer.remove(index);
                found.push(Op::Commit { base: base.clone(), branch: branch.clone(), tag: tag.clone(), changes: fewer });
            }
        }
        Some(Op::Run { user, verb, fault: Some(fault) }) => {
            found.push(Op::Run { user: *user, verb: verb.clone(), fault: None });
            if let Fault::AtGit { what, nth: 2.., .. } = fault {
                let simple = Fault::AtGit { call: "any".into(), nth: 1, after: false, what: what.clone() };
                found.push(Op::Run { user: *user, verb: verb.clone(), fault: Some(simple) });
            }
        }
        Some(Op::Run { user, verb: Verb::Restore { dirs, answer }, fault: None }) if dirs.is_empty() => {
            let _ = (user, answer);
        }
        Some(Op::Record { user, dir, file, large: true }) => {
            found.push(Op::Record { user: *user, dir: dir.clone(), file: file.clone(), large: false });
        }
        _ => {}
    }
    found
}
