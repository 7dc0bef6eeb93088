//! How long `assets` takes, beside today's sequence of git commands and the least that a network allows.
//!
//! `cargo bench --bench speed -- [--quick] [--only cold-tags,cold-many-tags,cold-mono,noop,push,fleet]
//! [--rtt 0,40] [--mbit 200] [--runs 5] [--packages 40] [--files 60] [--bytes 22000] [--pushes 3]
//! [--extra-tags 20000] [--binary PATH] [--log]`
//!
//! It makes its repos itself (once, kept below `target/tmp`) and serves them on loopback, directly
//! and through a proxy that adds round trips and a line rate. What is compared is run in turn
//! within one run, so compare ratios. The page cache is warm, the disk is real.
//!
//! - *git fetch, git checkout*: the least that git can do, in a git directory written by hand
//! - *limit*: one request for a tar of exactly the needed files, unpacked while it comes (`curl | tar`)
//! - *today*: the git commands of the test proxy that `assets` replaces, without the proxy itself
//! - *git*: the git processes that the program started / and all that came of them
//!
//! `fleet`, all packages in one command, runs only when it is asked for.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[path = "speed/lab.rs"]
mod lab;
#[path = "speed/repos.rs"]
mod repos;
#[path = "../tests/it/support/server.rs"]
mod server;

use lab::{Contender, Failure, Lab, Role, Run, STILL, execute, median, remove};
use repos::{Package, Repo, Size};
use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match Flags::parse(std::env::args().skip(1)).and_then(|flags| bench(&flags)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} rows failed");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what was asked for; the answer is how many rows failed.
fn bench(flags: &Flags) -> Result<usize, Failure> {
    let lab = Lab::start(flags)?;
    let [tags, many, mono] = &lab.repos[..] else {
        return Err("three repos expected".into());
    };
    // One of the last, so that its commit is the tip of its service's branch; it has no large file.
    let last = |repo: &'_ Repo| repo.packages.len() - 3.min(repo.packages.len() / 4);
    let one = |repo, form| Subject { repo, package: &repo.packages[last(repo)], form };
    let (tags, many, mono) = (one(tags, Form::Tag), one(many, Form::Tag), one(mono, Form::Branch));
    let mut failed = 0;
    if flags.wants("cold-tags") {
        failed += cold(&lab, "one package cold, a repo of per-package tags", tags)?;
    }
    if flags.wants("cold-many-tags") {
        failed += cold(&lab, &format!("the same with {} more tags", flags.size.extra_tags), many)?;
    }
    if flags.wants("cold-mono") {
        let title = "one package cold, a repo whose every commit holds all packages";
        failed += cold(&lab, title, mono)?;
    }
    if flags.wants("noop") {
        failed += noop(&lab, &[("one package, tag form", vec![tags]), ("one package, branch form", vec![mono])])?;
    }
    if flags.wants("push") {
        failed += push(&lab, tags, mono)?;
    }
    if flags.only.iter().any(|only| only == "fleet") {
        for (name, subject) in [("tag form", tags), ("branch form", mono)] {
            let all = subject.repo.packages.iter().map(|package| Subject { package, ..subject }).collect();
            failed += fleet(&lab, &format!("{} packages cold, {name}", subject.repo.packages.len()), &all)?;
            failed += noop(&lab, &[(&format!("all packages, {name}"), all)])?;
        }
    }
    Ok(failed)
}

/// What the command line asks for.
pub struct Flags {
    only: Vec<String>,
    rtts: Vec<u64>,
    mbit: u64,
    runs: usize,
    noop_runs: usize,
    size: Size,
    binary: PathBuf,
    log: bool,
}

