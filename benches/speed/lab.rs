//! The server, the environment and the stopwatch: measures contenders in turn.

use crate::repos::{self, Kind, Repo, Size, copy_tree};
use crate::server::{GitServer, Latency, LatencyProxy, Options};
use crate::table::{Counts, Race, Row};
use crate::{Flags, Scope, memory};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Ours,
    /// Ours where the store has everything already.
    Again,
    Today,
    Limit,
    Other,
}

type Step<'a> = Box<dyn Fn() -> Result<(), Failure> + 'a>;
type TimedStep<'a> = Box<dyn Fn(&Run) -> Result<(), Failure> + 'a>;

/// One thing that is measured: `run` and the sample are timed, `prepare` and `check` are not.
pub struct Contender<'a> {
    pub name: String,
    pub role: Role,
    pub prepare: Step<'a>,
    pub run: TimedStep<'a>,
    pub sample: Option<Sample<'a>>,
    pub check: Step<'a>,
}

/// What takes too long to be done for all: it is done once, for some of them after `run`, and counts for all.
pub struct Sample<'a> {
    pub times: f64,
    pub run: TimedStep<'a>,
}

impl<'a> Contender<'a> {
    /// Something that needs no preparation, no check and no sample; give it what it needs instead.
    pub fn new(name: impl Into<String>, run: impl Fn(&Run) -> Result<(), Failure> + 'a) -> Self {
        Self {
            name: name.into(),
            role: Role::Other,
            prepare: Box::new(|| Ok(())),
            run: Box::new(run),
            sample: None,
            check: Box::new(|| Ok(())),
        }
    }
}

/// The server, and a folder for everything.
pub struct Lab<'a> {
    pub flags: &'a Flags,
    pub server: GitServer,
    proxies: HashMap<u64, LatencyProxy>,
    /// Where repos that were made are kept.
    cache: PathBuf,
    dir: tempfile::TempDir,
    /// The most memory that the program under test had in the last watched run.
    peak: Cell<Option<u64>>,
}

