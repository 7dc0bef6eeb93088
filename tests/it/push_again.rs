//! The push after one that was interrupted when the remote had taken it, and recordings that are made while a push runs.
#![cfg(unix)]

use crate::push_races::push_and_die;
use crate::pushing::{BRANCH, Stage, record, recorded, recording, remote_hook, unwrap_git, wrap_git};
use crate::support::{CodeRepo, World, with_every_git};

/// A file of `sdk/a` on the branch; empty when it is not there.
fn on_branch(stage: &Stage, path: &str) -> String {
    stage.repo.file(BRANCH, &format!("recordings/sdk/a/{path}")).unwrap_or_default()
}

/// Expects files with these contents on the branch and in the checkout (empty: none).
#[track_caller]
fn has(stage: &Stage, files: &[(&str, &str)]) {
    for (path, content) in files {
        assert_eq!(on_branch(stage, path), *content, "{path} on the branch");
        assert_eq!(recorded(&stage.code, path), *content, "{path} in the checkout");
    }
}

/// The files that differ between the branch and the commit before it, sorted.
fn last_push(stage: &Stage) -> Vec<String> {
    let range = format!("{BRANCH}~1");
    let names = stage.repo.git(["diff", "--no-renames", "--name-only", &range, BRANCH]).ok().stdout;
    names.lines().map(|name| name.trim_start_matches("recordings/sdk/a/").to_string()).collect()
}

/// A teammate pushed `two.json` and `theirs.json` and deleted `deep/three.json`; then a push of these files was put on top
/// of that, and killed when the remote had it.
fn replayed_and_killed<'a>(world: &'a World, files: &[(&str, &str)]) -> (Stage<'a>, CodeRepo) {
    let stage = Stage::branch(world);
    let other = stage.clone_of_code("other");
    record(&other, &[("two.json", "theirs\n"), ("theirs.json", "theirs\n"), ("deep/three.json", "")]);
    other.assets(["push", "sdk/a"]).ok();
    stage.record(files);
    push_and_die(&stage);
    assert_eq!(stage.parents(BRANCH), other.pin("sdk/a", "SHA"), "it had arrived");
    assert_eq!(stage.sha(), stage.base);
    (stage, other)
}

const THEIRS: [(&str, &str); 3] = [("two.json", "theirs\n"), ("theirs.json", "theirs\n"), ("deep/three.json", "")];

