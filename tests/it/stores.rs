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

/// Entries of the stores' folder that were moved aside because they were broken.
fn set_aside(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.root().join("cache/stores")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".broken-")).collect()
}

/// An assets repo with two pins of `sdk/a`, and a code repo that has restored both, each with packs of its own.
fn two_pins(world: &World) -> (AssetsRepo, CodeRepo, [String; 2]) {
    let repo = world.assets_repo("assets");
    let pins = ["one\n", "two\n"].map(|text| repo.commit("main", &[("recordings/sdk/a/one.json", text)]));
    let code = world.code_repo("code");
    for pin in &pins {
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), pin);
        code.assets(["restore", "sdk/a"]).ok();
    }
    (repo, code, pins)
}

#[test]
fn a_store_that_lost_its_small_files_keeps_its_objects() {
    with_every_git(|world| {
        let (repo, code, pins) = two_pins(world);
        let store = stores(world).remove(0);
        std::fs::rename(&repo.path, world.root().join("gone.git")).unwrap();
        let lost: [&dyn Fn(); 5] = [
            &|| std::fs::remove_file(store.join("HEAD")).unwrap(),
            &|| write(&store.join("config"), ""),
            &|| write(&store.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbar"),
            &|| write(&store.join("config"), "\0\0\0\0"),
            &|| std::fs::remove_dir_all(store.join("refs")).unwrap(),
        ];
        for (round, lose) in lost.into_iter().enumerate() {
            lose();
            code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pins[round % 2]);
            code.assets(["restore", "--offline", "sdk/a"]).ok();
            assert_eq!(set_aside(world), [""; 0]);
        }
    });
}

#[test]
fn only_the_packs_that_are_broken_are_moved_aside() {
    with_every_git(|world| {
        let (repo, code, pins) = two_pins(world);
        let store = stores(world).remove(0);
        let packs = || {
            let entries = std::fs::read_dir(store.join("objects/pack")).unwrap().flatten().map(|entry| entry.path());
            entries.filter(|path| path.extension().is_some_and(|of| of == "pack")).collect::<Vec<_>>()
        };
        let before = packs();
        assert!(before.len() > 1);
        let bytes = std::fs::read(&before[0]).unwrap();
        std::fs::remove_file(&before[0]).unwrap();
        write(&before[0], &bytes[..bytes.len() / 2]);
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pins[0]);
        let run = code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(run.stderr.matches("the object store was damaged").count(), 1, "{}", run.stderr);
        assert!(before[1..].iter().all(|pack| pack.exists()), "the others are where they were");
        let aside = set_aside(world);
        assert_eq!(aside.len(), 1);
        let kept = std::fs::read_dir(store.with_file_name(&aside[0])).unwrap().flatten().map(|entry| entry.file_name());
        assert!(kept.into_iter().any(|name| Some(&*name) == before[0].file_name()));
        code.git_in(&code.only_checkout(), ["fsck", "--connectivity-only", "HEAD"]).ok();
    });
}

/// What stands in a store's place is moved aside by one of many commands, and no command moves the store of another.
#[test]
fn many_commands_make_one_store() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let pin = repo.commit("main", &[("recordings/sdk/a/one.json", "one\n")]);
    let codes: Vec<CodeRepo> = (0..8).map(|number| world.code_repo(&format!("code{number}"))).collect();
    for code in &codes {
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pin);
    }
    codes[0].assets(["restore", "sdk/a"]).ok();
    let store = stores(&world).remove(0);
    for in_its_place in ["nothing", "a file", "an empty folder", "no HEAD"] {
        match in_its_place {
            "no HEAD" => std::fs::remove_file(store.join("HEAD")).unwrap(),
            _ => std::fs::remove_dir_all(&store).unwrap(),
        }
        match in_its_place {
            "a file" => write(&store, "rubbish"),
            "an empty folder" => std::fs::create_dir(&store).unwrap(),
            _ => {}
        }
        let before = set_aside(&world).len();
        for code in &codes {
            let _ = std::fs::remove_dir_all(code.path.join(".assets"));
        }
        let running: Vec<_> =
            codes.iter().map(|code| code.command(&[], ["restore", "sdk/a"]).spawn().unwrap()).collect();
        for child in running {
            crate::support::finish(child).ok();
        }
        assert_eq!(set_aside(&world).len() - before, usize::from(in_its_place == "a file"), "{in_its_place}");
        assert_eq!(stores(&world), std::slice::from_ref(&store));
    }
}
