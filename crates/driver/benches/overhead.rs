//! What the driver costs per task beyond its floor: two `sh -c true` and the syncs of its records, measured in turn with it.
//!
//! `cargo bench -p machine-driver --bench overhead [-- TASKS...]`, by default 100, 1,000 and 10,000 tasks.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints"
)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use machine_driver::Driver;
use tempfile::TempDir;

/// Runs for a median, at sizes that allow it.
const REPEATS: usize = 5;

fn main() {
    machine_driver::init();
    let sizes: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() {
        vec![100, 1_000, 10_000]
    } else {
        sizes
    };
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>8} {:>14}",
        "tasks", "run/task", "floor/task", "beyond", "ratio", "beyond / first"
    );
    let mut first = None;
    // Removing thousands of files keeps the journal busy: that is left for the end.
    let mut folders = Vec::new();
    for tasks in sizes {
        let mut samples: Vec<(Duration, Duration)> =
            (0..repeats(tasks)).map(|_| sample(tasks, &mut folders)).collect();
        samples.sort_by_key(|(run, floor)| run.saturating_sub(*floor));
        let (run, floor) = samples[samples.len() / 2];
        let beyond = run.as_secs_f64() - floor.as_secs_f64();
        let first = *first.get_or_insert(beyond);
        println!(
            "{tasks:>8} {:>9.3} ms {:>9.3} ms {:>9.3} ms {:>8.2} {:>14.2}",
            run.as_secs_f64() * 1e3,
            floor.as_secs_f64() * 1e3,
            beyond * 1e3,
            run.as_secs_f64() / floor.as_secs_f64(),
            beyond / first,
        );
    }
    println!(
        "resident memory at its highest: {} (of the driver, all runs)",
        peak_memory()
    );
}

const fn repeats(tasks: usize) -> usize {
    if tasks <= 1_000 { REPEATS } else { 1 }
}

/// One run and its floor, each per task.
fn sample(tasks: usize, folders: &mut Vec<TempDir>) -> (Duration, Duration) {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("sync").status().unwrap().success());
    let (before, run) = (floor(folder.path(), tasks.min(400)), run(folder.path(), tasks));
    let after = floor(folder.path(), tasks.min(400));
    folders.push(folder);
    (run / u32::try_from(tasks).unwrap(), (before + after) / 2)
}

fn run(folder: &Path, tasks: usize) -> Duration {
    fs::create_dir(folder.join("repo")).unwrap();
    fs::write(folder.join("goal.json"), goal(tasks)).unwrap();
    let started = Instant::now();
    let summary = Driver::builder(folder.join("goal.json"))
        .guarded()
        .build()
        .unwrap()
        .run()
        .unwrap();
    let took = started.elapsed();
    assert_eq!(summary.done, tasks);
    took
}

fn goal(tasks: usize) -> String {
    let mut text = String::from(
        "{\n  \"goal\": \"bench\",\n  \"repo\": \"repo\",\n  \"worker_cmd\": \"true\",\n  \"verify_cmd\": \"true\",\n  \
         \"tick_seconds\": 0,\n  \"tasks\": [\n",
    );
    for number in 0..tasks {
        let comma = if number + 1 == tasks { "" } else { "," };
        writeln!(
            text,
            "    {{ \"id\": \"task-{number}\", \"goal\": \"do number {number}\" }}{comma}"
        )
        .unwrap();
    }
    text.push_str("  ]\n}\n");
    text
}

/// What a task cannot do without, in the order in which it happens: a synced record, a shell, two records, a shell, two
/// records.
fn floor(folder: &Path, tasks: usize) -> Duration {
    let mut log = File::create(folder.join("floor.jsonl")).unwrap();
    let mut record = || {
        log.write_all(&[b'x'; 520]).unwrap();
        log.sync_data().unwrap();
    };
    let shell = || {
        let shell = Command::new("/bin/sh")
            .args(["-c", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(shell.unwrap().success());
    };
    let started = Instant::now();
    for _ in 0..tasks {
        record();
        shell();
        record();
        record();
        shell();
        record();
        record();
    }
    started.elapsed() / u32::try_from(tasks).unwrap()
}

fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown here".into(), |text| text.trim().to_owned())
}
