//! Finding the manifest that a path means.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::FILE_NAME;
use crate::error::{AtPath, Error, Result, shell_word};

/// How to find what to name instead.
const OTHERS: &str =
    "name an `assets.json` or a directory at or below one: `git ls-files ':(top,glob)**/assets.json'` lists them";

/// Finds the manifest for `path`: the file itself, or for a directory the nearest `assets.json` in it or above it, not
/// beyond the root of the code repo.
///
/// # Errors
/// When there is none; the error names every directory that was searched.
pub fn manifest_for(path: &Path) -> Result<PathBuf> {
    let start = match dunce::canonicalize(path) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(e).at("find", path),
        found => found
            .map_err(|e| Error::usage(format!("there is no `{}`", path.display())).cause(e.to_string()).hint(OTHERS)),
    }?;
    if start.is_file() {
        if start.file_name().is_some_and(|name| name == FILE_NAME) {
            return Ok(start);
        }
        return Err(Error::usage(format!("`{}` is not a manifest", path.display()))
            .cause(format!("a manifest is a file named `{FILE_NAME}`"))
            .hint(OTHERS));
    }
    let mut searched = Vec::new();
    for folder in start.ancestors() {
        let file = folder.join(FILE_NAME);
        match file.metadata() {
            Ok(meta) if meta.is_file() => return Ok(file),
            // Another one above it would be the manifest of other recordings.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(e).at("look at", &file),
            _ => {}
        }
        searched.push(folder);
        if is_repo_root(folder) {
            break;
        }
    }
    Err(not_found(&start, &searched))
}

/// The root of the code repo that holds `folder`.
pub fn code_repo_of(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|folder| is_repo_root(folder)).map(Path::to_path_buf)
}

/// `.git` is a directory, or a file in linked worktrees and submodules.
pub fn is_repo_root(folder: &Path) -> bool {
    folder.join(".git").exists()
}

/// The root of the work tree that holds the git directory of a code repo, when that is a submodule or a linked work tree.
pub fn main_work_tree_of(code_repo: &Path) -> Option<PathBuf> {
    let dot_git = code_repo.join(".git");
    // In all others it is a directory.
    let text = dot_git.is_file().then(|| std::fs::read_to_string(&dot_git).ok()).flatten()?;
    let git_dir = dunce::canonicalize(code_repo.join(text.strip_prefix("gitdir: ")?.trim_end())).ok()?;
    git_dir.ancestors().filter(|folder| folder.ends_with(".git")).last()?.parent().map(Path::to_path_buf)
}

fn not_found(start: &Path, searched: &[&Path]) -> Error {
    let last = searched.last().copied().unwrap_or(start);
    let why = if is_repo_root(last) {
        "the root of the git repository"
    } else {
        "the root of the disk; this is not a git repository"
    };
    let mut cause = String::from("searched, upwards:");
    for folder in searched {
        cause.push_str(&format!("\n  {}", folder.display()));
    }
    cause.push_str(&format!("\nthe last is {why}"));
    let error = Error::usage(format!("no `{FILE_NAME}` for `{}`", start.display())).cause(cause);
    if !is_repo_root(last) {
        return error.hint("go into a package of the code repo, or name one: `assets restore <path>`");
    }
    error.hint(OTHERS).hint(format!("or make one: `assets init {}`", shell_word(&start.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_one_counts_and_the_repo_root_ends_the_search() {
        let dir = tempfile::tempdir().unwrap();
        let root = dunce::canonicalize(dir.path()).unwrap();
        let deep = root.join("repo/sdk/core/tests");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(root.join("repo/.git")).unwrap();
        std::fs::write(root.join("assets.json"), "{}").unwrap();
        let error = manifest_for(&deep).unwrap_err();
        assert_eq!(error.causes[0].lines().count(), 6, "{:?}", error.causes);
        std::fs::write(root.join("repo/sdk/assets.json"), "{}").unwrap();
        assert_eq!(manifest_for(&deep).unwrap(), root.join("repo/sdk/assets.json"));
        std::fs::write(root.join("repo/sdk/core/assets.json"), "{}").unwrap();
        assert_eq!(manifest_for(&deep).unwrap(), root.join("repo/sdk/core/assets.json"));
        assert_eq!(manifest_for(&root.join("repo/sdk/assets.json")).unwrap(), root.join("repo/sdk/assets.json"));
        assert_eq!(code_repo_of(&deep), Some(root.join("repo")));
        assert!(manifest_for(&root.join("nowhere")).is_err());
    }
}
