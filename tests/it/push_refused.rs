//! `assets push` when there is nothing to do, when it must not, and what it does to the manifest.

use crate::pushing::{BRANCH, Stage, record, recorded, recording, remote_hook};
use crate::support::server::{ALWAYS, Fault};
use crate::support::{World, with_every_git, write};

#[test]
fn nothing_pending_is_no_request_no_commit_and_no_edit() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let before = stage.state();
        let run = stage.push().ok();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "nothing to push for `sdk/a/assets.json`\n"));
        assert_eq!(stage.server().totals().requests, 0);
        assert!(before == stage.state());
    });
}

#[test]
fn a_file_changed_on_both_sides_is_a_conflict_and_nothing_changes() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        record(&other, &[("one.json", "theirs\n"), ("new.json", "theirs\n"), ("two.json", ""), ("five.json", "5\n")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n"), ("new.json", "mine\n"), ("two.json", "mine\n"), ("six.json", "6\n")]);
        let before = stage.state();
        let run = stage.push().fails(3);
        assert!(before == stage.state(), "something was changed");
        assert_eq!(run.stdout, "");
        let path = stage.path();
        assert_eq!(
            run.stderr,
            format!(
                "error: 3 files of `sdk/a/assets.json` were changed here and, differently, in `{path}`\n  \
                 caused by: conflicts:\n               \
                 recordings/sdk/a/new.json\n               \
                 recordings/sdk/a/one.json\n               \
                 recordings/sdk/a/two.json\n\
                 hint: to send yours for these files: `assets push --ours sdk/a`\n\
                 hint: to take theirs: put yours aside with `assets reset sdk/a`, move the pin, and \
                 record again\n"
            )
        );
        let json = stage.code.assets(["push", "sdk/a", "--json"]).fails(3).json();
        assert_eq!(json["results"][0]["error"]["kind"], "needs-person");

        stage.code.assets(["push", "--ours", "sdk/a"]).ok();
        let pin = stage.sha();
        assert_eq!(stage.parents(&pin), other.pin("sdk/a", "SHA"));
        for (path, content) in
            [("one", "mine\n"), ("new", "mine\n"), ("two", "mine\n"), ("five", "5\n"), ("six", "6\n")]
        {
            assert_eq!(recorded(&stage.code, &format!("{path}.json")), content);
            let remote = stage.repo.file(&pin, &format!("recordings/sdk/a/{path}.json"));
            assert_eq!(remote.as_deref(), Some(content));
        }
        stage.is_settled();
    });
}

#[test]
fn a_file_deleted_here_and_changed_there_is_a_conflict() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let other = stage.clone_of_code("other");
    record(&other, &[("one.json", "theirs\n")]);
    other.assets(["push", "sdk/a"]).ok();
    stage.record(&[("one.json", "")]);
    let before = stage.state();
    stage.push().fails(3).says("recordings/sdk/a/one.json");
    assert!(before == stage.state());
    stage.code.assets(["push", "--ours", "sdk/a"]).ok();
    assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json"), None);
    stage.is_settled();
}

#[test]
fn a_file_here_and_a_folder_of_that_name_there_is_a_conflict() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let other = stage.clone_of_code("other");
    record(&other, &[("x/y.json", "theirs\n")]);
    other.assets(["push", "sdk/a"]).ok();
    stage.record(&[("x", "mine\n")]);
    let before = stage.state();
    stage.push().fails(3).says("recordings/sdk/a/x\n");
    assert!(before == stage.state());
}

#[test]
fn a_hook_on_the_remote_that_refuses_is_quoted() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        remote_hook(
            &stage.repo,
            "pre-receive",
            "printf 'policy: \\033[31mno recordings on \\233\\033]0;x\\007Friday\\n' >&2; exit 1",
        );
        stage.record(&[("one.json", "mine\n")]);
        let before = stage.state();
        let run =
            stage.push().fails(1).says("refused the push to `refs/heads/auto/a`").says("pre-receive hook declined");
        assert!(run.stderr.contains("no recordings on") && run.stderr.contains("Friday"), "{}", run.stderr);
        assert!(run.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", run.stderr);
        assert!(before == stage.state());
        // Mended, it goes through.
        std::fs::remove_file(stage.repo.path.join("hooks/pre-receive")).unwrap();
        stage.push().ok();
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        stage.is_settled();
    });
}

