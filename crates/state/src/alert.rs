//! What a person is told when something needs them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{NameError, SessionId, TaskId};
use crate::time::Timestamp;

/// The id of an alert: 32 lower-case hex digits. It stays the same however often the alert is sent, so that a receiver
/// can drop what it has already.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertId(SessionId);

impl AlertId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`NameError`] when the text is not 32 lower-case hex digits.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_id = SessionId::new(text);
        is_id.map(Self).map_err(|_| NameError::Malformed {
            what: "an alert is 32 lower-case hex digits",
        })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl From<AlertId> for String {
    fn from(id: AlertId) -> Self {
        id.as_str().to_owned()
    }
}

impl TryFrom<String> for AlertId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

/// What an alert is about, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertKind {
    /// A task was given up.
    Quarantine,
    /// The run halts for its budget.
    BudgetHalt,
    /// A commit was asked for, and the contract does not allow any.
    CommitDenied,
    /// Something of the driver's own, or the repository's HEAD, was changed behind its back.
    Tampering,
    /// Commits are asked for, but the contract is not ratified.
    NotRatified,
    /// A record could not be signed.
    Unsigned,
    /// Commits that are allowed cannot be made.
    CommitFailed,
}

impl AlertKind {
    /// The word, as the log writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::BudgetHalt => "budget_halt",
            Self::CommitDenied => "commit_denied",
            Self::Tampering => "tampering",
            Self::NotRatified => "not_ratified",
            Self::Unsigned => "unsigned",
            Self::CommitFailed => "commit_failed",
        }
    }
}

/// An alert as it is sent.
///
/// Its texts come from goals, workers and verifiers: they are data, and whoever shows them has to escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its id: the same however often it is sent.
    pub id: AlertId,
    /// What it is about.
    pub kind: AlertKind,
    /// The goal's name.
    pub goal: String,
    /// The task, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// What happened, and what to do.
    pub text: String,
    /// When it was raised.
    pub at: Timestamp,
}
