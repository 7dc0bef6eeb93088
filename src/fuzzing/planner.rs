//! The planner against a model of a slice: every state that there is, because there are few; and the merge of two sides
//! against all small histories that a seed makes.

use std::collections::BTreeMap;

use super::inputs::Rng;
use crate::git::parse::{Blob, TreeChange};
use crate::names::Oid;
use crate::ops::merge::merge;
use crate::ops::plan::{self, OnPending, Seen, Step};

/// A slice: what it shows, and what of the user's is where.
#[derive(Clone, Debug)]
struct Slice {
    pin: Option<u8>,
    head_in_place: bool,
    pending: usize,
    stashed: usize,
    /// Whether every pin has the same files, so that pending changes fit each of them.
    same_files: bool,
}

const WANTED: u8 = 1;

impl Slice {
    fn seen(&self) -> Seen {
        Seen {
            pin: self.pin.map(oid),
            head_in_place: self.head_in_place,
            pending: self.pending,
            same_files: self.same_files,
        }
    }

    fn names(&self) -> Vec<String> {
        (0..self.pending).map(|n| format!("{n}.json")).collect()
    }

    fn restore(&self, policy: OnPending) -> Option<Vec<Step>> {
        plan::restore(Some(&oid(WANTED)), &self.seen(), &self.names(), policy).ok()
    }

    fn reset(&self, confirmed: bool) -> Option<Vec<Step>> {
        plan::reset(Some(&oid(WANTED)), &self.seen(), &self.names(), confirmed).ok()
    }

    /// Does what a plan says. Files that are shown over pending changes of others would be lost.
    fn apply(&mut self, plan: &[Step]) {
        for step in plan {
            match step {
                Step::SetAside => self.stashed += std::mem::take(&mut self.pending),
                Step::Show => {
                    if !self.same_files {
                        self.pending = 0;
                    }
                    (self.pin, self.head_in_place) = (Some(WANTED), true);
                }
            }
        }
    }
}

fn oid(byte: u8) -> Oid {
    Oid::from_bytes(&[byte; 20])
}

fn every_slice() -> Vec<Slice> {
    let mut slices = Vec::new();
    for pin in [None, Some(WANTED), Some(2)] {
        for head_in_place in [true, false] {
            for pending in 0..3 {
                for same_files in [true, false] {
                    slices.push(Slice { pin, head_in_place, pending, stashed: 0, same_files });
                }
            }
        }
    }
    slices
}

#[test]
fn every_plan_keeps_pending_work_and_leaves_nothing_to_do() {
    let policies = [OnPending::Ask, OnPending::Stash, OnPending::Keep, OnPending::Discard];
    let mut plans = 0;
    for before in every_slice() {
        let restores = policies.map(|policy| before.restore(policy));
        let resets = [false, true].map(|confirmed| before.reset(confirmed));
        let is_reset = |index: usize| index >= policies.len();
        for (index, plan) in restores.into_iter().chain(resets).enumerate() {
            let Some(plan) = plan else {
                assert!(before.pending > 0, "only pending changes are a reason to refuse: {before:?}");
                continue;
            };
            plans += 1;
            let mut after = before.clone();
            after.apply(&plan);
            assert_eq!(after.pending + after.stashed, before.pending, "{before:?} {plan:?}");
            for policy in policies {
                assert_eq!(after.restore(policy), Some(vec![]), "{before:?} {plan:?}");
            }
            if is_reset(index) {
                assert_eq!(after.reset(true), Some(vec![]), "{before:?} {plan:?}");
            }
        }
        assert!(before.restore(OnPending::Stash).is_some(), "without anybody to ask there is always a way");
        assert!(before.reset(true).is_some());
    }
    assert!(plans > 100);
}

/// Some files with their contents.
type Tree = BTreeMap<&'static str, u8>;

fn changes(old: &Tree, new: &Tree) -> Vec<TreeChange> {
    let blob = |content: Option<&u8>| content.map(|byte| Blob { mode: "100644".into(), oid: oid(*byte) });
    let mut paths: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    paths.sort_unstable();
    paths.dedup();
    let all = paths.into_iter().map(|path| (path, old.get(path), new.get(path)));
    all.filter(|(_, old, new)| old != new)
        .map(|(path, old, new)| TreeChange { path: path.into(), old: blob(old), new: blob(new) })
        .collect()
}

#[test]
fn a_merge_holds_both_sides_or_names_what_differs() {
    /// No name is a folder of another: that is a table's matter.
    const PATHS: &[&str] = &["a", "b", "c/d", "c/e", "f/g/h"];
    let mut rng = Rng::with_seed(5);
    let tree = |rng: &mut Rng| -> Tree {
        PATHS.iter().map(|path| (*path, rng.u8(0..4))).filter(|(_, content)| *content > 0).collect()
    };
    let (mut merged, mut refused) = (0, 0);
    for _ in 0..5000 {
        let base = tree(&mut rng);
        // Mostly as it was, as real changes are.
        let side = |rng: &mut Rng| {
            let mut side = base.clone();
            for path in PATHS {
                match rng.u8(0..12) {
                    0 => drop(side.remove(path)),
                    content @ 1..=3 => drop(side.insert(path, content)),
                    _ => {}
                }
            }
            side
        };
        let (mine, theirs) = (side(&mut rng), side(&mut rng));
        let changed = |side: &Tree, path: &str| side.get(path) != base.get(path);
        let conflicts: Vec<&str> = PATHS
            .iter()
            .copied()
            .filter(|path| changed(&mine, path) && changed(&theirs, path) && mine.get(path) != theirs.get(path))
            .collect();
        for prefer_mine in [false, true] {
            let edits = match merge(&changes(&base, &mine), &changes(&base, &theirs), prefer_mine) {
                Err(named) => {
                    refused += 1;
                    assert!(!prefer_mine);
                    assert_eq!(named, conflicts);
                    continue;
                }
                Ok(edits) => edits,
            };
            merged += 1;
            assert!(prefer_mine || conflicts.is_empty());
            let mut result: BTreeMap<&str, Oid> = theirs.iter().map(|(path, byte)| (*path, oid(*byte))).collect();
            for (path, blob) in &edits {
                match blob {
                    Some(blob) => drop(result.insert(path, blob.oid.clone())),
                    None => drop(result.remove(path.as_str())),
                }
            }
            for path in PATHS {
                let side = if changed(&mine, path) { &mine } else { &theirs };
                assert_eq!(result.get(path), side.get(path).map(|byte| oid(*byte)).as_ref(), "{path}");
            }
        }
    }
    assert!(merged > 5000 && refused > 500, "{merged} {refused}");
}
