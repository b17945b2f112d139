//! What can go wrong with the files of a run, and the way out.

use std::io;
use std::path::PathBuf;

use crate::id::Digest;
use crate::record::{Head, RecordError};

/// What the one who reads a log returns when a record does not fit.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How goal.json differs from what the driver wrote or read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoalEdit {
    /// Its content is another.
    Edited,
    /// It is gone.
    Removed,
    /// A folder, a link or a device stands in its place, or its link leads elsewhere.
    NotTheFile,
}

impl std::fmt::Display for GoalEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Edited => "was edited",
            Self::Removed => "was removed",
            Self::NotTheFile => "was replaced by something that is not the file",
        })
    }
}

/// The store could not do what was asked. The message holds operation, path and reason; [`StoreError::next_step`] says
/// what a person can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file could not be read, written, or moved.
    #[error("could not {operation} {}: {}", path.display(), reason(source))]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A record did not reach the disk. The journal takes no further ones.
    #[error("could not {operation} record {seq} to {}: {}", path.display(), reason(source))]
    Append {
        /// `append` or `sync`.
        operation: &'static str,
        /// The record's number.
        seq: u64,
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An earlier append failed: nothing may follow it.
    #[error("{} takes no more records: record {seq} could not be written before", path.display())]
    Poisoned {
        /// The log.
        path: PathBuf,
        /// The record that failed.
        seq: u64,
    },
    /// Another driver works on this goal.
    #[error("{} is in use{}", path.display(), holder.map(|pid| format!(" by the driver with process id {pid}")).unwrap_or_default())]
    Locked {
        /// The log.
        path: PathBuf,
        /// The process id in the log's last `driver_up`: the driver, or the one whose guardian still clears up.
        holder: Option<u32>,
    },
    /// Another goal's driver works on this tree.
    #[error("{} is in use by another goal{}", path.display(), holder.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    TreeLocked {
        /// The tree.
        path: PathBuf,
        /// Its process id and its goal.json.
        holder: Option<String>,
    },
    /// A line is not a record, or not the one that belongs there.
    #[error("{} is broken at line {line}: {source}", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Expected and found.
        source: RecordError,
    },
    /// A line has no end within [`LINE_MAX`](crate::record::LINE_MAX).
    #[error("{} is broken at line {line}: it is longer than {max} bytes", path.display())]
    LineTooLong {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Bytes allowed.
        max: usize,
    },
    /// The log's end is missing.
    #[error(
        "{} was cut: it ends after line {line}, but goal.json was written when it had record {} with the hash {}",
        path.display(), expected.seq, expected.hash
    )]
    Cut {
        /// The log.
        path: PathBuf,
        /// Its last line, from 1; 0 where it has none.
        line: u64,
        /// The head in goal.json's checkpoint.
        expected: Head,
    },
    /// The log and goal.json do not belong together.
    #[error(
        "{} is not the log that goal.json was written from: line {line} has the hash {found}; expected {}",
        path.display(), expected.hash
    )]
    OtherChain {
        /// The log.
        path: PathBuf,
        /// The line that the checkpoint names, from 1.
        line: u64,
        /// The head in goal.json's checkpoint.
        expected: Head,
        /// The hash of the record there.
        found: Digest,
    },
    /// The original driver wrote this log.
    #[error("{} was written by the original driver", path.display())]
    Original {
        /// The log.
        path: PathBuf,
    },
    /// The chain is whole, but a record cannot follow from those before it.
    #[error("{} line {line} does not follow from the records before it: {source}", path.display())]
    Fold {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What the reader says.
        source: BoxError,
    },
    /// The log's path names another file than the one that this driver holds.
    #[error("{} was removed or replaced while the driver held it", path.display())]
    Replaced {
        /// The log.
        path: PathBuf,
    },
    /// Somebody else wrote into the log.
    #[error("{} was changed by someone else: it has {found} bytes; expected {expected}", path.display())]
    Changed {
        /// The log.
        path: PathBuf,
        /// Bytes that this driver knows of.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// goal.json was changed behind the driver.
    #[error("{} {edit} while the driver ran", path.display())]
    GoalEdited {
        /// goal.json.
        path: PathBuf,
        /// How.
        edit: GoalEdit,
    },
    /// A file is larger than the driver reads.
    #[error("{} has {bytes} bytes; at most {max} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A record was to be appended before the log was read.
    #[error("{} was not read yet", path.display())]
    NotLoaded {
        /// The log.
        path: PathBuf,
    },
    /// An event has no form as a record.
    #[error("could not make a record of an event: {0}")]
    Record(#[from] RecordError),
}

impl StoreError {
    /// What a person can do about it; one sentence.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Io { source, .. } | Self::Append { source, .. } => io_step(source),
            Self::Poisoned { .. } => {
                "Mend what stopped the first append, then start again: nothing recorded is lost."
            }
            Self::Locked { .. } => {
                "Wait for it, or end it with `machine-driver halt --reason TEXT`: it saves its state and can be resumed. \
                 With `machine-driver dial propose` it goes on and commits nothing."
            }
            Self::TreeLocked { .. } => "Wait for it, or give one of the goals a clone of the repository.",
            Self::Broken { .. }
            | Self::LineTooLong { .. }
            | Self::Cut { .. }
            | Self::OtherChain { .. }
            | Self::Fold { .. } => {
                "Put the log back from a copy, or begin a new chain with `machine-driver log restart`, which keeps this one."
            }
            Self::Original { .. } => "Start the driver: it keeps the old log and takes its progress over.",
            Self::Replaced { .. } | Self::Changed { .. } => {
                "Find out who writes there, check with `machine-driver log verify`, then start again."
            }
            Self::GoalEdited { .. } => {
                "Stop the driver, then edit the goal or use `machine-driver task add`; start it again."
            }
            Self::TooLarge { .. } => "Make it smaller.",
            Self::NotLoaded { .. } | Self::Record(_) => "This is a defect of the program: report it.",
        }
    }

    pub(super) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

fn io_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero => {
            "Free some space, then start again: nothing recorded is lost."
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Make the folder of goal.json writable for this user, then start again."
        }
        io::ErrorKind::NotFound => "Check the path.",
        _ => "Check the disk and the folder, then start again: nothing recorded is lost.",
    }
}

/// The system's words as a fragment: `no space left on device`, without the number behind it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_operation_path_and_reason() {
        let error = StoreError::Append {
            operation: "append",
            seq: 41,
            path: "/x/driver-log.jsonl".into(),
            source: io::Error::from_raw_os_error(28),
        };
        assert_eq!(
            error.to_string(),
            "could not append record 41 to /x/driver-log.jsonl: no space left on device"
        );
        assert!(error.next_step().starts_with("Free some space"));
    }

    #[test]
    fn a_holder_is_named_where_it_is_known() {
        let locked = |holder| {
            StoreError::Locked {
                path: "/x/l".into(),
                holder,
            }
            .to_string()
        };
        assert_eq!(locked(Some(7)), "/x/l is in use by the driver with process id 7");
        assert_eq!(locked(None), "/x/l is in use");
    }
}
