//! `--dry-run` of restore and reset: the plan in words.

use serde_json::json;

use super::{Report, manifests};
use crate::error::Result;
use crate::manifest::{Manifest, Pin};
use crate::names::{Oid, one_line};
use crate::ops::plan::{OnPending, Refusal, Step};
use crate::ops::restore::Policy;
use crate::ops::restore::preview::{Preview, preview};
use crate::ops::{Context, Outcome};
use crate::ui::Ui;

/// Shows what a restore or reset would do, and does nothing.
pub fn show(context: &Context, ui: &Ui, manifests: &[Manifest], policy: Policy, report: &mut Report) -> Result<()> {
    let answers = preview(context, manifests, policy)?;
    ui.progress.stop();
    for (manifest, answer) in manifests.iter().zip(answers) {
        match answer {
            Ok(Outcome::Done(preview)) if ui.json() => report.results.push(item(manifest, &preview)),
            Ok(Outcome::Done(preview)) => words(manifest, &preview, policy).iter().for_each(|line| ui.data(line)),
            Ok(Outcome::Refused(Refusal::MustAsk { pending })) => {
                let what = manifests::changes(pending.len());
                let title = format!("would ask what to do with {what} of `{}`:", manifest.path);
                ui.data(&manifests::list(&title, &pending));
            }
            Ok(Outcome::Refused(refusal)) => report.fail(ui, &manifest.path, &manifests::refused(refusal, manifest)),
            Err(error) => report.fail(ui, &manifest.path, &error),
        }
    }
    Ok(())
}

fn words(manifest: &Manifest, preview: &Preview, policy: Policy) -> Vec<String> {
    let path = &manifest.path;
    let mut lines = Vec::new();
    if let Some(operation) = &preview.interrupted {
        lines.push(format!("would complete the {operation} of `{path}` that was interrupted"));
    }
    // Only the remote knows what an absent pin stands for.
    let only_if = if matches!(preview.pin, Pin::Tip { .. }) { ", if it has moved" } else { "" };
    for step in &preview.steps {
        match step {
            Step::SetAside => {
                let what = manifests::changes(preview.pending.len());
                lines.push(match policy {
                    Policy::Reset { .. } => format!("would drop {what} of `{path}`:"),
                    Policy::Restore(OnPending::Discard) => format!("would drop {what} of `{path}`{only_if}:"),
                    Policy::Restore(_) => format!("would put aside {what} of `{path}`{only_if}:"),
                });
                let files = preview.pending.iter().map(|change| format!("  {} {}", change.kind.letter(), change.path));
                lines.extend(files.map(|line| one_line(&line)));
            }
            Step::Show => lines.push(format!("{}{only_if}", showing(path, preview))),
        }
    }
    if lines.is_empty() {
        lines.push(format!("nothing to do for `{path}`"));
    }
    lines
}

fn showing(path: &str, preview: &Preview) -> String {
    let pin = match &preview.pin {
        Pin::Commit(oid) if preview.before.as_ref() == Some(oid) => {
            return format!("would show `{path}` at {} again", oid.short());
        }
        Pin::Commit(oid) => oid.short().to_string(),
        pin => pin.to_string(),
    };
    match &preview.before {
        Some(before) => format!("would show `{path}` at {pin} (now at {})", before.short()),
        None => format!("would show `{path}` at {pin} (not restored yet)"),
    }
}

fn item(manifest: &Manifest, preview: &Preview) -> serde_json::Value {
    let commit = match &preview.pin {
        Pin::Commit(oid) => Some(oid.as_str()),
        _ => None,
    };
    json!({
        "manifest": manifest.path,
        "state": if preview.steps.is_empty() { "unchanged" } else { "planned" },
        "root": preview.root.to_string_lossy(),
        "steps": preview.steps,
        "commit": commit,
        "before": preview.before.as_ref().map(Oid::as_str),
        "pending": preview.pending,
        "interrupted": preview.interrupted,
    })
}
