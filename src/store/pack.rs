//! Whether packs are whole, by their ends alone: a disk that was full or a power cut leaves them cut short.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::files::{entries_of, is_there};
use crate::error::{AtPath, Result};

/// The length of a checksum.
const CHECKSUM: usize = 20;
/// A pack's index ends with the checksum of the pack and its own.
const INDEX_END: usize = 2 * CHECKSUM;

/// The index files of those packs in an objects directory that git cannot use: the file begins or ends as none does, or the
/// pack does not end as its index says.
///
/// # Errors
/// When that cannot be told: a pack that cannot be read is not a broken one.
pub fn broken(objects: &Path) -> Result<Vec<PathBuf>> {
    let mut broken = Vec::new();
    for index in indexes(objects)? {
        let is_whole = match (Index::read(&index)?, Pack::read(&index.with_extension("pack"))?) {
            (Some(index), Some(pack)) => index.is_of(&pack),
            _ => false,
        };
        // Git removes the index first.
        if !is_whole && is_there(&index)? {
            broken.push(index);
        }
    }
    Ok(broken)
}

/// The files of a pack, by its index: the index first, because git looks for that.
pub fn files_of(index: &Path) -> Vec<PathBuf> {
    let others = ["pack", "rev", "bitmap", "mtimes", "promisor", "keep"].map(|kind| index.with_extension(kind));
    [index.to_path_buf()].into_iter().chain(others).collect()
}

/// What an index says of its pack, as far as it is well formed.
struct Index {
    objects: u32,
    /// The checksum of the pack.
    pack: [u8; CHECKSUM],
}

/// How a pack begins and ends.
struct Pack {
    objects: u32,
    checksum: [u8; CHECKSUM],
}

impl Index {
    fn read(path: &Path) -> Result<Option<Index>> {
        const MAGIC: &[u8] = b"\xfftOc\0\0\0\x02";
        const COUNTS: usize = 256 * 4;
        let Some((file, size)) = open(path)? else { return Ok(None) };
        let Some(start) = part_of::<{ 8 + COUNTS }>(&file, 0, path)? else { return Ok(None) };
        // The first version began with the counts.
        let (counts, entry, head) = match start.strip_prefix(MAGIC) {
            Some(counts) => (counts, CHECKSUM + 8, 8 + COUNTS),
            None => (&start[..COUNTS], CHECKSUM + 4, COUNTS),
        };
        let counts: Vec<u32> = counts.chunks_exact(4).map(number).collect();
        let objects = counts.last().copied().unwrap_or_default();
        let least = head as u64 + u64::from(objects) * entry as u64 + INDEX_END as u64;
        // An offset beyond 2 GiB takes 8 bytes more.
        let most = least + if entry == CHECKSUM + 8 { u64::from(objects) * 8 } else { 0 };
        if !counts.is_sorted() || !(least..=most).contains(&size) {
            return Ok(None);
        }
        let end = part_of::<CHECKSUM>(&file, size - INDEX_END as u64, path)?;
        Ok(end.map(|pack| Index { objects, pack }))
    }

    fn is_of(&self, pack: &Pack) -> bool {
        self.objects == pack.objects && self.pack == pack.checksum
    }
}

impl Pack {
    fn read(path: &Path) -> Result<Option<Pack>> {
        let Some((file, size)) = open(path)? else { return Ok(None) };
        let Some(start) = part_of::<12>(&file, 0, path)? else { return Ok(None) };
        let is_pack = start.starts_with(b"PACK") && matches!(number(&start[4..8]), 2 | 3);
        let Some(end) = size.checked_sub(CHECKSUM as u64).filter(|end| *end >= 12 && is_pack) else { return Ok(None) };
        let checksum = part_of::<CHECKSUM>(&file, end, path)?;
        Ok(checksum.map(|checksum| Pack { objects: number(&start[8..12]), checksum }))
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Whether there is any pack: something was downloaded.
pub fn are_in(objects: &Path) -> Result<bool> {
    Ok(!indexes(objects)?.is_empty())
}

/// The index files of the packs.
pub fn indexes(objects: &Path) -> Result<Vec<PathBuf>> {
    let paths = entries_of(&objects.join("pack"))?.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|of| of == "idx")).collect())
}

/// A file and its size; `None` when there is no such file.
fn open(path: &Path) -> Result<Option<(File, u64)>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.at("read", path)?,
    };
    let size = file.metadata().at("look at", path)?.len();
    Ok(Some((file, size)))
}

/// Some bytes of a file; `None` when it has fewer.
fn part_of<const LENGTH: usize>(mut file: &File, start: u64, path: &Path) -> Result<Option<[u8; LENGTH]>> {
    let mut part = [0; LENGTH];
    match file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut part)) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        read => read.at("read", path).map(|()| Some(part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of so many objects, and the pack that it is of.
    fn pair(version: u8, objects: u8) -> (Vec<u8>, Vec<u8>) {
        let pack = [&b"PACK\0\0\0\x02\0\0\0"[..], &[objects], b"and more", &[7; 20]].concat();
        let head: &[u8] = if version == 2 { b"\xfftOc\0\0\0\x02" } else { b"" };
        let entry = if version == 2 { 28 } else { 24 };
        let counts: Vec<u8> = (0..256_usize).flat_map(|at| [0, 0, 0, if at < 128 { 0 } else { objects }]).collect();
        let entries = vec![1; usize::from(objects) * entry];
        (pack, [head, &counts, &entries, &[7; 20], &[9; 20]].concat())
    }

    #[test]
    fn a_pack_that_git_can_use_is_as_its_index_says() {
        let dir = tempfile::tempdir().unwrap();
        let is_broken = || !broken(dir.path()).unwrap().is_empty();
        assert!(!is_broken());
        std::fs::create_dir(dir.path().join("pack")).unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(dir.path().join("pack").join(name), content).unwrap();
        for version in [1, 2] {
            let (pack, index) = pair(version, 3);
            write("a.idx", &index);
            let _ = std::fs::remove_file(dir.path().join("pack/a.pack"));
            assert!(is_broken(), "no pack");
            write("a.pack", &pack);
            assert!(!is_broken());
            write("a.pack", &pair(version, 2).0);
            assert!(is_broken(), "another pack");
            for length in [0, 11, 12, pack.len() - 1] {
                write("a.pack", &pack[..length]);
                assert!(is_broken(), "a pack of {length} bytes");
            }
            write("a.pack", &[&b"JUNK"[..], &pack[4..]].concat());
            assert!(is_broken(), "no pack at all");
            write("a.pack", &pack);
            for length in [0, 7, 500, 1040, index.len() - 1] {
                write("a.idx", &index[..length]);
                assert!(is_broken(), "an index of {length} bytes");
            }
            let mut unsorted = index.clone();
            unsorted[400] = 0xff;
            write("a.idx", &unsorted);
            assert!(is_broken(), "an index of rubbish");
            std::fs::remove_file(dir.path().join("pack/a.idx")).unwrap();
            assert!(!is_broken(), "a pack that is not in use");
        }
    }
}
