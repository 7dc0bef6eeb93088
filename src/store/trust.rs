//! Whether git may be run in a checkout: nothing in its git directory may run a program, or lead out of it.

use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::files::{entries_of, is_there, read_if_there};
use super::git_dir::ATTRIBUTES;
use crate::error::{AtPath, Error, Result, shell_word};
use crate::git::{Place, Repo};
use crate::names::{RemoteUrl, printable};

/// Configuration keys that this program, git or the .NET test proxy write into a checkout. None can run a command.
const HARMLESS_KEYS: &[&str] = &[
    "core.repositoryformatversion",
    "core.filemode",
    "core.bare",
    "core.logallrefupdates",
    "core.symlinks",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.autocrlf",
    "core.safecrlf",
    "core.longpaths",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "index.sparse",
    "index.skiphash",
    "gc.auto",
    "maintenance.auto",
    "extensions.partialclone",
    "extensions.worktreeconfig",
    "extensions.objectformat",
    "remote.origin.url",
    "remote.origin.fetch",
    "remote.origin.promisor",
    "remote.origin.partialclonefilter",
    "remote.origin.tagopt",
    "advice.detachedhead",
    "user.name",
    "user.email",
];

impl Checkout {
    /// Makes sure that running git here runs nothing that a stranger planted.
    ///
    /// # Errors
    /// When the directory is not a plain one of ours, or its configuration holds a key that is not ours.
    pub fn check_is_ours(&self) -> Result<()> {
        let refuse = |why: String| self.not_ours(why);
        for path in [&self.dir, &self.git_dir] {
            let meta = path.symlink_metadata().at("look at", path)?;
            if !meta.is_dir() {
                return Err(refuse(format!("`{}` is not a plain directory", path.display())));
            }
            if let Some(why) = foreign_owner(&meta) {
                return Err(refuse(format!("`{}` {why}", path.display())));
            }
        }
        if let Some(link) = find_link(&self.git_dir)? {
            return Err(refuse(format!("`{}` is a symbolic link", link.display())));
        }
        for name in ["commondir", "gitdir"] {
            if is_there(&self.git_dir.join(name))? {
                return Err(refuse(format!("`.git/{name}` leads to another repository")));
            }
        }
        if self.has_our_config()? {
            return Ok(());
        }
        for name in ["config", "config.worktree"] {
            let file = self.git_dir.join(name);
            if !is_there(&file)? {
                continue;
            }
            for (key, value) in self.outside(&file).config_keys(&file)? {
                let is_reftable = key == "extensions.refstorage" && value == "reftable" && self.has_reftable()?;
                if !is_harmless(&key) && !is_reftable {
                    return Err(refuse(format!("`.git/{name}` sets `{}`", printable(&key))));
                }
                if key == "extensions.objectformat" && !value.eq_ignore_ascii_case("sha1") {
                    return Err(refuse(format!("it is a repository with {}", printable(&value))).hint(
                        "`assets` only works with repositories that are made with `git init --object-format=sha1`",
                    ));
                }
                if key == "remote.origin.url" {
                    let origin = RemoteUrl::parse(&value).map_err(|why| {
                        refuse(format!("`.git/{name}` names the remote `{}`, which {why}", printable(&value)))
                    })?;
                    if !origin.is_spelling_of(self.store.url()) {
                        return Err(of_another_repo(&self.dir, &origin, self.store.name(), self.store.url()));
                    }
                }
            }
        }
        Ok(())
    }

    /// A place outside of the repository for reading one of its files, so that git does not obey the file before it is checked.
    /// Below a file there is no repository.
    fn outside(&self, file: &Path) -> Repo {
        let place = Place {
            git_dir: file.join("none"),
            work_tree: Some(self.folder.clone()),
            also_objects: Vec::new(),
            write_objects: None,
        };
        Repo { git: self.repo.git.clone(), place }
    }

