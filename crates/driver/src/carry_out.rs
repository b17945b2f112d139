//! Requests of an operator carried out: recorded, the goal rewritten where the dial is turned, and only then removed.

use std::time::Duration;

use machine_driver_governor::dial;
use machine_driver_state::event::{
    DialChanged, Event, OverrideEffective, OverrideKind, OverrideRequested, RequestId,
};
use machine_driver_state::goal::Mode;
use machine_driver_state::goal::file::{GoalFile, Governance};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Current, Run};
use machine_driver_state::store::Paths;

use crate::clock::Timeline;
use crate::control::{Folder, Found, Noted, Request, pending};
use crate::driver::Driver;
use crate::error::DriverError;
use crate::hold::Held;

/// Who turned the dial, and why.
pub(crate) struct Turn<'a> {
    pub(crate) mode: Mode,
    pub(crate) by: &'a str,
    pub(crate) reason: &'a str,
    /// Whether a driver that runs does it.
    pub(crate) running: bool,
}

impl Held {
    /// Carries out what lies in `control/` while no driver runs. Returns the ids.
    pub(crate) fn carry_out_pending(&mut self, timeline: &Timeline) -> Result<Vec<RequestId>, DriverError> {
        let requests = pending(&self.store.paths().control);
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        self.opening(timeline.now())?;
        let paths = self.store.paths().clone();
        let mut done = Vec::new();
        for request in requests {
            self.carry_out(&request, timeline)?;
            remove(&paths, &request.id);
            done.push(request.id);
        }
        Ok(done)
    }

    /// Carries one out while no driver runs.
    fn carry_out(&mut self, request: &Request, timeline: &Timeline) -> Result<(), DriverError> {
        if self.state.is_asked(&request.id) {
            return Ok(()); // A command was killed between its record and the file.
        }
        self.append(timeline.now(), requested(request, false))?;
        if request.kind == OverrideKind::Dial {
            let turn = Turn {
                mode: Mode::Propose,
                by: &request.by,
                reason: &request.reason,
                running: false,
            };
            self.turn_dial(timeline, &turn)?;
        }
        let delay = timeline.now().since(request.asked_at);
        self.append(timeline.now(), effective(request, delay, false, false))?;
        self.checkpoint()
    }

    /// Records a halt that the command carries out itself.
    pub(crate) fn halt(
        &mut self,
        request: &Request,
        delay: Duration,
        ended: bool,
        timeline: &Timeline,
    ) -> Result<(), DriverError> {
        self.opening(timeline.now())?;
        if !self.state.is_asked(&request.id) {
            self.append(timeline.now(), requested(request, false))?;
        }
        self.append(timeline.now(), effective(request, delay, ended, false))?;
        self.checkpoint()
    }

    /// Turns the dial: recorded first, the new goal in force when this returns. None where it stands there already. goal.json
    /// is for the caller to write.
    pub(crate) fn turn_dial(
        &mut self,
        timeline: &Timeline,
        turn: &Turn<'_>,
    ) -> Result<Option<Record>, DriverError> {
        let from = self.goal().mode;
        if from == turn.mode {
            return Ok(None);
        }
        let turned = with_mode(&self.file, turn.mode)?;
        self.store.save_snapshot(&turned.snapshot())?;
        let changed = Event::DialChanged(DialChanged {
            before: self.goal().digest,
            after: turned.goal().digest,
            from: dial::word(from).into(),
            to: dial::word(turn.mode).into(),
            by: turn.by.into(),
            reason: turn.reason.into(),
            running: turn.running,
        });
        let record = self.append(timeline.now(), changed)?;
        self.file = turned;
        self.state.adopt(self.file.goal());
        Ok(Some(record))
    }

    /// That a halt stands, as an error.
    pub(crate) fn halted(&self) -> Option<DriverError> {
        let halt = self.state.halt()?;
        Some(DriverError::halted(&self.store.paths().goal, halt))
    }
}

