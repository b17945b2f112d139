//! A reader of `sh` that knows, at each placeholder, which quoting is in force.
//!
//! It reads the command flatly: words and operators, with the simple commands that they make up, and goes into
//! `$(…)` and backticks. What dash, bash and the rest of the family could read differently, it refuses; it is only asked
//! where a placeholder makes it matter. The grammar is POSIX.1-2024, XCU chapter 2.

use super::units::{Symbol, Unit};
use super::word::{Part, Word, is_name};
use super::{At, Place, Placeholder, TemplateError};

mod compound;
mod here;
mod quote;

/// How deep `$(…)` may be nested.
const NESTING_MAX: usize = 16;

/// Words after which the next word is a command again.
pub(super) const RESERVED: [&str; 13] = [
    "!", "{", "}", "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "esac",
];

/// The quoting in force where a placeholder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    Bare,
    Double,
    Single,
}

/// A simple command, or the head of a compound one.
#[derive(Debug, Clone, Default)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// Whether it stands in `$(…)` or backticks.
    pub(super) nested: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// In the order in which they end.
    pub(super) commands: Vec<Command>,
    /// One for each placeholder, in order.
    pub(super) quotings: Vec<Quoting>,
    /// Names of the functions that it defines.
    pub(super) functions: Vec<String>,
}

/// Reads a script.
pub(super) fn read(units: &[Unit]) -> Result<Script, TemplateError> {
    let mut reader = Reader {
        units,
        next: 0,
        script: Script::default(),
        inside: Vec::new(),
        here: Vec::new(),
    };
    reader.list(End::OfText)?;
    Ok(reader.script)
}

struct Reader<'a> {
    units: &'a [Unit],
    next: usize,
    script: Script,
    /// The substitutions around this place.
    inside: Vec<Place>,
    /// Here-documents whose bodies begin at the next line.
    here: Vec<here::Delimiter>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    OfText,
    Parenthesis,
}

/// The state of one list of commands.
#[derive(Default)]
struct List {
    command: Command,
    parentheses: usize,
    cases: usize,
}

