//! Commits that are earned: what the original did, and what it should have done.

use std::fs;

use machine_driver_tests::Place;
use serde_json::{Value, json};

/// A contract under which reversible tasks may be committed.
fn contract() -> Value {
    json!({ "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 })
}

/// A goal in commit mode over a git repository; each worker appends its task to `done.txt` and makes a file of its name.
fn place(contract: &Value, tasks: &Value) -> Place {
    let place = Place::new(&goal(contract, tasks));
    place.init_git();
    place
}

fn goal(contract: &Value, tasks: &Value) -> Value {
    json!({
        "mode": "commit", "contract": contract, "max_attempts": 2,
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT\" >> done.txt; echo x > \"$MACHINE_TASK_ID\"",
        "verify_cmd": "test -e \"$MACHINE_TASK_ID\"", "tasks": tasks,
    })
}

fn one(reversible: bool) -> Value {
    json!([{ "id": "a", "goal": "x", "reversible": reversible }])
}

#[test]
fn reversible_and_ratified_makes_one_commit_for_each_task() {
    let tasks = json!([
        { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true },
    ]);
    let place = place(&contract(), &tasks);
    let ended = place.run(["run"]);
    ended
        .exits(0)
        .says(&["mode=commit", "committed", "GOAL COMPLETE"]);
    assert_eq!(place.commits(), ["driver: a", "driver: b"]);
    place.commits_hold();
    assert_eq!(
        place.git(&["status", "--porcelain"]),
        "",
        "the index is refreshed"
    );
    assert_eq!(
        place
            .git(&["show", "--stat", "--format=%an <%ae>"])
            .lines()
            .next(),
        Some("A Tester <tester@example.invalid>")
    );
    let history = place.history();
    assert_eq!(
        (
            history.count("gate_allowed"),
            history.count("commit"),
            history.count("proposed")
        ),
        (2, 2, 0)
    );
    assert_eq!(history.names().last(), Some(&"goal_complete"));
    let body = place.git(&["log", "-1", "--format=%B"]);
    for trailer in [
        "Machine-Driver-Task: b",
        "Machine-Driver-Key: ",
        "Machine-Driver-Contract: ",
    ] {
        assert!(body.contains(trailer), "{body}");
    }
    assert_eq!(
        place.of_task("a", "commit"),
        history.of("commit").next().unwrap()["commit"]
    );
    place.holds();
    // Nothing is done again.
    place.run(["run"]).exits(0);
    assert_eq!(place.commits().len(), 2);
}

#[test]
fn irreversible_by_default_makes_none_and_denies_nothing() {
    let place = place(&contract(), &json!([{ "id": "a", "goal": "x" }]));
    place.run(["run"]).exits(0).says(&["left for review"]);
    assert_eq!(place.commits(), [""; 0]);
    let history = place.history();
    assert_eq!(
        (history.count("gate_escalated"), history.count("commit_denied")),
        (1, 0)
    );
    assert_eq!((history.count("proposed"), history.count("alert_raised")), (1, 0));
    assert!(place.git(&["status", "--porcelain"]).contains("?? a"));
    place.holds();
}

#[test]
fn irreversible_with_a_high_ceiling_is_committed() {
    for (ceiling, floor, commits) in [(3, 3, 1), (3, 4, 0), (5, 1, 1)] {
        let mut contract = contract();
        contract["autonomy_ceiling"] = json!(ceiling);
        contract["irreversible_min_trust"] = json!(floor);
        let place = place(&contract, &one(false));
        place.run(["run"]).exits(0);
        assert_eq!(place.commits().len(), commits, "{ceiling} {floor}");
        place.holds();
    }
}

#[test]
fn self_ratified_makes_none_and_is_denied() {
    for (one_name, other) in [
        ("ann", "ann"),
        ("ann", "ANN"),
        ("ann", " a n n "),
        ("ann", "a\u{200b}nn"),
        ("ann", "ａｎｎ"),
        ("ann", ""),
    ] {
        let contract = json!({ "proposed_by": one_name, "ratified_by": other, "autonomy_ceiling": 5 });
        let place = place(&contract, &one(true));
        let ended = place.run(["run"]);
        ended.exits(0).says(&["mode=propose", "COMMIT DENIED a"]);
        assert_eq!(place.commits(), [""; 0], "{other:?}");
        let history = place.history();
        let names: Vec<&str> = history
            .names()
            .into_iter()
            .filter(|name| name.contains("denied"))
            .collect();
        assert_eq!(names, ["gate_denied", "commit_denied"], "{other:?}");
        let kinds: Vec<&Value> = history.of("alert_raised").map(|alert| &alert["kind"]).collect();
        assert_eq!(kinds, ["not_ratified", "commit_denied"]);
        assert_eq!(history.count("proposed"), 1);
        place.holds();
    }
}

#[test]
fn expired_revoked_and_missing_contracts_commit_nothing() {
    let mut expired = contract();
    expired["expires"] = json!("2020-01-01T00:00:00Z");
    let mut revoked = contract();
    revoked["revoked"] = json!({ "by": "bob", "at": "2026-01-01T00:00:00Z", "reason": "no" });
    for (contract, denied) in [
        (expired, 1),
        (revoked, 1),
        (json!(null), 0),
        (json!({ "proposed_by": "ann", "ratified_by": "bob" }), 0),
    ] {
        let place = place(&contract, &one(true));
        place.run(["run"]).exits(0).says(&["mode=propose"]);
        assert_eq!(place.commits(), [""; 0]);
        assert_eq!(place.history().count("commit_denied"), denied, "{contract}");
        place.holds();
    }
}

#[test]
fn no_verifier_means_propose_and_quarantine() {
    let place = place(&contract(), &one(true));
    let mut goal = goal(&contract(), &one(true));
    goal.as_object_mut().unwrap().remove("verify_cmd");
    place.write(&goal);
    place
        .run(["run"])
        .exits(3)
        .says(&["mode=propose", "QUARANTINED a"]);
    assert_eq!(place.commits(), [""; 0]);
    place.holds();
}

#[test]
fn a_budget_halts_commits_too() {
    let mut goal = goal(
        &contract(),
        &json!([
            { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true },
        ]),
    );
    goal["budget"] = json!({ "max_worker_runs": 1 });
    let place = Place::new(&goal);
    place.init_git();
    place
        .run(["run"])
        .exits(2)
        .says(&["BUDGET HALT", "max_worker_runs"]);
    assert_eq!(
        place.commits(),
        ["driver: a"],
        "the run that the budget paid for counts"
    );
    let history = place.history();
    let alert = history.of("alert_raised").next().unwrap();
    assert_eq!(alert["kind"], "budget_halt");
    place.holds();
    // Told once, however often it is started.
    place.run(["run"]).exits(2);
    assert_eq!(place.history().count("alert_raised"), 1);
}

#[test]
fn nothing_changed_is_no_commit_and_says_so() {
    let mut goal = goal(&contract(), &one(true));
    goal["worker_cmd"] = json!("true");
    goal["verify_cmd"] = json!("true");
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(0).says(&["nothing to commit"]);
    assert_eq!(place.commits(), [""; 0]);
    assert_eq!(
        (
            place.history().count("commit_empty"),
            place.history().count("commit")
        ),
        (1, 0)
    );
    place.holds();
}

#[test]
fn a_commit_that_cannot_be_made_is_a_failure_and_says_so() {
    let place = place(&contract(), &one(true));
    fs::write(place.path("repo/.git/refs/heads/main.lock"), "").unwrap();
    for run in 1..3 {
        let ended = place.run(["run"]);
        ended.exits(1).says(&["could not be made", "main.lock", "next:"]);
        assert!(!ended.text().contains("committed as"), "{}", ended.text());
        assert_eq!(place.commits(), [""; 0]);
        let history = place.history();
        assert_eq!(
            (history.count("commit_failed"), history.count("commit")),
            (3 * run, 0)
        );
        let alert = history.of("alert_raised").next().unwrap();
        assert_eq!(
            (&alert["kind"], history.count("alert_raised")),
            (&json!("commit_failed"), 1)
        );
        place.holds();
    }
    // Mended, it goes on where it was: no work is done again.
    fs::remove_file(place.path("repo/.git/refs/heads/main.lock")).unwrap();
    place.run(["run"]).exits(0);
    assert_eq!(
        (place.commits(), place.history().count("dispatch")),
        (vec!["driver: a".to_owned()], 1)
    );
    assert_eq!(place.history().count("alert_resolved"), 1);
    place.commits_hold();
    place.holds();
}

#[test]
fn commit_mode_needs_git_where_a_commit_could_be_permitted() {
    let place = Place::new(&goal(&contract(), &one(true)));
    place.run(["run"]).exits(10).says(&["git", "propose"]);
    assert!(!place.path("driver-log.jsonl").exists());
    place.run(["check"]).exits(10);
    // Where the gate allows nothing anyway, it runs and leaves the change.
    place.write(&goal(
        &json!({ "proposed_by": "ann", "ratified_by": "ann", "autonomy_ceiling": 1 }),
        &one(true),
    ));
    place.run(["run"]).exits(0);
    place.holds();
}

#[test]
fn commit_mode_needs_an_identity() {
    let place = place(&contract(), &one(true));
    place.git(&["config", "--unset", "user.email"]);
    place.git(&["config", "user.useConfigOnly", "true"]);
    place.run(["run"]).exits(10).says(&["user.email"]);
}

#[test]
fn what_the_gate_refused_is_in_no_later_commit() {
    let tasks = json!([
        { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y" },
        { "id": "c", "goal": "z", "reversible": true },
    ]);
    let place = place(&contract(), &tasks);
    place.run(["run"]).exits(0);
    assert_eq!(
        place.commits(),
        ["driver: a"],
        "c would have taken b's change along"
    );
    let codes: Vec<Value> = place
        .history()
        .of("gate_denied")
        .map(|denied| denied["code"].clone())
        .collect();
    assert_eq!(codes, ["held_back"]);
    // The operator commits what was left; the next task is its own again.
    place.git(&["add", "."]);
    place.git(&["commit", "-q", "-m", "by hand"]);
    place.run(["task", "add", "--goal", "w", "--id", "d"]).exits(0);
    let mut goal = place.json();
    goal["tasks"][3]["reversible"] = json!(true);
    fs::write(place.goal(), goal.to_string()).unwrap();
    place.run(["run"]).exits(0);
    assert_eq!(place.commits(), ["driver: a", "by hand", "driver: d"]);
    place.holds();
}

#[test]
fn what_was_changed_before_any_worker_is_said_and_goes_along() {
    let place = place(&contract(), &one(true));
    fs::write(place.path("repo/mine"), "not finished").unwrap();
    place.run(["run"]).exits(0).says(&["1 path differs"]);
    let files = place.git(&["show", "--name-only", "--format="]);
    assert_eq!(files.lines().collect::<Vec<_>>(), ["a", "done.txt", "mine"]);
    place.commits_hold();
}

#[test]
fn leftovers_of_a_task_that_was_given_up_are_named() {
    let tasks = json!([
        { "id": "no", "goal": "x", "reversible": true, "verify_cmd": "false" },
        { "id": "b", "goal": "y", "reversible": true },
    ]);
    let place = place(&contract(), &tasks);
    place.run(["run"]).exits(3);
    assert_eq!(place.commits(), ["driver: b"]);
    let body = place.git(&["log", "-1", "--format=%B"]);
    assert!(body.contains("given up:\nno\n"), "{body}");
    place.commits_hold();
    place.holds();
}

#[test]
fn a_worker_that_commits_by_itself_is_seen_and_stops_all_commits() {
    let mut goal = goal(
        &contract(),
        &json!([
            { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true },
        ]),
    );
    goal["worker_cmd"] = json!(
        "echo x > \"$MACHINE_TASK_ID\"; git add . && git -c user.name=w -c user.email=w commit -qm mine; echo y > more"
    );
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(0).says(&["TAMPERING: HEAD"]);
    assert!(place.commits().iter().all(|subject| subject == "mine"));
    let history = place.history();
    assert_eq!(
        (history.count("gate_allowed"), history.count("tampering")),
        (0, 1)
    );
    assert!(
        history
            .of("alert_raised")
            .any(|alert| alert["kind"] == "tampering")
    );
    place.holds();
}

#[test]
fn the_drivers_own_files_never_enter_a_commit() {
    let tasks = json!([{ "id": "a", "goal": "x", "reversible": true }]);
    let place = Place::bare();
    place.init_git();
    let mut goal = goal(&contract(), &tasks);
    goal["repo"] = json!(place.path("repo"));
    goal["goal"] = json!("g");
    fs::write(place.path("repo/goal.json"), goal.to_string()).unwrap();
    place.run(["run", "repo/goal.json"]).exits(0);
    assert_eq!(place.commits(), ["driver: a"]);
    let files = place.git(&["show", "--name-only", "--format="]);
    assert_eq!(files.lines().collect::<Vec<_>>(), ["a", "done.txt"]);
}

#[test]
fn the_tree_that_was_verified_is_the_one_that_is_committed() {
    // What the verifier leaves in the tree is not part of the change.
    let mut goal = goal(&contract(), &one(true));
    goal["verify_cmd"] = json!("echo evil >> a; echo more > by-verify; test -e a");
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(0);
    assert_eq!(place.git(&["show", "HEAD:a"]), "x\n");
    assert!(
        !place
            .git(&["ls-tree", "--name-only", "HEAD"])
            .contains("by-verify")
    );
    place.commits_hold();
}

#[test]
fn a_repository_that_one_commit_cannot_hold_is_refused_by_name() {
    let mut goal = goal(&contract(), &one(true));
    goal["worker_cmd"] = json!("echo x > a; mkdir nested; git init -q nested; echo y > nested/y");
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(0).says(&["nested"]);
    assert_eq!(place.commits(), [""; 0]);
    let history = place.history();
    assert_eq!(history.of("gate_denied").next().unwrap()["code"], "no_tree");
    place.holds();
}

#[test]
fn a_goal_that_is_switched_to_commit_starts_from_what_is_in_the_tree() {
    let mut goal = goal(
        &contract(),
        &json!([{ "id": "a", "goal": "x", "reversible": true }]),
    );
    goal["mode"] = json!("propose");
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(0);
    assert_eq!(
        place.history().count("gate_denied"),
        0,
        "nobody asked for a commit"
    );
    let mut now = place.json();
    now["mode"] = json!("commit");
    now["tasks"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": "b", "goal": "y", "reversible": true }));
    fs::write(place.goal(), now.to_string()).unwrap();
    place.run(["run"]).exits(0).says(&["`a`"]);
    assert_eq!(place.commits(), [""; 0], "a's proposal is still in the tree");
    place.holds();
}
