//! The audit of a change: whether what differs is what a worker may change. Asked before every verify, and again at the gate.

use std::fmt::{Debug, Write as _};

use machine_driver_state::canonical::{digest_of, sha256};
use machine_driver_state::control::Control;
use machine_driver_state::event::{Audited, OutputDigest, RuleFound};
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::Goal;
use machine_driver_state::id::Digest;
use machine_driver_state::survey::{Difference, How, Place, Survey};

use crate::CommitError;

/// Sees how a tree stands, and how that differs from before.
pub trait Surveyor: Debug + Send + Sync {
    /// Sees how the tree stands now, durably: [`Surveyor::compare`] can tell of it after a crash, by another surveyor of the same
    /// folder, and whatever was done to the tree since. The files that one of `protected` fits are seen also where git ignores them or
    /// another repository holds them. Runs nothing that the tree names, and opens nothing that could keep it waiting.
    ///
    /// # Errors
    /// [`CommitError::Refused`] where the tree is in a state that cannot be seen, by name: the worker's to put right.
    /// [`CommitError::Cancelled`] where `control` says so; another [`CommitError`] where looking failed.
    fn survey(&self, protected: &[PathGlob], control: &Control<'_>) -> Result<Survey, CommitError>;

    /// What differs between two surveys, in order of paths and then of places; each path once for each place. A file that became
    /// a link is changed, one that was renamed is deleted and added. Protected files are compared as far as those go that `after`
    /// was asked about.
    ///
    /// # Errors
    /// [`CommitError`] where one of them cannot be told any more, because what was kept of it is gone or was changed, or where
    /// `before` did not see something that `after` did: files behind a rule that is new since, or a repository.
    fn compare(&self, before: &Survey, after: &Survey) -> Result<Vec<Difference>, CommitError>;
}

/// Paths that are named in what a worker is told; the others are counted.
const NAMED_MAX: usize = 50;

/// The rules about paths that hold for one task.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'g> {
    contract_scope: Option<&'g [PathGlob]>,
    task_scope: Option<&'g [PathGlob]>,
    contract_immutable: &'g [PathGlob],
    task_immutable: &'g [PathGlob],
}

/// What the rules say about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What the rules about what may be changed say, where there are some.
    pub scope: Option<Finding>,
    /// What the rules about what may not be changed say, where there are some.
    pub immutable: Option<Finding>,
    /// How many paths differ.
    pub paths: u64,
    rules: Digest,
}

/// What one rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it holds.
    pub holds: bool,
    /// In words: what is kept as evidence, and what the next worker is told.
    pub text: String,
}

impl<'g> Rules<'g> {
    /// The rules for the task with this place in `goal`.
    #[must_use]
    pub fn of(goal: &'g Goal, index: usize) -> Self {
        let task = goal.tasks.get(index);
        Self {
            task_scope: task.and_then(|task| task.scope.as_deref()),
            task_immutable: task.map_or(&[], |task| task.immutable.as_slice()),
            ..Self::of_contract(goal)
        }
    }

    /// The rules of the contract alone.
    #[must_use]
    pub fn of_contract(goal: &'g Goal) -> Self {
        let contract = goal.contract.as_ref();
        Self {
            contract_scope: contract.and_then(|contract| contract.scope.as_deref()),
            task_scope: None,
            contract_immutable: contract.map_or(&[], |contract| contract.immutable.as_slice()),
            task_immutable: &[],
        }
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.limit_scope() && !self.protect()
    }

    const fn limit_scope(&self) -> bool {
        self.contract_scope.is_some() || self.task_scope.is_some()
    }

    const fn protect(&self) -> bool {
        !self.contract_immutable.is_empty() || !self.task_immutable.is_empty()
    }

