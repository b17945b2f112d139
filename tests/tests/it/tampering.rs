//! What nobody but the driver may change: seen, told to a person, and nothing is committed after it.

use std::fs;

use machine_driver_tests::Place;
use serde_json::{Value, json};

/// A run in commit mode whose first worker (or verifier) does `evil`, with a second task behind it, and a command that
/// keeps every alert.
fn place(worker: &str, verifier: &str) -> Place {
    let place = Place::new(&goal(worker, verifier));
    place.init_git();
    place
}

fn goal(worker: &str, verifier: &str) -> Value {
    json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": format!("echo x > $MACHINE_TASK_ID; if test $MACHINE_TASK_ID = a; then {worker}; fi"),
        "verify_cmd": format!("test -e $MACHINE_TASK_ID && if test $MACHINE_TASK_ID = a; then {verifier}; fi"),
        "alerts": { "command": ["sh", "-c", "cat >> ../alerts.txt || cat >> alerts.txt"] },
        "max_attempts": 1,
        "tasks": [{ "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true }],
    })
}

fn alerts(place: &Place) -> String {
    ["alerts.txt", "repo/alerts.txt", "../alerts.txt"]
        .map(|name| place.text(name))
        .concat()
}

/// Both tasks end as proposals, and a person was told why.
#[track_caller]
fn is_seen(place: &Place, what: &str) {
    let ended = place.run(["run"]);
    ended.exits(0).says(&["TAMPERING", what]);
    assert_eq!(place.commits(), [""; 0], "{what}");
    let history = place.history();
    assert_eq!(
        (history.count("commit"), history.count("proposed")),
        (0, 2),
        "{what}"
    );
    let mut codes: Vec<&Value> = history.of("gate_denied").map(|denied| &denied["code"]).collect();
    codes.dedup();
    assert_eq!(codes, ["tampered"], "{what}");
    let raised = history
        .of("alert_raised")
        .find(|alert| alert["kind"] == "tampering");
    assert!(raised.unwrap()["text"].as_str().unwrap().contains(what), "{what}");
    place.holds();
}

#[test]
fn goal_json() {
    let place = place("sed -i s/bob/eve/ ../goal.json", "true");
    is_seen(&place, "goal.json");
    assert!(place.text("goal.json").contains("bob"), "restored");
}

#[test]
fn goal_json_as_a_link() {
    let place = place(
        "mv ../goal.json ../other.json; ln -s other.json ../goal.json",
        "true",
    );
    is_seen(&place, "goal.json");
}

#[test]
fn evidence() {
    // A test of the worker's, run by the verifier, covers its tracks.
    let place = place("echo trace", "echo nothing > ../evidence/a/attempt-1.worker.log");
    is_seen(&place, "attempt-1.worker.log");
}

#[test]
fn evidence_as_a_link() {
    let place = place(
        "echo trace",
        "cp -r ../evidence/a ../copy; rm -r ../evidence/a; ln -s ../copy/none ../evidence/a",
    );
    is_seen(&place, "attempt-1.worker.log");
}

#[test]
fn all_evidence_as_a_link() {
    let place = place(
        "cp -a ../evidence ../other; rm -r ../evidence; ln -s other ../evidence",
        "true",
    );
    is_seen(&place, "evidence was replaced");
}

#[test]
fn the_kept_goal() {
    let place = place(
        "true",
        "for kept in ../evidence/goal/*.json; do echo {} > $kept; done",
    );
    is_seen(&place, "kept goal");
}

/// The commit is the same, the branch is not: what the operator began on `main` would end up elsewhere.
#[test]
fn head_on_another_branch_or_on_none() {
    for evil in [
        "git symbolic-ref HEAD refs/heads/release && git update-ref HEAD refs/heads/main",
        "git checkout -q --detach",
    ] {
        let place = place(evil, "true");
        is_seen(&place, "HEAD of the repository was switched from refs/heads/");
    }
}

