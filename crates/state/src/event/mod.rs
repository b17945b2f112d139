//! What can happen to a run: the closed, typed set of events.
//!
//! The names that the original driver's log has are kept. Everything that is not determined by the rules (time, exit codes, digests, process ids) enters through a field of an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{Digest, SessionId, TaskId};

macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

mod body;
mod gate;
mod outside;
mod rule;

pub use body::*;
pub use gate::*;
pub use outside::*;
pub use rule::*;

/// Why a record's fields are not an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A newer driver may have written it.
    #[error("this version does not know the event `{name}`; a newer machine-driver may have written it")]
    Unknown {
        /// The name found, cut to 64 characters.
        name: String,
    },
    /// The fields do not fit the event.
    #[error("`{name}` has fields that do not fit")]
    Fields {
        /// The event's name.
        name: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// Which attempt at which task a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRef {
    /// The task.
    pub task: TaskId,
    /// Dispatches number the attempts from 1; 0 for a task that was never dispatched.
    pub attempt: u32,
    /// The attempt's own id; none for a task that was never dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The same for the same work: see [`Task::idempotency_key`](crate::goal::Task::idempotency_key).
    pub idempotency_key: Digest,
    /// The autonomy in force: 0 is propose.
    pub autonomy_used: u8,
}

const ATTEMPT_FIELDS: [&str; 5] = ["task", "attempt", "session", "idempotency_key", "autonomy_used"];

