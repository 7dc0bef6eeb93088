//! The shortest way to find out that there is nothing to do. `assets restore` runs in front of every test run, and then
//! building the command line parser would be a third of the time. Whatever is not plain is left to the ordinary way.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ops::Context;
use crate::ops::restore::shown_already;
use crate::settings::{self, Environment};
use crate::ui::progress::{Mode, Progress};

/// Prints the recordings roots and returns `true` when the command line is a plain restore of slices that are all at
/// their pins.
pub fn restore(args: &[OsString]) -> bool {
    let Some(paths) = plain_restore(args) else { return false };
    if settings::has_flag_variables() {
        return false;
    }
    let Ok(environment) = Environment::read() else { return false };
    let base = environment.storage_location.clone().unwrap_or_else(|| environment.cwd.clone());
    let silent = Arc::new(Progress::new(Mode::Silent, true, 0));
    let context = Context::new(environment, silent, base, String::new());
    let mut roots: Vec<(PathBuf, PathBuf)> = Vec::new();
    for path in paths {
        let Ok(manifest) = context.manifest(&path) else { return false };
        if roots.iter().any(|(file, _)| *file == manifest.file) {
            continue;
        }
        match shown_already(&context, &manifest) {
            Ok(Some(shown)) if !shown.bare => {
                roots.push((manifest.file, shown.root));
            }
            _ => return false,
        }
    }
    let lines = roots.iter().map(|(_, root)| [root.as_os_str().as_encoded_bytes(), b"\n"].concat());
    // What cannot be written is tried and explained by the ordinary way.
    std::io::stdout().write_all(&lines.collect::<Vec<_>>().concat()).is_ok()
}

/// The paths of `restore [PATH…] [-a PATH]…`; none for any other command line.
fn plain_restore(args: &[OsString]) -> Option<Vec<PathBuf>> {
    let mut args = args.iter().skip(1);
    if args.next()? != "restore" {
        return None;
    }
    let (mut paths, mut named) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        if arg == "-a" || arg == "--assets-json-path" {
            named.push(PathBuf::from(args.next()?));
        } else if arg.to_str().is_none_or(|arg| arg.is_empty() || arg.starts_with('-')) {
            return None;
        } else {
            paths.push(PathBuf::from(arg));
        }
    }
    paths.append(&mut named);
    if paths.is_empty() {
        paths.push(PathBuf::from("."));
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_command_lines_are_taken() {
        let parse = |words: &[&str]| plain_restore(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let paths = |paths: &[&str]| Some(paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(parse(&["assets", "restore"]), paths(&["."]));
        assert_eq!(parse(&["assets", "restore", "-a", "x", "y"]), paths(&["y", "x"]));
        for other in [
            &["assets"][..],
            &["assets", "push"],
            &["assets", "restore", "--json"],
            &["assets", "restore", "-a"],
            &["assets", "-q", "restore"],
            &["assets", "restore", ""],
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
