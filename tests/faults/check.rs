//! Everything that somebody could miss, and what became of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::processes::{start, wait};
use crate::rig::{Rig, Work};
use crate::support::{Run, snapshot};

/// Path and content; none where a file was deleted.
type Files = BTreeMap<String, Option<Vec<u8>>>;

/// What to replace, and by what.
type Names = Vec<(String, String)>;

/// What was found out once about objects that do not change.
#[derive(Default)]
pub struct Checked {
    stashes: Mutex<HashMap<String, Arc<Files>>>,
}

/// All of a code repo, its checkouts and the remote, without what differs from run to run.
#[derive(Debug)]
pub struct State {
    /// The code repo without its assets folder.
    code: BTreeMap<String, Vec<u8>>,
    /// The work trees, and those that were set aside.
    shown: BTreeMap<String, Vec<u8>>,
    aside: BTreeMap<String, Vec<u8>>,
    /// What git says about each checkout.
    status: BTreeMap<String, String>,
    /// Stash entries: the checkout and slice, and what is in it.
    stashes: BTreeSet<(String, Arc<Files>)>,
    /// The refs of the remote; those that are new with their tree and how many commits they have.
    remote: BTreeMap<String, String>,
    /// New commits of the remote.
    pushed: Vec<Arc<Files>>,
}

impl State {
    pub fn of(rig: &Rig) -> State {
        let (remote, names, pushed) = remote(rig);
        let mut code = rig.code.snapshot();
        code.values_mut().for_each(|content| replace(content, &names));
        let (mut shown, mut aside) = (BTreeMap::new(), BTreeMap::new());
        for (path, mut content) in snapshot(&rig.code.path.join(".assets")) {
            let (first, rest) = path.split_once('/').unwrap_or(("", &path));
            if first == ".locks" || first.starts_with(".new-") || rest.starts_with(".git/") || rest.starts_with(".tmp-")
            {
                continue;
            }
            replace(&mut content, &names);
            let set_aside = first.contains(".broken-");
            if set_aside { &mut aside } else { &mut shown }.insert(path, content);
        }
        let (mut status, mut stashes) = (BTreeMap::new(), BTreeSet::new());
        for name in rig.code.checkouts() {
            if name.starts_with(".new-") {
                continue;
            }
            let dir = rig.code.checkout(&name);
            let said = look(rig, &dir, ["--no-optional-locks", "status", "--porcelain", "-uall"]);
            stashes.extend(entries(rig, &dir).into_iter().map(|(slice, files)| (format!("{name} {slice}"), files)));
            if !name.contains(".broken-") {
                status.insert(name, said.stdout + &said.stderr);
            }
        }
        State { code, shown, aside, status, stashes, remote, pushed }
    }

    /// The first change of somebody's that is nowhere any more.
    pub fn lost(&self, work: &[Work]) -> Option<String> {
        let lost = work.iter().find(|(path, content)| {
            let content = content.as_ref().map(|content| content.as_bytes());
            let in_tree = |files: &BTreeMap<String, Vec<u8>>| match content {
                Some(content) => {
                    files.iter().any(|(file, there)| file.ends_with(&format!("/{path}")) && there == content)
                }
                None => !files.keys().any(|file| file.ends_with(&format!("/{path}"))),
            };
            let in_files = |files: &Files| files.get(path).is_some_and(|there| there.as_deref() == content);
            !(in_tree(&self.shown)
                || (!self.aside.is_empty() && in_tree(&self.aside))
                || self.stashes.iter().any(|(_, files)| in_files(files))
                || self.pushed.iter().any(|files| in_files(files)))
        });
        lost.map(|(path, content)| {
            format!("{} of {path}", if content.is_some() { "the content" } else { "the removal" })
        })
    }

