//! The only place that changes work trees. A new checkout is built beside its place and renamed there; a change of one
//! that exists is journalled, and the next command completes one that was cut short.

mod cone;
mod displace;
mod path_set;
mod repair;
mod salvage;
mod switch;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::{join, stash};
use crate::error::{AtPath, Error, Result};
use crate::git::parse::{Change, ChangeKind, TreeChange};
use crate::manifest::Pin;
use crate::names::{Oid, RepoPath, one_line};
use crate::store::Want;
use crate::store::checkout::{Checkout, broken_name};
use crate::store::composite::Slices;
use crate::store::git_dir::remove_if_there;
use crate::store::journal::{self, Journal};
use crate::store::listing::Listing;
pub use displace::{Displaced, leads_through_link};
pub use path_set::PathSet;
use switch::{Switch, blocking, cannot_write, check, repository_in_the_way, switch, untracked_in_the_way};
use verify::verify;

/// Where a checkout is to go.
#[derive(Clone)]
pub struct Transition {
    /// The command, for messages.
    pub operation: &'static str,
    /// What the index holds now.
    pub from: Oid,
    /// The commit to show.
    pub to: Oid,
    /// Every slice of the checkout afterwards.
    pub slices: Slices,
    /// Files that become what `to` has, whatever they are now.
    pub put_back: Vec<String>,
    /// What their contents are now, as it is stored: in a stash entry, or in `from`. A file with another content is not
    /// removed. Not in the journal.
    pub stored: HashMap<String, Option<Oid>>,
    /// The stash entries that hold them.
    pub stashes: Vec<Oid>,
    /// Pending changes that stay.
    pub kept: Vec<Change>,
    /// A tag to record: its name, what it points to, the commit that leads to.
    pub tag: Option<(String, String, String)>,
}

/// A checkout on its way: beside its place, and gone when it is dropped.
pub struct Building {
    folder: tempfile::TempDir,
    pub checkout: Checkout,
}

impl Building {
    /// Begins a checkout that does not exist yet, with a place for objects of its own.
    pub fn begin(checkout: &Checkout) -> Result<Building> {
        let folder =
            tempfile::Builder::new().prefix(".new-").tempdir_in(&checkout.folder).at("write into", &checkout.folder)?;
        let fresh = checkout.built_in(folder.path().to_path_buf());
        let objects = fresh.git_dir.join("objects");
        std::fs::create_dir_all(&objects).at("create", &objects)?;
        Ok(Building { folder, checkout: fresh })
    }
}

/// Builds a checkout and puts it in its place. What stands there and is no usable checkout is kept under another name, and
/// its recordings are brought over. Returns those that are in stash entries, by slice.
pub fn build(
    checkout: &Checkout,
    building: Building,
    transition: &Transition,
    listings: &[(&RepoPath, &Listing)],
) -> Result<Vec<(RepoPath, Vec<Change>)>> {
    let fresh = &building.checkout;
    fresh.create(&transition.to, &transition.slices)?;
    fresh.repo.git.report().phase("writing files");
    let mut output = fresh.repo.read_tree_switch(None, &transition.to)?;
    if Switch::of(&output) == Switch::MissingObjects {
        // They are in the objects of another checkout, which this one does not see.
        fetch_missing(fresh, &transition.slices)?;
        output = fresh.repo.read_tree_switch(None, &transition.to)?;
    }
    check(output, fresh)?;
    verify(fresh, transition, listings)?;
    fresh.record(&transition.to, &transition.slices, transition.tag.as_ref())?;
    let aside = set_aside(checkout)?;
    let from = building.folder.keep();
    std::fs::rename(&from, &checkout.dir).at("put the checkout in place as", &checkout.dir)?;
    aside.map_or(Ok(Vec::new()), |aside| salvage::salvage(checkout, &aside))
}

