//! How every command ends, and what scripts may look for.

use std::fs;

use machine_driver_state::event::{Event, GoalComplete};
use machine_driver_state::record::Record;
use machine_driver_tests::{Place, Tree, repository};
use serde_json::{Value, json};

fn tasks(ids: &[&str]) -> Value {
    ids.iter()
        .map(|id| json!({ "id": id, "goal": format!("do {id}") }))
        .collect()
}

fn passing(ids: &[&str]) -> Place {
    Place::new(&json!({ "worker_cmd": "echo x >> runs.txt", "verify_cmd": "true", "tasks": tasks(ids) }))
}

fn failing() -> Place {
    Place::new(
        &json!({ "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tasks": tasks(&["a"]) }),
    )
}

#[test]
fn a_run_that_does_everything_ends_with_0_however_it_is_called() {
    let place = passing(&["a", "b"]);
    place.run(["goal.json"]).exits(0).says(&[
        "driver up",
        "mode=propose",
        "GOAL COMPLETE — 2 tasks, 0 blocked/surfaced.",
    ]);
    for arguments in [
        &["run"][..],
        &["run", "goal.json"],
        &["--quiet", "goal.json"],
        &["run", "--once"],
        &["run", "--max-tasks", "3"],
    ] {
        place.run(arguments).exits(0);
    }
    assert_eq!(
        place.text("repo/runs.txt"),
        "x\nx\n",
        "what is done is not done again"
    );
    place.holds();
}

#[test]
fn once_and_max_tasks_end_with_0_and_say_what_remains() {
    let place = passing(&["a", "b", "c", "d"]);
    let remaining =
        |arguments: &[&str]| place.run(arguments).exits(0).json().last().unwrap()["remaining"].clone();
    assert_eq!(remaining(&["run", "--once", "--json"]), 3);
    assert_eq!(remaining(&["run", "--max-tasks", "2", "--json"]), 1);
    assert_eq!(remaining(&["run", "--json"]), 0);
    place.holds();
}

#[test]
fn tasks_that_end_blocked_end_with_3() {
    let place = failing();
    place.run(["run"]).exits(3).says(&[
        "QUARANTINED a: verify failed once, last: exit 1",
        "GOAL COMPLETE — 1 tasks, 1 blocked/surfaced.",
        "status",
        "retry a",
    ]);
    place.run(["run"]).exits(3);
    place
        .run(["status"])
        .exits(0)
        .says(&["blocked", "verify failed once"]);
    place.run(["retry", "a"]).exits(0);
    assert_eq!(place.status("a"), "pending");
    place.run(["run"]).exits(3);
    assert_eq!(place.history().dispatches("a"), 2);
    place.holds();
}

#[test]
fn a_budget_halt_ends_with_2_and_names_the_limit_and_the_amount() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "false", "max_attempts": 9, "budget": { "max_worker_runs": 2 },
        "tasks": tasks(&["a"]),
    }));
    place.run(["run"]).exits(2).says(&[
        "BUDGET HALT",
        "max_worker_runs",
        "2 worker runs used, 2 worker runs allowed",
        "next:",
    ]);
    place.run(["run"]).exits(2).says(&["BUDGET HALT"]);
    place
        .run(["status"])
        .exits(0)
        .says(&["2 worker runs (of 2)", "raise the limit"]);
    let last = place.run(["run", "--json"]).json().pop().unwrap();
    assert_eq!(
        (&last["code"], &last["budget_halt"]["limit"]),
        (&json!("budget_halt"), &json!("max_worker_runs"))
    );
    assert_eq!(place.text("repo/runs.txt"), "x\nx\n");
    let mut goal = place.json();
    goal["budget"]["max_worker_runs"] = json!(3);
    fs::write(place.goal(), goal.to_string()).unwrap();
    place.run(["run"]).exits(2);
    assert_eq!(
        place.text("repo/runs.txt"),
        "x\nx\nx\n",
        "a raised limit is honoured"
    );
    place.holds();
}

