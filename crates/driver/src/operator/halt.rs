//! Halt and resume.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use machine_driver_state::event::{Event, OverrideEffective, OverrideKind, OverrideLifted};
use machine_driver_state::state::Halt;
use machine_driver_state::store::{Access, FileStore, Paths, StoreError, last_event};

use super::{Because, take_log, wedged};
use crate::clock::{Clock, Timeline};
use crate::control::{Folder, Request, Standing};
use crate::error::DriverError;
use crate::hold::Held;
use crate::processes::end_leftovers;
use crate::read::read_goal;

/// How long a driver has to do what a halt asks for, before it is ended: 3 s with the try of the lock that is under way then.
const PATIENCE: Duration = Duration::from_millis(2_800);

/// How long what is left of an ended driver has to go: all in all it takes less than 5 s.
const ENDING: Duration = Duration::from_millis(1_500);

/// How often the lock is tried.
const TICK: Duration = Duration::from_millis(10);

/// A halt that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halted {
    /// From asking until no worker ran any more and no commit could be made.
    pub delay: Duration,
    /// Process id of the driver that was told, where one ran; 0 where that is not known.
    pub driver: Option<u32>,
    /// It did not answer and was killed.
    pub ended: bool,
    /// Processes of an earlier driver that was killed, which still ran and were ended.
    pub left_over: u32,
    /// The halt that stood already.
    pub before: Option<Halt>,
    /// Why it could not be recorded yet. The driver that ran does not any more; the next one finds the request, records it and does not start.
    pub not_recorded: Option<String>,
}

/// A halt that was lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    /// The halt.
    pub halt: Halt,
}

/// Stops everything about a goal, and lets nothing start before [`resume`]: a driver that runs ends its worker, its verify or
/// its wait and makes no more commits; one that does not answer within 3 s is killed, if it is certain that it is that driver.
///
/// # Errors
/// [`DriverError::Task`] where it is not said who asks or why; [`DriverError::NotEnded`] where something holds the goal and
/// cannot be ended for certain: the request stays where a driver finds it. [`DriverError`] where there is no such goal, or the disk fails.
pub fn halt(goal: &Path, because: &Because, clock: impl Clock + 'static) -> Result<Halted, DriverError> {
    because.said()?;
    let begun = Instant::now();
    // A worker may have put a link in the place of goal.json, and taken the log away.
    let named = Paths::as_named(goal);
    let is_elsewhere = wedged::elsewhere(&named).is_some();
    let paths = if is_elsewhere { named } else { Paths::of(goal) };
    let request = Request::new(OverrideKind::Halt, &because.by, &because.reason, clock.now());
    if let Err(error) = read_goal(goal)
        && !paths.log.exists()
        && !is_elsewhere
        && wedged::elsewhere(&paths).is_none()
    {
        return Err(error); // No goal, and nothing that says that one was here.
    }
    let asked = put(&paths, &request);
    Halting {
        goal,
        paths,
        request,
        begun,
        driver: None,
        ended: false,
    }
    .carry_through(asked, Timeline::new(Arc::new(clock)))
}

/// Lifts the halt that stands: a driver may start again.
///
/// # Errors
/// [`DriverError::Running`] while a driver runs, [`DriverError::Task`] where no halt stands; [`DriverError`] as from a run.
pub fn resume(goal: &Path, because: &Because, clock: impl Clock + 'static) -> Result<Lifted, DriverError> {
    because.said()?;
    let what = "it is resumed when it has ended";
    let (mut held, timeline) = take_log(goal, clock, what)?;
    let Some(halt) = held.state.halt().cloned() else {
        return Err(DriverError::Task {
            what: "no halt stands, so there is nothing to resume".into(),
            help: "Start a driver with `machine-driver run`.".into(),
        });
    };
    let Because { by, reason } = because.clone();
    held.append(
        timeline.now(),
        Event::OverrideLifted(OverrideLifted { by, reason }),
    )?;
    held.checkpoint()?;
    Ok(Lifted { halt })
}

/// Leaves a request where a driver finds it.
pub(super) fn put(paths: &Paths, request: &Request) -> Result<(), DriverError> {
    let put = Folder::make(paths).and_then(|(folder, _)| folder.put(request, paths));
    put.map_err(|source| DriverError::Io {
        operation: "leave a request in",
        path: paths.control.clone(),
        source,
    })
}

/// A halt that is being carried through.
struct Halting<'a> {
    goal: &'a Path,
    paths: Paths,
    request: Request,
    begun: Instant,
    driver: Option<u32>,
    ended: bool,
}

