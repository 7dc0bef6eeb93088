//! The command line itself: help, older forms, usage errors, `--json`, variables, `config`, and several manifests.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{AssetsRepo, CodeRepo, Run, World, finish, write};

const FILE: &str = "recordings/sdk/a/a.json";
const GONE: &str = "1111111111111111111111111111111111111111";

fn restored(world: &World) -> (AssetsRepo, CodeRepo) {
    let (repo, code) = fresh(world);
    code.assets(["restore", "sdk/a"]).ok();
    (repo, code)
}

fn fresh(world: &World) -> (AssetsRepo, CodeRepo) {
    let repo = world.assets_repo("assets");
    let sha = repo.commit("main", &[(FILE, "one\n")]);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &sha);
    (repo, code)
}

fn record(code: &CodeRepo, content: &str) {
    write(&code.only_checkout().join(FILE), content);
}

#[test]
fn help_is_there_for_every_command() {
    let world = World::new();
    let code = world.code_repo("code");
    for command in [
        "",
        "restore",
        "push",
        "status",
        "reset",
        "stash",
        "stash list",
        "stash pop",
        "config",
        "config locate",
        "config show",
        "config create",
        "init",
        "checkout",
        "diff",
        "gc",
        "completions",
    ] {
        let run = code.assets(command.split_whitespace().chain(["--help"])).ok();
        assert!(run.stdout.contains("Usage: assets"), "{command}: {}", run.stdout);
        assert!(run.stdout.contains("Examples:\n  assets "), "`{command}` has no examples: {}", run.stdout);
        assert_eq!(run.stderr, "");
    }
    let version = format!("assets {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(code.assets(["--version"]).ok().stdout, version);
}

#[test]
fn what_was_meant_is_suggested() {
    let world = World::new();
    let (_, code) = fresh(&world);
    for (args, tip) in [
        (&["restor"][..], "some similar subcommands exist: 'reset', 'restore'"),
        (&["config", "lokate"], "a similar subcommand exists: 'locate'"),
        (&["push", "--dryrun"], "a similar argument exists: '--dry-run'"),
        (&["completions", "bsh"], "a similar value exists: 'bash'"),
    ] {
        code.assets(args).fails(2).says(&format!("  tip: {tip}\n"));
        let document = code.assets([args, &["--json"]].concat()).fails(2).json();
        assert_eq!(document["error"]["hints"], json!([tip, "see `assets --help`"]), "{args:?}");
    }
    code.manifest("sdk/b", "{\n  \"AssetsRepo\": \"o/n\",\n  \"sha\": \"1\",\n  \"$schema\": \"x\"\n}");
    let run = code.assets(["config", "locate", "sdk/b"]).ok();
    assert_eq!(run.stderr, "note: `sdk/b/assets.json:3:3`: `sha` means nothing here; did you mean `SHA`?\n");
    assert_eq!(code.assets(["config", "locate", "--json", "sdk/b"]).ok().stderr, "");
    code.manifest("sdk/b", "{\"AssetRepo\": \"o/n\"}");
    let run = code.assets(["restore", "sdk/b"]).fails(2);
    assert_eq!(
        run.stderr,
        "error: `sdk/b/assets.json:1:1`: `AssetsRepo` is missing or empty\n  \
         caused by: `sdk/b/assets.json:1:2`: `AssetRepo` means nothing here; did you mean `AssetsRepo`?\n\
         hint: name the assets repo: `\"AssetsRepo\": \"owner/name\"` in `sdk/b/assets.json`\n"
    );
}

#[test]
fn completions_are_scripts() {
    let world = World::new();
    let code = world.code_repo("code");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = code.assets(["completions", shell]).ok();
        assert_eq!(run.stderr, "");
        for word in ["restore", "checkout", "dry-run", "allow-deletions"] {
            assert!(run.stdout.contains(word), "{shell} does not complete `{word}`");
        }
        let document = code.assets(["completions", "--json", shell]).ok().json();
        assert_eq!(document["results"][0]["script"].as_str().unwrap().trim_end(), run.stdout.trim_end());
    }
    // Bash itself completes with it.
    let script = code.assets(["completions", "bash"]).ok().stdout;
    world.write("complete.bash", script);
    let ask = "source ../complete.bash; COMP_WORDS=(assets re); COMP_CWORD=1; _assets assets re assets; \
               echo ${COMPREPLY[@]}";
    let run = crate::support::run(&code.path, code.env(), "bash", ["-c", ask]).ok();
    assert_eq!(run.stdout, "restore reset\n");
}

