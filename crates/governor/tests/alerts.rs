//! When a person is told, when it is over, and how long the end of a run waits for it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use common::{Ground, World, committing, digest, goal, id};
use machine_driver_governor::alerts::FAREWELL;
use machine_driver_governor::{Action, INTERRUPTIONS_MAX};
use machine_driver_state::alert::{AlertId, AlertKind};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AlertDelivered, AlertRaised, AlertResolved, BudgetHalt, CommitFailed, Event, GoalComplete, GoalEdited,
    OutputDigest, Retried, Tampering, VerifyUnavailable, WorkerClass,
};
use machine_driver_state::goal::{Goal, Mode};
use machine_driver_state::record::Record;
use machine_driver_state::state::Run;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

const FAIL: u8 = 5;
const COMMIT_FAILS: u8 = 4;

fn sinks() -> Ground {
    Ground {
        sinks: vec!["command".into(), "webhook".into()],
        ..Ground::default()
    }
}

/// One try each.
fn plain(after: &[Vec<usize>]) -> Goal {
    let mut goal = goal(after);
    goal.max_attempts = 1;
    goal
}

/// The alerts raised so far.
fn raised(world: &World) -> Vec<AlertRaised> {
    let raised = |event: &Event| match event {
        Event::AlertRaised(raised) => Some(raised.clone()),
        _ => None,
    };
    world.events.iter().filter_map(raised).collect()
}

/// The kinds of alert events so far: `+` raised, `-` resolved.
fn course(world: &World) -> Vec<String> {
    let all = raised(world);
    let kind = |id: &AlertId| all.iter().find(|raised| raised.id == *id).unwrap().kind.word();
    let told = |event: &Event| match event {
        Event::AlertRaised(raised) => Some(format!("+{}", raised.kind.word())),
        Event::AlertResolved(resolved) => Some(format!("-{}", kind(&resolved.id))),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

/// The next task fails its verify and is given up.
fn give_up(world: &mut World) {
    world.until("verify");
    assert!(world.step(FAIL));
    world.until("quarantine");
    assert!(world.step(0));
}

#[test]
fn a_task_that_is_given_up_is_told() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    let Action::Record(Event::AlertRaised(raised)) = world.next() else {
        panic!("{:?}", world.next())
    };
    assert_eq!(raised.kind, AlertKind::Quarantine);
    assert_eq!(
        (raised.dedup_key.as_str(), &raised.about),
        ("g/t0/quarantine", &Some(id(0)))
    );
    assert_eq!(raised.text, "QUARANTINED t0: verify failed once, last: exit 1");
    assert_eq!(raised.sinks, ["command", "webhook"]);
    assert_eq!(world.events.last().unwrap().name(), "quarantine");
    world.finish(&[]);
    let waiting: Vec<_> = world.state.outbox().waiting().cloned().collect();
    let [waiting] = waiting.as_slice() else {
        panic!("{waiting:?}")
    };
    assert_eq!(
        (waiting.alert.goal.as_str(), &waiting.alert.task),
        ("g", &Some(id(0)))
    );
    assert_eq!(
        (&waiting.alert.id, &waiting.alert.text),
        (&raised.id, &raised.text)
    );
    world.replay(&world.lines).unwrap();
}

#[test]
fn every_way_to_give_up_is_told_but_waiting_for_another() {
    let mut world = World::on(plain(&[vec![], vec![0], vec![1], vec![]]), sinks());
    give_up(&mut world);
    world.finish(&[]);
    assert_eq!((world.has("quarantine"), raised(&world).len()), (3, 1));
    world.replay(&world.lines).unwrap();

    let mut world = World::on(plain(&[vec![]]), sinks());
    for _ in 0..INTERRUPTIONS_MAX {
        world.until("work");
        world.up();
    }
    world.finish(&[]);
    assert_eq!(
        raised(&world)[0].text,
        "QUARANTINED t0: cut off 10 times in a row without a verdict"
    );

    let mut world = World::on(committing(&[vec![]]), Ground::gate(&["command"]));
    world.until("commit!");
    assert!(world.step(COMMIT_FAILS));
    world.finish(&[]);
    assert_eq!(
        raised(&world)[0].text,
        "QUARANTINED t0: it was verified, but the commit failed: it moved"
    );
    world.replay(&world.lines).unwrap();
}

/// Logs from before there were alerts name no sinks: nothing is raised in them, and they replay as they are.
#[test]
fn without_sinks_nobody_is_told() {
    let mut world = World::new(plain(&[vec![], vec![]]));
    give_up(&mut world);
    let (what, kept_as) = ("x".into(), None);
    world.say(Event::Tampering(Tampering { what, kept_as }));
    world.finish(&[]);
    assert!(raised(&world).is_empty());
    assert_eq!(world.state.outbox().due(), None);
    world.replay(&world.lines).unwrap();
}

#[test]
fn the_same_is_told_once_until_the_task_is_put_back() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    world.finish(&[]);
    assert_eq!(course(&world), ["+quarantine"]);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.up();
    let Action::Record(Event::AlertResolved(resolved)) = world.next() else {
        panic!("{:?}", world.next())
    };
    assert_eq!(
        (&resolved.id, resolved.reason.as_str()),
        (&raised(&world)[0].id, "the task was put back")
    );
    give_up(&mut world);
    world.finish(&[]);
    assert_eq!(course(&world), ["+quarantine", "-quarantine", "+quarantine"]);
    let all = raised(&world);
    assert_ne!(all[0].id, all[1].id);
    assert_eq!(all[0].dedup_key, all[1].dedup_key);
    world.replay(&world.lines).unwrap();
}

