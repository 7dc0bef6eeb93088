//! Stash entries: pending changes that were put aside. An entry is a commit on a ref of the checkout, with everything in
//! it: modified and new files, and what is deleted. (`git stash create` makes nothing of new files alone.)

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::apply::{Displaced, PathSet, leads_through_link};
use super::{join, merge};
use crate::error::{AtPath, Error, Result};
use crate::git::objects::blob_id;
use crate::git::parse::{Blob, Change, ChangeKind, TreeChange};
use crate::git::{Signature, nested};
use crate::manifest::Pin;
use crate::names::{Oid, RepoPath};
use crate::store::apart::Apart;
use crate::store::checkout::{Checkout, STASH};
use crate::store::git_dir::{path_of_ref_name, ref_name_of, refs_below, remove_if_there, write_ref};
use crate::store::{Want, listing};
use crate::units::count;

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

/// What [`create`] stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// The entry; none when git can store none of the changes.
    pub entry: Option<Oid>,
    /// The content of each stored change; `None` for a deleted file.
    pub contents: HashMap<String, Option<Oid>>,
    /// Changes that are not in the entry, because git refuses their names. Their files must stay where they are.
    pub refused: Vec<Change>,
}

impl Stored {
    /// The paths of the stored changes.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.contents.keys()
    }
}

/// Stores the pending changes of a slice in an entry; the work tree stays as it is. Changes inside a nested repository are
/// stored file by file. An entry that is the newest of its slice already and equal is used again: the command that made it
/// was interrupted.
///
/// # Errors
/// When the checkout has no HEAD, or git fails.
pub fn create(checkout: &Checkout, slice: &RepoPath, pending: &[Change], reason: &str) -> Result<Stored> {
    let head = head_of(checkout)?;
    let pending = files_of(checkout, pending)?;
    let index = checkout.index_of_head()?;
    // `update-index` fails for a path below a link: its file was deleted, whatever the link leads to.
    let (deleted, paths): (Vec<&str>, Vec<&str>) =
        pending.iter().map(|change| change.path.as_str()).partition(|path| leads_through_link(&checkout.dir, path));
    // Recordings must not be in the store alone, which the user may delete.
    let apart = Apart::begin(&checkout.git_dir)?;
    let deleted: merge::Edits = deleted.into_iter().map(|path| (path.to_string(), None)).collect();
    checkout.repo.update_index_info(&index, &deleted)?;
    apart.only(&checkout.repo).update_index(&index, &paths)?;
    let tree = checkout.repo.write_tree(&index)?;
    let changes = checkout.repo.diff_tree(&head, &tree, None)?;
    let mut contents: HashMap<String, Option<Oid>> =
        changes.into_iter().map(|change| (change.path, change.new.map(|blob| blob.oid))).collect();
    // `update-index` exits with 0 when it ignores a path: only what the tree has is stored.
    let (missing, stored): (Vec<Change>, Vec<Change>) =
        pending.into_iter().partition(|change| !contents.contains_key(&change.path));
    let mut refused = Vec::new();
    for change in missing {
        // Another process may have undone the change meanwhile; then HEAD has the content.
        match content_at(&checkout.dir, &change.path)? {
            Some(content) if is_in_tree(checkout, &tree, &change.path, &blob_id(&content))? => {
                contents.insert(change.path, Some(blob_id(&content)));
            }
            None if change.kind == ChangeKind::Deleted => {}
            _ => refused.push(change),
        }
    }
    let mut entry = None;
    if !stored.is_empty() {
        let paths: Vec<&str> = stored.iter().map(|change| change.path.as_str()).collect();
        entry = Some(write_entry(checkout, slice, apart, &tree, &paths, reason)?);
    }
    remove_if_there(&index)?;
    Ok(Stored { entry, contents, refused })
}

/// Stores contents that are not in the work tree in an entry of a slice: each with its path there.
///
/// # Errors
/// As [`create`].
pub fn create_from(checkout: &Checkout, slice: &RepoPath, files: &[(String, Vec<u8>)], reason: &str) -> Result<Oid> {
    let index = checkout.index_of_head()?;
    let apart = Apart::begin(&checkout.git_dir)?;
    let writer = apart.only(&checkout.repo);
    let mut entries = merge::Edits::new();
    for (path, content) in files {
        let blob = Blob { mode: "100644".into(), oid: writer.write_blob(content)? };
        entries.push((path.clone(), Some(blob)));
    }
    checkout.repo.update_index_info(&index, &entries)?;
    let tree = checkout.repo.write_tree(&index)?;
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let entry = write_entry(checkout, slice, apart, &tree, &paths, reason)?;
    remove_if_there(&index)?;
    Ok(entry)
}

