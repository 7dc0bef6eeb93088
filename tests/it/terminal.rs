//! Questions, colours and progress in a real terminal, and what happens without one.
#![cfg(unix)]

use std::sync::{Arc, RwLock};
use std::time::Instant;

use rustix::process::Signal;

use crate::support::pty::{CTRL_C, DOWN, ENTER, ESCAPE, HIDE_CURSOR, Start, screen};
use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, Run, World, says_progress, snapshot, with_every_git, write};

const FILE: &str = "recordings/sdk/a/a.json";

/// A package whose pin has moved from the first to the second commit, with a changed and a new recording.
struct Moved {
    repo: AssetsRepo,
    code: CodeRepo,
    new: String,
}

fn moved(world: &World) -> Moved {
    let repo = world.assets_repo("assets");
    let old = repo.commit("main", &[(FILE, "one\n")]);
    let new = repo.commit("main", &[(FILE, "two\n")]);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &old);
    code.assets(["restore", "sdk/a"]).ok();
    record(&code, "a.json", "mine\n");
    record(&code, "new.json", "new\n");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &new);
    Moved { repo, code, new }
}

fn record(code: &CodeRepo, name: &str, content: &str) {
    write(&code.only_checkout().join("recordings/sdk/a").join(name), content);
}

impl Moved {
    fn recording(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.code.only_checkout().join("recordings/sdk/a").join(name)).ok()
    }

    /// Expects that the pending changes are where they were, and nothing was put aside.
    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(self.recording("a.json").as_deref(), Some("mine\n"));
        assert_eq!(self.recording("new.json").as_deref(), Some("new\n"));
        assert_eq!(self.code.assets(["stash", "list", "sdk/a"]).ok().stdout, "");
    }

    #[track_caller]
    fn is_restored(&self) {
        assert_eq!(self.recording("a.json").as_deref(), Some("two\n"));
        assert_eq!(self.recording("new.json"), None);
        self.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        self.is_back();
    }

    #[track_caller]
    fn is_back(&self) {
        assert_eq!(self.recording("a.json").as_deref(), Some("mine\n"));
        assert_eq!(self.recording("new.json").as_deref(), Some("new\n"));
    }

    fn root(&self) -> String {
        self.code.only_checkout().join("recordings").to_string_lossy().into_owned()
    }
}

const QUESTION: &str = "\
`sdk/a/assets.json` pins another commit now, and 2 pending changes would be lost:
  recordings/sdk/a/a.json
  recordings/sdk/a/new.json
";

const KEPT: &str = "error: stopped: nothing was changed";

#[test]
fn enter_puts_aside_and_restores() {
    with_every_git(|world| {
        let moved = moved(world);
        let mut terminal = Start::new(&moved.code).columns(200).run(["restore", "sdk/a"]);
        terminal.asked("show the diff");
        terminal.press(ENTER);
        let ended = terminal.end().fails(0);
        let expected = format!(
            "{QUESTION}✔ What should happen to them? · put them aside and go on
restored `sdk/a/assets.json` at {}
put aside 2 pending changes of `sdk/a/assets.json`
hint: `assets stash pop sdk/a` brings them back
{}",
            &moved.new[..10],
            moved.root()
        );
        assert_eq!(ended.screen(), expected);
        assert!(ended.shows_cursor());
        moved.is_restored();
    });
}

#[test]
fn the_second_answer_keeps_and_stops() {
    with_every_git(|world| {
        let moved = moved(world);
        let before = snapshot(&moved.code.path);
        let mut terminal = Start::new(&moved.code).columns(200).run(["restore", "sdk/a"]);
        terminal.asked("show the diff");
        // What is no answer is no answer.
        terminal.press("xyz\u{1b}[C7é");
        terminal.press(DOWN);
        terminal.press(ENTER);
        let ended = terminal.end().fails(3);
        let expected = format!("\n✔ What should happen to them? · keep them and stop\n{KEPT}");
        assert!(ended.screen().ends_with(&expected), "{}", ended.screen());
        assert!(ended.shows_cursor());
        assert!(snapshot(&moved.code.path) == before, "something was changed");
    });
}

