//! What a log tells, and what every log has to keep to. End states hide a missing history, so this is asserted instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The records of a log.
#[derive(Debug, Clone)]
pub struct History(pub Vec<Value>);

impl History {
    /// Reads a log; none is an empty one. A torn last line is left out, as the driver does.
    ///
    /// # Panics
    /// Where a whole line is no JSON.
    #[must_use]
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = text[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        Self(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
    }

    /// The names of all events in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|record| record["event"].as_str())
            .collect()
    }

    /// How many records are of this event.
    #[must_use]
    pub fn count(&self, event: &str) -> usize {
        self.of(event).count()
    }

    /// The records of an event.
    pub fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |record| record["event"] == event)
    }

    /// How often a task was dispatched.
    #[must_use]
    pub fn dispatches(&self, task: &str) -> usize {
        self.of("dispatch")
            .filter(|record| record["task"] == task)
            .count()
    }

    /// Every session that was ever begun.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        self.of("dispatch")
            .filter_map(|record| Some(record["session"].as_str()?.to_owned()))
            .collect()
    }

    /// Expects records numbered without a gap, attempts numbered without a gap, one attempt under way at a time, nothing
    /// verified before its worker ended, and no task begun again after it was done or given up, unless it was put back.
    ///
    /// # Panics
    /// Naming the record that breaks it.
    #[track_caller]
    pub fn is_consistent(&self) {
        let mut attempts: BTreeMap<String, u64> = BTreeMap::new();
        let (mut resolved, mut under_way) = (BTreeSet::new(), None);
        for (number, record) in self.0.iter().enumerate() {
            let is = |event: &str| record["event"] == event;
            assert_eq!(record["seq"], number, "{record}");
            let task = record["task"].as_str().unwrap_or_default().to_owned();
            if is("imported") {
                take_over(record, &mut attempts, &mut resolved);
            } else if is("goal_edited") || is("retried") {
                put_back(record, &mut resolved);
            } else if is("dispatch") {
                assert!(under_way.is_none(), "two attempts at once: {record}");
                assert!(!resolved.contains(&task), "begun again after its end: {record}");
                let attempt = attempts.entry(task.clone()).or_default();
                *attempt += 1;
                assert_eq!(record["attempt"], *attempt, "a gap: {record}");
                under_way = Some((task, record["session"].clone()));
            } else if ["requeue", "proposed", "commit", "commit_empty", "quarantine"]
                .iter()
                .any(|end| is(end))
            {
                if !record["session"].is_null() {
                    let (task, session) = under_way
                        .take()
                        .unwrap_or_else(|| panic!("nothing was under way: {record}"));
                    assert!(
                        record["task"] == task && record["session"] == session,
                        "another was: {record}"
                    );
                }
                if !is("requeue") {
                    assert!(resolved.insert(task), "ended twice: {record}");
                }
            } else if is("record_signed") && record["session"].is_null() {
                assert!(!resolved.contains(&task), "a record after the end: {record}");
            } else if is("interrupted") && record["stage"] == "worker" {
                under_way = None;
            } else if !task.is_empty() && !is("task_added") && !is("approved") {
                let (now, session) = under_way
                    .clone()
                    .unwrap_or_else(|| panic!("nothing was under way: {record}"));
                assert!(
                    task == now && record["session"] == session,
                    "another was: {record}"
                );
            }
        }
    }

    /// Expects that every worker that ran had been dispatched, and ran once for that. `runs` are lines `TASK ATTEMPT
    /// SESSION`, appended by the workers.
    ///
    /// # Panics
    /// Naming the run that nobody asked for.
    #[track_caller]
    pub fn asked_for(&self, runs: &str) {
        let line = |record: &Value| {
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("task"), record["attempt"], text("session"))
        };
        let mut asked: BTreeSet<String> = self.of("dispatch").map(line).collect();
        for run in runs.lines() {
            assert!(
                asked.remove(run),
                "ran twice, or without a dispatch: {run}\nall runs:\n{runs}"
            );
        }
    }
}

fn take_over(record: &Value, attempts: &mut BTreeMap<String, u64>, resolved: &mut BTreeSet<String>) {
    for task in record["tasks"].as_array().into_iter().flatten() {
        let id = task["task"].as_str().unwrap_or_default().to_owned();
        if task["status"] == "done" || task["status"] == "blocked" {
            resolved.insert(id.clone());
        }
        attempts.insert(id, task["attempts"].as_u64().unwrap_or(0));
    }
}

fn put_back(record: &Value, resolved: &mut BTreeSet<String>) {
    let lists = [&record["retried"], &record["with"]];
    let many = lists
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str);
    for task in many.chain(record["task"].as_str()) {
        resolved.remove(task);
    }
}
