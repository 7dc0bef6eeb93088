//! What kind of failure git's words mean. Pure, because the exit code of git (128 for nearly everything) says nothing.

use std::time::Duration;

use super::words::without_names;

/// The classes of failure that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server asked us to slow down.
    RateLimited,
    /// The server failed for now (5xx).
    Server,
    /// The connection failed or broke.
    Transport,
    /// As [`Failure::Transport`], but with so long a wait or so little hope that two tries are enough.
    Slow,
    /// A lock file of git in a local repository.
    LocalLock,
    /// Somebody else moved the ref first.
    RefRace,
    /// The remote does not know or trust us.
    Auth,
    /// The repository is not there, or is hidden from us.
    MissingRepo,
    /// The ref or commit is not in the repository.
    MissingRef,
    /// The server gives no object by its id, unless a branch or tag leads straight to it.
    NotById,
    /// The repository has ids of another length than ours.
    OtherHash,
    /// The certificate or the TLS handshake.
    Tls,
    /// A rule refused it: a hook on the remote, fsck, a protocol that is not allowed.
    Policy,
    /// The local disk or its permissions.
    Disk,
    /// A configuration that git cannot read: every call fails, wherever it works.
    Configuration,
    /// Anything else.
    Unknown,
}

/// How many times to run a call that fails like this, and how long to wait between the tries (milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Runs in all, the first included.
    pub tries: u32,
    /// The first pause; each later one may be twice as long. The real pause is a random part of it.
    pub base_ms: u64,
    /// The longest pause.
    pub cap_ms: u64,
}

impl Retry {
    /// How long to wait after the given number of tries: a random part of at most the pause that grew by then.
    pub fn pause(&self, tries: u32) -> Duration {
        let most = (self.base_ms << (tries - 1).min(16)).min(self.cap_ms);
        Duration::from_millis(fastrand::u64(most / 2..=most))
    }
}

impl Failure {
    /// The retries for a network call that failed like this; `None` where the same call will fail again.
    pub fn retry(self) -> Option<Retry> {
        match self {
            Failure::RateLimited => Some(Retry { tries: 6, base_ms: 2_000, cap_ms: 60_000 }),
            Failure::Server => Some(Retry { tries: 5, base_ms: 500, cap_ms: 10_000 }),
            Failure::Transport => Some(Retry { tries: 5, base_ms: 300, cap_ms: 10_000 }),
            Failure::Slow => Some(Retry { tries: 2, base_ms: 300, cap_ms: 1_000 }),
            Failure::LocalLock => Some(Retry { tries: 2, base_ms: 300, cap_ms: 1_000 }),
            _ => None,
        }
    }

    /// Whether it is this machine, or the connection, that failed.
    fn is_of_this_side(self) -> bool {
        matches!(self, Failure::Disk | Failure::LocalLock | Failure::Tls | Failure::Transport | Failure::Slow)
    }

    /// Whether the user may hope that the same command works later.
    pub fn is_transient(self) -> bool {
        matches!(self, Failure::RateLimited | Failure::Server | Failure::Transport | Failure::Slow | Failure::LocalLock)
    }
}

/// Lines of git that only wrap the real cause, which stands above or below them.
const WRAPPERS: &[&str] = &["from promisor remote", "the remote end hung up unexpectedly"];

/// What is added to git's words where it does not say so itself.
pub const NOT_BY_ID: &str = "error: the server sends nothing by its id\n";

