//! How long the driver waits for what is not the task's fault.

use std::time::Duration;

/// The first wait after a worker that asked to wait, or could not be started.
const FIRST: Duration = Duration::from_secs(10);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// The longest wait that a worker may ask for by itself.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// 10 seconds the first time, doubling to 300.
pub(crate) fn backoff(times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

/// What a worker asked for, within a day; else the backoff.
pub(crate) fn asked_or_backoff(asked_ms: Option<u64>, times: u32) -> Duration {
    asked_ms.map_or_else(
        || backoff(times),
        |ms| Duration::from_millis(ms).min(LONGEST_ASKED),
    )
}

/// Before what failed for reasons that are not the work's is repeated, a verify or a commit: 1 s, then 2 s.
pub(crate) fn before_again(tries: u32) -> Duration {
    Duration::from_secs(u64::from(tries.min(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let waits: Vec<u64> = (1..=8).map(|times| backoff(times).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(backoff(u32::MAX), LONGEST);
    }

    #[test]
    fn a_worker_may_ask_for_a_day_at_most() {
        assert_eq!(asked_or_backoff(Some(1500), 9), Duration::from_millis(1500));
        assert_eq!(asked_or_backoff(Some(u64::MAX), 1), Duration::from_secs(86_400));
        assert_eq!(asked_or_backoff(None, 2), Duration::from_secs(20));
    }

    #[test]
    fn verify_is_repeated_after_one_and_two_seconds() {
        assert_eq!([1, 2].map(|tries| before_again(tries).as_secs()), [1, 2]);
    }
}
