//! How a run ended.

use machine_driver_state::event::BudgetHalt;

use crate::driver::Driver;
use crate::exit::Exit;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// In the terms of an exit code.
    pub exit: Exit,
    /// Tasks in the goal.
    pub tasks: usize,
    /// Of these, done: verified, and committed or left for review. Which, the task's
    /// [`commit`](machine_driver_state::state::TaskState::commit) says.
    pub done: usize,
    /// Tasks whose change this run committed. What else is done was left for review, or changed nothing.
    pub committed: u64,
    /// Of these, blocked.
    pub blocked: usize,
    /// Of these, neither: for a run that was stopped, or is to go only so far.
    pub remaining: usize,
    /// Workers started over the goal's life.
    pub worker_runs: u64,
    /// The limit that was reached, where one was.
    pub budget_halt: Option<BudgetHalt>,
}

impl Driver {
    pub(crate) fn summary(self, exit: Exit) -> Summary {
        let plan = self.held.state.plan();
        Summary {
            exit,
            tasks: self.goal().tasks.len(),
            done: plan.done(),
            committed: self.committed,
            blocked: plan.blocked(),
            remaining: plan.open(),
            worker_runs: self.held.state.spent().worker_runs,
            budget_halt: self.budget_halt,
        }
    }
}
