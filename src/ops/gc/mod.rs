//! `gc`: what the cache and the assets folders hold, who uses it, and removal of what nobody uses. Sends no request.
//!
//! Whatever a command found in a store stays there until it ends: commands share the lock `<store>.use`, and here it is
//! taken alone before anything goes, and everything is looked at once more.

mod checkouts;
mod left_overs;
mod needs;
mod observe;
mod plan;
mod repack;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{AtPath, Error, Kind, Result};
use crate::interrupt;
use crate::store::files::{entries_of, is_there};
use crate::store::lock::{self, Lock};
use crate::store::{is_cut_short, known, lane, lock_file, stores_folder, use_file};
use crate::units::count;
pub use left_overs::LeftOver;
use left_overs::measure;
use observe::{CodeRepo, Seen, World};
use plan::{Claim, Use, claim, is_worth_it, store_use};

/// One thing in the cache or in an assets folder.
#[derive(Debug)]
pub struct Item {
    pub what: What,
    pub path: PathBuf,
    /// What a person calls it.
    pub name: String,
    pub bytes: u64,
    /// How many of them nobody needs. For slices of a checkout that is not known beforehand.
    pub frees: u64,
    pub fate: Fate,
    /// Whether that has happened.
    pub done: bool,
    /// Why it stays, or why not.
    pub why: String,
    /// The manifests that use it.
    pub users: Vec<String>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A code repo that the cache knows and that is not there any more.
    CodeRepo,
    Store,
    Checkout,
    /// Something unfinished that a killed run left.
    LeftOver,
    /// Something that was set aside for a person to look at.
    Broken,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    /// Parts of it go.
    Shrinks,
    Goes,
}

/// What was found, and what could not be read or removed.
#[derive(Default)]
pub struct Found {
    pub items: Vec<Item>,
    pub errors: Vec<(String, Error)>,
}

/// What becomes of the rest while something cannot be read.
const UNTIL_THEN: &str = "until then nothing goes that it may use";

/// Looks at everything; with `remove` what nobody uses is removed.
pub fn gc(context: &Context, remove: bool) -> Result<Found> {
    context.git()?.report().phase("looking for what is used");
    let world = World::observe(context)?;
    context.vouch_for_git()?;
    let mut found = Found::default();
    for (path, error) in world.repos.iter().flat_map(CodeRepo::broken) {
        found.errors.push((path.clone(), error.clone().hint(UNTIL_THEN)));
    }
    for (folder, error) in &world.unread {
        found.errors.push((folder.to_string_lossy().into_owned(), error.clone().hint(UNTIL_THEN)));
    }
    for repo in world.repos.iter().filter(|repo| repo.is_gone()) {
        let item = gone_repo(context, repo, remove);
        found.add(&repo.root, item)?;
    }
    let mut gone = BTreeSet::new();
    for seen in &world.checkouts {
        if let Some(error) = &seen.trouble {
            found.errors.push((seen.dir.to_string_lossy().into_owned(), error.clone().hint(UNTIL_THEN)));
            continue;
        }
        let item = checkout(context, &world, seen, remove);
        if item.as_ref().is_ok_and(|item| item.fate == Fate::Goes) {
            gone.insert(seen.dir.clone());
        }
        found.add(&seen.dir, item)?;
    }
    let stores = stores_in(&context.environment.cache_dir).unwrap_or_else(|error| {
        found.errors.push((stores_folder(&context.environment.cache_dir).to_string_lossy().into_owned(), error));
        Vec::new()
    });
    for dir in stores {
        let item = if remove { clean_store(context, &dir) } else { store(context, &world, &dir, &gone, false) };
        found.add(&dir, item)?;
    }
    for left_over in left_overs::find(&world, &context.environment.cache_dir, &mut found.errors) {
        let path = left_over.path.clone();
        found.add(&path, self::left_over(left_over, remove))?;
    }
    Ok(found)
}

