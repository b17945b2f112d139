//! Receipts: a contract's ratification, signed.
//!
//! What is signed is the RFC 8785 form of all members of the receipt but `signature`. `kind` is among them, so that no other
//! record that somebody signs can be taken for one.

use std::path::Path;

use machine_driver_state::canonical::CanonicalError;
use machine_driver_state::goal::Receipt;
use machine_driver_state::id::Digest;
use machine_driver_state::time::Timestamp;
use serde_json::Value;

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::ed25519::{self, Ed25519Signer};
use crate::key::{PublicKey, Signature};
use crate::signer::{SignError, Signer};
use crate::trust::Trusted;

/// What a receipt is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratified {
    /// The contract's digest.
    pub digest: Digest,
    /// Who ratified it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of a council's transcript, where one ratified.
    pub transcript_sha256: Option<Digest>,
}

/// Why a receipt does not count. Texts in here are foreign: escape them before printing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Nobody whom the operator trusts is its signer.
    #[error("its signer {signer} is not among those whom {folder} trusts{passed_over}", folder = folder.display())]
    Stranger {
        /// Whom the receipt names.
        signer: Did,
        /// Where those are whom the operator trusts.
        folder: std::path::PathBuf,
        /// What in there does not count, each behind a semicolon.
        passed_over: String,
    },
    /// The signer's document has no key that may be trusted.
    #[error("the document of {signer} has no Ed25519 key in `assertionMethod` that can be trusted")]
    NoKey {
        /// Whom the receipt names.
        signer: Did,
    },
    /// The signature is not 64 bytes in base64url.
    #[error("its signature is not 64 bytes in base64url without padding")]
    Encoding,
    /// The signature is not the signer's over this receipt.
    #[error("its signature does not hold for any key of {signer}: receipt or key is another")]
    DoesNotHold {
        /// Whom the receipt names.
        signer: Did,
    },
    /// It cannot be written as JSON.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Signs a ratification.
///
/// Where the signer's key is known, what it returns is checked.
///
/// # Errors
/// [`SignError`], where nothing was signed.
pub fn sign_receipt(ratified: Ratified, signer: &dyn Signer) -> Result<Receipt, SignError> {
    let mut receipt = Receipt {
        kind: Receipt::KIND,
        digest: ratified.digest,
        by: ratified.by,
        at: ratified.at,
        signer: signer.principal().clone(),
        transcript_sha256: ratified.transcript_sha256,
        signature: String::new(),
    };
    let bytes = receipt_bytes(&receipt)?;
    let signature = signer.sign(&bytes)?;
    let holds = |key: PublicKey| key.verifies(bytes.as_bytes(), &signature);
    if !signer.public_key().is_none_or(holds) {
        let signer = receipt.signer;
        return Err(SignError::DoesNotHold { signer });
    }
    receipt.signature = signature.to_base64url();
    Ok(receipt)
}

/// What is signed of a receipt.
///
/// # Errors
/// [`CanonicalError`] where it cannot be written as JSON.
pub fn receipt_bytes(receipt: &Receipt) -> Result<CanonicalBytes, CanonicalError> {
    let unsigned = Receipt {
        signature: String::new(),
        ..receipt.clone()
    };
    let mut fields = match serde_json::to_value(&unsigned) {
        Ok(Value::Object(fields)) => fields,
        // Let the one way to canonical bytes say what is wrong.
        _ => return CanonicalBytes::of(&unsigned),
    };
    fields.shift_remove("signature");
    CanonicalBytes::of_fields(&fields)
}

impl Trusted {
    /// Checks a receipt's signature: strictly, and against the documents of its signer alone. What it is about, and by whom, is
    /// for others to compare.
    ///
    /// # Errors
    /// [`ReceiptError`] says why it does not count.
    pub fn check(&self, receipt: &Receipt) -> Result<(), ReceiptError> {
        let signer = || receipt.signer.clone();
        let mut documents = self.of(&receipt.signer).peekable();
        if documents.peek().is_none() {
            return Err(ReceiptError::Stranger {
                signer: signer(),
                folder: self.folder().to_owned(),
                passed_over: self.complaints(),
            });
        }
        let keys: Vec<&PublicKey> = documents.flat_map(crate::DidDocument::keys).collect();
        if keys.is_empty() {
            return Err(ReceiptError::NoKey { signer: signer() });
        }
        let signature = Signature::from_base64url(&receipt.signature).ok_or(ReceiptError::Encoding)?;
        let bytes = receipt_bytes(receipt)?;
        if keys.iter().any(|key| key.verifies(bytes.as_bytes(), &signature)) {
            Ok(())
        } else {
            Err(ReceiptError::DoesNotHold { signer: signer() })
        }
    }

    /// The signer with the private key in the file at `key`, if the key is that of somebody trusted: whose it is, the documents
    /// say and not the file.
    ///
    /// # Errors
    /// [`SignError`] as from [`Ed25519Signer::load`], and [`SignError::Refused`] where no document has its public key.
    pub fn signer(&self, key: &Path) -> Result<Ed25519Signer, SignError> {
        let private = ed25519::load(key)?;
        let public = PublicKey::of(&private);
        match self.owner(&public) {
            Some(owner) => Ok(Ed25519Signer::new(private, owner.clone())),
            None => Err(SignError::refused(format!(
                "no DID document in {} belongs to the key in {}{}",
                self.folder().display(),
                key.display(),
                self.complaints()
            ))),
        }
    }
}

#[cfg(test)]
#[path = "receipt/tests.rs"]
mod tests;
