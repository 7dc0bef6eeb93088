//! What a remote, a file name or a manifest says reaches the terminal as plain text.

use super::{Trap, script};
use crate::support::{World, run, write};

/// Texts that a terminal would obey, or that hide what they say.
const TEXTS: &[&str] = &[
    "\u{1b}[2J\u{1b}[1;1Hfake",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7}",
    "\u{1b}[31mred",
    "a\rfake",
    "\u{8}\u{8}\u{8}",
    "\u{9b}2J",
    "\u{90}x\u{9c}",
    "\u{202e}txt.exe",
    "\u{2066}x\u{2069}",
    "\u{200b}x",
    "\u{feff}x",
    "\u{7f}",
    "\u{1b}P1000p",
    "\u{1b}[6n",
    "\u{e}\u{f}",
    "%s%n",
    "{}",
    "\u{85}next",
    "\u{2028}next",
];

/// With each way of output.
fn outputs(trap: &Trap, args: &[&str]) {
    for more in [&[][..], &["-v"], &["-vv"], &["--json"]] {
        trap.run(&[], &[args, more].concat());
    }
}

#[test]
fn hooks_of_the_remote() {
    let world = World::new();
    let trap = Trap::restored(&world);
    let all: String = TEXTS.iter().map(|text| format!("{text}\n")).collect();
    world.write("said", &all);
    let said = world.root().join("said");
    for (hook, exit) in [("pre-receive", 1), ("update", 1), ("post-receive", 0)] {
        script(
            &trap.repo.path.join("hooks").join(hook),
            &format!("cat '{0}'; cat '{0}' >&2; exit {exit}", said.display()),
        );
        for round in 0..4 {
            write(&trap.code.only_checkout().join("recordings/sdk/a/a.json"), format!("{hook} {round}"));
            let more = [&[][..], &["-v"], &["-vv"], &["--json"]][round];
            trap.run(&[], &[&["push", "sdk/a"], more].concat());
        }
        std::fs::remove_file(trap.repo.path.join("hooks").join(hook)).unwrap();
    }
}

#[test]
fn a_server_that_says_it() {
    let world = World::new();
    let trap = Trap::new(&world);
    let all: String = TEXTS.iter().map(|text| format!("{text}\n")).collect();
    world.write("said", &all);
    // A remote whose upload-pack talks before it fails, as a broken or hostile one would.
    let mut heard = false;
    let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
    for (number, text) in TEXTS.iter().enumerate() {
        world.write("answer", packet(&format!("ERR {text}")) + "0000");
        script(
            &world.root().join("bin/git-upload-pack"),
            &format!("cat '{0}/said' >&2; cat '{0}/answer'", world.root().display()),
        );
        let file = world.root().join("home/.gitconfig");
        let own = format!(
            "[user]\n\tname = x\n\temail = x\n[remote \"assets\"]\n\tuploadpack = {}/bin/git-upload-pack\n",
            world.root().display()
        );
        std::fs::write(&file, own).unwrap();
        let more = [&[][..], &["-v"], &["-vv"], &["--json"]][number % 4];
        let run = trap.run(&[], &[&["restore", "sdk/a"], more].concat());
        assert_ne!(run.code, Some(0), "{}", run.stderr);
        heard |= run.stderr.contains("fake");
    }
    assert!(heard, "the remote was not asked");
}

#[test]
fn names_of_files() {
    let world = World::new();
    let trap = Trap::restored(&world);
    let folder = trap.code.only_checkout().join("recordings/sdk/a");
    for (number, text) in TEXTS.iter().enumerate() {
        write(&folder.join(format!("{number}{text}")), "mine");
    }
    for args in [
        &["status", "sdk/a", "-v"][..],
        &["push", "sdk/a"],
        &["push", "--dry-run", "sdk/a"],
        &["restore", "--keep", "sdk/a"],
    ] {
        outputs(&trap, args);
    }
    let pin = trap.repo.commit("main", &[("recordings/sdk/a/a.json", "two\n")]);
    trap.manifest(&[("SHA", &pin)]);
    outputs(&trap, &["restore", "--keep", "sdk/a"]);
    outputs(&trap, &["restore", "sdk/a"]);
    outputs(&trap, &["stash", "list", "sdk/a"]);
    outputs(&trap, &["stash", "pop", "sdk/a"]);
    outputs(&trap, &["reset", "sdk/a"]);
    outputs(&trap, &["reset", "-y", "sdk/a"]);
}

