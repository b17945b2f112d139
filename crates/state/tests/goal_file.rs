//! What is read from a goal.json, and what a rewrite leaves of it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::time::Duration;

use machine_driver_state::canonical::sha256;
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::file::{Checkpoint, GoalFile, Governance, Place, Progress, TaskProgress};
use machine_driver_state::goal::{Alerts, AuditSink, CommandLine, Mode, Status, Telegram, Webhook, schema};
use machine_driver_state::id::Digest;
use machine_driver_state::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const FULL: &str = include_str!("../../../tests/fixtures/goal/full.json");
const ORIGINAL: &str = include_str!("../../../tests/fixtures/original/goal.json");

fn place() -> Place<'static> {
    Place::unseen("goal.json".into(), "/goals".into(), Some("/home/me".into()))
}

#[track_caller]
fn parse(text: &str) -> GoalFile {
    GoalFile::parse(text.as_bytes(), &place()).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn moment(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse(text).unwrap())
}

#[test]
fn every_key_is_read() {
    let file = parse(FULL);
    let goal = file.goal();
    assert_eq!(goal.name, "every key");
    assert_eq!(goal.repo, Path::new("/goals/repo"));
    assert_eq!(
        goal.worker_cmd,
        CommandLine::Argv(vec!["agent".into(), "--task".into(), "{task}".into()])
    );
    assert_eq!(goal.verify_cmd, Some(CommandLine::Shell("cargo test".into())));
    assert_eq!(goal.mode, Mode::Commit);
    let contract = goal.contract.as_ref().unwrap();
    assert_eq!(
        (contract.autonomy_ceiling, contract.irreversible_min_trust),
        (Some(2), Some(3))
    );
    assert_eq!(contract.proposed_by.as_deref(), Some("ann"));
    assert_eq!(contract.ratified_by.as_deref(), Some("bob"));
    assert_eq!(contract.expires, moment("2027-01-01T00:00:00.500Z"));
    assert!(contract.revoked);
    assert_eq!(goal.budget.worker_runs_max, Some(10));
    assert_eq!(goal.budget.wall_max, Some(Duration::from_millis(3_600_500)));
    assert_eq!(goal.budget.tokens_max, Some(1_000_000));
    assert_eq!(goal.budget.usd_micros_max, Some(2_500_000));
    assert_eq!(goal.budget.output_bytes_max, Some(1_048_576));
    assert_eq!((goal.max_attempts, goal.tick), (5, Duration::ZERO));
    assert_eq!(
        (goal.worker_timeout, goal.worker_idle),
        (None, Some(Duration::from_secs(600)))
    );
    assert_eq!(goal.verify_timeout, Some(Duration::from_secs(90)));
    assert_eq!(goal.env_pass, ["TELEGRAM_*"]);
    assert_eq!(goal.deployment_id, "fleet-7");
    let [a, b, c] = goal.tasks.as_slice() else {
        panic!("{:?}", goal.tasks)
    };
    assert_eq!(
        (a.id.as_str(), a.goal.as_str(), a.reversible, a.after.as_slice()),
        ("a", "first", true, [].as_slice())
    );
    assert_eq!(a.idempotency_key, sha256(br#"["every key","a","first"]"#));
    assert_eq!((b.after.as_slice(), b.max_attempts), ([0].as_slice(), Some(1)));
    assert_eq!(b.worker_cmd, Some(CommandLine::Shell("other {task}".into())));
    assert_eq!(b.verify_cmd, Some(CommandLine::Shell("! npm test".into())));
    assert_eq!(b.worker_timeout, Some(Some(Duration::from_secs(60))));
    assert_eq!(
        (c.after.as_slice(), &c.verify_cmd, c.worker_timeout),
        ([1, 0].as_slice(), &None, Some(None))
    );
}

/// A goal whose `alerts` are these.
fn with_alerts(value: &str) -> GoalFile {
    parse(&format!(
        r#"{{"repo": "r", "worker_cmd": "w", "alerts": {value}, "tasks": [{{"id": "a", "goal": "x"}}]}}"#
    ))
}

#[test]
fn every_key_of_alerts_is_read() {
    let file = with_alerts(
        r#"{"telegram": {"chat_ids": [-1001234567890, 7, "@ops", "12"], "token_file": "~/bot token", "_note": 1},
            "webhook": {"url": "https://example.org/h?x=1", "secret_file": "keys/../secret"},
            "command": ["notify", "", "a b"], "x-more": []}"#,
    );
    let telegram = Telegram {
        chat_ids: ["-1001234567890", "7", "@ops", "12"].map(str::to_owned).to_vec(),
        token_file: Some("/home/me/bot token".into()),
    };
    let webhook = Webhook {
        url: "https://example.org/h?x=1".into(),
        secret_file: Some("/goals/keys/../secret".into()),
    };
    let alerts = Alerts {
        telegram: Some(telegram),
        webhook: Some(webhook),
        command: Some(["notify", "", "a b"].map(str::to_owned).to_vec()),
    };
    assert_eq!(file.goal().alerts, alerts);
    let absolute = with_alerts(r#"{"webhook": {"url": "http://h", "secret_file": "/etc/s"}}"#);
    let webhook = absolute.goal().alerts.webhook.clone().unwrap();
    assert_eq!(webhook.secret_file.as_deref(), Some(Path::new("/etc/s")));
    let most = with_alerts(r#"{"telegram": {"chat_ids": [9007199254740991, -9007199254740991, 1e3]}}"#);
    let telegram = most.goal().alerts.telegram.clone().unwrap();
    assert_eq!(
        telegram.chat_ids,
        ["9007199254740991", "-9007199254740991", "1000"]
    );
}

#[test]
fn alerts_that_say_nothing_are_none() {
    for nothing in [
        "null",
        "{}",
        r#"{"telegram": null, "webhook": null, "command": null}"#,
    ] {
        assert_eq!(with_alerts(nothing).goal().alerts, Alerts::default(), "{nothing}");
    }
    for empty in ["{}", r#"{"chat_ids": null, "token_file": null}"#] {
        let alerts = with_alerts(&format!(r#"{{"telegram": {empty}}}"#))
            .goal()
            .alerts
            .clone();
        assert_eq!(
            alerts.telegram,
            Some(Telegram::default()),
            "Telegram was asked for"
        );
    }
    let webhook = with_alerts(r#"{"webhook": {"url": "http://h", "secret_file": null}}"#);
    assert_eq!(webhook.goal().alerts.webhook.clone().unwrap().secret_file, None);
}

/// The file that `task add` reads again may be elsewhere by then, and so may home be.
#[test]
fn an_added_task_keeps_the_alerts_as_they_were_found() {
    let file = with_alerts(
        r#"{"telegram": {"chat_ids": [7], "token_file": "~/t"}, "webhook": {"url": "http://h", "secret_file": "s"},
            "command": ["c"]}"#,
    );
    let more = file.with_task(&json!({"id": "b", "goal": "y"})).unwrap();
    assert_eq!(more.goal().alerts, file.goal().alerts);
    assert_eq!(more.goal().tasks.len(), 2);
}

/// A document with one member set or, where the value is null, removed; `way` is a JSON pointer without its last key.
fn set(document: &Value, way: &str, key: &str, value: &Value) -> String {
    let mut document = document.clone();
    let object = document.pointer_mut(way).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        object.shift_remove(key);
    } else {
        object.insert(key.to_owned(), value.clone());
    }
    document.to_string()
}

/// What stands beside the contract: keys, by way and name, with another value.
fn beside_the_contract() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("", "mode", json!("propose")),
        ("", "mode", json!(null)),
        ("", "alerts", json!({"command": ["x"]})),
        ("/contract", "ratified_by", json!("eve")),
        ("/contract", "ratified_by", json!(null)),
        ("/contract", "revoked", json!(null)),
        (
            "/contract",
            "revoked",
            json!({"by": "x", "at": "2026-12-01T00:00:00Z"}),
        ),
        ("", "runs", json!(99)),
        ("", "wall_seconds_used", json!(5)),
        ("", "checkpoint", json!({"seq": 1, "hash": "ab".repeat(32)})),
        ("/tasks/0", "status", json!("blocked")),
        ("/tasks/0", "attempts", json!(9)),
        ("/tasks/1", "reason", json!("x")),
        ("", "$schema", json!(null)),
        ("", "_new", json!([1])),
        ("/contract", "x-ticket", json!(42)),
        ("/tasks/0", "x-points", json!(null)),
    ]
}

/// What is in the contract.
fn in_the_contract() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("", "goal", json!("other")),
        ("", "repo", json!("elsewhere")),
        ("", "worker_cmd", json!("w")),
        ("", "verify_cmd", json!("true")),
        ("", "verify_cmd", json!(null)),
        ("", "contract", json!(null)),
        ("", "budget", json!(null)),
        ("", "max_attempts", json!(4)),
        ("", "tick_seconds", json!(1)),
        ("", "worker_timeout_seconds", json!(7)),
        ("", "worker_idle_seconds", json!(601)),
        ("", "verify_timeout_seconds", json!(91)),
        ("", "isolation", json!(null)),
        ("", "env_pass", json!(["A"])),
        ("", "deployment_id", json!("other")),
        ("/contract", "definition_of_done", json!("it works")),
        ("/contract", "constraints", json!("some")),
        ("/contract", "owner", json!("you")),
        ("/contract", "verification_requirements", json!("some tests")),
        ("/contract", "acceptance_tests", json!(["a::c"])),
        ("/contract", "immutable", json!(null)),
        ("/contract", "autonomy_ceiling", json!(5)),
        ("/contract", "irreversible_min_trust", json!(1)),
        ("/contract", "proposed_by", json!("bob")),
        ("/contract", "expires", json!("2030-01-01T00:00:00Z")),
        ("/budget", "max_worker_runs", json!(11)),
        ("/budget", "max_wall_seconds", json!(1)),
        ("/budget", "max_tokens", json!(1)),
        ("/budget", "max_usd", json!(1)),
        ("/budget", "max_output_bytes", json!(1)),
        ("/tasks/0", "goal", json!("f")),
        ("/tasks/0", "reversible", json!(false)),
        ("/tasks/1", "after", json!(["a"])),
        ("/tasks/1", "worker_cmd", json!(null)),
        ("/tasks/1", "verify_cmd", json!("true")),
        ("/tasks/1", "max_attempts", json!(2)),
        ("/tasks/1", "worker_timeout_seconds", json!(61)),
    ]
}

