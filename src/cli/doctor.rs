//! `assets doctor`.

use clap::Args;
use console::Style;
use serde_json::{Value, json};

use super::{PathArgs, Report, error_json, manifests};
use crate::error::{Error, Kind, Result};
use crate::manifest::locate;
use crate::ops::Context;
use crate::ops::doctor::{Check, Finding, look_at_machine, look_at_packages};
use crate::ui::Ui;
use crate::units::count;

#[derive(Args)]
#[command(after_help = "\
Looks at the package you are in, else at all of the code repo, and changes
nothing: whether you may push is asked with `git push --dry-run`, and what is
written to try out a folder is removed at once. Warnings do not fail it.

Examples:
  assets doctor            why does it not work here?
  assets doctor sdk/core   for one package
  assets doctor --offline  without asking any remote")]
pub struct DoctorArgs {
    #[command(flatten)]
    paths: PathArgs,
}

/// The width of the columns before the text.
const STATE: usize = 9;
const NAME: usize = 11;

pub fn run(context: &Context, ui: &Ui, args: &DoctorArgs) -> Result<Report> {
    let mut report = Report::new();
    let mut tally = Tally::default();
    if look_at_machine(context, &mut |check| tally.add(ui, &check))? {
        let manifests = match meant(context, &args.paths) {
            Some(paths) => manifests::load(context, ui, &paths, &mut report),
            None => Vec::new(),
        };
        let is_any = !manifests.is_empty() || !report.failed.is_empty();
        look_at_packages(context, &manifests, is_any, &mut |check| tally.add(ui, &check))?;
    }
    ui.progress.stop();
    if !ui.json() {
        ui.status(&tally.summary(report.failures.len()));
    }
    report.results.extend(tally.items);
    report.failures.extend(tally.problems);
    // What was found last may be about the path that comes first.
    report.found = false;
    Ok(report)
}

/// What came of the checks.
#[derive(Default)]
struct Tally {
    items: Vec<Value>,
    checks: usize,
    warnings: usize,
    problems: Vec<Kind>,
}

impl Tally {
    fn add(&mut self, ui: &Ui, check: &Check) {
        self.checks += 1;
        match &check.result {
            Err(error) => self.problems.push(error.kind),
            Ok(Finding::Warning { .. }) => self.warnings += 1,
            Ok(Finding::Fine(_)) => {}
        }
        match ui.json() {
            true => self.items.push(item(check)),
            false => show(ui, check),
        }
    }

    /// `13 checks: 1 problem, 2 warnings`; manifests that cannot be read are problems too.
    fn summary(&self, bad_manifests: usize) -> String {
        let found = [(self.problems.len() + bad_manifests, "problem"), (self.warnings, "warning")];
        let found: Vec<String> =
            found.iter().filter(|(number, _)| *number > 0).map(|(number, what)| count(*number, what)).collect();
        let found = if found.is_empty() { "all is well".to_string() } else { found.join(", ") };
        format!("{}: {found}", count(self.checks, "check"))
    }
}

/// What is looked at: what was named, else the package that this is, else all packages of the code repo, else none.
fn meant(context: &Context, named: &PathArgs) -> Option<PathArgs> {
    let is_said = !named.is_default() || named.all || named.changed.is_some();
    if is_said || locate::manifest_for(&context.base).is_ok() {
        return Some(named.clone());
    }
    locate::code_repo_of(&context.base).map(|_| PathArgs { all: true, ..named.clone() })
}

fn show(ui: &Ui, check: &Check) {
    let (state, style) = match &check.result {
        Ok(Finding::Fine(_)) => ("ok", Style::new().green()),
        Ok(Finding::Warning { .. }) => ("warning", Style::new().yellow()),
        Err(_) => ("problem", Style::new().red().bold()),
    };
    let state = format!("{}{}", ui.paint_data(state, style), " ".repeat(STATE - state.len()));
    let indent = " ".repeat(STATE + NAME);
    ui.progress.stop();
    ui.hanging_data(&format!("{state}{:NAME$}", check.name), &text(&check.result));
    if let Err(error) = &check.result {
        error.causes.iter().flat_map(|cause| cause.lines()).for_each(|line| ui.hanging_data(&indent, line));
    }
    let mark = ui.paint_data("hint: ", Style::new().cyan());
    hints(&check.result).iter().for_each(|hint| ui.hanging_data(&format!("{indent}{mark}"), hint));
}

fn text(result: &Result<Finding>) -> String {
    match result {
        Ok(Finding::Fine(text) | Finding::Warning { text, .. }) => text.clone(),
        Err(Error { message, .. }) => message.clone(),
    }
}

fn hints(result: &Result<Finding>) -> &[String] {
    match result {
        Ok(Finding::Fine(_)) => &[],
        Ok(Finding::Warning { hints, .. }) => hints,
        Err(error) => &error.hints,
    }
}

fn item(check: &Check) -> Value {
    let (state, error) = match &check.result {
        Ok(Finding::Fine(_)) => ("ok", None),
        Ok(Finding::Warning { .. }) => ("warning", None),
        Err(error) => ("problem", Some(error_json(error))),
    };
    json!({
        "check": check.name,
        "state": state,
        "text": text(&check.result),
        "hints": hints(&check.result),
        "error": error,
    })
}
