//! The bytes that a signature is over.

use std::fmt;

use machine_driver_state::canonical::{CanonicalError, canonical_json};
use machine_driver_state::id::Digest;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::canonical;

/// The RFC 8785 form of a value: what is signed.
///
/// There is no way to make one from bytes: it comes from a record that was checked, or from a value of ours, such as a
/// record of the log. So a signer cannot be made to sign a text that someone else laid out.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalBytes(Vec<u8>);

impl CanonicalBytes {
    /// The form of a value of ours. Its numbers must be integers below 2^53: RFC 8785 takes every number through a double.
    ///
    /// # Errors
    /// [`CanonicalError`] where the value cannot be written as JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, CanonicalError> {
        canonical_json(value).map(Self)
    }

    /// The form of an object whose members were read strictly, or are ours.
    pub(crate) fn of_fields(fields: &Map<String, Value>) -> Result<Self, CanonicalError> {
        canonical::object(fields, None).map(Self)
    }

    /// The bytes: UTF-8, JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Their SHA-256.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        machine_driver_state::canonical::sha256(&self.0)
    }
}

/// As text, cut after 200 characters.
impl fmt::Debug for CanonicalBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let start: String = text.chars().take(200).collect();
        write!(f, "CanonicalBytes({start:?}, {} bytes)", self.0.len())
    }
}
