//! Folders that somebody used before: the original driver's, and those of earlier versions of this one.

use std::fs;

use machine_driver_state::canonical::sha256;
use machine_driver_tests::{Place, Tree};
use serde_json::json;

#[test]
fn a_used_folder_of_the_original_goes_on() {
    let place = Place::of_fixture("original-used");
    let (log, before) = (
        fs::read(place.path("driver-log.jsonl")).unwrap(),
        place.text("goal.json"),
    );
    place.run(["check"]).exits(0);
    place.run(["status"]).exits(0).says(&["t3", "verify failed 3x"]);
    assert_eq!(
        (
            place.text("goal.json"),
            fs::read(place.path("driver-log.jsonl")).unwrap()
        ),
        (before, log.clone())
    );

    place.run(["run"]).exits(3).says(&[
        "driver up",
        "driver-log.original.jsonl",
        "GOAL COMPLETE — 6 tasks, 1 blocked/surfaced.",
    ]);
    assert_eq!(
        fs::read(place.path("driver-log.original.jsonl")).unwrap(),
        log,
        "the old log is kept as it was"
    );
    let history = place.history();
    let first = &history.0[0];
    assert_eq!(
        (&first["event"], &first["origin"]),
        (&json!("imported"), &json!("original"))
    );
    assert_eq!(
        (&first["log_kept_as"], &first["worker_runs"], &first["wall_ms"]),
        (&json!("driver-log.original.jsonl"), &json!(7), &json!(3_071_337))
    );
    assert_eq!(first["log_sha256"], sha256(&log).to_string());

    let worked: Vec<String> = place.text("repo/worked.txt").lines().map(str::to_owned).collect();
    assert_eq!(
        worked,
        [
            "Remove the old storage; it's \"dead\" code",
            "Describe the new storage in README.md",
            "Say so in the changelog"
        ]
    );
    assert_eq!(
        place.text("repo/words.txt"),
        "Remove\nDescribe\nSay\n",
        "doubled braces are the original's single ones"
    );
    let status = ["t1", "t2", "t3", "t4", "t5", "t6"].map(|task| place.status(task));
    assert_eq!(status, ["done", "done", "blocked", "done", "done", "done"]);
    assert_eq!(
        (place.of_task("t3", "reason"), place.of_task("t3", "attempts")),
        (json!("verify failed 3x"), json!(3))
    );
    assert_eq!(
        (place.of_task("t4", "attempts"), place.json()["runs"].clone()),
        (json!(2), json!(10))
    );
    place.holds();

    place.run(["run"]).exits(3);
    assert_eq!(place.history().count("dispatch"), 3, "nothing is done again");
    place.holds();
}

#[test]
fn operators_keys_and_their_order_survive() {
    let place = Place::of_fixture("original-used");
    let keys = |place: &Place| -> Vec<String> { place.json().as_object().unwrap().keys().cloned().collect() };
    let (before, contract) = (keys(&place), place.json()["contract"].clone());
    place.run(["run"]).exits(3);
    let after = keys(&place);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..], ["checkpoint"]);
    assert_eq!(place.json()["contract"], contract);
    assert!(
        place
            .text("goal.json")
            .contains("\"todo-api: sqlite \\u2014 storage\""),
        "an escape stays as it was written"
    );
}

#[test]
fn an_early_folder_with_aar_jsonl_goes_on() {
    let place = Place::of_fixture("original-early");
    let log = place.text("aar.jsonl");
    place.run(["run"]).exits(0);
    assert_eq!(place.text("repo/worked.txt"), "third\nfourth\n");
    assert_eq!(place.text("aar.jsonl"), log);
    let first = &place.history().0[0];
    assert_eq!(
        (&first["event"], &first["origin"]),
        (&json!("imported"), &json!("goal_json"))
    );
    assert_eq!(place.of_task("t3", "attempts"), 2);
    place.holds();
}

/// Written by 0.1.0 and frozen: every later version reads it.
#[test]
fn version_1_is_read() {
    let place = Place::of_fixture("v1");
    let before = Tree::of(place.folder());
    place.run(["log", "verify"]).exits(0);
    place.run(["replay"]).exits(0);
    place.run(["status"]).exits(0).says(&["never"]);
    place.run(["log", "show"]).exits(0);
    place
        .run(["log", "query", "--event", "quarantine"])
        .exits(0)
        .says(&["never"]);
    place.history().is_consistent();
    before.is_still(place.folder());
}

#[test]
fn version_1_goes_on() {
    let place = Place::of_fixture("v1");
    let before = place.text("driver-log.jsonl");
    place.run(["run"]).exits(3).says(&["GOAL COMPLETE"]);
    assert!(place.text("driver-log.jsonl").starts_with(&before));
    let dispatched = before.matches("\"event\":\"dispatch\"").count();
    assert_eq!(
        place.history().count("dispatch"),
        dispatched,
        "nothing is done again"
    );
    place.holds();
    place.run(["retry", "never"]).exits(0);
    place.run(["run"]).exits(3);
    assert!(place.history().count("dispatch") > dispatched);
    place.holds();
}
