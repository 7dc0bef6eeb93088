//! A small world for one test: assets repos, code repos, a home, a cache and a git, all in a temporary directory.
#![allow(dead_code)] // each module needs another part of it

pub mod fleet;
#[cfg(unix)]
pub mod pty;
pub mod server;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

/// The program under test.
pub const ASSETS: &str = env!("CARGO_BIN_EXE_assets");

/// Everything one test needs; gone when it is dropped.
pub struct World {
    temp: TempDir,
    root: PathBuf,
}

/// A bare assets repo with a work tree to commit from.
pub struct AssetsRepo {
    /// The bare repository.
    pub path: PathBuf,
    seed: PathBuf,
    env: Vec<(String, String)>,
}

/// A code repo.
pub struct CodeRepo {
    pub path: PathBuf,
    env: Vec<(String, String)>,
}

/// What a finished program said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The gits of this machine, one path for each version: `PATH`'s first, then the system's own.
pub fn gits() -> Vec<PathBuf> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]) {
        let git = folder.join("git");
        let Ok(output) = Command::new(&git).arg("--version").output() else { continue };
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        if !found.iter().any(|(known, _)| *known == version) {
            found.push((version, git));
        }
    }
    found.into_iter().map(|(_, git)| git).collect()
}

/// Runs a test in a world of its own for each git of this machine.
pub fn with_every_git(test: impl Fn(&World)) {
    for git in gits() {
        println!("git: {}", git.display()); // shown if the test fails
        test(&World::with_git(&git));
    }
}

impl World {
    /// A world with the first git of `PATH`.
    pub fn new() -> World {
        World::with_git(&gits()[0])
    }

    /// A world in which `git` is this one.
    pub fn with_git(git: &Path) -> World {
        let temp = TempDir::new().expect("temporary directory");
        let root = dunce_canonical(temp.path());
        for folder in ["bin", "home", "tmp"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(git, root.join("bin/git")).unwrap();
        let world = World { temp, root };
        world.write(
            "home/.gitconfig",
            "[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n",
        );
        world
    }

    /// The directory that holds it all.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file below the root.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.root.join(path), content);
    }

