//! One run of [`Store::ensure`](super::Store::ensure): look what is here, fetch what is not, a part at a time, and look at
//! each part while the next is on its way.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc;

use super::census::Census;
use super::filter;
use super::listing::{self, Missing};
use super::lock::{self, Lock};
use super::{Ready, Store, Want, lock_file, paths};
use crate::error::{Error, Kind, Result, shell_word};
use crate::git::failure::Failure;
use crate::git::objects::Objects;
use crate::git::{FetchRequest, Filter};
use crate::manifest::Pin;
use crate::names::{Oid, RefName};

/// The tips of the remote's branches that absent pins stand for, by the wanted pin.
pub type Tips = HashMap<Pin, Oid>;

/// Fewer wants than this are fetched in one part: a part costs some round trips.
const SMALLEST_PART: usize = 12;
/// How a large download is divided, in percent. The last part is small, because nothing is fetched while it is written.
const PARTS: &[usize] = &[30, 30, 25, 15];

/// Why a want is not ready yet.
enum Lacking {
    /// The commit, or a tree of it.
    Commit,
    /// The contents of some files.
    Files(Missing),
}

/// What the server was asked for of what is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// No files.
    Nothing,
    /// The files that were missing.
    Files,
    /// All files of the commit.
    Whole,
}

/// What is asked of the remote in one call.
struct Part {
    /// The wants it is for, each with its refspecs or ids.
    wants: Vec<(usize, Vec<String>)>,
    filter: Filter,
    shallow: bool,
}

/// What some wants, by their indexes, came to.
pub type Answers = Vec<(usize, Result<Ready>)>;

/// The wants of a call whose pins the remote does not have, and its own words about each.
type Refused = Vec<(usize, Error)>;

/// One run of [`Store::ensure`](super::Store::ensure).
pub struct Work<'a> {
    pub store: &'a Store,
    pub wants: &'a [Want],
    /// Objects of checkouts that another tool made: what is there need not be downloaded.
    pub also_objects: &'a [PathBuf],
    /// Which wants have not been told of.
    pub open: Vec<bool>,
    pub deliver: &'a mut dyn FnMut(Answers),
    pub census: Census,
    pub tips: Tips,
}

