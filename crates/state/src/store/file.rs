//! The store on a disk: the log, goal.json, and the goals as they were.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;
use super::disk::{Access, Disk, DiskFile, RealDisk, Stat, read_whole, replace};
use super::error::{GoalEdit, StoreError};
use super::journal::{Expected, Journal, Opened, read_log};
use super::lock::lock_log;
use super::paths::Paths;
use super::scan::Each;
use crate::canonical::sha256;
use crate::event::Event;
use crate::id::Digest;
use crate::record::{Head, Record};
use crate::time::Timestamp;

/// The largest goal.json that is read, in bytes.
const GOAL_MAX: u64 = 64 << 20;

/// The files of one run, held by the lock on its log.
///
/// The way in: [`FileStore::open`], [`FileStore::goal_text`] (under the lock, so it is the one that counts), then
/// [`Store::load`] with what that text says.
#[derive(Debug)]
pub struct FileStore {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    /// goal.json itself, behind the links that lead there.
    goal: PathBuf,
    pub(super) lock: Arc<dyn DiskFile>,
    pub(super) journal: Option<Journal>,
    /// The log as this store wrote it last.
    written: Option<Stat>,
    /// goal.json as it was read or written last.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    stat: Stat,
    digest: Digest,
    /// Whether the content was looked at once since it was written. Only then does an equal `stat` say enough: the clock
    /// of the file system ticks every few milliseconds, and a change in the same tick as our own write shows nothing.
    settled: bool,
}

impl FileStore {
    /// Takes the lock on the goal's log. With [`Access::Create`] an empty log is made where there is none; so check the
    /// goal first, that a refused run leaves nothing behind.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another driver holds it, [`StoreError::Io`].
    pub fn open(paths: &Paths, access: Access) -> Result<Self, StoreError> {
        let goal = match fs::canonicalize(&paths.goal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => paths.goal.clone(),
            other => other.map_err(StoreError::io("find", &paths.goal))?,
        };
        let mut store = Self::open_on(Arc::new(RealDisk), paths, access)?;
        store.goal = goal;
        Ok(store)
    }

    /// As [`FileStore::open`], on another disk. goal.json is no link there.
    ///
    /// # Errors
    /// As [`FileStore::open`].
    pub fn open_on(disk: Arc<dyn Disk>, paths: &Paths, access: Access) -> Result<Self, StoreError> {
        let lock = lock_log(&*disk, &paths.log, access)?;
        Ok(Self {
            disk,
            goal: paths.goal.clone(),
            paths: paths.clone(),
            lock,
            journal: None,
            written: None,
            known: None,
        })
    }

    /// The file that holds the lock, for a guardian that is to hold it too.
    #[must_use]
    pub fn lock_file(&self) -> Option<&fs::File> {
        self.lock.os_file()
    }

