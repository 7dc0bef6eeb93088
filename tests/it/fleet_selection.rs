//! Which packages `--all` and `--changed` mean.

use crate::support::{ASSETS, CodeRepo, Run, World, run, with_every_git};

/// Packages `sdk/a`, `sdk/a/inner`, `sdk/b`, `sdk/c`, `sdk/d`, committed on `main`, which `origin/main` points at.
fn scene(world: &World) -> CodeRepo {
    let repo = world.assets_repo("assets");
    let folders = ["sdk/a", "sdk/a/inner", "sdk/b", "sdk/c", "sdk/d"];
    let files: Vec<String> = folders.iter().map(|folder| format!("recordings/{folder}/r.json")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "recorded")).collect();
    let pin = repo.commit("main", &files);
    let code = world.code_repo("code");
    for folder in folders {
        code.branch_manifest(folder, &repo.path.to_string_lossy(), &pin);
        code.write(&format!("{folder}/src/x.rs"), "x\n");
    }
    code.commit("packages");
    code.git(["update-ref", "refs/remotes/origin/main", "HEAD"]).ok();
    code
}

/// The packages of a successful `restore --json` with these arguments.
#[track_caller]
fn restored(code: &CodeRepo, dir: &str, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--json", "restore"].into_iter().chain(args.iter().copied()).collect();
    let document = run(&code.path.join(dir), code.env(), ASSETS, args).ok().json();
    let names = document["results"].as_array().unwrap().iter();
    names.map(|result| result["manifest"].as_str().unwrap().trim_end_matches("/assets.json").to_string()).collect()
}

fn restore(code: &CodeRepo, args: &[&str]) -> Run {
    code.assets([&["restore"], args].concat())
}

#[test]
fn all_means_the_code_repo_or_the_folders_that_are_named() {
    with_every_git(|world| {
        let code = scene(world);
        let all = ["sdk/a", "sdk/a/inner", "sdk/b", "sdk/c", "sdk/d"];
        assert_eq!(restored(&code, "", &["--all"]), all);
        assert_eq!(restored(&code, "sdk/b/src", &["--all"]), all);
        assert_eq!(restored(&code, "", &["--all", "sdk/a"]), ["sdk/a", "sdk/a/inner"]);
        assert_eq!(restored(&code, "sdk/a", &["--all", "."]), ["sdk/a", "sdk/a/inner"]);
        assert_eq!(restored(&code, "sdk", &["--all", "a/inner", "d"]), ["sdk/a/inner", "sdk/d"]);
        assert_eq!(restored(&code, "sdk", &["--all", "a/inner", "a"]), ["sdk/a", "sdk/a/inner"]);
        restore(&code, &["--all", "sdk/none"]).fails(2).says("error: there is no `");
    });
}

#[test]
fn new_manifests_are_found_and_ignored_or_deleted_ones_are_not() {
    with_every_git(|world| {
        let code = scene(world);
        let manifest = code.read("sdk/b/assets.json");
        code.manifest("sdk/new", &manifest);
        code.manifest("sdk/out/ignored", &manifest);
        code.write(".gitignore", "out/\n");
        std::fs::remove_file(code.path.join("sdk/c/assets.json")).unwrap();
        code.git(["rm", "-q", "sdk/d/assets.json"]).ok();
        assert_eq!(restored(&code, "", &["--all"]), ["sdk/a", "sdk/a/inner", "sdk/b", "sdk/new"]);
    });
}

#[test]
fn changed_means_committed_staged_unstaged_and_new_files() {
    with_every_git(|world| {
        let code = scene(world);
        let nothing = restore(&code, &["--changed"]).ok();
        assert_eq!(
            (nothing.stdout.as_str(), nothing.stderr.as_str()),
            ("", "no package with an `assets.json` has changed\n")
        );
        assert!(!code.path.join(".assets").exists());
        code.write("README.md", "of no package\n");
        code.write("sdk/top.txt", "of no package\n");
        assert_eq!(restored(&code, "", &["--changed"]), [""; 0]);

        code.write("sdk/b/src/x.rs", "committed\n");
        code.commit("changed");
        assert_eq!(restored(&code, "", &["--changed"]), ["sdk/b"]);
        code.write("sdk/c/src/x.rs", "staged\n");
        code.git(["add", "-A"]).ok();
        assert_eq!(restored(&code, "", &["--changed"]), ["sdk/b", "sdk/c"]);
        code.write("sdk/a/inner/src/x.rs", "unstaged, in a package within another\n");
        assert_eq!(restored(&code, "", &["--changed"]), ["sdk/a/inner", "sdk/b", "sdk/c"]);
        code.write("sdk/d/src/new.rs", "untracked\n");
        assert_eq!(restored(&code, "sdk/a/src", &["--changed"]), ["sdk/a/inner", "sdk/b", "sdk/c", "sdk/d"]);
        assert_eq!(restored(&code, "", &["--changed", "HEAD"]), ["sdk/a/inner", "sdk/c", "sdk/d"]);
        assert_eq!(restored(&code, "", &["--changed=HEAD", "sdk/d"]), ["sdk/d"]);
    });
}

#[test]
fn changed_since_the_histories_parted() {
    with_every_git(|world| {
        let code = scene(world);
        code.git(["checkout", "-q", "-b", "topic"]).ok();
        code.write("sdk/b/src/x.rs", "mine\n");
        code.commit("mine");
        code.git(["checkout", "-q", "main"]).ok();
        code.write("sdk/c/src/x.rs", "theirs\n");
        code.commit("theirs");
        code.git(["update-ref", "refs/remotes/origin/main", "main"]).ok();
        code.git(["checkout", "-q", "topic"]).ok();
        assert_eq!(restored(&code, "", &["--changed"]), ["sdk/b"]);
        assert_eq!(restored(&code, "", &["--changed", "main"]), ["sdk/b"]);
    });
}

#[test]
fn a_package_whose_manifest_alone_moved_is_changed() {
    with_every_git(|world| {
        let code = scene(world);
        let moved = code.read("sdk/d/assets.json").replace("\n}", "\n} // moved");
        code.manifest("sdk/d", &moved);
        std::fs::remove_file(code.path.join("sdk/b/src/x.rs")).unwrap();
        code.git(["mv", "sdk/c/src/x.rs", "sdk/a/src/y.rs"]).ok();
        // A file that went away changes the package it was in, a rename both.
        assert_eq!(restored(&code, "", &["--changed"]), ["sdk/a", "sdk/b", "sdk/c", "sdk/d"]);
    });
}

#[test]
fn a_base_that_is_not_here_is_explained() {
    with_every_git(|world| {
        let code = scene(world);
        let named = restore(&code, &["--changed", "origin/release"]).fails(2);
        let expected = "\
error: `origin/release` is not a commit in this clone
  caused by: looked for: origin/release
hint: fetch it: `git fetch origin +release:refs/remotes/origin/release`
hint: or name another branch, tag or commit: `--changed <base>`
";
        assert_eq!((named.stdout.as_str(), named.stderr.as_str()), ("", expected));
        code.git(["update-ref", "-d", "refs/remotes/origin/main"]).ok();
        let unnamed = restore(&code, &["--changed"]).fails(2);
        assert!(unnamed.stderr.starts_with("error: there is no branch to compare with\n"), "{}", unnamed.stderr);
        assert!(!code.path.join(".assets").exists());
    });
}
