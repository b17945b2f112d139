//! A look at a goal and its run, without its lock and without changing anything.
//!
//! ```no_run
//! let seen = machine_driver::look::look("goal.json".as_ref())?;
//! for (id, task) in seen.state.tasks() {
//!     println!("{id}: {:?} after {} attempts", task.status, task.attempts);
//!     if let Some(why) = &task.reason {
//!         println!("    {why}"); // escape it first where a terminal shows it
//!     }
//! }
//! # Ok::<(), machine_driver::DriverError>(())
//! ```

use std::path::Path;

use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::state::State;
use machine_driver_state::store::{Access, FileStore, Paths, RealDisk, StoreError, read_log};

use crate::error::DriverError;
use crate::read::look_at;

/// What there is to see.
#[derive(Debug)]
pub struct Look {
    /// goal.json.
    pub file: GoalFile,
    /// Where its run stands, as the log tells it; as goal.json tells it where there is no log yet.
    pub state: State,
    /// Bytes of a torn last line, passed over: a driver writes it just now, or was killed while it did.
    pub torn: u64,
    /// Whether there is a log.
    pub log: bool,
    /// Process id of the driver that holds the goal now; 0 where that is not known.
    pub driver: Option<u32>,
}

/// Looks at the goal.json at `path`.
///
/// # Errors
/// [`DriverError`] for a goal.json that is not acceptable or a log that does not hold together.
pub fn look(path: &Path) -> Result<Look, DriverError> {
    let file = look_at(path)?;
    let paths = Paths::of(path);
    // Without the lock goal.json may be newer than the log was when it was read, or older: its checkpoint is asked
    // only when nobody writes.
    let driver = holder(&paths)?;
    let checkpoint = file.progress().checkpoint.filter(|_| driver.is_none());
    let mut state = State::new();
    let opened = read_log(&RealDisk, &paths.log, checkpoint, &mut |entry| {
        Ok(state.apply(&entry.record)?)
    });
    let (opened, log) = match opened {
        Ok(opened) => (opened, opened.records > 0),
        Err(StoreError::Original { .. }) => (Default::default(), false),
        Err(error) => return Err(error.into()),
    };
    state.adopt(file.goal());
    Ok(Look {
        file,
        state,
        torn: opened.torn,
        log,
        driver,
    })
}

/// Who holds the goal's lock now.
fn holder(paths: &Paths) -> Result<Option<u32>, DriverError> {
    if !paths.log.exists() {
        return Ok(None);
    }
    match FileStore::open(paths, Access::Read) {
        Err(StoreError::Locked { holder, .. }) => Ok(Some(holder.unwrap_or(0))),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(None),
    }
}
