//! The note that is left before a work tree is changed and removed when the change is complete. Whoever finds one
//! finishes the job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::git_dir::{remove_if_there, write_atomically};
use crate::error::Result;
use crate::git::parse::Change;

/// A change of a work tree that has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The command, for messages.
    pub operation: String,
    /// The tree or commit that the index held before.
    pub from: String,
    /// The commit to show.
    pub to: String,
    /// Every slice of the checkout afterwards, and its pin.
    pub slices: BTreeMap<String, String>,
    /// Files that become what `to` has, whatever they are: their content is in `stashes`.
    pub put_back: Vec<String>,
    /// The stash entries that hold them, one for each slice.
    #[serde(default)]
    pub stashes: Vec<String>,
    /// Pending changes that stay as they are.
    pub kept: Vec<Change>,
    /// A tag that is recorded: its name, what it points to, and the commit that leads to.
    pub tag: Option<(String, String, String)>,
}

fn file(git_dir: &Path) -> PathBuf {
    git_dir.join("assets-journal")
}

/// Whether a change was begun and not completed. Cheap: the no-op path asks it.
pub fn exists(git_dir: &Path) -> bool {
    file(git_dir).exists()
}

/// Reads the journal. One that cannot be read was never completely written, so nothing after it has happened.
pub fn read(git_dir: &Path) -> Option<Journal> {
    serde_json::from_slice(&std::fs::read(file(git_dir)).ok()?).ok()
}

/// Writes the journal so that it survives a power cut.
pub fn write(git_dir: &Path, journal: &Journal) -> Result<()> {
    let bytes = serde_json::to_vec(journal).unwrap_or_default();
    write_atomically(&file(git_dir), &bytes, true)
}

/// Removes the journal: the change is complete.
pub fn remove(git_dir: &Path) -> Result<()> {
    remove_if_there(&file(git_dir))
}
