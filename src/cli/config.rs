//! `assets config locate` and `assets config show`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PathArgs, Report, manifests};
use crate::error::Result;
use crate::manifest::{Form, Manifest};
use crate::ops::Context;
use crate::ui::Ui;

#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the recordings root: the folder a test proxy starts in
    Locate(LocateArgs),
    /// Print the assets.json with its defaults filled in
    Show(ShowArgs),
}

#[derive(Args)]
struct LocateArgs {
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    paths: PathArgs,
}

impl ConfigArgs {
    pub fn name(&self) -> &'static str {
        match self.command {
            ConfigCommand::Locate(_) => "config locate",
            ConfigCommand::Show(_) => "config show",
        }
    }
}

pub fn run(context: &Context, ui: &Ui, args: &ConfigArgs) -> Result<Report> {
    let mut report = Report::new();
    let (paths, locate) = match &args.command {
        ConfigCommand::Locate(args) => (&args.paths, true),
        ConfigCommand::Show(args) => (&args.paths, false),
    };
    for manifest in manifests::load(context, ui, paths, &mut report) {
        let root = match context.recordings_root(&manifest) {
            Ok(root) => root.to_string_lossy().into_owned(),
            Err(error) => {
                report.fail(ui, &manifest.path, &error);
                continue;
            }
        };
        let filled_in = filled_in(&manifest);
        match (ui.json(), locate) {
            (true, true) => report.results.push(json!({"manifest": manifest.path, "state": "located", "root": root})),
            (true, false) => report.results.push(json!({
                "manifest": manifest.path,
                "state": "shown",
                "root": root,
                "slice": manifest.slice.as_str(),
                "config": filled_in,
            })),
            (false, true) => ui.data(&root),
            (false, false) => ui.data(&serde_json::to_string_pretty(&filled_in).unwrap_or_default()),
        }
    }
    Ok(report)
}

/// The manifest as if every default stood in it.
fn filled_in(manifest: &Manifest) -> Value {
    let mut fields = json!({
        "AssetsRepo": manifest.assets_repo_text,
        "AssetsRepoPrefixPath": manifest.prefix.as_str(),
    });
    match &manifest.form {
        Form::Branch { sha, branch, fallback } => {
            fields["AssetsRepoId"] = json!(manifest.checkout_name());
            fields["AssetsRepoBranch"] = json!(branch.as_str());
            fields["AssetsRepoFallbackBranch"] = json!(fallback.as_str());
            fields["SHA"] = json!(sha.as_ref().map_or("", |sha| sha.as_str()));
        }
        Form::Tag { tag, prefix } => {
            fields["TagPrefix"] = json!(prefix.as_str());
            fields["Tag"] = json!(tag.as_ref().map_or("", |tag| tag.as_str()));
        }
    }
    fields
}
