//! Where an assets repo is: what a manifest may say, and which of these are the same repository.

use std::fmt;
use std::path::PathBuf;

use super::{Reason, is_invisible};

/// Where an assets repo is: an https, http, ssh, git or file URL, an scp-like address, or an absolute path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteUrl(String);

/// What `AssetsRepo` may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetsRepo {
    /// `owner/name` on GitHub.
    OnGitHub(String),
    /// A URL or path of its own.
    At(RemoteUrl),
}

impl AssetsRepo {
    pub fn parse(text: &str) -> Result<AssetsRepo, Reason> {
        if is_owner_and_name(text) {
            return Ok(AssetsRepo::OnGitHub(text.to_string()));
        }
        RemoteUrl::parse(text).map(AssetsRepo::At)
    }

    /// The URL to fetch from; `ssh` says that the code repo itself is reached by ssh.
    pub fn url(&self, ssh: bool) -> RemoteUrl {
        match self {
            AssetsRepo::At(url) => url.clone(),
            AssetsRepo::OnGitHub(name) if ssh => RemoteUrl(format!("git@github.com:{name}.git")),
            AssetsRepo::OnGitHub(name) => RemoteUrl(format!("https://github.com/{name}.git")),
        }
    }
}

impl RemoteUrl {
    /// Parses a URL that git may be given: known schemes, no password, nothing that git or ssh could take for an option.
    pub fn parse(text: &str) -> Result<RemoteUrl, Reason> {
        if let Some(c) = text.chars().find(|&c| c.is_control() || is_invisible(c)) {
            return Err(format!("holds {c:?}"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "https" | "http" | "ssh" | "git" => Self::parse_authority(text, rest),
                "file" if rest.starts_with('/') => Ok(RemoteUrl(text.to_string())),
                "file" => Err("is a file URL without an absolute path".into()),
                _ => Err(format!("has the scheme `{scheme}`; https, http, ssh, git and file are allowed")),
            };
        }
        if text.contains("::") {
            return Err("names a remote helper, which is not allowed".into());
        }
        if is_absolute_path(text) {
            return Ok(RemoteUrl(text.to_string()));
        }
        match text.split_once(':') {
            Some((host, path))
                if !host.contains('/') && !path.is_empty() && host_is_plain(host) && !path.starts_with('-') =>
            {
                Ok(RemoteUrl(text.to_string()))
            }
            _ => Err("is neither `owner/name`, nor a git URL, nor an absolute path".into()),
        }
    }

    fn parse_authority(text: &str, rest: &str) -> Result<RemoteUrl, Reason> {
        let (authority, path) = rest.split_once('/').ok_or("is a URL without a path")?;
        if authority.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err("holds a password; give it to git's credential helper or in `GIT_TOKEN`".into());
        }
        if !host_is_plain(authority) || path.is_empty() || path.starts_with('-') {
            return Err("is not a valid URL".into());
        }
        Ok(RemoteUrl(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme and `host[:port]` of an http or https URL.
    pub fn http_host(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.0.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit('@').next()?;
        matches!(scheme, "http" | "https").then_some((scheme, host))
    }

    /// Whether git reaches it by ssh.
    pub fn is_ssh(&self) -> bool {
        self.0.starts_with("ssh://") || (!self.0.contains("://") && !is_absolute_path(&self.0))
    }

    /// Whether it is a path on this machine.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("file://") || is_absolute_path(&self.0)
    }

    /// The path on this machine that git opens for it.
    pub fn local_path(&self) -> Option<PathBuf> {
        match self.0.strip_prefix("file://") {
            Some(path) => {
                // `file:///C:/x`
                let drive = path.strip_prefix('/').filter(|path| cfg!(windows) && is_absolute_path(path));
                Some(path_of_bytes(percent_decoded(drive.unwrap_or(path))))
            }
            None => is_absolute_path(&self.0).then(|| PathBuf::from(&self.0)),
        }
    }

    /// The name by which objects and tags of the repository are kept on this machine. Two URLs have the same one only where
    /// they name one repository that is reached as safely: the scheme, the user, the port and the spelling of the path count,
    /// because with another one another server may answer, or another directory of it.
    pub fn identity(&self) -> String {
        if let Some(name) = self.name_on_github() {
            return format!("github.com/{name}");
        }
        let local = self.local_path().and_then(|path| path.to_str().map(str::to_string));
        let text = local.unwrap_or_else(|| self.0.clone());
        match text.trim_end_matches('/') {
            "" => text,
            trimmed => trimmed.to_string(),
        }
    }

    /// `owner/name` where the URL is one that [`AssetsRepo::url`] makes of that. Both are as safe.
    fn name_on_github(&self) -> Option<&str> {
        let text = &self.0;
        let path = text.strip_prefix("https://github.com/").or_else(|| text.strip_prefix("git@github.com:"))?;
        let name = path.strip_suffix(".git").unwrap_or(path);
        is_owner_and_name(name).then_some(name)
    }

    /// Whether two URLs are spellings of one repository, as hosting services have it: by https or ssh, with `.git` or without.
    /// Enough to see that a checkout was meant for this repository, and not enough to trust what another one sent.
    pub fn is_spelling_of(&self, other: &RemoteUrl) -> bool {
        self.host_and_path() == other.host_and_path()
    }

    fn host_and_path(&self) -> String {
        let text = &self.0;
        if self.is_local() {
            return self.identity();
        }
        let (scheme, authority, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (scheme, authority, path)
            }
            None => {
                let (authority, path) = text.split_once(':').unwrap_or((text, ""));
                ("ssh", authority, path)
            }
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            "ssh" => ":22",
            _ => ":9418",
        };
        let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
        // A path may be one below the home directory of the user.
        let user = if scheme == "ssh" && user != "git" { user } else { "" };
        let path = path.trim_matches('/');
        format!("{user}@{host}/{}", path.strip_suffix(".git").unwrap_or(path))
    }

    /// The identity that earlier versions gave the repository. Only `gc` asks for it: what was kept under it is not used.
    pub fn former_identity(&self) -> String {
        let text = &self.0;
        let without_user = |rest: &str| match rest.split_once('@') {
            Some((user, host)) if !user.contains('/') => host.to_string(),
            _ => rest.to_string(),
        };
        let plain = match text.split_once("://") {
            Some(("file", path)) => path.to_string(),
            Some((_, rest)) => without_user(rest),
            None if is_absolute_path(text) => text.to_string(),
            None => without_user(text).replacen(':', "/", 1),
        };
        let plain = plain.trim_end_matches('/');
        plain.strip_suffix(".git").unwrap_or(plain).to_string()
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is `owner/name`.
fn is_owner_and_name(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['-', '.'])
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

fn host_is_plain(authority: &str) -> bool {
    let host = authority.rsplit('@').next().unwrap_or_default();
    !authority.starts_with('-')
        && !host.is_empty()
        && !host.starts_with('-')
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._@:[]~+".contains(&b))
}

/// A text with `%2f` and the like decoded, as git decodes URLs.
fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut decoded, bytes) = (Vec::new(), text.as_bytes());
    let mut at = 0;
    while at < bytes.len() {
        let digits =
            bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = digits.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|byte| *byte != 0) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// The path of some bytes; where paths are text, bytes that are none are replaced.
#[cfg(unix)]
pub fn path_of_bytes(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

/// The path of some bytes; where paths are text, bytes that are none are replaced.
#[cfg(not(unix))]
pub fn path_of_bytes(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_absolute_path(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    text.starts_with('/') || (cfg!(windows) && (drive || text.starts_with(r"\\")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_repos() {
        let hub = AssetsRepo::parse("Azure/azure-sdk-assets").unwrap();
        assert_eq!(hub.url(false).as_str(), "https://github.com/Azure/azure-sdk-assets.git");
        assert_eq!(hub.url(true).as_str(), "git@github.com:Azure/azure-sdk-assets.git");
        for good in [
            "https://host/a.git",
            "ssh://git@host:22/a",
            "git@host:a/b.git",
            "file:///srv/a.git",
            "/srv/a.git",
            "http://127.0.0.1:80/a",
        ] {
            assert!(AssetsRepo::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "name",
            "a/b/c",
            "--upload-pack=x/y",
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/x",
            "-oProxyCommand=x:y",
            "https://u:p@host/x",
            "https:///x",
            "ftp://host/x",
            "file://host/x",
            "a b/c",
            "../x",
            "https://host",
            "git@host:-x",
            "a\n/b",
            "javascript://x/y",
        ] {
            assert!(AssetsRepo::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn url(text: &str) -> RemoteUrl {
        RemoteUrl::parse(text).unwrap_or_else(|why| panic!("{text} {why}"))
    }

    #[test]
    fn what_is_kept_of_a_repository_is_for_no_other() {
        // The URLs of one line are one repository; those of two lines never are.
        let table: &[&[&str]] = &[
            &["https://github.com/o/n.git", "https://github.com/o/n", "git@github.com:o/n.git", "git@github.com:o/n"],
            &["https://github.com/o/n.git.git"],
            &["evil.example:x@github.com/o/n"],
            &["evil.example:github.com/o/n"],
            &["github.com:o/n"],
            &["git@github.com:/o/n"],
            &["alice@github.com:o/n.git"],
            &["ssh://git@github.com/o/n", "ssh://git@github.com/o/n/"],
            &["ssh://git@github.com:2222/o/n"],
            &["http://github.com/o/n"],
            &["git://github.com/o/n"],
            &["https://github.com:444/o/n"],
            &["https://x@github.com/o/n"],
            &["https://evil.example@github.com/o/n"],
            &["https://evil.example/github.com/o/n"],
            &["https://github.com/o/n/x"],
            &["https://github.com/o/.n"],
            &["https://host/a", "https://host/a/"],
            &["https://host/a.git"],
            &["https://bob@host/a"],
            &["http://host/a"],
            &["git://host/a"],
            &["ssh://host/a"],
            &["ssh://bob@host/a"],
            &["ssh://alice@host/a"],
            &["host:a"],
            &["host:/a"],
            &["bob@host:a"],
            &["alice@host:a"],
            &["alice@host:bob@host/a"],
            &["/host/a", "file:///host/a", "file:///host/%61/"],
            &["/host/a.git"],
            &["file:///host/a%ff"],
            &["file:///host/a%fe"],
        ];
        for (at, line) in table.iter().enumerate() {
            for other in &table[at..] {
                for (one, another) in line.iter().flat_map(|one| other.iter().map(move |another| (*one, *another))) {
                    let is_one = url(one).identity() == url(another).identity();
                    assert_eq!(is_one, std::ptr::eq(*line, *other), "{one} {another}");
                }
            }
        }
    }

    #[test]
    fn spellings_of_one_repository() {
        let github = [
            "https://github.com/o/n",
            "git@github.com:o/n.git",
            "ssh://git@github.com:22/o/n/",
            "https://x@GitHub.com:443/o/n.git",
        ];
        for (one, other) in github.iter().flat_map(|one| github.iter().map(move |other| (one, other))) {
            assert!(url(one).is_spelling_of(&url(other)), "{one} {other}");
        }
        assert!(url("/srv/a.git").is_spelling_of(&url("file:///srv/a.git/")));
        for (one, other) in [
            ("https://github.com/o/n", "https://github.com/o/m"),
            ("https://github.com/o/n", "https://gitlab.com/o/n"),
            ("https://github.com/o/n", "evil.example:x@github.com/o/n"),
            ("https://github.com/o/n", "https://github.com:444/o/n"),
            ("alice@host:rec.git", "bob@host:rec.git"),
            ("ssh://alice@host/rec", "ssh://host/rec"),
            ("/srv/a", "/srv/a.git"),
            ("/srv/a", "https://srv/a"),
        ] {
            assert!(!url(one).is_spelling_of(&url(other)), "{one} {other}");
        }
    }
}