#[test]
fn usage_errors() {
    let world = World::new();
    let (_, code) = fresh(&world);
    let table: [(&[&str], &str); 7] = [
        (&[], "Usage: assets"),
        (&["fetch"], "error: unrecognized subcommand 'fetch'"),
        (&["restore", "--stash", "--keep"], "error: the argument '--stash' cannot be used with"),
        (&["restore", "--lock-timeout", "soon"], "error: invalid value 'soon' for '--lock-timeout"),
        (&["--color", "blue", "restore"], "error: invalid value 'blue' for '--color"),
        (&["config"], "Usage: assets config"),
        (&["--command"], "error: unexpected argument '--command' found"),
    ];
    for (args, words) in table {
        let run = code.assets(args).fails(2).says(words);
        assert_eq!(run.stdout, "", "{args:?}");
        let run = code.assets([&["--json"], args].concat()).fails(2);
        assert_eq!(run.stderr, "", "{args:?}");
        let document = run.json();
        assert_eq!((&document["schema"], &document["exit_code"]), (&json!(1), &json!(2)), "{args:?}");
        assert_eq!(document["error"]["kind"], "usage", "{args:?}");
        let message = document["error"]["message"].as_str().unwrap_or_default();
        // Without a command the text is the help, and the document says that one is missing.
        let expected = words.strip_prefix("error: ").unwrap_or("a command is missing");
        assert!(message.starts_with(expected), "{document}");
        assert_eq!(code.assets_with(&[("ASSETS_JSON", "1")], args).fails(2).json(), document, "by variable");
    }
    assert!(!code.path.join(".assets").exists());
}

#[test]
fn forms_of_earlier_scripts() {
    let world = World::new();
    let (repo, code) = fresh(&world);
    let root = |run: Run| run.stdout.trim_end().to_string();
    let expected = root(code.assets(["restore", "sdk/a"]).ok());
    assert_eq!(root(code.assets(["playback", "sdk/a"]).ok()), expected);
    let command = ["--command", "restore", "--assetsJsonPath", "sdk/a/assets.json"];
    assert_eq!(root(code.assets(command).ok()), expected);
    assert_eq!(root(code.assets(["restore", "-a", "sdk/a/assets.json"]).ok()), expected);
    assert_eq!(root(code.assets(["restore", "--assets-json-path", "a", "-l", "sdk"]).ok()), expected);
    assert_eq!(root(code.assets_with(&[("TEST_PROXY_FOLDER", "sdk")], ["restore", "a"]).ok()), expected);
    assert_eq!(root(code.assets_with(&[("TEST_PROXY_FOLDER", "x")], ["restore", "a", "-l", "sdk"]).ok()), expected);
    record(&code, "mine\n");
    code.assets(["push", "sdk/a", "--break-glass"]).ok();
    assert_eq!(repo.file("auto/a", FILE).as_deref(), Some("mine\n"));
}

