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

/// Puts another sink into goal.json.
fn set(place: &Place, sink: &Value) {
    let mut goal = place.json();
    goal["audit_sink"] = sink.clone();
    place.write(&goal);
}

#[test]
fn the_drivers_own_files_are_refused_by_every_name() {
    let place = place(&json!("audit.jsonl"));
    fs::create_dir_all(place.path("evidence/a")).unwrap();
    fs::create_dir_all(place.path("control")).unwrap();
    fs::create_dir_all(place.path("aar")).unwrap();
    fs::write(place.path("driver-log.jsonl"), "").unwrap();
    std::os::unix::fs::symlink(place.path("evidence"), place.path("link")).unwrap();
    std::os::unix::fs::symlink(place.path("."), place.path("here")).unwrap();
    fs::hard_link(place.path("driver-log.jsonl"), place.path("hard.jsonl")).unwrap();
    for sink in [
        "goal.json",
        "driver-log.jsonl",
        "driver-log.1.jsonl",
        "driver-log.sink",
        "goal.json.edited-x",
        ".goal.json.machine-driver.tmp",
        "evidence/x",
        "evidence/a/attempt-1.worker.log",
        "control/x.json",
        "aar/x",
        "link/x",
        "here/goal.json",
        "here/driver-log.2.jsonl",
        "hard.jsonl",
    ] {
        set(&place, &json!(sink));
        let says = ["audit_sink", "one of the driver's own files"];
        place.run(["run"]).exits(10).says(&says);
        place.run(["check"]).exits(10).says(&["sink", says[1]]);
        assert_eq!(place.text("driver-log.jsonl"), "", "{sink}");
    }
    // What only looks like one is none.
    set(&place, &json!("goal.jsonl"));
    place.run(["run"]).exits(3);
}

/// An operator's word does not fail because of a copy of it; a run does.
#[test]
fn an_override_does_not_wait_for_a_sink_that_is_gone() {
    let place = place(&json!("far/audit.jsonl"));
    fs::create_dir(place.path("far")).unwrap();
    place.run(["run"]).exits(3);
    fs::remove_dir_all(place.path("far")).unwrap();
    let says = ["audit_sink", "there is no folder"];
    place.run(["halt", "--reason", "x"]).exits(0).says(&says);
    place.run(["resume", "--reason", "x"]).exits(0).says(&says);
    place
        .run(["dial", "propose", "--reason", "x"])
        .exits(0)
        .says(&says);
    place.run(["run"]).exits(10).says(&says);
    fs::create_dir(place.path("far")).unwrap();
    place.run(["retry", "c"]).exits(0);
    let copied = place.text("far/audit.jsonl");
    for name in ["override_effective", "override_lifted", "dial_changed", "retried"] {
        assert!(copied.contains(&format!("\"{name}\"")), "{name}: {copied}");
    }
}

#[test]
fn commands_check_and_status_say_what_is_not_copied() {
    let place = place(&json!("audit.jsonl"));
    place.run(["run"]).exits(3);
    place.run(["check"]).says(&["has every governance record"]);
    let before = place.text("audit.jsonl");
    fs::remove_file(place.path("audit.jsonl")).unwrap();
    fs::create_dir(place.path("audit.jsonl")).unwrap();
    place
        .run(["retry", "c"])
        .exits(0)
        .says(&["audit_sink", "does not have", "is not a file"]);
    place
        .run(["status"])
        .exits(0)
        .says(&["audit_sink", "does not have"]);
    place.run(["check"]).exits(10).says(&["sink", "does not have"]);
    fs::remove_dir(place.path("audit.jsonl")).unwrap();
    fs::write(place.path("audit.jsonl"), before).unwrap();
    place
        .run(["status"])
        .exits(0)
        .says(&["does not have 1 governance record"]);
    place.run(["check"]).says(&["does not have 1 governance record"]);
    // Whatever takes hold of the log next sends it.
    place.run(["run"]).exits(3);
    assert_eq!(copied(&place), governance(&place));
    let status = place.run(["status"]).exits(0).out();
    assert!(!status.contains("audit_sink"), "{status}");
}

/// The numbers of a new chain are lower than those that the file has.
#[test]
fn a_new_chain_is_copied_from_its_first_record() {
    let place = place(&json!("audit.jsonl"));
    place.run(["run"]).exits(3);
    let before = copied(&place);
    place.run(["log", "restart"]).exits(0);
    place.run(["retry", "c"]).exits(0);
    place.run(["run"]).exits(3);
    let first = place.text("driver-log.jsonl").lines().next().unwrap().to_owned();
    assert!(first.contains("\"imported\""));
    assert_eq!(copied(&place), [before, vec![first], governance(&place)].concat());
}

/// A slow command gets the last record too, and one that failed gets what it missed, in order.
#[test]
fn a_command_gets_in_the_end_what_it_missed() {
    let place = place(&json!("audit.jsonl"));
    let script = "test -e \"$0.works\" && sleep 0.5 && cat >> \"$0\"";
    set(&place, &json!(["sh", "-c", script, place.path("audit.jsonl")]));
    place
        .run(["run"])
        .exits(3)
        .says(&["audit_sink", "does not have", "governance records"]);
    assert_eq!(place.text("audit.jsonl"), "");
    fs::write(place.path("audit.jsonl.works"), "").unwrap();
    place.run(["retry", "c"]).exits(0);
    assert_eq!(copied(&place), governance(&place));
    place.run(["run"]).exits(3);
    let status = place.run(["status"]).exits(0).out();
    assert!(!status.contains("audit_sink"), "{status}");
    assert_eq!(copied(&place), governance(&place));
    // Another command has got nothing yet.
    let other = json!(["sh", "-c", "cat >> \"$0\"", place.path("other.jsonl")]);
    set(&place, &other);
    place.run(["run"]).exits(3);
    let got: Vec<String> = place.text("other.jsonl").lines().map(str::to_owned).collect();
    assert_eq!(got, governance(&place));
}

#[test]
fn a_slow_command_gets_the_halt_that_ends_its_run() {
    let place = place(&json!("audit.jsonl"));
    let mut goal = place.json();
    goal["worker_cmd"] = json!("sleep 60");
    goal["audit_sink"] = json!(["sh", "-c", "sleep 3; cat >> \"$0\"", place.path("audit.jsonl")]);
    place.write(&goal);
    let run = place.start(["run"]);
    machine_driver_tests::wait_until("the worker", std::time::Duration::from_secs(30), || {
        place.history().count("worker_started") == 1
    });
    let began = std::time::Instant::now();
    let halted = place.run(["halt", "--reason", "x", "--json"]);
    let halted = halted.exits(0).json().pop().unwrap();
    // Long before a driver that does not answer would be ended: the locks wait for no copy.
    assert_eq!(halted["ended"], false, "{halted}");
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{halted}");
    run.wait(machine_driver_tests::TIME_MAX).exits(4);
    place.run(["resume", "--reason", "x"]).exits(0);
    machine_driver_tests::wait_until("the copies", std::time::Duration::from_secs(60), || {
        if !place.text("audit.jsonl").contains("override_lifted") {
            place.run(["dial", "commit", "--reason", "again"]).exits(0);
        }
        place.text("audit.jsonl").contains("override_lifted")
    });
    let copied = place.text("audit.jsonl");
    for name in ["override_requested", "override_effective", "override_lifted"] {
        assert!(copied.contains(&format!("\"{name}\"")), "{name}: {copied}");
    }
}
