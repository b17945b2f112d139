use clap::Parser;
use machine_driver_state::alert::{AlertId, AlertKind};
use machine_driver_state::canonical::sha256;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::event::{
    AlertDelivered, AlertRaised, AttemptRef, Cause, Commit, DenialCode, Dispatch, DriverUp, GateAllowed,
    GateDenied, OutputDigest, Quarantine, VerifyFailed, WorkerClass, WorkerExited,
};
use machine_driver_state::id::{ActorId, SessionId};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

use super::*;
use crate::args::{Cli, Command, LogCommand};

fn attempt(task: &str, number: u32) -> AttemptRef {
    AttemptRef {
        task: TaskId::new(task).unwrap(),
        attempt: number,
        session: SessionId::new(&"a".repeat(SessionId::LENGTH)).ok(),
        idempotency_key: sha256(b"k"),
        autonomy_used: 0,
    }
}

fn change() -> Change {
    Change {
        reference: RefName::new("refs/heads/main").unwrap(),
        parent: ObjectId::new(&"1234567890".repeat(4)).ok(),
        tree: ObjectId::new(&"abcdef".repeat(7)[..40]).unwrap(),
        paths: 2,
    }
}

/// What the gate and the outbox write.
fn of_the_gate() -> Vec<Event> {
    let allowed = GateAllowed {
        change: change(),
        contract: sha256(b"contract"),
        needs: 1,
        rollback_ref: change().parent,
        left_over: vec![TaskId::new("t0").unwrap()],
        approved_by: None,
    };
    let commit = Commit {
        commit: ObjectId::new(&"0".repeat(40)).unwrap(),
        tree: change().tree,
        parent: change().parent,
    };
    let denied = GateDenied {
        code: DenialCode::HeldBack,
        reason: "another \u{202e} is in the way".into(),
        at_mutation: true,
    };
    let id = AlertId::new(&"c".repeat(32)).unwrap();
    let raised = AlertRaised {
        id: id.clone(),
        kind: AlertKind::Quarantine,
        dedup_key: "g/t1/quarantine".into(),
        about: TaskId::new("t1").ok(),
        text: "t1 was given up\n\u{1b}[2J".into(),
        sinks: vec!["telegram".into()],
    };
    let delivered = AlertDelivered {
        id,
        sink: "telegram".into(),
        tries: 3,
    };
    vec![
        Event::GateAllowed(attempt("t1", 2), allowed),
        Event::Commit(attempt("t1", 2), commit),
        Event::GateDenied(attempt("t2", 1), denied),
        Event::AlertRaised(raised),
        Event::AlertDelivered(delivered),
    ]
}

fn records() -> Vec<Record> {
    let output = OutputDigest {
        bytes: 31,
        sha256: sha256(b"out"),
    };
    let up = DriverUp {
        version: "0.1.0".into(),
        pid: 7,
        boot_id: "b".into(),
        goal: "evil \u{1b}[2J goal".into(),
        goal_sha256: sha256(b"g"),
        mode_asked: "commit".into(),
        mode: "propose".into(),
        tier: "guardian".into(),
        gate: true,
        repo: Some(change()),
        sinks: vec!["telegram".into(), "evil \u{1b}[2J".into()],
        records: false,
        sealed: false,
        receipt: None,
        survey: None,
        accepts_tree: false,
    };
    let exited = WorkerExited {
        class: WorkerClass::Ok,
        exit: Some(0),
        signal: None,
        timed_out: false,
        usage: Usage {
            tokens: Some(1200),
            usd_micros: None,
        },
        output: output.clone(),
        wall_ms: 1500,
        retry_after_ms: None,
        detail: None,
    };
    let failed = VerifyFailed {
        verifier_id: ActorId::new("command:verifier").unwrap(),
        reason: "exit 1".into(),
        exit: Some(1),
        signal: None,
        timed_out: false,
        output,
        tail: "expected 3\ngot \u{202e}4".into(),
        wall_ms: 12,
        change: None,
        audit: None,
    };
    let given_up = Quarantine {
        cause: Cause::Failed,
        reason: "verify failed once, last: exit 1".into(),
    };
    let worker_id = ActorId::new("command:worker").unwrap();
    let events = vec![
        Event::DriverUp(up),
        Event::Dispatch(attempt("t1", 1), Dispatch { worker_id }),
        Event::WorkerExited(attempt("t1", 1), exited),
        Event::VerifyFailed(attempt("t1", 1), failed),
        Event::Quarantine(attempt("goal", 1), given_up),
    ];
    chain(events)
}

