//! Makes assets repos of realistic shape with `git fast-import`; the same parameters give the same commits.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How large the repos are.
#[derive(Clone, Copy)]
pub struct Size {
    pub packages: usize,
    pub files: usize,
    /// Mean size of a recording.
    pub bytes: usize,
    /// Pushes per package; each after the first rewrites a tenth of the files.
    pub pushes: usize,
    /// Tiny tagged commits in the repo with many tags.
    pub extra_tags: usize,
}

/// A package at its last push.
#[derive(Clone)]
pub struct Package {
    pub service: String,
    pub name: String,
    pub commit: String,
    pub tag: String,
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
    /// As in a manifest: `Azure/tags`.
    pub name: &'static str,
    pub path: PathBuf,
    pub packages: Vec<Package>,
}

/// What a commit of a package holds.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// That package alone; each push is a tag.
    Tags,
    /// All packages; each push is a commit on `auto/<service>`, merged into `main`, and a tag.
    Monolith,
}

/// The three repos, made below `cache` unless they are there already.
pub fn make(cache: &Path, size: Size) -> io::Result<(PathBuf, Vec<Repo>)> {
    let Size { packages, files, bytes, pushes, extra_tags } = size;
    let root = cache.join(format!("v2-{packages}x{files}x{bytes}-{pushes}-{extra_tags}"));
    if !root.is_dir() {
        let building = tempfile::tempdir_in(cache)?;
        let owner = building.path().join("Azure");
        fs::create_dir(&owner)?;
        let tags = Writer::start(&owner.join("tags.git"))?.write(Shape::Tags, size)?;
        pack(&owner.join("tags.git"), &tags)?;
        copy_tree(&owner.join("tags.git"), &owner.join("tags-many.git"))?;
        let extra = Writer::start(&owner.join("tags-many.git"))?.write_extra_tags(extra_tags)?;
        pack(&owner.join("tags-many.git"), &extra)?;
        let mono = Writer::start(&owner.join("mono.git"))?.write(Shape::Monolith, size)?;
        pack(&owner.join("mono.git"), &mono)?;
        fs::rename(building.keep(), &root)?;
    }
    let repos = ["Azure/tags", "Azure/tags-many", "Azure/mono"].map(|name| {
        let path = root.join(format!("{name}.git"));
        let list = fs::read_to_string(path.join("packages"))?;
        let packages = list.lines().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut next = || words.next().unwrap_or_default();
            Package { service: next(), name: next(), commit: next(), tag: next() }
        });
        Ok(Repo { name, packages: packages.collect(), path })
    });
    let repos: io::Result<Vec<Repo>> = repos.into_iter().collect();
    Ok((root, repos?))
}

