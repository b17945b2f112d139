//! Messages between driver and guardian: a length (u32, little endian) and so many bytes of JSON.
//!
//! Both ends are the same running program, so this is no stored format and needs no versions. What
//! the system calls bytes (arguments, paths, output) travels as text if it is UTF-8 and as a list of
//! numbers otherwise.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ProcessError;
use crate::job::{Ending, Job, Outcome, Output, Started, Stopped};

/// More than any job or outcome needs; a longer message is a confused peer.
const MESSAGE_MAX: u32 = 64 << 20;

/// From driver to guardian.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    Run(WireJob),
    Cancel { grace: Duration },
}

/// From guardian to driver.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Ready,
    Started(Started),
    Ended(WireOutcome),
    Failed(WireFault),
}

pub(super) fn send<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4)
        .ok()
        .filter(|&length| length <= MESSAGE_MAX);
    let length = length.ok_or_else(|| io::Error::other("message too long"))?;
    for (slot, byte) in frame.iter_mut().zip(length.to_le_bytes()) {
        *slot = byte;
    }
    to.write_all(&frame)
}

/// The next message; None if the other side is gone.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length);
    if length > MESSAGE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // At most MESSAGE_MAX bytes, which the other side of our own pipe has announced.
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Bytes of any kind.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Text(String),
    Raw(Vec<u8>),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|e| Self::Raw(e.into_bytes()), Self::Text)
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        match bytes {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Raw(bytes) => bytes,
        }
    }
}

impl<T: AsRef<std::ffi::OsStr>> From<&T> for Bytes {
    fn from(text: &T) -> Self {
        text.as_ref().as_bytes().to_vec().into()
    }
}

impl From<Bytes> for OsString {
    fn from(bytes: Bytes) -> Self {
        Self::from_vec(bytes.into())
    }
}

