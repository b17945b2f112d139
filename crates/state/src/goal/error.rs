//! Why a goal.json is not acceptable, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::report::{Finding, Report};
use super::text;

/// Why a goal.json is not acceptable: at least one [`Problem`], in the file's order.
///
/// As text it is one line, `goal.json:12:5: tasks[3].goal: expected a text, found a number`; control characters in
/// what the file holds are escaped in it.
#[derive(Clone, PartialEq, Eq)]
pub struct GoalError(Box<Inner>);

/// Its text: `main` shows this form of an error, and nobody wants the whole file there.
impl fmt::Debug for GoalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoalError({self})")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    file: String,
    text: String,
    first: Problem,
    rest: Vec<Problem>,
    uncounted: usize,
}

/// One thing that is wrong in a goal.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    path: String,
    line: usize,
    column: usize,
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl GoalError {
    /// The file with only one thing wrong, `span` in `text`.
    pub(super) fn single(
        file: &Path,
        text: &str,
        path: String,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Self {
        let first = Problem::new(text, path, span, message, help);
        Self::new(file, text, first, Vec::new(), 0)
    }

    /// What a reader of `text` found; `None` where it found nothing.
    pub(super) fn from_report(file: &Path, text: &str, report: Report) -> Option<Self> {
        let uncounted = report.uncounted();
        let findings = report.into_findings().into_iter();
        let mut problems: Vec<Problem> = findings.map(|finding| Problem::locate(text, finding)).collect();
        problems.sort_by_key(|problem| problem.span.start);
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(Self::new(file, text, first, problems.collect(), uncounted))
    }

    fn new(file: &Path, text: &str, first: Problem, rest: Vec<Problem>, uncounted: usize) -> Self {
        let (file, text) = (file.display().to_string(), text.to_owned());
        Self(Box::new(Inner {
            file,
            text,
            first,
            rest,
            uncounted,
        }))
    }

    /// The file as the caller named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The text that spans point into. Of a file that is not UTF-8, the part before the first byte that is not; of one
    /// that is too large, nothing; for [`with_task`](super::file::GoalFile::with_task), the file with the new task.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Every problem that was kept; beyond the first twenty they are only counted.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.0.first).chain(&self.0.rest)
    }

    /// How many problems there are beyond those of [`problems`](Self::problems).
    #[must_use]
    pub fn uncounted(&self) -> usize {
        self.0.uncounted
    }

    /// [`Problem::path`] of the first problem.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.first.path()
    }

    /// [`Problem::line`] of the first problem.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.first.line()
    }

    /// [`Problem::column`] of the first problem.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.first.column()
    }

    /// [`Problem::span`] of the first problem.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.0.first.span()
    }

    /// [`Problem::message`] of the first problem.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.first.message()
    }

    /// [`Problem::help`] of the first problem.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.0.first.help()
    }
}

impl fmt::Display for GoalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file, self.0.first)?;
        match self.0.rest.len() + self.0.uncounted {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl std::error::Error for GoalError {}

impl Problem {
    fn new(text: &str, path: String, span: Range<usize>, message: String, help: Option<String>) -> Self {
        let (line, column) = text::line_and_column(text, span.start);
        Self {
            path,
            line,
            column,
            span,
            message,
            help,
        }
    }

    fn locate(text: &str, finding: Finding) -> Self {
        let span = text::locate(text, &finding.steps, finding.on_key);
        Self::new(text, path_of(&finding.steps), span, finding.message, finding.help)
    }

    /// The way to the value, such as `tasks[3].goal`; empty for the whole file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// The bytes of [`GoalError::text`] to point at; may be empty.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// `tasks[3].goal`; a key that is not a plain word stands in brackets, `["odd key"]`.
pub(super) fn path_of(steps: &[text::Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            text::Step::Index(index) => path.push_str(&format!("[{index}]")),
            text::Step::Key(key) if is_plain(key) => {
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(key);
            }
            text::Step::Key(key) => path.push_str(&format!("[\"{}\"]", shown(key))),
        }
    }
    path
}

fn is_plain(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    !key.is_empty() && key.len() <= 64 && key.bytes().all(plain)
}

/// A text of the file as a message may show it: at most 64 characters, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}
