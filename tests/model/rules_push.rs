//! What a push promises: exactly the pending files change, everything else of the pin and of the branch is kept, the
//! manifest names a commit that is there; and a refusal has a reason and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::Changes;
use crate::ops::{Fault, Harm, Verb};
use crate::oracle::{Case, Oracle, Violation, composed, owner, pending_of, untrue};
use crate::perform::{manifest, manifest_file};
use crate::rules_show::changed;
use crate::world::{Package, USERS, World};

/// What a push starts from.
pub struct Start {
    pub slice: String,
    /// What the slice is shown at.
    pub base: String,
    /// What the manifest pins, if it pins anything that is known.
    pub pin: Option<String>,
    /// Where the branch may be when the push gets there; none: it does not exist. More than one when it moves meanwhile.
    pub tips: Vec<Option<String>>,
    pub fallback: Option<String>,
    pub pending: Changes,
    /// What pushes that were cut short may have sent.
    pub sent: Vec<Changes>,
    /// Some of what counts as pending may have been stashed by a command that was cut short.
    pub is_loose: bool,
    pub maybe: BTreeMap<String, BTreeSet<Option<String>>>,
}

impl Oracle {
    pub fn judge_push(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        let Verb::Push { dirs, .. } = case.verb else { return Ok(()) };
        let mut packages: Vec<Package> =
            world.packages.iter().filter(|package| dirs.is_empty() || dirs.contains(&package.dir)).cloned().collect();
        packages.sort_by_key(|package| match dirs.iter().position(|dir| *dir == package.dir) {
            Some(position) => (position, String::new()),
            None => (0, package.dir.clone()),
        });
        let mut remote = case.remote_before.clone();
        for package in &packages {
            let place = self.place(case.user, package);
            if place.unsettled.is_some()
                && let Some((state, result)) = case.result(&package.dir)
                && state == "pushed"
            {
                let commit = result["commit"].as_str().map(str::to_string);
                self.cut_short(case, &package.checkout, [(package.slice(), commit)]);
            }
        }
        for package in &packages {
            self.judge_one_push(world, case, package, &mut remote)?;
        }
        if case.run.code.is_some() && !case.is_faulty() {
            for package in &packages {
                self.is_as_pushed(world, case, &package.checkout)?;
            }
        }
        let named: BTreeSet<&String> = packages.iter().map(|package| &package.dir).collect();
        for package in world.packages.clone().iter().filter(|package| !named.contains(&package.dir)) {
            let file = format!("{}/assets.json", package.dir);
            if case.before.code.get(&file) != case.after.code.get(&file) {
                return Err(untrue("the code repo is untouched", format!("{file} changed; {}", case.words())));
            }
        }
        let expected = remote;
        if case.run.code.is_some() && !case.is_faulty() && expected != case.remote_after {
            let what = format!("the assets repo has {:?} instead of {expected:?}; {}", case.remote_after, case.words());
            let check = vec!["[ $RC = 0 ] || bad 'the assets repo was changed by a push that failed'".into()];
            return Err(Violation { promise: "a push changes exactly the pending paths", details: what, check });
        }
        Ok(())
    }

    fn start(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        remote: &BTreeMap<String, String>,
    ) -> Option<Start> {
        let place = self.place(case.user, package);
        let slice = package.slice();
        // Where a restore was cut short, the push has completed it.
        let before = case.result(&package.dir).and_then(|(_, result)| result["before"].as_str().map(str::to_string));
        let completed = before.filter(|commit| {
            place
                .unsettled
                .as_ref()
                .is_some_and(|possible| possible.get(&slice).is_some_and(|all| all.contains(commit)))
        });
        let mut shown = place.shown.clone();
        shown.extend(completed.map(|commit| (slice.clone(), commit)));
        let base = shown.get(&slice)?.clone();
        let tip = |branch: &str| remote.get(&format!("refs/heads/{branch}")).cloned();
        let mut tips = vec![tip(&package.target)];
        if case.is_faulty()
            && let Some(Fault::AtGit { what: Harm::Advance { branch, .. }, .. }) = case.fault
            && *branch == package.target
        {
            tips.push(world.labels.get(&format!("c{}", world.step)).cloned());
        }
        let pending = place.pending.iter().filter(|(path, _)| owner(&shown, path) == Some(&slice));
        Some(Start {
            is_loose: place.unsettled.is_some(),
            maybe: place.maybe.clone(),
            base,
            // Without a pin the branch is meant, and what is shown is of it.
            pin: self.pins[case.user]
                .get(&package.dir)
                .cloned()
                .flatten()
                .and_then(|_| self.pinned(world, case.user, package)),
            tips: if package.tag_form { vec![None] } else { tips },
            fallback: tip("main"),
            pending: pending.map(|(path, blob)| (path.clone(), blob.clone())).collect(),
            sent: place.sent.get(&slice).cloned().unwrap_or_default(),
            slice,
        })
    }

