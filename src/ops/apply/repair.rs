//! Completing a change of a work tree whose state is not known: the command that began it was killed, or the disk was full.
//! The index is set to the commit to show. Each file that differs from it is then either a trace of the interruption, which is
//! written again, or a recording made since, which is stashed first.

use std::collections::{HashMap, HashSet};

use super::cone::{hide_outside_of_cone, is_in_cone};
use super::switch::cannot_write;
use super::verify::not_written;
use super::{Displaced, PathSet, Transition, by_innermost_slice, fetch_all, put_back};
use crate::error::{Error, Result};
use crate::git::objects::{Objects, blob_id};
use crate::git::parse::{Change, ChangeKind};
use crate::names::{Oid, one_line};
use crate::ops::enter::head_for;
use crate::ops::{join, stash};
use crate::store::checkout::Checkout;
use crate::store::composite::Slices;
use crate::store::{git_dir, listing};
use crate::units::count;

/// Why recordings are stashed that were made after a command was interrupted.
const REASON: &str = "changed after an interrupted command";

/// Makes sure that the objects of the commit to show are here: they may have gone with a deleted store.
///
/// # Errors
/// When they can neither be found nor downloaded.
pub fn ensure_objects(checkout: &Checkout, transition: &mut Transition) -> Result<()> {
    if transition.slices.is_empty() {
        return Ok(());
    }
    fetch_all(checkout, &transition.slices)?;
    let mut objects = checkout.objects()?;
    if objects.commit(transition.to.as_str())?.is_none() {
        // A composite commit that went with the objects of the checkout.
        transition.to = head_for(checkout, Some(&mut objects), &transition.slices, None)?;
    }
    Ok(())
}

/// Brings index and files to the commit to show, whatever they are now, and verifies it.
///
/// # Errors
/// When a file cannot be written. It can be called again.
pub fn finish(checkout: &Checkout, transition: &Transition) -> Result<()> {
    /// How often files may change while they are compared.
    const TRIES: usize = 5;
    let was = checkout.slices()?;
    set_index(checkout, transition, &was)?;
    stash_displaced(checkout, transition)?;
    for _ in 0..TRIES {
        let differences = differences(checkout, transition, &was)?;
        if differences.is_empty() {
            return Ok(());
        }
        stash_edits(checkout, transition, &differences)?;
        let removed = differences.iter().filter(|difference| difference.content.is_some());
        let expected: HashMap<String, Option<Oid>> =
            removed.map(|difference| (difference.path.clone(), difference.content.clone())).collect();
        let displaced = Displaced::take(checkout, expected.keys().map(String::as_str))?;
        if !displaced.not_stored(&expected)?.is_empty() {
            displaced.put_back()?;
            continue;
        }
        // Each is a trace, in a commit or in a stash entry.
        displaced.delete()?;
        let written: Vec<&Difference> = differences.iter().filter(|difference| difference.to.is_some()).collect();
        let paths: Vec<String> = written.iter().map(|difference| difference.path.clone()).collect();
        put_back(checkout, &paths)?;
        let mut objects = checkout.objects()?;
        for difference in &written {
            let content = stash::content_at(&checkout.dir, &difference.path)?;
            if content.as_deref().map(blob_id) == difference.to {
                continue;
            }
            // Another content is that of a test which has recorded meanwhile: it is stashed in the next turn.
            let is_recorded = match &content {
                None => false,
                Some(content) => !is_beginning(&mut objects, content, difference.to.as_slice())?,
            };
            if !is_recorded {
                return Err(not_written(&join(&checkout.dir, &difference.path)));
            }
        }
    }
    Err(Error::needs_person(format!("files of `{}` change while they are repaired", checkout.dir.display()))
        .cause("a test may be recording there")
        .hint("wait until it has ended, then run the same command again"))
}

/// Files that a killed command displaced, when it left no journal: back to their places, or into a stash entry.
pub fn take_left_over(checkout: &Checkout) -> Result<()> {
    let displaced = Displaced::left_over(checkout)?;
    if displaced.is_empty() {
        return Ok(());
    }
    let contents = displaced.contents()?;
    displaced.put_back()?;
    // Of those whose place is taken, what HEAD or a stash entry has is no recording of its own.
    let mut stored = stash::all_contents(checkout)?;
    if let Some(head) = checkout.head()? {
        add_committed(checkout, &head, &contents, &mut stored)?;
    }
    stash_left(checkout, &checkout.slices()?, &stored)
}

/// A file that is not as the commit to show has it, and has to be.
struct Difference {
    path: String,
    kind: ChangeKind,
    /// What the commit to show has there.
    to: Option<Oid>,
    /// What is on disk; none when there is no file.
    content: Option<Oid>,
    /// Whether the content is stored nowhere.
    is_edit: bool,
}

