//! Putting a change on a branch, as often as others are faster: asks what the branch has, decides, sends.

use std::collections::HashSet;
use std::time::Duration;

use super::mine::Mine;
use super::publish::{Ancestry, Earlier, Publish, Question, publish};
use super::send::{Attempt, Parent};
use super::{First, Push, Sent};
use crate::error::{Error, Kind, Result};
use crate::git::parse::TreeChange;
use crate::interrupt::sleep;
use crate::manifest::Pin;
use crate::names::{Oid, RefName};
use crate::ops::Outcome;
use crate::ops::merge::Edits;
use crate::ops::plan::Refusal;
use crate::store::Want;
use crate::store::ancestry::{History, Relation};
use crate::store::listing::Listing;

/// How often to fetch and build again when others push to the branch at the same time: more often than a crowd is large,
/// because in each round one of them wins.
const RACES: u32 = 100;

/// The branch that is pushed to, and the one it starts from while it does not exist.
#[derive(Clone, Copy)]
pub(super) struct Branches<'a> {
    pub branch: &'a RefName,
    pub fallback: &'a RefName,
}

/// A push to a branch that is under way.
struct Race<'a> {
    push: &'a Push<'a>,
    mine: &'a Mine,
    to: &'a str,
    branches: Branches<'a>,
    /// The commit on the base.
    first: Oid,
    /// Every commit that may be on the branch because of us, oldest first.
    tried: Vec<Oid>,
    /// What arrives with those of them that were made in this run.
    made: Vec<Sent>,
    history: History<'a>,
    /// The commit that the manifest pins, when that is not the base.
    other_pin: Option<Oid>,
    /// Whether the remote has shown that it does not have the base.
    base_is_gone: bool,
}

/// What the branch is to get.
struct Step {
    sent: Sent,
    parent: Parent,
}

impl Push<'_> {
    /// Puts the change on the branch. The first try assumes that the pin is the tip.
    pub(super) fn send_to_branch(
        &self,
        mine: &Mine,
        first: First,
        to: &str,
        branches: Branches,
        other_pin: Option<Oid>,
    ) -> Result<Outcome<Sent>> {
        let also = self.checkout.own_objects()?.into_iter().collect();
        let is_blind = !first.moved && other_pin.is_none();
        let mut race = Race {
            push: self,
            mine,
            to,
            branches,
            first: first.commit,
            tried: first.earlier,
            made: Vec::new(),
            history: History::new(&self.checkout.store, also),
            other_pin,
            base_is_gone: false,
        };
        if is_blind {
            let step = race.on_base(Parent::IsListed);
            match race.attempt(&step, Some(&self.base))? {
                Attempt::Arrived => return Ok(Outcome::Done(step.sent)),
                Attempt::Moved(_) => {}
                ended => return Err(race.error(ended)),
            }
        }
        race.run()
    }
}