/// What happens to pending changes that are in the way of a change and that nobody was asked about: recorded since the
/// checkout was looked at, or outside of every slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTheWay {
    /// They are stored in a stash entry of the slice that holds them; of the root outside of all slices.
    Stash,
    /// They stay, and the change is not made.
    Refuse,
}

/// Takes an existing checkout from what it shows to another commit, other slices, or both. The files are verified before the
/// refs say what is shown, and the journal stays until then. Returns the changes that were stashed because they were in the
/// way; those of `transition.put_back` are not among them.
///
/// # Errors
/// When pending changes are in the way and must not be stashed: nothing has changed then. After any other failure, such as
/// a full disk, some files may be new and some old, and the next command completes the change.
pub fn change(
    checkout: &Checkout,
    mut transition: Transition,
    listings: &[(&RepoPath, &Listing)],
    in_the_way: InTheWay,
) -> Result<Vec<Change>> {
    /// How often files may change between the moment they are stashed and the moment they are removed.
    const TRIES: usize = 5;
    let mut stashed = Vec::new();
    for _ in 0..TRIES {
        journal::write(&checkout.git_dir, &to_note(&transition))?;
        let blocking = match attempt(checkout, &transition, listings)? {
            Attempt::Done(displaced) => {
                match verify(checkout, &transition, listings) {
                    Ok(()) => {
                        record(checkout, &transition)?;
                        repair::stash_late(checkout, &transition, &displaced)?;
                        displaced.delete()?;
                    }
                    // Git takes files for deleted that were never written, after it was used by hand.
                    Err(_) => {
                        repair::finish(checkout, &transition)?;
                        verify(checkout, &transition, listings)?;
                        record(checkout, &transition)?;
                    }
                }
                journal::remove(&checkout.git_dir)?;
                return Ok(stashed);
            }
            Attempt::Repaired => {
                record(checkout, &transition)?;
                journal::remove(&checkout.git_dir)?;
                return Ok(stashed);
            }
            Attempt::Refused(error) => {
                journal::remove(&checkout.git_dir)?;
                return Err(error);
            }
            Attempt::Blocked(blocking) => blocking,
        };
        journal::remove(&checkout.git_dir)?;
        if in_the_way == InTheWay::Refuse {
            return Err(refused(checkout, &blocking));
        }
        for (slice, changes) in by_innermost_slice(&transition.slices, &blocking) {
            let stored = stash::create(checkout, &slice, &changes, &format!("stashed by {}", transition.operation))?;
            if let Some(change) = stored.refused.first() {
                return Err(refused(checkout, std::slice::from_ref(change)));
            }
            transition.put_back.extend(stored.paths().cloned());
            transition.stashes.extend(stored.entry);
            transition.stored.extend(stored.contents);
        }
        transition.put_back.sort();
        transition.put_back.dedup();
        stashed.extend(blocking);
    }
    Err(Error::needs_person(format!("files of `{}` change while they are stashed", checkout.dir.display()))
        .cause("a test may be recording there; nothing was changed, and stash entries hold the files")
        .hint("wait until it has ended, then run the same command again"))
}

/// How one attempt to change a work tree ended.
enum Attempt {
    /// All files are written; these are still to be deleted.
    Done(Displaced),
    /// All files are written and verified, on a way that takes longer.
    Repaired,
    /// Nothing has changed: these pending changes are in the way.
    Blocked(Vec<Change>),
    /// Nothing has changed, and stashing does not help.
    Refused(Error),
}

