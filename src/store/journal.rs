//! The note that is left before a work tree is changed and removed when the change is complete. Whoever finds one
//! finishes the job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{is_there, remove_if_there};
use super::note::Format;
use crate::error::{Error, Result};
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

/// Its name in the git directory.
pub const FILE: &str = "assets-journal";

const FORMAT: Format = Format {
    name: "journal",
    version: 1,
    advice: "it tells how to complete a command that was interrupted; if no version of assets can read it, look at the \
             changes in the checkout",
};

fn file(git_dir: &Path) -> PathBuf {
    git_dir.join(FILE)
}

/// The folder of a git directory that holds files which a command took out of the work tree, each at its path there.
pub const DISPLACED: &str = "assets-displaced";

/// Whether a change was begun and not completed: there is a journal, or a file that was taken out of the work tree. Cheap: the
/// no-op path asks it.
pub fn is_interrupted(git_dir: &Path) -> Result<bool> {
    Ok(is_there(&file(git_dir))? || is_there(&git_dir.join(DISPLACED))?)
}

/// Reads the journal; `None` when no change was begun.
///
/// # Errors
/// When it is there and cannot be read or understood: nobody knows then what is to be completed.
pub fn read(git_dir: &Path) -> Result<Option<Journal>> {
    FORMAT.read(&file(git_dir))
}

/// The failure of a journal whose content makes no sense.
pub fn damaged(git_dir: &Path, why: &str) -> Error {
    FORMAT.damaged(&file(git_dir), why)
}

/// Writes the journal so that it survives a power cut.
pub fn write(git_dir: &Path, journal: &Journal) -> Result<()> {
    FORMAT.write(&file(git_dir), journal)
}

/// Removes the journal: the change is complete.
pub fn remove(git_dir: &Path) -> Result<()> {
    remove_if_there(&file(git_dir))
}
