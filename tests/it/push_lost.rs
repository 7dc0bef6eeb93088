//! Pushes that the remote took although git said that they failed: the remote is asked before anything is said.
#![cfg(unix)]

use crate::pushing::{BRANCH, Stage, remote_hook, unwrap_git, wrap_git};
use crate::support::{World, with_every_git};

/// The remote makes the ref itself, and then finds that it is there: as if the request had been sent twice.
fn take_it_twice(stage: &Stage) {
    remote_hook(&stage.repo, "update", "git update-ref \"$1\" \"$3\"");
}

#[test]
fn a_tag_that_exists_already_is_ours() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        stage.record(&[("one.json", "mine\n")]);
        take_it_twice(&stage);
        stage.push().ok();
        std::fs::remove_file(stage.repo.path.join("hooks/update")).unwrap();
        let tag = stage.code.pin("sdk/a", "Tag");
        let commit = stage.repo.rev(&format!("refs/tags/{tag}")).expect("the tag is on the remote");
        assert_eq!(tag, format!("py/sdk/a_{}", &commit[..10]));
        assert_eq!(stage.repo.git(["tag", "--list"]).ok().stdout.lines().count(), 2);
        stage.is_settled();
        stage.push().ok().says("nothing to push");
    });
}

#[test]
fn a_branch_that_has_moved_is_ours() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        take_it_twice(&stage);
        for n in ["1\n", "2\n"] {
            stage.record(&[("one.json", n)]);
            stage.push().ok();
            assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        }
        let range = format!("{}..{BRANCH}", stage.base);
        assert_eq!(stage.repo.git(["rev-list", &range]).ok().stdout.lines().count(), 2);
        stage.is_settled();
    });
}

#[test]
fn a_failure_that_nobody_knows_is_asked_about() {
    with_every_git(|world| {
        for in_tag_form in [false, true] {
            let world = World::with_git(&world.root().join("bin/git"));
            let stage = if in_tag_form { Stage::tagged(&world) } else { Stage::branch(&world) };
            stage.repo.git(["branch", "auto/a", &stage.base]).ok();
            stage.record(&[("one.json", "mine\n")]);
            wrap_git(
                &world,
                "[ \"$1\" = push ] && { \"$git\" \"$@\" >/dev/null 2>&1; echo 'error: odd' >&2; exit 1; }",
            );
            stage.push().ok();
            unwrap_git(&world);
            stage.is_settled();
            // One that did not arrive is what it was.
            stage.record(&[("one.json", "2\n")]);
            wrap_git(&world, "[ \"$1\" = push ] && { echo 'error: odd' >&2; exit 1; }");
            let before = stage.state();
            stage.push().fails(1).says("error: odd");
            unwrap_git(&world);
            assert!(before == stage.state());
        }
    });
}