fn attempt(checkout: &Checkout, transition: &Transition, listings: &[(&RepoPath, &Listing)]) -> Result<Attempt> {
    if !transition.put_back.is_empty() {
        // What was staged there by hand goes, so that the switch finds the index as `from` has it.
        checkout.repo.reset_index(&checkout.git_dir.join("index"), &transition.from)?;
    }
    let displaced = Displaced::take(checkout, transition.put_back.iter().map(String::as_str))?;
    let changed = displaced.not_stored(&transition.stored)?;
    if !changed.is_empty() {
        displaced.put_back()?;
        let modified = |(path, _)| Change { path, kind: ChangeKind::Modified };
        return Ok(Attempt::Blocked(changed.into_iter().map(modified).collect()));
    }
    let changes = tree_changes(checkout, transition)?;
    let mut overwritten = untracked_in_the_way(checkout, &changes)?;
    if !overwritten.is_empty() {
        displaced.put_back()?;
        // Those that git would find itself as well, so that one stash entry of each slice holds them all.
        let is_known = |change: &Change| {
            transition.put_back.contains(&change.path) || overwritten.iter().any(|known| known.path == change.path)
        };
        let mut others = blocking(checkout, &changes)?;
        others.retain(|change| !is_known(change));
        overwritten.extend(others);
        return Ok(Attempt::Blocked(overwritten));
    }
    if let Some(repository) = repository_in_the_way(checkout, transition, &changes)? {
        displaced.put_back()?;
        let error = Error::needs_person(format!("the repository `{}` is in the way", repository.display()))
            .cause("a file has to be where its folder is; nothing was changed")
            .hint("move it away, then run the same command again");
        return Ok(Attempt::Refused(error));
    }
    let output = switch(checkout, transition, &changes)?;
    match Switch::of(&output) {
        Switch::Done => {}
        Switch::Blocked => {
            let blocking = blocking(checkout, &changes)?;
            if !blocking.is_empty() {
                displaced.put_back()?;
                return Ok(Attempt::Blocked(blocking));
            }
            return Err(cannot_write(output, checkout));
        }
        Switch::MissingObjects => {
            // The store was deleted, and git by hand brought back a part of it.
            fetch_missing(checkout, &transition.slices)?;
            repair::finish(checkout, transition)?;
            return Ok(Attempt::Repaired);
        }
        Switch::Failed => return Err(cannot_write(output, checkout)),
    }
    let was = checkout.slices()?;
    if checkout.set_cone(&transition.slices)? {
        let is_growing = !was.is_empty() && was.keys().all(|slice| transition.slices.contains_key(slice));
        let (output, meaning) = if is_growing && cone::may_be_ignored(checkout, transition, &was, listings)? {
            let output = cone::show_more(checkout, &transition.slices)?;
            let meaning = Switch::of_files(&output);
            (output, meaning)
        } else {
            cone::keep_files_of_new_slices(checkout, &was, &transition.slices)?;
            let output = checkout.repo.read_tree_switch(Some(&transition.to), &transition.to)?;
            let meaning = Switch::of_cone(&output);
            (output, meaning)
        };
        match meaning {
            Switch::Done => {}
            Switch::MissingObjects => {
                fetch_missing(checkout, &transition.slices)?;
                repair::finish(checkout, transition)?;
                return Ok(Attempt::Repaired);
            }
            _ => return Err(cannot_write(output, checkout)),
        }
    }
    let obstacles = obstacles(checkout, &transition.put_back)?;
    if !obstacles.is_empty() {
        repair::finish(checkout, transition)?;
        return Ok(Attempt::Repaired);
    }
    put_back(checkout, &transition.put_back)?;
    Ok(Attempt::Done(displaced))
}

/// How the commit to show differs from what is shown, in all folders.
fn tree_changes(checkout: &Checkout, transition: &Transition) -> Result<Vec<TreeChange>> {
    if transition.from == transition.to {
        return Ok(Vec::new());
    }
    let diff = || checkout.repo.diff_tree(&transition.from, &transition.to, None);
    match diff() {
        Err(error) if switch::is_about_missing_objects(&error) => {
            fetch_missing(checkout, &transition.slices)?;
            diff()
        }
        changes => changes,
    }
}

/// Makes the refs say what is shown.
fn record(checkout: &Checkout, transition: &Transition) -> Result<()> {
    checkout.keep_slices(&transition.slices)?;
    checkout.record(&transition.to, &transition.slices, transition.tag.as_ref())
}

