//! `assets config locate`, `assets config show` and `assets config create`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::init::{self, InitArgs};
use super::{PathArgs, Report, manifests};
use crate::error::Result;
use crate::manifest::{Form, Manifest};
use crate::ops::Context;
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets config locate         where the recordings of this package are
  assets config show sdk/core  what its assets.json means")]
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
    /// Make the assets.json of a package, as `assets init` does
    Create(InitArgs),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets config locate
  assets config locate -a sdk/core/assets.json")]
struct LocateArgs {
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets config show
  assets config show --json sdk/core")]
struct ShowArgs {
    #[command(flatten)]
    paths: PathArgs,
}

impl ConfigArgs {
    pub fn name(&self) -> &'static str {
        match self.command {
            ConfigCommand::Locate(_) => "config locate",
            ConfigCommand::Show(_) => "config show",
            ConfigCommand::Create(_) => "config create",
        }
    }
}

pub fn run(context: &Context, ui: &Ui, args: &ConfigArgs) -> Result<Report> {
    let mut report = Report::new();
    let (paths, locate) = match &args.command {
        ConfigCommand::Locate(args) => (&args.paths, true),
        ConfigCommand::Show(args) => (&args.paths, false),
        ConfigCommand::Create(args) => return init::run(context, ui, args),
    };
    for manifest in manifests::load(context, ui, paths, &mut report) {
        let root = match context.recordings_root(&manifest) {
            Ok(root) => root,
            Err(error) => {
                report.fail(ui, &manifest.path, &error);
                continue;
            }
        };
        let filled_in = filled_in(&manifest);
        match (ui.json(), locate) {
            (true, true) => report.results.push(json!({
                "manifest": manifest.path,
                "state": "located",
                "root": root.to_string_lossy(),
            })),
            (true, false) => report.results.push(json!({
                "manifest": manifest.path,
                "state": "shown",
                "root": root.to_string_lossy(),
                "slice": manifest.slice.as_str(),
                "config": filled_in,
            })),
            (false, true) => ui.path(&root),
            (false, false) => ui.document(&serde_json::to_string_pretty(&filled_in).unwrap_or_default()),
        }
    }
    Ok(report)
}

/// The manifest as if every default stood in it, the keys in the order people write them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FilledIn<'a> {
    assets_repo: &'a str,
    assets_repo_prefix_path: &'a str,
    #[serde(flatten)]
    form: FilledInForm<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FilledInForm<'a> {
    #[serde(rename_all = "PascalCase")]
    Branch {
        assets_repo_id: String,
        assets_repo_branch: &'a str,
        assets_repo_fallback_branch: &'a str,
        #[serde(rename = "SHA")]
        sha: &'a str,
    },
    #[serde(rename_all = "PascalCase")]
    Tag { tag_prefix: &'a str, tag: &'a str },
}

fn filled_in(manifest: &Manifest) -> FilledIn<'_> {
    let form = match &manifest.form {
        Form::Branch { sha, branch, fallback } => FilledInForm::Branch {
            assets_repo_id: manifest.checkout_name(),
            assets_repo_branch: branch.as_str(),
            assets_repo_fallback_branch: fallback.as_str(),
            sha: sha.as_ref().map_or("", |sha| sha.as_str()),
        },
        Form::Tag { tag, prefix } => {
            FilledInForm::Tag { tag_prefix: prefix.as_str(), tag: tag.as_ref().map_or("", |tag| tag.as_str()) }
        }
    };
    FilledIn { assets_repo: &manifest.assets_repo_text, assets_repo_prefix_path: manifest.prefix.as_str(), form }
}
