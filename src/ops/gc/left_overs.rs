//! What killed runs left behind, and what was set aside because it was broken.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::observe::World;
use crate::error::Error;
use crate::ops::push::scanner::FILES;
use crate::store::files::entries_of;
use crate::store::{known, stores_folder};

/// How the names of directories begin that are being removed.
pub const GOING: &str = ".assets-going-";
/// How the names begin of what is being built, written or downloaded.
const BUILT: &str = ".new-";
const WRITTEN: &str = ".tmp-";
const DOWNLOADED: &str = "tmp_";
/// What is built may still be: it gets this long after the last change.
const OLD: Duration = Duration::from_secs(3600);

/// Something that is no checkout and no store.
pub struct LeftOver {
    pub path: PathBuf,
    pub bytes: u64,
    /// Whether it was set aside for a person to look at.
    pub broken: bool,
}

/// Finds them in the assets folders and the cache directory. What cannot be read goes to `errors`.
pub fn find(world: &World, cache: &Path, errors: &mut Vec<(String, Error)>) -> Vec<LeftOver> {
    let mut places: Vec<PathBuf> = vec![cache.to_path_buf(), known::folder(cache), stores_folder(cache)];
    // If they cannot be listed, neither can their folder.
    let stores = super::stores_in(cache).unwrap_or_default();
    let packs: Vec<PathBuf> = stores.iter().map(|store| store.join("objects/pack")).collect();
    places.extend(stores);
    for folder in world.folders() {
        places.extend([folder.to_path_buf(), folder.join("breadcrumb")]);
    }
    let readable = world.checkouts.iter().filter(|seen| seen.trouble.is_none());
    places.extend(readable.map(|seen| seen.dir.join(".git")));
    places.retain(|place| !world.unread.iter().any(|(folder, _)| folder == place));
    let (mut found, mut entries) = (Vec::new(), Vec::new());
    for place in places.iter().chain(&packs) {
        match entries_of(place) {
            Ok(some) => entries.extend(some),
            Err(error) => errors.push((place.to_string_lossy().into_owned(), error)),
        }
    }
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let downloaded = name.starts_with(DOWNLOADED) && packs.iter().any(|packs| path.starts_with(packs));
        let unfinished = downloaded || is_ours(&path, &name);
        let (broken, going) = (is_broken(&name), name.starts_with(GOING));
        if !broken && !going && !unfinished {
            continue;
        }
        let (bytes, changed) = measure(&path);
        if broken || going || changed.elapsed().is_ok_and(|age| age > OLD) {
            found.push(LeftOver { path, bytes, broken });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Whether something is what we build or write before it gets its name. An assets folder that the user chose may hold
/// other things too.
fn is_ours(path: &Path, name: &str) -> bool {
    let named = |prefix| {
        let rest = name.strip_prefix(prefix).unwrap_or_default();
        rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let Ok(meta) = path.symlink_metadata() else { return false };
    let holds = |name: &str| path.join(name).exists();
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    // A checkout, a store, what was looked at for secrets, or a pack and its index.
    let built = || holds(".git") || holds("HEAD") || holds(FILES) || is_packs(path) || is_empty();
    (meta.is_file() && named(WRITTEN)) || (meta.is_dir() && named(BUILT) && built())
}

fn is_packs(folder: &Path) -> bool {
    entries_of(folder).is_ok_and(|entries| {
        entries.iter().all(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("pack-") || name.starts_with(DOWNLOADED) || name.starts_with(WRITTEN)
        })
    })
}

/// `<name>.broken-<time>`, as [`crate::store::checkout::broken_name`] makes it.
pub fn is_broken(name: &str) -> bool {
    let time = name.rsplit_once(".broken-").map_or("", |(_, time)| time);
    !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

/// The bytes of the files at and below a path, and when the last of them was changed: now, where that cannot be told.
/// Links are not followed.
pub fn measure(path: &Path) -> (u64, SystemTime) {
    let Ok(meta) = path.symlink_metadata() else { return (0, SystemTime::UNIX_EPOCH) };
    let mut total = (if meta.is_dir() { 0 } else { meta.len() }, meta.modified().unwrap_or(SystemTime::now()));
    if meta.is_dir() {
        let Ok(entries) = entries_of(path) else { return (total.0, SystemTime::now()) };
        for entry in entries {
            let (bytes, changed) = measure(&entry.path());
            total = (total.0 + bytes, total.1.max(changed));
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_was_set_aside() {
        for (name, broken) in [
            ("o.n.broken-1700000000", true),
            ("o.n.broken-1700000000-1", true),
            ("o.broken-down", false),
            ("o.n", false),
            ("x.broken-", false),
        ] {
            assert_eq!(is_broken(name), broken, "{name}");
        }
    }
}
