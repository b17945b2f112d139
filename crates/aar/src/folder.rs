//! The folder with a run's records: `t1.json`, and `t1.1.json`, `t1.2.json` for what it replaced.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use machine_driver_state::id::{Digest, NameError, TaskId};
use rustix::fs::FileType;

use crate::did::Did;
use crate::dir::Dir;
use crate::record::{ReadError, Record, SIZE_MAX};

/// The most names that are looked at in a folder of records.
const NAMES_MAX: usize = 1_000_000;

/// A folder of records. Names are looked up in the folder that was opened, whatever its path has become since; links are
/// never followed, and only plain files are opened.
#[derive(Debug)]
pub struct RecordFolder {
    dir: Dir,
    path: PathBuf,
}

/// A file of the folder whose name ends in `.json`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name: foreign text.
    pub name: String,
    /// Its bytes; the error where it is no plain file, too large, or cannot be read.
    pub bytes: Result<Vec<u8>, FolderError>,
}

/// What [`RecordFolder::write`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The record's file.
    pub path: PathBuf,
    /// What was there before, under its new name.
    pub kept: Option<PathBuf>,
    /// Whether the same record was there already, so that nothing was written.
    pub unchanged: bool,
}

/// The folder could not be used. Holds foreign text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refuses.
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not a record.
    #[error("{} is not a record: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// A record's task id names no file.
    #[error("the record's task id names no file: {source}")]
    Task {
        /// Why not.
        source: NameError,
    },
    /// A record cannot be replaced by one that says something else.
    #[error("{} holds another record than the one to be replaced", path.display())]
    Another {
        /// The file.
        path: PathBuf,
    },
    /// The chain of a subject has more than one end.
    #[error("the chain of {subject} has {ends} ends")]
    Fork {
        /// Whose chain.
        subject: Did,
        /// How many records no other follows.
        ends: usize,
    },
}

