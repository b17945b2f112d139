//! A record before it is signed, in types that leave no room for a record that contradicts itself.

use std::num::NonZeroI32;

use machine_driver_state::canonical::CanonicalError;
use machine_driver_state::change::ObjectId;
use machine_driver_state::id::{Digest, SessionId, TaskId};
use machine_driver_state::record::Head;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;
use serde_json::{Map, Value, json};

use crate::did::Did;
use crate::json::INTEGER_MAX;
use crate::reason::{Reason, Step};
use crate::record::{Record, SIZE_MAX};
use crate::signed::Unsigned;
use crate::structure::VERSION;
use crate::text::{excerpt, one_line};

/// What `prior`, `sig` and the indentation of a file may add to a record's canonical form, with room to spare.
const ROOM: usize = SIZE_MAX / 2;

/// What a record is to say. [`Draft::build`] makes the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The worker that the record is about.
    pub subject: Did,
    /// Who answers for it, and signs.
    pub principal: Did,
    /// Who verified; not the subject.
    pub verifier: Did,
    /// The unit of work.
    pub task: Task,
    /// What came out: `verdict`, `ground_truth` and `reason` follow from it.
    pub outcome: Outcome,
    /// What was asked, and what the answer was. At least one where something was confirmed or contradicted.
    pub checks: Vec<Check>,
    /// When the verdict fell, in the log's time.
    pub issued: Timestamp,
    /// What the verdict is bound to.
    pub evidence: Option<Evidence>,
}

/// The unit of work, and what was claimed to have been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The task's goal.
    pub claim: String,
}

/// What came out. `head` is the commit that was verified; none in a repository without commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The verify command ended with 0: `verified`, `confirmed`.
    Verified {
        /// What it ran against.
        head: Option<ObjectId>,
    },
    /// Reality contradicts the claim: `rejected`, `contradicted`.
    Rejected {
        /// How it showed.
        why: Rejection,
        /// What it ran against.
        head: Option<ObjectId>,
    },
    /// The verify command could not run, so nothing is known: `unclear`, `unchecked`.
    Unclear {
        /// Why it could not, as a clause. Made one line.
        why: String,
    },
}

/// How reality contradicted a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The verify command ended with another status than 0.
    Exited(NonZeroI32),
    /// A signal ended the verify command.
    Signaled(i32),
    /// The verify command was stopped: out of time, or something else, as a clause ("was stopped after 600 s").
    Stopped(String),
    /// The change breaks a rule, as a clause ("changed 2 paths outside its scope").
    Rule(String),
}

/// One question to reality and a commitment to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was asked: `repo`.
    pub source: String,
    /// How: the verify command, or a rule's name.
    pub query: String,
    /// When, in the log's time.
    pub observed_at: Timestamp,
    /// SHA-256 of the whole answer, as it is kept.
    pub response_sha256: Digest,
    /// What a person sees of it. [`Draft::build`] cuts it to the last 300 characters and removes control characters.
    pub excerpt: String,
}

/// What a verdict is bound to. Absent parts are not known, or do not apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The commit that the change starts from.
    pub base_commit: Option<ObjectId>,
    /// The tree that was verified.
    pub tree: Option<ObjectId>,
    /// SHA-256 of the change as it is kept (`attempt-<n>.patch`).
    pub patch_sha256: Option<Digest>,
    /// Digest of the contract in force.
    pub contract_sha256: Option<Digest>,
    /// SHA-256 of the verify command's text.
    pub verify_cmd_sha256: Option<Digest>,
    /// Who worked, and how often.
    pub worker: Option<WorkerEvidence>,
    /// What the work used, as far as the worker said.
    pub usage: Option<Usage>,
    /// Where the log ended when the verdict fell.
    pub log_head: Option<Head>,
}

/// Who worked, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEvidence {
    /// SHA-256 of the worker's command, or of whatever names it.
    pub cmd_sha256: Option<Digest>,
    /// The session of the last attempt.
    pub session: Option<SessionId>,
    /// The number of the last attempt: the `n` of its evidence files, from 1.
    pub attempts: u64,
}

