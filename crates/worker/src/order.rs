//! The port: what a worker is told, and what it reports.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use machine_driver_state::control::Control;
use machine_driver_state::event::{OutputDigest, WorkerClass};
use machine_driver_state::goal::CommandLine;
use machine_driver_state::id::{ActorId, SessionId, TaskId};
use machine_driver_state::usage::Usage;

use crate::WorkError;

/// Does one attempt at one task, in a state of mind of its own: nothing is carried over but the repository and the feedback.
pub trait Worker: Debug + Send + Sync {
    /// Who it is; never the verifier.
    fn id(&self) -> &ActorId;

    /// Does what the order says and returns when nothing of it runs any more. It watches `control` and stops within seconds
    /// when asked to.
    ///
    /// # Errors
    /// [`WorkError`] where the work could not be done or recorded at all; how it went is in the report. A panic counts as one
    /// too. Neither ends the run.
    fn run(&self, order: &WorkOrder, control: &Control) -> Result<WorkReport, WorkError>;
}

/// One attempt at one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkOrder {
    /// The task.
    pub task: TaskId,
    /// What to do. Data, never syntax.
    pub text: String,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The attempt's own id, by which its processes are found.
    pub session: SessionId,
    /// What the last failed verify said, where there was one.
    pub feedback: Option<Feedback>,
    /// The folder to work in, absolute.
    pub repo: PathBuf,
    /// goal.json, absolute.
    pub goal_file: PathBuf,
    /// The task's folder for evidence: absolute, and it exists.
    pub evidence: PathBuf,
    /// `worker_cmd`: what [`CommandWorker`](crate::CommandWorker) runs, and others may use as they like.
    pub command: CommandLine,
    /// Stop it after this time. The worker itself sees to its limits: the driver stops it for the budget and the operator only.
    pub wall: Option<Duration>,
    /// Stop it after so long without an output byte.
    pub idle: Option<Duration>,
    /// Stop it when it wrote more bytes than this.
    pub output_max: Option<u64>,
    /// Names of variables let through that are otherwise taken out of its environment.
    pub env_pass: Vec<String>,
}

impl WorkOrder {
    /// The file that holds the task's text: written by [`CommandWorker`](crate::CommandWorker), as the other files here are.
    #[must_use]
    pub fn task_file(&self) -> PathBuf {
        self.evidence.join("task.txt")
    }

    /// The file that holds the feedback; `/dev/null` where there is none.
    #[must_use]
    pub fn feedback_file(&self) -> PathBuf {
        match self.feedback {
            Some(_) => self.attempt_file("feedback.txt"),
            None => PathBuf::from("/dev/null"),
        }
    }

    /// The file in which the worker may say what it used.
    #[must_use]
    pub fn usage_file(&self) -> PathBuf {
        self.attempt_file("usage.json")
    }

    /// The file that gets the worker's output.
    #[must_use]
    pub fn output_file(&self) -> PathBuf {
        self.attempt_file("worker.log")
    }

    fn attempt_file(&self, name: &str) -> PathBuf {
        self.evidence.join(format!("attempt-{}.{name}", self.attempt))
    }
}

/// What the last failed verify wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    /// The end of its output, as it was; at most [`Feedback::TAIL_MAX`] bytes are used.
    pub tail: Vec<u8>,
}

impl Feedback {
    /// Bytes in the feedback file at most: 64 KiB.
    pub const TAIL_MAX: usize = 64 << 10;

    /// Bytes in `{feedback}` at most: 4 KiB.
    pub const TEXT_MAX: usize = 4 << 10;

    /// The end of it as text: invalid UTF-8 replaced, control characters but line ends and tabs left out.
    #[must_use]
    pub fn text(&self) -> String {
        let lossy = String::from_utf8_lossy(self.tail_used());
        let clean: String = lossy
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        let mut start = clean.len().saturating_sub(Self::TEXT_MAX);
        while !clean.is_char_boundary(start) {
            start += 1; // ends at the latest at the text's end, which is a boundary
        }
        clean.get(start..).unwrap_or_default().to_owned()
    }

