//! The files in which two trees differ, read from the tree objects themselves where git is open for questions already.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::git::objects::{Objects, TreeEntry};
use crate::git::parse::{Blob, TreeChange};
use crate::names::{Oid, printable};

/// What there is at a path, on each side.
type Sides = (Option<TreeEntry>, Option<TreeEntry>);

/// The files that differ, sorted, as `git diff-tree -r` has them. Only folders that differ are read.
///
/// # Errors
/// When a tree is not in the object database, or a name in it is not UTF-8.
pub fn tree_diff(objects: &mut Objects, old: &Oid, new: &Oid) -> Result<Vec<TreeChange>> {
    let mut changes = Vec::new();
    let mut open = if old == new { vec![] } else { vec![(String::new(), Some(old.clone()), Some(new.clone()))] };
    while let Some((folder, old, new)) = open.pop() {
        let mut names: BTreeMap<Vec<u8>, Sides> = BTreeMap::new();
        for entry in entries(objects, old)? {
            let name = entry.name.clone();
            names.entry(name).or_default().0 = Some(entry);
        }
        for entry in entries(objects, new)? {
            let name = entry.name.clone();
            names.entry(name).or_default().1 = Some(entry);
        }
        for (name, (old, new)) in names.into_iter().filter(|(_, (old, new))| old != new) {
            let path = String::from_utf8(name).map_err(|name| {
                let name = printable(&String::from_utf8_lossy(name.as_bytes()));
                Error::failed(format!("the file name `{folder}{name}` is not UTF-8"))
            })?;
            let path = format!("{folder}{path}");
            let (old_tree, old_file) = split(old);
            let (new_tree, new_file) = split(new);
            if old_file != new_file {
                changes.push(TreeChange { path: path.clone(), old: old_file, new: new_file });
            }
            if old_tree != new_tree {
                open.push((path + "/", old_tree, new_tree));
            }
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// An entry as a folder or as a file.
fn split(entry: Option<TreeEntry>) -> (Option<Oid>, Option<Blob>) {
    match entry {
        Some(entry) if entry.is_tree() => (Some(entry.oid), None),
        Some(entry) => (None, Some(Blob { mode: entry.mode, oid: entry.oid })),
        None => (None, None),
    }
}

fn entries(objects: &mut Objects, tree: Option<Oid>) -> Result<Vec<TreeEntry>> {
    let Some(tree) = tree else { return Ok(Vec::new()) };
    let entries = objects.trees(std::slice::from_ref(&tree))?.pop().flatten();
    entries.ok_or_else(|| {
        Error::failed(format!("object `{tree}` is not in the object store")).hint("run `assets restore` to download it")
    })
}
