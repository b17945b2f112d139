//! A folder with a goal.json, a folder to work in, and the binary to run on them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::binary;
use crate::history::History;
use crate::running::{Ended, Running};

/// No command of a test may take longer than this: it only ends what would hang.
pub const TIME_MAX: Duration = Duration::from_secs(120);

/// A folder of its own with `goal.json` and `repo/`.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A place for a goal. `goal`, `repo` and `tick_seconds` are filled in where they are not given.
    ///
    /// # Panics
    /// Where the disk does not take it.
    #[must_use]
    pub fn new(goal: &Value) -> Self {
        let place = Self::bare();
        place.write(goal);
        place
    }

    /// A place without a goal.json.
    ///
    /// # Panics
    /// Where the disk does not take it.
    #[must_use]
    pub fn bare() -> Self {
        let place = Self {
            folder: TempDir::with_prefix("machine-driver-test-").unwrap(),
        };
        fs::create_dir(place.path("repo")).unwrap();
        place
    }

    /// A place with a copy of `tests/fixtures/NAME`.
    ///
    /// # Panics
    /// Where it cannot be copied.
    #[must_use]
    pub fn of_fixture(name: &str) -> Self {
        let place = Self::bare();
        copy(&fixture(name), place.folder());
        place
    }

    /// Writes goal.json as [`Place::new`] does.
    ///
    /// # Panics
    /// Where it is no object.
    pub fn write(&self, goal: &Value) {
        let mut all = json!({ "goal": "g", "repo": "repo", "tick_seconds": 0 });
        all.as_object_mut()
            .unwrap()
            .extend(goal.as_object().unwrap().clone());
        fs::write(self.goal(), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// goal.json
    #[must_use]
    pub fn goal(&self) -> PathBuf {
        self.path("goal.json")
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file in the folder; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// goal.json as it is now.
    ///
    /// # Panics
    /// Where it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.goal()).unwrap()).unwrap()
    }

    /// The status of a task in goal.json.
    ///
    /// # Panics
    /// Where there is no such task.
    #[must_use]
    #[track_caller]
    pub fn status(&self, task: &str) -> String {
        let goal = self.json();
        let tasks = goal["tasks"].as_array().unwrap();
        let task = tasks.iter().find(|one| one["id"] == task).unwrap();
        task["status"].as_str().unwrap_or("pending").to_owned()
    }

    /// What a task says under `key`, in goal.json.
    ///
    /// # Panics
    /// Where there is no such task.
    #[must_use]
    #[track_caller]
    pub fn of_task(&self, task: &str, key: &str) -> Value {
        let goal = self.json();
        let tasks = goal["tasks"].as_array().unwrap();
        tasks.iter().find(|one| one["id"] == task).unwrap()[key].clone()
    }

    /// The binary with these arguments, in this folder, with an environment that does not depend on who runs the tests.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_ours = ["GIT_", "MACHINE_", "CARGO", "RUST", "CLICOLOR", "TELEGRAM_"]
                .iter()
                .any(|mark| text.starts_with(mark));
            if is_ours || text == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.folder())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command
    }

    /// Starts the binary.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(arguments))
    }

    /// Runs the binary to its end.
    #[must_use]
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        self.start(arguments).wait(TIME_MAX)
    }

    /// The log.
    #[must_use]
    #[track_caller]
    pub fn history(&self) -> History {
        History::read(&self.path("driver-log.jsonl"))
    }

    /// Expects what every run has to leave: a log that holds and that the rules ask for, a history without a loss, and
    /// goal.json in step with it.
    ///
    /// # Panics
    /// Where one does not hold.
    #[track_caller]
    pub fn holds(&self) {
        self.run(["log", "verify"]).exits(0);
        self.run(["replay"]).exits(0);
        self.history().is_consistent();
    }

    /// Expects no process of this goal's attempts to run, and nobody to hold its lock.
    ///
    /// # Panics
    /// Where one does.
    #[track_caller]
    pub fn is_quiet(&self) {
        let left = crate::session_processes(&self.history().sessions());
        assert!(left.is_empty(), "still running: {left:?}");
        let log = fs::File::open(self.path("driver-log.jsonl")).unwrap();
        log.try_lock().expect("the goal is still locked");
    }
}

/// A file or folder below `tests/fixtures`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A worker that misbehaves, from `tests/fakes`, as a command line: `sh PATH`.
#[must_use]
pub fn fake(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fakes").join(name);
    assert!(path.is_file(), "there is no fake {name}");
    format!("sh '{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    crate::binary::repository()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::write(to.join(name), fs::read(&path).unwrap()).unwrap();
        }
    }
}