impl Halting<'_> {
    fn carry_through(
        mut self,
        asked: Result<(), DriverError>,
        mut timeline: Timeline,
    ) -> Result<Halted, DriverError> {
        // A driver that cannot be asked is not waited for.
        let patience = asked.as_ref().map_or(Duration::ZERO, |()| PATIENCE);
        if !self.wait_for_lock(patience)? {
            if let Some(one) = self.effective() {
                return Ok(self.outcome(Duration::from_millis(one.delay_ms), 0, None)); // It is only slow to put things away.
            }
            self.end_driver(asked.err())?;
        }
        let stopped = self.begun.elapsed();
        match Held::take_log(self.goal) {
            Ok(mut held) => {
                timeline.go_on_from(held.state.last_at());
                self.record(&mut held, &timeline, stopped)
            }
            // Without a driver there is nothing that was stopped. The request stays all the same.
            Err(error) if self.driver.is_some() && is_asked(&self.paths, &self.request) => {
                let why = crate::outcome::chain(&error);
                Ok(Halted {
                    not_recorded: Some(why),
                    ..self.outcome(stopped, 0, None)
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nobody holds the goal any more.
    fn wait_for_lock(&mut self, patience: Duration) -> Result<bool, DriverError> {
        let until = self.begun + patience;
        loop {
            match self.is_free()? {
                true => return Ok(true),
                false if Instant::now() >= until => return Ok(false),
                false => self.ask_again(),
            }
            thread::sleep(TICK);
        }
    }

    /// One try takes up to 300 ms by itself.
    fn is_free(&mut self) -> Result<bool, DriverError> {
        let opened = self
            .paths
            .log
            .exists()
            .then(|| FileStore::open(&self.paths, Access::Write));
        let held = match opened {
            // A worker may have removed the log, or put another in its place: its driver holds it all the same.
            None | Some(Ok(_)) => wedged::elsewhere(&self.paths),
            Some(Err(StoreError::Locked { holder, .. })) => Some(holder.unwrap_or(0)),
            Some(Err(error)) => return Err(error.into()),
        };
        self.driver = self.driver.or(held);
        Ok(held.is_none())
    }

    /// A worker may have removed the request, or the whole folder.
    fn ask_again(&self) {
        let standing = Folder::open(&self.paths.control).map(|folder| folder.standing(&self.request.id));
        if !matches!(standing, Ok(Standing::Waiting | Standing::Taken)) && self.effective().is_none() {
            // Where that fails again, the driver is ended when the time is over.
            drop(put(&self.paths, &self.request));
        }
    }

    /// What the log has of this request, if it was carried out.
    fn effective(&self) -> Option<OverrideEffective> {
        let is_it =
            |event: &Event| matches!(event, Event::OverrideEffective(one) if one.id == self.request.id);
        match last_event(&self.paths.log, "override_effective", is_it) {
            Ok(Some(Event::OverrideEffective(one))) => Some(one),
            _ => None,
        }
    }

    fn end_driver(&mut self, why: Option<DriverError>) -> Result<(), DriverError> {
        let ended = wedged::end(&self.paths);
        if let Ok(pid) = ended {
            (self.driver, self.ended) = (Some(pid), true);
        }
        // Its guardian holds the goal until all is ended; so does one whose driver is gone.
        let until = Instant::now() + ENDING;
        while !self.is_free()? {
            if Instant::now() >= until {
                return Err(not_ended(&self.paths, ended, why));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn record(
        mut self,
        held: &mut Held,
        timeline: &Timeline,
        stopped: Duration,
    ) -> Result<Halted, DriverError> {
        let before = held
            .state
            .halt()
            .filter(|halt| halt.id != self.request.id)
            .cloned();
        let left_over = end_what_was_left(held)?;
        let by_driver = self.effective();
        if by_driver.as_ref().is_some_and(|one| one.running) && self.driver.is_none() {
            // It was quicker than the first look at the lock.
            self.driver = Some(last_driver(&self.paths).unwrap_or(0));
        }
        if by_driver.is_none() {
            let delay = if left_over > 0 {
                self.begun.elapsed()
            } else {
                stopped
            };
            held.halt(&self.request, delay, self.ended, timeline)?;
        }
        if let Ok(folder) = Folder::open(&self.paths.control) {
            folder.remove(&self.request.id);
        }
        let by_driver = by_driver.map(|one| Duration::from_millis(one.delay_ms));
        Ok(self.outcome(by_driver.unwrap_or(stopped), left_over, before))
    }

    fn outcome(&self, delay: Duration, left_over: u32, before: Option<Halt>) -> Halted {
        Halted {
            delay,
            driver: self.driver,
            ended: self.ended,
            left_over,
            before,
            not_recorded: None,
        }
    }
}

/// A driver and its guardian that were both killed may have left a worker running.
fn end_what_was_left(held: &Held) -> Result<u32, DriverError> {
    let current = held.state.current().filter(|current| !current.cut_off);
    current.map_or(Ok(0), |current| {
        end_leftovers(current.session.as_str(), current.mark.clone())
    })
}

fn last_driver(paths: &Paths) -> Option<u32> {
    match last_event(&paths.log, "driver_up", |_| true) {
        Ok(Some(Event::DriverUp(up))) => Some(up.pid),
        _ => None,
    }
}

/// Whether the next driver finds the request.
fn is_asked(paths: &Paths, request: &Request) -> bool {
    let standing = Folder::open(&paths.control).map(|folder| folder.standing(&request.id));
    matches!(standing, Ok(Standing::Waiting | Standing::Taken))
}

fn not_ended(paths: &Paths, ended: Result<u32, wedged::NotIt>, asked: Option<DriverError>) -> DriverError {
    let asked = asked.map(|error| format!("; it could not be asked either: {error}"));
    let (what, help) = match ended {
        Ok(pid) => (
            format!("the driver with process id {pid} was killed, but what it had started still runs"),
            "What runs can be seen with `ps`; the goal is free when all of it has ended.".to_owned(),
        ),
        Err(why) => (
            format!(
                "{} is held by somebody who does not answer: {}",
                paths.log.display(),
                why.what
            ),
            why.help(paths),
        ),
    };
    DriverError::NotEnded {
        what: what + &asked.unwrap_or_default(),
        help,
    }
}