    /// Whether git can read the git directory as a repository: it has refs, and a configuration that is one. After a power cut
    /// files of it may be all NUL bytes, and a copy may lack its empty directories.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn is_readable(&self) -> Result<bool> {
        if !self.git_dir.symlink_metadata().at("look at", &self.git_dir)?.is_dir() {
            // That is no damage: the check that follows refuses it.
            return Ok(true);
        }
        let refs = self.git_dir.join("refs");
        match refs.symlink_metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).at("look at", &refs),
            Ok(_) => {}
        }
        if self.has_our_config()? {
            return Ok(true);
        }
        let config = self.git_dir.join("config");
        match read_if_there(&config)? {
            None => return Ok(true),
            Some(bytes) if bytes.contains(&0) => return Ok(false),
            Some(_) => {}
        }
        let git = self.outside(&config);
        let Err(error) = git.config_keys(&config) else { return Ok(true) };
        // A git that cannot read an empty configuration either says nothing about this one.
        git.config_keys(Path::new("-")).map_err(|_| error).map(|_| false)
    }

    /// As [`Checkout::check_is_ours`], for a caller that does not put the attributes right before git compares files.
    pub fn check_before_looking(&self) -> Result<()> {
        self.check_is_ours()?;
        if self.uses_reftable()? {
            return Err(self.still_uses_reftable());
        }
        match self.has_foreign_attributes()? {
            true => Err(self.not_ours("`.git/info/attributes` may run filters or change recordings".into())),
            false => Ok(()),
        }
    }

    /// Whether somebody changed what switches attributes off. A checkout that another tool made has none.
    pub fn has_foreign_attributes(&self) -> Result<bool> {
        let text = read_if_there(&self.git_dir.join("info/attributes"))?;
        Ok(text.is_some_and(|text| text != ATTRIBUTES.as_bytes()))
    }

    fn not_ours(&self, why: String) -> Error {
        Error::failed(format!("`{}` is not a checkout made by `assets`", self.dir.display())).cause(why).hint(format!(
            "look at it, and if nothing in it is needed move it away: `mv {0} {0}.old`",
            shell_word(&self.dir.to_string_lossy())
        ))
    }
}

/// The refusal to work in the checkout of one assets repo for another. To do so would leave the slices that it shows without
/// their objects.
pub fn of_another_repo(dir: &Path, origin: &RemoteUrl, name: &str, url: &RemoteUrl) -> Error {
    let place = shell_word(&dir.to_string_lossy());
    Error::usage(format!(
        "`{}` is a checkout of assets repo `{}`, and not of `{}`",
        dir.display(),
        printable(origin.as_str()),
        printable(name)
    ))
    .cause("a checkout shows slices of one assets repo")
    .hint("for two assets repos name another folder for one of them, with `AssetsRepoId` in its `assets.json`")
    .hint(format!(
        "if the repo has moved, tell the checkout its new address, and all that is pending in it stays: `git -C {place} remote \
         set-url origin {}`",
        shell_word(url.as_str())
    ))
    .hint(format!("or begin a new checkout, and keep this one as it is: `mv {place} {place}.old`"))
}

/// A symbolic link below a folder, at any depth: git would write through it to wherever it leads.
///
/// # Errors
/// When a folder cannot be looked through: a link may be in it.
fn find_link(folder: &Path) -> Result<Option<PathBuf>> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in entries_of(&folder)? {
            let kind = entry.file_type().at("look at", &entry.path())?;
            if kind.is_symlink() {
                return Ok(Some(entry.path()));
            }
            // Single objects are never written over, and there may be many folders of them.
            let is_of_objects = entry.file_name().len() == 2 && folder.ends_with("objects");
            if kind.is_dir() && !is_of_objects {
                folders.push(entry.path());
            }
        }
    }
    Ok(None)
}

/// Whether a configuration key cannot run a command. A clone also notes the upstream of the default branch, whatever
/// that is called.
fn is_harmless(key: &str) -> bool {
    let upstream =
        key.strip_prefix("branch.").is_some_and(|rest| rest.ends_with(".remote") || rest.ends_with(".merge"));
    upstream || HARMLESS_KEYS.contains(&key)
}

#[cfg(unix)]
fn foreign_owner(meta: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid().as_raw();
    // Root may work for anybody: containers mount the user's files.
    (me != 0 && meta.uid() != me).then(|| format!("belongs to user {}, and you are {me}", meta.uid()))
}

#[cfg(not(unix))]
fn foreign_owner(_meta: &std::fs::Metadata) -> Option<String> {
    None
}
