//! The process that answers, and its group.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::job::Ending;

/// The first process and its group. Dropped before it was reaped, it takes the group with it.
pub(super) struct Leader {
    child: Child,
    pid: Option<Pid>,
    /// Becomes readable when the process ends; none where the system cannot do that.
    pub(super) watch: Option<OwnedFd>,
    reaped: bool,
}

impl Leader {
    pub(super) fn of(child: Child) -> Self {
        let pid = Pid::from_raw(child.id().cast_signed());
        Self {
            child,
            pid,
            watch: pid.and_then(watch),
            reaped: false,
        }
    }

    /// Whether it has ended. It stays a zombie, so its id and its group's stay taken.
    pub(super) fn ended(&self) -> io::Result<bool> {
        let Some(pid) = self.pid else { return Ok(true) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options))?;
        Ok(status.is_some())
    }

    /// Only while the process is not reaped, else the id may be another's.
    pub(super) fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.pid.filter(|_| !self.reaped) {
            // Fails only if nobody is left to signal: macOS says EPERM for a group of zombies.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    pub(super) fn reap(&mut self) -> io::Result<Ending> {
        self.signal_group(Signal::KILL);
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, signal) => Ending::Signaled(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.reap();
        }
    }
}

fn watch(pid: Pid) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    return rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}
