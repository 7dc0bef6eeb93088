//! The server, the environment and the stopwatch: measures contenders in turn and prints what they took.

use crate::Flags;
use crate::repos::{self, Repo, copy_tree};
use crate::server::{GitServer, Latency, LatencyProxy, Options, Totals};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What a step fails with: a text for the reader.
pub type Failure = Box<dyn std::error::Error>;

/// A run without delays that nobody watches, for preparations.
pub const STILL: Run = Run { rtt: 0, trace: None };

/// The network that a run sees, and where its git processes are to leave their traces.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub rtt: u64,
    pub trace: Option<&'a Path>,
}

/// What a contender is compared as.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    Ours,
    Today,
    Bare,
    Limit,
}

type Step<'a> = Box<dyn Fn() -> Result<(), Failure> + 'a>;
type TimedStep<'a> = Box<dyn Fn(&Run) -> Result<(), Failure> + 'a>;

/// One thing that is measured: `run` is timed, `prepare` and `check` are not.
pub struct Contender<'a> {
    pub name: &'static str,
    pub role: Role,
    pub prepare: Step<'a>,
    pub run: TimedStep<'a>,
    pub check: Step<'a>,
}

/// A row of the table.
struct Row {
    seconds: Vec<f64>,
    totals: Totals,
    started: usize,
    processes: usize,
}

/// The repos, their server, and a folder for everything else.
pub struct Lab<'a> {
    pub flags: &'a Flags,
    pub repos: Vec<Repo>,
    pub server: GitServer,
    proxies: HashMap<u64, LatencyProxy>,
    dir: tempfile::TempDir,
}

