//! The note of a push under way, by which the next push finishes one that was interrupted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Push, Pushed};
use crate::error::{Error, Result};
use crate::manifest::{Form, Pin};
use crate::names::Oid;
use crate::ops::Outcome;
use crate::store::git_dir::{remove_if_there, write_atomically};

/// The note that a push is under way: kept until the manifest names its commit.
#[derive(Serialize, Deserialize, PartialEq)]
pub struct Intent {
    pub base: String,
    pub tree: String,
    pub commit: String,
    pub to: String,
    /// Whether its parent is another commit than the base.
    pub rebased: bool,
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
        if self.manifest.pin() == Pin::Commit(commit.clone()) || !self.manifest_is_behind(&intent) {
            self.forget()?;
            return self.nothing();
        }
        self.edit_manifest(&commit, &intent.to)?;
        self.forget()?;
        Ok(Outcome::Done(Pushed { sent_to: Some(intent.to), ..self.summary(&commit, Vec::new(), 0) }))
    }

    /// Whether the manifest still has the pin that the interrupted push started from.
    pub(super) fn manifest_is_behind(&self, intent: &Intent) -> bool {
        match &self.manifest.form {
            Form::Branch { sha, .. } => sha.as_ref().is_none_or(|sha| sha.as_str() == intent.base),
            Form::Tag { tag, .. } => tag.as_ref().is_none_or(|tag| tag.tag_ref() != intent.to),
        }
    }

    pub(super) fn intent_file(&self) -> PathBuf {
        let hash = sha1_smol::Sha1::from(self.manifest.slice.as_str().as_bytes()).digest().to_string();
        self.checkout.git_dir.join(format!("assets-push-{}", &hash[..10]))
    }

    pub(super) fn intent(&self) -> Option<Intent> {
        serde_json::from_slice(&std::fs::read(self.intent_file()).ok()?).ok()
    }

    pub(super) fn note(&self, tree: &Oid, commit: &Oid, to: &str, rebased: bool) -> Result<()> {
        let text = |oid: &Oid| oid.to_string();
        let intent =
            Intent { base: text(&self.base), tree: text(tree), commit: text(commit), to: to.to_string(), rebased };
        write_atomically(&self.intent_file(), &serde_json::to_vec(&intent).unwrap_or_default(), true)
    }

    pub(super) fn forget(&self) -> Result<()> {
        remove_if_there(&self.intent_file())
    }
}
