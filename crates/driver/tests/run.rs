//! Whole runs with real commands on a real disk, without the command line.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use machine_driver::{
    Clock, Driver, DriverError, Exit, Notice, Stop, Summary, SystemClock, Until, look, operator, proof,
};
use machine_driver_state::control::Cut;
use machine_driver_state::goal::Status;
use machine_driver_state::id::TaskId;
use machine_driver_state::store::StoreError;
use machine_driver_state::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a goal.json and a folder to work in.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(goal: Value) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("repo")).unwrap();
        let place = Self { folder };
        place.write(&goal);
        place
    }

    /// Writes a goal.json with the usual keys filled in.
    fn write(&self, goal: &Value) {
        let mut all = json!({ "goal": "g", "repo": "repo", "tick_seconds": 0 });
        all.as_object_mut()
            .unwrap()
            .extend(goal.as_object().unwrap().clone());
        fs::write(self.goal(), serde_json::to_string_pretty(&all).unwrap()).unwrap();
    }

    fn goal(&self) -> PathBuf {
        self.folder.path().join("goal.json")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.goal()).unwrap()).unwrap()
    }

    fn run(&self) -> (Summary, Vec<&'static str>) {
        self.run_with(Stop::new(), Until::Finished).unwrap()
    }

    fn run_with(&self, stop: Stop, until: Until) -> Result<(Summary, Vec<&'static str>), DriverError> {
        let names = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&names);
        let driver = Driver::builder(self.goal())
            .stop(&stop)
            .until(until)
            .on_notice(move |notice| {
                if let Notice::Recorded { record, .. } = notice {
                    heard.lock().unwrap().push(record.event.name());
                }
            })
            .build()?;
        let summary = driver.run()?;
        let names = names.lock().unwrap().clone();
        Ok((summary, names))
    }

    fn status(&self, task: &str) -> Status {
        look(&self.goal())
            .unwrap()
            .state
            .status(&TaskId::new(task).unwrap())
    }

    /// The log holds, the rules ask for all of it, and goal.json says what the log says.
    fn holds(&self) {
        proof::verify_log(&self.goal()).unwrap();
        proof::replay(&self.goal()).unwrap();
        let looked = look(&self.goal()).unwrap();
        for (task, shown) in looked.file.goal().tasks.iter().zip(&looked.file.progress().tasks) {
            assert_eq!(looked.state.status(&task.id), shown.status, "{}", task.id);
        }
    }
}

fn task(id: &str, goal: &str) -> Value {
    json!({ "id": id, "goal": goal })
}

#[test]
fn tasks_pass_fail_wait_and_are_quarantined() {
    let place = Place::new(json!({
        "worker_cmd": "echo {attempt} >> {task_id}.txt",
        "verify_cmd": "test \"$(wc -l < \"$MACHINE_TASK_ID.txt\")\" -ge 2 && test \"$MACHINE_TASK_ID\" != never",
        "max_attempts": 2,
        "tasks": [task("twice", "needs two"), { "id": "after", "goal": "x", "after": ["never"] }, task("never", "no")],
    }));
    let (summary, names) = place.run();
    assert_eq!(
        (summary.exit, summary.done, summary.blocked),
        (Exit::Blocked, 1, 2)
    );
    assert_eq!(names.iter().filter(|name| **name == "dispatch").count(), 4);
    assert_eq!(names.last(), Some(&"goal_complete"));
    assert_eq!(
        fs::read_to_string(place.path("repo/twice.txt")).unwrap(),
        "1\n2\n"
    );
    let tasks = place.json();
    let reason = |index: usize| {
        tasks
            .pointer(&format!("/tasks/{index}/reason"))
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(reason(1), "waits for `never`, which is blocked");
    assert_eq!(reason(2), "verify failed 2 times, last: exit 1");
    place.holds();
    let (again, names) = place.run();
    assert_eq!(
        (again.exit, names),
        (Exit::Blocked, vec!["driver_up", "goal_complete"])
    );
    place.holds();
}

#[test]
fn feedback_of_the_failed_verify_reaches_the_next_attempt() {
    let place = Place::new(json!({
        "worker_cmd": "printf '%s' {feedback} > heard.txt; cat {feedback_file} > file.txt",
        "verify_cmd": "printf 'say cheese\\033[1m'; grep -q cheese heard.txt && grep -q cheese file.txt",
        "tasks": [task("t1", "listen")],
    }));
    let (summary, _) = place.run();
    assert_eq!((summary.exit, summary.worker_runs), (Exit::Done, 2));
    assert_eq!(fs::read(place.path("repo/heard.txt")).unwrap(), b"say cheese[1m");
    assert_eq!(
        fs::read(place.path("evidence/t1/attempt-1.verify.log")).unwrap(),
        b"say cheese\x1b[1m"
    );
    place.holds();
}

#[test]
fn a_second_driver_is_refused_and_names_the_first() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("t1", "x")] }));
    place.run();
    let held = Driver::builder(place.goal()).build().unwrap();
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert_eq!(error.exit(), Exit::Locked);
    let Some(DriverError::Store(StoreError::Locked { holder, .. })) = Some(error) else {
        unreachable!()
    };
    assert_eq!(holder, Some(std::process::id()));
    drop(held);
    place.run();
}

