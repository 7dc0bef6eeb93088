//! `assets gc`: nothing that is used or could be lost goes, everything else does, and only when it is told to.

mod loses_nothing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::server::{GitServer, Options};
use crate::support::{ASSETS, AssetsRepo, CodeRepo, World, run, snapshot, with_every_git, write};

/// A server with an assets repo, and a code repo with slices in both forms.
struct Scene {
    server: GitServer,
    repo: AssetsRepo,
    code: CodeRepo,
    url: String,
    /// Three commits; each has other files for each slice.
    pins: Vec<String>,
}

/// Text that does not pack well, always the same for the same name.
fn noise(name: &str) -> String {
    let mut state = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut text = format!("{name}\n");
    for _ in 0..400 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:016x}", state ^ (state >> 29)));
    }
    text
}

impl Scene {
    /// Branch form: `sdk/a` and `sdk/b` at the first pin; tag form: `sdk/c` at the tag `t0`.
    fn restored(world: &World) -> Scene {
        let repo = world.assets_repo("assets");
        let server = GitServer::start(world.root(), Options::default());
        let url = format!("{}/assets.git", server.url());
        let mut pins = Vec::new();
        for round in 0..3 {
            let files: Vec<(String, String)> = ["a", "b", "c"]
                .iter()
                .flat_map(|slice| (0..5).map(move |n| format!("recordings/sdk/{slice}/{n}.json")))
                .map(|path| (path.clone(), noise(&format!("{path} {round}"))))
                .collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            pins.push(repo.commit("main", &files));
            repo.tag(&format!("t{round}"), "main");
        }
        let code = world.code_repo("code");
        let scene = Scene { server, repo, code, url, pins };
        scene.pin("a", 0);
        scene.pin("b", 0);
        scene.tag("c", 0);
        scene.restore();
        scene
    }

    fn pin(&self, slice: &str, round: usize) {
        self.code.branch_manifest(&format!("sdk/{slice}"), &self.url, &self.pins[round]);
    }

    fn tag(&self, slice: &str, round: usize) {
        self.code.tag_manifest(&format!("sdk/{slice}"), &self.url, &format!("t{round}"));
    }

    fn restore(&self) {
        self.code.assets(["restore", "--all"]).ok();
    }

    fn forget(&self, slice: &str) {
        std::fs::remove_file(self.code.path.join(format!("sdk/{slice}/assets.json"))).unwrap();
    }

    /// The checkout of the branch form.
    fn checkout(&self) -> PathBuf {
        self.checkout_with("recordings/sdk/a")
    }

    fn checkout_with(&self, path: &str) -> PathBuf {
        let mut found = self.code.checkouts().into_iter().map(|name| self.code.checkout(&name));
        found.find(|dir| dir.join(path).exists()).expect("the checkout is there")
    }

    /// Every recording that is shown, by its path.
    fn shown(&self) -> BTreeMap<String, Vec<u8>> {
        let mut shown = BTreeMap::new();
        for name in self.code.checkouts() {
            shown.extend(snapshot(&self.code.checkout(&name).join("recordings")));
        }
        shown
    }

    /// Runs `gc --yes` and expects what is shown to stay as it is, and no request.
    #[track_caller]
    fn gc(&self) -> String {
        let before = self.shown();
        self.server.reset_log();
        let run = self.code.assets(["gc", "--yes"]).ok();
        assert_eq!(self.server.requests().len(), 0);
        assert!(self.shown() == before, "recordings have changed");
        run.stdout
    }

    /// The state of each item of a kind, by its name.
    fn states(&self, args: &[&str], kind: &str) -> Vec<(String, String)> {
        let run = self.code.assets([&["gc", "--json"], args].concat());
        let results = run.json()["results"].as_array().unwrap().clone();
        let text = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap_or_default().to_string();
        let items = results.iter().filter(|item| item["kind"] == kind);
        items.map(|item| (text(item, "name"), text(item, "state"))).collect()
    }
}

/// The directories of the stores.
fn stores(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.root().join("cache/stores")).into_iter().flatten().flatten();
    let mut stores: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    stores.sort();
    stores
}

/// The bytes of everything in the stores.
fn stored(world: &World) -> usize {
    snapshot(&world.root().join("cache/stores")).values().map(Vec::len).sum()
}