macro_rules! events {
    (
        run { $($(#[$run_doc:meta])* $run:ident = $run_name:literal,)* }
        attempt { $($(#[$att_doc:meta])* $att:ident = $att_name:literal,)* }
    ) => {
        /// Something that happened. `run` events are about the goal, the others about one attempt at one task.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$run_doc])* $run($run),)*
            $($(#[$att_doc])* $att(AttemptRef, $att),)*
        }

        impl Event {
            /// The names of all events, as the log writes them.
            pub const NAMES: &'static [&'static str] = &[$($run_name,)* $($att_name,)*];

            /// The event's name, as the log writes it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$run(_) => $run_name,)*
                    $(Self::$att(..) => $att_name,)*
                }
            }

            /// Which attempt the event is about, where it is about one.
            #[must_use]
            pub fn attempt(&self) -> Option<&AttemptRef> {
                match self {
                    $(Self::$run(_) => None,)*
                    $(Self::$att(attempt, _) => Some(attempt),)*
                }
            }

            /// The event's own fields in the order in which the log writes them.
            pub(crate) fn fields(&self) -> Result<Map<String, Value>, serde_json::Error> {
                match self {
                    $(Self::$run(body) => object(body),)*
                    $(Self::$att(attempt, body) => {
                        let mut fields = object(attempt)?;
                        fields.extend(object(body)?);
                        Ok(fields)
                    })*
                }
            }

            /// Reads the event called `name` from exactly its fields: a missing or an additional one is an error.
            pub(crate) fn from_fields(name: &str, mut fields: Map<String, Value>) -> Result<Self, EventError> {
                match name {
                    $($run_name => Ok(Self::$run(typed($run_name, fields)?)),)*
                    $($att_name => {
                        let attempt = typed($att_name, take(&mut fields, &ATTEMPT_FIELDS))?;
                        Ok(Self::$att(attempt, typed($att_name, fields)?))
                    })*
                    other => Err(EventError::Unknown { name: other.chars().take(64).collect() }),
                }
            }
        }
    };
}

events! {
    run {
        /// A driver started on this goal.
        DriverUp = "driver_up",
        /// The chain begins with progress from elsewhere.
        Imported = "imported",
        /// The operator edited goal.json while no driver ran.
        GoalEdited = "goal_edited",
        /// `task add` added a task.
        TaskAdded = "task_added",
        /// The operator put tasks back.
        Retried = "retried",
        /// The contract was ratified by command.
        ContractRatified = "contract_ratified",
        /// The contract was revoked by command.
        ContractRevoked = "contract_revoked",
        /// The operator turned the dial.
        DialChanged = "dial_changed",
        /// An operator overrides the driver.
        OverrideRequested = "override_requested",
        /// What the operator asked for is so.
        OverrideEffective = "override_effective",
        /// The halt is lifted.
        OverrideLifted = "override_lifted",
        /// A person allows one commit that cannot be undone.
        Approved = "approved",
        /// Something of the driver's own was changed behind its back.
        Tampering = "tampering",
        /// A limit of the budget is reached: the run halts.
        BudgetHalt = "budget_halt",
        /// Every task is done or blocked.
        GoalComplete = "goal_complete",
        /// A person is to be told: nothing is sent before this is on disk.
        AlertRaised = "alert_raised",
        /// An alert went out.
        AlertDelivered = "alert_delivered",
        /// What an alert was about is over.
        AlertResolved = "alert_resolved",
    }
    attempt {
        /// A worker is about to be started. Nothing starts before this is on disk.
        Dispatch = "dispatch",
        /// The worker's process runs.
        WorkerStarted = "worker_started",
        /// The worker ended by itself or by its own limits.
        WorkerExited = "worker_exited",
        /// The verifier passed the attempt.
        Verified = "verified",
        /// The verifier failed the attempt.
        VerifyFailed = "verify_failed",
        /// The verifier could not judge.
        VerifyUnavailable = "verify_unavailable",
        /// The task goes back for a fresh attempt.
        Requeue = "requeue",
        /// The task is given up and surfaced.
        Quarantine = "quarantine",
        /// The verified change is left for review: the task is done.
        Proposed = "proposed",
        /// A record about what was found is on disk, signed or waiting for a signature.
        RecordSigned = "record_signed",
        /// The gate allows the commit: it is about to be made.
        GateAllowed = "gate_allowed",
        /// The gate does not allow it.
        GateDenied = "gate_denied",
        /// The gate does not allow it by itself; a person could.
        GateEscalated = "gate_escalated",
        /// The contract forbids it.
        CommitDenied = "commit_denied",
        /// The change is committed: the task is done.
        Commit = "commit",
        /// There is nothing to commit: the task is done.
        CommitEmpty = "commit_empty",
        /// The commit could not be made.
        CommitFailed = "commit_failed",
        /// A crash, a signal or the budget cut work under way off.
        Interrupted = "interrupted",
    }
}

impl Event {
    /// What the record is about: the task's id, or `goal`.
    #[must_use]
    pub fn scope(&self) -> &str {
        match self {
            Self::TaskAdded(added) => added.task.as_str(),
            Self::Retried(retried) => retried.task.as_str(),
            Self::Approved(approved) => approved.task.as_str(),
            Self::AlertRaised(raised) => raised.about.as_ref().map_or("goal", TaskId::as_str),
            other => other.attempt().map_or("goal", |attempt| attempt.task.as_str()),
        }
    }

    /// Whether the loop itself wrote it while it ran; the others come from outside, and time before them is not the run's.
    #[must_use]
    pub fn is_of_the_loop(&self) -> bool {
        match self {
            Self::DriverUp(_)
            | Self::Imported(_)
            | Self::GoalEdited(_)
            | Self::TaskAdded(_)
            | Self::Retried(_)
            | Self::ContractRatified(_)
            | Self::ContractRevoked(_)
            | Self::OverrideLifted(_)
            | Self::Approved(_) => false,
            Self::DialChanged(changed) => changed.running,
            Self::OverrideRequested(requested) => requested.running,
            Self::OverrideEffective(effective) => effective.running,
            _ => true,
        }
    }

    /// The goal that is in force from this record on, where it says so.
    #[must_use]
    pub const fn goal(&self) -> Option<Digest> {
        match self {
            Self::Imported(imported) => Some(imported.goal_sha256),
            Self::DriverUp(up) => Some(up.goal_sha256),
            Self::GoalEdited(edited) => Some(edited.after),
            Self::TaskAdded(added) => Some(added.after),
            Self::ContractRatified(ratified) => Some(ratified.after),
            Self::ContractRevoked(revoked) => Some(revoked.after),
            Self::DialChanged(changed) => Some(changed.after),
            _ => None,
        }
    }

    /// Whether it says who may do what: such records are copied to the goal's `audit_sink`.
    #[must_use]
    pub const fn is_of_governance(&self) -> bool {
        matches!(
            self,
            Self::GoalEdited(_)
                | Self::TaskAdded(_)
                | Self::Retried(_)
                | Self::ContractRatified(_)
                | Self::ContractRevoked(_)
                | Self::DialChanged(_)
                | Self::OverrideRequested(_)
                | Self::OverrideEffective(_)
                | Self::OverrideLifted(_)
                | Self::Approved(_)
                | Self::Tampering(_)
                | Self::BudgetHalt(_)
                | Self::GateAllowed(..)
                | Self::GateDenied(..)
                | Self::GateEscalated(..)
                | Self::CommitDenied(..)
                | Self::Commit(..)
        ) || matches!(self, Self::Imported(imported) if matches!(imported.origin, Origin::Restart))
    }
}

fn object(body: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::to_value(body)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn typed<T: serde::de::DeserializeOwned>(
    name: &'static str,
    fields: Map<String, Value>,
) -> Result<T, EventError> {
    serde_json::from_value(Value::Object(fields)).map_err(|source| EventError::Fields { name, source })
}

fn take(fields: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|name| fields.shift_remove_entry(*name))
        .collect()
}
