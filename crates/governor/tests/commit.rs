//! Every way of verified work through the machine: to a commit, to a proposal, to a person; and what a crash leaves of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::time::Duration;

use common::{Ground, World, change, committing, digest, goal, id, interrupted, object};
use machine_driver_governor::{Action, CommitError, CommitOrder, dial};
use machine_driver_state::change::{Change, RefName};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, Cause, Commit, CommitDenied, CommitEmpty, CommitFailed, DenialCode, Event, GateAllowed,
    GateDenied, GoalEdited, OutputDigest, Proposed, Retried, Stage, Tampering, Verified,
};
use machine_driver_state::goal::{Goal, Mode, Status};
use machine_driver_state::record::Record;
use machine_driver_state::state::Phase;

const WORK: [&str; 5] = [
    "driver_up",
    "dispatch",
    "worker_started",
    "worker_exited",
    "verified",
];

/// A run of `goal` on a clean repository, at the gate.
fn at_the_gate(goal: Goal) -> World {
    let mut world = World::on(goal, Ground::gate(&[]));
    world.until("verify");
    assert!(world.step(0));
    world
}

/// What comes after the work, to the end, with this choice for the commit.
#[track_caller]
fn check(goal: Goal, choice: u8, rest: &[&str]) -> World {
    let mut world = at_the_gate(goal);
    while !matches!(
        world.next(),
        Action::Commit(..) | Action::Record(Event::GoalComplete(_))
    ) {
        assert!(world.step(0));
    }
    world.finish(&[choice]);
    let expected: Vec<_> = WORK.iter().chain(rest).copied().collect();
    assert_eq!(world.names(), expected);
    world.replay(&world.lines).unwrap();
    world
}

fn single() -> Goal {
    committing(&[vec![]])
}

fn changed(change: impl FnOnce(&mut Goal)) -> Goal {
    let mut goal = single();
    change(&mut goal);
    goal
}

#[test]
fn what_is_allowed_is_committed() {
    let world = check(single(), 0, &["gate_allowed", "commit", "goal_complete"]);
    let task = world.state.at(0).unwrap();
    assert_eq!(
        (task.status, task.commit.as_ref()),
        (Status::Done, Some(&object(3)))
    );
    assert_eq!(world.state.repo_head(), Some(&Some(object(3))));
    assert_eq!(task.done, world.state.last_success_at());
    let Some(Event::GateAllowed(attempt, allowed)) = world.events.get(5) else {
        panic!("{:?}", world.events)
    };
    assert_eq!(attempt.autonomy_used, 1);
    let expected = GateAllowed {
        change: change(Some(object(1)), 2, 1),
        contract: digest(201),
        needs: 1,
        rollback_ref: Some(object(1)),
        left_over: Vec::new(),
        approved_by: None,
    };
    assert_eq!(*allowed, expected);
    let autonomy: Vec<u8> = world
        .events
        .iter()
        .filter_map(|event| Some(event.attempt()?.autonomy_used))
        .collect();
    assert_eq!(autonomy, [0, 0, 0, 0, 1, 1]);
}

#[test]
fn a_commit_that_cannot_be_undone_needs_more() {
    let world = check(
        changed(|goal| {
            goal.tasks.iter_mut().for_each(|task| task.reversible = false);
            let contract = goal.contract.as_mut().unwrap();
            (contract.autonomy_ceiling, contract.irreversible_min_trust) = (Some(4), Some(3));
        }),
        0,
        &["gate_allowed", "commit", "goal_complete"],
    );
    assert_eq!(
        world
            .events
            .get(6)
            .and_then(Event::attempt)
            .unwrap()
            .autonomy_used,
        3
    );
}

/// Nothing of the gate is in the log of a run that asks for proposals, whatever the contract says.
#[test]
fn the_propose_mode_is_as_it_was() {
    let proposing = changed(|goal| goal.mode = Mode::Propose);
    let mut world = World::new(proposing.clone());
    world.finish(&[]);
    let expected: Vec<_> = WORK
        .iter()
        .chain(&["proposed", "goal_complete"])
        .copied()
        .collect();
    assert_eq!(world.names(), expected);
    world.replay(&world.lines).unwrap();
    let plain: Vec<String> = {
        let mut world = World::new(goal(&[vec![]]));
        world.finish(&[]);
        world.lines
    };
    assert_eq!(world.lines, plain, "byte for byte");
    assert!(
        plain
            .iter()
            .all(|line| !line.contains("gate") && !line.contains("sinks"))
    );
}

