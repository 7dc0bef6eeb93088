//! `assets restore`: how manifests and folders are named, and what is printed.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{ASSETS, CodeRepo, Run, World, run, with_every_git, write};

/// Two slices of one commit; `sdk/a` and `sdk/b`.
fn scene(world: &World) -> (CodeRepo, String) {
    let repo = world.assets_repo("assets");
    let pin = repo.commit("main", &[("recordings/sdk/a/a.json", "a"), ("recordings/sdk/b/b.json", "b")]);
    let code = world.code_repo("code");
    for folder in ["sdk/a", "sdk/b"] {
        code.branch_manifest(folder, &repo.path.to_string_lossy(), &pin);
        code.write(&format!("{folder}/tests/deep/x.rs"), "");
    }
    (code, pin)
}

/// The folders of the slices that are there.
fn slices(code: &CodeRepo) -> Vec<&'static str> {
    let folder = code.only_checkout().join("recordings/sdk");
    ["a", "b"].into_iter().filter(|name| folder.join(name).exists()).collect()
}

#[test]
fn paths_of_the_command_line() {
    with_every_git(|world| {
        let (code, _) = scene(world);
        let absolute = code.path.join("sdk/a").to_string_lossy().into_owned();
        let root = code.path.to_string_lossy().into_owned();
        let table: &[(&str, &[&str], &[&str])] = &[
            (".", &["restore", "sdk/a"], &["a"]),
            (".", &["restore", "sdk/a/assets.json"], &["a"]),
            (".", &["restore", "sdk/a/tests/deep"], &["a"]),
            (".", &["restore", &absolute], &["a"]),
            (".", &["restore", "-a", "sdk/a/assets.json"], &["a"]),
            (".", &["restore", "--assets-json-path", "sdk/b"], &["b"]),
            (".", &["restore", "sdk/a", "-a", "sdk/b"], &["a", "b"]),
            (".", &["restore", "sdk/a", "sdk/a/assets.json", "./sdk/a"], &["a"]),
            ("sdk/a", &["restore"], &["a"]),
            ("sdk/a/tests", &["restore"], &["a"]),
            ("sdk/a", &["restore", "../b"], &["b"]),
            ("/", &["restore", "-l", &absolute], &["a"]),
            ("/", &["-l", &root, "restore", "sdk/b"], &["b"]),
            ("sdk", &["restore", "-l", "a"], &["a"]),
            (".", &["playback", "sdk/a"], &["a"]),
            (".", &["--command", "restore", "--assetsJsonPath", "sdk/a/assets.json"], &["a"]),
        ];
        for (dir, args, wanted) in table {
            let _ = std::fs::remove_dir_all(code.path.join(".assets"));
            let printed = run(&code.path.join(dir), code.env(), ASSETS, *args).ok();
            let line = format!("{}/recordings\n", code.only_checkout().display());
            assert_eq!(printed.stdout, line.repeat(wanted.len()), "{args:?}");
            assert_eq!(slices(&code), *wanted, "{args:?}");
        }
    });
}

#[test]
fn folders_of_the_environment() {
    with_every_git(|world| {
        let (code, _) = scene(world);
        let name = {
            code.assets(["restore", "sdk/a"]).ok();
            code.checkouts().remove(0)
        };
        let root = code.path.to_string_lossy().into_owned();
        let elsewhere = world.root().join("else where").to_string_lossy().into_owned();
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], PathBuf);
        let table: &[Case] = &[
            ("/", &[("TEST_PROXY_FOLDER", &root)], &["restore", "sdk/a"], code.path.join(".assets")),
            (".", &[("TEST_PROXY_FOLDER", "/")], &["restore", "-l", "sdk", "a"], code.path.join(".assets")),
            (".", &[("PROXY_ASSETS_FOLDER", &elsewhere)], &["restore", "sdk/a"], elsewhere.clone().into()),
            (".", &[("PROXY_ASSETS_FOLDER", "out/here")], &["restore", "sdk/a"], code.path.join("out/here")),
            ("sdk", &[("PROXY_ASSETS_FOLDER", "here")], &["restore", "a"], code.path.join("sdk/here")),
            (
                "/",
                &[("PROXY_ASSETS_FOLDER", "there"), ("TEST_PROXY_FOLDER", &root)],
                &["restore", "sdk/a"],
                code.path.join("there"),
            ),
        ];
        for (dir, env, args, folder) in table {
            let own = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let env: Vec<(String, String)> = code.env().iter().cloned().chain(own).collect();
            let _ = std::fs::remove_dir_all(folder);
            let printed = run(&code.path.join(dir), &env, ASSETS, *args).ok();
            let checkout = folder.join(&name);
            assert_eq!(printed.stdout, format!("{}/recordings\n", checkout.display()), "{args:?}");
            assert_eq!(std::fs::read(checkout.join("recordings/sdk/a/a.json")).unwrap(), b"a", "{args:?}");
            assert_eq!(std::fs::read(folder.join(".gitignore")).unwrap(), b"*\n", "{args:?}");
        }
    });
}

