//! From the job's pipe to the sink, never waiting for anybody.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::error::ProcessError;
use crate::job::Output;
use crate::output::Sink;

const CHUNK_BYTES: usize = 64 << 10;

/// Reads what the pipe holds now. Who else holds the other end does not matter.
pub(crate) struct Pump {
    /// None after the last writer is gone.
    pipe: Option<PipeReader>,
    sink: Sink,
    buffer: Vec<u8>,
    last_byte: Instant,
}

impl Pump {
    /// The pump and the end of the pipe for the job.
    pub(crate) fn new(sink: Sink, now: Instant) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        // Fewer switches between writer and reader; refused when the user has many large pipes.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&reader, 1 << 20);
        let pump = Self {
            pipe: Some(reader),
            sink,
            buffer: vec![0; CHUNK_BYTES],
            last_byte: now,
        };
        Ok((pump, writer))
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// When the job last wrote something; its start if it never did.
    pub(crate) fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// Moves one chunk; returns its size, 0 if there is nothing to read.
    pub(crate) fn step(&mut self) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(0);
        };
        match pipe.read(&mut self.buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.sink.take(self.buffer.get(..count).unwrap_or_default());
                self.last_byte = Instant::now();
                return Ok(count);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
        Ok(0)
    }

    /// Takes what is in the pipe at this moment and no more, so that a writer who escaped cannot
    /// keep us here, then completes the file.
    pub(crate) fn finish(mut self) -> Result<Output, ProcessError> {
        self.drain()
            .map_err(|e| ProcessError::system("read the job's output", e))?;
        self.sink.finish()
    }

    fn drain(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut left = rustix::io::ioctl_fionread(pipe)?;
        while left > 0 {
            match self.step()? {
                0 => break,
                count => left = left.saturating_sub(count as u64),
            }
        }
        Ok(())
    }
}
