//! Whether a log holds: its chain, and whether the rules ask for what it says.

use std::collections::BTreeSet;
use std::path::Path;

use machine_driver_governor::replay::{Goals, Replay, ReplayError};
use machine_driver_state::goal::Goal;
use machine_driver_state::id::Digest;
use machine_driver_state::record::Head;
use machine_driver_state::state::OutOfOrder;
use machine_driver_state::store::{Opened, Paths, RealDisk, StoreError, read_log};

use crate::error::DriverError;
use crate::read::{kept_goal, look_at};

/// Checks every record of a goal's log: its hash, its number and what it follows. The end is checked against the
/// checkpoint in goal.json.
///
/// # Errors
/// [`DriverError`] names the line, the expected and the found value.
pub fn verify_log(goal: &Path) -> Result<Opened, DriverError> {
    let checkpoint = checkpoint(goal)?;
    Ok(read_log(
        &RealDisk,
        &Paths::of(goal).log,
        checkpoint,
        &mut |_| Ok(()),
    )?)
}

/// Asks the rules again at every record, with the goals as they were, and compares every byte. Starts no process.
///
/// # Errors
/// [`DriverError`] names the record and what it should have been.
pub fn replay(goal: &Path) -> Result<Opened, DriverError> {
    let checkpoint = checkpoint(goal)?;
    let paths = Paths::of(goal);
    let mut replay = Replay::new(KeptGoals(&paths));
    let read = read_log(&RealDisk, &paths.log, checkpoint, &mut |entry| {
        Ok(replay.feed(entry.bytes)?)
    });
    read.map_err(told_apart)
}

/// Goals of the log that are not kept as they were, each with why: a replay needs them, and what is frozen is compared with them.
///
/// # Errors
/// As [`verify_log`].
pub fn goals_not_kept(goal: &Path) -> Result<Vec<(Digest, String)>, DriverError> {
    let paths = Paths::of(goal);
    let mut known = BTreeSet::new();
    read_log(&RealDisk, &paths.log, None, &mut |entry| {
        known.extend(entry.record.event.goal());
        Ok(())
    })?;
    let missing = |digest: Digest| Some((digest, kept_goal(&paths, digest).err()?));
    Ok(known.into_iter().filter_map(missing).collect())
}

/// Whether an error says that a log or replay does not hold, as opposed to one that could not be read.
#[must_use]
pub fn does_not_hold(error: &DriverError) -> bool {
    let error = match error {
        // Without the goal that it needs, a replay proves nothing.
        DriverError::NotKept { .. } => return true,
        DriverError::Store(error) => error,
        _ => return false,
    };
    match error {
        StoreError::Fold { source, .. } => source.is::<ReplayError>() || source.is::<OutOfOrder>(),
        StoreError::Broken { .. }
        | StoreError::LineTooLong { .. }
        | StoreError::Cut { .. }
        | StoreError::OtherChain { .. }
        | StoreError::Original { .. } => true,
        _ => false,
    }
}

/// A goal that was not kept says nothing about the log, and wants another mend.
fn told_apart(error: StoreError) -> DriverError {
    let StoreError::Fold { source, .. } = &error else {
        return error.into();
    };
    match source.downcast_ref::<ReplayError>() {
        Some(missing @ ReplayError::Goal { .. }) => DriverError::NotKept {
            what: missing.to_string(),
        },
        _ => error.into(),
    }
}

fn checkpoint(goal: &Path) -> Result<Option<Head>, DriverError> {
    let file = look_at(goal)?;
    Ok(file.progress().checkpoint)
}

#[derive(Debug)]
struct KeptGoals<'a>(&'a Paths);

impl Goals for KeptGoals<'_> {
    fn goal(&mut self, digest: Digest) -> Result<Goal, String> {
        kept_goal(self.0, digest)
    }
}
