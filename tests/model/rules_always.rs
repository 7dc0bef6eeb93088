//! What every command promises: no recording is lost, nothing else changes, `status` is true, and a command that fails
//! has a reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::changes;
use crate::ops::{Fault, Harm, Verb};
use crate::oracle::{Case, Oracle, Violation, is_below, owner, untrue};
use crate::world::{Package, USERS, World};

impl Oracle {
    /// A note that names a ref says where its content is.
    pub fn note_told(&mut self, world: &mut World, case: &Case) {
        let said = format!("{} {}", case.run.stderr, case.run.json);
        for checkout in case.after.checkouts.values() {
            for (name, commit) in &checkout.refs {
                if said.contains(name.as_str()) {
                    self.told.extend(world.objects.files(commit).values().cloned());
                }
            }
        }
    }

    /// No recording that was pending, stashed or pushed before is nowhere afterwards.
    pub fn nothing_is_lost(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        let mut before: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |blob: &String, place: String| {
            if world.recorded.contains(blob) {
                before.entry(blob.clone()).or_insert(place);
            }
        };
        let mut commits: Vec<(String, String)> = Vec::new();
        for (name, checkout) in &case.before.checkouts {
            let place = self.places[case.user].get(name).cloned().unwrap_or_default();
            // What `git checkout` of a commit of the assets repo has written is no recording of this user.
            let is_downloaded = place.by_hand == Some("switch");
            let head = if is_downloaded { world.objects.files(&checkout.head) } else { Default::default() };
            for (path, blob) in place.pending {
                let is_recorded = blob.is_some() && (!is_downloaded || head.get(&path) != blob.as_ref());
                if is_recorded && checkout.files.get(&path) == blob.as_ref() {
                    add(checkout.files.get(&path).expect("it is there"), format!("pending as {path}"));
                }
            }
            for (slice, number, commit) in checkout.entries() {
                commits.push((commit, format!("stash entry {number} of {slice}")));
            }
        }
        for (commit, place) in commits {
            for blob in world.objects.entry(&commit).values().flatten() {
                if world.recorded.contains(blob) {
                    before.entry(blob.clone()).or_insert(place.clone());
                }
            }
        }
        for blob in reachable(world, &case.remote_before) {
            if world.recorded.contains(&blob) {
                before.entry(blob).or_insert("pushed".into());
            }
        }
        if case.run.wrote {
            let step = format!("{} step {} ", USERS[case.user], world.step);
            let written = world.written.iter().filter(|(_, words)| words.starts_with(&step));
            before.extend(written.map(|(blob, _)| (blob.clone(), "recorded while the command ran".to_string())));
        }
        self.commits_by_hand_are_kept(world, case)?;
        let mut there: BTreeSet<String> = reachable(world, &case.remote_after);
        there.extend(self.told.iter().cloned());
        for checkout in case.after.checkouts.values() {
            there.extend(checkout.files.values().cloned());
            for (_, _, commit) in checkout.entries() {
                there.extend(world.objects.entry(&commit).into_values().flatten());
            }
            // What the user has put under a ref of his own.
            let own =
                checkout.refs.iter().filter(|(name, _)| *name == "refs/stash" || name.starts_with("refs/heads/mine"));
            for commit in world.objects.history(own.map(|(_, commit)| commit)) {
                there.extend(world.objects.entry(&commit).into_values().flatten());
            }
        }
        let lost: Vec<(&String, &String)> = before.iter().filter(|(blob, _)| !there.contains(*blob)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let said: Vec<String> = lost.iter().map(|(blob, place)| format!("{}, {place}", world.say(blob))).collect();
        let aside = if case.after.aside.is_empty() { "" } else { " (there is a folder that was set aside as broken)" };
        let text = said[0].split('"').nth(1).unwrap_or_default();
        Err(Violation {
            promise: "nothing is lost",
            details: format!("{}\n  {} after {}", said.join("\n  "), "is nowhere".to_string() + aside, case.words()),
            check: vec![format!("is_kept {} '{text}' || bad 'lost: {text}'", USERS[case.user])],
        })
    }

    /// A commit made by hand in a checkout is in the history of a ref there. HEAD may also be at a commit that was
    /// downloaded, by `git checkout` or by a command of ours.
    fn commits_by_hand_are_kept(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        for (name, before) in &case.before.checkouts {
            let is_by_hand = world.objects.read(&before.head).is_some_and(|commit| commit.ends_with(b"\n\nby hand\n"));
            if !is_by_hand {
                continue;
            }
            let after = case.after.checkouts.get(name).cloned().unwrap_or_default();
            let tips: Vec<&String> = after.refs.values().chain([&after.head]).collect();
            if !world.objects.history(tips).contains(&before.head) {
                let what = format!("{}, committed by hand in {name}, is in no ref; {}", before.head, case.words());
                return Err(untrue("commits by hand are kept", what));
            }
        }
        Ok(())
    }

    /// Nothing changes but what the command is about.
    pub fn others_are_untouched(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        for user in (0..world.setup.users).filter(|user| *user != case.user) {
            let now = world.see(user);
            if now != self.seen[user] {
                return Err(untrue(
                    "others are untouched",
                    format!("the code repo of {} changed; {}", USERS[user], case.words()),
                ));
            }
        }
        let is_push = matches!(case.verb, Verb::Push { .. });
        let is_advanced = matches!(case.fault, Some(Fault::AtGit { what: Harm::Advance { .. }, .. }));
        if !is_push && !is_advanced && case.remote_before != case.remote_after {
            return Err(untrue("others are untouched", format!("the assets repo changed; {}", case.words())));
        }
        let manifests: BTreeSet<String> =
            world.packages.iter().map(|package| format!("{}/assets.json", package.dir)).collect();
        let changed = changes(&case.before.code, &case.after.code);
        let wrong: Vec<&String> = changed.keys().filter(|path| !is_push || !manifests.contains(*path)).collect();
        if !wrong.is_empty() {
            return Err(untrue("the code repo is untouched", format!("{wrong:?} changed; {}", case.words())));
        }
        Ok(())
    }

    /// `status` says what is true, where nothing is half done.
    pub fn status_is_true(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        for package in world.packages.clone() {
            let place = self.place(case.user, &package);
            let slice = package.slice();
            if place.unsettled.is_some() || place.by_hand.is_some() {
                continue;
            }
            let Some(said) = case.status.get(&package.dir) else {
                return Err(untrue("status is true", format!("`status` does not name {}", package.dir)));
            };
            if place.blind && said["state"] == "broken" {
                continue;
            }
            let shown = place.shown.get(&slice);
            let is_mine = |path: &str| match shown {
                Some(_) => owner(&place.shown, path) == Some(&slice),
                None => is_below(&slice, path) && owner(&place.shown, path).is_none_or(|owner| is_below(owner, &slice)),
            };
            let true_paths: BTreeSet<&str> =
                place.pending.keys().map(String::as_str).filter(|path| is_mine(path)).collect();
            let listed = said["pending"].as_array().cloned().unwrap_or_default();
            let said_paths: BTreeSet<&str> = listed.iter().filter_map(|change| change["path"].as_str()).collect();
            // A repository inside is one entry.
            let (folders, said_paths): (BTreeSet<&str>, BTreeSet<&str>) =
                said_paths.into_iter().partition(|path| path.ends_with('/'));
            let true_paths: BTreeSet<&str> =
                true_paths.into_iter().filter(|path| !folders.iter().any(|folder| path.starts_with(folder))).collect();
            let commit = said["commit"].as_str();
            let wrong = match () {
                () if true_paths != said_paths => format!("pending is {true_paths:?}, and it says {said_paths:?}"),
                () if commit != shown.map(String::as_str) => format!("shown is {shown:?}, and it says {commit:?}"),
                () => continue,
            };
            return Err(Violation {
                promise: "status is true",
                details: format!("{}: {wrong}\n  it says {said}\n  after {}", package.dir, case.words()),
                check: vec![format!(
                    "[ \"$(in_user {}; a --json status {} | grep -o '\"path\":\"[^\"]*\"' | cut -d'\"' -f4 | sort | tr '\\n' ' ')\" = '{}' ] || bad 'status is wrong'",
                    USERS[case.user],
                    package.dir,
                    true_paths.iter().map(|path| format!("{path} ")).collect::<String>()
                )],
            });
        }
        Ok(())
    }

    /// `stash list` and `gc` change no file.
    pub fn judge_look(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        for (name, before) in &case.before.checkouts {
            let place = self.places[case.user].get(name).cloned().unwrap_or_default();
            let same = case.after.checkouts.get(name).is_some_and(|after| after.files == before.files);
            if place.unsettled.is_none() && !same && !case.is_faulty() {
                return Err(untrue("a look changes nothing", format!("files of {name} changed; {}", case.words())));
            }
        }
        if let Verb::List { dir } = case.verb
            && let Some(package) = world.package(dir).cloned()
        {
            if case.run.code != Some(0) && !case.is_faulty() {
                return self.fails(world, case, &package, "stash list fails");
            }
            if case.run.code == Some(0) {
                self.settle(world, case, &package.checkout)?;
                let slice = package.slice();
                let listed = case.result(dir).map(|(_, result)| result["entries"].as_array().map_or(0, Vec::len));
                let there = case.after.checkouts.get(&package.checkout).map_or(0, |checkout| {
                    checkout.entries().iter().filter(|(of, ..)| *of == slice || of.is_empty()).count()
                });
                if listed.unwrap_or(0) != there {
                    return Err(untrue("stash list is true", format!("{there} entries, {}", case.words())));
                }
            }
        }
        if let Verb::Preview { dir } = case.verb
            && let Some((state, result)) = case.result(dir)
            && let Some(package) = world.package(dir).cloned()
        {
            let place = self.place(case.user, &package);
            let mine = place.pending.keys().filter(|path| owner(&place.shown, path) == Some(&package.slice()));
            let mine: BTreeSet<&str> = mine.map(String::as_str).collect();
            let said = result["files"].as_array().into_iter().flatten();
            let said: BTreeSet<&str> = said.filter_map(|file| file["path"].as_str()).collect();
            let is_known = place.unsettled.is_none() && place.by_hand.is_none();
            if state != "failed" && is_known && mine != said {
                return Err(untrue("a preview is true", format!("pending is {mine:?}; {}", case.words())));
            }
        }
        if *case.verb == Verb::Gc && case.run.code != Some(0) && !case.is_faulty() {
            return Err(untrue("gc works", case.words()));
        }
        Ok(())
    }

    /// Where a pinned tag is gone from the assets repo, the message names it.
    pub fn names_what_is_gone(&self, case: &Case, package: &Package) -> Result<(), Violation> {
        let tag = self.pins[case.user].get(&package.dir).cloned().flatten().filter(|_| package.tag_form);
        let Some(tag) = tag.filter(|tag| !self.remote.contains_key(&format!("refs/tags/{tag}"))) else { return Ok(()) };
        let error = case.result(&package.dir).map(|(_, result)| result["error"].to_string()).unwrap_or_default();
        // Or it says why the command was refused before the tag was looked for.
        let is_refused = ["pending", "not restored", "is not a plain file", "is in the way", "cannot be used"];
        match error.contains(&tag) || is_refused.iter().any(|words| error.contains(words)) {
            true => Ok(()),
            false => Err(untrue("a message names what is gone", format!("tag {tag}; {}", case.words()))),
        }
    }

    /// A command fails although the oracle sees no reason: says how far that goes.
    pub fn fails(&mut self, world: &mut World, case: &Case, package: &Package, what: &str) -> Result<(), Violation> {
        let dir = package.dir.clone();
        let user = case.user;
        let again = world.assets(user, &["restore".into(), dir.clone()], None, "");
        let reset = world.assets(user, &["reset".into(), "-y".into(), dir.clone()], None, "");
        let promise = match (again.code, reset.code) {
            (Some(0), _) if self.place(user, package).blind => {
                // Damaged twice, and healed by the second command.
                self.cut_short(case, &package.checkout, [(package.slice(), self.pinned(world, user, package))]);
                self.seen[user] = world.see(user);
                return Ok(());
            }
            (Some(0), _) => "a command works at once",
            (_, Some(0)) => "restore gets out",
            _ => "no state is stuck",
        };
        Err(Violation {
            promise,
            details: format!(
                "{what}: {}\n  after it `restore` ends with {:?}, then `reset -y` with {:?}",
                case.words(),
                again.code,
                reset.code
            ),
            check: vec!["[ $RC = 0 ] || bad 'a command fails without a reason'".into()],
        })
    }
}

/// Every blob that a ref of the assets repo leads to.
fn reachable(world: &mut World, refs: &BTreeMap<String, String>) -> BTreeSet<String> {
    let commits = world.objects.history(refs.values());
    commits.iter().flat_map(|commit| world.objects.files(commit).values().cloned().collect::<Vec<_>>()).collect()
}
