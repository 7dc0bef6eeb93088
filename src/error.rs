//! What can go wrong, in the user's words, and the exit code each kind of failure has.

use std::fmt;
use std::io;
use std::path::Path;

use crate::folders::Folder;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// The kinds of failure a caller or a script tells apart, by exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It did not work, and trying again as it stands will not help.
    Failed,
    /// The command line or an `assets.json` is wrong.
    Usage,
    /// A person has to decide: a conflict, pending changes in the way, a question without a terminal.
    NeedsPerson,
    /// The remote does not know or does not trust us.
    Auth,
    /// What was to be sent may hold a secret.
    Secret,
    /// The network, or a lock that somebody held for too long: trying again may help.
    Transient,
    /// Ctrl-C or a termination signal.
    Interrupted,
}

impl Kind {
    /// The exit code of a failure of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NeedsPerson => 3,
            Kind::Auth => 4,
            Kind::Transient => 5,
            Kind::Secret => 6,
            Kind::Interrupted => 130,
        }
    }

    /// Orders the failures of several manifests: the smallest is the one to exit with.
    pub fn precedence(self) -> u8 {
        match self {
            Kind::Interrupted => 0,
            Kind::Secret => 1,
            Kind::Auth => 2,
            Kind::NeedsPerson => 3,
            Kind::Usage => 4,
            Kind::Failed => 5,
            Kind::Transient => 6,
        }
    }

    /// The word for this kind in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::NeedsPerson => "needs-person",
            Kind::Auth => "auth",
            Kind::Transient => "transient",
            Kind::Secret => "secret",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// One failure: what failed, why, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed, lower case, no final period, values in backticks.
    pub message: String,
    /// The causes, outermost first; git's own words are kept whole.
    pub causes: Vec<String>,
    /// What to do, each with a command that works.
    pub hints: Vec<String>,
}

impl Error {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// A failure that trying again does not help.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A wrong command line or manifest.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A decision that only a person can take.
    pub fn needs_person(message: impl Into<String>) -> Self {
        Self::new(Kind::NeedsPerson, message)
    }

    /// The failure of every operation that Ctrl-C or a signal ended.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
            .hint("run the same command again: it goes on where this one stopped")
    }

    /// Adds a cause below the ones already there.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts a message above this failure, which becomes its cause.
    pub fn context(mut self, message: impl Into<String>) -> Self {
        if self.kind == Kind::Interrupted {
            return self;
        }
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Names the file in the failures of the file system.
pub trait AtPath<T> {
    /// Turns an [`io::Error`] into "cannot {verb} `{path}`" with the system's words as the cause.
    fn at(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            let mut error = Error::failed(format!("cannot {verb} `{}`", path.display())).cause(source.to_string());
            error.hints.extend(advice(source.kind(), path));
            error
        })
    }
}

/// What to do about a failure of the file system at a path. Another folder is only of use where the path is in one that
/// the user can choose.
fn advice(kind: io::ErrorKind, path: &Path) -> Vec<String> {
    let chosen = Folder::of(path);
    let elsewhere = |words: &str| {
        let (folder, _) = chosen.as_ref()?;
        let words = words.replace("{an}", folder.with_article()).replace("{}", folder.name());
        Some(format!("{words} `{}`", folder.variable()))
    };
    let one = |hint: Option<String>| hint.into_iter().collect();
    match kind {
        io::ErrorKind::PermissionDenied => {
            let mut hints = vec![format!("check who owns it: `ls -ld {}`", shell_word(&path.to_string_lossy()))];
            if let Some(other) = elsewhere("another {} can be named with") {
                hints[0].push_str(&format!("; {other}"));
            }
            if let Some((_, folder)) = chosen.as_ref().filter(|_| belongs_to_another(path)) {
                let folder = shell_word(&folder.to_string_lossy());
                hints.push(format!("if a container or `sudo` left it: `sudo chown -R \"$(id -u)\" {folder}`"));
            }
            hints
        }
        io::ErrorKind::StorageFull => vec!["free some disk space, then run the same command again".into()],
        io::ErrorKind::ReadOnlyFilesystem => one(elsewhere("name {an} on another disk with")),
        io::ErrorKind::NotADirectory => {
            let mut hint = String::from("a file stands where a folder is needed");
            if let Some(other) = elsewhere("name another {} with") {
                hint.push_str(&format!("; {other}"));
            }
            vec![hint]
        }
        _ => Vec::new(),
    }
}

#[cfg(unix)]
fn belongs_to_another(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn belongs_to_another(_path: &Path) -> bool {
    false
}

/// Quotes a word for a POSIX shell when it needs it, so that hints can be pasted.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,~".contains(c);
    // Shells put something else in the place of a word that begins so.
    if !word.is_empty() && !word.starts_with(['~', '=', '%']) && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_goes_above_and_keeps_the_kind() {
        let error = Error::usage("bad").cause("deep").context("worse");
        assert_eq!(error.message, "worse");
        assert_eq!(error.causes, ["bad", "deep"]);
        assert_eq!(error.kind.exit_code(), 2);
    }

    #[test]
    fn another_folder_is_only_named_where_that_helps() {
        let root = Path::new("/places of the test");
        Folder::Assets.is_at(&root.join("code/.assets"));
        Folder::Cache.is_at(&root.join("cache"));
        let hints = |kind: io::ErrorKind, path: &str| {
            let result: io::Result<()> = Err(kind.into());
            result.at("read", &root.join(path)).unwrap_err().hints.join("\n")
        };
        let (denied, read_only) = (io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem);
        let no_folder = io::ErrorKind::NotADirectory;
        for (kind, path, hint) in [
            (denied, "code/.assets/o.n/.git/HEAD", "another assets folder can be named with `PROXY_ASSETS_FOLDER`"),
            (denied, "cache/stores/x", "another cache directory can be named with `ASSETS_CACHE_DIR`"),
            (read_only, "code/.assets", "name an assets folder on another disk with `PROXY_ASSETS_FOLDER`"),
            (read_only, "cache/stores", "name a cache directory on another disk with `ASSETS_CACHE_DIR`"),
            (no_folder, "code/.assets/x", "is needed; name another assets folder with `PROXY_ASSETS_FOLDER`"),
            (no_folder, "cache/x", "is needed; name another cache directory with `ASSETS_CACHE_DIR`"),
        ] {
            let hints = hints(kind, path);
            assert!(hints.contains(hint), "{path}: {hints}");
        }
        for (kind, path) in [denied, read_only, no_folder]
            .into_iter()
            .flat_map(|kind| ["code/sdk/a/assets.json", "code/.assets-of-others", "log"].map(|path| (kind, path)))
        {
            let hints = hints(kind, path);
            assert!(!hints.contains("PROXY_ASSETS_FOLDER") && !hints.contains("ASSETS_CACHE_DIR"), "{path}: {hints}");
        }
        assert!(hints(denied, "log").contains("`ls -ld '/places of the test/log'`"));
    }

    #[test]
    fn words_are_quoted_only_when_a_shell_would_split_them() {
        assert_eq!(shell_word("sdk/core"), "sdk/core");
        assert_eq!(shell_word("my dir"), "'my dir'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("~x"), "'~x'");
        assert_eq!(shell_word("git~1"), "git~1");
        assert_eq!(shell_word("https://h/$(id)`id`;id"), "'https://h/$(id)`id`;id'");
    }
}