#[test]
fn the_third_answer_shows_the_diff_and_asks_again() {
    with_every_git(|world| {
        let moved = moved(world);
        let mut terminal = Start::new(&moved.code).run(["--color=never", "restore", "sdk/a"]);
        terminal.asked("show the diff");
        terminal.press(&[DOWN, DOWN, ENTER].concat());
        terminal.wait_for("-one");
        terminal.wait_for("+mine");
        terminal.asked("show the diff");
        terminal.press(&[DOWN, ENTER].concat());
        terminal.end().fails(3);
        moved.is_untouched();
    });
}

#[test]
fn leaving_the_question_changes_nothing() {
    for (keys, code) in [(ESCAPE, 3), ("q", 3), (CTRL_C, 130)] {
        let world = World::new();
        let moved = moved(&world);
        let before = snapshot(&moved.code.path);
        let mut terminal = Start::new(&moved.code).run(["restore", "sdk/a"]);
        terminal.asked("show the diff");
        terminal.press(keys);
        let ended = terminal.end().fails(code);
        assert!(ended.shows_cursor(), "{keys:?}: {:?}", ended.raw);
        assert!(ended.raw.contains(HIDE_CURSOR), "the test looks for something that is never hidden");
        assert!(snapshot(&moved.code.path) == before, "{keys:?} changed something");
    }
}

#[test]
fn a_signal_ends_the_question() {
    for (signal, question) in [(Signal::TERM, "restore"), (Signal::INT, "restore"), (Signal::TERM, "reset")] {
        let world = World::new();
        let moved = moved(&world);
        let before = snapshot(&moved.code.path);
        let mut terminal = Start::new(&moved.code).run([question, "sdk/a"]);
        terminal.wait_for(if question == "reset" { "(y/n)" } else { "show the diff" });
        terminal.signal(signal);
        let ended = terminal.end().fails(130);
        assert!(ended.shows_cursor(), "{:?}", ended.raw);
        assert!(snapshot(&moved.code.path) == before, "{signal:?} changed something");
    }
}

#[test]
fn ctrl_c_ends_the_questions_of_all_packages() {
    let world = World::new();
    let moved = moved(&world);
    let url = moved.repo.path.to_string_lossy().into_owned();
    moved.code.branch_manifest("sdk/b", &url, &moved.new);
    moved.code.assets(["restore", "sdk/b"]).ok();
    write(&moved.code.only_checkout().join("recordings/sdk/b/b.json"), "mine");
    let third = moved.repo.commit("main", &[("recordings/sdk/b/b.json", "theirs")]);
    moved.code.branch_manifest("sdk/b", &url, &third);
    let mut terminal = Start::new(&moved.code).run(["restore", "sdk/a", "sdk/b"]);
    terminal.asked("show the diff");
    terminal.press(CTRL_C);
    let ended = terminal.end().fails(130);
    assert!(!ended.screen().contains("`sdk/b/assets.json` pins another"), "{}", ended.screen());
    moved.is_untouched();
}

#[test]
fn reset_asks_for_a_yes() {
    for (keys, code) in [("y", 0), ("xéy", 0), ("n", 3), (ENTER, 3), ("x7\r", 3), (ESCAPE, 3), (CTRL_C, 130)] {
        let world = World::new();
        let moved = moved(&world);
        let before = snapshot(&moved.code.path);
        let mut terminal = Start::new(&moved.code).run(["reset", "sdk/a"]);
        terminal.wait_for("Drop them?");
        terminal.asked("(y/n)");
        terminal.press(keys);
        if code == 0 {
            terminal.press(ENTER);
        }
        let ended = terminal.end().fails(code);
        assert!(ended.shows_cursor(), "{keys:?}: {:?}", ended.raw);
        if code == 0 {
            moved.is_restored();
        } else {
            assert!(snapshot(&moved.code.path) == before, "{keys:?} changed something");
        }
    }
}

