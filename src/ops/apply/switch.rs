//! `git read-tree -m -u` of one commit to another: the files it would harm, and how its words are understood.

use std::collections::HashSet;
use std::path::PathBuf;

use super::{PathSet, Transition, cone};
use crate::error::{AtPath, Error, Result};
use crate::git::parse::{Change, ChangeKind, TreeChange};
use crate::git::{Output, nested};
use crate::names::{Oid, RepoPath};
use crate::ops::{join, stash};
use crate::store::checkout::Checkout;

/// What git's words about a switch mean. Exit code 0 is not proof: a name that is too long, or a file that cannot be removed,
/// is only complained about.
#[derive(Debug, PartialEq)]
pub enum Switch {
    Done,
    /// Git looked first and changed nothing: pending changes are in the way.
    Blocked,
    /// A file of the tree is not in the object store.
    MissingObjects,
    Failed,
}

/// Git's words about objects that are not here.
const MISSING: &[&str] = &[
    "from promisor remote",
    "unable to read sha1 file",
    "unable to read tree",
    "failed to unpack tree object",
    "missing object",
];

/// Whether git failed because of objects that are not here.
pub fn is_about_missing_objects(error: &Error) -> bool {
    error.causes.iter().any(|cause| MISSING.iter().any(|words| cause.contains(words)))
}

impl Switch {
    /// What the output of a switch to another tree means.
    pub fn of(output: &Output) -> Switch {
        // A file outside of the cone that git took for shown stays, which is right.
        Switch::without(output, &["will not remove from working tree"])
    }

    /// As [`Switch::of`], where only the cone changed. Git leaves files in its way as they are, and so does a change that keeps
    /// pending changes; all others are verified afterwards.
    pub fn of_cone(output: &Output) -> Switch {
        const LEFT_ALONE: &[&str] = &[
            "will not overwrite with sparse update",
            "will not remove from working tree",
            "would lose untracked files in it",
        ];
        Switch::without(output, LEFT_ALONE)
    }

    /// What the output of `git checkout-index` means, which fails also where a file or a folder is in the place of one.
    pub fn of_files(output: &Output) -> Switch {
        let says = |words: &str| output.stderr.contains(words);
        let is_failure = |line: &str| {
            (line.starts_with("error:") || line.starts_with("fatal:")) && !line.trim_end().ends_with("is a directory")
        };
        if MISSING.iter().any(|words| says(words)) {
            return Switch::MissingObjects;
        }
        if output.stderr.lines().any(is_failure) { Switch::Failed } else { Switch::Done }
    }

    fn without(output: &Output, harmless: &[&str]) -> Switch {
        let has = |line: &str, words: &[&str]| words.iter().any(|words| line.contains(words));
        let lines: Vec<&str> = output.stderr.lines().filter(|line| !has(line, harmless)).collect();
        let says = |words: &[&str]| lines.iter().any(|line| has(line, words));
        let complains =
            lines.iter().any(|line| line.starts_with("error:") || line.starts_with("warning: unable to unlink"));
        if output.succeeded() {
            return if complains { Switch::Failed } else { Switch::Done };
        }
        if says(&["not uptodate", "would be overwritten", "would be removed", "would lose untracked"]) {
            return Switch::Blocked;
        }
        if says(MISSING) { Switch::MissingObjects } else { Switch::Failed }
    }
}

/// Switches index and files. The index may know other times of unchanged files, after a copy, a `touch`, or because it
/// was made anew; `read-tree` takes these for edits until the index is refreshed. And entries may be staged or unmerged,
/// after git was used by hand; the index is then set to `from`, which does not touch the files.
pub fn switch(checkout: &Checkout, transition: &Transition, changes: &[TreeChange]) -> Result<Output> {
    let (repo, from, to) = (&checkout.repo, &transition.from, &transition.to);
    checkout.borrow_from_store()?;
    repo.git.report().phase("writing files");
    if from == to {
        return Ok(Output::nothing_to_do());
    }
    let hidden = hidden_and_removed(checkout, changes)?;
    let is_there = |path: &&str| join(&checkout.dir, path).symlink_metadata().is_ok();
    let output = if hidden.iter().any(is_there) {
        let from = set_index(checkout, from, &hidden)?;
        repo.refresh_index()?;
        repo.read_tree_switch(Some(&from), to)?
    } else {
        if !hidden.is_empty() {
            repo.forget(&hidden)?;
        }
        switch_from(checkout, transition, &hidden)?
    };
    if !output.succeeded() && !hidden.is_empty() {
        set_index(checkout, from, &[])?;
    }
    Ok(output)
}

fn switch_from(checkout: &Checkout, transition: &Transition, hidden: &[&str]) -> Result<Output> {
    /// What git says of an index that is not as `from`.
    const STAGED: &[&str] = &["unmerged", "resolve your current index", "Cannot merge", "Untracked working tree file"];
    let (repo, from, to) = (&checkout.repo, &transition.from, &transition.to);
    let output = repo.read_tree_switch(Some(from), to)?;
    if output.succeeded() || Switch::of(&output) == Switch::MissingObjects {
        return Ok(output);
    }
    if output.stderr.contains("not uptodate") {
        repo.refresh_index()?;
    } else if !STAGED.iter().any(|words| output.stderr.contains(words)) {
        return Ok(output);
    }
    let output = repo.read_tree_switch(Some(from), to)?;
    if output.succeeded() {
        return Ok(output);
    }
    let from = set_index(checkout, from, hidden)?;
    repo.refresh_index()?;
    repo.read_tree_switch(Some(&from), to)
}

