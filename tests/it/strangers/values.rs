//! Hostile values in every field of a manifest. Nearly all are refused with exit code 2; the few that mean something
//! are listed, and do no harm.

use super::Trap;
use crate::pushing::recorded;
use crate::support::{World, write};

/// Values that some program down the line would take for something else, `BAIT` being a program and `OUT` a directory
/// that is not ours.
#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    // Options.
    "-x", "--", "--help", "--upload-pack=BAIT", "--upload-pack BAIT", "-uBAIT", "--exec=BAIT", "--receive-pack=BAIT",
    "--config=core.fsmonitor=BAIT", "-c", "-ccore.sshCommand=BAIT", "--output=OUT/x", "--git-dir=OUT",
    "--work-tree=OUT", "-oProxyCommand=BAIT", "--stdin", "--all", "--mirror", "--force", "--prune", "--refmap=*:*",
    // Transports that run programs, and addresses that hold options.
    "ext::BAIT", "ext::sh -c BAIT", "fd::17", "foo::bar", "ssh://-oProxyCommand=BAIT/x", "ssh://x@-oProxyCommand=BAIT/x",
    "-oProxyCommand=BAIT:x/y", "host:-oProxyCommand=BAIT", "git@-oProxyCommand=BAIT:x", "ssh://host/--upload-pack=BAIT",
    "ssh://host:22;BAIT/x", "https://user:word@host/x", "https://host", "https:///x", "https://", "http://host /x",
    "https://host\\@other/x", "https://a b/x", "https://h\u{202e}st/x", "ftp://host/x", "javascript:x", "file://x",
    "file://host/OUT", "file:OUT", "data:x", "https://[::1/-x", "HTTPS://host/x", "Ext::BAIT", "ext:: BAIT",
    "transport::https://host/x", "https::BAIT", "git://host/-x", "git://-host/x", "ssh:BAIT", "rsync://h/x",
    // Paths that leave.
    "..", "../x", "../../../../../../OUT/x", "a/../../x", "./../x", "OUT", "OUT/x", "/", "//", "/etc/passwd", "~", "~/x",
    "~root/x", "C:\\x", "C:/x", "c:x", "\\\\host\\share", "\\", "a\\..\\..\\x", "..\\x", "a/..\\../x", "%2e%2e/x",
    "..%2fx", "$HOME/x", "${IFS}", "$(BAIT)", "`BAIT`", "|BAIT", "a|BAIT", ";BAIT", "a;BAIT", "a&&BAIT", "a\nBAIT",
    "'BAIT'", "\"BAIT\"", "a b", "a\tb", " a", "a ", "!BAIT", "#", "*", "?", "a*", "[a]", "{a,b}", ":(glob)**", ":/",
    ":!x", "(a)", "<OUT/x", ">OUT/x", "=x", "a=b", "%n%n%n%s", "{0}", "{{7*7}}",
    // Names that git or a system keeps.
    ".git", ".GIT", ".git/hooks/post-checkout", "a/.git/config", "a/.Git/x", "git~1", "GIT~1", "GIT~2", "a/git~1/x",
    ".git.", ".git ", ".git:x", ".git::$INDEX_ALLOCATION", ".g\u{200c}it", "a/.g\u{200d}it/x", ".gi\u{feff}t",
    ".gitmodules", ".gitattributes", ".assets", ".locks", "breadcrumb", "BREADCRUMB", ".", "./", ".lock", "a.lock",
    "a.lock/b", "CON", "con.json", "NUL", "nul/x", "aux.x.y", "COM1", "lpt9.txt", "CONIN$", "x.", "x ", "a./b", "a:ads",
    // Refs that mean more than a name.
    "HEAD", "FETCH_HEAD", "@", "@{-1}", "@{u}", "a@{1}", "a^", "a~1", "a..b", "a...b", "a:b", "+a", "+a:b", "^a",
    ":a", "refs/heads/*", "refs/*:refs/*", "+refs/*:refs/*", "refs/heads/main", "refs/tags/x", "a//b", "/a", "a/",
    "a.", ".a", "a/.b", "main^{tree}", "main:recordings", "HEAD:", ":0:x", "^{/x}", "-", "--end-of-options",
    "0000000000000000000000000000000000000000", "4e8e976", "4e8e976b7839c1e9c6903f48106e48be76868a5g", "HEAD\0x",
    // Characters that hide or are obeyed.
    "\0", "a\0b", "\r", "a\rb", "a\n", "\n", "a\u{1b}[2Jb", "\u{1b}]0;title\u{7}", "\u{7}", "\u{8}", "\u{7f}",
    "\u{9b}31m", "\u{202e}txt.exe", "a\u{2066}b", "\u{200b}", "\u{feff}a", "a\u{ad}b", "\u{fffd}", "\u{e000}",
    "\u{2028}", "a\u{2028}b", "\u{85}", "a\u{85}b", "a\u{61c}b", "a\u{e0041}b",
];

