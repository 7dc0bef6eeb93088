//! `push`: send pending changes as a new commit, then move the pin in the manifest.

mod branch;
mod checks;
mod deletions;
pub mod idle;
pub mod intent;
mod mine;
mod publish;
mod refused;
pub mod scanner;
pub mod secrets;
mod send;
mod show;

use std::path::{Path, PathBuf};

use super::enter::{enter, enter_quickly, pending_and_staged, shown_pin};
use super::{Context, Outcome, breadcrumb, join};
use crate::error::{AtPath, Error, Kind, Result};
use crate::git::parse::Change;
use crate::manifest::{Form, Manifest, edit, file};
use crate::names::{Oid, RefName};
use crate::store::checkout::Checkout;
use crate::store::listing::Listing;
use crate::store::lock::Lock;
use branch::Branches;
use intent::Intent;
use mine::Mine;
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

/// What is on the remote now.
#[derive(Clone)]
struct Sent {
    commit: Oid,
    /// Whether its parent is another commit than the base: then more than the pending files may have changed.
    rebased: bool,
    /// How many files of the slice others had changed.
    others: usize,
    /// The files of the slice that showing it will write.
    listing: Option<Listing>,
}

/// What to try first.
struct First {
    /// The commit on the base with the pending changes.
    commit: Oid,
    /// Whether the branch is known not to be at the base.
    moved: bool,
    /// What interrupted pushes may have left on the branch, oldest first: ours, so no conflict with us.
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
        let mine = self.mine(&files, staged)?;
        if mine.changes.is_empty() {
            // They were changed back meanwhile.
            return self.nothing();
        }
        self.check_size_of_slice(&mine)?;
        let checked = match self.check_secrets(&mine, secrets)? {
            Outcome::Done(checked) => Some(checked),
            Outcome::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let first = self.first(intent.as_ref(), &mine)?;
        let to = self.target(&first.commit)?;
        let sent = match &self.manifest.form {
            Form::Tag { .. } => {
                self.note(&mine.tree, &first.commit, false, &first.earlier, &to)?;
                self.send_tag(&first.commit, &to)?
            }
            Form::Branch { branch, fallback, .. } => {
                let other_pin = self.other_pin(intent.as_ref());
                match self.send_to_branch(&mine, first, &to, Branches { branch, fallback }, other_pin)? {
                    Outcome::Done(sent) => sent,
                    Outcome::Refused(refusal) => {
                        // With a note from before, that push may have arrived.
                        if intent.is_none() {
                            self.forget()?;
                        }
                        return Ok(Outcome::Refused(refusal));
                    }
                }
            }
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

    // After the remote has it.

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
