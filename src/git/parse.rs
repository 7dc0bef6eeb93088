//! Bytes that git wrote, as values. Only formats that git keeps stable; paths are UTF-8 or refused.

use std::collections::HashMap;

use crate::names::{Oid, RepoPath};

/// One path that differs between two trees, from `git diff-tree -r -z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    pub path: String,
    /// What the old tree has there, if anything.
    pub old: Option<Blob>,
    /// What the new tree has there, if anything.
    pub new: Option<Blob>,
}

/// A file of a tree: its mode as git writes it (`100644`) and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub mode: String,
    pub oid: Oid,
}

/// What happened to a file of the work tree since the commit it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Modified,
    Deleted,
    New,
}

impl ChangeKind {
    /// Every kind, in the order in which they are counted.
    pub const ALL: [ChangeKind; 3] = [ChangeKind::New, ChangeKind::Modified, ChangeKind::Deleted];

    /// As git's short lists mark it.
    pub fn letter(self) -> char {
        match self {
            ChangeKind::New => 'A',
            ChangeKind::Modified => 'M',
            ChangeKind::Deleted => 'D',
        }
    }

    /// As a word of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            ChangeKind::New => "new",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
        }
    }
}

/// One pending change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// From the root of the checkout.
    pub path: String,
    pub kind: ChangeKind,
}

/// What the remote said to one pushed ref, from `git push --porcelain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushAnswer {
    /// It has the commit now.
    Taken,
    /// It had the commit already.
    UpToDate,
    /// It refused, in these words.
    Rejected(String),
    /// It said nothing that can be understood.
    Silent,
}

/// A name that git wrote and that is not UTF-8.
pub type NotUtf8 = String;

fn text(bytes: &[u8]) -> Result<String, NotUtf8> {
    String::from_utf8(bytes.to_vec()).map_err(|_| String::from_utf8_lossy(bytes).into_owned())
}

/// Whether `git status --porcelain=v2 -z` tells of an index that is not as HEAD is.
pub fn is_staged(status: &[u8]) -> bool {
    let mut records = status.split(|&b| b == 0).filter(|record| !record.is_empty());
    records.any(|record| match record[0] {
        b'1' => record.get(2) != Some(&b'.'),
        first => !matches!(first, b'?' | b'!'),
    })
}

/// A change that git status lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub change: Change,
    /// What HEAD has there, when the index has something else: then git has not compared the file with HEAD.
    pub staged_over: Option<Oid>,
}

/// Parses `git status --porcelain=v2 -z`, leaving out what is not below one of the paths.
pub fn status(bytes: &[u8], below: &[&RepoPath]) -> Result<Vec<Found>, NotUtf8> {
    changes(bytes, below, None)
}

/// As [`status`] of everything, with files that are in the index and neither in HEAD nor on disk.
pub fn status_of_index_and_head(bytes: &[u8]) -> Result<Vec<Found>, NotUtf8> {
    changes(bytes, &[&RepoPath::default()], Some(ChangeKind::Deleted))
}

/// `only_in_index` is the kind of a file that is in the index and neither in HEAD nor on disk; none leaves it out.
fn changes(bytes: &[u8], below: &[&RepoPath], only_in_index: Option<ChangeKind>) -> Result<Vec<Found>, NotUtf8> {
    let mut changes: Vec<Found> = Vec::new();
    for record in bytes.split(|&b| b == 0).filter(|record| !record.is_empty()) {
        // 1 XY sub mH mI mW hH hI path; u XY sub m1 m2 m3 mW h1 h2 h3 path; ? path; ! path of an ignored file
        let (fields, kind) = match record[0] {
            b'?' | b'!' => (2, Some(ChangeKind::New)),
            b'1' => (9, tracked_kind(record).or(only_in_index)),
            b'u' => (11, Some(ChangeKind::Modified)),
            _ => continue,
        };
        let Some(kind) = kind else { continue };
        let path = record.splitn(fields, |&b| b == b' ').nth(fields - 1).unwrap_or_default();
        if !below.iter().any(|below| below.holds(&String::from_utf8_lossy(path))) {
            continue;
        }
        let staged_over = match record[0] {
            b'1' if record.get(2) != Some(&b'.') => field(record, 6),
            // The second stage is that of HEAD.
            b'u' => field(record, 8),
            _ => None,
        };
        changes.push(Found { change: Change { path: text(path)?, kind }, staged_over });
    }
    changes.sort_by(|a, b| a.change.cmp(&b.change));
    // Deleted in the index and there again untracked: one modified file.
    changes.dedup_by(|later, first| {
        let same = later.change.path == first.change.path;
        if same {
            first.change.kind = ChangeKind::Modified;
            first.staged_over = first.staged_over.take().or(later.staged_over.take());
        }
        same
    });
    Ok(changes)
}

