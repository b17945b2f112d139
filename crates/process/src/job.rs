//! What to run, and what came of it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The name of the environment variable that marks every process of a run; the caller puts it into
/// [`Job::env`] and [`sweep_orphans`](crate::sweep_orphans) looks for it.
pub const SESSION_VARIABLE: &str = "MACHINE_SESSION";

/// Bytes of output kept on disk unless the job says otherwise: 64 MiB.
pub const OUTPUT_CAP: u64 = 64 << 20;

/// Time between TERM and KILL unless the job says otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// One command, its surroundings and its limits.
///
/// Limits are measured on the monotonic clock: they ignore clock changes, and the time that the
/// machine is suspended does not count.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// Program and arguments. A program without a slash is looked up in `PATH` of [`Job::env`].
    pub argv: Vec<OsString>,
    /// The full environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// File for stdout and stderr, merged in the order of arrival. Created or truncated.
    pub output: PathBuf,
    /// Bytes kept in that file. Beyond, the first and the last half of the cap stay, with a line
    /// between them that names the number of bytes cut.
    pub output_cap: u64,
    /// Stop the job when it wrote more bytes than this.
    pub output_max: Option<u64>,
    /// Stop the job after this time.
    pub wall: Option<Duration>,
    /// Stop the job when it wrote nothing for this long.
    pub idle: Option<Duration>,
    /// Time between TERM and KILL when the job is stopped.
    pub grace: Duration,
    /// The value of [`SESSION_VARIABLE`]. It is not added to the environment; it names what to
    /// look for when a guardian was lost.
    pub session: String,
}

impl Job {
    /// A job without limits and with an empty environment; set the public fields for more.
    #[must_use]
    pub fn new(argv: Vec<OsString>, cwd: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            argv,
            env: Vec::new(),
            cwd: cwd.into(),
            output: output.into(),
            output_cap: OUTPUT_CAP,
            output_max: None,
            wall: None,
            idle: None,
            grace: GRACE,
            session: String::new(),
        }
    }
}

/// Shows names but no values of the environment, which may hold keys.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Job")
            .field("argv", &self.argv)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .field("output", &self.output)
            .field("wall", &self.wall)
            .field("idle", &self.idle)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Who was started: enough to recognise the process later, even after a restart of the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Process id of the leader.
    pub pid: u32,
    /// Process group: the leader's own.
    pub pgid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)); 0 where unknown.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`; empty where unknown.
    pub boot_id: String,
}

/// How the leader ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// With this exit status. A shell's 126 and 127 are statuses like any other.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It never ran; the text says why.
    CouldNotStart(String),
}

/// Why the runner stopped the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// [`Job::wall`] was over.
    Wall,
    /// [`Job::idle`] passed in silence.
    Idle,
    /// More than [`Job::output_max`] bytes were written.
    Output,
    /// [`Cancel::cancel`](crate::Cancel::cancel).
    Cancelled,
}

/// What the job wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// Bytes written, kept or not.
    pub bytes: u64,
    /// SHA-256 over all of them, lower-case hex.
    pub sha256: String,
    /// The last 256 KiB at most.
    pub tail: Vec<u8>,
    /// The first 64 KiB at most.
    pub head: Vec<u8>,
    /// Whether the file lacks some of the bytes.
    pub truncated: bool,
}

/// Shows lengths in place of contents, which are untrusted and long.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("bytes", &self.bytes)
            .field("sha256", &self.sha256)
            .field("head_bytes", &self.head.len())
            .field("tail_bytes", &self.tail.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How the leader ended.
    pub ending: Ending,
    /// Why the runner stopped it, if it did.
    pub stopped: Option<Stopped>,
    /// What it wrote.
    pub output: Output,
    /// From before the start until nothing was left.
    pub elapsed: Duration,
    /// Processes that outlived the leader and were killed; without a guardian a lower bound.
    pub swept: u32,
}
