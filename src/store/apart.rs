//! Objects that a checkout needs for itself. Git writes none that it finds in the store, but the store is a cache: somebody
//! may delete it. So they are written where git sees nothing else, and then put among the checkout's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files::entries_of;
use crate::error::{AtPath, Result};
use crate::git::Repo;
use crate::git::objects::Objects;
use crate::names::Oid;

/// What the folders are called in which objects wait to be put in place.
const PREFIX: &str = ".apart-";

/// A place for new objects, apart from all others.
pub struct Apart {
    folder: TempDir,
    objects: PathBuf,
}

impl Apart {
    /// Begins one for the checkout with this git directory. Call it under its lock: what killed runs left is removed.
    pub fn begin(git_dir: &Path) -> Result<Apart> {
        for entry in entries_of(git_dir)? {
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(git_dir).at("write into", git_dir)?;
        Ok(Apart { folder, objects: git_dir.join("objects") })
    }

    /// The repository, seeing and writing only what is here.
    pub fn only(&self, repo: &Repo) -> Repo {
        let mut repo = repo.clone();
        repo.place.write_objects = Some(self.folder.path().to_path_buf());
        repo.place.also_objects = Vec::new();
        repo
    }

    /// Writes the trees on the way from a root tree to some paths, wherever else they are.
    pub fn write_trees(&self, repo: &Repo, objects: &mut Objects, root: &Oid, paths: &[&str]) -> Result<()> {
        let folders: BTreeSet<&str> =
            paths.iter().flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end])).collect();
        let mut writer = self.only(repo).trees()?;
        let mut level = vec![(String::new(), root.clone())];
        while let Some((folder, tree)) = level.pop() {
            let Some(entries) = objects.trees(std::slice::from_ref(&tree))?.pop().flatten() else { continue };
            writer.write(&entries)?;
            for entry in entries.into_iter().filter(|entry| entry.is_tree()) {
                let path = format!("{folder}{}", String::from_utf8_lossy(&entry.name));
                if folders.contains(path.as_str()) {
                    level.push((path + "/", entry.oid));
                }
            }
        }
        Ok(())
    }

    /// Puts everything among the checkout's own objects.
    pub fn keep(self) -> Result<()> {
        let mut files = Vec::new();
        find_files(self.folder.path(), &mut files)?;
        // A pack before its index: git looks for the index.
        files.sort_by_key(|file| file.extension().is_some_and(|extension| extension == "idx"));
        for file in files {
            let to = self.objects.join(file.strip_prefix(self.folder.path()).unwrap_or(&file));
            let above = to.parent().unwrap_or(&to);
            std::fs::create_dir_all(above).at("create", above)?;
            match std::fs::rename(&file, &to) {
                // Git's files are read-only, which Windows does not replace; one of the same name says the same.
                Err(_) if to.exists() => {}
                renamed => renamed.at("write", &to)?,
            }
        }
        Ok(())
    }
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries_of(folder)? {
        match entry.file_type().at("look at", &entry.path())?.is_dir() {
            true => find_files(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}
