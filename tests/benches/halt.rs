//! How long a halt takes while a worker runs that ends when it is told to, and what a driver costs that waits for one.
//!
//! `cargo bench -p machine-driver-tests --bench halt [-- HALTS]`, by default 100. The worker obeys TERM.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints"
)]

use std::fs;
use std::time::{Duration, Instant};

use machine_driver_tests::{Place, TIME_MAX, wait_until};
use serde_json::json;

/// How long a waiting driver is watched.
const WATCHED: Duration = Duration::from_secs(20);

fn main() {
    let halts = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100);
    let place = Place::new(&json!({
        "worker_cmd": "echo $$ > worker.pid; exec sleep 600", "verify_cmd": "true",
        "tasks": [{ "id": "a", "goal": "x" }],
    }));
    let mut samples: Vec<[Duration; 3]> = (0..halts).map(|_| halt(&place)).collect();
    println!("{halts} halts of a worker that obeys, in milliseconds");
    println!("{:<44} {:>8} {:>8} {:>8}", "", "p50", "p99", "max");
    let what = [
        "asked until effective, as the log has it",
        "the command's start until it is effective",
        "the command's start until its end",
    ];
    for (index, what) in what.into_iter().enumerate() {
        samples.sort_by_key(|sample| sample[index]);
        let at = |share: f64| {
            let place = (share * (samples.len() - 1) as f64).ceil() as usize;
            samples[place][index].as_secs_f64() * 1e3
        };
        println!("{what:<44} {:>8.1} {:>8.1} {:>8.1}", at(0.5), at(0.99), at(1.0));
    }
    println!(
        "a driver that waits for a worker uses {:.3} % of a core, its guardian included ({WATCHED:?})",
        idle(&place) * 100.0
    );
}

/// The delay in the log; from the command's start until the record; and until its end.
fn halt(place: &Place) -> [Duration; 3] {
    let run = started(place);
    let (begun, at) = (Instant::now(), std::time::UNIX_EPOCH.elapsed().unwrap());
    let ended = place.run(["halt", "--reason", "bench", "--json", "--quiet"]);
    let took = begun.elapsed();
    ended.exits(0);
    run.wait(TIME_MAX).exits(4);
    let history = place.history();
    let effective = history.of("override_effective").last().unwrap();
    let delay = Duration::from_millis(effective["delay_ms"].as_u64().unwrap());
    let asked = history.of("override_requested").last().unwrap()["asked_at"].clone();
    let asked: machine_driver::state::time::Timestamp = serde_json::from_value(asked).unwrap();
    let begin = Duration::from_millis(u64::try_from(asked.millis()).unwrap()).saturating_sub(at);
    place.run(["resume", "--reason", "bench", "--quiet"]).exits(0);
    [delay, begin + delay, took]
}

fn started(place: &Place) -> machine_driver_tests::Running {
    let _ = fs::remove_file(place.path("repo/worker.pid"));
    let run = place.start(["run", "--quiet"]);
    wait_until("the worker", Duration::from_secs(30), || {
        !place.text("repo/worker.pid").is_empty()
    });
    run
}

/// The share of a core that driver and guardian use while a worker sleeps.
fn idle(place: &Place) -> f64 {
    let run = started(place);
    let all = || used(run.id()) + children(run.id()).into_iter().map(used).sum::<u64>();
    let before = all();
    std::thread::sleep(WATCHED);
    let used = all() - before;
    place.run(["halt", "--reason", "bench", "--quiet"]).exits(0);
    used as f64 / 1e9 / WATCHED.as_secs_f64()
}

fn children(id: u32) -> Vec<u32> {
    let path = format!("/proc/{id}/task/{id}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Nanoseconds that the threads of a process were on a processor (first field of schedstat, sched-stats.rst).
fn used(id: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let one = |path: std::path::PathBuf| -> Option<u64> {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    threads.filter_map(|entry| one(entry.ok()?.path())).sum()
}
