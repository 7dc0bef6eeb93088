//! A git that fails everywhere, because the user's configuration cannot be read: nothing on disk is to blame for it.

use crate::pushing::{Stage, recorded};
use crate::support::{World, snapshot, with_every_git, write};

/// The store and all that lies beside it.
fn cache(world: &World) -> Vec<String> {
    snapshot(&world.root().join("cache/stores")).into_keys().filter(|path| !path.ends_with(".use")).collect()
}

/// Every command fails with git's own words, and nothing is moved, removed or written anew.
fn fails_and_changes_nothing(world: &World, stage: &Stage, env: &[(&str, &str)], words: &str) {
    let checkout = stage.code.only_checkout();
    let before = (cache(world), snapshot(&checkout));
    let commands: [&[&str]; 7] = [
        &["restore", "sdk/a"],
        &["restore", "--all"],
        &["reset", "-y", "sdk/a"],
        &["push", "sdk/a"],
        &["diff", "sdk/a"],
        &["checkout", "main", "sdk/a"],
        &["gc", "--yes"],
    ];
    for command in commands {
        let run = stage.code.assets_with(env, command);
        assert_ne!(run.code, Some(0), "{command:?}");
        let run = run.says(words).says("git cannot read its configuration");
        assert!(!run.stderr.contains("damaged") && !run.stderr.contains("broken"), "{command:?}\n{}", run.stderr);
        assert!(before == (cache(world), snapshot(&checkout)), "{command:?}\n{}", run.stderr);
    }
    let doctor = stage.code.assets_with(env, ["doctor", "sdk/a"]).fails(1).stdout;
    assert!(doctor.contains(words) && !doctor.contains("damaged") && !doctor.contains("nobody is named"), "{doctor}");
    let status = stage.code.assets_with(env, ["status", "sdk/a"]).ok().stdout;
    assert!(status.contains(words) && !status.contains("mend"), "{status}");
    assert!(before == (cache(world), snapshot(&checkout)));
}

#[test]
fn a_configuration_that_git_cannot_read() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
        stage.record(&[("two.json", "mine\n")]);
        // Not as we wrote it, so that it has to be read.
        stage.code.git_in(&stage.code.only_checkout(), ["config", "user.name", "Other"]).ok();
        stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
        let file = world.root().join("home/.gitconfig");
        let good = std::fs::read_to_string(&file).unwrap();
        write(&file, format!("{good}[user\n"));
        fails_and_changes_nothing(world, &stage, &[], "fatal: bad config line");
        write(&file, good);
        let env = [("GIT_CONFIG_COUNT", "2"), ("GIT_CONFIG_KEY_0", "a.b"), ("GIT_CONFIG_VALUE_0", "c")];
        fails_and_changes_nothing(world, &stage, &env, "missing config key GIT_CONFIG_KEY_1");
        // Put right, all is there, and nothing has to be downloaded again.
        stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
        stage.code.assets(["restore", "--offline", "sdk/a"]).ok();
        assert_eq!(recorded(&stage.code, "two.json"), "mine\n");
        stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
        stage.code.assets(["restore", "sdk/a"]).ok().says("put aside 1 pending change");
        assert_eq!(recorded(&stage.code, "one.json"), "newer\n");
    });
}