#[test]
fn nobody_is_asked_who_cannot_answer() {
    let world = World::new();
    let file = world.root().join("stderr");
    for way in ["--no-input", "CI", "stdin", "stderr"] {
        let world = World::new();
        let moved = moved(&world);
        let run = |command| {
            let start = Start::new(&moved.code);
            let start = match way {
                "CI" => start.env("CI", "true"),
                "stdin" => start.without_stdin(),
                "stderr" => start.stderr(file.clone()),
                _ => return start.run([command, "sdk/a", way]).end(),
            };
            start.run([command, "sdk/a"]).end()
        };
        let reset = run("reset");
        assert_eq!(reset.code, Some(3), "{way}: {}", reset.screen());
        moved.is_untouched();
        let restore = run("restore");
        assert_eq!(restore.code, Some(0), "{way}: {}", restore.screen());
        assert!(!restore.raw.contains("What should happen"), "{way}: {}", restore.screen());
        moved.is_restored();
    }
}

#[test]
fn a_question_with_stdout_elsewhere() {
    let world = World::new();
    let moved = moved(&world);
    let file = world.root().join("stdout");
    let mut terminal = Start::new(&moved.code).stdout(file.clone()).run(["restore", "sdk/a"]);
    terminal.asked("show the diff");
    terminal.press(ENTER);
    terminal.end().fails(0);
    assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{}\n", moved.root()));
    moved.is_restored();
}

#[test]
fn colours() {
    let world = World::new();
    let code = world.code_repo("code");
    let in_terminal = |env: &[(&str, &str)], flag| {
        let start = env.iter().fold(Start::new(&code), |start, (name, value)| start.env(name, value));
        start.run([flag, "restore"]).end().fails(2).raw
    };
    let colored = |text: &str| text.contains("\x1b[");
    assert!(colored(&in_terminal(&[], "--color=auto")));
    assert!(!colored(&in_terminal(&[], "--color=never")));
    assert!(!colored(&in_terminal(&[("NO_COLOR", "1")], "--color=auto")));
    assert!(!colored(&in_terminal(&[("ASSETS_COLOR", "never")], "--no-progress")));
    assert!(colored(&in_terminal(&[("NO_COLOR", "1")], "--color=always")), "a flag is stronger");

    let off_terminal = |env: &[(&str, &str)], flag| code.assets_with(env, [flag, "restore"]).fails(2).stderr;
    assert!(!colored(&off_terminal(&[], "--color=auto")));
    assert!(colored(&off_terminal(&[], "--color=always")));
    assert!(colored(&off_terminal(&[("CLICOLOR_FORCE", "1")], "--color=auto")));
    assert!(!colored(&off_terminal(&[("CLICOLOR_FORCE", "0")], "--color=auto")));
    assert!(!colored(&off_terminal(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "--color=auto")));
}

#[test]
fn a_question_without_colours() {
    let world = World::new();
    let moved = moved(&world);
    let mut terminal = Start::new(&moved.code).env("NO_COLOR", "1").run(["restore", "sdk/a"]);
    terminal.asked("show the diff");
    terminal.press(&[DOWN, DOWN, ENTER].concat());
    terminal.wait_for("+mine");
    terminal.asked("show the diff");
    terminal.press(&[DOWN, ENTER].concat());
    let ended = terminal.end().fails(3);
    // Nothing but cursor movements, clearing, and the cursor itself.
    let coloured = ended.raw.split("\x1b[").skip(1).any(|part| {
        part.split(|c: char| c.is_ascii_alphabetic()).next().is_some_and(|digits| part[digits.len()..].starts_with('m'))
    });
    assert!(!coloured, "{:?}", ended.raw);
}

