//! Taking out of a store what is not needed: one new pack of what stays, then away with the old ones. At any moment in
//! between the store is whole.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::needs::Kept;
use crate::error::{AtPath, Error, Result};
use crate::git::Repo;
use crate::interrupt;
use crate::names::Oid;
use crate::store::files::{entries_of, is_there, remove_if_there, sync_folder, text_if_there, write_atomically};
use crate::store::git_dir::refs_below;

/// What holds objects in a store: packs and loose objects.
pub struct Files {
    /// The files of each pack, that by which git finds it first.
    packs: Vec<Vec<PathBuf>>,
    loose: Vec<(PathBuf, Oid)>,
    /// The bytes of them all.
    pub bytes: u64,
}

impl Files {
    /// Lists what there is now. A pack that somebody marked to be kept is left out.
    pub fn of(store: &Path) -> Result<Files> {
        let objects = store.join("objects");
        let mut files = Files { packs: Vec::new(), loose: Vec::new(), bytes: 0 };
        for index in paths_in(&objects.join("pack"))? {
            let pack = index.with_extension("pack");
            if index.extension().is_none_or(|extension| extension != "idx") || is_there(&index.with_extension("keep"))?
            {
                continue;
            }
            files.bytes += size(&pack);
            let others = ["rev", "mtimes", "bitmap", "promisor", "pack"].map(|kind| index.with_extension(kind));
            files.packs.push([index].into_iter().chain(others).collect());
        }
        for folder in paths_in(&objects)? {
            let Some(start) = folder.file_name().and_then(|name| name.to_str()).filter(|name| name.len() == 2) else {
                continue;
            };
            for file in paths_in(&folder)? {
                let rest = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if let Ok(oid) = Oid::parse(&format!("{start}{rest}")) {
                    files.bytes += size(&file);
                    files.loose.push((file, oid));
                }
            }
        }
        Ok(files)
    }

    /// How many bytes go when only some objects stay.
    pub fn frees(&self, have: &HashMap<Oid, u64>, kept: &HashSet<Oid>) -> u64 {
        let stays: u64 = kept.iter().filter_map(|oid| have.get(oid)).sum();
        self.bytes.saturating_sub(stays)
    }
}

/// Leaves only what is kept in a store. Call it with the store for yourself alone.
///
/// `checkouts` are the git directories that borrow from it.
pub fn repack(store: &Repo, files: &Files, have: &HashMap<Oid, u64>, kept: &Kept) -> Result<()> {
    let dir = &store.place.git_dir;
    let packs = dir.join("objects/pack");
    let shallow = text_if_there(&dir.join("shallow"))?.unwrap_or_default();
    let mut objects: Vec<&Oid> = kept.objects.iter().collect();
    objects.sort();
    let new: Vec<PathBuf> = if objects.is_empty() { Vec::new() } else { add_pack(store, dir, &packs, &objects)? };
    // From here on everything that is kept is here twice.
    let tags = refs_below(dir, "refs/tags/")?.into_keys().filter(|tag| !kept.tags.contains(tag));
    store.delete_refs(&tags.map(|tag| format!("refs/tags/{tag}")).collect::<Vec<_>>())?;
    interrupt::check()?;
    for pack in &files.packs {
        // Index first: a pack without one is none for git, and one without its pack would be broken.
        for file in pack.iter().filter(|file| !new.contains(file)) {
            remove_if_there(file)?;
        }
        interrupt::check()?;
    }
    for (file, _) in files.loose.iter().filter(|(_, oid)| have.contains_key(oid)) {
        remove_if_there(file)?;
        // The last one takes the folder with it.
        let _ = file.parent().map(std::fs::remove_dir);
    }
    // Last: a commit that is still here must not seem to have a history.
    let is_kept = |line: &&str| Oid::parse(line.trim()).is_ok_and(|oid| kept.objects.contains(&oid));
    let left: String = shallow.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    match left.is_empty() {
        _ if left == shallow => Ok(()),
        true => remove_if_there(&dir.join("shallow")),
        false => write_atomically(&dir.join("shallow"), left.as_bytes(), true),
    }
}

/// Makes one pack of some objects beside its place, proves it and moves it there; returns its files.
fn add_pack(store: &Repo, dir: &Path, packs: &Path, objects: &[&Oid]) -> Result<Vec<PathBuf>> {
    let building = tempfile::Builder::new().prefix(".new-").tempdir_in(dir).at("write into", dir)?;
    store.pack_objects(&building.path().join("pack"), objects)?;
    let built = paths_in(building.path())?;
    let index = built.iter().find(|file| file.extension().is_some_and(|extension| extension == "idx"));
    let index = index.ok_or_else(|| Error::failed("git made no pack").cause(format!("in `{}`", dir.display())))?;
    store.verify_pack(index)?;
    // As the packs that are fetched: it refers to objects that are not here.
    let promisor = index.with_extension("promisor");
    write_atomically(&promisor, b"", true)?;
    let mut moved = Vec::new();
    let mut files: Vec<&PathBuf> = built.iter().filter(|file| *file != index).collect();
    files.extend([&promisor, index]);
    for file in files {
        let to = packs.join(file.file_name().unwrap_or_default());
        std::fs::rename(file, &to).at("put the new pack in place as", &to)?;
        moved.push(to);
    }
    sync_folder(packs);
    Ok(moved)
}

fn paths_in(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries_of(folder)?.into_iter().map(|entry| entry.path()).collect())
}

fn size(file: &Path) -> u64 {
    file.symlink_metadata().map_or(0, |meta| meta.len())
}
