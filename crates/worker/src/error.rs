//! What can go wrong around a worker, as opposed to what a worker can do.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::template::TemplateError;

/// A worker could not be run, or what it did could not be recorded. A worker that fails, dies or is stopped is not an
/// error but a [`WorkReport`](crate::WorkReport).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The command is not acceptable.
    #[error("worker_cmd is not acceptable")]
    Template {
        /// Why.
        #[from]
        source: TemplateError,
    },
    /// The command needs the text in a variable or an argument, and the system has no room for it there.
    #[error(
        "the task's text has {bytes} bytes, and worker_cmd names `{{task}}` or MACHINE_TASK, which can hold {max}; \
         use `{{task_file}}` or \"$MACHINE_TASK_FILE\""
    )]
    TextTooLong {
        /// Bytes in the text.
        bytes: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// No variable and no argument can hold a NUL.
    #[error("the task's text holds a NUL")]
    TextHoldsNul,
    /// A file of the attempt's evidence.
    #[error("could not {operation} {path}", path = path.display())]
    Evidence {
        /// What failed, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process could not be run or watched.
    #[error("could not run the worker")]
    Run {
        /// The cause: a `ProcessError` of a [`CommandWorker`](crate::CommandWorker), anything of another worker.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl WorkError {
    /// The work could not be begun or watched, for a reason of the worker's own. What was done, the verifier judges; an
    /// attempt that went wrong is a report, not an error.
    pub fn other(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self::Run { source }
    }
}
