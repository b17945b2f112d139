//! What can go wrong around a repository.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use machine_driver_governor::CommitError;

/// A repository cannot be used, or a call to git failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The folder is not in a git repository.
    #[error("{path} is not in a git repository", path = path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
    },
    /// There is no git on `PATH`.
    #[error("there is no git on PATH")]
    NoGit,
    /// Git does not know who commits.
    #[error("git does not know who commits in {path}: user.name or user.email is missing", path = path.display())]
    NoIdentity {
        /// The folder.
        path: PathBuf,
    },
    /// The repository is of a kind, or in a state, in which the driver does not commit.
    #[error("cannot commit in {path}: {what}", path = path.display())]
    Unsupported {
        /// The repository.
        path: PathBuf,
        /// What stands against it, as a clause.
        what: String,
    },
    /// A git command failed.
    #[error("git could not {operation} in {path}: {detail}", path = path.display())]
    Git {
        /// What it was to do, as a verb.
        operation: &'static str,
        /// The repository.
        path: PathBuf,
        /// What it said, in one line.
        detail: String,
    },
    /// It was stopped.
    #[error("stopped while git was to {operation}")]
    Cancelled {
        /// What git was to do, as a verb.
        operation: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {operation} {path}", path = path.display())]
    Io {
        /// What failed, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl RepoError {
    /// What to do about it, as one sentence.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "Run `git init` there and commit once, or use mode propose.",
            Self::NoGit => "Install git, or put it on PATH.",
            Self::NoIdentity { .. } => {
                "Run `git config user.name \"Your Name\"` and `git config user.email you@example.com` there."
            }
            Self::Unsupported { .. } => "Bring the repository into a plain state, or use mode propose.",
            Self::Git { .. } => "Look at the repository with `git status` and `git fsck`.",
            Self::Cancelled { .. } => "Start again; nothing was committed.",
            Self::Io { .. } => "Look at the file, its permissions and the space left on the disk.",
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// As the port tells it: what was tried, with the whole story as its source.
pub(crate) trait Told<T> {
    /// `what` is a clause for people.
    fn told(self, what: &str) -> Result<T, CommitError>;
}

impl<T> Told<T> for Result<T, RepoError> {
    fn told(self, what: &str) -> Result<T, CommitError> {
        self.map_err(|e| match e {
            RepoError::Cancelled { .. } => CommitError::Cancelled,
            e => failed(what, e),
        })
    }
}

pub(crate) fn failed(what: &str, source: impl Error + Send + Sync + 'static) -> CommitError {
    CommitError::Failed {
        what: what.to_owned(),
        source: Box::new(source),
    }
}

/// `text` in one line, without what a terminal would act on, and not long.
pub(crate) fn one_line(text: &[u8]) -> String {
    const MAX: usize = 600;
    let text = String::from_utf8_lossy(text);
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() >= MAX {
            line.push('…');
            break;
        }
        match c {
            '\n' => line.push_str("; "),
            c if c.is_control() || is_invisible(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// Bytes of a path for people, in backquotes.
pub(crate) fn name(path: &[u8]) -> String {
    format!("`{}`", one_line_raw(path))
}

fn one_line_raw(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let escape = |c: char| -> String {
        if c.is_control() || is_invisible(c) {
            c.escape_default().collect()
        } else {
            c.into()
        }
    };
    text.chars().map(escape).collect()
}

/// Marks that reorder or hide text (Unicode Bidi_Control, zero width).
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_becomes_one_harmless_line() {
        assert_eq!(
            one_line(b"error: a\nfatal: \x1b[31mb\r\n"),
            "error: a; fatal: \\u{1b}[31mb"
        );
        assert_eq!(one_line("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert!(one_line(&[b'x'; 5000]).chars().count() < 700);
        assert_eq!(name(b"a\n\xff"), "`a\\n\u{fffd}`");
    }
}
