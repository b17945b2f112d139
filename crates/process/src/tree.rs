//! Ending processes that do not want to end.
//!
//! Killing one by one loses against a process that forks meanwhile, so everybody is stopped first,
//! the table read again until nobody new is in it, and only then killed. That is repeated until
//! there is proof that nobody is left.

use std::collections::BTreeSet;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::error::ProcessError;
use crate::proc::{self, Process};

/// How long killed processes may take to vanish before the run is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often the table is read again while processes appear that were not there before.
const FREEZE_ROUNDS: u32 = 100;

/// Ends all descendants of this process, a subreaper. Returns how many had to be killed. Without
/// patience it waits for ever on processes that hang inside the kernel.
///
/// "No child processes" is the proof: a process whose parent dies becomes our child before the
/// parent can be reaped, so nobody is below us once we have no children.
pub(crate) fn end_children(patience: Option<Duration>) -> Result<u32, ProcessError> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut killed = 0;
    let mut pauses = Pauses::new(patience);
    loop {
        let reaped = reap_all().map_err(|e| ProcessError::system("wait for orphans", e))?;
        killed += reaped.killed;
        if reaped.none_left {
            return Ok(killed);
        }
        let strike = strike(&|table: &[Process]| proc::subtree(table, |p| p.parent == me))?;
        pauses.pause(&strike)?;
    }
}

/// Ends what `find` picks from the process table until it picks nobody, and returns how many
/// processes were killed. `bury` is called for each that was picked, dead or killed.
pub(crate) fn end_found(
    find: impl Fn(&[Process]) -> Vec<Process>,
    bury: impl Fn(&Process),
) -> Result<u32, ProcessError> {
    let mut killed = BTreeSet::new();
    let mut pauses = Pauses::new(Some(PATIENCE));
    loop {
        let strike = strike(&find)?;
        if strike.found.is_empty() {
            return Ok(u32::try_from(killed.len()).unwrap_or(u32::MAX));
        }
        killed.extend(strike.found.iter().filter(|p| !p.dead).map(Process::key));
        pauses.pause(&strike)?;
        strike.found.iter().for_each(&bury);
    }
}

/// Waits until the members of a group that was killed are gone; its leader is reaped. Returns how
/// many were still to be seen, a lower bound of how many were killed.
pub(crate) fn await_group(group: Pid) -> Result<u32, ProcessError> {
    if rustix::process::test_kill_process_group(group).is_err() {
        return Ok(0); // the usual case, for one system call
    }
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let group = group.as_raw_nonzero().get();
    let mut members = read_table()?;
    members.retain(|p| p.group == group);
    let killed = members.iter().filter(|p| !died_by_itself(p)).count();
    end_found(
        // Only these: later members of this group would belong to a stranger. The dead wait for
        // their parent, which is us if this process is a subreaper, and else not ours to hurry.
        |table| {
            let known = |p: &&Process| members.iter().any(|member| member.key() == p.key());
            let left = table.iter().filter(known).filter(|p| !p.dead || p.parent == me);
            left.copied().collect()
        },
        |p| {
            bury(p);
        },
    )?;
    Ok(u32::try_from(killed).unwrap_or(u32::MAX))
}

/// Whether it is a dead child of ours that nobody killed; if so, it is reaped.
fn died_by_itself(process: &Process) -> bool {
    process.dead && bury(process).is_some_and(|killer| killer != Some(Signal::KILL.as_raw()))
}

/// Reaps a dead process if it is a child of ours; returns the signal it died of, if any.
pub(crate) fn bury(process: &Process) -> Option<Option<i32>> {
    match rustix::process::waitpid(Some(process.pid), WaitOptions::NOHANG) {
        Ok(Some((_, status))) => Some(status.terminating_signal()),
        Ok(None) | Err(_) => None,
    }
}

/// Whether anybody but its dead leader is alive in a group.
pub(crate) fn group_lives(group: Pid) -> Result<bool, ProcessError> {
    let group = group.as_raw_nonzero().get();
    Ok(read_table()?.iter().any(|p| p.group == group && !p.dead))
}

struct Strike {
    found: Vec<Process>,
    /// Those that we are not allowed to signal.
    denied: Vec<u32>,
}

fn strike(find: &impl Fn(&[Process]) -> Vec<Process>) -> Result<Strike, ProcessError> {
    let mut stopped = BTreeSet::new();
    let mut found = Vec::new();
    for _ in 0..FREEZE_ROUNDS {
        found = find(&read_table()?);
        let fresh: Vec<Process> = found
            .iter()
            .filter(|p| !p.dead && stopped.insert(p.key()))
            .copied()
            .collect();
        if fresh.is_empty() {
            break;
        }
        signal_all(&fresh, Signal::STOP);
    }
    let denied = signal_all(&found, Signal::KILL);
    Ok(Strike { found, denied })
}

/// Returns the ids of those that we may not signal.
fn signal_all(processes: &[Process], signal: Signal) -> Vec<u32> {
    let living = processes.iter().filter(|p| !p.dead);
    living
        .filter(|p| p.signal(signal).is_err())
        .map(|p| p.id().unsigned_abs())
        .collect()
}

fn read_table() -> Result<Vec<Process>, ProcessError> {
    proc::table().map_err(|e| ProcessError::system("read the process table in /proc", e))
}

/// Growing pauses between strikes, and an end to them.
struct Pauses {
    deadline: Option<Instant>,
    next: Duration,
}

impl Pauses {
    fn new(patience: Option<Duration>) -> Self {
        Self {
            deadline: patience.map(|patience| Instant::now() + patience),
            next: Duration::from_micros(100),
        }
    }

    fn pause(&mut self, strike: &Strike) -> Result<(), ProcessError> {
        let living: Vec<u32> = strike
            .found
            .iter()
            .filter(|p| !p.dead)
            .map(|p| p.id().unsigned_abs())
            .collect();
        let hopeless = !living.is_empty() && living.len() == strike.denied.len();
        if hopeless || self.deadline.is_some_and(|at| Instant::now() > at) {
            return Err(ProcessError::Survivors { pids: living });
        }
        thread::sleep(self.next);
        self.next = (self.next * 2).min(Duration::from_millis(5));
        Ok(())
    }
}

struct Reaped {
    killed: u32,
    none_left: bool,
}

fn reap_all() -> io::Result<Reaped> {
    let mut killed = 0;
    let none_left = loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                killed += u32::from(status.terminating_signal() == Some(Signal::KILL.as_raw()));
            }
            Ok(None) => break false,
            Err(Errno::CHILD) => break true,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    Ok(Reaped { killed, none_left })
}
