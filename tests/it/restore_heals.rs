//! `assets restore` again: nothing to do costs nothing, and what is damaged, gone or half done heals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::server::{ALWAYS, Fault, GitServer, Options};
use crate::support::{ASSETS, CodeRepo, World, finish, run, snapshot, with_every_git, write};

/// A server, and a code repo with two slices at different pins.
struct Scene {
    server: GitServer,
    code: CodeRepo,
    url: String,
    old: String,
    new: String,
}

fn scene(world: &World) -> Scene {
    let repo = world.assets_repo("assets");
    let server = GitServer::start(world.root(), Options::default());
    let url = format!("{}/assets.git", server.url());
    let names: Vec<(String, String)> =
        (0..40).map(|n| (format!("recordings/sdk/a/{n}.json"), format!("old {n} {}", "x".repeat(n * 50)))).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("recordings/sdk/b/b.json", "b old"));
    let old = repo.commit("main", &files);
    let new = repo.commit(
        "main",
        &[
            ("recordings/sdk/a/1.json", "new one"),
            ("recordings/sdk/a/2.json", "new two"),
            ("recordings/sdk/a/3.json", ""),
            ("recordings/sdk/a/more/x.json", "more"),
            ("recordings/sdk/b/b.json", "b new"),
        ],
    );
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &url, &old);
    code.branch_manifest("sdk/b", &url, &new);
    Scene { server, code, url, old, new }
}

impl Scene {
    fn restored(world: &World) -> Scene {
        let scene = scene(world);
        scene.restore();
        scene
    }

    fn restore(&self) {
        self.code.assets(["restore", "sdk/a", "sdk/b"]).ok();
    }

    fn checkout(&self) -> PathBuf {
        self.code.only_checkout()
    }

    fn slice(&self) -> BTreeMap<String, Vec<u8>> {
        snapshot(&self.checkout().join("recordings/sdk/a"))
    }

    #[track_caller]
    fn is_clean(&self) {
        assert_eq!(self.code.git_in(&self.checkout(), ["status", "--porcelain"]).ok().stdout, "");
    }

    /// A restore that has nothing to do: no process, no request, no change.
    #[track_caller]
    fn is_at_rest(&self, world: &World) {
        let before = snapshot(&self.code.path);
        self.server.reset_log();
        let run = self.code.assets(["restore", "sdk/a", "sdk/b"]).ok();
        assert_eq!(run.stderr, "");
        assert_eq!(run.stdout, format!("{0}/recordings\n{0}/recordings\n", self.checkout().display()));
        assert!(snapshot(&self.code.path) == before, "something was written");
        assert_eq!(self.server.requests().len(), 0);
        if Path::new("/usr/bin/strace").exists() {
            assert_eq!(processes(world, &self.code), 1);
        }
    }
}

/// How many programs a restore starts, itself included.
fn processes(world: &World, code: &CodeRepo) -> usize {
    let log = world.root().join("execve.log");
    let log_name = log.to_string_lossy();
    let args = ["-f", "-qq", "-e", "trace=execve", "-o", &log_name, ASSETS, "restore", "sdk/a", "sdk/b"];
    run(&code.path, code.env(), "strace", args).ok();
    std::fs::read_to_string(log).unwrap().matches("execve(").count()
}

#[test]
fn nothing_to_do_costs_nothing() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.is_at_rest(world);
        write(&s.checkout().join("recordings/sdk/a/1.json"), "pending");
        write(&s.checkout().join("recordings/sdk/b/new.json"), "pending");
        s.is_at_rest(world);
        s.code.git_in(&s.checkout(), ["pack-refs", "--all", "--prune"]).ok();
        s.is_at_rest(world);
    });
}

