//! `checkout`: the commit that a revision of the assets repo means, to be shown instead of a pin.

use crate::error::{Error, Result, shell_word};
use crate::git::Repo;
use crate::manifest::Manifest;
use crate::names::{Oid, RefName};
use crate::store::Store;

use super::Context;

/// The manifest as if it pinned a revision: a commit, tag or branch of the assets repo. The remote is asked only for
/// names.
///
/// # Errors
/// When the assets repo has no such revision, or cannot be asked.
pub fn at_revision(context: &Context, manifest: &Manifest, revision: &str) -> Result<Manifest> {
    if let Ok(commit) = Oid::parse(revision) {
        Oid::parse_pin(revision).map_err(|why| Error::usage(format!("`{revision}` {why}")))?;
        return Ok(manifest.showing(commit));
    }
    let checkout = context.checkout(manifest)?;
    let store = &checkout.store;
    if let Some(commit) = abbreviated(store, &checkout.git_dir.join("objects"), revision)? {
        return Ok(manifest.showing(commit));
    }
    let name = revision.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
    let Ok(name) = RefName::parse(name) else { return Err(unknown(store, revision)) };
    if context.offline {
        let tags = checkout.tags()?;
        let known = tags.get(name.as_str()).cloned();
        return known.map(|commit| manifest.showing_tag(&name, commit)).ok_or_else(|| {
            unknown(store, revision).cause("`--offline` forbids to ask it, and no checkout here has shown such a tag")
        });
    }
    let (tag, branch) = (name.tag_ref(), name.branch_ref());
    let peeled = format!("{tag}^{{}}");
    // Only one of them when it is given in full.
    let asked: Vec<&str> =
        [tag.as_str(), &peeled, &branch].into_iter().filter(|name| name.contains(revision)).collect();
    let mut refs = store.remote_refs(&asked)?;
    // As git has it: a tag goes before a branch of the same name.
    let of_tag = refs.remove(&peeled).or_else(|| refs.remove(&tag));
    match (of_tag, refs.remove(&branch)) {
        (Some(commit), _) => Ok(manifest.showing_tag(&name, commit)),
        (None, Some(commit)) => Ok(manifest.showing(commit)),
        (None, None) => Err(unknown(store, revision)),
    }
}

/// A commit on this machine whose id begins with these digits.
fn abbreviated(store: &Store, objects: &std::path::Path, revision: &str) -> Result<Option<Oid>> {
    let is_abbreviated = (7..40).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_abbreviated || !store.exists()? {
        return Ok(None);
    }
    let repo: Repo = store.with_objects_of(&[objects]);
    repo.rev_parse(revision)
}

fn unknown(store: &Store, revision: &str) -> Error {
    let error = Error::failed(format!("assets repo `{}` has no tag and no branch `{revision}`", store.name()));
    let error = match !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => error.hint("a commit that is not on this machine needs all 40 digits of its id"),
        false => error,
    };
    error.hint(format!("what it has: `git ls-remote {}`", shell_word(store.url().as_str())))
}
