//! One sink's thread and what it shares with those who submit.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::AlertError;
use crate::port::Alerter;

use super::Event;
use super::queue::{Attempt, Entry, Next, Outcome, Queue};

type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// A sink with its thread. Dropping it tells the thread to end and does not wait for it.
pub(super) struct Lane {
    name: Arc<str>,
    shared: Arc<Shared>,
    sink: Arc<dyn Alerter>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Something came in, or the end.
    changed: Condvar,
    /// The thread has told what it had to tell.
    settled: Condvar,
}

#[derive(Default)]
struct Inner {
    queue: Queue,
    /// The thread has left the lock to send or to tell.
    busy: bool,
    refused: u64,
    closed: bool,
}

impl Lane {
    pub(super) fn start(sink: Arc<dyn Alerter>, on_event: OnEvent) -> io::Result<Self> {
        let name: Arc<str> = Arc::from(sink.name());
        let shared = Arc::new(Shared {
            inner: Mutex::default(),
            changed: Condvar::new(),
            settled: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let (own_name, own_sink) = (Arc::clone(&name), Arc::clone(&sink));
        thread::Builder::new()
            .name("alert".to_owned())
            .spawn(move || run(&theirs, &own_name, &*own_sink, &on_event))?;
        Ok(Self { name, shared, sink })
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn push(&self, entry: Entry) {
        let mut inner = self.shared.lock();
        if !inner.queue.push(entry, Instant::now()) {
            inner.refused = inner.refused.saturating_add(1);
        }
        self.shared.changed.notify_one();
    }

    /// Waits until nothing is left, at most until then (for ever without a time); gives what is left.
    pub(super) fn drain(&self, deadline: Option<Instant>) -> usize {
        let mut inner = self.shared.lock();
        loop {
            let left = inner.queue.len();
            let now = Instant::now();
            if (left == 0 && !inner.busy) || deadline.is_some_and(|deadline| deadline <= now) {
                return left;
            }
            inner = match deadline {
                Some(deadline) => wait_timeout(&self.shared.settled, inner, deadline - now),
                None => wait(&self.shared.settled, inner),
            };
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        // A panic in a sink of somebody else's must not become one of a drop.
        drop(catch_unwind(AssertUnwindSafe(|| self.sink.stop())));
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lane").field(&self.name).finish()
    }
}

impl Shared {
    /// Nothing panics while it holds the lock; if something did, what is in it would still be whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; `None` is the end.
    fn work(&self) -> Option<Work> {
        let mut inner = self.lock();
        loop {
            if inner.closed {
                return None;
            }
            if inner.refused > 0 {
                inner.busy = true;
                return Some(Work::Tell(std::mem::take(&mut inner.refused)));
            }
            inner = match inner.queue.next(Instant::now()) {
                Next::Send(attempt) => {
                    inner.busy = true;
                    return Some(Work::Send(attempt));
                }
                Next::Wait(time) => wait_timeout(&self.changed, inner, time),
                Next::Idle => wait(&self.changed, inner),
            };
        }
    }

    fn done(&self) {
        self.lock().busy = false;
        self.settled.notify_all();
    }
}

enum Work {
    Send(Attempt),
    Tell(u64),
}

fn run(shared: &Shared, name: &Arc<str>, sink: &dyn Alerter, on_event: &OnEvent) {
    while let Some(work) = shared.work() {
        let events = match work {
            Work::Send(attempt) => send(shared, sink, attempt),
            Work::Tell(refused) => vec![Event::Full {
                sink: name.to_string(),
                refused,
            }],
        };
        for event in events {
            // Whoever is told must not be able to end the sending: an alert not noted as delivered is sent again later.
            let _ = catch_unwind(AssertUnwindSafe(|| on_event(event)));
        }
        shared.done();
    }
}

fn send(shared: &Shared, sink: &dyn Alerter, attempt: Attempt) -> Vec<Event> {
    let id = attempt.entry.alert.id.clone();
    let names = attempt.entry.names.clone();
    let tries = attempt.entry.tries.saturating_add(1);
    // What a panic says is left out: it could say anything.
    let sent = catch_unwind(AssertUnwindSafe(|| sink.send(&attempt.entry.alert)))
        .unwrap_or_else(|_| Err(AlertError::temporary("the sink panicked")));
    let error = sent.as_ref().err().map(AlertError::told).unwrap_or_default();
    let outcome = shared.lock().queue.settle(attempt, &sent, Instant::now());
    let event = |sink: &Arc<str>| {
        let (id, sink, error) = (id.clone(), sink.to_string(), error.clone());
        match outcome {
            Outcome::Delivered => Some(Event::Delivered { id, sink, tries }),
            Outcome::Failing { next_in } => Some(Event::Failing {
                id,
                sink,
                tries,
                error,
                next_in,
            }),
            Outcome::Paced => None,
        }
    };
    names.iter().filter_map(event).collect()
}

fn wait<'a>(condvar: &Condvar, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
    condvar.wait(inner).unwrap_or_else(PoisonError::into_inner)
}

fn wait_timeout<'a>(
    condvar: &Condvar,
    inner: MutexGuard<'a, Inner>,
    time: std::time::Duration,
) -> MutexGuard<'a, Inner> {
    condvar
        .wait_timeout(inner, time)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}
