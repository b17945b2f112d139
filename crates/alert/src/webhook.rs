//! The sink that posts JSON to a URL, signed where there is a key.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use machine_driver_state::alert::Alert;
use percent_encoding::percent_decode_str;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::AlertError;
use crate::http::{self, Client};
use crate::port::Alerter;
use crate::setup::SetupError;
use crate::text::json;

/// Posts each alert to a URL.
///
/// ```text
/// POST /alerts HTTP/1.1
/// Content-Type: application/json
/// X-Machine-Driver-Alert: 0123456789abcdef0123456789abcdef
/// X-Machine-Driver-Timestamp: 1795341600
/// X-Machine-Driver-Signature: sha256=<hex>
///
/// {"id":"0123456789abcdef0123456789abcdef","kind":"quarantine","goal":"shop","task":"t1","text":"…","at":"2026-11-22T10:00:00.123Z"}
/// ```
///
/// `task` is left out where the alert is about none. Any status from 200 to 299 means that the alert arrived. The same
/// alert may come twice, with the same id and a new timestamp. The signature is the HMAC-SHA256 (RFC 2104) over the
/// timestamp as it stands in its header, one full stop, and the bytes of the body, in lower-case hex; its key is the
/// content of the secret file, less one newline at its end. A receiver computes it from what it received, compares in
/// constant time, and refuses timestamps that are more than a few minutes old. Without a key the header is not sent.
///
/// `user:password@` in the URL becomes an `Authorization: Basic` header (RFC 7617). Redirects are not followed: they would
/// carry the alert, and what authorises it, to somewhere that nobody named.
pub struct Webhook {
    client: Client,
    url: Zeroizing<String>,
    authorization: Option<Zeroizing<String>>,
    key: Option<Hmac<Sha256>>,
}

impl Webhook {
    /// A sink for this URL, which signs with this key.
    ///
    /// # Errors
    /// [`SetupError`] when the URL is not an http or https URL with a host, or the key is empty.
    pub fn new(url: &str, key: Option<&[u8]>) -> Result<Self, SetupError> {
        let malformed = |place: &str, problem| SetupError::Malformed {
            place: place.to_owned(),
            problem,
        };
        let uri = http::parse(url).map_err(|problem| malformed("alerts.webhook.url", problem))?;
        let key = match key {
            Some([]) => return Err(malformed("alerts.webhook.secret_file", "the key is empty")),
            // HMAC takes keys of any length (RFC 2104 §2): this is never none.
            Some(key) => Hmac::new_from_slice(key).ok(),
            None => None,
        };
        Ok(Self {
            client: Client::new(&uri),
            authorization: http::userinfo(&uri).map(basic),
            url: Zeroizing::new(without_userinfo(url)),
            key,
        })
    }

    fn judge(&self, answer: &http::Answer) -> Result<(), AlertError> {
        let reason = format!("{} answered with status {}", self.client.place(), answer.status);
        Err(match (answer.status, answer.retry_after) {
            (200..300, _) => return Ok(()),
            (429 | 503, Some(after)) => AlertError::wait(after, reason),
            (300..400, _) => AlertError::permanent(format!("{reason}, a redirect, which is not followed")),
            (408 | 425 | 429, _) => AlertError::temporary(reason),
            (400..500, _) => AlertError::permanent(reason),
            _ => AlertError::temporary(reason),
        })
    }
}

impl Alerter for Webhook {
    fn name(&self) -> &str {
        "webhook"
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        let body = json(alert);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = now.as_secs().to_string();
        let signature = self.key.as_ref().map(|key| signature(key, &timestamp, &body));
        let mut headers = vec![
            ("X-Machine-Driver-Alert", alert.id.as_str()),
            ("X-Machine-Driver-Timestamp", &timestamp),
        ];
        if let Some(signature) = &signature {
            headers.push(("X-Machine-Driver-Signature", signature));
        }
        if let Some(authorization) = &self.authorization {
            headers.push(("Authorization", authorization));
        }
        let answer = self.client.post(&self.url, &headers, &body)?;
        self.judge(&answer)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("place", &self.client.place())
            .field("signs", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// `sha256=` and the hex of the HMAC over timestamp, full stop, body.
fn signature(key: &Hmac<Sha256>, timestamp: &str, body: &[u8]) -> String {
    let mut mac = key.clone();
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    let hex = mac.finalize().into_bytes().into_iter().flat_map(digits).flatten();
    "sha256=".chars().chain(hex).collect()
}

fn basic(userinfo: &str) -> Zeroizing<String> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut plain = Zeroizing::new(Vec::with_capacity(userinfo.len() + 1));
    plain.extend(percent_decode_str(user));
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let encoded = Zeroizing::new(STANDARD.encode(&*plain));
    Zeroizing::new(format!("Basic {}", &**encoded))
}

/// The same URL with nothing before the host.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(key: &[u8], parts: &[&[u8]]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn rfc_4231() {
        assert_eq!(
            mac(&[0x0b; 20], &[b"Hi There"]),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            mac(
                &[0xaa; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"]
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// The example of the README.
    #[test]
    fn the_signature_covers_timestamp_full_stop_body() {
        let key = Hmac::new_from_slice(b"correct horse battery staple").unwrap();
        assert_eq!(
            signature(
                &key,
                "1795341600",
                br#"{"id":"0123456789abcdef0123456789abcdef"}"#
            ),
            "sha256=ce76d091909b9770dee5a82fcf5fa640da9fe906b4d4ba1fe5dbebca77a93b8c"
        );
    }

    #[test]
    fn userinfo_becomes_a_header_and_leaves_the_url() {
        assert_eq!(&**basic("user:pass"), "Basic dXNlcjpwYXNz");
        assert_eq!(&**basic("u%40x"), "Basic dUB4Og==");
        assert_eq!(without_userinfo("https://u:p@h:1/x@y?a@b"), "https://h:1/x@y?a@b");
        assert_eq!(without_userinfo("https://h/x"), "https://h/x");
        assert_eq!(without_userinfo("https://u@h?q=a@b"), "https://h?q=a@b");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let sink = Webhook::new("https://u:hush@example.org/hush?hush", Some(b"hush")).unwrap();
        let shown = format!("{sink:?}");
        assert!(
            shown.contains("https://example.org") && !shown.contains("hush"),
            "{shown}"
        );
        assert!(Webhook::new("https://example.org", Some(b"")).is_err());
        let error = Webhook::new("gopher://u:hush@example.org", None).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    }
}
