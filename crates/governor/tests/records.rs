//! One record about every task that is resolved, before what follows from it, and never two about one attempt.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use common::{Ground, World, committing, digest, goal, id, interrupted};
use machine_driver_governor::{Action, Found};
use machine_driver_state::alert::AlertKind;
use machine_driver_state::control::Cut;
use machine_driver_state::event::{Event, RecordSigned, Retried, Stage};
use machine_driver_state::record::Record;

/// The machine's words from the verdict on.
#[track_caller]
fn check(world: &World, expected: &[&str]) {
    let names = world.names();
    let from = names.iter().position(|name| *name == expected[0]).unwrap();
    assert_eq!(&names[from..], expected);
    world.replay(&world.lines).unwrap();
}

fn refused(world: &World, event: Event) -> String {
    let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
    world.state.clone().apply(&record).unwrap_err().why
}

#[test]
fn verified_work_is_recorded_before_the_gate_is_asked() {
    let mut world = World::on(committing(&[vec![]]), Ground::recorded(&[]));
    world.finish(&[0]);
    check(
        &world,
        &[
            "verified",
            "record_signed",
            "gate_allowed",
            "commit",
            "goal_complete",
        ],
    );
}

#[test]
fn proposed_work_is_recorded_too() {
    let mut world = World::on(
        goal(&[vec![]]),
        Ground {
            gate: false,
            ..Ground::recorded(&[])
        },
    );
    world.finish(&[0]);
    check(
        &world,
        &["verified", "record_signed", "proposed", "goal_complete"],
    );
}

#[test]
fn a_task_that_is_given_up_is_recorded_as_what_it_is() {
    let mut goal = goal(&[vec![], vec![0]]);
    goal.max_attempts = 1;
    let mut world = World::on(
        goal,
        Ground {
            gate: false,
            ..Ground::recorded(&[])
        },
    );
    world.until("verify");
    assert!(world.step(5));
    let Action::Attest(attempt, 0, Found::Rejected) = world.next() else {
        panic!("{:?}", world.next());
    };
    let signed = world.recorded(&attempt);
    world.say(Event::RecordSigned(attempt.clone(), signed.clone()));
    assert!(refused(&world, Event::RecordSigned(attempt, signed)).contains("already"));
    world.until("attest");
    // The one behind it was never begun.
    let Action::Attest(attempt, 1, Found::Unclear { reason }) = world.next() else {
        panic!("{:?}", world.next());
    };
    assert!(
        attempt.session.is_none() && reason.contains("waits for"),
        "{reason}"
    );
    world.finish(&[0]);
    check(
        &world,
        &[
            "verify_failed",
            "record_signed",
            "quarantine",
            "record_signed",
            "quarantine",
            "goal_complete",
        ],
    );
}

#[test]
fn a_crash_behind_the_verdict_asks_for_the_same_record_again() {
    let mut world = World::on(committing(&[vec![]]), Ground::recorded(&[]));
    let Action::Attest(before, ..) = world.until("attest") else {
        panic!("no record is asked for");
    };
    world.up();
    world.say(interrupted(before.clone(), Stage::Verify, Cut::Crash));
    assert_eq!(world.next(), Action::Attest(before.clone(), 0, Found::Verified));
    world.finish(&[0]);
    assert_eq!(world.has("record_signed"), 1);
    // And a crash behind the record asks for none.
    let mut world = World::on(committing(&[vec![]]), Ground::recorded(&[]));
    world.until("gate_allowed");
    world.up();
    world.say(interrupted(before, Stage::Verify, Cut::Crash));
    world.finish(&[0]);
    assert_eq!((world.has("record_signed"), world.has("commit")), (1, 1));
    world.replay(&world.lines).unwrap();
}

#[test]
fn a_task_that_was_put_back_leaves_another_one() {
    let mut goal = goal(&[vec![]]);
    goal.max_attempts = 1;
    let mut world = World::on(
        goal,
        Ground {
            gate: false,
            ..Ground::recorded(&[])
        },
    );
    world.until("verify");
    assert!(world.step(5));
    world.finish(&[0]);
    world.say(Event::Retried(Retried {
        task: id(0),
        with: vec![],
    }));
    world.up();
    world.finish(&[0]);
    assert_eq!(world.has("record_signed"), 2);
    world.replay(&world.lines).unwrap();
}

#[test]
fn records_are_a_chain_and_unsigned_ones_are_told_once() {
    let mut world = World::on(
        goal(&[vec![], vec![], vec![]]),
        Ground {
            gate: false,
            ..Ground::recorded(&["bot"])
        },
    );
    let Action::Attest(first, ..) = world.until("attest") else {
        panic!("no record is asked for");
    };
    let why = "AAR sign SKIPPED for task t0: missing /k".to_owned();
    let unsigned = RecordSigned {
        prior: None,
        unsigned: Some(why.clone()),
        ..world.recorded(&first)
    };
    world.say(Event::RecordSigned(first, unsigned));
    assert_eq!(world.state.last_record(), None, "nothing is signed yet");
    let Action::Record(Event::AlertRaised(raised)) = world.next() else {
        panic!("{:?}", world.next());
    };
    assert_eq!((raised.kind, raised.text), (AlertKind::Unsigned, why));
    world.until("attest");
    let Action::Attest(second, ..) = world.next() else {
        panic!("no record is asked for");
    };
    let signed = world.recorded(&second);
    world.say(Event::RecordSigned(second, signed.clone()));
    assert_eq!(world.state.last_record(), Some(signed.sha256));
    world.until("attest");
    let Action::Attest(third, ..) = world.next() else {
        panic!("no record is asked for");
    };
    let forged = RecordSigned {
        prior: Some(digest(9)),
        ..world.recorded(&third)
    };
    assert!(refused(&world, Event::RecordSigned(third.clone(), forged)).contains("does not follow"));
    world.deliver();
    world.finish(&[0]);
    assert_eq!((world.has("alert_raised"), world.has("alert_resolved")), (1, 1));
    world.replay(&world.lines).unwrap();
}

#[test]
fn a_replay_misses_a_record_that_was_left_out() {
    let mut world = World::on(
        goal(&[vec![]]),
        Ground {
            gate: false,
            ..Ground::recorded(&[])
        },
    );
    world.until("attest");
    let mut without = World::on(
        goal(&[vec![]]),
        Ground {
            gate: false,
            ..Ground::recorded(&[])
        },
    );
    without.until("attest");
    let attempt = without.state.attempt_under_way(&without.goal).unwrap();
    let proposed = Event::Proposed(attempt, machine_driver_state::event::Proposed {});
    without.say(proposed);
    let error = without.replay(&without.lines).unwrap_err().to_string();
    assert!(error.contains("a record about attempt 1"), "{error}");
    // And in a run that writes none, none may appear.
    let mut keyless = World::new(goal(&[vec![]]));
    keyless.until("proposed");
    let attempt = keyless.state.attempt_under_way(&keyless.goal).unwrap();
    let signed = keyless.recorded(&attempt);
    assert!(refused(&keyless, Event::RecordSigned(attempt, signed)).contains("writes no records"));
}
