//! A folder, a lock, runners, and ways to look at processes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use machine_driver_process::{Cancel, Job, Outcome, ProcessError, Runner};
use tempfile::TempDir;

/// Far more than anything needs that works, far less than the sleepers in the jobs sleep.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) lock: File,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        lock.try_lock().unwrap();
        Self { folder, lock }
    }

    pub(crate) fn guarded(&self) -> Runner {
        Runner::guarded(&self.lock).unwrap()
    }

    /// Both tiers, for what must hold in both.
    pub(crate) fn runners(&self) -> [Runner; 2] {
        [Runner::local(), self.guarded()]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A job for a shell, with `PATH`, in the folder.
    pub(crate) fn sh(&self, script: &str) -> Job {
        let argv = ["sh", "-c", script].map(Into::into).to_vec();
        let mut job = Job::new(argv, self.folder.path(), self.path("out"));
        job.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        job
    }

    pub(crate) fn output(&self) -> Vec<u8> {
        fs::read(self.path("out")).unwrap()
    }

    /// The process ids, one a line, that a job wrote into a file; waits until there are `count`.
    pub(crate) fn pids(&self, name: &str, count: usize) -> Vec<i32> {
        let mut pids = Vec::new();
        wait_until(|| {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            pids = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
            pids.len() >= count
        });
        pids
    }
}

pub(crate) fn run(runner: &Runner, job: &Job) -> Outcome {
    try_run(runner, job).unwrap()
}

pub(crate) fn try_run(runner: &Runner, job: &Job) -> Result<Outcome, ProcessError> {
    let begun = Instant::now();
    let outcome = runner.run(job, &Cancel::new(), &mut |_| ());
    assert!(begun.elapsed() < SOON, "took {:?}: {outcome:?}", begun.elapsed());
    outcome
}

/// Whether the process exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

pub(crate) fn assert_dead(pids: &[i32]) {
    assert!(!pids.is_empty());
    for &pid in pids {
        assert!(!is_alive(pid), "{pid} of {pids:?} is alive");
    }
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
