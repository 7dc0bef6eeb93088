//! The commit that a checkout of several slices shows: a pin that holds them all, or a local composite commit.

use std::collections::{BTreeMap, BTreeSet};

use super::apart::Apart;
use super::listing;
use crate::error::{Error, Result};
use crate::git::objects::{Objects, TreeEntry, TreeWriter};
use crate::git::{Repo, Signature};
use crate::names::{Oid, RepoPath};

/// Every slice of a checkout and its pin.
pub type Slices = BTreeMap<RepoPath, Oid>;

/// What each of some paths of a tree becomes; `None` removes it. A deeper path wins inside a shallower one.
pub type Grafts = BTreeMap<RepoPath, Option<Oid>>;

/// A graft on the way down: the rest of its path, and what the tree there becomes.
type Graft<'a> = (Vec<&'a str>, Option<&'a Oid>);

/// The slices that lie inside another one.
pub fn slices_inside<'a>(slices: &'a Slices, outer: &'a RepoPath) -> impl Iterator<Item = &'a RepoPath> {
    slices.keys().filter(move |slice| *slice != outer && outer.holds(slice.as_str()))
}

/// What a checkout shows now: a commit, and each slice whose pin it is known to show.
pub type Shown<'a> = (&'a Oid, &'a Slices);

/// Chooses the commit that shows every slice at its pin. `current` stays if it does: then no file is touched at all.
/// Else one of the newest pins that does, else a composite commit, which is written with `repo` into `apart`.
///
/// # Errors
/// When a pin is not in the object database.
pub fn head_for(
    repo: &Repo,
    apart: &Apart,
    objects: &mut Objects,
    slices: &Slices,
    current: Option<Shown>,
) -> Result<Oid> {
    /// Older pins hardly ever hold what newer ones changed, and each has trees of its own to be read.
    const NEWEST: usize = 4;
    let oids: Vec<&str> = slices.values().map(Oid::as_str).collect();
    let mut commits = Vec::with_capacity(oids.len());
    for (commit, pin) in objects.commits(&oids)?.into_iter().zip(slices.values()) {
        commits.push(commit.ok_or_else(|| not_here(pin))?.1);
    }
    let (current, shown) = match current {
        Some((oid, shown)) => (objects.commit(oid.as_str())?, shown),
        None => (None, &Slices::new()),
    };
    let mut asked: Vec<(&Oid, &RepoPath)> = Vec::with_capacity(slices.len());
    for ((slice, pin), commit) in slices.iter().zip(&commits) {
        // What is shown has one set of upper folders, the pins have one each. Of a slice that holds another it shows more
        // than the pin.
        let is_shown = shown.get(slice) == Some(pin) && slices_inside(slices, slice).next().is_none();
        let root = current.as_ref().filter(|_| is_shown).map_or(&commit.tree, |(_, commit)| &commit.tree);
        asked.push((root, slice));
    }
    let mut wanted = Grafts::new();
    for ((slice, pin), tree) in slices.iter().zip(listing::trees_at(objects, &asked)?) {
        wanted.insert(slice.clone(), tree.ok_or_else(|| not_here(pin))?);
    }
    let mut pins: Vec<(i64, &Oid, &Oid)> =
        slices.values().zip(&commits).map(|(pin, commit)| (commit.time, pin, &commit.tree)).collect();
    pins.sort_by(|a, b| b.cmp(a));
    pins.dedup();
    let newest = pins.iter().take(NEWEST).map(|(_, pin, tree)| (*pin, *tree));
    let candidates: Vec<(&Oid, &Oid)> = current.iter().map(|(oid, commit)| (oid, &commit.tree)).chain(newest).collect();
    if let Some(commit) = first_that_holds(objects, &candidates, &wanted)? {
        return Ok(commit.clone());
    }
    let Some((_, _, newest)) = pins.first() else { return Err(Error::failed("a checkout without slices")) };
    let tree = graft(objects, &mut apart.only(repo).trees()?, newest, &wanted)?;
    let parents: Vec<&Oid> = pins.iter().map(|(_, pin, _)| *pin).collect();
    let mut message =
        String::from("Recordings at several pins\n\nMade by `assets` for this checkout only; it is never pushed.\n\n");
    for (slice, pin) in slices {
        message.push_str(&format!("{pin} {slice}\n"));
    }
    // It looks whether its parents are there.
    let mut writer = apart.only(repo);
    writer.place.also_objects = repo.place.also_objects.clone();
    writer.commit_tree(&tree, &parents, &message, &Signature::Fixed)
}

