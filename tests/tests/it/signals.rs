//! SIGINT, SIGTERM and SIGHUP: the worker's tree is stopped, the state saved, and the next run goes on.

use std::fs;
use std::time::Duration;

use machine_driver_tests::{Place, TIME_MAX, is_alive, wait_until};
use rustix::process::Signal;
use serde_json::json;

/// Sends `signal` while a worker runs that leaves `$!` and itself in `*.pid`.
fn check(signal: Signal, code: i32, by: &str, worker: &str) {
    let place = Place::new(&json!({
        "worker_cmd": format!("echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt; test -e go && exit; {worker}"),
        "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
    }));
    let run = place.start(["run"]);
    let pid = |name: &str| place.text(&format!("repo/{name}.pid")).trim().parse::<u32>();
    wait_until("the worker", Duration::from_secs(30), || {
        pid("leader").is_ok() && pid("child").is_ok()
    });
    run.signal(signal);
    let ended = run.wait(TIME_MAX);
    ended.exits(code).says(&["next:"]);
    assert!(!ended.text().contains("GOAL COMPLETE"));
    for name in ["leader", "child"] {
        assert!(!is_alive(pid(name).unwrap()), "{name} is alive");
    }
    place.is_quiet();
    let history = place.history();
    let cut = history.of("interrupted").next().unwrap();
    assert_eq!(
        (&cut["by"], &cut["stage"], history.names().last()),
        (&json!(by), &json!("worker"), Some(&"interrupted"))
    );
    assert_eq!(
        place.json()["checkpoint"]["seq"],
        history.0.len() - 1,
        "goal.json was saved at the stop"
    );
    place.holds();

    fs::write(place.path("repo/go"), "").unwrap();
    place.run(["run"]).exits(0);
    let history = place.history();
    assert_eq!((history.dispatches("a"), history.dispatches("b")), (2, 1));
    history.asked_for(&place.text("repo/runs.txt"));
    place.holds();
}

const OBEDIENT: &str = "sleep 300 & echo $! > child.pid; echo $$ > leader.pid; wait";
const STUBBORN: &str = "trap '' TERM HUP INT; sleep 300 & echo $! > child.pid; echo $$ > leader.pid; while :; do wait; sleep 1; done";

#[test]
fn sigint() {
    check(Signal::INT, 130, "sigint", OBEDIENT);
}

#[test]
fn sigterm() {
    check(Signal::TERM, 143, "sigterm", OBEDIENT);
}

#[test]
fn sighup() {
    check(Signal::HUP, 143, "sigterm", OBEDIENT);
}

#[test]
fn sigterm_while_the_worker_ignores_it() {
    check(Signal::TERM, 143, "sigterm", STUBBORN);
}

#[test]
fn sigint_while_verify_runs_verifies_again_without_another_worker() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "echo x >> verifies.txt; test -e go || sleep 300",
        "tasks": [{ "id": "a", "goal": "x" }],
    }));
    let run = place.start(["run"]);
    // Its line, and not only the file that the shell makes for it.
    wait_until("the verifier", Duration::from_secs(30), || {
        place.text("repo/verifies.txt") == "x\n"
    });
    run.signal(Signal::INT);
    run.wait(TIME_MAX).exits(130);
    place.is_quiet();
    place.holds();
    fs::write(place.path("repo/go"), "").unwrap();
    place.run(["run"]).exits(0);
    assert_eq!(
        (
            place.text("repo/runs.txt").as_str(),
            place.text("repo/verifies.txt").as_str()
        ),
        ("x\n", "x\nx\n")
    );
    place.holds();
}

#[test]
fn a_signal_while_it_waits_between_attempts_ends_it_at_once() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "true", "tick_seconds": 600,
        "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
    }));
    let run = place.start(["run"]);
    wait_until("the first task", Duration::from_secs(30), || {
        place.history().count("proposed") == 1
    });
    run.signal(Signal::TERM);
    run.wait(Duration::from_secs(30)).exits(143);
    place.holds();
    assert_eq!(
        (place.status("a").as_str(), place.status("b").as_str()),
        ("done", "pending")
    );
}

/// What an earlier worker left may keep git waiting: here for the writer of a pipe.
#[test]
fn sigterm_while_it_reads_the_repository_at_its_start() {
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "true", "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x", "reversible": true }],
    }));
    place.init_git();
    fs::create_dir(place.path("repo/new")).unwrap();
    let pipe = place.path("repo/new/.gitignore");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(pipe)
            .status()
            .unwrap()
            .success()
    );
    let run = place.start(["run"]);
    wait_until("the lock", Duration::from_secs(30), || {
        place.path("driver-log.jsonl").exists()
    });
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::TERM);
    run.wait(Duration::from_secs(10)).exits(143);
    assert_eq!(place.history().count("dispatch"), 0);
    place.holds();
}

#[test]
fn a_closed_stdout_does_not_stop_a_run() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "true",
        "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
    }));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command(["run"]);
    command.stdout(writer);
    let status = command
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    place.holds();
    assert_eq!(place.text("repo/runs.txt"), "x\nx\n");
}

#[test]
fn a_signal_at_any_moment_ends_it_in_order_and_loses_nothing() {
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..80_u64 {
        let place = Place::new(&json!({
            "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt", "verify_cmd": "true",
            "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
        }));
        let (signal, code) = if round % 2 == 0 {
            (Signal::INT, 130)
        } else {
            (Signal::TERM, 143)
        };
        let run = place.start(["run"]);
        std::thread::sleep(Duration::from_micros(round * 7919 % 40_000));
        run.signal(signal);
        let ended = run.wait(TIME_MAX);
        assert!(
            ended.code == code || ended.code == 0,
            "{signal:?}: exit {}\n{}",
            ended.code,
            ended.text()
        );
        *seen.entry(ended.code).or_insert(0) += 1;
        place.run(["run"]).exits(0);
        place.history().asked_for(&place.text("repo/runs.txt"));
        place.holds();
    }
    machine_driver_tests::say(&format!(
        "signals at any moment: exit code and how often: {seen:?}"
    ));
}
