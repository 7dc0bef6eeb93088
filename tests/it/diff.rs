//! `diff`: the pending changes themselves, in the user's pager and colours.

use serde_json::json;

use crate::support::{CodeRepo, Run, World, snapshot, with_every_git, write};

const SLICE: &str = "recordings/sdk/a";

/// A restored package with a changed, a deleted and a new recording.
fn changed(world: &World) -> CodeRepo {
    let repo = world.assets_repo("assets");
    let file = |name: &str| format!("{SLICE}/{name}");
    let sha = repo.commit(
        "main",
        &[(&file("a.json"), "one\ntwo\n"), (&file("gone.json"), "gone\n"), (&file("inner/b.json"), "b\n")],
    );
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &sha);
    code.branch_manifest("sdk/a/inner", &repo.path.to_string_lossy(), &sha);
    code.assets(["restore", "sdk/a", "sdk/a/inner"]).ok();
    record(&code, "a.json", "one\nzwei\n");
    record(&code, "new file.json", "new\n");
    record(&code, "inner/b.json", "other\n");
    std::fs::remove_file(code.only_checkout().join(SLICE).join("gone.json")).unwrap();
    code
}

fn record(code: &CodeRepo, name: &str, content: impl AsRef<[u8]>) {
    write(&code.only_checkout().join(SLICE).join(name), content);
}

const EXPECTED: &str = "\
diff --git a/recordings/sdk/a/a.json b/recordings/sdk/a/a.json
index 814f4a4..672c205 100644
--- a/recordings/sdk/a/a.json
+++ b/recordings/sdk/a/a.json
@@ -1,2 +1,2 @@
 one
-two
+zwei
diff --git a/recordings/sdk/a/gone.json b/recordings/sdk/a/gone.json
deleted file mode 100644
index 286c5f5..0000000
--- a/recordings/sdk/a/gone.json
+++ /dev/null
@@ -1 +0,0 @@
-gone
diff --git a/recordings/sdk/a/new file.json b/recordings/sdk/a/new file.json
new file mode 100644
index 0000000..3e75765
--- /dev/null
+++ b/recordings/sdk/a/new file.json\t
@@ -0,0 +1 @@
+new
";

#[test]
fn each_changed_deleted_and_new_file_is_shown() {
    with_every_git(|world| {
        let code = changed(world);
        let before = snapshot(&code.path);
        let run = code.assets(["diff", "sdk/a"]).ok();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (EXPECTED, ""));
        let inner = code.assets(["diff", "sdk/a/inner"]).ok().stdout;
        assert!(inner.contains("\n-b\n+other\n") && !inner.contains("a.json b"), "{inner}");
        assert_eq!(code.assets(["diff", "--all"]).ok().stdout, format!("{EXPECTED}{inner}"));
        let stat = code.assets(["diff", "--stat", "sdk/a"]).ok().stdout;
        let expected = " recordings/sdk/a/a.json        | 2 +-
 recordings/sdk/a/gone.json     | 1 -
 recordings/sdk/a/new file.json | 1 +
 3 files changed, 2 insertions(+), 2 deletions(-)
";
        assert_eq!(stat, expected);
        assert!(snapshot(&code.path) == before, "looking changed something");

        // What a push sends is what was shown.
        code.assets(["push", "sdk/a"]).ok();
        let run = code.assets(["diff", "sdk/a"]).ok();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "nothing is pending in `sdk/a/assets.json`\n"));
    });
}

#[test]
fn exit_code_and_json() {
    let world = World::new();
    let code = changed(&world);
    assert_eq!(code.assets(["diff", "--exit-code", "sdk/a"]).fails(1).stdout, EXPECTED);
    let document = code.assets(["diff", "--json", "sdk/a"]).ok().json();
    let files = json!([
        {"kind": "modified", "path": "recordings/sdk/a/a.json"},
        {"kind": "deleted", "path": "recordings/sdk/a/gone.json"},
        {"kind": "new", "path": "recordings/sdk/a/new file.json"},
    ]);
    let expected = json!([{"manifest": "sdk/a/assets.json", "state": "changed", "files": files, "diff": EXPECTED}]);
    assert_eq!((&document["command"], &document["results"]), (&json!("diff"), &expected));

    code.assets(["reset", "-y", "sdk/a"]).ok();
    let run = code.assets(["diff", "--json", "--exit-code", "sdk/a"]).ok();
    assert_eq!((&run.json()["results"][0]["state"], run.stderr.as_str()), (&json!("unchanged"), ""));
    std::fs::remove_dir_all(code.path.join(".assets")).unwrap();
    let run = code.assets(["diff", "sdk/a"]).ok();
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "`sdk/a/assets.json` is not restored\nhint: `assets restore sdk/a` brings it to disk\n");
}

