//! Neither does `assets` touch the code repo, nor does what a stranger planted in `.assets` run.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::{ASSETS, AssetsRepo, CodeRepo, World, run, snapshot, with_every_git, write};

/// A code repo with uncommitted work, and a restored slice with a pending change.
struct Scene {
    repo: AssetsRepo,
    code: CodeRepo,
    url: String,
    pins: [String; 2],
    /// The name of the checkout.
    name: String,
}

fn scene(world: &World) -> Scene {
    let repo = world.assets_repo("assets");
    let old = repo.commit("main", &[("recordings/sdk/a/a.json", "a1")]);
    let new = repo.commit("main", &[("recordings/sdk/a/a.json", "a2")]);
    let code = world.code_repo("code");
    let url = repo.path.to_string_lossy().into_owned();
    code.branch_manifest("sdk/a", &url, &old);
    code.write("sdk/a/code.rs", "committed");
    code.write(".gitignore", ".assets\n");
    code.commit("manifest");
    code.assets(["restore", "sdk/a"]).ok();
    let name = code.checkouts().remove(0);
    Scene { repo, code, url, pins: [old, new], name }
}

impl Scene {
    fn recording(&self) -> PathBuf {
        self.code.checkout(&self.name).join("recordings/sdk/a/a.json")
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.recording()).unwrap()
    }

    fn pin(&self, pin: &str) {
        self.code.branch_manifest("sdk/a", &self.url, pin);
    }
}

