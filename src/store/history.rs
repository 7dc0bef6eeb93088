//! Servers that give no object by its id: those of the first versions of git's protocol, which only know branches and tags.
//! A commit is looked for in their history, and files come with the whole commit. On all others this costs nothing.

use super::lane::Refused;
use super::parts::Part;
use super::work::{Asked, Lacking, Work};
use super::{filter, lane};
use crate::error::{Error, Result};
use crate::git::failure::Failure;
use crate::git::objects::Objects;
use crate::git::{Filter, WHOLE_HISTORY};
use crate::manifest::Pin;
use crate::names::{Oid, RefName};

/// How many commits of a branch are looked through before all of them are.
const RECENT: u32 = 50;

impl Work<'_> {
    /// Finds another way to what the server refused to send by its id; tells of what there is none to.
    pub(super) fn fetch_otherwise(&mut self, objects: &mut Objects) -> Result<()> {
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|(index, _)| self.open[*index]);
        if refused.is_empty() || !self.is_worth_another_try(&mut refused)? {
            return Ok(());
        }
        let mut open: Vec<usize> = refused.iter().map(|(index, _)| *index).collect();
        self.store.repo.git.report().phase(&format!("looking through the branches of `{}`", self.store.name));
        let refs = self.store.remote_refs(&["refs/heads/*", "refs/tags/*"])?;
        self.fetch_whole(objects, &open, |oid| refs.values().any(|tip| tip == oid))?;
        let is_name = |name: &&String| {
            let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
            name.is_some_and(|name| RefName::parse(name).is_ok())
        };
        let mut all: Vec<String> = refs.keys().filter(is_name).cloned().collect();
        all.sort();
        let likely = self.store.branches.iter().filter(|name| all.contains(name)).cloned();
        let likely: Vec<String> = likely.chain(refs.contains_key("HEAD").then(|| "HEAD".to_string())).collect();
        for (names, depth) in [(&likely, RECENT), (&all, RECENT), (&all, WHOLE_HISTORY)] {
            open.retain(|index| self.open[*index]);
            if open.is_empty() || names.is_empty() {
                continue;
            }
            self.store.fetch_history(names.clone(), depth, Filter::NoBlobs)?;
            let lacking = self.look(objects, open.clone(), Asked::Commits)?;
            let without_files = lacking.iter().filter(|(_, lacks)| matches!(lacks, Lacking::Files(_)));
            let without_files: Vec<usize> = without_files.map(|(index, _)| *index).collect();
            if !without_files.is_empty() {
                // The server can leave files out, and cannot be asked for them.
                self.store.fetch_history(names.clone(), depth, filter::large(&self.store.access.limits))?;
                self.look(objects, without_files, Asked::Files)?;
            }
        }
        for index in open.into_iter().filter(|index| self.open[*index]).collect::<Vec<_>>() {
            let cause = format!(
                "the server sends no commit by its id, and none of its {} branches and tags leads to it",
                all.len()
            );
            let error = self.no_pin(&self.wants[index], Error::failed("").cause(cause));
            self.tell(vec![(index, Err(error))]);
        }
        Ok(())
    }

    /// Whether the refused objects may be there all the same. A server that speaks version 2 sends whatever it has; what it
    /// does not know it does not have, and that is told.
    fn is_worth_another_try(&mut self, refused: &mut Refused) -> Result<bool> {
        if refused.iter().any(|(_, refusal)| refusal.failure == Failure::NotById) {
            return Ok(true);
        }
        if !self.store.repo.speaks_version_two(&self.store.url)? {
            return Ok(true);
        }
        for (index, refusal) in refused.drain(..) {
            let error = match refusal.of_files {
                true => refusal.error,
                false => self.no_pin(&self.wants[index], refusal.error),
            };
            self.tell(vec![(index, Err(error))]);
        }
        Ok(false)
    }

    /// Fetches commits with all their files where a ref leads straight to them.
    fn fetch_whole(&mut self, objects: &mut Objects, open: &[usize], is_tip: impl Fn(&Oid) -> bool) -> Result<()> {
        let wants = self.wants;
        let can_be_asked_for = |index: &usize| match &wants[*index].pin {
            Pin::Commit(oid) => is_tip(oid),
            Pin::Tag(_) | Pin::Tip { .. } => true,
        };
        let open: Vec<usize> = open.iter().copied().filter(can_be_asked_for).collect();
        if open.is_empty() {
            return Ok(());
        }
        let refspecs = open.iter().map(|&index| (index, vec![self.refspec(&wants[index].pin)])).collect();
        let part = Part { wants: refspecs, filter: filter::large(&self.store.access.limits), shallow: true };
        self.store.fetch_part(&part, 0, &lane::Merging::default())?;
        self.look(objects, open, Asked::Files).map(drop)
    }
}
