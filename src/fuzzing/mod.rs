//! What must hold for any bytes. Each function here takes bytes that a stranger may have written and panics when a
//! promise is broken. `cargo fuzz` calls them (`scripts/fuzz.sh`), and the tests do with inputs from a seed; the program
//! itself does not hold them.

#[cfg(test)]
mod inputs;
#[cfg(test)]
mod jsonc;
#[cfg(test)]
mod planner;

use std::path::Path;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, parse_to_ast};

use crate::error::Result;
use crate::git::failure::classify;
use crate::git::objects::{parse_commit, parse_tree};
use crate::git::parse;
use crate::git::stderr::Lines;
use crate::manifest::{Form, Manifest, Pin, edit};
use crate::names::{AssetsRepo, Oid, RefName, RemoteUrl, RepoPath, is_invisible, printable};
use crate::ops::push::scanner;
use crate::store::git_dir::{path_of_ref_name, ref_name_of};
use crate::store::paths::component_problem;

/// The text of an `assets.json`: what is accepted is safe to use, and a new pin changes nothing but the pin.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    edits(text, "SHA", "\u{1f980} \"new\"\\\n");
    edits(text, "", "");
    let Ok(manifest) = of_text(text) else { return };
    let folder = manifest.checkout_name();
    assert!(component_problem(&folder).is_none() && !folder.contains(['/', '\\']), "{folder:?}");
    is_safe_path(&manifest.slice);
    assert!(manifest.prefix.holds(manifest.slice.as_str()));
    let value = match &manifest.form {
        Form::Branch { .. } => "0123456789abcdef0123456789abcdef01234567".to_string(),
        Form::Tag { prefix, .. } => format!("{prefix}_0123456789"),
    };
    if RefName::parse(&value).is_err() {
        return;
    }
    let edited = edit::set_string(text, manifest.pin_key(), &value).expect("a good manifest can be edited");
    let again = of_text(&edited).expect("and is as good as it was");
    match again.pin() {
        Pin::Commit(oid) => assert_eq!(oid.as_str(), value),
        Pin::Tag(tag) => assert_eq!(tag.as_str(), value),
        Pin::Tip { .. } => panic!("the pin is not there"),
    }
    assert_eq!((&again.assets_repo, &again.slice), (&manifest.assets_repo, &manifest.slice));
    assert_eq!(again.checkout_name(), folder);
    match (again.form, manifest.form) {
        (Form::Branch { branch, fallback, .. }, Form::Branch { branch: b, fallback: f, .. }) => {
            assert_eq!((branch, fallback), (b, f));
        }
        (Form::Tag { prefix, .. }, Form::Tag { prefix: p, .. }) => assert_eq!(prefix, p),
        _ => panic!("another form"),
    }
}

/// Sets a key of any text: the other members and every comment stay as they are written, and in their order.
pub fn edits(text: &str, key: &str, value: &str) {
    let Some(before) = members(text) else {
        assert!(edit::set_string(text, key, value).is_err(), "it is no object");
        return;
    };
    let edited = edit::set_string(text, key, value).expect("an object can be edited");
    let mut after = members(&edited).unwrap_or_else(|| panic!("it is no object any more:\n{edited}"));
    assert_eq!(after.comments, before.comments, "{edited}");
    assert_eq!(edited.starts_with('\u{feff}'), text.starts_with('\u{feff}'));
    let at = after.members.iter().position(|(name, _)| name == key).expect("the key is there");
    let written = after.members[at].1.clone();
    assert_eq!(serde_json::from_str::<String>(&written).as_deref().ok(), Some(value), "{edited}");
    match before.members.get(at) {
        Some((_, old)) => after.members[at].1 = old.clone(),
        None => drop(after.members.remove(at)),
    }
    assert_eq!(after.members, before.members, "{edited}");
}

/// The members of the outermost object and all comments, as they are written.
struct Members {
    members: Vec<(String, String)>,
    comments: Vec<String>,
}

fn members(text: &str) -> Option<Members> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = CollectOptions { comments: CommentCollectionStrategy::Separate, tokens: false };
    let parsed = parse_to_ast(body, &options, &crate::manifest::read::STRICT).ok()?;
    let Some(Value::Object(object)) = &parsed.value else { return None };
    let source = |range: jsonc_parser::common::Range| body[range.start..range.end].to_string();
    let members = object.properties.iter().map(|member| (member.name.as_str().into(), source(member.value.range())));
    let mut comments: Vec<_> =
        parsed.comments.iter().flat_map(|map| map.values()).flat_map(|list| list.iter()).collect();
    comments.sort_by_key(|comment| comment.range().start);
    comments.dedup_by_key(|comment| comment.range().start);
    Some(Members {
        members: members.collect(),
        comments: comments.iter().map(|comment| source(comment.range())).collect(),
    })
}

/// The words of a manifest: what passes a grammar cannot be an option, a refspec, or a way out of the checkout.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(oid) = Oid::parse(&text) {
        assert!(
            matches!(oid.as_str().len(), 40 | 64) && oid.as_str().bytes().all(|b| b"0123456789abcdef".contains(&b))
        );
    }
    if let Ok(name) = RefName::parse(&text) {
        let name = name.as_str();
        assert!(!name.starts_with(['-', '/']) && !name.contains("..") && !name.contains([':', '*', '?', '[', ' ']));
        assert!(!name.chars().any(char::is_control) && name == text);
    }
    if let Ok(path) = RepoPath::parse(&text) {
        is_safe_path(&path);
    }
    if let Some(path) = path_of_ref_name(&text) {
        is_safe_path(&path);
    }
    if let Ok(repo) = AssetsRepo::parse(&text) {
        for ssh in [false, true] {
            is_safe_url(&repo.url(ssh));
        }
    }
    if let Ok(url) = RemoteUrl::parse(&text) {
        is_safe_url(&url);
    }
    let shown = printable(&text);
    assert!(!shown.chars().any(|c| is_invisible(c) || (c.is_control() && c != '\n' && c != '\t')), "{shown:?}");
    assert_eq!(printable(&shown), shown);
}

