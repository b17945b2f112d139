//! Which mode is granted, of what the operator's dial asks for.

use machine_driver_state::goal::{Goal, Mode};
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;

use crate::gate;

/// The mode granted and, where it is not the one asked for, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What the driver does with verified work.
    pub mode: Mode,
    /// Why it is less than the operator asked for.
    pub because: Option<String>,
}

/// The mode that the gate grants the next task at `now`, if it is verified: the one under way, or the first that is ready.
/// Where none is left, what it would grant the last one.
#[must_use]
pub fn granted(goal: &Goal, state: &State, now: Timestamp) -> Granted {
    if goal.mode == Mode::Propose {
        let (mode, because) = (Mode::Propose, None);
        return Granted { mode, because };
    }
    let next = state.current_index().or_else(|| state.plan().ready());
    let index = next.unwrap_or(goal.tasks.len().saturating_sub(1));
    match gate::foresee(goal, state, index, now) {
        Ok(()) => Granted {
            mode: Mode::Commit,
            because: None,
        },
        Err(denial) => Granted {
            mode: Mode::Propose,
            because: Some(denial.reason),
        },
    }
}

/// A mode as goal.json and the log write it.
#[must_use]
pub const fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Propose => "propose",
        Mode::Commit => "commit",
    }
}