impl Flags {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut flags = Self {
            only: Vec::new(),
            rtts: vec![0, 40],
            mbit: 200,
            runs: 5,
            noop_runs: 300,
            size: Size { packages: 40, files: 60, bytes: 22_000, pushes: 3, extra_tags: 20_000 },
            binary: env!("CARGO_BIN_EXE_assets").into(),
            log: false,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{flag}` needs a value"));
            match flag.as_str() {
                "--bench" => {} // cargo says so
                "--quick" => {
                    (flags.runs, flags.noop_runs) = (1, 30);
                    flags.size = Size { packages: 8, files: 20, extra_tags: 2000, ..flags.size };
                }
                "--log" => flags.log = true,
                "--only" => flags.only = value()?.split(',').map(str::to_owned).collect(),
                "--rtt" => flags.rtts = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--mbit" => flags.mbit = value()?.parse()?,
                "--runs" => flags.runs = value()?.parse::<usize>()?.max(1),
                "--packages" => flags.size.packages = value()?.parse::<usize>()?.max(4),
                "--files" => flags.size.files = value()?.parse::<usize>()?.max(3),
                "--bytes" => flags.size.bytes = value()?.parse()?,
                "--pushes" => flags.size.pushes = value()?.parse::<usize>()?.max(1),
                "--extra-tags" => flags.size.extra_tags = value()?.parse()?,
                "--binary" => flags.binary = fs::canonicalize(value()?)?,
                _ => return Err(format!("unknown flag `{flag}`").into()),
            }
        }
        Ok(flags)
    }

    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }
}

/// The two ways in which a manifest names a commit.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Tag,
    Branch,
}

/// A package as a manifest asks for it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    repo: &'a Repo,
    package: &'a Package,
    form: Form,
}

impl Subject<'_> {
    /// Where the manifest is in the code repo.
    fn path(&self) -> String {
        format!("{}/assets.json", self.package.code_path())
    }

    fn manifest(&self) -> String {
        let Package { service, name, commit, tag } = self.package;
        let pin = match self.form {
            Form::Tag => {
                format!("\"TagPrefix\": \"python/{service}/{name}\",\n  \"Tag\": \"{tag}\"")
            }
            Form::Branch => {
                format!("\"AssetsRepoBranch\": \"auto/{service}\",\n  \"SHA\": \"{commit}\"")
            }
        };
        let repo = self.repo.name;
        format!("{{\n  \"AssetsRepo\": \"{repo}\",\n  \"AssetsRepoPrefixPath\": \"python\",\n  {pin}\n}}\n")
    }

    fn url(&self) -> String {
        format!("https://github.com/{}.git", self.repo.name)
    }
}

/// Makes the code repo with these manifests, and nothing restored or cached.
fn fresh_code(lab: &Lab, subjects: &[Subject]) -> Result<(), Failure> {
    let code = lab.path("code");
    remove(&code)?;
    remove(&lab.path("cache"))?;
    for subject in subjects {
        let file = code.join(subject.path());
        fs::create_dir_all(file.parent().unwrap_or(&code))?;
        fs::write(file, subject.manifest())?;
    }
    for line in ["init -q", "add .", "commit -q -m code"] {
        lab.git(&STILL, &code, line)?;
    }
    Ok(())
}

/// The folder in the checkout where the package's recordings are.
fn restored(lab: &Lab, package: &Package) -> Result<PathBuf, Failure> {
    for entry in fs::read_dir(lab.path("code").join(".assets"))? {
        let slice = entry?.path().join(package.slice_path());
        if slice.is_dir() {
            return Ok(slice);
        }
    }
    Err(format!("no checkout shows `{}`", package.slice_path()).into())
}

fn expect_files(lab: &Lab, packages: usize, folder: &Path) -> Result<(), Failure> {
    let (found, wanted) = (recordings(folder)?.len(), lab.flags.size.files * packages);
    if found == wanted { Ok(()) } else { Err(format!("{found} recordings instead of {wanted}").into()) }
}

/// What the test proxy does to restore.
fn todays_restore(lab: &Lab, run: &Run, subject: Subject) -> Result<(), Failure> {
    let (dir, url, tag) = (lab.path("today"), subject.url(), &subject.package.tag);
    fs::create_dir_all(&dir)?;
    for line in [
        &format!("clone -q -c core.longpaths=true --no-checkout --filter=tree:0 {url} ."),
        "config --local core.safecrlf false",
        "sparse-checkout init",
        &format!("remote set-url origin {url}"),
        &format!("fetch -q origin refs/tags/{tag}:refs/tags/{tag}"),
        &format!("sparse-checkout set --no-cone {} eng/ .gitignore", subject.package.slice_path()),
        &format!("-c advice.detachedHead=false checkout -q {tag}"),
        &format!("remote set-url origin {url}"),
    ] {
        lab.git(run, &dir, line)?;
    }
    Ok(())
}

/// The least that git itself can do: one fetch into a git directory written by hand, and one checkout.
fn bare_restore(lab: &Lab, run: &Run, subject: Subject) -> Result<(), Failure> {
    let (dir, slice) = (lab.path("bare"), subject.package.slice_path());
    for folder in ["objects/pack", "refs", "info"] {
        fs::create_dir_all(dir.join(".git").join(folder))?;
    }
    let mut cone = String::from("/*\n!/*/\n");
    for (end, _) in slice.match_indices('/') {
        cone.push_str(&format!("/{0}/\n!/{0}/*/\n", &slice[..end]));
    }
    cone.push_str(&format!("/{slice}/\n"));
    let (filter, partial) = match subject.form {
        Form::Tag => ("", ""),
        Form::Branch => (
            "--filter=blob:none ",
            "promisor = true\npartialclonefilter = blob:none\n[extensions]\npartialClone = origin\n",
        ),
    };
    let config = format!(
        "[core]\nrepositoryformatversion = 1\nbare = false\nsparseCheckout = true\nsparseCheckoutCone = true\n\
         [fetch]\nnegotiationAlgorithm = noop\nunpackLimit = 1\n[remote \"origin\"]\nurl = {}\n{partial}",
        subject.url()
    );
    for (name, text) in [("HEAD", "ref: refs/heads/none\n"), ("info/sparse-checkout", &cone), ("config", &config)] {
        fs::write(dir.join(".git").join(name), text)?;
    }
    let (want, show) = match subject.form {
        Form::Tag => (format!("refs/tags/{0}:refs/tags/{0}", subject.package.tag), &subject.package.tag),
        Form::Branch => (subject.package.commit.clone(), &subject.package.commit),
    };
    let flags = "-q --depth=1 --no-tags --no-write-fetch-head --no-auto-maintenance";
    lab.git(run, &dir, &format!("fetch {flags} {filter}origin {want}"))?;
    lab.git(run, &dir, &format!("checkout -q --detach {show}"))?;
    Ok(())
}

/// What the test proxy does to push.
fn todays_push(lab: &Lab, run: &Run, subject: Subject) -> Result<(), Failure> {
    let dir = lab.path("today");
    let git = |line: &str| lab.git(run, &dir, line);
    let point = format!("remote set-url origin {}", subject.url());
    git("status --porcelain")?;
    git(&point)?;
    git("branch pushed")?;
    git("diff --output=../changes.patch --binary --ignore-submodules HEAD")?;
    git("checkout -q pushed")?;
    git("diff --cached --name-only")?;
    git("apply --check --reverse ../changes.patch")?;
    git("add -A .")?;
    git("commit -q -m update")?;
    let tag = format!("python/x_{}", &git("rev-parse HEAD")?[..10]);
    git(&format!("ls-remote origin --tags refs/tags/{tag}"))?;
    git(&format!("tag {tag}"))?;
    git(&format!("push -q origin tag {tag}"))?;
    git(&point)?;
    Ok(())
}

fn cold(lab: &Lab, title: &str, subject: Subject) -> Result<usize, Failure> {
    let (manifest, slice) = (subject.path(), subject.package.slice_path());
    let today = lab.path("today");
    let ours = Contender {
        name: "assets restore",
        role: Role::Ours,
        prepare: Box::new(|| fresh_code(lab, &[subject])),
        run: Box::new(|run| lab.assets(run, &["restore", &manifest])),
        check: Box::new(|| expect_files(lab, 1, &restored(lab, subject.package)?)),
    };
    let todays = Contender {
        name: "today",
        role: Role::Today,
        prepare: Box::new(|| remove(&today)),
        run: Box::new(|run| todays_restore(lab, run, subject)),
        check: Box::new(|| expect_files(lab, 1, &today.join(&slice))),
    };
    let bare = lab.path("bare");
    let bares = Contender {
        name: "git fetch, git checkout",
        role: Role::Bare,
        prepare: Box::new(|| remove(&bare)),
        run: Box::new(|run| bare_restore(lab, run, subject)),
        check: Box::new(|| expect_files(lab, 1, &bare.join(&slice))),
    };
    lab.race(title, &[ours, todays, bares, limit(lab, &[subject])?])
}

/// All packages with one command. Today's way would be its sequence once for each of them.
fn fleet(lab: &Lab, title: &str, subjects: &Vec<Subject>) -> Result<usize, Failure> {
    let ours = Contender {
        name: "assets restore --all",
        role: Role::Ours,
        prepare: Box::new(|| fresh_code(lab, subjects)),
        run: Box::new(|run| lab.assets(run, &["restore", "--all"])),
        check: Box::new(|| {
            subjects.iter().try_for_each(|subject| expect_files(lab, 1, &restored(lab, subject.package)?))
        }),
    };
    lab.race(title, &[ours, limit(lab, subjects)?])
}

/// One request for a ready-made archive of exactly these packages.
fn limit<'a>(lab: &'a Lab, subjects: &[Subject]) -> Result<Contender<'a>, Failure> {
    let (folder, count) = (lab.path("limit"), subjects.len());
    // The archive is of today's restore, as it were: the packages side by side, each at its commit.
    let staged = lab.path("staged");
    remove(&staged)?;
    for subject in subjects {
        let (to, from) = (staged.join(subject.package.slice_path()), subject.repo.path.display());
        fs::create_dir_all(&to)?;
        let tree = format!("{}:{}", subject.package.commit, subject.package.slice_path());
        let tar = lab.path("package.tar");
        lab.git(&STILL, &to, &format!("--git-dir={from} archive --format=tar -o {} {tree}", tar.display()))?;
        execute(Command::new("tar").arg("xf").arg(tar).arg("-C").arg(to))?;
    }
    let archive = lab.path("root/static/limit.tar.gz");
    execute(Command::new("tar").arg("czf").arg(archive).arg("-C").arg(staged).arg("."))?;
    let (removed, checked) = (folder.clone(), folder.clone());
    Ok(Contender {
        name: "limit",
        role: Role::Limit,
        prepare: Box::new(move || remove(&removed)),
        run: Box::new(move |run| unpack(lab.port(run.rtt), "/static/limit.tar.gz", &folder)),
        check: Box::new(move || expect_files(lab, count, &checked)),
    })
}

fn push(lab: &Lab, tags: Subject, mono: Subject) -> Result<usize, Failure> {
    // Other packages of the service were pushed to the branch after this one.
    let first = mono.repo.packages.iter().find(|package| package.service == mono.package.service);
    let behind = Subject { package: first.unwrap_or(mono.package), ..mono };
    let number = &Cell::new(0);
    let todays = Contender {
        name: "today",
        role: Role::Today,
        prepare: Box::new(move || {
            forget_pushes(&tags.repo.path)?;
            remove(&lab.path("today"))?;
            todays_restore(lab, &STILL, tags)?;
            change(&lab.path("today").join(tags.package.slice_path()), number)
        }),
        run: Box::new(move |run| todays_push(lab, run, tags)),
        check: Box::new(move || expect_push(&tags.repo.path)),
    };
    let contenders = [
        our_push(lab, "assets push, tag form", tags, number),
        our_push(lab, "assets push, branch form", mono, number),
        our_push(lab, "the same, the branch moved on", behind, number),
        todays,
    ];
    lab.race("push of 3 changed recordings", &contenders)
}

fn our_push<'a>(lab: &'a Lab, name: &'static str, subject: Subject<'a>, number: &'a Cell<u32>) -> Contender<'a> {
    Contender {
        name,
        role: Role::Ours,
        prepare: Box::new(move || {
            forget_pushes(&subject.repo.path)?;
            fresh_code(lab, &[subject])?;
            lab.assets(&STILL, &["restore", &subject.path()])?;
            change(&restored(lab, subject.package)?, number)
        }),
        run: Box::new(move |run| lab.assets(run, &["push", &subject.path(), "-m", "bench"])),
        check: Box::new(move || {
            if fs::read_to_string(lab.path("code").join(subject.path()))? == subject.manifest() {
                return Err("the manifest still names the old commit".into());
            }
            expect_push(&subject.repo.path)
        }),
    }
}

/// A restore when everything is restored already, beside programs that do nothing at all.
fn noop(lab: &Lab, subjects: &[(&str, Vec<Subject>)]) -> Result<usize, Failure> {
    println!("\n### nothing to do\n");
    println!("| | ms | min | x `git --version` | programs started |\n|---|---|---|---|---|");
    let (code, mut failed) = (lab.path("code"), 0);
    for (name, subjects) in subjects {
        fresh_code(lab, subjects)?;
        let manifest = subjects[0].path();
        let what = if subjects.len() == 1 { &manifest } else { "--all" };
        let ours = || lab.command(&STILL, &code, &lab.flags.binary, &["restore", what]);
        let version = || lab.command(&STILL, &code, "git", &["--version"]);
        let nothing = || lab.command(&STILL, &code, "true", &[]);
        let name = format!("assets restore, {name}");
        if let Err(failure) = execute(&mut ours()) {
            failed += 1;
            println!("| {name} | failed | | | |");
            eprintln!("{name}: {failure}");
            continue;
        }
        lab.server.reset_log();
        let programs: [(&str, &dyn Fn() -> Command); 3] =
            [(&name, &ours), ("git --version", &version), ("true", &nothing)];
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..lab.flags.noop_runs {
            for ((name, program), times) in programs.iter().zip(&mut times) {
                let mut command = program();
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let start = Instant::now();
                let status = command.status()?;
                times.push(start.elapsed().as_secs_f64() * 1000.0);
                if !status.success() {
                    return Err(format!("{name}: {status}").into());
                }
            }
        }
        let reference = median(&times[1]);
        for ((name, program), times) in programs.iter().zip(&times) {
            let (middle, least) = (median(times), times.iter().copied().fold(f64::INFINITY, f64::min));
            let started = lab.programs_started(&program()).map_or("?".to_owned(), |count| count.to_string());
            println!("| {name} | {middle:.2} | {least:.2} | {:.2} | {started} |", middle / reference);
        }
        let requests = lab.server.totals().requests;
        if requests > 0 {
            failed += 1;
            eprintln!("{name}: {requests} requests although there was nothing to do");
        }
    }
    Ok(failed)
}

/// All `.json` files below a folder, sorted.
fn recordings(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(recordings(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Changes three recordings as a new test run would, never twice in the same way.
fn change(slice: &Path, number: &Cell<u32>) -> Result<(), Failure> {
    number.set(number.get() + 1);
    for file in recordings(slice)?.iter().take(3) {
        let text = fs::read_to_string(file)?;
        fs::write(file, text.replacen("GMT", &format!("GMT+{}", number.get()), 2))?;
    }
    Ok(())
}

/// Takes back what was pushed: the repo's own refs are packed, so every loose one came with a push.
fn forget_pushes(repo: &Path) -> Result<(), Failure> {
    for kind in ["refs/heads", "refs/tags"] {
        remove(&repo.join(kind))?;
        fs::create_dir_all(repo.join(kind))?;
    }
    Ok(())
}

fn expect_push(repo: &Path) -> Result<(), Failure> {
    let mut folders = vec![repo.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                return Ok(());
            }
            folders.push(entry.path());
        }
    }
    Err("the remote has no new ref".into())
}

/// Fetches a compressed tar with one request and unpacks it while it comes: `curl | tar`, as a script would, or where
/// there is no curl without one.
fn unpack(port: u16, target: &str, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    if which::which("curl").is_ok() {
        let mut script = Command::new("sh");
        script.args(["-c", "curl -sf \"$0\" | tar xz -C \"$1\""]);
        return execute(script.arg(format!("http://127.0.0.1:{port}{target}")).arg(folder)).map(drop);
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::with_capacity(64 * 1024, stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(line.into());
    }
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut tar = Command::new("tar").args(["xz", "-C"]).arg(folder).stdin(Stdio::piped()).spawn()?;
    io::copy(&mut answer, &mut tar.stdin.take().expect("a pipe"))?;
    if tar.wait()?.success() { Ok(()) } else { Err("tar failed".into()) }
}
