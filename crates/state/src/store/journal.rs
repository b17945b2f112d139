//! The log of a run: appended to by the one driver that holds its lock, read by anyone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile};
use super::error::StoreError;
use super::scan::{Each, Scan};
use crate::event::Event;
use crate::record::{Head, Record};
use crate::time::Timestamp;

/// What goal.json says about the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Goes into every record that is appended.
    pub deployment_id: String,
    /// Where the log ended when goal.json was written; a log that ends before was cut.
    pub checkpoint: Option<Head>,
}

/// What a log was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// How many records.
    pub records: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// Bytes of a torn last line: cut off by a driver, passed over by a reader. 0: none.
    pub torn: u64,
}

/// A log that is being written.
///
/// After an error nothing more is appended: what did not reach the disk must not be built on. The next start cuts a torn
/// line off.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    deployment_id: String,
    head: Option<Head>,
    length: u64,
    poisoned: bool,
}

impl Journal {
    /// Reads the log in the locked `file` from its start, gives every record to `each`, cuts a torn last line off, and
    /// makes what is left durable.
    ///
    /// # Errors
    /// [`StoreError`] names line, expected and found value of a break; the file is not touched then.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        file: Arc<dyn DiskFile>,
        expected: &Expected,
        each: &mut Each<'_>,
    ) -> Result<(Self, Opened), StoreError> {
        let mut scan = Scan::new(path.to_owned(), expected.checkpoint);
        let until = file.len().map_err(StoreError::io("read", path))?;
        let torn = scan.run(&*file, until, each)?;
        scan.check_checkpoint()?;
        if torn > 0 {
            file.cut(scan.end)
                .map_err(StoreError::io("cut the torn last line off", path))?;
        }
        settle(disk, path, &*file, &scan).map_err(StoreError::io("sync", path))?;
        let journal = Self {
            path: path.to_owned(),
            file,
            deployment_id: expected.deployment_id.clone(),
            head: scan.head,
            length: scan.end,
            poisoned: false,
        };
        Ok((
            journal,
            Opened {
                records: scan.line,
                head: scan.head,
                torn,
            },
        ))
    }

    /// Appends the record that says `event`: one write, synced when this returns.
    ///
    /// # Errors
    /// As [`Journal::append_record`].
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, StoreError> {
        let record = self.next(at, event)?;
        self.append_record(&record)?;
        Ok(record)
    }

    /// The record that would say `event` next.
    pub(super) fn next(&self, at: Timestamp, event: Event) -> Result<Record, StoreError> {
        Ok(Record::after(self.head, at, &self.deployment_id, event)?)
    }

    /// Appends a record that follows the last one: one write, synced when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; from then on every call is refused with [`StoreError::Poisoned`].
    pub fn append_record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.append_and(record, || Ok(()))
    }

    /// The same, with `look` called when the record is written and not yet synced: what it sees of the file is ours, while
    /// others may write in the time that a sync takes.
    pub(super) fn append_and(
        &mut self,
        record: &Record,
        look: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.poisoned {
            let seq = self.head.map_or(0, |head| head.seq + 1);
            return Err(StoreError::Poisoned {
                path: self.path.clone(),
                seq,
            });
        }
        self.poisoned = true;
        record.check_follows(self.head)?;
        let mut line = record.line()?;
        line.push('\n');
        self.check_untouched()?;
        self.write(line.as_bytes())
            .map_err(|source| self.failed("append", record.seq, source))?;
        look()?;
        self.file
            .sync()
            .map_err(|source| self.failed("sync", record.seq, source))?;
        self.length += line.len() as u64;
        self.head = Some(record.head());
        self.poisoned = false;
        Ok(())
    }

    /// Its last record; none while it is empty.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let written = self.file.write_at(self.length, line)?;
        if written == line.len() {
            return Ok(());
        }
        let text = format!(
            "only {written} of {} bytes were taken (is the disk full?)",
            line.len()
        );
        Err(io::Error::new(io::ErrorKind::WriteZero, text))
    }

    fn failed(&self, operation: &'static str, seq: u64, source: io::Error) -> StoreError {
        StoreError::Append {
            operation,
            seq,
            path: self.path.clone(),
            source,
        }
    }

    /// The lock keeps other drivers away, not a worker that writes where it should not.
    fn check_untouched(&self) -> Result<(), StoreError> {
        let path = || self.path.clone();
        if !self
            .file
            .is_in_place()
            .map_err(StoreError::io("look at", &self.path))?
        {
            return Err(StoreError::Replaced { path: path() });
        }
        let found = self.file.len().map_err(StoreError::io("look at", &self.path))?;
        if found != self.length {
            return Err(StoreError::Changed {
                path: path(),
                expected: self.length,
                found,
            });
        }
        Ok(())
    }
}

