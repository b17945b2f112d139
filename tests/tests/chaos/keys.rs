//! One idempotency key, one effect: however often a driver is killed around a commit, started twice, or started again.

use std::collections::BTreeSet;
use std::time::Duration;

use machine_driver_tests::{Place, TIME_MAX, wait_until};
use serde_json::json;

use crate::report::Ran;

fn place() -> Place {
    let tasks: Vec<_> = (0..3)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo $MACHINE_ATTEMPT > $MACHINE_TASK_ID", "verify_cmd": "true", "tasks": tasks,
    }));
    place.init_git();
    place
}

pub(crate) fn run(times: usize) -> Ran {
    let (mut kills, mut between) = (0, 0);
    while kills < times {
        let place = place();
        for wanted in 1..=3 {
            let mut run = place.start(["run", "--quiet"]);
            let intents = || place.text("driver-log.jsonl").matches("\"gate_allowed\"").count();
            wait_until("an intent to commit", TIME_MAX, || {
                intents() >= wanted || run.has_ended()
            });
            std::thread::sleep(Duration::from_micros((kills as u64 * 1_700) % 20_000));
            if run.has_ended() {
                break;
            }
            run.kill();
            kills += 1;
            let history = place.history();
            between += usize::from(history.count("gate_allowed") > history.count("commit"));
        }
        // Two at once: one of them does the work.
        let (one, other) = (place.start(["run"]), place.start(["run"]));
        let mut codes = [one.wait(TIME_MAX).code, other.wait(TIME_MAX).code];
        codes.sort_unstable();
        assert!(
            codes == [0, 11] || codes == [0, 0],
            "two drivers at once ended with {codes:?}"
        );
        place.run(["run"]).exits(0);
        let keys = place.git(&[
            "log",
            "--format=%(trailers:key=Machine-Driver-Key,valueonly,separator=)",
        ]);
        let keys: Vec<&str> = keys.lines().filter(|line| !line.is_empty()).collect();
        let different: BTreeSet<_> = keys.iter().collect();
        assert_eq!(
            (keys.len(), different.len()),
            (3, 3),
            "a key was committed twice, or not at all"
        );
        place.commits_hold();
        place.holds();
    }
    Ran {
        what: "kill -9 behind the record that allows a commit, then two drivers at once, then one more on the finished goal: \
               one commit for each of 3 idempotency keys"
            .into(),
        times: kills,
        seen: format!("{between} kills fell between intent and record"),
        not_run: None,
    }
}
