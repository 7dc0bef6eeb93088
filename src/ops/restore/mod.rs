//! `restore` and `reset`: show slices at their pins.

mod fleet;
mod group;
pub mod preview;

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::plan::{self, OnPending, Refusal, Seen, Step};
use super::{Context, Outcome, breadcrumb, join};
use crate::error::{AtPath, Error, Result};
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest};
use crate::names::{Oid, RepoPath};
use crate::store::checkout;
use crate::store::surface::Surfaces;

/// What to do about pending changes.
#[derive(Clone, Copy, Debug)]
pub enum Policy {
    /// They stay at the pin; elsewhere this decides.
    Restore(OnPending),
    /// They go everywhere, once that is confirmed.
    Reset { confirmed: bool },
}

/// What a restore or reset of one slice did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where a test proxy starts.
    pub root: PathBuf,
    /// The pin as a commit.
    pub commit: Option<Oid>,
    /// The pin before.
    pub before: Option<Oid>,
    /// Whether anything was done.
    pub changed: bool,
    /// Pending changes that were put aside.
    pub put_aside: Vec<Change>,
    /// Whether the assets repo does not have the slice yet.
    pub empty: bool,
    /// Whether it was at its pin with no file on disk: the slice is new, or all of its files were deleted.
    pub bare: bool,
    /// What was done to get there; nothing when it was there already.
    pub cost: Cost,
}

/// What it took to show a slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The recordings of the slice.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Until all of it was in the object store, with what was downloaded beside it.
    pub fetch: Duration,
    /// From there until it was on disk, with the slices that were changed together with it.
    pub checkout: Duration,
}

type Answer = Result<Outcome<Restored>>;

/// Shows each manifest's slice at its pin; the answers are in the order of the manifests. One that fails does not stop
/// the others.
pub fn restore(context: &Context, manifests: &[Manifest], policy: Policy) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = manifests.iter().map(|_| None).collect();
    let mut open = Vec::new();
    let surfaces = Surfaces::default();
    let shown = context.each(manifests, |manifest| match policy {
        Policy::Restore(_) => shown_on(context, manifest, &surfaces),
        Policy::Reset { .. } => Ok(None),
    });
    for (index, shown) in shown.into_iter().enumerate() {
        match shown {
            Ok(Some(restored)) => answers[index] = Some(Ok(Outcome::Done(restored))),
            Err(error) => answers[index] = Some(Err(error)),
            Ok(None) => open.push(index),
        }
    }
    for (index, answer) in fleet::run(context, manifests, &open, policy) {
        answers[index] = Some(answer);
    }
    let lost = || Err(Error::failed("it was not reached"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

/// The answer when the slice is at its pin already, found out without a process or a lock.
pub fn shown_already(context: &Context, manifest: &Manifest) -> Result<Option<Restored>> {
    shown_on(context, manifest, &Surfaces::default())
}

fn shown_on(context: &Context, manifest: &Manifest, surfaces: &Surfaces) -> Result<Option<Restored>> {
    let folder = context.assets_folder(manifest)?;
    let dir = checkout::dir_of(&folder, manifest);
    let Some(surface) = surfaces.of(&dir) else { return Ok(None) };
    // What cannot be read here is read again and reported by the slow path.
    let Ok(Some(commit)) = surface.pin_of(manifest) else { return Ok(None) };
    breadcrumb::write(&folder, manifest)?;
    if matches!(manifest.form, Form::Tag { .. }) {
        // Only a push of the .NET test proxy needs it. Where it cannot be written, nothing else is the worse for that.
        let _ = checkout::make_main(&dir.join(".git"), &commit);
    }
    let bare = make_slice_folder(&dir, &manifest.slice)?
        .is_none_or(|found| holds_no_file(&join(&dir, manifest.slice.as_str()), &found, surface.index_written()));
    let root = join(&dir, manifest.prefix.as_str());
    Ok(Some(Restored {
        root,
        before: Some(commit.clone()),
        commit: Some(commit),
        changed: false,
        put_aside: Vec::new(),
        empty: false,
        bare,
        cost: Cost::default(),
    }))
}

/// A slice that the assets repo does not have yet is an empty folder, for a new package to record into. Returns what is
/// known about a folder that was there. A link on the way to it would lead tests to write elsewhere.
fn make_slice_folder(dir: &Path, slice: &RepoPath) -> Result<Option<Metadata>> {
    let mut folder = dir.to_path_buf();
    let mut found = slice.is_root().then(|| dir.symlink_metadata().ok()).flatten();
    for part in slice.parts() {
        folder.push(part);
        let meta = folder.symlink_metadata();
        if meta.as_ref().is_ok_and(Metadata::is_symlink) {
            return Err(Error::failed(format!("`{}` is a symbolic link", folder.display()))
                .cause("recordings would be written to wherever it leads")
                .hint("delete it, then run `assets restore` again"));
        }
        found = meta.ok().filter(Metadata::is_dir);
    }
    if found.is_none() {
        std::fs::create_dir_all(&folder).at("create", &folder)?;
    }
    Ok(found)
}

/// Whether there is nothing but folders in a folder. Stops at the first file. To list a folder of many files takes longer
/// than all else that is asked of a slice; one without folders in it, not changed since git wrote the index, has the files
/// that git wrote.
fn holds_no_file(folder: &Path, meta: &Metadata, index: Option<SystemTime>) -> bool {
    if has_no_folders(meta) && meta.modified().ok().zip(index).is_some_and(|(changed, index)| changed <= index) {
        return false;
    }
    let is_bare = |folder: &Path| folder.symlink_metadata().is_ok_and(|meta| holds_no_file(folder, &meta, index));
    let Ok(mut entries) = std::fs::read_dir(folder) else { return false };
    entries.all(|entry| {
        entry.is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_bare(&entry.path()))
    })
}

/// Each folder counts as a link to the one that it is in; where a file system counts otherwise, nothing is known.
#[cfg(unix)]
fn has_no_folders(folder: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(folder) == 2
}

#[cfg(not(unix))]
fn has_no_folders(_folder: &Metadata) -> bool {
    false
}

/// The plan for one slice under a policy.
fn decide(
    policy: Policy,
    want: Option<&Oid>,
    seen: &Seen,
    pending: &[String],
) -> std::result::Result<Vec<Step>, Refusal> {
    match policy {
        Policy::Restore(on_pending) => plan::restore(want, seen, pending, on_pending),
        Policy::Reset { confirmed } => plan::reset(want, seen, pending, confirmed),
    }
}