impl<'a> Lab<'a> {
    /// Makes the repos unless they were made before, and serves a copy of them.
    pub fn start(flags: &'a Flags) -> Result<Self, Failure> {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-repos");
        fs::create_dir_all(&cache)?;
        let (made, mut repos) = repos::make(&cache, flags.size)?;
        // A push changes its repo, so what was made is copied.
        let dir = tempfile::tempdir_in(&cache)?;
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("static"))?;
        for repo in &mut repos {
            let path = root.join(repo.path.strip_prefix(&made)?);
            copy_tree(&repo.path, &path)?;
            repo.path = path;
        }
        let server = GitServer::start(&root, Options::default());
        let slow = flags.rtts.iter().filter(|&&rtt| rtt > 0);
        let proxy = |&rtt: &u64| (rtt, LatencyProxy::start(server.port(), Latency::https(rtt, flags.mbit)));
        let proxies = slow.map(proxy).collect();
        let lab = Self { flags, repos, server, proxies, dir };
        fs::create_dir(lab.path("home"))?;
        for &rtt in flags.rtts.iter().chain([&0]) {
            let config = format!(
                "[user]\n\tname = bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n\
                 [url \"http://127.0.0.1:{}/\"]\n\tinsteadOf = https://github.com/\n",
                lab.port(rtt)
            );
            fs::write(lab.path(&format!("gitconfig-{rtt}")), config)?;
        }
        let git = execute(Command::new("git").arg("--version"))?;
        let (git, size, runs) = (git.trim(), &flags.size, flags.runs);
        println!("{git}; {} packages of {} files; median of {runs} runs;", size.packages, size.files);
        println!("with a delay: {} Mbit/s, and a new connection costs two round trips more", flags.mbit);
        Ok(lab)
    }

    /// A path in the lab's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The port where the server is that far away.
    pub fn port(&self, rtt: u64) -> u16 {
        self.proxies.get(&rtt).map_or(self.server.port(), LatencyProxy::port)
    }

    /// A program in an environment that holds only what the lab decides.
    pub fn command(&self, run: &Run, dir: &Path, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.path("home"));
        command.env("GIT_CONFIG_GLOBAL", self.path(&format!("gitconfig-{}", run.rtt)));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        command.env("ASSETS_CACHE_DIR", self.path("cache"));
        command.env("GIT_COMMIT_OWNER", "bench").env("GIT_COMMIT_EMAIL", "bench@example.com");
        if let Some(trace) = run.trace {
            command.env("GIT_TRACE2_EVENT", trace);
        }
        command
    }

    /// Runs the program under test in the code repo.
    pub fn assets(&self, run: &Run, args: &[&str]) -> Result<(), Failure> {
        execute(&mut self.command(run, &self.path("code"), &self.flags.binary, args)).map(drop)
    }

    /// Runs git with arguments that hold no spaces themselves; the answer is what it printed.
    pub fn git(&self, run: &Run, dir: &Path, line: &str) -> Result<String, Failure> {
        execute(&mut self.command(run, dir, "git", &line.split(' ').collect::<Vec<_>>()))
    }

    /// Measures `contenders` in turn at each round trip time and prints a table; the answer is how many failed.
    pub fn race(&self, title: &str, contenders: &[Contender]) -> Result<usize, Failure> {
        let mut failed = 0;
        println!("\n### {title}\n");
        println!("| | rtt | seconds | min-max | x limit | x today | requests | connections | git | MB down |");
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for &rtt in &self.flags.rtts {
            let counted = contenders.iter().map(|contender| self.count(contender, rtt));
            let mut rows: Vec<Result<Row, Failure>> = counted.collect();
            for _ in 0..self.flags.runs {
                for (contender, row) in contenders.iter().zip(&mut rows) {
                    let Ok(counted) = row else { continue };
                    match self.once(contender, Run { rtt, trace: None }) {
                        Ok(seconds) => counted.seconds.push(seconds),
                        Err(failure) => *row = Err(failure),
                    }
                }
            }
            let reference = |role| {
                let found = contenders.iter().zip(&rows).find(|(contender, _)| contender.role == role);
                found.and_then(|(_, row)| row.as_ref().ok()).map(|row| median(&row.seconds))
            };
            let (limit, today) = (reference(Role::Limit), reference(Role::Today));
            for (contender, row) in contenders.iter().zip(&rows) {
                match row {
                    Ok(row) => row.print(contender.name, rtt, limit, today),
                    Err(failure) => {
                        failed += 1;
                        println!("| {} | {rtt} | failed | | | | | | | |", contender.name);
                        eprintln!("{}: {failure}", contender.name);
                    }
                }
            }
        }
        Ok(failed)
    }

    /// One run for the numbers of requests and processes; its time does not count.
    fn count(&self, contender: &Contender, rtt: u64) -> Result<Row, Failure> {
        let trace = tempfile::tempdir_in(self.dir.path())?;
        self.once(contender, Run { rtt, trace: Some(trace.path()) })?;
        let totals = self.server.totals();
        if self.flags.log {
            for request in self.server.requests() {
                let (line, up, down) = (request.line(), request.request_bytes, request.response_bytes);
                eprintln!("{}: {line} up {up} down {down}", contender.name);
            }
        }
        let (started, processes) = count_traces(trace.path())?;
        Ok(Row { seconds: Vec::new(), totals, started, processes })
    }

    fn once(&self, contender: &Contender, run: Run) -> Result<f64, Failure> {
        (contender.prepare)()?;
        // What the preparation wrote shall not slow the syncs of the run.
        let _ = Command::new("sync").status();
        self.server.reset_log();
        let start = Instant::now();
        (contender.run)(&run)?;
        let seconds = start.elapsed().as_secs_f64();
        (contender.check)()?;
        Ok(seconds)
    }

    /// How many programs a command starts, itself included, if `strace` can tell.
    pub fn programs_started(&self, command: &Command) -> Option<usize> {
        let file = self.path("strace");
        let mut traced = self.command(&STILL, command.get_current_dir()?, "strace", &[]);
        traced.args(["-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-o"]).arg(&file);
        traced.arg(command.get_program()).args(command.get_args());
        execute(&mut traced).ok()?;
        Some(fs::read_to_string(file).ok()?.lines().filter(|line| line.ends_with("= 0")).count())
    }
}

impl Row {
    fn print(&self, name: &str, rtt: u64, limit: Option<f64>, today: Option<f64>) {
        let middle = median(&self.seconds);
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        let ratio = |to: Option<f64>| to.map_or("-".to_owned(), |seconds| format!("{:.2}", middle / seconds));
        let Totals { requests, connections, bytes_down, .. } = self.totals;
        println!(
            "| {name} | {rtt} | {middle:.3} | {least:.3}-{most:.3} | {} | {} | {requests} | {connections} | {} / {} | {:.3} |",
            ratio(limit),
            ratio(today),
            self.started,
            self.processes,
            bytes_down as f64 / 1e6
        );
    }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a command to its end; the answer is what it printed.
pub fn execute(command: &mut Command) -> Result<String, Failure> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line = words.join(OsStr::new(" ")).display().to_string();
    let output = command.output().map_err(|error| format!("`{line}`: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{line}`: {}\n{}", output.status, message.trim_end()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Counts the git processes that left a trace: those started from outside of git, and all.
fn count_traces(folder: &Path) -> Result<(usize, usize), Failure> {
    let (mut started, mut all) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap_or("{}"))?;
        all += 1;
        // A child's id is its parent's, a slash and its own.
        started += usize::from(first["sid"].as_str().is_some_and(|id| !id.contains('/')));
    }
    Ok((started, all))
}