/// The patterns, most telling first: a full disk also prints `index-pack failed`, a 403 may be a rate limit.
/// Source: seen with git 2.39 and 2.47; all in lower case.
const PATTERNS: &[(Failure, &[&str])] = &[
    (
        Failure::Configuration,
        &[
            "bad config line",
            "bad config variable",
            "bad config value",
            "bad numeric config value",
            "bad boolean config value",
            "missing config key git_config_",
            "missing config value git_config_",
            "bogus count in git_config_count",
            "too many entries in git_config_count",
            "unable to parse command-line config",
            "error processing config file",
            "while reading the configuration files",
        ],
    ),
    (
        Failure::Disk,
        &["no space left", "out of diskspace", "disk quota exceeded", "read-only file system", "file name too long"],
    ),
    (Failure::RateLimited, &["returned error: 429", "http 429", "rate limit"]),
    (
        Failure::Auth,
        &[
            "terminal prompts disabled",
            "could not read username",
            "could not read password",
            "authentication failed",
            "returned error: 401",
            "returned error: 403",
            "permission denied (publickey",
            "permission denied, please try again",
            "host key verification failed",
            "access denied",
            "http 401",
            "http 403",
        ],
    ),
    (
        Failure::Server,
        &[
            "returned error: 500",
            "returned error: 502",
            "returned error: 503",
            "returned error: 504",
            "returned error: 408",
            "http 500",
            "http 502",
            "http 503",
            "http 504",
            "http 408",
        ],
    ),
    (
        Failure::RefRace,
        &[
            "fetch first",
            "non-fast-forward",
            "stale info",
            "failed to update ref",
            "cannot lock ref",
            "atomic push failed",
            "reference already exists",
            "already exists",
        ],
    ),
    (
        Failure::Policy,
        &[
            "hook declined",
            "not allowed",
            "strange hostname",
            "invalid path",
            "fsck error",
            "protected branch",
            "unable to update url base from redirection",
            "returned error: 301",
            "returned error: 302",
            "returned error: 307",
            "returned error: 308",
            "push declined",
            "denied by",
            "deny updating",
            "remote rejected",
            "repository corruption",
        ],
    ),
    (
        Failure::LocalLock,
        &[
            ".lock': file exists",
            "could not lock config file",
            "could not write index",
            "shallow file has changed",
            "could not parse commit",
        ],
    ),
    (Failure::OtherHash, &["mismatched algorithms", "repository's hash algorithm"]),
    // The second is what JGit says, of an object that is not there too.
    (Failure::NotById, &["unadvertised object", "remote error: want ", "the server sends nothing by its id"]),
    (
        Failure::MissingRef,
        &["couldn't find remote ref", "not our ref", "no such remote ref", "did not send all necessary objects"],
    ),
    (
        Failure::Slow,
        &[
            "could not resolve host",
            "operation too slow",
            "gnutls_handshake() failed",
            "ssl_connect",
            "timed out waiting",
            // A page of a captive portal, taken for a server of plain files.
            "dumb http transport does not support",
            "git-http-push failed",
        ],
    ),
    (Failure::Tls, &["certificate", "ssl:"]),
    (
        Failure::Transport,
        &[
            "failed to connect",
            "couldn't connect",
            "could not connect",
            "unable to connect",
            "connection reset",
            "connection refused",
            "connection closed",
            "connection was aborted",
            "timed out",
            "network is unreachable",
            "no route to host",
            "early eof",
            "unexpected disconnect",
            "hung up",
            "remote failed to report status",
            "bytes of body are still expected",
            "bad pack header",
            "expected flush after ref listing",
            "kex_exchange_identification",
            "empty reply from server",
            "rpc failed",
            "curl 5 ",
            "curl 6 ",
            "curl 7 ",
            "curl 18 ",
            "curl 28 ",
            "curl 35 ",
            "curl 52 ",
            "curl 55 ",
            "curl 56 ",
            "curl 92 ",
            "invalid server response",
            "not valid: is this a git repository",
            "protocol error",
        ],
    ),
    (
        Failure::MissingRepo,
        &[
            "repository not found",
            "' not found",
            "does not exist",
            "does not appear to be a git repository",
            "no such repository",
            "returned error: 404",
            "could not be found",
            "repository not exported",
            "returned error: 410",
        ],
    ),
    (Failure::Disk, &["permission denied", "unable to create", "unable to write", "cannot create", "could not write"]),
];