#[test]
fn a_stop_saves_what_was_under_way_and_the_next_run_goes_on() {
    let place = Place::new(json!({
        "worker_cmd": "echo x >> runs.txt; test -e go || sleep 30",
        "verify_cmd": "true",
        "tasks": [task("t1", "x"), task("t2", "y")],
    }));
    let stop = Stop::new();
    let switch = stop.clone();
    let marker = place.path("repo/runs.txt");
    let presser = std::thread::spawn(move || {
        while !marker.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        switch.ask(Cut::Sigterm);
    });
    let (summary, names) = place.run_with(stop, Until::Finished).unwrap();
    presser.join().unwrap();
    assert_eq!((summary.exit, summary.remaining), (Exit::Terminated, 2));
    assert_eq!(names.last(), Some(&"interrupted"));
    assert_eq!(place.status("t1"), Status::Pending);
    place.holds();
    fs::write(place.path("repo/go"), "").unwrap();
    let (summary, _) = place.run();
    assert_eq!((summary.exit, summary.worker_runs), (Exit::Done, 3));
    place.holds();
}

#[test]
fn once_is_one_attempt_and_max_tasks_counts_tasks() {
    let goal = json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x"), task("b", "x"), task("c", "x")] });
    let place = Place::new(goal);
    let (summary, _) = place.run_with(Stop::new(), Until::OneAttempt).unwrap();
    assert_eq!(
        (summary.exit, summary.done, summary.remaining),
        (Exit::Done, 1, 2)
    );
    let (summary, _) = place.run_with(Stop::new(), Until::Tasks(1)).unwrap();
    assert_eq!(
        (summary.exit, summary.done, summary.remaining),
        (Exit::Done, 2, 1)
    );
    let (summary, _) = place.run();
    assert_eq!(
        (summary.exit, summary.done, summary.remaining),
        (Exit::Done, 3, 0)
    );
    place.holds();
}

#[test]
fn the_wall_budget_stops_a_worker_that_runs() {
    let place = Place::new(json!({
        "worker_cmd": "sleep 30", "verify_cmd": "true", "budget": { "max_wall_seconds": 0.3 },
        "tasks": [task("t1", "x")],
    }));
    let (summary, names) = place.run();
    assert_eq!(summary.exit, Exit::BudgetHalt);
    let end = ["interrupted", "budget_halt", "alert_raised", "alert_delivered"];
    assert!(names.ends_with(&end), "{names:?}");
    let (again, _) = place.run();
    assert_eq!((again.exit, again.worker_runs), (Exit::BudgetHalt, 1));
    place.holds();
}

#[test]
fn the_wall_budget_stops_a_verify_that_runs() {
    let place = Place::new(json!({
        "worker_cmd": "true", "verify_cmd": "sleep 30", "budget": { "max_wall_seconds": 0.3 },
        "tasks": [task("t1", "x")],
    }));
    let (summary, names) = place.run();
    assert_eq!(summary.exit, Exit::BudgetHalt);
    let end = ["interrupted", "budget_halt", "alert_raised", "alert_delivered"];
    assert!(names.ends_with(&end), "{names:?}");
    place.write(&json!({ "worker_cmd": "exit 9", "verify_cmd": "true", "tasks": [task("t1", "x")] }));
    let (again, names) = place.run();
    assert_eq!((again.exit, again.worker_runs), (Exit::Done, 1), "{names:?}");
    assert_eq!(
        names,
        [
            "goal_edited",
            "driver_up",
            "verified",
            "proposed",
            "goal_complete"
        ]
    );
    place.holds();
}

