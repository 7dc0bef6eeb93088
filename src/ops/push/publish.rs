//! The decision how pending changes get on a branch that is not at the pin. Pure: from what the pin, the branch and the
//! work tree hold to what is sent, or why nothing may be.

use std::collections::{BTreeMap, BTreeSet};

use crate::git::parse::{Blob, TreeChange};
use crate::ops::merge::{self, Edits};

/// How the tip of the branch is related to the pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry<'a> {
    /// The tip came after the pin: where they differ, others changed something.
    TipHoldsPin,
    /// The pin came after the tip: the branch is behind.
    PinHoldsTip,
    /// Neither holds the other. What the pin has changed since they parted, if that is known.
    Apart { of_pin: Option<&'a [TreeChange]> },
    /// It could not be found out.
    Unknown,
}

/// What the decision is made from. All files are those of the slice.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The pending changes: from the pin to what is to be sent.
    pub mine: &'a [TreeChange],
    /// From the pin to the tip.
    pub theirs: &'a [TreeChange],
    /// What earlier pushes of changes since this pin may have put on the branch.
    pub earlier: &'a Earlier,
    pub ancestry: Ancestry<'a>,
    /// The branch does not exist, the tip is that of another branch to start it from, and it may start at the pin instead.
    pub may_start_at_pin: bool,
    /// Where a file was changed here and differently there, send mine.
    pub prefer_mine: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// The tip has it all. So many files of others come with it.
    AlreadyThere { others: usize },
    /// Send a commit on the pin: for the branch that is a fast-forward, or its start.
    FastForward,
    /// Send a commit on the tip with these edits. So many files of others come with it.
    Replay { edits: Edits, others: usize },
    /// These files were changed here and differently there.
    Conflict(Vec<String>),
    /// The tip lacks these files of the pin, or has them as they were before, also those that the pin deleted: a commit on it
    /// would take that back.
    TakesBack(Vec<String>),
}

/// What earlier pushes have sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// For each path what may be on the branch because of them, oldest first.
    puts: BTreeMap<String, Vec<Put>>,
    /// Whether all of it is known to have arrived: then only the last content of a path counts.
    certain: bool,
}

/// What an earlier push put at a path, and what others had there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub before: Option<Blob>,
    pub content: Option<Blob>,
}

impl Earlier {
    /// Sums up earlier pushes, oldest first: each as the changes that its commit made to the one it was put on.
    pub fn of(pushes: &[Vec<TreeChange>], certain: bool) -> Earlier {
        let mut earlier = Earlier { puts: BTreeMap::new(), certain };
        for change in pushes.iter().flatten() {
            let puts = earlier.puts.entry(change.path.clone()).or_default();
            // On top of one of our own: what others had is what they had before that.
            let own = puts.iter().rfind(|put| put.content == change.old).map(|put| put.before.clone());
            let put = Put { before: own.unwrap_or_else(|| change.old.clone()), content: change.new.clone() };
            if certain {
                puts.clear();
            }
            puts.push(put);
        }
        earlier
    }

    /// Every path that was sent.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.puts.keys().map(String::as_str)
    }

    /// The push by which a path has this content.
    fn put(&self, path: &str, content: &Option<Blob>) -> Option<&Put> {
        self.puts.get(path)?.iter().rfind(|put| put.content == *content)
    }

    /// The content that is known to have been on the branch before it got its present one.
    fn replaced(&self, path: &str, present: &Option<Blob>) -> Option<&Put> {
        let last = self.puts.get(path)?.last()?;
        (self.certain && last.content != *present).then_some(last)
    }
}

