//! What a stranger can leave in the assets folder of a code repo: configuration, hooks, attributes, alternates, links.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Trap, script};
use crate::support::{World, write};

/// Keys that run a program, load more configuration, or send git elsewhere. `BAIT` is a program, `FILE` a file of
/// configuration with baits, `HOOKS` a directory of hooks, `DIR` a directory of the user's.
#[rustfmt::skip]
const KEYS: &[(&str, &str)] = &[
    ("core.fsmonitor", "BAIT"), ("core.sshCommand", "BAIT"), ("core.hooksPath", "HOOKS"), ("core.askPass", "BAIT"),
    ("core.editor", "BAIT"), ("core.pager", "BAIT"), ("core.gitProxy", "BAIT"), ("core.worktree", "DIR"),
    ("core.attributesFile", "FILE"), ("core.excludesFile", "FILE"), ("core.alternateRefsCommand", "BAIT"),
    ("core.gvfs", "true"), ("core.virtualFilesystem", "BAIT"), ("core.protectNTFS", "false"),
    ("sequence.editor", "BAIT"), ("gpg.program", "BAIT"), ("gpg.ssh.program", "BAIT"), ("commit.gpgSign", "true"),
    ("credential.helper", "!BAIT"), ("credential.https://github.com.helper", "!BAIT"), ("diff.external", "BAIT"),
    ("diff.x.textconv", "BAIT"), ("diff.x.command", "BAIT"), ("merge.x.driver", "BAIT"), ("filter.x.clean", "BAIT"),
    ("filter.x.smudge", "BAIT"), ("filter.x.process", "BAIT"), ("filter.x.required", "true"), ("include.path", "FILE"),
    ("includeIf.gitdir:/.path", "FILE"), ("includeIf.onbranch:**.path", "FILE"), ("remote.origin.uploadpack", "BAIT"),
    ("remote.origin.receivepack", "BAIT"), ("remote.origin.vcs", "BAIT"), ("remote.origin.proxy", "ext::BAIT"),
    ("remote.origin.pushurl", "ext::BAIT"), ("remote.origin.url", "ext::BAIT"), ("remote.assets.url", "ext::BAIT"),
    ("remote.assets.uploadpack", "BAIT"), ("remote.assets.receivepack", "BAIT"), ("url.ext::BAIT.insteadOf", "/"),
    ("url.ext::BAIT.pushInsteadOf", "/"), ("protocol.allow", "always"), ("protocol.ext.allow", "always"),
    ("http.proxy", "http://127.0.0.1:1"), ("http.sslVerify", "false"), ("http.extraHeader", "X: y"),
    ("http.cookieFile", "FILE"), ("uploadpack.packObjectsHook", "BAIT"), ("trace2.eventTarget", "DIR/trace"),
    ("alias.status", "!BAIT"), ("alias.fetch", "!BAIT"), ("interactive.diffFilter", "BAIT"), ("pager.status", "BAIT"),
    ("submodule.x.update", "!BAIT"), ("submodule.recurse", "true"), ("gc.auto", "1\"\n[core]\n\tfsmonitor = \"BAIT"),
    ("extensions.refStorage", "files"), ("extensions.refStorage", "reftable"), ("fetch.bundleURI", "file://DIR"),
    ("trailer.x.command", "BAIT"), ("maintenance.strategy", "incremental"), ("bundle.heuristic", "x"),
];

const COMMANDS: &[&[&str]] = &[
    &["restore"],
    &["restore", "--discard"],
    &["reset", "-y"],
    &["push"],
    &["status"],
    &["stash", "list"],
    &["stash", "pop"],
];

/// Where git keeps programs that it runs by themselves.
const HOOKS: &[&str] = &[
    "pre-commit",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-auto-gc",
    "pre-push",
    "prepare-commit-msg",
    "proc-receive",
    "reference-transaction",
    "fsmonitor-watchman",
    "push-to-checkout",
];

/// Another pin, so that there is something to do, and a pending change.
fn moved(trap: &Trap) -> String {
    let before = trap.repo.file("main", "recordings/sdk/a/a.json").unwrap();
    let pin = trap.repo.commit("main", &[("recordings/sdk/a/a.json", &format!("{before}two\n"))]);
    trap.manifest(&[("SHA", &pin)]);
    write(&recording(trap), "mine\n");
    pin
}

fn recording(trap: &Trap) -> PathBuf {
    checkout(trap).join("recordings/sdk/a/a.json")
}

fn checkout(trap: &Trap) -> PathBuf {
    let name = trap.repo.path.to_string_lossy().trim_start_matches('/').replace('/', ".").replace("..", ".");
    trap.folder().join(name)
}

fn every_command(trap: &Trap, mut check: impl FnMut(&[&str], crate::support::Run)) {
    for command in COMMANDS {
        let args = [*command, &["sdk/a"]].concat();
        let run = trap.run_inside(&[], &args);
        check(command, run);
    }
}

