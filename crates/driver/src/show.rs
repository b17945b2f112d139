//! goal.json as a picture of the run: written again when that is due, and never over somebody else's edit.

use std::time::Instant;

use machine_driver_state::event::Event;

use crate::driver::Driver;
use crate::error::DriverError;
use crate::hold::Held;

/// What goal.json showed last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    at: Instant,
    log_bytes: u64,
    goal_bytes: u64,
}

/// A goal.json up to this size, in bytes, is written at every change.
const SMALL: u64 = 4 << 10;

/// Up to this size it is at most a second old while work goes on.
const MEDIUM: u64 = 1 << 20;

impl Shown {
    /// What was read at the start.
    pub(crate) fn read(held: &Held) -> Self {
        Self {
            at: Instant::now(),
            log_bytes: 0,
            goal_bytes: held.file.source().len() as u64,
        }
    }
}

impl Driver {
    /// Whether goal.json should be written again. It costs what the log has cost since, so that the price of a record
    /// does not grow with the number of tasks.
    pub(crate) fn is_stale(&self) -> bool {
        let grown = self.held.store.log_bytes().saturating_sub(self.shown.log_bytes);
        let size = self.shown.goal_bytes;
        size <= SMALL || grown >= size || (size <= MEDIUM && self.shown.at.elapsed().as_secs() >= 1)
    }

    /// Writes goal.json.
    pub(crate) fn show(&mut self) -> Result<(), DriverError> {
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
        self.tampered(format!("goal.json {edit}"), kept_as)?;
        match self.watch.goal_edited() {
            None => Ok(()),
            Some(times) => Err(DriverError::Besieged {
                path: self.held.store.paths().goal.clone(),
                times,
            }),
        }
    }
}

/// Whether goal.json should show that it happened.
pub(crate) const fn changes_a_status(event: &Event) -> bool {
    !matches!(
        event,
        Event::WorkerStarted(..)
            | Event::WorkerExited(..)
            | Event::Verified(..)
            | Event::VerifyFailed(..)
            | Event::GateAllowed(..)
            | Event::GateDenied(..)
            | Event::GateEscalated(..)
            | Event::AlertRaised(_)
            | Event::AlertDelivered(_)
            | Event::AlertResolved(_)
    )
}