/// Completes a change that was cut short. Call it under the lock, before anything else looks at the checkout.
///
/// # Errors
/// When the journal cannot be read, when the objects cannot be had, or when the files cannot be written: the journal stays.
pub fn recover(checkout: &Checkout) -> Result<()> {
    let Some(note) = journal::read(&checkout.git_dir)? else {
        repair::take_left_over(checkout)?;
        // A power cut left an empty file: nothing was begun.
        return journal::remove(&checkout.git_dir);
    };
    let mut transition = from_note(&checkout.git_dir, &note)?;
    checkout.repo.git.report().note(&format!("completing a {} that was interrupted", note.operation));
    checkout.borrow_from_store()?;
    // Git was used by hand since: HEAD is about to leave that commit, whose changes are still in the files.
    if let Some(head) = checkout.head()?.filter(|head| ![&transition.from, &transition.to].contains(&head))
        && let Some(kept) = checkout.keep_commit(&head)?
    {
        let note = format!("`{}` was committed there by hand; `{}` keeps the commit", head.short(), kept.name);
        checkout.repo.git.report().note(&note);
    }
    repair::ensure_objects(checkout, &mut transition)?;
    repair::finish(checkout, &transition)?;
    record(checkout, &transition)?;
    journal::remove(&checkout.git_dir)
}

fn to_note(transition: &Transition) -> Journal {
    let text = |oid: &Oid| oid.to_string();
    Journal {
        operation: transition.operation.to_string(),
        from: text(&transition.from),
        to: text(&transition.to),
        slices: transition.slices.iter().map(|(slice, pin)| (slice.as_str().to_string(), text(pin))).collect(),
        put_back: transition.put_back.clone(),
        stashes: transition.stashes.iter().map(text).collect(),
        kept: transition.kept.clone(),
        tag: transition.tag.clone(),
    }
}

fn from_note(git_dir: &Path, note: &Journal) -> Result<Transition> {
    let bad = |why: String| journal::damaged(git_dir, &why);
    let oid = |text: &String| Oid::parse(text).map_err(|why| bad(format!("`{text}` {why}")));
    let mut slices = Slices::new();
    for (slice, pin) in &note.slices {
        slices.insert(RepoPath::parse(slice).map_err(|why| bad(format!("`{slice}` {why}")))?, oid(pin)?);
    }
    Ok(Transition {
        operation: "recovery",
        from: oid(&note.from)?,
        to: oid(&note.to)?,
        slices,
        put_back: note.put_back.clone(),
        stashes: note.stashes.iter().map(oid).collect::<Result<_>>()?,
        stored: HashMap::new(),
        kept: note.kept.clone(),
        tag: note.tag.clone(),
    })
}

/// Pending files that a file of the list could not be written beside: below it, or in place of a folder above it.
fn obstacles(checkout: &Checkout, paths: &[String]) -> Result<Vec<String>> {
    let mut obstacles = Vec::new();
    for path in paths {
        let file = join(&checkout.dir, path);
        if file.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            obstacles.push(path.clone());
        }
        let above = file.ancestors().skip(1).take_while(|folder| *folder != checkout.dir);
        for folder in above {
            if folder.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
                obstacles.push(path.clone());
            }
        }
    }
    Ok(obstacles)
}

/// Sorts changes by the innermost of some slices; the root takes those that are in none.
pub fn by_innermost_slice(slices: &Slices, changes: &[Change]) -> Vec<(RepoPath, Vec<Change>)> {
    let mut sorted: BTreeMap<RepoPath, Vec<Change>> = BTreeMap::new();
    for change in changes {
        let holding = slices.keys().filter(|slice| slice.holds(&change.path));
        let innermost = holding.max_by_key(|slice| slice.as_str().len()).cloned().unwrap_or_default();
        sorted.entry(innermost).or_default().push(change.clone());
    }
    sorted.into_iter().collect()
}

