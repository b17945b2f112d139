//! The driver's side of a run, in a process of its own: open, let the worker do its worst, read, commit, and tell.

use std::fs;
use std::path::Path;

use crate::committer::Handle;
use crate::entry::Stage;
use crate::sandbox::{EDIT, Sandbox};
use crate::snapshot::{Snapshot, copy_tree};

/// What came of a run, one line for each.
#[derive(Debug, Default)]
pub(crate) struct Outcome(Vec<(String, String)>);

impl Outcome {
    fn tell(&mut self, what: &str, said: impl Into<String>) {
        self.0.push((what.to_owned(), said.into()));
    }

    /// Reads what [`Outcome::save`] wrote.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut fields = text.split('\0').map(str::to_owned);
        let mut told = Self::default();
        while let (Some(what), Some(said)) = (fields.next(), fields.next()) {
            told.0.push((what, said));
        }
        Some(told)
    }

    fn save(&self, path: &Path) {
        let text: Vec<String> = self
            .0
            .iter()
            .map(|(what, said)| format!("{what}\0{said}\0"))
            .collect();
        fs::write(path, text.concat()).unwrap();
    }

    /// What was told about this, if anything.
    pub(crate) fn get(&self, what: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == what)
            .map(|(_, said)| said.as_str())
    }
}

/// Does one run in the sandbox at `root`.
pub(crate) fn act(root: &Path, stage: Stage) {
    let sandbox = Sandbox::at(root);
    let plant = fs::read_to_string(root.join("plant")).unwrap();
    let mut told = Outcome::default();
    if let Err(why) = steps(&sandbox, stage, &plant, &mut told) {
        told.tell("error", why);
    }
    told.save(&root.join("outcome"));
}

fn steps(sandbox: &Sandbox, stage: Stage, plant: &str, told: &mut Outcome) -> Result<(), String> {
    if stage == Stage::Open {
        sandbox.worker(EDIT);
        sandbox.worker(plant);
    }
    let mut lay = Lay::of(sandbox);
    let handle = Handle::open(sandbox)?;
    told.tell("changed by open", lay.changed(sandbox).join(" "));
    if stage != Stage::Open {
        sandbox.worker(EDIT);
    }
    if stage == Stage::Read {
        sandbox.worker(plant);
    }
    if let Err(why) = copy_tree(&sandbox.repo(), &sandbox.root.join("seen")) {
        told.tell("unreadable", why.to_string());
    }
    lay = Lay::of(sandbox);
    let read = handle.read();
    told.tell("changed by reading", lay.changed(sandbox).join(" "));
    let seen = read?;
    for (what, said) in [
        ("reference", &seen.reference),
        ("parent", &seen.parent),
        ("tree", &seen.tree),
    ] {
        told.tell(what, said);
    }
    told.tell("paths", seen.paths.to_string());
    if stage == Stage::Commit {
        sandbox.worker(plant);
    }
    lay = Lay::of(sandbox);
    let made = commit(&handle, &seen);
    told.tell("changed by committing", lay.changed(sandbox).join(" "));
    told.tell("message", handle.message(&seen));
    told.tell("commit", made?);
    if let Ok(again) = handle.made(&seen) {
        told.tell("made", again.unwrap_or_default());
    }
    Ok(())
}

/// As a driver does it: looks first whether an earlier one did it already.
fn commit(handle: &Handle, seen: &crate::committer::Seen) -> Result<String, String> {
    match handle.made(seen)? {
        Some(id) => Ok(id),
        None => handle.commit(seen),
    }
}

/// Everything outside of what a commit may touch.
struct Lay {
    outside: Snapshot,
    tree: Snapshot,
    git: Snapshot,
}

impl Lay {
    fn of(sandbox: &Sandbox) -> Self {
        Self {
            outside: Snapshot::of(&sandbox.root.join("out"), &[]),
            tree: Snapshot::of(&sandbox.repo(), &[".git"]),
            git: Snapshot::of(&sandbox.repo().join(".git"), &["objects", "logs", "index"]),
        }
    }

    fn changed(&self, sandbox: &Sandbox) -> Vec<String> {
        let now = Self::of(sandbox);
        let named = |place: &str, paths: Vec<String>| {
            paths
                .into_iter()
                .map(move |path| format!("{place}:{path}"))
                .collect::<Vec<_>>()
        };
        let mut all = named("out", self.outside.differs(&now.outside));
        all.extend(named("tree", self.tree.differs(&now.tree)));
        all.extend(named("git", self.git.differs(&now.git)));
        all
    }
}
