//! What about a repository must stay as it was when the driver opened it: where its parts lie, and what it borrows.
//!
//! Git is told all places by name, so a link that a worker puts in place of one would be followed, and
//! `commondir` is read by git's reference store whatever `GIT_COMMON_DIR` says (2.47, `refs/files-backend.c`): the branch
//! of another repository would be moved.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::RepoError;
use crate::files;

/// Bytes that a list of alternates may have.
const ALTERNATES_BYTES_MAX: u64 = 16 << 20;

/// Bytes that a path may have.
const PATH_BYTES_MAX: u64 = 64 << 10;

/// How it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pins {
    /// Each place, where it really is, and which folder that is; none where there was nothing.
    places: Vec<(PathBuf, Option<Place>)>,
    commondir: Option<Vec<u8>>,
    alternates: Option<Vec<u8>>,
}

/// Where a folder really is, with its device and inode: another one in its place is not the same.
type Place = (PathBuf, u64, u64);

fn place(path: &Path) -> Option<Place> {
    let really = path.canonicalize().ok()?;
    let metadata = fs::metadata(&really).ok()?;
    Some((really, metadata.dev(), metadata.ino()))
}

impl Pins {
    pub(crate) fn of(root: &Path, git_dir: &Path, common_dir: &Path) -> Result<Self, RepoError> {
        let objects = common_dir.join("objects");
        let (refs, heads) = (common_dir.join("refs"), common_dir.join("refs/heads"));
        let places = [root, git_dir, common_dir, &objects, &refs, &heads];
        Ok(Self {
            places: places.map(|path| (path.to_owned(), place(path))).to_vec(),
            commondir: files::read(&git_dir.join("commondir"), PATH_BYTES_MAX)?,
            alternates: files::read(&objects.join("info/alternates"), ALTERNATES_BYTES_MAX)?,
        })
    }

    /// Refuses a repository whose parts are elsewhere by now, or whose objects would be borrowed from elsewhere: what is
    /// borrowed can be taken away.
    pub(crate) fn hold(&self, root: &Path, git_dir: &Path, common_dir: &Path) -> Result<(), RepoError> {
        let refuse = |path: &Path| {
            let what = format!("{} is not what it was when the driver started", path.display());
            Err(RepoError::unsupported(root, what))
        };
        let now = Self::of(root, git_dir, common_dir)?;
        let moved = self.places.iter().zip(&now.places).find(|(was, is)| was != is);
        if let Some(((path, _), _)) = moved {
            return refuse(path);
        }
        if self.commondir != now.commondir {
            return refuse(&git_dir.join("commondir"));
        }
        if self.alternates != now.alternates {
            return refuse(&common_dir.join("objects/info/alternates"));
        }
        files::refuse_links(common_dir, Path::new("packed-refs"))?;
        refuse_links_to_objects(&common_dir.join("objects"))
    }
}

/// Each of the 256 folders of loose objects could be a link, and each pack a pipe.
fn refuse_links_to_objects(objects: &Path) -> Result<(), RepoError> {
    for folder in [objects, &objects.join("pack")] {
        let read = || fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>();
        let entries = match read() {
            Err(e) if files::is_absent(&e) => continue,
            entries => entries.map_err(RepoError::io("list", folder))?,
        };
        for entry in entries {
            files::refuse_links(folder, Path::new(&entry.file_name()))?;
        }
    }
    Ok(())
}
