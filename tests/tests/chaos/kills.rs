//! Killed at some moment, a driver goes on with the same task.

use std::time::Duration;

use machine_driver_tests::Place;
use serde_json::json;

use crate::report::Ran;

fn place() -> Place {
    let tasks: Vec<_> = (0..4)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> ../runs.txt; sleep 0.02; \
                       echo \"$MACHINE_ATTEMPT\" > \"$MACHINE_TASK_ID\"",
        "verify_cmd": "sleep 0.01; test -s $MACHINE_TASK_ID", "tasks": tasks,
    }));
    place.init_git();
    place
}

pub(crate) fn run(times: usize) -> Ran {
    let (mut kills, mut same) = (0, 0);
    while kills < times {
        let place = place();
        for n in 0..3_u64 {
            let run = place.start(["run", "--quiet"]);
            std::thread::sleep(Duration::from_millis(15 + (kills as u64 * 37 + n * 53) % 150));
            run.kill();
            kills += 1;
        }
        let cut_off = under_way(&place);
        let before = place.history().0.len();
        place.run(["run"]).exits(0);
        let history = place.history();
        if let Some(task) = cut_off {
            let next = history.0[before..].iter().find(|record| {
                ["dispatch", "verified", "commit"]
                    .iter()
                    .any(|event| record["event"] == *event)
            });
            assert_eq!(next.unwrap()["task"], task, "it went on with another task");
            same += 1;
        }
        history.asked_for(&place.text("runs.txt"));
        assert_eq!(
            place.commits(),
            ["t0", "t1", "t2", "t3"].map(|id| format!("driver: {id}"))
        );
        place.commits_hold();
        place.holds();
        place.is_quiet();
    }
    Ran {
        what: "kill -9 of the driver at some moment of a run with 4 tasks and commits, started again to the end: every task \
               done, none skipped, none run without a dispatch, as many commits as tasks, log and replay hold, nothing left running"
            .into(),
        times: kills,
        seen: format!("a task was under way before {same} of the last starts, and each time the same went on"),
        not_run: None,
    }
}

/// The task whose attempt had begun and not ended.
fn under_way(place: &Place) -> Option<String> {
    let history = place.history();
    let is_about_it = |record: &&serde_json::Value| record["task"].is_string();
    let last = history.0.iter().rfind(is_about_it)?;
    let over = ["commit", "commit_empty", "proposed", "requeue", "quarantine"];
    let is_over = over.iter().any(|event| last["event"] == *event);
    (!is_over).then(|| last["task"].as_str().unwrap_or_default().to_owned())
}
