//! Stash entries: pending changes that were put aside. An entry is a commit on a ref of the checkout, with everything in
//! it: modified and new files, and what is deleted. (`git stash create` makes nothing of new files alone.)

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{apply, join, merge};
use crate::error::{AtPath, Error, Result};
use crate::git::Signature;
use crate::git::parse::{Blob, Change, ChangeKind, TreeChange};
use crate::manifest::Pin;
use crate::names::{Oid, RepoPath};
use crate::store::apart::Apart;
use crate::store::checkout::Checkout;
use crate::store::git_dir::{path_of_ref_name, ref_name_of, refs_below, write_ref};
use crate::store::{Want, listing};
use crate::units::count;

/// Refs below this are stash entries: `<slice>/%<number>`, the highest number is the newest.
const STASH: &str = "refs/assets/stash/";

/// One stash entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The slice whose changes it holds; the root for changes of several.
    pub slice: RepoPath,
    /// Counts up for each slice, from 1.
    pub number: u32,
    pub commit: Oid,
    /// Why it was made.
    pub reason: String,
    /// Seconds since 1970.
    pub time: i64,
    pub files: Vec<Change>,
    /// The entry that was brought back over these files. As long as there is that entry too, its way back was interrupted.
    pub replaced_by: Option<Oid>,
}

/// Puts the pending changes of a slice into a new entry; the work tree stays as it is.
pub fn create(checkout: &Checkout, slice: &RepoPath, pending: &[Change], reason: &str) -> Result<Oid> {
    let head = checkout.head()?.ok_or_else(|| Error::failed(format!("`{}` has no HEAD", checkout.dir.display())))?;
    let index = checkout.index_of_head()?;
    let paths: Vec<&str> = pending.iter().map(|change| change.path.as_str()).collect();
    // What is somebody's own must not be in the store alone, which may be deleted.
    let apart = Apart::begin(&checkout.git_dir)?;
    apart.only(&checkout.repo).update_index(&index, &paths)?;
    let tree = checkout.repo.write_tree(&index)?;
    apart.write_trees(&checkout.repo, &mut checkout.objects()?, &tree, &paths)?;
    apart.keep()?;
    // The date is the entry's only news; a fixed identity works for users who told git none.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let message = format!("{reason}\n\ntime {now}\n");
    let commit = checkout.repo.commit_tree(&tree, &[&head], &message, &Signature::Fixed)?;
    let number = numbers(checkout, slice)?.last().map_or(1, |(number, _)| number + 1);
    write_ref(&checkout.git_dir, &format!("{STASH}{}%{number:04}", ref_name_of(slice)), &commit)?;
    let _ = std::fs::remove_file(&index);
    Ok(commit)
}

/// The entries of all slices, or of one, newest last.
pub fn list(checkout: &Checkout, slice: Option<&RepoPath>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, commit) in refs_below(&checkout.git_dir, STASH)? {
        let Some((path, number)) = split(&name) else { continue };
        if slice.is_none_or(|slice| *slice == path || path.is_root()) {
            entries.push((path, number, commit));
        }
    }
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    fetch_bases(checkout, &entries)?;
    let mut objects = checkout.objects()?;
    let names: Vec<String> = entries.iter().map(|(_, _, commit)| commit.to_string()).collect();
    let mut listed = Vec::new();
    for ((slice, number, commit), content) in entries.into_iter().zip(objects.contents(&names)?) {
        let text = content.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let body = text.split_once("\n\n").map_or("", |(_, body)| body);
        let time = body.lines().find_map(|line| line.strip_prefix("time ")).and_then(|time| time.parse().ok());
        let files = changes(checkout, &commit)?.iter().map(to_change).collect();
        let replaced_by = body.lines().find_map(|line| Oid::parse(line.strip_prefix("replaced by ")?).ok());
        let reason = body.lines().next().unwrap_or_default().to_string();
        listed.push(Entry { slice, number, commit, reason, time: time.unwrap_or(0), files, replaced_by });
    }
    listed.sort_by_key(|entry| (entry.time, entry.number));
    Ok(listed)
}

