//! A restore of many packages that is interrupted in its middle, and the one that goes on.
#![cfg(unix)]

use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::fleet::{Fleet, objects_of_stores, recordings, shown};
use crate::support::pty::wait_until;
use crate::support::server::Fault;
use crate::support::{finish, with_every_git};

/// Stops a cold restore while one of its two parts is waited for, then runs it again.
fn stopped_by(branch: usize, tag: usize, hanging_fetch: usize, stop: fn(Pid), code: Option<i32>) {
    with_every_git(|world| {
        let all = branch + tag;
        let fleet = Fleet::new(world, 0..branch, 0..tag);
        let fetches = AtomicUsize::new(0);
        fleet.server.on_request(move |request| {
            let number = fetches.fetch_add(usize::from(request.method == "GET"), Ordering::SeqCst) + 1;
            (request.method == "GET" && number == hanging_fetch).then_some(Fault::Hang)
        });
        let child = fleet.code.command(&[], ["restore", "--all"]).process_group(0).spawn().unwrap();
        let is_shown = |n: &usize| shown(&fleet.code, *n) == recordings(*n, 1);
        wait_until(|| (0..all).filter(is_shown).count() >= 12 && fleet.fetches() == hanging_fetch);
        stop(Pid::from_child(&child));
        let run = finish(child);
        assert_eq!(run.code, code, "{}", run.stderr);
        let not_shown: Vec<usize> = (0..all).filter(|&n| shown(&fleet.code, n).is_empty()).collect();
        assert!(!not_shown.is_empty() && not_shown.len() <= all - 12, "{not_shown:?}");
        (0..all).filter(|n| !not_shown.contains(n)).for_each(|n| fleet.shows(n, 1));

        let before = objects_of_stores(world);
        // Some may have arrived without being shown yet.
        let missing: Vec<usize> = not_shown.into_iter().filter(|&n| !before.contains(&fleet.blob(n, 1))).collect();
        assert!(!missing.is_empty());
        fleet.server.on_request(|_| None);
        fleet.server.reset_log();
        fleet.code.assets(["restore", "--all"]).ok();
        (0..all).for_each(|n| fleet.shows(n, 1));
        // None of them came twice, or it would be in two packs.
        let added = objects_of_stores(world).len() - before.len();
        let blobs = missing.len() * 2;
        let commits_and_trees = if tag > 0 { missing.len() * 5 } else { 0 };
        assert_eq!(added, blobs + commits_and_trees);
        assert_eq!(fleet.fetches(), 1);
    });
}

#[test]
fn ctrl_c_in_the_branch_form() {
    stopped_by(30, 0, 3, |pid| kill_process(pid, Signal::INT).unwrap(), Some(130));
}

#[test]
fn ctrl_c_in_the_tag_form() {
    stopped_by(0, 30, 2, |pid| kill_process(pid, Signal::INT).unwrap(), Some(130));
}

#[test]
fn killed_in_the_branch_form() {
    stopped_by(30, 0, 3, |pid| kill_process_group(pid, Signal::KILL).unwrap(), None);
}

#[test]
fn killed_in_the_tag_form() {
    stopped_by(0, 30, 2, |pid| kill_process_group(pid, Signal::KILL).unwrap(), None);
}
