//! One POST, with everything about it bounded and nothing of it told but status and scheme://host.

use std::io;
use std::time::Duration;

use ureq::http::Uri;
use ureq::http::header::RETRY_AFTER;
use ureq::{Agent, Error};

use crate::error::AlertError;
use crate::text::line;

const CONNECT_MAX: Duration = Duration::from_secs(5);
const CALL_MAX: Duration = Duration::from_secs(15);

/// The most bytes of an answer that are read.
#[cfg(feature = "telegram")]
const BODY_MAX: u64 = 64 * 1024;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header, where it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    #[cfg(feature = "telegram")]
    response: ureq::Body,
}

/// One place to post to, by its URL's scheme and host. Calls go through the proxy that `HTTPS_PROXY`, `HTTP_PROXY`,
/// `ALL_PROXY` and `NO_PROXY` name, except to this machine itself.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    /// `https://example.org:8443`
    place: String,
}

impl Client {
    pub(crate) fn new(uri: &Uri) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(CALL_MAX))
            // Alerts are rare: a kept connection would mostly be found dead.
            .max_idle_connections(0)
            .user_agent("machine-driver");
        if is_loopback(uri) {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            place: origin(uri),
        }
    }

    /// Scheme and host: all that may be told of the URL.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Posts JSON. An answer of any status is an answer.
    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, AlertError> {
        let mut request = self.agent.post(url).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body).map_err(|error| self.failed(&error))?;
        let seconds = |text: &str| text.trim().parse().ok().map(Duration::from_secs);
        let header = response.headers().get(RETRY_AFTER);
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: header.and_then(|value| value.to_str().ok()).and_then(seconds),
            #[cfg(feature = "telegram")]
            response: response.into_body(),
        })
    }

    /// The body of an answer, if it is short enough and comes in time.
    #[cfg(feature = "telegram")]
    pub(crate) fn body(&self, answer: &mut Answer) -> Result<Vec<u8>, AlertError> {
        let body = answer.response.with_config().limit(BODY_MAX).read_to_vec();
        body.map_err(|error| self.failed(&error))
    }

    /// The error in words of our own: ureq's may hold the URL.
    fn failed(&self, error: &Error) -> AlertError {
        let what = match error {
            Error::Timeout(_) => "no answer in time".to_owned(),
            Error::HostNotFound => "the host is not known".to_owned(),
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            Error::Io(error) if error.get_ref().is_none() => error.to_string(),
            // What TLS says about a certificate comes so; it knows no more of a URL than the host.
            Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => format!("TLS: {error}"),
            Error::Io(error) => error.kind().to_string(),
            Error::Protocol(_) | Error::Http(_) => "the answer is not HTTP".to_owned(),
            Error::LargeResponseHeader(..) | Error::BodyExceedsLimit(_) => {
                "the answer is too long".to_owned()
            }
            Error::Rustls(error) => format!("TLS: {error}"),
            Error::Tls(_) | Error::TlsRequired => "TLS failed".to_owned(),
            Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => "the proxy did not connect".to_owned(),
            _ => "no connection".to_owned(),
        };
        AlertError::temporary(format!("could not post to {}: {}", self.place, line(&what, 200)))
    }
}

/// A URL that can be posted to.
pub(crate) fn parse(url: &str) -> Result<Uri, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it is not an http:// or https:// URL");
    }
    match uri.host() {
        None | Some("") => Err("it names no host"),
        Some(_) => Ok(uri),
    }
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

/// What stands before the host in `user:password@host`.
pub(crate) fn userinfo(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    authority.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

fn origin(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or_default();
    format!("{scheme}://{}{port}", uri.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_and_host_are_told() {
        for (url, told) in [
            (
                "https://user:hush@example.org/hush?key=hush#hush",
                "https://example.org",
            ),
            ("http://[::1]:8080/hush", "http://[::1]:8080"),
            ("https://hush@example.org:8443", "https://example.org:8443"),
        ] {
            let client = Client::new(&parse(url).unwrap());
            assert_eq!(client.place(), told);
            assert!(!format!("{client:?}").contains("hush"));
        }
    }

    #[test]
    fn urls() {
        for bad in [
            "",
            "example.org",
            "ftp://x/",
            "file:///etc/passwd",
            "https://",
            "/x",
            "https://a b/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for (url, expected) in [
            ("http://127.0.0.1:1/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://LOCALHOST/", true),
            ("http://localhost.example.org/", false),
            ("http://127.0.0.1.example.org/", false),
            ("http://127.0.0.1@example.org/", false),
            ("http://0.0.0.0/", false),
        ] {
            assert_eq!(is_loopback(&parse(url).unwrap()), expected, "{url}");
        }
        assert_eq!(userinfo(&parse("https://a:b@c/").unwrap()), Some("a:b"));
        assert_eq!(userinfo(&parse("https://c/a@b").unwrap()), None);
    }
}
