//! One command whose output is an answer, small and wanted whole: git, and the like.
//!
//! A [`Job`](crate::Job) keeps evidence on disk; this keeps an answer in memory, with stdout and stderr apart and bytes
//! for stdin. The rest is the same: a process group of its own, which is ended before its leader is reaped.

mod leader;
mod pipes;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::cancel::{Cancel, Waker};
use crate::error::ProcessError;
use crate::job::{Ending, Stopped};

use self::leader::Leader;
use self::pipes::{Pipes, Then, held, read};

/// Time between TERM and KILL when the wall limit is over or too much was written.
const GRACE: Duration = Duration::from_secs(1);

/// How late the end of the process may be noticed where it is no event (macOS).
const TICK: Duration = Duration::from_millis(2);

const CHUNK_BYTES: usize = 64 << 10;

/// A command, what it reads, and its limits.
#[derive(Clone, PartialEq, Eq)]
pub struct Capture {
    /// Program and arguments. The program is a path: nothing is looked up in `PATH`.
    pub argv: Vec<OsString>,
    /// The full environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// What it can read from stdin. A command that does not read all of it is not in error.
    pub stdin: Vec<u8>,
    /// Stop it after this time.
    pub wall: Duration,
    /// Stop it when it wrote more bytes than this to stdout: a part of an answer must not pass for the whole.
    pub stdout_max: usize,
    /// Bytes of stderr that are kept, the first ones.
    pub stderr_max: usize,
}

/// Shows neither the environment nor what is fed, which may hold keys.
impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("argv", &self.argv)
            .field("cwd", &self.cwd)
            .field("stdin_bytes", &self.stdin.len())
            .field("wall", &self.wall)
            .finish_non_exhaustive()
    }
}

/// What came of a [`Capture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// How the process ended.
    pub ending: Ending,
    /// Why it was stopped, if it was: [`Stopped::Wall`], [`Stopped::Output`] or [`Stopped::Cancelled`].
    pub stopped: Option<Stopped>,
    /// What it wrote to stdout; the first [`Capture::stdout_max`] bytes of it where it was stopped for that.
    pub stdout: Vec<u8>,
    /// The first bytes that it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Captured {
    /// Whether it ran to its end and said that all is well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.stopped.is_none() && self.ending == Ending::Exited(0)
    }
}

/// Takes output as it comes; false where no more is wanted.
pub type Sink<'a> = dyn FnMut(&[u8]) -> bool + 'a;

/// Runs a command and returns its output once it has ended and its process group with it.
///
/// It is stopped by TERM to the group, and KILL after a second (after the grace of `cancel`, where that is why).
///
/// # Errors
/// [`ProcessError::System`] where the system refuses what a run cannot do without. A command that cannot be started is
/// [`Ending::CouldNotStart`].
pub fn capture(command: &Capture, cancel: &Cancel) -> Result<Captured, ProcessError> {
    capture_whole(command, cancel, None)
}

/// The same for a command that is told the last thing only when it has answered the rest: as soon as it has written the line
/// `answer`, it is fed `words` and the end of its stdin. Before that its stdin stays open.
///
/// Whoever waits for the last word from this process never gets it once the process is dead, whatever else lives on.
///
/// # Errors
/// Those of [`capture`].
pub fn capture_then(
    command: &Capture,
    cancel: &Cancel,
    answer: &[u8],
    words: &[u8],
) -> Result<Captured, ProcessError> {
    capture_whole(command, cancel, Some(Then { answer, words }))
}

fn capture_whole(
    command: &Capture,
    cancel: &Cancel,
    then: Option<Then<'_>>,
) -> Result<Captured, ProcessError> {
    let mut stdout = Vec::new();
    let mut overflow = false;
    let mut keep = |bytes: &[u8]| {
        let room = command.stdout_max.saturating_sub(stdout.len());
        overflow = bytes.len() > room;
        stdout.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        !overflow
    };
    let captured = run(command, cancel, &mut keep, then)?;
    // What overflows with its last bytes, after its end, was not stopped but is not whole either.
    let stopped = captured.stopped.or(overflow.then_some(Stopped::Output));
    Ok(Captured {
        stdout,
        stopped,
        ..captured
    })
}

