//! `docs/troubleshooting.md` shows what users see: each of its outputs is made here, by the fault itself.
//!
//! `UPDATE_DOCS=1 cargo test --test it troubleshooting` writes them into the page. Lines that are git's or the system's own
//! words may differ from machine to machine and are not compared.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::pushing::{BRANCH, Stage, record, remote_hook};
use crate::support::server::{ALWAYS, Fault, Gate};
use crate::support::{Run, World, write};

/// Something that goes wrong: its name in the page, the command that meets it, how to make it happen, and the exit code.
type Case = (&'static str, &'static [&'static str], fn(&World) -> Run, i32);

const RESTORE: &[&str] = &["restore", "sdk/a"];
const PUSH: &[&str] = &["push", "sdk/a"];

const CASES: &[Case] = &[
    ("interrupted", RESTORE, interrupted, 130),
    ("killed", RESTORE, killed, 0),
    ("unreachable", RESTORE, unreachable, 5),
    ("server-error", PUSH, |world| failing_push(world, status(503)), 5),
    ("captive-portal", RESTORE, |world| cold_restore(world, Fault::CaptivePortal), 5),
    ("lock", &["restore", "sdk/a", "--lock-timeout", "0"], locked, 5),
    ("offline", &["restore", "sdk/a", "--offline"], offline, 5),
    ("unauthorized", RESTORE, |world| cold_restore(world, status(401)), 4),
    ("forbidden", PUSH, forbidden, 4),
    ("protected", PUSH, protected, 4),
    ("redirect", RESTORE, redirected, 1),
    ("no-repo", RESTORE, |world| cold_restore(world, status(404)), 1),
    ("no-commit", RESTORE, no_commit, 1),
    ("no-tag", RESTORE, no_tag, 1),
    ("hook", PUSH, refused_by_a_hook, 1),
    ("keep", &["restore", "--keep", "sdk/a"], keep, 3),
    ("put-aside", RESTORE, put_aside, 0),
    ("reset", &["reset", "sdk/a"], reset, 3),
    ("conflict", PUSH, conflict, 3),
    ("takes-back", PUSH, takes_back, 3),
    ("tag-gone", PUSH, tag_gone, 3),
    ("mass-deletion", PUSH, mass_deletion, 3),
    ("secret", PUSH, secret, 6),
    ("bad-json", RESTORE, |world| manifest(world, "{\n  \"AssetsRepo\" \"o/n\"\n}\n"), 2),
    ("merge-conflict", RESTORE, |world| manifest(world, "{\n<<<<<<< HEAD\n  \"SHA\": \"1\"\n=======\n"), 2),
    ("bad-value", RESTORE, |world| manifest(world, "{\n  \"AssetsRepo\": \"o/n\",\n  \"SHA\": \"4e8e976\"\n}\n"), 2),
    ("no-manifest", &["restore"], no_manifest, 2),
    ("no-git", RESTORE, no_git, 1),
    ("old-git", RESTORE, old_git, 1),
    ("no-folder", RESTORE, no_folder, 1),
    ("tracked", RESTORE, tracked, 1),
    ("foreign-config", RESTORE, foreign_config, 1),
    ("damaged-store", RESTORE, damaged_store, 0),
    ("bad-name", RESTORE, bad_name, 1),
    ("too-large", RESTORE, too_large, 1),
];

/// Only root may mount a small file system.
const OF_ROOT: &[Case] = &[("full-disk", RESTORE, full_disk, 1)];

#[test]
fn the_page_shows_what_users_see() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let mut outputs = BTreeMap::new();
    let cases: Vec<&Case> =
        CASES.iter().chain(OF_ROOT.iter().filter(|_| rustix::process::geteuid().is_root())).collect();
    for some in cases.chunks(8) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|case| (case.0, scope.spawn(|| shown(case)))).collect();
            for (name, thread) in threads {
                outputs.insert(name, thread.join().unwrap_or_else(|_| panic!("the case `{name}` failed")));
            }
        });
    }
    let made = with_outputs(&text, &outputs);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let page = std::fs::read_to_string(&page).unwrap();
    let (page, made) = (ours(&page), ours(&made));
    let different = page.lines().zip(made.lines()).find(|(page, made)| page != made);
    let is_same = different.is_none() && page.len() == made.len();
    assert!(is_same, "`UPDATE_DOCS=1 cargo test --test it troubleshooting` mends the page: {different:#?}");
}

