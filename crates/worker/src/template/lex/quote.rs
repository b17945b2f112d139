//! Quotes, and what begins with `$` or a backtick.

use super::super::units::{Symbol, Unit};
use super::super::word::{Part, Word};
use super::super::{Place, TemplateError};
use super::{End, NESTING_MAX, Quoting, Reader};

impl Reader<'_> {
    pub(super) fn backslash(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        self.next += 1;
        match self.peek() {
            None => return Err(self.unsure("a backslash at the end")),
            Some(Symbol::Hole(placeholder)) => return Err(self.misplaced(placeholder, Place::Backslash)),
            Some(Symbol::Char('\n')) => self.joined_line()?,
            Some(Symbol::Char(c)) => word.push(c, true),
        }
        self.next += 1;
        Ok(())
    }

    pub(super) fn single_quotes(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        word.quote();
        self.next += 1;
        while let Some(symbol) = self.peek() {
            match symbol {
                Symbol::Char('\'') => {
                    self.next += 1;
                    return Ok(());
                }
                Symbol::Hole(placeholder) => self.hole(word, placeholder, Quoting::Single)?,
                Symbol::Char(c) => {
                    self.line_in_quotes(c)?;
                    word.push(c, true);
                    self.next += 1;
                }
            }
        }
        Err(self.unsure("a `'` that is not closed"))
    }

    pub(super) fn double_quotes(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        word.quote();
        self.next += 1;
        while let Some(symbol) = self.peek() {
            match symbol {
                Symbol::Char('"') => {
                    self.next += 1;
                    return Ok(());
                }
                Symbol::Char('\\') => self.backslash_in_quotes(word)?,
                Symbol::Char('$') => self.dollar(word, true)?,
                Symbol::Char('`') => self.backticks(word, true)?,
                Symbol::Hole(placeholder) => self.hole(word, placeholder, Quoting::Double)?,
                Symbol::Char(c) => {
                    self.line_in_quotes(c)?;
                    word.push(c, true);
                    self.next += 1;
                }
            }
        }
        Err(self.unsure("a `\"` that is not closed"))
    }

    fn backslash_in_quotes(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        self.next += 1;
        match self.peek() {
            None => return Err(self.unsure("a `\"` that is not closed")),
            Some(Symbol::Hole(placeholder)) => return Err(self.misplaced(placeholder, Place::Backslash)),
            Some(Symbol::Char('\n')) => self.joined_line()?,
            Some(Symbol::Char(c @ ('$' | '`' | '"' | '\\'))) => word.push(c, true),
            Some(Symbol::Char(c)) => {
                word.push('\\', true);
                word.push(c, true);
            }
        }
        self.next += 1;
        Ok(())
    }

    /// Shells differ in what a line that ends inside a word means while a here-document waits for its body.
    fn line_in_quotes(&self, c: char) -> Result<(), TemplateError> {
        if c == '\n' && !self.here.is_empty() {
            Err(self.unsure("a line end inside quotes, after `<<`"))
        } else {
            Ok(())
        }
    }

    fn joined_line(&self) -> Result<(), TemplateError> {
        if self.here.is_empty() {
            Ok(())
        } else {
            Err(self.unsure("a joined line after `<<`"))
        }
    }

    pub(super) fn dollar(&mut self, word: &mut Word, in_double: bool) -> Result<(), TemplateError> {
        self.next += 1;
        match self.peek() {
            Some(Symbol::Hole(placeholder)) => Err(self.misplaced(placeholder, Place::Parameter)),
            Some(Symbol::Char('\\')) if self.peek_at(1) == Some(Symbol::Char('\n')) => {
                Err(self.unsure("a joined line after `$`"))
            }
            Some(Symbol::Char('(')) if self.peek_at(1) == Some(Symbol::Char('(')) => self.arithmetic(word),
            Some(Symbol::Char('(')) => self.substitution(word),
            Some(Symbol::Char('{')) => self.parameter(word),
            Some(Symbol::Char('[')) => Err(self.unsure("`$[`")),
            Some(Symbol::Char('"')) if !in_double => Err(self.unsure("`$\"`")),
            Some(Symbol::Char('\'')) if !in_double => Err(self.dollar_quotes()),
            Some(Symbol::Char(c)) if c.is_ascii_alphabetic() || c == '_' => {
                self.skip_name();
                word.parts.push(Part::Live);
                Ok(())
            }
            Some(Symbol::Char(c)) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.next += 1;
                word.parts.push(Part::Live);
                Ok(())
            }
            _ => {
                word.push('$', true);
                Ok(())
            }
        }
    }

    fn skip_name(&mut self) {
        while matches!(self.peek(), Some(Symbol::Char(c)) if c.is_ascii_alphanumeric() || c == '_') {
            self.next += 1;
        }
    }

    /// `$'…'` is text in some shells and a quoted text with a dollar before it in others.
    fn dollar_quotes(&mut self) -> TemplateError {
        self.next += 1;
        let start = self.next;
        while let Some(symbol) = self.peek() {
            match symbol {
                Symbol::Char('\'') => break,
                Symbol::Hole(placeholder) => return self.misplaced(placeholder, Place::DollarQuotes),
                Symbol::Char(_) => self.next += 1,
            }
        }
        self.unsure_at(start, "`$'…'`")
    }

    fn substitution(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        if self.inside.len() >= NESTING_MAX || !self.here.is_empty() {
            return Err(self.unsure("a `$(…)` nested that deep, or after `<<`"));
        }
        self.next += 1;
        self.no_continuation()?;
        self.inside.push(Place::Substitution);
        self.list(End::Parenthesis)?;
        self.inside.pop();
        word.parts.push(Part::Live);
        Ok(())
    }

    /// Arithmetic without variables: bash evaluates a variable's value as an expression, which can run commands.
    fn arithmetic(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        self.next += 2;
        let start = self.next;
        loop {
            match self.peek() {
                Some(Symbol::Hole(placeholder)) => return Err(self.misplaced(placeholder, Place::Arithmetic)),
                Some(Symbol::Char(')')) => break,
                Some(Symbol::Char(_)) => self.next += 1,
                None => return Err(self.unsure_at(start, "a `$((` that is not closed")),
            }
        }
        let known = self.between(start).replace("MACHINE_ATTEMPT", "1");
        let harmless = |c: char| c.is_ascii_digit() || " +-*/%".contains(c);
        if self.peek_at(1) != Some(Symbol::Char(')')) || !known.chars().all(harmless) {
            return Err(self.unsure_at(start, "arithmetic with variables or parentheses"));
        }
        self.next += 2;
        word.parts.push(Part::Live);
        Ok(())
    }

    /// `${NAME}` and `${NAME-…}` with nothing in it that shells quote differently, or expand once more.
    fn parameter(&mut self, word: &mut Word) -> Result<(), TemplateError> {
        self.next += 1;
        let start = self.next;
        loop {
            match self.peek() {
                Some(Symbol::Hole(placeholder)) => return Err(self.misplaced(placeholder, Place::Parameter)),
                Some(Symbol::Char('}')) => break,
                Some(Symbol::Char(_)) => self.next += 1,
                None => return Err(self.unsure_at(start, "a `${` that is not closed")),
            }
        }
        if !is_plain_parameter(&self.between(start)) {
            return Err(self.unsure_at(start, "a `${…}` with more than a name and plain text"));
        }
        self.next += 1;
        word.parts.push(Part::Live);
        Ok(())
    }

    /// Backslashes inside backticks are read twice, so a text with any is refused.
    pub(super) fn backticks(&mut self, word: &mut Word, in_double: bool) -> Result<(), TemplateError> {
        self.next += 1;
        let start = self.next;
        loop {
            match self.peek() {
                Some(Symbol::Hole(placeholder)) => return Err(self.misplaced(placeholder, Place::Backticks)),
                Some(Symbol::Char('`')) => break,
                Some(Symbol::Char('\\')) => return Err(self.unsure("a backslash inside backticks")),
                Some(Symbol::Char('"')) if in_double => return Err(self.unsure("`\"` inside backticks")),
                Some(Symbol::Char(_)) => self.next += 1,
                None => return Err(self.unsure_at(start, "a backtick that is not closed")),
            }
        }
        let end = self.next;
        if self.inside.len() >= NESTING_MAX || !self.here.is_empty() {
            return Err(self.unsure_at(start, "backticks nested that deep, or after `<<`"));
        }
        self.inner_script(start, end)?;
        self.next = end + 1;
        word.parts.push(Part::Live);
        Ok(())
    }

    /// Reads the units from `start` to `end` as a script of its own.
    fn inner_script(&mut self, start: usize, end: usize) -> Result<(), TemplateError> {
        let units: &[Unit] = self.units.get(start..end).unwrap_or_default();
        let mut inside = self.inside.clone();
        inside.push(Place::Backticks);
        let script = std::mem::take(&mut self.script);
        let mut inner = Reader {
            units,
            next: 0,
            script,
            inside,
            here: Vec::new(),
        };
        inner.list(End::OfText)?;
        self.script = inner.script;
        Ok(())
    }
}

/// A name, a digit or a special parameter; then nothing, or an operator and text without quotes or expansions.
fn is_plain_parameter(text: &str) -> bool {
    let text = text
        .strip_prefix('#')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(text);
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = match text.chars().next() {
        Some(first) if name(first) => text.trim_start_matches(name),
        Some(first) if "@*#?-$!".contains(first) => text.get(1..).unwrap_or_default(),
        _ => return false,
    };
    let operator = rest.is_empty()
        || [":-", ":=", ":?", ":+", "-", "=", "?", "+", "%", "#"]
            .iter()
            .any(|operator| rest.starts_with(operator));
    operator && !rest.contains(['\'', '"', '\\', '$', '`', '{', '\n'])
}
