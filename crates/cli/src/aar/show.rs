//! `aar show`: a record for people.

use machine_driver::Exit;
use machine_driver::aar::Record;
use serde_json::{Map, Value, json};

use super::input::{file, not_a_record};
use crate::app::summary;
use crate::args::ShowArgs;
use crate::error::Failure;
use crate::escape;
use crate::me::{Me, quoted};
use crate::out::Out;
use crate::style::{self, paint};

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 1000;

/// Columns of the longest of a driver's own names.
const NAME_WIDTH: usize = 26;

/// Said in a sentence of their own.
const TOLD: [&str; 8] = [
    "aar",
    "subject",
    "principal",
    "task",
    "verdict",
    "ground_truth",
    "reason",
    "issued",
];

/// `aar show`
pub(crate) fn show(args: &ShowArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let bytes = file(&args.path)?;
    let record = Record::read(&bytes).map_err(|error| not_a_record(&args.path, &error))?;
    let whole: Value = serde_json::from_str(&record.to_json()).unwrap_or_default();
    out.json(&json!({"type": "record", "file": args.path.to_string_lossy(), "record": whole}));
    for line in lines(&record, &whole) {
        out.say(line);
    }
    out.json(&summary(
        Exit::Done,
        json!({"signed": record.is_signed(), "checked": false}),
    ));
    let path = quoted(&args.path.to_string_lossy());
    out.hint(&format!(
        "nothing was checked; `{}`",
        me.elsewhere(&format!("aar verify {path} --did-json did.json"))
    ));
    Ok(Exit::Done)
}

/// What the record says, a line each.
fn lines(record: &Record, whole: &Value) -> Vec<String> {
    let text = |path: &[&str]| {
        record
            .text(path)
            .map_or_else(|| "-".to_owned(), |text| escape::cut(text, VALUE_CHARS))
    };
    let line = |name: &str, value: String| {
        format!("{}  {value}", paint(style::FAINT, format!("{name:<NAME_WIDTH$}")))
    };
    let verdict = match record.text(&["verdict"]) {
        Some("verified") => style::GOOD,
        Some("rejected" | "not_verified") => style::BAD,
        _ => style::WARN,
    };
    let truth = format!(
        "{} (ground truth: {})",
        paint(verdict, text(&["verdict"])),
        text(&["ground_truth"])
    );
    let mut lines = vec![
        line(
            "task",
            format!("{}: {}", text(&["task", "id"]), text(&["task", "claim"])),
        ),
        line("verdict", truth),
        line("reason", text(&["reason"])),
        line("subject", text(&["subject"])),
        line("principal", text(&["principal"])),
        line("issued", text(&["issued"])),
    ];
    let rest = record
        .fields()
        .iter()
        .filter(|(key, _)| !TOLD.contains(&key.as_str()));
    rest.for_each(|(key, value)| members(key, value, &mut lines));
    match record.sig() {
        Some(sig) => members("sig", sig, &mut lines),
        None => lines.push(line("sig", paint(style::WARN, "none: it is not signed"))),
    }
    // Anyone can add these to a signed record.
    let notes = whole
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with('_'));
    notes.for_each(|(key, value)| members(&format!("{key} (not signed)"), value, &mut lines));
    lines
}

/// A member and what is in it, by its path.
fn members(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(inside) if !inside.is_empty() => of_object(path, inside, lines),
        Value::Array(inside) if !inside.is_empty() => {
            for (index, value) in inside.iter().enumerate() {
                members(&format!("{path}[{index}]"), value, lines);
            }
        }
        value => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = paint(
                style::FAINT,
                format!("{:<NAME_WIDTH$}", escape::cut(path, VALUE_CHARS)),
            );
            lines.push(format!("{name}  {}", escape::cut(&text, VALUE_CHARS)));
        }
    }
}

fn of_object(path: &str, inside: &Map<String, Value>, lines: &mut Vec<String>) {
    for (key, value) in inside {
        members(&format!("{path}.{key}"), value, lines);
    }
}
