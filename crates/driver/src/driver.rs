//! The loop: ask the rules, do that one thing, record what came of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use machine_driver_governor::dial::{self, Granted};
use machine_driver_governor::gate::could_commit;
use machine_driver_governor::{Action, Committer, Surveyor, next_action};
use machine_driver_state::change::Change;
use machine_driver_state::control::Cut;
use machine_driver_state::event::{BudgetHalt, DriverUp, Event, ReceiptSeen, Stage};
use machine_driver_state::goal::{Goal, Mode};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Phase, Run, State};
use machine_driver_state::store::StoreError;
use machine_driver_state::survey::Survey;
use machine_driver_state::time::Timestamp;
use machine_driver_verify::Verifier;
use machine_driver_worker::Worker;

use crate::attend::Lookout;
use crate::attest::Notary;
use crate::builder::Builder;
use crate::clock::Timeline;
use crate::control::Desk;
use crate::error::DriverError;
use crate::exit::Exit;
use crate::hold::Held;
use crate::mail::Mail;
use crate::notice::Notice;
use crate::outcome;
use crate::proof::does_not_hold;
use crate::show::{Shown, changes_a_status};
use crate::sink::Sink;
use crate::stop::Stop;
use crate::summary::Summary;
use crate::watch::Watch;

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

/// A goal, held by its lock, and those who work on it.
pub struct Driver {
    pub(crate) held: Held,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) committer: Option<Arc<dyn Committer>>,
    pub(crate) surveyor: Option<Arc<dyn Surveyor>>,
    pub(crate) notary: Option<Notary>,
    pub(crate) mail: Mail,
    pub(crate) watch: Watch,
    pub(crate) receipt: Option<ReceiptSeen>,
    pub(crate) accepts_tree: bool,
    pub(crate) timeline: Timeline,
    pub(crate) stop: Stop,
    pub(crate) desk: Desk,
    until: Until,
    listener: Box<dyn FnMut(&Notice<'_>) + Send>,
    tier: &'static str,
    pub(crate) shown: Shown,
    resolved: u64,
    pub(crate) committed: u64,
    attempts: u64,
    pub(crate) budget_halt: Option<BudgetHalt>,
}

/// What a builder puts together.
pub(crate) struct Parts {
    pub(crate) held: Held,
    pub(crate) lookout: Lookout,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) committer: Option<Arc<dyn Committer>>,
    pub(crate) surveyor: Option<Arc<dyn Surveyor>>,
    pub(crate) notary: Option<Notary>,
    pub(crate) mail: Mail,
    pub(crate) watch: Watch,
    pub(crate) receipt: Option<ReceiptSeen>,
    pub(crate) accepts_tree: bool,
    pub(crate) timeline: Timeline,
    pub(crate) stop: Stop,
    pub(crate) desk: Desk,
    pub(crate) until: Until,
    pub(crate) listener: Box<dyn FnMut(&Notice<'_>) + Send>,
    pub(crate) tier: &'static str,
}