#[test]
fn output_and_money_have_limits_too() {
    let place = Place::new(json!({
        "worker_cmd": "yes", "verify_cmd": "true", "budget": { "max_output_bytes": 100_000 },
        "tasks": [task("t1", "x")],
    }));
    assert_eq!(place.run().0.budget_halt.unwrap().limit, "max_output_bytes");
    place.holds();
    let spends = "printf '{\"input_tokens\":5,\"usd\":0.5}' > \"$MACHINE_USAGE_FILE\"";
    let place = Place::new(json!({
        "worker_cmd": spends, "verify_cmd": "true", "budget": { "max_usd": 1 },
        "tasks": [task("a", "x"), task("b", "x"), task("c", "x")],
    }));
    let (summary, _) = place.run();
    assert_eq!((summary.exit, summary.done), (Exit::BudgetHalt, 2));
    assert_eq!(summary.budget_halt.unwrap().used, "1.000000 USD");
    place.holds();
}

#[test]
fn a_rate_limited_worker_waits_and_loses_no_attempt() {
    let place = Place::new(json!({
        "worker_cmd": "if test -e seen; then exit 0; fi; touch seen; printf '{\"retry_after_seconds\":0.05}' > \"$MACHINE_USAGE_FILE\"; exit 75",
        "verify_cmd": "true", "max_attempts": 1, "tasks": [task("t1", "x")],
    }));
    let (summary, names) = place.run();
    assert_eq!((summary.exit, summary.worker_runs), (Exit::Done, 2));
    assert!(!names.contains(&"verify_failed"));
    place.holds();
}

#[test]
fn an_edit_while_it_runs_is_kept_and_undone_and_one_between_runs_is_honoured() {
    let place = Place::new(json!({
        "worker_cmd": "sed -i s/x-ray/zulu/ \"$MACHINE_GOAL\"", "verify_cmd": "true",
        "tasks": [task("t1", "x-ray"), task("t2", "y")],
    }));
    let (summary, names) = place.run();
    assert_eq!(summary.exit, Exit::Done);
    assert!(names.contains(&"tampering"), "{names:?}");
    assert_eq!(place.json().pointer("/tasks/0/goal"), Some(&json!("x-ray")));
    let kept = fs::read_dir(place.folder.path()).unwrap().filter_map(Result::ok);
    assert!(
        kept.map(|entry| entry.file_name())
            .any(|name| name.to_string_lossy().starts_with("goal.json.edited-"))
    );
    place.holds();

    let mut edited = place.json();
    edited["tasks"][0]["status"] = json!("pending");
    edited["worker_cmd"] = json!("true");
    fs::write(place.goal(), edited.to_string()).unwrap();
    let (summary, names) = place.run();
    assert_eq!((summary.exit, names.first()), (Exit::Done, Some(&"goal_edited")));
    assert_eq!(
        names.iter().filter(|name| **name == "dispatch").count(),
        1,
        "only t1 was put back"
    );
    place.holds();
}

#[test]
fn done_that_the_log_does_not_know_is_not_honoured() {
    let place = Place::new(
        json!({ "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tasks": [task("t1", "x")] }),
    );
    place.run();
    let mut edited = place.json();
    edited["tasks"][0]["status"] = json!("done");
    fs::write(place.goal(), edited.to_string()).unwrap();
    assert_eq!(place.run().0.exit, Exit::Blocked);
    assert_eq!(place.status("t1"), Status::Blocked);
    place.holds();
}

#[test]
fn a_blocked_task_is_put_back_with_those_behind_it() {
    let place = Place::new(json!({
        "worker_cmd": "true", "verify_cmd": "test -e ok", "max_attempts": 1,
        "tasks": [task("a", "x"), { "id": "b", "goal": "y", "after": ["a"] }],
    }));
    assert_eq!(place.run().0.blocked, 2);
    fs::write(place.path("repo/ok"), "").unwrap();
    let put_back = operator::retry(&place.goal(), &TaskId::new("a").unwrap(), SystemClock::new()).unwrap();
    assert_eq!(put_back.len(), 2);
    place.holds();
    let (summary, _) = place.run();
    assert_eq!((summary.exit, summary.done), (Exit::Done, 2));
    let error = operator::retry(&place.goal(), &TaskId::new("a").unwrap(), SystemClock::new()).unwrap_err();
    assert_eq!(
        (error.exit(), error.to_string().as_str()),
        (Exit::Usage, "task `a` is not blocked but done")
    );
    place.holds();
}

