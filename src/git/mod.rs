//! The system's git: one method per git command, named after it, with values in and out.

pub mod alternates;
pub mod ancestry;
mod call;
mod environment;
pub mod failure;
mod fetch;
pub mod nested;
pub mod objects;
mod output;
mod pack;
pub mod parse;
mod probe;
mod program;
pub mod refs;
mod session;
pub mod stderr;
pub mod token;
pub mod version;
mod words;

use std::collections::HashMap;
use std::path::Path;

use crate::error::{AtPath, Result};
use crate::names::{Oid, RemoteUrl, RepoPath};
use call::Call;
pub use call::Place;
use environment::REMOTE;
pub use fetch::{FetchRequest, Filter, WHOLE_HISTORY};
pub use output::Output;
use parse::{Blob, Change, Found, PushAnswer, TreeChange};
pub use program::Git;

/// Who a commit is by; what is `None` comes from git's own configuration.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub name: Option<String>,
    pub email: Option<String>,
}

/// When and by whom a commit was made.
pub enum Signature<'a> {
    /// The user, now.
    User(&'a Identity),
    /// This program, at a fixed time: the same content gives the same commit.
    Fixed,
}

/// How a diff is shown.
pub struct DiffLook {
    pub color: bool,
    /// Only how much changed in each file, in so many columns.
    pub stat: Option<usize>,
}

/// The setting by which git leaves files outside of the cone alone: they are recordings of slices that are not shown. Without it
/// git takes each for a shown file, and then needs the content that the commit has there.
const FILES_OUTSIDE: &str = "sparse.expectFilesOutsideOfPatterns";

/// A place with git in it: a store or a checkout.
#[derive(Clone)]
pub struct Repo {
    pub git: Git,
    pub place: Place,
}