impl Driver {
    /// Starts to put a driver together for the goal.json at this path.
    #[must_use]
    pub fn builder(goal: impl AsRef<Path>) -> Builder {
        Builder::new(goal.as_ref())
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let shown = Shown::read(&parts.held);
        let (resolved, committed, attempts, budget_halt) = (0, 0, 0, None);
        Self {
            held: parts.held,
            lookout: Arc::new(parts.lookout),
            worker: parts.worker,
            verifier: parts.verifier,
            committer: parts.committer,
            surveyor: parts.surveyor,
            notary: parts.notary,
            mail: parts.mail,
            watch: parts.watch,
            receipt: parts.receipt,
            accepts_tree: parts.accepts_tree,
            timeline: parts.timeline,
            stop: parts.stop,
            desk: parts.desk,
            until: parts.until,
            listener: parts.listener,
            tier: parts.tier,
            shown,
            resolved,
            committed,
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
        let ended = self.whole_run();
        // The last to go, behind the guardian, which holds the lock too: nobody who waits for that waits for a copy.
        let sink = self.held.sink.take();
        let ended = self.end(ended);
        drop(sink);
        ended
    }

    fn end(mut self, ended: Result<Exit, DriverError>) -> Result<Summary, DriverError> {
        if let Err(error) = ended.as_ref()
            && (matches!(
                error,
                DriverError::Store(StoreError::Replaced { .. } | StoreError::Changed { .. })
            ) || does_not_hold(error))
        {
            let what = format!("The log was tampered with: {error}. The driver stopped.");
            self.cry_out(&what);
        } else if let Err(error @ DriverError::Besieged { .. }) = &ended {
            let what = format!("{error}. The driver stopped.");
            self.cry_out(&what);
        }
        Ok(self.summary(ended?))
    }

    fn whole_run(&mut self) -> Result<Exit, DriverError> {
        self.begin()?;
        let exit = self.work_off()?;
        self.look_at_goal()?;
        self.show()?;
        Ok(exit)
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
        let paths = self.held.store.paths();
        for folder in [paths.evidence.clone(), paths.snapshots()] {
            self.watch.take_folder(folder);
        }
        let repo = self.standing();
        let changed = repo.as_ref().map_or(0, |repo| repo.paths);
        let survey = self.first_survey()?;
        self.compare_with_standing(survey.as_ref())?;
        let now = self.timeline.now();
        self.held.state.foresee(self.receipt.clone(), &[]);
        let granted = dial::granted(self.goal(), &self.held.state, now);
        self.record(now, self.driver_up(&granted, repo, survey))?;
        let granted = dial::granted(self.goal(), &self.held.state, now);
        (self.listener)(&Notice::Up {
            goal: self.held.file.goal(),
            state: &self.held.state,
            granted: &granted,
        });
        let is_first = self.held.state.spent().worker_runs == 0;
        if changed > 0 && is_first && could_commit(self.goal(), now) {
            self.tell(&Notice::NotClean { paths: changed });
        }
        self.send_what_waits()?;
        self.show()
    }

    fn driver_up(&self, granted: &Granted, repo: Option<Change>, survey: Option<Survey>) -> Event {
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
            gate: goal.mode == Mode::Commit,
            repo,
            sinks: self.mail.sinks(),
            records: self.notary.is_some(),
            receipt: self.receipt.clone(),
            survey,
            accepts_tree: self.accepts_tree,
            sealed: self.held.seal.is_some(),
        })
    }

    fn work_off(&mut self) -> Result<Exit, DriverError> {
        loop {
            self.carry_out_news()?;
            if let Some(cut) = self.stop.asked() {
                return self.cut_off(cut);
            }
            self.take_mail()?;
            if self.is_enough() {
                self.farewell()?;
                return Ok(Exit::Done);
            }
            match self.held.state.current().map(|current| &current.phase) {
                None => self.look_at_goal()?,
                Some(Phase::Passed { .. }) if self.held.state.gate() => self.look_around()?,
                Some(_) => {}
            }
            let now = self.timeline.now();
            match next_action(self.goal(), &self.held.state, self.worker.id(), now) {
                Action::Record(event) => self.record_next(now, event)?,
                Action::ClearUp(attempt, stage) => self.clear_up(attempt, stage)?,
                Action::Work(attempt, index) => self.work(&attempt, index)?,
                Action::Verify(attempt, index, tries) => self.verify(&attempt, index, tries)?,
                Action::Attest(attempt, index, found) => self.attest(&attempt, index, &found)?,
                Action::Commit(attempt, index) => self.commit(&attempt, index)?,
                Action::Wait(until) => self.wait(now, until),
                Action::Stuck(why) => return Err(self.stuck(now, why)),
                Action::Stop(run) => return Ok(self.finished(run)),
                Action::Refuse(why) => return Err(DriverError::Rules(why)),
            }
        }
    }

    /// What is under way was stopped in order: the next run goes on with it, and takes it for no crash.
    fn stuck(&mut self, now: Timestamp, why: String) -> DriverError {
        let attempt = self.held.state.attempt_under_way(self.goal());
        let stopped = attempt.map(|attempt| outcome::cut_off(attempt, Stage::Verify, Cut::Stop));
        match stopped
            .map_or(Ok(()), |event| self.record(now, event))
            .and_then(|()| self.show())
        {
            Ok(()) => DriverError::Stuck(why),
            Err(error) => error,
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

    pub(crate) fn record_next(&mut self, now: Timestamp, event: Event) -> Result<(), DriverError> {
        match &event {
            Event::Dispatch(..) => {
                self.attempts += 1;
                self.watch.forget_evidence();
            }
            Event::Commit(..) => {
                self.resolved += 1;
                self.committed += 1;
            }
            Event::Proposed(..) | Event::CommitEmpty(..) => self.resolved += 1,
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
        if let Some(why) = self.held.sink.as_mut().and_then(Sink::trouble) {
            self.tell(&Notice::AuditSinkFailing { why: &why });
        }
        if let Event::AlertRaised(raised) = &record.event {
            self.send_raised(raised)?;
        }
        if changes_a_status(&record.event) && self.is_stale() {
            self.show()
        } else {
            Ok(())
        }
    }

    fn wait(&mut self, now: Timestamp, until: Timestamp) {
        let time = until.since(now);
        self.tell(&Notice::Waiting { until, time });
        self.timeline.wait(time, &self.stop);
    }

    pub(crate) fn tell_of(&mut self, record: &Record) {
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
            _ if self.held.state.halt().is_some() => Exit::Halted,
            _ if self.held.state.plan().blocked() > 0 => Exit::Blocked,
            _ => Exit::Done,
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

/// Which boot of this machine it is; empty where the system does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}
