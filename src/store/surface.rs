//! What a checkout shows, as far as a few small files tell: the no-op path, without a process or a lock.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use super::checkout::{SHOWN, TAGS, pin_of};
use super::git_dir::{read_head, read_ref};
use super::journal;
use crate::manifest::{Form, Manifest};
use crate::names::Oid;

/// One checkout, as it was when it was looked at.
pub struct Surface {
    git_dir: PathBuf,
    head: Oid,
    shown: OnceLock<Option<Oid>>,
    index: OnceLock<Option<Metadata>>,
}

impl Surface {
    /// Looks at the checkout in `dir`. Nothing when there is none, or when a change of it is not completed.
    pub fn of(dir: &Path) -> Option<Surface> {
        let git_dir = dir.join(".git");
        let real = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let head = read_head(&git_dir)?;
        if !real(dir) || !real(&git_dir) || journal::exists(&git_dir) {
            return None;
        }
        Some(Surface { git_dir, head, shown: OnceLock::new(), index: OnceLock::new() })
    }

    /// The pin of a manifest as a commit, when its slice is shown at it.
    pub fn pin_of(&self, manifest: &Manifest) -> Option<Oid> {
        let instead = manifest.instead.as_ref();
        match &manifest.form {
            Form::Tag { .. } if instead.is_some() => {
                instead.filter(|commit| **commit == self.head && self.index().is_some()).cloned()
            }
            Form::Branch { sha, .. } => {
                // Without a pin only the remote knows.
                let sha = instead.or(sha.as_ref())?;
                let is_shown = pin_of(&self.git_dir, &manifest.slice).as_ref() == Some(sha) && self.head_is_ours();
                is_shown.then(|| sha.clone())
            }
            Form::Tag { tag: Some(tag), .. } => {
                let is_head = |name: &str| read_ref(&self.git_dir, name).as_ref() == Some(&self.head);
                let at_tag = is_head(&format!("{TAGS}{tag}")) || is_head(&tag.tag_ref());
                (at_tag && self.index().is_some()).then(|| self.head.clone())
            }
            Form::Tag { .. } => None,
        }
    }

    /// When git wrote the index.
    pub fn index_written(&self) -> Option<SystemTime> {
        self.index()?.modified().ok()
    }

    /// Whether HEAD is where the last restore left it.
    fn head_is_ours(&self) -> bool {
        self.shown.get_or_init(|| read_ref(&self.git_dir, SHOWN)).as_ref() == Some(&self.head)
    }

    fn index(&self) -> Option<&Metadata> {
        let look = || self.git_dir.join("index").metadata().ok().filter(Metadata::is_file);
        self.index.get_or_init(look).as_ref()
    }
}

/// Whether the checkout in `dir` shows the manifest's slice at its pin.
pub fn is_at_pin(dir: &Path, manifest: &Manifest) -> bool {
    Surface::of(dir).is_some_and(|surface| surface.pin_of(manifest).is_some())
}

/// Checkouts that are looked at once for all of their slices.
#[derive(Default)]
pub struct Surfaces(Mutex<HashMap<PathBuf, Option<Arc<Surface>>>>);

impl Surfaces {
    /// As [`Surface::of`].
    pub fn of(&self, dir: &Path) -> Option<Arc<Surface>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(surface) = known.get(dir) {
            return surface.clone();
        }
        drop(known);
        // Two threads may look at the same; others need not wait for that.
        let surface = Surface::of(dir).map(Arc::new);
        known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(dir.to_path_buf()).or_insert(surface).clone()
    }
}
