//! What a history is made of: each step is one operation of a user, of the assets repo or of the disk, with a text of one
//! line, so that a history can be printed, read back and made shorter.

use std::fmt;

/// A step of a history. The number stays with it when other steps are removed: contents and commits are named by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub number: usize,
    pub op: Op,
}

/// The people and the machine of a history; the rest of the world is made by its first steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    pub users: usize,
    /// One cache for all of them, as for several clones on one machine.
    pub shared_cache: bool,
    /// Which of the machine's gits.
    pub git: usize,
    /// The assets repo is named by a `file://` URL, else by its path.
    pub url: bool,
    /// The assets folders are on small disks of their own, which can be full. (Only root can have that.)
    pub disks: bool,
}

/// One operation. A package is named by its folder in the code repo, a file by its path below the slice, a commit of the
/// assets repo by a label (`c7`: made by step 7), a branch by its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A package comes to the code repo of everybody. The third is `AssetsRepoBranch`, or `TagPrefix` in the tag form.
    Package {
        dir: String,
        tag_form: bool,
        target: String,
        pin: Option<String>,
    },
    /// Another program puts a commit on `branch` and under `tag`. `+path` is new content, `-path` a deletion.
    Commit {
        base: String,
        branch: Option<String>,
        tag: Option<String>,
        changes: Vec<String>,
    },
    /// The night: each of these branches is merged into `main`; then one file may be cleaned up there.
    Consolidate {
        branches: Vec<String>,
        clean: Option<String>,
    },
    DeleteBranch {
        branch: String,
    },
    ResetBranch {
        branch: String,
        to: String,
    },
    DeleteTag {
        tag: String,
    },
    Record {
        user: usize,
        dir: String,
        file: String,
        large: bool,
    },
    Delete {
        user: usize,
        dir: String,
        file: String,
    },
    Rename {
        user: usize,
        dir: String,
        from: String,
        to: String,
    },
    /// A file becomes a folder with one file in it.
    ToFolder {
        user: usize,
        dir: String,
        file: String,
    },
    /// A folder becomes a file.
    ToFile {
        user: usize,
        dir: String,
        folder: String,
    },
    /// A git repository among the recordings.
    Nested {
        user: usize,
        dir: String,
        name: String,
    },
    /// A file becomes again what is shown.
    Revert {
        user: usize,
        dir: String,
        file: String,
    },
    Run {
        user: usize,
        verb: Verb,
        fault: Option<Fault>,
    },
    /// Somebody deletes the cache directory.
    CacheGone {
        user: usize,
    },
    /// `git checkout` or `git pull` in the code repo changes a pin: to a label, or to a tag.
    Pin {
        user: usize,
        dir: String,
        to: String,
    },
    /// The pin of a teammate arrives.
    Pull {
        user: usize,
        from: usize,
        dir: String,
    },
    /// Git by hand in the checkout of a package.
    Hand {
        user: usize,
        dir: String,
        what: String,
    },
    /// A pattern in the user's `core.excludesFile`.
    Ignore {
        user: usize,
        pattern: String,
    },
}

/// A command of `assets`. No folders: `--all`.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    Restore {
        dirs: Vec<String>,
        answer: Answer,
    },
    Reset {
        dirs: Vec<String>,
        yes: bool,
    },
    Push {
        dirs: Vec<String>,
        ours: bool,
    },
    /// `push --dry-run`
    Preview {
        dir: String,
    },
    Pop {
        dir: String,
        ours: bool,
    },
    List {
        dir: String,
    },
    Checkout {
        dir: String,
        rev: String,
        answer: Answer,
    },
    Gc,
}

/// What is to become of pending changes that are in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    None,
    Stash,
    Keep,
    Discard,
}

/// What goes wrong while a command runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// At the `nth` call of this git subcommand (`any`: of whichever).
    AtGit { call: String, nth: usize, after: bool, what: Harm },
    /// The assets repo is not there.
    Away,
    /// No file can be written beyond this many blocks of 512 bytes.
    FileLimit(usize),
    /// The disk with the assets folder has only this many kilobytes left.
    Full(usize),
}

