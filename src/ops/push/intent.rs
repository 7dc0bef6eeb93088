//! The note of a push under way, by which the next push finishes one that was interrupted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{First, Push, Pushed};
use crate::error::{Error, Result};
use crate::manifest::{Form, Manifest, Pin};
use crate::names::{Oid, RepoPath};
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
    /// What interrupted pushes of other content may have left on the branch, oldest first.
    #[serde(default)]
    pub earlier: Vec<String>,
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
        match &manifest.form {
            Form::Branch { sha, .. } => sha.as_ref().is_none_or(|sha| sha.as_str() == self.base),
            Form::Tag { tag, .. } => tag.as_ref().is_none_or(|tag| tag.tag_ref() != self.to),
        }
    }
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

    fn intent_file(&self) -> PathBuf {
        file(&self.checkout.git_dir, &self.manifest.slice)
    }

    /// Notes that a commit is about to be sent, made of the changes in `tree`.
    pub(super) fn note(&self, tree: &Oid, next: &First, to: &str) -> Result<()> {
        let text = |oid: &Oid| oid.to_string();
        let intent = Intent {
            base: text(&self.base),
            tree: text(tree),
            commit: text(&next.commit),
            to: to.to_string(),
            rebased: next.rebased,
            earlier: next.earlier.iter().map(text).collect(),
        };
        FORMAT.write(&self.intent_file(), &intent)
    }

    pub(super) fn forget(&self) -> Result<()> {
        remove_if_there(&self.intent_file())
    }
}
