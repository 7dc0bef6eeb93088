//! Notes that a command leaves in a git directory before it does something, for the command that completes it after an
//! interruption: JSON with the version of its format.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::{read_if_there, write_atomically};
use crate::error::{Error, Result, shell_word};

/// One kind of note.
pub struct Format {
    /// What it is called in messages.
    pub name: &'static str,
    /// The newest version that this program knows. Files without a version are older than all.
    pub version: u32,
    /// What to do with a file that cannot be understood, before it is removed.
    pub advice: &'static str,
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    #[serde(flatten)]
    content: &'a T,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    version: u32,
}

impl Format {
    /// Reads a note; `None` when there is none. An empty file, or one of zeros only, is what a power cut leaves of one
    /// that was not on disk yet: it counts as absent.
    ///
    /// # Errors
    /// When it cannot be read, is of a newer version, or is damaged: then it must stay, and so must all it may tell of.
    pub fn read<T: DeserializeOwned>(&self, file: &Path) -> Result<Option<T>> {
        let Some(bytes) = read_if_there(file)?.filter(|bytes| bytes.iter().any(|byte| *byte != 0)) else {
            return Ok(None);
        };
        let damaged = |e: serde_json::Error| self.damaged(file, &e.to_string());
        let Version { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version > self.version {
            return Err(Error::failed(format!("`{}` was written by a newer version of assets", file.display()))
                .cause(format!(
                    "its {} has the format {version}, and this version knows formats up to {}",
                    self.name, self.version
                ))
                .hint("use that version here too; `assets --version` tells which one this is"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// The failure of a note that cannot be understood.
    pub fn damaged(&self, file: &Path, why: &str) -> Error {
        Error::failed(format!("the {} `{}` is damaged", self.name, file.display())).cause(why).hint(format!(
            "{}, then remove it: `rm {}`",
            self.advice,
            shell_word(&file.to_string_lossy())
        ))
    }

    /// Writes a note so that it survives a power cut.
    pub fn write<T: Serialize>(&self, file: &Path, content: &T) -> Result<()> {
        let written = Written { version: self.version, content };
        let bytes = serde_json::to_vec(&written).map_err(|e| {
            Error::failed(format!("cannot write the {} `{}`", self.name, file.display())).cause(e.to_string())
        })?;
        write_atomically(file, &bytes, true)
    }
}

/// The notes in a git directory, of all kinds.
pub fn files_in(git_dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = super::files::entries_of(git_dir)?.into_iter();
    let is_note = |name: &str| name == super::journal::FILE || name.starts_with(PUSH);
    Ok(entries.filter(|entry| entry.file_name().to_str().is_some_and(is_note)).map(|entry| entry.path()).collect())
}

/// How the names of the notes of pushes begin.
pub const PUSH: &str = "assets-push-";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Content {
        to: String,
    }

    const FORMAT: Format = Format { name: "note", version: 2, advice: "look at it" };

    #[test]
    fn older_notes_are_read_and_newer_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("note");
        let read = || FORMAT.read::<Content>(&file);
        let content = Content { to: "x".into() };
        assert_eq!(read().unwrap(), None);
        FORMAT.write(&file, &content).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"version":2,"to":"x"}"#);
        assert_eq!(read().unwrap().as_ref(), Some(&content));
        for old in [r#"{"to":"x"}"#, r#"{"version":1,"to":"x"}"#] {
            std::fs::write(&file, old).unwrap();
            assert_eq!(read().unwrap().as_ref(), Some(&content), "{old}");
        }
        for empty in ["", "\0\0\0"] {
            std::fs::write(&file, empty).unwrap();
            assert_eq!(read().unwrap(), None, "{empty:?}");
        }
        std::fs::write(&file, r#"{"version":3,"from":7}"#).unwrap();
        assert!(read().unwrap_err().message.contains("a newer version of assets"));
        for damaged in ["{", "null", r#"{"version":2}"#, r#"{"to":"x","#] {
            std::fs::write(&file, damaged).unwrap();
            let error = read().unwrap_err();
            assert!(error.message.contains("is damaged"), "{damaged}: {}", error.message);
            assert!(error.hints[0].contains("`rm "), "{:?}", error.hints);
        }
    }
}