/// Copies a directory with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Names the pushes by tags, and packs as a large host would have it: deltas, a bitmap, a commit graph.
fn pack(repo: &Path, tags: &str) -> io::Result<()> {
    let mut update = git(repo, &["update-ref", "--stdin"]).stdin(Stdio::piped()).spawn()?;
    update.stdin.take().expect("a pipe").write_all(tags.as_bytes())?;
    succeeded(update)?;
    for args in [&["pack-refs", "--all"][..], &["repack", "-adbfq"], &["commit-graph", "write", "--reachable"]] {
        // The repository asks for no deltas when it serves; when it is packed there is time for them.
        let mut command = git(repo, &["-c", "pack.window=10"]);
        succeeded(command.args(args).stderr(Stdio::null()).spawn()?)?;
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
        let args = ["fast-import", "--quiet", "--force", "--big-file-threshold=64m"];
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
    fn write(mut self, shape: Shape, size: Size) -> io::Result<String> {
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
            // Every fifth package has a large recording; those that are measured do not.
            if (size.packages - number).is_multiple_of(5) {
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
                if shape == Shape::Tags {
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
            let ((service, name, ..), commit) = (&packages[*number], &marks[commit]);
            let tag = format!("python/{service}/{name}_{}", &commit[..10]);
            let _ = writeln!(refs, "create refs/tags/{tag} {commit}");
            if at >= pushes.len() - size.packages {
                let _ = writeln!(list, "{service} {name} {commit} {tag}");
            }
        }
        fs::write(repo.join("packages"), list)?;
        if shape == Shape::Tags {
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

/// Makes text that compresses as recorded HTTP exchanges do.
struct Text {
    random: fastrand::Rng,
    words: Vec<String>,
    bodies: Vec<String>,
}

impl Text {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let word = |random: &mut fastrand::Rng| (0..random.usize(3..=10)).map(|_| random.lowercase()).collect();
        let words = (0..1500).map(|_| word(&mut random)).collect();
        let mut text = Self { random, words, bodies: Vec::new() };
        for _ in 0..3000 {
            let size = [200, 400, 800, 1500, 3000][text.random.usize(..5)];
            let body = text.body(size);
            text.bodies.push(body);
        }
        text
    }

    fn word(&mut self) -> String {
        self.words[self.random.usize(..self.words.len())].clone()
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| self.random.digit(16)).collect()
    }

    fn guid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|digits| self.hex(digits)).join("-")
    }

    /// A size with a long tail, as recordings have it (log-normal, capped).
    fn size(&mut self, mean: usize) -> usize {
        let normal: f64 = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        (((0.8 * normal).exp() * mean as f64 * 0.72) as usize).clamp(2000, 60_000)
    }

    fn body(&mut self, size: usize) -> String {
        let mut out = String::new();
        while out.len() < size {
            let word = self.word();
            let _ = match self.random.u8(..10) {
                0..6 => {
                    let (a, b) = (self.word(), self.word());
                    writeln!(out, r#"        "{word}": "{a} {b}","#)
                }
                6..8 => {
                    let (group, provider) = (self.hex(8), self.word());
                    let scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups";
                    writeln!(out, r#"        "{word}Id": "{scope}/rg-{group}/providers/Microsoft.{provider}","#)
                }
                8 => {
                    let [month, day, hour, minute] = [12, 28, 23, 59].map(|top| self.random.u8(1..=top));
                    let fraction = self.random.u32(..10_000_000);
                    let time = format!("2024-{month:02}-{day:02}T{hour:02}:{minute:02}:00.{fraction:07}Z");
                    writeln!(out, r#"        "{word}Time": "{time}","#)
                }
                _ => writeln!(out, r#"        "etag": "0x8{}","#, self.hex(15)),
            };
        }
        out
    }

    fn recording(&mut self, package: &str, size: usize) -> String {
        let mut out = String::from("{\n  \"Entries\": [\n");
        while out.len() < size {
            let (a, b, c, ids) = (self.word(), self.word(), self.word(), [(); 4].map(|()| self.guid()));
            let method = ["GET", "PUT", "POST", "GET", "DELETE"][self.random.usize(..5)];
            let status = [200, 200, 201, 202, 404][self.random.usize(..5)];
            let [length, left] = [999, 11_999].map(|top| self.random.u32(..=top));
            let [day, hour, minute] = [28, 23, 59].map(|top| self.random.u8(1..=top));
            let body = &self.bodies[self.random.usize(..self.bodies.len())];
            let separator = if out.len() > 20 { ",\n" } else { "" };
            let _ = write!(
                out,
                r#"{separator}    {{
      "RequestUri": "https://Sanitized.{a}.azure.com/{b}/{c}?api-version=2024-01-01",
      "RequestMethod": "{method}",
      "RequestHeaders": {{
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "Content-Length": "{length}",
        "Content-Type": "application/json",
        "User-Agent": "azsdk-python-{package}/1.0.0 Python/3.11.7 (Linux-6.5.0-x86_64-with-glibc2.36)",
        "x-ms-client-request-id": "{}"
      }},
      "RequestBody": null,
      "StatusCode": {status},
      "ResponseHeaders": {{
        "Cache-Control": "no-cache",
        "Content-Type": "application/json; charset=utf-8",
        "Date": "Mon, {day:02} Apr 2024 {hour:02}:{minute:02}:00 GMT",
        "Expires": "-1",
        "Pragma": "no-cache",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "Transfer-Encoding": "chunked",
        "X-Content-Type-Options": "nosniff",
        "x-ms-correlation-request-id": "{}",
        "x-ms-ratelimit-remaining-subscription-reads": "{left}",
        "x-ms-request-id": "{}"
      }},
      "ResponseBody": {{
{body}        "id": "{}"
      }}
    }}"#,
                ids[0], ids[1], ids[2], ids[3]
            );
        }
        let _ = write!(out, "\n  ],\n  \"Variables\": {{\"seed\": \"{}\"}}\n}}\n", self.hex(16));
        out
    }
}