    /// What is not as in another state. A stash entry may be there twice.
    pub fn difference(&self, wanted: &State) -> Option<String> {
        let stashes =
            |state: &State| state.stashes.iter().map(|(slice, files)| (slice.clone(), names(files))).collect();
        let (ours, theirs): (BTreeMap<String, String>, BTreeMap<String, String>) = (stashes(self), stashes(wanted));
        self.difference_of_files(wanted)
            .or_else(|| difference("git status", &self.status, &wanted.status))
            .or_else(|| difference("remote", &self.remote, &wanted.remote))
            .or_else(|| {
                (self.stashes != wanted.stashes).then(|| format!("stash entries {ours:?}, and wanted {theirs:?}"))
            })
    }

    /// What is not as in another state, of the work trees and the code repo.
    pub fn difference_of_files(&self, wanted: &State) -> Option<String> {
        difference("code repo", &self.code, &wanted.code)
            .or_else(|| difference("work tree", &self.shown, &wanted.shown))
    }

    /// The same without what the assets folder needs besides.
    pub fn difference_of_recordings(&self, wanted: &State) -> Option<String> {
        let recordings = |state: &State| {
            let mut shown = state.shown.clone();
            shown.retain(|path, _| path != ".gitignore" && !path.starts_with("breadcrumb/"));
            shown
        };
        difference("code repo", &self.code, &wanted.code)
            .or_else(|| difference("work tree", &recordings(self), &recordings(wanted)))
    }

    /// Expects that each recording is that of the pin, which the remote has, or somebody's own.
    pub fn holds_only(&self, rig: &Rig, work: &[Work]) {
        for (path, content) in &self.code {
            let Some(package) = path.strip_suffix("/assets.json") else { continue };
            let text = String::from_utf8_lossy(content);
            let manifest: serde_json::Value = serde_json::from_str(&text).expect("the manifest is JSON");
            let pin = ["SHA", "Tag"].iter().find_map(|key| manifest[key].as_str()).expect("it has a pin");
            let slice = format!("recordings/{package}/");
            // What was pushed is known by its tree; the remote has that too.
            let revision = match pin.split_once("new-") {
                Some((_, tree)) => tree.to_string(),
                None if pin.contains('/') => format!("refs/tags/{pin}"),
                None => pin.to_string(),
            };
            assert!(rig.repo.rev(&revision).is_some(), "the remote does not have {pin}");
            for (file, content) in &self.shown {
                let Some((_, path)) = file.split_once('/') else { continue };
                if !path.starts_with(&slice) {
                    continue;
                }
                let own = work
                    .iter()
                    .any(|(own, text)| own == path && text.as_ref().is_some_and(|text| text.as_bytes() == content));
                let of_pin = rig.repo.file(&revision, path).is_some_and(|text| text.as_bytes() == content);
                assert!(own || of_pin, "{file} is neither of the pin nor anybody's own");
            }
        }
    }
}

/// Runs git where something may be missing. It must not fetch that: the fetch may lack the same and fetch it in turn,
/// without end.
pub fn look<const N: usize>(rig: &Rig, dir: &Path, args: [&str; N]) -> Run {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env_clear().envs(rig.code.env().iter().map(|(name, value)| (name, value)));
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    wait(start(&mut command, rig.world.root()), rig.world.root())
}

fn names(files: &Files) -> String {
    files
        .iter()
        .map(|(path, content)| format!("{path}:{}", content.as_ref().map_or("gone".into(), |c| c.len().to_string())))
        .collect::<Vec<_>>()
        .join(" ")
}

fn difference<T: PartialEq + AsRef<[u8]>>(
    what: &str,
    ours: &BTreeMap<String, T>,
    wanted: &BTreeMap<String, T>,
) -> Option<String> {
    let show = |value: Option<&T>| match value {
        None => "absent".to_string(),
        Some(value) => {
            let value = String::from_utf8_lossy(value.as_ref());
            format!("{} bytes {:?}", value.len(), value.chars().take(300).collect::<String>())
        }
    };
    let paths: BTreeSet<&String> = ours.keys().chain(wanted.keys()).collect();
    let path = paths.into_iter().find(|path| ours.get(*path) != wanted.get(*path))?;
    Some(format!("{what}: {path} is {}, and should be {}", show(ours.get(path)), show(wanted.get(path))))
}

