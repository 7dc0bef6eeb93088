//! `assets restore`: which files a checkout shows.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::{AssetsRepo, CodeRepo, World, snapshot, with_every_git, write};

/// `AssetsRepo` of a manifest for a repo that is reached by its path.
fn url(repo: &AssetsRepo) -> String {
    repo.path.to_string_lossy().into_owned()
}

/// The files of a checkout and their contents, without those of git.
fn shown(checkout: &Path) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let files = snapshot(checkout).into_iter().filter(|(path, _)| !path.starts_with(".git/"));
    files.map(|(path, bytes)| (path, text(bytes))).collect()
}

fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, content)| (path.to_string(), content.to_string())).collect()
}

#[track_caller]
fn is_clean(code: &CodeRepo, checkout: &Path) {
    assert_eq!(code.git_in(checkout, ["status", "--porcelain"]).ok().stdout, "");
}

fn head(code: &CodeRepo, checkout: &Path) -> String {
    code.git_in(checkout, ["rev-parse", "HEAD"]).ok().stdout.trim().to_string()
}

/// Two commits, in each of which `sdk/a` and `sdk/b` differ, and a code repo that pins `sdk/a` at the older.
fn two_pins(world: &World) -> (AssetsRepo, CodeRepo, String, String) {
    let repo = world.assets_repo("assets");
    let old = repo.commit(
        "main",
        &[
            ("recordings/sdk/a/a.json", "a1"),
            ("recordings/sdk/a/gone.json", "old"),
            ("recordings/sdk/b/b.json", "b1"),
            ("recordings/sdk/c/c.json", "c1"),
            ("recordings/readme.md", "top"),
        ],
    );
    let new = repo.commit(
        "main",
        &[
            ("recordings/sdk/a/a.json", "a2"),
            ("recordings/sdk/a/gone.json", ""),
            ("recordings/sdk/b/b.json", "b2"),
            ("recordings/sdk/b/more.json", "new"),
            ("recordings/readme.md", "top"),
        ],
    );
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &url(&repo), &old);
    code.branch_manifest("sdk/b", &url(&repo), &new);
    (repo, code, old, new)
}

#[test]
fn two_pins_side_by_side() {
    with_every_git(|world| {
        let (_, code, old, new) = two_pins(world);
        let run = code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.only_checkout();
        assert_eq!(run.stdout, format!("{}/recordings\n", checkout.display()));
        assert_eq!(run.stderr, format!("restored `sdk/a/assets.json` at {}\n", &old[..10]));
        assert_eq!(head(&code, &checkout), old);
        let only_a = files(&[
            ("recordings/readme.md", "top"),
            ("recordings/sdk/a/a.json", "a1"),
            ("recordings/sdk/a/gone.json", "old"),
        ]);
        assert_eq!(shown(&checkout), only_a);

        let run = code.assets(["restore", "sdk/b"]).ok();
        assert_eq!(run.stderr, format!("restored `sdk/b/assets.json` at {}\n", &new[..10]));
        let both = files(&[
            ("recordings/readme.md", "top"),
            ("recordings/sdk/a/a.json", "a1"),
            ("recordings/sdk/a/gone.json", "old"),
            ("recordings/sdk/b/b.json", "b2"),
            ("recordings/sdk/b/more.json", "new"),
        ]);
        assert_eq!(shown(&checkout), both);
        is_clean(&code, &checkout);

        // The other way round, and both in one command, come to the same.
        for order in [vec!["sdk/b", "sdk/a"], vec!["sdk/a", "sdk/b"]] {
            std::fs::remove_dir_all(code.path.join(".assets")).unwrap();
            let run = code.assets([&["restore"], order.as_slice()].concat()).ok();
            assert_eq!(run.stdout, format!("{0}/recordings\n{0}/recordings\n", checkout.display()));
            assert_eq!(shown(&checkout), both);
            is_clean(&code, &checkout);
        }
    });
}

