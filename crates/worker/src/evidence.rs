//! The files of an attempt. What a worker may have put in their place is removed, never followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::WorkError;

/// Makes sure that `path` is a plain file with exactly these bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), WorkError> {
    let limit = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match create(path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => return written.map_err(|source| fault("write", path, source)),
    }
    if matches!(read(path, limit), Ok(Some(found)) if found == bytes) {
        return Ok(());
    }
    clear(path)?;
    create(path, bytes).map_err(|source| fault("write", path, source))
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(bytes)
}

/// Removes whatever has this name.
pub(crate) fn clear(path: &Path) -> Result<(), WorkError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // What cannot be unlinked is a folder; systems differ in how they say so.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) => {
            fs::remove_dir_all(path).map_err(|source| fault("remove", path, source))
        }
        removed => removed.map_err(|source| fault("remove", path, source)),
    }
}

/// The bytes of a plain file; `None` where there is no such name. Anything but a plain file of at most `limit` bytes is
/// an error: no link is followed, and no pipe is waited for.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(Some(bytes))
}

fn fault(operation: &'static str, path: &Path, source: io::Error) -> WorkError {
    WorkError::Evidence {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_stands_in_the_way_is_replaced_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.txt");
        let stranger = folder.path().join("stranger");
        fs::write(&stranger, "keep").unwrap();

        write(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        fs::remove_file(&path).unwrap();
        symlink(&stranger, &path).unwrap();
        symlink(&stranger, folder.path().join("task.txt.new")).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("x/y")).unwrap();
        write(&path, b"").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(fs::read(&stranger).unwrap(), b"keep");

        fs::remove_file(&path).unwrap();
        symlink(&stranger, &path).unwrap();
        clear(&path).unwrap();
        clear(&path).unwrap();
        assert!(!path.exists() && stranger.exists());
    }

    #[test]
    fn a_file_that_is_right_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.txt");
        write(&path, b"text").unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
        write(&path, b"text").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert_eq!(
            std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap()),
            inode
        );
    }

    #[test]
    fn only_plain_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(read(&path, 4).unwrap(), None);
        fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap().unwrap(), b"1234");
        assert!(read(&path, 3).is_err());
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 4).unwrap_err().to_string(), "it is a symbolic link");
        assert!(read(folder.path(), 4).is_err());
        assert!(read(Path::new("/dev/zero"), 4).is_err());
        let pipe = folder.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        assert!(read(&pipe, 4).is_err());
    }
}
