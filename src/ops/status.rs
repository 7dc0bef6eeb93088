//! `status`: what each slice shows and what is pending there. Only reads: no request to any remote, no lock, nothing
//! mended, so it may run while another `assets` works in the same checkout.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::enter::{by_slice, without_absent};
use super::push::intent::Intent;
use super::{Context, join, stash};
use crate::error::{Error, Kind, Result};
use crate::git::parse::Change;
use crate::interrupt;
use crate::manifest::{Form, Manifest};
use crate::names::{Oid, RefName, RepoPath};
use crate::store::checkout::{Checkout, check_readable};
use crate::store::composite::Slices;
use crate::store::files::is_there;
use crate::store::journal::{self, Journal};
use crate::units::count;

/// What is known about one manifest's slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub place: Place,
    /// The commit that the slice is shown at.
    pub commit: Option<Oid>,
    /// The name by which that commit was asked for, in the tag form; none when it is not known here.
    pub tag: Option<String>,
    pub pending: Vec<Change>,
    /// How many stash entries hold changes of the slice.
    pub stashed: usize,
    /// Where a push was going that was interrupted, as a full ref name.
    pub unpushed: Option<String>,
    /// The command that was interrupted while it changed the slice's files, or that is changing them now.
    pub interrupted: Option<String>,
    /// The command that holds the lock of the checkout now.
    pub in_use_by: Option<String>,
}

/// Where a slice is in relation to its pin.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    NotRestored,
    AtPin,
    /// The manifest has no pin; what it stands for only the remote knows.
    NoPin,
    OtherPin,
    /// Somebody moved HEAD to this commit by hand.
    HeadMoved(Oid),
    /// It cannot be told.
    Broken(Error),
}

impl Status {
    fn not_restored() -> Status {
        Status {
            place: Place::NotRestored,
            commit: None,
            tag: None,
            pending: Vec::new(),
            stashed: 0,
            unpushed: None,
            interrupted: None,
            in_use_by: None,
        }
    }

    fn broken(error: Error) -> Status {
        Status { place: Place::Broken(error), ..Status::not_restored() }
    }

    /// Whether it is where its manifest wants it, with nothing pending and nothing half done.
    pub fn is_clean(&self) -> bool {
        matches!(self.place, Place::AtPin | Place::NoPin) && self.is_settled()
    }

    /// Whether nothing is pending and nothing half done, wherever it is.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.unpushed.is_none() && self.interrupted.is_none()
    }
}

/// Looks at every manifest's slice; the answers are in the order of the manifests. One git process for each checkout
/// that shows any of them, as many at a time as the context allows.
///
/// # Errors
/// When git cannot be used at all, or the user interrupts.
pub fn status(context: &Context, manifests: &[Manifest]) -> Result<Vec<Status>> {
    let mut statuses: Vec<Status> = manifests.iter().map(|_| Status::not_restored()).collect();
    let mut groups = context.by_checkout(manifests, 0..manifests.len(), |index, error| {
        statuses[index] = Status::broken(error);
    });
    groups.retain(|dir, indexes| match is_there(&dir.join(".git")) {
        Ok(there) => there,
        Err(error) => {
            indexes.iter().for_each(|&index| statuses[index] = Status::broken(error.clone()));
            false
        }
    });
    let mut looks = Vec::with_capacity(groups.len());
    for indexes in groups.into_values() {
        let manifests: Vec<&Manifest> = indexes.iter().map(|&index| &manifests[index]).collect();
        looks.push((Look { checkout: context.checkout_to_look_at(manifests[0])?, manifests }, indexes));
    }
    context.vouch_for_git()?;
    if !looks.is_empty() {
        context.git()?.report().phase(&format!("looking at {}", count(looks.len(), "checkout")));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some((look, indexes)) = looks.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(indexes.iter().copied().zip(look.run()));
        }
        found
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..context.workers(looks.len())).map(|_| scope.spawn(work)).collect();
        let mut found = work();
        for thread in threads {
            found.extend(thread.join().unwrap_or_default());
        }
        found.into_iter().for_each(|(index, status)| statuses[index] = status);
    });
    interrupt::check()?;
    Ok(statuses)
}

/// The manifests of one checkout.
struct Look<'a> {
    checkout: Checkout,
    manifests: Vec<&'a Manifest>,
}

/// What the files in a git directory say: all of it read once, whatever the number of slices.
#[derive(PartialEq)]
struct Seen {
    head: Option<Oid>,
    shown: Option<Oid>,
    slices: Slices,
    /// Only for the tag form.
    tags: BTreeMap<String, Oid>,
    journal: Option<Journal>,
    stashes: BTreeMap<RepoPath, usize>,
}

