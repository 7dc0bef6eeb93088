//! The assets folder: tried out in a folder with a name that nobody uses, which is removed again.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Context, Finding};
use crate::error::{AtPath, Error, Result, shell_word};
use crate::manifest::Manifest;
use crate::store::checkout::dir_of;

/// The longest name of a folder in a path that is tried out.
const PART: usize = 50;
/// What Windows allows a path without further ado.
const WINDOWS: usize = 259;

/// An empty folder in `dir`, or where `dir` would be made.
pub fn scratch(dir: &Path) -> Result<TempDir> {
    let there = dir.ancestors().find(|dir| dir.symlink_metadata().is_ok()).unwrap_or(dir);
    tempfile::Builder::new().prefix(".assets-doctor-").tempdir_in(there).at("write into", there)
}

/// Recordings can be written.
pub fn can_be_written(folder: &Path) -> Result<Finding> {
    scratch(folder).map_err(|error| Error {
        hints: vec!["name another assets folder with `PROXY_ASSETS_FOLDER`".into()],
        ..error.context(format!("the assets folder `{}` cannot be written", folder.display()))
    })?;
    let exists = if folder.is_dir() { "" } else { ", which the first restore makes" };
    Finding::fine(format!("`{}`{exists}", folder.display()))
}

/// A recording with the longest path that a restore accepts can be written.
pub fn takes_long_paths(folder: &Path, manifest: &Manifest, limit: usize) -> Result<Finding> {
    let shorter = "name a folder with a shorter path: `PROXY_ASSETS_FOLDER=<folder>`";
    let checkout = dir_of(folder, manifest);
    let whole = checkout.as_os_str().len() + 1 + limit;
    if cfg!(windows) && whole > WINDOWS {
        return Ok(Finding::Warning {
            text: format!("paths may have {whole} characters, which not every program on Windows can open"),
            hints: vec![
                shorter.into(),
                r"or allow them, as administrator: `reg add HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 /f`".into(),
            ],
        });
    }
    let scratch = scratch(folder)?;
    let file = long_path(scratch.path(), whole);
    let parent = file.parent().unwrap_or(&file);
    let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&file, ""));
    written.map_err(|why| {
        Error::failed(format!("a path of {limit} bytes cannot be written below `{}`", checkout.display()))
            .cause(why.to_string())
            .hint(shorter)
    })?;
    Finding::fine(format!("{limit} bytes below a checkout can be written"))
}

/// A path in `folder` of so many bytes in all, if there is room for any.
fn long_path(folder: &Path, bytes: usize) -> PathBuf {
    let mut path = folder.to_path_buf();
    while let Some(left) = bytes.checked_sub(path.as_os_str().len() + 1).filter(|left| *left > 0) {
        path.push("x".repeat(left.min(PART)));
    }
    path
}

/// The code repo's own git does not see it.
pub fn is_ignored(context: &Context, manifest: &Manifest, folder: &Path) -> Result<Finding> {
    let root = &manifest.code_repo;
    let Ok(inside) = folder.strip_prefix(root) else { return Finding::fine("it is outside of the code repo") };
    let inside = inside.to_string_lossy().replace('\\', "/");
    // The first restore makes a folder that ignores itself.
    if folder.is_dir() && !context.code_repo_git(root)?.is_ignored(&format!("{inside}/x"))? {
        let file = shell_word(&folder.join(".gitignore").to_string_lossy());
        return Finding::warning(format!("git would add `{inside}` to the code repo"), format!("`echo '*' > {file}`"));
    }
    Finding::fine("git leaves it out of the code repo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_have_the_length_that_is_asked_for() {
        for bytes in [10, 60, 61, 62, 240, 1000] {
            let path = long_path(Path::new("/tmp/x"), bytes);
            assert_eq!(path.as_os_str().len(), bytes, "{path:?}");
        }
        assert_eq!(long_path(Path::new("/tmp/x"), 3), Path::new("/tmp/x"));
    }
}
