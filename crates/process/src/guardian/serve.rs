//! The guardian's side.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM};

use super::channel::{Reply, Request, receive, send};
use crate::error::ProcessError;
use crate::job::Job;
use crate::reaper::Reaper;
use crate::run::{Order, Orders, Scope, run};
use crate::tree;

/// Serves until the lifeline ends and nothing is left. Returns the exit status.
pub(crate) fn serve() -> i32 {
    match Seat::take() {
        Ok(mut seat) => seat.serve(),
        // Nobody to tell: the channel is what could not be set up.
        Err(_) => 2,
    }
}

/// The descriptors, moved away from 0, 1 and 2, so that nothing can print into the channel or the
/// log, and no job inherits them.
struct Seat {
    requests: File,
    replies: File,
    _lock: OwnedFd,
}

impl Seat {
    fn take() -> io::Result<Self> {
        let seat = Self {
            requests: fcntl_dupfd_cloexec(stdio::stdin(), 3)?.into(),
            replies: fcntl_dupfd_cloexec(stdio::stdout(), 3)?.into(),
            _lock: fcntl_dupfd_cloexec(stdio::stderr(), 3)?,
        };
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        stdio::dup2_stdin(&null)?;
        stdio::dup2_stdout(&null)?;
        stdio::dup2_stderr(&null)?;
        Ok(seat)
    }

    fn serve(&mut self) -> i32 {
        let reaper = match prepare() {
            Ok(reaper) => reaper,
            Err(error) => {
                // The driver learns why from the message, or from the end of the channel.
                let _ = send(&mut self.replies, &Reply::Failed(error.into()));
                return 2;
            }
        };
        if send(&mut self.replies, &Reply::Ready).is_ok() {
            while let Ok(Some(request)) = receive(&mut self.requests) {
                let alive = match request {
                    Request::Run(job) => self.run(&job.into(), &reaper),
                    Request::Cancel { .. } => true, // its job ended meanwhile
                };
                if !alive {
                    break;
                }
            }
        }
        // The lock goes with us, so not before everybody that we may signal is dead.
        i32::from(tree::end_children(None).is_err())
    }

    /// Returns false if nobody listens any more.
    fn run(&mut self, job: &Job, reaper: &Reaper) -> bool {
        let mut replies = &self.replies;
        let mut listening = true;
        let mut lifeline = Lifeline(&self.requests);
        let outcome = run(job, &mut lifeline, Scope::Tree(reaper), &mut |started| {
            listening = send(&mut replies, &Reply::Started(started.clone())).is_ok();
        });
        let reply = match outcome {
            Ok(Some(outcome)) => Reply::Ended(outcome.into()),
            Ok(None) => return false,
            Err(error) => self.fail(error),
        };
        listening && send(&mut &self.replies, &reply).is_ok()
    }

    /// A failed run may have left something: the driver must not hear of it before that is gone.
    fn fail(&self, error: ProcessError) -> Reply {
        match tree::end_children(Some(tree::PATIENCE)) {
            Ok(_) => Reply::Failed(error.into()),
            Err(worse) => Reply::Failed(worse.into()),
        }
    }
}

/// Makes this process a subreaper that is hard to hit by accident.
fn prepare() -> Result<Reaper, ProcessError> {
    // Away from the terminal, whose ^C and hang-up are the driver's business. Refused only if this
    // process already leads a session.
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior};
        set_child_subreaper(Some(getpid())).map_err(|e| ProcessError::system("become a subreaper", e))?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|e| ProcessError::system("become non-dumpable", e))?;
        crate::proc::table().map_err(|e| ProcessError::system("read the process table in /proc", e))?;
    }
    shrug_off_signals().map_err(|e| ProcessError::system("handle signals", e))?;
    Reaper::install().map_err(|e| ProcessError::system("handle SIGCHLD", e))
}

/// Catches and forgets what would end us. Ignoring or blocking would be inherited by the jobs, while
/// a caught signal is reset to its default when they are executed (execve(2)).
fn shrug_off_signals() -> io::Result<()> {
    let forgotten = Arc::new(AtomicBool::new(false));
    for signal in [
        SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&forgotten))?;
    }
    Ok(())
}

/// Orders that come from the driver.
struct Lifeline<'a>(&'a File);

impl Orders for Lifeline<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn next(&mut self) -> Order {
        match receive(&mut self.0) {
            Ok(Some(Request::Cancel { grace })) => Order::Cancel(grace),
            // The driver is gone, or sent a second job before the first ended: it is not ours.
            Ok(Some(Request::Run(_)) | None) | Err(_) => Order::Abandon,
        }
    }
}
