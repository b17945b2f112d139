//! What can end a command early, and how a person or a program is told.

use std::io;
use std::path::{Path, PathBuf};

use machine_driver::{DriverError, Exit};
use machine_driver_state::goal::file::GoalError;
use machine_driver_state::store::StoreError;
use serde_json::{Value, json};

use crate::escape;
use crate::out::Out;
use crate::snippet;
use crate::style::{self, paint};

/// A command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The libraries below say so.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A task that is to be added does not fit into its goal.json; the places are those of the file with the task.
    #[error("{0}")]
    NewTask(Box<GoalError>),
    /// A log or a replay does not hold.
    #[error("{0}")]
    DoesNotHold(DriverError),
    /// Something was checked and does not hold, or cannot be checked.
    #[error("{what}")]
    NotVerified {
        /// What does not.
        what: String,
        /// What to do.
        help: String,
    },
    /// The command line makes no sense.
    #[error("{what}")]
    Usage {
        /// What does not.
        what: String,
        /// What to type.
        help: String,
    },
    /// A file of the command's own.
    #[error("could not {operation} {path}: {source}", path = path.display())]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something outside could not do what was needed.
    #[error("{what}")]
    Outside {
        /// What could not.
        what: String,
        /// What to do.
        help: String,
    },
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Driver(error) => error.exit(),
            Self::NewTask(_) => Exit::BadGoal,
            Self::DoesNotHold(_) | Self::NotVerified { .. } => Exit::NotVerified,
            Self::Usage { .. } => Exit::Usage,
            Self::Io { .. } | Self::Outside { .. } => Exit::Failed,
        }
    }

    /// For an operation on a path.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Driver(error) | Self::DoesNotHold(error) => error.next_step(),
            Self::Usage { help, .. } | Self::Outside { help, .. } | Self::NotVerified { help, .. } => {
                Some(help.clone())
            }
            Self::NewTask(_) => Some(snippet::NEXT_TASK.into()),
            Self::Io { .. } => {
                Some("Check the path, its rights and the space on its disk, then start again.".into())
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Driver(error) | Self::DoesNotHold(error) => path_of(error),
            Self::Io { path, .. } => Some(path),
            Self::Usage { .. } | Self::Outside { .. } | Self::NotVerified { .. } | Self::NewTask(_) => None,
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Driver(DriverError::Store(error)) | Self::DoesNotHold(DriverError::Store(error)) => {
                line_of(error)
            }
            _ => None,
        }
    }
}

/// Tells a failure, and returns how the command ends.
pub(crate) fn tell(failure: &Failure, out: &Out) -> Exit {
    out.idle();
    let of_goal = match failure {
        Failure::Driver(DriverError::Goal(error)) => Some((error, snippet::NEXT)),
        Failure::NewTask(error) => Some((error, snippet::NEXT_TASK)),
        _ => None,
    };
    match (out.is_json(), of_goal) {
        (true, Some((error, step))) => out.json(&goal_json(error, step)),
        (true, None) => out.json(&json(failure)),
        (false, Some((error, step))) => out.write_err(&snippet::goal_error(error, step)),
        (false, None) => out.write_err(&text(failure)),
    }
    failure.exit()
}

fn text(failure: &Failure) -> String {
    let mut text = format!(
        "{} {}\n",
        paint(style::BAD, "error:"),
        escape::line(&failure.to_string())
    );
    if let Some(step) = failure.next_step() {
        text += &next(&step);
    }
    text
}

/// The line that says what to do.
pub(crate) fn next(step: &str) -> String {
    format!("{} {}\n", paint(style::STRONG, "  next:"), escape::line(step))
}

fn json(failure: &Failure) -> Value {
    let exit = failure.exit();
    json!({
        "type": "error",
        "code": exit.word(),
        "exit": exit.code(),
        "message": failure.to_string(),
        "path": failure.path().map(|path| path.to_string_lossy()),
        "line": failure.line(),
        "next_step": failure.next_step(),
    })
}

fn goal_json(error: &GoalError, step: &str) -> Value {
    let problems: Vec<Value> = error
        .problems()
        .map(|problem| {
            json!({"key": problem.path(), "line": problem.line(), "column": problem.column(),
               "message": problem.message(), "help": problem.help()})
        })
        .collect();
    let exit = Exit::BadGoal;
    json!({
        "type": "error",
        "code": exit.word(),
        "exit": exit.code(),
        "message": error.to_string(),
        "path": error.file(),
        "key": error.path(),
        "line": error.line(),
        "column": error.column(),
        "help": error.help(),
        "next_step": step,
        "problems": problems,
        "more": error.uncounted(),
    })
}

fn path_of(error: &DriverError) -> Option<&Path> {
    match error {
        DriverError::ReadGoal { path, .. }
        | DriverError::Refused { path, .. }
        | DriverError::Halted { goal: path, .. }
        | DriverError::Io { path, .. } => Some(path),
        DriverError::Store(
            StoreError::Io { path, .. }
            | StoreError::Append { path, .. }
            | StoreError::Poisoned { path, .. }
            | StoreError::Locked { path, .. }
            | StoreError::TreeLocked { path, .. }
            | StoreError::Broken { path, .. }
            | StoreError::LineTooLong { path, .. }
            | StoreError::Cut { path, .. }
            | StoreError::OtherChain { path, .. }
            | StoreError::Original { path }
            | StoreError::Fold { path, .. }
            | StoreError::Replaced { path }
            | StoreError::Changed { path, .. }
            | StoreError::GoalEdited { path, .. }
            | StoreError::TooLarge { path, .. }
            | StoreError::NotLoaded { path },
        ) => Some(path),
        _ => None,
    }
}

const fn line_of(error: &StoreError) -> Option<u64> {
    match error {
        StoreError::Broken { line, .. }
        | StoreError::LineTooLong { line, .. }
        | StoreError::Cut { line, .. }
        | StoreError::OtherChain { line, .. }
        | StoreError::Fold { line, .. } => Some(*line),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::captured::capture;

    fn check(name: &str, failure: &Failure) {
        let (exit, _, text) = capture(false, false, |out| tell(failure, out));
        let (_, json, nothing) = capture(true, false, |out| tell(failure, out));
        assert_eq!(nothing, "", "with --json stderr is silent");
        insta::assert_snapshot!(name, format!("{text}--json: {json}exit {}", exit.code()));
    }

    #[test]
    fn every_error_names_its_path_and_the_next_step() {
        let no_file = || io::Error::from_raw_os_error(2);
        check(
            "error_no_goal",
            &DriverError::ReadGoal {
                path: "goal.json".into(),
                source: no_file(),
            }
            .into(),
        );
        check(
            "error_io",
            &Failure::Io {
                operation: "write",
                path: "/x/\u{1b}[2Jgoal.json".into(),
                source: no_file(),
            },
        );
        let help = "Type `machine-driver --help`.".to_owned();
        check(
            "error_usage",
            &Failure::Usage {
                what: "there is no task `t9`".into(),
                help,
            },
        );
        let broken = StoreError::Cut {
            path: "/x/driver-log.jsonl".into(),
            line: 4,
            expected: machine_driver_state::record::Head {
                seq: 9,
                hash: machine_driver_state::canonical::sha256(b"x"),
            },
        };
        check("error_does_not_hold", &Failure::DoesNotHold(broken.into()));
        let locked = StoreError::Locked {
            path: "/x/driver-log.jsonl".into(),
            holder: Some(7),
        };
        check("error_locked", &Failure::Driver(locked.into()));
    }
}
