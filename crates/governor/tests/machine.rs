//! The machine's rules as tables, and its promises over any sequence of outcomes and crashes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Ground, World, goal, id};
use machine_driver_governor::{Action, INTERRUPTIONS_MAX, budget, next_action};
use machine_driver_state::alert::AlertId;
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, Cause, Event, GateDenied, GateEscalated, GoalEdited, Imported, Origin, Stage, Tampering,
    WorkerClass,
};
use machine_driver_state::goal::{Contract, Goal, Mode, Status};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Run, State};
use machine_driver_state::usage::Usage;
use proptest::prelude::*;

const OK: u8 = 0;
const FAIL: u8 = 5;
const RATE_LIMITED: u8 = 5;
const CANNOT_START: u8 = 6;
const UNAVAILABLE: u8 = 7;

/// The names of the events of a run of `goal`, with these choices for workers and verifiers.
fn names(goal: Goal, outcomes: &[u8]) -> Vec<&'static str> {
    let world = run(goal, outcomes);
    world.events.iter().map(Event::name).collect()
}

/// Runs to the end; `outcomes` are used up by workers and verifiers only.
fn run(goal: Goal, outcomes: &[u8]) -> World {
    let mut world = World::new(goal);
    let mut outcomes = outcomes.iter().copied();
    for _ in 0..10_000 {
        let choice = match world.next() {
            Action::Work(..) | Action::Verify(..) => outcomes.next().unwrap_or(OK),
            _ => OK,
        };
        if !world.step(choice) {
            return world;
        }
    }
    panic!("no end");
}

#[test]
fn the_course_of_one_task() {
    let start = ["driver_up", "dispatch", "worker_started", "worker_exited"];
    let check = |outcomes: &[u8], rest: &[&str]| {
        let expected: Vec<_> = start.iter().chain(rest).copied().collect();
        assert_eq!(names(goal(&[vec![]]), outcomes), expected, "{outcomes:?}");
    };
    check(&[OK, OK], &["verified", "proposed", "goal_complete"]);
    let again = [
        "verify_failed",
        "requeue",
        "dispatch",
        "worker_started",
        "worker_exited",
    ];
    check(
        &[OK, FAIL, OK, OK],
        &[&again[..], &["verified", "proposed", "goal_complete"]].concat(),
    );
    let thrice = [
        &again[..],
        &again[..],
        &["verify_failed", "quarantine", "goal_complete"],
    ]
    .concat();
    check(&[OK, FAIL, OK, FAIL, OK, FAIL], &thrice);
    let limited = [
        "requeue",
        "dispatch",
        "worker_started",
        "worker_exited",
        "verified",
        "proposed",
        "goal_complete",
    ];
    check(&[RATE_LIMITED, OK, OK], &limited);
    check(&[CANNOT_START, OK, OK], &limited);
    let unavailable = ["verify_unavailable"; 3];
    check(
        &[OK, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE],
        &[&unavailable[..], &["quarantine", "goal_complete"]].concat(),
    );
    check(
        &[OK, UNAVAILABLE, OK],
        &["verify_unavailable", "verified", "proposed", "goal_complete"],
    );
}

#[test]
fn a_rate_limit_costs_no_attempt_and_waits_longer_each_time() {
    let world = run(goal(&[vec![]]), &[RATE_LIMITED; 12]);
    let task = world.state.at(0).unwrap();
    assert_eq!((task.status, task.failed, task.attempts), (Status::Done, 0, 13));
    let waited = world.now.since(World::new(goal(&[vec![]])).now).as_secs();
    assert!(waited >= 10 + 20 + 40 + 80 + 160 + 300 * 7, "{waited}");
}

#[test]
fn a_worker_that_never_starts_is_given_up_after_ten() {
    let world = run(goal(&[vec![]]), &[CANNOT_START; 20]);
    let task = world.state.at(0).unwrap();
    assert_eq!(
        (task.cause, task.attempts, task.failed),
        (Some(Cause::CouldNotStart), 10, 0)
    );
}

