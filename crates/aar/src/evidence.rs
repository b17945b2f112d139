//! Whether the evidence that was kept is what a record commits to.
//!
//! The verify output of a task's attempt lies at `EVIDENCE/TASK/attempt-N.verify.log`, other parts of the attempt beside
//! it as `attempt-N.…`. A commitment holds in either of two forms: SHA-256 of the file itself (the driver's profile), or of
//! the RFC 8785 form of `{query, response, observed_at}` with the file's text as `response` (the standard).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use machine_driver_state::id::TaskId;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::dir::Dir;
use crate::reason::{Reason, Step};
use crate::record::Record;
use crate::report::{Finding, Outcome};
use crate::structure;
use crate::text::brief;

/// The largest file that is hashed: a verify whose output is larger counts as unavailable, so there is no such evidence.
const FILE_MAX: u64 = 1 << 30;

/// The most names that are looked at in a task's folder.
const NAMES_MAX: usize = 100_000;

const VERIFY: &str = "verify.log";

/// What was found about the evidence: one line for each commitment. Texts may be foreign.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvidenceReport {
    /// A finding of [`Step::Evidence`] for each commitment, in the record's order.
    pub findings: Vec<Finding>,
}

impl EvidenceReport {
    /// Whether every commitment was found and holds. A record without commitments holds by itself.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| matches!(finding.outcome, Outcome::Pass | Outcome::Note))
    }

    fn of(failure: Finding) -> Self {
        Self {
            findings: vec![failure],
        }
    }
}

/// Recomputes what a record commits to from the evidence below `evidence_dir`: every entry of `checks`, and
/// `evidence.patch_sha256`.
///
/// The first entry of `checks` must be the verify output. A further one, about a rule, may be any of the attempt's files,
/// or its own excerpt where that is the whole answer. The attempt is `evidence.worker.attempts`; where a record does not
/// say it, any attempt's file will do.
///
/// The record may be a stranger's: nothing outside `evidence_dir` is looked at whatever its task is called, no link is
/// followed, only plain files are opened, and at most 1 GiB of each is read.
#[must_use]
pub fn check_evidence(record: &Record, evidence_dir: &Path) -> EvidenceReport {
    let name = record.task_id().unwrap_or_default();
    let Ok(task) = TaskId::new(name) else {
        let text = format!("`{}` is no task id, so no folder is looked at", brief(name));
        return EvidenceReport::of(fail(Reason::EvidenceTaskId, text));
    };
    if commits_to_nothing(record) {
        return EvidenceReport { findings: Vec::new() };
    }
    let files = match Files::open(evidence_dir, &task, attempt(record)) {
        Ok(files) => files,
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let reason = if missing {
                Reason::EvidenceMissing
            } else {
                Reason::EvidenceUnreadable
            };
            return EvidenceReport::of(fail(reason, format!("could not look into {task}/: {error}")));
        }
    };
    let checks = record.at(&["checks"]).and_then(Value::as_array);
    let checks = checks.into_iter().flatten().filter_map(Value::as_object);
    let mut findings: Vec<Finding> = checks
        .enumerate()
        .map(|(index, entry)| files.check(index, entry))
        .collect();
    let patch = record.text(&["evidence", "patch_sha256"]);
    findings.extend(patch.map(|patch| files.check_patch(patch)));
    EvidenceReport { findings }
}

/// As about a task that was given up before anything was asked.
fn commits_to_nothing(record: &Record) -> bool {
    let checks = record.at(&["checks"]).and_then(Value::as_array);
    checks.is_none_or(Vec::is_empty) && record.at(&["evidence", "patch_sha256"]).is_none()
}

fn attempt(record: &Record) -> Option<u64> {
    record.at(&["evidence", "worker", "attempts"])?.as_u64()
}

fn fail(reason: Reason, text: String) -> Finding {
    Finding::fail(Step::Evidence, reason, text)
}

/// The files of a task, or of one of its attempts.
struct Files {
    folder: Dir,
    names: Vec<String>,
}