#[test]
fn a_task_can_be_added_before_and_after_the_first_run() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    operator::add_task(&place.goal(), &task("b", "y"), SystemClock::new()).unwrap();
    assert_eq!(place.run().0.done, 2);
    operator::add_task(&place.goal(), &task("c", "z"), SystemClock::new()).unwrap();
    place.holds();
    let before = fs::read(place.goal()).unwrap();
    assert!(operator::add_task(&place.goal(), &task("c", "again"), SystemClock::new()).is_err());
    assert_eq!(fs::read(place.goal()).unwrap(), before);
    assert_eq!(place.run().0.done, 3);
    place.holds();
}

#[test]
fn a_cut_log_stops_everything_until_a_new_chain_is_begun() {
    let place = Place::new(
        json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x"), task("b", "x")] }),
    );
    place.run();
    let log = fs::read_to_string(place.path("driver-log.jsonl")).unwrap();
    let cut: Vec<&str> = log.lines().take(4).collect();
    fs::write(place.path("driver-log.jsonl"), cut.join("\n") + "\n").unwrap();
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert!(error.to_string().contains("was cut"), "{error}");
    let kept = operator::restart_log(&place.goal(), SystemClock::new()).unwrap();
    assert_eq!(kept.name, "driver-log.1.jsonl");
    let (summary, names) = place.run();
    assert_eq!(
        (summary.exit, summary.done, names),
        (Exit::Done, 2, vec!["driver_up", "goal_complete"])
    );
    place.holds();
}

#[test]
fn a_log_of_another_goal_is_refused() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    place.run();
    place.write(
        &json!({ "goal": "other", "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }),
    );
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert_eq!(error.exit(), Exit::BadGoal);
    assert!(
        error.to_string().contains("belongs to the goal `g`, not `other`"),
        "{error}"
    );
}

/// A clock that was set back by a year between two runs.
#[derive(Debug)]
struct Earlier(SystemClock);

impl Clock for Earlier {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now().millis() - 365 * 86_400_000)
    }
}

#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    let place = Place::new(
        json!({ "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tasks": [task("a", "x"), task("b", "y")] }),
    );
    place.run_with(Stop::new(), Until::OneAttempt).unwrap();
    let behind = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&behind);
    let driver = Driver::builder(place.goal())
        .clock(Earlier(SystemClock::new()))
        .on_notice(move |notice| {
            if let Notice::ClockBehind { by } = notice {
                *heard.lock().unwrap() = Some(*by);
            }
        });
    assert_eq!(driver.build().unwrap().run().unwrap().exit, Exit::Blocked);
    assert!(
        behind
            .lock()
            .unwrap()
            .is_some_and(|by| by > Duration::from_secs(364 * 86_400))
    );
    place.holds();
}

#[test]
fn hostile_texts_arrive_and_never_run() {
    let texts = [
        "$(touch pwned)",
        "`touch pwned`",
        "'; touch pwned; '",
        "\"; touch pwned; \"",
        "a\nb\\",
        "-rf /",
        "ünï",
    ];
    let tasks: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| task(&format!("t{n}"), text))
        .collect();
    let place = Place::new(json!({
        "worker_cmd": "printf '%s' \"{task}\" > {task_id}.txt; printf '%s' '{task}' > {task_id}.single",
        "verify_cmd": "cmp \"$MACHINE_TASK_FILE\" \"$MACHINE_TASK_ID.txt\" && cmp \"$MACHINE_TASK_FILE\" \"$MACHINE_TASK_ID.single\"",
        "max_attempts": 1, "tasks": tasks,
    }));
    assert_eq!(place.run().0.done, texts.len());
    for (n, text) in texts.iter().enumerate() {
        assert_eq!(
            fs::read_to_string(place.path(&format!("repo/t{n}.txt"))).unwrap(),
            *text
        );
    }
    assert!(!place.path("repo/pwned").exists());
    place.holds();
}

