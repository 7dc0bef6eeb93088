//! What is on disk: checkouts that cannot be used or are half done, and what killed runs left.

use super::{Context, Finding, Round};
use crate::error::{Result, shell_word};
use crate::manifest::Manifest;
use crate::ops::gc;
use crate::ops::status::{Place, status};
use crate::units::{count, size};

/// Looks at the checkout of each manifest; one line for all that are well, and one for each that is not.
pub fn look(context: &Context, round: &mut Round, manifests: &[Manifest]) -> Result<()> {
    if manifests.is_empty() {
        return Ok(());
    }
    let mut restored = 0;
    let mut broken = 0;
    for (manifest, status) in manifests.iter().zip(status(context, manifests)?) {
        let (path, argument) = (&manifest.path, &manifest.argument);
        if let Place::Broken(error) = status.place {
            broken += 1;
            round.look("checkout", Err(error))?;
            continue;
        }
        restored += usize::from(status.place != Place::NotRestored);
        if status.in_use_by.is_some() {
            continue;
        }
        if let Some(operation) = status.interrupted {
            let text = format!("a {operation} of `{path}` was interrupted");
            round.look("checkout", Finding::warning(text, format!("`assets restore{argument}` completes it")))?;
        }
        if status.unpushed.is_some() {
            let text = format!("a push of `{path}` was interrupted");
            round.look("checkout", Finding::warning(text, format!("`assets push{argument}` finishes it")))?;
        }
    }
    if broken == 0 {
        let text = format!("{restored} of {} restored", count(manifests.len(), "package"));
        round.look("checkout", Finding::fine(text))?;
    }
    Ok(())
}

/// Nothing lies about.
pub fn left_overs(context: &Context) -> Result<Finding> {
    let (broken, unfinished): (Vec<_>, Vec<_>) =
        gc::find_left_overs(context)?.into_iter().partition(|left_over| left_over.broken);
    if broken.is_empty() && unfinished.is_empty() {
        return Finding::fine("nothing of broken runs");
    }
    let bytes: u64 = broken.iter().chain(&unfinished).map(|left_over| left_over.bytes).sum();
    let mut hints = Vec::new();
    if !unfinished.is_empty() {
        hints.push("`assets gc --yes` removes what killed runs left".to_string());
    }
    for left_over in &broken {
        let path = shell_word(&left_over.path.to_string_lossy());
        hints.push(format!("set aside because it was broken; when nothing in it is needed: `rm -rf {path}`"));
    }
    Ok(Finding::Warning {
        text: format!("{} of broken runs, {}", count(broken.len() + unfinished.len(), "thing"), size(bytes)),
        hints,
    })
}
