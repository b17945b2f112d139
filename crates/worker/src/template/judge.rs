//! Whether the value of a placeholder could be parsed or run by something that a command starts.
//!
//! Only asked where a command has a placeholder. A value may be an argument of an ordinary program; it may not become
//! program text, a program's name, or an option of an interpreter. Values can also travel through variables, so in such a
//! command no program text may be put together at run time.

use super::lex::{Command, RESERVED};
use super::programs::{Habit, Wrapper, habit, is_dangerous_variable};
use super::units::plain;
use super::word::{Word, is_name};
use super::{Placeholder, TemplateError, Warning, lex};

mod interpreter;

/// How deep program texts may lie in program texts.
const NESTING_MAX: usize = 8;

type Judgement = Result<(), TemplateError>;

/// Judges each command; the warnings it has.
pub(super) fn commands(commands: &[Command]) -> Result<Vec<Warning>, TemplateError> {
    let mut judge = Judge {
        warnings: Vec::new(),
        depth: 0,
    };
    commands
        .iter()
        .try_for_each(|command| judge.command(&command.words))?;
    Ok(judge.warnings)
}

/// Judges the words of an array command.
pub(super) fn words(words: &[Word]) -> Result<Vec<Warning>, TemplateError> {
    let mut judge = Judge {
        warnings: Vec::new(),
        depth: 0,
    };
    judge.program(words)?;
    Ok(judge.warnings)
}

/// The words of a command from its first word that is not reserved and no assignment.
pub(super) fn from_program(words: &[Word]) -> &[Word] {
    let reserved = |word: &Word| word.unquoted().is_some_and(|text| RESERVED.contains(&text));
    let words = skip_while(words, reserved);
    skip_while(words, |word| word.assigns().is_some())
}

fn skip_while(words: &[Word], mut skip: impl FnMut(&Word) -> bool) -> &[Word] {
    let skipped = words.iter().take_while(|word| skip(word)).count();
    words.get(skipped..).unwrap_or_default()
}

struct Judge {
    warnings: Vec<Warning>,
    depth: usize,
}

impl Judge {
    fn command(&mut self, words: &[Word]) -> Judgement {
        let command = from_program(words);
        let before = words.len() - command.len();
        words.iter().take(before).try_for_each(assignment)?;
        self.program(command)
    }

    /// Judges a command that begins with its program.
    fn program(&mut self, words: &[Word]) -> Judgement {
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        if let Some(name) = program.basename() {
            return self.named(&name, program, arguments);
        }
        match program.hole() {
            Some((placeholder, at)) => Err(TemplateError::AsProgram { placeholder, at }),
            None => Err(unsure(
                "a program that is only known when the command runs",
                program,
            )),
        }
    }

    fn named(&mut self, name: &str, program: &Word, arguments: &[Word]) -> Judgement {
        match habit(name) {
            None => self.ordinary(arguments),
            Some(Habit::Wrapper(wrapper)) => match wrapped(wrapper, arguments) {
                Some(rest) if wrapper.assigns => self.program(after_assignments(rest)?),
                Some(rest) => self.program(rest),
                None if name == "command" => no_holes(name, arguments),
                None => Err(unsure(&format!("an option of `{name}`"), program)),
            },
            Some(Habit::Shell { sh }) => self.shell(name, sh, program, arguments),
            Some(Habit::Interpreter(interpreter)) => self.interpreter(name, interpreter, program, arguments),
            Some(Habit::Parses) if matches!(name, "let" | "function" | "alias") => {
                no_holes(name, arguments)?;
                Err(unsure(&format!("`{name}`"), program))
            }
            Some(Habit::Parses) => no_dynamic(name, arguments),
            Some(Habit::Evaluates) => {
                no_dynamic(name, arguments)?;
                let texts: Vec<String> = arguments.iter().filter_map(Word::literal).collect();
                self.text(&texts.join(" "), program)
            }
            Some(Habit::Traps) => self.trap(name, arguments),
            Some(Habit::Sources) => sources(name, program, arguments),
            Some(Habit::Declares) => arguments.iter().try_for_each(|word| declares(name, word)),
            Some(Habit::Formats) => formats(name, arguments),
            Some(Habit::Tests) => tests(name, program, arguments),
            Some(Habit::Sets) => {
                let before = arguments
                    .iter()
                    .take_while(|word| word.literal().as_deref() != Some("--"))
                    .count();
                no_dynamic(name, arguments.get(..before).unwrap_or_default())
            }
            Some(Habit::Loops) => loops(name, program, arguments),
            Some(Habit::Numbers) => no_holes(name, arguments),
            Some(Habit::Data) => {
                if name == "echo" {
                    self.warn_of_options(arguments);
                }
                Ok(())
            }
        }
    }

