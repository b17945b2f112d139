//! Whether the outputs that a log tells of are kept as they were: of every attempt, also those that no record is about.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use machine_driver_state::event::{Event, OutputDigest};
use machine_driver_state::id::Digest;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

/// A worker's output beyond this is kept in its first and last part: its digest is of all of it.
const WHOLE_MAX: u64 = 64 << 20;

/// An output, where it is kept, and what it was.
#[derive(Debug)]
pub(crate) struct Output {
    /// `TASK/attempt-N.worker.log`, below the folder of evidence: a task's id names no other folder.
    file: String,
    digest: OutputDigest,
}

impl Output {
    /// The output that an event tells of. A verifier that could not judge, and what came of no attempt, leave none.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let (attempt, kind, digest) = match event {
            Event::WorkerExited(attempt, exited) => (attempt, "worker", &exited.output),
            Event::Verified(attempt, verified) => (attempt, "verify", &verified.output),
            Event::VerifyFailed(attempt, failed) => (attempt, "verify", &failed.output),
            _ => return None,
        };
        Some(Self {
            file: format!("{}/attempt-{}.{kind}.log", attempt.task, attempt.attempt),
            digest: digest.clone(),
        })
    }

    /// Its file, and what is wrong with it.
    pub(crate) fn fault(&self, evidence: &Path) -> Option<(String, String)> {
        if self.digest.bytes > WHOLE_MAX && self.file.ends_with(".worker.log") {
            return None;
        }
        let why = match digest_of(&evidence.join(&self.file)) {
            Ok(found) if found == self.digest.sha256 => return None,
            Ok(_) => "is not what the log says that was written".to_owned(),
            // A worker or verifier of an embedding program that says nothing keeps nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.digest.bytes == 0 => return None,
            Err(error) => format!("cannot be compared with the log: {error}"),
        };
        Some((self.file.clone(), why))
    }
}

/// A link is not followed, and what is not a plain file is not waited for.
fn digest_of(file: &Path) -> io::Result<Digest> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(file, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a plain file",
        ));
    }
    let (mut hasher, mut block) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(Digest::from_bytes(hasher.finalize().into()));
        }
        hasher.update(block.get(..read).unwrap_or_default());
    }
}
