//! Git used by hand in a checkout: staged files, an unmerged index, commits, and a push of the .NET test proxy that failed.

use super::Scene;
use crate::support::{World, finish, with_every_git};

fn goes_on(world: &World, by_hand: impl Fn(&Scene)) {
    let s = Scene::new(world, &[("a/one.json", "1"), ("b/b.json", "1")], &[("a/one.json", "2"), ("b/b.json", "2")]);
    s.assets("restore sdk/a sdk/b").ok();
    s.record("a/one.json", "recorded");
    by_hand(&s);
    s.record("a/one.json", "recorded again");
    s.pin("a", &s.new);
    s.restore("a");
    s.shows("a/one.json", "2");
    s.pin("b", &s.new);
    s.restore("b");
    s.shows("b/b.json", "2");
    s.assets("reset -y sdk/a").ok();
    s.pop_brings("a", "a/one.json", "recorded again");
}

#[test]
fn staged_files() {
    with_every_git(|world| goes_on(world, |s| drop(s.git(&["add", "-A"]).ok())));
}

#[test]
fn files_that_were_taken_out_of_the_index() {
    with_every_git(|world| {
        goes_on(world, |s| drop(s.git(&["rm", "-r", "-q", "--cached", "recordings"]).ok()));
    });
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("a/b.json", "1")], &[("a/a.json", ""), ("a/b.json", "2")]);
        s.restore("a");
        s.git(&["rm", "-r", "-q", "--cached", "recordings"]).ok();
        s.pin("a", &s.new);
        s.restore("a");
        assert!(!s.file("a/a.json").exists());
        s.shows("a/b.json", "2");
    });
}

#[test]
fn a_commit_on_top() {
    with_every_git(|world| goes_on(world, |s| drop(s.git(&["commit", "-q", "-a", "-m", "x"]).ok())));
}

#[test]
fn a_commit_that_was_taken_back_to_the_index() {
    with_every_git(|world| {
        goes_on(world, |s| {
            s.git(&["commit", "-q", "-a", "-m", "x"]).ok();
            s.git(&["reset", "-q", "--soft", "HEAD^"]).ok();
        });
    });
}

#[test]
fn an_unmerged_index() {
    with_every_git(|world| {
        goes_on(world, |s| {
            s.git(&["stash", "-q"]).ok();
            s.record("a/one.json", "other");
            s.git(&["commit", "-q", "-a", "-m", "x"]).ok();
            s.git(&["stash", "pop"]).fails(1);
        });
    });
}

#[test]
fn an_amended_commit_is_pending_again() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/one.json", "1")], &[]);
        s.restore("a");
        s.record("a/one.json", "recorded");
        s.git(&["commit", "-q", "-a", "--amend", "-m", "amended"]).ok();
        s.assets("push sdk/a").ok().says("committed there by hand; its changes are pending again");
        let pushed = s.code.pin("sdk/a", "SHA");
        assert_eq!(s.repo.file(&pushed, "recordings/sdk/a/one.json").as_deref(), Some("recorded"));
    });
}

#[test]
fn an_amended_commit_whose_parent_went_with_the_cache() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/one.json", "1"), ("b/b.json", "1")], &[]);
        s.restore("a");
        s.record("a/one.json", "pushed");
        s.assets("push sdk/a").ok();
        s.record("a/one.json", "recorded");
        s.git(&["commit", "-q", "-a", "--amend", "-m", "amended"]).ok();
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        s.restore("b").says("committed there by hand; its changes are pending again");
        s.shows("a/one.json", "recorded");
    });
}

#[test]
fn an_amended_commit_whose_tree_went_with_the_cache_is_kept() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/one.json", "1")], &[]);
        s.restore("a");
        s.record("a/one.json", "pushed");
        s.assets("push sdk/a").ok();
        s.git(&["commit", "-q", "--amend", "-m", "other words"]).ok();
        let commit = s.git(&["rev-parse", "HEAD"]).ok().stdout.trim().to_string();
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        s.assets("reset -y sdk/a").ok();
        let kept = s.git(&["for-each-ref", "--format=%(objectname)", "refs/assets/by-hand"]).ok().stdout;
        assert_eq!(kept.trim(), commit);
        s.shows("a/one.json", "pushed");
    });
}

