//! Chooses the steps of a history at random, with an eye on what is there.

use fastrand::Rng;

use crate::ops::{Answer, Fault, Harm, Op, Setup, Verb};
use crate::oracle::Oracle;
use crate::world::{Package, World};

/// Names of files below a slice: few, so that people meet at them; some that ignore rules match, some that are a file
/// here and a folder there, one that git refuses.
const FILES: [&str; 13] = [
    "a.json",
    "b.json",
    "m.json",
    "z.json",
    "x",
    "x/part.json",
    "dir/one.json",
    "dir/two.json",
    "log/trace.json",
    "dir",
    "new file.json",
    "q[1].json",
    "é.json",
];

const PACKAGES: [(&str, bool, &str); 7] = [
    ("sdk/a", false, "auto/a"),
    ("sdk/b", false, "auto/b"),
    ("sdk/s", false, "auto/s"),
    ("sdk/s/inner", false, "auto/s"),
    ("sdk/storage/blob", false, "auto/storage"),
    ("py/t", true, "py/t"),
    ("py/u", true, "py/u"),
];

/// Files above packages, shown with them but part of none.
const ABOVE: [&str; 2] = ["rec/sdk/storage/README.md", "rec/sdk/README.md"];

const CALLS: [&str; 16] = [
    "any",
    "any",
    "any",
    "push",
    "push",
    "fetch",
    "read-tree",
    "read-tree",
    "update-index",
    "commit-tree",
    "write-tree",
    "checkout-index",
    "update-ref",
    "cat-file",
    "diff-tree",
    "status",
];

const HANDS: [&str; 19] = [
    "add",
    "add",
    "commit",
    "commit",
    "amend",
    "stash",
    "stash-pop",
    "reset-hard",
    "reset-soft",
    "rm-cached",
    "log",
    "gc",
    "pack-refs",
    "branch",
    "index-gone",
    "head-gone",
    "remove",
    "index-lock",
    "touch",
];

pub fn setup(random: &mut Rng) -> Setup {
    Setup {
        users: [1, 2, 2, 3][random.usize(..4)],
        shared_cache: random.bool(),
        git: random.usize(..2),
        url: random.bool(),
        // Mounting takes its time.
        disks: random.usize(..4) == 0 && rustix::process::geteuid().is_root(),
    }
}

/// The first steps: an assets repo with some history, and packages that pin some of it.
pub fn beginning(random: &mut Rng) -> Vec<Op> {
    let mut packages: Vec<(&str, bool, &str)> = PACKAGES.to_vec();
    random.shuffle(&mut packages);
    packages.truncate(random.usize(2..=4));
    if packages.iter().any(|(dir, ..)| *dir == "sdk/s/inner") && !packages.iter().any(|(dir, ..)| *dir == "sdk/s") {
        packages.push(("sdk/s", false, "auto/s"));
    }
    packages.sort_unstable();
    let mut ops = Vec::new();
    let commits = random.usize(2..=4);
    for number in 0..commits {
        let mut changes: Vec<String> = Vec::new();
        for (dir, ..) in &packages {
            for file in ["a.json", "b.json", "m.json", "z.json", "dir/one.json", "log/trace.json"] {
                if random.usize(..if number == 0 { 2 } else { 4 }) == 0 {
                    changes.push(format!("+rec/{dir}/{file}"));
                }
            }
        }
        if random.bool() {
            changes.push(format!("+{}", ABOVE[random.usize(..ABOVE.len())]));
        }
        if random.usize(..20) == 0 {
            changes.push("+.gitignore".into());
        }
        let base = if number == 0 { "-".to_string() } else { format!("c{}", number - 1) };
        let tag = packages.iter().filter(|(_, tag_form, _)| *tag_form).nth(random.usize(..2));
        let tag = tag.map(|(_, _, prefix)| format!("{prefix}_{number}"));
        ops.push(Op::Commit { base, branch: Some("main".into()), tag, changes });
    }
    for (_, _, branch) in packages.iter().filter(|(_, tag_form, _)| !tag_form) {
        if random.usize(..3) > 0 {
            let to = format!("c{}", random.usize(..commits));
            ops.push(Op::ResetBranch { branch: branch.to_string(), to });
        }
    }
    for (dir, tag_form, target) in packages {
        let number = random.usize(..commits);
        let pin = match random.usize(..8) {
            0 => None,
            _ if tag_form => Some(format!("{target}_{number}")),
            _ => Some(format!("c{number}")),
        };
        let target = match random.usize(..8) {
            0 if !tag_form => "main".to_string(),
            1 if !tag_form => "auto/all".to_string(),
            _ => target.to_string(),
        };
        ops.push(Op::Package { dir: dir.into(), tag_form, target, pin });
    }
    ops
}

