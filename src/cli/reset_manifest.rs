//! `--manifest` of `assets reset`: the question, and the answer.

use super::{PathArgs, manifests};
use crate::error::{Error, Kind, Result};
use crate::manifest::Manifest;
use crate::ops::Context;
use crate::ops::reset_manifest::{Edited, edited};
use crate::ui::Ui;

/// The manifests of a command line that are not as the code repo's HEAD has them.
pub fn look(context: &Context, paths: &PathArgs) -> Result<Vec<Edited>> {
    let mut found = Vec::new();
    for file in manifests::files(context, paths)? {
        match edited(context, &file) {
            Ok(edited) => found.extend(edited),
            // Of all packages some may be new; one that was named is meant.
            Err(error) if error.kind == Kind::Usage && paths.are_searched() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Puts them back, after a yes.
pub fn put_back(context: &Context, ui: &Ui, edited: &[Edited], confirmed: bool) -> Result<()> {
    if edited.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = edited.iter().map(|edited| edited.path.clone()).collect();
    if !confirmed {
        let question = "Put back what HEAD of the code repo has?";
        if !ui.can_prompt() {
            return Err(Error::needs_person("reset puts manifests back to HEAD of the code repo and needs a yes")
                .cause(manifests::list("changed since the last commit:", &names))
                .hint("look at them with `git diff HEAD`; confirm with `assets reset --manifest -y`"));
        }
        ui.status(&manifests::list("changed since the last commit of the code repo:", &names));
        if !ui.confirm(question)? {
            return Err(Error::needs_person("stopped: nothing was changed"));
        }
    }
    for edited in edited {
        let pinned = edited.pinned().map_or(String::new(), |pin| format!(" (it pinned {pin})"));
        edited.put_back(context)?;
        ui.status(&format!("`{}` is again as HEAD of the code repo has it{pinned}", edited.path));
    }
    Ok(())
}

/// Says what would be put back, and takes the manifests as they would be.
pub fn plan(ui: &Ui, edited: &[Edited], manifests: &mut [Manifest]) -> Result<()> {
    for edited in edited {
        if !ui.json() {
            ui.data(&format!("would put `{}` back to what HEAD of the code repo has", edited.path));
        }
        for manifest in manifests.iter_mut().filter(|manifest| manifest.path == edited.path) {
            *manifest = Manifest { argument: manifest.argument.clone(), ..edited.as_committed()? };
        }
    }
    Ok(())
}