    /// A program that is not known. One that starts an interpreter for us, such as `docker run IMAGE sh -c …`, shows it
    /// in its arguments.
    fn ordinary(&mut self, arguments: &[Word]) -> Judgement {
        self.warn_of_options(arguments);
        for (index, word) in arguments.iter().enumerate() {
            // `Bash` is a word that agents know as the name of a tool.
            let known = word
                .literal()
                .and_then(|_| word.basename())
                .filter(|name| *name == name.to_lowercase());
            let Some(name) = known else {
                continue;
            };
            let rest = arguments.get(index + 1..).unwrap_or_default();
            match habit(&name) {
                Some(Habit::Shell { sh }) if interpreter::has_program_option(rest, "c", &[]) => {
                    self.shell(&name, sh, word, rest)?;
                }
                Some(Habit::Interpreter(i))
                    if interpreter::has_program_option(rest, i.inline, i.inline_long) =>
                {
                    self.interpreter(&name, i, word, rest)?;
                }
                Some(Habit::Parses) if matches!(name.as_str(), "ssh" | "su" | "xargs") => {
                    no_dynamic(&name, rest)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn warn_of_options(&mut self, arguments: &[Word]) {
        let exposed = arguments
            .iter()
            .take_while(|word| word.literal().as_deref() != Some("--"));
        let warnings = exposed
            .filter_map(Word::leading_text_hole)
            .map(|(placeholder, at)| Warning::MayBeAnOption { placeholder, at });
        self.warnings.extend(warnings);
    }

    /// A program text of `sh` that is known: in it too nothing may be put together at run time.
    fn text(&mut self, text: &str, word: &Word) -> Judgement {
        if self.depth >= NESTING_MAX {
            return Err(unsure("a program text nested that deep", word));
        }
        let script = lex::read(&plain(text, word.at))?;
        self.depth += 1;
        script
            .commands
            .iter()
            .try_for_each(|command| self.command(&command.words))?;
        self.depth -= 1;
        Ok(())
    }

    fn trap(&mut self, name: &str, arguments: &[Word]) -> Judgement {
        no_dynamic(name, arguments)?;
        match arguments.first() {
            Some(action) => match action.literal() {
                Some(text) if text != "-" && text != "--" => self.text(&text, action),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// The command that a wrapper runs; `None` where an option is not known.
pub(super) fn wrapped(wrapper: Wrapper, arguments: &[Word]) -> Option<&[Word]> {
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let Some(text) = word.literal().filter(|text| text.starts_with('-')) else {
            break;
        };
        if text == "-" && !wrapper.assigns {
            break;
        }
        rest = after;
        if text == "--" {
            break;
        }
        if text.starts_with("--") {
            if !wrapper.long.contains(&text.as_str()) {
                return None;
            }
            continue;
        }
        let mut letters = text.chars().skip(1).skip_while(|c| wrapper.plain.contains(*c));
        match letters.next() {
            None => {}
            Some(letter) if !wrapper.valued.contains(letter) => return None,
            Some(_) if letters.next().is_none() => rest = static_argument(rest)?,
            Some(_) => {}
        }
    }
    for _ in 0..wrapper.operands {
        rest = static_argument(rest)?;
    }
    Some(rest)
}

/// What follows an argument that is no placeholder.
fn static_argument(words: &[Word]) -> Option<&[Word]> {
    let (word, rest) = words.split_first()?;
    word.hole().is_none().then_some(rest)
}

/// `NAME=value` before a command; a reserved word passes.
fn assignment(word: &Word) -> Judgement {
    assigned(word, word.assigns().unwrap_or_default())
}

fn assigned(word: &Word, variable: &str) -> Judgement {
    match word.hole() {
        Some((placeholder, at)) if is_dangerous_variable(variable) => {
            Err(run_again(variable, placeholder, at))
        }
        _ => Ok(()),
    }
}

/// What follows the `NAME=value` arguments of `env`, which may be quoted.
fn after_assignments(words: &[Word]) -> Result<&[Word], TemplateError> {
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let beginning = word.known_beginning();
        let Some((name, _)) = beginning.split_once('=') else {
            break;
        };
        assigned(word, name)?;
        rest = after;
    }
    Ok(rest)
}

fn declares(name: &str, word: &Word) -> Judgement {
    let assigned = word.assigns();
    if word.is_dynamic() && assigned.is_none() {
        return no_dynamic(name, std::slice::from_ref(word));
    }
    let attributes =
        |text: &str| text.starts_with(['-', '+']) && text.chars().skip(1).any(|c| !"xrgp".contains(c));
    if word.literal().is_some_and(|text| attributes(&text)) {
        return Err(unsure(&format!("an attribute that `{name}` sets"), word));
    }
    assignment(word)
}

fn formats(name: &str, arguments: &[Word]) -> Judgement {
    let rest = match arguments.split_first() {
        Some((first, rest)) if first.literal().as_deref() == Some("--") => rest,
        _ => arguments,
    };
    let Some(format) = rest.first() else { return Ok(()) };
    no_dynamic(name, std::slice::from_ref(format))?;
    match format.literal() {
        Some(text) if rest.len() == arguments.len() && text.starts_with('-') => {
            Err(unsure("an option of `printf`", format))
        }
        _ => Ok(()),
    }
}

/// `test` with a value is clear where the operator is known; bash's `-v` and `-R` evaluate subscripts.
fn tests(name: &str, program: &Word, arguments: &[Word]) -> Judgement {
    let closing = usize::from(name != "test");
    let arguments = arguments
        .get(..arguments.len().saturating_sub(closing))
        .unwrap_or_default();
    let is = |index: usize, operators: &[&str]| {
        arguments
            .get(index)
            .and_then(Word::literal)
            .is_some_and(|text| operators.contains(&text.as_str()))
    };
    let skip = usize::from(arguments.len() > 2 && is(0, &["!"]));
    let unary = ["-n", "-z", "-e", "-f", "-d", "-s", "-r", "-w", "-x", "-L", "-h"];
    let binary: &[&str] = match name {
        "[[" => &["=", "==", "!="], // its `-eq` evaluates both sides
        _ => &["=", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"],
    };
    let clear = match arguments.len() - skip {
        0 | 1 => true,
        2 => is(skip, &unary),
        3 => is(skip + 1, binary),
        _ => false,
    };
    if clear || !arguments.iter().any(Word::is_dynamic) && !(0..arguments.len()).any(|i| is(i, &["-v", "-R"]))
    {
        return Ok(());
    }
    no_holes(name, arguments)?;
    Err(unsure(&format!("`{name}` with more than one test"), program))
}

fn sources(name: &str, program: &Word, arguments: &[Word]) -> Judgement {
    no_holes(name, arguments)?;
    match arguments.first() {
        Some(file) if file.basename().is_none() => Err(unsure(
            "a file of commands that is only known at run time",
            program,
        )),
        _ => Ok(()),
    }
}

/// `for NAME in …`: the values become the variable's, and are no program text.
fn loops(name: &str, program: &Word, arguments: &[Word]) -> Judgement {
    let known = |index: usize| arguments.get(index).and_then(Word::unquoted);
    match (known(0).filter(|text| is_name(text)), known(1)) {
        (Some(variable), Some("in")) if !is_dangerous_variable(variable) => Ok(()),
        (Some(_), None) if arguments.len() == 1 => Ok(()),
        _ => {
            no_holes(name, arguments)?;
            Err(unsure(&format!("the form of this `{name}`"), program))
        }
    }
}

/// Refuses values, and whatever else is only known at run time.
fn no_dynamic(program: &str, words: &[Word]) -> Judgement {
    no_holes(program, words)?;
    match words.iter().find(|word| word.is_dynamic()) {
        Some(word) => Err(unsure(
            &format!("an argument of `{program}` that is put together at run time"),
            word,
        )),
        None => Ok(()),
    }
}

fn no_holes(program: &str, words: &[Word]) -> Judgement {
    match words.iter().find_map(Word::hole) {
        Some((placeholder, at)) => Err(run_again(program, placeholder, at)),
        None => Ok(()),
    }
}

fn run_again(program: &str, placeholder: Placeholder, at: super::At) -> TemplateError {
    TemplateError::RunAgain {
        placeholder,
        program: program.to_owned(),
        at,
    }
}

fn unsure(what: &str, word: &Word) -> TemplateError {
    TemplateError::Unsure {
        what: what.to_owned(),
        at: word.at,
    }
}
