//! What a refusal of the remote means, by its words and by what it has.

use super::Push;
use crate::error::{Error, Kind, Result};
use crate::git::Output;
use crate::manifest::Form;
use crate::names::Oid;

/// Words of servers for "you may not push to this ref", in lower case.
const PERMISSION: &[&str] = &[
    // GitHub and Gitea, for branches; GitHub for tags.
    "protected branch",
    "protected ref",
    "protected tag",
    "gh006:",
    "cannot update this protected",
    // GitLab.
    "you are not allowed to push",
    "you are not allowed to force push",
    "you are not allowed to create",
    // Azure DevOps.
    "tf401027:",
    "tf402455:",
    // Bitbucket and Gerrit.
    "branch permission",
    "prohibited by gerrit",
    "insufficient permission",
    "does not have permission",
    "you don't have permission",
];

/// Words of git for a pin whose history the server does not have, in lower case.
const NO_PIN: &[&str] = &[
    "shallow update not allowed",
    "missing necessary objects",
    "did not receive expected object",
    // Our own git could not leave the pin out of what it sends, because the server did not say that it has it.
    "failed to traverse parents",
    "could not read",
    "unable to read",
    "bad object",
];

/// Whether the remote refused because of who pushes, and not because of what is pushed.
pub(super) fn is_permission(words: &str) -> bool {
    has_any(words, PERMISSION)
}

/// Whether the remote lacks the commit that the pushed one is on.
pub(super) fn lacks_pin(output: &Output) -> bool {
    has_any(&output.stderr, NO_PIN)
}

fn has_any(words: &str, known: &[&str]) -> bool {
    let words = words.to_lowercase();
    known.iter().any(|known| words.contains(known))
}

impl Push<'_> {
    /// The remote took nothing, and says why.
    pub(super) fn refused(&self, output: Output, to: &str) -> Error {
        let kind = if is_permission(&output.stderr) { Kind::Auth } else { Kind::Failed };
        let mut error = output
            .into_error()
            .context(format!("assets repo `{}` refused the push to `{to}`", self.checkout.store.name()));
        error.kind = kind;
        let error = error.hint("nothing was changed here; see the server's message above");
        match (kind, &self.manifest.form) {
            (Kind::Auth, Form::Branch { .. }) => {
                error.hint("ask for the right to push there, or name another branch in `AssetsRepoBranch`")
            }
            (Kind::Auth, Form::Tag { .. }) => error.hint("ask for the right to push there"),
            _ => error,
        }
    }

    /// As [`Push::refused`] for a tag: perhaps the pin that it was made on is gone.
    pub(super) fn refused_tag(&self, output: Output, to: &str) -> Result<Error> {
        let Form::Tag { tag: Some(tag), .. } = &self.manifest.form else { return Ok(self.refused(output, to)) };
        if !lacks_pin(&output) {
            return Ok(self.refused(output, to));
        }
        let name = tag.tag_ref();
        // Of an annotated tag only git tells where it leads.
        let peeled = format!("{name}^{{}}");
        let Ok(refs) = self.checkout.store.remote_refs(&[&name, &peeled]) else { return Ok(self.refused(output, to)) };
        let now = refs.get(&peeled).or_else(|| refs.get(&name));
        let repo = self.checkout.store.name();
        let what = match now {
            None => format!("tag `{tag}` is not in assets repo `{repo}` any more"),
            Some(now) if *now == self.base => return Ok(self.refused(output, to)),
            Some(now) => format!("tag `{tag}` of assets repo `{repo}` leads to another commit now, `{}`", now.short()),
        };
        Ok(self.pin_is_gone(output, what, &self.base))
    }

    fn pin_is_gone(&self, output: Output, what: String, pin: &Oid) -> Error {
        let path = &self.manifest.argument;
        let mut error = Error::needs_person(format!("{what}, and the pending changes were made on it"));
        error.causes = output.into_error().causes;
        error
            .hint(format!(
                "nothing was changed here: the recordings of `{}` and the pending changes are still in the checkout",
                pin.short()
            ))
            .hint("ask for that tag to be pushed again from a clone that has its history, then push again")
            .hint(format!(
                "or go on from another tag: set `Tag` in `{}`, `assets restore --stash{path}`, `assets stash pop{path}`, push again",
                self.manifest.path
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_and_not_what() {
        let table = [
            ("remote: error: GH006: Protected branch update failed for refs/heads/main.", true),
            ("! [remote rejected] a -> main (protected branch hook declined)", true),
            ("remote: GitLab: You are not allowed to push code to protected branches on this project.", true),
            ("remote: TF402455: Pushes to this branch are not permitted; you must use a pull request", true),
            ("! [remote rejected] a -> main (prohibited by Gerrit: not permitted: update)", true),
            ("remote: no recordings on Friday\n! [remote rejected] a -> b (pre-receive hook declined)", false),
            ("remote: error: GH013: Repository rule violations found: push cannot contain secrets", false),
            ("! [remote rejected] a -> b (shallow update not allowed)", false),
            ("", false),
        ];
        for (words, is) in table {
            assert_eq!(is_permission(words), is, "{words}");
        }
    }
}
