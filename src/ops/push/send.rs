//! Sending one commit, and after every failure asking the remote what it has.

use super::refused::lacks_pin;
use super::{Push, Sent};
use crate::error::{Error, Kind, Result};
use crate::git::failure::{Failure, classify};
use crate::git::parse::PushAnswer;
use crate::git::{Output, Repo, Signature};
use crate::interrupt::sleep;
use crate::manifest::Pin;
use crate::names::Oid;
use crate::store::git_dir::write_ref;
use crate::store::probe::Nowhere;

/// How one attempt to push ended.
pub(super) enum Attempt {
    Arrived,
    /// The ref is not where we thought.
    Moved(Output),
    /// The remote does not have the commit that the pushed one is on.
    NoPin(Output),
    /// The remote did not want it.
    Refused(Output),
    Failed(Output),
}

/// What the remote is taken to have of the commit that the pushed one is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// It is where a ref of the remote leads.
    IsListed,
    /// It is the base, and no ref need lead to it: the remote is asked whether it has that.
    IsAsked,
}

impl Push<'_> {
    pub(super) fn send_tag(&self, commit: &Oid, to: &str) -> Result<Sent> {
        let arrived = || Sent { commit: commit.clone(), rebased: false, others: 0, listing: None };
        let mut attempt = self.send(commit, to, None, Parent::IsListed)?;
        if matches!(attempt, Attempt::NoPin(_)) && !matches!(self.manifest.pin(), Pin::Tag(_)) {
            // No tag is pinned yet. The branch that led to the base has moved on, so git wanted to send the files of the base too.
            attempt = self.send(commit, to, None, Parent::IsAsked)?;
        }
        match attempt {
            Attempt::Arrived => Ok(arrived()),
            // Perhaps by ourselves: the remote took it, and the request was sent once more, or the git of a push that was
            // killed has sent the same commit.
            Attempt::Moved(_) if self.is_there(commit, to)? => Ok(arrived()),
            Attempt::Moved(output) | Attempt::Refused(output) | Attempt::NoPin(output) => {
                Err(self.refused_tag(output, to)?)
            }
            Attempt::Failed(output) => Err(self.failed(output)),
        }
    }

    /// Pushes one commit. After any failure the remote is asked what it has: the answer may have been lost. Only of a ref
    /// that has moved the caller has more to ask.
    pub(super) fn send(&self, commit: &Oid, to: &str, expected: Option<&Oid>, parent: Parent) -> Result<Attempt> {
        let store = &self.checkout.store;
        // In a checkout, which has a promisor remote, git would fetch each file that it takes for a good base of what it
        // sends: another version that the remote has, in any commit that is known here. In the store it does without.
        let mut repo = store.with_objects_of(&[self.checkout.git_dir.join("objects")]);
        let nowhere = if parent == Parent::IsAsked { Some(self.without_history(&repo, expected)?) } else { None };
        if let Some(nowhere) = &nowhere {
            repo = nowhere.repo.clone();
        }
        let mut tries = 1;
        loop {
            // Another process may have fetched commits whose history is not here.
            self.checkout.borrow_from_store()?;
            // Where the history is not walked, there is no such file.
            let place = nowhere.as_ref().map_or(&self.checkout.git_dir, |nowhere| &nowhere.repo.place.git_dir);
            let shallow = place.join("shallow");
            repo.git.report().phase(&format!("pushing to `{}`", store.name()));
            let pushed = repo.push(store.url(), commit, to, expected, &shallow, parent == Parent::IsAsked);
            let (answer, output) = match pushed {
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(error) => {
                    return match self.is_there(commit, to) {
                        Ok(true) => Ok(Attempt::Arrived),
                        Err(interrupted) if interrupted.kind == Kind::Interrupted => Err(interrupted),
                        _ => Err(error),
                    };
                }
                Ok(pushed) => pushed,
            };
            match &answer {
                PushAnswer::Taken | PushAnswer::UpToDate if output.succeeded() => return Ok(Attempt::Arrived),
                // Its own words decide, not what a hook may have printed.
                PushAnswer::Rejected(why) if classify(why) == Failure::RefRace => return Ok(Attempt::Moved(output)),
                _ => {}
            }
            let is_answered = matches!(answer, PushAnswer::Rejected(_));
            let retry = if is_answered { None } else { output.failure().retry() };
            match self.is_there(commit, to) {
                Ok(true) => return Ok(Attempt::Arrived),
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(_) if retry.is_some() => {
                    // It is gone altogether: what the push said is the better news.
                    self.context.give_up_on(store.name());
                    return Ok(Attempt::Failed(output));
                }
                _ => {}
            }
            match retry.filter(|retry| tries < retry.tries) {
                Some(retry) => sleep(retry.pause(tries))?,
                None if is_answered && lacks_pin(&output) => return Ok(Attempt::NoPin(output)),
                None if is_answered => return Ok(Attempt::Refused(output)),
                None => return Ok(Attempt::Failed(output)),
            }
            tries += 1;
        }
    }

    /// Whether the remote has exactly this commit under that name.
    fn is_there(&self, commit: &Oid, to: &str) -> Result<bool> {
        Ok(self.checkout.store.remote_refs(&[to])?.get(to) == Some(commit))
    }

    /// A repository from which a commit on the base can be pushed although the base has no history here and no shallow
    /// file says so: then the remote checks that it has the history, instead of refusing one that may be cut off. Git walks
    /// down from what it pushes, and from the remote's ref, to see whether one comes before the other: replacements of base
    /// and ref, which have no parents, end that walk. What is sent is made without replacements.
    fn without_history(&self, repo: &Repo, expected: Option<&Oid>) -> Result<Nowhere> {
        let mut nowhere = Nowhere::make(&repo.git)?;
        nowhere.repo.place.also_objects = repo.place.also_objects.clone();
        nowhere.repo.place.also_objects.push(self.checkout.store.objects_dir());
        let ends: Vec<&Oid> = [&self.base].into_iter().chain(expected).collect();
        let names: Vec<&str> = ends.iter().map(|end| end.as_str()).collect();
        let commits = nowhere.repo.objects()?.commits(&names)?;
        for (end, commit) in ends.into_iter().zip(commits) {
            // Git does not walk to one that is not here.
            let Some((_, commit)) = commit else { continue };
            let root =
                nowhere.repo.commit_tree(&commit.tree, &[], &format!("{end} without history\n"), &Signature::Fixed)?;
            write_ref(&nowhere.repo.place.git_dir, &format!("refs/replace/{end}"), &root)?;
        }
        Ok(nowhere)
    }

    pub(super) fn failed(&self, output: Output) -> Error {
        self.checkout
            .store
            .remote_error(output, "push to")
            .hint("nothing was changed here: the recordings are as they were")
    }
}