#[test]
fn nothing_to_commit_is_said_so_whatever_the_contract_allows() {
    for goal in [single(), changed(|goal| goal.contract = None)] {
        let mut world = World::on(goal, Ground::gate(&[]));
        world.until("work");
        assert!(world.step(0x20), "a worker that changes nothing");
        world.finish(&[]);
        let rest = ["commit_empty", "goal_complete"];
        assert_eq!(
            world.names(),
            WORK.iter().chain(&rest).copied().collect::<Vec<_>>()
        );
        assert_eq!(
            (world.state.at(0).unwrap().status, world.state.held_back()),
            (Status::Done, None)
        );
        world.replay(&world.lines).unwrap();
    }
}

/// An empty change says nothing where HEAD is not known, or something was tampered with.
#[test]
fn an_empty_change_on_an_unknown_head_goes_to_the_gate() {
    let check = |disturb: fn(&mut World), code| {
        let mut world = World::on(single(), Ground::gate(&[]));
        world.until("work");
        assert!(world.step(0x20));
        disturb(&mut world);
        world.until("verify");
        assert!(world.step(0));
        match world.next() {
            Action::Record(Event::GateDenied(_, denied)) => assert_eq!(denied.code, code),
            other => panic!("{other:?}"),
        }
    };
    check(|world| world.ground.head = Some(object(9)), DenialCode::HeadMoved);
    check(|world| world.ground.detached = true, DenialCode::HeadMoved);
    check(World::tamper, DenialCode::Tampered);
}

#[test]
fn what_is_denied_is_left_for_review() {
    let world = check(
        changed(|goal| goal.contract.as_mut().unwrap().autonomy_ceiling = Some(0)),
        0,
        &["gate_denied", "proposed", "goal_complete"],
    );
    assert_eq!(world.state.held_back(), Some(&id(0)));
    assert_eq!(world.state.at(0).unwrap().status, Status::Done);
}

#[test]
fn what_a_person_could_allow_is_escalated_and_left_for_review() {
    let world = check(
        changed(|goal| goal.tasks.iter_mut().for_each(|task| task.reversible = false)),
        0,
        &["gate_escalated", "proposed", "goal_complete"],
    );
    assert_eq!(world.state.held_back(), Some(&id(0)));
}

#[test]
fn what_the_contract_forbids_is_a_denied_commit() {
    for code in [DenialCode::NotRatified, DenialCode::Revoked, DenialCode::Expired] {
        let world = check(
            changed(|goal| {
                let contract = goal.contract.as_mut().unwrap();
                match code {
                    DenialCode::Revoked => contract.revoked = true,
                    DenialCode::Expired => {
                        contract.expires = Some(machine_driver_state::time::Timestamp::from_millis(1));
                    }
                    _ => contract.ratified_by = Some("Ann".into()),
                }
            }),
            0,
            &["gate_denied", "commit_denied", "proposed", "goal_complete"],
        );
        let Some(Event::GateDenied(_, denied)) = world.events.get(5) else {
            panic!("{:?}", world.events)
        };
        assert_eq!(denied.code, code);
        let Some(Event::CommitDenied(_, because)) = world.events.get(6) else {
            panic!("{:?}", world.events)
        };
        assert_eq!(because.reason, denied.reason);
    }
}

#[test]
fn a_commit_that_fails_gives_the_task_up() {
    let world = check(
        single(),
        4,
        &["gate_allowed", "commit_failed", "quarantine", "goal_complete"],
    );
    let task = world.state.at(0).unwrap();
    assert_eq!(
        (task.status, task.cause),
        (Status::Blocked, Some(Cause::CommitFailed))
    );
    assert_eq!(
        task.reason.as_deref(),
        Some("it was verified, but the commit failed: it moved")
    );
    assert_eq!(world.state.left_over(), [id(0)]);
}

