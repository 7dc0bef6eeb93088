//! `restore` and `reset`: show slices at their pins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::apply::{self, Transition};
use super::enter::{enter, head_for, pending, shown_pin};
use super::plan::{self, OnPending, Refusal, Seen, Step};
use super::{Context, Outcome, breadcrumb, join, stash};
use crate::error::{AtPath, Error, Result};
use crate::git::objects::Objects;
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath};
use crate::store::checkout::{self, Checkout};
use crate::store::composite::Slices;
use crate::store::listing::{self, Listing};
use crate::store::{Ready, Want};

/// What to do about pending changes.
#[derive(Clone, Copy, Debug)]
pub enum Policy {
    /// They stay at the pin; elsewhere this decides.
    Restore(OnPending),
    /// They go everywhere, once that is confirmed.
    Reset { confirmed: bool },
}

/// What a restore or reset of one slice did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where a test proxy starts.
    pub root: PathBuf,
    /// The pin as a commit; none when nothing had to be looked up for a tag that is shown already.
    pub commit: Option<Oid>,
    /// The pin before.
    pub before: Option<Oid>,
    /// Whether anything was done.
    pub changed: bool,
    /// Pending changes that were put aside.
    pub put_aside: Vec<Change>,
    /// Whether the assets repo does not have the slice yet.
    pub empty: bool,
}

type Answer = Result<Outcome<Restored>>;

/// Shows each manifest's slice at its pin; the answers are in the order of the manifests. One that fails does not stop
/// the others. Manifests of one checkout are done together.
pub fn restore(context: &Context, manifests: &[Manifest], policy: Policy) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = manifests.iter().map(|_| None).collect();
    let mut checkouts: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let shown = match policy {
            Policy::Restore(_) => shown_already(context, manifest),
            Policy::Reset { .. } => Ok(None),
        };
        match shown {
            Ok(Some(restored)) => answers[index] = Some(Ok(Outcome::Done(restored))),
            Err(error) => answers[index] = Some(Err(error)),
            Ok(None) => match context.assets_folder(manifest) {
                Ok(folder) => checkouts.entry(checkout::dir_of(&folder, manifest)).or_default().push(index),
                Err(error) => answers[index] = Some(Err(error)),
            },
        }
    }
    for indexes in checkouts.into_values() {
        let group: Vec<&Manifest> = indexes.iter().map(|&index| &manifests[index]).collect();
        let result = Group::new(context, &group, policy).and_then(|mut group| {
            group.run()?;
            Ok(group.answers)
        });
        match result {
            Ok(group) => {
                for (index, answer) in indexes.into_iter().zip(group) {
                    answers[index] = answer;
                }
            }
            Err(error) => indexes.into_iter().for_each(|index| answers[index] = Some(Err(error.clone()))),
        }
    }
    let lost = || Err(Error::failed("it was not reached"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

/// The answer when the slice is at its pin already, found out without a process or a lock.
pub fn shown_already(context: &Context, manifest: &Manifest) -> Result<Option<Restored>> {
    let folder = context.assets_folder(manifest)?;
    let dir = checkout::dir_of(&folder, manifest);
    if !checkout::is_at_pin(&dir, manifest) {
        return Ok(None);
    }
    breadcrumb::write(&folder, manifest)?;
    make_slice_folder(&dir, &manifest.slice)?;
    let commit = match manifest.pin() {
        Pin::Commit(oid) => Some(oid),
        _ => crate::store::git_dir::read_head(&dir.join(".git")),
    };
    let root = join(&dir, manifest.prefix.as_str());
    Ok(Some(Restored { root, before: commit.clone(), commit, changed: false, put_aside: Vec::new(), empty: false }))
}

/// A slice that the assets repo does not have yet is an empty folder, for a new package to record into. A link on the
/// way to it would lead tests to write elsewhere.
fn make_slice_folder(dir: &Path, slice: &RepoPath) -> Result<()> {
    let mut folder = dir.to_path_buf();
    for part in slice.parts() {
        folder.push(part);
        if folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            return Err(Error::failed(format!("`{}` is a symbolic link", folder.display()))
                .cause("recordings would be written to wherever it leads")
                .hint("delete it, then run `assets restore` again"));
        }
    }
    std::fs::create_dir_all(&folder).at("create", &folder)
}

/// The plan for one slice under a policy.
fn decide(policy: Policy, want: &Oid, seen: &Seen, pending: &[String]) -> std::result::Result<Vec<Step>, Refusal> {
    match policy {
        Policy::Restore(on_pending) => plan::restore(want, seen, pending, on_pending),
        Policy::Reset { confirmed } => plan::reset(want, seen, pending, confirmed),
    }
}

/// The manifests of one checkout.
struct Group<'a> {
    context: &'a Context,
    manifests: &'a [&'a Manifest],
    policy: Policy,
    checkout: Checkout,
    /// The objects of the checkout, once it is entered.
    objects: Option<Objects>,
    answers: Vec<Option<Answer>>,
}

