//! Whatever can be wrong before anything works: one error in the user's words, git's own, a hint, the right exit code,
//! nothing on stdout, and nothing changed.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::net::TcpListener;

use crate::support::server::{Gate, GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, Run, World, gits, snapshot, with_every_git, write};

pub const FILE: &str = "recordings/sdk/a/a.json";
pub const GONE: &str = "1111111111111111111111111111111111111111";

pub struct Place<'a> {
    pub world: &'a World,
    pub code: CodeRepo,
    pub repo: AssetsRepo,
    pub sha: String,
}

/// A code repo with one package, which is not restored yet.
pub fn place(world: &World) -> Place<'_> {
    let repo = world.assets_repo("assets");
    let sha = repo.commit("main", &[(FILE, "one\n")]);
    let code = world.code_repo("code");
    code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &sha);
    Place { world, code, repo, sha }
}

impl Place<'_> {
    /// Runs a command that must fail with exactly this on stderr, where `$CODE`, `$REPO` and `$WORLD` stand for the
    /// folders, and must change nothing.
    #[track_caller]
    pub fn refuses<const N: usize>(&self, args: [&str; N], code: i32, stderr: &str) {
        self.refuses_with(&[], args, code, stderr);
    }

    #[track_caller]
    fn refuses_with<const N: usize>(&self, env: &[(&str, &str)], args: [&str; N], code: i32, stderr: &str) {
        let before = self.state();
        let run = self.code.assets_with(env, args).fails(code);
        self.said(&run, stderr);
        assert!(self.state() == before, "{args:?} changed something");
    }

    #[track_caller]
    fn said(&self, run: &Run, stderr: &str) {
        let short = run
            .stderr
            .replace(&*self.code.path.to_string_lossy(), "$CODE")
            .replace(&*self.repo.path.to_string_lossy(), "$REPO")
            .replace(&*self.world.root().to_string_lossy(), "$WORLD");
        // Its options are for other tests.
        let short =
            match short.split_once("`git fetch ").and_then(|(before, rest)| Some((before, rest.split_once('`')?))) {
                Some((before, (_, after))) => format!("{before}`git fetch ...`{after}"),
                None => short,
            };
        assert_eq!(short.trim_end(), stderr.trim());
        assert_eq!(run.stdout, "");
    }

    /// Everything that must stay: the code repo, the checkouts, the assets repo.
    fn state(&self) -> [BTreeMap<String, Vec<u8>>; 2] {
        let mut files = snapshot(&self.code.path);
        // A checkout that could not be made leaves the empty folder it would have been in.
        files.retain(|path, _| !path.starts_with(".assets/.locks/") && path != ".assets/.gitignore");
        [files, snapshot(&self.repo.path)]
    }

    /// Expects this about a manifest with this text.
    #[track_caller]
    pub fn manifest_refused(&self, text: &str, code: i32, stderr: &str) {
        let text = text.replace("$REPO", &self.repo.path.to_string_lossy());
        self.code.manifest("sdk/a", &text);
        self.refuses(["restore", "sdk/a"], code, stderr);
    }
}

/// The git command of a failed fetch, as [`Place::said`] shortens it.
const FETCH: &str = "`git fetch ...` exited with status 128";

#[test]
fn pins_that_are_not_there() {
    with_every_git(|world| {
        let place = place(world);
        let check = |key: &str| {
            format!("hint: check {key} in `sdk/a/assets.json`; earlier values: `git log -p -- :/sdk/a/assets.json`")
        };
        place.manifest_refused(
            r#"{"AssetsRepo": "$REPO", "AssetsRepoPrefixPath": "recordings", "Tag": "py/a_1"}"#,
            1,
            &format!(
                "\
error: cannot restore `sdk/a/assets.json`
  caused by: tag `py/a_1` is not in assets repo `$REPO`
  caused by: {}
             fatal: couldn't find remote ref refs/tags/py/a_1
{}",
                FETCH,
                check("`Tag`")
            ),
        );
        place.manifest_refused(
            r#"{"AssetsRepo": "$REPO", "AssetsRepoBranch": "none", "AssetsRepoFallbackBranch": "neither"}"#,
            1,
            &format!(
                "\
error: cannot restore `sdk/a/assets.json`
  caused by: assets repo `$REPO` has no branch `none` and no branch `neither`
  caused by: the `assets.json` has no pin, which means the tip of that branch
{}
hint: the branches there: `git ls-remote --heads $REPO`",
                check("`AssetsRepoBranch` and `AssetsRepoFallbackBranch`")
            ),
        );
        // A commit that is gone: the two sides of the connection each say so, in either order.
        place.code.branch_manifest("sdk/a", &place.repo.path.to_string_lossy(), GONE);
        let before = place.state();
        let run = place.code.assets(["restore", "sdk/a"]).fails(1);
        assert!(place.state() == before, "something was changed");
        let lines: Vec<&str> = run.stderr.lines().filter(|line| !line.contains("not our ref")).collect();
        assert!(run.stderr.contains(&format!("not our ref {GONE}")), "{}", run.stderr);
        let expected = format!(
            "\
error: cannot restore `sdk/a/assets.json`
  caused by: commit `{GONE}` is not in assets repo `$REPO`
  caused by: {}
{}
hint: if the branch was rewritten or deleted, ask whoever pushed the recordings to push them again",
            FETCH,
            check("`SHA`")
        );
        place.said(&Run { stderr: lines.join("\n"), ..run }, &expected);
    });
}

