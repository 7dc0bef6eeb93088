//! `assets push`: what is sent, where to, and what is there afterwards.

use crate::pushing::{BRANCH, Stage, record, recorded, recording};
use crate::support::{World, snapshot, with_every_git, write};

#[test]
fn a_new_branch_starts_from_the_fallback_branch() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", "mine\n"), ("new/four.json", "four\n"), ("two.json", "")]);
        let run = stage.push().ok();
        let pin = stage.sha();
        assert_eq!(run.stdout, format!("{pin}\n"));
        assert_eq!(
            run.stderr,
            format!(
                "pushed 3 files (1 new, 1 modified, 1 deleted) of `sdk/a/assets.json` to `auto/a`\n\
                 `sdk/a/assets.json` has its new pin: commit it\n\
                 not checked for secrets: `ASSETS_SECRET_SCANNER` is `none`\n"
            )
        );
        assert_eq!(stage.repo.rev(BRANCH), Some(pin.clone()));
        assert_eq!(stage.repo.rev("refs/heads/main"), Some(stage.base.clone()));
        assert_eq!(stage.parents(&pin), stage.base);
        assert_eq!(
            changes(&stage, &stage.base, &pin),
            ["A\trecordings/sdk/a/new/four.json", "D\trecordings/sdk/a/two.json", "M\trecordings/sdk/a/one.json"]
        );
        stage.is_settled();
    });
}

#[test]
fn files_beside_the_manifest_are_left_alone() {
    let world = World::new();
    let stage = Stage::branch(&world);
    for name in [".new", ".tmp", ".orig", "~"] {
        stage.code.write(&format!("sdk/a/assets.json{name}"), "somebody's\n");
    }
    // What a killed push left.
    stage.code.write("sdk/a/.assets.json.assets-new", "{");
    stage.record(&[("one.json", "mine\n")]);
    stage.push().ok();
    let mut names: Vec<String> = snapshot(&stage.code.path.join("sdk/a")).into_keys().collect();
    names.sort();
    let expected = ["", ".new", ".orig", ".tmp", "~"].map(|name| format!("assets.json{name}"));
    assert_eq!(names, expected);
}

/// The files that differ between two commits of the remote, sorted.
fn changes(stage: &Stage, old: &str, new: &str) -> Vec<String> {
    let diff = stage.repo.git(["diff", "--no-renames", "--name-status", old, new]).ok().stdout;
    let mut lines: Vec<String> = diff.lines().map(String::from).collect();
    lines.sort();
    lines
}

#[test]
fn a_missing_branch_starts_from_the_tip_of_the_fallback_branch() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let tip = stage.repo.commit("main", &[("recordings/sdk/a/two.json", "theirs\n")]);
    stage.record(&[("one.json", "mine\n")]);
    stage.push().ok().says("1 file that others had pushed");
    assert_eq!(stage.parents(BRANCH), tip);
    assert_eq!(recorded(&stage.code, "two.json"), "theirs\n");
    stage.is_settled();
}

#[test]
fn onto_a_branch_at_the_pin_takes_two_requests_and_five_gits() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        stage.record(&[("one.json", "first\n")]);
        stage.push().ok();
        let before = stage.sha();
        stage.record(&[("one.json", "second\n"), ("two.json", "second\n"), ("four.json", "four\n")]);
        let trace = world.root().join("trace");
        std::fs::create_dir(&trace).unwrap();
        stage.server().reset_log();
        stage.code.assets_with(&[("GIT_TRACE2_EVENT", &trace.to_string_lossy())], ["push", "sdk/a"]).ok();
        let requests: Vec<String> = stage.server().requests().iter().map(|request| request.line()).collect();
        assert_eq!(
            requests,
            ["GET /assets.git/info/refs?service=git-receive-pack", "POST /assets.git/git-receive-pack"]
        );
        let started = gits_started(&trace);
        assert!((1..=5).contains(&started.len()), "{started:#?}");
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        assert_eq!(stage.parents(BRANCH), before);
        stage.is_settled();
    });
}

/// The git commands that were started by no other git.
fn gits_started(trace: &std::path::Path) -> Vec<String> {
    let mut started = Vec::new();
    for text in snapshot(trace).into_values() {
        for line in String::from_utf8(text).unwrap().lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            if event["event"] == "start" && !event["sid"].as_str().unwrap().contains('/') {
                started.push(event["argv"].to_string());
            }
        }
    }
    started
}

