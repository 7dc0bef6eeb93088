//! Git directories written by ourselves, without `init`, `config` or `sparse-checkout`, and the plain files in them:
//! HEAD, refs, `shallow`, sparse patterns. Reading them takes no process either.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::{entries_of, read_if_there, text_if_there};
pub use super::files::{remove_if_there, write_atomically};
use crate::error::{AtPath, Result};
use crate::names::{Oid, RefName, RepoPath};

/// Recordings are bytes: nothing in an assets repo may convert, merge or filter them.
pub const ATTRIBUTES: &str = "* -text -eol -filter -ident -working-tree-encoding -diff -merge\n";

/// Makes the directories that git needs to see a repository, as far as they are not there.
pub fn create_folders(git_dir: &Path) -> Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        let folder = git_dir.join(folder);
        std::fs::create_dir_all(&folder).at("create", &folder)?;
    }
    Ok(())
}

/// Writes a new git directory, with the attributes file.
pub fn create(git_dir: &Path, config: &str, head: &str) -> Result<()> {
    create_folders(git_dir)?;
    for (name, content) in [("info/attributes", ATTRIBUTES), ("config", config), ("HEAD", head)] {
        let file = git_dir.join(name);
        std::fs::write(&file, content).at("write", &file)?;
    }
    Ok(())
}

/// Copies an index with all that it knows about unchanged files. Git knows a file that may have been edited since the index
/// was written by their times: with a younger copy it would take an edit of the same length, made in the same second, for
/// no change.
pub fn copy_index(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).at("copy", from)?;
    let written = std::fs::metadata(from).and_then(|meta| meta.modified()).at("look at", from)?;
    let copy = std::fs::File::options().write(true).open(to).at("open", to)?;
    copy.set_modified(written).at("set the time of", to)
}

/// Whether the index is there and ends with its own checksum. Git looks at no more of it than it needs, and may take one
/// that was cut short for many deletions.
pub fn has_whole_index(git_dir: &Path) -> Result<bool> {
    const CHECKSUM: usize = 20;
    let Some(index) = read_if_there(&git_dir.join("index"))? else { return Ok(false) };
    let Some(end) = index.len().checked_sub(CHECKSUM).filter(|_| index.starts_with(b"DIRC")) else { return Ok(false) };
    let (content, checksum) = index.split_at(end);
    // Git leaves it out with `index.skipHash`.
    Ok(checksum == [0; CHECKSUM] || checksum == sha1_smol::Sha1::from(content).digest().bytes())
}

/// The commit of HEAD: detached as we leave it, or on a branch that somebody made there by hand. What is not an id, as in
/// a file that a power cut left empty, cut short or full of zeros, counts as absent: it is made anew.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read_head(git_dir: &Path) -> Result<Option<Oid>> {
    let Some(text) = text_if_there(&git_dir.join("HEAD"))? else { return Ok(None) };
    match text.trim().strip_prefix("ref: refs/heads/").map(RefName::parse) {
        Some(Ok(branch)) => read_ref(git_dir, &branch.branch_ref()),
        Some(Err(_)) => Ok(None),
        None => Ok(id(&text)),
    }
}

/// Reads a ref, loose or packed. What is not an id counts as absent, as for [`read_head`].
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read_ref(git_dir: &Path, name: &str) -> Result<Option<Oid>> {
    let file = git_dir.join(name);
    match text_if_there(&file) {
        Ok(Some(text)) => Ok(id(&text)),
        // The folder of other refs: git packed them together with this one, or this one is none.
        Err(_) if file.is_dir() => Ok(packed_refs(git_dir)?.remove(name)),
        Ok(None) => Ok(packed_refs(git_dir)?.remove(name)),
        Err(error) => Err(error),
    }
}

/// The id that a ref holds. Forty zeros are how git writes that there is none.
fn id(text: &str) -> Option<Oid> {
    Oid::parse(text.trim()).ok().filter(|oid| oid.as_str().bytes().any(|digit| digit != b'0'))
}

/// Writes a loose ref.
pub fn write_ref(git_dir: &Path, name: &str, oid: &Oid) -> Result<()> {
    write_atomically(&git_dir.join(name), format!("{oid}\n").as_bytes(), false)
}

/// All refs whose full name begins with `prefix` (which ends with `/`), by the rest of their names.
///
/// # Errors
/// When one of them, or a folder of them, cannot be read.
pub fn refs_below(git_dir: &Path, prefix: &str) -> Result<BTreeMap<String, Oid>> {
    let mut refs = BTreeMap::new();
    // First those that git may pack meanwhile: it writes the packed ones before it removes these.
    loose_refs(&git_dir.join(prefix), "", &mut refs)?;
    for (name, oid) in packed_refs(git_dir)? {
        if let Some(name) = name.strip_prefix(prefix) {
            refs.entry(name.to_string()).or_insert(oid);
        }
    }
    Ok(refs)
}

fn loose_refs(folder: &Path, name: &str, refs: &mut BTreeMap<String, Oid>) -> Result<()> {
    for entry in entries_of(folder)? {
        let file_name = entry.file_name();
        let Some(last) = file_name.to_str() else { continue };
        // No ref is called so: it is a lock of git, or a file that is being written.
        if last.starts_with('.') || last.ends_with(".lock") {
            continue;
        }
        let name = if name.is_empty() { last.to_string() } else { format!("{name}/{last}") };
        let kind = entry.file_type().at("look at", &entry.path())?;
        if kind.is_dir() {
            loose_refs(&entry.path(), &name, refs)?;
        } else if kind.is_file()
            && let Some(oid) = text_if_there(&entry.path())?.as_deref().and_then(id)
        {
            refs.insert(name, oid);
        }
    }
    Ok(())
}

