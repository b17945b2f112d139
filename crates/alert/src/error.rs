//! Why an alert was not sent, and when it is worth another attempt.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// Why an alert was not sent.
///
/// It goes into the log. So it never holds a token, a signing secret, or a URL with more than its scheme and host: not in
/// its text, not in its `Debug` form, and not in what caused it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlertError {
    /// The far end asks to come back later (HTTP 429).
    #[error("{reason}; it asks to come back in {} s", after.as_secs_f64().ceil())]
    Wait {
        /// How much later.
        after: Duration,
        /// What it said.
        reason: String,
    },
    /// The sink keeps to a rate, and nothing was tried: not a failure.
    #[error("held back for {} ms to keep to the rate", after.as_millis())]
    Paced {
        /// When there is room again.
        after: Duration,
    },
    /// It did not work, and may work next time: no network, a timeout, a fault of the far end.
    #[error("{reason}")]
    Temporary {
        /// What was tried and what happened.
        reason: String,
        /// The system's own error, where there is one.
        source: Option<io::Error>,
    },
    /// It will not work before someone mends something: a bad token, an unknown chat, a command that is not there.
    #[error("{reason}")]
    Permanent {
        /// What was tried and what happened.
        reason: String,
        /// The system's own error, where there is one.
        source: Option<io::Error>,
    },
}

impl AlertError {
    /// The longest that a far end can ask for.
    pub(crate) const WAIT_MAX: Duration = Duration::from_secs(3600);

    /// The far end asks to come back after so long; more than an hour counts as an hour.
    #[must_use]
    pub fn wait(after: Duration, reason: impl Into<String>) -> Self {
        let (after, reason) = (after.min(Self::WAIT_MAX), reason.into());
        Self::Wait { after, reason }
    }

    /// It may work next time.
    #[must_use]
    pub fn temporary(reason: impl Into<String>) -> Self {
        let (reason, source) = (reason.into(), None);
        Self::Temporary { reason, source }
    }

    /// It will not work before someone mends something.
    #[must_use]
    pub fn permanent(reason: impl Into<String>) -> Self {
        let (reason, source) = (reason.into(), None);
        Self::Permanent { reason, source }
    }

    /// How long to wait, where the far end or the rate names it.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wait { after, .. } | Self::Paced { after } => Some(*after),
            Self::Temporary { .. } | Self::Permanent { .. } => None,
        }
    }

    /// The text with everything that caused it, for the log.
    pub(crate) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}"); // a String takes all
            cause = error.source();
        }
        text
    }
}
