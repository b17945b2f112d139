//! Every event as a line of the log: what it says comes back, and nothing else is taken for it.
#![expect(clippy::unwrap_used, reason = "tests")]

use machine_driver_state::alert::{Alert, AlertId, AlertKind};
use machine_driver_state::canonical::digest_of;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::{Cut, ProcessMark};
use machine_driver_state::event::*;
use machine_driver_state::goal::Status;
use machine_driver_state::id::{ActorId, Digest, SessionId, TaskId};
use machine_driver_state::record::{Head, Record};
use machine_driver_state::survey::Survey;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

fn id() -> TaskId {
    TaskId::new("t-1").unwrap()
}

fn attempt() -> AttemptRef {
    AttemptRef {
        task: id(),
        attempt: 2,
        session: Some(SessionId::new(&"ab".repeat(16)).unwrap()),
        idempotency_key: digest(1),
        autonomy_used: 1,
    }
}

fn object(c: char, length: usize) -> ObjectId {
    ObjectId::new(&c.to_string().repeat(length)).unwrap()
}

fn change() -> Change {
    Change {
        reference: RefName::new("refs/heads/main").unwrap(),
        parent: Some(object('a', 40)),
        tree: object('b', 64),
        paths: 3,
    }
}

fn alert_id() -> AlertId {
    AlertId::new(&"0f".repeat(16)).unwrap()
}

fn output() -> OutputDigest {
    OutputDigest::of(b"output")
}

fn actor() -> ActorId {
    ActorId::new("did:web:x").unwrap()
}

const TEXT: &str = "ü \"quoted\"\n\u{1b}[2J {task} $(x)";

fn survey() -> Survey {
    let object = |n: &str| ObjectId::new(&n.repeat(40)).unwrap();
    Survey {
        tree: Some(object("a")),
        index: Some(object("b")),
        files: Some(digest(8)),
    }
}

fn audit() -> Audited {
    let found = |holds| RuleFound {
        holds,
        output: OutputDigest::of(b"rule"),
    };
    Audited {
        rules: digest(7),
        survey: survey(),
        paths: 3,
        scope: Some(found(true)),
        immutable: Some(found(false)),
    }
}

fn driver_up() -> Event {
    let text = || TEXT.to_owned();
    Event::DriverUp(DriverUp {
        version: text(),
        pid: 7,
        boot_id: text(),
        goal: text(),
        goal_sha256: digest(2),
        mode_asked: "commit".into(),
        mode: "propose".into(),
        tier: "guardian".into(),
        gate: true,
        repo: Some(change()),
        sinks: vec!["telegram".into(), text()],
        records: true,
        sealed: true,
        receipt: Some(ReceiptSeen {
            sha256: digest(4),
            why: Some(text()),
        }),
        survey: Some(survey()),
        accepts_tree: true,
    })
}

/// Events of governance, with every field that they may have.
fn rule_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    let (before, after, contract) = (digest(1), digest(2), digest(3));
    let request = RequestId::new(&"5".repeat(32)).unwrap();
    let at = Timestamp::from_millis(1_795_341_600_123);
    vec![
        Event::ContractRatified(ContractRatified {
            before,
            after,
            contract,
            by: text(),
            signer: Some(text()),
            transcript: Some(digest(9)),
        }),
        Event::ContractRevoked(ContractRevoked {
            before,
            after,
            by: text(),
            reason: text(),
        }),
        Event::DialChanged(DialChanged {
            before,
            after,
            from: "commit".into(),
            to: "propose".into(),
            by: text(),
            reason: text(),
            running: true,
        }),
        Event::OverrideRequested(OverrideRequested {
            id: request.clone(),
            kind: OverrideKind::Halt,
            by: text(),
            reason: text(),
            asked_at: at,
            running: false,
        }),
        Event::OverrideEffective(OverrideEffective {
            id: request,
            kind: OverrideKind::Dial,
            delay_ms: 250,
            ended: true,
            running: true,
        }),
        Event::OverrideLifted(OverrideLifted {
            by: text(),
            reason: text(),
        }),
        Event::Approved(Approved {
            task: id(),
            idempotency_key: digest(4),
            contract,
            by: text(),
            reason: text(),
            until: at,
        }),
    ]
}

