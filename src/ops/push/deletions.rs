//! A slice does not lose most of its recordings by accident: a deleted folder looks like as many deleted files.

use super::Push;
use crate::error::Result;
use crate::git::parse::{Change, ChangeKind};
use crate::ops::plan::{Refusal, is_mass_deletion};
use crate::store::composite::slices_inside;
use crate::store::listing;

impl Push<'_> {
    /// Refuses to delete most of a slice's recordings when nobody has said that they are to go.
    pub(super) fn check_deletions(&self, files: &[Change]) -> Result<Option<Refusal>> {
        let deleted: Vec<String> = files
            .iter()
            .filter(|change| change.kind == ChangeKind::Deleted)
            .map(|change| change.path.clone())
            .collect();
        // As if there were no others: only then they have to be counted.
        if self.request.allow_deletions || !is_mass_deletion(deleted.len(), deleted.len()) {
            return Ok(None);
        }
        let all = self.recordings()?.max(deleted.len());
        let others = files.len() - deleted.len();
        Ok(is_mass_deletion(deleted.len(), all).then_some(Refusal::MassDeletion { deleted, all, others }))
    }

    /// How many recordings the slice has at its pin, without those of slices that lie inside it.
    fn recordings(&self) -> Result<usize> {
        let mut objects = self.checkout.objects()?;
        let Some((_, base)) = objects.commit(self.base.as_str())? else { return Ok(0) };
        let limits = &self.context.environment.limits;
        let listing = listing::list(&mut objects, &base.tree, &self.manifest.slice, limits)?.unwrap_or_default();
        let slices = self.checkout.slices()?;
        let inner: Vec<_> = slices_inside(&slices, &self.manifest.slice).collect();
        Ok(listing.files.iter().filter(|file| !inner.iter().any(|inner| inner.holds(&file.path))).count())
    }
}
