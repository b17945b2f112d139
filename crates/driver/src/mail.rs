//! Alerts on their way: handed to the senders once they are on disk, and what became of them recorded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use machine_driver_alert::{Alerter, Event as Sent, Outbox};
use machine_driver_governor::alerts::FAREWELL;
use machine_driver_state::alert::{Alert, AlertId, AlertKind};
use machine_driver_state::event::{AlertDelivered, AlertRaised, Event};

use crate::driver::Driver;
use crate::error::DriverError;
use crate::notice::Notice;
use crate::stop::Stop;

/// The sink of a run that has no other: whoever watches it.
pub(crate) const PRINTED: &str = "printed";

/// Who sends, and what they say.
#[derive(Debug)]
pub(crate) struct Mail {
    /// None: alerts are for whoever watches the run.
    outbox: Option<Outbox>,
    sent: Receiver<Sent>,
    /// Failures that were told already.
    failing: BTreeSet<(AlertId, String)>,
}

impl Mail {
    /// Starts the senders. What they say wakes a driver that waits.
    pub(crate) fn start(alerters: Vec<Arc<dyn Alerter>>, stop: &Stop) -> std::io::Result<Self> {
        let (sender, sent) = mpsc::channel();
        let stop = stop.clone();
        let on_event = move |event| {
            // With the driver gone there is nobody to tell: the next one sends it again.
            drop(sender.send(event));
            stop.wake();
        };
        let outbox = if alerters.is_empty() {
            None
        } else {
            Some(Outbox::start(alerters, on_event)?)
        };
        Ok(Self {
            outbox,
            sent,
            failing: BTreeSet::new(),
        })
    }

    /// Through what alerts go out, by name.
    pub(crate) fn sinks(&self) -> Vec<String> {
        self.outbox
            .as_ref()
            .map_or_else(|| vec![PRINTED.into()], Outbox::names)
    }

    fn submit(&self, alert: Alert, sinks: &[String]) {
        if let Some(outbox) = &self.outbox {
            outbox.submit(alert, sinks);
        }
    }
}

impl Driver {
    /// Sends what an earlier driver raised and could not send.
    pub(crate) fn send_what_waits(&mut self) -> Result<(), DriverError> {
        let waiting: Vec<_> = self.held.state.outbox().waiting().cloned().collect();
        for waiting in waiting {
            self.send(waiting.alert, &waiting.sinks)?;
        }
        Ok(())
    }

    /// Sends an alert whose record is on disk.
    pub(crate) fn send_raised(&mut self, raised: &AlertRaised) -> Result<(), DriverError> {
        let waiting = self
            .held
            .state
            .outbox()
            .waiting()
            .find(|waiting| waiting.alert.id == raised.id);
        match waiting.cloned() {
            Some(waiting) => self.send(waiting.alert, &waiting.sinks),
            None => Ok(()),
        }
    }

    fn send(&mut self, alert: Alert, sinks: &[String]) -> Result<(), DriverError> {
        if self.mail.outbox.is_some() {
            self.mail.submit(alert, sinks);
            return Ok(());
        }
        self.tell(&Notice::Alert { alert: &alert });
        for sink in sinks {
            self.delivered(alert.id.clone(), sink.clone(), 1)?;
        }
        Ok(())
    }

    /// Takes up what the senders say.
    pub(crate) fn take_mail(&mut self) -> Result<(), DriverError> {
        while let Ok(event) = self.mail.sent.try_recv() {
            match event {
                Sent::Delivered { id, sink, tries } => self.delivered(id, sink, tries)?,
                Sent::Failing {
                    id,
                    sink,
                    error,
                    next_in,
                    ..
                } => self.failing(id, sink, &error, next_in),
                _ => {}
            }
        }
        Ok(())
    }

    /// Told once for each alert and sink: it is tried for as long as it takes.
    fn failing(&mut self, id: AlertId, sink: String, error: &str, next_in: Duration) {
        let first = self.mail.failing.insert((id, sink.clone()));
        if first {
            let sink = &sink;
            self.tell(&Notice::AlertFailing { sink, error, next_in });
        }
    }

    fn delivered(&mut self, id: AlertId, sink: String, tries: u32) -> Result<(), DriverError> {
        let waits = |waiting: &machine_driver_state::state::Waiting| {
            waiting.alert.id == id && waiting.sinks.contains(&sink)
        };
        if !self.held.state.outbox().waiting().any(waits) {
            return Ok(()); // Sent twice, which may be.
        }
        let now = self.timeline.now();
        self.record(now, Event::AlertDelivered(AlertDelivered { id, sink, tries }))
    }

    /// Gives what is on its way a little time before a run that was to go only so far ends.
    pub(crate) fn farewell(&mut self) -> Result<(), DriverError> {
        let until = Instant::now() + FAREWELL;
        loop {
            self.take_mail()?;
            let left = until.saturating_duration_since(Instant::now());
            if self.held.state.outbox().is_empty() || left.is_zero() || self.stop.asked().is_some() {
                return Ok(());
            }
            self.timeline.wait(left, &self.stop);
        }
    }

    /// The log itself was tampered with, so no record can say so: a person is told directly, as far as that is possible
    /// within seconds.
    pub(crate) fn cry_out(&mut self, what: &str) {
        let at = self.timeline.now();
        let seed = format!("{what} {at}");
        let digest = machine_driver_state::canonical::sha256(seed.as_bytes()).to_string();
        let Ok(id) = AlertId::new(digest.get(..32).unwrap_or_default()) else {
            return;
        };
        let alert = Alert {
            id: id.clone(),
            kind: AlertKind::Tampering,
            goal: self.goal().name.clone(),
            task: None,
            text: what.chars().take(600).collect(),
            at,
        };
        let sinks = self.mail.sinks();
        if self.mail.outbox.is_none() {
            self.tell(&Notice::Alert { alert: &alert });
            return;
        }
        self.mail.submit(alert, &sinks);
        let (until, mut left) = (Instant::now() + FAREWELL, sinks.len());
        while left > 0 && self.stop.asked().is_none() {
            let patience = until
                .saturating_duration_since(Instant::now())
                .min(Duration::from_millis(100));
            match self.mail.sent.recv_timeout(patience) {
                Ok(Sent::Delivered { id: sent, .. }) if sent == id => left -= 1,
                _ if Instant::now() >= until => return,
                _ => {}
            }
        }
    }
}
