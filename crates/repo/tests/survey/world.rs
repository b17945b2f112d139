//! A folder with a repository of every sort of file, and workers that run in it as scripts.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use machine_driver_governor::audit::{self, Findings, Rules};
use machine_driver_governor::{CommitError, Surveyor};
use machine_driver_repo::{FolderSurveyor, SurveySettings};
use machine_driver_state::control::Control;
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::Goal;
use machine_driver_state::goal::file::{GoalFile, Place};
use machine_driver_state::survey::{Difference, Survey};
use tempfile::TempDir;

/// Nobody's name is in any configuration: commits take it from the worker's environment.
const HISTORY: &str = r#"
git init -q --template= -b main .
mkdir -p src tests/data
echo lib > src/lib.rs; echo util > src/util.rs; echo README > README.md; echo '#!/bin/sh' > tool.sh
echo test > tests/test_a.py; echo data > tests/data/x.txt; echo star > 'tests/[ab]*.txt'; echo plain > tests/a1.txt
ln -s README.md link; echo tracked > tracked.log; printf '*.log\nbuild/\nvendor/\n' > .gitignore
mkdir build vendor; echo cache > build/cache; echo notes > notes.log
git init -q --template= -b main vendor/lib; echo code > vendor/lib/code.c
git -C vendor/lib add -A; git -C vendor/lib commit -qm vendored
git add -A; git add -f tracked.log; git commit -qm one
git clone -q --template= vendor/lib "$OUT/lib"; git -c protocol.file.allow=always submodule --quiet add "$OUT/lib" sub
git commit -qm two
"#;

/// What all worlds are copies of.
#[derive(Debug)]
pub(crate) struct Template {
    folder: Arc<TempDir>,
}

impl Template {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("machine-driver-survey-").unwrap();
        let root = folder.path().canonicalize().unwrap().join("template");
        make_folders(&root);
        let output = script(&root, HISTORY);
        assert!(output.status.success(), "{output:?}");
        Self {
            folder: Arc::new(folder),
        }
    }

    pub(crate) fn world(&self) -> World {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let root = folder.path().canonicalize().unwrap().join("w");
        let template = self.folder.path().join("template");
        let copied = Command::new("cp").arg("-a").arg(template).arg(&root).status();
        assert!(copied.unwrap().success());
        World {
            root,
            _folders: Some((folder, Arc::clone(&self.folder))),
        }
    }

    /// One whose folder is in no repository.
    pub(crate) fn plain(&self) -> World {
        let world = self.world();
        world.does("rm -rf .git sub/.git .gitmodules");
        world
    }
}

fn make_folders(root: &Path) {
    for name in ["repo", "out", "home", "driver"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
}

/// Runs a script as a worker would.
fn script(root: &Path, text: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-ec", text])
        .current_dir(root.join("repo"))
        .env_clear();
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", root.join("home"))
        .env("OUT", root.join("out"))
        .env("KEPT", root.join("driver/kept"))
        .env("LC_ALL", "C.UTF-8");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Worker")
            .env(format!("GIT_{who}_EMAIL"), "w@x.invalid");
    }
    command.stdin(Stdio::null()).output().unwrap()
}

/// One copy.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    /// Its own folder, in the template's.
    _folders: Option<(TempDir, Arc<TempDir>)>,
}

impl World {
    /// The world around this folder, which another process made.
    pub(crate) fn at(repo: &Path) -> Self {
        Self {
            root: repo.parent().unwrap().to_owned(),
            _folders: None,
        }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.repo().join(name.as_ref())
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.root.join("driver/kept")
    }

    pub(crate) fn settings(&self) -> SurveySettings {
        SurveySettings {
            repo: self.repo(),
            kept: self.kept(),
            ..SurveySettings::default()
        }
    }

    pub(crate) fn surveyor(&self) -> FolderSurveyor {
        FolderSurveyor::open(&self.settings()).unwrap()
    }

    pub(crate) fn try_to(&self, text: &str) -> Output {
        script(&self.root, text)
    }

    /// What the script says, which has to succeed.
    #[track_caller]
    pub(crate) fn does(&self, text: &str) -> String {
        let output = self.try_to(text);
        assert!(output.status.success(), "{text}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

/// Globs from texts.
pub(crate) fn globs(texts: &[&str]) -> Vec<PathGlob> {
    texts.iter().map(|text| PathGlob::new(text).unwrap()).collect()
}

/// A goal with these rules in its contract, read as every goal is.
pub(crate) fn goal(scope: Option<&[&str]>, immutable: &[&str]) -> Goal {
    let list = |globs: &[&str], prefix: &str| {
        let texts: Vec<String> = globs
            .iter()
            .map(|glob| format!("{:?}", format!("{prefix}{glob}")))
            .collect();
        texts.join(", ")
    };
    let scope = scope.map_or_else(String::new, |globs| format!("\"scope\": [{}], ", list(globs, "")));
    let text = format!(
        "{{\"repo\": \"/r\", \"worker_cmd\": \"w\", \"tasks\": [{{\"id\": \"a\", \"goal\": \"x\"}}], \
         \"contract\": {{{scope}\"immutable\": [{}]}}}}",
        list(immutable, "path:")
    );
    let place = Place::unseen("goal.json".into(), "/goals".into(), None);
    GoalFile::parse(text.as_bytes(), &place)
        .unwrap_or_else(|error| panic!("{error}: {text}"))
        .goal()
        .clone()
}

/// The audit of what happened since `before`, as the driver asks for it.
pub(crate) fn audit_since(
    surveyor: &FolderSurveyor,
    goal: &Goal,
    before: &Survey,
) -> Result<(Findings, Vec<Difference>), CommitError> {
    let now = surveyor.survey(&audit::protected(goal), &Control::new())?;
    let differences = surveyor.compare(before, &now)?;
    let findings = Rules::of(goal, 0).ask(&now, &differences, &differences);
    Ok((findings, differences))
}