#[test]
fn a_tag_needs_the_pin_that_is_shown() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        let other = stage.repo.commit("other", &[("recordings/sdk/a/two.json", "other\n")]);
        stage.repo.tag("py/sdk/a_2", &other);
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_2");
        stage.record(&[("one.json", "mine\n")]);
        stage.server().reset_log();
        let before = stage.state();
        stage.push().fails(3).says("pins `py/sdk/a_2`").says("assets restore --stash");
        assert!(before == stage.state());
        assert_eq!(stage.server().totals().requests, 0);

        // What the hint says works.
        stage.code.assets(["restore", "--stash", "sdk/a"]).ok();
        stage.code.assets(["stash", "pop", "sdk/a"]).ok();
        stage.push().ok();
        let tag = format!("refs/tags/{}", stage.code.pin("sdk/a", "Tag"));
        assert_eq!(stage.parents(&tag), other);
        assert_eq!(stage.repo.file(&tag, "recordings/sdk/a/one.json").as_deref(), Some("mine\n"));
        assert_eq!(stage.repo.file(&tag, "recordings/sdk/a/two.json").as_deref(), Some("other\n"));
    });
}

/// A push that failed leaves a note; the pin that moved since is noticed all the same.
#[test]
fn a_tag_needs_the_pin_that_is_shown_after_a_failed_push_too() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        let other = stage.repo.commit("other", &[("recordings/sdk/a/two.json", "other\n")]);
        stage.repo.tag("py/sdk/a_2", &other);
        stage.record(&[("one.json", "mine\n")]);
        stage.server().set_fault(Fault::Status { code: 404, retry_after: None, times: ALWAYS });
        stage.push().fails(1);
        stage.server().set_fault(Fault::None);
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_2");
        let before = stage.state();
        stage.push().fails(3).says("pins `py/sdk/a_2`").says("assets restore --stash");
        assert!(before == stage.state());
        // With the pin back, it goes on.
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_1");
        stage.push().ok();
        assert_eq!(stage.parents(&format!("refs/tags/{}", stage.code.pin("sdk/a", "Tag"))), stage.base);
    });
}

/// A push that the remote took and that could not edit the manifest: the checkout shows its commit.
#[test]
fn a_tag_that_no_manifest_names_yet() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        let other = stage.repo.commit("other", &[("recordings/sdk/a/two.json", "other\n")]);
        stage.repo.tag("py/sdk/a_2", &other);
        let file = stage.code.path.join("sdk/a/assets.json");
        let pinned = stage.code.read("sdk/a/assets.json");
        stage.server().on_request(move |request| {
            if request.method == "POST" && request.is_push() {
                std::fs::write(&file, "{").unwrap();
            }
            None
        });
        stage.record(&[("one.json", "mine\n")]);
        stage.push().fails(2);
        stage.server().on_request(|_| None);

        // Another pin by now: neither with nothing pending nor with more is it left behind in silence.
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_2");
        let before = stage.state();
        stage.push().fails(3).says("pins `py/sdk/a_2`").says("were pushed as `refs/tags/py/sdk/a_");
        stage.record(&[("four.json", "four\n")]);
        stage.push().fails(3).says("pins `py/sdk/a_2`");
        assert_eq!(before.0, stage.refs());
        // The pin that it started from: it is finished, with what was recorded since on top.
        stage.code.manifest("sdk/a", &pinned);
        stage.push().ok();
        let tag = format!("refs/tags/{}", stage.code.pin("sdk/a", "Tag"));
        assert_eq!(stage.parents(&stage.parents(&tag)), stage.base);
        assert_eq!(stage.repo.file(&tag, "recordings/sdk/a/one.json").as_deref(), Some("mine\n"));
        assert_eq!(stage.repo.file(&tag, "recordings/sdk/a/four.json").as_deref(), Some("four\n"));
        stage.is_settled();
    });
}

#[test]
fn a_pinned_tag_that_the_remote_does_not_have_any_more() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let pin = stage.repo.commit("side", &[("recordings/sdk/a/two.json", "2\n")]);
        stage.repo.tag("py/sdk/a_1", &pin);
        stage.repo.git(["branch", "-D", "side"]).ok();
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_1");
        stage.code.assets(["restore", "sdk/a"]).ok();
        stage.repo.git(["tag", "-d", "py/sdk/a_1"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        let before = stage.state();
        let run = stage.push().fails(3).says("tag `py/sdk/a_1` is not in assets repo");
        assert!(run.stderr.contains("push it again") || run.stderr.contains("pushed again"), "{}", run.stderr);
        assert!(before == stage.state());
        // Moved to where the pin's commit is not.
        stage.repo.git(["tag", "py/sdk/a_1", &stage.base]).ok();
        stage.push().fails(3).says("tag `py/sdk/a_1`").says("leads to another commit now");
        assert!(before.1 == stage.state().1);
        // Back again, as the hint says.
        stage.repo.git(["tag", "-f", "py/sdk/a_1", &pin]).ok();
        stage.push().ok();
        stage.is_settled();
    });
}

