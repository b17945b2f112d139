//! Where a run stands: what the log folds into.
//!
//! [`State::apply`] is the only mutator and refuses what cannot have happened in that order, so a log that was tampered
//! with or written by a broken driver is an error and not a strange state. It holds no policy: what is to happen next is
//! decided by `machine-driver-governor` from a [`Goal`] and a state. Each step costs the same however many tasks there are.

mod apply;
mod gate;
mod outbox;
mod outside;
mod plan;
mod proof;
mod rule;
mod spent;
mod task;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;

use crate::change::Change;
use crate::control::ProcessMark;
use crate::event::{AttemptRef, Audited, OutputDigest, Stage, WorkerClass};
use crate::goal::{Goal, Status};
use crate::id::{Digest, SessionId, TaskId};
use crate::record::Head;
use crate::time::Timestamp;
use crate::usage::Usage;

pub use apply::OutOfOrder;
pub use gate::COMMIT_TRIES_MAX;
pub use outbox::{Due, Outbox, Waiting, dedup_key};
pub use plan::Plan;
pub use rule::{Approval, Halt};
pub use spent::Spent;
pub use task::TaskState;

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    head: Option<Head>,
    last_at: Timestamp,
    /// When the loop last wrote a record, or a driver started.
    loop_at: Timestamp,
    goal_name: Option<String>,
    goal_digest: Option<Digest>,
    run: Run,
    tasks: Vec<TaskState>,
    slots: BTreeMap<TaskId, usize>,
    plan: Plan,
    current: Option<Current>,
    spent: Spent,
    last_success_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    driver_pid: Option<u32>,
    up_at: Timestamp,
    sinks: Vec<String>,
    repo: gate::Repo,
    outbox: Outbox,
    proof: proof::Proof,
    rule: rule::Rule,
}

/// Whether a driver is at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Run {
    /// None has started.
    #[default]
    Down,
    /// One started and has recorded no end: it is up, was stopped, or was killed.
    Up,
    /// It stopped for its budget.
    Halted,
    /// It saw every task done or blocked.
    Complete,
}

/// The attempt under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    pub(crate) slot: usize,
    /// The task.
    pub task: TaskId,
    /// Its number.
    pub attempt: u32,
    /// Its own id.
    pub session: SessionId,
    /// When it was dispatched.
    pub dispatched_at: Timestamp,
    /// Where an earlier driver left it behind: that driver's last record. The time after it is accounted for nowhere.
    pub left_at: Option<Timestamp>,
    /// How far it is.
    pub phase: Phase,
    /// Whether its verify was cut off in this run: nothing goes on before the next one.
    pub cut_off: bool,
    /// The worker's process, once it runs.
    pub mark: Option<ProcessMark>,
    /// What the worker reported to have used, once it ended.
    pub usage: Usage,
    /// What the verifier found, once it did.
    pub verdict: Option<Verdict>,
}

/// What a verifier found, for a record about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// Its output, all of it.
    pub output: OutputDigest,
    /// How it failed, where it did.
    pub failure: Option<Failure>,
    /// What it judged, where that was read.
    pub change: Option<Change>,
    /// What the audit of the change found, where rules about paths are asked.
    pub audit: Option<Audited>,
}

impl Current {
    /// Whether an earlier driver left it behind: it has to be cleared up before anything else.
    #[must_use]
    pub const fn left_behind(&self) -> bool {
        self.left_at.is_some()
    }

    /// What is under way: the worker, or something after it.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.phase == Phase::Dispatched {
            Stage::Worker
        } else {
            Stage::Verify
        }
    }
}

/// How a verifier showed that a task is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In a few words: `exit 1`.
    pub reason: String,
    /// Exit code, where it exited.
    pub exit: Option<i32>,
    /// Signal, where one ended it.
    pub signal: Option<i32>,
    /// Whether its limit ended it.
    pub timed_out: bool,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The worker is to run, or runs.
    Dispatched,
    /// The worker ended; reality is to be asked.
    Exited {
        /// How it ended.
        class: WorkerClass,
        /// How long it asked to wait.
        retry_after_ms: Option<u64>,
        /// How often the verifier could not judge, and when it last could not.
        unavailable: Option<(u32, Timestamp)>,
        /// What there is to say besides: why the worker could not start, or the verifier not judge.
        detail: Option<String>,
    },
    /// The verifier passed it: the gate is to be asked, where a commit is asked for.
    Passed {
        /// What it passed.
        change: Option<Change>,
        /// Why no commit can hold that.
        no_change: Option<String>,
    },
    /// The gate allowed the commit: it is to be made, or was made when the driver was killed.
    Allowed(Box<Allowed>),
    /// The gate did not: the change is to be left for review.
    Refused {
        /// What box 0 says, where that is still to be recorded.
        denied: Option<String>,
    },
    /// The commit could not be made.
    NotCommitted {
        /// Why.
        reason: String,
    },
    /// The verifier failed it.
    Failed {
        /// In a few words.
        reason: String,
    },
}

impl Phase {
    /// The change at the gate.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Passed { change, .. } => change.as_ref(),
            Self::Allowed(allowed) => Some(&allowed.change),
            _ => None,
        }
    }
}

