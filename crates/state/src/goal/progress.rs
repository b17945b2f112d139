//! How far a goal is, as goal.json says it. It is output: what the driver believes comes from its log.

use std::time::Duration;

use super::Status;
use super::keys;
use super::node::{Fields, Node, WHOLE_MAX, millis};
use super::report::Report;
use crate::id::Digest;
use crate::time::Timestamp;

/// The progress that stands in a goal.json.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// By task, in the order of [`Goal::tasks`](super::Goal::tasks).
    pub tasks: Vec<TaskProgress>,
    /// Workers started (`runs`).
    pub runs: u64,
    /// Time with the driver up (`wall_seconds_used`), in milliseconds.
    pub wall_used: Duration,
    /// When a task last passed.
    pub last_success_at: Option<Timestamp>,
    /// The record that the rest was folded from.
    pub checkpoint: Option<Checkpoint>,
}

/// The progress of one task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskProgress {
    /// How far it is.
    pub status: Status,
    /// Attempts begun.
    pub attempts: u64,
    /// When the last attempt began.
    pub started: Option<Timestamp>,
    /// When it passed.
    pub done: Option<Timestamp>,
    /// Why it is blocked.
    pub reason: Option<String>,
    /// The end of what the last failed verify wrote.
    pub verify_tail: Option<String>,
    /// The commit that holds it.
    pub commit: Option<String>,
}

/// Where the log ended when the file was written.
pub use crate::record::Head as Checkpoint;

/// Reads the progress at the top level; that of the tasks is [`read_task`]'s.
pub(super) fn read_top(fields: &Fields<'_, '_>, report: &mut Report) -> Progress {
    Progress {
        tasks: Vec::new(),
        runs: whole(fields, "runs", report),
        wall_used: Duration::from_millis(read_seconds(fields, report).unwrap_or(0)),
        last_success_at: moment(fields, "last_success_at", report),
        checkpoint: fields
            .optional("checkpoint")
            .and_then(|node| read_checkpoint(node, report)),
    }
}

/// Reads the progress of one task.
pub(super) fn read_task(fields: &Fields<'_, '_>, report: &mut Report) -> TaskProgress {
    TaskProgress {
        status: fields
            .optional("status")
            .and_then(|node| read_status(&node, report))
            .unwrap_or_default(),
        attempts: whole(fields, "attempts", report),
        started: moment(fields, "started", report),
        done: moment(fields, "done", report),
        reason: text(fields, "reason", report),
        verify_tail: text(fields, "verify_tail", report),
        commit: text(fields, "commit", report),
    }
}

fn read_status(node: &Node<'_, '_>, report: &mut Report) -> Option<Status> {
    Some(
        match node.word(&["pending", "running", "done", "blocked"], report)? {
            "running" => Status::Running,
            "done" => Status::Done,
            "blocked" => Status::Blocked,
            _ => Status::Pending,
        },
    )
}

fn read_checkpoint(node: Node<'_, '_>, report: &mut Report) -> Option<Checkpoint> {
    let fields = node.fields(&keys::CHECKPOINT, report)?;
    let seq = fields
        .required("seq", report)
        .and_then(|seq| seq.whole(0..=WHOLE_MAX, report));
    let hash = fields.required("hash", report).and_then(|hash| {
        let read = Digest::new(hash.text(report)?);
        read.map_err(|error| hash.wrong(report, error.to_string(), None))
            .ok()
    });
    Some(Checkpoint {
        seq: seq?,
        hash: hash?,
    })
}

fn read_seconds(fields: &Fields<'_, '_>, report: &mut Report) -> Option<u64> {
    let node = fields.optional("wall_seconds_used")?;
    let read = millis(node.number(report)?);
    if read.is_none() {
        node.wrong(report, "expected a number of seconds, 0 or more", None);
    }
    read
}

fn whole(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> u64 {
    fields
        .optional(name)
        .and_then(|node| node.whole(0..=WHOLE_MAX, report))
        .unwrap_or(0)
}

/// A text of the driver's own; a NUL in the end of a verifier's output is no mistake of the operator's.
fn text(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> Option<String> {
    fields.optional(name)?.raw_text(report).map(str::to_owned)
}

/// A moment as this driver or the original wrote it: RFC 3339, the same without an offset (then UTC), or seconds since
/// 1970. A text that is none of these is taken for none: it says nothing that the log does not say better.
fn moment(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> Option<Timestamp> {
    let node = fields.optional(name)?;
    if node.is_text() {
        return read_time(node.raw_text(report)?);
    }
    // `as` saturates, and the moment is clamped.
    node.number(report)
        .map(|seconds| Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

fn read_time(text: &str) -> Option<Timestamp> {
    let read = text.parse::<jiff::Timestamp>().or_else(|_| {
        let local: jiff::civil::DateTime = text.parse()?;
        jiff::tz::TimeZone::UTC.to_timestamp(local)
    });
    read.ok()
        .map(|moment| Timestamp::from_millis(moment.as_millisecond()))
}
