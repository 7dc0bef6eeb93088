//! Trees and files that would fill the memory or the disk: refused with what the server leaves out, before anything is
//! written, within the time and memory of any other command.

use std::path::Path;
use std::process::Command;

use super::Trap;
use crate::support::{ASSETS, Run, World, finish};

/// The most memory that `assets` or a git of it may take, in KiB.
const MEMORY: &str = "200000";

impl Trap<'_> {
    /// Writes one object into the assets repo.
    fn mktree(&self, entries: &str) -> String {
        let file = self.repo.path.join("entries");
        std::fs::write(&file, entries).unwrap();
        let shell = ["-c", "git mktree --missing < entries"];
        let made = crate::support::run(&self.repo.path, self.code.env(), "sh", shell).ok();
        std::fs::remove_file(file).unwrap();
        made.stdout.trim().to_string()
    }

    /// A commit of a root tree, on `main` and as a tag.
    fn commit_of(&self, root: &str, tag: &str) -> String {
        let identity = ["-c", "user.name=x", "-c", "user.email=x", "commit-tree", "-m", "x", root];
        let commit = self.repo.git(identity).ok().stdout.trim().to_string();
        self.repo.git(["update-ref", "refs/heads/main", &commit]).ok();
        self.repo.git(["update-ref", &format!("refs/tags/{tag}"), &commit]).ok();
        commit
    }

    /// A tree at the path of the slice, with others beside it.
    fn around(&self, slice: &str, beside: &str) -> String {
        let a = self.mktree(&format!("040000 tree {slice}\ta\n"));
        let sdk = self.mktree(&format!("040000 tree {a}\tsdk\n{beside}"));
        self.mktree(&format!("040000 tree {sdk}\trecordings\n"))
    }

    /// Restores with little memory.
    fn restore_within_limits(&self) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {MEMORY}; exec '{ASSETS}' restore sdk/a")]);
        command.current_dir(&self.code.path).env_clear().envs(self.code.env().iter().cloned());
        // Else each thread reserves, without using it, more than all of them need.
        command.env("MALLOC_ARENA_MAX", "1");
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let run = finish(command.spawn().unwrap());
        self.holds(&run);
        run
    }

    /// Expects in both forms that a commit is refused with these words, without a file of it.
    #[track_caller]
    fn refuses_for_size(&self, commit: &str, tag: &str, says: &str) {
        let before = self.outside();
        for pin in [("SHA", commit), ("Tag", tag)] {
            self.manifest(&[pin]);
            self.restore_within_limits().fails(1).says(says);
            assert!(self.code.checkouts().is_empty());
        }
        self.manifest(&[]);
        let paths = |files: std::collections::BTreeMap<_, _>| files.into_keys().collect::<Vec<_>>();
        assert_eq!(paths(before), paths(self.outside()));
    }
}

#[test]
fn trees_with_more_paths_than_a_disk_holds() {
    let world = World::new();
    let trap = Trap::new(&world);
    let blob = trap.repo.rev("main:readme").unwrap();
    let slice = trap.repo.rev("main:recordings/sdk/a").unwrap();
    // Ten levels of ten times the level below; few levels of many; one folder in the other without end.
    let wide = |tree: &str, times: usize| -> String {
        let lines: String = (0..times).map(|n| format!("040000 tree {tree}\tfolder-{n:05}\n")).collect();
        trap.mktree(&lines)
    };
    let leaf = trap.mktree(&format!("100644 blob {blob}\ta.json\n"));
    let ten_times_ten = (0..10).fold(leaf.clone(), |tree, _| wide(&tree, 10));
    let thousands = (0..4).fold(leaf.clone(), |tree, _| wide(&tree, 2000));
    let deep = (0..300).fold(leaf, |tree, _| trap.mktree(&format!("040000 tree {tree}\td\n")));
    let too_many = "the commit has more than 1000000 files";
    for (name, bomb, says) in
        [("tens", ten_times_ten, too_many), ("thousands", thousands, too_many), ("deep", deep, "more than 250 deep")]
    {
        let (inside, outside) = (format!("inside_{name}"), format!("outside_{name}"));
        let commit = trap.commit_of(&trap.around(&bomb, ""), &inside);
        trap.refuses_for_size(&commit, &inside, says);
        let commit = trap.commit_of(&trap.around(&slice, &format!("040000 tree {bomb}\tb\n")), &outside);
        trap.refuses_for_size(&commit, &outside, says);
    }
    // Too many for a slice only.
    let files: String = (0..1001).map(|n| format!("100644 blob {blob}\t{n:04}.json\n")).collect();
    let folder = trap.mktree(&files);
    let commit = trap.commit_of(&trap.around(&wide(&folder, 250), ""), "many");
    trap.refuses_for_size(&commit, "many", "the slice has more than 250000 files");
}

/// A file of 1 GiB of zeros, which is small in the assets repo.
#[test]
fn a_file_of_a_gigabyte() {
    let world = World::new();
    let trap = Trap::new(&world);
    let small = trap.repo.rev("main:readme").unwrap();
    let zeros = trap.repo.path.join("zeros");
    std::fs::File::create(&zeros).unwrap().set_len(1 << 30).unwrap();
    let made = trap.repo.git(["-c", "core.compression=1", "hash-object", "-w", "zeros"]).ok();
    std::fs::remove_file(zeros).unwrap();
    let large = made.stdout.trim();
    let slice = trap.mktree(&format!("100644 blob {small}\ta.json\n100644 blob {large}\tb.json\n"));
    let commit = trap.commit_of(&trap.around(&slice, ""), "large");
    trap.refuses_for_size(&commit, "large", "the file `recordings/sdk/a/b.json` is larger than 104857600 bytes");
    let downloaded: u64 = sizes(&world.root().join("cache"));
    assert!(downloaded < 1 << 20, "{downloaded} bytes are in the store");
    // Another pin of the slice has it, when all the rest is here.
    trap.restore_within_limits().ok();
    trap.manifest(&[("SHA", &commit)]);
    trap.restore_within_limits().fails(1).says("is larger than 104857600 bytes");
    assert!(sizes(&world.root().join("cache")) < 1 << 20);
}

fn sizes(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| if entry.path().is_dir() { sizes(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

#[test]
fn one_file_under_many_names() {
    let world = World::new();
    let trap = Trap::new(&world);
    let file = trap.repo.path.join("zeros");
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    let blob = trap.repo.git(["hash-object", "-w", "zeros"]).ok().stdout.trim().to_string();
    let slice: String = (0..5000).map(|n| format!("100644 blob {blob}\t{n:04}.json\n")).collect();
    let commit = trap.commit_of(&trap.around(&trap.mktree(&slice), ""), "names");
    trap.refuses_for_size(&commit, "names", "the files of the slice have 5242880000 bytes");
    // Who knows better says so.
    trap.manifest(&[("SHA", &commit)]);
    trap.run(&[("ASSETS_MAX_BYTES", "1000")], &["restore", "sdk/a"]).fails(1).says("`ASSETS_MAX_BYTES=");
}
