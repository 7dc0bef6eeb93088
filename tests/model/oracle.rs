//! The oracle: plain maps of what every user shows and has pending, and the promises that hold whatever the command.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::objects::{Changes, Files, changes};
use crate::ops::{Fault, Op, Verb};
use crate::perform::{Performed, Pins, perform};
use crate::world::{Package, Run, SeenCheckout, SeenUser, USERS, World};

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    pub promise: &'static str,
    /// All of it, in words.
    pub details: String,
    /// Lines of bash that end with 1 while the promise is broken.
    pub check: Vec<String>,
}

impl Violation {
    /// What tells one defect from another that breaks the same promise: the words of the error without names and numbers.
    pub fn kind(&self) -> String {
        let error = self.details.split("error:").nth(1).or(self.details.split("fatal:").nth(1)).unwrap_or_default();
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic() || ".,;".contains(c));
        let words: Vec<&str> = error.split_whitespace().filter(is_word).take(6).collect();
        format!("{} {}", self.promise, words.join(" "))
    }
}

/// What a checkout shows and what its user has pending there.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The commit of each slice that is shown.
    pub shown: BTreeMap<String, String>,
    /// Recordings that no push has sent and no stash entry holds: the difference to what is shown.
    pub pending: Changes,
    /// A command was cut short here, or HEAD was moved: where each slice may be. The next command that succeeds settles it.
    pub unsettled: Option<BTreeMap<String, BTreeSet<String>>>,
    /// What a file may be besides, while it is not settled.
    pub maybe: BTreeMap<String, BTreeSet<Option<String>>>,
    /// Somebody committed here by hand, and no command has taken it back yet.
    pub by_hand: Option<&'static str>,
    /// Its index or its store was taken away: `status` only reads, and cannot tell what is pending.
    pub blind: bool,
    /// What pushes that were cut short may have sent, by slice.
    pub sent: BTreeMap<String, Vec<Changes>>,
}

/// All that the oracle knows.
pub struct Oracle {
    pub pins: Vec<Pins>,
    pub places: Vec<BTreeMap<String, Place>>,
    pub seen: Vec<SeenUser>,
    pub remote: BTreeMap<String, String>,
    /// Contents that a message of a command has said the place of.
    pub told: BTreeSet<String>,
    pub pushed: usize,
}

/// One command, with all that was there before and is there after it.
pub struct Case<'a> {
    pub user: usize,
    pub verb: &'a Verb,
    pub fault: Option<&'a Fault>,
    pub run: Run,
    pub before: SeenUser,
    pub after: SeenUser,
    pub remote_before: BTreeMap<String, String>,
    pub remote_after: BTreeMap<String, String>,
    /// What `status --all --json` says afterwards, by package.
    pub status: BTreeMap<String, Value>,
}

impl Case<'_> {
    /// The result of a package: its state, and the whole of it.
    pub fn result(&self, dir: &str) -> Option<(String, &Value)> {
        let name = format!("{dir}/assets.json");
        let results = self.run.json["results"].as_array()?;
        let result = results.iter().find(|result| result["manifest"] == name.as_str())?;
        Some((result["state"].as_str().unwrap_or_default().to_string(), result))
    }

    /// What the command said, in short.
    pub fn words(&self) -> String {
        let mut errors: Vec<String> = Vec::new();
        for result in self.run.json["results"].as_array().into_iter().flatten() {
            let error = &result["error"];
            if !error.is_null() {
                errors.push(format!(
                    "{}: {} {} {}",
                    result["manifest"], error["message"], error["causes"], error["hints"]
                ));
            }
        }
        if !self.run.json["error"].is_null() {
            errors.push(self.run.json["error"].to_string());
        }
        format!(
            "`assets {}` ended with {:?}\n    {}\n    {}",
            self.run.args.join(" "),
            self.run.code,
            errors.join("\n    "),
            self.run.stderr.trim().replace('\n', "\n    ")
        )
    }

    /// Whether something went wrong that the test did.
    pub fn is_faulty(&self) -> bool {
        self.fault.is_some() && self.run.struck
    }
}

/// The deepest of some slices that holds a path.
pub fn owner<'a, T>(slices: &'a BTreeMap<String, T>, path: &str) -> Option<&'a str> {
    let above = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
    above.filter_map(|folder| slices.get_key_value(folder)).map(|(slice, _)| slice.as_str()).next()
}