#[test]
fn a_protected_branch_is_no_access() {
    for (words, code) in [
        ("error: GH006: Protected branch update failed for refs/heads/auto/a.", 4),
        ("GitLab: You are not allowed to push code to protected branches on this project.", 4),
        ("no recordings on Friday", 1),
    ] {
        let world = World::new();
        let stage = Stage::served(&world);
        remote_hook(&stage.repo, "pre-receive", &format!("echo '{words}' >&2; exit 1"));
        stage.record(&[("one.json", "mine\n")]);
        let before = stage.state();
        stage.push().fails(code).says("refused the push to `refs/heads/auto/a`").says(words);
        assert!(before == stage.state());
    }
}

#[test]
fn before_a_restore_there_is_nothing_to_push() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
    let before = stage.code.snapshot();
    for _ in 0..2 {
        stage.push().fails(1).says("it is not restored").says("`assets restore sdk/a`");
    }
    assert!(before == stage.code.snapshot());
    // The same beside a slice that is restored.
    stage.code.branch_manifest("sdk/b", &stage.path(), &stage.base);
    stage.code.assets(["restore", "sdk/b"]).ok();
    stage.push().fails(1).says("it is not restored");
}

#[test]
fn a_dry_run_sends_nothing() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.record(&[("one.json", "mine\n"), ("two.json", ""), ("new.json", "new\n")]);
    let before = stage.state();
    let run = stage.code.assets(["push", "sdk/a", "--dry-run"]).ok();
    assert_eq!(run.stdout, "A recordings/sdk/a/new.json\nM recordings/sdk/a/one.json\nD recordings/sdk/a/two.json\n");
    assert_eq!(run.stderr, "would push 3 files (1 new, 1 modified, 1 deleted) of `sdk/a/assets.json` to `auto/a`:\n");
    assert!(before == stage.state());
    assert_eq!(stage.server().totals().requests, 0);
}

#[test]
fn who_the_commit_is_by() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let by = || stage.repo.git(["log", "-1", "--format=%an <%ae> %cn <%ce>", BRANCH]).ok().stdout;
        stage.record(&[("one.json", "1\n")]);
        stage.push().ok();
        assert_eq!(by(), "Test <test@example.com> Test <test@example.com>\n");

        stage.record(&[("one.json", "2\n")]);
        let named = [("GIT_COMMIT_OWNER", "Ann Ö"), ("GIT_COMMIT_EMAIL", "ann@example.com")];
        stage.code.assets_with(&named, ["push", "sdk/a"]).ok();
        assert_eq!(by(), "Ann Ö <ann@example.com> Ann Ö <ann@example.com>\n");

        stage.record(&[("one.json", "3\n")]);
        let before = stage.state();
        let nobody = world.root().join("nobody");
        std::fs::create_dir(&nobody).unwrap();
        let home = nobody.to_string_lossy().into_owned();
        stage
            .code
            .assets_with(&[("HOME", &home)], ["push", "sdk/a"])
            .fails(1)
            .says("GIT_COMMIT_OWNER")
            .says("GIT_COMMIT_EMAIL")
            .says("user.email");
        assert!(before == stage.state());
        stage.code.assets_with(&[("HOME", &home), named[0], named[1]], ["push", "sdk/a"]).ok();
        assert_eq!(by(), "Ann Ö <ann@example.com> Ann Ö <ann@example.com>\n");
    });
}

#[test]
fn files_that_others_could_not_hold_are_refused() {
    let world = World::new();
    let stage = Stage::branch(&world);
    for (path, says) in [
        ("a:b.json", "a:b.json"),
        ("CON.json", "CON.json"),
        ("sub/nul", "sub/nul"),
        ("dot./x.json", "dot."),
        ("One.json", "differ only by case"),
        ("DEEP/x.json", "differ only by case"),
    ] {
        let file = recording(&stage.code, path);
        write(&file, "bad\n");
        refuses(&stage, says);
        let top = path.split('/').next().unwrap();
        let top = recording(&stage.code, top);
        if top.is_dir() { std::fs::remove_dir_all(top).unwrap() } else { std::fs::remove_file(top).unwrap() }
    }
    stage.record(&[("Twin.json", "1\n"), ("twin.json", "2\n")]);
    refuses(&stage, "differ only by case");
    stage.record(&[("Twin.json", ""), ("twin.json", "")]);

    // A new spelling of a file that is gone is no twin.
    stage.record(&[("one.json", ""), ("One.json", "one\n")]);
    stage.push().ok();
}