/// Decides.
pub fn publish(question: &Question) -> Publish {
    let Question { mine, theirs, ancestry, .. } = *question;
    if ancestry == Ancestry::PinHoldsTip {
        return Publish::FastForward;
    }
    if question.may_start_at_pin && !theirs.is_empty() && ancestry != Ancestry::TipHoldsPin {
        return Publish::FastForward;
    }
    let pending: BTreeSet<&str> = mine.iter().map(|change| change.path.as_str()).collect();
    let tip: BTreeMap<&str, &Option<Blob>> = theirs.iter().map(|change| (change.path.as_str(), &change.new)).collect();

    // What is on the tip because of an earlier push is nobody else's, and what is not pending any more goes back.
    let own: BTreeMap<&str, &Put> = theirs
        .iter()
        .filter_map(|change| Some((change.path.as_str(), question.earlier.put(&change.path, &change.new)?)))
        .collect();
    let (mut others, mut taken_back, mut rest) = (0, Vec::new(), Vec::new());
    for change in theirs.iter().filter(|change| !own.contains_key(change.path.as_str())) {
        let is_pending = pending.contains(change.path.as_str());
        if is_pending && is_older(change, ancestry) {
            continue;
        }
        rest.push(change.clone());
        others += usize::from(!is_pending);
        if !is_pending && takes_back(change, ancestry) {
            taken_back.push(change.path.clone());
        }
    }
    // The tip has it as the pin has it, but only since a teammate put it back.
    let put_back = mine.iter().filter(|change| !tip.contains_key(change.path.as_str()));
    rest.extend(put_back.filter_map(|change| {
        let put = question.earlier.replaced(&change.path, &change.old)?;
        Some(TreeChange { path: change.path.clone(), old: put.content.clone(), new: change.old.clone() })
    }));
    if !taken_back.is_empty() {
        return Publish::TakesBack(taken_back);
    }
    let is_new_to_tip = |change: &&TreeChange| tip.get(change.path.as_str()) != Some(&&change.new);
    let mut wanted: Vec<TreeChange> = mine.iter().filter(is_new_to_tip).cloned().collect();
    let undone = own.iter().filter(|(path, put)| !pending.contains(*path) && put.before != put.content);
    wanted.extend(undone.map(|(path, put)| TreeChange {
        path: path.to_string(),
        old: put.content.clone(),
        new: put.before.clone(),
    }));
    wanted.sort_by(|a, b| a.path.cmp(&b.path));
    match merge::merge(&wanted, &rest, question.prefer_mine) {
        Err(files) => Publish::Conflict(files),
        Ok(edits) if edits.is_empty() => Publish::AlreadyThere { others },
        Ok(edits) => Publish::Replay { edits, others },
    }
}

/// Whether the tip has a file as it was when tip and pin parted, so that only the pin's side changed it.
fn is_older(change: &TreeChange, ancestry: Ancestry) -> bool {
    let Ancestry::Apart { of_pin: Some(of_pin) } = ancestry else { return false };
    of_pin.iter().any(|changed| changed.path == change.path && changed.old == change.new)
}

