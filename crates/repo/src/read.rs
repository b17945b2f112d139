//! Reading everything that differs from the commit that is checked out into a tree.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use machine_driver_governor::CommitError;
use machine_driver_process::Cancel;
use machine_driver_state::change::{Change, ObjectId};

use crate::changes::{self, Entry, Kind};
use crate::commit::Known;
use crate::error::{RepoError, Told, name, one_line};
use crate::files;
use crate::filters;
use crate::git::{Call, Git, object_id};
use crate::index;
use crate::objects;
use crate::own::exclude;
use crate::refs;
use crate::repository::Repository;
use crate::user_index::Prepared;

/// What a failure of all this is called.
const WHAT: &str = "the change could not be read";

/// The change, and what a commit of it needs.
pub(crate) fn read(repository: &Repository, cancel: &Cancel) -> Result<(Change, Known), CommitError> {
    repository.refuse_state().map_err(refused)?;
    repository.refuse_moved().map_err(refused)?;
    let (reference, parent) = refs::head(repository).told(WHAT)?;
    let git = Git::new(repository, cancel).told(WHAT)?;
    let tree = write_tree(&git, parent.as_ref())?;
    let compared = compare(&git, parent.as_ref(), &tree).told(WHAT)?;
    let changed = &compared.entries;
    refuse_what_no_commit_holds(&git, changed)?;
    let new = new_objects(&tree, changed);
    objects::sync(repository, &new).told(WHAT)?;
    let index = Prepared::take(&git.private.index()).told(WHAT)?;
    let paths = changed.iter().filter(|entry| entry.counts()).count() as u64;
    let change = Change {
        reference,
        parent,
        tree,
        paths,
    };
    // With nothing new there is nothing to commit.
    let mut to_check: BTreeSet<String> = new.iter().map(ToString::to_string).collect();
    if !to_check.is_empty() {
        to_check.extend(compared.compared);
    }
    Ok((change, Known { index, to_check }))
}

/// Everything in the folder as a tree, and in the private index: what is ignored and not in the parent is left out, and the
/// driver's own files and submodules are as the parent has them.
pub(crate) fn write_tree(git: &Git<'_>, parent: Option<&ObjectId>) -> Result<ObjectId, CommitError> {
    if let Some(parent) = parent {
        objects::refuse_pipe(git.repository, parent.as_str()).told(WHAT)?;
        let call = Call::new(
            "read the commit that is checked out",
            &["read-tree", parent.as_str()],
        );
        git.run(call).told(WHAT)?;
    }
    let submodules = look_at_tracked(git)?;
    add_all(git, &submodules)?;
    refuse_moved(git, &submodules)?;
    let answer = git.run(Call::new("write the tree", &["write-tree"])).told(WHAT)?;
    object_id("write the tree", &git.repository.root, &answer).told(WHAT)
}

/// A state of the repository in which no change can be read: for the operator by name.
pub(crate) fn refused(error: RepoError) -> CommitError {
    match error {
        RepoError::Unsupported { what, .. } => CommitError::Refused { why: what },
        error => crate::error::failed(WHAT, error),
    }
}

/// The submodules of the commit that is checked out. Refuses pattern files that git would wait on for ever, and filters.
fn look_at_tracked(git: &Git<'_>) -> Result<Vec<PathBuf>, CommitError> {
    let bytes = fs::read(git.private.index()).or_else(|e| match files::is_absent(&e) {
        true => Ok(Vec::new()),
        false => Err(RepoError::io("read", &git.private.index())(e)),
    });
    let bytes = bytes.told(WHAT)?;
    let tracked = match bytes.is_empty() {
        true => Some(Vec::new()),
        false => index::parse(&bytes, git.repository.format),
    };
    let tracked = tracked.ok_or_else(|| malformed(git, "an index")).told(WHAT)?;
    refuse_pipes(git, &tracked)?;
    filters::refuse_tracked(git, &tracked)?;
    let submodules = tracked.iter().filter(|entry| entry.is_repository());
    Ok(submodules.map(|entry| path_of(entry.path).to_owned()).collect())
}

fn path_of(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Refuses what stands in place of a file with patterns in any folder that holds something tracked. In a new folder it
/// costs the limit of the call.
fn refuse_pipes(git: &Git<'_>, tracked: &[index::Entry<'_>]) -> Result<(), CommitError> {
    let parents = tracked.iter().filter_map(|entry| path_of(entry.path).parent());
    let folders: BTreeSet<&Path> = parents.chain([Path::new("")]).collect();
    for folder in folders {
        for file in [".gitignore", ".gitattributes"] {
            let path = folder.join(file);
            let kind =
                fs::symlink_metadata(git.repository.root.join(&path)).map(|metadata| metadata.file_type());
            if kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir() && !kind.is_symlink()) {
                let why = format!("{} is not a file", name(path.as_os_str().as_bytes()));
                return Err(CommitError::Refused { why });
            }
        }
    }
    Ok(())
}

/// Adds, changes and removes in one call. Submodules are left out, since git would run `git status` in each, with the
/// configuration that it has there.
fn add_all(git: &Git<'_>, submodules: &[PathBuf]) -> Result<(), CommitError> {
    let mut left_out: Vec<OsString> = git.repository.own.pathspecs().collect();
    left_out.extend(submodules.iter().map(|path| exclude(path)));
    let call = Call::new("read the tree", &["add", "--all", "--", "."])
        .with(left_out)
        .with_patterns()
        .reading_the_tree();
    match git.run_and_listen(call) {
        Ok(captured) => refuse_unread(&captured.stderr),
        Err(RepoError::Git { detail, .. }) if is_about_a_file(&detail) => {
            Err(CommitError::Refused { why: detail })
        }
        Err(e) => Err(e).told(WHAT),
    }
}