/// Why a draft, or a foreign file, does not become a record to be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// Subject and verifier are one: an agent does not grade itself.
    #[error("the verifier is the subject, {did}")]
    VerifierIsSubject {
        /// Who.
        did: Did,
    },
    /// Something was confirmed or contradicted, but nothing was asked.
    #[error("a verdict other than unclear needs an entry in `checks`")]
    NoChecks,
    /// A text that must say something is empty.
    #[error("`{member}` is empty")]
    Empty {
        /// Which member.
        member: &'static str,
    },
    /// A number is beyond 2^53 - 1.
    #[error("a number in `evidence` is beyond 2^53 - 1")]
    Number,
    /// The record would be too large to be read.
    #[error("the record would have {bytes} bytes; at most {ROOM} can be signed")]
    TooLarge {
        /// Bytes of its canonical form.
        bytes: usize,
    },
    /// The record is signed already.
    #[error("the record is signed already")]
    Signed,
    /// A foreign record is not one to be signed. Holds foreign text.
    #[error("{text}")]
    NotARecord {
        /// Which step it fails.
        step: Step,
        /// The word for why.
        reason: Reason,
        /// The same in words.
        text: String,
    },
    /// It has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Draft {
    /// The record.
    ///
    /// # Errors
    /// [`DraftError`] where it would contradict itself, or could not be read back.
    pub fn build(self) -> Result<Unsigned, DraftError> {
        self.check()?;
        let (verdict, ground_truth) = self.outcome.words();
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("aar", VERSION.into());
        set("subject", self.subject.as_str().into());
        set("principal", self.principal.as_str().into());
        set("task", json!({"id": self.task.id, "claim": self.task.claim}));
        set("verdict", verdict.into());
        set("ground_truth", ground_truth.into());
        set("reason", self.outcome.reason().into());
        if !self.checks.is_empty() {
            set("checks", self.checks.iter().map(Check::to_value).collect());
        }
        set(
            "verifier",
            json!({"id": self.verifier, "independence": "same_principal"}),
        );
        set("issued", self.issued.to_string().into());
        if let Some(evidence) = &self.evidence {
            set("evidence", evidence.to_value());
        }
        let record = Record::of_fields(fields);
        let bytes = record.signed_bytes()?.as_bytes().len();
        if bytes > ROOM {
            return Err(DraftError::TooLarge { bytes });
        }
        Ok(Unsigned::new(record, self.principal))
    }

    fn check(&self) -> Result<(), DraftError> {
        if self.verifier == self.subject {
            let did = self.subject.clone();
            return Err(DraftError::VerifierIsSubject { did });
        }
        if self.checks.is_empty() && !matches!(self.outcome, Outcome::Unclear { .. }) {
            return Err(DraftError::NoChecks);
        }
        let texts = self
            .checks
            .iter()
            .flat_map(|check| [("checks.source", &check.source), ("checks.query", &check.query)]);
        if let Some((member, _)) = texts.into_iter().find(|(_, text)| text.is_empty()) {
            return Err(DraftError::Empty { member });
        }
        let numbers = self.evidence.as_ref().map(Evidence::numbers);
        if numbers.into_iter().flatten().flatten().any(|n| n > INTEGER_MAX) {
            return Err(DraftError::Number);
        }
        Ok(())
    }
}

impl Outcome {
    /// `verdict` and `ground_truth`.
    const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Verified { .. } => ("verified", "confirmed"),
            Self::Rejected { .. } => ("rejected", "contradicted"),
            Self::Unclear { .. } => ("unclear", "unchecked"),
        }
    }

    /// `reason`: one line.
    fn reason(&self) -> String {
        let (what, head) = match self {
            Self::Verified { head } => ("verify_cmd exited 0".to_owned(), head),
            Self::Rejected { why, head } => (why.clause(), head),
            Self::Unclear { why } => return format!("verify_cmd could not run: {}", one_line(why)),
        };
        match head {
            Some(head) => format!("{what} against repo HEAD {}", head.short()),
            None => format!("{what} against a repository without commits"),
        }
    }
}

impl Rejection {
    fn clause(&self) -> String {
        match self {
            Self::Exited(status) => format!("verify_cmd exited {status}"),
            Self::Signaled(signal) => format!("verify_cmd was ended by signal {signal}"),
            Self::Stopped(why) => format!("verify_cmd {}", one_line(why)),
            Self::Rule(why) => format!("the change {}", one_line(why)),
        }
    }
}

impl Check {
    /// A check with what a person should see of its `output`.
    #[must_use]
    pub fn of(
        source: &str,
        query: &str,
        observed_at: Timestamp,
        response_sha256: Digest,
        output: &str,
    ) -> Self {
        Self {
            source: source.to_owned(),
            query: query.to_owned(),
            observed_at,
            response_sha256,
            excerpt: excerpt(output),
        }
    }

    fn to_value(&self) -> Value {
        json!({
            "source": self.source,
            "query": self.query,
            "observed_at": self.observed_at,
            "response_sha256": self.response_sha256,
            "excerpt": excerpt(&self.excerpt),
        })
    }
}

impl Evidence {
    fn numbers(&self) -> [Option<u64>; 4] {
        [
            self.worker.as_ref().map(|worker| worker.attempts),
            self.usage.and_then(|usage| usage.tokens),
            self.usage.and_then(|usage| usage.usd_micros),
            self.log_head.map(|head| head.seq),
        ]
    }

    fn to_value(&self) -> Value {
        let parts = [
            ("base_commit", self.base_commit.as_ref().map(|id| json!(id))),
            ("tree", self.tree.as_ref().map(|id| json!(id))),
            ("patch_sha256", self.patch_sha256.map(|digest| json!(digest))),
            (
                "contract_sha256",
                self.contract_sha256.map(|digest| json!(digest)),
            ),
            (
                "verify_cmd_sha256",
                self.verify_cmd_sha256.map(|digest| json!(digest)),
            ),
            ("worker", self.worker.as_ref().map(WorkerEvidence::to_value)),
            ("usage", self.usage.map(|usage| json!(usage))),
            ("log_head", self.log_head.map(|head| json!(head))),
        ];
        present(parts)
    }
}

impl WorkerEvidence {
    fn to_value(&self) -> Value {
        present([
            ("cmd_sha256", self.cmd_sha256.map(|digest| json!(digest))),
            ("session", self.session.as_ref().map(|session| json!(session))),
            ("attempts", Some(self.attempts.into())),
        ])
    }
}

fn present<const N: usize>(parts: [(&str, Option<Value>); N]) -> Value {
    parts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
#[path = "draft/tests.rs"]
mod tests;
