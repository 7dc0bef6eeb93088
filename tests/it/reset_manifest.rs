//! `reset --manifest`: manifests as the code repo's HEAD has them.

use std::fs::File;

use crate::support::{CodeRepo, World, snapshot, write};

const FILE: &str = "recordings/sdk/a/a.json";
const MANIFEST: &str = "sdk/a/assets.json";

struct Place {
    code: CodeRepo,
    committed: String,
    one: String,
    two: String,
}

/// A package whose pin was moved after the last commit of the code repo, restored, and recorded again.
fn place(world: &World) -> Place {
    let repo = world.assets_repo("assets");
    let one = repo.commit("main", &[(FILE, "one\n")]);
    let two = repo.commit("main", &[(FILE, "two\n")]);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &one);
    code.commit("pin");
    let committed = code.read(MANIFEST);
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &two);
    code.assets(["restore", "sdk/a"]).ok();
    write(&code.only_checkout().join(FILE), "mine\n");
    Place { code, committed, one, two }
}

impl Place {
    fn content(&self) -> String {
        std::fs::read_to_string(self.code.only_checkout().join(FILE)).unwrap()
    }
}

#[test]
fn manifest_and_recordings_are_as_committed() {
    let world = World::new();
    let place = place(&world);
    let index = std::fs::read(place.code.path.join(".git/index")).unwrap();
    let before = snapshot(&place.code.path);
    let run = place.code.assets(["reset", "--manifest", "--dry-run", "sdk/a"]).ok();
    let expected = format!(
        "would put `{MANIFEST}` back to what HEAD of the code repo has\n\
         would drop 1 pending change of `{MANIFEST}`:\n  M {FILE}\n\
         would show `{MANIFEST}` at {} (now at {})\n",
        &place.one[..10],
        &place.two[..10]
    );
    assert_eq!((run.stdout, run.stderr.as_str()), (expected, ""));
    let run = place.code.assets(["reset", "--manifest", "sdk/a"]).fails(3);
    let expected = format!(
        "error: reset puts manifests back to HEAD of the code repo and needs a yes\n  \
         caused by: changed since the last commit:\n               {MANIFEST}\n\
         hint: look at them with `git diff HEAD`; confirm with `assets reset --manifest -y`\n"
    );
    assert_eq!((run.stdout.as_str(), run.stderr), ("", expected));
    assert!(snapshot(&place.code.path) == before, "something was changed");

    let run = place.code.assets(["reset", "--manifest", "-y", "sdk/a"]).ok();
    let expected = format!(
        "`{MANIFEST}` is again as HEAD of the code repo has it (it pinned commit `{}`)\n\
         restored `{MANIFEST}` at {}\n\
         dropped 1 pending change of `{MANIFEST}`\n\
         hint: `assets stash pop sdk/a` brings them back\n",
        place.two,
        &place.one[..10]
    );
    assert_eq!(run.stderr, expected);
    assert_eq!((place.code.read(MANIFEST), place.content()), (place.committed.clone(), "one\n".into()));
    assert!(std::fs::read(place.code.path.join(".git/index")).unwrap() == index, "the index was touched");

    // Without the flag the manifest stays as it is.
    place.code.write(MANIFEST, place.committed.replace(&place.one, &place.two));
    place.code.assets(["reset", "-y", "sdk/a"]).ok();
    assert_eq!((place.code.pin("sdk/a", "SHA"), place.content()), (place.two.clone(), "two\n".into()));
}

#[test]
fn a_manifest_that_cannot_be_read_is_mended() {
    let world = World::new();
    let place = place(&world);
    place.code.write(MANIFEST, "{\n<<<<<<< HEAD\n");
    place.code.assets(["reset", "-y", "sdk/a"]).fails(2);
    place.code.write("sdk/new/assets.json", "{\"AssetsRepo\": \"o/n\"}");
    // One that was never committed stays, and is named when it was meant.
    place
        .code
        .assets(["reset", "--manifest", "-y", "sdk/new"])
        .fails(2)
        .says("HEAD of the code repo has no `sdk/new/assets.json`");
    std::fs::remove_file(place.code.path.join("sdk/new/assets.json")).unwrap();
    place.code.assets(["reset", "--manifest", "-y", "--all"]).ok();
    assert_eq!((place.code.read(MANIFEST), place.content()), (place.committed.clone(), "one\n".into()));
}

#[test]
fn a_push_under_way_is_waited_for() {
    let world = World::new();
    let place = place(&world);
    let name = place.code.checkouts().pop().unwrap();
    let held = File::options().write(true).open(place.code.path.join(".assets/.locks").join(name)).unwrap();
    held.lock().unwrap();
    let before = place.code.read(MANIFEST);
    for text in [before.as_str(), "{"] {
        place.code.write(MANIFEST, text);
        let run = place.code.assets(["reset", "--manifest", "-y", "sdk/a", "--lock-timeout", "0"]).fails(5);
        assert_eq!((place.code.read(MANIFEST).as_str(), run.stdout.as_str()), (text, ""));
    }
    drop(held);
    place.code.assets(["reset", "--manifest", "-y", "sdk/a"]).ok();
    assert_eq!(place.code.read(MANIFEST), place.committed);
}

#[test]
fn new_manifests_of_other_packages_are_no_failure() {
    let world = World::new();
    let place = place(&world);
    place.code.write("sdk/new/assets.json", place.committed.replace("sdk/a", "sdk/new"));
    place.code.assets(["reset", "--manifest", "-y", "--all"]).ok();
    assert_eq!(place.code.read(MANIFEST), place.committed);
    assert!(place.code.path.join("sdk/new/assets.json").exists());
}

#[test]
fn line_ends_and_permissions_stay() {
    let world = World::new();
    let place = place(&world);
    place.code.write(MANIFEST, place.committed.replace(&place.one, &place.two).replace('\n', "\r\n"));
    place.code.assets(["reset", "--manifest", "-y", "sdk/a"]).ok();
    assert_eq!(place.code.read(MANIFEST), place.committed.replace('\n', "\r\n"));
}

#[cfg(unix)]
#[test]
fn a_terminal_is_asked_about_both() {
    use crate::support::pty::Start;
    let world = World::new();
    let place = place(&world);
    let before = snapshot(&place.code.path);
    let mut terminal = Start::new(&place.code).columns(200).run(["reset", "--manifest", "sdk/a"]);
    terminal.wait_for("changed since the last commit of the code repo:");
    terminal.wait_for(MANIFEST);
    terminal.wait_for("Put back what HEAD of the code repo has?");
    terminal.asked("(y/n)");
    terminal.press("n");
    terminal.end().fails(3);
    assert!(snapshot(&place.code.path) == before, "no is no");

    let mut terminal = Start::new(&place.code).columns(200).run(["reset", "--manifest", "sdk/a"]);
    terminal.asked("(y/n)");
    terminal.press("y");
    terminal.wait_for("Drop them?");
    terminal.asked("(y/n)");
    terminal.press("y");
    let ended = terminal.end().fails(0);
    assert!(ended.shows_cursor());
    assert_eq!((place.code.read(MANIFEST), place.content()), (place.committed.clone(), "one\n".into()));
}
