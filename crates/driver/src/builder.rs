//! Putting a driver together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_driver_process::{Runner, Tier};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_verify::{CommandVerifier, Verifier};
use machine_driver_worker::{CommandWorker, Worker};

use crate::attend::Lookout;
use crate::clock::{Clock, SystemClock, Timeline};
use crate::driver::{Driver, Until};
use crate::error::DriverError;
use crate::hold::Held;
use crate::notice::Notice;
use crate::preflight;
use crate::stop::Stop;

type Listener = Box<dyn FnMut(&Notice<'_>) + Send>;

/// Takes what a driver works with. All but the goal has a default: commands from goal.json, the system's clock.
pub struct Builder {
    goal: PathBuf,
    worker: Option<Arc<dyn Worker>>,
    verifier: Option<Arc<dyn Verifier>>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    until: Until,
    listener: Listener,
    guarded: bool,
}

impl Builder {
    pub(crate) fn new(goal: &Path) -> Self {
        Self {
            goal: goal.to_owned(),
            worker: None,
            verifier: None,
            clock: Arc::new(SystemClock::new()),
            stop: Stop::new(),
            until: Until::Finished,
            listener: Box::new(|_| ()),
            guarded: false,
        }
    }

    /// Who does the tasks, in place of the goal's `worker_cmd`.
    #[must_use]
    pub fn worker(mut self, worker: impl Worker + 'static) -> Self {
        self.worker = Some(Arc::new(worker));
        self
    }

    /// Who judges them, in place of the goal's `verify_cmd`.
    #[must_use]
    pub fn verifier(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The switch that ends the run from another thread.
    #[must_use]
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// How far this run goes.
    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    /// Who is told what happens, as it happens.
    #[must_use]
    pub fn on_notice(mut self, listener: impl FnMut(&Notice<'_>) + Send + 'static) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// Holds processes by a guardian, a small process of their own that outlives a killed driver by just as long as it
    /// takes to end them. `main` must begin with [`machine_driver_process::init`].
    #[must_use]
    pub const fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Checks the goal, takes its lock and folds its log. What was under way when an earlier driver was killed is not
    /// touched before [`Driver::run`].
    ///
    /// # Errors
    /// [`DriverError`] for a goal that is not acceptable, one that another driver holds, or a log that does not hold
    /// together. Nothing on the disk was changed then, but for an empty log that the lock may have made.
    pub fn build(self) -> Result<Driver, DriverError> {
        // A worker of one's own needs no command.
        let by_command = self.worker.is_none();
        let check = |file: &GoalFile| {
            if by_command {
                preflight::check(file)
            } else {
                Ok(())
            }
        };
        let held = Held::take(&self.goal, &check)?;
        let runner = self.runner(&held)?;
        let worker = self
            .worker
            .unwrap_or_else(|| Arc::new(CommandWorker::new(runner.clone())));
        let verifier = self
            .verifier
            .unwrap_or_else(|| Arc::new(CommandVerifier::new(runner.clone())));
        if worker.id() == verifier.id() {
            return Err(DriverError::OneActor(worker.id().clone()));
        }
        let tier = if runner.tier() == Tier::Guardian {
            "guardian"
        } else {
            "group"
        };
        let lookout = Lookout::new().map_err(|source| DriverError::Io {
            operation: "start a thread for",
            path: self.goal.clone(),
            source,
        })?;
        Ok(Driver::new(
            lookout,
            held,
            worker,
            verifier,
            Timeline::new(self.clock),
            self.stop,
            self.until,
            self.listener,
            tier,
        ))
    }

    fn runner(&self, held: &Held) -> Result<Runner, DriverError> {
        let lock = held.store.lock_file().filter(|_| self.guarded);
        let Some(lock) = lock else {
            return Ok(Runner::local());
        };
        Runner::guarded(lock).map_err(|source| DriverError::Process {
            operation: "could not hold the processes",
            source,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("goal", &self.goal)
            .field("worker", &self.worker)
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}
