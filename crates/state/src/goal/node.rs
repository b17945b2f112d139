//! Typed reading of a parsed document that collects what is wrong instead of stopping at it.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::error::shown;
use super::keys::{self, Level, Role};
use super::report::{Finding, Report, later, nearest, unknown_key};
use super::text::Step;
use crate::canonical::digest_of;
use crate::id::Digest;
use crate::time::Timestamp;

/// The largest whole number that every JSON reader keeps exactly (RFC 8259 §6), and so RFC 8785 too.
pub(super) const WHOLE_MAX: u64 = (1 << 53) - 1;

/// Ten years in seconds: longer limits are slips, and sums of two must not overflow.
pub(super) const SECONDS_MAX: u64 = 315_360_000;

/// The way from the document to a value, kept on the stack: only a problem pays for it.
#[derive(Debug, Clone, Copy)]
enum Way<'w> {
    Root,
    Key(&'w Way<'w>, &'w str),
    Index(&'w Way<'w>, usize),
}

impl Way<'_> {
    fn steps(&self) -> Vec<Step> {
        let (parent, step) = match *self {
            Way::Root => return Vec::new(),
            Way::Key(parent, key) => (parent, Step::Key(key.to_owned())),
            Way::Index(parent, index) => (parent, Step::Index(index)),
        };
        let mut steps = parent.steps();
        steps.push(step);
        steps
    }
}

/// A value of the document, and the way to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'v, 'w> {
    value: &'v Value,
    way: Way<'w>,
}

impl<'v, 'w> Node<'v, 'w> {
    pub(super) fn root(value: &'v Value) -> Self {
        Self {
            value,
            way: Way::Root,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// SHA-256 over its RFC 8785 form.
    pub(super) fn digest(&self) -> Option<Digest> {
        digest_of(self.value).ok()
    }

    /// The text that it is, where it is one; whoever needs one reports that it is not.
    pub(super) fn as_text(&self) -> Option<&'v str> {
        self.value.as_str()
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_string()
    }

    /// Reports a problem with this value.
    pub(super) fn wrong(&self, report: &mut Report, message: impl Into<String>, help: Option<String>) {
        report.add(|| Finding {
            steps: self.way.steps(),
            on_key: false,
            message: message.into(),
            help,
        });
    }

    fn mistaken(&self, report: &mut Report, expected: &str) {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.wrong(report, format!("expected {expected}, found {found}"), None);
    }

    /// Any text.
    pub(super) fn raw_text(&self, report: &mut Report) -> Option<&'v str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.mistaken(report, "a text");
        }
        text
    }

    /// A text without NUL, which neither a command nor a path nor the environment can carry.
    pub(super) fn text(&self, report: &mut Report) -> Option<&'v str> {
        let text = self.raw_text(report)?;
        if text.contains('\0') {
            self.wrong(report, "it holds a NUL character", None);
            return None;
        }
        Some(text)
    }

    /// A text with something in it beside white space.
    pub(super) fn words(&self, report: &mut Report) -> Option<&'v str> {
        let text = self.text(report)?;
        if text.trim().is_empty() {
            self.wrong(report, "it is empty", None);
            return None;
        }
        Some(text)
    }

    /// A text of one line with something in it, of at most `max` bytes.
    pub(super) fn name(&self, max: usize, report: &mut Report) -> Option<&'v str> {
        let text = self.words(report)?;
        if text.chars().any(char::is_control) {
            self.wrong(report, "it holds a control character", None);
            return None;
        }
        if text.len() > max {
            self.wrong(
                report,
                format!("it has {} bytes; at most {max} are allowed", text.len()),
                None,
            );
            return None;
        }
        Some(text)
    }

    /// One of a few words.
    pub(super) fn word(&self, words: &[&'static str], report: &mut Report) -> Option<&'static str> {
        let text = self.text(report)?;
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
            let help = nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            let message = format!("expected one of {}, found `{}`", all.join(", "), shown(text));
            self.wrong(report, message, help);
        }
        found.copied()
    }

    pub(super) fn flag(&self, report: &mut Report) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.mistaken(report, "true or false");
        }
        flag
    }

    pub(super) fn number(&self, report: &mut Report) -> Option<f64> {
        let number = self.value.as_f64();
        if number.is_none() {
            self.mistaken(report, "a number");
        }
        number
    }

    /// A whole number in a range; `3.0` is one too, as in JSON Schema.
    pub(super) fn whole(&self, range: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
        let number = self.number(report)?;
        // A whole double from 0 to 2^53 is cut nowhere.
        let whole = (number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number))
            .then_some(number as u64);
        let found = whole.filter(|whole| range.contains(whole));
        if found.is_none() {
            let (least, most) = range.into_inner();
            let range = if most == WHOLE_MAX {
                format!("of at least {least}")
            } else {
                format!("from {least} to {most}")
            };
            self.wrong(
                report,
                format!("expected a whole number {range}, found {}", self.value),
                None,
            );
        }
        found
    }

    /// Seconds, kept in milliseconds: at least `least` of them.
    pub(super) fn seconds(&self, least: Duration, report: &mut Report) -> Option<Duration> {
        let seconds = self.number(report)?;
        if seconds > SECONDS_MAX as f64 {
            self.wrong(
                report,
                format!("{} seconds are more than ten years", self.value),
                None,
            );
            return None;
        }
        let found = millis(seconds)
            .map(Duration::from_millis)
            .filter(|duration| *duration >= least);
        if found.is_none() {
            let range = if least.is_zero() {
                "0 or more".to_owned()
            } else {
                format!("at least {}", least.as_secs_f64())
            };
            self.wrong(
                report,
                format!("expected a number of seconds, {range}, found {}", self.value),
                None,
            );
        }
        found
    }

    /// A moment as RFC 3339 has it, in any offset.
    pub(super) fn moment(&self, report: &mut Report) -> Option<Timestamp> {
        let text = self.text(report)?;
        let parsed = is_rfc3339(text)
            .then(|| text.parse::<jiff::Timestamp>().ok())
            .flatten();
        if parsed.is_none() {
            let help = Some("write one like `2026-11-22T10:00:00Z`".to_owned());
            self.wrong(report, format!("`{}` is not an RFC 3339 time", shown(text)), help);
        }
        parsed.map(|moment| Timestamp::from_millis(moment.as_millisecond()))
    }

    /// The items of a list.
    pub(super) fn items<'x>(
        &'x self,
        report: &mut Report,
    ) -> Option<impl ExactSizeIterator<Item = Node<'v, 'x>> + use<'v, 'x>> {
        let Some(items) = self.value.as_array() else {
            self.mistaken(report, "a list");
            return None;
        };
        let way: &'x Way<'x> = &self.way;
        Some(items.iter().enumerate().map(move |(index, value)| Node {
            value,
            way: Way::Index(way, index),
        }))
    }

    /// The value of a key, where this is an object that has it.
    pub(super) fn member<'x>(&'x self, name: &'x str) -> Option<Node<'v, 'x>> {
        self.value.get(name).map(|value| Node {
            value,
            way: Way::Key(&self.way, name),
        })
    }

    /// The members of an object of this kind; keys that it may not have are reported.
    pub(super) fn fields(self, level: &'static Level, report: &mut Report) -> Option<Fields<'v, 'w>> {
        let Some(map) = self.value.as_object() else {
            self.mistaken(report, "an object");
            return None;
        };
        let fields = Fields { node: self };
        map.keys().for_each(|name| fields.check_key(name, level, report));
        Some(fields)
    }
}

