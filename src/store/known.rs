//! Which code repos use this cache: one small file for each code repo, assets folder and store. `gc` learns from them
//! whose manifests and checkouts count.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{entries_of, read_if_there, remove_if_there, write_atomically};
use crate::error::{Error, Result};

/// A code repo that uses a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Known {
    /// Its root, absolute.
    #[serde(with = "any_path")]
    pub code_repo: PathBuf,
    /// Where its checkouts are, absolute.
    #[serde(with = "any_path")]
    pub assets_folder: PathBuf,
    /// The name of the store's directory.
    pub store: String,
    /// The assets repo as a manifest names it.
    pub assets_repo: String,
}

/// Writes it down, unless it is written down already.
///
/// # Errors
/// When the cache directory cannot be written.
pub fn remember(cache: &Path, known: &Known) -> Result<()> {
    let bytes = serde_json::to_vec(known)
        .map_err(|e| Error::failed(format!("cannot note `{}`", known.code_repo.display())).cause(e.to_string()))?;
    let file = file(cache, known);
    if read_if_there(&file)?.is_some_and(|old| old == bytes) {
        return Ok(());
    }
    write_atomically(&file, &bytes, false)
}

/// All that is written down, sorted. A file that a power cut left empty or cut short says nothing.
///
/// # Errors
/// When one of the files cannot be read: it may be of a code repo that uses what seems unused.
pub fn all(cache: &Path) -> Result<Vec<Known>> {
    let mut all: Vec<Known> = Vec::new();
    for entry in entries_of(&folder(cache))? {
        let Some(bytes) = read_if_there(&entry.path())? else { continue };
        all.extend(serde_json::from_slice(&bytes));
    }
    all.retain(|known| known.code_repo.is_absolute() && known.assets_folder.is_absolute());
    all.sort();
    Ok(all)
}

/// Forgets it.
pub fn forget(cache: &Path, known: &Known) -> Result<()> {
    remove_if_there(&file(cache, known))
}

/// The directory that holds the files.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("code-repos")
}

fn file(cache: &Path, known: &Known) -> PathBuf {
    let mut hash = sha1_smol::Sha1::new();
    // Whoever names the same assets repo in two ways must not write in turns.
    let texts = [known.store.as_bytes(), known.assets_repo.as_bytes()];
    let paths = [&known.code_repo, &known.assets_folder].map(|path| path.as_os_str().as_encoded_bytes());
    hash.update(&paths.into_iter().chain(texts).collect::<Vec<_>>().join(&0));
    let hash = hash.digest().to_string();
    folder(cache).join(&hash[..16])
}

/// A path as text, or as its bytes where it is none.
mod any_path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(to),
            None => path.as_os_str().as_encoded_bytes().serialize(to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => crate::names::path_of_bytes(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_once_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let known = |code: &str| Known {
            code_repo: code.into(),
            assets_folder: Path::new(code).join(".assets"),
            store: "host-o-n-12345678".into(),
            assets_repo: "o/n".into(),
        };
        remember(dir.path(), &known("/b")).unwrap();
        remember(dir.path(), &known("/a")).unwrap();
        let written = || std::fs::metadata(file(dir.path(), &known("/a"))).unwrap().modified().unwrap();
        let before = written();
        remember(dir.path(), &known("/a")).unwrap();
        assert_eq!(written(), before);
        std::fs::write(folder(dir.path()).join("garbage"), "{").unwrap();
        assert_eq!(all(dir.path()).unwrap(), [known("/a"), known("/b")]);
        forget(dir.path(), &known("/a")).unwrap();
        forget(dir.path(), &known("/a")).unwrap();
        assert_eq!(all(dir.path()).unwrap(), [known("/b")]);
        std::fs::create_dir(folder(dir.path()).join("unreadable")).unwrap();
        assert!(all(dir.path()).unwrap_err().message.contains("unreadable"));
    }
}