/// Makes sure that the commits which entries are changes of are here: they may have gone with a deleted store, and
/// the slices may be shown at other pins by now.
fn fetch_bases(checkout: &Checkout, entries: &[(RepoPath, u32, Oid)]) -> Result<()> {
    let limits = &checkout.store.access().limits;
    let shown: Vec<RepoPath> = checkout.slices()?.into_keys().collect();
    let mut objects = checkout.objects()?;
    let mut wants = Vec::new();
    for (slice, _, entry) in entries {
        let Some(base) = objects.first_parent(entry)? else { continue };
        let commit = objects.commit(base.as_str())?;
        // An entry of the root holds changes of several slices.
        for slice in if slice.is_root() { &shown[..] } else { std::slice::from_ref(slice) } {
            if let Some((_, commit)) = &commit
                && listing::list(&mut objects, &commit.tree, slice, limits)?.is_some()
            {
                continue;
            }
            // A composite is here itself; what it is made of are its parents.
            let parents = objects.parents(&base)?;
            for pin in if commit.is_some() { parents } else { vec![base.clone()] } {
                wants.push(Want { pin: Pin::Commit(pin), slice: slice.clone(), advice: String::new() });
            }
        }
    }
    if !wants.is_empty() {
        // Not all parents of a composite have the slice, or are still there.
        checkout.store.ensure(&wants, &[], &mut |_| {})?;
        checkout.borrow_from_store()?;
    }
    Ok(())
}

/// How many entries each slice has, by their refs alone; those of the root hold changes of several slices.
pub fn counts(git_dir: &Path) -> Result<BTreeMap<RepoPath, usize>> {
    let mut counts = BTreeMap::new();
    for name in refs_below(git_dir, STASH)?.into_keys() {
        if let Some((slice, _)) = split(&name) {
            *counts.entry(slice).or_default() += 1;
        }
    }
    Ok(counts)
}

/// How a pop went.
pub enum Popped {
    /// Its changes are in the work tree again, and the entry is gone.
    Back(Entry),
    /// These files have been changed since, in the work tree or by another pin; nothing was done.
    Conflict(Vec<String>),
    /// There is no entry.
    Nothing,
}

/// Brings the newest entry of a slice back. With `prefer_stashed` its files win over what is there now, which is put
/// aside. Whoever runs it again after an interruption completes it.
pub fn pop(checkout: &Checkout, slice: &RepoPath, prefer_stashed: bool) -> Result<Popped> {
    let mut entries = list(checkout, Some(slice))?;
    let Some(newest) = entries.pop() else { return Ok(Popped::Nothing) };
    let interrupted = entries.into_iter().find(|entry| newest.replaced_by.as_ref() == Some(&entry.commit));
    let (entry, replaced, prefer_stashed) = match interrupted {
        Some(entry) => (entry, contents(checkout, &newest.commit)?, true),
        None => (newest, HashMap::new(), prefer_stashed),
    };
    let stashed = changes(checkout, &entry.commit)?;
    let head = checkout.head()?.ok_or_else(|| Error::failed("the checkout has no HEAD"))?;
    let since = checkout.repo.diff_tree(&parent(checkout, &entry.commit)?, &head, None)?;
    let mut conflicts = merge::merge(&stashed, &since, prefer_stashed).err().unwrap_or_default();
    // All of them, so that whoever is told of the conflicts sees every file that `prefer_stashed` would overwrite.
    let edits = merge::merge(&stashed, &since, true).unwrap_or_default();
    let edited = edited_since(checkout, &edits, &replaced, prefer_stashed && replaced.is_empty())?;
    if !prefer_stashed {
        conflicts.extend(edited.into_iter().map(|change| change.path));
    } else if !edited.is_empty() {
        let reason = format!("replaced by stash pop\n\nreplaced by {}", entry.commit);
        create(checkout, &entry.slice, &edited, &reason)?;
        let what =
            format!("put aside {} that had changed since; `assets stash list` shows it", count(edited.len(), "file"));
        checkout.repo.git.report().note(&what);
    }
    if !conflicts.is_empty() {
        conflicts.sort();
        conflicts.dedup();
        return Ok(Popped::Conflict(conflicts));
    }
    write_files(checkout, &edits)?;
    remove(checkout, &entry)?;
    Ok(Popped::Back(entry))
}

