//! Texts from goals, workers and logs, made fit for a terminal: what could move the cursor, change colours, reorder or
//! hide what a person reads is shown as an escape, never sent.

use std::fmt::Write as _;

/// `text` on one line. Line ends and tabs are shown as `\n` and `\t`, other dangerous characters as `\u{…}`.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

/// Like [`line()`], with at most `most` characters of the text; what is left out is shown as `…`.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => line(text),
        Some((end, _)) => line(text.get(..end).unwrap_or(text)) + "…",
    }
}

/// The same JSON with what a terminal could act on written as `\\uXXXX`. Such characters stand in strings alone, where
/// both are one.
pub(crate) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_dangerous(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Adds a character as it may be shown.
pub(crate) fn push(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        '\u{1b}' => shown.push_str("\\e"),
        c if is_dangerous(c) => {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
        c => shown.push(c),
    }
}

/// Whether a terminal would act on it, reorder text by it, or show nothing where it stands (Unicode 16: Cc, Bidi_Control,
/// Default_Ignorable_Code_Point without the variation selectors of emoji, line and paragraph separators).
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        for code in (0..=0x10_ffff_u32)
            .filter_map(char::from_u32)
            .filter(|c| is_dangerous(*c))
        {
            let shown = line(&code.to_string());
            assert!(
                shown.starts_with('\\') && !shown.contains(code),
                "{:x}",
                u32::from(code)
            );
        }
        assert_eq!(line("\u{1b}[31mred\u{9b}0m\u{7}"), "\\e[31mred\\u{9b}0m\\u{7}");
        assert_eq!(
            line("a\u{202e}b\u{2066}c\u{200b}d\u{e0041}"),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{e0041}"
        );
        assert_eq!(line("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["grüße, 世界", "l’été — 5 €", "👍🏽 ❤️", "`$(x)` \"q\" 'p' \\", ""] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{202e}": "x\u{9b}2J\u{e0041} é\n", "b": [1, "\u{1b}"]});
        let shown = json(&format!("{value}\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(shown.trim_end().chars().all(|c| !is_dangerous(c)), "{shown}");
        assert!(shown.contains("\\udb40\\udc41 é"), "{shown}");
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(cut("éééé", 4), "éééé");
        assert_eq!(cut("éééé", 3), "ééé…");
        assert_eq!(cut("a\nbc", 3), "a\\nb…");
        assert_eq!(cut("abc", 0), "…");
    }
}