#[test]
fn an_edit_that_puts_a_task_back_resolves_its_alerts() {
    let mut world = World::on(plain(&[vec![], vec![]]), sinks());
    give_up(&mut world);
    give_up(&mut world);
    world.finish(&[]);
    let edited = GoalEdited {
        before: world.goal.digest,
        after: digest(202),
        budget_changed: false,
        retried: vec![id(1)],
        thawed: Vec::new(),
    };
    world.say(Event::GoalEdited(edited));
    world.goal.digest = digest(202);
    let goal = world.goal.clone();
    world.state.adopt(&goal);
    world.up();
    world.finish(&[]);
    let all = raised(&world);
    let Some(Event::AlertResolved(resolved)) =
        world.events.iter().find(|event| event.name() == "alert_resolved")
    else {
        panic!("{:?}", world.names())
    };
    assert_eq!((&resolved.id, all[1].about.clone()), (&all[1].id, Some(id(1))));
    assert_eq!(world.has("alert_resolved"), 1, "the other one still stands");
}

/// A resolution that is due goes before the same alert for a new reason.
#[test]
fn what_is_put_back_and_given_up_at_once_is_resolved_and_told_again() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    world.finish(&[]);
    for _ in 0..2 {
        let (task, with) = (id(0), Vec::new());
        world.say(Event::Retried(Retried { task, with }));
    }
    world.up();
    world.finish(&[FAIL]);
    assert_eq!(
        course(&world),
        ["+quarantine", "-quarantine"],
        "{:?}",
        world.names()
    );
    world.replay(&world.lines).unwrap();
}

#[test]
fn what_was_due_when_the_driver_was_killed_is_raised_by_the_next() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    world.up();
    world.finish(&[]);
    assert_eq!(course(&world), ["+quarantine"]);
    world.replay(&world.lines).unwrap();
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.up();
    world.finish(&[]);
    assert!(
        course(&world).is_empty(),
        "it was put back before anybody was told"
    );
}

#[test]
fn a_run_without_sinks_keeps_what_was_due() {
    let mut world = World::on(plain(&[vec![], vec![]]), sinks());
    give_up(&mut world);
    world.ground.sinks = Vec::new();
    world.up();
    world.finish(&[]);
    assert!(course(&world).is_empty());
    world.ground.sinks = vec!["mail".into()];
    world.up();
    world.finish(&[]);
    assert_eq!(course(&world), ["+quarantine"]);
    assert_eq!(raised(&world)[0].sinks, ["mail"]);
    world.replay(&world.lines).unwrap();
}

