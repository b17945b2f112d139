//! Times and spans as people read them, and as they may write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use machine_driver_state::time::Timestamp;

/// `2026-11-22 10:00:00Z`
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let (date, time) = (
        text.get(..10).unwrap_or_default(),
        text.get(11..19).unwrap_or_default(),
    );
    format!("{date} {time}Z")
}

/// `31 ms`, `1.3 s`, `12 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.subsec_millis()),
        1..10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// [`span`] of milliseconds.
pub(crate) fn millis(millis: u64) -> String {
    span(Duration::from_millis(millis))
}

fn two(many: u64, unit: &str, rest: u64, smaller: &str) -> String {
    if rest == 0 {
        format!("{many} {unit}")
    } else {
        format!("{many} {unit} {rest} {smaller}")
    }
}

/// Reads what stands behind `--since` or `--until`: an RFC 3339 time, or a date for its first instant in UTC.
pub(crate) fn read(text: &str) -> Result<Timestamp, String> {
    let date = || {
        text.parse::<Date>()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    };
    let is_date = text.len() == 10;
    let moment = if is_date {
        date()
    } else {
        text.parse::<jiff::Timestamp>().ok()
    };
    moment
        .map(|moment| Timestamp::from_millis(moment.as_millisecond()))
        .ok_or_else(|| "expected a date like 2026-11-22 or a time like 2026-11-22T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_begins_at_midnight_utc_and_a_time_may_have_an_offset() {
        let text = |written: &str| read(written).map(|at| at.to_string());
        assert_eq!(text("2026-11-22").unwrap(), "2026-11-22T00:00:00.000Z");
        assert_eq!(text("2026-11-22T10:00:00Z").unwrap(), "2026-11-22T10:00:00.000Z");
        assert_eq!(
            text("2026-11-22T10:00:00.5+02:00").unwrap(),
            "2026-11-22T08:00:00.500Z"
        );
        for wrong in [
            "",
            "yesterday",
            "2026-13-01",
            "10:00",
            "2026-11-22T10:00:00",
            "22.11.2026",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_have_at_most_two_units() {
        let all = [31, 1_390, 12_000, 63_000, 303_000, 7_800_000, 273_600_000].map(millis);
        assert_eq!(
            all,
            [
                "31 ms",
                "1.3 s",
                "12 s",
                "1 min 3 s",
                "5 min 3 s",
                "2 h 10 min",
                "3 d 4 h"
            ]
        );
        assert_eq!(
            moment(Timestamp::from_millis(1_795_341_600_123)),
            "2026-11-22 10:00:00Z"
        );
    }
}
