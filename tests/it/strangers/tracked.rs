//! An assets folder that came with a commit of the code repo is refused, whatever form the index has; one that is only
//! beside tracked files of like names is not.

use super::Trap;
use crate::support::{World, run, write};

const COMMANDS: [&[&str]; 6] = [
    &["restore", "sdk/a"],
    &["reset", "-y", "sdk/a"],
    &["push", "sdk/a"],
    &["status", "sdk/a"],
    &["stash", "list", "sdk/a"],
    &["restore", "--all"],
];

impl Trap<'_> {
    /// Adds a file to the index, even where it is ignored.
    fn track(&self, path: &str) {
        self.code.write(path, "planted\n");
        self.code.git(["add", "-f", "--", path]).ok();
    }

    /// Expects that every command refuses because of this file, and that the hint mends it.
    #[track_caller]
    fn refuses_tracked(&self, path: &str) {
        for args in COMMANDS {
            let run = self.run_inside(&[], args);
            let said = run.stdout + &run.stderr;
            assert!(said.contains(&format!("`{path}` is tracked by the code repo")), "{args:?}\n{said}");
        }
        let hint = self.code.assets(["restore", "sdk/a"]).fails(1).stderr;
        let command = hint.split('`').rev().nth(1).unwrap().to_string();
        run(self.world.root(), self.code.env(), "sh", ["-c", &command]).ok();
        self.code.assets(["restore", "sdk/a"]).ok();
    }
}

#[test]
fn whatever_it_holds() {
    let world = World::new();
    let trap = Trap::new(&world);
    for path in
        [".assets/x", ".assets/o.n/recordings/a.json", ".assets/.locks/x", ".assets/breadcrumb/x", ".assets/zzz"]
    {
        trap.track(path);
        trap.refuses_tracked(path);
        trap.track(path); // beside a checkout that is there
        trap.refuses_tracked(path);
        std::fs::remove_dir_all(trap.folder()).unwrap();
    }
    // The folder itself, as a submodule.
    let commit = trap.code.git(["rev-parse", "HEAD"]).ok().stdout;
    trap.code.git(["update-index", "--add", "--cacheinfo", &format!("160000,{},.assets", commit.trim())]).ok();
    trap.refuses_tracked(".assets");
}

#[test]
fn whatever_form_the_index_has() {
    for (config, version) in
        [(&[][..], "2"), (&[], "4"), (&["core.splitIndex", "true"], "2"), (&["index.skipHash", "true"], "3")]
    {
        let world = World::new();
        let trap = Trap::new(&world);
        if let [key, value] = config {
            trap.code.git(["config", key, value]).ok();
        }
        // Entries before it share the beginning of its name.
        for path in ["-x", "+x", "#/y", ".a", ".asse", ".assets-of-ours/x", ".asset/s", ".azure/x", "A", "a"] {
            trap.track(path);
        }
        trap.code.git(["add", "-N", "README.md"]).ok();
        trap.code.git(["update-index", "--index-version", version]).ok();
        trap.code.assets(["restore", "sdk/a"]).ok();
        trap.code.commit("before");
        trap.code.write(".ab", "intended\n");
        trap.code.git(["add", "-N", "-f", ".ab"]).ok();
        trap.track(".assets/x");
        trap.refuses_tracked(".assets/x");
    }
}

#[test]
fn in_a_linked_worktree_and_in_sha256() {
    let world = World::new();
    let trap = Trap::new(&world);
    let linked = world.root().join("linked");
    trap.code.git(["worktree", "add", "-q", &linked.to_string_lossy()]).ok();
    let in_linked = |program: &str, args: &[&str]| run(&linked, trap.code.env(), program, args);
    in_linked(crate::support::ASSETS, &["restore", "sdk/a"]).ok();
    write(&linked.join(".assets/x"), "planted\n");
    in_linked("git", &["add", "-f", ".assets/x"]).ok();
    in_linked(crate::support::ASSETS, &["restore", "sdk/a"]).fails(1).says("`.assets/x` is tracked");

    let modern = world.root().join("modern");
    let in_modern = |program: &str, args: &[&str]| run(&modern, trap.code.env(), program, args);
    std::fs::create_dir(&modern).unwrap();
    in_modern("git", &["init", "-q", "--object-format=sha256"]).ok();
    write(&modern.join("sdk/a/assets.json"), trap.code.read("sdk/a/assets.json"));
    in_modern("git", &["add", "."]).ok();
    in_modern(crate::support::ASSETS, &["restore", "sdk/a"]).ok();
    write(&modern.join(".assets/x"), "planted\n");
    in_modern("git", &["add", "-f", ".assets/x"]).ok();
    in_modern(crate::support::ASSETS, &["restore", "sdk/a"]).fails(1).says("`.assets/x` is tracked");
}

#[test]
fn what_may_be_tracked() {
    let world = World::new();
    let trap = Trap::new(&world);
    for path in [".assets/.gitignore", ".assets.json", ".assetsx/x", "sdk/.assets/x", ".asset"] {
        trap.track(path);
    }
    trap.code.assets(["restore", "sdk/a"]).ok();
    // Elsewhere the same holds, when it is in the code repo.
    let elsewhere = [("PROXY_ASSETS_FOLDER", "cache of/assets")];
    trap.code.assets_with(&elsewhere, ["restore", "sdk/a"]).ok();
    trap.track("cache of/assets/x");
    trap.run_inside(&elsewhere, &["restore", "sdk/a"]);
    trap.code.assets_with(&elsewhere, ["restore", "sdk/a"]).fails(1).says("`cache of/assets/x` is tracked");
}

/// An assets folder hides all that is in it from git.
#[test]
fn what_holds_code_is_no_assets_folder() {
    let world = World::new();
    let trap = Trap::new(&world);
    let code = &trap.code;
    let other = world.code_repo("other");
    other.write("src/lib.rs", "code\n");
    other.commit("code");
    std::os::unix::fs::symlink(&code.path, world.root().join("link")).unwrap();
    std::os::unix::fs::symlink(other.path.join("src"), world.root().join("sources")).unwrap();
    let [root, above, link, sources] =
        [code.path.clone(), world.root().to_path_buf(), world.root().join("link"), world.root().join("sources")]
            .map(|path| path.to_string_lossy().into_owned());
    let other_root = other.path.to_string_lossy().into_owned();
    let whole = "cannot be the assets folder: the code repo is in it";
    for (folder, why) in [
        (".", whole),
        ("sdk/..", whole),
        ("none/..", whole),
        ("..", whole),
        (&root, whole),
        (&above, whole),
        (&link, whole),
        ("/", whole),
        ("sdk", "`sdk/a/assets.json` is tracked"),
        (&format!("{link}/sdk/a"), "`sdk/a/assets.json` is tracked"),
        (&other_root, "cannot be the assets folder: it is the root of a git repository"),
        (&sources, "`src/lib.rs` is tracked"),
    ] {
        for args in COMMANDS {
            let run = code.assets_with(&[("PROXY_ASSETS_FOLDER", folder)], args);
            let said = run.stdout + &run.stderr;
            assert!(said.contains(why), "{folder} {args:?}\n{said}");
        }
        for repo in [code, &other] {
            repo.write("new.txt", "a new source file\n");
            assert_eq!(repo.git(["status", "--porcelain"]).ok().stdout, "?? new.txt\n", "{folder}");
        }
        assert!(!world.root().join(".gitignore").exists(), "{folder}");
    }
    // Beside code there is room.
    code.assets_with(&[("PROXY_ASSETS_FOLDER", "sdk/b/../recordings")], ["restore", "sdk/a"]).ok();
}
