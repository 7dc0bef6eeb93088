//! A push of three changed recordings.

use crate::lab::{Contender, Failure, Lab, Role, STILL, remove};
use crate::subject::{Subject, fresh_code, recordings, restored};
use crate::today;
use std::cell::Cell;
use std::fs;
use std::path::Path;

/// Ours in both forms and today's.
pub fn push(lab: &Lab, tags: Subject, mono: Subject) -> usize {
    // Other packages of the service were pushed to the branch after this one.
    let first = mono.repo.packages.iter().find(|package| package.service == mono.package.service);
    let behind = Subject::new(mono.repo, first.unwrap_or(mono.package), mono.form);
    let number = &Cell::new(0);
    let dir = &lab.path("today");
    let todays = Contender {
        role: Role::Today,
        prepare: Box::new(move || {
            forget_pushes(&tags.repo.path)?;
            remove(dir)?;
            today::restore(lab, &STILL, &tags, dir)?;
            change(&dir.join(tags.package.slice_path()), number)
        }),
        check: Box::new(move || expect_push(&tags.repo.path)),
        ..Contender::new("today", move |run| today::push(lab, run, &tags, dir))
    };
    let contenders = [
        our_push(lab, "assets push, tag form", tags, number),
        our_push(lab, "assets push, branch form", mono, number),
        our_push(lab, "the same, the branch moved on", behind, number),
        todays,
    ];
    lab.race(&lab.flags.single, "push of 3 changed recordings", &contenders).failed
}

fn our_push<'a>(lab: &'a Lab, name: &str, subject: Subject<'a>, number: &'a Cell<u32>) -> Contender<'a> {
    let (code, path) = (lab.path("code"), subject.path());
    let (prepared, manifest) = (code.clone(), code.join(&path));
    Contender {
        role: Role::Ours,
        prepare: Box::new(move || {
            forget_pushes(&subject.repo.path)?;
            fresh_code(lab, &[subject])?;
            lab.assets(&STILL, &prepared, &["restore", &subject.path()])?;
            change(&restored(&prepared, subject.package)?, number)
        }),
        check: Box::new(move || {
            if fs::read_to_string(&manifest)? == subject.manifest() {
                return Err("the manifest still names the old commit".into());
            }
            expect_push(&subject.repo.path)
        }),
        ..Contender::new(name, move |run| lab.assets(run, &code, &["push", &path, "-m", "bench"]))
    }
}

/// Changes three recordings as a new test run would, never twice in the same way.
fn change(slice: &Path, number: &Cell<u32>) -> Result<(), Failure> {
    number.set(number.get() + 1);
    for file in recordings(slice)?.iter().take(3) {
        let text = fs::read_to_string(file)?;
        fs::write(file, text.replacen("GMT", &format!("GMT+{}", number.get()), 2))?;
    }
    Ok(())
}

/// Takes back what was pushed: the repo's own refs are packed, so every loose one came with a push.
fn forget_pushes(repo: &Path) -> Result<(), Failure> {
    for kind in ["refs/heads", "refs/tags"] {
        remove(&repo.join(kind))?;
        fs::create_dir_all(repo.join(kind))?;
    }
    Ok(())
}

fn expect_push(repo: &Path) -> Result<(), Failure> {
    let mut folders = vec![repo.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                return Ok(());
            }
            folders.push(entry.path());
        }
    }
    Err("the remote has no new ref".into())
}
