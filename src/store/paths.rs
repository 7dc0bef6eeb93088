//! Which file names a checkout accepts: names that every system can hold and none confuses. Pure.

use std::collections::HashMap;

use super::listing::Listing;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};
use crate::names::{is_invisible, printable};
use crate::settings::Limits;

/// Names that Windows gives to devices, in any directory and with any extension.
const RESERVED: &[&str] = &[
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "conin$", "conout$", "com¹", "com²", "com³", "lpt¹",
    "lpt²", "lpt³",
];

/// Why a single name cannot be used everywhere; reads on from "the part `x`, ".
pub fn component_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Some("which is not a name");
    }
    if name.len() > 255 {
        return Some("which is longer than 255 bytes");
    }
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Some("which holds control or invisible characters");
    }
    if name.contains(['\\', ':', '/', '<', '>', '"', '|', '?', '*']) {
        return Some("which holds a character that Windows does not allow in names");
    }
    if name.ends_with(['.', ' ']) {
        return Some("which ends with a dot or a space, as Windows names cannot");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if RESERVED.iter().any(|reserved| stem.eq_ignore_ascii_case(reserved)) {
        return Some("which is the name of a device on Windows");
    }
    let git_short_name = name.len() > 4 && name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("git~"));
    if name.eq_ignore_ascii_case(".git") || git_short_name {
        return Some("which is a name that git keeps for itself");
    }
    None
}

/// Refuses a path that cannot be written everywhere.
pub fn check_path(path: &str, limits: &Limits) -> Result<()> {
    let problem = path.split('/').find_map(|part| component_problem(part).map(|why| (part.to_string(), why)));
    if let Some((part, why)) = problem {
        return Err(Error::failed(format!("the file name `{}` cannot be used", printable(path)))
            .cause(format!("it has the part `{}`, {why}", printable(&part)))
            .hint("rename the file in the assets repo (or the test that records it)"));
    }
    if path.len() > limits.path {
        return Err(Error::failed(format!("the file name `{path}` is too long"))
            .cause(format!(
                "it has {} bytes, and {} are allowed, because Windows tools stop at 260 with the folder",
                path.len(),
                limits.path
            ))
            .hint(format!("shorten it, or allow more with `ASSETS_MAX_PATH={}`", path.len())));
    }
    Ok(())
}

/// Refuses a listing that cannot be written everywhere: bad names, names that differ only by case, symlinks and
/// submodules, too many files. A link above the slice is written as a plain file, and no recording.
pub fn check_listing(listing: &Listing, limits: &Limits) -> Result<()> {
    let count = listing.files.len() + listing.above.len();
    if count > limits.files {
        return Err(too_many(limits));
    }
    let mut spellings: HashMap<String, &str> = HashMap::with_capacity(count);
    for entry in &listing.files {
        check_mode(&entry.path, &entry.mode)?;
    }
    for entry in listing.files.iter().chain(&listing.above) {
        check_path(&entry.path, limits)?;
        let folders = entry.path.match_indices('/').map(|(end, _)| &entry.path[..end]);
        for path in folders.chain([entry.path.as_str()]) {
            let spelling = *spellings.entry(folded(path)).or_insert(path);
            if spelling != path {
                return Err(twins(spelling, path).hint("rename one of them in the assets repo"));
            }
        }
    }
    Ok(())
}

/// Refuses files that would fill the disk, once their sizes are known.
pub fn check_sizes(listing: &Listing, limits: &Limits) -> Result<()> {
    let mut bytes = 0_u64;
    for entry in listing.files.iter().chain(&listing.above) {
        if entry.size > limits.file_bytes {
            return Err(too_large(&entry.path, limits).cause(format!("it has {} bytes", entry.size)));
        }
        bytes = bytes.saturating_add(entry.size);
    }
    if bytes > limits.bytes {
        return Err(Error::failed(format!(
            "the files of the slice have {bytes} bytes, and {} are allowed",
            limits.bytes
        ))
        .hint(format!("if that is right, allow more with `ASSETS_MAX_BYTES={bytes}`")));
    }
    Ok(())
}

/// The failure of a file that is larger than a recording can be.
pub fn too_large(path: &str, limits: &Limits) -> Error {
    Error::failed(format!("the file `{}` is larger than {} bytes", printable(path), limits.file_bytes))
        .hint("if that is right, allow more with `ASSETS_MAX_FILE_BYTES=<number>`")
}

/// A name in the form in which file systems compare names that ignore case and Unicode's different forms of one letter: two
/// names with the same one are one file there.
pub fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let fold = |c: char| match c {
        // Its capital is that of `i`, but without Turkish rules it is a letter of its own.
        'ı' => vec![c],
        // The way back from capitals also brings together `ß`, `ẞ` and `ss`, `ſ` and `s`, `ς` and `σ`.
        c => c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect(),
    };
    name.nfd().flat_map(fold).nfd().collect()
}

/// The failure of two names that some systems cannot tell apart.
pub fn twins(one: &str, other: &str) -> Error {
    let (one, other) = (printable(one), printable(other));
    let lower = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let error = match lower(&one) == lower(&other) {
        true => Error::failed(format!("the names `{one}` and `{other}` differ only by case")),
        false => Error::failed(format!("the names `{one}` and `{other}` are different forms of the same letters"))
            .cause(format!("as ASCII: `{}` and `{}`", one.escape_default(), other.escape_default())),
    };
    error.cause("Windows and macOS would keep one of them")
}

