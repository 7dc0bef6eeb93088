//! The object store: one bare repository per assets repo in the user's cache directory, shared by every clone of every
//! code repo. Only it downloads. It has no promisor remote in its configuration, so that for every other call an object
//! that is not here is simply missing.

pub mod checkout;
pub mod composite;
pub mod git_dir;
pub mod journal;
pub mod listing;
pub mod lock;
pub mod paths;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Kind, Result, shell_word};
use crate::git::failure::Failure;
use crate::git::objects::Objects;
use crate::git::{FetchRequest, Filter, Git, Output, Place, Repo, parse};
use crate::manifest::Pin;
use crate::names::{Oid, RefName, RemoteUrl, RepoPath};
use crate::settings::Limits;
use listing::Listing;
use lock::{Lock, Patience};

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

/// Why a want is not ready yet.
enum Lacking {
    /// The commit, or a tree of it.
    Commit,
    /// These file contents.
    Blobs(Vec<Oid>),
}

/// The tips of the remote's branches that absent pins stand for, by the wanted pin.
type Tips = HashMap<Pin, Oid>;

impl Store {
    /// The store for `url` below the cache directory. Nothing is made until something is fetched.
    pub fn at(cache: &Path, url: &RemoteUrl, name: &str, git: &Git, access: &Access) -> Store {
        let identity = url.identity();
        let readable: String =
            identity.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
        let readable = readable.trim_matches(['-', '.']);
        let tail = readable.len().saturating_sub(60);
        let hash = sha1_smol::Sha1::from(identity.as_bytes()).digest().to_string();
        let dir = cache.join("stores").join(format!("{}-{}", &readable[tail..], &hash[..8]));
        let place = Place { git_dir: dir.clone(), work_tree: None, also_objects: Vec::new(), write_objects: None };
        Store {
            repo: Repo { git: git.clone(), place },
            dir,
            url: url.clone(),
            name: name.to_string(),
            access: access.clone(),
        }
    }

