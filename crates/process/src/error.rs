//! What can go wrong around a job, as opposed to what a job can do.

use std::io;
use std::path::PathBuf;

/// The runner failed. A job that fails, dies or cannot be started is not an error but an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// [`init`](crate::init) was not called, so re-executing this program would run its `main`
    /// again instead of a guardian.
    #[error("could not start the guardian: main does not begin with machine_driver_process::init()")]
    NotInitialised,

    /// The guardian did not come up.
    #[error("could not start the guardian: {operation}")]
    GuardianStart {
        /// What failed.
        operation: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },

    /// The guardian died or no longer answers, most likely killed by the job. Everything that it
    /// had started has been ended; the job's result is unknown. The next run starts a new guardian.
    #[error("lost the guardian while a job ran, then ended the {swept} processes it left")]
    GuardianLost {
        /// Processes ended.
        swept: u32,
    },

    /// The evidence could not be written. The job was stopped.
    #[error("could not {operation} {path}", path = path.display())]
    Output {
        /// What failed, in a few words.
        operation: String,
        /// The job's output file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },

    /// A system call failed that a run cannot do without.
    #[error("could not {operation}")]
    System {
        /// What failed, in a few words.
        operation: String,
        /// The cause.
        #[source]
        source: io::Error,
    },

    /// Processes that were killed and did not go away: they belong to another user (`sudo`) or
    /// hang inside the kernel.
    #[error("could not end the processes {pids:?}")]
    Survivors {
        /// Their ids.
        pids: Vec<u32>,
    },
}

impl ProcessError {
    pub(crate) fn system(operation: &str, source: impl Into<io::Error>) -> Self {
        Self::System {
            operation: operation.to_owned(),
            source: source.into(),
        }
    }
}