/// Events about the goal, with every field that they may have.
fn run_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    let spent = ImportedSpent {
        tokens: 1,
        usd_micros: 2,
        output_bytes: 3,
        runs_without_tokens: 4,
        runs_without_usd: 5,
    };
    let task = ImportedTask {
        task: id(),
        status: Status::Blocked,
        attempts: 3,
        reason: Some(text()),
    };
    let rule = ImportedRule {
        halt: Some(ImportedHalt {
            id: RequestId::new("0123456789abcdef0123456789abcdef").unwrap(),
            by: text(),
            reason: text(),
            at: Timestamp::from_millis(1),
        }),
        revoked: true,
        thawed: vec![text()],
        tampered: true,
        standing: None,
    };
    vec![
        driver_up(),
        Event::Imported(Imported {
            goal: text(),
            goal_sha256: digest(2),
            origin: Origin::Restart,
            log_kept_as: Some(text()),
            log_sha256: Some(digest(3)),
            tasks: vec![task],
            worker_runs: 1,
            wall_ms: 2,
            spent: Some(spent),
            rule: Some(rule),
        }),
        Event::GoalEdited(GoalEdited {
            before: digest(1),
            after: digest(2),
            budget_changed: true,
            retried: vec![id()],
            thawed: vec!["owner".into()],
        }),
        Event::TaskAdded(TaskAdded {
            task: id(),
            before: digest(1),
            after: digest(2),
        }),
        Event::Retried(Retried {
            task: id(),
            with: vec![id()],
        }),
        Event::Tampering(Tampering {
            what: text(),
            kept_as: Some(text()),
        }),
        Event::BudgetHalt(BudgetHalt {
            limit: text(),
            used: text(),
            max: text(),
            reason: text(),
        }),
        Event::GoalComplete(GoalComplete { done: 1, blocked: 2 }),
    ]
}

/// Events about alerts, with every field that they may have.
fn alert_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    vec![
        Event::AlertRaised(AlertRaised {
            id: alert_id(),
            kind: AlertKind::CommitDenied,
            dedup_key: text(),
            about: Some(id()),
            text: text(),
            sinks: vec!["webhook".into()],
        }),
        Event::AlertDelivered(AlertDelivered {
            id: alert_id(),
            sink: text(),
            tries: 4,
        }),
        Event::AlertResolved(AlertResolved {
            id: alert_id(),
            reason: text(),
        }),
    ]
}

/// Events about the work of an attempt, with every field that they may have.
fn work_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    let usage = Usage {
        tokens: Some(9),
        usd_micros: Some(8),
    };
    let mark = ProcessMark {
        pid: 9,
        pgid: 8,
        start_time: 7,
        boot_id: text(),
    };
    let exited = WorkerExited {
        class: WorkerClass::Killed,
        exit: Some(1),
        signal: Some(9),
        timed_out: true,
        usage,
        output: output(),
        wall_ms: 5,
        retry_after_ms: Some(6),
        detail: Some(text()),
    };
    let failed = VerifyFailed {
        verifier_id: actor(),
        reason: text(),
        exit: Some(2),
        signal: Some(3),
        timed_out: true,
        output: output(),
        tail: text(),
        wall_ms: 1,
        change: Some(change()),
        audit: Some(audit()),
    };
    let unavailable = VerifyUnavailable {
        verifier_id: actor(),
        reason: text(),
        tries: 2,
    };
    let requeue = Requeue {
        reason: text(),
        failed: 1,
        max_attempts: 3,
        not_before: Some(Timestamp::from_millis(5)),
    };
    let interrupted = Interrupted {
        by: Cut::Sigterm,
        stage: Stage::Verify,
        usage,
        output_bytes: 3,
        unlogged_wall_ms: 4,
    };
    vec![
        Event::Dispatch(attempt(), Dispatch { worker_id: actor() }),
        Event::WorkerStarted(attempt(), mark),
        Event::WorkerExited(attempt(), exited),
        Event::VerifyFailed(attempt(), failed),
        Event::VerifyUnavailable(attempt(), unavailable),
        Event::Requeue(attempt(), requeue),
        Event::Quarantine(
            attempt(),
            Quarantine {
                cause: Cause::CommitFailed,
                reason: text(),
            },
        ),
        Event::Proposed(attempt(), Proposed {}),
        Event::Interrupted(attempt(), interrupted),
    ]
}