    /// Where the files are.
    #[must_use]
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The log's last record; none before [`Store::load`] or while it is empty.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.journal.as_ref().and_then(Journal::head)
    }

    /// The log's length in bytes; 0 before [`Store::load`].
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::length)
    }

    /// Reads goal.json. From here on a change that is not this store's own is seen.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read, is over 64 MiB, or is not UTF-8.
    pub fn goal_text(&mut self) -> Result<String, StoreError> {
        let stat = self.disk.stat(&self.goal).map_err(self.goal_io("read"))?;
        let bytes = read_whole(&*self.disk, &self.goal, GOAL_MAX).map_err(self.goal_io("read"))?;
        let path = || self.paths.goal.clone();
        let bytes = bytes.map_err(|bytes| StoreError::TooLarge {
            path: path(),
            bytes,
            max: GOAL_MAX,
        })?;
        self.known = stat.map(|stat| Known {
            stat,
            digest: sha256(&bytes),
            settled: false,
        });
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let text = format!("it is not UTF-8 from byte {at} on");
            self.goal_io("read")(io::Error::new(io::ErrorKind::InvalidData, text))
        })
    }

    /// Whether goal.json is another than this store read or wrote last. Costs one look at the file; it is read only when
    /// it was touched, and once after each checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn goal_changed_outside(&mut self) -> Result<Option<GoalEdit>, StoreError> {
        if self.known.is_none() {
            return Ok(None);
        }
        if self.goal != self.paths.goal
            && fs::canonicalize(&self.paths.goal).ok().as_ref() != Some(&self.goal)
        {
            return Ok(Some(GoalEdit::NotTheFile));
        }
        let found = self.disk.stat(&self.goal).map_err(self.goal_io("look at"))?;
        let (Some(stat), Some(known)) = (found, &mut self.known) else {
            return Ok(Some(GoalEdit::Removed));
        };
        if !stat.is_file {
            return Ok(Some(GoalEdit::NotTheFile));
        }
        if known.settled && known.stat == stat {
            return Ok(None);
        }
        if known.stat.len != stat.len {
            return Ok(Some(GoalEdit::Edited));
        }
        let read = read_whole(&*self.disk, &self.goal, GOAL_MAX)
            .map_err(StoreError::io("read", &self.paths.goal))?;
        if read.is_ok_and(|bytes| sha256(&bytes) == known.digest) {
            (known.stat, known.settled) = (stat, true);
            return Ok(None);
        }
        Ok(Some(GoalEdit::Edited))
    }

    /// Keeps an edit of goal.json as `goal.json.edited-WHEN` and puts `goal_json` in its place. Returns the kept file,
    /// where there was one to keep.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep_edit_and_restore(
        &mut self,
        goal_json: &str,
        when: &str,
    ) -> Result<Option<PathBuf>, StoreError> {
        let kept = self.keep_edit(when).map_err(self.goal_io("keep the edit of"))?;
        self.write_goal(goal_json)?;
        Ok(kept)
    }

    /// Appends a record that was made, and found to fit, before. When it returns, the record is durable.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn append_record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.check_log()?;
        let path = &self.paths.log;
        let Some(journal) = &mut self.journal else {
            return Err(StoreError::NotLoaded { path: path.clone() });
        };
        let (disk, written) = (&self.disk, &mut self.written);
        journal.append_and(record, || {
            *written = disk.stat(path).map_err(StoreError::io("look at", path))?;
            Ok(())
        })
    }

    /// Whether the log is still what this store wrote. Costs one look at the file; only where something about it changed
    /// is it read again, whole: a hard link for a backup changes something, a rewritten record too.
    fn check_log(&mut self) -> Result<(), StoreError> {
        let path = &self.paths.log;
        let found = self.disk.stat(path).map_err(StoreError::io("look at", path))?;
        let (Some(found), Some(written), Some(journal)) = (found, self.written, &self.journal) else {
            return Ok(()); // Nothing was written yet, or the journal says that it is gone.
        };
        if found == written || found.len != written.len || found.id != written.id {
            return Ok(()); // The same is said by the journal.
        }
        let opened = read_log(&*self.disk, path, journal.head(), &mut |_| Ok(()))?;
        if opened.head != journal.head() {
            return Err(StoreError::Changed {
                path: path.clone(),
                expected: written.len,
                found: found.len,
            });
        }
        self.written = Some(found);
        Ok(())
    }

    fn remember_log(&mut self) -> Result<(), StoreError> {
        let path = &self.paths.log;
        self.written = self.disk.stat(path).map_err(StoreError::io("look at", path))?;
        Ok(())
    }

    pub(super) fn first_free(&self, paths: impl Iterator<Item = PathBuf>) -> io::Result<PathBuf> {
        for path in paths {
            if self.disk.stat(&path)?.is_none() {
                return Ok(path);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A copy, so that goal.json is there at any time. What cannot be copied (a link, a folder, a huge file) is moved.
    fn keep_edit(&self, when: &str) -> io::Result<Option<PathBuf>> {
        let Some(stat) = self.disk.stat(&self.goal)? else {
            return Ok(None);
        };
        let names = (1_u64..).map(|n| {
            if n == 1 {
                when.to_owned()
            } else {
                format!("{when}.{n}")
            }
        });
        let kept = self.first_free(names.map(|name| self.paths.goal_edited(&name)))?;
        let copy = if stat.is_file {
            read_whole(&*self.disk, &self.goal, GOAL_MAX)?.ok()
        } else {
            None
        };
        match copy {
            Some(bytes) => self.disk.write_new(&kept, &bytes, Some(&self.goal))?,
            None => self.disk.rename(&self.goal, &kept)?,
        }
        self.disk.sync_folder(&self.paths.folder)?;
        Ok(Some(kept))
    }

    fn write_goal(&mut self, text: &str) -> Result<(), StoreError> {
        replace(&*self.disk, &self.goal, &temp_of(&self.goal), text.as_bytes())
            .map_err(self.goal_io("write"))?;
        let stat = self.disk.stat(&self.goal).map_err(self.goal_io("look at"))?;
        self.known = stat.map(|stat| Known {
            stat,
            digest: sha256(text.as_bytes()),
            settled: false,
        });
        Ok(())
    }

    fn write_snapshot(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        let (target, folder) = (self.paths.snapshot(digest), self.paths.snapshots());
        // Also what is there already may be so only in memory: a name is durable when its folder was synced.
        for (folder, parent) in [
            (&self.paths.evidence, &self.paths.folder),
            (&folder, &self.paths.evidence),
        ] {
            self.disk.create_folder(folder)?;
            self.disk.sync_folder(parent)?;
        }
        if self
            .disk
            .stat(&target)?
            .is_some_and(|stat| stat.is_file && stat.len == bytes.len() as u64)
            && read_whole(&*self.disk, &target, bytes.len() as u64)?.as_deref() == Ok(bytes)
        {
            return self.disk.sync_folder(&folder);
        }
        replace(
            &*self.disk,
            &target,
            &folder.join(".snapshot.machine-driver.tmp"),
            bytes,
        )
    }

    fn goal_io(&self, operation: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        StoreError::io(operation, &self.paths.goal)
    }
}

impl Store for FileStore {
    fn load(&mut self, expected: &Expected, each: &mut Each<'_>) -> Result<Opened, StoreError> {
        self.journal = None;
        let file = Arc::clone(&self.lock);
        let (journal, opened) = Journal::open(&*self.disk, &self.paths.log, file, expected, each)?;
        self.journal = Some(journal);
        self.remember_log()?;
        Ok(opened)
    }

    fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, StoreError> {
        let journal = self.journal.as_ref().ok_or_else(|| StoreError::NotLoaded {
            path: self.paths.log.clone(),
        })?;
        let record = journal.next(at, event)?;
        self.append_record(&record)?;
        Ok(record)
    }

    fn checkpoint(&mut self, goal_json: &str) -> Result<(), StoreError> {
        match self.goal_changed_outside()? {
            Some(edit) => Err(StoreError::GoalEdited {
                path: self.paths.goal.clone(),
                edit,
            }),
            None => self.write_goal(goal_json),
        }
    }

    fn save_snapshot(&mut self, goal: &[u8]) -> Result<Digest, StoreError> {
        let digest = sha256(goal);
        self.write_snapshot(&digest, goal)
            .map_err(StoreError::io("write", self.paths.snapshot(&digest)))?;
        Ok(digest)
    }
}

/// One fixed name for each target, so that crashes leave at most one file behind: `.goal.json.machine-driver.tmp`.
pub(super) fn temp_of(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".machine-driver.tmp");
    target.with_file_name(name)
}
