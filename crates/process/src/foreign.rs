//! Ending somebody else's process with all that descends from it: a driver that does not answer, or the guardian of a dead one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::ProcessError;
use crate::guardian::ARGUMENT;
use crate::proc::{self, Process};
use crate::tree;

/// How often it is looked whether somebody has gone.
const TICK: Duration = Duration::from_millis(5);

/// How long a process may take to stop: a signal reaches a thread when that next leaves the kernel.
const STOP_MAX: Duration = Duration::from_millis(100);

/// Ends the process `root` with all that descends from it, if `is_it` says that it is the one, and returns how many processes
/// were killed besides. None where it is not the one, or has ended.
///
/// The root is stopped while its descendants are found, so that it starts no more of them, and is killed first. A guardian
/// below it then ends its own tree, and what else is there is told to end (TERM), for as long as `grace`. Whatever is left of
/// all these then, and what descends from them, is stopped and killed, a guardian too. This process is never among them.
///
/// `is_it` is asked about the process that is then signalled, never about a successor with the same id. Elsewhere than on Linux
/// nothing is found.
///
/// # Errors
/// [`ProcessError::System`] if `/proc` cannot be read or the root must not be signalled, [`ProcessError::Survivors`] if some
/// of them do not go away.
pub fn end_tree(
    root: u32,
    is_it: impl FnOnce() -> bool,
    grace: Duration,
) -> Result<Option<u32>, ProcessError> {
    let me = rustix::process::getpid();
    let root = Pid::from_raw(root.cast_signed()).filter(|pid| *pid != me);
    let Some(root) = root.and_then(Process::read).filter(|root| !root.dead) else {
        return Ok(None);
    };
    if !is_it() {
        return Ok(None);
    }
    let signal = |signal| {
        root.signal(signal)
            .map_err(|error| ProcessError::system("signal the process", error))
    };
    if !signal(Signal::STOP)? {
        return Ok(None);
    }
    await_stop(&root);
    let mut line = Line::of(&root, &table()?);
    signal(Signal::KILL)?;
    line.ask_to_end();
    let until = Instant::now() + grace;
    while Instant::now() < until {
        if line.living(&table()?).is_empty() {
            break;
        }
        thread::sleep(TICK);
    }
    let line = std::cell::RefCell::new(line);
    let killed = tree::end_found(|table| line.borrow_mut().living(table), |_| ())?;
    Ok(Some(killed))
}

/// The guardians that hold the lock on this file for a driver.
///
/// A guardian cannot be looked into, but its command line says which lock it was given. Without `/proc` none is found.
#[must_use]
pub fn guardians_of(lock: &fs::Metadata) -> Vec<u32> {
    let mark = mark(lock);
    let is_one = |process: &Process| !process.dead && arguments(process).is_some_and(|said| said == mark);
    let table = proc::table().unwrap_or_default();
    let found = table.iter().filter(|process| is_one(process));
    found.map(|process| process.id().unsigned_abs()).collect()
}

/// What a guardian's command line says of the lock that it holds: the file's device and number.
pub(crate) fn mark(lock: &fs::Metadata) -> String {
    format!("{}:{}", lock.dev(), lock.ino())
}

/// The same for a file that is open.
pub(crate) fn mark_of(lock: &File) -> std::io::Result<String> {
    Ok(mark(&lock.metadata()?))
}

/// What follows the hidden argument, where this is a guardian.
fn arguments(process: &Process) -> Option<String> {
    let command = fs::read(format!("/proc/{}/cmdline", process.id())).ok()?;
    let mut arguments = command.split(|byte| *byte == 0).skip(1);
    let is_guardian = arguments.next() == Some(ARGUMENT.as_bytes());
    is_guardian.then(|| String::from_utf8_lossy(arguments.next().unwrap_or_default()).into_owned())
}

fn table() -> Result<Vec<Process>, ProcessError> {
    proc::table().map_err(|error| ProcessError::system("read the process table in /proc", error))
}

fn await_stop(process: &Process) {
    let until = Instant::now() + STOP_MAX;
    while !process.is_stopped() && Instant::now() < until {
        thread::sleep(TICK);
    }
}

/// All that was seen to descend from one process. Who was among them once stays so, whoever becomes its parent.
struct Line {
    /// Whether each may end by itself, being a guardian or below one.
    known: BTreeMap<(i32, u64), bool>,
    me: i32,
}

impl Line {
    fn of(root: &Process, table: &[Process]) -> Self {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let mut line = Self {
            known: BTreeMap::from([(root.key(), false)]),
            me,
        };
        line.grow(table);
        line
    }

    /// Takes up whoever descends from one of them.
    fn grow(&mut self, table: &[Process]) {
        // A parent may come behind its child in the table.
        loop {
            let ids: BTreeMap<i32, bool> = table
                .iter()
                .filter_map(|process| Some((process.id(), *self.known.get(&process.key())?)))
                .collect();
            let is_new = |process: &&Process| !self.known.contains_key(&process.key());
            let fresh: Vec<_> = table
                .iter()
                .filter(is_new)
                .filter_map(|process| {
                    let below = *ids.get(&process.parent)?;
                    Some((process.key(), below || arguments(process).is_some()))
                })
                .collect();
            if fresh.is_empty() {
                return;
            }
            self.known.extend(fresh);
        }
    }

    /// Those who still live, and what they have started meanwhile.
    fn living(&mut self, table: &[Process]) -> Vec<Process> {
        self.grow(table);
        let lives = |process: &&Process| {
            !process.dead && process.id() != self.me && self.known.contains_key(&process.key())
        };
        table.iter().filter(lives).copied().collect()
    }

    /// A git has files to remove: who is not a guardian's business is told to end, also where it is stopped.
    fn ask_to_end(&self) {
        let asked: BTreeSet<i32> = self
            .known
            .iter()
            .filter(|(key, below)| !**below && key.0 != self.me)
            .map(|(key, _)| key.0)
            .collect();
        for process in asked
            .into_iter()
            .filter_map(Pid::from_raw)
            .filter_map(Process::read)
        {
            if self.known.contains_key(&process.key()) {
                // Who cannot be told is killed when the time is over.
                let _ = process.signal(Signal::TERM);
                let _ = process.signal(Signal::CONT);
            }
        }
    }
}