#[test]
fn offline_works_with_what_is_here() {
    with_every_git(|world| {
        let s = scene(world);
        s.code.assets(["restore", "sdk/b"]).ok();
        s.server.reset_log();
        s.code.assets(["--offline", "restore", "sdk/b"]).ok();
        // A composite of two pins that the store has.
        s.code.branch_manifest("sdk/c", &s.url, &s.new);
        let run = s.code.assets_with(&[("ASSETS_OFFLINE", "1")], ["restore", "sdk/a"]).fails(5);
        assert_eq!(run.stdout, "");
        run.says(&format!("commit `{}`", s.old)).says("`--offline`").says("hint: run the same command once without");
        assert!(!s.checkout().join("recordings/sdk/a").exists());
        assert_eq!(s.server.requests().len(), 0);
    });
}

#[test]
fn a_second_clone_of_the_code_repo_asks_the_server_nothing() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.code.commit("manifests");
        let second = world.root().join("second");
        s.code.git(["clone", "-q", ".", &second.to_string_lossy()]).ok();
        s.server.reset_log();
        let printed = run(&second, s.code.env(), ASSETS, ["restore", "sdk/a", "sdk/b"]).ok();
        assert_eq!(s.server.requests().len(), 0);
        let root = PathBuf::from(printed.stdout.lines().next().unwrap());
        assert_eq!(snapshot(&root.join("sdk/a")), s.slice());
    });
}

#[test]
fn what_was_deleted_comes_back() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let files = s.slice();
        std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        s.restore();
        assert_eq!(s.slice(), files);

        let pending = |text: &str| write(&s.checkout().join("recordings/sdk/b/b.json"), text);
        pending("pending");
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        s.restore();
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        s.restore();
        assert_eq!(s.slice()["1.json"], b"new one");
        assert_eq!(std::fs::read(s.checkout().join("recordings/sdk/b/b.json")).unwrap(), b"pending");

        // The store of another cache directory, and the first one gone.
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        s.code.branch_manifest("sdk/a", &s.url, &s.old);
        let other = world.root().join("other cache").to_string_lossy().into_owned();
        s.code.assets_with(&[("ASSETS_CACHE_DIR", other.as_str())], ["restore", "sdk/a"]).ok();
        assert_eq!(s.slice(), files);
        assert!(!world.root().join("cache").exists());
        s.code.assets_with(&[("ASSETS_CACHE_DIR", other.as_str())], ["reset", "-y", "sdk/b"]).ok();
        s.is_clean();
    });
}

#[test]
fn a_head_that_was_moved_by_hand_is_put_back() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let files = s.slice();
        let head = || s.code.git_in(&s.checkout(), ["rev-parse", "HEAD"]).ok().stdout;
        let before = head();
        s.code.git_in(&s.checkout(), ["checkout", "-q", &s.new]).ok();
        assert_ne!(s.slice(), files);
        s.restore();
        assert_eq!((s.slice(), head()), (files.clone(), before));
        s.is_clean();
        // With a change of a file that differs between here and there: nothing of it is lost.
        s.code.git_in(&s.checkout(), ["checkout", "-q", &s.new]).ok();
        write(&s.checkout().join("recordings/sdk/a/1.json"), "pending");
        s.code.assets(["restore", "sdk/a"]).ok().says("put aside 1 pending change of `sdk/a/assets.json`\n");
        assert_eq!(s.slice(), files);
    });
}

#[test]
fn sixteen_at_once_download_once() {
    with_every_git(|world| {
        let s = scene(world);
        s.code.assets(["restore", "sdk/a"]).ok();
        let alone = s.server.requests().iter().filter(|request| request.method == "POST").count();
        let files = s.slice();
        for folder in [s.code.path.join(".assets"), world.root().join("cache")] {
            std::fs::remove_dir_all(folder).unwrap();
        }
        s.server.reset_log();
        let children: Vec<_> = (0..16).map(|_| s.code.command(&[], ["restore", "sdk/a"]).spawn().unwrap()).collect();
        let root = s.code.path.join(".assets");
        for child in children {
            let run = finish(child).ok();
            assert!(run.stdout.starts_with(&*root.to_string_lossy()), "{}", run.stdout);
        }
        let posts = s.server.requests().iter().filter(|request| request.method == "POST").count();
        assert_eq!(posts, alone);
        assert_eq!(s.slice(), files);
        s.is_clean();
    });
}