impl Look<'_> {
    fn run(&self) -> Vec<Status> {
        /// How often it is looked again when another command changed the checkout meanwhile.
        const TRIES: usize = 3;
        let look = || {
            self.checkout.check_before_looking()?;
            let mut seen = self.read()?;
            for _ in 1..TRIES {
                let statuses = self.describe(&seen);
                let after = self.read()?;
                if after == seen {
                    return Ok(statuses);
                }
                seen = after;
            }
            Ok(self.describe(&seen))
        };
        let broken = |error: Error| self.manifests.iter().map(|_| Status::broken(error.clone())).collect();
        look().unwrap_or_else(broken)
    }

    fn read(&self) -> Result<Seen> {
        let checkout = &self.checkout;
        check_readable(&checkout.git_dir)?;
        let tags = match self.manifests[0].form {
            Form::Tag { .. } => checkout.tags()?,
            Form::Branch { .. } => BTreeMap::new(),
        };
        Ok(Seen {
            head: checkout.head()?,
            shown: checkout.shown()?,
            slices: checkout.slices()?,
            tags,
            journal: journal::read(&checkout.git_dir)?,
            stashes: stash::counts(&checkout.git_dir)?,
        })
    }

    fn describe(&self, seen: &Seen) -> Vec<Status> {
        let with_files: Vec<&Manifest> =
            self.manifests.iter().copied().filter(|manifest| self.has_files(seen, manifest)).collect();
        let slices: Vec<&RepoPath> = with_files.iter().map(|manifest| &manifest.slice).collect();
        let pending = match with_files.first() {
            Some(first) => self
                .pending(seen, first, &slices)
                .map(|changes| by_slice(&without_absent(changes, &seen.slices), &seen.slices, slices)),
            None => Ok(HashMap::new()),
        };
        let in_use_by = self.checkout.in_use_by();
        let describe = |manifest: &&Manifest| {
            let in_use_by = in_use_by.clone();
            match &pending {
                Err(error) if self.has_files(seen, manifest) => Status { in_use_by, ..Status::broken(error.clone()) },
                pending => {
                    let changes = pending.as_ref().ok().and_then(|pending| pending.get(manifest.slice.as_str()));
                    self.status_of(seen, manifest, changes.cloned().unwrap_or_default(), in_use_by)
                }
            }
        };
        self.manifests.iter().map(describe).collect()
    }

    fn status_of(&self, seen: &Seen, manifest: &Manifest, pending: Vec<Change>, in_use_by: Option<String>) -> Status {
        let commit = seen.shown_at(manifest).cloned();
        let intent = match Intent::read(&self.checkout.git_dir, &manifest.slice) {
            Ok(intent) => intent,
            Err(error) => return Status { in_use_by, ..Status::broken(error) },
        };
        let is_open =
            |intent: &Intent| commit.as_ref().is_some_and(|at| intent.is_open(manifest, at, !pending.is_empty()));
        let entries = |slice: &RepoPath| seen.stashes.get(slice).copied().unwrap_or(0);
        let of_several = if manifest.slice.is_root() { 0 } else { entries(&RepoPath::default()) };
        Status {
            place: seen.place(manifest, |tag| self.commit_of(tag)),
            tag: seen.tag_of(manifest),
            unpushed: intent.filter(is_open).map(|intent| intent.to),
            stashed: entries(&manifest.slice) + of_several,
            interrupted: seen.command_in(manifest).map(str::to_string),
            commit,
            pending,
            in_use_by,
        }
    }

    /// Whether the slice is shown, also by a slice around it, or recordings were made in its folder although it is not.
    fn has_files(&self, seen: &Seen, manifest: &Manifest) -> bool {
        let shows = |other: &RepoPath| *other == manifest.slice || other.holds(manifest.slice.as_str());
        let is_shown = matches!(manifest.form, Form::Tag { .. }) || seen.slices.keys().any(shows);
        is_shown || join(&self.checkout.dir, manifest.slice.as_str()).is_dir()
    }

    /// The pending changes of some slices, from one process. `first` is the manifest of one of them, for hints.
    fn pending(&self, seen: &Seen, first: &Manifest, slices: &[&RepoPath]) -> Result<Vec<Change>> {
        /// With more slices than this it is quicker to look at everything than to compare each file with all of them.
        const MANY: usize = 50;
        let damaged = |what: String| {
            Error::failed(what).hint(format!("mend it, without losing anything: `assets restore{}`", first.argument))
        };
        let dir = self.checkout.dir.display();
        if seen.head.is_none() {
            return Err(damaged(format!("`HEAD` of the checkout `{dir}` cannot be read")));
        }
        let index = self.checkout.git_dir.join("index").metadata().map_or(0, |meta| meta.len());
        if index == 0 && seen.journal.is_none() {
            return Err(damaged(format!("the checkout `{dir}` has no index")));
        }
        if let Some(store) = self.checkout.borrows_from()?.filter(|objects| !objects.is_dir()) {
            let store = store.parent().unwrap_or(&store).display();
            // A restore has nothing to do for a slice that is at its pin, and does not miss the store.
            return Err(Error::failed(format!("the object store `{store}` of the checkout `{dir}` is gone")).hint(
                format!("`assets reset{}` downloads it again, and asks before it drops anything", first.argument),
            ));
        }
        let everything = RepoPath::default();
        let below = if slices.len() > MANY { &[&everything][..] } else { slices };
        self.checkout.repo.status(below).map_err(|error| match error.kind {
            Kind::Interrupted => error,
            _ if !error.hints.is_empty() => error,
            _ => Error {
                causes: [vec![error.message.clone()], error.causes].concat(),
                ..damaged(format!("git cannot read the checkout `{dir}`"))
            },
        })
    }

    /// The commit that a tag which is here leads to.
    fn commit_of(&self, tag: &RefName) -> Option<Oid> {
        self.checkout.repo.rev_parse(&tag.tag_ref()).ok().flatten()
    }
}

