//! An assets repo: whether it answers, who we are to it, and what we may do.

use std::time::Duration;

use super::{Context, Finding, Round};
use crate::error::{Result, shell_word};
use crate::git::token::{self, TokenUse};
use crate::names::one_line;
use crate::store::Store;
use crate::store::probe::{Nowhere, PushRight};

/// An answer that takes longer makes every restore slow.
const SLOW: Duration = Duration::from_secs(3);

/// Asks the remote, unless that is not allowed. A remote that does not answer is not asked for more.
pub fn look(context: &Context, round: &mut Round, store: &Store) -> Result<()> {
    if context.offline {
        return Ok(());
    }
    let nowhere = match Nowhere::make(context.git()?) {
        Ok(nowhere) => nowhere,
        Err(error) => return round.look("remote", Err(error)).map(drop),
    };
    context.git()?.report().phase(&format!("asking `{}`", store.name()));
    let reached = round.look("remote", answers(store, &nowhere))?;
    round.look("account", account(context, store, &nowhere))?;
    if reached {
        round.look("push", may_push(store, &nowhere))?;
    }
    context.git()?.report().phase("");
    Ok(())
}

/// It can be read, in good time.
fn answers(store: &Store, nowhere: &Nowhere) -> Result<Finding> {
    let took = store.probe_fetch(nowhere)?;
    let text = format!("`{}` answers in {:.2} s", store.name(), took.as_secs_f32());
    if took < SLOW {
        return Finding::fine(text);
    }
    let url = shell_word(store.url().as_str());
    Finding::warning(
        format!("{text}, and a restore asks it several times"),
        format!(
            "see whether it is the network: `time git ls-remote {url} HEAD`; a proxy is named by git's `http.proxy`"
        ),
    )
}

/// Who we are to it.
fn account(context: &Context, store: &Store, nowhere: &Nowhere) -> Result<Finding> {
    let url = store.url();
    if url.is_local() {
        return Finding::fine("a folder of this machine: the rights on its files count");
    }
    let Some((_, host)) = url.http_host() else {
        return Finding::fine(match url.is_ssh() {
            true => "ssh, with the keys of your agent and `~/.ssh`",
            false => "nobody: `git://` knows no users",
        });
    };
    let variable = format!("ASSETS_TOKEN_HOST={}", shell_word(&token::host_to_name(url).unwrap_or_default()));
    match context.git()?.token_use(url) {
        TokenUse::Sent => return Finding::fine(format!("whoever `GIT_TOKEN` belongs to, at `{host}`")),
        TokenUse::OtherHost => {
            return Finding::warning(
                format!("`GIT_TOKEN` is for another host than `{host}`, and is not sent there"),
                format!("if it is meant for it: `{variable}`"),
            );
        }
        TokenUse::NotEncrypted => {
            return Finding::warning(
                format!("`GIT_TOKEN` is not sent to `{host}`: the connection is not encrypted"),
                format!(
                    "write `https://` in `AssetsRepo`; or, where everybody on the way may read the token: `{variable}`"
                ),
            );
        }
        TokenUse::NoToken => {}
    }
    match nowhere.repo.credential_user(url)? {
        Some(user) => Finding::fine(format!("`{}` at `{host}`, says git's credential helper", one_line(&user))),
        None => Finding::fine(format!("nobody: there is no `GIT_TOKEN`, and git has no credentials for `{host}`")),
    }
}

/// We may push to it.
fn may_push(store: &Store, nowhere: &Nowhere) -> Result<Finding> {
    Ok(match store.probe_push(nowhere)? {
        PushRight::Granted => Finding::Fine(format!("`{}` would take pushes", store.name())),
        PushRight::Denied(error) => {
            let said = error.causes.iter().flat_map(|cause| cause.lines()).last().unwrap_or_default();
            Finding::Warning {
                text: format!("you can restore from `{}`, but not push to it: {}", store.name(), one_line(said)),
                hints: error.hints,
            }
        }
    })
}
