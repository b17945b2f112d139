//! Where a driver that runs takes note of requests: looked at before every step, and by a thread while one takes long.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use machine_driver_state::control::Cut;
use machine_driver_state::event::{OverrideKind, RequestId, Tampering};
use machine_driver_state::store::Paths;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::Request;
use super::folder::{Folder, REFUSED, id_of, is_settled};
use crate::clock::{Clock as _, SystemClock};
use crate::outcome::shortened;
use crate::stop::Stop;

/// How long a request waits that nobody was woken for.
const TICK: Duration = Duration::from_millis(500);

/// The shortest time between two looks of the thread, whoever wakes it.
const PAUSE: Duration = Duration::from_millis(5);

/// Names that one look reads. A folder with more is moved aside as a whole.
pub(super) const NAMES_MAX: usize = 256;

/// What is recorded of one run's refused requests; the rest is only moved aside.
const TOLD_MAX: usize = 32;

/// Requests that one run carries out and records. What is asked for more often than that is so already.
pub(super) const NOTED_MAX: usize = 32;

/// A request that a driver took note of.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) request: Request,
    /// How long it had waited then.
    waited: Duration,
    at: Instant,
}

impl Noted {
    /// How long it had waited when it was noted.
    pub(crate) fn until_noted(&self) -> Duration {
        self.waited
    }

    /// How long it has waited by now.
    pub(crate) fn until_now(&self) -> Duration {
        self.waited.saturating_add(self.at.elapsed())
    }
}

/// What there is to be carried out and recorded.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) requests: Vec<Noted>,
    pub(crate) refused: Vec<Tampering>,
}

