//! `assets status`.

use clap::Args;
use console::Style;
use serde_json::{Value, json};

use super::{PathArgs, Report, error_json, manifests, table};
use crate::error::{Error, Kind, Result};
use crate::git::parse::{Change, ChangeKind};
use crate::manifest::{FILE_NAME, Form, Manifest};
use crate::names::{Oid, one_line};
use crate::ops::Context;
use crate::ops::status::{Place, Status, status};
use crate::ui::Ui;
use crate::units::count;

#[derive(Args)]
#[command(after_help = "\
Asks no remote and changes nothing. PENDING counts new (A), modified (M) and
deleted (D) files. Names the files of a single package; with -v, of each.

Examples:
  assets status                    the package you are in
  assets status --all              every package of the code repo
  assets status --all --exit-code  for scripts: 1 unless all are clean")]
pub struct StatusArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Exit with 1 when any package is not at its pin or has pending changes
    #[arg(long)]
    exit_code: bool,
}

/// How much a state asks for attention; the loudest come last, where the eye is when the table has gone by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loudness {
    Absent,
    Quiet,
    Pending,
    Elsewhere,
    HalfDone,
    Broken,
}

pub fn run(context: &Context, ui: &Ui, args: &StatusArgs) -> Result<Report> {
    let mut report = Report::new();
    let manifests = manifests::load(context, ui, &args.paths, &mut report);
    let statuses = status(context, &manifests)?;
    ui.progress.stop();
    if args.exit_code && statuses.iter().any(|status| !status.is_clean()) {
        report.failures.push(Kind::Failed);
    }
    if ui.json() {
        let items = manifests.iter().zip(&statuses).map(|(manifest, status)| item(context, manifest, status));
        report.results.extend(items);
        return Ok(report);
    }
    let mut rows: Vec<(&Manifest, &Status)> = manifests.iter().zip(&statuses).collect();
    rows.sort_by_key(|(_, status)| loudness(status));
    show(ui, &rows);
    Ok(report)
}

fn show(ui: &Ui, rows: &[(&Manifest, &Status)]) {
    if rows.is_empty() {
        return;
    }
    let with_files = rows.len() == 1 || ui.verbose();
    let header = ["PACKAGE", "STATE", "COMMIT", "PENDING", "STASHED"].map(String::from).to_vec();
    let cells: Vec<Vec<String>> =
        std::iter::once(header).chain(rows.iter().map(|(manifest, status)| cells(manifest, status))).collect();
    let paint = |row: usize, column: usize, text: &str| match (row, column) {
        (0, _) => ui.paint_data(text, Style::new().bold()),
        (_, 1) => ui.paint_data(text, style(loudness(rows[row - 1].1))),
        (_, 3) => ui.paint_data(text, style(Loudness::Pending)),
        _ => text.to_string(),
    };
    let mut lines = table::lines(&cells, ui.columns(), paint).into_iter();
    if let Some(header) = lines.next() {
        ui.data(&header);
    }
    let mut told: Vec<&Error> = Vec::new();
    for ((manifest, status), line) in rows.iter().zip(lines) {
        ui.data(&line);
        // What all slices of a checkout have in common is explained once.
        if let Place::Broken(error) = &status.place
            && !told.contains(&error)
        {
            explain(error).iter().for_each(|line| ui.data(&format!("  {line}")));
            told.push(error);
        }
        if with_files {
            details(manifest, status).iter().for_each(|line| ui.data(&format!("  {line}")));
        }
    }
    ui.status(&summary(rows));
    if !with_files && rows.iter().any(|(_, status)| loudness(status) > Loudness::Quiet) {
        ui.hint("`assets status -v` also names the files and says what to do");
    }
}

fn cells(manifest: &Manifest, status: &Status) -> Vec<String> {
    let package = manifest.path.strip_suffix(FILE_NAME).unwrap_or(&manifest.path).trim_end_matches('/');
    let package = if package.is_empty() { "." } else { package };
    let stashed = if status.stashed == 0 { String::new() } else { status.stashed.to_string() };
    let commit = status.commit.as_ref().map_or("", Oid::short);
    vec![package.to_string(), state(status).to_string(), commit.to_string(), letters(&status.pending), stashed]
}

/// The loudest word for a slice, and how loud it is.
fn word(status: &Status) -> (&'static str, Loudness) {
    let half_done = if status.in_use_by.is_some() { "in use" } else { "interrupted" };
    let is_half_done = status.interrupted.is_some() || status.unpushed.is_some();
    let quiet = if status.pending.is_empty() { Loudness::Quiet } else { Loudness::Pending };
    match &status.place {
        Place::Broken(_) => ("broken", Loudness::Broken),
        _ if is_half_done => (half_done, Loudness::HalfDone),
        Place::HeadMoved(_) => ("HEAD moved", Loudness::Elsewhere),
        Place::OtherPin => ("other pin", Loudness::Elsewhere),
        Place::NoPin => ("no pin", quiet),
        Place::AtPin => ("at pin", quiet),
        Place::NotRestored if status.pending.is_empty() => ("not restored", Loudness::Absent),
        Place::NotRestored => ("not restored", Loudness::Pending),
    }
}

fn state(status: &Status) -> &'static str {
    word(status).0
}

