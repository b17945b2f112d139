//! An operator's word, in words.

use machine_driver_state::event::{Event, OverrideKind};

use super::{Line, kept, plain, said};
use crate::style;
use crate::when;

/// What an event about halts, the dial and approvals says.
pub(super) fn line(event: &Event) -> Option<Line> {
    match event {
        Event::OverrideRequested(asked) if asked.kind == OverrideKind::Halt => {
            let text = format!("HALT by {}: {}", said(&asked.by), said(&asked.reason));
            Some(kept(style::BAD, text))
        }
        Event::OverrideEffective(done) if done.kind == OverrideKind::Halt => {
            let how = if done.ended {
                "the driver did not answer and was killed"
            } else {
                "everything stopped"
            };
            Some(kept(
                style::BAD,
                format!("HALTED: {how}, after {}", when::millis(done.delay_ms)),
            ))
        }
        Event::OverrideLifted(lifted) => {
            let text = format!(
                "the halt was lifted by {}: {}",
                said(&lifted.by),
                said(&lifted.reason)
            );
            Some(kept(style::STRONG, text))
        }
        Event::DialChanged(changed) => {
            let why = if changed.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", said(&changed.reason))
            };
            let text = format!("mode={}, turned by {}{why}", said(&changed.to), said(&changed.by));
            Some(kept(style::STRONG, text))
        }
        Event::Approved(approved) => {
            let (task, by) = (&approved.task, said(&approved.by));
            let until = when::moment(approved.until);
            Some(plain(format!(
                "{task}  one commit approved by {by} until {until}"
            )))
        }
        _ => None,
    }
}
