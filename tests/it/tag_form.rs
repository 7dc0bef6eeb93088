//! The tag form: the layout of the .NET test proxy, and working side by side with it.

use std::path::{Path, PathBuf};

use crate::support::server::{GitServer, Options};
use crate::support::{ASSETS, AssetsRepo, CodeRepo, World, run, snapshot, with_every_git, write};

pub const FOLDER: &str = "sdk/storage/azure-storage-blob";
pub const SLICE: &str = "python/sdk/storage/azure-storage-blob";
/// base64(sha1("Azure/azure-sdk-assets" + "sdk/storage/azure-storage-blob/assets.json")), letters and digits.
pub const HASH: &str = "yoPImn7QKL";

/// `Azure/azure-sdk-assets` on this machine, with two tags of one package, and a code repo at the first.
pub fn azure(world: &World) -> (AssetsRepo, CodeRepo) {
    let repo = world.assets_repo("assets");
    world.write(
        "home/.gitconfig",
        format!(
            "[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n\
             [url \"{}\"]\n\tinsteadOf = https://github.com/Azure/azure-sdk-assets.git\n\
             \tinsteadOf = https://github.com/Azure/azure-sdk-assets\n",
            repo.path.display()
        ),
    );
    let file = |name: &str| format!("{SLICE}/{name}");
    repo.commit("main", &[("readme.md", "top"), (".gitignore", "*.tmp\n"), ("python/sdk/other/o.json", "other")]);
    repo.commit("main", &[(&file("a.json"), "a1"), (&file("gone.json"), "old")]);
    repo.tag("python/blob_1", "main");
    repo.commit("main", &[(&file("a.json"), "a2"), (&file("gone.json"), ""), (&file("new.json"), "new")]);
    repo.tag("python/blob_2", "main");
    let code = world.code_repo("code");
    pin(&code, "python/blob_1");
    (repo, code)
}

pub fn pin(code: &CodeRepo, tag: &str) {
    code.manifest(
        FOLDER,
        &format!(
            r#"{{"AssetsRepo": "Azure/azure-sdk-assets", "AssetsRepoPrefixPath": "python", "TagPrefix": "python/blob", "Tag": "{tag}"}}"#
        ),
    );
}

/// The commands by which the test proxy makes a checkout.
pub fn test_proxy_clones(code: &CodeRepo, tag: &str) -> PathBuf {
    let checkout = code.checkout(HASH);
    std::fs::create_dir_all(&checkout).unwrap();
    let url = "https://github.com/Azure/azure-sdk-assets";
    let git = |args: &[&str]| code.git_in(&checkout, args).ok();
    git(&["clone", "-q", "-c", "core.longpaths=true", "--no-checkout", "--filter=tree:0", url, "."]);
    git(&["config", "--local", "core.safecrlf", "false"]);
    git(&["sparse-checkout", "init"]);
    git(&["remote", "set-url", "origin", url]);
    test_proxy_switches(code, &checkout, tag);
    git(&["remote", "set-url", "origin", url]);
    checkout
}

/// The commands by which it goes to another tag.
pub fn test_proxy_switches(code: &CodeRepo, checkout: &Path, tag: &str) {
    let git = |args: &[&str]| code.git_in(checkout, args).ok();
    git(&["fetch", "-q", "origin", &format!("refs/tags/{tag}:refs/tags/{tag}")]);
    git(&["sparse-checkout", "set", "--no-cone", SLICE, "eng/", ".gitignore"]);
    git(&["-c", "advice.detachedHead=false", "checkout", "-q", tag]);
}

