//! The files as they lie there, ignored or not, in whatever repository: each looked at and hashed, and none believed by its
//! times or its size.
//!
//! Every folder is opened from the root down without following a link, so one that is swapped meanwhile leads nowhere else.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use machine_driver_governor::CommitError;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::listing::{self, Entry};
use super::which::Which;
use crate::error::{RepoError, Told as _, name};
use crate::objects::hex;
use crate::own::Own;

/// What a failure of all this is called.
const WHAT: &str = "the files could not be looked at";

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Files and folders.
    pub(crate) entries: u64,
    /// Of content, all together.
    pub(crate) bytes: u64,
}

impl Limits {
    /// Two million files, and as much as is hashed in a minute or so.
    pub(crate) const DEFAULT: Self = Self {
        entries: 2_000_000,
        bytes: 64 << 30,
    };
}

/// Bytes that a path may have, from the root: PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;

/// Bytes read at once; in between it is asked whether to stop.
const CHUNK_BYTES: usize = 256 << 10;

pub(crate) fn path_of(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Where and what is looked at.
pub(crate) struct Ground<'a> {
    /// The folder.
    pub(crate) root: &'a Path,
    /// Paths below it that are the driver's own.
    pub(crate) own: &'a Own,
    /// Whether `.git` at the root is git's.
    pub(crate) is_repository: bool,
    pub(crate) limits: Limits,
    /// Whether to stop.
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

/// The inventory of the files of this ground.
pub(crate) fn take(ground: &Ground<'_>, which: Which<'_>) -> Result<Vec<u8>, CommitError> {
    let root = open_root(ground.root).map_err(io::Error::from);
    let mut walk = Walk {
        ground,
        which,
        root: root.map_err(RepoError::io("open", ground.root)).told(WHAT)?,
        folders: Vec::new(),
        found: Vec::new(),
        entries: 0,
        bytes: 0,
    };
    for root in which.roots() {
        walk.begin(root.as_os_str().as_bytes())?;
        while let Some(folder) = walk.folders.pop() {
            walk.folder(&folder)?;
        }
    }
    let mut found = walk.found;
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut list = which.header();
    for Found { mode, id, path } in &found {
        let (mode, id) = (*mode, hex(id));
        listing::push(&mut list, &Entry { mode, id: &id, path });
    }
    Ok(list)
}

struct Walk<'a> {
    ground: &'a Ground<'a>,
    which: Which<'a>,
    root: OwnedFd,
    /// Still to be looked into.
    folders: Vec<Vec<u8>>,
    found: Vec<Found>,
    entries: u64,
    bytes: u64,
}

struct Found {
    mode: u32,
    id: [u8; 32],
    path: Vec<u8>,
}