impl Seen {
    /// The commit that a slice is shown at; a checkout of the tag form shows nothing but its one slice.
    fn shown_at(&self, manifest: &Manifest) -> Option<&Oid> {
        match manifest.form {
            Form::Branch { .. } => self.slices.get(&manifest.slice),
            Form::Tag { .. } => self.head.as_ref(),
        }
    }

    /// Where a slice is; `commit_of` looks up a tag that is here and perhaps annotated.
    fn place(&self, manifest: &Manifest, commit_of: impl Fn(&RefName) -> Option<Oid>) -> Place {
        let (Some(shown), Some(head)) = (self.shown_at(manifest), &self.head) else { return Place::NotRestored };
        let is_moved = self.shown.as_ref() != Some(head);
        match &manifest.form {
            Form::Branch { .. } if is_moved => Place::HeadMoved(head.clone()),
            Form::Branch { sha: None, .. } => Place::NoPin,
            Form::Branch { sha: Some(sha), .. } if sha == shown => Place::AtPin,
            Form::Branch { .. } => Place::OtherPin,
            Form::Tag { tag, .. } => {
                let there = tag.as_ref().and_then(|tag| Some((tag, self.tags.get(tag.as_str())?)));
                match (there, tag) {
                    (Some((tag, oid)), _) if oid == head || commit_of(tag).as_ref() == Some(head) => Place::AtPin,
                    // The test proxy leaves no trace but the tag that it went to.
                    _ if is_moved && self.shown.is_some() && self.tag_of(manifest).is_none() => {
                        Place::HeadMoved(head.clone())
                    }
                    (_, None) => Place::NoPin,
                    _ => Place::OtherPin,
                }
            }
        }
    }

    /// A tag that leads to what is shown: the manifest's own if it does.
    fn tag_of(&self, manifest: &Manifest) -> Option<String> {
        let Form::Tag { tag, .. } = &manifest.form else { return None };
        let head = self.head.as_ref()?;
        let own = tag.as_ref().filter(|tag| self.tags.get(tag.as_str()) == Some(head)).map(RefName::to_string);
        own.or_else(|| Some(self.tags.iter().find(|(_, oid)| *oid == head)?.0.clone()))
    }

