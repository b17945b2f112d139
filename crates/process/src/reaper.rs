//! A subreaper inherits the dead of others and must bury them, else a job that daemonizes for hours
//! fills the process table.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::Pid;

/// Hears of dead children.
#[derive(Debug)]
pub(crate) struct Reaper {
    events: PipeReader,
}

impl Reaper {
    /// Installs a SIGCHLD handler for the rest of the process's life.
    pub(crate) fn install() -> io::Result<Self> {
        let (events, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&events, true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, writer)?;
        Ok(Self { events })
    }

    /// Readable when a child may have died.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Reaps all dead children up to, and not including, the leader: it must remain a zombie until
    /// its group is killed. Whoever hides behind it is reaped in the final sweep.
    pub(crate) fn reap_all_but(&self, leader: Pid) {
        let mut bytes = [0; 256];
        while matches!((&self.events).read(&mut bytes), Ok(count) if count > 0) {}
        while let Some(dead) = next_dead() {
            if dead == leader
                || rustix::process::waitpid(Some(dead), rustix::process::WaitOptions::NOHANG).is_err()
            {
                break;
            }
        }
    }
}

/// A dead child that nobody has reaped yet; it stays so.
#[cfg(target_os = "linux")]
fn next_dead() -> Option<Pid> {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags)
        .ok()?
        .pid()
        .and_then(|pid| Pid::from_raw(pid.as_raw()))
}

/// Without subreapers nobody's dead come here.
#[cfg(not(target_os = "linux"))]
fn next_dead() -> Option<Pid> {
    None
}