/// Events about what was verified, with every field that they may have.
fn gate_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    let (code, reason, at_mutation) = (DenialCode::HeldBack, text(), true);
    vec![
        Event::Verified(
            attempt(),
            Verified {
                verifier_id: actor(),
                output: output(),
                wall_ms: 1,
                change: Some(change()),
                no_change: Some(text()),
                audit: Some(audit()),
            },
        ),
        Event::GateAllowed(
            attempt(),
            GateAllowed {
                change: change(),
                contract: digest(4),
                needs: 3,
                rollback_ref: Some(object('c', 40)),
                left_over: vec![id()],
                approved_by: Some(text()),
            },
        ),
        Event::GateDenied(
            attempt(),
            GateDenied {
                code,
                reason: reason.clone(),
                at_mutation,
            },
        ),
        Event::GateEscalated(
            attempt(),
            GateEscalated {
                code,
                reason: reason.clone(),
                at_mutation,
            },
        ),
        Event::CommitDenied(
            attempt(),
            CommitDenied {
                reason: reason.clone(),
            },
        ),
        Event::Commit(
            attempt(),
            Commit {
                commit: object('d', 40),
                tree: object('e', 40),
                parent: Some(object('f', 40)),
            },
        ),
        Event::CommitEmpty(
            attempt(),
            CommitEmpty {
                tree: object('0', 40),
            },
        ),
        Event::CommitFailed(
            attempt(),
            CommitFailed {
                reason,
                tries: 2,
                lasting: true,
            },
        ),
    ]
}

/// What is said of a record about what was found.
fn proof_events() -> Vec<Event> {
    let text = || TEXT.to_owned();
    vec![Event::RecordSigned(
        attempt(),
        RecordSigned {
            file: "t1.json".into(),
            sha256: digest(5),
            prior: Some(digest(6)),
            unsigned: Some(text()),
        },
    )]
}

fn all() -> Vec<Event> {
    [
        run_events(),
        rule_events(),
        alert_events(),
        work_events(),
        gate_events(),
        proof_events(),
    ]
    .concat()
}

/// Fields that a record of this event may lack. (`about` of an alert is bound to `scope_id`.)
const OPTIONAL: &[(&str, &[&str])] = &[
    (
        "driver_up",
        &[
            "gate",
            "repo",
            "sinks",
            "records",
            "sealed",
            "receipt",
            "survey",
            "accepts_tree",
        ],
    ),
    ("goal_edited", &["thawed"]),
    ("contract_ratified", &["signer", "transcript"]),
    ("override_effective", &["ended"]),
    ("imported", &["log_kept_as", "log_sha256", "spent", "rule"]),
    ("tampering", &["kept_as"]),
    ("worker_exited", &["exit", "signal", "retry_after_ms", "detail"]),
    ("verified", &["change", "no_change", "audit"]),
    ("verify_failed", &["exit", "signal", "change", "audit"]),
    ("record_signed", &["prior", "unsigned"]),
    ("requeue", &["not_before"]),
    ("gate_allowed", &["rollback_ref", "left_over", "approved_by"]),
    ("gate_denied", &["at_mutation"]),
    ("gate_escalated", &["at_mutation"]),
    ("commit", &["parent"]),
    ("commit_failed", &["lasting"]),
];

