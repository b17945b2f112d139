//! A command that gets copies: started for each record on a thread of its own.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use machine_driver_process::{Cancel, Capture, capture, find_program};

use machine_driver_state::event::{Event, OverrideKind};

use super::Line;
use super::place::Kept;
use crate::outcome::chain;

/// The longest that a command may take for one record.
const WALL: Duration = Duration::from_secs(10);

/// How often a record is tried, each time that another one comes.
const TRIES: u32 = 3;

/// How long the end of a command of the driver's waits for copies under way, once its locks are free.
const FAREWELL: Duration = WALL;

/// The same where a halt stands.
const FAREWELL_HALTED: Duration = Duration::from_secs(5);

/// Copies on their way through a command.
pub(super) struct Copies {
    lines: Option<Sender<Line>>,
    troubles: Receiver<String>,
    thread: Option<JoinHandle<()>>,
    farewell: Duration,
    /// Whether something was sent: who has sent nothing waits for nothing.
    has_sent: bool,
}

impl Copies {
    pub(super) fn start(argv: &[String], kept: Kept) -> io::Result<Self> {
        let (lines, records) = mpsc::channel::<Line>();
        let (tell, troubles) = mpsc::channel();
        let name = argv.first().map(String::as_str).unwrap_or_default();
        let program = find_program(name.as_ref()).unwrap_or_else(|| name.into());
        let mut words = vec![program.into_os_string()];
        words.extend(argv.iter().skip(1).map(OsString::from));
        let work = move || {
            let mut owed = VecDeque::new();
            for line in records {
                owed.push_back(line);
                if let Err(trouble) = copy_all(&words, &mut owed, &kept) {
                    drop(tell.send(trouble)); // Nobody listens any more: the run is over.
                }
            }
        };
        let thread = Builder::new().name("audit-sink".into()).spawn(work)?;
        Ok(Self {
            lines: Some(lines),
            troubles,
            thread: Some(thread),
            farewell: FAREWELL,
            has_sent: false,
        })
    }

    pub(super) fn send(&mut self, line: Line) {
        self.has_sent = true;
        if let Some(lines) = &self.lines {
            drop(lines.send(line)); // A thread that panicked was told of on standard error.
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.troubles.try_iter().last()
    }

    /// Where a halt stands from this record on: whoever halts does not wait long for a copy.
    pub(super) fn hurry(&mut self, event: &Event) {
        match event {
            Event::OverrideRequested(asked) if asked.kind == OverrideKind::Halt => {
                self.farewell = FAREWELL_HALTED;
            }
            Event::OverrideLifted(_) => self.farewell = FAREWELL,
            _ => {}
        }
    }
}

/// In order: behind one that fails nothing is copied before it was.
fn copy_all(argv: &[OsString], owed: &mut VecDeque<Line>, kept: &Kept) -> Result<(), String> {
    while let Some(line) = owed.front() {
        copy(argv, &line.text)?;
        let written = kept.write(line.hash);
        owed.pop_front();
        written.map_err(|error| format!("what was copied could not be kept beside the log: {error}"))?;
    }
    Ok(())
}

fn copy(argv: &[OsString], line: &str) -> Result<(), String> {
    let command = Capture {
        argv: argv.to_vec(),
        env: std::env::vars_os().collect(),
        cwd: "/".into(),
        stdin: format!("{line}\n").into_bytes(),
        wall: WALL,
        stdout_max: 64 << 10,
        stderr_max: 4 << 10,
    };
    let mut why = String::new();
    for _ in 0..TRIES {
        match capture(&command, &Cancel::new()) {
            Ok(ended) if ended.succeeded() => return Ok(()),
            Ok(ended) => why = format!("{:?}", ended.ending),
            Err(error) => why = chain(&error),
        }
    }
    Err(format!("the command of audit_sink failed {TRIES} times: {why}"))
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.lines = None;
        if !self.has_sent {
            return;
        }
        let until = Instant::now() + self.farewell;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").finish_non_exhaustive()
    }
}
