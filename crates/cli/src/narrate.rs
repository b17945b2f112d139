//! A run in words: what a record says to whoever watches.

mod gate;
mod rule;

use anstyle::Style;
use machine_driver_governor::dial::{Granted, word};
use machine_driver_state::alert::{Alert, AlertKind};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, Event, GoalEdited, Imported, Interrupted, RecordSigned, Requeue, Tampering, VerifyFailed,
    WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{Goal, Mode, Task};
use machine_driver_state::id::TaskId;
use machine_driver_state::record::Record;
use machine_driver_state::state::State;

use crate::escape;
use crate::style;
use crate::when;

/// Lines of a failed verify's output that are shown, and characters of each.
const TAIL_LINES: usize = 3;
const TAIL_CHARS: usize = 120;

/// Characters of a task's text that are shown.
const TEXT_CHARS: usize = 72;

/// Characters that are shown of why a record was not signed: a path is in it, and what to do.
const WHY_CHARS: usize = 1000;

/// How the one alert begins that no record stands behind.
const LOG_CRY: &str = "The log was tampered with";

/// One line.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) style: Style,
    pub(crate) text: String,
    /// Whether `--quiet` leaves it in: scripts look for it, or a person has to.
    pub(crate) stays: bool,
}

/// The banner: what is run, and in which mode.
pub(crate) fn up(goal: &Goal, state: &State, granted: &Granted) -> Vec<Line> {
    let (tasks, done, blocked) = (goal.tasks.len(), state.plan().done(), state.plan().blocked());
    let mut so_far: Vec<String> = Vec::new();
    so_far.extend((done > 0).then(|| format!("{done} done")));
    so_far.extend((blocked > 0).then(|| format!("{blocked} blocked")));
    let so_far = if so_far.is_empty() {
        String::new()
    } else {
        format!(" ({})", so_far.join(", "))
    };
    let repo = goal.repo.to_string_lossy();
    let first = format!(
        "driver up: {}, {}{so_far}, repo {}",
        name(goal),
        counted(tasks, "task"),
        escape::line(&repo)
    );
    let why = granted
        .because
        .as_deref()
        .map(|why| format!(" (asked for {}: {})", word(goal.mode), said(why)))
        .unwrap_or_default();
    vec![
        kept(style::STRONG, first),
        kept(Style::new(), format!("mode={}{why}", word(granted.mode))),
    ]
}

/// What a record says; nothing for those that another one's line tells. `paths` is the size of the change that the gate
/// let through last.
pub(crate) fn lines(record: &Record, goal: &Goal, state: &State, paths: Option<u64>) -> Vec<Line> {
    match &record.event {
        Event::Dispatch(attempt, _) => vec![dispatch(attempt, goal, state)],
        Event::WorkerExited(attempt, exited) => vec![worker_exited(&attempt.task, exited)],
        Event::VerifyFailed(attempt, failed) => verify_failed(attempt, failed, goal, state),
        Event::VerifyUnavailable(attempt, cannot) => {
            let text = format!(
                "verify could not run ({}): {}",
                counted(cannot.tries as usize, "try"),
                said(&cannot.reason)
            );
            vec![of(&attempt.task, style::WARN, &text)]
        }
        Event::Requeue(attempt, again) => requeue(record, attempt, again).into_iter().collect(),
        Event::Quarantine(attempt, given_up) => {
            vec![kept(
                style::BAD,
                format!("QUARANTINED {}: {}", attempt.task, said(&given_up.reason)),
            )]
        }
        Event::Proposed(attempt, _) => {
            let repo = goal.repo.to_string_lossy();
            let text = format!("done: change left for review in {}", escape::line(&repo));
            vec![of(&attempt.task, style::GOOD, &text)]
        }
        Event::Interrupted(attempt, cut_off) => vec![of(&attempt.task, style::WARN, &interrupted(cut_off))],
        Event::BudgetHalt(halt) => vec![kept(style::BAD, format!("BUDGET HALT: {}", said(&halt.reason)))],
        Event::GoalComplete(complete) => vec![complete_line(complete.done, complete.blocked)],
        Event::Imported(imported) => vec![plain(imported_line(imported))],
        Event::GoalEdited(edited) => vec![plain(edited_line(edited))],
        Event::RecordSigned(attempt, signed) => vec![record_signed(&attempt.task, signed)],
        Event::Tampering(tampering) => vec![kept(style::BAD, tampering_line(tampering))],
        event => gate::line(event, paths)
            .or_else(|| rule::line(event))
            .into_iter()
            .collect(),
    }
}

