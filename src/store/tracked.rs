//! Whether files of the assets folder are tracked by the code repo: then they come with anybody's commit. Found out from
//! the first entries of git's index, without a process: names that begin with a dot are sorted to its front.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::files::text_if_there;
use super::index_file::{Entries, is_split};
use crate::git::parse;

/// What the index says.
#[derive(Debug, PartialEq)]
pub enum Tracked {
    No,
    /// This file.
    Yes(String),
    /// It is in a form that is not read here, or cannot be read here: git is to be asked.
    Unknown,
}

/// Looks in the index of the git directory of a code repo for files below a folder (from its root, with `/`).
pub fn below(git_dir: &Path, folder: &str) -> Tracked {
    // A linked worktree has its configuration elsewhere.
    let Ok(common) = text_if_there(&git_dir.join("commondir")) else { return Tracked::Unknown };
    let common = git_dir.join(common.unwrap_or_default().trim());
    let Ok(config) = text_if_there(&common.join("config")) else { return Tracked::Unknown };
    let config = config.unwrap_or_default();
    let is_sha256 = parse::config_value(&config, "extensions", "objectformat").is_some_and(|format| format == "sha256");
    let file = match File::open(git_dir.join("index")) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Tracked::No,
        Err(_) => return Tracked::Unknown,
    };
    if !is_split(git_dir).is_ok_and(|is_split| !is_split) {
        return Tracked::Unknown;
    }
    find(&mut BufReader::new(file), folder.as_bytes(), if is_sha256 { 32 } else { 20 }).unwrap_or(Tracked::Unknown)
}

/// Reads entries until one lies below the folder, or is sorted after all that could. `None` for what is no index.
fn find(index: &mut impl BufRead, folder: &[u8], hash: usize) -> Option<Tracked> {
    let mut entries = Entries::open(index, hash)?;
    while let Some(entry) = entries.read()? {
        let name = entry.path;
        let is_below = name.len() >= folder.len()
            && name[..folder.len()].eq_ignore_ascii_case(folder)
            && matches!(name.get(folder.len()), None | Some(b'/'));
        if is_below {
            return Some(Tracked::Yes(String::from_utf8_lossy(&name).into_owned()));
        }
        // Small letters come last.
        if name.as_slice() > [&folder.to_ascii_lowercase()[..], b"0"].concat().as_slice() {
            break;
        }
    }
    Some(Tracked::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_index_is_not_read() {
        for bytes in [&b""[..], b"DIRC", b"DIRC\0\0\0\x09\0\0\0\x01", b"DIRC\0\0\0\x02\0\0\0\x01short"] {
            assert_eq!(find(&mut &bytes[..], b".assets", 20), None);
        }
        assert_eq!(find(&mut &b"DIRC\0\0\0\x02\0\0\0\0"[..], b".assets", 20), Some(Tracked::No));
    }
}
