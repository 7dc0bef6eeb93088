//! Which folder may hold checkouts when the user names one: it gets a `.gitignore` of `*`, and must not hide code with it.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::Context;
use crate::error::{AtPath, Error, Result};
use crate::manifest::locate;

impl Context {
    /// Refuses a folder, named with `PROXY_ASSETS_FOLDER`, that holds the code repo or another repository, or files that
    /// one tracks. The paths are compared as they are on disk: a link or a `..` changes nothing.
    pub(super) fn check_place(&self, code_repo: &Path, folder: &Path) -> Result<()> {
        let place = on_disk(folder)?;
        let refuse = |why: String| {
            Error::usage(format!("`{}` cannot be the assets folder: {why}", folder.display()))
                .cause("everything in an assets folder is hidden from git by a `.gitignore` in it")
                .hint("set `PROXY_ASSETS_FOLDER` to a folder for recordings alone, such as `.assets`, or not at all")
        };
        if on_disk(code_repo)?.starts_with(&place) {
            return Err(refuse("the code repo is in it".into()));
        }
        if locate::is_repo_root(&place) {
            return Err(refuse("it is the root of a git repository".into()));
        }
        match locate::code_repo_of(&place) {
            Some(owner) => self.check_untracked(&owner, &place),
            None => Ok(()),
        }
    }
}

/// A path without links and `..`, also where it does not exist yet.
fn on_disk(path: &Path) -> Result<PathBuf> {
    for there in path.ancestors() {
        let mut found = match dunce::canonicalize(there) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            found => found.at("find", there)?,
        };
        // What is still to be made holds no links.
        for part in path.strip_prefix(there).unwrap_or(Path::new("")).components() {
            match part {
                Component::ParentDir => drop(found.pop()),
                part => found.push(part),
            }
        }
        return Ok(found);
    }
    Ok(path.to_path_buf())
}