pub(super) fn packed_refs(git_dir: &Path) -> Result<BTreeMap<String, Oid>> {
    let text = text_if_there(&git_dir.join("packed-refs"))?.unwrap_or_default();
    let refs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(refs.filter_map(|(oid, name)| Some((name.to_string(), id(oid)?))).collect())
}

/// The patterns of `info/sparse-checkout` in cone mode: each slice whole, and the files in the directories above it.
pub fn cone_patterns<'a>(slices: impl IntoIterator<Item = &'a RepoPath>) -> String {
    let slices: Vec<&RepoPath> = slices.into_iter().collect();
    if slices.iter().any(|slice| slice.is_root()) {
        return "/*\n".into();
    }
    // true: shown whole; false: only its files. Sorted, so that a directory comes before what is below it.
    let mut folders: BTreeMap<String, bool> = BTreeMap::new();
    let outermost =
        slices.iter().filter(|slice| !slices.iter().any(|other| other != *slice && other.holds(slice.as_str())));
    for slice in outermost {
        for (end, _) in slice.as_str().match_indices('/') {
            folders.entry(slice.as_str()[..end].to_string()).or_insert(false);
        }
        folders.insert(slice.to_string(), true);
    }
    let mut patterns = String::from("/*\n!/*/\n");
    for (folder, whole) in folders {
        let folder = escape_pattern(&folder);
        patterns.push_str(&format!("/{folder}/\n"));
        if !whole {
            patterns.push_str(&format!("!/{folder}/*/\n"));
        }
    }
    patterns
}

fn escape_pattern(folder: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
    folder.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A path as part of a ref name: only letters, digits, `-` and `_` stay, because ref names forbid much of the rest.
pub fn ref_name_of(path: &RepoPath) -> String {
    let mut name = String::new();
    for part in path.parts() {
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
                name.push(byte as char);
            } else {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
        name.push('/');
    }
    name
}

/// The path that [`ref_name_of`] was given.
pub fn path_of_ref_name(name: &str) -> Option<RepoPath> {
    let mut bytes = Vec::new();
    let mut rest = name.trim_end_matches('/').bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    RepoPath::parse(&String::from_utf8(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn cones() {
        assert_eq!(cone_patterns([&path("a")]), "/*\n!/*/\n/a/\n");
        assert_eq!(
            cone_patterns([&path("a/b"), &path("a/c/d")]),
            "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/a/c/\n!/a/c/*/\n/a/c/d/\n"
        );
        assert_eq!(cone_patterns([&path("a/b"), &path("a/b/c")]), "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n");
        assert_eq!(cone_patterns([&path("a"), &path("")]), "/*\n");
        assert_eq!(cone_patterns([&path("a[1]")]), "/*\n!/*/\n/a\\[1]/\n");
    }

    #[test]
    fn paths_survive_ref_names() {
        for text in ["", "sdk/core", "a b/c.d/.e", "x~y/z^1/lock.lock", "é/%41"] {
            let name = ref_name_of(&path(text));
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_%/".contains(c)), "{name}");
            assert_eq!(path_of_ref_name(&name), Some(path(text)), "{text}");
        }
    }

    #[test]
    fn refs_are_read_loose_and_packed() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Oid::from_bytes(&[1; 20]), Oid::from_bytes(&[2; 20]));
        std::fs::write(
            dir.path().join("packed-refs"),
            format!("# pack-refs with: peeled\n{one} refs/x/a\n^{two}\n{one} refs/x/b/c\n"),
        )
        .unwrap();
        write_ref(dir.path(), "refs/x/a", &two).unwrap();
        assert_eq!(read_ref(dir.path(), "refs/x/a").unwrap(), Some(two.clone()));
        assert_eq!(read_ref(dir.path(), "refs/x/b/c").unwrap(), Some(one.clone()));
        assert_eq!(read_ref(dir.path(), "refs/x/none").unwrap(), None);
        let all = BTreeMap::from([("a".into(), two), ("b/c".into(), one.clone())]);
        assert_eq!(refs_below(dir.path(), "refs/x/").unwrap(), all);
        for none in [String::new(), "\0".repeat(41), one.as_str()[..20].to_string(), "0".repeat(40)] {
            std::fs::write(dir.path().join("refs/x/a"), &none).unwrap();
            assert_eq!(read_ref(dir.path(), "refs/x/a").unwrap(), None, "{none:?}");
            std::fs::write(dir.path().join("HEAD"), &none).unwrap();
            assert_eq!(read_head(dir.path()).unwrap(), None, "{none:?}");
        }
        // A folder at its name is no ref; one that cannot be read as a file is an error.
        assert_eq!(read_ref(dir.path(), "refs/x").unwrap(), None);
        std::fs::remove_file(dir.path().join("packed-refs")).unwrap();
        std::fs::create_dir(dir.path().join("packed-refs")).unwrap();
        assert!(refs_below(dir.path(), "refs/x/").unwrap_err().message.contains("packed-refs"));
        assert!(read_ref(dir.path(), "refs/x/none").is_err());
    }
}