/// What killed runs left in the cache and in the assets folders of the code repos that use it.
///
/// # Errors
/// When a place where they may be cannot be read.
pub fn find_left_overs(context: &Context) -> Result<Vec<LeftOver>> {
    let mut errors = Vec::new();
    let found = left_overs::find(&World::observe(context)?, &context.environment.cache_dir, &mut errors);
    errors.pop().map_or(Ok(found), |(_, error)| Err(error))
}

/// The bytes of all files below a directory.
pub fn bytes_of(dir: &Path) -> u64 {
    measure(dir).0
}

impl Found {
    /// One that fails does not stop the others; an interruption does.
    fn add(&mut self, path: &Path, item: Result<Item>) -> Result<()> {
        interrupt::check()?;
        match item {
            Ok(item) => self.items.push(item),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => self.errors.push((path.to_string_lossy().into_owned(), error)),
        }
        Ok(())
    }
}

/// The directories of the stores.
fn stores_in(cache: &Path) -> Result<Vec<PathBuf>> {
    let is_store = |dir: &PathBuf| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        // One of which that cannot be told is looked at, and named.
        is_there(&dir.join("HEAD")).unwrap_or(true) && !name.starts_with('.') && !left_overs::is_broken(&name)
    };
    let paths = entries_of(&stores_folder(cache))?.into_iter().map(|entry| entry.path());
    let mut stores: Vec<PathBuf> = paths.filter(is_store).collect();
    stores.sort();
    Ok(stores)
}

fn gone_repo(context: &Context, repo: &CodeRepo, remove: bool) -> Result<Item> {
    let done = remove && !is_there(&repo.root.join(".git"))?;
    if done {
        for known in &repo.known {
            known::forget(&context.environment.cache_dir, known)?;
        }
    }
    Ok(Item {
        what: What::CodeRepo,
        path: repo.root.clone(),
        name: repo.root.to_string_lossy().into_owned(),
        bytes: 0,
        frees: 0,
        fate: Fate::Goes,
        done,
        why: "it is not there any more (is its disk mounted?) and is forgotten with all that only it used".into(),
        users: Vec::new(),
    })
}

fn checkout(context: &Context, world: &World, seen: &Seen, remove: bool) -> Result<Item> {
    let bytes = measure(&seen.dir).0;
    let mut item = Item {
        what: What::Checkout,
        path: seen.dir.clone(),
        name: seen.dir.to_string_lossy().into_owned(),
        bytes,
        frees: 0,
        fate: Fate::Stays,
        done: false,
        why: String::new(),
        users: Vec::new(),
    };
    match claim(world, seen) {
        Claim::Unclear(path) => item.why = format!("`{path}` cannot be read"),
        Claim::Unclaimed => match checkouts::why_it_stays(context, seen)? {
            Some(why) => item.why = format!("no manifest uses it, but {why}"),
            None => {
                (item.fate, item.frees) = (Fate::Goes, bytes);
                item.why = "no manifest uses it".into();
                item.done = remove && checkouts::remove(context, seen)?;
            }
        },
        Claim::Claimed { manifests, unwanted } => {
            item.why = format!("used by {}", count(manifests.len(), "manifest"));
            item.users = manifests;
            let (go, stay) = checkouts::sort_slices(context, seen, &unwanted)?;
            if !go.is_empty() {
                item.fate = Fate::Shrinks;
                let names: Vec<String> = go.iter().map(|slice| format!("`{slice}`")).collect();
                item.why.push_str(&format!(", but not {}", names.join(", ")));
                item.frees = go.iter().map(|slice| measure(&super::join(&seen.dir, slice.as_str())).0).sum();
                item.done = remove && checkouts::drop_slices(context, seen)?;
            }
            for why in stay {
                item.why.push_str(&format!("; no manifest uses it, but {why}"));
            }
        }
    }
    Ok(item)
}

