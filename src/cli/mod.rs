//! The command line: arguments, and turning what the operations return into output and an exit code.

mod checkout;
mod completions;
mod config;
mod diff;
mod doctor;
mod gc;
mod init;
mod legacy;
mod manifests;
mod preview;
mod push;
mod quick;
mod reset;
mod reset_manifest;
mod restore;
mod stash;
mod status;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::log::Log;
use crate::names::printable;
use crate::ops::Context;
use crate::settings::Environment;
use crate::ui::{Manners, Ui};

/// Brings a repo's test recordings to disk at the commit that its assets.json files pin, and sends new ones back.
#[derive(Parser)]
#[command(name = "assets", version, max_term_width = 100, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  assets restore                      the package you are in
  assets restore sdk/core sdk/tables  those of two packages
  assets restore --all                those of every package of the repo
  assets push -m \"Record new tests\"   send what was recorded, move the pin
  assets status --all                 where each package of the repo stands
  assets diff                         what a push would send
  assets reset                        drop local changes
  assets init                         the assets.json of a new package";

#[derive(Args)]
#[command(next_help_heading = "Global options (or variables: ASSETS_JSON=1, ASSETS_JOBS=4, ...)")]
struct GlobalArgs {
    /// Resolve relative paths against this directory
    #[arg(short = 'l', long, value_name = "DIR", global = true)]
    storage_location: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, env = "ASSETS_JSON", hide_env = true, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    json: bool,
    /// Print only results and errors
    #[arg(short, long, global = true, env = "ASSETS_QUIET", hide_env = true, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    quiet: bool,
    /// Show git commands (-v) and their times (-vv)
    #[arg(short, long, global = true, action = ArgAction::Count, env = "ASSETS_VERBOSE", hide_env = true)]
    verbose: u8,
    /// Colours: auto (the default), always or never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        env = "ASSETS_COLOR",
        hide_env = true
    )]
    color: ColorChoice,
    /// Show no progress
    #[arg(long, global = true, env = "ASSETS_NO_PROGRESS", hide_env = true, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    no_progress: bool,
    /// Never ask: fail, or do what is safe
    #[arg(long, global = true, env = "ASSETS_NO_INPUT", hide_env = true, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    no_input: bool,
    /// Use only what is on this machine
    #[arg(long, global = true, env = "ASSETS_OFFLINE", hide_env = true, value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    offline: bool,
    /// Work in at most N checkouts and assets repos [default: cores]
    #[arg(short, long, value_name = "N", global = true, env = "ASSETS_JOBS", hide_env = true, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Wait at most this long for another `assets` [default: without end]
    #[arg(long, value_name = "SECONDS", global = true, env = "ASSETS_LOCK_TIMEOUT", hide_env = true)]
    lock_timeout: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    /// Show each package's recordings at the commit its assets.json pins
    #[command(alias = "playback")]
    Restore(restore::RestoreArgs),
    /// Send new and changed recordings, then move the pin
    Push(push::PushArgs),
    /// Make the assets.json of a package that has none
    Init(init::InitArgs),
    /// Show what is restored, at which commit, and what is pending
    Status(status::StatusArgs),
    /// Show recordings at another commit, tag or branch
    Checkout(checkout::CheckoutArgs),
    /// Show the changes of recordings that no push has sent
    Diff(diff::DiffArgs),
    /// Drop local changes of recordings and show the pin again
    Reset(reset::ResetArgs),
    /// List or bring back changes that were put aside
    Stash(stash::StashArgs),
    /// Show where recordings are and what an assets.json says
    Config(config::ConfigArgs),
    /// Show what is kept on this disk, and remove what nobody uses
    Gc(gc::GcArgs),
    /// Find out why something does not work here, and what mends it
    Doctor(doctor::DoctorArgs),
    /// Print what makes a shell complete commands and flags
    Completions(completions::CompletionsArgs),
}

