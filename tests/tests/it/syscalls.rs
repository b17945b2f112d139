//! Every system call (by the names of several architectures) by which the driver's main thread changes the disk: killed there, and failing there.
//!
//! strace(1) does it from outside; where it is not there or may not trace, the tests are skipped.

use std::process::Command;

use machine_driver_tests::{Ended, Place, Running, TIME_MAX, binary, say, skip};
use serde_json::json;

/// What changes something on the disk or makes it durable.
const CALLS: [&str; 11] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "write",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "ftruncate",
];

fn place() -> Place {
    Place::new(&json!({
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt", "max_attempts": 1,
        "verify_cmd": "test $MACHINE_TASK_ID != no", "tasks": [{ "id": "a", "goal": "x" }, { "id": "no", "goal": "y" }],
    }))
}

/// A run in which the `nth` call of this name meets `fault`. The guardian and the workers are not traced.
fn run_with(place: &Place, call: &str, fault: &str, nth: u32) -> Ended {
    command_with(place, &["run"], call, fault, nth)
}

fn command_with(place: &Place, arguments: &[&str], call: &str, fault: &str, nth: u32) -> Ended {
    let mut command = Command::new("strace");
    command.args([
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace=?{call}"),
        "-e",
        "signal=none",
    ]);
    command
        .args(["-e", &format!("inject=?{call}:{fault}:when={nth}")])
        .arg(binary())
        .args(arguments);
    command.current_dir(place.folder()).env("HOME", place.folder());
    Running::start(command).wait(TIME_MAX)
}

fn can_trace() -> bool {
    let probe = Command::new("strace")
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=?mkdir:signal=KILL:when=1",
            "true",
        ])
        .output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        skip(
            "faults in single system calls",
            "strace(1) is not there, or may not trace",
        );
    }
    can
}

/// Whatever was cut off, the next run ends as every run of this goal does.
#[track_caller]
fn goes_on(place: &Place, what: &str) {
    // A guardian that dies just now may hold the lock for longer than a busy machine lets the driver wait.
    let ended = (0..10)
        .map(|_| place.run(["run"]))
        .find(|ended| ended.code != 11)
        .unwrap();
    assert_eq!(ended.code, 3, "{what}\n{}", ended.text());
    assert_eq!(
        (place.status("a").as_str(), place.status("no").as_str()),
        ("done", "blocked"),
        "{what}"
    );
    let history = place.history();
    history.asked_for(&place.text("repo/runs.txt"));
    assert_eq!(place.json()["runs"], history.count("dispatch"), "{what}");
    place.holds();
    place.is_quiet();
}

#[test]
fn killed_at_every_call_that_changes_the_disk() {
    if !can_trace() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let place = place();
            let ended = run_with(&place, call, "signal=KILL", nth);
            if ended.code == 3 {
                break;
            }
            assert!(
                ended.code == 137,
                "{call} {nth}: {}\n{}",
                ended.code,
                ended.text()
            );
            kills += 1;
            goes_on(&place, &format!("killed at {call} {nth}"));
        }
    }
    say(&format!("killed at each of {kills} system calls"));
    assert!(kills > 40, "{kills}");
}

#[test]
fn no_thread_can_be_started() {
    fails_at_every(&["clone3", "clone"], "EAGAIN", "resource temporarily unavailable");
}

#[test]
fn no_descriptor_is_left_for_a_pipe() {
    fails_at_every(&["pipe2"], "EMFILE", "too many open files");
}

fn fails_at_every(calls: &[&str], error: &str, words: &str) {
    if !can_trace() {
        return;
    }
    let mut faults = 0;
    for call in calls {
        let mut survived = 0;
        for nth in 1.. {
            let place = place();
            let ended = run_with(&place, call, &format!("error={error}"), nth);
            let what = format!("{error} at {call} {nth}");
            assert!(
                ended.code == 1 || ended.code == 3,
                "{what}: exit {}\n{}",
                ended.code,
                ended.text()
            );
            assert!(!ended.err().contains("panicked"), "{what}: {}", ended.err());
            let hit = ended.code == 1;
            if hit {
                let text = ended.err().to_lowercase();
                assert!(text.contains(words) && text.contains("next:"), "{what}\n{text}");
            }
            faults += usize::from(hit);
            goes_on(&place, &what);
            // Where the system's answer does not matter (a line on the terminal), the run goes on; three such in a row
            // are past the last call.
            survived = if hit { 0 } else { survived + 1 };
            if survived == 3 {
                break;
            }
        }
    }
    say(&format!("{error} at each of {faults} system calls"));
    assert!(faults > 0, "not one of {calls:?} was made");
}

#[test]
fn no_space_at_every_write() {
    fails_at_every(&["pwrite64"], "ENOSPC", "no space left");
}

#[test]
fn a_failed_sync_stops_the_driver() {
    fails_at_every(&["fdatasync", "fsync"], "EIO", "input/output error");
}

#[test]
fn a_failed_rename_stops_the_driver() {
    fails_at_every(&["rename", "renameat"], "EIO", "input/output error");
}

