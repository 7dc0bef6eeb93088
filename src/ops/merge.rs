//! Replaying a change of recordings on a branch that has moved: by whole files, never by lines inside one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::git::parse::{Blob, TreeChange};

/// Entries to set on the other side's tree; `None` removes a file.
pub type Edits = Vec<(String, Option<Blob>)>;

/// Merges two lists of changes since the same tree. Returns what to do to `theirs` so that it holds both.
///
/// A file that only one side changed is that side's; the same change on both sides is fine. With `prefer_mine` my side
/// wins where they differ.
///
/// # Errors
/// The files that were changed differently on both sides.
pub fn merge(mine: &[TreeChange], theirs: &[TreeChange], prefer_mine: bool) -> Result<Edits, Vec<String>> {
    let their_side: BTreeMap<&str, &TreeChange> = theirs.iter().map(|change| (change.path.as_str(), change)).collect();
    let their_folders: BTreeSet<&str> =
        theirs.iter().filter(|change| change.new.is_some()).flat_map(|change| folders(&change.path)).collect();
    let mut edits = Edits::new();
    let mut conflicts = Vec::new();
    for change in mine {
        let same_file = their_side.get(change.path.as_str());
        if same_file.is_some_and(|theirs| theirs.new == change.new) {
            continue;
        }
        // A file here, a folder of that name there.
        let in_the_way = change.new.is_some()
            && (their_folders.contains(change.path.as_str())
                || folders(&change.path)
                    .any(|folder| their_side.get(folder).is_some_and(|theirs| theirs.new.is_some())));
        if in_the_way || (same_file.is_some() && !prefer_mine) {
            conflicts.push(change.path.clone());
        } else {
            edits.push((change.path.clone(), change.new.clone()));
        }
    }
    if conflicts.is_empty() { Ok(edits) } else { Err(conflicts) }
}

fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Oid;

    fn blob(content: u8) -> Option<Blob> {
        (content > 0).then(|| Blob { mode: "100644".into(), oid: Oid::from_bytes(&[content; 20]) })
    }

    /// 0 is "no such file".
    fn change(path: &str, old: u8, new: u8) -> TreeChange {
        TreeChange { path: path.into(), old: blob(old), new: blob(new) }
    }

    type Case = (&'static str, Vec<TreeChange>, Vec<TreeChange>, Result<Edits, Vec<String>>);

    #[test]
    fn whole_files() {
        let table: &[Case] = &[
            ("mine only", vec![change("a", 1, 2)], vec![], Ok(vec![("a".into(), blob(2))])),
            ("theirs only", vec![], vec![change("a", 1, 2)], Ok(vec![])),
            ("different files", vec![change("a", 1, 2)], vec![change("b", 1, 3)], Ok(vec![("a".into(), blob(2))])),
            ("the same", vec![change("a", 1, 2)], vec![change("a", 1, 2)], Ok(vec![])),
            ("both deleted", vec![change("a", 1, 0)], vec![change("a", 1, 0)], Ok(vec![])),
            ("differently", vec![change("a", 1, 2)], vec![change("a", 1, 3)], Err(vec!["a".into()])),
            ("changed, deleted there", vec![change("a", 1, 2)], vec![change("a", 1, 0)], Err(vec!["a".into()])),
            ("deleted, changed there", vec![change("a", 1, 0)], vec![change("a", 1, 2)], Err(vec!["a".into()])),
            ("both new, different", vec![change("a", 0, 2)], vec![change("a", 0, 3)], Err(vec!["a".into()])),
            ("file and folder", vec![change("a", 0, 2)], vec![change("a/b", 0, 3)], Err(vec!["a".into()])),
            ("folder and file", vec![change("a/b", 0, 2)], vec![change("a", 0, 3)], Err(vec!["a/b".into()])),
            ("deletion", vec![change("a", 1, 0)], vec![change("b", 1, 0)], Ok(vec![("a".into(), None)])),
        ];
        for (name, mine, theirs, result) in table {
            assert_eq!(merge(mine, theirs, false), *result, "{name}");
        }
    }

    #[test]
    fn mine_wins_when_asked_to() {
        assert_eq!(merge(&[change("a", 1, 2)], &[change("a", 1, 3)], true), Ok(vec![("a".into(), blob(2))]));
        assert_eq!(merge(&[change("a", 1, 0)], &[change("a", 1, 3)], true), Ok(vec![("a".into(), None)]));
        assert!(merge(&[change("a", 0, 2)], &[change("a/b", 0, 3)], true).is_err());
    }
}
