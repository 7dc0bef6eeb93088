//! `assets restore`.

use clap::Args;
use serde_json::json;

use super::diff::printable_diff;
use super::{PathArgs, Report, init, manifests, preview};
use crate::error::{Error, Result};
use crate::git::DiffLook;
use crate::manifest::Manifest;
use crate::names::Oid;
use crate::ops::diff::diff;
use crate::ops::plan::{OnPending, Refusal};
use crate::ops::restore::{Policy, Restored, restore};
use crate::ops::status::status;
use crate::ops::{Context, Outcome};
use crate::ui::{Ui, prompt};
use crate::units::count;

#[derive(Args)]
#[command(after_help = "\
Prints the recordings root of each package: the folder a test proxy starts in.

Examples:
  assets restore                 the package you are in
  assets restore -a sdk/core/assets.json
  assets restore --all           every package of the code repo
  assets restore --changed       those that differ from the default branch
  assets restore --stash         puts changes aside where the pin has moved
  assets restore --init sdk/new  makes its assets.json first")]
pub struct RestoreArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Where the pin has moved: put pending changes aside (the default without a terminal)
    #[arg(long, group = "pending")]
    stash: bool,
    /// Where the pin has moved: keep pending changes and stop
    #[arg(long, group = "pending")]
    keep: bool,
    /// Where the pin has moved: drop pending changes (a stash entry is left all the same)
    #[arg(long, group = "pending")]
    discard: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Make an assets.json first where PATH has none of its own, as `assets init` does
    #[arg(long, conflicts_with_all = ["all", "changed", "dry_run"])]
    init: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &RestoreArgs) -> Result<Report> {
    let policy = match (args.stash, args.keep, args.discard) {
        (true, ..) => OnPending::Stash,
        (_, true, _) => OnPending::Keep,
        (.., true) => OnPending::Discard,
        // Tests are waiting: without anybody to ask, what is safe is done.
        _ if ui.can_prompt() => OnPending::Ask,
        _ => OnPending::Stash,
    };
    let mut report = Report::new();
    let manifests = match args.init {
        true => {
            let paths = init::make_missing(context, ui, args.paths.named(), &mut report);
            manifests::load_named(context, ui, &paths, &mut report)
        }
        false => manifests::load(context, ui, &args.paths, &mut report),
    };
    if args.dry_run {
        preview::show(context, ui, &manifests, Policy::Restore(policy), &mut report)?;
        return Ok(report);
    }
    let answers = restore(context, &manifests, Policy::Restore(policy));
    ui.progress.stop();
    let summary = Summary::of(&answers, &report);
    let bare = |answer: &Result<_>| matches!(answer, Ok(Outcome::Done(Restored { bare: true, .. })));
    let bare = manifests.iter().zip(&answers).filter(|(_, answer)| bare(answer)).map(|(manifest, _)| manifest.clone());
    let bare: Vec<Manifest> = bare.collect();
    for (manifest, answer) in manifests.iter().zip(answers) {
        let answer = match answer {
            Ok(Outcome::Refused(Refusal::MustAsk { pending })) => {
                let what = manifests::changes(pending.len());
                let title = format!("`{}` pins another commit now, and {what} would be lost:", manifest.path);
                ask(context, ui, manifest, &pending, &title)
            }
            answer => answer,
        };
        show(ui, &mut report, manifest, answer, policy == OnPending::Discard, summary.told());
    }
    summary.show(ui, &report, "restored");
    say_deleted(context, ui, &bare);
    Ok(report)
}

/// Says which slices are without files because all of them were deleted: that waits for a push, and a restore at the pin
/// does not undo it. The others are new.
fn say_deleted(context: &Context, ui: &Ui, bare: &[Manifest]) {
    let statuses = if bare.is_empty() { Vec::new() } else { status(context, bare).unwrap_or_default() };
    ui.progress.stop();
    let deleted: Vec<_> = bare.iter().zip(&statuses).filter(|(_, status)| !status.pending.is_empty()).collect();
    for (manifest, status) in deleted.iter().take(Summary::NAMED) {
        let files = count(status.pending.len(), "file");
        let back = manifests::bring_back(manifest, 0);
        ui.status(&format!("all recordings of `{}` are deleted ({files}, pending): {back}", manifest.path));
    }
    if deleted.len() > Summary::NAMED {
        ui.status(&format!("the same for {} more packages", deleted.len() - Summary::NAMED));
    }
}

/// What many answers come to, for a last line below them.
pub struct Summary {
    all: usize,
    changed: usize,
    /// Slices that their assets repo does not have yet.
    empty: usize,
    files: usize,
}