#[test]
fn names_of_folders_and_arguments() {
    let world = World::new();
    let trap = Trap::new(&world);
    for text in TEXTS.iter().filter(|text| !text.contains('/')) {
        let folder = format!("sdk/{text}");
        trap.code.manifest(&folder, "{\"AssetsRepo\": \"nope\"}");
        outputs(&trap, &["restore", "--", &folder]);
        trap.run(&[], &["restore", &format!("nowhere{text}")]);
        trap.run(&[], &["status", &folder]);
        trap.run(&[], &[text]);
        trap.run(&[], &["restore", &format!("--{text}")]);
    }
    outputs(&trap, &["restore", "--all"]);
    outputs(&trap, &["status", "--all"]);
}

/// The commands in a hint: what stands between backticks, but for those inside of single quotes.
fn commands_in(hint: &str) -> Vec<String> {
    let (mut commands, mut command, mut is_quoted) = (Vec::new(), None::<String>, false);
    for c in hint.chars() {
        match (c, &mut command) {
            ('`', None) => command = Some(String::new()),
            ('`', Some(_)) if !is_quoted => commands.extend(command.take()),
            (c, Some(text)) => {
                is_quoted ^= c == '\'';
                text.push(c);
            }
            _ => {}
        }
    }
    commands
}

/// Every command that a hint gives is pasted into a shell: nothing that a manifest says runs there.
#[test]
fn commands_to_paste() {
    let world = World::new();
    let trap = Trap::new(&world);
    let paste = world.root().join("paste");
    std::fs::create_dir(&paste).unwrap();
    for stub in ["git", "assets", "mv", "ls", "rm", "time"] {
        script(&paste.join("bin").join(stub), "exit 0");
    }
    let mut pasted = 0;
    let mut follow = |args: &[&str]| {
        let run = trap.run(&[], &[args, &["--json"]].concat());
        let document = run.json();
        let mut hints = Vec::new();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            if let Some(list) = value["hints"].as_array() {
                hints.extend(list.iter().map(|hint| hint.as_str().unwrap().to_string()));
            }
            open.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            open.extend(value.as_array().into_iter().flatten());
        }
        for command in hints.iter().flat_map(|hint| commands_in(hint)) {
            let env = [("PATH".to_string(), paste.join("bin").to_string_lossy().into_owned())];
            run_in_shell(&paste, &env, &command);
            assert!(!paste.join("pwned").exists(), "{args:?}: {command}");
            pasted += 1;
        }
    };
    for name in ["$(>pwned)", "`>pwned`", "x;>pwned;", "a' >pwned '", "\"$(>pwned)\"", "x\\';>pwned;'", "~$(>pwned)"] {
        let empty = world.root().join(format!("{name}/empty.git"));
        run_git(&trap, &["init", "-q", "--bare", &empty.to_string_lossy()]);
        let full = world.root().join(format!("{name}/full.git"));
        run_git(&trap, &["clone", "-q", "--bare", &trap.repo.path.to_string_lossy(), &full.to_string_lossy()]);
        let (empty, full) = (empty.to_string_lossy(), full.to_string_lossy());
        let _ = std::fs::remove_dir_all(trap.folder());
        let restore: &[&str] = &["restore", "sdk/a"];
        for (repo, fields, commands) in [
            (&*empty, &[("AssetsRepoId", "empty"), ("SHA", "")][..], &[restore, &["doctor", "sdk/a"]][..]),
            (&format!("{empty}/none"), &[("AssetsRepoId", "none")], &[restore]),
            (&full, &[("AssetsRepoId", "full"), ("SHA", ""), ("AssetsRepoFallbackBranch", "none")], &[restore]),
            (&full, &[("AssetsRepoId", "full")], &[&["checkout", "none", "sdk/a"]]),
            (&full, &[("AssetsRepoId", "full"), ("SHA", &"1".repeat(40))], &[restore]),
        ] {
            trap.manifest(&[&[("AssetsRepo", repo)], fields].concat());
            commands.iter().for_each(|command| follow(command));
        }
    }
    // Once: what does not answer is tried again and again.
    trap.manifest(&[("AssetsRepo", "http://127.0.0.1:1/$(>pwned)"), ("AssetsRepoId", "http")]);
    follow(&["restore", "sdk/a"]);
    assert!(pasted > 50, "{pasted}");
}

fn run_git(trap: &Trap, args: &[&str]) {
    run(trap.world.root(), trap.code.env(), "git", args).ok();
}

fn run_in_shell(dir: &std::path::Path, env: &[(String, String)], command: &str) {
    run(dir, env, "/bin/sh", ["-c", command]);
}