impl Files {
    fn open(evidence: &Path, task: &TaskId, attempt: Option<u64>) -> io::Result<Self> {
        let folder = Dir::open(evidence)?.folder(OsStr::new(task.as_str()))?;
        let names = folder.names(NAMES_MAX)?;
        let wanted = |name: &String| {
            let number = name
                .strip_prefix("attempt-")
                .and_then(|rest| rest.split_once('.'))
                .map(|(number, _)| number);
            match attempt {
                Some(attempt) => number == Some(&attempt.to_string()),
                None => number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())),
            }
        };
        let names = names.into_iter().map(OsString::into_string);
        let names = names.filter_map(Result::ok).filter(wanted).collect();
        Ok(Self { folder, names })
    }

    fn ending(&self, end: &str) -> Vec<&str> {
        let names = self.names.iter().map(String::as_str);
        names
            .filter(|name| name.split_once('.').is_some_and(|(_, rest)| rest == end))
            .collect()
    }

    fn check(&self, index: usize, entry: &Map<String, Value>) -> Finding {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let what = format!("checks[{index}]");
        let Some(expected) = structure::commitment(text("response_sha256")) else {
            return fail(Reason::EvidenceMismatch, format!("{what} has no SHA-256"));
        };
        let question = Question {
            query: text("query"),
            observed_at: text("observed_at"),
        };
        let mut candidates = self.ending(VERIFY);
        if index > 0 {
            if commits_to(text("excerpt"), question, &expected) {
                return pass(format!("{what} is its own excerpt"));
            }
            candidates = self.names.iter().map(String::as_str).collect();
        }
        self.find(&what, &candidates, &expected, Some(question))
    }

    fn check_patch(&self, text: &str) -> Finding {
        let what = "evidence.patch_sha256";
        match structure::commitment(text) {
            Some(expected) => self.find(what, &self.ending("patch"), &expected, None),
            None => fail(Reason::EvidenceMismatch, format!("{what} is no SHA-256")),
        }
    }

    /// The first of the candidates that is what was committed to.
    fn find(
        &self,
        what: &str,
        candidates: &[&str],
        expected: &[u8; 32],
        question: Option<Question<'_>>,
    ) -> Finding {
        let (mut other, mut unreadable) = (None, None);
        for &name in candidates {
            match self.matches(name, expected, question) {
                Ok(Some(form)) => return pass(format!("{what} is {name}{form}")),
                Ok(None) => other = other.or(Some(name)),
                Err(error) => unreadable = unreadable.or(Some(format!("{name}: {error}"))),
            }
        }
        match (other, unreadable) {
            (Some(name), _) => fail(
                Reason::EvidenceMismatch,
                format!("{what} is not what is kept as {name}"),
            ),
            (None, Some(error)) => fail(Reason::EvidenceUnreadable, format!("{what}: {error}")),
            (None, None) => fail(Reason::EvidenceMissing, format!("{what} is not kept here")),
        }
    }

    /// In which form the file is what was committed to, if it is.
    fn matches(
        &self,
        name: &str,
        expected: &[u8; 32],
        question: Option<Question<'_>>,
    ) -> io::Result<Option<&'static str>> {
        let open = || self.folder.file(OsStr::new(name));
        let mut plain = Sha256::new();
        copy(&open()?, |bytes| {
            plain.update(bytes);
            Ok(())
        })?;
        if plain.finalize().as_slice() == expected {
            return Ok(Some(""));
        }
        let Some(question) = question else {
            return Ok(None);
        };
        let mut preimage = Preimage::new(question);
        match copy(&open()?, |bytes| preimage.add(bytes)) {
            // The file is no text, so it is no `response`.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            done => done?,
        }
        let form = " (as `{query, response, observed_at}`)";
        Ok((preimage.finish().as_ref() == Some(expected)).then_some(form))
    }
}

fn pass(text: String) -> Finding {
    Finding::pass(Step::Evidence, text)
}

fn copy(mut file: &File, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        total += count as u64;
        if total > FILE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than 1 GiB",
            ));
        }
        if count == 0 {
            return Ok(());
        }
        sink(buffer.get(..count).unwrap_or_default())?;
    }
}

/// What a response answers.
#[derive(Clone, Copy)]
struct Question<'a> {
    query: &'a str,
    observed_at: &'a str,
}

fn commits_to(response: &str, question: Question<'_>, expected: &[u8; 32]) -> bool {
    let mut preimage = Preimage::new(question);
    let standard = preimage
        .add(response.as_bytes())
        .ok()
        .and_then(|()| preimage.finish());
    Sha256::digest(response).as_slice() == expected || standard.as_ref() == Some(expected)
}

/// SHA-256 of the RFC 8785 form of `{query, response, observed_at}`, whose keys sort so that the response comes last: it
/// need not be in memory as a whole.
struct Preimage {
    hash: Sha256,
    /// The start of a character whose rest is still to come.
    held: Vec<u8>,
}

impl Preimage {
    fn new(question: Question<'_>) -> Self {
        let mut hash = Sha256::new();
        for (before, text) in [
            ("{\"observed_at\":\"", question.observed_at),
            ("\",\"query\":\"", question.query),
            ("\",\"response\":\"", ""),
        ] {
            hash.update(before);
            escape(text, &mut hash);
        }
        let held = Vec::new();
        Self { hash, held }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        let whole = match str::from_utf8(&self.held) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        };
        let rest = self.held.split_off(whole);
        escape(str::from_utf8(&self.held).unwrap_or_default(), &mut self.hash);
        self.held = rest;
        Ok(())
    }

    /// None where the response ends within a character.
    fn finish(mut self) -> Option<[u8; 32]> {
        self.hash.update("\"}");
        self.held.is_empty().then(|| self.hash.finalize().into())
    }
}

/// The inside of a JSON string: serde_json escapes as RFC 8785 §3.2.2.2 asks for.
fn escape(text: &str, hash: &mut Sha256) {
    let quoted = Value::from(text).to_string();
    let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    hash.update(inside.unwrap_or_default());
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