/// The commands by which it pushes (GitStore.Push); the tag that it makes.
pub fn test_proxy_pushes(code: &CodeRepo, checkout: &Path) -> String {
    let git = |args: &[&str]| code.git_in(checkout, args);
    git(&["branch", "b00c4a1e"]).ok();
    git(&["checkout", "-q", "b00c4a1e"]).ok();
    for (more, apply) in [(&["--no-prefix"][..], &["--directory=eng/"][..]), (&[], &[])] {
        let below = if apply.is_empty() { ".gitignore" } else { "eng/" };
        let diff = ["diff", "--output=changes.patch", "--no-color", "--binary"];
        git(&[&diff[..], more, &["HEAD", "main", "--", below]].concat()).ok();
        if git(&[&["apply", "--check"], apply, &["changes.patch"]].concat()).code == Some(0) {
            git(&[&["apply"], apply, &["changes.patch"]].concat()).ok();
        }
        std::fs::remove_file(checkout.join("changes.patch")).unwrap();
    }
    git(&["add", "-A", "."]).ok();
    let commit = ["commit", "-q", "--no-gpg-sign", "-m", "Automatic asset update from test-proxy."];
    git(&[&["-c", "user.name=T", "-c", "user.email=t@example.com"], &commit[..]].concat()).ok();
    let tag = format!("python/blob_{}", git(&["rev-parse", "--short=10", "HEAD"]).ok().stdout.trim());
    git(&["tag", "--no-sign", &tag]).ok();
    assert_eq!(git(&["ls-remote", "origin", "--tags", &tag]).ok().stdout, "");
    git(&["push", "-q", "origin", &tag]).ok();
    git(&["checkout", "-q", "--detach"]).ok();
    git(&["branch", "-q", "-D", "b00c4a1e"]).ok();
    tag
}

/// The recordings of the package, without those above it.
pub fn recordings(checkout: &Path) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    snapshot(&checkout.join(SLICE)).into_iter().map(|(path, bytes)| (path, text(bytes))).collect()
}

pub fn files(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(path, content)| (path.to_string(), content.to_string())).collect()
}

fn first() -> Vec<(String, String)> {
    files(&[("a.json", "a1"), ("gone.json", "old")])
}

fn second() -> Vec<(String, String)> {
    files(&[("a.json", "a2"), ("new.json", "new")])
}

#[track_caller]
pub fn is_clean(code: &CodeRepo, checkout: &Path) {
    assert_eq!(code.git_in(checkout, ["status", "--porcelain"]).ok().stdout, "");
}

/// How many programs a restore starts, itself included; none where there is no strace.
fn processes(world: &World, code: &CodeRepo) -> Option<usize> {
    if !Path::new("/usr/bin/strace").exists() {
        return None;
    }
    let log = world.root().join("execve.log");
    let args = ["-f", "-qq", "-e", "trace=execve", "-o", &log.to_string_lossy(), ASSETS, "restore", FOLDER];
    run(&code.path, code.env(), "strace", args).ok();
    Some(std::fs::read_to_string(log).unwrap().matches("execve(").count())
}

#[test]
fn folder_and_breadcrumb_are_those_of_the_test_proxy() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        let printed = code.assets(["restore", FOLDER]).ok();
        assert_eq!(printed.stderr.lines().count(), 1, "{}", printed.stderr);
        assert_eq!(code.checkouts(), [HASH]);
        let checkout = code.checkout(HASH);
        assert_eq!(printed.stdout, format!("{}/python\n", checkout.display()));
        assert_eq!(recordings(&checkout), first());
        assert!(!checkout.join("python/sdk/other").exists());
        is_clean(&code, &checkout);
        let breadcrumb = || code.read(&format!(".assets/breadcrumb/{HASH}.breadcrumb"));
        assert_eq!(breadcrumb(), format!("{FOLDER}/assets.json;{HASH};python/blob_1\n"));

        pin(&code, "python/blob_2");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&checkout), second());
        assert_eq!(breadcrumb(), format!("{FOLDER}/assets.json;{HASH};python/blob_2\n"));
        let head = code.git_in(&checkout, ["rev-parse", "HEAD"]).ok().stdout;
        assert_eq!(Some(head.trim().to_string()), repo.rev("python/blob_2"));
        is_clean(&code, &checkout);
    });
}

