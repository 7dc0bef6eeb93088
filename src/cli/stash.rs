//! `assets stash list` and `assets stash pop`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{PathArgs, Report, manifests};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::names::one_line;
use crate::ops::Context;
use crate::ops::enter::enter;
use crate::ops::stash::{Entry, Popped, list, pop};
use crate::ui::Ui;
use crate::units::count;

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets stash list           what was put aside for the package you are in
  assets stash pop sdk/core   bring the newest changes back")]
pub struct StashArgs {
    #[command(subcommand)]
    command: StashCommand,
}

#[derive(Subcommand)]
enum StashCommand {
    /// What was put aside, oldest first
    List(ListArgs),
    /// Bring the newest entry back
    Pop(PopArgs),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets stash list
  assets stash list --json sdk/core")]
struct ListArgs {
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets stash pop
  assets stash pop --ours sdk/core  also over files that have changed since")]
struct PopArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Where a file has changed since: take the stashed one, and put the other aside
    #[arg(long)]
    ours: bool,
}

impl StashArgs {
    pub fn name(&self) -> &'static str {
        match self.command {
            StashCommand::List(_) => "stash list",
            StashCommand::Pop(_) => "stash pop",
        }
    }
}

pub fn run(context: &Context, ui: &Ui, args: &StashArgs) -> Result<Report> {
    let mut report = Report::new();
    let paths = match &args.command {
        StashCommand::List(args) => &args.paths,
        StashCommand::Pop(args) => &args.paths,
    };
    for manifest in manifests::load(context, ui, paths, &mut report) {
        let result = match &args.command {
            StashCommand::List(_) => show_list(context, ui, &manifest, &mut report),
            StashCommand::Pop(args) => bring_back(context, ui, &manifest, args.ours, &mut report),
        };
        if let Err(error) = result {
            report.fail(ui, &manifest.path, &error);
        }
    }
    Ok(report)
}

fn show_list(context: &Context, ui: &Ui, manifest: &Manifest, report: &mut Report) -> Result<()> {
    let checkout = context.checkout(manifest)?;
    let entries = if checkout.exists()? {
        let _lock = checkout.lock()?;
        enter(&checkout)?;
        list(&checkout, Some(&manifest.slice))?
    } else {
        Vec::new()
    };
    ui.progress.stop();
    if ui.json() {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "number": entry.number,
                    "commit": entry.commit.as_str(),
                    "reason": entry.reason,
                    "time": entry.time,
                    "files": entry.files,
                })
            })
            .collect();
        report.results.push(json!({"manifest": manifest.path, "state": "listed", "entries": entries}));
        return Ok(());
    }
    if entries.is_empty() {
        ui.status(&format!("nothing was put aside for `{}`", manifest.path));
    }
    for entry in &entries {
        ui.data(&describe(entry));
    }
    Ok(())
}

fn bring_back(context: &Context, ui: &Ui, manifest: &Manifest, ours: bool, report: &mut Report) -> Result<()> {
    let path = &manifest.argument;
    let checkout = context.checkout(manifest)?;
    if !checkout.exists()? {
        return Err(Error::failed(format!(
            "`{}` is not restored, so nothing can be brought back into it",
            manifest.path
        ))
        .hint(format!("restore it first: `assets restore{path}`")));
    }
    let _lock = checkout.lock()?;
    enter(&checkout)?;
    let popped = pop(&checkout, &manifest.slice, ours)?;
    ui.progress.stop();
    match popped {
        Popped::Nothing => Err(Error::failed(format!("nothing was put aside for `{}`", manifest.path))),
        Popped::Conflict(files) => Err(Error::needs_person(format!(
            "{} of the newest stash entry of `{}` changed since it was made",
            count(files.len(), "file"),
            manifest.path
        ))
        .cause(manifests::list("nothing was changed; these are in the way:", &files))
        .hint(format!("to take the stashed ones all the same: `assets stash pop --ours{path}`"))),
        Popped::Back(entry) => {
            if ui.json() {
                report.results.push(json!({"manifest": manifest.path, "state": "restored", "files": entry.files}));
            } else {
                ui.status(&format!("brought back {} of `{}`", count(entry.files.len(), "file"), manifest.path));
                for change in &entry.files {
                    ui.data(&one_line(&change.path));
                }
            }
            Ok(())
        }
    }
}

/// `1  2026-11-21 09:30 UTC  put aside by restore: 3 files`.
fn describe(entry: &Entry) -> String {
    format!("{}  {}  {}: {}", entry.number, date(entry.time), entry.reason, count(entry.files.len(), "file"))
}

/// A time in seconds since 1970 as a date in UTC (days to civil date after Howard Hinnant's algorithm).
fn date(time: i64) -> String {
    let (days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds % 3600 / 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::date(0), "1970-01-01 00:00 UTC");
        assert_eq!(super::date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(super::date(1_700_000_000), "2023-11-14 22:13 UTC");
    }
}