/// What the gate allowed, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The change.
    pub change: Change,
    /// The contract that allows it.
    pub contract: Digest,
    /// The autonomy that it needs.
    pub needs: u64,
    /// That of the work that it allows: the task's text may have been edited since.
    pub idempotency_key: Digest,
    /// Tasks given up whose leftovers are in it.
    pub left_over: Vec<TaskId>,
    /// When that was recorded.
    pub at: Timestamp,
    /// Hash of that record.
    pub record: Digest,
    /// How often in a row, in this run, it could not be made for reasons that are not the change's; when and why last.
    pub failed: Option<(u32, Timestamp, String)>,
}

impl State {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `goal` as the one in force, and works out which tasks are ready. Tasks that it no longer has keep what
    /// the log knows of them, so that one that comes back goes on counting.
    pub fn adopt(&mut self, goal: &Goal) {
        for task in &goal.tasks {
            self.slot(&task.id);
        }
        let slots: Vec<usize> = goal
            .tasks
            .iter()
            .filter_map(|task| self.slots.get(&task.id).copied())
            .collect();
        self.plan = Plan::new(
            goal,
            slots,
            &self.tasks,
            self.current.as_ref().map(|current| current.slot),
        );
    }

    /// Where the log ends.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }

    /// When the last record was written.
    #[must_use]
    pub const fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// The name of the goal that the log is bound to.
    #[must_use]
    pub fn goal_name(&self) -> Option<&str> {
        self.goal_name.as_deref()
    }

    /// Digest of the goal in force, as the log knows it.
    #[must_use]
    pub const fn goal_digest(&self) -> Option<Digest> {
        self.goal_digest
    }

    /// Whether a driver is at it, as far as the log tells: after a crash it still says so.
    #[must_use]
    pub const fn run(&self) -> Run {
        self.run
    }

    /// The attempt under way.
    #[must_use]
    pub const fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// The place in the goal in force of the task whose attempt is under way.
    #[must_use]
    pub fn current_index(&self) -> Option<usize> {
        self.plan.index(self.current.as_ref()?.slot)
    }

    /// The place of a task in the goal in force.
    #[must_use]
    pub fn place(&self, id: &TaskId) -> Option<usize> {
        self.plan.index(*self.slots.get(id)?)
    }

    /// The attempt under way, as records about it name it.
    #[must_use]
    pub fn attempt_under_way(&self, goal: &Goal) -> Option<AttemptRef> {
        let current = self.current.as_ref()?;
        let task = goal.tasks.get(self.current_index()?)?;
        Some(AttemptRef {
            task: task.id.clone(),
            attempt: current.attempt,
            session: Some(current.session.clone()),
            idempotency_key: task.idempotency_key,
            autonomy_used: match &current.phase {
                Phase::Allowed(allowed) => u8::try_from(allowed.needs).unwrap_or(u8::MAX),
                _ => 0,
            },
        })
    }

    /// What the log knows of a task.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&TaskState> {
        self.slots.get(id).and_then(|slot| self.tasks.get(*slot))
    }

    /// What the log knows of every task, of the goal in force and of earlier ones, by id.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &TaskState)> {
        self.slots
            .iter()
            .filter_map(|(id, slot)| Some((id, self.tasks.get(*slot)?)))
    }

    /// How far a task is, as goal.json says it.
    #[must_use]
    pub fn status(&self, id: &TaskId) -> Status {
        if self.current.as_ref().is_some_and(|current| current.task == *id) {
            return Status::Running;
        }
        self.task(id).map_or(Status::Pending, |task| task.status)
    }

    /// Which tasks of the goal in force are ready, and which wait in vain.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was used of the budget up to the last record.
    #[must_use]
    pub const fn spent(&self) -> &Spent {
        &self.spent
    }

    /// When a task was last verified.
    #[must_use]
    pub const fn last_success_at(&self) -> Option<Timestamp> {
        self.last_success_at
    }

    /// When this run's last attempt ended; none when the run has had none yet.
    #[must_use]
    pub const fn last_attempt_at(&self) -> Option<Timestamp> {
        self.last_attempt_at
    }

    /// No dispatch before this moment: a worker asked to wait, or could not be started.
    #[must_use]
    pub const fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Process id of the driver that wrote the last `driver_up`.
    #[must_use]
    pub const fn driver_pid(&self) -> Option<u32> {
        self.driver_pid
    }

    /// When the last driver started.
    #[must_use]
    pub const fn up_at(&self) -> Timestamp {
        self.up_at
    }

    /// What people are to be told, and were told.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The task at `index` of the goal in force.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<&TaskState> {
        self.plan.slot(index).and_then(|slot| self.tasks.get(slot))
    }

    /// The tasks of `goal`, the one adopted, that are blocked because they wait for one of `ids`, directly or through others.
    #[must_use]
    pub fn waiting_for(&self, goal: &Goal, ids: &[TaskId]) -> Vec<TaskId> {
        let place = |id| self.plan.index(*self.slots.get(id)?);
        let behind = self
            .plan
            .blocked_behind(ids.iter().filter_map(place).collect(), &self.tasks);
        behind
            .iter()
            .filter_map(|index| Some(goal.tasks.get(*index)?.id.clone()))
            .collect()
    }

    fn slot(&mut self, id: &TaskId) -> usize {
        if let Some(slot) = self.slots.get(id) {
            return *slot;
        }
        self.tasks.push(TaskState::default());
        self.slots.insert(id.clone(), self.tasks.len() - 1);
        self.tasks.len() - 1
    }
}
