//! Proof that a log is what the rules ask for: at each record the machine is asked again, and every byte is compared.

use machine_driver_state::control::Cut;
use machine_driver_state::event::{AttemptRef, Event, Origin};
use machine_driver_state::goal::Goal;
use machine_driver_state::id::{ActorId, Digest};
use machine_driver_state::record::{Record, RecordError};
use machine_driver_state::state::{OutOfOrder, Phase, State};

use crate::{Action, next_action};

/// Why a log is not what the rules ask for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A record is broken, or not the one that follows.
    #[error("record {seq} (line {line}): {source}")]
    Record {
        /// Its number.
        seq: u64,
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// An event cannot have happened then.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The rules ask for something else.
    #[error("record {seq}: the log says {found}; the rules ask for {expected}")]
    Rules {
        /// Its number.
        seq: u64,
        /// What the rules ask for.
        expected: String,
        /// What the log says.
        found: String,
    },
    /// The record says the same, but its bytes differ.
    #[error("record {seq} is not written as this version writes it")]
    Bytes {
        /// Its number.
        seq: u64,
    },
    /// A goal that the log names was not kept.
    #[error("record {seq} needs the goal {digest}: {why}")]
    Goal {
        /// Its number.
        seq: u64,
        /// The goal.
        digest: Digest,
        /// Why it could not be had.
        why: String,
    },
}

/// Where goals as they once were come from: `evidence/goal/<digest>.json` for the command line.
pub trait Goals {
    /// The goal with this digest.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    fn goal(&mut self, digest: Digest) -> Result<Goal, String>;
}

/// A replay under way: feed it the log's lines in order.
#[derive(Debug)]
pub struct Replay<G> {
    goals: G,
    goal: Option<Goal>,
    worker: Option<ActorId>,
    state: State,
}

impl<G: Goals> Replay<G> {
    /// A replay of a whole log from its first record.
    pub fn new(goals: G) -> Self {
        Self {
            goals,
            goal: None,
            worker: None,
            state: State::new(),
        }
    }

    /// Where the run stood after the last line fed.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The goal in force after the last line fed.
    #[must_use]
    pub const fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// Checks the next line, given without its newline.
    ///
    /// # Errors
    /// [`ReplayError`] names the record and what it should have been.
    pub fn feed(&mut self, line: &[u8]) -> Result<(), ReplayError> {
        let seq = self.state.head().map_or(0, |head| head.seq + 1);
        let broken = |source| ReplayError::Record {
            seq,
            line: seq + 1,
            source,
        };
        let record = Record::read(line).map_err(broken)?;
        record.check_follows(self.state.head()).map_err(broken)?;
        if !self.comes_from_outside(&record.event) {
            self.ask_the_rules(&record)?;
        }
        let again = Record::after(
            self.state.head(),
            record.at,
            &record.deployment_id,
            record.event.clone(),
        )
        .and_then(|again| {
            let sig = record.sig.clone();
            Record { sig, ..again }.line()
        })
        .map_err(broken)?;
        if again.as_bytes() != line {
            return Err(ReplayError::Bytes { seq });
        }
        self.state.apply(&record)?;
        self.take_up_goal(&record)
    }

    /// Whether the event is an input, taken as given where [`State::apply`] lets it stand.
    fn comes_from_outside(&self, event: &Event) -> bool {
        match event {
            Event::Imported(imported) => matches!(
                imported.origin,
                Origin::Original | Origin::GoalJson | Origin::Restart
            ),
            Event::DriverUp(_) | Event::GoalEdited(_) | Event::TaskAdded(_) | Event::Retried(_) => true,
            Event::Tampering(_) | Event::AlertDelivered(_) => true,
            Event::ContractRatified(_)
            | Event::ContractRevoked(_)
            | Event::DialChanged(_)
            | Event::Approved(_) => true,
            Event::OverrideRequested(_) | Event::OverrideEffective(_) | Event::OverrideLifted(_) => true,
            Event::Interrupted(attempt, _) => self.may_be_cut_off(attempt),
            Event::WorkerExited(attempt, _) => self.runs(attempt),
            _ => false,
        }
    }

    /// Whether the worker of this attempt was seen to start: it was asked for then, whatever the clock asks for by now.
    fn runs(&self, attempt: &AttemptRef) -> bool {
        let current = self.state.current();
        let has_started =
            current.is_some_and(|current| current.mark.is_some() && current.phase == Phase::Dispatched);
        has_started && self.may_be_cut_off(attempt)
    }

    /// Whether a signal or a limit can have cut this attempt off.
    fn may_be_cut_off(&self, attempt: &AttemptRef) -> bool {
        let goal = self.goal.as_ref();
        let under_way = goal.and_then(|goal| self.state.attempt_under_way(goal));
        let current = self.state.current();
        under_way.as_ref() == Some(attempt)
            && current.is_some_and(|current| !current.left_behind() && !current.cut_off)
    }

