//! `GIT_TOKEN`: it works, reaches its own host and no other, and leaves no trace.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;

use crate::pushing::{BRANCH, Stage, recorded};
use crate::support::server::{ALWAYS, Fault, Gate, GitServer, Options, basic_credentials};
use crate::support::{Run, World, snapshot, with_every_git, write};

const TOKEN: &str = "ghp_s3cretS3cretS3cret";

/// A served assets repo that needs the token, and a code repo with a manifest.
fn locked(world: &World) -> Stage<'_> {
    let stage = Stage::unrestored(world);
    stage.server().set_access(Gate::password(TOKEN), Gate::password(TOKEN));
    stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
    stage.code.commit("manifest");
    stage
}

fn host(server: &GitServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// Runs `assets` with a token for the server of the stage.
fn assets(stage: &Stage, more: &[(&str, &str)], args: &[&str]) -> Run {
    let host = host(stage.server());
    let env = [&[("GIT_TOKEN", TOKEN), ("ASSETS_TOKEN_HOST", &host)], more].concat();
    stage.code.assets_with(&env, args)
}

/// The token, and how it travels in a header.
fn forms() -> [String; 2] {
    let header = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    [TOKEN.to_string(), header]
}

#[track_caller]
fn not_in(text: &[u8], what: &str) {
    for form in forms() {
        assert!(!text.windows(form.len()).any(|part| part == form.as_bytes()), "the token is in {what}");
    }
}

#[track_caller]
fn in_no_file(root: &Path) {
    for (path, content) in snapshot(root) {
        not_in(&content, &path);
        not_in(path.as_bytes(), "a file name");
    }
}

#[test]
fn restore_and_push_with_it() {
    with_every_git(|world| {
        let stage = locked(world);
        assets(&stage, &[], &["restore", "sdk/a"]).ok();
        assert_eq!(recorded(&stage.code, "one.json"), "one\n");
        stage.record(&[("one.json", "mine\n")]);
        assets(&stage, &[], &["push", "sdk/a"]).ok();
        assert_eq!(stage.repo.rev(BRANCH), Some(stage.sha()));
        stage.is_settled();
        let requests = stage.server().requests();
        assert!(requests.iter().all(|request| request.status == 200), "nothing is asked twice");
        for request in requests {
            let (_, password) = basic_credentials(request.header("authorization")).expect("credentials");
            assert_eq!(password, TOKEN);
        }
    });
}

#[test]
fn without_it_or_with_a_wrong_one() {
    with_every_git(|world| {
        let stage = locked(world);
        let host = host(stage.server());
        let run = stage.code.assets(["restore", "sdk/a"]).fails(4);
        assert!(run.stderr.contains(&format!("set `GIT_TOKEN` to a token for `{host}`")), "{}", run.stderr);

        let wrong = [("GIT_TOKEN", "wrong-wrong-wrong"), ("ASSETS_TOKEN_HOST", host.as_str())];
        let run = stage.code.assets_with(&wrong, ["restore", "sdk/a", "-vv"]).fails(4);
        assert!(run.stderr.contains(&format!("`GIT_TOKEN` was sent to `{host}`")), "{}", run.stderr);
        assert!(!run.stderr.contains("wrong-wrong"), "{}", run.stderr);
        assert!(stage.code.checkouts().is_empty());

        assets(&stage, &[], &["restore", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        let before = stage.state();
        let run = stage.code.assets_with(&wrong, ["push", "sdk/a"]).fails(4);
        assert!(run.stderr.contains(&format!("`GIT_TOKEN` was sent to `{host}`")), "{}", run.stderr);
        assert!(before == stage.state());
    });
}

#[test]
fn a_token_that_may_read_but_not_push() {
    let world = World::new();
    let stage = locked(&world);
    stage.server().set_access(Gate::password(TOKEN), Gate::Forbidden);
    assets(&stage, &[], &["restore", "sdk/a"]).ok();
    stage.record(&[("one.json", "mine\n")]);
    let before = stage.state();
    assets(&stage, &[], &["push", "sdk/a"]).fails(4).says("403").says("may it read and write this repo?");
    assert!(before == stage.state());
}

#[test]
fn it_goes_to_no_other_host() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        stage.code.branch_manifest("sdk/a", &stage.url(), &stage.base);
        // For GitHub when nothing else is said, for another port, for another name of the same machine.
        let other = GitServer::start(world.root(), Options::default());
        let port = stage.server().port();
        for elsewhere in [None, Some(host(&other)), Some(format!("localhost:{port}")), Some("127.0.0.1".to_string())] {
            let _ = std::fs::remove_dir_all(stage.code.path.join(".assets"));
            let _ = std::fs::remove_dir_all(world.root().join("cache"));
            let mut env = vec![("GIT_TOKEN", TOKEN)];
            env.extend(elsewhere.as_deref().map(|host| ("ASSETS_TOKEN_HOST", host)));
            stage.code.assets_with(&env, ["restore", "sdk/a"]).ok();
            stage.record(&[("one.json", &format!("mine {elsewhere:?}\n"))]);
            stage.code.assets_with(&env, ["push", "sdk/a"]).ok();
        }
        assert!(stage.server().totals().requests > 0);
        assert!(!stage.server().requests().iter().any(|request| request.had_authorization()));
        // The error says why it was not sent.
        stage.server().set_access(Gate::password(TOKEN), Gate::password(TOKEN));
        let _ = std::fs::remove_dir_all(world.root().join("cache"));
        let _ = std::fs::remove_dir_all(stage.code.path.join(".assets"));
        let env = [("GIT_TOKEN", TOKEN)];
        let run = stage.code.assets_with(&env, ["restore", "sdk/a"]).fails(4);
        assert!(run.stderr.contains(&format!("set `ASSETS_TOKEN_HOST=127.0.0.1:{port}`")), "{}", run.stderr);
    });
}

