//! Pushes at the same time, pushes whose answer is lost, and pushes that die after the remote took them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::pushing::{BRANCH, Stage, is_settled, record, recorded, remote_hook};
use crate::support::server::Fault;
use crate::support::{CodeRepo, Run, World, finish, snapshot, with_every_git, write};

/// Starts a push in each code repo, then waits for all.
fn push_at_once(clones: &[CodeRepo]) -> Vec<Run> {
    let children: Vec<_> =
        clones.iter().map(|code| code.command(&[], ["push", "sdk/a"]).spawn().expect("assets starts")).collect();
    children.into_iter().map(finish).collect()
}

fn clones(stage: &Stage, count: usize) -> Vec<CodeRepo> {
    (0..count).map(|n| stage.clone_of_code(&format!("clone{n}"))).collect()
}

/// The commits on the branch of `sdk/a` since the start.
fn commits(stage: &Stage) -> Vec<String> {
    let range = format!("{}..{BRANCH}", stage.base);
    stage.repo.git(["rev-list", &range]).ok().stdout.lines().map(String::from).collect()
}

/// Expects the files `n.json` of that many clones on a linear branch of that many commits, each named by a clone.
fn all_landed_once(stage: &Stage, clones: &[CodeRepo]) {
    let commits = commits(stage);
    assert_eq!(commits.len(), clones.len());
    let merges = stage.repo.git(["rev-list", "--merges", BRANCH]).ok().stdout;
    assert_eq!(merges, "");
    for (n, code) in clones.iter().enumerate() {
        let file = stage.repo.file(BRANCH, &format!("recordings/sdk/a/{n}.json"));
        assert_eq!(file, Some(format!("{n}\n")));
        let pin = code.pin("sdk/a", "SHA");
        assert!(commits.contains(&pin), "{pin} is not on the branch");
        assert!(stage.repo.file(&pin, &format!("recordings/sdk/a/{n}.json")).is_some());
        is_settled(code);
    }
}

#[test]
fn eight_clones_push_other_files_to_one_branch() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let clones = clones(&stage, 8);
        for (n, code) in clones.iter().enumerate() {
            record(code, &[(&format!("{n}.json"), &format!("{n}\n"))]);
        }
        for run in push_at_once(&clones) {
            run.ok();
        }
        all_landed_once(&stage, &clones);
    });
}

#[test]
fn answers_that_are_lost_in_a_race() {
    let world = World::new();
    let stage = Stage::served(&world);
    let clones = clones(&stage, 4);
    for (n, code) in clones.iter().enumerate() {
        record(code, &[(&format!("{n}.json"), &format!("{n}\n"))]);
    }
    stage.server().set_fault(Fault::DropPushAnswer { times: 3 });
    for run in push_at_once(&clones) {
        run.ok();
    }
    all_landed_once(&stage, &clones);
}

#[test]
fn eight_clones_push_the_same_file_and_one_wins() {
    let world = World::new();
    let stage = Stage::served(&world);
    let clones = clones(&stage, 8);
    for (n, code) in clones.iter().enumerate() {
        record(code, &[("new.json", &format!("{n}\n"))]);
    }
    let runs = push_at_once(&clones);
    let winners: Vec<usize> = (0..8).filter(|&n| runs[n].code == Some(0)).collect();
    let [winner] = winners[..] else { panic!("one winner expected: {runs:#?}") };
    for (n, run) in runs.into_iter().enumerate().filter(|(n, _)| *n != winner) {
        run.fails(3).says("recordings/sdk/a/new.json");
        assert_eq!(clones[n].pin("sdk/a", "SHA"), stage.base);
        assert_eq!(recorded(&clones[n], "new.json"), format!("{n}\n"));
    }
    assert_eq!(commits(&stage), [clones[winner].pin("sdk/a", "SHA")]);
    assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/new.json"), Some(format!("{winner}\n")));
}

#[test]
fn slices_of_one_checkout_at_once() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        let names = ["a", "b", "c", "d"];
        for name in &names[1..] {
            stage.code.branch_manifest(&format!("sdk/{name}"), &stage.url(), &stage.base);
        }
        stage.code.assets(["restore", "sdk/a", "sdk/b", "sdk/c", "sdk/d"]).ok();
        let checkout = stage.code.only_checkout();
        for name in names {
            write(&checkout.join(format!("recordings/sdk/{name}/new.json")), name);
        }
        let push = |name: &str| stage.code.command(&[], ["push", &format!("sdk/{name}")]).spawn().unwrap();
        let children: Vec<_> = names.into_iter().map(push).collect();
        children.into_iter().map(finish).for_each(|run| drop(run.ok()));
        for name in names {
            let pin = stage.code.pin(&format!("sdk/{name}"), "SHA");
            assert_eq!(stage.repo.rev(&format!("refs/heads/auto/{name}")), Some(pin.clone()));
            assert_eq!(stage.parents(&pin), stage.base);
            let changed = stage.repo.git(["diff", "--name-only", &stage.base, &pin]).ok().stdout;
            assert_eq!(changed, format!("recordings/sdk/{name}/new.json\n"));
        }
        stage.is_settled();
    });
}

