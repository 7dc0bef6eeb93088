//! Asking the remote of a store whether it is there and what we may do. No store is needed and none is made.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{CONFIG, HEAD, Store, git_dir, pack};
use crate::error::{AtPath, Error, Result};
use crate::git::failure::Failure;
use crate::git::{Git, Place, Repo, parse};

/// Whether we may push.
pub enum PushRight {
    Granted,
    /// Not, for this reason.
    Denied(Error),
}

/// An empty repository for calls that need one; gone when it is dropped.
pub struct Nowhere {
    pub repo: Repo,
    _folder: TempDir,
}

impl Nowhere {
    /// Makes one in the system's folder for temporary files.
    pub fn make(git: &Git) -> Result<Nowhere> {
        let folder = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("assets-").tempdir_in(&folder).at("write into", &folder)?;
        git_dir::create(folder.path(), CONFIG, HEAD)?;
        let git_dir = folder.path().to_path_buf();
        let place = Place { git_dir, work_tree: None, also_objects: Vec::new(), write_objects: None };
        Ok(Nowhere { repo: Repo { git: git.clone(), place }, _folder: folder })
    }
}

/// Whether the user may write into a repository of this machine.
#[cfg(unix)]
fn right_on_files(path: &Path) -> PushRight {
    use rustix::fs::{Access, access};

    use crate::error::{Kind, shell_word};
    let mut bare = path.as_os_str().to_os_string();
    bare.push(".git");
    let bare = Path::new(&bare);
    // Where git looks for it, in its order.
    let places = [&path.join(".git"), path, &bare.join(".git"), bare];
    let git_dir = places.into_iter().find(|place| place.join("objects").is_dir()).unwrap_or(path);
    let mut refused = ["objects", "refs"].map(|name| git_dir.join(name)).into_iter().filter_map(|folder| {
        let error = access(&folder, Access::WRITE_OK).err()?;
        Some(
            Error::new(Kind::Auth, "no right to push")
                .cause(format!("`{}`: {error}", folder.display()))
                .hint(format!("see who may write there: `ls -ld {}`", shell_word(&folder.to_string_lossy()))),
        )
    });
    refused.next().map_or(PushRight::Granted, PushRight::Denied)
}

#[cfg(not(unix))]
fn right_on_files(_path: &Path) -> PushRight {
    PushRight::Granted
}

impl Store {
    /// How long the remote takes to tell where its default branch is. Asked once: a failure is the answer.
    pub fn probe_fetch(&self, nowhere: &Nowhere) -> Result<Duration> {
        let started = Instant::now();
        let output = nowhere.repo.probe_fetch(&self.url)?;
        let took = started.elapsed();
        if !output.succeeded() {
            return Err(self.remote_error(output, "reach"));
        }
        self.check_ids(&output.stdout)?;
        if parse::remote_refs(&output.stdout).is_empty() {
            return Err(self.lists_nothing());
        }
        Ok(took)
    }

    /// Whether the remote would take a push from us, as far as it says so without getting one. A repository of this machine
    /// is not asked: that would run its `core.alternateRefsCommand` as the user.
    pub fn probe_push(&self, nowhere: &Nowhere) -> Result<PushRight> {
        if let Some(path) = self.url.local_path() {
            return Ok(right_on_files(&path));
        }
        let output = nowhere.repo.probe_push(&self.url)?;
        if output.succeeded() {
            return Ok(PushRight::Granted);
        }
        let failure = output.failure();
        let error = self.remote_error(output, "push to");
        match failure {
            Failure::Auth | Failure::MissingRepo | Failure::Policy => Ok(PushRight::Denied(error)),
            _ => Err(error),
        }
    }

    /// What is wrong with the packs; none when each object in them is what its id says.
    pub fn damage(&self) -> Result<Option<String>> {
        /// A pack that goes away meanwhile is no damage: then it is looked again.
        const TRIES: usize = 3;
        let mut words = String::new();
        for _ in 0..TRIES {
            let indexes = pack::indexes(&self.objects_dir())?;
            if indexes.is_empty() {
                return Ok(None);
            }
            let output = self.repo.verify_packs(&indexes)?;
            if output.succeeded() {
                return Ok(None);
            }
            // A git that cannot work anywhere says nothing about the packs.
            if output.code.is_none() || matches!(output.failure(), Failure::Configuration | Failure::Disk) {
                return Err(output.into_error());
            }
            words = output.stderr;
            if indexes.iter().all(|index| index.exists()) {
                break;
            }
        }
        Ok(Some(words))
    }

    /// How many packs there are.
    pub fn packs(&self) -> Result<usize> {
        Ok(pack::indexes(&self.objects_dir())?.len())
    }
}