fn loudness(status: &Status) -> Loudness {
    word(status).1
}

fn style(loudness: Loudness) -> Style {
    match loudness {
        Loudness::Absent => Style::new().dim(),
        Loudness::Quiet => Style::new().green(),
        Loudness::Pending | Loudness::Elsewhere => Style::new().yellow(),
        Loudness::HalfDone | Loudness::Broken => Style::new().red().bold(),
    }
}

/// `2A 1M`: how many changes of each kind.
fn letters(pending: &[Change]) -> String {
    let count = |kind| pending.iter().filter(|change| change.kind == kind).count();
    let counts: Vec<String> = ChangeKind::ALL
        .map(|kind| (count(kind), kind.letter()))
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, letter)| format!("{count}{letter}"))
        .collect();
    counts.join(" ")
}

/// The failure of a checkout, below its row.
fn explain(error: &Error) -> Vec<String> {
    let causes = error.causes.iter().flat_map(|cause| cause.lines()).map(|line| format!("  {line}"));
    let hints = error.hints.iter().map(|hint| format!("hint: {hint}"));
    std::iter::once(error.message.clone()).chain(causes).chain(hints).map(|line| one_line(&line)).collect()
}

/// What a row only hints at: one line for each thing, with the command that deals with it, and the pending files.
fn details(manifest: &Manifest, status: &Status) -> Vec<String> {
    let path = &manifest.argument;
    let mut lines = Vec::new();
    match &status.place {
        Place::NotRestored => lines.push(format!("`assets restore{path}` brings it to disk")),
        Place::OtherPin => {
            let shown = match (&status.tag, &status.commit) {
                (Some(tag), _) => format!("tag `{tag}`"),
                (None, Some(commit)) => format!("commit `{commit}`"),
                (None, None) => "nothing".to_string(),
            };
            lines.push(format!("shows {shown}"));
            lines.push(format!("`assets restore{path}` shows {}, which is pinned", manifest.pin()));
        }
        Place::HeadMoved(head) => {
            lines.push(format!("somebody moved `HEAD` of the checkout to `{head}`"));
            lines.push(format!("`assets restore{path}` shows the pin again, and loses no commit made there"));
        }
        Place::NoPin => {
            lines.push(format!("no pin in the manifest yet, a push writes it: shows {} as restored", manifest.pin()))
        }
        Place::AtPin | Place::Broken(_) => {}
    }
    if let Some(command) = &status.in_use_by {
        lines.push(format!("`{command}` is at work here"));
    } else {
        if let Some(operation) = &status.interrupted {
            lines.push(format!("a {operation} was interrupted: `assets restore{path}` completes it"));
        }
        if let Some(to) = &status.unpushed {
            let name = to.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
            lines.push(format!("a push to `{name}` was interrupted: `assets push{path}` finishes it"));
        }
    }
    if status.stashed > 0 {
        let entries =
            if status.stashed == 1 { "1 stash entry".to_string() } else { format!("{} stash entries", status.stashed) };
        lines.push(format!("{entries}: `assets stash list{path}`"));
    }
    lines.extend(status.pending.iter().map(|change| format!("{} {}", change.kind.letter(), change.path)));
    lines.iter().map(|line| one_line(line)).collect()
}

/// `3 packages: 2 at pin, 1 not restored; 4 pending changes, 1 stash entry`.
fn summary(rows: &[(&Manifest, &Status)]) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for (_, status) in rows {
        match states.iter_mut().find(|(word, _)| *word == state(status)) {
            Some((_, count)) => *count += 1,
            None => states.push((state(status), 1)),
        }
    }
    let states: Vec<String> = states.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let packages = count(rows.len(), "package");
    let pending: usize = rows.iter().map(|(_, status)| status.pending.len()).sum();
    let pending = if pending == 0 { "nothing pending".to_string() } else { manifests::changes(pending) };
    format!("{packages}: {}; {pending}", states.join(", "))
}

fn item(context: &Context, manifest: &Manifest, status: &Status) -> Value {
    let (state, head, error) = match &status.place {
        Place::NotRestored => ("not-restored", None, None),
        Place::AtPin => ("at-pin", None, None),
        Place::NoPin => ("no-pin", None, None),
        Place::OtherPin => ("other-pin", None, None),
        Place::HeadMoved(head) => ("head-moved", Some(head.as_str()), None),
        Place::Broken(error) => ("broken", None, Some(error_json(error))),
    };
    let (form, pin) = match &manifest.form {
        Form::Branch { sha, .. } => ("branch", sha.as_ref().map(Oid::as_str)),
        Form::Tag { tag, .. } => ("tag", tag.as_ref().map(|tag| tag.as_str())),
    };
    json!({
        "manifest": manifest.path,
        "form": form,
        "state": state,
        "clean": status.is_clean(),
        "root": context.recordings_root(manifest).ok().map(|root| root.to_string_lossy().into_owned()),
        "slice": manifest.slice.as_str(),
        "pin": pin,
        "commit": status.commit.as_ref().map(Oid::as_str),
        "tag": status.tag,
        "head": head,
        "pending": status.pending,
        "stashed": status.stashed,
        "unpushed": status.unpushed,
        "interrupted": status.interrupted,
        "in_use_by": status.in_use_by,
        "error": error,
    })
}