/// What is white space at the ends alone is an empty value, or the one without it.
const BLANK: &[&str] = &["\r", "\n", "\u{2028}", "\u{85}"];

/// Addresses of ssh servers, and paths on this machine.
#[rustfmt::skip]
const REPOS: &[&str] = &[
    "javascript:x", "file:OUT", "data:x", "ssh:BAIT", "OUT", "OUT/x", "/etc/passwd", "C:\\x", "C:/x", "c:x", ".git:x",
    "a.lock/b", "a./b", "a:ads", "a:b", "+a:b", "/a", "main:recordings",
];

/// Plain names of folders, whatever they would mean elsewhere.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "-x", "--", "--help", "-c", "--stdin", "--all", "--mirror", "--force", "--prune", "~", "${IFS}", "a b", " a", "a ",
    "#", "[a]", "{a,b}", "(a)", "=x", "a=b", "%n%n%n%s", "{0}", "a.lock", "x ", "HEAD", "FETCH_HEAD", "@", "@{-1}",
    "@{u}", "a@{1}", "a^", "a~1", "a..b", "a...b", "+a", "^a", "main^{tree}", "-", "--end-of-options",
    "0000000000000000000000000000000000000000", "4e8e976", "4e8e976b7839c1e9c6903f48106e48be76868a5g", "a\n",
    "\u{fffd}", "\u{e000}",
];

/// The same with folders in them, or with a meaning only in the assets folder.
#[rustfmt::skip]
const PATHS: &[&str] = &[
    "--upload-pack=BAIT", "-uBAIT", "--exec=BAIT", "--receive-pack=BAIT", "--config=core.fsmonitor=BAIT",
    "-ccore.sshCommand=BAIT", "--output=OUT/x", "--git-dir=OUT", "--work-tree=OUT", "-oProxyCommand=BAIT", "~/x",
    "~root/x", "%2e%2e/x", "..%2fx", "$HOME/x", "$(BAIT)", "`BAIT`", ";BAIT", "a;BAIT", "a&&BAIT", "'BAIT'", "!BAIT",
    ".gitmodules", ".gitattributes", ".assets", ".locks", "breadcrumb", "BREADCRUMB", ".", "./", ".lock", "a.lock/b",
    "refs/heads/main", "refs/tags/x", "a//b", "a/", ".a", "a/.b", "^{/x}",
];

/// Names that git takes for branches and tags, below `refs/heads/` and `refs/tags/`.
#[rustfmt::skip]
const REFS: &[&str] = &[
    "%2e%2e/x", "$HOME/x", "${IFS}", " a", "a ", "#", "{a,b}", "(a)", "=x", "a=b", "%n%n%n%s", "{0}", "breadcrumb",
    "BREADCRUMB", "CON", "con.json", "NUL", "nul/x", "aux.x.y", "COM1", "lpt9.txt", "CONIN$", "x ", "a./b", "HEAD",
    "FETCH_HEAD", "+a", "refs/heads/main", "refs/tags/x", "0000000000000000000000000000000000000000", "4e8e976",
    "4e8e976b7839c1e9c6903f48106e48be76868a5g", "a\n", "\u{fffd}", "\u{e000}",
];