#[test]
fn pending_changes_of_one_slice_survive_what_happens_to_another() {
    with_every_git(|world| {
        let (repo, code, old, new) = two_pins(world);
        code.assets(["restore", "sdk/a"]).ok();
        let checkout = code.only_checkout();
        let a = checkout.join("recordings/sdk/a");
        write(&a.join("a.json"), "edited");
        write(&a.join("deep/new.json"), "new");
        std::fs::remove_file(a.join("gone.json")).unwrap();
        let pending = snapshot(&a);

        code.assets(["restore", "sdk/b"]).ok();
        assert_eq!(snapshot(&a), pending);
        code.branch_manifest("sdk/b", &url(&repo), &old);
        code.assets(["restore", "sdk/b"]).ok();
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/b/b.json")).unwrap(), b"b1");
        code.branch_manifest("sdk/b", &url(&repo), &new);
        code.assets(["restore", "sdk/b"]).ok();
        write(&checkout.join("recordings/sdk/b/b.json"), "re-recorded");
        code.assets(["reset", "-y", "sdk/b"]).ok();
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/b/b.json")).unwrap(), b"b2");
        write(&checkout.join("recordings/sdk/b/b.json"), "pushed");
        code.assets(["push", "sdk/b"]).ok();
        assert_eq!(snapshot(&a), pending);
        let status = code.git_in(&checkout, ["status", "--porcelain", "-uall"]).ok().stdout;
        let a_only = " M recordings/sdk/a/a.json\n D recordings/sdk/a/gone.json\n?? recordings/sdk/a/deep/new.json\n";
        assert_eq!(status, a_only);
        let pushed = code.pin("sdk/b", "SHA");
        assert_eq!(repo.file(&pushed, "recordings/sdk/b/b.json"), Some("pushed".into()));
        assert_eq!(repo.file(&pushed, "recordings/sdk/a/a.json"), Some("a2".into()));
    });
}

#[test]
fn an_older_commit_that_the_newer_contains_keeps_head() {
    with_every_git(|world| {
        let (repo, code, old, new) = two_pins(world);
        code.branch_manifest("sdk/c", &url(&repo), &old);
        code.assets(["restore", "sdk/b"]).ok();
        let checkout = code.only_checkout();
        code.assets(["restore", "sdk/c"]).ok();
        assert_eq!(head(&code, &checkout), new);
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/c/c.json")).unwrap(), b"c1");
        is_clean(&code, &checkout);
    });
}

#[test]
fn a_newer_pin_with_the_same_files_moves_nothing() {
    with_every_git(|world| {
        let (repo, code, old, new) = two_pins(world);
        code.branch_manifest("sdk/c", &url(&repo), &old);
        code.assets(["restore", "sdk/c"]).ok();
        let checkout = code.only_checkout();
        let file = checkout.join("recordings/sdk/c/c.json");
        write(&file, "pending");
        let stat = |path: &Path| {
            let meta = path.metadata().unwrap();
            (meta.ino(), meta.mtime(), meta.mtime_nsec())
        };
        let index = checkout.join(".git/index");
        let before = (stat(&file), stat(&index), shown(&checkout));
        code.branch_manifest("sdk/c", &url(&repo), &new);
        let run = code.assets(["restore", "sdk/c"]).ok();
        assert_eq!(run.stderr, format!("restored `sdk/c/assets.json` at {}\n", &new[..10]));
        assert_eq!((stat(&file), stat(&index), shown(&checkout)), before);
        assert_eq!(head(&code, &checkout), old);
        assert_eq!(code.assets(["restore", "sdk/c"]).ok().stderr, "");
    });
}

#[test]
fn the_deeper_of_two_slices_wins() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let old = repo.commit("main", &[("recordings/sdk/x.json", "x1"), ("recordings/sdk/in/y.json", "y1")]);
        let new = repo.commit(
            "main",
            &[("recordings/sdk/x.json", "x2"), ("recordings/sdk/in/y.json", "y2"), ("recordings/sdk/in/z.json", "z2")],
        );
        for (outer, inner, wanted) in [
            (&old, &new, [("x.json", "x1"), ("in/y.json", "y2"), ("in/z.json", "z2")].as_slice()),
            (&new, &old, [("x.json", "x2"), ("in/y.json", "y1")].as_slice()),
        ] {
            for order in [vec!["sdk", "sdk/in"], vec!["sdk/in", "sdk"]] {
                let code = world.code_repo(&format!("code-{}-{}", &outer[..4], order[0].len()));
                code.branch_manifest("sdk", &url(&repo), outer);
                code.branch_manifest("sdk/in", &url(&repo), inner);
                let wanted: BTreeMap<String, String> =
                    wanted.iter().map(|(path, text)| (format!("recordings/sdk/{path}"), text.to_string())).collect();
                for path in &order {
                    code.assets(["restore", path]).ok();
                }
                let checkout = code.only_checkout();
                assert_eq!(shown(&checkout), wanted, "{order:?}");
                is_clean(&code, &checkout);
                std::fs::remove_dir_all(code.path.join(".assets")).unwrap();
                code.assets([&["restore"], order.as_slice()].concat()).ok();
                assert_eq!(shown(&checkout), wanted, "{order:?} at once");
                is_clean(&code, &checkout);
            }
        }
    });
}

