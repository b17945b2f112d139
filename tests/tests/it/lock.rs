//! One driver for a goal, and one goal for a tree.

use std::fs;
use std::process::Command;
use std::time::Duration;

use machine_driver_tests::{Place, Running, TIME_MAX, Tree, wait_until};
use serde_json::json;

/// A goal whose worker waits for the file `go`.
fn waiting() -> Place {
    Place::new(&json!({
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt; while ! test -e go; do sleep 0.02; done",
        "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
    }))
}

fn is_at_work(place: &Place) {
    wait_until("the first worker", Duration::from_secs(30), || {
        place.path("repo/runs.txt").exists()
    });
}

#[test]
fn a_second_run_is_refused_at_once_and_names_the_first() {
    let place = waiting();
    let first = place.start(["run"]);
    is_at_work(&place);
    let goal = fs::read(place.goal()).unwrap();
    let second = place.run(["run"]);
    let id = first.id().to_string();
    second.exits(11).says(&["driver-log.jsonl", &id, "next:"]);
    assert!(
        second.took < Duration::from_secs(2),
        "refused after {:?}",
        second.took
    );
    let lines = place.run(["run", "--json"]).json();
    assert_eq!(
        (&lines.last().unwrap()["code"], &lines.last().unwrap()["exit"]),
        (&json!("locked"), &json!(11))
    );
    for command in [
        &["retry", "a"][..],
        &["task", "add", "--goal", "z"],
        &["log", "restart"],
    ] {
        place.run(command).exits(11).says(&[&id]);
    }
    place.run(["status"]).exits(0).says(&[&id]);
    place.run(["log", "verify"]).exits(0);
    place.run(["log", "show"]).exits(0);
    assert_eq!(fs::read(place.goal()).unwrap(), goal);
    fs::write(place.path("repo/go"), "").unwrap();
    first.wait(TIME_MAX).exits(0);
    place.history().asked_for(&place.text("repo/runs.txt"));
    place.holds();
}

#[test]
fn of_twenty_simultaneous_starts_one_wins() {
    let place = waiting();
    let mut all: Vec<Running> = (0..20).map(|_| place.start(["run"])).collect();
    wait_until("nineteen to be refused", TIME_MAX, || {
        all.iter_mut()
            .filter_map(|one| one.has_ended().then_some(()))
            .count()
            >= 19
    });
    fs::write(place.path("repo/go"), "").unwrap();
    let mut codes: Vec<i32> = all.into_iter().map(|one| one.wait(TIME_MAX).code).collect();
    codes.sort_unstable();
    assert_eq!((codes[0], &codes[1..]), (0, &[11; 19][..]));
    let history = place.history();
    assert_eq!(
        (
            history.count("driver_up"),
            history.dispatches("a"),
            history.dispatches("b")
        ),
        (1, 1, 1)
    );
    history.asked_for(&place.text("repo/runs.txt"));
    assert_eq!(place.text("repo/runs.txt").lines().count(), 2);
    place.holds();
    place.is_quiet();
}

#[test]
fn another_goal_on_the_same_git_tree_is_refused() {
    let place = waiting();
    let mut git = Command::new("git");
    git.args(["init", "--quiet"])
        .arg(place.path("repo"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    assert!(git.status().unwrap().success());
    fs::create_dir(place.path("other")).unwrap();
    let other = json!({ "goal": "other", "repo": "../repo", "worker_cmd": "touch intruded", "verify_cmd": "true", "tasks": [{ "id": "o", "goal": "x" }] });
    fs::write(place.path("other/goal.json"), other.to_string()).unwrap();
    let first = place.start(["run"]);
    is_at_work(&place);
    let repo = Tree::of(&place.path("repo"));
    let goal = place.folder().canonicalize().unwrap().join("goal.json");
    place.run(["run", "other/goal.json"]).exits(11).says(&[
        goal.to_str().unwrap(),
        &first.id().to_string(),
        "next:",
    ]);
    repo.is_still(&place.path("repo"));
    fs::write(place.path("repo/go"), "").unwrap();
    first.wait(TIME_MAX).exits(0);
    place.run(["run", "other/goal.json"]).exits(0);
    assert!(place.path("repo/intruded").exists());
}

#[test]
fn the_lock_of_a_log_that_was_moved_away_does_not_let_a_second_driver_work() {
    let place = waiting();
    let first = place.start(["run"]);
    is_at_work(&place);
    // After its record the driver does not look at the log before the worker ends.
    wait_until("the worker's record", TIME_MAX, || {
        place.history().count("worker_started") == 1
    });
    fs::rename(place.path("driver-log.jsonl"), place.path("moved.jsonl")).unwrap();
    // The tree is still locked, so two drivers never work on it at once.
    place.run(["run"]).exits(11);
    fs::write(place.path("repo/go"), "").unwrap();
    first
        .wait(TIME_MAX)
        .exits(1)
        .says(&["driver-log.jsonl", "removed or replaced"]);
    assert_eq!(
        place.text("repo/runs.txt").lines().count(),
        1,
        "nothing more was begun"
    );
}
