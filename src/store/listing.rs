//! The files of a slice, read from tree objects.

use std::collections::HashMap;

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

/// Lists slices of trees, a level of all of them at a time, so that few questions are asked. For each there is an answer of
/// its own; `None` when a tree is not in the object database.
pub fn list_each(
    objects: &mut Objects,
    census: &mut Census,
    asked: &[(Oid, &RepoPath)],
    limits: &Limits,
) -> Result<Vec<Result<Option<Listing>>>> {
    let mut walks: Vec<Walk> = asked.iter().map(|(root, slice)| Walk::start(root, slice)).collect();
    loop {
        let mut level: Vec<Oid> = walks.iter().flat_map(Walk::trees).cloned().collect();
        level.sort();
        level.dedup();
        if level.is_empty() {
            break;
        }
        let mut trees = HashMap::with_capacity(level.len());
        let mut oids = level.iter();
        objects.each_tree(&level, |entries| {
            trees.extend(oids.next().map(|oid| (oid, entries)));
            Ok(())
        })?;
        for walk in walks.iter_mut().filter(|walk| walk.end.is_none()) {
            let stepped = walk.step(&trees, limits).and_then(|()| match &walk.listing.tree {
                Some(tree) if !std::mem::replace(&mut walk.is_counted, true) => {
                    census.check_slice(objects, tree, limits)
                }
                _ => Ok(()),
            });
            match stepped {
                Err(error) if objects.is_broken() => return Err(error),
                Err(error) => walk.end = Some(Err(error)),
                Ok(()) => {}
            }
        }
    }
    Ok(walks.into_iter().map(Walk::finish).collect())
}

/// Lists a slice of one tree; `None` when a tree is not in the object database.
pub fn list(objects: &mut Objects, root: &Oid, slice: &RepoPath, limits: &Limits) -> Result<Option<Listing>> {
    let mut listed = list_each(objects, &mut Census::default(), &[(root.clone(), slice)], limits)?;
    listed.pop().unwrap_or(Ok(None))
}

/// A slice that is being listed.
struct Walk<'a> {
    /// What is left of the way down to the slice.
    way: Vec<&'a str>,
    /// The folders of the next level, each with its tree. On the way down it is one.
    level: Vec<(String, Oid)>,
    listing: Listing,
    /// Whether the slice was found and its files counted.
    is_counted: bool,
    /// Why it goes no further: a failure, or a tree that is not here.
    end: Option<Result<()>>,
}

