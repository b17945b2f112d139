use super::*;
use crate::control::Cut;
use crate::event::*;
use crate::goal::{Alerts, Budget, CommandLine, Mode, Task};
use crate::id::ActorId;
use crate::record::Record;
use crate::usage::Usage;

const SESSION: &str = "00112233445566778899aabbccddeeff";

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

fn goal(after: &[&[usize]]) -> Goal {
    let task = |(index, after): (usize, &&[usize])| Task {
        id: TaskId::new(&format!("t{index}")).unwrap(),
        goal: "do it".into(),
        reversible: false,
        after: after.to_vec(),
        worker_cmd: None,
        verify_cmd: None,
        max_attempts: None,
        worker_timeout: None,
        idempotency_key: digest(9),
        scope: None,
        immutable: Vec::new(),
    };
    Goal {
        name: "g".into(),
        repo: "/r".into(),
        worker_cmd: CommandLine::Shell("true".into()),
        verify_cmd: None,
        mode: Mode::Propose,
        contract: None,
        budget: Budget::default(),
        max_attempts: 3,
        tick: Duration::ZERO,
        worker_timeout: None,
        worker_idle: None,
        verify_timeout: None,
        env_pass: Vec::new(),
        alerts: Alerts::default(),
        attest: None,
        deployment_id: "d".into(),
        tasks: after.iter().enumerate().map(task).collect(),
        digest: digest(1),
        contract_digest: digest(3),
        audit_sink: None,
    }
}

fn attempt(task: &str, number: u32) -> AttemptRef {
    AttemptRef {
        task: TaskId::new(task).unwrap(),
        attempt: number,
        session: Some(SessionId::new(SESSION).unwrap()),
        idempotency_key: digest(9),
        autonomy_used: 0,
    }
}

fn up() -> Event {
    Event::DriverUp(DriverUp {
        version: "0".into(),
        pid: 7,
        boot_id: String::new(),
        goal: "g".into(),
        goal_sha256: digest(1),
        mode_asked: "propose".into(),
        mode: "propose".into(),
        tier: "group".into(),
        gate: false,
        repo: None,
        sinks: Vec::new(),
        records: false,
        sealed: false,
        receipt: None,
        survey: None,
        accepts_tree: false,
    })
}

fn dispatch(task: &str, number: u32) -> Event {
    Event::Dispatch(
        attempt(task, number),
        Dispatch {
            worker_id: ActorId::new("w").unwrap(),
        },
    )
}

fn exited(task: &str, number: u32, class: WorkerClass) -> Event {
    let output = OutputDigest {
        bytes: 5,
        sha256: digest(2),
    };
    let usage = Usage {
        tokens: Some(10),
        usd_micros: None,
    };
    let (exit, signal, detail) = (Some(0), None, None);
    let (timed_out, wall_ms, retry_after_ms) = (false, 1, None);
    let body = WorkerExited {
        class,
        exit,
        signal,
        timed_out,
        usage,
        output,
        wall_ms,
        retry_after_ms,
        detail,
    };
    Event::WorkerExited(attempt(task, number), body)
}

fn verified(task: &str, number: u32) -> Event {
    let output = OutputDigest {
        bytes: 0,
        sha256: digest(2),
    };
    Event::Verified(
        attempt(task, number),
        Verified {
            verifier_id: ActorId::new("v").unwrap(),
            output,
            wall_ms: 1,
            change: None,
            no_change: None,
            audit: None,
        },
    )
}

fn failed(task: &str, number: u32) -> Event {
    let body = VerifyFailed {
        verifier_id: ActorId::new("v").unwrap(),
        reason: "exit 1".into(),
        exit: Some(1),
        signal: None,
        timed_out: false,
        output: OutputDigest {
            bytes: 0,
            sha256: digest(2),
        },
        tail: "assertion failed".into(),
        wall_ms: 1,
        change: None,
        audit: None,
    };
    Event::VerifyFailed(attempt(task, number), body)
}

fn requeue(task: &str, number: u32) -> Event {
    let body = Requeue {
        reason: "again".into(),
        failed: 1,
        max_attempts: 3,
        not_before: None,
    };
    Event::Requeue(attempt(task, number), body)
}

fn quarantine(attempt: AttemptRef, cause: Cause) -> Event {
    Event::Quarantine(
        attempt,
        Quarantine {
            cause,
            reason: "why".into(),
        },
    )
}

fn never(task: &str) -> AttemptRef {
    AttemptRef {
        session: None,
        ..attempt(task, 0)
    }
}

fn interrupted(task: &str, number: u32, stage: Stage, unlogged_wall_ms: u64) -> Event {
    let body = Interrupted {
        by: Cut::Crash,
        stage,
        usage: Usage::default(),
        output_bytes: 3,
        unlogged_wall_ms,
    };
    Event::Interrupted(attempt(task, number), body)
}

