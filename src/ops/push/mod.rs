//! `push`: send pending changes as a new commit, then move the pin in the manifest.

mod deletions;
pub mod idle;
pub mod intent;
pub mod scanner;
pub mod secrets;
mod send;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::apply::{self, InTheWay, Transition};
use super::enter::{enter, enter_quickly, head_for, pending_and_staged, shown_pin};
use super::{Context, Outcome, breadcrumb, join};
use crate::error::{AtPath, Error, Kind, Result};
use crate::git::parse::{Change, ChangeKind};
use crate::git::{Repo, Signature};
use crate::manifest::{Form, Manifest, edit, file};
use crate::names::{Oid, RefName};
use crate::store::checkout::Checkout;
use crate::store::composite::{self, Grafts};
use crate::store::files::entries_of;
use crate::store::listing::{self, Listing};
use crate::store::lock::Lock;
use crate::store::paths;
use crate::store::surface::is_at_pin;
use crate::units::count;
use intent::Intent;
use secrets::{Checked, Secrets};

/// What a push is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The message of the commit; a default names the package.
    pub message: Option<String>,
    /// Where a file was changed here and differently there, send ours.
    pub prefer_mine: bool,
    /// Say what would be sent, and send nothing.
    pub dry_run: bool,
    /// Send it even if it deletes most of the recordings.
    pub allow_deletions: bool,
}

/// What a push did.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub root: PathBuf,
    /// The pin before.
    pub before: Oid,
    /// The new pin; the old one when there was nothing to send.
    pub commit: Oid,
    /// The branch or tag, as a full ref name; none when there was nothing to send.
    pub sent_to: Option<String>,
    /// What the manifest pins now.
    pub pin: String,
    pub files: Vec<Change>,
    /// How many files others had changed in between; they are here now too.
    pub others: usize,
    /// How the files were looked at for secrets; none when nothing was sent.
    pub checked: Option<Checked>,
}

/// Sends the pending changes of one manifest's slice.
pub fn push(
    context: &Context,
    manifest: &Manifest,
    request: &Request,
    secrets: &mut Secrets,
) -> Result<Outcome<Pushed>> {
    let (push, _lock) = Push::open(context, manifest, request)?;
    push.run(secrets)
}

struct Push<'a> {
    context: &'a Context,
    manifest: &'a Manifest,
    request: &'a Request,
    checkout: Checkout,
    /// The pin that the slice is shown at: what the pending changes are changes of.
    base: Oid,
}

/// The slice with the pending changes, as objects.
struct Mine {
    files: Vec<Change>,
    /// What HEAD would be with this slice's changes, as a tree; the index file beside the real one has it too.
    whole: Oid,
    /// The base with only this slice's changes.
    tree: Oid,
    index: PathBuf,
}

/// What is on the remote now.
struct Sent {
    commit: Oid,
    /// Whether its parent is another commit than the base: then more than the pending files may have changed.
    rebased: bool,
    /// How many files of the slice others had changed.
    others: usize,
    listing: Option<Listing>,
}

/// The commit to try first.
struct First {
    commit: Oid,
    rebased: bool,
    /// What interrupted pushes of other content may have left on the branch, oldest first: ours, so no conflict with us.
    earlier: Vec<Oid>,
}

impl<'a> Push<'a> {
    /// Enters the checkout, under its lock.
    fn open(context: &'a Context, manifest: &'a Manifest, request: &'a Request) -> Result<(Push<'a>, Lock)> {
        let checkout = context.checkout(manifest)?;
        let not_restored = || {
            Error::failed("it is not restored, so there is nothing to push")
                .hint(format!("restore it first, then record into it: `assets restore{}`", manifest.argument))
        };
        if !checkout.exists()? {
            return Err(not_restored());
        }
        let lock = checkout.lock()?;
        enter_quickly(&checkout)?;
        if !checkout.exists()? {
            return Err(not_restored());
        }
        let base = shown_pin(&checkout, manifest)?.ok_or_else(not_restored)?;
        Ok((Push { context, manifest, request, checkout, base }, lock))
    }

    /// The pending changes, and whether anything was staged by hand.
    fn pending(&self) -> Result<(Vec<Change>, bool)> {
        match pending_and_staged(&self.checkout, &self.manifest.slice) {
            Err(error) if error.kind == Kind::Failed => {
                // Perhaps its objects are gone with a deleted store.
                enter(&self.checkout)?;
                pending_and_staged(&self.checkout, &self.manifest.slice)
            }
            files => files,
        }
    }

