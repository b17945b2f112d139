//! What is under way cut off from outside: recorded as what it is, so that the next start takes it for no crash.

use machine_driver_governor::{Action, next_action};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{Event, Stage};
use machine_driver_state::state::{Current, Run};

use crate::driver::Driver;
use crate::error::DriverError;
use crate::exit::Exit;
use crate::outcome;

impl Driver {
    /// Ends the run between two steps. A halt goes before whatever else asked for it.
    pub(crate) fn cut_off(&mut self, by: Cut) -> Result<Exit, DriverError> {
        if by == Cut::Halt || self.held.state.halt().is_some() {
            self.cut_off_by_halt()?;
            return Ok(Exit::Halted);
        }
        if self.held.state.run() == Run::Up {
            self.cut_off_in_order(by)?;
        }
        Ok(match by {
            Cut::Sigint => Exit::Interrupted,
            Cut::Sigterm => Exit::Terminated,
            _ => Exit::Halted,
        })
    }

    /// What is determined is recorded, but nothing new is begun.
    fn cut_off_in_order(&mut self, by: Cut) -> Result<(), DriverError> {
        let now = self.timeline.now();
        match next_action(self.goal(), &self.held.state, self.worker.id(), now) {
            Action::Record(event @ (Event::AlertRaised(_) | Event::AlertResolved(_))) => {
                self.record_next(now, event)?;
                self.cut_off_in_order(by)
            }
            Action::Attest(attempt, index, found) => {
                self.attest(&attempt, index, &found)?;
                self.cut_off_in_order(by)
            }
            Action::Record(event) if self.held.state.current().is_some() => self.record_next(now, event),
            Action::Work(attempt, _) => self.record(now, outcome::cut_off(attempt, Stage::Worker, by)),
            Action::Verify(attempt, ..) | Action::Commit(attempt, _) => {
                self.record(now, outcome::cut_off(attempt, Stage::Verify, by))
            }
            Action::Wait(_) => match self.held.state.attempt_under_way(self.held.file.goal()) {
                Some(attempt) => self.record(now, outcome::cut_off(attempt, Stage::Verify, by)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Wherever the attempt is, nothing more is recorded about it than that.
    fn cut_off_by_halt(&mut self) -> Result<(), DriverError> {
        let current = self.held.state.current();
        let current = current.filter(|current| !current.cut_off && !current.left_behind());
        let stage = current
            .filter(|_| self.held.state.run() == Run::Up)
            .map(Current::stage);
        match (stage, self.held.state.attempt_under_way(self.goal())) {
            (Some(stage), Some(attempt)) => {
                let now = self.timeline.now();
                self.record(now, outcome::cut_off(attempt, stage, Cut::Halt))
            }
            _ => Ok(()),
        }
    }

    /// Records what came of a step. Where a halt cut it off, that is effective and on disk first.
    pub(crate) fn record_step(&mut self, event: Event) -> Result<(), DriverError> {
        if let Event::Interrupted(_, cut) = &event
            && cut.by == Cut::Halt
        {
            self.carry_out()?;
        }
        let now = self.timeline.now();
        self.record(now, event)
    }
}