impl Race<'_> {
    fn run(mut self) -> Result<Outcome<Sent>> {
        let store = &self.push.checkout.store;
        let (branch, fallback) = (self.branches.branch.branch_ref(), self.branches.fallback.branch_ref());
        let mut last = None;
        for round in 0..RACES {
            if round > 0 {
                sleep(Duration::from_millis(fastrand::u64(20..=150 * u64::from(round.min(8)))))?;
            }
            let refs = store.remote_refs(&[&branch, &fallback])?;
            let expected = refs.get(&branch);
            if let Some(at) = self.made.iter().position(|sent| Some(&sent.commit) == expected) {
                // It had arrived; only the answer was lost.
                return Ok(Outcome::Done(self.made.swap_remove(at)));
            }
            let step = match self.plan(expected, expected.or_else(|| refs.get(&fallback)))? {
                Outcome::Done(step) => step,
                Outcome::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
            };
            if Some(&step.sent.commit) == expected {
                return Ok(Outcome::Done(step.sent));
            }
            match self.attempt(&step, expected)? {
                Attempt::Arrived => return Ok(Outcome::Done(step.sent)),
                Attempt::Moved(output) => last = Some(output),
                Attempt::NoPin(_) if step.parent == Parent::IsAsked && !self.base_is_gone => self.base_is_gone = true,
                ended => return Err(self.error(ended)),
            }
        }
        let error = Error::new(
            Kind::Transient,
            format!("`{}` was changed by others {RACES} times in a row while pushing", self.to),
        )
        .hint("run the same command again");
        Err(last.map_or(error.clone(), |output| output.into_error().context(error.message)))
    }

    /// Notes that a commit is about to be sent, and sends it.
    fn attempt(&mut self, step: &Step, expected: Option<&Oid>) -> Result<Attempt> {
        let Sent { commit, rebased, .. } = &step.sent;
        self.push.note(&self.mine.tree, commit, *rebased, &self.tried, self.to)?;
        if !self.tried.contains(commit) {
            self.tried.push(commit.clone());
        }
        self.made.push(step.sent.clone());
        self.push.send(commit, self.to, expected, step.parent)
    }

    fn error(&self, ended: Attempt) -> Error {
        match ended {
            Attempt::Failed(output) => self.push.failed(output),
            Attempt::Arrived => Error::failed("the push arrived and was not recognised"),
            Attempt::Moved(output) | Attempt::Refused(output) | Attempt::NoPin(output) => {
                self.push.refused(output, self.to)
            }
        }
    }

    /// Decides what to send when the branch is at `expected`; `tip` is what a commit would go on top of, another branch's
    /// if there is no such branch.
    fn plan(&mut self, expected: Option<&Oid>, tip: Option<&Oid>) -> Result<Outcome<Step>> {
        let Some(tip) = tip else {
            return if self.base_is_gone { Err(self.no_branch()) } else { self.step_on_base(Parent::IsAsked) };
        };
        if *tip == self.push.base {
            return self.step_on_base(Parent::IsListed);
        }
        let slice = Some(&self.push.manifest.slice);
        self.fetch(tip)?;
        let theirs = self.push.writer().diff_tree(&self.push.base, tip, slice)?;
        let relation = match theirs.is_empty() {
            // Whatever came after what: they have the same of the slice.
            true => Relation::Holds,
            false if self.base_is_gone => Relation::Gone,
            false => self.history.relation(&self.push.base, tip)?,
        };
        let of_pin = match &relation {
            Relation::Apart { fork: Some(fork) } => self.changes_since(fork)?,
            _ => None,
        };
        let earlier = self.earlier(tip)?;
        let decision = publish(&Question {
            mine: &self.mine.changes,
            theirs: &theirs,
            earlier: &earlier,
            ancestry: match &relation {
                Relation::Holds => Ancestry::TipHoldsPin,
                Relation::IsHeld => Ancestry::PinHoldsTip,
                Relation::Apart { .. } => Ancestry::Apart { of_pin: of_pin.as_deref() },
                Relation::Gone => Ancestry::Apart { of_pin: None },
                Relation::Unknown => Ancestry::Unknown,
            },
            may_start_at_pin: expected.is_none() && relation != Relation::Gone,
            prefer_mine: self.push.request.prefer_mine,
        });
        let (edits, others) = match decision {
            Publish::FastForward => return self.step_on_base(Parent::IsAsked),
            Publish::AlreadyThere { others } => (Edits::new(), others),
            Publish::Replay { edits, others } => (edits, others),
            Publish::Conflict(files) => return Ok(Outcome::Refused(Refusal::Conflict { files })),
            Publish::TakesBack(files) => {
                let (branch, is_gone) = (self.branches.branch.to_string(), relation == Relation::Gone);
                return Ok(Outcome::Refused(Refusal::TakesBack { files, branch, tip: expected.cloned(), is_gone }));
            }
        };
        self.check_other_pin(tip)?;
        let pending = self.mine.changes.iter().map(|change| change.path.as_str());
        self.push.check_edits(edits.iter().map(|(path, _)| path.as_str()), pending.chain(earlier.paths()))?;
        let commit = if edits.is_empty() { tip.clone() } else { self.push.commit_on(tip, &edits)? };
        // Everything that the slice will show is here before the remote is changed.
        let mut listing = self.fetch(&commit)?;
        // Only what will be written is looked at afterwards: a test may record the others meanwhile.
        let written = self.push.writer().diff_tree(&self.mine.tree, &commit, slice)?;
        let written: HashSet<&str> = written.iter().map(|change| change.path.as_str()).collect();
        listing.files.retain(|file| written.contains(file.path.as_str()));
        let sent = Sent { commit, rebased: true, others, listing: Some(listing) };
        Ok(Outcome::Done(Step { sent, parent: Parent::IsListed }))
    }

    /// The commit on the base, as it was made first.
    fn on_base(&self, parent: Parent) -> Step {
        Step { sent: Sent { commit: self.first.clone(), rebased: false, others: 0, listing: None }, parent }
    }

    fn step_on_base(&mut self, parent: Parent) -> Result<Outcome<Step>> {
        self.check_other_pin(&self.push.base.clone())?;
        Ok(Outcome::Done(self.on_base(parent)))
    }

    /// Refuses to move the manifest from a pin whose recordings the new one would not have.
    fn check_other_pin(&mut self, parent: &Oid) -> Result<()> {
        let Some(pin) = self.other_pin.clone().filter(|pin| pin != parent) else { return Ok(()) };
        if self.history.relation(&pin, parent)? == Relation::Holds {
            return Ok(());
        }
        self.fetch(&pin)?;
        let slice = Some(&self.push.manifest.slice);
        if self.push.writer().diff_tree(&self.push.base, &pin, slice)?.is_empty() {
            return Ok(());
        }
        Err(self.push.pin_has_moved(&format!("`{pin}`")))
    }

    /// What earlier pushes of ours, and this one so far, may have put on the branch.
    fn earlier(&self, tip: &Oid) -> Result<Earlier> {
        let arrived: Vec<Option<bool>> =
            self.tried.iter().map(|commit| self.history.holds(tip, commit, &self.push.base)).collect();
        if arrived.iter().all(|arrived| *arrived == Some(false)) {
            return Ok(Earlier::default());
        }
        let certain = arrived.iter().all(Option::is_some);
        let repo = self.push.writer();
        let mut objects = self.push.checkout.objects()?;
        let mut pushes = Vec::new();
        for (commit, arrived) in self.tried.iter().zip(arrived) {
            if arrived == Some(false) {
                continue;
            }
            let Some(parent) = objects.first_parent(commit)? else { continue };
            // The commit that it was put on may have gone with a deleted store.
            if objects.commit(parent.as_str())?.is_some() {
                pushes.push(repo.diff_tree(&parent, commit, Some(&self.push.manifest.slice))?);
            }
        }
        Ok(Earlier::of(&pushes, certain))
    }

    /// What the base has changed of the slice since an older commit; `None` when that commit cannot be used here.
    fn changes_since(&self, fork: &Oid) -> Result<Option<Vec<TreeChange>>> {
        match self.fetch(fork) {
            Err(error) if error.kind == Kind::Failed => return Ok(None),
            fetched => fetched?,
        };
        self.push.writer().diff_tree(fork, &self.push.base, Some(&self.push.manifest.slice)).map(Some)
    }

    /// Makes all that the slice has at a commit available here.
    fn fetch(&self, commit: &Oid) -> Result<Listing> {
        let slice = self.push.manifest.slice.clone();
        let want = Want { pin: Pin::Commit(commit.clone()), slice, advice: String::new() };
        let checkout = &self.push.checkout;
        Ok(checkout.store.ensure_one(want, checkout.own_objects()?.as_slice())?.listing)
    }

    fn no_branch(&self) -> Error {
        let Branches { branch, fallback } = self.branches;
        Error::failed(format!(
            "assets repo `{}` has neither the branch `{branch}` nor `{fallback}` to start it from",
            self.push.checkout.store.name()
        ))
        .hint("check `AssetsRepoFallbackBranch` in the manifest, or push a first commit to that branch")
    }
}

impl Push<'_> {
    /// A commit on `tip` with some edits and nothing else, made through an index file of its own.
    fn commit_on(&self, tip: &Oid, edits: &Edits) -> Result<Oid> {
        let repo = self.whole_writer();
        let index = self.checkout.git_dir.join("assets-index-merge");
        let _ = std::fs::remove_file(&index);
        self.writer().read_tree_into(&index, tip)?;
        // Removals first: a file may make room for a folder.
        let (removed, set): (Vec<_>, Vec<_>) = edits.iter().cloned().partition(|(_, blob)| blob.is_none());
        repo.update_index_info(&index, &removed.into_iter().chain(set).collect::<Vec<_>>())?;
        let tree = repo.write_tree(&index)?;
        let _ = std::fs::remove_file(&index);
        let made = self.writer().diff_tree(tip, &tree, None)?;
        self.check_edits(made.iter().map(|change| change.path.as_str()), edits.iter().map(|(path, _)| path.as_str()))?;
        self.commit(&tree, tip)
    }
}
