//! `assets doctor`: what it says when all is well, what it finds when not, and that its hints mend it.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::pushing::Stage;
use crate::support::server::{ALWAYS, Fault, Gate};
use crate::support::{CodeRepo, Run, World, run, snapshot, with_every_git, write};

/// What one check said, and its hints.
#[derive(Debug)]
struct Said {
    state: String,
    text: String,
    hints: Vec<String>,
}

/// Runs `assets doctor --json` and finds the one check of a name.
#[track_caller]
fn said(code: &CodeRepo, env: &[(&str, &str)], exit_code: i32, name: &str) -> Said {
    let document = code.assets_with(env, ["doctor", "--json", "sdk/a"]).fails(exit_code).json();
    let results = document["results"].as_array().unwrap();
    let of_name: Vec<&Value> = results.iter().filter(|check| check["check"] == name).collect();
    let [check] = of_name[..] else { panic!("not one check `{name}` in {document:#}") };
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let hints = check["hints"].as_array().unwrap().iter().map(text).collect();
    Said { state: text(&check["state"]), text: text(&check["text"]), hints }
}

impl Said {
    /// Expects this state and these words in the text.
    #[track_caller]
    fn is(self, state: &str, words: &str) -> Said {
        assert!(self.state == state && self.text.contains(words), "{self:#?}");
        self
    }

    /// Runs the command of the first hint, in a shell as a user would.
    #[track_caller]
    fn follow(&self, code: &CodeRepo) {
        let command = self.hints[0].split('`').nth(1).expect("a hint with a command");
        let path = format!("{}:/usr/bin:/bin", Path::new(crate::support::ASSETS).parent().unwrap().display());
        let mut env = code.env().to_vec();
        env.push(("PATH".into(), path));
        let ran: Run = run(&code.path, &env, "/bin/sh", ["-c", command]);
        assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
    }
}

/// The output with what differs from run to run replaced.
fn steady(world: &World, text: &str) -> String {
    let text = text.replace(&*world.root().to_string_lossy(), "$WORLD");
    let mut lines = Vec::new();
    for line in text.lines() {
        let cut = |line: &str, from: &str, to: &str, with: &str| {
            let (start, rest) = line.split_once(from)?;
            let (_, end) = rest.split_once(to)?;
            Some(format!("{start}{with}{end}"))
        };
        let line = cut(line, "git        ", " (", "git        <version> (").unwrap_or(line.to_string());
        let line = cut(&line, "cache`, ", " free", "cache`, <size> free").unwrap_or(line);
        let line = cut(&line, "answers in ", " s", "answers in <time> s").unwrap_or(line);
        let line = cut(&line, "http://127.0.0.1:", "/", "http://<host>/").unwrap_or(line);
        let line = cut(&line, "for `127.0.0.1:", "`", "for `<host>`").unwrap_or(line);
        lines.push(cut(&line, "store      ", " of", "store      <size> of").unwrap_or(line) + "\n");
    }
    lines.concat()
}

#[test]
fn all_is_well_and_nothing_is_changed() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let before = (snapshot(world.root()), stage.refs());
        let run = stage.code.assets(["doctor", "sdk/a"]).ok();
        assert!(before == (snapshot(world.root()), stage.refs()), "something was changed");
        assert_eq!(
            steady(world, &run.stdout),
            "ok       git        <version> (`$WORLD/bin/git`)\n\
             ok       cache      `$WORLD/cache`, <size> free\n\
             ok       author     pushes are by Test <test@example.com>\n\
             ok       secrets    not looked for, as `ASSETS_SECRET_SCANNER` says\n\
             ok       folder     `$WORLD/code/.assets`\n\
             ok       paths      240 bytes below a checkout can be written\n\
             ok       ignored    git leaves it out of the code repo\n\
             ok       remote     `http://<host>/assets.git` answers in <time> s\n\
             ok       account    nobody: there is no `GIT_TOKEN`, and git has no credentials for `<host>`\n\
             ok       push       `http://<host>/assets.git` would take pushes\n\
             ok       store      <size> of `http://<host>/assets.git` in 2 packs, whole\n\
             ok       checkout   1 of 1 package restored\n\
             ok       left over  nothing of broken runs\n"
        );
        assert_eq!(run.stderr, "13 checks: all is well\n");
        let requests: Vec<String> = stage.server().requests().iter().map(|request| request.line()).collect();
        assert_eq!(
            requests,
            [
                "GET /assets.git/info/refs?service=git-upload-pack",
                "POST /assets.git/git-upload-pack",
                "GET /assets.git/info/refs?service=git-receive-pack"
            ]
        );
    });
}

