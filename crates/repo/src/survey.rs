//! How a folder stands, and how that differs from before: what rules about paths are asked about.

mod inventory;
mod kept;
mod listing;
mod staged;
mod which;

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use machine_driver_governor::{CommitError, Surveyor};
use machine_driver_process::Cancel;
use machine_driver_state::change::ObjectId;
use machine_driver_state::control::Control;
use machine_driver_state::glob::PathGlob;
use machine_driver_state::id::Digest;
use machine_driver_state::survey::{Difference, Place, Survey};

use crate::CANCEL_GRACE;
use crate::error::{RepoError, Told as _, one_line};
use crate::git::Git;
use crate::index;
use crate::objects::hex;
use crate::own::Own;
use crate::read;
use crate::refs;
use crate::repository::Repository;
use inventory::{Ground, Limits};
use kept::Kept;
use listing::Entry;
use which::Which;

/// What a failure of seeing is called.
const WHAT: &str = "the folder could not be surveyed";

/// What a failure of comparing is called.
const WHAT_COMPARED: &str = "the surveys could not be compared";

/// Which folder, what in it is not the worker's, and where surveys are kept.
#[derive(Debug, Clone, Default)]
pub struct SurveySettings {
    /// The folder that is worked on, absolute. In a git repository all of the tree around it counts, and paths are from the
    /// root of that tree; in a plain folder paths are from the folder.
    pub repo: PathBuf,
    /// Absolute paths of the driver's own files and folders: no inventory holds them.
    pub own: Vec<PathBuf>,
    /// Absolute paths with which names of the driver's own files begin.
    pub own_prefixes: Vec<PathBuf>,
    /// The folder, absolute, that the lists of what was seen are kept in; made where it is not there. It is the driver's own.
    pub kept: PathBuf,
}

/// Surveys one folder, in a git repository or not.
///
/// # What is seen
/// * [`Survey::tree`]: what [`GitCommitter`](crate::GitCommitter) would read as the change, by the same code: the same id. It
///   is compared with an earlier tree and not with HEAD, so that a commit of the worker's own hides nothing.
/// * [`Survey::index`]: what is staged in the index that people use. What is not merged, split over many files, or caches
///   another tree than that of its entries is refused.
/// * [`Survey::files`]: every file that a protected glob fits, ignored or not, also in submodules and nested repositories, with
///   their `.git`; but not in the `.git` of the tree itself. Content is hashed each time; fifos, sockets and devices are
///   there by their kind and are never opened. Empty folders are not there, as for git. In a plain folder, all files.
///
/// What only `tree` could show and no commit would hold is not seen: ignored files, and files that were changed in a nested
/// repository without a commit there. A protected glob sees those.
///
/// # What is kept
/// Each list under a name that follows from its content, `<tree id>.tree` and `<SHA-256>.files`, and checked when it is read
/// again: the id of a tree is computed from its list. So two surveys compare without git, also when a worker has thrown
/// away the objects of the first (`git gc --prune=now`) or replaced them.
pub struct FolderSurveyor {
    kind: Kind,
    kept: Kept,
    limits: Limits,
}

enum Kind {
    Repository(Box<Repository>),
    Plain(Plain),
}

/// A folder without git.
struct Plain {
    root: PathBuf,
    own: Own,
    /// Its device and inode: another one in its place is not the same.
    place: (u64, u64),
}

impl FolderSurveyor {
    /// Reads what is the user's. To be called before any worker runs. Nobody's name is needed.
    ///
    /// # Errors
    /// [`RepoError`] where there is no folder, or a repository in it that cannot be read: bare, of an unknown format, or with
    /// a `.git` that git does not take for one.
    pub fn open(settings: &SurveySettings) -> Result<Self, RepoError> {
        let mut own = settings.own.clone();
        own.push(settings.kept.clone());
        let kind = match Repository::open_to_see(&settings.repo, &own, &settings.own_prefixes) {
            Ok(repository) => Kind::Repository(Box::new(repository)),
            Err(RepoError::NotARepository { .. }) => {
                refuse_git_at(&settings.repo)?;
                Kind::Plain(Plain::open(&settings.repo, &own, &settings.own_prefixes)?)
            }
            Err(RepoError::NoGit) if !is_below_git(&settings.repo)? => {
                Kind::Plain(Plain::open(&settings.repo, &own, &settings.own_prefixes)?)
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            kind,
            kept: Kept::new(settings.kept.clone()),
            limits: Limits::DEFAULT,
        })
    }