fn record(event: Event) -> Record {
    let head = Head {
        seq: 4,
        hash: digest(9),
    };
    Record::after(Some(head), Timestamp::from_millis(1_795_341_600_000), "d", event).unwrap()
}

fn fields(event: Event) -> Map<String, Value> {
    serde_json::from_str(&record(event).line().unwrap()).unwrap()
}

/// The line of these fields, with the hash that they have.
fn sealed(mut fields: Map<String, Value>) -> String {
    fields.shift_remove("hash");
    let hash = digest_of(&fields).unwrap().to_string();
    fields.insert("hash".into(), hash.into());
    serde_json::to_string(&fields).unwrap()
}

#[test]
fn every_event_comes_back_as_it_was() {
    let mut names: Vec<&str> = Vec::new();
    for event in all() {
        let record = record(event.clone());
        let line = record.line().unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        let read = Record::read(line.as_bytes()).unwrap();
        assert_eq!(read, record);
        assert_eq!((&read.event, read.line().unwrap()), (&event, line));
        names.push(event.name());
    }
    names.sort_unstable();
    let mut known = Event::NAMES.to_vec();
    known.sort_unstable();
    assert_eq!(names, known, "each event once");
}

#[test]
fn a_field_more_or_less_is_no_event() {
    for event in all() {
        let name = event.name();
        let complete = fields(event.clone());
        let mut more = complete.clone();
        more.insert("surplus".into(), Value::Null);
        assert!(Record::read(sealed(more).as_bytes()).is_err(), "{name}: surplus");
        let optional = OPTIONAL
            .iter()
            .find(|(of, _)| *of == name)
            .map_or(&[][..], |(_, all)| all);
        // A task that was never dispatched has no session.
        let may_lack =
            |field: &str| optional.contains(&field) || (field == "session" && event.attempt().is_some());
        for field in complete.keys().filter(|field| *field != "hash") {
            let mut less = complete.clone();
            less.shift_remove(field);
            let read = Record::read(sealed(less.clone()).as_bytes());
            assert_eq!(read.is_ok(), may_lack(field), "{name} without {field}: {read:?}");
            if let Ok(read) = read {
                assert_ne!(read.event, event, "{field} says something");
                assert_eq!(read.line().unwrap(), sealed(less), "what is absent stays absent");
            }
            let mut wrong = complete.clone();
            wrong.insert(field.clone(), json!([{"a": 1}]));
            assert!(Record::read(sealed(wrong).as_bytes()).is_err(), "{name}: {field}");
        }
        for field in optional {
            assert!(complete.contains_key(*field), "{name}: {field}");
        }
    }
}

/// The objects inside of events are closed too.
#[test]
fn a_change_has_its_own_fields_alone() {
    let check = |change: Value, ok: bool| {
        let mut complete = fields(gate_events().remove(0));
        complete.insert("change".into(), change.clone());
        assert_eq!(Record::read(sealed(complete).as_bytes()).is_ok(), ok, "{change}");
    };
    let whole = serde_json::to_value(change()).unwrap();
    check(whole.clone(), true);
    let with = |key: &str, value: Value| {
        let mut change = whole.clone();
        change[key] = value;
        change
    };
    check(with("surplus", json!(1)), false);
    for field in ["reference", "tree", "paths"] {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().shift_remove(field);
        check(less, false);
    }
    let mut unborn = whole.clone();
    unborn.as_object_mut().unwrap().shift_remove("parent");
    check(unborn, true);
    check(with("reference", json!("main")), false);
    check(with("tree", json!("HEAD")), false);
    check(with("parent", json!("A".repeat(40))), false);
    check(with("paths", json!(-1)), false);
}

