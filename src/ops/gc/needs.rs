//! Which objects of a store are needed: by the pins of manifests, and by everything that the checkouts which borrow
//! from it refer to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::observe::{Seen, World};
use crate::error::{Error, Result};
use crate::git::objects::Objects;
use crate::git::{Git, Place, Repo};
use crate::manifest::Pin;
use crate::names::{Oid, RepoPath};
use crate::ops::Context;
use crate::settings::Limits;
use crate::store::census::Census;
use crate::store::checkout::is_of_shown_slices;
use crate::store::files::{entries_of, is_there, text_if_there};
use crate::store::git_dir::{read_head, read_ref, refs_below};
use crate::store::{listing, note};

/// What somebody refers to.
#[derive(Default)]
struct Needs {
    /// Commits and tags, needed with their trees.
    commits: BTreeSet<Oid>,
    /// Commits, trees and blobs, needed with every file that is here.
    whole: BTreeSet<Oid>,
    /// Slices, needed with their files.
    slices: BTreeSet<(Oid, RepoPath)>,
    /// Names of tags.
    tags: BTreeSet<String>,
}

/// What stays of a store.
pub struct Kept {
    pub objects: HashSet<Oid>,
    /// Names of tags.
    pub tags: BTreeSet<String>,
}

/// Finds out what stays of a store whose objects are `have`, less those checkouts that go.
///
/// # Errors
/// When a checkout cannot be read: then nobody can tell what it needs.
pub fn kept(
    context: &Context,
    world: &World,
    (dir, name): (&Path, &str),
    have: &HashMap<Oid, u64>,
    gone: &BTreeSet<std::path::PathBuf>,
) -> Result<Kept> {
    let git = context.git()?;
    let store = place(git, dir, None);
    let mut needs = of_manifests(world, dir, name)?;
    let limits = &context.environment.limits;
    let mut walk = Walk { have, kept: HashSet::new(), limits };
    let borrowing = world.checkouts.iter().filter(|seen| seen.borrows.iter().any(|borrowed| borrowed == name));
    let mut elsewhere: Vec<(Repo, Needs)> = Vec::new();
    let mut store_objects = store.objects()?;
    for seen in borrowing.filter(|seen| !gone.contains(&seen.dir)) {
        let unclear = |error: Error| error.context(format!("cannot tell what `{}` needs", seen.dir.display()));
        let checkout = seen.open(context).map_err(unclear)?;
        let checkout = checkout.ok_or_else(|| unclear(Error::failed("it was not made by `assets`")))?;
        checkout.check_before_looking().map_err(unclear)?;
        let theirs = of_checkout(seen).map_err(unclear)?;
        if is_there(&seen.dir.join(".git/index"))? {
            walk.keep(checkout.repo.shown_blobs().map_err(unclear)?);
        }
        let own = theirs.not_in(&mut store_objects)?;
        needs.add(theirs);
        if !own.is_empty() {
            elsewhere.push((checkout.repo, own));
        }
    }
    walk.walk(&store, &mut store_objects, &needs)?;
    // Composites, stash entries and what was committed by hand are in the checkout, but refer to much that is not.
    for (repo, own) in elsewhere {
        walk.walk(&repo, &mut repo.objects()?, &own)?;
    }
    Ok(Kept { objects: walk.kept, tags: needs.tags })
}

/// A git directory as a place for git.
pub fn place(git: &Git, dir: &Path, work_tree: Option<&Path>) -> Repo {
    let place = Place {
        git_dir: dir.to_path_buf(),
        work_tree: work_tree.map(Path::to_path_buf),
        also_objects: Vec::new(),
        write_objects: None,
    };
    Repo { git: git.clone(), place }
}

fn of_manifests(world: &World, dir: &Path, name: &str) -> Result<Needs> {
    let mut needs = Needs::default();
    for wanted in world.repos.iter().flat_map(|repo| repo.manifests()).filter(|wanted| wanted.store == name) {
        let commit = match wanted.manifest.pin() {
            Pin::Commit(oid) => Some(oid),
            Pin::Tag(tag) => {
                needs.tags.insert(tag.to_string());
                read_ref(dir, &tag.tag_ref())?
            }
            // Whatever it was last, the checkout refers to it.
            Pin::Tip { .. } => None,
        };
        if let Some(commit) = commit {
            needs.commits.insert(commit.clone());
            needs.slices.insert((commit, wanted.manifest.slice.clone()));
        }
    }
    Ok(needs)
}