#[test]
fn an_absent_tag_is_the_default_branch_and_an_empty_field() {
    with_every_git(|world| {
        let (_, code) = azure(world);
        pin(&code, "");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&code.checkout(HASH)), second());
        let breadcrumb = code.read(&format!(".assets/breadcrumb/{HASH}.breadcrumb"));
        assert_eq!(breadcrumb, format!("{FOLDER}/assets.json;{HASH};\n"));
    });
}

#[test]
fn the_first_push_of_a_package_works_after_the_default_branch_has_moved_on() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let base = repo.commit("main", &[("recordings/sdk/a/one.json", "one\n"), ("recordings/sdk/b/b.json", "b\n")]);
        let code = world.code_repo("code");
        code.tag_manifest("sdk/a", &repo.path.to_string_lossy(), "");
        code.assets(["restore", "sdk/a"]).ok();
        repo.commit("main", &[("recordings/sdk/b/b.json", "moved on\n")]);
        crate::support::write(&code.only_checkout().join("recordings/sdk/a/one.json"), "mine\n");
        code.assets(["push", "sdk/a"]).ok();
        let tag = code.pin("sdk/a", "Tag");
        assert_eq!(repo.rev(&format!("{tag}^")), Some(base));
        assert_eq!(repo.file(&tag, "recordings/sdk/a/one.json").as_deref(), Some("mine\n"));
    });
}

#[test]
fn an_unknown_tag_is_named_and_nothing_changes() {
    with_every_git(|world| {
        let (_, code) = azure(world);
        code.assets(["restore", FOLDER]).ok();
        write(&code.checkout(HASH).join(SLICE).join("a.json"), "pending");
        let before = snapshot(&code.checkout(HASH));
        pin(&code, "python/blob_9");
        let run = code.assets(["restore", FOLDER]).fails(1);
        assert_eq!(run.stdout, "");
        run.says("tag `python/blob_9` is not in assets repo `Azure/azure-sdk-assets`\n")
            .says("couldn't find remote ref refs/tags/python/blob_9")
            .says(&format!(
                "hint: check `Tag` in `{FOLDER}/assets.json`; earlier values: `git log -p -- :/{FOLDER}/assets.json`"
            ));
        assert_eq!(snapshot(&code.checkout(HASH)), before);
    });
}

#[test]
fn a_tag_that_begins_like_a_missing_one_is_restored() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        repo.commit("main", &[("recordings/a/a.json", "one\n")]);
        repo.tag("py/v1", "main");
        let code = world.code_repo("code");
        let url = repo.path.to_string_lossy().into_owned();
        code.tag_manifest("a", &url, "py/v1");
        code.tag_manifest("b", &url, "py/v10");
        let run = code.assets(["restore", "a", "b"]).fails(1).says("tag `py/v10` is not in assets repo");
        assert!(!run.stderr.contains("`py/v1`"), "{}", run.stderr);
        assert_eq!(std::fs::read_to_string(code.only_checkout().join("recordings/a/a.json")).unwrap(), "one\n");
    });
}

#[test]
fn an_annotated_tag_is_at_its_pin() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        repo.git(["-c", "user.name=T", "-c", "user.email=t@x", "tag", "-a", "-m", "m", "noted", "python/blob_1"]).ok();
        pin(&code, "noted");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&code.checkout(HASH)), first());
        std::fs::remove_dir_all(&repo.path).unwrap();
        assert_eq!(code.assets(["restore", FOLDER]).ok().stderr, "");
        assert!(matches!(processes(world, &code), None | Some(1)));
    });
}

