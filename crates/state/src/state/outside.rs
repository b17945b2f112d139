//! What comes from outside the loop: drivers that start, goals that change, operators who put tasks back.

use std::time::Duration;

use super::apply::Applied;
use super::{Run, State, TaskState};
use crate::alert::AlertKind;
use crate::event::{DriverUp, Imported};
use crate::goal::Status;
use crate::id::{Digest, TaskId};
use crate::time::Timestamp;

impl State {
    pub(super) fn driver_up(&mut self, up: &DriverUp, at: Timestamp) -> Applied {
        self.not_halted()?;
        let (goal, digest, pid) = (up.goal.as_str(), up.goal_sha256, up.pid);
        match &self.goal_name {
            Some(bound) if bound != goal => {
                return Err(format!("this log belongs to the goal `{bound}`, not `{goal}`"));
            }
            Some(_) => {}
            None => self.goal_name = Some(goal.to_owned()),
        }
        match self.goal_digest {
            Some(known) if known != digest => {
                return Err(format!(
                    "it runs the goal {digest}, but the one in force is {known}"
                ));
            }
            Some(_) => {}
            None => self.goal_digest = Some(digest),
        }
        if let Some(current) = &mut self.current {
            // A run that halted, or recorded what it cut off, left nothing behind.
            let left_behind = self.run == Run::Up && !current.cut_off;
            current.left_at = left_behind.then_some(self.loop_at);
            current.cut_off = false;
        }
        self.run = Run::Up;
        self.last_attempt_at = None;
        self.driver_pid = Some(pid);
        self.up_at = at;
        self.gate_up(up);
        self.proof_up(up);
        self.rule_up(up);
        Ok(())
    }

    pub(super) fn imported(&mut self, imported: &Imported, at: Timestamp) -> Applied {
        if self.head.is_some() {
            return Err("only the first record of a chain imports".into());
        }
        self.goal_name = Some(imported.goal.clone());
        self.goal_digest = Some(imported.goal_sha256);
        self.spent.worker_runs = imported.worker_runs;
        self.spent.wall = Duration::from_millis(imported.wall_ms);
        if let Some(spent) = &imported.spent {
            self.spent.tokens = spent.tokens;
            self.spent.usd_micros = spent.usd_micros;
            self.spent.output_bytes = spent.output_bytes;
            self.spent.runs_without_tokens = spent.runs_without_tokens;
            self.spent.runs_without_usd = spent.runs_without_usd;
        }
        if let Some(rule) = &imported.rule {
            self.rule_imported(rule);
        }
        for one in &imported.tasks {
            let slot = self.slot(&one.task);
            let status = if one.status == Status::Running {
                Status::Pending
            } else {
                one.status
            };
            self.with_task(slot, |task| {
                task.attempts = one.attempts;
                task.reason.clone_from(&one.reason);
                task.status = status;
                task.done = (status == Status::Done).then_some(at);
            });
        }
        Ok(())
    }

    pub(super) fn goal_changed(&mut self, before: Digest, after: Digest) -> Applied {
        match self.goal_digest {
            Some(known) if known == before => {
                self.goal_digest = Some(after);
                Ok(())
            }
            Some(known) => Err(format!(
                "it changes the goal {before}, but the one in force is {known}"
            )),
            None => Err("no goal is in force yet".into()),
        }
    }

    pub(super) fn put_back(&mut self, tasks: &[TaskId]) -> Applied {
        for id in tasks {
            if self.current.as_ref().is_some_and(|current| current.task == *id) {
                return Err(format!("an attempt at task `{id}` is under way"));
            }
            let slot = self.slot(id);
            self.with_task(slot, TaskState::put_back);
            self.plan.set(slot, Status::Pending);
            self.record_forgotten(id);
            for kind in [AlertKind::Quarantine, AlertKind::CommitDenied] {
                self.settle(kind, Some(id), "the task was put back");
            }
        }
        Ok(())
    }
}
