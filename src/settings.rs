//! Everything the environment says, read once into plain values. The only place that reads it.
#![allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};

/// The environment, as far as it matters to this program.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The current directory.
    pub cwd: PathBuf,
    /// `PROXY_ASSETS_FOLDER`: the assets folder, instead of `.assets` at the root of the code
    /// repo. As it is written: relative to the storage location or the current directory.
    pub assets_folder: Option<PathBuf>,
    /// `TEST_PROXY_FOLDER`: as `--storage-location`.
    pub storage_location: Option<PathBuf>,
    /// `ASSETS_CACHE_DIR`, else `assets` in the user's cache directory: where the object stores are.
    pub cache_dir: PathBuf,
    /// `GIT_TOKEN`: sent to [`Environment::token_host`] and nowhere else.
    pub token: Option<Secret>,
    /// `ASSETS_TOKEN_HOST`: the `host` or `host:port` the token is for, after `http://` if it may go there unencrypted;
    /// default `github.com`.
    pub token_host: String,
    /// `GIT_COMMIT_OWNER`: author and committer name of pushes.
    pub commit_owner: Option<String>,
    /// `GIT_COMMIT_EMAIL`: author and committer mail address of pushes.
    pub commit_email: Option<String>,
    /// `ASSETS_MAX_FILES`, `ASSETS_MAX_PATH`, `ASSETS_MAX_FILE_BYTES`, `ASSETS_MAX_BYTES`: how much a slice may hold.
    pub limits: Limits,
    /// `ASSETS_LOG=json:FILE`: where each git process and phase is written down.
    pub log: Option<PathBuf>,
    /// `ASSETS_SECRET_SCANNER`: the program that looks for secrets in what is pushed, instead of `gitleaks`.
    pub secret_scanner: Option<String>,
    /// `GITLEAKS_CONFIG`: the rules that the user gave that program, absolute.
    pub scanner_rules: Option<PathBuf>,
    /// What git's own environment must keep or lose.
    pub git: GitEnvironment,
    /// What a pager gets that the user has not set: as git starts one.
    pub for_pager: Vec<(OsString, OsString)>,
}

/// Bounds on what a checkout accepts from an assets repo, against trees made to fill the disk.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files in one slice.
    pub files: usize,
    /// Bytes in one path, counted from the root of the checkout.
    pub path: usize,
    /// Bytes in one file.
    pub file_bytes: u64,
    /// Bytes in all files of one slice.
    pub bytes: u64,
}

/// The largest file that git can be asked for. Where its numbers have 32 bits it holds no larger one, and takes a larger
/// limit in a filter for a mistake.
const LARGEST_FOR_GIT: u64 =
    if cfg!(any(windows, target_pointer_width = "32")) { u32::MAX as u64 - 1 } else { i64::MAX as u64 };

impl Default for Limits {
    fn default() -> Self {
        // GitHub takes no larger files either.
        Limits { files: 250_000, path: 240, file_bytes: 100 << 20, bytes: 4 << 30 }
    }
}

/// The parts of the environment that decide how git is started.
#[derive(Clone, Debug, Default)]
pub struct GitEnvironment {
    /// Variables to take away from git: all of git's own that point it somewhere or trace it.
    pub removed: Vec<OsString>,
    /// `GIT_CONFIG_COUNT`: how many configuration pairs the caller set already; ours come after them.
    pub config_count: usize,
    /// `GIT_ALLOW_PROTOCOL`: protocols the caller restricts git to.
    pub allow_protocol: Option<String>,
    /// `GIT_PAGER`: how the user reads long text; empty for not at all.
    pub pager: Option<String>,
    /// Whether `GIT_SSH_COMMAND` or `GIT_SSH` name the user's own ssh.
    pub own_ssh: bool,
}

/// A value that must not be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Whatever is done with the value, it must not reach an argument vector, a file or a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Variables that would point our git at another repository or change what a command does. The first group is what
/// `git rev-parse --local-env-vars` lists (hooks and `rebase --exec` set them), less `GIT_CONFIG_COUNT`.
const NOT_FOR_GIT: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    // Not in that list, but as telling.
    "GIT_NAMESPACE",
    "GIT_ATTR_SOURCE",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_INDEX_VERSION",
    "GIT_TEST_SPLIT_INDEX",
    "GIT_CONFIG_NOSYSTEM_TEST",
    "GIT_PAGER",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_TEMPLATE_DIR",
    "GIT_MERGE_AUTOEDIT",
    "GIT_REDIRECT_STDIN",
    "GIT_REDIRECT_STDOUT",
    "GIT_REDIRECT_STDERR",
    // The token is passed on as configuration for one host, never as it is.
    "GIT_TOKEN",
    // Messages are parsed, so they must be English; LANG stays for the character set.
    "LC_ALL",
    "LANGUAGE",
];