/// The same with stdout handed to `sink` as it comes, however much it is; [`Captured::stdout`] stays empty. The command
/// is stopped when `sink` says false, and `sink` is not called again.
///
/// # Errors
/// Those of [`capture`].
pub fn capture_with<'a>(
    command: &'a Capture,
    cancel: &'a Cancel,
    sink: &'a mut Sink<'a>,
) -> Result<Captured, ProcessError> {
    run(command, cancel, sink, None)
}

fn run<'a>(
    command: &'a Capture,
    cancel: &'a Cancel,
    sink: &'a mut Sink<'a>,
    then: Option<Then<'a>>,
) -> Result<Captured, ProcessError> {
    let system = |operation| move |e: io::Error| ProcessError::system(operation, e);
    let waker = cancel.waker().map_err(system("open a pipe"))?;
    if cancel.is_cancelled() {
        let reason = "cancelled before the start".to_owned();
        return Ok(not_started(reason, Some(Stopped::Cancelled)));
    }
    let pipes = Pipes::new(command).map_err(system("open a pipe"))?;
    let (pipes, child) = match pipes.start(command) {
        Ok(started) => started,
        Err(reason) => return Ok(not_started(reason, None)),
    };
    let mut running = Running {
        text: &command.stdin,
        then,
        heard: Vec::new(),
        command,
        cancel,
        waker,
        pipes,
        child,
        sink: Some(sink),
        stderr: Vec::new(),
        deadline: Instant::now().checked_add(command.wall),
        stopped: None,
    };
    running.until_end().map_err(system("watch the command"))?;
    running.conclude().map_err(system("read the command's output"))
}

fn not_started(reason: String, stopped: Option<Stopped>) -> Captured {
    Captured {
        ending: Ending::CouldNotStart(reason),
        stopped,
        stdout: Vec::new(),
        stderr: Vec::new(),
    }
}

struct Running<'a> {
    command: &'a Capture,
    /// What is fed now, and what comes when the answer is there.
    text: &'a [u8],
    then: Option<Then<'a>>,
    /// The line of stdout under way, while an answer is waited for.
    heard: Vec<u8>,
    cancel: &'a Cancel,
    waker: Waker,
    pipes: Pipes,
    child: Leader,
    /// None after it said that it wants no more.
    sink: Option<&'a mut Sink<'a>>,
    stderr: Vec<u8>,
    /// When TERM is due, or KILL after it; none where neither is.
    deadline: Option<Instant>,
    stopped: Option<Stopped>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Stdin,
    Stdout,
    Stderr,
    Cancel,
    Leader,
}

