//! Signing.

use std::fmt;

use machine_driver_state::canonical::CanonicalError;
use machine_driver_state::id::Digest;
use serde_json::json;

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::draft::DraftError;
use crate::key::Signature;
use crate::record::Record;
use crate::signer::{SignError, Signer};
use crate::structure::{self, ALGORITHM};

/// A record that is whole but for its signature.
#[derive(Clone, PartialEq)]
pub struct Unsigned {
    record: Record,
    principal: Did,
}

/// A record with its signature, made by this program. It is verified like any other by those who read it.
#[derive(Clone, PartialEq)]
pub struct Signed {
    record: Record,
    digest: Digest,
}

impl Unsigned {
    pub(crate) const fn new(record: Record, principal: Did) -> Self {
        Self { record, principal }
    }

    /// A record that was read from a file, to be signed now: it must pass every step of L0 that needs no signature.
    ///
    /// # Errors
    /// [`DraftError::Signed`] or [`DraftError::NotARecord`].
    pub fn of(record: Record) -> Result<Self, DraftError> {
        if record.is_signed() {
            return Err(DraftError::Signed);
        }
        structure::check_unsigned(&record).map_err(|(step, (reason, text))| DraftError::NotARecord {
            step,
            reason,
            text: text.into_owned(),
        })?;
        let principal = record.text(&["principal"]).unwrap_or_default();
        let principal = Did::new(principal).map_err(|error| DraftError::NotARecord {
            step: crate::reason::Step::Identities,
            reason: crate::reason::Reason::NotADid,
            text: error.to_string(),
        })?;
        Ok(Self { record, principal })
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Who is to sign it.
    #[must_use]
    pub const fn principal(&self) -> &Did {
        &self.principal
    }

    /// The bytes of a file for it.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.record.to_json()
    }

    /// What would be signed if it had no `prior`.
    ///
    /// # Errors
    /// As [`Record::signed_bytes`].
    pub fn canonical(&self) -> Result<CanonicalBytes, CanonicalError> {
        self.record.signed_bytes()
    }

    /// Signs it. `prior` is the [`Signed::digest`] of the subject's previous signed record, none for the first; it
    /// replaces what stood there.
    ///
    /// Where the signer's key is known, what it returns is checked.
    ///
    /// # Errors
    /// [`SignError`]; the record is as before, to be kept without a signature.
    pub fn sign(&self, signer: &dyn Signer, prior: Option<Digest>) -> Result<Signed, SignError> {
        if *signer.principal() != self.principal {
            return Err(SignError::Principal {
                signer: signer.principal().clone(),
                record: self.principal.clone(),
            });
        }
        let mut record = self.record.clone();
        record.fields.shift_remove("prior");
        if let Some(prior) = prior {
            record.fields.insert("prior".to_owned(), json!(prior));
        }
        let bytes = record.signed_bytes()?;
        let signature = signer.sign(&bytes)?;
        let holds = |key: crate::key::PublicKey| key.verifies(bytes.as_bytes(), &signature);
        if !signer.public_key().is_none_or(holds) {
            let signer = signer.principal().clone();
            return Err(SignError::DoesNotHold { signer });
        }
        Ok(Signed::new(record, &self.principal, &signature)?)
    }
}

impl Signed {
    fn new(mut record: Record, by: &Did, signature: &Signature) -> Result<Self, CanonicalError> {
        record.sig = Some(json!({"alg": ALGORITHM, "by": by, "value": signature.to_base64url()}));
        let digest = record.digest()?;
        Ok(Self { record, digest })
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The hex SHA-256 of this is what the next record about the same subject has as `prior`: see [`Record::digest`].
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes of a file for it.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.record.to_json()
    }
}

impl fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unsigned").field(&self.record).finish()
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signed").field(&self.record).finish()
    }
}