/// An object id in a record of git status; none where there is no object.
fn field(record: &[u8], number: usize) -> Option<Oid> {
    let word = record.split(|&b| b == b' ').nth(number)?;
    let oid = Oid::parse(std::str::from_utf8(word).ok()?).ok()?;
    oid.as_str().bytes().any(|digit| digit != b'0').then_some(oid)
}

/// The change of an ordinary record from its `XY`: the index against HEAD, the work tree against the index.
fn tracked_kind(record: &[u8]) -> Option<ChangeKind> {
    match (record.get(2)?, record.get(3)?) {
        (b'A', b'D') => None,
        (b'A', _) => Some(ChangeKind::New),
        (_, b'D') | (b'D', _) => Some(ChangeKind::Deleted),
        _ => Some(ChangeKind::Modified),
    }
}

/// Parses `git diff-tree -r -z --no-renames`.
pub fn tree_changes(bytes: &[u8]) -> Result<Vec<TreeChange>, NotUtf8> {
    let mut changes = Vec::new();
    let mut records = bytes.split(|&b| b == 0);
    while let (Some(head), Some(path)) = (records.next(), records.next()) {
        let head = String::from_utf8_lossy(head);
        let fields: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, old, new, _] = fields[..] else { continue };
        let side = |mode: &str, oid: &str| {
            (mode != "000000").then(|| Oid::parse(oid).ok().map(|oid| Blob { mode: mode.to_string(), oid })).flatten()
        };
        changes.push(TreeChange { path: text(path)?, old: side(old_mode, old), new: side(new_mode, new) });
    }
    Ok(changes)
}

/// Parses `git ls-files --stage -z`: the id of each file that is merged.
pub fn index_entries(bytes: &[u8]) -> Result<HashMap<String, Oid>, NotUtf8> {
    let mut entries = HashMap::new();
    for record in bytes.split(|&b| b == 0).filter(|record| !record.is_empty()) {
        // <mode> <oid> <stage>\t<path>
        let Some(tab) = record.iter().position(|&b| b == b'\t') else { continue };
        let head = String::from_utf8_lossy(&record[..tab]).into_owned();
        let mut words = head.split(' ').skip(1);
        if let (Some(oid), Some("0")) = (words.next(), words.next())
            && let Ok(oid) = Oid::parse(oid)
        {
            entries.insert(text(&record[tab + 1..])?, oid);
        }
    }
    Ok(entries)
}

/// Parses `git ls-remote`: full ref name and the id it has.
pub fn remote_refs(bytes: &[u8]) -> Vec<(String, Oid)> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(oid, name)| Some((name.to_string(), Oid::parse(oid).ok()?)))
        .collect()
}

/// Whether `git ls-remote` lists ids with 64 digits.
pub fn has_sha256(bytes: &[u8]) -> bool {
    let is_long = |line: &[u8]| line.iter().position(|&b| b == b'\t') == Some(64);
    bytes.split(|&b| b == b'\n').any(is_long)
}

/// Parses the line for the one ref that a `git push --porcelain` named.
pub fn push_answer(bytes: &[u8]) -> PushAnswer {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(flag), Some(_), Some(summary)) = (fields.next(), fields.next(), fields.next()) else { continue };
        return match flag {
            " " | "+" | "*" => PushAnswer::Taken,
            "=" => PushAnswer::UpToDate,
            // It hung up without an answer for this ref, which it may have taken.
            "!" if summary.starts_with("[remote failure]") => PushAnswer::Silent,
            _ => PushAnswer::Rejected(summary.to_string()),
        };
    }
    PushAnswer::Silent
}

