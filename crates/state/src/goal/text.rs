//! Where things stand in a JSON text that `serde_json` has already accepted.
//!
//! It serves the two that need places: errors, and rewrites that leave the rest of the file byte for byte. A text
//! that is not JSON gives senseless places, never a panic.

use std::ops::Range;

/// One step from an object or list to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A member of an object, or an item of a list, as byte ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// With its quotes; `None` in a list.
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Range<usize>,
}

/// The byte at which the document begins.
pub(super) fn root(text: &str) -> usize {
    space_end(text.as_bytes(), 0)
}

/// The entries of the object or list that begins at byte `at`; none where neither begins there.
pub(super) fn entries(text: &str, at: usize) -> Entries<'_> {
    let opening = text.as_bytes().get(at);
    let at = if matches!(opening, Some(b'{' | b'[')) {
        at + 1
    } else {
        text.len()
    };
    Entries {
        text,
        at,
        keyed: opening == Some(&b'{'),
    }
}

/// See [`entries`].
#[derive(Debug, Clone)]
pub(super) struct Entries<'t> {
    text: &'t str,
    at: usize,
    keyed: bool,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let bytes = self.text.as_bytes();
        let mut at = space_end(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = space_end(bytes, at + 1);
        }
        if matches!(bytes.get(at), None | Some(b'}' | b']')) {
            return None;
        }
        let key = self.keyed.then(|| at..string_end(bytes, at));
        if let Some(key) = &key {
            let colon = space_end(bytes, key.end);
            at = space_end(bytes, colon + 1);
        }
        self.at = value_end(bytes, at);
        Some(Entry {
            key,
            value: at..self.at,
        })
    }
}

/// The text that a JSON string with its quotes stands for.
pub(super) fn decoded(text: &str, string: &Range<usize>) -> String {
    let quoted = text.get(string.clone()).unwrap_or_default();
    serde_json::from_str(quoted).unwrap_or_default()
}

/// Whether the JSON string in this place stands for `expected`.
pub(super) fn is(text: &str, string: &Range<usize>, expected: &str) -> bool {
    let quoted = text.get(string.clone()).unwrap_or_default();
    match quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => inner == expected,
        _ => decoded(text, string) == expected,
    }
}

/// The place of the last step's value, or of its key; of an object or list the opening bracket alone.
pub(super) fn locate(text: &str, steps: &[Step], on_key: bool) -> Range<usize> {
    let mut key = None;
    let mut at = root(text);
    for step in steps {
        let found = match step {
            Step::Index(index) => entries(text, at).nth(*index),
            Step::Key(name) => {
                entries(text, at).find(|entry| entry.key.as_ref().is_some_and(|key| is(text, key, name)))
            }
        };
        let Some(entry) = found else { break };
        at = entry.value.start;
        key = entry.key;
    }
    match (on_key, key) {
        (true, Some(key)) => key,
        _ => mark(text, at),
    }
}

/// What a caret should point at for the value that begins at `at`.
fn mark(text: &str, at: usize) -> Range<usize> {
    match text.as_bytes().get(at) {
        Some(b'{' | b'[') => at..at + 1,
        _ => at..value_end(text.as_bytes(), at),
    }
}

/// A key of some object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundKey {
    /// The way to its member.
    pub(super) steps: Vec<Step>,
    pub(super) place: Range<usize>,
    /// The places of the keys before it in the same object.
    pub(super) before: Vec<Range<usize>>,
}

/// The key that stands at byte `at`, or before it with nothing but white space and a colon between.
pub(super) fn key_at(text: &str, at: usize) -> Option<FoundKey> {
    let mut steps = Vec::new();
    let mut container = root(text);
    'deeper: loop {
        let mut before = Vec::new();
        for (index, entry) in entries(text, container).enumerate() {
            let step = match &entry.key {
                Some(key) => Step::Key(decoded(text, key)),
                None => Step::Index(index),
            };
            if let Some(key) = entry.key {
                if (key.start..entry.value.start).contains(&at) {
                    steps.push(step);
                    return Some(FoundKey {
                        steps,
                        place: key,
                        before,
                    });
                }
                before.push(key);
            }
            if entry.value.contains(&at) {
                steps.push(step);
                container = entry.value.start;
                continue 'deeper;
            }
        }
        return None;
    }
}

/// Line and column of a byte, both from 1; columns count characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (
        line,
        before.get(line_start..).unwrap_or_default().chars().count() + 1,
    )
}

/// The byte at a line and a byte column, both from 1, as `serde_json` counts them; a column 0 is the line's start.
pub(super) fn byte_at(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn space_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        .count()
}

/// The byte after a string's closing quote.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The byte after the value that begins at `from`.
fn value_end(bytes: &[u8], from: usize) -> usize {
    match bytes.get(from) {
        Some(b'"') => string_end(bytes, from),
        Some(b'{' | b'[') => brackets_end(bytes, from),
        _ => {
            let rest = bytes.get(from..).unwrap_or_default();
            let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            from + rest.iter().position(is_end).unwrap_or(rest.len())
        }
    }
}

fn brackets_end(bytes: &[u8], from: usize) -> usize {
    let mut open = 0_usize;
    let mut at = from;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => {
                at = string_end(bytes, at);
                continue;
            }
            Some(b'{' | b'[') => open += 1,
            Some(b'}' | b']') if open <= 1 => return at + 1,
            Some(b'}' | b']') => open -= 1,
            Some(_) => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = " {\"a\": [1, {\"b\\u0063\" : \"x\\\"]\"}],\n  \"ä\" :\ttrue}\n";

    fn check(steps: &[Step], on_key: bool, expected: &str) {
        assert_eq!(TEXT.get(locate(TEXT, steps, on_key)), Some(expected), "{steps:?}");
    }

    #[test]
    fn places_are_found_through_escapes_and_brackets_in_strings() {
        let [a, one, bc] = [Step::Key("a".into()), Step::Index(1), Step::Key("bc".into())];
        check(&[], false, "{");
        check(std::slice::from_ref(&a), false, "[");
        check(&[a.clone(), Step::Index(0)], false, "1");
        check(&[a.clone(), one.clone(), bc.clone()], false, "\"x\\\"]\"");
        check(&[a, one, bc], true, "\"b\\u0063\"");
        check(&[Step::Key("ä".into())], false, "true");
    }

    #[test]
    fn a_key_is_found_by_its_place() {
        let at = TEXT.find("b\\u0063").unwrap();
        let FoundKey { steps, place, before } = key_at(TEXT, at).unwrap();
        assert_eq!(
            steps,
            [Step::Key("a".into()), Step::Index(1), Step::Key("bc".into())]
        );
        assert_eq!(decoded(TEXT, &place), "bc");
        assert!(before.is_empty());
        assert_eq!(key_at(TEXT, 0), None);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column(TEXT, TEXT.find(':').unwrap()), (1, 6));
        assert_eq!(line_and_column(TEXT, TEXT.find("\ttrue").unwrap()), (2, 8));
        assert_eq!(line_and_column(TEXT, 10_000).0, 3);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}|[\\[\\]{}\":,\\\\a ]{0,40}", at in 0_usize..90) {
            let _ = key_at(&text, at);
            let _ = line_and_column(&text, at);
            let _ = byte_at(&text, at, at);
            let _ = locate(&text, &[Step::Key("a".into()), Step::Index(0)], true);
        }
    }
}
