//! Packages inside each other, pushed in turn by one user: what is nobody else's change is no conflict, and what a push
//! says it sent is what it sent.

use crate::pushing::{BRANCH, Stage, recorded};
use crate::support::with_every_git;

const OUTER: &str = "sdk/a";
const INNER: &str = "sdk/a/deep";

/// Pushes a package and compares the files that it names with those that the commit changes.
#[track_caller]
fn push(stage: &Stage, package: &str) {
    let json = stage.code.assets(["push", package, "--json"]).ok().json();
    let result = &json["results"][0];
    let commit = result["commit"].as_str().unwrap();
    assert_eq!(stage.code.pin(package, "SHA"), commit);
    let named: Vec<&str> =
        result["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    let changed = stage.repo.git(["diff", "--no-renames", "--name-only", &format!("{commit}~1"), commit]).ok().stdout;
    assert_eq!(named, changed.lines().collect::<Vec<_>>(), "{package}");
}

fn with_inner<'a>(stage: Stage<'a>) -> Stage<'a> {
    stage.code.branch_manifest(INNER, &stage.path(), &stage.base);
    stage.code.assets(["restore", OUTER, INNER]).ok();
    stage
}

#[test]
fn in_turn() {
    with_every_git(|world| {
        let stage = with_inner(Stage::branch(world));
        for round in 1..=4 {
            let content = format!("{round}\n");
            let name = format!("new{round}.json");
            let inner = format!("deep/{name}");
            stage.record(&[
                ("one.json", &content),
                (&name, &content),
                ("deep/three.json", &content),
                (&inner, &content),
            ]);
            let order = if round % 2 == 0 { [OUTER, INNER] } else { [INNER, OUTER] };
            order.into_iter().for_each(|package| push(&stage, package));
            if round == 3 {
                stage.record(&[("new1.json", ""), ("deep/new1.json", "")]);
                order.into_iter().for_each(|package| push(&stage, package));
            }
        }
        for path in ["one.json", "deep/three.json", "new4.json", "deep/new4.json"] {
            assert_eq!(stage.repo.file(BRANCH, &format!("recordings/sdk/a/{path}")).as_deref(), Some("4\n"), "{path}");
            assert_eq!(recorded(&stage.code, path), "4\n");
        }
        for path in ["new1.json", "deep/new1.json"] {
            assert_eq!(stage.repo.file(BRANCH, &format!("recordings/sdk/a/{path}")), None, "{path}");
        }
        let commits = stage.repo.git(["rev-list", &format!("{}..{BRANCH}", stage.base)]).ok().stdout;
        assert_eq!(commits.lines().count(), 10, "each push is one commit");
        stage.is_settled();
    });
}

#[test]
fn each_with_a_branch_of_its_own() {
    with_every_git(|world| {
        let stage = with_inner(Stage::branch(world));
        let manifest = stage.code.read("sdk/a/deep/assets.json");
        stage.code.manifest(INNER, &manifest.replace("\"SHA\"", "\"AssetsRepoBranch\": \"auto/deep\",\n  \"SHA\""));
        for round in ["1\n", "2\n", "3\n"] {
            stage.record(&[("one.json", round), ("deep/three.json", round)]);
            push(&stage, OUTER);
            push(&stage, INNER);
        }
        // Each branch has its own package's files; the other's are as they were.
        let file = |branch: &str, path: &str| stage.repo.file(branch, &format!("recordings/sdk/a/{path}"));
        assert_eq!(file(BRANCH, "one.json").as_deref(), Some("3\n"));
        assert_eq!(file(BRANCH, "deep/three.json").as_deref(), Some("three\n"));
        assert_eq!(file("auto/deep", "deep/three.json").as_deref(), Some("3\n"));
        assert_eq!(file("auto/deep", "one.json").as_deref(), Some("one\n"));
        stage.is_settled();
    });
}

#[test]
fn both_at_once_and_only_one_of_them_pending() {
    with_every_git(|world| {
        let stage = with_inner(Stage::branch(world));
        stage.record(&[("one.json", "1\n"), ("deep/three.json", "1\n")]);
        stage.code.assets(["push", OUTER, INNER]).ok();
        for (path, package) in [("deep/three.json", INNER), ("one.json", OUTER), ("deep/three.json", INNER)] {
            let content = format!("{}2\n", recorded(&stage.code, path));
            stage.record(&[(path, &content)]);
            push(&stage, package);
        }
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json").as_deref(), Some("1\n2\n"));
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/deep/three.json").as_deref(), Some("1\n2\n2\n"));
        stage.is_settled();
    });
}

#[test]
fn on_a_branch_that_is_behind_both_pins() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        let pin = stage
            .repo
            .commit("main", &[("recordings/sdk/a/one.json", "m\n"), ("recordings/sdk/a/deep/three.json", "m\n")]);
        for package in [OUTER, INNER] {
            stage.code.branch_manifest(package, &stage.path(), &pin);
        }
        stage.code.assets(["restore", OUTER, INNER]).ok();
        stage.record(&[("one.json", "1\n"), ("deep/three.json", "1\n")]);
        push(&stage, INNER);
        push(&stage, OUTER);
        stage.repo.git(["merge-base", "--is-ancestor", &pin, BRANCH]).ok();
        assert_eq!(recorded(&stage.code, "one.json"), "1\n");
        assert_eq!(recorded(&stage.code, "deep/three.json"), "1\n");
        stage.is_settled();
    });
}

/// The inner package is not restored: its folder is the outer one's, until it is.
#[test]
fn the_inner_one_is_restored_later() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", "1\n"), ("deep/three.json", "1\n"), ("deep/new.json", "1\n")]);
        push(&stage, OUTER);
        let outer = stage.sha();
        stage.code.branch_manifest(INNER, &stage.path(), &outer);
        stage.code.assets(["restore", INNER]).ok();
        stage.record(&[("deep/three.json", "2\n"), ("deep/new.json", "")]);
        push(&stage, INNER);
        stage.record(&[("one.json", "2\n")]);
        push(&stage, OUTER);
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/deep/three.json").as_deref(), Some("2\n"));
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/deep/new.json"), None);
        stage.is_settled();
    });
}
