//! Pending changes in the way of another pin, `assets stash` and `assets reset`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, World, snapshot, with_every_git, write};

/// A slice restored at its first pin, and the two pins.
struct Scene {
    repo: AssetsRepo,
    code: CodeRepo,
    url: String,
    checkout: PathBuf,
    slice: PathBuf,
    old: String,
    new: String,
}

/// With pending changes of each kind.
fn scene(world: &World, url: Option<String>) -> Scene {
    let repo = world.assets_repo("assets");
    let old = repo.commit(
        "main",
        &[
            ("recordings/sdk/a/edited.json", "old"),
            ("recordings/sdk/a/deleted.json", "old"),
            ("recordings/sdk/a/moves.json", "old"),
            ("recordings/sdk/a/deep/er/x.json", "old"),
        ],
    );
    let new = repo.commit("main", &[("recordings/sdk/a/moves.json", "new")]);
    let code = world.code_repo("code");
    let url = url.unwrap_or_else(|| repo.path.to_string_lossy().into_owned());
    code.branch_manifest("sdk/a", &url, &old);
    code.assets(["restore", "sdk/a"]).ok();
    let checkout = code.only_checkout();
    let slice = checkout.join("recordings/sdk/a");
    Scene { repo, code, url, checkout, slice, old, new }
}

impl Scene {
    fn edit(&self) {
        write(&self.slice.join("edited.json"), "edited");
        std::fs::remove_file(self.slice.join("deleted.json")).unwrap();
        std::fs::remove_file(self.slice.join("deep/er/x.json")).unwrap();
        write(&self.slice.join("fresh/new.json"), "new");
        write(&self.slice.join("empty.json"), "");
    }

    fn pin(&self, pin: &str) {
        self.code.branch_manifest("sdk/a", &self.url, pin);
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        snapshot(&self.slice)
    }

    fn status(&self) -> String {
        self.code.git_in(&self.checkout, ["status", "--porcelain", "-uall"]).ok().stdout
    }

    /// The entries without their dates, which are the only thing that changes.
    fn entries(&self) -> Vec<String> {
        let listed = self.code.assets(["stash", "list", "sdk/a"]).ok().stdout;
        let undated = |line: &str| {
            let words: Vec<&str> = line.splitn(3, "  ").collect();
            assert!(words[1].ends_with(" UTC") && words[1].len() == "2026-01-01 00:00 UTC".len(), "{line}");
            format!("{} {}", words[0], words[2])
        };
        listed.lines().map(undated).collect()
    }
}

fn bytes(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    list.iter().map(|(path, content)| (path.to_string(), content.as_bytes().to_vec())).collect()
}

fn at_new() -> BTreeMap<String, Vec<u8>> {
    bytes(&[("edited.json", "old"), ("deleted.json", "old"), ("moves.json", "new"), ("deep/er/x.json", "old")])
}

#[test]
fn changes_are_put_aside_and_come_back_alike() {
    with_every_git(|world| {
        let s = scene(world, None);
        s.edit();
        let (edited, status) = (s.files(), s.status());
        // At the pin they are left alone.
        assert_eq!(s.code.assets(["restore", "sdk/a"]).ok().stderr, "");
        assert_eq!(s.files(), edited);

        s.pin(&s.new);
        let run = s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(run.stdout, format!("{}/recordings\n", s.checkout.display()));
        let said = format!(
            "restored `sdk/a/assets.json` at {}\nput aside 5 pending changes of `sdk/a/assets.json`\n\
             hint: `assets stash pop sdk/a` brings them back\n",
            &s.new[..10]
        );
        assert_eq!(run.stderr, said);
        assert_eq!((s.files(), s.status()), (at_new(), String::new()));
        assert_eq!(s.entries(), ["1 put aside by restore: 5 files"]);

        let run = s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(run.stderr, "brought back 5 files of `sdk/a/assets.json`\n");
        let paths = ["deep/er/x.json", "deleted.json", "edited.json", "empty.json", "fresh/new.json"];
        assert_eq!(run.stdout, paths.map(|path| format!("recordings/sdk/a/{path}\n")).concat());
        let mut wanted = edited.clone();
        wanted.insert("moves.json".into(), b"new".to_vec());
        assert_eq!((s.files(), s.status()), (wanted, status.clone()));
        assert!(s.entries().is_empty());

        // Again, back at the first pin: everything as it was.
        s.pin(&s.old);
        s.code.assets(["restore", "--stash", "sdk/a"]).ok();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!((s.files(), s.status()), (edited, status));
    });
}

