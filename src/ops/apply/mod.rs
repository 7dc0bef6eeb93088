//! The only place that changes work trees. A new checkout is built beside its place and renamed there; a change of one
//! that exists is journalled, and the next command completes one that was cut short.

mod displace;
mod path_set;
mod repair;
mod salvage;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{join, stash};
use crate::error::{AtPath, Error, Result};
use crate::git::Output;
use crate::git::parse::{Change, ChangeKind};
use crate::manifest::Pin;
use crate::names::{Oid, RepoPath, one_line};
use crate::store::Want;
use crate::store::checkout::{Checkout, broken_name};
use crate::store::composite::{Slices, slices_inside};
use crate::store::git_dir::remove_if_there;
use crate::store::journal::{self, Journal};
use crate::store::listing::{Entry, Listing};
pub use displace::{Displaced, leads_through_link};
pub use path_set::PathSet;

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
        fetch_all(fresh, &transition.slices)?;
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
        let blocking = match attempt(checkout, &transition)? {
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
}

fn attempt(checkout: &Checkout, transition: &Transition) -> Result<Attempt> {
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
    let mut overwritten = untracked_in_the_way(checkout, transition)?;
    if !overwritten.is_empty() {
        displaced.put_back()?;
        // Those that git would find itself as well, so that one stash entry of each slice holds them all.
        let is_known = |change: &Change| {
            transition.put_back.contains(&change.path) || overwritten.iter().any(|known| known.path == change.path)
        };
        let mut others = blocking(checkout, transition)?;
        others.retain(|change| !is_known(change));
        overwritten.extend(others);
        return Ok(Attempt::Blocked(overwritten));
    }
    let output = switch(checkout, &transition.from, &transition.to)?;
    match Switch::of(&output) {
        Switch::Done => {}
        Switch::Blocked => {
            let blocking = blocking(checkout, transition)?;
            if !blocking.is_empty() {
                displaced.put_back()?;
                return Ok(Attempt::Blocked(blocking));
            }
            return Err(cannot_write(output, checkout));
        }
        Switch::MissingObjects => {
            // The store was deleted, and git by hand brought back a part of it.
            fetch_all(checkout, &transition.slices)?;
            repair::finish(checkout, transition)?;
            return Ok(Attempt::Repaired);
        }
        Switch::Failed => return Err(cannot_write(output, checkout)),
    }
    if checkout.set_cone(&transition.slices)? {
        let output = checkout.repo.read_tree_switch(Some(&transition.to), &transition.to)?;
        match Switch::of_cone(&output) {
            Switch::Done => {}
            Switch::MissingObjects => {
                fetch_all(checkout, &transition.slices)?;
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

/// What git's words about a switch mean. Exit code 0 is not proof: a name that is too long, or a file that cannot be removed,
/// is only complained about.
#[derive(Debug, PartialEq)]
enum Switch {
    Done,
    /// Git looked first and changed nothing: pending changes are in the way.
    Blocked,
    /// A file of the tree is not in the object store.
    MissingObjects,
    Failed,
}

impl Switch {
    /// What the output of a switch to another tree means.
    fn of(output: &Output) -> Switch {
        // A file outside of the cone that git took for shown stays, which is right.
        Switch::without(output, &["will not remove from working tree"])
    }

    /// As [`Switch::of`], where only the cone changed. Git leaves files in its way as they are, and so does a change that keeps
    /// pending changes; all others are verified afterwards.
    fn of_cone(output: &Output) -> Switch {
        const LEFT_ALONE: &[&str] = &[
            "will not overwrite with sparse update",
            "will not remove from working tree",
            "would lose untracked files in it",
        ];
        Switch::without(output, LEFT_ALONE)
    }

    fn without(output: &Output, harmless: &[&str]) -> Switch {
        let has = |line: &str, words: &[&str]| words.iter().any(|words| line.contains(words));
        let lines: Vec<&str> = output.stderr.lines().filter(|line| !has(line, harmless)).collect();
        let says = |words: &[&str]| lines.iter().any(|line| has(line, words));
        let complains =
            lines.iter().any(|line| line.starts_with("error:") || line.starts_with("warning: unable to unlink"));
        if output.succeeded() {
            return if complains { Switch::Failed } else { Switch::Done };
        }
        if says(&["not uptodate", "would be overwritten", "would be removed", "would lose untracked"]) {
            return Switch::Blocked;
        }
        let missing = ["from promisor remote", "unable to read sha1 file", "unable to read tree", "missing object"];
        if says(&missing) { Switch::MissingObjects } else { Switch::Failed }
    }
}

/// Switches index and files. The index may know other times of unchanged files, after a copy, a `touch`, or because it
/// was made anew; `read-tree` takes these for edits until the index is refreshed. And entries may be staged or unmerged,
/// after git was used by hand; the index is then set to `from`, which does not touch the files.
fn switch(checkout: &Checkout, from: &Oid, to: &Oid) -> Result<Output> {
    checkout.borrow_from_store()?;
    let repo = &checkout.repo;
    repo.git.report().phase("writing files");
    if from == to {
        return Ok(Output::nothing_to_do());
    }
    let output = repo.read_tree_switch(Some(from), to)?;
    if output.succeeded() || Switch::of(&output) == Switch::MissingObjects {
        return Ok(output);
    }
    if output.stderr.contains("not uptodate") {
        repo.refresh_index()?;
    } else if !["unmerged", "resolve your current index", "Cannot merge"]
        .iter()
        .any(|words| output.stderr.contains(words))
    {
        return Ok(output);
    }
    let output = repo.read_tree_switch(Some(from), to)?;
    if output.succeeded() {
        return Ok(output);
    }
    repo.reset_index(&checkout.git_dir.join("index"), from)?;
    let slices = checkout.slices()?;
    if !slices.is_empty() {
        hide_outside_of_cone(checkout, &slices)?;
    }
    repo.refresh_index()?;
    repo.read_tree_switch(Some(from), to)
}

/// New files at the places of files that the commit to show adds. Git does not look for them itself where a sparse checkout is
/// on: `read-tree -m -u` says "already present; will not overwrite with sparse update", overwrites them, and exits with 0 (its
/// check is off for entries marked `CE_NEW_SKIP_WORKTREE`; seen with git 2.39 and 2.47).
fn untracked_in_the_way(checkout: &Checkout, transition: &Transition) -> Result<Vec<Change>> {
    if transition.from == transition.to {
        return Ok(Vec::new());
    }
    let changes = checkout.repo.diff_tree(&transition.from, &transition.to, None)?;
    let removed: HashSet<&str> =
        changes.iter().filter(|change| change.new.is_none()).map(|change| change.path.as_str()).collect();
    // Git writes what the cone shows now; the cone changes afterwards.
    let was = checkout.slices()?;
    let is_written = |path: &str| was.is_empty() || is_in_cone(&was, path);
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| change.old.is_none() && is_written(&change.path)) {
        let folders = change.path.match_indices('/').map(|(end, _)| &change.path[..end]);
        for path in folders.chain([change.path.as_str()]) {
            let Ok(meta) = join(&checkout.dir, path).symlink_metadata() else { break };
            let new = |path: String| Change { path, kind: ChangeKind::New };
            if path != change.path && !meta.is_dir() && !removed.contains(path) {
                found.push(new(path.to_string()));
            } else if path == change.path {
                let is_removed = |file: &Change| removed.contains(file.path.as_str());
                let folder = if meta.is_dir() { format!("{path}/") } else { path.to_string() };
                let files = stash::files_of(checkout, &[new(folder)])?;
                found.extend(files.into_iter().filter(|file| !is_removed(file)));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The pending changes at the places that a switch has to write or to remove.
fn blocking(checkout: &Checkout, transition: &Transition) -> Result<Vec<Change>> {
    let changes = checkout.repo.diff_tree(&transition.from, &transition.to, None)?;
    let written: PathSet = changes.iter().map(|change| change.path.as_str()).collect();
    let mut pending = checkout.repo.status(&[&RepoPath::default()])?;
    pending.retain(|change| written.clashes_with(&change.path));
    stash::files_of(checkout, &pending)
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

/// Marks the entries of the index outside of the cone of some slices as not shown. Git itself marks no entry whose file is there,
/// and then needs the content that the commit has, which was never downloaded.
fn hide_outside_of_cone(checkout: &Checkout, slices: &Slices) -> Result<()> {
    let shown = checkout.repo.shown_paths()?;
    let outside: Vec<&str> = shown.iter().map(String::as_str).filter(|path| !is_in_cone(slices, path)).collect();
    match outside.is_empty() {
        true => Ok(()),
        false => checkout.repo.skip_worktree(&outside),
    }
}

/// Whether the cone of some slices shows a path: in a slice, or directly in a directory above one.
fn is_in_cone(slices: &Slices, path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_above = |slice: &RepoPath| {
        folder.is_empty() || slice.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    slices.keys().any(|slice| slice.holds(path) || is_above(slice))
}

/// Writes the files as the index has them; those it does not have stay away.
///
/// # Errors
/// When a file would be written over a folder, or a folder over a file: `checkout-index -f` removes what is there.
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
    // Fails for a path that the index does not have, after doing the others; what matters is verified afterwards.
    checkout.repo.checkout_index(&paths).map(drop)
}

fn refused(checkout: &Checkout, blocking: &[Change]) -> Error {
    let paths: Vec<String> = blocking.iter().map(|change| format!("\n  {}", one_line(&change.path))).collect();
    Error::needs_person(format!("pending changes of `{}` are in the way", checkout.dir.display()))
        .cause(format!("nothing was changed; these files would be lost:{}", paths.concat()))
        .hint("stash them with `assets restore --stash`, or move them away")
}

fn cannot_write(output: Output, checkout: &Checkout) -> Error {
    output.into_error().context(format!("cannot write the files of `{}`", checkout.dir.display()))
}

/// Turns a failed switch of a checkout that is being built into the user's words.
fn check(output: Output, checkout: &Checkout) -> Result<()> {
    match Switch::of(&output) {
        Switch::Done => Ok(()),
        _ => Err(cannot_write(output, checkout)),
    }
}

/// Checks that the work tree is what was planned: every file of the listings is there with its size, and what was to go is
/// gone. Where a deeper slice lies, that one decides; pending changes that stay are not looked at.
fn verify(checkout: &Checkout, transition: &Transition, listings: &[(&RepoPath, &Listing)]) -> Result<()> {
    let kept: HashSet<&str> = transition.kept.iter().map(|change| change.path.as_str()).collect();
    for (slice, listing) in listings {
        let inner: Vec<&RepoPath> = slices_inside(&transition.slices, slice).collect();
        let expected = listing
            .files
            .iter()
            .filter(|entry| !kept.contains(entry.path.as_str()) && !inner.iter().any(|inner| inner.holds(&entry.path)));
        verify_files(checkout, expected)?;
    }
    Ok(())
}

fn verify_files<'a>(checkout: &Checkout, files: impl Iterator<Item = &'a Entry>) -> Result<()> {
    for entry in files {
        let file = join(&checkout.dir, &entry.path);
        let meta = file.symlink_metadata();
        if meta.as_ref().is_ok_and(|meta| meta.is_file() && meta.len() == entry.size) {
            continue;
        }
        // A test may have recorded it anew since git wrote it: then the file is a pending change.
        if meta.is_ok() && !is_cut_short(checkout, entry)? {
            continue;
        }
        return Err(not_written(&file));
    }
    Ok(())
}

/// Whether a file holds the beginning of what it should hold, or nothing.
fn is_cut_short(checkout: &Checkout, entry: &Entry) -> Result<bool> {
    let Some(content) = stash::content_at(&checkout.dir, &entry.path)? else { return Ok(true) };
    let whole = checkout.objects()?.contents(&[entry.oid.as_str()])?.pop().flatten();
    Ok(whole.is_none_or(|(_, whole)| whole.starts_with(&content) && whole != content))
}

fn not_written(file: &Path) -> Error {
    Error::failed(format!("`{}` was not written completely", file.display()))
        .cause("git reported success all the same; a full disk or a file name that is too long for it does this")
        .hint("check the free space (`df -h`), then run `assets restore` again")
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
        hide_outside_of_cone(checkout, &slices)?;
    }
    // A second time, to mark what the cone does not show.
    let output = checkout.repo.read_tree_switch(Some(head), head)?;
    match Switch::of_cone(&output) {
        Switch::Done => Ok(()),
        _ => Err(cannot_write(output, checkout)),
    }
}
