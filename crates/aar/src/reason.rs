//! What is checked, in which order, and the words for what fails. The words are part of the interface: none ever changes
//! its meaning, new ones may come.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a record proves. Each level stands on the one below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// It is whole and signed by who may sign it.
    L0,
    /// It says what reality answered, and commits to the answer.
    L1,
    /// Someone other than the worker verified.
    L2,
    /// Its place in the history can be checked.
    L3,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it, which never changes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// One check. They run in this order, and the first that fails ends the verification: what stands below it is not
    /// reached. [`Step::Evidence`] is made on its own, by [`check_evidence`](crate::check_evidence).
    Step {
        /// The file is one JSON object of the strict kind. Of several faults the first in the file is named.
        Read = "read",
        /// The members that a record must have are there, and each known member has its type.
        Members = "members",
        /// `aar` is a version that is known here.
        Version = "version",
        /// Subject, principal, verifier and signer are DIDs.
        Identities = "identities",
        /// `verdict`, `ground_truth`, `quality` and `verifier.independence` are among their values.
        Values = "values",
        /// `issued` is an RFC 3339 time.
        Issued = "issued",
        /// `sig.alg` is Ed25519.
        Algorithm = "algorithm",
        /// `sig.by` may sign this record.
        Signer = "signer",
        /// `sig.value` is 64 bytes in base64url.
        Encoding = "encoding",
        /// A DID document with the id `sig.by` is at hand.
        Document = "document",
        /// It has a good key in `assertionMethod`.
        Key = "key",
        /// The signature holds.
        Signature = "signature",
        /// L1: `ground_truth` is there.
        GroundTruth = "ground-truth",
        /// L1: what was confirmed or contradicted has a whole entry in `checks`.
        Commitments = "commitments",
        /// L2: a verifier is named who is not the subject.
        Verifier = "verifier",
        /// L3: the record's place in its subject's chain.
        Chain = "chain",
        /// The kept evidence is what the record commits to.
        Evidence = "evidence",
    }
}

impl Step {
    /// The level that cannot be reached without it.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::GroundTruth | Self::Commitments | Self::Evidence => Level::L1,
            Self::Verifier => Level::L2,
            Self::Chain => Level::L3,
            _ => Level::L0,
        }
    }

    /// The steps that every record goes through, in order: all but [`Step::Evidence`].
    pub fn of_a_record() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|&step| step != Self::Evidence)
    }
}

words! {
    /// Why a step failed, or what a reader should know.
    Reason {
        /// The file is larger than 1 MiB.
        TooLarge = "too-large",
        /// The file is not UTF-8.
        NotUtf8 = "not-utf8",
        /// The file is not JSON: also lone surrogates, numbers beyond a double, and text behind the value.
        NotJson = "not-json",
        /// The file's value is not an object.
        NotAnObject = "not-an-object",
        /// Objects and lists nest deeper than 64.
        TooDeep = "too-deep",
        /// A key stands twice in one object.
        DuplicateKey = "duplicate-key",
        /// A key that a JSON library gives a meaning of its own.
        ReservedKey = "reserved-key",
        /// `sig` or a member that starts with `_` below the top level, where it would look unsigned.
        NestedUnsigned = "nested-unsigned",
        /// A number other than an integer within 2^53 - 1, or a number outside `evidence`.
        Number = "number",
        /// A member that a record must have is not there.
        MemberMissing = "member-missing",
        /// A member has the wrong type, or `sig` a member that nothing covers.
        MemberType = "member-type",
        /// There is no `sig`.
        Unsigned = "unsigned",
        /// `aar` is not `0.02`.
        VersionUnknown = "version-unknown",
        /// A text that should be a DID is none.
        NotADid = "not-a-did",
        /// A text is not among its values.
        ValueUnknown = "value-unknown",
        /// `issued` is not an RFC 3339 time.
        NotATime = "not-a-time",
        /// `sig.alg` is a MAC: who can check one can forge one.
        AlgorithmMac = "algorithm-mac",
        /// `sig.alg` is something else than Ed25519.
        AlgorithmUnknown = "algorithm-unknown",
        /// `sig.by` is neither the principal nor the verifier, or the DID that the verifier's id extends.
        SignerStranger = "signer-stranger",
        /// `sig.by` is not the principal, and no one named it as a signer to be trusted.
        SignerNotNamed = "signer-not-named",
        /// `sig.value` is not 64 bytes in base64url without padding.
        SignatureEncoding = "signature-encoding",
        /// No DID document at hand has the id `sig.by`.
        DocumentMissing = "document-missing",
        /// The document has no Ed25519 key in `assertionMethod`.
        KeyMissing = "key-missing",
        /// The key is no point, of small order, or not in its canonical form.
        KeyBad = "key-bad",
        /// The signature does not hold for any of the signer's keys.
        SignatureInvalid = "signature-invalid",
        /// There is no `ground_truth`.
        GroundTruthMissing = "ground-truth-missing",
        /// No entry of `checks` is whole.
        ChecksMissing = "checks-missing",
        /// There is no `verifier.id`.
        VerifierMissing = "verifier-missing",
        /// The verifier is the subject.
        VerifierIsSubject = "verifier-is-subject",
        /// A record by itself, or the only one of its subject, shows no history.
        ChainNotShown = "chain-not-shown",
        /// `prior` names a record that is not there: one was removed or changed.
        ChainGap = "chain-gap",
        /// The first record that is there names one before it: the head was cut off.
        ChainHeadCut = "chain-head-cut",
        /// Two records follow the same one, or two begin the chain.
        ChainFork = "chain-fork",
        /// A file holds the record of another task.
        ChainSwap = "chain-swap",
        /// The record that is known to be the last is not there: the tail was cut off.
        ChainTailCut = "chain-tail-cut",
        /// Every signature holds, but nothing proves that the last record is the last.
        ChainEndNotProven = "chain-end-not-proven",
        /// The same record stands in two files.
        Duplicate = "duplicate-record",
        /// Verifier and principal are one organisation, which vouches for itself.
        SamePrincipal = "same-principal",
        /// Verdict and ground truth say different things.
        VerdictAgainstTruth = "verdict-against-truth",
        /// The kept evidence is not what the record commits to.
        EvidenceMismatch = "evidence-mismatch",
        /// The evidence is not kept, or not here.
        EvidenceMissing = "evidence-missing",
        /// The record's task id is not one, so it names no folder.
        EvidenceTaskId = "evidence-task-id",
        /// What lies in place of the evidence is not a plain file that can be read, or too large.
        EvidenceUnreadable = "evidence-unreadable",
    }
}

