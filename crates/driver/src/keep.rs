//! Where a run is kept: in files beside its goal.json, or in a store of the embedder's.

#[cfg(feature = "command")]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::Digest;
use machine_driver_state::record::Record;
use machine_driver_state::store::{
    Access, Each, Expected, FileStore, GoalEdit, Kept, KeptAs, Opened, Paths, Store, StoreError,
};

use crate::error::DriverError;
use crate::read::parse;

/// A store, and what the driver asks beside its port.
#[derive(Debug)]
pub(crate) enum Keep {
    /// Files, held by the lock on the log.
    Files(Box<FileStore>),
    /// A store of somebody else's, which sees to its own lock.
    Own {
        /// The store.
        store: Box<dyn Store>,
        /// Where goal.json lies, and the evidence.
        paths: Paths,
        /// How long the log is that was appended in this run, in bytes.
        bytes: u64,
    },
}

impl Keep {
    /// Takes the lock of a run that is kept in files.
    pub(crate) fn open(paths: &Paths) -> Result<Self, StoreError> {
        Ok(Self::Files(Box::new(FileStore::open(paths, Access::Create)?)))
    }

    /// Takes a store of somebody else's.
    pub(crate) const fn own(store: Box<dyn Store>, paths: Paths) -> Self {
        let bytes = 0;
        Self::Own { store, paths, bytes }
    }

    /// The file again, where somebody wrote it between its reading and the lock.
    pub(crate) fn as_it_is_now(&mut self, file: GoalFile, path: &Path) -> Result<GoalFile, DriverError> {
        let newer = self.goal_text()?.filter(|text| text != file.source());
        newer.map_or(Ok(file), |text| parse(text.as_bytes(), path))
    }

    /// Whether it is somebody else's: such a store makes its records itself, and nobody signs them.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    /// Where the files are.
    pub(crate) const fn paths(&self) -> &Paths {
        match self {
            Self::Files(files) => files.paths(),
            Self::Own { paths, .. } => paths,
        }
    }

    /// The file that holds the lock, for a guardian that is to hold it too.
    #[cfg(feature = "command")]
    pub(crate) fn lock_file(&self) -> Option<&fs::File> {
        match self {
            Self::Files(files) => files.lock_file(),
            Self::Own { .. } => None,
        }
    }

    /// goal.json as it is under the lock; none where it is as it was read before.
    pub(crate) fn goal_text(&mut self) -> Result<Option<String>, StoreError> {
        match self {
            Self::Files(files) => files.goal_text().map(Some),
            Self::Own { .. } => Ok(None),
        }
    }

    pub(crate) fn load(&mut self, expected: &Expected, each: &mut Each<'_>) -> Result<Opened, StoreError> {
        match self {
            Self::Files(files) => files.load(expected, each),
            Self::Own { store, .. } => store.load(expected, each),
        }
    }

    /// Appends a record that was found to fit. When this returns it is durable.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        match self {
            Self::Files(files) => files.append_record(record),
            Self::Own { store, bytes, paths } => {
                if store.append(record.at, record.event.clone())? != *record {
                    let text = "the store appended another record: it is not where it was when it was loaded";
                    return Err(StoreError::Io {
                        operation: "append to",
                        path: paths.log.clone(),
                        source: io::Error::new(io::ErrorKind::InvalidData, text),
                    });
                }
                *bytes += record.line()?.len() as u64 + 1;
                Ok(())
            }
        }
    }

    /// How long the log is, in bytes.
    pub(crate) fn log_bytes(&self) -> u64 {
        match self {
            Self::Files(files) => files.log_bytes(),
            Self::Own { bytes, .. } => *bytes,
        }
    }

    pub(crate) fn checkpoint(&mut self, goal_json: &str) -> Result<(), StoreError> {
        match self {
            Self::Files(files) => files.checkpoint(goal_json),
            Self::Own { store, .. } => store.checkpoint(goal_json),
        }
    }

    pub(crate) fn save_snapshot(&mut self, goal: &[u8]) -> Result<Digest, StoreError> {
        match self {
            Self::Files(files) => files.save_snapshot(goal),
            Self::Own { store, .. } => store.save_snapshot(goal),
        }
    }

    /// Where the goal that a replay needs is kept; a store of somebody else's answers for that itself.
    pub(crate) fn snapshot_file(&self, digest: &Digest) -> Option<PathBuf> {
        match self {
            Self::Files(files) => Some(files.paths().snapshot(digest)),
            Self::Own { .. } => None,
        }
    }

    /// Whether goal.json is another than was read or written last.
    pub(crate) fn goal_changed_outside(&mut self) -> Result<Option<GoalEdit>, StoreError> {
        match self {
            Self::Files(files) => files.goal_changed_outside(),
            Self::Own { .. } => Ok(None),
        }
    }

    /// Keeps an edit of goal.json beside it and puts `goal_json` in its place.
    pub(crate) fn keep_edit_and_restore(
        &mut self,
        goal_json: &str,
        when: &str,
    ) -> Result<Option<PathBuf>, StoreError> {
        match self {
            Self::Files(files) => files.keep_edit_and_restore(goal_json, when),
            Self::Own { .. } => Ok(None),
        }
    }

    /// A log of the original driver that was set aside before a crash.
    pub(crate) fn kept_original(&self) -> Result<Option<Kept>, StoreError> {
        match self {
            Self::Files(files) => files.kept_original(),
            Self::Own { .. } => Ok(None),
        }
    }

    /// Moves the log aside.
    pub(crate) fn set_aside(&mut self, kept_as: KeptAs) -> Result<Kept, StoreError> {
        match self {
            Self::Files(files) => files.set_aside(kept_as),
            Self::Own { paths, .. } => Err(StoreError::NotLoaded {
                path: paths.log.clone(),
            }),
        }
    }
}
