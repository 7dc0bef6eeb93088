//! What a push refuses before anything is sent: names, kinds and sizes of files that no restore would accept, and a pin
//! that has moved.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::intent::Intent;
use super::{Mine, Push};
use crate::error::{AtPath, Error, Result};
use crate::git::parse::{Change, ChangeKind};
use crate::manifest::Form;
use crate::names::Oid;
use crate::ops::join;
use crate::settings::Limits;
use crate::store::composite::slices_inside;
use crate::store::files::entries_of;
use crate::store::surface::is_at_pin;
use crate::store::{listing, paths};

impl Push<'_> {
    /// Refuses files that other systems cannot hold, what is not a file, and what is too large to be restored.
    pub(super) fn check_files(&self, files: &[Change]) -> Result<()> {
        let limits = &self.context.environment.limits;
        for change in files.iter().filter(|change| change.kind != ChangeKind::Deleted) {
            // A repository inside of the recordings is one entry, which ends with a slash.
            paths::check_path(change.path.trim_end_matches('/'), limits)?;
            let file = join(&self.checkout.dir, &change.path);
            let meta = file.symlink_metadata().at("look at", &file)?;
            if meta.is_symlink() {
                paths::check_mode(&change.path, "120000")?;
            }
            if !meta.is_file() {
                return Err(Error::failed(format!("`{}` is not a plain file", change.path))
                    .cause("only plain files can be recordings; a folder with its own `.git` is a repository")
                    .hint(format!("move it away: `{}`", file.display())));
            }
            if meta.len() > limits.file_bytes {
                return Err(paths::too_large(&change.path, limits)
                    .cause(format!("it has {} bytes, and every restore would refuse it", meta.len())));
            }
        }
        self.check_spelling(files)
    }

    /// Refuses new files beside others of the same name in another case. What is on disk is what the slice will be.
    fn check_spelling(&self, files: &[Change]) -> Result<()> {
        let mut folders: HashMap<&str, Vec<String>> = HashMap::new();
        let below = self.manifest.slice.as_str().len();
        for change in files.iter().filter(|change| change.kind == ChangeKind::New) {
            let ends = change.path.match_indices('/').map(|(end, _)| end).chain([change.path.len()]);
            for end in ends.filter(|end| *end > below) {
                let path = &change.path[..end];
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let siblings = match folders.entry(folder) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(names_in(&join(&self.checkout.dir, folder))?),
                };
                let folded = paths::folded(name);
                let same: Vec<&String> = siblings.iter().filter(|other| paths::folded(other) == folded).collect();
                // A single one is the file itself, whose name the system may write in another form than git.
                if let Some(twin) = same.iter().find(|other| same.len() > 1 && **other != name) {
                    return Err(paths::twins(path, twin).hint("rename one of them (or the test that records it)"));
                }
            }
        }
        Ok(())
    }

    /// Refuses a slice that is larger as a whole, with these changes, than a restore accepts.
    pub(super) fn check_size_of_slice(&self, mine: &Mine) -> Result<()> {
        let limits = &self.context.environment.limits;
        let slices = self.checkout.slices()?;
        // What is on disk is what the slice will be, unless other slices inside it are at pins of their own.
        if slices_inside(&slices, &self.manifest.slice).next().is_none() && self.is_small(limits)? {
            return Ok(());
        }
        let mut objects = self.checkout.objects()?;
        let Some(mut listing) = listing::list(&mut objects, &mine.tree, &self.manifest.slice, limits)? else {
            return Ok(());
        };
        paths::check_listing(&listing, limits)?;
        listing::missing_files(&mut objects, &mut listing)?;
        paths::check_sizes(&listing, limits)
    }

    /// Whether the files on disk, of the slice and of the folders above it, are within the limits.
    fn is_small(&self, limits: &Limits) -> Result<bool> {
        let mut room = Room { files: limits.files, bytes: limits.bytes };
        let mut above = self.checkout.dir.clone();
        for part in self.manifest.slice.parts() {
            if !room.take_folder(&above, false)? {
                return Ok(false);
            }
            above = above.join(part);
        }
        room.take_folder(&above, true)
    }

    /// A new tag is made on the shown commit; if the manifest pins another by now, the recordings that are only there
    /// would be left behind. (On a branch the change is replayed.)
    pub(super) fn check_pin(&self, intent: Option<&Intent>) -> Result<()> {
        let Form::Tag { tag: Some(tag), .. } = &self.manifest.form else { return Ok(()) };
        // An interrupted push shows its commit already, and has not edited the manifest yet.
        let is_finishing = |intent: &Intent| intent.commit == self.base.as_str() && intent.leaves_behind(self.manifest);
        if is_at_pin(&self.checkout.dir, self.manifest)? || intent.is_some_and(is_finishing) {
            return Ok(());
        }
        Err(self.pin_has_moved(&format!("`{tag}`")))
    }

    /// The commit that the manifest pins (branch form), when it is not what the checkout shows: what is sent must hold it
    /// too. None when an interrupted push explains the difference.
    pub(super) fn other_pin(&self, intent: Option<&Intent>) -> Option<Oid> {
        let Form::Branch { sha: Some(sha), .. } = &self.manifest.form else { return None };
        let is_finishing = |intent: &Intent| intent.commit == self.base.as_str() && intent.leaves_behind(self.manifest);
        (*sha != self.base && !intent.is_some_and(is_finishing)).then(|| sha.clone())
    }

    /// The manifest pins something that the pending changes were not made on.
    pub(super) fn pin_has_moved(&self, pin: &str) -> Error {
        let path = &self.manifest.argument;
        Error::needs_person(format!("`{}` pins {pin}, but its checkout shows another commit", self.manifest.path))
            .cause(format!("the pending changes were made on `{}`", self.base))
            .hint(format!(
                "bring them to the new pin: `assets restore --stash{path}`, then `assets stash pop{path}`, then push again"
            ))
    }
}

/// How much more may be on disk.
struct Room {
    files: usize,
    bytes: u64,
}

impl Room {
    /// Takes in the files of a folder, and of those below it; whether there was room for all.
    fn take_folder(&mut self, folder: &Path, and_below: bool) -> Result<bool> {
        for entry in entries_of(folder)? {
            if entry.file_name() == ".git" {
                continue;
            }
            let path = entry.path();
            let meta = path.symlink_metadata().at("look at", &path)?;
            if meta.is_dir() {
                if and_below && !self.take_folder(&path, true)? {
                    return Ok(false);
                }
                continue;
            }
            let (Some(files), Some(bytes)) = (self.files.checked_sub(1), self.bytes.checked_sub(meta.len())) else {
                return Ok(false);
            };
            (self.files, self.bytes) = (files, bytes);
        }
        Ok(true)
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    Ok(entries_of(folder)?.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}
