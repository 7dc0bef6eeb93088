//! One run of [`Store::ensure`](super::Store::ensure): look what is here, fetch what is not, a part at a time, and look at
//! each part while the next is on its way.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};

use super::lane::{self, LANES, Merging, Missing};
use super::lock::{self, Lock};
use super::parts::{Part, divide};
use super::{Ready, Store, Want, filter, listing, lock_file, paths};
use crate::error::{Error, Kind, Result, shell_word};
use crate::git::Filter;
use crate::git::objects::Objects;
use crate::manifest::Pin;
use crate::names::{Oid, RefName};

/// The tips of the remote's branches that absent pins stand for, by the wanted pin.
pub type Tips = HashMap<Pin, Oid>;

/// How what is looked at came here.
#[derive(Clone, Copy, PartialEq)]
enum Came {
    /// Some time, perhaps not all of it.
    Before,
    /// With all its files: one of them tells whether that was worth it.
    Whole,
    /// Without any, into a store that was empty: there is no need to ask for each file whether it is here, which is slow
    /// for those that are not.
    WithoutFiles,
}

/// Why a want is not ready yet.
enum Lacking {
    /// The commit, or a tree of it.
    Commit,
    /// These file contents.
    Blobs(Vec<Oid>),
}

/// What some wants, by their indexes, came to.
pub type Answers = Vec<(usize, Result<Ready>)>;

/// One run of [`Store::ensure`](super::Store::ensure).
pub struct Work<'a> {
    pub store: &'a Store,
    pub wants: &'a [Want],
    /// Objects of checkouts that another tool made: what is there need not be downloaded.
    pub also_objects: &'a [PathBuf],
    /// Which wants have not been told of.
    pub open: Vec<bool>,
    pub deliver: &'a mut dyn FnMut(Answers),
    pub tips: Tips,
}

