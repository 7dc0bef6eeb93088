//! The file by which the .NET test proxy finds a checkout of the tag form, and we the one it made.

use std::path::Path;

use super::tag_for_breadcrumb;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::store::checkout;
use crate::store::files::{text_if_there, write_atomically};

/// Writes `<assets folder>/breadcrumb/<hash>.breadcrumb` when it does not say what it should:
/// `<manifest path>;<hash>;<Tag>`. Nothing for the branch form, which the test proxy does not know.
pub fn write(folder: &Path, manifest: &Manifest) -> Result<()> {
    let Some(tag) = tag_for_breadcrumb(manifest) else { return Ok(()) };
    let hash = manifest.checkout_name();
    let folder = folder.join("breadcrumb");
    let file = folder.join(format!("{hash}.breadcrumb"));
    let line = format!("{};{hash};{tag}", manifest.path);
    // The test proxy writes a byte order mark and the line ending of its system.
    let old = text_if_there(&file)?.unwrap_or_default();
    if old.trim_start_matches('\u{feff}').trim_end() == line {
        return Ok(());
    }
    checkout::check_folder(&folder)?;
    write_atomically(&file, format!("{line}\n").as_bytes(), false)
}
