//! Does what an operation says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::objects::{Changes, changes, refs};
use crate::ops::{Answer, Fault, Harm, Op, Verb};
use crate::world::{BRANCH_CHECKOUT, Package, Run, USERS, World, write};

/// The pins of a user, by package.
pub type Pins = BTreeMap<String, Option<String>>;

/// What came of an operation.
pub enum Performed {
    /// It does not fit: a file is not there, a commit has no label. Nothing was changed.
    Nothing,
    Done,
    Ran(Run),
}

/// Does it. `pins` are those of all users, as their manifests have them.
pub fn perform(world: &mut World, pins: &mut [Pins], op: &Op) -> Performed {
    match op {
        Op::Package { dir, tag_form, target, pin } => package(world, pins, dir, *tag_form, target, pin.as_deref()),
        Op::Commit { base, branch, tag, changes } => commit(world, base, branch.as_deref(), tag.as_deref(), changes)
            .map_or(Performed::Nothing, |_| Performed::Done),
        Op::Consolidate { branches, clean } => consolidate(world, branches, clean.as_deref()),
        Op::DeleteBranch { branch } => {
            done(std::fs::remove_file(world.remote().join("refs/heads").join(branch)).is_ok())
        }
        Op::ResetBranch { branch, to } => {
            let Some(to) = resolve(world, to) else { return Performed::Nothing };
            write(&world.remote().join("refs/heads").join(branch), format!("{to}\n").as_bytes());
            Performed::Done
        }
        Op::DeleteTag { tag } => done(std::fs::remove_file(world.remote().join("refs/tags").join(tag)).is_ok()),
        Op::Run { user, verb, fault } => run(world, *user, verb, fault.as_ref()),
        Op::CacheGone { user } => done(std::fs::remove_dir_all(world.cache(*user)).is_ok()),
        Op::Pin { user, dir, to } => {
            let Some(package) = world.package(dir).cloned() else { return Performed::Nothing };
            let to = match package.tag_form {
                true => world.tags.contains_key(to).then(|| to.clone()),
                false => resolve(world, to),
            };
            set_pin(world, pins, *user, &package, to)
        }
        Op::Pull { user, from, dir } => {
            let Some(package) = world.package(dir).cloned() else { return Performed::Nothing };
            let pin = pins[*from].get(dir).cloned().flatten();
            set_pin(world, pins, *user, &package, pin)
        }
        Op::Ignore { user, pattern } => {
            let file = world.home(*user).join("ignore");
            write(&file, format!("{pattern}\n").as_bytes());
            world.write_git_config(*user, &format!("[core]\n\texcludesFile = {}\n", file.display()));
            Performed::Done
        }
        Op::Hand { user, dir, what } => by_hand(world, *user, dir, what),
        _ => file(world, op),
    }
}

fn done(it: bool) -> Performed {
    if it { Performed::Done } else { Performed::Nothing }
}

/// The commit of a label, a branch, a tag or an id.
pub fn resolve(world: &World, revision: &str) -> Option<String> {
    let refs = world.remote_refs();
    let named = |place: &str| refs.get(&format!("refs/{place}/{revision}")).cloned();
    let known = world.labels.get(revision).cloned();
    known
        .or_else(|| named("heads"))
        .or_else(|| named("tags"))
        .or_else(|| (revision.len() == 40).then(|| revision.into()))
}

// The code repo.

fn package(
    world: &mut World,
    pins: &mut [Pins],
    dir: &str,
    tag_form: bool,
    target: &str,
    pin: Option<&str>,
) -> Performed {
    let checkout = if tag_form { world.tag_checkout(dir) } else { BRANCH_CHECKOUT.to_string() };
    let package = Package { dir: dir.into(), tag_form, target: target.into(), checkout };
    let value = match pin {
        Some(pin) if tag_form => world.tags.contains_key(pin).then(|| pin.to_string()),
        Some(pin) => resolve(world, pin),
        None => None,
    };
    world.packages.push(package.clone());
    for (user, pins) in pins.iter_mut().enumerate() {
        pins.insert(dir.into(), value.clone());
        write(&manifest_file(world, user, &package), manifest(world, &package, value.as_deref()).as_bytes());
        world.git(user, &world.code(user), &["add", "-f", &format!("{dir}/assets.json")]);
    }
    Performed::Done
}

