//! Where `GIT_TOKEN` may be sent: to one host, and only over a connection that others cannot read.

use std::net::Ipv4Addr;

use crate::names::RemoteUrl;

/// The host that the token is for, as `ASSETS_TOKEN_HOST` names it: `host`, `host:port`, or one of them after a scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHost {
    /// `http` or `https`, where the user says it.
    scheme: Option<String>,
    /// `host` or `host:port`.
    host: String,
}

/// Whether the token is sent to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// There is none.
    NoToken,
    Sent,
    /// It is for another host, or the URL is not of http or https.
    OtherHost,
    /// It is for this host, but the connection is not encrypted.
    NotEncrypted,
}

impl TokenHost {
    /// Reads the value of `ASSETS_TOKEN_HOST`.
    pub fn parse(text: &str) -> TokenHost {
        let (scheme, host) = match text.split_once("://") {
            Some((scheme, host)) => (Some(scheme.to_ascii_lowercase()), host),
            None => (None, text),
        };
        TokenHost { scheme, host: host.trim_end_matches('/').to_string() }
    }

    /// Whether the token goes along with requests to `url`.
    pub fn use_for(&self, url: &RemoteUrl) -> TokenUse {
        let Some((scheme, host)) = url.http_host() else { return TokenUse::OtherHost };
        if !host.eq_ignore_ascii_case(&self.host) {
            return TokenUse::OtherHost;
        }
        let may_be_plain = match self.scheme.as_deref() {
            Some(named) => named == "http",
            None => is_loopback(host),
        };
        if scheme == "https" || may_be_plain { TokenUse::Sent } else { TokenUse::NotEncrypted }
    }
}

/// What to set `ASSETS_TOKEN_HOST` to so that the token is sent to `url`.
pub fn host_to_name(url: &RemoteUrl) -> Option<String> {
    let (scheme, host) = url.http_host()?;
    let is_safe = scheme == "https" || is_loopback(host);
    Some(if is_safe { host.to_string() } else { format!("http://{host}") })
}

/// Whether requests to `host` or `host:port` never leave this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name == "::1"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_its_host_and_not_in_clear_text() {
        use TokenUse::{NotEncrypted, OtherHost, Sent};
        let table = [
            ("github.com", "https://github.com/o/n", Sent),
            ("github.com", "https://GitHub.com/o/n.git", Sent),
            ("github.com", "http://github.com/o/n", NotEncrypted),
            ("github.com", "https://evil.example/github.com", OtherHost),
            ("github.com", "https://github.com@evil.example/o", OtherHost),
            ("github.com", "https://github.com:444/o/n", OtherHost),
            ("github.com", "git@github.com:o/n", OtherHost),
            ("github.com", "git://github.com/o/n", OtherHost),
            ("http://github.com", "http://github.com/o/n", Sent),
            ("http://git.corp:8080/", "http://git.corp:8080/o/n", Sent),
            ("HTTP://git.corp", "http://git.corp/o/n", Sent),
            ("http://git.corp", "https://git.corp/o/n", Sent),
            ("http://git.corp", "http://git.corp:81/o/n", OtherHost),
            ("https://git.corp", "http://git.corp/o/n", NotEncrypted),
            ("https://git.corp", "https://git.corp/o/n", Sent),
            ("ftp://git.corp", "http://git.corp/o/n", NotEncrypted),
            ("127.0.0.1:80", "http://127.0.0.1:80/a", Sent),
            ("localhost", "http://localhost/a", Sent),
            ("[::1]:80", "http://[::1]:80/a", Sent),
            ("https://127.0.0.1", "http://127.0.0.1/a", NotEncrypted),
            ("localhost.evil.example", "http://localhost.evil.example/a", NotEncrypted),
            ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example/a", NotEncrypted),
            ("128.0.0.1", "http://128.0.0.1/a", NotEncrypted),
            ("[::2]", "http://[::2]/a", NotEncrypted),
        ];
        for (host, url, expected) in table {
            let url = RemoteUrl::parse(url).unwrap();
            assert_eq!(TokenHost::parse(host).use_for(&url), expected, "{host} {url}");
        }
    }

    #[test]
    fn the_host_that_a_hint_names_is_one_that_works() {
        for url in ["https://a.example:8/o", "http://a.example/o", "http://127.0.0.1:1/o"] {
            let url = RemoteUrl::parse(url).unwrap();
            let named = host_to_name(&url).unwrap();
            assert_eq!(TokenHost::parse(&named).use_for(&url), TokenUse::Sent, "{url}");
        }
    }
}