/// The command and what it wrote to stderr, with names that mean something to a reader.
fn shown((name, command, make, exit_code): &Case) -> String {
    let world = World::new();
    let run = make(&world);
    assert_eq!(run.code, Some(*exit_code), "{name}: {run:#?}");
    let mut text = run.stderr.replace(&*world.root().to_string_lossy(), "/home/me");
    // The name of the checkout is made of the path too.
    let root = world.root().to_string_lossy().trim_matches('/').to_string();
    text = text.replace(&root.replace("/.", ".").replace('/', "."), "home.me");
    text = without_numbers(
        &without_numbers(&text, "http://127.0.0.1:", "https://git.example.com"),
        "127.0.0.1:",
        "git.example.com",
    );
    text = without_numbers(&text, "http.127.0.0.1.", "http.git.example.com");
    text = without_numbers(&text, "stores/http-127.0.0.1-", "stores/https-git.example.com");
    text = without_numbers(&text, "(process ", "(process 4711");
    format!("$ assets {}\n{text}", command.join(" "))
}

/// Replaces a text and the number that follows it.
fn without_numbers(text: &str, before: &str, with: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str(with);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// The page with each block below `<!-- output: NAME -->` replaced by that output.
fn with_outputs(page: &str, outputs: &BTreeMap<&str, String>) -> String {
    let mut parts = page.split("<!-- output: ");
    let mut made = parts.next().unwrap_or_default().to_string();
    let mut left: Vec<&str> = outputs.keys().copied().collect();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n```console\n").expect("a block below the mark");
        let (old, after) = rest.split_once("```\n").expect("the end of the block");
        let is_of_root = OF_ROOT.iter().any(|case| case.0 == name);
        let output = outputs.get(name).map(String::as_str).or(is_of_root.then_some(old));
        let output = output.unwrap_or_else(|| panic!("no case is called `{name}`"));
        made.push_str(&format!("<!-- output: {name} -->\n```console\n{output}```\n{after}"));
        left.retain(|other| *other != name);
    }
    assert!(left.is_empty(), "the page does not show {left:?}");
    made
}

/// The page without the lines that others wrote.
fn ours(page: &str) -> String {
    let theirs = |line: &&str| {
        ["fatal:", "error:", "remote:", "warning:"].iter().any(|word| line.trim_start().starts_with(word))
    };
    page.lines().filter(|line| !(line.starts_with("    ") && theirs(line))).map(|line| format!("{line}\n")).collect()
}

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None, times: ALWAYS }
}

/// A stage with nothing restored, over HTTP.
fn cold(world: &World) -> Stage<'_> {
    let stage = Stage::unrestored(world);
    stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
    stage.code.commit("manifest");
    stage
}

fn restore(stage: &Stage) -> Run {
    stage.code.assets(RESTORE)
}

fn cold_restore(world: &World, fault: Fault) -> Run {
    let stage = cold(world);
    stage.server().set_fault(fault);
    restore(&stage)
}

fn unreachable(world: &World) -> Run {
    let stage = cold(world);
    // Nobody listens there.
    stage.code.branch_manifest("sdk/a", "http://127.0.0.1:1/assets.git", &stage.base);
    restore(&stage)
}

fn failing_push(world: &World, fault: Fault) -> Run {
    let stage = Stage::served(world);
    stage.record(&[("one.json", "mine\n")]);
    stage.server().set_fault(fault);
    stage.push()
}

fn interrupted(world: &World) -> Run {
    let stage = cold(world);
    let child = hanging(&stage, RESTORE);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    crate::support::finish(child)
}

/// A command that waits for the server.
fn hanging(stage: &Stage, args: &[&str]) -> std::process::Child {
    stage.server().set_fault(Fault::Hang);
    stage.server().reset_log();
    let child = stage.code.command(&[], args).spawn().unwrap();
    crate::support::pty::wait_until(|| !stage.server().requests().is_empty());
    child
}

