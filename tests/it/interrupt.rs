//! Ctrl-C and termination while something is waited for: the exit code, no process left, nothing changed, and a rerun
//! that succeeds.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::time::Instant;

use rustix::process::{Pid, Signal};

use crate::support::pty::wait_until;
use crate::support::server::{Fault, GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, World, finish, says_progress, snapshot, with_every_git, write};

const FILE: &str = "recordings/sdk/a/a.json";
const INTERRUPTED: &str = "\
error: interrupted
hint: run the same command again: it goes on where this one stopped
";

struct Served {
    server: GitServer,
    repo: AssetsRepo,
    code: CodeRepo,
}

fn served(world: &World) -> Served {
    let repo = world.assets_repo("assets");
    let sha = repo.commit("main", &[(FILE, "one\n")]);
    let server = GitServer::start(world.root(), Options::default());
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &format!("{}/assets.git", server.url()), &sha);
    Served { server, repo, code }
}

impl Served {
    /// Restores, then moves the pin to a new commit.
    fn move_on(&self) {
        self.code.assets(["restore", "sdk/a"]).ok();
        let sha = self.repo.commit("main", &[(FILE, &"two\n".repeat(100_000))]);
        self.code.branch_manifest("sdk/a", &self.url(), &sha);
        self.server.reset_log();
    }

    fn url(&self) -> String {
        format!("{}/assets.git", self.server.url())
    }

    fn start<const N: usize>(&self, args: [&str; N]) -> Child {
        self.code.command(&[("TEST_MARK", &self.mark())], args).spawn().unwrap()
    }

    /// What the processes that were started here have in their environment, and no other.
    fn mark(&self) -> String {
        self.code.path.to_string_lossy().into_owned()
    }

    #[track_caller]
    fn stop(&self, child: Child, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
        let run = finish(child).fails(130);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", INTERRUPTED));
        assert_eq!(processes_with(&format!("TEST_MARK={}", self.mark())), Vec::<String>::new(), "left over");
    }

    fn recordings(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = snapshot(&self.code.path);
        // A download that broke off may leave packs; what is shown and what is pinned may not change.
        files.retain(|path, _| !path.contains(".git/objects/"));
        files
    }
}

/// The command lines of the processes with this in their environment, without those that are killed already. Only
/// Linux tells.
fn processes_with(variable: &str) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        // Looked at first: who is gone by then has no environment.
        let is_killed = is_killed(&process.path());
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if !is_killed && environment.split(|&b| b == 0).any(|part| part == variable.as_bytes()) {
            let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&words).replace('\0', " "));
        }
    }
    found
}

/// Whether a process has a SIGKILL waiting for it, which is also how Linux hands on what ends a whole process. On a loaded
/// machine it takes a while to go. (`SigPnd` and `ShdPnd` of proc(5), in hexadecimal.)
fn is_killed(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let sets = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    let kill = 1 << (Signal::KILL.as_raw() - 1);
    sets.map(|set| u64::from_str_radix(set.trim(), 16).expect("a set of signals")).any(|set| set & kill != 0)
}

#[test]
fn while_it_fetches() {
    with_every_git(|world| {
        let served = served(world);
        served.move_on();
        let before = served.recordings();
        for (signal, fault) in [(Signal::INT, Fault::Hang), (Signal::TERM, Fault::StallAfter { bytes: 2_000 })] {
            served.server.reset_log();
            served.server.set_fault(fault);
            let child = served.start(["restore", "sdk/a"]);
            wait_until(|| !served.server.requests().is_empty());
            assert!(
                !cfg!(target_os = "linux") || processes_with(&format!("TEST_MARK={}", served.mark())).len() > 1,
                "no git is seen, so none could be missed"
            );
            served.stop(child, signal);
            assert!(served.recordings() == before, "something was changed");
        }
        served.server.set_fault(Fault::None);
        served.code.assets(["restore", "sdk/a"]).ok();
        let file = served.code.only_checkout().join(FILE);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "two\n".repeat(100_000));
    });
}

#[test]
fn while_it_fetches_the_first_time() {
    with_every_git(|world| {
        let served = served(world);
        served.server.set_fault(Fault::Hang);
        let child = served.start(["restore", "sdk/a"]);
        wait_until(|| !served.server.requests().is_empty());
        served.stop(child, Signal::INT);
        assert_eq!(served.code.checkouts(), Vec::<String>::new());
        served.server.set_fault(Fault::None);
        served.code.assets(["restore", "sdk/a"]).ok();
    });
}

