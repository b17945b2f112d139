//! Copies of governance records, outside of what a halt stops.
//!
//! A file gets what it misses: after a crash, or when it could not be written for a while, the records that are not in it yet
//! come first. A command is started for each record on a thread of its own, and tried until the run ends.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use machine_driver_state::goal::AuditSink;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::record::Record;
use rustix::fs::{Mode, OFlags};

use crate::error::DriverError;
use crate::outcome::chain;

/// How far from its end a file is searched for the last record that it has.
const SEARCHED: u64 = 1 << 20;

/// Where copies go.
#[derive(Debug)]
pub(crate) struct Sink {
    target: Target,
    /// Lines that are not there yet, oldest first.
    owed: Vec<String>,
    /// Number of the last record of this goal that is there already.
    last: Option<u64>,
    /// What went wrong, until somebody was told.
    trouble: Option<String>,
    told: bool,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    #[cfg(feature = "command")]
    Command(command::Copies),
}

impl Sink {
    /// Where the goal's copies go, if it asks for any.
    ///
    /// # Errors
    /// [`DriverError::Goal`] where a worker could reach them.
    pub(crate) fn of(file: &GoalFile) -> Result<Option<Self>, DriverError> {
        let Some(sink) = &file.goal().audit_sink else {
            return Ok(None);
        };
        let (target, last) = match sink {
            AuditSink::File(path) => {
                refuse_reachable(file, path)?;
                (
                    Target::File(path.clone()),
                    last_of(path, &file.goal().deployment_id),
                )
            }
            AuditSink::Command(argv) => (command_of(file, argv)?, None),
        };
        Ok(Some(Self {
            target,
            owed: Vec::new(),
            last,
            trouble: None,
            told: false,
        }))
    }

    /// A record that the log has already: it is owed where the file does not have it.
    pub(crate) fn found(&mut self, record: &Record) {
        let is_missing = self.last.is_none_or(|last| record.seq > last);
        if is_missing && record.event.is_of_governance() && matches!(self.target, Target::File(_)) {
            self.owe(record);
        }
    }

    /// Copies a record that is on disk, if it is one of governance, and what is owed before it.
    pub(crate) fn copy(&mut self, record: &Record) {
        if record.event.is_of_governance() {
            self.owe(record);
            self.pay();
        }
    }

    /// What went wrong, told once.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take()?;
        (!std::mem::replace(&mut self.told, true)).then_some(trouble)
    }

    fn owe(&mut self, record: &Record) {
        match record.line() {
            Ok(line) => self.owed.push(line),
            Err(error) => self.trouble = Some(chain(&error)),
        }
    }

    fn pay(&mut self) {
        match &mut self.target {
            Target::File(path) => match append(path, &self.owed) {
                Ok(()) => self.owed.clear(),
                Err(error) => self.trouble = Some(format!("could not append to {}: {error}", path.display())),
            },
            #[cfg(feature = "command")]
            Target::Command(copies) => {
                self.owed.drain(..).for_each(|line| copies.send(line));
                self.trouble = self.trouble.take().or(copies.trouble());
            }
        }
    }
}

/// A copy that a worker can change is none.
fn refuse_reachable(file: &GoalFile, path: &Path) -> Result<(), DriverError> {
    let really = |path: &Path| fs::canonicalize(path).ok();
    let folder = path.parent().and_then(really);
    let refused = |message: String, help: &str| {
        Err(file
            .refuse(None, "audit_sink", message, Some(help.to_owned()))
            .into())
    };
    let Some(folder) = folder else {
        let message = format!("there is no folder for {}", path.display());
        return refused(message, "make the folder");
    };
    let repo = really(&file.goal().repo).unwrap_or_else(|| file.goal().repo.clone());
    if folder.starts_with(&repo) {
        let message = format!("{} lies in the folder that is worked on", path.display());
        return refused(message, "put it where no worker has business");
    }
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return refused(format!("{} is not a file", path.display()), "name a file");
    }
    Ok(())
}

