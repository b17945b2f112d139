//! Processes that a test started: always ended, never waited for without an end.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A process whose output goes to files. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    streams: TempDir,
    begun: Instant,
}

/// How a process ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code; 128 and the signal's number where one ended it, as a shell says it.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub took: Duration,
}

impl Running {
    /// Starts a command with stdin closed.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let streams = TempDir::new().unwrap();
        let file = |name: &str| File::create(streams.path().join(name)).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            streams,
            begun: Instant::now(),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout up to now.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.read("stdout")).into_owned()
    }

    /// Sends it a signal. It is not reaped yet, so its id is its own.
    ///
    /// # Panics
    /// Where that fails.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// Where the system does not tell.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it with SIGKILL and reaps it. Returns the moment of the kill.
    ///
    /// # Panics
    /// Where the system does not let it.
    pub fn kill(mut self) -> Instant {
        let at = Instant::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After `most`, with what it wrote.
    #[must_use]
    pub fn wait(mut self, most: Duration) -> Ended {
        let end = Instant::now() + most;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < end,
                "it did not end within {most:?}\n{}\n{}",
                self.stdout(),
                String::from_utf8_lossy(&self.read("stderr"))
            );
            std::thread::sleep(Duration::from_millis(3));
        };
        let took = self.begun.elapsed();
        Ended {
            code: code(status),
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            took,
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path: PathBuf = self.streams.path().join(name);
        fs::read(path).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| Some(128 + status.signal()?))
        .unwrap_or(-1)
}

impl Ended {
    /// Standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Both.
    #[must_use]
    pub fn text(&self) -> String {
        self.out() + &self.err()
    }

    /// Expects an exit code.
    ///
    /// # Panics
    /// With everything that it wrote, where it is another one.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            code,
            "stdout:\n{}\nstderr:\n{}",
            self.out(),
            self.err()
        );
        self
    }

    /// Expects texts in what it wrote.
    ///
    /// # Panics
    /// With everything that it wrote, where one is missing.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        let all = self.text();
        for text in texts {
            assert!(
                all.contains(text),
                "`{text}` is missing (exit {}) in:\n{all}",
                self.code
            );
        }
        self
    }

    /// The JSON lines of its standard output.
    ///
    /// # Panics
    /// Where a line is no JSON object with a `type`, or the last is neither a summary nor an error.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.stdout).unwrap();
        let read =
            |line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let lines: Vec<_> = text.lines().map(read).collect();
        assert!(
            lines.iter().all(|line| line["type"].is_string()),
            "a line has no type:\n{text}"
        );
        let last = lines.last().map(|line| line["type"].clone()).unwrap_or_default();
        assert!(
            last == "summary" || last == "error",
            "the last line is {last}:\n{text}\n{}",
            self.err()
        );
        assert!(text.ends_with('\n'), "the last line has no end");
        lines
    }
}