/// Whether git complains about what is in the tree, and not about the repository.
fn is_about_a_file(complaint: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "does not have a commit checked out",
        "can only add regular files, symbolic links or git-directories",
        "nvalid path '",
        "unable to index file",
        "Permission denied",
        "would be replaced by",
        "failed to encode",
    ];
    let is_of_the_disk = complaint.contains("No space left") || complaint.contains("insufficient permission");
    SIGNS.iter().any(|sign| complaint.contains(sign)) && !is_of_the_disk
}

/// Git goes on without a folder that it cannot read, and says so only on the side.
fn refuse_unread(complaint: &[u8]) -> Result<(), CommitError> {
    let mut lines = complaint.split(|&byte| byte == b'\n');
    let unread = |line: &&[u8]| {
        let line = String::from_utf8_lossy(line);
        line.contains("could not open directory") || line.contains("Permission denied")
    };
    match lines.find(unread) {
        Some(line) => Err(CommitError::Refused { why: one_line(line) }),
        None => Ok(()),
    }
}

/// Refuses submodules that are not at the commit that is recorded. That is looked up in their files; git runs nothing in
/// them with `dirty` ignored.
fn refuse_moved(git: &Git<'_>, submodules: &[PathBuf]) -> Result<(), CommitError> {
    if submodules.is_empty() {
        return Ok(());
    }
    for path in submodules {
        // Git would not look into it either: what is in there would be in no commit.
        let folder = git.repository.root.join(path);
        let is_filled = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        if is_filled && fs::symlink_metadata(folder.join(".git")).is_err() {
            let why = format!(
                "the submodule {} holds files and is no repository",
                name(path.as_os_str().as_bytes())
            );
            return Err(CommitError::Refused { why });
        }
    }
    let call = Call::new(
        "look at the submodules",
        &[
            "diff-files",
            "-z",
            "--name-only",
            "--ignore-submodules=dirty",
            "--",
        ],
    );
    let answer = git.run(call.with(submodules.iter().map(Into::into))).told(WHAT)?;
    match answer.split(|&byte| byte == 0).next() {
        None | Some(b"") => Ok(()),
        Some(path) => {
            let why = format!(
                "the submodule {} was moved to another commit, or removed, which the driver does not commit",
                name(path)
            );
            Err(CommitError::Refused { why })
        }
    }
}

/// What differs between a commit and a tree.
pub(crate) struct Comparison {
    /// Folders too.
    pub(crate) entries: Vec<Entry>,
    /// The commit and all trees that were read for it.
    pub(crate) compared: BTreeSet<String>,
}

/// Compares, and makes sure that all that was compared is what it is called. Git does not hash what it reads: a tree that
/// a worker wrote over shows no difference where there is one.
pub(crate) fn compare(
    git: &Git<'_>,
    parent: Option<&ObjectId>,
    tree: &ObjectId,
) -> Result<Comparison, RepoError> {
    let base = parent.map_or(git.repository.format.empty_tree(), ObjectId::as_str);
    let call = Call::new(
        "compare the trees",
        &[
            "diff-tree",
            "-r",
            "-t",
            "-z",
            "--raw",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
            base,
            tree.as_str(),
        ],
    );
    let entries = changes::parse(&git.run(call)?).ok_or_else(|| malformed(git, "a list of changes"))?;
    let mut compared = BTreeSet::from([tree.to_string()]);
    compared.extend(parent.map(ToString::to_string));
    compared.extend(parent.map(|parent| format!("{parent}^{{tree}}")));
    compared.extend(entries.iter().flat_map(Entry::folders).map(ToString::to_string));
    // Git knows the tree without anything in it by itself.
    compared.remove(git.repository.format.empty_tree());
    objects::verify(git, &compared)?;
    Ok(Comparison { entries, compared })
}

fn malformed(git: &Git<'_>, what: &str) -> RepoError {
    RepoError::Git {
        operation: "read the tree",
        path: git.repository.root.clone(),
        detail: format!("its answer is not {what} as this program knows it"),
    }
}

fn refuse_what_no_commit_holds(git: &Git<'_>, changed: &[Entry]) -> Result<(), CommitError> {
    let refuse = |entry: &Entry, what: &str| {
        let why = format!("{} {what}", name(&entry.path));
        Err(CommitError::Refused { why })
    };
    for entry in changed {
        if entry.new == Kind::Repository || entry.old == Kind::Repository {
            return refuse(
                entry,
                "is a git repository of its own, which one commit cannot hold",
            );
        }
        if entry.counts() && git.repository.own.holds(&entry.path) {
            return refuse(
                entry,
                "is the driver's own, and stands in the change all the same",
            );
        }
    }
    filters::refuse(git, changed)
}

/// What is in the tree and was not in its parent's; nothing where the two are the same.
pub(crate) fn new_objects(tree: &ObjectId, changed: &[Entry]) -> BTreeSet<ObjectId> {
    let mut new: BTreeSet<ObjectId> = changed.iter().filter_map(|entry| entry.id.clone()).collect();
    if !changed.is_empty() {
        new.insert(tree.clone());
    }
    new
}