fn hostile() -> impl Iterator<Item = String> {
    let long = ["a".repeat(401), "a/".repeat(600) + "a", "../".repeat(400)];
    HOSTILE.iter().map(|text| text.to_string()).chain(long)
}

/// Puts every hostile value into a field and expects that all others than these are refused.
#[track_caller]
fn only_these_pass(field: &str, lists: &[&[&str]]) {
    only_these_pass_of_every(1, field, lists);
}

/// As [`only_these_pass`] with some of the values only, for a field that has the grammar of another.
#[track_caller]
fn only_these_pass_of_every(nth: usize, field: &str, lists: &[&[&str]]) {
    let world = World::new();
    let trap = Trap::new(&world);
    let mut passed = Vec::new();
    let hostile: Vec<String> = hostile().step_by(nth).collect();
    for value in hostile.clone() {
        trap.manifest(&[(field, &trap.fill(&value))]);
        // Nothing that passes may ask anybody for anything.
        let run = trap.run_inside(&[("ASSETS_OFFLINE", "1")], &["restore", "sdk/a"]);
        if run.code != Some(2) {
            passed.push(value);
        }
    }
    passed.sort();
    let mut expected: Vec<&str> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    expected.retain(|value| hostile.iter().any(|tried| tried == value));
    expected.sort();
    assert_eq!(passed, expected);
    trap.token_is_in_no_file();
}

#[test]
fn assets_repo() {
    only_these_pass("AssetsRepo", &[REPOS]);
}

#[test]
fn assets_repo_prefix_path() {
    only_these_pass("AssetsRepoPrefixPath", &[NAMES, PATHS, BLANK]);
}

#[test]
fn assets_repo_id() {
    only_these_pass("AssetsRepoId", &[NAMES, BLANK]);
}

#[test]
fn assets_repo_branch() {
    only_these_pass("AssetsRepoBranch", &[REFS, BLANK]);
}

#[test]
fn assets_repo_fallback_branch() {
    only_these_pass_of_every(3, "AssetsRepoFallbackBranch", &[REFS, BLANK]);
}

#[test]
fn sha() {
    only_these_pass("SHA", &[&["0000000000000000000000000000000000000000"], BLANK]);
}

#[test]
fn tag() {
    only_these_pass("Tag", &[REFS, BLANK]);
}

#[test]
fn tag_prefix() {
    only_these_pass_of_every(3, "TagPrefix", &[REFS, BLANK]);
}

