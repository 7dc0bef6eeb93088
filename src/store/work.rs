//! One run of [`Store::ensure`](super::Store::ensure): look what is here, fetch what is not, a part at a time, and look at
//! each part while the next is on its way.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};

use super::census::Census;
use super::lane::{self, LANES, Merging, Refused};
use super::listing::{self, Listing, Missing};
use super::lock::{self, Lock};
use super::parts::{Part, divide};
use super::{Ready, Store, Want, filter, lock_file, paths};
use crate::error::{Error, Result, shell_word};
use crate::git::Filter;
use crate::git::objects::Objects;
use crate::manifest::Pin;
use crate::names::{Oid, RefName};
use crate::units::count;

/// The tips of the remote's branches that absent pins stand for, by the wanted pin.
pub type Tips = HashMap<Pin, Oid>;

/// Why a want is not ready yet.
pub(super) enum Lacking {
    /// The commit, or a tree of it.
    Commit,
    /// The contents of some files.
    Files(Missing),
}

/// What the server was asked for of what is looked at.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Asked {
    /// Nothing, or the commits: files may be here from an earlier time.
    Commits,
    /// The commits, for a store that was empty: no file can be here.
    FirstCommits,
    /// The files that were missing.
    Files,
    /// All files of the commit.
    Whole,
}

/// What was found of a want: its commit, what its tag points to, its files.
type Found = Option<(Oid, Option<Oid>, Listing)>;

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
    pub census: Census,
    pub tips: Tips,
    /// Which wants the server refused to send by an id, and why.
    pub refused: Refused,
}

impl Store {
    /// Downloads file contents by their ids, in one request; nothing when there are none.
    ///
    /// # Errors
    /// When the remote cannot be asked, or does not have them.
    pub fn ensure_blobs(&self, blobs: &[Oid]) -> Result<()> {
        let filter = filter::large(&self.access.limits);
        self.download(blobs, filter, false, &format!("{} above the slices", count(blobs.len(), "file")))
    }

    /// Downloads commits with all their trees, also where some are here: a store may have a commit without trees that no slice
    /// needed so far.
    ///
    /// # Errors
    /// When the remote cannot be asked, or does not have them.
    pub fn fetch_trees(&self, commits: &[Oid]) -> Result<()> {
        self.download(commits, Filter::NoBlobs, true, &format!("the folders of {}", count(commits.len(), "commit")))
    }

    fn download(&self, ids: &[Oid], filter: Filter, shallow: bool, what: &str) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        if self.access.offline {
            return Err(self.not_here_while_offline(&[what.to_string()]));
        }
        self.make_stores_folder()?;
        let _lock = Lock::take(&lock_file(&self.dir), &self.access.patience, self.repo.git.report())?;
        self.create()?;
        lock::remove_stale_git_locks(&self.dir)?;
        lane::take_in_left_over(&self.dir)?;
        let wants = vec![(0, ids.iter().map(Oid::to_string).collect())];
        self.fetch_part(&Part { wants, filter, shallow }, 0, &Merging::default()).map(drop)
    }
}

