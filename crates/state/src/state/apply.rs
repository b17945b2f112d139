//! What each event does to the state, and which events cannot come when.

use super::{Current, Phase, Run, State};
use crate::alert::AlertKind;
use crate::control::Cut;
use crate::event::{
    AttemptRef, BudgetHalt, Cause, Event, Interrupted, Quarantine, Stage, WorkerClass, WorkerExited,
};
use crate::goal::Status;
use crate::record::Record;
use crate::time::Timestamp;
use crate::usage::Usage;

/// An event that cannot have happened then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: `{event}` cannot come here: {why}")]
pub struct OutOfOrder {
    /// The record's number.
    pub seq: u64,
    /// The event's name.
    pub event: &'static str,
    /// Why not.
    pub why: String,
}

pub(super) type Applied = Result<(), String>;

impl State {
    /// Takes up what happened. A goal that changed with it is taken up by [`State::adopt`].
    ///
    /// # Errors
    /// [`OutOfOrder`] when the event cannot have happened then; the state is not to be used after that.
    pub fn apply(&mut self, record: &Record) -> Result<(), OutOfOrder> {
        let applied = self.check_time(record.at).and_then(|()| {
            self.charge(record);
            self.take_up(record)
        });
        applied.map_err(|why| OutOfOrder {
            seq: record.seq,
            event: record.event.name(),
            why,
        })?;
        self.head = Some(record.head());
        self.last_at = record.at;
        if record.event.is_of_the_loop() || matches!(record.event, Event::DriverUp(_)) {
            self.loop_at = record.at;
        }
        Ok(())
    }

    fn check_time(&self, at: Timestamp) -> Applied {
        if self.head.is_some() && at < self.last_at {
            return Err(format!(
                "its time {at} is before the last record's, {}",
                self.last_at
            ));
        }
        Ok(())
    }

    /// The time between two records of one run was used by the run.
    fn charge(&mut self, record: &Record) {
        if record.event.is_of_the_loop() && self.run == Run::Up {
            self.spent.wall = self.spent.wall.saturating_add(record.at.since(self.last_at));
        }
    }

    fn take_up(&mut self, record: &Record) -> Applied {
        let at = record.at;
        match &record.event {
            Event::DriverUp(up) => self.driver_up(up, at),
            Event::Imported(imported) => self.imported(imported, at),
            Event::GoalEdited(edited) => {
                self.thaw(&edited.thawed);
                if edited.budget_changed {
                    self.spent.runs_without_tokens = 0;
                    self.spent.runs_without_usd = 0;
                }
                self.goal_changed(edited.before, edited.after)?;
                self.put_back(&edited.retried)
            }
            Event::TaskAdded(added) => self.goal_changed(added.before, added.after),
            Event::Retried(retried) => {
                self.put_back(std::slice::from_ref(&retried.task))?;
                self.put_back(&retried.with)
            }
            Event::ContractRatified(ratified) => self.contract_ratified(ratified),
            Event::ContractRevoked(revoked) => self.contract_revoked(revoked),
            Event::DialChanged(changed) => self.dial_changed(changed),
            Event::OverrideRequested(requested) => self.override_requested(requested, at),
            Event::OverrideEffective(effective) => self.override_effective(effective),
            Event::OverrideLifted(lifted) => self.override_lifted(lifted),
            Event::Approved(approved) => self.approved(approved),
            Event::Tampering(tampering) => self.up().map(|()| self.tampering(tampering)),
            Event::BudgetHalt(halt) => self.budget_halt(halt),
            Event::GoalComplete(_) => self.not_under_way().and_then(|()| self.end_run(Run::Complete)),
            Event::AlertRaised(raised) => self.alert_raised(raised, at),
            Event::AlertDelivered(delivered) => self.alert_delivered(delivered),
            Event::AlertResolved(resolved) => self.alert_resolved(resolved),
            _ => self.up().and_then(|()| self.attempt_event(record, at)),
        }
    }

    fn budget_halt(&mut self, halt: &BudgetHalt) -> Applied {
        if !self.may_halt() {
            self.not_under_way()?;
        }
        self.end_run(Run::Halted)?;
        self.tell(
            AlertKind::BudgetHalt,
            None,
            format!("BUDGET HALT: {}", halt.reason),
        );
        Ok(())
    }

