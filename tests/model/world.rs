//! The world of one history on disk: the assets repo, the code repos of the users, their caches, one git; and running
//! programs in it.

mod command;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::objects::{Files, Objects, blob_id, refs, work_tree};
use crate::ops::Setup;

pub const USERS: [&str; 3] = ["ann", "bob", "cyd"];
/// The name of the checkout of the branch form.
pub const BRANCH_CHECKOUT: &str = "X";

/// One package of the code repo.
#[derive(Clone, Debug)]
pub struct Package {
    pub dir: String,
    pub tag_form: bool,
    /// `AssetsRepoBranch`, or `TagPrefix`.
    pub target: String,
    /// The folder of its checkout in the assets folder.
    pub checkout: String,
}

impl Package {
    pub fn slice(&self) -> String {
        format!("rec/{}", self.dir)
    }
}

pub struct World {
    temp: TempDir,
    pub root: PathBuf,
    pub setup: Setup,
    pub git: PathBuf,
    assets: PathBuf,
    pub objects: Objects,
    pub packages: Vec<Package>,
    /// Commits of the assets repo by their labels.
    pub labels: BTreeMap<String, String>,
    /// Every tag that there ever was.
    pub tags: BTreeMap<String, String>,
    /// Contents that were written, by the ids of their blobs, in words.
    pub written: HashMap<String, String>,
    /// Those of them that a user recorded.
    pub recorded: BTreeSet<String>,
    /// The number of the step; commits get their times from it.
    pub step: usize,
}

/// What a command of `assets` came to.
#[derive(Clone, Debug)]
pub struct Run {
    pub args: Vec<String>,
    /// None when it was killed.
    pub code: Option<i32>,
    pub json: Value,
    pub stderr: String,
    /// Whether the fault came to pass.
    pub struck: bool,
    /// Whether a recording was written while it ran.
    pub wrote: bool,
}

/// What a user has on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenUser {
    pub checkouts: BTreeMap<String, SeenCheckout>,
    /// Checkouts that were set aside as broken.
    pub aside: BTreeSet<String>,
    /// The code repo without the assets folder.
    pub code: Files,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenCheckout {
    pub files: Files,
    /// Folders in it that are git repositories of their own.
    pub nested: BTreeSet<String>,
    pub refs: BTreeMap<String, String>,
    pub head: String,
}

impl SeenCheckout {
    /// Whether a command may refuse on account of this file: it is in a repository of its own, or git refuses its name.
    pub fn is_odd(&self, path: &str) -> bool {
        let is_inside = |folder: &String| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.nested.iter().any(is_inside) || path.split('/').any(|part| part.to_lowercase().starts_with("git~"))
    }

    /// The stash entries: the slice (empty for several) and the number, and the commit.
    pub fn entries(&self) -> Vec<(String, u32, String)> {
        let mut found = Vec::new();
        for (name, commit) in &self.refs {
            let Some(rest) = name.strip_prefix("refs/assets/stash/") else { continue };
            let Some((slice, number)) = rest.rsplit_once('%') else { continue };
            let slice = decode(slice.trim_end_matches('/'));
            found.push((slice, number.parse().unwrap_or(0), commit.clone()));
        }
        found
    }
}

fn decode(name: &str) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let code = u8::from_str_radix(after.get(..2).unwrap_or("3F"), 16).unwrap_or(b'?');
        text.push(code as char);
        rest = after.get(2..).unwrap_or_default();
    }
    text + rest
}

impl World {
    pub fn new(setup: Setup, gits: &[PathBuf], assets: &Path) -> World {
        let shm = Path::new("/dev/shm");
        let place = match std::env::var_os("TMPDIR") {
            None if shm.is_dir() => shm.to_path_buf(),
            _ => std::env::temp_dir(),
        };
        let temp = tempfile::Builder::new().prefix("model-").tempdir_in(place).expect("a temporary directory");
        let root = temp.path().canonicalize().expect("it is there");
        let git = gits[setup.git % gits.len()].clone();
        let objects = Objects::new(&git, &root);
        let world = World {
            temp,
            root,
            setup,
            git,
            assets: assets.into(),
            objects,
            packages: Vec::new(),
            labels: BTreeMap::new(),
            tags: BTreeMap::new(),
            written: HashMap::new(),
            recorded: BTreeSet::new(),
            step: 0,
        };
        world.make();
        world
    }

