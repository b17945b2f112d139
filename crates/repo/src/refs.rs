//! Where references point, read from their files (gitrepository-layout(5)): a pipe in place of HEAD keeps nobody waiting.

use std::path::Path;

use machine_driver_state::change::{ObjectId, RefName};

use crate::error::RepoError;
use crate::files;
use crate::repository::Repository;

/// Bytes that HEAD or a branch's file may have.
const REF_BYTES_MAX: u64 = 4096;

/// Bytes that packed-refs may have.
const PACKED_BYTES_MAX: u64 = 256 << 20;

/// The reference that a commit moves, and where it points; none for an unborn branch.
pub(crate) fn head(repository: &Repository) -> Result<(RefName, Option<ObjectId>), RepoError> {
    let path = repository.git_dir.join("HEAD");
    let text = files::read(&path, REF_BYTES_MAX)?.unwrap_or_default();
    match parse(&text) {
        Some(Target::Id(id)) => Ok((detached(repository)?, Some(id))),
        Some(Target::Name(name)) => {
            let id = resolve(repository, &name)?;
            Ok((name, id))
        }
        None => Err(malformed(&path)),
    }
}

/// Where a reference points now. `HEAD` is where HEAD points, detached or not.
pub(crate) fn resolve(repository: &Repository, reference: &RefName) -> Result<Option<ObjectId>, RepoError> {
    if reference.as_str() == "HEAD" {
        return Ok(head(repository)?.1);
    }
    let path = repository.common_dir.join(reference.as_str());
    if path.is_dir() {
        // An empty folder that a deleted branch left behind.
        return packed(repository, reference);
    }
    match files::read(&path, REF_BYTES_MAX)? {
        None => packed(repository, reference),
        Some(text) => match parse(&text) {
            Some(Target::Id(id)) => Ok(Some(id)),
            Some(Target::Name(other)) => {
                let what = format!("the branch {reference} is only another name of {other}");
                Err(RepoError::unsupported(&repository.root, what))
            }
            None => Err(malformed(&path)),
        },
    }
}

enum Target {
    Id(ObjectId),
    Name(RefName),
}

fn parse(text: &[u8]) -> Option<Target> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii_end();
    match text.strip_prefix("ref:") {
        Some(name) => RefName::new(name.trim_ascii_start()).ok().map(Target::Name),
        None => ObjectId::new(text).ok().map(Target::Id),
    }
}

fn packed(repository: &Repository, reference: &RefName) -> Result<Option<ObjectId>, RepoError> {
    let path = repository.common_dir.join("packed-refs");
    let Some(text) = files::read(&path, PACKED_BYTES_MAX)? else {
        return Ok(None);
    };
    let mut lines = text.split(|&byte| byte == b'\n');
    let id = lines.find_map(|line| {
        let split = line.iter().position(|&byte| byte == b' ')?;
        let (id, name) = line.split_at_checked(split)?;
        (name.get(1..)? == reference.as_str().as_bytes()).then_some(id)
    });
    let Some(id) = id else { return Ok(None) };
    let id = std::str::from_utf8(id).ok().and_then(|id| ObjectId::new(id).ok());
    id.map(Some).ok_or_else(|| malformed(&path))
}

/// `HEAD` itself.
pub(crate) fn detached(repository: &Repository) -> Result<RefName, RepoError> {
    RefName::new("HEAD").map_err(|e| RepoError::unsupported(&repository.root, e.to_string()))
}

fn malformed(path: &Path) -> RepoError {
    let source = std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "it holds neither an object's id nor the name of a branch in UTF-8",
    );
    RepoError::io("read", path)(source)
}

/// What is under way in a git folder that a plain commit would break into.
pub(crate) fn under_way(git_dir: &Path) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 6] = [
        ("MERGE_HEAD", "a merge is under way"),
        ("CHERRY_PICK_HEAD", "a cherry-pick is under way"),
        ("REVERT_HEAD", "a revert is under way"),
        ("rebase-merge", "a rebase is under way"),
        ("rebase-apply", "a rebase or `git am` is under way"),
        ("BISECT_LOG", "a bisection is under way"),
    ];
    let is_there = |name: &str| std::fs::symlink_metadata(git_dir.join(name)).is_ok();
    SIGNS
        .iter()
        .find(|(name, _)| is_there(name))
        .map(|&(_, what)| what)
}
