//! Folders that others may write to: names are looked up in the folder that was opened, links are never followed, and
//! only plain files are opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

impl Dir {
    /// Opens a folder by its path. Its last part must not be a link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// Opens a folder in this one.
    pub(crate) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// Opens a plain file in this folder.
    pub(crate) fn file(&self, name: &OsStr) -> io::Result<File> {
        plain_file(&self.0, name)
    }

    /// The whole of a plain file, if it has at most `max` bytes.
    pub(crate) fn read(&self, name: &OsStr, max: usize) -> io::Result<Vec<u8>> {
        read_bounded(&self.file(name)?, max)
    }

    /// A new file, for its owner to write and all to read as the umask lets them.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        Ok(rustix::fs::openat(&self.0, name, flags, mode)?.into())
    }

    /// Replaces what is at `to`.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Gives a file a second name, which must be free. Where the disk knows no second names, the file moves.
    pub(crate) fn keep_as(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
                let only_new = rustix::fs::RenameFlags::NOREPLACE;
                Ok(rustix::fs::renameat_with(&self.0, from, &self.0, to, only_new)?)
            }
            done => Ok(done?),
        }
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Its mode and its owner.
    pub(crate) fn stat(&self) -> io::Result<(u32, u32)> {
        let stat = rustix::fs::fstat(&self.0)?;
        Ok((stat.st_mode, stat.st_uid))
    }

    /// Makes names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// What kind of thing a name is for, without following it; none where there is no such name.
    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All names in the folder, at most `max` of them, in order.
    pub(crate) fn names(&self, max: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = entry?;
            let name = OsStr::from_bytes(name.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == max {
                return Err(io::Error::other(format!("it has more than {max} entries")));
            }
            names.push(name.to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Opens a plain file by its path; its last part must not be a link.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    plain_file(CWD, path.as_os_str())
}

/// Looks before it opens, since opening a FIFO or a device may do something; and once more behind it.
fn plain_file(folder: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<File> {
    let before = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    is_plain(FileType::from_raw_mode(before.st_mode))?;
    let fd = rustix::fs::openat(&folder, name, FILE, Mode::empty())?;
    let after = rustix::fs::fstat(&fd)?;
    is_plain(FileType::from_raw_mode(after.st_mode))?;
    Ok(fd.into())
}

fn is_plain(kind: FileType) -> io::Result<()> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => "it is a symbolic link",
        FileType::Directory => "it is a folder",
        FileType::Fifo => "it is a FIFO",
        _ => "it is not a plain file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// The whole of a file that has at most `max` bytes.
pub(crate) fn read_bounded(file: &File, max: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {length} bytes, more than {max}"),
        ));
    }
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {max} bytes"),
        ));
    }
    Ok(bytes)
}