/// What a checkout refers to, by its files.
fn of_checkout(seen: &Seen) -> Result<Needs> {
    let git_dir = seen.dir.join(".git");
    if is_there(&git_dir.join("worktrees"))? || is_there(&git_dir.join("commondir"))? {
        return Err(Error::failed("it is shared with other work trees"));
    }
    let mut needs = Needs::default();
    for (name, oid) in refs_below(&git_dir, "refs/")? {
        let name = format!("refs/{name}");
        let is_shown = is_of_shown_slices(&git_dir, &name)?;
        if let Some(tag) = name.strip_prefix("refs/tags/") {
            needs.tags.insert(tag.to_string());
        }
        if is_shown {
            needs.commits.insert(oid)
        } else {
            needs.whole.insert(oid)
        };
    }
    let slices = crate::store::checkout::slices_in(&git_dir)?;
    needs.slices.extend(slices.into_iter().map(|(slice, pin)| (pin, slice)));
    if let Some(head) = read_head(&git_dir)? {
        let known = needs.commits.contains(&head);
        if known {
            needs.commits.insert(head)
        } else {
            needs.whole.insert(head)
        };
    }
    // Journal, notes of pushes, and what git leaves there of a merge or the like by hand.
    let of_git =
        entries_of(&git_dir)?.into_iter().filter(|entry| entry.file_name().to_string_lossy().ends_with("_HEAD"));
    for file in note::files_in(&git_dir)?.into_iter().chain(of_git.map(|entry| entry.path())) {
        needs.whole.extend(ids_in(&text_if_there(&file)?.unwrap_or_default()));
    }
    Ok(needs)
}

/// Every full object id in a text.
fn ids_in(text: &str) -> impl Iterator<Item = Oid> + '_ {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter_map(|word| Oid::parse(word).ok())
}

impl Needs {
    fn add(&mut self, other: Needs) {
        self.commits.extend(other.commits);
        self.whole.extend(other.whole);
        self.slices.extend(other.slices);
        self.tags.extend(other.tags);
    }

    fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.whole.is_empty()
    }

    /// The part that refers to objects outside the store.
    fn not_in(&self, store: &mut Objects) -> Result<Needs> {
        let outside = |store: &mut Objects, oids: &BTreeSet<Oid>| -> Result<BTreeSet<Oid>> {
            let names: Vec<&str> = oids.iter().map(Oid::as_str).collect();
            let infos = store.infos(&names)?;
            Ok(oids.iter().zip(infos).filter(|(_, info)| info.is_none()).map(|(oid, _)| oid.clone()).collect())
        };
        Ok(Needs { commits: outside(store, &self.commits)?, whole: outside(store, &self.whole)?, ..Needs::default() })
    }
}

struct Walk<'a> {
    have: &'a HashMap<Oid, u64>,
    kept: HashSet<Oid>,
    limits: &'a Limits,
}