/// The members of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'v, 'w> {
    pub(super) node: Node<'v, 'w>,
}

impl<'v> Fields<'v, '_> {
    /// The value of a key that may be absent, with `null` as a value.
    pub(super) fn present<'x>(&'x self, name: &'x str) -> Option<Node<'v, 'x>> {
        self.node.member(name)
    }

    /// The value of a key that may be absent or `null`, both meaning none.
    pub(super) fn optional<'x>(&'x self, name: &'x str) -> Option<Node<'v, 'x>> {
        self.present(name).filter(|node| !node.value.is_null())
    }

    /// The value of a key that must be there.
    pub(super) fn required<'x>(&'x self, name: &'x str, report: &mut Report) -> Option<Node<'v, 'x>> {
        let found = self.present(name);
        if found.is_none() {
            self.node
                .wrong(report, format!("the key `{name}` is missing"), None);
        }
        found
    }

    fn check_key(&self, name: &str, level: &'static Level, report: &mut Report) {
        let role = level.key(name).map(|key| key.role);
        if matches!(role, Some(Role::Setting | Role::Progress)) || keys::is_note(name) {
            return;
        }
        report.add(|| {
            let (message, help) = match role {
                Some(Role::Later(feature)) => later(feature),
                _ => (
                    format!("`{}` is no key of {}", shown(name), level.name),
                    Some(unknown_key(name, level)),
                ),
            };
            Finding {
                steps: Way::Key(&self.node.way, name).steps(),
                on_key: true,
                message,
                help,
            }
        });
    }
}

/// Seconds in whole milliseconds, rounded; `None` below nothing.
pub(super) fn millis(seconds: f64) -> Option<u64> {
    // `as` saturates, which is what is wanted.
    (seconds >= 0.0).then(|| (seconds * 1000.0).round() as u64)
}

/// The shape of RFC 3339 §5.6 `date-time`, which is narrower than what jiff reads.
fn is_rfc3339(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else {
                c.to_ascii_uppercase()
            }
        })
        .collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else {
        return false;
    };
    let offset = match rest.strip_prefix(".0") {
        Some(fraction) => fraction.trim_start_matches('0'),
        None => rest,
    };
    matches!(offset, "Z" | "+00:00" | "-00:00")
}