    fn ask_the_rules(&mut self, record: &Record) -> Result<(), ReplayError> {
        if let Event::Dispatch(_, dispatch) = &record.event {
            self.worker = Some(dispatch.worker_id.clone());
        }
        let Some(goal) = &self.goal else {
            let expected = "a first record that names a goal".into();
            return Err(rules(record, expected));
        };
        // Only a dispatch names the worker: before the first one, nothing that is asked for depends on it.
        let nobody = || ActorId::new("nobody").map_err(|why| rules(record, why.to_string()));
        let worker = self.worker.clone().map_or_else(nobody, Ok)?;
        let action = next_action(goal, &self.state, &worker, record.at);
        if answers(&action, &record.event) || self.was_asked_before(goal, &worker, record) {
            return Ok(());
        }
        Err(ReplayError::Rules {
            seq: record.seq,
            expected: asked(&action),
            found: said(&record.event),
        })
    }

    /// What takes time was asked for before it was recorded: after the last record, or when a wait after that was over.
    /// By now the clock may ask for something else.
    fn was_asked_before(&self, goal: &Goal, worker: &ActorId, record: &Record) -> bool {
        let mut now = self.state.last_at();
        loop {
            match next_action(goal, &self.state, worker, now) {
                Action::Wait(until) if until > now && until <= record.at => now = until,
                Action::Record(_) => return false,
                action => return answers(&action, &record.event),
            }
        }
    }

    fn take_up_goal(&mut self, record: &Record) -> Result<(), ReplayError> {
        let Some(digest) = record.event.goal() else {
            return Ok(());
        };
        if self.goal.as_ref().map(|goal| goal.digest) == Some(digest) {
            return Ok(());
        }
        let goal = self.goals.goal(digest).map_err(|why| ReplayError::Goal {
            seq: record.seq,
            digest,
            why,
        })?;
        if goal.digest != digest {
            let why = format!("the goal kept under that name is {}", goal.digest);
            return Err(ReplayError::Goal {
                seq: record.seq,
                digest,
                why,
            });
        }
        self.state.adopt(&goal);
        self.goal = Some(goal);
        Ok(())
    }
}

/// Whether `event` is what came of `action`.
fn answers(action: &Action, event: &Event) -> bool {
    match (action, event) {
        (Action::Record(asked), said) => asked == said,
        (Action::Work(asked, _), Event::WorkerStarted(said, _) | Event::WorkerExited(said, _)) => {
            asked == said
        }
        (Action::Verify(asked, ..), Event::Verified(said, _) | Event::VerifyFailed(said, _)) => asked == said,
        (Action::Verify(asked, _, tries), Event::VerifyUnavailable(said, unavailable)) => {
            asked == said && *tries == unavailable.tries
        }
        (Action::Attest(asked, ..), Event::RecordSigned(said, _)) => asked == said,
        (Action::Commit(asked, _), Event::Commit(said, _) | Event::CommitFailed(said, _)) => asked == said,
        (Action::Commit(asked, _), Event::GateDenied(said, denied)) => asked == said && denied.at_mutation,
        (Action::Commit(asked, _), Event::GateEscalated(said, escalated)) => {
            asked == said && escalated.at_mutation
        }
        (Action::ClearUp(asked, stage), Event::Interrupted(said, cut)) => {
            asked == said && *stage == cut.stage && cut.by == Cut::Crash
        }
        _ => false,
    }
}

fn rules(record: &Record, expected: String) -> ReplayError {
    ReplayError::Rules {
        seq: record.seq,
        expected,
        found: said(&record.event),
    }
}

fn asked(action: &Action) -> String {
    match action {
        Action::Record(event) => said(event),
        Action::ClearUp(attempt, _) => {
            format!("clearing up attempt {} of `{}`", attempt.attempt, attempt.task)
        }
        Action::Work(attempt, _) => format!("a worker for attempt {} of `{}`", attempt.attempt, attempt.task),
        Action::Verify(attempt, ..) => {
            format!("a verify for attempt {} of `{}`", attempt.attempt, attempt.task)
        }
        Action::Attest(attempt, ..) => {
            format!("a record about attempt {} of `{}`", attempt.attempt, attempt.task)
        }
        Action::Commit(attempt, _) => {
            format!("the commit of attempt {} of `{}`", attempt.attempt, attempt.task)
        }
        Action::Wait(until) => format!("waiting until {until}"),
        Action::Stuck(why) => format!("an end before it is mended that {why}"),
        Action::Stop(_) => "the end of the run".into(),
        Action::Refuse(why) => format!("nothing ({why})"),
    }
}

fn said(event: &Event) -> String {
    format!("{event:?}")
}
