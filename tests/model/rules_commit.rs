//! What a pushed commit has to hold, and which reasons a push has to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::objects::{Files, changes};
use crate::oracle::{Case, Oracle, Violation, is_below};
use crate::rules_push::Start;
use crate::world::{Package, World};

impl Oracle {
    /// Compares a pushed commit with what it should be.
    pub fn is_exact(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        start: &Start,
        commit: &str,
    ) -> Result<(), Violation> {
        // Somebody has moved HEAD to a commit of others: what that has differently may count as pending.
        if self.place(case.user, package).by_hand == Some("switch") {
            return Ok(());
        }
        let mut why = Vec::new();
        for tip in start.tips.clone() {
            let with_fallback = tip.is_none() && !package.tag_form;
            let fallbacks = if with_fallback { vec![None, start.fallback.clone()] } else { vec![None] };
            for fallback in fallbacks {
                let wrong = self.difference(world, package, start, tip.as_ref().or(fallback.as_ref()), commit);
                if wrong.is_empty() {
                    return Ok(());
                }
                why.push(wrong);
            }
        }
        why.sort_by_key(Vec::len);
        let wrong = why.swap_remove(0);
        let words: Vec<String> = wrong
            .iter()
            .map(|(path, is, should)| format!("{path} is {is}, and should be {}", should.join(" or ")))
            .collect();
        let tips: Vec<String> = start.tips.iter().flatten().map(|tip| world.name(tip)).collect();
        let details = format!(
            "{}: {}\n  shown {}, pin {:?}, tip {tips:?}, pending {:?}, sent before {:?}\n  after {}",
            package.dir,
            words.join("\n  "),
            world.name(&start.base),
            start.pin.as_ref().map(|pin| world.name(pin)),
            start.pending,
            start.sent,
            case.words()
        );
        let (path, _, should) = &wrong[0];
        let should = should.first().cloned().unwrap_or_default();
        let check = match should.as_str() {
            "absent" => format!("git -C $AR cat-file -e {}:'{path}' && bad 'the push added {path}'", revision(package)),
            text => format!(
                "git -C $AR show {}:'{path}' | grep -qF '{}' || bad '{path} is not what it should be'",
                revision(package),
                text.trim_matches('"')
            ),
        };
        Err(Violation { promise: "a push changes exactly the pending paths", details, check: vec![check] })
    }

    /// Each path whose content in `commit` is none of those that it may have.
    fn difference(
        &mut self,
        world: &mut World,
        package: &Package,
        start: &Start,
        tip: Option<&String>,
        commit: &str,
    ) -> Vec<(String, String, Vec<String>)> {
        let now = world.objects.files(commit);
        let mut sides: Vec<String> = vec![start.base.clone()];
        sides.extend(tip.cloned());
        if !package.tag_form {
            sides.extend(start.pin.clone());
        }
        let newest = newest(world, &sides);
        let sources: Vec<Rc<Files>> = newest.iter().map(|side| world.objects.files(side)).collect();
        let common = match &newest[..] {
            [one, other] => world.objects.merge_bases(one, other).first().map(|base| world.objects.files(base)),
            _ => None,
        };
        // Outside the slice it is as the branch has it; if that is older than what the commit was made on, as either has it.
        let mut around: Vec<Rc<Files>> = tip.map(|tip| world.objects.files(tip)).into_iter().collect();
        if !tip.is_some_and(|tip| newest.contains(tip)) {
            around.push(world.objects.files(&start.base));
            around.extend(sources.iter().cloned());
        }
        let mut paths: BTreeSet<&String> = now.keys().chain(start.pending.keys()).collect();
        paths.extend(sources.iter().chain(&around).flat_map(|files| files.keys()));
        let mut wrong = Vec::new();
        for path in paths {
            let is = now.get(path).cloned();
            let mut allowed: Vec<Option<String>> = Vec::new();
            if !is_below(&start.slice, path) {
                allowed.extend(around.iter().map(|files| files.get(path).cloned()));
            } else if let Some(mine) = start.pending.get(path).filter(|_| !start.is_loose) {
                allowed.push(mine.clone());
            } else {
                allowed.extend(start.pending.get(path).cloned());
                allowed.extend(start.sent.iter().filter_map(|sent| sent.get(path).cloned()));
                allowed.extend(start.maybe.get(path).into_iter().flatten().cloned());
                allowed.extend(sources.iter().map(|files| files.get(path).cloned()));
                if let Some(common) = &common
                    && !start.is_loose
                    && allowed.len() == 2
                    && allowed[0] != allowed[1]
                {
                    let old = common.get(path).cloned();
                    allowed.retain(|side| *side != old);
                }
                let was_sent = start.sent.iter().any(|sent| sent.contains_key(path));
                if was_sent {
                    allowed.push(world.objects.files(&start.base).get(path).cloned());
                }
            }
            if !allowed.contains(&is) {
                let say = |blob: &Option<String>| blob.as_ref().map_or("absent".to_string(), |blob| world.say(blob));
                let mut should: Vec<String> = allowed.iter().map(say).collect();
                should.dedup();
                wrong.push((path.clone(), say(&is), should));
            }
        }
        wrong
    }

