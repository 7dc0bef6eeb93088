//! Remotes that refuse, fail, break off, lie or are gone; and the kinds of remote there are.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::pushing::{BRANCH, Stage, recorded};
use crate::support::server::{ALWAYS, Fault, GitServer, Options};
use crate::support::{CodeRepo, World, with_every_git, write};

/// A code repo with `sdk/a` at the first commit over HTTP, restored, with a pending change; and a cold one beside it.
fn warm_and_cold(world: &World) -> (Stage<'_>, CodeRepo) {
    let stage = Stage::served(world);
    stage.record(&[("one.json", "mine\n")]);
    let cold = world.code_repo("cold");
    cold.branch_manifest("sdk/a", &stage.url(), &stage.base);
    (stage, cold)
}

/// Restores into a cache of its own, so that the network is needed.
fn restore_cold(code: &CodeRepo) -> crate::support::Run {
    let cache = code.path.join("../cold-cache").to_string_lossy().into_owned();
    code.assets_with(&[("ASSETS_CACHE_DIR", &cache)], ["restore", "sdk/a"])
}

/// Restore and push fail with these exit codes and words, and nothing changes.
fn fails_whole(fault: Fault, exit_codes: [i32; 2], says: &[&str]) {
    with_every_git(|world| {
        let (stage, cold) = warm_and_cold(world);
        stage.server().set_fault(fault.clone());
        let (before, cold_before) = (stage.state(), cold.snapshot());
        let restored = restore_cold(&cold).fails(exit_codes[0]).says("cannot ");
        let pushed = stage.push().fails(exit_codes[1]).says("cannot push `sdk/a/assets.json`");
        for word in says {
            assert!(restored.stderr.contains(word) && pushed.stderr.contains(word), "{restored:#?} {pushed:#?}");
        }
        assert_eq!((restored.stdout, pushed.stdout), Default::default());
        assert!(cold.checkouts().is_empty());
        assert!(before == stage.state() && cold_before == cold.snapshot());
        // Nothing that is left behind stands in the way of the next try.
        stage.server().set_fault(Fault::None);
        restore_cold(&cold).ok();
        assert_eq!(recorded(&cold, "one.json"), "one\n");
        stage.push().ok();
        stage.is_settled();
    });
}

fn status(code: u16, times: u32) -> Fault {
    Fault::Status { code, retry_after: None, times }
}

#[test]
fn unauthorized() {
    fails_whole(status(401, ALWAYS), [4, 4], &["GIT_TOKEN", "git ls-remote http://127.0.0.1:"]);
}

#[test]
fn forbidden() {
    fails_whole(status(403, ALWAYS), [4, 4], &["403", "GIT_TOKEN"]);
}

#[test]
fn not_found() {
    fails_whole(status(404, ALWAYS), [1, 1], &["not found", "check `AssetsRepo`"]);
}

#[test]
fn captive_portal() {
    fails_whole(Fault::CaptivePortal, [5, 5], &["assets repo `http://127.0.0.1:"]);
}

#[test]
fn a_captive_portal_is_no_empty_repo() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    stage.code.manifest("sdk/a", &format!("{{\"AssetsRepo\": \"{}\"}}", stage.url()));
    stage.server().set_fault(Fault::CaptivePortal);
    let run = stage.code.assets(["restore", "sdk/a"]);
    assert!(matches!(run.code, Some(1 | 5)), "{run:#?}");
    assert!(stage.code.checkouts().is_empty());
}

#[test]
fn passing_failures_are_waited_out() {
    with_every_git(|world| {
        let (stage, cold) = warm_and_cold(world);
        stage.server().set_fault(status(503, 1));
        restore_cold(&cold).ok();
        stage.server().set_fault(status(502, 1));
        stage.push().ok();
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
    });
}

#[test]
fn a_rate_limit_is_waited_out() {
    let world = World::new();
    let (stage, cold) = warm_and_cold(&world);
    stage.server().set_fault(Fault::Status { code: 429, retry_after: Some(1), times: 1 });
    restore_cold(&cold).ok();
    stage.server().set_fault(Fault::Status { code: 429, retry_after: Some(1), times: 1 });
    stage.push().ok();
    assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
}

