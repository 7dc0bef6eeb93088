//! The folders whose place a user can choose, and by which variable: only hints are made of it. Failures of the file system
//! happen in all layers, and few of them know which folder a path is in.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// A folder whose place the user can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// An assets folder.
    Assets,
    /// The cache directory.
    Cache,
}

static FOLDERS: RwLock<Vec<(PathBuf, Folder)>> = RwLock::new(Vec::new());

impl Folder {
    /// Notes that `folder` is such a folder in this run.
    pub fn is_at(self, folder: &Path) {
        let mut folders = FOLDERS.write().unwrap_or_else(PoisonError::into_inner);
        if !folders.iter().any(|(known, _)| known == folder) {
            folders.push((folder.to_path_buf(), self));
        }
    }

    /// The innermost such folder that a path is at or below, and where it is.
    pub fn of(path: &Path) -> Option<(Folder, PathBuf)> {
        let folders = FOLDERS.read().unwrap_or_else(PoisonError::into_inner);
        let around = folders.iter().filter(|(folder, _)| path.starts_with(folder));
        around.max_by_key(|(folder, _)| folder.components().count()).map(|(folder, kind)| (*kind, folder.clone()))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Folder::Assets => "assets folder",
            Folder::Cache => "cache directory",
        }
    }

    /// The same with its article.
    pub fn with_article(self) -> &'static str {
        match self {
            Folder::Assets => "an assets folder",
            Folder::Cache => "a cache directory",
        }
    }

    /// The variable that names it.
    pub fn variable(self) -> &'static str {
        match self {
            Folder::Assets => "PROXY_ASSETS_FOLDER",
            Folder::Cache => "ASSETS_CACHE_DIR",
        }
    }
}
