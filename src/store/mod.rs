//! The object store: one bare repository per assets repo in the user's cache directory, shared by every clone of every
//! code repo. Only it downloads. It has no promisor remote in its configuration, so that for every other call an object
//! that is not here is simply missing.

pub mod ancestry;
pub mod apart;
pub mod census;
pub mod checkout;
pub mod composite;
mod config;
pub mod files;
mod filter;
pub mod git_dir;
mod history;
pub mod index_file;
pub mod journal;
pub mod known;
pub mod lane;
pub mod listing;
pub mod lock;
pub mod note;
mod pack;
mod parts;
pub mod paths;
pub mod probe;
mod reftable;
mod repair;
pub mod surface;
pub mod tracked;
pub mod tree_diff;
pub mod trust;
mod work;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result, shell_word};
use crate::git::failure::Failure;
use crate::git::token::{self, TokenUse};
use crate::git::{Git, Output, Place, Repo, parse};
use crate::manifest::Pin;
use crate::names::{Oid, RemoteUrl, RepoPath, SHA256};
use crate::settings::Limits;
use census::Census;
use listing::Listing;
use lock::Patience;
pub use repair::is_cut_short;
pub use work::Answers;
use work::{Tips, Work};

/// No branch: a store has none.
const HEAD: &str = "ref: refs/heads/none\n";

/// What is in a store's configuration file. The URL is given with each call that needs it.
const CONFIG: &str =
    "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n";

/// One assets repo's objects on this machine.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
    url: RemoteUrl,
    /// The repo as the user wrote it, for messages.
    name: String,
    repo: Repo,
    access: Access,
    /// The branches that pins are likely to be on, as full ref names.
    branches: Vec<String>,
}

/// How stores and checkouts may be used in this run.
#[derive(Clone, Debug)]
pub struct Access {
    /// No request to any remote.
    pub offline: bool,
    pub limits: Limits,
    pub patience: Patience,
}

/// What is to be made available: every object that a slice needs at a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    pub pin: Pin,
    pub slice: RepoPath,
    /// What to do when the assets repo does not have the pin; may be empty.
    pub advice: String,
}

/// A slice whose every object is here.
#[derive(Clone, Debug)]
pub struct Ready {
    pub commit: Oid,
    /// What the tag of the pin points to; differs from the commit for annotated tags.
    pub tag: Option<Oid>,
    pub listing: Listing,
}

impl Store {
    /// The store for `url` below the cache directory. Nothing is made until something is fetched.
    pub fn at(cache: &Path, url: &RemoteUrl, name: &str, git: &Git, access: &Access) -> Store {
        let identity = url.identity();
        let dir = dir_name(&identity.replacen("://", "-", 1), 40, &hash_of(&identity));
        Self::in_dir(stores_folder(cache).join(dir), url, name, git, access)
    }

    /// The store that earlier versions used for `url`. They shared one between repositories that are not the same, so nothing
    /// is taken from it; `gc` removes it.
    pub fn at_former_place(cache: &Path, url: &RemoteUrl, name: &str, git: &Git, access: &Access) -> Store {
        let identity = url.former_identity();
        let dir = dir_name(&identity, 60, &hash_of(&identity)[..8]);
        Self::in_dir(stores_folder(cache).join(dir), url, name, git, access)
    }

    fn in_dir(dir: PathBuf, url: &RemoteUrl, name: &str, git: &Git, access: &Access) -> Store {
        let place = Place { git_dir: dir.clone(), work_tree: None, also_objects: Vec::new(), write_objects: None };
        Store {
            repo: Repo { git: git.clone(), place },
            dir,
            url: url.clone(),
            name: name.to_string(),
            access: access.clone(),
            branches: Vec::new(),
        }
    }

