//! What is to be checked, and against whose documents.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use machine_driver::aar::{DidDocument, DocumentError, FolderError, ReadError, RecordFolder, SIZE_MAX};

use super::shown;
use crate::args::DidArgs;
use crate::error::Failure;
use crate::out::Out;

/// A file and its bytes, or why there are none. The name is foreign text where it comes from a folder.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) bytes: Result<Vec<u8>, String>,
}

/// What was named on the command line.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) files: Vec<Given>,
    /// Whether a folder is among it.
    pub(crate) has_folder: bool,
    /// Whether it is nothing but folders.
    pub(crate) is_folders: bool,
}

impl Input {
    /// Reads files, folders, and standard input for `-`.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut input = Self {
            files: Vec::new(),
            has_folder: false,
            is_folders: true,
        };
        for path in paths {
            if path.as_os_str() != "-" && path.is_dir() {
                input.has_folder = true;
                input.files.extend(folder(path)?);
            } else {
                input.is_folders = false;
                let (name, bytes) = (path.to_string_lossy().into_owned(), Ok(file(path)?));
                input.files.push(Given { name, bytes });
            }
        }
        Ok(input)
    }
}

/// The start of a file, or of standard input for `-`: no more than shows that it is too large.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() == "-" {
        return start_of(io::stdin().lock(), SIZE_MAX).map_err(Failure::io("read", "standard input"));
    }
    File::open(path)
        .and_then(|file| start_of(file, SIZE_MAX))
        .map_err(Failure::io("read", path))
}

fn start_of(source: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every record of a folder. What is in there may be a stranger's, the folder itself is what the user named.
fn folder(path: &Path) -> Result<Vec<Given>, Failure> {
    let real = fs::canonicalize(path).map_err(Failure::io("find", path))?;
    let entries = RecordFolder::open(&real).and_then(|folder| folder.entries());
    let entries = entries.map_err(of_folder)?;
    let given = entries.into_iter().map(|entry| Given {
        name: path.join(&entry.name).to_string_lossy().into_owned(),
        bytes: entry.bytes.map_err(|error| error.to_string()),
    });
    Ok(given.collect())
}

pub(super) fn of_folder(error: FolderError) -> Failure {
    match error {
        FolderError::Io {
            operation,
            path,
            source,
        } => Failure::Io {
            operation,
            path,
            source,
        },
        other => Failure::NotVerified {
            what: other.to_string(),
            help: "Look at the folder with `machine-driver aar verify`.".into(),
        },
    }
}

/// A file that was to be a record and is none.
pub(super) fn not_a_record(path: &Path, error: &ReadError) -> Failure {
    Failure::NotVerified {
        what: format!("{} is not a record: {}: {error}", path.display(), error.reason()),
        help: "docs/proof.md says what a record is, and lists the reason codes.".into(),
    }
}

/// The documents that were named. In a folder, what is no document is passed over with a word.
pub(crate) fn documents(args: &DidArgs, out: &Out) -> Result<Vec<DidDocument>, Failure> {
    let mut documents = Vec::new();
    for path in &args.files {
        documents.push(document(path)?.map_err(|error| not_a_document(path, &error))?);
    }
    let Some(dir) = &args.dir else {
        return Ok(documents);
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>())
        .map_err(Failure::io("list", dir))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json") && path.is_file());
    paths.sort();
    for path in paths {
        match document(&path)? {
            Ok(document) => documents.push(document),
            Err(error) => out.warn(format!(
                "{} is passed over: {}",
                shown(&path.to_string_lossy()),
                shown(&error.to_string())
            )),
        }
    }
    Ok(documents)
}

fn document(path: &Path) -> Result<Result<DidDocument, DocumentError>, Failure> {
    let bytes = File::open(path).and_then(|file| start_of(file, DidDocument::SIZE_MAX));
    Ok(DidDocument::read(&bytes.map_err(Failure::io("read", path))?))
}

fn not_a_document(path: &Path, error: &DocumentError) -> Failure {
    Failure::Usage {
        what: format!(
            "{} is not a DID document that can be used: {error}",
            path.display()
        ),
        help: "Name the signer's did.json, as `machine-driver aar keygen` writes it.".into(),
    }
}