#[test]
fn a_checkout_of_the_test_proxy_is_taken_over() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        let checkout = test_proxy_clones(&code, "python/blob_1");
        let before = snapshot(&checkout);
        let run = code.assets(["restore", FOLDER]).ok();
        assert_eq!((run.stdout, run.stderr), (format!("{}/python\n", checkout.display()), String::new()));
        assert_eq!(snapshot(&checkout), before);
        assert!(matches!(processes(world, &code), None | Some(1)));
        assert!(!world.root().join("cache").exists());

        pin(&code, "python/blob_2");
        write(&checkout.join(SLICE).join("a.json"), "pending");
        code.assets(["restore", FOLDER]).ok().says("put aside 1 pending change of");
        assert_eq!(recordings(&checkout), second());
        is_clean(&code, &checkout);
        pin(&code, "python/blob_1");
        code.assets(["restore", FOLDER]).ok();
        code.assets(["stash", "pop", FOLDER]).ok();
        assert_eq!(recordings(&checkout), files(&[("a.json", "pending"), ("gone.json", "old")]));
        code.assets(["push", FOLDER]).ok();
        let tag = code.pin(FOLDER, "Tag");
        assert_eq!(repo.file(&tag, &format!("{SLICE}/a.json")), Some("pending".into()));
        assert_eq!(repo.file(&tag, "python/sdk/other/o.json"), Some("other".into()));
        assert_eq!(repo.rev(&format!("{tag}^")), repo.rev("python/blob_1"));
        is_clean(&code, &checkout);
    });
}

#[test]
fn the_status_of_a_checkout_of_the_test_proxy() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        repo.git(["-c", "user.name=T", "-c", "user.email=t@x", "tag", "-a", "-m", "m", "noted", "python/blob_1"]).ok();
        let commit = |tag: &str| repo.rev(&format!("{tag}^{{commit}}")).unwrap()[..10].to_string();
        let checkout = test_proxy_clones(&code, "python/blob_1");
        let status = || {
            let before = snapshot(&code.path);
            let table = code.assets(["status", FOLDER]).ok().stdout;
            assert!(snapshot(&code.path) == before, "status wrote something");
            table.lines().skip(1).map(String::from).collect::<Vec<_>>()
        };
        let at = |state: &str, tag: &str| format!("{FOLDER}  {state}  {}", commit(tag));
        assert_eq!(status(), [at("at pin", "python/blob_1")]);
        write(&checkout.join(SLICE).join("a.json"), "pending");
        let file = format!("  M {SLICE}/a.json");
        assert_eq!(status(), [at("at pin", "python/blob_1") + "  1M", file]);
        code.git_in(&checkout, ["checkout", "-q", "."]).ok();

        test_proxy_switches(&code, &checkout, "python/blob_2");
        let command = format!("  `assets restore {FOLDER}` shows tag `python/blob_1`, which is pinned");
        let elsewhere = [at("other pin", "python/blob_2"), "  shows tag `python/blob_2`".into(), command];
        assert_eq!(status(), elsewhere);
        pin(&code, "noted");
        test_proxy_switches(&code, &checkout, "noted");
        assert_eq!(status(), [at("at pin", "noted")]);
        // Ours, then the test proxy went on: not by hand.
        code.assets(["restore", FOLDER]).ok();
        pin(&code, "python/blob_1");
        test_proxy_switches(&code, &checkout, "python/blob_2");
        assert_eq!(status(), elsewhere);
    });
}

#[test]
fn a_push_from_a_checkout_of_the_test_proxy() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        let checkout = test_proxy_clones(&code, "python/blob_1");
        write(&checkout.join(SLICE).join("more/new.json"), "new");
        std::fs::remove_file(checkout.join(SLICE).join("gone.json")).unwrap();
        code.assets(["push", FOLDER]).ok();
        let tag = code.pin(FOLDER, "Tag");
        let listed = repo.git(["ls-tree", "-r", "--name-only", &tag, "--", "python"]).ok().stdout;
        assert_eq!(listed, format!("python/sdk/other/o.json\n{SLICE}/a.json\n{SLICE}/more/new.json\n"));
        is_clean(&code, &checkout);
    });
}