fn proposed(task: &str, number: u32) -> Event {
    Event::Proposed(attempt(task, number), Proposed {})
}

/// A run in which a second passes before each event.
struct Story {
    state: State,
}

impl Story {
    fn new(after: &[&[usize]]) -> Self {
        let mut state = State::new();
        state.adopt(&goal(after));
        Self { state }
    }

    fn say(&mut self, event: Event) -> Result<(), OutOfOrder> {
        let at = self.state.last_at().after(Duration::from_secs(1));
        let record = Record::after(self.state.head(), at, "d", event).unwrap();
        self.state.apply(&record)
    }

    fn all(mut self, events: impl IntoIterator<Item = Event>) -> State {
        for event in events {
            self.say(event).unwrap();
        }
        self.state
    }

    /// The error that `event` gives after `before`.
    fn refused(mut self, before: impl IntoIterator<Item = Event>, event: Event) -> String {
        for event in before {
            self.say(event).unwrap();
        }
        self.say(event).unwrap_err().to_string()
    }
}

use std::time::Duration;

fn passed(task: &str, number: u32) -> [Event; 4] {
    [
        dispatch(task, number),
        exited(task, number, WorkerClass::Ok),
        verified(task, number),
        proposed(task, number),
    ]
}

#[test]
fn a_task_that_passes_is_done_and_frees_those_behind_it() {
    let run = Story::new(&[&[], &[0], &[]]);
    assert_eq!(run.state.plan().ready(), Some(0));
    let state = run.all([up()].into_iter().chain(passed("t0", 1)));
    assert_eq!(state.status(&TaskId::new("t0").unwrap()), Status::Done);
    assert_eq!(
        (state.plan().ready(), state.plan().done(), state.plan().open()),
        (Some(1), 1, 2)
    );
    assert_eq!(state.spent().worker_runs, 1);
    assert_eq!(
        state.spent().wall,
        Duration::from_secs(4),
        "each record of the loop is charged, driver_up is not"
    );
    assert_eq!((state.spent().tokens, state.spent().runs_without_usd), (10, 1));
}

#[test]
fn a_failed_verify_keeps_its_tail_and_the_task_stays_first() {
    let fail = [
        dispatch("t0", 1),
        exited("t0", 1, WorkerClass::Error),
        failed("t0", 1),
        requeue("t0", 1),
    ];
    let state = Story::new(&[&[], &[]]).all([up()].into_iter().chain(fail));
    let task = state.at(0).unwrap();
    assert_eq!((task.failed, task.attempts, task.failed_attempt), (1, 1, Some(1)));
    assert_eq!(task.verify_tail.as_deref(), Some("assertion failed"));
    assert_eq!(state.plan().ready(), Some(0));
}

#[test]
fn what_waits_for_a_blocked_task_waits_in_vain_until_it_is_put_back() {
    let mut run = Story::new(&[&[], &[0], &[1]]);
    for event in [
        up(),
        dispatch("t0", 1),
        exited("t0", 1, WorkerClass::Ok),
        failed("t0", 1),
    ] {
        run.say(event).unwrap();
    }
    run.say(quarantine(attempt("t0", 1), Cause::Failed)).unwrap();
    assert_eq!(run.state.plan().in_vain(), Some((1, 0)));
    run.say(quarantine(never("t1"), Cause::After)).unwrap();
    assert_eq!(run.state.plan().in_vain(), Some((2, 1)));
    run.say(quarantine(never("t2"), Cause::After)).unwrap();
    assert_eq!(
        (
            run.state.plan().in_vain(),
            run.state.plan().ready(),
            run.state.plan().blocked()
        ),
        (None, None, 3)
    );

    let (t0, goal) = (TaskId::new("t0").unwrap(), goal(&[&[], &[0], &[1]]));
    let with = run.state.waiting_for(&goal, std::slice::from_ref(&t0));
    assert_eq!(with.iter().map(TaskId::as_str).collect::<Vec<_>>(), ["t1", "t2"]);
    run.say(Event::Retried(Retried {
        task: t0.clone(),
        with,
    }))
    .unwrap();
    assert_eq!(
        (run.state.plan().ready(), run.state.plan().blocked()),
        (Some(0), 0)
    );
    let task = run.state.task(&t0).unwrap();
    assert_eq!(
        (task.attempts, task.failed, &task.reason),
        (1, 0, &None),
        "attempts stay, failures do not"
    );
}

