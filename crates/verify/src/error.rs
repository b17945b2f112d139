//! What can go wrong around a verifier, as opposed to what it can find.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// There is no verdict. A verifier that could not judge is not an error but
/// [`Finding::Unavailable`](crate::Finding::Unavailable).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The driver asked it to stop.
    #[error("the verify was cancelled")]
    Cancelled,
    /// The command needs the task's text in a variable, and the system has no room for it there.
    #[error(
        "the task's text has {bytes} bytes, and verify_cmd names MACHINE_TASK, which can hold {max}; \
         use \"$MACHINE_TASK_FILE\""
    )]
    TextTooLong {
        /// Bytes in the text.
        bytes: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// No variable can hold a NUL.
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
    #[error("could not run the verifier")]
    Run {
        /// The cause: a `ProcessError` of a [`CommandVerifier`](crate::CommandVerifier), anything of another verifier.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl VerifyError {
    /// There is no verdict, for a reason of the verifier's own. A verifier that could not judge finds
    /// [`Finding::Unavailable`](crate::Finding::Unavailable) instead.
    pub fn other(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self::Run { source }
    }
}
