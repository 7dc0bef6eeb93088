//! Makes assets repos of realistic shape with `git fast-import`; the same parameters give the same commits.

use crate::text::Text;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// How large a repo is.
#[derive(Clone, Copy)]
pub struct Size {
    pub packages: usize,
    pub files: usize,
    /// Mean size of a recording.
    pub bytes: usize,
    /// Pushes per package, two or more; each after the first rewrites a tenth of the files.
    pub pushes: usize,
    /// Tiny tagged commits in the repo with many tags.
    pub extra_tags: usize,
}

/// A push, as a manifest can name it.
#[derive(Clone)]
pub struct Pin {
    pub commit: String,
    pub tag: String,
}

/// A package and its last two pushes.
#[derive(Clone)]
pub struct Package {
    pub service: String,
    pub name: String,
    pub pin: Pin,
    pub before: Pin,
}

impl Package {
    /// The folder in the assets repo.
    pub fn slice_path(&self) -> String {
        format!("python/{}", self.code_path())
    }

    /// The folder in the code repo.
    pub fn code_path(&self) -> String {
        format!("sdk/{}/{}", self.service, self.name)
    }
}

/// One bare repo below the server's root.
pub struct Repo {
    /// As in a manifest: `Azure/tags-...`.
    pub name: String,
    pub size: Size,
    pub path: PathBuf,
    /// Where more that is made of it can be kept.
    pub folder: PathBuf,
    pub packages: Vec<Package>,
}

impl Repo {
    /// The packages without a large recording.
    pub fn typical(&self) -> impl DoubleEndedIterator<Item = &Package> {
        let numbered = self.packages.iter().enumerate();
        numbered.filter(|(number, _)| !has_large_recording(*number, self.size)).map(|(_, package)| package)
    }
}

/// Every fifth package has a recording of some megabytes.
fn has_large_recording(number: usize, size: Size) -> bool {
    (size.packages - number).is_multiple_of(5)
}

/// What the commits of a repo hold.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// One package each; each push is a tag.
    Tags,
    /// The same, and many tags more.
    ManyTags,
    /// All packages; each push is a commit on `auto/<service>`, merged into `main`, and a tag.
    Monolith,
}

/// A repo of that kind and size, made below `cache` unless it is there already.
pub fn make(cache: &Path, kind: Kind, size: Size) -> io::Result<Repo> {
    let Size { packages, files, bytes, pushes, extra_tags } = size;
    let dimensions = format!("{packages}x{files}x{bytes}-{pushes}");
    let name = match kind {
        Kind::Tags => format!("tags-{dimensions}"),
        Kind::ManyTags => format!("tags-{dimensions}-{extra_tags}"),
        Kind::Monolith => format!("mono-{dimensions}"),
    };
    let folder = cache.join(format!("v4-{name}"));
    if !folder.is_dir() {
        eprintln!("making the repo {name}");
        let start = Instant::now();
        let building = tempfile::tempdir_in(cache)?;
        let path = building.path().join("repo.git");
        let refs = if kind == Kind::ManyTags {
            copy_tree(&make(cache, Kind::Tags, size)?.path, &path)?;
            Writer::start(&path)?.write_extra_tags(extra_tags)?
        } else {
            Writer::start(&path)?.write(kind, size)?
        };
        let written = start.elapsed().as_secs();
        pack(&path, &refs)?;
        fs::rename(building.keep(), &folder)?;
        eprintln!("made in {} s, {written} s without packing", start.elapsed().as_secs());
    }
    let path = folder.join("repo.git");
    let list = fs::read_to_string(path.join("packages"))?;
    let packages = list.lines().map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let (service, name) = (next(), next());
        let mut pin = || Pin { commit: next(), tag: next() };
        Package { service, name, pin: pin(), before: pin() }
    });
    Ok(Repo { name: format!("Azure/{name}"), size, path, folder, packages: packages.collect() })
}