#[test]
fn a_moved_branch_gets_the_change_on_top() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        record(&other, &[("two.json", "theirs\n"), ("five.json", "five\n"), ("deep/three.json", "")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n"), ("four.json", "four\n")]);
        stage.push().ok().says("3 files that others had pushed in between are here now too\n");
        let pin = stage.sha();
        assert_eq!(stage.repo.rev(BRANCH), Some(pin.clone()));
        assert_eq!(stage.parents(&pin), other.pin("sdk/a", "SHA"));
        for (path, content) in
            [("one", "mine\n"), ("two", "theirs\n"), ("four", "four\n"), ("five", "five\n"), ("deep/three", "")]
        {
            assert_eq!(recorded(&stage.code, &format!("{path}.json")), content, "{path}");
            let remote = stage.repo.file(&pin, &format!("recordings/sdk/a/{path}.json"));
            assert_eq!(remote.unwrap_or_default(), content, "{path}");
        }
        stage.is_settled();
    });
}

#[test]
fn the_same_change_on_both_sides_is_fine() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let other = stage.clone_of_code("other");
    record(&other, &[("one.json", "same\n"), ("two.json", ""), ("new.json", "same\n"), ("five.json", "five\n")]);
    other.assets(["push", "sdk/a"]).ok();
    let theirs = other.pin("sdk/a", "SHA");
    stage.record(&[("one.json", "same\n"), ("two.json", ""), ("new.json", "same\n")]);
    stage.push().ok();
    assert_eq!(stage.sha(), theirs, "there was nothing left to add");
    assert_eq!(stage.repo.rev(BRANCH), Some(theirs));
    assert_eq!(recorded(&stage.code, "five.json"), "five\n");
    stage.is_settled();
}

#[test]
fn only_deletions() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", ""), ("two.json", ""), ("deep/three.json", "")]);
        std::fs::remove_dir_all(stage.code.only_checkout().join("recordings/sdk/a")).unwrap();
        stage.push().ok().says("pushed 3 files (3 deleted)");
        let left = stage.repo.git(["ls-tree", "-r", "--name-only", BRANCH]).ok().stdout;
        assert_eq!(left, "elsewhere/x.json\nrecordings/readme.txt\nrecordings/sdk/b/one.json\n");
        stage.code.assets(["restore", "sdk/a"]).ok();
        assert!(recording(&stage.code, "").is_dir(), "the empty slice is still there to record into");
    });
}

#[test]
fn two_thousand_new_files() {
    let world = World::new();
    let stage = Stage::served(&world);
    for n in 0..2000 {
        write(
            &recording(&stage.code, &format!("many/{}/a recording with a long name {n}.json", n % 50)),
            n.to_string(),
        );
    }
    stage.push().ok().says("pushed 2000 files (2000 new)");
    let files = stage.repo.git(["ls-tree", "-r", "--name-only", BRANCH, "recordings/sdk/a/many/"]).ok().stdout;
    assert_eq!(files.lines().count(), 2000);
    assert_eq!(stage.server().requests().iter().filter(|request| request.line().starts_with("POST")).count(), 2);
    stage.is_settled();
}

#[test]
fn a_tag_is_made_on_the_pin_and_nothing_else_is_pushed() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        let before = stage.refs();
        stage.record(&[("one.json", "mine\n"), ("four.json", "four\n")]);
        let run = stage.push().ok();
        let tag = stage.code.pin("sdk/a", "Tag");
        let commit = stage.repo.rev(&format!("refs/tags/{tag}")).expect("the tag is on the remote");
        assert_eq!(tag, format!("py/sdk/a_{}", &commit[..10]));
        assert_eq!(run.stdout, format!("{tag}\n"));
        assert_eq!(stage.parents(&commit), stage.base);
        let mut refs: Vec<String> = before.lines().map(String::from).collect();
        refs.push(format!("{commit} commit\trefs/tags/{tag}"));
        refs.sort_by_key(|line| line.split('\t').nth(1).map(String::from));
        assert_eq!(stage.refs().lines().collect::<Vec<_>>(), refs);
        let lines: Vec<String> = stage.server().requests().iter().map(|request| request.line()).collect();
        assert_eq!(lines, ["GET /assets.git/info/refs?service=git-receive-pack", "POST /assets.git/git-receive-pack"]);
        let hash = stage.code.checkouts().pop().unwrap();
        let crumb = stage.code.read(&format!(".assets/breadcrumb/{hash}.breadcrumb"));
        assert_eq!(crumb.trim_end(), format!("sdk/a/assets.json;{hash};{tag}"));
        assert_eq!(stage.code.git_in(&stage.code.only_checkout(), ["rev-parse", "HEAD"]).ok().stdout.trim(), commit);
        stage.is_settled();

        // And once more, on top of that.
        stage.record(&[("five.json", "five\n")]);
        stage.push().ok();
        let next = stage.repo.rev(&format!("refs/tags/{}", stage.code.pin("sdk/a", "Tag"))).unwrap();
        assert_eq!(stage.parents(&next), commit);
        stage.is_settled();
    });
}