/// Sets the index to the commit to show, and the cone to the slices. What is not on disk of new slices is written.
fn set_index(checkout: &Checkout, transition: &Transition, was: &Slices) -> Result<()> {
    let (repo, index) = (&checkout.repo, checkout.git_dir.join("index"));
    match git_dir::has_whole_index(&checkout.git_dir)? {
        // Keeps what the index knows about unchanged files.
        true => repo.reset_index(&index, &transition.to)?,
        false => {
            git_dir::remove_if_there(&index)?;
            repo.read_tree_into(&index, &transition.to)?;
        }
    }
    repo.refresh_index()?;
    checkout.set_cone(&transition.slices)?;
    repo.git.report().phase("writing files");
    // Files of a slice that is dropped are removed by git, as far as they are unchanged.
    let shown: Slices = was.iter().chain(&transition.slices).map(|(slice, pin)| (slice.clone(), pin.clone())).collect();
    hide_outside_of_cone(checkout, &shown)?;
    let output = repo.read_tree_switch(Some(&transition.to), &transition.to)?;
    match output.succeeded() {
        true => Ok(()),
        false => Err(cannot_write(output, checkout)),
    }
}

/// Stores displaced files that are in no stash entry, and deletes them all.
fn stash_displaced(checkout: &Checkout, transition: &Transition) -> Result<()> {
    let mut stored: HashMap<String, HashSet<Oid>> = HashMap::new();
    for entry in &transition.stashes {
        for (path, oid) in stash::contents(checkout, entry)? {
            stored.entry(path).or_default().insert(oid);
        }
    }
    let contents = Displaced::left_over(checkout)?.contents()?;
    for commit in [&transition.from, &transition.to] {
        add_committed(checkout, commit, &contents, &mut stored)?;
    }
    // An interrupted write leaves the beginning of a file.
    let mut objects = checkout.objects()?;
    for (path, content) in &contents {
        let known: Vec<Oid> = stored.get(path).into_iter().flatten().cloned().collect();
        if is_beginning(&mut objects, content, &known)? {
            stored.entry(path.clone()).or_default().insert(blob_id(content));
        }
    }
    stash_left(checkout, &transition.slices, &stored)
}

/// Adds what a commit has at the paths of some files.
fn add_committed(
    checkout: &Checkout,
    commit: &Oid,
    files: &[(String, Vec<u8>)],
    stored: &mut HashMap<String, HashSet<Oid>>,
) -> Result<()> {
    let paths: Vec<&String> = files.iter().map(|(path, _)| path).collect();
    let committed = listing::files_at(&mut checkout.objects()?, commit, &paths)?;
    for (path, oid) in paths.into_iter().zip(committed) {
        stored.entry(path.clone()).or_default().extend(oid);
    }
    Ok(())
}

/// Stores displaced files that another process wrote after they were displaced: it had them open.
pub fn stash_late(checkout: &Checkout, transition: &Transition, displaced: &Displaced) -> Result<()> {
    let late = displaced.not_stored(&transition.stored)?;
    stash_contents(checkout, &transition.slices, &late)
}

/// Stores displaced files in stash entries, but those whose content is stored, and deletes them all.
fn stash_left(checkout: &Checkout, slices: &Slices, stored: &HashMap<String, HashSet<Oid>>) -> Result<()> {
    let displaced = Displaced::left_over(checkout)?;
    let is_stored = |path: &String, content: &[u8]| stored.get(path).is_some_and(|ids| ids.contains(&blob_id(content)));
    let mut lost = displaced.contents()?;
    lost.retain(|(path, content)| !is_stored(path, content));
    stash_contents(checkout, slices, &lost)?;
    displaced.delete()
}

fn stash_contents(checkout: &Checkout, slices: &Slices, files: &[(String, Vec<u8>)]) -> Result<()> {
    let changes: Vec<Change> =
        files.iter().map(|(path, _)| Change { path: path.clone(), kind: ChangeKind::Modified }).collect();
    for (slice, changes) in by_innermost_slice(slices, &changes) {
        let is_of_slice = |path: &String| changes.iter().any(|change| change.path == *path);
        let of_slice: Vec<_> = files.iter().filter(|(path, _)| is_of_slice(path)).cloned().collect();
        stash::create_from(checkout, &slice, &of_slice, REASON)?;
        say_stashed(checkout, of_slice.len());
    }
    Ok(())
}