/// The last steps: everybody gets everything to the pins, and what was stashed back.
pub fn ending(world: &World, oracle: &Oracle, done: usize) -> Option<Op> {
    let users = world.setup.users;
    if done < users {
        return Some(Op::Run {
            user: done,
            verb: Verb::Restore { dirs: Vec::new(), answer: Answer::None },
            fault: None,
        });
    }
    for user in 0..users {
        for package in &world.packages {
            let slice = package.slice();
            let stashed = oracle.seen[user]
                .checkouts
                .get(&package.checkout)
                .is_some_and(|checkout| checkout.entries().iter().any(|(of, ..)| *of == slice));
            if stashed && done < users + 6 {
                return Some(Op::Run { user, verb: Verb::Pop { dir: package.dir.clone(), ours: true }, fault: None });
            }
        }
    }
    None
}

/// One more step.
pub fn next(random: &mut Rng, world: &mut World, oracle: &Oracle) -> Op {
    let user = random.usize(..world.setup.users);
    let package = world.packages[random.usize(..world.packages.len())].clone();
    let dir = package.dir.clone();
    let number = random.usize(..1000);
    match number {
        0..280 => record(random, oracle, user, &package),
        280..340 => on_file(random, oracle, user, &package, |dir, file| Op::Delete { user, dir, file }),
        340..365 => {
            let to = FILES[random.usize(..FILES.len())].to_string();
            on_file(random, oracle, user, &package, |dir, from| Op::Rename { user, dir, from, to })
        }
        365..385 => on_file(random, oracle, user, &package, |dir, file| Op::ToFolder { user, dir, file }),
        385..400 => {
            let folders: Vec<String> = ["dir", "x", "log"].map(String::from).to_vec();
            Op::ToFile { user, dir, folder: folders[random.usize(..3)].clone() }
        }
        400..404 if oracle.seen[user].checkouts.get(&package.checkout).is_some_and(|seen| !seen.nested.is_empty()) => {
            Op::Delete { user, dir, file: ["nested/", "dir/repo/"][random.usize(..2)].into() }
        }
        400..404 => Op::Nested { user, dir, name: ["nested", "dir/repo"][random.usize(..2)].into() },
        404..420 => on_file(random, oracle, user, &package, |dir, file| Op::Revert { user, dir, file }),
        420..720 => {
            let verb = verb(random, world, oracle, user, &package);
            // What several pushes that were cut short have left cannot be told apart.
            let is_plain = !matches!(&verb, Verb::Push { dirs, .. } if dirs.len() != 1);
            let fault = (is_plain && random.usize(..100) < 14).then(|| fault(random, &verb, &package, world));
            Op::Run { user, verb, fault }
        }
        720..790 => commit(random, world),
        790..810 => {
            let mut branches = branches(oracle);
            branches.retain(|branch| branch.starts_with("auto/"));
            let clean = (random.bool()).then(|| format!("{}/{}", package.slice(), plain_file(random)));
            Op::Consolidate { branches, clean }
        }
        810..820 => match branches(oracle) {
            branches if branches.is_empty() => commit(random, world),
            branches => {
                let branch = branches[random.usize(..branches.len())].clone();
                if branch == "main" { commit(random, world) } else { Op::DeleteBranch { branch } }
            }
        },
        820..835 => {
            let branches = branches(oracle);
            if branches.is_empty() {
                return commit(random, world);
            }
            Op::ResetBranch { branch: branches[random.usize(..branches.len())].clone(), to: label(random, world) }
        }
        835..840 => {
            let tags: Vec<&String> = world.tags.keys().collect();
            match tags.is_empty() {
                true => commit(random, world),
                false => Op::DeleteTag { tag: tags[random.usize(..tags.len())].clone() },
            }
        }
        840..850 => Op::CacheGone { user },
        850..900 => {
            let to = match package.tag_form {
                true => {
                    let tags: Vec<String> =
                        world.tags.keys().filter(|tag| tag.starts_with(&package.target)).cloned().collect();
                    if tags.is_empty() { String::new() } else { tags[random.usize(..tags.len())].clone() }
                }
                false => label(random, world),
            };
            Op::Pin { user, dir, to }
        }
        900..945 => Op::Pull { user, from: random.usize(..world.setup.users), dir },
        945..994 => {
            let what = match random.usize(..18) {
                0 => format!("switch {}", label(random, world)),
                _ => HANDS[random.usize(..HANDS.len())].to_string(),
            };
            Op::Hand { user, dir, what }
        }
        _ => Op::Ignore { user, pattern: ["log/", "dir/", "*.json"][random.usize(..3)].into() },
    }
}

