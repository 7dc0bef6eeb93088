//! What is done without `assets`: the git commands of the test proxy, of the script with one shared clone, and plain clones.

use crate::lab::{Failure, Lab, Run};
use crate::subject::Subject;
use std::fs;
use std::path::Path;

/// What the test proxy does to restore.
pub fn restore(lab: &Lab, run: &Run, subject: &Subject, dir: &Path) -> Result<(), Failure> {
    let url = subject.url();
    fs::create_dir_all(dir)?;
    for line in [
        &format!("clone -q -c core.longpaths=true --no-checkout --filter=tree:0 {url} ."),
        "config --local core.safecrlf false",
        "sparse-checkout init",
    ] {
        lab.git(run, dir, line)?;
    }
    restore_again(lab, run, subject, dir)
}

/// What it does when the pin has changed.
pub fn restore_again(lab: &Lab, run: &Run, subject: &Subject, dir: &Path) -> Result<(), Failure> {
    let (url, tag) = (subject.url(), &subject.pin.tag);
    for line in [
        &format!("remote set-url origin {url}"),
        &format!("fetch -q origin refs/tags/{tag}:refs/tags/{tag}"),
        &format!("sparse-checkout set --no-cone {} eng/ .gitignore", subject.package.slice_path()),
        &format!("-c advice.detachedHead=false checkout -q {tag}"),
        &format!("remote set-url origin {url}"),
    ] {
        lab.git(run, dir, line)?;
    }
    Ok(())
}

/// What it does to push.
pub fn push(lab: &Lab, run: &Run, subject: &Subject, dir: &Path) -> Result<(), Failure> {
    let git = |line: &str| lab.git(run, dir, line);
    let point = format!("remote set-url origin {}", subject.url());
    git("status --porcelain")?;
    git(&point)?;
    git("branch pushed")?;
    git("diff --output=../changes.patch --binary --ignore-submodules HEAD")?;
    git("checkout -q pushed")?;
    git("diff --cached --name-only")?;
    git("apply --check --reverse ../changes.patch")?;
    git("add -A .")?;
    git("commit -q -m update")?;
    let tag = format!("python/x_{}", &git("rev-parse HEAD")?[..10]);
    git(&format!("ls-remote origin --tags refs/tags/{tag}"))?;
    git(&format!("tag {tag}"))?;
    git(&format!("push -q origin tag {tag}"))?;
    git(&point)?;
    Ok(())
}

/// The script's first part: one repository with the tags of all packages, thirty with each fetch.
pub fn shared_fetch(lab: &Lab, run: &Run, subjects: &[Subject], dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    lab.git(run, dir, "init -q")?;
    lab.git(run, dir, &format!("remote add origin {}", subjects[0].url()))?;
    for some in subjects.chunks(30) {
        let mut line = String::from("fetch -q --depth=1 --no-tags origin");
        for Subject { pin, .. } in some {
            line.push_str(&format!(" +refs/tags/{0}:refs/tags/{0}", pin.tag));
        }
        lab.git(run, dir, &line)?;
    }
    Ok(())
}

/// Its second part, for one package: a clone of that repository, of which it shows the package alone.
pub fn shared_clone(lab: &Lab, run: &Run, subject: &Subject, shared: &Path, dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    lab.git(run, dir, &format!("clone -q --local --shared --no-checkout {} .", shared.display()))?;
    lab.git(run, dir, &format!("remote set-url origin {}", subject.url()))?;
    lab.git(run, dir, "sparse-checkout init --no-cone")?;
    let patterns = format!("/{}/\n/eng/\n/.gitignore\n", subject.package.slice_path());
    fs::write(dir.join(".git/info/sparse-checkout"), patterns)?;
    lab.git(run, dir, &format!("-c advice.detachedHead=false checkout -q {}", subject.pin.tag))?;
    Ok(())
}

/// One `git clone` that ends at the package's push.
pub fn plain_clone(lab: &Lab, run: &Run, subject: &Subject, dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    let (url, tag) = (subject.url(), &subject.pin.tag);
    lab.git(run, dir, &format!("-c advice.detachedHead=false clone -q --branch {tag} {url} ."))?;
    Ok(())
}