fn with_mode(file: &GoalFile, mode: Mode) -> Result<GoalFile, DriverError> {
    let settings = Governance {
        mode: Some(mode),
        ..Governance::default()
    };
    Ok(file.with_governance(&settings)?)
}

impl Driver {
    /// Looks at `control/`, and carries out what lies there. An attempt that a halt cuts off is for the caller to end.
    pub(crate) fn carry_out(&mut self) -> Result<(), DriverError> {
        let found = self.desk.take();
        self.carry_out_found(found)
    }

    /// The same between two steps, where a look that finds nothing is to cost next to nothing.
    pub(crate) fn carry_out_news(&mut self) -> Result<(), DriverError> {
        let found = self.desk.glance();
        self.carry_out_found(found)
    }

    fn carry_out_found(&mut self, found: Found) -> Result<(), DriverError> {
        let is_up = self.held.state.run() == Run::Up;
        // A run that stopped for its budget commits nothing any more.
        for tampering in found.refused.into_iter().filter(|_| is_up) {
            self.tampered(tampering.what, tampering.kept_as)?;
        }
        for noted in found.requests {
            let id = noted.request.id.clone();
            match noted.request.kind {
                _ if self.held.state.is_asked(&id) => {}
                OverrideKind::Dial if is_up => self.turned_down(&noted)?,
                OverrideKind::Dial => continue, // The next start carries it out.
                _ => self.halted(&noted)?,
            }
            self.desk.settled(&id);
        }
        Ok(())
    }

    fn halted(&mut self, noted: &Noted) -> Result<(), DriverError> {
        self.end_what_was_left()?;
        self.append(requested(&noted.request, true))?;
        self.append(effective(&noted.request, noted.until_now(), false, true))
    }

    /// It is effective from when it was noted on: no commit is made without a look here.
    fn turned_down(&mut self, noted: &Noted) -> Result<(), DriverError> {
        let request = &noted.request;
        self.append(requested(request, true))?;
        let turn = Turn {
            mode: Mode::Propose,
            by: &request.by,
            reason: &request.reason,
            running: true,
        };
        // goal.json as it is, before it is another: what is not the driver's own is kept aside.
        self.look_at_goal()?;
        if let Some(record) = self.held.turn_dial(&self.timeline, &turn)? {
            self.tell_of(&record);
        }
        self.append(effective(request, noted.until_noted(), false, true))?;
        self.show()
    }

    /// What an earlier driver left running is ended by a halt too, before it is effective.
    fn end_what_was_left(&mut self) -> Result<(), DriverError> {
        let current = self.held.state.current().filter(|current| current.left_behind());
        let stage = current.map(Current::stage);
        let attempt = self.held.state.attempt_under_way(self.goal());
        match (attempt, stage) {
            (Some(attempt), Some(stage)) if self.held.state.halt().is_none() => self.clear_up(attempt, stage),
            _ => Ok(()),
        }
    }

    /// Appends a record without writing goal.json, which the caller does when it is time.
    fn append(&mut self, event: Event) -> Result<(), DriverError> {
        let now = self.timeline.now();
        let record = self.held.append(now, event)?;
        self.tell_of(&record);
        Ok(())
    }
}

fn remove(paths: &Paths, id: &RequestId) {
    if let Ok(folder) = Folder::open(&paths.control) {
        folder.remove(id);
    }
}

fn requested(request: &Request, running: bool) -> Event {
    Event::OverrideRequested(OverrideRequested {
        id: request.id.clone(),
        kind: request.kind,
        by: request.by.clone(),
        reason: request.reason.clone(),
        asked_at: request.asked_at,
        running,
    })
}

fn effective(request: &Request, delay: Duration, ended: bool, running: bool) -> Event {
    Event::OverrideEffective(OverrideEffective {
        id: request.id.clone(),
        kind: request.kind,
        delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        ended,
        running,
    })
}
