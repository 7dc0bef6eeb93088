//! Checkouts: where they are, what they show (read without any process), and whether git may be run in one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::composite::Slices;
use super::config::{FileSystem, config};
use super::files::{entries_of, is_there, read_if_there, text_if_there};
use super::git_dir::{self, path_of_ref_name, read_head, read_ref, ref_name_of};
use super::lock::{Lock, holder_of, remove_stale_git_locks};
use super::{Store, note};
use crate::error::{AtPath, Error, Result};
use crate::git::objects::Objects;
use crate::git::{Git, Place, Repo, alternates, parse};
use crate::manifest::{Form, Manifest};
use crate::names::{Oid, RemoteUrl, RepoPath};

/// Refs below this hold the pin of each slice as it was restored; the last part is [`PIN`].
const SLICES: &str = "refs/assets/slices/";
/// The last part of the ref of a slice. No encoded path ends with it, so slices may lie inside each other.
const PIN: &str = "%pin";
/// The commit that shows all slices at those pins. When HEAD is another, somebody else moved it.
pub(super) const SHOWN: &str = "refs/assets/shown";
/// The commits that tags lead to, for annotated tags.
pub(super) const TAGS: &str = "refs/assets/tags/";

/// The branch that the .NET test proxy compares with when it pushes, and fails without. In the tag form it is what is shown.
const MAIN: &str = "refs/heads/main";
/// Where we left that branch. When it is elsewhere, it is another tool's, or a person's.
const LEFT: &str = "refs/assets/main";

/// Commits that were made here by hand, and that nothing else leads to.
const BY_HAND: &str = "refs/assets/by-hand/";

/// Refs below this are stash entries: `<slice>/%<number>`, the highest number is the newest.
pub const STASH: &str = "refs/assets/stash/";

/// One work tree below an assets folder.
#[derive(Clone)]
pub struct Checkout {
    /// The assets folder.
    pub folder: PathBuf,
    /// The work tree.
    pub dir: PathBuf,
    /// Its git directory.
    pub git_dir: PathBuf,
    pub repo: Repo,
    pub store: Store,
    /// Whether it is one of the tag form, in which the .NET test proxy works too.
    is_tag_form: bool,
}

/// The ref that keeps a commit made by hand.
pub struct KeptCommit {
    pub name: String,
    /// Whether no ref led to it before.
    pub is_new: bool,
}

/// Where a manifest's checkout is, without looking at the disk.
pub fn dir_of(folder: &Path, manifest: &Manifest) -> PathBuf {
    folder.join(manifest.checkout_name())
}

/// The pin at which a slice was last restored.
pub(super) fn pin_of(git_dir: &Path, slice: &RepoPath) -> Result<Option<Oid>> {
    read_ref(git_dir, &slice_ref(slice))
}

fn slice_ref(slice: &RepoPath) -> String {
    format!("{SLICES}{}{PIN}", ref_name_of(slice))
}

/// Every slice of the checkout with this git directory, and its pin.
pub fn slices_in(git_dir: &Path) -> Result<Slices> {
    let refs = git_dir::refs_below(git_dir, SLICES)?.into_iter();
    Ok(refs.filter_map(|(name, pin)| Some((path_of_ref_name(name.strip_suffix(PIN)?)?, pin))).collect())
}

/// Makes sure that everything can be read by which a checkout says what it shows and what is kept in it: HEAD, refs, and
/// the notes of commands. No command works in one of which it cannot know that.
///
/// # Errors
/// When one of these files cannot be read.
pub fn check_readable(git_dir: &Path) -> Result<()> {
    read_head(git_dir)?;
    git_dir::refs_below(git_dir, "refs/")?;
    note::files_in(git_dir)?.iter().try_for_each(|file| read_if_there(file).map(drop))
}

/// Whether a ref (its full name) is one that showing slices leaves behind, and that nothing is lost with.
pub fn is_of_shown_slices(git_dir: &Path, name: &str) -> Result<bool> {
    match name.strip_prefix("refs/tags/") {
        Some(tag) => Ok(read_ref(git_dir, &format!("{TAGS}{tag}"))?.is_some()),
        None if name == MAIN => match read_ref(git_dir, MAIN)? {
            Some(main) => is_our_main(git_dir, &main),
            None => Ok(true),
        },
        None => Ok(name == SHOWN || name == LEFT || name.starts_with(SLICES) || name.starts_with(TAGS)),
    }
}

/// The refs (full names) of a git directory that keep recordings which nothing else leads to: stash entries, and commits made
/// by hand.
pub fn refs_of_recordings(git_dir: &Path) -> Result<BTreeMap<String, Oid>> {
    let mut refs = BTreeMap::new();
    for prefix in [STASH, BY_HAND] {
        refs.extend(
            git_dir::refs_below(git_dir, prefix)?.into_iter().map(|(name, oid)| (format!("{prefix}{name}"), oid)),
        );
    }
    Ok(refs)
}

