//! A package that is shown for the first time in a checkout that others use already.

use super::Scene;
use crate::support::with_every_git;

#[test]
fn all_files_are_written_when_tree_and_cone_change() {
    with_every_git(|world| {
        // Git loses entries that follow a new one in a directory that becomes visible.
        let s = Scene::new(world, &[("a/list.json", "1"), ("b/b.json", "1")], &[("a/create.json", "2")]);
        s.pin("a", &s.new);
        s.restore("b");
        s.restore("a");
        s.shows("a/list.json", "1");
        s.shows("a/create.json", "2");
        assert_eq!(s.pending("a"), [""; 0]);
        s.record("a/mine.json", "mine");
        s.assets("push sdk/a").ok();
        let pushed = s.code.pin("sdk/a", "SHA");
        assert_eq!(s.repo.file(&pushed, "recordings/sdk/a/list.json").as_deref(), Some("1"));
    });
}

#[test]
fn recordings_made_before_are_stashed() {
    with_every_git(|world| {
        let s = Scene::new(
            world,
            &[("a/a.json", "1"), ("b/b.json", "1"), ("b/same.json", "1")],
            &[("b/b.json", "2"), ("b/n.json", "theirs")],
        );
        for pin in [&s.old, &s.new] {
            s.pin("b", pin);
            s.restore("a");
            s.record("a/a.json", "pending of a");
            s.record("b/b.json", "recorded");
            s.record("b/n.json", "recorded too");
            let is_same = pin == &s.old;
            let run = s.restore("b");
            if is_same {
                // The files are those of HEAD: nothing is in the way, and the changes stay.
                s.shows("b/b.json", "recorded");
                assert_eq!(s.pending("b"), ["modified recordings/sdk/b/b.json", "new recordings/sdk/b/n.json"]);
            } else {
                run.says("put aside 2 pending changes of `sdk/b/assets.json`");
                s.shows("b/b.json", "2");
                s.shows("b/n.json", "theirs");
                s.pop_brings("b", "b/b.json", "recorded");
                s.shows("b/n.json", "recorded too");
            }
            s.shows("b/same.json", "1");
            s.shows("a/a.json", "pending of a");
            std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        }
    });
}

#[test]
fn recordings_made_before_the_first_restore_of_all_stay() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("a/b.json", "1")], &[]);
        s.restore("a");
        let checkout = s.checkout();
        std::fs::remove_dir_all(&checkout).unwrap();
        let below = |name: &str| checkout.join("recordings/sdk/a").join(name);
        crate::support::write(&below("a.json"), "recorded");
        crate::support::write(&below("new/n.json"), "new");
        s.restore("a").says("1 file recorded before").says("put aside 1 pending change of `sdk/a/assets.json`");
        s.shows("a/a.json", "1");
        s.shows("a/b.json", "1");
        s.shows("a/new/n.json", "new");
        s.pop_brings("a", "a/a.json", "recorded");
        assert_eq!(s.code.checkouts().len(), 1);
    });
}

#[test]
fn keep_and_a_terminal_are_asked_about_recordings_made_before() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("b/b.json", "2")]);
        s.pin("b", &s.new);
        s.restore("a");
        s.record("b/b.json", "recorded");
        s.assets("restore --keep sdk/b").fails(3).says("restoring `sdk/b/assets.json` would lose 1 pending change");
        s.shows("b/b.json", "recorded");
    });
}

#[test]
fn files_above_the_packages_may_differ_between_pins() {
    with_every_git(|world| {
        let s = Scene::new(
            world,
            &[("storage/README.md", "1"), ("storage/blob/i.json", "1"), ("tables/t.json", "1")],
            &[("storage/README.md", "2"), ("tables/t.json", "2")],
        );
        s.pin("storage/blob", &s.old);
        s.pin("tables", &s.new);
        std::fs::remove_dir_all(s.code.path.join("sdk/a")).unwrap();
        std::fs::remove_dir_all(s.code.path.join("sdk/b")).unwrap();
        s.assets("restore --all").ok();
        s.shows("storage/README.md", "2");
        s.shows("storage/blob/i.json", "1");
        s.shows("tables/t.json", "2");
        assert_eq!(s.git(&["status", "--porcelain"]).ok().stdout, "");
    });
}