#[test]
fn without_a_verifier_nothing_passes_and_the_mode_is_propose() {
    for verify in [json!(null), json!(" ")] {
        let place = Place::new(
            &json!({ "worker_cmd": "echo x >> runs.txt", "verify_cmd": verify, "mode": "commit", "tasks": tasks(&["a"]) }),
        );
        let ended = place.run(["run"]);
        ended.exits(3).says(&[
            "mode=propose (asked for commit: there is no verify_cmd",
            "QUARANTINED a: there is no verify_cmd",
        ]);
        assert!(!ended.text().contains("mode=commit"));
        assert_eq!(place.text("repo/runs.txt"), "x\n");
        place.holds();
    }
}

#[test]
fn commit_mode_is_said_to_run_as_propose() {
    let place = Place::new(
        &json!({ "worker_cmd": "true", "verify_cmd": "true", "mode": "commit", "tasks": tasks(&["a"]) }),
    );
    let ended = place.run(["run"]);
    ended.exits(0).says(&["mode=propose (asked for commit:"]);
    let up = place.history().of("driver_up").next().unwrap().clone();
    assert_eq!(
        (&up["mode_asked"], &up["mode"]),
        (&json!("commit"), &json!("propose"))
    );
}

#[test]
fn a_log_that_does_not_hold_ends_verification_with_5_and_a_run_with_1() {
    let place = passing(&["a", "b"]);
    place.run(["run"]).exits(0);
    let whole = place.text("driver-log.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    let check = |name: &str, log: String, says: &[&str]| does_not_hold(&place, name, &log, says);
    check(
        "a changed record",
        whole.replacen("\"attempt\":1", "\"attempt\":2", 1),
        &["line 2", "hash"],
    );
    check(
        "a record cut out",
        [&lines[..3], &lines[4..]].concat().join("\n") + "\n",
        &["line 4"],
    );
    check(
        "two records swapped",
        [&lines[..2], &[lines[3], lines[2]], &lines[4..]]
            .concat()
            .join("\n")
            + "\n",
        &["line 3"],
    );
    check(
        "a cut tail",
        lines[..lines.len() - 2].join("\n") + "\n",
        &["was cut"],
    );
    check("an empty log", String::new(), &["was cut"]);
    check(
        "a line that is none",
        whole.clone() + "{}\n",
        &[&format!("line {}", lines.len() + 1)],
    );
    check(
        "the end torn off a record in the middle",
        whole.replacen("}\n", "\n", 1),
        &["line 1"],
    );
    assert_eq!(
        place.text("repo/runs.txt"),
        "x\nx\n",
        "nothing ran on any of these"
    );
}

/// Every command that checks the log refuses this one by name and place, nothing runs, and nothing changes on disk.
#[track_caller]
fn does_not_hold(place: &Place, name: &str, log: &str, says: &[&str]) {
    fs::write(place.path("driver-log.jsonl"), log).unwrap();
    let before = Tree::of(place.folder());
    for command in [&["log", "verify"][..], &["replay"]] {
        let ended = place.run(command);
        assert_eq!(ended.code, 5, "{name}: {command:?}\n{}", ended.text());
        ended.says(says).says(&["driver-log.jsonl", "next:"]);
    }
    let last = place.run(["log", "verify", "--json"]).json().pop().unwrap();
    assert_eq!(
        (&last["code"], &last["exit"]),
        (&json!("not_verified"), &json!(5)),
        "{name}"
    );
    let ended = place.run(["run"]);
    assert_eq!(ended.code, 1, "{name}: run\n{}", ended.text());
    ended.says(says).says(&["driver-log.jsonl", "log restart"]);
    before.is_still(place.folder());
}

#[test]
fn a_new_chain_is_the_way_out_of_a_log_that_does_not_hold() {
    let place = passing(&["a", "b"]);
    place.run(["run"]).exits(0);
    let whole = place.text("driver-log.jsonl");
    let cut: Vec<&str> = whole.lines().take(4).collect();
    fs::write(place.path("driver-log.jsonl"), cut.join("\n") + "\n").unwrap();
    place.run(["run"]).exits(1);
    place
        .run(["log", "restart"])
        .exits(0)
        .says(&["driver-log.1.jsonl"]);
    place.run(["run"]).exits(0);
    assert_eq!(place.history().0[0]["origin"], "restart");
    place.holds();
    assert_eq!(place.text("repo/runs.txt"), "x\nx\n");
}

/// A chain that is whole, of a run that the rules would not have made.
#[test]
fn a_record_that_nobody_asked_for_does_not_pass_the_replay() {
    let place = failing();
    place.run(["run"]).exits(3);
    let log = place.text("driver-log.jsonl");
    let records: Vec<Record> = log
        .lines()
        .map(|line| Record::read(line.as_bytes()).unwrap())
        .collect();
    let (last, before) = records.split_last().unwrap();
    let wished = Event::GoalComplete(GoalComplete { done: 1, blocked: 0 });
    let head = before.last().map(Record::head);
    let forged = Record::after(head, last.at, &last.deployment_id, wished).unwrap();
    let kept: Vec<&str> = log.lines().take(before.len()).collect();
    fs::write(
        place.path("driver-log.jsonl"),
        kept.join("\n") + "\n" + &forged.line().unwrap() + "\n",
    )
    .unwrap();
    let mut goal = place.json();
    goal["checkpoint"]["hash"] = json!(forged.head().hash.to_string());
    fs::write(place.goal(), goal.to_string()).unwrap();
    place.run(["log", "verify"]).exits(0);
    place
        .run(["replay"])
        .exits(5)
        .says(&["the rules ask for", "driver-log.jsonl", "next:"]);
}

#[test]
fn a_kept_goal_that_was_changed_or_lost_does_not_pass_the_replay() {
    let place = failing();
    place.run(["run"]).exits(3);
    let digest = place.history().0[0]["goal_sha256"].as_str().unwrap().to_owned();
    let snapshot = place.path(&format!("evidence/goal/{digest}.json"));
    let kept = fs::read_to_string(&snapshot).unwrap();
    fs::write(
        &snapshot,
        kept.replacen("\"max_attempts\":1", "\"max_attempts\":2", 1),
    )
    .unwrap();
    place.run(["log", "verify"]).exits(0);
    place.run(["replay"]).exits(5).says(&["SHA-256", &digest]);
    fs::remove_file(&snapshot).unwrap();
    place.run(["replay"]).exits(5).says(&[&digest]);
}

#[test]
fn a_torn_last_line_is_cut_off_and_reported() {
    let place = passing(&["a", "b"]);
    place.run(["run", "--once"]).exits(0);
    let whole = place.text("driver-log.jsonl");
    let torn = whole.clone() + "{\"seq\":99,\"ts\":\"20";
    fs::write(place.path("driver-log.jsonl"), &torn).unwrap();
    place.run(["log", "verify"]).exits(0).says(&["torn"]);
    place.run(["status"]).exits(0);
    assert_eq!(place.text("driver-log.jsonl"), torn, "looking changes nothing");
    place
        .run(["run"])
        .exits(0)
        .says(&["middle of a line", "18 bytes"]);
    assert!(place.text("driver-log.jsonl").starts_with(&whole));
    place.holds();
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    let place = passing(&["a"]);
    place.run(["run"]).exits(0);
    let before = Tree::of(place.folder());
    let wrong: &[&[&str]] = &[
        &[],
        &["rnu"],
        &["run", "--no-such-flag"],
        &["run", "a.json", "b.json"],
        &["run", "--max-tasks", "0"],
        &["run", "--max-tasks", "x"],
        &["run", "--once", "--max-tasks", "2"],
        &["retry"],
        &["retry", "../x"],
        &["task"],
        &["task", "add"],
        &["log"],
        &["log", "query", "--event", "verfied"],
        &["log", "query", "--since", "yesterday"],
        &["completions"],
        &["completions", "nosuchshell"],
        &["task", "add", "--goal", "x", "--id", "../x"],
    ];
    for arguments in wrong {
        let ended = place.run(*arguments);
        assert_eq!(ended.code, 64, "{arguments:?}\n{}", ended.text());
        assert!(
            ended.out().is_empty() && !ended.err().is_empty(),
            "{arguments:?}: it belongs on stderr"
        );
    }
    for arguments in [&["run", "--json", "--no-such-flag"][..], &["rnu", "--json"]] {
        let ended = place.run(arguments);
        assert_eq!(
            (ended.code, ended.json().last().unwrap()["code"].clone()),
            (64, json!("usage")),
            "{arguments:?}"
        );
    }
    place
        .run(["log", "query", "--event", "verfied"])
        .says(&["did you mean `verified`?"]);
    before.is_still(place.folder());
    place
        .run(["retry", "nobody"])
        .exits(64)
        .says(&["nobody", "next:"]);
    place
        .run(["retry", "a"])
        .exits(64)
        .says(&["not blocked but done", "next:"]);
}

#[test]
fn tasks_can_be_added_and_bad_ones_are_refused() {
    let place = passing(&["a"]);
    place
        .run(["task", "add", "--goal", "before any run", "--id", "b"])
        .exits(0)
        .says(&["b"]);
    place.run(["run"]).exits(0);
    place
        .run(["task", "add", "--goal", "after it", "--after", "a"])
        .exits(0);
    let before = Tree::of(place.folder());
    for (arguments, says) in [
        (&["--goal", "x", "--id", "a"][..], "a"),
        (&["--goal", "x", "--after", "nobody"], "nobody"),
        (&["--goal", " "], "goal"),
        (
            &["--goal", "x", "--worker", "no-such-program-anywhere"],
            "no-such-program-anywhere",
        ),
        (&["--goal", "x", "--worker", "eval {task}"], "eval"),
    ] {
        let ended = place.run([&["task", "add"], arguments].concat());
        assert!(
            ended.code == 10 || ended.code == 64,
            "{arguments:?} ends with {}\n{}",
            ended.code,
            ended.text()
        );
        ended.says(&[says]);
    }
    before.holds_the_same(place.folder());
    place.run(["run"]).exits(0).says(&["GOAL COMPLETE — 3 tasks"]);
    assert_eq!(place.text("repo/runs.txt"), "x\nx\nx\n");
    place.holds();
}

#[test]
fn commands_that_need_no_goal_end_with_0() {
    let place = Place::bare();
    let before = Tree::of(place.folder());
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help"],
        &["run", "--help"],
        &["log", "query", "--help"],
        &["schema"],
        &["man"],
    ] {
        let ended = place.run(arguments);
        assert!(
            ended.code == 0 || arguments == ["help"],
            "{arguments:?}\n{}",
            ended.text()
        );
        assert!(!ended.text().is_empty());
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        place
            .run(["completions", shell])
            .exits(0)
            .says(&["machine-driver"]);
    }
    place.run(["--help"]).says(&[
        "Exit codes",
        "0  every task done",
        "11  another driver holds this goal",
        "143  interrupted",
    ]);
    before.is_still(place.folder());
    let schema = place.run(["schema"]).out();
    let kept = fs::read_to_string(repository().join("schemas/goal.schema.json")).unwrap();
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert!(
        read(&schema) == read(&kept),
        "schemas/goal.schema.json is what `machine-driver schema` prints"
    );
    place.run(["man", "--dir", "pages"]).exits(0);
    assert!(
        place.path("pages/machine-driver.1").is_file() && place.path("pages/machine-driver-run.1").is_file()
    );
}

