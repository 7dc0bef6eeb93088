//! Showing a pushed commit. The remote has it by then, and a test may have recorded more meanwhile: that stays.

use std::collections::HashMap;

use super::mine::Mine;
use super::{Push, Sent};
use crate::error::{AtPath, Error, Kind, Result};
use crate::manifest::Form;
use crate::ops::apply::{self, InTheWay, Transition};
use crate::ops::enter::head_for;
use crate::units::count;

impl Push<'_> {
    /// Makes the slice show the pushed commit: the index that was pushed becomes the real one, and what others had pushed
    /// is added. What was recorded since stays pending; where others changed the same file, it is stashed.
    pub(super) fn show(&self, mine: &Mine, sent: &Sent, to: &str) -> Result<()> {
        self.try_to_show(mine, sent, to).map_err(|error| match error.kind {
            Kind::Interrupted => error,
            _ => {
                // Hints about files that are in the way: here nothing has to be done about them first.
                let error = Error { hints: Vec::new(), ..error };
                error
                    .context(format!("`{}` was pushed to `{to}`, and cannot be shown here", sent.commit))
                    .hint(format!("nothing is lost: `assets push{}` again finishes it", self.manifest.argument))
            }
        })
    }

    fn try_to_show(&self, mine: &Mine, sent: &Sent, to: &str) -> Result<()> {
        let checkout = &self.checkout;
        let mut slices = checkout.slices()?;
        slices.insert(self.manifest.slice.clone(), sent.commit.clone());
        let head = checkout.head()?;
        let index = checkout.git_dir.join("index");
        std::fs::rename(&mine.index, &index).at("replace", &index)?;
        checkout.borrow_from_store()?;
        let tag = match self.manifest.form {
            Form::Tag { .. } => to.strip_prefix("refs/tags/").map(|tag| {
                let commit = sent.commit.to_string();
                (tag.to_string(), commit.clone(), commit)
            }),
            Form::Branch { .. } => None,
        };
        let alone = slices.len() == 1 || tag.is_some();
        if alone && !sent.rebased && head.as_ref() == Some(&self.base) {
            // The work tree already is what was pushed.
            return checkout.record(&sent.commit, &slices, tag.as_ref());
        }
        let to = if alone { sent.commit.clone() } else { head_for(checkout, None, &slices, None)? };
        let transition = Transition {
            operation: "push",
            from: mine.whole.clone(),
            to,
            slices,
            put_back: Vec::new(),
            stored: HashMap::new(),
            stashes: Vec::new(),
            kept: Vec::new(),
            tag,
        };
        let listings: Vec<_> = sent.listing.iter().map(|listing| (&self.manifest.slice, listing)).collect();
        let stashed = apply::change(checkout, transition, &listings, InTheWay::Stash)?;
        if !stashed.is_empty() {
            let what = format!(
                "stashed {} recorded during the push, which others had changed too",
                count(stashed.len(), "file")
            );
            checkout
                .repo
                .git
                .report()
                .note(&format!("{what}; `assets stash pop --ours{}` brings yours back", self.manifest.argument));
        }
        Ok(())
    }
}
