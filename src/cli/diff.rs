//! `assets diff`.

use clap::Args;
use serde_json::json;

use super::{PathArgs, Report, manifests};
use crate::error::{Kind, Result};
use crate::git::DiffLook;
use crate::manifest::Manifest;
use crate::names::is_invisible;
use crate::ops::Context;
use crate::ops::diff::{Diff, diff};
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
                text.push_str(&printable_diff(&diff));
                if ui.json() {
                    let state = if status.pending.is_empty() { "unchanged" } else { "changed" };
                    let (files, diff) = (&status.pending, diff.plain);
                    report
                        .results
                        .push(json!({"manifest": manifest.path, "state": state, "files": files, "diff": diff}));
                }
            }
            Err(error) => report.fail(ui, &manifest.path, &error),
        }
    }
    ui.progress.stop();
    if args.exit_code && statuses.iter().any(|status| !status.pending.is_empty()) {
        report.failures.push(Kind::Failed);
    }
    if ui.json() {
        return Ok(report);
    }
    if !text.is_empty() {
        let env = || context.environment.for_pager.clone();
        ui.long_data(&text, || git.pager().filter(|_| !args.no_pager).map(|pager| (pager, env())));
    } else if let ([manifest], [status]) = (&manifests[..], &statuses[..])
        && report.failed.is_empty()
    {
        say_why_empty(ui, manifest, status);
    }
    Ok(report)
}

/// How many columns `--stat` may have where nobody looks: file names are not cut there.
const WIDE: usize = 400;

/// The changes of one manifest's slice; nothing when there are none.
fn changes(context: &Context, manifest: &Manifest, status: &Status, look: &DiffLook) -> Result<Diff> {
    match &status.place {
        Place::Broken(error) => Err(error.clone()),
        _ if status.pending.is_empty() => Ok(Diff::default()),
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
        _ if status.pending.is_empty() => ui.status(&format!("nothing is pending in `{}`", manifest.path)),
        // A repository inside of the recordings.
        _ => {
            let paths: Vec<String> = status.pending.iter().map(|change| change.path.clone()).collect();
            ui.status(&manifests::list("git shows no changes inside of what is pending:", &paths));
        }
    }
}

/// A diff without the control characters of recordings; git's own colours and the ends of lines stay.
pub fn printable_diff(diff: &Diff) -> String {
    let colored = diff.colored.as_ref().and_then(|colored| painted(colored, &diff.plain));
    colored.unwrap_or_else(|| painted(&diff.plain, &diff.plain).unwrap_or_default())
}

/// As [`printable_diff`]: what is in the coloured text and not in the plain one are git's colours, whatever recordings
/// hold. None when the two are not the same diff.
fn painted(colored: &str, plain: &str) -> Option<String> {
    let (mut colored, mut plain) = (colored, plain);
    let mut text = String::with_capacity(colored.len());
    while let Some(c) = colored.chars().next() {
        if let Some(color) = color_at(colored).filter(|color| !plain.starts_with(color)) {
            text.push_str(color);
            colored = &colored[color.len()..];
            continue;
        }
        plain = plain.strip_prefix(c)?;
        colored = &colored[c.len_utf8()..];
        let is_fit = match c {
            '\n' | '\t' => true,
            // In a line of its own it would make a part of a recording look like a line of the diff.
            '\r' => plain.starts_with('\n'),
            c => !c.is_control() && !is_invisible(c),
        };
        if is_fit {
            text.push(c);
        }
    }
    plain.is_empty().then_some(text)
}

/// The colour that a text begins with.
fn color_at(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("\u{1b}[")?;
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    digits[end..].starts_with('m').then(|| &text[..text.len() - digits.len() + end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gits_own_colours_and_the_ends_of_lines_stay() {
        let table = [
            (
                "-a\n+b\n",
                "\u{1b}[31m-a\u{1b}[m\n\u{1b}[32m+b\u{1b}[m\n",
                "\u{1b}[31m-a\u{1b}[m\n\u{1b}[32m+b\u{1b}[m\n",
            ),
            // A recording with a colour of its own, the same as git's or another.
            ("+\u{1b}[8mb\n", "\u{1b}[32m+\u{1b}[8mb\u{1b}[m\n", "\u{1b}[32m+[8mb\u{1b}[m\n"),
            ("\u{1b}[32mb\n", "\u{1b}[32m\u{1b}[32mb\u{1b}[m\n", "[32m\u{1b}[32mb\u{1b}[m\n"),
            ("+b\r\n", "+b\u{1b}[41m\r\u{1b}[m\n", "+b\u{1b}[41m\r\u{1b}[m\n"),
            ("+b\r+c\n", "+b\r+c\u{1b}[m\n", "+b+c\u{1b}[m\n"),
            // The files were changed between the two.
            ("+b\r\n", "\u{1b}[32m+c\u{1b}[m\n", "+b\r\n"),
            ("+\u{202e}b\n", "\u{1b}[32m+\u{1b}[2J\u{1b}[m\n", "+b\n"),
        ];
        for (plain, colored, expected) in table {
            let diff = Diff { plain: plain.into(), colored: Some(colored.into()) };
            assert_eq!(printable_diff(&diff), expected, "{plain:?}");
        }
    }
}