/// Git looks at no file of it.
#[test]
fn a_repository_inside_of_the_recordings_is_pending_too() {
    let world = World::new();
    let code = changed(&world);
    code.assets(["reset", "-y", "sdk/a"]).ok();
    let inside = code.only_checkout().join(SLICE).join("clone");
    code.git(["init", "-q", &inside.to_string_lossy()]).ok();
    record(&code, "clone/x.json", "x\n");
    let run = code.assets(["diff", "--exit-code", "sdk/a"]).fails(1);
    let expected = format!("git shows no changes inside of what is pending:\n  {SLICE}/clone/\n");
    assert_eq!((run.stdout.as_str(), run.stderr), ("", expected));
    assert_eq!(code.assets(["diff", "--json", "sdk/a"]).ok().json()["results"][0]["state"], "changed");
    code.assets(["push", "sdk/a"])
        .fails(1)
        .says(&format!("`{SLICE}/clone/` is not a plain file\n"))
        .says("a folder with its own `.git` is a repository\n");
}

#[test]
fn bytes_that_are_no_text_and_escapes_are_not_printed() {
    let world = World::new();
    let code = changed(&world);
    record(&code, "a.json", b"\0binary");
    record(&code, "new file.json", "\u{1b}]0;owned\u{7}\u{202e}x\n");
    for flag in ["--color=never", "--color=always"] {
        let Run { stdout, .. } = code.assets(["diff", flag, "sdk/a"]).ok();
        assert!(
            stdout.contains("Binary files a/recordings/sdk/a/a.json and b/recordings/sdk/a/a.json differ"),
            "{stdout}"
        );
        assert!(stdout.contains("]0;ownedx"), "{stdout}");
        assert!(!stdout.contains(['\0', '\u{7}', '\u{202e}']) && !stdout.contains("\u{1b}]"), "{stdout:?}");
        assert_eq!(stdout.contains("\u{1b}[31m"), flag == "--color=always", "{stdout:?}");
    }
}

/// What is printed into a file is a patch, whatever the lines end with.
#[test]
fn ends_of_lines_are_kept() {
    let world = World::new();
    let code = changed(&world);
    record(&code, "a.json", "one\r\nzwei\r\n");
    record(&code, "new file.json", "new\r\n");
    let Run { stdout, .. } = code.assets(["diff", "sdk/a"]).ok();
    assert!(stdout.contains("\n-one\n-two\n+one\r\n+zwei\r\n"), "{stdout:?}");
    assert_eq!(code.assets(["diff", "--json", "sdk/a"]).ok().json()["results"][0]["diff"], stdout);
    world.write("patch", &stdout);
    let checkout = code.only_checkout();
    let patch = world.root().join("patch");
    code.git_in(&checkout, ["apply", "-R", "--whitespace=nowarn", &patch.to_string_lossy()]).ok();
    let run = code.assets(["diff", "sdk/a"]).ok();
    assert_eq!(run.stderr, "nothing is pending in `sdk/a/assets.json`\n");
    code.git_in(&checkout, ["apply", "--whitespace=nowarn", &patch.to_string_lossy()]).ok();
    let colored = code.assets(["diff", "--color=always", "sdk/a"]).ok().stdout;
    assert_eq!(colored.lines().count(), stdout.lines().count(), "{colored:?}");
}

#[test]
fn what_the_assets_repo_says_about_diffs_is_not_obeyed() {
    let world = World::new();
    let code = changed(&world);
    record(&code, ".gitattributes", "*.json diff=evil filter=evil -text\n");
    let evil = world.root().join("evil");
    let command = format!("touch {}; cat", evil.display());
    world.write(
        "home/.gitconfig",
        format!(
            "[diff \"evil\"]\n\ttextconv = {command}\n\tcommand = {command}\n[filter \"evil\"]\n\tclean = {command}\n"
        ),
    );
    let run = code.assets(["diff", "sdk/a"]).ok();
    assert!(run.stdout.ends_with(EXPECTED), "{}", run.stdout);
    assert!(!evil.exists(), "a driver was run");
}