impl Reader<'_> {
    fn list(&mut self, end: End) -> Result<(), TemplateError> {
        let mut list = List::default();
        loop {
            self.blanks();
            match self.peek() {
                None => return self.end_of_text(end, &mut list),
                Some(Symbol::Char('#')) => self.comment()?,
                Some(Symbol::Char('\n')) => {
                    self.finish(&mut list.command);
                    self.next += 1;
                    self.here_documents()?;
                }
                Some(Symbol::Char(';' | '&' | '|')) => self.separator(&mut list)?,
                Some(Symbol::Char('(')) => self.open(&mut list)?,
                Some(Symbol::Char(')')) => {
                    if self.close(&mut list, end)? {
                        return Ok(());
                    }
                }
                Some(Symbol::Char('<' | '>')) => self.redirection(&mut list.command)?,
                Some(_) => self.word_of(&mut list)?,
            }
        }
    }

    fn end_of_text(&mut self, end: End, list: &mut List) -> Result<(), TemplateError> {
        self.finish(&mut list.command);
        if end == End::Parenthesis || list.parentheses > 0 || list.cases > 0 {
            return Err(self.unsure("the end of the command before its `)` or `esac`"));
        }
        match self.here.first() {
            Some(_) => Err(self.unsure("a here-document without its body")),
            None => Ok(()),
        }
    }

    /// The end of a simple command.
    fn finish(&mut self, command: &mut Command) {
        let command = std::mem::take(command);
        if !command.words.is_empty() {
            self.script.commands.push(Command {
                nested: !self.inside.is_empty(),
                ..command
            });
        }
    }

    fn separator(&mut self, list: &mut List) -> Result<(), TemplateError> {
        self.finish(&mut list.command);
        let start = self.next;
        while matches!(self.peek(), Some(Symbol::Char(';' | '&' | '|'))) {
            self.next += 1;
        }
        self.no_continuation()?;
        let operator: String = self.between(start);
        match operator.as_str() {
            ";" | "&&" | "||" | "|" => Ok(()),
            "&" if self.peek() != Some(Symbol::Char('>')) => Ok(()),
            ";;" if list.cases > 0 => self.patterns(list),
            _ => Err(self.unsure_at(start, &format!("the operator `{operator}`"))),
        }
    }

    fn open(&mut self, list: &mut List) -> Result<(), TemplateError> {
        if list.command.words.iter().all(is_reserved) {
            self.finish(&mut list.command);
            self.next += 1;
            list.parentheses += 1;
            return match self.peek() {
                Some(Symbol::Char('(')) => Err(self.unsure("`((`")),
                _ => self.no_continuation(),
            };
        }
        let name = match list.command.words.as_slice() {
            [word] => word.unquoted().filter(|name| is_name(name)).map(str::to_owned),
            _ => None,
        };
        let Some(name) = name else {
            return Err(self.unsure("`(` after a word"));
        };
        self.next += 1;
        self.blanks();
        if self.peek() != Some(Symbol::Char(')')) {
            return Err(self.unsure("`(` after a word"));
        }
        self.next += 1;
        list.command = Command::default();
        self.script.functions.push(name);
        Ok(())
    }

    /// A `)`; whether it ends the list.
    fn close(&mut self, list: &mut List, end: End) -> Result<bool, TemplateError> {
        self.finish(&mut list.command);
        if list.parentheses > 0 {
            list.parentheses -= 1;
        } else if end == End::OfText || list.cases > 0 || !self.here.is_empty() {
            return Err(self.unsure("a `)` that closes nothing"));
        } else {
            self.next += 1;
            return Ok(true);
        }
        self.next += 1;
        Ok(false)
    }

    fn word_of(&mut self, list: &mut List) -> Result<(), TemplateError> {
        let first = list.command.words.iter().all(is_reserved);
        let word = self.word()?;
        match word.unquoted() {
            Some("case") if first => return self.case(list),
            Some("esac") if first => {
                list.cases = list
                    .cases
                    .checked_sub(1)
                    .ok_or_else(|| self.unsure("`esac` without `case`"))?;
            }
            _ => {}
        }
        list.command.words.push(word);
        Ok(())
    }

    fn comment(&mut self) -> Result<(), TemplateError> {
        while let Some(symbol) = self.peek() {
            match symbol {
                Symbol::Char('\n') => break,
                Symbol::Hole(placeholder) => return Err(self.misplaced(placeholder, Place::Comment)),
                Symbol::Char(_) => self.next += 1,
            }
        }
        Ok(())
    }

    /// A word where the grammar asks for one.
    fn some_word(&mut self) -> Result<Word, TemplateError> {
        let start = self.next;
        let word = self.word()?;
        if self.next == start {
            Err(self.unsure("the place where a word is missing"))
        } else {
            Ok(word)
        }
    }

    fn word(&mut self) -> Result<Word, TemplateError> {
        let mut word = Word::new(self.at());
        while let Some(symbol) = self.peek() {
            match symbol {
                Symbol::Char(' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => break,
                Symbol::Char('\\') => self.backslash(&mut word)?,
                Symbol::Char('\'') => self.single_quotes(&mut word)?,
                Symbol::Char('"') => self.double_quotes(&mut word)?,
                Symbol::Char('$') => self.dollar(&mut word, false)?,
                Symbol::Char('`') => self.backticks(&mut word, false)?,
                Symbol::Hole(placeholder) => self.hole(&mut word, placeholder, Quoting::Bare)?,
                Symbol::Char(c @ ('*' | '?' | '[')) => {
                    word.parts.push(Part::Pattern(c));
                    self.next += 1;
                }
                Symbol::Char(c) => {
                    word.push(c, false);
                    self.next += 1;
                }
            }
        }
        word.settle();
        if word.has_brace_expansion() {
            return Err(TemplateError::Unsure {
                what: "a brace expansion".to_owned(),
                at: word.at,
            });
        }
        Ok(word)
    }

    fn hole(
        &mut self,
        word: &mut Word,
        placeholder: Placeholder,
        quoting: Quoting,
    ) -> Result<(), TemplateError> {
        if let Some(place) = self.inside.last() {
            return Err(self.misplaced(placeholder, *place));
        }
        word.parts.push(Part::Hole(placeholder, self.at()));
        self.script.quotings.push(quoting);
        self.next += 1;
        Ok(())
    }

    /// Skips blanks and joined lines.
    fn blanks(&mut self) {
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some(Symbol::Char(' ' | '\t')), _) => self.next += 1,
                (Some(Symbol::Char('\\')), Some(Symbol::Char('\n'))) => self.next += 2,
                _ => return,
            }
        }
    }

    fn blanks_and_lines(&mut self) -> Result<(), TemplateError> {
        self.blanks();
        while let Some(Symbol::Char('\n' | '#')) = self.peek() {
            self.comment()?;
            if self.peek().is_some() {
                self.next += 1;
                self.here_documents()?;
            }
            self.blanks();
        }
        Ok(())
    }

    /// A joined line directly after an operator could make another operator of it.
    fn no_continuation(&self) -> Result<(), TemplateError> {
        match (self.peek(), self.peek_at(1)) {
            (Some(Symbol::Char('\\')), Some(Symbol::Char('\n'))) => {
                Err(self.unsure("a joined line directly after an operator"))
            }
            _ => Ok(()),
        }
    }

    fn peek(&self) -> Option<Symbol> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<Symbol> {
        self.units.get(self.next + ahead).map(|unit| unit.symbol)
    }

    /// The characters from `start` to here.
    fn between(&self, start: usize) -> String {
        let units = self.units.get(start..self.next).unwrap_or_default();
        units
            .iter()
            .filter_map(|u| {
                if let Symbol::Char(c) = u.symbol {
                    Some(c)
                } else {
                    None
                }
            })
            .collect()
    }

    fn at(&self) -> At {
        self.place_of(self.next)
    }

    /// The place of a unit; of the last one where there is none.
    fn place_of(&self, index: usize) -> At {
        let unit = self.units.get(index).or_else(|| self.units.last());
        unit.map_or(
            At {
                argument: None,
                byte: 0,
            },
            |unit| unit.at,
        )
    }

    fn misplaced(&self, placeholder: Placeholder, place: Place) -> TemplateError {
        TemplateError::Misplaced {
            placeholder,
            at: self.at(),
            place,
        }
    }

    fn unsure(&self, what: &str) -> TemplateError {
        self.unsure_at(self.next, what)
    }

    fn unsure_at(&self, index: usize, what: &str) -> TemplateError {
        TemplateError::Unsure {
            what: what.to_owned(),
            at: self.place_of(index),
        }
    }
}

fn is_reserved(word: &Word) -> bool {
    word.unquoted().is_some_and(|text| RESERVED.contains(&text))
}
