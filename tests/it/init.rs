//! `init`, `config create` and `restore --init`: manifests for packages that have none.

use serde_json::json;

use crate::support::{CodeRepo, World, finish, with_every_git};

const REPO: &str = "Azure/azure-sdk-assets";

fn code_repo(world: &World, folder: &str) -> CodeRepo {
    let code = world.code_repo("code");
    std::fs::create_dir_all(code.path.join(folder)).unwrap();
    code
}

fn file(code: &CodeRepo, folder: &str) -> String {
    format!("{}/{folder}/assets.json\n", code.path.display())
}

#[test]
fn the_first_manifest_of_a_code_repo() {
    let world = World::new();
    let code = code_repo(&world, "sdk/core");
    code.git(["remote", "add", "origin", "git@github.com:Azure/azure-sdk-for-python.git"]).ok();
    let run = code.assets(["init", "--repo", REPO, "sdk/core"]).ok();
    assert_eq!(run.stdout, file(&code, "sdk/core"));
    assert_eq!(
        run.stderr,
        "made `sdk/core/assets.json` for the recordings in `python/sdk/core` of `Azure/azure-sdk-assets`\n\
         pushes go to the branch `auto/core`\n\
         hint: `assets restore sdk/core` makes the folder to record into\n"
    );
    let text = "{\n  \"AssetsRepo\": \"Azure/azure-sdk-assets\",\n  \"AssetsRepoPrefixPath\": \"python\"\n}\n";
    assert_eq!(code.read("sdk/core/assets.json"), text);

    // Again: nothing to do.
    let again = code.assets(["init", "sdk/core"]).ok();
    assert_eq!(again.stdout, file(&code, "sdk/core"));
    assert_eq!(again.stderr, "`sdk/core/assets.json` is there already: nothing was changed\n");
    assert_eq!(code.read("sdk/core/assets.json"), text);
}

#[test]
fn a_package_below_another_takes_all_but_the_branch() {
    let world = World::new();
    let code = code_repo(&world, "sdk/tables/data");
    let sha = "1".repeat(40);
    code.manifest(
        "sdk",
        &format!(
            "{{\"AssetsRepo\": \"{REPO}\", \"AssetsRepoPrefixPath\": \"python/\", \"AssetsRepoId\": \"rec\", \
             \"AssetsRepoBranch\": \"auto/all\", \"AssetsRepoFallbackBranch\": \"dev\", \"SHA\": \"{sha}\"}}"
        ),
    );
    let run = code.assets(["config", "create", "-a", "sdk/tables/data/assets.json"]).ok();
    assert_eq!(run.stdout, file(&code, "sdk/tables/data"));
    let expected = format!(
        r#"{{
  "AssetsRepo": "{REPO}",
  "AssetsRepoPrefixPath": "python",
  "AssetsRepoId": "rec",
  "AssetsRepoFallbackBranch": "dev",
  "SHA": "{sha}"
}}
"#
    );
    assert_eq!(code.read("sdk/tables/data/assets.json"), expected);
    let shown = code.assets(["config", "show", "--json", "sdk/tables/data"]).ok().json();
    assert_eq!(shown["results"][0]["config"]["AssetsRepoBranch"], "auto/tables");

    // And from there on with tags of its own.
    code.manifest(
        "net",
        &format!("{{\"AssetsRepo\": \"{REPO}\", \"AssetsRepoPrefixPath\": \"net\", \"Tag\": \"net/all_1a2b\"}}"),
    );
    std::fs::create_dir_all(code.path.join("net/core")).unwrap();
    let run = code.assets(["init", "net/core"]).ok().says("each push makes a tag `net/core_<commit>`\n");
    assert_eq!(run.stdout, file(&code, "net/core"));
    assert_eq!(
        (code.pin("net/core", "TagPrefix"), code.pin("net/core", "Tag")),
        ("net/core".into(), "net/all_1a2b".into())
    );
}