    pub fn url(&self) -> &RemoteUrl {
        &self.url
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
    pub fn shallow(&self) -> String {
        std::fs::read_to_string(self.dir.join("shallow")).unwrap_or_default()
    }

    /// The store as a place for git, seeing the objects of a checkout too.
    pub fn with_objects_of(&self, objects: &Path) -> Repo {
        let mut repo = self.repo.clone();
        repo.place.also_objects.push(objects.to_path_buf());
        repo
    }

    pub fn exists(&self) -> bool {
        self.dir.join("HEAD").is_file()
    }

    /// Makes every want ready, downloading what is missing: nothing, or all commits in one call and all file contents
    /// in another. One want that fails does not stop the others.
    ///
    /// # Errors
    /// When nothing can be had at all: no network, no access, no repository.
    pub fn ensure(&self, wants: &[Want], also_objects: Option<&Path>) -> Result<Vec<Result<Ready>>> {
        match self.try_ensure(wants, also_objects) {
            Err(error) if error.kind == Kind::Failed && self.exists() && self.is_damaged() => {
                self.set_aside()?;
                self.repo.git.report().note("the object store was damaged and is downloaded again");
                self.try_ensure(wants, also_objects)
            }
            result => result,
        }
    }

    /// As [`Store::ensure`] for a single want.
    pub fn ensure_one(&self, want: Want, also_objects: Option<&Path>) -> Result<Ready> {
        let nothing = || Error::failed("the store gave no answer");
        self.ensure(&[want], also_objects)?.pop().ok_or_else(nothing)?
    }

    fn try_ensure(&self, wants: &[Want], also_objects: Option<&Path>) -> Result<Vec<Result<Ready>>> {
        let mut work = Work { store: self, wants, ready: wants.iter().map(|_| None).collect(), tips: Tips::new() };
        let repo = match also_objects {
            Some(objects) => self.with_objects_of(objects),
            None => self.repo.clone(),
        };
        let mut objects = None;
        if self.exists() {
            work.look(objects.insert(repo.objects()?))?;
            if work.done() {
                return Ok(work.results());
            }
        }
        if self.access.offline {
            return Err(self.not_here_while_offline(&work));
        }
        self.make_stores_folder()?;
        let _lock = Lock::take(&self.dir.with_extension("lock"), &self.access.patience, self.repo.git.report())?;
        let is_new = self.create()?;
        lock::remove_stale_git_locks(&self.dir)?;
        lock::remove_unfinished_packs(&self.dir);
        work.find_tips()?;
        let mut objects = match objects {
            Some(objects) => objects,
            None => repo.objects()?,
        };
        // Looks again: whoever had the lock may have fetched it for us.
        let lacking = if is_new { work.all_commits() } else { work.look(&mut objects)? };
        let lacking = work.fetch_commits(&mut objects, lacking)?;
        work.fetch_blobs(&mut objects, lacking)?;
        Ok(work.results())
    }

    fn make_stores_folder(&self) -> Result<()> {
        let stores = self.dir.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(stores)
            .at("create", stores)
            .map_err(|e| e.hint("name another cache directory with `ASSETS_CACHE_DIR`"))
    }

    fn fetch(&self, mut request: FetchRequest) -> Result<Output> {
        request.wants.sort();
        request.wants.dedup();
        self.repo.fetch(&self.url, &request)
    }

    /// Makes the empty repository beside its place and renames it there; whether it was not there yet.
    pub fn create(&self) -> Result<bool> {
        if self.exists() {
            return Ok(false);
        }
        self.make_stores_folder()?;
        if self.dir.exists() {
            self.set_aside()?;
        }
        let stores = self.dir.parent().unwrap_or(&self.dir);
        let building = tempfile::Builder::new().prefix(".new-").tempdir_in(stores).at("write into", stores)?;
        git_dir::create(building.path(), CONFIG, "ref: refs/heads/none\n")?;
        match std::fs::rename(building.path(), &self.dir) {
            Ok(()) => {
                // It is no longer where its guard would delete it.
                let _ = building.keep();
                Ok(true)
            }
            // Another process was faster.
            Err(_) if self.exists() => Ok(false),
            Err(e) => Err(e).at("create", &self.dir),
        }
    }

    /// Whether git cannot read it as a repository, or finds a pack broken.
    fn is_damaged(&self) -> bool {
        let head = self.repo.git.call(&self.repo.place, ["count-objects", "-v"]).run();
        !head.is_ok_and(|output| output.succeeded() && !output.stderr.contains("error"))
    }

    /// Moves a broken store out of the way, never deleting it.
    fn set_aside(&self) -> Result<()> {
        let aside = checkout::broken_name(&self.dir);
        std::fs::rename(&self.dir, &aside).at("set aside the broken store", &self.dir)
    }

    fn not_here_while_offline(&self, work: &Work) -> Error {
        let pins: Vec<String> = work.open().map(|(_, want)| want.pin.to_string()).collect();
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
        let host = self.url.http_host().map(|(_, host)| host.to_string());
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
                match (self.repo.git.token_is_for(&self.url), host.as_deref()) {
                    (None, Some("github.com")) => error.hint("or set `GIT_TOKEN` to a token for `github.com`"),
                    (None, Some(host)) => error
                        .hint(format!("or set `GIT_TOKEN` to a token for `{host}`, and `ASSETS_TOKEN_HOST={host}`")),
                    (Some(true), Some(host)) => error.hint(format!(
                        "`GIT_TOKEN` was sent to `{host}`: has it expired, may it read and write this repo?"
                    )),
                    (Some(false), Some(host)) => error.hint(format!(
                        "`GIT_TOKEN` was not sent: `{host}` is not its host; if it is, set `ASSETS_TOKEN_HOST={host}`"
                    )),
                    (_, None) => error.hint("check that your ssh key is loaded: `ssh-add -l`"),
                }
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

    /// Asks the remote where some refs are now. `HEAD` is always among the questions: a server that answers nothing
    /// at all is not the repository, or it is empty.
    pub fn remote_refs(&self, names: &[&str]) -> Result<HashMap<String, Oid>> {
        self.create()?;
        self.repo.git.report().phase(&format!("asking `{}`", self.name));
        let output = self.repo.ls_remote_with_head(&self.url, names)?;
        if !output.succeeded() {
            return Err(self.remote_error(output, "reach"));
        }
        let refs: HashMap<String, Oid> = parse::remote_refs(&output.stdout).into_iter().collect();
        if refs.is_empty() {
            return Err(Error::failed(format!(
                "assets repo `{}` is empty, or what answers at its address is not git",
                self.name
            ))
            .cause("`git ls-remote` succeeded without listing a single ref")
            .hint(format!(
                "check with `git ls-remote {}`; an empty repo needs a first commit on its default branch",
                self.url
            )));
        }
        Ok(refs)
    }
}

/// One run of [`Store::ensure`].
struct Work<'a> {
    store: &'a Store,
    wants: &'a [Want],
    ready: Vec<Option<Result<Ready>>>,
    tips: Tips,
}

impl Work<'_> {
    fn done(&self) -> bool {
        self.ready.iter().all(Option::is_some)
    }