/// Appends lines in one write, durably. A line that was torn by a crash is ended first.
fn append(path: &Path, lines: &[String]) -> io::Result<()> {
    let flags = OFlags::RDWR
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut text = String::new();
    if meta.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Number of the last record of this deployment in the file; others may write there too.
fn last_of(path: &Path, deployment_id: &str) -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let length = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SEARCHED))).ok()?;
    let mut tail = Vec::new();
    file.take(SEARCHED).read_to_end(&mut tail).ok()?;
    let records = tail.split(|byte| *byte == b'\n').rev();
    let mut records = records.filter_map(|line| Record::read(line).ok());
    records
        .find(|record| record.deployment_id == deployment_id)
        .map(|record| record.seq)
}

#[cfg(not(feature = "command"))]
fn command_of(file: &GoalFile, _argv: &[String]) -> Result<Target, DriverError> {
    let message = "this build starts no commands".to_owned();
    Err(file
        .refuse(None, "audit_sink", message, Some("name a file".to_owned()))
        .into())
}

#[cfg(feature = "command")]
fn command_of(file: &GoalFile, argv: &[String]) -> Result<Target, DriverError> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let Some(program) = machine_driver_process::find_program(name.as_ref()) else {
        let message = format!("there is no program `{name}`");
        let help = "install it, or name it by its whole path".to_owned();
        return Err(file.refuse(None, "audit_sink", message, Some(help)).into());
    };
    let copies = command::Copies::start(program, argv).map_err(|source| DriverError::Io {
        operation: "start a thread for",
        path: file.path().to_owned(),
        source,
    })?;
    Ok(Target::Command(copies))
}

#[cfg(feature = "command")]
mod command {
    use std::ffi::OsString;
    use std::path::PathBuf;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread::{Builder, JoinHandle};
    use std::time::{Duration, Instant};
    use std::{fmt, io};

    use machine_driver_process::{Cancel, Capture, capture};

    use crate::outcome::chain;

    /// The longest that a command may take for one record.
    const WALL: Duration = Duration::from_secs(10);

    /// How often a record is tried.
    const TRIES: u32 = 3;

    /// How long the end of a run waits for copies under way: a halt must not wait for a network.
    const FAREWELL: Duration = Duration::from_secs(2);

    /// Copies on their way through a command.
    pub(super) struct Copies {
        lines: Option<Sender<String>>,
        troubles: Receiver<String>,
        thread: Option<JoinHandle<()>>,
    }

    impl Copies {
        pub(super) fn start(program: PathBuf, argv: &[String]) -> io::Result<Self> {
            let (lines, records) = mpsc::channel::<String>();
            let (tell, troubles) = mpsc::channel();
            let mut words = vec![program.into_os_string()];
            words.extend(argv.iter().skip(1).map(OsString::from));
            let work = move || {
                for line in records {
                    if let Some(trouble) = copy(&words, line) {
                        drop(tell.send(trouble)); // Nobody listens any more: the run is over.
                    }
                }
            };
            let thread = Builder::new().name("audit-sink".into()).spawn(work)?;
            Ok(Self {
                lines: Some(lines),
                troubles,
                thread: Some(thread),
            })
        }

        pub(super) fn send(&self, line: String) {
            if let Some(lines) = &self.lines {
                drop(lines.send(line)); // A thread that panicked was told of on standard error.
            }
        }

        pub(super) fn trouble(&self) -> Option<String> {
            self.troubles.try_iter().last()
        }
    }

    /// What went wrong, where a record could not be copied.
    fn copy(argv: &[OsString], mut line: String) -> Option<String> {
        line.push('\n');
        let command = Capture {
            argv: argv.to_vec(),
            env: std::env::vars_os().collect(),
            cwd: "/".into(),
            stdin: line.into_bytes(),
            wall: WALL,
            stdout_max: 64 << 10,
            stderr_max: 4 << 10,
        };
        let mut why = String::new();
        for _ in 0..TRIES {
            match capture(&command, &Cancel::new()) {
                Ok(ended) if ended.succeeded() => return None,
                Ok(ended) => why = format!("{:?}", ended.ending),
                Err(error) => why = chain(&error),
            }
        }
        Some(format!("the command of audit_sink failed {TRIES} times: {why}"))
    }

    impl Drop for Copies {
        fn drop(&mut self) {
            self.lines = None;
            let until = Instant::now() + FAREWELL;
            while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    impl fmt::Debug for Copies {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Copies").finish_non_exhaustive()
        }
    }
}
