//! The only place that changes work trees. A new checkout is built beside its place and renamed there; a change of one
//! that exists is journalled, and whoever finds the journal of a change that was cut short completes it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::{join, stash};
use crate::error::{AtPath, Error, Kind, Result, shell_word};
use crate::git::Output;
use crate::git::objects::Objects;
use crate::git::parse::Change;
use crate::names::{Oid, RepoPath};
use crate::store::checkout::{Checkout, broken_name};
use crate::store::composite::{Slices, slices_inside};
use crate::store::git_dir::remove_if_there;
use crate::store::journal::{self, Journal};
use crate::store::listing::{self, Entry, Listing};
use crate::units::count;

/// Where a checkout is to go.
pub struct Transition {
    /// The command, for messages.
    pub operation: &'static str,
    /// What the index holds now.
    pub from: Oid,
    /// The commit to show.
    pub to: Oid,
    /// Every slice of the checkout afterwards.
    pub slices: Slices,
    /// Files that become what `to` has; what they are now is in stash entries.
    pub put_back: Vec<String>,
    /// These stash entries, one for each slice.
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
        let fresh =
            Checkout::in_dir(folder.path().to_path_buf(), &checkout.folder, &checkout.store, &checkout.repo.git);
        let objects = fresh.git_dir.join("objects");
        std::fs::create_dir_all(&objects).at("create", &objects)?;
        Ok(Building { folder, checkout: fresh })
    }
}

/// Builds a checkout and puts it in its place. What stands there and is not one is set aside.
pub fn build(
    checkout: &Checkout,
    building: Building,
    transition: &Transition,
    listings: &[(&RepoPath, &Listing)],
) -> Result<()> {
    let fresh = &building.checkout;
    fresh.create(&transition.to, &transition.slices)?;
    fresh.repo.git.report().phase("writing files");
    let output = fresh.repo.read_tree_switch(None, &transition.to)?;
    check(output, fresh)?;
    fresh.record(&transition.to, &transition.slices, transition.tag.as_ref())?;
    verify(fresh, listings, &transition.slices, &HashSet::new())?;
    set_aside(checkout)?;
    let from = building.folder.keep();
    std::fs::rename(&from, &checkout.dir).at("put the checkout in place as", &checkout.dir)
}

/// Takes an existing checkout from what it shows to another commit, other slices, or both.
pub fn change(checkout: &Checkout, transition: &Transition, listings: &[(&RepoPath, &Listing)]) -> Result<()> {
    let text = |oid: &Oid| oid.to_string();
    let note = Journal {
        operation: transition.operation.to_string(),
        from: text(&transition.from),
        to: text(&transition.to),
        slices: transition.slices.iter().map(|(slice, pin)| (slice.as_str().to_string(), text(pin))).collect(),
        put_back: transition.put_back.clone(),
        stashes: transition.stashes.iter().map(text).collect(),
        kept: transition.kept.clone(),
        tag: transition.tag.clone(),
    };
    journal::write(&checkout.git_dir, &note)?;
    if !transition.put_back.is_empty() {
        // Drops what was staged there by hand, so that the switch finds the index as `from` has it.
        checkout.repo.read_tree_index(&transition.from)?;
        remove_files(checkout, transition.put_back.iter().map(String::as_str))?;
    }
    let kept: HashSet<&str> = transition.kept.iter().map(|change| change.path.as_str()).collect();
    perform(checkout, transition, &transition.put_back)?;
    verify(checkout, listings, &transition.slices, &kept)?;
    journal::remove(&checkout.git_dir)
}

