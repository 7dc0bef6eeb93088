//! One place to break things in: an assets repo on a server, and a code repo with two packages in each form, pending
//! work and stash entries. It is made once, and put back before each point.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cases::Case;
use crate::check::{self, Checked, State};
use crate::disk::Disk;
use crate::processes::{self, end_marked};
use crate::report::Fate;
use crate::support::server::{Fault, GitServer, Options};
use crate::support::{AssetsRepo, CodeRepo, Run, World, run, write};

/// The packages: two in the branch form, two in the tag form.
pub const BRANCH: [&str; 2] = ["a", "b"];
pub const TAG: [&str; 2] = ["t", "u"];

/// What a fault may change, and what is put back before each point.
const PARTS: [&str; 2] = ["live", "assets.git"];

/// Somebody's own change of a recording: its path in the assets repo, and its content; none if it was deleted.
pub type Work = (String, Option<String>);

pub struct Rig {
    // Dropped before the world that it is mounted in.
    pub disk: Option<Disk>,
    pub world: World,
    pub repo: AssetsRepo,
    pub server: GitServer,
    pub code: CodeRepo,
    /// The pins: an older commit and a newer one.
    pub old: String,
    pub new: String,
    /// What was recorded and not pushed so far.
    pub work: Vec<Work>,
    ready: HashMap<&'static str, Ready>,
    pub checked: Checked,
    /// How many writes a case makes, and how long it takes, when nothing happens to it.
    pub writes: HashMap<&'static str, usize>,
    pub times: HashMap<&'static str, Duration>,
    /// How many bytes the server answers to it.
    pub bytes: HashMap<&'static str, u64>,
}

/// A case that is ready to be run.
struct Ready {
    work: Vec<Work>,
    before: State,
    after: State,
}

impl Rig {
    pub fn new() -> Rig {
        let world = World::new();
        let repo = world.assets_repo("assets");
        let server = GitServer::start(world.root(), Options::default());
        let code = world.code_repo("live/code");
        let mut files = vec![("recordings/readme.txt".to_string(), "above the slices\n".to_string())];
        for package in ["a", "b", "c", "t", "u"] {
            files.extend((0..9).map(|n| (path(package, n), recording(package, n, "old"))));
        }
        let old = repo.commit("main", &borrowed(&files));
        let mut files = Vec::new();
        for package in ["a", "b", "c", "t", "u"] {
            files.extend([1, 2, 4].map(|n| (path(package, n), recording(package, n, "new"))));
            files.push((path(package, 6), String::new()));
            files.push((format!("recordings/sdk/{package}/more/x.json"), recording(package, 3, "more")));
        }
        let new = repo.commit("main", &borrowed(&files));
        for package in TAG {
            repo.tag(&format!("py/sdk/{package}_1"), &old);
            repo.tag(&format!("py/sdk/{package}_2"), &new);
        }
        repo.git(["repack", "-adq"]).ok();
        repo.git(["pack-refs", "--all"]).ok();
        let checked = Checked::default();
        let mut rig = Rig {
            disk: None,
            world,
            repo,
            server,
            code,
            old,
            new,
            work: Vec::new(),
            ready: HashMap::new(),
            checked,
            writes: HashMap::new(),
            times: HashMap::new(),
            bytes: HashMap::new(),
        };
        rig.pin(&BRANCH, false);
        rig.pin(&TAG, false);
        rig.code.branch_manifest("sdk/b", &rig.url(), &rig.new);
        rig.code.commit("manifests");
        rig.assets(["restore", "--all"]).ok();
        // One package of each form has work in a stash entry, and more of it pending.
        for package in ["b", "u"] {
            rig.record(package, 5, Some("put aside"));
            rig.assets(["reset", "-y", &format!("sdk/{package}")]).ok();
            rig.change(package, "beside");
        }
        rig.save("base");
        rig
    }

    pub fn url(&self) -> String {
        format!("{}/assets.git", self.server.url())
    }

    /// Where all that a full disk can hit lies.
    pub fn live(&self) -> PathBuf {
        self.world.root().join("live")
    }

    pub fn cache(&self) -> PathBuf {
        self.live().join("cache")
    }

