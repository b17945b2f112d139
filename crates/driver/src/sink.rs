//! Copies of governance records, outside of what a halt stops.
//!
//! Whoever takes hold of a log sends what the sink does not have yet, oldest first, and then each record behind the log. A
//! file is searched for the last record that it has; for a command, which is started for each record on a thread of its own,
//! that is kept beside the log. A record may come twice, and none is left out.

#[cfg(feature = "command")]
mod command;
mod file;
mod place;

use std::path::{Path, PathBuf};

use machine_driver_state::goal::AuditSink;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::Digest;
use machine_driver_state::record::Record;
use machine_driver_state::store::{Paths, RealDisk, read_log};

use crate::error::DriverError;
use crate::outcome::chain;
use crate::read::look_at;

pub(crate) use place::check;

/// Where copies go.
#[derive(Debug)]
pub(crate) struct Sink {
    target: Target,
    /// Lines that are not there yet, oldest first.
    owed: Vec<Line>,
    /// The last record of this goal that is there already.
    last: Option<Digest>,
    /// What went wrong, until somebody was told.
    trouble: Option<String>,
    told: bool,
}

/// A record as the log has it.
#[derive(Debug)]
struct Line {
    text: String,
    #[cfg_attr(
        not(feature = "command"),
        expect(dead_code, reason = "files are searched for it")
    )]
    hash: Digest,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    #[cfg(feature = "command")]
    Command(command::Copies),
    /// It cannot be used: nothing is copied before that is mended, and then everything that is missing.
    Unusable,
}

impl Sink {
    /// Where the goal's copies go, if it asks for any. One that cannot be used is trouble and no error: what an operator
    /// says must not wait for a copy of it. A run asks [`check`] before.
    pub(crate) fn of(file: &GoalFile, paths: &Paths) -> Option<Self> {
        let sink = file.goal().audit_sink.as_ref()?;
        let (target, last, trouble) = match target_of(file, sink, paths) {
            Ok(target) => (target, last_of(sink, paths, file), None),
            Err(why) => (Target::Unusable, None, Some(why)),
        };
        Some(Self {
            target,
            owed: Vec::new(),
            last,
            trouble,
            told: false,
        })
    }

    /// A record that the log has already: it is owed where it comes after the last one that is there. One that is there
    /// without being in this log is of a log that was set aside.
    pub(crate) fn found(&mut self, record: &Record) {
        if self.last == Some(record.hash) {
            self.owed.clear();
        } else if record.event.is_of_governance() {
            self.owe(record);
        }
    }

    /// Copies a record that is on disk, if it is one of governance, and what is owed before it.
    pub(crate) fn copy(&mut self, record: &Record) {
        if record.event.is_of_governance() {
            self.owe(record);
            self.pay();
        }
        #[cfg(feature = "command")]
        if let Target::Command(copies) = &mut self.target {
            copies.hurry(&record.event);
        }
    }

    /// What went wrong, told once.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take()?;
        (!std::mem::replace(&mut self.told, true)).then_some(trouble)
    }

    fn owe(&mut self, record: &Record) {
        match record.line() {
            Ok(text) => self.owed.push(Line {
                text,
                hash: record.hash,
            }),
            Err(error) => self.trouble = Some(chain(&error)),
        }
    }

    /// Copies what is owed, before anything new is. `is_of_the_tree` says whether the tree is held too: whoever holds the log
    /// alone may have come because of what somebody else is sending just now, as `halt` does.
    pub(crate) fn catch_up(&mut self, is_of_the_tree: bool) {
        if is_of_the_tree || matches!(self.target, Target::File(_)) {
            self.pay();
        }
    }

    /// Copies what is owed.
    fn pay(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        match &mut self.target {
            Target::File(path) => match file::append(path, &self.owed) {
                Ok(()) => self.owed.clear(),
                Err(error) => self.trouble = Some(format!("could not append to {}: {error}", path.display())),
            },
            #[cfg(feature = "command")]
            Target::Command(copies) => {
                self.owed.drain(..).for_each(|line| copies.send(line));
                self.trouble = self.trouble.take().or(copies.trouble());
            }
            Target::Unusable => {}
        }
    }
}

#[cfg_attr(
    not(feature = "command"),
    expect(unused_variables, reason = "only commands need to know where the log is")
)]
fn target_of(file: &GoalFile, sink: &AuditSink, paths: &Paths) -> Result<Target, String> {
    check(file).map_err(|error| place::why(&error))?;
    match sink {
        AuditSink::File(path) => Ok(Target::File(path.clone())),
        #[cfg(not(feature = "command"))]
        AuditSink::Command(_) => Ok(Target::Unusable),
        #[cfg(feature = "command")]
        AuditSink::Command(argv) => command::Copies::start(argv, place::Kept::of(paths, argv))
            .map(Target::Command)
            .map_err(|error| format!("no thread could be started for it: {error}")),
    }
}

fn last_of(sink: &AuditSink, paths: &Paths, file: &GoalFile) -> Option<Digest> {
    match sink {
        AuditSink::File(path) => file::last_of(path, &file.goal().deployment_id),
        AuditSink::Command(argv) => place::Kept::of(paths, argv).read(),
    }
}

/// How far the copies of a goal's governance records have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    /// The file, or the program.
    pub to: String,
    /// Governance records of the log that are not there.
    pub missing: u64,
    /// Why the sink cannot be used as things stand, where that can be seen without using it.
    pub why: Option<String>,
    /// Whether a run is refused for that.
    pub is_refused: bool,
}

/// How far the copies have come for the goal.json at this path; none where it asks for none, or cannot be read. Nothing is
/// written, and no program started.
#[must_use]
pub fn copies(goal: &Path) -> Option<Copies> {
    let file = look_at(goal).ok()?;
    let sink = file.goal().audit_sink.as_ref()?;
    let paths = Paths::of(goal);
    let last = last_of(sink, &paths, &file);
    let mut missing = 0;
    // As far as it can be read: what is wrong with a log is said elsewhere.
    drop(read_log(&RealDisk, &paths.log, None, &mut |entry| {
        if last == Some(entry.record.hash) {
            missing = 0;
        } else if entry.record.event.is_of_governance() {
            missing += 1;
        }
        Ok(())
    }));
    let refused = check(&file).err().map(|error: DriverError| place::why(&error));
    let is_refused = refused.is_some();
    let (to, why) = match sink {
        AuditSink::File(path) => (
            path.display().to_string(),
            refused.or_else(|| file::cannot_append(path)),
        ),
        AuditSink::Command(argv) => (argv.first().cloned().unwrap_or_default(), refused),
    };
    Some(Copies {
        to,
        missing,
        why,
        is_refused,
    })
}
