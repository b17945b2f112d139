//! A log is set aside: that of the original driver, or one that does not hold any more.

use std::io;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::disk::{Access, DiskFile};
use super::error::StoreError;
use super::file::FileStore;
use super::lock::lock_log;
use crate::id::Digest;

/// Under which name a log is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAs {
    /// `driver-log.original.jsonl`: the original driver wrote it.
    Original,
    /// `driver-log.1.jsonl`, `.2.` and so on: `log restart`.
    Numbered,
}

/// A log that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its file's name now, in the folder of goal.json.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

impl FileStore {
    /// Moves the log aside under a name that is free, and begins an empty one under the same lock. [`Store::load`](super::Store::load) comes
    /// next, with no checkpoint; the first record should name what was kept.
    ///
    /// A crash in here leaves the old log under its old or its new name, whole.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Locked`] where another driver came in between.
    pub fn set_aside(&mut self, kept_as: KeptAs) -> Result<Kept, StoreError> {
        let log = self.paths.log.clone();
        if !self.lock.is_in_place().map_err(StoreError::io("look at", &log))? {
            return Err(StoreError::Replaced { path: log });
        }
        let sha256 = digest_of_file(&*self.lock).map_err(StoreError::io("read", &log))?;
        self.lock.sync().map_err(StoreError::io("sync", &log))?;
        let kept = self
            .free_name(kept_as)
            .map_err(StoreError::io("look beside", &log))?;
        self.disk
            .rename(&log, &kept)
            .map_err(StoreError::io("set aside", &log))?;
        self.disk
            .sync_folder(&self.paths.folder)
            .map_err(StoreError::io("sync", &self.paths.folder))?;
        self.journal = None;
        self.lock = lock_log(&*self.disk, &log, Access::Create)?;
        let name = kept
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Kept { name, sha256 })
    }

    /// A log of the original driver that was set aside before, where there is one: a crash may have come between that and
    /// the first record.
    ///
    /// # Errors
    /// [`StoreError::Io`], also for anything in its place that is not a file.
    pub fn kept_original(&self) -> Result<Option<Kept>, StoreError> {
        let path = self.paths.log_kept("original");
        if self
            .disk
            .stat(&path)
            .map_err(StoreError::io("look at", &path))?
            .is_none()
        {
            return Ok(None);
        }
        let file = self
            .disk
            .open(&path, Access::Read)
            .map_err(StoreError::io("open", &path))?;
        let sha256 = digest_of_file(&*file).map_err(StoreError::io("read", &path))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Some(Kept { name, sha256 }))
    }

    fn free_name(&self, kept_as: KeptAs) -> io::Result<PathBuf> {
        let names = (1_u64..).map(|number| match (kept_as, number) {
            (KeptAs::Original, 1) => "original".to_owned(),
            (KeptAs::Original, number) => format!("original.{number}"),
            (KeptAs::Numbered, number) => number.to_string(),
        });
        self.first_free(names.map(|name| self.paths.log_kept(&name)))
    }
}

fn digest_of_file(file: &dyn DiskFile) -> io::Result<Digest> {
    let (mut hasher, mut offset, mut block) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = file.read_at(offset, &mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(Digest::from_bytes(hasher.finalize().into()));
        };
        hasher.update(bytes);
        offset += read as u64;
    }
}