fn locked(world: &World) -> Run {
    let stage = Stage::served(world);
    // The commit is here, so that nothing but the lock is waited for.
    let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
    for pin in [&newer, &stage.base] {
        stage.code.branch_manifest("sdk/a", &stage.url(), pin);
        restore(&stage).ok();
    }
    stage.record(&[("one.json", "mine\n")]);
    let mut holder = hanging(&stage, PUSH);
    stage.code.branch_manifest("sdk/a", &stage.url(), &newer);
    let run = stage.code.assets(["restore", "sdk/a", "--lock-timeout", "0"]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    run
}

fn offline(world: &World) -> Run {
    cold(world).code.assets(["restore", "sdk/a", "--offline"])
}

fn forbidden(world: &World) -> Run {
    let stage = Stage::served(world);
    stage.record(&[("one.json", "mine\n")]);
    stage.server().set_access(Gate::Open, Gate::Forbidden);
    stage.push()
}

fn redirected(world: &World) -> Run {
    let stage = cold(world);
    let host = stage.server().url().replace("http://", "");
    stage.server().set_fault(Fault::RedirectTo("http://elsewhere.example.com".into()));
    stage.code.assets_with(&[("GIT_TOKEN", "a-token"), ("ASSETS_TOKEN_HOST", &host)], RESTORE)
}

fn no_commit(world: &World) -> Run {
    let stage = cold(world);
    stage.code.branch_manifest("sdk/a", &stage.path(), "4e8e976b7839c1e9c6903f48106e48be76868a5d");
    restore(&stage)
}

fn no_tag(world: &World) -> Run {
    let stage = cold(world);
    stage.code.tag_manifest("sdk/a", &stage.path(), "py/sdk/a_1a2b3c4d5e");
    restore(&stage)
}

fn refused_by_a_hook(world: &World) -> Run {
    let stage = Stage::branch(world);
    remote_hook(&stage.repo, "pre-receive", "echo 'no recordings on Friday' >&2; exit 1");
    stage.record(&[("one.json", "mine\n")]);
    stage.push()
}

/// A pending change, and a pin that has moved.
fn in_the_way(world: &World) -> Stage<'_> {
    let stage = Stage::branch(world);
    stage.record(&[("one.json", "mine\n")]);
    let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
    stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
    stage
}

fn keep(world: &World) -> Run {
    in_the_way(world).code.assets(["restore", "--keep", "sdk/a"])
}

fn put_aside(world: &World) -> Run {
    restore(&in_the_way(world))
}

fn reset(world: &World) -> Run {
    let stage = Stage::branch(world);
    stage.record(&[("one.json", "mine\n")]);
    stage.code.assets(["reset", "sdk/a"])
}

fn conflict(world: &World) -> Run {
    let stage = Stage::branch(world);
    let other = stage.clone_of_code("other");
    record(&other, &[("one.json", "theirs\n")]);
    other.assets(PUSH).ok();
    stage.record(&[("one.json", "mine\n")]);
    stage.push()
}

fn takes_back(world: &World) -> Run {
    let stage = Stage::unrestored(world);
    let pin =
        stage.repo.commit("auto/a", &[("recordings/sdk/a/one.json", "2\n"), ("recordings/sdk/a/four.json", "4\n")]);
    stage.code.branch_manifest("sdk/a", &stage.path(), &pin);
    restore(&stage).ok();
    stage.repo.git(["update-ref", BRANCH, &stage.base]).ok();
    stage.repo.commit("auto/a", &[("recordings/sdk/a/two.json", "theirs\n")]);
    stage.record(&[("five.json", "mine\n")]);
    stage.push()
}

fn tag_gone(world: &World) -> Run {
    let stage = Stage::unrestored(world);
    let pin = stage.repo.commit("side", &[("recordings/sdk/a/two.json", "2\n")]);
    stage.repo.tag("py/sdk/a_1", &pin);
    stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_1");
    restore(&stage).ok();
    for refs in ["refs/heads/side", "refs/tags/py/sdk/a_1"] {
        stage.repo.git(["update-ref", "-d", refs]).ok();
    }
    stage.record(&[("one.json", "mine\n")]);
    stage.push()
}

fn protected(world: &World) -> Run {
    let stage = Stage::branch(world);
    remote_hook(
        &stage.repo,
        "pre-receive",
        "echo 'GH006: Protected branch update failed for refs/heads/auto/a.' >&2; exit 1",
    );
    stage.record(&[("one.json", "mine\n")]);
    stage.push()
}