/// What fails for reasons that are not the change's stands in the way of every other commit too: nothing is given up.
#[test]
fn a_commit_that_fails_for_other_reasons_is_tried_thrice_and_then_waits_for_a_person() {
    let mut world = World::on(single(), Ground::gate(&["bot"]));
    let failed = |tries| CommitFailed {
        reason: "no space left".into(),
        tries,
        lasting: false,
    };
    for (tries, pause) in [(1, 1000), (2, 2000)] {
        let Action::Commit(attempt, _) = world.until("commit!") else {
            panic!("{:?}", world.next());
        };
        world.say(Event::CommitFailed(attempt, failed(tries)));
        let until = world.now.after(Duration::from_millis(pause));
        assert_eq!(world.next(), Action::Wait(until));
        world.now = until;
    }
    let Action::Commit(attempt, _) = world.next() else {
        panic!("{:?}", world.next());
    };
    let first = order(&world);
    world.say(Event::CommitFailed(attempt, failed(3)));
    world.until("alert_raised");
    assert!(world.step(0));
    world.deliver();
    assert_eq!(world.next(), Action::Stuck("no space left".into()));
    // A person mends it, and starts again: the same commit is asked for at once, and no work is done again.
    assert!(world.step(0));
    world.until("commit!");
    assert_eq!(order(&world), first);
    world.finish(&[0]);
    assert_eq!(
        (
            world.has("commit"),
            world.has("dispatch"),
            world.has("alert_resolved")
        ),
        (1, 1, 1)
    );
    world.replay(&world.lines).unwrap();
}

#[test]
fn tries_of_a_commit_are_counted_without_a_gap() {
    let mut world = World::on(single(), Ground::gate(&[]));
    let Action::Commit(attempt, _) = world.until("commit!") else {
        panic!("{:?}", world.next());
    };
    let failed = CommitFailed {
        reason: "r".into(),
        tries: 2,
        lasting: false,
    };
    let event = Event::CommitFailed(attempt, failed);
    let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
    let why = world.state.clone().apply(&record).unwrap_err().why;
    assert!(why.contains("tried 0 times"), "{why}");
}

#[test]
fn what_is_denied_at_the_place_of_mutation_is_left_for_review() {
    for (choice, name) in [(5, "gate_denied"), (6, "gate_escalated")] {
        let world = check(
            single(),
            choice,
            &["gate_allowed", name, "proposed", "goal_complete"],
        );
        let used = world
            .events
            .get(6)
            .and_then(Event::attempt)
            .unwrap()
            .autonomy_used;
        assert_eq!((world.state.held_back(), used), (Some(&id(0)), 1));
    }
}

#[test]
fn box_0_at_the_place_of_mutation_is_a_denied_commit_too() {
    let mut world = at_the_gate(single());
    let Action::Commit(attempt, _) = world.until("commit!") else {
        unreachable!()
    };
    let (code, reason, at_mutation) = (DenialCode::Revoked, "the contract was revoked".into(), true);
    world.say(Event::GateDenied(
        attempt,
        GateDenied {
            code,
            reason,
            at_mutation,
        },
    ));
    world.finish(&[]);
    let names = world.names();
    assert_eq!(
        names.get(6..),
        Some(&["gate_denied", "commit_denied", "proposed", "goal_complete"][..])
    );
    world.replay(&world.lines).unwrap();
}

fn order(world: &World) -> CommitOrder {
    let current = world.state.current().unwrap();
    let Phase::Allowed(allowed) = &current.phase else {
        panic!("{current:?}")
    };
    CommitOrder::of(&world.goal, world.state.current_index().unwrap(), allowed).unwrap()
}

/// However often the driver is killed between what it allows and what it records, it asks for one and the same commit.
#[test]
fn a_crash_on_the_way_to_a_commit_asks_for_the_same_one() {
    let mut world = at_the_gate(single());
    world.until("commit!");
    let asked = order(&world);
    assert_eq!(asked.at, world.now);
    assert_eq!(asked.record, world.state.head().unwrap().hash);
    for crash in [Cut::Crash, Cut::Sigterm, Cut::Crash] {
        world.pass_time(Duration::from_secs(7));
        let Action::Commit(attempt, 0) = world.next() else {
            panic!("{:?}", world.next())
        };
        if crash == Cut::Crash {
            world.up();
            let Action::ClearUp(_, Stage::Verify) = world.next() else {
                panic!("{:?}", world.next())
            };
            assert!(world.step(0));
        } else {
            world.say(interrupted(attempt.clone(), Stage::Verify, crash));
            assert!(
                matches!(world.next(), Action::Stop(_)),
                "nothing goes on in this run"
            );
            world.up();
        }
        let Action::Commit(again, 0) = world.next() else {
            panic!("{:?}", world.next())
        };
        assert_eq!(again, attempt);
        assert_eq!(order(&world), asked);
        assert_eq!(order(&world).message(), asked.message());
    }
    world.finish(&[]);
    assert_eq!((world.has("gate_allowed"), world.has("commit")), (1, 1));
    world.replay(&world.lines).unwrap();
}

