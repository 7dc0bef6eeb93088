//! A command that is killed with SIGKILL: which of the processes that it leaves behind still keep its locks.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::pushing::{BRANCH, Stage};
use crate::support::pty::wait_until;
use crate::support::server::{Fault, Gate};
use crate::support::{World, gits, snapshot, with_every_git, write};

/// More than any other process needs to end: a failure when the lock is still kept, and no measure of time.
const PATIENCE: &str = "--lock-timeout=20";

/// A credential helper that leaves a process behind, as git's `credential-cache` does: it lives for minutes with every
/// handle that it inherited. Ended when this is dropped.
struct Helper<'a> {
    world: &'a World,
}

impl<'a> Helper<'a> {
    fn set_up(stage: &Stage<'a>) -> Helper<'a> {
        let world = stage.world;
        stage.server().set_access(Gate::password("secret"), Gate::password("secret"));
        let daemons = world.root().join("daemons");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = get ] || exit 0\nsleep 300 < /dev/null > /dev/null 2>&1 &\n\
             echo $! >> '{}'\necho username=u\necho password=secret\n",
            daemons.display()
        );
        executable(&world.root().join("bin/helper"), &script);
        let helper = world.root().join("bin/helper");
        let config = std::fs::read_to_string(world.root().join("home/.gitconfig")).unwrap();
        world.write("home/.gitconfig", format!("{config}[credential]\n\thelper = {}\n", helper.display()));
        Helper { world }
    }

    /// The processes that it left behind and that live.
    fn daemons(&self) -> Vec<rustix::process::Pid> {
        let text = std::fs::read_to_string(self.world.root().join("daemons")).unwrap_or_default();
        let pids = text.lines().filter_map(|line| rustix::process::Pid::from_raw(line.parse().ok()?));
        pids.filter(|pid| rustix::process::test_kill_process(*pid).is_ok()).collect()
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        for pid in self.daemons() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn executable(file: &Path, script: &str) {
    let _ = std::fs::remove_file(file);
    write(file, script);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed");
}

/// Hangs the first request with credentials that is one of these.
fn hang_first(stage: &Stage, service: &'static str) {
    let hung = AtomicBool::new(false);
    stage.server().on_request(move |request| {
        let is_it = request.method == "POST" && request.service.as_deref() == Some(service);
        (is_it && request.had_authorization() && !hung.swap(true, Ordering::SeqCst)).then_some(Fault::Hang)
    });
}

fn has_hung(stage: &Stage, service: &str) -> bool {
    let of = |request: &crate::support::server::Request| {
        request.method == "POST" && request.service.as_deref() == Some(service) && request.had_authorization()
    };
    stage.server().requests().iter().any(of)
}

/// The lanes of the only store.
fn lanes(world: &World) -> usize {
    let stores = std::fs::read_dir(world.root().join("cache/stores")).unwrap().map(|entry| entry.unwrap().path());
    let lanes = stores.map(|store| store.join("lanes")).find(|lanes| lanes.exists()).unwrap();
    std::fs::read_dir(lanes).unwrap().count()
}

#[test]
fn a_credential_daemon_keeps_no_lock_of_a_killed_restore() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
        let helper = Helper::set_up(&stage);
        hang_first(&stage, "git-upload-pack");
        let child = stage.code.command(&[], ["restore", "sdk/a"]).spawn().unwrap();
        wait_until(|| has_hung(&stage, "git-upload-pack"));
        kill(child);
        assert!(!helper.daemons().is_empty());
        // The fetch of the killed command still waits for its answer, in a lane that nobody takes away from it.
        stage.code.assets(["restore", PATIENCE, "sdk/a"]).ok();
        assert_eq!(lanes(world), 1);
        let shown = stage.code.only_checkout().join("recordings/sdk/a/one.json");
        assert_eq!(std::fs::read_to_string(shown).unwrap(), "one\n");
        stage.code.assets(["gc", "--yes", PATIENCE]).ok();
        assert!(!helper.daemons().is_empty(), "it ended, so it could not have kept a lock");
        // With the processes the lane goes, at the next download.
        drop(helper);
        stage.server().set_access(Gate::Open, Gate::Open);
        let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
        stage.code.branch_manifest("sdk/a", &stage.url(), &newer);
        stage.code.assets(["restore", "sdk/a"]).ok();
    });
}

#[test]
fn a_credential_daemon_keeps_no_lock_of_a_killed_push() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let helper = Helper::set_up(&stage);
        stage.record(&[("one.json", "mine\n")]);
        hang_first(&stage, "git-receive-pack");
        let child = stage.code.command(&[], ["push", "sdk/a"]).spawn().unwrap();
        wait_until(|| has_hung(&stage, "git-receive-pack"));
        kill(child);
        assert!(!helper.daemons().is_empty());
        stage.code.assets(["push", PATIENCE, "sdk/a"]).ok();
        assert_eq!(Some(stage.sha()), stage.repo.rev(BRANCH));
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json").as_deref(), Some("mine\n"));
        stage.code.assets(["gc", "--yes", PATIENCE]).ok();
        assert!(!helper.daemons().is_empty(), "it ended, so it could not have kept a lock");
    });
}

#[test]
fn a_git_that_writes_files_keeps_the_lock_of_a_killed_restore() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
    stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
    // A git that takes its time to write files.
    let [waiting, go] = ["waiting", "go"].map(|name| world.root().join(name));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in read-tree*-u*)\n  touch '{}'\n  n=0\n  while [ ! -e '{}' ] && [ $n -lt 1200 ]; do \
         sleep 0.05; n=$((n + 1)); done;;\nesac\nexec '{}' \"$@\"\n",
        waiting.display(),
        go.display(),
        gits()[0].display()
    );
    executable(&world.root().join("bin/git"), &script);
    let child = stage.code.command(&[], ["restore", "sdk/a"]).spawn().unwrap();
    wait_until(|| waiting.exists());
    kill(child);
    let before = snapshot(&stage.code.only_checkout());
    stage.code.assets(["restore", "--lock-timeout=0", "sdk/a"]).fails(5).says("did not finish within 0 s");
    assert!(snapshot(&stage.code.only_checkout()) == before);
    write(&go, "");
    stage.code.assets(["restore", PATIENCE, "sdk/a"]).ok();
    let shown = stage.code.only_checkout().join("recordings/sdk/a/one.json");
    assert_eq!(std::fs::read_to_string(shown).unwrap(), "newer\n");
}
