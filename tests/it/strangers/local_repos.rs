//! A bare repository in the pull request itself, named as the assets repo by its path: its hooks and its configuration are
//! the stranger's.

use std::path::{Path, PathBuf};

use super::{Trap, script};
use crate::support::{run, with_every_git, write};

/// Makes a repository whose hooks and configuration run the bait.
fn evil_repo(trap: &Trap, path: &Path) {
    let git = |args: &[&str]| run(trap.world.root(), trap.code.env(), "git", args).ok();
    let (place, bait) = (path.to_string_lossy(), trap.bait());
    git(&["clone", "-q", "--bare", &trap.repo.path.to_string_lossy(), &place]);
    let _ = std::fs::remove_dir_all(path.join("hooks"));
    for hook in ["pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"] {
        script(&path.join("hooks").join(hook), &format!("exec '{}'", bait.display()));
    }
    let command = format!("'{}'; true", bait.display());
    git(&["-C", &place, "config", "core.alternateRefsCommand", &command]);
    git(&["-C", &place, "config", "uploadpack.packObjectsHook", &bait.to_string_lossy()]);
    write(&path.join("objects/info/alternates"), format!("{}/objects\n", trap.repo.path.display()));
}

/// Every command that could start a git in an assets repo refuses it.
#[track_caller]
fn is_refused(trap: &Trap, env: &[(&str, &str)], what: &str) {
    let commands: &[&[&str]] = &[
        &["restore", "sdk/a"],
        &["restore", "--all"],
        &["push", "sdk/a"],
        &["status", "sdk/a"],
        &["reset", "-y", "sdk/a"],
        &["checkout", "main", "sdk/a"],
        &["diff", "sdk/a"],
        &["doctor", "sdk/a"],
        &["init", "sdk/a/deeper"],
    ];
    for command in commands {
        let run = trap.run(env, command);
        assert_eq!(run.code, Some(2), "{command:?}\n{}\n{}", run.stdout, run.stderr);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("is inside of the") && said.contains(what), "{command:?}\n{said}");
    }
}

#[test]
fn a_repository_in_the_pull_request_is_not_used() {
    with_every_git(|world| {
        let trap = Trap::restored(world);
        let code = &trap.code.path;
        let evil = code.join("vendor/evil.git");
        evil_repo(&trap, &evil);
        std::fs::create_dir_all(code.join("sdk/a/deeper")).unwrap();
        std::os::unix::fs::symlink(&evil, world.root().join("link.git")).unwrap();
        std::os::unix::fs::symlink(world.root(), code.join("out")).unwrap();
        // There is a change that a push would send.
        write(&trap.code.only_checkout().join("recordings/sdk/a/a.json"), "mine\n");
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let spelled = [
            path(evil.clone()),
            path(evil.with_extension("")),
            path(code.join("sdk/../vendor/./evil.git")),
            path(code.join("out/assets.git")),
            path(world.root().join("link.git")),
            path(world.root().join("link")),
            format!("file://{}", evil.display()),
            format!("file://{}", evil.display()).replace("vendor", "v%65ndor"),
            path(code.join(".git")),
        ];
        for spelled in &spelled {
            println!("{spelled}");
            trap.manifest(&[("AssetsRepo", spelled)]);
            is_refused(&trap, &[], "the code repo");
            let init = trap.run(&[], &["init", "--repo", spelled, "sdk"]);
            assert_eq!(init.code, Some(2), "{}", init.stderr);
            assert!(!code.join("sdk/assets.json").exists());
        }
    });
}

#[test]
fn a_repository_in_the_assets_folder_is_not_used() {
    with_every_git(|world| {
        let trap = Trap::new(world);
        let folder = world.root().join("assets-folder");
        let evil = folder.join("x/evil.git");
        std::fs::create_dir_all(evil.parent().unwrap()).unwrap();
        evil_repo(&trap, &evil);
        std::fs::create_dir_all(trap.code.path.join("sdk/a/deeper")).unwrap();
        trap.manifest(&[("AssetsRepo", &evil.to_string_lossy())]);
        let env = [("PROXY_ASSETS_FOLDER", &*folder.to_string_lossy())];
        is_refused(&trap, &env, "the assets folder");
        let init = trap.run(&env, &["init", "--repo", &evil.to_string_lossy(), "sdk"]);
        assert_eq!(init.code, Some(2), "{}", init.stderr);
    });
}

/// What the user's own repository elsewhere is set up to do is done for a push, and not for a look.
#[test]
fn doctor_runs_nothing_of_a_repository_of_this_machine() {
    with_every_git(|world| {
        let trap = Trap::new(world);
        let elsewhere = world.root().join("elsewhere.git");
        evil_repo(&trap, &elsewhere);
        trap.manifest(&[("AssetsRepo", &elsewhere.to_string_lossy())]);
        let run = trap.run(&[], &["doctor", "sdk/a"]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("would take pushes"), "{}", run.stdout);
        trap.run_inside(&[], &["restore", "sdk/a"]).ok();
    });
}
