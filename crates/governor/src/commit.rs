//! The port of box 5: what may be committed, by whom, and what came of it.

use std::fmt::Debug;
use std::path::Path;

use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::Control;
use machine_driver_state::event::OutputDigest;
use machine_driver_state::goal::Goal;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::state::Allowed;
use machine_driver_state::time::Timestamp;

use crate::gate::Permit;

/// Reads changes of one repository, and commits them.
///
/// The driver calls [`Committer::read_change`] when a run begins and before each verify, and once the gate allowed a commit
/// [`Committer::made`]; only where that knows of none, [`Committer::commit`]. Both may be called again for the same order,
/// after a crash: an order that was carried out is not carried out twice.
///
/// It need not be git that keeps the work. What is read is known by names of git's form: [`Change::tree`] by its content,
/// such as a SHA-256, and commits by ids of which [`Change::parent`] is always the last one made; when it is another than
/// this run left, the driver says that somebody moved it. A change without a parent cannot be undone, so the gate asks more
/// of the contract for it.
pub trait Committer: Debug + Send + Sync {
    /// Reads everything that differs from the commit that is checked out into a tree, durably. What is ignored stays out,
    /// and so do the files of the driver itself. Runs nothing that the repository names.
    ///
    /// # Errors
    /// [`CommitError::Refused`] where no commit can hold the change, by name; [`CommitError`] otherwise.
    fn read_change(&self, control: &Control<'_>) -> Result<Change, CommitError>;

    /// The commit that this order was carried out by, if it was, and with it everything that a driver that was killed behind
    /// it did not come to: looked for by its key from the head of
    /// [`Change::reference`] back to [`Change::parent`].
    ///
    /// # Errors
    /// [`CommitError`] where that cannot be known.
    fn made(&self, order: &CommitOrder) -> Result<Option<ObjectId>, CommitError>;

    /// Writes the change as a patch that git can apply into this file, durably, and returns what was written; none where the
    /// committer has no such form, or the patch would be too large to keep.
    ///
    /// # Errors
    /// [`CommitError`] where the change cannot be read any more, or the file not be written.
    fn patch(&self, change: &Change, file: &Path) -> Result<Option<OutputDigest>, CommitError> {
        let _ = (change, file);
        Ok(None)
    }

    /// Commits exactly the tree that was verified, on exactly the parent that it was verified on, durably.
    ///
    /// # Errors
    /// [`CommitError::Moved`] where the reference is elsewhere by now; nothing was changed then.
    fn commit(&self, order: &CommitOrder, permit: Permit) -> Result<Committed, CommitError>;
}

/// What to commit, with everything that makes the commit the same however often it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOrder {
    /// The task: the commit's subject is `driver: <task id>`.
    pub task: TaskId,
    /// The same for the same work.
    pub idempotency_key: Digest,
    /// The contract that allows it.
    pub contract: Digest,
    /// The record of the log that allows it: a log whose end was cut shows by it.
    pub record: Digest,
    /// When that was: the commit's own time, to the second.
    pub at: Timestamp,
    /// What is committed.
    pub change: Change,
    /// Tasks given up whose leftovers are in it.
    pub left_over: Vec<TaskId>,
}

/// The trailer with a commit's idempotency key.
pub const KEY_TRAILER: &str = "Machine-Driver-Key";

impl CommitOrder {
    /// The order to carry out what the gate allowed for the task at `index` of `goal`; none where there is no such task.
    #[must_use]
    pub fn of(goal: &Goal, index: usize, allowed: &Allowed) -> Option<Self> {
        let task = goal.tasks.get(index)?;
        Some(Self {
            task: task.id.clone(),
            idempotency_key: allowed.idempotency_key,
            contract: allowed.contract,
            record: allowed.record,
            at: allowed.at,
            change: allowed.change.clone(),
            left_over: allowed.left_over.clone(),
        })
    }

    /// The commit's message: subject, what else is in it, trailers (git-interpret-trailers(1)). It holds no text that a
    /// person or a worker wrote.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = format!("driver: {}\n\n", self.task);
        if !self.left_over.is_empty() {
            let ids: Vec<&str> = self.left_over.iter().map(TaskId::as_str).collect();
            text.push_str(
                "The tree that was verified also holds what was left by tasks that were given up:\n",
            );
            text.push_str(&ids.join("\n"));
            text.push_str("\n\n");
        }
        text.push_str(&format!("Machine-Driver-Task: {}\n", self.task));
        text.push_str(&format!("{KEY_TRAILER}: {}\n", self.idempotency_key));
        text.push_str(&format!("Machine-Driver-Contract: {}\n", self.contract));
        text.push_str(&format!("Machine-Driver-Record: {}\n", self.record));
        text
    }
}

/// A commit that was made, now or before a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub id: ObjectId,
    /// What did not work beside it, in one line: the index could not be refreshed.
    pub note: Option<String>,
}

/// Why there is no change, or no commit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// No commit of this repository can hold the change.
    #[error("{why}")]
    Refused {
        /// Why, by name, in one line.
        why: String,
    },
    /// The reference is not where it was when the change was read.
    #[error("{reference} was moved from {} to {} by somebody else", short(.expected), short(.found))]
    Moved {
        /// The reference.
        reference: RefName,
        /// Where it was; none for an unborn branch.
        expected: Option<ObjectId>,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// The permit is not for this order.
    #[error("the permit is for another change")]
    NotPermitted,
    /// It was stopped.
    #[error("it was stopped")]
    Cancelled,
    /// It could not be carried out.
    #[error("{what}")]
    Failed {
        /// What failed, and on which path.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CommitError {
    /// It could not be carried out, for a reason of the committer's own.
    pub fn other(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let (what, source) = (what.into(), source.into());
        Self::Failed { what, source }
    }
}

fn short(id: &Option<ObjectId>) -> &str {
    id.as_ref().map_or("no commit", ObjectId::short)
}