/// The commit was made when the driver was killed: HEAD is at it by then, and the change is nothing any more.
#[test]
fn a_crash_after_the_commit_still_asks_for_the_same_one() {
    let mut world = at_the_gate(single());
    world.until("commit!");
    let asked = order(&world);
    let before = world.ground.clone();
    (world.ground.head, world.ground.dirty) = (Some(object(9)), 0);
    world.up();
    assert!(world.step(0), "cleared up");
    assert!(matches!(world.next(), Action::Commit(..)));
    assert_eq!(order(&world), asked);
    world.ground = before;
    world.finish(&[]);
    assert_eq!(
        (world.has("commit"), world.state.at(0).unwrap().status),
        (1, Status::Done)
    );
    world.replay(&world.lines).unwrap();
}

/// What was allowed is looked for, and not what an operator's edit since would ask for; and a commit of theirs on top of
/// it is where HEAD stands, as the start saw.
#[test]
fn a_crash_after_the_commit_outlives_an_edit_and_a_commit_on_top() {
    let mut world = at_the_gate(single());
    world.until("commit!");
    let asked = order(&world);
    world.goal.tasks[0].idempotency_key = world.goal.digest;
    assert_eq!(order(&world), asked);
    world.goal.tasks[0].idempotency_key = asked.idempotency_key;
    (world.ground.head, world.ground.dirty) = (Some(object(9)), 0);
    world.up();
    assert!(world.step(0), "cleared up");
    let Action::Commit(attempt, 0) = world.next() else {
        panic!("{:?}", world.next())
    };
    let Change { tree, parent, .. } = asked.change;
    let commit = object(8);
    world.say(Event::Commit(attempt, Commit { commit, tree, parent }));
    assert_eq!(world.state.repo_head(), Some(&Some(object(9))));
}

#[test]
fn there_is_no_order_for_a_task_that_is_not_there() {
    let mut world = at_the_gate(single());
    world.until("commit!");
    let current = world.state.current().unwrap();
    let Phase::Allowed(allowed) = &current.phase else {
        panic!("{current:?}")
    };
    assert_eq!(CommitOrder::of(&world.goal, 1, allowed), None);
}

/// Two tasks, the first of which is left for review.
fn held_back() -> World {
    let mut two = committing(&[vec![], vec![]]);
    two.tasks
        .iter_mut()
        .take(1)
        .for_each(|task| task.reversible = false);
    let mut world = World::on(two, Ground::gate(&[]));
    world.until("proposed");
    assert!(world.step(0));
    world
}

