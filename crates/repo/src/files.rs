//! Reading small files that somebody hostile may have replaced, and making files and folders durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::RepoError;

/// The content of a plain file; none where there is no such file. A link, a pipe or a file of more than `max` bytes is an
/// error: nobody waits for a writer who never comes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, RepoError> {
    match read_plain(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(RepoError::io("read", path)(e)),
    }
}

/// Whether there is nothing at this path, not even a folder above it.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_plain(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a plain file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {max} bytes"),
        ));
    }
    Ok(bytes)
}

/// Syncs a plain file or a folder; one that is not there is nothing to sync. Says whether it was there.
pub(crate) fn sync(path: &Path) -> Result<bool, RepoError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    match file.and_then(|file| file.sync_all()) {
        Ok(()) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(RepoError::io("sync", path)(e)),
    }
}

/// Syncs `relative` below `base`, and each folder above it up to `base` itself.
pub(crate) fn sync_chain(base: &Path, relative: &Path) -> Result<(), RepoError> {
    for below in relative.ancestors() {
        sync(&base.join(below))?;
    }
    Ok(())
}

/// Syncs everything on the file system that holds `folder`.
pub(crate) fn sync_system(folder: &Path) -> Result<(), RepoError> {
    let io = |e: rustix::io::Errno| RepoError::io("sync", folder)(e.into());
    #[cfg(target_os = "linux")]
    {
        let open = File::open(folder).map_err(RepoError::io("open", folder))?;
        rustix::fs::syncfs(open).map_err(io)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = io;
        rustix::fs::sync();
        Ok(())
    }
}

/// Refuses where `relative` below `base` leads through a link, since somebody else's file would be written, or through a
/// pipe or the like, since git would wait for whoever is at its other end.
pub(crate) fn refuse_links(base: &Path, relative: &Path) -> Result<(), RepoError> {
    for below in relative.ancestors().filter(|below| !below.as_os_str().is_empty()) {
        let path = base.join(below);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
                let what = match metadata.is_symlink() {
                    true => "it is a symbolic link",
                    false => "it is neither a file nor a folder",
                };
                let source = io::Error::new(io::ErrorKind::InvalidData, what);
                return Err(RepoError::io("use", &path)(source));
            }
            Ok(_) => {}
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(RepoError::io("look at", &path)(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("plain"), "12345").unwrap();
        std::os::unix::fs::symlink("plain", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(&path("plain"), 5).unwrap().unwrap(), b"12345");
        for bad in ["link", "pipe", "."] {
            assert!(read(&path(bad), 5).is_err(), "{bad}");
        }
        assert!(read(&path("plain"), 4).is_err());
        assert!(read(&path("none"), 4).unwrap().is_none());
        assert!(read(&path("plain/below"), 4).unwrap().is_none());
    }

    #[test]
    fn a_link_anywhere_on_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a/l")).unwrap();
        assert!(refuse_links(folder.path(), Path::new("a/b/none/x")).is_ok());
        assert!(refuse_links(folder.path(), Path::new("a/l/x")).is_err());
        let pipe = folder.path().join("a/pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(refuse_links(folder.path(), Path::new("a/pipe")).is_err());
        assert!(sync_chain(folder.path(), Path::new("a/b/none")).is_ok());
    }
}
