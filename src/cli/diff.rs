//! `assets diff`.

use clap::Args;
use serde_json::json;

use super::{PathArgs, Report, manifests};
use crate::error::{Kind, Result};
use crate::git::DiffLook;
use crate::manifest::Manifest;
use crate::names::printable;
use crate::ops::Context;
use crate::ops::diff::diff;
use crate::ops::status::{Place, Status, status};
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Shows what a push would send, file by file, in the pager and the colours of your
git. Asks no remote and changes nothing.

Examples:
  assets diff               the package you are in
  assets diff --stat --all  how much changed in each file, in every package
  assets diff > my.patch    without pager and colours")]
pub struct DiffArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Only show how much changed in each file
    #[arg(long)]
    stat: bool,
    /// Print it all at once
    #[arg(long)]
    no_pager: bool,
    /// Exit with 1 when there are pending changes
    #[arg(long)]
    exit_code: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &DiffArgs) -> Result<Report> {
    let mut report = Report::new();
    let manifests = manifests::load(context, ui, &args.paths, &mut report);
    let statuses = status(context, &manifests)?;
    let git = context.git()?;
    let color = !ui.json() && ui.color_data(|| git.wants_color());
    let stat = args.stat.then(|| ui.columns().unwrap_or(WIDE));
    let look = DiffLook { color, stat };
    let mut text = String::new();
    for (manifest, status) in manifests.iter().zip(&statuses) {
        match changes(context, manifest, status, &look) {
            Ok(diff) => {
                let diff = printable_diff(&diff, color);
                if ui.json() {
                    let state = if diff.is_empty() { "unchanged" } else { "changed" };
                    let files = &status.pending;
                    let item = json!({"manifest": manifest.path, "state": state, "files": files, "diff": diff});
                    report.results.push(item);
                }
                text.push_str(&diff);
            }
            Err(error) => report.fail(ui, &manifest.path, &error),
        }
    }
    ui.progress.stop();
    if args.exit_code && !text.is_empty() {
        report.failures.push(Kind::Failed);
    }
    if ui.json() {
        return Ok(report);
    }
    if !text.is_empty() {
        let env = || context.environment.for_pager.clone();
        ui.long_data(&text, || git.pager().filter(|_| !args.no_pager).map(|pager| (pager, env())));
    } else if let ([manifest], [status]) = (&manifests[..], &statuses[..])
        && report.failures.is_empty()
    {
        say_why_empty(ui, manifest, status);
    }
    Ok(report)
}

/// How many columns `--stat` may have where nobody looks: file names are not cut there.
const WIDE: usize = 400;

/// The changes of one manifest's slice; nothing when there are none.
fn changes(context: &Context, manifest: &Manifest, status: &Status, look: &DiffLook) -> Result<String> {
    match &status.place {
        Place::Broken(error) => Err(error.clone()),
        _ if status.pending.is_empty() => Ok(String::new()),
        _ => diff(&context.checkout_to_look_at(manifest)?, &manifest.slice, &status.pending, look)
            .map_err(|error| error.context(format!("cannot show the changes of `{}`", manifest.path))),
    }
}

fn say_why_empty(ui: &Ui, manifest: &Manifest, status: &Status) {
    match status.place {
        Place::NotRestored => {
            ui.status(&format!("`{}` is not restored", manifest.path));
            ui.hint(&format!("`assets restore{}` brings it to disk", manifest.argument));
        }
        _ => ui.status(&format!("nothing is pending in `{}`", manifest.path)),
    }
}

/// A diff without the control characters of recordings; only git's own colours stay.
pub fn printable_diff(diff: &str, color: bool) -> String {
    if !color {
        return printable(diff);
    }
    let mut text = String::new();
    for (index, part) in diff.split('\u{1b}').enumerate() {
        let digits = part.strip_prefix('[').map_or("", |rest| rest.split('m').next().unwrap_or_default());
        let is_color = index > 0 && part.starts_with('[') && digits.bytes().all(|b| b.is_ascii_digit() || b == b';');
        if is_color {
            text.push('\u{1b}');
        }
        text.push_str(&printable(part));
    }
    text
}
