//! How many files there are in a tree, found out without going through all of them: a few small objects that name each
//! other can make more paths than any disk holds, and git would list every one in its index.

use std::collections::HashMap;

use super::paths;
use crate::error::{Error, Result};
use crate::git::objects::Objects;
use crate::names::Oid;
use crate::settings::Limits;

/// How many times the files of one slice a whole commit may have.
const SLICES: usize = 4;
/// How deep folders may lie inside each other.
const DEEPEST: usize = 250;

/// What is known about trees. Each is read once, however often and in how many commits it occurs.
#[derive(Default)]
pub struct Census(HashMap<Oid, Folder>);

struct Folder {
    files: usize,
    folders: Vec<Oid>,
}

impl Census {
    /// Reads the folders of several commits, a level of all of them at a time: what is asked of each alone afterwards is
    /// known then. What is damaged or too large is found when it is that commit's turn.
    pub fn read_ahead(&mut self, objects: &mut Objects, roots: Vec<Oid>, limits: &Limits) -> Result<()> {
        let mut level = roots;
        for _ in 0..DEEPEST {
            level.retain(|tree| !self.0.contains_key(tree));
            level.sort();
            level.dedup();
            match self.read(objects, level.iter(), limits.files) {
                Err(error) if objects.is_broken() => return Err(error),
                Ok(true) if !level.is_empty() => {}
                _ => return Ok(()),
            }
            level =
                level.iter().filter_map(|tree| self.0.get(tree)).flat_map(|folder| folder.folders.clone()).collect();
        }
        Ok(())
    }

    /// Refuses a commit that git cannot work with: its index holds the files outside of the slice too.
    pub fn check_commit(&mut self, objects: &mut Objects, root: &Oid, limits: &Limits) -> Result<()> {
        let most = limits.files.saturating_mul(SLICES);
        if self.holds_at_most(objects, root, most)? {
            return Ok(());
        }
        Err(Error::failed(format!("the commit has more than {most} files"))
            .cause(format!("a slice may have {} files, and all slices together {SLICES} times as many", limits.files))
            .hint("if that is right, allow more with `ASSETS_MAX_FILES=<number>`"))
    }

    /// Refuses a slice with too many files.
    pub fn check_slice(&mut self, objects: &mut Objects, tree: &Oid, limits: &Limits) -> Result<()> {
        match self.holds_at_most(objects, tree, limits.files)? {
            true => Ok(()),
            false => Err(paths::too_many(limits)),
        }
    }

    /// Whether there are no more files and folders below a tree. What is not here is not counted.
    fn holds_at_most(&mut self, objects: &mut Objects, root: &Oid, most: usize) -> Result<bool> {
        // The folders at one depth, and how often each occurs there.
        let mut level = HashMap::from([(root.clone(), 1_usize)]);
        let mut count = 0_usize;
        for _ in 0..DEEPEST {
            if level.is_empty() {
                return Ok(true);
            }
            if !self.read(objects, level.keys(), most)? {
                return Ok(false);
            }
            let mut next = HashMap::new();
            for (tree, times) in level {
                let Some(folder) = self.0.get(&tree) else { continue };
                count = count.saturating_add(times.saturating_mul(folder.files.saturating_add(folder.folders.len())));
                for inner in &folder.folders {
                    let sum = next.entry(inner.clone()).or_insert(0_usize);
                    *sum = sum.saturating_add(times);
                }
            }
            if count > most {
                return Ok(false);
            }
            level = next;
        }
        Err(Error::failed(format!("the assets repo has folders that lie more than {DEEPEST} deep inside each other"))
            .hint("ask whoever pushed the commit to take it back"))
    }

    /// Reads the trees that are not known yet; whether they have no more entries.
    fn read<'a>(&mut self, objects: &mut Objects, trees: impl Iterator<Item = &'a Oid>, most: usize) -> Result<bool> {
        let unknown: Vec<Oid> = trees.filter(|tree| !self.0.contains_key(tree)).cloned().collect();
        let mut entries_read = 0;
        // Few at a time: what is asked for is sent.
        for some in unknown.chunks(50) {
            let mut oids = some.iter();
            objects.each_tree(some, |entries| {
                let (oid, Some(entries)) = (oids.next(), entries?) else { return Ok(()) };
                entries_read += entries.len();
                let files = entries.iter().filter(|entry| !entry.is_tree()).count();
                let folders = entries.into_iter().filter(|entry| entry.is_tree()).map(|entry| entry.oid).collect();
                self.0.extend(oid.map(|oid| (oid.clone(), Folder { files, folders })));
                Ok(())
            })?;
            if entries_read > most {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
