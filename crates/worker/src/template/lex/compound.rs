//! `case`, and redirections.

use super::super::units::Symbol;
use super::super::word::Word;
use super::super::{Place, TemplateError};
use super::{Command, List, Reader};

impl Reader<'_> {
    /// `WORD in PATTERN)`, after `case`. The subject is data: it needs no judging.
    pub(super) fn case(&mut self, list: &mut List) -> Result<(), TemplateError> {
        self.finish(&mut list.command);
        list.cases += 1;
        self.blanks();
        self.some_word()?;
        self.blanks_and_lines()?;
        if self.some_word()?.unquoted() != Some("in") {
            return Err(self.unsure("`case` without `in`"));
        }
        self.patterns(list)
    }

    /// What stands between `in` or `;;` and the commands of that arm; or `esac`.
    pub(super) fn patterns(&mut self, list: &mut List) -> Result<(), TemplateError> {
        self.blanks_and_lines()?;
        let open = self.peek() == Some(Symbol::Char('('));
        if open {
            self.next += 1;
        }
        loop {
            self.blanks();
            let word = self.some_word()?;
            if let Some((placeholder, at)) = word.hole() {
                return Err(TemplateError::Misplaced {
                    placeholder,
                    at,
                    place: Place::Name,
                });
            }
            if !open && word.unquoted() == Some("esac") {
                list.cases -= 1; // both callers are inside a `case`
                list.command.words.push(word);
                return Ok(());
            }
            self.blanks();
            let separator = self.peek();
            self.next += 1;
            match separator {
                Some(Symbol::Char('|')) => {}
                Some(Symbol::Char(')')) => return Ok(()),
                _ => return Err(self.unsure("a pattern of `case`")),
            }
        }
    }

    pub(super) fn redirection(&mut self, command: &mut Command) -> Result<(), TemplateError> {
        self.take_descriptor(command);
        let start = self.next;
        while matches!(self.peek(), Some(Symbol::Char('<' | '>' | '&' | '|' | '('))) {
            self.next += 1;
        }
        self.no_continuation()?;
        let operator = self.between(start);
        let strip_tabs = operator == "<<" && self.peek() == Some(Symbol::Char('-'));
        if strip_tabs {
            self.next += 1;
        }
        self.blanks();
        match operator.as_str() {
            "<<" => self.here_delimiter(strip_tabs),
            "<" | ">" | ">>" | ">|" | "<>" | "<&" | ">&" => self.some_word().map(drop),
            _ => Err(self.unsure_at(start, &format!("the redirection `{operator}`"))),
        }
    }

    /// `2` directly before `>` is not a word of the command.
    fn take_descriptor(&self, command: &mut Command) {
        let digit_before = self
            .next
            .checked_sub(1)
            .and_then(|i| self.units.get(i))
            .is_some_and(|unit| matches!(unit.symbol, Symbol::Char(c) if c.is_ascii_digit()));
        let number = |word: &Word| {
            word.unquoted()
                .is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()))
        };
        if digit_before && command.words.last().is_some_and(number) {
            command.words.pop();
        }
    }
}