#[test]
fn flags_answer_and_without_a_terminal_nothing_is_asked() {
    let world = World::new();
    let code = code_repo(&world, "sdk/my core");
    let before = code.snapshot();
    let run = code.assets(["init", "sdk/my core"]).fails(3);
    assert_eq!(
        run.stderr,
        format!(
            "error: nothing names the assets repo for `{0}/sdk/my core/assets.json`\n  \
             caused by: there is no `assets.json` above it to take it from\n\
             hint: name it: `assets init --repo owner/name '{0}/sdk/my core'`\n",
            code.path.display()
        )
    );
    for (args, words) in [
        (
            &["init", "--repo", "nowhere"][..],
            "error: invalid value 'nowhere' for '--repo <REPO>': it is neither `owner/name`",
        ),
        (&["init", "--repo", REPO, "--prefix", "../x"], "it leaves the checkout with `..`"),
        (&["init", "--repo", REPO, "--branch", "a b"], "it holds ' ', which git does not allow"),
        (&["init", "--branch", "a", "--tag-prefix", "b"], "cannot be used with"),
        (&["init", "sdk/none"], "hint: make it first: `mkdir -p "),
        (&["init", "README.md"], "README.md` is not a directory"),
        (&["init", "/"], "`/` is not in a git repository"),
    ] {
        let run = code.assets(args).fails(2).says(words);
        assert_eq!(run.stdout, "", "{args:?}");
    }
    assert!(code.snapshot() == before, "something was made");

    let run =
        code.assets(["init", "--repo", REPO, "--prefix", "", "--tag-prefix", "py/core", "sdk/my core", "--json"]).ok();
    let path = "sdk/my core/assets.json";
    let expected = json!({"manifest": path, "state": "created", "file": file(&code, "sdk/my core").trim_end(), "slice": "sdk/my core"});
    assert_eq!((&run.json()["command"], &run.json()["results"]), (&json!("init"), &json!([expected])));
    assert_eq!(run.stderr, "");
    assert_eq!(code.read(path), format!("{{\n  \"AssetsRepo\": \"{REPO}\",\n  \"TagPrefix\": \"py/core\"\n}}\n"));
}

#[test]
fn names_that_cannot_be_taken_over() {
    let world = World::new();
    // The folder in the assets repo is only guessed: what cannot be one is not.
    for name in ["aux", "my repo."] {
        let code = world.code_repo(name);
        code.assets(["init", "--repo", REPO, "--branch", "auto/x"]).ok();
        let text = format!("{{\n  \"AssetsRepo\": \"{REPO}\",\n  \"AssetsRepoBranch\": \"auto/x\"\n}}\n");
        assert_eq!(code.read("assets.json"), text, "{name}");
    }
    // Folders may have names that branches may not.
    let code = code_repo(&world, "sdk/my core");
    let run = code.assets(["init", "--repo", REPO, "sdk/my core"]).fails(2);
    let expected = format!(
        "error: `sdk/my core/assets.json:1:1`: `AssetsRepoBranch` is missing, and its default `auto/my core` holds ' ', \
         which git does not allow in a ref name\n\
         hint: name it: `assets init --branch auto/name '{}/sdk/my core'`\n",
        code.path.display()
    );
    assert_eq!((run.stdout.as_str(), run.stderr), ("", expected));
    code.manifest("sdk", &format!("{{\"AssetsRepo\": \"{REPO}\", \"Tag\": \"all_1\"}}"));
    code.assets(["init", "sdk/my core"]).ok();
    assert_eq!(code.pin("sdk/my core", "TagPrefix"), "my-core");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_no_manifest() {
    let world = World::new();
    let code = code_repo(&world, "sdk/core/folder/assets.json");
    code.manifest("sdk/core", &format!("{{\"AssetsRepo\": \"{REPO}\"}}"));
    std::fs::create_dir(code.path.join("sdk/core/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", code.path.join("sdk/core/link/assets.json")).unwrap();
    for folder in ["sdk/core/folder", "sdk/core/link"] {
        let run = code.assets(["init", folder]).fails(2).says(&format!("{folder}/assets.json` is not a file\n"));
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn several_at_once_make_one_and_all_go_on() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let first = repo.commit("main", &[("recordings/sdk/a/a.json", "one\n")]);
    let code = code_repo(&world, "sdk/new");
    code.branch_manifest("sdk", &repo.path.to_string_lossy(), &first);
    code.assets(["restore", "sdk"]).ok();
    for _ in 0..5 {
        let start = |_| code.command(&[], ["restore", "--init", "sdk/new"]).spawn().unwrap();
        let runs: Vec<_> = (0..8).map(start).collect();
        let runs: Vec<_> = runs.into_iter().map(|run| finish(run).ok()).collect();
        assert_eq!(runs.iter().filter(|run| run.stderr.contains("made `sdk/new/assets.json`")).count(), 1);
        assert!(runs.iter().all(|run| run.stdout == runs[0].stdout));
        std::fs::remove_file(code.path.join("sdk/new/assets.json")).unwrap();
    }
}

#[test]
fn a_bad_manifest_above_is_no_base() {
    let world = World::new();
    let code = code_repo(&world, "sdk/core");
    code.manifest("sdk", "{");
    code.assets(["init", "sdk/core"]).fails(2).says("error: `sdk/assets.json:1:1`: this is not valid JSON");
    assert!(!code.path.join("sdk/core/assets.json").exists());
}

#[test]
fn a_record_run_of_a_new_package_needs_nothing_but_init() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let first =
            repo.commit("main", &[("recordings/sdk/a/a.json", "one\n"), ("recordings/sdk/a/inner/b.json", "two\n")]);
        let code = code_repo(world, "sdk/a/inner");
        code.branch_manifest("sdk", &repo.path.to_string_lossy(), &first);
        std::fs::create_dir_all(code.path.join("sdk/new")).unwrap();

        // A new one, and one that had its recordings in the package around it.
        let run = code.assets(["restore", "--init", "sdk/new", "sdk/a/inner"]).ok();
        let root = code.only_checkout().join("recordings");
        assert_eq!(run.stdout, format!("{0}\n{0}\n", root.display()));
        assert_eq!(code.pin("sdk/a/inner", "SHA"), first);
        assert_eq!(std::fs::read_to_string(root.join("sdk/a/inner/b.json")).unwrap(), "two\n");
        assert!(root.join("sdk/new").is_dir());
        // With manifests of their own nothing is made, and the one of `sdk` is not needed.
        let again = code.assets(["restore", "--init", "sdk/new"]).ok();
        assert_eq!((again.stdout, again.stderr), (format!("{}\n", root.display()), String::new()));

        crate::support::write(&root.join("sdk/new/first.json"), "recorded\n");
        code.assets(["push", "sdk/new"]).ok();
        assert_eq!(repo.file("auto/new", "recordings/sdk/new/first.json").as_deref(), Some("recorded\n"));
        assert_eq!(Some(code.pin("sdk/new", "SHA")), repo.rev("refs/heads/auto/new"));
    });
}

