//! `audit_sink`: copies of governance records, outside of what a halt stops.

use std::fs;

use machine_driver_tests::Place;
use serde_json::{Value, json};

fn place(sink: &Value) -> Place {
    let place = Place::new(&json!({
        "mode": "commit", "audit_sink": sink,
        "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo x > $MACHINE_TASK_ID", "verify_cmd": "test $MACHINE_TASK_ID != c", "max_attempts": 1,
        "tasks": [
            { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "x" }, { "id": "c", "goal": "x" },
        ],
    }));
    place.init_git();
    place
}

/// The governance records of the log, as the log has them.
fn governance(place: &Place) -> Vec<String> {
    let names = [
        "gate_allowed",
        "gate_denied",
        "gate_escalated",
        "commit",
        "retried",
        "tampering",
        "goal_edited",
    ];
    let is_one = |line: &&str| {
        let record: Value = serde_json::from_str(line).unwrap();
        names.iter().any(|name| record["event"] == *name)
    };
    let log = place.text("driver-log.jsonl");
    log.lines().filter(is_one).map(str::to_owned).collect()
}

fn copied(place: &Place) -> Vec<String> {
    place.text("audit.jsonl").lines().map(str::to_owned).collect()
}

#[test]
fn every_governance_record_is_copied_once_and_in_order() {
    let place = place(&json!("audit.jsonl"));
    place.run(["run"]).exits(3);
    let all = governance(&place);
    assert!(all.len() >= 3, "{all:?}");
    assert_eq!(copied(&place), all);
    // What a command records is copied too.
    place.run(["retry", "c"]).exits(0);
    place.run(["run"]).exits(3);
    assert_eq!(copied(&place), governance(&place));
    assert!(copied(&place).iter().any(|line| line.contains("\"retried\"")));
}

#[test]
fn what_is_missing_comes_first_at_the_next_record() {
    let place = place(&json!("audit.jsonl"));
    place.run(["run"]).exits(3);
    let text = place.text("audit.jsonl");
    // As a crash in the middle of a line leaves it.
    fs::write(place.path("audit.jsonl"), &text[..text.len() - 20]).unwrap();
    place.run(["retry", "c"]).exits(0);
    let whole: Vec<String> = copied(&place)
        .into_iter()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok())
        .collect();
    assert_eq!(whole, governance(&place));
    fs::remove_file(place.path("audit.jsonl")).unwrap();
    place.run(["run"]).exits(3);
    place.run(["retry", "c"]).exits(0);
    assert_eq!(copied(&place), governance(&place));
}

#[test]
fn a_command_gets_each_record_as_a_line() {
    let place = place(&json!(["sh", "-c", "cat >> \"$0\"", "PATH"]));
    let goal = place.json();
    let sink = json!(["sh", "-c", "cat >> \"$0\"", place.path("audit.jsonl")]);
    let mut goal = goal.as_object().unwrap().clone();
    goal.insert("audit_sink".into(), sink);
    place.write(&Value::Object(goal));
    place.run(["run"]).exits(3);
    assert_eq!(copied(&place), governance(&place));
}

#[test]
fn one_that_fails_is_told_and_stops_nothing() {
    let place = place(&json!(["false"]));
    place.run(["run"]).exits(3).says(&["audit_sink"]);
    place.holds();
    // A folder in its place.
    let place = self::place(&json!("sink/audit.jsonl"));
    fs::create_dir(place.path("sink")).unwrap();
    fs::create_dir(place.path("sink/audit.jsonl")).unwrap();
    place
        .run(["run"])
        .exits(10)
        .says(&["audit_sink", "is not a file"]);
}

#[test]
fn one_that_a_worker_can_reach_is_refused() {
    for (sink, says) in [
        (json!("repo/audit.jsonl"), "lies in the folder that is worked on"),
        (json!("nowhere/audit.jsonl"), "there is no folder"),
        (json!(["no-such-program-here"]), "there is no program"),
        (json!([]), "the command is empty"),
    ] {
        let place = place(&sink);
        place.run(["run"]).exits(10).says(&[says]);
    }
}