#[test]
fn recordings_that_were_committed_by_hand_are_pending_again() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
        s.code.git_in(&s.checkout(), ["commit", "-q", "-a", "-m", "mine"]).ok();
        s.code.assets(["restore", "sdk/a"]).ok().says("was committed there by hand; its changes are pending again\n");
        assert_eq!(s.slice()["1.json"], b"mine");
        let dry = s.code.assets(["push", "--dry-run", "sdk/a"]).ok();
        assert_eq!(dry.stdout, "M recordings/sdk/a/1.json\n");
        let kept = s.code.git_in(&s.checkout(), ["log", "--all", "--format=%s", "-1", "--grep=mine"]).ok().stdout;
        assert_eq!(kept, "mine\n");
    });
}

#[test]
fn a_deleted_store_stops_nobody() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let cache = world.root().join("cache");
        write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
        for args in [&["push", "--dry-run", "sdk/a"][..], &["stash", "list", "sdk/a"], &["reset", "-y", "sdk/a"]] {
            std::fs::remove_dir_all(&cache).unwrap();
            s.code.assets(args).ok();
        }
        std::fs::remove_dir_all(&cache).unwrap();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.slice()["1.json"], b"mine");
    });
}

#[test]
fn stash_entries_outlive_the_store() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        // Made on a composite, and on a pin that is not shown any more.
        write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        for folder in ["sdk/a", "sdk/b"] {
            s.code.branch_manifest(folder, &s.url, &s.new);
        }
        s.restore();
        write(&s.checkout().join("recordings/sdk/b/b.json"), "mine");
        s.code.assets(["reset", "-y", "sdk/b"]).ok();
        for package in ["sdk/a", "sdk/b"] {
            std::fs::remove_dir_all(world.root().join("cache")).unwrap();
            let listed = s.code.assets(["stash", "list", package]).ok().stdout;
            assert!(listed.ends_with("dropped by reset: 1 file\n"), "{listed}");
            std::fs::remove_dir_all(world.root().join("cache")).unwrap();
            // The new pin has another content of the same file.
            s.code.assets(["stash", "pop", "--ours", package]).ok();
        }
        assert_eq!(s.slice()["1.json"], b"mine");
        assert_eq!(std::fs::read(s.checkout().join("recordings/sdk/b/b.json")).unwrap(), b"mine");
    });
}

#[test]
fn a_stash_entry_is_whole_without_the_store() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
        // Its objects are in the store from here on.
        s.server.set_fault(Fault::Status { code: 403, retry_after: None, times: ALWAYS });
        s.code.assets(["push", "sdk/a"]).fails(4);
        s.server.set_fault(Fault::None);
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.slice()["1.json"], b"mine");
    });
}

#[test]
fn files_that_only_look_changed_are_no_changes() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        for name in ["1.json", "3.json"] {
            let file =
                std::fs::File::options().write(true).open(s.checkout().join("recordings/sdk/a").join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
        }
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        let run = s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(run.stderr, format!("restored `sdk/a/assets.json` at {}\n", &s.new[..10]));
        assert_eq!(s.slice()["1.json"], b"new one");
        s.is_clean();
    });
}

/// Kills the restore to the new pin, and all of its git processes, when one of them makes a system call for the
/// `when`th time; whether it came to that.
fn killed_at(world: &World, s: &Scene, call: &str, when: usize) -> bool {
    let log = world.root().join("strace.log");
    let inject = format!("inject={call}:signal=KILL:when={when}");
    let trace = format!("trace={call}");
    let log_name = log.to_string_lossy().into_owned();
    let args = ["-f", "-qq", "-e", &trace, "-e", &inject, "-o", &log_name, ASSETS, "restore", "sdk/a"];
    run(&s.code.path, s.code.env(), "strace", args);
    std::fs::read_to_string(log).unwrap().contains("killed by SIGKILL")
}