/// The failure of a tree with more files than a slice may have.
pub fn too_many(limits: &Limits) -> Error {
    Error::failed(format!("the slice has more than {} files", limits.files))
        .hint("if that is right, allow more with `ASSETS_MAX_FILES=<number>`")
}

/// Refuses what is not a plain file.
pub fn check_mode(path: &str, mode: &str) -> Result<()> {
    let what = match mode {
        "120000" => "a symlink",
        "160000" => "a submodule",
        // The last is what early gits wrote.
        "100644" | "100755" | "100664" => return Ok(()),
        _ => "of no known kind",
    };
    Err(Error::failed(format!("`{}` is {what}", printable(path)))
        .cause("only plain files can be recordings: a link could lead tests to write anywhere")
        .hint("replace it by a plain file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Oid;
    use crate::store::listing::Entry;

    fn entry(path: &str, mode: &str) -> Entry {
        Entry { path: path.into(), mode: mode.into(), oid: Oid::from_bytes(&[1; 20]), size: 0 }
    }

    #[test]
    fn names_that_some_system_cannot_hold() {
        for bad in [
            "CON.json",
            "nul",
            "a.json:ads",
            "x.",
            "x ",
            ".git",
            ".GIT",
            "git~1",
            "GIT~2",
            "a\\b",
            "a\u{1b}b",
            "a\u{202e}b",
            "",
            "..",
            "a?b",
            "lpt1.tar.gz",
            "COM¹",
            "lpt³.json",
        ] {
            assert!(component_problem(bad).is_some(), "{bad:?}");
        }
        for good in [
            "a.json",
            ".gitignore",
            ".gitattributes",
            "console.json",
            "test_a[b].json",
            "git~",
            "digit~1",
            "é.json",
            "café",
            "日本語.json",
            "com⁴.json",
            "a b",
        ] {
            assert!(component_problem(good).is_none(), "{good:?}");
        }
        assert!(component_problem(&"x".repeat(256)).is_some());
    }

    #[test]
    fn names_that_are_one_file_on_some_system() {
        let table: &[&[&str]] = &[
            &["a/b", "A/B"],
            &["café", "cafe\u{301}", "CAFÉ", "CAFE\u{301}"],
            &["straße", "STRASSE", "strasse", "STRAẞE"],
            &["ſ", "s", "S"],
            &["σ", "ς", "Σ"],
            &["k", "\u{212a}"],
            &["å", "\u{212b}", "a\u{30a}"],
            // Marks in another order.
            &["a\u{323}\u{307}", "a\u{307}\u{323}", "\u{1ea1}\u{307}"],
            &["가", "\u{1100}\u{1161}"],
            &["İ", "i\u{307}"],
            &["i", "I"],
            &["ı"],
            &["cafe"],
            &["ﬁ", "fi", "FI"],
            &["²"],
            &["2"],
            &["日本語"],
            &["ｱ"],
            &["ア"],
        ];
        for (at, names) in table.iter().enumerate() {
            for (other_at, others) in table.iter().enumerate() {
                for (name, other) in names.iter().flat_map(|name| others.iter().map(move |other| (name, other))) {
                    assert_eq!(folded(name) == folded(other), at == other_at, "{name} {other}");
                }
            }
        }
    }

    #[test]
    fn listings() {
        let limits = Limits { files: 2, path: 20, file_bytes: 10, bytes: 15 };
        let slice = |files: &[(&str, &str)]| {
            let files = files.iter().map(|(path, mode)| entry(path, mode)).collect();
            check_listing(&Listing { files, ..Listing::default() }, &limits)
        };
        assert!(slice(&[("a/b.json", "100644")]).is_ok());
        assert!(slice(&[("a/B.json", "100644"), ("a/b.json", "100644")]).is_err());
        assert!(slice(&[("A/x", "100644"), ("a/y", "100644")]).is_err());
        assert!(slice(&[("é/x", "100644"), ("e\u{301}/y", "100644")]).is_err());
        assert!(slice(&[("a", "120000")]).is_err());
        assert!(slice(&[("a", "160000")]).is_err());
        assert!(slice(&[("aaaaaaaaaa/bbbbbbbbbb", "100644")]).is_err());
        assert!(slice(&[("a", "100644"), ("b", "100644"), ("c", "100644")]).is_err());
        let above = |path: &str, mode: &str| {
            check_listing(&Listing { above: vec![entry(path, mode)], ..Listing::default() }, &limits)
        };
        assert!(above("readme", "120000").is_ok());
        assert!(above("nul", "100644").is_err());
    }

    #[test]
    fn sizes() {
        let limits = Limits { files: 2, path: 20, file_bytes: 10, bytes: 15 };
        let of = |sizes: &[u64]| {
            let files = sizes.iter().map(|size| Entry { size: *size, ..entry("a", "100644") }).collect();
            check_sizes(&Listing { files, ..Listing::default() }, &limits).is_ok()
        };
        assert!(of(&[]) && of(&[10]) && of(&[10, 5]));
        assert!(!of(&[11]) && !of(&[10, 6]) && !of(&[u64::MAX, u64::MAX]));
        // On every machine, whatever the width of its addresses.
        let Limits { file_bytes, bytes, .. } = Limits::default();
        assert_eq!((file_bytes, bytes), (104_857_600, 4_294_967_296));
    }
}