    /// Runs `assets` without any fault.
    pub fn assets<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let child = processes::start(&mut self.command(args), self.world.root());
        processes::wait(child, self.world.root())
    }

    /// `assets`, yet to be started. The time of a commit is the time, so that a commit that is made again is another.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.code.command(&[], args);
        command.env("ASSETS_CACHE_DIR", self.cache());
        command.env_remove("GIT_AUTHOR_DATE").env_remove("GIT_COMMITTER_DATE");
        command
    }

    /// Lets packages pin the newer commit, or the older one.
    pub fn pin(&self, packages: &[&str], newer: bool) {
        for package in packages {
            let folder = format!("sdk/{package}");
            if TAG.contains(package) {
                let tag = format!("py/sdk/{package}_{}", if newer { 2 } else { 1 });
                self.code.tag_manifest(&folder, &self.url(), &tag);
            } else {
                self.code.branch_manifest(&folder, &self.url(), if newer { &self.new } else { &self.old });
            }
        }
    }

    /// The checkout that shows a package.
    pub fn checkout(&self, package: &str) -> PathBuf {
        let root = self.assets(["config", "locate", &format!("sdk/{package}")]).ok().stdout;
        Path::new(root.trim()).parent().expect("the recordings root has a folder").to_path_buf()
    }

    /// Records a file anew; without a text it is deleted.
    pub fn record(&mut self, package: &str, number: usize, text: Option<&str>) {
        let path = path(package, number);
        let content = text.map(|text| recording(package, number, text));
        let file = self.checkout(package).join(&path);
        match &content {
            Some(content) => write(&file, content),
            None => std::fs::remove_file(file).expect("the recording is there"),
        }
        self.work.push((path, content));
    }

    /// Changes, adds and deletes recordings of a package.
    pub fn change(&mut self, package: &str, text: &str) {
        self.record(package, 0, Some(text));
        self.record(package, 3, Some(text));
        self.record(package, 20, Some(text));
        self.record(package, 7, None);
    }

    /// Puts everything back as it is before `case`, and says what is then there.
    pub fn set_up(&mut self, case: &'static Case) {
        self.server.set_fault(Fault::None);
        end_marked(self.world.root());
        if !self.ready.contains_key(case.name) {
            self.put_back("base");
            let base_work = self.work.clone();
            (case.prepare)(self);
            let work = std::mem::replace(&mut self.work, base_work);
            self.save(case.name);
            // What happens without a fault is what must come of it with one.
            self.put_back(case.name);
            let before = State::of(self);
            self.assets(case.args).ok();
            let after = State::of(self);
            after.holds_only(self, &work);
            assert_eq!(after.lost(&work), None, "{}: lost without any fault", case.name);
            self.ready.insert(case.name, Ready { work, before, after });
        }
        self.put_back(case.name);
        self.server.reset_log();
    }

    /// Ends what the fault left, runs the command once more if it did not succeed, and looks at everything.
    pub fn judge(&self, case: &Case, first: &Run) -> Fate {
        self.judge_after(case, first, false)
    }

    /// The same after a fault that may have struck checkouts which the command does not work in.
    pub fn judge_everywhere(&self, case: &Case, first: &Run) -> Fate {
        self.judge_after(case, first, true)
    }

    fn judge_after(&self, case: &Case, first: &Run, everywhere: bool) -> Fate {
        self.server.set_fault(Fault::None);
        let ready = &self.ready[case.name];
        // Bringing back twice would bring back two entries.
        let done = || case.once && State::of(self).difference(&ready.after).is_none();
        if first.code != Some(0) && !done() {
            let again = self.assets(case.args);
            if again.code != Some(0) {
                let state = State::of(self);
                let story = format!("run again: exit {:?}: {}", again.code, again.stderr);
                return state.lost(&ready.work).map_or(Fate::Unhealed(story), Fate::Lost);
            }
        }
        end_marked(self.world.root());
        if everywhere {
            // What is wrong in other checkouts is mended when somebody works there.
            for command in [&["restore"][..], &["stash", "list"]] {
                let run = self.assets([command, case.shows].concat());
                if run.code != Some(0) {
                    return Fate::Unhealed(format!("{}: exit {:?}: {}", command[0], run.code, run.stderr));
                }
            }
        }
        let state = State::of(self);
        if let Some(path) = state.lost(&ready.work) {
            return Fate::Lost(path);
        }
        if let Some(difference) = state.difference(&ready.after) {
            return Fate::Phantom(difference);
        }
        let rest = self.assets(["--offline", "restore"].into_iter().chain(case.shows.iter().copied()));
        if rest.code != Some(0) || !rest.stderr.is_empty() {
            return Fate::Unhealed(format!("not at rest: exit {:?}: {}", rest.code, rest.stderr));
        }
        Fate::Healed
    }

    /// Whether a command that failed left the work tree and the manifests alone.
    pub fn is_untouched(&self, case: &Case) -> Result<(), String> {
        State::of(self).difference_of_recordings(&self.ready[case.name].before).map_or(Ok(()), Err)
    }

    fn save(&self, name: &str) {
        let to = self.world.root().join("saved").join(name);
        std::fs::create_dir_all(&to).expect("a folder for what is saved");
        for part in PARTS {
            let from = self.world.root().join(part);
            if from.exists() {
                copy(&from, &to.join(part));
            }
        }
    }

    fn put_back(&self, name: &str) {
        let saved = self.world.root().join("saved").join(name);
        for part in PARTS {
            let live = self.world.root().join(part);
            empty(&live);
            if saved.join(part).exists() {
                copy(&saved.join(part), &live);
            }
        }
        empty(&self.world.root().join("tmp"));
        std::fs::create_dir_all(self.world.root().join("tmp")).expect("a folder for temporary files");
        // The copies have other inodes; to git they would all look changed.
        for checkout in self.code.checkouts() {
            check::look(self, &self.code.checkout(&checkout), ["update-index", "-q", "--refresh"]);
        }
    }
}

/// Removes all that is in a folder, which may be the root of a file system, and the folder if it is not.
fn empty(folder: &Path) {
    if std::fs::remove_dir_all(folder).is_err() && folder.exists() {
        let left = std::fs::read_dir(folder).into_iter().flatten().count();
        assert_eq!(left, 0, "{} cannot be emptied", folder.display());
    }
}

fn copy(from: &Path, to: &Path) {
    let (from, to) = (format!("{}/.", from.display()), to.display().to_string());
    std::fs::create_dir_all(&to).expect("a folder to copy to");
    run(Path::new("/"), &[("PATH".into(), "/usr/bin:/bin".into())], "cp", ["-a", "--reflink=auto", &from, &to]).ok();
}

pub fn path(package: &str, number: usize) -> String {
    format!("recordings/sdk/{package}/{number}.json")
}

/// A recording: another one for each package, number and text, some small and some not.
pub fn recording(package: &str, number: usize, text: &str) -> String {
    let body = format!("{package} {number} {text}\n");
    body.repeat(1 + (number % 9).pow(3) * 8)
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect()
}
