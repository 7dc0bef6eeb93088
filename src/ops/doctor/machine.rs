//! What every package needs of this machine.

use super::folder::scratch;
use super::{Context, Finding};
use crate::error::{Error, Result};
use crate::git::failure::Failure;
use crate::ops::push::scanner::Scanner;
use crate::store::probe::Nowhere;
use crate::units::size;

/// With less room than this the next restore may fill the disk.
const LITTLE: u64 = 1_000_000_000;

/// Git is there and new enough.
pub fn git(context: &Context) -> Result<Finding> {
    let git = context.git()?;
    context.vouch_for_git()?;
    let line = git.version()?;
    let version = line.strip_prefix("git version ").unwrap_or(&line);
    Finding::fine(format!("{version} (`{}`)", git.program().display()))
}

/// What is downloaded can be kept.
pub fn cache(context: &Context) -> Result<Finding> {
    let dir = &context.environment.cache_dir;
    let tried = scratch(dir).map_err(|error| Error {
        hints: vec!["name another cache directory with `ASSETS_CACHE_DIR`".into()],
        ..error.context(format!("the cache `{}` cannot be written", dir.display()))
    })?;
    match free_bytes(tried.path()) {
        Some(free) if free < LITTLE => Finding::warning(
            format!("`{}` has {} left", dir.display(), size(free)),
            "`assets gc --yes` removes what nobody uses",
        ),
        Some(free) => Finding::fine(format!("`{}`, {} free", dir.display(), size(free))),
        None => Finding::fine(format!("`{}`", dir.display())),
    }
}

/// Pushes have an author.
pub fn author(context: &Context) -> Result<Finding> {
    let output = Nowhere::make(context.git()?)?.repo.author(&context.identity())?;
    if output.failure() == Failure::Configuration {
        return Err(output.into_error());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.rsplit_once('>') {
        Some((name, _)) if output.succeeded() => Finding::fine(format!("pushes are by {name}>")),
        _ => Ok(Finding::Warning {
            text: "nobody is named as the author of pushes".into(),
            hints: vec![
                "`git config --global user.name 'Your Name'` and `git config --global user.email you@example.com`"
                    .into(),
                "or set `GIT_COMMIT_OWNER` and `GIT_COMMIT_EMAIL`".into(),
            ],
        }),
    }
}

/// Somebody looks for secrets in what is pushed.
pub fn scanner(context: &Context) -> Result<Finding> {
    match Scanner::find(&context.environment)? {
        Some(scanner) => Finding::fine(format!("`{}` looks through what is pushed", scanner.name())),
        None if context.environment.secret_scanner.is_some() => {
            Finding::fine("not looked for, as `ASSETS_SECRET_SCANNER` says")
        }
        None => Finding::warning(
            "nobody looks for secrets in what is pushed",
            "install `gitleaks`, or say that it is meant so: `ASSETS_SECRET_SCANNER=none`",
        ),
    }
}

/// Nothing but the machine was looked at.
pub fn no_manifest() -> Result<Finding> {
    Finding::warning(
        "no `assets.json` here: only this machine was looked at",
        "go to a package, or make its manifest there: `assets init`",
    )
}

#[cfg(unix)]
fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_path: &std::path::Path) -> Option<u64> {
    None
}
