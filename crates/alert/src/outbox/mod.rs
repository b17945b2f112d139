//! The sending side of the outbox: one thread for each sink.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use machine_driver_state::alert::{Alert, AlertId};

use crate::port::Alerter;

mod lane;
mod queue;

use lane::Lane;
use queue::Entry;

/// What becomes of alerts. Told on the thread of the sink, so whoever is told must not take long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The alert was sent. An alert that takes the place of several sinks is reported once for each.
    Delivered {
        /// Which.
        id: AlertId,
        /// The sink's name as it was given to [`Outbox::submit`].
        sink: String,
        /// Attempts, the last included.
        tries: u32,
    },
    /// An attempt failed; there will be another.
    Failing {
        /// Which.
        id: AlertId,
        /// The sink's name as it was given to [`Outbox::submit`].
        sink: String,
        /// Attempts so far.
        tries: u32,
        /// Why, with no secret in it.
        error: String,
        /// The next attempt comes no earlier.
        next_in: Duration,
    },
    /// So many alerts since the last such event found no room: the sink holds 100,000 already. They are not sent by this
    /// outbox; whoever keeps the log submits them again at the next start.
    Full {
        /// The sink's own name.
        sink: String,
        /// How many.
        refused: u64,
    },
}

/// Sends alerts, and tries again until they are sent.
///
/// - Each sink has a thread of its own: a slow one delays no other.
/// - Per sink alerts go out in the order in which they came. While a sink fails for now, it is tried again after 1 s,
///   doubled up to 5 min, or when the far end asks for it (at most an hour). An alert that fails permanently, or fails
///   while others get through, is set aside and tried every 30 min.
/// - A sink that panics has failed, no more.
/// - It keeps nothing on disk. Whoever has a log writes down what it raises before it submits it, and what was
///   delivered after it is told so; after a crash it submits the rest again, with the same ids.
///
/// Dropping it returns at once and sends nothing more: threads that wait end, one in the middle of an attempt ends after
/// it and may still tell what came of it. To give alerts a last chance, [`Outbox::drain`] first.
pub struct Outbox {
    lanes: Vec<Lane>,
}

impl Outbox {
    /// Starts a thread for each sink. `on_event` is told what becomes of alerts, on those threads.
    ///
    /// # Errors
    /// Two sinks have one name, or the system gives no thread.
    pub fn start(
        sinks: Vec<Arc<dyn Alerter>>,
        on_event: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut names = BTreeSet::new();
        if let Some(twice) = sinks.iter().find(|sink| !names.insert(sink.name())) {
            let what = format!("two sinks for alerts are named `{}`", twice.name());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let on_event: Arc<dyn Fn(Event) + Send + Sync> = Arc::new(on_event);
        let start = |sink: &Arc<dyn Alerter>| Lane::start(Arc::clone(sink), Arc::clone(&on_event));
        let lanes = sinks.iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self { lanes })
    }

    /// The names of the sinks, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.name().to_string()).collect()
    }

    /// Hands an alert to the sinks with these names. Never blocks for longer than it takes to put it into a list.
    ///
    /// A name that is not configured any more falls to the first sink, which sends the alert once and reports it under
    /// each of the names that it stands for. Without sinks nothing is sent.
    pub fn submit(&self, alert: Alert, sinks: &[String]) {
        let alert = Arc::new(alert);
        let known = |name: &str| self.lanes.iter().any(|lane| &**lane.name() == name);
        for (index, lane) in self.lanes.iter().enumerate() {
            let mut names: Vec<Arc<str>> = Vec::new();
            for name in sinks {
                let is_mine = **lane.name() == **name || (index == 0 && !known(name));
                if is_mine && !names.iter().any(|taken| **taken == **name) {
                    names.push(Arc::from(name.as_str()));
                }
            }
            if !names.is_empty() {
                lane.push(Entry {
                    alert: Arc::clone(&alert),
                    names: names.into(),
                    tries: 0,
                });
            }
        }
    }

    /// Waits until everything is sent and reported, at most for so long; gives the number of deliveries still owed. Not to
    /// be called by whoever is told of an event: the thread would wait for itself.
    #[must_use]
    pub fn drain(&self, limit: Duration) -> usize {
        let deadline = Instant::now().checked_add(limit);
        self.lanes.iter().map(|lane| lane.drain(deadline)).sum()
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("sinks", &self.names()).finish()
    }
}
