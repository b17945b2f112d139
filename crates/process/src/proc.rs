//! Reading `/proc` (proc(5)). Where there is none (macOS), nothing is ever found.

use std::fs;
use std::io;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal};

/// One line of the process table. Id and start time together name one process since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) start_time: u64,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// `Z`, or `X` for an instant: dead, not yet reaped by its parent.
    pub(crate) dead: bool,
}

impl Process {
    /// The process with this id, if there is one.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Self::parse(pid, &stat)
    }

    fn parse(pid: Pid, stat: &[u8]) -> Option<Self> {
        // The name, in parentheses, may hold anything: what counts is the last closing one.
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?; // field 3
        Some(Self {
            pid,
            dead: matches!(state, "Z" | "X" | "x"),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            start_time: fields.nth(15)?.parse().ok()?, // field 22
        })
    }

    /// Sends a signal to exactly this process, never to a successor with the same id.
    /// Returns whether there was somebody to signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::Errno;
            use rustix::process::{PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
            let sent = match pidfd_open(self.pid, PidfdFlags::empty()) {
                // The descriptor is bound to whoever has the id now; the start time says who that is.
                Ok(fd) if self.is_current() => pidfd_send_signal(fd, signal),
                // Before Linux 5.3, or under an old seccomp filter, the check and the kill are two steps.
                Err(Errno::NOSYS | Errno::PERM) if self.is_current() => kill_process(self.pid, signal),
                Ok(_) | Err(Errno::SRCH | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                    return Ok(false);
                }
                Err(errno) => Err(errno),
            };
            match sent {
                Err(Errno::SRCH) => Ok(false),
                other => Ok(other.map(|()| true)?),
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = signal;
            Ok(false)
        }
    }

    #[cfg(target_os = "linux")]
    fn is_current(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start_time == self.start_time)
    }

    /// Whether it is stopped now, or gone.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        let name_end = stat.iter().rposition(|&byte| byte == b')');
        let state = name_end.and_then(|end| stat.get(end + 2));
        matches!(state, None | Some(b'T' | b't' | b'Z' | b'X' | b'x'))
    }

    /// Whether the environment that the process was started with has this `NAME=value` entry.
    /// False if we may not read it.
    pub(crate) fn has_variable(&self, entry: &[u8]) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid.as_raw_nonzero()))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|line| line == entry))
    }

    pub(crate) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// What tells this process from every other since boot.
    pub(crate) fn key(&self) -> (i32, u64) {
        (self.id(), self.start_time)
    }
}

/// The process table. A process that is forked while the table is read may be missing.
pub(crate) fn table() -> io::Result<Vec<Process>> {
    if !cfg!(target_os = "linux") {
        return Ok(Vec::new());
    }
    let mut table = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        table.extend(pid.and_then(Pid::from_raw).and_then(Process::read));
    }
    Ok(table)
}

/// The processes that `is_root` picks and all below them.
pub(crate) fn subtree(table: &[Process], is_root: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut found: Vec<Process> = table.iter().filter(|p| is_root(p)).copied().collect();
    let mut inside: std::collections::BTreeSet<i32> = found.iter().map(Process::id).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(Process::id) {
        let children = table.iter().filter(|p| p.parent == parent);
        found.extend(children.filter(|p| inside.insert(p.id())));
        next += 1;
    }
    found
}

/// The id of this boot; empty where unknown.
pub(crate) fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let stat = b"7 (a) R 1 1 1 (\xff\n) Z 3 4 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1000 5";
        let process = Process::parse(pid(7), stat).unwrap();
        assert_eq!(
            process,
            Process {
                pid: pid(7),
                start_time: 9876,
                parent: 3,
                group: 4,
                session: 5,
                dead: true
            }
        );
        assert_eq!(Process::parse(pid(7), b"7 (cut) R 1"), None);
    }

    #[test]
    fn a_subtree_holds_all_levels_and_nothing_else() {
        let process = |id, parent| Process {
            pid: pid(id),
            start_time: 1,
            parent,
            group: 0,
            session: 0,
            dead: false,
        };
        // 40 comes before its parent 50; 60 is its own parent, which must not loop.
        let table = [(10, 1), (20, 10), (40, 50), (50, 20), (60, 60), (70, 1)]
            .map(|(id, parent)| process(id, parent));
        let ids = |root| -> Vec<i32> {
            subtree(&table, |p| p.parent == root)
                .iter()
                .map(Process::id)
                .collect()
        };
        assert_eq!(ids(10), [20, 50, 40]);
        assert_eq!(ids(60), [60]);
        assert_eq!(ids(99), [0; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stale_entry_is_never_signalled() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let entry = Process::read(Pid::from_child(&child)).unwrap();
        let stranger = Process {
            start_time: entry.start_time + 1,
            ..entry
        };
        assert!(!stranger.signal(Signal::KILL).unwrap());
        assert!(child.try_wait().unwrap().is_none());
        assert!(entry.signal(Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(!entry.signal(Signal::KILL).unwrap());
    }
}
