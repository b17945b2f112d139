//! The way in: one runner, two tiers.

use std::fmt;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cancel::{Cancel, Waker};
use crate::error::ProcessError;
use crate::guardian::{Guardian, Lost};
use crate::job::{Job, Outcome, Started};
use crate::run::{self, Order, Orders, Scope};

/// Runs jobs. Clones share the guardian.
#[derive(Clone, Debug)]
pub struct Runner(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Local,
    Guarded(Arc<Guarded>),
}

#[derive(Debug)]
struct Guarded {
    lock: File,
    /// None after it was lost, and while a job runs.
    guardian: Mutex<Option<Guardian>>,
}

/// How much of what a job leaves behind is certain to be found; belongs into receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Every descendant, whatever it did to hide, also when the driver is killed. On macOS, which
    /// has no subreapers, a daemon in a session of its own escapes.
    Guardian,
    /// The job's process group, while the driver lives. A job that calls setsid(2) escapes.
    Group,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guardian => "guardian",
            Self::Group => "group",
        })
    }
}

impl Runner {
    /// Runs jobs as children of this process, any number at a time, in the tier [`Tier::Group`].
    #[must_use]
    pub fn local() -> Self {
        Self(Kind::Local)
    }

    /// Starts a guardian, which runs one job at a time in the tier [`Tier::Guardian`] and holds
    /// `lock` as long as anything of it lives.
    ///
    /// The lock must be one of flock(2), as [`File::try_lock`] takes it, and be released by closing
    /// the file: unlocking it explicitly would unlock the guardian's too. This process becomes a
    /// subreaper, so that it inherits the jobs of a guardian that was killed; it then ends its
    /// descendants in other sessions than its own.
    ///
    /// # Errors
    /// [`ProcessError::NotInitialised`] if [`init`](crate::init) was not called,
    /// [`ProcessError::GuardianStart`] if it does not come up.
    pub fn guarded(lock: &File) -> Result<Self, ProcessError> {
        if !crate::is_initialised() {
            return Err(ProcessError::NotInitialised);
        }
        let copy = lock.try_clone().map_err(|source| ProcessError::GuardianStart {
            operation: "duplicate the lock",
            source,
        })?;
        Ok(Self(Kind::Guarded(Arc::new(Guarded {
            guardian: Mutex::new(Some(Guardian::start(lock)?)),
            lock: copy,
        }))))
    }

    /// What this runner can promise.
    #[must_use]
    pub fn tier(&self) -> Tier {
        match self.0 {
            Kind::Local => Tier::Group,
            Kind::Guarded(_) => Tier::Guardian,
        }
    }

    /// Runs a job and returns when it has ended, nothing of it is left, and its output is durable.
    ///
    /// `on_start` is called once if and when the job runs; the job does not wait for it.
    ///
    /// # Errors
    /// Those of [`ProcessError`]; whatever the job does is an [`Outcome`].
    pub fn run(
        &self,
        job: &Job,
        cancel: &Cancel,
        on_start: &mut dyn FnMut(&Started),
    ) -> Result<Outcome, ProcessError> {
        if cancel.is_cancelled() {
            return run::cancelled_before_start(job);
        }
        match &self.0 {
            Kind::Local => run_here(job, cancel, on_start),
            Kind::Guarded(guarded) => guarded.run(job, cancel, on_start),
        }
    }
}

impl Guarded {
    fn run(
        &self,
        job: &Job,
        cancel: &Cancel,
        on_start: &mut dyn FnMut(&Started),
    ) -> Result<Outcome, ProcessError> {
        let mut slot = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic in `on_start` drops it in place of leaving it mid-job.
        let living = slot.take().and_then(Guardian::if_alive);
        let mut guardian = living.map_or_else(|| Guardian::start(&self.lock), Ok)?;
        match guardian.run(job, cancel, on_start) {
            Ok(result) => {
                *slot = Some(guardian);
                result
            }
            Err(Lost) => Err(guardian.bury(job)),
        }
    }
}

fn run_here(job: &Job, cancel: &Cancel, on_start: &mut dyn FnMut(&Started)) -> Result<Outcome, ProcessError> {
    let waker = cancel
        .waker()
        .map_err(|e| ProcessError::system("open a pipe", e))?;
    let mut switch = Switch { cancel, waker };
    match run::run(job, &mut switch, Scope::Group, on_start)? {
        Some(outcome) => Ok(outcome),
        // A switch never gives the order to abandon.
        None => run::cancelled_before_start(job),
    }
}

/// Orders that come from a [`Cancel`].
struct Switch<'a> {
    cancel: &'a Cancel,
    waker: Waker,
}

impl Orders for Switch<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.waker.fd()
    }

    fn next(&mut self) -> Order {
        self.waker.reset();
        self.cancel.grace().map_or(Order::Continue, Order::Cancel)
    }
}
