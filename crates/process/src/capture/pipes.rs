//! The three pipes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::Capture;
use super::leader::Leader;

/// What is fed behind an answer.
pub(super) struct Then<'a> {
    pub(super) answer: &'a [u8],
    pub(super) words: &'a [u8],
}

/// Our ends of the pipes; none once the other end is closed.
pub(super) struct Pipes {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
    /// Bytes that were taken of what is fed.
    fed: usize,
    theirs: Option<(Stdio, PipeWriter, PipeWriter)>,
}

impl Pipes {
    pub(super) fn new(command: &Capture) -> io::Result<Self> {
        let (stdout, stdout_theirs) = io::pipe()?;
        let (stderr, stderr_theirs) = io::pipe()?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        let (stdin_theirs, stdin) = if command.stdin.is_empty() {
            (Stdio::null(), None)
        } else {
            let (theirs, stdin) = io::pipe()?;
            rustix::io::ioctl_fionbio(&stdin, true)?;
            (theirs.into(), Some(stdin))
        };
        Ok(Self {
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
            fed: 0,
            theirs: Some((stdin_theirs, stdout_theirs, stderr_theirs)),
        })
    }

    /// Starts the command on the other ends; the error is for people.
    pub(super) fn start(mut self, command: &Capture) -> Result<(Self, Leader), String> {
        let (program, arguments) = command.argv.split_first().ok_or("the command is empty")?;
        let (stdin, stdout, stderr) = self.theirs.take().ok_or("the pipes are used up")?;
        // The descriptors of the other ends are closed here with this value, so that the pipes can end.
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&command.cwd)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("could not start {}: {e}", program.display()))?;
        Ok((self, Leader::of(child)))
    }

    /// Whether there is something to write, or the end of it to be shown.
    pub(super) fn is_to_feed(&self, bytes: &[u8], more: bool) -> bool {
        self.stdin.is_some() && !(more && self.fed >= bytes.len())
    }

    /// What is fed from now on is another text.
    pub(super) const fn feed_anew(&mut self) {
        self.fed = 0;
    }

    /// Writes what the pipe takes now. The pipe ends behind it, unless `more` may follow.
    pub(super) fn feed(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let Some(pipe) = &mut self.stdin else {
            return Ok(());
        };
        match pipe.write(bytes.get(self.fed..).unwrap_or_default()) {
            Ok(count) => self.fed += count,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.fed = bytes.len(),
            Err(e) => return Err(e),
        }
        if self.fed >= bytes.len() && !more {
            self.stdin = None;
        }
        Ok(())
    }
}

/// Bytes that the pipe holds now.
pub(super) fn held(pipe: &Option<PipeReader>) -> io::Result<u64> {
    pipe.as_ref()
        .map_or(Ok(0), |pipe| Ok(rustix::io::ioctl_fionread(pipe)?))
}

/// Reads what is there; 0 where that is nothing. At its end the pipe is closed.
pub(super) fn read(pipe: &mut Option<PipeReader>, buffer: &mut [u8]) -> io::Result<usize> {
    let Some(open) = pipe else { return Ok(0) };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(count) => return Ok(count),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
        Err(e) => return Err(e),
    }
    Ok(0)
}
