//! The machine: what the driver does next.

mod verified;

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{
    AttemptRef, Cause, Dispatch, Event, GoalComplete, Quarantine, Requeue, Stage, WorkerClass,
};
use machine_driver_state::goal::{Goal, Task};
use machine_driver_state::id::{ActorId, SessionId};
use machine_driver_state::state::{Current, Phase, Run, State, TaskState};
use machine_driver_state::time::Timestamp;

use verified::{after_the_verdict, recorded_first};

use crate::{INTERRUPTIONS_MAX, UNAVAILABLE_MAX, alerts, budget, wait};

/// What the driver does next. It does that one thing, records what came of it, and asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack of the loop"
)]
pub enum Action {
    /// Record this and nothing else: every field is determined.
    Record(Event),
    /// Clear up what an earlier driver left behind, then record [`Event::Interrupted`] for that stage.
    ClearUp(AttemptRef, Stage),
    /// Run the worker for the task at this index, and record how it ended.
    Work(AttemptRef, usize),
    /// Run the verifier for the task at this index, and record what it said. The number says which try it is, from 1.
    Verify(AttemptRef, usize, u32),
    /// Write the record about what was found for the task at this index, unless there is one already.
    Attest(AttemptRef, usize, Found),
    /// Commit what the gate allowed for the task at this index, unless that was done already, and record what came of it.
    Commit(AttemptRef, usize),
    /// Wait until this moment or until something happens, and ask again.
    Wait(Timestamp),
    /// Nothing goes on before a person has mended something: the run ends here, and the next one goes on from here.
    Stuck(String),
    /// The run is over.
    Stop(Run),
    /// The state and the goal are not of one run: the goal was not adopted, or no driver is up.
    Refuse(&'static str),
}

/// What a record says about a task that is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its verifier passed it.
    Verified,
    /// Its verifier failed it, as often as it may.
    Rejected,
    /// Nobody knows: verify could not run, or it never came to one.
    Unclear {
        /// Why, for people.
        reason: String,
    },
}

/// What comes next at `now` in a run of `goal` that stands at `state`, with `worker` doing the work.
#[must_use]
pub fn next_action(goal: &Goal, state: &State, worker: &ActorId, now: Timestamp) -> Action {
    if state.plan().digest() != Some(goal.digest) || state.goal_digest() != Some(goal.digest) {
        return Action::Refuse("the state has not adopted this goal");
    }
    match state.run() {
        Run::Down => return Action::Refuse("no driver is up"),
        Run::Complete => return Action::Stop(Run::Complete), // That is the last record of a run, whatever the clock says.
        Run::Up | Run::Halted => {}
    }
    if state.halt().is_some() {
        return Action::Stop(Run::Up); // Nothing goes on before it is lifted.
    }
    if let Some(event) = alerts::next(goal, state, now) {
        return Action::Record(event);
    }
    if state.run() == Run::Halted {
        return alerts::farewell(state, now).map_or(Action::Stop(Run::Halted), Action::Wait);
    }
    let action = match state.current() {
        Some(current) => go_on(goal, state, current, now),
        None => begin(goal, state, worker, now),
    };
    if state.records() {
        recorded_first(state, action)
    } else {
        action
    }
}

