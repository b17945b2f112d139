//! Making a commit once, however often it is asked for. The only place where a reference is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use machine_driver_governor::{CommitError, CommitOrder, Committed, KEY_TRAILER};
use machine_driver_process::Cancel;
use machine_driver_state::change::{ObjectId, RefName};

use crate::error::{RepoError, Told, failed};
use crate::files;
use crate::git::{Call, Git, object_id};
use crate::objects;
use crate::read::{compare, new_objects};
use crate::refs;
use crate::repository::Repository;
use crate::user_index::Prepared;

/// What a failure of all this is called.
const WHAT: &str = "the commit could not be made";

/// Commits looked through for an order that was carried out before.
const COMMITS_MAX: &str = "--max-count=10000";

/// What is known about a change since it was read; nothing of it after a restart.
pub(crate) struct Known {
    pub(crate) index: Prepared,
    /// The objects that are in the tree and were not in the parent's, and what was compared to say so; nothing where the
    /// two are the same.
    pub(crate) to_check: BTreeSet<String>,
}

/// The commit that carried the order out, if there is one.
fn made(repository: &Repository, order: &CommitOrder) -> Result<Option<ObjectId>, CommitError> {
    let change = &order.change;
    let head = refs::resolve(repository, &change.reference).told(WHAT)?;
    let Some(head) = head.filter(|head| Some(head) != change.parent.as_ref()) else {
        return Ok(None);
    };
    let cancel = Cancel::new();
    let git = Git::new(repository, &cancel).told(WHAT)?;
    let form = "--format=%H%x00%T%x00%P%x00%B%x00";
    let list = ["rev-list", COMMITS_MAX, "--no-commit-header", form, head.as_str()];
    let since = change.parent.iter().map(|parent| format!("^{parent}").into());
    let call = Call::new("look for the commit", &list).with(since);
    let answer = git.run(call).told(WHAT)?;
    Ok(find(&answer, order))
}

