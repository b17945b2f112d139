//! A run told as it goes: to a person in words, to a program as JSON lines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine_driver::contract::in_full;
use machine_driver::{Clock as _, Notice, SystemClock};
use machine_driver_governor::contract;
use machine_driver_governor::dial::{Granted, word};
use machine_driver_state::alert::Alert;
use machine_driver_state::event::Event;
use machine_driver_state::goal::Goal;
use machine_driver_state::record::Record;
use machine_driver_state::state::State;
use serde_json::{Value, json};

use crate::escape;
use crate::narrate;
use crate::out::Out;
use crate::style::paint;
use crate::when;

/// Tells a run as it goes.
pub(crate) struct Teller {
    goal: PathBuf,
    out: Out,
    /// How many paths the change has that the gate let through last.
    paths: Option<u64>,
    /// Failures of alerts that were told: sink and error.
    failing: BTreeSet<(String, String)>,
}

impl Teller {
    pub(crate) fn new(goal: &Path, out: &Out) -> Self {
        Self {
            goal: goal.to_owned(),
            out: out.clone(),
            paths: None,
            failing: BTreeSet::new(),
        }
    }

    pub(crate) fn tell(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Up { goal, state, granted } => {
                self.say(narrate::up(goal, state, granted));
                self.out.json(&up_json(&self.goal, goal, state, granted));
                about_contract(goal, contract::Known::of(state))
                    .into_iter()
                    .for_each(|line| self.out.warn(line));
            }
            Notice::Recorded { record, goal, state } => self.tell_of_record(record, goal, state),
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
            Notice::Alert { alert } => {
                self.out.json(&alert_json(alert));
                self.say(narrate::cry(alert).into_iter().collect());
            }
            Notice::AlertFailing { sink, error, next_in } => self.tell_of_failing(sink, error, *next_in),
            other => self.tell_of_the_past(other),
        }
    }

    fn tell_of_record(&mut self, record: &Record, goal: &Goal, state: &State) {
        if narrate::is_over(record) {
            self.out.idle();
        }
        if let Event::GateAllowed(_, allowed) = &record.event {
            self.paths = Some(allowed.change.paths);
        }
        let lines = narrate::lines(record, goal, state, self.paths);
        if matches!(record.event, Event::Commit(..) | Event::CommitFailed(..)) {
            self.paths = None;
        }
        self.say(lines);
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

    /// Once for each way and reason, however many alerts wait.
    fn tell_of_failing(&mut self, sink: &str, error: &str, next_in: Duration) {
        if !self.failing.insert((sink.to_owned(), error.to_owned())) {
            return;
        }
        self.out.warn(format!(
            "an alert could not be sent through {}: {}; it is tried again in {}, also by the next run: none is lost",
            escape::cut(sink, 80),
            escape::cut(error, 300),
            when::span(next_in)
        ));
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
            other => self.tell_of_the_repository(other),
        }
    }

    fn tell_of_the_repository(&self, notice: &Notice<'_>) {
        match notice {
            Notice::TreeNotAsItWas { found } => self.out.warn(format!(
                "what a worker left breaks the rules about paths; no change passes before it is put back: {}",
                escape::cut(found, 700)
            )),
            Notice::AuditSinkFailing { why } => self.out.warn(format!(
                "copies of governance records do not reach audit_sink: {}",
                escape::cut(why, 300)
            )),
            Notice::NoChange { why } => self.out.warn(format!(
                "nothing is committed by this run, since the repository could not be read: {}",
                escape::cut(why, 300)
            )),
            Notice::NotClean { paths } => self.out.warn(format!(
                "{} from the last commit before any worker has run, and would go into the first commit; to keep them out \
                 of it stop now, and commit or stash them",
                differ(*paths)
            )),
            Notice::BesideCommit { note } => self.out.warn(format!(
                "the commit was made, but not all that belongs to it: {}",
                escape::cut(note, 300)
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

/// `1 path differs`, `2 paths differ`
fn differ(paths: u64) -> String {
    let counted = narrate::counted(usize::try_from(paths).unwrap_or(usize::MAX), "path");
    format!("{counted} {}", if paths == 1 { "differs" } else { "differ" })
}

/// Box 0 at a start, where there is something to say.
pub(crate) fn about_contract(goal: &Goal, known: contract::Known<'_>) -> Option<String> {
    if goal.contract.is_none() && !narrate::wants_commit(goal) {
        return None;
    }
    let why = contract::not_ratified(goal, known, SystemClock::new().now())?;
    let why = escape::cut(&in_full(why, known.receipt), 400);
    Some(format!(
        "the contract is not ratified ({why}): nothing may be committed, and changes are left for review"
    ))
}

fn alert_json(alert: &Alert) -> Value {
    json!({
        "type": "alert",
        "id": alert.id.as_str(),
        "kind": alert.kind.word(),
        "goal": alert.goal,
        "task": alert.task,
        "text": alert.text,
        "at": alert.at.to_string(),
    })
}

fn up_json(path: &Path, goal: &Goal, state: &State, granted: &Granted) -> Value {
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