fn limited() -> Goal {
    let mut goal = goal(&[vec![], vec![], vec![]]);
    goal.budget.worker_runs_max = Some(1);
    goal
}

#[test]
fn a_budget_halt_is_told_after_the_halt_and_before_the_end() {
    let mut world = World::on(limited(), sinks());
    world.until("budget_halt");
    assert!(world.step(0));
    let halted = world.now;
    assert_eq!(world.state.run(), Run::Halted);
    assert!(
        matches!(world.next(), Action::Record(Event::AlertRaised(_))),
        "{:?}",
        world.next()
    );
    assert!(world.step(0));
    let told = raised(&world).remove(0);
    assert_eq!(
        (told.kind, told.about, told.dedup_key.as_str()),
        (AlertKind::BudgetHalt, None, "g//budget_halt")
    );
    assert_eq!(
        told.text,
        "BUDGET HALT: max_worker_runs reached: 1 worker runs used, 1 worker runs allowed"
    );
    assert_eq!(world.next(), Action::Wait(halted.after(FAREWELL)));
    world.deliver();
    assert_eq!(world.next(), Action::Stop(Run::Halted));
    world.replay(&world.lines).unwrap();
}

#[test]
fn a_halt_is_told_once_until_work_goes_on() {
    let mut world = World::on(limited(), sinks());
    for _ in 0..3 {
        world.finish(&[]);
        world.up();
    }
    assert_eq!((world.has("budget_halt"), raised(&world).len()), (3, 1));
    world.finish(&[]);
    world.replay(&world.lines).unwrap();
    let edited = GoalEdited {
        before: world.goal.digest,
        after: digest(202),
        budget_changed: true,
        retried: Vec::new(),
        thawed: Vec::new(),
    };
    world.say(Event::GoalEdited(edited));
    (world.goal.digest, world.goal.budget.worker_runs_max) = (digest(202), Some(2));
    let goal = world.goal.clone();
    world.state.adopt(&goal);
    world.up();
    world.until("dispatch");
    assert!(world.step(0));
    assert!(matches!(world.next(), Action::Record(Event::AlertResolved(_))));
    world.finish(&[]);
    assert_eq!(course(&world), ["+budget_halt", "-budget_halt", "+budget_halt"]);
}

#[test]
fn a_denied_commit_is_told() {
    let mut goal = committing(&[vec![]]);
    goal.contract.as_mut().unwrap().expires = Some(Timestamp::from_millis(1));
    let mut world = World::on(goal, Ground::gate(&["command"]));
    world.finish(&[]);
    assert_eq!(course(&world), ["+not_ratified", "+commit_denied"]);
    let told = raised(&world).remove(1);
    assert_eq!(
        (told.about, told.dedup_key.as_str()),
        (Some(id(0)), "g/t0/commit_denied")
    );
    assert_eq!(
        told.text,
        "The commit of t0 was denied: the contract is not ratified: it has expired."
    );
    let place = |name| world.names().iter().rposition(|said| *said == name).unwrap();
    assert_eq!(place("alert_raised"), place("commit_denied") + 1);
    world.replay(&world.lines).unwrap();
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.up();
    world.finish(&[]);
    assert_eq!(
        course(&world),
        [
            "+not_ratified",
            "+commit_denied",
            "-commit_denied",
            "+commit_denied"
        ]
    );
}

#[test]
fn tampering_is_told_and_settled_by_a_start_in_order() {
    let mut world = World::on(goal(&[vec![], vec![]]), sinks());
    for what in ["goal.json was edited", "and again"] {
        let (what, kept_as) = (what.into(), None);
        world.say(Event::Tampering(Tampering { what, kept_as }));
    }
    world.until("work");
    assert_eq!(
        raised(&world)[0].text,
        "goal.json was edited: nothing is committed until somebody has looked."
    );
    world.up();
    assert_eq!(world.has("alert_resolved"), 0);
    world.finish(&[]);
    assert_eq!(course(&world), ["+tampering"]);
    world.up();
    world.finish(&[]);
    assert_eq!(course(&world), ["+tampering", "-tampering"]);
    world.replay(&world.lines).unwrap();
}