/// A link to the key is followed, and times and links to it are not the key.
#[test]
fn a_key_behind_a_link_and_a_backup_of_it() {
    for (worker, seen) in [
        ("echo mine > ../real", true),
        ("ln ../real ../backup; touch ../real", false),
    ] {
        let place = place(worker, "true");
        let mut goal = place.json();
        goal["alerts"]["webhook"] = json!({ "url": "http://127.0.0.1:9/", "secret_file": "key" });
        place.write(&goal);
        let real = place.path("real");
        fs::write(&real, "hush\n").unwrap();
        fs::set_permissions(&real, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real", place.path("key")).unwrap();
        if seen {
            is_seen(&place, "the key file");
        } else {
            place.run(["run"]).exits(0);
            assert_eq!(place.commits().len(), 2);
        }
    }
}

#[test]
fn a_key() {
    let place = place("echo mine > ../key", "true");
    let mut goal = place.json();
    goal["alerts"]["webhook"] = json!({ "url": "http://127.0.0.1:9/", "secret_file": "key" });
    place.write(&goal);
    fs::write(place.path("key"), "a secret").unwrap();
    fs::set_permissions(
        place.path("key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    is_seen(&place, "key");
}

/// The log cannot be trusted to say so: the run ends, a person is told at once, and nothing was committed.
#[track_caller]
fn stops(place: &Place) {
    let ended = place.run(["run"]);
    ended.exits(1).says(&["driver-log.jsonl"]);
    assert_eq!(place.commits(), [""; 0]);
    let told = alerts(place);
    assert!(told.contains("The log was tampered with"), "{told}");
    assert_eq!(
        place.run(["log", "verify"]).code == 0,
        place.run(["run"]).code == 0
    );
}

#[test]
fn a_record_rewritten_in_its_place() {
    // Not a byte longer or shorter, and as soon as the driver has written: what somebody writes while it writes is in its look.
    stops(&place(
        "until grep -q worker_started ../driver-log.jsonl; do :; done; printf 9 | dd of=../driver-log.jsonl bs=1 seek=20 conv=notrunc 2>/dev/null",
        "true",
    ));
}

#[test]
fn a_record_added() {
    stops(&place(
        "tail -n 1 ../driver-log.jsonl >> ../driver-log.jsonl",
        "true",
    ));
}

#[test]
fn a_log_cut() {
    stops(&place("truncate -s 100 ../driver-log.jsonl", "true"));
}

#[test]
fn a_log_replaced_by_a_link() {
    let place = place(
        "cp ../driver-log.jsonl ../l; rm ../driver-log.jsonl; ln -s l ../driver-log.jsonl",
        "true",
    );
    let ended = place.run(["run"]);
    ended.exits(1).says(&["driver-log.jsonl"]);
    assert_eq!(place.commits(), [""; 0]);
    assert!(alerts(&place).contains("The log was tampered with"));
}

#[test]
fn an_edit_that_a_crash_hid_is_taken_as_the_operators_with_a_warning() {
    let place = place("test -e ../go || sleep 60", "true");
    let run = place.start(["run"]);
    machine_driver_tests::wait_until("the worker", std::time::Duration::from_secs(30), || {
        place.history().count("worker_started") == 1
    });
    run.kill();
    // What a worker would have edited: with the driver dead, nobody can tell it from the operator's hand...
    let edited = place.text("goal.json").replace("bob", "eve");
    fs::write(place.path("goal.json"), edited).unwrap();
    fs::write(place.path("go"), "").unwrap();
    let ended = (0..10).map(|_| place.run(["run"])).find(|ended| ended.code != 11);
    // ...so it counts, with a warning, as the README says.
    ended.unwrap().says(&["look at it"]);
    place.holds();
}

/// Each edit is a record and a kept copy: a run that is edited without end does not go on without end.
#[test]
fn goal_json_again_and_again() {
    // The tasks are many and quick, and each worker edits.
    let place = place("true", "true");
    let mut goal = place.json();
    goal["worker_cmd"] = json!("echo x >> f; sed -i s/bob/eve/ ../goal.json");
    goal["verify_cmd"] = json!("true");
    goal["mode"] = json!("propose");
    goal["alerts"] = json!({});
    let task = |number: u32| json!({ "id": format!("t{number}"), "goal": "x" });
    goal["tasks"] = (0..150).map(task).collect();
    place.write(&goal);
    place.run(["run"]).exits(1).says(&[
        "goal.json was changed 100 times in this run by somebody else",
        "Find out who changes it",
    ]);
    assert_eq!(place.history().count("tampering"), 100);
    let kept = fs::read_dir(place.path(".")).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("goal.json.edited-")
    });
    assert!(kept.count() <= 100);
    assert!(place.text("goal.json").contains("bob"), "restored");
}
