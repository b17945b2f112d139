//! One task's history in numbers.

use crate::change::ObjectId;
use crate::event::Cause;
use crate::goal::Status;
use crate::state::Approval;
use crate::survey::Survey;
use crate::time::Timestamp;

/// What the log knows of one task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskState {
    /// Pending, done or blocked; that one is running is known by [`State::current`](super::State::current) alone.
    pub status: Status,
    /// Dispatches so far.
    pub attempts: u32,
    /// Failed verifies since the task was last put back.
    pub failed: u32,
    /// Interruptions in a row.
    pub interruptions: u32,
    /// In a row: the worker asked to wait.
    pub rate_limits: u32,
    /// In a row: the worker could not be started.
    pub failed_starts: u32,
    /// Why it is blocked, for people.
    pub reason: Option<String>,
    /// Why it is blocked.
    pub cause: Option<Cause>,
    /// The end of the last failed verify's output.
    pub verify_tail: Option<String>,
    /// Number of the attempt whose verify failed last: its output is the next one's feedback.
    pub failed_attempt: Option<u32>,
    /// When it was first dispatched.
    pub started: Option<Timestamp>,
    /// When it was done.
    pub done: Option<Timestamp>,
    /// The commit that holds it.
    pub commit: Option<ObjectId>,
    /// How the tree stood when the task was first begun: what its own rules about paths compare with.
    pub base: Option<Survey>,
    /// A person's leave to commit it, where it cannot be undone.
    pub approval: Option<Approval>,
}

impl TaskState {
    /// Forgets what stood against the task; its attempts stay counted.
    pub(super) fn put_back(&mut self) {
        *self = Self {
            attempts: self.attempts,
            started: self.started,
            approval: self.approval.take(),
            base: self.base.take(),
            ..Self::default()
        };
    }

    /// A verifier judged: the run of interruptions is over.
    pub(super) const fn judged(&mut self) {
        self.interruptions = 0;
        self.rate_limits = 0;
        self.failed_starts = 0;
    }
}
