//! Verified work at the gate: what is allowed, what is held back, what became of it.

use super::apply::Applied;
use super::{Allowed, Phase, State};
use crate::alert::AlertKind;
use crate::change::{Change, ObjectId, RefName};
use crate::event::{
    AttemptRef, Commit, CommitDenied, CommitFailed, DenialCode, DriverUp, GateAllowed, Tampering,
};
use crate::goal::Status;
use crate::id::TaskId;
use crate::record::Record;
use crate::time::Timestamp;

/// Tasks whose leftovers are named at most.
const LEFT_OVER_MAX: usize = 32;

/// How often a commit is tried in one run.
pub const COMMIT_TRIES_MAX: u32 = 3;

/// How the repository stands, as far as commits depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repo {
    /// Whether verified work is taken to the gate in this run.
    pub(super) gate: bool,
    /// Where this run left HEAD; none where nobody looked. Inside: none on an unborn branch.
    pub(super) head: Option<Option<ObjectId>>,
    /// What was checked out when this run began.
    reference: Option<RefName>,
    /// A task whose verified change was left in the tree for review.
    pub(super) held_back: Option<TaskId>,
    /// Where HEAD was then, where that is known.
    held_at: Option<ObjectId>,
    /// Tasks given up whose changes may still be in the tree.
    pub(super) left_over: Vec<TaskId>,
    /// Whether something was changed behind the driver's back, and nobody has looked since.
    pub(super) tampered: bool,
    /// Whether that comes from an older chain, which no run has ended in order.
    tampered_before: bool,
}

impl Repo {
    pub(super) fn left_by(&mut self, task: &TaskId) {
        if !self.left_over.contains(task) && self.left_over.len() < LEFT_OVER_MAX {
            self.left_over.push(task.clone());
        }
    }

    /// Nothing in the tree differs from HEAD: what was left in it is committed or discarded.
    fn is_clean(&mut self) {
        self.held_back = None;
        self.held_at = None;
        self.left_over.clear();
    }

    /// A driver looked at the repository when it started.
    fn seen(&mut self, seen: Option<&Change>) {
        self.head = seen.map(|seen| seen.parent.clone());
        self.reference = seen.map(|seen| seen.reference.clone());
        let Some(seen) = seen else { return };
        if seen.paths == 0 {
            self.is_clean();
        } else if self.held_at.is_some() && self.held_at != seen.parent {
            self.held_back = None;
            self.held_at = None;
        }
    }
}

impl State {
    /// Whether verified work is taken to the gate in this run.
    #[must_use]
    pub const fn gate(&self) -> bool {
        self.repo.gate
    }

    /// Where this run left HEAD: none where nobody looked; inside, none on an unborn branch.
    #[must_use]
    pub const fn repo_head(&self) -> Option<&Option<ObjectId>> {
        self.repo.head.as_ref()
    }

    /// What was checked out when this run began; none where nobody looked.
    #[must_use]
    pub const fn repo_reference(&self) -> Option<&RefName> {
        self.repo.reference.as_ref()
    }

    /// The task whose verified change was left in the tree for review, if there is one.
    #[must_use]
    pub const fn held_back(&self) -> Option<&TaskId> {
        self.repo.held_back.as_ref()
    }

    /// Tasks given up whose changes may still be in the tree; the first 32.
    #[must_use]
    pub fn left_over(&self) -> &[TaskId] {
        &self.repo.left_over
    }

    /// Whether something was changed behind the driver's back, and nobody has looked since.
    #[must_use]
    pub const fn tampered(&self) -> bool {
        self.repo.tampered
    }

    /// Through what alerts go out in this run.
    #[must_use]
    pub fn sinks(&self) -> &[String] {
        &self.sinks
    }

    /// A run that a worker may have ended does not clear the trace that the worker left: only one that ended in order.
    pub(super) fn gate_up(&mut self, up: &DriverUp) {
        self.sinks.clone_from(&up.sinks);
        self.repo.gate = up.gate;
        if let Some(Phase::Allowed(allowed)) = self.current.as_mut().map(|current| &mut current.phase) {
            allowed.failed = None;
        }
        let in_order = self.current.as_ref().is_none_or(|current| !current.left_behind());
        let in_order = !std::mem::take(&mut self.repo.tampered_before) && in_order;
        if in_order && self.repo.tampered {
            self.repo.tampered = false;
            self.settle(AlertKind::Tampering, None, "a driver was started again");
        }
        self.repo.seen(up.repo.as_ref());
    }

    /// Something was changed behind the driver's back, says an older chain.
    pub(super) fn tampered_before(&mut self) {
        self.repo.tampered = true;
        self.repo.tampered_before = true;
    }

    /// Something was changed behind the driver's back.
    pub(super) fn tampering(&mut self, tampering: &Tampering) {
        self.repo.tampered = true;
        let text = format!(
            "{}: nothing is committed until somebody has looked.",
            tampering.what
        );
        self.tell(AlertKind::Tampering, None, text);
    }

