//! The limits, each by itself: which one is told, in which words, and what a worker may still use.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use common::{World, goal};
use machine_driver_governor::{Action, budget};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{Event, Stage, WorkerClass};
use machine_driver_state::goal::{Budget, Goal};
use machine_driver_state::state::Run;
use machine_driver_state::usage::Usage;

/// A run that has used one worker run, 100 bytes and this.
fn after(usage: Usage) -> World {
    let mut world = World::new(goal(&[vec![]]));
    let Action::Work(attempt, _) = world.until("work") else {
        unreachable!()
    };
    world.say(common::exited(attempt, WorkerClass::Ok, usage));
    world
}

fn known(tokens: u64, usd_micros: u64) -> Usage {
    Usage {
        tokens: Some(tokens),
        usd_micros: Some(usd_micros),
    }
}

#[test]
fn a_limit_is_reached_by_the_last_unit_and_exceeded_by_one_more() {
    let world = after(known(1_000, 2_500_001));
    let check = |budget: Budget, breach: Option<&str>, exceeded: Option<&str>| {
        let reason = |halt: Option<machine_driver_state::event::BudgetHalt>| halt.map(|halt| halt.reason);
        let is = reason(budget::breach(&budget, &world.state, world.now));
        assert_eq!(is.as_deref(), breach, "{budget:?}");
        let is = reason(budget::exceeded(&budget, &world.state, world.now));
        assert_eq!(is.as_deref(), exceeded, "{budget:?}");
    };
    let none = Budget::default;
    check(none(), None, None);
    let tokens = |max| Budget {
        tokens_max: Some(max),
        ..none()
    };
    check(tokens(1_001), None, None);
    check(
        tokens(1_000),
        Some("max_tokens reached: 1000 tokens used, 1000 tokens allowed"),
        None,
    );
    let over = "max_tokens reached: 1000 tokens used, 999 tokens allowed";
    check(tokens(999), Some(over), Some(over));
    let usd = |max| Budget {
        usd_micros_max: Some(max),
        ..none()
    };
    check(usd(2_500_002), None, None);
    check(
        usd(2_500_001),
        Some("max_usd reached: 2.500001 USD used, 2.500001 USD allowed"),
        None,
    );
    let over = "max_usd reached: 2.500001 USD used, 0.050000 USD allowed";
    check(usd(50_000), Some(over), Some(over));
    let bytes = |max| Budget {
        output_bytes_max: Some(max),
        ..none()
    };
    check(bytes(101), None, None);
    check(
        bytes(100),
        Some("max_output_bytes reached: 100 bytes used, 100 bytes allowed"),
        None,
    );
    let over = "max_output_bytes reached: 100 bytes used, 99 bytes allowed";
    check(bytes(99), Some(over), Some(over));
    let runs = |max| Budget {
        worker_runs_max: Some(max),
        ..none()
    };
    check(runs(2), None, None);
    check(
        runs(1),
        Some("max_worker_runs reached: 1 worker runs used, 1 worker runs allowed"),
        None,
    );
    let over = "max_worker_runs reached: 1 worker runs used, 0 worker runs allowed";
    check(runs(0), Some(over), Some(over));
}

/// Where several are reached, the first in this order is told.
#[test]
fn the_first_limit_is_told() {
    let mut world = after(known(10, 10));
    world.pass_time(Duration::from_millis(2_050));
    let mut all = Budget {
        worker_runs_max: Some(1),
        wall_max: Some(Duration::from_millis(1_001)),
        tokens_max: Some(1),
        usd_micros_max: Some(1),
        output_bytes_max: Some(1),
    };
    let told = |budget: &Budget| budget::breach(budget, &world.state, world.now).unwrap();
    assert_eq!(told(&all).limit, "max_worker_runs");
    all.worker_runs_max = None;
    assert_eq!(
        told(&all).reason,
        "max_wall_seconds reached: 2.050 s used, 1.001 s allowed"
    );
    assert_eq!(
        told(&all),
        budget::wall_breach(&all, &world.state, world.now).unwrap()
    );
    assert_eq!(
        (told(&all).used.as_str(), told(&all).max.as_str()),
        ("2.050 s", "1.001 s")
    );
    all.wall_max = None;
    assert_eq!(told(&all).limit, "max_tokens");
    all.tokens_max = None;
    assert_eq!(told(&all).limit, "max_usd");
    all.usd_micros_max = None;
    assert_eq!(told(&all).limit, "max_output_bytes");
}

