//! Who may do what: halts, approvals, the dial, and the trees against which changes are audited.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::{World, committing, digest, failure, goal, id, interrupted, named, object, replay, verifier};
use machine_driver_governor::audit::Rules;
use machine_driver_governor::contract::thawed;
use machine_driver_governor::{Action, decide};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    Approved, Audited, DenialCode, DialChanged, Event, GoalEdited, OutputDigest, OverrideEffective,
    OverrideKind, OverrideLifted, OverrideRequested, RequestId, Retried, RuleFound, Stage,
};
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::{Contract, Goal, Mode};
use machine_driver_state::record::Record;
use machine_driver_state::survey::Survey;

use crate::common::Ground;

fn irreversible() -> Goal {
    let mut goal = committing(&[vec![]]);
    goal.tasks.iter_mut().for_each(|task| task.reversible = false);
    goal
}

fn request(n: u8) -> RequestId {
    RequestId::new(&digest(n).to_string()[..32]).unwrap()
}

fn asked(n: u8, kind: OverrideKind, world: &World) -> Event {
    Event::OverrideRequested(OverrideRequested {
        id: request(n),
        kind,
        by: "ann".into(),
        reason: "smoke".into(),
        asked_at: world.now,
        running: true,
    })
}

fn effective(n: u8, kind: OverrideKind) -> Event {
    Event::OverrideEffective(OverrideEffective {
        id: request(n),
        kind,
        delay_ms: 12,
        ended: false,
        running: true,
    })
}

fn lifted() -> Event {
    Event::OverrideLifted(OverrideLifted {
        by: "bob".into(),
        reason: "mended".into(),
    })
}

fn approved(world: &World, for_seconds: u64) -> Approved {
    Approved {
        task: id(0),
        idempotency_key: world.goal.tasks.first().unwrap().idempotency_key,
        contract: world.goal.contract_digest,
        by: "ann".into(),
        reason: "looked at".into(),
        until: world.now.after(Duration::from_secs(for_seconds)),
    }
}

/// Whether the state takes this event up.
fn takes(world: &World, event: Event) -> bool {
    let record = Record::after(world.state.head(), world.now, "d", event).unwrap();
    world.state.clone().apply(&record).is_ok()
}

// ---- approval

#[test]
fn what_cannot_be_undone_is_committed_with_a_persons_leave() {
    let mut world = World::on(irreversible(), Ground::gate(&[]));
    world.say(Event::Approved(approved(&world, 3600)));
    let Action::Record(Event::GateAllowed(attempt, allowed)) = world.until("gate_allowed") else {
        panic!("{:?}", world.next())
    };
    assert_eq!(allowed.approved_by.as_deref(), Some("ann"));
    assert_eq!(attempt.autonomy_used, 1);
    world.finish(&[]);
    assert_eq!((world.has("commit"), world.has("gate_escalated")), (1, 0));
    world.replay(&world.lines.clone()).unwrap();
}

#[test]
fn an_approval_is_for_one_work_under_one_contract_and_for_a_time() {
    let check = |change: fn(&mut Approved), is_committed: bool| {
        let mut world = World::on(irreversible(), Ground::gate(&[]));
        let mut approval = approved(&world, 3600);
        change(&mut approval);
        world.say(Event::Approved(approval));
        world.finish(&[]);
        assert_eq!(world.has("commit") == 1, is_committed);
        assert_eq!(world.has("gate_escalated") == 0, is_committed);
    };
    check(|_| {}, true);
    check(|approval| approval.idempotency_key = digest(9), false);
    check(|approval| approval.contract = digest(9), false);
    check(
        |approval| approval.until = machine_driver_state::time::Timestamp::from_millis(0),
        false,
    );
    check(|approval| approval.task = id(7), false);
}

#[test]
fn an_approval_that_ends_before_the_gate_is_asked_is_none() {
    let mut world = World::on(irreversible(), Ground::gate(&[]));
    world.say(Event::Approved(approved(&world, 60)));
    world.until("gate_allowed");
    world.pass_time(Duration::from_secs(60));
    assert_eq!(named(&world.next()), "gate_escalated");
}

#[test]
fn an_approval_is_used_up_by_its_commit() {
    let mut world = World::on(irreversible(), Ground::gate(&[]));
    world.say(Event::Approved(approved(&world, 36_000)));
    world.finish(&[]);
    world.say(Event::Retried(Retried {
        task: id(0),
        with: Vec::new(),
    }));
    world.up();
    world.finish(&[]);
    assert_eq!((world.has("commit"), world.has("gate_escalated")), (1, 1));
}