    /// The whole environment of the programs that are run here.
    pub fn env(&self) -> Vec<(String, String)> {
        let below = |name: &str| self.root.join(name).to_string_lossy().into_owned();
        [
            ("PATH", format!("{}:/usr/bin:/bin", below("bin"))),
            ("HOME", below("home")),
            ("TMPDIR", below("tmp")),
            ("ASSETS_CACHE_DIR", below("cache")),
            // This machine may have one.
            ("ASSETS_SECRET_SCANNER", "none".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z".into()),
            ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z".into()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }

    /// A new, bare assets repo `<name>.git`, served with filters and open to pushes.
    pub fn assets_repo(&self, name: &str) -> AssetsRepo {
        let path = self.root.join(format!("{name}.git"));
        let seed = self.root.join(format!("{name}-seed"));
        let repo = AssetsRepo { path, seed, env: self.env() };
        run(&self.root, &repo.env, "git", ["init", "-q", "--bare", &repo.path.to_string_lossy()]).ok();
        for (key, value) in [("uploadpack.allowFilter", "true"), ("http.receivepack", "true"), ("gc.auto", "0")] {
            run(&repo.path, &repo.env, "git", ["config", key, value]).ok();
        }
        run(&self.root, &repo.env, "git", ["init", "-q", &repo.seed.to_string_lossy()]).ok();
        repo.git_in_seed(["remote", "add", "origin", &repo.path.to_string_lossy()]).ok();
        repo
    }

    /// A new code repo with one commit.
    pub fn code_repo(&self, name: &str) -> CodeRepo {
        self.code_repo_named(OsStr::new(name))
    }

    /// The same, with a name that may be no text.
    pub fn code_repo_named(&self, name: &OsStr) -> CodeRepo {
        let path = self.root.join(name);
        let repo = CodeRepo { path, env: self.env() };
        run(&self.root, &repo.env, "git", [OsStr::new("init"), OsStr::new("-q"), repo.path.as_os_str()]).ok();
        repo.write("README.md", "code\n");
        repo.commit("first");
        repo
    }
}

impl AssetsRepo {
    /// Commits files (an empty content deletes) on a branch and pushes it; returns the commit. The branch starts from
    /// where the seed stands when it is new.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let exists = self.git_in_seed(["rev-parse", "-q", "--verify", &format!("refs/heads/{branch}")]).code == Some(0);
        let is_first = self.git_in_seed(["rev-parse", "-q", "--verify", "HEAD"]).code != Some(0);
        if is_first {
            self.git_in_seed(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).ok();
        } else if exists {
            // Others may have pushed.
            self.git_in_seed(["fetch", "-q", "origin"]).ok();
            self.git_in_seed(["checkout", "-q", branch]).ok();
            self.git_in_seed(["reset", "-q", "--hard", &format!("origin/{branch}")]).ok();
        } else {
            self.git_in_seed(["checkout", "-q", "-b", branch]).ok();
        }
        for (path, content) in files {
            let file = self.seed.join(path);
            if content.is_empty() { std::fs::remove_file(file).unwrap() } else { write(&file, content) }
        }
        self.git_in_seed(["add", "-A", "-f"]).ok();
        self.git_in_seed(["commit", "-q", "--allow-empty", "-m", "recordings"]).ok();
        self.git_in_seed(["push", "-q", "origin", branch]).ok();
        self.git_in_seed(["rev-parse", "HEAD"]).ok().stdout.trim().to_string()
    }

    /// Tags a commit (any revision) on the remote.
    pub fn tag(&self, name: &str, revision: &str) {
        self.git_in_seed(["tag", name, revision]).ok();
        self.git_in_seed(["push", "-q", "origin", &format!("refs/tags/{name}")]).ok();
    }

    /// Runs git in the bare repository.
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        run(&self.path, &self.env, "git", args)
    }

    /// The content of a file at a revision; none when it is not there.
    pub fn file(&self, revision: &str, path: &str) -> Option<String> {
        let shown = self.git(["show", &format!("{revision}:{path}")]);
        (shown.code == Some(0)).then_some(shown.stdout)
    }

    /// The commit of a full ref name on the remote; none when it does not exist.
    pub fn rev(&self, name: &str) -> Option<String> {
        let found = self.git(["rev-parse", "-q", "--verify", name]);
        (found.code == Some(0)).then(|| found.stdout.trim().to_string())
    }

    /// The work tree that commits are made in.
    pub fn seed(&self) -> &Path {
        &self.seed
    }

    fn git_in_seed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        run(&self.seed, &self.env, "git", args)
    }
}

impl CodeRepo {
    /// Writes `<folder>/assets.json`.
    pub fn manifest(&self, folder: &str, text: &str) {
        self.write(&format!("{folder}/assets.json"), text);
    }

    /// Writes a manifest in the branch form, with the prefix `recordings`.
    pub fn branch_manifest(&self, folder: &str, assets_repo: &str, sha: &str) {
        let text = format!(
            "{{\n  \"AssetsRepo\": \"{assets_repo}\",\n  \"AssetsRepoPrefixPath\": \"recordings\",\n  \"SHA\": \"{sha}\"\n}}\n"
        );
        self.manifest(folder, &text);
    }

    /// Writes a manifest in the tag form, with the prefix `recordings` and the tag prefix `py/<folder>`.
    pub fn tag_manifest(&self, folder: &str, assets_repo: &str, tag: &str) {
        let text = format!(
            "{{\n  \"AssetsRepo\": \"{assets_repo}\",\n  \"AssetsRepoPrefixPath\": \"recordings\",\n  \"TagPrefix\": \"py/{folder}\",\n  \"Tag\": \"{tag}\"\n}}\n"
        );
        self.manifest(folder, &text);
    }