    pub(super) fn gate_allowed(
        &mut self,
        attempt: &AttemptRef,
        allowed: &GateAllowed,
        record: &Record,
    ) -> Applied {
        self.not_halted()?;
        let current = self.under_way(attempt)?;
        match &current.phase {
            Phase::Passed {
                change: Some(change), ..
            } if *change == allowed.change => {}
            Phase::Passed { .. } => return Err("it is not the change that was verified".into()),
            _ => return Err("it was not verified".into()),
        }
        current.phase = Phase::Allowed(Box::new(Allowed {
            change: allowed.change.clone(),
            contract: allowed.contract,
            needs: allowed.needs,
            idempotency_key: attempt.idempotency_key,
            left_over: allowed.left_over.clone(),
            at: record.at,
            record: record.hash,
            failed: None,
        }));
        Ok(())
    }

    pub(super) fn gate_refused(
        &mut self,
        attempt: &AttemptRef,
        code: DenialCode,
        reason: &str,
        at_mutation: bool,
    ) -> Applied {
        let current = self.under_way(attempt)?;
        let fits = match current.phase {
            Phase::Passed { .. } => !at_mutation,
            Phase::Allowed(_) => at_mutation,
            _ => false,
        };
        if !fits {
            return Err("the gate was not asked".into());
        }
        let parent = current.phase.change().and_then(|change| change.parent.clone());
        let is_hard = code.is_of_the_contract();
        current.phase = Phase::Refused {
            denied: is_hard.then(|| reason.to_owned()),
        };
        self.repo.held_at = parent;
        Ok(())
    }

    pub(super) fn commit_denied(&mut self, attempt: &AttemptRef, denied: &CommitDenied) -> Applied {
        let current = self.under_way(attempt)?;
        match &mut current.phase {
            Phase::Refused { denied: waiting } if waiting.as_ref() == Some(&denied.reason) => *waiting = None,
            _ => return Err("the contract did not forbid it".into()),
        }
        let text = format!("The commit of {} was denied: {}.", attempt.task, denied.reason);
        self.tell(AlertKind::CommitDenied, Some(&attempt.task), text);
        Ok(())
    }

    pub(super) fn committed(&mut self, attempt: &AttemptRef, commit: &Commit, at: Timestamp) -> Applied {
        let current = self.under_way(attempt)?;
        let slot = current.slot;
        match &current.phase {
            Phase::Allowed(allowed)
                if allowed.change.tree == commit.tree && allowed.change.parent == commit.parent => {}
            Phase::Allowed(_) => return Err("it is not the commit that was allowed".into()),
            _ => return Err("it was not allowed".into()),
        }
        // One that was made before a crash may have others on top of it: then the start saw those.
        if self.repo.head.as_ref() == Some(&commit.parent) {
            self.repo.head = Some(Some(commit.commit.clone()));
        }
        self.repo.is_clean();
        self.settle(AlertKind::CommitFailed, None, "a commit was made");
        self.done(slot, at);
        self.with_task(slot, |task| {
            task.commit = Some(commit.commit.clone());
            task.approval = None; // It was for one commit.
        });
        Ok(())
    }

    pub(super) fn commit_empty(&mut self, attempt: &AttemptRef, at: Timestamp) -> Applied {
        let current = self.under_way(attempt)?;
        let slot = current.slot;
        match &current.phase {
            Phase::Passed {
                change: Some(change), ..
            } if change.paths == 0 => {}
            _ => return Err("there is something to commit, or it was not verified".into()),
        }
        self.repo.is_clean();
        self.done(slot, at);
        Ok(())
    }

    pub(super) fn commit_failed(
        &mut self,
        attempt: &AttemptRef,
        failed: &CommitFailed,
        at: Timestamp,
    ) -> Applied {
        let current = self.under_way(attempt)?;
        let Phase::Allowed(allowed) = &mut current.phase else {
            return Err("it was not allowed".into());
        };
        let reason = failed.reason.clone();
        if failed.lasting {
            current.phase = Phase::NotCommitted { reason };
            return Ok(());
        }
        let before = allowed.failed.as_ref().map_or(0, |(tries, ..)| *tries);
        if failed.tries != before + 1 {
            return Err(format!("it was tried {before} times before"));
        }
        allowed.failed = Some((failed.tries, at, reason));
        if failed.tries >= COMMIT_TRIES_MAX {
            let text = format!("Commits fail, so the run stopped: {}.", failed.reason);
            self.tell(AlertKind::CommitFailed, None, text);
        }
        Ok(())
    }

    pub(super) fn proposed(&mut self, attempt: &AttemptRef, at: Timestamp) -> Applied {
        let gate = self.repo.gate;
        let current = self.under_way(attempt)?;
        match &current.phase {
            Phase::Passed { .. } if !gate => {}
            Phase::Refused { denied: None } => {}
            Phase::Passed { .. } => return Err("the gate was not asked".into()),
            Phase::Refused { .. } => return Err("that the contract forbids it was not recorded".into()),
            _ => return Err("it was not verified".into()),
        }
        let slot = current.slot;
        if !gate {
            self.repo.held_at = None;
        }
        self.repo.held_back = Some(attempt.task.clone());
        self.done(slot, at);
        Ok(())
    }

    fn done(&mut self, slot: usize, at: Timestamp) {
        self.last_success_at = Some(at);
        self.end_attempt(Status::Done, at);
        self.with_task(slot, |task| task.done = Some(at));
    }
}