fn plain_file(random: &mut Rng) -> &'static str {
    ["a.json", "b.json", "m.json", "z.json", "dir/one.json", "log/trace.json"][random.usize(..6)]
}

fn branches(oracle: &Oracle) -> Vec<String> {
    oracle.remote.keys().filter_map(|name| name.strip_prefix("refs/heads/")).map(str::to_string).collect()
}

fn label(random: &mut Rng, world: &World) -> String {
    let labels: Vec<&String> = world.labels.keys().collect();
    labels[random.usize(..labels.len())].clone()
}

fn files_of(oracle: &Oracle, user: usize, package: &Package) -> Vec<String> {
    let slice = package.slice() + "/";
    let Some(checkout) = oracle.seen[user].checkouts.get(&package.checkout) else { return Vec::new() };
    checkout.files.keys().filter_map(|path| path.strip_prefix(&slice)).map(str::to_string).collect()
}

fn on_file(
    random: &mut Rng,
    oracle: &Oracle,
    user: usize,
    package: &Package,
    op: impl FnOnce(String, String) -> Op,
) -> Op {
    let files = files_of(oracle, user, package);
    match files.is_empty() {
        true => op(package.dir.clone(), "a.json".into()),
        false => op(package.dir.clone(), files[random.usize(..files.len())].clone()),
    }
}

fn record(random: &mut Rng, oracle: &Oracle, user: usize, package: &Package) -> Op {
    // Mostly people restore before they record.
    let restored = oracle.seen[user].checkouts.contains_key(&package.checkout);
    if !restored && random.usize(..12) > 0 {
        return Op::Run {
            user,
            verb: Verb::Restore { dirs: vec![package.dir.clone()], answer: Answer::None },
            fault: None,
        };
    }
    let files = files_of(oracle, user, package);
    let file = match random.usize(..100) {
        0..45 if !files.is_empty() => files[random.usize(..files.len())].trim_end_matches('/').to_string(),
        45 => ["git~1", "dir/git~2.x/x.json", ".gitignore"][random.usize(..3)].into(),
        _ => FILES[random.usize(..FILES.len())].into(),
    };
    Op::Record { user, dir: package.dir.clone(), file, large: random.usize(..8) == 0 }
}

fn verb(random: &mut Rng, world: &mut World, oracle: &Oracle, user: usize, package: &Package) -> Verb {
    let dir = package.dir.clone();
    let dirs = match random.usize(..8) {
        0 => Vec::new(),
        1 => {
            let other = world.packages[random.usize(..world.packages.len())].dir.clone();
            if other == dir { vec![dir.clone()] } else { vec![dir.clone(), other] }
        }
        _ => vec![dir.clone()],
    };
    let answer = [Answer::None, Answer::None, Answer::Stash, Answer::Keep, Answer::Discard][random.usize(..5)];
    let stashed = oracle.seen[user].checkouts.get(&package.checkout).is_some_and(|seen| !seen.entries().is_empty());
    match random.usize(..100) {
        0..42 => Verb::Restore { dirs, answer },
        42..50 => Verb::Reset { dirs, yes: random.usize(..5) > 0 },
        50..76 => Verb::Push { dirs, ours: random.usize(..4) == 0 },
        76..90 if stashed => Verb::Pop { dir, ours: random.bool() },
        90..92 => Verb::List { dir },
        92 => Verb::Preview { dir },
        93..97 => {
            let branches = branches(oracle);
            let rev = match random.bool() && !branches.is_empty() && !package.tag_form {
                true => branches[random.usize(..branches.len())].clone(),
                false => label(random, world),
            };
            Verb::Checkout { dir, rev, answer }
        }
        97..99 => Verb::Gc,
        _ => Verb::Restore { dirs: vec![dir], answer },
    }
}

