//! The commands that faults happen to, each from the state that makes it do the most.

use crate::rig::{BRANCH, Rig, TAG};

pub struct Case {
    pub name: &'static str,
    pub args: &'static [&'static str],
    /// The packages that are at their pins afterwards.
    pub shows: &'static [&'static str],
    /// Whether a second run after a complete one would do something else.
    pub once: bool,
    /// Whether it asks the remote for anything.
    pub network: bool,
    /// From the state that all begin with to that which it runs in.
    pub prepare: fn(&mut Rig),
}

const EACH: &[&str] = &["sdk/a", "sdk/b", "sdk/t", "sdk/u"];

const CASE: Case = Case { name: "", args: &[], shows: EACH, once: false, network: true, prepare: |_| {} };

/// Every command that changes something, in both forms.
const CASES: &[Case] = &[
    Case { name: "cold branch", args: &["restore", "sdk/a"], shows: &["sdk/a"], prepare: clear, ..CASE },
    Case { name: "cold tag", args: &["restore", "sdk/t"], shows: &["sdk/t"], prepare: clear, ..CASE },
    Case { name: "cold all", args: &["restore", "--all"], prepare: clear, ..CASE },
    Case { name: "one more", args: &["restore", "sdk/c"], prepare: one_more, ..CASE },
    Case { name: "switch branch", args: &["restore", "sdk/a"], prepare: |rig| switch(rig, "a"), ..CASE },
    Case { name: "switch tag", args: &["restore", "sdk/t"], prepare: |rig| switch(rig, "t"), ..CASE },
    Case { name: "switch all", args: &["restore", "--all"], prepare: switch_all, ..CASE },
    Case { name: "discard", args: &["restore", "--discard", "sdk/a"], prepare: |rig| switch(rig, "a"), ..CASE },
    Case {
        name: "reset branch",
        args: &["reset", "-y", "sdk/a"],
        network: false,
        prepare: |rig| rig.change("a", "mine"),
        ..CASE
    },
    Case {
        name: "reset tag",
        args: &["reset", "-y", "sdk/t"],
        network: false,
        prepare: |rig| rig.change("t", "mine"),
        ..CASE
    },
    Case { name: "reset all", args: &["reset", "-y", "--all"], prepare: switch_all, ..CASE },
    Case { name: "push branch", args: &["push", "sdk/a"], prepare: |rig| rig.change("a", "mine"), ..CASE },
    Case { name: "push moved", args: &["push", "sdk/a"], prepare: moved, ..CASE },
    Case { name: "push tag", args: &["push", "sdk/t"], prepare: |rig| rig.change("t", "mine"), ..CASE },
    Case { name: "push all", args: &["push", "--all"], prepare: change_all, ..CASE },
    Case { name: "pop branch", args: &["stash", "pop", "sdk/b"], once: true, network: false, prepare: settle, ..CASE },
    Case { name: "pop tag", args: &["stash", "pop", "sdk/u"], once: true, network: false, prepare: settle, ..CASE },
    Case {
        name: "pop ours",
        args: &["stash", "pop", "--ours", "sdk/b"],
        once: true,
        network: false,
        prepare: in_the_way,
        ..CASE
    },
    Case { name: "gc", args: &["gc", "--yes"], network: false, prepare: switch_all_but_keep, ..CASE },
];

pub fn all() -> Vec<&'static Case> {
    CASES.iter().collect()
}

/// Those that ask the remote for something.
pub fn networked() -> Vec<&'static Case> {
    CASES.iter().filter(|case| case.network).collect()
}

pub fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).expect("a case of that name")
}

/// Nothing was ever restored.
fn clear(rig: &mut Rig) {
    rig.work.clear();
    for folder in [rig.code.path.join(".assets"), rig.cache()] {
        std::fs::remove_dir_all(folder).expect("it was restored");
    }
}

fn one_more(rig: &mut Rig) {
    let (url, new) = (rig.url(), rig.new.clone());
    rig.code.branch_manifest("sdk/c", &url, &new);
}

/// A package with changes gets another pin; one of them is of a file that it changes too.
fn switch(rig: &mut Rig, package: &'static str) {
    rig.change(package, "mine");
    rig.record(package, 1, Some("mine"));
    rig.pin(&[package], true);
}

/// Every package has changes, and every pin moves.
fn switch_all(rig: &mut Rig) {
    change_all(rig);
    rig.pin(&BRANCH, true);
    rig.pin(&["b"], false);
    rig.pin(&TAG, true);
}

fn change_all(rig: &mut Rig) {
    rig.change("a", "mine");
    rig.change("t", "mine");
}

/// Somebody else has pushed to the branch since.
fn moved(rig: &mut Rig) {
    rig.pin(&["a"], true);
    rig.assets(["restore", "sdk/a"]).ok();
    rig.change("a", "mine");
    let theirs = crate::rig::recording("a", 2, "theirs");
    rig.repo.git(["branch", "auto/a", &rig.new]).ok();
    rig.repo.commit("auto/a", &[("recordings/sdk/a/2.json", theirs.as_str())]);
}

/// What is pending has been pushed, and only what was put aside is left.
fn settle(rig: &mut Rig) {
    rig.assets(["push", "--all"]).ok();
}

/// What was put aside has been changed again since.
fn in_the_way(rig: &mut Rig) {
    rig.record("b", 5, Some("again"));
}

/// Objects that no pin needs any more, beside work that is to stay.
fn switch_all_but_keep(rig: &mut Rig) {
    switch_all(rig);
    rig.assets(["restore", "--all"]).ok();
    rig.change("a", "later");
    rig.change("t", "later");
}
