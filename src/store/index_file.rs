//! Git's index file, read without a process: its entries in their order, and the files in which two index files differ.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::files::entries_of;
use crate::error::{AtPath, Result};
use crate::git::parse::{Blob, TreeChange};
use crate::names::Oid;

/// One entry of an index.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    mode: u32,
    oid: Vec<u8>,
    /// 0, or which side of an unfinished merge it is.
    stage: u8,
    /// Noted by `git add --intent-to-add`: no tree that is written from this index has it.
    is_intent: bool,
    pub path: Vec<u8>,
}

/// Reads entries one after the other. Versions 2 to 4 of the format are known.
pub struct Entries<R> {
    index: R,
    hash: usize,
    version: u32,
    left: u32,
    path: Vec<u8>,
}

impl<R: BufRead> Entries<R> {
    /// Begins to read; `hash` is the length of an object id in bytes. `None` for a format that is not known.
    pub fn open(mut index: R, hash: usize) -> Option<Entries<R>> {
        let mut header = [0; 12];
        index.read_exact(&mut header).ok()?;
        let (version, left) = (number(&header, 4), number(&header, 8));
        let known = &header[..4] == b"DIRC" && (2..=4).contains(&version);
        known.then_some(Entries { index, hash, version, left, path: Vec::new() })
    }

    /// The next entry; the inner `None` after the last one, the outer for bytes that are no entry.
    pub fn read(&mut self) -> Option<Option<Entry>> {
        let Some(left) = self.left.checked_sub(1) else { return Some(None) };
        self.left = left;
        let mut fixed = vec![0; 40 + self.hash + 2];
        self.index.read_exact(&mut fixed).ok()?;
        let (mut length, flags) = (fixed.len(), fixed[fixed.len() - 2]);
        let mut extended = [0; 2];
        if self.version > 2 && flags & 0x40 != 0 {
            self.index.read_exact(&mut extended).ok()?;
            length += extended.len();
        }
        if self.version == 4 {
            let kept = self.path.len().checked_sub(offset(&mut self.index)?)?;
            self.path.truncate(kept);
        } else {
            self.path.clear();
        }
        self.index.read_until(0, &mut self.path).ok()?;
        (self.path.pop()? == 0).then_some(())?;
        if self.version < 4 {
            // Entries are padded to a multiple of eight, with one zero at least, which is read already.
            let padding = 7 - (length + self.path.len()) % 8;
            self.index.read_exact(&mut [0; 8][..padding]).ok()?;
        }
        Some(Some(Entry {
            mode: number(&fixed, 24),
            oid: fixed[40..40 + self.hash].to_vec(),
            stage: flags >> 4 & 3,
            is_intent: extended[0] & 0x20 != 0,
            path: self.path.clone(),
        }))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A number as the fourth version of the index writes it.
fn offset(index: &mut impl Read) -> Option<usize> {
    let mut byte = [0];
    index.read_exact(&mut byte).ok()?;
    let mut value = usize::from(byte[0] & 127);
    while byte[0] & 128 != 0 {
        index.read_exact(&mut byte).ok()?;
        value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte[0] & 127))?;
    }
    Some(value)
}

/// Whether an index in this git directory may be split: its entries are not all in one file then.
pub fn is_split(git_dir: &Path) -> Result<bool> {
    Ok(entries_of(git_dir)?.iter().any(|entry| entry.file_name().to_string_lossy().starts_with("sharedindex.")))
}

/// The files that differ between two index files of one checkout (SHA-1), as a diff of the trees they stand for. `None`
/// where only git can tell: an index that is split or sparse, or that holds an unfinished merge.
pub fn changes(old: &Path, new: &Path) -> Result<Option<Vec<TreeChange>>> {
    if new.parent().map_or(Ok(false), is_split)? {
        return Ok(None);
    }
    let open = |path: &Path| File::open(path).map(BufReader::new).at("read", path);
    Ok(difference(&mut open(old)?, &mut open(new)?))
}

