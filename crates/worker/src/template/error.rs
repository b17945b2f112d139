//! Why a command is not acceptable as a template, and where.

use std::fmt;

use super::Placeholder;

/// A place in a command as the operator wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Which argument of an array command, counted from 0; `None` for a string command.
    pub argument: Option<usize>,
    /// Bytes before it in the command, or in that argument.
    pub byte: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            Some(argument) => write!(f, "argument {argument}, byte {}", self.byte),
            None => write!(f, "byte {}", self.byte),
        }
    }
}

/// Where in a shell command an expansion cannot stand for a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// `` `…` ``
    Backticks,
    /// `$(…)`
    Substitution,
    /// `$((…))`
    Arithmetic,
    /// `${…}`
    Parameter,
    /// `$'…'`
    DollarQuotes,
    /// The body of a here-document, or its delimiter.
    HereDocument,
    /// `# …`
    Comment,
    /// Directly after a backslash.
    Backslash,
    /// The name of a variable or function, or a pattern of `case`.
    Name,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backticks => "inside backticks",
            Self::Substitution => "inside `$(…)`",
            Self::Arithmetic => "inside `$((…))`",
            Self::Parameter => "inside `${…}`",
            Self::DollarQuotes => "inside `$'…'`",
            Self::HereDocument => "in a here-document",
            Self::Comment => "in a comment",
            Self::Backslash => "directly after a backslash",
            Self::Name => "where a name or a pattern belongs",
        })
    }
}

/// Why a command is not acceptable as a template. Whatever cannot be judged is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// No argument and no variable can hold a NUL.
    #[error("the command holds a NUL at {at}")]
    Nul {
        /// Where.
        at: At,
    },
    /// `{{task}}`: the original's way to write a literal `{task}`, and easily a slip.
    #[error("`{{{{{}}}}}` at {at} could be a placeholder or a literal; write `{{{}}}` for the value", .placeholder.name(), .placeholder.name())]
    Doubled {
        /// Which.
        placeholder: Placeholder,
        /// Where.
        at: At,
    },
    /// A place where the shell would not take an expansion as one word, or not at all.
    #[error("{placeholder} at {at} stands {place}; write {} there instead", .placeholder.expansion())]
    Misplaced {
        /// Which.
        placeholder: Placeholder,
        /// Where.
        at: At,
        /// What kind of place.
        place: Place,
    },
    /// In an array command there is no shell that could put an argument together.
    #[error(
        "{placeholder} at {at} is only part of an argument; in an array command it has to be the whole argument"
    )]
    PartOfArgument {
        /// Which.
        placeholder: Placeholder,
        /// Where.
        at: At,
    },
    /// The value would be looked up and run as a program.
    #[error("{placeholder} at {at} would be run as a program; put the program before it")]
    AsProgram {
        /// Which.
        placeholder: Placeholder,
        /// Where.
        at: At,
    },
    /// The value would become program text of another interpreter.
    #[error("{placeholder} at {at} is part of what `{program}` would parse once more; write {} in its text instead, in single quotes", .placeholder.expansion())]
    RunAgain {
        /// Which.
        placeholder: Placeholder,
        /// The interpreter.
        program: String,
        /// Where.
        at: At,
    },
    /// Shell that cannot be followed far enough to say that the value is never parsed.
    #[error(
        "{what} at {at}: with a placeholder in the command this cannot be shown to be safe; write \"$MACHINE_TASK\" instead of the placeholder, or move the command to a script file"
    )]
    Unsure {
        /// What it is, as a noun.
        what: String,
        /// Where.
        at: At,
    },
}

impl TemplateError {
    /// Where in the command; `None` where it is about the whole of it.
    #[must_use]
    pub fn at(&self) -> Option<At> {
        match self {
            Self::Empty => None,
            Self::Nul { at }
            | Self::Doubled { at, .. }
            | Self::Misplaced { at, .. }
            | Self::PartOfArgument { at, .. }
            | Self::AsProgram { at, .. }
            | Self::RunAgain { at, .. }
            | Self::Unsure { at, .. } => Some(*at),
        }
    }

    /// What to write instead, as one sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "name the program that does the work".to_owned(),
            Self::Nul { .. } => "take the NUL out".to_owned(),
            Self::Doubled { placeholder, .. } => format!("single braces are a placeholder: {placeholder}"),
            Self::PartOfArgument { placeholder, .. } => format!(
                "make it an argument of its own, or use a string command: `program --option={}`",
                placeholder.expansion()
            ),
            Self::AsProgram { .. } => "the first word has to be a program".to_owned(),
            Self::Misplaced { placeholder, .. } => {
                format!("the value is in the environment: {}", placeholder.expansion())
            }
            Self::RunAgain { placeholder, .. } => format!(
                "the value is in the environment: sh -c 'program {}'; or pass it as an argument after the program \
                 text: sh -c 'program \"$1\"' sh {placeholder}",
                placeholder.expansion()
            ),
            Self::Unsure { .. } => {
                "the text is in the environment as \"$MACHINE_TASK\", and in the file \"$MACHINE_TASK_FILE\""
                    .to_owned()
            }
        }
    }
}
