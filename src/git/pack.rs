//! What takes up room in an object database, and making one pack of a part of it.

use std::collections::HashMap;
use std::path::Path;

use super::{Repo, oids};
use crate::error::Result;
use crate::names::{Oid, RepoPath};

impl Repo {
    /// `git cat-file --batch-all-objects`: every object that is here, and the bytes it takes up on disk.
    pub fn all_objects(&self) -> Result<HashMap<Oid, u64>> {
        let args = ["cat-file", "--batch-all-objects", "--unordered"];
        let bytes = self.call(args).args(["--batch-check=%(objectname) %(objectsize:disk)"]).run()?.checked()?;
        let text = String::from_utf8_lossy(&bytes);
        let parse = |line: &str| {
            let (oid, size) = line.split_once(' ')?;
            Some((Oid::parse(oid).ok()?, size.parse().ok()?))
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    /// `git rev-list --objects` of some trees: all that is below them and here, with or without file contents.
    pub fn objects_below(&self, trees: &[Oid], with_blobs: bool) -> Result<Vec<Oid>> {
        if trees.is_empty() {
            return Ok(Vec::new());
        }
        let input: String = trees.iter().map(|tree| format!("{tree}\n")).collect();
        let call = self.call(["rev-list", "--objects", "--no-object-names", "--missing=allow-any"]);
        let call = call.args((!with_blobs).then_some("--filter=blob:none")).args(["--stdin"]).stdin(input);
        oids(&call.run()?.checked()?)
    }

    /// `git pack-objects` of exactly these objects, as files whose names begin with `base`.
    pub fn pack_objects(&self, base: &Path, objects: &[&Oid]) -> Result<()> {
        let input: String = objects.iter().map(|oid| format!("{oid}\n")).collect();
        // A window of none: what is packed already is copied as it is.
        let call = self.call(["pack-objects", "-q", "--window=0"]).args([base]).stdin(input);
        call.run()?.checked().map(drop)
    }

    /// `git verify-pack`.
    pub fn verify_pack(&self, index: &Path) -> Result<()> {
        self.call(["verify-pack"]).args([index]).run()?.checked().map(drop)
    }

    /// `git update-ref --stdin`: deletes refs.
    pub fn delete_refs(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let input: String = names.iter().map(|name| format!("delete {name}\n")).collect();
        self.call(["update-ref", "--stdin"]).stdin(input).run()?.checked().map(drop)
    }

    /// `git ls-files --stage`: the file contents that the index refers to, less those that the cone does not show.
    pub fn shown_blobs(&self) -> Result<Vec<Oid>> {
        let bytes = self.call(["ls-files", "--stage", "-t", "-z"]).run()?.checked()?;
        let parse = |record: &[u8]| {
            // <tag> <mode> <oid> <stage>\t<path>; the tag is `S` where the cone does not reach.
            let text = String::from_utf8_lossy(record);
            let mut words = text.split(' ');
            let tag = words.next()?;
            (tag != "S").then(|| Oid::parse(words.nth(1)?).ok()).flatten()
        };
        Ok(bytes.split(|&b| b == 0).filter_map(parse).collect())
    }

    /// How many files of the work tree are not just as HEAD has them, those included that git ignores.
    pub fn count_unlike_head(&self, below: &RepoPath) -> Result<usize> {
        let mut call = self.status_call();
        if !below.is_root() {
            call = call.args(["--", below.as_str()]);
        }
        let bytes = call.run()?.checked()?;
        Ok(bytes.split(|&b| b == 0).filter(|record| !record.is_empty()).count())
    }
}