/// Sets the index to a commit without some paths. Returns the tree that it has then.
fn set_index(checkout: &Checkout, commit: &Oid, without: &[&str]) -> Result<Oid> {
    let (repo, index) = (&checkout.repo, checkout.git_dir.join("index"));
    repo.reset_index(&index, commit)?;
    let slices = checkout.slices()?;
    if !slices.is_empty() {
        cone::hide_outside_of_cone(checkout, &slices)?;
    }
    if without.is_empty() {
        return Ok(commit.clone());
    }
    repo.forget(without)?;
    repo.write_tree(&index)
}

/// New files at the places of files that the commit to show adds. Git does not look for them itself where a sparse checkout is
/// on: `read-tree -m -u` says "already present; will not overwrite with sparse update", overwrites them, and exits with 0 (its
/// check is off for entries marked `CE_NEW_SKIP_WORKTREE`; seen with git 2.39 and 2.47).
pub fn untracked_in_the_way(checkout: &Checkout, changes: &[TreeChange]) -> Result<Vec<Change>> {
    // Git writes what the cone shows now; the cone changes afterwards.
    let was = checkout.slices()?;
    let is_written = |path: &str| was.is_empty() || cone::is_in_cone(&was, path);
    // Those that the cone hides git takes for new: see `hidden_and_removed`.
    let removed: HashSet<&str> = changes
        .iter()
        .filter(|change| change.new.is_none() && is_written(&change.path))
        .map(|change| change.path.as_str())
        .collect();
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| change.old.is_none() && is_written(&change.path)) {
        let folders = change.path.match_indices('/').map(|(end, _)| &change.path[..end]);
        for path in folders.chain([change.path.as_str()]) {
            let Ok(meta) = join(&checkout.dir, path).symlink_metadata() else { break };
            let new = |path: String| Change { path, kind: ChangeKind::New };
            if path != change.path && !meta.is_dir() && !removed.contains(path) {
                found.push(new(path.to_string()));
            } else if path == change.path {
                let is_removed = |file: &Change| removed.contains(file.path.as_str());
                let folder = if meta.is_dir() { format!("{path}/") } else { path.to_string() };
                let files = stash::files_of(checkout, &[new(folder)])?;
                found.extend(files.into_iter().filter(|file| !is_removed(file)));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A git repository in a folder where the commit to show has a file. Its recordings can be stashed, the repository cannot: git
/// would leave it, write other files, and exit with 0.
pub fn repository_in_the_way(
    checkout: &Checkout,
    transition: &Transition,
    changes: &[TreeChange],
) -> Result<Option<PathBuf>> {
    let was = checkout.slices()?;
    let is_written = |path: &str| was.is_empty() || cone::is_in_cone(&was, path);
    // In the place of a file that is there already, it is a pending change too.
    let may_be_folder = |change: &TreeChange| change.old.is_none() || !transition.put_back.is_empty();
    let written = changes.iter().filter(|change| change.new.is_some() && is_written(&change.path));
    for change in written.filter(|change| may_be_folder(change)) {
        let folder = join(&checkout.dir, &change.path);
        if folder.symlink_metadata().is_ok_and(|meta| meta.is_dir())
            && let Some(repository) = nested::repository_in(&folder).at("read", &folder)?
        {
            return Ok(Some(if repository.is_empty() { folder } else { join(&folder, &repository) }));
        }
    }
    Ok(None)
}

/// The files that a commit no longer has and that the cone does not show. A test may record them all the same, in the folder of a
/// package that is not restored, also while git works. Git removes a file together with an entry that is marked to be skipped,
/// whatever the file holds. Without the entry it leaves the file alone, and refuses where it would be in the way.
fn hidden_and_removed<'a>(checkout: &Checkout, changes: &'a [TreeChange]) -> Result<Vec<&'a str>> {
    let was = checkout.slices()?;
    if was.is_empty() {
        return Ok(Vec::new());
    }
    let removed = changes.iter().filter(|change| change.new.is_none()).map(|change| change.path.as_str());
    Ok(removed.filter(|path| !cone::is_in_cone(&was, path)).collect())
}

/// The pending changes at the places that a switch has to write or to remove.
pub fn blocking(checkout: &Checkout, changes: &[TreeChange]) -> Result<Vec<Change>> {
    let written: PathSet = changes.iter().map(|change| change.path.as_str()).collect();
    let mut pending = checkout.repo.status(&[&RepoPath::default()])?;
    pending.retain(|change| written.clashes_with(&change.path));
    stash::files_of(checkout, &pending)
}

/// Turns a failed switch of a checkout that is being built into the user's words.
pub fn check(output: Output, checkout: &Checkout) -> Result<()> {
    match Switch::of(&output) {
        Switch::Done => Ok(()),
        _ => Err(cannot_write(output, checkout)),
    }
}

pub fn cannot_write(output: Output, checkout: &Checkout) -> Error {
    output.into_error().context(format!("cannot write the files of `{}`", checkout.dir.display()))
}
