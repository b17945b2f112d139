//! What becomes of a job's output: a capped file, a digest, a head and a tail.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::error::ProcessError;
use crate::job::Output;

const HEAD_BYTES: usize = 64 << 10;
const TAIL_BYTES: usize = 256 << 10;

/// Takes any amount of bytes in bounded memory.
///
/// The first failed write is remembered and ends the writing, not the counting: the job's pipe must
/// be read on until the job is stopped.
pub(crate) struct Sink {
    path: PathBuf,
    kept: Result<Kept, (&'static str, io::Error)>,
    digest: Sha256,
    bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Sink {
    /// Creates or truncates the file.
    pub(crate) fn create(path: &Path, cap: u64) -> Result<Self, ProcessError> {
        let kept = Kept::create(path, cap).map_err(|source| fault("create", path, source))?;
        Ok(Self {
            path: path.to_owned(),
            kept: Ok(kept),
            digest: Sha256::new(),
            bytes: 0,
            head: Vec::new(),
            tail: Vec::new(),
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether writing has failed; [`finish`](Self::finish) returns the error.
    pub(crate) fn failed(&self) -> bool {
        self.kept.is_err()
    }

    pub(crate) fn take(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.digest.update(chunk);
        let head_room = HEAD_BYTES - self.head.len();
        self.head.extend(chunk.iter().take(head_room));
        self.tail.extend_from_slice(chunk);
        // Twice the room, so that each byte is moved once at most.
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
        if let Ok(kept) = &mut self.kept
            && let Err(source) = kept.take(chunk)
        {
            self.kept = Err(("write", source));
        }
    }

    /// Completes the file and, unless it is empty, makes it durable under its name.
    pub(crate) fn finish(mut self) -> Result<Output, ProcessError> {
        let truncated = self
            .kept
            .and_then(|kept| kept.finish().map_err(|source| ("complete", source)))
            .and_then(|(file, truncated)| {
                if self.bytes > 0 {
                    sync(&file, &self.path).map_err(|source| ("sync", source))?;
                }
                Ok(truncated)
            })
            .map_err(|(operation, source)| fault(operation, &self.path, source))?;
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
        Ok(Output {
            bytes: self.bytes,
            sha256: hex(&self.digest.finalize()),
            tail: self.tail,
            head: self.head,
            truncated,
        })
    }
}

fn fault(operation: &str, path: &Path, source: io::Error) -> ProcessError {
    ProcessError::Output {
        operation: format!("{operation} the output file"),
        path: path.to_owned(),
        source,
    }
}

/// The folder too: a file is not durable before its name is.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    match File::open(folder(path))?.sync_all() {
        // A file system without a notion of syncing folders (some FUSE and network mounts).
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The file: the first half of the cap as it comes, then a ring with the last half, which lies in
/// an unnamed file beside it until the end, so that a crash leaves no second file behind.
struct Kept {
    file: File,
    folder: PathBuf,
    head_room: u64,
    ring_size: u64,
    ring: Option<Ring>,
}

/// Creates or truncates a file. A link is not followed, and a pipe that stands there is not waited for: a job that
/// guessed the name of the next one's output gains nothing.
fn create(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(
        path,
        flags,
        Mode::from_raw_mode(0o666),
    )?))
}

impl Kept {
    fn create(path: &Path, cap: u64) -> io::Result<Self> {
        Ok(Self {
            file: create(path)?,
            folder: folder(path).to_owned(),
            head_room: cap - cap / 2,
            ring_size: cap / 2,
            ring: None,
        })
    }

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.head_room).unwrap_or(usize::MAX);
        let (head, rest) = chunk.split_at(room.min(chunk.len()));
        self.file.write_all(head)?;
        self.head_room -= head.len() as u64;
        if rest.is_empty() {
            return Ok(());
        }
        if self.ring.is_none() {
            self.ring = Some(Ring::create(&self.folder, self.ring_size)?);
        }
        self.ring.as_mut().map_or(Ok(()), |ring| ring.take(rest))
    }

    /// The complete file, and whether bytes are missing in it.
    fn finish(mut self) -> io::Result<(File, bool)> {
        let Some(mut ring) = self.ring else {
            return Ok((self.file, false));
        };
        let cut = ring.lost();
        if cut > 0 {
            write!(self.file, "\n[machine-driver: {cut} bytes cut here]\n")?;
        }
        ring.append_to(&mut self.file)?;
        Ok((self.file, cut > 0))
    }
}

/// A file that keeps the last `size` bytes written to it.
struct Ring {
    file: File,
    size: u64,
    written: u64,
}

impl Ring {
    fn create(folder: &Path, size: u64) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(folder)?,
            size,
            written: 0,
        })
    }

    fn lost(&self) -> u64 {
        self.written.saturating_sub(self.size)
    }

    fn take(&mut self, mut chunk: &[u8]) -> io::Result<()> {
        while !chunk.is_empty() && self.size > 0 {
            let at = self.written % self.size;
            let room = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.file.write_all_at(now, at)?;
            self.written += now.len() as u64;
            chunk = later;
        }
        self.written += chunk.len() as u64;
        Ok(())
    }

    fn append_to(&mut self, file: &mut File) -> io::Result<()> {
        if self.lost() == 0 {
            return self.copy(0, self.written, file);
        }
        let Some(oldest) = self.written.checked_rem(self.size) else {
            return Ok(()); // a ring of size 0 holds nothing
        };
        self.copy(oldest, self.size - oldest, file)?;
        self.copy(0, oldest, file)
    }

    fn copy(&mut self, from: u64, length: u64, to: &mut File) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(from))?;
        let copied = io::copy(&mut (&self.file).take(length), to)?;
        if copied == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

#[cfg(test)]
mod tests;