/// Takes note of requests while it lives.
#[derive(Debug)]
pub(crate) struct Desk {
    room: Arc<Room>,
    /// Closed, it ends the thread.
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Room {
    paths: Paths,
    stop: Stop,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    found: Found,
    /// Requests that were noted in this run.
    known: BTreeSet<RequestId>,
    told: usize,
    /// What could not be moved aside.
    stuck: BTreeSet<OsString>,
    /// How the folder was when it was last looked into: which one, and when something was put there or taken away.
    seen: Option<Seen>,
    pipe: Option<Arc<OwnedFd>>,
}

/// Device, inode, and the time of the last change in seconds and nanoseconds.
type Seen = (u64, u64, i64, i64);

fn seen(control: &Path) -> Option<Seen> {
    let meta = std::fs::symlink_metadata(control).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

impl Desk {
    /// Starts the thread. A halt asks `stop` to stop.
    ///
    /// # Errors
    /// The system's, where no thread or pipe can be had.
    pub(crate) fn start(paths: &Paths, stop: &Stop) -> io::Result<Self> {
        let room = Arc::new(Room {
            paths: paths.clone(),
            stop: stop.clone(),
            book: Mutex::default(),
        });
        let (ended, end) = io::pipe()?;
        let manned = Arc::clone(&room);
        let thread = Builder::new()
            .name("desk".into())
            .spawn(move || manned.keep(&ended))?;
        Ok(Self {
            room,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Hands over all that was found since the last time, and looks once more only where the folder was changed since. That costs
    /// one call; what is put there within the kernel's tick of the last look is found by the thread.
    pub(crate) fn glance(&self) -> Found {
        let mut book = self.room.book();
        if book.seen.is_none() || book.seen != seen(&self.room.paths.control) {
            self.room.look(&mut book);
        }
        std::mem::take(&mut book.found)
    }

    /// Looks once more, and hands over all that was found since the last time.
    pub(crate) fn take(&self) -> Found {
        let mut book = self.room.book();
        self.room.look(&mut book);
        std::mem::take(&mut book.found)
    }

    /// Removes a request whose records are on disk.
    pub(crate) fn settled(&self, id: &RequestId) {
        if let Ok(folder) = Folder::open(&self.room.paths.control) {
            folder.remove(id);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and a panic in it was told already.
            drop(thread.join());
        }
    }
}

impl Room {
    fn keep(&self, ended: &PipeReader) {
        loop {
            let begun = Instant::now();
            let (pipe, is_news) = {
                let mut book = self.book();
                let before = book.found.requests.len() + book.found.refused.len();
                self.look(&mut book);
                let after = book.found.requests.len() + book.found.refused.len();
                (book.pipe.clone(), after > before)
            };
            if is_news {
                self.stop.wake(); // One that waits between two steps carries it out now.
            }
            if wait(ended, pipe.as_deref()) {
                return;
            }
            std::thread::sleep(PAUSE.saturating_sub(begun.elapsed()));
        }
    }

    /// Takes note of what lies there. That costs the same however much it is.
    fn look(&self, book: &mut Book) {
        book.seen = seen(&self.paths.control);
        let Ok((folder, aside)) = Folder::make(&self.paths) else {
            return; // Nobody could leave a request there either. The next look tries again.
        };
        if let Some(aside) = aside {
            let name = aside.file_name().map(|name| name.to_string_lossy().into_owned());
            book.tell(
                "control/ was replaced by something that is no folder of the driver's".into(),
                name,
            );
        }
        book.see_to_pipe(&folder);
        let Ok((names, is_flood)) = folder.names(NAMES_MAX) else {
            return;
        };
        for name in names.iter().filter(|name| !is_settled(name)) {
            self.note(book, &folder, name);
        }
        if is_flood && let Ok(aside) = Folder::move_aside(&self.paths) {
            let name = aside.file_name().map(|name| name.to_string_lossy().into_owned());
            book.tell(format!("more than {NAMES_MAX} files lay in control/"), name);
        }
    }

    fn note(&self, book: &mut Book, folder: &Folder, name: &OsStr) {
        let id = id_of(name);
        if id.as_ref().is_some_and(|id| book.known.contains(id)) {
            return;
        }
        let read = match &id {
            Some(id) => folder.read(name).and_then(|bytes| Request::read(id, &bytes)),
            None => Err("its name is not that of a request".into()),
        };
        match read {
            Ok(request) => {
                if request.kind == OverrideKind::Halt {
                    self.stop.ask(Cut::Halt);
                }
                if book.known.len() >= NOTED_MAX {
                    return folder.remove(&request.id);
                }
                folder.take(&request.id);
                book.known.insert(request.id.clone());
                book.found.requests.push(Noted {
                    waited: SystemClock::new().now().since(request.asked_at),
                    at: Instant::now(),
                    request,
                });
            }
            Err(why) => book.refuse(folder, name, &why),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic leaves nothing half done in it but a request that is looked at again.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn see_to_pipe(&mut self, folder: &Folder) {
        if !self.pipe.as_ref().is_some_and(|pipe| folder.has_pipe(pipe)) {
            self.pipe = folder.pipe().map(Arc::new);
        }
    }

    /// What cannot even be moved aside is told once.
    fn refuse(&mut self, folder: &Folder, name: &OsStr, why: &str) {
        let is_moved = folder.refuse(name);
        if !is_moved && !self.stuck.insert(name.to_owned()) {
            return;
        }
        let name = shortened(&name.to_string_lossy(), 80);
        let kept_as = is_moved.then(|| format!("{name}{REFUSED}"));
        let what = format!(
            "a request that only an operator may make while no driver runs lay in control/: {name} ({why})"
        );
        self.tell(what, kept_as);
    }

    fn tell(&mut self, what: String, kept_as: Option<String>) {
        if self.told < TOLD_MAX {
            self.told += 1;
            self.found.refused.push(Tampering { what, kept_as });
        }
    }
}

/// Waits until somebody wakes it or the time is over. Whether it is to end.
fn wait(ended: &PipeReader, pipe: Option<&OwnedFd>) -> bool {
    let mut fds = vec![PollFd::new(ended, PollFlags::IN)];
    fds.extend(pipe.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    let timeout = Timespec::try_from(TICK).ok();
    if rustix::event::poll(&mut fds, timeout.as_ref()).is_err() {
        std::thread::sleep(PAUSE); // A signal; or what cannot be waited on is looked at.
    }
    let is_over = fds.first().is_some_and(|fd| !fd.revents().is_empty());
    if let Some(pipe) = pipe {
        let mut bytes = [0; 4096];
        // Whatever is in it says no more than that there is something to see.
        while matches!(rustix::io::read(pipe, &mut bytes), Ok(count) if count == bytes.len()) {}
    }
    is_over
}

#[cfg(test)]
mod tests;
