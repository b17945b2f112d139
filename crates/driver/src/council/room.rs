//! What one head of a council has to itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use machine_driver_state::id::SessionId;
use tempfile::TempDir;

use super::failed;
use crate::error::DriverError;

/// What one head has to itself: a folder that nobody else is told of, gone when it has answered.
pub(super) struct Room {
    /// Holds all of it.
    folder: TempDir,
    /// The goal, to read.
    pub(super) goal: PathBuf,
    pub(super) question: PathBuf,
    /// Where it works.
    pub(super) work: PathBuf,
    /// By which all that it started is found again.
    pub(super) session: SessionId,
    pub(super) nonce: String,
}

impl Room {
    pub(super) fn new(goal_text: &str) -> Result<Self, DriverError> {
        let folder = tempfile::Builder::new()
            .prefix("machine-driver-council-")
            .rand_bytes(16)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed("make a folder in", std::env::temp_dir()))?;
        let within = |name| folder.path().join(name);
        let (goal, question, work) = (within("goal.json"), within("question.txt"), within("empty"));
        write_read_only(&goal, goal_text).map_err(failed("write", &goal))?;
        fs::create_dir(&work).map_err(failed("make", &work))?;
        let session = random()?;
        Ok(Self {
            goal,
            question,
            work,
            session: SessionId::new(&session).map_err(|error| DriverError::Io {
                operation: "make a name for",
                path: folder.path().to_owned(),
                source: io::Error::other(error),
            })?,
            nonce: random()?,
            folder,
        })
    }

    /// Whether a head has left the goal as it was: one that changes what it was to read has not read it.
    pub(super) fn holds(&self, text: &str) -> bool {
        let is_in_place = [self.folder.path(), &self.goal]
            .iter()
            .all(|path| fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_symlink()));
        is_in_place && fs::read(&self.goal).is_ok_and(|found| found == text.as_bytes())
    }
}

pub(super) fn write_read_only(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// 128 bits that nobody can foresee, in hex.
fn random() -> Result<String, DriverError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| DriverError::Io {
        operation: "get random bytes from",
        path: "the system".into(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
