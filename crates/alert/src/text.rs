//! Alerts as text that is safe to show: what they say was written by goals, workers and verifiers.

use machine_driver_state::alert::Alert;

/// The most UTF-16 units of a goal's name that are shown.
const GOAL_MAX: usize = 200;

/// The most UTF-16 units of a text that go into JSON. More has no place in an alert, and receivers have limits too.
#[cfg(any(feature = "webhook", feature = "command"))]
const JSON_MAX: usize = 16_000;

/// The alert as plain text of at most `units` UTF-16 units (Telegram counts in them). What happened is cut where it is
/// too long; the first line, the id and the time are kept.
pub(crate) fn message(alert: &Alert, units: usize) -> String {
    let task = alert
        .task
        .as_ref()
        .map(|id| format!(" / {id}"))
        .unwrap_or_default();
    let head = format!("[{}] {}{task}\n", alert.kind.word(), line(&alert.goal, GOAL_MAX));
    let tail = format!("\nid {}, {}", alert.id, alert.at);
    let room = units.saturating_sub(width(&head)).saturating_sub(width(&tail));
    head + &escaped(alert.text.trim(), room) + &tail
}

/// The alert as the JSON object that receivers get: its own fields, its texts escaped and cut.
#[cfg(any(feature = "webhook", feature = "command"))]
pub(crate) fn json(alert: &Alert) -> Vec<u8> {
    let shown = Alert {
        goal: line(&alert.goal, GOAL_MAX),
        text: escaped(&alert.text, JSON_MAX),
        ..alert.clone()
    };
    // Strings and times only: nothing in it can fail to be JSON.
    serde_json::to_vec(&shown).unwrap_or_default()
}

/// One line of at most `units` UTF-16 units.
pub(crate) fn line(text: &str, units: usize) -> String {
    escaped(text, units).replace('\n', " ")
}

/// The text with nothing in it that a terminal, a chat or a log could take for more than text: of control characters only
/// the newline is left, and what cannot be seen or changes the direction stands there as `\u{202e}`. At most `units`
/// UTF-16 units; what is longer ends in an ellipsis. Reads no further than that.
fn escaped(text: &str, units: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut cut = 0; // where an ellipsis would still fit
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\r' && chars.peek() == Some(&'\n') {
            continue;
        }
        let before = out.len();
        match c {
            '\n' => out.push(c),
            '\t' => out.push(' '),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        used += out.get(before..).map_or(0, width);
        if used > units {
            out.truncate(cut);
            if units > 0 {
                out.push('…');
            }
            return out;
        }
        if used < units {
            cut = out.len();
        }
    }
    out
}

fn width(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Control characters, and what is not seen or changes what is seen (Unicode's `Bidi_Control`, separators, invisible
/// operators, tags). The joiners U+200C and U+200D stay: emoji and several scripts need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine_driver_state::alert::{AlertId, AlertKind};
    use machine_driver_state::id::TaskId;
    use machine_driver_state::time::Timestamp;

    fn alert(goal: &str, text: &str) -> Alert {
        Alert {
            id: AlertId::new("0123456789abcdef0123456789abcdef").unwrap(),
            kind: AlertKind::Quarantine,
            goal: goal.to_owned(),
            task: Some(TaskId::new("t-1").unwrap()),
            text: text.to_owned(),
            at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn a_message_says_what_where_and_which() {
        let shown = message(&alert("web shop", "it failed\r\nthree times\n"), 4000);
        assert_eq!(
            shown,
            "[quarantine] web shop / t-1\nit failed\nthree times\nid 0123456789abcdef0123456789abcdef, 1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn nothing_unseen_is_left() {
        let hostile = "a\0b\u{1b}[31m\u{7f}\u{9b}c\u{202e}d\u{2066}e\u{200b}f\u{e0041}\tg\rh\n";
        let shown = escaped(hostile, 4000);
        assert_eq!(
            shown,
            "a\\u{0}b\\u{1b}[31m\\u{7f}\\u{9b}c\\u{202e}d\\u{2066}e\\u{200b}f\\u{e0041} g\\u{d}h\n"
        );
        assert_eq!(line("a\nb", 10), "a b");
        assert_eq!(
            escaped("👩\u{200d}🔬 نمی\u{200c}خواهم", 100),
            "👩\u{200d}🔬 نمی\u{200c}خواهم"
        );
    }

    #[test]
    fn cut_on_a_whole_character_within_the_limit() {
        assert_eq!(escaped("abc", 3), "abc");
        assert_eq!(escaped("abcd", 3), "ab…");
        assert_eq!(escaped("ab😀", 4), "ab😀");
        assert_eq!(escaped("ab😀d", 4), "ab…");
        assert_eq!(escaped("ab\0d", 5), "ab…");
        assert_eq!(escaped("ab", 0), "");
        for text in [
            "x".repeat(1_000_000),
            "😀".repeat(500_000),
            "\u{202e}".repeat(500_000),
        ] {
            let shown = message(&alert(&text, &text), 4000);
            assert!(width(&shown) <= 4000 && width(&shown) > 3980, "{}", width(&shown));
            assert!(shown.ends_with("…\nid 0123456789abcdef0123456789abcdef, 1970-01-01T00:00:00.000Z"));
        }
    }

    #[cfg(any(feature = "webhook", feature = "command"))]
    #[test]
    fn json_reads_back_as_an_alert() {
        let plain = alert("shop", "one\ntwo");
        assert_eq!(serde_json::from_slice::<Alert>(&json(&plain)).unwrap(), plain);
        let big: Alert = serde_json::from_slice(&json(&alert("g\u{202e}", &"\0".repeat(1_000_000)))).unwrap();
        assert_eq!(big.goal, "g\\u{202e}");
        assert!(width(&big.text) <= JSON_MAX && big.text.ends_with('…'));
    }
}
