//! A git directory of its own for a download into the store. Git lets only one fetch at a time change a repository's
//! `shallow` file; from a lane each, several write into the objects of one store together. What a lane has learned, which
//! refs there are and which commits have no history here, goes into the store when its fetch has ended, or when the next
//! command finds the lane of one that was killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::files::{entries_of, text_if_there};
use super::git_dir::{self, refs_below, write_atomically, write_ref};
use super::lock::Mark;
use super::parts::Part;
use super::{CONFIG, HEAD, Store};
use crate::error::{AtPath, Error, Result};
use crate::git::failure::Failure;
use crate::git::{FetchRequest, Filter, Repo};

/// How many fetches run at a time: while one waits for the server or puts its pack in place, the other uses the line.
pub const LANES: usize = 2;

/// The wants of a call that the remote refuses, and its own words about each.
pub type Refused = Vec<(usize, Refusal)>;

/// That the remote does not send what it was asked for.
#[derive(Clone)]
pub struct Refusal {
    pub failure: Failure,
    pub error: Error,
    /// Whether it was asked for files.
    pub of_files: bool,
}

/// Held by whoever brings the knowledge of a lane into the store.
pub type Merging = Mutex<()>;

impl Store {
    /// Fetches a part from a lane. Git stops at the first ref or commit that is not there and names it: the others are
    /// asked for again. Call it under the store's lock.
    pub(super) fn fetch_part(&self, part: &Part, lane: usize, merging: &Merging) -> Result<Refused> {
        self.in_lane(lane, &self.shallow()?, merging, |repo| self.fetch_from(repo, part))
    }

    /// Fetches refs with some of their history, without keeping the refs. Call it under the store's lock.
    pub(super) fn fetch_history(&self, refs: Vec<String>, depth: u32, filter: Filter) -> Result<()> {
        // Knowing of no commit without history: to such a one the server would only add what came before it.
        self.in_lane(0, "", &Merging::default(), |repo| {
            let request = FetchRequest { wants: refs, filter, depth: Some(depth) };
            let output = repo.fetch(&self.url, &request)?;
            if output.succeeded() { Ok(()) } else { Err(self.remote_error(output, "fetch from")) }
        })
    }

    /// Fetches from a new lane that knows of these commits without history.
    fn in_lane<T>(
        &self,
        lane: usize,
        shallow: &str,
        merging: &Merging,
        fetch: impl FnOnce(&Repo) -> Result<T>,
    ) -> Result<T> {
        let lanes = lanes_folder(&self.dir);
        std::fs::create_dir_all(&lanes).at("create", &lanes)?;
        let folder = tempfile::Builder::new().prefix(".lane-").tempdir_in(&lanes).at("write into", &lanes)?;
        // Until its fetch has ended, also when this process is killed: the next one must not take the place away.
        let _mark = Mark::set(folder.path())?;
        git_dir::create(folder.path(), CONFIG, HEAD)?;
        if !shallow.is_empty() {
            write_atomically(&folder.path().join("shallow"), shallow.as_bytes(), false)?;
        }
        let mut repo = self.repo.clone();
        repo.git = repo.git.in_lane(lane);
        repo.place.git_dir = folder.path().to_path_buf();
        repo.place.write_objects = Some(self.objects_dir());
        let result = fetch(&repo);
        let _guard = merging.lock().unwrap_or_else(PoisonError::into_inner);
        take_in(&self.dir, folder.path())?;
        result
    }

    fn fetch_from(&self, lane: &Repo, part: &Part) -> Result<Refused> {
        let mut wants: Vec<&(usize, Vec<String>)> = part.wants.iter().collect();
        let mut refused = Refused::new();
        while !wants.is_empty() {
            let mut refspecs: Vec<String> = wants.iter().flat_map(|(_, refspecs)| refspecs).cloned().collect();
            refspecs.sort();
            refspecs.dedup();
            let request = FetchRequest { wants: refspecs, filter: part.filter, depth: part.shallow.then_some(1) };
            let output = lane.fetch(&self.url, &request)?;
            if output.succeeded() {
                break;
            }
            // Whole words: one tag may begin like another.
            let words: Vec<&str> = output.stderr.split_ascii_whitespace().collect();
            let is_named = |refspecs: &[String]| {
                let mut names = refspecs.iter().flat_map(|refspec| refspec.trim_start_matches('+').split(':'));
                names.any(|name| words.contains(&name))
            };
            // Of files it may name one that stands for all.
            let (named, others): (Vec<_>, Vec<_>) =
                wants.into_iter().partition(|(_, refspecs)| !part.shallow || is_named(refspecs));
            let failure = output.failure();
            let error = self.remote_error(output, "fetch from");
            if !matches!(failure, Failure::MissingRef | Failure::NotById) || named.is_empty() {
                return Err(error);
            }
            let refusal = Refusal { failure, error, of_files: !part.shallow };
            refused.extend(named.into_iter().map(|(index, _)| (*index, refusal.clone())));
            wants = others;
        }
        Ok(refused)
    }
}

/// Brings what killed fetches have learned into the store in `dir`. One that still runs keeps its lane, and is taken in
/// again by a later command. Call it under the store's lock.
pub fn take_in_left_over(dir: &Path) -> Result<()> {
    for lane in lanes_of(dir)? {
        // Asked first: what the fetch wrote at its end is taken in.
        let is_in_use = Mark::is_on(&lane)?;
        take_in(dir, &lane)?;
        if !is_in_use {
            std::fs::remove_dir_all(&lane).at("remove", &lane)?;
        }
    }
    Ok(())
}

/// Every commit without history that the store in `dir` knows of, as the lines of a `shallow` file. A pack is in place
/// before its fetch has ended, so the lanes are asked too, and the file that git is about to put in place there.
///
/// # Errors
/// When one of these files cannot be read: git would take a commit whose parents are not here for damaged.
pub fn shallow(dir: &Path) -> Result<String> {
    let mut lines = BTreeSet::new();
    read_shallow(&mut lines, dir)?;
    for lane in lanes_of(dir)? {
        read_shallow(&mut lines, &lane)?;
    }
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn read_shallow(lines: &mut BTreeSet<String>, git_dir: &Path) -> Result<()> {
    for name in ["shallow", "shallow.lock"] {
        let text = text_if_there(&git_dir.join(name))?.unwrap_or_default();
        // A line that is cut short is none yet.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        lines.extend(whole.map(str::to_string));
    }
    Ok(())
}

/// The commits first: a ref promises that what it leads to can be worked with.
fn take_in(store: &Path, lane: &Path) -> Result<()> {
    let (known, mut all) = (text_if_there(&store.join("shallow"))?.unwrap_or_default(), BTreeSet::new());
    read_shallow(&mut all, store)?;
    read_shallow(&mut all, lane)?;
    let text: String = all.into_iter().map(|line| line + "\n").collect();
    if text != known {
        write_atomically(&store.join("shallow"), text.as_bytes(), true)?;
    }
    for (name, oid) in refs_below(lane, "refs/")? {
        write_ref(store, &format!("refs/{name}"), &oid)?;
    }
    Ok(())
}

fn lanes_folder(store: &Path) -> PathBuf {
    store.join("lanes")
}

fn lanes_of(store: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries_of(&lanes_folder(store))?.into_iter().map(|entry| entry.path()).collect())
}