#[test]
fn one_manifest_pushed_by_several_processes_is_pushed_once() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.record(&[("new.json", "new\n")]);
    let push = |_| stage.code.command(&[], ["push", "sdk/a"]).spawn().unwrap();
    let children: Vec<_> = (0..4).map(push).collect();
    children.into_iter().map(finish).for_each(|run| drop(run.ok()));
    assert_eq!(commits(&stage), [stage.sha()]);
    stage.is_settled();
}

#[test]
fn a_lost_answer_is_recognised() {
    with_every_git(|world| {
        let stage = Stage::served(world);
        stage.record(&[("one.json", "mine\n")]);
        stage.server().set_fault(Fault::DropPushAnswer { times: 1 });
        stage.push().ok();
        assert_eq!(commits(&stage), [stage.sha()]);
        stage.is_settled();
        // The same on a branch that is there, and has moved.
        let other = stage.clone_of_code("other");
        record(&other, &[("two.json", "theirs\n")]);
        stage.server().set_fault(Fault::DropPushAnswer { times: 1 });
        other.assets(["push", "sdk/a"]).ok();
        assert_eq!(commits(&stage), [other.pin("sdk/a", "SHA"), stage.sha()]);
        is_settled(&other);
    });
}

#[test]
fn a_lost_answer_to_a_tag_is_recognised() {
    let world = World::new();
    let stage = Stage::tagged(&world);
    stage.record(&[("one.json", "mine\n")]);
    stage.server().set_fault(Fault::DropPushAnswer { times: 1 });
    stage.push().ok();
    let tags = stage.repo.git(["tag", "--list"]).ok().stdout;
    let mut expected = ["py/sdk/a_1".to_string(), stage.code.pin("sdk/a", "Tag")];
    expected.sort();
    assert_eq!(tags.lines().collect::<Vec<_>>(), expected);
    stage.is_settled();
}

#[test]
fn a_network_that_stays_away_after_the_push_is_no_loss() {
    let world = World::new();
    let stage = Stage::served(&world);
    stage.record(&[("one.json", "mine\n")]);
    // The push takes place, and from then on there is nobody to ask about it.
    let gone = AtomicBool::new(false);
    stage.server().on_request(move |request| {
        let takes = request.method == "POST" && request.is_push() && !gone.swap(true, Ordering::SeqCst);
        match (takes, gone.load(Ordering::SeqCst)) {
            (true, _) => Some(Fault::DropPushAnswer { times: 1 }),
            (false, true) => Some(Fault::Status { code: 404, retry_after: None, times: 1 }),
            (false, false) => None,
        }
    });
    let pinned = stage.sha();
    stage.push().fails(5);
    assert_eq!(stage.sha(), pinned);
    let sent = commits(&stage);
    assert_eq!(sent.len(), 1, "the remote took it");
    stage.server().on_request(|_| None);
    stage.push().ok();
    assert_eq!((commits(&stage), vec![stage.sha()]), (sent.clone(), sent));
    stage.is_settled();
}

/// Pushes, and kills `assets` when the remote has taken the commit.
#[cfg(unix)]
pub fn push_and_die(stage: &Stage) {
    die_at(stage, "post-receive");
}

/// Pushes, and kills `assets` when the remote comes to a hook; the hook fails, which only a later one does not mind.
#[cfg(unix)]
fn die_at(stage: &Stage, hook: &str) {
    let pid = stage.world.root().join("pid");
    let _ = std::fs::remove_file(&pid);
    let script = format!("while [ ! -s {0} ]; do sleep 0.01; done; kill -9 $(cat {0}); exit 1", pid.display());
    remote_hook(&stage.repo, hook, &script);
    let child = stage.code.command(&[], ["push", "sdk/a"]).spawn().unwrap();
    std::fs::write(pid.with_extension("new"), child.id().to_string()).unwrap();
    std::fs::rename(pid.with_extension("new"), &pid).unwrap();
    assert_eq!(finish(child).code, None, "it was killed");
    std::fs::remove_file(stage.repo.path.join("hooks").join(hook)).unwrap();
}

#[cfg(unix)]
#[test]
fn killed_after_the_remote_took_it_the_next_push_finishes() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", "mine\n"), ("two.json", ""), ("new.json", "new\n")]);
        push_and_die(&stage);
        assert_eq!(stage.sha(), stage.base, "the manifest is edited last");
        let sent = commits(&stage);
        assert_eq!(sent.len(), 1);
        stage.push().ok();
        assert_eq!((commits(&stage), vec![stage.sha()]), (sent.clone(), sent));
        stage.is_settled();
        stage.push().ok().says("nothing to push");
    });
}

#[cfg(unix)]
#[test]
fn killed_and_another_clone_pushed_in_between() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        stage.record(&[("one.json", "mine\n")]);
        push_and_die(&stage);
        record(&other, &[("two.json", "theirs\n")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.push().ok().says("1 file that others had pushed in between");
        assert_eq!(commits(&stage).len(), 2);
        assert_eq!(stage.sha(), other.pin("sdk/a", "SHA"), "nothing was left to add");
        assert_eq!(recorded(&stage.code, "two.json"), "theirs\n");
        stage.is_settled();
    });
}

