//! The program's own files that it cannot read: they are not absent. Nothing is set aside, removed or written anew because
//! of them, and the message names the file. Also the files of newer versions, and the modes of the files it writes.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::pushing::Stage;
use crate::support::{ASSETS, CodeRepo, Run, World, finish, run, snapshot, write};

/// A user who is not root.
const USER: u32 = 65534;

/// A world that belongs to another user than the one that runs the tests. Only root can make one.
struct Other<'a> {
    world: &'a World,
    assets: PathBuf,
}

impl<'a> Other<'a> {
    fn of(world: &'a World) -> Option<Other<'a>> {
        if std::fs::metadata(world.root()).unwrap().uid() != 0 {
            println!("skipped: only root can make files that another user cannot read");
            return None;
        }
        // The place of the original may be for root alone.
        let assets = world.root().join("bin/assets");
        // By another process: a test that starts a program meanwhile would inherit the file, open for writing, and no
        // program that is being written can be started.
        assert!(std::process::Command::new("cp").arg(ASSETS).arg(&assets).status().unwrap().success());
        let other = Other { world, assets };
        other.give_all();
        Some(other)
    }

    /// Gives everything to the other user.
    fn give_all(&self) {
        fn give(path: &Path) {
            lchown(path, Some(USER), Some(USER)).unwrap();
            if path.symlink_metadata().unwrap().is_dir() {
                std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
            }
        }
        give(self.world.root());
    }

    /// Makes a file or folder one that only root can read.
    fn hide(&self, path: &Path) {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        chown(path, Some(0), Some(0)).unwrap();
    }

    /// Runs `assets` as the other user.
    fn run(&self, code: &CodeRepo, args: &[&str]) -> Run {
        let mut command = std::process::Command::new(&self.assets);
        command.args(args).current_dir(&code.path).env_clear().env("ASSETS_NO_PROGRESS", "1");
        command.envs(code.env().iter().map(|(name, value)| (name, value))).uid(USER).gid(USER);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        finish(command.spawn().unwrap())
    }
}

/// Everything that must not change: checkouts with their git directories, and the names in the assets folder and the cache.
fn state(world: &World, code: &CodeRepo) -> BTreeMap<String, Vec<u8>> {
    let mut state = snapshot(&code.path.join(".assets"));
    state.retain(|path, _| !path.starts_with(".locks/"));
    for folder in [code.path.join(".assets"), world.root().join("cache/stores"), world.root().join("cache/code-repos")]
    {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            // Locks of stores are made when they are first needed.
            if !name.ends_with(".lock") && !name.ends_with(".use") {
                state.insert(format!("name {name}"), Vec::new());
            }
        }
    }
    state
}