/// Everything below the world but the remote and the home.
fn disk(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut files = snapshot(world.root());
    files.retain(|path, _| path.starts_with("cache/") || path.starts_with("code"));
    files
}

/// A commit that has the slice `sdk/x`, also tagged `x0`.
fn x_pin(s: &Scene) -> String {
    if let Some(commit) = s.repo.rev("refs/tags/x0") {
        return commit;
    }
    let commit = s.repo.commit("main", &[("recordings/sdk/x/1.json", "one"), ("recordings/sdk/x/2.json", "two")]);
    s.repo.tag("x0", "main");
    commit
}

#[test]
fn what_nobody_asks_for_goes_and_the_rest_needs_no_request() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        let small = stored(world);
        for round in [1, 2] {
            s.pin("a", round);
            s.tag("c", round);
            s.restore();
        }
        let large = stored(world);
        assert_eq!(s.states(&[], "store"), [(s.url.clone(), "shrinks".into())]);
        let printed = s.gc();
        assert!(
            printed.contains(&format!("store {}: used by 3 manifests of 1 code repo, but not all", s.url)),
            "{printed}"
        );
        let left = stored(world);
        assert!(left < large - 3 * (large - small) / 4, "{small} {large} {left}");
        assert_eq!(s.states(&[], "store"), [(s.url.clone(), "stays".into())]);

        // All that is pinned is there, also for another clone.
        s.server.reset_log();
        let shown = s.shown();
        std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        s.restore();
        assert!(s.shown() == shown);
        assert_eq!(s.server.requests().len(), 0);
        // What went comes back.
        s.pin("a", 1);
        s.tag("c", 0);
        s.restore();
        let text = String::from_utf8(s.shown()["sdk/a/1.json"].clone()).unwrap();
        assert!(text.starts_with("recordings/sdk/a/1.json 1\n"), "{text}");
        let checkout = s.checkout();
        assert_eq!(s.code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout, "");
        write(&checkout.join("recordings/sdk/b/new.json"), "recorded");
        s.code.assets(["push", "sdk/b"]).ok();
        assert_eq!(s.repo.file(&s.code.pin("sdk/b", "SHA"), "recordings/sdk/b/new.json"), Some("recorded".into()));
    });
}

#[test]
fn a_dry_run_changes_no_byte() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.pin("a", 1);
        s.restore();
        s.forget("c");
        s.forget("b");
        let before = disk(world);
        let run = s.code.assets(["gc"]).ok().says("can go; nothing was changed\nhint: `assets gc --yes` removes it\n");
        s.code.assets(["--offline", "gc", "-v"]).ok();
        s.code.assets(["gc", "--json"]).ok();
        assert!(disk(world) == before, "something was written");
        let checkout = s.checkout();
        assert!(run.stdout.starts_with("     size     can go\n"), "{}", run.stdout);
        assert!(
            run.stdout.contains(&format!(
                "checkout {}: used by 1 manifest, but not `recordings/sdk/b`\n",
                checkout.display()
            )),
            "{}",
            run.stdout
        );
    });
}

#[test]
fn checkouts_and_slices_without_a_manifest_go() {
    with_every_git(|world| {
        let s = Scene::restored(world);
        s.pin("a", 2);
        s.restore();
        let (checkout, tagged) = (s.checkout(), s.checkout_with("recordings/sdk/c"));
        s.forget("b");
        s.forget("c");
        s.code.assets(["gc", "--yes"]).ok();
        assert!(!tagged.exists());
        assert!(snapshot(&s.code.path.join(".assets/breadcrumb")).is_empty());
        assert!(!checkout.join("recordings/sdk/b").exists());
        assert_eq!(s.code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout, "");
        assert_eq!(
            s.shown().into_keys().collect::<Vec<_>>(),
            (0..5).map(|n| format!("sdk/a/{n}.json")).collect::<Vec<_>>()
        );
        s.server.reset_log();
        let rest = s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!((rest.stderr.as_str(), s.server.requests().len()), ("", 0));
        s.pin("b", 0);
        s.restore();
        assert_eq!(s.shown().len(), 10);
        s.code.assets(["gc", "--yes"]).ok().says("freed 0 B\n");
    });
}

