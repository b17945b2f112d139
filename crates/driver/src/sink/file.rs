//! A file that gets copies: appended to, and searched for the last record that it has.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use machine_driver_state::id::Digest;
use machine_driver_state::record::Record;
use rustix::fs::{Mode, OFlags};

use super::Line;

/// How far from its end a file is searched for the last record that it has.
const SEARCHED: u64 = 1 << 20;

/// Appends lines in one write, durably. A line that was torn by a crash is ended first.
pub(super) fn append(path: &Path, lines: &[Line]) -> io::Result<()> {
    let flags = OFlags::RDWR
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut text = String::new();
    if meta.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Why a file that is there cannot be appended to.
pub(super) fn cannot_append(path: &Path) -> Option<String> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) | Err(rustix::io::Errno::NOENT) => None,
        Err(error) => Some(format!("could not append to {}: {error}", path.display())),
    }
}

/// The last record of this deployment in the file; others may write there too.
pub(super) fn last_of(path: &Path, deployment_id: &str) -> Option<Digest> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let length = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SEARCHED))).ok()?;
    let mut tail = Vec::new();
    file.take(SEARCHED).read_to_end(&mut tail).ok()?;
    let records = tail.split(|byte| *byte == b'\n').rev();
    let mut records = records.filter_map(|line| Record::read(line).ok());
    records
        .find(|record| record.deployment_id == deployment_id)
        .map(|record| record.hash)
}