impl<'a> Lab<'a> {
    /// Starts a server without repos.
    pub fn start(flags: &'a Flags) -> Result<Self, Failure> {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-repos");
        fs::create_dir_all(&cache)?;
        let dir = tempfile::tempdir_in(&cache)?;
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("static"))?;
        let server = GitServer::start(&root, Options::default());
        let rtts = || flags.single.rtts.iter().chain(&flags.fleet.rtts);
        let proxy = |&rtt: &u64| (rtt, LatencyProxy::start(server.port(), Latency::https(rtt, flags.mbit)));
        let proxies = rtts().filter(|&&rtt| rtt > 0).map(proxy).collect();
        let lab = Self { flags, server, proxies, cache, dir, peak: Cell::default() };
        fs::create_dir(lab.path("home"))?;
        for &rtt in rtts().chain([&0]) {
            let config = format!(
                "[user]\n\tname = bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n\
                 [url \"http://127.0.0.1:{}/\"]\n\tinsteadOf = https://github.com/\n",
                lab.port(rtt)
            );
            fs::write(lab.path(&format!("gitconfig-{rtt}")), config)?;
        }
        let git = execute(Command::new("git").arg("--version"))?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{}, {cores} cores;", git.trim());
        println!("with a delay: {} Mbit/s, and a new connection costs two round trips more", flags.mbit);
        Ok(lab)
    }

    /// Serves a repo, which is made unless it was made before. A push changes it, so a copy is served.
    pub fn repo(&self, kind: Kind, size: Size) -> Result<Repo, Failure> {
        let mut repo = repos::make(&self.cache, kind, size)?;
        let served = self.path("root").join(format!("{}.git", repo.name));
        if !served.is_dir() {
            copy_tree(&repo.path, &served)?;
        }
        repo.path = served;
        Ok(repo)
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

    /// Runs the program under test in a code repo.
    pub fn assets(&self, run: &Run, code: &Path, args: &[&str]) -> Result<(), Failure> {
        let mut command = self.command(run, code, &self.flags.binary, args);
        if run.trace.is_some() {
            self.peak.set(memory::peak(&mut command)?);
            return Ok(());
        }
        execute(&mut command).map(drop)
    }

    /// Runs git with arguments that hold no spaces themselves; the answer is what it printed.
    pub fn git(&self, run: &Run, dir: &Path, line: &str) -> Result<String, Failure> {
        execute(&mut self.command(run, dir, "git", &line.split(' ').collect::<Vec<_>>()))
    }

    /// Measures `contenders` in turn at each round trip time and prints a table.
    pub fn race(&self, scope: &Scope, title: &str, contenders: &[Contender]) -> Race {
        let mut race = Race::start(title, scope.runs);
        for &rtt in &scope.rtts {
            let counted = contenders.iter().map(|contender| {
                // The table is printed at its end; whoever waits for it, or interrupts it, sees how far it is.
                eprint!("{title}: {}, {rtt} ms: ", contender.name);
                let start = Instant::now();
                let row = self.count(contender, rtt);
                eprintln!("counted in {:.1} s", start.elapsed().as_secs_f64());
                row
            });
            let mut rows: Vec<Result<Row, Failure>> = counted.collect();
            for _ in 0..scope.runs {
                for (contender, row) in contenders.iter().zip(&mut rows) {
                    let (Ok(counted), None) = (&mut *row, &contender.sample) else { continue };
                    match self.once(contender, rtt) {
                        Ok(seconds) => counted.seconds.push(seconds),
                        Err(failure) => *row = Err(failure),
                    }
                }
            }
            race.print(rtt, contenders, rows);
        }
        race
    }

    /// One run for the numbers of requests and processes; its time counts only for a sample.
    fn count(&self, contender: &Contender, rtt: u64) -> Result<Row, Failure> {
        let trace = tempfile::tempdir_in(self.dir.path())?;
        let run = Run { rtt, trace: Some(trace.path()) };
        self.peak.set(None);
        (contender.prepare)()?;
        let seconds = self.time(&contender.run, run)?;
        let counts = self.counts(contender, trace.path())?;
        let mut row = Row { seconds: Vec::new(), counts, peak: self.peak.get() };
        if let Some(sample) = &contender.sample {
            let trace = tempfile::tempdir_in(self.dir.path())?;
            let sampled = self.time(&sample.run, Run { rtt, trace: Some(trace.path()) })?;
            row.seconds.push(seconds + sampled * sample.times);
            row.counts.add(&self.counts(contender, trace.path())?, sample.times);
        }
        (contender.check)()?;
        Ok(row)
    }

    /// One run for its time.
    fn once(&self, contender: &Contender, rtt: u64) -> Result<f64, Failure> {
        (contender.prepare)()?;
        let seconds = self.time(&contender.run, Run { rtt, trace: None })?;
        (contender.check)()?;
        Ok(seconds)
    }

    fn time(&self, step: &TimedStep, run: Run) -> Result<f64, Failure> {
        // What the preparation wrote shall not slow the syncs of the run.
        let _ = Command::new("sync").status();
        self.server.reset_log();
        let start = Instant::now();
        step(&run)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// What the server and the traces tell about the last step.
    fn counts(&self, contender: &Contender, trace: &Path) -> Result<Counts, Failure> {
        if self.flags.log {
            for request in self.server.requests() {
                let (line, up, down) = (request.line(), request.request_bytes, request.response_bytes);
                eprintln!("{}: {line} up {up} down {down}", contender.name);
            }
        }
        let (started, processes) = count_traces(trace)?;
        let totals = self.server.totals();
        Ok(Counts {
            requests: totals.requests as f64,
            connections: totals.connections as f64,
            bytes_down: totals.bytes_down as f64,
            started: started as f64,
            processes: processes as f64,
        })
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

/// Runs a command to its end; the answer is what it printed.
pub fn execute(command: &mut Command) -> Result<String, Failure> {
    let output = command.output();
    finished(command, output)
}

/// What a command that has ended printed, if it succeeded.
pub fn finished(command: &Command, output: io::Result<Output>) -> Result<String, Failure> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line = words.join(OsStr::new(" ")).display().to_string();
    let output = output.map_err(|error| format!("`{line}`: {error}"))?;
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

/// Moves a folder out of the way, if it is there, and empties its files. It is deleted when all is measured: ext4 does
/// not use inodes that were deleted in the last minutes, and whoever writes thousands of files then waits for its search
/// of others.
pub fn set_aside(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    let trash = path.with_extension("trash");
    fs::create_dir_all(&trash)?;
    let moved = trash.join(fs::read_dir(&trash)?.count().to_string());
    fs::rename(path, &moved)?;
    Ok(empty_files(&moved)?)
}

fn empty_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            empty_files(&path)?;
        } else if kind.is_file() && fs::File::create(&path).is_err() {
            // Git's packs are read-only.
            fs::remove_file(&path)?;
        }
    }
    Ok(())
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