/// Completes a change that was cut short. Call it under the lock, before anything else looks at the checkout.
pub fn recover(checkout: &Checkout) -> Result<()> {
    if !journal::exists(&checkout.git_dir)? {
        return Ok(());
    }
    let Some(note) = journal::read(&checkout.git_dir)? else { return journal::remove(&checkout.git_dir) };
    let Some(transition) = from_note(note.clone()) else {
        return Err(journal::damaged(&checkout.git_dir, "what it names as commits and slices are none"));
    };
    let repo = &checkout.repo;
    repo.git.report().note(&format!("completing a {} that was interrupted", note.operation));
    checkout.borrow_from_store()?;
    let mut objects = checkout.objects()?;
    let changes = repo.diff_tree(&transition.from, &transition.to, None)?;
    // A slice that was not shown is written even where both commits have the same of it.
    let appearing = appearing(checkout, &mut objects, &transition)?;
    let mut written: HashMap<&str, Option<&Oid>> =
        appearing.iter().map(|file| (file.path.as_str(), Some(&file.oid))).collect();
    written.extend(changes.iter().map(|change| (change.path.as_str(), change.new.as_ref().map(|blob| &blob.oid))));
    let ours: BTreeSet<&str> = written.keys().copied().chain(transition.put_back.iter().map(String::as_str)).collect();
    let kept: BTreeSet<&str> = transition.kept.iter().map(|change| change.path.as_str()).collect();

    // The switch may have come to its end or not: looked at from where it began, all that it wrote is dirty.
    repo.read_tree_index(&transition.from).or_else(|_| repo.read_tree_index(&transition.to))?;
    // What became dirty is either the trace of the interruption, which is repaired, or was changed since, which is kept.
    let dirty: Vec<Change> = repo
        .status(&[&RepoPath::default()])?
        .into_iter()
        .filter(|change| ours.contains(change.path.as_str()) && !kept.contains(change.path.as_str()))
        .collect();
    let mut stashed = HashMap::new();
    for entry in &transition.stashes {
        stashed.extend(stash::contents(checkout, entry)?);
    }
    let mut edits: Vec<Change> = Vec::new();
    for change in &dirty {
        let Ok(content) = std::fs::read(join(&checkout.dir, &change.path)) else { continue };
        let candidates = [written.get(change.path.as_str()).copied().flatten(), stashed.get(&change.path)];
        if !is_trace(&mut objects, &content, &candidates)? {
            edits.push(change.clone());
        }
    }
    if !edits.is_empty() {
        let entry = stash::create(checkout, &RepoPath::default(), &edits, "changed after an interrupted command")?;
        repo.git.report().note(&format!(
            "{} changed since then and put aside; `assets stash list` shows it ({})",
            count(edits.len(), "file"),
            entry.short()
        ));
    }
    remove_files(checkout, dirty.iter().map(|change| change.path.as_str()))?;
    let all: Vec<String> = ours.iter().filter(|path| !kept.contains(*path)).map(|path| path.to_string()).collect();
    perform(checkout, &transition, &all)?;
    journal::remove(&checkout.git_dir)
}

/// The files of the slices that the checkout did not show before.
fn appearing(checkout: &Checkout, objects: &mut Objects, transition: &Transition) -> Result<Vec<Entry>> {
    let (mut files, known) = (Vec::new(), checkout.slices()?);
    let Some((_, commit)) = objects.commit(transition.to.as_str())? else { return Ok(files) };
    for slice in transition.slices.keys().filter(|slice| !known.contains_key(*slice)) {
        if let Some(listing) = listing::list(objects, &commit.tree, slice, &checkout.store.access().limits)? {
            files.extend(listing.files);
            files.extend(listing.above);
        }
    }
    Ok(files)
}

/// Whether the content of a file is what an interrupted write leaves: the whole of one of these blobs, or its beginning.
fn is_trace(objects: &mut Objects, content: &[u8], blobs: &[Option<&Oid>]) -> Result<bool> {
    if content.is_empty() {
        return Ok(true);
    }
    let names: Vec<&str> = blobs.iter().flatten().map(|oid| oid.as_str()).collect();
    Ok(objects.contents(&names)?.into_iter().flatten().any(|(_, blob)| blob.starts_with(content)))
}

fn from_note(note: Journal) -> Option<Transition> {
    let mut slices = Slices::new();
    for (slice, pin) in &note.slices {
        slices.insert(RepoPath::parse(slice).ok()?, Oid::parse(pin).ok()?);
    }
    Some(Transition {
        operation: "recovery",
        from: Oid::parse(&note.from).ok()?,
        to: Oid::parse(&note.to).ok()?,
        slices,
        put_back: note.put_back,
        stashes: note.stashes.iter().filter_map(|oid| Oid::parse(oid).ok()).collect(),
        kept: note.kept,
        tag: note.tag,
    })
}

/// The part that may be done twice: index, files and refs become those of `to`.
fn perform(checkout: &Checkout, transition: &Transition, rewrite: &[String]) -> Result<()> {
    checkout.borrow_from_store()?;
    let cone_changed = checkout.set_cone(&transition.slices)?;
    if cone_changed || transition.from != transition.to || transition.operation == "recovery" {
        checkout.repo.git.report().phase("writing files");
        let output = switch(checkout, &transition.from, &transition.to)?;
        if let Err(error) = check(output, checkout) {
            if transition.operation != "recovery" && error.kind == Kind::NeedsPerson {
                // The switch looks first and then acts: nothing but the files set aside has changed. They go back to
                // what the commit has; their own content is in the stash entry. After any other failure, such as a full
                // disk, some files may be new and some old: the next run completes it.
                put_back(checkout, &transition.put_back)?;
                journal::remove(&checkout.git_dir)?;
            }
            return Err(error);
        }
    }
    put_back(checkout, rewrite)?;
    checkout.keep_slices(&transition.slices)?;
    checkout.record(&transition.to, &transition.slices, transition.tag.as_ref())
}

