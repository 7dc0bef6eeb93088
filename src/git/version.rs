//! Which git is old enough to be refused.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::program::Git;
use crate::error::{Error, Result};
use crate::store::git_dir::write_atomically;

/// The oldest git that is supported, because it is the oldest that the tests run with. (`cat-file --batch-command`,
/// without which nothing works, came with 2.36.)
pub const OLDEST: (u32, u32) = (2, 39);

/// Whether this very program file was found to be new enough before, so that `git --version` runs once per installed
/// git and not once per command.
pub fn is_remembered(git: &Git, cache: &Path) -> bool {
    let remembered = std::fs::read_to_string(cache.join(REMEMBERED)).ok();
    remembered.is_some() && remembered == identity(git.program())
}

/// Refuses a git that is too old, and remembers in `cache` one that is not.
///
/// # Errors
/// When git is older than [`OLDEST`], cannot be started, or does not say its version.
pub fn check(git: &Git, cache: &Path) -> Result<()> {
    let line = git.version()?;
    let (oldest_major, oldest_minor) = OLDEST;
    let version = parse(&line).ok_or_else(|| {
        Error::failed(format!("cannot tell the version of `{}`", git.program().display()))
            .cause(format!("`git --version` printed `{}`", crate::names::printable(&line)))
            .hint("check with `git --version` that git works")
    })?;
    if version < OLDEST {
        return Err(Error::failed(format!("git is too old: {oldest_major}.{oldest_minor} or newer is needed"))
            .cause(format!("`{}` is {}", git.program().display(), crate::names::printable(&line)))
            .hint("install a newer git and put it first on `PATH`; check with `git --version`"));
    }
    if let Some(identity) = identity(git.program()) {
        // Only saves a process next time: not worth failing for.
        let _ = write_atomically(&cache.join(REMEMBERED), identity.as_bytes(), false);
    }
    Ok(())
}

/// The file in the cache directory that remembers the last good git.
const REMEMBERED: &str = "git-version";

/// What tells this program file from another or an updated one.
fn identity(program: &Path) -> Option<String> {
    let file = std::fs::metadata(program).ok()?;
    let modified = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}\n{}\n{}\n", program.display(), file.len(), modified.as_nanos()))
}

/// Reads major and minor from `git version 2.47.3 (Apple Git-1)`.
fn parse(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("git version ")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major, minor[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.45.1.windows.1", Some((2, 45))),
            ("git version 3.0-rc1", Some((3, 0))),
            ("git version 1.8", Some((1, 8))),
            ("hello", None),
        ];
        for (line, version) in table {
            assert_eq!(parse(line), version, "{line}");
        }
    }
}
