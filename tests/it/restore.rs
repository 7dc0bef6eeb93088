//! `assets restore`.

use crate::support::{World, with_every_git};

#[test]
fn two_pins_side_by_side() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let old = repo.commit("main", &[("recordings/sdk/a/a.json", "a1"), ("recordings/sdk/b/b.json", "b1")]);
        let new = repo.commit("main", &[("recordings/sdk/a/a.json", "a2"), ("recordings/sdk/b/b.json", "b2")]);
        let code = world.code_repo("code");
        let url = repo.path.to_string_lossy().into_owned();
        code.branch_manifest("sdk/a", &url, &old);
        code.branch_manifest("sdk/b", &url, &new);
        let run = code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.only_checkout();
        assert_eq!(run.stdout, format!("{}/recordings\n", checkout.display()));
        assert_eq!(run.stderr, format!("restored `sdk/a/assets.json` at {}\n", &old[..10]));
        code.assets(["restore", "sdk/b"]).ok();
        let content = |path: &str| std::fs::read_to_string(checkout.join("recordings/sdk").join(path)).unwrap();
        assert_eq!((content("a/a.json"), content("b/b.json")), ("a1".into(), "b2".into()));
        assert_eq!(code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout, "");
        let _ = World::new;
    });
}