#[test]
fn a_connection_cut_once_is_made_again() {
    with_every_git(|world| {
        let (stage, cold) = warm_and_cold(world);
        for bytes in [0, 50, 400, 700, 1000] {
            let _ = std::fs::remove_dir_all(world.root().join("cold-cache"));
            let _ = std::fs::remove_dir_all(cold.path.join(".assets"));
            stage.server().set_fault(Fault::CutAfter { bytes, times: 1 });
            restore_cold(&cold).ok();
            assert_eq!(recorded(&cold, "one.json"), "one\n");
        }
        for (n, bytes) in [0, 50, 200].into_iter().enumerate() {
            stage.record(&[("one.json", &format!("mine {n}\n"))]);
            stage.server().set_fault(Fault::CutAfter { bytes, times: 1 });
            stage.push().ok();
            stage.server().set_fault(Fault::None);
            assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
            let commits = stage.repo.git(["rev-list", "--count", &format!("{}..{BRANCH}", stage.base)]).ok().stdout;
            assert_eq!(commits.trim(), (n + 1).to_string());
        }
        stage.is_settled();
    });
}

#[test]
fn a_connection_that_is_always_cut_leaves_the_work_tree_alone() {
    let world = World::new();
    let stage = Stage::served(&world);
    let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
    stage.code.branch_manifest("sdk/a", &stage.url(), &newer);
    stage.record(&[("new.json", "pending\n")]);
    let before = stage.state();
    // The commit arrives, its files never do.
    let posts = AtomicU32::new(0);
    stage.server().on_request(move |request| {
        let late = request.method == "POST" && posts.fetch_add(1, Ordering::SeqCst) >= 1;
        late.then_some(Fault::CutAfter { bytes: 0, times: 1 })
    });
    stage.code.assets(["restore", "sdk/a"]).fails(5).says("check the network");
    assert!(before == stage.state(), "the work tree was touched before the network was done");
    stage.server().on_request(|_| None);
    stage.code.assets(["restore", "sdk/a"]).ok();
    assert_eq!(recorded(&stage.code, "one.json"), "newer\n");
}

#[test]
fn nobody_listens() {
    let world = World::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &format!("http://127.0.0.1:{port}/assets.git"), &"1".repeat(40));
    code.assets(["restore", "sdk/a"]).fails(5).says("Failed to connect to 127.0.0.1").says("check the network");
    assert!(code.checkouts().is_empty());
}

/// Every one of hundreds would wait as long as the first.
#[test]
fn a_silent_remote_is_waited_for_once() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.code.branch_manifest("sdk/b", &stage.url(), &stage.base);
    stage.code.assets(["restore", "sdk/b"]).ok();
    stage.record(&[("one.json", "mine\n")]);
    let tried = |args: &[&str]| {
        stage.server().reset_log();
        stage.server().set_fault(Fault::CutAfter { bytes: 0, times: ALWAYS });
        let run = stage.code.assets(args).fails(5).says("cannot push `sdk/a/assets.json`");
        stage.server().set_fault(Fault::None);
        (run, stage.server().requests().len())
    };
    let (_, alone) = tried(&["push", "sdk/a"]);
    // Whose recordings nobody changed need no remote.
    let (run, requests) = tried(&["push", "sdk/a", "sdk/b"]);
    run.says("nothing to push for `sdk/b/assets.json`");
    assert_eq!(requests, alone);
    write(&stage.code.only_checkout().join("recordings/sdk/b/one.json"), "mine too\n");
    let (run, requests) = tried(&["push", "sdk/a", "sdk/b"]);
    run.says("cannot push `sdk/b/assets.json`").says("did not answer the push before this one");
    assert_eq!(requests, alone);
    assert!(alone > 0);
    stage.code.assets(["push", "sdk/a", "sdk/b"]).ok();
}