#[test]
fn pending_changes_below_a_slice_that_is_restored_inside_another() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let old = repo.commit("main", &[("recordings/sdk/in/y.json", "y1")]);
        let new = repo.commit("main", &[("recordings/sdk/in/y.json", "y2")]);
        let code = world.code_repo("code");
        code.branch_manifest("sdk", &url(&repo), &old);
        code.branch_manifest("sdk/in", &url(&repo), &new);
        code.assets(["restore", "sdk"]).ok();
        let file = code.only_checkout().join("recordings/sdk/in/y.json");
        write(&file, "pending");
        code.assets(["restore", "sdk/in"]).ok().says("put aside 1 pending change of `sdk/in/assets.json`\n");
        assert_eq!(std::fs::read(&file).unwrap(), b"y2");
    });
}

#[test]
fn slices_at_the_root_and_with_unusual_names() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let odd = "sdk/a b[1]";
        let pin = repo.commit(
            "main",
            &[
                ("top.json", "top"),
                ("recordings/r.json", "r"),
                (&format!("recordings/{odd}/x.json"), "x"),
                (&format!("{odd}/y.json"), "y"),
                ("recordings/sdk/a b1/no.json", "no"),
                ("other/no.json", "no"),
            ],
        );
        let manifest = |prefix: &str| {
            format!(
                r#"{{"AssetsRepo": "{}", "AssetsRepoPrefixPath": "{prefix}", "AssetsRepoBranch": "auto/x", "SHA": "{pin}"}}"#,
                url(&repo)
            )
        };
        let table = [
            (
                odd,
                "recordings",
                "/recordings",
                vec![("recordings/r.json", "r"), ("recordings/sdk/a b[1]/x.json", "x"), ("top.json", "top")],
            ),
            (odd, "", "", vec![("sdk/a b[1]/y.json", "y"), ("top.json", "top")]),
            (
                ".",
                "recordings",
                "/recordings",
                vec![
                    ("recordings/r.json", "r"),
                    ("recordings/sdk/a b1/no.json", "no"),
                    ("recordings/sdk/a b[1]/x.json", "x"),
                    ("top.json", "top"),
                ],
            ),
        ];
        for (index, (folder, prefix, root, wanted)) in table.into_iter().enumerate() {
            let code = world.code_repo(&format!("code{index}"));
            code.manifest(folder, &manifest(prefix));
            let run = code.assets(["restore", folder]).ok();
            let checkout = code.only_checkout();
            assert_eq!(run.stdout, format!("{}{root}\n", checkout.display()));
            assert_eq!(shown(&checkout), files(&wanted));
            is_clean(&code, &checkout);
            assert_eq!(code.assets(["restore", folder]).ok().stderr, "");
        }
        let code = world.code_repo("whole");
        code.manifest(".", &manifest(""));
        code.assets(["restore"]).ok();
        assert_eq!(shown(&code.only_checkout()).len(), 6);
        is_clean(&code, &code.only_checkout());
    });
}