/// What the gate says about the second task.
fn second(world: &mut World) -> DenialCode {
    world.until("verify");
    assert!(world.step(0));
    match world.next() {
        Action::Record(Event::GateDenied(attempt, denied)) if attempt.task == id(1) => denied.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_left_for_review_holds_back_what_is_built_on_it() {
    let mut world = held_back();
    assert_eq!(second(&mut world), DenialCode::HeldBack);
    world.finish(&[]);
    assert_eq!((world.has("commit"), world.has("proposed")), (0, 2));
    world.replay(&world.lines).unwrap();
    let mut world = held_back();
    world.up();
    assert_eq!(
        second(&mut world),
        DenialCode::HeldBack,
        "a start alone changes nothing"
    );
}

#[test]
fn a_clean_tree_or_a_moved_head_at_the_next_start_lets_it_go_on() {
    let clean: fn(&mut Ground) = |ground| ground.dirty = 0;
    let moved: fn(&mut Ground) = |ground| ground.head = Some(object(99));
    for looked_after in [clean, moved] {
        let mut world = held_back();
        looked_after(&mut world.ground);
        assert_eq!(world.state.held_back(), Some(&id(0)));
        world.up();
        assert_eq!(world.state.held_back(), None);
        world.finish(&[]);
        assert_eq!((world.has("commit"), world.has("proposed")), (1, 1));
        world.replay(&world.lines).unwrap();
    }
}

/// Where nobody looked at HEAD when it was left, only a clean tree clears it.
#[test]
fn a_proposal_of_a_run_without_a_gate_is_cleared_by_a_clean_tree_alone() {
    let mut two = committing(&[vec![], vec![]]);
    two.mode = Mode::Propose;
    let mut world = World::new(two);
    world.until("proposed");
    assert!(world.step(0));
    let mut commits = world.goal.clone();
    commits.mode = Mode::Commit;
    commits.digest = digest(202);
    let edited = GoalEdited {
        before: world.goal.digest,
        after: commits.digest,
        budget_changed: false,
        retried: Vec::new(),
        thawed: Vec::new(),
    };
    world.say(Event::GoalEdited(edited));
    world.state.adopt(&commits);
    world.goal = commits;
    world.ground = Ground::gate(&[]);
    world.ground.dirty = 1;
    for head in [5, 6] {
        world.ground.head = Some(object(head));
        world.up();
        assert_eq!(world.state.held_back(), Some(&id(0)));
    }
    world.ground.dirty = 0;
    world.up();
    assert_eq!(world.state.held_back(), None);
}

/// The task's own change from before is in what is verified, and so in the commit: nothing is left for review then.
#[test]
fn a_task_put_back_commits_what_it_left_and_holds_nothing_back() {
    let mut world = held_back();
    world
        .goal
        .tasks
        .iter_mut()
        .for_each(|task| task.reversible = true);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.finish(&[]);
    assert_eq!((world.has("commit"), world.state.held_back()), (2, None));
    assert_eq!(world.state.plan().done(), 2);
}

#[test]
fn a_tree_without_changes_holds_nothing_back() {
    let mut world = held_back();
    world.until("work");
    world.ground.dirty = 0;
    assert!(world.step(0x20), "this worker threw the change away");
    world.finish(&[]);
    assert_eq!((world.has("commit_empty"), world.state.held_back()), (1, None));
    world.replay(&world.lines).unwrap();
}

/// `count` tasks that are given up, and one after them.
fn given_up(count: usize) -> World {
    let mut goal = committing(&vec![vec![]; count + 1]);
    goal.max_attempts = 1;
    let mut world = World::on(goal, Ground::gate(&[]));
    for _ in 0..count {
        world.until("verify");
        assert!(world.step(5));
        world.until("quarantine");
        assert!(world.step(0));
    }
    world
}

#[test]
fn a_commit_names_the_tasks_whose_leftovers_it_holds() {
    let mut world = given_up(2);
    assert_eq!(world.state.left_over(), [id(0), id(1)]);
    let Action::Record(Event::GateAllowed(_, allowed)) = world.until("gate_allowed") else {
        unreachable!()
    };
    assert_eq!(allowed.left_over, [id(0), id(1)]);
    world.until("commit!");
    assert_eq!(order(&world).left_over, [id(0), id(1)]);
    assert!(world.step(0));
    assert!(world.state.left_over().is_empty(), "they are committed now");
    world.finish(&[]);
    world.replay(&world.lines).unwrap();
}

#[test]
fn leftovers_are_cleared_by_a_clean_tree_and_not_by_a_moved_head() {
    let mut world = given_up(1);
    world.ground.head = Some(object(99));
    world.up();
    assert_eq!(world.state.left_over(), [id(0)]);
    world.ground.dirty = 0;
    world.up();
    assert!(world.state.left_over().is_empty());
    let mut world = given_up(1);
    world.until("work");
    world.ground.dirty = 0;
    assert!(world.step(0x20));
    world.until("commit_empty");
    assert!(world.step(0));
    assert!(world.state.left_over().is_empty());
}

/// At most 32 are named, and each once.
#[test]
fn leftovers_stay_few() {
    let world = given_up(40);
    assert_eq!(world.state.left_over().len(), 32);
    let mut world = given_up(1);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    world.until("verify");
    assert!(world.step(5));
    world.until("quarantine");
    assert!(world.step(0));
    assert_eq!(world.state.left_over(), [id(0)]);
}

/// A task's own leftovers from before are not somebody else's.
#[test]
fn a_task_is_not_named_in_its_own_commit() {
    let mut world = given_up(1);
    let (task, with) = (id(0), Vec::new());
    world.say(Event::Retried(Retried { task, with }));
    let Action::Record(Event::GateAllowed(attempt, allowed)) = world.until("gate_allowed") else {
        unreachable!()
    };
    assert_eq!((attempt.task, allowed.left_over), (id(0), Vec::new()));
}

/// What was never begun, or waits for another, has left nothing.
#[test]
fn only_who_worked_leaves_something() {
    let mut goal = committing(&[vec![], vec![0]]);
    goal.max_attempts = 1;
    let mut world = World::on(goal, Ground::gate(&[]));
    world.until("verify");
    assert!(world.step(5));
    world.finish(&[]);
    assert_eq!(
        (world.has("quarantine"), world.state.left_over()),
        (2, &[id(0)][..])
    );
}

impl World {
    fn tamper(&mut self) {
        let (what, kept_as) = ("goal.json was edited".into(), None);
        self.say(Event::Tampering(Tampering { what, kept_as }));
    }
}

#[test]
fn nothing_is_committed_after_tampering_until_somebody_has_looked() {
    let denied = |world: &mut World| match world.until("gate_denied") {
        Action::Record(Event::GateDenied(_, denied)) => assert_eq!(denied.code, DenialCode::Tampered),
        other => panic!("{other:?}"),
    };
    let mut world = World::on(single(), Ground::gate(&[]));
    world.until("work");
    world.tamper();
    denied(&mut world);

    let mut world = World::on(single(), Ground::gate(&[]));
    world.until("work");
    world.tamper();
    world.up();
    assert!(world.state.tampered(), "who is killed does not look");
    denied(&mut world);

    let mut world = World::on(single(), Ground::gate(&[]));
    let Action::Work(attempt, _) = world.until("work") else {
        unreachable!()
    };
    world.tamper();
    world.say(interrupted(attempt, Stage::Worker, Cut::Sigterm));
    assert!(world.state.tampered());
    world.up();
    assert!(
        !world.state.tampered(),
        "stopped in order and started again: somebody looked"
    );
    world.finish(&[]);
    assert_eq!(world.has("commit"), 1);
    world.replay(&world.lines).unwrap();
}

/// Verified in a run with a gate, and the next one asks for proposals.
#[test]
fn a_dial_that_was_turned_down_proposes_what_was_at_the_gate() {
    let mut world = at_the_gate(single());
    world.ground.gate = false;
    world.up();
    assert!(world.step(0));
    let mut names: Vec<_> = Vec::new();
    while world.step(0) {
        names.push(*world.names().last().unwrap());
    }
    assert_eq!(names, ["proposed", "goal_complete"]);
    world.replay(&world.lines).unwrap();
}

/// Between the verify and the gate, somebody else commits.
#[test]
fn a_head_that_moved_while_the_driver_was_down_is_seen_at_the_gate() {
    let mut world = at_the_gate(single());
    world.ground.head = Some(object(9));
    world.up();
    assert!(world.step(0));
    match world.next() {
        Action::Record(Event::GateDenied(_, denied)) => assert_eq!(denied.code, DenialCode::HeadMoved),
        other => panic!("{other:?}"),
    }
}

/// Every record of this log with one of them replaced: the chain is right, the story is not.
fn forged(world: &World, at: usize, event: &Event) -> Vec<String> {
    let events = world.events.iter().enumerate();
    chain(
        world,
        events.map(|(index, said)| if index == at { event } else { said }),
    )
}

fn chain<'a>(world: &World, events: impl Iterator<Item = &'a Event>) -> Vec<String> {
    let mut head = None;
    let write = |event: &Event| {
        let record = Record::after(head, world.now, "d", event.clone()).unwrap();
        head = Some(record.head());
        record.line().unwrap()
    };
    events.map(write).collect()
}

fn at(world: &World, name: &str) -> usize {
    world.names().iter().position(|said| *said == name).unwrap()
}

#[track_caller]
fn refused(world: &World, lines: &[String], why: &str) {
    let error = world.replay(lines).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_replay_wants_the_gate_before_the_commit() {
    let world = check(single(), 0, &["gate_allowed", "commit", "goal_complete"]);
    assert!(world.replay(&chain(&world, world.events.iter())).is_ok());
    let allowed = at(&world, "gate_allowed");
    let without = world
        .events
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != allowed);
    refused(
        &world,
        &chain(&world, without.map(|(_, event)| event)),
        "the rules ask for GateAllowed",
    );

    let Some(Event::GateAllowed(attempt, said)) = world.events.get(allowed).cloned() else {
        unreachable!()
    };
    let forge = |change: fn(&mut AttemptRef, &mut GateAllowed)| {
        let (mut attempt, mut said) = (attempt.clone(), said.clone());
        change(&mut attempt, &mut said);
        refused(
            &world,
            &forged(&world, allowed, &Event::GateAllowed(attempt, said)),
            "the rules ask for GateAllowed",
        );
    };
    forge(|_, said| said.change.tree = object(99));
    forge(|_, said| said.change.parent = None);
    forge(|_, said| said.contract = digest(9));
    forge(|_, said| said.needs = 2);
    forge(|_, said| said.rollback_ref = None);
    forge(|_, said| said.left_over = vec![id(0)]);
    forge(|attempt, _| attempt.autonomy_used = 0);
}

#[test]
fn a_replay_wants_the_commit_that_was_allowed() {
    let world = check(single(), 0, &["gate_allowed", "commit", "goal_complete"]);
    let place = at(&world, "commit");
    let Some(Event::Commit(attempt, said)) = world.events.get(place).cloned() else {
        unreachable!()
    };
    let mut tree = said.clone();
    tree.tree = object(99);
    let mut parent = said.clone();
    parent.parent = None;
    for other in [tree, parent] {
        let lines = forged(&world, place, &Event::Commit(attempt.clone(), other));
        refused(&world, &lines, "it is not the commit that was allowed");
    }
    let lower = AttemptRef {
        autonomy_used: 0,
        ..attempt.clone()
    };
    refused(
        &world,
        &forged(&world, place, &Event::Commit(lower, said)),
        "the rules ask for the commit of attempt 1",
    );
    for (place, event) in [
        (
            at(&world, "gate_allowed"),
            Event::Proposed(attempt.clone(), Proposed {}),
        ),
        (place, Event::Proposed(attempt.clone(), Proposed {})),
        (
            place,
            Event::CommitEmpty(attempt.clone(), CommitEmpty { tree: object(2) }),
        ),
    ] {
        refused(&world, &forged(&world, place, &event), "the rules ask for");
    }
    let (code, reason, at_mutation) = (DenialCode::HeadMoved, "why".into(), false);
    let early = Event::GateDenied(
        attempt,
        GateDenied {
            code,
            reason,
            at_mutation,
        },
    );
    refused(
        &world,
        &forged(&world, place, &early),
        "the rules ask for the commit of attempt 1",
    );
}

#[test]
fn a_replay_wants_what_box_0_says() {
    let world = check(
        changed(|goal| goal.contract.as_mut().unwrap().ratified_by = None),
        0,
        &["gate_denied", "commit_denied", "proposed", "goal_complete"],
    );
    let place = at(&world, "commit_denied");
    let without = world
        .events
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != place);
    refused(
        &world,
        &chain(&world, without.map(|(_, event)| event)),
        "the rules ask for CommitDenied",
    );
}

