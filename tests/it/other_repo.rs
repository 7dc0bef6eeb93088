//! Two assets repos, or two addresses of one, that name the same folder for their checkout.

use std::path::Path;

use crate::support::{AssetsRepo, CodeRepo, World, run, snapshot, with_every_git, write};

/// Writes a manifest whose checkout is `.assets/shared`.
fn manifest(code: &CodeRepo, folder: &str, repo: &Path, sha: &str) {
    manifest_at(code, folder, &repo.to_string_lossy(), sha);
}

fn manifest_at(code: &CodeRepo, folder: &str, url: &str, sha: &str) {
    code.manifest(
        folder,
        &format!(
            r#"{{"AssetsRepo": "{url}", "AssetsRepoPrefixPath": "rec", "AssetsRepoId": "shared", "AssetsRepoBranch": "main", "SHA": "{sha}"}}"#
        ),
    );
}

/// Two assets repos, each with a package, and a code repo that shows the first.
fn two_repos(world: &World) -> (AssetsRepo, AssetsRepo, CodeRepo) {
    let (one, other) = (world.assets_repo("one"), world.assets_repo("other"));
    let pins =
        [one.commit("main", &[("rec/sdk/a/a.json", "a\n")]), other.commit("main", &[("rec/sdk/b/b.json", "b\n")])];
    let code = world.code_repo("code");
    manifest(&code, "sdk/a", &one.path, &pins[0]);
    manifest(&code, "sdk/b", &other.path, &pins[1]);
    (one, other, code)
}

#[test]
fn a_checkout_is_not_used_for_another_assets_repo() {
    with_every_git(|world| {
        let (one, other, code) = two_repos(world);
        code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.checkout("shared");
        write(&checkout.join("rec/sdk/a/new.json"), "mine\n");
        let before = snapshot(&checkout);
        let refusal =
            format!("is a checkout of assets repo `{}`, and not of `{}`", one.path.display(), other.path.display());
        let commands: [&[&str]; 5] = [
            &["restore", "sdk/b"],
            &["restore", "--all"],
            &["restore", "--discard", "sdk/b"],
            &["reset", "-y", "sdk/b"],
            &["checkout", "main", "sdk/b"],
        ];
        for command in commands {
            code.assets(command)
                .fails(2)
                .says(&refusal)
                .says("name another folder for one of them, with `AssetsRepoId`");
            assert!(snapshot(&checkout) == before, "{command:?}");
        }
        code.assets(["push", "sdk/b"]).fails(2).says(&refusal);
        code.assets(["stash", "pop", "sdk/b"]).fails(2).says(&refusal);
        assert!(code.assets(["status", "sdk/b"]).ok().stdout.contains(&refusal));
        assert!(code.assets(["doctor", "sdk/b"]).fails(2).stdout.contains(&refusal));
        assert!(snapshot(&checkout) == before);
        // The other package is whole.
        assert!(code.assets(["status", "sdk/a"]).ok().stdout.contains("at pin"));
        code.assets(["restore", "sdk/a"]).ok();
        code.assets(["push", "sdk/a"]).ok();
        assert_eq!(one.file("main", "rec/sdk/a/new.json"), Some("mine\n".into()));
        code.git_in(&checkout, ["status"]).ok();
    });
}

#[test]
fn of_several_manifests_in_one_command_those_of_one_repo_are_restored() {
    with_every_git(|world| {
        let (_, _, code) = two_repos(world);
        let says = "`sdk/b/assets.json` and `sdk/a/assets.json` name different assets repos for one checkout";
        code.assets(["restore", "--all"]).fails(2).says(says);
        let checkout = code.checkout("shared");
        let read = |path: &str| std::fs::read_to_string(checkout.join(path)).ok();
        assert_eq!((read("rec/sdk/a/a.json").as_deref(), read("rec/sdk/b/b.json")), (Some("a\n"), None));
        // The one that is on disk decides, not the order of the names.
        std::fs::remove_dir_all(&checkout).unwrap();
        code.assets(["restore", "sdk/b"]).ok();
        code.assets(["restore", "--all"]).fails(2).says("is a checkout of assets repo");
        assert_eq!((read("rec/sdk/a/a.json"), read("rec/sdk/b/b.json").as_deref()), (None, Some("b\n")));
        let status = code.assets(["status", "--all"]).ok().stdout;
        assert!(status.contains("sdk/b    at pin") && status.contains("sdk/a    broken"), "{status}");
    });
}

/// Follows the hint of a refusal that has these words.
fn follow(code: &CodeRepo, command: &[&str], words: &str) {
    let run_again = code.assets(command).fails(2);
    let said = run_again.stderr.replace("\n      ", " ");
    let hint = said.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{said}"));
    let command = hint.split('`').nth(1).unwrap();
    run(&code.path, code.env(), "/bin/sh", ["-c", command]).ok();
}

