//! Pending changes that are no plain edit of a file: names that git refuses, a file in place of a folder, a folder in place of
//! a file, a repository among the recordings.

use super::Scene;
use crate::support::with_every_git;

#[test]
fn names_that_git_refuses_stay_where_they_are() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1")], &[("a/a.json", "2")]);
        s.restore("a");
        s.record("a/git~1", "mine");
        s.record("a/new.json", "new");
        s.pin("a", &s.new);
        let run = s.restore("a");
        run.says("git cannot store `recordings/sdk/a/git~1`: the file stays where it is")
            .says("put aside 1 pending change of");
        s.shows("a/git~1", "mine");
        s.shows("a/a.json", "2");
        assert!(!s.file("a/new.json").exists());
        s.pop_brings("a", "a/new.json", "new");
        s.assets("reset -y sdk/a").ok();
        s.shows("a/git~1", "mine");
    });
}

#[test]
fn files_that_became_folders_and_back() {
    with_every_git(|world| {
        let old = [("a/test_x", "1"), ("a/dir/y.json", "1"), ("a/z.json", "1"), ("b/b.json", "1")];
        let s = Scene::new(world, &old, &[("a/z.json", "2"), ("b/b.json", "2")]);
        s.assets("restore sdk/a sdk/b").ok();
        std::fs::remove_file(s.file("a/test_x")).unwrap();
        s.record("a/test_x/part1.json", "part");
        std::fs::remove_dir_all(s.file("a/dir")).unwrap();
        s.record("a/dir", "file");
        s.pin("a", &s.new);
        s.restore("a").says("put aside 4 pending changes");
        s.shows("a/test_x", "1");
        s.shows("a/dir/y.json", "1");
        s.shows("a/z.json", "2");
        s.pin("b", &s.new);
        s.restore("b");
        s.assets("stash pop sdk/a").ok();
        s.shows("a/test_x/part1.json", "part");
        s.shows("a/dir", "file");
        assert_eq!(s.pending("a").len(), 4);
        s.assets("push sdk/a").ok();
        s.restore("a");
        assert_eq!(s.pending("a"), [""; 0]);
    });
}

#[test]
fn a_pop_removes_no_folder_with_newer_recordings() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/z.json", "1")], &[("a/z.json", "2")]);
        s.restore("a");
        s.record("a/x", "file");
        s.pin("a", &s.new);
        s.restore("a");
        s.record("a/x/newer.json", "newer");
        s.assets("stash pop sdk/a").fails(3).says("recordings/sdk/a/x/newer.json");
        s.shows("a/x/newer.json", "newer");
        s.assets("stash pop --ours sdk/a").ok();
        s.shows("a/x", "file");
        s.pop_brings("a", "a/x/newer.json", "newer");
    });
}

#[test]
fn recordings_in_a_nested_repository_are_stashed_file_by_file() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/z.json", "1"), ("b/b.json", "1")], &[("a/z.json", "2"), ("b/b.json", "2")]);
        s.assets("restore sdk/a sdk/b").ok();
        s.code.git(["init", "-q", &s.file("a/nested").to_string_lossy()]).ok();
        s.record("a/nested/n.json", "mine");
        s.pin("a", &s.new);
        s.restore("a").says("put aside 1 pending change");
        s.shows("a/z.json", "2");
        assert!(!s.file("a/nested/n.json").exists());
        s.pin("b", &s.new);
        s.restore("b");
        s.assets("stash pop sdk/a").ok();
        s.shows("a/nested/n.json", "mine");
        assert!(s.file("a/nested/.git").exists());
    });
}

#[test]
fn a_nested_repository_in_the_place_of_a_file_refuses_and_stays() {
    with_every_git(|world| {
        let s = Scene::new(
            world,
            &[("a/z.json", "1"), ("a/y.json", "1")],
            &[("a/z.json", "2"), ("a/x", "2"), ("a/y.json", "2")],
        );
        s.restore("a");
        for place in ["a/x/nested", "a/y.json"] {
            let _ = std::fs::remove_file(s.file(place));
            s.code.git(["init", "-q", &s.file(place).to_string_lossy()]).ok();
            s.record(&format!("{place}/n.json"), "mine");
            s.pin("a", &s.new);
            s.assets("restore sdk/a")
                .fails(3)
                .says(&format!("the repository `{}` is in the way", s.file(place).display()));
            s.shows("a/z.json", "1");
            s.shows(&format!("{place}/n.json"), "mine");
            std::fs::rename(s.file(place), world.root().join("away")).unwrap();
            s.restore("a");
            s.shows("a/x", "2");
            s.shows("a/y.json", "2");
            std::fs::rename(world.root().join("away"), world.root().join(place.replace('/', "-"))).unwrap();
            s.pin("a", &s.old);
            s.restore("a");
        }
    });
}

#[test]
fn a_folder_that_became_a_link_is_not_followed() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/deep/z.json", "1"), ("a/y.json", "1")], &[("a/deep/z.json", "2")]);
        s.restore("a");
        let elsewhere = world.root().join("elsewhere");
        crate::support::write(&elsewhere.join("z.json"), "of the user");
        std::fs::remove_dir_all(s.file("a/deep")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, s.file("a/deep")).unwrap();
        s.pin("a", &s.new);
        s.restore("a");
        s.shows("a/deep/z.json", "2");
        assert_eq!(std::fs::read_to_string(elsewhere.join("z.json")).unwrap(), "of the user");
        assert!(!s.file("a/deep").is_symlink());
    });
}
