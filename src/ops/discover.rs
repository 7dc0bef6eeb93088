//! Finding the manifests of a whole code repo, and those whose packages differ from another commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, Result, shell_word};
use crate::git::Repo;
use crate::manifest::{FILE_NAME, locate};
use crate::names::Oid;

/// Branches that a change is made against when nobody says which: what the remote calls its default, else the usual
/// names.
const USUAL_BASES: &[&str] = &["refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"];

/// The manifests of a code repo at or below a directory, sorted: tracked ones and new ones that git does not ignore.
///
/// # Errors
/// When the directory does not exist or is in no git repository.
pub fn manifests_below(context: &Context, start: &Path) -> Result<Vec<PathBuf>> {
    let start = dunce::canonicalize(start)
        .map_err(|e| Error::usage(format!("there is no `{}`", start.display())).cause(e.to_string()))?;
    let code = CodeRepo::of(context, &start)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for path in code.repo.ls_files(&format!("**/{FILE_NAME}"))? {
        let mut file = super::join(&code.root, &path);
        // A link means the package it leads to; one that was deleted, or that a sparse checkout leaves out, is not here.
        let Ok(meta) = file.symlink_metadata() else { continue };
        if meta.is_symlink() {
            let Ok(target) = dunce::canonicalize(&file) else { continue };
            file = target;
        }
        if file.starts_with(&start) && (meta.is_file() || file.is_file()) {
            files.push(file);
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Those of the manifests whose packages have files that differ from where `base` and HEAD parted, committed or not. A
/// file belongs to the nearest manifest above it.
///
/// # Errors
/// When `base` is not a commit here.
pub fn changed(context: &Context, manifests: Vec<PathBuf>, base: Option<&str>) -> Result<Vec<PathBuf>> {
    let Some(first) = manifests.first() else { return Ok(manifests) };
    let code = CodeRepo::of(context, first)?;
    let base = code.base(base)?;
    let changed = code.repo.changed_since(&base)?;
    let folders: BTreeSet<&Path> = manifests.iter().filter_map(|file| file.parent()).collect();
    let packages = packages_of(&code.root, &folders, &changed);
    let is_changed = |file: &PathBuf| file.parent().is_some_and(|folder| packages.contains(folder));
    Ok(manifests.iter().filter(|file| is_changed(file)).cloned().collect())
}

/// The packages that hold these files, each file in the nearest folder above it.
fn packages_of<'a>(root: &Path, packages: &BTreeSet<&'a Path>, files: &[String]) -> BTreeSet<&'a Path> {
    let package_of = |file: &String| {
        let file = super::join(root, file);
        file.ancestors().skip(1).find_map(|folder| packages.get(folder).copied())
    };
    files.iter().filter_map(package_of).collect()
}

/// The code repo as a place for git. Only asked, never changed.
pub struct CodeRepo {
    pub root: PathBuf,
    pub repo: Repo,
}

impl CodeRepo {
    pub fn of(context: &Context, path: &Path) -> Result<CodeRepo> {
        let root = locate::code_repo_of(path).ok_or_else(|| {
            Error::usage(format!("`{}` is not in a git repository", path.display()))
                .cause("`--all` and `--changed` ask git for the manifests of a code repo")
                .hint("go into the code repo, or name manifests: `assets restore <path>...`")
        })?;
        Ok(CodeRepo { repo: context.code_repo_git(&root)?, root })
    }

    /// The commit that this line of work began at.
    fn base(&self, named: Option<&str>) -> Result<Oid> {
        let candidates = named.map_or(USUAL_BASES.to_vec(), |name| vec![name]);
        let mut found = None;
        for name in &candidates {
            found = self.repo.rev_parse(name)?;
            if found.is_some() {
                break;
            }
        }
        let Some(base) = found else {
            let error = Error::usage(match named {
                Some(name) => format!("`{name}` is not a commit in this clone"),
                None => "there is no branch to compare with".to_string(),
            });
            let name = named.and_then(|name| name.strip_prefix("origin/")).unwrap_or("main");
            return Err(error
                .cause(format!("looked for: {}", candidates.join(", ")))
                .hint(format!(
                    "fetch it: `git fetch origin {}`",
                    shell_word(&format!("+{name}:refs/remotes/origin/{name}"))
                ))
                .hint("or name another branch, tag or commit: `--changed <base>`"));
        };
        let Some(head) = self.repo.rev_parse("HEAD")? else { return Ok(base) };
        // A clone without the history between the two does not know where they parted: then all that differs counts.
        Ok(self.repo.merge_base(&base, &head)?.unwrap_or(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_nearest_package_above_them() {
        let root = Path::new("/code");
        let [core, inner, tables] = ["/code/sdk/core", "/code/sdk/core/inner", "/code/sdk/tables"].map(Path::new);
        let packages = BTreeSet::from([core, inner, tables]);
        let of = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
            packages_of(root, &packages, &files).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(&["sdk/core/a.py", "sdk/core/tests/b.py"]), [core]);
        assert_eq!(of(&["sdk/core/inner/assets.json"]), [inner]);
        assert!(of(&["sdk/a.py", "eng/x", "sdk/tables2/x"]).is_empty());
        let outer = BTreeSet::from([root]);
        assert_eq!(packages_of(root, &outer, &["x".into()]), outer);
    }
}
