//! Shells and other interpreters: which argument is their program, and that no value is part of it.

use super::super::TemplateError;
use super::super::programs::Interpreter;
use super::super::word::Word;
use super::{Judge, Judgement, no_dynamic, no_holes, run_again, unsure};

/// What an option does.
enum Step {
    /// Nothing that concerns us.
    Skip,
    /// It has program text in it or after it.
    Text { attached: bool },
    /// Its argument follows, and may be a value or not.
    Argument { data: bool },
    /// It holds a value that is data.
    Data,
    /// It names the program, in it or after it.
    Named { attached: bool },
}

/// Whether the options that begin `words` say that program text follows.
pub(super) fn has_program_option(words: &[Word], letters: &str, long: &[&str]) -> bool {
    let option = |word: &&Word| word.looks_like_option() || is_long(word, long);
    words.iter().take_while(option).any(|word| {
        let text = word.known_beginning();
        is_long(word, long) || !text.starts_with("--") && text.chars().skip(1).any(|c| letters.contains(c))
    })
}

fn is_long(word: &Word, long: &[&str]) -> bool {
    let text = word.known_beginning();
    long.iter()
        .any(|name| text == *name || text.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

impl Judge {
    pub(super) fn shell(&mut self, name: &str, sh: bool, program: &Word, arguments: &[Word]) -> Judgement {
        let mut inline = false;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let text = known(name, word)?;
            match text.as_str() {
                "-o" | "+o" | "-O" | "+O" => match words.next() {
                    Some(value) => no_dynamic(name, std::slice::from_ref(value))?,
                    None => return Err(unsure(&format!("an option of `{name}`"), word)),
                },
                "--login" | "--norc" | "--noprofile" | "--posix" | "--no-rcs" => {}
                "--" => match words.next() {
                    Some(operand) => return self.shell_program(name, sh, inline, operand),
                    None => break,
                },
                _ if text.starts_with("--") || text == "-" || text == "+" => {
                    no_holes(name, arguments)?;
                    return Err(unsure(&format!("an option of `{name}`"), word));
                }
                _ if text.starts_with(['-', '+']) => {
                    let letters: String = text.chars().skip(1).collect();
                    if !letters.chars().all(|c| "abcefhilmnpuvxCEBHPT".contains(c)) {
                        return Err(unsure(&format!("an option of `{name}`"), word));
                    }
                    inline |= letters.contains('c');
                }
                _ => return self.shell_program(name, sh, inline, word),
            }
        }
        Err(unsure(
            &format!("`{name}`, which reads its program from standard input,"),
            program,
        ))
    }

    fn shell_program(&mut self, name: &str, sh: bool, inline: bool, operand: &Word) -> Judgement {
        if !inline {
            return match operand.hole() {
                Some((placeholder, at)) => Err(run_again(name, placeholder, at)),
                None if operand.basename().is_none()
                    || operand.literal().is_some_and(|t| t.starts_with("/dev/")) =>
                {
                    Err(unsure(
                        &format!("a script of `{name}` that is only known at run time"),
                        operand,
                    ))
                }
                None => Ok(()),
            };
        }
        let text = known(name, operand)?;
        if sh { self.text(&text, operand) } else { Ok(()) }
    }

    pub(super) fn interpreter(
        &mut self,
        name: &str,
        interpreter: Interpreter,
        program: &Word,
        arguments: &[Word],
    ) -> Judgement {
        let mut has_text = false;
        let mut rest = arguments;
        while let Some((word, after)) = rest.split_first() {
            let is_option = word.looks_like_option() || is_long(word, interpreter.inline_long);
            if !is_option || word.literal().as_deref() == Some("--") {
                break;
            }
            rest = after;
            if has_text && !interpreter.goes_on && !interpreter.first_is_text {
                return Ok(());
            }
            match step(interpreter, word) {
                Step::Skip => no_dynamic(name, std::slice::from_ref(word))?,
                Step::Text { attached } => {
                    has_text = true;
                    no_dynamic(name, std::slice::from_ref(word))?;
                    if !attached {
                        rest = take(name, rest, false)?;
                    }
                }
                Step::Argument { data } => rest = take(name, rest, data)?,
                Step::Data => {}
                Step::Named { attached } => {
                    has_text = true;
                    no_dynamic(name, std::slice::from_ref(word))?;
                    if !attached {
                        rest = take(name, rest, false)?;
                    }
                }
            }
        }
        self.operands(name, interpreter, has_text, program, rest)
    }

    fn operands(
        &mut self,
        name: &str,
        interpreter: Interpreter,
        has_text: bool,
        program: &Word,
        words: &[Word],
    ) -> Judgement {
        let ended = words.first().and_then(Word::literal).as_deref() == Some("--");
        let words = words.get(usize::from(ended)..).unwrap_or_default();
        let values = if has_text {
            words
        } else {
            match words.split_first() {
                Some((first, _)) if first.literal().as_deref() == Some("-") => {
                    return Err(unsure(
                        &format!("`{name}`, which reads its program from standard input,"),
                        first,
                    ));
                }
                Some((first, values)) => {
                    self.operand(name, interpreter, first)?;
                    values
                }
                None => {
                    return Err(unsure(
                        &format!("`{name}`, which reads its program from standard input,"),
                        program,
                    ));
                }
            }
        };
        // After a script's name everything is the script's; after program text an interpreter may look for more.
        let looks_on = if has_text {
            interpreter.goes_on || interpreter.first_is_text
        } else {
            interpreter.goes_on && interpreter.first_is_text
        };
        let exposed = looks_on && !ended;
        match values.iter().find_map(Word::leading_text_hole) {
            Some((placeholder, at)) if exposed => Err(run_again(name, placeholder, at)),
            _ => Ok(()),
        }
    }

    /// The operand that is the program: text, or the name of a file.
    fn operand(&mut self, name: &str, interpreter: Interpreter, word: &Word) -> Judgement {
        if interpreter.first_is_text {
            return no_dynamic(name, std::slice::from_ref(word));
        }
        no_holes(name, std::slice::from_ref(word))?;
        match word.basename() {
            Some(_) => Ok(()),
            None => Err(unsure(
                &format!("a script of `{name}` that is only known at run time"),
                word,
            )),
        }
    }
}

fn step(interpreter: Interpreter, word: &Word) -> Step {
    if is_long(word, interpreter.inline_long) {
        return Step::Text {
            attached: word.known_beginning().contains('='),
        };
    }
    let text = word.known_beginning();
    if text.starts_with("--") {
        return Step::Skip;
    }
    for (index, letter) in text.char_indices().skip(1) {
        let attached = index + 1 < text.len() || word.is_dynamic();
        if interpreter.inline.contains(letter) {
            return Step::Text { attached };
        }
        if interpreter.names.contains(letter) {
            return Step::Named { attached };
        }
        if interpreter.valued.contains(letter) {
            let data = interpreter.data.contains(letter);
            return match attached {
                true if data => Step::Data,
                true => Step::Skip,
                false => Step::Argument { data },
            };
        }
    }
    Step::Skip
}

/// What follows the argument of an option, which may be a value only where it is data.
fn take<'a>(name: &str, words: &'a [Word], data: bool) -> Result<&'a [Word], TemplateError> {
    let Some((word, rest)) = words.split_first() else {
        return Ok(words);
    };
    if !data {
        no_dynamic(name, std::slice::from_ref(word))?;
    }
    Ok(rest)
}

/// The text of a word that has to be known.
fn known(name: &str, word: &Word) -> Result<String, TemplateError> {
    no_dynamic(name, std::slice::from_ref(word))?;
    word.literal()
        .ok_or_else(|| unsure(&format!("a pattern as an argument of `{name}`"), word))
}
