//! What other checkouts of this machine find in the store after a push: all of the commit, or nothing of it.

use std::path::PathBuf;

use super::Scene;
use crate::support::{World, run, with_every_git};

/// The store of the only assets repo.
fn store(world: &World) -> PathBuf {
    let stores = world.root().join("cache/stores");
    let is_store = |path: &PathBuf| path.join("HEAD").exists();
    std::fs::read_dir(stores).unwrap().map(|entry| entry.unwrap().path()).find(is_store).unwrap()
}

#[test]
fn a_push_of_files_that_a_stash_entry_has_too() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/b.json", "1")], &[]);
        s.restore("a");
        s.record("a/new/one.json", "recorded");
        s.assets("reset -y sdk/a").ok();
        s.assets("stash pop sdk/a").ok();
        // The objects of the stash entry are in the checkout, whose store gets those of the push.
        s.assets("push sdk/a").ok();
        let pushed = s.code.pin("sdk/a", "SHA");
        let other = world.code_repo("other");
        other.branch_manifest("sdk/a", &s.repo.path.to_string_lossy(), &pushed);
        other.assets(["restore", "--offline", "sdk/a"]).ok();
        assert_eq!(
            std::fs::read_to_string(other.only_checkout().join("recordings/sdk/a/new/one.json")).unwrap(),
            "recorded"
        );
    });
}

#[test]
fn a_commit_without_the_trees_of_other_packages() {
    with_every_git(|world| {
        let s = Scene::new(world, &[("a/a.json", "1"), ("b/new/b.json", "1")], &[("a/a.json", "2")]);
        let third = s.repo.commit("main", &[("recordings/sdk/b/new/b.json", "3")]);
        s.restore("a");
        s.pin("a", &third);
        s.restore("a");
        s.pin("a", &s.old);
        s.restore("a");
        // The store as a push of another package leaves it that did not write all trees.
        let store = store(world);
        let unpack =
            "mkdir packs && mv objects/pack/* packs && for pack in packs/*.pack; do git unpack-objects -q <$pack; done";
        let env: Vec<_> = s.code.env().iter().cloned().chain([("GIT_DIR".to_string(), ".".to_string())]).collect();
        run(&store, &env, "sh", ["-c", unpack]).ok();
        let tree = s.repo.rev(&format!("{third}:recordings/sdk/b/new")).unwrap();
        std::fs::remove_file(store.join("objects").join(&tree[..2]).join(&tree[2..])).unwrap();
        s.pin("a", &third);
        s.restore("a");
        s.shows("a/a.json", "2");
    });
}
