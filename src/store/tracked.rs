//! Whether files of the assets folder are tracked by the code repo: then they come with anybody's commit. Found out from
//! the first entries of git's index, without a process: names that begin with a dot are sorted to its front.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::files::{entries_of, text_if_there};
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
    let Ok(names) = entries_of(git_dir) else { return Tracked::Unknown };
    if names.iter().any(|entry| entry.file_name().to_string_lossy().starts_with("sharedindex.")) {
        return Tracked::Unknown;
    }
    find(&mut BufReader::new(file), folder.as_bytes(), if is_sha256 { 32 } else { 20 }).unwrap_or(Tracked::Unknown)
}

/// Reads entries until one lies below the folder, or is sorted after all that could. `None` for what is no index.
fn find(index: &mut impl BufRead, folder: &[u8], hash: usize) -> Option<Tracked> {
    let mut header = [0; 12];
    index.read_exact(&mut header).ok()?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (version, count) = (number(4), number(8));
    if &header[..4] != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..count {
        let mut fixed = vec![0; 40 + hash + 2];
        index.read_exact(&mut fixed).ok()?;
        let mut length = fixed.len();
        if version > 2 && fixed[length - 2] & 0x40 != 0 {
            index.read_exact(&mut [0; 2]).ok()?;
            length += 2;
        }
        if version == 4 {
            name.truncate(name.len().checked_sub(offset(index)?)?);
        } else {
            name.clear();
        }
        index.read_until(0, &mut name).ok()?;
        (name.pop()? == 0).then_some(())?;
        if version < 4 {
            // Entries are padded to a multiple of eight, with one zero at least, which is read already.
            let padding = 7 - (length + name.len()) % 8;
            index.read_exact(&mut [0; 8][..padding]).ok()?;
        }
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

/// A number as the fourth version of the index writes it.
fn offset(index: &mut impl Read) -> Option<usize> {
    let mut byte = [0];
    index.read_exact(&mut byte).ok()?;
    let mut value = usize::from(byte[0] & 127);
    while byte[0] & 128 != 0 {
        index.read_exact(&mut byte).ok()?;
        value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte[0] & 127))?;
    }
    Some(value)
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
