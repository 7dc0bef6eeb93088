//! Asking the remote of a store whether it is there and what we may do. No store is needed and none is made.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{CONFIG, HEAD, Store, git_dir, pack};
use crate::error::{AtPath, Result};
use crate::git::failure::Failure;
use crate::git::{Git, Place, Repo, parse};

/// Whether we may push.
pub enum PushRight {
    Granted,
    /// Not, for this reason.
    Denied(crate::error::Error),
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

impl Store {
    /// How long the remote takes to tell where its default branch is. Asked once: a failure is the answer.
    pub fn probe_fetch(&self, nowhere: &Nowhere) -> Result<Duration> {
        let started = Instant::now();
        let output = nowhere.repo.probe_fetch(&self.url)?;
        let took = started.elapsed();
        if !output.succeeded() {
            return Err(self.remote_error(output, "reach"));
        }
        if parse::remote_refs(&output.stdout).is_empty() {
            return Err(self.lists_nothing());
        }
        Ok(took)
    }

    /// Whether the remote would take a push from us, as far as it says so without getting one.
    pub fn probe_push(&self, nowhere: &Nowhere) -> Result<PushRight> {
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