#[test]
fn json_has_an_item_for_each_check() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let document = stage.code.assets(["doctor", "--json", "sdk/a"]).ok().json();
    assert_eq!((&document["schema"], &document["command"]), (&1.into(), &"doctor".into()));
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 13);
    for check in results {
        let mut keys: Vec<&str> = check.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort();
        assert_eq!(keys, ["check", "error", "hints", "state", "text"]);
    }
}

#[test]
fn offline_asks_no_remote() {
    let world = World::new();
    let stage = Stage::served(&world);
    let run = stage.code.assets(["doctor", "--offline", "sdk/a"]).ok();
    assert_eq!(stage.server().totals().connections, 0);
    assert!(!run.stdout.contains("remote"), "{}", run.stdout);
}

#[test]
fn without_a_path_every_package_is_looked_at() {
    let world = World::new();
    let stage = Stage::branch(&world);
    stage.code.branch_manifest("sdk/b", &stage.path(), &stage.base);
    let of_all = stage.code.assets(["doctor"]).ok().stdout;
    assert!(of_all.contains("checkout   1 of 2 packages restored"), "{of_all}");
    let nowhere = run(&world.root().join("home"), stage.code.env(), crate::support::ASSETS, ["doctor"]).ok();
    assert!(nowhere.stdout.contains("warning  packages   no `assets.json` here"), "{}", nowhere.stdout);
    stage.code.manifest("sdk/b", "{");
    let run = stage.code.assets(["doctor"]).fails(2).says("`sdk/b/assets.json:1:1`: this is not valid JSON");
    assert!(run.stderr.ends_with("13 checks: 1 problem\n"), "{}", run.stderr);
    assert!(run.stdout.contains("checkout   1 of 1 package restored"), "{}", run.stdout);
    // One that is there and bad is not missing.
    let run = stage.code.assets(["doctor", "sdk/b"]).fails(2);
    assert!(!run.stdout.contains("no `assets.json`"), "{}", run.stdout);
}

#[test]
fn no_git_and_an_old_git() {
    let world = World::new();
    let code = world.code_repo("code");
    code.manifest("sdk/a", "{\"AssetsRepo\": \"o/n\"}");
    let run = code.assets_with(&[("PATH", "/nowhere")], ["doctor"]).fails(1);
    assert_eq!(
        run.stdout,
        "problem  git        git is not installed, or not on `PATH`\n                    \
         cannot find binary path\n                    \
         hint: install git 2.39 or newer, then check with `git --version`\n"
    );
    assert_eq!(run.stderr, "1 check: 1 problem\n");
    let git = world.root().join("old/git");
    write(&git, "#!/bin/sh\necho git version 2.20.1\n");
    std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let old = git.parent().unwrap().to_string_lossy().into_owned();
    let problem = said(&code, &[("PATH", &format!("{old}:/usr/bin:/bin"))], 1, "git");
    problem.is("problem", "git is too old: 2.39 or newer is needed");
}

#[test]
fn folders_that_cannot_be_written() {
    let world = World::new();
    let stage = Stage::branch(&world);
    world.write("a-file", "");
    let file = world.root().join("a-file").to_string_lossy().into_owned();
    said(&stage.code, &[("ASSETS_CACHE_DIR", &file)], 1, "cache").is("problem", "cannot be written");
    said(&stage.code, &[("PROXY_ASSETS_FOLDER", &file)], 1, "folder").is("problem", "cannot be written");
    // Longer than any path of Linux.
    said(&stage.code, &[("ASSETS_MAX_PATH", "5000")], 1, "paths").is("problem", "a path of 5000 bytes");
    let elsewhere = world.root().join("elsewhere/assets").to_string_lossy().into_owned();
    said(&stage.code, &[("PROXY_ASSETS_FOLDER", &elsewhere)], 0, "folder").is("ok", "which the first restore makes");
    assert!(!world.root().join("elsewhere").exists());
}

