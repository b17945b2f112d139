//! What an operator does. Each takes the goal's lock, so none of it can happen to a driver that runs; but for a halt and a dial
//! that is turned down, which a driver that runs is asked for.

mod approve;
mod dial;
mod halt;
mod wedged;

use std::path::Path;

use machine_driver_governor::contract::is_blank;
use machine_driver_state::event::{Event, Retried, TaskAdded};
use machine_driver_state::goal::Status;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::TaskId;
use machine_driver_state::store::{Kept, StoreError};
use serde_json::Value;

use crate::clock::{Clock, Timeline};
use crate::error::DriverError;
use crate::hold::Held;

pub use approve::{APPROVAL_MAX, APPROVAL_USUAL, Approval, approve};
pub use dial::{Turned, dial};
pub use halt::{Halted, Lifted, halt, resume};

/// Who asks for something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// Who, as they say.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Because {
    /// Texts are cut, and control characters left out.
    #[must_use]
    pub fn new(by: &str, reason: &str) -> Self {
        let (by, reason) = crate::control::cleaned(by, reason);
        Self { by, reason }
    }

    /// An override is a record with who and why.
    fn said(&self) -> Result<(), DriverError> {
        let missing = match (is_blank(&self.by), is_blank(&self.reason)) {
            (true, _) => "who asks for it (`--as WHO`)",
            (_, true) => "why (`--reason TEXT`)",
            _ => return Ok(()),
        };
        Err(DriverError::Task {
            what: "what an operator says is a record with who and why".into(),
            help: format!("Say {missing}."),
        })
    }
}

/// Puts a blocked task back, and the tasks that were blocked behind it. Its attempts stay in the log. Returns all that
/// were put back.
///
/// # Errors
/// [`DriverError::Task`] where the goal has no such task, or it is not blocked; [`DriverError`] as from a run.
pub fn retry(goal: &Path, task: &TaskId, clock: impl Clock + 'static) -> Result<Vec<TaskId>, DriverError> {
    let (mut held, timeline) = take(goal, clock)?;
    if !held.goal().tasks.iter().any(|known| known.id == *task) {
        return Err(DriverError::Task {
            what: format!("{} has no task `{task}`", goal.display()),
            help: format!(
                "Its tasks are listed by `machine-driver status {}`.",
                goal.display()
            ),
        });
    }
    held.opening(timeline.now())?;
    let status = held.state.status(task);
    if status != Status::Blocked {
        return Err(DriverError::Task {
            what: format!("task `{task}` is not blocked but {}", word(status)),
            help: "Only a blocked task can be put back; to do a done one again, set its `status` to `pending` in \
                   goal.json while no driver runs."
                .into(),
        });
    }
    let with = held.state.waiting_for(held.goal(), std::slice::from_ref(task));
    let all = std::iter::once(task.clone())
        .chain(with.iter().cloned())
        .collect();
    held.append(
        timeline.now(),
        Event::Retried(Retried {
            task: task.clone(),
            with,
        }),
    )?;
    held.checkpoint()?;
    Ok(all)
}

/// Adds a task at the end of the goal, checked by the same rules as goal.json itself.
///
/// # Errors
/// [`DriverError::Goal`] where the task is not acceptable; [`DriverError`] as from a run.
pub fn add_task(goal: &Path, task: &Value, clock: impl Clock + 'static) -> Result<GoalFile, DriverError> {
    let (mut held, timeline) = take(goal, clock)?;
    let with_task = held.file.with_task(task)?;
    #[cfg(feature = "command")]
    crate::preflight::check(&with_task)?;
    if held.state.head().is_some() {
        held.opening(timeline.now())?;
        record_task(&mut held, &timeline, with_task)?;
    } else {
        // No driver has ever run: goal.json is all there is.
        held.file = with_task;
        held.store.checkpoint(held.file.source())?;
    }
    Ok(held.file)
}

fn record_task(held: &mut Held, timeline: &Timeline, with_task: GoalFile) -> Result<(), DriverError> {
    let (before, after) = (held.goal().digest, with_task.goal().digest);
    let Some(task) = with_task.goal().tasks.last().map(|task| task.id.clone()) else {
        return Ok(());
    };
    held.store.save_snapshot(&with_task.snapshot())?;
    held.append(
        timeline.now(),
        Event::TaskAdded(TaskAdded { task, before, after }),
    )?;
    held.file = with_task;
    held.state.adopt(held.file.goal());
    held.checkpoint()
}

/// Sets the log aside, whatever it looks like, and begins a new chain with the progress that goal.json shows.
///
/// # Errors
/// [`DriverError`] where goal.json is not acceptable, another driver holds it, or the disk fails.
pub fn restart_log(goal: &Path, clock: impl Clock + 'static) -> Result<Kept, DriverError> {
    let mut held = Held::take_for_restart(goal)?;
    held.restart(clock.now())
}

/// Takes the log alone: what is said about one goal waits for no other that works on the same tree.
pub(crate) fn take(goal: &Path, clock: impl Clock + 'static) -> Result<(Held, Timeline), DriverError> {
    let held = Held::take_log(goal)?;
    let mut timeline = Timeline::new(std::sync::Arc::new(clock));
    timeline.go_on_from(held.state.last_at());
    Ok((held, timeline))
}

/// Takes the log alone, and carries out what was asked for and never was. `what` cannot be told to a driver that runs.
fn take_log(goal: &Path, clock: impl Clock + 'static, what: &str) -> Result<(Held, Timeline), DriverError> {
    let mut held = Held::take_log(goal).map_err(|error| while_it_runs(error, what))?;
    let mut timeline = Timeline::new(std::sync::Arc::new(clock));
    timeline.go_on_from(held.state.last_at());
    held.carry_out_pending(&timeline)?;
    held.opening(timeline.now())?;
    Ok((held, timeline))
}

fn while_it_runs(error: DriverError, what: &str) -> DriverError {
    let DriverError::Store(StoreError::Locked { holder, .. }) = error else {
        return error;
    };
    let who = holder.map_or_else(String::new, |pid| format!(" (process id {pid})"));
    DriverError::Running {
        what: format!(
            "a driver works on this goal{who}, and while one runs it can only be told to do less: {what}"
        ),
        help: "Wait for its end, or end it with `machine-driver halt --reason TEXT`; then say it again."
            .into(),
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Running => "running",
        Status::Done => "done",
        Status::Blocked => "blocked",
    }
}
