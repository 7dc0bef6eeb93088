//! `assets completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Report};
use crate::error::Result;
use crate::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Examples:
  assets completions fish > ~/.config/fish/completions/assets.fish
  echo 'source <(assets completions bash)' >> ~/.bashrc
  echo 'source <(assets completions zsh)' >> ~/.zshrc   (below `compinit`)
  assets completions powershell >> $PROFILE")]
pub struct CompletionsArgs {
    /// The shell to write them for
    shell: Shell,
}

pub fn run(ui: &Ui, args: &CompletionsArgs) -> Result<Report> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "assets", &mut script);
    let script = String::from_utf8_lossy(&script);
    let mut report = Report::new();
    match ui.json() {
        true => report.results.push(json!({"shell": args.shell.to_string(), "state": "printed", "script": script})),
        false => ui.data(script.trim_end()),
    }
    Ok(report)
}
