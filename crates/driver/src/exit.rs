//! How a command ends, for scripts.

/// How a command ended, in the terms of its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// Every task is done, or as many as were asked for; for other commands: it went well.
    Done,
    /// The driver itself failed.
    Failed,
    /// A limit of the budget was reached.
    BudgetHalt,
    /// Finished, with tasks blocked.
    Blocked,
    /// Halted by the operator, or by the program that embeds the driver.
    Halted,
    /// A log or a replay does not hold.
    NotVerified,
    /// goal.json is not acceptable.
    BadGoal,
    /// Another driver holds this goal.
    Locked,
    /// The command line makes no sense.
    Usage,
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
}

/// Every way to end: exit code, the word for `code` in `--json`, and what it means.
pub const EXIT_CODES: [(Exit, u8, &str, &str); 11] = [
    (Exit::Done, 0, "done", "every task done"),
    (
        Exit::Failed,
        1,
        "failed",
        "failure of the driver itself (IO, lock lost, broken chain)",
    ),
    (Exit::BudgetHalt, 2, "budget_halt", "budget halt"),
    (Exit::Blocked, 3, "blocked", "finished, some tasks blocked"),
    (Exit::Halted, 4, "halted", "halted by the operator"),
    (
        Exit::NotVerified,
        5,
        "not_verified",
        "verification of a log, record or replay failed",
    ),
    (Exit::BadGoal, 10, "bad_goal", "goal.json is not acceptable"),
    (Exit::Locked, 11, "locked", "another driver holds this goal"),
    (Exit::Usage, 64, "usage", "usage"),
    (
        Exit::Interrupted,
        130,
        "interrupted",
        "interrupted by SIGINT: group stopped, state saved, resumable",
    ),
    (
        Exit::Terminated,
        143,
        "interrupted",
        "interrupted by SIGTERM: group stopped, state saved, resumable",
    ),
];

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self.row().1
    }

    /// The word for `code` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().2
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static (Self, u8, &'static str, &'static str) {
        const FAILED: (Exit, u8, &str, &str) = EXIT_CODES[1];
        EXIT_CODES
            .iter()
            .find(|(exit, ..)| *exit == self)
            .unwrap_or(&FAILED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_specification() {
        let codes: Vec<u8> = EXIT_CODES.iter().map(|row| row.0.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 10, 11, 64, 130, 143]);
        assert_eq!(
            (Exit::BadGoal.word(), Exit::Terminated.word()),
            ("bad_goal", "interrupted")
        );
    }
}
