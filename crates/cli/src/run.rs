//! `run`: the loop, told as it goes.

use std::path::{Path, PathBuf};

use machine_driver::{Clock as _, Driver, Exit, Notice, Stop, Summary, SystemClock, Until};
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::id::TaskId;
use machine_driver_state::state::State;
use serde_json::{Value, json};

use crate::app::summary;
use crate::args::RunArgs;

use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::narrate;
use crate::out::Out;
use crate::signals;
use crate::style::paint;
use crate::when;

/// Works the goal off, and says how it ended and what to type then.
pub(crate) fn run(args: &RunArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let until = match args.max_tasks {
        Some(most) => Until::Tasks(most),
        None if args.once => Until::OneAttempt,
        None => Until::Finished,
    };
    let summed = drive(&args.goal.path, until, out)?;
    let hints = hints(&args.goal.path, &summed, me);
    out.json(&summary(summed.exit, summary_fields(&summed, &hints)));
    hints.iter().for_each(|hint| out.hint(hint));
    Ok(summed.exit)
}

/// Runs the driver as `run` does: guarded, ended in order by signals, told as it goes.
pub(crate) fn drive(goal: &Path, until: Until, out: &Out) -> Result<Summary, Failure> {
    let stop = Stop::new();
    let switch = stop.clone();
    let _listening = signals::listen(out, move |cut| switch.ask(cut))?;
    let teller = Teller {
        goal: goal.to_owned(),
        out: out.clone(),
    };
    let driver = Driver::builder(goal).guarded().stop(&stop).until(until);
    let driver = driver.on_notice(move |notice| teller.tell(notice)).build();
    let summed = driver.and_then(Driver::run);
    out.idle();
    Ok(summed?)
}

struct Teller {
    goal: PathBuf,
    out: Out,
}

impl Teller {
    fn tell(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Up { goal, state, granted } => {
                self.say(narrate::up(goal, state, *granted));
                self.out.json(&up_json(&self.goal, goal, state, *granted));
                about_contract(goal)
                    .into_iter()
                    .for_each(|line| self.out.warn(line));
            }
            Notice::Recorded { record, goal, state } => {
                if narrate::is_over(record) {
                    self.out.idle();
                }
                self.say(narrate::lines(record, goal, state));
                if let Some(what) = narrate::under_way(record) {
                    self.out.busy(what);
                }
                if self.out.is_json() {
                    let line: Option<Value> = record
                        .line()
                        .ok()
                        .and_then(|line| serde_json::from_str(&line).ok());
                    self.out.json(&json!({"type": "record", "record": line}));
                }
            }
            Notice::Waiting { until, time } => {
                if time.as_secs() >= 2 {
                    self.out.busy(format!(
                        "waiting {} until {}",
                        when::span(*time),
                        when::moment(*until)
                    ));
                }
                self.out
                    .json(&json!({"type": "waiting", "until": until.to_string(), "ms": millis(*time)}));
            }
            other => self.tell_of_the_past(other),
        }
    }

    /// What an earlier run left behind.
    fn tell_of_the_past(&self, notice: &Notice<'_>) {
        match notice {
            Notice::TornTail { bytes } => self.out.warn(format!(
                "the log ended in the middle of a line ({bytes} bytes, cut off by a crash); it was removed, what it \
                 was to say never happened"
            )),
            Notice::ClockBehind { by } => self.out.warn(format!(
                "the clock is {} behind the log; time goes on from the last record",
                when::span(*by)
            )),
            Notice::OrphansEnded { count } => {
                let what = narrate::counted(*count as usize, "process").replace("processs", "processes");
                self.out.warn(format!("ended {what} that an earlier driver had left running"));
            }
            Notice::EditedUnderWay => self.out.warn(
                "goal.json was changed, and an attempt was under way when the last driver was killed; it is taken as your \
                 edit, but the worker could have made it: look at it"
                    .to_owned(),
            ),
            Notice::ProgressRemoved => self.out.warn(
                "goal.json shows no progress, but there is a log, and the log counts; to do a task again set its `status` \
                 to `pending` while no driver runs, or use `retry`; to begin from nothing, move the log away"
                    .to_owned(),
            ),
            Notice::Adopted { kept_as } => self.out.warn(format!(
                "the log was written by the original driver; it is kept as {}, and its progress goes on",
                escape::line(kept_as)
            )),
            _ => {}
        }
    }

    fn say(&self, lines: Vec<narrate::Line>) {
        for line in lines
            .into_iter()
            .filter(|line| line.stays || !self.out.is_quiet())
        {
            self.out.say(paint(line.style, line.text));
        }
    }
}

