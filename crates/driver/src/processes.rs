//! What starts and ends processes: with the feature `command` a guarded runner, without it nothing.

#[cfg(feature = "command")]
pub(crate) use with::{Processes, end_leftovers, end_tree, guardians_of, used_before};
#[cfg(not(feature = "command"))]
pub(crate) use without::{Processes, end_leftovers, end_tree, guardians_of, used_before};

#[cfg(feature = "command")]
mod with {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use machine_driver_process::{Runner, Started, Tier, sweep_orphans};
    use machine_driver_state::control::ProcessMark;
    use machine_driver_state::usage::Usage;
    use machine_driver_verify::{CommandVerifier, Verifier};
    use machine_driver_worker::{CommandWorker, Worker, usage_left_behind};

    use crate::error::DriverError;
    use crate::hold::Held;

    /// Those who run the goal's commands.
    #[derive(Debug)]
    pub(crate) struct Processes {
        runner: Runner,
    }

    impl Processes {
        /// Held by a guardian where that is asked for.
        pub(crate) fn hold(held: &Held, guarded: bool) -> Result<Self, DriverError> {
            let lock = held.store.lock_file().filter(|_| guarded);
            let runner = lock.map_or(Ok(Runner::local()), Runner::guarded);
            let runner = runner.map_err(|source| DriverError::Process {
                operation: "could not hold the processes",
                source,
            })?;
            Ok(Self { runner })
        }

        /// How they are held, as the log says it.
        pub(crate) fn tier(&self) -> &'static str {
            if self.runner.tier() == Tier::Guardian {
                "guardian"
            } else {
                "group"
            }
        }

        pub(crate) fn worker(&self) -> Option<Arc<dyn Worker>> {
            Some(Arc::new(CommandWorker::new(self.runner.clone())))
        }

        pub(crate) fn verifier(&self) -> Option<Arc<dyn Verifier>> {
            Some(Arc::new(CommandVerifier::new(self.runner.clone())))
        }
    }

    /// Ends what an earlier driver left running, and returns how many processes that were.
    pub(crate) fn end_leftovers(session: &str, mark: Option<ProcessMark>) -> Result<u32, DriverError> {
        let started = mark.map(|mark| Started {
            pid: mark.pid,
            pgid: mark.pgid,
            start_time: mark.start_time,
            boot_id: mark.boot_id,
        });
        let started: Vec<Started> = started.into_iter().collect();
        sweep_orphans(&[session.to_owned()], &started).map_err(|source| DriverError::Process {
            operation: "could not end what an earlier driver left running",
            source,
        })
    }

    pub(crate) use machine_driver_process::guardians_of;

    /// Ends another process with all that descends from it; false where it is not there, or not the one.
    pub(crate) fn end_tree(
        pid: u32,
        is_it: impl FnOnce() -> bool,
        grace: Duration,
    ) -> Result<bool, DriverError> {
        let ended = machine_driver_process::end_tree(pid, is_it, grace);
        let ended = ended.map_err(|source| DriverError::Process {
            operation: "could not end what a driver that does not answer has started",
            source,
        })?;
        Ok(ended.is_some())
    }

    /// What a worker reported to have used before it was cut off.
    pub(crate) fn used_before(evidence: &Path, attempt: u32) -> Usage {
        usage_left_behind(evidence, attempt)
    }
}

#[cfg(not(feature = "command"))]
mod without {
    use std::path::Path;
    use std::sync::Arc;
    #[cfg(target_os = "linux")]
    use std::time::Duration;

    use machine_driver_state::control::ProcessMark;
    use machine_driver_state::usage::Usage;
    use machine_driver_verify::Verifier;
    use machine_driver_worker::Worker;

    use crate::error::DriverError;
    use crate::hold::Held;

    /// This build starts no process.
    #[derive(Debug)]
    pub(crate) struct Processes;

    impl Processes {
        pub(crate) fn hold(_held: &Held, _guarded: bool) -> Result<Self, DriverError> {
            Ok(Self)
        }

        pub(crate) fn tier(&self) -> &'static str {
            "none"
        }

        pub(crate) fn worker(&self) -> Option<Arc<dyn Worker>> {
            None
        }

        pub(crate) fn verifier(&self) -> Option<Arc<dyn Verifier>> {
            None
        }
    }

    /// A worker of one's own sees to what it starts.
    pub(crate) fn end_leftovers(_session: &str, _mark: Option<ProcessMark>) -> Result<u32, DriverError> {
        Ok(0)
    }

    /// This build starts no process, so that there is but the driver itself.
    #[cfg(target_os = "linux")]
    pub(crate) fn end_tree(
        pid: u32,
        is_it: impl FnOnce() -> bool,
        _grace: Duration,
    ) -> Result<bool, DriverError> {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

        let handle =
            Pid::from_raw(pid.cast_signed()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // From here on the handle means this very process, whoever gets its id later.
        let Some(handle) = handle.filter(|_| is_it()) else {
            return Ok(false);
        };
        let killed = pidfd_send_signal(&handle, Signal::KILL);
        killed.map(|()| true).map_err(|error| DriverError::Io {
            operation: "kill the driver in",
            path: format!("/proc/{pid}").into(),
            source: error.into(),
        })
    }

    /// There is no guardian here.
    pub(crate) const fn guardians_of(_lock: &std::fs::Metadata) -> Vec<u32> {
        Vec::new()
    }

    pub(crate) fn used_before(_evidence: &Path, _attempt: u32) -> Usage {
        Usage::default()
    }
}
