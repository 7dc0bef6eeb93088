//! The git program: the only place that makes a command of it, and what it says outside any repository.
#![allow(clippy::disallowed_methods, reason = "this is the one place that starts git")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use super::call::{Call, Place};
use super::token::{TokenHost, TokenUse};
use crate::error::{Error, Result};
use crate::names::RemoteUrl;
use crate::report::{Report, Reporter};
use crate::settings::{Environment, GitEnvironment, Secret};

/// The git program, and everything that is the same for each of its calls.
#[derive(Clone)]
pub struct Git {
    program: PathBuf,
    pub(super) environment: GitEnvironment,
    pub(super) token: Option<(Secret, TokenHost)>,
    report: Reporter,
    /// Whether the user's git configuration names an ssh command; asked once, and only for ssh.
    own_ssh: Arc<OnceLock<bool>>,
}

impl Git {
    /// Finds git on `PATH`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(environment: &Environment, report: Arc<dyn Report>) -> Result<Git> {
        let program = which::which("git").map_err(|e| {
            Error::failed("git is not installed, or not on `PATH`")
                .cause(e.to_string())
                .hint("install git 2.39 or newer, then check with `git --version`")
        })?;
        let token = environment.token.clone().map(|token| (token, TokenHost::parse(&environment.token_host)));
        Ok(Git {
            program,
            environment: environment.git.clone(),
            token,
            report: Reporter::new(report),
            own_ssh: Arc::default(),
        })
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn report(&self) -> &Reporter {
        &self.report
    }

    /// The same git, working for an assets repo and perhaps one manifest: reports say so.
    pub fn about(&self, repo: &str, manifest: &str) -> Git {
        Git { report: self.report.about(repo, manifest), ..self.clone() }
    }

    /// The same git, downloading beside others for the same assets repo.
    pub fn in_lane(&self, lane: usize) -> Git {
        Git { report: self.report.in_lane(lane), ..self.clone() }
    }

    /// Whether the token is sent to `url`.
    pub fn token_use(&self, url: &RemoteUrl) -> TokenUse {
        self.token.as_ref().map_or(TokenUse::NoToken, |(_, host)| host.use_for(url))
    }

    /// The version line of this git: `git version 2.47.3`.
    pub fn version(&self) -> Result<String> {
        let output = self.without_place(["--version"]).output().map_err(|e| self.cannot_start("git --version", &e))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Whether the user wants colours in a diff that goes to a terminal.
    pub fn wants_color(&self) -> bool {
        self.setting(["config", "--get-colorbool", "color.diff", "true"]).is_none_or(|answer| answer == "true")
    }

    /// The command line, for a shell, by which the user reads what is longer than a screen; none for printing it all.
    pub fn pager(&self) -> Option<String> {
        let of_diff = || self.setting(["config", "--get", "pager.diff"]).filter(|pager| pager != "true");
        let pager = self.environment.pager.clone().or_else(of_diff).or_else(|| self.setting(["var", "GIT_PAGER"]))?;
        (!matches!(pager.as_str(), "" | "cat" | "false")).then_some(pager)
    }

    /// What git says of the user's own configuration. Not asked in the current directory, which may be a stranger's repo.
    fn setting<const N: usize>(&self, question: [&str; N]) -> Option<String> {
        let mut question = self.without_place(question);
        question.current_dir(self.program.parent()?);
        let output = question.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Begins a call of `git <args>` at `place`.
    pub fn call<'a, S: AsRef<OsStr>>(&'a self, place: &'a Place, args: impl IntoIterator<Item = S>) -> Call<'a> {
        Call::new(self, place).args(args)
    }

    /// Whether the user has an ssh command of their own.
    pub(super) fn has_own_ssh(&self) -> bool {
        self.environment.own_ssh
            || *self.own_ssh.get_or_init(|| {
                let mut question = self.without_place(["config", "--global", "--get", "core.sshCommand"]);
                question.output().is_ok_and(|output| output.status.success())
            })
    }

    /// A command that works in no repository.
    fn without_place<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = self.command();
        command.args(args).stdin(Stdio::null());
        command
    }

    /// A command without arguments, with what others must not see taken away.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for name in &self.environment.removed {
            command.env_remove(name);
        }
        if self.token.is_some() {
            // The targets of these can stand in the user's configuration too, which the environment overrides.
            for name in ["GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE2_PERF"] {
                command.env(name, "0");
            }
        }
        command
    }

    pub(super) fn cannot_start(&self, command: &str, source: &std::io::Error) -> Error {
        Error::failed(format!("cannot start `{command}`"))
            .cause(format!("{}: {source}", self.program.display()))
            .hint("check with `git --version` that git works")
    }
}