    fn attempt_event(&mut self, record: &Record, at: Timestamp) -> Applied {
        match &record.event {
            Event::Dispatch(attempt, _) => self.not_halted().and_then(|()| self.dispatch(attempt, at)),
            Event::WorkerStarted(attempt, mark) => {
                self.under_way(attempt)?.mark = Some(mark.clone());
                Ok(())
            }
            Event::WorkerExited(attempt, exited) => self.worker_exited(attempt, exited),
            Event::Verified(attempt, verified) => self.verified(attempt, verified, at),
            Event::VerifyFailed(attempt, failed) => self.verify_failed(attempt, failed, at),
            Event::VerifyUnavailable(attempt, unavailable) => {
                self.unavailable(attempt, unavailable.tries, &unavailable.reason, at)
            }
            Event::Requeue(attempt, requeue) => {
                self.under_way(attempt)?;
                self.not_before = requeue.not_before;
                self.end_attempt(Status::Pending, at);
                Ok(())
            }
            Event::Proposed(attempt, _) => self.proposed(attempt, at),
            Event::RecordSigned(attempt, signed) => self.record_signed(attempt, signed),
            Event::GateAllowed(attempt, allowed) => self.gate_allowed(attempt, allowed, record),
            Event::GateDenied(attempt, denied) => {
                self.gate_refused(attempt, denied.code, &denied.reason, denied.at_mutation)
            }
            Event::GateEscalated(attempt, escalated) => {
                self.gate_refused(attempt, escalated.code, &escalated.reason, escalated.at_mutation)
            }
            Event::CommitDenied(attempt, denied) => self.commit_denied(attempt, denied),
            Event::Commit(attempt, commit) => self.committed(attempt, commit, at),
            Event::CommitEmpty(attempt, _) => self.commit_empty(attempt, at),
            Event::CommitFailed(attempt, failed) => self.commit_failed(attempt, failed, at),
            Event::Quarantine(attempt, quarantine) => self.quarantine(attempt, quarantine, at),
            Event::Interrupted(attempt, interrupted) => self.interrupted(attempt, interrupted, at),
            other => Err(format!("`{}` is not about an attempt", other.name())),
        }
    }

    fn dispatch(&mut self, attempt: &AttemptRef, at: Timestamp) -> Applied {
        self.not_under_way()?;
        let slot = self.slot(&attempt.task);
        let task = self.tasks.get(slot).cloned().unwrap_or_default();
        if task.status != Status::Pending {
            return Err(format!("task `{}` is not pending", attempt.task));
        }
        if Some(attempt.attempt) != task.attempts.checked_add(1) {
            return Err(format!(
                "it is attempt {}, but {} were made",
                attempt.attempt, task.attempts
            ));
        }
        let session = attempt.session.clone().ok_or("it has no session")?;
        self.with_task(slot, |task| {
            task.attempts = attempt.attempt;
            task.started.get_or_insert(at);
        });
        self.spent.worker_runs += 1;
        self.not_before = None;
        self.settle(AlertKind::BudgetHalt, None, "work goes on");
        self.current = Some(Current {
            slot,
            task: attempt.task.clone(),
            attempt: attempt.attempt,
            session,
            dispatched_at: at,
            phase: Phase::Dispatched,
            left_at: None,
            cut_off: false,
            mark: None,
            usage: Usage::default(),
            verdict: None,
        });
        self.plan.set_running(slot, true);
        self.at_the_tree(slot);
        Ok(())
    }

    fn worker_exited(&mut self, attempt: &AttemptRef, exited: &WorkerExited) -> Applied {
        let current = self.under_way(attempt)?;
        if current.phase != Phase::Dispatched {
            return Err("its worker has ended already".into());
        }
        current.phase = Phase::Exited {
            class: exited.class,
            retry_after_ms: exited.retry_after_ms,
            unavailable: None,
            detail: exited.detail.clone(),
        };
        current.usage = exited.usage;
        let (slot, never_ran) = (
            current.slot,
            exited.class == WorkerClass::CouldNotStart && current.mark.is_none(),
        );
        if !never_ran {
            self.spent.add(exited.usage, exited.output.bytes);
        }
        self.with_task(slot, |task| match exited.class {
            WorkerClass::RateLimited => task.rate_limits += 1,
            WorkerClass::CouldNotStart => task.failed_starts += 1,
            _ => {}
        });
        Ok(())
    }

