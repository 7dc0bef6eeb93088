//! The manifests of one checkout: what they want, and showing it when it is there.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::{Answer, Cost, Policy, Restored, decide, make_slice_folder};
use crate::error::{AtPath, Error, Result};
use crate::git::nested;
use crate::git::objects::Objects;
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath, one_line};
use crate::ops::apply::{self, Building, InTheWay, PathSet, Transition};
use crate::ops::enter::{enter, head_for, pending_of_each, shown_pin};
use crate::ops::plan::{OnPending, Refusal, Seen, Step};
use crate::ops::{Context, Outcome, breadcrumb, join, stash};
use crate::report::{self, Ended};
use crate::store::checkout::{self, Checkout};
use crate::store::composite::{Shown, Slices, slices_inside};
use crate::store::journal;
use crate::store::listing::{self, Listing};
use crate::store::surface::is_at_pin;
use crate::store::{Ready, Store, Want};
use crate::units::count;

/// The manifests of one checkout.
pub struct Group<'a> {
    context: &'a Context,
    manifests: &'a [Manifest],
    /// Which of the manifests are in this checkout.
    indexes: Vec<usize>,
    policy: Policy,
    checkout: Checkout,
}

/// A slice whose objects are all in the store.
pub struct Arrived {
    pub index: usize,
    pub ready: Ready,
    /// How long that took.
    pub after: Duration,
}

/// A slice that is to be shown, with all that was found out about it.
struct Target {
    arrived: Arrived,
    before: Option<Oid>,
    pending: Vec<Change>,
    /// Files on disk of a slice that is not shown yet, just as HEAD has them.
    unchanged: Vec<String>,
    steps: Vec<Step>,
}

/// What the change of a checkout stashed, by slice.
type Stashed = BTreeMap<RepoPath, Vec<Change>>;

/// What is taken out of the way of some targets.
#[derive(Default)]
struct PutAside {
    /// Files that become as the pins have them.
    paths: Vec<String>,
    /// Where their contents are now: in an entry or in HEAD.
    stored: HashMap<String, Option<Oid>>,
    /// The stash entries.
    entries: Vec<Oid>,
    /// Pending changes that stay.
    kept: Vec<Change>,
    stashed: Stashed,
}

/// Answers for some of the manifests, by their indexes.
pub type Answers = Vec<(usize, Answer)>;