#[test]
fn a_killed_restore_is_completed_by_the_next() {
    if !Path::new("/usr/bin/strace").exists() {
        return;
    }
    let world = World::new();
    let s = Scene::restored(&world);
    let at_old = s.slice();
    s.code.branch_manifest("sdk/a", &s.url, &s.new);
    s.code.assets(["restore", "sdk/a"]).ok();
    let at_new = s.slice();
    let other = s.checkout().join("recordings/sdk/b/b.json");
    write(&other, "pending");
    let mut kills = 0;
    for call in ["rename", "unlink", "openat,execve", "write"] {
        for when in [1, 2, 3, 5, 8] {
            // Calls that all processes make are killed at the beginning of each; these are counted per process.
            let when = if call.contains("openat") { when * 12 } else { when };
            s.code.branch_manifest("sdk/a", &s.url, &s.old);
            s.code.assets(["reset", "-y", "sdk/a"]).ok();
            assert_eq!(s.slice(), at_old);
            write(&s.checkout().join("recordings/sdk/a/4.json"), "mine");
            s.code.branch_manifest("sdk/a", &s.url, &s.new);
            kills += usize::from(killed_at(&world, &s, call, when));
            s.code.assets(["restore", "sdk/a"]).ok();
            let state = format!("{call} {when}");
            assert_eq!(s.slice(), at_new, "{state}");
            assert_eq!(std::fs::read(&other).unwrap(), b"pending", "{state}");
            s.code.assets(["stash", "pop", "sdk/a"]).ok();
            assert_eq!(s.slice()["4.json"], b"mine", "{state}");
        }
    }
    assert!(kills >= 8, "{kills}");
}

#[test]
fn an_index_that_was_cut_short_is_made_anew() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
        let index = s.checkout().join(".git/index");
        let whole = std::fs::read(&index).unwrap();
        // At a third git calls it corrupt; without its last entry it takes the files for deleted.
        for length in [whole.len() / 3, whole.len() - 1] {
            std::fs::write(&index, &whole[..length]).unwrap();
            let dry = s.code.assets(["push", "--dry-run", "sdk/a"]).ok();
            assert_eq!(dry.stdout, "M recordings/sdk/a/1.json\n", "{length} of {}", whole.len());
        }
        std::fs::write(&index, &whole[..whole.len() / 3]).unwrap();
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        std::fs::write(&index, &whole[..whole.len() / 3]).unwrap();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.slice()["1.json"], b"mine");
    });
}

#[test]
fn packs_that_were_cut_short_are_downloaded_again() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let files = s.slice();
        let packs = |of: &str| -> Vec<PathBuf> {
            let cache = world.root().join("cache");
            let names = snapshot(&cache).into_keys().filter(|name| name.ends_with(of) && !name.contains(".broken-"));
            names.map(|name| cache.join(name)).collect()
        };
        for (of, part) in [(".pack", 0), (".pack", 2), (".idx", 2)] {
            write(&s.checkout().join("recordings/sdk/a/1.json"), "mine");
            assert!(!packs(of).is_empty());
            for pack in packs(of) {
                let bytes = std::fs::read(&pack).unwrap();
                std::fs::remove_file(&pack).unwrap();
                std::fs::write(&pack, &bytes[..bytes.len().checked_div(part).unwrap_or(0)]).unwrap();
            }
            s.code.assets(["reset", "-y", "sdk/a"]).ok().says("the object store was damaged and is downloaded again");
            assert_eq!(s.slice(), files);
            s.is_clean();
        }
    });
}

#[test]
fn a_store_whose_head_a_power_cut_left_empty_serves_every_command() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let stores = world.root().join("cache/stores");
        let lose_head = || {
            let heads = std::fs::read_dir(&stores).unwrap().map(|entry| entry.unwrap().path().join("HEAD"));
            let heads: Vec<PathBuf> = heads.filter(|head| head.is_file()).collect();
            assert_eq!(heads.len(), 1);
            write(&heads[0], "");
        };
        for args in [&["reset", "-y", "sdk/a"][..], &["stash", "pop", "sdk/a"], &["push", "sdk/a"]] {
            write(&s.checkout().join("recordings/sdk/a/own.json"), "mine");
            lose_head();
            s.code.assets(args).ok();
        }
        lose_head();
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        s.code.assets(["restore", "sdk/a"]).ok();
        s.is_clean();
    });
}