/// What happens at a call of git.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    /// `assets` is killed.
    Kill,
    /// `assets` and this git are killed.
    KillAll,
    /// This git is killed.
    KillGit,
    /// A test records this file of the package of the command.
    Write { dir: String, file: String },
    /// A teammate puts a commit on this branch; it has new content at this path.
    Advance { branch: String, path: String },
}

pub const ANSWERS: [(Answer, &str); 4] =
    [(Answer::None, "-"), (Answer::Stash, "stash"), (Answer::Keep, "keep"), (Answer::Discard, "discard")];

/// A word without spaces.
pub fn word(text: &str) -> String {
    if text.is_empty() {
        return "%".into();
    }
    text.replace('%', "%25").replace(' ', "%20").replace(',', "%2C")
}

pub fn unword(text: &str) -> String {
    if text == "%" {
        return String::new();
    }
    text.replace("%20", " ").replace("%2C", ",").replace("%25", "%")
}

fn words(list: &[String]) -> String {
    if list.is_empty() { "-".into() } else { list.iter().map(|text| word(text)).collect::<Vec<_>>().join(",") }
}

fn unwords(text: &str) -> Vec<String> {
    if text == "-" { Vec::new() } else { text.split(',').map(unword).collect() }
}

fn maybe(text: &Option<String>) -> String {
    text.as_ref().map_or("-".into(), |text| word(text))
}

fn unmaybe(text: &str) -> Option<String> {
    (text != "-").then(|| unword(text))
}

impl Answer {
    fn name(self) -> &'static str {
        ANSWERS.iter().find(|(answer, _)| *answer == self).map_or("-", |(_, name)| name)
    }

    /// The flag that gives it.
    pub fn flag(self) -> Option<String> {
        (self != Answer::None).then(|| format!("--{}", self.name()))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setup {} {} {} {} {}", self.users, self.shared_cache, self.git, self.url, self.disks)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.op)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Package { dir, tag_form, target, pin } => {
                write!(f, "package {} {tag_form} {} {}", word(dir), word(target), maybe(pin))
            }
            Op::Commit { base, branch, tag, changes } => {
                write!(f, "commit {} {} {} {}", word(base), maybe(branch), maybe(tag), words(changes))
            }
            Op::Consolidate { branches, clean } => write!(f, "consolidate {} {}", words(branches), maybe(clean)),
            Op::DeleteBranch { branch } => write!(f, "delete-branch {}", word(branch)),
            Op::ResetBranch { branch, to } => write!(f, "reset-branch {} {}", word(branch), word(to)),
            Op::DeleteTag { tag } => write!(f, "delete-tag {}", word(tag)),
            Op::Record { user, dir, file, large } => write!(f, "record {user} {} {} {large}", word(dir), word(file)),
            Op::Delete { user, dir, file } => write!(f, "delete {user} {} {}", word(dir), word(file)),
            Op::Rename { user, dir, from, to } => {
                write!(f, "rename {user} {} {} {}", word(dir), word(from), word(to))
            }
            Op::ToFolder { user, dir, file } => write!(f, "to-folder {user} {} {}", word(dir), word(file)),
            Op::ToFile { user, dir, folder } => write!(f, "to-file {user} {} {}", word(dir), word(folder)),
            Op::Nested { user, dir, name } => write!(f, "nested {user} {} {}", word(dir), word(name)),
            Op::Revert { user, dir, file } => write!(f, "revert {user} {} {}", word(dir), word(file)),
            Op::Run { user, verb, fault } => {
                write!(f, "run {user} {verb}")?;
                fault.as_ref().map_or(Ok(()), |fault| write!(f, " fault {fault}"))
            }
            Op::CacheGone { user } => write!(f, "cache-gone {user}"),
            Op::Pin { user, dir, to } => write!(f, "pin {user} {} {}", word(dir), word(to)),
            Op::Pull { user, from, dir } => write!(f, "pull {user} {from} {}", word(dir)),
            Op::Hand { user, dir, what } => write!(f, "hand {user} {} {}", word(dir), word(what)),
            Op::Ignore { user, pattern } => write!(f, "ignore {user} {}", word(pattern)),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verb::Restore { dirs, answer } => write!(f, "restore {} {}", words(dirs), answer.name()),
            Verb::Reset { dirs, yes } => write!(f, "reset {} {yes}", words(dirs)),
            Verb::Push { dirs, ours } => write!(f, "push {} {ours}", words(dirs)),
            Verb::Preview { dir } => write!(f, "preview {}", word(dir)),
            Verb::Pop { dir, ours } => write!(f, "pop {} {ours}", word(dir)),
            Verb::List { dir } => write!(f, "list {}", word(dir)),
            Verb::Checkout { dir, rev, answer } => {
                write!(f, "checkout {} {} {}", word(dir), word(rev), answer.name())
            }
            Verb::Gc => write!(f, "gc"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::AtGit { call, nth, after, what } => {
                write!(f, "at {call} {nth} {} ", if *after { "after" } else { "before" })?;
                match what {
                    Harm::Kill => write!(f, "kill"),
                    Harm::KillAll => write!(f, "kill-all"),
                    Harm::KillGit => write!(f, "kill-git"),
                    Harm::Write { dir, file } => write!(f, "write {} {}", word(dir), word(file)),
                    Harm::Advance { branch, path } => write!(f, "advance {} {}", word(branch), word(path)),
                }
            }
            Fault::Away => write!(f, "away"),
            Fault::FileLimit(blocks) => write!(f, "file-limit {blocks}"),
            Fault::Full(left) => write!(f, "full {left}"),
        }
    }
}

