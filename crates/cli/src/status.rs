//! `status`: where a goal stands, also while a driver is at it.

mod table;

use std::path::Path;
use std::thread;
use std::time::Duration;

use machine_driver::contract::foresee;
use machine_driver::look::{Look, look};
use machine_driver::{Clock as _, Exit, SystemClock, copies};
use machine_driver_governor::{budget, dial};
use machine_driver_state::goal::{Goal, Status, Task};
use machine_driver_state::state::{Approval, Run, Waiting};
use machine_driver_state::time::Timestamp;
use serde_json::{Value, json};

use crate::app::summary;
use crate::args::StatusArgs;
use crate::error::Failure;
use crate::me::Me;
use crate::out::Out;
use crate::overrides::halt_json;
use crate::run::{first_blocked, retry_word};

/// How often `--watch` looks again.
const EVERY: Duration = Duration::from_secs(2);

/// One task as it is shown.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: String,
    status: Status,
    attempts: u64,
    /// When it was done, or when its work began.
    since: Option<Timestamp>,
    why: Option<String>,
    /// The commit that holds it.
    commit: Option<String>,
}

/// `status`
pub(crate) fn status(args: &StatusArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    loop {
        let mut seen = look(path)?;
        foresee(&mut seen, args.trust.dir.as_deref());
        let rows = rows(&seen);
        let next = next_command(&seen, &rows, path, me);
        let now = SystemClock::new().now();
        out.json(&status_json(&seen, &rows, path, &next, now));
        if args.watch && !out.is_json() && out.is_terminal() {
            // Home, and what was there before is cleared.
            out.raw("\u{1b}[H\u{1b}[2J");
        }
        if !out.is_json() {
            out.raw(&table::text(&seen, &rows, now));
            if let Some(copies) = copies(path).filter(crate::copies::is_behind) {
                out.say(format!(
                    "audit_sink: {}",
                    crate::escape::line(&crate::copies::says(&copies))
                ));
            }
        }
        let is_over = rows
            .iter()
            .all(|row| matches!(row.status, Status::Done | Status::Blocked));
        if !args.watch || out.is_gone() || (is_over && seen.driver.is_none()) {
            out.hint(&next);
            out.json(&summary(Exit::Done, counts(&rows, &next)));
            return Ok(Exit::Done);
        }
        thread::sleep(EVERY);
    }
}

/// What the log knows of every task; what goal.json says of them where there is no log yet.
fn rows(seen: &Look) -> Vec<Row> {
    let claimed = seen.file.progress();
    let tasks = seen.file.goal().tasks.iter().enumerate();
    let row = |(index, task): (usize, &Task)| match claimed.tasks.get(index) {
        Some(found) if !seen.log => Row {
            id: task.id.to_string(),
            status: found.status,
            attempts: found.attempts,
            since: found.done.or(found.started),
            why: found.reason.clone(),
            commit: found.commit.clone(),
        },
        _ => known_row(seen, task),
    };
    tasks.map(row).collect()
}

fn known_row(seen: &Look, task: &Task) -> Row {
    let state = &seen.state;
    let known = state.task(&task.id).cloned().unwrap_or_default();
    let current = state.current().filter(|current| current.task == task.id);
    let is_cut_off = current.is_some() && seen.driver.is_none();
    let commit = known.commit.as_ref().map(ToString::to_string);
    Row {
        id: task.id.to_string(),
        status: state.status(&task.id),
        attempts: u64::from(known.attempts),
        since: known
            .done
            .or(current.map(|current| current.dispatched_at))
            .or(known.started),
        why: known
            .reason
            .or(is_cut_off.then(|| "cut off; the next run goes on with it".to_owned())),
        commit,
    }
}

/// The one thing to type next.
fn next_command(seen: &Look, rows: &[Row], path: &Path, me: &Me) -> String {
    let open = rows
        .iter()
        .any(|row| matches!(row.status, Status::Pending | Status::Running));
    match seen.driver {
        Some(_) => format!(
            "a driver is at work; watch it with `{}`",
            me.on("status --watch", path)
        ),
        None if seen.state.halt().is_some() => format!(
            "when what it was halted for is settled: `{}`",
            me.on("resume --reason TEXT", path)
        ),
        None if seen.state.run() == Run::Halted => {
            format!("raise the limit in `budget`, then `{}`", me.on("run", path))
        }
        None if open => format!("`{}`", me.on("run", path)),
        None => match first_blocked(seen.file.goal(), &seen.state) {
            Some(id) => format!(
                "mend what is in the way, then `{}`",
                me.on(&retry_word(&id), path)
            ),
            None => format!(
                "all is done; add more with `{}`",
                me.on("task add --goal TEXT", path)
            ),
        },
    }
}

