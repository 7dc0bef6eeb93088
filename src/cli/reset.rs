//! `assets reset`.

use clap::Args;

use super::restore::{self, Summary};
use super::{PathArgs, Report, manifests, preview, reset_manifest};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::ops::plan::Refusal;
use crate::ops::restore::{Policy, restore as apply};
use crate::ops::{Context, Outcome};
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Even a reset leaves a stash entry: `assets stash pop` brings the changes back.

Examples:
  assets reset              asks first
  assets reset -y sdk/core  does not ask
  assets reset --all -y     every package of the code repo
  assets reset --manifest   the assets.json too, as the last commit has it")]
pub struct ResetArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Put the assets.json back to what HEAD of the code repo has, too
    #[arg(long)]
    manifest: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &ResetArgs) -> Result<Report> {
    let mut report = Report::new();
    let edited = if args.manifest { reset_manifest::look(context, &args.paths)? } else { Vec::new() };
    if !args.dry_run {
        reset_manifest::put_back(context, ui, &edited, args.yes)?;
    }
    let mut manifests = manifests::load(context, ui, &args.paths, &mut report);
    if args.dry_run {
        reset_manifest::plan(ui, &edited, &mut manifests)?;
        preview::show(context, ui, &manifests, Policy::Reset { confirmed: true }, &mut report)?;
        return Ok(report);
    }
    let answers = apply(context, &manifests, Policy::Reset { confirmed: args.yes });
    ui.progress.stop();
    let summary = Summary::of(&answers, &report);
    for (manifest, answer) in manifests.iter().zip(answers) {
        let answer = match answer {
            Ok(Outcome::Refused(Refusal::MustConfirm { .. })) if interrupt::raised() => Err(Error::interrupted()),
            Ok(Outcome::Refused(Refusal::MustConfirm { pending })) if ui.can_prompt() => {
                ui.status(&manifests::list(
                    &format!("`{}` has {}:", manifest.path, manifests::changes(pending.len())),
                    &pending,
                ));
                match ui.confirm("Drop them?") {
                    Ok(true) => apply(context, std::slice::from_ref(manifest), Policy::Reset { confirmed: true })
                        .pop()
                        .unwrap_or_else(|| Err(Error::failed("no answer"))),
                    Ok(false) => {
                        Err(Error::needs_person(format!("`{}` was not reset: nothing was changed", manifest.path)))
                    }
                    Err(error) => Err(error),
                }
            }
            answer => answer,
        };
        restore::show(ui, &mut report, manifest, answer, true, summary.told());
    }
    summary.show(ui, &report, "reset");
    Ok(report)
}
