//! No ignore rule hides a recording: neither one of the user nor one of the assets repo.

use super::Scene;
use crate::support::{World, with_every_git};

fn is_kept(world: &World, old: &[(&str, &str)], prepare: impl Fn(&Scene)) {
    let s = Scene::new(world, old, &[("a/log/trace.json", "theirs")]);
    prepare(&s);
    s.restore("a");
    s.record("a/log/trace.json", "mine");
    s.record("a/log/other.json", "other");
    assert_eq!(s.pending("a"), ["new recordings/sdk/a/log/other.json", "new recordings/sdk/a/log/trace.json"]);
    s.pin("a", &s.new);
    s.restore("a").says("put aside 2 pending changes");
    s.shows("a/log/trace.json", "theirs");
    s.pop_brings("a", "a/log/trace.json", "mine");
    s.assets("push sdk/a").ok();
    let pushed = s.code.pin("sdk/a", "SHA");
    for (name, text) in [("trace", "mine"), ("other", "other")] {
        assert_eq!(s.repo.file(&pushed, &format!("recordings/sdk/a/log/{name}.json")).as_deref(), Some(text));
    }
}

#[test]
fn a_rule_of_the_user_hides_nothing() {
    with_every_git(|world| {
        is_kept(world, &[("a/a.json", "1")], |s| {
            world.write("home/ignore", "log/\n");
            let file = world.root().join("home/ignore");
            s.code.git(["config", "--global", "core.excludesFile", &file.to_string_lossy()]).ok();
        });
    });
}

#[test]
fn a_rule_of_the_assets_repo_hides_nothing() {
    with_every_git(|world| is_kept(world, &[("a/a.json", "1"), ("a/.gitignore", "log/\n")], |_| ()));
}

#[test]
fn a_rule_in_the_git_directory_hides_nothing() {
    with_every_git(|world| {
        is_kept(world, &[("a/a.json", "1")], |s| {
            s.restore("a");
            crate::support::write(&s.checkout().join(".git/info/exclude"), "log/\n");
        });
    });
}

#[test]
fn a_rule_of_the_assets_repo_hides_no_recording_of_a_package_that_is_not_restored() {
    with_every_git(|world| {
        let s = Scene::new(
            world,
            &[
                ("a/.gitignore", "log/\nb.json\n"),
                ("a/a.json", "1"),
                ("a/b.json", "1"),
                ("a/log/trace.json", "1"),
                ("a/in/c.json", "1"),
                ("b/b.json", "1"),
            ],
            &[],
        );
        s.pin("a/in", &s.old);
        s.restore("b");
        // Its rules are read as soon as the file is there.
        s.record("a/.gitignore", "log/\nb.json\n");
        s.record("a/b.json", "mine above");
        s.record("a/log/trace.json", "mine");
        s.restore("a/in");
        s.shows("a/in/c.json", "1");
        s.shows("a/b.json", "mine above");
        s.restore("a");
        s.shows("a/a.json", "1");
        s.shows("a/b.json", "mine above");
        s.shows("a/log/trace.json", "mine");
        assert_eq!(s.pending("a"), ["modified recordings/sdk/a/b.json", "modified recordings/sdk/a/log/trace.json"]);
    });
}

#[test]
fn an_ignored_file_recorded_while_its_package_is_shown_for_the_first_time_stays() {
    with_every_git(|world| {
        let s = Scene::new(
            world,
            &[("a/a.json", "1"), ("b/b.json", "1"), ("b/c.json", "1"), ("../../.gitignore", "b.json\n")],
            &[],
        );
        s.restore("a");
        let file = s.file("b/b.json").display().to_string();
        let write = format!("mkdir -p $(dirname {file}); printf late > {file}");
        let path = s.git_that_first(world, "checkout-index", &write);
        s.code.assets_with(&[("PATH", path.as_str())], ["restore", "sdk/b"]).ok();
        s.shows("b/b.json", "late");
        s.shows("b/c.json", "1");
        assert_eq!(s.pending("b"), ["modified recordings/sdk/b/b.json"]);
    });
}
