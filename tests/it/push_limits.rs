//! A push sends nothing that a restore would refuse: sizes and numbers of files.

use crate::pushing::{BRANCH, Stage, record};
use crate::support::{Run, World, with_every_git};

fn push(stage: &Stage, limit: (&str, &str)) -> Run {
    stage.code.assets_with(&[limit], ["push", "sdk/a"])
}

/// Expects that a push under this limit is refused with these words, and that nothing is sent.
#[track_caller]
fn refuses(stage: &Stage, limit: (&str, &str), says: &str) {
    let before = stage.state();
    stage.server().reset_log();
    push(stage, limit).fails(1).says(says);
    assert_eq!(stage.server().totals().requests, 0);
    assert!(before == stage.state());
}

/// Expects that what is pushed under this limit can be restored under it.
#[track_caller]
fn accepts(stage: &Stage, limit: (&str, &str)) {
    push(stage, limit).ok();
    let world = World::new();
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &stage.url(), &stage.sha());
    code.assets_with(&[limit], ["restore", "sdk/a"]).ok();
}

#[test]
fn a_file_that_is_too_large() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        stage.record(&[("big.json", "0123456789\n"), ("one.json", "1\n")]);
        refuses(&stage, ("ASSETS_MAX_FILE_BYTES", "10"), "`recordings/sdk/a/big.json` is larger than 10 bytes");
        stage.record(&[("big.json", "")]);
        stage.record(&[("one.json", "0123456789\n")]);
        refuses(&stage, ("ASSETS_MAX_FILE_BYTES", "10"), "`recordings/sdk/a/one.json` is larger than 10 bytes");
        // A restore counts the files above the slice too: `recordings/readme.txt` has 17 bytes.
        accepts(&stage, ("ASSETS_MAX_FILE_BYTES", "17"));
    });
}

#[test]
fn too_many_files() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.record(&[("four.json", "4\n")]);
    refuses(&stage, ("ASSETS_MAX_FILES", "4"), "the slice has more than 4 files");
    stage.record(&[("two.json", "")]);
    accepts(&stage, ("ASSETS_MAX_FILES", "4"));
}

#[test]
fn too_many_bytes() {
    let world = World::new();
    let stage = Stage::served(&world);
    // 4 + 4 + 6 in the slice, 17 above it.
    stage.record(&[("four.json", "0123456789\n")]);
    refuses(&stage, ("ASSETS_MAX_BYTES", "41"), "the files of the slice have 42 bytes, and 41 are allowed");
    // A file of nobody's above the slice is not of the slice.
    let stray = stage.code.only_checkout().join("recordings/stray.txt");
    crate::support::write(&stray, "x".repeat(1000));
    accepts(&stage, ("ASSETS_MAX_BYTES", "42"));
}

#[test]
fn what_others_added_counts() {
    let world = World::new();
    let stage = Stage::served(&world);
    let other = stage.clone_of_code("other");
    record(&other, &[("theirs.json", "theirs\n")]);
    other.assets(["push", "sdk/a"]).ok();
    stage.record(&[("mine.json", "mine\n")]);
    let before = stage.state();
    push(&stage, ("ASSETS_MAX_FILES", "5")).fails(1).says("the slice has more than 5 files");
    assert!(before == stage.state());
    accepts(&stage, ("ASSETS_MAX_FILES", "6"));
    assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
}

#[test]
fn a_slice_with_another_inside() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.code.branch_manifest("sdk/a/deep", &stage.url(), &stage.base);
    stage.code.assets(["restore", "sdk/a/deep"]).ok();
    stage.record(&[("four.json", "4\n"), ("deep/five.json", "5\n")]);
    refuses(&stage, ("ASSETS_MAX_FILES", "4"), "the slice has more than 4 files");
    // The pending file of the inner one is not of this push.
    accepts(&stage, ("ASSETS_MAX_FILES", "5"));
}