#[test]
fn only_files_of_the_slice_are_sent() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let checkout = stage.code.only_checkout();
        write(&checkout.join("recordings/readme.txt"), "changed above the slice\n");
        write(&checkout.join("recordings/sdk/b/new.json"), "of no slice\n");
        write(&checkout.join("notes.txt"), "at the top\n");
        write(&checkout.join("staged.txt"), "staged at the top\n");
        stage.code.git_in(&checkout, ["add", "-f", "--sparse", "staged.txt", "recordings/readme.txt"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(changes(&stage, &stage.base, &stage.sha()), ["M\trecordings/sdk/a/one.json"]);
        for (path, content) in [
            ("recordings/readme.txt", "changed above the slice\n"),
            ("recordings/sdk/b/new.json", "of no slice\n"),
            ("notes.txt", "at the top\n"),
            ("staged.txt", "staged at the top\n"),
        ] {
            assert_eq!(std::fs::read_to_string(checkout.join(path)).unwrap(), content);
        }
    });
}

#[test]
fn files_that_were_staged_by_hand_are_sent_as_they_are_on_disk() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let checkout = stage.code.only_checkout();
        stage.record(&[("one.json", "staged\n"), ("new.json", "staged\n"), ("gone.json", "staged\n")]);
        stage.code.git_in(&checkout, ["add", "recordings/sdk/a"]).ok();
        stage.code.git_in(&checkout, ["rm", "-q", "--cached", "recordings/sdk/a/two.json"]).ok();
        stage.code.git_in(&checkout, ["mv", "recordings/sdk/a/deep/three.json", "recordings/sdk/a/moved.json"]).ok();
        stage.record(&[("one.json", "on disk\n"), ("gone.json", "")]);
        stage.push().ok();
        assert_eq!(
            changes(&stage, &stage.base, &stage.sha()),
            [
                "A\trecordings/sdk/a/moved.json",
                "A\trecordings/sdk/a/new.json",
                "D\trecordings/sdk/a/deep/three.json",
                "M\trecordings/sdk/a/one.json"
            ]
        );
        assert_eq!(stage.repo.file(&stage.sha(), "recordings/sdk/a/one.json").as_deref(), Some("on disk\n"));
        stage.is_settled();
    });
}

#[test]
fn slices_at_different_pins_are_pushed_one_by_one() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let newer = stage.repo.commit(
            "main",
            &[("recordings/sdk/a/one.json", "newer\n"), ("recordings/sdk/b/one.json", "b newer\n"), ("top.txt", "t\n")],
        );
        stage.code.branch_manifest("sdk/b", &stage.path(), &newer);
        stage.code.assets(["restore", "sdk/b"]).ok();
        let checkout = stage.code.only_checkout();
        let pending = checkout.join("recordings/sdk/b/pending.json");
        write(&pending, "pending\n");
        stage.code.git_in(&checkout, ["add", "recordings/sdk/b/pending.json"]).ok();
        // On a branch of its own that is at the pin, so that nothing is replayed.
        stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
        stage.record(&[("two.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(changes(&stage, &stage.base, &stage.sha()), ["M\trecordings/sdk/a/two.json"]);
        assert_eq!(stage.parents(BRANCH), stage.base);
        let content = |path: &str| std::fs::read_to_string(checkout.join("recordings/sdk").join(path)).unwrap();
        assert_eq!(content("a/one.json"), "one\n");
        assert_eq!((content("b/one.json"), content("b/pending.json")), ("b newer\n".into(), "pending\n".into()));
        let status = stage.code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout;
        assert!(status.ends_with(" recordings/sdk/b/pending.json\n") && status.lines().count() == 1, "{status}");

        stage.code.assets(["push", "sdk/b"]).ok();
        let b = stage.code.pin("sdk/b", "SHA");
        assert_eq!(stage.repo.rev("refs/heads/auto/b"), Some(b.clone()));
        assert_eq!(changes(&stage, &newer, &b), ["A\trecordings/sdk/b/pending.json"]);
        stage.is_settled();
    });
}

#[test]
fn a_slice_staged_by_hand_does_not_travel_with_its_neighbour() {
    let world = World::new();
    let stage = Stage::branch(&world);
    stage.code.branch_manifest("sdk/b", &stage.path(), &stage.base);
    stage.code.assets(["restore", "sdk/b"]).ok();
    let checkout = stage.code.only_checkout();
    write(&checkout.join("recordings/sdk/b/one.json"), "b pending\n");
    stage.code.git_in(&checkout, ["add", "recordings/sdk/b"]).ok();
    stage.record(&[("one.json", "mine\n")]);
    stage.push().ok();
    assert_eq!(changes(&stage, &stage.base, &stage.sha()), ["M\trecordings/sdk/a/one.json"]);
    stage.code.assets(["push", "sdk/b"]).ok().says("pushed 1 file (1 modified)");
    let b = stage.code.pin("sdk/b", "SHA");
    assert_eq!(stage.repo.file(&b, "recordings/sdk/b/one.json").as_deref(), Some("b pending\n"));
}

