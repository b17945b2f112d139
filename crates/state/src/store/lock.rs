//! One driver for each goal, and one goal for each tree.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::disk::{Access, Disk, DiskFile, RealDisk, read_whole};
use super::error::StoreError;
use super::last::last_of;
use crate::event::Event;

/// A dying guardian may hold the lock a little longer than its driver: 30 tries, 10 ms apart.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// Opens the log and takes the exclusive lock on it. With [`Access::Create`] an empty log is made where none is.
///
/// The lock is the open file's: it ends when the last descriptor of it is closed, in this process or in a child that it
/// was handed to.
///
/// # Errors
/// [`StoreError::Locked`] names the holder; [`StoreError::Io`] where there is no log or it cannot be opened.
pub fn lock_log(disk: &dyn Disk, path: &Path, access: Access) -> Result<Arc<dyn DiskFile>, StoreError> {
    let failed = || StoreError::io("open", path);
    for _ in 0..=TRIES {
        let file = disk.open(path, access).map_err(failed())?;
        match file.os_file().map_or(Ok(()), File::try_lock) {
            // One that was moved away before it was locked is not the log any more: open the one that is.
            Ok(()) if file.is_in_place().map_err(failed())? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", path)(source)),
        }
    }
    let holder = disk.open(path, Access::Read).and_then(|file| last_driver(&*file));
    Err(StoreError::Locked {
        path: path.to_owned(),
        holder: holder.ok().flatten(),
    })
}

/// The process id in the last `driver_up` of a log that another holds; a best effort for a message.
fn last_driver(log: &dyn DiskFile) -> io::Result<Option<u32>> {
    let last = last_of(log, "driver_up", |_| true)?;
    Ok(last.and_then(|event| match event {
        Event::DriverUp(up) => Some(up.pid),
        _ => None,
    }))
}

/// Keeps other goals off a tree while it lives.
#[derive(Debug)]
pub struct TreeLock {
    folder: File,
    path: PathBuf,
}

impl TreeLock {
    /// The locked folder, to be handed on to a child that is to hold the lock too.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.folder
    }

    /// The locked folder's path: the tree's git folder, or the tree itself where there is none.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the lock on the tree at `repo` for the goal file `goal`.
///
/// The lock is on the git folder itself (of this worktree, also from a folder inside it), or on `repo` where there is none. A folder cannot be
/// unlinked and made anew as a lock file inside could, which a worker may do. `machine-driver.lock` in the git folder only
/// says who holds it; a plain folder gets no such file.
///
/// # Errors
/// [`StoreError::TreeLocked`] names the holder; [`StoreError::Io`] where the folder cannot be opened or locked.
pub fn lock_tree(repo: &Path, goal: &Path) -> Result<TreeLock, StoreError> {
    let git = git_folder(repo)?;
    let path = git.clone().unwrap_or_else(|| repo.to_owned());
    let label = git.map(|git| git.join("machine-driver.lock"));
    let folder = File::open(&path).map_err(StoreError::io("open", &path))?;
    for _ in 0..=TRIES {
        match folder.try_lock() {
            Ok(()) => {
                if let Some(label) = label {
                    let text = format!("{} {}\n", std::process::id(), goal.display());
                    RealDisk
                        .write_new(&label, text.as_bytes(), None)
                        .map_err(StoreError::io("write", &label))?;
                }
                return Ok(TreeLock { folder, path });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", &path)(source)),
        }
    }
    let holder = label
        .and_then(|label| small_text(&label).ok())
        .map(|text| text.trim().to_owned());
    Err(StoreError::TreeLocked {
        path,
        holder: holder.filter(|text| !text.is_empty()),
    })
}

/// The git folder of the tree that `repo` lies in: two goals on two folders of one tree are on one tree.
fn git_folder(repo: &Path) -> Result<Option<PathBuf>, StoreError> {
    for folder in repo.ancestors() {
        if let Some(git) = git_folder_of(folder)? {
            return Ok(Some(git));
        }
    }
    Ok(None)
}

/// `.git` where that is a folder, or the folder that the file `.git` names (gitrepository-layout(5)).
fn git_folder_of(repo: &Path) -> Result<Option<PathBuf>, StoreError> {
    let dot_git = repo.join(".git");
    match fs::metadata(&dot_git) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("look at", dot_git)(error)),
        Ok(meta) if meta.is_dir() => Ok(Some(dot_git)),
        Ok(_) => {
            let text = small_text(&dot_git).map_err(StoreError::io("read", &dot_git))?;
            let folder = text
                .strip_prefix("gitdir: ")
                .map(|folder| repo.join(folder.trim_end_matches(['\n', '\r'])));
            let unreadable =
                || io::Error::new(io::ErrorKind::InvalidData, "it does not say `gitdir: FOLDER`");
            folder
                .map(Some)
                .ok_or_else(|| StoreError::io("read", dot_git)(unreadable()))
        }
    }
}

/// A small text file; a fifo or a device in its place is not waited for.
fn small_text(path: &Path) -> io::Result<String> {
    let bytes = read_whole(&RealDisk, path, 4 << 10)?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}
