//! One record on one line, for people.

use machine_driver_state::event::Event;
use machine_driver_state::record::Record;
use serde_json::Value;

use crate::escape;
use crate::style::{self, paint};
use crate::when;

/// Said by the line's own columns, or of use to programs alone.
const LEFT_OUT: [&str; 14] = [
    "seq",
    "ts",
    "prev_hash",
    "event",
    "deployment_id",
    "scope_id",
    "hash",
    "task",
    "session",
    "idempotency_key",
    "autonomy_used",
    "sig",
    "about",
    "dedup_key",
];

/// Characters of one field's value.
const VALUE_CHARS: usize = 100;

/// `2026-11-22 10:00:00Z  verify_failed       t1  attempt=2 reason="exit 1" …`
pub(super) fn text(record: &Record) -> String {
    let style = match &record.event {
        Event::RecordSigned(_, signed) if signed.unsigned.is_some() => style::BAD,
        Event::Proposed(..)
        | Event::Verified(..)
        | Event::Commit(..)
        | Event::CommitEmpty(..)
        | Event::RecordSigned(..)
        | Event::GoalComplete(_) => style::GOOD,
        Event::Quarantine(..)
        | Event::BudgetHalt(_)
        | Event::Tampering(_)
        | Event::CommitDenied(..)
        | Event::CommitFailed(..)
        | Event::AlertRaised(_) => style::BAD,
        Event::GateDenied(..)
        | Event::GateEscalated(..)
        | Event::VerifyFailed(..)
        | Event::VerifyUnavailable(..)
        | Event::Interrupted(..)
        | Event::Requeue(..) => style::WARN,
        _ => style::STRONG,
    };
    let name = paint(style, format!("{:<18}", record.event.name()));
    let time = paint(style::FAINT, when::moment(record.at));
    let scope = escape::line(record.event.scope());
    format!("{time}  {name}  {scope:<4}  {}", fields(record))
        .trim_end()
        .to_owned()
}

fn fields(record: &Record) -> String {
    let line = record.line().unwrap_or_default();
    let Ok(Value::Object(all)) = serde_json::from_str(&line) else {
        return String::new();
    };
    let shown = all.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
    shown
        .map(|(key, value)| field(key, value))
        .collect::<Vec<_>>()
        .join(" ")
}

fn field(key: &str, value: &Value) -> String {
    let text = match value {
        Value::String(text) if is_hash(text) => format!("{}…", text.get(..12).unwrap_or_default()),
        Value::String(text) if text.contains([' ', '"', '\n']) => {
            format!("\"{}\"", escape::cut(text, VALUE_CHARS))
        }
        Value::String(text) => escape::cut(text, VALUE_CHARS),
        Value::Object(inner) => {
            let inner: Vec<String> = inner.iter().map(|(key, value)| field(key, value)).collect();
            return inner
                .iter()
                .map(|text| format!("{key}.{text}"))
                .collect::<Vec<_>>()
                .join(" ");
        }
        other => escape::cut(&other.to_string(), VALUE_CHARS),
    };
    format!("{key}={text}")
}

/// A digest, an object of git, or the id of an alert.
fn is_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
