//! `assets status`: every state a package can be in, told without a request, a lock or a change.

use std::path::{Path, PathBuf};

use crate::support::server::{Fault, GitServer, Options};
use crate::support::{ASSETS, AssetsRepo, CodeRepo, Run, World, run, snapshot, with_every_git, write};

/// A code repo with packages in every quiet and loud state, and the assets repo's three commits.
struct Scene {
    code: CodeRepo,
    repo: AssetsRepo,
    /// The only checkout in the branch form.
    checkout: PathBuf,
    old: String,
    new: String,
}

const PACKAGES: [&str; 5] = ["absent", "clean", "edited", "moved", "tip"];

fn scene(world: &World) -> Scene {
    let repo = world.assets_repo("assets");
    let names: Vec<String> = PACKAGES.iter().flat_map(|name| ["a", "b"].map(|file| recording(name, file))).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "one\n")).collect();
    let old = repo.commit("main", &files);
    repo.tag("py/tagged_1", &old);
    let new = repo.commit("main", &[(&recording("moved", "a"), "two\n"), (&recording("tip", "a"), "two\n")]);
    let code = world.code_repo("code");
    let path = repo.path.to_string_lossy().into_owned();
    for name in PACKAGES {
        code.branch_manifest(&folder(name), &path, if name == "tip" { "" } else { &old });
    }
    code.tag_manifest("sdk/tagged", &path, "py/tagged_1");
    code.assets(["restore", "sdk/clean", "sdk/edited", "sdk/moved", "sdk/tip", "sdk/tagged"]).ok();
    code.branch_manifest("sdk/moved", &path, &new);
    let names = code.checkouts().into_iter().find(|name| name.ends_with("assets.git")).expect("a branch form checkout");
    let checkout = code.checkout(&names);
    let slice = checkout.join("recordings/sdk/edited");
    write(&slice.join("a.json"), "edited\n");
    std::fs::remove_file(slice.join("b.json")).unwrap();
    write(&slice.join("deep/new.json"), "new\n");
    write(&slice.join("new\n.json"), "new\n");
    Scene { code, repo, checkout, old, new }
}

fn folder(name: &str) -> String {
    format!("sdk/{name}")
}

fn recording(name: &str, file: &str) -> String {
    format!("recordings/sdk/{name}/{file}.json")
}

impl Scene {
    /// Runs it, and expects that nothing anywhere has been written by it.
    #[track_caller]
    fn status<const N: usize>(&self, args: [&str; N]) -> Run {
        let world = self.code.path.parent().unwrap();
        let before = snapshot(world);
        let run = self.code.assets(["status"].into_iter().chain(args));
        assert!(snapshot(world) == before, "status wrote something");
        run
    }

    /// Its lines with the names of commits in place of their ids.
    fn named(&self, text: &str) -> Vec<String> {
        let ids = [(&self.old, "<old>"), (&self.new, "<new>")];
        let long = ids.iter().fold(text.to_string(), |text, (id, name)| text.replace(*id, name));
        let short = ids.iter().fold(long, |text, (id, name)| text.replace(&id[..10], &format!("{name}.....")));
        short.lines().map(String::from).collect()
    }

    /// The state of one package as JSON.
    #[track_caller]
    fn of(&self, name: &str) -> serde_json::Value {
        self.status(["--json", &folder(name)]).ok().json()["results"][0].clone()
    }

    fn head(&self) -> String {
        self.code.git_in(&self.checkout, ["rev-parse", "HEAD"]).ok().stdout.trim().to_string()
    }
}

#[test]
fn a_table_with_the_loudest_last() {
    with_every_git(|world| {
        let s = scene(world);
        // Nothing is asked of it.
        std::fs::rename(&s.repo.path, s.repo.path.with_extension("away")).unwrap();
        let all = s.status(["--all"]).ok();
        let expected = [
            "PACKAGE     STATE         COMMIT      PENDING",
            "sdk/absent  not restored",
            "sdk/clean   at pin        <old>.....",
            "sdk/tagged  at pin        <old>.....",
            "sdk/tip     no pin        <new>.....",
            "sdk/edited  at pin        <old>.....  2A 1M 1D",
            "sdk/moved   other pin     <old>.....",
        ];
        assert_eq!(s.named(&all.stdout), expected);
        assert_eq!(
            all.stderr,
            "6 packages: 1 not restored, 3 at pin, 1 no pin, 1 other pin; 4 pending changes\n\
             hint: `assets status -v` also names the files and says what to do\n"
        );
        assert_eq!(s.status(["--all", "-q"]).ok().stderr, "");
        for quiet in ["clean", "tip", "tagged"] {
            s.status(["--exit-code", &folder(quiet)]).ok();
        }
        for loud in ["absent", "edited", "moved"] {
            let run = s.status(["--exit-code", &folder(loud), "sdk/clean"]).fails(1);
            assert_eq!(run.stdout.lines().count(), 3);
            let document = s.status(["--exit-code", "--json", &folder(loud)]).fails(1).json();
            assert_eq!((&document["exit_code"], &document["error"]), (&1.into(), &serde_json::Value::Null));
        }
    });
}