#[test]
fn what_the_remote_does_not_have() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let url = stage.url();
        let commit = "1".repeat(40);
        let branches = "\"AssetsRepoBranch\": \"gone\", \"AssetsRepoFallbackBranch\": \"never\"";
        let table = [
            (format!("{{\"AssetsRepo\": \"{url}\", \"SHA\": \"{commit}\"}}"), vec![&commit[..], "check `SHA`"]),
            (
                format!("{{\"AssetsRepo\": \"{url}\", \"Tag\": \"py/x_1\", \"TagPrefix\": \"py/x\"}}"),
                vec!["`py/x_1`", "check `Tag`"],
            ),
            (format!("{{\"AssetsRepo\": \"{url}\", {branches}}}"), vec!["`gone`", "`never`"]),
            (
                format!("{{\"AssetsRepo\": \"{url}x\", \"SHA\": \"{commit}\"}}"),
                vec!["assets.gitx", "not found", "check `AssetsRepo`"],
            ),
        ];
        for (manifest, says) in table {
            stage.code.manifest("sdk/a", &manifest);
            let run = stage.code.assets(["restore", "sdk/a"]).fails(1);
            for text in says {
                assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
            }
            assert!(run.stderr.contains("caused by") && run.stderr.contains("hint: "), "{}", run.stderr);
            assert!(stage.code.checkouts().is_empty());
        }
    });
}

#[test]
fn a_branch_whose_fallback_is_gone_too() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    stage.code.manifest(
        "sdk/a",
        &format!(
            "{{\"AssetsRepo\": \"{}\", \"SHA\": \"{}\", \"AssetsRepoFallbackBranch\": \"never\", \
             \"AssetsRepoPrefixPath\": \"recordings\"}}",
            stage.url(),
            stage.base
        ),
    );
    stage.code.assets(["restore", "sdk/a"]).ok();
    stage.record(&[("one.json", "mine\n")]);
    // The pin is known: what is pushed is put on top of it.
    let pin = stage.base.clone();
    stage.push().ok();
    assert_eq!(stage.repo.rev("auto/a"), Some(stage.sha()));
    assert_eq!(stage.repo.rev("auto/a^"), Some(pin));
}

#[test]
fn redirects_are_followed_without_a_token() {
    with_every_git(|world| {
        let (stage, cold) = warm_and_cold(world);
        let target = GitServer::start(world.root(), Options::default());
        stage.server().set_fault(Fault::RedirectTo(target.url()));
        restore_cold(&cold).ok();
        assert_eq!(recorded(&cold, "one.json"), "one\n");
        stage.push().ok();
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        assert!(target.totals().requests > 0);
    });
}

#[test]
fn a_file_url() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.code.branch_manifest("sdk/a", &format!("file://{}", stage.path()), &stage.base);
        restores_and_pushes(&stage);
    });
}

fn restores_and_pushes(stage: &Stage) {
    stage.code.assets(["restore", "sdk/a"]).ok();
    assert_eq!(recorded(&stage.code, "one.json"), "one\n");
    stage.record(&[("one.json", "mine\n")]);
    stage.push().ok();
    assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
    stage.is_settled();
}

#[cfg(unix)]
#[test]
fn a_git_daemon() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (root, git) = (world.root().to_path_buf(), world.root().join("bin/git"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // One daemon for each connection, until the one that says nothing.
                for stream in listener.incoming().map(Result::unwrap) {
                    if stream.peek(&mut [0]).unwrap() == 0 {
                        break;
                    }
                    let output = std::os::fd::OwnedFd::from(stream.try_clone().unwrap());
                    let mut daemon = Command::new(&git);
                    daemon.args(["daemon", "--inetd", "--export-all", "--enable=receive-pack"]);
                    daemon.arg(format!("--base-path={}", root.display())).arg(&root);
                    daemon.stdin(std::os::fd::OwnedFd::from(stream)).stdout(output).stderr(Stdio::null());
                    daemon.spawn().unwrap().wait().unwrap();
                }
            });
            let end = Ending(port);
            stage.code.branch_manifest("sdk/a", &format!("git://127.0.0.1:{port}/assets.git"), &stage.base);
            restores_and_pushes(&stage);
            drop(end);
        });
    });
}

/// Ends the accepting thread when the test is over, however it ends.
struct Ending(u16);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(std::net::TcpStream::connect(("127.0.0.1", self.0)));
    }
}

#[test]
fn what_is_in_the_store_needs_no_remote() {
    with_every_git(|world| {
        let (stage, cold) = warm_and_cold(world);
        std::fs::rename(&stage.repo.path, world.root().join("gone.git")).unwrap();
        stage.server().reset_log();
        cold.assets(["restore", "sdk/a"]).ok(); // with the cache that the other clone filled
        assert_eq!(recorded(&cold, "one.json"), "one\n");
        assert_eq!(stage.server().totals().requests, 0);
        let before = stage.state_of_code();
        stage.push().fails(1).says("not found");
        assert!(before == stage.state_of_code());
    });
}