impl Repo {
    fn call<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        self.git.call(&self.place, args)
    }

    // Talking to the remote.

    /// `git ls-remote` of `HEAD` and some full ref names.
    pub fn ls_remote_with_head(&self, url: &RemoteUrl, names: &[&str]) -> Result<Output> {
        self.call(["ls-remote", "--", REMOTE, "HEAD"]).args(names).remote(url).run_with_retries()
    }

    /// `git push` of one commit to one ref that must now be at `expected` (`None`: must not exist).
    /// `shallow` is the file that says which commits have no history here. With `negotiate` the server is first asked
    /// which of the commits it has: by itself git takes it to have nothing but its refs. Runs once: what to do after a
    /// failure depends on what the remote has then.
    pub fn push(
        &self,
        url: &RemoteUrl,
        commit: &Oid,
        to: &str,
        expected: Option<&Oid>,
        shallow: &Path,
        negotiate: bool,
    ) -> Result<(PushAnswer, Output)> {
        let lease = format!("--force-with-lease={to}:{}", expected.map_or("", Oid::as_str));
        let mut call = self.call([
            "push",
            "--progress",
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--recurse-submodules=no",
        ]);
        if negotiate {
            call = call.config("push.negotiate", "true").config("fetch.negotiationAlgorithm", "consecutive");
        }
        let mut output = call
            .args([lease.as_str(), "--", REMOTE, &format!("{commit}:{to}")])
            .env("GIT_SHALLOW_FILE", shallow)
            .remote(url)
            .run()?;
        let answer = parse::push_answer(&output.stdout);
        if let PushAnswer::Rejected(why) = &answer {
            // With `--porcelain` the reason stands in the other output only.
            output.stderr.push_str(&crate::names::printable(why));
        }
        Ok((answer, output))
    }

    // The index and the work tree.

    /// `git read-tree -m -u`: takes the work tree from one tree to another; fails where that would overwrite a change.
    ///
    /// Change the trees or the cone in one call, never both: in cone mode git marks entries of a newly visible directory as
    /// shown without writing them when they follow an entry that the new tree adds (`clear_ce_flags_dir` in `unpack-trees.c`
    /// ignores its select mask; seen with git 2.39 and 2.47).
    pub fn read_tree_switch(&self, from: Option<&Oid>, to: &Oid) -> Result<Output> {
        let from = from.map(Oid::as_str);
        self.recordings_call(["read-tree", "-m", "-u"])
            .args(from)
            .args([to.as_str()])
            .config(FILES_OUTSIDE, "true")
            .run()
    }

    /// `git update-index --refresh`: what is unchanged is known as such again. It fails where something is changed.
    pub fn refresh_index(&self) -> Result<()> {
        self.call(["update-index", "-q", "--refresh"]).config(FILES_OUTSIDE, "true").run().map(drop)
    }

    /// `git checkout-index` of some paths: writes them as the index has them, and leaves alone what is there.
    pub fn checkout_index(&self, paths: &[&str]) -> Result<Output> {
        self.call(["checkout-index", "-u", "-q", "-z", "--stdin"]).stdin(nul_list(paths)).run()
    }

    /// `git checkout-index -a` through another index file. It leaves alone what is there, and fails then.
    pub fn checkout_all_of(&self, index: &Path) -> Result<Output> {
        self.call(["checkout-index", "-q", "-a"]).env("GIT_INDEX_FILE", index).run()
    }

    /// `git checkout-index` of some paths of another index file, below another folder.
    pub fn export(&self, index: &Path, paths: &[&str], folder: &Path) -> Result<()> {
        let mut prefix = std::ffi::OsString::from("--prefix=");
        // Git puts it in front of each path as it is.
        prefix.push(folder);
        prefix.push("/");
        let call = self.call(["checkout-index", "-f", "-q", "-z", "--stdin"]).args([prefix]);
        call.env("GIT_INDEX_FILE", index).stdin(nul_list(paths)).run()?.checked().map(drop)
    }

    /// `git status` below some paths. Takes no lock.
    pub fn status(&self, below: &[&RepoPath]) -> Result<Vec<Change>> {
        let mut call = self.status_call();
        if !below.iter().any(|path| path.is_root()) {
            call = call.args(["--"]).args(below.iter().map(|path| path.as_str()));
        }
        let bytes = call.run()?.checked()?;
        self.true_changes(parse::status(&bytes, below).map_err(not_utf8)?)
    }

    /// `git status` of everything: the changes below a path, and whether anything at all was staged by hand.
    pub fn status_and_staged(&self, below: &RepoPath) -> Result<(Vec<Change>, bool)> {
        let bytes = self.status_call().run()?.checked()?;
        let changes = parse::status(&bytes, &[below]).map_err(not_utf8)?;
        Ok((self.true_changes(changes)?, parse::is_staged(&bytes)))
    }

    /// `git status` of everything, with the files that are in the index and neither in HEAD nor on disk.
    pub fn status_of_index_and_head(&self) -> Result<Vec<Change>> {
        let bytes = self.status_call().run()?.checked()?;
        let found = parse::status_of_index_and_head(&bytes).map_err(not_utf8)?;
        Ok(found.into_iter().map(|found| found.change).collect())
    }

    /// The changes of the work tree against HEAD: without files that only the index has otherwise, and without repositories
    /// inside the work tree that hold no recordings; git lists each of these as one entry `<path>/`.
    fn true_changes(&self, found: Vec<Found>) -> Result<Vec<Change>> {
        let top = self.place.work_tree.as_deref().unwrap_or(&self.place.git_dir);
        let mut changes = Vec::with_capacity(found.len());
        for Found { change, staged_over } in found {
            let is_change = match (change.path.strip_suffix('/'), &staged_over) {
                (Some(folder), _) => nested::holds_files(&top.join(folder)),
                (None, Some(head)) => {
                    let file = top.join(&change.path);
                    !file.symlink_metadata().is_ok_and(|meta| meta.is_file())
                        || objects::blob_id(&std::fs::read(&file).at("read", &file)?) != *head
                }
                (None, None) => true,
            };
            changes.extend(is_change.then_some(change));
        }
        Ok(changes)
    }

    /// Ignored files are listed like other new ones: no ignore rule of a user or of the assets repo hides a recording.
    fn status_call(&self) -> Call<'_> {
        let args = ["--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none"];
        self.recordings_call(["status"]).args(args).args(["--ignored=traditional"]).env("GIT_OPTIONAL_LOCKS", "0")
    }

    /// A call in a checkout, without the ignore rules of the user: `read-tree -u` overwrites ignored files.
    fn recordings_call<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        // Below a file there can be no file.
        let none = self.git.program().join("no-excludes");
        self.call(args).config("core.excludesFile", &none.to_string_lossy())
    }

    /// `git update-index --add --remove` of some paths in another index file, as they are in the work tree.
    pub fn update_index(&self, index: &Path, paths: &[&str]) -> Result<()> {
        self.call(["update-index", "--add", "--remove", "--replace", "-z", "--stdin"])
            .env("GIT_INDEX_FILE", index)
            .stdin(nul_list(paths))
            .run()?
            .checked()
            .map(drop)
    }

    /// `git update-index --index-info` in another index file: sets or removes entries without any file.
    pub fn update_index_info(&self, index: &Path, entries: &[(String, Option<Blob>)]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let zero = "0".repeat(40);
        let mut input = Vec::new();
        for (path, blob) in entries {
            let line = match blob {
                Some(blob) => format!("{} {}\t{path}\0", blob.mode, blob.oid),
                None => format!("0 {zero}\t{path}\0"),
            };
            input.extend(line.bytes());
        }
        self.call(["update-index", "-z", "--index-info"])
            .env("GIT_INDEX_FILE", index)
            .stdin(input)
            .run()?
            .checked()
            .map(drop)
    }

    /// `git ls-files --stage` of an index file: the id of each file, unmerged ones left out.
    pub fn index_entries(&self, index: &Path) -> Result<HashMap<String, Oid>> {
        let call = self.call(["ls-files", "--stage", "-z"]).env("GIT_INDEX_FILE", index);
        parse::index_entries(&call.run()?.checked()?).map_err(not_utf8)
    }

    /// The paths of the index that git takes for shown: `git ls-files -t`, without those that are marked to be skipped.
    pub fn shown_paths(&self) -> Result<Vec<String>> {
        self.paths_marked(b"H ")
    }

    /// The paths of the index that are marked to be skipped, as [`Self::shown_paths`].
    pub fn hidden_paths(&self) -> Result<Vec<String>> {
        self.paths_marked(b"S ")
    }

    fn paths_marked(&self, mark: &[u8]) -> Result<Vec<String>> {
        let bytes = self.call(["ls-files", "-t", "-z"]).config(FILES_OUTSIDE, "true").run()?.checked()?;
        let path = |record: &[u8]| record.strip_prefix(mark).map(|path| String::from_utf8_lossy(path).into_owned());
        Ok(bytes.split(|&b| b == 0).filter_map(path).collect())
    }

    /// `git update-index --skip-worktree` of some paths.
    pub fn skip_worktree(&self, paths: &[&str]) -> Result<()> {
        self.mark("--skip-worktree", paths)
    }

    /// `git update-index --no-skip-worktree` of some paths.
    pub fn no_skip_worktree(&self, paths: &[&str]) -> Result<()> {
        self.mark("--no-skip-worktree", paths)
    }

    fn mark(&self, how: &'static str, paths: &[&str]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let call = self.call(["update-index", how, "-z", "--stdin"]).config(FILES_OUTSIDE, "true");
        call.stdin(nul_list(paths)).run()?.checked().map(drop)
    }

    /// `git update-index --force-remove` of some paths: the files stay.
    pub fn forget(&self, paths: &[&str]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let call = self.call(["update-index", "--force-remove", "-z", "--stdin"]).config(FILES_OUTSIDE, "true");
        call.stdin(nul_list(paths)).run()?.checked().map(drop)
    }

    /// `git read-tree --reset` of one tree in an index file, which keeps what it knows about unchanged files. `-i`: whatever the
    /// work tree holds; without it git looks at files whose entries are marked to be skipped.
    pub fn reset_index(&self, index: &Path, tree: &Oid) -> Result<()> {
        let call = self.call(["read-tree", "--reset", "-i", tree.as_str()]).env("GIT_INDEX_FILE", index);
        call.config(FILES_OUTSIDE, "true").run()?.checked().map(drop)
    }

    /// `git hash-object -w` of some bytes as a file.
    pub fn write_blob(&self, content: &[u8]) -> Result<Oid> {
        // An empty input would be no input at all.
        if content.is_empty() {
            let call = self.call(["hash-object", "-w", "--no-filters", "-t", "blob", "--stdin"]);
            return one_oid(&call.run()?.checked()?);
        }
        let call = self.call(["hash-object", "-w", "--no-filters", "-t", "blob", "--stdin"]).stdin(content);
        one_oid(&call.run()?.checked()?)
    }

    /// `git read-tree` of one tree into another index file.
    pub fn read_tree_into(&self, index: &Path, tree: &Oid) -> Result<()> {
        self.call(["read-tree", tree.as_str()]).env("GIT_INDEX_FILE", index).run()?.checked().map(drop)
    }

    /// `git add --intent-to-add` of some new files: a diff shows them then. One that git refuses stays out.
    pub fn add_intent(&self, paths: &[&str]) -> Result<()> {
        let args = ["add", "--intent-to-add", "--force", "--sparse", "--ignore-errors"];
        let call = self.call(args).args(["--pathspec-from-file=-", "--pathspec-file-nul"]);
        call.stdin(nul_list(paths)).run().map(drop)
    }

    /// `git diff` of the work tree against HEAD below a path and not below some others, for a person.
    pub fn diff(&self, below: &RepoPath, not_below: &[&RepoPath], look: &DiffLook) -> Result<String> {
        let color = if look.color { "--color=always" } else { "--color=never" };
        let mut call = self
            .call(["diff", "--no-ext-diff", "--no-textconv", color])
            .args(look.stat.map(|columns| format!("--stat={columns}")))
            .args(["HEAD", "--"])
            .env("GIT_OPTIONAL_LOCKS", "0")
            // Only here is a path more than itself.
            .env("GIT_LITERAL_PATHSPECS", "0");
        let below = if below.is_root() { "" } else { below.as_str() };
        call = call.args([format!(":(top,literal){below}")]);
        call = call.args(not_below.iter().map(|path| format!(":(top,exclude,literal){}", path.as_str())));
        Ok(String::from_utf8_lossy(&call.run()?.checked()?).into_owned())
    }

    // The code repo.

    /// The tracked and the untracked, not ignored files that match a glob pattern, from the root of the work tree.
    pub fn ls_files(&self, glob: &str) -> Result<Vec<String>> {
        let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"];
        let call = self.call(args).args([format!(":(top,glob){glob}")]).env("GIT_LITERAL_PATHSPECS", "0");
        Ok(nul_separated(&call.run()?.checked()?))
    }

    /// The tracked files below a folder, in whatever case it is written.
    pub fn tracked_below(&self, folder: &str) -> Result<Vec<String>> {
        let call = self.call(["ls-files", "-z", "--cached", "--"]).args([format!(":(top,icase,literal){folder}")]);
        Ok(nul_separated(&call.env("GIT_LITERAL_PATHSPECS", "0").run()?.checked()?))
    }

    /// The files whose work tree or index differs from a commit, and the untracked ones.
    pub fn changed_since(&self, commit: &Oid) -> Result<Vec<String>> {
        let diff = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", commit.as_str()];
        let call = self.call(diff).env("GIT_OPTIONAL_LOCKS", "0").args(["--"]);
        let mut paths = nul_separated(&call.run()?.checked()?);
        let untracked = self.call(["ls-files", "-z", "--others", "--exclude-standard"]);
        paths.extend(nul_separated(&untracked.run()?.checked()?));
        Ok(paths)
    }

    /// `git cat-file blob` of a file of a commit, as `<revision>:<path>`; none when it has no such file.
    pub fn blob_at(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let output = self.call(["cat-file", "blob", name]).run()?;
        Ok(output.succeeded().then_some(output.stdout))
    }

    /// `git rev-parse --verify` of a revision, as a commit.
    pub fn rev_parse(&self, revision: &str) -> Result<Option<Oid>> {
        let output = self.call(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        let output = output.args([format!("{revision}^{{commit}}")]).run()?;
        if output.succeeded() { one_oid(&output.stdout).map(Some) } else { Ok(None) }
    }

    /// Whether a commit was downloaded, and not made here: `git rev-list --exclude-promisor-objects` leaves it out then. Its
    /// parents need not be here.
    pub fn is_from_promisor(&self, commit: &Oid) -> Result<bool> {
        let args = ["rev-list", "--no-walk", "--exclude-promisor-objects", commit.as_str()];
        Ok(self.call(args).run()?.checked()?.is_empty())
    }

    /// `git merge-base`; none when the two have no ancestor in common, as far as this clone knows.
    pub fn merge_base(&self, one: &Oid, other: &Oid) -> Result<Option<Oid>> {
        let output = self.call(["merge-base", one.as_str(), other.as_str()]).run()?;
        if output.succeeded() { one_oid(&output.stdout).map(Some) } else { Ok(None) }
    }

    // Objects.

    /// `git write-tree` of an index file; objects outside the slice need not be here.
    pub fn write_tree(&self, index: &Path) -> Result<Oid> {
        let bytes = self.call(["write-tree", "--missing-ok"]).env("GIT_INDEX_FILE", index).run()?.checked()?;
        one_oid(&bytes)
    }

    /// `git commit-tree`.
    pub fn commit_tree(&self, tree: &Oid, parents: &[&Oid], message: &str, signature: &Signature) -> Result<Oid> {
        let mut call = self.call(["commit-tree", tree.as_str()]).stdin(message);
        for parent in parents {
            call = call.args(["-p", parent.as_str()]);
        }
        match signature {
            Signature::User(identity) => {
                for (variable, value) in [("NAME", &identity.name), ("EMAIL", &identity.email)] {
                    if let Some(value) = value {
                        call = call
                            .env(&format!("GIT_AUTHOR_{variable}"), value)
                            .env(&format!("GIT_COMMITTER_{variable}"), value);
                    }
                }
            }
            Signature::Fixed => {
                for role in ["AUTHOR", "COMMITTER"] {
                    call = call
                        .env(&format!("GIT_{role}_NAME"), "assets")
                        .env(&format!("GIT_{role}_EMAIL"), "assets@localhost")
                        .env(&format!("GIT_{role}_DATE"), "@0 +0000");
                }
            }
        }
        let bytes = call.run()?.checked()?;
        one_oid(&bytes)
    }

    /// `git diff-tree -r` of two trees below a path.
    pub fn diff_tree(&self, old: &Oid, new: &Oid, below: Option<&RepoPath>) -> Result<Vec<TreeChange>> {
        let mut call = self.call(["diff-tree", "-r", "-z", "--no-renames", old.as_str(), new.as_str()]);
        if let Some(below) = below.filter(|below| !below.is_root()) {
            call = call.args(["--", below.as_str()]);
        }
        parse::tree_changes(&call.run()?.checked()?).map_err(not_utf8)
    }

    /// `git update-ref -d`.
    pub fn delete_ref(&self, name: &str) -> Result<()> {
        self.call(["update-ref", "-d", name]).run()?.checked().map(drop)
    }

    /// The keys of a configuration file, without following its includes.
    pub fn config_keys(&self, file: &Path) -> Result<Vec<(String, String)>> {
        let bytes = self.call(["config", "--no-includes", "-l", "-z", "--file"]).args([file]).run()?.checked()?;
        let pairs = bytes.split(|&b| b == 0).filter(|pair| !pair.is_empty()).map(|pair| {
            let pair = String::from_utf8_lossy(pair);
            let (key, value) = pair.split_once('\n').unwrap_or((&pair, ""));
            (key.to_string(), value.to_string())
        });
        Ok(pairs.collect())
    }

    /// Opens the object database for questions.
    pub fn objects(&self) -> Result<objects::Objects> {
        objects::Objects::open(&self.git, &self.place)
    }

    /// Opens it for writing trees.
    pub fn trees(&self) -> Result<objects::TreeWriter> {
        objects::TreeWriter::open(&self.git, &self.place)
    }
}

fn nul_list(paths: &[&str]) -> Vec<u8> {
    paths.iter().flat_map(|path| path.bytes().chain([0])).collect()
}

/// The paths of a list as `-z` gives it. One that is not UTF-8 cannot be a path of ours.
fn nul_separated(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|&b| b == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

fn oids(bytes: &[u8]) -> Result<Vec<Oid>> {
    let text = String::from_utf8_lossy(bytes);
    let parse = |line: &str| {
        Oid::parse(line.trim())
            .map_err(|why| crate::error::Error::failed(format!("git answered `{line}`, which {why}")))
    };
    text.lines().map(parse).collect()
}

fn one_oid(bytes: &[u8]) -> Result<Oid> {
    oids(bytes)?.pop().ok_or_else(|| crate::error::Error::failed("git gave no object id"))
}

fn not_utf8(name: parse::NotUtf8) -> crate::error::Error {
    crate::error::Error::failed(format!("the file name `{}` is not UTF-8", crate::names::printable(&name)))
        .hint("rename the file: other systems cannot hold such a name")
}
