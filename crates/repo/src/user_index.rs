//! The user's index after a commit: that of the commit's tree, so that `git status` is clean.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use machine_driver_state::change::ObjectId;

use crate::error::RepoError;
use crate::git::{Call, Git};

/// How long to wait for somebody else's `index.lock`.
const PATIENCE: Duration = Duration::from_secs(1);

/// An index, ready to be put in place.
pub(crate) struct Prepared {
    bytes: Vec<u8>,
    /// When it was written. Git takes a file that is younger than its index for unchanged where its other marks are the
    /// same, and looks into it otherwise (racy-git), so the copy must not seem younger.
    at: SystemTime,
}

impl Prepared {
    pub(crate) fn take(path: &Path) -> Result<Self, RepoError> {
        let read = || -> io::Result<Self> {
            Ok(Self {
                at: fs::metadata(path)?.modified()?,
                bytes: fs::read(path)?,
            })
        };
        read().map_err(RepoError::io("read", path))
    }

    /// One made anew for a tree, when the one it was read with is gone: it knows no file's marks, so that the first
    /// `git status` looks into each file once. Nothing of the files is read here.
    pub(crate) fn of(git: &Git<'_>, tree: &ObjectId) -> Result<Self, RepoError> {
        git.run(Call::new("read the tree", &["read-tree", tree.as_str()]))?;
        Self::take(&git.private.index())
    }

    /// Puts it in place of the index in `git_dir`, by git's own protocol: who holds `index.lock` may write. The folder is
    /// the caller's to sync.
    pub(crate) fn install(&self, git_dir: &Path) -> Result<(), RepoError> {
        let (index, lock) = (git_dir.join("index"), git_dir.join("index.lock"));
        let mode = match fs::symlink_metadata(&index) {
            Ok(metadata) if !metadata.is_file() => {
                let source = io::Error::new(io::ErrorKind::InvalidData, "it is not a plain file");
                return Err(RepoError::io("replace", &index)(source));
            }
            Ok(metadata) => Some(metadata.permissions().mode() & 0o777),
            Err(_) => None,
        };
        let file = take_lock(&lock).map_err(RepoError::io("take the lock", &lock))?;
        let written = self
            .write(file, mode)
            .map_err(RepoError::io("write", &lock))
            .and_then(|()| fs::rename(&lock, &index).map_err(RepoError::io("replace", &index)));
        if written.is_err() {
            // It is ours, and nobody else may write while it stands.
            let _ = fs::remove_file(&lock);
        }
        written
    }

    fn write(&self, mut file: File, mode: Option<u32>) -> io::Result<()> {
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(&self.bytes)?;
        file.set_times(FileTimes::new().set_modified(self.at))?;
        file.sync_all()
    }
}

fn take_lock(lock: &Path) -> io::Result<File> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        // O_CREAT with O_EXCL follows no link.
        let taken = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o666)
            .open(lock);
        match taken {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && Instant::now() < give_up_at => {
                thread::sleep(Duration::from_millis(20));
            }
            taken => return taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_the_place_of_a_plain_file_only_and_seems_no_younger() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let new = Prepared {
            bytes: b"new".to_vec(),
            at,
        };
        fs::write(path("index"), "old").unwrap();
        fs::set_permissions(path("index"), fs::Permissions::from_mode(0o640)).unwrap();
        new.install(folder.path()).unwrap();
        let metadata = fs::metadata(path("index")).unwrap();
        assert_eq!(fs::read(path("index")).unwrap(), b"new");
        assert_eq!(
            (
                metadata.modified().unwrap(),
                metadata.permissions().mode() & 0o777
            ),
            (at, 0o640)
        );

        fs::write(path("victim"), "kept").unwrap();
        for name in ["index.lock", "index"] {
            let _ = fs::remove_file(path(name));
            std::os::unix::fs::symlink("victim", path(name)).unwrap();
            assert!(new.install(folder.path()).is_err(), "{name}");
            fs::remove_file(path(name)).unwrap();
        }
        assert_eq!(fs::read(path("victim")).unwrap(), b"kept");
        assert!(!path("index.lock").exists());
    }
}