fn counts(rows: &[Row], next: &str) -> Value {
    let count = |status: &[Status]| rows.iter().filter(|row| status.contains(&row.status)).count();
    json!({
        "tasks": rows.len(),
        "done": count(&[Status::Done]),
        "blocked": count(&[Status::Blocked]),
        "remaining": count(&[Status::Pending, Status::Running]),
        "next": [next],
    })
}

fn status_json(seen: &Look, rows: &[Row], path: &Path, next: &str, now: Timestamp) -> Value {
    let goal = seen.file.goal();
    let granted = dial::granted(goal, &seen.state, now);
    let tasks: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({"id": row.id, "status": row.status, "attempts": row.attempts,
               "since": row.since.map(|at| at.to_string()), "why": row.why, "commit": row.commit})
        })
        .collect();
    json!({
        "type": "status",
        "goal": goal.name,
        "path": path.to_string_lossy(),
        "repo": goal.repo.to_string_lossy(),
        "mode_asked": dial::word(goal.mode),
        "mode": dial::word(granted.mode),
        "because": granted.because,
        "driver": seen.driver,
        "halt": seen.state.halt().map(halt_json),
        "approvals": approvals_json(seen, now),
        "tasks": tasks,
        "alerts_waiting": alerts_json(seen),
        "audit_sink": copies(path).map(|copies| json!({"to": copies.to, "missing": copies.missing, "why": copies.why})),
        "budget": budget_json(goal, seen, now),
        "last_success_at": last_success(seen).map(|at| at.to_string()),
        "next": next,
    })
}

/// The approvals that stand, by task.
fn approvals(seen: &Look, now: Timestamp) -> Vec<(&Task, &Approval)> {
    let goal = seen.file.goal();
    let standing = |task: &Task| {
        let approval = seen.state.approval(&task.id)?;
        let is_for_this =
            approval.idempotency_key == task.idempotency_key && approval.contract == goal.contract_digest;
        (is_for_this && now < approval.until).then_some(approval)
    };
    let tasks = goal.tasks.iter();
    tasks.filter_map(|task| Some((task, standing(task)?))).collect()
}

fn approvals_json(seen: &Look, now: Timestamp) -> Vec<Value> {
    let one = |(task, approval): (&Task, &Approval)| json!({"task": task.id.as_str(), "by": approval.by, "until": approval.until.to_string()});
    approvals(seen, now).into_iter().map(one).collect()
}

fn alerts_json(seen: &Look) -> Vec<Value> {
    let one = |waiting: &Waiting| {
        let alert = &waiting.alert;
        json!({"id": alert.id.as_str(), "kind": alert.kind.word(), "task": alert.task, "text": alert.text,
               "at": alert.at.to_string(), "sinks": waiting.sinks})
    };
    seen.state.outbox().waiting().map(one).collect()
}

fn budget_json(goal: &Goal, seen: &Look, now: Timestamp) -> Value {
    let spent = seen.state.spent();
    let limits = &goal.budget;
    let (runs, wall) = used(seen, now);
    json!({
        "worker_runs": {"used": runs, "max": limits.worker_runs_max},
        "wall_seconds": {"used": wall.as_secs_f64(), "max": limits.wall_max.map(|max| max.as_secs_f64())},
        "tokens": {"used": spent.tokens, "max": limits.tokens_max, "unknown_runs": spent.runs_without_tokens},
        "usd": {"used": usd(spent.usd_micros), "max": limits.usd_micros_max.map(usd), "unknown_runs": spent.runs_without_usd},
        "output_bytes": {"used": spent.output_bytes, "max": limits.output_bytes_max},
    })
}

#[expect(clippy::cast_precision_loss, reason = "at most 2^53 millionths: exact")]
fn usd(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Worker runs and time used. The time since the last record counts only while a driver is there.
fn used(seen: &Look, now: Timestamp) -> (u64, Duration) {
    if !seen.log {
        let claimed = seen.file.progress();
        return (claimed.runs, claimed.wall_used);
    }
    let spent = seen.state.spent();
    let wall = if seen.driver.is_some() {
        budget::wall_at(&seen.state, now)
    } else {
        spent.wall
    };
    (spent.worker_runs, wall)
}

fn last_success(seen: &Look) -> Option<Timestamp> {
    if seen.log {
        seen.state.last_success_at()
    } else {
        seen.file.progress().last_success_at
    }
}

#[cfg(test)]
mod tests;