fn script(file: &Path, text: &str) {
    write(file, format!("#!/bin/sh\nset -e\n{text}\n"));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn in_a_pre_commit_hook() {
    with_every_git(|world| {
        let s = scene(world);
        let (before, after) = (world.root().join("before"), world.root().join("after"));
        // The hook sees GIT_DIR and GIT_INDEX_FILE of the commit that is being made.
        script(
            &s.code.path.join(".git/hooks/pre-commit"),
            &format!(
                "test -n \"$GIT_INDEX_FILE\"\ncp -R .git {}\nprintf mine > {recording}\n\
                 {ASSETS} restore sdk/a\n{ASSETS} reset -y sdk/a\nprintf mine > {recording}\n{ASSETS} push --dry-run sdk/a\ncp -R .git {}",
                before.display(),
                after.display(),
                recording = s.recording().display()
            ),
        );
        s.pin(&s.pins[1]);
        s.code.write("sdk/a/code.rs", "changed");
        s.code.git(["commit", "-q", "-a", "-m", "work"]).ok();
        assert!(snapshot(&before) == snapshot(&after), "the hook changed the code repo");
        assert_eq!(s.code.git(["status", "--porcelain"]).ok().stdout, "");
        assert_eq!(s.code.git(["show", "--name-only", "--format="]).ok().stdout, "sdk/a/assets.json\nsdk/a/code.rs\n");
        assert_eq!(s.content(), "mine");
    });
}

#[test]
fn in_a_rebase_of_a_linked_worktree() {
    with_every_git(|world| {
        let s = scene(world);
        let linked = world.root().join("linked");
        s.code.git(["worktree", "add", "-q", "-b", "side", &linked.to_string_lossy()]).ok();
        let in_linked = |args: &[&str]| run(&linked, s.code.env(), "git", args).ok();
        write(&linked.join("more.rs"), "more");
        in_linked(&["add", "-A"]);
        in_linked(&["commit", "-q", "-m", "more"]);
        s.code.write("main.rs", "main");
        s.code.commit("main");
        let main = s.code.snapshot();
        let assets = format!("env GIT_DIR=\"$(git rev-parse --git-dir)\" {ASSETS}");
        let recording = linked.join(".assets").join(&s.name).join("recordings/sdk/a/a.json");
        let exec = format!(
            "{assets} restore sdk/a && printf mine > '{}' && {assets} reset -y sdk/a && {assets} restore sdk/a",
            recording.display()
        );
        in_linked(&["rebase", "-q", "--exec", &exec, "main"]);
        assert_eq!(in_linked(&["status", "--porcelain"]).stdout, "");
        assert_eq!(in_linked(&["log", "--format=%s"]).stdout, "more\nmain\nmanifest\nfirst\n");
        assert_eq!(std::fs::read(&recording).unwrap(), b"a1");
        let kept = |files: std::collections::BTreeMap<String, Vec<u8>>| -> Vec<(String, Vec<u8>)> {
            let own = [".git/HEAD", ".git/index", ".git/config", "main.rs", "sdk/a/code.rs", "sdk/a/assets.json"];
            files.into_iter().filter(|(path, _)| own.contains(&path.as_str())).collect()
        };
        assert!(kept(s.code.snapshot()) == kept(main));
    });
}

#[test]
fn with_a_git_environment_that_points_elsewhere() {
    with_every_git(|world| {
        let s = scene(world);
        s.code.write("sdk/a/code.rs", "uncommitted");
        s.code.write("new.rs", "untracked");
        s.code.git(["add", "sdk/a/code.rs"]).ok();
        let root = s.code.path.to_string_lossy().into_owned();
        let git_dir = format!("{root}/.git");
        let (index, objects) = (format!("{git_dir}/index"), format!("{git_dir}/objects"));
        let canary = world.root().join("canary");
        let run_canary = format!("touch {}", canary.display());
        let hostile: Vec<(&str, &str)> = vec![
            ("GIT_DIR", &git_dir),
            ("GIT_WORK_TREE", &root),
            ("GIT_INDEX_FILE", &index),
            ("GIT_COMMON_DIR", &git_dir),
            ("GIT_OBJECT_DIRECTORY", &objects),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere"),
            ("GIT_PREFIX", "sdk/"),
            ("GIT_NAMESPACE", "x"),
            ("GIT_LITERAL_PATHSPECS", "0"),
            ("GIT_ICASE_PATHSPECS", "1"),
            ("GIT_QUARANTINE_PATH", "/nowhere"),
            ("GIT_EXTERNAL_DIFF", &run_canary),
            ("GIT_CONFIG_PARAMETERS", "'core.bare'='true'"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
            ("GIT_CONFIG_VALUE_0", &run_canary),
            ("GIT_EDITOR", &run_canary),
            ("GIT_TEMPLATE_DIR", "/nowhere"),
            ("GIT_SHALLOW_FILE", "/nowhere"),
        ];
        let before = s.code.snapshot();
        let assets = |args: &[&str]| s.code.assets_with(&hostile, args).ok();
        write(&s.recording(), "mine");
        assets(&["restore", "sdk/a"]);
        assert_eq!(s.content(), "mine");
        assets(&["reset", "-y", "sdk/a"]);
        assert_eq!(s.content(), "a1");
        assets(&["stash", "pop", "sdk/a"]);
        assert_eq!(s.content(), "mine");
        assert!(s.code.snapshot() == before, "the code repo was changed");
        assets(&["push", "--ours", "sdk/a"]);
        let pushed = s.code.pin("sdk/a", "SHA");
        assert_eq!(s.repo.file(&pushed, "recordings/sdk/a/a.json"), Some("mine".into()));
        let mut after = s.code.snapshot();
        after.insert("sdk/a/assets.json".into(), before["sdk/a/assets.json"].clone());
        assert!(after == before, "the code repo was changed");
        std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        assets(&["restore", "sdk/a"]);
        assert_eq!(s.content(), "mine");
        assert!(!canary.exists());
    });
}

#[test]
fn beside_an_empty_folder_of_the_name() {
    with_every_git(|world| {
        let s = scene(world);
        let checkout = s.code.checkout(&s.name);
        s.code.write("sdk/a/code.rs", "uncommitted");
        for command in [vec!["restore"], vec!["reset", "-y"], vec!["push"], vec!["stash", "pop"]] {
            std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
            std::fs::create_dir_all(&checkout).unwrap();
            let before = s.code.snapshot();
            s.code.assets([command.as_slice(), &["sdk/a"]].concat());
            assert!(s.code.snapshot() == before, "{command:?} changed the code repo");
        }
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.content(), "a1");
        assert_eq!(s.code.checkouts(), [s.name.as_str()]);
    });
}

#[test]
fn links_in_the_assets_folder_are_refused() {
    with_every_git(|world| {
        let s = scene(world);
        let (folder, checkout) = (s.code.path.join(".assets"), s.code.checkout(&s.name));
        let elsewhere = world.root().join("elsewhere");
        let victim = world.root().join("victim");
        let locks = folder.join(".locks");
        for link in [&folder, &checkout, &checkout.join(".git"), &locks, &locks.join(&s.name)] {
            let is_file = link.is_file();
            let moved = if is_file { &victim } else { &elsewhere };
            std::fs::rename(link, moved).unwrap();
            write(&victim, "precious");
            symlink(moved, link).unwrap();
            let before = snapshot(&elsewhere);
            s.pin(&s.pins[1]);
            let run = s.code.assets(["restore", "sdk/a"]).fails(1);
            run.says(&link.to_string_lossy());
            assert!(snapshot(&elsewhere) == before, "written through {}", link.display());
            assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{}", link.display());
            std::fs::remove_file(link).unwrap();
            std::fs::rename(moved, link).unwrap();
        }
    });
}

#[test]
fn planted_configuration_never_runs() {
    with_every_git(|world| {
        let s = scene(world);
        let checkout = s.code.checkout(&s.name);
        let canary = world.root().join("canary");
        let bait = world.root().join("bait");
        script(&bait, &format!("echo \"$0 $*\" >> {}; cat", canary.display()));
        for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-push", "fsmonitor-watchman"] {
            script(&world.root().join("hooks").join(hook), &format!("echo {hook} >> {}", canary.display()));
            script(&checkout.join(".git/hooks").join(hook), &format!("echo {hook} >> {}", canary.display()));
        }
        let (bait, hooks) = (bait.display().to_string(), world.root().join("hooks").display().to_string());
        world.write("included", format!("[core]\n\tfsmonitor = {bait}\n"));
        let included = world.root().join("included").display().to_string();
        let config = checkout.join(".git/config");
        let ours = std::fs::read_to_string(&config).unwrap();
        let planted = [
            format!("[core]\n\tfsmonitor = {bait}\n"),
            format!("[core]\n\tsshCommand = {bait}\n"),
            format!("[core]\n\thooksPath = {hooks}\n"),
            format!("[core]\n\taskPass = {bait}\n\teditor = {bait}\n\tpager = {bait}\n"),
            format!("[filter \"x\"]\n\tclean = {bait}\n\tsmudge = {bait}\n\tprocess = {bait}\n"),
            format!("[diff]\n\texternal = {bait}\n"),
            format!("[credential]\n\thelper = {bait}\n"),
            format!("[include]\n\tpath = {included}\n"),
            format!("[includeIf \"gitdir:/\"]\n\tpath = {included}\n"),
            format!("[remote \"origin\"]\n\tuploadpack = {bait}\n\treceivepack = {bait}\n"),
            format!("[url \"ext::{bait}\"]\n\tinsteadOf = {}\n", s.url),
            format!("[remote \"origin\"]\n\turl = ext::{bait}\n"),
            "[core]\n\tworktree = /\n".to_string(),
            format!("[gpg]\n\tprogram = {bait}\n[commit]\n\tgpgSign = true\n"),
        ];
        write(&checkout.join(".git/info/attributes"), "* filter=x diff=x merge=x\n");
        for text in planted {
            write(&s.recording(), "mine");
            write(&config, format!("{ours}{text}"));
            s.pin(&s.pins[1]);
            for command in [vec!["restore"], vec!["reset", "-y"], vec!["push"], vec!["stash", "list"]] {
                let run = s.code.assets([command.as_slice(), &["sdk/a"]].concat());
                assert!(run.code == Some(1), "{text} {command:?}\n{}", run.stderr);
                run.says(&format!("`{}` is not a checkout made by `assets`", checkout.display()));
            }
            assert!(!canary.exists(), "{text}{}", std::fs::read_to_string(&canary).unwrap());
            assert_eq!(s.content(), "mine");
        }
        write(&config, &ours);
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.content(), "a2");
        assert!(!canary.exists(), "{}", std::fs::read_to_string(&canary).unwrap());
    });
}