#[cfg(unix)]
#[test]
fn what_is_not_a_plain_file_is_refused() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let link = recording(&stage.code, "link.json");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    refuses(&stage, "link.json` is a symlink");
    std::fs::remove_file(&link).unwrap();

    std::fs::remove_file(recording(&stage.code, "one.json")).unwrap();
    std::os::unix::fs::symlink("two.json", recording(&stage.code, "one.json")).unwrap();
    refuses(&stage, "one.json` is a symlink");
    std::fs::remove_file(recording(&stage.code, "one.json")).unwrap();
    stage.record(&[("one.json", "one\n")]);

    let nested = recording(&stage.code, "nested");
    write(&nested.join("x.json"), "x\n");
    stage.code.git_in(&nested, ["init", "-q"]).ok();
    refuses(&stage, "recordings/sdk/a/nested");
    std::fs::remove_dir_all(&nested).unwrap();
    stage.push().ok().says("nothing to push");
}

#[track_caller]
fn refuses(stage: &Stage, says: &str) {
    let before = stage.state();
    stage.push().fails(1).says(says);
    assert!(before == stage.state(), "{says}");
}

#[test]
fn the_manifest_keeps_everything_but_the_pin() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let layout = format!(
            "\u{feff}// {base}\r\n{{\r\n\t\"AssetsRepo\" : \"{path}\",\r\n\t\"AssetsRepoPrefixPath\":\"recordings\", /* {base} */\r\n\
             \t\"x\": {{\"SHA\": \"{base}\"}},\r\n\t\"SHA\":   \"@\",\r\n}}",
            base = stage.base,
            path = stage.path()
        );
        stage.code.write("shared/a.json", layout.replace('@', &stage.base));
        std::fs::create_dir_all(stage.code.path.join("sdk/a")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let target = stage.code.path.join("shared/a.json");
            std::fs::set_permissions(&target, PermissionsExt::from_mode(0o440)).unwrap();
            std::os::unix::fs::symlink("../../shared/a.json", stage.code.path.join("sdk/a/assets.json")).unwrap();
            stage.code.assets(["restore", "sdk/a"]).ok();
            stage.record(&[("one.json", "mine\n")]);
            stage.push().ok();
            assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o440);
            let link = std::fs::read_link(stage.code.path.join("sdk/a/assets.json")).unwrap();
            assert_eq!(link, std::path::Path::new("../../shared/a.json"));
        }
        let pin = stage.repo.rev(BRANCH).unwrap();
        assert_eq!(stage.code.read("sdk/a/assets.json"), layout.replace('@', &pin));
        let folder = std::fs::read_dir(stage.code.path.join("shared")).unwrap();
        assert_eq!(folder.count(), 1, "no temporary file is left");
    });
}

#[test]
fn a_manifest_that_changes_during_the_push() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let file = stage.code.path.join("sdk/a/assets.json");
        let text = stage.code.read("sdk/a/assets.json");
        let at_post = |text: String| {
            let file = file.clone();
            stage.server().on_request(move |request| {
                if request.method == "POST" && request.is_push() {
                    std::fs::write(&file, &text).unwrap();
                }
                None
            });
        };

        // Another part of it: both stay.
        at_post(text.replace('{', "{\n  // a note"));
        stage.record(&[("one.json", "1\n")]);
        stage.push().ok();
        let first = stage.sha_of_commented();
        assert_eq!(stage.repo.rev(BRANCH), Some(first.clone()));
        assert!(stage.code.read("sdk/a/assets.json").contains("// a note"));

        // The pin itself: theirs stays, and what was pushed is named.
        let foreign = "1".repeat(40);
        at_post(text.replace(&stage.base, &foreign));
        stage.record(&[("one.json", "2\n")]);
        let run = stage.push().fails(3).says("was changed by somebody else during the push");
        assert_eq!(stage.sha(), foreign);
        let pushed = stage.repo.rev(BRANCH).unwrap();
        assert!(run.stderr.contains(&pushed), "{}", run.stderr);

        // Not readable any more: it is mended and the next push finishes.
        std::fs::write(&file, text.replace(&stage.base, &pushed)).unwrap();
        at_post("{".into());
        stage.record(&[("one.json", "3\n")]);
        let run = stage.push().fails(2);
        let pushed = stage.repo.rev(BRANCH).unwrap();
        assert!(run.stderr.contains(&pushed), "{}", run.stderr);
        std::fs::write(&file, text.replace(&stage.base, &stage.parents(BRANCH))).unwrap();
        stage.push().ok();
        assert_eq!((stage.sha(), stage.repo.rev(BRANCH)), (pushed.clone(), Some(pushed)));
        stage.is_settled();
    });
}