#[test]
fn a_contract_that_is_not_ratified_is_told_at_the_start_of_a_run_that_commits() {
    let mut goal = committing(&[vec![]]);
    goal.contract.as_mut().unwrap().ratified_by = None;
    let mut world = World::on(goal.clone(), Ground::gate(&["command"]));
    let Action::Record(Event::AlertRaised(told)) = world.next() else {
        panic!("{:?}", world.next())
    };
    assert_eq!((told.dedup_key.as_str(), told.about), ("g//not_ratified", None));
    assert_eq!(
        told.text,
        "Commits are asked for, but the contract is not ratified (`ratified_by` is missing): changes are left for review."
    );
    assert!(world.step(0));
    world.up();
    assert!(
        !matches!(world.next(), Action::Record(Event::AlertRaised(_))),
        "it stands"
    );
    world.finish(&[]);
    world.replay(&world.lines).unwrap();
    world.goal.contract.as_mut().unwrap().ratified_by = Some("bob".into());
    world.up();
    let Action::Record(Event::AlertResolved(resolved)) = world.next() else {
        panic!("{:?}", world.next())
    };
    assert_eq!(resolved.reason, "the contract is ratified");

    let mut none = goal.clone();
    none.contract = None;
    let world = World::on(none, Ground::gate(&["command"]));
    assert!(matches!(world.next(), Action::Record(Event::AlertRaised(_))));
    let mut proposing = goal.clone();
    proposing.mode = Mode::Propose;
    for (goal, ground) in [
        (proposing, Ground::gate(&["command"])),
        (goal.clone(), sinks()),
        (goal, Ground::gate(&[])),
        (committing(&[vec![]]), Ground::gate(&["command"])),
    ] {
        let world = World::on(goal, ground);
        assert!(
            matches!(world.next(), Action::Record(Event::Dispatch(..))),
            "{:?}",
            world.next()
        );
    }
}

/// A worker, a verifier or a commit is asked for before the clock asks for something else.
#[test]
fn a_replay_takes_what_was_under_way_when_the_clock_ran_out() {
    let goal = committing(&[vec![]]);
    for (name, is_seen_to_start) in [
        ("work", false),
        ("work", true),
        ("verify", false),
        ("commit!", false),
        ("clear_up", false),
    ] {
        let mut world = World::on(goal.clone(), Ground::gate(&["command"]));
        if name == "clear_up" {
            world.until("work");
            world.up();
        }
        world.until(name);
        let expires = world.now.after(Duration::from_millis(5));
        world.goal.contract.as_mut().unwrap().expires = Some(expires);
        let asked = world.next();
        world.pass_time(Duration::from_secs(1));
        match asked {
            Action::ClearUp(attempt, stage) => world.say(common::interrupted(attempt, stage, Cut::Crash)),
            Action::Work(attempt, _) => {
                if is_seen_to_start {
                    world.say(common::started(attempt.clone()));
                }
                world.say(common::exited(attempt, WorkerClass::Ok, Usage::default()));
            }
            Action::Verify(attempt, ..) => {
                let output = OutputDigest {
                    bytes: 0,
                    sha256: digest(0),
                };
                world.say(Event::VerifyFailed(
                    attempt,
                    common::failure(common::verifier(), output),
                ));
            }
            Action::Commit(attempt, _) => {
                let reason = "r".into();
                let (tries, lasting) = (1, true);
                let failed = CommitFailed {
                    reason,
                    tries,
                    lasting,
                };
                world.say(Event::CommitFailed(attempt, failed));
            }
            other => panic!("{other:?}"),
        }
        world.replay(&world.lines).unwrap();
        world.until("alert_raised");
        world.finish(&[]);
        world.replay(&world.lines).unwrap();
    }
}

