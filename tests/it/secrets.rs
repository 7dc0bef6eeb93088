//! A push is looked at for secrets before anything is sent.
#![cfg(unix)]

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use crate::pushing::{BRANCH, Stage, recorded};
use crate::support::pty::wait_until;
use crate::support::{Run, World, finish, with_every_git, write};

/// A scanner with the arguments and the report of gitleaks: what looks like `key-` and eight capitals is a secret. It
/// writes down how it was started, in what environment, and what was there to look at.
const SCANNER: &str = r#"
echo "$@" >> "$LOG/calls"
env > "$LOG/env"
find . -type f | sort > "$LOG/files"
while [ $# -gt 1 ]; do
    case $1 in --report-path) report=$2 ;; esac
    shift
done
separator='['
grep -rnoE 'key-[A-Z]{8}' "$1" > "$LOG/found"
while IFS=: read -r file line secret; do
    printf '%s{"File": "%s", "StartLine": %s, "RuleID": "test-key", "Secret": "%s", "Match": "%s"}' \
        "$separator" "$file" "$line" "$secret" "$secret" >> "$report"
    separator=','
done < "$LOG/found"
[ -e "$report" ] && echo ']' >> "$report" || echo '[]' > "$report"
"#;

const SECRET: &str = "one\ntwo key-ABCDEFGH\n";

/// A scanner of a world: a script, and the folder it writes to.
struct Scanner {
    log: PathBuf,
    program: String,
}

impl Scanner {
    fn new(world: &World, script: &str) -> Scanner {
        let log = world.root().join("scanner-log");
        std::fs::create_dir_all(&log).unwrap();
        let program = world.root().join("my scanner");
        write(&program, format!("#!/bin/sh\nLOG='{}'\n{script}", log.display()));
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Scanner { log, program: program.to_string_lossy().into_owned() }
    }

    /// What it wrote down.
    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.log.join(name)).unwrap_or_default()
    }

    fn calls(&self) -> usize {
        self.log("calls").lines().count()
    }

    fn env(&self) -> [(&str, &str); 1] {
        [("ASSETS_SECRET_SCANNER", self.program.as_str())]
    }

    fn push(&self, stage: &Stage) -> Run {
        stage.code.assets_with(&self.env(), ["push", "sdk/a"])
    }
}

#[test]
fn a_secret_is_named_by_file_and_line_and_nothing_is_sent() {
    with_every_git(|world| {
        for tag_form in [false, true] {
            let world = World::with_git(&world.root().join("bin/git"));
            let stage = if tag_form { Stage::tagged(&world) } else { Stage::branch(&world) };
            let scanner = Scanner::new(&world, SCANNER);
            stage.record(&[("one.json", SECRET), ("deep/new.json", "\n\nkey-HGFEDCBA"), ("two.json", "")]);
            let before = stage.state();
            let run = scanner.push(&stage).fails(6);
            assert_eq!(run.stdout, "");
            assert_eq!(
                run.stderr,
                format!(
                    "error: 2 possible secrets in the recordings of `sdk/a/assets.json`: nothing was sent\n  \
                     caused by: found by `{}`:\n               \
                     recordings/sdk/a/deep/new.json:3 (test-key)\n               \
                     recordings/sdk/a/one.json:2 (test-key)\n\
                     hint: take it out below `{}`, best by recording again with a sanitizer\n\
                     hint: if it is no secret: `assets push --break-glass sdk/a` sends it unchecked\n",
                    scanner.program,
                    stage.code.only_checkout().display()
                )
            );
            assert!(before == stage.state(), "something was changed");
            assert_eq!(left_overs(&stage), [""; 0]);

            let json = stage.code.assets_with(&scanner.env(), ["push", "sdk/a", "--json"]).fails(6);
            assert_eq!(json.json()["results"][0]["error"]["kind"], "secret");
            assert!(!json.stdout.contains("key-"), "{}", json.stdout);

            // Taken out, it goes.
            stage.record(&[("one.json", "mine\n"), ("deep/new.json", "mine\n")]);
            let run = scanner.push(&stage).ok().says("pushed 3 files (1 new, 1 modified, 1 deleted)");
            assert!(!run.stderr.contains("not checked"), "{}", run.stderr);
            stage.is_settled();
        }
    });
}

/// What a push left in the assets folder.
fn left_overs(stage: &Stage) -> Vec<String> {
    let entries = std::fs::read_dir(stage.code.path.join(".assets")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".new-")).collect()
}

