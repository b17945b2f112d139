//! Whether what came of a run is right, asked of a git that never sees the worker's repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::act::Outcome;
use crate::entry::{Entry, Stage, Wants};
use crate::sandbox::{Sandbox, Template};

/// What came of a run that was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Committed,
    Refused,
}

/// Judges one run.
pub(crate) fn judge(
    entry: &Entry,
    stage: Stage,
    template: &Template,
    sandbox: &Sandbox,
) -> Result<Verdict, String> {
    if let Some(trace) = sandbox.canary() {
        return Err(format!("the planted program ran: {}", trace.trim()));
    }
    let told = Outcome::load(&sandbox.root.join("outcome")).ok_or("the driver ended without a word")?;
    let clean = Clean::new(template, sandbox);
    if told.get("tree").is_some() {
        is_right_change(entry, &told, &clean, sandbox)?;
    }
    for step in ["open", "reading"] {
        let changed = told.get(&format!("changed by {step}")).unwrap_or_default();
        if !changed.is_empty() {
            return Err(format!("{step} changed {changed}"));
        }
    }
    let changed = told.get("changed by committing").unwrap_or_default();
    match told.get("commit") {
        Some(id) => is_right_commit(id, changed, &told, &clean, sandbox, entry, stage),
        None => is_right_refusal(
            entry,
            stage,
            told.get("error").ok_or("neither a commit nor an error")?,
            changed,
        ),
    }
}

fn is_right_change(entry: &Entry, told: &Outcome, clean: &Clean, sandbox: &Sandbox) -> Result<(), String> {
    if let Some(why) = told.get("unreadable") {
        return Err(format!("the tree was read, though a clean reader cannot: {why}"));
    }
    let tree = told.get("tree").unwrap_or_default();
    if told.get("parent") != Some(&sandbox.base) {
        clean.adopt_objects(sandbox); // Another history, which the template does not have.
    }
    let right = clean.trees(told.get("parent").unwrap_or_default(), entry.converts)?;
    if !right.iter().any(|right| right == tree) {
        clean.adopt_objects(sandbox);
        let listing = clean
            .git(&["diff-tree", "-r", "--abbrev", &right[0], tree])
            .unwrap_or_else(|why| why);
        return Err(format!(
            "the tree read is not the one a clean reader sees: {listing}"
        ));
    }
    let base = told
        .get("parent")
        .filter(|parent| !parent.is_empty())
        .unwrap_or(EMPTY_TREE);
    let paths = clean.git(&[
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--name-only",
        base,
        &right[0],
    ])?;
    let count = paths.split('\0').filter(|path| !path.is_empty()).count();
    if !entry.converts && told.get("paths") != Some(&count.to_string()) {
        return Err(format!(
            "{} paths were counted, and there are {count}",
            told.get("paths").unwrap_or_default()
        ));
    }
    Ok(())
}

/// The tree without anything in it (SHA-1).
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn is_right_refusal(entry: &Entry, stage: Stage, why: &str, changed: &str) -> Result<Verdict, String> {
    if !changed.is_empty() {
        return Err(format!("it was refused, and yet it changed {changed}: {why}"));
    }
    if why.is_empty() || why.chars().any(char::is_control) {
        return Err(format!("not a line that a person can read: {why:?}"));
    }
    if entry.wants == Wants::Commit && stage != Stage::Open {
        return Err(format!("it was refused for no good reason: {why}"));
    }
    if stage == Stage::Read && !why.contains(entry.word) {
        return Err(format!("it was refused without a word of {}: {why}", entry.word));
    }
    Ok(Verdict::Refused)
}