    fn quarantine(&mut self, attempt: &AttemptRef, quarantine: &Quarantine, at: Timestamp) -> Applied {
        let slot = self.give_up(attempt, at)?;
        self.with_task(slot, |task| {
            task.reason = Some(quarantine.reason.clone());
            task.cause = Some(quarantine.cause);
        });
        if quarantine.cause == Cause::After {
            return Ok(()); // The task that it waits for was told.
        }
        if attempt.attempt > 0 {
            self.repo.left_by(&attempt.task);
        }
        let text = format!("QUARANTINED {}: {}", attempt.task, quarantine.reason);
        self.tell(AlertKind::Quarantine, Some(&attempt.task), text);
        Ok(())
    }

    /// Blocks a task, in its attempt or outside of one.
    fn give_up(&mut self, attempt: &AttemptRef, at: Timestamp) -> Result<usize, String> {
        if self.current.is_some() {
            let slot = self.under_way(attempt)?.slot;
            self.end_attempt(Status::Blocked, at);
            return Ok(slot);
        }
        let slot = self.slot(&attempt.task);
        if self
            .tasks
            .get(slot)
            .is_some_and(|task| task.status != Status::Pending)
        {
            return Err(format!("task `{}` is not pending", attempt.task));
        }
        self.with_task(slot, |task| task.status = Status::Blocked);
        self.plan.set(slot, Status::Blocked);
        Ok(slot)
    }

    fn interrupted(&mut self, attempt: &AttemptRef, interrupted: &Interrupted, at: Timestamp) -> Applied {
        self.spent.wall = self.spent.wall.saturating_add(interrupted.unlogged_wall());
        let current = self.under_way_or_left(attempt)?;
        if (interrupted.by == Cut::Crash) != current.left_behind() {
            return Err("a crash is what an earlier driver left behind, and nothing else is".into());
        }
        current.left_at = None;
        current.cut_off = interrupted.by != Cut::Crash;
        let (slot, stage) = (current.slot, current.stage());
        if stage != interrupted.stage {
            return Err("another stage of the attempt was under way".into());
        }
        // What the operator or the budget stops says nothing about the task.
        if !matches!(interrupted.by, Cut::Budget | Cut::Halt) {
            self.with_task(slot, |task| task.interruptions += 1);
        }
        if stage == Stage::Worker {
            self.spent.add(interrupted.usage, interrupted.output_bytes);
            self.end_attempt(Status::Pending, at);
        }
        Ok(())
    }

    /// The attempt is over, its task is `status` now.
    pub(super) fn end_attempt(&mut self, status: Status, at: Timestamp) {
        self.last_attempt_at = Some(at);
        if let Some(current) = self.current.take() {
            self.with_task(current.slot, |task| task.status = status);
            self.plan.set_running(current.slot, false);
            self.plan.set(current.slot, status);
        }
    }

    fn end_run(&mut self, run: Run) -> Applied {
        self.up()?;
        self.run = run;
        Ok(())
    }

    /// A run may halt while a verify is due: it goes on in the next one.
    fn may_halt(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.cut_off || matches!(current.phase, Phase::Exited { .. }))
    }

    fn up(&self) -> Applied {
        if self.run == Run::Up {
            Ok(())
        } else {
            Err("no driver is up".into())
        }
    }

    fn not_under_way(&self) -> Applied {
        match &self.current {
            Some(current) => Err(format!(
                "attempt {} of task `{}` is under way",
                current.attempt, current.task
            )),
            None => Ok(()),
        }
    }

    pub(super) fn under_way(&mut self, attempt: &AttemptRef) -> Result<&mut Current, String> {
        let current = self.under_way_or_left(attempt)?;
        if current.left_behind() {
            return Err("an earlier driver left this attempt behind, and nothing has cleared it up".into());
        }
        if current.cut_off {
            return Err("it was cut off, and no driver has started since".into());
        }
        Ok(current)
    }

    fn under_way_or_left(&mut self, attempt: &AttemptRef) -> Result<&mut Current, String> {
        let matches = |current: &&mut Current| {
            current.task == attempt.task
                && current.attempt == attempt.attempt
                && Some(&current.session) == attempt.session.as_ref()
        };
        let missing = || {
            format!(
                "attempt {} of task `{}` is not under way",
                attempt.attempt, attempt.task
            )
        };
        self.current.as_mut().filter(matches).ok_or_else(missing)
    }

    pub(super) fn with_task(&mut self, slot: usize, change: impl FnOnce(&mut super::TaskState)) {
        if let Some(task) = self.tasks.get_mut(slot) {
            change(task);
        }
    }
}