/// Makes durable what was read. The last line may be one whose sync failed or was never reached: it is in memory, its
/// pages perhaps marked clean, and no sync would write them. Written once more with the same bytes, it cannot get worse,
/// and every line before it was synced before it was written.
fn settle(disk: &dyn Disk, path: &Path, file: &dyn DiskFile, scan: &Scan) -> io::Result<()> {
    let mut line = vec![0; usize::try_from(scan.end - scan.last_start).unwrap_or(0)];
    let read = if line.is_empty() {
        0
    } else {
        file.read_at(scan.last_start, &mut line)?
    };
    if read != line.len() || (read > 0 && file.write_at(scan.last_start, &line)? != read) {
        return Err(io::Error::new(
            io::ErrorKind::WriteZero,
            "the last line could not be written once more",
        ));
    }
    file.sync()?;
    disk.sync_folder(path.parent().unwrap_or(path))
}

/// Reads a log without its lock: every record in order, nothing is changed. No log is an empty log.
///
/// # Errors
/// As [`Journal::open`].
pub fn read_log(
    disk: &dyn Disk,
    path: &Path,
    checkpoint: Option<Head>,
    each: &mut Each<'_>,
) -> Result<Opened, StoreError> {
    let mut scan = Scan::new(path.to_owned(), checkpoint);
    let torn = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(StoreError::io("open", path)(error)),
        Ok(file) => {
            let until = file.len().map_err(StoreError::io("read", path))?;
            scan.run(&*file, until, each)?
        }
    };
    scan.check_checkpoint()?;
    Ok(Opened {
        records: scan.line,
        head: scan.head,
        torn,
    })
}

/// Reads a log that grows, without its lock.
#[derive(Debug)]
pub struct Follower {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    scan: Scan,
}

impl Follower {
    /// Begins at the log's first record.
    ///
    /// # Errors
    /// [`StoreError::Io`] where there is no log.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let file = disk
            .open(path, Access::Read)
            .map_err(StoreError::io("open", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            scan: Scan::new(path.to_owned(), None),
        })
    }

    /// Gives every record that was added since the last call to `each`. What is there was written, not yet synced
    /// perhaps, and a line that is being written is left for the next call.
    ///
    /// # Errors
    /// As [`Journal::open`]; [`StoreError::Replaced`] when another log stands there now, [`StoreError::Changed`] when
    /// records that were given are gone.
    pub fn poll(&mut self, each: &mut Each<'_>) -> Result<Opened, StoreError> {
        let until = self.file.len().map_err(StoreError::io("read", &self.path))?;
        if until < self.scan.end {
            return Err(StoreError::Changed {
                path: self.path.clone(),
                expected: self.scan.end,
                found: until,
            });
        }
        let torn = self.scan.run(&*self.file, until, each)?;
        if torn == 0
            && !self
                .file
                .is_in_place()
                .map_err(StoreError::io("look at", &self.path))?
        {
            return Err(StoreError::Replaced {
                path: self.path.clone(),
            });
        }
        Ok(Opened {
            records: self.scan.line,
            head: self.scan.head,
            torn,
        })
    }
}
