//! `assets push`.

use clap::Args;
use serde_json::json;

use super::{PathArgs, Report, manifests};
use crate::error::{Error, Result};
use crate::git::parse::ChangeKind;
use crate::manifest::Manifest;
use crate::ops::plan::Refusal;
use crate::ops::push::idle::idle;
use crate::ops::push::secrets::{Checked, Secrets};
use crate::ops::push::{Pushed, Request, push};
use crate::ops::{Context, Outcome};
use crate::ui::Ui;
use crate::units::count;

#[derive(Args)]
#[command(after_help = "\
Branch form: the change goes on the tip of `AssetsRepoBranch`. Tag form: it
becomes a new tag. The assets.json is edited last, when the remote has confirmed
the commit.

What would be sent is looked at for secrets first, by the program that
`ASSETS_SECRET_SCANNER` names, else by `gitleaks` if it is on `PATH`.

Examples:
  assets push -m \"Record the new paging tests\"
  assets push --dry-run sdk/core")]
pub struct PushArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// The message of the commit
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Where a file was changed here and differently there: send mine
    #[arg(long)]
    ours: bool,
    /// Send it even if it deletes most of the recordings
    #[arg(long)]
    allow_deletions: bool,
    /// Send without looking for secrets
    #[arg(long)]
    break_glass: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &PushArgs) -> Result<Report> {
    let mut report = Report::new();
    let request = Request {
        message: args.message.clone(),
        prefer_mine: args.ours,
        dry_run: args.dry_run,
        allow_deletions: args.allow_deletions,
    };
    let manifests = manifests::load(context, ui, &args.paths, &mut report);
    let idle = idle(context, &manifests);
    let open: Vec<&Manifest> =
        manifests.iter().zip(&idle).filter_map(|(manifest, idle)| idle.is_none().then_some(manifest)).collect();
    let mut secrets = Secrets::new(args.break_glass);
    secrets.look_ahead(context, &open, &request);
    let mut unchecked = None;
    for (manifest, idle) in manifests.iter().zip(idle) {
        let mut answer = match idle {
            Some(nothing) => Ok(Outcome::Done(nothing)),
            None => push(context, manifest, &request, &mut secrets),
        };
        ui.progress.stop();
        if let Ok(Outcome::Refused(Refusal::MassDeletion { deleted, all, others })) = &answer
            && ui.can_prompt()
        {
            answer = match may_delete(ui, manifest, deleted, *all, *others) {
                Ok(()) => push(context, manifest, &Request { allow_deletions: true, ..request.clone() }, &mut secrets),
                Err(error) => Err(error),
            };
            ui.progress.stop();
        }
        if let Ok(Outcome::Done(Pushed { checked: Some(checked), .. })) = &answer {
            unchecked = unchecked.or(why_unchecked(*checked));
        }
        match answer {
            Ok(Outcome::Done(pushed)) if ui.json() => report.results.push(json!({
                "manifest": manifest.path,
                "state": state(&pushed, args.dry_run),
                "root": pushed.root.to_string_lossy(),
                "commit": pushed.commit.as_str(),
                "before": pushed.before.as_str(),
                "pin": pushed.pin,
                "pushed_to": pushed.sent_to,
                "files_of_others": pushed.others,
                "files": pushed.files,
                "secret_check": pushed.checked,
            })),
            Ok(Outcome::Done(pushed)) => show(ui, &manifest.path, &pushed, args.dry_run),
            Ok(Outcome::Refused(refusal)) => report.fail(ui, &manifest.path, &manifests::refused(refusal, manifest)),
            Err(error) => report.fail(ui, &manifest.path, &error.context(format!("cannot push `{}`", manifest.path))),
        }
    }
    if let Some(why) = unchecked {
        ui.status(&format!("not checked for secrets: {why}"));
    }
    Ok(report)
}

/// Asks whether most of a slice's recordings are to go.
fn may_delete(ui: &Ui, manifest: &Manifest, deleted: &[String], all: usize, others: usize) -> Result<()> {
    crate::interrupt::check()?;
    let title = format!("{} of the {all} recordings of `{}` are deleted here:", deleted.len(), manifest.path);
    ui.status(&manifests::list(&title, deleted));
    if ui.confirm("Delete them in the assets repo too?")? {
        return Ok(());
    }
    Err(Error::needs_person("stopped: nothing was sent").hint(manifests::bring_back(manifest, others)))
}

fn why_unchecked(checked: Checked) -> Option<&'static str> {
    match checked {
        Checked::Clean => None,
        Checked::NoScanner => Some("there is no `gitleaks` on `PATH`, and `ASSETS_SECRET_SCANNER` names no other"),
        Checked::SwitchedOff => Some("`ASSETS_SECRET_SCANNER` is `none`"),
        Checked::BreakGlass => Some("`--break-glass`"),
    }
}

fn state(pushed: &Pushed, dry_run: bool) -> &'static str {
    match (&pushed.sent_to, dry_run) {
        (None, _) => "unchanged",
        (Some(_), true) => "pending",
        (Some(_), false) => "pushed",
    }
}

fn show(ui: &Ui, manifest: &str, pushed: &Pushed, dry_run: bool) {
    let Some(to) = &pushed.sent_to else {
        ui.status(&format!("nothing to push for `{manifest}`"));
        return;
    };
    let to = to.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
    let files = summary(pushed);
    if dry_run {
        ui.status(&format!("would push {files} of `{manifest}` to `{to}`:"));
        for change in &pushed.files {
            ui.data(&format!("{} {}", change.kind.letter(), change.path));
        }
        return;
    }
    let files = if pushed.files.is_empty() { "what an interrupted push had sent".to_string() } else { files };
    ui.status(&format!("pushed {files} of `{manifest}` to `{to}`"));
    if pushed.others > 0 {
        ui.status(&format!("{} that others had pushed in between are here now too", count(pushed.others, "file")));
    }
    ui.status(&format!("`{manifest}` has its new pin: commit it"));
    ui.data(&pushed.pin);
}

/// `3 files (1 new, 1 modified, 1 deleted)`.
fn summary(pushed: &Pushed) -> String {
    let of = |kind| pushed.files.iter().filter(|change| change.kind == kind).count();
    let counts = ChangeKind::ALL.map(|kind| (of(kind), kind.word()));
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("{} ({})", count(pushed.files.len(), "file"), parts.join(", "))
}