#[test]
fn a_bad_goal_changes_nothing_on_disk() {
    let place = Place::new(
        json!({ "worker_cmd": "no-such-program-anywhere", "verify_cmd": "true", "tasks": [task("a", "x")] }),
    );
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert_eq!(error.exit(), Exit::BadGoal);
    assert!(
        error
            .to_string()
            .contains("there is no program `no-such-program-anywhere`"),
        "{error}"
    );
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!(names(place.folder.path()), 2, "goal.json and repo, as before");
}

#[test]
fn a_task_whose_adding_was_killed_between_log_and_goal_is_there() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    place.run();
    let before = fs::read(place.goal()).unwrap();
    operator::add_task(&place.goal(), &task("b", "y"), SystemClock::new()).unwrap();
    fs::write(place.goal(), before).unwrap();
    let (summary, names) = place.run();
    assert_eq!((summary.done, summary.tasks), (2, 2));
    assert!(!names.contains(&"goal_edited"), "{names:?}");
    place.holds();
}

#[test]
fn a_kill_between_setting_an_originals_log_aside_and_the_first_record_loses_nothing() {
    let done = json!({ "id": "a", "goal": "x", "status": "done", "attempts": 2 });
    let place =
        Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [done, task("b", "y")] }));
    let old = "{\"ts\":1750000000.5,\"event\":\"driver_up\",\"prev\":\"\",\"hash\":\"0123456789abcdef\"}\n";
    fs::write(place.path("driver-log.original.jsonl"), old).unwrap();
    fs::write(place.path("driver-log.jsonl"), "").unwrap();
    let (summary, names) = place.run();
    assert_eq!((summary.done, summary.worker_runs), (2, 1));
    assert_eq!(names.first(), Some(&"imported"));
    let first = fs::read_to_string(place.path("driver-log.jsonl")).unwrap();
    assert!(
        first
            .lines()
            .next()
            .unwrap()
            .contains("\"log_kept_as\":\"driver-log.original.jsonl\"")
    );
    place.holds();
}

#[test]
fn a_task_under_way_cannot_be_edited_away() {
    let place = Place::new(
        json!({ "worker_cmd": "true", "verify_cmd": "sleep 30", "budget": { "max_wall_seconds": 0.2 }, "tasks": [task("a", "x"), task("b", "y")] }),
    );
    assert_eq!(place.run().0.exit, Exit::BudgetHalt);
    place.write(&json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("b", "y")] }));
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert_eq!(error.exit(), Exit::BadGoal);
    assert!(
        error.to_string().contains("an attempt at it is under way"),
        "{error}"
    );
    place.write(
        &json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("b", "y"), task("a", "x")] }),
    );
    assert_eq!(place.run().0.done, 2, "the order may change");
    place.holds();
}

#[test]
fn a_task_that_was_added_and_taken_out_again_stays_out() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    place.run();
    operator::add_task(&place.goal(), &task("b", "y"), SystemClock::new()).unwrap();
    let mut edited = place.json();
    edited["tasks"].as_array_mut().unwrap().pop();
    fs::write(place.goal(), edited.to_string()).unwrap();
    let (summary, names) = place.run();
    assert_eq!((summary.tasks, names.first()), (1, Some(&"goal_edited")));
    place.holds();
}

#[test]
fn whatever_stands_in_the_place_of_old_evidence_stops_nothing() {
    let swap = "test $MACHINE_ATTEMPT = 1 || { rm -rf $(dirname \"$MACHINE_TASK_FILE\")/attempt-1.verify.log; \
                ln -s /etc/passwd $(dirname \"$MACHINE_TASK_FILE\")/attempt-1.verify.log; }; \
                test $MACHINE_ATTEMPT = 3 || exit 0; cat {feedback_file} > heard";
    let place = Place::new(json!({
        "worker_cmd": swap, "verify_cmd": "echo nope; test -e heard", "tasks": [task("t1", "x"), task("t2", "y")],
    }));
    let (summary, _) = place.run();
    assert_eq!(summary.done, 2);
    assert_eq!(
        fs::read_to_string(place.path("repo/heard")).unwrap().trim(),
        "nope"
    );
    place.holds();
}

#[test]
fn a_worker_that_clears_the_evidence_away_has_run_all_the_same() {
    let place = Place::new(json!({
        "worker_cmd": "echo hello; echo ran >> runs; rm -rf ../evidence", "verify_cmd": "true",
        "tasks": [task("t1", "x"), task("t2", "y")],
    }));
    let (summary, names) = place.run();
    assert!(!names.contains(&"requeue"), "{names:?}");
    assert_eq!(fs::read_to_string(place.path("repo/runs")).unwrap(), "ran\nran\n");
    assert_eq!(summary.worker_runs, 2);
    place.holds();
}

