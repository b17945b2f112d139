//! Agent Attestation Records (AAR v0.02): who vouched, what was run, what came out, over which tree and contract, and in
//! which order. Built so that they cannot contradict themselves, signed with Ed25519 over their RFC 8785 form, chained,
//! and checked by anyone who holds the signer's DID document, offline.
//!
//! ```
//! use machine_driver_aar::{Did, DidDocument, KeyPair, Level, Verifier};
//! # use machine_driver_aar::{Check, Draft, Outcome, Signer, Task};
//! # use machine_driver_state::{canonical::sha256, id::TaskId, time::Timestamp};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issued = Timestamp::from_millis(1_795_341_600_000);
//! let principal = Did::new("did:web:example.org")?;
//! let key = KeyPair::generate()?;
//! let draft = Draft {
//!     subject: Did::new("did:web:example.org:machine-driver")?,
//!     principal: principal.clone(),
//!     verifier: Did::new("did:web:example.org:verifier")?,
//!     task: Task { id: TaskId::new("t1")?, claim: "make the tests pass".into() },
//!     outcome: Outcome::Verified { head: None },
//!     checks: vec![Check::of("repo", "make test", issued, sha256(b"ok\n"), "ok\n")],
//!     issued,
//!     evidence: None,
//! };
//! let signed = draft.build()?.sign(&key.signer(principal.clone()), None)?;
//!
//! let document = DidDocument::read(key.did_document(&principal).as_bytes())?;
//! let report = Verifier::new(vec![document]).check(signed.to_json().as_bytes());
//! assert_eq!(report.level, Some(Level::L2));
//! # Ok(())
//! # }
//! ```
//!
//! Two values follow the driver's own profile rather than the text of AAR v0.02: the verdict `rejected` (the standard's
//! enum says `not_verified`), and `response_sha256` in hex over the output itself (the standard: base64url over
//! `{query, response, observed_at}`). The verifier takes both forms.
//!
//! Texts that come out of a record, a document or a file name are foreign: reports and errors hold them as they are, and
//! **whoever prints one escapes it first**.
//!
//! What a record does not prove: that the tests are good, or that the principal is honest.

mod bytes;
mod canonical;
#[cfg(feature = "command")]
mod command;
mod did;
mod dir;
mod document;
mod draft;
mod ed25519;
mod evidence;
mod folder;
mod json;
mod key;
mod keygen;
mod reason;
mod receipt;
mod record;
mod report;
mod set;
mod signed;
mod signer;
mod structure;
#[cfg(test)]
mod testing;
mod text;
mod time;
mod trust;
mod verify;

pub use bytes::CanonicalBytes;
#[cfg(feature = "command")]
pub use command::CommandSigner;
pub use did::{Did, DidError};
pub use document::{DidDocument, DocumentError};
pub use draft::{Check, Draft, DraftError, Evidence, Outcome, Rejection, Task, WorkerEvidence};
pub use ed25519::Ed25519Signer;
pub use evidence::{EvidenceReport, check_evidence};
pub use folder::{Entry, FolderError, RecordFolder, Written};
pub use json::{DEPTH_MAX, INTEGER_MAX};
pub use key::{KeyError, PublicKey, Signature};
pub use keygen::{KeyPair, KeygenError};
pub use reason::{Level, REASONS, Reason, Step};
pub use receipt::{Ratified, ReceiptError, receipt_bytes, sign_receipt};
pub use record::{ReadError, Record, SIZE_MAX};
pub use report::{Finding, Outcome as CheckOutcome, Report};
pub use set::{Chain, End, Fault, Named, SetOptions, SetReport};
pub use signed::{Signed, Unsigned};
pub use signer::{SignError, Signer};
pub use text::{EXCERPT_CHARS, excerpt, one_line};
pub use trust::{TrustError, Trusted};
pub use verify::Verifier;