/// Cleans a store, with nobody else using it.
fn clean_store(context: &Context, dir: &Path) -> Result<Item> {
    let (patience, report) = (context.patience(), context.git()?.report());
    let _alone = Lock::take(&use_file(dir), &patience, report)?;
    let _lock = Lock::take(&lock_file(dir), &patience, report)?;
    lock::remove_stale_git_locks(dir)?;
    lane::take_in_left_over(dir)?;
    report.phase(&format!("looking through `{}`", dir.display()));
    // What was seen before may have changed while others had it.
    let world = World::observe(context)?;
    store(context, &world, dir, &BTreeSet::new(), true)
}

/// Looks at a store, as if the checkouts in `gone` were no more; removes what is not needed if that is asked.
fn store(context: &Context, world: &World, dir: &Path, gone: &BTreeSet<PathBuf>, remove: bool) -> Result<Item> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_damaged = is_cut_short(dir)?;
    let mut item = Item {
        what: What::Store,
        path: dir.to_path_buf(),
        name: assets_repo(world, &name),
        bytes: measure(dir).0,
        frees: 0,
        fate: Fate::Stays,
        done: false,
        why: String::new(),
        users: Vec::new(),
    };
    let (manifests, repos, borrowers) = match store_use(world, &name, gone) {
        Use::Unclear(path) => {
            item.why = format!("`{path}` cannot be read");
            return Ok(item);
        }
        Use::Unused => {
            (item.fate, item.frees) = (Fate::Goes, item.bytes);
            item.why = "no manifest of a known code repo uses it".into();
            if remove {
                checkouts::remove_whole(dir)?;
                item.done = true;
            }
            return Ok(item);
        }
        Use::Used { manifests, repos, checkouts } => (manifests, repos, checkouts),
    };
    item.why = match manifests.len() {
        0 => format!("used by {}", count(borrowers, "checkout")),
        n => format!("used by {} of {}", count(n, "manifest"), count(repos, "code repo")),
    };
    item.users = manifests;
    if is_damaged {
        item.why.push_str("; kept whole: it is damaged, and the next `assets restore` mends it");
        return Ok(item);
    }
    let repo = needs::place(context.git()?, dir, None);
    let files = repack::Files::of(dir)?;
    let have = repo.all_objects()?;
    let kept = match needs::kept(context, world, (dir, &name), &have, gone) {
        Ok(kept) => kept,
        Err(error) if error.kind == Kind::Interrupted => return Err(error),
        Err(error) => {
            let cause = error.causes.first().map_or("", String::as_str);
            item.why.push_str(&format!("; kept whole: {}: {cause}", error.message));
            return Ok(item);
        }
    };
    let frees = files.frees(&have, &kept.objects);
    if is_worth_it(frees, files.bytes) {
        (item.fate, item.frees) = (Fate::Shrinks, frees);
        item.why.push_str(", but not all of it");
        if remove {
            repack::repack(&repo, &files, &have, &kept)?;
            item.done = true;
        }
    }
    Ok(item)
}

fn left_over(left_over: left_overs::LeftOver, remove: bool) -> Result<Item> {
    let left_overs::LeftOver { path, bytes, broken } = left_over;
    if remove && !broken {
        let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let removed = if is_dir { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).at("remove", &path),
            _ => {}
        }
    }
    Ok(Item {
        what: if broken { What::Broken } else { What::LeftOver },
        name: path.to_string_lossy().into_owned(),
        bytes,
        frees: if broken { 0 } else { bytes },
        fate: if broken { Fate::Stays } else { Fate::Goes },
        done: remove && !broken,
        why: if broken { "it was set aside because it was broken" } else { "a run that was killed left it" }.into(),
        path,
        users: Vec::new(),
    })
}

/// What the manifests, or the notes of earlier runs, call the assets repo of a store.
fn assets_repo(world: &World, store: &str) -> String {
    let wanted = world.repos.iter().flat_map(CodeRepo::manifests).find(|wanted| wanted.store == store);
    let known = world.repos.iter().flat_map(|repo| &repo.known).find(|known| known.store == store);
    match (wanted, known) {
        (Some(wanted), _) => wanted.manifest.repo_name().to_string(),
        (_, Some(known)) => known.assets_repo.clone(),
        _ => store.to_string(),
    }
}