/// What an older version left out is not written by this one either.
#[test]
fn what_says_nothing_is_not_written() {
    let mut up = run_events().remove(0);
    if let Event::DriverUp(up) = &mut up {
        (up.gate, up.repo) = (false, None);
        up.sinks.clear();
    }
    let written = fields(up);
    for field in ["gate", "repo", "sinks"] {
        assert!(!written.contains_key(field), "{field}");
    }
    let Event::GateDenied(attempt, mut denied) = gate_events().remove(2) else {
        unreachable!()
    };
    denied.at_mutation = false;
    assert!(!fields(Event::GateDenied(attempt, denied)).contains_key("at_mutation"));
}

#[test]
fn a_record_is_about_what_its_event_is_about() {
    for event in all() {
        let scope = fields(event.clone())["scope_id"].clone();
        let is_of_a_task = event.attempt().is_some()
            || matches!(
                event.name(),
                "task_added" | "retried" | "approved" | "alert_raised"
            );
        let expected = if is_of_a_task { "t-1" } else { "goal" };
        assert_eq!(scope, expected, "{}", event.name());
    }
    let Event::AlertRaised(mut raised) = alert_events().remove(0) else {
        unreachable!()
    };
    raised.about = None;
    assert_eq!(fields(Event::AlertRaised(raised))["scope_id"], "goal");
}

/// The words that the log and the sinks write.
#[test]
fn words_are_as_the_specification_has_them() {
    let kinds = [
        (AlertKind::Quarantine, "quarantine"),
        (AlertKind::BudgetHalt, "budget_halt"),
        (AlertKind::CommitDenied, "commit_denied"),
        (AlertKind::Tampering, "tampering"),
        (AlertKind::NotRatified, "not_ratified"),
    ];
    for (kind, word) in kinds {
        assert_eq!(
            (kind.word(), serde_json::to_value(kind).unwrap()),
            (word, json!(word))
        );
    }
    let codes = [
        (DenialCode::Tampered, "tampered", false),
        (DenialCode::NotAsked, "not_asked", false),
        (DenialCode::NoVerifier, "no_verifier", false),
        (DenialCode::NotVerified, "not_verified", false),
        (DenialCode::NoTree, "no_tree", false),
        (DenialCode::HeadMoved, "head_moved", false),
        (DenialCode::HeldBack, "held_back", false),
        (DenialCode::Ceiling, "ceiling", false),
        (DenialCode::Irreversible, "irreversible", false),
        (DenialCode::Budget, "budget", false),
        (DenialCode::NotRatified, "not_ratified", true),
        (DenialCode::Revoked, "revoked", true),
        (DenialCode::Expired, "expired", true),
    ];
    for (code, word, is_of_the_contract) in codes {
        assert_eq!(serde_json::to_value(code).unwrap(), json!(word));
        assert_eq!(code.is_of_the_contract(), is_of_the_contract, "{word}");
    }
    assert_eq!(
        serde_json::to_value(Cause::CommitFailed).unwrap(),
        json!("commit_failed")
    );
}