#[cfg(unix)]
mod in_a_terminal {
    use super::*;
    use crate::support::pty::{CTRL_C, ENTER, Start};

    /// A pager that marks what it shows.
    const PAGER: &str = "sed 's/^/| /'";

    fn screen(code: &CodeRepo, env: &[(&str, &str)], args: [&str; 2]) -> String {
        let start = env.iter().fold(Start::new(code), |start, (name, value)| start.env(name, value));
        start.run(args).end().fails(0).raw.replace("\r\n", "\n")
    }

    #[test]
    fn the_pager_and_the_colours_are_those_of_git() {
        let world = World::new();
        let code = changed(&world);
        let plain = |raw: &str| raw.lines().filter(|line| *line == "| -gone").count() == 1;
        let coloured = |raw: &str| raw.contains("| \u{1b}[31m-gone\u{1b}[m");
        let diff = ["diff", "sdk/a"];
        assert!(coloured(&screen(&code, &[("GIT_PAGER", PAGER)], diff)));
        assert!(coloured(&screen(&code, &[("PAGER", PAGER)], diff)));
        assert!(plain(&screen(&code, &[("PAGER", PAGER), ("NO_COLOR", "1")], diff)));
        for (pager, other) in [("core.pager", "true"), ("pager.diff", "true")] {
            code.git(["config", "--global", pager, PAGER]).ok();
            assert!(coloured(&screen(&code, &[("PAGER", "cat")], diff)), "{pager}");
            code.git(["config", "--global", "color.ui", "never"]).ok();
            assert!(plain(&screen(&code, &[], diff)), "{pager}");
            code.git(["config", "--global", "color.ui", other]).ok();
            code.git(["config", "--global", "--unset", pager]).ok();
        }
        code.git(["config", "--global", "color.diff.old", "blue"]).ok();
        assert!(screen(&code, &[("PAGER", PAGER)], diff).contains("| \u{1b}[34m-gone\u{1b}[m"));
    }

    #[test]
    fn without_a_pager_it_is_printed() {
        let world = World::new();
        let code = changed(&world);
        for pager in ["", "cat", "there-is-no-such-pager"] {
            let shown = screen(&code, &[("GIT_PAGER", pager), ("NO_COLOR", "1")], ["diff", "sdk/a"]);
            assert!(shown.ends_with(&EXPECTED.replace("\t\n", "\n")) || shown.ends_with(EXPECTED), "{pager}: {shown}");
        }
        code.git(["config", "--global", "pager.diff", "false"]).ok();
        let shown = screen(&code, &[("PAGER", PAGER), ("NO_COLOR", "1")], ["diff", "sdk/a"]);
        assert!(!shown.contains("| "), "{shown}");
        // A reader who leaves at once.
        screen(&code, &[("GIT_PAGER", "true")], ["diff", "sdk/a"]);
    }

    /// Pagers stop a search with it and go on.
    #[test]
    fn ctrl_c_is_for_the_pager() {
        let world = World::new();
        let code = changed(&world);
        let pager = "n=0; trap 'n=$((n + 1)); echo noted $n' INT; cat; echo ready; \
                     until read -r answer </dev/tty; do :; done; echo left $answer";
        let mut terminal = Start::new(&code).env("GIT_PAGER", pager).run(["diff", "sdk/a"]);
        terminal.wait_for("ready");
        for times in 1..5 {
            terminal.press(CTRL_C);
            terminal.wait_for(&format!("noted {times}"));
        }
        terminal.press(&["well", ENTER].concat());
        terminal.wait_for("left well");
        terminal.end().fails(0);
    }

    #[test]
    fn a_checkout_cannot_name_the_pager() {
        let world = World::new();
        let code = changed(&world);
        let checkout = code.only_checkout();
        let evil = world.root().join("evil");
        code.git_in(&checkout, ["config", "core.pager", &format!("touch {}; cat", evil.display())]).ok();
        let ended = Start::new(&code).env("PAGER", "cat").run(["diff", "-a", "sdk/a", "-l", "."]).end();
        // Refused because of its configuration, or shown; never obeyed.
        assert!(!evil.exists(), "{}", ended.screen());
    }
}