    fn judge_one_push(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        remote: &mut BTreeMap<String, String>,
    ) -> Result<(), Violation> {
        let (state, result) = match case.result(&package.dir) {
            Some((state, result)) => (state, result.clone()),
            None => (String::new(), serde_json::Value::Null),
        };
        let start = self.start(world, case, package, remote);
        let file = format!("{}/assets.json", package.dir);
        let same_manifest = case.before.code.get(&file) == case.after.code.get(&file);
        let ours = matches!(case.verb, Verb::Push { ours: true, .. });
        if state != "pushed" {
            self.look_at_cut_short_push(world, case, package, &start, remote)?;
        }
        match (state.as_str(), start) {
            ("pushed", Some(start)) => {
                let commit = result["commit"].as_str().unwrap_or_default().to_string();
                let name = match package.tag_form {
                    true => format!("refs/tags/{}", result["pin"].as_str().unwrap_or_default()),
                    false => format!("refs/heads/{}", package.target),
                };
                // Several packages may share a branch; the last one is there at the end.
                let there = case.remote_after.get(&name).cloned().unwrap_or_default();
                if !world.objects.is_ancestor(&commit, &there) {
                    return Err(untrue("the pin is on the remote", format!("{name} is {there:?}; {}", case.words())));
                }
                world.labels.insert(format!("p{}.{}", world.step, package.dir), commit.clone());
                self.pushed += 1;
                remote.insert(name, commit.clone());
                if package.tag_form {
                    world.tags.insert(result["pin"].as_str().unwrap_or_default().into(), commit.clone());
                }
                let finishes = result["files"].as_array().is_some_and(Vec::is_empty);
                if !finishes {
                    self.is_exact(world, case, package, &start, &commit)?;
                }
                self.move_pin(world, case, package, result["pin"].as_str().unwrap_or_default())?;
                self.show_pushed(world, case, package, &commit)
            }
            ("unchanged", Some(start)) => {
                let place = self.place(case.user, package);
                if !same_manifest {
                    return Err(untrue("a refusal changes nothing", format!("{file} changed; {}", case.words())));
                }
                if place.unsettled.is_some() {
                    return Ok(());
                }
                let left: Vec<&String> = start.pending.keys().collect();
                if !left.is_empty() {
                    let what = format!("nothing to push, but pending is {left:?}; {}", case.words());
                    return Err(Violation {
                        promise: "a push sends what is pending",
                        details: what,
                        check: vec![format!(
                            "(in_user {}; a push {} 2>&1 | grep 'nothing to push') && bad 'nothing to push'",
                            USERS[case.user], package.dir
                        )],
                    });
                }
                Ok(())
            }
            (_, start) => {
                if case.run.code.is_none() || case.is_faulty() {
                    self.cut_push_short(world, case, package, &start);
                    return Ok(());
                }
                if !same_manifest {
                    return Err(untrue("a refusal changes nothing", format!("{file} changed; {}", case.words())));
                }
                let place = self.place(case.user, package);
                let files = |seen: &crate::world::SeenUser| {
                    seen.checkouts.get(&package.checkout).map(|seen| seen.files.clone()).unwrap_or_default()
                };
                if place.unsettled.is_none() && dirs_of(case) == 1 && files(&case.before) != files(&case.after) {
                    return Err(changed(world, case, &package.checkout, &files(&case.before), &files(&case.after)));
                }
                let Some(start) = start else { return Ok(()) };
                if place.unsettled.is_some() || self.may_refuse_push(world, case, package, &start, ours) {
                    return self.names_what_is_gone(case, package);
                }
                let tips: Vec<String> = start.tips.iter().flatten().map(|tip| world.name(tip)).collect();
                let what = format!(
                    "a push has no reason to refuse: pending {:?}, shown {}, pin {:?}, tip {tips:?}",
                    start.pending.keys().collect::<Vec<_>>(),
                    world.name(&start.base),
                    start.pin.as_ref().map(|pin| world.name(pin)),
                );
                Err(Violation {
                    promise: "a push is refused for a reason only",
                    details: format!("{}: {what}\n  {}", package.dir, case.words()),
                    check: vec!["[ $RC = 0 ] || bad 'the push was refused without a reason'".into()],
                })
            }
        }
    }

