//! The progress that goal.json shows, as the log tells it.

use machine_driver_state::goal::Goal;
use machine_driver_state::goal::file::{Progress, TaskProgress};
use machine_driver_state::state::State;

/// What goal.json says about a run of `goal` that stands at `state`.
pub(crate) fn progress(goal: &Goal, state: &State) -> Progress {
    Progress {
        tasks: goal.tasks.iter().map(|task| of_task(state, &task.id)).collect(),
        runs: state.spent().worker_runs,
        wall_used: state.spent().wall,
        last_success_at: state.last_success_at(),
        checkpoint: state.head(),
    }
}

fn of_task(state: &State, id: &machine_driver_state::id::TaskId) -> TaskProgress {
    let Some(known) = state.task(id) else {
        return TaskProgress::default();
    };
    TaskProgress {
        status: state.status(id),
        attempts: u64::from(known.attempts),
        started: known.started,
        done: known.done,
        reason: known.reason.clone(),
        verify_tail: known.verify_tail.clone(),
        commit: known.commit.as_ref().map(ToString::to_string),
    }
}
