//! Agent Attestation Records from outside: published vectors, a corpus of attacks, a second verifier, and whatever a
//! generator thinks of. Counts are printed on stderr.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod canonical;
mod corpus;
mod ed25519;
mod evidence;
#[cfg(feature = "command")]
mod external;
mod flips;
mod roundtrip;
mod sets;
mod smoke;
mod support;