    /// Tells these rules from others.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let texts = |globs: &[PathGlob]| {
            globs
                .iter()
                .map(|glob| glob.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        let written = (
            self.contract_scope.map(texts),
            self.task_scope.map(texts),
            texts(self.contract_immutable),
            texts(self.task_immutable),
        );
        // Texts and lists of them always have a canonical form.
        digest_of(&written).unwrap_or_else(|error| sha256(error.to_string().as_bytes()))
    }

    /// What they say of the tree as it was seen `now`, which differs so from how it stood before any worker (`since_start`), and
    /// before this task (`since_task`).
    #[must_use]
    pub fn ask(&self, now: &Survey, since_start: &[Difference], since_task: &[Difference]) -> Findings {
        // Of ignored files only those that are protected are seen, so what they are is not for a scope to say. A plain folder has
        // nothing but files.
        let counts = |difference: &&Difference| now.tree.is_none() || difference.place != Place::Files;
        let within = |all: &[Difference]| all.iter().filter(counts).cloned().collect::<Vec<_>>();
        Findings {
            scope: self
                .limit_scope()
                .then(|| self.ask_scope(&within(since_start), &within(since_task))),
            immutable: self
                .protect()
                .then(|| self.ask_immutable(since_start, since_task)),
            paths: paths(since_task).len() as u64,
            rules: self.digest(),
        }
    }

    /// What they say of a tree that cannot be seen any more, though it could when the run began: nobody knows that they hold.
    #[must_use]
    pub fn unseen(&self, why: &str) -> Findings {
        let finding = |rule: &str| Finding {
            holds: false,
            text: format!("{rule}: what was changed cannot be seen: {why}\n"),
        };
        Findings {
            scope: self.limit_scope().then(|| finding("scope")),
            immutable: self.protect().then(|| finding("immutable")),
            paths: 0,
            rules: self.digest(),
        }
    }

    fn ask_scope(&self, since_start: &[Difference], since_task: &[Difference]) -> Finding {
        let is_outside = |scope: Option<&[PathGlob]>, difference: &Difference| {
            scope.is_some_and(|globs| !globs.iter().any(|glob| glob.fits(&difference.path)))
        };
        let outside: Vec<&Difference> = since_start
            .iter()
            .filter(|difference| is_outside(self.contract_scope, difference))
            .chain(
                since_task
                    .iter()
                    .filter(|difference| is_outside(self.task_scope, difference)),
            )
            .collect();
        let allowed = [self.contract_scope, self.task_scope];
        let allowed: Vec<String> = allowed.into_iter().flatten().map(listed).collect();
        finding(
            &outside,
            "scope",
            &format!(
                "only these paths may be changed: {}",
                allowed.join(", and of those ")
            ),
            ["nothing else was", "other path was", "other paths were"],
        )
    }

    fn ask_immutable(&self, since_start: &[Difference], since_task: &[Difference]) -> Finding {
        let fits = |globs: &[PathGlob], difference: &Difference| {
            globs.iter().any(|glob| glob.fits(&difference.path))
        };
        let touched: Vec<&Difference> = since_start
            .iter()
            .filter(|difference| fits(self.contract_immutable, difference))
            .chain(
                since_task
                    .iter()
                    .filter(|difference| fits(self.task_immutable, difference)),
            )
            .collect();
        let all: Vec<PathGlob> = self
            .contract_immutable
            .iter()
            .chain(self.task_immutable)
            .cloned()
            .collect();
        finding(
            &touched,
            "immutable",
            &format!(
                "these paths may not be changed, added or deleted: {}",
                listed(&all)
            ),
            ["none of them was", "of them was", "of them were"],
        )
    }
}

