//! `assets gc` beside work that is pending, put aside, half done or under way, and killed itself.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Scene, x_pin};
use crate::support::server::Fault;
use crate::support::{ASSETS, CodeRepo, World, finish, run, snapshot, with_every_git, write};

#[test]
fn nothing_goes_that_could_be_lost() {
    type Hands = fn(&Scene, &Path);
    let table: &[(&str, Hands)] = &[
        ("pending", |_, dir| write(&dir.join("recordings/sdk/x/1.json"), "mine")),
        ("new", |_, dir| write(&dir.join("recordings/sdk/x/new.json"), "mine")),
        ("deleted", |_, dir| std::fs::remove_file(dir.join("recordings/sdk/x/1.json")).unwrap()),
        ("stashed", |s, dir| {
            write(&dir.join("recordings/sdk/x/1.json"), "mine");
            s.code.assets(["reset", "-y", "sdk/x"]).ok();
        }),
        ("by hand", |s, dir| {
            write(&dir.join("recordings/sdk/x/1.json"), "mine");
            s.code.git_in(dir, ["commit", "-q", "-a", "-m", "by hand"]).ok();
        }),
        ("branch", |s, dir| drop(s.code.git_in(dir, ["branch", "mine"]).ok())),
        ("journal", |_, dir| write(&dir.join(".git/assets-journal"), "{}")),
        ("push", |_, dir| write(&dir.join(".git/assets-push-0123456789"), "{}")),
    ];
    let world = World::new();
    let s = Scene::restored(&world);
    for (case, hands) in table {
        for form in ["branch", "tag"] {
            // A slice goes out of a checkout without harm to other refs there.
            if (*case, form) == ("branch", "branch") {
                continue;
            }
            // A checkout of its own, so that each case stands alone.
            std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
            s.code.manifest(
                "sdk/x",
                &match form {
                    "tag" => {
                        format!(r#"{{"AssetsRepo": "{}", "AssetsRepoPrefixPath": "recordings", "Tag": "x0"}}"#, s.url)
                    }
                    _ => format!(
                        r#"{{"AssetsRepo": "{}", "AssetsRepoPrefixPath": "recordings", "SHA": "{}"}}"#,
                        s.url,
                        x_pin(&s)
                    ),
                },
            );
            s.restore();
            let dir = s.checkout_with("recordings/sdk/x");
            hands(&s, &dir);
            s.forget("x");
            let before = snapshot(&dir);
            s.code.assets(["gc", "--yes"]).ok();
            assert!(snapshot(&dir) == before, "{case} {form}");
            let _ = std::fs::remove_dir_all(s.code.path.join("sdk/x"));
        }
    }
}

#[test]
fn what_was_put_aside_comes_back_after_a_cleaning() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        // A stash entry on an older pin, of a content that only the store has.
        let other = std::fs::read(s.checkout().join("recordings/sdk/b/3.json")).unwrap();
        write(&s.checkout().join("recordings/sdk/a/3.json"), &other);
        write(&s.checkout().join("recordings/sdk/a/4.json"), "mine");
        for round in [1, 2] {
            s.pin("a", round);
            s.pin("b", round);
            s.tag("c", round);
            s.restore();
        }
        s.gc();
        let listed = s.code.assets(["stash", "list", "--json", "sdk/a"]).ok().json();
        assert_eq!(listed["results"][0]["entries"][0]["files"].as_array().unwrap().len(), 2, "{listed}");
        let popped = s.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        assert_eq!(popped.stdout, "recordings/sdk/a/3.json\nrecordings/sdk/a/4.json\n");
        assert!(std::fs::read(s.checkout().join("recordings/sdk/a/3.json")).unwrap() == other);
        assert_eq!(std::fs::read(s.checkout().join("recordings/sdk/a/4.json")).unwrap(), b"mine");
        assert_eq!(s.server.requests().len(), 0);
    });
}

#[test]
fn a_push_that_was_interrupted_is_finished_after_a_cleaning() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.pin("b", 2);
        s.tag("c", 1);
        s.restore();
        write(&s.checkout().join("recordings/sdk/a/new.json"), "mine");
        // The remote takes it, and from then on there is nobody to ask about it.
        let taken = AtomicBool::new(false);
        s.server.on_request(move |request| {
            let takes = request.method == "POST" && request.is_push() && !taken.swap(true, Ordering::SeqCst);
            match (takes, taken.load(Ordering::SeqCst)) {
                (true, _) => Some(Fault::DropPushAnswer { times: 1 }),
                (false, true) => Some(Fault::Status { code: 404, retry_after: None, times: 1 }),
                (false, false) => None,
            }
        });
        s.code.assets(["push", "sdk/a"]).fails(5);
        let pushed = s.repo.rev("refs/heads/auto/a");
        assert!(pushed.is_some());
        s.gc();
        s.server.on_request(|_| None);
        s.code.assets(["push", "sdk/a"]).ok();
        assert_eq!((Some(s.code.pin("sdk/a", "SHA")), s.repo.rev("refs/heads/auto/a")), (pushed.clone(), pushed));
    });
}