/// Copies a directory with all that is in it; packs, which git never changes, are linked.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if !from.ends_with("objects/pack") || fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Names the pushes by tags, and makes one pack with a bitmap and a commit graph. There are no deltas: those whose base is
/// not asked for have to be made whole by the server, on the cores on which the client is measured.
fn pack(repo: &Path, tags: &str) -> io::Result<()> {
    let mut update = git(repo, &["update-ref", "--stdin"]).stdin(Stdio::piped()).spawn()?;
    update.stdin.take().expect("a pipe").write_all(tags.as_bytes())?;
    succeeded(update)?;
    for args in [&["pack-refs", "--all"][..], &["repack", "-adbq"], &["commit-graph", "write", "--reachable"]] {
        succeeded(git(repo, args).stderr(Stdio::null()).spawn()?)?;
    }
    Ok(())
}

fn git(repo: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(repo).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn succeeded(mut child: Child) -> io::Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("git: {status}"))) }
}

/// A running `git fast-import` and the marks given so far.
struct Writer {
    repo: PathBuf,
    import: Child,
    stream: BufWriter<std::process::ChildStdin>,
    marks: usize,
    when: usize,
    text: Text,
}

impl Writer {
    fn start(repo: &Path) -> io::Result<Self> {
        if !repo.is_dir() {
            succeeded(git(repo, &["init", "-q", "--bare", "-b", "main"]).spawn()?)?;
            // Without the window, the server's search for deltas would drown what is measured.
            let settings = [
                ("uploadpack.allowFilter", "true"),
                ("uploadpack.allowAnySHA1InWant", "true"),
                ("http.receivepack", "true"),
                ("gc.auto", "0"),
                ("receive.autogc", "false"),
                ("pack.window", "0"),
            ];
            for (key, value) in settings {
                succeeded(git(repo, &["config", key, value]).spawn()?)?;
            }
        }
        let args = ["fast-import", "--quiet", "--force", "--depth=0", "--big-file-threshold=64m"];
        let marks = format!("--export-marks={}", repo.join("marks").display());
        let mut import = git(repo, &args).arg(marks).stdin(Stdio::piped()).spawn()?;
        let stream = BufWriter::with_capacity(1 << 20, import.stdin.take().expect("a pipe"));
        Ok(Self { repo: repo.to_owned(), import, stream, marks: 0, when: 1_700_000_000, text: Text::new() })
    }

    fn blob(&mut self, data: &str) -> io::Result<usize> {
        self.marks += 1;
        writeln!(self.stream, "blob\nmark :{}\ndata {}\n{data}", self.marks, data.len())?;
        Ok(self.marks)
    }

    fn commit(&mut self, reference: &str, parents: &[usize], files: &[(String, usize)]) -> io::Result<usize> {
        self.marks += 1;
        self.when += 60;
        write!(self.stream, "commit {reference}\nmark :{}\ncommitter bench <b@example.com> ", self.marks)?;
        write!(self.stream, "{} +0000\ndata 4\npush\n", self.when)?;
        for (at, parent) in parents.iter().enumerate() {
            writeln!(self.stream, "{} :{parent}", if at == 0 { "from" } else { "merge" })?;
        }
        for (path, blob) in files {
            writeln!(self.stream, "M 100644 :{blob} {path}")?;
        }
        writeln!(self.stream)?;
        Ok(self.marks)
    }

    /// The first commit, the same in every repo.
    fn root(&mut self) -> io::Result<usize> {
        let mut files = vec![
            (".gitignore".to_owned(), self.blob("*.pyc\n.assets\n")?),
            ("README.md".to_owned(), self.blob(&"# assets\n".repeat(40))?),
        ];
        for script in 0..12 {
            let body = self.text.body(3000);
            files.push((format!("eng/common/script{script}.ps1"), self.blob(&body)?));
        }
        self.commit("refs/heads/main", &[], &files)
    }