    fn run(self, secrets: &mut Secrets) -> Result<Outcome<Pushed>> {
        let intent = Intent::read(&self.checkout.git_dir, &self.manifest.slice)?;
        let (files, staged) = self.pending()?;
        if files.is_empty() {
            return match intent {
                Some(intent) if !self.request.dry_run => self.finish_earlier(intent),
                _ => self.nothing(),
            };
        }
        self.check_files(&files)?;
        self.check_pin(intent.as_ref())?;
        if self.request.dry_run {
            return Ok(Outcome::Done(Pushed {
                sent_to: Some(self.target_for_people()),
                ..self.summary(&self.base, files, 0)
            }));
        }
        if self.context.offline {
            return Err(
                Error::usage("a push needs the remote, and `--offline` forbids it").hint("run it without `--offline`")
            );
        }
        self.context.expect_answers_of(self.checkout.store.name())?;
        if let Some(refusal) = self.check_deletions(&files)? {
            return Ok(Outcome::Refused(refusal));
        }
        let mine = self.mine(files, staged)?;
        let checked = match self.check_secrets(&mine, secrets)? {
            Outcome::Done(checked) => Some(checked),
            Outcome::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let first = self.first(intent, &mine)?;
        let to = self.target(&first.commit)?;
        self.note(&mine.tree, &first, &to)?;
        let sent = match &self.manifest.form {
            Form::Tag { .. } => self.send_tag(&first.commit, &to)?,
            Form::Branch { branch, fallback, .. } => match self.send_to_branch(&mine, first, &to, branch, fallback)? {
                Outcome::Done(sent) => sent,
                Outcome::Refused(refusal) => {
                    self.forget()?;
                    return Ok(Outcome::Refused(refusal));
                }
            },
        };
        self.show(&mine, &sent, &to)?;
        self.edit_manifest(&sent.commit, &to)?;
        self.forget()?;
        Ok(Outcome::Done(Pushed { sent_to: Some(to), checked, ..self.summary(&sent.commit, mine.files, sent.others) }))
    }

    fn nothing(&self) -> Result<Outcome<Pushed>> {
        Ok(Outcome::Done(self.nothing_sent()))
    }

    fn summary(&self, commit: &Oid, files: Vec<Change>, others: usize) -> Pushed {
        let pin = self.pin_value(commit);
        Pushed { commit: commit.clone(), pin, files, others, ..self.nothing_sent() }
    }

    fn nothing_sent(&self) -> Pushed {
        Pushed::nothing(self.manifest, &self.checkout.dir, &self.base)
    }

    // Before anything is sent.

    /// Refuses files that other systems cannot hold, and what is not a file.
    fn check_files(&self, files: &[Change]) -> Result<()> {
        for change in files.iter().filter(|change| change.kind != ChangeKind::Deleted) {
            // A repository inside of the recordings is one entry, which ends with a slash.
            paths::check_path(change.path.trim_end_matches('/'), &self.context.environment.limits)?;
            let file = join(&self.checkout.dir, &change.path);
            let meta = file.symlink_metadata().at("look at", &file)?;
            if meta.is_symlink() {
                paths::check_mode(&change.path, "120000")?;
            }
            if !meta.is_file() {
                return Err(Error::failed(format!("`{}` is not a plain file", change.path))
                    .cause("only plain files can be recordings; a folder with its own `.git` is a repository")
                    .hint(format!("move it away: `{}`", file.display())));
            }
        }
        self.check_spelling(files)
    }

    /// Refuses new files beside others of the same name in another case. What is on disk is what the slice will be.
    fn check_spelling(&self, files: &[Change]) -> Result<()> {
        let mut folders: HashMap<&str, Vec<String>> = HashMap::new();
        let below = self.manifest.slice.as_str().len();
        for change in files.iter().filter(|change| change.kind == ChangeKind::New) {
            let ends = change.path.match_indices('/').map(|(end, _)| end).chain([change.path.len()]);
            for end in ends.filter(|end| *end > below) {
                let path = &change.path[..end];
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let siblings = match folders.entry(folder) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(names_in(&join(&self.checkout.dir, folder))?),
                };
                let lower = name.to_lowercase();
                if let Some(twin) = siblings.iter().find(|other| *other != name && other.to_lowercase() == lower) {
                    return Err(paths::twins(path, twin).hint("rename one of them (or the test that records it)"));
                }
            }
        }
        Ok(())
    }

    /// A new tag is made on the shown commit; if the manifest pins another by now, the recordings that are only there
    /// would be left behind. (On a branch the change is replayed.)
    fn check_pin(&self, intent: Option<&Intent>) -> Result<()> {
        let Form::Tag { tag: Some(tag), .. } = &self.manifest.form else { return Ok(()) };
        if is_at_pin(&self.checkout.dir, self.manifest)? || intent.is_some() {
            return Ok(());
        }
        let path = &self.manifest.argument;
        Err(Error::needs_person(format!(
            "`{}` pins `{tag}`, but its checkout shows another commit",
            self.manifest.path
        ))
        .cause(format!("the pending changes were made on `{}`", self.base))
        .hint(format!(
            "bring them to the new pin: `assets restore --stash{path}`, then `assets stash pop{path}`, then push again"
        )))
    }