impl Walk<'_> {
    /// Where a folder above is gone, or is a link by now, there is nothing below it.
    fn begin(&mut self, root: &[u8]) -> Result<(), CommitError> {
        if root.is_empty() {
            self.folders.push(Vec::new());
            return Ok(());
        }
        let path = path_of(root);
        let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        match self.open_folder(parent.as_os_str().as_bytes()) {
            Ok(parent) => self.look(&parent, file.as_bytes(), root, Met::Named),
            Err(error) if is_no_folder(error) => Ok(()),
            Err(error) => Err(self.failed("open", root, error)),
        }
    }

    fn folder(&mut self, path: &[u8]) -> Result<(), CommitError> {
        let open = self.open_folder(path);
        let folder = open.map_err(|error| self.failed("open", path, error))?;
        let dir = Dir::read_from(&folder).map_err(|error| self.failed("list", path, error))?;
        for entry in dir {
            let entry = entry.map_err(|error| self.failed("list", path, error))?;
            let file = entry.file_name().to_bytes();
            if matches!(file, b"." | b"..") {
                continue;
            }
            let mut below = path.to_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(file);
            self.look(&folder, file, &below, Met::Listed)?;
        }
        Ok(())
    }

    /// Looks at one name in a folder.
    fn look(&mut self, folder: &OwnedFd, file: &[u8], path: &[u8], met: Met) -> Result<(), CommitError> {
        let is_gits = self.ground.is_repository && path.split(|&byte| byte == b'/').next() == Some(b".git");
        if is_gits || self.ground.own.holds(path) {
            return Ok(());
        }
        self.count(path)?;
        let stat = match statat(folder, c_string(file)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if met == Met::Named => return Ok(()),
            Err(error) => return Err(self.failed("look at", path, error)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            self.folders.push(path.to_vec());
        } else if self.which.holds(path) {
            let (mode, id) = self.content(folder, file, path, &stat)?;
            let path = path.to_vec();
            self.found.push(Found { mode, id, path });
        }
        Ok(())
    }

    fn count(&mut self, path: &[u8]) -> Result<(), CommitError> {
        self.entries += 1;
        if (self.ground.is_cancelled)() {
            return Err(CommitError::Cancelled);
        }
        if self.entries > self.ground.limits.entries {
            let most = self.ground.limits.entries;
            return refused(format!(
                "there are more than {most} files to look at for path rules"
            ));
        }
        if path.len() > PATH_BYTES_MAX {
            let start = path.get(..64).unwrap_or_default();
            return refused(format!("a path that begins with {} is too long", name(start)));
        }
        Ok(())
    }

    /// Mode and hash of what is not a folder. Only plain files are opened.
    fn content(
        &mut self,
        folder: &OwnedFd,
        file: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<(u32, [u8; 32]), CommitError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::RegularFile => self.plain(folder, file, path),
            FileType::Symlink => {
                let target = readlinkat(folder, c_string(file)?, Vec::new());
                let target = target.map_err(|error| self.failed("read", path, error))?;
                Ok((kind.as_raw_mode(), Sha256::digest(target.as_bytes()).into()))
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let device = format!("{}", stat.st_rdev);
                Ok((kind.as_raw_mode(), Sha256::digest(device).into()))
            }
            _ => Ok((kind.as_raw_mode(), Sha256::digest(b"").into())),
        }
    }

    fn plain(&mut self, folder: &OwnedFd, file: &[u8], path: &[u8]) -> Result<(u32, [u8; 32]), CommitError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let open = openat(folder, c_string(file)?, flags, Mode::empty());
        let open = open.map_err(|error| self.failed("read", path, error))?;
        let stat = fstat(&open).map_err(|error| self.failed("look at", path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.failed("read", path, Errno::NOENT));
        }
        self.refuse_size(path, u64::try_from(stat.st_size).unwrap_or(u64::MAX))?;
        let mode = match stat.st_mode & 0o111 {
            0 => 0o100_644,
            _ => 0o100_755,
        };
        Ok((mode, self.hash(open.into(), path)?))
    }

    fn hash(&mut self, mut file: File, path: &[u8]) -> Result<[u8; 32], CommitError> {
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK_BYTES]);
        let full = self.ground.root.join(path_of(path));
        loop {
            if (self.ground.is_cancelled)() {
                return Err(CommitError::Cancelled);
            }
            let count = file
                .read(&mut buffer)
                .map_err(RepoError::io("read", &full))
                .told(WHAT)?;
            if count == 0 {
                return Ok(hash.finalize().into());
            }
            self.refuse_size(path, count as u64)?;
            self.bytes += count as u64;
            hash.update(buffer.get(..count).unwrap_or_default());
        }
    }

    fn refuse_size(&self, path: &[u8], more: u64) -> Result<(), CommitError> {
        let most = self.ground.limits.bytes;
        if self.bytes.saturating_add(more) > most {
            let what = format!(
                "the files to look at for path rules hold more than {most} bytes, with {}",
                name(path)
            );
            return refused(what);
        }
        Ok(())
    }

    /// Opens a folder from the root down, through no link.
    fn open_folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut folder = open_below(&self.root, b".")?;
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            folder = open_below(&folder, part)?;
        }
        Ok(folder)
    }

    /// Refused where it is the tree's doing, which somebody can change.
    fn failed(&self, operation: &'static str, path: &[u8], error: Errno) -> CommitError {
        let path_named = name(path);
        let why = match error {
            Errno::ACCESS | Errno::PERM => format!("{path_named} may not be read"),
            Errno::NAMETOOLONG => format!("{path_named} is too long a path"),
            error if error == Errno::NOENT || is_no_folder(error) => {
                format!("{path_named} was changed while it was looked at")
            }
            error => {
                let full = self.ground.root.join(path_of(path));
                return crate::error::failed(WHAT, RepoError::io(operation, &full)(error.into()));
            }
        };
        CommitError::Refused { why }
    }
}

/// How a path came to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// A rule names it: it need not be there.
    Named,
    /// Its folder lists it.
    Listed,
}

fn open_root(root: &Path) -> Result<OwnedFd, Errno> {
    openat(rustix::fs::CWD, root, folder_flags(), Mode::empty())
}

fn open_below(folder: impl AsFd, file: &[u8]) -> Result<OwnedFd, Errno> {
    openat(folder, OsStr::from_bytes(file), folder_flags(), Mode::empty())
}

const fn folder_flags() -> OFlags {
    OFlags::DIRECTORY
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC)
        .union(OFlags::NONBLOCK)
}

/// Whether there is no folder of that name: nothing, a file, or a link.
fn is_no_folder(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

/// A name that a folder listed holds no NUL, and neither does a glob.
fn c_string(file: &[u8]) -> Result<CString, CommitError> {
    CString::new(file).map_err(|error| crate::error::failed(WHAT, error))
}

fn refused<T>(why: String) -> Result<T, CommitError> {
    Err(CommitError::Refused { why })
}