impl Environment {
    /// Reads the environment and the current directory.
    ///
    /// # Errors
    /// When there is no current directory, or no cache directory can be found.
    pub fn read() -> Result<Environment> {
        let cwd = std::env::current_dir().map_err(|e| {
            Error::failed("the current directory is gone").cause(e.to_string()).hint("change to another directory")
        })?;
        let token = text("GIT_TOKEN").map(Secret);
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(|v| cwd.join(v));
        let cache_dir =
            path("ASSETS_CACHE_DIR").or_else(|| dirs::cache_dir().map(|dir| dir.join("assets"))).ok_or_else(|| {
                Error::failed("no cache directory for the object store")
                    .cause("neither `HOME` nor the system names one")
                    .hint("set `ASSETS_CACHE_DIR` to a directory that you can write")
            })?;
        let limits = Limits::default();
        Ok(Environment {
            assets_folder: folder("PROXY_ASSETS_FOLDER"),
            storage_location: path("TEST_PROXY_FOLDER"),
            cache_dir,
            token_host: text("ASSETS_TOKEN_HOST").unwrap_or_else(|| "github.com".into()),
            commit_owner: text("GIT_COMMIT_OWNER"),
            commit_email: text("GIT_COMMIT_EMAIL"),
            limits: Limits {
                files: number("ASSETS_MAX_FILES")?.unwrap_or(limits.files),
                path: number("ASSETS_MAX_PATH")?.unwrap_or(limits.path),
                file_bytes: number("ASSETS_MAX_FILE_BYTES")?.unwrap_or(limits.file_bytes).min(LARGEST_FOR_GIT),
                bytes: number("ASSETS_MAX_BYTES")?.unwrap_or(limits.bytes),
            },
            log: text("ASSETS_LOG").map(|value| log_file(&value, &cwd)).transpose()?,
            secret_scanner: text("ASSETS_SECRET_SCANNER"),
            scanner_rules: path("GITLEAKS_CONFIG"),
            git: GitEnvironment {
                removed: removed_for_git(token.is_some()),
                config_count: text("GIT_CONFIG_COUNT").and_then(|n| n.parse().ok()).unwrap_or(0),
                allow_protocol: std::env::var("GIT_ALLOW_PROTOCOL").ok(),
                pager: std::env::var("GIT_PAGER").ok(),
                own_ssh: text("GIT_SSH_COMMAND").or(text("GIT_SSH")).is_some(),
            },
            for_pager: [("LESS", "FRX"), ("LV", "-c")]
                .into_iter()
                .filter(|(name, _)| std::env::var_os(name).is_none())
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            token,
            cwd,
        })
    }
}

/// What colour the environment asks for: `Some(false)` for `NO_COLOR`, `Some(true)` for `CLICOLOR_FORCE`.
pub fn color() -> Option<bool> {
    if text("NO_COLOR").is_some() {
        return Some(false);
    }
    text("CLICOLOR_FORCE").filter(|v| v != "0").map(|_| true)
}

fn removed_for_git(with_token: bool) -> Vec<OsString> {
    let mut removed: Vec<OsString> = NOT_FOR_GIT.iter().map(OsString::from).collect();
    if with_token {
        // A trace of the http layer, or of the environment, would hold the token.
        let traces = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("GIT_TRACE") || name == "GIT_CURL_VERBOSE"
        });
        removed.extend(traces);
    }
    removed
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|v| v.trim().to_string()).filter(|v| !v.is_empty())
}

/// A path as it is written, without spaces around it where it is text.
fn folder(name: &str) -> Option<PathBuf> {
    let path = match std::env::var_os(name)?.into_string() {
        Ok(text) => text.trim().into(),
        Err(bytes) => bytes,
    };
    (!path.is_empty()).then(|| path.into())
}

fn log_file(value: &str, cwd: &Path) -> Result<PathBuf> {
    match value.strip_prefix("json:").filter(|file| !file.is_empty()) {
        Some(file) => Ok(cwd.join(file)),
        None => Err(Error::usage(format!("`ASSETS_LOG` is `{value}`, which names no format that is known"))
            .hint("write lines of JSON to a file with `ASSETS_LOG=json:<file>`")),
    }
}

fn number<N: FromStr<Err = ParseIntError>>(name: &str) -> Result<Option<N>> {
    let Some(value) = text(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|e: ParseIntError| {
        let why = match e.kind() {
            IntErrorKind::PosOverflow => "is too large",
            _ => "is not a number",
        };
        Error::usage(format!("`{name}` is `{value}`, which {why}"))
    })
}

/// Whether `ASSETS_JSON` asks for JSON, for the case that the command line cannot be read. As its flag reads it.
pub fn json() -> bool {
    let off = ["n", "no", "f", "false", "off", "0"];
    text("ASSETS_JSON").is_some_and(|value| !off.contains(&value.to_lowercase().as_str()))
}

/// Whether one of the variables is set that stand for a global flag.
pub fn has_flag_variables() -> bool {
    let flags =
        ["JSON", "QUIET", "VERBOSE", "COLOR", "NO_PROGRESS", "NO_INPUT", "OFFLINE", "JOBS", "LOCK_TIMEOUT", "LOG"];
    flags.iter().any(|flag| std::env::var_os(format!("ASSETS_{flag}")).is_some())
}

/// Whether `CI` says that nobody watches.
pub fn in_ci() -> bool {
    text("CI").is_some_and(|value| value != "false" && value != "0")
}