/// What [`State::apply`](machine_driver_state::state::State::apply) itself refuses, whatever asks for it.
#[track_caller]
fn check_refused(world: &World, event: Event, why: &str) {
    let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
    let error = world.state.clone().apply(&record).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

/// The events of the gate about one attempt.
struct Say(AttemptRef);

impl Say {
    fn commit(&self, tree: u32) -> Event {
        let (commit, tree, parent) = (object(8), object(tree), Some(object(1)));
        Event::Commit(self.0.clone(), Commit { commit, tree, parent })
    }

    fn failed(&self) -> Event {
        let reason = "r".into();
        let (tries, lasting) = (1, true);
        let failed = CommitFailed {
            reason,
            tries,
            lasting,
        };
        Event::CommitFailed(self.0.clone(), failed)
    }

    fn denied(&self, code: DenialCode, at_mutation: bool) -> Event {
        let reason = "r".into();
        let denied = GateDenied {
            code,
            reason,
            at_mutation,
        };
        Event::GateDenied(self.0.clone(), denied)
    }

    fn denied_commit(&self, reason: &str) -> Event {
        let reason = reason.into();
        Event::CommitDenied(self.0.clone(), CommitDenied { reason })
    }

    fn allowed(&self, allowed: &GateAllowed) -> Event {
        Event::GateAllowed(self.0.clone(), allowed.clone())
    }

    fn proposed(&self) -> Event {
        Event::Proposed(self.0.clone(), Proposed {})
    }

    fn empty(&self) -> Event {
        Event::CommitEmpty(self.0.clone(), CommitEmpty { tree: object(2) })
    }
}

/// Work that was verified, and what is to be said at the gate.
fn asked_at_the_gate() -> (World, Say, GateAllowed) {
    let world = at_the_gate(single());
    match world.next() {
        Action::Record(Event::GateAllowed(attempt, allowed)) => (world, Say(attempt), allowed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_comes_of_the_gate_before_it_was_asked() {
    let (world, say, allowed) = asked_at_the_gate();
    check_refused(&world, say.commit(2), "it was not allowed");
    check_refused(&world, say.failed(), "it was not allowed");
    check_refused(
        &world,
        say.denied(DenialCode::Budget, true),
        "the gate was not asked",
    );
    check_refused(&world, say.denied_commit("r"), "the contract did not forbid it");
    check_refused(&world, say.proposed(), "the gate was not asked");
    check_refused(&world, say.empty(), "there is something to commit");
    let mut other = allowed;
    other.change.paths += 1;
    check_refused(
        &world,
        say.allowed(&other),
        "it is not the change that was verified",
    );
}

#[test]
fn what_the_contract_forbids_is_recorded_before_anything_else() {
    let (mut world, say, allowed) = asked_at_the_gate();
    world.say(say.denied(DenialCode::Expired, false));
    check_refused(
        &world,
        say.proposed(),
        "that the contract forbids it was not recorded",
    );
    check_refused(
        &world,
        say.denied_commit("another"),
        "the contract did not forbid it",
    );
    world.say(say.denied_commit("r"));
    check_refused(&world, say.denied_commit("r"), "the contract did not forbid it");
    check_refused(&world, say.allowed(&allowed), "it was not verified");
}

#[test]
fn a_leave_is_used_once() {
    let (mut world, say, allowed) = asked_at_the_gate();
    assert!(world.step(0));
    check_refused(&world, say.allowed(&allowed), "it was not verified");
    check_refused(
        &world,
        say.denied(DenialCode::Budget, false),
        "the gate was not asked",
    );
    check_refused(&world, say.proposed(), "it was not verified");
    check_refused(&world, say.empty(), "there is something to commit");
    check_refused(&world, say.commit(3), "it is not the commit that was allowed");
    world.say(say.failed());
    check_refused(&world, say.failed(), "it was not allowed");
    check_refused(&world, say.commit(2), "it was not allowed");
}

/// A change that could not be read is told with its reason.
#[test]
fn what_no_commit_can_hold_is_left_for_review() {
    let mut world = World::on(single(), Ground::gate(&[]));
    let Action::Verify(attempt, ..) = world.until("verify") else {
        unreachable!()
    };
    let verified = Verified {
        verifier_id: common::verifier(),
        output: OutputDigest {
            bytes: 0,
            sha256: digest(0),
        },
        wall_ms: 1,
        change: None,
        no_change: Some("`a.bin` has a filter".into()),
        audit: None,
    };
    world.say(Event::Verified(attempt, verified));
    match world.next() {
        Action::Record(Event::GateDenied(_, denied)) => {
            assert_eq!(
                (denied.code, denied.reason.as_str()),
                (DenialCode::NoTree, "`a.bin` has a filter")
            );
        }
        other => panic!("{other:?}"),
    }
    world.finish(&[]);
    assert_eq!(world.has("proposed"), 1);
    world.replay(&world.lines).unwrap();
}

/// The words for what keeps a commit from being made.
#[test]
fn a_commit_that_is_not_made_says_why() {
    let moved = |expected, found| {
        let reference = RefName::new("refs/heads/main").unwrap();
        CommitError::Moved {
            reference,
            expected,
            found,
        }
        .to_string()
    };
    assert_eq!(
        moved(Some(object(1)), Some(object(2))),
        "refs/heads/main was moved from 000000010000 to 000000020000 by somebody else"
    );
    assert_eq!(
        moved(None, Some(object(2))),
        "refs/heads/main was moved from no commit to 000000020000 by somebody else"
    );
    let error = CommitError::Failed {
        what: "could not write /r/.git/x".into(),
        source: "no space".into(),
    };
    assert_eq!(error.to_string(), "could not write /r/.git/x");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no space");
    assert_eq!(
        [Mode::Propose, Mode::Commit].map(dial::word),
        ["propose", "commit"]
    );
}

/// What is granted is said of the next task that can be dispatched, and of the last one where none is left.
#[test]
fn what_is_granted_is_said_of_the_next_task() {
    let mut goal = committing(&[vec![], vec![]]);
    goal.tasks
        .iter_mut()
        .take(1)
        .for_each(|task| task.reversible = false);
    let mut world = World::on(goal, Ground::gate(&[]));
    let check = |world: &World, mode, because: Option<&str>| {
        let granted = dial::granted(&world.goal, &world.state, world.now);
        assert_eq!((granted.mode, granted.because.as_deref()), (mode, because));
    };
    let irreversible = "the task is not marked reversible, the contract has no irreversible_min_trust, and no approval of a person stands";
    check(&world, Mode::Propose, Some(irreversible));
    world.until("proposed");
    check(&world, Mode::Propose, Some(irreversible));
    assert!(world.step(0));
    let held = "`t0` was left for review, and the tree is not clean since: commit or discard what is there, and start again";
    check(&world, Mode::Propose, Some(held));
    world.ground.dirty = 0;
    world.up();
    check(&world, Mode::Commit, None);
    world.finish(&[]);
    check(&world, Mode::Commit, None);
    world.goal.mode = Mode::Propose;
    check(&world, Mode::Propose, None);
}
