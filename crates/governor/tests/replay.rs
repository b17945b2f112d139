//! What a replay takes as given, what it asks the rules for, and how it tells what is wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use common::{Ground, World, digest, goal, id, interrupted, replay};
use machine_driver_governor::Action;
use machine_driver_governor::replay::{Replay, ReplayError};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, DenialCode, Event, GateDenied, GateEscalated, GoalEdited, Imported, ImportedTask, Origin,
    Retried, Stage, TaskAdded, VerifyUnavailable,
};
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Run, State};
use machine_driver_state::time::Timestamp;

/// The goal with another task, or another limit, under another digest.
fn edited(before: &Goal, n: u8, change: impl FnOnce(&mut Goal)) -> Goal {
    let mut after = before.clone();
    after.digest = digest(n);
    change(&mut after);
    after
}

fn edit(before: &Goal, after: &Goal) -> Event {
    Event::GoalEdited(GoalEdited {
        before: before.digest,
        after: after.digest,
        budget_changed: false,
        retried: Vec::new(),
        thawed: Vec::new(),
    })
}

/// Takes the goal up, as a driver does between two runs.
fn take_up(world: &mut World, event: Event, after: &Goal) {
    world.say(event);
    world.state.adopt(after);
    world.goal = after.clone();
    world.up();
}

/// A run of a goal that was edited, and then got another task.
fn of_three_goals() -> (World, [Goal; 3]) {
    let first = goal(&[vec![], vec![]]);
    let second = edited(&first, 202, |goal| goal.max_attempts = 1);
    let third = edited(&second, 203, |goal| {
        let more = goal.tasks.last().unwrap().clone();
        goal.tasks
            .push(machine_driver_state::goal::Task { id: id(7), ..more });
    });
    let mut world = World::new(first.clone());
    world.until("verify");
    assert!(world.step(5));
    world.until("dispatch");
    take_up(&mut world, edit(&first, &second), &second);
    world.until("verify");
    assert!(world.step(5));
    world.until("quarantine");
    world.finish(&[]);
    let added = TaskAdded {
        task: id(7),
        before: second.digest,
        after: third.digest,
    };
    take_up(&mut world, Event::TaskAdded(added), &third);
    world.finish(&[]);
    assert_eq!((world.state.plan().done(), world.state.plan().blocked()), (2, 1));
    (world, [first, second, third])
}

#[test]
fn each_goal_is_in_force_from_its_record_on() {
    let (world, goals) = of_three_goals();
    let (replay, done) = replay(&goals, &world.lines);
    done.unwrap();
    assert_eq!(replay.goal(), Some(&goals[2]));
    assert_eq!(replay.state().head(), world.state.head());
    assert_eq!(replay.state(), &world.state);
    assert_eq!(replay.state().run(), Run::Complete);
}

#[test]
fn a_goal_that_was_not_kept_is_named() {
    let (world, goals) = of_three_goals();
    for missing in 0..3 {
        let mut kept = goals.to_vec();
        let digest = kept.remove(missing).digest;
        let (_, done) = replay(&kept, &world.lines);
        match done.unwrap_err() {
            ReplayError::Goal {
                seq,
                digest: named,
                why,
            } => {
                assert_eq!((named, why.as_str()), (digest, "not kept"));
                let name = Record::read(world.lines[usize::try_from(seq).unwrap()].as_bytes()).unwrap();
                assert_eq!(
                    name.event.name(),
                    ["driver_up", "goal_edited", "task_added"][missing]
                );
            }
            other => panic!("{other}"),
        }
    }
}

/// A store that keeps another goal under every name.
struct Mistaken(Goal);

impl machine_driver_governor::replay::Goals for Mistaken {
    fn goal(&mut self, _: machine_driver_state::id::Digest) -> Result<Goal, String> {
        Ok(self.0.clone())
    }
}

#[test]
fn a_goal_kept_under_anothers_name_is_not_taken() {
    let world = World::new(goal(&[vec![]]));
    let other = edited(&world.goal, 202, |_| {});
    let mut replay = Replay::new(Mistaken(other.clone()));
    assert!(replay.goal().is_none());
    let error = replay.feed(world.lines[0].as_bytes()).unwrap_err().to_string();
    let expected = format!(
        "record 0 needs the goal {}: the goal kept under that name is {}",
        world.goal.digest, other.digest
    );
    assert_eq!(error, expected);
}

