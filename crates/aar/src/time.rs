//! Times as records may spell them.

/// Whether `text` is an RFC 3339 date-time (§5.6) that exists: `T` and `Z` in capitals, any offset, any number of
/// decimals up to 12. A leap second may stand at the end of any UTC minute that can have one.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((date_time, rest)) = bytes.split_first_chunk::<19>() else {
        return false;
    };
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = date_time
    else {
        return false;
    };
    let (Some(century), Some(year), Some(month), Some(day)) =
        (two(y1, y2), two(y3, y4), two(m1, m2), two(d1, d2))
    else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (two(h1, h2), two(n1, n2), two(s1, s2)) else {
        return false;
    };
    let year = u32::from(century) * 100 + u32::from(year);
    let leap_second = second == 60 && minute == 59;
    (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && (second < 60 || leap_second)
        && is_end(rest)
}

fn is_end(rest: &[u8]) -> bool {
    let zone = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=12).contains(&digits) {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
    };
    match zone {
        b"Z" => true,
        &[b'+' | b'-', h1, h2, b':', m1, m2] => {
            two(h1, h2).is_some_and(|hour| hour < 24) && two(m1, m2).is_some_and(|minute| minute < 60)
        }
        _ => false,
    }
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

const fn days(year: u32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_and_nothing_else() {
        for good in [
            "2026-06-05T20:14:03Z",
            "2026-11-22T10:00:00.123Z",
            "2024-02-29T23:59:60Z",
            "2000-02-29T00:00:00+00:00",
            "1990-12-31T15:59:60-08:00",
            "2026-01-01T00:00:00.123456789Z",
        ] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "now",
            "2026-06-05",
            "2026-06-05T20:14:03",
            "2026-06-05 20:14:03Z",
            "2026-06-05t20:14:03z",
            "2026-06-05T20:14:03Z ",
            "2026-06-05T20:14:03.Z",
            "2026-06-05T24:00:00Z",
            "2026-06-05T20:60:00Z",
            "2026-06-05T20:14:60Z",
            "2026-13-05T20:14:03Z",
            "2026-00-05T20:14:03Z",
            "2026-06-31T20:14:03Z",
            "2025-02-29T20:14:03Z",
            "1900-02-29T20:14:03Z",
            "2026-06-05T20:14:03+2400",
            "2026-06-05T20:14:03+24:00",
            "2026-06-05T20:14:03\u{2212}01:00",
            "+026-06-05T20:14:03Z",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }
}
