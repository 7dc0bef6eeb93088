//! Sequences of ordinary commands after which a recording used to be lost, or after which nothing worked any more.

mod at_the_same_time;
mod damaged;
mod first_shown;
mod git_by_hand;
mod ignored;
mod kinds_of_files;
mod whole_store;

use std::path::{Path, PathBuf};

use crate::support::{AssetsRepo, CodeRepo, Run, World, write};

/// An assets repo with two commits, and a code repo with the packages `sdk/a` and `sdk/b`, both at the first of them.
struct Scene {
    repo: AssetsRepo,
    code: CodeRepo,
    old: String,
    new: String,
}

impl Scene {
    /// The files of the two commits are below `recordings/sdk/`; an empty content deletes.
    fn new(world: &World, old: &[(&str, &str)], new: &[(&str, &str)]) -> Scene {
        let repo = world.assets_repo("assets");
        let commit = |files: &[(&str, &str)]| {
            let files: Vec<(String, &str)> =
                files.iter().map(|(path, text)| (format!("recordings/sdk/{path}"), *text)).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            repo.commit("main", &files)
        };
        let (old, new) = (commit(old), commit(new));
        let scene = Scene { code: world.code_repo("code"), repo, old, new };
        scene.pin("a", &scene.old);
        scene.pin("b", &scene.old);
        scene
    }

    fn pin(&self, package: &str, commit: &str) {
        self.code.branch_manifest(&format!("sdk/{package}"), &self.repo.path.to_string_lossy(), commit);
    }

    fn checkout(&self) -> PathBuf {
        self.code.only_checkout()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.checkout().join("recordings/sdk").join(path)
    }

    fn record(&self, path: &str, text: &str) {
        write(&self.file(path), text);
    }

    #[track_caller]
    fn shows(&self, path: &str, text: &str) {
        let file = self.file(path);
        assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some(text), "{}", file.display());
    }

    #[track_caller]
    fn assets(&self, command: &str) -> Run {
        self.code.assets(command.split(' '))
    }

    #[track_caller]
    fn restore(&self, package: &str) -> Run {
        self.assets(&format!("restore sdk/{package}")).ok()
    }

    /// Expects that a stash entry of a package holds a file with this content, by bringing it back.
    #[track_caller]
    fn pop_brings(&self, package: &str, path: &str, text: &str) {
        self.assets(&format!("stash pop --ours sdk/{package}")).ok();
        self.shows(path, text);
    }

    fn git(&self, args: &[&str]) -> Run {
        self.code.git_in(&self.checkout(), args)
    }

    /// How many stash entries there are.
    fn entries(&self) -> usize {
        self.git(&["for-each-ref", "refs/assets/stash"]).ok().stdout.lines().count()
    }

    /// The pending changes of a package, as status tells them: `M recordings/sdk/a/x.json`.
    fn pending(&self, package: &str) -> Vec<String> {
        let document = self.assets(&format!("status --json sdk/{package}")).json();
        let list = |change: &serde_json::Value| {
            let kind = change["kind"].as_str().unwrap_or_default();
            format!("{kind} {}", change["path"].as_str().unwrap_or_default())
        };
        document["results"][0]["pending"].as_array().expect("a list").iter().map(list).collect()
    }

    /// A `git` that runs a shell command before it does what it is asked, when its arguments hold a word.
    fn git_that_first(&self, world: &World, word: &str, command: &str) -> String {
        let git = world.root().join("bin/git");
        let folder = world.root().join("slow");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *{word}*) {command} ;; esac\nexec {} \"$@\"\n",
            git.canonicalize().unwrap().display()
        );
        write(&folder.join("git"), script);
        executable(&folder.join("git"));
        format!("{}:/usr/bin:/bin", folder.display())
    }
}

#[cfg(unix)]
fn executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