    /// The same that looks at so many files and folders at most, and so many bytes of content, in place of two million and
    /// 64 GiB. More is refused.
    #[must_use]
    pub const fn with_limits(mut self, entries: u64, bytes: u64) -> Self {
        self.limits = Limits { entries, bytes };
        self
    }

    /// What the paths of differences, and of the rules, are below.
    #[must_use]
    pub fn root(&self) -> &Path {
        match &self.kind {
            Kind::Repository(repository) => &repository.root,
            Kind::Plain(plain) => &plain.root,
        }
    }

    const fn own(&self) -> &Own {
        match &self.kind {
            Kind::Repository(repository) => &repository.own,
            Kind::Plain(plain) => &plain.own,
        }
    }

    fn files(&self, which: Which<'_>, cancel: &Cancel) -> Result<Digest, CommitError> {
        let ground = Ground {
            root: self.root(),
            own: self.own(),
            is_repository: matches!(self.kind, Kind::Repository(_)),
            limits: self.limits,
            is_cancelled: &|| cancel.is_cancelled(),
        };
        let list = inventory::take(&ground, which)?;
        self.kept.keep_files(&list).told(WHAT)
    }

    fn survey_repository(
        &self,
        repository: &Repository,
        protected: &[PathGlob],
        cancel: &Cancel,
    ) -> Result<Survey, CommitError> {
        repository.refuse_moved().map_err(read::refused)?;
        let (tree, list) = read_tree(repository, cancel)?;
        self.kept.keep_tree(&tree, &list).told(WHAT)?;
        let (index, list) = staged::read(repository, cancel)?;
        self.kept.keep_tree(&index, &list).told(WHAT)?;
        let files = match protected {
            [] => None,
            globs => Some(self.files(Which::Fitting(globs), cancel)?),
        };
        Ok(Survey {
            tree: Some(tree),
            index: Some(index),
            files,
        })
    }

    fn compare_trees(
        &self,
        before: Option<&ObjectId>,
        after: Option<&ObjectId>,
        place: Place,
    ) -> Result<Vec<Difference>, CommitError> {
        let (before, after) = match (before, after) {
            (None, None) => return Ok(Vec::new()),
            (Some(before), Some(after)) if before == after => return Ok(Vec::new()),
            (Some(before), Some(after)) => (before, after),
            (Some(_), None) => return cannot("the folder was in a git repository, and is in none"),
            (None, Some(_)) => return cannot("the folder was in no git repository, and is in one"),
        };
        let before = self.kept.read_tree(before).told(WHAT_COMPARED)?;
        let after = self.kept.read_tree(after).told(WHAT_COMPARED)?;
        match (listing::parse(&before), listing::parse(&after)) {
            (Some(before), Some(after)) => Ok(listing::differences(&before, &after, place)),
            _ => cannot("a list that was kept is malformed"),
        }
    }

    fn compare_files(&self, before: &Survey, after: &Survey) -> Result<Vec<Difference>, CommitError> {
        let (before, after) = match (&before.files, &after.files) {
            (_, None) => return Ok(Vec::new()),
            (Some(before), Some(after)) if before == after => return Ok(Vec::new()),
            (Some(before), Some(after)) => (before, after),
            (None, Some(_)) => return cannot("the earlier one has no inventory of protected files"),
        };
        let before = self.kept.read_files(before).told(WHAT_COMPARED)?;
        let after = self.kept.read_files(after).told(WHAT_COMPARED)?;
        which::differences(&before, &after).or_else(|why| cannot(&why))
    }
}