impl Findings {
    /// Whether all rules hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.scope
            .iter()
            .chain(&self.immutable)
            .all(|finding| finding.holds)
    }

    /// What is told to the next worker: the rules that do not hold, with the paths.
    #[must_use]
    pub fn feedback(&self) -> String {
        let broken = self
            .scope
            .iter()
            .chain(&self.immutable)
            .filter(|finding| !finding.holds);
        let texts: Vec<&str> = broken.map(|finding| finding.text.as_str()).collect();
        texts.join("\n")
    }

    /// In a few words: `the change breaks scope and immutable`.
    #[must_use]
    pub fn reason(&self) -> String {
        let broken = |finding: &Option<Finding>| finding.as_ref().is_some_and(|finding| !finding.holds);
        let names = match (broken(&self.scope), broken(&self.immutable)) {
            (true, true) => "scope and immutable",
            (true, false) => "scope",
            _ => "immutable",
        };
        format!("the change breaks {names}")
    }

    /// The record of it.
    #[must_use]
    pub fn record(&self, survey: Survey) -> Audited {
        let found = |finding: &Finding| RuleFound {
            holds: finding.holds,
            output: OutputDigest::of(finding.text.as_bytes()),
        };
        Audited {
            rules: self.rules,
            survey,
            paths: self.paths,
            scope: self.scope.as_ref().map(found),
            immutable: self.immutable.as_ref().map(found),
        }
    }
}

/// Every glob behind `path:` in the goal: what a survey has to see besides what git would commit.
#[must_use]
pub fn protected(goal: &Goal) -> Vec<PathGlob> {
    let contract = goal.contract.iter().flat_map(|contract| &contract.immutable);
    let tasks = goal.tasks.iter().flat_map(|task| &task.immutable);
    let mut all: Vec<PathGlob> = Vec::new();
    for glob in contract.chain(tasks) {
        if !all.contains(glob) {
            all.push(glob.clone());
        }
    }
    all
}

/// Whether any rule about paths is in the goal.
#[must_use]
pub fn has_rules(goal: &Goal) -> bool {
    (0..goal.tasks.len()).any(|index| !Rules::of(goal, index).is_empty())
}

/// Each path once.
fn paths(differences: &[Difference]) -> std::collections::BTreeSet<&std::path::Path> {
    differences
        .iter()
        .map(|difference| difference.path.as_path())
        .collect()
}

fn finding(broken: &[&Difference], rule: &str, says: &str, [none, one, more]: [&str; 3]) -> Finding {
    let mut seen = std::collections::BTreeMap::new();
    for difference in broken {
        seen.entry(difference.path.as_path()).or_insert(*difference);
    }
    let mut text = format!("{rule}: {says}\n");
    // Writing to a text does not fail.
    let _ = match seen.len() {
        0 => writeln!(text, "{none} changed"),
        1 => writeln!(text, "1 {one} changed; put it back as it was:"),
        count => writeln!(text, "{count} {more} changed; put them back as they were:"),
    };
    for difference in seen.values().take(NAMED_MAX) {
        let _ = writeln!(text, "  {} {}", word(difference), shown(difference));
    }
    if let Some(more) = seen.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
    Finding {
        holds: seen.is_empty(),
        text,
    }
}

const fn word(difference: &Difference) -> &'static str {
    match (difference.how, difference.place) {
        (How::Added, Place::Index) => "staged, added",
        (How::Deleted, Place::Index) => "staged, deleted",
        (_, Place::Index) => "staged, changed",
        (How::Added, _) => "added",
        (How::Changed, _) => "changed",
        (How::Mode, _) => "mode changed",
        (How::Deleted, _) => "deleted",
    }
}

/// A path as text: what could end a line, steer a terminal, or look like another path is escaped.
fn shown(difference: &Difference) -> String {
    difference
        .path
        .to_string_lossy()
        .chars()
        .flat_map(char_shown)
        .collect()
}

fn char_shown(c: char) -> Vec<char> {
    if c.is_control() || c == '\\' || is_invisible(c) {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}

/// Marks that reorder or hide text (Unicode Bidi_Control, zero width), and breaks of lines and paragraphs.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn listed(globs: &[PathGlob]) -> String {
    if globs.is_empty() {
        return "none".into();
    }
    let texts: Vec<&str> = globs.iter().map(PathGlob::as_str).collect();
    texts.join(" ")
}
