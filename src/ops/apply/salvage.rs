//! Recordings in a directory that stood where a new checkout was built: a checkout that was too damaged to be repaired, or
//! files that a test recorded before the first restore. Each is brought into the new checkout, as a pending change or in a
//! stash entry.

use std::collections::HashMap;
use std::path::Path;

use super::{PathSet, by_innermost_slice};
use crate::error::{AtPath, Result};
use crate::git::nested;
use crate::git::objects::blob_id;
use crate::git::parse::{Change, ChangeKind};
use crate::names::{Oid, RepoPath};
use crate::ops::{join, stash};
use crate::store::checkout::{self, Checkout};
use crate::store::git_dir;
use crate::units::count;

/// Brings the recordings of the directory `aside` into the checkout that replaced it. Returns those that are in stash entries,
/// by slice.
///
/// # Errors
/// When a file cannot be read or written. Nothing in `aside` is changed; run again by hand it is complete.
pub fn salvage(checkout: &Checkout, aside: &Path) -> Result<Vec<(RepoPath, Vec<Change>)>> {
    let git_dir = aside.join(".git");
    if git_dir.symlink_metadata().is_ok() {
        take_over_refs(checkout, &git_dir)?;
    }
    let tracked = tracked_files(checkout, &git_dir)?;
    let mut carried = 0;
    let mut clashing = Vec::new();
    let new_files = nested::files_in(&checkout.dir).at("read", &checkout.dir)?;
    let taken: PathSet = new_files.iter().map(String::as_str).collect();
    for path in nested::files_in(aside).at("read", aside)? {
        let Some(content) = stash::content_at(aside, &path)? else { continue };
        // A clean file of the old checkout is in a commit.
        if tracked.get(&path) == Some(&blob_id(&content)) {
            continue;
        }
        if !taken.clashes_with(&path) {
            let file = join(&checkout.dir, &path);
            let above = file.parent().unwrap_or(&file);
            std::fs::create_dir_all(above).at("create", above)?;
            std::fs::write(&file, &content).at("write", &file)?;
            carried += 1;
        } else if stash::content_at(&checkout.dir, &path)?.as_ref() != Some(&content) {
            clashing.push((path, content));
        }
    }
    if carried > 0 {
        let what = format!("{} recorded before are pending in the new checkout", count(carried, "file"));
        checkout.repo.git.report().note(&what);
    }
    let stashed = stash_clashing(checkout, &clashing)?;
    if git_dir.symlink_metadata().is_err() {
        // It never was a checkout, and each of its files is in the new one.
        std::fs::remove_dir_all(aside).at("remove", aside)?;
    }
    Ok(stashed)
}

fn stash_clashing(checkout: &Checkout, files: &[(String, Vec<u8>)]) -> Result<Vec<(RepoPath, Vec<Change>)>> {
    let changes: Vec<Change> =
        files.iter().map(|(path, _)| Change { path: path.clone(), kind: ChangeKind::Modified }).collect();
    let sorted = by_innermost_slice(&checkout.slices()?, &changes);
    for (slice, changes) in &sorted {
        let is_of_slice = |path: &String| changes.iter().any(|change| change.path == *path);
        let of_slice: Vec<_> = files.iter().filter(|(path, _)| is_of_slice(path)).cloned().collect();
        stash::create_from(checkout, slice, &of_slice, "recorded before the checkout was made")?;
    }
    Ok(sorted)
}

/// What the index of a checkout holds; nothing when it has none that can be read.
fn tracked_files(checkout: &Checkout, git_dir: &Path) -> Result<HashMap<String, Oid>> {
    match git_dir::has_whole_index(git_dir)? {
        true => checkout.repo.index_entries(&git_dir.join("index")),
        false => Ok(HashMap::new()),
    }
}

/// Copies the objects of a damaged checkout, and the refs of stash entries and of commits made by hand.
fn take_over_refs(checkout: &Checkout, git_dir: &Path) -> Result<()> {
    let refs = checkout::refs_of_recordings(git_dir)?;
    if refs.is_empty() {
        return Ok(());
    }
    let (from, to) = (git_dir.join("objects"), checkout.git_dir.join("objects"));
    for file in nested::files_in(&from).at("read", &from)?.iter().filter(|file| !file.starts_with("info/")) {
        let (from, to) = (join(&from, file), join(&to, file));
        if to.symlink_metadata().is_err() {
            let above = to.parent().unwrap_or(&to);
            std::fs::create_dir_all(above).at("create", above)?;
            std::fs::copy(&from, &to).at("copy", &from)?;
        }
    }
    for (name, oid) in &refs {
        git_dir::write_ref(&checkout.git_dir, name, oid)?;
    }
    checkout.repo.git.report().note(&format!("took over {} of the old checkout", count(refs.len(), "stash entry")));
    Ok(())
}
