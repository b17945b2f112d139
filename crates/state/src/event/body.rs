//! What each event says besides its time and its attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::canonical::sha256;
use crate::change::Change;
use crate::control::{Cut, ProcessMark};
use crate::event::{Audited, ReceiptSeen};
use crate::id::{ActorId, Digest};
use crate::survey::Survey;
use crate::time::Timestamp;
use crate::usage::Usage;

body! {
    /// A driver started.
    DriverUp {
        /// The driver's version.
        version: String,
        /// Its process id.
        pid: u32,
        /// Which boot it runs in; empty where the system does not tell.
        boot_id: String,
        /// The goal's name: binds the log to it.
        goal: String,
        /// Digest of the goal in force, kept as `evidence/goal/<digest>.json`.
        goal_sha256: Digest,
        /// What the operator's dial asked for.
        mode_asked: String,
        /// The mode granted.
        mode: String,
        /// How the driver holds the processes that it starts: `guardian` or `group`.
        tier: String,
        /// Whether verified work is taken to the gate: a commit is asked for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gate: bool,
        /// How the repository stands, where the gate may let something through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repo: Option<Change>,
        /// Through what alerts are sent, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sinks: Vec<String>,
        /// Whether a signed record is written about every task that is resolved.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        records: bool,
        /// What was found of the contract's receipt, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<ReceiptSeen>,
        /// How the tree stood, where rules about paths are asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        survey: Option<Survey>,
        /// Whether a person said that the tree, as it stands, is theirs: from now on the rules compare with that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        accepts_tree: bool,
        /// Whether the run signs its log: then every record of it has a signature.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sealed: bool,
    }
}

body! {
    /// The run halts for its budget.
    BudgetHalt {
        /// The limit's key in goal.json.
        limit: String,
        /// The amount used, with its unit.
        used: String,
        /// The amount allowed, with its unit.
        max: String,
        /// The line for people.
        reason: String,
    }
}

body! {
    /// Every task is done or blocked.
    GoalComplete {
        /// Tasks done.
        done: u64,
        /// Tasks blocked.
        blocked: u64,
    }
}

body! {
    /// A worker is about to be started.
    Dispatch {
        /// Who is to do it.
        worker_id: ActorId,
    }
}

/// The worker's process runs.
pub type WorkerStarted = ProcessMark;

/// How a worker ended, without any judgment of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerClass {
    /// Exit 0.
    Ok,
    /// Another exit.
    Error,
    /// It asks to come back later (exit 75): not an attempt.
    RateLimited,
    /// Its wall or idle limit.
    Timeout,
    /// A signal.
    Killed,
    /// It never ran.
    CouldNotStart,
}

body! {
    /// Output kept as evidence.
    OutputDigest {
        /// All bytes written.
        bytes: u64,
        /// SHA-256 over all of them.
        sha256: Digest,
    }
}

impl OutputDigest {
    /// The digest of an output that is all here.
    #[must_use]
    pub fn of(output: &[u8]) -> Self {
        Self {
            bytes: output.len() as u64,
            sha256: sha256(output),
        }
    }
}

body! {
    /// The worker ended.
    WorkerExited {
        /// In one word.
        class: WorkerClass,
        /// Exit code, where it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// Signal, where one ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Whether its wall or idle limit ended it.
        timed_out: bool,
        /// What it says that it used.
        usage: Usage,
        /// Its output.
        output: OutputDigest,
        /// How long it ran, in milliseconds.
        wall_ms: u64,
        /// How long it asks to wait, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// What there is to say besides: why it could not start, why its usage could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    }
}

body! {
    /// The verifier passed the attempt.
    Verified {
        /// Who judged.
        verifier_id: ActorId,
        /// Its output.
        output: OutputDigest,
        /// How long it ran, in milliseconds.
        wall_ms: u64,
        /// What it passed, where a commit is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<Change>,
        /// Why no commit can hold what it passed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_change: Option<String>,
        /// What the audit of the change found, where rules about paths are asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audit: Option<Audited>,
    }
}

body! {
    /// The verifier failed the attempt.
    VerifyFailed {
        /// Who judged.
        verifier_id: ActorId,
        /// In a few words: `exit 1`, `timed out after 20 s`.
        reason: String,
        /// Exit code, where it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// Signal, where one ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Whether its limit ended it.
        timed_out: bool,
        /// Its output.
        output: OutputDigest,
        /// The last 600 characters of the output, without control characters.
        tail: String,
        /// How long it ran, in milliseconds.
        wall_ms: u64,
        /// What it failed, where that was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<Change>,
        /// What the audit of the change found, where rules about paths are asked. One that does not hold is why it failed: the
        /// verifier was not asked then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audit: Option<Audited>,
    }
}

body! {
    /// The verifier could not judge; that is never the worker's fault.
    VerifyUnavailable {
        /// Who should have judged.
        verifier_id: ActorId,
        /// Why it could not.
        reason: String,
        /// How often in a row, from 1.
        tries: u32,
    }
}

body! {
    /// The task goes back for a fresh attempt.
    Requeue {
        /// Why.
        reason: String,
        /// Failed verifies so far.
        failed: u32,
        /// Failed verifies allowed.
        max_attempts: u32,
        /// Not to be dispatched before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
    }
}

/// Why a task was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Its verify failed too often.
    Failed,
    /// Verify could not run, or there is none: nobody knows.
    Unclear,
    /// Too many interruptions in a row.
    Interrupted,
    /// The worker could not be started.
    CouldNotStart,
    /// It waits for a blocked task.
    After,
    /// It was verified and allowed, and the commit could not be made.
    CommitFailed,
}

body! {
    /// The task is given up and surfaced.
    Quarantine {
        /// In one word.
        cause: Cause,
        /// For people.
        reason: String,
    }
}

body! {
    /// The verified change is left for review.
    Proposed {}
}

/// What was under way when work was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The worker: it starts afresh.
    Worker,
    /// Something after the worker: that is done again, the worker is not.
    Verify,
}

body! {
    /// Work under way was cut off.
    Interrupted {
        /// By what.
        by: Cut,
        /// What was under way.
        stage: Stage,
        /// What the worker is known to have used.
        usage: Usage,
        /// Bytes that the worker is known to have written.
        output_bytes: u64,
        /// For a crash: milliseconds up to the last sign of life that no record accounts for.
        unlogged_wall_ms: u64,
    }
}

impl Interrupted {
    /// The time that no record accounts for.
    #[must_use]
    pub fn unlogged_wall(&self) -> Duration {
        Duration::from_millis(self.unlogged_wall_ms)
    }
}
