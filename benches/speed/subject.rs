//! A package as a manifest asks for it, the code repo with such manifests, and proof that it was restored.

use crate::lab::{Failure, Lab, STILL, execute, set_aside};
use crate::repos::{Kind, Package, Pin, Repo};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The two ways in which a manifest names a commit.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    Tag,
    Branch,
}

impl Form {
    /// The kind of repo that this form is used with.
    pub fn kind(self) -> Kind {
        match self {
            Self::Tag => Kind::Tags,
            Self::Branch => Kind::Monolith,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag form",
            Self::Branch => "branch form",
        }
    }
}

/// A package at one of its pushes.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub repo: &'a Repo,
    pub package: &'a Package,
    pub form: Form,
    pub pin: &'a Pin,
}

impl<'a> Subject<'a> {
    /// The package at its last push.
    pub fn new(repo: &'a Repo, package: &'a Package, form: Form) -> Self {
        Self { repo, package, form, pin: &package.pin }
    }

    /// All packages of a repo.
    pub fn all(repo: &'a Repo, form: Form) -> Vec<Self> {
        repo.packages.iter().map(|package| Self::new(repo, package, form)).collect()
    }

    /// The same package at the push before its last.
    pub fn before(self) -> Self {
        Self { pin: &self.package.before, ..self }
    }

    /// Where the manifest is in the code repo.
    pub fn path(&self) -> String {
        format!("{}/assets.json", self.package.code_path())
    }

    pub fn manifest(&self) -> String {
        let (Package { service, name, .. }, Pin { commit, tag }) = (self.package, self.pin);
        let pin = match self.form {
            Form::Tag => {
                format!("\"TagPrefix\": \"python/{service}/{name}\",\n  \"Tag\": \"{tag}\"")
            }
            Form::Branch => {
                format!("\"AssetsRepoBranch\": \"auto/{service}\",\n  \"SHA\": \"{commit}\"")
            }
        };
        let repo = &self.repo.name;
        format!("{{\n  \"AssetsRepo\": \"{repo}\",\n  \"AssetsRepoPrefixPath\": \"python\",\n  {pin}\n}}\n")
    }

    pub fn url(&self) -> String {
        format!("https://github.com/{}.git", self.repo.name)
    }

    /// Fails unless `folder` holds the package's recordings as they are in the pinned commit, byte for byte.
    pub fn expect_content(&self, lab: &Lab, folder: &Path) -> Result<(), Failure> {
        let mut hash = lab.command(&STILL, folder, "git", &["hash-object", "--no-filters", "--"]);
        let found = execute(hash.args(recordings(folder)?))?;
        let (commit, slice) = (&self.pin.commit, self.package.slice_path());
        let list = format!("--git-dir={} ls-tree -r --format=%(objectname) {commit}:{slice}", self.repo.path.display());
        let wanted = lab.git(&STILL, folder, &list)?;
        let sorted = |list: &str| {
            let mut ids: Vec<String> = list.lines().map(str::to_owned).collect();
            ids.sort();
            ids
        };
        if sorted(&found) == sorted(&wanted) { Ok(()) } else { Err(format!("`{slice}` is at another push").into()) }
    }
}

/// Makes the code repo with these manifests, and nothing restored or cached.
pub fn fresh_code(lab: &Lab, subjects: &[Subject]) -> Result<(), Failure> {
    let code = lab.path("code");
    set_aside(&code)?;
    set_aside(&lab.path("cache"))?;
    for subject in subjects {
        let file = code.join(subject.path());
        fs::create_dir_all(file.parent().unwrap_or(&code))?;
        fs::write(file, subject.manifest())?;
    }
    for line in ["init -q", "add .", "commit -q -m code"] {
        lab.git(&STILL, &code, line)?;
    }
    Ok(())
}

/// The folder in the checkouts of a code repo where the package's recordings are.
pub fn restored(code: &Path, package: &Package) -> Result<PathBuf, Failure> {
    for entry in fs::read_dir(code.join(".assets"))? {
        let slice = entry?.path().join(package.slice_path());
        if slice.is_dir() {
            return Ok(slice);
        }
    }
    Err(format!("no checkout shows `{}`", package.slice_path()).into())
}

/// Fails unless the folder holds the recordings of that many packages.
pub fn expect_files(repo: &Repo, packages: usize, folder: &Path) -> Result<(), Failure> {
    let (found, wanted) = (recordings(folder)?.len(), repo.size.files * packages);
    if found == wanted { Ok(()) } else { Err(format!("{found} recordings instead of {wanted}").into()) }
}

/// All `.json` files below a folder, sorted.
pub fn recordings(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(recordings(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