#[test]
fn config_locate_and_show() {
    let world = World::new();
    let (repo, code) = fresh(&world);
    let url = repo.path.to_string_lossy().into_owned();
    let sha = code.pin("sdk/a", "SHA");
    let id = url.trim_start_matches('/').replace('/', ".").replace("..", ".");
    let located = code.assets(["config", "locate", "sdk/a"]).ok();
    assert_eq!(located.stdout, format!("{}\n", code.checkout(&id).join("recordings").display()));
    let shown = code.assets(["config", "show", "sdk/a"]).ok();
    let expected = format!(
        r#"{{
  "AssetsRepo": "{url}",
  "AssetsRepoPrefixPath": "recordings",
  "AssetsRepoId": "{id}",
  "AssetsRepoBranch": "auto/a",
  "AssetsRepoFallbackBranch": "main",
  "SHA": "{sha}"
}}
"#
    );
    assert_eq!((shown.stdout, shown.stderr.as_str()), (expected, ""));

    code.manifest(
        "sdk/storage/azure-storage-blob",
        r#"{"AssetsRepo": "Azure/azure-sdk-assets", "Tag": "python/blob_1a2b"}"#,
    );
    let shown = code.assets(["config", "show", "sdk/storage/azure-storage-blob"]).ok();
    let expected = r#"{
  "AssetsRepo": "Azure/azure-sdk-assets",
  "AssetsRepoPrefixPath": "",
  "TagPrefix": "python/blob",
  "Tag": "python/blob_1a2b"
}
"#;
    assert_eq!(shown.stdout, expected);
    let located = code.assets(["config", "locate", "sdk/storage/azure-storage-blob"]).ok();
    assert_eq!(located.stdout, format!("{}\n", code.checkout("yoPImn7QKL").display()));
    let elsewhere = [("PROXY_ASSETS_FOLDER", "/elsewhere")];
    let located = code.assets_with(&elsewhere, ["config", "locate", "sdk/storage/azure-storage-blob"]).ok();
    assert_eq!(located.stdout, "/elsewhere/yoPImn7QKL\n");
    // What it prints is a manifest that means the same.
    code.manifest("sdk/storage/azure-storage-blob", expected);
    assert_eq!(code.assets(["config", "show", "sdk/storage/azure-storage-blob"]).ok().stdout, expected);
    assert!(!code.path.join(".assets").exists(), "looking made something");
}

/// The document of a command, its fixed parts checked.
#[track_caller]
fn document<const N: usize>(code: &CodeRepo, args: [&str; N], command: &str, exit: i32) -> Value {
    let run = code.assets(args.iter().chain(&["--json"])).fails(exit);
    assert_eq!(run.stdout.matches('\n').count(), 1, "one line: {}", run.stdout);
    let document = run.json();
    let fixed = (&document["schema"], &document["command"], &document["exit_code"]);
    assert_eq!(fixed, (&json!(1), &json!(command), &json!(exit)), "{document}");
    document["results"].clone()
}

#[test]
fn json_of_every_command() {
    let world = World::new();
    let (repo, code) = fresh(&world);
    let first = code.pin("sdk/a", "SHA");
    let mut results = document(&code, ["restore", "sdk/a"], "restore", 0);
    let took = results[0].as_object_mut().and_then(|item| item.remove("milliseconds")).unwrap();
    assert!(took["fetch"].is_u64() && took["checkout"].is_u64(), "{took}");
    let root = code.only_checkout().join("recordings").to_string_lossy().into_owned();
    let manifest = "sdk/a/assets.json";
    assert_eq!(
        results,
        json!([{"manifest": manifest, "state": "restored", "root": root, "commit": first, "before": null, "put_aside": [], "files": 1, "bytes": 4}])
    );
    let results = document(&code, ["restore", "sdk/a"], "restore", 0);
    assert_eq!(results[0]["state"], "unchanged");
    let results = document(&code, ["push", "sdk/a"], "push", 0);
    assert_eq!((&results[0]["state"], &results[0]["pin"]), (&json!("unchanged"), &json!(first)));

    record(&code, "mine\n");
    let change = json!([{"kind": "modified", "path": FILE}]);
    let results = document(&code, ["push", "sdk/a", "--dry-run"], "push", 0);
    assert_eq!((&results[0]["state"], &results[0]["files"]), (&json!("pending"), &change));
    let results = document(&code, ["reset", "sdk/a"], "reset", 3);
    assert_eq!((&results[0]["state"], &results[0]["error"]["kind"]), (&json!("failed"), &json!("needs-person")));
    let results = document(&code, ["reset", "-y", "sdk/a"], "reset", 0);
    assert_eq!((&results[0]["state"], &results[0]["put_aside"]), (&json!("restored"), &change));
    let results = document(&code, ["stash", "list", "sdk/a"], "stash list", 0);
    assert_eq!((&results[0]["state"], &results[0]["entries"][0]["files"]), (&json!("listed"), &change));
    let results = document(&code, ["stash", "pop", "sdk/a"], "stash pop", 0);
    assert_eq!(results, json!([{"manifest": manifest, "state": "restored", "files": change}]));
    let results = document(&code, ["stash", "pop", "sdk/a"], "stash pop", 1);
    assert_eq!(results[0]["state"], "failed");

    let results = document(&code, ["push", "sdk/a"], "push", 0);
    let pushed = repo.rev("refs/heads/auto/a").unwrap();
    assert_eq!(
        results,
        json!([{
            "manifest": manifest, "state": "pushed", "root": root, "commit": pushed, "before": first, "pin": pushed,
            "pushed_to": "refs/heads/auto/a", "files_of_others": 0, "files": change, "secret_check": "switched-off"
        }])
    );
    let results = document(&code, ["config", "locate", "sdk/a"], "config locate", 0);
    assert_eq!(results, json!([{"manifest": manifest, "state": "located", "root": root}]));
    let results = document(&code, ["config", "show", "sdk/a"], "config show", 0);
    assert_eq!((&results[0]["slice"], &results[0]["config"]["SHA"]), (&json!("recordings/sdk/a"), &json!(pushed)));
}

