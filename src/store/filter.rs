//! Whether the server is to leave file contents out when a tag is fetched. Leaving them out costs two requests and a
//! connection more, so it only pays where commits hold more than the slices that are wanted of them.

use std::path::Path;

use super::Ready;
use super::git_dir::write_atomically;
use crate::error::Result;
use crate::git::Filter;
use crate::git::objects::Objects;
use crate::manifest::Pin;
use crate::names::Oid;
use crate::settings::Limits;

/// The file of a store that says that its tags hold many packages.
const NOTE: &str = "assets-filter";
const NO_BLOBS: &[u8] = b"blob:none\n";

/// What to leave out for a pin. Commits on branches hold every package; tags one, until `remember` found otherwise.
pub fn for_pin(store: &Path, pin: &Pin, limits: &Limits) -> Filter {
    let is_noted = || std::fs::read(store.join(NOTE)).is_ok_and(|note| note == NO_BLOBS);
    match pin {
        Pin::Tag(_) if !is_noted() => large(limits),
        _ => Filter::NoBlobs,
    }
}

/// Leaves out what is larger than a file may be.
pub fn large(limits: &Limits) -> Filter {
    Filter::Large(limits.file_bytes.saturating_add(1))
}

/// Notes it when a commit that was fetched whole holds more files outside of its slice than inside.
pub fn remember(store: &Path, objects: &mut Objects, ready: &Ready) -> Result<()> {
    let inside = ready.listing.files.len();
    if inside > 0 && holds_more_than(objects, &ready.commit, 2 * inside)? {
        write_atomically(&store.join(NOTE), NO_BLOBS, false)?;
    }
    Ok(())
}

/// Whether a commit has more files than `most`. Looks at no more trees than it takes to know.
fn holds_more_than(objects: &mut Objects, commit: &Oid, most: usize) -> Result<bool> {
    let Some((_, commit)) = objects.commit(commit.as_str())? else { return Ok(false) };
    let mut trees = vec![commit.tree];
    let mut files = 0;
    while let Some(tree) = trees.pop() {
        let entries = objects.trees(std::slice::from_ref(&tree))?.pop().flatten().unwrap_or_default();
        files += entries.iter().filter(|entry| !entry.is_tree()).count();
        trees.extend(entries.into_iter().filter(|entry| entry.is_tree()).map(|entry| entry.oid));
        // A tree holds a file at least: those that wait count.
        if files + trees.len() > most {
            return Ok(true);
        }
    }
    Ok(false)
}
