//! `assets init`, which is `assets config create` too, and what `assets restore --init` does first.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Report;
use crate::error::Result;
use crate::manifest::draft::Wishes;
use crate::manifest::{Form, Manifest};
use crate::names::{AssetsRepo, Reason, RefName, RepoPath};
use crate::ops::Context;
use crate::ops::init::Site;
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
All but the branch or the tag prefix is that of the nearest assets.json above.
Without one, the assets repo is asked for, and the folder in it is guessed from
the name of the code repo: `python` for `azure-sdk-for-python`.

Examples:
  assets init                                for the directory you are in
  assets init --repo owner/assets sdk/core   the first of a code repo
  assets init --tag-prefix py/core sdk/core  pinned by tags")]
pub struct InitArgs {
    /// The directory to make it in [default: the current directory]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The same as PATH
    #[arg(short = 'a', long = "assets-json-path", value_name = "PATH", conflicts_with = "path")]
    assets_json_path: Option<PathBuf>,
    /// The assets repo: owner/name on GitHub, a git URL, or an absolute path
    #[arg(long, value_name = "REPO", value_parser = repo)]
    repo: Option<String>,
    /// The folder in the assets repo for the recordings of this code repo; '' for none
    #[arg(long, value_name = "FOLDER", value_parser = prefix)]
    prefix: Option<String>,
    /// Where pushes go [default: auto/<service>]
    #[arg(long, value_name = "BRANCH", value_parser = ref_name)]
    branch: Option<String>,
    /// Pin by tags, which begin with this
    #[arg(long, value_name = "PREFIX", value_parser = ref_name, conflicts_with = "branch")]
    tag_prefix: Option<String>,
}

pub fn run(context: &Context, ui: &Ui, args: &InitArgs) -> Result<Report> {
    let path = args.path.clone().or(args.assets_json_path.clone()).unwrap_or_else(|| PathBuf::from("."));
    let wishes = Wishes {
        assets_repo: args.repo.clone(),
        prefix: args.prefix.clone(),
        branch: args.branch.clone(),
        tag_prefix: args.tag_prefix.clone(),
    };
    let mut report = Report::new();
    let site = Site::look_at(context, &path)?;
    let is_new = !site.is_taken && make(ui, &site, wishes)?;
    let manifest = context.manifest(&path)?;
    if ui.json() {
        report.results.push(json!({
            "manifest": manifest.path,
            "state": if is_new { "created" } else { "unchanged" },
            "file": manifest.file.to_string_lossy(),
            "slice": manifest.slice.as_str(),
        }));
        return Ok(report);
    }
    if is_new {
        say(ui, &manifest);
        ui.hint(&format!("`assets restore{}` makes the folder to record into", manifest.argument));
    } else {
        ui.status(&format!("`{}` is there already: nothing was changed", manifest.path));
    }
    ui.path(&manifest.file);
    Ok(report)
}

/// Makes the manifests that are missing where paths have none of their own; returns the paths that have one now.
pub fn make_missing(context: &Context, ui: &Ui, paths: Vec<PathBuf>, report: &mut Report) -> Vec<PathBuf> {
    let mut ready = Vec::new();
    for path in paths {
        match make_if_missing(context, ui, &path) {
            Ok(()) => ready.push(path),
            Err(error) => report.fail(ui, &path.to_string_lossy(), &error),
        }
    }
    ready
}

fn make_if_missing(context: &Context, ui: &Ui, path: &Path) -> Result<()> {
    let site = Site::look_at(context, path)?;
    let is_new = !site.is_taken && make(ui, &site, Wishes::default())?;
    if is_new && !ui.json() {
        say(ui, &context.manifest(path)?);
    }
    Ok(())
}

/// Asks for what is not known, if somebody is there, and makes the manifest; `false` when another `init` was faster.
fn make(ui: &Ui, site: &Site, mut wishes: Wishes) -> Result<bool> {
    if site.needs_repo(&wishes) && ui.can_prompt() {
        // Short questions: what is typed stands behind them, and a line that is full leaves its beginning behind.
        ui.status("The assets repo is `owner/name` on GitHub, a git URL, or an absolute path.");
        wishes.assets_repo = Some(ui.input("Assets repo", None, |text| repo(text).map(drop))?);
        if wishes.prefix.is_none() {
            let guess = Some(site.guessed_prefix());
            wishes.prefix = Some(ui.input("Folder in it (may be empty)", guess, |text| prefix(text).map(drop))?);
        }
    }
    site.write(&site.plan(&wishes)?)
}

fn say(ui: &Ui, manifest: &Manifest) {
    let slice = &manifest.slice;
    ui.status(&format!("made `{}` for the recordings in `{slice}` of `{}`", manifest.path, manifest.repo_name()));
    ui.status(&match &manifest.form {
        Form::Branch { branch, .. } => format!("pushes go to the branch `{branch}`"),
        Form::Tag { prefix, .. } => format!("each push makes a tag `{prefix}_<commit>`"),
    });
}

fn repo(text: &str) -> std::result::Result<String, Reason> {
    AssetsRepo::parse(text).map(|_| text.to_string()).map_err(it)
}

fn prefix(text: &str) -> std::result::Result<String, Reason> {
    RepoPath::parse(text).map(|path| path.as_str().to_string()).map_err(it)
}

fn ref_name(text: &str) -> std::result::Result<String, Reason> {
    RefName::parse(text).map(|name| name.as_str().to_string()).map_err(it)
}

/// What is wrong with a value, as a sentence.
fn it(why: Reason) -> Reason {
    format!("it {why}")
}