#[test]
fn init_writes_a_goal_that_check_accepts_and_replaces_nothing() {
    let place = Place::bare();
    let arguments = [
        "init",
        "--repo",
        "repo",
        "--worker",
        "echo x >> runs.txt",
        "--verify",
        "true",
        "--task",
        "one",
        "--task",
        "$(two) \"2\"",
    ];
    place.run(arguments).exits(0);
    place.run(["check"]).exits(0);
    let written = place.text("goal.json");
    let again = place.run(arguments);
    assert_ne!(again.code, 0);
    again.says(&["goal.json"]);
    assert_eq!(place.text("goal.json"), written);
    place.run(["run"]).exits(0).says(&["GOAL COMPLETE — 2 tasks"]);
    place.holds();
}

#[test]
fn check_starts_nothing_and_baseline_only_verify() {
    let place = Place::new(
        &json!({ "worker_cmd": "touch worked", "verify_cmd": "touch verified; false", "tasks": tasks(&["a"]) }),
    );
    let before = Tree::of(place.folder());
    place.run(["check"]).exits(0);
    before.is_still(place.folder());
    place.run(["check", "--baseline"]).says(&["exit 1"]);
    assert!(place.path("repo/verified").exists() && !place.path("repo/worked").exists());
    assert!(!place.path("driver-log.jsonl").exists());
}