/// Box 0 at a start, where there is something to say.
pub(crate) fn about_contract(goal: &Goal) -> Option<String> {
    let why = match &goal.contract {
        Some(contract) => {
            machine_driver_governor::contract::not_ratified(contract, SystemClock::new().now())?
        }
        None if narrate::wants_commit(goal) => "there is none",
        None => return None,
    };
    Some(format!(
        "the contract is not ratified ({why}): nothing may be committed, and changes are left for review"
    ))
}

fn up_json(
    path: &Path,
    goal: &Goal,
    state: &State,
    granted: machine_driver_governor::dial::Granted,
) -> Value {
    use machine_driver_governor::dial::word;
    json!({
        "type": "up",
        "goal": goal.name,
        "path": path.to_string_lossy(),
        "repo": goal.repo.to_string_lossy(),
        "tasks": goal.tasks.len(),
        "done": state.plan().done(),
        "blocked": state.plan().blocked(),
        "mode_asked": word(goal.mode),
        "mode": word(granted.mode),
        "because": granted.because,
    })
}

fn summary_fields(summed: &Summary, hints: &[String]) -> Value {
    let halt = summed
        .budget_halt
        .as_ref()
        .map(|halt| json!({"limit": halt.limit, "used": halt.used, "max": halt.max, "reason": halt.reason}));
    json!({
        "tasks": summed.tasks,
        "done": summed.done,
        "blocked": summed.blocked,
        "remaining": summed.remaining,
        "worker_runs": summed.worker_runs,
        "budget_halt": halt,
        "next": hints,
    })
}

/// What to type after a run that ended like this.
fn hints(path: &Path, summed: &Summary, me: &Me) -> Vec<String> {
    let resume = me.on("run", path);
    match summed.exit {
        Exit::Interrupted | Exit::Terminated | Exit::Halted => {
            vec![format!("everything is saved; go on with `{resume}`")]
        }
        Exit::BudgetHalt => {
            let limit = summed.budget_halt.as_ref().map_or("a limit", |halt| &halt.limit);
            vec![format!(
                "raise `budget.{}` in {}, then `{resume}`",
                limit,
                path.display()
            )]
        }
        Exit::Blocked => vec![
            format!("see why with `{}`", me.on("status", path)),
            format!(
                "mend what is in the way, then `{}` and `{resume}`",
                me.on(&retry_words(path), path)
            ),
        ],
        Exit::Done if summed.remaining > 0 => {
            vec![format!(
                "{} to do; go on with `{resume}`",
                narrate::counted(summed.remaining, "task")
            )]
        }
        _ => review(path).into_iter().collect(),
    }
}

/// `retry ID` for the task that the others wait for, or the first that is blocked.
fn retry_words(path: &Path) -> String {
    let first = machine_driver::look::look(path)
        .ok()
        .and_then(|look| first_blocked(look.file.goal(), &look.state));
    first.map_or_else(|| "retry TASK".to_owned(), |id| retry_word(&id))
}

/// The first task that is blocked by itself and not behind another.
pub(crate) fn first_blocked(goal: &Goal, state: &State) -> Option<TaskId> {
    let blocked = |id: &TaskId| state.status(id) == Status::Blocked;
    let waits = |id: &TaskId| {
        let cause = state.task(id).and_then(|known| known.cause);
        cause == Some(machine_driver_state::event::Cause::After)
    };
    goal.tasks
        .iter()
        .map(|task| &task.id)
        .find(|id| blocked(id) && !waits(id))
        .cloned()
}

/// `retry ID`, also for an id that looks like a flag.
pub(crate) fn retry_word(id: &TaskId) -> String {
    if id.as_str().starts_with('-') {
        format!("retry -- {id}")
    } else {
        format!("retry {id}")
    }
}

/// Where the finished work is to be looked at.
fn review(path: &Path) -> Option<String> {
    let repo = machine_driver::read_goal(path).ok()?.goal().repo.clone();
    let is_git = repo.join(".git").exists();
    let repo = crate::me::quoted(&repo.to_string_lossy());
    is_git.then(|| {
        format!("look at the change with `git -C {repo} status` and `diff`, and commit what you like")
    })
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
