//! Checkouts whose refs another tool keeps in git's newer form. This program reads refs as files, so it makes files of them
//! before it works there. `git refs migrate` cannot do it where there are reflogs, until git 2.48.

use super::checkout::Checkout;
use super::files::{is_there, remove_if_there, text_if_there, write_atomically};
use super::git_dir;
use crate::error::{AtPath, Error, Result, shell_word};
use crate::git::parse;
use crate::git::refs::Ref;
use crate::names::RefName;

/// Below these, refs belong to one work tree, and git keeps each in a file of its own.
const OF_WORK_TREE: &[&str] = &["refs/bisect/", "refs/rewritten/", "refs/worktree/"];

impl Checkout {
    /// Whether git's tables of refs are there.
    pub fn has_reftable(&self) -> Result<bool> {
        is_there(&self.git_dir.join("reftable/tables.list"))
    }

    /// Whether its refs are no files.
    pub fn uses_reftable(&self) -> Result<bool> {
        let text = text_if_there(&self.git_dir.join("config"))?.unwrap_or_default();
        let format = parse::config_value(&text, "extensions", "refstorage");
        Ok(format.is_some_and(|format| format.eq_ignore_ascii_case("reftable")))
    }

    /// Makes files of its refs, and adopts it. Call it under the lock, after the checkout was found to be harmless. Index and
    /// work tree are not touched. When it is interrupted, the next command begins again: until the configuration is
    /// replaced, what git knew counts.
    ///
    /// # Errors
    /// When this git cannot read them.
    pub fn make_refs_files(&self) -> Result<()> {
        if !self.uses_reftable()? {
            return Ok(());
        }
        let refs = self.repo.every_ref().map_err(|error| self.unreadable(error))?;
        let branch = self.repo.branch_of_head().map_err(|error| self.unreadable(error))?;
        if branch.is_none() && !refs.iter().any(|one| one.name == "HEAD") {
            return Err(self.unreadable(Error::failed("it has no `HEAD`")));
        }
        self.repo.git.report().phase("taking the checkout over");
        let heads = self.git_dir.join("refs/heads");
        if heads.is_file() {
            remove_if_there(&heads)?;
        }
        for folder in [heads, self.git_dir.join("refs/tags")] {
            std::fs::create_dir_all(&folder).at("create", &folder)?;
        }
        // Where it is there already, an interrupted command of ours wrote it.
        let mut packed = git_dir::packed_refs(&self.git_dir)?;
        for one in &refs {
            match place_of(one) {
                Some(Place::Packed) => drop(packed.insert(one.name.clone(), one.oid.clone())),
                Some(Place::File(content)) => {
                    write_atomically(&self.git_dir.join(&one.name), content.as_bytes(), false)?;
                }
                None => {}
            }
        }
        let lines: String = packed.into_iter().map(|(name, oid)| format!("{oid} {name}\n")).collect();
        let text = format!("# pack-refs with: sorted \n{lines}");
        write_atomically(&self.git_dir.join("packed-refs"), text.as_bytes(), true)?;
        if let Some(branch) = branch {
            write_atomically(&self.git_dir.join("HEAD"), format!("ref: {branch}\n").as_bytes(), true)?;
        }
        self.adopt()?;
        // Its reflogs may be all that leads to something.
        let kept = (0..).map(|n| self.git_dir.join(format!("reftable.old{n}"))).find(|kept| !kept.exists());
        let (table, kept) = (self.git_dir.join("reftable"), kept.unwrap_or_default());
        match std::fs::rename(&table, &kept) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.at("move away", &table),
        }
    }

    /// What a command says that changes nothing.
    pub fn still_uses_reftable(&self) -> Error {
        Error::failed(format!("`{}` keeps its refs as `reftable`, which `assets` does not read", self.dir.display()))
            .cause("the .NET test proxy made it with a git whose `init.defaultRefFormat` says so")
            .hint("`assets restore` or `assets push` takes it over, and what is pending stays")
    }

    fn unreadable(&self, error: Error) -> Error {
        let dir = shell_word(&self.dir.to_string_lossy());
        let mut unreadable = self.still_uses_reftable();
        unreadable.causes.push(error.message);
        unreadable.causes.extend(error.causes);
        unreadable.hints = vec![
            "only git 2.45 or newer can read them: put one first on `PATH` and run the same command again; what is pending stays".into(),
            format!("or convert them with git 2.48 or newer: `git -C {dir} refs migrate --ref-format=files`"),
        ];
        unreadable
    }
}

/// Where a ref is kept as a file, with the content of a file of its own.
enum Place {
    Packed,
    File(String),
}

/// None for a name that no git gives: it would be a path to anywhere.
fn place_of(one: &Ref) -> Option<Place> {
    let below = one.name.strip_prefix("refs/");
    let is_root =
        below.is_none() && !one.name.is_empty() && one.name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if !is_root {
        RefName::parse(below?).ok()?;
    }
    let is_of_work_tree = is_root || OF_WORK_TREE.iter().any(|prefix| one.name.starts_with(prefix));
    Some(match &one.stands_for {
        Some(name) => Place::File(format!("ref: {name}\n")),
        None if is_of_work_tree => Place::File(format!("{}\n", one.oid)),
        None => Place::Packed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Oid;

    #[test]
    fn places_of_refs() {
        let place = |name: &str, stands_for: Option<&str>| {
            let stands_for = stands_for.map(str::to_string);
            match place_of(&Ref { name: name.into(), oid: Oid::from_bytes(&[1; 20]), stands_for }) {
                None => "none".to_string(),
                Some(Place::Packed) => "packed".to_string(),
                Some(Place::File(content)) => content,
            }
        };
        let id = "01".repeat(20) + "\n";
        assert_eq!(place("refs/tags/py/a_1", None), "packed");
        assert_eq!(place("refs/heads/main", None), "packed");
        assert_eq!(place("HEAD", None), id);
        assert_eq!(place("ORIG_HEAD", None), id);
        assert_eq!(place("refs/bisect/bad", None), id);
        assert_eq!(place("HEAD", Some("refs/heads/main")), "ref: refs/heads/main\n");
        assert_eq!(
            place("refs/remotes/origin/HEAD", Some("refs/remotes/origin/main")),
            "ref: refs/remotes/origin/main\n"
        );
        for name in ["config", "refs/../config", "../x", "/x", "refs/heads/.x", "hooks/x", ""] {
            assert_eq!(place(name, None), "none", "{name}");
        }
    }
}
