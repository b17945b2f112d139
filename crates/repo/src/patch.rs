//! A change as a patch that git can apply: evidence of what was judged.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use machine_driver_process::Cancel;
use machine_driver_state::canonical::sha256;
use machine_driver_state::change::{Change, ObjectId};
use machine_driver_state::event::OutputDigest;

use crate::error::RepoError;
use crate::git::{Call, Git};
use crate::repository::Repository;

/// The largest patch that is kept, in bytes: as much as is kept of what a worker writes.
const BYTES_MAX: usize = 64 << 20;

/// Options that make the same change the same patch everywhere (git-diff-tree(1)).
const FORM: [&str; 9] = [
    "diff-tree",
    "-r",
    "-p",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
];

/// Writes the patch into `file`, durably; none where it is too large to be kept.
pub(crate) fn write(
    repository: &Repository,
    change: &Change,
    file: &Path,
) -> Result<Option<OutputDigest>, RepoError> {
    let cancel = Cancel::new();
    let git = Git::new(repository, &cancel)?;
    let before = change
        .parent
        .as_ref()
        .map_or(repository.format.empty_tree(), ObjectId::as_str);
    let trees = [before.into(), change.tree.as_str().into()];
    let mut patch = Vec::new();
    let mut too_large = false;
    let call = Call::new("write the change as a patch", &FORM).with(trees);
    git.stream(call, &mut |bytes| {
        too_large |= patch.len() + bytes.len() > BYTES_MAX;
        if !too_large {
            patch.extend_from_slice(bytes);
        }
        true
    })?;
    if too_large {
        return Ok(None);
    }
    keep(file, &patch).map_err(RepoError::io("write", file))?;
    let (bytes, sha256) = (patch.len() as u64, sha256(&patch));
    Ok(Some(OutputDigest { bytes, sha256 }))
}

/// A file that is there already is one of an attempt that a crash cut off, or a trap: a link is replaced, not followed.
fn keep(file: &Path, patch: &[u8]) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut kept = OpenOptions::new().write(true).create_new(true).open(file)?;
    kept.write_all(patch)?;
    kept.sync_all()
}
