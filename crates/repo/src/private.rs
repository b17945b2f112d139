//! A git folder of the driver's own, made anew for each piece of work.
//!
//! Its configuration, excludes, attributes, index and (absent) hooks are the only ones that git sees. Objects are those
//! of the repository (`GIT_OBJECT_DIRECTORY`), and so are the references, through links as git-new-workdir lays them
//! out: everything that a worker could have written about *how* to read is left behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::RepoError;
use crate::files;
use crate::repository::Repository;

/// How the folder's name begins.
const NAME: &str = "machine-driver-git-";

/// Beginning of the paths of all such folders. One that a driver left which was killed lies about for ever, in the tree
/// where the user keeps temporary files there.
pub(crate) fn prefix() -> PathBuf {
    std::env::temp_dir().join(NAME)
}

/// Bytes that the list of a shallow clone's ends may have.
const SHALLOW_BYTES_MAX: u64 = 16 << 20;

/// The folder; removed when it is dropped.
pub(crate) struct Private {
    folder: TempDir,
}

impl Private {
    pub(crate) fn create(repository: &Repository) -> Result<Self, RepoError> {
        // tempfile makes it with mode 0700 and a name that nobody can guess.
        let folder =
            TempDir::with_prefix(NAME).map_err(RepoError::io("make a folder in", &std::env::temp_dir()))?;
        let private = Self { folder };
        private.fill(repository)?;
        Ok(private)
    }

    fn fill(&self, repository: &Repository) -> Result<(), RepoError> {
        let path = |name: &str| self.path().join(name);
        let write = |name: &str, bytes: &[u8]| {
            fs::write(path(name), bytes).map_err(RepoError::io("write", &path(name)))
        };
        fs::create_dir(path("info")).map_err(RepoError::io("make", &path("info")))?;
        write("HEAD", b"ref: refs/heads/none\n")?;
        write(
            "config",
            &repository.settings.config(self.path(), repository.format),
        )?;
        write("excludes", &repository.settings.excludes)?;
        write("attributes", &repository.settings.attributes)?;
        write("info/exclude", &repository.settings.info_exclude)?;
        write("info/attributes", &repository.settings.info_attributes)?;
        let shallow = files::read(&repository.common_dir.join("shallow"), SHALLOW_BYTES_MAX)?;
        if let Some(shallow) = shallow {
            write("shallow", &shallow)?;
        }
        for name in ["refs", "packed-refs", "logs"] {
            symlink(repository.common_dir.join(name), path(name))
                .map_err(RepoError::io("link", &path(name)))?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.path().join("index")
    }
}