/// Whether the branch [`MAIN`] is where we left it, or leads to a commit that another ref of ours keeps.
fn is_our_main(git_dir: &Path, main: &Oid) -> Result<bool> {
    let is_left = read_ref(git_dir, LEFT)?.as_ref() == Some(main);
    Ok(is_left || read_ref(git_dir, &format!("{BY_HAND}{main}"))?.is_some())
}

/// Makes the branch [`MAIN`] of a checkout of the tag form that has none. Reads one file where there is one.
pub fn make_main(git_dir: &Path, shown: &Oid) -> Result<()> {
    if read_ref(git_dir, MAIN)?.is_some() {
        return Ok(());
    }
    git_dir::write_ref(git_dir, MAIN, shown)?;
    git_dir::write_ref(git_dir, LEFT, shown)
}

/// The name under which something broken is kept.
pub fn broken_name(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    (0..)
        .map(|n| if n == 0 { format!("{name}.broken-{now}") } else { format!("{name}.broken-{now}-{n}") })
        .map(|name| path.with_file_name(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| path.with_extension("broken"))
}

impl Checkout {
    /// The checkout of `manifest` below the assets folder.
    pub fn of(manifest: &Manifest, folder: &Path, store: &Store, git: &Git) -> Checkout {
        let is_tag_form = matches!(manifest.form, Form::Tag { .. });
        Checkout { is_tag_form, ..Self::in_dir(dir_of(folder, manifest), folder, store, git) }
    }

    /// The same checkout while it is built beside its place.
    pub fn built_in(&self, dir: PathBuf) -> Checkout {
        let is_tag_form = self.is_tag_form;
        Checkout { is_tag_form, ..Self::in_dir(dir, &self.folder, &self.store, &self.repo.git) }
    }

    /// A checkout in any directory, of which nothing else is known.
    pub fn in_dir(dir: PathBuf, folder: &Path, store: &Store, git: &Git) -> Checkout {
        let git_dir = dir.join(".git");
        let place = Place {
            git_dir: git_dir.clone(),
            work_tree: Some(dir.clone()),
            also_objects: Vec::new(),
            write_objects: None,
        };
        let repo = Repo { git: git.clone(), place };
        Checkout { folder: folder.to_path_buf(), dir, git_dir, repo, store: store.clone(), is_tag_form: false }
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn exists(&self) -> Result<bool> {
        is_there(&self.git_dir)
    }

    /// The commit of HEAD.
    pub fn head(&self) -> Result<Option<Oid>> {
        read_head(&self.git_dir)
    }

    /// The pin at which a slice was last restored.
    pub fn pin(&self, slice: &RepoPath) -> Result<Option<Oid>> {
        pin_of(&self.git_dir, slice)
    }

    /// Every slice and its pin.
    pub fn slices(&self) -> Result<Slices> {
        slices_in(&self.git_dir)
    }

    /// Forgets every slice but these.
    pub fn keep_slices(&self, slices: &Slices) -> Result<()> {
        let others = self.slices()?.into_keys().filter(|slice| !slices.contains_key(slice));
        self.repo.delete_refs(&others.map(|slice| slice_ref(&slice)).collect::<Vec<_>>())
    }

    /// The assets repo that the checkout in `dir` was made from, by its own configuration.
    pub fn origin_of(dir: &Path) -> Result<Option<RemoteUrl>> {
        let text = text_if_there(&dir.join(".git/config"))?.unwrap_or_default();
        let url = parse::config_value(&text, "remote \"origin\"", "url");
        Ok(url.and_then(|url| RemoteUrl::parse(url.trim_matches('"')).ok()))
    }

    /// Every tag that is known here and what it leads to: the commit, or the object of an annotated tag that another
    /// tool fetched.
    pub fn tags(&self) -> Result<BTreeMap<String, Oid>> {
        let mut tags = git_dir::refs_below(&self.git_dir, "refs/tags/")?;
        tags.extend(git_dir::refs_below(&self.git_dir, TAGS)?);
        Ok(tags)
    }

    /// The commit that shows all slices, as we left it.
    pub fn shown(&self) -> Result<Option<Oid>> {
        read_ref(&self.git_dir, SHOWN)
    }

    /// Records what is shown: HEAD last, because it is what others look at.
    pub fn record(&self, head: &Oid, slices: &Slices, tag: Option<&(String, String, String)>) -> Result<()> {
        let known = self.slices()?;
        for (slice, pin) in slices.iter().filter(|(slice, pin)| known.get(*slice) != Some(*pin)) {
            git_dir::write_ref(&self.git_dir, &slice_ref(slice), pin)?;
        }
        if let Some((name, object, commit)) = tag {
            for (name, oid) in [(format!("refs/tags/{name}"), object), (format!("{TAGS}{name}"), commit)] {
                if let Ok(oid) = Oid::parse(oid) {
                    git_dir::write_ref(&self.git_dir, &name, &oid)?;
                }
            }
        }
        if self.is_tag_form {
            self.move_main(head)?;
        }
        if self.shown()?.as_ref() != Some(head) {
            git_dir::write_ref(&self.git_dir, SHOWN, head)?;
        }
        if self.head()?.as_ref() != Some(head) {
            git_dir::write_atomically(&self.git_dir.join("HEAD"), format!("{head}\n").as_bytes(), false)?;
        }
        Ok(())
    }

    /// Moves the branch [`MAIN`] to what is shown now, unless it is not ours.
    fn move_main(&self, shown: &Oid) -> Result<()> {
        let (main, left) = (read_ref(&self.git_dir, MAIN)?, read_ref(&self.git_dir, LEFT)?);
        let is_ours = match &main {
            None => true,
            // Perhaps the move was interrupted.
            Some(main) if main == shown => left.is_some(),
            Some(main) => is_our_main(&self.git_dir, main)?,
        };
        if !is_ours || (main.as_ref() == Some(shown) && left == main) {
            return Ok(());
        }
        // Where somebody has switched to it, HEAD would go along too early.
        let head = self.git_dir.join("HEAD");
        if let (Some(text), Some(main)) = (text_if_there(&head)?, &main)
            && text.trim() == format!("ref: {MAIN}")
        {
            git_dir::write_atomically(&head, format!("{main}\n").as_bytes(), false)?;
        }
        git_dir::write_ref(&self.git_dir, MAIN, shown)?;
        git_dir::write_ref(&self.git_dir, LEFT, shown)
    }

    /// Keeps a commit that was made here by hand under a ref, before HEAD leaves it. Nothing for a commit that came from
    /// the assets repo, or that is a stash entry.
    pub fn keep_commit(&self, commit: &Oid) -> Result<Option<KeptCommit>> {
        let refs = git_dir::refs_below(&self.git_dir, "refs/")?;
        let leading: Vec<String> = refs
            .into_iter()
            .filter(|(_, known)| known == commit)
            .map(|(name, _)| format!("refs/{name}"))
            .filter(|name| !(self.is_tag_form && name == MAIN)) // It is moved, and does not keep anything.
            .collect();
        // The test proxy tags what it has pushed.
        let is_known = |name: &String| {
            let prefixes = [SLICES, TAGS, STASH, "refs/remotes/", "refs/tags/"];
            name == SHOWN || prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        if leading.iter().any(is_known) {
            return Ok(None);
        }
        self.store.create()?;
        let mut store = self.store.with_objects_of(&[self.store.objects_dir()]).objects()?;
        // Git by hand may have downloaded it without the store.
        if store.commit(commit.as_str())?.is_some() || self.repo.is_from_promisor(commit)? {
            return Ok(None);
        }
        if let Some(name) = leading.into_iter().next() {
            return Ok(Some(KeptCommit { name, is_new: false }));
        }
        let name = format!("{BY_HAND}{commit}");
        git_dir::write_ref(&self.git_dir, &name, commit)?;
        Ok(Some(KeptCommit { name, is_new: true }))
    }

    /// Writes the git directory of a new checkout.
    pub fn create(&self, head: &Oid, slices: &Slices) -> Result<()> {
        let config = config(self.store.url(), FileSystem::default());
        git_dir::create(&self.git_dir, &config, &format!("{head}\n"))?;
        self.note_file_system()?;
        self.borrow_from_store()?;
        self.set_cone(slices)?;
        Ok(())
    }

    /// The objects directory that is borrowed from; none in a checkout that another tool made.
    pub fn borrows_from(&self) -> Result<Option<PathBuf>> {
        let content = read_if_there(&self.git_dir.join("objects/info/alternates"))?;
        Ok(content.and_then(|content| alternates::in_file(&content).into_iter().next()))
    }

    /// The objects directory of the checkout itself, when there is anything in it and what can be seen through it stays
    /// visible: not when it borrows from another store than ours.
    pub fn own_objects(&self) -> Result<Option<PathBuf>> {
        let objects = self.git_dir.join("objects");
        let ours = self.borrows_from()?.is_none_or(|borrowed| borrowed == self.store.objects_dir());
        let folders = entries_of(&objects)?;
        let has_any = folders.iter().any(|entry| entry.file_name() != "info" && entry.file_name() != "pack")
            || !entries_of(&objects.join("pack"))?.is_empty();
        Ok((ours && has_any).then_some(objects))
    }

    /// Opens the object databases of the checkout and its store together.
    pub fn objects(&self) -> Result<Objects> {
        // A store that was deleted is empty until something is fetched.
        self.store.create()?;
        self.store.with_objects_of(&[self.git_dir.join("objects")]).objects()
    }

    /// Makes the store's objects visible here.
    pub fn borrow_objects(&self) -> Result<()> {
        let content = alternates::file_of(&self.store.objects_dir());
        self.write_if_different("objects/info/alternates", &content).map(drop)
    }

    /// Makes the store's objects, and its knowledge of which commits have no history, visible here.
    pub fn borrow_from_store(&self) -> Result<()> {
        self.borrow_objects()?;
        let own = text_if_there(&self.git_dir.join("shallow"))?.unwrap_or_default();
        let stores = self.store.shallow()?;
        let all: BTreeSet<&str> = own.lines().chain(stores.lines()).collect();
        if !all.is_empty() {
            let mut text: String = all.into_iter().collect::<Vec<_>>().join("\n");
            text.push('\n');
            self.write_if_different("shallow", text.as_bytes())?;
        }
        Ok(())
    }

    /// Sets which directories are shown; whether that is a change.
    pub fn set_cone(&self, slices: &Slices) -> Result<bool> {
        self.write_if_different("info/sparse-checkout", git_dir::cone_patterns(slices.keys()).as_bytes())
    }

    /// Takes the lock of this checkout and clears away what killed gits left in it.
    pub fn lock(&self) -> Result<Lock> {
        prepare_folder(&self.folder)?;
        let locks = self.folder.join(".locks");
        let name = self.dir.file_name().unwrap_or_default();
        // The lock file is written to: with a link, to any file of the user's.
        check_folder(&locks)?;
        check_folder(&locks.join(name))?;
        std::fs::create_dir_all(&locks).at("create", &locks)?;
        let lock = Lock::take(&locks.join(name), &self.store.access().patience, self.repo.git.report())?;
        if self.exists()? {
            remove_stale_git_locks(&self.git_dir)?;
        }
        Ok(lock)
    }

    /// The command that holds the lock of this checkout now, if any. Takes no lock itself.
    pub fn in_use_by(&self) -> Option<String> {
        holder_of(&self.folder.join(".locks").join(self.dir.file_name()?))
    }

    /// A file for an index of our own. Used under the lock, so one name is enough.
    pub fn other_index(&self) -> PathBuf {
        self.git_dir.join("assets-index")
    }

    /// Copies the index to [`Checkout::other_index`], with all it knows about unchanged files.
    pub fn copy_index(&self) -> Result<PathBuf> {
        let to = self.other_index();
        git_dir::copy_index(&self.git_dir.join("index"), &to)?;
        Ok(to)
    }

    /// The same without what was staged by hand: a change of another slice, or of none, is not ours to commit.
    pub fn index_of_head(&self) -> Result<PathBuf> {
        let index = self.copy_index()?;
        if let Some(head) = self.head()? {
            self.repo.reset_index(&index, &head)?;
        }
        Ok(index)
    }

    pub(super) fn write_if_different(&self, name: &str, content: &[u8]) -> Result<bool> {
        let file = self.git_dir.join(name);
        if read_if_there(&file)?.is_some_and(|old| old == content) {
            return Ok(false);
        }
        git_dir::write_atomically(&file, content, false)?;
        Ok(true)
    }
}

/// Makes the assets folder with the `.gitignore` that hides it from the code repo.
pub fn prepare_folder(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) && !folder.is_dir() {
        return Err(Error::failed(format!("`{}` is not a directory", folder.display()))
            .hint("move it away, or name another assets folder with `PROXY_ASSETS_FOLDER`"));
    }
    std::fs::create_dir_all(folder).at("create the assets folder", folder).map_err(|error| {
        match error.hints.is_empty() {
            true => error.hint("name another assets folder with `PROXY_ASSETS_FOLDER`"),
            false => error,
        }
    })?;
    let ignore = folder.join(".gitignore");
    if !is_there(&ignore)? {
        git_dir::write_atomically(&ignore, b"*\n", false)?;
    }
    Ok(())
}

/// Refuses an assets folder in the code repo, or a part of one, that is a link: files would be written wherever it leads.
pub fn check_folder(folder: &Path) -> Result<()> {
    match folder.symlink_metadata() {
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(e).at("look at", folder),
        Ok(meta) if meta.is_symlink() => Err(Error::failed(format!("`{}` is a symbolic link", folder.display()))
            .cause("a link may come with somebody's commit and lead anywhere")
            .hint("delete it; to keep recordings elsewhere set `PROXY_ASSETS_FOLDER`")),
        _ => Ok(()),
    }
}