#[test]
fn other_planted_parts_of_a_git_directory() {
    with_every_git(|world| {
        let s = scene(world);
        let checkout = s.code.checkout(&s.name);
        let git = checkout.join(".git");
        for name in ["commondir", "gitdir"] {
            write(&git.join(name), s.code.path.join(".git").as_os_str().as_encoded_bytes());
            s.pin(&s.pins[1]);
            s.code.assets(["restore", "sdk/a"]).fails(1).says(&format!("`.git/{name}` leads to another repository"));
            std::fs::remove_file(git.join(name)).unwrap();
        }
        // Objects of another repository are not borrowed.
        let foreign = format!("{}\n", s.code.path.join(".git/objects").display());
        write(&git.join("objects/info/alternates"), &foreign);
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_ne!(std::fs::read_to_string(git.join("objects/info/alternates")).unwrap(), foreign);
        assert_eq!(s.content(), "a2");
        // `.git` as a file that leads to the code repo.
        let before = s.code.snapshot();
        std::fs::remove_dir_all(&git).unwrap();
        write(&git, format!("gitdir: {}\n", s.code.path.join(".git").display()));
        for command in [vec!["restore"], vec!["reset", "-y"], vec!["push"], vec!["stash", "list"]] {
            let run = s.code.assets([command.as_slice(), &["sdk/a"]].concat()).fails(1);
            run.says(&format!("`{}` is not a plain directory", git.display()));
        }
        assert!(s.code.snapshot() == before, "the code repo was changed");
        assert_eq!(s.content(), "a2");
    });
}
