//! Writing a manifest: in one step, with its content on disk before its name.

use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{AtPath, Result};
use crate::store::git_dir::remove_if_there;

/// Replaces a file and keeps its permissions. Whoever does it holds the lock of the manifest's checkout.
pub fn replace(file: &Path, content: &[u8]) -> Result<()> {
    let permissions = std::fs::metadata(file).at("read", file)?.permissions();
    // Always the same name, so that what a killed push left in the code repo goes with the next one; and one that nobody
    // gives to a file of theirs.
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".assets-new");
    remove_if_there(&file.with_file_name(&name))?;
    let new = beside(file, tempfile::Builder::new().prefix(&name).rand_bytes(0), content)?;
    new.as_file().set_permissions(permissions).at("set the permissions of", file)?;
    new.persist(file).map_err(|e| e.error).at("replace", file)?;
    Ok(())
}

/// Makes a file that does not exist; `false` when somebody else has made it meanwhile.
pub fn create(file: &Path, content: &[u8]) -> Result<bool> {
    let new = beside(file, tempfile::Builder::new().prefix(".assets-"), content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are for their owner alone; this one is for whoever may read its folder.
        let folder = std::fs::metadata(file.parent().unwrap_or(file)).at("look at", file)?.permissions().mode();
        new.as_file()
            .set_permissions(std::fs::Permissions::from_mode(folder & 0o666))
            .at("set the permissions of", file)?;
    }
    match new.persist_noclobber(file) {
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        result => result.map(|_| true).map_err(|e| e.error).at("make", file),
    }
}

fn beside(file: &Path, named: &tempfile::Builder, content: &[u8]) -> Result<NamedTempFile> {
    let folder = file.parent().unwrap_or(file);
    let mut new = named.tempfile_in(folder).at("write into", folder)?;
    new.write_all(content).at("write", file)?;
    new.as_file().sync_all().at("write", file)?;
    Ok(new)
}
