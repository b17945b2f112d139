//! SIGINT, SIGTERM and SIGHUP end a run in order: the worker's group is stopped, the state saved.

use std::io;
use std::thread;

use machine_driver_state::control::Cut;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::error::Failure;
use crate::out::Out;

/// Listens while it lives.
pub(crate) struct Listening(Handle);

/// From now on a signal calls `stop` instead of ending the process; a closed terminal counts as SIGTERM. Only the first
/// one does: those who press ^C twice must not lose what the first one saves. The third ends the process, as kill -9 would.
pub(crate) fn listen(out: &Out, stop: impl Fn(Cut) + Send + 'static) -> Result<Listening, Failure> {
    attend(out.clone(), stop).map_err(|source| Failure::Outside {
        what: format!("could not listen to signals: {source}"),
        help: "Close some programs or raise the limit of open files, then start again.".into(),
    })
}

fn attend(out: Out, stop: impl Fn(Cut) + Send + 'static) -> io::Result<Listening> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let listening = Listening(signals.handle());
    let listen = move || {
        let mut all = signals.forever();
        let Some(first) = all.next() else { return };
        stop(if first == SIGINT {
            Cut::Sigint
        } else {
            Cut::Sigterm
        });
        out.note("stopping: ending what is under way, then saving; nothing is lost");
        for (again, signal) in all.enumerate() {
            if again > 0 {
                // Everything on disk is whole at any instant, and what still runs ends with this process.
                out.note("ended at once; the next run goes on from the last record");
                std::process::exit(if signal == SIGINT { 130 } else { 143 });
            }
            out.note("already stopping: what is under way gets a few seconds to end; once more ends at once");
        }
    };
    thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(listening)
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.close();
    }
}
