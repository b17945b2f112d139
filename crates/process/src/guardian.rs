//! The guardian: this program re-executed, a subreaper between the driver and its jobs.
//!
//! Three descriptors connect them. Stdin carries requests and is the lifeline: when the driver dies
//! in whatever way, it ends, and the guardian kills every descendant and exits. Stdout carries
//! replies. Stderr is a duplicate of the goal's lock file: a lock of flock(2) belongs to the open file,
//! so a second driver is refused until the guardian, and with it the old tree, is gone.

mod channel;
mod orphans;
mod serve;

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use serve::serve;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::cancel::{Cancel, Waker};
use crate::error::ProcessError;
use crate::foreign::mark_of;
use crate::job::{Job, Outcome, SESSION_VARIABLE, Started};
use crate::run::poll;
use crate::sweep::sweep_orphans;
use channel::{Reply, Request, receive, send};

/// The hidden argument that makes a program the guardian.
pub(crate) const ARGUMENT: &str = "__machine-driver-guardian";

/// How long a guardian may take to come up.
const START_MAX: Duration = Duration::from_secs(10);

/// How long after its job's last deadline a guardian may stay silent: it needs some time to sweep.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long an idle guardian may take to exit.
const EXIT_MAX: Duration = Duration::from_secs(2);

/// The driver's side. Dropped, the guardian ends what it runs and exits.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    /// None once it is to end or has ended.
    requests: Option<PipeWriter>,
    replies: PipeReader,
    /// The group of the job that runs or ran last.
    group: Option<Pid>,
}

impl Guardian {
    /// Re-executes this program with a duplicate of the lock.
    pub(crate) fn start(lock: &File) -> Result<Self, ProcessError> {
        let fail = |operation| move |source| ProcessError::GuardianStart { operation, source };
        // A guardian cannot be looked into; this says whose it is.
        let mark = mark_of(lock).map_err(fail("look at the lock"))?;
        let lock = lock.try_clone().map_err(fail("duplicate the lock"))?;
        let (theirs, requests) = io::pipe().map_err(fail("open a pipe"))?;
        let (replies, reply_end) = io::pipe().map_err(fail("open a pipe"))?;
        let mut command = Command::new(own_program().map_err(fail("find this program"))?);
        command
            .args([ARGUMENT, &mark])
            .env_remove(SESSION_VARIABLE)
            .current_dir("/");
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        command.stdin(theirs).stdout(reply_end).stderr(Stdio::from(lock));
        let child = orphans::spawn_guardian(&mut command).map_err(fail("re-execute this program"))?;
        // The command holds copies of the other ends; while they live, the guardian's death is no event.
        drop(command);
        let mut guardian = Self {
            child,
            requests: Some(requests),
            replies,
            group: None,
        };
        guardian.greet().map_err(fail("wait for its first message"))?;
        Ok(guardian)
    }

