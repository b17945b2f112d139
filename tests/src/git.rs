//! A git repository in a test's folder, asked by git itself.

use std::path::Path;
use std::process::Command;

use crate::place::Place;

impl Place {
    /// Makes `repo/` a git repository with one commit that holds `README`, and an identity of its own.
    ///
    /// # Panics
    /// Where git does not.
    pub fn init_git(&self) {
        let repo = self.path("repo");
        self.git(&["-c", "init.defaultBranch=main", "init", "-q", "--template="]);
        self.git(&["config", "user.name", "A Tester"]);
        self.git(&["config", "user.email", "tester@example.invalid"]);
        std::fs::write(repo.join("README"), "a repository\n").unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", "first"]);
    }

    /// What git writes about `repo/`.
    ///
    /// # Panics
    /// Where git fails.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path("repo"), self.folder(), arguments)
    }

    /// The subjects of all commits on the branch that is checked out, the first commit left out, oldest first.
    ///
    /// # Panics
    /// Where git fails.
    #[must_use]
    #[track_caller]
    pub fn commits(&self) -> Vec<String> {
        let log = self.git(&["log", "--reverse", "--format=%s"]);
        log.lines().skip(1).map(str::to_owned).collect()
    }

    /// Expects a repository that git finds nothing wrong with, one commit for each record that says so, each with the tree
    /// that was verified and with the record that allowed it, and none for which there is no record.
    ///
    /// # Panics
    /// Where one does not hold.
    #[track_caller]
    pub fn commits_hold(&self) {
        let fsck = self.git(&["fsck", "--strict", "--no-dangling"]);
        assert_eq!(fsck.trim(), "", "git fsck");
        let history = self.history();
        let format = "--format=%H %T %(trailers:key=Machine-Driver-Task,valueonly,separator=) \
                      %(trailers:key=Machine-Driver-Record,valueonly,separator=)";
        let log = self.git(&["log", "--reverse", format]);
        let made: Vec<String> = log.lines().skip(1).map(|line| line.trim().to_owned()).collect();
        let mut allowed = None;
        let mut recorded = Vec::new();
        for record in &history.0 {
            if record["event"] == "gate_allowed" {
                allowed = Some(record.clone());
            }
            if record["event"] == "commit" {
                let allowed = allowed.take().expect("a commit that nothing allowed");
                assert_eq!(allowed["session"], record["session"]);
                assert_eq!(allowed["change"]["tree"], record["tree"]);
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                recorded.push(format!(
                    "{} {} {} {}",
                    text(&record["commit"]),
                    text(&record["tree"]),
                    text(&record["task"]),
                    text(&allowed["hash"])
                ));
            }
        }
        assert_eq!(made, recorded, "commits in git, and commits in the log");
    }
}

/// What git writes about a repository, asked without anybody's configuration.
///
/// # Panics
/// Where git fails.
#[track_caller]
pub fn git(repo: &Path, home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let output = command
        .arg("-C")
        .arg(repo)
        .args(arguments)
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