    /// The value of a key of a manifest.
    pub fn pin(&self, folder: &str, key: &str) -> String {
        let text = self.read(&format!("{folder}/assets.json"));
        let value: serde_json::Value = serde_json::from_str(&text).expect("the manifest is JSON");
        value[key].as_str().unwrap_or_default().to_string()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.path.join(path), content);
    }

    pub fn read(&self, path: &str) -> String {
        let file = self.path.join(path);
        std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(["add", "-A"]).ok();
        self.git(["commit", "-q", "-m", message]).ok();
    }

    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        run(&self.path, &self.env, "git", args)
    }

    /// Runs `assets` at the root of the code repo, without a terminal.
    pub fn assets<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.assets_with(&[], args)
    }

    /// The same with more environment.
    pub fn assets_with<S: AsRef<OsStr>>(&self, env: &[(&str, &str)], args: impl IntoIterator<Item = S>) -> Run {
        finish(self.command(env, args).spawn().expect("assets starts"))
    }

    /// `assets` as a command that is yet to be started, with its outputs piped. What it says does not depend on how long
    /// it takes: lines of progress are for terminals, and the tests in them.
    pub fn command<S: AsRef<OsStr>>(&self, env: &[(&str, &str)], args: impl IntoIterator<Item = S>) -> Command {
        let mut command = command(&self.path, &self.env, ASSETS, args);
        command.env("ASSETS_NO_PROGRESS", "1").envs(env.iter().copied());
        command
    }

    /// The environment that `assets` is run with.
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The checkout of an assets repo in the branch form: the only folder in `.assets` with a `.git`, or the one of
    /// this name.
    pub fn checkout(&self, name: &str) -> PathBuf {
        self.path.join(".assets").join(name)
    }

    /// The names of all checkouts.
    pub fn checkouts(&self) -> Vec<String> {
        let folder = self.path.join(".assets");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join(".git").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The only checkout there is.
    pub fn only_checkout(&self) -> PathBuf {
        let names = self.checkouts();
        assert_eq!(names.len(), 1, "one checkout expected: {names:?}");
        self.checkout(&names[0])
    }

    /// Runs git in a checkout, as a user would.
    pub fn git_in<S: AsRef<OsStr>>(&self, checkout: &Path, args: impl IntoIterator<Item = S>) -> Run {
        run(checkout, &self.env, "git", args)
    }

    /// Everything in the code repo but the assets folder, files of `.git` included: path and content.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = snapshot(&self.path);
        files.retain(|path, _| !path.starts_with(".assets/"));
        files
    }
}

impl Run {
    /// Expects success.
    #[track_caller]
    pub fn ok(self) -> Run {
        assert_eq!(self.code, Some(0), "failed\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "another exit code\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Expects a text in what it wrote to stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(self.stderr.contains(text), "`{text}` is not in stderr:\n{}", self.stderr);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in stdout:\n{}", self.stdout))
    }
}

/// Runs a program to its end.
pub fn run<S: AsRef<OsStr>>(
    dir: &Path,
    env: &[(String, String)],
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Run {
    finish(command(dir, env, program, args).spawn().expect("the program starts"))
}

/// Checks a line of progress of a program that was started not before `since`: `<what> (3 s)`, and no more than that.
#[track_caller]
pub fn says_progress(line: &str, what: &str, since: Instant) {
    let seconds = line.strip_prefix(what).and_then(|rest| rest.strip_prefix(" (")?.strip_suffix(" s)")?.parse().ok());
    assert!(seconds.is_some_and(|seconds: u64| seconds <= since.elapsed().as_secs()), "{line}");
}

/// Waits for a program.
pub fn finish(child: Child) -> Run {
    let output = child.wait_with_output().expect("the program ends");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn command<S: AsRef<OsStr>>(
    dir: &Path,
    env: &[(String, String)],
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Command {
    // `Command` looks a bare name up in our own PATH, not in the one it is given.
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str()).unwrap_or_default();
    let found = std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| program.into()));
    command.args(args).current_dir(dir).env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Every file below a directory with its content.
pub fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, top: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path, top, files);
            } else {
                files.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(dir, dir, &mut files);
    files
}

/// Writes a file and the folders above it.
pub fn write(file: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

fn dunce_canonical(path: &Path) -> PathBuf {
    path.canonicalize().expect("the temporary directory exists")
}
