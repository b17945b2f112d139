//! goal.json as a file: read strictly, rewritten without touching what the operator wrote.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::error::{path_of, shown};
use super::keys::{self, Key, Level, Role};
use super::node::Node;
use super::read::{Digests, Found, read};
use super::report::Report;
use super::text::Step;
use super::{Goal, rewrite, text};
use crate::canonical::{canonical_json, sha256};
use crate::strict;

pub use super::error::{GoalError, Problem};
pub use super::govern::Governance;
pub use super::progress::{Checkpoint, Progress, TaskProgress};

/// The most bytes that a goal.json may have, 64 MiB.
pub const BYTES_MAX: usize = 64 << 20;

/// The deepest nesting that is read: `serde_json`'s own limit.
const DEPTH_MAX: usize = 127;

/// Where a goal.json is, and what a reader may know of the folders around it. Nothing else is looked at.
#[derive(Clone)]
pub struct Place<'a> {
    /// The file as messages should name it.
    pub path: PathBuf,
    /// The absolute folder that holds the file; relative paths in it start here.
    pub folder: PathBuf,
    /// The current directory, from which the original driver took `repo`. Where both folders exist and differ, the
    /// file is refused. `None`: not looked at.
    pub cwd: Option<PathBuf>,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// The one true path of an existing folder, links resolved (as [`std::fs::canonicalize`]); `None` where there is
    /// no folder. The goal's [`repo`](Goal::repo) is what this returns.
    pub folder_at: &'a dyn Fn(&Path) -> Option<PathBuf>,
}

impl Place<'static> {
    /// A place where every folder exists and is what it is called: for goals that are only read, as in a replay.
    #[must_use]
    pub fn unseen(path: PathBuf, folder: PathBuf, home: Option<PathBuf>) -> Self {
        Self {
            path,
            folder,
            cwd: None,
            home,
            folder_at: &|folder| Some(folder.to_owned()),
        }
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("path", &self.path)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A goal.json that was read: the goal, the progress found beside it, and the text, for rewriting.
#[derive(Debug, Clone)]
pub struct GoalFile {
    path: PathBuf,
    source: String,
    goal: Goal,
    progress: Progress,
    snapshot: Vec<u8>,
}

impl GoalFile {
    /// Reads a goal.json by the rules that [`schema`](super::schema) has, and those between its keys. Touches no file but through [`Place::folder_at`].
    ///
    /// # Errors
    /// [`GoalError`] with every problem found: of the text itself (size, encoding, syntax, duplicate keys) the first,
    /// of what it says all of them.
    pub fn parse(bytes: &[u8], place: &Place<'_>) -> Result<Self, GoalError> {
        let source = decode(bytes, &place.path)?;
        Self::read(source, &place.path, Found::At(place))
    }

    /// The file, as messages name it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The goal.
    #[must_use]
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// The progress that the file claims; one entry for each task.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The text that was read.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The RFC 8785 form of the file without progress and without the operator's notes (`$schema`, `_*`, `x-*`). Its
    /// SHA-256 is the goal's [`digest`](Goal::digest); reading it gives the same goal, if from the same folder.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.snapshot.clone()
    }

    /// The file with this progress in place of its own. Every other byte, the order of keys and the layout stay as
    /// the operator wrote them; it ends with a newline. Tasks beyond those of `progress` keep what they have.
    #[must_use]
    pub fn render(&self, progress: &Progress) -> String {
        rewrite::with_progress(&self.source, progress)
    }

    /// The file with one more task at the end, checked by the same rules; the rest stays as it is, as in
    /// [`render`](Self::render).
    ///
    /// # Errors
    /// [`GoalError`] as from [`parse`](Self::parse); its text and places are those of the file with the task.
    pub fn with_task(&self, task: &Value) -> Result<Self, GoalError> {
        let source = rewrite::with_task(&self.source, task).ok_or_else(|| {
            let message = "there is no list to add a task to".to_owned();
            GoalError::single(&self.path, &self.source, "tasks".to_owned(), 0..0, message, None)
        })?;
        Self::read(source, &self.path, Found::Before(&self.goal))
    }

    /// An error about this file that only somebody else could find, such as a command that does not exist: at `key` of
    /// the task with this place in [`Goal::tasks`], or of the goal itself.
    #[must_use]
    pub fn refuse(&self, task: Option<usize>, key: &str, message: String, help: Option<String>) -> GoalError {
        let task = task.map(|index| [Step::Key("tasks".to_owned()), Step::Index(index)]);
        let mut steps: Vec<Step> = task.into_iter().flatten().collect();
        steps.push(Step::Key(key.to_owned()));
        let span = text::locate(&self.source, &steps, false);
        GoalError::single(&self.path, &self.source, path_of(&steps), span, message, help)
    }

    pub(super) fn read(source: String, path: &Path, paths: Found<'_>) -> Result<Self, GoalError> {
        let document = parse_json(&source, path)?;
        let mut report = Report::default();
        let root = Node::root(&document);
        let mut canonical = |whole| {
            let setting = Setting {
                value: &document,
                level: Some(&keys::GOAL),
                whole,
            };
            let bytes = canonical_json(&setting);
            bytes
                .map_err(|error| root.wrong(&mut report, error.to_string(), None))
                .unwrap_or_default()
        };
        let (snapshot, contract) = (canonical(true), canonical(false));
        let digests = Digests {
            goal: sha256(&snapshot),
            contract: sha256(&contract),
        };
        let found = read(root, digests, paths, &mut report);
        if let Some(error) = GoalError::from_report(path, &source, report) {
            return Err(error);
        }
        let Some((goal, progress)) = found else {
            let message = "it could not be read".to_owned();
            return Err(GoalError::single(
                path,
                &source,
                String::new(),
                0..0,
                message,
                None,
            ));
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            goal,
            progress,
            snapshot,
        })
    }
}

