//! Entering a checkout: before a command works in one it is checked and mended, and what it shows is read.

use std::collections::{HashMap, HashSet};

use super::apply;
use crate::error::Result;
use crate::git::objects::Objects;
use crate::git::parse::{Change, ChangeKind};
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath};
use crate::store::apart::Apart;
use crate::store::checkout::{Checkout, KeptCommit, check_readable};
use crate::store::composite::{self, Shown, Slices};
use crate::store::{Want, git_dir, journal, listing};

/// The commit that shows all slices, written into the checkout's own objects if it is a composite. Its files in the directories
/// above the slices are downloaded if they are not here.
pub fn head_for(
    checkout: &Checkout,
    objects: Option<&mut Objects>,
    slices: &Slices,
    current: Option<Shown>,
) -> Result<Oid> {
    let own_objects = checkout.git_dir.join("objects");
    // Not in the store: stash entries are changes of this commit.
    let apart = Apart::begin(&checkout.git_dir)?;
    let mut writer = checkout.store.with_objects_of(&[&own_objects]);
    writer.place.also_objects.push(checkout.store.objects_dir());
    let mut opened;
    let objects = match objects {
        Some(objects) => objects,
        None => {
            opened = writer.objects()?;
            &mut opened
        }
    };
    if !has_trees_of(objects, slices)? {
        // They went with a deleted store.
        apply::fetch_all(checkout, slices)?;
    }
    let head = composite::head_for(&writer, &apart, objects, slices, current);
    apart.keep()?;
    let head = head?;
    let is_shown = current.is_some_and(|(current, shown)| *current == head && slices.keys().eq(shown.keys()));
    // What is shown already has them, and a composite of this very call is seen only by a new dialogue.
    if !is_shown && let Some((_, commit)) = checkout.objects()?.commit(head.as_str())? {
        let missing = composite::missing_upper_files(&mut checkout.objects()?, &commit.tree, slices)?;
        checkout.store.ensure_blobs(&missing)?;
    }
    Ok(head)
}

/// Makes an existing checkout fit for work, under its lock: nobody else's configuration, no change half done, HEAD,
/// index and objects whole. `None` for one that cannot be repaired.
pub fn enter(checkout: &Checkout) -> Result<Option<Objects>> {
    if !mend_files(checkout)? {
        return Ok(None);
    }
    checkout.store.mend()?;
    let mut objects = checkout.objects()?;
    if !checkout.store.exists()? || !has_shown_commits(checkout, &mut objects)? {
        // The store was deleted, or the cache directory is another one now.
        let slices = checkout.slices()?.into_iter();
        let wants: Vec<Want> =
            slices.map(|(slice, pin)| Want { pin: Pin::Commit(pin), slice, advice: String::new() }).collect();
        checkout.store.ensure_all(&wants, &[])?;
        checkout.borrow_from_store()?;
        objects = checkout.objects()?;
        mend_head(checkout, &mut objects)?;
    }
    mend_work_tree(checkout)?;
    Ok(Some(objects))
}

/// Makes a composite commit anew that went with the store it was written to.
fn mend_head(checkout: &Checkout, objects: &mut Objects) -> Result<()> {
    let (Some(head), slices) = (checkout.head()?, checkout.slices()?) else { return Ok(()) };
    if slices.is_empty() || has_trees(objects, &head, &slices)? {
        return Ok(());
    }
    if checkout.shown()?.as_ref() != Some(&head)
        && objects.commit(head.as_str())?.is_some()
        && let Some(kept) = checkout.keep_commit(&head)?
    {
        say_pending_again(checkout, &head, &kept);
    }
    let again = head_for(checkout, Some(objects), &slices, None)?;
    checkout.record(&again, &Slices::new(), None)?;
    if again == head { Ok(()) } else { apply::rebuild_index(checkout, &again) }
}

/// As [`enter`], without looking whether the objects are there: one process less, for callers that find out anyway. Whether
/// the checkout can be used.
pub fn enter_quickly(checkout: &Checkout) -> Result<bool> {
    if !mend_files(checkout)? {
        return Ok(false);
    }
    checkout.store.mend_head()?;
    mend_work_tree(checkout).map(|()| true)
}