#[cfg(unix)]
#[test]
fn killed_and_more_was_recorded_in_between() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", "mine\n"), ("new.json", "new\n")]);
        push_and_die(&stage);
        let sent = commits(&stage);
        stage.record(&[("one.json", "mine again\n"), ("new.json", ""), ("two.json", "also\n")]);
        stage.push().ok();
        assert_eq!(commits(&stage), [stage.sha(), sent[0].clone()]);
        let file = |path: &str| stage.repo.file(BRANCH, &format!("recordings/sdk/a/{path}.json"));
        assert_eq!(file("one").as_deref(), Some("mine again\n"));
        assert_eq!(file("two").as_deref(), Some("also\n"));
        assert_eq!(file("new"), None);
        stage.is_settled();
    });
}

#[cfg(unix)]
#[test]
fn killed_twice_with_other_content_each_time() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        stage.record(&[("one.json", "first\n")]);
        push_and_die(&stage);
        let sent = commits(&stage);
        // The second one dies before the remote has it.
        stage.record(&[("one.json", "second\n")]);
        die_at(&stage, "pre-receive");
        assert_eq!(commits(&stage), sent);
        stage.record(&[("one.json", "third\n")]);
        stage.push().ok();
        assert_eq!(commits(&stage), [stage.sha(), sent[0].clone()]);
        assert_eq!(stage.repo.file(BRANCH, "recordings/sdk/a/one.json").as_deref(), Some("third\n"));
        stage.is_settled();
    });
}

#[cfg(unix)]
#[test]
fn killed_then_more_recorded_and_another_clone_pushed() {
    with_every_git(|world| {
        let stage = Stage::branch(world);
        let other = stage.clone_of_code("other");
        stage.record(&[("one.json", "mine\n"), ("new.json", "new\n")]);
        push_and_die(&stage);
        record(&other, &[("two.json", "theirs\n")]);
        other.assets(["push", "sdk/a"]).ok();
        stage.record(&[("one.json", "mine again\n"), ("new.json", "")]);
        stage.push().ok();
        assert_eq!(commits(&stage).len(), 3);
        let file = |path: &str| stage.repo.file(BRANCH, &format!("recordings/sdk/a/{path}.json"));
        assert_eq!(file("one").as_deref(), Some("mine again\n"));
        assert_eq!(file("two").as_deref(), Some("theirs\n"));
        assert_eq!(file("new"), None);
        stage.is_settled();
    });
}

#[cfg(unix)]
#[test]
fn killed_while_pushing_a_tag_the_next_push_finishes() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        stage.record(&[("one.json", "mine\n")]);
        push_and_die(&stage);
        assert_eq!(stage.code.pin("sdk/a", "Tag"), "py/sdk/a_1");
        let tags = stage.repo.git(["tag", "--list"]).ok().stdout;
        assert_eq!(tags.lines().count(), 2);
        stage.push().ok();
        assert_eq!(stage.repo.git(["tag", "--list"]).ok().stdout, tags);
        assert!(tags.contains(&stage.code.pin("sdk/a", "Tag")));
        stage.is_settled();
    });
}

#[cfg(unix)]
#[test]
fn a_tag_that_the_git_of_a_killed_push_makes_meanwhile() {
    with_every_git(|world| {
        let stage = Stage::tagged(world);
        stage.record(&[("one.json", "mine\n")]);
        // As another git that sends the same commit: this one is too late for the tag, and fails.
        remote_hook(&stage.repo, "update", "git update-ref \"$1\" \"$3\"");
        stage.push().ok();
        let tag = stage.code.pin("sdk/a", "Tag");
        assert!(stage.repo.rev(&format!("refs/tags/{tag}")).is_some());
        stage.is_settled();
        // One that leads elsewhere is not ours.
        stage.record(&[("one.json", "mine again\n")]);
        remote_hook(&stage.repo, "update", &format!("git update-ref \"$1\" {}", stage.base));
        stage.push().fails(1).says("refused the push");
        assert_eq!(stage.code.pin("sdk/a", "Tag"), tag);
    });
}

#[cfg(unix)]
#[test]
fn killed_between_manifest_and_breadcrumb() {
    let world = World::new();
    let stage = Stage::tagged(&world);
    stage.record(&[("one.json", "mine\n")]);
    let git_dir = stage.code.only_checkout().join(".git");
    let notes = || {
        let names = std::fs::read_dir(&git_dir).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.to_string_lossy().contains("assets-push-")).collect::<Vec<_>>()
    };
    push_and_die(&stage);
    let note = notes().pop().expect("the note of the push");
    let text = std::fs::read(&note).unwrap();
    let crumbs = stage.code.path.join(".assets/breadcrumb");
    let before = snapshot(&crumbs);
    stage.push().ok();
    let done = snapshot(&crumbs);
    assert_ne!(before, done);
    write(&note, text);
    before.iter().for_each(|(name, content)| write(&crumbs.join(name), content));
    stage.push().ok().says("nothing to push");
    assert_eq!((snapshot(&crumbs), notes()), (done, Vec::new()));
}