impl Work<'_> {
    pub fn run(&mut self) -> Result<()> {
        let store = self.store;
        let repo = store.with_objects_of(self.also_objects);
        let mut objects = None;
        if store.exists() {
            let open = self.still_open();
            self.look(objects.insert(repo.objects()?), open, Asked::Nothing)?;
        }
        if self.still_open().is_empty() {
            return Ok(());
        }
        if store.access.offline {
            let pins: Vec<String> =
                self.still_open().into_iter().map(|index| self.wants[index].pin.to_string()).collect();
            return Err(store.not_here_while_offline(&pins));
        }
        store.make_stores_folder()?;
        let _lock = Lock::take(&lock_file(&store.dir), &store.access.patience, store.repo.git.report())?;
        let is_new = store.create()?;
        lock::remove_stale_git_locks(&store.dir)?;
        lock::remove_unfinished_packs(&store.dir);
        self.find_tips()?;
        let mut objects = match objects {
            Some(objects) => objects,
            None => repo.objects()?,
        };
        let open = self.still_open();
        // Looks again: whoever had the lock may have fetched it for us.
        let lacking = match is_new {
            true => open.into_iter().map(|index| (index, Lacking::Commit)).collect(),
            false => self.look(&mut objects, open, Asked::Nothing)?,
        };
        let lacking = self.fetch_commits(&mut objects, lacking)?;
        self.fetch_files(&mut objects, lacking)?;
        store.repo.git.report().phase("");
        for index in self.still_open() {
            let error = Error::failed(format!("`{}` did not send all of {}", store.name, self.wants[index].pin));
            self.tell(vec![(index, Err(error))]);
        }
        Ok(())
    }

    fn still_open(&self) -> Vec<usize> {
        (0..self.wants.len()).filter(|&index| self.open[index]).collect()
    }

    fn tell(&mut self, answers: Answers) {
        answers.iter().for_each(|(index, _)| self.open[*index] = false);
        if !answers.is_empty() {
            (self.deliver)(answers);
        }
    }

    /// Looks which of some wants are ready, and tells of these together: what arrives together is shown together.
    /// Returns what the others lack.
    fn look(&mut self, objects: &mut Objects, wants: Vec<usize>, mut asked: Asked) -> Result<Vec<(usize, Lacking)>> {
        let (mut lacking, mut answers) = (Vec::new(), Answers::new());
        for index in wants {
            match self.look_at(objects, &self.wants[index]) {
                Ok(Ok(ready)) => {
                    if asked == Asked::Whole {
                        // One of them tells whether that was worth it.
                        filter::remember(&self.store.dir, objects, &ready)?;
                        asked = Asked::Files;
                    }
                    answers.push((index, Ok(ready)));
                }
                Ok(Err(Lacking::Files(missing))) if asked != Asked::Nothing => {
                    let error = paths::too_large(&missing.path, &self.store.access.limits);
                    answers.push((index, Err(error.cause("the server was asked to leave out such files, and did"))));
                }
                Ok(Err(lacks)) => lacking.push((index, lacks)),
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(error)
                    if error.message.contains("gave no usable answer")
                        || error.message.contains("ended unexpectedly") =>
                {
                    return Err(error);
                }
                Err(error) => answers.push((index, Err(error))),
            }
        }
        self.tell(answers);
        Ok(lacking)
    }

    fn look_at(&mut self, objects: &mut Objects, want: &Want) -> Result<std::result::Result<Ready, Lacking>> {
        let name = match &want.pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => tag.tag_ref(),
            Pin::Tip { .. } => match self.tips.get(&want.pin) {
                Some(oid) => oid.to_string(),
                None => return Ok(Err(Lacking::Commit)),
            },
        };
        let Some((commit, details)) = objects.commit(&name)? else { return Ok(Err(Lacking::Commit)) };
        let tag = match &want.pin {
            Pin::Tag(tag) => objects.info(&tag.tag_ref())?.map(|info| info.oid),
            _ => None,
        };
        let limits = &self.store.access.limits;
        self.census.check_commit(objects, &details.tree, limits)?;
        let listing = listing::list(objects, &mut self.census, &details.tree, &want.slice, limits)?;
        let Some(mut listing) = listing else { return Ok(Err(Lacking::Commit)) };
        paths::check_listing(&listing, limits)?;
        let missing = listing::missing_files(objects, &mut listing)?;
        paths::check_sizes(&listing, limits)?;
        if let Some(missing) = missing {
            return Ok(Err(Lacking::Files(missing)));
        }
        Ok(Ok(Ready { commit, tag, listing }))
    }

    /// Finds out which commits the absent pins stand for; one request for all of them.
    fn find_tips(&mut self) -> Result<()> {
        let open: Vec<usize> =
            self.still_open().into_iter().filter(|&index| matches!(self.wants[index].pin, Pin::Tip { .. })).collect();
        if open.is_empty() {
            return Ok(());
        }
        let wants = self.wants;
        let mut names: Vec<String> =
            open.iter().flat_map(|&index| wants[index].pin.branches()).map(RefName::branch_ref).collect();
        names.sort();
        names.dedup();
        let refs = self.store.remote_refs(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        for index in open {
            let pin = &wants[index].pin;
            let branch = pin.branches().find_map(|branch| refs.get(&branch.branch_ref()));
            let default = matches!(pin, Pin::Tip { default: true, .. });
            match branch.or_else(|| refs.get("HEAD").filter(|_| default)) {
                Some(tip) => drop(self.tips.insert(pin.clone(), tip.clone())),
                None => self.tell(vec![(index, Err(self.no_branch(&wants[index])))]),
            }
        }
        Ok(())
    }

    /// Fetches the commits that are lacking, with their trees; with all their files where that is what is wanted of them.
    /// Returns what is lacking then.
    fn fetch_commits(
        &mut self,
        objects: &mut Objects,
        lacking: Vec<(usize, Lacking)>,
    ) -> Result<Vec<(usize, Lacking)>> {
        let (commits, mut lacking): (Vec<_>, Vec<_>) =
            lacking.into_iter().partition(|(_, lacks)| matches!(lacks, Lacking::Commit));
        let limits = &self.store.access.limits;
        let large = filter::large(limits);
        let (whole, without_blobs): (Vec<_>, Vec<_>) = commits
            .into_iter()
            .map(|(index, _)| (index, vec![self.refspec(&self.wants[index].pin)]))
            .partition(|(index, _)| filter::for_pin(&self.store.dir, &self.wants[*index].pin, limits) == large);
        let mut parts = divide(whole, large, true);
        if !without_blobs.is_empty() {
            // Small, whatever their number; the files come in parts.
            parts.insert(0, Part { wants: without_blobs, filter: Filter::NoBlobs, shallow: true });
        }
        if !parts.is_empty() {
            self.store.repo.git.report().phase(&format!("fetching from `{}`", self.store.name));
            lacking.extend(self.fetch_parts(objects, parts)?);
        }
        Ok(lacking)
    }

    fn fetch_files(&mut self, objects: &mut Objects, lacking: Vec<(usize, Lacking)>) -> Result<()> {
        let mut wants: Vec<(usize, Vec<String>)> = Vec::new();
        let mut files = 0;
        for (index, lacks) in lacking {
            if let Lacking::Files(missing) = lacks {
                files += missing.count;
                wants.push((index, missing.ask.iter().map(Oid::to_string).collect()));
            }
        }
        if files > 0 {
            self.store.repo.git.report().phase(&format!("fetching {files} files from `{}`", self.store.name));
            let large = filter::large(&self.store.access.limits);
            self.fetch_parts(objects, divide(wants, large, false))?;
        }
        Ok(())
    }

    /// Fetches parts one after the other, and looks at each while the next is on its way. Returns what is lacking then.
    fn fetch_parts(&mut self, objects: &mut Objects, parts: Vec<Part>) -> Result<Vec<(usize, Lacking)>> {
        let store = self.store;
        let (sender, fetched) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for part in parts {
                    let missing = store.fetch_part(&part);
                    let failed = missing.is_err();
                    if sender.send((part, missing)).is_err() || failed {
                        break;
                    }
                }
            });
            let mut lacking = Vec::new();
            for (part, missing) in fetched {
                for (index, error) in missing? {
                    self.tell(vec![(index, Err(self.no_pin(&self.wants[index], &error)))]);
                }
                let asked = match (part.filter, part.shallow) {
                    (Filter::NoBlobs, _) => Asked::Nothing,
                    (Filter::Large(_), true) => Asked::Whole,
                    (Filter::Large(_), false) => Asked::Files,
                };
                let open = part.wants.iter().map(|(index, _)| *index).filter(|index| self.open[*index]).collect();
                lacking.extend(self.look(objects, open, asked)?);
            }
            Ok(lacking)
        })
    }

    fn refspec(&self, pin: &Pin) -> String {
        match pin {
            Pin::Commit(oid) => oid.to_string(),
            Pin::Tag(tag) => format!("+{0}:{0}", tag.tag_ref()),
            Pin::Tip { .. } => self.tips.get(pin).map(Oid::to_string).unwrap_or_default(),
        }
    }

    fn no_pin(&self, want: &Want, cause: &Error) -> Error {
        let mut error = Error::failed(format!("{} is not in assets repo `{}`", want.pin, self.store.name));
        error.hints.extend(Some(want.advice.clone()).filter(|advice| !advice.is_empty()));
        error.causes = cause.causes.clone();
        match want.pin {
            Pin::Tag(_) => error,
            _ => error
                .hint("if the branch was rewritten or deleted, ask whoever pushed the recordings to push them again"),
        }
    }

    fn no_branch(&self, want: &Want) -> Error {
        let names: Vec<String> = want.pin.branches().map(|branch| format!("`{branch}`")).collect();
        Error::failed(format!("assets repo `{}` has no branch {}", self.store.name, names.join(" and no branch ")))
            .cause("the `assets.json` has no pin, which means the tip of that branch")
            .hint(want.advice.clone())
            .hint(format!("the branches there: `git ls-remote --heads {}`", shell_word(self.store.url.as_str())))
    }
}

