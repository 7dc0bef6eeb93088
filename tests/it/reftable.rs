//! Checkouts that the .NET test proxy made with a git that keeps refs as `reftable`, as git 3 does by default.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use crate::support::{AssetsRepo, CodeRepo, World, gits, run, snapshot, write};
use crate::tag_form::{
    FOLDER, HASH, SLICE, azure, files, is_clean, pin, recordings, test_proxy_clones, test_proxy_switches,
};

/// The gits of this machine that know the format, and those that do not.
fn sorted() -> (Vec<PathBuf>, Vec<PathBuf>) {
    gits().into_iter().partition(|git| {
        let world = World::with_git(git);
        let made = run(world.root(), &world.env(), "git", ["init", "-q", "--ref-format=reftable", "x"]);
        made.code == Some(0)
    })
}

/// A checkout of the test proxy with such refs and pending changes, one of them staged.
fn scene(world: &World) -> (AssetsRepo, CodeRepo, PathBuf) {
    let (repo, code) = azure(world);
    let file = world.root().join("home/.gitconfig");
    let config = std::fs::read_to_string(&file).unwrap();
    write(&file, format!("{config}[init]\n\tdefaultRefFormat = reftable\n"));
    let checkout = test_proxy_clones(&code, "python/blob_2");
    test_proxy_switches(&code, &checkout, "python/blob_1");
    assert_eq!(code.git_in(&checkout, ["rev-parse", "--show-ref-format"]).ok().stdout, "reftable\n");
    write(&checkout.join(SLICE).join("a.json"), "changed");
    write(&checkout.join(SLICE).join("new.json"), "mine");
    code.git_in(&checkout, ["add", "-A"]).ok();
    write(&checkout.join(SLICE).join("untracked.json"), "mine too");
    (repo, code, checkout)
}

fn pending() -> Vec<(String, String)> {
    files(&[("a.json", "changed"), ("gone.json", "old"), ("new.json", "mine"), ("untracked.json", "mine too")])
}

fn refs(code: &CodeRepo, checkout: &Path) -> String {
    code.git_in(checkout, ["for-each-ref", "--format=%(refname) %(objectname) %(symref)"]).ok().stdout
}

#[test]
fn it_is_taken_over_with_all_that_is_pending() {
    for git in sorted().0 {
        for first in ["restore", "push"] {
            let world = World::with_git(&git);
            let (repo, code, checkout) = scene(&world);
            let before = refs(&code, &checkout);
            // What changes nothing says what does.
            let status = code.assets(["status", FOLDER]).ok().stdout;
            assert!(status.contains("keeps its refs as `reftable`"), "{status}");
            assert!(status.contains("`assets restore` or `assets push` takes it over"), "{status}");
            assert_eq!(refs(&code, &checkout), before);

            code.assets([first, FOLDER]).ok();
            assert_eq!(code.git_in(&checkout, ["rev-parse", "--show-ref-format"]).ok().stdout, "files\n");
            assert_eq!(recordings(&checkout), pending());
            let after = refs(&code, &checkout);
            assert!(before.lines().all(|line| after.contains(line)), "{before}\n{after}");
            if first == "restore" {
                assert_eq!(code.git_in(&checkout, ["describe", "--tags"]).ok().stdout, "python/blob_1\n");
                let status = code.assets(["status", FOLDER]).ok().stdout;
                assert!(status.contains("at pin") && status.contains("2A 1M"), "{status}");
                pin(&code, "python/blob_2");
                code.assets(["restore", FOLDER]).ok().says("put aside 3 pending changes");
                pin(&code, "python/blob_1");
                code.assets(["restore", FOLDER]).ok();
                code.assets(["stash", "pop", FOLDER]).ok();
                assert_eq!(recordings(&checkout), pending());
                code.assets(["push", FOLDER]).ok();
            }
            let tag = code.pin(FOLDER, "Tag");
            assert_eq!(repo.file(&tag, &format!("{SLICE}/new.json")), Some("mine".into()));
            is_clean(&code, &checkout);
            assert!(checkout.join(".git/reftable.old0").is_dir(), "its reflogs are kept");
        }
    }
}

/// After an interruption in the middle the next command begins again.
#[test]
fn an_interrupted_take_over_is_completed() {
    for git in sorted().0 {
        let world = World::with_git(&git);
        let (_, code, checkout) = scene(&world);
        let git_dir = checkout.join(".git");
        std::fs::remove_file(git_dir.join("refs/heads")).unwrap();
        std::fs::create_dir_all(git_dir.join("refs/heads")).unwrap();
        write(&git_dir.join("packed-refs"), "# pack-refs with: sorted \n");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&checkout), pending());
        assert_eq!(code.git_in(&checkout, ["describe", "--tags"]).ok().stdout, "python/blob_1\n");
    }
}

#[test]
fn a_git_that_cannot_read_it_says_so_and_changes_nothing() {
    let (able, unable) = sorted();
    let Some(able) = able.first() else { return };
    for git in unable {
        let world = World::with_git(able);
        let (_, code, checkout) = scene(&world);
        let use_git = |git: &Path| {
            std::fs::remove_file(world.root().join("bin/git")).unwrap();
            std::os::unix::fs::symlink(git, world.root().join("bin/git")).unwrap();
        };
        use_git(&git);
        let before = snapshot(&checkout);
        for command in [["restore", FOLDER], ["push", FOLDER]] {
            let run = code.assets(command).fails(1).says("keeps its refs as `reftable`");
            run.says("only git 2.45 or newer can read them").says("refs migrate --ref-format=files");
            assert!(before == snapshot(&checkout));
        }
        use_git(able);
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&checkout), pending());
        assert_eq!(code.checkouts(), [HASH]);
    }
}
