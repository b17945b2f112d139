//! Putting a driver together.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_driver_aar::Signer;
use machine_driver_alert::Alerter;
use machine_driver_governor::{Committer, Surveyor};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{Mode, Task};
use machine_driver_state::state::Phase;
use machine_driver_state::store::Store;
use machine_driver_verify::Verifier;
use machine_driver_worker::Worker;

use crate::attend::Lookout;
use crate::attest::Notary;
use crate::clock::{Clock, SystemClock, Timeline};
use crate::contract;
use crate::control::Desk;
use crate::default_ports;
use crate::driver::{Driver, Parts, Until};
use crate::error::DriverError;
use crate::hold::Held;
use crate::mail::Mail;
use crate::notice::Notice;
use crate::processes::Processes;
use crate::stop::Stop;
use crate::watch::Watch;

type Listener = Box<dyn FnMut(&Notice<'_>) + Send>;

/// Takes what a driver works with. All but the goal has a default: commands from goal.json, the system's clock.
pub struct Builder {
    goal: PathBuf,
    worker: Option<Arc<dyn Worker>>,
    verifier: Option<Arc<dyn Verifier>>,
    committer: Option<Arc<dyn Committer>>,
    surveyor: Option<Arc<dyn Surveyor>>,
    accepts_tree: bool,
    alerters: Vec<Arc<dyn Alerter>>,
    signer: Option<Arc<dyn Signer>>,
    trust: Option<PathBuf>,
    store: Option<Box<dyn Store>>,
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
            committer: None,
            surveyor: None,
            accepts_tree: false,
            alerters: Vec::new(),
            signer: None,
            trust: None,
            store: None,
            clock: Arc::new(SystemClock::new()),
            stop: Stop::new(),
            until: Until::Finished,
            listener: Box::new(|_| ()),
            guarded: false,
        }
    }

    /// Who does the tasks, in place of a process that runs the goal's `worker_cmd`. goal.json has to name one all the same: it
    /// comes with each order, and a worker of one's own may use it as it likes.
    #[must_use]
    pub fn worker(mut self, worker: impl Worker + 'static) -> Self {
        self.worker = Some(Arc::new(worker));
        self
    }

    /// Who judges them, in place of a process that runs the goal's `verify_cmd`. goal.json has to name one all the same, and it
    /// comes with each order: a task without a `verify_cmd` is not judged by anybody and ends blocked.
    ///
    /// Its id must be another than the worker's ([`DriverError::OneActor`]).
    #[must_use]
    pub fn verifier(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Who commits what the gate allows, in place of git in the goal's repository. It is asked for nothing in mode `propose`.
    /// One that adds something to git's commits can be put around [`default_ports::committer`].
    #[must_use]
    pub fn committer(mut self, committer: impl Committer + 'static) -> Self {
        self.committer = Some(Arc::new(committer));
        self
    }

    /// Who sees what a worker changed, in place of git and the disk. It is asked only where the goal has rules about paths:
    /// `scope`, or `path:` in `immutable`.
    #[must_use]
    pub fn surveyor(mut self, surveyor: impl Surveyor + 'static) -> Self {
        self.surveyor = Some(Arc::new(surveyor));
        self
    }

    /// From now on the rules about paths compare with the tree as it stands when this run begins, and not as it stood before any
    /// worker of this goal. For a person to say, who has looked at it: what a worker left is taken for theirs.
    #[must_use]
    pub const fn accept_tree(mut self, accepts: bool) -> Self {
        self.accepts_tree = accepts;
        self
    }

    /// Who tells a person when something needs them, beside those added before; in place of what goal.json and the
    /// environment name. Without any, alerts come as [`Notice::Alert`].
    ///
    /// One that fails for now is tried again while the run goes on, and for
    /// [`FAREWELL`](machine_driver_governor::alerts::FAREWELL) (5 s) at its end; the next run sends what is left.
    #[must_use]
    pub fn alerter(mut self, alerter: impl Alerter + 'static) -> Self {
        self.alerters.push(Arc::new(alerter));
        self
    }

    /// Who signs records about resolved tasks, in place of the goal's `aar_priv`; goal.json still names `subject` and
    /// `principal`. The log is signed by the goal's own key alone.
    #[must_use]
    pub fn signer(mut self, signer: impl Signer + 'static) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// The folder with the DID documents of those whose signature on a contract's receipt counts, in place of
    /// [`contract::trust_folder`]. It must lie where no worker works.
    #[must_use]
    pub fn trust(mut self, folder: impl Into<PathBuf>) -> Self {
        self.trust = Some(folder.into());
        self
    }

    /// Where the run is kept, in place of the files beside goal.json. goal.json itself is read once and never written;
    /// evidence still lies beside it. The store sees to it that no second driver uses it.
    #[must_use]
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The switch that ends the run from another thread, or from [`Builder::on_notice`]. Nothing else presses it: signals are
    /// for the program to catch.
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

    /// Who is told what happens, as it happens: on the thread of [`Driver::run`], which goes on when the listener returns. One
    /// that has much to do hands it to another thread. A second listener takes the place of the first.
    #[must_use]
    pub fn on_notice(mut self, listener: impl FnMut(&Notice<'_>) + Send + 'static) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// Holds processes by a guardian, a small process of their own that outlives a killed driver by just as long as it
    /// takes to end them. `main` must begin with `machine_driver::init()`, or [`Builder::build`] fails; so this is not for
    /// `#[test]` functions. Without it a driver that is killed leaves its worker running, and the next one ends it.
    ///
    /// It concerns the processes of `worker_cmd` and `verify_cmd` only, and needs the files beside goal.json: with a
    /// [`Builder::store`] that has no lock file, processes are not guarded.
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
        #[cfg(feature = "command")]
        let by_command = self.worker.is_none();
        let committer = RefCell::new(self.committer.clone());
        let surveyor = RefCell::new(self.surveyor.clone());
        let check = |file: &GoalFile| {
            if self.verifier.is_some() {
                has_verify_cmd(file)?;
            }
            #[cfg(feature = "command")]
            if by_command {
                crate::preflight::check(file)?;
            }
            crate::sink::check(file)?;
            if self.committer.is_none() {
                *committer.borrow_mut() = default_ports::committer(file, self.clock.now())?;
            }
            if self.surveyor.is_none() {
                *surveyor.borrow_mut() = default_ports::surveyor(file)?;
            }
            Ok(())
        };
        let mut held = Held::take(&self.goal, self.store, &check)?;
        let mut timeline = Timeline::new(self.clock);
        timeline.go_on_from(held.state.last_at());
        held.carry_out_pending(&timeline)?;
        if let Some(halted) = held.halted() {
            return Err(halted);
        }
        let notary = Notary::of(held.goal(), self.signer, &held.store.paths().aar);
        let committer = needed(committer.into_inner(), &held, notary.is_some());
        let alerters = default_ports::alerters(&held.file, &self.alerters)?;
        let processes = Processes::hold(&held, self.guarded)?;
        let worker = self.worker.or_else(|| processes.worker());
        let worker = worker.ok_or(DriverError::NoPort("worker"))?;
        let verifier = self.verifier.or_else(|| processes.verifier());
        let verifier = verifier.ok_or(DriverError::NoPort("verifier"))?;
        if worker.id() == verifier.id() {
            return Err(DriverError::OneActor(worker.id().clone()));
        }
        let thread = |source| DriverError::Io {
            operation: "start a thread for",
            path: self.goal.clone(),
            source,
        };
        let lookout = Lookout::new().map_err(thread)?;
        let mail = Mail::start(alerters, &self.stop).map_err(thread)?;
        // Before the receipt is looked at: whom it is compared with may not change from now on.
        let watch = Watch::of(&held.file, self.trust.as_deref());
        let receipt = contract::receipt_seen(&held.file, self.trust.as_deref());
        let desk = Desk::start(held.store.paths(), &self.stop).map_err(thread)?;
        Ok(Driver::new(Parts {
            lookout,
            held,
            worker,
            verifier,
            committer,
            surveyor: surveyor.into_inner(),
            receipt,
            accepts_tree: self.accepts_tree,
            notary,
            mail,
            watch,
            timeline,
            desk,
            stop: self.stop,
            until: self.until,
            listener: self.listener,
            tier: processes.tier(),
        }))
    }
}

/// Who commits, where that is asked for: also to finish what was allowed before a crash.
fn needed(committer: Option<Arc<dyn Committer>>, held: &Held, attests: bool) -> Option<Arc<dyn Committer>> {
    let is_asked = held.goal().mode == Mode::Commit || attests;
    match held.state.current().map(|current| &current.phase) {
        Some(Phase::Allowed(_)) => committer.or_else(|| default_ports::finisher(&held.file)),
        _ => committer.filter(|_| is_asked),
    }
}

/// A verifier of one's own takes the place of commands, but whether a task has one is the goal's to say: without it the
/// task could never be done.
fn has_verify_cmd(file: &GoalFile) -> Result<(), DriverError> {
    let goal = file.goal();
    let without = |task: &Task| task.verify_cmd.is_none() && goal.verify_cmd.is_none();
    match goal.tasks.iter().position(without) {
        Some(index) => {
            let help = "name one, if only as a note of what is verified: the verifier that was given is asked in its place";
            let message = format!(
                "there is no verify_cmd for `{}`",
                goal.tasks.get(index).map_or("", |task| task.id.as_str())
            );
            Err(file.refuse(None, "verify_cmd", message, Some(help.into())).into())
        }
        None => Ok(()),
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
