//! A manifest that is not found, cannot be read, or says what cannot be: file, line and column, and how to mend it.
#![cfg(unix)]

use crate::bad_input::{FILE, GONE, place};
use crate::support::World;

const OTHERS: &str =
    "hint: name an `assets.json` or a directory at or below one: `git ls-files ':(top,glob)**/assets.json'` lists them";

#[test]
fn no_manifest_above() {
    let world = World::new();
    let place = place(&world);
    place.code.write("sdk/none/tests/x", "");
    let least = "hint: or make one: `assets init $CODE/sdk/none/tests`";
    place.refuses(
        ["restore", "sdk/none/tests"],
        2,
        &format!(
            "\
error: no `assets.json` for `$CODE/sdk/none/tests`
  caused by: searched, upwards:
               $CODE/sdk/none/tests
               $CODE/sdk/none
               $CODE/sdk
               $CODE
             the last is the root of the git repository
{OTHERS}
{least}"
        ),
    );
    // The command of the hint works, from below too.
    place.code.commit("manifest");
    let listed = place.code.git(["-C", "sdk/none", "ls-files", ":(top,glob)**/assets.json"]).ok();
    assert_eq!(listed.stdout, "../a/assets.json\n");
}

#[test]
fn outside_a_repository() {
    let world = World::new();
    let place = place(&world);
    world.write("loose/x", "");
    let above: String =
        world.root().ancestors().skip(1).map(|dir| format!("               {}\n", dir.display())).collect();
    place.refuses(
        ["restore", "../loose"],
        2,
        &format!(
            "\
error: no `assets.json` for `$WORLD/loose`
  caused by: searched, upwards:
               $WORLD/loose
               $WORLD
{above}             the last is the root of the disk; this is not a git repository
hint: go into a package of the code repo, or name one: `assets restore <path>`"
        ),
    );
    world.write("loose/assets.json", r#"{"AssetsRepo": "owner/name"}"#);
    place.refuses(
        ["restore", "../loose"],
        2,
        "\
error: `$WORLD/loose/assets.json` is not in a git repository
  caused by: no directory above it holds `.git`, so its place in the assets repo is unknown
hint: in a container or an unpacked archive bring the `.git` of the code repo along; a new code repo is made with `git init` at its root",
    );
}

#[test]
fn paths_that_are_not_manifests() {
    let world = World::new();
    let place = place(&world);
    place.refuses(
        ["restore", "sdk/nowhere"],
        2,
        &format!(
            "error: there is no `$CODE/sdk/nowhere`\n  caused by: No such file or directory (os error 2)\n{OTHERS}"
        ),
    );
    place.refuses(
        ["restore", "README.md"],
        2,
        &format!(
            "error: `$CODE/README.md` is not a manifest\n  caused by: a manifest is a file named `assets.json`\n{OTHERS}"
        ),
    );
}

#[test]
fn manifests_that_are_not_json() {
    let world = World::new();
    let place = place(&world);
    let mend = "hint: mend it in your editor; comments and trailing commas are fine";
    let least = "hint: the least it needs is `{\"AssetsRepo\": \"owner/name\"}`";
    let table = [
        (
            "{\n  \"AssetsRepo\": \"o/n\"\n  \"SHA\": \"\"\n}",
            format!("`sdk/a/assets.json:2:22`: this is not valid JSON\n  caused by: Expected comma\n{mend}"),
        ),
        (
            "{\r\n  // é\r\n  \"é\": \"é\", \"SHA\": 'x'\r\n}",
            format!(
                "`sdk/a/assets.json:3:20`: this is not valid JSON\n  caused by: Single-quoted strings are not allowed\n{mend}"
            ),
        ),
        (
            "{\"AssetsRepo\": \"o/n\"} x",
            format!(
                "`sdk/a/assets.json:1:23`: this is not valid JSON\n  caused by: Text cannot contain more than one JSON value\n{mend}"
            ),
        ),
        ("", format!("`sdk/a/assets.json:1:1`: the manifest is empty\n{least}")),
        ("\n []", format!("`sdk/a/assets.json:2:2`: the manifest is not an object\n{least}")),
        (
            "{\"AssetsRepo\": \"o/n\",\n \"x\": 1, \"x\": 2}",
            "`sdk/a/assets.json:2:10`: `x` stands twice\nhint: delete one of them".into(),
        ),
    ];
    for (text, error) in table {
        place.manifest_refused(text, 2, &format!("error: {error}"));
    }
    place.code.write("sdk/a/assets.json", b"{\"AssetsRepo\": \"o/\xff\"}");
    place.refuses(
        ["restore", "sdk/a"],
        2,
        "error: `sdk/a/assets.json` is not UTF-8\nhint: save it as UTF-8 in your editor",
    );
}

#[test]
fn a_conflict_is_resolved_by_the_hint() {
    let world = World::new();
    let place = place(&world);
    let url = place.repo.path.to_string_lossy().into_owned();
    let theirs = place.repo.commit("main", &[(FILE, "two\n")]);
    place.code.commit("base");
    place.code.git(["checkout", "-q", "-b", "topic"]).ok();
    place.code.branch_manifest("sdk/a", &url, &theirs);
    place.code.commit("theirs");
    place.code.git(["checkout", "-q", "main"]).ok();
    place.code.branch_manifest("sdk/a", &url, GONE);
    place.code.commit("ours");
    place.code.git(["merge", "-q", "topic"]).fails(1);
    place.refuses(
        ["restore", "sdk/a"],
        2,
        "\
error: `sdk/a/assets.json:4:1`: there are conflict markers of an unfinished merge
hint: keep one side, from the root of the code repo: `git checkout --ours -- sdk/a/assets.json` or `git checkout --theirs -- sdk/a/assets.json`",
    );
    place.code.git(["checkout", "--theirs", "--", "sdk/a/assets.json"]).ok();
    place.code.assets(["restore", "sdk/a"]).ok();
}

#[test]
fn values_that_are_wrong() {
    let world = World::new();
    let place = place(&world);
    let earlier = "earlier values: `git log -p -- :/sdk/a/assets.json`";
    let table = [
        (
            r#"{"AssetsRepo": "o/n", "SHA": "", "Tag": "x"}"#,
            "1:41`: `Tag` stands beside `SHA`, and a manifest pins by one of them
hint: delete the one that is not meant: `Tag` (with `TagPrefix`) is the tag form, `SHA` the branch form"
                .to_string(),
        ),
        (
            "{}",
            "1:1`: `AssetsRepo` is missing or empty\nhint: name the assets repo: `\"AssetsRepo\": \"owner/name\"` in `sdk/a/assets.json`"
                .into(),
        ),
        (
            r#"{"AssetsRepo": " "}"#,
            "1:16`: `AssetsRepo` is missing or empty\nhint: name the assets repo: `\"AssetsRepo\": \"owner/name\"` in `sdk/a/assets.json`"
                .into(),
        ),
        (
            r#"{"AssetsRepo": 5}"#,
            "1:16`: `AssetsRepo` is not a string\nhint: write it in double quotes, for example `\"AssetsRepo\": \"owner/name\"`"
                .into(),
        ),
        (
            r#"{"AssetsRepo": "o/n", "Tag": null}"#,
            "1:30`: `Tag` is not a string\nhint: write it in double quotes, for example `\"Tag\": \"python/tables_1a2b3c4d5e\"`"
                .into(),
        ),
        (
            r#"{"AssetsRepo": "nope"}"#,
            format!("1:16`: `AssetsRepo` `nope` is neither `owner/name`, nor a git URL, nor an absolute path\nhint: write it like `\"AssetsRepo\": \"owner/name\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "ext::sh -c x"}"#,
            format!("1:16`: `AssetsRepo` `ext::sh -c x` names a remote helper, which is not allowed\nhint: write it like `\"AssetsRepo\": \"owner/name\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "SHA": "abc"}"#,
            format!("1:30`: `SHA` `abc` is not a full commit id (40 hexadecimal digits)\nhint: write it like `\"SHA\": \"4e8e976b7839c1e9c6903f48106e48be76868a5d\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "../x"}"#,
            format!("1:47`: `AssetsRepoPrefixPath` `../x` leaves the checkout with `..`\nhint: write it like `\"AssetsRepoPrefixPath\": \"recordings\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "/etc"}"#,
            format!("1:47`: `AssetsRepoPrefixPath` `/etc` is not relative\nhint: write it like `\"AssetsRepoPrefixPath\": \"recordings\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "a/.git/hooks"}"#,
            format!("1:47`: `AssetsRepoPrefixPath` `a/.git/hooks` has the part `.git`, which is a name that git keeps for itself\nhint: write it like `\"AssetsRepoPrefixPath\": \"recordings\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "AssetsRepoId": "../x"}"#,
            format!("1:39`: `AssetsRepoId` `../x` cannot be the name of a folder: it is a path, which could leave the assets folder\nhint: write it like `\"AssetsRepoId\": \"owner.name\"`; {earlier}"),
        ),
        (
            r#"{"AssetsRepo": "o/n", "AssetsRepoId": ".."}"#,
            format!("1:39`: `AssetsRepoId` `..` cannot be the name of a folder: it is not a name\nhint: write it like `\"AssetsRepoId\": \"owner.name\"`; {earlier}"),
        ),
    ];
    for (text, error) in table {
        place.manifest_refused(text, 2, &format!("error: `sdk/a/assets.json:{error}"));
    }
}