/// Classifies what a git command wrote to stderr. Names of files, refs and hosts in it say nothing.
pub fn classify(stderr: &str) -> Failure {
    let text = without_names(stderr);
    let is_of_remote = |line: &&str| line.trim_start().starts_with("remote:");
    let (theirs, own): (Vec<&str>, Vec<&str>) = text.lines().partition(is_of_remote);
    let (wrappers, telling): (Vec<&str>, Vec<&str>) =
        own.into_iter().partition(|line| WRAPPERS.iter().any(|wrapper| line.contains(wrapper)));
    let find = |lines: &[&str]| {
        let has = |patterns: &[&str]| patterns.iter().any(|p| lines.iter().any(|line| line.contains(p)));
        PATTERNS.iter().find(|(_, patterns)| has(patterns)).map(|(failure, _)| *failure)
    };
    let said_there = |words: &str| theirs.iter().any(|line| line.contains(words));
    match find(&telling) {
        // A server that has had enough of us refuses access.
        Some(Failure::Auth) if said_there("rate limit") => Failure::RateLimited,
        // Its own git cannot read what is there; it will not be able to in a second.
        Some(Failure::Transport) if said_there("repository corruption") => Failure::Policy,
        Some(failure) => failure,
        // Of its disk and its network we know nothing, and hooks print anything.
        None => find(&theirs)
            .filter(|failure| !failure.is_of_this_side())
            .or_else(|| find(&wrappers))
            .unwrap_or(Failure::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_and_what_it_means() {
        let table = [
            ("error: RPC failed; HTTP 429 curl 22 The requested URL returned error: 429", Failure::RateLimited),
            (
                "fatal: unable to access 'https://x/': The requested URL returned error: 403 rate limit exceeded",
                Failure::RateLimited,
            ),
            ("fatal: unable to access 'https://x/': The requested URL returned error: 503", Failure::Server),
            (
                "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502\nfatal: the remote end hung up unexpectedly",
                Failure::Server,
            ),
            (
                "fatal: unable to access 'http://x/': Failed to connect to x port 80 after 0 ms: Couldn't connect to server",
                Failure::Transport,
            ),
            ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", Failure::Transport),
            (
                "fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
                Failure::Transport,
            ),
            ("fatal: the remote end hung up unexpectedly", Failure::Transport),
            ("error: 1234 bytes of body are still expected", Failure::Transport),
            ("fatal: unable to access 'https://x/': Could not resolve host: x", Failure::Slow),
            (
                "error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec transferred the last 20 seconds",
                Failure::Slow,
            ),
            (
                "fatal: unable to access 'https://x/': gnutls_handshake() failed: The TLS connection was non-properly terminated.",
                Failure::Slow,
            ),
            (
                "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
                Failure::Tls,
            ),
            ("fatal: Unable to create '/x/.git/shallow.lock': File exists.", Failure::LocalLock),
            ("fatal: shallow file has changed since we read it", Failure::LocalLock),
            // Another process is fetching just now: its commit is here, and its note that the history is not comes next.
            ("error: Could not read 12\nerror: could not parse commit 12", Failure::LocalLock),
            ("! [rejected] main -> main (fetch first)", Failure::RefRace),
            ("! [rejected] x -> y (stale info)", Failure::RefRace),
            ("! [remote rejected] x -> y (cannot lock ref 'refs/heads/y': is at a but expected b)", Failure::RefRace),
            ("fatal: could not read Username for 'https://x': terminal prompts disabled", Failure::Auth),
            ("remote: Invalid\nfatal: Authentication failed for 'https://x/'", Failure::Auth),
            ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", Failure::Auth),
            ("fatal: unable to access 'https://x/': The requested URL returned error: 403", Failure::Auth),
            ("remote: Repository not found.\nfatal: repository 'https://x/' not found", Failure::MissingRepo),
            (
                "fatal: '/nowhere' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Failure::MissingRepo,
            ),
            ("fatal: couldn't find remote ref refs/tags/x", Failure::MissingRef),
            ("fatal: remote error: upload-pack: not our ref 0000", Failure::MissingRef),
            (
                "warning: filtering not recognized by server, ignoring\nerror: Server does not allow request for unadvertised object 96bb",
                Failure::NotById,
            ),
            ("fatal: mismatched algorithms: client sha1; server sha256", Failure::OtherHash),
            (
                "fatal: the receiving end does not support this repository's hash algorithm\nfatal: the remote end hung up unexpectedly",
                Failure::OtherHash,
            ),
            ("fatal: remote error: want 96bb not valid", Failure::NotById),
            ("fatal: protocol error: bad pack header\nerror: the server sends nothing by its id", Failure::NotById),
            (
                "fatal: git upload-pack: not our ref 96bb\nfatal: remote error: upload-pack: not our ref 96bb",
                Failure::MissingRef,
            ),
            ("! [remote rejected] x -> y (pre-receive hook declined)", Failure::Policy),
            ("fatal: transport 'ext' not allowed", Failure::Policy),
            (
                "error: git upload-pack: git-pack-objects died with error.\nremote: aborting due to possible repository corruption on the remote side.\nfatal: protocol error: bad pack header",
                Failure::Policy,
            ),
            ("fatal: unable to access 'http://x/': The requested URL returned error: 302", Failure::Policy),
            ("fatal: dumb http transport does not support shallow capabilities", Failure::Slow),
            (
                "error: no DAV locking support on http://x/\nfatal: git-http-push failed\nerror: failed to push some refs to 'http://x'",
                Failure::Slow,
            ),
            ("error: object 12: hasDotgit: contains '.git'\nfatal: fsck error in packed object", Failure::Policy),
            (
                "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
                Failure::Disk,
            ),
            ("error: unable to create file a: File name too long", Failure::Disk),
            ("fatal: could not write '/c/pack-1.promisor' promisor file", Failure::Disk),
            ("fatal: cannot create directory at 'a': Permission denied", Failure::Disk),
            ("fatal: bad config line 6 in file /home/u/.gitconfig", Failure::Configuration),
            (
                "error: missing config key GIT_CONFIG_KEY_1\nfatal: unable to parse command-line config",
                Failure::Configuration,
            ),
            (
                "fatal: bad numeric config value 'x' for 'core.bigfilethreshold' in file /x: invalid unit",
                Failure::Configuration,
            ),
            ("fatal: could not fetch 12 from promisor remote", Failure::Unknown),
            ("warning: something new", Failure::Unknown),
        ];
        for (stderr, class) in table {
            assert_eq!(classify(stderr), class, "{stderr}");
        }
    }

    /// Each class, in messages with names that look like another one.
    #[test]
    fn names_do_not_decide() {
        // In a path, a ref, a host or a URL; with words of every class.
        let files = [
            "rec/keyvault/Certificates/x.json",
            "Certificate.json",
            "rec/rate limit/authentication failed.json",
            "rec/no space left.json",
            "rec/returned error: 503/x.json",
            "rec/not allowed/already exists.json",
            "rec/could not resolve host.json",
            "rec/connection refused/early eof.json",
            "rec/repository not found.json",
            "rec/it's ssl: timed out.json",
            "rec/fetch first/non-fast-forward.json",
            "rec/couldn't find remote ref.json",
        ];
        let refs = ["certificate", "non-fast-forward", "kex_exchange_identification", "ssl_connect/x", "rate_limit"];
        let mut table: Vec<(String, Failure)> = Vec::new();
        for file in files {
            table.extend([
                (format!("error: unable to create file {file}: Permission denied"), Failure::Disk),
                (format!("fatal: cannot create directory at '{file}': Permission denied"), Failure::Disk),
                (format!("error: unable to create file {file}: File name too long"), Failure::Disk),
                (format!("fatal: Unable to create '/x/{file}.lock': File exists."), Failure::LocalLock),
                (format!("error: invalid path '{file}'"), Failure::Policy),
                (format!("error: unable to unlink old '{file}': Is a directory"), Failure::Unknown),
                (format!("error: Entry '{file}' not uptodate. Cannot merge."), Failure::Unknown),
                (
                    format!("error: The following untracked files would be overwritten:\n\t{file}\nAborting"),
                    Failure::Unknown,
                ),
            ]);
        }
        for name in refs {
            let url = format!("https://{name}.example/{name}");
            table.extend([
                (format!("fatal: couldn't find remote ref refs/tags/{name}"), Failure::MissingRef),
                (format!("fatal: repository '{url}' not found"), Failure::MissingRepo),
                (
                    format!("fatal: unable to access '{url}': The requested URL returned error: 429"),
                    Failure::RateLimited,
                ),
                (format!("fatal: unable to access '{url}': The requested URL returned error: 503"), Failure::Server),
                (format!("fatal: unable to access '{url}': The requested URL returned error: 403"), Failure::Auth),
                (format!("fatal: Authentication failed for '{url}'"), Failure::Auth),
                (format!("fatal: unable to access '{url}': Could not resolve host: {name}.example"), Failure::Slow),
                (
                    format!(
                        "fatal: unable to access '{url}': SSL: no alternative certificate subject name matches target \
                         host name '{name}.example'"
                    ),
                    Failure::Tls,
                ),
                (
                    format!("fatal: unable to access '{url}': Failed to connect to {name} port 443: Couldn't connect"),
                    Failure::Transport,
                ),
                (format!("ssh: connect to host {name} port 22: Connection refused"), Failure::Transport),
                (format!("! [rejected] main -> {name} (fetch first)"), Failure::RefRace),
                (format!("! [remote rejected] {name} -> {name} (pre-receive hook declined)"), Failure::Policy),
                (
                    format!("! [remote rejected] {name} -> {name} (cannot lock ref 'refs/heads/{name}')"),
                    Failure::RefRace,
                ),
                (format!("error: failed to push some refs to '{url}'"), Failure::Unknown),
            ]);
        }
        for (stderr, class) in table {
            assert_eq!(classify(&stderr), class, "{stderr}");
        }
    }

    #[test]
    fn what_a_remote_prints_decides_little() {
        let table = [
            ("remote: scanning certificate.json\nfatal: the remote end hung up unexpectedly", Failure::Transport),
            ("remote: No space left on device\n! [remote rejected] a -> b (unpacker error)", Failure::Policy),
            (
                "remote: this file already exists\n! [remote rejected] a -> b (pre-receive hook declined)",
                Failure::Policy,
            ),
            (
                "remote: the rate limit of reviews\n! [remote rejected] a -> b (pre-receive hook declined)",
                Failure::Policy,
            ),
            ("remote: connection refused by the scanner\nerror: failed to push some refs to 'x'", Failure::Unknown),
            (
                "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'x': The requested URL returned error: 403",
                Failure::RateLimited,
            ),
            (
                "remote: ERROR: The project could not be found.\nfatal: Could not read from remote repository.",
                Failure::MissingRepo,
            ),
        ];
        for (stderr, class) in table {
            assert_eq!(classify(stderr), class, "{stderr}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for never in [
            Failure::Auth,
            Failure::MissingRef,
            Failure::NotById,
            Failure::OtherHash,
            Failure::MissingRepo,
            Failure::Tls,
            Failure::Policy,
            Failure::Disk,
            Failure::Configuration,
            Failure::RefRace,
        ] {
            assert_eq!(never.retry(), None);
            assert!(!never.is_transient());
        }
        assert_eq!(Failure::Slow.retry().map(|r| r.tries), Some(2));
    }
}