#[test]
fn the_folder_of_the_manifest() {
    let world = World::new();
    let trap = Trap::new(&world);
    let text = trap.code.read("sdk/a/assets.json");
    let is_name = |value: &str| !value.contains(['/', '\0']) && ![".", ".."].contains(&value);
    let mut passed = Vec::new();
    for value in HOSTILE.iter().filter(|value| is_name(value)) {
        // Not bait and a directory here: both have slashes.
        let folder = trap.code.path.join("sdk").join(value);
        // Some are the code repo's own git directory, and end the search above.
        write(&folder.join("assets.json"), &text);
        let run = trap.run_inside(&[("ASSETS_OFFLINE", "1")], &["restore", "--", &folder.to_string_lossy()]);
        if run.code != Some(2) {
            passed.push(*value);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    // The names that are fine in the prefix are fine here, but for those that make no branch.
    passed.retain(|value| *value != "OUT");
    assert!(passed.iter().all(|value| NAMES.contains(value) || PATHS.contains(value)), "{passed:?}");
    assert!(passed.len() > 20, "{passed:?}");
}

#[test]
fn what_passes_is_taken_for_what_it_is() {
    let world = World::new();
    let trap = Trap::new(&world);
    let paths = ["--output=OUT/x", "-c", "--", "$(BAIT)", "`BAIT`", "[a]", "%n%n%n%s", "^{/x}", "!BAIT", "HEAD"];
    let files: Vec<String> = paths.iter().map(|path| format!("{}/sdk/a/a.json", trap.fill(path))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "one\n")).collect();
    let pin = trap.repo.commit("main", &files);
    for (number, path) in paths.iter().enumerate() {
        let (path, number) = (trap.fill(path), number.to_string());
        // A path, a folder, a branch, and a tag whose names are as bad as they come.
        let branch = ["refs/heads/main", "HEAD", "+a", "$HOME/x", "%n%n%n%s"][number.len() - 1].to_string() + &number;
        trap.manifest(&[
            ("SHA", &pin),
            ("AssetsRepoPrefixPath", &path),
            ("AssetsRepoId", &format!("-{number}")),
            ("AssetsRepoBranch", &branch),
        ]);
        let root = trap.run_inside(&[], &["restore", "sdk/a"]).ok().stdout;
        let file = std::path::Path::new(root.trim()).join("sdk/a/a.json");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n", "{path}");
        write(&file, format!("{number}\n"));
        trap.run_inside(&[], &["status", "sdk/a"]).ok();
        trap.run(&[], &["push", "sdk/a"]).ok();
        let file = format!("{}/sdk/a/a.json", path.trim_end_matches('/'));
        assert_eq!(trap.repo.file(&format!("refs/heads/{branch}"), &file), Some(format!("{number}\n")));
    }
    trap.token_is_in_no_file();
}

#[test]
fn refs_of_the_tag_form_are_taken_for_what_they_are() {
    let world = World::new();
    let trap = Trap::new(&world);
    for name in ["HEAD", "FETCH_HEAD", "refs/heads/main", "+a", "$HOME/x", "%n%n%n%s", "{a,b}", "NUL", "4e8e976"] {
        trap.repo.tag(name, &trap.pin);
        trap.manifest(&[("Tag", name), ("TagPrefix", name)]);
        trap.run_inside(&[], &["restore", "sdk/a"]).ok();
        assert_eq!(recorded(&trap.code, "a.json"), "one\n", "{name}");
        write(&trap.code.only_checkout().join("recordings/sdk/a/a.json"), format!("{name}\n"));
        trap.run(&[], &["push", "sdk/a"]).ok();
        let tag = trap.code.pin("sdk/a", "Tag");
        assert!(tag.starts_with(&format!("{name}_")), "{tag}");
        assert_eq!(trap.repo.file(&format!("refs/tags/{tag}"), "recordings/sdk/a/a.json"), Some(format!("{name}\n")));
        std::fs::remove_dir_all(trap.folder()).unwrap();
    }
    let refs = trap.repo.git(["for-each-ref", "--format=%(refname)"]).ok().stdout;
    assert!(refs.lines().all(|name| name == "refs/heads/main" || name.starts_with("refs/tags/")), "{refs}");
}

#[test]
fn manifests_that_are_no_plain_files() {
    let world = World::new();
    let trap = Trap::new(&world);
    let file = trap.code.path.join("sdk/a/assets.json");
    let text = trap.code.read("sdk/a/assets.json");
    let deep = format!(r#"{{"AssetsRepo": "o/n", "x": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let keys: String = (0..100_000).map(|n| format!("\"k{n}\": 1, ")).collect();
    for text in [deep, format!(r#"{{{keys}"AssetsRepo": "o/n"}}"#), "\u{0}".repeat(2 << 20), "{".repeat(2 << 20)] {
        trap.code.manifest("sdk/a", &text);
        trap.run_inside(&[], &["restore", "sdk/a"]).fails(2);
    }
    world.write("elsewhere/assets.json", &text);
    let targets = ["/dev/zero", "/dev/stdin", "/etc/passwd", "../../../elsewhere/assets.json", "nowhere"];
    for target in targets {
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(target, &file).unwrap();
        for command in ["restore", "push", "reset", "status"] {
            trap.run_inside(&[], &[command, "sdk/a"]).fails(2);
        }
    }
}