/// Reads what [`Setup`] prints.
pub fn parse_setup(line: &str) -> Option<Setup> {
    let parts: Vec<&str> = line.split(' ').collect();
    let ["setup", users, shared_cache, git, url, ref rest @ ..] = parts[..] else { return None };
    Some(Setup {
        users: users.parse().ok()?,
        shared_cache: shared_cache.parse().ok()?,
        git: git.parse().ok()?,
        url: url.parse().ok()?,
        disks: *rest == ["true"],
    })
}

/// Reads what [`Step`] prints.
pub fn parse_step(line: &str) -> Option<Step> {
    let (number, rest) = line.split_once(' ')?;
    Some(Step { number: number.parse().ok()?, op: parse_op(rest)? })
}

fn parse_op(line: &str) -> Option<Op> {
    let (line, fault) = match line.split_once(" fault ") {
        Some((line, fault)) => (line, Some(parse_fault(fault)?)),
        None => (line, None),
    };
    let parts: Vec<&str> = line.split(' ').collect();
    let number = |text: &str| text.parse::<usize>().ok();
    let flag = |text: &str| text.parse::<bool>().ok();
    let op = match parts[..] {
        ["package", dir, form, target, pin] => {
            Op::Package { dir: unword(dir), tag_form: flag(form)?, target: unword(target), pin: unmaybe(pin) }
        }
        ["commit", base, branch, tag, changes] => {
            Op::Commit { base: unword(base), branch: unmaybe(branch), tag: unmaybe(tag), changes: unwords(changes) }
        }
        ["consolidate", branches, clean] => Op::Consolidate { branches: unwords(branches), clean: unmaybe(clean) },
        ["delete-branch", branch] => Op::DeleteBranch { branch: unword(branch) },
        ["reset-branch", branch, to] => Op::ResetBranch { branch: unword(branch), to: unword(to) },
        ["delete-tag", tag] => Op::DeleteTag { tag: unword(tag) },
        ["record", user, dir, file, large] => {
            Op::Record { user: number(user)?, dir: unword(dir), file: unword(file), large: flag(large)? }
        }
        ["delete", user, dir, file] => Op::Delete { user: number(user)?, dir: unword(dir), file: unword(file) },
        ["rename", user, dir, from, to] => {
            Op::Rename { user: number(user)?, dir: unword(dir), from: unword(from), to: unword(to) }
        }
        ["to-folder", user, dir, file] => Op::ToFolder { user: number(user)?, dir: unword(dir), file: unword(file) },
        ["to-file", user, dir, folder] => Op::ToFile { user: number(user)?, dir: unword(dir), folder: unword(folder) },
        ["nested", user, dir, name] => Op::Nested { user: number(user)?, dir: unword(dir), name: unword(name) },
        ["revert", user, dir, file] => Op::Revert { user: number(user)?, dir: unword(dir), file: unword(file) },
        ["run", user, ref verb @ ..] => Op::Run { user: number(user)?, verb: parse_verb(verb)?, fault },
        ["cache-gone", user] => Op::CacheGone { user: number(user)? },
        ["pin", user, dir, to] => Op::Pin { user: number(user)?, dir: unword(dir), to: unword(to) },
        ["pull", user, from, dir] => Op::Pull { user: number(user)?, from: number(from)?, dir: unword(dir) },
        ["hand", user, dir, what] => Op::Hand { user: number(user)?, dir: unword(dir), what: unword(what) },
        ["ignore", user, pattern] => Op::Ignore { user: number(user)?, pattern: unword(pattern) },
        _ => return None,
    };
    Some(op)
}

