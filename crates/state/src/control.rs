//! The line between the driver and work under way: stop it, and hear from it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// Why the driver cuts work under way off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cut {
    /// The driver got SIGINT.
    Sigint,
    /// The driver got SIGTERM or SIGHUP.
    Sigterm,
    /// An embedding program asked the driver to stop.
    Stop,
    /// An operator halted the run.
    Halt,
    /// A limit of the budget was reached.
    Budget,
    /// An earlier driver ended with this attempt under way: killed, out of memory, or the machine went down.
    Crash,
}

/// The mark by which a started process can be found again without mistaking another for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessMark {
    /// Process id of the leader.
    pub pid: u32,
    /// Its process group.
    pub pgid: u32,
    /// When it started, in clock ticks since boot; 0 where the system does not tell.
    pub start_time: u64,
    /// Which boot of which machine it belongs to; empty where the system does not tell.
    pub boot_id: String,
}

/// What work under way tells the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Its process runs.
    Started(ProcessMark),
    /// It used so much up to now (totals of this attempt, not increments).
    Used(Usage),
}

/// Stops work under way, from any thread. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Switch {
    shared: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    cut: Option<Cut>,
    on_cut: Option<Box<dyn Fn() + Send>>,
}

impl Switch {
    /// A switch that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the work is to stop, and why. Once set it stays set.
    #[must_use]
    pub fn cancelled(&self) -> Option<Cut> {
        self.inner().cut
    }

    /// Asks the work to stop. The first reason stands.
    pub fn cancel(&self, why: Cut) {
        let mut inner = self.inner();
        if inner.cut.is_none() {
            inner.cut = Some(why);
            if let Some(wake) = &inner.on_cut {
                wake();
            }
        }
    }

    /// Calls `wake` as soon as the work is to stop, at once where it already is; replaces an earlier one.
    /// `wake` must only pass the word on (set a flag, write to a pipe): it runs on the canceller's thread.
    pub fn on_cancel(&self, wake: impl Fn() + Send + 'static) {
        let mut inner = self.inner();
        if inner.cut.is_some() {
            wake();
        }
        inner.on_cut = Some(Box::new(wake));
    }

    /// A panic in a waker leaves nothing half done in here, so a poisoned lock is as good as any.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("cancelled", &self.cancelled())
            .finish_non_exhaustive()
    }
}

/// Who hears what work under way reports. Called on the thread that reports, which goes on when it returns: a record that
/// follows from a report is on disk by then.
pub type Listener<'a> = dyn Fn(Progress) + Sync + 'a;

/// Handed to a worker or verifier with its order: whether to stop, and a way to report.
#[derive(Clone, Default)]
pub struct Control<'a> {
    switch: Switch,
    listener: Option<&'a Listener<'a>>,
}

impl<'a> Control<'a> {
    /// A control that nobody listens to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A control whose reports go to `listener`.
    #[must_use]
    pub fn with_listener(listener: &'a Listener<'a>) -> Self {
        Self {
            switch: Switch::new(),
            listener: Some(listener),
        }
    }

    /// The same, stopped by `switch`.
    #[must_use]
    pub fn stopped_by(self, switch: &Switch) -> Self {
        Self {
            switch: switch.clone(),
            ..self
        }
    }

    /// The switch that stops the work: to be handed to other threads.
    #[must_use]
    pub const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Whether the work is to stop, and why. Once set it stays set.
    #[must_use]
    pub fn cancelled(&self) -> Option<Cut> {
        self.switch.cancelled()
    }

    /// Calls `wake` as soon as the work is to stop: see [`Switch::on_cancel`].
    pub fn on_cancel(&self, wake: impl Fn() + Send + 'static) {
        self.switch.on_cancel(wake);
    }

    /// Tells the driver how much this attempt has used up to now.
    pub fn report_usage(&self, usage: Usage) {
        self.report(Progress::Used(usage));
    }

    /// Tells the driver which process does the work, so that it can be found after a crash.
    pub fn report_started(&self, mark: ProcessMark) {
        self.report(Progress::Started(mark));
    }

    fn report(&self, progress: Progress) {
        if let Some(listener) = self.listener {
            listener(progress);
        }
    }
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("cancelled", &self.cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_first_reason_stands_and_wakes_once() {
        let (sender, woken) = mpsc::channel();
        let control = Control::new();
        control.on_cancel(move || sender.send(()).unwrap());
        assert_eq!(control.cancelled(), None);
        control.switch().cancel(Cut::Budget);
        control.clone().switch().cancel(Cut::Sigint);
        assert_eq!(control.cancelled(), Some(Cut::Budget));
        assert_eq!(woken.try_iter().count(), 1);
    }

    #[test]
    fn a_late_listener_is_woken_at_once() {
        let (sender, woken) = mpsc::channel();
        let control = Control::new();
        control.switch().cancel(Cut::Stop);
        control.on_cancel(move || sender.send(()).unwrap());
        assert_eq!(woken.try_iter().count(), 1);
    }

    #[test]
    fn reports_reach_the_driver() {
        let (sender, heard) = mpsc::channel();
        let listener = move |progress| sender.send(progress).unwrap();
        let control = Control::with_listener(&listener);
        control.report_usage(Usage::NONE);
        drop(control);
        assert_eq!(
            heard.try_iter().collect::<Vec<_>>(),
            [Progress::Used(Usage::NONE)]
        );
    }
}