/// The proxy sees whatever goes over an unencrypted connection.
#[test]
fn it_is_not_sent_in_clear_text() {
    with_every_git(|world| {
        let stage = Stage::unrestored(world);
        let proxy = GitServer::start(world.root(), Options::default());
        let through = proxy.url();
        proxy.set_fault(Fault::Status { code: 401, retry_after: None, times: ALWAYS });
        stage.code.branch_manifest("sdk/a", "http://git.example/assets.git", &stage.base);
        let with = |host: &str| {
            proxy.reset_log();
            let env = [("GIT_TOKEN", TOKEN), ("ASSETS_TOKEN_HOST", host), ("http_proxy", &through)];
            let run = stage.code.assets_with(&env, ["restore", "sdk/a"]).fails(4);
            let doctor = stage.code.assets_with(&env, ["doctor", "sdk/a"]).fails(4);
            assert!(proxy.requests().iter().all(|request| request.host() == "git.example"));
            (run, doctor, proxy.requests().iter().any(|request| request.had_authorization()))
        };
        let (run, doctor, sent) = with("git.example");
        assert!(!sent, "the token was sent");
        run.says("`GIT_TOKEN` was not sent: the connection to `git.example` is not encrypted; write `https://`")
            .says("set `ASSETS_TOKEN_HOST=http://git.example`");
        assert!(doctor.stdout.contains("`GIT_TOKEN` is not sent to `git.example`"), "{}", doctor.stdout);
        let (run, _, sent) = with("http://git.example");
        assert!(sent, "the user allows it");
        run.says("`GIT_TOKEN` was sent to `git.example`");
    });
}

#[test]
fn a_proxy_does_not_see_it_on_its_way_to_this_machine() {
    with_every_git(|world| {
        let stage = locked(world);
        let proxy = GitServer::start(world.root(), Options::default());
        assets(&stage, &[("http_proxy", &proxy.url())], &["restore", "sdk/a"]).ok();
        assert_eq!(proxy.totals().requests, 0);
    });
}

