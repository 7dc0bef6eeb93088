//! Trees that no honest git would make: names and modes that leave the checkout, run something or confuse a system, in
//! the slice, in a folder of it, and above it. They are written raw, past every check of git.

use std::collections::BTreeSet;

use super::Trap;
use crate::support::{World, run};

/// Names that no file of an assets repo may have.
#[rustfmt::skip]
const NAMES: &[&[u8]] = &[
    // Git's own, and what some file system takes for it.
    b".git", b".GIT", b".gIt", b".git.", b".git ", b".git. .", b".git:x", b".git::$INDEX_ALLOCATION", b"git~1", b"GIT~1",
    b"git~2", ".g\u{200c}it".as_bytes(), ".gi\u{feff}t".as_bytes(), "\u{200e}.git".as_bytes(),
    // Ways out.
    b"", b".", b"..", b"a/b", b"../x", b"../../../../canary", b"/etc/x", b"..\\x", b"..\\..\\x", b"\\x", b"C:x", b"C:\\x",
    // What Windows or a terminal takes for something else.
    b"a.json:ads", b"CON", b"con.json", b"NUL", b"aux.x.y", b"COM1", b"LPT9.txt", b"CONIN$", b"x.", b"x ", b"a?b", b"a*b",
    b"a|b", b"a<b", b"a\"b", b"a\x1b[2Jb", b"a\nb", b"a\rb", b"\x07", b"\x7f", "a\u{9b}b".as_bytes(),
    "a\u{202e}nosj".as_bytes(), "a\u{2066}b".as_bytes(), "a\u{200b}b".as_bytes(), "a\u{2028}b".as_bytes(),
    // Not UTF-8, and too long.
    b"a\xffb", b"\xc0\xae\xc0\xae", &[b'x'; 256], &[b'x'; 5000],
];

/// Modes that are neither a plain file nor a folder.
const MODES: &[&str] = &["120000", "160000", "0120000", "100000", "10644", "777", "060000", "140000", "200000", "1"];

/// The raw bytes of a tree.
fn entry(mode: &str, name: &[u8], id: &str) -> Vec<u8> {
    let raw = (0..id.len() / 2).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap());
    [mode.as_bytes(), b" ", name, b"\0"].concat().into_iter().chain(raw).collect()
}

struct Forge<'a> {
    trap: &'a Trap<'a>,
    blob: String,
}

impl Forge<'_> {
    fn object(&self, kind: &str, content: &[u8]) -> String {
        let file = self.trap.repo.path.join("raw");
        std::fs::write(&file, content).unwrap();
        let made = self.trap.repo.git(["hash-object", "--literally", "-w", "-t", kind, "raw"]).ok();
        std::fs::remove_file(file).unwrap();
        made.stdout.trim().to_string()
    }

    fn tree(&self, entries: &[Vec<u8>]) -> String {
        self.object("tree", &entries.concat())
    }

    /// A commit whose slice has these entries beside a plain one, and whose root has others.
    fn commit(&self, slice: &[Vec<u8>], root: &[Vec<u8>]) -> String {
        let plain = entry("100644", b"a.json", &self.blob);
        let mut tree = self.tree(&[&[plain], slice].concat());
        for folder in ["a", "sdk"] {
            tree = self.tree(&[entry("40000", folder.as_bytes(), &tree)]);
        }
        let root = self.tree(&[root, &[entry("40000", b"recordings", &tree)]].concat());
        let commit = self.trap.repo.git(["commit-tree", "-m", "hostile", &root]).ok().stdout.trim().to_string();
        self.trap.repo.git(["update-ref", "refs/heads/main", &commit]).ok();
        commit
    }
}

fn with_forge(test: impl Fn(&Forge)) {
    let world = World::new();
    let trap = Trap::restored(&world);
    let identity = [("user.name", "x"), ("user.email", "x")];
    identity.iter().for_each(|(key, value)| drop(trap.repo.git(["config", key, value]).ok()));
    let mut forge = Forge { trap: &trap, blob: String::new() };
    forge.blob = forge.object("blob", b"content\n");
    test(&forge);
    trap.token_is_in_no_file();
}

impl Forge<'_> {
    /// Expects that a commit is refused, and that the checkout shows what it did.
    #[track_caller]
    fn refused(&self, commit: &str, what: &str) {
        let trap = self.trap;
        trap.manifest(&[("SHA", commit)]);
        let run = trap.run_inside(&[], &["restore", "sdk/a"]);
        assert_eq!(run.code, Some(1), "{what}\n{}{}", run.stdout, run.stderr);
        let checkout = trap.code.only_checkout();
        let shown: BTreeSet<String> = crate::support::snapshot(&checkout).into_keys().collect();
        let shown: Vec<&String> = shown.iter().filter(|path| !path.starts_with(".git/")).collect();
        assert_eq!(shown, ["readme", "recordings/sdk/a/a.json"], "{what}");
    }
}