    /// Makes objects of the pending changes, in the store, without touching work tree or index.
    fn mine(&self, files: Vec<Change>, staged: bool) -> Result<Mine> {
        // Nothing was fetched yet for a checkout that another tool made.
        self.checkout.store.create()?;
        let repo = self.writer();
        let index = if staged { self.checkout.index_of_head()? } else { self.checkout.copy_index()? };
        let names: Vec<&str> = files.iter().map(|change| change.path.as_str()).collect();
        repo.update_index(&index, &names)?;
        let whole = repo.write_tree(&index)?;
        let tree = if self.checkout.head()?.as_ref() == Some(&self.base) {
            whole.clone()
        } else {
            self.only_this_slice(&repo, &whole)?
        };
        Ok(Mine { files, whole, tree, index })
    }

    /// The base's tree with the slice from `whole`, but slices inside the slice as the base has them.
    fn only_this_slice(&self, repo: &Repo, whole: &Oid) -> Result<Oid> {
        let slice = &self.manifest.slice;
        let mut objects = repo.objects()?;
        let base = match objects.commit(self.base.as_str())? {
            Some((_, base)) => base,
            None => {
                // It went with a deleted store, which nothing has looked for so far.
                enter(&self.checkout)?;
                objects = repo.objects()?;
                let gone = || {
                    Error::failed(format!("commit `{}` is not in the object store", self.base))
                        .hint("run `assets restore`")
                };
                objects.commit(self.base.as_str())?.ok_or_else(gone)?.1
            }
        };
        let mut grafts = Grafts::from([(slice.clone(), listing::tree_at(&mut objects, whole, slice)?.flatten())]);
        for inner in composite::slices_inside(&self.checkout.slices()?, slice) {
            let tree = listing::tree_at(&mut objects, &base.tree, inner)?.flatten();
            grafts.insert(inner.clone(), tree);
        }
        composite::graft(&mut objects, &mut repo.trees()?, &base.tree, &grafts)
    }

    /// The commit of an interrupted push when it had the same content, else a new one.
    fn first(&self, intent: Option<Intent>, mine: &Mine) -> Result<First> {
        let Some(intent) = intent.filter(|intent| intent.base == self.base.as_str()) else {
            return Ok(First { commit: self.commit(&mine.tree, &self.base)?, rebased: false, earlier: Vec::new() });
        };
        let mut objects = self.writer().objects()?;
        let mut earlier = Vec::new();
        for name in intent.earlier.iter().chain([&intent.commit]) {
            // One that is not here went with a deleted store. If the remote has it, it may be a conflict.
            earlier.extend(objects.commit(name)?.map(|(commit, _)| commit));
        }
        if intent.tree == mine.tree.as_str() && earlier.last().is_some_and(|last| last.as_str() == intent.commit) {
            let commit = earlier.pop().unwrap_or_else(|| self.base.clone());
            return Ok(First { commit, rebased: intent.rebased, earlier });
        }
        Ok(First { commit: self.commit(&mine.tree, &self.base)?, rebased: false, earlier })
    }

    fn commit(&self, tree: &Oid, parent: &Oid) -> Result<Oid> {
        let message = match &self.request.message {
            Some(message) => format!("{}\n", message.trim_end()),
            None => format!("Update recordings of {}\n", self.manifest.slice),
        };
        let identity = self.context.identity();
        self.writer().commit_tree(tree, &[parent], &message, &Signature::User(&identity)).map_err(|error| {
            let nobody =
                ["tell me who you are", "empty ident", "no email was given", "no name was given", "useconfigonly"];
            let text = error.causes.join("\n").to_lowercase();
            if !nobody.iter().any(|words| text.contains(words)) {
                return error;
            }
            let mut nameless = Error::failed("nobody is named as the author of the push");
            nameless.causes = error.causes;
            nameless.hint("set `GIT_COMMIT_OWNER` and `GIT_COMMIT_EMAIL`").hint(
                "or tell git: `git config --global user.name 'Your Name'` and `git config --global user.email you@example.com`",
            )
        })
    }

    /// Git working in the checkout, with new objects going to the store: other clones on this machine have them at once.
    fn writer(&self) -> Repo {
        let mut repo = self.checkout.repo.clone();
        repo.place.write_objects = Some(self.checkout.store.objects_dir());
        repo.place.also_objects = vec![self.checkout.git_dir.join("objects")];
        repo
    }

    // After the remote has it.