    fn make(&self) {
        for folder in ["bin", "tmp", "fault"] {
            std::fs::create_dir(self.root.join(folder)).expect("a folder");
        }
        std::os::unix::fs::symlink(&self.git, self.root.join("bin/git")).expect("a link to git");
        let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[uploadpack]\n\tallowFilter = true\n\
                      \tallowAnySHA1InWant = true\n[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n";
        bare(&self.remote(), config);
        for user in 0..self.setup.users {
            let code = self.code(user);
            bare(&code.join(".git"), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n");
            write(&code.join("README.md"), b"code\n");
            self.write_git_config(user, "");
            if self.setup.disks {
                let folder = self.disk(user);
                std::fs::create_dir(&folder).expect("a folder");
                let mounted =
                    Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "none"]).arg(&folder).status();
                assert!(mounted.is_ok_and(|status| status.success()), "a small disk is mounted");
            }
        }
    }

    pub fn remote(&self) -> PathBuf {
        self.root.join("assets.git")
    }

    pub fn code(&self, user: usize) -> PathBuf {
        self.root.join(USERS[user]).join("code")
    }

    /// The assets folder, which may be a disk of its own.
    fn disk(&self, user: usize) -> PathBuf {
        self.code(user).join(".assets")
    }

    pub fn home(&self, user: usize) -> PathBuf {
        self.root.join(USERS[user]).join("home")
    }

    pub fn cache(&self, user: usize) -> PathBuf {
        if self.setup.shared_cache { self.root.join("cache") } else { self.root.join(USERS[user]).join("cache") }
    }

    pub fn assets_repo(&self) -> String {
        let path = self.remote().display().to_string();
        if self.setup.url { format!("file://{path}") } else { path }
    }

    pub fn write_git_config(&self, user: usize, more: &str) {
        let text = format!(
            "[user]\n\tname = {0}\n\temail = {0}@example.com\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n{more}",
            USERS[user]
        );
        write(&self.home(user).join(".gitconfig"), text.as_bytes());
    }

    /// The folder of a checkout.
    pub fn checkout(&self, user: usize, package: &Package) -> PathBuf {
        self.code(user).join(".assets").join(&package.checkout)
    }