/// Which manifests a command is about.
#[derive(Args, Clone)]
struct PathArgs {
    /// An assets.json, or a directory at or below one [default: the current directory]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same as PATH
    #[arg(short = 'a', long = "assets-json-path", value_name = "PATH")]
    assets_json_path: Vec<PathBuf>,
    /// Every assets.json of the code repo, or of the directories that PATH names
    #[arg(long)]
    all: bool,
    /// Only packages with files that differ from BASE [default: the remote's default branch]
    #[arg(long, value_name = "BASE", num_args = 0..=1, default_missing_value = "")]
    changed: Option<String>,
}

/// What a command left to report: a line of results for each manifest, and how it ended.
struct Report {
    results: Vec<Value>,
    failures: Vec<Kind>,
    /// The manifests that failed.
    failed: Vec<String>,
    /// Whether the manifests were found and not named: then results are in the order of their paths.
    found: bool,
    shown: Option<Error>,
}

/// The command line as clap has it.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// Runs a command line and returns the exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    if quick::restore(&args) {
        return 0;
    }
    interrupt::install();
    let args = legacy::modernise(args);
    let wants_json = args.iter().any(|arg| arg == "--json") || crate::settings::json();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) if wants_json && error.use_stderr() => {
            let ui = Ui::new(Manners { json: true, ..Manners::default() });
            return finish(&ui, "", Err(usage_error(&error)));
        }
        Err(error) => {
            let is_failure = error.use_stderr();
            // It repeats what was typed, or what a shell found for it.
            let plain = args.iter().map(|arg| printable(&arg.to_string_lossy()));
            let _ = Cli::try_parse_from(plain).err().unwrap_or(error).print();
            return if is_failure { Kind::Usage.exit_code() } else { 0 };
        }
    };
    let global = &cli.global;
    let color = match global.color {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    };
    let ui = Ui::new(Manners {
        quiet: global.quiet,
        verbose: global.verbose,
        json: global.json,
        color,
        no_progress: global.no_progress,
        no_input: global.no_input,
    });
    let name = cli.command.name();
    let result = context(global, &ui, &args).and_then(|context| cli.command.run(&context, &ui));
    finish(&ui, name, result)
}

/// A wrong command line, as an error of ours.
fn usage_error(error: &clap::Error) -> Error {
    let text = error.to_string();
    let message = match error.kind() {
        // Its text is the help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => "a command is missing",
        _ => text.lines().next().unwrap_or_default().trim_start_matches("error: "),
    };
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.fold(Error::usage(message), Error::hint).hint("see `assets --help`")
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Command::Restore(_) => "restore",
            Command::Push(_) => "push",
            Command::Init(_) => "init",
            Command::Status(_) => "status",
            Command::Checkout(_) => "checkout",
            Command::Diff(_) => "diff",
            Command::Reset(_) => "reset",
            Command::Stash(args) => args.name(),
            Command::Config(args) => args.name(),
            Command::Gc(_) => "gc",
            Command::Doctor(_) => "doctor",
            Command::Completions(_) => "completions",
        }
    }

    fn run(&self, context: &Context, ui: &Ui) -> Result<Report> {
        match self {
            Command::Restore(args) => restore::run(context, ui, args),
            Command::Push(args) => push::run(context, ui, args),
            Command::Init(args) => init::run(context, ui, args),
            Command::Status(args) => status::run(context, ui, args),
            Command::Checkout(args) => checkout::run(context, ui, args),
            Command::Diff(args) => diff::run(context, ui, args),
            Command::Reset(args) => reset::run(context, ui, args),
            Command::Stash(args) => stash::run(context, ui, args),
            Command::Config(args) => config::run(context, ui, args),
            Command::Gc(args) => gc::run(context, ui, args),
            Command::Doctor(args) => doctor::run(context, ui, args),
            Command::Completions(args) => completions::run(ui, args),
        }
    }
}

impl PathArgs {
    /// Whether nothing was named.
    fn is_default(&self) -> bool {
        self.paths.is_empty() && self.assets_json_path.is_empty()
    }

