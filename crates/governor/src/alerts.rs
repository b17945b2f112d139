//! When a person is told: what comes next of the outbox that the state keeps.

use machine_driver_state::alert::{AlertId, AlertKind};
use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{AlertRaised, AlertResolved, Event};
use machine_driver_state::goal::{Goal, Mode};
use machine_driver_state::id::TaskId;
use machine_driver_state::state::{Due, State, dedup_key};
use machine_driver_state::time::Timestamp;

use std::time::Duration;

use crate::contract;

/// How long the end of a run waits for alerts to go out. What has not gone out by then is sent by the next run.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// Characters of an alert's text.
const TEXT_CHARS: usize = 600;

/// The record by which an alert is raised or resolved, where one is due.
pub(crate) fn next(goal: &Goal, state: &State, now: Timestamp) -> Option<Event> {
    if let Some((id, reason)) = state.outbox().over() {
        return Some(resolved(id, reason));
    }
    if state.sinks().is_empty() {
        return None;
    }
    match state.outbox().due() {
        Some(due) => Some(raised(goal, state, due)),
        None => about_contract(goal, state, now),
    }
}

/// Until when the end of a run waits for what is on its way.
pub(crate) fn farewell(state: &State, now: Timestamp) -> Option<Timestamp> {
    let outbox = state.outbox();
    let until = outbox.raised_at().max(state.up_at()).after(FAREWELL);
    (!outbox.is_empty() && now < until).then_some(until)
}

/// Commits are asked for, but the contract does not allow any.
fn about_contract(goal: &Goal, state: &State, now: Timestamp) -> Option<Event> {
    if goal.mode != Mode::Commit || !state.gate() {
        return None;
    }
    let key = dedup_key(&goal.name, None, AlertKind::NotRatified);
    let unratified = contract::not_ratified(goal, contract::Known::of(state), now);
    match (unratified, state.outbox().open(&key)) {
        (Some(unratified), None) => {
            let text = format!(
                "Commits are asked for, but the contract is not ratified ({}): changes are left for review.",
                unratified.why()
            );
            let (kind, about) = (AlertKind::NotRatified, None);
            Some(raised(goal, state, &Due { kind, about, text }))
        }
        (None, Some(id)) => Some(resolved(id, "the contract is ratified")),
        _ => None,
    }
}

fn raised(goal: &Goal, state: &State, due: &Due) -> Event {
    Event::AlertRaised(AlertRaised {
        id: id(state, due),
        kind: due.kind,
        dedup_key: dedup_key(&goal.name, due.about.as_ref(), due.kind),
        about: due.about.clone(),
        text: due.text.chars().take(TEXT_CHARS).collect(),
        sinks: state.sinks().to_vec(),
    })
}

fn resolved(id: &AlertId, reason: &str) -> Event {
    Event::AlertResolved(AlertResolved {
        id: id.clone(),
        reason: reason.into(),
    })
}

/// A new id for each alert. It needs no chance: the head of the chain differs each time.
fn id(state: &State, due: &Due) -> AlertId {
    let head = state
        .head()
        .map_or_else(String::new, |head| head.hash.to_string());
    let about = due.about.as_ref().map_or("", TaskId::as_str);
    let digest = sha256(format!("alert {head} {about} {}", due.kind.word()).as_bytes()).to_string();
    #[expect(
        clippy::expect_used,
        reason = "a digest is 64 lower-case hex digits, so its first half is an id"
    )]
    AlertId::new(digest.get(..32).unwrap_or_default()).expect("half a digest")
}