/// Fetches what slices need at their pins, as far as it is not here.
pub fn fetch_all(checkout: &Checkout, slices: &Slices) -> Result<()> {
    let want = |(slice, pin): (&RepoPath, &Oid)| Want {
        pin: Pin::Commit(pin.clone()),
        slice: slice.clone(),
        advice: String::new(),
    };
    let wants: Vec<Want> = slices.iter().map(want).collect();
    checkout.store.ensure_all(&wants, checkout.own_objects()?.as_slice())?;
    checkout.borrow_from_store()
}

/// As [`fetch_all`], and the trees outside of the slices too, when git misses something.
fn fetch_missing(checkout: &Checkout, slices: &Slices) -> Result<()> {
    fetch_all(checkout, slices)?;
    let mut pins: Vec<Oid> = slices.values().cloned().collect();
    pins.sort();
    pins.dedup();
    checkout.store.fetch_trees(&pins)
}

/// Writes the files as the index has them; those it does not have stay away. A file that a test has recorded there meanwhile
/// stays as it is.
///
/// # Errors
/// When a file would be written over a folder, or a folder over a file.
fn put_back(checkout: &Checkout, paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    if let Some(path) = obstacles(checkout, paths)?.first() {
        return Err(Error::needs_person(format!(
            "something is in the way of `{}`",
            join(&checkout.dir, path).display()
        ))
        .cause("a folder is where a file has to be, or a file where a folder has to be")
        .hint("move it away, then run the same command again"));
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    // Fails for a path that the index does not have, and for one where a file is, after doing the others; what matters is
    // verified afterwards.
    checkout.repo.checkout_index(&paths).map(drop)
}

fn refused(checkout: &Checkout, blocking: &[Change]) -> Error {
    let paths: Vec<String> = blocking.iter().map(|change| format!("\n  {}", one_line(&change.path))).collect();
    Error::needs_person(format!("pending changes of `{}` are in the way", checkout.dir.display()))
        .cause(format!("nothing was changed; these files would be lost:{}", paths.concat()))
        .hint("stash them with `assets restore --stash`, or move them away")
}

/// Makes room where a checkout is to be: an empty directory is removed, anything else gets another name, which is returned.
fn set_aside(checkout: &Checkout) -> Result<Option<PathBuf>> {
    if checkout.dir.symlink_metadata().is_err() || std::fs::remove_dir(&checkout.dir).is_ok() {
        return Ok(None);
    }
    let aside = broken_name(&checkout.dir);
    std::fs::rename(&checkout.dir, &aside).at("set aside", &checkout.dir)?;
    if aside.join(".git").symlink_metadata().is_ok() {
        checkout.repo.git.report().note(&format!(
            "`{}` was not a usable checkout and is kept as `{}`",
            checkout.dir.display(),
            aside.display()
        ));
    }
    Ok(Some(aside))
}

/// Makes an index anew that is missing or damaged; the work tree stays as it is.
pub fn rebuild_index(checkout: &Checkout, head: &Oid) -> Result<()> {
    let index = checkout.git_dir.join("index");
    remove_if_there(&index)?;
    checkout.repo.read_tree_into(&index, head)?;
    let slices = checkout.slices()?;
    if !slices.is_empty() {
        cone::hide_outside_of_cone(checkout, &slices)?;
    }
    // A second time, to mark what the cone does not show.
    let mut output = checkout.repo.read_tree_switch(Some(head), head)?;
    if Switch::of_cone(&output) == Switch::MissingObjects {
        fetch_missing(checkout, &slices)?;
        output = checkout.repo.read_tree_switch(Some(head), head)?;
    }
    match Switch::of_cone(&output) {
        Switch::Done => Ok(()),
        _ => Err(cannot_write(output, checkout)),
    }
}
