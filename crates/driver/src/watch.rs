//! What nobody but the driver may change while it runs: seen before anything is committed.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{Event, OutputDigest, Tampering};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::Digest;

use crate::contract;
use crate::default_ports;
use crate::driver::Driver;
use crate::error::DriverError;

/// The largest piece of evidence that is read again, in bytes; what a job keeps at most.
const EVIDENCE_MAX: u64 = 64 << 20;

/// How often goal.json may be changed by others in one run: each time is a record and a kept copy, and would be for ever.
const GOAL_EDITS_MAX: u32 = 100;

/// What was seen of the files that lie beside the run's own.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Keys and tokens, as they were when the run began.
    secrets: Vec<(PathBuf, Option<Secret>)>,
    /// The folder of those who are trusted, and the names of its documents.
    trust: Option<(PathBuf, Option<Vec<OsString>>)>,
    /// The evidence of the attempt under way, as it was when it was recorded.
    evidence: Vec<(PathBuf, Digest)>,
    /// Folders that must stay what they are: device and inode.
    folders: Vec<(PathBuf, (u64, u64))>,
    /// The kept goal, as it was when it was last read and found right.
    kept: Option<(PathBuf, Mark)>,
    /// What was told already.
    told: Vec<String>,
    /// How often goal.json was changed in this run.
    goal_edits: u32,
}

/// Tells one state of a file from another without reading it: the time of the last change cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    id: (u64, u64),
    len: u64,
    mode: u32,
    changed: (i64, i64),
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        Some(Self {
            id: (meta.dev(), meta.ino()),
            len: meta.len(),
            mode: meta.mode(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// A key file: where it is, behind links; who may do what with it; and what is in it. Not its times: a backup that
/// makes a hard link of it changes those.
type Secret = (PathBuf, (u32, u32), Digest);

fn secret(path: &Path) -> Option<Secret> {
    let really = fs::canonicalize(path).ok()?;
    let meta = fs::metadata(&really).ok()?;
    let digest = digest_of(&really).ok()?;
    Some((really, (meta.mode(), meta.uid()), digest))
}

impl Watch {
    /// Of a goal: its keys and tokens, and the documents of those who are trusted.
    pub(crate) fn of(file: &GoalFile, trust: Option<&Path>) -> Self {
        let (trust, documents) = contract::watched(file, trust).unzip();
        let secrets = default_ports::secrets(file.goal()).into_iter();
        Self::new(secrets.chain(documents.into_iter().flatten()), trust)
    }

    fn new(secrets: impl IntoIterator<Item = PathBuf>, trust: Option<PathBuf>) -> Self {
        let marked = |path: PathBuf| {
            let found = secret(&path);
            (path, found)
        };
        Self {
            secrets: secrets.into_iter().map(marked).collect(),
            trust: trust.map(|folder| {
                let names = contract::names(&folder);
                (folder, names)
            }),
            ..Self::default()
        }
    }

    pub(crate) fn forget_evidence(&mut self) {
        self.evidence.clear();
    }

    /// goal.json was changed by somebody else and put back. Whether that happened too often is asked once it is recorded.
    pub(crate) const fn goal_edited(&mut self) -> Option<u32> {
        self.goal_edits += 1;
        if self.goal_edits < GOAL_EDITS_MAX {
            None
        } else {
            Some(self.goal_edits)
        }
    }

    /// From now on this folder may not be moved away, nor a link be put in its place.
    pub(crate) fn take_folder(&mut self, folder: PathBuf) {
        if let Some(mark) = Mark::of(&folder) {
            self.folders.push((folder, mark.id));
        }
    }

    /// Whether the file that keeps a goal is still what it was; read again only when something about it changed, since a
    /// goal may be large.
    fn is_kept(&mut self, file: &Path, digest: Digest) -> bool {
        let mark = Mark::of(file);
        let known = self.kept.as_ref().filter(|(known, _)| known == file);
        if let (Some((_, known)), Some(mark)) = (known, mark)
            && *known == mark
        {
            return true;
        }
        let is_right = digest_of(file).is_ok_and(|found| found == digest);
        self.kept = mark.filter(|_| is_right).map(|mark| (file.to_owned(), mark));
        is_right
    }

    /// From now on this output is evidence. What a worker of one's own did not write there cannot be watched.
    pub(crate) fn take_evidence(&mut self, file: PathBuf, output: &OutputDigest) {
        if digest_of(&file).is_ok_and(|digest| digest == output.sha256) {
            self.evidence.push((file, output.sha256));
        }
    }

    /// What is not as it was, each told once.
    fn changed(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, known) in &mut self.secrets {
            let now = secret(path);
            if now != *known {
                found.push(format!("the key file {} was changed", path.display()));
                *known = now;
            }
        }
        if let Some((folder, known)) = &mut self.trust {
            let now = contract::names(folder);
            if now != *known {
                found.push(format!(
                    "the folder of those who are trusted, {}, was changed",
                    folder.display()
                ));
                *known = now;
            }
        }
        for (path, digest) in &self.evidence {
            if !digest_of(path).is_ok_and(|found| found == *digest) {
                found.push(format!("the evidence {} was changed", path.display()));
            }
        }
        for (path, id) in &self.folders {
            if Mark::of(path).map(|mark| mark.id) != Some(*id) {
                found.push(format!("the folder {} was replaced", path.display()));
            }
        }
        found.retain(|what| !self.told.contains(what));
        self.told.extend(found.iter().cloned());
        found
    }
}

/// The digest of a regular file that is no link.
fn digest_of(path: &Path) -> io::Result<Digest> {
    use std::io::Read as _;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(EVIDENCE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(sha256(&bytes))
}

impl Driver {
    /// Looks at everything that nobody but the driver may change, and records what was.
    pub(crate) fn look_around(&mut self) -> Result<(), DriverError> {
        self.look_at_goal()?;
        let mut found = self.watch.changed();
        found.extend(self.kept_goal_is_changed());
        for what in found {
            self.tampered(what, None)?;
        }
        Ok(())
    }

    /// The goal that a replay needs is put back where it was changed.
    fn kept_goal_is_changed(&mut self) -> Option<String> {
        let digest = self.goal().digest;
        let kept = self.held.store.snapshot_file(&digest)?;
        if self.watch.is_kept(&kept, digest) {
            return None;
        }
        let restored = match self.held.keep_goal() {
            Ok(()) => "and was restored".to_owned(),
            Err(error) => format!("and could not be restored: {}", crate::outcome::chain(&error)),
        };
        Some(format!(
            "the kept goal {} was changed, {restored}",
            kept.display()
        ))
    }

    pub(crate) fn tampered(&mut self, what: String, kept_as: Option<String>) -> Result<(), DriverError> {
        let now = self.timeline.now();
        // Not by `record`, which may look at goal.json again.
        let record = self
            .held
            .append(now, Event::Tampering(Tampering { what, kept_as }))?;
        self.tell_of(&record);
        Ok(())
    }
}
