//! `assets push`.

use clap::Args;
use serde_json::json;

use super::{PathArgs, Report, manifests};
use crate::error::Result;
use crate::git::parse::ChangeKind;
use crate::ops::push::{Pushed, Request, push};
use crate::ops::{Context, Outcome};
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Branch form: the change goes on the tip of `AssetsRepoBranch`. Tag form: it becomes a new tag. The assets.json is
edited last, when the remote has confirmed the commit.

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
    /// Accepted for earlier scripts
    #[arg(long, hide = true)]
    break_glass: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &PushArgs) -> Result<Report> {
    let mut report = Report::new();
    let request = Request { message: args.message.clone(), prefer_mine: args.ours, dry_run: args.dry_run };
    for manifest in manifests::load(context, ui, &args.paths, &mut report) {
        let answer = push(context, &manifest, &request);
        ui.progress.stop();
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
            })),
            Ok(Outcome::Done(pushed)) => show(ui, &manifest.path, &pushed, args.dry_run),
            Ok(Outcome::Refused(refusal)) => report.fail(ui, &manifest.path, &manifests::refused(refusal, &manifest)),
            Err(error) => report.fail(ui, &manifest.path, &error.context(format!("cannot push `{}`", manifest.path))),
        }
    }
    Ok(report)
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
        ui.status(&format!(
            "{} that others had pushed in between are here now too",
            crate::ops::stash::count(pushed.others)
        ));
    }
    ui.status(&format!("`{manifest}` now pins `{}`: commit it", pushed.pin));
    ui.data(&pushed.pin);
}

/// `3 files (1 new, 1 modified, 1 deleted)`.
fn summary(pushed: &Pushed) -> String {
    let of = |kind| pushed.files.iter().filter(|change| change.kind == kind).count();
    let counts = ChangeKind::ALL.map(|kind| (of(kind), kind.word()));
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("{} ({})", crate::ops::stash::count(pushed.files.len()), parts.join(", "))
}