    /// The last [`Feedback::TAIL_MAX`] bytes, from the first whole character.
    #[must_use]
    pub fn tail_used(&self) -> &[u8] {
        let start = self.tail.len().saturating_sub(Self::TAIL_MAX);
        let tail = self.tail.get(start..).unwrap_or_default();
        let continuation = |byte: &&u8| (0x80..0xc0).contains(*byte);
        let cut = if start == 0 {
            0
        } else {
            tail.iter().take(3).take_while(continuation).count()
        };
        tail.get(cut..).unwrap_or_default()
    }
}

/// How an attempt went, without any judgment of the work. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkReport {
    /// In one word.
    pub class: WorkerClass,
    /// Exit code, where it exited.
    pub exit: Option<i32>,
    /// Signal, where one ended it.
    pub signal: Option<i32>,
    /// Which limit or order stopped it.
    pub stopped: Option<Stop>,
    /// What it says that it used.
    pub usage: Option<Usage>,
    /// Why what it says could not be read.
    pub usage_note: Option<String>,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
    /// All that it wrote.
    pub output: OutputDigest,
    /// Why it could not start.
    pub detail: Option<String>,
    /// From before its start until nothing of it was left.
    pub elapsed: Duration,
}

impl WorkReport {
    /// The report of a worker that went well, wrote nothing, and does not say what it used.
    #[must_use]
    pub fn ok(elapsed: Duration) -> Self {
        Self {
            class: WorkerClass::Ok,
            exit: None,
            signal: None,
            stopped: None,
            usage: None,
            usage_note: None,
            retry_after: None,
            output: OutputDigest::of(b""),
            detail: None,
            elapsed,
        }
    }

    /// Whether a time limit ended it.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        matches!(self.stopped, Some(Stop::Wall | Stop::Idle))
    }
}

/// What stopped a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// [`WorkOrder::wall`]
    Wall,
    /// [`WorkOrder::idle`]
    Idle,
    /// [`WorkOrder::output_max`]
    Output,
    /// The driver asked for it.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tail: &[u8]) -> String {
        Feedback { tail: tail.to_vec() }.text()
    }

    #[test]
    fn feedback_is_text_without_control_characters() {
        assert_eq!(text(b""), "");
        assert_eq!(text(b"a\tb\nc\r\n"), "a\tb\nc\n");
        assert_eq!(text(b"\0a\x1b[31mred\x07\x7f\xc2\x85"), "a[31mred");
        assert_eq!(text(b"\xff\xfeok"), "\u{fffd}\u{fffd}ok");
    }

    #[test]
    fn feedback_is_the_end_cut_between_characters() {
        let long = format!("{}{}", "x".repeat(100), "é".repeat(3_000));
        let cut = text(long.as_bytes());
        assert_eq!(cut, "é".repeat(2_048));
        let odd = format!("{}x", "é".repeat(3_000));
        assert_eq!(text(odd.as_bytes()), format!("{}x", "é".repeat(2_047)));
        // A replacement is three bytes long: the limit holds after it.
        assert!(text(&[0xff; 70_000]).len() <= Feedback::TEXT_MAX);
    }

    #[test]
    fn the_file_has_the_last_64_kib() {
        let tail = [b"first".as_slice(), &[b'x'; Feedback::TAIL_MAX]].concat();
        assert_eq!(Feedback { tail }.tail_used(), [b'x'; Feedback::TAIL_MAX]);
        let tail = "é".repeat(Feedback::TAIL_MAX).into_bytes();
        let odd = [tail.as_slice(), b"x"].concat();
        assert!(std::str::from_utf8(Feedback { tail: odd }.tail_used()).is_ok());
        assert_eq!(Feedback { tail: vec![0x80; 3] }.tail_used(), [0x80; 3]);
    }
}
