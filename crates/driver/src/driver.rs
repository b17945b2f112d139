//! The loop: ask the rules, do that one thing, record what came of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use machine_driver_governor::dial::{self, Granted};
use machine_driver_governor::{Action, next_action};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{BudgetHalt, DriverUp, Event, Stage, Tampering};
use machine_driver_state::goal::Goal;
use machine_driver_state::record::Record;
use machine_driver_state::state::{Run, State};
use machine_driver_state::store::Store;
use machine_driver_state::time::Timestamp;
use machine_driver_verify::Verifier;
use machine_driver_worker::Worker;

use crate::attend::Lookout;
use crate::builder::Builder;
use crate::clock::Timeline;
use crate::error::DriverError;
use crate::exit::Exit;
use crate::hold::Held;
use crate::notice::Notice;
use crate::outcome;
use crate::stop::Stop;

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// Until every task is done or blocked, or the budget is used up.
    Finished,
    /// Until this many tasks were done or blocked in this run.
    Tasks(u64),
    /// Until one attempt is over.
    OneAttempt,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// In the terms of an exit code.
    pub exit: Exit,
    /// Tasks in the goal.
    pub tasks: usize,
    /// Of these, done.
    pub done: usize,
    /// Of these, blocked.
    pub blocked: usize,
    /// Of these, neither.
    pub remaining: usize,
    /// Workers started over the goal's life.
    pub worker_runs: u64,
    /// The limit that was reached, where one was.
    pub budget_halt: Option<BudgetHalt>,
}

/// A goal, held by its lock, and those who work on it.
pub struct Driver {
    pub(crate) held: Held,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) timeline: Timeline,
    pub(crate) stop: Stop,
    until: Until,
    listener: Box<dyn FnMut(&Notice<'_>) + Send>,
    tier: &'static str,
    shown: Shown,
    resolved: u64,
    attempts: u64,
    budget_halt: Option<BudgetHalt>,
}

/// What goal.json showed last.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: Instant,
    log_bytes: u64,
    goal_bytes: u64,
}

/// A goal.json up to this size, in bytes, is written at every change.
const SMALL: u64 = 4 << 10;

/// Up to this size it is at most a second old while work goes on.
const MEDIUM: u64 = 1 << 20;

impl Driver {
    /// Starts to put a driver together for the goal.json at this path.
    #[must_use]
    pub fn builder(goal: impl AsRef<Path>) -> Builder {
        Builder::new(goal.as_ref())
    }

    #[expect(clippy::too_many_arguments, reason = "the builder is its one caller")]
    pub(crate) fn new(
        lookout: Lookout,
        held: Held,
        worker: Arc<dyn Worker>,
        verifier: Arc<dyn Verifier>,
        timeline: Timeline,
        stop: Stop,
        until: Until,
        listener: Box<dyn FnMut(&Notice<'_>) + Send>,
        tier: &'static str,
    ) -> Self {
        let shown = Shown {
            at: Instant::now(),
            log_bytes: 0,
            goal_bytes: held.file.source().len() as u64,
        };
        let (resolved, attempts, budget_halt) = (0, 0, None);
        Self {
            held,
            lookout: Arc::new(lookout),
            worker,
            verifier,
            timeline,
            stop,
            until,
            listener,
            tier,
            shown,
            resolved,
            attempts,
            budget_halt,
        }
    }

    /// The goal.
    #[must_use]
    pub fn goal(&self) -> &Goal {
        self.held.goal()
    }

    /// Where its run stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.held.state
    }

    /// Works the goal off until it is finished, the budget is used up, or somebody stops it.
    ///
    /// # Errors
    /// [`DriverError`] when the driver itself fails. What is on disk then is whole, and the next run goes on from it.
    pub fn run(mut self) -> Result<Summary, DriverError> {
        self.begin()?;
        let exit = self.work_off()?;
        self.look_at_goal()?;
        self.show()?;
        Ok(self.summary(exit))
    }