#[test]
fn an_assets_folder_that_is_a_link() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
    std::os::unix::fs::symlink(world.root().join("home"), stage.code.path.join(".assets")).unwrap();
    let document = stage.code.assets(["doctor", "--json", "sdk/a"]).fails(1).json();
    let problems: Vec<&Value> =
        document["results"].as_array().unwrap().iter().filter(|check| check["state"] == "problem").collect();
    assert_eq!(problems.len(), 1, "{document:#}");
    assert!(problems[0]["text"].as_str().unwrap().ends_with(".assets` is a symbolic link"), "{document:#}");
}

#[test]
fn an_assets_folder_that_git_would_add_or_has_added() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        std::fs::remove_file(stage.code.path.join(".assets/.gitignore")).unwrap();
        let warning = said(&stage.code, &[], 0, "ignored").is("warning", "git would add `.assets` to the code repo");
        warning.follow(&stage.code);
        said(&stage.code, &[], 0, "ignored").is("ok", "");
        stage.code.write(".assets/notes.txt", "mine\n");
        stage.code.git(["add", "-f", ".assets/notes.txt"]).ok();
        let problem = said(&stage.code, &[], 1, "folder").is("problem", "is tracked by the code repo");
        problem.follow(&stage.code);
        said(&stage.code, &[], 0, "ignored").is("ok", "");
        assert_eq!(stage.code.read(".assets/notes.txt"), "mine\n");
    });
}

#[test]
fn nobody_is_the_author() {
    let world = World::new();
    let stage = Stage::branch(&world);
    world.write("home/.gitconfig", "");
    let warning = said(&stage.code, &[], 0, "author").is("warning", "nobody is named");
    assert!(warning.hints[0].contains("git config --global user.name"), "{warning:?}");
    let named = [("GIT_COMMIT_OWNER", "Ann"), ("GIT_COMMIT_EMAIL", "ann@example.com")];
    said(&stage.code, &named, 0, "author").is("ok", "pushes are by Ann <ann@example.com>");
}

#[test]
fn secret_scanners() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let with = |scanner| said(&stage.code, &[("ASSETS_SECRET_SCANNER", scanner)], 0, "secrets");
    with("sh").is("ok", "`sh` looks through what is pushed");
    said(&stage.code, &[("ASSETS_SECRET_SCANNER", "not-there")], 2, "secrets").is("problem", "`not-there`");
    if !Path::new("/usr/bin/gitleaks").exists() {
        with("").is("warning", "nobody looks for secrets");
    }
}

#[test]
fn remotes_that_do_not_answer() {
    let world = World::new();
    let stage = Stage::served(&world);
    let table = [
        (Fault::Status { code: 401, retry_after: None, times: ALWAYS }, 4, "cannot reach"),
        (Fault::Status { code: 404, retry_after: None, times: ALWAYS }, 1, "cannot reach"),
        (Fault::Status { code: 503, retry_after: None, times: ALWAYS }, 5, "cannot reach"),
        (Fault::CaptivePortal, 5, "`http://127.0.0.1:"),
    ];
    for (fault, exit_code, words) in table {
        stage.server().set_fault(fault.clone());
        stage.server().reset_log();
        let problem = said(&stage.code, &[], exit_code, "remote").is("problem", words);
        assert!(!problem.hints.is_empty(), "{fault:?}");
        // It is asked once, and not for more.
        assert!(stage.server().requests().iter().all(|request| !request.is_push()), "{fault:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.code.branch_manifest("sdk/a", &format!("http://{closed}/assets.git"), &stage.base);
    said(&stage.code, &[], 5, "remote").is("problem", "cannot reach");
    stage.code.branch_manifest("sdk/a", "/nowhere.git", &stage.base);
    said(&stage.code, &[], 1, "remote").is("problem", "cannot reach");
}

#[test]
fn whoever_may_read_but_not_push() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        stage.server().set_access(Gate::Open, Gate::Forbidden);
        let warning = said(&stage.code, &[], 0, "push").is("warning", "you can restore from");
        assert!(
            warning.text.contains("403") && warning.hints.iter().any(|hint| hint.contains("GIT_TOKEN")),
            "{warning:?}"
        );
        stage.server().set_access(Gate::Open, Gate::password("let me in"));
        said(&stage.code, &[], 0, "push").is("warning", "you can restore from");
        let host = stage.server().url().replace("http://", "");
        let token = [("GIT_TOKEN", "let me in"), ("ASSETS_TOKEN_HOST", host.as_str())];
        said(&stage.code, &token, 0, "push").is("ok", "would take pushes");
        said(&stage.code, &token, 0, "account").is("ok", "whoever `GIT_TOKEN` belongs to");
        // Here and in every other line: the token is for its host alone.
        let elsewhere = [("GIT_TOKEN", "let me in"), ("ASSETS_TOKEN_HOST", "example.com")];
        let warning = said(&stage.code, &elsewhere, 0, "account").is("warning", "is for another host");
        assert!(warning.hints[0].contains(&format!("ASSETS_TOKEN_HOST={host}")), "{warning:?}");
    });
}

