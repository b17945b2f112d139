//! A record as it lies in a file.

use std::fmt;

use machine_driver_state::canonical::{CanonicalError, sha256};
use machine_driver_state::id::Digest;
use serde_json::{Map, Value};

use crate::bytes::CanonicalBytes;
use crate::canonical;
use crate::json::{self, DEPTH_MAX, Fault, JsonError, Kind};
use crate::reason::Reason;

/// The largest file that is read as a record, in bytes.
pub const SIZE_MAX: usize = 1 << 20;

/// The member that holds the signature.
pub(crate) const SIG: &str = "sig";

/// A record that was read strictly. Nothing is known about what it says, or who signed it: see
/// [`Verifier`](crate::Verifier).
#[derive(Clone, PartialEq)]
pub struct Record {
    /// What is signed, in the file's order.
    pub(crate) fields: Map<String, Value>,
    pub(crate) sig: Option<Value>,
    /// Top-level members that start with `_`: kept, never signed.
    pub(crate) annotations: Map<String, Value>,
}

/// A file is not a record of the strict kind. Keys in here are foreign text: escape them before printing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is larger than [`SIZE_MAX`].
    #[error("the file has {bytes} bytes; a record has at most {SIZE_MAX}")]
    TooLarge {
        /// Bytes in the file.
        bytes: usize,
    },
    /// It is not UTF-8.
    #[error("the file is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// It is not JSON.
    #[error("the file is not JSON: {source}")]
    NotJson {
        /// What the reader says.
        source: serde_json::Error,
    },
    /// Its value is not an object.
    #[error("the file holds no JSON object")]
    NotAnObject,
    /// Objects and lists nest too deep.
    #[error("line {line}, column {column}: nested deeper than {DEPTH_MAX}")]
    TooDeep {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A key stands twice in one object.
    #[error("line {line}, column {column}: the key {key:?} stands twice")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A key that a JSON library gives a meaning of its own.
    #[error("line {line}, column {column}: the key {key:?} has a meaning of its own to a JSON library")]
    ReservedKey {
        /// The key.
        key: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// `sig` or `_…` below the top level.
    #[error(
        "line {line}, column {column}: {key:?} below the top level would look unsigned inside a signed record"
    )]
    NestedUnsigned {
        /// The key.
        key: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A number that a record may not hold.
    #[error("line {line}, column {column}: {what}")]
    Number {
        /// What is wrong with it.
        what: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

impl ReadError {
    /// The word for it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::NotUtf8 { .. } => Reason::NotUtf8,
            Self::NotJson { .. } => Reason::NotJson,
            Self::NotAnObject => Reason::NotAnObject,
            Self::TooDeep { .. } => Reason::TooDeep,
            Self::DuplicateKey { .. } => Reason::DuplicateKey,
            Self::ReservedKey { .. } => Reason::ReservedKey,
            Self::NestedUnsigned { .. } => Reason::NestedUnsigned,
            Self::Number { .. } => Reason::Number,
        }
    }
}

impl From<JsonError> for ReadError {
    fn from(error: JsonError) -> Self {
        let (fault, line, column) = match error {
            JsonError::Syntax(source) => return Self::NotJson { source },
            JsonError::NotAnObject => return Self::NotAnObject,
            JsonError::Fault { fault, line, column } => (fault, line, column),
        };
        let number = |what| Self::Number { what, line, column };
        match fault {
            Fault::Depth => Self::TooDeep { line, column },
            Fault::Duplicate(key) => Self::DuplicateKey { key, line, column },
            Fault::Reserved(key) => Self::ReservedKey { key, line, column },
            Fault::Nested(key) => Self::NestedUnsigned { key, line, column },
            Fault::Fraction => number("a number that is not written as an integer"),
            Fault::TooLarge => number("an integer beyond 2^53 - 1"),
            Fault::NumberElsewhere => number("a number outside `evidence`"),
        }
    }
}