#[test]
fn names_of_files() {
    with_forge(|forge| {
        for name in NAMES {
            let commit = forge.commit(&[entry("100644", name, &forge.blob)], &[]);
            forge.refused(&commit, &format!("{:?}", String::from_utf8_lossy(name)));
        }
    });
}

#[test]
fn names_of_folders() {
    with_forge(|forge| {
        let inner = forge.tree(&[entry("100755", b"config", &forge.blob)]);
        for name in NAMES.iter().skip(1).step_by(2) {
            let commit = forge.commit(&[entry("40000", name, &inner)], &[]);
            forge.refused(&commit, &format!("{:?}", String::from_utf8_lossy(name)));
        }
    });
}

#[test]
fn names_above_the_slice() {
    with_forge(|forge| {
        for name in NAMES.iter().step_by(2) {
            let commit = forge.commit(&[], &[entry("100644", name, &forge.blob)]);
            forge.refused(&commit, &format!("{:?}", String::from_utf8_lossy(name)));
        }
    });
}

#[test]
fn modes_and_order() {
    with_forge(|forge| {
        let file = |name: &str| entry("100644", name.as_bytes(), &forge.blob);
        let folder = |name: &str| entry("40000", name.as_bytes(), &forge.tree(&[file("x")]));
        for mode in MODES {
            let commit = forge.commit(&[entry(mode, b"b", &forge.blob)], &[]);
            forge.refused(&commit, mode);
        }
        for link in ["/etc", "../../../../..", ".git/hooks", "a.json"] {
            let target = forge.object("blob", link.as_bytes());
            let commit = forge.commit(&[entry("120000", b"link", &target)], &[]);
            forge.refused(&commit, link);
        }
        let twice: [(&str, Vec<Vec<u8>>); 9] = [
            ("a file twice", vec![file("a.json")]),
            ("a file and a folder", vec![folder("a.json")]),
            ("two folders", vec![folder("b"), folder("b")]),
            ("case twins", vec![file("A.json")]),
            ("case twins of folders", vec![folder("b"), folder("B")]),
            ("not sorted", vec![file("0")]),
            ("an id of nothing", vec![entry("100644", b"b", &"0".repeat(40))]),
            ("a file that is a tree", vec![entry("100644", b"b", &forge.tree(&[file("x")]))]),
            ("a folder that is a file", vec![entry("40000", b"b", &forge.blob)]),
        ];
        for (what, entries) in twice {
            let commit = forge.commit(&entries, &[]);
            forge.refused(&commit, what);
        }
        let target = forge.object("blob", b"../../canary");
        let commit = forge.commit(&[], &[entry("120000", b".gitmodules", &target)]);
        forge.refused(&commit, "a link .gitmodules");
    });
}

/// Attributes of the assets repo run no filter and change no byte; no submodule is asked for; a link above the slice is a
/// plain file.
#[test]
fn what_else_is_above_the_slice_means_nothing() {
    with_forge(|forge| {
        let trap = forge.trap;
        let config = format!(
            "[filter \"x\"]\n\tsmudge = {0}\n\tclean = {0}\n[diff \"x\"]\n\ttextconv = {0}\n[merge \"x\"]\n\tdriver = {0}\n",
            trap.bait().display()
        );
        let file = trap.world.root().join("home/.gitconfig");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &config).unwrap();
        let text = b"* filter=x diff=x merge=x text eol=crlf ident working-tree-encoding=UTF-16\n";
        let attributes = entry("100644", b".gitattributes", &forge.object("blob", text));
        let text = b"[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c x\n\tupdate = !false\n";
        let modules = entry("100644", b".gitmodules", &forge.object("blob", text));
        let link = entry("120000", b"link", &forge.object("blob", b"/etc"));
        let content = b"$Id$\nline\r\nline\n";
        let recording = entry("100644", b"b.json", &forge.object("blob", content));
        let commit = forge.commit(&[recording], &[attributes, modules, link]);
        trap.manifest(&[("SHA", &commit)]);
        trap.run_inside(&[], &["restore", "sdk/a"]).ok();
        let checkout = trap.code.only_checkout();
        assert_eq!(std::fs::read(checkout.join("recordings/sdk/a/b.json")).unwrap(), content);
        assert!(checkout.join("link").symlink_metadata().unwrap().is_file());
        std::fs::write(checkout.join("recordings/sdk/a/b.json"), "$Id: x$\r\n").unwrap();
        trap.run_inside(&[], &["status", "sdk/a"]).ok();
        trap.run(&[], &["push", "sdk/a"]).ok();
        let pushed = format!("{}:recordings/sdk/a/b.json", trap.code.pin("sdk/a", "SHA"));
        assert_eq!(run(&trap.repo.path, trap.code.env(), "git", ["show", &pushed]).ok().stdout, "$Id: x$\r\n");
    });
}
