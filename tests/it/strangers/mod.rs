//! What comes from a stranger's pull request (a manifest, the assets repo it names, files in the assets folder) and
//! from a strange server neither runs nor writes anything, and never gets the token.
//!
//! Every case is checked the same way: the bait was not taken, nothing changed but the assets folder and the store, no
//! output holds a character that a terminal obeys, and the token is nowhere.
#![cfg(unix)]

mod git_variables;
mod local_repos;
mod messages;
mod planted;
mod redirects_and_tokens;
mod sizes;
mod tracked;
mod trees;
mod values;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;

use crate::support::{AssetsRepo, CodeRepo, Run, World, snapshot, write};

/// What nobody may see.
pub const TOKEN: &str = "ghp_n0b0dyMayS33this";

/// A world with a bait: a program that tells when it was run.
pub struct Trap<'a> {
    pub world: &'a World,
    pub repo: AssetsRepo,
    pub code: CodeRepo,
    /// The first commit of `main`, which has `recordings/sdk/a/a.json`.
    pub pin: String,
}

impl<'a> Trap<'a> {
    /// A code repo with the package `sdk/a`, not restored.
    pub fn new(world: &'a World) -> Trap<'a> {
        let repo = world.assets_repo("assets");
        let pin = repo.commit("main", &[("recordings/sdk/a/a.json", "one\n"), ("readme", "above\n")]);
        let code = world.code_repo("code");
        code.branch_manifest("sdk/a", &repo.path.to_string_lossy(), &pin);
        code.write(".gitignore", ".assets\n");
        code.commit("manifest");
        // Git's examples only take time to compare.
        for hooks in ["assets.git/hooks", "assets-seed/.git/hooks", "code/.git/hooks"] {
            std::fs::remove_dir_all(world.root().join(hooks)).unwrap();
        }
        let trap = Trap { world, repo, code, pin };
        script(&trap.bait(), &format!("echo \"$0 $*\" >> '{}'", trap.canary().display()));
        trap
    }

    /// The same, restored.
    pub fn restored(world: &'a World) -> Trap<'a> {
        let trap = Trap::new(world);
        trap.code.assets(["restore", "sdk/a"]).ok();
        trap
    }

    /// Writes the manifest of `sdk/a` with other fields. It pins by `SHA` unless a tag is given.
    pub fn manifest(&self, fields: &[(&str, &str)]) {
        let mut manifest = serde_json::json!({
            "AssetsRepo": self.repo.path.to_string_lossy(),
            "AssetsRepoPrefixPath": "recordings",
            "SHA": self.pin,
        });
        for (field, value) in fields {
            if *field == "Tag" {
                manifest.as_object_mut().unwrap().remove("SHA");
            }
            manifest[field] = (*value).into();
        }
        self.code.manifest("sdk/a", &manifest.to_string());
    }

    /// A hostile text with the bait and a directory of the user in it.
    pub fn fill(&self, text: &str) -> String {
        text.replace("BAIT", &self.bait().to_string_lossy())
            .replace("OUT", &self.world.root().join("home").to_string_lossy())
    }

    /// A program whose run would be a success of the stranger.
    pub fn bait(&self) -> PathBuf {
        self.world.root().join("bait/run")
    }

    fn canary(&self) -> PathBuf {
        self.world.root().join("canary")
    }

    /// Where the assets folder is.
    pub fn folder(&self) -> PathBuf {
        self.code.path.join(".assets")
    }

    /// Everything that a command that changes no remote must leave as it is: files, folders and links, with what tells
    /// that they were written.
    pub fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.world.root().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let (path, meta) = (entry.path(), entry.metadata().unwrap());
                let ours = path == self.world.root().join("cache") || path == self.folder();
                match meta.is_dir() {
                    true if ours => {}
                    // Its own times change when a neighbour of ours is made in it for a moment.
                    true => {
                        found.insert(path.clone(), String::new());
                        folders.push(path);
                    }
                    // Git marks it as in use whenever it reads it.
                    false if path.to_string_lossy().contains("/sharedindex.") => {}
                    false => {
                        let trace = (meta.ino(), meta.len(), meta.mode(), meta.mtime(), meta.mtime_nsec());
                        found.insert(path, format!("{trace:?}"));
                    }
                }
            }
        }
        found
    }

    /// Runs `assets` with a token, and checks all that must hold after any command.
    #[track_caller]
    pub fn run(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        let run = self.code.assets_with(&[&[("GIT_TOKEN", TOKEN)], env].concat(), args);
        self.holds(&run);
        run
    }

    /// As [`Trap::run`] for a command that may change nothing outside of the assets folder and the store.
    #[track_caller]
    pub fn run_inside(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        let before = self.outside();
        let run = self.run(env, args);
        assert!(before == self.outside(), "{args:?} wrote outside\n{}", run.stderr);
        run
    }

    /// Checks the output of a command and the canary.
    #[track_caller]
    pub fn holds(&self, run: &Run) {
        assert!(matches!(run.code, Some(0..=5)), "exit code {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
        is_plain(run);
        for text in [&run.stdout, &run.stderr] {
            assert!(!holds_token(text.as_bytes()), "the token is in the output:\n{text}");
        }
        assert!(!self.canary().exists(), "it ran: {}", std::fs::read_to_string(self.canary()).unwrap_or_default());
    }

    /// Checks that no file holds the token.
    #[track_caller]
    pub fn token_is_in_no_file(&self) {
        for (path, content) in snapshot(self.world.root()) {
            assert!(!holds_token(&content) && !holds_token(path.as_bytes()), "the token is in {path}");
        }
    }
}

/// Makes a script.
pub fn script(file: &Path, text: &str) {
    write(file, format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether bytes hold the token, as it is or as it travels.
pub fn holds_token(bytes: &[u8]) -> bool {
    let header = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    [TOKEN, &header].iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
}

/// Expects that no output holds what a terminal obeys or what reorders text.
#[track_caller]
pub fn is_plain(run: &Run) {
    let obeyed = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.chars().any(obeyed), "{text:?}");
    }
}