#[test]
fn with_json_every_line_is_an_object_and_the_last_a_summary() {
    let place = passing(&["a", "b"]);
    let quiet = |arguments: &[&str], code: i32| {
        let ended = place.run(arguments);
        assert_eq!(
            (ended.code, ended.err().as_str()),
            (code, ""),
            "{arguments:?}\n{}",
            ended.out()
        );
        let last = ended.json().pop().unwrap();
        assert_eq!(last["exit"], code, "{arguments:?}: {last}");
        assert!(last["code"].is_string(), "{arguments:?}: {last}");
    };
    quiet(&["check", "--json"], 0);
    quiet(&["status", "--json"], 0);
    quiet(&["--json", "goal.json"], 0);
    quiet(&["run", "--json"], 0);
    for command in [
        &["status"][..],
        &["log", "show"],
        &["log", "verify"],
        &["replay"],
        &["log", "query", "--task", "a"],
        &["log", "show", "--last", "2"],
    ] {
        quiet(&[command, &["--json"]].concat(), 0);
    }
    quiet(&["task", "add", "--goal", "z", "--json"], 0);
    quiet(&["retry", "a", "--json"], 64);
    quiet(&["log", "restart", "--json"], 0);
    quiet(&["status", "nowhere.json", "--json"], 10);
    quiet(
        &[
            "init", "--json", "--repo", "repo", "--worker", "true", "--verify", "true", "--task", "x",
            "--out", "new.json",
        ],
        0,
    );
}

