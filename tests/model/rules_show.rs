//! What restore, reset and checkout promise: the slice is shown exactly, what was pending is kept or stashed, nothing
//! else changes; and how a checkout is settled in which a command was cut short.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::{Changes, Files, changes};
use crate::ops::{Answer, Verb};
use crate::oracle::{Case, Oracle, Place, Violation, composed, is_below, owner, pending_of, untrue};
use crate::world::{Package, USERS, World};

/// One slice that a command is to show.
struct Target {
    package: Package,
    want: Option<String>,
}

impl Oracle {
    /// The commit that a pin means now; none if it means none.
    pub fn pinned(&self, world: &World, user: usize, package: &Package) -> Option<String> {
        match self.pins[user].get(&package.dir).cloned().flatten() {
            Some(pin) if package.tag_form => world.tags.get(&pin).cloned(),
            Some(pin) => Some(pin),
            None => {
                let tip = |branch: &str| self.remote.get(&format!("refs/heads/{branch}")).cloned();
                let own = if package.tag_form { None } else { tip(&package.target) };
                own.or_else(|| tip("main"))
            }
        }
    }

    pub fn judge_show(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        let targets = self.targets(world, case);
        let mut checkouts: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        for target in targets {
            checkouts.entry(target.package.checkout.clone()).or_default().push(target);
        }
        for (name, targets) in checkouts {
            self.judge_checkout(world, case, &name, &targets)?;
        }
        Ok(())
    }

    fn targets(&self, world: &World, case: &Case) -> Vec<Target> {
        let dirs = match case.verb {
            Verb::Restore { dirs, .. } | Verb::Reset { dirs, .. } => dirs.clone(),
            Verb::Checkout { dir, .. } => vec![dir.clone()],
            _ => Vec::new(),
        };
        let named = |package: &&Package| dirs.is_empty() || dirs.contains(&package.dir);
        let packages = world.packages.iter().filter(named).cloned();
        packages
            .map(|package| {
                let want = match case.verb {
                    Verb::Checkout { rev, .. } => crate::perform::resolve(world, rev),
                    _ => self.pinned(world, case.user, &package),
                };
                Target { package, want }
            })
            .collect()
    }

