//! One package: cold, with nothing to do, and pushed.

use crate::lab::{Contender, Failure, Lab, Role, Run, set_aside};
use crate::limit::limit;
use crate::noop::{Program, noop};
use crate::push::push;
use crate::repos::{Kind, Repo};
use crate::subject::{Form, Subject, expect_files, fresh_code, restored};
use crate::today;
use std::fs;

/// Measures what was asked for; the answer is how many rows failed.
pub fn bench(lab: &Lab) -> Result<usize, Failure> {
    let (flags, scope) = (lab.flags, &lab.flags.single);
    let repo = |kind| lab.repo(kind, scope.size);
    let mut failed = 0;
    if flags.wants("cold-tags") {
        failed += cold(lab, "one package cold, a repo of per-package tags", one(&repo(Kind::Tags)?, Form::Tag));
    }
    if flags.wants("cold-many-tags") {
        let title = format!("the same with {} more tags", scope.size.extra_tags);
        failed += cold(lab, &title, one(&repo(Kind::ManyTags)?, Form::Tag));
    }
    if flags.wants("cold-mono") {
        let title = "one package cold, a repo whose every commit holds all packages";
        failed += cold(lab, title, one(&repo(Kind::Monolith)?, Form::Branch));
    }
    for form in [Form::Tag, Form::Branch] {
        if flags.wants("noop") {
            failed += nothing_to_do(lab, one(&repo(form.kind())?, form))?;
        }
    }
    if flags.wants("push") {
        let (tags, mono) = (repo(Kind::Tags)?, repo(Kind::Monolith)?);
        failed += push(lab, one(&tags, Form::Tag), one(&mono, Form::Branch));
    }
    Ok(failed)
}

/// The last without a large file: its commit is the tip of its service's branch.
fn one(repo: &Repo, form: Form) -> Subject<'_> {
    let package = repo.typical().next_back().unwrap_or(&repo.packages[0]);
    Subject::new(repo, package, form)
}

fn cold(lab: &Lab, title: &str, subject: Subject) -> usize {
    let (manifest, slice) = (subject.path(), subject.package.slice_path());
    let (code, today, bare) = (lab.path("code"), lab.path("today"), lab.path("bare"));
    let ours = Contender {
        role: Role::Ours,
        prepare: Box::new(|| fresh_code(lab, &[subject])),
        check: Box::new(|| expect_files(subject.repo, 1, &restored(&code, subject.package)?)),
        ..Contender::new("assets restore", |run| lab.assets(run, &code, &["restore", &manifest]))
    };
    let todays = Contender {
        role: Role::Today,
        prepare: Box::new(|| set_aside(&today)),
        check: Box::new(|| expect_files(subject.repo, 1, &today.join(&slice))),
        ..Contender::new("today", |run| today::restore(lab, run, &subject, &today))
    };
    let bares = Contender {
        prepare: Box::new(|| set_aside(&bare)),
        check: Box::new(|| expect_files(subject.repo, 1, &bare.join(&slice))),
        ..Contender::new("git fetch, git checkout", |run| bare_restore(lab, run, subject))
    };
    lab.race(&lab.flags.single, title, &[ours, todays, bares, limit(lab, &[subject])]).failed
}

/// A restore when everything is restored already, beside programs that do nothing at all.
fn nothing_to_do(lab: &Lab, subject: Subject) -> Result<usize, Failure> {
    fresh_code(lab, &[subject])?;
    let path = subject.path();
    let programs = [
        Program { name: "assets restore", program: lab.flags.binary.as_os_str(), args: &["restore", &path] },
        Program { name: "git --version", program: "git".as_ref(), args: &["--version"] },
        Program { name: "true", program: "true".as_ref(), args: &[] },
    ];
    let title = format!("nothing to do, one package, {}", subject.form.name());
    Ok(noop(lab, lab.flags.single.noop_runs, &title, &programs).is_err().into())
}

/// The least that git itself can do: one fetch into a git directory written by hand, and one checkout.
fn bare_restore(lab: &Lab, run: &Run, subject: Subject) -> Result<(), Failure> {
    let (dir, slice) = (lab.path("bare"), subject.package.slice_path());
    for folder in ["objects/pack", "refs", "info"] {
        fs::create_dir_all(dir.join(".git").join(folder))?;
    }
    let mut cone = String::from("/*\n!/*/\n");
    for (end, _) in slice.match_indices('/') {
        cone.push_str(&format!("/{0}/\n!/{0}/*/\n", &slice[..end]));
    }
    cone.push_str(&format!("/{slice}/\n"));
    let (filter, partial) = match subject.form {
        Form::Tag => ("", ""),
        Form::Branch => (
            "--filter=blob:none ",
            "promisor = true\npartialclonefilter = blob:none\n[extensions]\npartialClone = origin\n",
        ),
    };
    let config = format!(
        "[core]\nrepositoryformatversion = 1\nbare = false\nsparseCheckout = true\nsparseCheckoutCone = true\n\
         [fetch]\nnegotiationAlgorithm = noop\nunpackLimit = 1\n[remote \"origin\"]\nurl = {}\n{partial}",
        subject.url()
    );
    for (name, text) in [("HEAD", "ref: refs/heads/none\n"), ("info/sparse-checkout", &cone), ("config", &config)] {
        fs::write(dir.join(".git").join(name), text)?;
    }
    let (want, show) = match subject.form {
        Form::Tag => (format!("refs/tags/{0}:refs/tags/{0}", subject.pin.tag), &subject.pin.tag),
        Form::Branch => (subject.pin.commit.clone(), &subject.pin.commit),
    };
    let flags = "-q --depth=1 --no-tags --no-write-fetch-head --no-auto-maintenance";
    lab.git(run, &dir, &format!("fetch {flags} {filter}origin {want}"))?;
    lab.git(run, &dir, &format!("checkout -q --detach {show}"))?;
    Ok(())
}