/// Whether a difference between pin and tip is a change of the pin that the branch lost, and not news of others.
fn takes_back(change: &TreeChange, ancestry: Ancestry) -> bool {
    match ancestry {
        Ancestry::TipHoldsPin | Ancestry::PinHoldsTip => false,
        Ancestry::Apart { of_pin: Some(of_pin) } => of_pin.iter().any(|changed| changed.path == change.path),
        // The pin may have deleted it, or others may have added it.
        _ if change.old.is_none() => false,
        Ancestry::Apart { of_pin: None } => true,
        // Other content may be newer or older. A file that is gone is rarely news.
        Ancestry::Unknown => change.new.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Oid;

    /// 0 is "no such file".
    fn blob(content: u8) -> Option<Blob> {
        (content > 0).then(|| Blob { mode: "100644".into(), oid: Oid::from_bytes(&[content; 20]) })
    }

    fn change(path: &str, old: u8, new: u8) -> TreeChange {
        TreeChange { path: path.into(), old: blob(old), new: blob(new) }
    }

    /// A file at the pin, in the work tree and at the tip.
    type File = (&'static str, u8, u8, u8);

    fn differences(files: &[File], side: impl Fn(&File) -> u8) -> Vec<TreeChange> {
        files.iter().filter(|f| f.1 != side(f)).map(|f| change(f.0, f.1, side(f))).collect()
    }

    /// Decides for some files, with one earlier push after the other, each as `(path, before, content)`.
    fn decide(files: &[File], pushes: &[&[(&str, u8, u8)]], certain: bool, ancestry: Ancestry) -> Publish {
        let pushes: Vec<Vec<TreeChange>> =
            pushes.iter().map(|push| push.iter().map(|(path, old, new)| change(path, *old, *new)).collect()).collect();
        publish(&Question {
            mine: &differences(files, |f| f.2),
            theirs: &differences(files, |f| f.3),
            earlier: &Earlier::of(&pushes, certain),
            ancestry,
            may_start_at_pin: false,
            prefer_mine: false,
        })
    }

    fn replay(edits: &[(&str, u8)], others: usize) -> Publish {
        Publish::Replay {
            edits: edits.iter().map(|(path, content)| (path.to_string(), blob(*content))).collect(),
            others,
        }
    }

    fn names(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| path.to_string()).collect()
    }

    #[test]
    fn on_a_tip_that_came_after_the_pin() {
        let conflict = |path: &str| Publish::Conflict(names(&[path]));
        let table: &[(&str, &[File], Publish)] = &[
            (
                "mine alone",
                &[("a", 1, 2, 1), ("n", 0, 3, 0), ("d", 1, 0, 1)],
                replay(&[("a", 2), ("d", 0), ("n", 3)], 0),
            ),
            (
                "theirs beside",
                &[("a", 1, 2, 1), ("b", 1, 1, 2), ("c", 0, 0, 1), ("d", 1, 1, 0)],
                replay(&[("a", 2)], 3),
            ),
            ("the same on both sides", &[("a", 1, 2, 2), ("d", 1, 0, 0)], Publish::AlreadyThere { others: 0 }),
            ("the same, and more", &[("a", 1, 2, 2), ("b", 1, 1, 3)], Publish::AlreadyThere { others: 1 }),
            ("changed differently", &[("a", 1, 2, 3), ("b", 1, 2, 1)], conflict("a")),
            ("changed here, deleted there", &[("a", 1, 2, 0)], conflict("a")),
            ("deleted here, changed there", &[("a", 1, 0, 2)], conflict("a")),
            ("both new", &[("a", 0, 2, 3)], conflict("a")),
            ("a file here, a folder there", &[("a", 0, 2, 0), ("a/b", 0, 0, 1)], conflict("a")),
        ];
        for (name, files, expected) in table {
            assert_eq!(decide(files, &[], true, Ancestry::TipHoldsPin), *expected, "{name}");
        }
    }

    #[test]
    fn after_an_earlier_push_of_mine() {
        let conflict = |path: &str| Publish::Conflict(names(&[path]));
        type Pushes = &'static [&'static [(&'static str, u8, u8)]];
        let table: &[(&str, &[File], Pushes, Publish)] = &[
            ("changed again", &[("a", 1, 3, 2)], &[&[("a", 1, 2)]], replay(&[("a", 3)], 0)),
            ("added, then changed", &[("a", 0, 3, 2)], &[&[("a", 0, 2)]], replay(&[("a", 3)], 0)),
            (
                "added, then gone",
                &[("a", 0, 0, 2), ("b", 1, 2, 1)],
                &[&[("a", 0, 2)]],
                replay(&[("a", 0), ("b", 2)], 0),
            ),
            ("deleted, then there again", &[("a", 1, 3, 0)], &[&[("a", 1, 0)]], replay(&[("a", 3)], 0)),
            ("changed, then deleted", &[("a", 1, 0, 2)], &[&[("a", 1, 2)]], replay(&[("a", 0)], 0)),
            ("undone", &[("a", 1, 1, 2), ("b", 1, 2, 1)], &[&[("a", 1, 2)]], replay(&[("a", 1), ("b", 2)], 0)),
            (
                "a deletion undone",
                &[("a", 1, 1, 0), ("b", 1, 2, 1)],
                &[&[("a", 1, 0)]],
                replay(&[("a", 1), ("b", 2)], 0),
            ),
            ("nothing new", &[("a", 1, 2, 2)], &[&[("a", 1, 2)]], Publish::AlreadyThere { others: 0 }),
            // A teammate's files below it are neither mine nor reverted.
            (
                "a teammate's beside it",
                &[("a", 1, 3, 2), ("t", 1, 1, 4), ("u", 0, 0, 5)],
                &[&[("a", 1, 2)]],
                replay(&[("a", 3)], 2),
            ),
            ("changed by a teammate since", &[("a", 1, 3, 4)], &[&[("a", 1, 2)]], conflict("a")),
            ("deleted by a teammate since", &[("a", 1, 3, 0)], &[&[("a", 1, 2)]], conflict("a")),
            (
                "undone, changed by a teammate since",
                &[("a", 1, 1, 4), ("b", 1, 2, 1)],
                &[&[("a", 1, 2)]],
                replay(&[("b", 2)], 1),
            ),
            ("put back by a teammate since", &[("a", 1, 3, 1)], &[&[("a", 1, 2)]], conflict("a")),
            ("twice", &[("a", 1, 4, 3)], &[&[("a", 1, 2)], &[("a", 2, 3)]], replay(&[("a", 4)], 0)),
            (
                "twice, then undone",
                &[("a", 1, 1, 3), ("b", 1, 2, 1)],
                &[&[("a", 1, 2)], &[("a", 2, 3)]],
                replay(&[("a", 1), ("b", 2)], 0),
            ),
            // `--ours` over a teammate's content 5, then undone: the teammate's comes back, not the pin's.
            (
                "over a teammate's, undone",
                &[("a", 1, 1, 2), ("b", 1, 2, 1)],
                &[&[("a", 5, 2)]],
                replay(&[("a", 5), ("b", 2)], 0),
            ),
            (
                "a file that made room for a folder",
                &[("x", 0, 0, 2), ("x/y", 0, 3, 0)],
                &[&[("x", 0, 2)]],
                replay(&[("x", 0), ("x/y", 3)], 0),
            ),
        ];
        for (name, files, pushes, expected) in table {
            assert_eq!(decide(files, pushes, true, Ancestry::TipHoldsPin), *expected, "{name}");
        }
    }

    #[test]
    fn which_earlier_push_arrived() {
        let pushes: &[&[(&str, u8, u8)]] = &[&[("a", 1, 2)], &[("a", 1, 3)]];
        // If nobody knows, the content of either counts.
        for tip in [2, 3] {
            let decision = decide(&[("a", 1, 4, tip)], pushes, false, Ancestry::TipHoldsPin);
            assert_eq!(decision, replay(&[("a", 4)], 0), "{tip}");
        }
        // If both are there, the first content again is a teammate's decision.
        let both: &[&[(&str, u8, u8)]] = &[&[("a", 1, 2)], &[("a", 2, 3)]];
        assert_eq!(decide(&[("a", 1, 4, 2)], both, true, Ancestry::TipHoldsPin), Publish::Conflict(names(&["a"])));
        assert_eq!(decide(&[("a", 1, 4, 3)], both, true, Ancestry::TipHoldsPin), replay(&[("a", 4)], 0));
    }

    #[test]
    fn beside_the_pin() {
        let files: &[File] = &[("a", 1, 2, 1), ("lost", 1, 1, 0), ("other", 2, 2, 1), ("new", 0, 0, 1)];
        let mine = &files[..1];
        let of_pin = [change("other", 1, 2)];
        let deletion = [change("other", 1, 0)];
        let of_a_deletion = Ancestry::Apart { of_pin: Some(&deletion) };
        let (known, unknown) = (Ancestry::Apart { of_pin: Some(&of_pin) }, Ancestry::Apart { of_pin: None });
        let takes_back = |paths: &[&str]| Publish::TakesBack(names(paths));
        let table: &[(&str, &[File], Ancestry, Publish)] = &[
            ("a branch that is behind", files, Ancestry::PinHoldsTip, Publish::FastForward),
            ("changed here and by the pin", &[("other", 2, 3, 1)], Ancestry::PinHoldsTip, Publish::FastForward),
            ("others' news", files, Ancestry::TipHoldsPin, replay(&[("a", 2)], 3)),
            ("no common history", files, unknown, takes_back(&["lost", "other"])),
            // The pin changed `other` since they parted; that `lost` is gone is news of the branch.
            ("they parted", files, known, takes_back(&["other"])),
            (
                "they parted, the pin deleted it",
                &[("a", 1, 2, 1), ("other", 0, 0, 1)],
                of_a_deletion,
                takes_back(&["other"]),
            ),
            ("they parted, the pin's file is pending", &[("other", 2, 3, 1)], known, replay(&[("other", 3)], 0)),
            ("they parted, both changed it", &[("other", 2, 3, 4)], known, Publish::Conflict(names(&["other"]))),
            ("they parted, only news", &[("a", 1, 2, 1), ("lost", 1, 1, 0)], known, replay(&[("a", 2)], 1)),
            ("apart, the same files", mine, unknown, replay(&[("a", 2)], 0)),
            ("apart, deleted here too", &[("lost", 1, 0, 0)], unknown, Publish::AlreadyThere { others: 0 }),
            ("nobody knows", files, Ancestry::Unknown, takes_back(&["lost"])),
            ("nobody knows, nothing lost", &[files[0], files[2], files[3]], Ancestry::Unknown, replay(&[("a", 2)], 2)),
        ];
        for (name, files, ancestry, expected) in table {
            assert_eq!(decide(files, &[], true, *ancestry), *expected, "{name}");
        }
    }

    #[test]
    fn a_branch_that_does_not_exist() {
        let (of_pin, earlier) = ([change("b", 0, 1)], Earlier::default());
        let (mine, theirs) = ([change("a", 1, 2)], [change("b", 1, 0)]);
        let ask = |theirs, ancestry, may_start_at_pin| {
            publish(&Question {
                mine: &mine,
                theirs,
                earlier: &earlier,
                ancestry,
                may_start_at_pin,
                prefer_mine: false,
            })
        };
        let apart = Ancestry::Apart { of_pin: Some(&of_pin) };
        for ancestry in [Ancestry::TipHoldsPin, apart, Ancestry::Unknown] {
            assert_eq!(ask(&[], ancestry, true), replay(&[("a", 2)], 0), "the fallback has the same");
        }
        assert_eq!(ask(&theirs, Ancestry::TipHoldsPin, true), replay(&[("a", 2)], 1));
        for ancestry in [apart, Ancestry::Apart { of_pin: None }, Ancestry::Unknown] {
            assert_eq!(ask(&theirs, ancestry, true), Publish::FastForward);
            assert_eq!(ask(&theirs, ancestry, false), Publish::TakesBack(names(&["b"])));
        }
    }

    #[test]
    fn mine_wins_only_over_what_is_pending() {
        let ask = |files: &[File], ancestry| {
            publish(&Question {
                mine: &differences(files, |f| f.2),
                theirs: &differences(files, |f| f.3),
                earlier: &Earlier::default(),
                ancestry,
                may_start_at_pin: false,
                prefer_mine: true,
            })
        };
        let files: &[File] = &[("a", 1, 2, 3), ("lost", 1, 1, 0)];
        assert_eq!(ask(files, Ancestry::TipHoldsPin), replay(&[("a", 2)], 1));
        assert_eq!(ask(files, Ancestry::Apart { of_pin: None }), Publish::TakesBack(names(&["lost"])));
    }

    /// Whatever the files are: no edit outside what is pending or was sent before, and no content that nobody had.
    #[test]
    fn edits_are_mine() {
        let contents = 0..3_u8;
        let all = || {
            contents.clone().flat_map(|pin| (0..3_u8).flat_map(move |mine| (0..3_u8).map(move |tip| (pin, mine, tip))))
        };
        for (one, (other, sent)) in
            all().flat_map(|one| all().flat_map(move |other| (0..3_u8).map(move |s| (one, (other, s)))))
        {
            let files: &[File] = &[("a", one.0, one.1, one.2), ("b", other.0, other.1, other.2)];
            let pushes: &[&[(&str, u8, u8)]] = &[&[("b", other.0, sent)]];
            for ancestry in [Ancestry::TipHoldsPin, Ancestry::Apart { of_pin: None }, Ancestry::Unknown] {
                let decision = decide(files, pushes, true, ancestry);
                let Publish::Replay { edits, .. } = decision else { continue };
                for (path, content) in edits {
                    let (_, pin, mine, tip) = files.iter().find(|file| file.0 == path).unwrap();
                    let undone = path == "b" && pin == mine && *tip == sent && content == blob(*pin);
                    assert!(pin != mine && content == blob(*mine) || undone, "{files:?} {sent} {path}");
                    assert!(content != blob(*tip), "{files:?}");
                }
            }
        }
    }
}