#[test]
fn break_glass_sends_unchecked_and_says_so() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let scanner = Scanner::new(&world, SCANNER);
    stage.record(&[("one.json", SECRET)]);
    let push =
        |args: &[&str]| stage.code.assets_with(&scanner.env(), [&["push", "sdk/a", "--break-glass"], args].concat());
    push(&[]).ok().says("\nnot checked for secrets: `--break-glass`\n");
    assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json").as_deref(), Some(SECRET));
    assert_eq!(scanner.calls(), 0);
    stage.record(&[("one.json", "again\n")]);
    assert_eq!(push(&["--json"]).ok().json()["results"][0]["secret_check"], "break-glass");
    assert!(!push(&[]).ok().stderr.contains("secrets"), "nothing was sent");
}

#[test]
fn gitleaks_on_the_path_is_used_and_its_absence_is_said() {
    let world = World::new();
    let stage = Stage::branch(&world);
    // No other program can be found; an empty value is none.
    let only_git = world.root().join("bin").to_string_lossy().into_owned();
    let push = |args: &[&str]| {
        let env = [("PATH", only_git.as_str()), ("ASSETS_SECRET_SCANNER", "")];
        stage.code.assets_with(&env, [&["push", "sdk/a"], args].concat())
    };
    stage.record(&[("one.json", "1\n")]);
    push(&[]).ok().says(
        "\nnot checked for secrets: there is no `gitleaks` on `PATH`, and `ASSETS_SECRET_SCANNER` names no other\n",
    );
    stage.record(&[("one.json", "2\n")]);
    assert_eq!(push(&["-q"]).ok().stderr, "");

    let scanner = Scanner::new(&world, &format!("PATH=/usr/bin:/bin\n{SCANNER}"));
    std::fs::rename(&scanner.program, world.root().join("bin/gitleaks")).unwrap();
    stage.record(&[("one.json", SECRET)]);
    push(&[]).fails(6).says("found by `gitleaks`").says("recordings/sdk/a/one.json:2 (test-key)");
    stage.record(&[("one.json", "3\n")]);
    assert_eq!(push(&["--json"]).ok().json()["results"][0]["secret_check"], "clean");
}

#[test]
fn only_what_is_sent_is_looked_at_and_by_nobody_elses_rules() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    // A package at the root of both repos: its slice is all of the assets repo.
    stage.repo.commit("main", &[("old.json", SECRET)]);
    stage
        .code
        .write("assets.json", format!("{{\"AssetsRepo\": \"{}\", \"AssetsRepoBranch\": \"main\"}}", stage.path()));
    stage.code.assets(["restore"]).ok();
    let scanner = Scanner::new(&world, SCANNER);
    let planted = ["one.json", ".gitleaks.toml", ".gitleaksignore", "sub/.gitleaks.toml"];
    for name in planted {
        write(&stage.code.only_checkout().join(name), "mine\n");
    }
    write(&stage.code.path.join(".gitleaks.toml"), "theirs");
    let env = [
        scanner.env()[0],
        ("GIT_TOKEN", "secret-token"),
        ("GITLEAKS_CONFIG", "my/rules.toml"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "http.extraHeader"),
        ("GIT_CONFIG_VALUE_0", "secret-header"),
    ];
    stage.code.assets_with(&env, ["push"]).ok();
    assert_eq!(scanner.log("files"), "./0/.gitleaks.toml\n./0/.gitleaksignore\n./0/one.json\n./0/sub/.gitleaks.toml\n");
    let seen = scanner.log("env");
    assert!(!seen.contains("secret-"), "{seen}");
    let rules = stage.code.path.join("my/rules.toml");
    assert!(seen.lines().any(|line| line == format!("GITLEAKS_CONFIG={}", rules.display())), "{seen}");
    let call = scanner.log("calls");
    let words: Vec<&str> = call.split_whitespace().collect();
    let report = words[words.len() - 2];
    assert!(report.ends_with("/report.json"), "{call}");
    let expected = format!(
        "dir --ignore-gitleaks-allow --no-banner --redact --exit-code 0 --report-format json --report-path {report} .\n"
    );
    assert_eq!(call, expected);
}

#[test]
fn a_gitleaks_from_before_dir() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let old =
        "case $1 in detect) ;; *) echo \"Error: unknown command \\\"$1\\\" for \\\"gitleaks\\\"\" >&2; exit 1 ;; esac";
    let scanner = Scanner::new(&world, &format!("{old}\n{SCANNER}"));
    stage.record(&[("one.json", SECRET)]);
    scanner.push(&stage).fails(6).says("recordings/sdk/a/one.json:2");
    assert!(scanner.log("calls").starts_with("detect --no-git --no-banner"), "{}", scanner.log("calls"));
    stage.record(&[("one.json", "mine\n")]);
    scanner.push(&stage).ok();
}

