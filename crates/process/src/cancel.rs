//! Stopping a job from another thread.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// A switch that stops the job it was given to, at once and from any thread. Clones are the same
/// switch, and it cannot be switched back.
///
/// Not for use inside a signal handler: it takes a lock.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    grace: Option<Duration>,
    wakers: Vec<Weak<PipeWriter>>,
}

impl Cancel {
    /// A switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the job: TERM, then KILL after `grace`. A second call can shorten the grace, not
    /// lengthen it.
    pub fn cancel(&self, grace: Duration) {
        self.with(|state| {
            state.grace = Some(state.grace.map_or(grace, |old| old.min(grace)));
            state.wakers.retain(|waker| match waker.upgrade() {
                // A full pipe is as good as one more byte in it.
                Some(pipe) => {
                    let _ = (&*pipe).write(&[1]);
                    true
                }
                None => false,
            });
        });
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.grace().is_some()
    }

    pub(crate) fn grace(&self) -> Option<Duration> {
        self.with(|state| state.grace)
    }

    /// A descriptor that becomes readable when the switch is used, or is so already.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        let writer = Arc::new(writer);
        self.with(|state| {
            state.wakers.retain(|waker| waker.strong_count() > 0);
            state.wakers.push(Arc::downgrade(&writer));
            match state.grace {
                Some(_) => (&*writer).write(&[1]).map(drop),
                None => Ok(()),
            }
        })?;
        Ok(Waker {
            reader,
            _writer: writer,
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // The state is consistent between any two statements above, so a poisoned lock is usable.
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The waiting end of a [`Cancel`].
pub(crate) struct Waker {
    reader: PipeReader,
    /// Keeps the weak reference in [`State::wakers`] alive for as long as somebody listens.
    _writer: Arc<PipeWriter>,
}

impl Waker {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Makes the descriptor unreadable until the next call of `cancel`.
    pub(crate) fn reset(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.reader.read(&mut bytes), Ok(count) if count > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_grace_wins_and_every_waker_hears_it() {
        let cancel = Cancel::new();
        let mut before = cancel.waker().unwrap();
        assert!(!cancel.is_cancelled());

        cancel.cancel(Duration::from_secs(2));
        cancel.clone().cancel(Duration::from_secs(1));
        cancel.cancel(Duration::from_secs(3));
        assert_eq!(cancel.grace(), Some(Duration::from_secs(1)));

        let after = cancel.waker().unwrap();
        assert_eq!(before.reader.read(&mut [0; 8]).unwrap(), 3);
        before.reset();
        assert_eq!((&after.reader).read(&mut [0; 8]).unwrap(), 1);
    }
}