/// Switches index and files. The index may know other times of unchanged files, after a copy, a `touch`, or because it
/// was made anew; `read-tree` takes these for edits until the index is refreshed.
fn switch(checkout: &Checkout, from: &Oid, to: &Oid) -> Result<Output> {
    let output = checkout.repo.read_tree_switch(Some(from), to)?;
    if output.succeeded() || !output.stderr.contains("not uptodate") {
        return Ok(output);
    }
    checkout.repo.refresh_index()?;
    checkout.repo.read_tree_switch(Some(from), to)
}

/// Writes the files as the index has them; those it does not have stay away.
fn put_back(checkout: &Checkout, paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    // Fails for a path that the index does not have, after doing the others; what matters is verified afterwards.
    checkout.repo.checkout_index(&paths).map(drop)
}

/// Turns a failed switch into the user's words. Exit code 0 is not proof: a name that is too long is only complained about.
fn check(output: Output, checkout: &Checkout) -> Result<()> {
    let complaint = output.stderr.lines().any(|line| line.starts_with("error:"));
    if output.succeeded() && !complaint {
        return Ok(());
    }
    let in_the_way = output.stderr.contains("not uptodate") || output.stderr.contains("would be overwritten");
    let error = output.into_error();
    if !in_the_way {
        return Err(error.context(format!("cannot write the files of `{}`", checkout.dir.display())));
    }
    let mut refusal = Error::needs_person(format!(
        "files of `{}` that are not in any slice were changed there",
        checkout.dir.display()
    ));
    refusal.causes = error.causes;
    Err(refusal.hint(format!(
        "look at them with `git -C {0} status`, move what you need away, and undo them with `git -C {0} checkout -- .`",
        shell_word(&checkout.dir.to_string_lossy())
    )))
}

/// Checks that every file of the listings is there with its size; where a deeper slice lies, that one decides.
fn verify(
    checkout: &Checkout,
    listings: &[(&RepoPath, &Listing)],
    slices: &Slices,
    except: &HashSet<&str>,
) -> Result<()> {
    for (slice, listing) in listings {
        let inner: Vec<&RepoPath> = slices_inside(slices, slice).collect();
        let expected = listing.files.iter().filter(|entry| {
            !except.contains(entry.path.as_str()) && !inner.iter().any(|inner| inner.holds(&entry.path))
        });
        verify_files(checkout, expected)?;
    }
    Ok(())
}

fn verify_files<'a>(checkout: &Checkout, files: impl Iterator<Item = &'a Entry>) -> Result<()> {
    for entry in files {
        let file = join(&checkout.dir, &entry.path);
        let there = file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == entry.size);
        if !there {
            return Err(Error::failed(format!("`{}` was not written completely", file.display()))
                .cause(
                    "git reported success all the same; a full disk or a file name that is too long for it does this",
                )
                .hint("check the free space (`df -h`), then run `assets restore` again"));
        }
    }
    Ok(())
}

/// Removes files and the directories that become empty with them.
pub fn remove_files<'a>(checkout: &Checkout, paths: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for path in paths {
        let file = join(&checkout.dir, path);
        match std::fs::remove_file(&file) {
            Err(e) if !matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(e).at("remove", &file);
            }
            _ => {}
        }
        remove_empty_folders(&checkout.dir, &file);
    }
    Ok(())
}

fn remove_empty_folders(top: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != top) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// Makes room where a checkout is to be: an empty directory is replaced, anything else is kept under another name.
pub fn set_aside(checkout: &Checkout) -> Result<()> {
    if checkout.dir.symlink_metadata().is_err() || std::fs::remove_dir(&checkout.dir).is_ok() {
        return Ok(());
    }
    let aside = broken_name(&checkout.dir);
    std::fs::rename(&checkout.dir, &aside).at("set aside", &checkout.dir)?;
    checkout.repo.git.report().note(&format!(
        "`{}` was not a usable checkout and is kept as `{}`",
        checkout.dir.display(),
        aside.display()
    ));
    Ok(())
}

/// Makes an index anew that is missing or damaged; the work tree stays as it is.
pub fn rebuild_index(checkout: &Checkout, head: &Oid) -> Result<()> {
    let index = checkout.git_dir.join("index");
    remove_if_there(&index)?;
    checkout.repo.read_tree_into(&index, head)?;
    // A second time, to mark what the cone does not show.
    check(checkout.repo.read_tree_switch(Some(head), head)?, checkout)
}
