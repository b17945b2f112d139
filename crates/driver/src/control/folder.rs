//! The folder `control/` on the disk, where a worker may have done anything.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use machine_driver_state::event::RequestId;
use machine_driver_state::store::Paths;
use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::{BYTES_MAX, Request};

/// What a driver waits on.
const WAKE: &str = "wake";

/// Folders that are moved aside at most, under names of their own.
const ASIDE_MAX: u32 = 1_000;

/// The folder, opened. It can be moved away at any time: then what is done in it is seen by nobody.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has looked at it.
    Waiting,
    /// A driver took note of it.
    Taken,
    /// It is not there: carried out, or removed by somebody.
    Gone,
}

impl Folder {
    /// Opens it where it is there. A link is not followed.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Opens it, and makes it where it is not there. What stands in its place and is no folder, or one that cannot be used,
    /// is moved aside: it must not keep an operator from being heard. Says where that was moved to.
    pub(crate) fn make(paths: &Paths) -> io::Result<(Self, Option<PathBuf>)> {
        match Self::open_usable(paths) {
            Ok(folder) => Ok((folder, None)),
            Err(Errno::NOENT) => Ok((Self::make_new(paths)?, None)),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {
                let aside = Self::move_aside(paths)?;
                Ok((Self::make_new(paths)?, Some(aside)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open_usable(paths: &Paths) -> Result<Self, Errno> {
        let folder = Self::open(&paths.control)?;
        // Without the right to write it a request could not be moved, nor one be left. Older kernels cannot say.
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::accessat(&folder.fd, ".", rights, AtFlags::EACCESS) {
            Err(Errno::ACCESS) => Err(Errno::ACCESS),
            _ => Ok(folder),
        }
    }

    fn make_new(paths: &Paths) -> io::Result<Self> {
        match rustix::fs::mkdir(&paths.control, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = Self::open(&paths.control)?;
        give_to_owner(&folder.fd, paths);
        File::open(&paths.folder)?.sync_all()?;
        Ok(folder)
    }

    /// Moves whatever stands in its place aside, under a name that is the driver's own too.
    pub(crate) fn move_aside(paths: &Paths) -> io::Result<PathBuf> {
        for number in 1..=ASIDE_MAX {
            let aside = paths.control_refused(number);
            if std::fs::symlink_metadata(&aside).is_ok() {
                continue;
            }
            // Not every file system can refuse to replace; then the look before has to do.
            let moved =
                match rustix::fs::renameat_with(CWD, &paths.control, CWD, &aside, RenameFlags::NOREPLACE) {
                    Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(&paths.control, &aside),
                    moved => moved,
                };
            match moved {
                Ok(()) => return Ok(aside),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Leaves a request: it is there whole, or not at all, and durable when this returns.
    pub(crate) fn put(&self, request: &Request, paths: &Paths) -> io::Result<()> {
        let temp = format!(".{}.tmp", request.id.as_str());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.fd, temp.as_str(), flags, mode)?;
        give_to_owner(&file, paths);
        let mut file = File::from(file);
        file.write_all(request.text().as_bytes())?;
        file.sync_all()?;
        rustix::fs::renameat(&self.fd, temp.as_str(), &self.fd, waiting(&request.id))?;
        self.wake();
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Ends the wait of a driver that waits. Without one, or with a pipe that is full, nothing happens: it looks by itself.
    fn wake(&self) {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(pipe) = rustix::fs::openat(&self.fd, WAKE, flags, Mode::empty())
            && is_pipe(&pipe)
        {
            let _ = rustix::io::write(&pipe, b"\n");
        }
    }

    /// The pipe on which a driver waits, made where it is not there. None where the system has no such thing.
    pub(crate) fn pipe(&self) -> Option<OwnedFd> {
        self.open_pipe().or_else(|| {
            // Something else may stand there. What is not a pipe is nobody's request.
            let _ = rustix::fs::unlinkat(&self.fd, WAKE, AtFlags::empty());
            make_pipe(&self.fd)?;
            self.open_pipe()
        })
    }

    fn open_pipe(&self) -> Option<OwnedFd> {
        // For writing too: so it never ends, whoever opens and closes it.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pipe = rustix::fs::openat(&self.fd, WAKE, flags, Mode::empty()).ok()?;
        is_pipe(&pipe).then_some(pipe)
    }

    /// Whether this is the pipe that stands there.
    pub(crate) fn has_pipe(&self, pipe: &OwnedFd) -> bool {
        let there = rustix::fs::statat(&self.fd, WAKE, AtFlags::SYMLINK_NOFOLLOW);
        match (there, rustix::fs::fstat(pipe)) {
            (Ok(there), Ok(held)) => (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino),
            _ => false,
        }
    }

    /// The names in it but for the pipe's, at most so many; and whether there are more.
    pub(crate) fn names(&self, most: usize) -> io::Result<(Vec<OsString>, bool)> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if [b".".as_slice(), b"..", WAKE.as_bytes()].contains(&name) {
                continue;
            }
            if names.len() == most {
                return Ok((names, true));
            }
            names.push(OsString::from_vec(name.to_owned()));
        }
        Ok((names, false))
    }

    /// The bytes of a regular file that is not too large.
    ///
    /// # Errors
    /// What it is instead, as a clause.
    pub(crate) fn read(&self, name: &OsStr) -> Result<Vec<u8>, String> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Err("it is a link".into()),
            Err(error) => return Err(format!("it could not be opened: {}", io::Error::from(error))),
        };
        let meta = file.metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() {
            return Err("it is not a file".into());
        }
        if meta.len() > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        let mut bytes = Vec::new();
        let read = file.take(BYTES_MAX).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| error.to_string())
    }

    /// Says that a driver took note of it.
    pub(crate) fn take(&self, id: &RequestId) {
        // Where that fails, whoever asked waits for what comes of it.
        let _ = rustix::fs::renameat(&self.fd, waiting(id), &self.fd, taken(id));
    }

    /// Removes a request that was carried out.
    pub(crate) fn remove(&self, id: &RequestId) {
        // What could not be removed is known by its id.
        for name in [waiting(id), taken(id)] {
            let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        }
    }

    /// Moves something aside that is no request, and says whether that went well.
    pub(crate) fn refuse(&self, name: &OsStr) -> bool {
        let mut refused = name.to_owned();
        refused.push(REFUSED);
        rustix::fs::renameat(&self.fd, name, &self.fd, &refused).is_ok()
    }

    pub(crate) fn standing(&self, id: &RequestId) -> Standing {
        let is_there = |name: String| {
            rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        };
        if is_there(waiting(id)) {
            Standing::Waiting
        } else if is_there(taken(id)) {
            Standing::Taken
        } else {
            Standing::Gone
        }
    }
}

/// What the name of something that was moved aside ends with.
pub(super) const REFUSED: &str = ".refused";

fn waiting(id: &RequestId) -> String {
    format!("{}.json", id.as_str())
}

fn taken(id: &RequestId) -> String {
    format!("{}.taken", id.as_str())
}

/// The id of the request that lies under this name.
pub(super) fn id_of(name: &OsStr) -> Option<RequestId> {
    let name = name.to_str()?;
    let id = name
        .strip_suffix(".json")
        .or_else(|| name.strip_suffix(".taken"))?;
    RequestId::new(id).ok()
}

/// Whether nobody has to look at what has this name: it was moved aside, or is being written.
pub(super) fn is_settled(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(REFUSED.as_bytes()) || (name.starts_with(b".") && name.ends_with(b".tmp"))
}

fn is_pipe(fd: &OwnedFd) -> bool {
    let stat = rustix::fs::fstat(fd);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

#[cfg(target_os = "linux")]
fn make_pipe(folder: &OwnedFd) -> Option<()> {
    rustix::fs::mkfifoat(folder, WAKE, Mode::RUSR | Mode::WUSR).ok()
}

#[cfg(not(target_os = "linux"))]
fn make_pipe(_: &OwnedFd) -> Option<()> {
    None
}

/// What root leaves for a driver of somebody else's has to be readable for that one.
fn give_to_owner(file: &OwnedFd, paths: &Paths) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if let Ok(meta) = std::fs::metadata(&paths.goal) {
        let (owner, group) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
        let _ = rustix::fs::fchown(file.as_fd(), Some(owner), Some(group));
    }
}