#[test]
fn keep_refuses_only_what_would_be_lost() {
    with_every_git(|world| {
        // The new commit has the same files of `sdk/a`.
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("b/b.json", "2")]);
        s.restore("a");
        s.record("a/a.json", "mine");
        s.pin("a", &s.new);
        s.assets("restore --keep sdk/a").ok();
        s.shows("a/a.json", "mine");
        // Without a pin, and the tip of the branch has not moved.
        s.pin("a", "");
        s.assets("restore --keep sdk/a").ok();
        s.shows("a/a.json", "mine");
        s.repo.commit("main", &[("recordings/sdk/a/a.json", "3")]);
        s.assets("restore --keep sdk/a").fails(3);
        s.shows("a/a.json", "mine");
    });
}

#[test]
fn a_recording_of_a_package_that_is_not_restored_stays_when_the_commit_shown_no_longer_has_the_file() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("a/a.json", "2"), ("b/b.json", "")]);
        s.restore("a");
        s.record("b/b.json", "recorded");
        s.pin("a", &s.new);
        s.restore("a");
        s.shows("a/a.json", "2");
        s.shows("b/b.json", "recorded");
        s.restore("b").says("put aside");
        s.pop_brings("b", "b/b.json", "recorded");
    });
}

#[test]
fn a_deletion_in_the_folder_of_a_nested_package_is_a_change_of_that_package() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("a/inner/one.json", "1")], &[]);
        s.pin("a/inner", &s.old);
        s.restore("a");
        std::fs::remove_dir_all(s.file("a/inner")).unwrap();
        let status = s.assets("status --json sdk/a/inner").json();
        assert_eq!(status["results"][0]["pending"][0]["path"], "recordings/sdk/a/inner/one.json", "{status}");
        s.assets("reset -y sdk/a/inner").ok();
        s.shows("a/inner/one.json", "1");
    });
}

#[test]
fn a_recording_directly_above_a_restored_package_is_no_trace_of_another_restore() {
    with_every_git(|world| {
        let old = [("a/a.json", "1"), ("a/inner/one.json", "1"), ("b/b.json", "1"), ("b/dir/one.json", "1")];
        let s = Scene::new(world, &old, &[]);
        s.pin("a/inner", &s.old);
        s.restore("a/inner");
        s.record("a/a.json", "mine");
        s.record("b/dir", "in the place of a folder");
        s.restore("b");
        s.shows("b/dir/one.json", "1");
        assert_eq!(s.pending("a"), ["modified recordings/sdk/a/a.json"]);
        s.shows("a/a.json", "mine");
    });
}

#[test]
fn a_recording_of_a_package_that_is_not_restored_stays_when_the_commit_shown_adds_the_file() {
    with_every_git(|world| {
        let s =
            Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("a/a.json", "2"), ("b/dir/new.json", "2")]);
        s.restore("a");
        s.record("b/dir/new.json", "mine");
        s.pin("a", &s.new);
        s.restore("a");
        s.shows("a/a.json", "2");
        s.shows("b/dir/new.json", "mine");
    });
}

#[test]
fn a_recording_made_while_git_removes_the_file_of_a_package_that_is_not_restored_stays() {
    with_every_git(|world| {
        let old = [("a/a.json", "1"), ("b/b.json", "1"), ("b/dir/gone.json", "1")];
        let s = Scene::new(world, &old, &[("a/a.json", "2"), ("b/dir/gone.json", "")]);
        s.restore("a");
        s.pin("a", &s.new);
        let file = s.file("b/dir/gone.json").display().to_string();
        let write = format!("mkdir -p $(dirname {file}); printf late > {file}");
        let path = s.git_that_first(world, "read-tree*-u", &write);
        s.code.assets_with(&[("PATH", path.as_str())], ["restore", "sdk/a"]).ok();
        s.shows("a/a.json", "2");
        s.shows("b/dir/gone.json", "late");
        assert_eq!(s.pending("b"), ["new recordings/sdk/b/dir/gone.json"]);
    });
}

#[test]
fn a_recording_below_a_file_that_is_about_to_be_shown_is_stashed() {
    with_every_git(|world| {
        let old = [("b/b.json", "1"), ("a/inner/one.json", "1"), ("a/dir/one.json", "1")];
        let s = Scene::new(world, &old, &[("a/dir/one.json", ""), ("b/b.json", "2")]);
        let _ = std::fs::remove_dir(s.repo.seed().join("recordings/sdk/a/dir"));
        let third = s.repo.commit("main", &[("recordings/sdk/a/dir", "3"), ("recordings/sdk/a/inner/one.json", "3")]);
        s.pin("a/inner", &s.old);
        s.restore("a/inner");
        s.record("a/dir/one.json", "mine");
        s.pin("a/inner", &third);
        s.restore("a/inner");
        s.shows("a/dir", "3");
        s.pop_brings("a", "a/dir/one.json", "mine");
    });
}