#[test]
fn repos_that_are_not_there() {
    with_every_git(|world| {
        let place = place(world);
        let text = format!(r#"{{"AssetsRepo": "{}/no repo.git", "SHA": "{GONE}"}}"#, world.root().display());
        place.manifest_refused(
            &text,
            1,
            &format!(
                "\
error: cannot fetch from assets repo `$WORLD/no repo.git`
  caused by: {}
             fatal: '$WORLD/no repo.git' does not appear to be a git repository
             fatal: Could not read from remote repository.
             Please make sure you have the correct access rights
             and the repository exists.
hint: check `AssetsRepo` in the `assets.json` with `git ls-remote '$WORLD/no repo.git'`",
                FETCH
            ),
        );
        let server = GitServer::start(world.root(), Options::default());
        let (url, host) = (format!("{}/none.git", server.url()), server.url().replace("http://", ""));
        place.manifest_refused(
            &format!(r#"{{"AssetsRepo": "{url}", "SHA": "{GONE}"}}"#),
            1,
            &format!(
                "\
error: cannot fetch from assets repo `{url}`
  caused by: {}
             fatal: repository '{url}/' not found
hint: check `AssetsRepo` in the `assets.json` with `git ls-remote {url}`; a private repo is also reported as not found when you have no access to it
hint: or set `GIT_TOKEN` to a token for `{host}`, and `ASSETS_TOKEN_HOST={host}`",
                FETCH
            ),
        );
    });
}

#[test]
fn no_access() {
    with_every_git(|world| {
        let place = place(world);
        let server = GitServer::start(world.root(), Options::default());
        server.set_access(Gate::password("secret"), Gate::password("secret"));
        let (url, host) = (format!("{}/assets.git", server.url()), server.url().replace("http://", ""));
        let text = format!(r#"{{"AssetsRepo": "{url}", "SHA": "{}"}}"#, place.sha);
        place.manifest_refused(
            &text,
            4,
            &format!(
                "\
error: cannot fetch from assets repo `{url}`
  caused by: {}
             fatal: could not read Username for '{}': terminal prompts disabled
hint: check your access with `git ls-remote {url}`
hint: or set `GIT_TOKEN` to a token for `{host}`, and `ASSETS_TOKEN_HOST={host}`",
                FETCH,
                server.url()
            ),
        );
    });
}

#[test]
fn no_network() {
    with_every_git(|world| {
        let place = place(world);
        // A port that was free a moment ago, and that nobody listens on.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/o/n.git");
        place.code.branch_manifest("sdk/a", &url, &place.sha);
        let before = place.state();
        let run = place.code.assets(["restore", "sdk/a"]).fails(5);
        assert!(place.state() == before, "something was changed");
        // Git says how many milliseconds it took.
        let (words, rest) = run.stderr.split_once("Failed to connect").expect("git's own words");
        let (_, after) = rest.split_once('\n').expect("more lines");
        let stderr = format!("{words}...\n{after}");
        place.said(
            &Run { stderr, ..run },
            &format!(
                "\
error: cannot fetch from assets repo `{url}`
  caused by: {}
             fatal: unable to access '{url}/': ...
hint: check the network, then run the same command again; what is already restored works with `--offline`",
                FETCH
            ),
        );
    });
}

#[test]
fn no_git_and_an_old_git() {
    let world = World::new();
    let place = place(&world);
    let empty = world.root().join("tmp").to_string_lossy().into_owned();
    place.refuses_with(
        &[("PATH", &empty)],
        ["restore", "sdk/a"],
        1,
        "\
error: git is not installed, or not on `PATH`
  caused by: cannot find binary path
hint: install git 2.39 or newer, then check with `git --version`",
    );
    let git = world.root().join("bin/git");
    std::fs::remove_file(&git).unwrap();
    script(&git, "#!/bin/sh\necho git version 2.20.1\n");
    place.refuses(
        ["restore", "sdk/a"],
        1,
        "\
error: git is too old: 2.39 or newer is needed
  caused by: `$WORLD/bin/git` is git version 2.20.1
hint: install a newer git and put it first on `PATH`; check with `git --version`",
    );
    script(&git, "#!/bin/sh\necho hello\n");
    place.refuses(
        ["restore", "sdk/a"],
        1,
        "\
error: cannot tell the version of `$WORLD/bin/git`
  caused by: `git --version` printed `hello`
hint: check with `git --version` that git works",
    );
    // With another git it works: the answer about the old one is not kept.
    std::fs::remove_file(&git).unwrap();
    std::os::unix::fs::symlink(&gits()[0], &git).unwrap();
    place.code.assets(["restore", "sdk/a"]).ok();
}

fn script(file: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    write(file, text);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn assets_folders_that_cannot_be_written() {
    let world = World::new();
    let place = place(&world);
    let elsewhere = "another assets folder with `PROXY_ASSETS_FOLDER`";
    place.refuses_with(
        &[("PROXY_ASSETS_FOLDER", "README.md/below")],
        ["restore", "sdk/a"],
        1,
        &format!(
            "\
error: cannot create the assets folder `$CODE/README.md/below`
  caused by: Not a directory (os error 20)
hint: a file stands where a folder is needed; name {elsewhere}"
        ),
    );
    place.code.write(".assets", "a file\n");
    place.refuses(
        ["restore", "sdk/a"],
        1,
        &format!("error: `$CODE/.assets` is not a directory\nhint: move it away, or name {elsewhere}"),
    );
    std::fs::remove_file(place.code.path.join(".assets")).unwrap();
    std::os::unix::fs::symlink(world.root(), place.code.path.join(".assets")).unwrap();
    place.refuses(
        ["restore", "sdk/a"],
        1,
        "\
error: `$CODE/.assets` is a symbolic link
  caused by: a link may come with somebody's commit and lead anywhere
hint: delete it; to keep recordings elsewhere set `PROXY_ASSETS_FOLDER`",
    );
    // A file system that not even root can write.
    place.refuses_with(
        &[("PROXY_ASSETS_FOLDER", "/proc/assets")],
        ["restore", "sdk/a"],
        1,
        "\
error: cannot create the assets folder `/proc/assets`
  caused by: No such file or directory (os error 2)
hint: name another assets folder with `PROXY_ASSETS_FOLDER`",
    );
}

#[test]
fn commands_that_come_too_early() {
    let world = World::new();
    let place = place(&world);
    place.refuses(
        ["push", "sdk/a"],
        1,
        "\
error: cannot push `sdk/a/assets.json`
  caused by: it is not restored, so there is nothing to push
hint: restore it first, then record into it: `assets restore sdk/a`",
    );
    place.refuses(
        ["stash", "pop", "sdk/a"],
        1,
        "\
error: `sdk/a/assets.json` is not restored, so nothing can be brought back into it
hint: restore it first: `assets restore sdk/a`",
    );
    place.code.assets(["restore", "sdk/a"]).ok();
    place.refuses(["stash", "pop", "sdk/a"], 1, "error: nothing was put aside for `sdk/a/assets.json`");
    write(&place.code.only_checkout().join(FILE), "mine\n");
    place.refuses(
        ["reset", "sdk/a"],
        3,
        "\
error: reset drops 1 pending change of `sdk/a/assets.json` and needs a yes
  caused by: pending changes:
               recordings/sdk/a/a.json
hint: confirm with `assets reset -y sdk/a`",
    );
}

#[test]
fn hints_name_the_package_as_it_can_be_named_again() {
    let world = World::new();
    let place = place(&world);
    place.code.write("sdk/a/tests/x", "");
    let refused = |dir: &str, args: &[&str]| {
        let mut command = place.code.command(&[], args);
        command.current_dir(place.code.path.join(dir));
        let run = crate::support::finish(command.spawn().unwrap()).fails(1);
        run.stderr.lines().last().unwrap().split_once(": `").unwrap().1.trim_end_matches('`').to_string()
    };
    assert_eq!(refused("sdk/a", &["push"]), "assets restore");
    assert_eq!(refused("sdk/a/tests", &["push", ".."]), "assets restore ..");
    assert_eq!(refused("sdk", &["push", "-a", "a/assets.json"]), "assets restore a/assets.json");
    let file = place.code.path.join("sdk/a/assets.json");
    assert_eq!(refused(".", &["push", "-l", "sdk", "a"]), format!("assets restore {}", file.display()));
}
