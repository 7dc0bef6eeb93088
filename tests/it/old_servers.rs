//! Servers that do not send an object by its id: what they have is found all the same, and what they do not have is told.

use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, Run, World, run, with_every_git, write};

/// What a server can do besides sending branches and tags.
struct Kind {
    name: &'static str,
    is_old: bool,
    config: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind { name: "old", is_old: true, config: &[] },
    Kind { name: "old, with filters", is_old: true, config: &["uploadpack.allowFilter"] },
    Kind {
        name: "old, with commits by their ids",
        is_old: true,
        config: &["uploadpack.allowFilter", "uploadpack.allowReachableSHA1InWant"],
    },
    Kind { name: "without filters", is_old: false, config: &[] },
];

/// An assets repo on a server of a kind, with three commits on `main` and one on another branch, and a code repo.
struct Scene<'a> {
    world: &'a World,
    repo: AssetsRepo,
    server: GitServer,
    code: CodeRepo,
    /// The commits of `main`, oldest first.
    pins: Vec<String>,
    /// The commit before the tip of the other branch.
    elsewhere: String,
}

const PATHS: [&str; 2] = ["recordings/sdk/a/a.json", "recordings/sdk/b/b.json"];

impl<'a> Scene<'a> {
    fn new(world: &'a World, kind: &Kind) -> Scene<'a> {
        println!("server: {}", kind.name);
        let repo = world.assets_repo("assets");
        repo.git(["config", "--unset", "uploadpack.allowFilter"]).ok();
        let commit = |branch: &str, text: &str| {
            let text = format!("{text}\n");
            repo.commit(branch, &PATHS.map(|path| (path, text.as_str())))
        };
        let pins = ["one", "two", "three"].map(|text| commit("main", text)).to_vec();
        let elsewhere = commit("auto/x", "elsewhere");
        commit("auto/x", "later");
        let mut config: Vec<_> = kind.config.iter().map(|key| (key.to_string(), "true".to_string())).collect();
        config.push(("http.receivepack".into(), "true".into()));
        let server = GitServer::start(world.root(), Options { config, is_old: kind.is_old, ..Options::default() });
        let code = world.code_repo("code");
        Scene { world, repo, server, code, pins, elsewhere }
    }

    fn url(&self) -> String {
        format!("{}/assets.git", self.server.url())
    }

    fn pin(&self, folder: &str, sha: &str) {
        self.code.branch_manifest(folder, &self.url(), sha);
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.code.only_checkout().join(path)).unwrap_or_default()
    }

    fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.code.path.join(".assets"));
        let _ = std::fs::remove_dir_all(self.world.root().join("cache"));
    }
}

fn with_every_kind(test: impl Fn(&Scene)) {
    for kind in KINDS {
        with_every_git(|world| test(&Scene::new(world, kind)));
    }
}

#[test]
fn older_commits_are_restored_and_work_offline() {
    with_every_kind(|s| {
        s.pin("sdk/a", &s.pins[0]);
        s.pin("sdk/b", &s.pins[1]);
        s.code.assets(["restore", "--all"]).ok();
        assert_eq!([s.read(PATHS[0]), s.read(PATHS[1])], ["one\n", "two\n"]);
        s.pin("sdk/a", &s.elsewhere);
        s.code.assets(["restore", "--all"]).ok();
        assert_eq!([s.read(PATHS[0]), s.read(PATHS[1])], ["elsewhere\n", "two\n"]);
        s.pin("sdk/a", &s.pins[2]);
        s.code.assets(["restore", "--all"]).ok();
        assert_eq!([s.read(PATHS[0]), s.read(PATHS[1])], ["three\n", "two\n"]);
        // Everything is here now.
        std::fs::remove_dir_all(s.code.path.join(".assets")).unwrap();
        let before = s.server.totals();
        for (pin, text) in [(&s.pins[0], "one\n"), (&s.elsewhere, "elsewhere\n"), (&s.pins[2], "three\n")] {
            s.pin("sdk/a", pin);
            s.code.assets(["restore", "--offline", "--all"]).ok();
            assert_eq!(s.read(PATHS[0]), text);
        }
        assert_eq!(s.server.totals(), before);
        s.code.git_in(&s.code.only_checkout(), ["fsck", "--connectivity-only", "HEAD"]).ok();
    });
}

