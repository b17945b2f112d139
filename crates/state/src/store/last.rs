//! The end of a log that somebody else may hold: what was last said of something.

use std::fs;
use std::io;
use std::path::Path;

use super::disk::{Access, Disk as _, DiskFile, RealDisk, opened};
use crate::event::Event;
use crate::record::Record;

/// How far from its end a log is searched.
const SEARCHED: u64 = 16 << 20;

/// Bytes read at once.
const BLOCK: u64 = 64 << 10;

/// The last event of this name in the last 16 MiB of the log at `path` for which `is_it` holds. Needs no lock: a line that is
/// being written is passed over.
///
/// # Errors
/// The system's, where there is no log or it cannot be read.
pub fn last_event(path: &Path, name: &str, is_it: impl Fn(&Event) -> bool) -> io::Result<Option<Event>> {
    last_of(&*RealDisk.open(path, Access::Read)?, name, is_it)
}

/// The same for a log that is open, wherever it lies now.
///
/// # Errors
/// The system's, where it cannot be read.
pub fn last_event_in(log: fs::File, name: &str, is_it: impl Fn(&Event) -> bool) -> io::Result<Option<Event>> {
    last_of(&*opened(log), name, is_it)
}

pub(super) fn last_of(
    log: &dyn DiskFile,
    name: &str,
    is_it: impl Fn(&Event) -> bool,
) -> io::Result<Option<Event>> {
    let mark = format!("\"event\":\"{name}\"").into_bytes();
    let read = |line: &[u8]| {
        let has_mark = line.windows(mark.len()).any(|part| part == mark);
        let record = has_mark.then(|| Record::read(line).ok())??;
        is_it(&record.event).then_some(record.event)
    };
    let mut end = log.len()?;
    let floor = end.saturating_sub(SEARCHED);
    let mut tail = Vec::new();
    while end > floor {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let filled = log.read_at(start, &mut block)?;
        block.truncate(filled);
        block.append(&mut tail);
        tail = block;
        if let Some(found) = tail.split(|&byte| byte == b'\n').rev().find_map(read) {
            return Ok(Some(found));
        }
        // Only the piece of a line at its front can still become one.
        tail.truncate(tail.iter().position(|&byte| byte == b'\n').unwrap_or(tail.len()));
        end = start;
    }
    Ok(None)
}