#[test]
fn stdout_has_the_product_and_a_quiet_run_what_scripts_look_for() {
    let place = failing();
    let ended = place.run(["run", "--quiet"]);
    ended.exits(3);
    let out = ended.out();
    for line in [
        "driver up",
        "mode=propose",
        "QUARANTINED a",
        "GOAL COMPLETE — 1 tasks, 1 blocked/surfaced.",
    ] {
        assert!(
            out.lines().any(|one| one.starts_with(line)),
            "`{line}` is missing in\n{out}"
        );
    }
    assert!(!ended.text().contains("attempt 1"), "{}", ended.text());
}

#[test]
fn an_edit_that_drops_a_task_under_way_is_refused() {
    let place = Place::new(
        &json!({ "worker_cmd": "true", "verify_cmd": "kill -KILL $PPID; sleep 9", "tasks": tasks(&["a", "b"]) }),
    );
    // A verifier cannot reach the driver that easily, so this run ends well or not; what matters is a task under way.
    let run = place.start(["run"]);
    machine_driver_tests::wait_until("the worker", std::time::Duration::from_secs(30), || {
        place.history().count("worker_exited") == 1
    });
    run.kill();
    let mut goal = place.json();
    goal["tasks"].as_array_mut().unwrap().remove(0);
    goal["verify_cmd"] = json!("true");
    fs::write(place.goal(), goal.to_string()).unwrap();
    place
        .run(["run"])
        .exits(10)
        .says(&["task `a` is not in it any more", "next:"]);
}
