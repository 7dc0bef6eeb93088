//! Reads git objects and refs without a process for each: one `cat-file --batch` over every objects directory of a world.
//! Objects never change, so all that was read is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

/// Files by path: the ids of their blobs.
pub type Files = BTreeMap<String, String>;
/// Changes by path; `None` is a deletion.
pub type Changes = BTreeMap<String, Option<String>>;

/// A commit, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Commit {
    pub tree: String,
    pub parents: Vec<String>,
}

/// All objects of a world.
pub struct Objects {
    git: PathBuf,
    /// Where the objects directories are looked for.
    root: PathBuf,
    batch: Option<Batch>,
    commits: HashMap<String, Option<Commit>>,
    trees: HashMap<String, Rc<Vec<(String, String)>>>,
    files: HashMap<String, Rc<Files>>,
}

struct Batch {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Objects {
    pub fn new(git: &Path, root: &Path) -> Objects {
        let reader = root.join("reader");
        for folder in ["objects/info", "refs"] {
            std::fs::create_dir_all(reader.join(folder)).expect("a folder for the reader");
        }
        std::fs::write(reader.join("HEAD"), "ref: refs/heads/none\n").expect("the reader is written");
        Objects {
            git: git.into(),
            root: root.into(),
            batch: None,
            commits: HashMap::new(),
            trees: HashMap::new(),
            files: HashMap::new(),
        }
    }

    /// Looks for new objects directories, and forgets what came from old ones; kept listings stay.
    pub fn look_again(&mut self) {
        self.batch = None;
        self.commits.retain(|_, commit| commit.is_some());
    }

    fn start(&mut self) -> &mut Batch {
        if self.batch.is_none() {
            let reader = self.root.join("reader");
            let mut places = Vec::new();
            find_objects(&self.root, 5, &mut places);
            places.retain(|place| !place.starts_with(&reader));
            let text: String = places.iter().map(|place| format!("{}\n", place.display())).collect();
            std::fs::write(reader.join("objects/info/alternates"), text).expect("the reader is written");
            let mut child = Command::new(&self.git)
                .args(["--git-dir", &reader.to_string_lossy(), "cat-file", "--batch"])
                .env_clear()
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("HOME", &reader)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("cat-file starts");
            let input = child.stdin.take().expect("piped");
            let output = BufReader::new(child.stdout.take().expect("piped"));
            self.batch = Some(Batch { child, input, output });
        }
        self.batch.as_mut().expect("just started")
    }

    fn ask(&mut self, oid: &str) -> Option<Vec<u8>> {
        let batch = self.start();
        writeln!(batch.input, "{oid}").ok()?;
        let mut head = String::new();
        batch.output.read_line(&mut head).ok()?;
        let size: usize = head.trim().rsplit_once(' ')?.1.parse().ok()?;
        let mut bytes = vec![0; size + 1];
        batch.output.read_exact(&mut bytes).ok()?;
        bytes.pop();
        Some(bytes)
    }

    /// The content of an object; none if it is nowhere.
    pub fn read(&mut self, oid: &str) -> Option<Vec<u8>> {
        self.ask(oid).or_else(|| {
            self.batch = None;
            self.ask(oid)
        })
    }

    pub fn commit(&mut self, oid: &str) -> Option<Commit> {
        if let Some(known) = self.commits.get(oid) {
            return known.clone();
        }
        let commit = self.read(oid).map(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let head = text.split("\n\n").next().unwrap_or_default();
            let of =
                |key: &'static str| head.lines().filter_map(move |line| line.strip_prefix(key)).map(str::to_string);
            Commit { tree: of("tree ").next().unwrap_or_default(), parents: of("parent ").collect() }
        });
        self.commits.insert(oid.into(), commit.clone());
        commit
    }

    /// All files of a commit. A submodule is a file with the id of its commit.
    pub fn files(&mut self, commit: &str) -> Rc<Files> {
        if let Some(known) = self.files.get(commit) {
            return known.clone();
        }
        let Some(found) = self.commit(commit) else { return Rc::default() };
        let files: Files = self.tree(&found.tree).iter().cloned().collect();
        let files = Rc::new(files);
        self.files.insert(commit.into(), files.clone());
        files
    }