/// Every reason with the step that it belongs to. Notes decide nothing: `same-principal`, `verdict-against-truth`,
/// `duplicate-record` and `chain-end-not-proven`.
pub const REASONS: &[(Reason, Step)] = &[
    (Reason::TooLarge, Step::Read),
    (Reason::NotUtf8, Step::Read),
    (Reason::NotJson, Step::Read),
    (Reason::NotAnObject, Step::Read),
    (Reason::TooDeep, Step::Read),
    (Reason::DuplicateKey, Step::Read),
    (Reason::ReservedKey, Step::Read),
    (Reason::NestedUnsigned, Step::Read),
    (Reason::Number, Step::Read),
    (Reason::MemberMissing, Step::Members),
    (Reason::MemberType, Step::Members),
    (Reason::Unsigned, Step::Members),
    (Reason::VersionUnknown, Step::Version),
    (Reason::NotADid, Step::Identities),
    (Reason::ValueUnknown, Step::Values),
    (Reason::NotATime, Step::Issued),
    (Reason::AlgorithmMac, Step::Algorithm),
    (Reason::AlgorithmUnknown, Step::Algorithm),
    (Reason::SignerStranger, Step::Signer),
    (Reason::SignerNotNamed, Step::Signer),
    (Reason::SignatureEncoding, Step::Encoding),
    (Reason::DocumentMissing, Step::Document),
    (Reason::KeyMissing, Step::Key),
    (Reason::KeyBad, Step::Key),
    (Reason::SignatureInvalid, Step::Signature),
    (Reason::GroundTruthMissing, Step::GroundTruth),
    (Reason::ChecksMissing, Step::Commitments),
    (Reason::VerifierMissing, Step::Verifier),
    (Reason::VerifierIsSubject, Step::Verifier),
    (Reason::ChainNotShown, Step::Chain),
    (Reason::ChainGap, Step::Chain),
    (Reason::ChainHeadCut, Step::Chain),
    (Reason::ChainFork, Step::Chain),
    (Reason::ChainSwap, Step::Chain),
    (Reason::ChainTailCut, Step::Chain),
    (Reason::ChainEndNotProven, Step::Chain),
    (Reason::Duplicate, Step::Chain),
    (Reason::SamePrincipal, Step::Verifier),
    (Reason::VerdictAgainstTruth, Step::GroundTruth),
    (Reason::EvidenceMismatch, Step::Evidence),
    (Reason::EvidenceMissing, Step::Evidence),
    (Reason::EvidenceTaskId, Step::Evidence),
    (Reason::EvidenceUnreadable, Step::Evidence),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_in_the_table_once_and_has_its_own_word() {
        let mut listed: Vec<Reason> = REASONS.iter().map(|(reason, _)| *reason).collect();
        listed.sort_unstable();
        assert_eq!(listed, Reason::ALL);
        let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    /// The levels never go down along the steps, so the first failure decides.
    #[test]
    fn steps_are_in_order_of_level() {
        let levels: Vec<Level> = Step::of_a_record().map(Step::level).collect();
        assert!(levels.is_sorted());
        assert_eq!(
            (levels.first(), levels.last()),
            (Some(&Level::L0), Some(&Level::L3))
        );
    }
}