#[test]
fn a_commit_that_is_nowhere_is_told_of_in_true_words() {
    with_every_kind(|s| {
        s.pin("sdk/a", &"1".repeat(40));
        s.pin("sdk/b", &s.pins[0]);
        let run: Run = s.code.assets(["restore", "--all"]).fails(1);
        let run = run.says(&format!("commit `{}` is not in assets repo", "1".repeat(40)));
        let looked = run.stderr.contains("none of its 2 branches and tags leads to it");
        let told = run.stderr.contains("not our ref");
        assert!(looked || told, "{}", run.stderr);
        // The other package is restored in the same run.
        assert_eq!(s.read(PATHS[1]), "one\n");
    });
}

#[test]
fn tags_are_restored_with_their_files() {
    with_every_kind(|s| {
        s.repo.tag("py/a_1", &s.pins[0]);
        s.repo.tag("py/a_2", &s.pins[1]);
        s.code.tag_manifest("sdk/a", &s.url(), "py/a_1");
        s.code.assets(["restore", "sdk/a"]).ok();
        // As after a tag that held more than its package: files are left out from then on.
        let stores = std::fs::read_dir(s.world.root().join("cache/stores")).unwrap().flatten();
        for store in stores.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            write(&store.join("assets-filter"), "blob:none\n");
        }
        s.code.tag_manifest("sdk/a", &s.url(), "py/a_2");
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.read(PATHS[0]), "two\n");
        s.code.tag_manifest("sdk/a", &s.url(), "py/none");
        s.code.assets(["restore", "sdk/a"]).fails(1).says("tag `py/none` is not in assets repo");
    });
}

#[test]
fn pushes_go_on_top_of_what_others_pushed() {
    with_every_kind(|s| {
        s.pin("sdk/a", &s.pins[1]);
        s.code.assets(["restore", "sdk/a"]).ok();
        write(&s.code.only_checkout().join("recordings/sdk/a/mine.json"), "mine\n");
        s.repo.commit(
            "auto/a",
            &[("recordings/sdk/a/theirs.json", "theirs\n"), ("recordings/sdk/a/large.json", "large\n")],
        );
        s.code.assets(["push", "sdk/a"]).ok();
        let on_branch = |path: &str| s.repo.file("auto/a", path).unwrap_or_default();
        assert_eq!(on_branch("recordings/sdk/a/mine.json"), "mine\n");
        assert_eq!(on_branch("recordings/sdk/a/theirs.json"), "theirs\n");
        assert_eq!(s.read("recordings/sdk/a/theirs.json"), "theirs\n");
        assert_eq!(s.repo.rev("auto/a"), Some(s.code.pin("sdk/a", "SHA")));
        s.forget();
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.read("recordings/sdk/a/mine.json"), "mine\n");
    });
}

/// More commits back than are looked through first.
#[test]
fn a_commit_far_back_is_found() {
    for kind in &KINDS[..2] {
        let world = World::new();
        let s = Scene::new(&world, kind);
        let script = "tree=$(git rev-parse main^{tree}); tip=$(git rev-parse main)
            for n in $(seq 70); do tip=$(git commit-tree -p $tip -m $n $tree); done
            git update-ref refs/heads/main $tip";
        let mut env = s.code.env().to_vec();
        env.extend(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_NAME"), "T".to_string())));
        env.extend(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_EMAIL"), "t@x".to_string())));
        run(&s.repo.path, &env, "sh", ["-c", script]).ok();
        s.pin("sdk/a", &s.pins[0]);
        s.code.assets(["restore", "sdk/a"]).ok();
        assert_eq!(s.read(PATHS[0]), "one\n");
    }
}

/// By ssh an old server allows no more than its configuration says, and has another answer.
#[cfg(unix)]
#[test]
fn a_server_that_only_gives_tips_by_their_ids() {
    with_every_git(|world| {
        let s = Scene::new(world, &KINDS[0]);
        let ssh = world.root().join("ssh");
        let git = format!("exec git -c uploadpack.allowTipSHA1InWant=true upload-pack '{}'", s.repo.path.display());
        write(&ssh, format!("#!/bin/sh\nunset GIT_PROTOCOL\n{git}\n"));
        std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let env = [("GIT_SSH_COMMAND", &*ssh.to_string_lossy()), ("GIT_SSH_VARIANT", "simple")];
        for (pin, text) in [(&s.pins[0], "one\n"), (&s.elsewhere, "elsewhere\n"), (&s.pins[2], "three\n")] {
            s.code.branch_manifest("sdk/a", "git@host:assets.git", pin);
            s.code.assets_with(&env, ["restore", "sdk/a"]).ok();
            assert_eq!(s.read(PATHS[0]), text);
        }
        s.code.branch_manifest("sdk/a", "git@host:assets.git", &"1".repeat(40));
        let run = s.code.assets_with(&env, ["restore", "sdk/a"]).fails(1);
        run.says("none of its 2 branches and tags leads to it");
    });
}
