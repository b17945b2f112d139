//! What surveys saw, kept under names that follow from the content: nothing that is read again can be another.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use machine_driver_state::canonical::sha256;
use machine_driver_state::change::ObjectId;
use machine_driver_state::id::Digest;
use tempfile::NamedTempFile;

use super::listing::{self, tree_of};
use crate::error::RepoError;
use crate::files;
use crate::repository::Format;

/// Bytes that a list may have: some six million paths.
const BYTES_MAX: u64 = 512 << 20;

/// The folder that they are kept in.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps the list of a tree's entries as `<id>.tree`; fails where they are not that tree's.
    pub(crate) fn keep_tree(&self, id: &ObjectId, list: &[u8]) -> Result<(), RepoError> {
        let path = self.tree(id);
        if !is_tree(id, list) {
            return Err(corrupt("write", &path, "its entries are not those of the tree"));
        }
        self.keep(&path, list)
    }

    /// The list of a tree's entries.
    pub(crate) fn read_tree(&self, id: &ObjectId) -> Result<Vec<u8>, RepoError> {
        let path = self.tree(id);
        let list = read(&path)?;
        match is_tree(id, &list) {
            true => Ok(list),
            false => Err(corrupt("read", &path, "it does not hold what its name says")),
        }
    }

    /// Keeps an inventory as `<SHA-256>.files`.
    pub(crate) fn keep_files(&self, list: &[u8]) -> Result<Digest, RepoError> {
        let digest = sha256(list);
        self.keep(&self.files(&digest), list)?;
        Ok(digest)
    }

    /// An inventory.
    pub(crate) fn read_files(&self, digest: &Digest) -> Result<Vec<u8>, RepoError> {
        let path = self.files(digest);
        let list = read(&path)?;
        match sha256(&list) == *digest {
            true => Ok(list),
            false => Err(corrupt("read", &path, "it does not hold what its name says")),
        }
    }

    fn tree(&self, id: &ObjectId) -> PathBuf {
        self.folder.join(format!("{id}.tree"))
    }

    fn files(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.files"))
    }

    /// Durably, and whole or not at all. One that is there with the same content stays.
    fn keep(&self, path: &Path, list: &[u8]) -> Result<(), RepoError> {
        if list.len() as u64 > BYTES_MAX {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "there are too many paths");
            return Err(RepoError::io("write", path)(source));
        }
        let is_there = files::read(path, BYTES_MAX).is_ok_and(|old| old.as_deref() == Some(list));
        if is_there {
            // By somebody who may not have come to syncing it.
            files::sync(path)?;
        } else {
            std::fs::create_dir_all(&self.folder).map_err(RepoError::io("make", &self.folder))?;
            self.write(path, list).map_err(RepoError::io("write", path))?;
        }
        // The folder may be new, and so may the one above.
        for folder in self.folder.ancestors().take(2) {
            files::sync(folder)?;
        }
        Ok(())
    }

    /// What is in its place is replaced: a link is not followed.
    fn write(&self, path: &Path, list: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::with_prefix_in(".survey-", &self.folder)?;
        file.write_all(list)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RepoError> {
    match files::read(path, BYTES_MAX)? {
        Some(list) => Ok(list),
        None => Err(corrupt("read", path, "it is not there any more")),
    }
}

/// Whether git would call a tree with these entries so.
fn is_tree(id: &ObjectId, list: &[u8]) -> bool {
    let format = match id.as_str().len() {
        40 => Format::Sha1,
        _ => Format::Sha256,
    };
    let computed = listing::parse(list).and_then(|entries| tree_of(&entries, format));
    computed.is_some_and(|computed| computed == id.as_str())
}

fn corrupt(operation: &'static str, path: &Path, what: &'static str) -> RepoError {
    RepoError::io(operation, path)(io::Error::new(io::ErrorKind::InvalidData, what))
}