pub fn manifest_file(world: &World, user: usize, package: &Package) -> PathBuf {
    world.code(user).join(&package.dir).join("assets.json")
}

/// The text of a manifest.
pub fn manifest(world: &World, package: &Package, pin: Option<&str>) -> String {
    let (name, key) = if package.tag_form { ("TagPrefix", "Tag") } else { ("AssetsRepoBranch", "SHA") };
    let pin = pin.map_or(String::new(), |pin| format!(",\n    \"{key}\": \"{pin}\""));
    let id = if package.tag_form { String::new() } else { format!("    \"AssetsRepoId\": \"{BRANCH_CHECKOUT}\",\n") };
    format!(
        "{{\n    // {}\n    \"AssetsRepo\": \"{}\",\n    \"AssetsRepoPrefixPath\": \"rec\",\n{id}    \"{name}\": \"{}\"{pin}\n}}\n",
        package.dir,
        world.assets_repo(),
        package.target
    )
}

fn set_pin(world: &World, pins: &mut [Pins], user: usize, package: &Package, pin: Option<String>) -> Performed {
    let Some(pin) = pin else { return Performed::Nothing };
    let file = manifest_file(world, user, package);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let text = match pins[user].get(&package.dir).cloned().flatten() {
        Some(old) => text.replace(&old, &pin),
        None => manifest(world, package, Some(&pin)),
    };
    write(&file, text.as_bytes());
    pins[user].insert(package.dir.clone(), Some(pin));
    Performed::Done
}

// The assets repo.

/// Makes a commit there; with `branch` and `tag` as refs.
fn commit(world: &mut World, base: &str, branch: Option<&str>, tag: Option<&str>, edits: &[String]) -> Option<String> {
    let parent = if base == "-" { None } else { Some(resolve(world, base)?) };
    let mut stream = String::new();
    for edit in edits {
        let (sign, path) = edit.split_at(1);
        match sign {
            "+" => {
                let text = String::from_utf8_lossy(&world.new_content("team", path, false)).into_owned();
                stream.push_str(&format!("M 100644 inline {}\ndata {}\n{text}\n", quote(path), text.len()));
            }
            _ => stream.push_str(&format!("D {}\n", quote(path))),
        }
    }
    let made = import(world, parent.as_slice(), &stream)?;
    world.labels.insert(format!("c{}", world.step), made.clone());
    if let Some(branch) = branch {
        write(&world.remote().join("refs/heads").join(branch), format!("{made}\n").as_bytes());
    }
    if let Some(tag) = tag {
        write(&world.remote().join("refs/tags").join(tag), format!("{made}\n").as_bytes());
        world.tags.insert(tag.into(), made.clone());
    }
    Some(made)
}

fn import(world: &mut World, parents: &[String], edits: &str) -> Option<String> {
    let time = 1_767_225_600 + world.step * 60;
    let mut stream = format!("commit refs/model/new\ncommitter team <team@example.com> {time} +0000\ndata 5\nteam\n\n");
    for (index, parent) in parents.iter().enumerate() {
        stream.push_str(&format!("{} {parent}\n", if index == 0 { "from" } else { "merge" }));
    }
    stream.push_str(edits);
    stream.push_str("\ndone\n");
    let made = world.import(stream.as_bytes());
    let name = world.remote().join("refs/model/new");
    let commit = refs(&world.remote()).get("refs/model/new").cloned().filter(|_| made);
    let _ = std::fs::remove_file(name);
    commit
}