#[test]
fn what_a_teammate_pushed_stays_when_more_is_recorded() {
    with_every_git(|world| {
        let (stage, _) = replayed_and_killed(world, &[("one.json", "mine\n"), ("new.json", "mine\n")]);
        stage.record(&[("one.json", "once more\n"), ("four.json", "four\n"), ("new.json", "")]);
        stage.push().ok().says("3 files that others had pushed in between");
        assert_eq!(last_push(&stage), ["four.json", "new.json", "one.json"]);
        has(&stage, &[("one.json", "once more\n"), ("four.json", "four\n"), ("new.json", "")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

#[test]
fn nothing_more_was_recorded() {
    with_every_git(|world| {
        let (stage, _) = replayed_and_killed(world, &[("one.json", "mine\n")]);
        let sent = stage.repo.rev(BRANCH);
        stage.push().ok().says("3 files that others had pushed in between");
        assert_eq!((stage.repo.rev(BRANCH), Some(stage.sha())), (sent.clone(), sent));
        has(&stage, &[("one.json", "mine\n")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

#[test]
fn what_was_undone_goes_back_to_what_the_others_have() {
    with_every_git(|world| {
        let (stage, _) =
            replayed_and_killed(world, &[("one.json", "mine\n"), ("new.json", "mine\n"), ("four.json", "4\n")]);
        stage.record(&[("one.json", "one\n"), ("new.json", ""), ("four.json", "four\n")]);
        stage.push().ok();
        assert_eq!(last_push(&stage), ["four.json", "new.json", "one.json"]);
        has(&stage, &[("one.json", "one\n"), ("new.json", ""), ("four.json", "four\n")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

#[test]
fn a_deletion_that_was_undone() {
    with_every_git(|world| {
        let (stage, _) = replayed_and_killed(world, &[("one.json", "")]);
        stage.record(&[("one.json", "one\n"), ("four.json", "four\n")]);
        stage.push().ok();
        has(&stage, &[("one.json", "one\n"), ("four.json", "four\n")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

#[test]
fn a_teammate_changed_the_same_file_on_top() {
    with_every_git(|world| {
        let (stage, other) = replayed_and_killed(world, &[("one.json", "mine\n"), ("new.json", "mine\n")]);
        other.branch_manifest("sdk/a", &stage.path(), &stage.repo.rev(BRANCH).unwrap());
        other.assets(["restore", "sdk/a"]).ok();
        record(&other, &[("one.json", "theirs on top\n"), ("five.json", "5\n")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "once more\n"), ("new.json", "once more\n")]);
        let before = stage.state();
        let run = stage.push().fails(3).says("recordings/sdk/a/one.json\n");
        assert!(!run.stderr.contains("new.json"), "{}", run.stderr);
        assert!(before == stage.state());
        // A second time too: what was found out is not forgotten.
        stage.push().fails(3);
        stage.code.assets(["push", "--ours", "sdk/a"]).ok();
        assert_eq!(last_push(&stage), ["new.json", "one.json"]);
        has(&stage, &[("one.json", "once more\n"), ("new.json", "once more\n"), ("five.json", "5\n")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

#[test]
fn killed_twice_and_a_teammate_in_between() {
    with_every_git(|world| {
        let (stage, other) = replayed_and_killed(world, &[("one.json", "first\n"), ("new.json", "first\n")]);
        other.branch_manifest("sdk/a", &stage.path(), &stage.repo.rev(BRANCH).unwrap());
        other.assets(["restore", "sdk/a"]).ok();
        record(&other, &[("five.json", "5\n")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "second\n")]);
        push_and_die(&stage);
        stage.record(&[("one.json", "third\n"), ("new.json", "")]);
        stage.push().ok();
        assert_eq!(last_push(&stage), ["new.json", "one.json"]);
        has(&stage, &[("one.json", "third\n"), ("new.json", ""), ("five.json", "5\n")]);
        has(&stage, &THEIRS);
        stage.is_settled();
    });
}

/// Writes files of `sdk/a` when the remote has taken a push and before it has answered.
fn record_during_the_push(stage: &Stage, files: &[(&str, &str)]) {
    let line = |(path, content): &(&str, &str)| {
        let file = recording(&stage.code, path);
        format!("mkdir -p '{}'; printf '{content}' > '{}'", file.parent().unwrap().display(), file.display())
    };
    let script = files.iter().map(line).collect::<Vec<_>>().join("\n");
    remote_hook(&stage.repo, "post-receive", &script);
}

fn no_hook(stage: &Stage) {
    std::fs::remove_file(stage.repo.path.join("hooks/post-receive")).unwrap();
}

#[test]
fn what_is_recorded_during_a_push_stays_pending() {
    with_every_git(|world| {
        for others in [false, true] {
            let world = World::with_git(&world.root().join("bin/git"));
            let stage = Stage::branch(&world);
            if others {
                let other = stage.clone_of_code("other");
                record(&other, &THEIRS);
                other.assets(["push", "sdk/a"]).ok();
            }
            stage.record(&[("one.json", "first\n"), ("new.json", "first\n")]);
            record_during_the_push(&stage, &[("one.json", "second\n"), ("late.json", "late\n")]);
            stage.push().ok().says("pushed 2 files (1 new, 1 modified)");
            no_hook(&stage);
            assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
            assert_eq!(on_branch(&stage, "one.json"), "first\n");
            assert_eq!(recorded(&stage.code, "one.json"), "second\n");
            stage.push().ok().says("pushed 2 files (1 new, 1 modified)");
            has(&stage, &[("one.json", "second\n"), ("new.json", "first\n"), ("late.json", "late\n")]);
            if others {
                has(&stage, &THEIRS);
            }
            stage.is_settled();
        }
    });
}

#[test]
fn what_is_recorded_during_a_push_beside_another_package() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let newer = stage.repo.commit("main", &[("recordings/sdk/b/one.json", "newer\n"), ("top.txt", "top\n")]);
        stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
        stage.code.branch_manifest("sdk/b", &stage.path(), &newer);
        stage.code.assets(["restore", "sdk/b"]).ok();
        stage.record(&[("one.json", "first\n")]);
        record_during_the_push(&stage, &[("one.json", "second\n"), ("../b/one.json", "b pending\n")]);
        stage.push().ok();
        no_hook(&stage);
        assert_eq!(on_branch(&stage, "one.json"), "first\n");
        stage.code.assets(["push", "sdk/a", "sdk/b"]).ok();
        has(&stage, &[("one.json", "second\n")]);
        let b = stage.code.pin("sdk/b", "SHA");
        assert_eq!(stage.repo.file(&b, "recordings/sdk/b/one.json").as_deref(), Some("b pending\n"));
        stage.is_settled();
    });
}

#[test]
fn what_others_changed_too_is_stashed() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        record(&other, &THEIRS);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        let late =
            [("two.json", "late\n"), ("theirs.json", "late\n"), ("deep/three.json", "late\n"), ("four.json", "late\n")];
        record_during_the_push(&stage, &late);
        stage.push().ok().says("stashed 3 files recorded during the push").says("assets stash pop --ours sdk/a");
        no_hook(&stage);
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        has(&stage, &[("one.json", "mine\n")]);
        has(&stage, &THEIRS);
        assert_eq!(recorded(&stage.code, "four.json"), "late\n");
        let status = stage.code.assets(["status", "--json", "sdk/a"]).ok().json();
        assert_eq!(status["results"][0]["stashed"], 1, "{status}");
        stage.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        for (path, content) in late {
            assert_eq!(recorded(&stage.code, path), content);
        }
        stage.push().ok();
        has(&stage, &late);
        stage.is_settled();
    });
}

/// Whatever may be wrong inside: an edit of a file that is not pending stops the push.
#[test]
fn no_file_is_sent_that_is_not_pending() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        stage.record(&[("one.json", "mine\n")]);
        let script = "case \"$1 $GIT_INDEX_FILE\" in update-index*assets-index) \"$git\" \"$@\" || exit 1\n\
                      exec \"$git\" update-index --force-remove recordings/sdk/a/two.json ;; esac";
        wrap_git(world, script);
        let before = stage.state();
        stage.push().fails(1).says("internal error").says("`recordings/sdk/a/two.json`, which is not pending");
        unwrap_git(world);
        assert!(before == stage.state());

        // The same where a change is put on a moved branch.
        record(&other, &[("five.json", "5\n")]);
        other.assets(["push", "sdk/a"]).ok();
        wrap_git(world, &script.replace("assets-index)", "assets-index-merge)"));
        let before = stage.state();
        stage.push().fails(1).says("internal error").says("`recordings/sdk/a/two.json`, which is not pending");
        unwrap_git(world);
        assert!(before == stage.state());
        stage.push().ok();
        has(&stage, &[("one.json", "mine\n"), ("two.json", "two\n"), ("five.json", "5\n")]);
        stage.is_settled();
    });
}
