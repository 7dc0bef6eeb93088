//! History: commits without their trees, fetched to find out which came after which.

use super::environment::REMOTE;
use super::{Output, Repo, oids};
use crate::error::Result;
use crate::names::{Oid, RemoteUrl};

/// A commit and the parents it names.
pub type Parents = (Oid, Vec<Oid>);

/// What the server leaves out of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryFilter {
    /// Everything but the commits.
    Trees,
    /// File contents, for a server that knows no other filter.
    Blobs,
}

impl Repo {
    /// `git fetch` of some commits with their history, into a repository that has nothing yet: all of it, or (cheaper by
    /// far) the commits since a time in seconds. Never again after a failure that will not pass.
    pub fn fetch_history(
        &self,
        url: &RemoteUrl,
        commits: &[&Oid],
        filter: HistoryFilter,
        since: Option<i64>,
    ) -> Result<Output> {
        let filter = match filter {
            HistoryFilter::Trees => "tree:0",
            HistoryFilter::Blobs => "blob:none",
        };
        let wants: Vec<&str> = commits.iter().map(|commit| commit.as_str()).collect();
        self.call(["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
            // Not the bare number: git takes a small one for a day or a year.
            .args(since.map(|time| format!("--shallow-since=@{time} +0000")))
            .args([format!("--filter={filter}")])
            .config(&format!("remote.{REMOTE}.promisor"), "true")
            .config(&format!("remote.{REMOTE}.partialclonefilter"), filter)
            .remote(url)
            .args(["--stdin", REMOTE])
            .stdin(wants.join("\n") + "\n")
            .run_with_retries()
    }

    /// `git rev-list --parents`: every commit that some commits hold, as far as the history is here. One at which it was
    /// cut off has no parents in this list; the file `shallow` names those.
    pub fn rev_list_parents(&self, commits: &[&Oid]) -> Result<Vec<Parents>> {
        let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
        let bytes = self.call(["rev-list", "--parents", "--stdin"]).stdin(input).run()?.checked()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut listed = Vec::new();
        for line in text.lines() {
            let mut ids = oids(line.replace(' ', "\n").as_bytes())?.into_iter();
            listed.extend(ids.next().map(|commit| (commit, ids.collect())));
        }
        Ok(listed)
    }
}
