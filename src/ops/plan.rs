//! Decisions: from what is wanted and what was seen to what will be done. Pure: no git, no files, no terminal.

use std::path::PathBuf;

use crate::names::Oid;

/// What to do with pending changes that are in the way of another pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPending {
    /// Somebody has to say.
    Ask,
    /// Put them aside in a stash entry.
    Stash,
    /// Leave everything as it is.
    Keep,
    /// Drop them (which still leaves a stash entry).
    Discard,
}

/// What was seen of one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The pin that the checkout shows the slice at; none when it does not show it.
    pub pin: Option<Oid>,
    /// Whether HEAD is still where it was left.
    pub head_in_place: bool,
    /// How many pending changes there are.
    pub pending: usize,
    /// Whether the wanted commit has exactly the files that are shown.
    pub same_files: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Put the pending changes into a stash entry and take them out of the work tree.
    SetAside,
    /// Show the slice at the wanted commit.
    Show,
}

/// A considered no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Pending changes are in the way, and the policy says to keep them.
    WouldLose { pending: Vec<String> },
    /// Pending changes are in the way, and nobody has said what to do with them.
    MustAsk { pending: Vec<String> },
    /// Pending changes are to be dropped, and nobody has confirmed it.
    MustConfirm { pending: Vec<String> },
    /// Files were changed here and differently in the assets repo.
    Conflict { files: Vec<String> },
    /// The branch lacks files of the pin, or has them as they were before: a push onto it would take them back. `tip` is
    /// where the branch is, if it exists; with `is_gone` the assets repo does not have the commit of the pin any more.
    TakesBack { files: Vec<String>, branch: String, tip: Option<Oid>, is_gone: bool },
    /// So many of a slice's recordings are deleted that it may be a mistake.
    MassDeletion { deleted: Vec<String>, all: usize, others: usize },
    /// What was to be sent may hold secrets: `<path>:<line> (<rule>)` each. The files are below `folder`.
    Secrets { scanner: String, found: Vec<String>, folder: PathBuf },
}

/// Plans a restore. At the pin nothing is done, whatever is pending.
///
/// `want` is the commit to show, if it is known already; `pending` names the changes for a refusal.
pub fn restore(want: Option<&Oid>, seen: &Seen, pending: &[String], policy: OnPending) -> Result<Vec<Step>, Refusal> {
    if seen.pin.is_some() && seen.pin.as_ref() == want && seen.head_in_place {
        return Ok(Vec::new());
    }
    if seen.pending == 0 || seen.same_files {
        return Ok(vec![Step::Show]);
    }
    match policy {
        OnPending::Stash | OnPending::Discard => Ok(vec![Step::SetAside, Step::Show]),
        OnPending::Keep => Err(Refusal::WouldLose { pending: pending.to_vec() }),
        OnPending::Ask => Err(Refusal::MustAsk { pending: pending.to_vec() }),
    }
}

/// Plans a reset: like a restore, but pending changes go even at the pin.
pub fn reset(want: Option<&Oid>, seen: &Seen, pending: &[String], confirmed: bool) -> Result<Vec<Step>, Refusal> {
    match (seen.pending, confirmed) {
        (0, _) => restore(want, seen, pending, OnPending::Keep),
        (_, true) => Ok(vec![Step::SetAside, Step::Show]),
        (_, false) => Err(Refusal::MustConfirm { pending: pending.to_vec() }),
    }
}

/// Whether a push deletes so many of a slice's recordings that somebody should say so: more than half, and more than 20.
pub fn is_mass_deletion(deleted: usize, all: usize) -> bool {
    deleted > 20 && deleted * 2 > all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pin: Option<u8>, head_in_place: bool, pending: usize, same_files: bool) -> Seen {
        Seen { pin: pin.map(oid), head_in_place, pending, same_files }
    }

    fn oid(byte: u8) -> Oid {
        Oid::from_bytes(&[byte; 20])
    }

    #[test]
    fn restores() {
        use OnPending::*;
        let names = vec!["a.json".to_string()];
        let show = Ok(vec![Step::Show]);
        let aside = Ok(vec![Step::SetAside, Step::Show]);
        let table = [
            // at the pin: nothing, whatever is pending and whatever the policy
            (seen(Some(1), true, 0, true), Stash, Ok(vec![])),
            (seen(Some(1), true, 1, true), Discard, Ok(vec![])),
            (seen(Some(1), true, 1, false), Keep, Ok(vec![])),
            // not shown yet, or HEAD was moved by hand
            (seen(None, true, 0, false), Ask, show.clone()),
            (seen(Some(1), false, 0, false), Ask, show.clone()),
            // elsewhere
            (seen(Some(2), true, 0, false), Ask, show.clone()),
            (seen(Some(2), true, 1, true), Ask, show.clone()),
            (seen(Some(2), true, 1, true), Keep, show),
            (seen(Some(2), true, 1, false), Stash, aside.clone()),
            (seen(Some(2), true, 1, false), Discard, aside),
            (seen(Some(2), true, 1, false), Keep, Err(Refusal::WouldLose { pending: names.clone() })),
            (seen(Some(2), true, 1, false), Ask, Err(Refusal::MustAsk { pending: names.clone() })),
        ];
        for (seen, policy, plan) in table {
            assert_eq!(restore(Some(&oid(1)), &seen, &names, policy), plan, "{seen:?} {policy:?}");
        }
    }

    #[test]
    fn resets() {
        let names = vec!["a.json".to_string()];
        assert_eq!(reset(Some(&oid(1)), &seen(Some(1), true, 0, true), &names, false), Ok(vec![]));
        assert_eq!(reset(Some(&oid(1)), &seen(Some(2), true, 0, false), &names, false), Ok(vec![Step::Show]));
        assert_eq!(
            reset(Some(&oid(1)), &seen(Some(1), true, 1, true), &names, true),
            Ok(vec![Step::SetAside, Step::Show])
        );
        assert_eq!(
            reset(Some(&oid(1)), &seen(Some(1), true, 1, true), &names, false),
            Err(Refusal::MustConfirm { pending: names.clone() })
        );
    }

    #[test]
    fn no_plan_drops_pending_changes_without_setting_them_aside() {
        for pin in [None, Some(1), Some(2)] {
            for head in [true, false] {
                for policy in [OnPending::Ask, OnPending::Stash, OnPending::Keep, OnPending::Discard] {
                    let plan = restore(Some(&oid(1)), &seen(pin, head, 1, false), &[], policy).unwrap_or_default();
                    assert!(!plan.contains(&Step::Show) || plan[0] == Step::SetAside);
                }
            }
        }
    }

    #[test]
    fn mass_deletions() {
        for (deleted, all, is) in [(0, 0, false), (20, 20, false), (21, 21, true), (21, 41, true), (21, 42, false)] {
            assert_eq!(is_mass_deletion(deleted, all), is, "{deleted} of {all}");
        }
    }
}
