//! How fast one chat may get messages, <https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const BETWEEN: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const GROUP_PER_MINUTE: usize = 20;

/// The recent messages to one chat.
#[derive(Debug)]
pub(super) struct Pace {
    is_group: bool,
    /// At most 20, the oldest first.
    sent: VecDeque<Instant>,
}

impl Pace {
    pub(super) const fn new(is_group: bool) -> Self {
        let sent = VecDeque::new();
        Self { is_group, sent }
    }

    /// How long until the chat may get a message.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let until = |moment: Option<&Instant>, room: Duration| {
            let moment = moment.map(|moment| *moment + room);
            moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(now))
        };
        let full = self.is_group && self.sent.len() >= GROUP_PER_MINUTE;
        let minute = self.sent.front().filter(|_| full);
        until(self.sent.back(), BETWEEN).max(until(minute, MINUTE))
    }

    /// Notes a message.
    pub(super) fn sent(&mut self, now: Instant) {
        if self.sent.len() >= GROUP_PER_MINUTE {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages within so many seconds, when each goes out as soon as it may.
    fn within(is_group: bool, seconds: u64) -> (usize, Vec<Duration>) {
        let start = Instant::now();
        let (mut now, mut pace, mut moments) = (start, Pace::new(is_group), Vec::new());
        while now - start < Duration::from_secs(seconds) {
            let wait = pace.wait(now);
            now += wait;
            assert_eq!(pace.wait(now), Duration::ZERO, "no longer than needed");
            pace.sent(now);
            moments.push(now - start);
        }
        (moments.len(), moments)
    }

    #[test]
    fn one_a_second_and_in_a_group_twenty_a_minute() {
        let (person, _) = within(false, 120);
        assert!((120..=121).contains(&person), "{person}");
        let (_, moments) = within(true, 200);
        for from in &moments {
            let minute = |moment: &&Duration| **moment >= *from && **moment < *from + MINUTE;
            assert!(moments.iter().filter(minute).count() <= 20);
        }
        assert!(moments.len() >= 61, "{}", moments.len());
    }
}
