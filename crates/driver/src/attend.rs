//! Work under way: one thread does it, this one listens, and stops it when a limit or a person says so.

use std::io;
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

/// Runs `work` until it ends by itself or by its [`Control`]. Returns what it returned, unless it panicked, and why it was
/// cut off.
///
/// # Errors
/// The system's, where no thread can be started: nothing has begun then.
pub(crate) fn attend<T: Send + 'static>(
    stop: &Stop,
    attendant: &mut dyn Attendant,
    work: impl FnOnce(&Control) -> T + Send,
) -> io::Result<(Option<T>, Option<Cut>)> {
    let (sender, heard) = channel();
    let reports = sender.clone();
    // The listener ends with the work, so a report that nobody takes is none that anybody misses.
    let control = Control::with_listener(move |progress| drop(reports.send(Heard::Progress(progress))));
    stop.attend(&control);
    let ended: io::Result<Option<T>> = std::thread::scope(|scope| {
        let at_work = control.clone();
        let hands = std::thread::Builder::new().name("at work".into());
        hands.spawn_scoped(scope, move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&at_work))).ok();
            drop(sender.send(Heard::Ended(result)));
        })?;
        Ok(listen(&heard, &control, attendant))
    });
    stop.leave();
    Ok((ended?, control.cancelled()))
}

fn listen<T>(
    heard: &Receiver<Heard<Option<T>>>,
    control: &Control,
    attendant: &mut dyn Attendant,
) -> Option<T> {
    loop {
        let cut = match heard.recv_timeout(attendant.patience()) {
            Ok(Heard::Ended(result)) => return result,
            Ok(Heard::Progress(progress)) => attendant.heard(progress),
            Err(RecvTimeoutError::Timeout) => attendant.looked(),
            Err(RecvTimeoutError::Disconnected) => return None,
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
        })
        .unwrap();
        assert_eq!((result, cut, patient.heard), (Some(42), None, 1));
    }

    #[test]
    fn the_clock_and_a_person_can_stop_it() {
        let mut patient = Patient {
            looks_max: 3,
            ..Patient::default()
        };
        assert_eq!(
            attend(&Stop::new(), &mut patient, until_cancelled).unwrap().1,
            Some(Cut::Budget)
        );
        let stop = Stop::new();
        stop.ask(Cut::Sigint);
        let mut patient = Patient {
            looks_max: u32::MAX,
            ..Patient::default()
        };
        assert_eq!(
            attend(&stop, &mut patient, until_cancelled).unwrap().1,
            Some(Cut::Sigint)
        );
    }

    #[test]
    fn a_panic_in_the_work_is_an_error_and_not_the_end() {
        let mut patient = Patient {
            looks_max: u32::MAX,
            ..Patient::default()
        };
        let (result, _) = attend(&Stop::new(), &mut patient, |_| assert_eq!(1, 2, "a worker's bug")).unwrap();
        assert!(result.is_none());
    }
}
