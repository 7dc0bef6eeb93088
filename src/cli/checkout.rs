//! `assets checkout`.

use std::path::PathBuf;

use clap::Args;

use super::restore::{self, Told};
use super::{Report, manifests};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::names::Oid;
use crate::ops::checkout::at_revision;
use crate::ops::plan::{OnPending, Refusal};
use crate::ops::restore::{Policy, Restored, restore as apply, shown_already};
use crate::ops::{Context, Outcome};
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Leaves the assets.json as it is: `assets restore` shows its pin again.

Examples:
  assets checkout main                      the newest of this package
  assets checkout auto/tables sdk/tables    those of a branch
  assets checkout python/tables_1a2b3c4d5e  those of a tag
  assets checkout 4e8e976b78 sdk/tables     those of a commit")]
pub struct CheckoutArgs {
    /// A commit, tag or branch of the assets repo
    #[arg(value_name = "REV")]
    revision: String,
    /// An assets.json, or a directory at or below one [default: the current directory]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The same as PATH
    #[arg(short = 'a', long = "assets-json-path", value_name = "PATH", conflicts_with = "path")]
    assets_json_path: Option<PathBuf>,
    /// Put pending changes aside
    #[arg(long, group = "pending")]
    stash: bool,
    /// Stop if there are pending changes (the default without a terminal)
    #[arg(long, group = "pending")]
    keep: bool,
    /// Drop pending changes (a stash entry is left all the same)
    #[arg(long, group = "pending")]
    discard: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &CheckoutArgs) -> Result<Report> {
    let path = args.path.clone().or(args.assets_json_path.clone()).unwrap_or_else(|| PathBuf::from("."));
    let policy = match (args.stash, args.discard) {
        (true, _) => OnPending::Stash,
        (_, true) => OnPending::Discard,
        _ if ui.can_prompt() && !args.keep => OnPending::Ask,
        _ => OnPending::Keep,
    };
    let mut report = Report::new();
    let pinned = context.manifest(&path)?;
    let manifest = at_revision(context, &pinned, &args.revision)?;
    let answer = apply(context, std::slice::from_ref(&manifest), Policy::Restore(policy)).pop();
    ui.progress.stop();
    let answer = match answer.unwrap_or_else(|| Err(Error::failed("no answer"))) {
        Ok(Outcome::Refused(Refusal::MustAsk { pending })) => {
            let what = manifests::changes(pending.len());
            let title = format!("`{}` has {what} that another commit would take the place of:", manifest.path);
            restore::ask(context, ui, &manifest, &pending, &title)
        }
        answer => answer,
    };
    let answer = match answer {
        Ok(Outcome::Refused(Refusal::WouldLose { pending })) => Err(in_the_way(&manifest, &args.revision, &pending)),
        answer => answer,
    };
    if let Ok(Outcome::Done(restored)) = &answer
        && !ui.json()
    {
        let is_pinned = matches!(shown_already(context, &pinned), Ok(Some(_)));
        say(ui, &manifest, &args.revision, restored, is_pinned);
    }
    restore::show(
        ui,
        &mut report,
        &manifest,
        answer,
        policy == OnPending::Discard,
        Told { changed: false, empty: false },
    );
    Ok(report)
}

fn say(ui: &Ui, manifest: &Manifest, revision: &str, restored: &Restored, is_pinned: bool) {
    let shows = if restored.changed { "shows" } else { "already shows" };
    let commit = restored.commit.as_ref().map_or("", Oid::short);
    let at = if commit.is_empty() || revision.starts_with(commit) { String::new() } else { format!(" ({commit})") };
    ui.status(&format!("`{}` {shows} `{revision}`{at}", manifest.path));
    if restored.empty {
        ui.status(&format!("`{}` is not there: its folder is empty", manifest.slice));
    }
    if !is_pinned {
        ui.hint(&format!("`assets restore{}` shows its pin again", manifest.argument));
    }
}

fn in_the_way(manifest: &Manifest, revision: &str, pending: &[String]) -> Error {
    let (path, revision) = (&manifest.argument, crate::error::shell_word(revision));
    let what = manifests::changes(pending.len());
    Error::needs_person(format!("showing another commit would lose {what} of `{}`", manifest.path))
        .cause(manifests::list("pending changes:", pending))
        .hint(format!(
            "put them aside with `assets checkout --stash {revision}{path}`; `assets stash pop{path}` brings them back"
        ))
}
