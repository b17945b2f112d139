//! Placeholders in a worker's command.
//!
//! `{task}` and its like are never replaced by text. In a string command each becomes an expansion of an environment
//! variable, quoted for the place where it stands; in an array command it is an argument. So a value is data, whatever it
//! holds, and reaches the program byte for byte. Where that cannot be had or shown (inside `$(…)`, behind `bash -c`, in shell
//! that cannot be followed), the command is refused.
//!
//! What this cannot see: a program or script that takes the value as its argument and then runs it, and a value that was
//! written to a file and is run from there.

use std::ffi::OsString;
use std::fmt;

use machine_driver_state::environment;
use machine_driver_state::goal::CommandLine;

mod error;
mod judge;
mod lex;
mod programs;
mod units;
mod word;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub use error::{At, Place, TemplateError};
use lex::{Quoting, Script};
use programs::Habit;
use units::{Symbol, Unit};
use word::Word;

/// A value that a worker's command can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placeholder {
    /// The task's text.
    Task,
    /// The task's id.
    TaskId,
    /// The number of the attempt, from 1.
    Attempt,
    /// The end of what the last failed verify wrote; empty on the first attempt.
    Feedback,
    /// A file with more of it.
    FeedbackFile,
    /// A file with the task's text.
    TaskFile,
    /// goal.json.
    GoalFile,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Task,
        Self::TaskId,
        Self::Attempt,
        Self::Feedback,
        Self::FeedbackFile,
        Self::TaskFile,
        Self::GoalFile,
    ];

    /// What stands between the braces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::TaskId => "task_id",
            Self::Attempt => "attempt",
            Self::Feedback => "feedback",
            Self::FeedbackFile => "feedback_file",
            Self::TaskFile => "task_file",
            Self::GoalFile => "goal_file",
        }
    }

    /// The environment variable that has the value.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Task => "MACHINE_TASK",
            Self::TaskId => "MACHINE_TASK_ID",
            Self::Attempt => "MACHINE_ATTEMPT",
            Self::Feedback => "MACHINE_FEEDBACK",
            Self::FeedbackFile => "MACHINE_FEEDBACK_FILE",
            Self::TaskFile => "MACHINE_TASK_FILE",
            Self::GoalFile => "MACHINE_GOAL",
        }
    }

    /// The shell's way to write the value.
    fn expansion(self) -> String {
        format!("\"${}\"", self.variable())
    }

    /// Paths are absolute, and numbers are not negative.
    const fn may_begin_with_dash(self) -> bool {
        matches!(self, Self::Task | Self::TaskId | Self::Feedback)
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{{{}}}`", self.name())
    }
}

/// Something about a command that works, but perhaps not as it was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A value that begins with `-` would look like an option to the program.
    MayBeAnOption {
        /// Which.
        placeholder: Placeholder,
        /// Where.
        at: At,
    },
    /// Every brace was doubled, and was made single as the original driver did.
    BracesMadeSingle,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MayBeAnOption { placeholder, at } => write!(
                f,
                "a value of {placeholder} at {at} that begins with `-` could be read as an option; write `--` before it \
                 if the program takes that"
            ),
            Self::BracesMadeSingle => f.write_str(
                "every brace of the command is doubled, so each pair is read as one brace, as in the original driver; \
                 to keep `{{`, put the command into a script file",
            ),
        }
    }
}

/// A worker's command, found to be safe whatever the values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    form: Form,
    uses_task_text: bool,
    program: Option<String>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Shell(String),
    Argv(Vec<Argument>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Text(String),
    Value(Placeholder),
}

impl Template {
    /// Reads a command.
    ///
    /// # Errors
    /// [`TemplateError`] where a value could be parsed or run, or where that cannot be excluded.
    pub fn parse(command: &CommandLine) -> Result<Self, TemplateError> {
        match command {
            CommandLine::Shell(text) => Self::shell(text),
            CommandLine::Argv(arguments) => Self::argv(arguments),
        }
    }

    /// The program and its arguments, with the values that `value` gives. The values of a string command come from the
    /// environment, so it asks for none.
    #[must_use]
    pub fn command(&self, value: impl Fn(Placeholder) -> OsString) -> Vec<OsString> {
        match &self.form {
            Form::Shell(script) => vec!["sh".into(), "-c".into(), script.into()],
            Form::Argv(arguments) => arguments
                .iter()
                .map(|argument| match argument {
                    Argument::Text(text) => text.into(),
                    Argument::Value(placeholder) => value(*placeholder),
                })
                .collect(),
        }
    }

    /// Whether a shell runs the command, so that 126 and 127 are the shell's way to say that it could not start.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        matches!(self.form, Form::Shell(_))
    }

    /// Whether it names `{task}` or `MACHINE_TASK`, so that a text too long for one string cannot reach it.
    #[must_use]
    pub fn uses_task_text(&self) -> bool {
        self.uses_task_text
    }

    /// The program that it runs first, where that is known without running it, and is a program and not a command of the shell.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.program.as_deref()
    }

    /// What a person should look at.
    #[must_use]
    pub fn warns(&self) -> &[Warning] {
        &self.warnings
    }

    fn shell(text: &str) -> Result<Self, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut texts = [units::cut(text, None)?];
        let made_single = units::make_braces_single(&mut texts);
        let [units] = texts;
        let read = lex::read(&units);
        let mut warnings = Vec::new();
        let mut quotings = Vec::new();
        if has_hole(&units) {
            let script = read.as_ref().map_err(Clone::clone)?;
            warnings = judge::commands(&script.commands)?;
            quotings.clone_from(&script.quotings);
        }
        if made_single {
            warnings.push(Warning::BracesMadeSingle);
        }
        Ok(Self {
            uses_task_text: uses_task_text([units.as_slice()]),
            program: read.ok().and_then(|script| first_program(&script)),
            form: Form::Shell(render(&units, &quotings)),
            warnings,
        })
    }

    fn argv(arguments: &[String]) -> Result<Self, TemplateError> {
        if arguments.first().is_none_or(String::is_empty) {
            return Err(TemplateError::Empty);
        }
        let cut = |(index, text): (usize, &String)| units::cut(text, Some(index));
        let mut texts = arguments
            .iter()
            .enumerate()
            .map(cut)
            .collect::<Result<Vec<_>, _>>()?;
        let made_single = units::make_braces_single(&mut texts);
        let form = texts
            .iter()
            .map(|units| argument(units))
            .collect::<Result<Vec<_>, _>>()?;
        let words: Vec<Word> = texts
            .iter()
            .enumerate()
            .map(|(index, units)| {
                Word::argument(
                    units,
                    At {
                        argument: Some(index),
                        byte: 0,
                    },
                )
            })
            .collect();
        let mut warnings = Vec::new();
        if texts.iter().any(|units| has_hole(units)) {
            warnings = judge::words(&words)?;
        }
        if made_single {
            warnings.push(Warning::BracesMadeSingle);
        }
        Ok(Self {
            uses_task_text: uses_task_text(texts.iter().map(Vec::as_slice)),
            program: words.first().and_then(Word::literal),
            form: Form::Argv(form),
            warnings,
        })
    }
}

fn has_hole(units: &[Unit]) -> bool {
    units.iter().any(|unit| matches!(unit.symbol, Symbol::Hole(_)))
}

/// A placeholder as a whole, or text without one.
fn argument(units: &[Unit]) -> Result<Argument, TemplateError> {
    if let [
        Unit {
            symbol: Symbol::Hole(placeholder),
            ..
        },
    ] = units
    {
        return Ok(Argument::Value(*placeholder));
    }
    let characters = units.iter().map(|unit| match unit.symbol {
        Symbol::Char(c) => Ok(c),
        Symbol::Hole(placeholder) => Err(TemplateError::PartOfArgument {
            placeholder,
            at: unit.at,
        }),
    });
    characters.collect::<Result<String, _>>().map(Argument::Text)
}

/// The script with an expansion in the place of each placeholder.
fn render(units: &[Unit], quotings: &[Quoting]) -> String {
    let mut quotings = quotings.iter();
    let mut script = String::with_capacity(units.len());
    for unit in units {
        match unit.symbol {
            Symbol::Char(c) => script.push(c),
            Symbol::Hole(placeholder) => {
                let variable = placeholder.variable();
                script.push_str(&match quotings.next() {
                    Some(Quoting::Double) => format!("${{{variable}}}"),
                    Some(Quoting::Single) => format!("'\"${{{variable}}}\"'"),
                    Some(Quoting::Bare) | None => format!("\"${{{variable}}}\""),
                });
            }
        }
    }
    script
}

fn uses_task_text<'a>(texts: impl IntoIterator<Item = &'a [Unit]>) -> bool {
    texts
        .into_iter()
        .any(|units| environment::names_task(&render(units, &[])))
}

fn first_program(script: &Script) -> Option<String> {
    let first = script.commands.iter().find(|command| !command.nested)?;
    let path_changes = first.words.iter().any(|word| word.assigns() == Some("PATH"));
    let mut words = judge::from_program(&first.words);
    loop {
        let (program, arguments) = words.split_first()?;
        let name = program
            .literal()
            .filter(|text| !text.is_empty() && !text.starts_with('~'))?;
        match program.basename().as_deref().and_then(programs::habit) {
            Some(Habit::Wrapper(wrapper)) if wrapper.transparent && !arguments.is_empty() => {
                let rest = judge::wrapped(wrapper, arguments)?;
                words = if wrapper.assigns {
                    judge::from_program(rest)
                } else {
                    rest
                };
            }
            Some(Habit::Wrapper(_) | Habit::Shell { .. } | Habit::Interpreter(_)) | None => {
                let known = !path_changes && !script.functions.contains(&name) && !is_shell_word(&name);
                return known.then_some(name);
            }
            Some(Habit::Parses) if programs::is_program(&name) => return (!path_changes).then_some(name),
            Some(_) => return None,
        }
    }
}

/// What the shell itself reads, and no program has to be found for.
fn is_shell_word(name: &str) -> bool {
    lex::RESERVED.contains(&name) || matches!(name, "exec" | "command" | "builtin" | "time" | "case")
}