    fn open(&self) -> impl Iterator<Item = (usize, &Want)> {
        self.wants.iter().enumerate().filter(|(index, _)| self.ready[*index].is_none())
    }

    fn results(self) -> Vec<Result<Ready>> {
        let name = &self.store.name;
        let lost = |want: &Want| Err(Error::failed(format!("`{name}` did not send all of {}", want.pin)));
        self.ready.into_iter().zip(self.wants).map(|(ready, want)| ready.unwrap_or_else(|| lost(want))).collect()
    }

    /// Looks which open wants are ready; returns what the others lack.
    fn look(&mut self, objects: &mut Objects) -> Result<Vec<(usize, Lacking)>> {
        let mut lacking = Vec::new();
        let open: Vec<usize> = self.open().map(|(index, _)| index).collect();
        for index in open {
            match self.look_at(objects, &self.wants[index]) {
                Ok(Ok(ready)) => self.ready[index] = Some(Ok(ready)),
                Ok(Err(lacks)) => lacking.push((index, lacks)),
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(error)
                    if error.message.contains("gave no usable answer")
                        || error.message.contains("ended unexpectedly") =>
                {
                    return Err(error);
                }
                Err(error) => self.ready[index] = Some(Err(error)),
            }
        }
        Ok(lacking)
    }