fn fault(random: &mut Rng, verb: &Verb, package: &Package, world: &World) -> Fault {
    let is_push = matches!(verb, Verb::Push { .. });
    let call = CALLS[random.usize(..CALLS.len())];
    let call = if call == "push" && !is_push { "any" } else { call };
    let nth = if call == "any" { random.usize(1..16) } else { random.usize(1..4) };
    let nth = if call == "push" { 1 } else { nth };
    let after = random.bool();
    match random.usize(..20) {
        0 => Fault::Away,
        1..3 if world.setup.disks => Fault::Full([0, 4, 8, 12, 16, 24, 32, 48][random.usize(..8)]),
        1..3 => Fault::FileLimit(random.usize(1..10)),
        3..6 if is_push && !package.tag_form => {
            let branch = package.target.clone();
            let path = format!("{}/{}", package.slice(), plain_file(random));
            let call = ["push", "any"][random.usize(..2)].to_string();
            let nth = if call == "push" { 1 } else { nth };
            Fault::AtGit { call, nth, after: false, what: Harm::Advance { branch, path } }
        }
        6..9 => {
            let other = &world.packages[random.usize(..world.packages.len())];
            let dir = if random.bool() { other.dir.clone() } else { package.dir.clone() };
            Fault::AtGit { call: call.into(), nth, after, what: Harm::Write { dir, file: plain_file(random).into() } }
        }
        9..15 => Fault::AtGit { call: call.into(), nth, after, what: Harm::Kill },
        15..18 => Fault::AtGit { call: call.into(), nth, after, what: Harm::KillAll },
        _ => Fault::AtGit { call: call.into(), nth, after, what: Harm::KillGit },
    }
}

/// Somebody with another program commits to a branch: changes of one package, now and then of a file above.
fn commit(random: &mut Rng, world: &mut World) -> Op {
    let packages = world.packages.clone();
    let package = &packages[random.usize(..packages.len())];
    let refs = world.remote_refs();
    let target = if package.tag_form || random.usize(..3) == 0 { "main".to_string() } else { package.target.clone() };
    let exists = refs.contains_key(&format!("refs/heads/{target}"));
    let base = match (package.tag_form, exists) {
        (true, _) => label(random, world),
        (_, true) => target.clone(),
        (_, false) => "main".into(),
    };
    let listing = crate::perform::resolve(world, &base).map(|base| world.objects.files(&base)).unwrap_or_default();
    let mut changes: Vec<String> = Vec::new();
    for _ in 0..random.usize(1..4) {
        let path = format!("{}/{}", package.slice(), FILES[random.usize(..FILES.len())]);
        let is_twice = changes.iter().any(|change| change[1..].starts_with(&path) || path.starts_with(&change[1..]));
        if is_twice {
            continue;
        }
        if listing.contains_key(&path) && random.usize(..3) == 0 {
            changes.push(format!("-{path}"));
            continue;
        }
        // What is in the way goes.
        let in_the_way = listing.keys().filter(|other| {
            let below = |one: &str, other: &str| other.strip_prefix(one).is_some_and(|rest| rest.starts_with('/'));
            below(&path, other) || below(other, &path)
        });
        changes.extend(in_the_way.map(|other| format!("-{other}")));
        changes.push(format!("+{path}"));
    }
    if random.usize(..8) == 0 {
        changes.push(format!("+{}", ABOVE[random.usize(..ABOVE.len())]));
    }
    let tag = package.tag_form.then(|| format!("{}_s{}", package.target, world.step));
    Op::Commit { base, branch: (!package.tag_form).then_some(target), tag, changes }
}