/// An attempt is under way.
fn go_on(goal: &Goal, state: &State, current: &Current, now: Timestamp) -> Action {
    let Some(index) = state.current_index() else {
        return Action::Refuse("the task of the attempt under way is not in the goal");
    };
    let (Some(task), Some(known)) = (goal.tasks.get(index), state.at(index)) else {
        return Action::Refuse("the task of the attempt under way is not in the plan");
    };
    let Some(attempt) = state.attempt_under_way(goal) else {
        return Action::Refuse("the attempt under way is not in the plan");
    };
    if current.left_behind() {
        return Action::ClearUp(attempt, current.stage());
    }
    if current.cut_off {
        let halt = budget::breach(&goal.budget, state, now);
        return halt.map_or(Action::Stop(Run::Up), |halt| {
            Action::Record(Event::BudgetHalt(halt))
        });
    }
    let is_open = matches!(current.phase, Phase::Dispatched | Phase::Exited { .. });
    if is_open && known.interruptions >= INTERRUPTIONS_MAX {
        return give_up(attempt, Cause::Interrupted, interrupted_too_often());
    }
    match &current.phase {
        Phase::Dispatched => Action::Work(attempt, index),
        Phase::Failed { reason } => after_failure(goal, task, known, attempt, reason),
        Phase::Exited {
            class: WorkerClass::RateLimited,
            retry_after_ms,
            ..
        } => {
            let not_before = now.after(wait::asked_or_backoff(*retry_after_ms, known.rate_limits));
            requeue(
                goal,
                task,
                known,
                attempt,
                "the worker asked to wait".into(),
                Some(not_before),
            )
        }
        Phase::Exited {
            class: WorkerClass::CouldNotStart,
            detail,
            ..
        } => after_failed_start(goal, task, known, attempt, detail.as_deref(), now),
        Phase::Exited {
            unavailable, detail, ..
        } => match budget::wall_breach(&goal.budget, state, now) {
            Some(halt) => Action::Record(Event::BudgetHalt(halt)),
            None => verify(goal, task, index, attempt, *unavailable, detail.as_deref(), now),
        },
        Phase::Passed { .. } | Phase::Allowed(_) | Phase::Refused { .. } | Phase::NotCommitted { .. } => {
            after_the_verdict(goal, state, attempt, index, &current.phase, now)
        }
    }
}

/// No attempt is under way: is there something to begin?
fn begin(goal: &Goal, state: &State, worker: &ActorId, now: Timestamp) -> Action {
    if let Some((index, blocker)) = state.plan().in_vain() {
        return give_up_waiting(goal, state, index, blocker);
    }
    let Some(index) = state.plan().ready() else {
        if let Some(until) = alerts::farewell(state, now) {
            return Action::Wait(until);
        }
        let (done, blocked) = (state.plan().done(), state.plan().blocked());
        return Action::Record(Event::GoalComplete(GoalComplete {
            done: done as u64,
            blocked: blocked as u64,
        }));
    };
    let (Some(task), Some(known)) = (goal.tasks.get(index), state.at(index)) else {
        return Action::Refuse("the plan names a task that the goal does not have");
    };
    if known.interruptions >= INTERRUPTIONS_MAX {
        return give_up(
            never_or_last(task, known),
            Cause::Interrupted,
            interrupted_too_often(),
        );
    }
    if let Some(halt) = budget::breach(&goal.budget, state, now) {
        return Action::Record(Event::BudgetHalt(halt));
    }
    match pause(goal, state).filter(|until| *until > now) {
        Some(until) => Action::Wait(until),
        None => Action::Record(Event::Dispatch(
            AttemptRef {
                attempt: known.attempts.saturating_add(1),
                session: Some(session(state, task, known.attempts)),
                ..never_or_last(task, known)
            },
            Dispatch {
                worker_id: worker.clone(),
            },
        )),
    }
}

/// The moment before which nothing is dispatched; never later than the clock reaches the budget.
fn pause(goal: &Goal, state: &State) -> Option<Timestamp> {
    let tick = state.last_attempt_at().map(|ended| ended.after(goal.tick));
    let until = tick.max(state.not_before())?;
    Some(budget::wall_deadline(&goal.budget, state).map_or(until, |deadline| until.min(deadline)))
}

/// A new id for each attempt. It needs no chance: the head of the chain differs each time.
fn session(state: &State, task: &Task, attempts: u32) -> SessionId {
    let head = state
        .head()
        .map_or_else(String::new, |head| head.hash.to_string());
    let digest = sha256(format!("{head} {} {attempts}", task.id).as_bytes()).to_string();
    #[expect(
        clippy::expect_used,
        reason = "a digest is 64 lower-case hex digits, so its first half is a session"
    )]
    SessionId::new(digest.get(..SessionId::LENGTH).unwrap_or_default()).expect("half a digest")
}