impl Work<'_> {
    pub fn run(&mut self) -> Result<()> {
        let store = self.store;
        let repo = store.with_objects_of(self.also_objects);
        let mut objects = None;
        if store.exists() {
            let open = self.still_open();
            self.look(objects.insert(repo.objects()?), open, Came::Before)?;
        }
        if self.still_open().is_empty() {
            return Ok(());
        }
        if store.access.offline {
            let pins: Vec<String> =
                self.still_open().into_iter().map(|index| self.wants[index].pin.to_string()).collect();
            return Err(store.not_here_while_offline(&pins));
        }
        store.make_stores_folder()?;
        let _lock = Lock::take(&lock_file(&store.dir), &store.access.patience, store.repo.git.report())?;
        let is_new = store.create()?;
        lock::remove_stale_git_locks(&store.dir)?;
        lock::remove_unfinished_packs(&store.dir);
        lane::take_in_left_over(&store.dir)?;
        self.find_tips()?;
        let mut objects = match objects {
            Some(objects) => objects,
            None => repo.objects()?,
        };
        let open = self.still_open();
        // Looks again: whoever had the lock may have fetched it for us.
        let lacking = match is_new {
            true => open.into_iter().map(|index| (index, Lacking::Commit)).collect(),
            false => self.look(&mut objects, open, Came::Before)?,
        };
        let empty = is_new && self.also_objects.is_empty();
        let lacking = self.fetch_commits(&mut objects, lacking, empty)?;
        self.fetch_blobs(&mut objects, lacking)?;
        store.repo.git.report().phase("");
        for index in self.still_open() {
            let error = Error::failed(format!("`{}` did not send all of {}", store.name, self.wants[index].pin));
            self.tell(vec![(index, Err(error))]);
        }
        Ok(())
    }

    fn still_open(&self) -> Vec<usize> {
        (0..self.wants.len()).filter(|&index| self.open[index]).collect()
    }

    fn tell(&mut self, answers: Answers) {
        answers.iter().for_each(|(index, _)| self.open[*index] = false);
        if !answers.is_empty() {
            (self.deliver)(answers);
        }
    }

    /// Looks which of some wants are ready, and tells of these together: what arrives together is shown together.
    /// Returns what the others lack.
    fn look(&mut self, objects: &mut Objects, wants: Vec<usize>, came: Came) -> Result<Vec<(usize, Lacking)>> {
        let (mut lacking, mut answers) = (Vec::new(), Answers::new());
        let mut is_judged = came != Came::Whole;
        for index in wants {
            match self.look_at(objects, &self.wants[index], came) {
                Ok(Ok(ready)) => {
                    if !std::mem::replace(&mut is_judged, true) {
                        filter::remember(&self.store.dir, objects, &ready)?;
                    }
                    answers.push((index, Ok(ready)));
                }
                Ok(Err(lacks)) => lacking.push((index, lacks)),
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(error)
                    if error.message.contains("gave no usable answer")
                        || error.message.contains("ended unexpectedly") =>
                {
                    return Err(error);
                }
                Err(error) => answers.push((index, Err(error))),
            }
        }
        self.tell(answers);
        Ok(lacking)
    }

    fn look_at(&self, objects: &mut Objects, want: &Want, came: Came) -> Result<std::result::Result<Ready, Lacking>> {
        let name = match &want.pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => tag.tag_ref(),
            Pin::Tip { .. } => match self.tips.get(&want.pin) {
                Some(oid) => oid.to_string(),
                None => return Ok(Err(Lacking::Commit)),
            },
        };
        let Some((commit, details)) = objects.commit(&name)? else { return Ok(Err(Lacking::Commit)) };
        let tag = match &want.pin {
            Pin::Tag(tag) => objects.info(&tag.tag_ref())?.map(|info| info.oid),
            _ => None,
        };
        let limits = &self.store.access.limits;
        let Some(mut listing) = listing::list(objects, &details.tree, &want.slice, limits)? else {
            return Ok(Err(Lacking::Commit));
        };
        paths::check_listing(&listing.files, limits)?;
        let missing = match came {
            Came::WithoutFiles => listing.blobs(),
            _ => listing::missing_blobs(objects, &mut listing)?,
        };
        if !missing.is_empty() {
            return Ok(Err(Lacking::Blobs(missing)));
        }
        Ok(Ok(Ready { commit, tag, listing }))
    }

    /// Finds out which commits the absent pins stand for; one request for all of them.
    fn find_tips(&mut self) -> Result<()> {
        let open: Vec<usize> =
            self.still_open().into_iter().filter(|&index| matches!(self.wants[index].pin, Pin::Tip { .. })).collect();
        if open.is_empty() {
            return Ok(());
        }
        let wants = self.wants;
        let mut names: Vec<String> =
            open.iter().flat_map(|&index| wants[index].pin.branches()).map(RefName::branch_ref).collect();
        names.sort();
        names.dedup();
        let refs = self.store.remote_refs(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        for index in open {
            let pin = &wants[index].pin;
            let branch = pin.branches().find_map(|branch| refs.get(&branch.branch_ref()));
            let default = matches!(pin, Pin::Tip { default: true, .. });
            match branch.or_else(|| refs.get("HEAD").filter(|_| default)) {
                Some(tip) => drop(self.tips.insert(pin.clone(), tip.clone())),
                None => self.tell(vec![(index, Err(self.no_branch(&wants[index])))]),
            }
        }
        Ok(())
    }

    /// Fetches the commits that are lacking, with their trees; with all their files where that is what is wanted of them.
    /// Returns what is lacking then. `empty`: there are no objects here before.
    fn fetch_commits(
        &mut self,
        objects: &mut Objects,
        lacking: Vec<(usize, Lacking)>,
        empty: bool,
    ) -> Result<Vec<(usize, Lacking)>> {
        let (commits, mut lacking): (Vec<_>, Vec<_>) =
            lacking.into_iter().partition(|(_, lacks)| matches!(lacks, Lacking::Commit));
        let (whole, without_blobs): (Vec<_>, Vec<_>) = commits
            .into_iter()
            .map(|(index, _)| (index, vec![self.refspec(&self.wants[index].pin)]))
            .partition(|(index, _)| filter::for_pin(&self.store.dir, &self.wants[*index].pin) == Filter::Nothing);
        let mut parts = divide(whole, Filter::Nothing, true);
        if !without_blobs.is_empty() {
            // Small, whatever their number; the files come in parts.
            parts.insert(0, Part { wants: without_blobs, filter: Filter::NoBlobs, shallow: true });
        }
        if !parts.is_empty() {
            self.store.repo.git.report().phase(&format!("fetching from `{}`", self.store.name));
            lacking.extend(self.fetch_parts(objects, parts, empty)?);
        }
        Ok(lacking)
    }

    fn fetch_blobs(&mut self, objects: &mut Objects, lacking: Vec<(usize, Lacking)>) -> Result<()> {
        let mut wants: Vec<(usize, Vec<String>)> = Vec::new();
        for (index, lacks) in lacking {
            if let Lacking::Blobs(blobs) = lacks {
                wants.push((index, blobs.iter().map(Oid::to_string).collect()));
            }
        }
        let files: usize = wants.iter().map(|(_, blobs)| blobs.len()).sum();
        if files > 0 {
            self.store.repo.git.report().phase(&format!("fetching {files} files from `{}`", self.store.name));
            self.fetch_parts(objects, divide(wants, Filter::NoBlobs, false), false)?;
        }
        Ok(())
    }

    /// Fetches parts, in a few lanes, and looks at each while others are on their way. Returns what is lacking then.
    fn fetch_parts(&mut self, objects: &mut Objects, parts: Vec<Part>, empty: bool) -> Result<Vec<(usize, Lacking)>> {
        let store = self.store;
        let (sender, fetched) = mpsc::channel();
        let (queue, merging) = (Mutex::new(VecDeque::from(parts)), Merging::default());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        std::thread::scope(|scope| {
            for lane in 0..LANES {
                let (sender, next, merging) = (sender.clone(), &next, &merging);
                scope.spawn(move || {
                    while let Some(part) = next() {
                        let missing = store.fetch_part(&part, lane, merging);
                        if sender.send((part, missing)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let (mut lacking, mut failed) = (Vec::new(), None);
            for (part, missing) in fetched {
                match missing.and_then(|missing| self.look_at_part(objects, part, missing, empty)) {
                    Ok(lacks) => lacking.extend(lacks),
                    Err(error) => {
                        // The other lane ends its part, and what it brings is of use.
                        while next().is_some() {}
                        failed.get_or_insert(error);
                    }
                }
            }
            failed.map_or(Ok(lacking), Err)
        })
    }

    fn look_at_part(
        &mut self,
        objects: &mut Objects,
        part: Part,
        missing: Missing,
        empty: bool,
    ) -> Result<Vec<(usize, Lacking)>> {
        for (index, error) in missing {
            self.tell(vec![(index, Err(self.no_pin(&self.wants[index], &error)))]);
        }
        let open = part.wants.iter().map(|(index, _)| *index).filter(|index| self.open[*index]).collect();
        let came = match part.filter {
            Filter::Nothing => Came::Whole,
            Filter::NoBlobs if empty && part.shallow => Came::WithoutFiles,
            Filter::NoBlobs => Came::Before,
        };
        self.look(objects, open, came)
    }

    fn refspec(&self, pin: &Pin) -> String {
        match pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => format!("+{0}:{0}", tag.tag_ref()),
            Pin::Tip { .. } => self.tips.get(pin).map(Oid::to_string).unwrap_or_default(),
        }
    }

    fn no_pin(&self, want: &Want, cause: &Error) -> Error {
        let mut error = Error::failed(format!("{} is not in assets repo `{}`", want.pin, self.store.name));
        error.hints.extend(Some(want.advice.clone()).filter(|advice| !advice.is_empty()));
        error.causes = cause.causes.clone();
        match want.pin {
            Pin::Tag(_) => error,
            _ => error
                .hint("if the branch was rewritten or deleted, ask whoever pushed the recordings to push them again"),
        }
    }

    fn no_branch(&self, want: &Want) -> Error {
        let names: Vec<String> = want.pin.branches().map(|branch| format!("`{branch}`")).collect();
        Error::failed(format!("assets repo `{}` has no branch {}", self.store.name, names.join(" and no branch ")))
            .cause("the `assets.json` has no pin, which means the tip of that branch")
            .hint(want.advice.clone())
            .hint(format!("the branches there: `git ls-remote --heads {}`", shell_word(self.store.url.as_str())))
    }
}