#[test]
fn a_slice_in_a_slice_is_pushed_by_itself() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.code.branch_manifest("sdk/a/deep", &stage.path(), &stage.base);
        stage.code.assets(["restore", "sdk/a/deep"]).ok();
        stage.record(&[("one.json", "outer\n"), ("deep/three.json", "inner\n"), ("deep/new.json", "inner\n")]);
        stage.push().ok().says("pushed 1 file (1 modified)");
        assert_eq!(changes(&stage, &stage.base, &stage.sha()), ["M\trecordings/sdk/a/one.json"]);
        assert_eq!(recorded(&stage.code, "deep/new.json"), "inner\n");

        let outer = stage.sha();
        stage.code.assets(["push", "sdk/a/deep"]).ok().says("pushed 2 files (1 new, 1 modified)");
        let inner = stage.code.pin("sdk/a/deep", "SHA");
        assert_eq!(stage.parents(&inner), outer, "both go to the same branch");
        assert_eq!(stage.repo.file(&inner, "recordings/sdk/a/deep/new.json").as_deref(), Some("inner\n"));
        assert_eq!(stage.repo.file(&inner, "recordings/sdk/a/one.json").as_deref(), Some("outer\n"));
        stage.is_settled();
    });
}

#[test]
fn a_package_that_the_assets_repo_does_not_have_yet() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.code.manifest("sdk/new", &format!("{{\"AssetsRepo\": \"{}\"}}\n", stage.path()));
        stage.code.assets(["restore", "sdk/new"]).ok();
        let file = stage.code.only_checkout().join("sdk/new/first.json");
        write(&file, "first\n");
        stage.code.assets(["push", "sdk/new"]).ok();
        let pin = stage.code.pin("sdk/new", "SHA");
        assert_eq!(stage.code.read("sdk/new/assets.json").lines().count(), 1);
        assert_eq!(changes(&stage, &stage.base, &pin), ["A\tsdk/new/first.json"]);
        assert_eq!(stage.repo.rev("refs/heads/auto/new"), Some(pin));
    });
}

#[test]
fn the_message_is_the_given_one_or_names_the_slice() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let message = |stage: &Stage| stage.repo.git(["log", "-1", "--format=%B", BRANCH]).ok().stdout;
    stage.record(&[("one.json", "1\n")]);
    stage.push().ok();
    assert_eq!(message(&stage), "Update recordings of recordings/sdk/a\n\n");
    stage.record(&[("one.json", "2\n")]);
    stage.code.assets(["push", "sdk/a", "-m", "Record paging\n\nWith \"quotes\" & é"]).ok();
    assert_eq!(message(&stage), "Record paging\n\nWith \"quotes\" & é\n\n");
}

#[test]
fn as_json() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let base = stage.base.clone();
    let root = stage.code.only_checkout().join("recordings").to_string_lossy().into_owned();
    let nothing = stage.code.assets(["push", "sdk/a", "--json"]).ok().json();
    assert_eq!((&nothing["schema"], &nothing["results"][0]["state"]), (&1.into(), &"unchanged".into()));
    stage.record(&[("one.json", "mine\n"), ("two.json", ""), ("new.json", "new\n")]);
    let pushed = stage.code.assets(["push", "sdk/a", "--json"]).ok().json();
    let pin = stage.sha();
    assert_eq!(
        pushed,
        serde_json::json!({
            "schema": 1, "command": "push", "exit_code": 0,
            "results": [{
                "manifest": "sdk/a/assets.json", "state": "pushed", "root": root, "commit": pin, "before": base,
                "pin": pin, "pushed_to": BRANCH, "files_of_others": 0,
                "files": [
                    {"path": "recordings/sdk/a/new.json", "kind": "new"},
                    {"path": "recordings/sdk/a/one.json", "kind": "modified"},
                    {"path": "recordings/sdk/a/two.json", "kind": "deleted"},
                ],
                "secret_check": "switched-off",
            }],
        })
    );
}

/// Git would send a file as its difference to another version that the remote has, if it were here.
#[test]
fn a_newer_version_that_is_known_without_its_content_is_not_needed() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.repo.git(["branch", "auto/a", &stage.base]).ok();
        let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
        stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
        stage.code.branch_manifest("sdk/b", &stage.url(), &newer);
        stage.code.assets(["restore", "--all"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        stage.push().ok();
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json").as_deref(), Some("mine\n"));
        stage.is_settled();
    });
}