#[test]
fn a_journal_without_sense_and_files_cut_short_heal() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        s.code.assets(["restore", "sdk/a"]).ok();
        let (at_new, checkout) = (s.slice(), s.checkout());
        let head = |name: &str| s.code.git_in(&checkout, ["rev-parse", name]).ok().stdout.trim().to_string();
        let to = head("HEAD");
        s.code.branch_manifest("sdk/a", &s.url, &s.old);
        s.code.assets(["restore", "sdk/a"]).ok();
        write(&checkout.join("recordings/sdk/a/5.json"), "pending");
        write(&checkout.join("recordings/sdk/b/b.json"), "");
        // As a restore to the new pin leaves it that was killed while git wrote files.
        let note = format!(
            r#"{{"operation":"restore","from":"{}","to":"{to}","slices":{{"recordings/sdk/a":"{1}","recordings/sdk/b":"{1}"}},
            "put_back":[],"stash":null,"kept":[],"tag":null}}"#,
            head("HEAD"),
            s.new
        );
        world.write("note", &note);
        write(&checkout.join(".git/assets-journal"), note);
        write(&checkout.join(".git/index.lock"), "");
        write(&checkout.join("recordings/sdk/a/1.json"), "");
        write(&checkout.join("recordings/sdk/a/2.json"), "new");
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        s.code.assets(["restore", "sdk/a"]).ok().says("completing a restore that was interrupted");
        let mut wanted = at_new.clone();
        wanted.insert("5.json".into(), b"pending".to_vec());
        assert_eq!(s.slice(), wanted);
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/b/b.json")).unwrap(), b"");

        // As one leaves it that was complete but for a file that it could not put back.
        s.code.branch_manifest("sdk/a", &s.url, &s.old);
        s.code.assets(["restore", "--discard", "sdk/a"]).ok();
        let note = std::fs::read_to_string(world.root().join("note")).unwrap();
        s.code.git_in(&checkout, ["read-tree", "-m", "-u", "HEAD", &to]).ok();
        write(&checkout.join(".git/HEAD"), format!("{to}\n"));
        write(
            &checkout.join(".git/assets-journal"),
            note.replace(r#""put_back":[]"#, r#""put_back":["recordings/sdk/a/4.json"]"#),
        );
        std::fs::remove_file(checkout.join("recordings/sdk/a/4.json")).unwrap();
        s.code.branch_manifest("sdk/a", &s.url, &s.new);
        s.code.assets(["restore", "sdk/a"]).ok();
        wanted = at_new.clone();
        assert_eq!(s.slice(), wanted);

        let journal = checkout.join(".git/assets-journal");
        // A power cut leaves one that was not on disk yet empty, or full of zeros.
        for empty in ["", "\0\0\0\0"] {
            write(&journal, empty);
            s.code.assets(["restore", "sdk/a"]).ok();
            assert_eq!(s.slice(), wanted);
            assert!(!journal.exists());
        }
        // What is to be completed cannot be told from any other.
        for damaged in
            ["{", "null", r#"{"operation":"restore","from":"x","to":"y","slices":{},"put_back":[],"kept":[]}"#]
        {
            write(&journal, damaged);
            let before = snapshot(&checkout);
            s.code.assets(["restore", "sdk/a"]).fails(1).says("is damaged").says(&journal.to_string_lossy());
            assert!(snapshot(&checkout) == before, "{damaged}");
        }
        std::fs::remove_file(&journal).unwrap();
        for (name, content) in
            [("index", ""), ("index", "DIRC, and rubbish from there"), ("HEAD", ""), ("HEAD.lock", "x")]
        {
            write(&checkout.join(".git").join(name), content);
            s.code.branch_manifest("sdk/a", &s.url, &s.old);
            s.code.assets(["restore", "--stash", "sdk/a"]).ok();
            s.code.branch_manifest("sdk/a", &s.url, &s.new);
            s.code.assets(["restore", "sdk/a"]).ok();
            assert_eq!(s.slice(), at_new, "{name}");
        }
    });
}
