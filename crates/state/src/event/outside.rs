//! What the events say that come from outside the loop: progress from elsewhere, and what an operator changes.

use serde::{Deserialize, Serialize};

use super::RequestId;
use crate::goal::Status;
use crate::id::{Digest, TaskId};
use crate::survey::Survey;
use crate::time::Timestamp;

body! {
    /// Progress from elsewhere, at the head of a chain.
    Imported {
        /// The goal's name: binds the log to it.
        goal: String,
        /// Digest of the goal in force.
        goal_sha256: Digest,
        /// Where it comes from.
        origin: Origin,
        /// The file in which the older log is kept, beside goal.json.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_kept_as: Option<String>,
        /// SHA-256 of that file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_sha256: Option<Digest>,
        /// Every task with progress.
        tasks: Vec<ImportedTask>,
        /// Worker runs so far.
        worker_runs: u64,
        /// Time used so far, in milliseconds.
        wall_ms: u64,
        /// What else was used so far, as far as an older log of this driver tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<ImportedSpent>,
        /// What stood in an older log of this driver about who may do what, and stands on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<ImportedRule>,
    }
}

body! {
    /// What a new chain does not forget of an older one.
    #[derive(Default)]
    ImportedRule {
        /// The halt that stands, where the older log could not be read to its end: else it is lifted before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        halt: Option<ImportedHalt>,
        /// Whether the contract was revoked by command, and not ratified since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        revoked: bool,
        /// Fields of the contract that were frozen, and are not what they were; `immutable` where nobody can say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        thawed: Vec<String>,
        /// Whether something was changed behind the driver's back, and no run has ended in order since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tampered: bool,
        /// How the tree stood before any worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        standing: Option<Survey>,
    }
}

body! {
    /// A halt that stands on.
    ImportedHalt {
        /// The request's id.
        id: RequestId,
        /// Who asked for it, as they said.
        by: String,
        /// Why.
        reason: String,
        /// When that was recorded.
        at: Timestamp,
    }
}

body! {
    /// What an older log says was used, besides runs and time.
    ImportedSpent {
        /// Tokens.
        tokens: u64,
        /// Millionths of a US dollar.
        usd_micros: u64,
        /// Bytes that workers wrote.
        output_bytes: u64,
        /// Worker runs that did not report their tokens.
        runs_without_tokens: u64,
        /// Worker runs that did not report their cost.
        runs_without_usd: u64,
    }
}

/// Where imported progress comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// A folder that the original driver used.
    Original,
    /// goal.json came with progress and without a log.
    GoalJson,
    /// `log restart` began a new chain.
    Restart,
}

body! {
    /// One task's imported progress.
    ImportedTask {
        /// The task.
        task: TaskId,
        /// How far it was; a `running` one was interrupted.
        status: Status,
        /// Attempts so far.
        attempts: u32,
        /// Why it is blocked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}

body! {
    /// The operator edited goal.json between two runs.
    GoalEdited {
        /// Digest of the goal as the log knew it.
        before: Digest,
        /// Digest of the goal as it is now.
        after: Digest,
        /// Whether the budget's limits changed: an unknown cost was looked at then.
        budget_changed: bool,
        /// Tasks set back to `pending`, and those that waited behind them.
        retried: Vec<TaskId>,
        /// Fields of the contract that were frozen, and are not what they were.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        thawed: Vec<String>,
    }
}

body! {
    /// A task was added by command.
    TaskAdded {
        /// The new task.
        task: TaskId,
        /// Digest of the goal before.
        before: Digest,
        /// Digest of the goal with the task.
        after: Digest,
    }
}

body! {
    /// The operator put a task back.
    Retried {
        /// The task.
        task: TaskId,
        /// Tasks that were blocked behind it and are put back with it.
        with: Vec<TaskId>,
    }
}
