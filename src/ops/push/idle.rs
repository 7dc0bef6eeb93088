//! Which of many slices have nothing to push, found out with one process for each checkout, not one for each slice.

use super::Pushed;
use crate::manifest::Manifest;
use crate::ops::Context;
use crate::ops::status::{Place, Status, status};
use crate::store::checkout::dir_of;

/// What a push of each manifest would answer, where that is that there is nothing to send; none for those that have to be
/// tried. It takes no locks: what is recorded meanwhile is there for the next push.
pub fn idle(context: &Context, manifests: &[Manifest]) -> Vec<Option<Pushed>> {
    // What goes wrong here goes wrong again where it is tried, and is told there.
    let statuses = if manifests.len() > 1 { status(context, manifests).unwrap_or_default() } else { Vec::new() };
    let mut found: Vec<Option<Pushed>> =
        manifests.iter().zip(&statuses).map(|(manifest, status)| nothing(context, manifest, status)).collect();
    found.resize(manifests.len(), None);
    found
}

fn nothing(context: &Context, manifest: &Manifest, status: &Status) -> Option<Pushed> {
    let is_whole = matches!(status.place, Place::AtPin | Place::NoPin | Place::OtherPin);
    if !is_whole || !status.is_settled() {
        return None;
    }
    let folder = context.assets_folder(manifest).ok()?;
    Some(Pushed::nothing(manifest, &dir_of(&folder, manifest), status.commit.as_ref()?))
}
