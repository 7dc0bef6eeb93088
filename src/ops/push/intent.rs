//! The note of a push under way, by which the next push finishes one that was interrupted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Push, Pushed};
use crate::error::{Error, Result};
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RefName, RepoPath};
use crate::ops::{Outcome, breadcrumb};
use crate::store::files::remove_if_there;
use crate::store::note::{Format, PUSH};

const FORMAT: Format = Format {
    name: "note of a push",
    version: 1,
    advice: "it tells how to finish a push that was interrupted; if no version of assets can read it, look whether the \
             assets repo has the commit",
};

/// The note that a push is under way: kept until the manifest names its commit.
#[derive(Serialize, Deserialize, PartialEq)]
pub struct Intent {
    pub base: String,
    pub tree: String,
    pub commit: String,
    pub to: String,
    /// Whether its parent is another commit than the base.
    pub rebased: bool,
    /// What this push and interrupted ones before it may have left on the branch, oldest first.
    #[serde(default)]
    pub earlier: Vec<String>,
    /// What the manifest pinned, as it is written there; empty for no pin. Absent in notes of earlier versions.
    #[serde(default)]
    pub pin: Option<String>,
}

impl Intent {
    /// The note for a slice, in the git directory of its checkout; `None` when no push of it was begun.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub fn read(git_dir: &Path, slice: &RepoPath) -> Result<Option<Intent>> {
        FORMAT.read(&file(git_dir, slice))
    }

    /// Whether the next push of `manifest`, whose slice is shown at `shown`, goes on where the noted one stopped.
    pub fn is_open(&self, manifest: &Manifest, shown: &Oid, has_pending: bool) -> bool {
        if self.commit == shown.as_str() {
            return self.leaves_behind(manifest);
        }
        self.base == shown.as_str() && has_pending
    }

    /// Whether the manifest still has the pin that the push started from.
    pub fn leaves_behind(&self, manifest: &Manifest) -> bool {
        if let Some(pin) = &self.pin {
            return *pin == written_pin(manifest);
        }
        match &manifest.form {
            Form::Branch { sha, .. } => sha.as_ref().is_none_or(|sha| sha.as_str() == self.base),
            Form::Tag { tag, .. } => tag.as_ref().is_none_or(|tag| tag.tag_ref() != self.to),
        }
    }
}

/// The pin as the manifest has it; empty when it has none.
fn written_pin(manifest: &Manifest) -> String {
    match &manifest.form {
        Form::Branch { sha, .. } => sha.as_ref().map(Oid::to_string),
        Form::Tag { tag, .. } => tag.as_ref().map(RefName::to_string),
    }
    .unwrap_or_default()
}

fn file(git_dir: &Path, slice: &RepoPath) -> PathBuf {
    let hash = sha1_smol::Sha1::from(slice.as_str().as_bytes()).digest().to_string();
    git_dir.join(format!("{PUSH}{}", &hash[..10]))
}

impl Push<'_> {
    /// Finishes an earlier push that the remote took but the manifest does not name: the slice shows it already.
    pub(super) fn finish_earlier(self, intent: Intent) -> Result<Outcome<Pushed>> {
        let commit = Oid::parse(&intent.commit).map_err(|why| Error::failed(format!("the note of a push {why}")))?;
        if commit != self.base {
            // It was put aside or dropped since: there is nothing to finish.
            self.forget()?;
            return self.nothing();
        }
        if self.is_left_alone(&intent) {
            return Err(self
                .pin_has_moved(&format!("`{}`", written_pin(self.manifest)))
                .cause(format!("the recordings that it shows were pushed as `{}`", intent.to))
                .hint(format!("or pin what was pushed: set `{}` to that", self.manifest.pin_key())));
        }
        if self.manifest.pin() == Pin::Commit(commit.clone()) || !intent.leaves_behind(self.manifest) {
            // Only what comes after the manifest may be left to do.
            breadcrumb::write(&self.checkout.folder, self.manifest)?;
            self.forget()?;
            return self.nothing();
        }
        self.edit_manifest(&commit, &intent.to)?;
        self.forget()?;
        Ok(Outcome::Done(Pushed { sent_to: Some(intent.to), ..self.summary(&commit, Vec::new(), 0) }))
    }

    /// Whether nothing but a tag that no manifest names has the recordings of an interrupted push: somebody moved the pin
    /// to another tag since. (On a branch they are in everything that comes after.)
    fn is_left_alone(&self, intent: &Intent) -> bool {
        let Form::Tag { tag: Some(tag), .. } = &self.manifest.form else { return false };
        tag.tag_ref() != intent.to && intent.pin.is_some() && !intent.leaves_behind(self.manifest)
    }

    fn intent_file(&self) -> PathBuf {
        file(&self.checkout.git_dir, &self.manifest.slice)
    }

    /// Notes that a commit is about to be sent, made of the changes in `tree`. `sent` are those that may have arrived.
    pub(super) fn note(&self, tree: &Oid, commit: &Oid, rebased: bool, sent: &[Oid], to: &str) -> Result<()> {
        let intent = Intent {
            base: self.base.to_string(),
            tree: tree.to_string(),
            commit: commit.to_string(),
            to: to.to_string(),
            rebased,
            earlier: sent.iter().filter(|sent| *sent != commit).map(Oid::to_string).collect(),
            pin: Some(written_pin(self.manifest)),
        };
        FORMAT.write(&self.intent_file(), &intent)
    }

    pub(super) fn forget(&self) -> Result<()> {
        remove_if_there(&self.intent_file())
    }
}