/// Whether the git directory is ours and has a HEAD, repaired if need be. One that git cannot read, or that has neither a HEAD
/// nor a record of what it shows, cannot be repaired: the next restore builds another in its place and brings its recordings
/// over.
///
/// # Errors
/// When a file that says what is shown cannot be read: then nothing may be made anew because of it.
fn mend_files(checkout: &Checkout) -> Result<bool> {
    if !checkout.is_readable()? {
        return Ok(false);
    }
    checkout.check_is_ours()?;
    checkout.make_refs_files()?;
    check_readable(&checkout.git_dir)?;
    git_dir::create_folders(&checkout.git_dir)?;
    checkout.adopt()?;
    checkout.borrow_objects()?;
    if checkout.head()?.is_some() {
        return Ok(true);
    }
    let slices = checkout.slices()?;
    let head = match checkout.shown()? {
        Some(shown) => shown,
        None if slices.is_empty() => return Ok(false),
        // Both were lost in a power cut; the slices say what was shown.
        None => {
            apply::fetch_all(checkout, &slices)?;
            head_for(checkout, None, &slices, None)?
        }
    };
    checkout.record(&head, &Slices::new(), None)?;
    Ok(true)
}

/// Completes what was interrupted, and makes an index that is gone or damaged anew.
fn mend_work_tree(checkout: &Checkout) -> Result<()> {
    if !git_dir::has_whole_index(&checkout.git_dir)? {
        // What was begun goes on from where it began.
        let from = journal::read(&checkout.git_dir)?.and_then(|note| Oid::parse(&note.from).ok());
        let head = checkout.head()?;
        if let Some(head) = from.or(head) {
            apply::rebuild_index(checkout, &head)?;
        }
    }
    apply::recover(checkout)?;
    uncommit(checkout)
}

/// Turns commits that were made by hand in place of what is shown, or on top of it, back into pending changes: no push has
/// sent them, and a restore must not take them away. A ref keeps them.
fn uncommit(checkout: &Checkout) -> Result<()> {
    /// How many commits by hand are looked through.
    const MOST: usize = 100;
    let (Some(head), Some(shown)) = (checkout.head()?, checkout.shown()?) else { return Ok(()) };
    if head == shown {
        return Ok(());
    }
    let Some(kept) = checkout.keep_commit(&head)? else { return Ok(()) };
    let mut objects = checkout.objects()?;
    let parents_of_shown = objects.parents(&shown)?;
    let mut commit = head.clone();
    for _ in 0..MOST {
        let parents = objects.parents(&commit)?;
        // `git commit --amend` gives the new commit the parents of the old one, and none where the history is cut off.
        let is_amended = parents.is_empty() || parents == parents_of_shown;
        if commit == shown || parents.contains(&shown) || is_amended {
            say_pending_again(checkout, &head, &kept);
            return checkout.record(&shown, &Slices::new(), None);
        }
        match parents.into_iter().next() {
            Some(parent) => commit = parent,
            None => break,
        }
    }
    let what = format!("HEAD is the commit `{}` made by hand, which is not on top of what is shown", head.short());
    checkout.repo.git.report().note(&format!("{what}; `{}` keeps it", kept.name));
    Ok(())
}

fn say_pending_again(checkout: &Checkout, commit: &Oid, kept: &KeptCommit) {
    let report = checkout.repo.git.report();
    report.note(&format!("`{}` was committed there by hand; its changes are pending again", commit.short()));
    report.note(&format!("`{}` keeps the commit", kept.name));
}

fn has_shown_commits(checkout: &Checkout, objects: &mut Objects) -> Result<bool> {
    let mut commits: Vec<Oid> = checkout.slices()?.into_values().chain(checkout.head()?).collect();
    commits.sort();
    commits.dedup();
    let trees: Vec<String> = commits.iter().map(|commit| format!("{commit}^{{tree}}")).collect();
    if !objects.infos(&trees)?.iter().all(Option::is_some) {
        return Ok(false);
    }
    match checkout.head()? {
        Some(head) => has_trees(objects, &head, &checkout.slices()?),
        None => Ok(true),
    }
}

/// Whether the trees of all pins are here.
fn has_trees_of(objects: &mut Objects, slices: &Slices) -> Result<bool> {
    let mut trees: Vec<String> = slices.values().map(|pin| format!("{pin}^{{tree}}")).collect();
    trees.sort();
    trees.dedup();
    Ok(objects.infos(&trees)?.iter().all(Option::is_some))
}

/// Whether the trees of a commit are here, down to each slice.
fn has_trees(objects: &mut Objects, commit: &Oid, slices: &Slices) -> Result<bool> {
    let Some((_, commit)) = objects.commit(commit.as_str())? else { return Ok(false) };
    let asked: Vec<(&Oid, &RepoPath)> = slices.keys().map(|slice| (&commit.tree, slice)).collect();
    Ok(listing::trees_at(objects, &asked)?.iter().all(Option::is_some))
}

/// The pin that a slice is shown at; a checkout of the tag form shows nothing but its one slice.
pub fn shown_pin(checkout: &Checkout, manifest: &Manifest) -> Result<Option<Oid>> {
    match manifest.form {
        Form::Branch { .. } => checkout.pin(&manifest.slice),
        Form::Tag { .. } => checkout.head(),
    }
}

