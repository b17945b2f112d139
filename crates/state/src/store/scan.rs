//! Reads a log record by record: each hash, each link, in constant memory, on as many threads as there are cores.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use super::disk::DiskFile;
use super::error::{BoxError, StoreError};
use crate::record::{Head, LINE_MAX, Record, RecordError};

/// Bytes read at once; what is in memory at any time is a few times that, or one longer line.
const BLOCK: usize = 512 << 10;
/// A block smaller than this is not worth a second thread.
const WORTH_A_THREAD: usize = 64 << 10;
const THREADS_MAX: usize = 8;

/// One record as it stands in a log.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its line, from 1.
    pub line: u64,
    /// The line's bytes without the newline.
    pub bytes: &'a [u8],
    /// What they say.
    pub record: Record,
}

/// Is given every record in order. An error stops the reading and comes back as [`StoreError::Fold`].
pub type Each<'a> = dyn FnMut(Entry<'_>) -> Result<(), BoxError> + 'a;

/// How far a log has been read.
#[derive(Debug)]
pub(super) struct Scan {
    path: PathBuf,
    /// What goal.json says the log had when it was written.
    checkpoint: Option<Head>,
    /// Where the last good line ends.
    pub(super) end: u64,
    /// Where it begins.
    pub(super) last_start: u64,
    /// Its number; 0 before the first.
    pub(super) line: u64,
    /// Its record.
    pub(super) head: Option<Head>,
}

impl Scan {
    pub(super) fn new(path: PathBuf, checkpoint: Option<Head>) -> Self {
        Self {
            path,
            checkpoint,
            end: 0,
            last_start: 0,
            line: 0,
            head: None,
        }
    }

    /// Reads on from where the last call ended up to `until`. Returns the bytes behind the last good line that are the
    /// rest of a write which a crash cut off:
    ///
    /// - a line without a newline, or
    /// - a last line that holds a NUL. One write may reach the disk in pieces and in any order, so that its newline is
    ///   there and a hole of zeros before it. No record holds a NUL (JSON escapes it), and every record is synced before
    ///   the next is written, so such a hole is only ever in the last.
    ///
    /// Anything else that is wrong is an error. Whoever can write to the file could cut off the last record anyway;
    /// that goal.json names it is what shows it ([`Scan::check_checkpoint`]).
    pub(super) fn run(
        &mut self,
        file: &dyn DiskFile,
        until: u64,
        each: &mut Each<'_>,
    ) -> Result<u64, StoreError> {
        let threads = if until - self.end > WORTH_A_THREAD as u64 {
            cores()
        } else {
            1
        };
        let mut buffer = Vec::new();
        loop {
            let at_end = self.fill(file, until, &mut buffer)?;
            let complete = buffer
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            if complete == 0 && buffer.len() > LINE_MAX {
                return Err(StoreError::LineTooLong {
                    path: self.path.clone(),
                    line: self.line + 1,
                    max: LINE_MAX,
                });
            }
            let (lines, rest) = buffer.split_at(complete);
            let hole = self.take(lines, at_end && rest.is_empty(), threads, each)?;
            if at_end {
                return Ok((hole + rest.len()) as u64);
            }
            buffer.drain(..complete);
        }
    }

    /// Whether the checkpoint's record is there. A log that ends before it was cut.
    pub(super) fn check_checkpoint(&self) -> Result<(), StoreError> {
        match self.checkpoint {
            Some(expected) if self.head.is_none_or(|head| head.seq < expected.seq) => Err(StoreError::Cut {
                path: self.path.clone(),
                line: self.line,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Adds the next block, or more where the line at the front is longer than that. Returns whether that was the last.
    fn fill(&self, file: &dyn DiskFile, until: u64, buffer: &mut Vec<u8>) -> Result<bool, StoreError> {
        let mut filled = buffer.len();
        let left = until.saturating_sub(self.end + filled as u64);
        let wanted = BLOCK.max(filled).min(usize::try_from(left).unwrap_or(usize::MAX));
        let goal = filled + wanted;
        buffer.resize(goal, 0);
        while filled < goal {
            let (_, free) = buffer.split_at_mut(filled);
            let read = file
                .read_at(self.end + filled as u64, free)
                .map_err(StoreError::io("read", &self.path))?;
            if read == 0 {
                break; // it was cut while it was read
            }
            filled += read;
        }
        buffer.truncate(filled);
        Ok(filled < goal || wanted as u64 == left)
    }

    /// Takes whole lines in. Returns the length of a last one with a hole in it.
    fn take(
        &mut self,
        lines: &[u8],
        is_last: bool,
        threads: usize,
        each: &mut Each<'_>,
    ) -> Result<usize, StoreError> {
        let lines: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
        let count = lines.len();
        let records = decode(&lines, threads);
        for (index, (line, record)) in lines.into_iter().zip(records).enumerate() {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            match record {
                Err(_) if is_last && index + 1 == count && text.contains(&0) => return Ok(line.len()),
                Err(source) => return Err(self.broken(text, source)),
                Ok(record) => self.follow(line.len() as u64, text, record, each)?,
            }
        }
        Ok(0)
    }

    fn follow(
        &mut self,
        length: u64,
        bytes: &[u8],
        record: Record,
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        record
            .check_follows(self.head)
            .map_err(|source| self.broken(bytes, source))?;
        let (line, head) = (self.line + 1, record.head());
        if let Some(expected) = self
            .checkpoint
            .filter(|point| point.seq == head.seq && point.hash != head.hash)
        {
            return Err(StoreError::OtherChain {
                path: self.path.clone(),
                line,
                expected,
                found: head.hash,
            });
        }
        each(Entry { line, bytes, record }).map_err(|source| StoreError::Fold {
            path: self.path.clone(),
            line,
            source,
        })?;
        self.last_start = self.end;
        self.end += length;
        self.line = line;
        self.head = Some(head);
        Ok(())
    }

    fn broken(&self, text: &[u8], source: RecordError) -> StoreError {
        let path = self.path.clone();
        if self.line == 0 && is_originals(text) {
            StoreError::Original { path }
        } else {
            StoreError::Broken {
                path,
                line: self.line + 1,
                source,
            }
        }
    }
}

/// The original driver cuts its hashes to 16 digits.
fn is_originals(line: &[u8]) -> bool {
    let record: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    let hash = record.as_ref().and_then(|record| record.get("hash")?.as_str());
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn cores() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS_MAX)
}

/// Decodes lines on this thread and others. Where no thread can be had, this one does it all.
fn decode(lines: &[&[u8]], threads: usize) -> Vec<Result<Record, RecordError>> {
    let share = lines.len().div_ceil(threads).max(1);
    let (mine, others) = lines.split_at(share.min(lines.len()));
    thread::scope(|scope| {
        let started: Vec<_> = others
            .chunks(share)
            .map(|part| {
                (
                    part,
                    thread::Builder::new().spawn_scoped(scope, move || read_all(part)),
                )
            })
            .collect();
        let mut records = read_all(mine);
        for (part, thread) in started {
            let read = thread.ok().and_then(|thread| thread.join().ok());
            records.extend(read.unwrap_or_else(|| read_all(part)));
        }
        records
    })
}

fn read_all(lines: &[&[u8]]) -> Vec<Result<Record, RecordError>> {
    lines
        .iter()
        .map(|line| Record::read(line.strip_suffix(b"\n").unwrap_or(line)))
        .collect()
}
