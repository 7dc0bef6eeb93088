//! The manifests of one checkout: what they want, and showing it when it is there.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::{Answer, Cost, Policy, Restored, decide, make_slice_folder};
use crate::error::{Error, Result};
use crate::git::objects::Objects;
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath};
use crate::ops::apply::{self, Building, Transition};
use crate::ops::enter::{enter, head_for, pending_of_each, shown_pin};
use crate::ops::plan::{OnPending, Seen, Step};
use crate::ops::{Context, Outcome, breadcrumb, join, stash};
use crate::report::{self, Ended};
use crate::store::checkout::{self, Checkout};
use crate::store::composite::{Shown, Slices};
use crate::store::listing::{self, Listing};
use crate::store::surface::is_at_pin;
use crate::store::{Ready, Store, Want};

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
    steps: Vec<Step>,
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
        let targets = self.plan(arrived, objects.as_mut(), answers)?;
        let moving: Vec<&Target> = targets.iter().filter(|target| !target.steps.is_empty()).collect();
        if !moving.is_empty() {
            self.change(&moving, objects)?;
        }
        for target in targets {
            answers.push((target.arrived.index, self.done(target, started).map(Outcome::Done)));
        }
        Ok(())
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

    /// Refuses what will be refused anyway before anything is downloaded.
    fn refuse_early(&self) -> Result<Answers> {
        let mut refused = Answers::new();
        if !matches!(
            self.policy,
            Policy::Restore(OnPending::Ask | OnPending::Keep) | Policy::Reset { confirmed: false }
        ) || crate::store::journal::exists(&self.checkout.git_dir)?
            // Both are put right under the lock.
            || self.checkout.has_foreign_attributes()?
        {
            return Ok(refused);
        }
        self.checkout.check_is_ours()?;
        checkout::check_readable(&self.checkout.git_dir)?;
        let mut moved: Vec<(usize, Oid)> = Vec::new();
        for &index in &self.indexes {
            let manifest = &self.manifests[index];
            let Some(shown) = shown_pin(&self.checkout, manifest)? else { continue };
            let reset = matches!(self.policy, Policy::Reset { .. });
            if reset || manifest.pin() != Pin::Commit(shown.clone()) {
                moved.push((index, shown));
            }
        }
        let slices: Vec<&RepoPath> = moved.iter().map(|(index, _)| &self.manifests[*index].slice).collect();
        // Damage is found and mended later, under the lock.
        let Ok(pending) = pending_of_each(&self.checkout, &slices) else { return Ok(refused) };
        for ((index, shown), pending) in moved.into_iter().zip(pending) {
            if pending.is_empty() {
                continue;
            }
            let names: Vec<String> = pending.iter().map(|change| change.path.clone()).collect();
            let seen =
                Seen { pin: Some(shown.clone()), head_in_place: false, pending: pending.len(), same_files: false };
            if let Err(refusal) = decide(self.policy, Some(&shown), &seen, &names) {
                refused.push((index, Ok(Outcome::Refused(refusal))));
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
                // A slice around it shows its files too.
                let is_shown = seen.pin.is_some() || shown.keys().any(|other| other.holds(slice));
                head.is_some() && objects.is_some() && moves && is_shown
            })
            .collect();
        let looked_at = targets.iter().zip(&is_looked_at).filter(|(_, looked_at)| **looked_at);
        let slices: Vec<&RepoPath> = looked_at.map(|((arrived, _), _)| &self.manifests[arrived.index].slice).collect();
        let mut changes = pending_of_each(&self.checkout, &slices)?.into_iter();
        let mut planned = Vec::new();
        for ((arrived, mut seen), looked_at) in targets.into_iter().zip(is_looked_at) {
            let pending = if looked_at { changes.next().unwrap_or_default() } else { Vec::new() };
            seen.pending = pending.len();
            let names: Vec<String> = pending.iter().map(|change| change.path.clone()).collect();
            match decide(self.policy, Some(&arrived.ready.commit), &seen, &names) {
                Ok(steps) => planned.push(Target { arrived, before: seen.pin, pending, steps }),
                Err(refusal) => answers.push((arrived.index, Ok(Outcome::Refused(refusal)))),
            }
        }
        Ok(planned)
    }

    fn done(&self, target: Target, started: Instant) -> Result<Restored> {
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
            put_aside: if target.steps.contains(&Step::SetAside) { target.pending } else { Vec::new() },
            before: target.before,
            commit: Some(ready.commit),
            cost,
        })
    }

    fn change(&self, targets: &[&Target], mut objects: Option<Objects>) -> Result<()> {
        let checkout = &self.checkout;
        let exists = checkout.exists()?;
        let mut shown = if exists { checkout.slices()? } else { Slices::new() };
        let mut slices = shown.clone();
        for target in targets {
            slices.insert(self.manifests[target.arrived.index].slice.clone(), target.arrived.ready.commit.clone());
        }
        let mut put_back = Vec::new();
        let mut stashes = Vec::new();
        for target in targets.iter().filter(|target| target.steps.contains(&Step::SetAside)) {
            let reason = match self.policy {
                Policy::Restore(OnPending::Discard) => "dropped by restore",
                Policy::Restore(_) => "put aside by restore",
                Policy::Reset { .. } => "dropped by reset",
            };
            stashes.push(stash::create(
                checkout,
                &self.manifests[target.arrived.index].slice,
                &target.pending,
                reason,
            )?);
            put_back.extend(target.pending.iter().map(|change| change.path.clone()));
        }
        let head = checkout.head()?;
        let last_shown = checkout.shown()?;
        if let Some(moved) = head.as_ref().filter(|head| last_shown.as_ref() != Some(*head)) {
            shown.clear();
            if let Some(kept) = checkout.keep_commit(moved)? {
                let note = format!("`{}` was committed there by hand and is kept as `{kept}`", moved.short());
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
            slices,
            put_back,
            stashes,
            kept: targets
                .iter()
                .filter(|target| !target.steps.contains(&Step::SetAside))
                .flat_map(|target| target.pending.clone())
                .collect(),
            tag: targets.iter().find_map(|target| self.tag(target)),
        };
        let listings: Vec<(&RepoPath, &Listing)> = targets
            .iter()
            .map(|target| (&self.manifests[target.arrived.index].slice, &target.arrived.ready.listing))
            .collect();
        if let Some(building) = building {
            return apply::build(checkout, building, &transition, &listings);
        }
        let same = transition.put_back.is_empty() && head.as_ref() == Some(&transition.to);
        if same && transition.slices.keys().eq(checkout.slices()?.keys()) {
            // Only what is recorded changes: no file is touched.
            checkout.borrow_from_store()?;
            return checkout.record(&transition.to, &transition.slices, transition.tag.as_ref());
        }
        apply::change(checkout, &transition, &listings)
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
