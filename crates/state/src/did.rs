//! Decentralized identifiers, as text (W3C DID Core §3.1, did:web method specification).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A DID: `did:`, a method, `:`, and what the method identifies. No path, query or fragment: that would be a DID URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Did(std::sync::Arc<str>);

/// Why a text is not a DID, or a DID has no place on the web.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DidError {
    /// It is longer than [`Did::MAX`].
    #[error("it has {length} bytes; at most {} are allowed", Did::MAX)]
    TooLong {
        /// Bytes in the text.
        length: usize,
    },
    /// It is not of the form `did:method:identifier`.
    #[error("a DID is `did:`, a method of `a-z 0-9`, `:` and an identifier of `A-Z a-z 0-9 . - _ : %XX`")]
    Syntax,
    /// It is a DID, but not of the method `web`.
    #[error("only a did:web has a document on the web")]
    NotWeb,
    /// The host of a did:web cannot be used.
    #[error("the host of a did:web {what}")]
    Host {
        /// What is wrong, as a clause.
        what: &'static str,
    },
    /// The path of a did:web cannot be used.
    #[error("the path of a did:web {what}")]
    Path {
        /// What is wrong, as a clause.
        what: &'static str,
    },
}

impl Did {
    /// The most bytes that a DID may have here.
    pub const MAX: usize = 512;

    /// Reads a DID.
    ///
    /// # Errors
    /// [`DidError`] when the text is not one.
    pub fn new(text: &str) -> Result<Self, DidError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The DID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this DID followed by `:` and more: an actor that this one answers for by name.
    #[must_use]
    pub fn is_extended_by(&self, other: &Self) -> bool {
        extends(&self.0, &other.0)
    }

    /// Where the document of a did:web is published: `https://HOST/.well-known/did.json`, or with a path
    /// `https://HOST/PATH/did.json`. Only `%3A` in the host is a port.
    ///
    /// # Errors
    /// [`DidError`] for another method, an IP address as host, and hosts and paths that a URL would not keep as they are.
    pub fn web_url(&self) -> Result<String, DidError> {
        let rest = self.0.strip_prefix("did:web:").ok_or(DidError::NotWeb)?;
        let mut parts = rest.split(':');
        let host = web_host(parts.next().unwrap_or_default())?;
        let path: Vec<&str> = parts.map(path_segment).collect::<Result<_, _>>()?;
        Ok(if path.is_empty() {
            format!("https://{host}/.well-known/did.json")
        } else {
            format!("https://{host}/{}/did.json", path.join("/"))
        })
    }
}

/// Whether `text` is a DID, without making one.
///
/// # Errors
/// [`DidError`] when it is not.
pub fn check(text: &str) -> Result<(), DidError> {
    if text.len() > Did::MAX {
        return Err(DidError::TooLong { length: text.len() });
    }
    let rest = text.strip_prefix("did:").ok_or(DidError::Syntax)?;
    let (method, identifier) = rest.split_once(':').ok_or(DidError::Syntax)?;
    let is_method = !method.is_empty()
        && method
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    // The last of the parts between colons may not be empty.
    if is_method && is_identifier(identifier) && !identifier.is_empty() && !identifier.ends_with(':') {
        Ok(())
    } else {
        Err(DidError::Syntax)
    }
}