#[test]
fn the_user_of_gits_credential_helper_is_named_and_the_password_is_not() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let host = stage.server().url();
        world.write("home/.git-credentials", host.replace("http://", "http://ann:hush-hush@") + "\n");
        world.write("home/.gitconfig", "[credential]\n\thelper = store\n[user]\n\tname = T\n\temail = t@example.com\n");
        stage.server().set_access(Gate::Open, Gate::password("hush-hush"));
        said(&stage.code, &[], 0, "account").is("ok", "`ann` at `127.0.0.1:");
        said(&stage.code, &[], 0, "push").is("ok", "would take pushes");
        let run = stage.code.assets(["doctor", "-vv", "sdk/a"]).ok();
        assert!(!format!("{run:?}").contains("hush"), "{run:#?}");
    });
}

#[test]
fn a_damaged_store_is_found_and_mended_by_the_hint() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let store = std::fs::read_dir(world.root().join("cache/stores")).unwrap().flatten().map(|entry| entry.path());
        let store = store.into_iter().find(|path| path.join("HEAD").exists()).unwrap();
        let packs = std::fs::read_dir(store.join("objects/pack")).unwrap().flatten().map(|entry| entry.path());
        let pack = packs.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "pack")).unwrap();
        let mut bytes = std::fs::read(&pack).unwrap();
        // In the middle: its ends look right.
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, bytes).unwrap();
        let problem = said(&stage.code, &[], 1, "store").is("problem", "is damaged");
        problem.follow(&stage.code);
        let gone = said(&stage.code, &[], 1, "checkout").is("problem", "is gone");
        assert!(problem.hints[1].contains(gone.hints[0].as_str()), "{problem:?} {gone:?}");
        stage.record(&[("one.json", "mine\n")]);
        // It needs a yes because of the recording, and has mended the rest before it asks.
        stage.code.assets(["reset", "sdk/a"]).fails(3);
        said(&stage.code, &[], 0, "checkout").is("ok", "1 of 1 package restored");
        said(&stage.code, &[], 0, "store").is("ok", "whole");
        assert_eq!(crate::pushing::recorded(&stage.code, "one.json"), "mine\n");
        said(&stage.code, &[], 0, "left over").is("warning", "1 thing of broken runs").follow(&stage.code);
        said(&stage.code, &[], 0, "left over").is("ok", "nothing of broken runs");
    });
}

#[test]
fn interrupted_runs_and_what_they_left() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let checkout = stage.code.only_checkout();
    let aside = checkout.with_extension("git.broken-1700000000");
    write(&aside.join("x"), "12345");
    let warning = said(&stage.code, &[], 0, "left over").is("warning", "1 thing of broken runs, 5 B");
    warning.follow(&stage.code);
    assert!(!aside.exists());
    said(&stage.code, &[], 0, "left over").is("ok", "nothing");
    std::fs::write(checkout.join(".git/HEAD"), "").unwrap();
    let problem = said(&stage.code, &[], 1, "checkout").is("problem", "`HEAD` of the checkout");
    assert!(problem.hints[0].contains("`assets restore sdk/a`"), "{problem:?}");
    problem.follow(&stage.code);
    said(&stage.code, &[], 0, "checkout").is("ok", "1 of 1 package restored");
    stage.record(&[("one.json", "mine\n")]);
    crate::push_races::push_and_die(&stage);
    let run = stage.code.assets(["doctor", "sdk/a"]).ok();
    let lines = "\
warning  checkout   a push of `sdk/a/assets.json` was interrupted
                    hint: `assets push sdk/a` finishes it
ok       checkout   1 of 1 package restored
";
    assert!(run.stdout.contains(lines), "{}", run.stdout);
    stage.push().ok();
    said(&stage.code, &[], 0, "checkout").is("ok", "1 of 1 package restored");
}