#[test]
fn json_of_failures() {
    let world = World::new();
    let (_, code) = fresh(&world);
    code.manifest("sdk/bad", "{");
    for command in
        ["restore", "push", "reset", "diff", "stash list", "stash pop", "config locate", "config show", "status"]
    {
        let run = code.assets(command.split(' ').chain(["sdk/bad", "--json"])).fails(2);
        let document = run.json();
        assert_eq!((&document["command"], run.stderr.as_str()), (&json!(command), ""));
        let result = &document["results"][0];
        assert_eq!((&result["state"], &result["error"]["kind"]), (&json!("failed"), &json!("usage")), "{document}");
        assert_eq!(result["error"]["message"], "`sdk/bad/assets.json:1:1`: this is not valid JSON");
        assert!(result["error"]["hints"][0].is_string() && result["error"]["causes"][0].is_string(), "{document}");
    }
    // What fails before any manifest is looked at.
    let run = code.assets_with(&[("ASSETS_MAX_FILES", "many")], ["restore", "--json"]).fails(2);
    assert_eq!(run.json()["error"]["message"], "`ASSETS_MAX_FILES` is `many`, which is not a number");
    assert_eq!(run.json()["results"], json!([]));
    let most = "18446744073709551616";
    let run = code.assets_with(&[("ASSETS_MAX_BYTES", most)], ["restore", "--json"]).fails(2);
    assert_eq!(run.json()["error"]["message"], format!("`ASSETS_MAX_BYTES` is `{most}`, which is too large"));
    code.assets_with(&[("ASSETS_MAX_BYTES", "18446744073709551615")], ["status", "sdk/a"]).ok();
}

