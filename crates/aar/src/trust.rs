//! Whom an operator trusts: a folder with their DID documents.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::did::Did;
use crate::dir::{Dir, read_bounded};
use crate::document::DidDocument;
use crate::key::PublicKey;

/// The most names that a folder may have.
const ENTRIES_MAX: usize = 1000;

/// Bits of a mode that let others than the owner write.
const WRITABLE: u32 = 0o022;

/// The DID documents that an operator trusts, as they were when the folder was read.
///
/// The folder and each file in it belong to the user or to root, and nobody else may write to them; else they do not count.
/// Links in the folder are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    folder: PathBuf,
    documents: Vec<(PathBuf, DidDocument)>,
    passed_over: Vec<(PathBuf, String)>,
}

/// A folder of those who are trusted does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It is not there, or could not be read.
    #[error("could not {operation} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others could put documents into it.
    #[error("{path} {what}", path = path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What lets them, as a clause.
        what: String,
    },
}

impl TrustError {
    /// What to do about it, as a sentence.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Io { path, .. } => format!("Make {} a folder that you can read.", path.display()),
            Self::Open { path, .. } => format!(
                "See who put what into it, then let it belong to you alone: chmod go-w {}",
                path.display()
            ),
        }
    }
}

impl Trusted {
    /// Reads `*.json` in a folder. One that is not there trusts nobody. A file that does not count is passed over, and named by
    /// [`Trusted::passed_over`].
    ///
    /// # Errors
    /// [`TrustError`] where others may write to the folder, or it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, TrustError> {
        let failed = |operation| {
            move |source| TrustError::Io {
                operation,
                path: folder.to_owned(),
                source,
            }
        };
        let mut trusted = Self {
            folder: folder.to_owned(),
            documents: Vec::new(),
            passed_over: Vec::new(),
        };
        let real = match fs::canonicalize(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(trusted),
            found => found.map_err(failed("find"))?,
        };
        let dir = Dir::open(&real).map_err(failed("open"))?;
        let stat = dir.stat().map_err(failed("look at"))?;
        if let Some(what) = open_to_others(stat.0, stat.1) {
            let path = folder.to_owned();
            return Err(TrustError::Open { path, what });
        }
        for name in dir.names(ENTRIES_MAX).map_err(failed("list"))? {
            if !name.as_bytes().ends_with(b".json") {
                continue;
            }
            let path = folder.join(&name);
            match document(&dir, &name) {
                Ok(document) => trusted.documents.push((path, document)),
                Err(why) => trusted.passed_over.push((path, why)),
            }
        }
        Ok(trusted)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that count, and whose documents they are.
    pub fn documents(&self) -> impl Iterator<Item = (&Path, &DidDocument)> {
        self.documents
            .iter()
            .map(|(path, document)| (path.as_path(), document))
    }

    /// The files that do not count, and why, as clauses.
    #[must_use]
    pub fn passed_over(&self) -> &[(PathBuf, String)] {
        &self.passed_over
    }

    /// The documents of one DID. Several add up, as those before and after a key's rotation do.
    pub(crate) fn of<'a>(&'a self, did: &'a Did) -> impl Iterator<Item = &'a DidDocument> {
        let all = self.documents.iter().map(|(_, document)| document);
        all.filter(move |document| document.id() == did)
    }

    /// Whose key it is: by the first document, in the order of file names, that lists it.
    pub(crate) fn owner(&self, key: &PublicKey) -> Option<&Did> {
        let mut all = self.documents.iter();
        all.find(|(_, document)| document.keys().contains(key))
            .map(|(_, document)| document.id())
    }

    /// What was passed over, each behind a semicolon.
    pub(crate) fn complaints(&self) -> String {
        let one = |(path, why): &(PathBuf, String)| format!("; {} does not count: {why}", path.display());
        self.passed_over.iter().map(one).collect()
    }
}

/// A document in the folder, or why it does not count.
fn document(dir: &Dir, name: &std::ffi::OsStr) -> Result<DidDocument, String> {
    let file = dir.file(name).map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    if let Some(what) = open_to_others(meta.mode(), meta.uid()) {
        return Err(format!("it {what}"));
    }
    let bytes = read_bounded(&file, DidDocument::SIZE_MAX).map_err(|error| error.to_string())?;
    DidDocument::read(&bytes).map_err(|error| error.to_string())
}

/// What lets others than the user and root write, as a clause.
fn open_to_others(mode: u32, owner: u32) -> Option<String> {
    let us = rustix::process::geteuid().as_raw();
    if owner != us && owner != 0 {
        Some(format!("belongs to another user ({owner})"))
    } else if mode & WRITABLE != 0 {
        Some(format!(
            "can be written to by others (mode {:04o})",
            mode & 0o7777
        ))
    } else {
        None
    }
}
