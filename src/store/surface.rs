//! What a checkout shows, as far as a few small files tell: the no-op path, without a process or a lock.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use super::checkout::{SHOWN, TAGS, pin_of};
use super::git_dir::{read_head, read_ref};
use super::journal;
use crate::error::Result;
use crate::manifest::{Form, Manifest};
use crate::names::Oid;

/// One checkout, as it was when it was looked at.
pub struct Surface {
    git_dir: PathBuf,
    head: Oid,
    shown: OnceLock<Result<Option<Oid>>>,
    index: OnceLock<Option<Metadata>>,
}

impl Surface {
    /// Looks at the checkout in `dir`. Nothing when there is none, or when a change of it is not completed.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn of(dir: &Path) -> Result<Option<Surface>> {
        let git_dir = dir.join(".git");
        let real = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let Some(head) = read_head(&git_dir)? else { return Ok(None) };
        if !real(dir) || !real(&git_dir) || journal::is_interrupted(&git_dir)? {
            return Ok(None);
        }
        Ok(Some(Surface { git_dir, head, shown: OnceLock::new(), index: OnceLock::new() }))
    }

    /// The pin of a manifest as a commit, when its slice is shown at it.
    ///
    /// # Errors
    /// When a ref that decides it cannot be read.
    pub fn pin_of(&self, manifest: &Manifest) -> Result<Option<Oid>> {
        let instead = manifest.instead.as_ref();
        Ok(match &manifest.form {
            Form::Tag { .. } if instead.is_some() => {
                instead.filter(|commit| **commit == self.head && self.index().is_some()).cloned()
            }
            Form::Branch { sha, .. } => {
                // Without a pin only the remote knows.
                let Some(sha) = instead.or(sha.as_ref()) else { return Ok(None) };
                let is_shown = pin_of(&self.git_dir, &manifest.slice)?.as_ref() == Some(sha) && self.head_is_ours()?;
                (is_shown && self.index().is_some()).then(|| sha.clone())
            }
            Form::Tag { tag: Some(tag), .. } => {
                let is_head = |name: &str| Ok(read_ref(&self.git_dir, name)?.as_ref() == Some(&self.head));
                let at_tag = is_head(&format!("{TAGS}{tag}"))? || is_head(&tag.tag_ref())?;
                (at_tag && self.index().is_some()).then(|| self.head.clone())
            }
            Form::Tag { .. } => None,
        })
    }

    /// When git wrote the index.
    pub fn index_written(&self) -> Option<SystemTime> {
        self.index()?.modified().ok()
    }

    /// Whether HEAD is where the last restore left it.
    fn head_is_ours(&self) -> Result<bool> {
        self.shown
            .get_or_init(|| read_ref(&self.git_dir, SHOWN))
            .clone()
            .map(|shown| shown.as_ref() == Some(&self.head))
    }

    fn index(&self) -> Option<&Metadata> {
        let look = || self.git_dir.join("index").metadata().ok().filter(Metadata::is_file);
        self.index.get_or_init(look).as_ref()
    }
}

/// Whether the checkout in `dir` shows the manifest's slice at its pin.
///
/// # Errors
/// When that cannot be told.
pub fn is_at_pin(dir: &Path, manifest: &Manifest) -> Result<bool> {
    let Some(surface) = Surface::of(dir)? else { return Ok(false) };
    Ok(surface.pin_of(manifest)?.is_some())
}

/// Checkouts that are looked at once for all of their slices.
#[derive(Default)]
pub struct Surfaces(Mutex<HashMap<PathBuf, Option<Arc<Surface>>>>);

impl Surfaces {
    /// As [`Surface::of`]; nothing either where that fails: the slow path reads the same files, and reports it.
    pub fn of(&self, dir: &Path) -> Option<Arc<Surface>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(surface) = known.get(dir) {
            return surface.clone();
        }
        drop(known);
        // Two threads may look at the same; others need not wait for that.
        let surface = Surface::of(dir).unwrap_or(None).map(Arc::new);
        known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(dir.to_path_buf()).or_insert(surface).clone()
    }
}
