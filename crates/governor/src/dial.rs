//! Which mode is granted, of what the operator's dial asks for.

use machine_driver_state::goal::{Goal, Mode};

/// The mode granted and, where it is not the one asked for, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// What the driver does with verified work.
    pub mode: Mode,
    /// Why it is less than the operator asked for.
    pub because: Option<&'static str>,
}

/// The mode that `goal` is run in. Fail closed: this version has no gate that could permit a commit, so it is propose.
#[must_use]
pub fn granted(goal: &Goal) -> Granted {
    let because = match goal.mode {
        Mode::Propose => None,
        Mode::Commit if goal.verify_cmd.is_none() => {
            Some("there is no verify_cmd, so nothing can be trusted")
        }
        Mode::Commit => Some("this version has no commit gate yet; changes are left for review"),
    };
    Granted {
        mode: Mode::Propose,
        because,
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
