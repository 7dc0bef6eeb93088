//! `assets gc`.

use clap::Args;
use serde_json::json;

use super::Report;
use crate::error::{Result, shell_word};
use crate::names::one_line;
use crate::ops::Context;
use crate::ops::gc::{Fate, Item, What, gc};
use crate::ui::Ui;
use crate::units::size;

#[derive(Args)]
#[command(after_help = "\
Used is what a manifest on disk asks for, in any code repo that restored with
this cache, and what a checkout shows. Recordings that only another branch of a
code repo pins are downloaded again when they are needed. Pending changes, stash
entries, commits made by hand and pushes under way always stay. No request is
sent.

Examples:
  assets gc        what there is, who uses it, and what would go
  assets gc -v     the same with the name of each manifest
  assets gc --yes  remove it")]
pub struct GcArgs {
    /// Remove what nobody uses; without it nothing is changed
    #[arg(short, long)]
    yes: bool,
}

pub fn run(context: &Context, ui: &Ui, args: &GcArgs) -> Result<Report> {
    let mut report = Report::new();
    let found = gc(context, args.yes)?;
    ui.progress.stop();
    for item in &found.items {
        if ui.json() {
            report.results.push(as_json(item));
        }
    }
    for (path, error) in &found.errors {
        report.fail(ui, path, error);
    }
    if ui.json() {
        return Ok(report);
    }
    if !found.items.is_empty() {
        ui.data(&format!("{:>9}  {:>9}", "size", if args.yes { "freed" } else { "can go" }));
    }
    for item in &found.items {
        show(ui, item, args.yes);
    }
    let total: u64 = found.items.iter().filter(|item| item.done || !args.yes).map(|item| item.frees).sum();
    let something = found.items.iter().any(|item| item.fate != Fate::Stays);
    match (args.yes, something) {
        (true, _) => ui.status(&format!("freed {}", size(total))),
        (false, true) => {
            ui.status(&format!("{} can go; nothing was changed", size(total)));
            ui.hint("`assets gc --yes` removes it");
        }
        (false, false) => ui.status("everything here is used"),
    }
    for item in found.items.iter().filter(|item| item.what == What::Broken) {
        ui.hint(&format!("when nothing in it is needed: `rm -rf {}`", shell_word(&item.name)));
    }
    Ok(report)
}

fn show(ui: &Ui, item: &Item, yes: bool) {
    let frees = match item.fate {
        Fate::Stays => String::new(),
        _ if yes && !item.done => "-".into(),
        _ if item.what == What::CodeRepo => String::new(),
        _ => size(item.frees),
    };
    let bytes = if item.what == What::CodeRepo { String::new() } else { size(item.bytes) };
    let mut why = item.why.clone();
    if yes && item.fate != Fate::Stays && !item.done {
        why.push_str("; left alone, because that changed meanwhile");
    }
    ui.hanging_data(&format!("{bytes:>9}  {frees:>9}  "), &format!("{} {}: {why}", word(item.what), item.name));
    if ui.verbose() {
        for user in &item.users {
            ui.data(&one_line(&format!("{:>22}  {user}", "")));
        }
    }
}

fn as_json(item: &Item) -> serde_json::Value {
    let state = match (item.fate, item.done) {
        (Fate::Stays, _) => "stays",
        (Fate::Shrinks, false) => "shrinks",
        (Fate::Shrinks, true) => "shrunk",
        (Fate::Goes, false) => "goes",
        (Fate::Goes, true) => "gone",
    };
    json!({
        "kind": word(item.what).replace(' ', "-"),
        "path": item.path.to_string_lossy(),
        "name": item.name,
        "state": state,
        "bytes": item.bytes,
        "frees": item.frees,
        "why": item.why,
        "manifests": item.users,
    })
}

fn word(what: What) -> &'static str {
    match what {
        What::CodeRepo => "code repo",
        What::Store => "store",
        What::Checkout => "checkout",
        What::LeftOver => "left over",
        What::Broken => "set aside",
    }
}
