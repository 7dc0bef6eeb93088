//! Pushes where the branch is not at the pin or after it: it is behind, was reset, went another way, or is gone. Whatever
//! the pin has must be at the new pin too, or the push is refused.

use crate::pushing::{BRANCH, Stage, record, recorded};
use crate::support::{World, with_every_git};

/// The files of `sdk/a` at a commit of the remote, each with its content.
fn slice(stage: &Stage, commit: &str) -> Vec<(String, String)> {
    let names = stage.repo.git(["ls-tree", "-r", "--name-only", &format!("{commit}:recordings/sdk/a")]).ok().stdout;
    let content = |name: &str| stage.repo.file(commit, &format!("recordings/sdk/a/{name}")).unwrap();
    names.lines().map(|name| (name.to_string(), content(name))).collect()
}

/// Expects that the pin and the branch have the slice of an earlier commit with these files set (empty: deleted).
#[track_caller]
fn has_all_of(stage: &Stage, before: &str, set: &[(&str, &str)]) {
    let mut expected = slice(stage, before);
    expected.retain(|(name, _)| !set.iter().any(|(path, _)| path == name));
    expected.extend(
        set.iter().filter(|(_, text)| !text.is_empty()).map(|(path, text)| (path.to_string(), text.to_string())),
    );
    expected.sort();
    let pin = stage.sha();
    assert_eq!(stage.repo.rev(BRANCH), Some(pin.clone()));
    let mut found = slice(stage, &pin);
    found.sort();
    assert_eq!(found, expected);
    for (path, content) in expected {
        assert_eq!(recorded(&stage.code, &path), content, "{path}");
    }
    stage.is_settled();
}

fn is_ancestor(stage: &Stage, older: &str, newer: &str) -> bool {
    stage.repo.git(["merge-base", "--is-ancestor", older, newer]).code == Some(0)
}

/// Restores `sdk/a` at a commit, over HTTP.
fn restore(stage: &Stage, pin: &str) {
    stage.code.branch_manifest("sdk/a", &stage.url(), pin);
    stage.code.assets(["restore", "sdk/a"]).ok();
    stage.server().reset_log();
}

/// Commits on `main` after the first one: the last but one is returned, so that no ref leads to it.
fn consolidated(stage: &Stage) -> String {
    stage.repo.commit("main", &[("recordings/sdk/a/one.json", "sanitised\n"), ("elsewhere/x.json", "2\n")]);
    let pin = stage.repo.commit(
        "main",
        &[("recordings/sdk/a/added.json", "on main\n"), ("recordings/sdk/a/two.json", ""), ("elsewhere/y.json", "y\n")],
    );
    stage.repo.commit("main", &[("elsewhere/x.json", "3\n")]);
    pin
}

#[test]
fn a_branch_behind_the_pin_is_fast_forwarded() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        let pin = consolidated(&stage);
        restore(&stage, &pin);
        // One of them is a file that only the pin's side has changed: no conflict.
        stage.record(&[("four.json", "mine\n"), ("one.json", "mine too\n")]);
        let run = stage.push().ok();
        assert!(!run.stderr.contains("others"), "{}", run.stderr);
        assert_eq!(stage.parents(BRANCH), pin);
        assert!(is_ancestor(&stage, &stage.base, BRANCH));
        has_all_of(&stage, &pin, &[("four.json", "mine\n"), ("one.json", "mine too\n")]);
        // From here on nothing is special.
        stage.record(&[("four.json", "")]);
        stage.push().ok();
        has_all_of(&stage, &pin, &[("one.json", "mine too\n")]);
    });
}