#[test]
fn a_scanner_that_fails_is_named_with_the_way_around() {
    let world = World::new();
    let stage = Stage::branch(&world);
    stage.record(&[("one.json", "mine\n")]);
    let before = stage.state();
    let report = "while [ \"$1\" != --report-path ]; do shift; done\n";
    for (script, cause) in [
        (
            "echo usage: no such flag >&2; exit 126".to_string(),
            "it wrote no report; it exited with status 126\n             usage: no such flag",
        ),
        ("kill -9 $$".to_string(), "it wrote no report; it was ended by a signal"),
        (
            format!("{report}echo '{{}}' > \"$2\""),
            "its report is not a list of findings as `gitleaks` writes it; it exited with status 0",
        ),
        (format!("{report}echo '[]' > \"$2\"; exit 1"), "its report may not be complete; it exited with status 1"),
        (
            format!("{report}echo '[{{\"File\": \"0/other.json\"}}]' > \"$2\""),
            "it named `0/other.json`, which is no file that it was given",
        ),
    ] {
        let scanner = Scanner::new(&world, &script);
        let program = &scanner.program;
        let expected = format!(
            "error: cannot push `sdk/a/assets.json`\n  \
             caused by: the secret scanner `{program}` failed\n  \
             caused by: {cause}\n\
             hint: see whether it works: `'{program}' version`; another can be named in `ASSETS_SECRET_SCANNER`\n\
             hint: to push without a check: `assets push --break-glass sdk/a`\n"
        );
        assert_eq!(scanner.push(&stage).fails(1).stderr, expected);
        assert!(before == stage.state(), "{script}");
    }
    for named in ["no-such-scanner", "./no-such-scanner", "gitleaks --verbose"] {
        let env = [("ASSETS_SECRET_SCANNER", named)];
        let run = stage.code.assets_with(&env, ["push", "sdk/a"]).fails(2);
        let run = run.says(&format!("the secret scanner `{named}` cannot be run"));
        run.says("`assets push --break-glass sdk/a`");
        assert!(before == stage.state(), "{named}");
    }
}

#[test]
fn several_packages_are_looked_at_together() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let names = ["a", "b", "c"];
    for name in names {
        stage.code.branch_manifest(&format!("sdk/{name}"), &stage.path(), &stage.base);
        stage.code.assets(["restore", &format!("sdk/{name}")]).ok();
    }
    let record = |name: &str, content: &str| {
        write(&stage.code.only_checkout().join(format!("recordings/sdk/{name}/new.json")), content);
    };
    let scanner = Scanner::new(&world, SCANNER);
    let push = || stage.code.assets_with(&scanner.env(), ["push", "--all"]);
    names.iter().for_each(|name| record(name, "fine\n"));
    record("b", SECRET);
    let run = push().fails(6);
    assert_eq!(scanner.calls(), 1, "{}", scanner.log("calls"));
    assert_eq!(scanner.log("files").lines().count(), 3);
    let found = run.stderr.lines().filter(|line| line.contains("test-key")).collect::<Vec<_>>();
    assert_eq!(found, ["               recordings/sdk/b/new.json:2 (test-key)"]);
    for (name, sent) in [("a", true), ("b", false), ("c", true)] {
        assert_eq!(stage.repo.rev(&format!("refs/heads/auto/{name}")).is_some(), sent, "{name}");
    }

    // What is recorded after that look is looked at again before it goes.
    names.iter().for_each(|name| record(name, "fine again\n"));
    let late = stage.code.only_checkout().join("recordings/sdk/b/new.json");
    let meddler =
        format!("{SCANNER}\n[ -e \"$LOG/late\" ] || printf 'key-LATELATE' > '{}'\ntouch \"$LOG/late\"", late.display());
    std::fs::remove_file(scanner.log.join("calls")).unwrap();
    Scanner::new(&world, &meddler);
    push().fails(6).says("recordings/sdk/b/new.json:1 (test-key)");
    assert_eq!(scanner.calls(), 2);
    assert_eq!(stage.repo.rev("refs/heads/auto/b"), None);
}

#[test]
fn a_scanner_is_interrupted_with_the_push() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let scanner = Scanner::new(&world, "echo $$ > \"$LOG/pid.new\"; mv \"$LOG/pid.new\" \"$LOG/pid\"; exec sleep 600");
    stage.record(&[("one.json", "mine\n")]);
    let before = stage.state();
    let child = stage.code.command(&scanner.env(), ["push", "sdk/a"]).spawn().unwrap();
    wait_until(|| scanner.log.join("pid").exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run: Run = finish(child);
    run.fails(130);
    let id = Pid::from_raw(scanner.log("pid").trim().parse().unwrap()).unwrap();
    wait_until(|| rustix::process::test_kill_process(id).is_err());
    assert!(before == stage.state());
    assert_eq!(left_overs(&stage), [""; 0]);
    assert_eq!(recorded(&stage.code, "one.json"), "mine\n");
}