    fn tree(&mut self, oid: &str) -> Rc<Vec<(String, String)>> {
        if let Some(known) = self.trees.get(oid) {
            return known.clone();
        }
        let Some(bytes) = self.read(oid) else { return Rc::default() };
        let mut files = Vec::new();
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let (id, after) = rest[end + 1..].split_at(20);
            rest = after;
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let Some((mode, name)) = head.split_once(' ') else { break };
            if mode == "40000" {
                files.extend(self.tree(&id).iter().map(|(path, blob)| (format!("{name}/{path}"), blob.clone())));
            } else {
                files.push((name.to_string(), id));
            }
        }
        let files = Rc::new(files);
        self.trees.insert(oid.into(), files.clone());
        files
    }

    /// What a stash entry holds: the difference to its first parent.
    pub fn entry(&mut self, commit: &str) -> Changes {
        let Some(found) = self.commit(commit) else { return Changes::new() };
        let base = found.parents.first().map(|parent| self.files(parent)).unwrap_or_default();
        changes(&base, &self.files(commit))
    }

    /// Every commit from which history leads to one of these, them included.
    pub fn history<'a>(&mut self, tips: impl IntoIterator<Item = &'a String>) -> HashSet<String> {
        let mut seen = HashSet::new();
        let mut open: Vec<String> = tips.into_iter().cloned().collect();
        while let Some(oid) = open.pop() {
            if let Some(commit) = self.commit(&oid)
                && seen.insert(oid)
            {
                open.extend(commit.parents);
            }
        }
        seen
    }

    pub fn is_ancestor(&mut self, old: &str, new: &str) -> bool {
        self.history([&new.to_string()]).contains(old)
    }

    /// Commits that both have, and that no other such commit has in its history.
    pub fn merge_bases(&mut self, one: &str, other: &str) -> Vec<String> {
        let theirs = self.history([&other.to_string()]);
        let common: BTreeSet<String> =
            self.history([&one.to_string()]).into_iter().filter(|oid| theirs.contains(oid)).collect();
        let old: HashSet<String> = common
            .iter()
            .flat_map(|oid| self.commit(oid).map(|commit| commit.parents).unwrap_or_default())
            .collect::<Vec<_>>()
            .iter()
            .flat_map(|parent| self.history([parent]))
            .collect();
        common.into_iter().filter(|oid| !old.contains(oid)).collect()
    }
}

/// The difference between two listings.
pub fn changes(old: &Files, new: &Files) -> Changes {
    let mut changes: Changes = new
        .iter()
        .filter(|(path, blob)| old.get(*path) != Some(blob))
        .map(|(p, b)| (p.clone(), Some(b.clone())))
        .collect();
    changes.extend(old.keys().filter(|path| !new.contains_key(*path)).map(|path| (path.clone(), None)));
    changes
}

fn find_objects(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == "objects" {
            found.push(entry.path());
        } else if depth > 0 {
            find_objects(&entry.path(), depth - 1, found);
        }
    }
}

/// All refs of a git directory, by their full names.
pub fn refs(git_dir: &Path) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    let packed = std::fs::read_to_string(git_dir.join("packed-refs")).unwrap_or_default();
    for line in packed.lines().filter(|line| !line.starts_with(['#', '^'])) {
        if let Some((oid, name)) = line.split_once(' ') {
            refs.insert(name.to_string(), oid.to_string());
        }
    }
    loose(&git_dir.join("refs"), "refs", &mut refs);
    refs
}

fn loose(folder: &Path, name: &str, refs: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            loose(&entry.path(), &name, refs);
        } else {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            if text.trim().len() == 40 {
                refs.insert(name, text.trim().to_string());
            }
        }
    }
}

/// The id of a blob.
pub fn blob_id(content: &[u8]) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(format!("blob {}\0", content.len()).as_bytes());
    hash.update(content);
    hash.digest().to_string()
}

/// Every file below a folder by its path, without those of git itself; and the folders that are git repositories.
pub fn work_tree(top: &Path) -> (Files, BTreeSet<String>) {
    let (mut files, mut nested) = (Files::new(), BTreeSet::new());
    walk(top, "", &mut files, &mut nested);
    (files, nested)
}

fn walk(folder: &Path, name: &str, files: &mut Files, nested: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let last = entry.file_name().to_string_lossy().into_owned();
        if last == ".git" {
            if !name.is_empty() {
                nested.insert(name.to_string());
            }
            continue;
        }
        let path = if name.is_empty() { last } else { format!("{name}/{last}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &path, files, nested);
        } else {
            let content = std::fs::read(entry.path()).unwrap_or_default();
            files.insert(path, blob_id(&content));
        }
    }
}