#[test]
fn so_it_is_on_a_server_that_knows_no_filter_for_commits_alone() {
    for (key, value) in [("uploadpackfilter.tree.allow", "false"), ("uploadpack.allowFilter", "false")] {
        let world = World::new();
        let stage = Stage::unrestored(&world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        let pin = consolidated(&stage);
        stage.repo.git(["config", key, value]).ok();
        stage.code.branch_manifest("sdk/a", &format!("file://{}", stage.path()), &pin);
        stage.code.assets(["restore", "sdk/a"]).ok();
        stage.record(&[("four.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pin, "{key}");
        has_all_of(&stage, &pin, &[("four.json", "mine\n")]);
    }
}

#[test]
fn a_branch_that_was_reset_to_an_older_commit_is_fast_forwarded_again() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", "2\n")]);
        let pin =
            stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", "3\n"), ("recordings/sdk/a/two.json", "")]);
        restore(&stage, &pin);
        stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
        stage.record(&[("one.json", "mine\n"), ("deep/three.json", "")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pin);
        has_all_of(&stage, &pin, &[("one.json", "mine\n"), ("deep/three.json", "")]);
    });
}

/// Every commit that was taken back had been restored here, and is known here without its history.
#[test]
fn so_it_is_when_each_commit_was_shown_here() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let mut pins = Vec::new();
        for n in 0..4 {
            let content = format!("{n}\n");
            pins.push(
                stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", &content), ("elsewhere/x.json", &content)]),
            );
            restore(&stage, &pins[n]);
        }
        stage.repo.git(["update-ref", BRANCH, &pins[0]]).ok();
        stage.record(&[("two.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pins[3]);
        has_all_of(&stage, &pins[3], &[("two.json", "mine\n")]);
        // The same where the branch is at a commit that was made here.
        let made = stage.sha();
        stage.record(&[("two.json", "2\n")]);
        stage.push().ok();
        let pin = stage.sha();
        stage.repo.git(["update-ref", BRANCH, &made]).ok();
        stage.record(&[("two.json", "3\n")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pin);
        // And where it is gone.
        let pin = stage.sha();
        stage.repo.git(["update-ref", "-d", BRANCH]).ok();
        stage.record(&[("two.json", "again\n")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pin);
        has_all_of(&stage, &pin, &[("two.json", "again\n")]);
    });
}

#[test]
fn a_branch_that_was_reset_and_a_pin_that_is_gone() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", "2\n")]);
        let pin = stage
            .repo
            .commit("auto/a", &[("recordings/sdk/a/added.json", "a\n"), ("recordings/sdk/a/new.json", "n\n")]);
        restore(&stage, &pin);
        stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
        prune(&stage);
        stage.record(&[("four.json", "mine\n"), ("new.json", "")]);
        let before = stage.state();
        let run = stage.push().fails(3).says("would take back 2 files of its pin");
        assert!(before == stage.state(), "something was changed");
        assert!(run.stderr.contains("recordings/sdk/a/added.json\n"), "{}", run.stderr);
        assert!(run.stderr.contains("recordings/sdk/a/one.json\n"), "{}", run.stderr);
        assert!(!run.stderr.contains("two.json") && !run.stderr.contains("sdk/a/new.json"), "{}", run.stderr);
        assert_eq!(recorded(&stage.code, "four.json"), "mine\n");
        // Not even by preferring what is here.
        stage.code.assets(["push", "--ours", "sdk/a"]).fails(3);
    });
}

/// Takes from the remote what no ref leads to.
fn prune(stage: &Stage) {
    stage.repo.git(["reflog", "expire", "--expire=now", "--all"]).ok();
    stage.repo.git(["-c", "gc.pruneExpire=now", "gc", "-q", "--prune=now"]).ok();
}

#[test]
fn a_branch_that_went_another_way_takes_nothing_of_the_pin_back() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let pin = stage
            .repo
            .commit("auto/a", &[("recordings/sdk/a/one.json", "2\n"), ("recordings/sdk/a/added.json", "a\n")]);
        restore(&stage, &pin);
        // Rewritten from the same start, with other recordings.
        stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
        let tip = stage.repo.commit("auto/a", &[("recordings/sdk/a/two.json", "theirs\n")]);
        assert!(!is_ancestor(&stage, &pin, &tip));
        stage.record(&[("four.json", "mine\n")]);
        let before = stage.state();
        let run = stage.push().fails(3).says("would take back 2 files of its pin").says("sdk/a/one.json\n");
        assert!(before == stage.state());
        assert!(!run.stderr.contains("two.json"), "that is news: {}", run.stderr);

        // Both hints work. First: a new branch, which starts at the pin.
        let manifest = stage.code.read("sdk/a/assets.json");
        stage.code.manifest("sdk/a", &manifest.replace("\"SHA\"", "\"AssetsRepoBranch\": \"auto/a-2\",\n  \"SHA\""));
        stage.push().ok();
        assert_eq!(stage.parents("refs/heads/auto/a-2"), pin);
        assert_eq!(slice(&stage, &stage.sha()).len(), slice(&stage, &pin).len() + 1);

        // Second: the branch is right.
        restore(&stage, &pin);
        stage.record(&[("four.json", "mine\n")]);
        stage.code.branch_manifest("sdk/a", &stage.url(), &tip);
        stage.code.assets(["restore", "--stash", "sdk/a"]).ok();
        stage.code.assets(["stash", "pop", "sdk/a"]).ok();
        stage.push().ok();
        has_all_of(&stage, &tip, &[("four.json", "mine\n")]);
    });
}