impl Surveyor for FolderSurveyor {
    fn survey(&self, protected: &[PathGlob], control: &Control<'_>) -> Result<Survey, CommitError> {
        let cancel = Cancel::new();
        let switch = cancel.clone();
        control.on_cancel(move || switch.cancel(CANCEL_GRACE));
        match &self.kind {
            Kind::Repository(repository) => self.survey_repository(repository, protected, &cancel),
            Kind::Plain(plain) => {
                plain.refuse_moved()?;
                let files = Some(self.files(Which::All, &cancel)?);
                Ok(Survey {
                    tree: None,
                    index: None,
                    files,
                })
            }
        }
    }

    fn compare(&self, before: &Survey, after: &Survey) -> Result<Vec<Difference>, CommitError> {
        let mut all = self.compare_trees(before.tree.as_ref(), after.tree.as_ref(), Place::Tree)?;
        all.extend(self.compare_trees(before.index.as_ref(), after.index.as_ref(), Place::Index)?);
        all.extend(self.compare_files(before, after)?);
        // Those of the driver's files that a worker staged or committed by itself enter no commit of ours.
        all.retain(|difference| !self.own().holds(difference.path.as_os_str().as_bytes()));
        all.sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
        Ok(all)
    }
}

impl fmt::Debug for FolderSurveyor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderSurveyor")
            .field("root", &self.root())
            .field("is_repository", &matches!(self.kind, Kind::Repository(_)))
            .finish_non_exhaustive()
    }
}

/// The tree of what git would commit, with the list of its entries.
fn read_tree(repository: &Repository, cancel: &Cancel) -> Result<(ObjectId, Vec<u8>), CommitError> {
    let (_, parent) = refs::head(repository).told(WHAT)?;
    let git = Git::new(repository, cancel).told(WHAT)?;
    let tree = read::write_tree(&git, parent.as_ref())?;
    let path = git.private.index();
    let bytes = fs::read(&path).map_err(RepoError::io("read", &path)).told(WHAT)?;
    // Its paths are in order, as those of every index (gitformat-index(5)).
    let Some(entries) = index::parse(&bytes, repository.format) else {
        return cannot_see("git wrote an index of an unknown form");
    };
    let mut list = Vec::new();
    for entry in entries {
        let (mode, id, path) = (entry.mode, hex(entry.id), entry.path);
        listing::push(&mut list, &Entry { mode, id: &id, path });
    }
    Ok((tree, list))
}

fn cannot<T>(why: &str) -> Result<T, CommitError> {
    Err(CommitError::other(WHAT_COMPARED, why))
}

fn cannot_see<T>(why: &str) -> Result<T, CommitError> {
    Err(CommitError::other(WHAT, why))
}

impl Plain {
    fn open(folder: &Path, own: &[PathBuf], prefixes: &[PathBuf]) -> Result<Self, RepoError> {
        let root = folder.canonicalize().map_err(RepoError::io("find", folder))?;
        let metadata = fs::symlink_metadata(&root).map_err(RepoError::io("look at", &root))?;
        if !metadata.is_dir() {
            return Err(RepoError::unsupported(&root, "it is not a folder"));
        }
        Ok(Self {
            own: Own::new(&root, own, prefixes)?,
            root,
            place: (metadata.dev(), metadata.ino()),
        })
    }

    fn refuse_moved(&self) -> Result<(), CommitError> {
        let now = fs::symlink_metadata(&self.root);
        if now.is_ok_and(|now| (now.dev(), now.ino()) == self.place) {
            return Ok(());
        }
        let folder = one_line(self.root.as_os_str().as_encoded_bytes());
        let why = format!("{folder} is not what it was when the driver started");
        Err(CommitError::Refused { why })
    }
}

/// A broken repository is not a plain folder: whoever broke it would be rid of what is seen in one.
fn refuse_git_at(folder: &Path) -> Result<(), RepoError> {
    let pointer = folder.join(".git");
    match fs::symlink_metadata(&pointer) {
        Ok(_) => {
            let what = format!("{} is there, and is no git repository", pointer.display());
            Err(RepoError::unsupported(folder, what))
        }
        Err(_) => Ok(()),
    }
}

fn is_below_git(folder: &Path) -> Result<bool, RepoError> {
    let folder = folder.canonicalize().map_err(RepoError::io("find", folder))?;
    let mut above = folder.ancestors();
    Ok(above.any(|folder| fs::symlink_metadata(folder.join(".git")).is_ok()))
}
