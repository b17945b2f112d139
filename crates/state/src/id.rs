//! Names: of tasks, of attempts, of those who act, and of content.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The text has more bytes than a name may have.
    #[error("it has {length} characters; at most {max} are allowed")]
    TooLong {
        /// Bytes in the text.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text holds something that a name may not hold.
    #[error("{what}")]
    Malformed {
        /// What is wrong, as a clause.
        what: &'static str,
    },
}

/// The id of a task: 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with `.`.
///
/// It names folders and goes into commit subjects, so a value of this type cannot leave its folder
/// or be read as an option: it holds no separator, and is never `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(std::sync::Arc<str>);

impl TaskId {
    /// The most bytes that an id may have.
    pub const MAX: usize = 128;

    /// Reads an id.
    ///
    /// # Errors
    /// [`NameError`] when the text is not an id.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong {
                length: text.chars().count(),
                max: Self::MAX,
            });
        }
        if text.starts_with('.') {
            return Err(NameError::Malformed {
                what: "it starts with `.`",
            });
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !text.bytes().all(allowed) {
            return Err(NameError::Malformed {
                what: "only `A-Z a-z 0-9 . _ -` are allowed",
            });
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Someone who acts: a worker, a verifier, a principal. Any text of 1 to 512 bytes without control characters;
/// a DID where records are signed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActorId(std::sync::Arc<str>);

impl ActorId {
    /// The most bytes that an actor's name may have.
    pub const MAX: usize = 512;

    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`] when the text is empty, too long, or holds a control character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong {
                length: text.len(),
                max: Self::MAX,
            });
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Malformed {
                what: "it holds a control character",
            });
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of one attempt: 32 lower-case hex digits, new for every dispatch. It marks the attempt's processes
/// (`MACHINE_SESSION`), so that what a killed driver left behind can be found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// Hex digits in an id.
    pub const LENGTH: usize = 32;

    /// Reads an id.
    ///
    /// # Errors
    /// [`NameError`] when the text is not 32 lower-case hex digits.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() == Self::LENGTH && is_lower_hex(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Malformed {
                what: "a session is 32 lower-case hex digits",
            })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`NameError`] when the text is anything else.
    pub fn new(text: &str) -> Result<Self, NameError> {
        const WHAT: NameError = NameError::Malformed {
            what: "a SHA-256 is 64 lower-case hex digits",
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(WHAT);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high).ok_or(WHAT)? << 4 | nibble(*low).ok_or(WHAT)?;
        }
        Ok(Self(bytes))
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|digit| nibble(digit).is_some())
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

/// What every checked name that is kept as text can do, beside its `new` and `as_str`.
macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
    };
}
pub(crate) use text_name;
text_name!(TaskId);
text_name!(ActorId);
text_name!(SessionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_stay_in_their_folder() {
        for good in ["t1", "A.b_c-9", "-x", &"a".repeat(128)] {
            assert_eq!(TaskId::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".x",
            "a/b",
            "../x",
            "a b",
            "ä",
            "a\0",
            "a\n",
            &"a".repeat(129),
        ] {
            assert!(TaskId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn digests_round_trip_and_refuse_anything_else() {
        let text = "00ff".repeat(16);
        assert_eq!(Digest::new(&text).unwrap().to_string(), text);
        for bad in [
            "",
            "00FF",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"+f".repeat(32),
        ] {
            assert!(Digest::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn actors_and_sessions_refuse_what_could_forge_a_line() {
        assert!(ActorId::new("did:web:example.org:machine-driver").is_ok());
        for bad in ["", "  ", "a\nb", "\u{1b}[2J"] {
            assert!(ActorId::new(bad).is_err(), "{bad:?}");
        }
        assert!(SessionId::new(&"ab".repeat(16)).is_ok());
        assert!(SessionId::new(&"AB".repeat(16)).is_err());
    }
}