#[test]
fn keep_stops_before_anything_happens() {
    with_every_git(|world| {
        let server = GitServer::start(world.root(), Options::default());
        let s = scene(world, Some(format!("{}/assets.git", server.url())));
        s.edit();
        s.pin(&s.new);
        let before = (s.files(), snapshot(&s.checkout), s.code.snapshot());
        // Whether anything would be lost is known when the new pin is here: it may have the same files.
        let run = s.code.assets(["restore", "--keep", "sdk/a"]).fails(3);
        assert_eq!(run.stdout, "");
        let said = "error: restoring `sdk/a/assets.json` would lose 5 pending changes\n  caused by: pending changes:\n";
        assert!(run.stderr.starts_with(said), "{}", run.stderr);
        run.says("recordings/sdk/a/fresh/new.json\n").says("hint: put them aside with `assets restore --stash sdk/a");
        assert_eq!((s.files(), snapshot(&s.checkout), s.code.snapshot()), before);
    });
}

#[test]
fn discard_leaves_an_entry() {
    with_every_git(|world| {
        let s = scene(world, None);
        s.edit();
        let edited = s.files();
        s.pin(&s.new);
        s.code
            .assets(["restore", "--discard", "sdk/a"])
            .ok()
            .says("dropped 5 pending changes of `sdk/a/assets.json`\n");
        assert_eq!((s.files(), s.status()), (at_new(), String::new()));
        assert_eq!(s.entries().len(), 1);
        s.pin(&s.old);
        s.code.assets(["restore", "sdk/a"]).ok();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.files(), edited);
    });
}

#[test]
fn a_pop_that_would_overwrite_is_refused() {
    with_every_git(|world| {
        let s = scene(world, None);
        let pop = |args: &[&str]| s.code.assets([&["stash", "pop", "sdk/a"], args].concat());
        let nothing = pop(&[]).fails(1);
        assert_eq!(nothing.stderr, "error: nothing was put aside for `sdk/a/assets.json`\n");
        // The new pin changed the same file.
        write(&s.slice.join("moves.json"), "mine");
        s.edit();
        s.pin(&s.new);
        s.code.assets(["restore", "sdk/a"]).ok();
        // And one was edited since.
        write(&s.slice.join("edited.json"), "edited again");
        let before = (s.files(), s.status(), s.entries());
        let run = pop(&[]).fails(3);
        assert_eq!(run.stdout, "");
        run.says("error: 2 files of the newest stash entry of `sdk/a/assets.json` changed since it was made\n")
            .says("recordings/sdk/a/edited.json\n")
            .says("recordings/sdk/a/moves.json\n")
            .says("`assets stash pop --ours sdk/a`\n");
        assert_eq!((s.files(), s.status(), s.entries()), before);
        pop(&["--ours"]).ok().says("put aside 1 file that had changed since; `assets stash list` shows it\n");
        let files = s.files();
        assert_eq!((files["edited.json"].as_slice(), files["moves.json"].as_slice()), (&b"edited"[..], &b"mine"[..]));
        assert!(!files.contains_key("deleted.json") && files.contains_key("fresh/new.json"));
        // What was there goes where the entry was.
        assert_eq!(s.entries(), ["2 replaced by stash pop: 1 file"]);
        pop(&["--ours"]).ok();
        assert_eq!(s.files()["edited.json"], b"edited again");
        assert_eq!(s.entries(), ["3 replaced by stash pop: 1 file"]);
    });
}

#[test]
fn an_interrupted_pop_over_other_changes_is_completed() {
    with_every_git(|world| {
        let s = scene(world, None);
        s.edit();
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        write(&s.slice.join("edited.json"), "edited again");
        let stash = |name: &str| s.code.only_checkout().join(".git/refs/assets/stash/recordings/sdk/a").join(name);
        let entry = std::fs::read(stash("%0001")).unwrap();
        s.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        let done = (s.files(), s.entries());
        // As it is when it is killed while it writes: one file is not there yet, another one in part.
        write(&stash("%0001"), entry);
        write(&s.slice.join("edited.json"), "edi");
        std::fs::remove_file(s.slice.join("fresh/new.json")).unwrap();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!((s.files(), s.entries()), done);
        assert_eq!(done.0["edited.json"], b"edited");
    });
}

#[test]
fn entries_come_back_newest_first() {
    with_every_git(|world| {
        let s = scene(world, None);
        for (content, pin) in [("first", &s.new), ("second", &s.old)] {
            write(&s.slice.join("edited.json"), content);
            s.pin(pin);
            s.code.assets(["restore", "sdk/a"]).ok();
        }
        // A slice of its own entries: those of another do not count.
        s.code.branch_manifest("sdk", &s.url, &s.old);
        assert_eq!(s.entries(), ["1 put aside by restore: 1 file", "2 put aside by restore: 1 file"]);
        let content = || std::fs::read_to_string(s.slice.join("edited.json")).unwrap();
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(content(), "second");
        s.code.assets(["stash", "pop", "sdk/a"]).fails(3);
        s.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        assert_eq!(content(), "first");
        s.code.assets(["stash", "pop", "--ours", "sdk/a"]).ok();
        assert_eq!(content(), "second");
    });
}

