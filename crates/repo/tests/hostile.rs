//! A worker that can write to the repository tries to make the committer run its programs, wait for ever, miss an edit,
//! commit something else, or write elsewhere.
//!
//! Each entry first runs against plain git calls: a trap that does not work there proves nothing, and is printed as
//! skipped. `HOSTILE_ONLY=<part of a name>` runs some, `HOSTILE_CONTROLS=1` the controls alone.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "hostile/act.rs"]
mod act;
#[path = "hostile/committer.rs"]
mod committer;
#[path = "hostile/entry.rs"]
mod entry;
#[path = "hostile/judge.rs"]
mod judge;
#[path = "hostile/places.rs"]
mod places;
#[path = "hostile/programs.rs"]
mod programs;
#[path = "hostile/sandbox.rs"]
mod sandbox;
#[path = "hostile/snapshot.rs"]
mod snapshot;
#[path = "hostile/views.rs"]
mod views;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use entry::{Entry, Stage};
use judge::{Verdict, judge};
use sandbox::{EDIT, Ended, Sandbox, Template};

/// Most of a run's time goes into waiting for the disk.
const THREADS: usize = 4;

/// No answer within this is a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer that comes later than this is told: most likely a limit of the committer's had to end a call.
const SLOW: Duration = Duration::from_secs(8);

#[test]
fn nothing_a_worker_plants_is_run_missed_or_waited_for() {
    let entries = corpus();
    let template = Template::new();
    let (tally, next) = (Mutex::new(Tally::default()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = run(entry, &template);
                    tally.lock().unwrap().add(entry, told);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    say(&format!(
        "hostile corpus: {} entries, {} controls fired, {} skipped; {} right commits, {} refusals",
        entries.len(),
        tally.fired,
        tally.skipped,
        tally.commits,
        tally.refusals
    ));
    assert!(tally.wrong.is_empty(), "{} wrong answers", tally.wrong.len());
    assert!(
        tally.skipped * 10 <= entries.len(),
        "too many traps do not work here: little was proven"
    );
}

/// The driver of one entry, in a process of its own: [`run`] starts it with an environment of its own and can end it.
#[test]
#[ignore = "run by the other test"]
fn driver_of_one_entry() {
    let Some(root) = std::env::var_os("HOSTILE_ROOT") else {
        return;
    };
    let stage = match std::env::var("HOSTILE_STAGE").unwrap().as_str() {
        "Open" => Stage::Open,
        "Read" => Stage::Read,
        _ => Stage::Commit,
    };
    act::act(&PathBuf::from(root), stage);
}

fn corpus() -> Vec<Entry> {
    let all = [
        programs::HOOKS,
        programs::CONFIG,
        programs::ATTRIBUTES,
        places::POINTERS,
        places::PIPES,
        places::FLOODS,
        places::LIES,
        views::HIDING,
        views::NAMES,
        views::SURROUNDINGS,
        views::RACES,
    ];
    let only = std::env::var("HOSTILE_ONLY").unwrap_or_default();
    let entries: Vec<Entry> = all
        .concat()
        .into_iter()
        .filter(|entry| entry.name.contains(&only))
        .collect();
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), entries.len(), "two entries with one name");
    entries
}

/// Past the harness, which keeps what a passing test prints to itself.
fn say(line: &str) {
    std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// What came of one entry: whether its control fired, and of each stage.
struct Told {
    fired: bool,
    runs: Vec<(Stage, Result<Verdict, String>)>,
}

fn run(entry: &Entry, template: &Template) -> Told {
    let control = template.sandbox();
    control.worker(EDIT);
    control.worker(entry.plant);
    let fired = control.naive(entry);
    control.end_all();
    let stages = if std::env::var_os("HOSTILE_CONTROLS").is_some() {
        &[]
    } else {
        entry.stages
    };
    let runs = stages
        .iter()
        .map(|stage| (*stage, attempt(entry, *stage, template)))
        .collect();
    Told { fired, runs }
}

fn attempt(entry: &Entry, stage: Stage, template: &Template) -> Result<Verdict, String> {
    let sandbox = template.sandbox();
    for (name, text) in [
        ("base", &sandbox.base),
        ("other", &sandbox.other),
        ("plant", &entry.plant.to_owned()),
    ] {
        fs::write(sandbox.root.join(name), text).unwrap();
    }
    // Under a limit of memory as well as of time: a flood is not to be read into it.
    let mut driver = Command::new("/bin/sh");
    driver
        .args(["-c", "ulimit -v 4000000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    driver.args([
        "--exact",
        "driver_of_one_entry",
        "--ignored",
        "--nocapture",
        "--quiet",
    ]);
    sandbox.surround(&mut driver, entry.env);
    driver
        .env("HOSTILE_ROOT", &sandbox.root)
        .env("HOSTILE_STAGE", format!("{stage:?}"));
    driver.env("HOSTILE_PATH", std::env::var_os("PATH").unwrap());
    let said = fs::File::create(sandbox.root.join("said")).unwrap();
    driver
        .current_dir(&sandbox.root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said);
    let began = Instant::now();
    let ended = sandbox.bounded(&mut driver, LIMIT);
    if began.elapsed() > SLOW {
        say(&format!(
            "SLOW {} ({stage:?}): {} s",
            entry.name,
            began.elapsed().as_secs()
        ));
    }
    let left = leftovers(&sandbox);
    sandbox.end_all();
    let Ended::With(status) = ended else {
        return Err("no answer in time: it hangs".into());
    };
    if !status.success() {
        let said = fs::read_to_string(sandbox.root.join("said")).unwrap();
        return Err(format!("the driver came to a bad end: {}", said.escape_debug()));
    }
    let verdict = judge(entry, stage, template, &sandbox)?;
    if left.is_empty() {
        Ok(verdict)
    } else {
        Err(format!("it left processes: {left:?}"))
    }
}

/// Processes of a run that ended; one that is ending gets a second for it.
fn leftovers(sandbox: &Sandbox) -> Vec<String> {
    for _ in 0..20 {
        if sandbox.left_over().is_empty() {
            return Vec::new();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let tell = |id: &String| {
        fs::read(format!("/proc/{id}/cmdline")).map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
    };
    sandbox
        .left_over()
        .iter()
        .filter_map(|id| tell(id).ok())
        .collect()
}

#[derive(Default)]
struct Tally {
    fired: usize,
    skipped: usize,
    commits: usize,
    refusals: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, entry: &Entry, told: Told) {
        if told.fired {
            self.fired += 1;
        } else {
            self.skipped += 1;
            say(&format!(
                "SKIP {}: it does not work against plain calls of this git",
                entry.name
            ));
        }
        for (stage, verdict) in told.runs {
            match verdict {
                Ok(Verdict::Committed) => self.commits += 1,
                Ok(Verdict::Refused) => self.refusals += 1,
                Err(why) => {
                    let wrong = format!("WRONG {} ({stage:?}): {why}", entry.name);
                    say(&wrong);
                    self.wrong.push(wrong);
                }
            }
        }
    }
}