impl From<Bytes> for PathBuf {
    fn from(bytes: Bytes) -> Self {
        OsString::from(bytes).into()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireJob {
    argv: Vec<Bytes>,
    env: Vec<(Bytes, Bytes)>,
    cwd: Bytes,
    output: Bytes,
    output_cap: u64,
    output_max: Option<u64>,
    wall: Option<Duration>,
    idle: Option<Duration>,
    grace: Duration,
    session: String,
}

impl From<&Job> for WireJob {
    fn from(job: &Job) -> Self {
        Self {
            argv: job.argv.iter().map(Bytes::from).collect(),
            env: job
                .env
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cwd: (&job.cwd).into(),
            output: (&job.output).into(),
            output_cap: job.output_cap,
            output_max: job.output_max,
            wall: job.wall,
            idle: job.idle,
            grace: job.grace,
            session: job.session.clone(),
        }
    }
}

impl From<WireJob> for Job {
    fn from(wire: WireJob) -> Self {
        Self {
            argv: wire.argv.into_iter().map(OsString::from).collect(),
            env: wire
                .env
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cwd: wire.cwd.into(),
            output: wire.output.into(),
            output_cap: wire.output_cap,
            output_max: wire.output_max,
            wall: wire.wall,
            idle: wire.idle,
            grace: wire.grace,
            session: wire.session,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireOutcome {
    ending: Ending,
    stopped: Option<Stopped>,
    bytes: u64,
    sha256: String,
    tail: Bytes,
    head: Bytes,
    truncated: bool,
    elapsed: Duration,
    swept: u32,
}

impl From<Outcome> for WireOutcome {
    fn from(outcome: Outcome) -> Self {
        Self {
            ending: outcome.ending,
            stopped: outcome.stopped,
            bytes: outcome.output.bytes,
            sha256: outcome.output.sha256,
            tail: outcome.output.tail.into(),
            head: outcome.output.head.into(),
            truncated: outcome.output.truncated,
            elapsed: outcome.elapsed,
            swept: outcome.swept,
        }
    }
}

impl From<WireOutcome> for Outcome {
    fn from(wire: WireOutcome) -> Self {
        Self {
            ending: wire.ending,
            stopped: wire.stopped,
            output: Output {
                bytes: wire.bytes,
                sha256: wire.sha256,
                tail: wire.tail.into(),
                head: wire.head.into(),
                truncated: wire.truncated,
            },
            elapsed: wire.elapsed,
            swept: wire.swept,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum WireFault {
    Output {
        operation: String,
        path: Bytes,
        cause: WireCause,
    },
    System {
        operation: String,
        cause: WireCause,
    },
    Survivors {
        pids: Vec<u32>,
    },
}

/// An I/O error: its number if it has one, else its text.
#[derive(Serialize, Deserialize)]
pub(super) struct WireCause {
    code: Option<i32>,
    text: String,
}

impl From<io::Error> for WireCause {
    fn from(error: io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            text: error.to_string(),
        }
    }
}

impl From<WireCause> for io::Error {
    fn from(cause: WireCause) -> Self {
        match cause.code {
            Some(code) => Self::from_raw_os_error(code),
            None => Self::other(cause.text),
        }
    }
}

impl From<ProcessError> for WireFault {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Output {
                operation,
                path,
                source,
            } => Self::Output {
                operation,
                path: (&path).into(),
                cause: source.into(),
            },
            ProcessError::System { operation, source } => Self::System {
                operation,
                cause: source.into(),
            },
            ProcessError::Survivors { pids } => Self::Survivors { pids },
            // Those of the driver's side, which do not arise in a guardian.
            other => Self::System {
                operation: "guard the job".to_owned(),
                cause: io::Error::other(other).into(),
            },
        }
    }
}

impl From<WireFault> for ProcessError {
    fn from(fault: WireFault) -> Self {
        match fault {
            WireFault::Output {
                operation,
                path,
                cause,
            } => Self::Output {
                operation,
                path: path.into(),
                source: cause.into(),
            },
            WireFault::System { operation, cause } => Self::System {
                operation,
                source: cause.into(),
            },
            WireFault::Survivors { pids } => Self::Survivors { pids },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through<T: Serialize + DeserializeOwned>(message: &T) -> T {
        let mut wire = Vec::new();
        send(&mut wire, message).unwrap();
        receive(&mut wire.as_slice()).unwrap().unwrap()
    }

    #[test]
    fn every_byte_of_a_job_survives() {
        let all: Vec<u8> = (1..=255).collect();
        let odd = OsString::from_vec(all.clone());
        let mut job = Job::new(
            vec!["sh".into(), odd.clone(), "".into(), "ü\n\"\u{1b}".into()],
            "/tmp",
            "/tmp/o",
        );
        job.env = vec![("A".into(), odd), ("B".into(), "x".repeat(200 << 10).into())];
        job.cwd = OsString::from_vec(b"/\xff".to_vec()).into();
        job.output_max = Some(u64::MAX);
        job.wall = Some(Duration::MAX);
        job.session = "s".to_owned();
        assert_eq!(Job::from(through(&WireJob::from(&job))), job);
    }

    #[test]
    fn errors_keep_their_text_number_and_source() {
        let path = PathBuf::from("/a");
        let error = ProcessError::Output {
            operation: "sync".to_owned(),
            path,
            source: io::Error::from_raw_os_error(28),
        };
        let text = error.to_string();
        let back = ProcessError::from(through(&WireFault::from(error)));
        assert_eq!(back.to_string(), text);
        assert!(matches!(back, ProcessError::Output { source, .. } if source.raw_os_error() == Some(28)));
    }

    #[test]
    fn an_ended_or_confused_peer_is_told_from_a_message() {
        assert!(receive::<Reply>(&mut [].as_slice()).unwrap().is_none());
        assert!(receive::<Reply>(&mut [9, 0, 0, 0, b'"'].as_slice()).is_err());
        assert!(receive::<Reply>(&mut [0xff; 16].as_slice()).is_err());
    }
}