#[test]
fn a_repo_that_has_moved_keeps_its_checkout_with_all_that_is_pending() {
    with_every_git(|world| {
        let old = world.assets_repo("old");
        let first = old.commit("main", &[("rec/sdk/a/a.json", "a\n"), ("rec/sdk/b/b.json", "b\n")]);
        let code = world.code_repo("code");
        manifest(&code, "sdk/a", &old.path, &first);
        manifest(&code, "sdk/b", &old.path, &first);
        code.assets(["restore", "--all"]).ok();
        let checkout = code.checkout("shared");
        write(&checkout.join("rec/sdk/a/a.json"), "stashed\n");
        code.assets(["reset", "-y", "sdk/a"]).ok();
        write(&checkout.join("rec/sdk/a/new.json"), "mine\n");

        let second = old.commit("main", &[("rec/sdk/b/b.json", "b2\n")]);
        let moved = world.root().join("moved.git");
        std::fs::rename(&old.path, &moved).unwrap();
        manifest(&code, "sdk/a", &moved, &first);
        manifest(&code, "sdk/b", &moved, &second);
        follow(&code, &["restore", "sdk/b"], "if the repo has moved");
        code.assets(["restore", "--all"]).ok();
        let read = |path: &str| std::fs::read_to_string(checkout.join(path)).ok();
        assert_eq!(read("rec/sdk/b/b.json").as_deref(), Some("b2\n"));
        assert_eq!(read("rec/sdk/a/new.json").as_deref(), Some("mine\n"));
        code.assets(["push", "sdk/a"]).ok();
        assert_eq!(read("rec/sdk/a/a.json").as_deref(), Some("a\n"));
        code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(read("rec/sdk/a/a.json").as_deref(), Some("stashed\n"));
        code.git_in(&checkout, ["fsck", "--connectivity-only", "HEAD"]).ok();
    });
}

#[test]
fn a_push_is_the_first_command_after_the_move() {
    with_every_git(|world| {
        let old = world.assets_repo("old");
        let pin = old.commit("main", &[("rec/sdk/a/a.json", "a\n")]);
        let code = world.code_repo("code");
        manifest(&code, "sdk/a", &old.path, &pin);
        code.assets(["restore", "sdk/a"]).ok();
        write(&code.checkout("shared").join("rec/sdk/a/new.json"), "mine\n");
        let moved = world.root().join("moved.git");
        std::fs::rename(&old.path, &moved).unwrap();
        manifest(&code, "sdk/a", &moved, &pin);
        follow(&code, &["push", "sdk/a"], "if the repo has moved");
        code.assets(["push", "sdk/a"]).ok();
        let shown = run(&moved, code.env(), "git", ["show", "main:rec/sdk/a/new.json"]).ok().stdout;
        assert_eq!(shown, "mine\n");
    });
}

#[test]
fn the_checkout_can_be_moved_away_and_nothing_in_it_is_lost() {
    with_every_git(|world| {
        let (_, _, code) = two_repos(world);
        code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.checkout("shared");
        write(&checkout.join("rec/sdk/a/new.json"), "mine\n");
        follow(&code, &["restore", "sdk/b"], "begin a new checkout");
        code.assets(["restore", "sdk/b"]).ok();
        let read = |path: &str| std::fs::read_to_string(code.path.join(".assets").join(path)).ok();
        assert_eq!(read("shared/rec/sdk/b/b.json").as_deref(), Some("b\n"));
        assert_eq!(read("shared.old/rec/sdk/a/new.json").as_deref(), Some("mine\n"));
    });
}

#[test]
fn another_spelling_of_the_same_repository_is_no_other_repository() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let pins = ["1\n", "2\n", "3\n"].map(|text| repo.commit("main", &[("rec/sdk/a/a.json", text)]));
        let config = std::fs::read_to_string(world.root().join("home/.gitconfig")).unwrap();
        let path = repo.path.display();
        let spelled = [
            "o/n",
            "https://github.com/o/n",
            "git@github.com:o/n.git",
            "ssh://git@github.com/o/n.git",
            "https://x@github.com/o/n",
        ];
        let mut rewritten = format!("{config}[url \"{path}\"]\n\tinsteadOf = https://github.com/o/n.git\n");
        spelled[1..].iter().for_each(|spelled| rewritten.push_str(&format!("\tinsteadOf = {spelled}\n")));
        world.write("home/.gitconfig", rewritten);
        let code = world.code_repo("code");
        let checkout = code.checkout("shared");
        let mut pins = pins.iter().cycle();
        for spelled in spelled {
            manifest_at(&code, "sdk/a", spelled, pins.next().unwrap());
            code.assets(["restore", "sdk/a"]).ok();
            assert!(code.assets(["status", "sdk/a"]).ok().stdout.contains("at pin"), "{spelled}");
        }
        write(&checkout.join("rec/sdk/a/new.json"), "mine\n");
        manifest_at(&code, "sdk/a", spelled[0], pins.next().unwrap());
        code.assets(["restore", "sdk/a"]).ok().says("put aside 1 pending change");
        code.assets(["stash", "pop", "sdk/a"]).ok();
    });
}