/// Writes the commit and the ref of an entry whose files are in `apart`.
fn write_entry(
    checkout: &Checkout,
    slice: &RepoPath,
    apart: Apart,
    tree: &Oid,
    paths: &[&str],
    reason: &str,
) -> Result<Oid> {
    let head = head_of(checkout)?;
    let mut objects = checkout.objects()?;
    apart.write_trees(&checkout.repo, &mut objects, tree, paths)?;
    apart.keep()?;
    let newest = numbers(checkout, slice)?.pop();
    if let Some((_, newest)) = &newest
        && objects.commit(newest.as_str())?.is_some_and(|(_, commit)| commit.tree == *tree)
        && objects.parents(newest)? == [head.clone()]
    {
        return Ok(newest.clone());
    }
    // The date is the entry's only news; a fixed identity works for users who told git none.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let message = format!("{reason}\n\ntime {now}\n");
    let commit = checkout.repo.commit_tree(tree, &[&head], &message, &Signature::Fixed)?;
    let number = newest.map_or(1, |(number, _)| number + 1);
    write_ref(&checkout.git_dir, &format!("{STASH}{}%{number:04}", ref_name_of(slice)), &commit)?;
    Ok(commit)
}

/// Pending changes as files: a nested repository is one change for git, and its files are recordings all the same.
pub fn files_of(checkout: &Checkout, pending: &[Change]) -> Result<Vec<Change>> {
    let mut files = Vec::with_capacity(pending.len());
    for change in pending {
        let Some(folder) = change.path.strip_suffix('/') else {
            files.push(change.clone());
            continue;
        };
        let below = join(&checkout.dir, folder);
        let found = nested::files_in(&below).at("read", &below)?;
        files.extend(found.into_iter().map(|file| Change { path: format!("{folder}/{file}"), kind: ChangeKind::New }));
    }
    Ok(files)
}

/// The bytes of a file of the work tree; the target of a link, which git stores as content; none when there is no file.
pub fn content_at(dir: &Path, path: &str) -> Result<Option<Vec<u8>>> {
    let file = join(dir, path);
    match file.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            let target = std::fs::read_link(&file).at("read", &file)?;
            Ok(Some(target.as_os_str().as_encoded_bytes().to_vec()))
        }
        Ok(meta) if meta.is_file() => std::fs::read(&file).at("read", &file).map(Some),
        Ok(_) => Ok(None),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e).at("look at", &file),
    }
}

fn is_in_tree(checkout: &Checkout, tree: &Oid, path: &str, blob: &Oid) -> Result<bool> {
    let found = listing::files_at(&mut checkout.objects()?, tree, &[path])?;
    Ok(found.into_iter().flatten().any(|oid| oid == *blob))
}

fn head_of(checkout: &Checkout) -> Result<Oid> {
    checkout.head()?.ok_or_else(|| Error::failed(format!("`{}` has no HEAD", checkout.dir.display())))
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
    // With `prefer_stashed` the entry wins, also where a file and a folder cannot stand side by side.
    let mut conflicts = match prefer_stashed {
        true => Vec::new(),
        false => merge::merge(&stashed, &since, false).err().unwrap_or_default(),
    };
    // All of them, so that the list of conflicts names every file that `prefer_stashed` would overwrite.
    let edits = winning_edits(&stashed, &since);
    let edited = edited_since(checkout, &edits, &replaced, prefer_stashed && replaced.is_empty())?;
    if !prefer_stashed {
        conflicts.extend(edited.iter().map(|change| change.path.clone()));
    } else if !edited.is_empty() {
        let reason = format!("replaced by stash pop\n\nreplaced by {}", entry.commit);
        let stored = create(checkout, &entry.slice, &edited, &reason)?;
        conflicts.extend(stored.refused.into_iter().map(|change| change.path));
        let what =
            format!("put aside {} that had changed since; `assets stash list` shows it", count(edited.len(), "file"));
        checkout.repo.git.report().note(&what);
    }
    if !conflicts.is_empty() {
        conflicts.sort();
        conflicts.dedup();
        return Ok(Popped::Conflict(conflicts));
    }
    if let Some(changed) = write_files(checkout, &edits, &edited)? {
        return Ok(Popped::Conflict(changed));
    }
    remove(checkout, &entry)?;
    Ok(Popped::Back(entry))
}

/// Every content that an entry of the checkout holds at each path.
pub fn all_contents(checkout: &Checkout) -> Result<HashMap<String, HashSet<Oid>>> {
    let mut all: HashMap<String, HashSet<Oid>> = HashMap::new();
    for entry in refs_below(&checkout.git_dir, STASH)?.into_values() {
        for (path, oid) in contents(checkout, &entry)? {
            all.entry(path).or_default().insert(oid);
        }
    }
    Ok(all)
}

/// The blobs that an entry holds, by path.
pub fn contents(checkout: &Checkout, commit: &Oid) -> Result<HashMap<String, Oid>> {
    let changes = changes(checkout, commit)?;
    Ok(changes.into_iter().filter_map(|change| Some((change.path, change.new?.oid))).collect())
}

