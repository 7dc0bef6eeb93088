//! The files of a slice, read from tree objects.

use super::census::Census;
use super::paths;
use crate::error::{Error, Result};
use crate::git::objects::{Objects, TreeEntry};
use crate::names::{Oid, RepoPath, printable};
use crate::settings::Limits;

/// A file of a tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// From the root of the checkout.
    pub path: String,
    pub mode: String,
    pub oid: Oid,
    /// Bytes; 0 until the object is known to be here.
    pub size: u64,
}

/// What a slice shows at one commit.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The tree at the slice path; none when the assets repo does not have the slice yet.
    pub tree: Option<Oid>,
    /// The files below the slice path.
    pub files: Vec<Entry>,
    /// The files in the directories above it, which a cone shows too.
    pub above: Vec<Entry>,
}

/// Lists a slice of the tree `root`; `None` when a tree is not in the object database.
pub fn list(
    objects: &mut Objects,
    census: &mut Census,
    root: &Oid,
    slice: &RepoPath,
    limits: &Limits,
) -> Result<Option<Listing>> {
    let mut listing = Listing::default();
    let mut tree = root.clone();
    let mut above = String::new();
    for part in slice.parts() {
        let Some(entries) = objects.trees(std::slice::from_ref(&tree))?.pop().flatten() else { return Ok(None) };
        for file in entries.iter().filter(|entry| !entry.is_tree() && entry.mode != "160000") {
            listing.above.push(to_entry(&above, file)?);
        }
        let Some(next) = entries.into_iter().find(|entry| entry.is_tree() && entry.name == part.as_bytes()) else {
            return Ok(Some(listing));
        };
        above = format!("{above}{part}/");
        tree = next.oid;
    }
    listing.tree = Some(tree.clone());
    census.check_slice(objects, &tree, limits)?;
    let mut level = vec![(above, tree)];
    while !level.is_empty() {
        let oids: Vec<Oid> = level.iter().map(|(_, oid)| oid.clone()).collect();
        let mut next = Vec::new();
        for ((folder, _), entries) in level.iter().zip(objects.trees(&oids)?) {
            let Some(entries) = entries else { return Ok(None) };
            for entry in entries {
                let found = to_entry(folder, &entry)?;
                if entry.is_tree() {
                    paths::check_path(&found.path, limits)?;
                    next.push((found.path + "/", entry.oid));
                } else {
                    listing.files.push(found);
                }
            }
        }
        level = next;
    }
    Ok(Some(listing))
}

/// Files whose contents are not in the object database.
#[derive(Debug)]
pub struct Missing {
    /// How many there are.
    pub count: usize,
    /// The path of one of them.
    pub path: String,
    /// What to ask the server for: the files, or the tree of the whole slice.
    pub ask: Vec<Oid>,
}

/// What is sent again at most, in bytes, to ask for a slice instead of its files.
const SENT_AGAIN: u64 = 1 << 20;

/// Fills in the sizes, and tells of the files that are not in the object database.
pub fn missing_files(objects: &mut Objects, listing: &mut Listing) -> Result<Option<Missing>> {
    let below = listing.files.len();
    let mut entries: Vec<&mut Entry> = listing.files.iter_mut().chain(&mut listing.above).collect();
    let oids: Vec<String> = entries.iter().map(|entry| entry.oid.to_string()).collect();
    let (mut files, mut above, mut path) = (Vec::new(), Vec::new(), None);
    for (index, (entry, info)) in entries.iter_mut().zip(objects.infos(&oids)?).enumerate() {
        match info {
            Some(info) if info.kind != "blob" => {
                return Err(Error::failed(format!("`{}` is a {} and not a file", printable(&entry.path), info.kind))
                    .cause("the tree it is in was made by hand")
                    .hint("ask whoever pushed the commit to take it back"));
            }
            Some(info) => entry.size = info.size,
            None => {
                path.get_or_insert_with(|| entry.path.clone());
                if index < below { &mut files } else { &mut above }.push(entry.oid.clone());
            }
        }
    }
    let Some(path) = path else { return Ok(None) };
    let here: u64 = listing.files.iter().map(|file| file.size).sum();
    let count = files.len() + above.len();
    // A file that is asked for by its id is sent whatever its size; of a tree the server leaves out what is too large.
    let slice = listing.tree.as_ref().filter(|_| !files.is_empty() && here <= SENT_AGAIN);
    let mut ask = slice.map_or(files, |tree| vec![tree.clone()]);
    ask.extend(above);
    ask.sort();
    ask.dedup();
    Ok(Some(Missing { count, path, ask }))
}

/// The tree at a path below the tree `root`; the outer `None` when a tree on the way is not here.
pub fn tree_at(objects: &mut Objects, root: &Oid, path: &RepoPath) -> Result<Option<Option<Oid>>> {
    let mut tree = root.clone();
    for part in path.parts() {
        let Some(entries) = objects.trees(std::slice::from_ref(&tree))?.pop().flatten() else { return Ok(None) };
        match entries.into_iter().find(|entry| entry.is_tree() && entry.name == part.as_bytes()) {
            Some(entry) => tree = entry.oid,
            None => return Ok(Some(None)),
        }
    }
    Ok(Some(Some(tree)))
}

fn to_entry(folder: &str, entry: &TreeEntry) -> Result<Entry> {
    let name = std::str::from_utf8(&entry.name).map_err(|_| {
        Error::failed(format!(
            "the file name `{folder}{}` is not UTF-8",
            printable(&String::from_utf8_lossy(&entry.name))
        ))
        .hint("rename the file in the assets repo: other systems cannot hold such a name")
    })?;
    Ok(Entry { path: format!("{folder}{name}"), mode: entry.mode.clone(), oid: entry.oid.clone(), size: 0 })
}