#[test]
fn what_is_unknown_is_told_by_name_and_only_where_there_is_a_limit_on_it() {
    let check = |usage: Usage, budget: &Budget, expected: Option<(&str, &str, &str)>| {
        let world = after(usage);
        for halt in [
            budget::breach(budget, &world.state, world.now),
            budget::exceeded(budget, &world.state, world.now),
        ] {
            let is = halt
                .as_ref()
                .map(|halt| (halt.limit.as_str(), halt.used.as_str(), halt.max.as_str()));
            assert_eq!(is, expected);
        }
    };
    let both = Budget {
        tokens_max: Some(1_000),
        usd_micros_max: Some(1_000_000),
        ..Budget::default()
    };
    let unknown = "unknown for 1 worker run";
    check(Usage::default(), &Budget::default(), None);
    check(known(1, 1), &both, None);
    check(
        Usage::default(),
        &both,
        Some(("max_usd", unknown, "1.000000 USD")),
    );
    let tokens_alone = Usage {
        tokens: None,
        ..known(1, 1)
    };
    check(tokens_alone, &both, Some(("max_tokens", unknown, "1000 tokens")));
    let money = Budget {
        tokens_max: None,
        ..both
    };
    check(tokens_alone, &money, None);
    let world = after(Usage::default());
    let halt = budget::breach(&money, &world.state, world.now).unwrap();
    assert_eq!(
        halt.reason,
        "max_usd cannot be held: a worker did not report its cost (unknown is not 0). \
         Let it write $MACHINE_USAGE_FILE, or change the budget"
    );
}

#[test]
fn several_runs_are_counted() {
    let mut world = World::new(goal(&[vec![], vec![]]));
    world.finish(&[]);
    let money = Budget {
        usd_micros_max: Some(1_000_000),
        ..Budget::default()
    };
    let halt = budget::breach(&money, &world.state, world.now).unwrap();
    assert_eq!(halt.used, "unknown for 2 worker runs");
}

#[test]
fn a_worker_may_write_what_is_left() {
    let spent = *after(known(1, 1)).state.spent();
    let left = |max| {
        let budget = Budget {
            output_bytes_max: max,
            ..Budget::default()
        };
        budget::output_left(&budget, &spent)
    };
    assert_eq!(left(None), None);
    assert_eq!((left(Some(1_000)), left(Some(101))), (Some(900), Some(1)));
    assert_eq!((left(Some(100)), left(Some(99))), (Some(0), Some(0)));
}

#[test]
fn a_worker_is_stopped_by_what_it_has_used_up_to_now() {
    let spent = *after(known(100, 1_000)).state.spent();
    let none = Usage::default();
    let check = |tokens_max, usd_micros_max, used, expected: bool| {
        let budget = Budget {
            tokens_max,
            usd_micros_max,
            ..Budget::default()
        };
        assert_eq!(
            budget::breached_by(&budget, &spent, used),
            expected,
            "{budget:?} {used:?}"
        );
    };
    check(None, None, known(u64::MAX, u64::MAX), false);
    check(Some(150), None, known(49, u64::MAX), false);
    check(Some(150), None, known(50, 0), true);
    check(Some(150), None, known(u64::MAX, 0), true);
    check(None, Some(1_500), known(u64::MAX, 499), false);
    check(None, Some(1_500), known(0, 500), true);
    check(Some(150), Some(1_500), known(50, 0), true);
    check(Some(150), Some(1_500), known(0, 500), true);
    check(Some(150), Some(1_500), known(49, 499), false);
    check(Some(1), Some(1), none, false);
}

/// The clock of a run that is down, halted or complete stands still.
#[test]
fn only_a_run_that_is_up_uses_time() {
    let mut limited = goal(&[vec![]]);
    limited.budget.wall_max = Some(Duration::from_secs(10));
    let mut world = World::new(limited);
    let budget = world.goal.budget.clone();
    world.pass_time(Duration::from_secs(3));
    assert_eq!(budget::wall_at(&world.state, world.now), Duration::from_secs(3));
    let begun = world.state.last_at();
    assert_eq!(
        budget::wall_deadline(&budget, &world.state),
        Some(begun.after(Duration::from_secs(10)))
    );
    assert_eq!(budget::wall_deadline(&Budget::default(), &world.state), None);
    world.finish(&[]);
    assert_eq!(world.state.run(), Run::Complete);
    world.pass_time(Duration::from_secs(100));
    assert_eq!(budget::wall_at(&world.state, world.now), Duration::from_secs(3));
    assert_eq!(budget::wall_deadline(&budget, &world.state), None);
}

/// A verify that was cut off where a limit is reached halts, and one where none is ends the run as it is.
#[test]
fn a_run_that_was_cut_off_halts_where_a_limit_is_reached() {
    let check = |change: fn(&mut Goal), expected: &str| {
        let mut world = World::new(goal(&[vec![]]));
        let Action::Verify(attempt, ..) = world.until("verify") else {
            unreachable!()
        };
        world.say(common::interrupted(attempt, Stage::Verify, Cut::Sigterm));
        change(&mut world.goal);
        assert_eq!(common::named(&world.next()), expected);
    };
    check(|_| {}, "stop");
    check(|goal| goal.budget.worker_runs_max = Some(1), "budget_halt");
    check(|goal| goal.budget.worker_runs_max = Some(2), "stop");
}

/// A verify itself costs time and nothing else.
#[test]
fn a_verify_is_not_kept_from_running_by_what_the_worker_used() {
    let mut world = after(known(1_000, 1_000));
    world.goal.budget = Budget {
        worker_runs_max: Some(1),
        wall_max: Some(Duration::from_secs(1)),
        tokens_max: Some(1),
        usd_micros_max: Some(1),
        output_bytes_max: Some(1),
    };
    assert!(matches!(world.next(), Action::Verify(..)));
    world.pass_time(Duration::from_secs(1));
    assert!(matches!(world.next(), Action::Record(Event::BudgetHalt(_))));
}