/// What gets a line of its own for each slice.
#[derive(Clone, Copy)]
pub struct Told {
    pub changed: bool,
    pub empty: bool,
}

impl Summary {
    /// More slices than this that have something in common are counted and not named.
    const NAMED: usize = 10;

    /// The summary of some answers, beside the manifests that could not even be read.
    pub fn of(answers: &[Result<Outcome<Restored>>], unread: &Report) -> Summary {
        let done = answers.iter().filter_map(|answer| match answer {
            Ok(Outcome::Done(restored)) if restored.changed => Some(restored.cost.files),
            _ => None,
        });
        let empty = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Done(restored)) if restored.empty));
        let all = answers.len() + unread.failed.len();
        Summary { all, changed: done.clone().count(), empty: empty.count(), files: done.sum() }
    }

    pub fn told(&self) -> Told {
        Told { changed: self.changed <= Self::NAMED, empty: self.empty <= Self::NAMED }
    }

    pub fn show(&self, ui: &Ui, report: &Report, done: &str) {
        let (failed, told) = (&report.failed, self.told());
        if !told.empty {
            ui.status(&format!("{} packages are not in their assets repo yet: their folders are empty", self.empty));
        }
        if self.all > 1 && (!failed.is_empty() || !told.changed) {
            let files = count(self.files, "file");
            let failures = if failed.is_empty() { String::new() } else { format!("; {} failed", failed.len()) };
            ui.status(&format!("{done} {} of {} packages ({files}){failures}", self.changed, self.all));
            if !failed.is_empty() {
                ui.status(&manifests::list("failed:", failed));
            }
        }
    }
}

/// Prints what a restore or reset of one manifest came to.
pub fn show(
    ui: &Ui,
    report: &mut Report,
    manifest: &Manifest,
    answer: Result<Outcome<Restored>>,
    dropped: bool,
    told: Told,
) {
    match answer {
        Ok(Outcome::Done(restored)) => {
            if ui.json() {
                report.results.push(json!({
                    "manifest": manifest.path,
                    "state": if restored.changed { "restored" } else { "unchanged" },
                    "root": restored.root.to_string_lossy(),
                    "commit": restored.commit.as_ref().map(Oid::as_str),
                    "before": restored.before.as_ref().map(Oid::as_str),
                    "put_aside": restored.put_aside,
                    "files": restored.cost.files,
                    "bytes": restored.cost.bytes,
                    "milliseconds": {
                        "fetch": restored.cost.fetch.as_millis() as u64,
                        "checkout": restored.cost.checkout.as_millis() as u64,
                    },
                }));
                return;
            }
            if restored.changed && told.changed {
                let commit = restored.commit.as_ref().map_or("its pin", Oid::short);
                ui.status(&format!("restored `{}` at {commit}", manifest.path));
            }
            if restored.empty && told.empty {
                ui.status(&format!(
                    "`{}` does not have `{}` yet: its folder is empty, ready to record into",
                    manifest.repo_name(),
                    manifest.slice
                ));
            }
            if !restored.put_aside.is_empty() {
                let what = manifests::changes(restored.put_aside.len());
                let path = &manifest.argument;
                ui.status(&format!("{} {what} of `{}`", if dropped { "dropped" } else { "put aside" }, manifest.path));
                ui.hint(&format!("`assets stash pop{path}` brings them back"));
            }
            ui.path(&restored.root);
        }
        Ok(Outcome::Refused(refusal)) => report.fail(ui, &manifest.path, &manifests::refused(refusal, manifest)),
        Err(error) => report.fail(ui, &manifest.path, &error),
    }
}

/// Asks what to do with pending changes and does it.
pub fn ask(
    context: &Context,
    ui: &Ui,
    manifest: &Manifest,
    pending: &[String],
    title: &str,
) -> Result<Outcome<Restored>> {
    crate::interrupt::check()?;
    ui.status(&manifests::list(title, pending));
    loop {
        let answers = ["put them aside and go on", "keep them and stop", "show the diff"];
        match ui.select("What should happen to them?", &answers)? {
            0 => {
                let mut answers = restore(context, std::slice::from_ref(manifest), Policy::Restore(OnPending::Stash));
                return answers.pop().unwrap_or_else(|| Err(Error::failed("no answer")));
            }
            1 => return Err(prompt::stopped()),
            _ => {
                let checkout = context.checkout(manifest)?;
                let changes = crate::ops::enter::pending(&checkout, &manifest.slice)?;
                let look = DiffLook { color: ui.color(), stat: None };
                ui.text(&printable_diff(&diff(&checkout, &manifest.slice, &changes, &look)?));
            }
        }
    }
}
