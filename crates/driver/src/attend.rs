//! Work under way: this thread does it and hears its reports, another one watches the clock.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use machine_driver_state::control::{Control, Cut, Switch};

use crate::stop::Stop;

/// How often a driver that waits for work leaves a sign of life, so that a crash does not hide the time used.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// A thread that watches the clock for the work under way: it stops what reaches its deadline, and leaves signs of life.
///
/// The work itself stays on the thread that asked for it: handing it over and back costs more than many a shell.
#[derive(Debug)]
pub(crate) struct Lookout {
    post: Arc<Post>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Post {
    watch: Mutex<Watch>,
    changed: Condvar,
}

#[derive(Default)]
struct Watch {
    over: bool,
    work: Option<Work>,
}

/// What is watched.
struct Work {
    switch: Switch,
    deadline: Option<Instant>,
    beat: Box<dyn Fn() + Send>,
    beat_due: Instant,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Lookout {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, where no thread can be started.
    pub(crate) fn new() -> io::Result<Self> {
        let post = Arc::new(Post::default());
        let manned = Arc::clone(&post);
        let thread = Builder::new()
            .name("lookout".into())
            .spawn(move || manned.keep())?;
        Ok(Self {
            post,
            thread: Some(thread),
        })
    }

    /// Runs `work` until it ends by itself or is stopped: by `stop`, or because `left` has passed. Returns what it
    /// returned, unless it panicked, and why it was cut off.
    pub(crate) fn attend<T>(
        &self,
        stop: &Stop,
        left: Option<Duration>,
        beat: impl Fn() + Send + 'static,
        control: &Control<'_>,
        work: impl FnOnce(&Control<'_>) -> T,
    ) -> (Option<T>, Option<Cut>) {
        stop.attend(control.switch());
        self.post.begin(control.switch(), left, beat);
        let result = catch_unwind(AssertUnwindSafe(|| work(control))).ok();
        self.post.watch().work = None;
        stop.leave();
        (result, control.cancelled())
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.post.watch().over = true;
        self.post.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and a panic in it was told already.
            drop(thread.join());
        }
    }
}

impl Post {
    fn begin(&self, switch: &Switch, left: Option<Duration>, beat: impl Fn() + Send + 'static) {
        let now = Instant::now();
        let deadline = left.and_then(|left| now.checked_add(left));
        let work = Work {
            switch: switch.clone(),
            deadline,
            beat: Box::new(beat),
            beat_due: now + BEAT,
        };
        self.watch().work = Some(work);
        // It looks up every second anyway; only what is due before that wakes it.
        if left.is_some_and(|left| left < BEAT) {
            self.changed.notify_all();
        }
    }

    fn keep(&self) {
        let mut watch = self.watch();
        while !watch.over {
            let pause = watch.work.as_mut().map_or(BEAT, Work::look);
            watch = match self.changed.wait_timeout(watch, pause) {
                Ok((watch, _)) => watch,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Does what is due, and tells how long nothing will be.
    fn look(&mut self) -> Duration {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.deadline = None;
            self.switch.cancel(Cut::Budget);
        }
        if now >= self.beat_due {
            self.beat_due = now + BEAT;
            (self.beat)();
        }
        let next = self
            .deadline
            .map_or(self.beat_due, |deadline| deadline.min(self.beat_due));
        next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn until_cancelled(control: &Control<'_>) {
        let (sender, woken) = mpsc::channel();
        control.on_cancel(move || sender.send(()).unwrap());
        woken.recv().unwrap();
    }

    fn attend<T>(
        stop: &Stop,
        left: Option<Duration>,
        work: impl FnOnce(&Control<'_>) -> T,
    ) -> (Option<T>, Option<Cut>) {
        Lookout::new()
            .unwrap()
            .attend(stop, left, || (), &Control::new(), work)
    }

    #[test]
    fn work_that_ends_by_itself_was_not_cut_off() {
        assert_eq!(
            attend(&Stop::new(), Some(Duration::from_secs(60)), |_| 42),
            (Some(42), None)
        );
    }

    #[test]
    fn the_clock_and_a_person_can_stop_it() {
        let soon = Some(Duration::from_millis(20));
        assert_eq!(attend(&Stop::new(), soon, until_cancelled).1, Some(Cut::Budget));
        assert_eq!(
            attend(&Stop::new(), Some(Duration::ZERO), until_cancelled).1,
            Some(Cut::Budget)
        );
        let stop = Stop::new();
        stop.ask(Cut::Sigint);
        assert_eq!(attend(&stop, None, until_cancelled).1, Some(Cut::Sigint));
    }

    #[test]
    fn one_lookout_watches_one_work_after_another() {
        let lookout = Lookout::new().unwrap();
        for left in [
            None,
            Some(Duration::from_millis(10)),
            Some(Duration::from_secs(9)),
            Some(Duration::from_millis(10)),
        ] {
            let control = Control::new();
            let short = left.is_some_and(|left| left < Duration::from_secs(1));
            let work = |control: &Control<'_>| {
                if short {
                    until_cancelled(control);
                }
            };
            let (_, cut) = lookout.attend(&Stop::new(), left, || (), &control, work);
            assert_eq!(cut, short.then_some(Cut::Budget));
        }
    }

    #[test]
    fn signs_of_life_come_when_they_are_due() {
        let (sender, beats) = mpsc::channel();
        let now = Instant::now();
        let beat = Box::new(move || sender.send(()).unwrap());
        let mut work = Work {
            switch: Switch::new(),
            deadline: None,
            beat,
            beat_due: now,
        };
        assert!(work.look() <= BEAT);
        assert!(work.look() > Duration::ZERO);
        assert_eq!(beats.try_iter().count(), 1);
    }

    #[test]
    fn a_panic_in_the_work_is_an_error_and_not_the_end() {
        let (result, _) = attend(&Stop::new(), None, |_| assert_eq!(1, 2, "a worker's bug"));
        assert!(result.is_none());
    }
}
