//! What the commands do, without a terminal: observe, plan, apply. Nothing here prints, asks or exits.

pub mod apply;
mod assets_folder;
pub mod breadcrumb;
pub mod checkout;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod enter;
pub mod gc;
pub mod init;
pub mod merge;
pub mod plan;
pub mod push;
pub mod reset_manifest;
pub mod restore;
pub mod stash;
pub mod status;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Kind, Result, shell_word};
use crate::folders::Folder;
use crate::git::{self, Git, Identity, Place, Repo, parse};
use crate::manifest::{Form, Manifest, inside, locate};
use crate::names::{RemoteUrl, printable};
use crate::report::Report;
use crate::settings::Environment;
use crate::store::checkout::{self as checkouts, Checkout};
use crate::store::known::{self, Known};
use crate::store::lock::{Lock, Patience};
use crate::store::tracked::{self, Tracked};
use crate::store::trust::of_another_repo;
use crate::store::{self, Access, Store};
use plan::Refusal;

/// What an operation came to: it is done, or it was refused for a reason that an answer may change.
#[derive(Debug)]
pub enum Outcome<T> {
    Done(T),
    Refused(Refusal),
}

/// Everything an operation needs besides its arguments.
pub struct Context {
    pub environment: Environment,
    pub report: Arc<dyn Report>,
    /// No request to any remote.
    pub offline: bool,
    /// How many checkouts are worked in, and how many assets repos are downloaded from, at once; as many as there are
    /// cores if it is not said.
    pub jobs: Option<u16>,
    /// The longest wait for a lock.
    pub lock_timeout: Option<Duration>,
    /// What relative paths are relative to.
    pub base: PathBuf,
    /// The command as others see it while it holds a lock.
    pub title: String,
    git: OnceLock<Git>,
    version: Mutex<Option<Version>>,
    /// The stores in use by this command, each with its lock if there is one.
    in_use: Mutex<HashMap<Known, Option<Lock>>>,
    /// Assets folders that are no links, and of which the code repo tracks nothing.
    checked: Mutex<HashSet<PathBuf>>,
    /// Assets repos that did not answer a push, after all patience.
    silent: Mutex<HashSet<String>>,
    /// The code repo of each folder that holds packages: hundreds of them lie in a few.
    code_repos: Mutex<HashMap<PathBuf, Option<PathBuf>>>,
}

/// What is known about the version of a git that is not known to be good.
enum Version {
    Asked(JoinHandle<Result<()>>),
    Bad(Error),
}

impl Context {
    pub fn new(environment: Environment, report: Arc<dyn Report>, base: PathBuf, title: String) -> Context {
        Folder::Cache.is_at(&environment.cache_dir);
        Context {
            environment,
            report,
            offline: false,
            jobs: None,
            lock_timeout: None,
            base,
            title,
            git: OnceLock::new(),
            version: Mutex::new(None),
            in_use: Mutex::default(),
            checked: Mutex::default(),
            silent: Mutex::default(),
            code_repos: Mutex::default(),
        }
    }