    fn begin(&mut self) -> Result<(), DriverError> {
        if let Some(by) = self.timeline.go_on_from(self.held.state.last_at()) {
            self.tell(&Notice::ClockBehind { by });
        }
        if self.held.torn > 0 {
            self.tell(&Notice::TornTail {
                bytes: self.held.torn,
            });
        }
        if let Some(kept) = self.held.kept.clone() {
            self.tell(&Notice::Adopted { kept_as: &kept.name });
        }
        for odd in self.held.odd_edits() {
            self.tell(&odd);
        }
        let now = self.timeline.now();
        if let Some(record) = self.held.opening(now)? {
            self.tell_of(&record);
        }
        let granted = dial::granted(self.goal());
        self.record(now, self.driver_up(granted))?;
        (self.listener)(&Notice::Up {
            goal: self.held.file.goal(),
            state: &self.held.state,
            granted,
        });
        self.show()
    }

    fn driver_up(&self, granted: Granted) -> Event {
        let goal = self.goal();
        Event::DriverUp(DriverUp {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            boot_id: boot_id(),
            goal: goal.name.clone(),
            goal_sha256: goal.digest,
            mode_asked: dial::word(goal.mode).into(),
            mode: dial::word(granted.mode).into(),
            tier: self.tier.into(),
        })
    }

    fn work_off(&mut self) -> Result<Exit, DriverError> {
        loop {
            if let Some(cut) = self.stop.asked() {
                self.cut_off(cut)?;
                return Ok(stopped_by(cut));
            }
            if self.is_enough() {
                return Ok(Exit::Done);
            }
            if self.held.state.current().is_none() {
                self.look_at_goal()?;
            }
            let now = self.timeline.now();
            match next_action(self.goal(), &self.held.state, self.worker.id(), now) {
                Action::Record(event) => self.record_next(now, event)?,
                Action::ClearUp(attempt, stage) => self.clear_up(attempt, stage)?,
                Action::Work(attempt, index) => self.work(&attempt, index)?,
                Action::Verify(attempt, index, tries) => self.verify(&attempt, index, tries)?,
                Action::Wait(until) => self.wait(now, until),
                Action::Stop(run) => return Ok(self.finished(run)),
                Action::Refuse(why) => return Err(DriverError::Rules(why)),
            }
        }
    }

