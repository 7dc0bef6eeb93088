//! Reading objects: one `git cat-file --batch-command` answers every question about commits, trees and blobs.

use std::io::{BufRead, Read};

use super::exec::{Git, Place, Session};
use crate::error::Result;
use crate::names::Oid;

/// What an object is, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub oid: Oid,
    pub kind: String,
    /// Bytes.
    pub size: u64,
}

/// One entry of a tree object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// As in the tree object: `40000` for a tree, `100644`, `100755`, `120000`, `160000`.
    pub mode: String,
    /// Raw bytes, because a hostile tree may hold anything.
    pub name: Vec<u8>,
    pub oid: Oid,
}

impl TreeEntry {
    pub fn is_tree(&self) -> bool {
        self.mode == "40000"
    }
}

/// What is needed of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub tree: Oid,
    /// Committer time in seconds since 1970.
    pub time: i64,
}

/// An object with its content.
pub type Object = (Info, Vec<u8>);

/// An open object database. Objects that arrive while it is open are found.
pub struct Objects(Session);

/// Requests that fit a pipe together, so that neither side waits for the other.
const BATCH: usize = 150;

impl Objects {
    /// Opens the object database of `place`.
    pub fn open(git: &Git, place: &Place) -> Result<Objects> {
        git.call(place, ["cat-file", "--batch-command", "--buffer"]).start().map(Objects)
    }

    /// Looks names up (ids, or `<id>^{commit}`, or full refs); `None` for each that is not here.
    pub fn infos<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Vec<Option<Info>>> {
        let mut infos = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            self.request("info", batch)?;
            for _ in batch {
                let header = self.header()?;
                infos.push(header);
            }
        }
        Ok(infos)
    }

    /// Looks one name up.
    pub fn info(&mut self, name: &str) -> Result<Option<Info>> {
        Ok(self.infos(&[name])?.pop().flatten())
    }

    /// The content of each object, `None` for each that is not here. Trees and commits are small; blobs may not be.
    pub fn contents<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Vec<Option<Object>>> {
        let mut contents = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            self.request("contents", batch)?;
            for _ in batch {
                let Some(info) = self.header()? else {
                    contents.push(None);
                    continue;
                };
                let mut content = vec![0; info.size as usize + 1];
                if let Err(e) = self.0.answers().read_exact(&mut content) {
                    return Err(self.0.broken(&e.to_string()));
                }
                content.pop();
                contents.push(Some((info, content)));
            }
        }
        Ok(contents)
    }

    /// The commit that `name` is or, for an annotated tag, leads to.
    pub fn commit(&mut self, name: &str) -> Result<Option<(Oid, Commit)>> {
        let Some((info, content)) = self.contents(&[format!("{name}^{{commit}}")])?.pop().flatten() else {
            return Ok(None);
        };
        match parse_commit(&content) {
            Some(commit) => Ok(Some((info.oid, commit))),
            None => Err(self.0.broken(&format!("`{}` is not a commit", info.oid))),
        }
    }

    /// The parents that a commit names, whether they are here or not; none of a commit that is not.
    pub fn parents(&mut self, commit: &Oid) -> Result<Vec<Oid>> {
        let content = self.contents(&[commit.as_str()])?.pop().flatten();
        let text = content.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let headers = text.lines().take_while(|line| !line.is_empty());
        Ok(headers.filter_map(|line| Oid::parse(line.strip_prefix("parent ")?).ok()).collect())
    }

    /// The first of them.
    pub fn first_parent(&mut self, commit: &Oid) -> Result<Option<Oid>> {
        Ok(self.parents(commit)?.into_iter().next())
    }

    /// The entries of each tree, `None` for each that is not here.
    pub fn trees(&mut self, oids: &[Oid]) -> Result<Vec<Option<Vec<TreeEntry>>>> {
        let names: Vec<&str> = oids.iter().map(Oid::as_str).collect();
        let mut trees = Vec::with_capacity(oids.len());
        for content in self.contents(&names)? {
            trees.push(match content {
                Some((info, bytes)) if info.kind == "tree" => Some(
                    parse_tree(&bytes, info.oid.raw_len())
                        .ok_or_else(|| self.0.broken(&format!("tree `{}` is damaged", info.oid)))?,
                ),
                _ => None,
            });
        }
        Ok(trees)
    }

    fn request<S: AsRef<str>>(&mut self, what: &str, names: &[S]) -> Result<()> {
        let mut request = String::new();
        for name in names {
            request.push_str(what);
            request.push(' ');
            request.push_str(name.as_ref());
            request.push('\n');
        }
        request.push_str("flush\n");
        self.0.send(request.as_bytes())
    }

    fn header(&mut self) -> Result<Option<Info>> {
        let mut line = String::new();
        match self.0.answers().read_line(&mut line) {
            Ok(0) => return Err(self.0.broken("it ended")),
            Ok(_) => {}
            Err(e) => return Err(self.0.broken(&e.to_string())),
        }
        let mut words = line.trim_end().rsplit(' ');
        let (size, kind, oid) = (words.next(), words.next(), words.next());
        match (size.and_then(|s| s.parse().ok()), kind, oid.and_then(|o| Oid::parse(o).ok())) {
            (Some(size), Some(kind), Some(oid)) => Ok(Some(Info { oid, kind: kind.to_string(), size })),
            // "<name> missing", and "<name> ambiguous" which full names never are.
            _ => Ok(None),
        }
    }
}

