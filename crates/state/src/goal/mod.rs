//! goal.json as the driver understands it: the tasks, and everything that decides what is done and what counts as done.
//!
//! The file itself (strict reading that names the place of a mistake, rewriting that changes progress alone) is in
//! [`mod@file`]; its JSON Schema is [`schema()`].

mod alerts;
mod attest;
mod contract;
mod error;
pub mod file;
mod govern;
mod keys;
mod node;
mod progress;
mod read;
mod report;
mod rewrite;
mod schema;
mod tasks;
mod text;

pub use schema::schema;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::did::Did;
use crate::glob::PathGlob;
use crate::id::{Digest, TaskId};

/// What an operator asked for, checked: ids are unique, `after` has no cycle, every limit is in its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// Name of the goal; goes into keys and records.
    pub name: String,
    /// The folder that is worked on, absolute.
    pub repo: PathBuf,
    /// The command that does a task.
    pub worker_cmd: CommandLine,
    /// The command whose exit code is ground truth; without one nothing can pass.
    pub verify_cmd: Option<CommandLine>,
    /// What the operator's dial asks for.
    pub mode: Mode,
    /// Box 0.
    pub contract: Option<Contract>,
    /// The governor's limits.
    pub budget: Budget,
    /// Failed verifies before a task is quarantined, 1 to 100.
    pub max_attempts: u32,
    /// Pause between attempts.
    pub tick: Duration,
    /// Wall limit of one worker.
    pub worker_timeout: Option<Duration>,
    /// No output byte for so long stops the worker.
    pub worker_idle: Option<Duration>,
    /// Wall limit of one verify.
    pub verify_timeout: Option<Duration>,
    /// Names of variables let through that are otherwise taken out; `*` matches any run of characters.
    pub env_pass: Vec<String>,
    /// Where copies of governance records go.
    pub audit_sink: Option<AuditSink>,
    /// How a person is told.
    pub alerts: Alerts,
    /// Who vouches for what was found, and with which key; none: nobody, and no records are written.
    pub attest: Option<Attest>,
    /// Carried by every record: given, or derived from the goal's name.
    pub deployment_id: String,
    /// In the file's order.
    pub tasks: Vec<Task>,
    /// SHA-256 over the RFC 8785 form of the file without progress: which goal this is.
    pub digest: Digest,
    /// The same without `mode`, `alerts`, `ratified_by`, `receipt` and `revoked`: what is ratified is everything that
    /// decides what is done and what counts as done.
    pub contract_digest: Digest,
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Unique in the goal.
    pub id: TaskId,
    /// What to do, in the operator's words. Data, never syntax.
    pub goal: String,
    /// Whether the operator says that it can be undone.
    pub reversible: bool,
    /// Indices in [`Goal::tasks`] of the tasks that must be done before.
    pub after: Vec<usize>,
    /// Overrides [`Goal::worker_cmd`].
    pub worker_cmd: Option<CommandLine>,
    /// Overrides [`Goal::verify_cmd`].
    pub verify_cmd: Option<CommandLine>,
    /// Overrides [`Goal::max_attempts`].
    pub max_attempts: Option<u32>,
    /// Overrides [`Goal::worker_timeout`]; the inner `None` lifts the limit.
    pub worker_timeout: Option<Option<Duration>>,
    /// The only paths that may be changed, on top of the contract's; none: what the contract says.
    pub scope: Option<Vec<PathGlob>>,
    /// Paths that may not be changed, added or deleted, besides the contract's.
    pub immutable: Vec<PathGlob>,
    /// Hex SHA-256 over the RFC 8785 form of `[goal name, id, goal text]`: the same work has the same key.
    pub idempotency_key: Digest,
}

/// A command as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// For `sh -c`.
    Shell(String),
    /// A program and its arguments; no shell runs. Never empty.
    Argv(Vec<String>),
}

/// The operator's dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Leave the change for review.
    #[default]
    Propose,
    /// Proceed where the gate allows it.
    Commit,
}