fn parse_verb(parts: &[&str]) -> Option<Verb> {
    let answer = |text: &str| ANSWERS.iter().find(|(_, name)| *name == text).map(|(answer, _)| *answer);
    let flag = |text: &str| text.parse::<bool>().ok();
    Some(match *parts {
        ["restore", dirs, with] => Verb::Restore { dirs: unwords(dirs), answer: answer(with)? },
        ["reset", dirs, yes] => Verb::Reset { dirs: unwords(dirs), yes: flag(yes)? },
        ["push", dirs, ours] => Verb::Push { dirs: unwords(dirs), ours: flag(ours)? },
        ["preview", dir] => Verb::Preview { dir: unword(dir) },
        ["pop", dir, ours] => Verb::Pop { dir: unword(dir), ours: flag(ours)? },
        ["list", dir] => Verb::List { dir: unword(dir) },
        ["checkout", dir, rev, with] => Verb::Checkout { dir: unword(dir), rev: unword(rev), answer: answer(with)? },
        ["gc"] => Verb::Gc,
        _ => return None,
    })
}

fn parse_fault(text: &str) -> Option<Fault> {
    let parts: Vec<&str> = text.split(' ').collect();
    Some(match parts[..] {
        ["away"] => Fault::Away,
        ["file-limit", blocks] => Fault::FileLimit(blocks.parse().ok()?),
        ["full", left] => Fault::Full(left.parse().ok()?),
        ["at", call, nth, when, ref what @ ..] => {
            let what = match *what {
                ["kill"] => Harm::Kill,
                ["kill-all"] => Harm::KillAll,
                ["kill-git"] => Harm::KillGit,
                ["write", dir, file] => Harm::Write { dir: unword(dir), file: unword(file) },
                ["advance", branch, path] => Harm::Advance { branch: unword(branch), path: unword(path) },
                _ => return None,
            };
            Fault::AtGit { call: call.into(), nth: nth.parse().ok()?, after: when == "after", what }
        }
        _ => return None,
    })
}

impl Op {
    /// Whose checkouts it may change; none for what happens in the assets repo.
    pub fn user(&self) -> Option<usize> {
        match self {
            Op::Record { user, .. }
            | Op::Delete { user, .. }
            | Op::Rename { user, .. }
            | Op::ToFolder { user, .. }
            | Op::ToFile { user, .. }
            | Op::Nested { user, .. }
            | Op::Revert { user, .. }
            | Op::Run { user, .. }
            | Op::CacheGone { user }
            | Op::Pin { user, .. }
            | Op::Pull { user, .. }
            | Op::Hand { user, .. }
            | Op::Ignore { user, .. } => Some(*user),
            _ => None,
        }
    }
}