/// As [`changes`], of two streams. Entries are sorted by the bytes of their paths.
fn difference(old: &mut impl BufRead, new: &mut impl BufRead) -> Option<Vec<TreeChange>> {
    const SHA1: usize = 20;
    let (mut old, mut new) = (Entries::open(old, SHA1)?, Entries::open(new, SHA1)?);
    let (mut left, mut right) = (next_file(&mut old)?, next_file(&mut new)?);
    let mut changes = Vec::new();
    loop {
        let order = match (&left, &right) {
            (None, None) => return Some(changes),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.path.cmp(&right.path),
        };
        let before = if order.is_le() { std::mem::replace(&mut left, next_file(&mut old)?) } else { None };
        let after = if order.is_ge() { std::mem::replace(&mut right, next_file(&mut new)?) } else { None };
        let path = before.as_ref().or(after.as_ref()).map(|entry| entry.path.clone())?;
        let (before, after) = (before.map(to_blob), after.map(to_blob));
        if before != after {
            changes.push(TreeChange { path: String::from_utf8(path).ok()?, old: before, new: after });
        }
    }
}

/// The next entry that a tree of this index has.
fn next_file<R: BufRead>(entries: &mut Entries<R>) -> Option<Option<Entry>> {
    const FOLDER: u32 = 0o040_000;
    loop {
        match entries.read()? {
            Some(entry) if entry.stage > 0 || entry.mode == FOLDER => return None,
            Some(entry) if entry.is_intent => {}
            entry => return Some(entry),
        }
    }
}

fn to_blob(entry: Entry) -> Blob {
    Blob { mode: format!("{:06o}", entry.mode), oid: Oid::from_bytes(&entry.oid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of version 2: path, mode, content (the byte of its id) and stage.
    fn index(entries: &[(&str, u32, u8, u8)]) -> Vec<u8> {
        let mut bytes = [b"DIRC".to_vec(), 2_u32.to_be_bytes().to_vec()].concat();
        bytes.extend((entries.len() as u32).to_be_bytes());
        for (path, mode, content, stage) in entries {
            let start = bytes.len();
            bytes.extend([0; 24]);
            bytes.extend(mode.to_be_bytes());
            bytes.extend([0; 12]);
            bytes.extend([*content; 20]);
            bytes.extend([stage << 4, path.len() as u8]);
            bytes.extend(path.bytes());
            bytes.extend(vec![0; 8 - (bytes.len() - start) % 8]);
        }
        bytes
    }

    fn differ(old: &[u8], new: &[u8]) -> Option<Vec<String>> {
        let changes = difference(&mut &*old, &mut &*new)?;
        let side = |blob: &Option<Blob>| blob.as_ref().map_or("-".into(), |blob| blob.oid.as_str()[..2].to_string());
        Some(changes.iter().map(|c| format!("{} {} {}", c.path, side(&c.old), side(&c.new))).collect())
    }

    #[test]
    fn files_that_differ() {
        let file = 0o100_644;
        let old = index(&[("a", file, 1, 0), ("b/c", file, 2, 0), ("d", file, 3, 0)]);
        let new = index(&[("a", file, 1, 0), ("b", file, 2, 0), ("d", file, 4, 0), ("e", file, 5, 0)]);
        assert_eq!(differ(&old, &old), Some(vec![]));
        let expected = ["b - 02", "b/c 02 -", "d 03 04", "e - 05"].map(String::from).to_vec();
        assert_eq!(differ(&old, &new), Some(expected));
        assert_eq!(differ(&index(&[]), &index(&[])), Some(vec![]));
        // Executable now.
        assert_eq!(differ(&index(&[("a", file, 1, 0)]), &index(&[("a", 0o100_755, 1, 0)])).map(|c| c.len()), Some(1));
    }

    #[test]
    fn what_only_git_can_tell() {
        let file = 0o100_644;
        let good = index(&[("a", file, 1, 0)]);
        for bad in [
            index(&[("a", file, 1, 2)]),
            index(&[("a/", 0o040_000, 1, 0)]),
            good[..good.len() - 1].to_vec(),
            b"DIRC\0\0\0\x09\0\0\0\0".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(differ(&good, &bad), None);
            assert_eq!(differ(&bad, &good), None);
        }
    }
}