#[test]
fn a_killed_cleaning_leaves_everything_usable_and_the_next_completes_it() {
    if !Path::new("/usr/bin/strace").exists() {
        return;
    }
    let world = World::new();
    let s = Scene::restored(&world);
    s.code.commit("manifests");
    let second = world.root().join("second");
    let mut kills = 0;
    for (call, whens) in [("rename", 1..=8), ("unlink", 1..=9), ("unlinkat", 1..=3)] {
        for when in whens {
            let round = 1 + when % 2;
            s.pin("a", round);
            s.tag("c", round);
            x_pin(&s);
            s.code.tag_manifest("sdk/x", &s.url, "x0");
            s.restore();
            s.forget("x");
            kills += usize::from(killed_at(&world, &s, call, when));
            let state = format!("{call} {when}");
            // All that is pinned is whole: in the store, and where it is shown.
            s.server.reset_log();
            s.code.git(["add", "-A"]).ok();
            s.code.git(["commit", "-q", "--allow-empty", "-m", &state]).ok();
            let _ = std::fs::remove_dir_all(&second);
            s.code.git(["clone", "-q", ".", &second.to_string_lossy()]).ok();
            run(&second, s.code.env(), ASSETS, ["--offline", "restore", "--all"]).ok();
            std::fs::remove_dir_all(&second).unwrap();
            for name in s.code.checkouts().into_iter().filter(|name| !name.starts_with('.')) {
                assert_eq!(
                    s.code.git_in(&s.code.checkout(&name), ["status", "--porcelain"]).ok().stdout,
                    "",
                    "{state}"
                );
            }
            s.code.assets(["--offline", "restore", "--all"]).ok();
            s.code.assets(["gc", "--yes"]).ok();
            assert_eq!(s.server.requests().len(), 0, "{state}");
            assert_eq!(s.states(&[], "store"), [(s.url.clone(), "stays".into())], "{state}");
            assert!(s.states(&[], "left-over").is_empty(), "{state}");
            assert_eq!(s.shown().len(), 15, "{state}");
        }
    }
    assert!(kills >= 12, "{kills}");
}

/// Kills the cleaning, and all of its git processes, when one of them makes a system call for the `when`th time;
/// whether it came to that.
fn killed_at(world: &World, s: &Scene, call: &str, when: usize) -> bool {
    let log = world.root().join("strace.log");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}"));
    let log_name = log.to_string_lossy().into_owned();
    let args = ["-f", "-qq", "-e", &trace, "-e", &inject, "-o", &log_name, ASSETS, "gc", "--yes"];
    run(&s.code.path, s.code.env(), "strace", args);
    std::fs::read_to_string(log).unwrap().contains("killed by SIGKILL")
}

#[test]
fn restores_race_with_cleanings_and_win() {
    let world = World::new();
    let s = Scene::restored(&world);
    let (other, desk) = (world.code_repo("code-two"), world.code_repo("desk"));
    // Never half written where others read it.
    let put = |code: &CodeRepo, slice: &str| {
        let file = format!("{slice}/assets.json");
        std::fs::create_dir_all(code.path.join(slice)).unwrap();
        std::fs::rename(desk.path.join(&file), code.path.join(&file)).unwrap();
    };
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            for _ in 0..12 {
                s.code.assets(["gc", "--yes"]).ok();
            }
        });
        for round in 0..12 {
            // Two code repos with one store; what one of them no longer asks for the other begins to.
            desk.branch_manifest("sdk/a", &s.url, &s.pins[round % 3]);
            put(&s.code, "sdk/a");
            desk.tag_manifest("sdk/c", &s.url, &format!("t{}", (round + 1) % 3));
            put(&s.code, "sdk/c");
            desk.branch_manifest("sdk/a", &s.url, &s.pins[(round + 2) % 3]);
            put(&other, "sdk/a");
            let children = [&s.code, &other].map(|code| code.command(&[], ["restore", "--all"]).spawn().unwrap());
            for child in children {
                finish(child).ok();
            }
            let text = String::from_utf8(s.shown()["sdk/a/1.json"].clone()).unwrap();
            assert!(text.starts_with(&format!("recordings/sdk/a/1.json {}\n", round % 3)), "{text}");
        }
        cleaner.join().unwrap();
    });
    for (code, slices) in [(&s.code, 2), (&other, 1)] {
        assert_eq!(code.checkouts().len(), slices);
        for name in code.checkouts() {
            assert_eq!(code.git_in(&code.checkout(&name), ["status", "--porcelain"]).ok().stdout, "");
        }
    }
}