#[test]
fn names_do_not_reach_the_terminal_raw() {
    let world = World::new();
    let moved = moved(&world);
    let evil = "a\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}b\nerror: forged\r.json";
    record(&moved.code, evil, "x");
    let shown = "  recordings/sdk/a/a]0;owned31mb error: forged .json\n";

    let asked = |command: [&str; 2]| {
        let mut terminal = Start::new(&moved.code).columns(200).run(command);
        terminal.wait_for("new.json");
        terminal.press(CTRL_C);
        terminal.end().fails(130)
    };
    for ended in [asked(["restore", "sdk/a"]), asked(["reset", "sdk/a"])] {
        assert!(ended.screen().contains(shown), "{}", ended.screen());
        assert!(
            !ended.raw.contains(['\u{7}', '\u{9b}', '\u{202e}']) && !ended.raw.contains("\x1b]"),
            "{:?}",
            ended.raw
        );
    }
    let clean = |run: Run| {
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r']), "{text:?}");
        assert!(!text.contains("\nerror: forged"), "{text:?}");
    };
    clean(moved.code.assets(["restore", "--keep", "sdk/a"]).fails(3));
    clean(moved.code.assets(["push", "sdk/a"]).fails(1));
    clean(moved.code.assets(["restore", "--stash", "sdk/a"]).ok());
    clean(moved.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok());
}

/// A code repo whose package comes from a server.
fn served(world: &World, content: &str) -> (GitServer, CodeRepo) {
    let repo = world.assets_repo("assets");
    let sha = repo.commit("main", &[(FILE, content)]);
    let server = GitServer::start(world.root(), Options::default());
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &format!("{}/assets.git", server.url()), &sha);
    (server, code)
}

/// Requests are answered only while nobody holds this for writing.
fn gate(server: &GitServer) -> Arc<RwLock<()>> {
    let gate = Arc::new(RwLock::new(()));
    let waiting = gate.clone();
    server.on_request(move |_| {
        drop(waiting.read());
        None
    });
    gate
}

#[test]
fn the_progress_line_leaves_nothing_behind() {
    for columns in [45, 100] {
        let world = World::new();
        let (server, code) = served(&world, "one\n");
        let gate = gate(&server);
        let held = gate.write();
        let mut terminal = Start::new(&code).columns(columns).run(["restore", "sdk/a"]);
        terminal.wait_for("fetching from");
        drop(held);
        let ended = terminal.end().fails(0);
        let root = code.only_checkout().join("recordings").to_string_lossy().into_owned();
        let commit = &code.pin("sdk/a", "SHA")[..10];
        let expected = format!("restored `sdk/a/assets.json` at {commit}\r\n{root}\r\n");
        assert_eq!(ended.screen(), screen(&expected, columns.into()), "{:?}", ended.raw);
        assert!(ended.shows_cursor());
    }
}

#[test]
fn progress_off_a_terminal_is_plain_lines_and_quiet_is_quiet() {
    let world = World::new();
    let (server, code) = served(&world, "one\n");
    let gate = gate(&server);
    let held = gate.write();
    let file = world.root().join("stderr");
    let started = Instant::now();
    let lines = Start::new(&code).stderr(file.clone()).run(["restore", "sdk/a"]);
    crate::support::pty::wait_until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains('\n')));
    drop(held);
    lines.end().fails(0);
    let stderr = std::fs::read_to_string(&file).unwrap();
    let first = stderr.lines().next().unwrap();
    says_progress(first, &format!("fetching from `{}/assets.git`", server.url()), started);
    assert!(!stderr.contains(['\u{1b}', '\r']), "{stderr:?}");

    std::fs::remove_dir_all(world.root().join("cache")).unwrap();
    std::fs::remove_dir_all(code.path.join(".assets")).unwrap();
    let quiet = code.assets(["-q", "restore", "sdk/a"]).ok();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.stdout, format!("{}/recordings\n", code.only_checkout().display()));
    code.assets(["-q", "restore", "sdk/none"]).fails(2).says("error: there is no `");
}

#[test]
fn lines_end_where_words_end() {
    let world = World::new();
    let code = world.code_repo("code");
    code.manifest("sdk/a", "{\"AssetRepo\": \"o/n\"}");
    let ended = Start::new(&code).columns(60).run(["restore", "sdk/a"]).end().fails(2);
    assert_eq!(
        ended.screen(),
        "\
error: `sdk/a/assets.json:1:1`: `AssetsRepo` is missing or
       empty
  caused by: `sdk/a/assets.json:1:2`: `AssetRepo` means
             nothing here; did you mean `AssetsRepo`?
hint: name the assets repo: `\"AssetsRepo\": \"owner/name\"` in
      `sdk/a/assets.json`"
    );
}
