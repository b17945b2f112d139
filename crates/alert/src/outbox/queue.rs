//! What one sink has yet to send, and when: no threads, no clock, so that its rules can be tested for themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use machine_driver_state::alert::{Alert, AlertId};

use crate::error::AlertError;

/// The most alerts that one sink holds.
pub(super) const HELD_MAX: usize = 100_000;

/// After so many failures of the oldest alert another one is tried: is it the far end, or this alert?
const STUBBORN: u32 = 5;

/// An alert that fails on its own account is tried again after so long.
const RARELY: Duration = Duration::from_secs(30 * 60);

/// The longest pause after failures that may be one alert's own.
const BRIEF: Duration = Duration::from_secs(10);

/// An alert on its way to one sink.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) alert: Arc<Alert>,
    /// The names under which it is reported: the sink's, and those of sinks that are gone and whose part it takes.
    pub(super) names: Box<[Arc<str>]>,
    /// Attempts so far.
    pub(super) tries: u32,
}

/// Where an entry stood, for the case that it goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// Tried out of turn, to learn whether the head is at fault.
    Probe(usize),
    Parked,
}

/// An entry taken out for an attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) entry: Entry,
    place: Place,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Next {
    Send(Attempt),
    Wait(Duration),
    Idle,
}

/// What an attempt has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    Failing {
        next_in: Duration,
    },
    /// Not an attempt.
    Paced,
}

/// What keeps the queue from trying at once.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    /// Asked for by the far end or the rate: nothing cuts it short.
    asked: bool,
}

/// One sink's alerts, in the order in which they came. The oldest goes first. While it fails for now, the others wait
/// behind it; once it is shown to be at fault itself, it is parked and tried rarely, and the others go on.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Entry>,
    /// Alerts that failed on their own account, by the time when they are due and a number that keeps them apart.
    parked: BTreeMap<(Instant, u64), Entry>,
    parkings: u64,
    pause: Option<Pause>,
    /// Failures in a row, of whichever alert.
    failures: u32,
    /// Another than the head comes next.
    probe: bool,
    probes: usize,
    /// Another got through where the head did not: if the head fails once more, it is the head that is at fault.
    suspect: bool,
    in_flight: bool,
}

impl Queue {
    /// Alerts that are not yet sent, the one on its way included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.parked.len() + usize::from(self.in_flight)
    }

    /// Takes an alert over; `false` where there is no room for it.
    pub(super) fn push(&mut self, entry: Entry, now: Instant) -> bool {
        if self.len() >= HELD_MAX {
            return false;
        }
        self.waiting.push_back(entry);
        // Something new may get through where the head does not: no need to sit out the head's pause.
        if self.waiting.front().is_some_and(|head| head.tries >= STUBBORN)
            && let Some(pause) = self.pause.as_mut().filter(|pause| !pause.asked)
        {
            pause.until = pause.until.min(now + BRIEF);
            self.probe = true;
        }
        true
    }

    /// What to do at this time. An attempt that is handed out has to come back through [`Self::settle`].
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if let Some(pause) = self.pause.filter(|pause| pause.until > now) {
            return match self.len() {
                0 => Next::Idle,
                _ => Next::Wait(pause.until - now),
            };
        }
        match self.take(now) {
            Some(attempt) => {
                self.in_flight = true;
                Next::Send(attempt)
            }
            None => self.parked.first_key_value().map_or(Next::Idle, |((due, _), _)| {
                Next::Wait(due.saturating_duration_since(now))
            }),
        }
    }

    fn take(&mut self, now: Instant) -> Option<Attempt> {
        let others = self.waiting.len().saturating_sub(1);
        if self.probe && others > 0 {
            let index = 1 + self.probes % others;
            let entry = self.waiting.remove(index)?;
            let place = Place::Probe(index);
            return Some(Attempt { entry, place });
        }
        if let Some(entry) = self.waiting.pop_front() {
            let place = Place::Head;
            return Some(Attempt { entry, place });
        }
        let first = self.parked.first_entry().filter(|first| first.key().0 <= now)?;
        let (entry, place) = (first.remove(), Place::Parked);
        Some(Attempt { entry, place })
    }

    /// Notes what became of an attempt. The alert's id, names and tries are still the caller's to report.
    pub(super) fn settle(
        &mut self,
        attempt: Attempt,
        sent: &Result<(), AlertError>,
        now: Instant,
    ) -> Outcome {
        self.in_flight = false;
        let Attempt { mut entry, place } = attempt;
        let error = match sent {
            Ok(()) => return self.delivered(place),
            Err(error) => error,
        };
        if let AlertError::Paced { after } = error {
            let after = (*after).clamp(Duration::from_millis(10), AlertError::WAIT_MAX);
            self.put_back(entry, place, now + after);
            self.hold(now + after, true);
            return Outcome::Paced;
        }
        entry.tries = entry.tries.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        let pause = backoff(&entry.alert.id, self.failures);
        let next_in = match error {
            AlertError::Wait { after, .. } => {
                let after = (*after).clamp(Duration::from_secs(1), AlertError::WAIT_MAX);
                self.hold(now + after, true);
                self.put_back(entry, place, now + after);
                after
            }
            AlertError::Permanent { .. } => {
                self.hold(now + pause.min(BRIEF), false);
                self.park(entry, now + RARELY);
                self.probe = false;
                self.suspect &= place != Place::Head;
                RARELY
            }
            _ if place == Place::Parked || (place == Place::Head && self.suspect) => {
                self.suspect = false;
                self.hold(now + pause.min(BRIEF), false);
                self.park(entry, now + RARELY);
                RARELY
            }
            _ => {
                self.hold(now + pause, false);
                self.probe = place == Place::Head && entry.tries >= STUBBORN;
                self.probes = self.probes.wrapping_add(usize::from(place != Place::Head));
                self.put_back(entry, place, now);
                pause
            }
        };
        Outcome::Failing { next_in }
    }

    fn delivered(&mut self, place: Place) -> Outcome {
        self.failures = 0;
        self.pause = None;
        self.probe = false;
        self.suspect = matches!(place, Place::Probe(_));
        Outcome::Delivered
    }

    fn hold(&mut self, until: Instant, asked: bool) {
        self.pause = Some(Pause { until, asked });
    }

    fn put_back(&mut self, entry: Entry, place: Place, due: Instant) {
        match place {
            Place::Head => self.waiting.push_front(entry),
            Place::Probe(index) => self.waiting.insert(index.min(self.waiting.len()), entry),
            Place::Parked => self.park(entry, due),
        }
    }

    fn park(&mut self, entry: Entry, due: Instant) {
        self.parkings += 1;
        self.parked.insert((due, self.parkings), entry);
    }
}

/// The pause after so many failures in a row: 1 s, doubled up to 5 min, and up to a fifth less, so that many drivers do
/// not come back at the same moment. What is taken off depends on the alert's id and the count alone.
fn backoff(id: &AlertId, failures: u32) -> Duration {
    let full = 1000_u64 << failures.saturating_sub(1).min(9);
    let full = full.min(5 * 60 * 1000);
    // FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
    let hash = id
        .as_str()
        .bytes()
        .chain(failures.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let less = full * ((hash >> 32) % 1000) / 5000;
    Duration::from_millis((full - less).max(1000))
}

#[cfg(test)]
mod tests;