fn chain(events: Vec<Event>) -> Vec<Record> {
    let mut head = None;
    let record = |(index, event): (usize, Event)| {
        let at = Timestamp::from_millis(1_795_341_600_000 + i64::try_from(index).unwrap() * 3_600_000);
        let record = Record::after(head, at, "d", event).unwrap();
        head = Some(record.head());
        record
    };
    events.into_iter().enumerate().map(record).collect()
}

fn query_of(flags: &[&str]) -> LogQueryArgs {
    let arguments = ["machine-driver", "log", "query"].iter().chain(flags);
    match Cli::try_parse_from(arguments).unwrap().command {
        Command::Log(LogCommand::Query(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn check(flags: &[&str], expected: &[&str]) {
    let args = query_of(flags);
    let all = records();
    let found: Vec<&str> = all
        .iter()
        .filter(|record| matches(&args, record))
        .map(|r| r.event.name())
        .collect();
    assert_eq!(found, expected, "{flags:?}");
}

#[test]
fn a_query_takes_what_fits_all_its_flags() {
    check(
        &[],
        &[
            "driver_up",
            "dispatch",
            "worker_exited",
            "verify_failed",
            "quarantine",
        ],
    );
    check(&["--task", "t1"], &["dispatch", "worker_exited", "verify_failed"]);
    check(&["--task", "t2"], &[]);
    check(
        &["--event", "dispatch", "--event", "quarantine"],
        &["dispatch", "quarantine"],
    );
    check(&["--task", "t1", "--event", "quarantine"], &[]);
    check(
        &["--since", "2026-11-22T12:00:00Z"],
        &["worker_exited", "verify_failed", "quarantine"],
    );
    check(&["--until", "2026-11-22T12:00:00Z"], &["driver_up", "dispatch"]);
    check(
        &["--since", "2026-11-22", "--until", "2026-11-23"],
        &[
            "driver_up",
            "dispatch",
            "worker_exited",
            "verify_failed",
            "quarantine",
        ],
    );
    check(&["--since", "2026-11-23"], &[]);
}

#[test]
fn an_alert_about_a_task_is_about_it() {
    let args = query_of(&["--task", "t1", "--event", "alert_raised"]);
    let all = chain(of_the_gate());
    assert_eq!(all.iter().filter(|record| matches(&args, record)).count(), 1);
    let args = query_of(&["--task", "t2", "--event", "alert_raised"]);
    assert!(!all.iter().any(|record| matches(&args, record)));
}

#[test]
fn a_task_called_goal_is_not_the_goal() {
    check(&["--task", "goal"], &["quarantine"]);
}

#[test]
fn lines_for_people() {
    let all = [records(), chain(of_the_gate())].concat();
    let lines: Vec<String> = all.iter().map(line::text).collect();
    let text = anstream::adapter::strip_str(&lines.join("\n")).to_string();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    insta::assert_snapshot!("log_show", text);
}

#[test]
fn a_record_is_wrapped_as_it_is() {
    let record = records().remove(3);
    let line = record.line().unwrap();
    let ((), stdout, _) = crate::out::captured::capture(true, false, |out| {
        let entry = Entry {
            line: 4,
            bytes: line.as_bytes(),
            record: record.clone(),
        };
        print(&entry, out).unwrap();
    });
    let shown = line.replace('\u{202e}', "\\u202e");
    assert!(
        stdout.contains(&shown),
        "as the log has it, made fit for a terminal: {stdout}"
    );
    let wrapped: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        wrapped,
        json!({"type": "record", "line": 4, "record": value(&record)})
    );
}