    /// The same store, where pins are likely to be on these branches.
    pub fn with_branches(self, branches: Vec<String>) -> Store {
        Store { branches, ..self }
    }

    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where its objects are, for a checkout to borrow.
    pub fn objects_dir(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// The commits without history, which a checkout has to know too.
    ///
    /// # Errors
    /// As [`lane::shallow`].
    pub fn shallow(&self) -> Result<String> {
        lane::shallow(&self.dir)
    }

    /// The store as a place for git, seeing the objects of checkouts too.
    pub fn with_objects_of<P: AsRef<Path>>(&self, objects: &[P]) -> Repo {
        let mut repo = self.repo.clone();
        repo.place.also_objects.extend(objects.iter().map(|objects| objects.as_ref().to_path_buf()));
        repo
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn exists(&self) -> Result<bool> {
        files::is_there(&self.dir.join("HEAD"))
    }

    /// Makes every want ready, downloading what is missing in few requests, and tells of each as soon as it is, while
    /// others are still on their way. One want that fails does not stop the others.
    ///
    /// # Errors
    /// When those that were not told of cannot be had at all: no network, no access, no repository.
    pub fn ensure(&self, wants: &[Want], also_objects: &[PathBuf], deliver: &mut dyn FnMut(Answers)) -> Result<()> {
        let mut work = Work {
            store: self,
            wants,
            also_objects,
            open: vec![true; wants.len()],
            deliver,
            census: Census::default(),
            tips: Tips::new(),
            refused: Vec::new(),
        };
        self.mend()?;
        match work.run() {
            // It may have become so since it was looked at.
            Err(error) if error.kind == Kind::Failed && self.set_broken_packs_aside()? => work.run(),
            result => result,
        }
    }

    /// As [`Store::ensure`] for wants that are of use only together.
    pub fn ensure_all(&self, wants: &[Want], also_objects: &[PathBuf]) -> Result<Vec<Ready>> {
        let mut answers: Vec<Option<Result<Ready>>> = wants.iter().map(|_| None).collect();
        self.ensure(wants, also_objects, &mut |arrived| {
            arrived.into_iter().for_each(|(index, answer)| answers[index] = Some(answer));
        })?;
        let nothing = || Error::failed("the store gave no answer");
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(nothing()))).collect()
    }

    /// As [`Store::ensure`] for a single want.
    pub fn ensure_one(&self, want: Want, also_objects: &[PathBuf]) -> Result<Ready> {
        let nothing = || Error::failed("the store gave no answer");
        self.ensure_all(&[want], also_objects)?.pop().ok_or_else(nothing)
    }

    fn not_here_while_offline(&self, pins: &[String]) -> Error {
        Error::new(Kind::Transient, format!("{} of `{}` is not on this machine yet", pins.join(", "), self.name))
            .cause("`--offline` (or `ASSETS_OFFLINE`) forbids to fetch it")
            .hint("run the same command once without `--offline`")
    }

    /// Turns a failed call to the remote into the user's words.
    pub fn remote_error(&self, output: Output, doing: &str) -> Error {
        let failure = output.failure();
        let mut error = output.into_error();
        error.message = format!("cannot {doing} assets repo `{}`", self.name);
        let url = shell_word(self.url.as_str());
        match failure {
            Failure::Auth | Failure::MissingRepo => {
                let error = match failure {
                    Failure::MissingRepo if self.url.is_local() => {
                        return error.hint(format!("check `AssetsRepo` in the `assets.json` with `git ls-remote {url}`"));
                    }
                    Failure::MissingRepo => error.hint(format!(
                        "check `AssetsRepo` in the `assets.json` with `git ls-remote {url}`; a private repo is also reported as not found when you have no access to it"
                    )),
                    _ => error.hint(format!("check your access with `git ls-remote {url}`")),
                };
                self.with_token_hint(error)
            }
            Failure::OtherHash => {
                let causes = error.causes;
                Error { causes, ..self.has_other_ids() }
            }
            Failure::Tls => {
                error.hint("the certificate is not trusted here: ask your administrator, or set git's `http.sslCAInfo`")
            }
            Failure::Policy
                if error
                    .causes
                    .iter()
                    .any(|cause| cause.contains("redirect") || cause.contains("returned error: 30")) =>
            {
                error.hint("with `GIT_TOKEN` set redirects are not followed: name the repo's real URL in `AssetsRepo`")
            }
            failure if failure.is_transient() => error.hint(
                "check the network, then run the same command again; what is already restored works with `--offline`",
            ),
            _ => error,
        }
    }

    /// Adds to an error of access what `GIT_TOKEN` or an ssh key has to do with it.
    fn with_token_hint(&self, error: Error) -> Error {
        let (Some((_, host)), Some(named)) = (self.url.http_host(), token::host_to_name(&self.url)) else {
            return error.hint("check that your ssh key is loaded: `ssh-add -l`");
        };
        let variable = format!("ASSETS_TOKEN_HOST={}", shell_word(&named));
        match self.repo.git.token_use(&self.url) {
            TokenUse::NoToken if named == "github.com" => {
                error.hint("or set `GIT_TOKEN` to a token for `github.com`")
            }
            TokenUse::NoToken => error.hint(format!("or set `GIT_TOKEN` to a token for `{host}`, and `{variable}`")),
            TokenUse::Sent => error
                .hint(format!("`GIT_TOKEN` was sent to `{host}`: has it expired, may it read and write this repo?")),
            TokenUse::OtherHost => error.hint(format!(
                "`GIT_TOKEN` was not sent: `{host}` is not its host; if it is, set `{variable}`"
            )),
            TokenUse::NotEncrypted => error
                .hint(format!(
                    "`GIT_TOKEN` was not sent: the connection to `{host}` is not encrypted; write `https://` in `AssetsRepo`"
                ))
                .hint(format!("or, where everybody on the way may read the token, set `{variable}`")),
        }
    }

