//! What the first records of a run say: where its progress comes from, and what the operator changed since the last one.
//!
//! A pure comparison of three things: the goal as it stands in goal.json, the progress that stands there, and what the
//! log folds into.

use std::collections::{BTreeMap, BTreeSet};

use machine_driver_governor::contract::thawed;
use machine_driver_state::event::{
    Event, GoalEdited, Imported, ImportedRule, ImportedSpent, ImportedTask, Origin,
};
use machine_driver_state::goal::file::{Progress, TaskProgress};
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::state::{Spent, State};
use machine_driver_state::store::Kept;

/// How each task stood when goal.json's checkpoint was written: against this an operator's edit of a status shows.
pub(crate) type Then = BTreeMap<TaskId, Status>;

/// The most attempts at a task that are taken over from elsewhere: there is room to go on counting.
const ATTEMPTS_MAX: u64 = 1_000_000;

/// The most worker runs that are taken over.
const RUNS_MAX: u64 = 1_000_000_000_000;

/// The most time that is taken over: a hundred years.
const WALL_MS_MAX: u64 = 100 * 366 * 86_400_000;

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
        worker_runs: progress.runs.min(RUNS_MAX),
        spent: None,
        rule: None,
        wall_ms: u64::try_from(progress.wall_used.as_millis())
            .unwrap_or(u64::MAX)
            .min(WALL_MS_MAX),
    }))
}

/// The record that a chain begins anew with: the progress that goal.json shows, what the older log says was used, and what
/// stood in it.
pub(crate) fn restarted(
    goal: &Goal,
    progress: &Progress,
    kept: &Kept,
    spent: &Spent,
    rule: Option<ImportedRule>,
) -> Option<Event> {
    let Some(Event::Imported(mut imported)) = imported(goal, progress, Origin::Restart, Some(kept)) else {
        return None;
    };
    imported.worker_runs = imported.worker_runs.max(spent.worker_runs);
    imported.wall_ms = imported
        .wall_ms
        .max(u64::try_from(spent.wall.as_millis()).unwrap_or(u64::MAX));
    imported.spent = Some(ImportedSpent {
        tokens: spent.tokens,
        usd_micros: spent.usd_micros,
        output_bytes: spent.output_bytes,
        runs_without_tokens: spent.runs_without_tokens,
        runs_without_usd: spent.runs_without_usd,
    });
    imported.rule = rule;
    Some(Event::Imported(imported))
}

fn imported_task(id: &TaskId, found: &TaskProgress) -> ImportedTask {
    ImportedTask {
        task: id.clone(),
        status: found.status,
        attempts: u32::try_from(found.attempts.min(ATTEMPTS_MAX)).unwrap_or(0),
        reason: found.reason.clone(),
    }
}

/// The record of what the operator edited between two runs, where something was. `known` is the goal that the log knows, and
/// `is_kept` whether it should be there.
pub(crate) fn edited(
    goal: &Goal,
    progress: &Progress,
    state: &State,
    then: &Then,
    known: Option<&Goal>,
    is_kept: bool,
) -> Option<Event> {
    let before = state.goal_digest()?;
    let retried = put_back(goal, progress, state, then);
    if before == goal.digest && retried.is_empty() {
        return None;
    }
    let budget_changed = before != goal.digest && known.map(|known| &known.budget) != Some(&goal.budget);
    let can_be_known = known.is_some() || is_kept;
    let thawed = (before != goal.digest && can_be_known).then(|| thawed_since(known, goal));
    Some(Event::GoalEdited(GoalEdited {
        before,
        after: goal.digest,
        budget_changed,
        retried,
        thawed: thawed.unwrap_or_default(),
    }))
}

/// The frozen fields of the contract that are not as they were in the goal that the log knows. Where that one cannot be had
/// any more, nobody can say that they are.
pub(crate) fn thawed_since(known: Option<&Goal>, goal: &Goal) -> Vec<String> {
    match (known, &goal.contract) {
        (Some(known), contract) => known
            .contract
            .as_ref()
            .map(|before| thawed(before, contract.as_ref()))
            .unwrap_or_default(),
        (None, Some(_)) => vec!["immutable".to_owned()],
        (None, None) => Vec::new(),
    }
}

/// The tasks that the operator set back to `pending`, with those that were blocked behind them.
fn put_back(goal: &Goal, progress: &Progress, state: &State, then: &Then) -> Vec<TaskId> {
    let was_given_up = |id: &TaskId| {
        let known = state.status(id);
        matches!(known, Status::Done | Status::Blocked) && then.get(id) == Some(&known)
    };
    let tasks = goal.tasks.iter().zip(&progress.tasks);
    let put_back = tasks.filter(|(task, found)| found.status == Status::Pending && was_given_up(&task.id));
    let mut retried: Vec<TaskId> = put_back.map(|(task, _)| task.id.clone()).collect();
    if retried.is_empty() {
        return retried;
    }
    let mut planned = state.clone();
    planned.adopt(goal);
    let mut seen: BTreeSet<TaskId> = retried.iter().cloned().collect();
    let behind = planned.waiting_for(goal, &retried);
    retried.extend(behind.into_iter().filter(|id| seen.insert(id.clone())));
    retried
}

/// The last command that the log knows to have changed the goal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByCommand {
    /// Its record.
    pub(crate) seq: u64,
    /// The goal before.
    pub(crate) before: Digest,
    /// The goal after.
    pub(crate) after: Digest,
}

/// The goal that was to be written when a command crashed: the log already names it, goal.json is still the one from before
/// that record. One that was written after it is an edit.
pub(crate) fn half_written(
    goal: &Goal,
    progress: &Progress,
    state: &State,
    last: Option<ByCommand>,
) -> Option<Digest> {
    let change = last?;
    let is_older = progress
        .checkpoint
        .is_none_or(|checkpoint| checkpoint.seq < change.seq);
    let is_the_one = goal.digest == change.before && state.goal_digest() == Some(change.after);
    (is_older && is_the_one).then_some(change.after)
}
