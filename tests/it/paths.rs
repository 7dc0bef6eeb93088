//! Folders whose names git's lists of directories separate, quote or cannot hold as text.
#![cfg(unix)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;

use crate::support::{AssetsRepo, CodeRepo, World, finish, run, with_every_git, write};

const NAMES: &[&[u8]] = &[
    b"a:b",
    b"a;b",
    b"a\"b",
    b"\"ab\"",
    b"a\\b",
    b"a\nb",
    b"#a",
    b"a\xffb",
    b"a b'c",
    b"$(a)",
    b"caf\xc3\xa9",
    b"a\tb",
];

/// Two packages at different pins, in a code repo of such a name, with the cache in a folder of such a name.
struct Scene<'a> {
    repo: AssetsRepo,
    code: CodeRepo,
    cache: std::path::PathBuf,
    pins: [String; 2],
    world: &'a World,
}

impl<'a> Scene<'a> {
    fn new(world: &'a World, name: &[u8]) -> Scene<'a> {
        let name = OsStr::from_bytes(name);
        let repo = world.assets_repo("assets");
        let pins = ["one", "two"].map(|text| {
            let text = format!("{text}\n");
            repo.commit("main", &[("recordings/sdk/a/a.json", &text), ("recordings/sdk/b/b.json", &text)])
        });
        let code = world.code_repo_named(name);
        let cache = world.root().join("caches").join(name);
        let scene = Scene { repo, code, cache, pins, world };
        scene.pin("sdk/a", 0);
        scene.pin("sdk/b", 1);
        scene
    }

    fn pin(&self, folder: &str, pin: usize) {
        self.code.branch_manifest(folder, &self.repo.path.to_string_lossy(), &self.pins[pin]);
    }

    fn output(&self, args: &[&str]) -> Output {
        let mut command = self.code.command(&[], args);
        command.env("ASSETS_CACHE_DIR", &self.cache).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> Output {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}\n{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn file(&self, path: &str) -> String {
        std::fs::read_to_string(self.code.only_checkout().join(path)).unwrap_or_default()
    }
}

#[test]
fn everything_works_in_folders_of_any_name() {
    with_every_git(|world| {
        for (number, name) in NAMES.iter().enumerate() {
            let world = World::with_git(&std::fs::read_link(world.root().join("bin/git")).unwrap());
            println!("{number}: {}", name.escape_ascii());
            let s = Scene::new(&world, name);
            s.ok(&["restore", "--all"]);
            assert_eq!([s.file("recordings/sdk/a/a.json"), s.file("recordings/sdk/b/b.json")], ["one\n", "two\n"]);
            // A program opens what is printed, by the way that starts no process too.
            let printed = s.ok(&["restore", "sdk/a"]).stdout;
            assert_eq!(printed, [s.code.only_checkout().join("recordings").as_os_str().as_bytes(), b"\n"].concat());
            assert_eq!(s.ok(&["config", "locate", "sdk/a"]).stdout, printed);

            write(&s.code.only_checkout().join("recordings/sdk/a/new.json"), "mine\n");
            assert!(String::from_utf8_lossy(&s.ok(&["diff", "sdk/a"]).stdout).contains("+mine"));
            assert!(String::from_utf8_lossy(&s.ok(&["status", "--all"]).stdout).contains("1A"));
            s.pin("sdk/a", 1);
            s.ok(&["restore", "--all"]);
            assert_eq!([s.file("recordings/sdk/a/a.json"), s.file("recordings/sdk/a/new.json")], ["two\n", ""]);
            s.pin("sdk/a", 0);
            s.ok(&["restore", "--all"]);
            s.ok(&["stash", "pop", "sdk/a"]);
            // What is used is known, although the folder's name may be no text.
            s.ok(&["gc", "--yes"]);
            s.code.git_in(&s.code.only_checkout(), ["fsck", "--connectivity-only", "HEAD"]).ok();
            s.ok(&["push", "sdk/a"]);
            assert_eq!(s.repo.file("auto/a", "recordings/sdk/a/new.json"), Some("mine\n".into()));
            s.ok(&["doctor", "--all"]);
            let broken = std::fs::read_dir(s.code.path.join(".assets")).unwrap().flatten();
            assert!(
                !broken.into_iter().any(|entry| entry
                    .file_name()
                    .as_bytes()
                    .windows(8)
                    .any(|part| part == b".broken-"))
            );
        }
    });
}

/// From elsewhere `gc` only knows of a code repo what is written in the cache.
#[test]
fn the_objects_of_a_code_repo_of_any_name_are_in_use() {
    for name in NAMES {
        let world = World::new();
        let s = Scene::new(&world, name);
        s.ok(&["restore", "--all"]);
        let mut gc = s.code.command(&[], ["gc", "--yes"]);
        gc.current_dir(s.world.root()).env("ASSETS_CACHE_DIR", &s.cache);
        finish(gc.spawn().unwrap()).ok();
        let _ = std::fs::remove_dir_all(s.code.path.join(".assets"));
        s.ok(&["restore", "--all", "--offline"]);
        assert_eq!(s.file("recordings/sdk/b/b.json"), "two\n");
    }
}

#[test]
fn an_assets_folder_of_any_name() {
    for name in NAMES {
        let world = World::new();
        let s = Scene::new(&world, b"plain");
        let folder = world.root().join(OsStr::from_bytes(name)).join("assets");
        for args in [["restore", "--all"], ["status", "--all"]] {
            let mut command = s.code.command(&[], args);
            command.env("PROXY_ASSETS_FOLDER", &folder).env("ASSETS_CACHE_DIR", &s.cache);
            finish(command.spawn().unwrap()).ok();
        }
        let is_checkout = |path: &Path| path.join(".git").exists();
        let checkout =
            std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).find(|path| is_checkout(path));
        let checkout = checkout.unwrap();
        assert_eq!(std::fs::read_to_string(checkout.join("recordings/sdk/a/a.json")).unwrap(), "one\n");
        assert!(!s.code.path.join(".assets").exists());
        run(&checkout, s.code.env(), "git", ["status"]).ok();
    }
}

/// Files that a system which ignores case, or the form of a letter, would keep one of.
#[test]
fn names_that_are_one_file_elsewhere_are_refused() {
    let twins = [("café.json", "cafe\u{301}.json"), ("straße.json", "STRASSE.json"), ("\u{1e9e}", "ß")];
    for (one, other) in twins {
        with_every_git(|world| {
            let repo = world.assets_repo("assets");
            let path = |name: &str| format!("recordings/sdk/a/{name}");
            let good = repo.commit("main", &[(&path("a.json"), "a\n")]);
            let bad = repo.commit("bad", &[(&path(one), "1\n"), (&path(other), "2\n")]);
            let code = world.code_repo("code");
            code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &bad);
            code.assets(["restore", "sdk/a"]).fails(1).says(one).says(other);
            assert!(code.checkouts().is_empty());
            code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &good);
            code.assets(["restore", "sdk/a"]).ok();
            let file = |name: &str| code.only_checkout().join(path(name));
            write(&file(one), "1\n");
            write(&file(other), "2\n");
            code.assets(["push", "sdk/a"]).fails(1).says(one).says(other);
            assert_eq!(repo.rev("auto/a"), None);
            // One alone is fine.
            std::fs::remove_file(file(other)).unwrap();
            code.assets(["push", "sdk/a"]).ok();
        });
    }
}