/// A nightly consolidation merges the branch into `main` and pins that; a teammate goes on from the older pin.
#[test]
fn a_pin_that_is_a_merge_and_a_branch_that_went_on_without_it() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let first = stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", "2\n")]);
        restore(&stage, &first);
        let other = stage.clone_of_code_at(&first, "other");
        let main = stage.repo.commit("main", &[("elsewhere/x.json", "2\n")]);
        let merged = stage.repo.git(["merge-tree", "--write-tree", &main, &first]).ok().stdout.trim().to_string();
        let by = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        let commit = ["commit-tree", &merged, "-p", &main, "-p", &first, "-m", "merge"];
        let pin = stage.repo.git(by.into_iter().chain(commit)).ok().stdout.trim().to_string();
        stage.repo.git(["update-ref", "refs/heads/main", &pin]).ok();
        record(&other, &[("two.json", "theirs\n"), ("deep/three.json", "")]);
        other.assets(["push", "sdk/a"]).ok();
        restore(&stage, &pin);
        stage.record(&[("four.json", "mine\n")]);
        stage.push().ok().says("2 files that others had pushed in between are here now too");
        assert_eq!(stage.parents(BRANCH), other.pin("sdk/a", "SHA"));
        has_all_of(&stage, &pin, &[("four.json", "mine\n"), ("two.json", "theirs\n"), ("deep/three.json", "")]);
    });
}

#[test]
fn others_news_is_theirs_after_any_number_of_commits() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        restore(&stage, &stage.base);
        for n in 1..=3 {
            let content = format!("{n}\n");
            stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", &content), ("elsewhere/x.json", &content)]);
        }
        stage.repo.commit("auto/a", &[("recordings/sdk/a/two.json", "")]);
        stage.record(&[("four.json", "mine\n")]);
        stage.push().ok().says("2 files that others had pushed in between");
        has_all_of(&stage, &stage.base, &[("four.json", "mine\n"), ("one.json", "3\n"), ("two.json", "")]);
        // One fetch for the history, which has a request to find the server and one for the commits.
        let requests = stage.server().requests();
        let fetched = requests.iter().filter(|request| request.line() == "POST /assets.git/git-upload-pack").count();
        assert!(fetched <= 5, "{requests:#?}");
    });
}

#[test]
fn a_single_commit_of_others_takes_no_request_more() {
    with_every_git(|world| {
        let requests = |shows_history: bool| {
            let world = World::with_git(&world.root().join("bin/git"));
            let stage = Stage::unrestored(&world);
            stage.repo.git(["branch", "auto/a", &stage.base]).ok();
            restore(&stage, &stage.base);
            if shows_history {
                stage.repo.commit("auto/a", &[("recordings/sdk/a/five.json", "1\n")]);
            }
            stage.repo.commit("auto/a", &[("recordings/sdk/a/five.json", "five\n")]);
            stage.record(&[("four.json", "mine\n")]);
            stage.push().ok();
            stage.server().totals().requests
        };
        // The commit itself names the pin as its parent; with one in between the server is asked.
        let (one, two) = (requests(false), requests(true));
        assert!((one + 1..=one + 2).contains(&two), "{one} and {two}");
    });
}

