//! A driver that does not answer is ended, if it is certain that it is the driver.

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

#[cfg(not(target_os = "linux"))]
pub(super) fn end(_: &Paths) -> Result<u32, NotIt> {
    Err(NotIt::new(None, "this system does not tell who that is"))
}

/// A driver that holds a log of this goal which is not where it was: it was removed, moved, or another put in its place.
#[cfg(not(target_os = "linux"))]
pub(super) fn elsewhere(_: &Paths) -> Option<u32> {
    None
}

#[cfg(target_os = "linux")]
pub(super) use linux::{elsewhere, end};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use machine_driver_state::event::{DriverUp, Event};
    use machine_driver_state::store::{Paths, last_event_in};

    use super::NotIt;
    use crate::processes::{end_tree, guardians_of};

    /// How long a guardian has to end what it holds, once its driver is dead.
    const GRACE: Duration = Duration::from_millis(800);

    /// What the kernel adds to the name of a file that was removed (`d_path`).
    const REMOVED: &str = " (deleted)";

    /// Kills the driver that holds the goal's log, with all that descends from it. Returns its process id; where it is dead
    /// already and left a guardian that does not end, that one's.
    ///
    /// It is the one if by the kernel's own list it holds a lock on the goal's log by a descriptor of its own, and either runs
    /// this very program, or is named by the last start in that log, in this very boot. A process that has its id by chance does
    /// neither.
    pub(in crate::operator) fn end(paths: &Paths) -> Result<u32, NotIt> {
        let mut holders: Vec<Holder> = holders(paths).collect();
        holders.sort_by_key(|holder| !(holder.is_named && holder.in_place));
        if !holders.iter().any(Holder::is_driver) {
            return end_guardian(paths, &holders);
        }
        let drivers = holders.iter().filter(|holder| holder.is_driver());
        let ended = drivers.map(|holder| {
            let is_it = || Holder::of(holder.pid, paths).is_some_and(|again| again.is_driver());
            kill(holder.pid, is_it)
        });
        // All of them, though but one can be it: somebody may have made himself look like one.
        let ended: Vec<_> = ended.collect();
        ended
            .into_iter()
            .reduce(|one, other| if one.is_ok() { one } else { other })
            .unwrap_or_else(|| Err(who_it_may_be(paths, &holders)))
    }

    pub(in crate::operator) fn elsewhere(paths: &Paths) -> Option<u32> {
        let is_elsewhere = |holder: &Holder| !holder.in_place && holder.is_driver();
        holders(paths).find(is_elsewhere).map(|holder| holder.pid)
    }

    /// A driver that is dead leaves a guardian that somebody has stopped.
    fn end_guardian(paths: &Paths, holders: &[Holder]) -> Result<u32, NotIt> {
        let guardians = fs::metadata(&paths.log).map_or_else(|_| Vec::new(), |log| guardians_of(&log));
        match guardians.first() {
            Some(guardian) if holders.is_empty() => kill(*guardian, || true),
            _ => Err(who_it_may_be(paths, holders)),
        }
    }

    fn kill(pid: u32, is_it: impl FnOnce() -> bool) -> Result<u32, NotIt> {
        match end_tree(pid, is_it, GRACE) {
            Ok(true) => Ok(pid),
            Ok(false) => Err(NotIt::new(None, format!("process {pid} has ended meanwhile"))),
            Err(error) => Err(NotIt::new(
                Some(pid),
                format!(
                    "process {pid} could not be ended with all that it had started: {}",
                    crate::outcome::chain(&error)
                ),
            )),
        }
    }

    fn who_it_may_be(paths: &Paths, holders: &[Holder]) -> NotIt {
        let me = std::process::id();
        let is_file = fs::symlink_metadata(&paths.log).is_ok_and(|meta| meta.is_file());
        let named = is_file.then(|| last_start(&paths.log)).flatten();
        match (holders.first(), named) {
            (_, Some(up)) if up.pid == me => {
                NotIt::new(None, "it is this very process, which does not answer itself")
            }
            (None, Some(up)) if up.boot_id != crate::driver::boot_id() => NotIt::new(
                None,
                format!(
                    "the driver {} that the log names is from before this boot",
                    up.pid
                ),
            ),
            (_, Some(up)) => NotIt::new(
                Some(up.pid),
                format!(
                    "process {} has the id that the log names, but it was not seen to hold the log",
                    up.pid
                ),
            ),
            (Some(holder), None) => NotIt::new(
                Some(holder.pid),
                format!(
                    "process {} holds the log, which names no driver, and it does not run this program",
                    holder.pid
                ),
            ),
            (None, None) => NotIt::new(None, "the log names no driver, and nobody was seen to hold it"),
        }
    }

    /// A process that holds the lock on a log of this goal.
    #[derive(Debug)]
    struct Holder {
        pid: u32,
        /// Whether that is the log that lies there now.
        in_place: bool,
        /// Whether the log's last start names it, in this boot.
        is_named: bool,
        /// Whether it runs this program.
        is_ours: bool,
    }

    /// All that can be looked into: a guardian cannot.
    fn holders(paths: &Paths) -> impl Iterator<Item = Holder> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let me = std::process::id();
        ids.filter(move |pid| *pid != me)
            .filter_map(|pid| Holder::of(pid, paths))
    }

    impl Holder {
        fn of(pid: u32, paths: &Paths) -> Option<Self> {
            let log = fs::metadata(&paths.log).ok();
            let mut removed = named(&paths.log).into_os_string();
            removed.push(REMOVED);
            let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            open.flatten().find_map(|entry| {
                let file = entry.path();
                let name = fs::read_link(&file).ok()?;
                let was_log = name.as_os_str() == removed;
                let meta = fs::metadata(&file).ok().filter(fs::Metadata::is_file)?;
                let in_place = log
                    .as_ref()
                    .is_some_and(|log| (meta.dev(), meta.ino()) == (log.dev(), log.ino()));
                if !in_place && !was_log && !is_moved_log(pid, &file, &name, paths) {
                    return None;
                }
                is_locked(pid, &entry.file_name().to_string_lossy()).then(|| Self {
                    pid,
                    in_place,
                    is_named: last_start(&file).is_some_and(|up| is_named(&up, pid)),
                    is_ours: is_ours(pid),
                })
            })
        }

        const fn is_driver(&self) -> bool {
            self.is_named || self.is_ours
        }
    }

    /// As the kernel names a file: without links on the way to it.
    fn named(log: &Path) -> PathBuf {
        let folder = log.parent().and_then(|folder| fs::canonicalize(folder).ok());
        match (folder, log.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => log.to_owned(),
        }
    }

    /// Whether this is a log under another name, and its holder waits on this goal's `control/`.
    fn is_moved_log(pid: u32, file: &Path, name: &Path, paths: &Paths) -> bool {
        let is_log = name
            .to_str()
            .is_some_and(|name| name.trim_end_matches(REMOVED).contains(".jsonl"));
        if !is_log || last_start(file).is_none_or(|up| !is_named(&up, pid)) {
            return false;
        }
        let control = named(&paths.control);
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|name| name.starts_with(&control))
    }

    fn last_start(log: &Path) -> Option<DriverUp> {
        let file = fs::File::open(log).ok()?;
        match last_event_in(file, "driver_up", |_| true) {
            Ok(Some(Event::DriverUp(up))) => Some(up),
            _ => None,
        }
    }

    fn is_named(up: &DriverUp, pid: u32) -> bool {
        let boot_id = crate::driver::boot_id();
        up.pid == pid && !boot_id.is_empty() && up.boot_id == boot_id
    }

    /// Whether it runs this very file, or one of its name: another version, or one that was replaced meanwhile.
    fn is_ours(pid: u32) -> bool {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
        let name = |exe: PathBuf| {
            let name = exe.file_name()?.to_str()?.trim_end_matches(REMOVED).to_owned();
            Some(name)
        };
        let theirs = of(&pid.to_string()).and_then(name);
        theirs.is_some() && theirs == of("self").and_then(name)
    }

    /// The kernel lists the locks of a descriptor in its fdinfo (`proc_pid_fdinfo(5)`).
    fn is_locked(pid: u32, fd: &str) -> bool {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"));
        info.is_ok_and(|info| info.contains("FLOCK"))
    }
}