    fn judge_checkout(
        &mut self,
        world: &mut World,
        case: &Case,
        name: &str,
        targets: &[Target],
    ) -> Result<(), Violation> {
        let place = self.places[case.user].get(name).cloned().unwrap_or_default();
        let files_before = case.before.checkouts.get(name).map(|seen| seen.files.clone()).unwrap_or_default();
        let files_after = case.after.checkouts.get(name).map(|seen| seen.files.clone()).unwrap_or_default();
        let (before, after) = (self.within(world, name, &files_before), self.within(world, name, &files_after));
        let mut shown = place.shown.clone();
        let mut done = Vec::new();
        let mut failed = Vec::new();
        for target in targets {
            let state = case.result(&target.package.dir).map(|(state, _)| state).unwrap_or_default();
            match (&target.want, state.as_str()) {
                (Some(want), "restored" | "unchanged") => {
                    shown.insert(target.package.slice(), want.clone());
                    done.push(target);
                }
                _ => failed.push(target),
            }
        }
        if case.run.code.is_none() || (case.is_faulty() && !failed.is_empty()) {
            self.cut_short(case, name, targets.iter().map(|target| (target.package.slice(), target.want.clone())));
            return Ok(());
        }
        for target in &failed {
            let error = case.result(&target.package.dir).map(|(_, result)| result["error"].to_string());
            if self.may_refuse(case, &place, target) {
                self.names_what_is_gone(case, &target.package)?;
                continue;
            }
            let what = format!("{} of {} at {:?}: {error:?}", case.run.args[0], target.package.dir, target.want);
            return self.fails(world, case, &target.package, &what);
        }
        if done.is_empty() {
            if place.unsettled.is_none() && before != after {
                return Err(changed(world, case, name, &before, &after));
            }
            return Ok(());
        }
        if !failed.is_empty() {
            self.cut_short(case, name, failed.iter().map(|target| (target.package.slice(), target.want.clone())));
        }
        if place.unsettled.is_some() || !failed.is_empty() {
            if let Some(possible) = self.places[case.user].get_mut(name).and_then(|place| place.unsettled.as_mut()) {
                for (slice, commit) in &shown {
                    if done.iter().any(|target| target.package.slice() == *slice) {
                        possible.entry(slice.clone()).or_default().insert(commit.clone());
                    }
                }
            }
            self.settle(world, case, name)?;
            let settled = self.places[case.user].get(name).cloned().unwrap_or_default();
            for target in done.iter().filter(|_| settled.unsettled.is_none()) {
                if settled.shown.get(&target.package.slice()) != target.want.as_ref() {
                    return Err(wrong(case, &target.package, format!("shows {:?}", settled.shown), &[]));
                }
            }
            return Ok(());
        }
        let base = composed(world, &shown, case.after.checkouts.get(name));
        let differs = pending_of(&shown, &base, &after);
        let entries = self.stashed(world, case, name);
        for target in &done {
            self.judge_target(world, case, &place, target, &shown, &base, &differs, &entries)?;
        }
        let is_target = |path: &str| {
            owner(&shown, path).is_some_and(|owner| done.iter().any(|target| target.package.slice() == owner))
        };
        let outside = |changes: &Changes| -> Changes {
            let outside = changes.iter().filter(|(path, blob)| !is_target(path) && base.get(*path) != blob.as_ref());
            outside.map(|(path, blob)| (path.clone(), blob.clone())).collect()
        };
        let (is, mut should) = (outside(&differs), outside(&place.pending));
        // A recording of no package gives way to a file above the slices.
        should.retain(|path, blob| {
            let is_stashed = entries.iter().any(|(_, entry)| entry.get(path) == Some(blob));
            is.get(path) == Some(blob) || owner(&shown, path).is_some() || !is_stashed
        });
        if is != should {
            let what = format!("files of other packages: pending was {should:?}, and is {is:?}");
            return Err(wrong(case, &done[0].package, what, &[]));
        }
        let place = self.places[case.user].entry(name.into()).or_default();
        place.shown = shown;
        place.pending = differs;
        place.by_hand = None;
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn judge_target(
        &mut self,
        world: &mut World,
        case: &Case,
        place: &Place,
        target: &Target,
        shown: &BTreeMap<String, String>,
        base: &Files,
        differs: &Changes,
        entries: &[(String, Changes)],
    ) -> Result<(), Violation> {
        let slice = target.package.slice();
        let mine = |path: &str| owner(shown, path) == Some(slice.as_str());
        let of = |changes: &Changes| -> Changes {
            changes.iter().filter(|(path, _)| mine(path)).map(|(path, blob)| (path.clone(), blob.clone())).collect()
        };
        let pending = of(&place.pending);
        let real: Changes = pending
            .iter()
            .filter(|(path, blob)| base.get(*path) != blob.as_ref())
            .map(|(p, b)| (p.clone(), b.clone()))
            .collect();
        let kept = of(differs);
        let was = place.shown.get(&slice);
        let at_pin = was == target.want.as_ref();
        let old = composed(world, &place.shown, None);
        let tree = |files: &Files| -> Files {
            files.iter().filter(|(path, _)| mine(path)).map(|(path, blob)| (path.clone(), blob.clone())).collect()
        };
        let same = was.is_none() || tree(&old) == tree(base);
        let resets = matches!(case.verb, Verb::Reset { .. });
        let may_keep = !resets && (at_pin || same);
        let may_stash = resets || !at_pin || place.by_hand == Some("amend");
        // Git cannot hold some names: such a file may stay.
        let seen = case.after.checkouts.get(&target.package.checkout).cloned().unwrap_or_default();
        let is_left = |path: &String, blob: &Option<String>| seen.is_odd(path) && real.get(path) == Some(blob);
        let all_stashed = kept.iter().all(|(path, blob)| is_left(path, blob));
        if !(kept == real && may_keep || all_stashed && (may_stash || real.is_empty())) {
            let words: Vec<String> = kept
                .iter()
                .map(|(path, blob)| {
                    format!("{path} is {}", blob.as_ref().map_or("not there".into(), |blob| world.say(blob)))
                })
                .collect();
            let expected: Vec<String> = kept
                .keys()
                .map(|path| {
                    format!("{path} should be {}", base.get(path).map_or("absent".into(), |blob| world.say(blob)))
                })
                .collect();
            let what = format!(
                "differs from the pin: {words:?}, {expected:?}; pending before: {pending:?}; was at {:?}, now at {:?}",
                was.map(|commit| world.name(commit)),
                target.want.as_ref().map(|commit| world.name(commit))
            );
            let paths: Vec<(String, Option<String>)> = kept
                .keys()
                .map(|path| (path.clone(), base.get(path).map(|blob| world.say(blob).trim_matches('"').to_string())))
                .collect();
            return Err(wrong(case, &target.package, what, &paths));
        }
        let real: Changes = real.into_iter().filter(|(path, _)| !kept.contains_key(path)).collect();
        if real.is_empty() {
            return Ok(());
        }
        // All of it is in a stash entry, and said to be.
        for (path, blob) in &real {
            let is_in = |(of, changes): &(String, Changes)| {
                (of.is_empty() || *of == slice || is_below(of, &slice)) && changes.get(path) == Some(blob)
            };
            if entries.iter().any(is_in) {
                continue;
            }
            let what = format!("{path}, pending before, is neither there nor in a stash entry; {entries:?}");
            match (place.by_hand, blob) {
                (None, _) => return Err(wrong(case, &target.package, what, &[])),
                (Some("commit" | "amend"), Some(blob)) if !self.told.contains(blob) => {
                    return Err(untrue("commits by hand are kept", format!("{what}; {}", case.words())));
                }
                _ => {}
            }
        }
        // A package around it may have said it.
        let results = case.run.json["results"].as_array().into_iter().flatten();
        let said = results.flat_map(|result| result["put_aside"].as_array().into_iter().flatten());
        let said: BTreeSet<&str> = said.filter_map(|file| file["path"].as_str()).collect();
        let real: BTreeSet<&str> = real.keys().map(String::as_str).collect();
        let is_said =
            |path: &&str| said.iter().any(|said| said == path || said.ends_with('/') && path.starts_with(said));
        let is_noted = case.run.stderr.contains("note: stashed");
        if !real.iter().all(is_said) && !is_noted && place.by_hand.is_none() {
            return Err(wrong(case, &target.package, format!("stashed {real:?} and said {said:?}"), &[]));
        }
        Ok(())
    }

    /// Whether a command has a reason not to show a slice.
    fn may_refuse(&mut self, case: &Case, place: &Place, target: &Target) -> bool {
        let slice = target.package.slice();
        let Some(want) = &target.want else { return true };
        if target.package.tag_form
            && let Some(Some(tag)) = self.pins[case.user].get(&target.package.dir)
            && !self.remote.contains_key(&format!("refs/tags/{tag}"))
        {
            return true;
        }
        let seen = case.before.checkouts.get(&target.package.checkout).cloned().unwrap_or_default();
        if place.pending.keys().any(|path| seen.is_odd(path)) || !seen.nested.is_empty() {
            return true;
        }
        let mut shown = place.shown.clone();
        shown.insert(slice.clone(), want.clone());
        let is_pending = place.pending.keys().any(|path| owner(&shown, path) == Some(&slice));
        let keeps = match case.verb {
            Verb::Restore { answer, .. } => *answer == Answer::Keep,
            Verb::Checkout { answer, .. } => matches!(answer, Answer::Keep | Answer::None),
            Verb::Reset { yes, .. } => !yes,
            _ => false,
        };
        let is_loose = place.pending.keys().any(|path| owner(&place.shown, path).is_none());
        keeps && (is_pending || is_loose || place.unsettled.is_some()) && case.run.code == Some(3)
    }

    /// The stash entries of a checkout: their slices, and what they hold.
    pub fn stashed(&self, world: &mut World, case: &Case, name: &str) -> Vec<(String, Changes)> {
        let entries = case.after.checkouts.get(name).map(|seen| seen.entries()).unwrap_or_default();
        entries.into_iter().map(|(slice, _, commit)| (slice, world.objects.entry(&commit))).collect()
    }

    /// Notes that a command was cut short: each slice is where it was or where it was to go.
    pub fn cut_short(&mut self, case: &Case, name: &str, targets: impl IntoIterator<Item = (String, Option<String>)>) {
        let place = self.places[case.user].entry(name.into()).or_default();
        let possible = place.unsettled.get_or_insert_default();
        for (slice, commit) in targets {
            possible.entry(slice).or_default().extend(commit);
        }
    }

    /// A command has succeeded in a checkout where one was cut short: every slice is at one of the possible commits, with
    /// nothing but what the user has pending.
    pub fn settle(&mut self, world: &mut World, case: &Case, name: &str) -> Result<(), Violation> {
        let place = self.places[case.user].get(name).cloned().unwrap_or_default();
        let Some(possible) = &place.unsettled else { return Ok(()) };
        let after = case.after.checkouts.get(name);
        if after.is_some_and(|after| after.refs.get("refs/assets/shown") != Some(&after.head)) {
            // HEAD is still where somebody has moved it.
            return Ok(());
        }
        // Where there was nothing to do, nothing was looked at.
        let is_broken = |package: &&Package| {
            package.checkout == name && case.status.get(&package.dir).is_some_and(|said| said["state"] == "broken")
        };
        if place.blind && world.packages.iter().any(|package| is_broken(&package)) {
            return Ok(());
        }
        let mut shown = BTreeMap::new();
        for package in world.packages.clone().iter().filter(|package| package.checkout == name) {
            let slice = package.slice();
            let commit = case.status.get(&package.dir).and_then(|said| said["commit"].as_str()).map(str::to_string);
            let old = place.shown.get(&slice);
            let allowed = commit.as_ref() == old
                || commit
                    .as_ref()
                    .is_some_and(|commit| possible.get(&slice).is_some_and(|commits| commits.contains(commit)));
            if !allowed {
                let what = format!("{slice} is at {commit:?}, was at {old:?}, may be at {possible:?}");
                return Err(wrong(case, package, what, &[]));
            }
            shown.extend(commit.map(|commit| (slice, commit)));
        }
        let files = case.after.checkouts.get(name).map(|seen| seen.files.clone()).unwrap_or_default();
        let base = composed(world, &shown, case.after.checkouts.get(name));
        let differs = pending_of(&shown, &base, &self.within(world, name, &files));
        for (path, blob) in &differs {
            let may_be = place.maybe.get(path).is_some_and(|maybe| maybe.contains(blob));
            if place.pending.get(path) != Some(blob) && !may_be {
                let is = blob.as_ref().map_or("not there".to_string(), |blob| world.say(blob));
                let package = world.packages.iter().find(|package| is_below(&package.slice(), path)).cloned();
                let what = format!(
                    "a command was cut short; now {path} is {is}, which nobody has recorded there; shown {shown:?}"
                );
                let package = package.expect("it is within a slice");
                let expected = base.get(path).map(|blob| world.say(blob).trim_matches('"').to_string());
                return Err(wrong(case, &package, what, &[(path.clone(), expected)]));
            }
        }
        let place = self.places[case.user].entry(name.into()).or_default();
        place.shown = shown;
        place.pending = differs;
        place.unsettled = None;
        place.maybe.clear();
        place.by_hand = None;
        Ok(())
    }
}

/// A violation of "restore shows exactly the pin".
fn wrong(case: &Case, package: &Package, what: String, paths: &[(String, Option<String>)]) -> Violation {
    Violation {
        promise: "restore shows exactly the pin",
        details: format!("{}: {what}\n  after {}", package.dir, case.words()),
        check: check_files(case.user, &package.checkout, paths),
    }
}

/// Lines of bash that fail where a file has not the expected content, given in words.
pub fn check_files(user: usize, checkout: &str, paths: &[(String, Option<String>)]) -> Vec<String> {
    let folder = format!("{}/code/.assets/{checkout}", USERS[user]);
    let check = |(path, expected): &(String, Option<String>)| match expected {
        Some(text) => format!("grep -qF '{text}' \"$LAB/{folder}/{path}\" || bad '{path} is not \"{text}\"'"),
        None => format!("[ ! -e \"$LAB/{folder}/{path}\" ] || bad '{path} should not be there'"),
    };
    paths.iter().map(check).collect()
}

/// A command that refused has changed files of a checkout.
pub fn changed(world: &World, case: &Case, checkout: &str, before: &Files, after: &Files) -> Violation {
    let changes = changes(before, after);
    let say = |blob: Option<&String>| blob.map(|blob| world.say(blob).trim_matches('"').to_string());
    let was: Vec<(String, Option<String>)> = changes.keys().map(|path| (path.clone(), say(before.get(path)))).collect();
    let words: Vec<String> = changes
        .iter()
        .map(|(path, blob)| format!("{path} was {:?}, and is {:?}", say(before.get(path)), say(blob.as_ref())))
        .collect();
    Violation {
        promise: "a refusal changes nothing",
        details: format!("{words:?}; {}", case.words()),
        check: check_files(case.user, checkout, &was),
    }
}
