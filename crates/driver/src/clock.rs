//! Time comes in here and nowhere else.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use machine_driver_state::time::Timestamp;

use crate::stop::Stop;

/// A source of time.
pub trait Clock: Debug + Send + Sync {
    /// The moment it is. Must not go back.
    fn now(&self) -> Timestamp;

    /// Waits for so long, or until the run is asked to stop.
    fn wait(&self, time: Duration, stop: &Stop) {
        stop.wait(time);
    }
}

/// The system's clock, read once and then carried on by the monotonic one: a clock that is set while the driver runs
/// changes neither the order of records nor a budget. Time in which the machine is suspended does not count.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
    started_at: Timestamp,
}

impl SystemClock {
    /// A clock that goes on from the system's time now.
    #[must_use]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = Timestamp::from_millis(0).after(since_epoch);
        Self {
            started: Instant::now(),
            started_at,
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.started_at.after(self.started.elapsed())
    }
}

/// A clock that is never behind the log: where the system's time was set back between two runs, time goes on from the
/// last record instead, so that nothing waits for a moment that comes again in a year.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    clock: Arc<dyn Clock>,
    ahead: Duration,
}

impl Timeline {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ahead: Duration::ZERO,
        }
    }

    /// Makes sure that now is not before `last`; tells how far the clock is behind where it is more than a second.
    pub(crate) fn go_on_from(&mut self, last: Timestamp) -> Option<Duration> {
        self.ahead = last.since(self.clock.now());
        (self.ahead > Duration::from_secs(1)).then_some(self.ahead)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().after(self.ahead)
    }

    pub(crate) fn wait(&self, time: Duration, stop: &Stop) {
        self.clock.wait(time, stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(i64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_the_log() {
        let mut timeline = Timeline::new(Arc::new(Fixed(5_000)));
        assert_eq!(timeline.go_on_from(Timestamp::from_millis(4_000)), None);
        assert_eq!(timeline.now(), Timestamp::from_millis(5_000));
        assert_eq!(
            timeline.go_on_from(Timestamp::from_millis(9_000)),
            Some(Duration::from_secs(4))
        );
        assert_eq!(timeline.now(), Timestamp::from_millis(9_000));
    }

    #[test]
    fn the_system_clock_is_after_this_was_written() {
        assert!(SystemClock::new().now() > Timestamp::from_millis(1_790_000_000_000));
    }
}
