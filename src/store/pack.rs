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

/// Whether a pack in an objects directory does not end as its index says.
///
/// # Errors
/// When that cannot be told: a pack that cannot be read is not a broken one.
pub fn has_broken(objects: &Path) -> Result<bool> {
    for index in indexes(objects)? {
        let end = end_of::<INDEX_END>(&index)?;
        let pack = end_of::<CHECKSUM>(&index.with_extension("pack"))?;
        let is_whole = end.zip(pack).is_some_and(|(end, pack)| pack == end[..CHECKSUM]);
        // Git removes the index first.
        if !is_whole && is_there(&index)? {
            return Ok(true);
        }
    }
    Ok(false)
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

/// The last bytes of a file; `None` when there is no such file, or it has fewer.
fn end_of<const LENGTH: usize>(path: &Path) -> Result<Option<[u8; LENGTH]>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.at("read", path)?,
    };
    let Some(start) = file.metadata().at("look at", path)?.len().checked_sub(LENGTH as u64) else { return Ok(None) };
    let mut end = [0; LENGTH];
    match file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut end)) {
        // Cut short meanwhile.
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        read => read.at("read", path).map(|()| Some(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_ends_as_its_index_says() {
        let dir = tempfile::tempdir().unwrap();
        let is_broken = || has_broken(dir.path()).unwrap();
        assert!(!is_broken());
        std::fs::create_dir(dir.path().join("pack")).unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(dir.path().join("pack").join(name), content).unwrap();
        let (pack, index) = ([&b"PACK and more"[..], &[7; 20]].concat(), [&b"tOc"[..], &[7; 20], &[9; 20]].concat());
        write("a.idx", &index);
        assert!(is_broken(), "no pack");
        write("a.pack", &pack);
        assert!(!is_broken());
        write("a.pack", &pack[..30]);
        assert!(is_broken(), "a pack cut short");
        write("a.pack", b"");
        assert!(is_broken(), "an empty pack");
        write("a.pack", &pack);
        write("a.idx", &index[..30]);
        assert!(is_broken(), "an index cut short");
        std::fs::remove_file(dir.path().join("pack/a.idx")).unwrap();
        assert!(!is_broken(), "a pack that is not in use");
    }
}
