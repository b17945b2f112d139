//! Files that hold a secret.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::setup::SetupError;

/// The most bytes that such a file may have.
const FILE_MAX: u64 = 4096;

/// Reads a file that only its owner may use, less one newline at its end.
pub(crate) fn private(place: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let file = open(place, path)?;
    let mode = mode(&file, place, path)?;
    if mode & 0o077 != 0 {
        let (place, path) = (place.to_owned(), path.to_owned());
        return Err(SetupError::Exposed { place, path, mode });
    }
    read(file, place, path)
}

/// Reads a file of the same kind whose content is no secret.
#[cfg(feature = "telegram")]
pub(crate) fn public(place: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    read(open(place, path)?, place, path)
}

/// Opens a regular file; a pipe in its place is not waited for. What is checked afterwards is what was opened.
fn open(place: &str, path: &Path) -> Result<File, SetupError> {
    let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(no_wait.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|source| unread(place, path, source))?;
    let found = file.metadata().map_err(|source| unread(place, path, source))?;
    if !found.is_file() {
        return Err(unfit(place, path, "is not a regular file"));
    }
    if found.len() > FILE_MAX {
        return Err(unfit(place, path, "is longer than 4 KiB"));
    }
    Ok(file)
}

fn mode(file: &File, place: &str, path: &Path) -> Result<u32, SetupError> {
    let found = file.metadata().map_err(|source| unread(place, path, source))?;
    Ok(found.mode() & 0o7777)
}

fn read(file: File, place: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| unread(place, path, source))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(unfit(place, path, "is longer than 4 KiB"));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(unfit(place, path, "is empty"));
    }
    Ok(bytes)
}

fn unread(place: &str, path: &Path, source: std::io::Error) -> SetupError {
    SetupError::Read {
        place: place.to_owned(),
        path: path.to_owned(),
        source,
    }
}

fn unfit(place: &str, path: &Path, problem: &'static str) -> SetupError {
    SetupError::Unfit {
        place: place.to_owned(),
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(folder: &Path, content: &[u8], mode: u32) -> std::path::PathBuf {
        let path = folder.join("secret");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn one_newline_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        for (content, expected) in [
            (&b"abc\n"[..], &b"abc"[..]),
            (b"abc", b"abc"),
            (b"abc\r\n", b"abc"),
            (b"abc\n\n", b"abc\n"),
            (b" a\xff ", b" a\xff "),
        ] {
            let path = file(folder.path(), content, 0o600);
            assert_eq!(&**private("x", &path).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_a_private_plain_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            let error = private("alerts.x", path).unwrap_err();
            assert!(error.to_string().contains("alerts.x"), "{error}");
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
            (error.to_string(), error.next_step())
        };
        for mode in [0o640, 0o604, 0o644, 0o601] {
            let path = file(folder.path(), b"hush", mode);
            let (_, next) = told(&path);
            assert_eq!(next, format!("chmod 600 {}", path.display()));
        }
        assert!(
            told(&file(folder.path(), &[b'h'; 4097], 0o600))
                .0
                .contains("4 KiB")
        );
        assert!(told(&file(folder.path(), b"\n", 0o600)).0.contains("is empty"));
        assert!(told(folder.path()).0.contains("regular"));
        assert!(told(&folder.path().join("none")).0.contains("could not read"));

        let link = folder.path().join("link");
        symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(told(&link).0.contains("could not read"));
        fs::remove_file(&link).unwrap();
        symlink(file(folder.path(), b"hush", 0o600), &link).unwrap();
        assert_eq!(&**private("x", &link).unwrap(), b"hush");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = private("x", &pipe).unwrap_err();
        assert!(error.to_string().contains("regular"), "{error}");
    }
}