impl Store {
    /// Fetches a part. Git stops at the first ref or commit that is not there and names it: the others are asked for
    /// again.
    fn fetch_part(&self, part: &Part) -> Result<Refused> {
        let mut wants: Vec<&(usize, Vec<String>)> = part.wants.iter().collect();
        let mut missing = Refused::new();
        while !wants.is_empty() {
            let mut refspecs: Vec<String> = wants.iter().flat_map(|(_, refspecs)| refspecs).cloned().collect();
            refspecs.sort();
            refspecs.dedup();
            let request = FetchRequest { wants: refspecs, filter: part.filter, shallow: part.shallow };
            let output = self.repo.fetch(&self.url, &request)?;
            if output.succeeded() {
                break;
            }
            let is_named = |refspecs: &[String]| {
                let names = refspecs.iter().flat_map(|refspec| refspec.trim_start_matches('+').split(':'));
                names.into_iter().any(|name| output.stderr.contains(name))
            };
            let (named, others): (Vec<_>, Vec<_>) = wants.into_iter().partition(|(_, refspecs)| is_named(refspecs));
            if output.failure() != Failure::MissingRef || named.is_empty() || !part.shallow {
                return Err(self.remote_error(output, "fetch from"));
            }
            let error = output.into_error();
            missing.extend(named.into_iter().map(|(index, _)| (*index, error.clone())));
            wants = others;
        }
        Ok(missing)
    }
}