#[test]
fn it_is_not_sent_along_with_a_redirect() {
    with_every_git(|world| {
        let stage = locked(world);
        let target = GitServer::start(world.root(), Options::default());
        assets(&stage, &[], &["restore", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        stage.server().set_fault(Fault::RedirectTo(target.url()));
        let before = stage.state();
        assets(&stage, &[], &["push", "sdk/a"]).fails(1).says("redirects are not followed");
        assert!(before == stage.state());
        let _ = std::fs::remove_dir_all(world.root().join("cache"));
        let _ = std::fs::remove_dir_all(stage.code.path.join(".assets"));
        assets(&stage, &[], &["restore", "sdk/a"]).fails(1).says("redirects are not followed");
        assert_eq!(target.totals().requests, 0);
    });
}

#[test]
fn a_header_of_the_users_own_configuration_does_not_join_it() {
    let world = World::new();
    let stage = locked(&world);
    let config = std::fs::read_to_string(world.root().join("home/.gitconfig")).unwrap();
    let server = stage.server().url();
    let left_behind = format!("{config}[http \"{server}/\"]\n\textraHeader = Authorization: Basic bGVmdDpiZWhpbmQ=\n");
    world.write("home/.gitconfig", left_behind);
    assets(&stage, &[], &["restore", "sdk/a"]).ok();
    for request in stage.server().requests() {
        let sent = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).count();
        assert_eq!(sent, 1);
    }
}

#[test]
fn it_is_in_no_file_and_no_output() {
    with_every_git(|world| {
        let stage = locked(world);
        // The user traces everything, by environment and by configuration.
        let below = |name: &str| world.root().join(name).to_string_lossy().into_owned();
        std::fs::create_dir_all(world.root().join("trace2")).unwrap();
        let config = std::fs::read_to_string(world.root().join("home/.gitconfig")).unwrap();
        let traced = format!(
            "{config}[trace2]\n\teventTarget = {}\n\tnormalTarget = {}\n\tconfigParams = *\n\tenvVars = {}\n",
            below("trace2"),
            below("trace2-normal"),
            (0..80).map(|n| format!("GIT_CONFIG_VALUE_{n}")).collect::<Vec<_>>().join(",") + ",GIT_TOKEN",
        );
        world.write("home/.gitconfig", traced);
        let names = [
            "GIT_TRACE",
            "GIT_TRACE_CURL",
            "GIT_TRACE_PACKET",
            "GIT_TRACE_SETUP",
            "GIT_TRACE2",
            "GIT_TRACE2_EVENT",
            "GIT_TRACE2_PERF",
            "GIT_TRACE_REDACT",
            "GIT_CURL_VERBOSE",
            "GIT_TRACE_CURL_NO_DATA",
        ];
        let values: Vec<String> = names
            .iter()
            .map(|name| match *name {
                "GIT_TRACE_REDACT" => "0".to_string(),
                "GIT_CURL_VERBOSE" => "1".to_string(),
                name => below(&format!("{name}.log")),
            })
            .collect();
        let mut env: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        env.push(("GIT_TRACE2_CONFIG_PARAMS", "*"));
        let restored = assets(&stage, &env, &["restore", "sdk/a", "-vv"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        let pushed = assets(&stage, &env, &["push", "sdk/a", "-vv"]).ok();
        stage.server().set_fault(Fault::Status { code: 403, retry_after: None, times: ALWAYS });
        stage.record(&[("one.json", "mine again\n")]);
        let failed = assets(&stage, &env, &["push", "sdk/a", "-vv"]).fails(4);
        let json = assets(&stage, &env, &["push", "sdk/a", "--json"]).fails(4);
        for run in [restored, pushed, failed, json] {
            not_in(run.stdout.as_bytes(), "stdout");
            not_in(run.stderr.as_bytes(), "stderr");
        }
        in_no_file(world.root());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn it_is_in_no_argument() {
    with_every_git(|world| {
        let stage = locked(world);
        // Every git that is started by name writes its arguments down; those that git starts are seen while they wait
        // for an answer.
        let log = world.root().join("argv");
        let git = std::fs::read_link(world.root().join("bin/git")).unwrap();
        std::fs::remove_file(world.root().join("bin/git")).unwrap();
        let script =
            format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\nexec '{}' \"$@\"\n", log.display(), git.display());
        let wrapper = world.root().join("bin/git");
        write(&wrapper, script);
        std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = seen.clone();
        stage.server().on_request(move |_| {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                into.lock().unwrap().extend(std::fs::read(process.path().join("cmdline")).unwrap_or_default());
            }
            None
        });
        assets(&stage, &[], &["restore", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine\n")]);
        assets(&stage, &[], &["push", "sdk/a"]).ok();
        let started = std::fs::read_to_string(&log).unwrap();
        assert!(started.contains("fetch ") && started.contains("push "), "{started}");
        not_in(started.as_bytes(), "the arguments of a git");
        let seen = seen.lock().unwrap();
        assert!(String::from_utf8_lossy(&seen).contains("remote-http"), "the helper was seen");
        not_in(&seen, "the arguments of a process");
    });
}
