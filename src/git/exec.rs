//! The only place that starts git. Decides once what every git call has in common: the environment, where the
//! repository is, which configuration is forced, what is captured, and how Ctrl-C, time limits and retries work.
//!
//! `std::process` and not a wrapper around it: a call needs its own process group (so that `git-remote-https` ends
//! with its parent), progress while it runs, and a dialogue with `cat-file`.
#![allow(clippy::disallowed_methods, reason = "this is the one place that starts git")]

use std::ffi::{OsStr, OsString};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;

use super::output::Output;
use super::stderr::{Lines, sort_line};
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::names::{RemoteUrl, printable};
use crate::process::{Limits, Pipe, TICK, drain, end_group, wait_for};
use crate::report::{Ended, Report, Reporter, Work};
use crate::settings::{Environment, GitEnvironment, Secret};

/// Protocols git may use for a call that talks to a remote; `ext` and other helpers run commands.
const PROTOCOLS: &[&str] = &["file", "git", "http", "https", "ssh"];

/// Configuration forced on every call, whatever the user's or the repository's files say.
const CONFIG: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    // Else symlinks of the assets repo would be written, and their absence shown as a change.
    ("core.symlinks", "false"),
    ("core.protectNTFS", "true"),
    ("core.protectHFS", "true"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.longpaths", "true"),
    ("core.quotePath", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("index.sparse", "false"),
    ("status.renames", "false"),
    ("status.showUntrackedFiles", "all"),
    ("diff.renames", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.fsckObjects", "true"),
    ("transfer.fsckObjects", "true"),
    ("transfer.bundleURI", "false"),
    // Keep the pack that came instead of writing one file per object; ask for what is wanted without naming what is here.
    ("fetch.unpackLimit", "1"),
    ("fetch.negotiationAlgorithm", "noop"),
    ("fetch.writeCommitGraph", "false"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    // As many as there are cores; git starts them for a hundred files and more.
    ("checkout.workers", "0"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("safe.bareRepository", "explicit"),
    // An identity guessed from the host name would be pushed for ever.
    ("user.useConfigOnly", "true"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "20"),
];

/// What the remote of a call is called; its URL is given with the call and stands in no file.
pub const REMOTE: &str = "assets";

/// The longest a call that talks to a remote may take.
const NETWORK_LIMIT: Duration = Duration::from_secs(3600);
/// The longest that git may say nothing about a remote that curl does not watch: `git://` and ssh.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The git program, and everything that is the same for each of its calls.
#[derive(Clone)]
pub struct Git {
    program: PathBuf,
    environment: GitEnvironment,
    token: Option<(Secret, String)>,
    report: Reporter,
    /// Whether the user's git configuration names an ssh command; asked once, and only for ssh.
    own_ssh: Arc<OnceLock<bool>>,
}

/// Where a call works. Git is always told, so that it never walks up into the code repo.
#[derive(Clone, Debug)]
pub struct Place {
    /// The git directory, absolute.
    pub git_dir: PathBuf,
    /// The work tree, absolute; none for the store.
    pub work_tree: Option<PathBuf>,
    /// Objects directories to read besides the repository's own.
    pub also_objects: Vec<PathBuf>,
    /// The objects directory to write to instead of the repository's own.
    pub write_objects: Option<PathBuf>,
}

/// One git command to be run.
pub struct Call<'a> {
    git: &'a Git,
    place: &'a Place,
    args: Vec<OsString>,
    stdin: Vec<u8>,
    env: Vec<(OsString, OsString)>,
    config: Vec<(String, String)>,
    remote: Option<&'a RemoteUrl>,
    limit: Duration,
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
        let token = environment.token.clone().map(|token| (token, environment.token_host.clone()));
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

    /// Whether a token was given and is for the host of `url`.
    pub fn token_is_for(&self, url: &RemoteUrl) -> Option<bool> {
        let (_, for_host) = self.token.as_ref()?;
        Some(url.http_host().is_some_and(|(_, host)| host.eq_ignore_ascii_case(for_host)))
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
        let args = args.into_iter().map(|arg| arg.as_ref().to_os_string()).collect();
        let (stdin, env, config) = (Vec::new(), Vec::new(), Vec::new());
        Call { git: self, place, args, stdin, env, config, remote: None, limit: NETWORK_LIMIT }
    }

    fn has_own_ssh(&self) -> bool {
        self.environment.own_ssh
            || *self.own_ssh.get_or_init(|| {
                let mut question = self.without_place(["config", "--global", "--get", "core.sshCommand"]);
                question.output().is_ok_and(|output| output.status.success())
            })
    }

    /// A command that works in no repository, with what others must not see taken away.
    fn without_place<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null());
        self.take_away(&mut command);
        command
    }

    fn take_away(&self, command: &mut Command) {
        for name in &self.environment.removed {
            command.env_remove(name);
        }
        if self.token.is_some() {
            // The targets of these can stand in the user's configuration too, which the environment overrides.
            for name in ["GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE2_PERF"] {
                command.env(name, "0");
            }
        }
    }

    fn cannot_start(&self, command: &str, source: &std::io::Error) -> Error {
        Error::failed(format!("cannot start `{command}`"))
            .cause(format!("{}: {source}", self.program.display()))
            .hint("check with `git --version` that git works")
    }
}

impl<'a> Call<'a> {
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self
    }

    /// What to feed to its standard input; without it there is none.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Lets the call talk to `url`, as the remote [`REMOTE`]. Without this no call can: a lazy fetch fails at once.
    pub fn remote(mut self, url: &'a RemoteUrl) -> Self {
        self.remote = Some(url);
        self
    }

    /// The longest that it may take when it talks to a remote.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When git cannot be started, is interrupted or takes too long. A git that failed is an [`Output`].
    pub fn run(&self) -> Result<Output> {
        interrupt::check()?;
        let command = self.display();
        let (start, started) = (SystemTime::now(), Instant::now());
        let mut child = self.command().spawn().map_err(|e| self.git.cannot_start(&command, &e))?;
        let output = self.wait(&mut child, &command, started);
        let code = output.as_ref().ok().and_then(|output| output.code);
        let bytes = output.as_ref().map_or(0, |output| output.received.max(output.stdout.len() as u64));
        let kind = Work::Process { code };
        self.git.report.ended(&Ended { what: &command, start, took: started.elapsed(), kind, bytes });
        output
    }

    /// Runs a call that may be repeated, again and again while it fails for a passing reason.
    pub fn run_with_retries(&self) -> Result<Output> {
        let mut tries = 1;
        loop {
            let output = self.run()?;
            if output.code == Some(0) {
                return Ok(output);
            }
            let Some(retry) = output.failure().retry().filter(|retry| tries < retry.tries) else {
                return Ok(output);
            };
            let pause = retry.pause(tries);
            self.git.report.phase(&format!("trying again in {:.1} s: {}", pause.as_secs_f32(), output.last_line()));
            sleep(pause)?;
            self.git.report.phase(&format!("trying again (try {} of {})", tries + 1, retry.tries));
            tries += 1;
        }
    }

    /// Starts it and leaves it running, for a dialogue through its standard input and output.
    pub fn start(&self) -> Result<Session> {
        interrupt::check()?;
        let command = self.display();
        let mut process = self.command();
        process.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = process.spawn().map_err(|e| self.git.cannot_start(&command, &e))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed(format!("`{command}` has no pipes")));
        };
        let session = Session {
            child,
            stdin: Some(stdin),
            stdout: BufReader::with_capacity(1 << 16, stdout),
            command,
            start: SystemTime::now(),
            started: Instant::now(),
            report: self.git.report.clone(),
            broken: false,
        };
        Ok(session)
    }

    fn wait(&self, child: &mut Child, command: &str, started: Instant) -> Result<Output> {
        let (done, finished) = mpsc::channel();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let received = Arc::new(AtomicU64::new(0));
        if let Some(mut pipe) = child.stdin.take() {
            let bytes = self.stdin.clone();
            // A git that fails early closes the pipe; its exit code and words tell why.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        if let Some(pipe) = child.stdout.take() {
            let (into, done) = (stdout.clone(), done.clone());
            std::thread::spawn(move || {
                drain(pipe, |bytes| {
                    lock(&into).extend_from_slice(bytes);
                    let _ = done.send(Pipe::Bytes);
                });
                let _ = done.send(Pipe::End);
            });
        }
        if let Some(pipe) = child.stderr.take() {
            let (into, report, received) = (stderr.clone(), self.git.report.clone(), received.clone());
            std::thread::spawn(move || {
                let mut lines = Lines::default();
                drain(pipe, |bytes| {
                    lines.feed(bytes, |line| sort_line(line, &report, &mut lock(&into), &received));
                    let _ = done.send(Pipe::Bytes);
                });
                lines.finish(|line| sort_line(line, &report, &mut lock(&into), &received));
                let _ = done.send(Pipe::End);
            });
        }
        let limits = match self.remote {
            None => Limits::default(),
            // Curl ends a connection that is too slow by itself.
            Some(url) if url.http_host().is_some() => Limits { total: Some(self.limit), silence: None },
            Some(_) => Limits { total: Some(self.limit), silence: Some(SILENCE_LIMIT) },
        };
        let status = wait_for(child, &finished, started, &limits)?.ok_or_else(|| {
            Error::new(Kind::Transient, "the remote took too long to answer")
                .hint("try again; `assets -v` shows the git commands that are run")
        })?;
        let output = Output {
            code: status.code(),
            stdout: std::mem::take(&mut lock(&stdout)),
            stderr: std::mem::take(&mut lock(&stderr)),
            received: received.load(Ordering::Relaxed),
            command: command.to_string(),
        };
        Ok(output)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.git.program);
        command.args(&self.args);
        self.git.take_away(&mut command);
        let place = self.place;
        command.env("GIT_DIR", &place.git_dir);
        if let Some(work_tree) = &place.work_tree {
            command.env("GIT_WORK_TREE", work_tree);
        }
        if !place.also_objects.is_empty()
            && let Ok(paths) = std::env::join_paths(&place.also_objects)
        {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", paths);
        }
        if let Some(objects) = &place.write_objects {
            command.env("GIT_OBJECT_DIRECTORY", objects);
        }
        let dir = place.work_tree.as_deref().unwrap_or(&place.git_dir);
        command.current_dir(dir).env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir));
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("GIT_EDITOR", "false")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            // The same for gits that do not know the variable above: a lazy fetch finds no protocol to use.
            .env("GIT_ALLOW_PROTOCOL", self.protocols())
            .env("LC_MESSAGES", "C");
        let config = self.forced_config();
        let first = self.git.environment.config_count;
        for (index, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{}", first + index), key);
            command.env(format!("GIT_CONFIG_VALUE_{}", first + index), value);
        }
        command.env("GIT_CONFIG_COUNT", (first + config.len()).to_string());
        if self.remote.is_some_and(|url| url.is_ssh() && !self.git.has_own_ssh()) {
            // Nobody could answer a question: the process has no terminal of its own.
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command.stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }

    fn protocols(&self) -> String {
        if self.remote.is_none() {
            return "none".into();
        }
        let theirs: Option<Vec<&str>> =
            self.git.environment.allow_protocol.as_deref().map(|list| list.split(':').collect());
        let allowed = |protocol: &&&str| theirs.as_ref().is_none_or(|theirs| theirs.contains(*protocol));
        PROTOCOLS.iter().filter(allowed).copied().collect::<Vec<_>>().join(":")
    }

    fn forced_config(&self) -> Vec<(String, String)> {
        let mut config: Vec<(String, String)> = CONFIG.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        // Below a file there can be no hooks, whoever writes into the checkout.
        config.push(("core.hooksPath".into(), self.git.program.join("no-hooks").to_string_lossy().into_owned()));
        config.extend(self.config.iter().cloned());
        let Some(url) = self.remote else { return config };
        // Not `origin`: a checkout has one of its own, and git would push to both addresses.
        config.push((format!("remote.{REMOTE}.url"), url.to_string()));
        if let (Some((token, _)), Some(true), Some((scheme, host))) =
            (&self.git.token, self.git.token_is_for(url), url.http_host())
        {
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{}", token.expose()));
            let key = format!("http.{scheme}://{host}/.extraHeader");
            // An empty value drops headers that were inherited, such as those a CI checkout step leaves behind.
            config.push((key.clone(), String::new()));
            config.push((key, format!("Authorization: Basic {basic}")));
            // curl sends extra headers to the host of a redirect too.
            config.push(("http.followRedirects".into(), "false".into()));
        }
        config
    }

    fn display(&self) -> String {
        let mut text = String::from("git");
        for arg in &self.args {
            text.push(' ');
            text.push_str(&crate::error::shell_word(&arg.to_string_lossy()));
        }
        printable(&text)
    }
}