#[test]
fn one_json_document() {
    with_every_git(|world| {
        let (code, pin) = scene(world);
        let first = code.assets(["restore", "--json", "sdk/a"]).ok();
        let root = format!("{}/recordings", code.only_checkout().display());
        let result = |state: &str, before: Option<&str>| {
            json!({
                "manifest": "sdk/a/assets.json", "state": state, "root": root, "commit": pin, "before": before,
                "put_aside": [], "files": u8::from(state == "restored"), "bytes": u8::from(state == "restored"),
            })
        };
        // How long it took is another number each time.
        let without_times = |run: &Run| {
            let mut document = run.json();
            let item = document["results"][0].as_object_mut().unwrap();
            assert!(item.remove("milliseconds").unwrap()["fetch"].is_u64());
            document
        };
        let document =
            |result: serde_json::Value| json!({"schema": 1, "command": "restore", "exit_code": 0, "results": [result]});
        assert_eq!(without_times(&first), document(result("restored", None)));
        let again = code.assets_with(&[("ASSETS_JSON", "1")], ["restore", "sdk/a"]).ok();
        assert_eq!(without_times(&again), document(result("unchanged", Some(&pin))));
        assert_eq!((first.stderr, again.stderr), (String::new(), String::new()));

        // One of two fails: the other is restored, and both are in the document.
        write(&code.path.join("sdk/bad/assets.json"), "{");
        let run = code.assets(["--json", "restore", "sdk/bad", "sdk/b"]).fails(2);
        let document = run.json();
        assert_eq!(document["exit_code"], 2);
        let results = document["results"].as_array().unwrap();
        let mut states: Vec<&str> = results.iter().map(|result| result["state"].as_str().unwrap()).collect();
        states.sort_unstable();
        assert_eq!(states, ["failed", "restored"]);
        assert_eq!(slices(&code), ["a", "b"]);
        let usage = code.assets(["restore", "--json", "--no-such-flag"]).fails(2).json();
        assert_eq!(
            (&usage["schema"], &usage["exit_code"], &usage["error"]["kind"]),
            (&json!(1), &json!(2), &json!("usage"))
        );
    });
}

#[test]
fn quiet_prints_the_root_alone() {
    with_every_git(|world| {
        let (code, _) = scene(world);
        let run = code.assets(["-q", "restore", "sdk/a"]).ok();
        assert_eq!(run.stdout, format!("{}/recordings\n", code.only_checkout().display()));
        assert_eq!(run.stderr, "");
    });
}

/// The commands of hints work where the user stands, whatever the folder is called.
#[test]
fn a_folder_that_looks_like_a_flag() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let pin = repo.commit("main", &[("recordings/-a/a.json", "a")]);
    let code = world.code_repo("code");
    code.branch_manifest("-a", &repo.path.to_string_lossy(), &pin);
    code.assets(["restore", "--all"]).ok();
    write(&code.only_checkout().join("recordings/-a/a.json"), "mine");
    for args in [&["reset", "--all"][..], &["reset", "--", "-a"]] {
        code.assets(args).fails(3).says("hint: confirm with `assets reset -y ./-a`\n");
    }
    code.assets(["reset", "-y", "./-a"]).ok();
}