#[test]
fn an_absent_pin_is_the_tip_of_the_branch_else_of_the_fallback() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        repo.commit("main", &[("sdk/a/a.json", "main")]);
        let code = world.code_repo("code");
        let manifest = |more: &str| code.manifest("sdk/a", &format!(r#"{{"AssetsRepo": "{}"{more}}}"#, url(&repo)));
        let content = || std::fs::read_to_string(code.only_checkout().join("sdk/a/a.json")).unwrap();
        manifest("");
        code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(content(), "main");
        repo.commit("stable", &[("sdk/a/a.json", "stable")]);
        manifest(r#", "AssetsRepoFallbackBranch": "stable", "SHA": """#);
        code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(content(), "stable");
        repo.commit("auto/a", &[("sdk/a/a.json", "own 1")]);
        code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(content(), "own 1");
        repo.commit("auto/a", &[("sdk/a/a.json", "own 2")]);
        code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(content(), "own 2");
        let before = code.snapshot();
        manifest(r#", "AssetsRepoBranch": "none", "AssetsRepoFallbackBranch": "nothing""#);
        let run = code.assets(["restore", "sdk/a"]).fails(1);
        let text = format!("assets repo `{}` has no branch `none` and no branch `nothing`\n", url(&repo));
        run.says(&text).says(&format!("`git ls-remote --heads {}`", url(&repo)));
        assert_eq!(content(), "own 2");
        assert_eq!(code.snapshot().len(), before.len());
    });
}

#[test]
fn files_in_the_folders_above_slices_are_of_one_commit() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let files = |text: &str| {
            ["sdk/a/a.json", "sdk/readme.md", "lib/b/b.json", "lib/readme.md"]
                .map(|path| (path.to_string(), text.to_string()))
        };
        let commit = |text: &str| {
            let files = files(text);
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            repo.commit("main", &files)
        };
        let (old, new) = (commit("old"), commit("new"));
        let code = world.code_repo("code");
        for (folder, pin) in [("sdk/a", &old), ("lib/b", &new)] {
            code.manifest(folder, &format!(r#"{{"AssetsRepo": "{}", "SHA": "{pin}"}}"#, url(&repo)));
        }
        for order in [["sdk/a", "lib/b"], ["lib/b", "sdk/a"]] {
            for folder in order {
                code.assets(["restore", folder]).ok();
            }
            let checkout = code.only_checkout();
            let shown = shown(&checkout);
            assert_eq!((shown["sdk/a/a.json"].as_str(), shown["lib/b/b.json"].as_str()), ("old", "new"));
            assert_eq!(shown["sdk/readme.md"], shown["lib/readme.md"]);
            is_clean(&code, &checkout);
            std::fs::remove_dir_all(code.path.join(".assets")).unwrap();
        }
    });
}

#[test]
fn a_slice_that_does_not_exist_yet_is_an_empty_folder() {
    with_every_git(|world| {
        let (repo, code, _, new) = two_pins(world);
        code.branch_manifest("sdk/new", &url(&repo), &new);
        let run = code.assets(["restore", "sdk/new"]).ok();
        let checkout = code.only_checkout();
        assert_eq!(run.stdout, format!("{}/recordings\n", checkout.display()));
        run.says("does not have `recordings/sdk/new` yet: its folder is empty, ready to record into\n");
        assert_eq!(std::fs::read_dir(checkout.join("recordings/sdk/new")).unwrap().count(), 0);
        write(&checkout.join("recordings/sdk/new/first.json"), "first");
        code.assets(["restore", "sdk/new", "sdk/b"]).ok();
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/new/first.json")).unwrap(), b"first");
        code.assets(["push", "sdk/new"]).ok();
        assert_eq!(repo.file("auto/new", "recordings/sdk/new/first.json"), Some("first".into()));
    });
}

#[test]
fn many_slices_that_do_not_exist_yet_are_counted() {
    let world = World::new();
    let (repo, code, _, new) = two_pins(&world);
    for number in 1..=11 {
        code.branch_manifest(&format!("new/{number}"), &url(&repo), &new);
    }
    let run = code.assets(["restore", "--all", "new"]).ok();
    assert_eq!(
        run.stderr,
        "11 packages are not in their assets repo yet: their folders are empty\n\
         restored 11 of 11 packages (0 files)\n"
    );
    assert_eq!(run.stdout.lines().count(), 11);
}

#[test]
fn what_is_not_there_is_named_and_nothing_changes() {
    with_every_git(|world| {
        let (repo, code, _, _) = two_pins(world);
        code.assets(["restore", "sdk/a"]).ok();
        let before = (shown(&code.only_checkout()), code.snapshot());
        let gone = "0123456789012345678901234567890123456789";
        code.branch_manifest("sdk/b", &url(&repo), gone);
        let run = code.assets(["restore", "sdk/b"]).fails(1);
        run.says(&format!("commit `{gone}` is not in assets repo `{}`\n", url(&repo))).says("hint: check `SHA`");
        let missing = format!("{}/none.git", world.root().display());
        code.branch_manifest("sdk/b", &missing, gone);
        code.assets(["restore", "sdk/b"]).fails(1).says(&missing);
        assert_eq!(shown(&code.only_checkout()), before.0);
        assert_eq!(code.snapshot().len(), before.1.len());
    });
}
