//! How fast a log is read and checked: `cargo bench -p machine-driver-state --bench log [records]`.
//!
//! Prints records per second, and the time as a multiple of what SHA-256 and the search for newlines alone take on the
//! same bytes in the same run.

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use machine_driver_state::canonical::sha256;
use machine_driver_state::control::ProcessMark;
use machine_driver_state::event::{
    AttemptRef, Dispatch, Event, OutputDigest, Proposed, Verified, WorkerClass, WorkerExited,
};
use machine_driver_state::id::{ActorId, SessionId, TaskId};
use machine_driver_state::record::{Head, Record};
use machine_driver_state::store::{RealDisk, read_log};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let records = asked.unwrap_or(200_000);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("driver-log.jsonl");
    let log = log_of(records)?;
    fs::write(&path, &log)?;

    let raw = best(|| {
        let lines = log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| u64::from(sha256(line).as_bytes()[0])).sum())
    })?;
    let read = best(|| Ok(read_log(&RealDisk, &path, None, &mut |_| Ok(()))?.records))?;
    let per_second = |time: Duration| records as f64 / time.as_secs_f64();
    print(&format!(
        "{records} records of {} bytes",
        log.len() / records.max(1)
    ));
    print(&format!(
        "raw SHA-256 and lines, one thread: {:>9.0} records/s",
        per_second(raw)
    ));
    print(&format!(
        "read and check:                    {:>9.0} records/s",
        per_second(read)
    ));
    print(&format!("ratio: {:.1}", read.as_secs_f64() / raw.as_secs_f64()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn print(line: &str) {
    println!("{line}");
}

fn best(mut work: impl FnMut() -> Result<u64, Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(work()?);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// A run in which every task takes one attempt of five records.
fn log_of(records: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut log = Vec::new();
    let mut head: Option<Head> = None;
    for number in 0..records {
        let at = Timestamp::from_millis(1_795_341_600_000 + i64::try_from(number)? * 137);
        let record = Record::after(head, at, "0123456789abcdef0123456789abcdef", event(number)?)?;
        head = Some(record.head());
        log.extend_from_slice(record.line()?.as_bytes());
        log.push(b'\n');
    }
    Ok(log)
}

fn event(number: usize) -> Result<Event, Box<dyn Error>> {
    let task = number / 5;
    let attempt = AttemptRef {
        task: TaskId::new(&format!("task-{task}"))?,
        attempt: 1,
        session: Some(SessionId::new(&format!("{task:032x}"))?),
        idempotency_key: sha256(task.to_string().as_bytes()),
        autonomy_used: 1,
    };
    let output = OutputDigest {
        bytes: task as u64,
        sha256: sha256(b"output"),
    };
    Ok(match number % 5 {
        0 => Event::Dispatch(
            attempt,
            Dispatch {
                worker_id: ActorId::new("worker:command")?,
            },
        ),
        1 => {
            let boot_id = "5f0c4a52-6f5e-4f57-9b2c-0d9f6c1e2a3b".to_owned();
            Event::WorkerStarted(
                attempt,
                ProcessMark {
                    pid: 4711,
                    pgid: 4711,
                    start_time: 123_456,
                    boot_id,
                },
            )
        }
        2 => Event::WorkerExited(
            attempt,
            WorkerExited {
                class: WorkerClass::Ok,
                exit: Some(0),
                signal: None,
                timed_out: false,
                usage: Usage::default(),
                output,
                wall_ms: 1234,
                retry_after_ms: None,
                detail: None,
            },
        ),
        3 => {
            let verifier_id = ActorId::new("verifier:command")?;
            Event::Verified(
                attempt,
                Verified {
                    verifier_id,
                    output,
                    wall_ms: 321,
                    change: None,
                    no_change: None,
                    audit: None,
                },
            )
        }
        _ => Event::Proposed(attempt, Proposed {}),
    })
}