impl<'a> Group<'a> {
    pub fn new(
        context: &'a Context,
        manifests: &'a [Manifest],
        indexes: Vec<usize>,
        policy: Policy,
    ) -> Result<Group<'a>> {
        let first = indexes.first().map(|&index| &manifests[index]).ok_or_else(|| Error::failed("no manifest"))?;
        let mut checkout = context.checkout_before_vouching(first)?;
        if indexes.len() > 1 {
            checkout.repo.git = checkout.repo.git.about(first.repo_name(), "several");
        }
        Ok(Group { context, manifests, indexes, policy, checkout })
    }

    pub fn store(&self) -> &Store {
        &self.checkout.store
    }

    /// Every slice of this group that is to be downloaded. What will be refused anyway is answered before. Adds the
    /// objects that the checkout has and the store may not have.
    pub fn wants(&self, also_objects: &mut Vec<PathBuf>, answers: &mut Answers) -> Vec<(usize, Want)> {
        match self.try_to_want(also_objects, answers) {
            Ok(wants) => wants,
            Err(error) => {
                answers.extend(self.indexes.iter().map(|&index| (index, Err(error.clone()))));
                Vec::new()
            }
        }
    }

    fn try_to_want(&self, also_objects: &mut Vec<PathBuf>, answers: &mut Answers) -> Result<Vec<(usize, Want)>> {
        let refused = if self.checkout.exists()? {
            self.refuse_early()?
        } else {
            checkout::prepare_folder(&self.checkout.folder)?;
            Answers::new()
        };
        let is_open = |index: &usize| !refused.iter().any(|(refused, _)| refused == index);
        let open = self.indexes.iter().copied().filter(is_open);
        let wants = open.map(|index| Ok((index, self.want(&self.manifests[index])?))).collect::<Result<_>>()?;
        also_objects.extend(self.checkout.own_objects()?);
        answers.extend(refused);
        Ok(wants)
    }

    /// The failure of a download, for one of the manifests.
    pub fn failed(&self, index: usize, error: Error) -> Error {
        error.context(format!("cannot restore `{}`", self.manifests[index].path))
    }

    /// Shows slices that have arrived, all in one change of the work tree.
    pub fn show(&self, arrived: Vec<Arrived>) -> Answers {
        let indexes: Vec<usize> = arrived.iter().map(|arrived| arrived.index).collect();
        let mut answers = Answers::new();
        if let Err(error) = self.try_to_show(arrived, &mut answers) {
            let open = |index: &usize| !answers.iter().any(|(answered, _)| answered == index);
            let failed: Answers = indexes.into_iter().filter(open).map(|index| (index, Err(error.clone()))).collect();
            answers.extend(failed);
        }
        answers
    }

    fn try_to_show(&self, arrived: Vec<Arrived>, answers: &mut Answers) -> Result<()> {
        let started = Instant::now();
        self.context.vouch_for_git()?;
        let _lock = self.checkout.lock()?;
        let mut objects = match self.checkout.exists()? {
            true => enter(&self.checkout)?,
            false => None,
        };
        if let Some(objects) = &mut objects {
            self.ensure_visible(&arrived, objects)?;
        }
        let targets = self.plan(arrived, objects.as_mut(), answers)?;
        let moving: Vec<&Target> = targets.iter().filter(|target| !target.steps.is_empty()).collect();
        let mut stashed = Stashed::new();
        if !moving.is_empty() {
            stashed = self.change(&moving, objects)?;
        }
        for target in targets {
            let stashed = stashed.remove(&self.manifests[target.arrived.index].slice).unwrap_or_default();
            answers.push((target.arrived.index, self.done(target, stashed, started).map(Outcome::Done)));
        }
        Ok(())
    }

    /// Downloads the commits that arrived in the objects of another checkout: this one does not see them.
    fn ensure_visible(&self, arrived: &[Arrived], objects: &mut Objects) -> Result<()> {
        let commits: Vec<&str> = arrived.iter().map(|arrived| arrived.ready.commit.as_str()).collect();
        if objects.infos(&commits)?.iter().all(Option::is_some) {
            return Ok(());
        }
        let slices = arrived
            .iter()
            .map(|arrived| (self.manifests[arrived.index].slice.clone(), arrived.ready.commit.clone()))
            .collect();
        apply::fetch_all(&self.checkout, &slices)
    }

    /// Reports the phases of a slice that is shown now.
    fn tell(&self, manifest: &Manifest, cost: &Cost) {
        let report = self.checkout.repo.git.report().about(manifest.repo_name(), &manifest.path);
        let now = SystemTime::now();
        for (what, before, took) in
            [("fetch", cost.checkout + cost.fetch, cost.fetch), ("checkout", cost.checkout, cost.checkout)]
        {
            let start = now.checked_sub(before).unwrap_or(now);
            report.ended(&Ended { what, start, took, kind: report::Work::Phase, bytes: cost.bytes });
        }
    }

    /// Refuses what will be refused whatever the pins hold, before anything is downloaded: a reset that is not confirmed.
    /// Whether a restore has pending changes in its way is only known when the objects are here.
    fn refuse_early(&self) -> Result<Answers> {
        let mut refused = Answers::new();
        let is_unconfirmed = matches!(self.policy, Policy::Reset { confirmed: false });
        // An interrupted change and foreign attributes are put right under the lock.
        if !is_unconfirmed
            || journal::is_interrupted(&self.checkout.git_dir)?
            || self.checkout.has_foreign_attributes()?
        {
            return Ok(refused);
        }
        self.checkout.check_is_ours()?;
        let slices: Vec<&RepoPath> = self.indexes.iter().map(|&index| &self.manifests[index].slice).collect();
        // Damage is found and repaired later, under the lock.
        let Ok(pending) = pending_of_each(&self.checkout, &slices) else { return Ok(refused) };
        for (&index, pending) in self.indexes.iter().zip(pending) {
            if !pending.is_empty() {
                let pending = pending.into_iter().map(|change| change.path).collect();
                refused.push((index, Ok(Outcome::Refused(Refusal::MustConfirm { pending }))));
            }
        }
        Ok(refused)
    }

    fn want(&self, manifest: &Manifest) -> Result<Want> {
        let pin = match (manifest.pin(), self.checkout.pin(&manifest.slice)?) {
            // Offline the tip is where it was last seen.
            (Pin::Tip { .. }, Some(shown)) if self.context.offline => Pin::Commit(shown),
            (pin, _) => pin,
        };
        Ok(Want { pin, slice: manifest.slice.clone(), advice: manifest.pin_advice() })
    }

    /// Decides for each slice what to do, with the lock held.
    fn plan(
        &self,
        arrived: Vec<Arrived>,
        mut objects: Option<&mut Objects>,
        answers: &mut Answers,
    ) -> Result<Vec<Target>> {
        let head = self.checkout.head()?;
        let head_is_ours = self.checkout.shown()? == head;
        let shown = self.checkout.slices()?;
        let mut same_files = vec![false; arrived.len()];
        if let (Some(head), Some(objects)) = (&head, objects.as_deref_mut())
            && let Some((_, commit)) = objects.commit(head.as_str())?
        {
            let slices: Vec<(&Oid, &RepoPath)> =
                arrived.iter().map(|arrived| (&commit.tree, &self.manifests[arrived.index].slice)).collect();
            let trees = listing::trees_at(objects, &slices)?;
            let is_same = |(arrived, tree): (&Arrived, _)| tree == Some(arrived.ready.listing.tree.clone());
            same_files = arrived.iter().zip(trees).map(is_same).collect();
        }
        let mut targets = Vec::new();
        for (arrived, same_files) in arrived.into_iter().zip(same_files) {
            let manifest = &self.manifests[arrived.index];
            let before = shown_pin(&self.checkout, manifest)?;
            let head_in_place = head_is_ours || is_at_pin(&self.checkout.dir, manifest)?;
            let seen = Seen { pin: before, head_in_place, pending: 0, same_files };
            targets.push((arrived, seen));
        }
        // What was pending is looked for all at once: each look reads the whole index.
        let is_looked_at: Vec<bool> = targets
            .iter()
            .map(|(arrived, seen)| {
                let slice = self.manifests[arrived.index].slice.as_str();
                let reset = matches!(self.policy, Policy::Reset { .. });
                let moves = reset || !seen.head_in_place || seen.pin.as_ref() != Some(&arrived.ready.commit);
                // A slice around it shows its files too, and a test may have recorded into its folder before it is shown.
                let has_files = || nested::holds_files(&join(&self.checkout.dir, slice));
                let is_shown = seen.pin.is_some() || shown.keys().any(|other| other.holds(slice));
                head.is_some() && objects.is_some() && moves && (is_shown || has_files())
            })
            .collect();
        let looked_at = targets.iter().zip(&is_looked_at).filter(|(_, looked_at)| **looked_at);
        let slices: Vec<&RepoPath> = looked_at.map(|((arrived, _), _)| &self.manifests[arrived.index].slice).collect();
        let mut changes = pending_of_each(&self.checkout, &slices)?.into_iter();
        let mut planned = Vec::new();
        for ((arrived, mut seen), looked_at) in targets.into_iter().zip(is_looked_at) {
            let pending = if looked_at { changes.next().unwrap_or_default() } else { Vec::new() };
            seen.pending = pending.len();
            let pending = stash::files_of(&self.checkout, &pending)?;
            if seen.pin.is_none() {
                // Recorded before the slice is shown: a file in place of a folder of the commit, or the other way round.
                let files: PathSet = arrived.ready.listing.files.iter().map(|file| file.path.as_str()).collect();
                let clashes = |change: &Change| !files.contains(&change.path) && files.clashes_with(&change.path);
                seen.same_files &= !pending.iter().any(clashes);
            }
            let names: Vec<String> = pending.iter().map(|change| change.path.clone()).collect();
            let mut unchanged = Vec::new();
            if looked_at && seen.pin.is_none() {
                unchanged = self.unchanged_files(&self.manifests[arrived.index].slice, &shown, &pending)?;
            }
            match decide(self.policy, Some(&arrived.ready.commit), &seen, &names) {
                Ok(steps) => planned.push(Target { arrived, before: seen.pin, pending, unchanged, steps }),
                Err(refusal) => answers.push((arrived.index, Ok(Outcome::Refused(refusal)))),
            }
        }
        Ok(planned)
    }

    /// The files on disk of a slice that is not shown, without those that are pending and those of slices that are shown
    /// inside it.
    fn unchanged_files(&self, slice: &RepoPath, shown: &Slices, pending: &[Change]) -> Result<Vec<String>> {
        let folder = join(&self.checkout.dir, slice.as_str());
        let pending: PathSet = pending.iter().map(|change| change.path.as_str()).collect();
        let mut files: Vec<String> = nested::files_in(&folder)
            .at("read", &folder)?
            .into_iter()
            .map(|file| slice.join(&file).as_str().to_string())
            .collect();
        files.retain(|file| !pending.contains(file) && !slices_inside(shown, slice).any(|inner| inner.holds(file)));
        Ok(files)
    }

    fn done(&self, target: Target, stashed: Vec<Change>, started: Instant) -> Result<Restored> {
        let Arrived { index, ready, after } = target.arrived;
        let manifest = &self.manifests[index];
        breadcrumb::write(&self.checkout.folder, manifest)?;
        make_slice_folder(&self.checkout.dir, &manifest.slice)?;
        let cost = Cost {
            files: ready.listing.files.len(),
            bytes: ready.listing.files.iter().map(|file| file.size).sum(),
            fetch: after,
            checkout: started.elapsed(),
        };
        self.tell(manifest, &cost);
        Ok(Restored {
            root: join(&self.checkout.dir, manifest.prefix.as_str()),
            changed: !target.steps.is_empty(),
            empty: ready.listing.tree.is_none(),
            bare: false,
            put_aside: stashed,
            before: target.before,
            commit: Some(ready.commit),
            cost,
        })
    }

    /// Shows the targets. Returns what was stashed. Without `objects` there is no checkout that can be used.
    fn change(&self, targets: &[&Target], mut objects: Option<Objects>) -> Result<Stashed> {
        let (checkout, exists) = (&self.checkout, objects.is_some());
        let mut shown = if exists { checkout.slices()? } else { Slices::new() };
        let mut slices = shown.clone();
        for target in targets {
            slices.insert(self.manifests[target.arrived.index].slice.clone(), target.arrived.ready.commit.clone());
        }
        let mut put_aside = PutAside::default();
        for target in targets {
            self.put_aside(target, &mut put_aside)?;
        }
        let head = checkout.head()?;
        let last_shown = checkout.shown()?;
        if let Some(moved) = head.as_ref().filter(|head| last_shown.as_ref() != Some(*head)) {
            shown.clear();
            if let Some(kept) = checkout.keep_commit(moved)?.filter(|kept| kept.is_new) {
                let note = format!("`{}` was committed there by hand and is kept as `{}`", moved.short(), kept.name);
                checkout.repo.git.report().note(&note);
            }
        }
        let building = if exists { None } else { Some(Building::begin(checkout)?) };
        let place = building.as_ref().map_or(checkout, |building| &building.checkout);
        let to = self.head_for(place, objects.as_mut(), &slices, targets, head.as_ref().map(|head| (head, &shown)))?;
        let transition = Transition {
            operation: if matches!(self.policy, Policy::Reset { .. }) { "reset" } else { "restore" },
            from: head.clone().unwrap_or_else(|| to.clone()),
            to,
            slices: slices.clone(),
            put_back: put_aside.paths,
            stored: put_aside.stored,
            stashes: put_aside.entries,
            kept: put_aside.kept,
            tag: targets.iter().find_map(|target| self.tag(target)),
        };
        let listings: Vec<(&RepoPath, &Listing)> = targets
            .iter()
            .map(|target| (&self.manifests[target.arrived.index].slice, &target.arrived.ready.listing))
            .collect();
        let mut stashed = put_aside.stashed;
        if let Some(building) = building {
            let salvaged = apply::build(checkout, building, &transition, &listings)?;
            stashed.extend(salvaged);
            return Ok(stashed);
        }
        let same = transition.put_back.is_empty() && head.as_ref() == Some(&transition.to);
        if same && transition.slices.keys().eq(checkout.slices()?.keys()) {
            // Only what is recorded changes: no file is touched.
            checkout.borrow_from_store()?;
            checkout.record(&transition.to, &transition.slices, transition.tag.as_ref())?;
            return Ok(stashed);
        }
        let in_the_way = match self.policy {
            Policy::Restore(OnPending::Ask | OnPending::Keep) => InTheWay::Refuse,
            _ => InTheWay::Stash,
        };
        let besides = apply::change(checkout, transition, &listings, in_the_way)?;
        for (slice, changes) in apply::by_innermost_slice(&slices, &besides) {
            match targets.iter().any(|target| self.manifests[target.arrived.index].slice == slice) {
                true => stashed.entry(slice).or_default().extend(changes),
                // Of no package that this command is about: nothing else would tell.
                false => {
                    let what = format!("{} in the way of `{slice}`", count(changes.len(), "pending change"));
                    checkout.repo.git.report().note(&format!("stashed {what}; `assets stash list` shows it"));
                }
            }
        }
        Ok(stashed)
    }

    /// Stashes what is in the way of one target, and adds it to what becomes as the pin has it.
    fn put_aside(&self, target: &Target, put_aside: &mut PutAside) -> Result<()> {
        let checkout = &self.checkout;
        let slice = &self.manifests[target.arrived.index].slice;
        if !target.unchanged.is_empty() {
            let head = checkout.head()?.ok_or_else(|| Error::failed("the checkout has no HEAD"))?;
            let committed = listing::files_at(&mut checkout.objects()?, &head, &target.unchanged)?;
            put_aside.stored.extend(target.unchanged.iter().cloned().zip(committed));
            put_aside.paths.extend(target.unchanged.iter().cloned());
        }
        if !target.steps.contains(&Step::SetAside) {
            put_aside.kept.extend(target.pending.clone());
            return Ok(());
        }
        let reason = match self.policy {
            Policy::Restore(OnPending::Discard) => "dropped by restore",
            Policy::Restore(_) => "put aside by restore",
            Policy::Reset { .. } => "dropped by reset",
        };
        let stored = stash::create(checkout, slice, &target.pending, reason)?;
        for change in &stored.refused {
            let what = format!("git cannot store `{}`: the file stays where it is", one_line(&change.path));
            checkout.repo.git.report().note(&what);
        }
        let is_stored = |change: &&Change| stored.contents.contains_key(&change.path);
        put_aside.stashed.insert(slice.clone(), target.pending.iter().filter(is_stored).cloned().collect());
        put_aside.kept.extend(stored.refused);
        put_aside.paths.extend(stored.contents.keys().cloned());
        put_aside.entries.extend(stored.entry);
        put_aside.stored.extend(stored.contents);
        Ok(())
    }

    /// The commit to show, made in `place` if need be. The tag form shows the tag's commit itself, where other tools look for it.
    fn head_for(
        &self,
        place: &Checkout,
        objects: Option<&mut Objects>,
        slices: &Slices,
        targets: &[&Target],
        current: Option<Shown>,
    ) -> Result<Oid> {
        let manifest = &self.manifests[targets[0].arrived.index];
        if matches!(manifest.form, Form::Tag { .. }) || (current.is_none() && slices.len() == 1) {
            return Ok(targets[0].arrived.ready.commit.clone());
        }
        head_for(place, objects, slices, current)
    }

    fn tag(&self, target: &Target) -> Option<(String, String, String)> {
        let Pin::Tag(name) = self.manifests[target.arrived.index].pin() else { return None };
        let object = target.arrived.ready.tag.clone().unwrap_or_else(|| target.arrived.ready.commit.clone());
        Some((name.to_string(), object.to_string(), target.arrived.ready.commit.to_string()))
    }
}
