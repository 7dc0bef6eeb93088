//! Reading the manifests of a command line, and saying what stands in the way of one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{PathArgs, Report};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Form, Manifest, locate};
use crate::names::{Oid, one_line};
use crate::ops::plan::Refusal;
use crate::ops::{Context, discover};
use crate::ui::Ui;
use crate::units::count;

/// Loads each manifest once; those that are bad are reported and left out.
pub fn load(context: &Context, ui: &Ui, paths: &PathArgs, report: &mut Report) -> Vec<Manifest> {
    if !paths.are_searched() {
        return load_named(context, ui, &paths.named(), report);
    }
    report.found = true;
    let mut loaded = Loaded::default();
    for path in paths.named() {
        match discovered(context, paths, &path) {
            Ok(files) => {
                let manifests = context.each(&files, |file| context.found_manifest(file));
                for (file, manifest) in files.iter().zip(manifests) {
                    loaded.add(ui, report, manifest, || name_in_code_repo(file));
                }
            }
            Err(error) => report.fail(ui, &path.to_string_lossy(), &error),
        }
    }
    if loaded.manifests.is_empty() && report.failures.is_empty() {
        ui.status(match paths.changed {
            Some(_) => "no package with an `assets.json` has changed",
            None => "there is no `assets.json` here",
        });
    }
    loaded.manifests
}

