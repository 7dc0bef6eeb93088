//! `git fetch` of objects, from servers that can do more and less.

use super::environment::REMOTE;
use super::{Output, Repo, failure};
use crate::error::Result;
use crate::names::RemoteUrl;

/// What the server leaves out, if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// File contents.
    NoBlobs,
    /// Files of this many bytes or more, unless they are asked for by their ids. With a filter git takes the pack as one
    /// that refers to objects elsewhere, and does not start `rev-list` to walk it.
    Large(u64),
}

/// What to fetch in one call.
pub struct FetchRequest {
    /// Refspecs or object ids.
    pub wants: Vec<String>,
    pub filter: Filter,
    /// How many commits of their history arrive with commits; none when `wants` are files, or trees whose files are wanted.
    pub depth: Option<u32>,
}

/// So many commits that git takes it for all of them.
pub const WHOLE_HISTORY: u32 = i32::MAX as u32;

impl Repo {
    /// `git fetch` of exactly what is asked for, into the object database; no refs but those in the refspecs.
    pub fn fetch(&self, url: &RemoteUrl, request: &FetchRequest) -> Result<Output> {
        let filter = match request.filter {
            Filter::NoBlobs => "blob:none".to_string(),
            Filter::Large(bytes) => format!("blob:limit={bytes}"),
        };
        let call = self
            .call(["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
            // Without `--refetch` git asks for nothing below a tree that is here.
            .args([request.depth.map_or("--refetch".to_string(), |depth| format!("--depth={depth}"))])
            .args([format!("--filter={filter}")])
            // Said here and not in the store's file: for everything else a missing object must simply be missing.
            .config(&format!("remote.{REMOTE}.promisor"), "true")
            .config(&format!("remote.{REMOTE}.partialclonefilter"), &filter)
            .remote(url);
        let call = call.args(["--stdin", REMOTE]).stdin(request.wants.join("\n") + "\n");
        // Where git may not ask for a file by its id, it asks for nothing, and complains of the answer.
        let is_unclear = |output: &Output| request.depth.is_none() && output.stderr.contains("bad pack header");
        let mut output = call.run_with_retries_unless(is_unclear)?;
        if !output.succeeded() && is_unclear(&output) {
            if self.speaks_version_two(url)? {
                return call.run_with_retries();
            }
            output.stderr.push_str(failure::NOT_BY_ID);
        }
        Ok(output)
    }

    /// Whether a server speaks version 2 of git's protocol, in which any object may be asked for by its id. Git tells it only
    /// in a trace of what both say; secrets are not in that.
    pub fn speaks_version_two(&self, url: &RemoteUrl) -> Result<bool> {
        let call = self.call(["ls-remote", "--", REMOTE, "HEAD"]).remote(url).env("GIT_TRACE_PACKET", "1");
        Ok(call.run_with_retries()?.stderr.contains("< version 2"))
    }
}