#[test]
fn an_alert_is_sent_as_an_object_of_its_own_fields() {
    let alert = Alert {
        id: alert_id(),
        kind: AlertKind::Quarantine,
        goal: "g".into(),
        task: Some(id()),
        text: TEXT.into(),
        at: Timestamp::from_millis(1_795_341_600_000),
    };
    let value = serde_json::to_value(&alert).unwrap();
    let expected = json!({
        "id": "0f".repeat(16), "kind": "quarantine", "goal": "g", "task": "t-1", "text": TEXT,
        "at": "2026-11-22T10:00:00.000Z",
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<Alert>(value.clone()).unwrap(), alert);
    let mut more = value;
    more["surplus"] = json!(1);
    assert!(serde_json::from_value::<Alert>(more).is_err());
    for bad in [
        "",
        "0F0F",
        &"0".repeat(31),
        &"0".repeat(33),
        &"g".repeat(32),
        &"A".repeat(32),
    ] {
        assert!(AlertId::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        format!("{} {:?}", alert.id, alert.id),
        format!("{0} \"{0}\"", "0f".repeat(16))
    );
}

/// A log that version 0.1.0 wrote: each of its lines reads, folds, and is written as it was.
#[test]
fn the_first_version_s_log_reads_and_is_written_byte_for_byte() {
    let log = include_str!("../../../tests/fixtures/v1/driver-log.jsonl");
    let mut head = None;
    let mut state = machine_driver_state::state::State::new();
    for line in log.lines() {
        let record = Record::read(line.as_bytes()).unwrap();
        record.check_follows(head).unwrap();
        let again = Record::after(head, record.at, &record.deployment_id, record.event.clone()).unwrap();
        assert_eq!(again.line().unwrap(), line);
        state.apply(&record).unwrap();
        head = Some(record.head());
    }
    assert_eq!(log.lines().count(), 80);
    assert!(!state.gate() && !state.tampered() && state.sinks().is_empty());
    assert!(state.outbox().is_empty() && state.outbox().due().is_none());
}

/// The rules of git-check-ref-format(1), one by one, and what this driver asks for besides.
fn is_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_plain = |c: char| !c.is_control() && !matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let has = |two: &[u8; 2]| bytes.windows(2).any(|pair| pair == two);
    if text == "HEAD" {
        return true;
    }
    let mut parts = text.split('/');
    parts.next() == Some("refs")
        && text.len() > "refs/".len()
        && text.len() <= 1024
        && text.chars().all(is_plain)
        && !(has(b"..") || has(b"@{") || has(b"//"))
        && !(text.ends_with('/') || text.ends_with('.'))
        && !text
            .split('/')
            .any(|part| part.starts_with('.') || part.ends_with(".lock"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_reference_is_what_git_takes_for_one(
        text in prop_oneof![
            "\\PC{0,12}",
            "(refs/)?([a-z.@{/~ -]|\\.lock|\\.\\.|heads/|ä|\\x7f|\n){0,6}",
            "HEAD.?",
            "refs/(heads|tags)/[a-zA-Z0-9/._-]{1,20}",
        ],
    ) {
        let read = RefName::new(&text);
        prop_assert_eq!(read.is_ok(), is_reference(&text), "{:?}", text);
        if let Ok(name) = read {
            prop_assert_eq!((name.as_str(), name.to_string()), (text.as_str(), text.clone()));
            let written = serde_json::to_value(&name).unwrap();
            prop_assert_eq!(serde_json::from_value::<RefName>(written).unwrap(), name);
        } else {
            prop_assert!(serde_json::from_value::<RefName>(json!(text)).is_err());
        }
    }

    #[test]
    fn an_object_is_hex_of_two_lengths(
        text in prop_oneof!["[0-9a-f]{40}", "[0-9a-f]{64}", "[0-9a-f]{38,42}", "[0-9a-g]{40}", "[0-9A-F]{40}", "\\PC{40}"],
    ) {
        let is_id = matches!(text.len(), 40 | 64)
            && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        let read = ObjectId::new(&text);
        prop_assert_eq!(read.is_ok(), is_id);
        if let Ok(id) = read {
            prop_assert_eq!((id.as_str(), id.short(), id.to_string()), (&text[..], &text[..12], text.clone()));
            let written = serde_json::to_value(&id).unwrap();
            prop_assert_eq!(&written, &json!(text));
            prop_assert_eq!(serde_json::from_value::<ObjectId>(written).unwrap(), id);
        } else {
            prop_assert!(serde_json::from_value::<ObjectId>(json!(text)).is_err());
        }
    }
}

#[test]
fn a_reference_has_1024_bytes_at_most() {
    let name = |length: usize| format!("refs/{}", "a".repeat(length - 5));
    assert!(RefName::new(&name(1024)).is_ok());
    let error = RefName::new(&name(1025)).unwrap_err().to_string();
    assert_eq!(error, "it has 1025 characters; at most 1024 are allowed");
}
