//! Recordings that are deleted by the folder: a push asks first, and a restore says so.
#![cfg(unix)]

use crate::pushing::{BRANCH, Stage, recording};
use crate::support::pty::{CTRL_C, ENTER, Start};
use crate::support::{AssetsRepo, CodeRepo, World, with_every_git, write};

/// A package with so many recordings, restored.
fn package(world: &World, files: usize) -> (AssetsRepo, CodeRepo) {
    let repo = world.assets_repo("assets");
    let files: Vec<(String, String)> =
        (0..files).map(|n| (format!("recordings/sdk/a/f{n:02}.json"), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let base = repo.commit("main", &files);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &base);
    code.assets(["restore", "sdk/a"]).ok();
    (repo, code)
}

fn delete(code: &CodeRepo, files: usize) {
    for n in 0..files {
        std::fs::remove_file(recording(code, &format!("f{n:02}.json"))).unwrap();
    }
}

fn recordings(code: &CodeRepo) -> usize {
    std::fs::read_dir(recording(code, "")).unwrap().count()
}

fn refusal(hint: &str) -> String {
    let named: String = (0..20).map(|n| format!("               recordings/sdk/a/f{n:02}.json\n")).collect();
    format!(
        "error: pushing `sdk/a/assets.json` would delete 21 of its 30 recordings and needs a yes\n  \
         caused by: deleted here:\n{named}               and 1 more\n\
         hint: {hint}\n\
         hint: if they are to go: `assets push --allow-deletions sdk/a`\n"
    )
}

#[test]
fn most_recordings_are_not_deleted_without_a_yes() {
    with_every_git(|world| {
        let (repo, code) = package(world, 30);
        delete(&code, 21);
        let push = |args: &[&str]| code.assets([&["push", "sdk/a"], args].concat());
        let run = push(&[]).fails(3);
        assert_eq!((run.stdout.as_str(), run.stderr), ("", refusal("`assets reset sdk/a` brings them back")));
        write(&recording(&code, "new.json"), "new\n");
        let mixed = "`assets reset sdk/a` brings them back, and puts 1 pending change aside";
        assert_eq!(push(&[]).fails(3).stderr, refusal(mixed));
        // Nor by any other answer than the one it is about.
        push(&["--ours", "--break-glass", "-q"]).fails(3);
        assert_eq!(push(&["--json"]).fails(3).json()["results"][0]["error"]["kind"], "needs-person");
        assert_eq!(repo.rev(BRANCH), None);
        assert_eq!(recordings(&code), 10);

        push(&["--dry-run"]).ok().says("would push 22 files (1 new, 21 deleted)");
        push(&["--allow-deletions"]).ok().says("pushed 22 files (1 new, 21 deleted)");
        assert_eq!(repo.git(["ls-tree", "-r", "--name-only", BRANCH]).ok().stdout.lines().count(), 10);
    });
}

#[test]
fn what_the_hint_says_brings_them_back() {
    let world = World::new();
    let (repo, code) = package(&world, 30);
    delete(&code, 30);
    code.assets(["push", "sdk/a"]).fails(3).says("30 of its 30").says("`assets reset sdk/a` brings them back");
    code.assets(["reset", "-y", "sdk/a"]).ok();
    assert_eq!(recordings(&code), 30);
    code.assets(["push", "sdk/a"]).ok().says("nothing to push");
    assert_eq!(repo.rev(BRANCH), None);
}

#[test]
fn fewer_are_deleted_as_they_are() {
    let world = World::new();
    for (all, deleted, refused) in [(20, 20, false), (21, 21, true), (42, 21, false), (41, 21, true)] {
        let world = World::with_git(&world.root().join("bin/git"));
        let (_repo, code) = package(&world, all);
        delete(&code, deleted);
        let run = code.assets(["push", "sdk/a"]);
        assert_eq!(run.code, Some(if refused { 3 } else { 0 }), "{deleted} of {all}: {}", run.stderr);
    }
}

#[test]
fn recordings_of_a_package_inside_another_count_for_that_one() {
    let world = World::new();
    let repo = world.assets_repo("assets");
    let mut files: Vec<(String, String)> =
        (0..25).map(|n| (format!("recordings/sdk/a/f{n:02}.json"), "x\n".to_string())).collect();
    files.extend((0..60).map(|n| (format!("recordings/sdk/a/inner/{n}.json"), "x\n".to_string())));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let base = repo.commit("main", &files);
    let code = world.code_repo("code");
    for folder in ["sdk/a", "sdk/a/inner"] {
        code.branch_manifest(folder, &repo.path.to_string_lossy(), &base);
    }
    code.assets(["restore", "sdk/a", "sdk/a/inner"]).ok();
    delete(&code, 21);
    code.assets(["push", "sdk/a"]).fails(3).says("would delete 21 of its 25 recordings");
}

#[test]
fn a_terminal_is_asked_and_the_default_is_no() {
    with_every_git(|world| {
        let (repo, code) = package(world, 30);
        delete(&code, 21);
        let named: String = (0..20).map(|n| format!("  recordings/sdk/a/f{n:02}.json\n")).collect();
        let question =
            format!("21 of the 30 recordings of `sdk/a/assets.json` are deleted here:\n{named}  and 1 more\n");
        let ask = || {
            let mut terminal = Start::new(&code).columns(200).run(["push", "sdk/a"]);
            terminal.asked("Delete them in the assets repo too?");
            terminal
        };
        for keys in [ENTER, "n"] {
            let mut terminal = ask();
            terminal.press(keys);
            let ended = terminal.end().fails(3);
            assert_eq!(
                ended.screen(),
                format!(
                    "{question}✔ Delete them in the assets repo too? · no\n\
                     error: cannot push `sdk/a/assets.json`\n  \
                     caused by: stopped: nothing was sent\n\
                     hint: `assets reset sdk/a` brings them back"
                )
            );
            assert!(ended.shows_cursor());
        }
        let mut terminal = ask();
        terminal.press(CTRL_C);
        assert!(terminal.end().fails(130).shows_cursor());
        assert_eq!(repo.rev(BRANCH), None);
        assert_eq!(recordings(&code), 9);

        // Nobody is asked who is not there, or who has said so.
        Start::new(&code).without_stdin().run(["push", "sdk/a"]).end().fails(3);
        Start::new(&code).run(["--no-input", "push", "sdk/a"]).end().fails(3);
        assert_eq!(repo.rev(BRANCH), None);

        let mut terminal = ask();
        terminal.press("y");
        let ended = terminal.end().fails(0);
        assert!(
            ended.screen().contains("· yes\npushed 21 files (21 deleted) of `sdk/a/assets.json`"),
            "{}",
            ended.screen()
        );
        assert!(repo.rev(BRANCH).is_some());
    });
}

#[test]
fn a_restore_says_when_every_recording_is_deleted() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let said = "all recordings of `sdk/a/assets.json` are deleted (3 files, pending): `assets reset sdk/a` brings them back\n";
        let restore = |args: &[&str]| stage.code.assets([&["restore", "sdk/a"], args].concat()).ok();
        let root = restore(&[]).stdout;
        for folder in ["", "deep"] {
            // The folder itself is gone, or its files are.
            std::fs::remove_dir_all(recording(&stage.code, "")).unwrap();
            std::fs::create_dir_all(recording(&stage.code, folder)).unwrap();
            for _ in 0..2 {
                let run = restore(&[]);
                assert_eq!((run.stdout, run.stderr.as_str()), (root.clone(), said));
            }
        }
        assert_eq!(restore(&["-q"]).stderr, "");
        assert_eq!(restore(&["--json"]).json()["results"][0]["state"], "unchanged");
        // It is only said: without any git the restore is as good.
        stage.code.assets_with(&[("PATH", "/nowhere")], ["restore", "sdk/a"]).ok();

        write(&recording(&stage.code, "deep/one.json"), "mine\n");
        assert_eq!(restore(&[]).stderr, "");
        std::fs::remove_file(recording(&stage.code, "deep/one.json")).unwrap();
        stage.code.assets(["reset", "-y", "sdk/a"]).ok();
        assert_eq!(restore(&[]).stderr, "");
        assert_eq!(std::fs::read_to_string(recording(&stage.code, "one.json")).unwrap(), "one\n");

        // A package that is new has nothing to lose.
        stage.code.branch_manifest("sdk/new", &stage.path(), &stage.base);
        stage.code.assets(["restore", "sdk/new"]).ok();
        assert_eq!(stage.code.assets(["restore", "sdk/new"]).ok().stderr, "");
    });
}
