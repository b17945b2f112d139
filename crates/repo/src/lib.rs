//! One git repository, read and committed to without running anything that it names.
//!
//! [`GitCommitter`] is the [`Committer`] of the driver. It is opened before any worker runs, and takes over what is the
//! user's then: who commits, what is ignored, how line ends are kept. From then on git gets a folder of the driver's own
//! with a configuration, an index and excludes of the driver's own, and of the repository only its objects and its
//! references. So no hook, filter, monitor, alias or setting that a worker leaves behind is ever looked at, and a bit in
//! the index or a restored time hides nothing. What is in the tree counts as content, `.gitignore` and `.gitattributes`
//! included. Filters (`filter=lfs`) are not run: a change that needs one is refused by name.
//!
//! [`FolderSurveyor`] is the [`Surveyor`](machine_driver_governor::Surveyor): how a folder stood, and what differs from then.
//! It sees the tree by the same code, what is staged, and the protected files as they lie there, and keeps lists of them, so that
//! it compares without a repository, whatever a worker did to that one.
//!
//! # Invariants
//! * A reference is changed in one function of one file, by compare and swap, with a [`Permit`] that is used up by it.
//! * What is committed was read back as git reads it and hashed first.
//! * A commit's id follows from its order: made twice, it is the same commit.
//! * The user's own commit hooks are not run; let `verify_cmd` call them.

mod changes;
mod commit;
mod error;
mod files;
mod filters;
mod git;
mod index;
mod inquiry;
mod objects;
mod own;
mod patch;
mod pins;
mod private;
mod read;
mod refs;
mod repository;
mod settings;
mod survey;
mod user_index;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machine_driver_governor::{CommitError, CommitOrder, Committed, Committer, Permit};
use machine_driver_process::Cancel;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::Control;
use machine_driver_state::event::OutputDigest;

use crate::commit::Known;
use crate::error::Told as _;
use crate::repository::Repository;

pub use error::RepoError;
pub use survey::{FolderSurveyor, SurveySettings};

/// Which repository, and what in it is not the worker's.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folder that is worked on, absolute; all of the tree around it counts.
    pub repo: PathBuf,
    /// Absolute paths of the driver's own files and folders: they never enter a tree, and stay as the parent has them
    /// where they are tracked.
    pub own: Vec<PathBuf>,
    /// Absolute paths with which names of the driver's own files begin, such as `/goals/goal.json.edited-`.
    pub own_prefixes: Vec<PathBuf>,
}

/// Commits to one git repository.
pub struct GitCommitter {
    repository: Repository,
    /// The change that was read last, which is most likely the one to commit.
    last: Mutex<Option<(Change, Known)>>,
}

impl GitCommitter {
    /// Reads what is the user's. To be called before any worker runs.
    ///
    /// # Errors
    /// [`RepoError`] where there is no repository, no git (2.36 or later), nobody's name, or a repository in a state in
    /// which the driver does not commit: bare, sparse, in the middle of a merge, with files hidden from git.
    pub fn open(settings: &Settings) -> Result<Self, RepoError> {
        Ok(Self {
            repository: Repository::open(&settings.repo, &settings.own, &settings.own_prefixes)?,
            last: Mutex::new(None),
        })
    }

    /// The same with this limit for each call of git, in place of one minute, and ten for those that read all files.
    #[must_use]
    pub fn with_wall(mut self, wall: Duration) -> Self {
        self.repository.wall = Some(wall);
        self
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.repository.root
    }

    /// What was checked out when it was opened.
    #[must_use]
    pub const fn reference(&self) -> &RefName {
        &self.repository.reference
    }

    /// Where that pointed then; none for an unborn branch.
    #[must_use]
    pub const fn parent(&self) -> Option<&ObjectId> {
        self.repository.parent.as_ref()
    }

    /// Nothing in it is ever half done, so a poisoned lock is as good as any.
    fn last(&self) -> MutexGuard<'_, Option<(Change, Known)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committer for GitCommitter {
    fn read_change(&self, control: &Control<'_>) -> Result<Change, CommitError> {
        let cancel = Cancel::new();
        let switch = cancel.clone();
        control.on_cancel(move || switch.cancel(CANCEL_GRACE));
        let (change, known) = read::read(&self.repository, &cancel)?;
        *self.last() = Some((change.clone(), known));
        Ok(change)
    }

    fn made(&self, order: &CommitOrder) -> Result<Option<ObjectId>, CommitError> {
        Ok(commit::finished(&self.repository, order, None)?.map(|committed| committed.id))
    }

    fn patch(&self, change: &Change, file: &Path) -> Result<Option<OutputDigest>, CommitError> {
        patch::write(&self.repository, change, file).told("the change could not be kept as a patch")
    }

    fn commit(&self, order: &CommitOrder, permit: Permit) -> Result<Committed, CommitError> {
        if !permit.covers(order) {
            return Err(CommitError::NotPermitted);
        }
        let last = self.last();
        let known = last.as_ref().filter(|(change, _)| *change == order.change);
        commit::commit(&self.repository, order, known.map(|(_, known)| known))
    }
}

/// How long git may take to remove its locks when it is stopped.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

impl fmt::Debug for GitCommitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitCommitter")
            .field("root", &self.repository.root)
            .field("git_dir", &self.repository.git_dir)
            .field("reference", &self.repository.reference)
            .finish_non_exhaustive()
    }
}
