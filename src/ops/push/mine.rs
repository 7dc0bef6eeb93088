//! The pending changes as objects: what a push sends, and the proof that it is nothing else.

use std::collections::HashSet;
use std::path::PathBuf;

use super::intent::Intent;
use super::{First, Push};
use crate::error::{Error, Result};
use crate::git::parse::{Change, ChangeKind, TreeChange};
use crate::git::{Repo, Signature};
use crate::names::Oid;
use crate::ops::enter::enter;
use crate::store::composite::{self, Grafts};
use crate::store::tree_diff::tree_diff;
use crate::store::{index_file, listing};

/// The slice with the pending changes, as objects.
pub(super) struct Mine {
    /// The pending changes that are sent.
    pub files: Vec<Change>,
    /// The same from the base's files to those of `tree`.
    pub changes: Vec<TreeChange>,
    /// What HEAD would be with this slice's changes, as a tree; the index file beside the real one has it too.
    pub whole: Oid,
    /// The base with only this slice's changes.
    pub tree: Oid,
    pub index: PathBuf,
}

impl Push<'_> {
    /// Makes objects of the pending changes, in the store, without touching work tree or index.
    pub(super) fn mine(&self, pending: &[Change], staged: bool) -> Result<Mine> {
        // Nothing was fetched yet for a checkout that another tool made.
        self.checkout.store.create()?;
        let repo = self.whole_writer();
        let index = if staged { self.checkout.index_of_head()? } else { self.checkout.copy_index()? };
        let names: Vec<&str> = pending.iter().map(|change| change.path.as_str()).collect();
        repo.update_index(&index, &names)?;
        let whole = repo.write_tree(&index)?;
        let (tree, changes) = if self.checkout.head()?.as_ref() != Some(&self.base) {
            self.only_this_slice(&repo, &whole)?
        } else {
            // With nothing staged the real index is as HEAD, which is the base.
            let known = if staged { None } else { index_file::changes(&self.checkout.git_dir.join("index"), &index)? };
            let changes = known.map_or_else(|| self.writer().diff_tree(&self.base, &whole, None), Ok)?;
            (whole.clone(), changes)
        };
        self.check_edits(changes.iter().map(|change| change.path.as_str()), names)?;
        let files = changes.iter().map(to_change).collect();
        Ok(Mine { files, changes, whole, tree, index })
    }

    /// Stops a push that would change more than it may: whatever the reason, it would take recordings of others back.
    pub(super) fn check_edits<'p>(
        &self,
        edits: impl IntoIterator<Item = &'p str>,
        allowed: impl IntoIterator<Item = &'p str>,
    ) -> Result<()> {
        let allowed: HashSet<&str> = allowed.into_iter().collect();
        let is_mine = |path: &str| allowed.contains(path) && self.manifest.slice.holds(path);
        let Some(path) = edits.into_iter().find(|path| !is_mine(path)) else { return Ok(()) };
        Err(Error::failed(format!("internal error: this push would change `{path}`, which is not pending"))
            .cause("nothing was sent, and nothing was changed here")
            .hint(format!("please report this with the output of `assets -v push{}`", self.manifest.argument)))
    }

    /// The base's tree with the slice from `whole`, but slices inside the slice as the base has them; and how it differs
    /// from the base's.
    fn only_this_slice(&self, repo: &Repo, whole: &Oid) -> Result<(Oid, Vec<TreeChange>)> {
        let slice = &self.manifest.slice;
        let mut objects = self.checkout.objects()?;
        let base = match objects.commit(self.base.as_str())? {
            Some((_, base)) => base,
            None => {
                // It went with a deleted store, which nothing has looked for so far.
                enter(&self.checkout)?;
                objects = self.checkout.objects()?;
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
        let tree = composite::graft(&mut objects, &mut repo.trees()?, &base.tree, &grafts)?;
        let changes = tree_diff(&mut objects, &base.tree, &tree)?;
        Ok((tree, changes))
    }

    /// The commit to try first: that of an interrupted push when it had the same content and was made on the base.
    pub(super) fn first(&self, intent: Option<&Intent>, mine: &Mine) -> Result<First> {
        let Some(intent) = intent.filter(|intent| intent.base == self.base.as_str()) else {
            return Ok(First { commit: self.commit(&mine.tree, &self.base)?, moved: false, earlier: Vec::new() });
        };
        let mut objects = self.checkout.objects()?;
        let mut earlier = Vec::new();
        for name in intent.earlier.iter().chain([&intent.commit]) {
            // One that is not here went with a deleted store. If the remote has it, it may be a conflict.
            earlier.extend(objects.commit(name)?.map(|(commit, _)| commit));
        }
        let is_same =
            |last: &&Oid| !intent.rebased && intent.tree == mine.tree.as_str() && last.as_str() == intent.commit;
        let commit = match earlier.last().filter(is_same) {
            Some(last) => last.clone(),
            None => self.commit(&mine.tree, &self.base)?,
        };
        Ok(First { commit, moved: intent.rebased, earlier })
    }

    pub(super) fn commit(&self, tree: &Oid, parent: &Oid) -> Result<Oid> {
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
    pub(super) fn writer(&self) -> Repo {
        let mut repo = self.checkout.repo.clone();
        repo.place.write_objects = Some(self.checkout.store.objects_dir());
        repo.place.also_objects = vec![self.checkout.git_dir.join("objects")];
        repo
    }

    /// As [`Self::writer`], and blind to the checkout's own objects. Git does not write an object that it sees elsewhere, and
    /// the store would get a commit without the trees and files that a stash entry has.
    pub(super) fn whole_writer(&self) -> Repo {
        let mut repo = self.writer();
        repo.place.also_objects.clear();
        repo
    }
}

fn to_change(change: &TreeChange) -> Change {
    let kind = match (&change.old, &change.new) {
        (None, _) => ChangeKind::New,
        (_, None) => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    };
    Change { path: change.path.clone(), kind }
}