/// Divides a download into parts that can be worked with while the next ones come.
fn divide(mut wants: Vec<(usize, Vec<String>)>, filter: Filter, shallow: bool) -> Vec<Part> {
    let all = wants.len();
    let mut parts = Vec::new();
    for percent in PARTS {
        let size = (all * percent / 100).max(SMALLEST_PART);
        let rest = wants.split_off(size.min(wants.len()));
        // What is left is not worth round trips of its own.
        let (part, left) = if rest.len() < SMALLEST_PART {
            (wants.into_iter().chain(rest).collect(), Vec::new())
        } else {
            (wants, rest)
        };
        wants = left;
        parts.push(Part { wants: part, filter, shallow });
        if wants.is_empty() {
            break;
        }
    }
    if let Some(last) = parts.last_mut() {
        last.wants.extend(wants);
    }
    parts.retain(|part| !part.wants.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_want_is_in_one_part_and_small_downloads_are_not_divided() {
        for count in 0..500 {
            let wants = (0..count).map(|index| (index, vec![index.to_string()])).collect();
            let parts = divide(wants, Filter::NoBlobs, true);
            let indexes: Vec<usize> = parts.iter().flat_map(|part| &part.wants).map(|(index, _)| *index).collect();
            assert_eq!(indexes, (0..count).collect::<Vec<_>>());
            assert!(
                parts
                    .iter()
                    .all(|part| !part.wants.is_empty() && (parts.len() == 1 || part.wants.len() >= SMALLEST_PART))
            );
            assert!(parts.len() <= PARTS.len());
            assert!(count >= 2 * SMALLEST_PART || parts.len() <= 1);
        }
    }
}
