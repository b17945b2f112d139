use std::path::PathBuf;

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{
    Cause, Dispatch, DriverUp, ImportedTask, Origin, OutputDigest, Proposed, Quarantine, RecordSigned, Stage,
    VerifyUnavailable,
};
use machine_driver_state::goal::Status;
use machine_driver_state::goal::file::{GoalFile, Place};
use machine_driver_state::id::{ActorId, SessionId};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

use super::*;

const NOW: i64 = 1_795_341_600_000;

fn goal() -> Goal {
    let text =
        br#"{"goal": "g", "repo": "/w", "worker_cmd": "true", "tasks": [{"id": "t1", "goal": "one\ntwo"}]}"#;
    let place = Place::unseen(PathBuf::from("/w/goal.json"), PathBuf::from("/w"), None);
    GoalFile::parse(text, &place).unwrap().goal().clone()
}

pub(super) fn attempt(number: u32) -> AttemptRef {
    AttemptRef {
        task: TaskId::new("t1").unwrap(),
        attempt: number,
        session: SessionId::new(&"a".repeat(SessionId::LENGTH)).ok(),
        idempotency_key: sha256(b"k"),
        autonomy_used: 0,
    }
}

fn told(event: Event) -> String {
    told_of(event, None)
}

/// What is said of an event, when the change has so many paths.
pub(super) fn told_of(event: Event, paths: Option<u64>) -> String {
    let record = Record::after(None, Timestamp::from_millis(NOW), "d", event).unwrap();
    lines(&record, &goal(), &State::new(), paths)
        .into_iter()
        .map(|line| line.text + "\n")
        .collect()
}

fn exited(class: WorkerClass, exit: Option<i32>, signal: Option<i32>, detail: Option<&str>) -> Event {
    let output = OutputDigest {
        bytes: 0,
        sha256: sha256(b""),
    };
    let (timed_out, detail) = (class == WorkerClass::Timeout, detail.map(str::to_owned));
    let usage = Usage::default();
    let exited = WorkerExited {
        class,
        exit,
        signal,
        timed_out,
        usage,
        output,
        wall_ms: 61_000,
        retry_after_ms: None,
        detail,
    };
    Event::WorkerExited(attempt(1), exited)
}

fn cut_off(by: Cut) -> Event {
    let cut_off = Interrupted {
        by,
        stage: Stage::Worker,
        usage: Usage::default(),
        output_bytes: 0,
        unlogged_wall_ms: 0,
    };
    Event::Interrupted(attempt(1), cut_off)
}

fn of_attempts() -> Vec<Event> {
    let verifier_id = ActorId::new("verifier").unwrap();
    let worker_id = ActorId::new("worker").unwrap();
    let waits = Requeue {
        reason: "the worker asked to wait".into(),
        failed: 0,
        max_attempts: 3,
        not_before: Some(Timestamp::from_millis(NOW + 90_000)),
    };
    let reason = "exit 127".into();
    vec![
        Event::Dispatch(
            attempt(1),
            Dispatch {
                worker_id: worker_id.clone(),
            },
        ),
        Event::Dispatch(attempt(7), Dispatch { worker_id }),
        exited(WorkerClass::Ok, Some(0), None, None),
        exited(WorkerClass::Error, Some(2), None, None),
        exited(WorkerClass::RateLimited, Some(75), None, None),
        exited(WorkerClass::Timeout, None, Some(15), Some("no output for 10 s")),
        exited(WorkerClass::Killed, None, Some(9), None),
        exited(
            WorkerClass::CouldNotStart,
            None,
            None,
            Some("no such\u{1b}[2J program"),
        ),
        Event::VerifyUnavailable(
            attempt(1),
            VerifyUnavailable {
                verifier_id,
                reason,
                tries: 2,
            },
        ),
        Event::Requeue(attempt(1), waits),
        Event::Quarantine(
            attempt(1),
            Quarantine {
                cause: Cause::Failed,
                reason: "x\n\u{202e}y".into(),
            },
        ),
        Event::Proposed(attempt(1), Proposed {}),
        record_signed(None),
        record_signed(Some(
            "AAR sign SKIPPED for task t1: missing /w/\u{1b}[2Jpriv.jwk. Put it there.",
        )),
    ]
}