/// What is under way after a record, for a terminal.
pub(crate) fn under_way(record: &Record) -> Option<String> {
    match &record.event {
        Event::Dispatch(attempt, _) => Some(format!("{} attempt {}: worker", attempt.task, attempt.attempt)),
        Event::WorkerExited(attempt, _) => {
            Some(format!("{} attempt {}: verify", attempt.task, attempt.attempt))
        }
        Event::GateAllowed(attempt, _) => {
            Some(format!("{} attempt {}: commit", attempt.task, attempt.attempt))
        }
        _ => None,
    }
}

/// Whether what was under way is over with this record.
pub(crate) const fn is_over(record: &Record) -> bool {
    !matches!(
        &record.event,
        Event::Dispatch(..) | Event::WorkerStarted(..) | Event::WorkerExited(..) | Event::GateAllowed(..)
    )
}

fn dispatch(attempt: &AttemptRef, goal: &Goal, state: &State) -> Line {
    let task = task_of(goal, state, &attempt.task);
    let this = state.task(&attempt.task).map_or(0, |known| known.failed) + 1;
    let max = max_attempts(goal, task);
    let number = attempt.attempt;
    let which = if number == this {
        format!("{number} of {max}")
    } else {
        format!("{number} (try {this} of {max})")
    };
    let text = task
        .filter(|_| number == 1)
        .map(|task| format!(": {}", escape::cut(&task.goal, TEXT_CHARS)));
    of(
        &attempt.task,
        Style::new(),
        &format!("attempt {which}: working{}", text.unwrap_or_default()),
    )
}

fn worker_exited(task: &TaskId, exited: &WorkerExited) -> Line {
    let after = when::millis(exited.wall_ms);
    let detail = exited
        .detail
        .as_deref()
        .map(|detail| format!(": {}", said(detail)))
        .unwrap_or_default();
    let how = match (exited.exit, exited.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    };
    let (style, text) = match exited.class {
        WorkerClass::Ok => (Style::new(), format!("worker ended after {after}, verifying")),
        WorkerClass::Error => (
            style::WARN,
            format!("worker failed ({how}) after {after}, verifying what it left{detail}"),
        ),
        WorkerClass::RateLimited => (
            style::WARN,
            format!("worker asks to come back later ({how}){detail}"),
        ),
        WorkerClass::Timeout => (
            style::WARN,
            format!("worker stopped at its time limit after {after}, verifying what it left{detail}"),
        ),
        WorkerClass::Killed => (
            style::WARN,
            format!("worker was killed ({how}) after {after}, verifying what it left{detail}"),
        ),
        WorkerClass::CouldNotStart => (style::BAD, format!("worker could not start{detail}")),
    };
    of(task, style, &text)
}

fn verify_failed(attempt: &AttemptRef, failed: &VerifyFailed, goal: &Goal, state: &State) -> Vec<Line> {
    let so_far = state.task(&attempt.task).map_or(0, |known| known.failed);
    let again = so_far < max_attempts(goal, task_of(goal, state, &attempt.task));
    let again = if again { ", trying again" } else { "" };
    let is_broken = failed.audit.as_ref().is_some_and(|audit| !audit.holds());
    let text = if is_broken {
        format!("{}, so it was not verified{again}", said(&failed.reason))
    } else {
        format!("verify failed ({}){again}", said(&failed.reason))
    };
    let shown: Vec<&str> = failed
        .tail
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let tail = shown.iter().skip(shown.len().saturating_sub(TAIL_LINES));
    let tail = tail.map(|line| Line {
        style: style::FAINT,
        ..plain(format!("      | {}", escape::cut(line, TAIL_CHARS)))
    });
    std::iter::once(of(&attempt.task, style::WARN, &text))
        .chain(tail)
        .collect()
}

/// A failed verify has said so already; the others say how long it waits.
fn requeue(record: &Record, attempt: &AttemptRef, again: &Requeue) -> Option<Line> {
    let wait = when::span(again.not_before?.since(record.at));
    let text = format!(
        "{}; tries again in {wait}, and this one does not count",
        said(&again.reason)
    );
    Some(of(&attempt.task, style::WARN, &text))
}