#[test]
fn a_commit_after_an_interrupted_restore_is_kept() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("a/a.json", "2")]);
        s.restore("a");
        s.pin("a", &s.new);
        let path = s.git_that_first(world, "read-tree*-u", "kill -9 $PPID; exit 1");
        let child = s.code.command(&[("PATH", path.as_str())], ["restore", "sdk/a"]).spawn().unwrap();
        assert_eq!(finish(child).code, None);
        s.record("a/mine.json", "mine");
        s.git(&["add", "-A"]).ok();
        s.git(&["commit", "-q", "-m", "x"]).ok();
        let commit = s.git(&["rev-parse", "HEAD"]).ok().stdout.trim().to_string();
        s.restore("a").says(&format!("`refs/assets/by-hand/{commit}` keeps the commit"));
        s.shows("a/a.json", "2");
        assert_eq!(s.git(&["show", &format!("{commit}:recordings/sdk/a/mine.json")]).ok().stdout, "mine");
    });
}

#[test]
fn a_deleted_cache_and_a_look_at_the_history() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("a/a.json", "2"), ("b/b.json", "2")]);
        let third = s.repo.commit("main", &[("recordings/sdk/a/a.json", "3")]);
        s.pin("b", &s.new);
        s.assets("restore sdk/a sdk/b").ok();
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        // Git downloads commits and trees from the promisor remote, and no files.
        s.git(&["log", "--all", "--oneline"]);
        s.pin("a", &third);
        s.restore("a");
        s.shows("a/a.json", "3");
        s.shows("b/b.json", "2");
    });
}

#[test]
fn a_commit_that_a_ref_leads_to_already_is_pending_again() {
    // A branch of the user's, and the ref that a command had written before it was killed.
    for name in ["refs/heads/mine", "refs/assets/by-hand/COMMIT"] {
        let world = World::new();
        let s = Scene::new(&world, &[("a/one.json", "1"), ("b/b.json", "1")], &[("a/one.json", "2")]);
        s.restore("a");
        s.record("a/one.json", "recorded");
        s.git(&["commit", "-q", "-a", "-m", "x"]).ok();
        let commit = s.git(&["rev-parse", "HEAD"]).ok().stdout.trim().to_string();
        let name = name.replace("COMMIT", &commit);
        s.git(&["update-ref", &name, &commit]).ok();
        s.restore("b").says("committed there by hand; its changes are pending again");
        s.shows("a/one.json", "recorded");
        assert_eq!(s.assets("push --dry-run sdk/a").ok().stdout, "M recordings/sdk/a/one.json\n");
        assert_eq!(s.git(&["rev-parse", &name]).ok().stdout.trim(), commit);
    }
}

#[test]
fn a_deleted_cache_and_a_file_in_the_place_of_a_folder() {
    with_every_git(|world| {
        let old = [("a/a.json", "1"), ("a/dir/one.json", "1"), ("a/inner/z.json", "1")];
        let s = Scene::new(world, &old, &[("a/dir/one.json", "")]);
        let _ = std::fs::remove_dir(s.repo.seed().join("recordings/sdk/a/dir"));
        let third = s.repo.commit("main", &[("recordings/sdk/a/dir", "2")]);
        s.pin("a/inner", &s.old);
        s.restore("a/inner");
        std::fs::remove_dir_all(world.root().join("cache")).unwrap();
        // Git downloads what it needs, and more than we know of.
        s.git(&["checkout", "HEAD", "--", "recordings/sdk/a/inner/z.json"]);
        s.pin("a", &third);
        s.restore("a");
        s.shows("a/dir", "2");
        s.shows("a/inner/z.json", "1");
    });
}

#[test]
fn a_push_on_top_of_a_commit_that_was_downloaded_by_hand() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("b/b.json", "2")]);
        s.restore("a");
        s.record("a/a.json", "mine");
        let theirs = s.repo.commit("main", &[("recordings/sdk/a/theirs.json", "theirs")]);
        s.git(&["fetch", "-q", "origin", &theirs]).ok();
        s.assets("push sdk/a").ok();
        let pushed = s.code.pin("sdk/a", "SHA");
        for (file, text) in [("a/a.json", "mine"), ("a/theirs.json", "theirs"), ("b/b.json", "2")] {
            assert_eq!(s.repo.file(&pushed, &format!("recordings/sdk/{file}")).as_deref(), Some(text));
        }
    });
}
