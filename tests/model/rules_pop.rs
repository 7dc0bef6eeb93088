//! What `stash pop` promises: the files of the newest entry are back, all others are as they were, and what they
//! replace is in an entry of its own.

use crate::objects::{Changes, changes};
use crate::ops::Verb;
use crate::oracle::{Case, Oracle, Violation, composed, is_below, pending_of, untrue};
use crate::rules_show::changed;
use crate::world::World;

impl Oracle {
    pub fn judge_pop(&mut self, world: &mut World, case: &Case) -> Result<(), Violation> {
        let Verb::Pop { dir, ours } = case.verb else { return Ok(()) };
        let Some(package) = world.package(dir).cloned() else { return Ok(()) };
        let (name, slice) = (package.checkout.clone(), package.slice());
        let place = self.place(case.user, &package);
        let seen = |seen: &crate::world::SeenUser| seen.checkouts.get(&name).cloned().unwrap_or_default();
        let (before, after) = (seen(&case.before), seen(&case.after));
        let mut entries: Vec<(String, u32, String)> = before.entries();
        entries.retain(|(of, ..)| *of == slice || of.is_empty());
        let gone: Vec<&(String, u32, String)> =
            entries.iter().filter(|entry| !after.entries().contains(entry)).collect();
        // What an entry has may be on disk from now on, whatever becomes of the command.
        let mut held = Changes::new();
        for (_, _, commit) in &entries {
            held.extend(world.objects.entry(commit));
        }
        if case.run.code.is_none() || (case.is_faulty() && case.run.code != Some(0)) {
            self.cut_short(case, &name, []);
            let place = self.places[case.user].entry(name).or_default();
            for (path, blob) in held {
                place.maybe.entry(path).or_default().insert(blob);
            }
            return Ok(());
        }
        let (old, new) = (self.within(world, &name, &before.files), self.within(world, &name, &after.files));
        if case.run.code != Some(0) {
            if place.unsettled.is_none() && before.files != after.files {
                return Err(changed(world, case, &name, &before.files, &after.files));
            }
            if entries.is_empty() || place.unsettled.is_some() || held.keys().any(|path| before.is_odd(path)) {
                return Ok(());
            }
            if case.run.code == Some(3) && self.pop_conflicts(world, &place, &entries, &old, *ours) {
                return Ok(());
            }
            let mut violation = match self.fails(world, case, &package, "stash pop has no reason to fail") {
                Err(violation) => violation,
                Ok(()) => return Ok(()),
            };
            violation.promise = "stash pop brings back";
            violation.check = vec!["[ $RC = 0 ] || bad 'stash pop does not work'".into()];
            return Err(violation);
        }
        let [popped] = gone[..] else {
            return Err(untrue(
                "stash pop brings back",
                format!("entries gone: {gone:?} of {entries:?}; {}", case.words()),
            ));
        };
        let newest_of_its_slice = entries.iter().filter(|(of, ..)| *of == popped.0).map(|(_, number, _)| *number).max();
        let is_newest = newest_of_its_slice == Some(popped.1) || place.unsettled.is_some();
        if !is_newest && !entries.iter().any(|(_, number, _)| *number == popped.1 + 1) {
            return Err(untrue(
                "stash pop brings back",
                format!("not the newest: {popped:?} of {entries:?}; {}", case.words()),
            ));
        }
        let entry = world.objects.entry(&popped.2);
        if place.unsettled.is_some() {
            let place = self.places[case.user].entry(name.clone()).or_default();
            for (path, blob) in held.into_iter().chain(entry) {
                place.maybe.entry(path).or_default().insert(blob);
            }
            return self.settle(world, case, &name);
        }
        let mut expected = old.clone();
        for (path, blob) in &entry {
            match blob {
                Some(blob) => {
                    expected.retain(|other, _| !is_below(path, other) && !is_below(other, path));
                    expected.insert(path.clone(), blob.clone());
                }
                None => drop(expected.remove(path)),
            }
        }
        let expected = self.within(world, &name, &expected);
        let differs = changes(&expected, &new);
        if !differs.is_empty() {
            let words: Vec<String> = differs
                .iter()
                .map(|(path, blob)| {
                    let say = |blob: Option<&String>| blob.map_or("absent".to_string(), |blob| world.say(blob));
                    format!("{path} is {}, and should be {}", say(blob.as_ref()), say(expected.get(path)))
                })
                .collect();
            let what = format!("{words:?}; the entry has {entry:?}; {}", case.words());
            return Err(untrue("stash pop brings back", what));
        }
        let base = composed(world, &place.shown, Some(&after));
        let place = self.places[case.user].entry(name).or_default();
        place.pending = pending_of(&place.shown, &base, &new);
        place.by_hand = None;
        Ok(())
    }

    /// Whether the files of the newest entry changed since it was made, here or by another pin.
    fn pop_conflicts(
        &mut self,
        world: &mut World,
        place: &crate::oracle::Place,
        entries: &[(String, u32, String)],
        disk: &crate::objects::Files,
        ours: bool,
    ) -> bool {
        let shown = composed(world, &place.shown, None);
        entries.iter().any(|(_, _, commit)| {
            let entry = world.objects.entry(commit);
            let parent =
                world.objects.commit(commit).and_then(|commit| commit.parents.first().cloned()).unwrap_or_default();
            let base = world.objects.files(&parent);
            entry.iter().any(|(path, blob)| {
                let on_disk = disk.get(path).cloned();
                let changed =
                    on_disk != *blob && (on_disk != base.get(path).cloned() || shown.get(path) != base.get(path));
                let clash = blob.is_some()
                    && disk.keys().any(|other| {
                        (is_below(path, other) || is_below(other, path)) && entry.get(other).is_none_or(Option::is_some)
                    });
                (changed && !ours) || clash
            })
        })
    }
}