fn after_failure(goal: &Goal, task: &Task, known: &TaskState, attempt: AttemptRef, reason: &str) -> Action {
    let max = max_attempts(goal, task);
    if known.failed < max {
        return requeue(
            goal,
            task,
            known,
            attempt,
            format!("verify failed: {reason}"),
            None,
        );
    }
    let times = if max == 1 {
        "once".to_owned()
    } else {
        format!("{max} times")
    };
    give_up(
        attempt,
        Cause::Failed,
        format!("verify failed {times}, last: {reason}"),
    )
}

fn after_failed_start(
    goal: &Goal,
    task: &Task,
    known: &TaskState,
    attempt: AttemptRef,
    detail: Option<&str>,
    now: Timestamp,
) -> Action {
    let why = detail.unwrap_or("no reason given");
    if known.failed_starts >= INTERRUPTIONS_MAX {
        let reason = format!("the worker could not be started {INTERRUPTIONS_MAX} times in a row: {why}");
        return give_up(attempt, Cause::CouldNotStart, reason);
    }
    let not_before = now.after(wait::backoff(known.failed_starts));
    requeue(
        goal,
        task,
        known,
        attempt,
        format!("the worker could not be started: {why}"),
        Some(not_before),
    )
}

fn verify(
    goal: &Goal,
    task: &Task,
    index: usize,
    attempt: AttemptRef,
    unavailable: Option<(u32, Timestamp)>,
    detail: Option<&str>,
    now: Timestamp,
) -> Action {
    if task.verify_cmd.is_none() && goal.verify_cmd.is_none() {
        return give_up(
            attempt,
            Cause::Unclear,
            "there is no verify_cmd, so nothing can say that it is done".into(),
        );
    }
    let Some((tries, last)) = unavailable else {
        return Action::Verify(attempt, index, 1);
    };
    if tries >= UNAVAILABLE_MAX {
        let why = detail.unwrap_or("no reason given");
        return give_up(
            attempt,
            Cause::Unclear,
            format!("verify could not run {tries} times: {why}"),
        );
    }
    let until = last.after(wait::before_again(tries));
    if until > now {
        Action::Wait(until)
    } else {
        Action::Verify(attempt, index, tries + 1)
    }
}

fn give_up_waiting(goal: &Goal, state: &State, index: usize, blocker: usize) -> Action {
    let (Some(task), Some(known), Some(blocker)) =
        (goal.tasks.get(index), state.at(index), goal.tasks.get(blocker))
    else {
        return Action::Refuse("the plan names a task that the goal does not have");
    };
    give_up(
        never_or_last(task, known),
        Cause::After,
        format!("waits for `{}`, which is blocked", blocker.id),
    )
}

/// The task's last attempt, for a record that is written outside of one.
fn never_or_last(task: &Task, known: &TaskState) -> AttemptRef {
    AttemptRef {
        task: task.id.clone(),
        attempt: known.attempts,
        session: None,
        idempotency_key: task.idempotency_key,
        autonomy_used: 0,
    }
}

fn requeue(
    goal: &Goal,
    task: &Task,
    known: &TaskState,
    attempt: AttemptRef,
    reason: String,
    not_before: Option<Timestamp>,
) -> Action {
    let max_attempts = max_attempts(goal, task);
    Action::Record(Event::Requeue(
        attempt,
        Requeue {
            reason,
            failed: known.failed,
            max_attempts,
            not_before,
        },
    ))
}

fn give_up(attempt: AttemptRef, cause: Cause, reason: String) -> Action {
    Action::Record(Event::Quarantine(attempt, Quarantine { cause, reason }))
}

fn interrupted_too_often() -> String {
    format!("cut off {INTERRUPTIONS_MAX} times in a row without a verdict")
}

fn max_attempts(goal: &Goal, task: &Task) -> u32 {
    task.max_attempts.unwrap_or(goal.max_attempts)
}