/// Reads `key = value` of one section of a git configuration file, such as `url` of `remote "origin"`. Good enough
/// for a hint about the user's habits, not for decisions about safety: includes and escapes are not followed.
pub fn config_value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = header.eq_ignore_ascii_case(section);
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim().eq_ignore_ascii_case(key)
        {
            return Some(value.trim());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_records() {
        let zeros = "0".repeat(40);
        let record = |xy: &str, path: &str| format!("1 {xy} N... 100644 100644 100644 {zeros} {zeros} {path}\0");
        let table = [
            (record(".M", "a b.json"), "a b.json", ChangeKind::Modified),
            (record("M.", "a"), "a", ChangeKind::Modified),
            (record(".D", "a"), "a", ChangeKind::Deleted),
            (record("D.", "a"), "a", ChangeKind::Deleted),
            (record("A.", "a"), "a", ChangeKind::New),
            (record("AM", "a"), "a", ChangeKind::New),
            ("? new file".to_string() + "\0", "new file", ChangeKind::New),
            ("! ignored file".to_string() + "\0", "ignored file", ChangeKind::New),
            (record("D.", "a") + "? a\0", "a", ChangeKind::Modified),
        ];
        for (bytes, path, kind) in table {
            let found = status(bytes.as_bytes(), &[&RepoPath::default()]).unwrap();
            assert_eq!(found.len(), 1, "{bytes}");
            assert_eq!(found[0].change, Change { path: path.into(), kind }, "{bytes}");
        }
        let (head, index) = ("a".repeat(40), "b".repeat(40));
        let staged = format!("1 MM N... 100644 100644 100644 {head} {index} a\0");
        let found = status(staged.as_bytes(), &[&RepoPath::default()]).unwrap();
        assert_eq!(found[0].staged_over.as_ref().map(Oid::as_str), Some(head.as_str()));
        let (everywhere, slice) = (RepoPath::default(), RepoPath::parse("s").unwrap());
        assert!(status(record("AD", "a").as_bytes(), &[&everywhere]).unwrap().is_empty());
        assert!(status(b"? \xff\0", &[&everywhere]).is_err());
        assert!(status(b"? \xff\0? sa\0", &[&slice]).unwrap().is_empty());
        assert_eq!(status(b"? s/a\0", &[&slice]).unwrap().len(), 1);
        for (staged, records) in [(false, [".M", ".D"]), (true, [".M", "AD"]), (true, ["D.", ".M"])] {
            let bytes = "? new\0".to_string() + &record(records[0], "a") + &record(records[1], "b");
            assert_eq!(is_staged(bytes.as_bytes()), staged, "{records:?}");
        }
    }

    #[test]
    fn tree_change_records() {
        let (a, b, zero) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let bytes = format!(
            ":100644 100644 {a} {b} M\0x/y z\0:000000 100644 {zero} {b} A\0n\0:100644 000000 {a} {zero} D\0d\0"
        );
        let changes = tree_changes(bytes.as_bytes()).unwrap();
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[0].path, "x/y z");
        assert!(changes[1].old.is_none() && changes[1].new.is_some());
        assert!(changes[2].old.is_some() && changes[2].new.is_none());
    }

    #[test]
    fn index_records() {
        let oid = "a".repeat(40);
        let bytes = format!("100644 {oid} 0\tx/y z\0100644 {oid} 1\tunmerged\0");
        let entries = index_entries(bytes.as_bytes()).unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["x/y z"]);
    }

    #[test]
    fn push_answers() {
        let table: &[(&str, PushAnswer)] = &[
            ("To http://x/\n*\tabc:refs/tags/t\t[new tag]\nDone\n", PushAnswer::Taken),
            ("To x\n \tabc:refs/heads/b\t1..2\nDone\n", PushAnswer::Taken),
            ("To x\n=\tabc:refs/heads/b\t[up to date]\nDone\n", PushAnswer::UpToDate),
            (
                "To x\n!\tabc:refs/heads/b\t[rejected] (stale info)\n",
                PushAnswer::Rejected("[rejected] (stale info)".into()),
            ),
            ("!\tabc:refs/heads/b\t[remote failure] (remote failed to report status)\n", PushAnswer::Silent),
            ("", PushAnswer::Silent),
        ];
        for (text, answer) in table {
            assert_eq!(push_answer(text.as_bytes()), *answer, "{text}");
        }
    }

    #[test]
    fn configuration_values() {
        let text =
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@github.com:o/n\n[branch \"main\"]\n\turl = x\n";
        assert_eq!(config_value(text, "remote \"origin\"", "url"), Some("git@github.com:o/n"));
        assert_eq!(config_value(text, "remote \"other\"", "url"), None);
    }
}