#[test]
fn numbers_from_elsewhere_leave_room_to_count_on() {
    for attempts in [4_294_967_295_u64, 4_294_967_296, 9_007_199_254_740_991] {
        let begun = json!({ "id": "a", "goal": "x", "attempts": attempts });
        let place = Place::new(json!({
            "worker_cmd": "true", "verify_cmd": "true", "runs": 9_007_199_254_740_991_u64, "tasks": [begun],
        }));
        assert_eq!(place.run().0.done, 1, "{attempts}");
        place.run();
        place.holds();
    }
}

#[test]
fn a_task_may_be_called_anything_that_an_id_may_be() {
    let ids = ["last-beat", "goal", "goal.json", "-", "A", "a", "CON"];
    let tasks: Vec<Value> = ids.iter().map(|id| task(id, "x")).collect();
    let place =
        Place::new(json!({ "worker_cmd": "echo $MACHINE_TASK_ID", "verify_cmd": "true", "tasks": tasks }));
    assert_eq!(place.run().0.done, ids.len());
    place.holds();
}

#[test]
fn a_fifo_in_the_place_of_an_old_log_is_an_error_and_not_a_wait() {
    let place = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    let made = std::process::Command::new("mkfifo")
        .arg(place.path("driver-log.original.jsonl"))
        .status();
    assert!(made.unwrap().success());
    let error = place.run_with(Stop::new(), Until::Finished).unwrap_err();
    assert!(error.to_string().contains("driver-log.original.jsonl"), "{error}");
}

#[test]
fn two_folders_of_one_tree_are_one_tree() {
    let one = Place::new(json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [task("a", "x")] }));
    fs::create_dir_all(one.path("repo/.git")).unwrap();
    fs::create_dir_all(one.path("repo/sub")).unwrap();
    let other = one.path("repo/sub/goal.json");
    let goal = json!({ "repo": one.path("repo/sub"), "worker_cmd": "true", "tasks": [task("b", "y")] });
    fs::write(&other, goal.to_string()).unwrap();
    let held = Driver::builder(one.goal()).build().unwrap();
    let refused = Driver::builder(&other).build().unwrap_err();
    assert_eq!(refused.exit(), Exit::Locked);
    assert!(
        !one.path("repo/sub/driver-log.jsonl").exists(),
        "nothing is left of what was refused"
    );
    drop(held);
}

#[test]
fn a_stop_between_two_steps_is_no_crash() {
    let place =
        Place::new(json!({ "worker_cmd": "true", "verify_cmd": "exit 127", "tasks": [task("a", "x")] }));
    let stop = Stop::new();
    let switch = stop.clone();
    let driver = Driver::builder(place.goal())
        .stop(&stop)
        .on_notice(move |notice| {
            if let Notice::Waiting { .. } = notice {
                switch.ask(Cut::Sigint);
            }
        });
    assert_eq!(driver.build().unwrap().run().unwrap().exit, Exit::Interrupted);
    let log = fs::read_to_string(place.path("driver-log.jsonl")).unwrap();
    assert!(log.lines().last().unwrap().contains("\"event\":\"interrupted\""));
    assert!(log.contains("\"by\":\"sigint\"") && !log.contains("\"by\":\"crash\""));
    place.holds();
    let (summary, names) = place.run();
    assert_eq!((summary.blocked, summary.worker_runs), (1, 1), "{names:?}");
    place.holds();
}

#[test]
fn a_new_chain_earns_no_fresh_budget() {
    let spends = "printf '{\"input_tokens\":5,\"usd\":0.5}' > \"$MACHINE_USAGE_FILE\"";
    let place = Place::new(json!({
        "worker_cmd": spends, "verify_cmd": "true", "budget": { "max_usd": 1 },
        "tasks": [task("a", "x"), task("b", "x"), task("c", "x")],
    }));
    assert_eq!(place.run().0.exit, Exit::BudgetHalt);
    operator::restart_log(&place.goal(), SystemClock::new()).unwrap();
    let (summary, names) = place.run();
    assert_eq!(
        (summary.exit, summary.worker_runs),
        (Exit::BudgetHalt, 2),
        "{names:?}"
    );
    place.holds();
}