    /// A push that was cut short may have reached the remote: what it left there must be exact too.
    fn look_at_cut_short_push(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        start: &Option<Start>,
        remote: &mut BTreeMap<String, String>,
    ) -> Result<(), Violation> {
        let Some(start) = start else { return Ok(()) };
        if !case.is_faulty() {
            return Ok(());
        }
        let prefix = format!("refs/tags/{}_", package.target);
        let new: Vec<(String, String)> = case
            .remote_after
            .iter()
            .filter(|(name, commit)| match package.tag_form {
                true => name.starts_with(&prefix) && !remote.contains_key(*name),
                false => **name == format!("refs/heads/{}", package.target) && remote.get(*name) != Some(commit),
            })
            .map(|(name, commit)| (name.clone(), commit.clone()))
            .collect();
        for (name, commit) in new {
            if Some(&commit) == world.labels.get(&format!("c{}", world.step)) || dirs_of(case) != 1 {
                continue;
            }
            world.labels.insert(format!("p{}.{}", world.step, package.dir), commit.clone());
            if package.tag_form {
                world.tags.insert(name.trim_start_matches("refs/tags/").into(), commit.clone());
            }
            self.is_exact(world, case, package, start, &commit)?;
            self.cut_short(case, &package.checkout, [(package.slice(), Some(commit.clone()))]);
            remote.insert(name, commit);
        }
        Ok(())
    }

    fn cut_push_short(&mut self, world: &mut World, case: &Case, package: &Package, start: &Option<Start>) {
        let Some(start) = start else { return };
        self.cut_short(case, &package.checkout, [(start.slice.clone(), Some(start.base.clone()))]);
        let place = self.places[case.user].entry(package.checkout.clone()).or_default();
        place.sent.entry(start.slice.clone()).or_default().push(start.pending.clone());
        // It may have come to the manifest before it was killed.
        let text = std::fs::read_to_string(manifest_file(world, case.user, package)).unwrap_or_default();
        let key = if package.tag_form { "\"Tag\": \"" } else { "\"SHA\": \"" };
        if let Some(pin) = text.split(key).nth(1).and_then(|rest| rest.split('"').next()) {
            self.pins[case.user].insert(package.dir.clone(), Some(pin.to_string()));
        }
    }

    /// The manifest has its new pin, and no other change.
    fn move_pin(&mut self, world: &mut World, case: &Case, package: &Package, pin: &str) -> Result<(), Violation> {
        let file = manifest_file(world, case.user, package);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let old = self.pins[case.user].get(&package.dir).cloned().flatten();
        let expected = manifest(world, package, Some(pin));
        if text != expected && old.is_some() {
            let what = format!("the manifest is now\n{text}\n  and not\n{expected}\n  {}", case.words());
            return Err(untrue("only the pin of the manifest changes", what));
        }
        if !text.contains(pin) {
            return Err(untrue(
                "only the pin of the manifest changes",
                format!("no {pin} in {text}; {}", case.words()),
            ));
        }
        self.pins[case.user].insert(package.dir.clone(), Some(pin.to_string()));
        Ok(())
    }

    /// After a push the slice is shown at the new commit, with nothing pending.
    fn show_pushed(
        &mut self,
        world: &mut World,
        case: &Case,
        package: &Package,
        commit: &str,
    ) -> Result<(), Violation> {
        let name = package.checkout.clone();
        let slice = package.slice();
        let place = self.places[case.user].entry(name.clone()).or_default();
        place.by_hand = None;
        place.sent.remove(&slice);
        if place.unsettled.is_some() {
            self.cut_short(case, &name, [(slice, Some(commit.to_string()))]);
            return self.settle(world, case, &name);
        }
        place.shown.insert(slice.clone(), commit.to_string());
        let shown = place.shown.clone();
        place.pending.retain(|path, _| owner(&shown, path) != Some(slice.as_str()));
        Ok(())
    }

    /// After the pushes of a command a work tree has what is shown, with what is pending of other packages.
    fn is_as_pushed(&mut self, world: &mut World, case: &Case, name: &str) -> Result<(), Violation> {
        let place = self.places[case.user].get(name).cloned().unwrap_or_default();
        if place.unsettled.is_some() {
            return Ok(());
        }
        let after = case.after.checkouts.get(name).cloned().unwrap_or_default();
        let base = composed(world, &place.shown, Some(&after));
        let mut expected = base.clone();
        for (path, blob) in &place.pending {
            match blob {
                Some(blob) => drop(expected.insert(path.clone(), blob.clone())),
                None => drop(expected.remove(path)),
            }
        }
        let real = self.within(world, name, &after.files);
        let mut differs = pending_of(&place.shown, &expected, &real);
        // A recording of no package gives way to what others have pushed above the slice.
        let entries = self.stashed(world, case, name);
        differs.retain(|path, _| {
            let mine = place.pending.get(path);
            let is_stashed = mine.is_some() && entries.iter().any(|(_, entry)| entry.get(path) == mine);
            owner(&place.shown, path).is_some() || !is_stashed
        });
        if !differs.is_empty() {
            let what =
                format!("after the push the work tree differs from what it should be: {differs:?}; {}", case.words());
            return Err(untrue("a push leaves the work tree as pushed", what));
        }
        self.places[case.user].entry(name.into()).or_default().pending = pending_of(&place.shown, &base, &real);
        Ok(())
    }
}

fn dirs_of(case: &Case) -> usize {
    match case.verb {
        Verb::Push { dirs, .. } => dirs.len(),
        _ => 0,
    }
}
