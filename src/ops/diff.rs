//! `diff`: the pending changes of a slice themselves, as git shows them. Only reads: no lock, and git works from a
//! directory of its own with a copy of the index, in which new files can be announced.

use tempfile::TempDir;

use crate::error::{AtPath, Error, Result};
use crate::git::parse::{Change, ChangeKind};
use crate::git::{DiffLook, Place, Repo, alternates};
use crate::names::RepoPath;
use crate::store::checkout::Checkout;
use crate::store::composite::{Slices, slices_inside};
use crate::store::git_dir;

/// As recordings are elsewhere, only that text is shown as text. `!diff`: no driver that a file in the repo names.
const ATTRIBUTES: &str = "* -text -eol -filter -ident -working-tree-encoding !diff -merge\n";
/// Sparse, so that what somebody recorded outside of what is shown is seen.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfilemode = false\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n";

/// Changes as git shows them.
#[derive(Debug, Default)]
pub struct Diff {
    pub plain: String,
    /// The same in the user's colours, if they are wanted.
    pub colored: Option<String>,
}

/// Shows the pending changes of a slice, those of slices inside it left out.
pub fn diff(checkout: &Checkout, slice: &RepoPath, pending: &[Change], look: &DiffLook) -> Result<Diff> {
    let scratch =
        tempfile::Builder::new().prefix("assets-diff-").tempdir().at("make a folder in", &std::env::temp_dir())?;
    let repo = repo(checkout, &scratch)?;
    let is_file = |change: &&Change| change.kind == ChangeKind::New && !change.path.ends_with('/');
    let new: Vec<&str> = pending.iter().filter(is_file).map(|change| change.path.as_str()).collect();
    if !new.is_empty() {
        repo.add_intent(&new)?;
    }
    let slices: Slices = checkout.slices()?;
    let others: Vec<&RepoPath> = slices_inside(&slices, slice).collect();
    let plain = repo.diff(slice, &others, &DiffLook { color: false, ..*look })?;
    let colored = look.color.then(|| repo.diff(slice, &others, look)).transpose()?;
    Ok(Diff { plain, colored })
}

/// The checkout as a repository of its own, in which what is written is thrown away.
fn repo(checkout: &Checkout, scratch: &TempDir) -> Result<Repo> {
    let gone = || Error::failed(format!("`{}` has no HEAD", checkout.dir.display()));
    let head = checkout.head()?.ok_or_else(gone)?;
    let git_dir = scratch.path().to_path_buf();
    git_dir::create(&git_dir, CONFIG, &format!("{head}\n"))?;
    let objects = alternates::file_of(&checkout.git_dir.join("objects"));
    for (name, content) in [("info/attributes", ATTRIBUTES.as_bytes()), ("objects/info/alternates", &objects)] {
        let file = git_dir.join(name);
        std::fs::write(&file, content).at("write", &file)?;
    }
    // One that another tool made may show everything.
    let _ = std::fs::copy(checkout.git_dir.join("info/sparse-checkout"), git_dir.join("info/sparse-checkout"));
    git_dir::copy_index(&checkout.git_dir.join("index"), &git_dir.join("index"))?;
    let place = Place { git_dir, work_tree: Some(checkout.dir.clone()), also_objects: Vec::new(), write_objects: None };
    Ok(Repo { git: checkout.repo.git.clone(), place })
}
