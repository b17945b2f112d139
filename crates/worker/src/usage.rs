//! `MACHINE_USAGE_FILE`: what a worker says that it used.
//!
//! `{"input_tokens": 1200, "output_tokens": 300, "usd": 0.25, "retry_after_seconds": 60}`, each optional. The worker is not
//! trusted: whatever else stands there is reported, and counts as unknown, never as nothing.

use std::path::Path;
use std::time::Duration;

use machine_driver_state::strict;
use machine_driver_state::usage::Usage;
use serde_json::{Map, Value};

use crate::evidence;

/// Bytes that a usage file may have.
const BYTES_MAX: u64 = 64 << 10;

/// The longest wait that a worker can ask for: a year.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const KEYS: [&str; 4] = ["input_tokens", "output_tokens", "usd", "retry_after_seconds"];

/// What a usage file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) usage: Option<Usage>,
    pub(crate) retry_after: Option<Duration>,
    /// Why it could not be read.
    pub(crate) note: Option<String>,
}

/// Reads a usage file; without one, nothing was said.
pub(crate) fn read(path: &Path) -> Said {
    let said = match evidence::read(path, BYTES_MAX) {
        Ok(None) => return Said::default(),
        Ok(Some(bytes)) => parse(&bytes),
        Err(error) => Err(error.to_string()),
    };
    said.unwrap_or_else(|why| Said {
        note: Some(format!("its usage file could not be read: {why}")),
        ..Said::default()
    })
}

/// What a worker had reported whose end nobody saw: `evidence` is its task's folder. What it did not is unknown.
#[must_use]
pub fn left_behind(evidence: &Path, attempt: u32) -> Usage {
    read(&evidence.join(format!("attempt-{attempt}.usage.json")))
        .usage
        .unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Result<Said, String> {
    let fields = strict::object(bytes).map_err(|error| error.to_string())?;
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let shown: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(format!("unknown key `{shown}`; known are {}", KEYS.join(", ")));
    }
    let tokens = match (
        tokens(&fields, "input_tokens")?,
        tokens(&fields, "output_tokens")?,
    ) {
        (None, None) => None,
        (input, output) => {
            let sum = input.unwrap_or(0).checked_add(output.unwrap_or(0));
            Some(sum.ok_or("more tokens than can be counted")?)
        }
    };
    let usd_micros = present(&fields, "usd").map(micros).transpose()?;
    let usage = Usage { tokens, usd_micros };
    Ok(Said {
        usage: (usage != Usage::default()).then_some(usage),
        retry_after: present(&fields, "retry_after_seconds").map(wait).transpose()?,
        note: None,
    })
}

/// The value of a key; `null` says nothing.
fn present<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

fn tokens(fields: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    let number = |value: &Value| {
        value
            .as_u64()
            .ok_or_else(|| format!("`{key}` is not a whole number from 0"))
    };
    present(fields, key).map(number).transpose()
}

fn wait(value: &Value) -> Result<Duration, String> {
    const WHAT: &str = "`retry_after_seconds` is not a number from 0 to a year";
    let wait = value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    wait.filter(|wait| *wait <= RETRY_AFTER_MAX)
        .ok_or_else(|| WHAT.to_owned())
}

/// Dollars in millionths, rounded up: from the digits, since `0.1 * 1e6` is not exact.
fn micros(value: &Value) -> Result<u64, String> {
    const WHAT: &str = "`usd` is not an amount from 0";
    let Value::Number(number) = value else {
        return Err(WHAT.to_owned());
    };
    micros_of(&number.to_string()).ok_or_else(|| WHAT.to_owned())
}

fn micros_of(text: &str) -> Option<u64> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut amount = format!("{whole}{fraction}").parse::<u128>().ok()?; // `-` does not parse
    let scale = exponent
        .checked_add(6)?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    if amount == 0 {
        return Some(0);
    }
    let power = 10_u128.checked_pow(scale.unsigned_abs());
    if scale >= 0 {
        amount = amount.checked_mul(power?)?;
    } else {
        amount = power.map_or(1, |power| amount.div_ceil(power));
    }
    u64::try_from(amount).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(tokens: Option<u64>, usd_micros: Option<u64>) -> Option<Usage> {
        Some(Usage { tokens, usd_micros })
    }

    #[test]
    fn what_is_said_is_taken_and_what_is_not_is_unknown() {
        for (text, expected, retry) in [
            ("{}", None, None),
            (
                r#"{"input_tokens": 1, "output_tokens": 2, "usd": 0.25}"#,
                usage(Some(3), Some(250_000)),
                None,
            ),
            (r#"{"output_tokens": 2}"#, usage(Some(2), None), None),
            (r#"{"input_tokens": 0}"#, usage(Some(0), None), None),
            (r#"{"usd": 0}"#, usage(None, Some(0)), None),
            (r#"{"usd": null, "input_tokens": null}"#, None, None),
            (
                r#"{"retry_after_seconds": 1.5}"#,
                None,
                Some(Duration::from_millis(1500)),
            ),
        ] {
            let said = parse(text.as_bytes()).unwrap();
            assert_eq!(
                (said.usage, said.retry_after, said.note),
                (expected, retry, None),
                "{text}"
            );
        }
    }

    #[test]
    fn money_is_exact_and_rounded_up() {
        for (text, micros) in [
            ("0.1", 100_000),
            ("0.3", 300_000),
            ("1.005", 1_005_000),
            ("0.0000001", 1),
            ("1e-30", 1),
            ("1e-300", 1),
            ("0.0", 0),
            ("0e-5", 0),
            ("12", 12_000_000),
            ("1e3", 1_000_000_000),
            ("2.5E1", 25_000_000),
            ("0.12345678", 123_457),
            ("4.35", 4_350_000),
        ] {
            let said = parse(format!("{{\"usd\": {text}}}").as_bytes());
            assert_eq!(
                said.map(|said| said.usage),
                Ok(usage(None, Some(micros))),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_as_a_whole() {
        for text in [
            "",
            "null",
            "[]",
            "1",
            "{} {}",
            "{",
            r#"{"usd": -1}"#,
            r#"{"usd": -0.0}"#,
            r#"{"usd": "1"}"#,
            r#"{"usd": 1e300}"#,
            r#"{"usd": 1e400}"#,
            r#"{"usd": NaN}"#,
            r#"{"input_tokens": -1}"#,
            r#"{"input_tokens": 1.5}"#,
            r#"{"input_tokens": 18446744073709551615, "output_tokens": 1}"#,
            r#"{"input_tokens": 1, "input_tokens": 2}"#,
            r#"{"retry_after_seconds": -1}"#,
            r#"{"retry_after_seconds": 1e30}"#,
            r#"{"tokens": 1}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let why = parse(b"{\"a\\u001b[2J\": 1}").unwrap_err();
        assert!(why.starts_with("unknown key `a[2J`"), "{why}");
    }
}