/// Replaces some trees below `root` and returns the new root; the same one when nothing changes.
pub fn graft(objects: &mut Objects, writer: &mut TreeWriter, root: &Oid, grafts: &Grafts) -> Result<Oid> {
    let grafts: Vec<Graft> = grafts.iter().map(|(path, tree)| (path.parts().collect(), tree.as_ref())).collect();
    match graft_below(objects, writer, Some(root), &grafts)? {
        Some(tree) => Ok(tree),
        None => writer.write(&[]),
    }
}

fn graft_below(
    objects: &mut Objects,
    writer: &mut TreeWriter,
    tree: Option<&Oid>,
    grafts: &[Graft],
) -> Result<Option<Oid>> {
    let here = grafts.iter().find(|(path, _)| path.is_empty());
    let tree = here.map_or(tree, |(_, replacement)| *replacement);
    let mut below: BTreeMap<&str, Vec<Graft>> = BTreeMap::new();
    for (path, replacement) in grafts {
        if let Some((first, rest)) = path.split_first() {
            below.entry(first).or_default().push((rest.to_vec(), *replacement));
        }
    }
    if below.is_empty() {
        return Ok(tree.cloned());
    }
    let mut entries = match tree {
        Some(tree) => objects.trees(std::slice::from_ref(tree))?.pop().flatten().ok_or_else(|| not_here(tree))?,
        None => Vec::new(),
    };
    let mut changed = false;
    for (name, grafts) in below {
        let at = entries.iter().position(|entry| entry.name == name.as_bytes());
        let old = at.map(|at| &entries[at]).filter(|entry| entry.is_tree()).map(|entry| entry.oid.clone());
        let new = graft_below(objects, writer, old.as_ref(), &grafts)?;
        if new == old {
            continue;
        }
        changed = true;
        if let Some(at) = at {
            entries.remove(at);
        }
        if let Some(oid) = new {
            entries.push(TreeEntry { mode: "40000".into(), name: name.as_bytes().to_vec(), oid });
        }
    }
    match (changed, entries.is_empty()) {
        (false, _) => Ok(tree.cloned()),
        (true, true) => Ok(None),
        (true, false) => writer.write(&entries).map(Some),
    }
}

/// The first of some commits, each with its tree, that has all of these slices.
fn first_that_holds<'a>(
    objects: &mut Objects,
    candidates: &[(&'a Oid, &Oid)],
    wanted: &Grafts,
) -> Result<Option<&'a Oid>> {
    let Some((slice, tree)) = wanted.first_key_value() else { return Ok(None) };
    // Most have another first slice: all of them are asked for that one together.
    let asked: Vec<(&Oid, &RepoPath)> = candidates.iter().map(|(_, root)| (*root, slice)).collect();
    let found = listing::trees_at(objects, &asked)?;
    for ((commit, root), _) in candidates.iter().zip(found).filter(|(_, found)| found.as_ref() == Some(tree)) {
        let asked: Vec<(&Oid, &RepoPath)> = wanted.keys().map(|slice| (*root, slice)).collect();
        let found = listing::trees_at(objects, &asked)?;
        if found.iter().zip(wanted.values()).all(|(found, tree)| found.as_ref() == Some(tree)) {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

/// The files that a commit's tree has in the directories above some slices, which a cone shows too, and that are not in the
/// object database: a download brings only those above its own slice.
pub fn missing_upper_files(objects: &mut Objects, root: &Oid, slices: &Slices) -> Result<Vec<Oid>> {
    let folders = folders_above(slices);
    let asked: Vec<(&Oid, &RepoPath)> = folders.iter().map(|folder| (root, folder)).collect();
    let trees: Vec<Oid> = listing::trees_at(objects, &asked)?.into_iter().flatten().flatten().collect();
    let mut files = Vec::new();
    for entries in objects.trees(&trees)? {
        let is_file = |entry: &TreeEntry| !entry.is_tree() && entry.mode != "160000";
        files.extend(entries.unwrap_or_default().into_iter().filter(is_file).map(|entry| entry.oid));
    }
    files.sort();
    files.dedup();
    let names: Vec<&str> = files.iter().map(Oid::as_str).collect();
    let infos = objects.infos(&names)?;
    Ok(files.iter().zip(infos).filter(|(_, info)| info.is_none()).map(|(oid, _)| oid.clone()).collect())
}

/// The directories above some slices that are in no slice, the root among them.
fn folders_above(slices: &Slices) -> BTreeSet<RepoPath> {
    let mut folders = BTreeSet::new();
    for slice in slices.keys() {
        let mut folder = RepoPath::default();
        for part in slice.parts() {
            if slices.contains_key(&folder) {
                break;
            }
            folders.insert(folder.clone());
            folder = folder.join(part);
        }
    }
    folders
}

fn not_here(oid: &Oid) -> Error {
    Error::failed(format!("object `{oid}` is not in the object store"))
        .hint("run `assets restore` again to download it")
}
