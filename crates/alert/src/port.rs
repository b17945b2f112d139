//! The port: one way to reach a person.

use std::fmt::Debug;

use machine_driver_state::alert::Alert;

use crate::error::AlertError;

/// Sends alerts to people. At least once, with the same id: a receiver may get one twice.
///
/// `send` may take its time, since every sink has a thread of its own in the [`Outbox`](crate::Outbox), but it must
/// come back: what it waits for needs a limit. What an alert says comes from goals and workers, so a sink escapes it for
/// the place where it is shown. As JSON ([`Alert`] serializes) it is the object that [`Webhook`](crate::Webhook) shows;
/// `canonical_json` of `machine_driver_state::canonical` writes it in one line.
pub trait Alerter: Debug + Send + Sync {
    /// What the log calls this sink: `telegram`, `webhook`, `command`, `printed`, or a word of one's own. No two sinks
    /// of an outbox have the same.
    fn name(&self) -> &str;

    /// Sends one alert, or says what became of the attempt.
    ///
    /// # Errors
    /// [`AlertError`] says when another attempt makes sense. The outbox makes it.
    fn send(&self, alert: &Alert) -> Result<(), AlertError>;

    /// The program is about to end: what this sink has started, and what would go on without it, is to end now. Called from
    /// another thread than `send`, perhaps while it runs; comes back at once.
    fn stop(&self) {}
}
