//! What the tests of push share: a served assets repo with two packages, a code repo that restored one of them, and
//! looks at what must not have changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::support::server::{GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, Run, World, snapshot, write};

/// The branch that `sdk/a` is pushed to when its manifest names none.
pub const BRANCH: &str = "refs/heads/auto/a";

/// Paths and contents.
type Files = BTreeMap<String, Vec<u8>>;

/// An assets repo with two packages on `main`, and a code repo `code` that has `sdk/a` at that commit.
pub struct Stage<'a> {
    pub world: &'a World,
    pub repo: AssetsRepo,
    pub code: CodeRepo,
    /// The first commit of `main`.
    pub base: String,
    server: OnceLock<GitServer>,
}

impl<'a> Stage<'a> {
    /// In the branch form, restored.
    pub fn branch(world: &'a World) -> Stage<'a> {
        let stage = Stage::unrestored(world);
        stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
        stage.code.commit("manifest");
        stage.code.assets(["restore", "sdk/a"]).ok();
        stage
    }

    /// In the branch form over HTTP, restored.
    pub fn served(world: &'a World) -> Stage<'a> {
        let stage = Stage::unrestored(world);
        stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
        stage.code.commit("manifest");
        stage.code.assets(["restore", "sdk/a"]).ok();
        stage.server().reset_log();
        stage
    }

    /// In the tag form over HTTP, restored at the tag `py/sdk/a_1`.
    pub fn tagged(world: &'a World) -> Stage<'a> {
        let stage = Stage::unrestored(world);
        stage.repo.tag("py/sdk/a_1", &stage.base);
        stage.code.tag_manifest("sdk/a", &stage.url(), "py/sdk/a_1");
        stage.code.commit("manifest");
        stage.code.assets(["restore", "sdk/a"]).ok();
        stage.server().reset_log();
        stage
    }

    /// Without a manifest.
    pub fn unrestored(world: &'a World) -> Stage<'a> {
        let repo = world.assets_repo("assets");
        let base = repo.commit(
            "main",
            &[
                ("recordings/sdk/a/one.json", "one\n"),
                ("recordings/sdk/a/two.json", "two\n"),
                ("recordings/sdk/a/deep/three.json", "three\n"),
                ("recordings/sdk/b/one.json", "b one\n"),
                ("recordings/readme.txt", "above the slices\n"),
                ("elsewhere/x.json", "x\n"),
            ],
        );
        let code = world.code_repo("code");
        Stage { world, repo, code, base, server: OnceLock::new() }
    }

    /// The assets repo as a path.
    pub fn path(&self) -> String {
        self.repo.path.to_string_lossy().into_owned()
    }

    /// The assets repo's URL at the server, which is started when it is first needed.
    pub fn url(&self) -> String {
        format!("{}/assets.git", self.server().url())
    }

    pub fn server(&self) -> &GitServer {
        self.server.get_or_init(|| GitServer::start(self.world.root(), Options::default()))
    }

    /// Another clone of the code repo, restored.
    pub fn clone_of_code(&self, name: &str) -> CodeRepo {
        let code = self.world.code_repo(name);
        code.manifest("sdk/a", &self.code.git(["show", "HEAD:sdk/a/assets.json"]).ok().stdout);
        code.assets(["restore", "sdk/a"]).ok();
        code
    }

    /// The same with a manifest that pins this commit, over HTTP.
    pub fn clone_of_code_at(&self, pin: &str, name: &str) -> CodeRepo {
        let code = self.world.code_repo(name);
        code.branch_manifest("sdk/a", &self.url(), pin);
        code.assets(["restore", "sdk/a"]).ok();
        code
    }

    /// Records files of `sdk/a` in the code repo's checkout.
    pub fn record(&self, files: &[(&str, &str)]) {
        record(&self.code, files);
    }

    pub fn push(&self) -> Run {
        self.code.assets(["push", "sdk/a"])
    }

    /// What `sdk/a` pins.
    pub fn sha(&self) -> String {
        self.code.pin("sdk/a", "SHA")
    }

    /// The same from a manifest with comments.
    pub fn sha_of_commented(&self) -> String {
        let text = self.code.read("sdk/a/assets.json");
        let value = text.split("\"SHA\": \"").nth(1).expect("a pin");
        value[..40].to_string()
    }

    /// Every ref of the remote.
    pub fn refs(&self) -> String {
        self.repo.git(["for-each-ref"]).ok().stdout
    }

    /// The parents of a commit of the remote.
    pub fn parents(&self, commit: &str) -> String {
        self.repo.git(["log", "-1", "--format=%P", commit]).ok().stdout.trim().to_string()
    }

    /// All that a refused push must leave as it is: the remote's refs, the code repo, and in the checkout the files,
    /// HEAD, refs and index.
    pub fn state(&self) -> (String, Files, Files) {
        let (code, checkout) = self.state_of_code();
        (self.refs(), code, checkout)
    }

    /// The same without the remote.
    pub fn state_of_code(&self) -> (Files, Files) {
        let mut checkout = snapshot(&self.code.only_checkout());
        checkout.retain(|path, _| {
            ["", "HEAD", "index", "refs", "packed-refs", "config", "info"]
                .contains(&path.strip_prefix(".git/").unwrap_or_default().split('/').next().unwrap_or_default())
        });
        (self.code.snapshot(), checkout)
    }

    /// Expects that the slice shows its pin: clean, and a restore has nothing to do and needs no remote.
    #[track_caller]
    pub fn is_settled(&self) {
        is_settled(&self.code);
    }
}

/// Records files of `sdk/a` in a code repo's checkout; an empty content deletes.
pub fn record(code: &CodeRepo, files: &[(&str, &str)]) {
    for (path, content) in files {
        let file = recording(code, path);
        if content.is_empty() { std::fs::remove_file(file).unwrap() } else { write(&file, content) }
    }
}

/// A file of `sdk/a` in a code repo's checkout.
pub fn recording(code: &CodeRepo, path: &str) -> PathBuf {
    code.only_checkout().join("recordings/sdk/a").join(path)
}

/// The content of a file of `sdk/a` in a code repo's checkout; empty when it is not there.
pub fn recorded(code: &CodeRepo, path: &str) -> String {
    std::fs::read_to_string(recording(code, path)).unwrap_or_default()
}

#[track_caller]
pub fn is_settled(code: &CodeRepo) {
    let checkout = code.only_checkout();
    assert_eq!(code.git_in(&checkout, ["status", "--porcelain"]).ok().stdout, "");
    let before = snapshot(&checkout);
    code.assets_with(&[("PATH", "/nowhere")], ["restore", "sdk/a"]).ok(); // without any git
    assert!(before == snapshot(&checkout), "a restore that had nothing to do changed the checkout");
}

/// Makes a script that runs on the remote as this hook.
pub fn remote_hook(repo: &AssetsRepo, name: &str, script: &str) {
    let file = repo.path.join("hooks").join(name);
    write(&file, format!("#!/bin/sh\n{script}\n"));
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Puts a script in front of git: it has the real git as `$git`, and what it does not end itself goes on to that.
#[cfg(unix)]
pub fn wrap_git(world: &World, script: &str) {
    let git = world.root().join("bin/git");
    let real = std::fs::read_link(&git).expect("a link to the real git");
    std::fs::remove_file(&git).unwrap();
    write(&git, format!("#!/bin/sh\ngit={}\n{script}\nexec \"$git\" \"$@\"\n", real.display()));
    std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Takes the script of [`wrap_git`] away again.
#[cfg(unix)]
pub fn unwrap_git(world: &World) {
    let git = world.root().join("bin/git");
    let script = std::fs::read_to_string(&git).unwrap();
    let real = script.lines().find_map(|line| line.strip_prefix("git=")).expect("a script of ours").to_string();
    std::fs::remove_file(&git).unwrap();
    std::os::unix::fs::symlink(real, &git).unwrap();
}
