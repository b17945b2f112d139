//! The dial.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use machine_driver_state::event::{Event, OverrideKind};
use machine_driver_state::goal::Mode;
use machine_driver_state::store::{Paths, StoreError, last_event};

use super::halt::put;
use super::{Because, take_log};
use crate::carry_out::Turn;
use crate::clock::{Clock, Timeline};
use crate::control::{Folder, Request, Standing};
use crate::error::DriverError;
use crate::hold::Held;

/// How long a driver is waited for that is to take note.
const PATIENCE: Duration = Duration::from_secs(5);

const TICK: Duration = Duration::from_millis(10);

/// What came of turning the dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turned {
    /// goal.json says so now, and the log.
    Done {
        /// The mode before.
        from: Mode,
    },
    /// It stood there already.
    Already,
    /// A driver that runs took note: it commits nothing any more, and writes it down with its next step.
    Noted,
}

/// Turns the operator's dial. While a driver runs it can only be turned down, to `propose`.
///
/// # Errors
/// [`DriverError::Running`] for `commit` while a driver runs, [`DriverError::NotEnded`] where one does not take note;
/// [`DriverError`] as from a run.
pub fn dial(
    goal: &Path,
    mode: Mode,
    because: &Because,
    clock: impl Clock + Clone + 'static,
) -> Result<Turned, DriverError> {
    because.said()?;
    let what = "the dial is turned up when it has ended";
    match take_log(goal, clock.clone(), what) {
        Ok((mut held, timeline)) => {
            let from = held.goal().mode;
            let turned = turn(&mut held, &timeline, mode, because)?;
            Ok(if turned {
                Turned::Done { from }
            } else {
                Turned::Already
            })
        }
        Err(DriverError::Running { .. }) if mode == Mode::Propose => ask(goal, because, clock),
        Err(error) => Err(error),
    }
}

/// Turns it while no driver runs; says whether it stood elsewhere.
fn turn(held: &mut Held, timeline: &Timeline, mode: Mode, because: &Because) -> Result<bool, DriverError> {
    let turn = Turn {
        mode,
        by: &because.by,
        reason: &because.reason,
        running: false,
    };
    let turned = held.turn_dial(timeline, &turn)?;
    held.checkpoint()?;
    Ok(turned.is_some())
}

/// Whether a driver wrote down that it was asked for this.
fn is_recorded(paths: &Paths, request: &Request) -> bool {
    let is_it = |event: &Event| matches!(event, Event::OverrideRequested(one) if one.id == request.id);
    matches!(last_event(&paths.log, "override_requested", is_it), Ok(Some(_)))
}

fn ask(goal: &Path, because: &Because, clock: impl Clock + Clone + 'static) -> Result<Turned, DriverError> {
    let paths = Paths::of(goal);
    let request = Request::new(OverrideKind::Dial, &because.by, &because.reason, clock.now());
    put(&paths, &request)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let standing = Folder::open(&paths.control).map(|folder| folder.standing(&request.id));
        match standing {
            Ok(Standing::Taken) => return Ok(Turned::Noted),
            Ok(Standing::Waiting) => {}
            _ if is_recorded(&paths, &request) => return Ok(Turned::Noted),
            // A worker has removed it, or the whole folder. Where that fails again, the time will be over.
            _ => drop(put(&paths, &request)),
        }
        thread::sleep(TICK);
    }
    // It may have ended meanwhile: then this carries the request out itself, if that is still there.
    match take_log(goal, clock, "") {
        Ok((mut held, timeline)) => {
            turn(&mut held, &timeline, Mode::Propose, because)?;
            Ok(Turned::Done { from: Mode::Commit })
        }
        Err(DriverError::Running { .. } | DriverError::Store(StoreError::Locked { .. })) => {
            Err(DriverError::NotEnded {
                what: format!("the driver did not take note of it within {} s", PATIENCE.as_secs()),
                help: "The request stays and is carried out when it looks; `machine-driver halt --reason TEXT` ends a \
                       driver that does not answer."
                    .into(),
            })
        }
        Err(error) => Err(error),
    }
}