    /// How many threads work on so many things.
    fn workers(&self, things: usize) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from).clamp(1, things.max(1))
    }

    /// How many threads download from so many assets repos. As long as nobody says a number, a few repos need not wait for
    /// each other: a download waits for the network more than for a core.
    fn downloaders(&self, repos: usize) -> usize {
        const FEW: usize = 4;
        let most = if self.jobs.is_some() { self.workers(repos) } else { self.workers(repos).max(FEW) };
        most.min(repos)
    }

    /// What `work` answers for each of some things, which it has to look at on disk. With many of them, threads share them.
    pub fn each<T: Sync, R: Send>(&self, things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        /// Fewer are not worth a thread.
        const FEWEST: usize = 24;
        let workers = self.workers(things.len() / FEWEST);
        if workers == 1 {
            return things.iter().map(work).collect();
        }
        let work = &work;
        std::thread::scope(|scope| {
            let parts = things.chunks(things.len().div_ceil(workers));
            let threads: Vec<_> =
                parts.map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<R>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().flat_map(join).collect()
        })
    }

    /// Divides manifests, given by their indexes, by the directory of their checkout; those that can have none are told
    /// of with the reason.
    fn by_checkout(
        &self,
        manifests: &[Manifest],
        indexes: impl IntoIterator<Item = usize>,
        mut refuse: impl FnMut(usize, Error),
    ) -> BTreeMap<PathBuf, Vec<usize>> {
        let mut checkouts: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
        for index in indexes {
            match self.assets_folder(&manifests[index]) {
                Ok(folder) => checkouts.entry(checkouts::dir_of(&folder, &manifests[index])).or_default().push(index),
                Err(error) => refuse(index, error),
            }
        }
        for (dir, indexes) in &mut checkouts {
            self.keep_one_repo(dir, manifests, indexes, &mut refuse);
        }
        checkouts.retain(|_, indexes| !indexes.is_empty());
        checkouts
    }

    /// Leaves in a group of manifests, which have the checkout in `dir` in common, those of one assets repo: the one that it
    /// was made from, or the one of the first of them.
    fn keep_one_repo(
        &self,
        dir: &Path,
        manifests: &[Manifest],
        indexes: &mut Vec<usize>,
        refuse: &mut impl FnMut(usize, Error),
    ) {
        let text = |index: &usize| &manifests[*index].assets_repo_text;
        let Some(first) = indexes.first().copied() else { return };
        if indexes.iter().all(|index| text(index) == text(&first)) {
            return;
        }
        let made_from = match Checkout::origin_of(dir) {
            Ok(made_from) => made_from,
            Err(error) => return indexes.drain(..).for_each(|index| refuse(index, error.clone())),
        };
        let url = made_from.clone().unwrap_or_else(|| url_of(&manifests[first]));
        indexes.retain(|&index| {
            let manifest = &manifests[index];
            let its = url_of(manifest);
            let is_kept = its.is_spelling_of(&url);
            if !is_kept && made_from.is_some() {
                refuse(index, of_another_repo(dir, &url, manifest.repo_name(), &its));
            } else if !is_kept {
                let (path, other) = (&manifest.path, &manifests[first]);
                let why = format!("`{path}` and `{}` name different assets repos for one checkout", other.path);
                refuse(
                    index,
                    Error::usage(why)
                        .cause(format!(
                            "`{}` would show `{}` and `{}`",
                            dir.display(),
                            manifest.repo_name(),
                            other.repo_name()
                        ))
                        .hint("name another folder for one of them, with `AssetsRepoId` in its `assets.json`"),
                );
            }
            is_kept
        });
    }

    /// The git of this machine, looked for when it is first needed: the no-op path needs none. Whether it is new enough
    /// is found out beside the first fetch; [`Context::vouch_for_git`] says so before anything is changed.
    pub fn git(&self) -> Result<&Git> {
        if let Some(git) = self.git.get() {
            return Ok(git);
        }
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(git) = self.git.get() {
            return Ok(git);
        }
        let git = Git::find(&self.environment, self.report.clone())?;
        if !git::version::is_remembered(&git, &self.environment.cache_dir) {
            let (git, cache) = (git.clone(), self.environment.cache_dir.clone());
            *version = Some(Version::Asked(std::thread::spawn(move || git::version::check(&git, &cache))));
        }
        Ok(self.git.get_or_init(|| git))
    }

    /// Waits for the answer whether git is new enough.
    ///
    /// # Errors
    /// When it is not.
    pub fn vouch_for_git(&self) -> Result<()> {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(answer) = version.take() else { return Ok(()) };
        let answer = match answer {
            Version::Asked(thread) => {
                thread.join().unwrap_or_else(|_| Err(Error::failed("cannot tell the version of git")))
            }
            Version::Bad(error) => Err(error),
        };
        // Said again to whoever asks next.
        *version = answer.as_ref().err().cloned().map(Version::Bad);
        answer
    }

    /// The manifest that a path of the command line means.
    pub fn manifest(&self, path: &Path) -> Result<Manifest> {
        let mut manifest = Manifest::load(&locate::manifest_for(&self.base.join(path))?)?;
        inside::check_outside_assets_folder(&manifest, &self.place_of_assets_folder(&manifest.code_repo))?;
        // As it was typed it works again; another base than the current directory would need its flag again too.
        manifest.argument = match path {
            _ if self.base != self.environment.cwd => argument(&manifest.file),
            path if path == Path::new(".") => String::new(),
            path => argument(path),
        };
        Ok(manifest)
    }

    /// The manifest in a file (absolute) that was found and not typed.
    pub fn found_manifest(&self, file: &Path) -> Result<Manifest> {
        let code_repo = file.parent().and_then(|folder| self.code_repo_of(folder));
        let mut manifest = Manifest::load_in(file, code_repo)?;
        inside::check_outside_assets_folder(&manifest, &self.place_of_assets_folder(&manifest.code_repo))?;
        let from_here = file.parent().and_then(|folder| folder.strip_prefix(&self.environment.cwd).ok());
        manifest.argument = match from_here {
            Some(folder) if folder.as_os_str().is_empty() => String::new(),
            Some(folder) => argument(folder),
            None => argument(file),
        };
        Ok(manifest)
    }

    /// The root of the code repo that holds `folder`; what is above it is looked at once.
    fn code_repo_of(&self, folder: &Path) -> Option<PathBuf> {
        if locate::is_repo_root(folder) {
            return Some(folder.to_path_buf());
        }
        let above = folder.parent()?;
        let known = || self.code_repos.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code_repo) = known().get(above) {
            return code_repo.clone();
        }
        let code_repo = self.code_repo_of(above);
        known().insert(above.to_path_buf(), code_repo.clone());
        code_repo
    }

    /// Where the assets folder of a code repo is, without a look at it.
    fn place_of_assets_folder(&self, code_repo: &Path) -> PathBuf {
        match &self.environment.assets_folder {
            Some(folder) => self.base.join(folder),
            None => code_repo.join(".assets"),
        }
    }

    /// The assets folder for a manifest.
    ///
    /// # Errors
    /// When it is a link that came with the code repo, or files in it did, or it holds code.
    pub fn assets_folder(&self, manifest: &Manifest) -> Result<PathBuf> {
        let code_repo = &manifest.code_repo;
        let folder = self.place_of_assets_folder(code_repo);
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !checked.contains(&folder) {
            Folder::Assets.is_at(&folder);
            match self.environment.assets_folder {
                Some(_) => self.check_place(code_repo, &folder)?,
                None => checkouts::check_folder(&folder)?,
            }
            self.check_untracked(code_repo, &folder)?;
            checked.insert(folder.clone());
        }
        Ok(folder)
    }

    /// The code repo as a place for git. Only asked, never changed.
    fn code_repo_git(&self, root: &Path) -> Result<Repo> {
        let place = Place {
            git_dir: root.join(".git"),
            work_tree: Some(root.to_path_buf()),
            also_objects: Vec::new(),
            write_objects: None,
        };
        Ok(Repo { git: self.git()?.clone(), place })
    }

    /// Refuses an assets folder of which the code repo tracks a file.
    fn check_untracked(&self, code_repo: &Path, folder: &Path) -> Result<()> {
        let Some(below) = folder.strip_prefix(code_repo).ok().and_then(Path::to_str) else { return Ok(()) };
        let below = below.replace('\\', "/");
        // The file that hides the folder may be shared; what it says is no danger.
        let may_be = |file: &str| file.eq_ignore_ascii_case(&format!("{below}/.gitignore"));
        let tracked = match tracked::below(&git_dir_of(code_repo), &below) {
            Tracked::No => None,
            Tracked::Yes(file) if !may_be(&file) => Some(file),
            // Others may follow, or the index is of a kind that only git reads.
            _ => self.code_repo_git(code_repo)?.tracked_below(&below)?.into_iter().find(|file| !may_be(file)),
        };
        let Some(file) = tracked else { return Ok(()) };
        let name = shell_word(&below);
        Err(Error::failed(format!("`{}` is tracked by the code repo", printable(&file)))
            .cause("the assets folder is not for commits: its files would come from anybody's pull request")
            .hint(format!(
                "take it out of the index: `git -C {} rm -r -q --cached {name}`",
                shell_word(&code_repo.to_string_lossy())
            )))
    }

    /// Where a test proxy starts for a manifest: the folder of its prefix in the checkout.
    pub fn recordings_root(&self, manifest: &Manifest) -> Result<PathBuf> {
        let dir = checkouts::dir_of(&self.assets_folder(manifest)?, manifest);
        Ok(join(&dir, manifest.prefix.as_str()))
    }

    /// The checkout of a manifest, whether it exists or not, and a git that is new enough to work in it.
    pub fn checkout(&self, manifest: &Manifest) -> Result<Checkout> {
        let checkout = self.checkout_before_vouching(manifest);
        self.vouch_for_git()?;
        checkout
    }

    /// As [`Context::checkout`], for a caller that first fetches and then calls [`Context::vouch_for_git`].
    pub fn checkout_before_vouching(&self, manifest: &Manifest) -> Result<Checkout> {
        let checkout = self.checkout_to_look_at(manifest)?;
        self.begin_use(manifest, &checkout)?;
        Ok(checkout)
    }

    /// As [`Context::checkout`], for a caller that only reads and can stand that things go meanwhile.
    pub fn checkout_to_look_at(&self, manifest: &Manifest) -> Result<Checkout> {
        let git = self.git()?.about(manifest.repo_name(), &manifest.path);
        Ok(Checkout::of(manifest, &self.assets_folder(manifest)?, &self.store(manifest)?, &git))
    }

    /// The store of a manifest, whether it exists or not.
    fn store(&self, manifest: &Manifest) -> Result<Store> {
        let url = url_of(manifest);
        let git = self.git()?.about(manifest.repo_name(), "");
        let branches = match &manifest.form {
            Form::Branch { branch, fallback, .. } => vec![branch.branch_ref(), fallback.branch_ref()],
            Form::Tag { .. } => Vec::new(),
        };
        let store = Store::at(&self.environment.cache_dir, &url, manifest.repo_name(), &git, &self.access());
        Ok(store.with_branches(branches))
    }

    fn access(&self) -> Access {
        Access { offline: self.offline, limits: self.environment.limits, patience: self.patience() }
    }

    fn patience(&self) -> Patience {
        Patience { holder: self.title.clone(), timeout: self.lock_timeout }
    }

    /// Tells `gc` whose store this is, and keeps it away until this command ends: what was found there stays there.
    fn begin_use(&self, manifest: &Manifest, checkout: &Checkout) -> Result<()> {
        let store = &checkout.store;
        let known = Known {
            code_repo: manifest.code_repo.clone(),
            assets_folder: checkout.folder.clone(),
            store: store.dir().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            assets_repo: manifest.repo_name().to_string(),
        };
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.contains_key(&known) {
            return Ok(());
        }
        let cache = &self.environment.cache_dir;
        // A cache that cannot be written serves as well; nobody can take anything away from it either.
        let _ = known::remember(cache, &known);
        let _ = std::fs::create_dir_all(store::stores_folder(cache));
        let lock = match Lock::share(&store::use_file(store.dir()), &self.patience(), checkout.repo.git.report()) {
            Err(error) if error.kind != Kind::Failed => return Err(error),
            lock => lock.ok(),
        };
        in_use.insert(known, lock);
        Ok(())
    }

    /// Remembers that an assets repo does not answer.
    fn give_up_on(&self, assets_repo: &str) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(assets_repo.to_string());
    }

    /// Refuses to wait once more, for each of many manifests, for an assets repo that does not answer.
    fn expect_answers_of(&self, assets_repo: &str) -> Result<()> {
        if !self.silent.lock().unwrap_or_else(PoisonError::into_inner).contains(assets_repo) {
            return Ok(());
        }
        Err(Error::new(Kind::Transient, format!("assets repo `{assets_repo}` did not answer the push before this one"))
            .cause("this one was not tried: nothing was sent, and nothing was changed here")
            .hint("check the network, then run the same command again"))
    }

    /// Who pushes are by.
    pub fn identity(&self) -> Identity {
        Identity { name: self.environment.commit_owner.clone(), email: self.environment.commit_email.clone() }
    }
}