/// What makes the work tree hold everything that an entry changed, whatever was committed since: its changes, and the removal of
/// newer files that stand in the place of one of its files.
fn winning_edits(stashed: &[TreeChange], since: &[TreeChange]) -> merge::Edits {
    let written: PathSet =
        stashed.iter().filter(|change| change.new.is_some()).map(|change| change.path.as_str()).collect();
    let own: HashSet<&str> = stashed.iter().map(|change| change.path.as_str()).collect();
    let is_in_place = |change: &&TreeChange| {
        change.new.is_some() && !own.contains(change.path.as_str()) && written.clashes_with(&change.path)
    };
    let removed = since.iter().filter(is_in_place).map(|change| (change.path.clone(), None));
    stashed.iter().map(|change| (change.path.clone(), change.new.clone())).chain(removed).collect()
}

/// Returns pending changes that applying the entry would overwrite and that no stash entry preserves. Content equal to the
/// stashed or replaced blob, and (unless `whole`) the beginning of one, left by an interrupted pop, does not count.
fn edited_since(
    checkout: &Checkout,
    edits: &merge::Edits,
    replaced: &HashMap<String, Oid>,
    whole: bool,
) -> Result<Vec<Change>> {
    let wanted: HashMap<&str, &Option<Blob>> = edits.iter().map(|(path, blob)| (path.as_str(), blob)).collect();
    let written: PathSet = edits.iter().filter(|(_, blob)| blob.is_some()).map(|(path, _)| path.as_str()).collect();
    let mut objects = checkout.objects()?;
    let mut edited = Vec::new();
    for change in files_of(checkout, &checkout.repo.status(&[&RepoPath::default()])?)? {
        let blob = wanted.get(change.path.as_str());
        if blob.is_none() && !written.clashes_with(&change.path) {
            continue;
        }
        let Some(content) = content_at(&checkout.dir, &change.path)? else { continue };
        let known = blob.into_iter().copied().flatten().map(|blob| &blob.oid).chain(replaced.get(&change.path));
        let known: Vec<&str> = known.map(Oid::as_str).collect();
        let is_known = |known: &[u8]| if whole { known == content } else { known.starts_with(&content) };
        if !objects.contents(&known)?.into_iter().flatten().any(|(_, known)| is_known(&known)) {
            edited.push(change);
        }
    }
    Ok(edited)
}

/// Writes the files of an entry in place of what is there, `edited` among it. Returns the files that changed meanwhile, if
/// any: nothing is written then.
fn write_files(checkout: &Checkout, edits: &merge::Edits, edited: &[Change]) -> Result<Option<Vec<String>>> {
    // What is there now was looked at: it is in HEAD, in this entry, or in the one for what it replaces.
    let mut expected = HashMap::new();
    for path in edits.iter().map(|(path, _)| path).chain(edited.iter().map(|change| &change.path)) {
        expected.insert(path.clone(), content_at(&checkout.dir, path)?.as_deref().map(blob_id));
    }
    let displaced = Displaced::take(checkout, expected.keys().map(String::as_str))?;
    let changed = displaced.not_stored(&expected)?;
    if !changed.is_empty() {
        displaced.put_back()?;
        return Ok(Some(changed.into_iter().map(|(path, _)| path).collect()));
    }
    let written: merge::Edits = edits.iter().filter(|(_, blob)| blob.is_some()).cloned().collect();
    if !written.is_empty() {
        let index = checkout.other_index();
        remove_if_there(&index)?;
        checkout.repo.update_index_info(&index, &written)?;
        let output = checkout.repo.checkout_all_of(&index)?;
        remove_if_there(&index)?;
        if !output.succeeded() {
            let recorded = take_back(checkout, &written)?;
            displaced.put_back()?;
            return if recorded.is_empty() { output.checked().map(|_| None) } else { Ok(Some(recorded)) };
        }
    }
    displaced.delete()?;
    Ok(None)
}

/// Removes what a pop has written that could not write all. Returns the files that a test has recorded meanwhile, which stay.
fn take_back(checkout: &Checkout, written: &merge::Edits) -> Result<Vec<String>> {
    let names: Vec<&str> = written.iter().flat_map(|(_, blob)| blob).map(|blob| blob.oid.as_str()).collect();
    let blobs = checkout.objects()?.contents(&names)?;
    let mut recorded = Vec::new();
    for ((path, _), blob) in written.iter().zip(blobs) {
        let Some(content) = content_at(&checkout.dir, path)? else { continue };
        let file = join(&checkout.dir, path);
        // Git may have written the beginning only.
        match blob.is_some_and(|(_, blob)| blob.starts_with(&content)) {
            true => std::fs::remove_file(&file).at("remove", &file)?,
            false => recorded.push(path.clone()),
        }
    }
    Ok(recorded)
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
