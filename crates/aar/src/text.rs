//! Texts and bytes as records hold them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The most characters that an excerpt has.
pub const EXCERPT_CHARS: usize = 300;

/// The last 300 characters of `output`, without control characters: what a person sees first. The cut is made before
/// control characters are removed, so an excerpt may be shorter.
#[must_use]
pub fn excerpt(output: &str) -> String {
    let start = output
        .char_indices()
        .rev()
        .nth(EXCERPT_CHARS - 1)
        .map_or(0, |(at, _)| at);
    let tail = output.get(start..).unwrap_or_default();
    tail.chars().filter(|&c| !is_control(c)).collect()
}

/// `text` on one line: runs of white space become one space, other control characters are removed.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|&c| !is_control(c)).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.join(" ")
}

/// Control characters, the line separators of Unicode, and what turns the direction of text around: nothing that could
/// make a line look like another.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first characters of a foreign text, for an error.
pub(crate) fn brief(text: &str) -> String {
    const MAX: usize = 80;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// base64url without padding (RFC 4648 §5).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads exactly `N` bytes of base64url: no padding, no white space, and no bits beside the last byte, so that one value
/// has one text.
pub(crate) fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode_into(text, &mut bytes).then_some(bytes)
}

/// The same for what must not stay in memory.
pub(crate) fn secret_from_base64url(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    decode_into(text, bytes.as_mut()).then_some(bytes)
}

fn decode_into(text: &str, bytes: &mut [u8]) -> bool {
    if text.len() != (bytes.len() * 4).div_ceil(3) {
        return false;
    }
    // The decoder asks for room for whole groups.
    let mut room = Zeroizing::new([0; 72]);
    match URL_SAFE_NO_PAD.decode_slice(text, room.as_mut()) {
        Ok(length) if length == bytes.len() => {
            bytes.copy_from_slice(room.get(..length).unwrap_or_default());
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_tail_without_control_characters() {
        let long = format!("{}\u{1b}[2J{}", "x".repeat(400), "ä".repeat(298));
        assert_eq!(excerpt(&long), format!("2J{}", "ä".repeat(298)));
        let long = format!("x\u{1b}{}", "ä".repeat(299));
        assert_eq!(excerpt(&long), "ä".repeat(299));
        assert_eq!(excerpt("ok\r\n\u{202e}"), "ok");
        assert_eq!(excerpt(""), "");
        assert_eq!(excerpt(&"ä".repeat(1000)).chars().count(), EXCERPT_CHARS);
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line(" a\n\tb \u{0}\u{2028}c\u{7} "), "a b c");
        assert_eq!(one_line("\n"), "");
    }

    #[test]
    fn base64url_has_one_text_per_value() {
        let bytes = [0xfb; 32];
        let text = base64url(&bytes);
        assert_eq!(from_base64url::<32>(&text), Some(bytes));
        assert_eq!(*secret_from_base64url(&text).unwrap(), bytes);
        let last = text.len() - 1;
        for bad in [
            format!("{text}="),
            text.replace('-', "+"),
            format!("{}\n", &text[..last]),
            text[..last].to_owned(),
            format!("{text}A"),
            // The same byte with other bits beside it.
            format!("{}t", &text[..last]),
        ] {
            assert_eq!(from_base64url::<32>(&bad), None, "{bad}");
        }
    }
}
