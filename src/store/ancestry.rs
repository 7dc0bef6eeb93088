//! Which of two commits came after the other. The store holds commits without their history, so what their own text says
//! is looked at first, and then the server is asked for commits, without any tree, into a repository that is thrown away.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::Store;
use super::probe::Nowhere;
use crate::error::Result;
use crate::git::Output;
use crate::git::ancestry::{HistoryFilter, Parents};
use crate::git::failure::Failure;
use crate::git::objects::Objects;
use crate::names::Oid;

/// How two commits of the assets repo are related.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The second holds the first: it is the same commit or came after it.
    Holds,
    /// The first holds the second.
    IsHeld,
    /// Neither holds the other. `fork`: the last commit that both hold, if there is exactly one.
    Apart { fork: Option<Oid> },
    /// The server does not have the first any more, so that nothing on it holds that.
    Gone,
    /// The server did not tell enough.
    Unknown,
}

/// Commits and their parents, as far as they are known.
#[derive(Default)]
pub struct Graph(HashMap<Oid, Vec<Oid>>);

impl Graph {
    /// Takes in more commits.
    pub fn learn(&mut self, commits: impl IntoIterator<Item = Parents>) {
        self.0.extend(commits);
    }

    /// Whether `newer` holds `older`. No commit below `floor` is looked at. `None` when a commit on the way is not known.
    pub fn holds(&self, newer: &Oid, older: &Oid, floor: Option<&Oid>) -> Option<bool> {
        let (mut open, mut seen, mut is_cut) = (vec![newer], HashSet::new(), false);
        while let Some(commit) = open.pop() {
            if commit == older {
                return Some(true);
            }
            if !seen.insert(commit) || floor == Some(commit) {
                continue;
            }
            match self.0.get(commit) {
                Some(parents) => open.extend(parents),
                None => is_cut = true,
            }
        }
        (!is_cut).then_some(false)
    }

    /// How two commits are related; `None` when too little is known.
    pub fn relation(&self, first: &Oid, second: &Oid) -> Option<Relation> {
        match (self.holds(second, first, None), self.holds(first, second, None)) {
            (Some(true), _) => Some(Relation::Holds),
            (_, Some(true)) => Some(Relation::IsHeld),
            (Some(false), Some(false)) => Some(Relation::Apart { fork: self.fork(first, second) }),
            _ => None,
        }
    }

    /// The last commit that both hold; none when there are several such.
    fn fork(&self, first: &Oid, second: &Oid) -> Option<Oid> {
        let (one, other) = (self.all_of([first]), self.all_of([second]));
        let common: HashSet<&Oid> = one.intersection(&other).copied().collect();
        let below = self.all_of(common.iter().flat_map(|commit| self.0.get(*commit)).flatten());
        let mut last = common.difference(&below);
        last.next().filter(|_| last.next().is_none()).map(|commit| (*commit).clone())
    }

    /// Some commits and all that they hold.
    fn all_of<'a>(&'a self, commits: impl IntoIterator<Item = &'a Oid>) -> HashSet<&'a Oid> {
        let (mut open, mut seen): (Vec<&Oid>, _) = (commits.into_iter().collect(), HashSet::new());
        while let Some(commit) = open.pop() {
            if seen.insert(commit) {
                open.extend(self.0.get(commit).into_iter().flatten());
            }
        }
        seen
    }
}

/// What is known of the history of one assets repo.
pub struct History<'a> {
    store: &'a Store,
    /// Objects directories to read besides the store's own.
    also_objects: Vec<PathBuf>,
    graph: Graph,
    /// What the server was asked about; it does not answer otherwise a second time.
    asked: HashSet<(Oid, Oid)>,
    gone: HashSet<Oid>,
}

impl<'a> History<'a> {
    pub fn new(store: &'a Store, also_objects: Vec<PathBuf>) -> History<'a> {
        History { store, also_objects, graph: Graph::default(), asked: HashSet::new(), gone: HashSet::new() }
    }

    /// How two commits are related; asks the server if what is here does not tell.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not let us in.
    pub fn relation(&mut self, first: &Oid, second: &Oid) -> Result<Relation> {
        let mut objects = self.store.with_objects_of(&self.also_objects).objects()?;
        self.look_here(&mut objects, [first, second])?;
        if let Some(relation) = self.graph.relation(first, second) {
            return Ok(relation);
        }
        if self.asked.insert((first.clone(), second.clone())) {
            self.ask(&mut objects, first, second)?;
        }
        let relation = self.graph.relation(first, second);
        Ok(relation.unwrap_or(if self.gone.contains(first) { Relation::Gone } else { Relation::Unknown }))
    }

    /// Whether `newer` holds `older`, as far as that is known by now. No commit below `floor` is looked at.
    pub fn holds(&self, newer: &Oid, older: &Oid, floor: &Oid) -> Option<bool> {
        self.graph.holds(newer, older, Some(floor))
    }

    /// Learns from the commits that are here. A commit names its parents whether they are here or not.
    fn look_here<'c>(&mut self, objects: &mut Objects, commits: impl IntoIterator<Item = &'c Oid>) -> Result<()> {
        /// A pin is hardly ever further from the tip, and what is here of so long a history has gaps.
        const MOST: usize = 1000;
        let mut open: Vec<Oid> = commits.into_iter().cloned().collect();
        let mut looked_at = HashSet::new();
        while !open.is_empty() && looked_at.len() < MOST {
            open.retain(|commit| looked_at.insert(commit.clone()));
            let mut next = Vec::new();
            for (commit, content) in
                open.iter().zip(objects.contents(&open.iter().map(Oid::as_str).collect::<Vec<_>>())?)
            {
                let Some((info, text)) = content else { continue };
                if info.kind == "commit" {
                    let parents = parents_of(&text);
                    next.extend(parents.iter().cloned());
                    self.graph.learn([(commit.clone(), parents)]);
                }
            }
            open = next;
        }
        Ok(())
    }