fn interrupted(cut_off: &Interrupted) -> String {
    let by = match cut_off.by {
        Cut::Crash => return "was under way when an earlier driver was killed; goes on".into(),
        Cut::Budget => "for the budget",
        Cut::Sigint => "by SIGINT",
        Cut::Sigterm => "by SIGTERM or SIGHUP",
        Cut::Halt => return "stopped by the halt; goes on when that is lifted".into(),
        _ => "from outside",
    };
    format!("stopped {by}; the next run goes on with it")
}

/// The original's words, where there is no signature: scripts look for them.
fn record_signed(task: &TaskId, signed: &RecordSigned) -> Line {
    match &signed.unsigned {
        None => of(
            task,
            style::FAINT,
            &format!("record {} signed", escape::line(&signed.file)),
        ),
        Some(why) => kept(style::BAD, escape::cut(why, WHY_CHARS)),
    }
}

fn complete_line(done: u64, blocked: u64) -> Line {
    let style = if blocked == 0 { style::GOOD } else { style::WARN };
    kept(
        style,
        format!(
            "GOAL COMPLETE — {} tasks, {blocked} blocked/surfaced.",
            done + blocked
        ),
    )
}

fn imported_line(imported: &Imported) -> String {
    let from = match &imported.log_kept_as {
        Some(kept) => format!(" (the older log is kept as {})", escape::line(kept)),
        None => String::new(),
    };
    let runs = counted(
        usize::try_from(imported.worker_runs).unwrap_or(usize::MAX),
        "worker run",
    );
    format!(
        "took over the progress in goal.json: {}, {runs}{from}",
        counted(imported.tasks.len(), "task")
    )
}

fn edited_line(edited: &GoalEdited) -> String {
    if edited.retried.is_empty() {
        return "goal.json was edited since the last run".into();
    }
    let ids: Vec<&str> = edited.retried.iter().map(TaskId::as_str).collect();
    format!(
        "goal.json was edited since the last run; put back: {}",
        ids.join(", ")
    )
}

fn tampering_line(tampering: &Tampering) -> String {
    let restored = if tampering.what.starts_with("goal.json") {
        ", the driver's copy restored"
    } else {
        ""
    };
    let kept = tampering
        .kept_as
        .as_deref()
        .map(|kept| format!("; kept as {}{restored}", escape::line(kept)));
    format!(
        "TAMPERING: {} while the driver ran{}",
        said(&tampering.what),
        kept.unwrap_or_default()
    )
}

/// An alert that no record can tell of: the log itself was tampered with. Every other one is about a record that was told
/// already, or about the contract, of which the start speaks.
pub(crate) fn cry(alert: &Alert) -> Option<Line> {
    let is_of_the_log = alert.kind == AlertKind::Tampering && alert.text.starts_with(LOG_CRY);
    is_of_the_log.then(|| kept(style::BAD, format!("TAMPERING: {}", said(&alert.text))))
}

/// `1 task`, `2 tasks`, `2 tries`
pub(crate) fn counted(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {what}s"),
    }
}

fn said(text: &str) -> String {
    escape::cut(text, 300)
}

fn name(goal: &Goal) -> String {
    escape::cut(&goal.name, 80)
}

fn task_of<'a>(goal: &'a Goal, state: &State, id: &TaskId) -> Option<&'a Task> {
    goal.tasks.get(state.place(id)?)
}

fn max_attempts(goal: &Goal, task: Option<&Task>) -> u32 {
    task.and_then(|task| task.max_attempts)
        .unwrap_or(goal.max_attempts)
}

fn of(task: &TaskId, style: Style, text: &str) -> Line {
    Line {
        style,
        text: format!("{task}  {text}"),
        stays: false,
    }
}

fn plain(text: String) -> Line {
    Line {
        style: Style::new(),
        text,
        stays: false,
    }
}

fn kept(style: Style, text: String) -> Line {
    Line {
        style,
        text,
        stays: true,
    }
}

/// Whether a commit was asked for.
pub(crate) fn wants_commit(goal: &Goal) -> bool {
    goal.mode == Mode::Commit
}

#[cfg(test)]
mod tests;