#[test]
fn while_it_pushes() {
    with_every_git(|world| {
        let served = served(world);
        served.code.assets(["restore", "sdk/a"]).ok();
        write(&served.code.only_checkout().join(FILE), "mine\n");
        for signal in [Signal::INT, Signal::TERM] {
            served.server.reset_log();
            served.server.set_fault(Fault::Hang);
            let (shown, manifest) = (work_tree(&served.code), served.code.read("sdk/a/assets.json"));
            let child = served.start(["push", "sdk/a"]);
            wait_until(|| served.server.requests().iter().any(|request| request.is_push()));
            served.stop(child, signal);
            assert!(work_tree(&served.code) == shown, "a recording was changed");
            assert_eq!(served.code.read("sdk/a/assets.json"), manifest);
            assert_eq!(served.repo.rev("refs/heads/auto/a"), None);
        }
        served.server.set_fault(Fault::None);
        served.code.assets(["push", "sdk/a"]).ok();
        let pushed = served.repo.rev("refs/heads/auto/a").expect("the branch is there");
        assert_eq!(served.code.pin("sdk/a", "SHA"), pushed);
        assert_eq!(served.repo.file(&pushed, FILE).as_deref(), Some("mine\n"));
    });
}

#[test]
fn after_the_remote_took_the_push() {
    with_every_git(|world| {
        let served = served(world);
        served.code.assets(["restore", "sdk/a"]).ok();
        write(&served.code.only_checkout().join(FILE), "mine\n");
        // The commit arrives and is stored, and its answer never comes back.
        served.server.on_request(|request| {
            (request.is_push() && request.method == "POST").then_some(Fault::StallAfter { bytes: 0 })
        });
        let child = served.start(["push", "sdk/a"]);
        wait_until(|| served.repo.rev("refs/heads/auto/a").is_some());
        served.stop(child, Signal::TERM);
        let pushed = served.repo.rev("refs/heads/auto/a");
        served.server.on_request(|_| None);
        served.code.assets(["push", "sdk/a"]).ok();
        assert_eq!(served.repo.rev("refs/heads/auto/a"), pushed, "it was sent twice");
        assert_eq!(Some(served.code.pin("sdk/a", "SHA")), pushed);
        let checkout = served.code.only_checkout();
        assert_eq!(served.code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout, "");
    });
}

fn work_tree(code: &CodeRepo) -> BTreeMap<String, Vec<u8>> {
    snapshot(&code.only_checkout().join("recordings"))
}

/// The lock of the only checkout, held as another `assets` would hold it.
fn hold_lock(code: &CodeRepo) -> File {
    let name = code.checkouts().pop().unwrap();
    let path = code.path.join(".assets/.locks").join(name);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.lock().unwrap();
    std::fs::write(&path, "assets push sdk/b (process 123)").unwrap();
    file
}

#[test]
fn while_it_waits_for_a_lock() {
    let world = World::new();
    let served = served(&world);
    served.move_on();
    // What it needs is in the store already, so that the lock is all that it can wait for.
    let other = world.code_repo("other");
    other.branch_manifest("sdk/a", &served.url(), &served.code.pin("sdk/a", "SHA"));
    other.assets(["restore", "sdk/a"]).ok();
    let _lock = hold_lock(&served.code);
    for signal in [Signal::INT, Signal::TERM] {
        let (shown, log, started) = (work_tree(&served.code), world.root().join("stderr"), Instant::now());
        let mut command = served.code.command(&[("ASSETS_NO_PROGRESS", "0")], ["restore", "sdk/a"]);
        let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        // Off a terminal it says after a while for whom it waits.
        wait_until(|| std::fs::read_to_string(&log).is_ok_and(|text| text.contains("waiting for")));
        rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let said = std::fs::read_to_string(&log).unwrap();
        let (first, rest) = said.split_once('\n').expect("a line of progress");
        says_progress(first, "waiting for `assets push sdk/b (process 123)`", started);
        assert_eq!(rest, INTERRUPTED);
        assert!(work_tree(&served.code) == shown, "something was changed");
    }
    drop(_lock);
    served.code.assets(["restore", "sdk/a"]).ok();
}

#[test]
fn a_lock_timeout_names_the_holder() {
    let world = World::new();
    let served = served(&world);
    served.move_on();
    let lock = hold_lock(&served.code);
    let path = served.code.path.join(".assets/.locks").join(served.code.checkouts().pop().unwrap());
    for (env, args) in [
        (vec![], vec!["restore", "sdk/a", "--lock-timeout", "0"]),
        (vec![("ASSETS_LOCK_TIMEOUT", "0")], vec!["restore", "sdk/a"]),
    ] {
        let run = served.code.assets_with(&env, args).fails(5);
        let expected = format!(
            "error: `assets push sdk/b (process 123)` did not finish within 0 s
  caused by: it holds the lock `{}`
hint: try again, or wait longer with `--lock-timeout <seconds>`
",
            path.display()
        );
        assert_eq!((run.stdout.as_str(), run.stderr), ("", expected));
    }
    drop(lock);
    served.code.assets(["restore", "sdk/a"]).ok();
}