/// A verify that was waited for and ended when the time was used up.
#[test]
fn a_replay_takes_a_late_verify_after_a_wait() {
    let mut goal = goal(&[vec![]]);
    goal.budget.wall_max = Some(Duration::from_secs(3));
    let mut world = World::new(goal);
    let Action::Verify(attempt, _, 1) = world.until("verify") else {
        unreachable!()
    };
    let unavailable = |tries| {
        let (verifier_id, reason) = (common::verifier(), "exit 127".into());
        Event::VerifyUnavailable(
            attempt.clone(),
            VerifyUnavailable {
                verifier_id,
                reason,
                tries,
            },
        )
    };
    world.say(unavailable(1));
    let early = world.state.last_at().after(Duration::from_millis(999));
    let lines_with = |at, event: Event| {
        let record = Record::after(world.state.head(), at, "d", event).unwrap();
        let mut lines = world.lines.clone();
        lines.push(record.line().unwrap());
        lines
    };
    refused(
        world
            .replay(&lines_with(early, unavailable(2)))
            .map_err(|error| error.to_string()),
        "the rules ask for waiting until",
    );
    let late = world.state.last_at().after(Duration::from_secs(4));
    world.replay(&lines_with(late, unavailable(2))).unwrap();
    refused(
        world
            .replay(&lines_with(late, unavailable(3)))
            .map_err(|error| error.to_string()),
        "the rules ask for BudgetHalt",
    );
}

/// A contract that expires while work goes on, and one that expires when nothing is left to do.
#[test]
fn a_contract_that_expires_is_told_while_the_run_goes_on_and_not_after_it() {
    let mut goal = committing(&[vec![]]);
    let mut world = World::on(goal.clone(), Ground::gate(&["command"]));
    goal.contract.as_mut().unwrap().expires = Some(world.now.after(Duration::from_millis(1)));
    world.goal = goal;
    world.until("work");
    let before = world.has("alert_raised");
    world.pass_time(Duration::from_millis(1));
    assert!(matches!(world.next(), Action::Record(Event::AlertRaised(_))));
    assert_eq!(before, 0);
    let mut world = World::on(world.goal.clone(), Ground::gate(&["command"]));
    world.goal.contract.as_mut().unwrap().expires = Some(world.now.after(Duration::from_millis(1)));
    world.finish(&[]);
    assert_eq!((world.state.run(), world.has("alert_raised")), (Run::Complete, 0));
    world.pass_time(Duration::from_millis(1));
    assert_eq!(
        world.next(),
        Action::Stop(Run::Complete),
        "goal_complete is the last record of a run"
    );
}

#[test]
fn a_text_is_cut_to_600_characters() {
    for (length, expected) in [(599 - 49, 599), (600 - 49, 600), (601 - 49, 600), (100_000, 600)] {
        let (what, kept_as) = ("ü".repeat(length), None);
        let mut world = World::on(goal(&[vec![]]), sinks());
        world.say(Event::Tampering(Tampering { what, kept_as }));
        assert!(world.step(0));
        let text = raised(&world).remove(0).text;
        assert_eq!(text.chars().count(), expected, "{length}");
    }
}

#[test]
fn no_two_alerts_have_one_id() {
    let mut goal = plain(&vec![vec![]; 20]);
    goal.budget.worker_runs_max = Some(15);
    let mut world = World::on(goal, sinks());
    let (what, kept_as) = ("x".into(), None);
    world.say(Event::Tampering(Tampering { what, kept_as }));
    for _ in 0..15 {
        give_up(&mut world);
    }
    world.finish(&[]);
    let mut ids: Vec<String> = raised(&world)
        .iter()
        .map(|raised| raised.id.to_string())
        .collect();
    assert_eq!(ids.len(), 17);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 17);
}

#[test]
fn the_end_waits_five_seconds_for_what_is_on_its_way() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    assert!(world.step(0));
    let told = world.now;
    assert_eq!(FAREWELL, Duration::from_secs(5));
    assert_eq!(world.next(), Action::Wait(told.after(FAREWELL)));
    world.pass_time(Duration::from_millis(4_999));
    assert_eq!(world.next(), Action::Wait(told.after(FAREWELL)));
    world.pass_time(Duration::from_millis(1));
    assert!(matches!(world.next(), Action::Record(Event::GoalComplete(_))));
    world.finish(&[]);
    assert_eq!(world.next(), Action::Stop(Run::Complete));
    world.replay(&world.lines).unwrap();
}