/// Whether `longer` is `did`, `:`, and more: as [`Did::is_extended_by`], for texts that were checked.
#[must_use]
pub fn extends(did: &str, longer: &str) -> bool {
    longer
        .strip_prefix(did)
        .and_then(|rest| rest.strip_prefix(':'))
        .is_some_and(|rest| !rest.is_empty())
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            b'.' | b'-' | b'_' | b':' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// Host and port as a URL has them.
fn web_host(text: &str) -> Result<String, DidError> {
    let error = |what| Err(DidError::Host { what });
    let at = text.find('%').unwrap_or(text.len());
    let (name, port) = text.split_at(at);
    if name.len() > 253 || !name.split('.').all(is_label) {
        return error("is not a name of labels of `A-Z a-z 0-9 -`");
    }
    // What a URL parser takes for an IPv4 address (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number {
        return error("is an IP address");
    }
    let name = name.to_ascii_lowercase();
    if port.is_empty() {
        return Ok(name);
    }
    let digits = port.strip_prefix("%3A").or_else(|| port.strip_prefix("%3a"));
    match digits.map(str::parse::<u16>) {
        Some(Ok(number)) if number != 0 && digits == Some(&number.to_string()) => {
            Ok(format!("{name}:{number}"))
        }
        _ => error("has something other than `%3A` and a port behind it"),
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn path_segment(segment: &str) -> Result<&str, DidError> {
    let error = |what| Err(DidError::Path { what });
    if segment.is_empty() {
        return error("has an empty part");
    }
    if segment.contains('%') {
        // `%2e%2e` is `..` to a URL parser, `%2f` a separator to many a server.
        return error("has an escaped character");
    }
    if segment == "." || segment == ".." {
        return error("leads upwards");
    }
    Ok(segment)
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl From<Did> for String {
    fn from(did: Did) -> Self {
        did.as_str().to_owned()
    }
}

impl TryFrom<String> for Did {
    type Error = DidError;
    fn try_from(text: String) -> Result<Self, DidError> {
        Self::new(&text)
    }
}

impl std::str::FromStr for Did {
    type Err = DidError;
    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dids_are_what_the_grammar_says() {
        for good in [
            "did:web:example.org",
            "did:web:example.org:machine-driver",
            "did:web:localhost%3A8443:a:b_c",
            "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            "did:1:a::b",
            &format!("did:a:{}", "x".repeat(506)),
        ] {
            assert_eq!(Did::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "did",
            "did:",
            "did:web",
            "did:web:",
            "did::x",
            "did:web:x:",
            "DID:web:x",
            "did:Web:x",
            "did:web:x/y",
            "did:web:x#key-1",
            "did:web:x?y",
            "did:web:x%",
            "did:web:x%4",
            "did:web:x%zz",
            "did:web:x y",
            "did:web:x\n",
            "did:web:ä",
            " did:web:x",
            &format!("did:a:{}", "x".repeat(507)),
        ] {
            assert!(Did::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_did_web_has_one_place() {
        let url = |text: &str| Did::new(text).unwrap().web_url();
        for (did, expected) in [
            ("did:web:example.org", "https://example.org/.well-known/did.json"),
            ("did:web:Example.org:a:b", "https://example.org/a/b/did.json"),
            (
                "did:web:localhost%3A8443",
                "https://localhost:8443/.well-known/did.json",
            ),
            ("did:web:x.org%3a1:a", "https://x.org:1/a/did.json"),
        ] {
            assert_eq!(url(did).as_deref(), Ok(expected));
        }
        for bad in [
            "did:key:z6Mk",
            "did:web:127.0.0.1",
            "did:web:2130706433",
            "did:web:0x7f.1",
            "did:web:a.0x7F",
            "did:web:%5B..1%5D",
            "did:web:a..b",
            "did:web:a.",
            "did:web:-a",
            "did:web:a_b",
            "did:web:a%2Fb",
            "did:web:user%40host",
            "did:web:a%3A",
            "did:web:a%3A0",
            "did:web:a%3A080",
            "did:web:a%3A65536",
            "did:web:a%3A80%2Fx",
            "did:web:a:..:b",
            "did:web:a:%2e%2e",
            "did:web:a::b",
            "did:web:a:b%2Fc",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn extending_needs_the_colon() {
        let org = Did::new("did:web:example.org").unwrap();
        for (other, expected) in [
            ("did:web:example.org:verifier", true),
            ("did:web:example.org", false),
            ("did:web:example.orgs", false),
            ("did:web:example.org.evil.org:x", false),
        ] {
            assert_eq!(org.is_extended_by(&Did::new(other).unwrap()), expected, "{other}");
        }
    }
}