fn argument(path: &Path) -> String {
    let path = path.to_string_lossy();
    // It would be taken for a flag.
    let start = if path.starts_with('-') { "./" } else { "" };
    format!(" {}", shell_word(&format!("{start}{path}")))
}

/// A path inside a checkout on this system.
pub fn join(dir: &Path, path: &str) -> PathBuf {
    path.split('/').filter(|part| !part.is_empty()).fold(dir.to_path_buf(), |dir, part| dir.join(part))
}

/// The git directory of a code repo: `.git`, or where that leads in a linked worktree or a submodule.
fn git_dir_of(code_repo: &Path) -> PathBuf {
    let dot_git = code_repo.join(".git");
    match std::fs::read_to_string(&dot_git) {
        Ok(text) => code_repo.join(text.trim().trim_start_matches("gitdir: ")),
        Err(_) => dot_git,
    }
}

/// The URL of a manifest's assets repo.
fn url_of(manifest: &Manifest) -> RemoteUrl {
    manifest.assets_repo.url(code_repo_uses_ssh(&manifest.code_repo))
}

/// Whether the code repo itself is reached by ssh; then GitHub is asked by ssh too.
fn code_repo_uses_ssh(code_repo: &Path) -> bool {
    let url = origin_of_code_repo(code_repo);
    url.starts_with("git@") || url.starts_with("ssh://")
}

/// The URL that the code repo was cloned from, or nothing. Reads the configuration file and not git, because it decides
/// nothing but defaults.
fn origin_of_code_repo(code_repo: &Path) -> String {
    let git_dir = git_dir_of(code_repo);
    let git_dir = match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(common) => git_dir.join(common.trim()),
        Err(_) => git_dir,
    };
    let config = std::fs::read_to_string(git_dir.join("config")).unwrap_or_default();
    parse::config_value(&config, "remote \"origin\"", "url").unwrap_or_default().to_string()
}

/// The tag of a manifest as its breadcrumb has it; none for the branch form.
fn tag_for_breadcrumb(manifest: &Manifest) -> Option<&str> {
    match &manifest.form {
        Form::Tag { .. } if manifest.instead.is_some() => Some(""),
        Form::Tag { tag, .. } => Some(tag.as_ref().map_or("", |tag| tag.as_str())),
        Form::Branch { .. } => None,
    }
}
