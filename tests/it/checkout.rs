//! `checkout`: other commits than the pinned ones.

use serde_json::json;

use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, World, with_every_git, write};

const FILE: &str = "recordings/sdk/a/a.json";
const MANIFEST: &str = "sdk/a/assets.json";

struct Place {
    repo: AssetsRepo,
    code: CodeRepo,
    one: String,
    two: String,
}

/// A package that pins the first of two commits, in one form or the other.
fn place(world: &World, form: &str) -> Place {
    let repo = world.assets_repo("assets");
    let one = repo.commit("main", &[(FILE, "one\n"), ("recordings/sdk/b/b.json", "b\n")]);
    let two = repo.commit("main", &[(FILE, "two\n")]);
    repo.tag("py/a_1", &one);
    repo.tag("py/a_2", &two);
    let code = world.code_repo("code");
    let place = Place { code, one, two, repo };
    place.pin(form);
    place.code.assets(["restore", "sdk/a"]).ok();
    place
}

impl Place {
    fn pin(&self, form: &str) {
        let url = self.repo.path.to_string_lossy();
        match form {
            "branch" => self.code.branch_manifest("sdk/a", &url, &self.one),
            _ => self.code.tag_manifest("sdk/a", &url, "py/a_1"),
        }
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.code.only_checkout().join(FILE)).unwrap()
    }

    fn record(&self) {
        write(&self.code.only_checkout().join(FILE), "mine\n");
    }
}

#[test]
fn commits_tags_and_branches_are_shown_and_the_pin_again() {
    with_every_git(|world| {
        for form in ["branch", "tag"] {
            let world = World::with_git(&world.root().join("bin/git"));
            let place = place(&world, form);
            let manifest = place.code.read(MANIFEST);
            let root = format!("{}\n", place.code.only_checkout().join("recordings").display());
            let short = &place.two[..10];
            for (revision, shown) in [
                (place.two.as_str(), place.two.clone()),
                (short, short.to_string()),
                ("main", format!("main` ({short})")),
                ("refs/heads/main", format!("refs/heads/main` ({short})")),
                ("py/a_2", format!("py/a_2` ({short})")),
            ] {
                let shown = if shown.contains('`') { shown } else { format!("{shown}`") };
                let run = place.code.assets(["checkout", revision, "sdk/a"]).ok();
                assert_eq!(run.stdout, root);
                let hint = "hint: `assets restore sdk/a` shows its pin again\n";
                assert_eq!(run.stderr, format!("`{MANIFEST}` shows `{shown}\n{hint}"), "{form}");
                assert_eq!(place.content(), "two\n");
                let status = place.code.assets(["status", "--json", "sdk/a"]).ok().json();
                let status = &status["results"][0];
                assert_eq!((&status["state"], &status["commit"]), (&json!("other-pin"), &json!(place.two)), "{form}");
                let again = place.code.assets(["checkout", revision, "sdk/a"]).ok();
                assert_eq!(again.stderr, format!("`{MANIFEST}` already shows `{shown}\n{hint}"), "{form}");

                assert_eq!(place.code.read(MANIFEST), manifest);
                place.code.assets(["restore", "sdk/a"]).ok();
                assert_eq!(place.content(), "one\n");
            }
            // The pinned one is no other.
            let run = place.code.assets(["checkout", &place.one, "sdk/a"]).ok();
            assert_eq!(run.stderr, format!("`{MANIFEST}` already shows `{}`\n", place.one));
            // What was recorded on another commit lies on that one, and a push takes it from there.
            place.code.assets(["checkout", "main", "sdk/a"]).ok();
            place.record();
            let push = place.code.assets(["push", "sdk/a"]);
            if form == "branch" {
                push.ok();
                assert_eq!(place.repo.file("auto/a", FILE).as_deref(), Some("mine\n"));
            } else {
                push.fails(3).says("but its checkout shows another commit");
            }
        }
    });
}

#[test]
fn the_test_proxy_is_told_that_another_commit_is_shown() {
    let world = World::new();
    let place = place(&world, "tag");
    let hash = place.code.checkouts().pop().unwrap();
    let breadcrumb = || place.code.read(&format!(".assets/breadcrumb/{hash}.breadcrumb"));
    assert_eq!(breadcrumb(), format!("{MANIFEST};{hash};py/a_1\n"));
    place.code.assets(["checkout", "py/a_2", "sdk/a"]).ok();
    assert_eq!(breadcrumb(), format!("{MANIFEST};{hash};py/a_2\n"));
    place.code.assets(["checkout", &place.two, "sdk/a"]).ok();
    assert_eq!(breadcrumb(), format!("{MANIFEST};{hash};\n"));
    place.code.assets(["restore", "sdk/a"]).ok();
    assert_eq!(breadcrumb(), format!("{MANIFEST};{hash};py/a_1\n"));
}

#[test]
fn another_package_of_the_checkout_stays() {
    let world = World::new();
    let place = place(&world, "branch");
    let url = place.repo.path.to_string_lossy();
    place.code.branch_manifest("sdk/b", &url, &place.one);
    place.code.assets(["restore", "sdk/b"]).ok();
    write(&place.code.only_checkout().join("recordings/sdk/b/b.json"), "mine\n");
    place.code.assets(["checkout", "main", "-a", MANIFEST]).ok();
    assert_eq!(place.content(), "two\n");
    let b = place.code.only_checkout().join("recordings/sdk/b/b.json");
    assert_eq!(std::fs::read_to_string(b).unwrap(), "mine\n");
}

