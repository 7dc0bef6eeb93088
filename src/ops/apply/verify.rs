//! Whether the work tree is what was planned.

use std::collections::HashSet;
use std::path::Path;

use super::Transition;
use crate::error::{Error, Result};
use crate::names::RepoPath;
use crate::ops::{join, stash};
use crate::store::checkout::Checkout;
use crate::store::composite::slices_inside;
use crate::store::listing::{Entry, Listing};

/// Checks that the work tree is what was planned: every file of the listings is there with its size, and what was to go is
/// gone. Where a deeper slice lies, that one decides; pending changes that stay are not looked at.
pub fn verify(checkout: &Checkout, transition: &Transition, listings: &[(&RepoPath, &Listing)]) -> Result<()> {
    let kept: HashSet<&str> = transition.kept.iter().map(|change| change.path.as_str()).collect();
    for (slice, listing) in listings {
        let inner: Vec<&RepoPath> = slices_inside(&transition.slices, slice).collect();
        let expected = listing
            .files
            .iter()
            .filter(|entry| !kept.contains(entry.path.as_str()) && !inner.iter().any(|inner| inner.holds(&entry.path)));
        verify_files(checkout, expected)?;
    }
    Ok(())
}

fn verify_files<'a>(checkout: &Checkout, files: impl Iterator<Item = &'a Entry>) -> Result<()> {
    for entry in files {
        let file = join(&checkout.dir, &entry.path);
        let meta = file.symlink_metadata();
        if meta.as_ref().is_ok_and(|meta| meta.is_file() && meta.len() == entry.size) {
            continue;
        }
        // A test may have recorded it anew since git wrote it: then the file is a pending change.
        if meta.is_ok() && !is_cut_short(checkout, entry)? {
            continue;
        }
        return Err(not_written(&file));
    }
    Ok(())
}

/// Whether a file holds the beginning of what it should hold, or nothing.
fn is_cut_short(checkout: &Checkout, entry: &Entry) -> Result<bool> {
    let Some(content) = stash::content_at(&checkout.dir, &entry.path)? else { return Ok(true) };
    let whole = checkout.objects()?.contents(&[entry.oid.as_str()])?.pop().flatten();
    Ok(whole.is_none_or(|(_, whole)| whole.starts_with(&content) && whole != content))
}

pub fn not_written(file: &Path) -> Error {
    Error::failed(format!("`{}` was not written completely", file.display()))
        .cause("git reported success all the same; a full disk or a file name that is too long for it does this")
        .hint("check the free space (`df -h`), then run `assets restore` again")
}