/// A file system that ignores case is known by `CONFIG`, which names `config` there; here it is a file of its own.
#[test]
fn git_is_told_of_a_file_system_that_ignores_case() {
    with_every_git(|world| {
        let s = Scene::new(world, b"code");
        s.ok(&["restore", "--all"]);
        let git_dir = s.code.only_checkout().join(".git");
        let setting = || run(&git_dir, s.code.env(), "git", ["config", "core.ignorecase"]).stdout;
        assert_eq!(setting(), "", "as git has it by itself");
        let ours = std::fs::read(git_dir.join("config")).unwrap();
        write(&git_dir.join("CONFIG"), "");
        s.pin("sdk/a", 1);
        s.ok(&["restore", "--all"]);
        assert_eq!(setting(), "true\n");
        let written = || std::fs::metadata(git_dir.join("config")).unwrap().modified().unwrap();
        let before = written();
        s.pin("sdk/a", 0);
        s.ok(&["restore", "--all"]);
        assert_eq!(written(), before, "it is ours, and needs no second look");
        std::fs::remove_file(git_dir.join("CONFIG")).unwrap();
        s.pin("sdk/a", 1);
        s.ok(&["restore", "--all"]);
        assert_eq!(std::fs::read(git_dir.join("config")).unwrap(), ours);
    });
}
