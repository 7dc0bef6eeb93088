//! Sending: one push of one commit, and putting a change on a branch as often as others are faster.

use std::collections::HashMap;
use std::time::Duration;

use super::{First, Mine, Push, Sent};
use crate::error::{Error, Kind, Result};
use crate::git::Output;
use crate::git::failure::{Failure, classify};
use crate::git::parse::{PushAnswer, TreeChange};
use crate::interrupt::sleep;
use crate::manifest::Pin;
use crate::names::{Oid, RefName};
use crate::ops::plan::Refusal;
use crate::ops::{Outcome, merge};
use crate::store::Want;

/// How often to fetch and build again when others push to the branch at the same time: more often than a crowd is large,
/// because in each round somebody wins.
const RACES: u32 = 100;

/// How one attempt to push ended.
enum Attempt {
    Arrived,
    /// The ref is not where we thought.
    Moved(Output),
    /// The remote did not want it.
    Refused(Output),
    Failed(Output),
}

impl Push<'_> {
    pub(super) fn send_tag(&self, commit: &Oid, to: &str) -> Result<Sent> {
        match self.send(commit, to, None)? {
            Attempt::Arrived => {}
            // The git of a push that was killed may have sent the same commit meanwhile.
            Attempt::Moved(output) => {
                if self.checkout.store.remote_refs(&[to])?.get(to) != Some(commit) {
                    return Err(self.refused(output, to));
                }
            }
            Attempt::Refused(output) => return Err(self.refused(output, to)),
            Attempt::Failed(output) => return Err(self.failed(output)),
        }
        Ok(Sent { commit: commit.clone(), rebased: false, others: 0, listing: None })
    }

    /// Puts the change on the tip of the branch, as often as it takes. The first try assumes that the pin is the tip.
    pub(super) fn send_to_branch(
        &self,
        mine: &Mine,
        first: First,
        to: &str,
        branch: &RefName,
        fallback: &RefName,
    ) -> Result<Outcome<Sent>> {
        let arrived =
            |first: &First| Sent { commit: first.commit.clone(), rebased: first.rebased, others: 0, listing: None };
        match self.send(&first.commit, to, Some(&self.base))? {
            Attempt::Arrived => return Ok(Outcome::Done(arrived(&first))),
            Attempt::Moved(_) => {}
            Attempt::Refused(output) => return Err(self.refused(output, to)),
            Attempt::Failed(output) => return Err(self.failed(output)),
        }
        let mut last = None;
        for round in 0..RACES {
            if round > 0 {
                sleep(Duration::from_millis(fastrand::u64(20..=150 * u64::from(round.min(8)))))?;
            }
            let refs = self.checkout.store.remote_refs(&[&branch.branch_ref(), &fallback.branch_ref()])?;
            let expected = refs.get(&branch.branch_ref());
            if expected == Some(&first.commit) {
                // It had arrived; only the answer was lost.
                return Ok(Outcome::Done(arrived(&first)));
            }
            let tip = expected
                .or_else(|| refs.get(&fallback.branch_ref()))
                .ok_or_else(|| self.no_branch(branch, fallback))?;
            let want =
                Want { pin: Pin::Commit(tip.clone()), slice: self.manifest.slice.clone(), advice: String::new() };
            self.checkout.store.ensure_one(want.clone(), self.checkout.own_objects()?.as_slice())?;
            let base = self.common_base(&first, tip)?;
            let changes = self.writer().diff_tree(base, &mine.tree, Some(&self.manifest.slice))?;
            let theirs = self.writer().diff_tree(base, tip, Some(&self.manifest.slice))?;
            let edits = match merge::merge(&changes, &theirs, self.request.prefer_mine) {
                Ok(edits) => edits,
                Err(files) => return Ok(Outcome::Refused(Refusal::Conflict { files })),
            };
            let sent = if *tip == self.base {
                // The pin is the tip after all, of the branch that this one starts from.
                arrived(&first)
            } else {
                let commit = if edits.is_empty() { tip.clone() } else { self.commit_on(tip, &edits)? };
                // Everything that the slice will show is here before the remote is changed.
                let want = Want { pin: Pin::Commit(commit.clone()), ..want };
                let ready = self.checkout.store.ensure_one(want, self.checkout.own_objects()?.as_slice())?;
                // What is ours on both sides is left out.
                let others = theirs.len().saturating_sub(changes.len() - edits.len());
                Sent { commit, rebased: true, others, listing: Some(ready.listing) }
            };
            if edits.is_empty() && expected.is_some() {
                return Ok(Outcome::Done(sent));
            }
            let next = First { commit: sent.commit.clone(), rebased: sent.rebased, earlier: first.earlier.clone() };
            self.note(&mine.tree, &next, to)?;
            match self.send(&sent.commit, to, expected)? {
                Attempt::Arrived => return Ok(Outcome::Done(sent)),
                Attempt::Moved(output) => last = Some(output),
                Attempt::Refused(output) => return Err(self.refused(output, to)),
                Attempt::Failed(output) => return Err(self.failed(output)),
            }
        }
        let error =
            Error::new(Kind::Transient, format!("`{to}` was changed by others {RACES} times in a row while pushing"))
                .hint("run the same command again");
        Err(last.map_or(error.clone(), |output| output.into_error().context(error.message)))
    }

    /// What both sides started from: what an interrupted push had sent, when the branch still has all of it, else the pin.
    /// There is no history here to ask, so each of its files counts.
    fn common_base<'f>(&'f self, first: &'f First, tip: &Oid) -> Result<&'f Oid> {
        if first.earlier.is_empty() {
            return Ok(&self.base);
        }
        let slice = Some(&self.manifest.slice);
        let theirs = self.writer().diff_tree(&self.base, tip, slice)?;
        let theirs: HashMap<&str, &TreeChange> = theirs.iter().map(|change| (change.path.as_str(), change)).collect();
        for earlier in first.earlier.iter().rev() {
            let sent = self.writer().diff_tree(&self.base, earlier, slice)?;
            if sent.iter().all(|change| theirs.get(change.path.as_str()) == Some(&change)) {
                return Ok(earlier);
            }
        }
        Ok(&self.base)
    }

    /// A commit on `tip` with the merged change, made through an index file of its own.
    fn commit_on(&self, tip: &Oid, edits: &merge::Edits) -> Result<Oid> {
        let repo = self.writer();
        let index = self.checkout.git_dir.join("assets-index-merge");
        let _ = std::fs::remove_file(&index);
        repo.read_tree_into(&index, tip)?;
        // Removals first: a file may make room for a folder.
        let (removed, set): (Vec<_>, Vec<_>) = edits.iter().cloned().partition(|(_, blob)| blob.is_none());
        repo.update_index_info(&index, &removed.into_iter().chain(set).collect::<Vec<_>>())?;
        let tree = repo.write_tree(&index)?;
        let _ = std::fs::remove_file(&index);
        self.commit(&tree, tip)
    }

    /// Pushes one commit. After any failure the remote is asked what it has: the answer may have been lost.
    fn send(&self, commit: &Oid, to: &str, expected: Option<&Oid>) -> Result<Attempt> {
        let store = &self.checkout.store;
        // In a checkout, which has a promisor remote, git would fetch each file that it takes for a good base of what it
        // sends: another version that the remote has, in any commit that is known here. In the store it does without.
        let repo = store.with_objects_of(&[self.checkout.git_dir.join("objects")]);
        let shallow = self.checkout.git_dir.join("shallow");
        let mut tries = 1;
        loop {
            // Another process may have fetched commits whose history is not here.
            self.checkout.borrow_from_store()?;
            repo.git.report().phase(&format!("pushing to `{}`", store.name()));
            let (answer, output) = repo.push(store.url(), commit, to, expected, &shallow)?;
            match answer {
                PushAnswer::Taken | PushAnswer::UpToDate if output.succeeded() => return Ok(Attempt::Arrived),
                // Its own words decide, not what a hook may have printed.
                PushAnswer::Rejected(why) if classify(&why) == Failure::RefRace => return Ok(Attempt::Moved(output)),
                PushAnswer::Rejected(_) => return Ok(Attempt::Refused(output)),
                _ => {}
            }
            let Some(retry) = output.failure().retry() else { return Ok(Attempt::Failed(output)) };
            match store.remote_refs(&[to]) {
                Ok(refs) if refs.get(to) == Some(commit) => return Ok(Attempt::Arrived),
                Ok(_) if tries < retry.tries => {}
                Ok(_) => return Ok(Attempt::Failed(output)),
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                // It is gone altogether: what the push said is the better news.
                Err(_) => {
                    self.context.give_up_on(store.name());
                    return Ok(Attempt::Failed(output));
                }
            }
            sleep(retry.pause(tries))?;
            tries += 1;
        }
    }

    fn refused(&self, output: Output, to: &str) -> Error {
        let mut error = output
            .into_error()
            .context(format!("assets repo `{}` refused the push to `{to}`", self.checkout.store.name()));
        error.kind = Kind::Failed;
        error.hint("nothing was changed here; its own words above say what it wants")
    }

    fn failed(&self, output: Output) -> Error {
        self.checkout
            .store
            .remote_error(output, "push to")
            .hint("nothing was changed here: the recordings are as they were")
    }

    fn no_branch(&self, branch: &RefName, fallback: &RefName) -> Error {
        Error::failed(format!(
            "assets repo `{}` has neither the branch `{branch}` nor `{fallback}` to start it from",
            self.checkout.store.name()
        ))
        .hint("check `AssetsRepoFallbackBranch` in the manifest, or push a first commit to that branch")
    }
}
