//! The configuration of a checkout: what git has to know of the repository, of the remote, and of the file system.

use std::path::Path;

use super::checkout::Checkout;
use super::files::{is_there, read_if_there, remove_if_there};
use super::git_dir;
use crate::error::Result;
use crate::names::RemoteUrl;

/// How a file system compares names. `git init` and `git clone` find it out when they make a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSystem {
    /// Whether `A` and `a` are one file (macOS, Windows).
    ignores_case: bool,
    /// Whether it may list a name in another form of Unicode than it was given. Only git on macOS has a setting for that.
    decomposes: Option<bool>,
}

impl FileSystem {
    /// Finds out what holds where a git directory is, by one look at a name in capitals beside its `config`.
    fn of(git_dir: &Path) -> FileSystem {
        FileSystem { ignores_case: ignores_case(git_dir), decomposes: decomposes(git_dir) }
    }

    /// As git writes it; nothing for what git takes for granted.
    fn settings(self) -> String {
        let mut text = String::new();
        if self.ignores_case {
            text.push_str("\tignorecase = true\n");
        }
        if let Some(decomposes) = self.decomposes {
            text.push_str(&format!("\tprecomposeunicode = {decomposes}\n"));
        }
        text
    }
}

fn ignores_case(git_dir: &Path) -> bool {
    git_dir.join("CONFIG").symlink_metadata().is_ok()
}

/// Makes a file by one form of a name and looks for the other form, as git does.
#[cfg(target_os = "macos")]
fn decomposes(git_dir: &Path) -> Option<bool> {
    let (composed, decomposed) = (git_dir.join("\u{e4}"), git_dir.join("a\u{308}"));
    let made = std::fs::write(&composed, "").is_ok();
    let is_one = made && decomposed.symlink_metadata().is_ok();
    let _ = std::fs::remove_file(composed);
    Some(is_one)
}

#[cfg(not(target_os = "macos"))]
fn decomposes(_git_dir: &Path) -> Option<bool> {
    None
}

/// What [`FileSystem::decomposes`] may be on this system. To find it out takes a file, and it never changes.
const DECOMPOSES: &[Option<bool>] = if cfg!(target_os = "macos") { &[Some(true), Some(false)] } else { &[None] };

impl Checkout {
    /// Writes the configuration of a new checkout, in a git directory that has one for no file system in particular.
    pub(super) fn note_file_system(&self) -> Result<()> {
        let here = FileSystem::of(&self.git_dir);
        if here == FileSystem::default() {
            return Ok(());
        }
        self.write_if_different("config", config(self.store.url(), here).as_bytes()).map(drop)
    }

    /// Makes a checkout that another tool made work like one of ours, before it is changed.
    pub fn adopt(&self) -> Result<()> {
        self.write_if_different("info/attributes", git_dir::ATTRIBUTES.as_bytes())?;
        if !self.has_our_config()? {
            let here = FileSystem::of(&self.git_dir);
            self.write_if_different("config", config(self.store.url(), here).as_bytes())?;
        }
        remove_if_there(&self.git_dir.join("config.worktree"))
    }

    /// Whether its configuration is exactly what we write.
    pub fn has_our_config(&self) -> Result<bool> {
        let Some(bytes) = read_if_there(&self.git_dir.join("config"))? else { return Ok(false) };
        let ignores_case = ignores_case(&self.git_dir);
        let is_ours = |decomposes: &Option<bool>| {
            bytes == config(self.store.url(), FileSystem { ignores_case, decomposes: *decomposes }).as_bytes()
        };
        Ok(DECOMPOSES.iter().any(is_ours) && !is_there(&self.git_dir.join("config.worktree"))?)
    }
}

pub(super) fn config(url: &RemoteUrl, file_system: FileSystem) -> String {
    let url = url.as_str().replace('\\', "\\\\").replace('"', "\\\"");
    let settings = file_system.settings();
    format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tlogAllRefUpdates = false\n\tfilemode = false\n\tsymlinks = false\n\
         {settings}\tautocrlf = false\n\tlongpaths = true\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\turl = \"{url}\"\n\tpromisor = true\n\tpartialclonefilter = blob:none\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_is_told_of_the_file_system() {
        let url = RemoteUrl::parse("https://github.com/o/n.git").unwrap();
        let text = |ignores_case, decomposes| config(&url, FileSystem { ignores_case, decomposes });
        let plain = text(false, None);
        assert!(!plain.contains("ignorecase") && !plain.contains("precompose"), "{plain}");
        let core = |text: &str| text.split("[gc]").next().unwrap().to_string();
        assert!(core(&text(true, None)).contains("\n\tignorecase = true\n"));
        assert!(core(&text(true, Some(true))).contains("\n\tprecomposeunicode = true\n"));
        assert!(core(&text(true, Some(false))).contains("\n\tprecomposeunicode = false\n"));
        // The lines of git's defaults are the same whatever the file system.
        for (ignores_case, decomposes) in [(true, None), (false, Some(true)), (true, Some(false))] {
            let text = text(ignores_case, decomposes);
            let others = text.lines().filter(|line| !line.contains("ignorecase") && !line.contains("precompose"));
            assert_eq!(others.collect::<Vec<_>>(), plain.lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_file_system_is_known_by_one_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config"), "").unwrap();
        let really = std::fs::read(dir.path().join("CONFIG")).is_ok();
        assert_eq!(FileSystem::of(dir.path()).ignores_case, really);
        std::fs::write(dir.path().join("CONFIG"), "").unwrap();
        assert!(FileSystem::of(dir.path()).ignores_case);
    }
}