/// The pending changes of a slice, without those of slices that lie inside it.
pub fn pending(checkout: &Checkout, slice: &RepoPath) -> Result<Vec<Change>> {
    Ok(pending_of_each(checkout, &[slice])?.pop().unwrap_or_default())
}

/// As [`pending`] for several slices, found with one process. What lies inside another of them is a change of that one only.
pub fn pending_of_each(checkout: &Checkout, slices: &[&RepoPath]) -> Result<Vec<Vec<Change>>> {
    /// More paths than this are not named: git compares each file with each of them.
    const NAMED: usize = 20;
    if slices.is_empty() {
        return Ok(Vec::new());
    }
    let root = [&RepoPath::default()];
    let changes = checkout.repo.status(if slices.len() <= NAMED { slices } else { &root })?;
    let mut shown = checkout.slices()?;
    let changes = without_absent(changes, &shown);
    // Their pins do not matter here.
    let pin = Oid::from_bytes(&[0; 20]);
    shown.extend(slices.iter().map(|slice| ((*slice).clone(), pin.clone())));
    let sorted = by_slice(&changes, &shown, slices.iter().copied());
    Ok(slices.iter().map(|slice| sorted.get(slice.as_str()).cloned().unwrap_or_default()).collect())
}

/// As [`pending`], and whether anything in the whole checkout was staged by hand.
pub fn pending_and_staged(checkout: &Checkout, slice: &RepoPath) -> Result<(Vec<Change>, bool)> {
    let (changes, staged) = checkout.repo.status_and_staged(slice)?;
    let changes = without_absent(changes, &checkout.slices()?);
    let own = by_slice(&changes, &checkout.slices()?, [slice]).remove(slice.as_str()).unwrap_or_default();
    Ok((own, staged))
}

/// Leaves out deleted files that no slice shows: a file that was never written is not deleted. Git takes one for deleted when a
/// test records a folder in its place. A checkout that another tool made shows everything and names no slices.
pub fn without_absent(mut changes: Vec<Change>, shown: &Slices) -> Vec<Change> {
    let is_shown = |path: &str| shown.keys().any(|slice| slice.holds(path));
    if !shown.is_empty() {
        changes.retain(|change| change.kind != ChangeKind::Deleted || is_shown(&change.path));
    }
    changes
}

/// Sorts the pending changes of a whole checkout by slice, each slice as [`pending`] would have it, reading no refs again:
/// `shown` are the slices of the checkout, `asked` those of the answer.
pub fn by_slice<'a>(
    changes: &[Change],
    shown: &Slices,
    asked: impl IntoIterator<Item = &'a RepoPath>,
) -> HashMap<&'a str, Vec<Change>> {
    let shown: HashSet<&str> = shown.keys().map(RepoPath::as_str).collect();
    let mut sorted: HashMap<&str, Vec<Change>> = asked.into_iter().map(|slice| (slice.as_str(), Vec::new())).collect();
    for change in changes {
        // From the folder of the file upwards: what lies inside a shown slice is not a change of those around it.
        let above = change.path.rmatch_indices('/').map(|(end, _)| &change.path[..end]);
        for folder in above.chain([""]) {
            if let Some(changes) = sorted.get_mut(folder) {
                changes.push(change.clone());
            }
            if shown.contains(folder) {
                break;
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_belong_to_the_innermost_slice_that_is_shown() {
        let path = |text: &str| RepoPath::parse(text).unwrap();
        let pin = Oid::from_bytes(&[1; 20]);
        let slices = |list: &[&str]| list.iter().map(|slice| (path(slice), pin.clone())).collect::<Slices>();
        let files = ["top", "a/x", "a/b/y", "a/b/c/z", "ab/w"];
        let changes = files.map(|file| Change { path: file.into(), kind: ChangeKind::New });
        let of = |shown: &[&str], slice: &str| {
            let (shown, asked) = (slices(shown), [path("a"), path("a/b"), path("a/b/c"), path("")]);
            let mut sorted = by_slice(&changes, &shown, &asked);
            sorted.remove(slice).unwrap().into_iter().map(|change| change.path).collect::<Vec<_>>()
        };
        assert_eq!(of(&["a"], "a"), ["a/x", "a/b/y", "a/b/c/z"]);
        assert_eq!(of(&["a", "a/b"], "a"), ["a/x"]);
        assert_eq!(of(&["a", "a/b"], "a/b"), ["a/b/y", "a/b/c/z"]);
        // Not shown itself: its files are those of the slice around it too.
        assert_eq!(of(&["a"], "a/b/c"), ["a/b/c/z"]);
        assert_eq!(of(&["", "a/b"], ""), ["top", "a/x", "ab/w"]);
        assert_eq!(of(&[], ""), files);
    }
}
