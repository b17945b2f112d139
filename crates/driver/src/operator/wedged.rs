//! A driver that does not answer is ended, if it is certain that it is the driver.

use std::path::Path;

use machine_driver_state::store::Paths;

/// Why nothing was killed.
#[derive(Debug)]
pub(super) struct NotIt {
    /// As a clause.
    pub(super) what: String,
    pid: Option<u32>,
}

impl NotIt {
    fn new(pid: Option<u32>, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { what, pid }
    }

    /// What a person can do by hand.
    pub(super) fn help(&self, paths: &Paths) -> String {
        let look = format!("See who holds it with `fuser -v {}`", paths.log.display());
        let end = self
            .pid
            .map(|pid| format!(", and if it is the driver {pid}, `kill -9 {pid}`"));
        format!(
            "{look}{}. The request stays: a driver that looks carries it out, and none starts before it is lifted.",
            end.unwrap_or_default()
        )
    }
}

/// Kills the driver that holds the goal's log. Returns its process id.
///
/// It is the one if the log's last start names it in this very boot, and it holds the lock on the log by a descriptor of its
/// own; a process that has its id by chance does not.
#[cfg(target_os = "linux")]
pub(super) fn end(paths: &Paths) -> Result<u32, NotIt> {
    use machine_driver_state::event::Event;
    use machine_driver_state::store::last_event;
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let Ok(Some(Event::DriverUp(up))) = last_event(&paths.log, "driver_up", |_| true) else {
        return Err(NotIt::new(None, "the log names no driver"));
    };
    let not_it = |what: String| NotIt::new(Some(up.pid), what);
    let boot_id = crate::driver::boot_id();
    if boot_id.is_empty() || up.boot_id != boot_id {
        let what = format!(
            "the driver {} that the log names is from before this boot",
            up.pid
        );
        return Err(NotIt::new(None, what));
    }
    if up.pid == std::process::id() {
        return Err(NotIt::new(
            None,
            "it is this very process, which does not answer itself",
        ));
    }
    let pid = Pid::from_raw(up.pid.cast_signed()).ok_or_else(|| not_it("the log names no process".into()))?;
    // From here on the handle means this very process, whoever gets its id later.
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| {
        NotIt::new(
            None,
            format!("the driver {} that the log names has ended", up.pid),
        )
    })?;
    if !holds_lock(up.pid, &paths.log) {
        return Err(not_it(format!(
            "process {} has the id that the log names, but it was not seen to hold the log",
            up.pid
        )));
    }
    let killed = |error| not_it(format!("process {} could not be killed: {error}", up.pid));
    pidfd_send_signal(&handle, Signal::STOP).map_err(killed)?;
    end_children(up.pid);
    pidfd_send_signal(&handle, Signal::KILL).map_err(killed)?;
    Ok(up.pid)
}

/// Ends what the driver itself has started, such as a git that is about to commit; but not its guardian, which ends the rest. The
/// driver is stopped: it starts no more of them, and reaps none, so that their ids are their own.
#[cfg(target_os = "linux")]
fn end_children(driver: u32) {
    use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

    await_stop(driver);
    for child in children(driver).into_iter().filter(|child| !is_guardian(*child)) {
        let Some(pid) = Pid::from_raw(child.cast_signed()) else {
            continue;
        };
        // Each leads a group of its own. What has ended needs no signal.
        if getpgid(Some(pid)) == Ok(pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// A stop reaches a thread when that next leaves the kernel.
#[cfg(target_os = "linux")]
fn await_stop(pid: u32) {
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name before the state stands in brackets and may hold anything.
        let state = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.trim_start().to_owned());
        state.is_none_or(|state| state.starts_with(['T', 'Z', 'X']))
    };
    for _ in 0..20 {
        if is_stopped() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let of_thread = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let ids: Vec<u32> = text.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        ids
    };
    threads.flat_map(of_thread).collect()
}

/// A guardian is this program under an argument of its own. Where that cannot be read it is taken for one: it must not be killed.
#[cfg(target_os = "linux")]
fn is_guardian(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = command.split(|byte| *byte == 0);
    command.is_empty() || arguments.nth(1) == Some(b"__machine-driver-guardian")
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end(_: &Paths) -> Result<u32, NotIt> {
    Err(NotIt::new(None, "this system does not tell who that is"))
}

/// Whether a process has the log open under a lock of its own: the kernel lists the locks of a descriptor in its fdinfo
/// (proc_pid_fdinfo(5)).
#[cfg(target_os = "linux")]
fn holds_lock(pid: u32, log: &Path) -> bool {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    let Ok(log) = fs::symlink_metadata(log) else {
        return false;
    };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let is_log =
        |path: &Path| fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (log.dev(), log.ino()));
    open.flatten().any(|entry| {
        let name = entry.file_name();
        let info = format!("/proc/{pid}/fdinfo/{}", name.to_string_lossy());
        is_log(&entry.path()) && fs::read_to_string(info).is_ok_and(|info| info.contains("FLOCK"))
    })
}
