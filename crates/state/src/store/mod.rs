//! How a run stays on disk: the log, which is the truth, goal.json as its checkpoint, and the goals as they were.
//!
//! Everything here is ordered so that a kill or a power cut at any instant loses no record whose append returned, and
//! leaves goal.json either as it was or as it was to be. A record is on disk before anything that follows from it, and
//! goal.json names a record only after that.
//!
//! These rules are checked by crashing a model of a disk (`model`, behind the feature of that name) after each of its
//! operations.

use std::fmt;

use crate::event::Event;
use crate::id::Digest;
use crate::record::Record;
use crate::time::Timestamp;

mod aside;
mod disk;
mod error;
mod file;
mod journal;
mod last;
mod lock;
mod memory;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod paths;
mod scan;

pub use aside::{Kept, KeptAs};
pub use disk::{Access, Disk, DiskFile, RealDisk, Stat};
pub use error::{BoxError, GoalEdit, StoreError};
pub use file::FileStore;
pub use journal::{Expected, Follower, Journal, Opened, read_log};
pub use last::{last_event, last_event_in};
pub use lock::{TreeLock, lock_log, lock_tree};
pub use memory::MemoryStore;
pub use paths::Paths;
pub use scan::{Each, Entry};

/// Where a driver keeps its run.
pub trait Store: fmt::Debug + Send {
    /// Reads the log from its first record and gives each to `each`. Comes before the first append.
    ///
    /// # Errors
    /// [`StoreError`] for a log that is broken, cut, or not the one that goal.json was written from: nothing may run then.
    fn load(&mut self, expected: &Expected, each: &mut Each<'_>) -> Result<Opened, StoreError>;

    /// Appends a record. When it returns, the record is durable.
    ///
    /// # Errors
    /// [`StoreError`]; nothing may be done then that was to follow from the event, and no further append succeeds.
    fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, StoreError>;

    /// Replaces goal.json. Its checkpoint may only name a record whose append returned.
    ///
    /// # Errors
    /// [`StoreError::GoalEdited`] where it is not what this store wrote or read last; the edit is left as it is.
    fn checkpoint(&mut self, goal_json: &str) -> Result<(), StoreError>;

    /// Keeps a goal as it is now, under its digest. When it returns, the copy is durable.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn save_snapshot(&mut self, goal: &[u8]) -> Result<Digest, StoreError>;
}
