//! The words of the project as types: object ids, refs, paths and URLs. A value of one of these types has passed
//! its grammar, so it can be handed to git whoever wrote it.

mod url;

use std::fmt;

pub use url::{AssetsRepo, RemoteUrl, path_of_bytes};

/// Why a text is not a name of the wanted kind; reads on from "`text` ".
pub type Reason = String;

/// What is said of ids of the other length.
pub const SHA256: &str =
    "an id with 64 digits (SHA-256), and `assets` only works with repositories whose ids have 40 (SHA-1)";

/// A full object id: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits, kept in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Box<str>);

impl Oid {
    /// Parses a full id; short ids are refused because they may become ambiguous.
    pub fn parse(text: &str) -> Result<Oid, Reason> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !matches!(text.len(), 40 | 64) {
            return Err("is not a full commit id (40 hexadecimal digits)".into());
        }
        Ok(Oid(text.to_ascii_lowercase().into()))
    }

    /// Parses the id of a commit of an assets repo. Only code repos may have the longer ones.
    pub fn parse_pin(text: &str) -> Result<Oid, Reason> {
        match Oid::parse(text) {
            Ok(oid) if oid.is_sha256() => Err(format!("is {SHA256}")),
            parsed => parsed,
        }
    }

    /// Whether it is an id of a repository with `extensions.objectFormat` `sha256`.
    pub fn is_sha256(&self) -> bool {
        self.0.len() == 64
    }

    /// Makes an id from the raw bytes in a tree object.
    pub fn from_bytes(bytes: &[u8]) -> Oid {
        use fmt::Write;
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        Oid(hex.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for display and for the names of pushed tags.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }

    /// The length of this id in bytes in a tree object.
    pub fn raw_len(&self) -> usize {
        self.0.len() / 2
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// A branch or tag name without `refs/heads/` or `refs/tags/`, as `git check-ref-format` would accept it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

impl RefName {
    /// Parses a name by the rules of git-check-ref-format(1), and none that begins with `-`.
    pub fn parse(text: &str) -> Result<RefName, Reason> {
        let refused = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
        if text.is_empty() {
            return Err("is empty".into());
        }
        if let Some(c) = text.chars().find(|&c| refused(c)) {
            return Err(format!("holds {c:?}, which git does not allow in a ref name"));
        }
        if text.chars().any(is_invisible) {
            return Err("holds invisible characters".into());
        }
        if text.starts_with('-') {
            return Err("begins with `-`".into());
        }
        if text == "@" || text.contains("@{") || text.contains("..") || text.ends_with('.') || text.len() > 400 {
            return Err("is not a valid ref name".into());
        }
        if text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
            return Err("has an empty part, or one that begins with `.` or ends with `.lock`".into());
        }
        Ok(RefName(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of the branch of this name.
    pub fn branch_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// The full name of the tag of this name.
    pub fn tag_ref(&self) -> String {
        format!("refs/tags/{}", self.0)
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path inside a repository: relative, `/` between parts, normalised, possibly empty (the root).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RepoPath(String);

impl RepoPath {
    /// Parses a path from a manifest. Empty and `.` parts are dropped; anything that could leave the repository,
    /// or that git or another system would read differently, is refused.
    pub fn parse(text: &str) -> Result<RepoPath, Reason> {
        if text.starts_with('/') || text.get(1..2) == Some(":") {
            return Err("is not relative".into());
        }
        if let Some(c) = text.chars().find(|&c| c.is_control() || c == '\\' || is_invisible(c)) {
            return Err(format!("holds {c:?}; use `/` between the parts and visible characters in them"));
        }
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return Err("leaves the checkout with `..`".into());
            }
            if let Some(problem) = crate::store::paths::component_problem(part) {
                return Err(format!("has the part `{part}`, {problem}"));
            }
            parts.push(part);
        }
        let path = parts.join("/");
        if path.len() > 1000 {
            return Err("is longer than 1000 bytes".into());
        }
        Ok(RepoPath(path))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts between the slashes; none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// This path with another below it.
    pub fn join(&self, below: &str) -> RepoPath {
        match (self.0.is_empty(), below.is_empty()) {
            (true, _) => RepoPath(below.to_string()),
            (_, true) => self.clone(),
            _ => RepoPath(format!("{}/{below}", self.0)),
        }
    }

    /// Whether `path` is this path or lies below it.
    pub fn holds(&self, path: &str) -> bool {
        self.0.is_empty() || path.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// Characters that file systems ignore, that reorder text or that break lines: they make two names look, or be, the same.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}'
        | '\u{61c}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Makes text from a remote, a file name or a manifest fit for a terminal: no control and no bidi characters.
/// Line breaks stay, `\r` becomes one.
pub fn printable(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|c| match c {
            '\n' | '\t' => Some(c),
            '\r' => Some('\n'),
            c if c.is_control() || is_invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// As [`printable`], on one line: a name with a line break in it must not look like a line of ours.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_ids() {
        assert!(Oid::parse("4e8e976b7839c1e9c6903f48106e48be76868a5d").is_ok());
        assert_eq!(Oid::parse(&"AB".repeat(20)).unwrap().as_str(), "ab".repeat(20));
        assert!(Oid::parse(&"a".repeat(64)).is_ok());
        for bad in ["", "HEAD", "4e8e976", "--upload-pack=x", &"g".repeat(40), &"a".repeat(41)] {
            assert!(Oid::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Oid::from_bytes(&[0x1a; 20]).as_str(), "1a".repeat(20));
        assert!(Oid::parse_pin(&"a".repeat(40)).is_ok());
        assert!(Oid::parse_pin(&"a".repeat(64)).unwrap_err().contains("SHA-256"));
        assert!(!Oid::parse_pin("abc").unwrap_err().contains("SHA-256"));
    }

    #[test]
    fn ref_names() {
        for good in ["main", "auto/tables", "python/tables/azure-data-tables_1a2b3c4d5e", "net/Azure.Core_1"] {
            assert!(RefName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "-x", "a b", "a..b", "a:b", "+a:b", "a^", "a~1", "x@{1}", "@", "a//b", "/a", "a/", "a/.b", "a.lock",
            "a.", "a\nb", "a\\b", "a*",
        ] {
            // A leading `+` alone is a legal ref name; with a colon it would be a refspec.
            assert!(RefName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repo_paths() {
        let table =
            [("recordings/", "recordings"), ("", ""), ("a//b/./c", "a/b/c"), ("python", "python"), ("./x", "x")];
        for (text, normal) in table {
            assert_eq!(RepoPath::parse(text).unwrap().as_str(), normal);
        }
        for bad in [
            "../x",
            "a/../../b",
            "/a",
            "C:/x",
            "a\\b",
            ".git",
            "a/.GIT/b",
            "git~1",
            ".git.",
            "a\nb",
            "a/.g\u{200c}it",
            "nul/x",
            "a/con.json",
        ] {
            assert!(RepoPath::parse(bad).is_err(), "{bad:?}");
        }
        let path = RepoPath::parse("a/b").unwrap();
        assert!(path.holds("a/b/c") && path.holds("a/b") && !path.holds("a/bc") && !path.holds("a"));
        assert!(RepoPath::default().holds("x"));
    }

    #[test]
    fn printed_text_has_no_escapes() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\rd\n"), "a[31mbc\nd\n");
    }
}