    /// Whether manifests are looked for, and a path is where.
    fn are_searched(&self) -> bool {
        self.all || self.changed.is_some()
    }

    /// What was named, or the current directory.
    fn named(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.paths.iter().chain(&self.assets_json_path).cloned().collect();
        if paths.is_empty() {
            paths.push(PathBuf::from("."));
        }
        paths
    }
}

impl Report {
    fn new() -> Report {
        Report { results: Vec::new(), failures: Vec::new(), failed: Vec::new(), found: false, shown: None }
    }

    /// Adds a failed manifest: shown at once, or in the JSON document.
    fn fail(&mut self, ui: &Ui, manifest: &str, error: &Error) {
        // What many packages have in common, such as a remote that is down or Ctrl-C, is said once.
        if !ui.json() && self.shown.as_ref() != Some(error) {
            ui.error(error);
            self.shown = Some(error.clone());
        }
        self.results.push(json!({"manifest": manifest, "state": "failed", "error": error_json(error)}));
        self.failures.push(error.kind);
        self.failed.push(manifest.to_string());
    }
}

fn context(global: &GlobalArgs, ui: &Ui, args: &[OsString]) -> Result<Context> {
    let environment = Environment::read()?;
    let base = match global.storage_location.as_ref().or(environment.storage_location.as_ref()) {
        Some(folder) => environment.cwd.join(folder),
        None => environment.cwd.clone(),
    };
    let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let title = format!("assets {} (process {})", words.join(" "), std::process::id());
    let mut report: Arc<dyn crate::report::Report> = ui.progress.clone();
    if let Some(file) = &environment.log {
        report = Arc::new(Log::to(file, report)?);
    }
    let mut context = Context::new(environment, report, base, title);
    context.offline = global.offline;
    context.jobs = global.jobs;
    context.lock_timeout = global.lock_timeout.map(Duration::from_secs);
    Ok(context)
}

/// Prints what is left to print and decides the exit code.
fn finish(ui: &Ui, command: &str, result: Result<Report>) -> u8 {
    ui.progress.stop();
    let (report, error) = match result {
        Ok(report) => (report, None),
        Err(error) => (Report { failures: vec![error.kind], ..Report::new() }, Some(error)),
    };
    let worst = report.failures.iter().min_by_key(|kind| kind.precedence());
    let code = worst.map_or(0, |kind| kind.exit_code());
    if ui.json() {
        let mut results = report.results;
        // Those that could not be read were reported first.
        if report.found {
            results.sort_by(|a, b| a["manifest"].as_str().cmp(&b["manifest"].as_str()));
        }
        let mut document = json!({"schema": 1, "command": command, "exit_code": code, "results": results});
        if let Some(error) = &error {
            document["error"] = error_json(error);
        }
        ui.document(&document.to_string());
    } else if let Some(error) = &error {
        ui.error(error);
    }
    match ui.lost_data() {
        Some(error) => {
            ui.error(&error);
            code.max(error.kind.exit_code())
        }
        None => code,
    }
}

fn error_json(error: &Error) -> Value {
    json!({"kind": error.kind.name(), "message": error.message, "causes": error.causes, "hints": error.hints})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &clap::Command, check: &mut impl FnMut(&clap::Command)) {
        check(command);
        command.get_subcommands().for_each(|command| each(command, check));
    }

    #[test]
    fn the_command_line_is_sound_and_its_help_fits_a_terminal() {
        let mut all = command_line();
        all.build();
        all.clone().debug_assert();
        each(&all, &mut |command| {
            let name = command.get_bin_name().unwrap_or_default().to_string();
            if name.contains("help") {
                return;
            }
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Examples:\n  assets "), "`{name}` has no examples");
            // In a man page examples stand five columns further to the right.
            for line in text.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= 75, "`{name}` would be wrapped: {line}");
            }
            assert!(text.lines().all(|line| line.chars().count() <= 80), "`{name}` would be wrapped: {text}");
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                let about = below.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(about.chars().count() <= 65, "`{name}` would wrap in its list: {about}");
            }
        });
    }
}
