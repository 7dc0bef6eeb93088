//! Writing a manifest: in one step, with its content on disk before its name.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{AtPath, Result};
use crate::store::files::{new_file, remove_if_there, sync_folder};

/// Replaces a file and keeps its permissions. Whoever does it holds the lock of the manifest's checkout.
pub fn replace(file: &Path, content: &[u8]) -> Result<()> {
    let permissions = std::fs::metadata(file).at("read", file)?.permissions();
    // Always the same name, so that what a killed push left in the code repo goes with the next one; and one that nobody
    // gives to a file of theirs.
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".assets-new");
    remove_if_there(&file.with_file_name(&name))?;
    let new = beside(file, &name, false, content)?;
    new.as_file().set_permissions(permissions).at("set the permissions of", file)?;
    new.persist(file).map_err(|e| e.error).at("replace", file)?;
    sync_folder(file.parent().unwrap_or(file));
    Ok(())
}

/// Makes a file that does not exist; `false` when somebody else has made it meanwhile.
pub fn create(file: &Path, content: &[u8]) -> Result<bool> {
    let new = beside(file, OsStr::new(".assets-"), true, content)?;
    match new.persist_noclobber(file) {
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        result => result.map(|_| true).map_err(|e| e.error).at("make", file),
    }
}

fn beside(file: &Path, prefix: &OsStr, unique: bool, content: &[u8]) -> Result<NamedTempFile> {
    let mut new = new_file(file.parent().unwrap_or(file), prefix, unique)?;
    new.write_all(content).at("write", file)?;
    new.as_file().sync_all().at("write", file)?;
    Ok(new)
}