#[test]
fn a_store_that_nobody_uses_goes_whole() {
    let world = World::new();
    let s = Scene::restored(&world);
    let other = world.code_repo("code-two");
    other.branch_manifest("sdk/b", &s.repo.path.to_string_lossy(), &s.pins[1]);
    other.assets(["restore", "sdk/b"]).ok();
    assert_eq!(stores(&world).len(), 2);
    s.code.assets(["gc", "--yes"]).ok();
    assert_eq!(stores(&world).len(), 2);
    // Its manifest is gone, but its checkout shows something still pending.
    let shown = other.only_checkout().join("recordings/sdk/b/1.json");
    let text = std::fs::read(&shown).unwrap();
    write(&shown, "mine");
    std::fs::remove_file(other.path.join("sdk/b/assets.json")).unwrap();
    s.code.assets(["gc", "--yes"]).ok();
    assert_eq!((stores(&world).len(), std::fs::read(&shown).unwrap()), (2, b"mine".to_vec()));
    write(&shown, text);
    s.gc();
    assert_eq!(stores(&world).len(), 1);
    assert!(other.checkouts().is_empty());
    // And is there again when it is needed.
    other.branch_manifest("sdk/b", &s.repo.path.to_string_lossy(), &s.pins[1]);
    other.assets(["restore", "sdk/b"]).ok();
    assert!(shown.exists());
}