    fn greet(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_MAX;
        // A signal ends a poll early, with nothing ready: only the clock says that it took too long.
        while !poll(&[self.replies.as_fd()], Some(deadline))?.contains(&true) {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        match receive(&mut self.replies)? {
            Some(Reply::Ready) => Ok(()),
            Some(Reply::Failed(fault)) => Err(io::Error::other(ProcessError::from(fault))),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Drops it, with what it may have left, if it has ended.
    pub(crate) fn if_alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    /// Runs a job. The error [`Lost`] means that the guardian is dead or as good as dead.
    pub(crate) fn run(
        &mut self,
        job: &Job,
        cancel: &Cancel,
        on_start: &mut dyn FnMut(&Started),
    ) -> Result<Result<Outcome, ProcessError>, Lost> {
        let waker = match cancel.waker() {
            Ok(waker) => waker,
            Err(e) => return Ok(Err(ProcessError::system("open a pipe", e))),
        };
        self.request(&Request::Run(job.into()))?;
        Exchange {
            guardian: self,
            cancel,
            waker,
            due: job
                .wall
                .and_then(|wall| Instant::now().checked_add(wall.saturating_add(job.grace))),
            silent_until: None,
        }
        .conclude(on_start)
    }

    fn request(&mut self, request: &Request) -> Result<(), Lost> {
        match &mut self.requests {
            Some(requests) => send(requests, request).map_err(|_| Lost),
            None => Err(Lost),
        }
    }

    /// Continues it in case the job has stopped it.
    fn nudge(&self) {
        // It is not reaped, so the id is its own.
        let _ = kill_process(Pid::from_child(&self.child), Signal::CONT);
    }

    /// Makes sure that it is dead and ends what it left. Returns the error for the job's caller.
    pub(crate) fn bury(mut self, job: &Job) -> ProcessError {
        let swept = self.kill().and_then(|swept| {
            let marked = sweep_orphans(std::slice::from_ref(&job.session), &[])?;
            Ok(swept.saturating_add(marked))
        });
        match swept {
            Ok(swept) => ProcessError::GuardianLost { swept },
            Err(error) => error,
        }
    }

    fn kill(&mut self) -> Result<u32, ProcessError> {
        self.requests = None;
        // Fails if it is dead already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        orphans::forget_guardian(&self.child);
        if let Some(group) = self.group
            && !cfg!(target_os = "linux")
        {
            // Nothing comes to us there, so this is all that can be done.
            let _ = kill_process_group(group, Signal::KILL);
        }
        orphans::end()
    }

    /// Ends the lifeline and waits for the end of the replies. Returns whether all went well.
    fn dismiss(&mut self) -> bool {
        self.requests = None;
        self.nudge();
        let deadline = Instant::now() + EXIT_MAX;
        while Instant::now() < deadline {
            match poll(&[self.replies.as_fd()], Some(deadline)).as_deref() {
                Ok([true]) => match self.replies.read(&mut [0; 4096]) {
                    Ok(0) => return self.child.wait().is_ok_and(|status| status.success()),
                    Ok(_) => {}
                    Err(_) => return false,
                },
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let buried = self.requests.is_none();
        if !buried && !self.dismiss() {
            // Killed or stopped by somebody. There is nobody to tell; the next start sweeps again.
            let _ = self.kill();
        }
        orphans::forget_guardian(&self.child);
    }
}

/// The guardian is gone or silent.
pub(crate) struct Lost;

/// One job, from request to outcome.
struct Exchange<'a> {
    guardian: &'a mut Guardian,
    cancel: &'a Cancel,
    waker: Waker,
    /// When the guardian should have answered: it is nudged then.
    due: Option<Instant>,
    /// When it is given up. None: not before `due` has passed.
    silent_until: Option<Instant>,
}

impl Exchange<'_> {
    fn conclude(mut self, on_start: &mut dyn FnMut(&Started)) -> Result<Result<Outcome, ProcessError>, Lost> {
        loop {
            let fds = [self.guardian.replies.as_fd(), self.waker.fd()];
            let ready = poll(&fds, self.due.or(self.silent_until)).map_err(|_| Lost)?;
            let (replied, cancelled) = (ready.first() == Some(&true), ready.get(1) == Some(&true));
            if cancelled {
                self.forward_cancel()?;
            }
            if !replied {
                self.check_silence(Instant::now())?;
                continue;
            }
            match receive(&mut self.guardian.replies) {
                Ok(Some(Reply::Started(started))) => {
                    self.guardian.group = Pid::from_raw(started.pgid.cast_signed());
                    on_start(&started);
                }
                Ok(Some(Reply::Ended(outcome))) => return Ok(Ok(outcome.into())),
                Ok(Some(Reply::Failed(fault))) => return Ok(Err(fault.into())),
                Ok(Some(Reply::Ready) | None) | Err(_) => return Err(Lost),
            }
        }
    }

    fn check_silence(&mut self, now: Instant) -> Result<(), Lost> {
        if self.due.is_some_and(|due| now >= due) {
            self.guardian.nudge();
            self.due = None;
            self.silent_until = now.checked_add(SILENCE_MAX);
        }
        match self.silent_until {
            Some(at) if now >= at => Err(Lost),
            _ => Ok(()),
        }
    }

    fn forward_cancel(&mut self) -> Result<(), Lost> {
        self.waker.reset();
        let Some(grace) = self.cancel.grace() else {
            return Ok(());
        };
        self.guardian.nudge();
        if self.silent_until.is_none() {
            let due = Instant::now().checked_add(grace);
            self.due = [self.due, due].into_iter().flatten().min();
        }
        self.guardian.request(&Request::Cancel { grace })
    }
}

/// On Linux the running file itself, even if it was replaced meanwhile: both sides of the channel
/// must be the same program.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into())
    } else {
        std::env::current_exe()
    }
}