/// A slice that is to be shown, with all that was found out about it.
struct Target {
    index: usize,
    ready: Ready,
    before: Option<Oid>,
    pending: Vec<Change>,
    steps: Vec<Step>,
}

impl<'a> Group<'a> {
    fn new(context: &'a Context, manifests: &'a [&'a Manifest], policy: Policy) -> Result<Group<'a>> {
        let first = manifests.first().ok_or_else(|| Error::failed("no manifest"))?;
        let checkout = context.checkout_before_vouching(first)?;
        Ok(Group {
            context,
            manifests,
            policy,
            checkout,
            objects: None,
            answers: manifests.iter().map(|_| None).collect(),
        })
    }

    fn run(&mut self) -> Result<()> {
        if self.checkout.exists() {
            self.refuse_early()?;
        } else {
            checkout::prepare_folder(&self.checkout.folder)?;
        }
        // The network first, so that a failure there leaves everything as it was. Without the lock of the checkout:
        // others may go on working in it.
        let ready = self.fetch();
        self.context.vouch_for_git()?;
        let mut ready = ready?;
        let _lock = self.checkout.lock()?;
        if self.checkout.exists() {
            self.objects = enter(&self.checkout)?;
        }
        let targets = self.plan(&mut ready)?;
        self.show(targets)
    }

    fn open(&self) -> Vec<usize> {
        (0..self.manifests.len()).filter(|&index| self.answers[index].is_none()).collect()
    }

    /// Refuses what will be refused anyway before anything is downloaded.
    fn refuse_early(&mut self) -> Result<()> {
        if !matches!(
            self.policy,
            Policy::Restore(OnPending::Ask | OnPending::Keep) | Policy::Reset { confirmed: false }
        ) || crate::store::journal::exists(&self.checkout.git_dir)
        {
            return Ok(());
        }
        self.checkout.check_is_ours()?;
        for index in self.open() {
            let manifest = self.manifests[index];
            let Some(shown) = shown_pin(&self.checkout, manifest) else { continue };
            let reset = matches!(self.policy, Policy::Reset { .. });
            if !reset && manifest.pin() == Pin::Commit(shown.clone()) {
                continue;
            }
            // Damage is found and mended later, under the lock.
            let Ok(pending) = pending(&self.checkout, &manifest.slice) else { continue };
            if pending.is_empty() {
                continue;
            }
            let names: Vec<String> = pending.iter().map(|change| change.path.clone()).collect();
            let seen =
                Seen { pin: Some(shown.clone()), head_in_place: false, pending: pending.len(), same_files: false };
            if let Err(refusal) = decide(self.policy, &shown, &seen, &names) {
                self.answers[index] = Some(Ok(Outcome::Refused(refusal)));
            }
        }
        Ok(())
    }

    /// Makes the objects of every slice available.
    fn fetch(&mut self) -> Result<Vec<(usize, Ready)>> {
        let open = self.open();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let wants: Vec<Want> = open.iter().map(|&index| self.want(self.manifests[index])).collect();
        let results = self.checkout.store.ensure(&wants, self.checkout.own_objects().as_deref())?;
        let mut ready = Vec::new();
        for (index, result) in open.into_iter().zip(results) {
            match result {
                Ok(one) => ready.push((index, one)),
                Err(error) => {
                    let context = format!("cannot restore `{}`", self.manifests[index].path);
                    self.answers[index] = Some(Err(error.context(context)));
                }
            }
        }
        Ok(ready)
    }

    fn want(&self, manifest: &Manifest) -> Want {
        let pin = match (manifest.pin(), self.checkout.pin(&manifest.slice)) {
            // Offline the tip is where it was last seen.
            (Pin::Tip { .. }, Some(shown)) if self.context.offline => Pin::Commit(shown),
            (pin, _) => pin,
        };
        Want { pin, slice: manifest.slice.clone(), advice: manifest.pin_advice() }
    }

    /// Decides for each slice what to do, with the lock held.
    fn plan(&mut self, ready: &mut Vec<(usize, Ready)>) -> Result<Vec<Target>> {
        let head = self.checkout.head().filter(|_| self.checkout.exists());
        let shown = self.checkout.slices();
        let mut targets = Vec::new();
        for (index, ready) in ready.drain(..) {
            let manifest = self.manifests[index];
            let before = shown_pin(&self.checkout, manifest);
            let head_in_place = checkout::is_at_pin(&self.checkout.dir, manifest) || self.checkout.shown() == head;
            let (mut changes, mut same_files) = (Vec::new(), false);
            if let (Some(head), Some(objects)) = (&head, &mut self.objects) {
                let needs_look = before.as_ref() != Some(&ready.commit)
                    || !head_in_place
                    || matches!(self.policy, Policy::Reset { .. });
                // A slice around it shows its files too.
                let is_shown = before.is_some() || shown.keys().any(|other| other.holds(manifest.slice.as_str()));
                if is_shown && needs_look {
                    changes = pending(&self.checkout, &manifest.slice)?;
                }
                if let Some((_, commit)) = objects.commit(head.as_str())? {
                    same_files =
                        listing::tree_at(objects, &commit.tree, &manifest.slice)?.as_ref() == Some(&ready.listing.tree);
                }
            }
            let names: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
            let seen = Seen { pin: before.clone(), head_in_place, pending: changes.len(), same_files };
            match decide(self.policy, &ready.commit, &seen, &names) {
                Ok(steps) => targets.push(Target { index, ready, before, pending: changes, steps }),
                Err(refusal) => self.answers[index] = Some(Ok(Outcome::Refused(refusal))),
            }
        }
        Ok(targets)
    }

    /// Carries the plans out, all in one change of the work tree.
    fn show(&mut self, targets: Vec<Target>) -> Result<()> {
        let moving: Vec<&Target> = targets.iter().filter(|target| !target.steps.is_empty()).collect();
        if !moving.is_empty() {
            let objects = self.objects.take();
            self.change(&moving, objects)?;
        }
        for target in targets {
            let manifest = self.manifests[target.index];
            breadcrumb::write(&self.checkout.folder, manifest)?;
            make_slice_folder(&self.checkout.dir, &manifest.slice)?;
            let changed = !target.steps.is_empty();
            let restored = Restored {
                root: join(&self.checkout.dir, manifest.prefix.as_str()),
                changed,
                empty: target.ready.listing.tree.is_none(),
                put_aside: if target.steps.contains(&Step::SetAside) { target.pending } else { Vec::new() },
                before: target.before,
                commit: Some(target.ready.commit),
            };
            self.answers[target.index] = Some(Ok(Outcome::Done(restored)));
        }
        Ok(())
    }

    fn change(&self, targets: &[&Target], mut objects: Option<Objects>) -> Result<()> {
        let checkout = &self.checkout;
        let exists = checkout.exists();
        let mut slices = if exists { checkout.slices() } else { Slices::new() };
        for target in targets {
            slices.insert(self.manifests[target.index].slice.clone(), target.ready.commit.clone());
        }
        let mut put_back = Vec::new();
        let mut stashed = None;
        for target in targets.iter().filter(|target| target.steps.contains(&Step::SetAside)) {
            let reason = match self.policy {
                Policy::Restore(OnPending::Discard) => "dropped by restore",
                Policy::Restore(_) => "put aside by restore",
                Policy::Reset { .. } => "dropped by reset",
            };
            stashed = Some(stash::create(checkout, &self.manifests[target.index].slice, &target.pending, reason)?);
            put_back.extend(target.pending.iter().map(|change| change.path.clone()));
        }
        let head = checkout.head().filter(|_| exists);
        if let Some(moved) = head.as_ref().filter(|head| checkout.shown().as_ref() != Some(*head))
            && let Some(kept) = checkout.keep_commit(moved)?
        {
            let note = format!("`{}` was committed there by hand and is kept as `{kept}`", moved.short());
            checkout.repo.git.report().note(&note);
        }
        let to = self.head_for(objects.as_mut(), &slices, targets, head.as_ref())?;
        let transition = Transition {
            operation: if matches!(self.policy, Policy::Reset { .. }) { "reset" } else { "restore" },
            from: head.clone().unwrap_or_else(|| to.clone()),
            to,
            slices,
            put_back,
            stash: stashed,
            kept: targets
                .iter()
                .filter(|target| !target.steps.contains(&Step::SetAside))
                .flat_map(|target| target.pending.clone())
                .collect(),
            tag: targets.iter().find_map(|target| self.tag(target)),
        };
        let listings: Vec<(&RepoPath, &Listing)> =
            targets.iter().map(|target| (&self.manifests[target.index].slice, &target.ready.listing)).collect();
        if !exists {
            return apply::build(checkout, &transition, &listings);
        }
        let same = transition.put_back.is_empty() && head.as_ref() == Some(&transition.to);
        if same && transition.slices.keys().eq(checkout.slices().keys()) {
            // Only what is recorded changes: no file is touched.
            checkout.borrow_from_store()?;
            return checkout.record(&transition.to, &transition.slices, transition.tag.as_ref());
        }
        apply::change(checkout, &transition, &listings)
    }

    /// The commit to show. The tag form shows the tag's commit itself, where other tools look for it.
    fn head_for(
        &self,
        objects: Option<&mut Objects>,
        slices: &Slices,
        targets: &[&Target],
        current: Option<&Oid>,
    ) -> Result<Oid> {
        let manifest = self.manifests[targets[0].index];
        if matches!(manifest.form, Form::Tag { .. }) || (current.is_none() && slices.len() == 1) {
            return Ok(targets[0].ready.commit.clone());
        }
        head_for(&self.checkout, objects, slices, current)
    }

    fn tag(&self, target: &Target) -> Option<(String, String, String)> {
        let Pin::Tag(name) = self.manifests[target.index].pin() else { return None };
        let object = target.ready.tag.clone().unwrap_or_else(|| target.ready.commit.clone());
        Some((name.to_string(), object.to_string(), target.ready.commit.to_string()))
    }
}