#[test]
fn variables_stand_for_flags() {
    let world = World::new();
    let (_, code) = fresh(&world);
    let with = |name, value| code.assets_with(&[(name, value)], ["restore", "sdk/a"]);
    with("ASSETS_OFFLINE", "1").fails(5).says("is not on this machine yet");
    code.assets(["restore", "sdk/a"]).ok();
    let root = format!("{}\n", code.only_checkout().join("recordings").display());
    assert_eq!(with("ASSETS_JSON", "true").ok().json()["schema"], 1);
    for off in ["0", "false", ""] {
        assert_eq!(with("ASSETS_JSON", off).ok().stdout, root, "ASSETS_JSON={off}");
    }
    let failing = |env: &[(&str, &str)], args: &[&str]| code.assets_with(env, args).fails(2).stderr;
    let none = ["restore", "sdk/none"];
    assert!(failing(&[("ASSETS_COLOR", "always")], &none).contains("\x1b["));
    assert!(!failing(&[("ASSETS_COLOR", "always")], &["restore", "sdk/none", "--color", "never"]).contains("\x1b["));

    record(&code, "mine\n");
    let dry_run = |env: &[(&str, &str)], flags: &[&str]| {
        code.assets_with(env, [&["push", "--dry-run", "sdk/a"], flags].concat()).ok().stderr
    };
    let plain = dry_run(&[], &[]);
    assert_eq!(plain, "would push 1 file (1 modified) of `sdk/a/assets.json` to `auto/a`:\n");
    assert_eq!(dry_run(&[("ASSETS_QUIET", "1")], &[]), "");
    assert!(dry_run(&[("ASSETS_VERBOSE", "1")], &[]).contains("+ git "));
    assert!(dry_run(&[("ASSETS_VERBOSE", "2")], &[]).contains(" s]\n"));
    assert!(dry_run(&[("ASSETS_VERBOSE", "2")], &["-v"]).contains("+ git "));
    assert!(!dry_run(&[("ASSETS_VERBOSE", "2")], &["-v"]).contains(" s]\n"), "a flag is stronger");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let world = World::new();
    let (_, code) = restored(&world);
    for args in [&["restore", "sdk/a"][..], &["config", "show", "sdk/a"], &["restore", "sdk/a", "--json"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = code.command(&[], args);
        let run = finish(command.stdout(Stdio::from(writer)).spawn().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn one_bad_manifest_does_not_stop_the_others() {
    let world = World::new();
    let (repo, code) = fresh(&world);
    let url = repo.path.to_string_lossy().into_owned();
    let sha = code.pin("sdk/a", "SHA");
    code.manifest("sdk/bad", "{");
    code.branch_manifest("sdk/gone", &url, GONE);
    code.branch_manifest("sdk/b", &url, &sha);
    let run = code.assets(["restore", "sdk/bad", "sdk/a", "sdk/gone", "sdk/b"]).fails(2);
    let root = format!("{}\n", code.only_checkout().join("recordings").display());
    assert_eq!(run.stdout, root.repeat(2));
    assert_eq!(std::fs::read_to_string(code.only_checkout().join(FILE)).unwrap(), "one\n");
    let errors: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    let expected =
        ["error: `sdk/bad/assets.json:1:1`: this is not valid JSON", "error: cannot restore `sdk/gone/assets.json`"];
    assert_eq!(errors, expected);
    let states: Vec<Value> = document(&code, ["restore", "sdk/bad", "sdk/a", "sdk/gone", "sdk/b"], "restore", 2)
        .as_array()
        .unwrap()
        .iter()
        .map(|result| json!([result["manifest"], result["state"]]))
        .collect();
    let expected = [
        json!(["sdk/bad", "failed"]),
        json!(["sdk/a/assets.json", "unchanged"]),
        json!(["sdk/gone/assets.json", "failed"]),
        json!(["sdk/b/assets.json", "unchanged"]),
    ];
    assert_eq!(states, expected);
}

#[test]
fn the_exit_code_of_several_failures() {
    let world = World::new();
    let (repo, code) = restored(&world);
    let url = repo.path.to_string_lossy().into_owned();
    record(&code, "mine\n");
    let next = repo.commit("main", &[(FILE, "two\n")]);
    code.branch_manifest("sdk/a", &url, &next);
    code.manifest("sdk/bad", "{");
    code.branch_manifest("sdk/gone", &url, GONE);
    code.branch_manifest("sdk/far", "http://127.0.0.1:1/o/n.git", GONE);
    let exit = |paths: &[&str]| code.assets(["restore", "--keep"].iter().chain(paths)).code;
    assert_eq!(exit(&["sdk/far"]), Some(5));
    assert_eq!(exit(&["sdk/far", "sdk/gone"]), Some(1));
    assert_eq!(exit(&["sdk/far", "sdk/gone", "sdk/bad"]), Some(2));
    assert_eq!(exit(&["sdk/far", "sdk/gone", "sdk/bad", "sdk/a"]), Some(3));
}

#[test]
fn what_packages_have_in_common_is_said_once() {
    let world = World::new();
    let code = world.code_repo("code");
    for package in ["sdk/a", "sdk/b", "sdk/c"] {
        code.branch_manifest(package, &world.root().join("none.git").to_string_lossy(), GONE);
    }
    let packages = ["restore", "sdk/a", "sdk/b", "sdk/c"];
    let run = code.assets(packages).fails(1);
    assert_eq!(run.stderr.matches("error:").count(), 1, "{}", run.stderr);
    assert_eq!(document(&code, packages, "restore", 1).as_array().unwrap().len(), 3);
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_written_is_a_failure() {
    let world = World::new();
    let code = world.code_repo("code");
    code.manifest("sdk/a", "{\"AssetsRepo\": \"o/n\"}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = code.command(&[], ["config", "locate", "sdk/a"]);
    let run = crate::support::finish(command.stdout(full).spawn().unwrap()).fails(1);
    assert!(run.stderr.starts_with("error: cannot write the result to stdout\n"), "{}", run.stderr);
}
