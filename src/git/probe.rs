//! Questions that change nothing anywhere, for `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::REMOTE;
use super::{Identity, Output, Repo};
use crate::error::Result;
use crate::names::RemoteUrl;

/// What a remote gets to answer: longer than a person who asks why nothing works would like to wait, but not much.
const PATIENCE: Duration = Duration::from_secs(30);
/// Git knows this tree without having it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// A ref that nobody has.
const NO_REF: &str = "refs/heads/assets-doctor-dry-run";

impl Repo {
    /// `git ls-remote` of `HEAD`, once.
    pub fn probe_fetch(&self, url: &RemoteUrl) -> Result<Output> {
        self.call(["ls-remote", "--"]).args([REMOTE, "HEAD"]).remote(url).limit(PATIENCE).run()
    }

    /// `git push --dry-run` of a new branch. The remote is asked for its refs as for a push, which it tells only to those
    /// who may push, and is sent nothing.
    pub fn probe_push(&self, url: &RemoteUrl) -> Result<Output> {
        self.call(["push", "--dry-run", "--porcelain", "--no-verify", "--no-follow-tags", "--"])
            .args([REMOTE, &format!("{EMPTY_TREE}:{NO_REF}")])
            .remote(url)
            .limit(PATIENCE)
            .run()
    }

    /// The user name that git's credential helpers have for a remote; none when they know none. Nobody is asked.
    pub fn credential_user(&self, url: &RemoteUrl) -> Result<Option<String>> {
        let output = self
            .call(["credential", "fill"])
            .stdin(format!("url={url}\n\n"))
            .config("credential.interactive", "false")
            // These would open a window.
            .env("GIT_ASKPASS", "")
            .run()?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let user = answer.lines().find_map(|line| line.strip_prefix("username="));
        Ok(user.filter(|_| output.succeeded()).map(str::to_string))
    }

    /// `git var` of the author of a commit made now: `Name <address>`.
    pub fn author(&self, identity: &Identity) -> Result<Output> {
        let mut call = self.call(["var", "GIT_AUTHOR_IDENT"]);
        for (variable, value) in [("GIT_AUTHOR_NAME", &identity.name), ("GIT_AUTHOR_EMAIL", &identity.email)] {
            if let Some(value) = value {
                call = call.env(variable, value);
            }
        }
        call.run()
    }

    /// `git verify-pack`: reads packs whole and compares each object with its id.
    pub fn verify_packs(&self, indexes: &[PathBuf]) -> Result<Output> {
        self.call(["verify-pack", "--"]).args(indexes).run()
    }

    /// `git check-ignore`: whether a file of this name would be ignored.
    pub fn is_ignored(&self, path: &str) -> Result<bool> {
        // It knows no pathspecs, literal or not.
        let call = self.call(["check-ignore", "-q", "--"]).args([format!("./{path}")]);
        let output = call.env("GIT_LITERAL_PATHSPECS", "0").run()?;
        match output.code {
            Some(1) => Ok(false),
            _ => output.checked().map(|_| true),
        }
    }
}
