//! The object stores in the cache: each is for one repository, and what is in it is not taken for another's.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use crate::support::{AssetsRepo, CodeRepo, World, with_every_git, write};

/// Assets repos that are reached by ssh, each with other recordings under the same tag.
fn by_ssh(world: &World, names: &[&str]) -> Vec<AssetsRepo> {
    let repos = names.iter().map(|name| {
        let repo = world.assets_repo(name);
        repo.commit("main", &[("recordings/sdk/a/one.json", &format!("of {name}\n"))]);
        repo.tag("py/a_1", "main");
        repo
    });
    repos.collect()
}

/// An ssh that leads each address to a repository of this machine.
fn ssh(world: &World, addresses: &[(&str, &AssetsRepo)]) -> String {
    let mut script = String::from("#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\ncase \"$1 $2\" in\n");
    for (address, repo) in addresses {
        script.push_str(&format!("*'{address}'*) exec git upload-pack '{}';;\n", repo.path.display()));
    }
    script.push_str("esac\nexit 1\n");
    let file = world.root().join("ssh");
    write(&file, script);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    file.to_string_lossy().into_owned()
}

/// What is restored of `sdk/a` when its manifest names this assets repo.
fn restored(code: &CodeRepo, ssh: &str, assets_repo: &str) -> String {
    let _ = std::fs::remove_dir_all(code.path.join(".assets"));
    code.manifest(
        "sdk/a",
        &format!(r#"{{"AssetsRepo": "{assets_repo}", "AssetsRepoPrefixPath": "recordings", "Tag": "py/a_1"}}"#),
    );
    code.assets_with(&[("GIT_SSH_COMMAND", ssh), ("GIT_SSH_VARIANT", "simple")], ["restore", "sdk/a"]).ok();
    std::fs::read_to_string(code.only_checkout().join("recordings/sdk/a/one.json")).unwrap()
}

#[test]
fn two_users_of_one_host_have_repositories_of_their_own() {
    with_every_git(|world| {
        let repos = by_ssh(world, &["bob", "alice"]);
        let ssh = ssh(world, &[("bob@host", &repos[0]), ("alice@host", &repos[1])]);
        let code = world.code_repo("code");
        for form in ["USER@host:rec.git", "ssh://USER@host/rec.git"] {
            for user in ["bob", "alice"] {
                assert_eq!(restored(&code, &ssh, &form.replace("USER", user)), format!("of {user}\n"), "{form}");
            }
        }
    });
}

#[test]
fn an_address_that_ends_like_one_of_github_is_not_github() {
    with_every_git(|world| {
        let repos = by_ssh(world, &["evil", "honest"]);
        let ssh = ssh(world, &[("evil.example x@github.com/o/n", &repos[0]), ("evil.example", &repos[0])]);
        let config = std::fs::read_to_string(world.root().join("home/.gitconfig")).unwrap();
        let honest = repos[1].path.display();
        world.write(
            "home/.gitconfig",
            format!("{config}[url \"{honest}\"]\n\tinsteadOf = https://github.com/o/n.git\n"),
        );
        let code = world.code_repo("code");
        for address in
            ["evil.example:x@github.com/o/n", "evil.example:github.com/o/n", "ssh://evil.example/github.com/o/n"]
        {
            assert_eq!(restored(&code, &ssh, address), "of evil\n", "{address}");
            assert_eq!(restored(&code, &ssh, "o/n"), "of honest\n", "{address}");
        }
    });
}

/// The directories of the stores.
fn stores(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.root().join("cache/stores")).unwrap().flatten().map(|entry| entry.path());
    let mut stores: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    stores.sort();
    stores
}

/// Makes a checkout and its store look as an earlier version left them, with its shorter name.
fn as_earlier(repo: &AssetsRepo, checkout: &Path, store: &Path) -> PathBuf {
    let identity = repo.path.with_extension("").to_string_lossy().into_owned();
    let readable = identity.replace('/', "-");
    let readable = readable.trim_start_matches(['-', '.']);
    let readable = &readable[readable.len().saturating_sub(60)..];
    let hash = sha1_smol::Sha1::from(&identity).digest().to_string();
    let earlier = store.with_file_name(format!("{readable}-{}", &hash[..8]));
    std::fs::rename(store, &earlier).unwrap();
    write(&checkout.join(".git/objects/info/alternates"), format!("{}/objects\n", earlier.display()));
    earlier
}

#[test]
fn what_an_earlier_version_left_goes_on_working_and_then_goes() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let files = |text: &str| {
            [("recordings/sdk/a/one.json", format!("{text}\n")), ("recordings/sdk/b/b.json", format!("b {text}\n"))]
        };
        let commit = |text: &str| {
            let files = files(text);
            repo.commit("main", &files.each_ref().map(|(path, text)| (*path, text.as_str())))
        };
        let pins = [commit("first"), commit("second")];
        let code = world.code_repo("code");
        let url = repo.path.to_string_lossy().into_owned();
        code.branch_manifest("sdk/a", &url, &pins[0]);
        code.branch_manifest("sdk/b", &url, &pins[0]);
        code.assets(["restore", "--all"]).ok();
        let checkout = code.only_checkout();
        let earlier = as_earlier(&repo, &checkout, &stores(world)[0]);
        write(&checkout.join("recordings/sdk/a/new.json"), "mine\n");

        assert!(code.assets(["status", "--all"]).ok().stdout.contains("1A"));
        code.assets(["gc", "--yes"]).ok();
        assert!(earlier.exists(), "a checkout borrows from it");
        code.branch_manifest("sdk/a", &url, &pins[1]);
        code.assets(["restore", "--all"]).ok().says("put aside 1 pending change");
        code.assets(["stash", "pop", "sdk/a"]).ok();
        let read = |path: &str| std::fs::read_to_string(checkout.join(path)).unwrap();
        assert_eq!(read("recordings/sdk/a/one.json"), "second\n");
        assert_eq!(read("recordings/sdk/a/new.json"), "mine\n");
        assert_eq!(read("recordings/sdk/b/b.json"), "b first\n");
        code.assets(["gc", "--yes"]).ok();
        assert!(!earlier.exists(), "nothing uses it");
        assert_eq!(stores(world).len(), 1);
        code.git_in(&checkout, ["fsck", "--connectivity-only", "HEAD"]).ok();
        code.assets(["push", "sdk/a"]).ok();
        assert_eq!(repo.file("auto/a", "recordings/sdk/a/new.json"), Some("mine\n".into()));
    });
}

#[test]
fn a_checkout_of_an_earlier_version_that_nothing_uses_goes_with_its_store() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let pin = repo.commit("main", &[("recordings/sdk/a/one.json", "one\n")]);
        let code = world.code_repo("code");
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pin);
        code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.only_checkout();
        let earlier = as_earlier(&repo, &checkout, &stores(world)[0]);
        std::fs::remove_file(code.path.join("sdk/a/assets.json")).unwrap();
        code.assets(["gc", "--yes"]).ok();
        assert!(!checkout.exists() && !earlier.exists());
    });
}
