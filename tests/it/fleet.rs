//! `assets restore --all`: many packages of both forms in one command.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use crate::support::fleet::{Fleet, folder, objects_of_stores, recordings};
use crate::support::pty::wait_until;
use crate::support::{CodeRepo, Run, World, finish, run, with_every_git, write};

/// Inode and modification time of every recording of a package.
fn identity(fleet: &Fleet, n: usize) -> Vec<(u64, i64, i64)> {
    let mut found = Vec::new();
    for checkout in fleet.code.checkouts() {
        for path in recordings(n, 1).keys() {
            if let Ok(meta) = fleet.code.checkout(&checkout).join(path).metadata() {
                found.push((meta.ino(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    assert_eq!(found.len(), 2, "{}", folder(n));
    found
}

#[test]
fn three_broken_ones_do_not_stop_the_others() {
    with_every_git(|world| {
        let fleet = Fleet::new(world, 0..15, 15..30);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let unreachable = format!("http://{closed}/assets.git");
        fleet.code.manifest("sdk/x-json", "{\"AssetsRepo\": }");
        fleet.code.branch_manifest("sdk/x-repo", &unreachable, &"1".repeat(40));
        fleet.code.tag_manifest("sdk/x-tag", &fleet.url, "py/x_gone");
        fleet.code.commit("packages");

        let run = fleet.code.assets(["restore", "--all"]).fails(2);
        (0..30).for_each(|n| fleet.shows(n, 1));
        assert_eq!(run.stdout.lines().count(), 30);
        for line in [
            "error: `sdk/x-json/assets.json:1:16`: this is not valid JSON\n",
            "error: cannot restore `sdk/x-tag/assets.json`",
            "`py/x_gone` is not in assets repo",
            "restored 30 of 33 packages (60 files); 3 failed\n\
             failed:\n  sdk/x-json/assets.json\n  sdk/x-repo/assets.json\n  sdk/x-tag/assets.json\n",
        ] {
            assert!(run.stderr.contains(line), "`{line}` is not in:\n{}", run.stderr);
        }
        assert!(run.stderr.contains(&closed.to_string()), "{}", run.stderr);

        // Once more, cold, as one document.
        std::fs::remove_dir_all(fleet.code.path.join(".assets")).unwrap();
        let document = fleet.code.assets(["restore", "--all", "--json"]).fails(2).json();
        let results = document["results"].as_array().unwrap();
        let paths: Vec<&str> = results.iter().map(|result| result["manifest"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..30)
            .map(folder)
            .chain(["sdk/x-json", "sdk/x-repo", "sdk/x-tag"].map(String::from))
            .map(|folder| format!("{folder}/assets.json"))
            .collect();
        assert_eq!(paths, expected);
        for (n, result) in results[..30].iter().enumerate() {
            let files = recordings(n, 1);
            let bytes: usize = files.values().map(String::len).sum();
            assert_eq!(
                (&result["state"], &result["files"], &result["bytes"]),
                (&"restored".into(), &2.into(), &bytes.into())
            );
            assert_eq!(result["commit"].as_str().map(str::len), Some(40));
            assert!(result["milliseconds"]["fetch"].is_u64() && result["milliseconds"]["checkout"].is_u64());
            let root = std::path::Path::new(result["root"].as_str().unwrap());
            for (path, content) in files {
                assert_eq!(std::fs::read_to_string(root.parent().unwrap().join(path)).unwrap(), content);
            }
        }
        let kinds: Vec<_> =
            results[30..].iter().map(|result| (&result["state"], result["error"].is_object())).collect();
        assert_eq!(kinds, [(&"failed".into(), true); 3]);
    });
}

#[test]
fn eight_processes_at_once_download_nothing_twice() {
    with_every_git(|world| {
        let fleet = Fleet::new(world, 0..16, 16..32);
        let started: Vec<_> = (0..8)
            .map(|process| {
                let folders = (0..10).map(|n| folder((process * 4 + n * 3) % 32));
                let args: Vec<String> = [String::from("restore")].into_iter().chain(folders).collect();
                fleet.code.command(&[], args).spawn().unwrap()
            })
            .collect();
        for child in started {
            assert_eq!(finish(child).ok().stdout.lines().count(), 10);
        }
        (0..32).for_each(|n| fleet.shows(n, 1));
        objects_of_stores(world);
        fleet.server.reset_log();
        assert_eq!(fleet.code.assets(["restore", "--all"]).ok().stderr, "");
        assert_eq!(fleet.server.requests().len(), 0);
    });
}

#[test]
fn a_second_clone_asks_the_server_nothing() {
    with_every_git(|world| {
        let mut fleet = Fleet::new(world, 0..15, 15..30);
        fleet.code.commit("packages");
        fleet.code.assets(["restore", "--all"]).ok();
        let clone = clone_of(world, &fleet.code);
        fleet.server.reset_log();
        clone.assets(["restore", "--all"]).ok();
        assert_eq!(fleet.server.requests().len(), 0);
        fleet.code = clone;
        (0..30).for_each(|n| fleet.shows(n, 1));
    });
}

fn clone_of(world: &World, code: &CodeRepo) -> CodeRepo {
    let clone = world.code_repo("clone");
    std::fs::remove_dir_all(&clone.path).unwrap();
    run(world.root(), &world.env(), "git", ["clone", "-q", &code.path.to_string_lossy(), "clone"]).ok();
    clone
}

#[test]
fn one_moved_pin_touches_one_package() {
    with_every_git(|world| {
        for (branch, tag, most) in [(24, 0, 4), (0, 24, 3)] {
            let world = &World::with_git(&world.root().join("bin/git"));
            let fleet = Fleet::new(world, 0..branch, 0..tag);
            fleet.code.assets(["restore", "--all"]).ok();
            let others = |fleet: &Fleet| (0..24).filter(|&n| n != 7).map(|n| identity(fleet, n)).collect::<Vec<_>>();
            let before = others(&fleet);
            if branch > 0 {
                fleet.pin_commit(7, &fleet.record("refs/heads/main", [7], 2));
            } else {
                fleet.record(&crate::support::fleet::tag_of(7, 2), [7], 2);
                fleet.pin_tag(7, 2);
            }
            fleet.server.reset_log();
            let run = fleet.code.assets(["restore", "--all"]).ok();
            assert!(run.stderr.starts_with("restored `sdk/p07/assets.json` at "), "{}", run.stderr);
            assert_eq!((run.stderr.lines().count(), run.stdout.lines().count()), (1, 24));
            let requests: Vec<String> = fleet.server.requests().iter().map(|request| request.line()).collect();
            assert!((2..=most).contains(&requests.len()), "{requests:#?}");
            (0..24).for_each(|n| fleet.shows(n, if n == 7 { 2 } else { 1 }));
            assert!(others(&fleet) == before, "another package was written");
            // A commit of all packages comes with all its trees, also those that are here.
            if tag > 0 {
                objects_of_stores(world);
            }
        }
    });
}

#[test]
fn many_moved_slices_are_looked_at_together_and_pending_changes_come_back() {
    with_every_git(|world| {
        let fleet = Fleet::new(world, 0..24, 0..0);
        fleet.code.assets(["restore", "--all"]).ok();
        let pin = fleet.record("refs/heads/main", 0..24, 2);
        (0..24).for_each(|n| fleet.pin_commit(n, &pin));
        let checkout = fleet.code.only_checkout();
        let changed = [3, 11, 19];
        for n in changed {
            write(&checkout.join(format!("recordings/{}/more/new.json", folder(n))), "mine\n");
            write(&checkout.join(format!("recordings/{}/new.json", folder(n))), "mine too\n");
        }
        let run = fleet.code.assets(["-v", "restore", "--all"]).ok();
        let looks = run.stderr.lines().filter(|line| line.contains("git status")).count();
        // One for each change of the work tree, of which there are at most as many as parts.
        assert!((1..=4).contains(&looks), "{looks} times `git status`:\n{}", run.stderr);
        (0..24).for_each(|n| fleet.shows(n, 2));
        for n in changed {
            let folder = folder(n);
            let put_aside = format!("put aside 2 pending changes of `{folder}/assets.json`\n");
            assert!(run.stderr.contains(&put_aside), "{}", run.stderr);
            fleet.code.assets(["stash", "pop", &folder]).ok();
            for (name, content) in [("more/new.json", "mine\n"), ("new.json", "mine too\n")] {
                let file = std::fs::read_to_string(checkout.join(format!("recordings/{folder}/{name}")));
                assert_eq!(file.ok().as_deref(), Some(content), "{folder}");
            }
        }
        fleet.shows(4, 2);
    });
}

#[test]
fn a_push_of_many_looks_at_a_checkout_once_and_at_what_it_sends() {
    with_every_git(|world| {
        let fleet = Fleet::new(world, 0..12, 0..0);
        fleet.code.assets(["restore", "--all"]).ok();
        let looks = |run: &Run| run.stderr.lines().filter(|line| line.contains("git status")).count();
        let run = fleet.code.assets(["-v", "push", "--all"]).ok();
        assert_eq!((looks(&run), run.stderr.matches("nothing to push for").count()), (1, 12), "{}", run.stderr);
        let new = format!("recordings/{}/new.json", folder(3));
        write(&fleet.code.only_checkout().join(&new), "mine\n");
        let run = fleet.code.assets(["-v", "push", "--all"]).ok();
        assert_eq!((looks(&run), run.stderr.matches("nothing to push for").count()), (2, 11), "{}", run.stderr);
        run.says(&format!("pushed 1 file (1 new) of `{}/assets.json`", folder(3)));
    });
}

#[test]
fn two_assets_repos_are_fetched_from_at_the_same_time() {
    with_every_git(|world| {
        let fleet = Fleet::new(world, 0..4, 0..0);
        let other = world.assets_repo("other");
        let pin = other.commit("main", &[("recordings/sdk/other/o.json", "other")]);
        fleet.code.branch_manifest("sdk/other", &format!("{}/other.git", fleet.server.url()), &pin);
        // Neither repo gets an answer before the other was asked.
        let asked = Mutex::new([false, false]);
        fleet.server.on_request(move |request| {
            asked.lock().unwrap()[usize::from(request.target.contains("other.git"))] = true;
            wait_until(|| *asked.lock().unwrap() == [true, true]);
            None
        });
        fleet.code.assets(["restore", "--all"]).ok();
        (0..4).for_each(|n| fleet.shows(n, 1));
        let shown = fleet.code.checkouts().into_iter().map(|name| fleet.code.checkout(&name));
        let found: Vec<String> =
            shown.filter_map(|dir| std::fs::read_to_string(dir.join("recordings/sdk/other/o.json")).ok()).collect();
        assert_eq!(found, ["other"]);
    });
}

#[cfg(unix)]
#[test]
fn no_more_assets_repos_than_asked_for_are_downloaded_from_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let code = world.code_repo("code");
    for n in 0..6 {
        let repo = world.assets_repo(&format!("assets{n}"));
        let folder = format!("sdk/p{n}");
        let pin = repo.commit("main", &[(&format!("recordings/{folder}/a.json"), "a\n")]);
        code.branch_manifest(&folder, &repo.path.to_string_lossy(), &pin);
    }
    code.commit("packages");
    let (running, log) = (world.root().join("running"), world.root().join("log"));
    std::fs::create_dir(&running).unwrap();
    // A git that notes how many fetches run with it. Each takes a while, so that those which may run at once do.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = fetch ] || exec '{git}' \"$@\"\ntouch '{dir}'/$$\nls '{dir}' | wc -l >> '{log}'\nsleep 0.2\n\
         '{git}' \"$@\"\ncode=$?\nrm '{dir}'/$$\nexit $code\n",
        git = crate::support::gits()[0].display(),
        dir = running.display(),
        log = log.display()
    );
    let git = world.root().join("bin/git");
    std::fs::remove_file(&git).unwrap();
    write(&git, script);
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (jobs, most) in [("1", 1), ("2", 2)] {
        for folder in [code.path.join(".assets"), world.root().join("cache")] {
            let _ = std::fs::remove_dir_all(folder);
        }
        let _ = std::fs::remove_file(&log);
        let run = code.assets(["restore", "--all", "-j", jobs]).ok();
        assert_eq!(run.stdout.lines().count(), 6);
        let counts = std::fs::read_to_string(&log).unwrap();
        let counts: Vec<usize> = counts.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert!(counts.len() >= 6 && counts.iter().all(|count| *count <= most), "-j {jobs}: {counts:?}");
    }
}
