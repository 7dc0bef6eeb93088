//! Whether packs are whole, by their ends alone: a disk that was full or a power cut leaves them cut short.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The length of a checksum.
const CHECKSUM: usize = 20;
/// A pack's index ends with the checksum of the pack and its own.
const INDEX_END: usize = 2 * CHECKSUM;

/// Whether a pack in an objects directory does not end as its index says.
pub fn has_broken(objects: &Path) -> bool {
    indexes(objects).any(|index| {
        let Some(end) = end_of::<INDEX_END>(&index) else { return index.exists() };
        // Git removes the index first.
        end_of::<CHECKSUM>(&index.with_extension("pack")).is_none_or(|pack| pack != end[..CHECKSUM]) && index.exists()
    })
}

/// Whether there is any pack: something was downloaded.
pub fn are_in(objects: &Path) -> bool {
    indexes(objects).next().is_some()
}

/// The index files of the packs.
pub fn indexes(objects: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(objects.join("pack")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|of| of == "idx"))
}

fn end_of<const LENGTH: usize>(file: &Path) -> Option<[u8; LENGTH]> {
    let mut file = File::open(file).ok()?;
    file.seek(SeekFrom::End(-i64::try_from(LENGTH).ok()?)).ok()?;
    let mut end = [0; LENGTH];
    file.read_exact(&mut end).ok()?;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_ends_as_its_index_says() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_broken(dir.path()));
        std::fs::create_dir(dir.path().join("pack")).unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(dir.path().join("pack").join(name), content).unwrap();
        let (pack, index) = ([&b"PACK and more"[..], &[7; 20]].concat(), [&b"tOc"[..], &[7; 20], &[9; 20]].concat());
        write("a.idx", &index);
        assert!(has_broken(dir.path()), "no pack");
        write("a.pack", &pack);
        assert!(!has_broken(dir.path()));
        write("a.pack", &pack[..30]);
        assert!(has_broken(dir.path()), "a pack cut short");
        write("a.pack", b"");
        assert!(has_broken(dir.path()), "an empty pack");
        write("a.pack", &pack);
        write("a.idx", &index[..30]);
        assert!(has_broken(dir.path()), "an index cut short");
        std::fs::remove_file(dir.path().join("pack/a.idx")).unwrap();
        assert!(!has_broken(dir.path()), "a pack that is not in use");
    }
}