/// A git process that answers questions until it is dropped.
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    command: String,
    start: SystemTime,
    started: Instant,
    report: Reporter,
    broken: bool,
}

impl Session {
    /// Sends a request. Keep what is sent before the next read below the size of a pipe (16 KiB), else both sides wait.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        interrupt::check()?;
        let sent = self.stdin.as_mut().map(|stdin| stdin.write_all(request));
        sent.unwrap_or(Ok(())).map_err(|e| self.broken(&e.to_string()))
    }

    /// Its answers.
    pub fn answers(&mut self) -> &mut BufReader<ChildStdout> {
        &mut self.stdout
    }

    /// Whether an answer broke off or made no sense.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The error for an answer that breaks off or makes no sense.
    pub fn broken(&mut self, why: &str) -> Error {
        self.broken = true;
        Error::failed(format!("`{}` gave no usable answer", self.command)).cause(why)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // With its input closed it has nothing to do and ends by itself.
        drop(self.stdin.take());
        if interrupt::raised() {
            end_group(&mut self.child, false);
        }
        let code = self.child.wait().ok().and_then(|status| status.code());
        let kind = Work::Process { code };
        let took = self.started.elapsed();
        self.report.ended(&Ended { what: &self.command, start: self.start, took, kind, bytes: 0 });
    }
}

/// Sleeps unless the user wants to stop.
pub fn sleep(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