#[test]
fn resets() {
    with_every_git(|world| {
        let s = scene(world, None);
        let clean = s.files();
        let run = s.code.assets(["reset", "sdk/a"]).ok();
        assert_eq!((run.stdout, run.stderr), (format!("{}/recordings\n", s.checkout.display()), String::new()));
        s.edit();
        let edited = s.files();
        let run = s.code.assets(["reset", "sdk/a"]).fails(3);
        assert_eq!(run.stdout, "");
        run.says("error: reset drops 5 pending changes of `sdk/a/assets.json` and needs a yes\n")
            .says("recordings/sdk/a/deleted.json\n")
            .says("hint: confirm with `assets reset -y sdk/a`\n");
        assert_eq!(s.files(), edited);
        s.code.git_in(&s.checkout, ["add", "-A"]).ok();
        s.code.assets(["reset", "-y", "sdk/a"]).ok().says("dropped 5 pending changes of `sdk/a/assets.json`\n");
        assert_eq!((s.files(), s.status()), (clean, String::new()));
        assert_eq!(s.entries(), ["1 dropped by reset: 5 files"]);
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.files(), edited);
        // To another pin at the same time.
        s.pin(&s.new);
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        assert_eq!((s.files(), s.status()), (at_new(), String::new()));
    });
}

#[test]
fn recordings_are_bytes() {
    with_every_git(|world| {
        let s = scene(world, None);
        let canary = world.root().join("canary");
        world.write(
            "home/.gitconfig",
            format!(
                "[user]\n\tname = T\n\temail = t@x\n[core]\n\tautocrlf = true\n[filter \"x\"]\n\
                 \tclean = touch {0}; tr a b\n\tsmudge = touch {0}; tr a b\n\trequired = true\n",
                canary.display()
            ),
        );
        let attributes = "* text=auto eol=crlf ident filter=x\n*.txt working-tree-encoding=UTF-16\n";
        let contents: [(&str, &[u8]); 4] = [
            (".gitattributes", attributes.as_bytes()),
            ("crlf.json", b"a\r\nb\n\r\n"),
            ("id.txt", b"$Id$ \xff\xfe a\n"),
            ("binary.bin", b"\x00\x01\r\n\xff\x00"),
        ];
        for (name, content) in contents {
            write(&s.slice.join(name), content);
        }
        let mut recorded = s.files();
        s.code.assets(["push", "sdk/a"]).ok();
        recorded.insert("moves.json".into(), b"new".to_vec()); // which the branch has meanwhile
        let pushed = s.code.pin("sdk/a", "SHA");
        for (name, content) in contents {
            let spec = format!("{pushed}:recordings/sdk/a/{name}");
            let size = s.repo.git(["cat-file", "-s", &spec]).ok().stdout;
            assert_eq!(size.trim(), content.len().to_string(), "{name}");
        }
        assert_eq!(s.status(), "");
        std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.files(), recorded);
        // Through a stash entry too.
        write(&s.slice.join("crlf.json"), b"\r\n\r\n\n$Id$");
        write(&s.slice.join("new.txt"), b"\xff\r\n");
        let edited = s.files();
        s.pin(&s.old);
        s.code.assets(["restore", "sdk/a"]).ok();
        s.pin(&pushed);
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.files(), recorded);
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.files(), edited);
        assert!(!canary.exists());
    });
}

/// Edits a file without changing its length, in the second in which it and the index were written, and lets that
/// second pass: git knows times by the second.
fn edit_within_a_second(s: &Scene) {
    let second = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let written = |file: &Path| second(std::fs::metadata(file).unwrap().modified().unwrap());
    let (file, index) = (s.slice.join("edited.json"), s.checkout.join(".git/index"));
    for _ in 0..20 {
        let restored = written(&file);
        write(&file, "NEW");
        if restored == written(&index) && restored == written(&file) {
            while second(SystemTime::now()) == restored {
                std::thread::sleep(Duration::from_millis(5));
            }
            return;
        }
        std::fs::remove_dir_all(&s.checkout).unwrap();
        s.code.assets(["restore", "sdk/a"]).ok();
    }
    panic!("no restore and edit in one second");
}

#[test]
fn an_edit_in_the_second_of_the_restore_is_put_aside_and_pushed() {
    with_every_git(|world| {
        let s = scene(world, None);
        edit_within_a_second(&s);
        s.code.assets(["reset", "-y", "sdk/a"]).ok();
        assert_eq!(s.files()["edited.json"], b"old");
        s.code.assets(["stash", "pop", "sdk/a"]).ok();
        assert_eq!(s.files()["edited.json"], b"NEW");
        std::fs::remove_dir_all(&s.checkout).unwrap();
        s.code.assets(["restore", "sdk/a"]).ok();
        edit_within_a_second(&s);
        s.code.assets(["push", "sdk/a"]).ok();
        let pushed = s.repo.file(&s.code.pin("sdk/a", "SHA"), "recordings/sdk/a/edited.json");
        assert_eq!(pushed, Some("NEW".into()));
    });
}