#[test]
fn a_clone_of_a_repo_with_another_default_branch_is_taken_over() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        repo.git(["branch", "-m", "main", "trunk"]).ok();
        let checkout = test_proxy_clones(&code, "python/blob_1");
        pin(&code, "python/blob_2");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&checkout), second());
        is_clean(&code, &checkout);
    });
}

#[test]
fn the_test_proxy_works_in_a_checkout_of_ours() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        code.assets(["restore", FOLDER]).ok();
        let checkout = code.checkout(HASH);
        test_proxy_switches(&code, &checkout, "python/blob_2");
        assert_eq!(recordings(&checkout), second());
        is_clean(&code, &checkout);

        pin(&code, "python/blob_2");
        let before = snapshot(&checkout);
        assert_eq!(code.assets(["restore", FOLDER]).ok().stderr, "");
        assert_eq!(snapshot(&checkout), before);
        assert!(matches!(processes(world, &code), None | Some(1)));
        // And back again with ours, and with theirs.
        pin(&code, "python/blob_1");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(recordings(&checkout), first());
        is_clean(&code, &checkout);
        test_proxy_switches(&code, &checkout, "python/blob_2");
        write(&checkout.join(SLICE).join("a.json"), "pending");
        pin(&code, "python/blob_2");
        code.assets(["push", FOLDER]).ok();
        let tag = code.pin(FOLDER, "Tag");
        assert_eq!(repo.file(&tag, &format!("{SLICE}/a.json")), Some("pending".into()));
    });
}

#[test]
fn the_test_proxy_pushes_from_a_checkout_of_ours() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        let checkout = code.checkout(HASH);
        let main = || code.git_in(&checkout, ["rev-parse", "main"]).ok().stdout;
        let head = || code.git_in(&checkout, ["rev-parse", "HEAD"]).ok().stdout;
        let pushes = |round: &str| {
            write(&checkout.join(SLICE).join(format!("{round}.json")), round);
            let tag = test_proxy_pushes(&code, &checkout);
            assert_eq!(repo.file(&tag, &format!("{SLICE}/{round}.json")).as_deref(), Some(round));
            assert_eq!(repo.file(&tag, "python/sdk/other/o.json").as_deref(), Some("other"));
            tag
        };
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(main(), head());
        pin(&code, &pushes("restored"));
        code.assets(["restore", FOLDER]).ok();
        assert!(matches!(processes(world, &code), None | Some(1)));
        pin(&code, "python/blob_2");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(main(), head());
        pin(&code, &pushes("elsewhere"));
        code.assets(["restore", FOLDER]).ok();
        write(&checkout.join(SLICE).join("ours.json"), "ours");
        code.assets(["push", FOLDER]).ok();
        assert_eq!(main(), head());
        let tag = pushes("pushed");
        assert_eq!(repo.file(&tag, &format!("{SLICE}/ours.json")).as_deref(), Some("ours"));
        // One that was made before there was such a branch.
        pin(&code, &tag);
        code.git_in(&checkout, ["branch", "-D", "main"]).ok();
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(main(), head());
        pin(&code, "");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(main(), head());
        pushes("without a tag");
    });
}

