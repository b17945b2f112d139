//! The words of a shell command, as far as they are known before it runs.

use super::units::{Symbol, Unit};
use super::{At, Placeholder};

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Known text, and whether any quoting made it so.
    Text { text: String, quoted: bool },
    /// A placeholder.
    Hole(Placeholder, At),
    /// Some other expansion: known only when the command runs.
    Live,
    /// An unquoted `*`, `?` or `[`.
    Pattern(char),
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) at: At,
    pub(super) parts: Vec<Part>,
}

impl Word {
    pub(super) fn new(at: At) -> Self {
        Self {
            at,
            parts: Vec::new(),
        }
    }

    /// An argument of an array command: a placeholder as a whole, or text without one.
    pub(super) fn argument(units: &[Unit], at: At) -> Self {
        let mut word = Self::new(at);
        word.quote();
        for unit in units {
            match unit.symbol {
                Symbol::Char(c) => word.push(c, true),
                Symbol::Hole(placeholder) => word.parts.push(Part::Hole(placeholder, unit.at)),
            }
        }
        word
    }

    pub(super) fn push(&mut self, c: char, quoted: bool) {
        match self.parts.last_mut() {
            Some(Part::Text { text, quoted: same }) if *same == quoted => text.push(c),
            _ => self.parts.push(Part::Text {
                text: c.into(),
                quoted,
            }),
        }
    }

    /// Notes that the word was quoted, which makes an empty word a word and a reserved word an ordinary one.
    pub(super) fn quote(&mut self) {
        self.parts.push(Part::Text {
            text: String::new(),
            quoted: true,
        });
    }

    /// `[` and `[[` alone are commands, not patterns.
    pub(super) fn settle(&mut self) {
        if self.parts.iter().all(|part| *part == Part::Pattern('[')) {
            let text = "[".repeat(self.parts.len());
            self.parts = vec![Part::Text { text, quoted: false }];
        }
    }

    pub(super) fn hole(&self) -> Option<(Placeholder, At)> {
        self.parts.iter().find_map(|part| match part {
            Part::Hole(placeholder, at) => Some((*placeholder, *at)),
            _ => None,
        })
    }

    /// The placeholder that the word begins with, if a value of it can begin with any character.
    pub(super) fn leading_text_hole(&self) -> Option<(Placeholder, At)> {
        let mut solid = self
            .parts
            .iter()
            .filter(|p| !matches!(p, Part::Text { text, .. } if text.is_empty()));
        match solid.next() {
            Some(Part::Hole(placeholder, at)) if placeholder.may_begin_with_dash() => {
                Some((*placeholder, *at))
            }
            _ => None,
        }
    }

    /// Whether any of it is known only when the command runs.
    pub(super) fn is_dynamic(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Hole(..) | Part::Live))
    }

    /// The text of the word, if all of it is known.
    pub(super) fn literal(&self) -> Option<String> {
        let mut all = String::new();
        for part in &self.parts {
            match part {
                Part::Text { text, .. } => all.push_str(text),
                _ => return None,
            }
        }
        Some(all)
    }

    /// The text of the word, if all of it is known and nothing in it is quoted: then it may be a reserved word.
    pub(super) fn unquoted(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }

    /// The text before anything in it that is not known.
    pub(super) fn known_beginning(&self) -> String {
        let known = self.parts.iter().map_while(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        known.collect()
    }

    /// Whether it is known to look like an option.
    pub(super) fn looks_like_option(&self) -> bool {
        self.known_beginning().starts_with('-')
    }

    /// What follows the last `/`, if that much is known; the whole word where there is none.
    pub(super) fn basename(&self) -> Option<String> {
        let mut name = String::new();
        for part in self.parts.iter().rev() {
            let Part::Text { text, .. } = part else {
                return None;
            };
            if let Some((_, last)) = text.rsplit_once('/') {
                return Some(format!("{last}{name}"));
            }
            name.insert_str(0, text);
        }
        Some(name)
    }

    /// The variable's name, if the word has the form of an assignment.
    pub(super) fn assigns(&self) -> Option<&str> {
        let Some(Part::Text { text, quoted: false }) = self.parts.first() else {
            return None;
        };
        let (name, _) = text.split_once('=')?;
        let name = name.strip_suffix('+').unwrap_or(name);
        is_name(name).then_some(name)
    }

    /// Whether bash would make several words of it.
    pub(super) fn has_brace_expansion(&self) -> bool {
        let unquoted = |c: &str| {
            self.parts
                .iter()
                .any(|part| matches!(part, Part::Text { text, quoted: false } if text.contains(c)))
        };
        unquoted("{") && (unquoted(",") || unquoted(".."))
    }
}

/// Whether a shell variable can have this name.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