/// The blobs that an entry holds, by path.
pub fn contents(checkout: &Checkout, commit: &Oid) -> Result<HashMap<String, Oid>> {
    let changes = changes(checkout, commit)?;
    Ok(changes.into_iter().filter_map(|change| Some((change.path, change.new?.oid))).collect())
}

/// Pending changes at the paths of an entry that would be overwritten and are in no entry: not just what this one holds
/// or what it has replaced, nor nothing at all, nor (unless `whole`) the beginning of it, which an interrupted pop leaves.
fn edited_since(
    checkout: &Checkout,
    edits: &merge::Edits,
    replaced: &HashMap<String, Oid>,
    whole: bool,
) -> Result<Vec<Change>> {
    let wanted: BTreeMap<&str, &Option<Blob>> = edits.iter().map(|(path, blob)| (path.as_str(), blob)).collect();
    let mut objects = checkout.objects()?;
    let mut edited = Vec::new();
    for change in checkout.repo.status(&[&RepoPath::default()])? {
        let Some(blob) = wanted.get(change.path.as_str()) else { continue };
        let file = join(&checkout.dir, &change.path);
        let content = match std::fs::read(&file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            content => content.at("read", &file)?,
        };
        let known = blob.iter().map(|blob| &blob.oid).chain(replaced.get(&change.path));
        let known: Vec<&str> = known.map(Oid::as_str).collect();
        let is_known = |known: &[u8]| if whole { known == content } else { known.starts_with(&content) };
        if !objects.contents(&known)?.into_iter().flatten().any(|(_, known)| is_known(&known)) {
            edited.push(change);
        }
    }
    Ok(edited)
}

fn write_files(checkout: &Checkout, edits: &merge::Edits) -> Result<()> {
    apply::remove_files(checkout, edits.iter().map(|(path, _)| path.as_str()))?;
    let written: merge::Edits = edits.iter().filter(|(_, blob)| blob.is_some()).cloned().collect();
    if written.is_empty() {
        return Ok(());
    }
    let index = checkout.other_index();
    let _ = std::fs::remove_file(&index);
    checkout.repo.update_index_info(&index, &written)?;
    checkout.repo.checkout_all_of(&index)?;
    let _ = std::fs::remove_file(&index);
    Ok(())
}

fn remove(checkout: &Checkout, entry: &Entry) -> Result<()> {
    let name = format!("{STASH}{}%{:04}", ref_name_of(&entry.slice), entry.number);
    let file = join(&checkout.git_dir, &name);
    match std::fs::remove_file(&file) {
        // Somebody packed the refs.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => checkout.repo.delete_ref(&name),
        result => result.at("remove", &file),
    }
}

fn numbers(checkout: &Checkout, slice: &RepoPath) -> Result<Vec<(u32, Oid)>> {
    let mut numbers: Vec<(u32, Oid)> = refs_below(&checkout.git_dir, STASH)?
        .into_iter()
        .filter_map(|(name, commit)| split(&name).filter(|(path, _)| path == slice).map(|(_, number)| (number, commit)))
        .collect();
    numbers.sort();
    Ok(numbers)
}

fn split(name: &str) -> Option<(RepoPath, u32)> {
    let (path, number) = name.rsplit_once('%')?;
    Some((path_of_ref_name(path)?, number.parse().ok()?))
}

fn parent(checkout: &Checkout, commit: &Oid) -> Result<Oid> {
    let parent = checkout.objects()?.first_parent(commit)?;
    parent.ok_or_else(|| Error::failed(format!("the stash entry `{commit}` is damaged")))
}

fn changes(checkout: &Checkout, commit: &Oid) -> Result<Vec<TreeChange>> {
    checkout.repo.diff_tree(&parent(checkout, commit)?, commit, None)
}

fn to_change(change: &TreeChange) -> Change {
    let kind = match (&change.old, &change.new) {
        (None, _) => ChangeKind::New,
        (_, None) => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    };
    Change { path: change.path.clone(), kind }
}
