//! The port: what a verifier is asked, and what it finds.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use machine_driver_state::control::Control;
use machine_driver_state::event::OutputDigest;
use machine_driver_state::goal::CommandLine;
use machine_driver_state::id::{ActorId, SessionId, TaskId};

use crate::VerifyError;

/// Judges one attempt at one task. It is never the one who did the work.
pub trait Verifier: Debug + Send + Sync {
    /// Who it is; never the worker.
    fn id(&self) -> &ActorId;

    /// Judges what lies in the repository, and returns when nothing of it runs any more. It watches `control` and stops within
    /// seconds when asked to.
    ///
    /// # Errors
    /// [`VerifyError`] where there is no verdict: it was cancelled, or could not be recorded. Unless it was cancelled, the
    /// driver takes that, and a panic, for [`Finding::Unavailable`].
    fn verify(&self, order: &VerifyOrder, control: &Control) -> Result<Verdict, VerifyError>;
}

/// What to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOrder {
    /// The task.
    pub task: TaskId,
    /// What was to be done. Data, never syntax.
    pub text: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The attempt's own id, by which its processes are found.
    pub session: SessionId,
    /// The folder that holds the work, absolute.
    pub repo: PathBuf,
    /// goal.json, absolute.
    pub goal_file: PathBuf,
    /// The task's folder for evidence: absolute, and it exists.
    pub evidence: PathBuf,
    /// The file that holds the task's text, where the worker was one that runs a command.
    pub task_file: PathBuf,
    /// The file with the feedback that the worker got; `/dev/null` where there was none. Like the task's file, only a worker
    /// that runs a command has written it.
    pub feedback_file: PathBuf,
    /// The file in which the worker may have said what it used.
    pub usage_file: PathBuf,
    /// `verify_cmd`: what [`CommandVerifier`](crate::CommandVerifier) runs, and others may use as they like.
    pub command: CommandLine,
    /// Stop it after this time. The verifier itself sees to that: the driver stops it for the budget and the operator only.
    pub wall: Option<Duration>,
    /// Names of variables let through that are otherwise taken out of its environment.
    pub env_pass: Vec<String>,
}

impl VerifyOrder {
    /// The file that gets the verifier's output. A verifier without a process may write one too: what the next worker is told
    /// is the end of this file, up to [`Verdict::TAIL_MAX`].
    #[must_use]
    pub fn output_file(&self) -> PathBuf {
        self.evidence.join(format!("attempt-{}.verify.log", self.attempt))
    }
}

/// What a verifier found, and on what evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The finding.
    pub finding: Finding,
    /// Exit code, where it exited.
    pub exit: Option<i32>,
    /// Signal, where one ended it.
    pub signal: Option<i32>,
    /// Whether its limit ended it.
    pub timed_out: bool,
    /// All that it wrote.
    pub output: OutputDigest,
    /// The end of that, as it was; at most [`Verdict::TAIL_MAX`] bytes. The log keeps 600 characters of it, which is what the
    /// next worker gets where there is no [`VerifyOrder::output_file`].
    pub tail: Vec<u8>,
    /// From before its start until nothing of it was left.
    pub elapsed: Duration,
}

impl Verdict {
    /// Bytes in [`Verdict::tail`] at most: 64 KiB.
    pub const TAIL_MAX: usize = 64 << 10;

    /// It is done, said a verifier that runs no process.
    #[must_use]
    pub fn passed(elapsed: Duration) -> Self {
        Self::of(Finding::Passed, b"", elapsed)
    }

    /// It is not: `reason` in a few words, and in `output` what the next worker should read: its last 600 characters. For more,
    /// write the same to [`VerifyOrder::output_file`]. The reason is for the log and for people; the worker is not told it.
    #[must_use]
    pub fn failed(reason: impl Into<String>, output: &[u8], elapsed: Duration) -> Self {
        let reason = reason.into();
        Self::of(Finding::Failed { reason }, output, elapsed)
    }

    /// Nobody knows: asked again after 1 s and 2 s, then the task is blocked and waits for a person.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>, elapsed: Duration) -> Self {
        let reason = reason.into();
        Self::of(Finding::Unavailable { reason }, b"", elapsed)
    }

    fn of(finding: Finding, output: &[u8], elapsed: Duration) -> Self {
        let tail = output.len().saturating_sub(Self::TAIL_MAX);
        Self {
            finding,
            exit: None,
            signal: None,
            timed_out: false,
            output: OutputDigest::of(output),
            tail: output.get(tail..).unwrap_or_default().to_vec(),
            elapsed,
        }
    }
}

/// The three things that a verifier can find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is done.
    Passed,
    /// It is not.
    Failed {
        /// In a few words: `exit 1`, `killed by SIGSEGV`, `timed out after 20 s`.
        reason: String,
    },
    /// Nobody knows: the verifier could not judge. Never the worker's fault.
    Unavailable {
        /// Why, in one line.
        reason: String,
    },
}
