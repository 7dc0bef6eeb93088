//! Repositories whose ids have 64 digits: as an assets repo they are refused in words, as a code repo they are fine.

use std::path::{Path, PathBuf};

use crate::support::server::{GitServer, Options};
use crate::support::{World, run, snapshot, with_every_git, write};

const WORDS: &str = "SHA-256";

/// A bare repository with such ids, with the tag `py/a_1`; and its only commit.
fn other_repo(world: &World) -> (PathBuf, String) {
    let seed = world.root().join("seed");
    let bare = world.root().join("other.git");
    let git = |dir: &Path, args: &[&str]| run(dir, &world.env(), "git", args).ok().stdout.trim().to_string();
    git(world.root(), &["init", "-q", "--object-format=sha256", &seed.to_string_lossy()]);
    write(&seed.join("recordings/sdk/a/a.json"), "a\n");
    git(&seed, &["add", "-A"]);
    git(&seed, &["commit", "-q", "-m", "first"]);
    git(&seed, &["tag", "py/a_1"]);
    git(world.root(), &["clone", "-q", "--bare", &seed.to_string_lossy(), &bare.to_string_lossy()]);
    let commit = git(&bare, &["rev-parse", "HEAD"]);
    (bare, commit)
}

#[test]
fn an_assets_repo_with_other_ids_is_refused_with_the_reason() {
    with_every_git(|world| {
        let (bare, commit) = other_repo(world);
        let server = GitServer::start(world.root(), Options::default());
        let code = world.code_repo("code");
        for url in [bare.to_string_lossy().into_owned(), format!("{}/other.git", server.url())] {
            // A pin of another repo, the tip of the branch, a tag.
            for pin in ["4e8e976b7839c1e9c6903f48106e48be76868a5d", ""] {
                code.branch_manifest("sdk/a", &url, pin);
                code.assets(["restore", "sdk/a"]).fails(1).says("cannot be used: it was made with SHA-256");
            }
            let doctor = code.assets(["doctor", "sdk/a"]).fails(1);
            assert!(doctor.stdout.contains(WORDS), "{}", doctor.stdout);
            code.assets(["checkout", "main", "sdk/a"]).fails(1).says(WORDS);
            code.tag_manifest("sdk/a", &url, "py/a_1");
            code.assets(["restore", "sdk/a"]).fails(1).says(WORDS);
            assert!(code.checkouts().is_empty());
            // A pin that only such a repo can have.
            code.branch_manifest("sdk/a", &url, &commit);
            let run = code.assets(["restore", "sdk/a"]).fails(2).says("`sdk/a/assets.json:4:10`: `SHA`");
            run.says(WORDS);
            code.branch_manifest("sdk/a", &url, "");
            code.assets(["checkout", &commit, "sdk/a"]).fails(2).says(WORDS);
        }
    });
}

#[test]
fn a_checkout_with_other_ids_is_left_as_it_is() {
    with_every_git(|world| {
        let (bare, _) = other_repo(world);
        let repo = world.assets_repo("assets");
        let pin = repo.commit("main", &[("recordings/sdk/a/a.json", "a\n")]);
        let code = world.code_repo("code");
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pin);
        code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.only_checkout();
        std::fs::remove_dir_all(&checkout).unwrap();
        let args = ["clone", "-q", &bare.to_string_lossy(), &checkout.to_string_lossy()];
        run(world.root(), code.env(), "git", args).ok();
        run(&checkout, code.env(), "git", ["remote", "set-url", "origin", &repo.path.to_string_lossy()]).ok();
        let before = snapshot(&checkout);
        code.assets(["restore", "sdk/a"]).fails(1).says("it is a repository with sha256");
        assert!(before == snapshot(&checkout));
    });
}

#[test]
fn a_code_repo_may_have_other_ids() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let pin = repo.commit("main", &[("recordings/sdk/a/a.json", "a\n")]);
        let code = world.code_repo("code");
        std::fs::remove_dir_all(code.path.join(".git")).unwrap();
        code.git(["init", "-q", "--object-format=sha256"]).ok();
        code.commit("first");
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pin);
        code.assets(["restore", "--changed", "HEAD"]).ok();
        write(&code.only_checkout().join("recordings/sdk/a/new.json"), "new\n");
        code.assets(["push", "sdk/a"]).ok();
        assert_eq!(repo.file("auto/a", "recordings/sdk/a/new.json"), Some("new\n".into()));
        code.commit("manifest");
        code.assets(["status", "--all"]).ok();
        code.assets(["reset", "-y", "--manifest", "sdk/a"]).ok();
    });
}
