//! Here-documents: skipped, and never a place for a placeholder.

use super::super::units::Symbol;
use super::super::{Place, TemplateError};
use super::Reader;

/// How a here-document ends.
#[derive(Debug)]
pub(super) struct Delimiter {
    text: String,
    /// Nothing is expanded in the body.
    quoted: bool,
    /// `<<-`
    strip_tabs: bool,
}

impl Reader<'_> {
    pub(super) fn here_delimiter(&mut self, strip_tabs: bool) -> Result<(), TemplateError> {
        let word = self.some_word()?;
        if let Some((placeholder, at)) = word.hole() {
            return Err(TemplateError::Misplaced {
                placeholder,
                at,
                place: Place::HereDocument,
            });
        }
        let Some(text) = word.literal().filter(|text| !text.contains('\n')) else {
            return Err(TemplateError::Unsure {
                what: "the delimiter of a here-document".to_owned(),
                at: word.at,
            });
        };
        self.here.push(Delimiter {
            text,
            quoted: word.unquoted().is_none(),
            strip_tabs,
        });
        Ok(())
    }

    /// The bodies that begin here.
    pub(super) fn here_documents(&mut self) -> Result<(), TemplateError> {
        for delimiter in std::mem::take(&mut self.here) {
            while !self.here_line(&delimiter)? {}
        }
        Ok(())
    }

    /// One line of a body; whether it was the delimiter.
    fn here_line(&mut self, delimiter: &Delimiter) -> Result<bool, TemplateError> {
        let start = self.next;
        loop {
            match self.peek() {
                Some(Symbol::Hole(placeholder)) => {
                    return Err(self.misplaced(placeholder, Place::HereDocument));
                }
                None | Some(Symbol::Char('\n')) => break,
                Some(Symbol::Char(_)) => self.next += 1,
            }
        }
        let line = self.between(start);
        let text = if delimiter.strip_tabs {
            line.trim_start_matches('\t')
        } else {
            &line
        };
        let found = text == delimiter.text;
        let last = self.peek().is_none();
        if !found && (last || !delimiter.quoted && expands(text)) {
            return Err(self.unsure_at(
                start,
                "a here-document that does not end, or with more than plain variables in it",
            ));
        }
        self.next += usize::from(!last);
        Ok(found)
    }
}

/// Whether a line of an unquoted body holds more than text and plain variables.
fn expands(line: &str) -> bool {
    line.contains('`')
        || line.contains("$(")
        || line.contains("${")
        || line.contains("$[")
        || line.contains('\\')
}
