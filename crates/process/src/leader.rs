//! The first process of a job and its group.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::error::ProcessError;
use crate::job::{Ending, Job, Started};
use crate::lookup::is_program;
use crate::proc::{self, Process};

/// A started child that leads a process group of its own. Dropped before it was reaped, it takes
/// the group with it.
pub(crate) struct Leader {
    handle: duct::Handle,
    pid: Pid,
    watch: Option<OwnedFd>,
    reaped: bool,
}

impl Leader {
    /// Starts the job's program; the error is for people.
    pub(crate) fn start(job: &Job, output: PipeWriter) -> Result<Self, String> {
        let explain = |e: io::Error| explain(job, &e);
        let (program, arguments) = job.argv.split_first().ok_or("the command is empty")?;
        let path = find_program(program, job).map_err(explain)?;
        let name = program.clone();
        let handle = duct::cmd(path, arguments)
            .stderr_to_stdout()
            .stdout_file(output)
            .stdin_null()
            .full_env(job.env.iter().cloned())
            .dir(&job.cwd)
            .unchecked()
            .before_spawn(move |command| {
                command.arg0(&name).process_group(0);
                Ok(())
            })
            .start()
            .map_err(explain)?;
        let pid = handle
            .pids()
            .first()
            .and_then(|&pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or("the system gave it no process id")?;
        Ok(Self {
            handle,
            pid,
            watch: watch(pid),
            reaped: false,
        })
    }

    pub(crate) fn started(&self) -> Started {
        let id = self.pid.as_raw_nonzero().get().unsigned_abs();
        Started {
            pid: id,
            pgid: id,
            start_time: Process::read(self.pid).map_or(0, |process| process.start_time),
            boot_id: proc::boot_id().to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Becomes readable when the leader ends; none where the system cannot do that.
    pub(crate) fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Whether the leader has ended. It stays a zombie, so its id and its group's stay taken.
    pub(crate) fn ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(self.pid), options))?;
        Ok(status.is_some())
    }

    /// Signals the whole group. Only while the leader is not reaped, else the id may be another's.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if !self.reaped {
            // Fails only if nobody is left to signal: macOS says EPERM for a group of zombies.
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Kills what is left of the group, then takes the leader's status.
    pub(crate) fn reap(mut self) -> Result<Ending, ProcessError> {
        self.signal_group(Signal::KILL);
        let output = self
            .handle
            .wait()
            .map_err(|e| ProcessError::system("reap the job's process", e))?;
        let status = output.status;
        self.reaped = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, signal) => Ending::Signaled(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.signal_group(Signal::KILL);
        // A process that hangs inside the kernel must not hang us: duct reaps it later.
        let deadline = Instant::now() + Duration::from_secs(1);
        while matches!(self.handle.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
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

/// Looks the program up as execvp(3) would in the child.
///
/// Left to std, a bare name together with a new environment means fork instead of `posix_spawn`,
/// which costs 19 ms in a parent of 512 MB.
fn find_program(program: &OsStr, job: &Job) -> io::Result<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Ok(job.cwd.join(program));
    }
    let path = job.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or_else(|| OsString::from("/bin:/usr/bin"), |(_, value)| value.clone());
    std::env::split_paths(&path)
        .map(|folder| job.cwd.join(folder).join(program))
        .find(|file| is_program(file))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program in PATH"))
}

fn explain(job: &Job, error: &io::Error) -> String {
    let program = job
        .argv
        .first()
        .map_or("", |program| program.to_str().unwrap_or("?"));
    let hint = match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::TOOBIG.raw_os_error() => {
            "; Linux allows 128 KiB for one argument or variable and 2 MiB or so for all"
        }
        _ => "",
    };
    format!(
        "could not start {program:?} in {}: {error}{hint}",
        job.cwd.display()
    )
}
