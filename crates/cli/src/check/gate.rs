//! What stands between verified work and a commit: contract, gate, git, and who is told when they say no.

use std::path::Path;

use machine_driver::contract::{foresee, receipt_seen};
use machine_driver::look::look;
use machine_driver::{DriverError, default_ports};
use machine_driver_governor::contract::Known;
use machine_driver_governor::{Denial, dial, gate};
use machine_driver_state::event::DenialCode;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{Goal, Mode, Status, Task};
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;

use super::{Check, bad, doubtful, good};
use crate::run::about_contract;

/// Tasks named in a line.
const NAMED: usize = 8;

/// What a driver that started now would know.
#[derive(Debug)]
pub(super) struct Ahead {
    state: State,
    is_logged: bool,
}

impl Ahead {
    pub(super) fn of(file: &GoalFile, trust: Option<&Path>) -> Self {
        if let Ok(mut seen) = look(file.path()) {
            foresee(&mut seen, trust);
            let (state, is_logged) = (seen.state, seen.log);
            return Self { state, is_logged };
        }
        // The log cannot be read: its own line says so.
        let mut state = State::new();
        state.adopt(file.goal());
        state.foresee(receipt_seen(file, trust), &[]);
        let is_logged = false;
        Self { state, is_logged }
    }
}

/// Box 0.
pub(super) fn contract(goal: &Goal, ahead: &Ahead) -> Check {
    let digest = format!("its digest is {}", goal.contract_digest);
    match about_contract(goal, Known::of(&ahead.state)) {
        Some(line) if goal.contract.is_none() => doubtful("contract", line, None),
        Some(line) => doubtful("contract", format!("{line}; {digest}"), None),
        None if goal.contract.is_none() => good(
            "contract",
            "none: enough for propose, where changes are left for review",
        ),
        None => good(
            "contract",
            format!("ratified by somebody else than its proposer; {digest}"),
        ),
    }
}

/// What would become of each open task's verified change. Tasks of which the same is said share a line.
pub(super) fn gate(file: &GoalFile, ahead: &Ahead, now: Timestamp) -> Vec<Check> {
    let goal = file.goal();
    let (state, is_logged) = (&ahead.state, ahead.is_logged);
    let open: Vec<usize> = (0..goal.tasks.len())
        .filter(|index| status(file, state, is_logged, *index) != Some(Status::Done))
        .collect();
    let (can, cannot): (Vec<usize>, Vec<usize>) = open.iter().partition(|index| {
        let own = goal
            .tasks
            .get(**index)
            .is_some_and(|task| task.verify_cmd.is_some());
        own || goal.verify_cmd.is_some()
    });
    let mut groups: Vec<(Result<(), Denial>, Vec<usize>)> = Vec::new();
    for index in can {
        let says = gate::foresee(goal, state, index, now);
        match groups.iter_mut().find(|(known, _)| *known == says) {
            Some((_, same)) => same.push(index),
            None => groups.push((says, vec![index])),
        }
    }
    let mut lines: Vec<Check> = groups
        .iter()
        .map(|(says, same)| verdict(goal.mode, says, &names(goal, same)))
        .collect();
    if groups.len() > 1 && groups.iter().any(|(says, _)| says.is_ok()) {
        let line = "a change that is left for review stands in the way of all later commits until a person has taken care of it";
        lines.push(doubtful(
            "gate",
            line,
            Some("Put the tasks that may be committed first.".into()),
        ));
    }
    if !cannot.is_empty() {
        let line = format!(
            "{}: never done, there is no verify_cmd for it",
            names(goal, &cannot)
        );
        let fix = "Write a verify_cmd that exits 0 only when the task is done.".to_owned();
        lines.push(doubtful("gate", line, Some(fix)));
    }
    lines
}

/// What the log says; without one, what goal.json says.
fn status(file: &GoalFile, state: &State, is_logged: bool, index: usize) -> Option<Status> {
    if is_logged {
        return file.goal().tasks.get(index).map(|task| state.status(&task.id));
    }
    file.progress().tasks.get(index).map(|task| task.status)
}

fn verdict(asked: Mode, says: &Result<(), Denial>, names: &str) -> Check {
    let denial = match says {
        Ok(()) => return good("gate", format!("{names}: commit (when it is verified)")),
        Err(denial) => denial,
    };
    let propose = dial::word(Mode::Propose);
    if asked == Mode::Propose {
        let why = "as the dial says; the change is left for review";
        return good("gate", format!("{names}: {propose} ({why})"));
    }
    doubtful(
        "gate",
        format!("{names}: {propose} ({})", denial.reason),
        fix(denial.code).map(str::to_owned),
    )
}

const fn fix(code: DenialCode) -> Option<&'static str> {
    match code {
        DenialCode::Ceiling => Some("Set `contract.autonomy_ceiling` to 1, or `mode` to `propose`."),
        DenialCode::Irreversible => Some(
            "Give the task `\"reversible\": true` if going back to the commit before undoes all that it does, approve one \
             commit with `machine-driver approve TASK`, or commit it yourself.",
        ),
        DenialCode::NotRatified => Some(
            "Let somebody else than who is named in `contract.proposed_by` look at it: `machine-driver contract ratify --as WHO`.",
        ),
        DenialCode::Expired => Some("Set a later `expires`, then have it ratified again."),
        DenialCode::Revoked => {
            Some("See why with `machine-driver contract show`, then have it ratified again.")
        }
        _ => None,
    }
}

fn names(goal: &Goal, tasks: &[usize]) -> String {
    let tasks: Vec<&Task> = tasks.iter().filter_map(|index| goal.tasks.get(*index)).collect();
    let named: Vec<&str> = tasks.iter().take(NAMED).map(|task| task.id.as_str()).collect();
    let more = match tasks.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &more
}

/// Whether git could make the commits, where any could be allowed. The error is the one that ends a run.
pub(super) fn committer(file: &GoalFile, now: Timestamp) -> (Option<Check>, Option<DriverError>) {
    match default_ports::committer(file, now) {
        Ok(None) => (None, None),
        Ok(Some(_)) => {
            let line = "git can commit in this repository, and knows who commits";
            (Some(good("commit", line)), None)
        }
        Err(error) => {
            let check = bad("commit", error.exit(), error.to_string(), error.next_step());
            (Some(check), Some(error))
        }
    }
}

/// Who is told when something needs a person.
pub(super) fn alerts(file: &GoalFile) -> Check {
    match default_ports::alerters(file, &[]) {
        Ok(all) if all.is_empty() => good(
            "alerts",
            "printed by the run; neither Telegram nor a webhook nor a command is set up",
        ),
        Ok(all) => {
            let names: Vec<&str> = all.iter().map(|alerter| alerter.name()).collect();
            good("alerts", names.join(", "))
        }
        Err(error) => bad("alerts", error.exit(), error.to_string(), error.next_step()),
    }
}