/// A chain that begins with progress from elsewhere.
#[test]
fn what_is_imported_is_taken_as_given() {
    for origin in [Origin::Original, Origin::GoalJson, Origin::Restart] {
        let goal = goal(&[vec![], vec![]]);
        let imported = Imported {
            goal: "g".into(),
            goal_sha256: goal.digest,
            origin,
            log_kept_as: None,
            log_sha256: None,
            tasks: vec![ImportedTask {
                task: id(0),
                status: Status::Done,
                attempts: 1,
                reason: None,
            }],
            worker_runs: 1,
            wall_ms: 5,
            spent: None,
            rule: None,
        };
        let mut world = World::new(goal.clone());
        (world.state, world.lines, world.events) = (State::new(), Vec::new(), Vec::new());
        world.say(Event::Imported(imported));
        world.state.adopt(&goal);
        let (after_import, done) = replay(std::slice::from_ref(&goal), &world.lines);
        done.unwrap();
        assert_eq!(after_import.goal(), Some(&goal), "it is in force at once");
        world.up();
        world.finish(&[]);
        assert_eq!(world.has("dispatch"), 1);
        world.replay(&world.lines).unwrap();
    }
}

#[test]
fn a_log_without_a_goal_is_refused() {
    let world = World::new(goal(&[vec![]]));
    let Action::Record(dispatch) = world.next() else {
        panic!("{:?}", world.next())
    };
    let line = Record::after(None, world.now, "d", dispatch)
        .unwrap()
        .line()
        .unwrap();
    let error = world.replay(&[line]).unwrap_err().to_string();
    assert!(
        error.contains("the rules ask for a first record that names a goal"),
        "{error}"
    );
}

#[test]
fn a_broken_line_is_named_by_number() {
    let mut world = World::new(goal(&[vec![]]));
    world.finish(&[]);
    let check = |lines: &[String], record: u64| match world.replay(lines).unwrap_err() {
        ReplayError::Record { seq, line, .. } => assert_eq!((seq, line), (record, record + 1)),
        other => panic!("{other}"),
    };
    let mut lines = world.lines.clone();
    lines[3] = lines[3].replacen("\"exit\":0", "\"exit\":1", 1);
    check(&lines, 3);
    let mut lines = world.lines.clone();
    lines.remove(2);
    check(&lines, 2);
    check(&["{}".to_owned()], 0);
}

