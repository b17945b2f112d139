//! What is staged in the index that people use, which a worker may have written byte by byte.
//!
//! Git reads a copy of it, in the driver's own folder. The tree follows from the entries alone: an index also caches the
//! trees that it was read from, and `git commit` believes the cache. One that says something else than its entries is refused.

use std::fs;
use std::path::Path;

use machine_driver_governor::CommitError;
use machine_driver_process::Cancel;
use machine_driver_state::change::ObjectId;

use super::listing::{self, Entry, tree_of};
use crate::changes::{self, Kind};
use crate::error::{RepoError, Told as _, name};
use crate::files;
use crate::git::{Call, Git, object_id};
use crate::repository::Repository;

/// What a failure of all this is called.
const WHAT: &str = "what is staged could not be read";

/// Bytes that an index may have: some two million paths.
const INDEX_BYTES_MAX: u64 = 256 << 20;

/// Parts of a split index that may lie about (`core.splitIndex`, git-update-index(1)).
const SHARED_MAX: usize = 16;

/// The tree of what is staged, and the list of its entries. No index is an empty one. An entry that only says that a file will
/// be added (`git add -N`) stages nothing.
pub(crate) fn read(repository: &Repository, cancel: &Cancel) -> Result<(ObjectId, Vec<u8>), CommitError> {
    let git = Git::new(repository, cancel).told(WHAT)?;
    let copied = copy(repository, git.private.path()).map_err(refused)?;
    let list = match copied {
        true => entries(&git)?,
        false => Vec::new(),
    };
    let parsed = listing::parse(&list);
    let tree = parsed.and_then(|entries| tree_of(&entries, repository.format));
    let tree = tree.and_then(|tree| ObjectId::new(&tree).ok());
    let Some(tree) = tree else {
        return refuse("the index holds paths that are not in order");
    };
    if copied && written(&git)? != tree {
        return refuse(
            "the index caches a tree that is not the one of its entries; `git read-tree` writes it anew",
        );
    }
    Ok((tree, list))
}

/// Copies the index, and what it may be split into; says whether there is one.
fn copy(repository: &Repository, to: &Path) -> Result<bool, RepoError> {
    let git_dir = &repository.git_dir;
    let copy = |from: &str, to: &Path| -> Result<bool, RepoError> {
        let bytes = files::read(&git_dir.join(from), INDEX_BYTES_MAX)?;
        let Some(bytes) = bytes else { return Ok(false) };
        fs::write(to, bytes).map_err(RepoError::io("write", to))?;
        Ok(true)
    };
    if !copy("index", &to.join("index"))? {
        return Ok(false);
    }
    let list = fs::read_dir(git_dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = list.map_err(RepoError::io("list", git_dir))?;
    let names = list
        .iter()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let shared: Vec<String> = names.filter(|name| name.starts_with("sharedindex.")).collect();
    if shared.len() > SHARED_MAX {
        let what = format!("its index is split, and {} parts of it lie about", shared.len());
        return Err(RepoError::unsupported(&repository.root, what));
    }
    for part in shared {
        copy(&part, &to.join(&part))?;
    }
    Ok(true)
}

/// The entries as git reads them, bits and all: what is marked skip-worktree or assume-unchanged is listed like any other.
fn entries(git: &Git<'_>) -> Result<Vec<u8>, CommitError> {
    let format = git.repository.format;
    let call = Call::new(
        "list what is staged",
        &[
            "diff-index",
            "--cached",
            "--raw",
            "-z",
            "--no-abbrev",
            "--no-renames",
            "--ita-invisible-in-index",
            "--ignore-submodules=dirty",
            format.empty_tree(),
        ],
    );
    let answer = git.run(call).map_err(refused)?;
    let Some(all) = changes::parse(&answer) else {
        return refuse("the index holds entries of an unknown kind");
    };
    let mut list = Vec::new();
    for entry in &all {
        let Some(id) = entry.id.as_ref().filter(|_| entry.new != Kind::Folder) else {
            return refuse(&format!("{} is not merged in the index", name(&entry.path)));
        };
        if !is_plain(&entry.path) {
            return refuse(&format!(
                "{} in the index is a name that only git may have",
                name(&entry.path)
            ));
        }
        let (mode, id) = (entry.mode, id.as_str());
        let path = entry.path.as_slice();
        listing::push(&mut list, &Entry { mode, id, path });
    }
    Ok(list)
}

/// Whether `git add` would take this path.
fn is_plain(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|part| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git"))
}

/// The tree that a commit would take.
fn written(git: &Git<'_>) -> Result<ObjectId, CommitError> {
    let operation = "write what is staged as a tree";
    let answer = git.run(Call::new(operation, &["write-tree", "--missing-ok"]));
    let is_ours =
        |detail: &str| detail.contains("No space left") || detail.contains("nsufficient permission");
    let answer = match answer {
        Err(RepoError::Git { detail, .. }) if !is_ours(&detail) => return refuse_detail(&detail),
        answer => answer.told(WHAT)?,
    };
    object_id(operation, &git.repository.root, &answer).told(WHAT)
}

fn refuse<T>(why: &str) -> Result<T, CommitError> {
    Err(CommitError::Refused { why: why.to_owned() })
}

fn refuse_detail<T>(detail: &str) -> Result<T, CommitError> {
    refuse(&format!("the index cannot be read: {detail}"))
}

/// An index that cannot be read is somebody's doing, who can put it back.
fn refused(error: RepoError) -> CommitError {
    let why = match error {
        RepoError::Cancelled { .. } => return CommitError::Cancelled,
        RepoError::Unsupported { what, .. } => what,
        RepoError::Git { detail, .. } => format!("the index cannot be read: {detail}"),
        RepoError::Io { path, source, .. } => format!("{} cannot be read: {source}", name_of(&path)),
        error => return crate::error::failed(WHAT, error),
    };
    CommitError::Refused { why }
}

fn name_of(path: &Path) -> String {
    name(path.as_os_str().as_encoded_bytes())
}
