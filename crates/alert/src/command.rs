//! The sink that starts a command of the operator's.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use machine_driver_state::alert::Alert;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::error::AlertError;
use crate::port::Alerter;
use crate::setup::SetupError;
use crate::text::json;

/// The longest that a command may take.
const WALL_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether the command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Starts a program for each alert and writes the alert to its standard input: one JSON object, and end of file.
///
/// The alert is sent when the program exits with 0. It need not read its input. No shell is involved; the program runs in
/// the current folder with the environment of this process, as the leader of a process group of its own. What it writes
/// goes to `/dev/null`: whatever it has to tell, it has to keep itself. After 30 s the whole group is killed, and what
/// the program leaves behind in its group when it ends is killed too.
pub struct CommandAlerter {
    program: String,
    arguments: Vec<String>,
    wall_max: Duration,
    /// The group of the program that runs, as long as its leader is not reaped.
    running: Mutex<Option<Pid>>,
}

impl CommandAlerter {
    /// A sink that starts this program with these arguments.
    ///
    /// # Errors
    /// [`SetupError`] when there is no program, or an argument holds a NUL.
    pub fn new(argv: &[String]) -> Result<Self, SetupError> {
        let malformed = |problem| SetupError::Malformed {
            place: "alerts.command".to_owned(),
            problem,
        };
        let (program, arguments) = match argv {
            [] => return Err(malformed("it names no program")),
            [program, ..] if program.trim().is_empty() => return Err(malformed("it names no program")),
            [program, arguments @ ..] => (program.clone(), arguments.to_vec()),
        };
        if argv.iter().any(|argument| argument.contains('\0')) {
            return Err(malformed("it holds a NUL"));
        }
        Ok(Self {
            program,
            arguments,
            wall_max: WALL_MAX,
            running: Mutex::new(None),
        })
    }

    fn running(&self) -> MutexGuard<'_, Option<Pid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the child until it ends or its time is over, and leaves nothing of its group behind. `None`: out of time.
    fn attend(&self, mut child: Child, input: &[u8]) -> io::Result<Option<ExitStatus>> {
        *self.running() = pid(&child);
        let attended = feed(&mut child, input, Instant::now() + self.wall_max);
        self.end();
        let status = child.wait()?;
        Ok(attended?.then_some(status))
    }

    /// The child is not reaped yet, so its number, which is the group's, cannot belong to another.
    fn end(&self) {
        if let Some(group) = self.running().take() {
            let _ = kill_process_group(group, Signal::KILL); // an empty group is what it is for
        }
    }

    fn spawn(&self) -> Result<Child, AlertError> {
        let spawned = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        spawned.map_err(|error| {
            let lasting = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            );
            let reason = "could not start the alert command".to_owned();
            let source = Some(error);
            if lasting {
                AlertError::Permanent { reason, source }
            } else {
                AlertError::Temporary { reason, source }
            }
        })
    }
}

impl Alerter for CommandAlerter {
    fn name(&self) -> &str {
        "command"
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        let child = self.spawn()?;
        let ended = self
            .attend(child, &json(alert))
            .map_err(|error| AlertError::Temporary {
                reason: "could not wait for the alert command".to_owned(),
                source: Some(error),
            })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(AlertError::temporary(format!(
                "the alert command ended with {status}"
            ))),
            None => Err(AlertError::temporary(format!(
                "the alert command was killed after {} s",
                self.wall_max.as_secs()
            ))),
        }
    }

    fn stop(&self) {
        self.end();
    }
}

impl fmt::Debug for CommandAlerter {
    /// Without the arguments: people put tokens there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandAlerter")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// Whether the child ended in time. It is left unreaped.
fn feed(child: &mut Child, mut input: &[u8], deadline: Instant) -> io::Result<bool> {
    let mut pipe = child.stdin.take();
    if let Some(pipe) = &pipe {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    loop {
        if has_ended(child)? {
            return Ok(true);
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(false);
        }
        pipe = pipe.and_then(|pipe| write(pipe, &mut input));
        pause(pipe.as_ref(), LOOK.min(deadline - now))?;
    }
}

/// Writes what the pipe takes. Gives it back while there is more; a pipe that nobody reads any more is no fault.
fn write(mut pipe: ChildStdin, input: &mut &[u8]) -> Option<ChildStdin> {
    while !input.is_empty() {
        match pipe.write(input) {
            Ok(0) => return None,
            Ok(written) => *input = input.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(pipe),
            Err(_) => return None,
        }
    }
    None
}

/// Waits until the pipe takes more, at most for so long.
fn pause(pipe: Option<&ChildStdin>, time: Duration) -> io::Result<()> {
    let Some(pipe) = pipe else {
        std::thread::sleep(time);
        return Ok(());
    };
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(
        &mut [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT)],
        Some(&time),
    ) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the child has ended, which leaves it as it is: to be reaped.
fn has_ended(child: &Child) -> io::Result<bool> {
    let Some(pid) = pid(child) else {
        return Ok(true);
    };
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), look) {
            Ok(ended) => return Ok(ended.is_some()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

#[cfg(test)]
mod tests;