impl RecordFolder {
    /// Opens the folder, which must be there and not be a link.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let dir = Dir::open(path).map_err(failed("open", path))?;
        let path = path.to_owned();
        Ok(Self { dir, path })
    }

    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        Self::open(path)
    }

    /// Removes what processes that are no more left half-written: `.t1.json.4711.tmp`.
    pub fn sweep(&self) {
        for name in self.dir.names(NAMES_MAX).unwrap_or_default() {
            let text = name.to_string_lossy();
            let stem = text.strip_prefix('.').and_then(|text| text.strip_suffix(".tmp"));
            let pid = stem.and_then(|stem| stem.rsplit_once(".json."));
            if pid.is_some_and(|(_, pid)| is_gone(pid)) {
                let _ = self.dir.remove(&name);
            }
        }
    }

    /// Its path, as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a record, signed or not, to `TASK.json`: all of it or nothing, and durably. What is there already is kept
    /// as `TASK.N.json` first, unless it says the same: a signed record then takes the place of one that is not, and
    /// never the other way round.
    ///
    /// # Errors
    /// [`FolderError`]; what was there before is then still there, under one of its names.
    pub fn write(&self, record: &Record) -> Result<Written, FolderError> {
        let task = task_of(record)?;
        let name = OsString::from(format!("{task}.json"));
        let path = self.path.join(&name);
        let text = record.to_json();
        let mut written = Written {
            path,
            kept: None,
            unchanged: false,
        };
        let there = self.dir.kind(&name).map_err(failed("look at", &written.path))?;
        if there == Some(FileType::RegularFile) {
            let old = self.dir.read(&name, SIZE_MAX).unwrap_or_default();
            let twin = Record::read(&old).ok().filter(|old| old.says_the_same(record));
            let only_signed = twin.as_ref().map(|twin| (twin.is_signed(), record.is_signed()));
            if old == text.as_bytes() || only_signed == Some((true, false)) {
                written.unchanged = true;
                return Ok(written);
            }
            if only_signed == Some((false, true)) {
                self.put(&name, text.as_bytes())?;
                return Ok(written);
            }
        }
        if there.is_some() {
            written.kept = Some(self.keep(&task, &name)?);
        }
        self.put(&name, text.as_bytes())?;
        Ok(written)
    }

    /// Puts a record that was signed in place of the same record without a signature, atomically and durably.
    ///
    /// # Errors
    /// [`FolderError::Another`] where the file says something else than `signed` (`prior` aside), or is signed already.
    pub fn replace(&self, name: &str, signed: &Record) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let old = self.read(name)?;
        if old.is_signed() || !old.says_the_same(signed) {
            return Err(FolderError::Another { path });
        }
        self.put(OsStr::new(name), signed.to_json().as_bytes())
    }

    /// Reads a record by the name of its file.
    ///
    /// # Errors
    /// [`FolderError`] where there is no such plain file, or it is not a record.
    pub fn read(&self, name: &str) -> Result<Record, FolderError> {
        let path = self.path.join(name);
        let bytes = self.bytes(name)?;
        Record::read(&bytes).map_err(|source| FolderError::Read { path, source })
    }

    /// The record of a task, if there is one.
    ///
    /// # Errors
    /// As [`RecordFolder::read`].
    pub fn current(&self, task: &TaskId) -> Result<Option<Record>, FolderError> {
        match self.read(&format!("{task}.json")) {
            Err(FolderError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            // `t1.1.json` may be an older record of `t1`.
            Ok(record) => Ok(Some(record).filter(|record| record.task_id() == Some(task.as_str()))),
            Err(error) => Err(error),
        }
    }

    /// Every file whose name ends in `.json`, in order of the names: what a verification of the folder takes. Names that
    /// start with `.` are passed over.
    ///
    /// # Errors
    /// [`FolderError::Io`] where the folder cannot be listed.
    pub fn entries(&self) -> Result<Vec<Entry>, FolderError> {
        let names = self.dir.names(NAMES_MAX).map_err(failed("list", &self.path))?;
        let names = names.into_iter().filter(|name| is_record(name));
        Ok(names
            .map(|name| {
                let name = name.to_string_lossy().into_owned();
                let bytes = self.bytes(&name);
                Entry { name, bytes }
            })
            .collect())
    }

    /// The digest of the last signed record about `subject`: what the next one's `prior` is. None where there is no signed
    /// record about it. Signatures are not checked: a driver takes the head from its log, and this one after a loss.
    ///
    /// # Errors
    /// [`FolderError::Fork`] where several records are the last; [`FolderError`] where a file cannot be read as a record.
    pub fn head(&self, subject: &Did) -> Result<Option<Digest>, FolderError> {
        let (mut digests, mut priors) = (Vec::new(), Vec::new());
        for entry in self.entries()? {
            let path = self.path.join(&entry.name);
            let record = Record::read(&entry.bytes?).map_err(|source| FolderError::Read { path, source })?;
            if record.is_signed() && record.subject() == Some(subject.as_str()) {
                digests.extend(record.digest().ok());
                priors.extend(record.prior());
            }
        }
        digests.sort_unstable();
        digests.dedup();
        priors.sort_unstable();
        digests.retain(|digest| priors.binary_search(digest).is_err());
        match digests.as_slice() {
            [] => Ok(None),
            [head] => Ok(Some(*head)),
            several => Err(FolderError::Fork {
                subject: subject.clone(),
                ends: several.len(),
            }),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, FolderError> {
        let path = self.path.join(name);
        // A name, not a path.
        if name.is_empty() || name.contains('/') {
            let source = io::ErrorKind::InvalidFilename.into();
            return Err(failed("read", &path)(source));
        }
        self.dir
            .read(OsStr::new(name), SIZE_MAX)
            .map_err(failed("read", &path))
    }

    /// Gives what is at `name` the next free name.
    fn keep(&self, task: &TaskId, name: &OsStr) -> Result<PathBuf, FolderError> {
        let mut number = 1_u32;
        loop {
            let kept = format!("{task}.{number}.json");
            match self.dir.keep_as(name, OsStr::new(&kept)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                done => {
                    let path = self.path.join(kept);
                    done.map_err(failed("keep the older record as", &path))?;
                    return Ok(path);
                }
            }
        }
    }

    /// Writes to a name of its own, syncs, renames, and syncs the folder.
    fn put(&self, name: &OsStr, bytes: &[u8]) -> Result<(), FolderError> {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.tmp", std::process::id()));
        let path = self.path.join(&temporary);
        let (create, write) = (failed("create", &path), failed("write", &path));
        // What a crash of an earlier process with this id left behind.
        let mut file = match self.dir.create(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .dir
                .remove(&temporary)
                .and_then(|()| self.dir.create(&temporary)),
            created => created,
        }
        .map_err(create)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.dir.rename(&temporary, name));
        if written.is_err() {
            let _ = self.dir.remove(&temporary);
        }
        written.map_err(write)?;
        self.dir.sync().map_err(failed("sync", &self.path))
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io {
        operation,
        path,
        source,
    }
}

fn is_gone(pid: &str) -> bool {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

fn task_of(record: &Record) -> Result<TaskId, FolderError> {
    TaskId::new(record.task_id().unwrap_or_default()).map_err(|source| FolderError::Task { source })
}

fn is_record(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

#[cfg(test)]
#[path = "folder/tests.rs"]
mod tests;