#[test]
fn a_crash_in_the_worker_starts_it_afresh_and_one_in_the_verify_does_not() {
    let crash = [
        up(),
        dispatch("t0", 1),
        up(),
        interrupted("t0", 1, Stage::Worker, 60_000),
    ];
    let state = Story::new(&[&[]]).all(crash);
    assert!(state.current().is_none());
    assert_eq!(
        state.at(0).map(|task| (task.interruptions, task.failed)),
        Some((1, 0))
    );
    assert_eq!(
        state.spent().wall,
        Duration::from_secs(1 + 60 + 1),
        "the time until the crash counts, the time it was down does not"
    );
    assert_eq!(state.spent().output_bytes, 3);

    let crash = [up(), dispatch("t0", 1), exited("t0", 1, WorkerClass::Ok), up()];
    let state = Story::new(&[&[]]).all(crash.into_iter().chain([interrupted("t0", 1, Stage::Verify, 0)]));
    let current = state.current().unwrap();
    assert!(matches!(current.phase, Phase::Exited { .. }) && !current.left_behind());
    assert_eq!(state.spent().worker_runs, 1);
}

#[test]
fn a_verdict_ends_a_row_of_interruptions() {
    let events = [
        up(),
        dispatch("t0", 1),
        up(),
        interrupted("t0", 1, Stage::Worker, 0),
    ];
    let judged = [
        dispatch("t0", 2),
        exited("t0", 2, WorkerClass::Ok),
        failed("t0", 2),
    ];
    let state = Story::new(&[&[]]).all(events.into_iter().chain(judged));
    assert_eq!(state.at(0).map(|task| task.interruptions), Some(0));
}

#[test]
fn what_cannot_come_is_refused() {
    let check = |before: Vec<Event>, event: Event, why: &str| {
        let error = Story::new(&[&[], &[]]).refused(before, event);
        assert!(error.contains(why), "{error}");
    };
    check(vec![], dispatch("t0", 1), "no driver is up");
    check(vec![up()], dispatch("t0", 2), "but 0 were made");
    check(vec![up(), dispatch("t0", 1)], dispatch("t1", 1), "is under way");
    check(vec![up(), dispatch("t0", 1)], verified("t0", 1), "has not ended");
    check(
        vec![up(), dispatch("t0", 1)],
        exited("t0", 2, WorkerClass::Ok),
        "not under way",
    );
    check(
        vec![up(), dispatch("t0", 1), up()],
        exited("t0", 1, WorkerClass::Ok),
        "nothing has cleared it up",
    );
    check(
        vec![up(), dispatch("t0", 1)],
        proposed("t0", 1),
        "it was not verified",
    );
    let worked = vec![up(), dispatch("t0", 1), exited("t0", 1, WorkerClass::Ok)];
    check(worked.clone(), exited("t0", 1, WorkerClass::Ok), "ended already");
    check(
        worked,
        Event::GoalComplete(GoalComplete { done: 0, blocked: 0 }),
        "is under way",
    );
    let done: Vec<Event> = [up()].into_iter().chain(passed("t0", 1)).collect();
    check(done.clone(), dispatch("t0", 2), "is not pending");
    check(done, quarantine(never("t0"), Cause::Failed), "is not pending");
    let Event::DriverUp(other) = up() else {
        unreachable!()
    };
    let (name, goal) = (
        DriverUp {
            goal: "h".into(),
            ..other.clone()
        },
        DriverUp {
            goal_sha256: digest(8),
            ..other
        },
    );
    check(
        vec![up()],
        Event::DriverUp(name),
        "belongs to the goal `g`, not `h`",
    );
    check(vec![up()], Event::DriverUp(goal), "the one in force");
}

#[test]
fn time_never_goes_back() {
    let mut state = State::new();
    let first = Record::after(None, Timestamp::from_millis(2000), "d", up()).unwrap();
    state.apply(&first).unwrap();
    let second = Record::after(state.head(), Timestamp::from_millis(1999), "d", up()).unwrap();
    assert!(
        state
            .apply(&second)
            .unwrap_err()
            .to_string()
            .contains("is before the last record's")
    );
}

#[test]
fn folding_first_and_adopting_later_comes_to_the_same() {
    let after: &[&[usize]] = &[&[], &[0], &[]];
    let events: Vec<Event> = [up()]
        .into_iter()
        .chain(passed("t0", 1))
        .chain([dispatch("t1", 1)])
        .collect();
    let early = Story::new(after).all(events.clone());
    let mut late = Story { state: State::new() }.all(events);
    assert_eq!(late.plan().ready(), None);
    late.adopt(&goal(after));
    assert_eq!(
        (late.plan().ready(), late.plan().done(), late.plan().open()),
        (early.plan().ready(), early.plan().done(), early.plan().open())
    );
    assert_eq!(late.plan().ready(), Some(2));
}