impl Work<'_> {
    pub fn run(&mut self) -> Result<()> {
        let store = self.store;
        let repo = store.with_objects_of(self.also_objects);
        let mut objects = None;
        if store.exists()? {
            let open = self.still_open();
            self.look(objects.insert(repo.objects()?), open, Asked::Commits)?;
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
        let is_new = store.create_locked()?;
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
            false => self.look(&mut objects, open, Asked::Commits)?,
        };
        let first = if is_new && self.also_objects.is_empty() { Asked::FirstCommits } else { Asked::Commits };
        let lacking = self.fetch_commits(&mut objects, lacking, first)?;
        self.fetch_files(&mut objects, lacking)?;
        self.fetch_otherwise(&mut objects)?;
        store.repo.git.report().phase("");
        for index in self.still_open() {
            let error = Error::failed(format!("`{}` did not send all of {}", store.name, self.wants[index].pin));
            self.tell(vec![(index, Err(error))]);
        }
        Ok(())
    }

    pub(super) fn still_open(&self) -> Vec<usize> {
        (0..self.wants.len()).filter(|&index| self.open[index]).collect()
    }

    pub(super) fn tell(&mut self, answers: Answers) {
        answers.iter().for_each(|(index, _)| self.open[*index] = false);
        if !answers.is_empty() {
            (self.deliver)(answers);
        }
    }

    /// Looks which of some wants are ready, and tells of these together: what arrives together is shown together.
    /// Returns what the others lack.
    pub(super) fn look(
        &mut self,
        objects: &mut Objects,
        wants: Vec<usize>,
        asked: Asked,
    ) -> Result<Vec<(usize, Lacking)>> {
        /// So many are listed at a time: the listings of a whole repo take more memory than all else.
        const LISTED: usize = 64;
        let (mut lacking, mut answers) = (Vec::new(), Answers::new());
        let mut is_judged = asked != Asked::Whole;
        for wants in wants.chunks(LISTED) {
            for (index, found) in self.find(objects, wants)? {
                match found.and_then(|found| self.missing_of(objects, found, asked)) {
                    Ok(Ok(ready)) => {
                        // One of them tells whether that was worth it.
                        if !std::mem::replace(&mut is_judged, true) {
                            filter::remember(&self.store.dir, objects, &ready)?;
                        }
                        answers.push((index, Ok(ready)));
                    }
                    Ok(Err(Lacking::Files(missing))) if matches!(asked, Asked::Files | Asked::Whole) => {
                        let error = paths::too_large(&missing.path, &self.store.access.limits);
                        answers
                            .push((index, Err(error.cause("the server was asked to leave out such files, and did"))));
                    }
                    Ok(Err(lacks)) => lacking.push((index, lacks)),
                    Err(error) if objects.is_broken() => return Err(error),
                    Err(error) => answers.push((index, Err(error))),
                }
            }
        }
        self.tell(answers);
        Ok(lacking)
    }

    /// Finds the commits of some wants, and the files of their slices.
    fn find(&mut self, objects: &mut Objects, wants: &[usize]) -> Result<Vec<(usize, Result<Found>)>> {
        let limits = &self.store.access.limits;
        let (mut found, mut named) = (Vec::with_capacity(wants.len()), Vec::new());
        for &index in wants {
            match self.name_of(&self.wants[index].pin) {
                Some(name) => named.push((index, name)),
                None => found.push((index, Ok(None))),
            }
        }
        let names: Vec<&str> = named.iter().map(|(_, name)| name.as_str()).collect();
        let (commits, tags) = (objects.commits(&names)?, objects.infos(&names)?);
        let mut here = Vec::new();
        for (((index, _), commit), tag) in named.iter().zip(commits).zip(tags) {
            let is_tag = matches!(self.wants[*index].pin, Pin::Tag(_));
            match commit {
                Some((oid, commit)) => here.push((*index, oid, tag.filter(|_| is_tag).map(|tag| tag.oid), commit.tree)),
                None => found.push((*index, Ok(None))),
            }
        }
        self.census.read_ahead(objects, here.iter().map(|(.., root)| root.clone()).collect(), limits)?;
        let (mut slices, mut to_list) = (Vec::new(), Vec::new());
        for (index, commit, tag, root) in here {
            match self.census.check_commit(objects, &root, limits) {
                Err(error) if objects.is_broken() => return Err(error),
                Err(error) => found.push((index, Err(error))),
                Ok(()) => {
                    slices.push((root, &self.wants[index].slice));
                    to_list.push((index, commit, tag));
                }
            }
        }
        let listings = listing::list_each(objects, &mut self.census, &slices, limits)?;
        found.extend(to_list.into_iter().zip(listings).map(|((index, commit, tag), listing)| {
            (index, listing.map(|listing| listing.map(|listing| (commit, tag, listing))))
        }));
        Ok(found)
    }

    /// How the object database knows the commit of a pin.
    fn name_of(&self, pin: &Pin) -> Option<String> {
        match pin {
            Pin::Commit(oid) => Some(oid.to_string()),
            Pin::Tag(tag) => Some(tag.tag_ref()),
            Pin::Tip { .. } => self.tips.get(pin).map(Oid::to_string),
        }
    }

    fn missing_of(
        &self,
        objects: &mut Objects,
        found: Found,
        asked: Asked,
    ) -> Result<std::result::Result<Ready, Lacking>> {
        let Some((commit, tag, mut listing)) = found else { return Ok(Err(Lacking::Commit)) };
        let limits = &self.store.access.limits;
        paths::check_listing(&listing, limits)?;
        let missing = match asked {
            Asked::FirstCommits => listing::all_files(&listing),
            _ => listing::missing_files(objects, &mut listing)?,
        };
        paths::check_sizes(&listing, limits)?;
        Ok(match missing {
            Some(missing) => Err(Lacking::Files(missing)),
            None => Ok(Ready { commit, tag, listing }),
        })
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
    /// Returns what is lacking then.
    fn fetch_commits(
        &mut self,
        objects: &mut Objects,
        lacking: Vec<(usize, Lacking)>,
        asked: Asked,
    ) -> Result<Vec<(usize, Lacking)>> {
        let (commits, mut lacking): (Vec<_>, Vec<_>) =
            lacking.into_iter().partition(|(_, lacks)| matches!(lacks, Lacking::Commit));
        let limits = &self.store.access.limits;
        let large = filter::large(limits);
        let (whole, without_blobs): (Vec<_>, Vec<_>) = commits
            .into_iter()
            .map(|(index, _)| (index, vec![self.refspec(&self.wants[index].pin)]))
            .partition(|(index, _)| filter::for_pin(&self.store.dir, &self.wants[*index].pin, limits) == large);
        let mut parts = divide(whole, large, true);
        if !without_blobs.is_empty() {
            // Small, whatever their number; the files come in parts.
            parts.insert(0, Part { wants: without_blobs, filter: Filter::NoBlobs, shallow: true });
        }
        if !parts.is_empty() {
            self.store.repo.git.report().phase(&format!("fetching from `{}`", self.store.name));
            lacking.extend(self.fetch_parts(objects, parts, asked)?);
        }
        Ok(lacking)
    }

    fn fetch_files(&mut self, objects: &mut Objects, lacking: Vec<(usize, Lacking)>) -> Result<()> {
        let mut wants: Vec<(usize, Vec<String>)> = Vec::new();
        let mut files = 0;
        for (index, lacks) in lacking {
            if let Lacking::Files(missing) = lacks {
                files += missing.count;
                wants.push((index, missing.ask.iter().map(Oid::to_string).collect()));
            }
        }
        if files > 0 {
            self.store.repo.git.report().phase(&format!("fetching {files} files from `{}`", self.store.name));
            let large = filter::large(&self.store.access.limits);
            self.fetch_parts(objects, divide(wants, large, false), Asked::Files)?;
        }
        Ok(())
    }

    /// Fetches parts, in a few lanes, and looks at each while others are on their way. Returns what is lacking then.
    fn fetch_parts(&mut self, objects: &mut Objects, parts: Vec<Part>, asked: Asked) -> Result<Vec<(usize, Lacking)>> {
        let store = self.store;
        let (sender, fetched) = mpsc::channel();
        let lanes = LANES.min(parts.len());
        let (queue, merging) = (Mutex::new(VecDeque::from(parts)), Merging::default());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                let (sender, next, merging) = (sender.clone(), &next, &merging);
                scope.spawn(move || {
                    while let Some(part) = next() {
                        let refused = store.fetch_part(&part, lane, merging);
                        if sender.send((part, refused)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let (mut lacking, mut failed) = (Vec::new(), None);
            for (part, refused) in fetched {
                match refused.and_then(|refused| self.look_at_part(objects, &part, refused, asked)) {
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
        part: &Part,
        refused: Refused,
        asked: Asked,
    ) -> Result<Vec<(usize, Lacking)>> {
        let mut open: Vec<usize> = part.wants.iter().map(|(index, _)| *index).collect();
        for (index, refusal) in refused {
            open.retain(|open| *open != index);
            match self.wants[index].pin {
                Pin::Tag(_) if part.shallow => {
                    self.tell(vec![(index, Err(self.no_pin(&self.wants[index], refusal.error)))]);
                }
                // There may be another way to it.
                _ => self.refused.push((index, refusal)),
            }
        }
        open.retain(|index| self.open[*index]);
        let is_whole = part.shallow && part.filter != Filter::NoBlobs;
        self.look(objects, open, if is_whole { Asked::Whole } else { asked })
    }

    pub(super) fn refspec(&self, pin: &Pin) -> String {
        match pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => format!("+{0}:{0}", tag.tag_ref()),
            Pin::Tip { .. } => self.tips.get(pin).map(Oid::to_string).unwrap_or_default(),
        }
    }

    pub(super) fn no_pin(&self, want: &Want, cause: Error) -> Error {
        let mut error = Error::failed(format!("{} is not in assets repo `{}`", want.pin, self.store.name));
        error.hints.extend(Some(want.advice.clone()).filter(|advice| !advice.is_empty()));
        error.causes = cause.causes;
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