impl Record {
    /// Reads a record: UTF-8, at most 1 MiB, nested at most 64 deep, every key once, no key that a JSON library gives a
    /// meaning of its own, integers within 2^53 - 1 and only inside `evidence`, and nothing named `sig` or `_…` below the
    /// top level.
    ///
    /// # Errors
    /// [`ReadError`] names the first fault.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        if bytes.len() > SIZE_MAX {
            return Err(ReadError::TooLarge { bytes: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
            at: error.valid_up_to(),
        })?;
        Ok(Self::of_fields(json::object(text, Kind::Record)?))
    }

    /// The record with these members, which are ours or were read strictly.
    pub(crate) fn of_fields(mut fields: Map<String, Value>) -> Self {
        let sig = fields.shift_remove(SIG);
        let mut annotations = Map::new();
        if fields.keys().any(|key| key.starts_with('_')) {
            (annotations, fields) = fields.into_iter().partition(|(key, _)| key.starts_with('_'));
        }
        Self {
            fields,
            sig,
            annotations,
        }
    }

    /// What is signed, as members in the file's order.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The top-level members that start with `_`, which no signature covers.
    #[must_use]
    pub const fn annotations(&self) -> &Map<String, Value> {
        &self.annotations
    }

    /// Whether both say the same, signatures, `prior` and notes aside.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let without = |record: &Self| {
            let mut fields = record.fields.clone();
            fields.shift_remove("prior");
            fields
        };
        without(self) == without(other)
    }

    /// The text at a path of members: `["task", "id"]`. Foreign text.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }

    /// The value at a path of signed members.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.fields.get(*first)?, |value, key| {
            value.as_object()?.get(*key)
        })
    }

    /// The id of the task, as the record says it.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        self.text(&["task", "id"])
    }

    /// Who the record is about, as it says.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text(&["subject"])
    }

    /// The digest of the subject's previous signed record; none where there is no such member, or it is no digest.
    #[must_use]
    pub fn prior(&self) -> Option<Digest> {
        Digest::new(self.text(&["prior"])?).ok()
    }

    /// Whether it has a `sig`, which may or may not hold.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.sig.is_some()
    }

    /// `sig` as it stands.
    #[must_use]
    pub const fn sig(&self) -> Option<&Value> {
        self.sig.as_ref()
    }

    /// The bytes that its signature is over: the RFC 8785 form without `sig` and top-level members that start with `_`.
    ///
    /// # Errors
    /// None for a record that was read; the type is serde_json's.
    pub fn signed_bytes(&self) -> Result<CanonicalBytes, CanonicalError> {
        CanonicalBytes::of_fields(&self.fields)
    }

    /// SHA-256 of the RFC 8785 form with `sig` and without top-level members that start with `_`, so that a note which
    /// anyone may add does not tear the chain: what the next record's `prior` is.
    ///
    /// # Errors
    /// As [`Record::signed_bytes`].
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        let sig = self.sig.as_ref().map(|sig| (SIG, sig));
        canonical::object(&self.fields, sig).map(|bytes| sha256(&bytes))
    }

    /// The record as a file holds it: indented, members in their order, `sig` and `_…` last, with a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut all = self.fields.clone();
        all.extend(self.sig.clone().map(|sig| (SIG.to_owned(), sig)));
        all.extend(self.annotations.clone());
        // A value writes itself in full: its keys are texts, and a string takes any amount.
        format!("{:#}\n", Value::Object(all))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("task", &self.task_id())
            .field("subject", &self.subject())
            .field("signed", &self.is_signed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> Reason {
        Record::read(bytes).unwrap_err().reason()
    }

    #[test]
    fn what_is_signed_is_all_but_the_signature_and_notes() {
        let text = r#"{"_note":"n","z":"1","sig":{"by":"b","alg":"a"},"a":{"y":"2","x":"1"}}"#;
        let record = Record::read(text.as_bytes()).unwrap();
        assert_eq!(
            record.signed_bytes().unwrap().as_bytes(),
            br#"{"a":{"x":"1","y":"2"},"z":"1"}"#
        );
        let whole = br#"{"a":{"x":"1","y":"2"},"sig":{"alg":"a","by":"b"},"z":"1"}"#;
        assert_eq!(record.digest().unwrap(), sha256(whole));
        assert_eq!(Record::read(record.to_json().as_bytes()).unwrap(), record);
        assert!(record.to_json().ends_with("}\n"));
        assert_eq!(record.text(&["a", "x"]), Some("1"));
        assert_eq!(record.text(&["_note"]), None);
    }

    #[test]
    fn faults_have_their_words() {
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(SIZE_MAX));
        let deep = format!(r#"{{"a":{}}}"#, "[".repeat(SIZE_MAX - 10));
        for (text, expected) in [
            (large.as_bytes(), Reason::TooLarge),
            (deep.as_bytes(), Reason::TooDeep),
            (b"{\"a\":\"\xff\"}", Reason::NotUtf8),
            (b"{\"a\":\"\xed\xa0\x80\"}", Reason::NotUtf8),
            (br#"{"a":"\ud800"}"#, Reason::NotJson),
            (b"[]", Reason::NotAnObject),
            (br#"{"a":"1","a":"2"}"#, Reason::DuplicateKey),
            (br#"{"__proto__":"1"}"#, Reason::ReservedKey),
            (br#"{"a":{"sig":"1"}}"#, Reason::NestedUnsigned),
            (br#"{"a":1}"#, Reason::Number),
        ] {
            assert_eq!(reason(text), expected);
        }
    }
}