/// The commit among those listed whose tree, parent and trailers are the order's.
fn find(answer: &[u8], order: &CommitOrder) -> Option<ObjectId> {
    let parent = order.change.parent.as_ref().map_or("", ObjectId::as_str);
    let mut parts = answer.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    while let (Some(id), Some(tree), Some(parents), Some(message)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    {
        let is_it = tree == order.change.tree.as_str() && parents == parent && is_marked(&message, order);
        if is_it {
            return ObjectId::new(id.trim_ascii()).ok();
        }
    }
    None
}

/// Whether the last paragraph, that of the trailers, names this very order.
fn is_marked(message: &str, order: &CommitOrder) -> bool {
    let trailers = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let has = |name: &str, value: String| trailers.lines().any(|line| line == format!("{name}: {value}"));
    has(KEY_TRAILER, order.idempotency_key.to_string())
        && has("Machine-Driver-Record", order.record.to_string())
}

/// The commit that carried the order out, if there is one, with what a driver that was killed behind it did not come to:
/// that it lasts, and that the index is the one of its tree.
pub(crate) fn finished(
    repository: &Repository,
    order: &CommitOrder,
    known: Option<&Known>,
) -> Result<Option<Committed>, CommitError> {
    let Some(id) = made(repository, order)? else {
        return Ok(None);
    };
    let cancel = Cancel::new();
    objects::sync(repository, &BTreeSet::from([id.clone()])).told(WHAT)?;
    let git = Git::new(repository, &cancel).told(WHAT)?;
    committed(&git, order, known, id).told(WHAT).map(Some)
}

/// Makes the commit, or finds that it was made; either way the index is that of its tree afterwards.
pub(crate) fn commit(
    repository: &Repository,
    order: &CommitOrder,
    known: Option<&Known>,
) -> Result<Committed, CommitError> {
    if let Some(committed) = finished(repository, order, known)? {
        return Ok(committed);
    }
    let cancel = Cancel::new();
    is_where_it_was(repository, order)?;
    let git = Git::new(repository, &cancel).told(WHAT)?;
    is_whole(&git, order, known)?;
    let id = write(&git, order).told(WHAT)?;
    move_reference(&git, order, &id)?;
    committed(&git, order, known, id).told(WHAT)
}

fn is_where_it_was(repository: &Repository, order: &CommitOrder) -> Result<(), CommitError> {
    let change = &order.change;
    is_at_parent(repository, order)?;
    let (checked_out, _) = refs::head(repository).told(WHAT)?;
    if checked_out != change.reference {
        let why = format!(
            "{checked_out} is checked out now, and the change was read on {}",
            change.reference
        );
        return Err(CommitError::Refused { why });
    }
    repository.refuse_state().told(WHAT)?;
    repository.refuse_moved().told(WHAT)
}

fn is_at_parent(repository: &Repository, order: &CommitOrder) -> Result<(), CommitError> {
    let change = &order.change;
    let found = refs::resolve(repository, &change.reference).told(WHAT)?;
    if found == change.parent {
        return Ok(());
    }
    Err(CommitError::Moved {
        reference: change.reference.clone(),
        expected: change.parent.clone(),
        found,
    })
}

/// The tree is a change, and everything new in it is there and is what it is called.
fn is_whole(git: &Git<'_>, order: &CommitOrder, known: Option<&Known>) -> Result<(), CommitError> {
    let change = &order.change;
    let looked_up;
    let to_check = match known {
        Some(known) => &known.to_check,
        None => {
            let compared = compare(git, change.parent.as_ref(), &change.tree).told(WHAT)?;
            let new = new_objects(&change.tree, &compared.entries);
            looked_up = new.iter().map(ToString::to_string).collect();
            &looked_up
        }
    };
    if to_check.is_empty() || change.paths == 0 {
        let source = RepoError::Git {
            operation: "commit",
            path: git.repository.root.clone(),
            detail: format!("the tree {} is that of the parent", change.tree),
        };
        return Err(failed("there is nothing to commit", source));
    }
    objects::verify(git, to_check).told(WHAT)
}

/// The commit itself, not yet anybody's: the same each time, since its time is the order's.
fn write(git: &Git<'_>, order: &CommitOrder) -> Result<ObjectId, RepoError> {
    let at = format!("@{} +0000", order.at.millis().div_euclid(1000));
    let parent = order.change.parent.iter();
    let parent = parent.flat_map(|parent| ["-p".into(), parent.as_str().into()]);
    let call = Call::new("write the commit", &["commit-tree", order.change.tree.as_str()])
        .with(parent)
        .fed(order.message().into_bytes())
        .variable("GIT_AUTHOR_DATE", &at)
        .variable("GIT_COMMITTER_DATE", &at);
    let answer = git.run(call)?;
    let id = object_id("write the commit", &git.repository.root, &answer)?;
    objects::sync(git.repository, &BTreeSet::from([id.clone()]))?;
    Ok(id)
}

/// Moves the reference from the parent to the commit, or does nothing at all. Git waits a second for locks by itself.
///
/// Git gets the last word only when it stands ready, and from this process: a git that is slow to start, or that outlives a
/// driver which was killed, finds the end of its orders instead, and takes everything back. So no commit comes later.
fn move_reference(git: &Git<'_>, order: &CommitOrder, id: &ObjectId) -> Result<(), CommitError> {
    let (repository, reference) = (git.repository, &order.change.reference);
    prepare_logs(repository, reference).told(WHAT)?;
    let old = order.change.parent.as_ref();
    let old = old.map_or_else(|| repository.format.zero(), ToString::to_string);
    let log = format!("driver: {}", order.task);
    let orders = format!(
        "start\noption no-deref\nupdate {} {id} {old}\nprepare\n",
        reference.as_str()
    );
    let call = Call::new("move the reference", &["update-ref", "--stdin", "-m", &log])
        .in_git_dir(&repository.git_dir)
        .fed(orders.into_bytes());
    let moved = git.run_then(call, b"prepare: ok", b"commit\n");
    // Whatever git says: what counts is what is in the file.
    let found = refs::resolve(repository, reference).told(WHAT)?;
    if found.as_ref() == Some(id) {
        return Ok(());
    }
    is_at_parent(repository, order)?;
    let Err(error) = moved else {
        let detail = format!("git says that {reference} was moved, and it was not");
        let (operation, path) = ("move the reference", repository.root.clone());
        return Err(RepoError::Git {
            operation,
            path,
            detail,
        })
        .told(WHAT);
    };
    let locks = [
        lock_of(place(repository, reference)),
        repository.git_dir.join("HEAD.lock"),
        repository.common_dir.join("packed-refs.lock"),
    ];
    match locks.iter().find(|lock| lock.is_symlink() || lock.exists()) {
        Some(lock) => {
            let what = format!(
                "{} stands in the way: remove it if no git is running",
                lock.display()
            );
            Err(failed(&what, error))
        }
        None => Err(error).told(WHAT),
    }
}

/// Refuses links on the way to what is about to be written, and makes the folder of logs where the user wants them.
fn prepare_logs(repository: &Repository, reference: &RefName) -> Result<(), RepoError> {
    files::refuse_links(&repository.common_dir, Path::new(reference.as_str()))?;
    files::refuse_links(
        &repository.common_dir,
        &Path::new("logs").join(reference.as_str()),
    )?;
    files::refuse_links(&repository.git_dir, Path::new("logs/HEAD"))?;
    let logs = repository.common_dir.join("logs");
    if repository.settings.keeps_logs() && !logs.exists() {
        fs::create_dir(&logs).map_err(RepoError::io("make", &logs))?;
    }
    Ok(())
}

fn lock_of(file: PathBuf) -> PathBuf {
    let mut name = file.into_os_string();
    name.push(".lock");
    name.into()
}

/// The file of a reference that is not packed.
fn place(repository: &Repository, reference: &RefName) -> PathBuf {
    match reference.as_str() {
        "HEAD" => repository.git_dir.join("HEAD"),
        name => repository.common_dir.join(name),
    }
}

/// The reference and its logs survive a power cut. What they name does already.
fn make_durable(repository: &Repository, reference: &RefName) -> Result<(), RepoError> {
    files::sync_chain(&repository.git_dir, Path::new("logs/HEAD"))?;
    if reference.as_str() == "HEAD" {
        return files::sync_chain(&repository.git_dir, Path::new("HEAD"));
    }
    files::sync_chain(&repository.common_dir, Path::new(reference.as_str()))?;
    files::sync(&repository.common_dir.join("packed-refs"))?;
    files::sync_chain(&repository.common_dir.join("logs"), Path::new(reference.as_str()))
}

/// The commit stands. What is left is the user's index, where it is still about this commit, and that all of it lasts: in
/// this order, since the index is synced too, and a file system with a journal then has nothing left to do.
fn committed(
    git: &Git<'_>,
    order: &CommitOrder,
    known: Option<&Known>,
    id: ObjectId,
) -> Result<Committed, RepoError> {
    let repository = git.repository;
    let is_checked_out =
        || -> Result<bool, RepoError> { Ok(refs::head(repository)?.1.as_ref() == Some(&id)) };
    let refresh = || -> Result<(), RepoError> {
        if !is_checked_out()? {
            return Ok(());
        }
        match known {
            Some(known) => known.index.install(&repository.git_dir),
            None => Prepared::of(git, &order.change.tree)?.install(&repository.git_dir),
        }
    };
    let note = refresh().err().map(|e| {
        let cause = std::error::Error::source(&e).map_or_else(String::new, |cause| format!(": {cause}"));
        format!("`git status` may show the commit's changes as not staged: {e}{cause}")
    });
    make_durable(repository, &order.change.reference)?;
    Ok(Committed { id, note })
}

#[cfg(test)]
#[path = "commit/tests.rs"]
mod tests;
