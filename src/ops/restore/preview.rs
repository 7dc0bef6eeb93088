//! What a restore or reset would do: the plan that they would apply, made without any request, lock or change.

use std::path::PathBuf;

use super::{Policy, decide};
use crate::error::Result;
use crate::git::parse::Change;
use crate::manifest::{Manifest, Pin};
use crate::names::Oid;
use crate::ops::plan::{Seen, Step};
use crate::ops::status::{Place, Status, status};
use crate::ops::{Context, Outcome};
use crate::store::listing;

/// What would be done with one slice.
#[derive(Clone, Debug)]
pub struct Preview {
    pub root: PathBuf,
    /// The commit that it is shown at now.
    pub before: Option<Oid>,
    /// What it would be shown at.
    pub pin: Pin,
    pub steps: Vec<Step>,
    pub pending: Vec<Change>,
    /// An interrupted command that would be completed first.
    pub interrupted: Option<String>,
}

type Answer = Result<Outcome<Preview>>;

/// Plans a restore or reset of each manifest's slice. Where only the remote knows what a pin stands for, showing it is
/// planned; where two commits that are not both here have the same files, what would stay is planned to be set aside.
///
/// # Errors
/// When git cannot be used at all, or the user interrupts.
pub fn preview(context: &Context, manifests: &[Manifest], policy: Policy) -> Result<Vec<Answer>> {
    let statuses = status(context, manifests)?;
    Ok(manifests.iter().zip(statuses).map(|(manifest, status)| plan(context, manifest, status, policy)).collect())
}

fn plan(context: &Context, manifest: &Manifest, status: Status, policy: Policy) -> Answer {
    if let Place::Broken(error) = status.place {
        return Err(error);
    }
    let pin = manifest.pin();
    let want = match (&pin, &status.place) {
        (_, Place::AtPin) => status.commit.clone(),
        (Pin::Commit(oid), _) => Some(oid.clone()),
        // Offline the tip is where it was last seen.
        (Pin::Tip { .. }, Place::NoPin) if context.offline => status.commit.clone(),
        _ => None,
    };
    let names: Vec<String> = status.pending.iter().map(|change| change.path.clone()).collect();
    let seen = Seen {
        pin: status.commit.clone(),
        head_in_place: !matches!(status.place, Place::HeadMoved(_)),
        pending: names.len(),
        same_files: !names.is_empty() && has_same_files(context, manifest, &status, want.as_ref())?,
    };
    Ok(match decide(policy, want.as_ref(), &seen, &names) {
        Ok(steps) => Outcome::Done(Preview {
            root: context.recordings_root(manifest)?,
            before: status.commit,
            pin,
            steps,
            pending: status.pending,
            interrupted: status.interrupted.filter(|_| status.in_use_by.is_none()),
        }),
        Err(refusal) => Outcome::Refused(refusal),
    })
}

/// Whether the wanted commit is here and has the files that are shown.
fn has_same_files(context: &Context, manifest: &Manifest, status: &Status, want: Option<&Oid>) -> Result<bool> {
    let (Some(want), Some(shown)) = (want, &status.commit) else { return Ok(false) };
    let checkout = context.checkout_to_look_at(manifest)?;
    if !checkout.store.exists()? {
        return Ok(false);
    }
    let mut objects = checkout.objects()?;
    let mut trees = Vec::new();
    for commit in [want, shown] {
        let Some((_, commit)) = objects.commit(commit.as_str())? else { return Ok(false) };
        trees.push(listing::tree_at(&mut objects, &commit.tree, &manifest.slice)?.flatten());
    }
    Ok(trees[0] == trees[1])
}