/// The stash entries of a checkout.
fn entries(rig: &Rig, dir: &Path) -> Vec<(String, Arc<Files>)> {
    let format = "--format=%(refname:lstrip=3) %(objectname) %(parent)";
    let listed = look(rig, dir, ["for-each-ref", format, "refs/assets/stash"]);
    let mut entries = Vec::new();
    for line in listed.stdout.lines() {
        let mut words = line.split(' ').map(String::from);
        let (Some(name), Some(commit), Some(parent)) = (words.next(), words.next(), words.next()) else { continue };
        let slice = name.rsplit_once('%').map_or("", |(slice, _)| slice).to_string();
        entries.push((slice, changed(rig, dir, &parent, &commit)));
    }
    entries
}

/// The files that a commit changed, with their contents.
fn changed(rig: &Rig, dir: &Path, parent: &str, commit: &str) -> Arc<Files> {
    let key = format!("{} {commit}", dir.display());
    if let Some(known) = rig.checked.stashes.lock().unwrap().get(&key) {
        return known.clone();
    }
    let listed = look(rig, dir, ["diff-tree", "-r", "--no-renames", "-z", parent, commit]);
    if listed.code != Some(0) {
        // It cannot be read as it is, and counts for nothing.
        return Arc::default();
    }
    let mut files = Files::new();
    let mut fields = listed.stdout.split('\0');
    while let (Some(meta), Some(path)) = (fields.next().filter(|meta| !meta.is_empty()), fields.next()) {
        let blob = meta.split(' ').nth(3).expect("a blob");
        let content =
            (!blob.starts_with("0000")).then(|| look(rig, dir, ["cat-file", "blob", blob]).stdout.into_bytes());
        files.insert(path.to_string(), content);
    }
    let files = Arc::new(files);
    rig.checked.stashes.lock().unwrap().insert(key, files.clone());
    files
}

/// The refs of the remote, the names to replace what was pushed by, and what that holds.
fn remote(rig: &Rig) -> (BTreeMap<String, String>, Names, Vec<Arc<Files>>) {
    let known = [&rig.old, &rig.new];
    let listed = rig.repo.git(["for-each-ref", "--format=%(refname) %(objectname) %(tree)"]).ok().stdout;
    let (mut refs, mut names, mut pushed) = (BTreeMap::new(), Vec::new(), Vec::new());
    for line in listed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, commit, tree] = words[..] else { panic!("{line}") };
        if known.iter().any(|known| *known == commit) {
            refs.insert(name.to_string(), commit.to_string());
            continue;
        }
        // Its time makes each commit another one; its tree does not.
        names.push((commit.to_string(), format!("new-{tree}")));
        names.push((commit[..10].to_string(), format!("new-{}", &tree[..10])));
        let count = rig.repo.git(["rev-list", "--count", commit, "--not", &rig.new, &rig.old]).ok().stdout;
        let name = name.replace(&commit[..10], &format!("new-{}", &tree[..10]));
        if let Some(twin) = refs.insert(name.clone(), format!("{tree} {}", count.trim())) {
            // The same content under two tags was pushed twice.
            refs.insert(format!("{name} twice"), twin);
        }
        pushed.push(changed(rig, &rig.repo.path, &format!("{commit}^"), commit));
    }
    (refs, names, pushed)
}

fn replace(content: &mut Vec<u8>, names: &[(String, String)]) {
    for (name, by) in names {
        while let Some(at) = content.windows(name.len()).position(|window| window == name.as_bytes()) {
            content.splice(at..at + name.len(), by.bytes());
        }
    }
}
