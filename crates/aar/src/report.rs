//! What a verification found.

use std::borrow::Cow;

use machine_driver_state::id::Digest;
use serde::{Serialize, Serializer};

use crate::reason::{Level, Reason, Step};
use crate::record::Record;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It was not made: something before it failed, or there was nothing to check it against.
    NotReached,
    /// It holds, and a reader should know something about it.
    Note,
}

impl Outcome {
    /// The word for it, which never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotReached => "not-reached",
            Self::Note => "note",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One line of a report. `text` may hold foreign text: escape it before printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked.
    pub step: Step,
    /// The level that needs it.
    pub level: Level,
    /// What came of it.
    pub outcome: Outcome,
    /// The word for why it failed, or for the note. None for what passed or was not reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Reason>,
    /// The same in words.
    pub text: Cow<'static, str>,
}

impl Finding {
    pub(crate) fn new(
        step: Step,
        outcome: Outcome,
        code: Option<Reason>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            step,
            level: step.level(),
            outcome,
            code,
            text: text.into(),
        }
    }

    pub(crate) fn pass(step: Step, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, Outcome::Pass, None, text)
    }

    pub(crate) fn note(step: Step, code: Reason, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, Outcome::Note, Some(code), text)
    }

    pub(crate) fn fail(step: Step, code: Reason, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, Outcome::Fail, Some(code), text)
    }
}

/// What was found about one record: a line per step, in the order of [`Step`], and the level that follows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The highest level whose steps all hold; none where L0 fails.
    pub level: Option<Level>,
    /// Every step, the notes behind the step that they belong to.
    pub findings: Vec<Finding>,
    /// The record's digest, which the next record's `prior` names; none where it could not be read.
    pub digest: Option<Digest>,
    /// The record; none where it could not be read.
    pub record: Option<Record>,
}

impl Report {
    /// The first step that failed: what is wrong.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|finding| finding.outcome == Outcome::Fail)
    }

    /// Why the level is not higher: the first finding above it that is not a pass. None at L3.
    #[must_use]
    pub fn why_not_higher(&self) -> Option<&Finding> {
        let blocks = |finding: &&Finding| {
            matches!(finding.outcome, Outcome::Fail | Outcome::NotReached)
                && self.level.is_none_or(|level| finding.level > level)
        };
        self.findings.iter().find(blocks)
    }

    /// Whether the record reaches `level`.
    #[must_use]
    pub fn reaches(&self, level: Level) -> bool {
        self.level >= Some(level)
    }

    /// `L2`, or `FAIL`.
    #[must_use]
    pub const fn conformance(&self) -> &'static str {
        match self.level {
            None => "FAIL",
            Some(Level::L0) => "L0",
            Some(Level::L1) => "L1",
            Some(Level::L2) => "L2",
            Some(Level::L3) => "L3",
        }
    }

    /// The finding about a step.
    #[must_use]
    pub fn finding(&self, step: Step) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|finding| finding.step == step && finding.outcome != Outcome::Note)
    }

    /// Says that the record's place in the chain holds: L3 for what is at L2.
    pub(crate) fn pass_chain(&mut self, text: String) {
        if self.level == Some(Level::L2) {
            self.replace_chain(Finding::pass(Step::Chain, text));
            self.level = Some(Level::L3);
        }
    }

    /// Says what is wrong with the record's place in the chain: no more than L2.
    pub(crate) fn fail_chain(&mut self, failure: Finding) {
        self.replace_chain(failure);
        self.level = self.level.min(Some(Level::L2));
    }

    fn replace_chain(&mut self, chain: Finding) {
        self.findings
            .retain(|finding| finding.step != Step::Chain || finding.outcome == Outcome::Note);
        self.findings.push(chain);
    }
}
