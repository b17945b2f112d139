//! Work under way: one thread does it, this one listens, and stops it when a limit or a person says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use machine_driver_state::control::{Control, Cut, Progress};

use crate::stop::Stop;

/// What the thread that does the work tells the one that listens.
enum Heard<T> {
    Progress(Progress),
    Ended(T),
}

/// What attending to work asks of the run that it belongs to.
pub(crate) trait Attendant {
    /// The work reports. Returning a reason stops it.
    fn heard(&mut self, progress: Progress) -> Option<Cut>;

    /// How long until the clock has to be looked at again.
    fn patience(&self) -> Duration;

    /// That time has passed. Returning a reason stops the work.
    fn looked(&mut self) -> Option<Cut>;
}

/// The work's thread panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `work` until it ends by itself or by its [`Control`], and returns what it returned and why it was cut off.
pub(crate) fn attend<T: Send + 'static>(
    stop: &Stop,
    attendant: &mut dyn Attendant,
    work: impl FnOnce(&Control) -> T + Send,
) -> (Result<T, Panicked>, Option<Cut>) {
    let (sender, heard) = channel();
    let reports = sender.clone();
    // The listener ends with the work, so a report that nobody takes is none that anybody misses.
    let control = Control::with_listener(move |progress| drop(reports.send(Heard::Progress(progress))));
    stop.attend(&control);
    let ended = std::thread::scope(|scope| {
        let at_work = control.clone();
        scope.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&at_work))).map_err(|_| Panicked);
            drop(sender.send(Heard::Ended(result)));
        });
        listen(&heard, &control, attendant)
    });
    stop.leave();
    (ended, control.cancelled())
}

fn listen<T>(
    heard: &Receiver<Heard<Result<T, Panicked>>>,
    control: &Control,
    attendant: &mut dyn Attendant,
) -> Result<T, Panicked> {
    loop {
        let cut = match heard.recv_timeout(attendant.patience()) {
            Ok(Heard::Ended(result)) => return result,
            Ok(Heard::Progress(progress)) => attendant.heard(progress),
            Err(RecvTimeoutError::Timeout) => attendant.looked(),
            Err(RecvTimeoutError::Disconnected) => return Err(Panicked),
        };
        if let Some(why) = cut {
            control.cancel(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use machine_driver_state::usage::Usage;

    use super::*;

    #[derive(Default)]
    struct Patient {
        heard: u32,
        looks: u32,
        looks_max: u32,
    }

    impl Attendant for Patient {
        fn heard(&mut self, _: Progress) -> Option<Cut> {
            self.heard += 1;
            None
        }

        fn patience(&self) -> Duration {
            Duration::from_millis(1)
        }

        fn looked(&mut self) -> Option<Cut> {
            self.looks += 1;
            (self.looks >= self.looks_max).then_some(Cut::Budget)
        }
    }

    fn until_cancelled(control: &Control) {
        let (sender, woken) = channel();
        control.on_cancel(move || sender.send(()).unwrap());
        woken.recv().unwrap();
    }

    #[test]
    fn work_that_ends_by_itself_was_not_cut_off() {
        let mut patient = Patient {
            looks_max: u32::MAX,
            ..Patient::default()
        };
        let (result, cut) = attend(&Stop::new(), &mut patient, |control| {
            control.report_usage(Usage::NONE);
            42
        });
        assert_eq!((result.unwrap(), cut, patient.heard), (42, None, 1));
    }

    #[test]
    fn the_clock_and_a_person_can_stop_it() {
        let mut patient = Patient {
            looks_max: 3,
            ..Patient::default()
        };
        assert_eq!(
            attend(&Stop::new(), &mut patient, until_cancelled).1,
            Some(Cut::Budget)
        );
        let stop = Stop::new();
        stop.ask(Cut::Sigint);
        let mut patient = Patient {
            looks_max: u32::MAX,
            ..Patient::default()
        };
        assert_eq!(attend(&stop, &mut patient, until_cancelled).1, Some(Cut::Sigint));
    }

    #[test]
    fn a_panic_in_the_work_is_an_error_and_not_the_end() {
        let mut patient = Patient {
            looks_max: u32::MAX,
            ..Patient::default()
        };
        let (result, _) = attend(&Stop::new(), &mut patient, |_| assert_eq!(1, 2, "a worker's bug"));
        assert!(result.is_err());
    }
}