    /// A stop between two steps of an attempt is recorded as what it is, so that the next start does not take it for a crash.
    fn cut_off(&mut self, by: Cut) -> Result<(), DriverError> {
        let now = self.timeline.now();
        match next_action(self.goal(), &self.held.state, self.worker.id(), now) {
            // What is determined is recorded, but nothing new is begun.
            Action::Record(event) if self.held.state.current().is_some() => self.record_next(now, event),
            Action::Work(attempt, _) => self.record(now, outcome::cut_off(attempt, Stage::Worker, by)),
            Action::Verify(attempt, ..) => self.record(now, outcome::cut_off(attempt, Stage::Verify, by)),
            Action::Wait(_) => match self.held.state.attempt_under_way(self.held.file.goal()) {
                Some(attempt) => self.record(now, outcome::cut_off(attempt, Stage::Verify, by)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether this run has gone as far as it was to go. What is under way is brought to its end first.
    fn is_enough(&self) -> bool {
        let enough = match self.until {
            Until::Finished => false,
            Until::Tasks(most) => self.resolved >= most,
            Until::OneAttempt => self.attempts >= 1,
        };
        enough && self.held.state.current().is_none() && self.held.state.plan().open() > 0
    }

    fn record_next(&mut self, now: Timestamp, event: Event) -> Result<(), DriverError> {
        match &event {
            Event::Dispatch(..) => self.attempts += 1,
            Event::Proposed(..) => self.resolved += 1,
            Event::Quarantine(attempt, _) if attempt.session.is_some() => self.resolved += 1,
            Event::BudgetHalt(halt) => self.budget_halt = Some(halt.clone()),
            _ => {}
        }
        self.record(now, event)
    }

    /// Appends a record and takes it up. When this returns it is durable.
    pub(crate) fn record(&mut self, at: Timestamp, event: Event) -> Result<(), DriverError> {
        let record = self.held.append(at, event)?;
        self.tell_of(&record);
        if changes_a_status(&record.event) && self.is_stale() {
            self.show()
        } else {
            Ok(())
        }
    }

    /// Whether goal.json should be written again. It costs what the log has cost since, so that the price of a record
    /// does not grow with the number of tasks.
    fn is_stale(&self) -> bool {
        let grown = self.held.store.log_bytes().saturating_sub(self.shown.log_bytes);
        let size = self.shown.goal_bytes;
        size <= SMALL || grown >= size || (size <= MEDIUM && self.shown.at.elapsed().as_secs() >= 1)
    }

    /// Writes goal.json.
    fn show(&mut self) -> Result<(), DriverError> {
        self.look_at_goal()?;
        let text = self.held.rendered();
        self.held.store.checkpoint(&text)?;
        let (log_bytes, goal_bytes) = (self.held.store.log_bytes(), text.len() as u64);
        self.shown = Shown {
            at: Instant::now(),
            log_bytes,
            goal_bytes,
        };
        Ok(())
    }

    /// A change of goal.json while the driver runs is nobody's edit: it is kept beside it, and the driver's copy restored.
    pub(crate) fn look_at_goal(&mut self) -> Result<(), DriverError> {
        let Some(edit) = self.held.store.goal_changed_outside()? else {
            return Ok(());
        };
        let now = self.timeline.now();
        let when = now.to_string().replace([':', '-'], "");
        let kept = self
            .held
            .store
            .keep_edit_and_restore(&self.held.rendered(), &when)?;
        let kept_as = kept.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let what = format!("goal.json {edit}");
        // Not by `record`, which may look at goal.json again.
        let record = self
            .held
            .append(now, Event::Tampering(Tampering { what, kept_as }))?;
        self.tell_of(&record);
        Ok(())
    }

    fn wait(&mut self, now: Timestamp, until: Timestamp) {
        let time = until.since(now);
        self.tell(&Notice::Waiting { until, time });
        self.timeline.wait(time, &self.stop);
    }

    fn tell_of(&mut self, record: &Record) {
        (self.listener)(&Notice::Recorded {
            record,
            goal: self.held.file.goal(),
            state: &self.held.state,
        });
    }

    pub(crate) fn tell(&mut self, notice: &Notice<'_>) {
        (self.listener)(notice);
    }

    fn finished(&self, run: Run) -> Exit {
        match run {
            Run::Halted => Exit::BudgetHalt,
            _ if self.held.state.plan().blocked() > 0 => Exit::Blocked,
            _ => Exit::Done,
        }
    }

    fn summary(self, exit: Exit) -> Summary {
        let plan = self.held.state.plan();
        Summary {
            exit,
            tasks: self.goal().tasks.len(),
            done: plan.done(),
            blocked: plan.blocked(),
            remaining: plan.open(),
            worker_runs: self.held.state.spent().worker_runs,
            budget_halt: self.budget_halt,
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("goal", &self.goal().name)
            .field("worker", &self.worker)
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

const fn changes_a_status(event: &Event) -> bool {
    !matches!(
        event,
        Event::WorkerStarted(..) | Event::WorkerExited(..) | Event::Verified(..) | Event::VerifyFailed(..)
    )
}

const fn stopped_by(cut: Cut) -> Exit {
    match cut {
        Cut::Sigint => Exit::Interrupted,
        Cut::Sigterm => Exit::Terminated,
        _ => Exit::Halted,
    }
}

/// Which boot of this machine it is; empty where the system does not tell.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}