    pub fn may_refuse_push(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        start: &Start,
        ours: bool,
    ) -> bool {
        let seen = case.before.checkouts.get(&package.checkout).cloned().unwrap_or_default();
        if start.pending.keys().any(|path| seen.is_odd(path)) || !seen.nested.is_empty() {
            return true;
        }
        let place = self.place(case.user, package);
        // Twice damaged: a restore repairs it.
        if place.blind {
            return true;
        }
        if place.by_hand == Some("amend") {
            return case.run.code == Some(3);
        }
        let pin_moved = start.pin.as_ref().is_some_and(|pin| *pin != start.base);
        if package.tag_form {
            let tag = self.pins[case.user].get(&package.dir).cloned().flatten();
            let gone = tag.is_some_and(|tag| !self.remote.contains_key(&format!("refs/tags/{tag}")));
            // A tag of the commit that is shown, if it was never fetched, is not known to be one.
            let tag = self.pins[case.user].get(&package.dir).cloned().flatten().unwrap_or_default();
            let is_new = !seen.refs.contains_key(&format!("refs/tags/{tag}")) && !tag.is_empty();
            return pin_moved || gone || is_new || !is_reachable(world, &start.base, &case.remote_before);
        }
        for tip in start.tips.clone() {
            let sides: Vec<String> =
                [Some(start.base.clone()), start.pin.clone(), tip.clone().or(start.fallback.clone())]
                    .into_iter()
                    .flatten()
                    .collect();
            if newest(world, &sides).len() > 1 {
                return true;
            }
            let on = tip.clone().or(start.fallback.clone());
            // The pin is ahead of what is shown, and of the branch.
            if pin_moved
                && !on.as_ref().is_some_and(|tip| world.objects.is_ancestor(start.pin.as_ref().expect("it moved"), tip))
            {
                return true;
            }
            if tip.is_none() && !is_reachable(world, &start.base, &case.remote_before) {
                return true;
            }
            if let Some(on) = on
                && self.conflicts(world, start, &on, ours)
            {
                return true;
            }
        }
        false
    }

    /// Whether somebody else has changed a pending file since the commit that is shown.
    fn conflicts(&mut self, world: &mut World, start: &Start, tip: &str, ours: bool) -> bool {
        if world.objects.is_ancestor(tip, &start.base) {
            return false;
        }
        let theirs = changes(&world.objects.files(&start.base), &world.objects.files(tip));
        start.pending.iter().any(|(path, mine)| {
            let was_sent = |blob: &Option<String>| start.sent.iter().any(|sent| sent.get(path) == Some(blob));
            let same_file = theirs.get(path).is_some_and(|blob| blob != mine && !was_sent(blob));
            let clash = |(other, blob): (&String, &Option<String>)| {
                blob.is_some() && (is_below(path, other) || is_below(other, path))
            };
            (same_file && !ours) || (mine.is_some() && theirs.iter().any(clash))
        })
    }
}

fn revision(package: &Package) -> String {
    if package.tag_form { format!("\"$(tag {})\"", package.dir) } else { package.target.clone() }
}

/// Those of some commits that are not in the history of another of them.
fn newest(world: &mut World, sides: &[String]) -> Vec<String> {
    let mut newest: Vec<String> = Vec::new();
    for side in sides {
        let old = sides.iter().any(|other| other != side && world.objects.is_ancestor(side, other));
        if !old && !newest.contains(side) {
            newest.push(side.clone());
        }
    }
    newest
}

fn is_reachable(world: &mut World, commit: &str, refs: &BTreeMap<String, String>) -> bool {
    world.objects.history(refs.values()).contains(commit)
}
