//! The one narrow place through which the store reaches its files, so that a test can put a model of a disk there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A disk with folders, as far as the store needs one. What returns is done, but only what is synced is durable.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a regular file.
    ///
    /// # Errors
    /// The system's, and one for anything that is not a regular file: links are not followed.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// What stands at `path` itself, where something does. Links are not followed.
    ///
    /// # Errors
    /// The system's.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// Writes a new file and syncs it, but not its folder. A file or link that stands there is removed before, never
    /// written through. Owner and permissions are those of `like`, where that exists.
    ///
    /// # Errors
    /// The system's; something unfinished may stand at `path` then.
    fn write_new(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()>;

    /// Moves a file, replacing what stands at `to`: at any time one of the two is there, whole.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a folder where none is; its parent is there.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable: what was created in, moved into and removed from it.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// The system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads from `offset`; returns how many bytes, 0 at the end.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// One write at `offset`; returns how many bytes were taken.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to this length.
    ///
    /// # Errors
    /// The system's.
    fn cut(&self, length: u64) -> io::Result<()>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// The system's. The content may then never reach the disk, whatever a later sync says.
    fn sync(&self) -> io::Result<()>;

    /// Whether the path under which it was opened still names it.
    ///
    /// # Errors
    /// The system's.
    fn is_in_place(&self) -> io::Result<bool>;

    /// The file of the operating system, where there is one: its lock is taken, and can be handed on to a child.
    fn os_file(&self) -> Option<&File> {
        None
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// For reading and writing; an empty one is created where none is.
    Create,
}

/// What is known about a file without reading it. Two equal ones: nobody wrote in between, but for writes within one
/// tick of the file system's clock (a few milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Its length in bytes.
    pub len: u64,
    /// Device and inode.
    pub id: (u64, u64),
    /// When its content changed last, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// When anything about it changed last; cannot be set back as `modified` can.
    pub changed: (i64, i64),
}

/// The file systems of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = open_regular(path, access)?;
        Ok(Arc::new(RealFile {
            file,
            path: path.to_owned(),
        }))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        Ok(lstat(path)?.map(|meta| Stat {
            is_file: meta.is_file(),
            len: meta.len(),
            id: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }))
    }

    fn write_new(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let like = like.map(lstat).transpose()?.flatten();
        let mode = if like.is_some() { 0o600 } else { 0o666 };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        if let Some(like) = like {
            // Giving a file away needs privileges; without them the driver is the owner, as of any file it writes.
            let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
            file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))?;
        }
        io::Write::write_all(&mut &file, bytes)?;
        date_apart(&file);
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let written = uninterrupted(|| self.file.write_at(bytes, offset))?;
        date_apart(&self.file);
        Ok(written)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let held = self.file.metadata()?;
        let there = lstat(&self.path)?;
        Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())))
    }

    fn os_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// Dates a write a nanosecond later than the kernel did. Its date is as coarse as its tick (1 to 10 ms), in which a quick
/// worker could write after us, no byte longer or shorter, and leave the same [`Stat`]; now it leaves the tick's own.
/// Where we may not date the file, the tick's precision remains.
fn date_apart(file: &File) {
    let dated = file.metadata().and_then(|meta| meta.modified());
    if let Some(later) = dated.ok().and_then(|at| at.checked_add(Duration::from_nanos(1))) {
        let _ = file.set_modified(later);
    }
}

/// A link is opened by nobody: what stands there is looked at first, and whoever holds the file asks
/// [`DiskFile::is_in_place`] afterwards, which a link that slipped in between does not pass.
/// A file that is open already, under no name.
pub(super) fn opened(file: File) -> Arc<dyn DiskFile> {
    Arc::new(RealFile {
        file,
        path: PathBuf::new(),
    })
}

fn open_regular(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(access != Access::Read);
    match lstat(path)? {
        Some(meta) if !meta.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
        None if access == Access::Create => match options.create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.create_new(false).open(path)
            }
            other => other,
        },
        _ => options.open(path),
    }
}

fn lstat(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Replaces a file so that after a crash it is either the old or the new one, whole, and after `Ok` the new one.
///
/// The temporary file has one fixed name beside it, so that crashes leave at most one behind.
pub(super) fn replace(disk: &dyn Disk, target: &Path, temp: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.write_new(temp, bytes, Some(target))?;
    disk.rename(temp, target)?;
    disk.sync_folder(target.parent().unwrap_or(target))
}

/// Reads a whole file of at most `max` bytes; the length where it is longer.
pub(super) fn read_whole(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Result<Vec<u8>, u64>> {
    let file = disk.open(path, Access::Read)?;
    let length = file.len()?;
    if length > max {
        return Ok(Err(length));
    }
    let mut bytes = Vec::new();
    let mut block = [0; 16 << 10];
    loop {
        let read = file.read_at(bytes.len() as u64, &mut block)?;
        bytes.extend(block.iter().take(read));
        if bytes.len() as u64 > max {
            return Ok(Err(bytes.len() as u64)); // it grew while it was read
        }
        if read == 0 {
            return Ok(Ok(bytes));
        }
    }
}