impl Walk<'_> {
    fn keep(&mut self, oids: impl IntoIterator<Item = Oid>) {
        self.kept.extend(oids.into_iter().filter(|oid| self.have.contains_key(oid)));
    }

    fn walk(&mut self, repo: &Repo, objects: &mut Objects, needs: &Needs) -> Result<()> {
        let (mut trees, mut whole_trees, mut roots) = (Vec::new(), Vec::new(), HashMap::new());
        let mut visited: HashMap<Oid, Depth> = HashMap::new();
        let mut open: Vec<(Oid, Depth)> = needs.whole.iter().map(|oid| (oid.clone(), Depth::Whole)).collect();
        open.extend(needs.commits.iter().map(|oid| (oid.clone(), Depth::Trees)));
        while !open.is_empty() {
            let mut level: Vec<(Oid, Depth)> = std::mem::take(&mut open);
            level.retain(|(oid, depth)| {
                let deeper = visited.get(oid).is_none_or(|before| before < depth);
                if deeper {
                    visited.insert(oid.clone(), *depth);
                }
                deeper
            });
            let names: Vec<&str> = level.iter().map(|(oid, _)| oid.as_str()).collect();
            let kinds = objects.infos(&names)?;
            // A blob may be large: it is kept without a look at it.
            let readable: Vec<(&(Oid, Depth), bool)> = level
                .iter()
                .zip(kinds)
                .filter_map(|(root, info)| Some((root, info?.kind)))
                .filter_map(|(root, kind)| match kind.as_str() {
                    "commit" | "tag" => Some((root, true)),
                    "tree" => Some((root, false)),
                    _ => {
                        self.keep([root.0.clone()]);
                        None
                    }
                })
                .collect();
            for ((oid, depth), has_links) in &readable {
                if !has_links {
                    whole_trees.push(oid.clone());
                    continue;
                }
                let Some((_, content)) = objects.contents(&[oid.as_str()])?.pop().flatten() else { continue };
                self.keep([oid.clone()]);
                let text = String::from_utf8_lossy(&content);
                for line in text.lines().take_while(|line| !line.is_empty()) {
                    let Some((word, Ok(linked))) = line.split_once(' ').map(|(word, rest)| (word, Oid::parse(rest)))
                    else {
                        continue;
                    };
                    match (word, depth) {
                        ("object", _) => open.push((linked, *depth)),
                        ("tree", Depth::Whole) => whole_trees.push(linked),
                        ("tree", Depth::Trees) => {
                            roots.insert(oid.clone(), linked.clone());
                            trees.push(linked);
                        }
                        // What was made here is on top of something that was not: that is what it is compared with.
                        ("parent", Depth::Whole) => {
                            let depth = if self.have.contains_key(&linked) { Depth::Trees } else { Depth::Whole };
                            open.push((linked, depth));
                        }
                        // A history stays as long as it is, but of the older commits nothing else.
                        ("parent", Depth::Trees | Depth::Commit) => open.push((linked, Depth::Commit)),
                        _ => {}
                    }
                }
            }
        }
        let mut census = Census::default();
        for (commit, slice) in &needs.slices {
            let Some(tree) = root_tree(objects, &roots, commit)? else { continue };
            let listed = listing::list_each(objects, &mut census, &[(tree.clone(), slice)], self.limits)?.pop();
            match listed.unwrap_or(Ok(None)) {
                Ok(Some(listing)) => self.keep(listing.files.into_iter().chain(listing.above).map(|entry| entry.oid)),
                // It is not completely here, or cannot be shown: what is here stays.
                Ok(None) | Err(_) => whole_trees.push(tree),
            }
        }
        for (mut trees, with_blobs) in [(trees, false), (whole_trees, true)] {
            trees.sort();
            trees.dedup();
            let infos = objects.infos(&trees.iter().map(Oid::as_str).collect::<Vec<_>>())?;
            let here: Vec<Oid> =
                trees.into_iter().zip(infos).filter(|(_, info)| info.is_some()).map(|(tree, _)| tree).collect();
            self.keep(repo.objects_below(&here, with_blobs)?);
        }
        Ok(())
    }
}

/// How much of a commit is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// Itself.
    Commit,
    /// With its trees.
    Trees,
    /// With its trees and every file that is here.
    Whole,
}

fn root_tree(objects: &mut Objects, roots: &HashMap<Oid, Oid>, commit: &Oid) -> Result<Option<Oid>> {
    match roots.get(commit) {
        Some(tree) => Ok(Some(tree.clone())),
        // An annotated tag leads to it.
        None => Ok(objects.commit(commit.as_str())?.map(|(_, commit)| commit.tree)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_any_text() {
        let id = "4e8e976b7839c1e9c6903f48106e48be76868a5d";
        assert_eq!(ids_in(&format!(r#"{{"base":"{id}","to":"refs/heads/a"}}"#)).count(), 1);
        assert_eq!(ids_in(&format!("{id}\n{id}\t\tbranch 'main' of x\n")).count(), 2);
        assert_eq!(ids_in("4e8e976b78 null").count(), 0);
    }
}
