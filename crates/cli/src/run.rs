//! `run`: the loop, told as it goes.

mod tell;

use std::path::Path;

use machine_driver::look::{Look, look};
use machine_driver::{Builder, Driver, Exit, Stop, Summary, Until};
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::id::TaskId;
use machine_driver_state::state::State;
use serde_json::{Value, json};

use crate::app::summary;
use crate::args::RunArgs;
use crate::error::Failure;
use crate::me::{Me, quoted};
use crate::narrate;
use crate::out::Out;
use crate::signals;
use tell::Teller;
pub(crate) use tell::about_contract;

/// Works the goal off, and says how it ended and what to type then.
pub(crate) fn run(args: &RunArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let until = match args.max_tasks {
        Some(most) => Until::Tasks(most),
        None if args.once => Until::OneAttempt,
        None => Until::Finished,
    };
    let mut driver = Driver::builder(&args.goal.path)
        .until(until)
        .accept_tree(args.accept_tree);
    if let Some(trust) = &args.trust.dir {
        driver = driver.trust(trust);
    }
    let summed = drive(driver, &args.goal.path, out)?;
    let hints = hints(&args.goal.path, &summed, me);
    out.json(&summary(summed.exit, summary_fields(&summed, &hints)));
    hints.iter().for_each(|hint| out.hint(hint));
    Ok(summed.exit)
}

/// Runs the driver as `run` does: guarded, ended in order by signals, told as it goes.
pub(crate) fn drive(driver: Builder, goal: &Path, out: &Out) -> Result<Summary, Failure> {
    let stop = Stop::new();
    let switch = stop.clone();
    let _listening = signals::listen(out, move |cut| switch.ask(cut))?;
    let mut teller = Teller::new(goal, out);
    let driver = driver.guarded().stop(&stop);
    let driver = driver.on_notice(move |notice| teller.tell(notice)).build();
    let summed = driver.and_then(Driver::run);
    out.idle();
    Ok(summed?)
}

fn summary_fields(summed: &Summary, hints: &[String]) -> Value {
    let halt = summed
        .budget_halt
        .as_ref()
        .map(|halt| json!({"limit": halt.limit, "used": halt.used, "max": halt.max, "reason": halt.reason}));
    json!({
        "tasks": summed.tasks,
        "done": summed.done,
        "committed": summed.committed,
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
    let found = look(path).ok();
    match summed.exit {
        Exit::Halted if found.as_ref().is_some_and(|found| found.state.halt().is_some()) => {
            let lift = me.on("resume --reason TEXT", path);
            vec![format!(
                "everything is saved; when what it was halted for is settled, `{lift}`, then `{resume}`"
            )]
        }
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
        Exit::Blocked => {
            let retry = me.on(&retry_words(found.as_ref()), path);
            let mut hints = vec![
                format!("see why with `{}`", me.on("status", path)),
                format!("mend what is in the way, then `{retry}` and `{resume}`"),
            ];
            hints.extend(found.as_ref().and_then(commits));
            hints
        }
        Exit::Done if summed.remaining > 0 => {
            vec![format!(
                "{} to do; go on with `{resume}`",
                narrate::counted(summed.remaining, "task")
            )]
        }
        _ => found
            .iter()
            .flat_map(|found| [commits(found), review(found)])
            .flatten()
            .collect(),
    }
}

/// `retry ID` for the task that the others wait for, or the first that is blocked.
fn retry_words(found: Option<&Look>) -> String {
    let first = found.and_then(|found| first_blocked(found.file.goal(), &found.state));
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

/// Where the commits are to be seen.
fn commits(found: &Look) -> Option<String> {
    let count = committed(found);
    let repo = quoted(&found.file.goal().repo.to_string_lossy());
    (count > 0).then(|| format!("see the commits with `git -C {repo} log --oneline -{count}`"))
}

/// Where a change is to be looked at that was left for review.
fn review(found: &Look) -> Option<String> {
    let repo = &found.file.goal().repo;
    let is_left = committed(found) == 0 || found.state.held_back().is_some();
    (is_left && repo.join(".git").exists()).then(|| {
        let repo = quoted(&repo.to_string_lossy());
        format!("look at the change with `git -C {repo} status` and `diff`, and commit what you like")
    })
}

/// How many tasks have a commit.
fn committed(found: &Look) -> usize {
    let tasks = found.file.goal().tasks.iter();
    tasks
        .filter(|task| {
            found
                .state
                .task(&task.id)
                .is_some_and(|known| known.commit.is_some())
        })
        .count()
}

#[cfg(test)]
pub(crate) mod tests;