impl<'a> Walk<'a> {
    fn start(root: &Oid, slice: &'a RepoPath) -> Walk<'a> {
        let mut way: Vec<&str> = slice.parts().collect();
        way.reverse();
        let mut listing = Listing::default();
        if way.is_empty() {
            listing.tree = Some(root.clone());
        }
        Walk { way, level: vec![(String::new(), root.clone())], listing, is_counted: false, end: None }
    }

    fn trees(&self) -> impl Iterator<Item = &Oid> {
        self.level.iter().filter(|_| self.end.is_none()).map(|(_, tree)| tree)
    }

    fn step(&mut self, trees: &Trees, limits: &Limits) -> Result<()> {
        for (folder, tree) in std::mem::take(&mut self.level) {
            let Some(entries) = entries_of(trees, &tree)? else {
                self.end = Some(Ok(()));
                return Ok(());
            };
            let Some(part) = self.way.last() else {
                self.take_in(&folder, entries, limits)?;
                continue;
            };
            for file in entries.iter().filter(|entry| !entry.is_tree() && entry.mode != "160000") {
                self.listing.above.push(to_entry(&folder, file)?);
            }
            if let Some(next) = entries.iter().find(|entry| entry.is_tree() && entry.name == part.as_bytes()) {
                self.level.push((format!("{folder}{part}/"), next.oid.clone()));
                self.way.pop();
                self.listing.tree = Some(next.oid.clone()).filter(|_| self.way.is_empty());
            }
        }
        Ok(())
    }

    fn take_in(&mut self, folder: &str, entries: &[TreeEntry], limits: &Limits) -> Result<()> {
        for entry in entries {
            let found = to_entry(folder, entry)?;
            if entry.is_tree() {
                paths::check_path(&found.path, limits)?;
                self.level.push((found.path + "/", entry.oid.clone()));
            } else {
                self.listing.files.push(found);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Listing>> {
        match self.end {
            Some(end) => end.map(|()| None),
            None => Ok(Some(self.listing)),
        }
    }
}

/// What was read of some trees.
type Trees<'a> = HashMap<&'a Oid, Result<Option<Vec<TreeEntry>>>>;

fn entries_of<'a>(trees: &'a Trees, tree: &Oid) -> Result<Option<&'a [TreeEntry]>> {
    match trees.get(tree) {
        Some(Ok(entries)) => Ok(entries.as_deref()),
        Some(Err(error)) => Err(error.clone()),
        None => Ok(None),
    }
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
    let here: u64 = listing.files.iter().map(|file| file.size).sum();
    Ok(path.map(|path| Missing::new(path, listing.tree.as_ref().filter(|_| here <= SENT_AGAIN), files, above)))
}

/// As [`missing_files`] where none of the files can be here. To ask for each is slow when it is not.
pub fn all_files(listing: &Listing) -> Option<Missing> {
    let oids = |entries: &[Entry]| entries.iter().map(|entry| entry.oid.clone()).collect();
    let path = listing.files.iter().chain(&listing.above).next()?.path.clone();
    Some(Missing::new(path, listing.tree.as_ref(), oids(&listing.files), oids(&listing.above)))
}

impl Missing {
    /// A file that is asked for by its id is sent whatever its size; of a tree the server leaves out what is too large.
    fn new(path: String, slice: Option<&Oid>, files: Vec<Oid>, above: Vec<Oid>) -> Missing {
        let count = files.len() + above.len();
        let slice = slice.filter(|_| !files.is_empty());
        let mut ask = slice.map_or(files, |tree| vec![tree.clone()]);
        ask.extend(above);
        ask.sort();
        ask.dedup();
        Missing { count, path, ask }
    }
}

/// The tree at a path below the tree `root`; the outer `None` when a tree on the way is not here.
pub fn tree_at(objects: &mut Objects, root: &Oid, path: &RepoPath) -> Result<Option<Option<Oid>>> {
    Ok(trees_at(objects, &[(root, path)])?.pop().flatten())
}

/// As [`tree_at`] for several, a level of all of them at a time.
pub fn trees_at(objects: &mut Objects, asked: &[(&Oid, &RepoPath)]) -> Result<Vec<Option<Option<Oid>>>> {
    let mut ways: Vec<_> = asked.iter().map(|(_, path)| path.parts()).collect();
    let mut found: Vec<Option<Option<Oid>>> = asked.iter().map(|(root, _)| Some(Some((*root).clone()))).collect();
    loop {
        let steps: Vec<(usize, &str, Oid)> = ways
            .iter_mut()
            .zip(&found)
            .enumerate()
            .filter_map(|(index, (way, at))| Some((index, at.as_ref()?.clone()?, way)))
            .filter_map(|(index, at, way)| Some((index, way.next()?, at)))
            .collect();
        let mut level: Vec<Oid> = steps.iter().map(|(_, _, tree)| tree.clone()).collect();
        level.sort();
        level.dedup();
        if level.is_empty() {
            return Ok(found);
        }
        let trees: HashMap<&Oid, Option<Vec<TreeEntry>>> = level.iter().zip(objects.trees(&level)?).collect();
        for (index, part, tree) in &steps {
            let entries = trees.get(tree).and_then(Option::as_ref);
            let is_it = |entry: &&TreeEntry| entry.is_tree() && entry.name == part.as_bytes();
            found[*index] = entries.map(|entries| entries.iter().find(is_it).map(|entry| entry.oid.clone()));
        }
    }
}

/// The files that a commit or tree has at some paths; `None` where it has none, or where a tree on the way is not here. Reads the
/// trees itself: git's `<commit>:<path>` cannot name a path with a line break.
pub fn files_at<S: AsRef<str>>(objects: &mut Objects, root: &Oid, paths: &[S]) -> Result<Vec<Option<Oid>>> {
    let root = objects.infos(&[format!("{root}^{{tree}}")])?.pop().flatten().map(|info| info.oid);
    let mut folders = HashMap::from([(String::new(), read_folder(objects, root)?)]);
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        let path = path.as_ref();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let here = &folder[..end];
            if !folders.contains_key(here) {
                let (above, name) = here.rsplit_once('/').unwrap_or(("", here));
                let tree =
                    entry_of(&folders, above, name).filter(|entry| entry.is_tree()).map(|entry| entry.oid.clone());
                let entries = read_folder(objects, tree)?;
                folders.insert(here.to_string(), entries);
            }
        }
        let is_file = |entry: &&TreeEntry| !entry.is_tree() && entry.mode != "160000";
        found.push(entry_of(&folders, folder, name).filter(is_file).map(|entry| entry.oid.clone()));
    }
    Ok(found)
}

fn read_folder(objects: &mut Objects, tree: Option<Oid>) -> Result<Vec<TreeEntry>> {
    match tree {
        Some(tree) => Ok(objects.trees(&[tree])?.pop().flatten().unwrap_or_default()),
        None => Ok(Vec::new()),
    }
}

fn entry_of<'a>(folders: &'a HashMap<String, Vec<TreeEntry>>, folder: &str, name: &str) -> Option<&'a TreeEntry> {
    folders.get(folder)?.iter().find(|entry| entry.name == name.as_bytes())
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