#[test]
fn ten_crashes_in_a_row_block_a_task() {
    let mut world = World::new(goal(&[vec![], vec![]]));
    for _ in 0..INTERRUPTIONS_MAX {
        while !matches!(world.next(), Action::Work(..)) {
            assert!(world.step(OK));
        }
        world.up();
    }
    world.finish(&[]);
    assert_eq!(world.state.at(0).unwrap().cause, Some(Cause::Interrupted));
    assert_eq!(
        world.state.at(1).unwrap().status,
        Status::Done,
        "the next task is not held up"
    );
}

#[test]
fn ten_crashes_in_a_row_in_the_verify_block_a_task_and_run_its_worker_once() {
    let mut world = World::new(goal(&[vec![]]));
    for _ in 0..INTERRUPTIONS_MAX {
        while !matches!(world.next(), Action::Verify(..)) {
            assert!(world.step(OK));
        }
        world.up();
    }
    world.finish(&[]);
    assert_eq!(world.state.at(0).unwrap().cause, Some(Cause::Interrupted));
    assert_eq!(world.state.spent().worker_runs, 1);
}

#[test]
fn a_verify_that_is_cut_off_goes_on_in_the_next_run_and_its_worker_does_not() {
    let mut world = World::new(goal(&[vec![]]));
    let Action::Verify(attempt, ..) = until_verify(&mut world) else {
        unreachable!()
    };
    world.say(common::interrupted(attempt, Stage::Verify, Cut::Sigint));
    assert_eq!(world.next(), Action::Stop(Run::Up), "nothing goes on in this run");
    world.up();
    world.finish(&[]);
    let task = world.state.at(0).unwrap();
    assert_eq!((task.status, world.state.spent().worker_runs), (Status::Done, 1));
    world.replay(&world.lines).unwrap();
}