/// The branch is ours, so it keeps nothing and hides nothing.
#[test]
fn the_branch_for_the_test_proxy_stands_in_the_way_of_nothing() {
    with_every_git(|world| {
        let (repo, code) = azure(world);
        let checkout = code.checkout(HASH);
        code.assets(["restore", FOLDER]).ok();
        // Committed by hand on it: pending again, and kept.
        let git = |args: &[&str]| code.git_in(&checkout, args).ok().stdout.trim().to_string();
        git(&["checkout", "-q", "main"]);
        write(&checkout.join(SLICE).join("a.json"), "by hand");
        git(&["commit", "-q", "-a", "-m", "by hand"]);
        let by_hand = git(&["rev-parse", "HEAD"]);
        code.assets(["push", FOLDER]).ok().says("was committed there by hand; its changes are pending again");
        assert_eq!(repo.file(&code.pin(FOLDER, "Tag"), &format!("{SLICE}/a.json")).as_deref(), Some("by hand"));
        assert!(git(&["for-each-ref", "--points-at", &by_hand]).contains("refs/assets/by-hand/"));
        assert_eq!(git(&["rev-parse", "main"]), git(&["rev-parse", "HEAD"]));
        git(&["update-ref", "-d", &format!("refs/assets/by-hand/{by_hand}")]);

        // A checkout that nothing needs is removed.
        git(&["checkout", "-q", "main"]);
        pin(&code, "python/blob_1");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(git(&["rev-parse", "main"]), git(&["rev-parse", "HEAD"]));
        assert_eq!(git(&["branch", "--show-current"]), "");
        std::fs::remove_file(code.path.join(FOLDER).join("assets.json")).unwrap();
        code.assets(["gc", "--yes"]).ok();
        assert!(!checkout.exists());

        // What is not ours is left alone, also where we have shown it.
        pin(&code, "python/blob_1");
        test_proxy_clones(&code, "python/blob_1");
        let theirs = git(&["rev-parse", "main"]);
        pin(&code, "python/blob_2");
        code.assets(["restore", FOLDER]).ok();
        pin(&code, "python/blob_1");
        code.assets(["restore", FOLDER]).ok();
        assert_eq!(git(&["rev-parse", "main"]), theirs);
    });
}

#[test]
fn checkouts_of_two_packages_stand_apart() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        repo.commit("main", &[("recordings/sdk/a/a.json", "a1"), ("recordings/sdk/b/b.json", "b1")]);
        repo.tag("t1", "main");
        let code = world.code_repo("code");
        let url = repo.path.to_string_lossy();
        code.tag_manifest("sdk/a", &url, "t1");
        code.tag_manifest("sdk/b", &url, "t1");
        let run = code.assets(["restore", "sdk/a", "sdk/b"]).ok();
        assert_eq!(code.checkouts().len(), 2);
        let roots: Vec<PathBuf> = run.stdout.lines().map(PathBuf::from).collect();
        assert_eq!(snapshot(&roots[0]).into_keys().collect::<Vec<_>>(), ["sdk/a/a.json"]);
        assert_eq!(snapshot(&roots[1]).into_keys().collect::<Vec<_>>(), ["sdk/b/b.json"]);
    });
}

/// A tag whose commit holds many packages is fetched whole once; from then on only what the slice needs.
#[test]
fn tags_that_hold_many_packages_are_filtered_from_the_second_on() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let server = GitServer::start(world.root(), Options::default());
    let url = format!("{}/assets.git", server.url());
    let names: Vec<String> = (0..9).map(|n| format!("recordings/sdk/p{n}/a.json")).collect();
    for round in ["one", "two"] {
        let texts: Vec<String> = (0..9).map(|n| format!("{round} {n}\n")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let commit = repo.commit("main", &files);
        repo.tag(&format!("py/{round}_1"), &commit);
    }
    let code = world.code_repo("code");
    code.tag_manifest("sdk/p0", &url, "py/one_1");
    code.assets(["restore", "sdk/p0"]).ok();
    code.tag_manifest("sdk/p0", &url, "py/two_1");
    code.assets(["restore", "sdk/p0"]).ok();
    let store = std::fs::read_dir(world.root().join("cache/stores")).unwrap().flatten().map(|entry| entry.path());
    let store = store.into_iter().find(|path| path.join("HEAD").exists()).unwrap();
    let ask = ["--git-dir=.", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"];
    let list = run(&store, code.env(), "git", ask).ok().stdout;
    let blobs = list.lines().filter(|line| *line == "blob").count();
    assert_eq!(blobs, names.len() + 1, "the second tag brought one file");
}
