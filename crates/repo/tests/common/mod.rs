//! A repository to commit to, and everything that a commit needs.
#![expect(clippy::unwrap_used, reason = "tests")]

mod gate;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use machine_driver_governor::{CommitError, CommitOrder, Committed, Committer, Permit};
use machine_driver_repo::{GitCommitter, Settings};
use machine_driver_state::change::Change;
use machine_driver_state::control::Control;
use tempfile::TempDir;

/// A folder with a git repository in `repo/`.
pub(crate) struct Sandbox {
    folder: TempDir,
    /// The tree; another one in tests of linked worktrees.
    pub(crate) repo: PathBuf,
    pub(crate) settings: Settings,
}

impl Sandbox {
    /// A repository with one commit on `main`, which holds `a` and `folder/b`.
    pub(crate) fn new() -> Self {
        let sandbox = Self::unborn(&[]);
        sandbox.write("a", "one\n");
        sandbox.write("folder/b", "two\n");
        sandbox.commit_by_hand("first");
        sandbox
    }

    /// A repository without a commit, made with these options of `git init`.
    pub(crate) fn unborn(options: &[&str]) -> Self {
        let folder = TempDir::with_prefix("machine-driver-repo-test-").unwrap();
        // As git names it.
        let repo = folder.path().canonicalize().unwrap().join("repo");
        fs::create_dir(&repo).unwrap();
        let sandbox = Self {
            folder,
            settings: Settings {
                repo: repo.clone(),
                ..Settings::default()
            },
            repo,
        };
        let init = ["init", "-q", "--template=", "-b", "main"];
        sandbox.git(&[&init, options].concat());
        sandbox.git(&["config", "user.name", "Jörg \"J\" <Doe"]);
        sandbox.git(&["config", "user.email", "j@example.org"]);
        sandbox
    }

    /// A folder beside the repository.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.repo.join(name.as_ref())
    }

    pub(crate) fn write(&self, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn link(&self, name: &str, target: &str) {
        let _ = fs::remove_file(self.path(name));
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
    }

    /// What git says, without the last line break. It has to succeed.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(&self.repo, arguments);
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.strip_suffix('\n').map_or(text.clone(), str::to_owned)
    }

    pub(crate) fn try_git(&self, folder: &Path, arguments: &[&str]) -> Output {
        Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap()
    }

    pub(crate) fn commit_by_hand(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    pub(crate) fn committer(&self) -> GitCommitter {
        GitCommitter::open(&self.settings).unwrap()
    }

    #[track_caller]
    pub(crate) fn read(&self, committer: &GitCommitter) -> Change {
        committer.read_change(&Control::new()).unwrap()
    }

    /// Why a change is refused.
    #[track_caller]
    pub(crate) fn refusal(&self, committer: &GitCommitter) -> String {
        match committer.read_change(&Control::new()) {
            Err(CommitError::Refused { why }) => why,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn order(&self, change: &Change) -> CommitOrder {
        gate::order(change)
    }

    pub(crate) fn permit(&self, order: &CommitOrder) -> Permit {
        gate::permit(order)
    }

    pub(crate) fn commit(&self, committer: &GitCommitter, change: &Change) -> Result<Committed, CommitError> {
        let order = self.order(change);
        committer.commit(&order, self.permit(&order))
    }

    /// Opens, reads and commits, and checks everything that holds of every commit.
    #[track_caller]
    pub(crate) fn commit_all(&self) -> Committed {
        let committer = self.committer();
        let change = self.read(&committer);
        let committed = self.commit(&committer, &change).unwrap();
        self.check(&change, &committed);
        committed
    }

    /// The commit is the one that was ordered, the repository is whole, and nothing is left to commit.
    #[track_caller]
    pub(crate) fn check(&self, change: &Change, committed: &Committed) {
        let id = committed.id.as_str();
        assert_eq!(committed.note, None);
        assert_eq!(self.git(&["rev-parse", "HEAD"]), id);
        assert_eq!(self.git(&["rev-parse", "HEAD^{tree}"]), change.tree.as_str());
        let parent = change.parent.as_ref().map_or("", |parent| parent.as_str());
        assert_eq!(self.git(&["log", "-1", "--format=%P"]), parent);
        assert_eq!(
            self.git(&["log", "-1", "--format=%B"]).trim(),
            self.order(change).message().trim()
        );
        self.git(&["fsck", "--strict", "--no-dangling"]);
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        assert_eq!(
            self.git(&["diff-files", "--name-only", "--ignore-submodules"]),
            ""
        );
        assert_eq!(self.git(&["diff-index", "--cached", "--name-only", "HEAD"]), "");
    }

    /// Mode and path of everything that a tree holds, a line each.
    #[track_caller]
    pub(crate) fn tree(&self, change: &Change) -> Vec<String> {
        let list = self.git(&[
            "ls-tree",
            "-r",
            "-z",
            "--format=%(objectmode) %(path)",
            change.tree.as_str(),
        ]);
        list.split('\0')
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// What a file holds in a tree.
    #[track_caller]
    pub(crate) fn content(&self, change: &Change, name: &str) -> String {
        self.git(&["cat-file", "-p", &format!("{}:{name}", change.tree)])
    }
}

/// A name that is not UTF-8.
pub(crate) fn not_utf8() -> OsString {
    OsString::from_vec(b"caf\xe9".to_vec())
}