/// An open `git mktree --batch --missing`.
pub struct TreeWriter(Session);

impl TreeWriter {
    /// Opens the object database of `place` for writing trees.
    pub fn open(git: &Git, place: &Place) -> Result<TreeWriter> {
        git.call(place, ["mktree", "-z", "--missing", "--batch"]).start().map(TreeWriter)
    }

    /// Writes one tree; the order of the entries does not matter.
    pub fn write(&mut self, entries: &[TreeEntry]) -> Result<Oid> {
        let mut request = Vec::new();
        for entry in entries {
            let kind = match entry.mode.as_str() {
                "40000" => "tree",
                "160000" => "commit",
                _ => "blob",
            };
            request.extend(format!("{:0>6} {kind} {}\t", entry.mode, entry.oid).bytes());
            request.extend(&entry.name);
            request.push(0);
        }
        // An empty record ends the tree; nothing is answered before it, so that the size of a pipe does not matter.
        request.push(0);
        self.0.send(&request)?;
        let mut line = String::new();
        match self.0.answers().read_line(&mut line).map(|_| Oid::parse(line.trim())) {
            Ok(Ok(oid)) => Ok(oid),
            _ => Err(self.0.broken("it did not write the tree")),
        }
    }
}

/// Reads the tree and the committer time from the text of a commit.
fn parse_commit(content: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(content);
    let headers = || text.lines().take_while(|line| !line.is_empty());
    let tree = headers().find_map(|line| line.strip_prefix("tree "))?;
    let committer = headers().find_map(|line| line.strip_prefix("committer ")).unwrap_or_default();
    let time = committer.rsplit(' ').nth(1).and_then(|t| t.parse().ok()).unwrap_or(0);
    Some(Commit { tree: Oid::parse(tree).ok()?, time })
}

/// Reads the entries of a tree object: `<mode> <name>\0<raw id>` one after the other.
fn parse_tree(mut bytes: &[u8], raw_len: usize) -> Option<Vec<TreeEntry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|&b| b == b' ')?;
        let mode = std::str::from_utf8(&bytes[..space]).ok()?.trim_start_matches('0').to_string();
        let rest = &bytes[space + 1..];
        let end = rest.iter().position(|&b| b == 0)?;
        let oid = rest.get(end + 1..end + 1 + raw_len)?;
        entries.push(TreeEntry { mode, name: rest[..end].to_vec(), oid: Oid::from_bytes(oid) });
        bytes = &rest[end + 1 + raw_len..];
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_and_commits() {
        let mut bytes = b"100644 a b\0".to_vec();
        bytes.extend([0x11; 20]);
        bytes.extend(b"40000 d\0");
        bytes.extend([0x22; 20]);
        let entries = parse_tree(&bytes, 20).unwrap();
        assert_eq!(entries[0].name, b"a b");
        assert!(entries[1].is_tree());
        assert_eq!(entries[1].oid.as_str(), "22".repeat(20));
        for cut in 1..bytes.len() {
            if cut != 31 {
                assert!(parse_tree(&bytes[..cut], 20).is_none(), "{cut}");
            }
        }
        let text =
            format!("tree {}\nauthor x <x> 1 +0000\ncommitter A B <a@b> 1700000000 +0100\n\ntree x\n", "a".repeat(40));
        assert_eq!(parse_commit(text.as_bytes()).unwrap().time, 1_700_000_000);
    }
}