    fn look_at(&self, objects: &mut Objects, want: &Want) -> Result<std::result::Result<Ready, Lacking>> {
        let name = match &want.pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => tag.tag_ref(),
            Pin::Tip { .. } => match self.tips.get(&want.pin) {
                Some(oid) => oid.to_string(),
                None => return Ok(Err(Lacking::Commit)),
            },
        };
        let Some((commit, details)) = objects.commit(&name)? else { return Ok(Err(Lacking::Commit)) };
        let tag = match &want.pin {
            Pin::Tag(tag) => objects.info(&tag.tag_ref())?.map(|info| info.oid),
            _ => None,
        };
        let limits = &self.store.access.limits;
        let Some(mut listing) = listing::list(objects, &details.tree, &want.slice, limits)? else {
            return Ok(Err(Lacking::Commit));
        };
        paths::check_listing(&listing.files, limits)?;
        let missing = listing::missing_blobs(objects, &mut listing)?;
        if !missing.is_empty() {
            return Ok(Err(Lacking::Blobs(missing)));
        }
        Ok(Ok(Ready { commit, tag, listing }))
    }

    /// Finds out which commits the absent pins stand for; one request for all of them.
    fn find_tips(&mut self) -> Result<()> {
        let tips: Vec<&Pin> =
            self.open().map(|(_, want)| &want.pin).filter(|pin| matches!(pin, Pin::Tip { .. })).collect();
        if tips.is_empty() {
            return Ok(());
        }
        let mut names: Vec<String> = tips.iter().flat_map(|pin| pin.branches()).map(RefName::branch_ref).collect();
        names.sort();
        names.dedup();
        let refs = self.store.remote_refs(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut found = Vec::new();
        for (index, want) in self.open() {
            if let Pin::Tip { default, .. } = &want.pin {
                let branch = want.pin.branches().find_map(|branch| refs.get(&branch.branch_ref()));
                let tip = branch.or_else(|| refs.get("HEAD").filter(|_| *default)).cloned();
                found.push((index, want.pin.clone(), tip));
            }
        }
        for (index, pin, tip) in found {
            match tip {
                Some(tip) => drop(self.tips.insert(pin, tip)),
                None => self.ready[index] = Some(Err(self.no_branch(&self.wants[index]))),
            }
        }
        Ok(())
    }

    /// What is lacking in a store that holds nothing yet.
    fn all_commits(&self) -> Vec<(usize, Lacking)> {
        self.open().map(|(index, _)| (index, Lacking::Commit)).collect()
    }

    /// Fetches the commits that are lacking, with their trees; with all their files where pins are tags, because such
    /// commits hold one package. Returns what is lacking then.
    fn fetch_commits(
        &mut self,
        objects: &mut Objects,
        mut lacking: Vec<(usize, Lacking)>,
    ) -> Result<Vec<(usize, Lacking)>> {
        for filter in [Filter::NoBlobs, Filter::Nothing] {
            loop {
                let wanted: Vec<(usize, String)> = lacking
                    .iter()
                    .filter(|(index, lacks)| {
                        let open = self.ready[*index].is_none() && matches!(lacks, Lacking::Commit);
                        open && (filter == Filter::Nothing) == matches!(self.wants[*index].pin, Pin::Tag(_))
                    })
                    .map(|(index, _)| (*index, self.refspec(&self.wants[*index].pin)))
                    .collect();
                if wanted.is_empty() {
                    break;
                }
                self.store.repo.git.report().phase(&format!("fetching from `{}`", self.store.name));
                let wants = wanted.iter().map(|(_, refspec)| refspec.clone()).collect();
                let output = self.store.fetch(FetchRequest { wants, filter, shallow: true })?;
                if output.succeeded() {
                    lacking = self.look(objects)?;
                    break;
                }
                // Git names the first ref or commit that is not there: the others are asked for again.
                let is_named =
                    |refspec: &str| refspec.trim_start_matches('+').split(':').any(|name| output.stderr.contains(name));
                let named: Vec<usize> =
                    wanted.iter().filter(|(_, refspec)| is_named(refspec)).map(|(index, _)| *index).collect();
                if output.failure() != Failure::MissingRef || named.is_empty() {
                    return Err(self.store.remote_error(output, "fetch from"));
                }
                let error = output.into_error();
                for index in named {
                    self.ready[index] = Some(Err(self.no_pin(&self.wants[index], &error)));
                }
            }
        }
        Ok(lacking)
    }

    fn fetch_blobs(&mut self, objects: &mut Objects, lacking: Vec<(usize, Lacking)>) -> Result<()> {
        let mut wants: Vec<String> = Vec::new();
        for (_, lacks) in &lacking {
            if let Lacking::Blobs(blobs) = lacks {
                wants.extend(blobs.iter().map(Oid::to_string));
            }
        }
        if wants.is_empty() {
            return Ok(());
        }
        self.store.repo.git.report().phase(&format!("fetching {} files from `{}`", wants.len(), self.store.name));
        let output = self.store.fetch(FetchRequest { wants, filter: Filter::NoBlobs, shallow: false })?;
        if !output.succeeded() {
            return Err(self.store.remote_error(output, "fetch files from"));
        }
        self.look(objects).map(drop)
    }

    fn refspec(&self, pin: &Pin) -> String {
        match pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => format!("+{0}:{0}", tag.tag_ref()),
            Pin::Tip { .. } => self.tips.get(pin).map(Oid::to_string).unwrap_or_default(),
        }
    }

    fn no_pin(&self, want: &Want, cause: &Error) -> Error {
        let mut error = Error::failed(format!("{} is not in assets repo `{}`", want.pin, self.store.name));
        error.hints.extend(Some(want.advice.clone()).filter(|advice| !advice.is_empty()));
        error.causes = cause.causes.clone();
        match want.pin {
            Pin::Tag(_) => error,
            _ => error
                .hint("if the branch was rewritten or deleted, ask whoever pushed the recordings to push them again"),
        }
    }

    fn no_branch(&self, want: &Want) -> Error {
        let names: Vec<String> = want.pin.branches().map(|branch| format!("`{branch}`")).collect();
        Error::failed(format!("assets repo `{}` has no branch {}", self.store.name, names.join(" and no branch ")))
            .cause("the `assets.json` has no pin, which means the tip of that branch")
            .hint(want.advice.clone())
            .hint(format!("the branches there: `git ls-remote --heads {}`", shell_word(self.store.url.as_str())))
    }
}
