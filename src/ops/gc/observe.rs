//! What there is: the code repos that use this cache with their manifests, and the checkouts in their assets folders.
//! Nothing is changed, and no git is run in a checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::left_overs::is_broken;
use crate::error::{Error, Result};
use crate::git::alternates;
use crate::manifest::{Manifest, locate};
use crate::names::RepoPath;
use crate::ops::{Context, discover};
use crate::store::checkout::{Checkout, check_readable, slices_in};
use crate::store::files::{entries_of, is_folder, is_there, read_if_there};
use crate::store::known::{self, Known};
use crate::store::{Store, stores_folder};

/// A code repo that uses this cache.
pub struct CodeRepo {
    pub root: PathBuf,
    /// What the cache knows of it; nothing if it is only the one that the command was run in.
    pub known: Vec<Known>,
    /// Its assets folders.
    pub folders: BTreeSet<PathBuf>,
    pub state: State,
}

/// What is known of the manifests of a code repo.
pub enum State {
    /// It is not there any more.
    Gone,
    There {
        manifests: Vec<Wanted>,
        /// Manifests that cannot be read, by their path, and why.
        broken: Vec<(String, Error)>,
    },
}

/// A manifest, and the name of its store.
pub struct Wanted {
    pub manifest: Manifest,
    pub store: String,
}

/// A work tree in an assets folder.
#[derive(Clone)]
pub struct Seen {
    pub folder: PathBuf,
    pub dir: PathBuf,
    pub name: String,
    /// The stores that it borrows from; none in a checkout that another tool made.
    pub borrows: Vec<String>,
    pub slices: BTreeSet<RepoPath>,
    /// Why it cannot be told what is in it: then it stays, and so does every store that it may need.
    pub trouble: Option<Error>,
}

/// Everything that decides what is used.
pub struct World {
    pub repos: Vec<CodeRepo>,
    pub checkouts: Vec<Seen>,
    /// Assets folders that cannot be read, and why. There may be checkouts in them.
    pub unread: Vec<(PathBuf, Error)>,
}

impl World {
    /// Looks at every code repo that uses the cache, and at the one that the command was run in.
    pub fn observe(context: &Context) -> Result<World> {
        let mut repos: BTreeMap<PathBuf, CodeRepo> = BTreeMap::new();
        let all = known::all(&context.environment.cache_dir)?;
        if let Some(root) = locate::code_repo_of(&context.environment.cwd) {
            let folder = match &context.environment.assets_folder {
                Some(folder) => context.base.join(folder),
                None => root.join(".assets"),
            };
            // In a checkout there is no code.
            if !all.iter().any(|known| root.starts_with(&known.assets_folder)) {
                repos.entry(root.clone()).or_insert_with(|| CodeRepo::unread(&root)).add_folder(&folder);
            }
        }
        for known in all {
            let repo = repos.entry(known.code_repo.clone()).or_insert_with(|| CodeRepo::unread(&known.code_repo));
            repo.add_folder(&known.assets_folder);
            repo.known.push(known);
        }
        let mut repos: Vec<CodeRepo> = repos.into_values().collect();
        for repo in &mut repos {
            repo.read(context)?;
        }
        let folders: BTreeSet<PathBuf> = repos.iter().flat_map(|repo| &repo.folders).cloned().collect();
        let mut world = World { repos, checkouts: Vec::new(), unread: Vec::new() };
        for folder in folders {
            match checkouts_in(&folder, context) {
                Ok(checkouts) => world.checkouts.extend(checkouts),
                Err(error) => world.unread.push((folder, error)),
            }
        }
        Ok(world)
    }

    /// The assets folders, sorted.
    pub fn folders(&self) -> BTreeSet<&Path> {
        self.repos.iter().flat_map(|repo| &repo.folders).map(PathBuf::as_path).collect()
    }

    /// The code repos whose checkouts are in a folder.
    pub fn repos_of<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a CodeRepo> {
        self.repos.iter().filter(move |repo| repo.folders.contains(folder))
    }
}

impl CodeRepo {
    fn unread(root: &Path) -> CodeRepo {
        CodeRepo { root: root.to_path_buf(), known: Vec::new(), folders: BTreeSet::new(), state: State::Gone }
    }