#[test]
fn no_approval_reaches_over_a_ceiling_of_nothing_or_a_contract_that_is_not_ratified() {
    let check = |change: fn(&mut Contract), expected: DenialCode| {
        let mut goal = irreversible();
        change(goal.contract.as_mut().unwrap());
        let mut world = World::on(goal, Ground::gate(&[]));
        world.say(Event::Approved(approved(&world, 3600)));
        let Action::Record(Event::GateDenied(_, denied)) = world.until("gate_denied") else {
            panic!("{:?}", world.next())
        };
        assert_eq!(denied.code, expected);
    };
    check(
        |contract| contract.autonomy_ceiling = Some(0),
        DenialCode::Ceiling,
    );
    check(
        |contract| contract.ratified_by = Some("ANN".into()),
        DenialCode::NotRatified,
    );
}

// ---- override

#[test]
fn nothing_goes_on_while_a_halt_stands() {
    for stage in ["dispatch", "work", "verify", "gate_allowed", "commit!"] {
        let mut world = World::on(committing(&[vec![], vec![]]), Ground::recorded(&["sink"]));
        world.until(stage);
        world.say(asked(1, OverrideKind::Halt, &world));
        assert_eq!(named(&world.next()), "stop", "at {stage}");
        assert!(
            decide(&world.goal, &world.state, 0, world.now).is_err_and(|d| d.code == DenialCode::Overridden)
        );
        world.say(effective(1, OverrideKind::Halt));
        if let Some(attempt) = world.state.attempt_under_way(&world.goal) {
            let stage = world.state.current().unwrap().stage();
            world.say(interrupted(attempt, stage, Cut::Halt));
        }
        assert_eq!(named(&world.next()), "stop", "at {stage}");
        world.say(lifted());
        world.deliver();
        world.up();
        world.finish(&[]);
        assert!(world.is_complete(), "after {stage}");
        assert_eq!(world.has("commit"), 2, "after {stage}");
        world.replay(&world.lines.clone()).unwrap();
    }
}

#[test]
fn no_driver_starts_and_no_attempt_begins_before_a_halt_is_lifted() {
    let mut world = World::new(goal(&[vec![]]));
    let Action::Record(dispatch) = world.until("dispatch") else {
        panic!("{:?}", world.next())
    };
    world.say(asked(1, OverrideKind::Halt, &world));
    let up = world.events[0].clone();
    assert!(!takes(&world, dispatch) && !takes(&world, up.clone()));
    assert!(
        !takes(&world, asked(1, OverrideKind::Halt, &world)),
        "the same request twice"
    );
    assert!(
        !takes(&world, effective(2, OverrideKind::Halt)),
        "one that nobody asked for"
    );
    assert!(!takes(&world, effective(1, OverrideKind::Dial)), "another kind");
    world.say(effective(1, OverrideKind::Halt));
    assert!(world.state.halt().unwrap().effective);
    world.say(lifted());
    assert!(takes(&world, up) && !takes(&world, lifted()));
}

#[test]
fn a_halt_does_not_count_against_the_task() {
    let mut world = World::new(goal(&[vec![]]));
    for n in 1..=15 {
        world.until("work");
        world.say(asked(n, OverrideKind::Halt, &world));
        world.say(effective(n, OverrideKind::Halt));
        let attempt = world.state.attempt_under_way(&world.goal).unwrap();
        world.say(interrupted(attempt, Stage::Worker, Cut::Halt));
        world.say(lifted());
        world.up();
    }
    world.finish(&[]);
    assert_eq!((world.has("quarantine"), world.has("proposed")), (0, 1));
}

#[test]
fn a_driver_that_runs_can_only_be_turned_down() {
    let mut world = World::on(committing(&[vec![]]), Ground::gate(&[]));
    let before = world.goal.digest;
    let turned = |to: &str, running| {
        Event::DialChanged(DialChanged {
            before,
            after: digest(77),
            from: "commit".into(),
            to: to.into(),
            by: "ann".into(),
            reason: "careful".into(),
            running,
        })
    };
    assert!(!takes(&world, turned("commit", true)));
    assert!(takes(&world, turned("commit", false)));
    world.until("gate_allowed");
    let down = turned("propose", true);
    world.say(down);
    let committing = world.goal.clone();
    world.goal.mode = Mode::Propose;
    world.goal.digest = digest(77);
    world.state.adopt(&world.goal);
    world.finish(&[]);
    assert_eq!((world.has("commit"), world.has("proposed")), (0, 1));
    replay(&[committing, world.goal.clone()], &world.lines).1.unwrap();
}