#[test]
fn a_single_package_in_detail() {
    let world = World::new();
    let s = scene(&world);
    let of = |name: &str| {
        let run = s.status([&folder(name)]).ok();
        s.named(&run.stdout).into_iter().skip(1).chain(run.stderr.lines().map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(
        of("edited"),
        [
            "sdk/edited  at pin  <old>.....  2A 1M 1D",
            "  M recordings/sdk/edited/a.json",
            "  D recordings/sdk/edited/b.json",
            "  A recordings/sdk/edited/deep/new.json",
            "  A recordings/sdk/edited/new .json",
            "1 package: 1 at pin; 4 pending changes",
        ]
    );
    assert_eq!(
        of("moved"),
        [
            "sdk/moved  other pin  <old>.....",
            "  shows commit `<old>`",
            "  `assets restore sdk/moved` shows commit `<new>`, which is pinned",
            "1 package: 1 other pin; nothing pending",
        ]
    );
    assert_eq!(
        of("tip"),
        [
            "sdk/tip  no pin  <new>.....",
            "  no pin in the manifest yet, a push writes it: shows the tip of `auto/tip` as restored",
            "1 package: 1 no pin; nothing pending",
        ]
    );
    assert_eq!(
        of("absent"),
        [
            "sdk/absent  not restored",
            "  `assets restore sdk/absent` brings it to disk",
            "1 package: 1 not restored; nothing pending",
        ]
    );
    s.code.assets(["reset", "-y", "sdk/edited"]).ok();
    assert_eq!(
        of("edited"),
        [
            "sdk/edited  at pin  <old>.....           1",
            "  1 stash entry: `assets stash list sdk/edited`",
            "1 package: 1 at pin; nothing pending",
        ]
        .map(|line| line.replace(".....           1", ".....  1"))
    );
    // Somebody recorded without a restore.
    write(&s.checkout.join(recording("absent", "new")), "new");
    assert_eq!(of("absent")[..1], ["sdk/absent  not restored  1A"]);
    s.status(["--exit-code", "sdk/absent"]).fails(1);
    // The files of each, with -v.
    let verbose = s.status(["-v", "sdk/absent", "sdk/moved"]).ok().stdout;
    assert!(verbose.contains("\n  A recordings/sdk/absent/new.json\n"), "{verbose}");
    assert!(verbose.contains("\n  `assets restore sdk/moved` shows commit"), "{verbose}");
}

#[test]
fn a_document_with_all_of_it_in_the_order_of_the_manifests() {
    let world = World::new();
    let s = scene(&world);
    let results = s.status(["--json", "--all"]).ok().json()["results"].clone();
    let manifests: Vec<&str> =
        results.as_array().unwrap().iter().map(|item| item["manifest"].as_str().unwrap()).collect();
    let expected =
        ["absent", "clean", "edited", "moved", "tagged", "tip"].map(|name| format!("sdk/{name}/assets.json"));
    assert_eq!(manifests, expected);
    assert_eq!(
        results[2],
        serde_json::json!({
            "manifest": "sdk/edited/assets.json",
            "form": "branch",
            "state": "at-pin",
            "clean": false,
            "root": s.checkout.join("recordings").to_string_lossy(),
            "slice": "recordings/sdk/edited",
            "pin": s.old,
            "commit": s.old,
            "tag": null,
            "head": null,
            "pending": [
                {"path": "recordings/sdk/edited/a.json", "kind": "modified"},
                {"path": "recordings/sdk/edited/b.json", "kind": "deleted"},
                {"path": "recordings/sdk/edited/deep/new.json", "kind": "new"},
                {"path": "recordings/sdk/edited/new\n.json", "kind": "new"},
            ],
            "stashed": 0,
            "unpushed": null,
            "interrupted": null,
            "in_use_by": null,
            "error": null,
        })
    );
    assert_eq!((&results[3]["pin"], &results[3]["commit"]), (&s.new.clone().into(), &s.old.clone().into()));
    assert_eq!((&results[4]["pin"], &results[4]["tag"]), (&"py/tagged_1".into(), &"py/tagged_1".into()));
    assert_eq!((&results[5]["pin"], &results[5]["state"]), (&serde_json::Value::Null, &"no-pin".into()));
}

#[test]
fn a_tag_that_has_moved_and_a_bad_manifest() {
    let world = World::new();
    let s = scene(&world);
    s.code.tag_manifest("sdk/tagged", &s.repo.path.to_string_lossy(), "py/tagged_2");
    s.code.manifest("sdk/bad", "{");
    let run = s.status(["sdk/tagged"]).ok();
    assert_eq!(
        s.named(&run.stdout)[1..],
        [
            "sdk/tagged  other pin  <old>.....",
            "  shows tag `py/tagged_1`",
            "  `assets restore sdk/tagged` shows tag `py/tagged_2`, which is pinned",
        ]
    );
    let run = s.status(["sdk/bad", "sdk/clean"]).fails(2).says("`sdk/bad/assets.json:1:1`");
    assert_eq!(s.named(&run.stdout)[1..], ["sdk/clean  at pin  <old>....."]);
}

#[test]
fn slices_inside_slices_keep_their_changes_apart() {
    with_every_git(|world| {
        let s = scene(world);
        s.code.branch_manifest("sdk", &s.repo.path.to_string_lossy(), &s.old);
        s.code.assets(["restore", "sdk"]).ok();
        write(&s.checkout.join("recordings/sdk/outer.json"), "new");
        let run = s.status(["sdk", "sdk/edited", "sdk/clean"]).ok();
        assert_eq!(
            s.named(&run.stdout)[1..],
            [
                "sdk/clean   at pin  <old>.....",
                "sdk         at pin  <old>.....  1A",
                "sdk/edited  at pin  <old>.....  2A 1M 1D"
            ]
        );
    });
}

#[test]
fn head_moved_by_hand() {
    with_every_git(|world| {
        let s = scene(world);
        s.code.git_in(&s.checkout, ["commit", "-q", "-a", "-m", "by hand"]).ok();
        let moved = s.of("clean");
        assert_eq!(
            (&moved["state"], &moved["head"], &moved["clean"]),
            (&"head-moved".into(), &s.head().into(), &false.into())
        );
        let run = s.status(["sdk/clean"]).ok();
        let line = format!("  somebody moved `HEAD` of the checkout to `{}`", s.head());
        assert_eq!(run.stdout.lines().nth(2), Some(line.as_str()));
        s.code.assets(["restore", "sdk/clean"]).ok();
        assert_eq!(s.of("clean")["state"], "at-pin");
        assert_eq!(s.of("edited")["pending"].as_array().unwrap().len(), 4);
    });
}

#[test]
fn an_interrupted_restore() {
    with_every_git(|world| {
        let s = scene(world);
        // As a restore leaves it that was killed before it wrote the first file.
        let slices = [("clean", &s.old), ("edited", &s.old), ("moved", &s.new), ("tip", &s.new)];
        let slices = slices.map(|(name, pin)| format!("\"recordings/sdk/{name}\": \"{pin}\"")).join(",");
        let note = format!(
            r#"{{"operation":"restore","from":"{0}","to":"{0}","slices":{{{slices}}},"put_back":[],"stash":null,"kept":[],"tag":null}}"#,
            s.head()
        );
        write(&s.checkout.join(".git/assets-journal"), note);
        assert_eq!(s.of("moved")["interrupted"], "restore");
        assert_eq!(s.of("clean")["interrupted"], serde_json::Value::Null);
        let run = s.status(["sdk/moved"]).ok();
        assert_eq!(s.named(&run.stdout)[1], "sdk/moved  interrupted  <old>.....");
        assert!(run.stdout.contains("\n  a restore was interrupted: `assets restore sdk/moved` completes it\n"));
        s.code.assets(["restore", "sdk/moved"]).ok();
        s.status(["--exit-code", "sdk/moved"]).ok();
        // Never written to the disk, so nothing has begun.
        write(&s.checkout.join(".git/assets-journal"), "");
        s.status(["--exit-code", "sdk/moved"]).ok();
        // What has begun cannot be told.
        write(&s.checkout.join(".git/assets-journal"), "{");
        s.status(["--exit-code", "sdk/moved"]).fails(1);
        assert_eq!(s.of("moved")["state"], "broken");
    });
}

#[cfg(unix)]
#[test]
fn an_interrupted_push() {
    with_every_git(|world| {
        let stage = crate::pushing::Stage::branch(world);
        stage.record(&[("one.json", "mine\n")]);
        crate::push_races::push_and_die(&stage);
        let run = stage.code.assets(["status", "sdk/a"]).ok();
        let expected = format!(
            "PACKAGE  STATE        COMMIT      PENDING\n\
             sdk/a    interrupted  {}  1M\n  \
             a push to `auto/a` was interrupted: `assets push sdk/a` finishes it\n  \
             M recordings/sdk/a/one.json\n",
            &stage.base[..10]
        );
        assert_eq!(run.stdout, expected);
        stage.code.assets(["status", "--exit-code", "sdk/a"]).fails(1);
        stage.push().ok();
        stage.code.assets(["status", "--exit-code", "sdk/a"]).ok();
    });
}

#[cfg(unix)]
#[test]
fn beside_a_push_that_holds_the_lock() {
    let world = World::new();
    let stage = crate::pushing::Stage::served(&world);
    stage.record(&[("one.json", "mine\n")]);
    stage.server().set_fault(Fault::Hang);
    let mut push = stage.code.command(&[], ["push", "sdk/a"]).spawn().unwrap();
    crate::support::pty::wait_until(|| stage.server().requests().iter().any(|request| request.is_push()));
    let item = stage.code.assets(["status", "--json", "sdk/a"]).ok().json()["results"][0].clone();
    let run = stage.code.assets(["status", "sdk/a"]).ok();
    rustix::process::kill_process(rustix::process::Pid::from_child(&push), rustix::process::Signal::TERM).unwrap();
    push.wait().unwrap();
    let holder = format!("assets push sdk/a (process {})", push.id());
    assert_eq!((&item["in_use_by"], &item["unpushed"]), (&holder.clone().into(), &"refs/heads/auto/a".into()));
    assert!(
        run.stdout.contains(&format!("  in use  {}  1M\n  `{holder}` is at work here\n", &stage.base[..10])),
        "{run:?}"
    );
    let after = stage.code.assets(["status", "--json", "sdk/a"]).ok().json()["results"][0].clone();
    assert_eq!((&after["in_use_by"], &after["unpushed"]), (&serde_json::Value::Null, &"refs/heads/auto/a".into()));
}

#[test]
fn broken_checkouts_are_told_of_and_run_nothing() {
    with_every_git(|world| {
        let s = scene(world);
        let git_dir = s.checkout.join(".git");
        let (head, index) = (git_dir.join("HEAD"), git_dir.join("index"));
        let canary = world.root().join("canary");
        let foreign = format!("[core]\n\tfsmonitor = touch {}\n", canary.display());
        let stores = world.root().join("cache/stores");
        let table: [(&Path, Option<&str>, &str, usize); 5] = [
            (&head, Some("garbage"), "`HEAD` of the checkout", 1),
            (&head, Some(&"1".repeat(40)), "git cannot read the checkout", 1),
            (&index, Some(""), "has no index", 1),
            (&git_dir.join("config"), Some(&foreign), "is not a checkout made by `assets`", 1),
            // For the checkout of the tag form too.
            (&stores, None, "the object store", 2),
        ];
        for (path, content, message, times) in table {
            let kept = path.with_extension("kept");
            std::fs::rename(path, &kept).unwrap();
            if let Some(content) = content {
                write(path, content);
            }
            let run = s.status(["--all"]).ok();
            assert_eq!(run.stdout.matches(message).count(), times, "said once for each checkout: {}", run.stdout);
            assert!(run.stdout.contains("  hint: "), "{}", run.stdout);
            let last = run.stdout.lines().rfind(|line| line.starts_with("sdk")).unwrap();
            assert!(last.contains("  broken"), "{}", run.stdout);
            assert!(run.stderr.contains(" broken"), "{}", run.stderr);
            s.status(["--exit-code", "sdk/clean"]).fails(1);
            let item = s.of("clean");
            assert_eq!((&item["state"], &item["error"]["kind"]), (&"broken".into(), &"failed".into()));
            let _ = std::fs::remove_file(path);
            std::fs::rename(&kept, path).unwrap();
            s.status(["--exit-code", "sdk/clean"]).ok();
        }
        assert!(!canary.exists());
    });
}

/// How many git processes a status starts for each command of git.
fn commands(world: &World, code: &CodeRepo, args: &[&str]) -> Option<Vec<String>> {
    if !Path::new("/usr/bin/strace").exists() {
        return None;
    }
    let log = world.root().join("execve.log");
    let strace = ["-f", "-qq", "-s", "200", "-e", "trace=execve", "-o", &log.to_string_lossy(), ASSETS, "status"];
    run(&code.path, code.env(), "strace", strace.iter().chain(args)).ok();
    let text = std::fs::read_to_string(log).unwrap();
    let started = text.lines().filter(|line| line.contains("execve(") && !line.contains(" = -1 "));
    let command = |line: &str| line.split('"').nth(5).unwrap_or_default().to_string();
    Some(started.skip(1).map(command).collect())
}

#[test]
fn one_process_for_each_checkout() {
    with_every_git(|world| {
        let repo = world.assets_repo("assets");
        let server = GitServer::start(world.root(), Options::default());
        let url = format!("{}/assets.git", server.url());
        let names: Vec<String> = (0..60).map(|n| format!("recordings/sdk/b{n}/a.json")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "one\n")).collect();
        let sha = repo.commit("main", &files);
        repo.tag("py/t_1", &sha);
        let code = world.code_repo("code");
        (0..60).for_each(|n| code.branch_manifest(&format!("sdk/b{n}"), &url, &sha));
        (0..3).for_each(|n| code.tag_manifest(&format!("sdk/t{n}"), &url, "py/t_1"));
        code.branch_manifest("other/absent", &url, &sha);
        code.assets(["restore", "--all", "sdk"]).ok();
        server.reset_log();
        let Some(all) = commands(world, &code, &["--all"]) else { return };
        assert_eq!(all, ["ls-files", "status", "status", "status", "status"]);
        assert_eq!(commands(world, &code, &["sdk/b1", "sdk/b2"]).unwrap(), ["status"]);
        assert_eq!(commands(world, &code, &["other/absent"]).unwrap(), Vec::<String>::new());
        assert_eq!(server.requests().len(), 0);
        write(&code.checkout(&code.checkouts()[0]).join("recordings/sdk/b59/a.json"), "edited");
        let edited = code.checkouts().iter().map(|name| code.checkout(name)).find(|dir| dir.join(&names[1]).exists());
        write(&edited.unwrap().join(&names[59]), "edited");
        let table = code.assets(["status", "--all"]).ok().stdout;
        assert_eq!(table.lines().last(), Some(format!("sdk/b59       at pin        {}  1M", &sha[..10]).as_str()));
    });
}

#[cfg(unix)]
#[test]
fn at_eighty_columns() {
    use crate::support::pty::Start;
    let world = World::new();
    let s = scene(&world);
    let long = "sdk/storage-and-more/azure-storage-blob-changefeed/a-very-long-folder-name";
    s.code.branch_manifest(long, &s.repo.path.to_string_lossy(), &s.old);
    let shown = Start::new(&s.code).columns(80).run(["status", "--all"]).end().fails(0);
    assert_eq!(
        s.named(&shown.screen()),
        [
            "PACKAGE                                       STATE         COMMIT      PENDING",
            "sdk/absent                                    not restored",
            "sdk/storage-an…efeed/a-very-long-folder-name  not restored",
            "sdk/clean                                     at pin        <old>.....",
            "sdk/tagged                                    at pin        <old>.....",
            "sdk/tip                                       no pin        <new>.....",
            "sdk/edited                                    at pin        <old>.....  2A 1M 1D",
            "sdk/moved                                     other pin     <old>.....",
            "7 packages: 2 not restored, 3 at pin, 1 no pin, 1 other pin; 4 pending changes",
            "hint: `assets status -v` also names the files and says what to do",
        ]
    );
    assert!(shown.raw.contains("\u{1b}[33mother pin"), "{}", shown.raw);
    let plain = Start::new(&s.code).columns(80).env("NO_COLOR", "1").run(["status", "--all"]).end().fails(0);
    assert!(!plain.raw.contains('\u{1b}'), "{}", plain.raw);
}