    /// Writes all pushes of all packages and the list of them; the answer is for `update-ref --stdin`.
    fn write(mut self, kind: Kind, size: Size) -> io::Result<String> {
        let root = self.root()?;
        let services = (size.packages / 4).max(1);
        let mut packages = Vec::new();
        for number in 0..size.packages {
            let service = format!("svc{:02}", number % services);
            let name = format!("azure-{service}-{}{number}", self.text.word());
            let mut files = Vec::new();
            for file in 0..size.files {
                let (a, b) = (self.text.word(), self.text.word());
                let path =
                    format!("python/sdk/{service}/{name}/tests/recordings/test_{a}_{file:03}.pyTesttest_{b}.json");
                files.push((path, self.text.size(size.bytes)));
            }
            if has_large_recording(number, size) {
                files[0].1 = 1_000_000 + self.text.random.usize(..2_000_000);
            }
            packages.push((service, name, files, root));
        }
        let (mut main, mut pushes) = (root, Vec::new());
        for push in 0..size.pushes {
            for (number, (service, name, files, tip)) in packages.iter_mut().enumerate() {
                let count = if push == 0 { files.len() } else { (files.len() / 10).max(1) };
                let mut changed = Vec::new();
                for at in self.text.random.choose_multiple(0..files.len(), count) {
                    if push == 0 || files[at].1 <= 60_000 {
                        let recording = self.text.recording(name, files[at].1);
                        changed.push((files[at].0.clone(), self.blob(&recording)?));
                    }
                }
                if kind == Kind::Tags {
                    *tip = self.commit("refs/import/tmp", &[*tip], &changed)?;
                } else {
                    *tip = self.commit(&format!("refs/heads/auto/{service}"), &[main], &changed)?;
                    main = self.commit("refs/heads/main", &[main, *tip], &changed)?;
                }
                pushes.push((number, *tip));
            }
        }
        let repo = self.repo.clone();
        let marks = self.finish()?;
        let (mut refs, mut list) = (String::new(), String::new());
        for (at, (number, commit)) in pushes.iter().enumerate() {
            let (service, name, ..) = &packages[*number];
            let pin = |commit: &str| format!("{commit} python/{service}/{name}_{}", &commit[..10]);
            let last = pin(&marks[commit]);
            let (commit, tag) = last.split_once(' ').unwrap_or_default();
            let _ = writeln!(refs, "create refs/tags/{tag} {commit}");
            // Every round pushes each package once, in the same order.
            if at >= pushes.len() - size.packages {
                let _ = writeln!(list, "{service} {name} {last} {}", pin(&marks[&pushes[at - size.packages].1]));
            }
        }
        fs::write(repo.join("packages"), list)?;
        if kind == Kind::Tags {
            refs.push_str("delete refs/import/tmp\n");
        }
        Ok(refs)
    }

    fn write_extra_tags(mut self, count: usize) -> io::Result<String> {
        let root = self.root()?;
        let mut commits = Vec::new();
        for number in 0..count {
            let name = format!("x{}/azure-x{number}", number % 97);
            let file =
                (format!("python/sdk/{name}/tests/recordings/a.json"), self.blob(&format!("{{\"n\":{number}}}\n"))?);
            commits.push((name, self.commit("refs/import/tmp", &[root], &[file])?));
        }
        let marks = self.finish()?;
        let mut refs = String::from("delete refs/import/tmp\n");
        for (name, commit) in commits {
            let commit = &marks[&commit];
            let _ = writeln!(refs, "create refs/tags/python/{name}_{} {commit}", &commit[..10]);
        }
        Ok(refs)
    }

    /// Ends the import and tells which mark became which object.
    fn finish(self) -> io::Result<HashMap<usize, String>> {
        self.stream.into_inner()?;
        succeeded(self.import)?;
        let file = self.repo.join("marks");
        let marks = fs::read_to_string(&file)?;
        fs::remove_file(file)?;
        let pairs = marks.lines().filter_map(|line| line.strip_prefix(':')?.split_once(' '));
        Ok(pairs.filter_map(|(mark, id)| Some((mark.parse().ok()?, id.to_owned()))).collect())
    }
}
