//! A person's leave for one commit that cannot be undone.

use std::path::Path;
use std::time::Duration;

use machine_driver_governor::contract::is_one_name;
use machine_driver_governor::gate::{Denial, foresee};
use machine_driver_state::event::{Approved, Event};
use machine_driver_state::goal::Status;
use machine_driver_state::id::TaskId;
use machine_driver_state::time::Timestamp;

use super::{Because, take_log};
use crate::clock::Clock;
use crate::error::DriverError;
use crate::hold::Held;

/// How long an approval stands unless it is said: a day.
pub const APPROVAL_USUAL: Duration = Duration::from_secs(24 * 3600);

/// How long one can stand at most: seven days.
pub const APPROVAL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// An approval that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Until when.
    pub until: Timestamp,
    /// Why the gate would not allow the commit all the same, as it stands now.
    pub still_denied: Option<Denial>,
}

/// Approves one commit of a task that is not done, for this text of it and this contract.
///
/// # Errors
/// [`DriverError::Ratification`] for who proposed the contract; [`DriverError::Running`] while a driver runs; [`DriverError::Task`] where there is no such task, it is done, or `time` is
/// longer than [`APPROVAL_MAX`]; [`DriverError`] as from a run.
pub fn approve(
    goal: &Path,
    task: &TaskId,
    time: Duration,
    because: &Because,
    clock: impl Clock + 'static,
) -> Result<Approval, DriverError> {
    because.said()?;
    let refused = |what: String, help: &str| DriverError::Task {
        what,
        help: help.into(),
    };
    if time.is_zero() || time > APPROVAL_MAX {
        let what = format!(
            "an approval stands for at most {} days",
            APPROVAL_MAX.as_secs() / 86_400
        );
        return Err(refused(
            what,
            "Name a shorter time: `--for 30m`, `--for 8h`, `--for 2d`.",
        ));
    }
    let what = "a commit is approved when it has ended";
    let (mut held, timeline) = take_log(goal, clock, what)?;
    if let Some(proposer) = proposer(&held).filter(|proposer| is_one_name(proposer, &because.by)) {
        return Err(DriverError::Ratification {
            what: format!("`{proposer}` proposed the contract, and cannot approve what it does not allow"),
            help: "Let somebody else look at the task: `machine-driver approve TASK --as WHO`.".into(),
        });
    }
    let index = held.goal().tasks.iter().position(|known| known.id == *task);
    let key = index
        .and_then(|index| held.goal().tasks.get(index))
        .map(|task| task.idempotency_key);
    let (Some(index), Some(idempotency_key)) = (index, key) else {
        let what = format!("{} has no task `{task}`", goal.display());
        return Err(refused(what, "Its tasks are listed by `machine-driver status`."));
    };
    if held.state.status(task) == Status::Done {
        let what = format!("task `{task}` is done, so there is nothing to approve");
        return Err(refused(
            what,
            "A change that was left for review is yours to commit.",
        ));
    }
    let now = timeline.now();
    let until = now.after(time);
    let approved = Approved {
        task: task.clone(),
        idempotency_key,
        contract: held.goal().contract_digest,
        by: because.by.clone(),
        reason: because.reason.clone(),
        until,
    };
    held.append(now, Event::Approved(approved))?;
    held.checkpoint()?;
    let still_denied = foresee(held.goal(), &held.state, index, now).err();
    Ok(Approval { until, still_denied })
}

fn proposer(held: &Held) -> Option<&str> {
    held.goal().contract.as_ref()?.proposed_by.as_deref()
}