// ---- audit

fn globs(texts: &[&str]) -> Vec<PathGlob> {
    texts.iter().map(|text| PathGlob::new(text).unwrap()).collect()
}

fn survey(n: u32) -> Survey {
    Survey {
        tree: Some(object(n)),
        index: None,
        files: None,
    }
}

fn with_rules() -> Goal {
    let mut goal = committing(&[vec![], vec![]]);
    goal.contract.as_mut().unwrap().scope = Some(globs(&["src"]));
    goal
}

fn audit(goal: &Goal, survey: Survey, holds: bool) -> Audited {
    let output = OutputDigest::of(b"scope");
    Audited {
        rules: Rules::of(goal, 0).digest(),
        survey,
        paths: 1,
        scope: Some(RuleFound { holds, output }),
        immutable: None,
    }
}

/// A world whose next change passes with this audit.
fn audited(change: impl FnOnce(&mut Audited, &Goal)) -> World {
    let mut world = World::on(with_rules(), Ground::gate(&[]));
    world.until("verify");
    let mut found = audit(&world.goal, survey(world.ground.objects), true);
    change(&mut found, &world.goal);
    world.ground.audit = Some(found);
    world.step(0);
    world
}

#[test]
fn the_gate_asks_for_an_audit_of_this_tree_by_these_rules() {
    assert_eq!(named(&audited(|_, _| ()).next()), "gate_allowed");
    let denied = |world: &World| match world.next() {
        Action::Record(Event::GateDenied(_, denied)) => denied.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        denied(&audited(|found, _| found.rules = digest(3))),
        DenialCode::NotAudited
    );
    assert_eq!(
        denied(&audited(|found, _| found.survey = survey(900))),
        DenialCode::NotAudited
    );
    let mut world = World::on(with_rules(), Ground::gate(&[]));
    assert_eq!(
        named(&world.until("gate_denied")),
        "gate_denied",
        "without any audit"
    );
    // The operator narrows the rules between verify and gate, by an edit between two runs.
    let mut world = audited(|_, _| ());
    world.goal.contract.as_mut().unwrap().scope = Some(globs(&["src/a"]));
    assert_eq!(denied(&world), DenialCode::NotAudited);
}

#[test]
fn what_breaks_a_rule_cannot_be_recorded_as_verified() {
    let mut world = World::on(with_rules(), Ground::gate(&[]));
    world.until("verify");
    let attempt = world.state.attempt_under_way(&world.goal).unwrap();
    let broken = audit(&world.goal, survey(5), false);
    let mut world_with = World::on(with_rules(), Ground::gate(&[]));
    world_with.until("verify");
    world_with.ground.audit = Some(broken);
    let verified = {
        let Action::Verify(..) = world_with.next() else {
            panic!()
        };
        let output = OutputDigest::of(b"");
        Event::Verified(
            attempt,
            machine_driver_state::event::Verified {
                verifier_id: verifier(),
                output,
                wall_ms: 1,
                change: None,
                no_change: None,
                audit: world_with.ground.audit.clone(),
            },
        )
    };
    assert!(!takes(&world, verified));
}

/// A run with rules, whose first attempt broke one of them.
fn broken() -> World {
    let mut ground = Ground::gate(&[]);
    ground.survey = Some(survey(100));
    let mut world = World::on(with_rules(), ground);
    world.until("verify");
    let attempt = world.state.attempt_under_way(&world.goal).unwrap();
    let mut failed = failure(verifier(), OutputDigest::of(b"scope"));
    failed.audit = Some(audit(&world.goal, survey(101), false));
    world.say(Event::VerifyFailed(attempt, failed));
    world
}

#[test]
fn what_a_worker_left_is_not_taken_for_what_stood_there() {
    let mut world = broken();
    assert_eq!(world.state.standing(), Some(&survey(100)));
    world.ground.survey = Some(survey(101));
    // However often a driver starts again: in order, or after a crash.
    world.say(interrupted(
        world.state.attempt_under_way(&world.goal).unwrap(),
        Stage::Verify,
        Cut::Sigterm,
    ));
    world.up();
    assert_eq!(world.state.standing(), Some(&survey(100)));
    world.up();
    assert_eq!(world.state.standing(), Some(&survey(100)));
}

