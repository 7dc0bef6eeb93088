//! Taking files out of the work tree without losing one. A file is first renamed into the git directory. It is deleted only
//! when its content is proven to be in a stash entry or in a commit: a test may be writing it at the same time. Files that a
//! killed command left there are found by the next one.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::git::nested;
use crate::git::objects::blob_id;
use crate::names::Oid;
use crate::ops::join;
use crate::ops::stash::content_at;
use crate::store::checkout::Checkout;
use crate::store::journal::DISPLACED;

/// Files that were taken out of a work tree.
#[must_use]
pub struct Displaced {
    work_tree: PathBuf,
    folder: PathBuf,
    paths: BTreeSet<String>,
}

impl Displaced {
    /// Takes the files at some paths out of the work tree, with the directories that become empty. A path that is no file,
    /// or that leads through a symbolic link, is left alone.
    ///
    /// # Errors
    /// When a file cannot be renamed; the others are back in their places then.
    pub fn take<'a>(checkout: &Checkout, paths: impl IntoIterator<Item = &'a str>) -> Result<Displaced> {
        let mut displaced = Displaced::left_over(checkout)?;
        if !displaced.is_empty() {
            return Err(Error::failed(format!(
                "`{}` holds files of an interrupted command",
                displaced.folder.display()
            ))
            .hint("run `assets status`, then the same command again"));
        }
        let sorted: BTreeSet<&str> = paths.into_iter().collect();
        // What is deepest comes first, so that a file below another name of the list is out before that name.
        for path in sorted.into_iter().rev() {
            match displaced.take_one(path) {
                Ok(true) => drop(displaced.paths.insert(path.to_string())),
                Ok(false) => {}
                Err(error) => {
                    displaced.put_back()?;
                    return Err(error);
                }
            }
        }
        Ok(displaced)
    }

    /// The files that an earlier command left; none after one that came to its end.
    pub fn left_over(checkout: &Checkout) -> Result<Displaced> {
        let folder = checkout.git_dir.join(DISPLACED);
        let paths = nested::files_in(&folder).at("read", &folder)?.into_iter().collect();
        Ok(Displaced { work_tree: checkout.dir.clone(), folder, paths })
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The displaced files, each with its content.
    pub fn contents(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut contents = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            contents.extend(content_at(&self.folder, path)?.map(|content| (path.clone(), content)));
        }
        Ok(contents)
    }

    /// The files whose content is not the one that is stored elsewhere, by path; `None` there means that none is.
    pub fn not_stored(&self, stored: &HashMap<String, Option<Oid>>) -> Result<Vec<(String, Vec<u8>)>> {
        let mut contents = self.contents()?;
        contents.retain(|(path, content)| stored.get(path).cloned().flatten() != Some(blob_id(content)));
        Ok(contents)
    }

    /// Puts the files back where they were. One whose place was taken meanwhile stays displaced, for the next command.
    pub fn put_back(self) -> Result<()> {
        for path in &self.paths {
            let (from, to) = (join(&self.folder, path), join(&self.work_tree, path));
            let above = to.parent().unwrap_or(&to);
            if to.symlink_metadata().is_ok() || std::fs::create_dir_all(above).is_err() {
                continue;
            }
            std::fs::rename(&from, &to).at("put back", &to)?;
        }
        self.remove_folder()
    }

    /// Deletes the files. Call it when their contents are proven to be stored.
    pub fn delete(self) -> Result<()> {
        for path in &self.paths {
            let file = join(&self.folder, path);
            std::fs::remove_file(&file).at("remove", &file)?;
        }
        self.remove_folder()
    }

    fn take_one(&self, path: &str) -> Result<bool> {
        let from = join(&self.work_tree, path);
        if leads_through_link(&self.work_tree, path) {
            return Ok(false);
        }
        match from.symlink_metadata() {
            Ok(meta) if meta.is_dir() => return Ok(false),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                // The directories of a deleted file may be empty.
                remove_empty_folders(&self.work_tree, &from);
                return Ok(false);
            }
            Err(e) => return Err(e).at("look at", &from),
            Ok(_) => {}
        }
        let to = join(&self.folder, path);
        let above = to.parent().unwrap_or(&to);
        std::fs::create_dir_all(above).at("create", above)?;
        std::fs::rename(&from, &to).at("remove", &from)?;
        remove_empty_folders(&self.work_tree, &from);
        Ok(true)
    }

    /// Removes the folder, unless files stayed in it.
    fn remove_folder(&self) -> Result<()> {
        let left = nested::files_in(&self.folder).at("read", &self.folder)?;
        match left.is_empty() && self.folder.symlink_metadata().is_ok() {
            true => std::fs::remove_dir_all(&self.folder).at("remove", &self.folder),
            false => Ok(()),
        }
    }
}

/// Whether a directory above the path is a symbolic link: what lies below it is elsewhere.
pub fn leads_through_link(top: &Path, path: &str) -> bool {
    let file = join(top, path);
    let above = file.ancestors().skip(1).take_while(|folder| *folder != top);
    above.into_iter().any(|folder| folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink()))
}

fn remove_empty_folders(top: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != top) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}