    pub fn package(&self, dir: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.dir == dir)
    }

    /// The folder of the checkout of the tag form, as the .NET test proxy names it.
    pub fn tag_checkout(&self, dir: &str) -> String {
        let mut hash = sha1_smol::Sha1::new();
        hash.update(format!("{}{dir}/assets.json", self.assets_repo()).as_bytes());
        let text = STANDARD.encode(hash.digest().bytes());
        text.chars().filter(char::is_ascii_alphanumeric).take(10).collect()
    }

    /// The content that a write of a step has: no other has the same.
    pub fn new_content(&mut self, who: &str, path: &str, large: bool) -> Vec<u8> {
        let mut text = format!("{who} step {} {path}\n", self.step);
        if path.ends_with(".gitignore") {
            text = format!("# {text}log/\ndir/\nb.json\n");
        }
        if large {
            text.push_str(&"more of it\n".repeat(400));
        }
        let id = blob_id(text.as_bytes());
        self.written.insert(id.clone(), text.lines().next().unwrap_or_default().trim_start_matches("# ").to_string());
        if USERS.contains(&who) {
            self.recorded.insert(id);
        }
        text.into_bytes()
    }

    /// A content in words.
    pub fn say(&self, blob: &str) -> String {
        self.written.get(blob).map_or(blob.to_string(), |text| format!("\"{text}\""))
    }

    /// A commit in words.
    pub fn name(&self, commit: &str) -> String {
        let label = self.labels.iter().find(|(_, oid)| *oid == commit).map(|(label, _)| label.as_str());
        label.map_or(commit.get(..10).unwrap_or(commit).to_string(), |label| format!("{label} ({:.10})", commit))
    }

    fn env(&self, user: usize) -> Vec<(String, String)> {
        let below = |name: &str| self.root.join(name).display().to_string();
        // A day after the last step: no two commits have the same time.
        let date = format!("{} +0000", 1_767_225_600 + self.step * 60);
        [
            ("PATH", format!("{}:/usr/bin:/bin", below("bin"))),
            ("HOME", self.home(user).display().to_string()),
            ("TMPDIR", below("tmp")),
            ("ASSETS_CACHE_DIR", self.cache(user).display().to_string()),
            ("ASSETS_SECRET_SCANNER", "none".into()),
            ("ASSETS_NO_PROGRESS", "1".into()),
            ("ASSETS_JOBS", "1".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_DATE", date.clone()),
            ("GIT_COMMITTER_DATE", date),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }

    /// Runs git as a user would, in a folder.
    pub fn git(&self, user: usize, folder: &Path, args: &[&str]) -> (bool, String) {
        let output = Command::new(&self.git)
            .args(args)
            .current_dir(folder)
            .env_clear()
            .envs(self.env(user))
            // Not in the code repo around a checkout that has no HEAD.
            .env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder))
            .stdin(Stdio::null())
            .output()
            .expect("git starts");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Feeds a stream to `git fast-import` of the assets repo.
    pub fn import(&self, stream: &[u8]) -> bool {
        use std::io::Write;
        let mut child = Command::new(&self.git)
            .args(["fast-import", "--quiet", "--force", "--date-format=raw"])
            .current_dir(self.remote())
            .env_clear()
            .envs(self.env(0))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("git starts");
        child.stdin.take().expect("piped").write_all(stream).expect("the stream is written");
        child.wait().expect("it ends").success()
    }

    /// Looks at what a user has.
    pub fn see(&self, user: usize) -> SeenUser {
        let mut seen = SeenUser::default();
        let folder = self.code(user).join(".assets");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(".broken-") {
                seen.aside.insert(name);
            } else if !name.starts_with('.') && name != "breadcrumb" {
                let git_dir = entry.path().join(".git");
                let head = std::fs::read_to_string(git_dir.join("HEAD")).unwrap_or_default().trim().to_string();
                let (files, nested) = work_tree(&entry.path());
                seen.checkouts.insert(name, SeenCheckout { files, nested, refs: refs(&git_dir), head });
            }
        }
        for folder in std::fs::read_dir(self.code(user)).into_iter().flatten().flatten() {
            let name = folder.file_name().to_string_lossy().into_owned();
            if name != ".assets" {
                let path = folder.path();
                if path.is_dir() {
                    seen.code.extend(every_file(&path).into_iter().map(|(file, id)| (format!("{name}/{file}"), id)));
                } else {
                    seen.code.insert(name, blob_id(&std::fs::read(path).unwrap_or_default()));
                }
            }
        }
        seen
    }

    /// The branches and tags of the assets repo.
    pub fn remote_refs(&self) -> BTreeMap<String, String> {
        let mut found = refs(&self.remote());
        found.retain(|name, _| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
        found
    }

    /// Keeps the folder that holds it all.
    pub fn keep(&mut self) -> &Path {
        self.temp.disable_cleanup(true);
        self.temp.path()
    }
}

/// All files below a folder of the code repo, those of git too.
fn every_file(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            files.extend(every_file(&entry.path()).into_iter().map(|(path, id)| (format!("{name}/{path}"), id)));
        } else {
            files.insert(name, blob_id(&std::fs::read(entry.path()).unwrap_or_default()));
        }
    }
    files
}

impl Drop for World {
    fn drop(&mut self) {
        for user in (0..self.setup.users).filter(|_| self.setup.disks) {
            let _ = Command::new("umount").arg("-l").arg(self.disk(user)).status();
        }
    }
}

fn bare(folder: &Path, config: &str) {
    for name in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    write(&folder.join("HEAD"), b"ref: refs/heads/main\n");
    write(&folder.join("config"), config.as_bytes());
}

fn executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
}

pub fn write(file: &Path, content: &[u8]) {
    std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("its folder");
    std::fs::write(file, content).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}
