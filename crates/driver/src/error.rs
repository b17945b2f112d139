//! What can end a run that was not meant to end, or keep one from starting.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "command")]
use machine_driver_process::ProcessError;
use machine_driver_state::control::Cut;
use machine_driver_state::goal::file::GoalError;
use machine_driver_state::id::ActorId;
use machine_driver_state::state::{Halt, OutOfOrder};
use machine_driver_state::store::StoreError;
use machine_driver_state::time::Timestamp;

use crate::exit::Exit;

/// The driver could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// goal.json is not acceptable.
    #[error(transparent)]
    Goal(Box<GoalError>),
    /// goal.json could not be read.
    #[error("could not read {path}: {source}", path = path.display())]
    ReadGoal {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// goal.json asks for something that cannot be done with this log or on this machine.
    #[error("{path}: {what}", path = path.display())]
    Refused {
        /// goal.json.
        path: PathBuf,
        /// What cannot be done.
        what: String,
        /// What a person can do about it.
        help: String,
    },
    /// The store failed, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log would not hold together: a bug, or somebody else's hand.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A commit that is allowed could not be made, and no other could.
    #[error("the commit could not be made: {0}")]
    Stuck(String),
    /// Somebody changes goal.json again and again while a driver runs.
    #[error("{path} was changed {times} times in this run by somebody else, and put back each time", path = path.display())]
    Besieged {
        /// goal.json.
        path: PathBuf,
        /// How often.
        times: u32,
    },
    /// The rules refuse to go on: a bug.
    #[error("the rules refuse to go on: {0}")]
    Rules(&'static str),
    /// Processes could not be held or cleared up.
    #[cfg(feature = "command")]
    #[error("{operation}: {}", crate::outcome::chain(source))]
    Process {
        /// What was being done.
        operation: &'static str,
        /// Why it failed.
        source: ProcessError,
    },
    /// A folder or file of the driver's own could not be made or read.
    #[error("could not {operation} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A replay needs a goal as it once was, and that was not kept.
    #[error("{what}")]
    NotKept {
        /// Which, and why it cannot be had.
        what: String,
    },
    /// The record about a task could not be written.
    #[error("could not write the record about task {task}: {}", crate::outcome::chain(&**source))]
    Attest {
        /// The task.
        task: machine_driver_state::id::TaskId,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody was given who does it, and this build has nobody of its own.
    #[error(
        "there is no {0}: none was given, and this build has none of its own (its feature `command` is off)"
    )]
    NoPort(&'static str),
    /// Whoever does the work must not judge it.
    #[error("worker and verifier are one: `{0}`")]
    OneActor(ActorId),
    /// A person or a program ended it before it was done; nothing was changed.
    #[error("it was ended before it was done, and nothing was changed")]
    Cancelled(Cut),
    /// A name or a key cannot do this to a contract.
    #[error("{what}")]
    Ratification {
        /// Why not.
        what: String,
        /// What a person can do about it.
        help: String,
    },
    /// An operator's halt stands.
    #[error("{} is halted: by {by} since {at}: {reason}", goal.display())]
    Halted {
        /// goal.json.
        goal: PathBuf,
        /// Who, as they say.
        by: String,
        /// Why.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
    /// A driver that runs can only be told to do less.
    #[error("{what}")]
    Running {
        /// What it cannot be told.
        what: String,
        /// What a person can do about it.
        help: String,
    },
    /// A driver that was to be halted did not answer, and could not be ended.
    #[error("{what}")]
    NotEnded {
        /// Why not.
        what: String,
        /// What a person can do about it.
        help: String,
    },
    /// A task's name fits nothing, or not a task that this can be done to.
    #[error("{what}")]
    Task {
        /// What does not fit.
        what: String,
        /// What a person can do about it.
        help: String,
    },
}

impl DriverError {
    /// This halt stands for the goal.json at `goal`.
    pub(crate) fn halted(goal: &Path, halt: &Halt) -> Self {
        Self::Halted {
            goal: goal.to_owned(),
            by: halt.by.clone(),
            reason: halt.reason.clone(),
            at: halt.at,
        }
    }

    /// How a command that met it ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Goal(_) | Self::ReadGoal { .. } | Self::Refused { .. } => Exit::BadGoal,
            Self::Store(StoreError::Locked { .. } | StoreError::TreeLocked { .. }) | Self::Running { .. } => {
                Exit::Locked
            }
            Self::Halted { .. } => Exit::Halted,
            Self::Task { .. } | Self::Ratification { .. } => Exit::Usage,
            Self::NotKept { .. } => Exit::NotVerified,
            Self::Cancelled(Cut::Sigint) => Exit::Interrupted,
            Self::Cancelled(Cut::Sigterm) => Exit::Terminated,
            Self::Cancelled(_) => Exit::Halted,
            _ => Exit::Failed,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        match self {
            Self::Refused { help, .. }
            | Self::Task { help, .. }
            | Self::Ratification { help, .. }
            | Self::Running { help, .. }
            | Self::NotEnded { help, .. } => Some(help.clone()),
            Self::Halted { goal, .. } => Some(format!(
                "When what it was halted for is settled: `machine-driver resume --reason TEXT{}`.",
                if goal.file_name().is_some_and(|name| name == "goal.json") {
                    String::new()
                } else {
                    format!(" {}", goal.display())
                }
            )),
            Self::ReadGoal { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("Write one with `machine-driver init`, or name the file as the last argument.".into())
            }
            Self::ReadGoal { .. } => Some("Make it a file that you can read, and start again.".into()),
            Self::Store(error) => Some(error.next_step().into()),
            Self::OutOfOrder(_) => {
                Some("Check the log with `machine-driver log verify`; begin a new one with `machine-driver log restart`.".into())
            }
            Self::Io { .. } => Some("Mend the folder or the disk, and start again: nothing recorded is lost.".into()),
            #[cfg(feature = "command")]
            Self::Process { source: ProcessError::GuardianStart { .. }, .. } => {
                Some("Close some programs or raise the limits of open files and processes, then start again.".into())
            }
            #[cfg(feature = "command")]
            Self::Process { .. } => Some("Start again: what was under way goes on as the same task.".into()),
            Self::NotKept { .. } => Some(
                "Put the file back under `evidence/goal/` from a copy; `machine-driver log verify` needs none of them.".into(),
            ),
            Self::Attest { .. } => Some("Mend the folder or the disk, and start again: the task goes on where it was.".into()),
            Self::Besieged { .. } => Some(
                "Find out who changes it (each text is kept beside it as `.edited-…`), and start again: what was under way goes on."
                    .into(),
            ),
            Self::Stuck(_) => Some("Mend what stands in the way, then start again: the commit is made, and no work is done again.".into()),
            Self::NoPort(_) => Some("Give the builder one, or build machine-driver with the feature `command`.".into()),
            Self::OneActor(_) => Some("Give the verifier an id of its own.".into()),
            Self::Rules(_) => Some("This is a bug in machine-driver: please report it with the log.".into()),
            Self::Goal(_) | Self::Cancelled(_) => None,
        }
    }
}

impl From<GoalError> for DriverError {
    fn from(error: GoalError) -> Self {
        Self::Goal(Box::new(error))
    }
}