    /// The command that began to change a slice's files and has not come to its end.
    fn command_in(&self, manifest: &Manifest) -> Option<&str> {
        let journal = self.journal.as_ref()?;
        let moves = match manifest.form {
            Form::Tag { .. } => true,
            Form::Branch { .. } => {
                let pin = self.slices.get(&manifest.slice).map(Oid::as_str);
                journal.slices.get(manifest.slice.as_str()).is_some_and(|to| pin != Some(to))
            }
        };
        let puts_back = || journal.put_back.iter().any(|path| manifest.slice.holds(path));
        (moves || puts_back()).then_some(journal.operation.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn oid(byte: u8) -> Oid {
        Oid::from_bytes(&[byte; 20])
    }

    /// `sdk/a/assets.json` with these keys besides `AssetsRepo`.
    fn manifest(keys: &str) -> Manifest {
        let code = tempfile::tempdir().unwrap();
        let folder = code.path().join("sdk/a");
        std::fs::create_dir_all(code.path().join(".git")).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("assets.json"), format!("{{\"AssetsRepo\": \"o/n\", {keys}}}")).unwrap();
        Manifest::load(&folder.join("assets.json")).unwrap()
    }

    fn at_commit(byte: Option<u8>) -> Manifest {
        manifest(&format!("\"SHA\": \"{}\"", byte.map_or(String::new(), |byte| oid(byte).to_string())))
    }

    fn at_tag(tag: Option<&str>) -> Manifest {
        manifest(&format!("\"TagPrefix\": \"py/a\", \"Tag\": \"{}\"", tag.unwrap_or_default()))
    }

    fn seen(head: u8, shown: Option<u8>, pin: Option<u8>, tags: &[(&str, u8)]) -> Seen {
        Seen {
            head: Some(oid(head)),
            shown: shown.map(oid),
            slices: pin.map(|pin| (RepoPath::parse("sdk/a").unwrap(), oid(pin))).into_iter().collect(),
            tags: tags.iter().map(|(name, commit)| (name.to_string(), oid(*commit))).collect(),
            journal: None,
            stashes: BTreeMap::new(),
        }
    }

    #[test]
    fn places_in_the_branch_form() {
        let table = [
            (Some(1), seen(9, Some(9), Some(1), &[]), Place::AtPin),
            (Some(2), seen(9, Some(9), Some(1), &[]), Place::OtherPin),
            (None, seen(9, Some(9), Some(1), &[]), Place::NoPin),
            (Some(1), seen(9, Some(9), None, &[]), Place::NotRestored),
            (Some(1), seen(8, Some(9), Some(1), &[]), Place::HeadMoved(oid(8))),
            (Some(1), seen(8, None, Some(1), &[]), Place::HeadMoved(oid(8))),
            (Some(1), Seen { head: None, ..seen(8, Some(8), Some(1), &[]) }, Place::NotRestored),
        ];
        for (index, (sha, seen, place)) in table.into_iter().enumerate() {
            assert_eq!(seen.place(&at_commit(sha), |_| None), place, "{index}");
        }
    }

    #[test]
    fn places_in_the_tag_form() {
        let known = [("py/a_1", 1), ("py/a_2", 2)];
        // An annotated tag that the test proxy fetched: the object 7 leads to the commit 1.
        let annotated = [("py/a_1", 7)];
        let table = [
            (Some("py/a_1"), seen(1, Some(1), None, &known), Place::AtPin),
            (Some("py/a_1"), seen(1, None, None, &known), Place::AtPin),
            (Some("py/a_1"), seen(1, None, None, &annotated), Place::AtPin),
            (Some("py/a_3"), seen(1, Some(1), None, &known), Place::OtherPin),
            // The test proxy went on from where we were.
            (Some("py/a_1"), seen(2, Some(1), None, &known), Place::OtherPin),
            (Some("py/a_1"), seen(8, Some(1), None, &known), Place::HeadMoved(oid(8))),
            (None, seen(3, Some(3), None, &known), Place::NoPin),
            (None, seen(8, Some(3), None, &known), Place::HeadMoved(oid(8))),
        ];
        for (index, (tag, seen, place)) in table.into_iter().enumerate() {
            let peel = |tag: &RefName| (seen.tags.get(tag.as_str()) == Some(&oid(7))).then(|| oid(1));
            assert_eq!(seen.place(&at_tag(tag), peel), place, "{index}");
        }
        assert_eq!(seen(2, None, None, &known).tag_of(&at_tag(Some("py/a_1"))).as_deref(), Some("py/a_2"));
        assert_eq!(seen(8, None, None, &known).tag_of(&at_tag(Some("py/a_1"))), None);
    }

    #[test]
    fn an_interrupted_command_concerns_the_slices_that_it_moves() {
        let manifest = at_commit(Some(2));
        let journal = |slice: &str, to: u8, put_back: &str| Journal {
            operation: "restore".into(),
            slices: BTreeMap::from([(slice.to_string(), oid(to).to_string())]),
            put_back: vec![put_back.to_string()],
            ..Journal::default()
        };
        let with = |journal| Seen { journal: Some(journal), ..seen(9, Some(9), Some(1), &[]) };
        assert_eq!(with(journal("sdk/a", 2, "")).command_in(&manifest), Some("restore"));
        assert_eq!(with(journal("sdk/a", 1, "sdk/a/x.json")).command_in(&manifest), Some("restore"));
        assert_eq!(with(journal("sdk/a", 1, "sdk/b/x.json")).command_in(&manifest), None);
        assert_eq!(with(journal("sdk/b", 2, "")).command_in(&manifest), None);
        assert_eq!(seen(9, Some(9), Some(1), &[]).command_in(&manifest), None);
    }
}