/// Kills a command at each of its calls, each time in a new place, and lets `then` look at what is left.
fn killed_at_every_call(
    name: &str,
    prepare: impl Fn() -> Place,
    arguments: &[&str],
    then: impl Fn(&Place, &str),
) {
    if !can_trace() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let place = prepare();
            let ended = command_with(&place, arguments, call, "signal=KILL", nth);
            let what = format!("{name} killed at {call} {nth}");
            if ended.code != 137 {
                ended.exits(if arguments == ["run"] { 3 } else { 0 });
                break;
            }
            kills += 1;
            then(&place, &what);
        }
    }
    say(&format!("{name}: killed at each of {kills} system calls"));
    assert!(kills > 5, "{kills}");
}

fn finished() -> Place {
    let place = place();
    place.run(["run"]).exits(3);
    place
}

#[test]
fn a_task_is_added_or_not() {
    killed_at_every_call(
        "task add",
        finished,
        &["task", "add", "--goal", "z", "--id", "new"],
        |place, what| {
            place.run(["status"]).exits(0);
            goes_on(place, what);
            let tasks = place.json()["tasks"].as_array().unwrap().len();
            assert_eq!(
                place.history().dispatches("new"),
                tasks - 2,
                "{what}: done if it is there, once"
            );
            place
                .run(["task", "add", "--goal", "z", "--id", "newer"])
                .exits(0);
            goes_on(place, what);
        },
    );
}

#[test]
fn a_task_is_put_back_or_not() {
    killed_at_every_call("retry", finished, &["retry", "no"], |place, what| {
        goes_on(place, what);
        let put_back = place.history().count("retried");
        assert_eq!(place.history().dispatches("no"), 1 + put_back, "{what}");
        place.run(["retry", "no"]).exits(0);
        goes_on(place, what);
    });
}

#[test]
fn a_new_chain_is_begun_or_not() {
    killed_at_every_call("log restart", finished, &["log", "restart"], |place, what| {
        if place.run(["run"]).code != 3 {
            // Between the old log's move and the new one's first record: said as a cut log, with the way out.
            let ended = place.run(["run"]);
            ended.exits(1).says(&["was cut", "log restart"]);
            place.run(["log", "restart"]).exits(0);
        }
        let ended = place.run(["run"]);
        assert_eq!(ended.code, 3, "{what}\n{}", ended.text());
        assert_eq!(
            place.text("repo/runs.txt").lines().count(),
            2,
            "{what}: nothing is done again"
        );
        place.holds();
        place.is_quiet();
    });
}

#[test]
fn an_originals_folder_is_adopted_or_not() {
    let log = std::fs::read(machine_driver_tests::fixture("original-used/driver-log.jsonl")).unwrap();
    killed_at_every_call(
        "adoption",
        || Place::of_fixture("original-used"),
        &["run"],
        |place, what| {
            let ended = place.run(["run"]);
            assert_eq!(ended.code, 3, "{what}\n{}", ended.text());
            assert_eq!(
                std::fs::read(place.path("driver-log.original.jsonl")).unwrap(),
                log,
                "{what}"
            );
            let history = place.history();
            assert_eq!(
                (&history.0[0]["event"], &history.0[0]["origin"]),
                (&json!("imported"), &json!("original")),
                "{what}"
            );
            for (task, status) in [("t1", "done"), ("t3", "blocked"), ("t4", "done"), ("t6", "done")] {
                assert_eq!(place.status(task), status, "{what}");
            }
            assert_eq!(
                (history.dispatches("t1"), history.dispatches("t3")),
                (0, 0),
                "{what}"
            );
            place.holds();
            place.is_quiet();
        },
    );
}

/// Whether it was halted or not: once that is lifted, it ends as every run of this goal does.
#[track_caller]
fn goes_on_from_a_halt(place: &Place, what: &str) {
    if place.run(["run"]).code == 4 {
        place.run(["resume", "--reason", "settled"]).exits(0);
    }
    goes_on(place, what);
}

#[test]
fn a_goal_is_halted_or_not() {
    let arguments = ["halt", "--reason", "smoke"];
    killed_at_every_call("halt", finished, &arguments, |place, what| {
        goes_on_from_a_halt(place, what);
        place.run(arguments).exits(0);
        place.run(["run"]).exits(4);
        goes_on_from_a_halt(place, what);
    });
}

#[test]
fn a_halt_is_lifted_or_not() {
    let halted = || {
        let place = finished();
        place.run(["halt", "--reason", "smoke"]).exits(0);
        place
    };
    killed_at_every_call(
        "resume",
        halted,
        &["resume", "--reason", "settled"],
        |place, what| {
            goes_on_from_a_halt(place, what);
        },
    );
}

#[test]
fn the_dial_is_turned_or_not() {
    let asked = || {
        let place = place();
        let mut goal = place.json();
        goal["mode"] = json!("commit"); // Without a contract nothing can be committed, so no git is needed.
        place.write(&goal);
        place.run(["run"]).exits(3);
        place
    };
    killed_at_every_call("dial", asked, &["dial", "propose"], |place, what| {
        goes_on(place, what);
        let turned = place.history().count("dial_changed") == 1;
        assert_eq!(place.json()["mode"] == "propose", turned, "{what}");
        place.run(["dial", "propose"]).exits(0);
        goes_on(place, what);
        assert_eq!(place.json()["mode"], "propose", "{what}");
    });
}

#[test]
fn a_commit_is_approved_or_not() {
    killed_at_every_call("approve", finished, &["approve", "no"], |place, what| {
        goes_on(place, what);
        place.run(["approve", "no"]).exits(0);
        goes_on(place, what);
    });
}
