//! What every git call has in common: the environment, where the repository is, and which configuration is forced.

use std::process::{Command, Stdio};

use base64::Engine;

use super::alternates;
use super::call::Call;
use super::token::{TokenUse, is_loopback};
use crate::names::path_of_bytes;

/// Protocols git may use for a call that talks to a remote; `ext` and other helpers run commands.
const PROTOCOLS: &[&str] = &["file", "git", "http", "https", "ssh"];

/// Configuration forced on every call, whatever the user's or the repository's files say.
const CONFIG: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    // Else symlinks of the assets repo would be written, and their absence shown as a change.
    ("core.symlinks", "false"),
    ("core.protectNTFS", "true"),
    ("core.protectHFS", "true"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.longpaths", "true"),
    ("core.quotePath", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("index.sparse", "false"),
    ("status.renames", "false"),
    ("status.showUntrackedFiles", "all"),
    ("diff.renames", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.fsckObjects", "true"),
    ("transfer.fsckObjects", "true"),
    ("transfer.bundleURI", "false"),
    // Keep the pack that came instead of writing one file per object; ask for what is wanted without naming what is here.
    ("fetch.unpackLimit", "1"),
    ("fetch.negotiationAlgorithm", "noop"),
    ("fetch.writeCommitGraph", "false"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    // As many as there are cores; git starts them for a hundred files and more.
    ("checkout.workers", "0"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("safe.bareRepository", "explicit"),
    // An identity guessed from the host name would be pushed for ever.
    ("user.useConfigOnly", "true"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "20"),
];

/// What the remote of a call is called; its URL is given with the call and stands in no file.
pub const REMOTE: &str = "assets";

impl Call<'_> {
    /// The command, ready to be started.
    pub(super) fn command(&self) -> Command {
        let mut command = self.git.command();
        command.args(&self.args);
        let place = self.place;
        command.env("GIT_DIR", &place.git_dir);
        if let Some(work_tree) = &place.work_tree {
            command.env("GIT_WORK_TREE", work_tree);
        }
        if !place.also_objects.is_empty() {
            let entries = place.also_objects.iter().map(|path| alternates::entry(path, alternates::IN_VARIABLE));
            let list = path_of_bytes(entries.collect::<Vec<_>>().join(&alternates::IN_VARIABLE));
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", list);
        }
        if let Some(objects) = &place.write_objects {
            command.env("GIT_OBJECT_DIRECTORY", objects);
        }
        let dir = place.work_tree.as_deref().unwrap_or(&place.git_dir);
        command.current_dir(dir);
        // Only for programs that git starts without `GIT_DIR`. A path with a separator in it cannot be in the list.
        if let Ok(ceiling) = std::env::join_paths([dir.parent().unwrap_or(dir)]) {
            command.env("GIT_CEILING_DIRECTORIES", ceiling);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("GIT_EDITOR", "false")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            // The same for gits that do not know the variable above: a lazy fetch finds no protocol to use.
            .env("GIT_ALLOW_PROTOCOL", self.protocols())
            .env("LC_MESSAGES", "C");
        let config = self.forced_config();
        let first = self.git.environment.config_count;
        for (index, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{}", first + index), key);
            command.env(format!("GIT_CONFIG_VALUE_{}", first + index), value);
        }
        command.env("GIT_CONFIG_COUNT", (first + config.len()).to_string());
        if self.remote.is_some_and(|url| url.is_ssh() && !self.git.has_own_ssh()) {
            // Nobody could answer a question: the process has no terminal of its own.
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command.stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }

    fn protocols(&self) -> String {
        if self.remote.is_none() {
            return "none".into();
        }
        let theirs: Option<Vec<&str>> =
            self.git.environment.allow_protocol.as_deref().map(|list| list.split(':').collect());
        let allowed = |protocol: &&&str| theirs.as_ref().is_none_or(|theirs| theirs.contains(*protocol));
        PROTOCOLS.iter().filter(allowed).copied().collect::<Vec<_>>().join(":")
    }

    fn forced_config(&self) -> Vec<(String, String)> {
        let mut config: Vec<(String, String)> = CONFIG.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        // Below a file there can be no hooks, whoever writes into the checkout.
        config.push(("core.hooksPath".into(), self.git.program().join("no-hooks").to_string_lossy().into_owned()));
        config.extend(self.config.iter().cloned());
        let Some(url) = self.remote else { return config };
        // Not `origin`: a checkout has one of its own, and git would push to both addresses.
        config.push((format!("remote.{REMOTE}.url"), url.to_string()));
        if let (Some((token, _)), TokenUse::Sent, Some((scheme, host))) =
            (&self.git.token, self.git.token_use(url), url.http_host())
        {
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{}", token.expose()));
            let key = format!("http.{scheme}://{host}/.extraHeader");
            // An empty value drops headers that were inherited, such as those a CI checkout step leaves behind.
            config.push((key.clone(), String::new()));
            config.push((key, format!("Authorization: Basic {basic}")));
            // curl sends extra headers to the host of a redirect too.
            config.push(("http.followRedirects".into(), "false".into()));
            if scheme == "http" && is_loopback(host) {
                // A proxy of the user's would be sent even a request to this machine.
                config.push(("http.proxy".into(), String::new()));
            }
        }
        config
    }
}
