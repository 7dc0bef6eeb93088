//! `restore --dry-run` and `reset --dry-run`: the plan, and nothing done.

use serde_json::{Value, json};

use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, World, snapshot, with_every_git, write};

const FILE: &str = "recordings/sdk/a/a.json";
const MANIFEST: &str = "sdk/a/assets.json";

struct Place {
    repo: AssetsRepo,
    code: CodeRepo,
    old: String,
    new: String,
}

/// A package restored at the first commit and pinned at the second.
fn moved(world: &World) -> Place {
    let repo = world.assets_repo("assets");
    let old = repo.commit("main", &[(FILE, "one\n")]);
    let new = repo.commit("main", &[(FILE, "two\n")]);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &old);
    code.assets(["restore", "sdk/a"]).ok();
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &new);
    Place { repo, code, old, new }
}

impl Place {
    fn record(&self) {
        write(&self.code.only_checkout().join(FILE), "mine\n");
    }

    /// The plan, with nothing changed by making it.
    #[track_caller]
    fn plan<const N: usize>(&self, args: [&str; N]) -> String {
        let before = snapshot(&self.code.path);
        let run = self.code.assets(args).ok();
        assert_eq!(run.stderr, "");
        assert!(snapshot(&self.code.path) == before, "planning changed something");
        run.stdout
    }
}

#[test]
fn the_plan_is_what_is_done() {
    with_every_git(|world| {
        let place = moved(world);
        let (old, new) = (&place.old[..10], &place.new[..10]);
        let show = format!("would show `{MANIFEST}` at {new} (now at {old})\n");
        assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), show);
        place.record();
        let aside = format!("would put aside 1 pending change of `{MANIFEST}`:\n  M {FILE}\n");
        assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), format!("{aside}{show}"));
        let drop = format!("would drop 1 pending change of `{MANIFEST}`:\n  M {FILE}\n");
        assert_eq!(place.plan(["reset", "--dry-run", "sdk/a"]), format!("{drop}{show}"));
        assert_eq!(place.plan(["restore", "--discard", "--dry-run", "sdk/a"]), format!("{drop}{show}"));

        let planned = place.code.assets(["restore", "--dry-run", "--json", "sdk/a"]).ok().json();
        let pending = json!([{"kind": "modified", "path": FILE}]);
        let root = place.code.only_checkout().join("recordings").to_string_lossy().into_owned();
        let expected = json!([{
            "manifest": MANIFEST, "state": "planned", "root": root, "steps": ["set-aside", "show"],
            "commit": place.new, "before": place.old, "pending": pending, "interrupted": null,
        }]);
        assert_eq!(planned["results"], expected);
        let done = place.code.assets(["restore", "--json", "sdk/a"]).ok().json()["results"][0].clone();
        let of = |key: &str| done[key].clone();
        assert_eq!((of("commit"), of("before"), of("put_aside")), (json!(place.new), json!(place.old), pending));

        assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), format!("nothing to do for `{MANIFEST}`\n"));
        assert_eq!(place.plan(["reset", "--dry-run", "sdk/a"]), format!("nothing to do for `{MANIFEST}`\n"));
        place.record();
        assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), format!("nothing to do for `{MANIFEST}`\n"));
        let again = format!("{drop}would show `{MANIFEST}` at {new} again\n");
        assert_eq!(place.plan(["reset", "--dry-run", "sdk/a"]), again);
    });
}

#[test]
fn what_would_be_refused_is_refused() {
    let world = World::new();
    let place = moved(&world);
    place.record();
    let planned = place.code.assets(["restore", "--keep", "--dry-run", "sdk/a"]).fails(3);
    let done = place.code.assets(["restore", "--keep", "sdk/a"]).fails(3);
    assert_eq!((planned.stdout, planned.stderr), (done.stdout, done.stderr));
}

#[test]
fn no_remote_is_asked() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let sha = repo.commit("main", &[(FILE, "one\n")]);
    repo.tag("py/a_1", &sha);
    let server = GitServer::start(world.root(), Options::default());
    let code = world.code_repo("code");
    let url = format!("{}/assets.git", server.url());
    let place = Place { repo, code, old: sha.clone(), new: sha.clone() };

    place.code.branch_manifest("sdk/a", &url, &sha);
    let expected = format!("would show `{MANIFEST}` at {} (not restored yet)\n", &sha[..10]);
    assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), expected);
    place.code.tag_manifest("sdk/a", &url, "py/a_1");
    let expected = format!("would show `{MANIFEST}` at tag `py/a_1` (not restored yet)\n");
    assert_eq!(place.plan(["restore", "--dry-run", "--all"]), expected);
    place.code.manifest("sdk/a", &format!("{{\"AssetsRepo\": \"{url}\", \"AssetsRepoPrefixPath\": \"recordings\"}}"));
    assert!(!place.code.path.join(".assets").exists());
    assert_eq!(server.requests().len(), 0);

    place.code.assets(["restore", "sdk/a"]).ok();
    place.record();
    let expected = format!(
        "would put aside 1 pending change of `{MANIFEST}`, if it has moved:\n  M {FILE}\n\
         would show `{MANIFEST}` at the tip of `auto/a` (now at {}), if it has moved\n",
        &sha[..10]
    );
    let asked = server.requests().len();
    assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), expected);
    assert_eq!(server.requests().len(), asked);
    assert_eq!(place.plan(["restore", "--dry-run", "--offline", "sdk/a"]), format!("nothing to do for `{MANIFEST}`\n"));
    assert!(place.repo.rev("refs/heads/main").is_some());
}

#[test]
fn pending_changes_that_fit_stay() {
    let world = World::new();
    let place = moved(&world);
    place.code.assets(["restore", "sdk/a"]).ok();
    place.record();
    // Another commit with the same recordings, that another package has brought here.
    let same = place.repo.commit("main", &[("recordings/sdk/b/b.json", "b\n")]);
    let url = place.repo.path.to_string_lossy().into_owned();
    place.code.branch_manifest("sdk/b", &url, &same);
    place.code.assets(["restore", "sdk/b"]).ok();
    place.code.branch_manifest("sdk/a", &url, &same);
    let expected = format!("would show `{MANIFEST}` at {} (now at {})\n", &same[..10], &place.new[..10]);
    assert_eq!(place.plan(["restore", "--dry-run", "sdk/a"]), expected);
    let done: Value = place.code.assets(["restore", "--json", "sdk/a"]).ok().json();
    assert_eq!(done["results"][0]["put_aside"], json!([]));
}

#[cfg(unix)]
#[test]
fn in_a_terminal_it_says_that_it_would_ask() {
    use crate::support::pty::Start;
    let world = World::new();
    let place = moved(&world);
    place.record();
    let ended = Start::new(&place.code).run(["restore", "--dry-run", "sdk/a"]).end().fails(0);
    let expected = format!("would ask what to do with 1 pending change of `{MANIFEST}`:\n  {FILE}");
    assert_eq!(ended.screen(), expected);
    let ended = Start::new(&place.code).run(["reset", "--dry-run", "sdk/a"]).end().fails(0);
    assert!(ended.screen().starts_with("would drop 1 pending change"), "{}", ended.screen());
}