    /// Asks the server for the history of two commits. First for what is not older than either of them: that tells in
    /// nearly every case and is little. Then for all of it.
    fn ask(&mut self, objects: &mut Objects, first: &Oid, second: &Oid) -> Result<()> {
        /// Clocks that differ by no more than this do no harm, in seconds.
        const CLOCKS: i64 = 24 * 3600;
        let times = objects.commits(&[first.as_str(), second.as_str()])?;
        let oldest = times.iter().flatten().map(|(_, commit)| commit.time).min();
        let since = oldest.map(|time| (time - CLOCKS).max(0));
        self.store.repo.git.report().phase(&format!("asking `{}` for its history", self.store.name));
        for filter in [HistoryFilter::Trees, HistoryFilter::Blobs] {
            for since in [since, None] {
                let nowhere = Nowhere::make(&self.store.repo.git)?;
                let output = nowhere.repo.fetch_history(&self.store.url, &[second, first], filter, since)?;
                if output.succeeded() {
                    self.learn_from(&nowhere, first, second)?;
                    // A server that sends everything is not asked for everything there ever was.
                    let ignores_filters = output.stderr.contains("filtering not recognized");
                    if self.graph.relation(first, second).is_some() || ignores_filters || since.is_none() {
                        return Ok(());
                    }
                    continue;
                }
                if output.stderr.contains(&format!("not our ref {first}")) {
                    self.gone.insert(first.clone());
                    return Ok(());
                }
                if is_without_answer(&output) {
                    return Err(self.store.remote_error(output, "fetch from"));
                }
                if !output.stderr.contains("filter") {
                    return Ok(());
                }
                break;
            }
        }
        Ok(())
    }

    fn learn_from(&mut self, nowhere: &Nowhere, first: &Oid, second: &Oid) -> Result<()> {
        let cut = super::lane::shallow(&nowhere.repo.place.git_dir)?;
        let cut: HashSet<&str> = cut.lines().collect();
        let listed = nowhere.repo.rev_list_parents(&[first, second])?;
        self.graph.learn(listed.into_iter().filter(|(commit, _)| !cut.contains(commit.as_str())));
        Ok(())
    }
}

/// Whether the question did not get to the server, or not past its door.
fn is_without_answer(output: &Output) -> bool {
    let failure = output.failure();
    failure.is_transient() || matches!(failure, Failure::Auth | Failure::MissingRepo | Failure::Tls | Failure::Disk)
}

/// The parents that the text of a commit names.
fn parents_of(commit: &[u8]) -> Vec<Oid> {
    let text = String::from_utf8_lossy(commit);
    let headers = text.lines().take_while(|line| !line.is_empty());
    headers.filter_map(|line| Oid::parse(line.strip_prefix("parent ")?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(name: u8) -> Oid {
        Oid::from_bytes(&[name; 20])
    }

    /// `4:32` is a commit 4 with the parents 3 and 2.
    fn graph(commits: &str) -> Graph {
        let mut graph = Graph::default();
        let digit = |c: char| oid(c.to_digit(10).unwrap() as u8);
        graph.learn(commits.split(' ').filter_map(|commit| commit.split_once(':')).map(|(commit, parents)| {
            (digit(commit.chars().next().unwrap()), parents.chars().map(digit).collect::<Vec<_>>())
        }));
        graph
    }

    #[test]
    fn relations() {
        let apart = |fork: u8| Some(Relation::Apart { fork: (fork > 0).then(|| oid(fork)) });
        let table: &[(&str, u8, u8, Option<Relation>)] = &[
            ("", 1, 1, Some(Relation::Holds)),
            ("2:1", 1, 2, Some(Relation::Holds)),
            ("3:2 2:1", 1, 3, Some(Relation::Holds)),
            ("2:1", 2, 1, Some(Relation::IsHeld)),
            // Through a merge, while the other way is not known.
            ("4:93 3:1", 1, 4, Some(Relation::Holds)),
            ("1: 2:1 3:1", 2, 3, apart(1)),
            ("1: 2:", 1, 2, apart(0)),
            ("1: 2:1 3:2 4:2 5:4", 3, 5, apart(2)),
            // Each was merged into the other.
            ("1: 2:1 3:1 4:23 5:32", 4, 5, apart(0)),
            ("2:1 3:1", 2, 3, None),
            ("", 1, 2, None),
            ("1: 2:9", 1, 2, None),
        ];
        for (commits, first, second, relation) in table {
            assert_eq!(graph(commits).relation(&oid(*first), &oid(*second)), *relation, "{commits}: {first} {second}");
        }
    }

    #[test]
    fn no_deeper_than_the_floor() {
        let graph = graph("4:3 3:2 2:1");
        assert_eq!(graph.holds(&oid(4), &oid(9), Some(&oid(2))), Some(false));
        assert_eq!(graph.holds(&oid(4), &oid(9), None), None);
        assert_eq!(graph.holds(&oid(4), &oid(3), Some(&oid(2))), Some(true));
        assert_eq!(graph.holds(&oid(4), &oid(2), Some(&oid(2))), Some(true));
    }

    #[test]
    fn parents_in_the_text_of_a_commit() {
        let (one, two) = (oid(1), oid(2));
        let text = format!("tree {one}\nparent {one}\nparent {two}\nauthor x\n\nparent {one}\n");
        assert_eq!(parents_of(text.as_bytes()), [one, two]);
    }
}