fn mass_deletion(world: &World) -> Run {
    let stage = Stage::unrestored(world);
    let files: Vec<(String, String)> =
        (10..50).map(|n| (format!("recordings/sdk/a/{n}.json"), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let sha = stage.repo.commit("main", &files);
    stage.code.branch_manifest("sdk/a", &stage.path(), &sha);
    restore(&stage).ok();
    for n in 15..50 {
        stage.record(&[(&format!("{n}.json"), "")]);
    }
    stage.push()
}

fn secret(world: &World) -> Run {
    let stage = Stage::branch(world);
    stage.record(&[("one.json", "one\npassword\n")]);
    let script = r#"#!/bin/sh
while [ $# -gt 1 ]; do case $1 in --report-path) report=$2 ;; esac; shift; done
file=$(grep -rl password .)
echo "[{\"File\": \"${file#./}\", \"StartLine\": 2, \"RuleID\": \"password\"}]" > "$report"
"#;
    let program = world.root().join("bin/gitleaks");
    write(&program, script);
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    stage.code.assets_with(&[("ASSETS_SECRET_SCANNER", "gitleaks")], PUSH)
}

fn manifest(world: &World, text: &str) -> Run {
    let code = world.code_repo("code");
    code.manifest("sdk/a", text);
    code.assets(RESTORE)
}

fn no_manifest(world: &World) -> Run {
    world.code_repo("code").assets(["restore"])
}

fn no_git(world: &World) -> Run {
    cold(world).code.assets_with(&[("PATH", "/nowhere")], RESTORE)
}

fn old_git(world: &World) -> Run {
    let stage = cold(world);
    let git = world.root().join("bin/git");
    std::fs::remove_file(&git).unwrap();
    write(&git, "#!/bin/sh\necho git version 2.20.1\n");
    std::fs::set_permissions(&git, PermissionsExt::from_mode(0o755)).unwrap();
    restore(&stage)
}

fn no_folder(world: &World) -> Run {
    let stage = cold(world);
    stage.code.write(".assets", "a file\n");
    restore(&stage)
}

fn tracked(world: &World) -> Run {
    let stage = Stage::branch(world);
    stage.code.write(".assets/notes.txt", "notes\n");
    stage.code.git(["add", "-f", ".assets/notes.txt"]).ok();
    restore(&stage)
}

fn foreign_config(world: &World) -> Run {
    let stage = in_the_way(world);
    let checkout = stage.code.only_checkout();
    stage.code.git_in(&checkout, ["config", "core.sshCommand", "sh -c anything"]).ok();
    restore(&stage)
}

fn damaged_store(world: &World) -> Run {
    let stage = in_the_way(world);
    stage.record(&[("one.json", "one\n")]);
    let stores = std::fs::read_dir(world.root().join("cache/stores")).unwrap().flatten().map(|entry| entry.path());
    for store in stores.filter(|store| store.is_dir()) {
        for pack in std::fs::read_dir(store.join("objects/pack")).unwrap().flatten().map(|entry| entry.path()) {
            if pack.extension().is_some_and(|kind| kind == "pack") {
                std::fs::remove_file(&pack).unwrap();
                std::fs::write(&pack, "PACK").unwrap();
            }
        }
    }
    restore(&stage)
}

fn full_disk(world: &World) -> Run {
    let stage = cold(world);
    let cache = world.root().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    // Room for the store, but not for what comes into it.
    assert!(mount(&cache));
    let run = restore(&stage);
    assert!(umount(&cache));
    run
}

fn mount(at: &Path) -> bool {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=40k", "tmpfs"]).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}

fn umount(at: &Path) -> bool {
    Command::new("umount").arg(at).output().is_ok_and(|output| output.status.success())
}

/// What comes after a kill in the middle of the work.
fn killed(world: &World) -> Run {
    let stage = cold(world);
    let mut child = hanging(&stage, RESTORE);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.server().set_fault(Fault::None);
    restore(&stage)
}

fn bad_name(world: &World) -> Run {
    let stage = cold(world);
    let sha =
        stage.repo.commit("main", &[("recordings/sdk/a/Test.json", "1\n"), ("recordings/sdk/a/test.json", "2\n")]);
    stage.code.branch_manifest("sdk/a", &stage.path(), &sha);
    restore(&stage)
}

fn too_large(world: &World) -> Run {
    let stage = cold(world);
    stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
    stage.code.assets_with(&[("ASSETS_MAX_FILE_BYTES", "5")], RESTORE)
}
