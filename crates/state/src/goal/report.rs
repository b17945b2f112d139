//! What a reader found wrong, and what it proposes instead.

use super::keys::{self, Level};
use super::text::Step;

/// The problems that are kept; a file of 100,000 bad tasks is told by its first ones.
const KEPT: usize = 20;

/// One thing wrong, by the way to it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) steps: Vec<Step>,
    /// Whether the key is to be pointed at, not its value.
    pub(super) on_key: bool,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    uncounted: usize,
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether another problem would only be counted, so that it need not be put into words.
    pub(super) fn is_full(&self) -> bool {
        self.findings.len() >= KEPT
    }

    pub(super) fn uncounted(&self) -> usize {
        self.uncounted
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn add(&mut self, finding: impl FnOnce() -> Finding) {
        if self.is_full() {
            self.uncounted += 1;
        } else {
            self.findings.push(finding());
        }
    }
}

/// Message and help for what is asked of a feature that this version does not have.
pub(super) fn later(feature: &str) -> (String, Option<String>) {
    let help = "remove it: a rule that is not enforced must not look as if it were";
    (
        format!("this version does not have {feature}; a later one will"),
        Some(help.to_owned()),
    )
}

/// What to write instead of a key that an object of this kind does not have.
pub(super) fn unknown_key(name: &str, level: &Level) -> String {
    if let Some(home) = keys::LEVELS
        .iter()
        .find(|other| other.settings().any(|key| key == name))
    {
        return format!("it is a key of {}", home.name);
    }
    match nearest(name, level.settings()) {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("its keys are {}", level.settings().collect::<Vec<_>>().join(", ")),
    }
}

/// The word most like `text`, where one is like it at all.
pub(super) fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| {
        word.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let asked = plain(text.get(..64).unwrap_or(text));
    let ranked = words.map(|word| (strsim::jaro_winkler(&asked, &plain(word)), word));
    let best = ranked.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= 0.78)
        .map(|(_, word)| word)
}
