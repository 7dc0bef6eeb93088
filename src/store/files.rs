//! Reading and writing the program's own files. Only a missing file is absent; every other failure to read is an error
//! that names the file, so that nothing is removed, moved or written anew because of it.

use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::io::{ErrorKind, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{AtPath, Error, Result};

/// The content of a file; `None` when there is none.
pub fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>> {
    absent(std::fs::read(file)).at("read", file)
}

/// The content of a file of text; `None` when there is none. Bytes that are not UTF-8 are replaced: such a text says
/// nothing that this program has written.
pub fn text_if_there(file: &Path) -> Result<Option<String>> {
    Ok(read_if_there(file)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether there is anything at a path. A link counts, wherever it leads.
pub fn is_there(path: &Path) -> Result<bool> {
    Ok(meta_if_there(path)?.is_some())
}

/// Whether there is a folder at a path. A link to one does not count.
pub fn is_folder(path: &Path) -> Result<bool> {
    Ok(meta_if_there(path)?.is_some_and(|meta| meta.is_dir()))
}

fn meta_if_there(path: &Path) -> Result<Option<Metadata>> {
    absent(path.symlink_metadata()).at("look at", path)
}

/// What is in a folder; nothing when there is no such folder.
pub fn entries_of(folder: &Path) -> Result<Vec<DirEntry>> {
    let Some(entries) = absent(std::fs::read_dir(folder)).at("read", folder)? else { return Ok(Vec::new()) };
    entries.collect::<std::io::Result<_>>().at("read", folder)
}

/// Tells "there is none" from "it cannot be read". A file where a folder is needed means that there is nothing below it.
fn absent<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes a file that may be gone already.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        result => result.at("remove", path),
    }
}

/// Writes a file so that readers see the old content or the new, never a part. `sync` also survives a power cut. Others
/// may read it as the umask says, and as they could before.
pub fn write_atomically(path: &Path, content: &[u8], sync: bool) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::failed(format!("`{}` has no folder", path.display())))?;
    std::fs::create_dir_all(folder).at("create", folder)?;
    let mut file = new_file(folder, OsStr::new(".tmp-"), true)?;
    widen(&file, path)?;
    file.write_all(content).at("write", path)?;
    if sync {
        file.as_file().sync_all().at("write", path)?;
    }
    file.persist(path).map_err(|e| e.error).at("write", path)?;
    if sync {
        sync_folder(folder);
    }
    Ok(())
}

/// A new file for another name in the same folder, with the mode that the umask gives. Its name is the prefix, with
/// random letters after it if it is to be `unique`.
pub fn new_file(folder: &Path, prefix: &OsStr, unique: bool) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    if !unique {
        builder.rand_bytes(0);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are for their owner alone, and other users may work here too. The system applies the umask.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).at("write into", folder)
}

/// Gives a new file what the one that it replaces allows. It may be shared with a group against the umask.
#[cfg(unix)]
fn widen(file: &NamedTempFile, old: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(meta) = meta_if_there(old)?.filter(|meta| meta.is_file()) else {
        return Ok(());
    };
    let mode = file.as_file().metadata().at("look at", file.path())?.permissions().mode();
    let wider = mode | (meta.permissions().mode() & 0o666);
    if wider == mode {
        return Ok(());
    }
    file.as_file().set_permissions(std::fs::Permissions::from_mode(wider)).at("set the permissions of", file.path())
}

#[cfg(not(unix))]
fn widen(_file: &NamedTempFile, _old: &Path) -> Result<()> {
    Ok(())
}

/// Makes the names in a folder survive a power cut, where that can be asked for.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(read_if_there(&file).unwrap(), Some(b"x".to_vec()));
        for none in [dir.path().join("none"), dir.path().join("none/below"), file.join("below")] {
            assert_eq!(read_if_there(&none).unwrap(), None);
            assert_eq!(entries_of(&none).unwrap().len(), 0);
            assert!(!is_there(&none).unwrap());
        }
        assert_eq!(entries_of(dir.path()).unwrap().len(), 1);
        let error = read_if_there(dir.path()).unwrap_err();
        assert!(error.message.contains(&*dir.path().to_string_lossy()), "{}", error.message);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_what_it_allowed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let plain = mode("plain");
        for (before, after) in [(None, plain), (Some(0o600), plain), (Some(0o664), plain | 0o664)] {
            let file = dir.path().join("file");
            let _ = std::fs::remove_file(&file);
            if let Some(mode) = before {
                std::fs::write(&file, "old").unwrap();
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            write_atomically(&file, b"new", true).unwrap();
            assert_eq!(mode("file"), after, "{before:?}");
            assert_eq!(std::fs::read(&file).unwrap(), b"new");
        }
    }
}