#[test]
fn configuration() {
    let world = World::new();
    let trap = Trap::restored(&world);
    moved(&trap);
    let root = world.root().to_string_lossy().into_owned();
    let bait = trap.bait().to_string_lossy().into_owned();
    HOOKS.iter().for_each(|hook| {
        std::fs::create_dir_all(format!("{root}/hooks"))
            .map(|()| script(Path::new(&format!("{root}/hooks/{hook}")), &bait))
            .unwrap()
    });
    world.write("config", format!("[core]\n\tfsmonitor = {bait}\n\thooksPath = {root}/hooks\n"));
    let git = checkout(&trap).join(".git");
    let ours = std::fs::read_to_string(git.join("config")).unwrap();
    for (number, (key, value)) in KEYS.iter().enumerate() {
        let fill = |text: &str| {
            text.replace("BAIT", &bait)
                .replace("FILE", &format!("{root}/config"))
                .replace("HOOKS", &format!("{root}/hooks"))
                .replace("DIR", &format!("{root}/home"))
        };
        let (section, name) = key.rsplit_once('.').unwrap();
        let (section, subsection) = section.split_once('.').unwrap_or((section, ""));
        let heading = if subsection.is_empty() {
            format!("[{section}]")
        } else {
            format!("[{section} \"{}\"]", fill(subsection))
        };
        let text = format!("{heading}\n\t{name} = \"{}\"\n", fill(value));
        // In the file that git always reads, or in the one that it reads when it is told to.
        if number % 3 == 2 {
            write(&git.join("config"), format!("{ours}[extensions]\n\tworktreeConfig = true\n"));
            write(&git.join("config.worktree"), text);
        } else {
            write(&git.join("config"), format!("{ours}{text}"));
        }
        // Two of the commands each: they all ask the same question first.
        for command in COMMANDS.iter().cycle().skip(number).take(2) {
            let run = trap.run_inside(&[], &[command, &["sdk/a"][..]].concat());
            let said = run.stdout + &run.stderr;
            assert!(said.contains("is not a checkout made by `assets`"), "{key} {command:?} {:?}\n{said}", run.code);
        }
        let _ = std::fs::remove_file(git.join("config.worktree"));
    }
    write(&git.join("config"), ours);
    trap.run_inside(&[], &["restore", "sdk/a"]).ok();
    assert_eq!(std::fs::read_to_string(recording(&trap)).unwrap(), "one\ntwo\n");
    trap.token_is_in_no_file();
}

#[test]
fn hooks_and_attributes() {
    let world = World::new();
    let trap = Trap::restored(&world);
    let git = checkout(&trap).join(".git");
    let bait = trap.bait().to_string_lossy().into_owned();
    let users = world.root().join("home/.gitconfig");
    let text = std::fs::read_to_string(&users).unwrap();
    // The user's own filters are for his own files.
    let filters = format!(
        "[filter \"x\"]\n\tclean = {bait}\n\tsmudge = {bait}\n\trequired = true\n[diff \"x\"]\n\ttextconv = {bait}\n"
    );
    write(&users, text + &filters);
    for hook in HOOKS {
        script(&git.join("hooks").join(hook), &bait);
    }
    for name in
        ["info/attributes", "../.gitattributes", "../recordings/.gitattributes", "../recordings/sdk/a/.gitattributes"]
    {
        write(&git.join(name), "* filter=x diff=x merge=x text eol=crlf working-tree-encoding=UTF-16\n");
        moved(&trap);
        every_command(&trap, |_, _| {});
        if name.starts_with("..") {
            let _ = std::fs::remove_file(git.join(name));
        }
    }
    // A push sends with hooks in place on this side.
    write(&recording(&trap), "mine\n");
    trap.run(&[], &["push", "sdk/a"]);
    trap.token_is_in_no_file();
}

