//! Every record of the corpus gets the answer that its manifest expects, from our verifier and from one that shares nothing
//! with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use machine_driver_aar::{CheckOutcome, DidDocument, Level, Reason, Record, Report, Step, Verifier};
use serde_json::Value;

use crate::support::{fixtures, json, node, say};

/// A line of the manifest.
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) documents: Vec<String>,
    pub(crate) level: Option<String>,
    pub(crate) reason: Option<String>,
    why: String,
}

pub(crate) fn cases() -> Vec<Case> {
    let manifest = json(&fixtures().join("manifest.json"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let case = |entry: &Value| Case {
        file: text(&entry["file"]).unwrap(),
        documents: entry["did"].as_array().unwrap().iter().filter_map(text).collect(),
        level: text(&entry["level"]),
        reason: text(&entry["reason"]),
        why: text(&entry["why"]).unwrap(),
    };
    manifest["files"].as_array().unwrap().iter().map(case).collect()
}

pub(crate) fn document(name: &str) -> DidDocument {
    DidDocument::read(&fs::read(fixtures().join(name)).unwrap())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn verifier(documents: &[String]) -> Verifier {
    Verifier::new(documents.iter().map(|name| document(name)).collect())
}

pub(crate) fn check(case: &Case) -> Report {
    verifier(&case.documents).check(&fs::read(fixtures().join(&case.file)).unwrap())
}

fn code(report: &Report) -> Option<&'static str> {
    report
        .why_not_higher()
        .and_then(|finding| finding.code)
        .map(Reason::as_str)
}

#[test]
fn every_record_gets_its_answer() {
    let cases = cases();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let report = check(case);
        let level = report.level.map(|level| level.to_string());
        assert_eq!(
            level,
            case.level,
            "{}: {}: {:?}",
            case.file,
            case.why,
            report.first_failure()
        );
        // A record by itself shows no history: nothing else holds a good one below L3.
        let expected = case.reason.as_deref().or(Some("chain-not-shown"));
        assert_eq!(code(&report), expected, "{}: {}", case.file, case.why);
        *counts.entry(case.file.split('/').next().unwrap()).or_default() += 1;
    }
    let listed: Vec<String> = counts
        .iter()
        .map(|(folder, count)| format!("{folder} {count}"))
        .collect();
    let refused = cases.iter().filter(|case| case.level.is_none()).count();
    say(&format!(
        "aar: {} records as expected, {refused} of them refused ({})",
        cases.len(),
        listed.join(", ")
    ));
}

/// Each reason of a single record that can be had from a file is had from one.
#[test]
fn every_reason_has_a_record() {
    let had: Vec<String> = cases().into_iter().filter_map(|case| case.reason).collect();
    for (reason, step) in machine_driver_aar::REASONS {
        let by_other_means = [
            Reason::TooLarge,       // a file of more than 1 MiB: see below
            Reason::SignerNotNamed, // where documents come from the network
            Reason::SamePrincipal,  // notes
            Reason::VerdictAgainstTruth,
        ];
        let of_sets = matches!(step, Step::Chain | Step::Evidence);
        if !of_sets && !by_other_means.contains(reason) {
            assert!(
                had.iter().any(|had| had == reason.as_str()),
                "no record fails with {reason}"
            );
        }
    }
}

#[test]
fn the_independent_verifier_agrees() {
    let Some(said) = node(
        "verify.mjs",
        &["--list", fixtures().join("manifest.json").to_str().unwrap()],
    ) else {
        return;
    };
    let cases = cases();
    let mut agreed = 0;
    for (case, line) in cases.iter().zip(said.lines()) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let report = check(case);
        let ours = report.level.map(|level| level.to_string());
        let our_reason = if report.level == Some(Level::L2) {
            None
        } else {
            code(&report)
        };
        assert_eq!(answer["file"].as_str(), Some(case.file.as_str()));
        assert_eq!(
            answer["level"].as_str(),
            ours.as_deref(),
            "{}: node {line}",
            case.file
        );
        assert_eq!(
            answer["reason"].as_str(),
            our_reason,
            "{}: node {line}",
            case.file
        );
        agreed += 1;
    }
    assert_eq!(agreed, cases.len());
    say(&format!(
        "aar: a second verifier agrees on {agreed} records, level and reason"
    ));
}

#[test]
fn the_corpus_is_what_its_generator_writes() {
    let folder = tempfile::tempdir().unwrap();
    if node("generate.mjs", &[folder.path().to_str().unwrap()]).is_none() {
        return;
    }
    let mut count = 0;
    same_files(folder.path(), &fixtures(), &mut count);
    assert!(count > 400);
    say(&format!(
        "aar: {count} files of the corpus are what the generator writes"
    ));
}

fn same_files(made: &Path, kept: &Path, count: &mut usize) {
    for entry in fs::read_dir(made).unwrap() {
        let entry = entry.unwrap();
        let other = kept.join(entry.file_name());
        if entry.path().is_dir() {
            same_files(&entry.path(), &other, count);
            assert_eq!(
                fs::read_dir(entry.path()).unwrap().count(),
                fs::read_dir(&other).unwrap().count()
            );
        } else {
            assert_eq!(
                fs::read(entry.path()).unwrap(),
                fs::read(&other).unwrap(),
                "{}",
                other.display()
            );
            *count += 1;
        }
    }
}

#[test]
fn a_record_may_have_a_mebibyte_and_no_byte_more() {
    let text = fs::read_to_string(fixtures().join("good/verified.json")).unwrap();
    let verifier = verifier(&["did/org.json".to_owned()]);
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    assert_eq!(verifier.check(padded(1 << 20).as_bytes()).level, Some(Level::L2));
    let report = verifier.check(padded((1 << 20) + 1).as_bytes());
    assert_eq!((report.level, code(&report)), (None, Some("too-large")));
}

/// What a reader should know without it deciding anything.
#[test]
fn notes_are_made() {
    let verifier = verifier(&["did/org.json".to_owned()]);
    let notes = |name: &str| -> Vec<&str> {
        let report = verifier.check(&fs::read(fixtures().join(name)).unwrap());
        let notes = report
            .findings
            .iter()
            .filter(|finding| finding.outcome == CheckOutcome::Note);
        notes
            .filter_map(|finding| finding.code)
            .map(Reason::as_str)
            .collect()
    };
    assert_eq!(notes("good/verified.json"), ["same-principal"]);
    assert_eq!(
        notes("good/contradicts-itself.json"),
        ["verdict-against-truth", "same-principal"]
    );
    assert_eq!(
        notes("good/contradicts-itself-rejected.json"),
        ["verdict-against-truth", "same-principal"]
    );
    assert_eq!(notes("good/separate-principal.json"), [""; 0]);
}

/// A record keeps what it says through reading and writing, whatever its layout was.
#[test]
fn a_record_written_again_is_the_same_record() {
    let mut count = 0;
    for case in cases().iter().filter(|case| case.level.is_some()) {
        let record = Record::read(&fs::read(fixtures().join(&case.file)).unwrap()).unwrap();
        let again = record.to_json();
        assert_eq!(Record::read(again.as_bytes()).unwrap(), record, "{}", case.file);
        let report = verifier(&case.documents).check(again.as_bytes());
        assert_eq!(
            report.level.map(|level| level.to_string()),
            case.level,
            "{}",
            case.file
        );
        assert_eq!(report.digest, Some(record.digest().unwrap()), "{}", case.file);
        count += 1;
    }
    assert!(count > 60);
    say(&format!("aar: {count} records written again, and the same"));
}