#[test]
fn pending_changes_are_not_lost() {
    let world = World::new();
    let place = place(&world, "branch");
    place.record();
    let run = place.code.assets(["checkout", "main", "sdk/a"]).fails(3);
    let expected = format!(
        "error: showing another commit would lose 1 pending change of `{MANIFEST}`\n  \
         caused by: pending changes:\n               {FILE}\n\
         hint: put them aside with `assets checkout --stash main sdk/a`; `assets stash pop sdk/a` brings them back\n"
    );
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", expected.as_str()));
    assert_eq!(place.content(), "mine\n");
    place.code.assets(["checkout", "--stash", "main", "sdk/a"]).ok().says("put aside 1 pending change");
    assert_eq!(place.content(), "two\n");
    place.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
    assert_eq!(place.content(), "mine\n");
    place.code.assets(["checkout", "--discard", &place.one, "sdk/a"]).ok().says("dropped 1 pending change");
    assert_eq!(place.content(), "one\n");
}

#[test]
fn revisions_that_are_not_there() {
    let world = World::new();
    let place = place(&world, "branch");
    let url = place.repo.path.to_string_lossy();
    let list = format!("hint: what it has: `git ls-remote {url}`\n");
    for revision in ["", "nowhere", "HEAD~1", "--upload-pack=x", "a:b", "refs/heads/py/a_2"] {
        let run = place.code.assets(["checkout", "--", revision, "sdk/a"]).fails(1);
        assert_eq!(run.stderr, format!("error: assets repo `{url}` has no tag and no branch `{revision}`\n{list}"));
    }
    let run = place.code.assets(["checkout", "1234567890", "sdk/a"]).fails(1);
    assert!(run.stderr.contains("hint: a commit that is not on this machine needs all 40 digits"), "{}", run.stderr);
    let gone = "1".repeat(40);
    place.code.assets(["checkout", &gone, "sdk/a"]).fails(1).says(&format!("commit `{gone}` is not in assets repo"));
    place.code.assets(["checkout"]).fails(2).says("<REV>");
    assert_eq!(place.content(), "one\n");
}

#[test]
fn offline_what_is_here_is_shown() {
    let world = World::new();
    let place = place(&world, "tag");
    place.code.assets(["checkout", "py/a_2", "sdk/a"]).ok();
    std::fs::rename(&place.repo.path, world.root().join("gone.git")).unwrap();
    place.code.assets(["checkout", "--offline", "py/a_1", "sdk/a"]).ok();
    assert_eq!(place.content(), "one\n");
    place.code.assets(["checkout", "--offline", &place.two[..8], "sdk/a"]).ok();
    assert_eq!(place.content(), "two\n");
    place.code.assets(["checkout", "--offline", "main", "sdk/a"]).fails(1).says("`--offline` forbids to ask it");
}

#[test]
fn an_annotated_tag_means_its_commit() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let one = repo.commit("main", &[(FILE, "one\n")]);
    repo.commit("main", &[(FILE, "two\n")]);
    repo.git(["-c", "user.name=T", "-c", "user.email=t@x", "tag", "-a", "-m", "x", "py/a_1", &one]).ok();
    let server = GitServer::start(world.root(), Options::default());
    let code = world.code_repo("code");
    for form in ["branch", "tag"] {
        let url = format!("{}/assets.git", server.url());
        let text = match form {
            "branch" => format!("{{\"AssetsRepo\": \"{url}\", \"AssetsRepoPrefixPath\": \"recordings\"}}"),
            _ => {
                format!("{{\"AssetsRepo\": \"{url}\", \"AssetsRepoPrefixPath\": \"recordings\", \"TagPrefix\": \"x\"}}")
            }
        };
        code.manifest("sdk/a", &text);
        let run = code.assets(["checkout", "py/a_1", "sdk/a", "--json"]).ok();
        let result = run.json()["results"][0].clone();
        assert_eq!((&result["commit"], &result["state"]), (&json!(one), &json!("restored")), "{form}");
        let again = code.assets(["checkout", "py/a_1", "sdk/a", "--json"]).ok();
        assert_eq!(again.json()["results"][0]["state"], "unchanged", "{form}");
    }
}

#[cfg(unix)]
#[test]
fn a_terminal_is_asked() {
    use crate::support::pty::{DOWN, ENTER, Start};
    let world = World::new();
    let place = place(&world, "branch");
    place.record();
    for (keys, code, content) in [([DOWN, ENTER].concat(), 3, "mine\n"), (ENTER.to_string(), 0, "two\n")] {
        let mut terminal = Start::new(&place.code).columns(200).run(["checkout", "main", "sdk/a"]);
        terminal.wait_for("has 1 pending change that another commit would take the place of:");
        terminal.asked("show the diff");
        terminal.press(&keys);
        let ended = terminal.end().fails(code);
        assert!(ended.shows_cursor());
        assert_eq!(place.content(), content, "{}", ended.screen());
    }
}
