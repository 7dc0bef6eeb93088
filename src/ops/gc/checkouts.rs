//! Taking away checkouts, and slices of checkouts, that no manifest asks for any more and in which nothing could be lost.

use std::collections::HashMap;
use std::path::Path;

use super::observe::{Seen, World};
use super::plan::{Claim, claim};
use crate::error::{AtPath, Error, Result};
use crate::names::RepoPath;
use crate::ops::apply::{self, InTheWay, Transition};
use crate::ops::enter::{enter, head_for, pending};
use crate::ops::{Context, stash};
use crate::store::checkout::{Checkout, check_readable, is_of_shown_slices};
use crate::store::files::entries_of;
use crate::store::git_dir::{refs_below, remove_if_there};
use crate::store::lock::Lock;
use crate::store::{journal, note, use_file};
use crate::units::count;

/// Why a checkout must stay although no manifest asks for it; `None` if nothing in it could be lost.
pub fn why_it_stays(context: &Context, seen: &Seen) -> Result<Option<String>> {
    let Some(checkout) = seen.open(context)? else { return Ok(Some("it was not made by `assets`".into())) };
    if let Some(why) = why_nothing_may_change(&checkout)? {
        return Ok(Some(why));
    }
    for name in refs_below(&checkout.git_dir, "refs/")?.into_keys().map(|name| format!("refs/{name}")) {
        if !is_of_shown_slices(&checkout.git_dir, &name)? {
            return Ok(Some(match name.split('/').nth(2) {
                Some("stash") => "it has stash entries".into(),
                Some("by-hand") => "it has commits made by hand".into(),
                _ => format!("it has the ref `{name}`"),
            }));
        }
    }
    Ok(match checkout.repo.count_unlike_head(&RepoPath::default()) {
        Ok(0) => None,
        Ok(1) => Some("1 file in it is pending or ignored".into()),
        Ok(count) => Some(format!("{count} files in it are pending or ignored")),
        Err(error) => Some(format!("git cannot read it: {}", error.message)),
    })
}

/// Why a slice must stay shown although no manifest asks for it.
fn why_slice_stays(context: &Context, seen: &Seen, slice: &RepoPath) -> Result<Option<String>> {
    let Some(checkout) = seen.open(context)? else { return Ok(Some("it was not made by `assets`".into())) };
    if let Some(why) = why_nothing_may_change(&checkout)? {
        return Ok(Some(why));
    }
    if stash::counts(&checkout.git_dir)?.keys().any(|stashed| stashed == slice || stashed.is_root()) {
        return Ok(Some(format!("`{slice}` has stash entries")));
    }
    Ok(match pending(&checkout, slice) {
        Ok(changes) if changes.is_empty() => None,
        Ok(changes) => Some(format!("`{slice}` has {} pending", count(changes.len(), "file"))),
        Err(error) => Some(format!("git cannot read it: {}", error.message)),
    })
}

/// The slices that may go, and why each of the others stays.
pub fn sort_slices(context: &Context, seen: &Seen, unwanted: &[RepoPath]) -> Result<(Vec<RepoPath>, Vec<String>)> {
    let (mut go, mut stay) = (Vec::new(), Vec::new());
    for slice in unwanted {
        match why_slice_stays(context, seen, slice)? {
            None => go.push(slice.clone()),
            Some(why) => stay.push(why),
        }
    }
    stay.dedup();
    Ok((go, stay))
}

/// What forbids any change: work under way, or hands that were here.
///
/// # Errors
/// When a file that says so cannot be read.
fn why_nothing_may_change(checkout: &Checkout) -> Result<Option<String>> {
    check_readable(&checkout.git_dir)?;
    if let Err(error) = checkout.check_before_looking() {
        return Ok(Some(error.causes.first().cloned().unwrap_or(error.message)));
    }
    let names = entries_of(&checkout.git_dir)?;
    let has = |wanted: &str| names.iter().any(|entry| entry.file_name().to_string_lossy().starts_with(wanted));
    let head = checkout.head()?;
    let why = match () {
        () if journal::is_interrupted(&checkout.git_dir)? => "a command in it was interrupted",
        () if has(note::PUSH) => "a push from it was interrupted",
        () if has("worktrees") => "it has linked work trees",
        () if head.is_none() || head != checkout.shown()? => "its HEAD was moved by hand",
        () => return Ok(None),
    };
    Ok(Some(why.into()))
}

/// Removes a checkout, if it may go now that it is locked; whether it went.
pub fn remove(context: &Context, seen: &Seen) -> Result<bool> {
    let Some(checkout) = seen.open(context)? else { return Ok(false) };
    let _locks = lock(context, &checkout)?;
    let unclaimed = claim(&World::observe(context)?, seen) == Claim::Unclaimed;
    if !unclaimed || !checkout.exists()? || why_it_stays(context, seen)?.is_some() {
        return Ok(false);
    }
    remove_if_there(&seen.folder.join("breadcrumb").join(format!("{}.breadcrumb", seen.name)))?;
    remove_whole(&seen.dir)?;
    Ok(true)
}

/// Takes slices out of a checkout, if they may go now that it is locked; whether any went.
pub fn drop_slices(context: &Context, seen: &Seen) -> Result<bool> {
    let Some(checkout) = seen.open(context)? else { return Ok(false) };
    let _locks = lock(context, &checkout)?;
    let Claim::Claimed { unwanted, .. } = claim(&World::observe(context)?, seen) else { return Ok(false) };
    let (go, _) = sort_slices(context, seen, &unwanted)?;
    if go.is_empty() {
        return Ok(false);
    }
    let Some(mut objects) = enter(&checkout)? else { return Ok(false) };
    let shown = checkout.slices()?;
    let mut slices = shown.clone();
    slices.retain(|slice, _| !go.contains(slice));
    let from = checkout.head()?.ok_or_else(|| Error::failed(format!("`{}` has no HEAD", seen.dir.display())))?;
    let to = head_for(&checkout, Some(&mut objects), &slices, Some((&from, &shown)))?;
    let transition = Transition {
        operation: "gc",
        from,
        to,
        slices,
        put_back: Vec::new(),
        stored: HashMap::new(),
        stashes: Vec::new(),
        kept: Vec::new(),
        tag: None,
    };
    apply::change(&checkout, transition, &[], InTheWay::Refuse)?;
    Ok(true)
}

/// The lock of the checkout; and its store stays as it is meanwhile.
fn lock(context: &Context, checkout: &Checkout) -> Result<(Lock, Lock)> {
    let in_use = Lock::share(&use_file(checkout.store.dir()), &context.patience(), context.git()?.report())?;
    Ok((in_use, checkout.lock()?))
}

/// Removes a directory under another name first: whatever happens in between, nobody takes a part of it for the whole.
pub fn remove_whole(dir: &Path) -> Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!("{}{name}-{}", super::left_overs::GOING, std::process::id()));
    std::fs::rename(dir, &aside).at("remove", dir)?;
    std::fs::remove_dir_all(&aside).at("remove", &aside)
}