fn quote(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

fn edits_of(changes: &Changes) -> String {
    // Removals first: a file may make room for a folder.
    let removed = changes.iter().filter(|(_, blob)| blob.is_none()).map(|(path, _)| format!("D {}\n", quote(path)));
    let set = changes.iter().filter_map(|(path, blob)| Some(format!("M 100644 {} {}\n", blob.as_ref()?, quote(path))));
    removed.chain(set).collect()
}

fn consolidate(world: &mut World, branches: &[String], clean: Option<&str>) -> Performed {
    let Some(mut main) = resolve(world, "main") else { return Performed::Nothing };
    let before = main.clone();
    for branch in branches {
        let Some(tip) = world.remote_refs().get(&format!("refs/heads/{branch}")).cloned() else { continue };
        if world.objects.is_ancestor(&tip, &main) {
            continue;
        }
        let base = world.objects.merge_bases(&main, &tip).first().cloned().unwrap_or_default();
        let theirs = changes(&world.objects.files(&base), &world.objects.files(&tip));
        let edits = edits_of(&theirs);
        match import(world, &[main.clone(), tip], &edits) {
            Some(merged) => main = merged,
            None => return Performed::Nothing,
        }
    }
    if let Some(path) = clean {
        let text = String::from_utf8_lossy(&world.new_content("team", path, false)).into_owned();
        let edit = format!("M 100644 inline {}\ndata {}\n{text}\n", quote(path), text.len());
        match import(world, &[main.clone()], &edit) {
            Some(cleaned) => main = cleaned,
            None => return Performed::Nothing,
        }
    }
    if main == before {
        return Performed::Nothing;
    }
    write(&world.remote().join("refs/heads/main"), format!("{main}\n").as_bytes());
    world.labels.insert(format!("c{}", world.step), main);
    Performed::Done
}

// Files of a user.

fn file(world: &mut World, op: &Op) -> Performed {
    let (Op::Record { user, dir, .. }
    | Op::Delete { user, dir, .. }
    | Op::Rename { user, dir, .. }
    | Op::ToFolder { user, dir, .. }
    | Op::ToFile { user, dir, .. }
    | Op::Nested { user, dir, .. }
    | Op::Revert { user, dir, .. }) = op
    else {
        return Performed::Nothing;
    };
    let Some(package) = world.package(dir).cloned() else { return Performed::Nothing };
    let (who, slice) = (USERS[*user], package.slice());
    let folder = world.checkout(*user, &package).join(&slice);
    let record = |world: &mut World, file: &str, large| {
        let content = world.new_content(who, &format!("{slice}/{file}"), large);
        let path = folder.join(file);
        // A test that finds a file where it needs a folder, or the other way round, fails.
        let blocked =
            path.is_dir() || path.ancestors().skip(1).any(Path::is_file) || !world.checkout(*user, &package).is_dir();
        if !blocked {
            write(&path, &content);
        }
        done(!blocked)
    };
    match op {
        Op::Record { file, large, .. } => record(world, file, *large),
        Op::Delete { file, .. } => {
            let path = folder.join(file);
            let deleted = match file.ends_with('/') {
                true => std::fs::remove_dir_all(&path).is_ok(),
                false => std::fs::remove_file(&path).is_ok(),
            };
            tidy(&folder, &path);
            done(deleted)
        }
        Op::Rename { from, to, .. } => {
            let to = folder.join(to);
            if to.exists() || !folder.join(from).is_file() || to.ancestors().skip(1).any(Path::is_file) {
                return Performed::Nothing;
            }
            let _ = std::fs::create_dir_all(to.parent().expect("it is in the slice"));
            let moved = std::fs::rename(folder.join(from), to).is_ok();
            tidy(&folder, &folder.join(from));
            done(moved)
        }
        Op::ToFolder { file, .. } => match std::fs::remove_file(folder.join(file)) {
            Ok(()) => record(world, &format!("{file}/part.json"), false),
            Err(_) => Performed::Nothing,
        },
        Op::ToFile { folder: name, .. } => match std::fs::remove_dir_all(folder.join(name)) {
            Ok(()) => record(world, name, false),
            Err(_) => Performed::Nothing,
        },
        Op::Nested { name, .. } => {
            let place = folder.join(name);
            if place.exists() || place.ancestors().skip(1).any(Path::is_file) || !folder.is_dir() {
                return Performed::Nothing;
            }
            let content = world.new_content(who, &format!("{slice}/{name}/n.json"), false);
            write(&place.join("n.json"), &content);
            done(world.git(*user, &place, &["init", "-q"]).0)
        }
        Op::Revert { file, .. } => {
            let path = format!("{slice}/{file}");
            let checkout = world.checkout(*user, &package);
            done(checkout.is_dir() && world.git(*user, &checkout, &["checkout", "-q", "HEAD", "--", &path]).0)
        }
        _ => Performed::Nothing,
    }
}

/// Removes the folders that a deletion leaves empty, as most people and git do.
fn tidy(top: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != top) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

// Git by hand.

fn by_hand(world: &mut World, user: usize, dir: &str, what: &str) -> Performed {
    let Some(package) = world.package(dir).cloned() else { return Performed::Nothing };
    let checkout = world.checkout(user, &package);
    if !checkout.join(".git").exists() {
        return Performed::Nothing;
    }
    let git_dir = checkout.join(".git");
    let git = |args: &[&str]| world.git(user, &checkout, args).0;
    match what {
        "add" => git(&["add", "-A"]),
        "commit" => git(&["add", "-A"]) && git(&["commit", "-qm", "by hand"]),
        "amend" => git(&["add", "-A"]) && git(&["commit", "-q", "--amend", "-m", "by hand"]),
        "stash" => git(&["stash", "-q", "-u"]),
        "stash-pop" => git(&["stash", "pop", "-q"]),
        "reset-hard" => git(&["reset", "-q", "--hard"]),
        "reset-soft" => {
            git(&["add", "-A"]) && git(&["commit", "-qm", "by hand"]) && git(&["reset", "-q", "--soft", "HEAD^"])
        }
        "rm-cached" => git(&["rm", "-rq", "--cached", &package.slice()]),
        "log" => git(&["log", "--all", "--oneline", "--stat"]),
        "gc" => git(&["gc", "-q", "--prune=now"]),
        "pack-refs" => git(&["pack-refs", "--all"]),
        "branch" => git(&["branch", "-f", "mine"]),
        "index-gone" => std::fs::remove_file(git_dir.join("index")).is_ok(),
        "index-lock" => std::fs::write(git_dir.join("index.lock"), "").is_ok(),
        "remove" => std::fs::remove_dir_all(&checkout).is_ok(),
        "head-gone" => std::fs::remove_file(git_dir.join("HEAD")).is_ok(),
        "touch" => touch(&checkout),
        _ if what.starts_with("switch ") => match resolve(world, &what["switch ".len()..]) {
            Some(commit) => git(&["checkout", "-q", "--detach", &commit]),
            None => return Performed::Nothing,
        },
        _ => false,
    };
    Performed::Done
}

fn touch(checkout: &Path) -> bool {
    let (files, _) = crate::objects::work_tree(checkout);
    files.keys().all(|path| {
        let file = std::fs::File::options().append(true).open(checkout.join(path));
        file.and_then(|file| file.set_modified(std::time::SystemTime::now())).is_ok()
    })
}

// Commands.

fn run(world: &mut World, user: usize, verb: &Verb, fault: Option<&Fault>) -> Performed {
    let args = arguments(world, verb);
    let mut prepared = String::new();
    if let Some(Fault::AtGit { what: Harm::Advance { branch, path }, .. }) = fault {
        match commit(world, branch, None, None, &[format!("+{path}")]) {
            Some(made) => prepared = made,
            None => return Performed::Nothing,
        }
    }
    Performed::Ran(world.assets(user, &args, fault, &prepared))
}

/// The command line of a command.
pub fn arguments(world: &World, verb: &Verb) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let paths = |dirs: &[String]| if dirs.is_empty() { vec!["--all".to_string()] } else { dirs.to_vec() };
    let with = |answer: &Answer| answer.flag().into_iter();
    match verb {
        Verb::Restore { dirs, answer } => {
            args.push("restore".into());
            args.extend(with(answer));
            args.extend(paths(dirs));
        }
        Verb::Reset { dirs, yes } => {
            args.push("reset".into());
            args.extend(yes.then(|| "-y".to_string()));
            args.extend(paths(dirs));
        }
        Verb::Push { dirs, ours } => {
            args.push("push".into());
            args.extend(ours.then(|| "--ours".to_string()));
            args.extend(paths(dirs));
        }
        Verb::Preview { dir } => args.extend(["push".into(), "--dry-run".into(), dir.clone()]),
        Verb::Pop { dir, ours } => {
            args.extend(["stash".into(), "pop".into()]);
            args.extend(ours.then(|| "--ours".to_string()));
            args.push(dir.clone());
        }
        Verb::List { dir } => args.extend(["stash".into(), "list".into(), dir.clone()]),
        Verb::Checkout { dir, rev, answer } => {
            args.push("checkout".into());
            args.extend(with(answer));
            // A label is the id of its commit.
            args.push(world.labels.get(rev).cloned().unwrap_or_else(|| rev.clone()));
            args.push(dir.clone());
        }
        Verb::Gc => args.extend(["gc".into(), "--yes".into()]),
    }
    args
}
