//! A code repo with many small packages, and the server of their recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use super::server::{GitServer, Options};
use super::{AssetsRepo, CodeRepo, World, run, snapshot};

/// Packages `sdk/p00`, `sdk/p01`... of two recordings each.
pub struct Fleet {
    pub server: GitServer,
    pub repo: AssetsRepo,
    pub url: String,
    pub code: CodeRepo,
}

impl Fleet {
    /// Packages in the branch form, all at one commit, and others in the tag form, each at a tag that holds it alone.
    pub fn new(world: &World, branch: Range<usize>, tag: Range<usize>) -> Fleet {
        let repo = world.assets_repo("assets");
        let server = GitServer::start(world.root(), Options::default());
        let url = format!("{}/assets.git", server.url());
        let fleet = Fleet { server, repo, url, code: world.code_repo("code") };
        if !branch.is_empty() {
            let pin = fleet.record("refs/heads/main", branch.clone(), 1);
            branch.for_each(|n| fleet.pin_commit(n, &pin));
        }
        let commits: Vec<_> = tag.clone().map(|n| (tag_of(n, 1), recordings(n, 1))).collect();
        import(&fleet.repo, &commits);
        tag.for_each(|n| fleet.pin_tag(n, 1));
        fleet
    }

    /// Commits a version of some packages on a ref of the assets repo; returns the commit.
    pub fn record(&self, reference: &str, packages: impl IntoIterator<Item = usize>, version: u32) -> String {
        let files = packages.into_iter().flat_map(|n| recordings(n, version)).collect();
        import(&self.repo, &[(reference.to_string(), files)]);
        self.repo.rev(reference).expect("it was imported")
    }

    /// The id of one of a package's recordings.
    pub fn blob(&self, n: usize, version: u32) -> String {
        let text = recordings(n, version).into_values().next().unwrap();
        let file = self.repo.path.with_extension("blob");
        std::fs::write(&file, text).unwrap();
        let hash = [std::ffi::OsStr::new("hash-object"), "--no-filters".as_ref(), "--".as_ref(), file.as_os_str()];
        run(&self.repo.path, &self.repo.env, "git", hash).ok().stdout.trim().to_string()
    }

    pub fn pin_commit(&self, n: usize, pin: &str) {
        self.code.branch_manifest(&folder(n), &self.url, pin);
    }

    pub fn pin_tag(&self, n: usize, version: u32) {
        self.code.tag_manifest(&folder(n), &self.url, tag_of(n, version).trim_start_matches("refs/tags/"));
    }

    /// The requests that begin a fetch.
    pub fn fetches(&self) -> usize {
        self.server.requests().iter().filter(|request| request.method == "GET").count()
    }

    /// Expects the recordings of a package, byte by byte and no other.
    #[track_caller]
    pub fn shows(&self, n: usize, version: u32) {
        assert!(shown(&self.code, n) == recordings(n, version), "`{}` is not at version {version}", folder(n));
    }
}

pub fn folder(n: usize) -> String {
    format!("sdk/p{n:02}")
}

/// A tag of a package, in full.
pub fn tag_of(n: usize, version: u32) -> String {
    format!("refs/tags/py/{}_{version}", folder(n))
}

/// The recordings of a package by their paths in the assets repo. They do not compress well.
pub fn recordings(n: usize, version: u32) -> BTreeMap<String, String> {
    let recording = |name: &str| {
        let mut noise = u64::from(version) << 32 | (n as u64) << 8 | name.len() as u64;
        let mut text = format!("{n} {name} {version}\n");
        for _ in 0..250 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{:08x}", noise >> 32).unwrap();
        }
        (format!("recordings/{}/{name}.json", folder(n)), text)
    };
    BTreeMap::from(["a", "bc"].map(recording))
}

/// The recordings of a package that are on disk, in whatever checkout.
pub fn shown(code: &CodeRepo, n: usize) -> BTreeMap<String, String> {
    let slice = format!("recordings/{}", folder(n));
    let mut files = BTreeMap::new();
    // One that is being built has a name with a dot in front.
    for checkout in code.checkouts().into_iter().filter(|name| !name.starts_with('.')) {
        for (name, bytes) in snapshot(&code.checkout(&checkout).join(&slice)) {
            files.insert(format!("{slice}/{name}"), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    files
}

/// Adds commits to refs of a bare repository, all with one process.
fn import(repo: &AssetsRepo, commits: &[(String, BTreeMap<String, String>)]) {
    let mut stream = String::new();
    for (reference, files) in commits {
        writeln!(stream, "commit {reference}\ncommitter Test <test@example.com> 1767225600 +0000\ndata 0").unwrap();
        if let Some(parent) = repo.rev(reference).filter(|_| reference.starts_with("refs/heads/")) {
            writeln!(stream, "from {parent}").unwrap();
        }
        for (path, content) in files {
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
        }
    }
    let file = repo.path.with_extension("stream");
    std::fs::write(&file, stream).unwrap();
    let shell = format!("git fast-import --quiet < '{}'", file.display());
    run(&repo.path, &repo.env, "sh", ["-c", &shell]).ok();
}

/// Every object in the packs of the stores of this world; expects none of them twice. But trees: the files of a slice
/// are asked for by its tree, which comes again with them.
#[track_caller]
pub fn objects_of_stores(world: &World) -> BTreeSet<String> {
    let mut objects = BTreeSet::new();
    let cache = world.root().join("cache");
    for index in snapshot(&cache).into_keys().filter(|path| path.ends_with(".idx")) {
        let index = cache.join(index).to_string_lossy().into_owned();
        let verified = run(Path::new("/"), &world.env(), "git", ["verify-pack", "-v", &index]).ok().stdout;
        for line in verified.lines() {
            let mut words = line.split_whitespace();
            let (id, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if ["commit", "tree", "blob", "tag"].contains(&kind) {
                let is_new = objects.insert(id.to_string());
                assert!(is_new || kind == "tree", "{kind} {id} is in two packs");
            }
        }
    }
    assert!(!objects.is_empty(), "there is no pack");
    objects
}