fn record_signed(unsigned: Option<&str>) -> Event {
    let signed = RecordSigned {
        file: "t1.json".into(),
        sha256: sha256(b"r"),
        prior: None,
        unsigned: unsigned.map(str::to_owned),
    };
    Event::RecordSigned(attempt(1), signed)
}

fn of_the_goal() -> Vec<Event> {
    let task = |id| TaskId::new(id).unwrap();
    let imported = Imported {
        goal: "g".into(),
        goal_sha256: sha256(b"g"),
        origin: Origin::Original,
        log_kept_as: Some("driver-log.original.jsonl".into()),
        log_sha256: Some(sha256(b"l")),
        tasks: vec![ImportedTask {
            task: task("t1"),
            status: Status::Done,
            attempts: 1,
            reason: None,
        }],
        worker_runs: 12,
        wall_ms: 5,
        spent: None,
        rule: None,
    };
    let (before, after) = (sha256(b"a"), sha256(b"b"));
    let edited = |retried| GoalEdited {
        before,
        after,
        budget_changed: false,
        retried,
        thawed: Vec::new(),
    };
    let kept_as = Some("goal.json.edited-x".into());
    vec![
        Event::Imported(imported),
        Event::GoalEdited(edited(Vec::new())),
        Event::GoalEdited(edited(vec![task("t1"), task("t2")])),
        Event::Tampering(Tampering {
            what: "goal.json was edited".into(),
            kept_as,
        }),
        Event::Tampering(Tampering {
            what: "HEAD of the repository was moved from a to b".into(),
            kept_as: None,
        }),
    ]
}

#[test]
fn what_every_record_says() {
    let cuts = [Cut::Crash, Cut::Budget, Cut::Sigint, Cut::Sigterm, Cut::Stop].map(cut_off);
    let all = [of_attempts(), cuts.to_vec(), of_the_goal()].concat();
    insta::assert_snapshot!("narrated", all.into_iter().map(told).collect::<String>());
}

#[test]
fn records_that_another_ones_line_tells_say_nothing() {
    let up = DriverUp {
        version: String::new(),
        pid: 1,
        boot_id: String::new(),
        goal: "g".into(),
        goal_sha256: sha256(b"g"),
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
    };
    assert_eq!(told(Event::DriverUp(up)), "");
    let again = Requeue {
        reason: "verify failed: exit 1".into(),
        failed: 1,
        max_attempts: 3,
        not_before: None,
    };
    assert_eq!(told(Event::Requeue(attempt(1), again)), "");
}

#[test]
fn counts_have_their_plural() {
    let all =
        [(0, "task"), (1, "task"), (2, "task"), (1, "try"), (2, "try")].map(|(n, what)| counted(n, what));
    assert_eq!(all, ["0 tasks", "1 task", "2 tasks", "1 try", "2 tries"]);
}

#[test]
fn the_banner_says_why_the_mode_is_not_the_one_asked_for() {
    let mut goal = goal();
    goal.mode = Mode::Commit;
    let mode = |mode, because: Option<&str>| {
        let because = because.map(str::to_owned);
        up(&goal, &State::new(), &Granted { mode, because })
            .remove(1)
            .text
    };
    assert_eq!(mode(Mode::Commit, None), "mode=commit");
    assert_eq!(
        mode(Mode::Propose, Some("a \u{1b}[2J reason")),
        "mode=propose (asked for commit: a \\e[2J reason)"
    );
}

#[test]
fn an_alert_is_told_where_nothing_else_tells_it() {
    let alert = |kind, text: &str| Alert {
        id: machine_driver_state::alert::AlertId::new(&"a".repeat(32)).unwrap(),
        kind,
        goal: "g".into(),
        task: None,
        text: text.into(),
        at: Timestamp::from_millis(NOW),
    };
    let log = alert(
        AlertKind::Tampering,
        "The log was tampered with: \u{1b}[2J. The driver stopped.",
    );
    let line = cry(&log).unwrap();
    assert_eq!(
        line.text,
        "TAMPERING: The log was tampered with: \\e[2J. The driver stopped."
    );
    assert!(line.stays);
    assert_eq!(cry(&alert(AlertKind::Tampering, "goal.json was edited: x")), None);
    assert_eq!(
        cry(&alert(
            AlertKind::Quarantine,
            "The log was tampered with, says the task"
        )),
        None
    );
}
