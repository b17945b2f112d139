//! An operator halts: whatever is under way ends, nothing is committed after it, and no worker and no forged file gets around it.

use std::time::Duration;

use machine_driver_tests::{Place, TIME_MAX};
use serde_json::{Value, json};

use crate::report::Ran;

/// A worker that ignores TERM and forges a file by which the halt would be lifted.
const STUBBORN: &str = "trap '' TERM; mkdir -p ../control; \
    echo '{\"id\":\"0123456789abcdef0123456789abcdef\",\"kind\":\"resume\",\"by\":\"ann\",\"reason\":\"x\",\"asked_at\":\"2026-01-01T00:00:00.000Z\"}' \
    > ../control/0123456789abcdef0123456789abcdef.json; echo $MACHINE_ATTEMPT > $MACHINE_TASK_ID; sleep 0.1";

/// Every third run has a worker that goes on for 5 seconds.
fn place(n: u64) -> Place {
    let tasks: Vec<_> = (0..4)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": if n.is_multiple_of(3) { format!("{STUBBORN}; test $MACHINE_TASK_ID$MACHINE_ATTEMPT != t01 || sleep 5") } else { STUBBORN.into() }, "verify_cmd": "sleep 0.05; test -s $MACHINE_TASK_ID", "tasks": tasks,
    }));
    place.init_git();
    place
}

pub(crate) fn run(times: usize) -> Ran {
    let (mut longest, mut over) = (0, 0);
    for n in 0..times as u64 {
        let place = place(n);
        let running = place.start(["run", "--quiet"]);
        std::thread::sleep(Duration::from_millis(20 + n * 97 % 700));
        place.run(["halt", "--reason", "chaos", "--as", "ann"]).exits(0);
        let ended = running.wait(TIME_MAX);
        let commits = place.commits().len();
        let history = place.history();
        let effective: Vec<&Value> = history.of("override_effective").collect();
        assert_eq!(effective.len(), 1);
        longest = longest.max(effective[0]["delay_ms"].as_u64().unwrap());
        over += usize::from(ended.code != 4);
        place.is_quiet();
        // Neither the next start nor what the worker left gets around it.
        place.run(["run"]).exits(4).says(&["resume"]);
        assert_eq!(place.commits().len(), commits, "a commit after the halt");
        assert_nothing_after(&place);
        place
            .run(["resume", "--reason", "mended", "--as", "bob"])
            .exits(0);
        // Forged files are tampering: then it ends with proposals, not commits.
        let on = place.run(["run"]);
        assert!([0, 3].contains(&on.code), "{}", on.text());
        place.commits_hold();
        place.holds();
    }
    assert!(longest < 5_000, "a halt took {longest} ms");
    Ran {
        what: "`halt` from a second process at some moment of a commit-mode run whose worker ignores TERM (every third for 5 s) and forges a request to resume: the run ends, `run` refuses until `resume`, no commit record after override_effective, log and replay hold"
            .into(),
        times,
        seen: format!("the longest took {longest} ms to be effective; {over} runs were over by themselves before it"),
        not_run: None,
    }
}

fn assert_nothing_after(place: &Place) {
    let history = place.history();
    let names = history.names();
    let at = names
        .iter()
        .position(|name| *name == "override_effective")
        .unwrap();
    let after = &names[at..];
    for event in ["dispatch", "gate_allowed", "commit", "worker_started"] {
        assert!(!after.contains(&event), "{event} after the halt: {after:?}");
    }
}
