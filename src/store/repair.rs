//! Making stores, and making them whole again. What is broken is moved aside and never deleted, under the lock of the store
//! and after another look. Only what no git can use is moved: other commands, which hold the store in use, lose nothing.

use std::path::Path;

use super::files::{is_folder, is_there, read_if_there, write_atomically};
use super::lock::Lock;
use super::{CONFIG, HEAD, Store, checkout, git_dir, lock_file, pack};
use crate::error::{AtPath, Result};

impl Store {
    pub(super) fn make_stores_folder(&self) -> Result<()> {
        let stores = self.dir.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(stores).at("create", stores).map_err(|error| match error.hints.is_empty() {
            true => error.hint("name another cache directory with `ASSETS_CACHE_DIR`"),
            false => error,
        })
    }

    /// Makes the empty repository if there is none.
    pub fn create(&self) -> Result<()> {
        if self.exists()? || self.put_in_place()? {
            return Ok(());
        }
        let _lock = Lock::take(&lock_file(&self.dir), &self.access.patience, self.repo.git.report())?;
        self.create_locked().map(drop)
    }

    /// As [`Store::create`] for a caller that holds the lock of the store; whether there was none.
    pub(super) fn create_locked(&self) -> Result<bool> {
        if self.exists()? {
            return Ok(false);
        }
        if self.put_in_place()? {
            return Ok(true);
        }
        // A directory that lost some of its files: what is left of it serves.
        if is_folder(&self.dir)? {
            return self.mend_head().map(|()| false);
        }
        let aside = checkout::broken_name(&self.dir);
        std::fs::rename(&self.dir, &aside).at("set aside", &self.dir)?;
        self.put_in_place()
    }

    /// Makes the empty repository beside its place and renames it there. Whether a store is there afterwards: not when
    /// something else stands in its place.
    fn put_in_place(&self) -> Result<bool> {
        self.make_stores_folder()?;
        let stores = self.dir.parent().unwrap_or(&self.dir);
        let building = tempfile::Builder::new().prefix(".new-").tempdir_in(stores).at("write into", stores)?;
        git_dir::create(building.path(), CONFIG, HEAD)?;
        match std::fs::rename(building.path(), &self.dir) {
            Ok(()) => {
                // It is no longer where its guard would delete it.
                let _ = building.keep();
                Ok(true)
            }
            // Another process was faster.
            Err(_) if self.exists()? => Ok(true),
            Err(_) if is_there(&self.dir)? => Ok(false),
            Err(e) => Err(e).at("create", &self.dir),
        }
    }

    /// Writes anew what is gone, empty or cut short of the small files, and folders that are gone: git would see no repository.
    /// It is always the same, so no lock is needed.
    pub fn mend_head(&self) -> Result<()> {
        if !is_folder(&self.dir)? {
            return Ok(());
        }
        for folder in ["objects", "refs"].map(|name| self.dir.join(name)) {
            if !is_there(&folder)? {
                std::fs::create_dir_all(&folder).at("create", &folder)?;
            }
        }
        if is_config_lost(&self.dir)? {
            write_atomically(&self.dir.join("config"), CONFIG.as_bytes(), true)?;
        }
        if is_head_lost(&self.dir)? {
            write_atomically(&self.dir.join("HEAD"), HEAD.as_bytes(), true)?;
        }
        Ok(())
    }

    /// Makes the store fit for use. Packs that are not whole are moved aside, because git complains of them at each call;
    /// what was in them is downloaded again.
    pub fn mend(&self) -> Result<()> {
        self.mend_head()?;
        self.set_broken_packs_aside().map(drop)
    }

    /// Moves packs aside that no git can read; whether there were any.
    pub(super) fn set_broken_packs_aside(&self) -> Result<bool> {
        if pack::broken(&self.objects_dir())?.is_empty() {
            return Ok(false);
        }
        let _lock = Lock::take(&lock_file(&self.dir), &self.access.patience, self.repo.git.report())?;
        let broken = pack::broken(&self.objects_dir())?;
        if broken.is_empty() {
            // Another process was faster.
            return Ok(true);
        }
        let aside = checkout::broken_name(&self.dir);
        std::fs::create_dir_all(&aside).at("create", &aside)?;
        for file in broken.iter().flat_map(|index| pack::files_of(index)) {
            let to = aside.join(file.file_name().unwrap_or_default());
            match std::fs::rename(&file, &to) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                renamed => renamed.at("set aside", &file)?,
            }
        }
        self.repo.git.report().note("the object store was damaged and is downloaded again");
        Ok(true)
    }
}

/// Whether git could not work in a store as it is: a small file or a pack was left cut short. The next restore repairs it.
pub fn is_cut_short(dir: &Path) -> Result<bool> {
    Ok(is_config_lost(dir)? || is_head_lost(dir)? || !pack::broken(&dir.join("objects"))?.is_empty())
}

/// No other HEAD means anything in a store.
fn is_head_lost(dir: &Path) -> Result<bool> {
    Ok(read_if_there(&dir.join("HEAD"))?.is_none_or(|content| content != HEAD.as_bytes()))
}

/// Whether the configuration is gone, or is nothing but a part of what we wrote. What else is in it may be meant.
fn is_config_lost(dir: &Path) -> Result<bool> {
    let Some(content) = read_if_there(&dir.join("config"))? else { return Ok(true) };
    let is_part = content.len() < CONFIG.len() && CONFIG.as_bytes().starts_with(&content);
    Ok(is_part || content.iter().all(|byte| *byte == 0))
}
