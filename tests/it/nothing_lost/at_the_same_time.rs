//! Recordings that are written, and commands that are killed, at the worst moment.

use super::Scene;
use crate::support::{finish, with_every_git};

#[test]
fn a_recording_written_while_changes_are_stashed_is_stashed_too() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1")], &[("a/a.json", "2")]);
        s.restore("a");
        s.record("a/a.json", "first");
        s.pin("a", &s.new);
        let file = s.file("a/a.json").display().to_string();
        let once = world.root().join("once").display().to_string();
        let write = format!("[ -e {once} ] || {{ touch {once}; printf last > {file}; }}");
        let path = s.git_that_first(world, "commit-tree", &write);
        s.code.assets_with(&[("PATH", path.as_str())], ["restore", "sdk/a"]).ok();
        s.shows("a/a.json", "2");
        s.pop_brings("a", "a/a.json", "last");
    });
}

#[test]
fn a_file_that_changes_all_the_time_stops_the_restore() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1")], &[("a/a.json", "2")]);
        s.restore("a");
        s.record("a/a.json", "first");
        s.pin("a", &s.new);
        let file = s.file("a/a.json").display().to_string();
        let count = world.root().join("count").display().to_string();
        let write = format!("echo x >> {count}; wc -c < {count} > {file}");
        let path = s.git_that_first(world, "commit-tree", &write);
        let run = s.code.assets_with(&[("PATH", path.as_str())], ["restore", "sdk/a"]).fails(3);
        run.says("change while they are stashed");
        let written = std::fs::read_to_string(world.root().join("count")).unwrap().len();
        s.shows("a/a.json", &format!("{written}\n"));
        s.restore("a");
        s.pop_brings("a", "a/a.json", &format!("{written}\n"));
    });
}

#[test]
fn a_recording_written_while_its_deletion_is_undone_stays() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("a/b.json", "1"), ("a/c.json", "1")], &[]);
        s.restore("a");
        std::fs::remove_file(s.file("a/a.json")).unwrap();
        std::fs::remove_file(s.file("a/b.json")).unwrap();
        let write = format!("printf late > {}", s.file("a/a.json").display());
        let path = s.git_that_first(world, "checkout-index", &write);
        s.code.assets_with(&[("PATH", path.as_str())], ["reset", "-y", "sdk/a"]).ok();
        s.shows("a/a.json", "late");
        s.shows("a/b.json", "1");
    });
}

#[test]
fn a_pop_that_cannot_write_leaves_the_files_as_they_were() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("a/b.json", "1"), ("a/c.json", "1")], &[]);
        s.restore("a");
        s.record("a/a.json", "mine");
        s.record("a/b.json", &"mine\n".repeat(10_000));
        s.assets("reset -y sdk/a").ok();
        let before = crate::support::snapshot(&s.checkout().join("recordings"));
        let sh = format!("trap '' XFSZ; ulimit -f 16; exec {} stash pop sdk/a", env!("CARGO_BIN_EXE_assets"));
        let env = s.code.env().to_vec();
        crate::support::run(&s.code.path, &env, "sh", ["-c", &sh]).fails(1);
        assert!(crate::support::snapshot(&s.checkout().join("recordings")) == before);
        // Killed while it wrote: the next command puts back what was taken out, also where it has nothing to do.
        let path = s.git_that_first(world, "checkout-index", "kill -9 $PPID; exit 1");
        let child = s.code.command(&[("PATH", path.as_str())], ["stash", "pop", "sdk/a"]).spawn().unwrap();
        assert_eq!(finish(child).code, None);
        s.restore("a");
        assert!(crate::support::snapshot(&s.checkout().join("recordings")) == before);
        s.pop_brings("a", "a/a.json", "mine");
    });
}

#[test]
fn a_restore_killed_between_stash_and_switch_leaves_one_entry() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[("a/a.json", "2"), ("b/b.json", "2")]);
        s.assets("restore sdk/a sdk/b").ok();
        s.record("a/mine.json", "mine");
        s.pin("a", &s.new);
        // The composite commit, with two parents, is made after the stash entry.
        let path = s.git_that_first(world, "commit-tree*-p*-p", "kill -9 $PPID; exit 1");
        let child = s.code.command(&[("PATH", path.as_str())], ["restore", "sdk/a"]).spawn().unwrap();
        assert_eq!(finish(child).code, None);
        assert_eq!(s.entries(), 1);
        s.restore("a");
        assert_eq!(s.entries(), 1);
        s.pop_brings("a", "a/mine.json", "mine");
        assert_eq!(s.entries(), 0);
    });
}

#[test]
fn displaced_files_of_a_killed_command_come_back() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1")], &[("a/a.json", "2")]);
        s.restore("a");
        s.record("a/a.json", "mine");
        s.pin("a", &s.new);
        // Killed when the changed files are out of the work tree.
        let path = s.git_that_first(world, "\"read-tree -m\"", "kill -9 $PPID; exit 1");
        let child = s.code.command(&[("PATH", path.as_str())], ["restore", "sdk/a"]).spawn().unwrap();
        assert_eq!(finish(child).code, None);
        s.record("a/a.json", "recorded since");
        s.restore("a").says("completing a restore that was interrupted");
        s.shows("a/a.json", "2");
        s.pop_brings("a", "a/a.json", "recorded since");
        s.pop_brings("a", "a/a.json", "mine");
        assert!(!s.checkout().join(".git/assets-displaced").exists());
    });
}