/// The files that have to become what the commit to show has.
fn differences(checkout: &Checkout, transition: &Transition, was: &Slices) -> Result<Vec<Difference>> {
    let kept: HashSet<&str> = transition.kept.iter().map(|change| change.path.as_str()).collect();
    let put_back: HashSet<&str> = transition.put_back.iter().map(String::as_str).collect();
    // The index is that of the commit to show, and HEAD may not be: a file can differ from either.
    let differing = stash::files_of(checkout, &checkout.repo.status_of_index_and_head()?)?;
    let is_shown = |path: &str| [&transition.slices, was].into_iter().any(|slices| is_in_cone(slices, path));
    let candidates: Vec<Change> =
        differing.into_iter().filter(|change| !kept.contains(change.path.as_str()) && is_shown(&change.path)).collect();
    let mut objects = checkout.objects()?;
    let from_is_here = objects.infos(&[format!("{}^{{tree}}", transition.from)])?.iter().all(Option::is_some);
    let paths: Vec<&String> = candidates.iter().map(|change| &change.path).collect();
    let from = listing::files_at(&mut objects, &transition.from, &paths)?;
    let to = listing::files_at(&mut objects, &transition.to, &paths)?;
    let mut stashed: HashMap<String, Vec<Oid>> = HashMap::new();
    for entry in &transition.stashes {
        for (path, oid) in stash::contents(checkout, entry)? {
            stashed.entry(path).or_default().push(oid);
        }
    }
    let (mut differences, mut recorded) = (Vec::new(), Vec::new());
    for ((change, from), to) in candidates.into_iter().zip(from).zip(to) {
        let is_kept = kept.contains(change.path.as_str());
        // A file directly above a slice was shown before; a test may have changed it for a package that is not restored.
        let is_gone = change.kind == ChangeKind::Deleted && !join(&checkout.dir, &change.path).is_dir();
        let appears = to.is_some() && !is_in_slice(was, &change.path) && (is_gone || !is_in_cone(was, &change.path));
        let moves = if from_is_here { from != to } else { moves_with_slice(transition, was, &change.path) };
        // A new file may be in the place of one to be written.
        let is_in_neither = from.is_none() && to.is_none();
        if !moves && !appears && !is_kept && !is_in_neither && !put_back.contains(change.path.as_str()) {
            continue;
        }
        let content = stash::content_at(&checkout.dir, &change.path)?;
        let id = content.as_deref().map(blob_id);
        if id == to {
            continue;
        }
        let known: Vec<Oid> =
            to.iter().chain(&from).chain(stashed.get(&change.path).into_iter().flatten()).cloned().collect();
        let is_edit = match &content {
            None => false,
            Some(content) => !is_beginning(&mut objects, content, &known)?,
        };
        let is_new = is_edit && is_in_neither;
        if is_kept && !is_new {
            continue;
        }
        let difference = Difference { path: change.path, kind: change.kind, to, content: id, is_edit };
        if is_new { &mut recorded } else { &mut differences }.push(difference);
    }
    // A new file stays a pending change, unless it is in the place of one to be written.
    let written: PathSet = differences
        .iter()
        .filter(|difference| difference.to.is_some())
        .map(|difference| difference.path.as_str())
        .collect();
    recorded.retain(|difference| written.clashes_with(&difference.path));
    differences.extend(recorded);
    Ok(differences)
}

/// Whether a path is in a slice.
fn is_in_slice(slices: &Slices, path: &str) -> bool {
    slices.keys().any(|slice| slice.holds(path))
}

/// Whether the innermost slice with a path gets another pin than it had.
fn moves_with_slice(transition: &Transition, was: &Slices, path: &str) -> bool {
    let holding = transition.slices.iter().filter(|(slice, _)| slice.holds(path));
    let innermost = holding.max_by_key(|(slice, _)| slice.as_str().len());
    innermost.is_none_or(|(slice, pin)| was.get(slice) != Some(pin))
}

/// Whether the content is one of these blobs, or the beginning of one, which an interrupted write leaves.
fn is_beginning(objects: &mut Objects, content: &[u8], blobs: &[Oid]) -> Result<bool> {
    let names: Vec<&str> = blobs.iter().map(Oid::as_str).collect();
    Ok(content.is_empty() || objects.contents(&names)?.into_iter().flatten().any(|(_, blob)| blob.starts_with(content)))
}

/// Stashes recordings that were made after the interruption and are in the way.
fn stash_edits(checkout: &Checkout, transition: &Transition, differences: &[Difference]) -> Result<()> {
    let edits: Vec<Change> = differences
        .iter()
        .filter(|difference| difference.is_edit)
        .map(|difference| Change { path: difference.path.clone(), kind: difference.kind })
        .collect();
    for (slice, changes) in by_innermost_slice(&transition.slices, &edits) {
        let stored = stash::create(checkout, &slice, &changes, REASON)?;
        if let Some(refused) = stored.refused.first() {
            return Err(Error::needs_person(format!(
                "`{}` is in the way and cannot be stashed",
                one_line(&refused.path)
            ))
            .hint("move it away, then run the same command again"));
        }
        say_stashed(checkout, stored.contents.len());
    }
    Ok(())
}

fn say_stashed(checkout: &Checkout, files: usize) {
    let what = format!("{} changed since then and put aside; `assets stash list` shows it", count(files, "file"));
    checkout.repo.git.report().note(&what);
}