#[test]
fn the_end_does_not_wait_for_what_went_out() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    assert!(world.step(0));
    let waiting = world.state.outbox().waiting().next().unwrap().clone();
    let delivered = |sink: &str| {
        let (id, sink, tries) = (waiting.alert.id.clone(), sink.to_owned(), 2);
        Event::AlertDelivered(AlertDelivered { id, sink, tries })
    };
    world.say(delivered("webhook"));
    assert!(matches!(world.next(), Action::Wait(_)), "one of two");
    assert_eq!(world.state.outbox().waiting().next().unwrap().sinks, ["command"]);
    world.say(delivered("command"));
    assert!(matches!(world.next(), Action::Record(Event::GoalComplete(_))));
    assert!(world.state.outbox().is_empty());
    world.finish(&[]);
    world.replay(&world.lines).unwrap();
}

/// What an earlier run could not send gets its five seconds again, from the start of this one.
#[test]
fn a_run_with_nothing_to_do_still_sends_what_waits() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    world.finish(&[]);
    world.pass_time(Duration::from_secs(1000));
    world.up();
    assert_eq!(world.next(), Action::Wait(world.now.after(FAREWELL)));
    world.deliver();
    assert!(matches!(world.next(), Action::Record(Event::GoalComplete(_))));
}

/// The events of a log, written anew with one changed, added or left out.
fn rewritten(world: &World, change: impl Fn(usize, &Event) -> Vec<Event>) -> Result<(), String> {
    let mut head = None;
    let mut lines = Vec::new();
    for (index, line) in world.lines.iter().enumerate() {
        let at = Record::read(line.as_bytes()).unwrap().at;
        for event in change(index, &world.events[index]) {
            let record = Record::after(head, at, "d", event).unwrap();
            head = Some(record.head());
            lines.push(record.line().unwrap());
        }
    }
    world.replay(&lines).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(is: Result<(), String>, why: &str) {
    let error = is.unwrap_err();
    assert!(error.contains(why), "{error}");
}

/// A world in which an alert was raised, delivered to both sinks and resolved.
fn told() -> World {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    assert!(world.step(0));
    world.deliver();
    world.finish(&[]);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.up();
    world.finish(&[]);
    world.replay(&world.lines).unwrap();
    world
}

#[test]
fn a_replay_misses_an_alert_that_was_left_out() {
    let world = told();
    for name in ["alert_raised", "alert_resolved"] {
        let left_out = |_, event: &Event| {
            let is_it = event.name() == name;
            if is_it { Vec::new() } else { vec![event.clone()] }
        };
        let error = rewritten(&world, left_out).unwrap_err();
        assert!(
            error.contains("the rules ask for Alert") || error.contains("cannot come here"),
            "{error}"
        );
    }
    assert!(rewritten(&world, |_, event| vec![event.clone()]).is_ok());
}

#[test]
fn a_replay_finds_an_alert_that_says_something_else() {
    let world = told();
    let changed = |change: fn(&mut AlertRaised)| {
        rewritten(&world, |_, event| match event {
            Event::AlertRaised(raised) => {
                let mut raised = raised.clone();
                change(&mut raised);
                vec![Event::AlertRaised(raised)]
            }
            other => vec![other.clone()],
        })
    };
    refused(
        changed(|raised| raised.text.push('!')),
        "the rules ask for AlertRaised",
    );
    refused(
        changed(|raised| raised.kind = AlertKind::Tampering),
        "the rules ask for AlertRaised",
    );
    refused(
        changed(|raised| raised.about = None),
        "the rules ask for AlertRaised",
    );
    refused(
        changed(|raised| raised.sinks.truncate(1)),
        "the rules ask for AlertRaised",
    );
    refused(
        changed(|raised| raised.dedup_key.push('x')),
        "the rules ask for AlertRaised",
    );
    let other = |raised: &mut AlertRaised| raised.id = AlertId::new(&"0".repeat(32)).unwrap();
    refused(changed(other), "the rules ask for AlertRaised");
}

#[test]
fn a_replay_refuses_a_delivery_that_cannot_have_been() {
    let world = told();
    let changed = |change: fn(&mut AlertDelivered)| {
        rewritten(&world, |_, event| match event {
            Event::AlertDelivered(delivered) => {
                let mut delivered = delivered.clone();
                change(&mut delivered);
                vec![Event::AlertDelivered(delivered)]
            }
            other => vec![other.clone()],
        })
    };
    let unknown = |delivered: &mut AlertDelivered| delivered.id = AlertId::new(&"0".repeat(32)).unwrap();
    refused(changed(unknown), "no such alert is on its way");
    refused(
        changed(|delivered| delivered.sink = "fax".into()),
        "it did not wait for that sink",
    );
    refused(
        changed(|delivered| delivered.sink = "command".into()),
        "it did not wait for that sink",
    );
    let twice = |_, event: &Event| vec![event.clone(); 1 + usize::from(event.name() == "alert_delivered")];
    assert!(rewritten(&world, twice).is_err());
}

#[test]
fn a_replay_refuses_an_end_before_the_farewell_is_over() {
    let mut world = World::on(plain(&[vec![]]), sinks());
    give_up(&mut world);
    assert!(world.step(0));
    let end = Event::GoalComplete(GoalComplete { done: 0, blocked: 1 });
    let lines_with = |wait: u64| {
        let at = world.now.after(Duration::from_millis(wait));
        let record = Record::after(world.state.head(), at, "d", end.clone()).unwrap();
        let mut lines = world.lines.clone();
        lines.push(record.line().unwrap());
        lines
    };
    for wait in [0, 4_999] {
        let error = world.replay(&lines_with(wait)).unwrap_err().to_string();
        assert!(error.contains("the rules ask for waiting until"), "{error}");
    }
    world.replay(&lines_with(5_000)).unwrap();
}

/// What the state itself refuses, whatever asks for it.
#[test]
fn a_state_takes_up_no_alert_out_of_order() {
    let mut world = World::on(plain(&[vec![], vec![]]), sinks());
    give_up(&mut world);
    let Action::Record(Event::AlertRaised(due)) = world.next() else {
        panic!("{:?}", world.next())
    };
    let refuse = |world: &World, event: Event, why: &str| {
        let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
        let error = world.state.clone().apply(&record).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let mut other = due.clone();
    other.dedup_key = "g//quarantine".into();
    refuse(
        &world,
        Event::AlertRaised(other),
        "its key should be \"g/t0/quarantine\"",
    );
    let mut other = due.clone();
    (other.about, other.dedup_key) = (Some(id(1)), "g/t1/quarantine".into());
    refuse(&world, Event::AlertRaised(other), "no such alert is due");
    let mut other = due.clone();
    (other.kind, other.dedup_key) = (AlertKind::CommitDenied, "g/t0/commit_denied".into());
    refuse(&world, Event::AlertRaised(other), "no such alert is due");
    let resolved = Event::AlertResolved(AlertResolved {
        id: due.id.clone(),
        reason: "r".into(),
    });
    refuse(&world, resolved.clone(), "no such alert stands");
    assert!(world.step(0));
    refuse(&world, Event::AlertRaised(due), "the same was told already");
    world.say(resolved.clone());
    refuse(&world, resolved, "no such alert stands");
}

/// A halt in the middle of a run without sinks is told by nobody, and one with sinks that were lost still ends.
#[test]
fn a_halted_run_ends_whatever_becomes_of_its_alert() {
    let mut world = World::on(limited(), sinks());
    world.finish(&[]);
    assert_eq!(world.next(), Action::Stop(Run::Halted));
    assert!(!world.state.outbox().is_empty());
    let halt = |event: &Event| match event {
        Event::BudgetHalt(BudgetHalt { limit, .. }) => Some(limit.clone()),
        _ => None,
    };
    assert_eq!(
        world.events.iter().find_map(halt).as_deref(),
        Some("max_worker_runs")
    );
    let mut world = World::new(limited());
    world.finish(&[]);
    assert_eq!(
        (world.names().last(), world.now),
        (Some(&"budget_halt"), world.state.last_at())
    );
}
