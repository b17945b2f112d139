//! The switch that ends a run from another thread.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use machine_driver_state::control::{Cut, Switch};

/// Ends a run: what is under way is stopped, the state is saved, and the run can be resumed. Clones are one switch.
///
/// ```
/// use machine_driver::Stop;
/// use machine_driver::state::control::Cut;
///
/// let stop = Stop::new(); // to be given to `Builder::stop`
/// let switch = stop.clone();
/// let other = std::thread::spawn(move || switch.ask(Cut::Stop));
/// # other.join().unwrap();
/// assert_eq!(stop.asked(), Some(Cut::Stop));
/// ```
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    asked: Option<Cut>,
    woken: bool,
    under_way: Option<Switch>,
}

impl Stop {
    /// A switch that is not pressed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop. The first reason stands, and says how the run ends: [`Exit::Interrupted`](crate::Exit::Interrupted)
    /// for [`Cut::Sigint`], [`Exit::Terminated`](crate::Exit::Terminated) for [`Cut::Sigterm`], otherwise
    /// [`Exit::Halted`](crate::Exit::Halted). A program of one's own says [`Cut::Stop`].
    pub fn ask(&self, why: Cut) {
        let switch = {
            let mut inner = self.inner();
            inner.asked.get_or_insert(why);
            inner.under_way.clone()
        };
        self.shared.changed.notify_all();
        if let Some(switch) = switch {
            switch.cancel(why);
        }
    }

    /// Whether it was asked to stop, and why.
    #[must_use]
    pub fn asked(&self) -> Option<Cut> {
        self.inner().asked
    }

    /// Ends a wait early: something happened that the run should look at.
    pub fn wake(&self) {
        self.inner().woken = true;
        self.shared.changed.notify_all();
    }

    /// Waits for so long, or until asked to stop or woken.
    pub fn wait(&self, time: Duration) {
        let started = Instant::now();
        let mut inner = self.inner();
        while inner.asked.is_none() && !std::mem::take(&mut inner.woken) {
            let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return;
            };
            inner = match self.shared.changed.wait_timeout(inner, left) {
                Ok((inner, _)) => inner,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// From now on a stop also cancels this work; at once where one was asked for already.
    pub(crate) fn attend(&self, switch: &Switch) {
        let asked = {
            let mut inner = self.inner();
            inner.under_way = Some(switch.clone());
            inner.asked
        };
        if let Some(why) = asked {
            switch.cancel(why);
        }
    }

    pub(crate) fn leave(&self) {
        self.inner().under_way = None;
    }

    /// A panic elsewhere leaves nothing half done in here, so a poisoned lock is as good as any.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("asked", &self.asked())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_wait_and_the_work_under_way() {
        let stop = Stop::new();
        let control = Switch::new();
        stop.attend(&control);
        let other = stop.clone();
        let thread = std::thread::spawn(move || other.ask(Cut::Sigterm));
        stop.wait(Duration::from_secs(60));
        thread.join().unwrap();
        assert_eq!(
            (stop.asked(), control.cancelled()),
            (Some(Cut::Sigterm), Some(Cut::Sigterm))
        );
        stop.ask(Cut::Sigint);
        assert_eq!(stop.asked(), Some(Cut::Sigterm));
    }

    #[test]
    fn work_that_starts_after_the_stop_is_cancelled_at_once() {
        let stop = Stop::new();
        stop.ask(Cut::Stop);
        let control = Switch::new();
        stop.attend(&control);
        assert_eq!(control.cancelled(), Some(Cut::Stop));
        let later = Switch::new();
        stop.leave();
        stop.ask(Cut::Sigint);
        assert_eq!(later.cancelled(), None);
    }

    #[test]
    fn a_wait_ends_when_it_is_woken_once() {
        let stop = Stop::new();
        stop.wake();
        stop.wait(Duration::from_secs(60));
        let started = Instant::now();
        stop.wait(Duration::from_millis(20));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_wait_without_a_stop_takes_its_time() {
        let started = Instant::now();
        Stop::new().wait(Duration::from_millis(20));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }
}
