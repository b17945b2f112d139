//! Verified work on its way: the record about it, the gate, the commit.

use machine_driver_state::change::Change;
use machine_driver_state::event::{
    AttemptRef, Cause, CommitDenied, CommitEmpty, Event, GateAllowed, Proposed,
};
use machine_driver_state::goal::Goal;
use machine_driver_state::state::{COMMIT_TRIES_MAX, Phase, State};
use machine_driver_state::time::Timestamp;

use super::{Action, Found, give_up};
use crate::{alerts, gate, wait};

/// The verifier passed it: what comes of that.
pub(super) fn after_the_verdict(
    goal: &Goal,
    state: &State,
    attempt: AttemptRef,
    index: usize,
    phase: &Phase,
    now: Timestamp,
) -> Action {
    match phase {
        Phase::Passed { .. } if state.records() && !state.is_recorded(&attempt) => {
            Action::Attest(attempt, index, Found::Verified)
        }
        Phase::Passed { change, .. } if state.gate() => {
            at_the_gate(goal, state, attempt, index, change.as_ref(), now)
        }
        Phase::Passed { .. } | Phase::Refused { denied: None } => {
            Action::Record(Event::Proposed(attempt, Proposed {}))
        }
        Phase::Refused { denied: Some(reason) } => {
            let reason = reason.clone();
            Action::Record(Event::CommitDenied(attempt, CommitDenied { reason }))
        }
        Phase::Allowed(allowed) => match &allowed.failed {
            Some((tries, at, why)) => commit_again(state, attempt, index, *tries, *at, why, now),
            None => Action::Commit(attempt, index),
        },
        Phase::NotCommitted { reason } => give_up(
            attempt,
            Cause::CommitFailed,
            format!("it was verified, but the commit failed: {reason}"),
        ),
        Phase::Dispatched | Phase::Exited { .. } | Phase::Failed { .. } => {
            Action::Refuse("nothing was verified")
        }
    }
}

/// A task that is given up leaves a record first.
pub(super) fn recorded_first(state: &State, action: Action) -> Action {
    let Action::Record(Event::Quarantine(attempt, given_up)) = &action else {
        return action;
    };
    let Some(index) = state.place(&attempt.task).filter(|_| !state.is_recorded(attempt)) else {
        return action;
    };
    let found = match given_up.cause {
        Cause::Failed => Found::Rejected,
        _ => Found::Unclear {
            reason: given_up.reason.clone(),
        },
    };
    Action::Attest(attempt.clone(), index, found)
}

/// Verified work: may it be committed?
fn at_the_gate(
    goal: &Goal,
    state: &State,
    attempt: AttemptRef,
    index: usize,
    change: Option<&Change>,
    now: Timestamp,
) -> Action {
    let is_known = |change: &&Change| {
        let is_there = state.repo_head() == Some(&change.parent);
        !state.tampered() && is_there && state.repo_reference() == Some(&change.reference)
    };
    if let Some(change) = change.filter(is_known).filter(|change| change.paths == 0) {
        let tree = change.tree.clone();
        return Action::Record(Event::CommitEmpty(attempt, CommitEmpty { tree }));
    }
    let permit = match gate::decide(goal, state, index, now) {
        Ok(permit) => permit,
        Err(denial) => return Action::Record(denial.event(attempt, false)),
    };
    let Some(change) = change else {
        return Action::Refuse("the gate allows what was not read");
    };
    let left_over = state.left_over().iter().filter(|id| **id != attempt.task);
    let allowed = GateAllowed {
        change: change.clone(),
        contract: permit.contract(),
        needs: permit.needs(),
        approved_by: permit.approved_by().map(str::to_owned),
        rollback_ref: permit.rollback().cloned(),
        left_over: left_over.cloned().collect(),
    };
    let autonomy_used = u8::try_from(permit.needs()).unwrap_or(u8::MAX);
    Action::Record(Event::GateAllowed(
        AttemptRef {
            autonomy_used,
            ..attempt
        },
        allowed,
    ))
}

/// A commit that could not be made for reasons that are not the change's: they stand in the way of every other one too.
fn commit_again(
    state: &State,
    attempt: AttemptRef,
    index: usize,
    tries: u32,
    at: Timestamp,
    why: &str,
    now: Timestamp,
) -> Action {
    if tries >= COMMIT_TRIES_MAX {
        let stuck = || Action::Stuck(why.to_owned());
        return alerts::farewell(state, now).map_or_else(stuck, Action::Wait);
    }
    let until = at.after(wait::before_again(tries));
    if until > now {
        Action::Wait(until)
    } else {
        Action::Commit(attempt, index)
    }
}