#[test]
fn the_contract_is_everything_but_who_agrees_and_who_is_told() {
    let full: Value = serde_json::from_str(FULL).unwrap();
    let contract = |text: &str| parse(text).goal().contract_digest;
    let (ratified, whole) = (contract(FULL), parse(FULL).goal().digest);
    assert_ne!(ratified, whole);
    for (way, key, value) in beside_the_contract() {
        let changed = set(&full, way, key, &value);
        assert_eq!(contract(&changed), ratified, "{way}/{key}: {value}");
    }
    let mut seen = vec![ratified];
    for (way, key, value) in in_the_contract() {
        let digest = contract(&set(&full, way, key, &value));
        assert!(!seen.contains(&digest), "{way}/{key}: {value}");
        seen.push(digest);
    }
    let swapped = FULL.replace(
        "\"proposed_by\": \"ann\", \"ratified_by\": \"bob\"",
        "\"ratified_by\": \"b\", \"proposed_by\": \"ann\"",
    );
    assert_ne!(swapped, FULL);
    assert_eq!(contract(&swapped), ratified, "the order of keys says nothing");
}

/// The same key elsewhere is not beside the contract.
#[test]
fn only_the_contracts_own_keys_are_beside_it() {
    let text = |mode: &str| {
        format!(
            r#"{{"repo": "r", "worker_cmd": ["mode", "{mode}"], "tasks": [{{"id": "a", "goal": "{mode}"}}]}}"#
        )
    };
    assert_ne!(
        parse(&text("commit")).goal().contract_digest,
        parse(&text("propose")).goal().contract_digest
    );
    let plain = parse(r#"{"repo": "r", "worker_cmd": "w", "tasks": [{"id": "a", "goal": "x"}]}"#);
    assert_eq!(plain.goal().contract_digest, plain.goal().digest);
}

const RULES: &str = r#"{
    "repo": "r", "worker_cmd": "w", "verify_cmd": "v", "audit_sink": "../audit.jsonl",
    "contract": {
        "scope": ["src/**", "docs/"], "immutable": ["owner", "path:tests/**", "acceptance_tests", "path:Makefile"],
        "owner": "me", "require_receipt": true, "proposed_by": "ann", "ratified_by": "bob",
        "receipt": {
            "kind": "machine-driver-receipt-1", "digest": "0000000000000000000000000000000000000000000000000000000000000000",
            "by": "bob", "at": "2026-11-22T10:00:00.000Z", "signer": "did:web:bob.example",
            "transcript_sha256": "1111111111111111111111111111111111111111111111111111111111111111",
            "signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        }
    },
    "tasks": [{ "id": "a", "goal": "x", "scope": ["src/a"], "immutable": ["path:src/b"] }]
}"#;

#[test]
fn rules_about_paths_receipts_and_sinks_are_read() {
    let file = parse(RULES);
    let goal = file.goal();
    let globs = |globs: &[PathGlob]| globs.iter().map(ToString::to_string).collect::<Vec<String>>();
    let contract = goal.contract.as_ref().unwrap();
    assert_eq!(globs(contract.scope.as_deref().unwrap()), ["src/**", "docs/"]);
    assert_eq!(globs(&contract.immutable), ["tests/**", "Makefile"]);
    assert_eq!(contract.frozen, ["owner", "acceptance_tests"]);
    assert_eq!(contract.fields["owner"], sha256(b"\"me\""));
    assert!(contract.require_receipt && !contract.fields.contains_key("acceptance_tests"));
    let receipt = contract.receipt.as_ref().unwrap();
    assert_eq!(
        (receipt.by.as_str(), receipt.signer.as_str()),
        ("bob", "did:web:bob.example")
    );
    assert_eq!(
        receipt.transcript_sha256,
        Some(Digest::new(&"1".repeat(64)).unwrap())
    );
    // Written again it is what was read.
    let document: Value = serde_json::from_str(RULES).unwrap();
    assert_eq!(json!(receipt), document["contract"]["receipt"]);
    assert_eq!(
        goal.audit_sink,
        Some(AuditSink::File("/goals/../audit.jsonl".into()))
    );
    assert_eq!(globs(goal.tasks[0].scope.as_deref().unwrap()), ["src/a"]);
    assert_eq!(globs(&goal.tasks[0].immutable), ["src/b"]);
    let command = parse(&RULES.replace("\"../audit.jsonl\"", "[\"logger\", \"-t\"]"));
    let expected = AuditSink::Command(vec!["logger".into(), "-t".into()]);
    assert_eq!(command.goal().audit_sink, Some(expected));
}

/// What limits the worker is ratified; who has ratified is not.
#[test]
fn a_receipt_is_beside_the_contract_and_rules_are_in_it() {
    let full: Value = serde_json::from_str(RULES).unwrap();
    let contract = |text: &str| parse(text).goal().contract_digest;
    let ratified = contract(RULES);
    for (way, key, value) in [
        ("/contract", "receipt", json!(null)),
        ("/contract", "ratified_by", json!("eve")),
    ] {
        assert_eq!(contract(&set(&full, way, key, &value)), ratified, "{key}");
    }
    for (way, key, value) in [
        ("", "audit_sink", json!(null)),
        ("/contract", "scope", json!(null)),
        ("/contract", "scope", json!(["src/**"])),
        (
            "/contract",
            "immutable",
            json!(["owner", "acceptance_tests", "path:Makefile"]),
        ),
        ("/contract", "require_receipt", json!(false)),
        ("/tasks/0", "scope", json!(null)),
        ("/tasks/0", "immutable", json!(null)),
    ] {
        assert_ne!(
            contract(&set(&full, way, key, &value)),
            ratified,
            "{key}: {value}"
        );
    }
}

/// A command sets its members and leaves every other byte as it was.
#[test]
fn governance_is_written_in_place() {
    let file = parse(RULES);
    let settings = Governance {
        mode: Some(Mode::Commit),
        ratified_by: Some(Some(json!("carl"))),
        receipt: Some(None),
        revoked: Some(Some(
            json!({"by": "ann", "at": "2026-12-01T00:00:00Z", "reason": "no"}),
        )),
    };
    let changed = file.with_governance(&settings).unwrap();
    let mut expected: Value = serde_json::from_str(RULES).unwrap();
    expected["mode"] = json!("commit");
    expected["contract"]["ratified_by"] = json!("carl");
    expected["contract"].as_object_mut().unwrap().remove("receipt");
    expected["contract"]["revoked"] = json!({"by": "ann", "at": "2026-12-01T00:00:00Z", "reason": "no"});
    let found: Value = serde_json::from_str(changed.source()).unwrap();
    assert_eq!(found, expected);
    assert_eq!(changed.goal().contract_digest, file.goal().contract_digest);
    for line in RULES
        .lines()
        .filter(|line| line.contains("scope") || line.contains("audit_sink"))
    {
        assert!(changed.source().contains(line), "{line}");
    }
    // From the snapshot that a killed command has left, the same comes about.
    let snapshot: Value = serde_json::from_slice(&changed.snapshot()).unwrap();
    let finished = file.with_governance_of(&snapshot).unwrap();
    assert_eq!(finished.goal().digest, changed.goal().digest);
    let back = finished
        .with_governance_of(&serde_json::from_slice(&file.snapshot()).unwrap())
        .unwrap();
    assert_eq!(back.goal().contract.as_ref().map(|c| c.revoked), Some(false));
    let none = parse(r#"{"repo": "r", "worker_cmd": "w", "tasks": [{"id": "a", "goal": "x"}]}"#);
    let refused = none.with_governance(&settings).unwrap_err();
    assert_eq!(refused.path(), "contract");
}

#[test]
fn what_is_absent_has_its_default() {
    let goal =
        parse(r#"{"repo": "r", "worker_cmd": "w", "verify_cmd": " ", "tasks": [{"id": "a", "goal": "x"}]}"#);
    let goal = goal.goal();
    assert_eq!(
        (goal.name.as_str(), goal.mode, &goal.verify_cmd),
        ("goal", Mode::Propose, &None)
    );
    assert_eq!((goal.max_attempts, goal.tick), (3, Duration::from_secs(1)));
    assert_eq!(goal.worker_timeout, Some(Duration::from_secs(7200)));
    assert_eq!(goal.verify_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((goal.worker_idle, &goal.contract), (None, &None));
    assert_eq!(goal.deployment_id, &sha256(br#"["","goal"]"#).to_string()[..32]);
    assert!(!goal.tasks[0].reversible);
}

#[test]
fn a_file_of_the_original_is_read_with_its_progress() {
    let file = parse(ORIGINAL);
    assert_eq!(file.goal().repo, Path::new("/home/me/work/todo-api"));
    let progress = file.progress();
    let all: Vec<(Status, u64)> = progress
        .tasks
        .iter()
        .map(|task| (task.status, task.attempts))
        .collect();
    assert_eq!(
        all,
        [
            (Status::Done, 1),
            (Status::Done, 2),
            (Status::Blocked, 3),
            (Status::Running, 1),
            (Status::Pending, 0)
        ]
    );
    assert_eq!(progress.tasks[0].started, moment("2026-06-14T09:12:44.318Z"));
    assert_eq!(progress.tasks[1].done, moment("2026-06-14T09:31:06.019Z"));
    assert_eq!(progress.tasks[3].started, moment("2026-06-14T10:03:37.000Z"));
    assert_eq!(progress.tasks[2].reason.as_deref(), Some("verify failed 3x"));
    assert_eq!(
        (progress.runs, progress.wall_used),
        (7, Duration::from_millis(3_071_337))
    );
    assert_eq!((progress.last_success_at, progress.checkpoint), (None, None));
}

#[test]
fn a_snapshot_is_the_goal_without_progress_and_notes() {
    for text in [FULL, ORIGINAL] {
        let file = parse(text);
        let snapshot = file.snapshot();
        assert_eq!(sha256(&snapshot), file.goal().digest);
        let again = GoalFile::parse(&snapshot, &place()).unwrap();
        assert_eq!(again.goal(), file.goal());
        assert_eq!(again.snapshot(), snapshot);
    }
    let snapshot = String::from_utf8(parse(FULL).snapshot()).unwrap();
    assert_eq!(
        snapshot,
        include_str!("../../../tests/fixtures/goal/full.snapshot.json")
    );
}

#[test]
fn a_note_is_no_part_of_the_goal_and_a_setting_is() {
    let digest = |text: &str| parse(text).goal().digest;
    let noted = FULL
        .replace("\"x-points\": 3, ", "")
        .replace("\"_note\": 1", "\"_note\": 2");
    assert_ne!(noted, FULL);
    assert_eq!(digest(&noted), digest(FULL));
    for (old, new) in [
        ("\"goal\": \"first\"", "\"goal\": \"other\""),
        ("\"commit\",", "\"propose\","),
        ("[\"b\", \"a\"]", "[\"b\"]"),
    ] {
        let changed = FULL.replacen(old, new, 1);
        assert_ne!(digest(&changed), digest(FULL), "{old}");
    }
}

fn some_progress() -> Progress {
    let hash = Digest::new(&"0123456789abcdef".repeat(4)).unwrap();
    let done = TaskProgress {
        status: Status::Done,
        attempts: 2,
        started: moment("2026-11-22T10:00:00.000Z"),
        done: moment("2026-11-22T10:05:00.123Z"),
        commit: Some("c0ffee".into()),
        ..TaskProgress::default()
    };
    let blocked = TaskProgress {
        status: Status::Blocked,
        attempts: 1,
        reason: Some("it \"never\" passed".into()),
        verify_tail: Some("line\n\u{1b}[0m\0".into()),
        ..TaskProgress::default()
    };
    Progress {
        tasks: vec![TaskProgress::default(), done, blocked],
        runs: 3,
        wall_used: Duration::from_millis(12_345),
        last_success_at: moment("2026-11-22T10:05:00.123Z"),
        checkpoint: Some(Checkpoint { seq: 12, hash }),
    }
}

/// What the operator wrote is there byte for byte: the layout of each task, odd numbers, escapes, notes.
#[test]
fn a_rewrite_changes_progress_alone() {
    let expected = include_str!("../../../tests/fixtures/goal/full.after.json");
    assert_eq!(parse(FULL).render(&some_progress()), expected);
}

#[test]
fn a_rewrite_with_the_same_progress_changes_nothing() {
    for text in [FULL, ORIGINAL] {
        let file = parse(text);
        let once = file.render(file.progress());
        assert_eq!(parse(&once).render(file.progress()), once);
        assert_eq!(parse(&once).progress(), file.progress());
    }
    assert_eq!(parse(FULL).render(parse(FULL).progress()), FULL);
}

#[test]
fn a_rewrite_keeps_every_style() {
    for (text, expected) in [
        (
            r#"{"repo":"r","worker_cmd":"w","tasks":[{"id":"a","goal":"x"}]}"#,
            "{\"repo\":\"r\",\"worker_cmd\":\"w\",\"tasks\":[{\"id\":\"a\",\"goal\":\"x\",\"status\":\"running\",\
             \"attempts\":1}],\"runs\":1}\n",
        ),
        ("{ \"status\": 0, \"_status\": 0 }", ""),
        (
            "{\"runs\" :9 ,\"repo\": \"r\"\n, \"worker_cmd\": \"w\"\n, \"tasks\": [ {\"done\": \"2020-01-01\", \"id\": \"a\"\n, \
             \"goal\": \"x\", \"reason\": null } ]\r\n}\n\n",
            "{\"runs\" :1 ,\"repo\": \"r\"\n, \"worker_cmd\": \"w\"\n, \"tasks\": [ { \"id\": \"a\"\n, \
             \"goal\": \"x\", \"status\": \"running\", \"attempts\": 1 } ]\r\n}\n\n",
        ),
    ] {
        if expected.is_empty() {
            assert!(GoalFile::parse(text.as_bytes(), &place()).is_err());
            continue;
        }
        let task = TaskProgress {
            status: Status::Running,
            attempts: 1,
            ..TaskProgress::default()
        };
        let progress = Progress {
            tasks: vec![task],
            runs: 1,
            ..Progress::default()
        };
        assert_eq!(parse(text).render(&progress), expected);
    }
}

#[test]
fn a_task_is_added_in_the_style_of_the_last_one() {
    let task = json!({"id": "n", "goal": "new \"one\"", "after": ["a"]});
    let one_line = r#"{"repo": "r", "worker_cmd": "w", "tasks": [{"id": "a", "goal": "x"}]}"#;
    let added = parse(one_line).with_task(&task).unwrap();
    assert_eq!(
        added.source(),
        r#"{"repo": "r", "worker_cmd": "w", "tasks": [{"id": "a", "goal": "x"}, {"id": "n", "goal": "new \"one\"", "after": ["a"]}]}"#
    );
    let added = parse(FULL).with_task(&task).unwrap();
    let (before, after) = FULL.split_once("\n        }\n    ],\n    \"runs\"").unwrap();
    assert_eq!(
        added.source(),
        format!(
            "{before}\n        }},\n        {{\n          \"id\": \"n\",\n          \"goal\": \"new \\\"one\\\"\",\n          \
             \"after\": [\n            \"a\"\n          ]\n        }}\n    ],\n    \"runs\"{after}"
        )
    );
    assert_eq!(added.goal().tasks.len(), 4);
    assert_eq!(added.goal().tasks[3].after, [0]);
    assert_eq!(added.goal().repo, parse(FULL).goal().repo);
    assert_eq!(added.progress().tasks[0].status, Status::Done);
    assert_ne!(added.goal().digest, parse(FULL).goal().digest);
}

#[test]
fn an_added_task_is_checked_like_the_others() {
    let file = parse(r#"{"repo": "r", "worker_cmd": "w", "tasks": [{"id": "a", "goal": "x"}]}"#);
    let told = |task: Value| file.with_task(&task).unwrap_err().to_string();
    assert_eq!(
        told(json!({"id": "a", "goal": "y"})),
        "goal.json:1:77: tasks[1].id: the id `a` is that of tasks[0] already"
    );
    assert_eq!(
        told(json!(5)),
        "goal.json:1:70: tasks[1]: expected an object, found a number"
    );
    assert_eq!(
        told(json!({"id": "b"})),
        "goal.json:1:70: tasks[1]: the key `goal` is missing"
    );
}

/// `UPDATE_SCHEMA=1 cargo test -p machine-driver-state --test goal_file` writes the file anew.
#[test]
fn the_schema_in_the_repository_is_that_of_this_version() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/goal.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == schema(),
        "schemas/goal.schema.json is not the schema of this version; write it anew with \
         `UPDATE_SCHEMA=1 cargo test -p machine-driver-state --test goal_file`"
    );
}

/// The schema allows the keys of a file that is accepted, at each level, and requires none that it lacks.
#[test]
fn the_schema_has_the_keys_of_the_accepted_files() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let alerts = with_alerts(
        r#"{"telegram": {"chat_ids": [1], "token_file": "t"}, "webhook": {"url": "http://h", "secret_file": "s"},
            "command": ["c"]}"#,
    );
    for text in [FULL, ORIGINAL, alerts.source()] {
        check_keys(&serde_json::from_str(text).unwrap(), &schema, "goal.json");
    }
}

fn check_keys(value: &Value, schema: &Value, name: &str) {
    let schema = schema.get("anyOf").and_then(|all| all.get(0)).unwrap_or(schema);
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        items.iter().for_each(|item| check_keys(item, schema, name));
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema.get("properties")) else {
        return;
    };
    for required in schema["required"].as_array().unwrap() {
        assert!(
            object.contains_key(required.as_str().unwrap()),
            "{name}: {required} is required"
        );
    }
    for (key, value) in object
        .iter()
        .filter(|(key, _)| !key.starts_with(['_', '$']) && !key.starts_with("x-"))
    {
        check_keys(
            value,
            properties
                .get(key)
                .unwrap_or_else(|| panic!("{name}: no `{key}`")),
            key,
        );
    }
}

prop_compose! {
    fn any_task()(
        status in prop_oneof![Just(Status::Pending), Just(Status::Running), Just(Status::Done), Just(Status::Blocked)],
        attempts in 0_u64..1 << 53,
        started in any_moment(), done in any_moment(),
        reason in any::<Option<String>>(), verify_tail in any::<Option<String>>(), commit in any::<Option<String>>(),
    ) -> TaskProgress {
        TaskProgress { status, attempts, started, done, reason, verify_tail, commit }
    }
}

fn any_moment() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((-62_135_596_800_000_i64..253_402_207_200_999).prop_map(Timestamp::from_millis))
}

prop_compose! {
    fn any_progress(tasks: usize)(
        tasks in proptest::collection::vec(any_task(), tasks),
        runs in 0_u64..1 << 53, wall in 0_u64..1 << 50, last_success_at in any_moment(),
        checkpoint in proptest::option::of((0_u64..1 << 53, any::<[u8; 32]>())),
    ) -> Progress {
        let checkpoint = checkpoint.map(|(seq, hash)| Checkpoint { seq, hash: Digest::from_bytes(hash) });
        Progress { tasks, runs, wall_used: Duration::from_millis(wall), last_success_at, checkpoint }
    }
}

/// The document without progress, keys in their order, as text: what a rewrite must leave.
fn left(text: &str) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap();
    let remove = |value: &mut Value, keys: &[&str]| {
        value
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !keys.contains(&key.as_str()));
    };
    remove(
        &mut document,
        &["runs", "wall_seconds_used", "last_success_at", "checkpoint"],
    );
    for task in document["tasks"].as_array_mut().unwrap() {
        remove(
            task,
            &[
                "status",
                "attempts",
                "started",
                "done",
                "reason",
                "verify_tail",
                "commit",
            ],
        );
    }
    document.to_string()
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = GoalFile::parse(&bytes, &place());
    }

    /// A cut, a byte replaced, a piece of the file put somewhere else.
    #[test]
    fn no_damage_makes_the_reader_panic(
        full in any::<bool>(), cut in 0_usize..4000, at in 0_usize..4000, byte in any::<u8>(), from in 0_usize..4000, length in 0_usize..60,
    ) {
        let mut bytes = if full { FULL } else { ORIGINAL }.as_bytes().to_vec();
        let piece: Vec<u8> = bytes.iter().skip(from).take(length).copied().collect();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.splice(at..at, piece);
        bytes.truncate(cut);
        if let Err(error) = GoalFile::parse(&bytes, &place()) {
            let _ = error.to_string();
            for problem in error.problems() {
                prop_assert!(error.text().get(problem.span()).is_some(), "{problem:?}");
            }
        }
    }

    /// Pieces of a goal.json in any arrangement, so that much of it is valid JSON.
    #[test]
    fn no_wrong_value_makes_the_reader_panic(key in 0_usize..60, value in "\\PC{0,4}|-?[0-9]{1,3}(\\.5|e[0-9]{1,3})?|null|true|\\[\\]|\\{\\}|\"\\PC{0,6}\"") {
        let mut members: Vec<(usize, usize)> = Vec::new();
        for (colon, _) in FULL.match_indices("\": ") {
            members.push((colon + 3, FULL[colon + 3..].find([',', '\n']).map_or(FULL.len(), |end| colon + 3 + end)));
        }
        let (from, to) = members[key % members.len()];
        let text = format!("{}{value}{}", &FULL[..from], &FULL[to..]);
        let _ = GoalFile::parse(text.as_bytes(), &place());
    }

    #[test]
    fn progress_survives_a_rewrite_and_nothing_else_changes(
        (text, progress) in prop_oneof![
            any_progress(3).prop_map(|progress| (FULL, progress)),
            any_progress(5).prop_map(|progress| (ORIGINAL, progress)),
        ]
    ) {
        let file = parse(text);
        let rendered = file.render(&progress);
        let again = parse(&rendered);
        prop_assert_eq!(again.progress(), &progress);
        prop_assert_eq!(again.goal(), file.goal());
        prop_assert_eq!(left(&rendered), left(text));
        prop_assert_eq!(again.render(&progress), rendered);
    }
}