/// Thirty recordings on `auto/a`, which `main` does not have; restored there.
fn on_a_branch_of_its_own(stage: &Stage) -> String {
    let files: Vec<(String, String)> =
        (0..30).map(|n| (format!("recordings/sdk/a/f{n:02}.json"), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    stage.repo.commit("auto/a", &files[..15]);
    let pin = stage.repo.commit("auto/a", &files[15..]);
    restore(stage, &pin);
    stage.repo.commit("main", &[("elsewhere/x.json", "2\n")]);
    pin
}

#[test]
fn a_branch_that_was_deleted_starts_again_at_the_pin() {
    with_every_git(|world| {
        for fallback in ["main", "none"] {
            let world = World::with_git(&world.root().join("bin/git"));
            let stage = Stage::unrestored(&world);
            let pin = on_a_branch_of_its_own(&stage);
            let manifest = stage.code.read("sdk/a/assets.json");
            let named = format!("\"AssetsRepoFallbackBranch\": \"{fallback}\",\n  \"SHA\"");
            stage.code.manifest("sdk/a", &manifest.replace("\"SHA\"", &named));
            stage.repo.git(["update-ref", "-d", BRANCH]).ok();
            stage.record(&[("new.json", "mine\n"), ("f00.json", "")]);
            let run = stage.push().ok();
            assert!(!run.stderr.contains("others"), "{}", run.stderr);
            assert_eq!(stage.parents(BRANCH), pin);
            has_all_of(&stage, &pin, &[("new.json", "mine\n"), ("f00.json", "")]);
        }
    });
}

#[test]
fn a_branch_that_was_deleted_with_all_its_commits_is_for_a_person() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        on_a_branch_of_its_own(&stage);
        stage.repo.git(["update-ref", "-d", BRANCH]).ok();
        prune(&stage);
        stage.record(&[("new.json", "mine\n")]);
        let before = stage.state();
        let run =
            stage.push().fails(3).says("would take back 30 files of its pin").says("f00.json\n").says("and 10 more");
        assert!(run.stderr.contains("`auto/a` does not exist"), "{}", run.stderr);
        assert!(before == stage.state());
        assert_eq!(recorded(&stage.code, "f29.json"), "29\n");
    });
}

#[test]
fn a_branch_that_was_merged_and_deleted_starts_from_where_it_was_merged() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let pin = on_a_branch_of_its_own(&stage);
        // Squashed: the same recordings in another commit.
        let files = slice(&stage, &pin);
        let files: Vec<(String, &str)> =
            files.iter().map(|(name, text)| (format!("recordings/sdk/a/{name}"), text.as_str())).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let squashed = stage.repo.commit("main", &files);
        stage.repo.git(["update-ref", "-d", BRANCH]).ok();
        prune(&stage);
        stage.record(&[("new.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), squashed);
        has_all_of(&stage, &squashed, &[("new.json", "mine\n")]);
    });
}

/// `git pull` brought another pin than the one that is shown; the pending changes were made on that.
#[test]
fn a_manifest_that_pins_another_commit_by_now() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        restore(&stage, &stage.base);
        let on_branch = stage.repo.commit("auto/a", &[("recordings/sdk/a/two.json", "theirs\n")]);
        let on_main = stage.repo.commit("main", &[("recordings/sdk/a/two.json", "on main\n")]);
        let elsewhere = stage.repo.commit("main", &[("recordings/sdk/a/two.json", "two\n"), ("top.txt", "x\n")]);
        stage.record(&[("one.json", "mine\n")]);

        // On no way to the new pin: its recordings would not be at the next one.
        stage.code.branch_manifest("sdk/a", &stage.url(), &on_main);
        let before = stage.state();
        stage.push().fails(3).says(&format!("pins `{on_main}`")).says("assets restore --stash");
        assert!(before == stage.state());

        // With the same recordings as those that are shown nothing is lost.
        stage.code.branch_manifest("sdk/a", &stage.url(), &elsewhere);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), on_branch);
        has_all_of(&stage, &on_branch, &[("one.json", "mine\n")]);

        // On the way to it.
        let other = stage.clone_of_code_at(&stage.sha(), "other");
        record(&other, &[("two.json", "2\n")]);
        other.assets(["push", "sdk/a"]).ok();
        let pulled = other.pin("sdk/a", "SHA");
        stage.record(&[("one.json", "3\n")]);
        stage.code.branch_manifest("sdk/a", &stage.url(), &pulled);
        stage.push().ok();
        assert_eq!(stage.parents(BRANCH), pulled);
        has_all_of(&stage, &pulled, &[("one.json", "3\n")]);
    });
}