fn is_right_commit(
    id: &str,
    changed: &str,
    told: &Outcome,
    clean: &Clean,
    sandbox: &Sandbox,
    entry: &Entry,
    stage: Stage,
) -> Result<Verdict, String> {
    if entry.wants == Wants::Refusal {
        return Err(format!("it was committed, as {id}"));
    }
    clean.adopt_objects(sandbox);
    let raw = clean.git(&["cat-file", "commit", id])?;
    let (head, message) = raw.split_once("\n\n").ok_or("a commit without a message")?;
    let lines: Vec<&str> = head.lines().collect();
    let parent = told.get("parent").unwrap_or_default();
    let mut expected = vec![format!("tree {}", told.get("tree").unwrap_or_default())];
    if !parent.is_empty() {
        expected.push(format!("parent {parent}"));
    }
    let is_person = |line: &&str, what: &str| line.starts_with(&format!("{what} U Ser <u@ser.invalid> "));
    let people = lines.get(expected.len()..).unwrap_or_default();
    let is_user = matches!(people, [author, committer] if is_person(author, "author") && is_person(committer, "committer"));
    if !lines.iter().zip(&expected).all(|(is, should)| is == should) || (!is_user && stage != Stage::Open) {
        return Err(format!("the commit is not the one ordered: {head:?}"));
    }
    if raw.chars().any(|c| c.is_control() && c != '\n') {
        return Err(format!("a terminal would act on the commit: {raw:?}"));
    }
    if Some(message) != told.get("message") {
        return Err(format!("the message is not the one ordered: {message:?}"));
    }
    if told.get("made") != Some(id) {
        return Err(format!(
            "the commit {id} is not found again: {:?}",
            told.get("made")
        ));
    }
    clean.git(&["update-ref", "refs/heads/judged", id])?;
    let fsck = [
        "-c",
        "fsck.gitmodulesName=ignore",
        "-c",
        "fsck.gitmodulesPath=ignore",
        "-c",
        "fsck.gitmodulesUrl=ignore",
    ];
    // What a file says is the worker's; every git refuses to act on such a .gitmodules.
    clean
        .git(&[fsck.as_slice(), &["fsck", "--strict", "--no-dangling"]].concat())
        .map_err(|why| format!("fsck: {why}"))?;
    let reference = sandbox
        .repo()
        .join(".git")
        .join(told.get("reference").unwrap_or_default());
    let at = fs::read_to_string(&reference).map_err(|why| format!("{reference:?}: {why}"))?;
    let allowed = format!("git:{:?}", Path::new(told.get("reference").unwrap_or_default()));
    if at.trim() != id || changed.split(' ').any(|path| !path.is_empty() && path != allowed) {
        return Err(format!(
            "{} is at {}, and this was changed: {changed}",
            reference.display(),
            at.trim()
        ));
    }
    Ok(Verdict::Committed)
}

/// A repository without a worker: what git says about the tree and the objects when nobody plays with it.
struct Clean {
    root: PathBuf,
    seen: PathBuf,
    path: std::ffi::OsString,
}

impl Clean {
    fn new(template: &Template, sandbox: &Sandbox) -> Self {
        let clean = Self {
            root: sandbox.root.join("judge"),
            seen: sandbox.root.join("seen"),
            path: std::env::var_os("PATH").unwrap(),
        };
        fs::create_dir(&clean.root).unwrap();
        fs::create_dir_all(&clean.seen).unwrap();
        clean.git(&["init", "-q", "--template=", "."]).unwrap();
        copy_objects(
            &template.repo.join(".git/objects"),
            &clean.root.join(".git/objects"),
        );
        clean
    }

    /// The trees that the files make: as their attributes have it, and where `converts`, byte for byte.
    fn trees(&self, parent: &str, converts: bool) -> Result<Vec<String>, String> {
        let mut trees = Vec::new();
        for raw in [false, true] {
            if raw && !converts {
                break;
            }
            if raw {
                fs::write(self.root.join(".git/info-attributes"), "").unwrap();
                fs::create_dir_all(self.root.join(".git/info")).unwrap();
                fs::write(
                    self.root.join(".git/info/attributes"),
                    "* -text -ident -working-tree-encoding -filter\n",
                )
                .unwrap();
            }
            let _ = fs::remove_file(self.root.join(".git/index"));
            let work_tree = format!("--work-tree={}", self.seen.display());
            if !parent.is_empty() {
                self.git(&["read-tree", parent])?;
            }
            self.git(&[&work_tree, "add", "-A"])?;
            trees.push(self.git(&["write-tree"])?.trim().to_owned());
        }
        Ok(trees)
    }

    /// Takes over what the driver wrote into the worker's repository; nothing else of it.
    fn adopt_objects(&self, sandbox: &Sandbox) {
        copy_objects(
            &sandbox.repo().join(".git/objects"),
            &self.root.join(".git/objects"),
        );
    }

    fn git(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        command
            .arg(format!("--git-dir={}", self.root.join(".git").display()))
            .args(arguments);
        command
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/nonexistent");
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().map_err(|why| why.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = [output.stderr, output.stdout].concat();
            Err(format!(
                "git {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&said)
            ))
        }
    }
}

/// Loose objects and packs, in place of what is there; nothing that leads elsewhere or lists them.
fn copy_objects(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == "info" || name == "multi-pack-index" {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        let meta = fs::metadata(&source);
        if meta.as_ref().is_ok_and(fs::Metadata::is_dir) {
            fs::create_dir_all(&target).unwrap();
            copy_objects(&source, &target);
        } else if meta.is_ok_and(|meta| meta.is_file()) {
            let _ = fs::remove_file(&target);
            fs::copy(&source, &target).unwrap();
        }
    }
}