#[test]
fn restore_init_restores_nothing_else_when_it_cannot_make_one() {
    let world = World::new();
    let code = code_repo(&world, "sdk/new");
    let run = code.assets(["restore", "--init", "sdk/new"]).fails(3).says("error: nothing names the assets repo");
    assert_eq!(run.stdout, "");
    code.assets(["restore", "--init", "--all"]).fails(2).says("cannot be used with");
    assert!(!code.path.join(".assets").exists());
}

#[cfg(unix)]
mod in_a_terminal {
    use super::*;
    use crate::support::pty::{CTRL_C, ENTER, Start};

    #[test]
    fn the_repo_is_asked_for_and_the_folder_suggested() {
        let world = World::new();
        let code = code_repo(&world, "sdk/core");
        let mut terminal = Start::new(&code).columns(200).run(["init", "sdk/core"]);
        terminal.asked("Assets repo");
        // Asked again until it is one.
        terminal.press(&["nowhere", ENTER].concat());
        terminal.wait_for("it is neither `owner/name`, nor a git URL");
        terminal.press(&["\u{7f}".repeat("nowhere".len()).as_str(), REPO, ENTER].concat());
        terminal.asked("Folder in it (may be empty)");
        terminal.wait_for("code");
        terminal.press(&["/python", ENTER].concat());
        let ended = terminal.end().fails(0);
        assert!(ended.shows_cursor());
        assert!(ended.screen().contains("for the recordings in `code/python/sdk/core` of"), "{}", ended.screen());
        let text = format!("{{\n  \"AssetsRepo\": \"{REPO}\",\n  \"AssetsRepoPrefixPath\": \"code/python\"\n}}\n");
        assert_eq!(code.read("sdk/core/assets.json"), text);
    }

    #[test]
    fn an_address_as_long_as_they_are_leaves_one_line() {
        let world = World::new();
        let code = code_repo(&world, "sdk/core");
        let url = "https://dev.azure.com/organization/project/_git/recordings";
        for color in ["--color=always", "--color=never"] {
            let mut terminal = Start::new(&code).columns(80).run([color, "init", "sdk/core"]);
            terminal.asked("Assets repo");
            terminal.press(&[url, ENTER].concat());
            terminal.asked("Folder in it (may be empty)");
            terminal.press(ENTER);
            let screen = terminal.end().fails(0).screen();
            let lines: Vec<&str> = screen.lines().take(3).collect();
            assert_eq!(
                lines,
                [
                    "The assets repo is `owner/name` on GitHub, a git URL, or an absolute path.",
                    &format!("✔ Assets repo · {url}"),
                    "✔ Folder in it (may be empty) · code",
                ]
            );
            std::fs::remove_file(code.path.join("sdk/core/assets.json")).unwrap();
        }
    }

    #[test]
    fn leaving_the_question_makes_nothing() {
        let world = World::new();
        let code = code_repo(&world, "sdk/core");
        let before = code.snapshot();
        for command in [&["init", "sdk/core"][..], &["restore", "--init", "sdk/core"]] {
            let start = Start::new(&code);
            let mut terminal = match command {
                [a, b] => start.run([*a, *b]),
                _ => start.run([command[0], command[1], command[2]]),
            };
            terminal.asked("Assets repo");
            terminal.press(CTRL_C);
            let ended = terminal.end().fails(130);
            assert!(ended.shows_cursor(), "{:?}", ended.raw);
            assert!(code.snapshot() == before, "something was made");
        }
        let quiet = Start::new(&code).run(["init", "--no-input", "sdk/core"]).end().fails(3);
        assert!(!quiet.raw.contains("Assets repo"), "{}", quiet.screen());
    }
}