/// Limits over the whole life of a goal; `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Worker processes started.
    pub worker_runs_max: Option<u64>,
    /// Time with the driver up.
    pub wall_max: Option<Duration>,
    /// Tokens that workers reported.
    pub tokens_max: Option<u64>,
    /// Millionths of a US dollar that workers reported.
    pub usd_micros_max: Option<u64>,
    /// Bytes that workers wrote to their output.
    pub output_bytes_max: Option<u64>,
}

/// Box 0: what is to be reached, and who says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// 0 propose, 1 and up commit allowed.
    pub autonomy_ceiling: Option<u8>,
    /// The ceiling that an irreversible action needs.
    pub irreversible_min_trust: Option<u64>,
    /// Who wrote the target.
    pub proposed_by: Option<String>,
    /// Who ratified it.
    pub ratified_by: Option<String>,
    /// Until when it is ratified.
    pub expires: Option<crate::time::Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The only paths that a worker may change; none: all.
    pub scope: Option<Vec<PathGlob>>,
    /// Paths that a worker may not change, add or delete.
    pub immutable: Vec<PathGlob>,
    /// Fields of the contract that must stay as they are until it is ratified again, by name.
    pub frozen: Vec<String>,
    /// SHA-256 over the RFC 8785 form of each field's value, by name: tells whether one was changed.
    pub fields: BTreeMap<String, Digest>,
    /// Whether only a signed receipt counts.
    pub require_receipt: bool,
    /// The signed ratification, where there is one. Whether its signature holds is for others to say.
    pub receipt: Option<Receipt>,
}

/// A signed ratification.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// What it is: [`Receipt::KIND`]. Signed too, so that no other signed record can be taken for one.
    pub kind: &'static str,
    /// The [`Goal::contract_digest`] that was ratified.
    pub digest: Digest,
    /// Who ratified it; the same as `ratified_by`.
    pub by: String,
    /// When.
    pub at: crate::time::Timestamp,
    /// Whose key signed it.
    pub signer: Did,
    /// SHA-256 of a council's transcript, where one ratified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript_sha256: Option<Digest>,
    /// Ed25519 over the RFC 8785 form of all the other members, base64url without padding.
    pub signature: String,
}

impl Receipt {
    /// What the member `kind` of every receipt says.
    pub const KIND: &'static str = "machine-driver-receipt-1";
}

/// Where copies of governance records go: outside of what a halt stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditSink {
    /// A file to append to, absolute.
    File(PathBuf),
    /// A program and its arguments, started once for each record, which comes as a line of JSON on its standard input.
    Command(Vec<String>),
}

/// How a person is told when something needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// A bot of Telegram.
    pub telegram: Option<Telegram>,
    /// An HTTP endpoint.
    pub webhook: Option<Webhook>,
    /// A program and its arguments; never empty.
    pub command: Option<Vec<String>>,
}

/// Who vouches for what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// Who is attested: the worker.
    pub subject: Did,
    /// Who signs.
    pub principal: Did,
    /// Who verified; never the subject.
    pub verifier: Did,
    /// The file that holds the private key, absolute; without one nobody signs, unless an embedder brings a signer.
    pub key: Option<PathBuf>,
    /// An external signer in place of the built-in one, absolute.
    pub tool: Option<PathBuf>,
}

/// A bot of Telegram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telegram {
    /// The chats that are told; empty: what the environment names.
    pub chat_ids: Vec<String>,
    /// The file that holds the bot's token, absolute.
    pub token_file: Option<PathBuf>,
}

/// An HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// The file that holds the key of the signature, absolute.
    pub secret_file: Option<PathBuf>,
}

/// How far a task is, as goal.json writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun, or to be tried again.
    #[default]
    Pending,
    /// An attempt is under way, or was when the driver ended.
    Running,
    /// Verified.
    Done,
    /// Given up and surfaced: needs a person.
    Blocked,
}