    /// Asks the remote where some refs are now. `HEAD` is always among the questions: a server that answers nothing
    /// at all is not the repository, or it is empty.
    pub fn remote_refs(&self, names: &[&str]) -> Result<HashMap<String, Oid>> {
        self.create()?;
        self.repo.git.report().phase(&format!("asking `{}`", self.name));
        let output = self.repo.ls_remote_with_head(&self.url, names)?;
        if !output.succeeded() {
            return Err(self.remote_error(output, "reach"));
        }
        self.check_ids(&output.stdout)?;
        let refs: HashMap<String, Oid> = parse::remote_refs(&output.stdout).into_iter().collect();
        if refs.is_empty() {
            return Err(self.lists_nothing());
        }
        Ok(refs)
    }

    /// Refuses a remote that lists ids which no store can hold.
    pub(super) fn check_ids(&self, listed: &[u8]) -> Result<()> {
        if parse::has_sha256(listed) { Err(self.has_other_ids()) } else { Ok(()) }
    }

    fn has_other_ids(&self) -> Error {
        Error::failed(format!("assets repo `{}` cannot be used: it was made with SHA-256", self.name))
            .cause(format!("its commits have {SHA256}").replacen("an id", "ids", 1))
            .hint("make one with `git init --object-format=sha1` and bring the recordings there")
    }

    /// The remote was asked for its refs, said that all is well, and named none.
    fn lists_nothing(&self) -> Error {
        let url = shell_word(self.url.as_str());
        if pack::are_in(&self.objects_dir()).unwrap_or(true) {
            // It was not empty when these came.
            return Error::new(
                Kind::Transient,
                format!("what answers at the address of assets repo `{}` is not git", self.name),
            )
            .cause(
                "`git ls-remote` succeeded without listing a single ref; a network that wants a login first does that",
            )
            .hint(format!("check with `git ls-remote {url}`, then run the same command again"));
        }
        Error::failed(format!("assets repo `{}` is empty, or what answers at its address is not git", self.name))
            .cause("`git ls-remote` succeeded without listing a single ref")
            .hint(format!("check with `git ls-remote {url}`"))
            .hint(format!(
                "an empty repo needs a first commit: `git clone {url} new-assets && git -C new-assets commit \
                 --allow-empty -m First && git -C new-assets push origin HEAD`"
            ))
    }
}

/// The name of a store's directory: the end of a text for people, in so many characters, and a hash that is only its own.
fn dir_name(text: &str, readable: usize, hash: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let text: String = text.chars().map(plain).collect();
    let text = text.trim_matches(['-', '.']);
    format!("{}-{hash}", &text[text.len().saturating_sub(readable)..])
}

fn hash_of(identity: &str) -> String {
    sha1_smol::Sha1::from(identity.as_bytes()).digest().to_string()
}

/// Where the stores are in a cache directory.
pub fn stores_folder(cache: &Path) -> PathBuf {
    cache.join("stores")
}

/// The lock of the store in `dir`, for those who write into it.
pub fn lock_file(dir: &Path) -> PathBuf {
    beside(dir, ".lock")
}

/// The lock by which commands keep the store in `dir`, and every checkout that borrows from it, as they found it. They
/// share it; `gc` takes it alone.
pub fn use_file(dir: &Path) -> PathBuf {
    beside(dir, ".use")
}

/// Not `with_extension`: names of stores hold dots, and all of one host would have one lock.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    dir.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_store_has_the_whole_hash() {
        let name = |identity: &str| dir_name(identity, 40, &hash_of(identity));
        assert_eq!(name("github.com/o/n"), format!("github.com-o-n-{}", hash_of("github.com/o/n")));
        let long = format!("/srv/{}/name", "x".repeat(100));
        assert_eq!(name(&long), format!("{}-name-{}", "x".repeat(35), hash_of(&long)));
        assert_eq!(hash_of(&long).len(), 40);
    }

    #[test]
    fn stores_of_one_host_have_locks_of_their_own() {
        let [one, other] = ["github.com-o-a-01234567", "github.com-o-b-89abcdef"].map(Path::new).map(lock_file);
        assert_ne!(one, other);
    }
}
