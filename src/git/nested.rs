//! Repositories inside a work tree. Git lists one as a single untracked entry and looks no further.

use std::io;
use std::path::Path;

/// Whether there is any file below `folder`, `.git` left out. A folder that cannot be read counts as one with files.
pub fn holds_files(folder: &Path) -> bool {
    files_in(folder).map_or(true, |files| !files.is_empty())
}

/// The first repository at or below `folder`, as a path from it with `/`; empty when it is `folder` itself.
///
/// # Errors
/// When a folder cannot be read.
pub fn repository_in(folder: &Path) -> io::Result<Option<String>> {
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.eq_ignore_ascii_case(".git") {
                return Ok(Some(prefix.trim_end_matches('/').to_string()));
            }
            if entry.file_type()?.is_dir() {
                open.push((entry.path(), format!("{prefix}{}/", name.to_string_lossy())));
            }
        }
    }
    Ok(None)
}

/// The files below `folder`, as paths from it with `/`, without what is in a `.git`. Links are files. Names that are not
/// UTF-8 are replaced as git's messages do, so that they match no file.
///
/// # Errors
/// When a folder cannot be read.
pub fn files_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if name.eq_ignore_ascii_case(".git") {
                continue;
            }
            let path = format!("{prefix}{}", name.to_string_lossy());
            match entry.file_type()?.is_dir() {
                true => open.push((entry.path(), path + "/")),
                false => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}