/// A run whose next record is this one, in a chain without a flaw.
fn refused(world: &World, at: Timestamp, event: Event, why: &str) {
    let record = Record::after(world.state.head(), at, "d", event).unwrap();
    let mut lines = world.lines.clone();
    lines.push(record.line().unwrap());
    let error = world.replay(&lines).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

/// The attempt with another key, or another autonomy: what the state does not look at, the rules do.
fn misnamed(attempt: &AttemptRef) -> [AttemptRef; 2] {
    let key = AttemptRef {
        idempotency_key: digest(99),
        ..attempt.clone()
    };
    let autonomy = AttemptRef {
        autonomy_used: 5,
        ..attempt.clone()
    };
    [key, autonomy]
}

#[test]
fn an_interruption_is_of_the_attempt_under_way_and_once() {
    let mut world = World::new(goal(&[vec![]]));
    let Action::Verify(attempt, ..) = world.until("verify") else {
        unreachable!()
    };
    let cut = |attempt: &AttemptRef, by| interrupted(attempt.clone(), Stage::Verify, by);
    for other in misnamed(&attempt) {
        refused(
            &world,
            world.now,
            cut(&other, Cut::Sigterm),
            "the rules ask for a verify",
        );
    }
    world.say(cut(&attempt, Cut::Sigterm));
    world.replay(&world.lines).unwrap();
    refused(
        &world,
        world.now,
        cut(&attempt, Cut::Sigterm),
        "the rules ask for the end of the run",
    );
    world.up();
    world.up();
    world.replay(&world.lines).unwrap();
    for other in misnamed(&attempt) {
        refused(
            &world,
            world.now,
            cut(&other, Cut::Crash),
            "the rules ask for clearing up attempt 1 of `t0`",
        );
    }
    refused(
        &world,
        world.now,
        cut(&attempt, Cut::Sigterm),
        "the rules ask for clearing up",
    );
    let worker = interrupted(attempt.clone(), Stage::Worker, Cut::Crash);
    refused(&world, world.now, worker, "the rules ask for clearing up");
    world.say(cut(&attempt, Cut::Crash));
    world.replay(&world.lines).unwrap();
    refused(
        &world,
        world.now,
        cut(&attempt, Cut::Crash),
        "a crash is what an earlier driver left behind",
    );
}

/// What a worker or a verifier says is of the attempt that was asked for.
#[test]
fn an_outcome_is_of_the_attempt_that_was_asked_for() {
    let mut world = World::new(goal(&[vec![]]));
    world.until("verify");
    for at in 2..4 {
        let Some(attempt) = world.events[at].attempt() else {
            panic!("{:?}", world.events[at])
        };
        for other in misnamed(attempt) {
            let mut before = World::new(world.goal.clone());
            for event in &world.events[1..at] {
                before.say(event.clone());
            }
            let event = match world.events[at].clone() {
                Event::WorkerStarted(_, mark) => Event::WorkerStarted(other, mark),
                Event::WorkerExited(_, exited) => Event::WorkerExited(other, exited),
                event => panic!("{event:?}"),
            };
            refused(
                &before,
                before.now,
                event,
                "the rules ask for a worker for attempt 1 of `t0`",
            );
        }
    }
    let Action::Verify(attempt, ..) = world.next() else {
        unreachable!()
    };
    for other in misnamed(&attempt) {
        let output = common::failure(
            common::verifier(),
            machine_driver_state::event::OutputDigest::of(b""),
        );
        let event = Event::VerifyFailed(other, output);
        refused(
            &world,
            world.now,
            event,
            "the rules ask for a verify for attempt 1 of `t0`",
        );
    }
}

/// The same for a verifier that could not judge.
#[test]
fn a_verify_that_could_not_judge_is_of_its_own_attempt() {
    let mut world = World::on(common::committing(&[vec![]]), Ground::gate(&[]));
    let Action::Verify(attempt, ..) = world.until("verify") else {
        unreachable!()
    };
    let unavailable = |attempt: AttemptRef, tries| {
        let (verifier_id, reason) = (common::verifier(), "exit 127".into());
        let body = VerifyUnavailable {
            verifier_id,
            reason,
            tries,
        };
        Event::VerifyUnavailable(attempt, body)
    };
    for other in misnamed(&attempt) {
        refused(
            &world,
            world.now,
            unavailable(other, 1),
            "the rules ask for a verify",
        );
    }
    refused(
        &world,
        world.now,
        unavailable(attempt, 2),
        "the rules ask for a verify",
    );
}

#[test]
fn a_leave_is_taken_back_of_its_own_attempt_and_at_the_place_of_mutation() {
    let mut world = World::on(common::committing(&[vec![]]), Ground::gate(&[]));
    let Action::Commit(attempt, _) = world.until("commit!") else {
        unreachable!()
    };
    let (code, reason) = (DenialCode::Irreversible, "why".to_owned());
    let taken_back = |attempt: &AttemptRef, at_mutation| {
        let (reason, other_reason) = (reason.clone(), reason.clone());
        let denied = GateDenied {
            code,
            reason,
            at_mutation,
        };
        let escalated = GateEscalated {
            code,
            reason: other_reason,
            at_mutation,
        };
        [
            Event::GateDenied(attempt.clone(), denied),
            Event::GateEscalated(attempt.clone(), escalated),
        ]
    };
    for event in misnamed(&attempt)
        .iter()
        .flat_map(|other| taken_back(other, true))
    {
        refused(
            &world,
            world.now,
            event,
            "the rules ask for the commit of attempt 1",
        );
    }
    for event in taken_back(&attempt, false) {
        refused(
            &world,
            world.now,
            event,
            "the rules ask for the commit of attempt 1",
        );
    }
    for event in taken_back(&attempt, true) {
        let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
        let mut lines = world.lines.clone();
        lines.push(record.line().unwrap());
        world.replay(&lines).unwrap();
    }
}

/// What is recorded at once is asked for at its own moment, not at one before.
#[test]
fn a_record_of_the_rules_is_asked_for_at_its_own_time() {
    let mut limited = goal(&[vec![], vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(5));
    let mut world = World::new(limited);
    let Action::Record(dispatch) = world.until("dispatch") else {
        unreachable!()
    };
    refused(
        &world,
        world.now.after(Duration::from_secs(5)),
        dispatch,
        "the rules ask for BudgetHalt",
    );
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.replay(&world.lines).unwrap();
}
