//! What the events of the gate, of tampering and of alerts say.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, AlertKind};
use crate::change::{Change, ObjectId};
use crate::id::{Digest, TaskId};

body! {
    /// The gate allows the commit of exactly this change: what is about to be done.
    GateAllowed {
        /// What is committed.
        change: Change,
        /// Digest of the contract that allows it.
        contract: Digest,
        /// The autonomy that the commit needs: 1 where it can be undone.
        needs: u64,
        /// Who approved it, where the contract's ceiling did not clear it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved_by: Option<String>,
        /// The commit to go back to in order to undo it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback_ref: Option<ObjectId>,
        /// Tasks given up whose leftovers are in the tree that was verified, and so in the commit.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_over: Vec<TaskId>,
    }
}

/// Why a commit was not allowed, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DenialCode {
    /// An operator halts the run.
    Overridden,
    /// Something of the driver's own was changed behind its back, and nobody has looked since.
    Tampered,
    /// The operator's dial asks for proposals.
    NotAsked,
    /// Nothing can say that it is done.
    NoVerifier,
    /// It was not verified in this attempt.
    NotVerified,
    /// The change cannot be held by one commit of this repository.
    NoTree,
    /// HEAD is not where this run left it.
    HeadMoved,
    /// A change that the gate refused before is still in the tree.
    HeldBack,
    /// The contract's ceiling does not clear it.
    Ceiling,
    /// It cannot be undone, and the contract's ceiling does not clear that.
    Irreversible,
    /// A limit of the budget is reached.
    Budget,
    /// It was not audited by the rules about paths that hold now.
    NotAudited,
    /// The contract is not ratified, or by nobody else than who proposed it.
    NotRatified,
    /// The contract was revoked.
    Revoked,
    /// The contract has expired.
    Expired,
}

impl DenialCode {
    /// Whether it is box 0 that forbids it: then no commit may be made at all, whatever the rest says.
    #[must_use]
    pub const fn is_of_the_contract(self) -> bool {
        matches!(self, Self::NotRatified | Self::Revoked | Self::Expired)
    }
}

body! {
    /// The gate does not allow the commit: the change is left for review.
    GateDenied {
        /// Why, in one word.
        code: DenialCode,
        /// Why, for people.
        reason: String,
        /// Whether it was allowed first, and denied when it was asked again at the place of mutation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_mutation: bool,
    }
}

body! {
    /// The gate does not allow the commit by itself: a person could.
    GateEscalated {
        /// Why, in one word.
        code: DenialCode,
        /// Why, for people.
        reason: String,
        /// Whether it was allowed first, and not any more when it was asked again at the place of mutation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_mutation: bool,
    }
}

body! {
    /// Box 0 forbids the commit.
    CommitDenied {
        /// Why.
        reason: String,
    }
}

body! {
    /// The change is committed.
    Commit {
        /// The commit.
        commit: ObjectId,
        /// Its tree: the one that was verified.
        tree: ObjectId,
        /// Its parent; none for the first commit of a branch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ObjectId>,
    }
}

body! {
    /// The verified tree is that of the commit that is checked out: there is nothing to commit.
    CommitEmpty {
        /// The tree.
        tree: ObjectId,
    }
}

body! {
    /// The gate allowed the commit, and it could not be made.
    CommitFailed {
        /// Why.
        reason: String,
        /// How often it was tried in this run, from 1.
        tries: u32,
        /// Whether it lies in the change, so that another try would be in vain.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lasting: bool,
    }
}

body! {
    /// What a verifier found was put into a record that others can check.
    RecordSigned {
        /// The record's file, in the folder of records.
        file: String,
        /// SHA-256 over the RFC 8785 form of the record, its signature included.
        sha256: Digest,
        /// The record before it, of the same subject.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prior: Option<Digest>,
        /// Why it is not signed, where it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsigned: Option<String>,
    }
}

body! {
    /// Something of the driver's own was changed while it ran.
    Tampering {
        /// What was changed.
        what: String,
        /// The file that keeps the change, beside goal.json.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept_as: Option<String>,
    }
}

body! {
    /// A person is to be told. Nothing is sent before this is on disk.
    AlertRaised {
        /// Its id.
        id: AlertId,
        /// What it is about.
        kind: AlertKind,
        /// One alert at a time has this key.
        dedup_key: String,
        /// The task, where it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<TaskId>,
        /// What happened.
        text: String,
        /// Through what it is to be sent.
        sinks: Vec<String>,
    }
}

body! {
    /// An alert went out through one of its sinks.
    AlertDelivered {
        /// Its id.
        id: AlertId,
        /// The sink.
        sink: String,
        /// How often it was tried in this run, from 1.
        tries: u32,
    }
}

body! {
    /// What an alert was about is over: the next time is told again.
    AlertResolved {
        /// Its id.
        id: AlertId,
        /// Why.
        reason: String,
    }
}
