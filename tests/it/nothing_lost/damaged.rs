//! Damaged checkouts with pending changes in them.

use super::Scene;
use crate::support::{World, with_every_git, write};

fn scene(world: &World) -> Scene {
    let s = Scene::new(world, &[("a/x.json", "1"), ("a/y.json", "1")], &[("a/x.json", "2")]);
    s.restore("a");
    s.record("a/y.json", "mine, and longer");
    s.record("a/new.json", "new");
    s
}

/// Expects that a restore at both pins works, and that both pending changes are there or in a stash entry.
fn heals(world: &World, damage: impl Fn(&Scene)) {
    let s = scene(world);
    let checkout = s.checkout();
    damage(&s);
    s.pin("a", &s.new);
    s.restore("a");
    assert_eq!(std::fs::read_to_string(checkout.join("recordings/sdk/a/x.json")).unwrap(), "2");
    let read = |name: &str| std::fs::read_to_string(checkout.join("recordings/sdk/a").join(name)).ok();
    if read("new.json").is_none() || read("y.json").as_deref() != Some("mine, and longer") {
        s.assets("stash pop sdk/a").ok();
    }
    assert_eq!(read("new.json").as_deref(), Some("new"));
    assert_eq!(read("y.json").as_deref(), Some("mine, and longer"));
}

#[test]
fn a_configuration_of_nul_bytes() {
    with_every_git(|world| heals(world, |s| write(&s.checkout().join(".git/config"), [0; 200])));
}

#[test]
fn refs_that_are_gone() {
    with_every_git(|world| heals(world, |s| std::fs::remove_dir_all(s.checkout().join(".git/refs")).unwrap()));
}

#[test]
fn head_and_the_record_of_what_is_shown_lost_together() {
    with_every_git(|world| {
        heals(world, |s| {
            write(&s.checkout().join(".git/HEAD"), "");
            write(&s.checkout().join(".git/refs/assets/shown"), "");
        });
    });
}

#[test]
fn a_head_of_zeros_is_no_commit_made_by_hand() {
    with_every_git(|world| {
        let s = scene(world);
        write(&s.checkout().join(".git/HEAD"), format!("{}\n", "0".repeat(40)));
        s.assets("push sdk/a").ok();
        assert_eq!(s.git(&["for-each-ref", "refs/assets/by-hand"]).ok().stdout, "");
        s.git(&["gc", "-q"]).ok();
    });
}

#[test]
fn stash_entries_of_a_checkout_that_cannot_be_repaired_are_taken_over() {
    with_every_git(|world| {
        let s = scene(world);
        let checkout = s.checkout();
        let read = |name: &str| std::fs::read_to_string(checkout.join("recordings/sdk/a").join(name)).ok();
        s.pin("a", &s.new);
        s.restore("a");
        write(&checkout.join(".git/config"), [0; 200]);
        s.pin("a", &s.old);
        s.restore("a").says("took over 1 stash entry of the old checkout");
        assert_eq!(read("x.json").as_deref(), Some("1"));
        s.assets("stash pop sdk/a").ok();
        assert_eq!(read("y.json").as_deref(), Some("mine, and longer"));
        assert_eq!(read("new.json").as_deref(), Some("new"));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_not_taken_for_a_deletion() {
    use crate::support::run;
    let world = World::new();
    let big = "x".repeat(300_000);
    let s = Scene::new(&world, &[("a/x.json", "1"), ("a/big.json", &big), ("a/z.json", "z")], &[("a/x.json", "2")]);
    s.restore("a");
    s.record("a/big.json", "mine");
    s.pin("a", &s.new);
    // A limit on the size of files instead of a small disk: git can write all but the large one.
    let limited = |args: &str| {
        let script = format!("ulimit -f 200; exec {} {args}", crate::support::ASSETS);
        run(&s.code.path, s.code.env(), "/bin/sh", ["-c", script.as_str()])
    };
    for _ in 0..2 {
        assert_ne!(limited("restore sdk/a").code, Some(0));
    }
    s.restore("a");
    s.shows("a/big.json", &big);
    assert_eq!(s.pending("a"), [""; 0]);
    s.pop_brings("a", "a/big.json", "mine");
}

#[test]
fn a_restore_at_the_same_pin_makes_a_missing_index_anew() {
    with_every_git(|world| {
        let s = scene(world);
        std::fs::remove_file(s.checkout().join(".git/index")).unwrap();
        s.assets("status sdk/a").says("broken");
        s.restore("a");
        assert_eq!(s.pending("a"), ["new recordings/sdk/a/new.json", "modified recordings/sdk/a/y.json"]);
    });
}