pub fn is_below(slice: &str, path: &str) -> bool {
    path.strip_prefix(slice).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a path is a file in a folder above a shown slice: it is shown too, and belongs to none.
pub fn is_above<T>(shown: &BTreeMap<String, T>, path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    owner(shown, path).is_none() && shown.keys().any(|slice| is_below(folder, slice))
}

/// What a checkout shows when nothing is pending: each file as its slice's commit has it, and those above slices as the
/// commit has them that the checkout says it shows.
pub fn composed(world: &mut World, shown: &BTreeMap<String, String>, seen: Option<&SeenCheckout>) -> Files {
    let mut files = Files::new();
    if let Some(whole) = seen.and_then(|seen| seen.refs.get("refs/assets/shown")) {
        let whole = world.objects.files(whole);
        let is_in_slice = |path: &str| world.packages.iter().any(|package| is_below(&package.slice(), path));
        let above = whole.iter().filter(|(path, _)| is_above(shown, path) && is_in_slice(path));
        files.extend(above.map(|(path, blob)| (path.clone(), blob.clone())));
    }
    for (slice, commit) in shown {
        for (path, blob) in world.objects.files(commit).iter() {
            if is_below(slice, path) && owner(shown, path) == Some(slice) {
                files.insert(path.clone(), blob.clone());
            }
        }
    }
    files
}

/// What is pending where `files` are on disk and `base` would be without any change. Files above slices are no package's:
/// that one of them is gone is nobody's deletion.
pub fn pending_of(shown: &BTreeMap<String, String>, base: &Files, files: &Files) -> Changes {
    let mut pending = changes(base, files);
    pending.retain(|path, blob| blob.is_some() || owner(shown, path).is_some());
    pending
}

impl Oracle {
    pub fn new(world: &World) -> Oracle {
        let users = world.setup.users;
        Oracle {
            pins: vec![Pins::new(); users],
            places: vec![BTreeMap::new(); users],
            seen: (0..users).map(|user| world.see(user)).collect(),
            remote: BTreeMap::new(),
            told: BTreeSet::new(),
            pushed: 0,
        }
    }

    pub fn place(&self, user: usize, package: &Package) -> Place {
        self.places[user].get(&package.checkout).cloned().unwrap_or_default()
    }

    /// The files of a checkout that are below the slice of a package.
    pub fn within(&self, world: &World, checkout: &str, files: &Files) -> Files {
        let slices: Vec<String> =
            world.packages.iter().filter(|package| package.checkout == checkout).map(Package::slice).collect();
        let is_inside = |path: &String| slices.iter().any(|slice| is_below(slice, path));
        files.iter().filter(|(path, _)| is_inside(path)).map(|(path, blob)| (path.clone(), blob.clone())).collect()
    }

    /// Does an operation and looks whether every promise was kept.
    pub fn step(&mut self, world: &mut World, op: &Op) -> Result<(), Violation> {
        // What git brings back of a package that is not shown is no recording.
        if let Op::Revert { user, dir, .. } = op
            && !world
                .package(dir)
                .is_some_and(|package| self.place(*user, package).shown.contains_key(&package.slice()))
        {
            return Ok(());
        }
        let mut pins = std::mem::take(&mut self.pins);
        let performed = perform(world, &mut pins, op);
        self.pins = pins;
        match (performed, op) {
            (Performed::Nothing, _) => Ok(()),
            (Performed::Ran(run), Op::Run { user, verb, fault }) => self.judge(world, *user, verb, fault.as_ref(), run),
            (_, op) => {
                self.look(world, op);
                Ok(())
            }
        }
    }

    /// Takes in what an operation that is no command of `assets` has changed.
    fn look(&mut self, world: &mut World, op: &Op) {
        self.remote = world.remote_refs();
        if let Op::CacheGone { user: owner } = op {
            world.objects.look_again();
            for user in (0..world.setup.users).filter(|user| user == owner || world.setup.shared_cache) {
                self.places[user].values_mut().for_each(|place| place.blind = true);
            }
        }
        if let Op::Package { .. } = op {
            for user in 0..world.setup.users {
                self.seen[user] = world.see(user);
            }
        }
        let Some(user) = op.user() else { return };
        let before = std::mem::replace(&mut self.seen[user], world.see(user));
        let after = self.seen[user].clone();
        // A checkout that its user has removed.
        self.places[user].retain(|name, _| after.checkouts.contains_key(name));
        for (name, checkout) in &after.checkouts {
            let mut place = self.places[user].get(name).cloned().unwrap_or_default();
            let files = self.within(world, name, &checkout.files);
            if let Op::Hand { dir, what, .. } = op
                && world.package(dir).is_some_and(|package| package.checkout == *name)
            {
                match what.as_str() {
                    "commit" => place.by_hand = place.by_hand.or(Some("commit")),
                    "amend" => place.by_hand = Some("amend"),
                    "index-gone" | "head-gone" => place.blind = true,
                    // It fails in a checkout that git cannot use.
                    _ if what.starts_with("switch ")
                        && before.checkouts.get(name).is_some_and(|before| before.head != checkout.head) =>
                    {
                        // What git writes there is no recording, but from here it looks like one.
                        let commit = checkout.head.clone();
                        let moved =
                            changes(&composed(world, &place.shown, Some(checkout)), &world.objects.files(&commit));
                        let slices = place.shown.clone();
                        place.pending.extend(moved.into_iter().filter(|(path, _)| owner(&slices, path).is_some()));
                        place.unsettled.get_or_insert_default();
                        place.by_hand = Some("switch");
                        self.places[user].insert(name.clone(), place);
                        continue;
                    }
                    _ => {}
                }
            }
            // Recorded where nothing is restored yet: there is no checkout, and all of it is pending.
            if place.unsettled.is_none() {
                place.pending = pending_of(&place.shown, &composed(world, &place.shown, Some(checkout)), &files);
            } else {
                let old =
                    before.checkouts.get(name).map(|old| self.within(world, name, &old.files)).unwrap_or_default();
                place.pending.extend(changes(&old, &files));
            }
            self.places[user].insert(name.clone(), place);
        }
    }

    fn judge(
        &mut self,
        world: &mut World,
        user: usize,
        verb: &Verb,
        fault: Option<&Fault>,
        run: Run,
    ) -> Result<(), Violation> {
        if run.wrote {
            self.take_in_written(world, user);
        }
        let after = world.see(user);
        let before = std::mem::replace(&mut self.seen[user], after.clone());
        let remote_after = world.remote_refs();
        let remote_before = std::mem::replace(&mut self.remote, remote_after.clone());
        let status = self.status(world, user);
        let case = Case { user, verb, fault, run, before, after, remote_before, remote_after, status };
        self.note_told(world, &case);
        self.nothing_is_lost(world, &case)?;
        self.others_are_untouched(world, &case)?;
        match verb {
            Verb::Restore { .. } | Verb::Reset { .. } | Verb::Checkout { .. } => self.judge_show(world, &case)?,
            Verb::Push { .. } => self.judge_push(world, &case)?,
            Verb::Pop { .. } => self.judge_pop(world, &case)?,
            Verb::List { .. } | Verb::Preview { .. } | Verb::Gc => self.judge_look(world, &case)?,
        }
        self.status_is_true(world, &case)
    }

    /// The recordings that a test wrote while a command ran are pending from then on.
    fn take_in_written(&mut self, world: &World, user: usize) {
        for (blob, words) in &world.written {
            let Some((head, path)) =
                words.rsplit_once(' ').filter(|_| words.contains(&format!("step {} ", world.step)))
            else {
                continue;
            };
            if !head.starts_with(USERS[user]) {
                continue;
            }
            for package in &world.packages {
                if is_below(&package.slice(), path) {
                    let place = self.places[user].entry(package.checkout.clone()).or_default();
                    // A push may have taken what was there before.
                    let old = place.pending.insert(path.into(), Some(blob.clone()));
                    place.maybe.entry(path.into()).or_default().extend(old);
                    place.unsettled.get_or_insert_default();
                }
            }
        }
    }

    /// What `status` says of every package.
    fn status(&self, world: &mut World, user: usize) -> BTreeMap<String, Value> {
        let run = world.assets(user, &["status".into(), "--all".into()], None, "");
        let results = run.json["results"].as_array().cloned().unwrap_or_default();
        let dir = |result: &Value| {
            result["manifest"].as_str().unwrap_or_default().trim_end_matches("/assets.json").to_string()
        };
        results.into_iter().map(|result| (dir(&result), result)).collect()
    }
}

pub fn untrue(promise: &'static str, details: String) -> Violation {
    Violation { promise, details, check: Vec::new() }
}