    /// Makes the slice show the pushed commit, clean: the index that was pushed becomes the real one, and what others
    /// had pushed is added.
    fn show(&self, mine: &Mine, sent: &Sent, to: &str) -> Result<()> {
        let checkout = &self.checkout;
        let mut slices = checkout.slices()?;
        slices.insert(self.manifest.slice.clone(), sent.commit.clone());
        let head = checkout.head()?;
        let index = checkout.git_dir.join("index");
        std::fs::rename(&mine.index, &index).at("replace", &index)?;
        checkout.borrow_from_store()?;
        let tag = match self.manifest.form {
            Form::Tag { .. } => to.strip_prefix("refs/tags/").map(|tag| {
                let commit = sent.commit.to_string();
                (tag.to_string(), commit.clone(), commit)
            }),
            Form::Branch { .. } => None,
        };
        let alone = slices.len() == 1 || tag.is_some();
        if alone && !sent.rebased && head.as_ref() == Some(&self.base) {
            // The work tree already is what was pushed.
            return checkout.record(&sent.commit, &slices, tag.as_ref());
        }
        let to = if alone { sent.commit.clone() } else { head_for(checkout, None, &slices, None)? };
        let transition = Transition {
            operation: "push",
            from: mine.whole.clone(),
            to,
            slices,
            put_back: Vec::new(),
            stored: HashMap::new(),
            stashes: Vec::new(),
            kept: Vec::new(),
            tag,
        };
        let listings: Vec<_> = sent.listing.iter().map(|listing| (&self.manifest.slice, listing)).collect();
        let stashed = apply::change(checkout, transition, &listings, InTheWay::Stash)?;
        if !stashed.is_empty() {
            let what = format!(
                "stashed {} recorded during the push, where others had pushed too",
                count(stashed.len(), "file")
            );
            checkout.repo.git.report().note(&format!("{what}; `assets stash list` shows it"));
        }
        Ok(())
    }

    /// Moves the pin, last of all.
    fn edit_manifest(&self, commit: &Oid, to: &str) -> Result<()> {
        let place = dunce::canonicalize(&self.manifest.file).at("find", &self.manifest.file)?;
        let value = match &self.manifest.form {
            Form::Tag { .. } => to.strip_prefix("refs/tags/").unwrap_or(to).to_string(),
            Form::Branch { .. } => commit.to_string(),
        };
        let by_hand = |error: Error| {
            error.hint(format!(
                "the recordings are pushed; set `\"{}\": \"{value}\"` in `{}` by hand, or run `assets push` again",
                self.manifest.pin_key(),
                self.manifest.path
            ))
        };
        let now = Manifest::load(&place).map_err(by_hand)?;
        if now.pin() != self.manifest.pin() {
            return Err(by_hand(Error::needs_person(format!(
                "`{}` was changed by somebody else during the push",
                self.manifest.path
            ))));
        }
        let text = std::fs::read_to_string(&place).at("read", &place).map_err(by_hand)?;
        let text = edit::set_string(&text, self.manifest.pin_key(), &value).map_err(by_hand)?;
        file::replace(&place, text.as_bytes()).map_err(by_hand)?;
        let manifest = Manifest::load(&place)?;
        breadcrumb::write(&self.checkout.folder, &manifest)
    }

    // Names.

    fn target(&self, commit: &Oid) -> Result<String> {
        match &self.manifest.form {
            Form::Branch { branch, .. } => Ok(branch.branch_ref()),
            Form::Tag { prefix, .. } => {
                let name = format!("{prefix}_{}", commit.short());
                let tag = RefName::parse(&name).map_err(|why| Error::usage(format!("the new tag `{name}` {why}")))?;
                Ok(tag.tag_ref())
            }
        }
    }

    fn target_for_people(&self) -> String {
        match &self.manifest.form {
            Form::Branch { branch, .. } => branch.branch_ref(),
            Form::Tag { prefix, .. } => format!("refs/tags/{prefix}_<commit>"),
        }
    }

    fn pin_value(&self, commit: &Oid) -> String {
        pin_value(self.manifest, &self.base, commit)
    }
}

impl Pushed {
    /// Nothing was to be sent of a slice that is shown at `base` in the checkout `dir`.
    fn nothing(manifest: &Manifest, dir: &Path, base: &Oid) -> Pushed {
        Pushed {
            root: join(dir, manifest.prefix.as_str()),
            before: base.clone(),
            commit: base.clone(),
            sent_to: None,
            pin: pin_value(manifest, base, base),
            files: Vec::new(),
            others: 0,
            checked: None,
        }
    }
}

/// What a manifest whose slice was shown at `base` says about a commit.
fn pin_value(manifest: &Manifest, base: &Oid, commit: &Oid) -> String {
    match &manifest.form {
        Form::Branch { .. } => commit.to_string(),
        Form::Tag { tag: Some(tag), .. } if commit == base => tag.to_string(),
        Form::Tag { prefix, .. } => format!("{prefix}_{}", commit.short()),
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    Ok(entries_of(folder)?.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}
