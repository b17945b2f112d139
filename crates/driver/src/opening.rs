//! What the first records of a run say: where its progress comes from, and what the operator changed since the last one.
//!
//! A pure comparison of three things: the goal as it stands in goal.json, the progress that stands there, and what the
//! log folds into.

use std::collections::{BTreeMap, BTreeSet};

use machine_driver_state::event::{Event, GoalEdited, Imported, ImportedTask, Origin};
use machine_driver_state::goal::file::{Progress, TaskProgress};
use machine_driver_state::goal::{Budget, Goal, Status};
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::state::State;
use machine_driver_state::store::Kept;

/// How each task stood when goal.json's checkpoint was written: against this an operator's edit of a status shows.
pub(crate) type Then = BTreeMap<TaskId, Status>;

/// The record that a new chain begins with, where there is progress to begin with.
pub(crate) fn imported(
    goal: &Goal,
    progress: &Progress,
    origin: Origin,
    log: Option<&Kept>,
) -> Option<Event> {
    let begun = |task: &TaskProgress| task.status != Status::Pending || task.attempts > 0;
    let nothing = !progress.tasks.iter().any(begun) && progress.runs == 0 && progress.wall_used.is_zero();
    if nothing && log.is_none() {
        return None;
    }
    let tasks = goal
        .tasks
        .iter()
        .zip(&progress.tasks)
        .filter(|(_, found)| begun(found));
    Some(Event::Imported(Imported {
        goal: goal.name.clone(),
        goal_sha256: goal.digest,
        origin,
        log_kept_as: log.map(|kept| kept.name.clone()),
        log_sha256: log.map(|kept| kept.sha256),
        tasks: tasks
            .map(|(task, found)| imported_task(&task.id, found))
            .collect(),
        worker_runs: progress.runs,
        wall_ms: u64::try_from(progress.wall_used.as_millis()).unwrap_or(u64::MAX),
    }))
}

fn imported_task(id: &TaskId, found: &TaskProgress) -> ImportedTask {
    ImportedTask {
        task: id.clone(),
        status: found.status,
        attempts: u32::try_from(found.attempts).unwrap_or(u32::MAX - 1),
        reason: found.reason.clone(),
    }
}

/// The record of what the operator edited between two runs, where something was. `budget_before` is the budget that the
/// log knows, where its goal was kept.
pub(crate) fn edited(
    goal: &Goal,
    progress: &Progress,
    state: &State,
    then: &Then,
    budget_before: Option<&Budget>,
) -> Option<Event> {
    let before = state.goal_digest()?;
    let retried = put_back(goal, progress, state, then);
    if before == goal.digest && retried.is_empty() {
        return None;
    }
    let budget_changed = before != goal.digest && budget_before != Some(&goal.budget);
    Some(Event::GoalEdited(GoalEdited {
        before,
        after: goal.digest,
        budget_changed,
        retried,
    }))
}

/// The tasks that the operator set back to `pending`, with those that were blocked behind them.
fn put_back(goal: &Goal, progress: &Progress, state: &State, then: &Then) -> Vec<TaskId> {
    let was_given_up = |id: &TaskId| {
        let known = state.status(id);
        matches!(known, Status::Done | Status::Blocked) && then.get(id) == Some(&known)
    };
    let mut planned = state.clone();
    planned.adopt(goal);
    let mut seen = BTreeSet::new();
    let mut retried: Vec<TaskId> = Vec::new();
    for (task, found) in goal.tasks.iter().zip(&progress.tasks) {
        if found.status == Status::Pending && was_given_up(&task.id) && !seen.contains(&task.id) {
            let all = std::iter::once(task.id.clone()).chain(planned.waiting_for(goal, &task.id));
            retried.extend(all.filter(|id| seen.insert(id.clone())));
        }
    }
    retried
}

/// The goal that was to be written when a command crashed: the log already names it, goal.json is still the one before.
pub(crate) fn half_written(
    goal: &Goal,
    state: &State,
    last_added: Option<(Digest, Digest)>,
) -> Option<Digest> {
    let (before, after) = last_added?;
    (goal.digest == before && state.goal_digest() == Some(after)).then_some(after)
}