#[test]
fn objects_of_others() {
    let world = World::new();
    let trap = Trap::restored(&world);
    let git = checkout(&trap).join(".git");
    let foreign = trap.code.path.join(".git/objects");
    let code = trap.code.git(["rev-parse", "HEAD"]).ok().stdout;
    let plant: &[(&str, String)] = &[
        ("objects/info/alternates", format!("{}\n", foreign.display())),
        ("objects/info/http-alternates", "http://127.0.0.1:1/\n".into()),
        ("shallow", code.clone()),
        ("info/grafts", format!("{} {code}", trap.pin)),
        (&format!("refs/replace/{}", trap.pin), code.clone()),
        ("packed-refs", format!("# pack-refs with: peeled fully-peeled sorted\n{} refs/replace/{}\n", code.trim(), trap.pin)),
        ("info/exclude", "*\n".into()),
        ("description", "x".into()),
        ("MERGE_HEAD", code.clone()),
        ("rebase-merge/git-rebase-todo", format!("exec {}\n", trap.bait().display())),
        ("assets-journal", r#"{"operation":"restore","from":"--output=/x","to":"HEAD","slices":[["../..","x"]],"put_back":["../../../canary"],"stash":null,"kept":[],"tag":null}"#.into()),
    ];
    for (name, content) in plant {
        let file = git.join(name);
        let before = std::fs::read(&file).ok();
        write(&file, content);
        let pin = moved(&trap);
        trap.run_inside(&[], &["status", "sdk/a"]);
        let run = trap.run_inside(&[], &["restore", "sdk/a"]);
        if run.code == Some(0) {
            assert_eq!(
                std::fs::read_to_string(recording(&trap)).unwrap(),
                trap.repo.file(&pin, "recordings/sdk/a/a.json").unwrap(),
                "{name}"
            );
        }
        match before {
            Some(content) => write(&file, content),
            None => drop(std::fs::remove_file(&file)),
        }
        trap.run_inside(&[], &["restore", "sdk/a"]).ok();
    }
}

/// Every file and folder of the assets folder that is written to, made a link to one of the user's.
#[test]
fn links() {
    let world = World::new();
    let trap = Trap::restored(&world);
    trap.code.tag_manifest("sdk/t", &trap.repo.path.to_string_lossy(), "py/t_1");
    trap.repo.tag("py/t_1", "main");
    trap.code.assets(["restore", "sdk/t"]).ok();
    let pins = ["two\n", "three\n"].map(|text| trap.repo.commit("main", &[("recordings/sdk/a/a.json", text)]));
    let name = checkout(&trap).file_name().unwrap().to_string_lossy().into_owned();
    let mut paths: Vec<String> = [".gitignore", ".locks", "breadcrumb", "", "no-repository"].map(String::from).to_vec();
    paths.extend(
        std::fs::read_dir(trap.folder().join("breadcrumb"))
            .unwrap()
            .flatten()
            .map(|entry| format!("breadcrumb/{}", entry.file_name().to_string_lossy())),
    );
    paths.push(format!(".locks/{name}"));
    let git = format!("{name}/.git");
    paths.extend([
        name.clone(),
        git.clone(),
        format!("{name}/recordings"),
        format!("{name}/recordings/sdk"),
        format!("{name}/recordings/sdk/a"),
        format!("{name}/recordings/sdk/a/a.json"),
        format!("{name}/readme"),
    ]);
    let inside = [
        "HEAD",
        "config",
        "index",
        "info",
        "info/attributes",
        "info/sparse-checkout",
        "objects",
        "objects/info",
        "objects/info/alternates",
        "objects/pack",
        "refs",
        "refs/assets",
        "refs/assets/shown",
        "refs/assets/slices",
        "refs/tags",
        "shallow",
        "assets-journal",
        "assets-index",
        "assets-index-merge",
        "assets-push",
        "index.lock",
        "hooks",
        "logs",
        "packed-refs",
        "COMMIT_EDITMSG",
    ];
    paths.extend(inside.map(|path| format!("{git}/{path}")));
    for (number, path) in paths.into_iter().enumerate() {
        let link = trap.folder().join(&path);
        let link = if path.is_empty() { trap.folder() } else { link };
        let victim = world.root().join("victim");
        let kept = world.root().join("kept");
        let existed = link.symlink_metadata().is_ok();
        // What was there is copied into the place that the link leads to: a write through it would be seen.
        if existed {
            crate::support::run(
                world.root(),
                trap.code.env(),
                "cp",
                ["-a", &link.to_string_lossy(), &victim.to_string_lossy()],
            )
            .ok();
            std::fs::rename(&link, &kept).unwrap();
        } else {
            write(&victim, "precious\n");
        }
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&victim, &link).unwrap();
        // There is always something to do.
        trap.manifest(&[("SHA", &pins[number % 2])]);
        let more: &[&str] =
            [&["status", "sdk/a"][..], &["reset", "-y", "sdk/a"], &["stash", "pop", "sdk/a"]][number / 2 % 3];
        let tag: &[&str] = if path.starts_with(&name) { more } else { &["restore", "sdk/t"] };
        for args in [&["restore", "sdk/a"][..], tag, more] {
            let before = trap.outside();
            let run = trap.run(&[], args);
            assert!(before == trap.outside(), "{args:?} wrote through {path}\n{}", run.stderr);
        }
        // Whatever became of the link, the folder is as it was.
        if link.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            std::fs::remove_file(&link).unwrap();
            if existed {
                std::fs::rename(&kept, &link).unwrap();
            }
        }
        for left in [&victim, &kept] {
            let _ = std::fs::remove_file(left).or_else(|_| std::fs::remove_dir_all(left));
        }
        if trap.code.assets(["restore", "sdk/a", "sdk/t"]).code != Some(0) {
            std::fs::remove_dir_all(trap.folder()).unwrap();
            trap.code.assets(["restore", "sdk/a", "sdk/t"]).ok();
        }
    }
}
