//! What the events of governance say: contract, dial, override, approval, and what the audit of a change found.

use serde::{Deserialize, Serialize};

use crate::event::OutputDigest;
use crate::id::{Digest, SessionId, TaskId};
use crate::survey::Survey;
use crate::time::Timestamp;

/// The id of a request to a driver: 32 lower-case hex digits.
pub type RequestId = SessionId;

body! {
    /// What the audit of a change found, before its verify.
    Audited {
        /// Digest of the rules that were asked.
        rules: Digest,
        /// How the tree stood.
        survey: Survey,
        /// How many paths differ from where the task began.
        paths: u64,
        /// What the rules about what may be changed say, where there are some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<RuleFound>,
        /// What the rules about what may not be changed say, where there are some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        immutable: Option<RuleFound>,
    }
}

body! {
    /// What one rule says about a change.
    RuleFound {
        /// Whether it holds.
        holds: bool,
        /// What was found, in words: kept as evidence.
        output: OutputDigest,
    }
}

impl Audited {
    /// Whether all rules that were asked hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        let rules = self.scope.iter().chain(&self.immutable);
        rules.into_iter().all(|found| found.holds)
    }
}

body! {
    /// What was found of the contract's receipt when a driver started.
    ReceiptSeen {
        /// SHA-256 over the RFC 8785 form of the receipt.
        sha256: Digest,
        /// Why it does not count; none for one that does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    }
}

body! {
    /// The contract was ratified by command.
    ContractRatified {
        /// Digest of the goal before.
        before: Digest,
        /// Digest of the goal with the ratification.
        after: Digest,
        /// The contract's digest: what was ratified.
        contract: Digest,
        /// Who ratified it.
        by: String,
        /// Whose key signed the receipt, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<String>,
        /// SHA-256 of the council's transcript, where one ratified.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transcript: Option<Digest>,
    }
}

body! {
    /// The contract was revoked by command.
    ContractRevoked {
        /// Digest of the goal before.
        before: Digest,
        /// Digest of the goal with the revocation.
        after: Digest,
        /// Who revoked it.
        by: String,
        /// Why.
        reason: String,
    }
}

body! {
    /// The operator turned the dial.
    DialChanged {
        /// Digest of the goal before.
        before: Digest,
        /// Digest of the goal with the new mode.
        after: Digest,
        /// The mode before.
        from: String,
        /// The mode from now on.
        to: String,
        /// Who turned it.
        by: String,
        /// Why.
        reason: String,
        /// Whether a driver wrote it that ran.
        running: bool,
    }
}

/// What an operator asks of a driver that runs. It can only ever do less for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverrideKind {
    /// Stop everything, and start nothing before a person says so.
    Halt,
    /// Commit nothing.
    Dial,
}

body! {
    /// An operator overrides the driver.
    OverrideRequested {
        /// The request's id.
        id: RequestId,
        /// What is asked for.
        kind: OverrideKind,
        /// Who asks, as they say.
        by: String,
        /// Why.
        reason: String,
        /// When they asked, by their clock.
        asked_at: Timestamp,
        /// Whether a driver wrote it that ran.
        running: bool,
    }
}

body! {
    /// What the operator asked for is so.
    OverrideEffective {
        /// The request's id.
        id: RequestId,
        /// What was asked for.
        kind: OverrideKind,
        /// Milliseconds from asking to this.
        delay_ms: u64,
        /// Whether the driver did not answer, and was ended by the command that halts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ended: bool,
        /// Whether a driver wrote it that ran.
        running: bool,
    }
}

body! {
    /// The halt is lifted: a driver may start again.
    OverrideLifted {
        /// Who lifted it.
        by: String,
        /// Why.
        reason: String,
    }
}

body! {
    /// A person allows one commit that cannot be undone.
    Approved {
        /// The task.
        task: TaskId,
        /// The work that is approved: another text of the task is another work.
        idempotency_key: Digest,
        /// The contract's digest: another contract is not what was approved.
        contract: Digest,
        /// Who approves.
        by: String,
        /// Why.
        reason: String,
        /// Until when; nothing is approved from then on.
        until: Timestamp,
    }
}