#[test]
fn a_code_repo_that_is_gone_is_forgotten_when_told_to() {
    let world = World::new();
    let s = Scene::restored(&world);
    let other = world.code_repo("code-two");
    other.branch_manifest("sdk/b", &s.repo.path.to_string_lossy(), &s.pins[1]);
    other.assets(["restore", "sdk/b"]).ok();
    let away = world.root().join("away");
    std::fs::rename(&other.path, &away).unwrap();
    let dry = s.code.assets(["gc"]).ok();
    let line = format!("code repo {}: it is not there any more (is its disk mounted?)", other.path.display());
    assert!(dry.stdout.contains(&line), "{}", dry.stdout);
    assert_eq!(stores(&world).len(), 2);
    s.gc();
    assert_eq!(stores(&world).len(), 1);
    assert!(!s.code.assets(["gc"]).ok().stdout.contains("code repo "));
    // It comes back, without its store: that is downloaded again.
    std::fs::rename(&away, &other.path).unwrap();
    other.branch_manifest("sdk/b", &s.repo.path.to_string_lossy(), &s.pins[2]);
    other.assets(["restore", "sdk/b"]).ok();
    assert_eq!(stores(&world).len(), 2);
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_all_that_it_may_use() {
    let world = World::new();
    let s = Scene::restored(&world);
    for round in [1, 2] {
        s.pin("a", round);
        s.tag("c", round);
        s.restore();
    }
    s.forget("c");
    s.code.write("sdk/b/assets.json", "{");
    let before = disk(&world);
    let run = s.code.assets(["gc", "--yes"]).fails(2);
    run.says("error: `sdk/b/assets.json:1:1`: this is not valid JSON")
        .says("hint: until then nothing goes that it may use\n")
        .says("freed 0 B\n");
    let mut after = disk(&world);
    // The locks that it held.
    after.retain(|path, _| before.contains_key(path));
    assert!(after == before);
    let failed = s.code.assets(["gc", "--json"]).fails(2).json();
    assert_eq!(failed["results"].as_array().unwrap().iter().filter(|item| item["state"] == "failed").count(), 1);
    s.pin("b", 0);
    s.code.assets(["gc", "--yes"]).ok();
    assert_eq!(s.shown().len(), 10);
}

#[test]
fn what_killed_runs_left_goes_and_what_was_set_aside_stays() {
    let world = World::new();
    let s = Scene::restored(&world);
    let (folder, store) = (s.code.path.join(".assets"), stores(&world).remove(0));
    let cache = world.root().join("cache");
    let old = [folder.join(".new-abc123/.git/x"), store.join("objects/pack/tmp_pack_1"), cache.join(".tmp-abc123")];
    let at_once = [folder.join(".assets-going-x-1/x"), cache.join("stores/.assets-going-y-1/x")];
    let stay = [
        folder.join(".new-young1/.git/x"),
        folder.join("o.n.broken-1700000000/x"),
        store.join("objects/pack/tmp_2"),
        // Somebody else's.
        folder.join(".new-other1/x"),
        folder.join(".old-things/x"),
        folder.join("tmp_x"),
    ];
    for file in old.iter().chain(&at_once).chain(&stay) {
        write(file, "left over");
    }
    for file in old.iter().chain(&stay[3..]) {
        let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        for path in file.ancestors().take(3) {
            std::fs::File::open(path).unwrap().set_modified(hours_ago).unwrap();
        }
    }
    let broken = folder.join("o.n.broken-1700000000");
    let hint = format!("hint: when nothing in it is needed: `rm -rf {}`\n", broken.display());
    s.code.assets(["gc"]).ok().says(&hint);
    assert!(old.iter().chain(&at_once).chain(&stay).all(|file| file.exists()));
    s.code.assets(["gc", "--yes"]).ok().says(&hint);
    let there = |files: &[PathBuf]| files.iter().filter(|file| file.exists()).count();
    assert_eq!((there(&old), there(&at_once), there(&stay)), (0, 0, 6));
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_to_the_checkouts_of_another_code_repo() {
    let world = World::new();
    let s = Scene::restored(&world);
    let stranger = world.code_repo("stranger");
    std::os::unix::fs::symlink(s.code.path.join(".assets"), stranger.path.join(".assets")).unwrap();
    let before = s.shown();
    stranger.assets(["gc", "--yes"]).ok();
    // Nor is a checkout a code repo.
    run(&s.checkout(), s.code.env(), ASSETS, ["gc", "--yes"]).ok();
    assert!(s.shown() == before);
    // Two names of one folder are one folder.
    let (shared, link) = (world.root().join("shared"), world.root().join("link"));
    std::fs::create_dir(&shared).unwrap();
    std::os::unix::fs::symlink(&shared, &link).unwrap();
    stranger.tag_manifest("sdk/b", &s.url, "t1");
    stranger.assets_with(&[("PROXY_ASSETS_FOLDER", link.to_str().unwrap())], ["restore", "sdk/b"]).ok();
    s.code.assets_with(&[("PROXY_ASSETS_FOLDER", shared.to_str().unwrap())], ["restore", "--all"]).ok();
    s.code.assets(["gc", "--yes"]).ok();
    assert_eq!(snapshot(&shared).keys().filter(|path| path.ends_with(".json")).count(), 20);
}

#[test]
fn two_code_repos_with_one_assets_folder() {
    let world = World::new();
    let s = Scene::restored(&world);
    let shared = world.root().join("shared-assets");
    let env = [("PROXY_ASSETS_FOLDER", shared.to_str().unwrap())];
    let other = world.code_repo("code-two");
    other.tag_manifest("sdk/b", &s.url, "t1");
    other.assets_with(&env, ["restore", "sdk/b"]).ok();
    s.code.assets_with(&env, ["restore", "--all"]).ok();
    let before = snapshot(&shared);
    s.code.assets_with(&env, ["gc", "--yes"]).ok();
    let mut after = snapshot(&shared);
    after.retain(|path, _| before.contains_key(path));
    assert!(after == before);
    s.forget("c");
    s.code.assets(["gc", "--yes"]).ok();
    let left: Vec<bool> = ["a", "b", "c"]
        .iter()
        .map(|slice| snapshot(&shared).keys().any(|path| path.contains(&format!("recordings/sdk/{slice}/"))))
        .collect();
    assert_eq!(left, [true, true, false]);
}

#[test]
fn a_damaged_store_stays_whole_for_the_next_restore() {
    let world = World::new();
    let s = Scene::restored(&world);
    let packs = || {
        let packs = std::fs::read_dir(stores(&world)[0].join("objects/pack")).unwrap().flatten();
        packs.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "pack"))
    };
    let stays_whole = || {
        for args in [&["gc"][..], &["gc", "--yes"]] {
            let run = s.code.assets(args).ok();
            assert!(
                run.stdout.contains("kept whole: it is damaged, and the next `assets restore` mends it"),
                "{run:#?}"
            );
        }
    };
    write(&stores(&world)[0].join("HEAD"), "");
    stays_whole();
    s.pin("a", 2);
    s.restore();
    for pack in packs() {
        let bytes = std::fs::read(&pack).unwrap();
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, &bytes[..bytes.len() / 2]).unwrap();
    }
    stays_whole();
    s.pin("a", 1);
    s.code.assets(["restore", "--all"]).ok().says("the object store was damaged and is downloaded again");
}
