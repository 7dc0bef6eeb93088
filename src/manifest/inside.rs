//! Assets repos on this machine that lie where a pull request could have put them. Git runs the hooks of a local repository
//! that is pushed to, with the rights of the user.

use std::path::{Path, PathBuf};

use super::{Manifest, locate};
use crate::error::Error;
use crate::names::{AssetsRepo, RemoteUrl, printable};

/// Refuses a local assets repo below a code repo, or below the repository that the code repo is a submodule or a linked
/// work tree of.
pub fn check_outside_code_repo(url: &RemoteUrl, code_repo: &Path) -> Result<(), Error> {
    let Some(path) = url.local_path() else { return Ok(()) };
    let outer = locate::main_work_tree_of(code_repo);
    let mut folders = [Some(code_repo), outer.as_deref()].into_iter().flatten();
    folders.find(|folder| leads_into(&path, folder)).map_or(Ok(()), |folder| Err(refused(url, "code repo", folder)))
}

/// Refuses a local assets repo below the assets folder.
pub fn check_outside_assets_folder(manifest: &Manifest, folder: &Path) -> Result<(), Error> {
    let AssetsRepo::At(url) = &manifest.assets_repo else { return Ok(()) };
    let is_link = folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if is_link || leads_into(&manifest.code_repo, folder) {
        // Such an assets folder is refused itself, before git runs anywhere.
        return Ok(());
    }
    match url.local_path() {
        Some(path) if leads_into(&path, folder) => {
            let mut error = refused(url, "assets folder", folder);
            error.message = format!("`{}`: {}", manifest.path, error.message);
            Err(error)
        }
        _ => Ok(()),
    }
}

fn refused(url: &RemoteUrl, what: &str, folder: &Path) -> Error {
    Error::usage(format!(
        "`AssetsRepo` `{}` is inside of the {what} `{}`",
        printable(url.as_str()),
        folder.display()
    ))
    .cause("a repository there may have come with a pull request, and git would run its hooks and obey its configuration")
    .hint("name an assets repo elsewhere: `owner/name`, a URL, or a path outside of it")
}

/// Whether a path is in a folder, or goes through it, however both are written. Names are compared by what they are the
/// names of: a link, `..` or another case makes no difference.
fn leads_into(path: &Path, folder: &Path) -> bool {
    let Some(folder) = Place::of(folder) else { return false };
    let is_it = |path: &Path| Place::of(path).is_some_and(|place| place == folder);
    let mut through = PathBuf::new();
    let on_the_way = path.components().any(|part| {
        through.push(part);
        is_it(&through)
    });
    // Git looks for these too.
    let mut suffixed = path.as_os_str().to_os_string();
    suffixed.push(".git");
    let ends = [path.to_path_buf(), PathBuf::from(suffixed)];
    on_the_way || ends.iter().any(|end| dunce::canonicalize(end).is_ok_and(|real| real.ancestors().any(is_it)))
}

/// What tells a folder from all others.
#[derive(PartialEq)]
struct Place(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] String);

impl Place {
    /// None for what is not there: it leads nowhere.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Place> {
        use std::os::unix::fs::MetadataExt;
        let meta = path.metadata().ok()?;
        Some(Place((meta.dev(), meta.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Place> {
        let real = dunce::canonicalize(path).ok()?;
        Some(Place(real.to_string_lossy().to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn paths_that_lead_into_a_folder_however_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dunce::canonicalize(dir.path()).unwrap();
        for folder in ["code/vendor/evil.git", "code/sub", "code2", "elsewhere/a.git", "elsewhere/deep"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(root.join(to), root.join(from)).unwrap();
        link("code/vendor", "elsewhere/vendor");
        link("code/vendor/evil.git", "elsewhere/b.git");
        link("elsewhere", "code/out");
        let table = [
            ("code", true),
            ("code/vendor/evil.git", true),
            ("code/vendor/evil", true),
            ("code/vendor/none.git", true),
            ("./code//vendor/./evil.git", true),
            ("code2/../code/vendor/evil.git", true),
            ("elsewhere/vendor/evil.git", true),
            ("elsewhere/b.git", true),
            ("elsewhere/b", true),
            // It goes through a link that a commit may hold.
            ("code/out/a.git", true),
            ("code/out/../a.git", true),
            ("elsewhere/a.git", false),
            ("code2", false),
            ("code2/code", false),
            ("none/code/vendor", false),
            ("", false),
        ];
        for (path, inside) in table {
            assert_eq!(leads_into(&root.join(path), &root.join("code")), inside, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_repository_around_a_submodule_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dunce::canonicalize(dir.path()).unwrap();
        for folder in ["super/.git/modules/sub", "super/sub", "super/evil.git", "assets.git"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("super/sub/.git"), "gitdir: ../.git/modules/sub\n").unwrap();
        let check = |scheme: &str, path: &str| {
            let url = RemoteUrl::parse(&format!("{scheme}{}", root.join(path).display())).unwrap();
            check_outside_code_repo(&url, &root.join("super/sub")).is_ok()
        };
        for scheme in ["", "file://"] {
            assert!(!check(scheme, "super/evil.git") && !check(scheme, "super/sub/x.git"));
            assert!(check(scheme, "assets.git"));
        }
        assert!(!check("file://", "super/%65vil.git"));
    }
}