fn decode(bytes: &[u8], path: &Path) -> Result<String, GoalError> {
    let error = |text: &str, message: String, help: Option<&str>| {
        GoalError::single(
            path,
            text,
            String::new(),
            text.len()..text.len(),
            message,
            help.map(str::to_owned),
        )
    };
    if bytes.len() > BYTES_MAX {
        return Err(error(
            "",
            format!(
                "the file has {} bytes; at most {BYTES_MAX} are allowed",
                bytes.len()
            ),
            None,
        ));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(error(
            "",
            "the file begins with a byte order mark".to_owned(),
            Some("save it as UTF-8 without one"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|source| {
        let valid = bytes
            .get(..source.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok());
        let message = format!(
            "the file is not UTF-8: byte {} is the first that is not",
            source.valid_up_to()
        );
        error(valid.unwrap_or_default(), message, None)
    })?;
    if text.trim_ascii().is_empty() {
        return Err(error(
            "",
            "the file is empty".to_owned(),
            Some("`machine-driver init` writes one"),
        ));
    }
    Ok(text.to_owned())
}

/// Parses JSON without duplicate keys.
fn parse_json(source: &str, path: &Path) -> Result<Value, GoalError> {
    strict::value(source.as_bytes()).map_err(|error| {
        let at = text::byte_at(source, error.line(), error.column());
        if strict::is_duplicate(&error) {
            duplicate_key(source, path, at)
        } else {
            syntax_error(source, path, at, &error.to_string(), error.is_eof())
        }
    })
}

fn duplicate_key(source: &str, path: &Path, at: usize) -> GoalError {
    let Some(key) = text::key_at(source, at) else {
        return GoalError::single(path, source, String::new(), at..at, DUPLICATE.to_owned(), None);
    };
    let name = text::decoded(source, &key.place);
    let first = key
        .before
        .iter()
        .find(|place| text::is(source, place, &name))
        .map_or(at, |place| place.start);
    let (line, column) = text::line_and_column(source, first);
    let message = format!(
        "{DUPLICATE}: `{}` stands at {line}:{column} already",
        shown(&name)
    );
    GoalError::single(path, source, path_of(&key.steps), key.place, message, None)
}

fn syntax_error(source: &str, path: &Path, at: usize, message: &str, is_eof: bool) -> GoalError {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    let rest = source.get(at..).unwrap_or_default();
    let found = rest.chars().next();
    let (message, help) = match (message, found) {
        _ if is_eof => (format!("the file ends too early: {message}"), None),
        ("recursion limit exceeded", _) => (format!("it is nested deeper than {DEPTH_MAX} levels"), None),
        (_, Some('/' | '#')) => (
            message.to_owned(),
            Some("JSON has no comments; a key that begins with `_` can hold one"),
        ),
        (_, Some('N' | 'I' | '-')) if message != "trailing characters" => {
            (message.to_owned(), Some("JSON has no NaN and no Infinity"))
        }
        _ => (message.to_owned(), None),
    };
    let end = at + found.map_or(0, char::len_utf8);
    GoalError::single(
        path,
        source,
        String::new(),
        at..end,
        message,
        help.map(str::to_owned),
    )
}

const DUPLICATE: &str = "duplicate key";

/// A value as a snapshot has it: its objects without progress and notes.
struct Setting<'v> {
    value: &'v Value,
    level: Option<&'static Level>,
    /// Or without what stands beside the contract too.
    whole: bool,
}

impl Setting<'_> {
    fn leaves_out(&self, key: &Key) -> bool {
        key.role == Role::Progress || (key.is_beside_contract && !self.whole)
    }
}

impl Serialize for Setting<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.level) {
            (Value::Object(map), Some(level)) => {
                let mut object = serializer.serialize_map(None)?;
                for (name, value) in map.iter().filter(|(name, _)| !keys::is_note(name)) {
                    let key = level.key(name);
                    if !key.is_some_and(|key| self.leaves_out(key)) {
                        object.serialize_entry(
                            name,
                            &Setting {
                                value,
                                level: key.and_then(Key::level),
                                whole: self.whole,
                            },
                        )?;
                    }
                }
                object.end()
            }
            (Value::Array(items), Some(_)) => serializer.collect_seq(items.iter().map(|value| Setting {
                value,
                level: self.level,
                whole: self.whole,
            })),
            (value, _) => value.serialize(serializer),
        }
    }
}