#[test]
fn who_vouches_is_read_with_paths_from_the_goals_folder() {
    let read = |members: &str| {
        let text = format!(
            r#"{{"repo": "/r", "worker_cmd": "w", "tasks": [{{"id": "a", "goal": "x"}}], {members}}}"#
        );
        let place = Place::unseen("/w/goal.json".into(), "/w".into(), Some("/home/u".into()));
        GoalFile::parse(text.as_bytes(), &place).unwrap()
    };
    let dids = r#""principal": "did:web:a", "subject": "did:web:a:w""#;
    let file = read(&format!(
        r#""aar_priv": "keys/k.jwk", "aar_tool": "~/aar.mjs", {dids}"#
    ));
    let attest = file.goal().attest.clone().unwrap();
    assert_eq!(attest.key.as_deref(), Some(Path::new("/w/keys/k.jwk")));
    assert_eq!(attest.tool.as_deref(), Some(Path::new("/home/u/aar.mjs")));
    assert_eq!(attest.verifier.as_str(), "did:web:a:verifier");
    // A task that is added keeps them; the principal is part of which deployment it is.
    let task = serde_json::json!({ "id": "b", "goal": "y" });
    assert_eq!(file.with_task(&task).unwrap().goal().attest, Some(attest));
    assert_ne!(
        file.goal().deployment_id,
        read(r#""mode": "propose""#).goal().deployment_id
    );
    // Without a key nobody signs; without who signs, or about whom, there is nobody.
    assert_eq!(read(dids).goal().attest.as_ref().unwrap().key, None);
    assert_eq!(
        read(r#""aar_priv": "k", "principal": "did:web:a""#).goal().attest,
        None
    );
}
