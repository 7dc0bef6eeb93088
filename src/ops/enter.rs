//! Entering a checkout: before a command works in one it is checked and mended, and what it shows is read.

use std::collections::{HashMap, HashSet};

use super::apply;
use crate::error::Result;
use crate::git::objects::Objects;
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath};
use crate::store::apart::Apart;
use crate::store::checkout::{Checkout, check_readable};
use crate::store::composite::{self, Shown, Slices};
use crate::store::{Want, git_dir, journal, listing};

/// The commit that shows all slices, written into the checkout's own objects if it is a composite.
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
    let head = match objects {
        Some(objects) => composite::head_for(&writer, &apart, objects, slices, current),
        None => composite::head_for(&writer, &apart, &mut writer.objects()?, slices, current),
    };
    apart.keep()?;
    head
}

/// Makes an existing checkout fit for work, under its lock: nobody else's configuration, no change half done, HEAD,
/// index and objects whole. One that cannot be mended is set aside, and `None` returned.
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
    let again = head_for(checkout, Some(objects), &slices, None)?;
    checkout.record(&again, &Slices::new(), None)?;
    if again == head { Ok(()) } else { apply::rebuild_index(checkout, &again) }
}

/// As [`enter`], without looking whether the objects are there: one process less, for those who find out anyway.
pub fn enter_quickly(checkout: &Checkout) -> Result<()> {
    if !mend_files(checkout)? {
        return Ok(());
    }
    checkout.store.mend_head()?;
    mend_work_tree(checkout)
}

/// Whether the git directory is ours and has a HEAD, mended if need be.
///
/// # Errors
/// Also when a file that says what is shown cannot be read: then nothing may be made anew because of it.
fn mend_files(checkout: &Checkout) -> Result<bool> {
    checkout.check_is_ours()?;
    check_readable(&checkout.git_dir)?;
    if checkout.head()?.is_none() {
        match checkout.shown()? {
            Some(shown) => checkout.record(&shown, &Slices::new(), None)?,
            None => {
                apply::set_aside(checkout)?;
                return Ok(false);
            }
        }
    }
    checkout.adopt()?;
    checkout.borrow_from_store()?;
    Ok(true)
}

/// Completes what was interrupted, and makes an index that is gone or damaged anew.
fn mend_work_tree(checkout: &Checkout) -> Result<()> {
    if !git_dir::has_whole_index(&checkout.git_dir)? {
        // What was begun goes on from where it began.
        let from = journal::read(&checkout.git_dir)?.and_then(|note| Oid::parse(&note.from).ok());
        if let Some(head) = from.or(checkout.head()?) {
            apply::rebuild_index(checkout, &head)?;
        }
    }
    apply::recover(checkout)?;
    uncommit(checkout)
}

/// Turns commits that somebody made by hand on what is shown back into pending changes: no push has sent them, and a
/// restore must not take them away. They stay reachable by a ref.
fn uncommit(checkout: &Checkout) -> Result<()> {
    /// How many commits by hand are looked through.
    const MOST: usize = 100;
    let (Some(head), Some(shown)) = (checkout.head()?, checkout.shown()?) else { return Ok(()) };
    if head == shown || checkout.keep_commit(&head)?.is_none() {
        return Ok(());
    }
    let mut objects = checkout.objects()?;
    let mut commit = head.clone();
    for _ in 0..MOST {
        match objects.first_parent(&commit)? {
            Some(parent) if parent == shown => {
                let what = format!("`{}` was committed there by hand; its changes are pending again", head.short());
                checkout.repo.git.report().note(&what);
                return checkout.record(&shown, &Slices::new(), None);
            }
            Some(parent) => commit = parent,
            None => break,
        }
    }
    Ok(())
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

/// As [`pending`] for several slices, found with one process.
pub fn pending_of_each(checkout: &Checkout, slices: &[&RepoPath]) -> Result<Vec<Vec<Change>>> {
    /// More paths than this are not named: git compares each file with each of them.
    const NAMED: usize = 20;
    if slices.is_empty() {
        return Ok(Vec::new());
    }
    let root = [&RepoPath::default()];
    let changes = checkout.repo.status(if slices.len() <= NAMED { slices } else { &root })?;
    let sorted = by_slice(&changes, &checkout.slices()?, slices.iter().copied());
    Ok(slices.iter().map(|slice| sorted.get(slice.as_str()).cloned().unwrap_or_default()).collect())
}

/// As [`pending`], and whether anything in the whole checkout was staged by hand.
pub fn pending_and_staged(checkout: &Checkout, slice: &RepoPath) -> Result<(Vec<Change>, bool)> {
    let (changes, staged) = checkout.repo.status_and_staged(slice)?;
    let own = by_slice(&changes, &checkout.slices()?, [slice]).remove(slice.as_str()).unwrap_or_default();
    Ok((own, staged))
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
    use crate::git::parse::ChangeKind;

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
