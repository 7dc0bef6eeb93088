//! Servers that collect tokens: by redirects, by addresses that look like the token's host, by asking for a password.

use std::sync::{Arc, Mutex};

use super::{TOKEN, Trap, holds_token};
use crate::support::World;
use crate::support::server::{Fault, Gate, GitServer, Options};

/// Expects that a server has never seen the token, in whatever header or path.
#[track_caller]
fn never_saw_it(server: &GitServer, what: &str) {
    for request in server.requests() {
        let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
        assert!(!holds_token(format!("{}\n{headers}", request.target).as_bytes()), "{what}: {request:?}");
    }
}

/// Forgets what was downloaded.
fn clear(trap: &Trap) {
    let _ = std::fs::remove_dir_all(trap.folder());
    let _ = std::fs::remove_dir_all(trap.world.root().join("cache"));
}

#[test]
fn a_redirect_of_any_request_takes_nothing_along() {
    let world = World::new();
    let trap = Trap::new(&world);
    let server = GitServer::start(world.root(), Options::default());
    let peer = GitServer::start(world.root(), Options::default());
    let host = format!("127.0.0.1:{}", server.port());
    let env = [("ASSETS_TOKEN_HOST", host.as_str())];
    trap.manifest(&[("AssetsRepo", &format!("{}/assets.git", server.url()))]);
    for at in 1..=6 {
        for base in [peer.url(), peer.url().replace("127.0.0.1", "localhost")] {
            clear(&trap);
            let seen = Arc::new(Mutex::new(0));
            server.on_request(move |_| {
                let mut seen = seen.lock().unwrap();
                *seen += 1;
                (*seen == at).then(|| Fault::RedirectTo(base.clone()))
            });
            let run = trap.run_inside(&env, &["restore", "sdk/a"]);
            if run.code != Some(0) {
                assert_eq!(run.code, Some(1), "{}", run.stderr);
                run.says("redirects are not followed");
            }
            assert_eq!(peer.totals().requests, 0);
        }
    }
    assert!(server.requests().iter().all(|request| request.had_authorization()));
    trap.token_is_in_no_file();
}

#[test]
fn addresses_that_look_like_its_host() {
    let world = World::new();
    let trap = Trap::new(&world);
    let peer = GitServer::start(world.root(), Options::default());
    peer.set_access(Gate::password(TOKEN), Gate::password(TOKEN));
    let port = peer.port();
    let addresses = [
        format!("http://127.0.0.1:{port}/assets.git"),
        format!("http://github.com@127.0.0.1:{port}/assets.git"),
        format!("http://x-access-token@127.0.0.1:{port}/assets.git"),
        format!("http://127.0.0.1:{port}/github.com/../assets.git"),
        format!("http://127.0.0.1:{port}/https://github.com/assets.git"),
        format!("http://127.0.0.1:{port}/assets.git#github.com"),
        format!("http://127.0.0.1:{port}/assets.git?host=github.com"),
        format!("http://localhost:{port}/assets.git"),
        format!("http://github.com.localhost:{port}/assets.git"),
        format!("http://[::ffff:127.0.0.1]:{port}/assets.git"),
    ];
    for address in &addresses {
        for host in
            [None, Some("github.com"), Some("127.0.0.1"), Some("localhost"), Some("127.0.0.1:1"), Some("*"), Some("")]
        {
            clear(&trap);
            trap.manifest(&[("AssetsRepo", address)]);
            let env: Vec<_> = host.map(|host| ("ASSETS_TOKEN_HOST", host)).into_iter().collect();
            let run = trap.run_inside(&env, &["restore", "sdk/a"]);
            assert_ne!(run.code, Some(0), "{address}\n{}", run.stderr);
        }
    }
    assert!(peer.totals().requests > 0);
    never_saw_it(&peer, "an address");
    trap.token_is_in_no_file();
}

/// What the user's own configuration rewrites is another host: the token is for the one in the manifest.
#[test]
fn a_rewritten_address() {
    let world = World::new();
    let trap = Trap::new(&world);
    let peer = GitServer::start(world.root(), Options::default());
    let file = world.root().join("home/.gitconfig");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}[url \"{}/\"]\n\tinsteadOf = https://github.com/o/\n", peer.url())).unwrap();
    trap.manifest(&[("AssetsRepo", "o/assets")]);
    trap.run_inside(&[], &["restore", "sdk/a"]).ok();
    crate::support::write(&trap.code.only_checkout().join("recordings/sdk/a/a.json"), "mine");
    trap.run(&[], &["push", "sdk/a"]).ok();
    assert!(peer.requests().iter().any(|request| request.is_push()));
    never_saw_it(&peer, "a rewritten address");
    trap.token_is_in_no_file();
}
