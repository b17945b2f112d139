//! Time as the log writes it: UTC, cut to milliseconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 with exactly three decimals and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A text is not a time as the log writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time like 2026-11-22T10:00:00.123Z")]
pub struct TimeError {
    text: String,
}

impl Timestamp {
    /// 9999-12-30T21:59:59.999Z, the last full second below jiff's own limit.
    const MAX: i64 = 253_402_207_199_999;

    /// The moment so many milliseconds after the epoch. What RFC 3339 cannot name is moved to the nearest end of the
    /// years 0001 to 9999: a broken clock must not stop the log.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(-62_135_596_800_000, Self::MAX))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment and so much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads a time in the one form in which the log writes it.
    ///
    /// # Errors
    /// [`TimeError`] for any other text, also for another spelling of the same moment.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError {
            text: text.chars().take(64).collect(),
        };
        let parsed: jiff::Timestamp = text.parse().map_err(|_| error())?;
        let moment = Self::from_millis(parsed.as_millisecond());
        if moment.to_string() == text {
            Ok(moment)
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{moment:.3}")
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimeError;
    fn try_from(text: String) -> Result<Self, TimeError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_only() {
        let moment = Timestamp::from_millis(1_795_341_600_123);
        assert_eq!(moment.to_string(), "2026-11-22T10:00:00.123Z");
        assert_eq!(Timestamp::parse("2026-11-22T10:00:00.123Z"), Ok(moment));
        for other in [
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.123+00:00",
            "2026-11-22T10:00:00.1234Z",
            "",
            "now",
        ] {
            assert!(Timestamp::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_broken_clock_is_clamped() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let moment = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        }
    }

    #[test]
    fn differences_never_go_below_nothing() {
        let (early, late) = (Timestamp::from_millis(1000), Timestamp::from_millis(2500));
        assert_eq!(late.since(early), Duration::from_millis(1500));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.after(Duration::from_millis(1500)), late);
    }
}
