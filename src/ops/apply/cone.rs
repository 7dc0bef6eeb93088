//! What a sparse checkout shows: the files of its slices, and those directly in each directory above one.

use std::collections::{BTreeSet, HashSet};

use super::Transition;
use crate::error::{AtPath, Result};
use crate::git::{Output, nested};
use crate::names::RepoPath;
use crate::ops::join;
use crate::store::checkout::Checkout;
use crate::store::composite::Slices;
use crate::store::files::is_there;
use crate::store::listing::Listing;

/// Marks the entries of the index as shown whose files are there before the cone shows them: recorded in the folder of a package
/// that was not restored. Git then leaves the files as they are; an ignore rule of the assets repo would let it overwrite them.
pub fn keep_files_of_new_slices(checkout: &Checkout, was: &Slices, slices: &Slices) -> Result<()> {
    if was.is_empty() {
        return Ok(()); // All files were shown.
    }
    let mut present = HashSet::new();
    for slice in slices.keys().filter(|slice| !was.contains_key(slice)) {
        let folder = join(&checkout.dir, slice.as_str());
        let files = nested::files_in(&folder).at("read", &folder)?;
        present.extend(files.iter().map(|file| slice.join(file).as_str().to_string()));
        for above in folders_above(slice) {
            present.extend(files_directly_in(checkout, above)?);
        }
    }
    present.retain(|path| !is_in_cone(was, path));
    if present.is_empty() {
        return Ok(());
    }
    let hidden = checkout.repo.hidden_paths()?;
    let kept: Vec<&str> = hidden.iter().map(String::as_str).filter(|path| present.contains(*path)).collect();
    checkout.repo.no_skip_worktree(&kept)
}

/// Whether an ignore rule may match a file of the slices that are not shown so far: one in a folder above them or in them, at the
/// commit to show or on disk.
pub fn may_be_ignored(
    checkout: &Checkout,
    transition: &Transition,
    was: &Slices,
    listings: &[(&RepoPath, &Listing)],
) -> Result<bool> {
    const RULES: &str = ".gitignore";
    let mut folders = BTreeSet::from([""]);
    for slice in transition.slices.keys().filter(|slice| !was.contains_key(slice)) {
        let Some((_, listing)) = listings.iter().find(|(listed, _)| *listed == slice) else { return Ok(true) };
        if listing.files.iter().any(|file| file.path.rsplit('/').next() == Some(RULES)) {
            return Ok(true);
        }
        folders.extend(folders_above(slice));
    }
    let in_folder = |folder: &str| if folder.is_empty() { RULES.to_string() } else { format!("{folder}/{RULES}") };
    let rules: Vec<String> = folders.into_iter().map(in_folder).collect();
    if is_there(&checkout.git_dir.join("info/exclude"))? {
        return Ok(true);
    }
    for file in &rules {
        if is_there(&join(&checkout.dir, file))? {
            return Ok(true);
        }
    }
    let hidden = rules.iter().filter(|file| !is_in_cone(was, file));
    let hidden: Vec<String> = hidden.map(|file| format!("{}:{file}", transition.to)).collect();
    Ok(!hidden.is_empty() && checkout.objects()?.infos(&hidden)?.iter().any(Option::is_some))
}

/// Shows what the cone of some slices holds more than it did, and writes those files that are not there. Git writes each only
/// where nothing is: `read-tree` overwrites what a test records meanwhile, if an ignore rule matches it.
pub fn show_more(checkout: &Checkout, slices: &Slices) -> Result<Output> {
    let hidden = checkout.repo.hidden_paths()?;
    let shown: Vec<&str> = hidden.iter().map(String::as_str).filter(|path| is_in_cone(slices, path)).collect();
    if shown.is_empty() {
        return Ok(Output::nothing_to_do());
    }
    checkout.repo.no_skip_worktree(&shown)?;
    checkout.repo.checkout_index(&shown)
}

/// The directories above a slice, without the root.
fn folders_above(slice: &RepoPath) -> impl Iterator<Item = &str> {
    slice.as_str().match_indices('/').map(|(end, _)| &slice.as_str()[..end])
}

fn files_directly_in(checkout: &Checkout, folder: &str) -> Result<Vec<String>> {
    let dir = join(&checkout.dir, folder);
    let entries = match std::fs::read_dir(&dir) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.at("read", &dir)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.at("read", &dir)?;
        if !entry.file_type().at("read", &entry.path())?.is_dir() {
            files.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(files)
}

/// Marks the entries of the index outside of the cone of some slices as not shown. Git itself marks no entry whose file is there,
/// and then needs the content that the commit has, which was never downloaded.
pub fn hide_outside_of_cone(checkout: &Checkout, slices: &Slices) -> Result<()> {
    let shown = checkout.repo.shown_paths()?;
    let outside: Vec<&str> = shown.iter().map(String::as_str).filter(|path| !is_in_cone(slices, path)).collect();
    match outside.is_empty() {
        true => Ok(()),
        false => checkout.repo.skip_worktree(&outside),
    }
}

/// Whether the cone of some slices shows a path: in a slice, or directly in a directory above one.
pub fn is_in_cone(slices: &Slices, path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_above = |slice: &RepoPath| {
        folder.is_empty() || slice.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    slices.keys().any(|slice| slice.holds(path) || is_above(slice))
}