impl Running<'_> {
    fn until_end(&mut self) -> io::Result<()> {
        loop {
            self.enforce(Instant::now());
            let happened = self.wait()?;
            for &source in &happened {
                match source {
                    Source::Stdin => self.pipes.feed(self.text, self.then.is_some())?,
                    Source::Stdout => self.read_stdout().map(drop)?,
                    Source::Stderr => self.read_stderr().map(drop)?,
                    Source::Cancel => {
                        self.waker.reset();
                        self.stop(Stopped::Cancelled, self.cancel.grace().unwrap_or(GRACE));
                    }
                    Source::Leader => {}
                }
            }
            let look = self.child.watch.is_none() || happened.contains(&Source::Leader);
            if look && self.child.ended()? {
                return Ok(());
            }
        }
    }

    fn enforce(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| now < at) {
            return;
        }
        if self.stopped.is_none() {
            self.stop(Stopped::Wall, GRACE);
        } else {
            self.deadline = None;
            self.child.signal_group(Signal::KILL);
        }
    }

    fn stop(&mut self, why: Stopped, grace: Duration) {
        let kill_at = Instant::now() + grace.min(Duration::from_secs(3600));
        if self.stopped.is_some() {
            self.deadline = self.deadline.map(|at| at.min(kill_at));
            return;
        }
        self.stopped = Some(why);
        self.deadline = Some(kill_at);
        self.child.signal_group(Signal::TERM);
        self.child.signal_group(Signal::CONT);
    }

    fn wait(&self) -> io::Result<Vec<Source>> {
        let pipes = &self.pipes;
        let is_to_feed = pipes.is_to_feed(self.text, self.then.is_some());
        let stdin = pipes.stdin.as_ref().filter(|_| is_to_feed);
        let fds: Vec<(Source, BorrowedFd<'_>, PollFlags)> = [
            (Source::Stdin, stdin.map(AsFd::as_fd), PollFlags::OUT),
            (
                Source::Stdout,
                pipes.stdout.as_ref().map(AsFd::as_fd),
                PollFlags::IN,
            ),
            (
                Source::Stderr,
                pipes.stderr.as_ref().map(AsFd::as_fd),
                PollFlags::IN,
            ),
            (Source::Cancel, Some(self.waker.fd()), PollFlags::IN),
            (
                Source::Leader,
                self.child.watch.as_ref().map(AsFd::as_fd),
                PollFlags::IN,
            ),
        ]
        .into_iter()
        .filter_map(|(source, fd, flags)| Some((source, fd?, flags)))
        .collect();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|&(_, fd, flags)| PollFd::from_borrowed_fd(fd, flags))
            .collect();
        let timeout = self.timeout();
        let timeout = timeout
            .map(Timespec::try_from)
            .transpose()
            .map_err(io::Error::other)?;
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = fds
            .iter()
            .zip(&polled)
            .filter(|(_, polled)| !polled.revents().is_empty());
        Ok(ready.map(|(&(source, ..), _)| source).collect())
    }

    fn timeout(&self) -> Option<Duration> {
        let tick = self.child.watch.is_none().then_some(TICK);
        let left = self
            .deadline
            .map(|at| at.saturating_duration_since(Instant::now()));
        // A day is as good as any longer time: the caller asks again.
        let left = left.map(|left| left.min(Duration::from_secs(86_400)));
        [tick, left].into_iter().flatten().min()
    }

    /// Returns how much was read; 0 where there is nothing to read now.
    fn read_stdout(&mut self) -> io::Result<usize> {
        let mut buffer = [0; CHUNK_BYTES];
        let count = read(&mut self.pipes.stdout, &mut buffer)?;
        self.listen(buffer.get(..count).unwrap_or_default());
        let wanted = match &mut self.sink {
            Some(sink) if count > 0 => sink(buffer.get(..count).unwrap_or_default()),
            _ => true,
        };
        if !wanted {
            self.sink = None;
            self.stop(Stopped::Output, GRACE);
        }
        Ok(count)
    }

    /// Goes on with the last words when the answer is there.
    fn listen(&mut self, bytes: &[u8]) {
        let Some(then) = &self.then else { return };
        self.heard.extend_from_slice(bytes);
        let mut lines = self.heard.split(|&byte| byte == b'\n');
        let under_way = lines.next_back().unwrap_or_default().to_vec();
        if lines.any(|line| line == then.answer) {
            self.text = then.words;
            self.pipes.feed_anew();
            self.then = None;
        }
        self.heard = under_way;
    }

    fn read_stderr(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = read(&mut self.pipes.stderr, &mut buffer)?;
        let room = self
            .command
            .stderr_max
            .saturating_sub(self.stderr.len())
            .min(count);
        self.stderr
            .extend_from_slice(buffer.get(..room).unwrap_or_default());
        Ok(count)
    }

    /// The leader has ended and is a zombie: ends the rest of its group, takes its status and what the pipes hold at
    /// this moment. One who escaped and still writes cannot keep us here.
    fn conclude(mut self) -> io::Result<Captured> {
        let ending = self.child.reap()?;
        let mut left = held(&self.pipes.stdout)?;
        while left > 0 {
            match self.read_stdout()? {
                0 => break,
                count => left = left.saturating_sub(count as u64),
            }
        }
        let mut left = held(&self.pipes.stderr)?;
        while left > 0 {
            match self.read_stderr()? {
                0 => break,
                count => left = left.saturating_sub(count as u64),
            }
        }
        Ok(Captured {
            ending,
            stopped: self.stopped,
            stdout: Vec::new(),
            stderr: self.stderr,
        })
    }
}

#[cfg(test)]
#[path = "capture/tests.rs"]
mod tests;
