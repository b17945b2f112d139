//! Reading a goal.json: as it stands, or as it once was.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use machine_driver_state::canonical::sha256;
use machine_driver_state::goal::Goal;
use machine_driver_state::goal::file::{BYTES_MAX, GoalFile, Place};
use machine_driver_state::id::Digest;
use machine_driver_state::store::Paths;

use crate::error::DriverError;

/// Reads a goal.json and checks all that can be known without its log.
///
/// # Errors
/// [`DriverError::ReadGoal`], [`DriverError::Goal`].
pub fn read_goal(path: &Path) -> Result<GoalFile, DriverError> {
    let bytes = read_bytes(path)?;
    parse(&bytes, path)
}

/// As [`read_goal`], for those who only look: a look need not be refused because the repository is gone or could be meant
/// from the current folder too.
pub(crate) fn look_at(path: &Path) -> Result<GoalFile, DriverError> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = Place::unseen(path.to_owned(), Paths::of(path).folder, home);
    Ok(GoalFile::parse(&read_bytes(path)?, &place)?)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, DriverError> {
    read_bounded(path).map_err(|source| DriverError::ReadGoal {
        path: path.to_owned(),
        source,
    })
}

/// Like [`read_goal`], from a text that stands at `path`.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<GoalFile, DriverError> {
    let place = Place {
        path: path.to_owned(),
        folder: Paths::of(path).folder,
        cwd: std::env::current_dir().ok(),
        home: std::env::var_os("HOME").map(PathBuf::from),
        folder_at: &|folder| folder.canonicalize().ok().filter(|folder| folder.is_dir()),
    };
    Ok(GoalFile::parse(bytes, &place)?)
}

/// One byte more than is allowed is enough to know that it is too large; a pipe or device is not waited for.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A goal as it was, from `evidence/goal/<digest>.json`.
///
/// # Errors
/// Why it cannot be had, in words.
pub fn kept_goal(paths: &Paths, digest: Digest) -> Result<Goal, String> {
    let kept = paths.snapshot(&digest);
    let bytes = read_bounded(&kept).map_err(|error| format!("could not read {}: {error}", kept.display()))?;
    if sha256(&bytes) != digest {
        return Err(format!(
            "{} was changed: its SHA-256 is not its name",
            kept.display()
        ));
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let place = Place::unseen(kept, paths.folder.clone(), Some(home));
    GoalFile::parse(&bytes, &place)
        .map(|file| file.goal().clone())
        .map_err(|error| error.to_string())
}