/// Expects a failure that names a file.
#[track_caller]
fn names(run: &Run, file: &Path) {
    assert!(run.code.is_some_and(|code| code != 0), "exit code {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(&*file.to_string_lossy()), "`{}` is not named:\n{said}", file.display());
}

/// A package with a stash entry and a pending change, whose manifest pins a newer commit.
fn stage(world: &World) -> (Stage<'_>, PathBuf) {
    let stage = Stage::branch(world);
    stage.record(&[("one.json", "stashed\n")]);
    stage.code.assets(["reset", "-y", "sdk/a"]).ok();
    stage.record(&[("two.json", "pending\n")]);
    let git_dir = stage.code.only_checkout().join(".git");
    (stage, git_dir)
}

fn only_file_below(folder: &Path) -> PathBuf {
    let files = snapshot(folder);
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    folder.join(files.keys().next().unwrap())
}

#[test]
fn a_checkout_with_a_file_that_cannot_be_read_stays_as_it_is() {
    type Find = fn(&Path) -> PathBuf;
    let journal =
        r#"{"version":1,"operation":"restore","from":"","to":"","slices":{},"put_back":[],"kept":[],"tag":null}"#;
    let table: &[(&str, Find)] = &[
        ("HEAD", |git| git.join("HEAD")),
        ("shown", |git| git.join("refs/assets/shown")),
        ("stash", |git| only_file_below(&git.join("refs/assets/stash"))),
        ("slice", |git| only_file_below(&git.join("refs/assets/slices"))),
        ("packed-refs", |git| git.join("packed-refs")),
        ("journal", |git| git.join("assets-journal")),
        ("push", |git| git.join("assets-push-0123456789")),
        ("refs", |git| git.join("refs/assets")),
    ];
    for (case, find) in table {
        let world = World::new();
        let (stage, git_dir) = stage(&world);
        let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
        let file = find(&git_dir);
        match *case {
            "packed-refs" => write(&file, "# pack-refs with: peeled fully-peeled sorted\n"),
            "journal" | "push" => write(&file, journal),
            _ => {}
        }
        let Some(other) = Other::of(&world) else { return };
        other.hide(&file);
        let before = state(&world, &stage.code);
        // At its pin too: what the quick way cannot read is left to the slow one.
        if ["HEAD", "shown", "slice", "refs"].contains(case) {
            names(&other.run(&stage.code, &["restore", "sdk/a"]), &file);
        }
        stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
        for args in [
            &["restore", "sdk/a"][..],
            &["restore", "--keep", "sdk/a"],
            &["push", "sdk/a"],
            &["status", "--exit-code", "sdk/a"],
            &["stash", "list", "sdk/a"],
            &["stash", "pop", "sdk/a"],
            &["reset", "-y", "sdk/a"],
            &["gc", "--yes"],
        ] {
            println!("{case}: {args:?}");
            names(&other.run(&stage.code, args), &file);
            assert!(state(&world, &stage.code) == before, "{case} {args:?}");
        }
        // No manifest wants it any more, and nothing in it is known to be lost.
        std::fs::remove_file(stage.code.path.join("sdk/a/assets.json")).unwrap();
        names(&other.run(&stage.code, &["gc", "--yes"]), &file);
        assert!(state(&world, &stage.code) == before, "{case} gc");
    }
}

#[test]
fn a_store_with_a_file_that_cannot_be_read_stays_where_it_is() {
    type Find = fn(&Path) -> PathBuf;
    let table: &[(&str, Find)] = &[
        ("HEAD", |store| store.join("HEAD")),
        ("shallow", |store| store.join("shallow")),
        ("pack", |store| {
            let mut names = snapshot(&store.join("objects/pack")).into_keys();
            let index = names.find(|name| name.ends_with(".idx")).unwrap();
            store.join("objects/pack").join(index)
        }),
        ("whole", Path::to_path_buf),
    ];
    for (case, find) in table {
        let world = World::new();
        let (stage, _) = stage(&world);
        let stores = world.root().join("cache/stores");
        let mut entries = std::fs::read_dir(stores).unwrap().map(|entry| entry.unwrap().path());
        let store = entries.find(|path| path.join("HEAD").exists()).unwrap();
        let file = find(&store);
        let newer = stage.repo.commit("main", &[("recordings/sdk/a/one.json", "newer\n")]);
        stage.code.branch_manifest("sdk/a", &stage.path(), &newer);
        let Some(other) = Other::of(&world) else { return };
        other.hide(&file);
        let before = state(&world, &stage.code);
        println!("{case}: restore");
        names(&other.run(&stage.code, &["restore", "sdk/a"]), &file);
        assert!(state(&world, &stage.code) == before, "{case} restore");
        // Nobody uses the store now: the unclaimed checkout has stash entries, but they need not be looked at.
        println!("{case}: gc");
        std::fs::remove_file(stage.code.path.join("sdk/a/assets.json")).unwrap();
        let run = other.run(&stage.code, &["gc", "--yes"]);
        if *case != "shallow" {
            names(&run, &file);
        }
        assert!(state(&world, &stage.code) == before, "{case} gc");
    }
}

#[test]
fn a_code_repo_that_cannot_be_looked_at_is_not_gone() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let vault = world.root().join("vault");
    std::fs::create_dir(&vault).unwrap();
    let hidden = world.code_repo("vault/code");
    hidden.branch_manifest("sdk/a", &stage.path(), &stage.base);
    hidden.assets(["restore", "sdk/a"]).ok();
    std::fs::remove_dir_all(stage.code.path.join(".assets")).unwrap();
    std::fs::remove_file(stage.code.path.join("sdk/a/assets.json")).unwrap();
    std::fs::create_dir(stage.code.path.join(".assets")).unwrap();
    let Some(other) = Other::of(&world) else { return };
    other.hide(&vault);
    let before = state(&world, &stage.code);
    names(&other.run(&stage.code, &["gc", "--yes"]), &hidden.path);
    assert!(state(&world, &stage.code) == before);
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_kept() {
    let world = World::new();
    let (stage, git_dir) = stage(&world);
    let journal = git_dir.join("assets-journal");
    write(&journal, r#"{"version":2,"what":"this version does not know"}"#);
    let before = snapshot(&git_dir);
    for args in [&["restore", "sdk/a"][..], &["push", "sdk/a"], &["reset", "-y", "sdk/a"], &["stash", "list", "sdk/a"]]
    {
        stage
            .code
            .assets(args)
            .fails(1)
            .says("was written by a newer version of assets")
            .says(&journal.to_string_lossy());
        assert!(snapshot(&git_dir) == before, "{args:?}");
    }
    let status = stage.code.assets(["status", "--json", "sdk/a"]).json();
    let error = status["results"][0]["error"]["message"].as_str().unwrap();
    assert!(error.contains("newer version"), "{error}");
    std::fs::remove_file(stage.code.path.join("sdk/a/assets.json")).unwrap();
    stage.code.assets(["gc", "--yes"]).ok();
    assert!(snapshot(&git_dir) == before, "gc");
}

#[test]
fn the_note_of_a_push_by_a_newer_version_is_refused_and_kept() {
    let world = World::new();
    let (stage, git_dir) = stage(&world);
    crate::push_races::push_and_die(&stage);
    let mut files = std::fs::read_dir(&git_dir).unwrap().map(|entry| entry.unwrap().path());
    let note = files.find(|path| path.to_string_lossy().contains("assets-push-")).unwrap();
    let text = std::fs::read_to_string(&note).unwrap();
    let newer = text.replace("\"version\":1", "\"version\":2");
    assert_ne!(text, newer);
    write(&note, &newer);
    stage.push().fails(1).says("was written by a newer version of assets").says(&note.to_string_lossy());
    assert_eq!(std::fs::read_to_string(&note).unwrap(), newer);
    assert_eq!(stage.sha(), stage.base);
    let status = stage.code.assets(["status", "--json", "sdk/a"]).json();
    assert_eq!(status["results"][0]["state"], "broken");
    write(&note, "{\"base\":");
    stage.push().fails(1).says("is damaged").says(&format!("`rm {}`", note.display()));
    write(&note, text);
    stage.push().ok();
    assert_ne!(stage.sha(), stage.base);
}

#[test]
fn a_manifest_that_cannot_be_read_is_no_mistake_in_the_manifest() {
    let world = World::new();
    let stage = Stage::branch(&world);
    stage.code.manifest(".", "{\"AssetsRepo\": \"o/n\"}");
    let Some(other) = Other::of(&world) else { return };
    let manifest = stage.code.path.join("sdk/a/assets.json");
    for hidden in [manifest.clone(), stage.code.path.join("sdk/a")] {
        other.hide(&hidden);
        for path in ["sdk/a", "sdk/a/assets.json"] {
            let run = other.run(&stage.code, &["restore", path]).fails(1).says("Permission denied");
            assert!(!run.stderr.contains("PROXY_ASSETS_FOLDER"), "{}", run.stderr);
            names(&run, if path == "sdk/a" && hidden != manifest { &hidden } else { &manifest });
        }
        other.give_all();
    }
}

#[test]
fn a_file_that_root_left_is_named_with_what_to_do() {
    let world = World::new();
    let (stage, git_dir) = stage(&world);
    let Some(other) = Other::of(&world) else { return };
    other.hide(&git_dir.join("HEAD"));
    let folder = stage.code.path.join(".assets");
    let advice = format!("`sudo chown -R \"$(id -u)\" {}`", folder.display());
    other.run(&stage.code, &["restore", "sdk/a"]).fails(1).says(&advice).says("`PROXY_ASSETS_FOLDER`");
    other.give_all();
    other.hide(&world.root().join("cache/code-repos"));
    let advice = format!("`sudo chown -R \"$(id -u)\" {}`", world.root().join("cache").display());
    other.run(&stage.code, &["gc"]).fails(1).says(&advice).says("`ASSETS_CACHE_DIR`");
}

#[test]
fn a_folder_that_cannot_be_written_is_no_certificate_that_is_not_trusted() {
    let world = World::new();
    let stage = Stage::branch(&world);
    let pins = ["1", "2"].map(|name| {
        let file = format!("recordings/sdk/a/Certificates/{name}.json");
        stage.repo.commit("main", &[(&file, "new\n")])
    });
    stage.code.branch_manifest("sdk/a", &stage.path(), &pins[0]);
    stage.code.assets(["restore", "sdk/a"]).ok();
    stage.code.branch_manifest("sdk/a", &stage.path(), &pins[1]);
    let Some(other) = Other::of(&world) else { return };
    let folder = stage.code.only_checkout().join("recordings/sdk/a/Certificates");
    chown(&folder, Some(0), Some(0)).unwrap();
    let run = other.run(&stage.code, &["restore", "sdk/a"]).fails(1).says("Permission denied");
    assert!(run.stderr.contains("hint: check the free space (`df -h`) and the permissions of"), "{}", run.stderr);
    other.give_all();
    other.run(&stage.code, &["restore", "sdk/a"]).ok();
}

#[test]
fn files_have_the_mode_of_the_umask() {
    let world = World::new();
    let stage = Stage::unrestored(&world);
    stage.code.branch_manifest("sdk/a", &stage.path(), &stage.base);
    std::fs::create_dir(stage.code.path.join("sdk/new")).unwrap();
    let script = format!("umask 027; '{ASSETS}' restore sdk/a && '{ASSETS}' init --repo o/n sdk/new");
    run(&stage.code.path, stage.code.env(), "sh", ["-c", &script]).ok();
    let git_dir = stage.code.only_checkout().join(".git");
    let known = only_file_below(&world.root().join("cache/code-repos"));
    let written = ["HEAD", "refs/assets/shown", "objects/info/alternates", "shallow", "info/sparse-checkout"];
    let written = written.map(|name| git_dir.join(name)).into_iter();
    let others = [stage.code.path.join(".assets/.gitignore"), stage.code.path.join("sdk/new/assets.json"), known];
    for file in written.chain(others) {
        let mode = std::fs::metadata(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{}", file.display());
    }
}