fn of_text(text: &str) -> Result<Manifest> {
    Manifest::of_text(Path::new("/code/sdk/a/assets.json"), Path::new("/code"), text)
}

fn is_safe_path(path: &RepoPath) {
    assert_eq!(RepoPath::parse(path.as_str()).as_ref(), Ok(path), "it is normal");
    for part in path.parts() {
        assert!(component_problem(part).is_none() && part != ".." && part != ".", "{part:?}");
    }
    let name = ref_name_of(path);
    assert!(RefName::parse(&format!("slices/{name}%pin")).is_ok() || name.len() > 380, "{name}");
    assert_eq!(path_of_ref_name(&name).as_ref(), Some(path));
}

fn is_safe_url(url: &RemoteUrl) {
    let text = url.as_str();
    assert!(!text.starts_with('-') && !text.contains("::ext") && !text.starts_with("ext::"), "{text:?}");
    assert!(!text.chars().any(|c| c.is_control() || is_invisible(c)), "{text:?}");
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        assert!(!authority.starts_with('-') && !authority.contains("@-"), "{text:?}");
    }
    assert_eq!(RemoteUrl::parse(text).as_ref(), Ok(url));
    let _ = (url.identity(), url.http_host(), url.is_ssh(), url.is_local());
}

/// What git wrote, and what a secret scanner did: nothing of it makes a parser fail, and what it finds lies in the input.
pub fn git_output(bytes: &[u8]) {
    let everywhere = RepoPath::default();
    let slice = RepoPath::parse("sdk/a").unwrap_or_default();
    if let Ok(changes) = parse::status(bytes, &[&everywhere]) {
        let within = parse::status(bytes, &[&slice]).expect("a part of it");
        assert!(within.iter().all(|change| slice.holds(&change.change.path) && changes.contains(change)));
        assert!(changes.is_sorted_by(|one, next| one.change.path < next.change.path), "each path once");
    }
    let _ = parse::is_staged(bytes);
    for change in parse::tree_changes(bytes).unwrap_or_default() {
        assert!(!change.path.contains('\0'));
    }
    for (name, _) in parse::remote_refs(bytes) {
        assert!(!name.contains(['\n', '\0']) || name.contains('\0'));
    }
    let _ = parse::push_answer(bytes);
    for raw_len in [20, 32] {
        for entry in parse_tree(bytes, raw_len).unwrap_or_default() {
            assert!(!entry.name.contains(&0) && entry.oid.raw_len() == raw_len);
        }
    }
    let _ = parse_commit(bytes);
    let _ = scanner::findings(bytes, std::path::Path::new("/x/.new-abcdef"));

    let text = String::from_utf8_lossy(bytes);
    let _ = parse::config_value(&text, "remote \"origin\"", "url");
    if let Some(retry) = classify(&text).retry() {
        (1..40).for_each(|tries| assert!(retry.pause(tries).as_secs() <= 60));
    }
    // However the bytes arrive, the lines are the same.
    let whole = lines(&[bytes]);
    let middle = bytes.len() / 2;
    assert_eq!(lines(&[&bytes[..middle], &bytes[middle..]]), whole);
    assert_eq!(lines(&bytes.chunks(7).collect::<Vec<_>>()), whole);
}

fn lines(chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = Lines::default();
    chunks.iter().for_each(|chunk| lines.feed(chunk, |line| found.push(line.to_string())));
    lines.finish(|line| found.push(line.to_string()));
    found
}

#[cfg(test)]
mod tests {
    use super::inputs::{Rng, many, seeds};
    use super::*;

    #[test]
    fn any_manifest() {
        many("manifest", 4000, manifest);
    }

    #[test]
    fn any_name() {
        many("names", 20_000, names);
    }

    #[test]
    fn anything_that_git_may_write() {
        many("git_output", 6000, git_output);
    }

    #[test]
    fn git_accepts_every_ref_name_that_we_do() {
        let mut rng = Rng::with_seed(4);
        let seeds = seeds("names");
        let mut commands = Vec::new();
        while commands.len() < 400 {
            let text = String::from_utf8_lossy(&super::inputs::mutated(&mut rng, &seeds)).into_owned();
            // A file system holds no longer names, and not all of them hold others than ASCII.
            if text.len() < 200 && text.is_ascii() && RefName::parse(&text).is_ok() {
                commands.push(format!("create refs/heads/{}/{text}\0{}\0", commands.len(), "1".repeat(40)));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str], input: String| {
            use std::io::Write;
            #[allow(clippy::disallowed_methods, reason = "git itself is what is compared with")]
            let mut git = std::process::Command::new("git");
            git.args(args).current_dir(&dir).env("GIT_DIR", dir.path()).stdin(std::process::Stdio::piped());
            let mut child = git.stderr(std::process::Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "-q", "--bare", "."], String::new());
        // `prepare` checks the names; nothing needs to be written, nor the commit to exist.
        git(&["update-ref", "-z", "--stdin"], format!("start\0{}abort\0", commands.concat()));
    }
}
