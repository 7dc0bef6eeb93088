//! `doctor`: looks at everything that a restore or a push needs. Each check is one small function that says what it found,
//! and with which command it is mended. Nothing is changed, and what is tried out leaves nothing behind.

mod checkouts;
mod folder;
mod machine;
mod remote;
mod store;

use std::collections::BTreeMap;

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::manifest::Manifest;

/// One thing that was looked at. An error is a problem: a restore fails because of it.
pub struct Check {
    /// What kind of thing it is.
    pub name: &'static str,
    pub result: Result<Finding>,
}

/// What was found that no restore fails because of.
#[derive(Debug, PartialEq)]
pub enum Finding {
    Fine(String),
    /// It works, but not as well as it might.
    Warning {
        text: String,
        /// What to do, each with a command that works.
        hints: Vec<String>,
    },
}

impl Finding {
    fn fine(text: impl Into<String>) -> Result<Finding> {
        Ok(Finding::Fine(text.into()))
    }

    fn warning(text: impl Into<String>, hint: impl Into<String>) -> Result<Finding> {
        Ok(Finding::Warning { text: text.into(), hints: vec![hint.into()] })
    }
}

/// Passes on what is found, as soon as it is.
struct Round<'a> {
    tell: &'a mut dyn FnMut(Check),
    /// What several things have in common is told once.
    problems: Vec<Error>,
}

impl Round<'_> {
    /// Whether it is no problem.
    fn look(&mut self, name: &'static str, result: Result<Finding>) -> Result<bool> {
        interrupt::check()?;
        match result {
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => {
                if !self.problems.contains(&error) {
                    self.problems.push(error.clone());
                    (self.tell)(Check { name, result: Err(error) });
                }
                Ok(false)
            }
            result => {
                (self.tell)(Check { name, result });
                Ok(true)
            }
        }
    }
}

/// Looks at what every package needs of this machine; `tell` gets each answer as soon as it is there. Whether there is a
/// git, without which nothing else can be told.
///
/// # Errors
/// When the user interrupts. All else is an answer.
pub fn look_at_machine(context: &Context, tell: &mut dyn FnMut(Check)) -> Result<bool> {
    let mut round = Round { tell, problems: Vec::new() };
    if !round.look("git", machine::git(context))? {
        return Ok(false);
    }
    round.look("cache", machine::cache(context))?;
    round.look("author", machine::author(context))?;
    round.look("secrets", machine::scanner(context))?;
    Ok(true)
}

/// Looks at what some manifests need, and at what is on disk. `is_any` tells whether there are manifests, perhaps some
/// that cannot be read.
///
/// # Errors
/// When the user interrupts. All else is an answer.
pub fn look_at_packages(
    context: &Context,
    manifests: &[Manifest],
    is_any: bool,
    tell: &mut dyn FnMut(Check),
) -> Result<()> {
    let mut round = Round { tell, problems: Vec::new() };
    if !is_any {
        round.look("packages", machine::no_manifest())?;
    }
    for manifest in one_of_each(manifests, |manifest| manifest.code_repo.clone()).into_values() {
        let folder = match context.assets_folder(manifest) {
            Ok(folder) => folder,
            Err(error) => {
                round.look("folder", Err(error))?;
                continue;
            }
        };
        if round.look("folder", folder::can_be_written(&folder))? {
            round.look("paths", folder::takes_long_paths(&folder, manifest, context.environment.limits.path))?;
        }
        round.look("ignored", folder::is_ignored(context, manifest, &folder))?;
    }
    let mut stores = BTreeMap::new();
    for (url, manifest) in one_of_each(manifests, |manifest| manifest.assets_repo_text.clone()) {
        stores.insert(url, (manifest, context.store(manifest)?));
    }
    for (manifest, store) in stores.values() {
        remote::look(context, &mut round, store)?;
        round.look("store", store::is_whole(context, manifest, store))?;
    }
    checkouts::look(context, &mut round, manifests)?;
    round.look("left over", checkouts::left_overs(context))?;
    Ok(())
}

/// The first manifest with each value of something.
fn one_of_each<K: Ord>(manifests: &[Manifest], value: impl Fn(&Manifest) -> K) -> BTreeMap<K, &Manifest> {
    let mut found = BTreeMap::new();
    for manifest in manifests {
        found.entry(value(manifest)).or_insert(manifest);
    }
    found
}