/// The files that a command line means, whether they can be read or not.
pub fn files(context: &Context, paths: &PathArgs) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths.named() {
        match paths.are_searched() {
            true => files.extend(discovered(context, paths, &path)?),
            false => files.push(locate::manifest_for(&context.base.join(&path))?),
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// As [`load`], of paths that each mean one manifest.
pub fn load_named(context: &Context, ui: &Ui, paths: &[PathBuf], report: &mut Report) -> Vec<Manifest> {
    let mut loaded = Loaded::default();
    for path in paths {
        loaded.add(ui, report, context.manifest(path), || path.to_string_lossy().into_owned());
    }
    loaded.manifests
}

#[derive(Default)]
struct Loaded {
    manifests: Vec<Manifest>,
    files: HashSet<PathBuf>,
}

impl Loaded {
    fn add(&mut self, ui: &Ui, report: &mut Report, manifest: Result<Manifest>, path: impl FnOnce() -> String) {
        match manifest {
            Ok(manifest) if self.files.insert(manifest.file.clone()) => {
                if !ui.json() {
                    manifest.doubts.iter().for_each(|doubt| ui.status(&format!("note: {doubt}")));
                }
                self.manifests.push(manifest);
            }
            Ok(_) => {}
            Err(error) => report.fail(ui, &path(), &error),
        }
    }
}

/// The name of a manifest that cannot say it itself: its path from the root of the code repo.
fn name_in_code_repo(file: &Path) -> String {
    let root = locate::code_repo_of(file);
    let inside = root.as_ref().and_then(|root| file.strip_prefix(root).ok()).unwrap_or(file);
    inside.to_string_lossy().replace('\\', "/")
}

/// The manifests that `--all` or `--changed` mean: of the directory that was named, else of the whole code repo.
fn discovered(context: &Context, paths: &PathArgs, named: &Path) -> Result<Vec<PathBuf>> {
    let start = context.base.join(named);
    let files = match locate::code_repo_of(&start) {
        Some(root) if paths.is_default() => discover::manifests_below(context, &root)?,
        _ => discover::manifests_below(context, &start)?,
    };
    match paths.changed.as_deref() {
        None => Ok(files),
        Some(base) => discover::changed(context, files, Some(base).filter(|base| !base.is_empty())),
    }
}

/// A refusal that nobody resolved, as an error.
pub fn refused(refusal: Refusal, manifest: &Manifest) -> Error {
    let path = &manifest.argument;
    match refusal {
        Refusal::WouldLose { pending } | Refusal::MustAsk { pending } => {
            let error =
                Error::needs_person(format!("restoring `{}` would lose {}", manifest.path, changes(pending.len())))
                    .cause(list("pending changes:", &pending))
                    .hint(format!(
                        "put them aside with `assets restore --stash{path}`; `assets stash pop{path}` brings them back"
                    ));
            match manifest.form {
                Form::Branch { .. } => error.hint(format!("or send them: `assets push{path}`")),
                // A push in this form goes on the tag that is shown, so it is refused until the new one is.
                Form::Tag { .. } => error,
            }
        }
        Refusal::MustConfirm { pending } => Error::needs_person(format!(
            "reset drops {} of `{}` and needs a yes",
            changes(pending.len()),
            manifest.path
        ))
        .cause(list("pending changes:", &pending))
        .hint(format!("confirm with `assets reset -y{path}`")),
        Refusal::Conflict { files } => Error::needs_person(format!(
            "{} of `{}` {} changed here and, differently, in `{}`",
            count(files.len(), "file"),
            manifest.path,
            if files.len() == 1 { "was" } else { "were" },
            manifest.repo_name()
        ))
        .cause(list("conflicts:", &files))
        .hint(format!("to send yours for these files: `assets push --ours{path}`"))
        .hint(format!("to take theirs: put yours aside with `assets reset{path}`, move the pin, and record again")),
        Refusal::TakesBack { files, branch, tip, is_gone } => {
            takes_back(manifest, &files, &branch, tip.as_ref(), is_gone)
        }
        Refusal::MassDeletion { deleted, all, others } => Error::needs_person(format!(
            "pushing `{}` would delete {} of its {all} recordings and needs a yes",
            manifest.path,
            deleted.len()
        ))
        .cause(list("deleted here:", &deleted))
        .hint(bring_back(manifest, others))
        .hint(format!("if they are to go: `assets push --allow-deletions{path}`")),
        Refusal::Secrets { scanner, found, folder } => Error::new(
            Kind::Secret,
            format!(
                "{} in the recordings of `{}`: nothing was sent",
                count(found.len(), "possible secret"),
                manifest.path
            ),
        )
        .cause(list(&format!("found by `{scanner}`:"), &found))
        .hint(format!("take it out below `{}`, best by recording again with a sanitizer", folder.display()))
        .hint(format!("if it is no secret: `assets push --break-glass{path}` sends it unchecked")),
    }
}

/// The branch would take recordings of the pin back.
fn takes_back(manifest: &Manifest, files: &[String], branch: &str, tip: Option<&Oid>, is_gone: bool) -> Error {
    let path = &manifest.argument;
    let mut error = Error::needs_person(format!(
        "pushing `{}` would take back {} of its pin",
        manifest.path,
        count(files.len(), "file")
    ));
    error = match tip {
        Some(_) => error
            .cause(format!("the branch `{branch}` was reset, or went another way: it does not hold the pin"))
            .cause(list("not there, or as they were before:", files)),
        None => error
            .cause(format!("the branch `{branch}` does not exist"))
            .cause(list("not in the branch that it would start from, or as they were before:", files)),
    };
    error = match is_gone {
        true => error
            .cause(format!("`{}` does not have the commit of the pin any more", manifest.repo_name()))
            .hint("ask for that commit to be pushed again, from a clone that has its history or from a backup"),
        false => error
            .hint("to keep them: name a new branch in `AssetsRepoBranch`, which will start at the pin, and push again"),
    };
    let tip = tip.map_or("a commit that is there".to_string(), |tip| format!("`{tip}`"));
    error.hint(format!(
        "to go on without them: set `{}` to {tip}, `assets restore --stash{path}`, `assets stash pop{path}`, and push again",
        manifest.pin_key()
    ))
}

/// How to get deleted recordings back, beside which there are so many other pending changes.
pub fn bring_back(manifest: &Manifest, others: usize) -> String {
    let path = &manifest.argument;
    match others {
        0 => format!("`assets reset{path}` brings them back"),
        _ => format!("`assets reset{path}` brings them back, and puts {} aside", changes(others)),
    }
}

/// `1 pending change`, `2 pending changes`.
pub fn changes(number: usize) -> String {
    count(number, "pending change")
}

/// A title and some lines below it; not more than fit a screen.
pub fn list(title: &str, lines: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = title.to_string();
    for line in lines.iter().take(MOST) {
        // A name with a line break in it must not look like a line of ours.
        text.push_str(&format!("\n  {}", one_line(line)));
    }
    if lines.len() > MOST {
        text.push_str(&format!("\n  and {} more", lines.len() - MOST));
    }
    text
}