#[test]
fn what_stood_there_is_taken_anew_only_where_a_person_says_so() {
    let check = |change: fn(&mut World), accepts: bool, expected: u32| {
        let mut world = broken();
        change(&mut world);
        world.ground.survey = Some(survey(104));
        world.ground.accepts_tree = accepts;
        world.up();
        assert_eq!(world.state.standing(), Some(&survey(expected)));
    };
    // The honest second attempt: what its verify, or somebody else, did to the tree since is not known.
    let passed = |world: &mut World| {
        world.until("verify");
        world.ground.audit = Some(audit(&world.goal, survey(102), true));
        world.step(0);
    };
    check(passed, false, 100);
    check(passed, true, 104);
    let put_back = |world: &mut World| {
        world.goal.max_attempts = 1;
        world.until("quarantine");
        world.step(0);
        world.say(Event::Retried(Retried {
            task: id(0),
            with: Vec::new(),
        }));
    };
    check(put_back, false, 100);
    check(put_back, true, 104);
    let edited = |world: &mut World| {
        let before = world.goal.digest;
        let attempt = world.state.attempt_under_way(&world.goal).unwrap();
        world.say(interrupted(attempt, Stage::Verify, Cut::Sigterm));
        world.goal.digest = digest(78);
        world.say(Event::GoalEdited(GoalEdited {
            before,
            after: digest(78),
            budget_changed: false,
            retried: Vec::new(),
            thawed: Vec::new(),
        }));
        world.state.adopt(&world.goal);
    };
    check(edited, false, 100);
    check(edited, true, 104);
}

#[test]
fn a_task_that_is_put_back_compares_with_where_it_was_first_begun() {
    let mut world = broken();
    world.goal.max_attempts = 1;
    world.until("quarantine");
    world.step(0);
    world.say(Event::Retried(Retried {
        task: id(0),
        with: Vec::new(),
    }));
    world.ground.survey = Some(survey(104));
    world.up();
    world.until("work");
    assert_eq!(world.state.task(&id(0)).unwrap().base, Some(survey(100)));
    world.ground.accepts_tree = true;
    let attempt = world.state.attempt_under_way(&world.goal).unwrap();
    world.say(interrupted(attempt, Stage::Worker, Cut::Halt));
    world.up();
    world.until("work");
    assert_eq!(world.state.task(&id(0)).unwrap().base, Some(survey(104)));
}

#[test]
fn a_tasks_own_rules_compare_with_how_the_task_before_left_the_tree() {
    let mut ground = Ground::gate(&[]);
    ground.survey = Some(survey(100));
    let mut world = World::on(with_rules(), ground);
    world.until("work");
    assert_eq!(world.state.task(&id(0)).unwrap().base, Some(survey(100)));
    world.until("verify");
    world.ground.audit = Some(audit(&world.goal, survey(world.ground.objects), true));
    let seen = survey(world.ground.objects);
    world.until("dispatch");
    world.until("work");
    assert_eq!(world.state.task(&id(1)).unwrap().base, Some(seen));
    assert_eq!(world.state.standing(), Some(&survey(100)));
}

// ---- frozen fields

#[test]
fn a_frozen_field_and_what_freezes_it_are_seen_to_change() {
    let contract = |frozen: &[&str], fields: &[(&str, u8)]| Contract {
        frozen: frozen.iter().map(ToString::to_string).collect(),
        fields: fields
            .iter()
            .map(|(name, n)| ((*name).to_owned(), digest(*n)))
            .collect(),
        ..Contract::default()
    };
    let before = contract(&["owner"], &[("owner", 1), ("constraints", 2)]);
    let check = |after: Option<&Contract>, expected: &[&str]| assert_eq!(thawed(&before, after), expected);
    check(Some(&before), &[]);
    check(
        Some(&contract(&["owner"], &[("owner", 1), ("constraints", 3)])),
        &[],
    );
    check(Some(&contract(&["owner"], &[("owner", 2)])), &["owner"]);
    check(Some(&contract(&["owner"], &[])), &["owner"]);
    check(Some(&contract(&[], &[("owner", 1)])), &["immutable"]);
    check(None, &["owner", "immutable"]);
    assert_eq!(thawed(&contract(&[], &[("owner", 1)]), None), [] as [&str; 0]);
}
