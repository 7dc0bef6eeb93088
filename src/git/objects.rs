//! Reading objects: one `git cat-file --batch-command` answers every question about commits, trees and blobs.

use std::io::{BufRead, Read};

use super::call::Place;
use super::program::Git;
use super::session::Session;
use crate::error::{Error, Result};
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

/// The id that git gives a file with this content (SHA-1; see gitformat-pack(5) for the object header).
pub fn blob_id(content: &[u8]) -> Oid {
    let mut sha1 = sha1_smol::Sha1::from(format!("blob {}\0", content.len()));
    sha1.update(content);
    Oid::from_bytes(&sha1.digest().bytes())
}

/// An open object database. Objects that arrive while it is open are found.
pub struct Objects(Session);

/// Requests that fit a pipe together, so that neither side waits for the other.
const BATCH: usize = 150;
/// The largest commit or tree that is read, in bytes: a folder of half a million files.
const LARGEST: u64 = 32 << 20;

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

    /// Whether there can be no more answers; else what failed was the question.
    pub fn is_broken(&self) -> bool {
        self.0.is_broken()
    }

    /// The content of each object, `None` for each that is not here.
    pub fn contents<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Vec<Option<Object>>> {
        let mut contents = Vec::with_capacity(names.len());
        self.each_content(names, u64::MAX, |content| {
            contents.push(content?);
            Ok(())
        })?;
        Ok(contents)
    }

    /// The commit that `name` is or, for an annotated tag, leads to.
    pub fn commit(&mut self, name: &str) -> Result<Option<(Oid, Commit)>> {
        Ok(self.commits(&[name])?.pop().flatten())
    }

    /// As [`Objects::commit`] for several names.
    pub fn commits<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Vec<Option<(Oid, Commit)>>> {
        let names: Vec<String> = names.iter().map(|name| format!("{}^{{commit}}", name.as_ref())).collect();
        let mut commits = Vec::with_capacity(names.len());
        self.each_content(&names, LARGEST, |content| {
            let Some((info, content)) = content? else {
                commits.push(None);
                return Ok(());
            };
            let commit = parse_commit(&content)
                .ok_or_else(|| Error::failed(format!("`{}` is not a commit, or damaged", info.oid)))?;
            commits.push(Some((info.oid, commit)));
            Ok(())
        })?;
        Ok(commits)
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
        let mut trees = Vec::with_capacity(oids.len());
        self.each_tree(oids, |entries| {
            trees.push(entries?);
            Ok(())
        })?;
        Ok(trees)
    }

    /// Hands over the entries of one tree after the other, or why they cannot be had. What `take` fails with ends it.
    pub fn each_tree(
        &mut self,
        oids: &[Oid],
        mut take: impl FnMut(Result<Option<Vec<TreeEntry>>>) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<&str> = oids.iter().map(Oid::as_str).collect();
        self.each_content(&names, LARGEST, |content| match content {
            Ok(Some((info, bytes))) if info.kind == "tree" => {
                let damaged = || Error::failed(format!("tree `{}` is damaged", info.oid));
                take(parse_tree(&bytes, info.oid.raw_len()).map(Some).ok_or_else(damaged))
            }
            Ok(_) => take(Ok(None)),
            Err(error) => take(Err(error)),
        })
    }

    /// Hands over the content of one object after the other, so that only one of them is in memory; for one that is too
    /// large, an error.
    fn each_content<S: AsRef<str>>(
        &mut self,
        names: &[S],
        largest: u64,
        mut take: impl FnMut(Result<Option<Object>>) -> Result<()>,
    ) -> Result<()> {
        for batch in names.chunks(BATCH) {
            self.request("contents", batch)?;
            let mut result = Ok(());
            for _ in batch {
                let header = self.header()?;
                // After a failure the answers to what was asked are still read: the next question has its own.
                match header {
                    Some(info) if result.is_err() => self.skip(info.size)?,
                    Some(info) if info.size > largest => {
                        self.skip(info.size)?;
                        result = take(Err(too_large(&info)));
                    }
                    Some(info) => {
                        let content = self.content(info.size)?;
                        result = take(Ok(Some((info, content))));
                    }
                    None if result.is_ok() => result = take(Ok(None)),
                    None => {}
                }
            }
            result?;
        }
        Ok(())
    }

    fn content(&mut self, size: u64) -> Result<Vec<u8>> {
        // A line end follows.
        let length = usize::try_from(size).ok().and_then(|size| size.checked_add(1));
        let mut content = vec![0; length.ok_or_else(|| self.0.broken("an object is larger than the memory"))?];
        self.0.answers().read_exact(&mut content).map_err(|e| self.0.broken(&e.to_string()))?;
        content.pop();
        Ok(content)
    }

    fn skip(&mut self, size: u64) -> Result<()> {
        let mut answer = self.0.answers().take(size.saturating_add(1));
        std::io::copy(&mut answer, &mut std::io::sink()).map_err(|e| self.0.broken(&e.to_string())).map(drop)
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

fn too_large(info: &Info) -> Error {
    Error::failed(format!("the {} `{}` is too large", info.kind, info.oid))
        .cause(format!("it has {} bytes, and {LARGEST} are allowed", info.size))
        .hint("ask whoever pushed it to take it back")
}

/// Reads the tree and the committer time from the text of a commit.
pub fn parse_commit(content: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(content);
    let headers = || text.lines().take_while(|line| !line.is_empty());
    let tree = headers().find_map(|line| line.strip_prefix("tree "))?;
    let committer = headers().find_map(|line| line.strip_prefix("committer ")).unwrap_or_default();
    let time = committer.rsplit(' ').nth(1).and_then(|t| t.parse().ok()).unwrap_or(0);
    Some(Commit { tree: Oid::parse(tree).ok()?, time })
}

/// Reads the entries of a tree object: `<mode> <name>\0<raw id>` one after the other.
pub fn parse_tree(mut bytes: &[u8], raw_len: usize) -> Option<Vec<TreeEntry>> {
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
    fn ids_of_files() {
        // `printf 'hello\n' | git hash-object --stdin`, and the empty file.
        assert_eq!(blob_id(b"hello\n").as_str(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(blob_id(b"").as_str(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

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