#[test]
fn the_clock_can_halt_a_verify() {
    let mut limited = goal(&[vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(5));
    let mut world = World::new(limited);
    let Action::Verify(attempt, ..) = until_verify(&mut world) else {
        unreachable!()
    };
    world.pass_time(Duration::from_secs(5));
    world.say(common::interrupted(attempt, Stage::Verify, Cut::Budget));
    world.finish(&[]);
    assert_eq!(
        (world.state.run(), world.events.last().unwrap().name()),
        (Run::Halted, "budget_halt")
    );
    world.replay(&world.lines).unwrap();
}

#[test]
fn a_used_up_clock_halts_before_a_verify_each_time_and_gives_nothing_up() {
    let mut limited = goal(&[vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(5));
    let mut world = World::new(limited);
    until_verify(&mut world);
    world.pass_time(Duration::from_secs(5));
    for _ in 0..20 {
        world.finish(&[]);
        assert_eq!(world.events.last().unwrap().name(), "budget_halt");
        world.up();
    }
    assert_eq!(world.state.at(0).unwrap().interruptions, 0);
    world.replay(&world.lines).unwrap();
}

#[test]
fn the_time_up_to_the_last_sign_of_life_is_charged_after_a_crash() {
    let mut limited = goal(&[vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(10));
    let mut world = World::new(limited);
    while !matches!(world.next(), Action::Work(..)) {
        assert!(world.step(OK));
    }
    let dispatched = world.now;
    world.pass_time(Duration::from_secs(3_600));
    world.up();
    assert_eq!(world.state.current().unwrap().left_at, Some(dispatched));
    let Action::ClearUp(attempt, stage) = world.next() else {
        panic!("{:?}", world.next())
    };
    let Event::Interrupted(attempt, mut cut) = common::interrupted(attempt, stage, Cut::Crash) else {
        unreachable!()
    };
    cut.unlogged_wall_ms = 9_000;
    world.say(Event::Interrupted(attempt, cut));
    assert_eq!(world.state.spent().wall, Duration::from_secs(9));
}

#[test]
fn a_worker_that_never_ran_cost_nothing() {
    let mut limited = goal(&[vec![]]);
    limited.budget.usd_micros_max = Some(5_000_000);
    let mut world = World::new(limited);
    while !matches!(world.next(), Action::Work(..)) {
        assert!(world.step(OK));
    }
    let Action::Work(attempt, _) = world.next() else {
        unreachable!()
    };
    world.say(common::exited(
        attempt,
        WorkerClass::CouldNotStart,
        Usage::default(),
    ));
    assert!(world.step(OK));
    assert!(matches!(world.next(), Action::Wait(_)), "{:?}", world.next());
}

#[test]
fn a_state_of_another_goal_or_without_a_driver_is_refused() {
    let not_adopted = Action::Refuse("the state has not adopted this goal");
    let mut world = World::new(goal(&[vec![]]));
    let mut other = world.goal.clone();
    other.digest = common::digest(203);
    let next = |state, goal| next_action(goal, state, &common::worker(), world.now);
    assert_eq!(next(&world.state, &other), not_adopted);
    let mut adopted = world.state.clone();
    adopted.adopt(&other);
    assert_eq!(next(&adopted, &other), not_adopted, "its log knows another goal");
    assert_eq!(
        next(&adopted, &world.goal),
        not_adopted,
        "its plan is of another goal"
    );
    let mut down = State::new();
    down.adopt(&world.goal);
    assert_eq!(next(&down, &world.goal), not_adopted, "it has no log");
    world.until("dispatch");
    let edited = GoalEdited {
        before: world.goal.digest,
        after: world.goal.digest,
        budget_changed: false,
        retried: Vec::new(),
        thawed: Vec::new(),
    };
    let imported = Imported {
        goal: "g".into(),
        goal_sha256: world.goal.digest,
        origin: Origin::GoalJson,
        log_kept_as: None,
        log_sha256: None,
        tasks: Vec::new(),
        worker_runs: 0,
        wall_ms: 0,
        spent: None,
        rule: None,
    };
    for event in [Event::Imported(imported), Event::GoalEdited(edited)] {
        let record = Record::after(down.head(), world.now, "d", event).unwrap();
        down.apply(&record).unwrap();
        let next = next_action(&world.goal, &down, &common::worker(), world.now);
        assert_eq!(next, Action::Refuse("no driver is up"));
    }
}

fn until_verify(world: &mut World) -> Action {
    while !matches!(world.next(), Action::Verify(..)) {
        assert!(world.step(OK));
    }
    world.next()
}

#[test]
fn without_a_verifier_nothing_passes_and_one_worker_run_is_enough_to_know() {
    let goal = Goal {
        verify_cmd: None,
        mode: Mode::Commit,
        ..goal(&[vec![]])
    };
    let world = run(goal, &[]);
    let task = world.state.at(0).unwrap();
    assert_eq!(
        (task.status, task.cause, task.attempts),
        (Status::Blocked, Some(Cause::Unclear), 1)
    );
    assert!(task.reason.as_deref().unwrap().contains("no verify_cmd"));
}

#[test]
fn what_waits_for_a_blocked_task_is_blocked_with_that_reason() {
    let world = run(
        goal(&[vec![], vec![0], vec![1], vec![]]),
        &[OK, FAIL, OK, FAIL, OK, FAIL],
    );
    let reason = |index: usize| world.state.at(index).unwrap().reason.clone().unwrap_or_default();
    assert_eq!(reason(1), "waits for `t0`, which is blocked");
    assert_eq!(reason(2), "waits for `t1`, which is blocked");
    assert_eq!(world.state.at(3).unwrap().status, Status::Done);
    assert_eq!(world.events.last().unwrap().name(), "goal_complete");
}

#[test]
fn the_tick_passes_between_attempts_and_not_before_the_first() {
    let mut world = World::new(goal(&[vec![], vec![]]));
    let begun = world.now;
    while world.state.plan().done() == 0 {
        world.step(OK);
    }
    assert_eq!(world.now, begun);
    assert_eq!(world.next(), Action::Wait(begun.after(Duration::from_secs(1))));
}

#[test]
fn a_limit_halts_before_the_next_dispatch_and_not_when_nothing_is_left() {
    let mut limited = goal(&[vec![], vec![]]);
    limited.budget.worker_runs_max = Some(1);
    let world = run(limited, &[]);
    let Some(Event::BudgetHalt(halt)) = world.events.last() else {
        panic!("{:?}", world.events.last())
    };
    assert_eq!(
        halt.reason,
        "max_worker_runs reached: 1 worker runs used, 1 worker runs allowed"
    );
    let mut exact = goal(&[vec![], vec![]]);
    exact.budget.worker_runs_max = Some(2);
    assert!(run(exact, &[]).is_complete());
}

#[test]
fn an_unknown_cost_is_not_zero() {
    let mut limited = goal(&[vec![], vec![]]);
    limited.budget.usd_micros_max = Some(5_000_000);
    let world = run(limited, &[]);
    let Some(Event::BudgetHalt(halt)) = world.events.last() else {
        panic!("{:?}", world.events.last())
    };
    assert_eq!(
        (halt.limit.as_str(), halt.used.as_str()),
        ("max_usd", "unknown for 1 worker run")
    );
    assert_eq!(halt.max, "5.000000 USD");
}

#[test]
fn the_wall_clock_counts_while_a_driver_is_up() {
    let mut limited = goal(&[vec![], vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(10));
    let mut world = World::new(limited);
    assert_eq!(
        budget::wall_deadline(&world.goal.budget, &world.state),
        Some(world.now.after(Duration::from_secs(10)))
    );
    world.pass_time(Duration::from_millis(9_999));
    assert!(matches!(world.next(), Action::Record(Event::Dispatch(..))));
    world.pass_time(Duration::from_millis(1));
    let Action::Record(Event::BudgetHalt(halt)) = world.next() else {
        panic!("{:?}", world.next())
    };
    assert_eq!(halt.used, "10.000 s");
}

#[test]
fn the_day_between_two_runs_costs_nothing() {
    let mut limited = goal(&[vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(10));
    let mut world = World::new(limited);
    world.pass_time(Duration::from_secs(86_400));
    world.up();
    assert_eq!(budget::wall_at(&world.state, world.now), Duration::ZERO);
    world.finish(&[]);
    assert!(world.is_complete());
}

#[test]
fn a_halted_run_starts_again_only_when_the_budget_allows() {
    let mut limited = goal(&[vec![], vec![]]);
    limited.budget.worker_runs_max = Some(1);
    let mut world = run(limited, &[]);
    world.up();
    world.finish(&[]);
    assert_eq!(world.state.run(), Run::Halted);
    assert_eq!(
        world.state.spent().worker_runs,
        1,
        "a restart earns no fresh budget"
    );
}

#[test]
fn a_replay_accepts_what_happened_and_nothing_else() {
    let world = run(goal(&[vec![], vec![0]]), &[OK, FAIL, RATE_LIMITED, OK, OK]);
    world.replay(&world.lines).unwrap();
    for missing in 0..world.lines.len() - 1 {
        let mut lines = world.lines.clone();
        lines.remove(missing);
        assert!(world.replay(&lines).is_err(), "without record {missing}");
    }
    let mut lines = world.lines.clone();
    lines[3] = lines[3].replace("\"exit\":0", "\"exit\": 0");
    let error = world.replay(&lines).unwrap_err().to_string();
    assert_eq!(error, "record 3 is not written as this version writes it");
}

/// Rebuilds the chain around a log in which one event was replaced: every hash is right, the story is not.
fn forged(world: &World, at: usize, event: Event) -> Vec<String> {
    let mut head = None;
    let mut lines = Vec::new();
    for (index, line) in world.lines.iter().enumerate() {
        let record = Record::read(line.as_bytes()).unwrap();
        let event = if index == at { event.clone() } else { record.event };
        let record = Record::after(head, record.at, "d", event).unwrap();
        head = Some(record.head());
        lines.push(record.line().unwrap());
    }
    lines
}

#[test]
fn a_replay_finds_a_story_that_the_rules_do_not_tell() {
    let world = run(goal(&[vec![]]), &[OK, FAIL]);
    let at = world
        .events
        .iter()
        .position(|event| event.name() == "requeue")
        .unwrap();
    let Event::Requeue(attempt, requeue) = world.events[at].clone() else {
        unreachable!()
    };
    let mut lenient = requeue;
    lenient.max_attempts = 100;
    let error = world
        .replay(&forged(&world, at, Event::Requeue(attempt, lenient)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the rules ask for"), "{error}");
}

fn goals() -> impl Strategy<Value = Goal> {
    let tasks = prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..7);
    (
        tasks,
        1..4u32,
        prop::option::of(1..25u64),
        prop::option::of(1..60u64),
        any::<bool>(),
    )
        .prop_map(|(links, max_attempts, runs, wall, tokens)| {
            // Each task waits only for earlier ones, so there is no cycle.
            let after = links.iter().enumerate().map(|(index, links)| {
                let mut after: Vec<usize> = links
                    .iter()
                    .filter(|_| index > 0)
                    .map(|link| link.index(index.max(1)))
                    .collect();
                after.sort_unstable();
                after.dedup();
                after
            });
            let mut goal = goal(&after.collect::<Vec<_>>());
            goal.max_attempts = max_attempts;
            goal.budget.worker_runs_max = runs;
            goal.budget.wall_max = wall.map(Duration::from_secs);
            goal.budget.tokens_max = tokens.then_some(1500);
            goal
        })
}

/// A goal at the gate, and the ground that it runs on: contracts that allow everything, something or nothing.
fn worlds() -> impl Strategy<Value = (Goal, Ground)> {
    let contract = (
        0..6u8,
        prop::option::of(1..6u64),
        any::<bool>(),
        prop::option::of(0..90i64),
        any::<bool>(),
    );
    let tasks = prop::collection::vec(any::<bool>(), 7);
    (goals(), contract, tasks, 0..4u8, 0..3usize).prop_map(|(mut goal, terms, reversible, kind, sinks)| {
        let mut ground = Ground {
            sinks: ["command", "webhook"]
                .iter()
                .take(sinks)
                .map(ToString::to_string)
                .collect(),
            ..Ground::default()
        };
        if kind == 0 {
            return (goal, ground);
        }
        let (ceiling, floor, is_ratified, expires, revoked) = terms;
        let begun = World::new(goal.clone()).now;
        goal.mode = Mode::Commit;
        goal.contract = (kind > 1).then(|| Contract {
            autonomy_ceiling: Some(if kind == 3 { 5 } else { ceiling }),
            irreversible_min_trust: floor,
            proposed_by: Some("ann".into()),
            ratified_by: (is_ratified || kind == 3).then(|| "bob".into()),
            expires: expires.map(|seconds| begun.after(Duration::from_secs(seconds.unsigned_abs()))),
            revoked: revoked && kind != 3,
            ..Contract::default()
        });
        for (task, reversible) in goal.tasks.iter_mut().zip(reversible) {
            task.reversible = reversible;
        }
        ground = Ground {
            sinks: ground.sinks,
            ..Ground::gate(&[])
        };
        (goal, ground)
    })
}

/// No commit without leave, one end for each leave, and no alert twice.
fn check_gate(world: &World) {
    let mut allowed: Option<&AttemptRef> = None;
    let mut shut = false;
    let mut open: BTreeMap<&AlertId, &str> = BTreeMap::new();
    let mut ids: Vec<&AlertId> = Vec::new();
    for event in &world.events {
        match event {
            Event::GateAllowed(attempt, _) => {
                assert!(allowed.is_none() && !shut, "{attempt:?}");
                allowed = Some(attempt);
            }
            Event::CommitFailed(attempt, failed) if !failed.lasting => {
                assert_eq!(
                    allowed,
                    Some(attempt),
                    "what is tried was allowed for this attempt"
                );
            }
            Event::Commit(attempt, _) | Event::CommitFailed(attempt, _) => {
                assert_eq!(
                    allowed.take(),
                    Some(attempt),
                    "what is committed was allowed for this attempt"
                );
            }
            Event::GateDenied(attempt, GateDenied { at_mutation, .. })
            | Event::GateEscalated(attempt, GateEscalated { at_mutation, .. }) => {
                let before = allowed.take();
                assert_eq!(before, at_mutation.then_some(attempt));
            }
            Event::Proposed(..) | Event::Quarantine(..) | Event::CommitEmpty(..) | Event::Dispatch(..) => {
                assert!(allowed.is_none(), "nothing goes on before the leave was used");
            }
            Event::Tampering(_) => shut = true,
            // Which start clears it is for the tests of tampering.
            Event::DriverUp(_) => shut = false,
            Event::AlertRaised(raised) => {
                assert!(!ids.contains(&&raised.id), "an id twice");
                ids.push(&raised.id);
                assert!(
                    !open.values().any(|key| *key == raised.dedup_key),
                    "{} twice",
                    raised.dedup_key
                );
                open.insert(&raised.id, &raised.dedup_key);
            }
            Event::AlertResolved(resolved) => {
                assert!(open.remove(&resolved.id).is_some(), "{resolved:?}");
            }
            _ => {}
        }
    }
    assert!(allowed.is_none(), "a run ended between leave and commit");
    let is_told = world.state.sinks().is_empty() || world.state.outbox().due().is_none();
    assert!(is_told, "{:?}", world.state.outbox());
    let places = |name: &str| world.events.iter().filter(|event| event.name() == name).count();
    if world.state.sinks().is_empty() {
        assert_eq!(places("alert_raised"), 0);
    }
}

/// What the history must show, whatever happened: the end alone would hide it.
fn check_history(world: &World) {
    let mut attempts: BTreeMap<_, u32> = BTreeMap::new();
    let mut failed: BTreeMap<_, u32> = BTreeMap::new();
    let mut done: Vec<_> = Vec::new();
    let mut runs = 0;
    for event in &world.events {
        match event {
            Event::Dispatch(attempt, _) => {
                runs += 1;
                let number = attempts.entry(attempt.task.clone()).or_default();
                *number += 1;
                assert_eq!(*number, attempt.attempt, "attempts are numbered without a gap");
                assert!(
                    !done.contains(&attempt.task),
                    "`{}` ran again after it was done",
                    attempt.task
                );
                let index = world
                    .goal
                    .tasks
                    .iter()
                    .position(|task| task.id == attempt.task)
                    .unwrap();
                for before in &world.goal.tasks[index].after {
                    assert!(
                        done.contains(&world.goal.tasks[*before].id),
                        "ran before what it waits for"
                    );
                }
            }
            Event::VerifyFailed(attempt, _) => {
                let number = failed.entry(attempt.task.clone()).or_default();
                *number += 1;
                assert!(*number <= world.goal.max_attempts, "too many attempts");
            }
            Event::Proposed(attempt, _) | Event::Commit(attempt, _) | Event::CommitEmpty(attempt, _) => {
                done.push(attempt.task.clone());
            }
            _ => {}
        }
    }
    let verified = world
        .events
        .iter()
        .filter(|event| event.name() == "verified")
        .count();
    let failed = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::CommitFailed(_, failed) if failed.lasting));
    assert_eq!(
        verified,
        done.len() + failed.count(),
        "what was verified is done once, and nothing else is"
    );
    assert!(
        world.goal.budget.worker_runs_max.is_none_or(|max| runs <= max),
        "over the budget"
    );
    assert_eq!(runs, world.state.spent().worker_runs);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_overrun(
        (goal, ground) in worlds(),
        choices in prop::collection::vec((any::<u8>(), 0..24u8), 0..160),
    ) {
        let mut world = World::on(goal, ground);
        for (choice, fate) in choices {
            match fate {
                0 | 1 => {
                    world.pass_time(Duration::from_secs(u64::from(choice)));
                    world.up();
                }
                2 => world.deliver(),
                3 if choice > 200 && world.state.run() == Run::Up => {
                    let (what, kept_as) = ("goal.json was edited".into(), None);
                    world.say(Event::Tampering(Tampering { what, kept_as }));
                }
                4 => world.ground.dirty = 0,
                5 => {
                    world.ground.objects += 1;
                    world.ground.head = Some(common::object(world.ground.objects));
                }
                _ if !world.step(choice) => break,
                _ => {}
            }
        }
        world.finish(&[]);
        check_history(&world);
        check_gate(&world);
        world.replay(&world.lines).unwrap();
        let end = world.events.iter().rposition(|event| event.name() == "goal_complete");
        let rest = end.map_or(&[][..], |end| &world.events[end + 1..]);
        let mut rest = rest.iter().take_while(|event| event.name() != "driver_up");
        let is_last = rest.all(|event| event.name() == "alert_delivered");
        prop_assert!(is_last, "something came after the end");
        match world.state.run() {
            Run::Complete => {
                for index in 0..world.goal.tasks.len() {
                    let status = world.state.status(&id(index));
                    prop_assert!(matches!(status, Status::Done | Status::Blocked), "{} is {:?}", id(index), status);
                }
            }
            Run::Halted => {
                let of_the_loop = |event: &&Event| !event.name().starts_with("alert_");
                prop_assert_eq!(world.events.iter().rfind(of_the_loop).unwrap().name(), "budget_halt");
                prop_assert!(budget::breach(&world.goal.budget, &world.state, world.now).is_some());
            }
            other => prop_assert!(false, "the run ended {:?}", other),
        }
    }
}