    /// Not a link that came with the code repo: it may lead to the checkouts of another one. Two names of one folder are
    /// one folder.
    fn add_folder(&mut self, folder: &Path) {
        let is_link = || folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if !folder.starts_with(&self.root) || !is_link() {
            self.folders.insert(dunce::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf()));
        }
    }

    fn read(&mut self, context: &Context) -> Result<()> {
        let (mut manifests, mut broken) = (Vec::new(), Vec::new());
        match is_there(&self.root.join(".git")) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                broken.push((self.root.to_string_lossy().into_owned(), error));
                self.state = State::There { manifests, broken };
                return Ok(());
            }
        }
        match discover::manifests_below(context, &self.root) {
            Ok(files) => {
                for file in files {
                    match context.found_manifest(&file) {
                        Ok(manifest) => {
                            let store = name_of(&context.store(&manifest)?);
                            manifests.push(Wanted { manifest, store });
                        }
                        Err(error) => broken.push((file.to_string_lossy().into_owned(), error)),
                    }
                }
            }
            Err(error) => broken.push((self.root.to_string_lossy().into_owned(), error)),
        }
        self.state = State::There { manifests, broken };
        Ok(())
    }

    pub fn manifests(&self) -> &[Wanted] {
        match &self.state {
            State::Gone => &[],
            State::There { manifests, .. } => manifests,
        }
    }

    pub fn broken(&self) -> &[(String, Error)] {
        match &self.state {
            State::Gone => &[],
            State::There { broken, .. } => broken,
        }
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }
}

impl Seen {
    /// The checkout as a place to work in; none unless it borrows from the store of what it was made from.
    pub fn open(&self, context: &Context) -> Result<Option<Checkout>> {
        let Some(url) = Checkout::origin_of(&self.dir)? else { return Ok(None) };
        let git = context.git()?;
        let name = url.identity();
        let access = crate::store::Access { offline: true, ..context.access() };
        let cache = &context.environment.cache_dir;
        // One that was last changed by an earlier version still borrows from where that kept its objects.
        let stores = [Store::at, Store::at_former_place].map(|at| at(cache, &url, &name, git, &access));
        let store = stores.into_iter().find(|store| self.borrows.contains(&name_of(store)));
        Ok(store.map(|store| Checkout::in_dir(self.dir.clone(), &self.folder, &store, git)))
    }
}

/// The name of a store's directory.
pub fn name_of(store: &Store) -> String {
    store.dir().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn checkouts_in(folder: &Path, context: &Context) -> Result<Vec<Seen>> {
    let stores = stores_folder(&context.environment.cache_dir);
    let mut found = Vec::new();
    for entry in entries_of(folder)? {
        let (dir, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // What is set aside, half built or half removed is no checkout.
        if name.starts_with('.') || is_broken(&name) {
            continue;
        }
        let (contents, trouble) = match look(&dir, &stores) {
            Ok(None) => continue,
            Ok(Some(contents)) => (contents, None),
            Err(error) => (Contents::default(), Some(error)),
        };
        let Contents { borrows, slices } = contents;
        found.push(Seen { folder: folder.to_path_buf(), dir, name, borrows, slices, trouble });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The parts of [`Seen`] that its git directory tells.
#[derive(Default)]
struct Contents {
    borrows: Vec<String>,
    slices: BTreeSet<RepoPath>,
}

/// Looks at what may be a checkout; `None` if it is none.
fn look(dir: &Path, stores: &Path) -> Result<Option<Contents>> {
    let git_dir = dir.join(".git");
    if !is_folder(dir)? || !is_folder(&git_dir)? {
        return Ok(None);
    }
    check_readable(&git_dir)?;
    let content = read_if_there(&git_dir.join("objects/info/alternates"))?.unwrap_or_default();
    let store_of = |objects: &PathBuf| {
        let dir = objects.parent()?;
        let name = dir.file_name()?.to_string_lossy().into_owned();
        // That of another cache is none of ours, whatever it is called.
        Some(if dir.parent() == Some(stores) { name } else { dir.to_string_lossy().into_owned() })
    };
    Ok(Some(Contents {
        borrows: alternates::in_file(&content).iter().filter_map(store_of).collect(),
        slices: slices_in(&git_dir)?.into_keys().collect(),
    }))
}
