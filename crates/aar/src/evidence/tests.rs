use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machine_driver_state::canonical::{canonical_json, sha256};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::draft::{Check, Evidence, WorkerEvidence};
use crate::testing::{OUTPUT, at, draft, sign};

struct Kept {
    folder: TempDir,
}

impl Kept {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let kept = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir_all(kept.path("evidence/t1")).unwrap();
        for (name, bytes) in files {
            fs::write(kept.path(&format!("evidence/t1/{name}")), bytes).unwrap();
        }
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn check(&self, record: &Record) -> EvidenceReport {
        check_evidence(record, &self.path("evidence"))
    }
}

fn record(attempts: u64, patch: Option<&[u8]>, more: Vec<Check>) -> Record {
    let mut draft = draft("t1");
    draft.checks.extend(more);
    draft.evidence = Some(Evidence {
        patch_sha256: patch.map(sha256),
        worker: Some(WorkerEvidence {
            cmd_sha256: None,
            session: None,
            attempts,
        }),
        ..Evidence::default()
    });
    sign(draft, None).record().clone()
}

fn codes(report: &EvidenceReport) -> Vec<Option<Reason>> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn kept_evidence_holds_and_edited_evidence_does_not() {
    let output = OUTPUT.as_bytes();
    let kept = Kept::new(&[
        ("attempt-1.verify.log", b"1 failed\n"),
        ("attempt-2.verify.log", output),
        ("attempt-2.patch", b"diff"),
        ("attempt-2.worker.log", b"hello"),
    ]);
    let good = record(2, Some(b"diff"), vec![]);
    let report = kept.check(&good);
    assert!(report.holds(), "{report:?}");
    assert_eq!(report.findings.len(), 2);
    assert!(!kept.check(&record(1, None, vec![])).holds());
    let report = kept.check(&record(3, Some(b"diff"), vec![]));
    assert_eq!(codes(&report), [Some(Reason::EvidenceMissing); 2]);
    fs::write(kept.path("evidence/t1/attempt-2.verify.log"), "4 passed\n").unwrap();
    fs::write(kept.path("evidence/t1/attempt-2.patch"), "diff ").unwrap();
    // What is kept under a name that only looks like the attempt's mends nothing.
    for number in ["02", "+2", "2 ", "20"] {
        fs::write(
            kept.path(&format!("evidence/t1/attempt-{number}.verify.log")),
            output,
        )
        .unwrap();
        fs::write(kept.path(&format!("evidence/t1/attempt-{number}.patch")), "diff").unwrap();
    }
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceMismatch); 2]);
}

#[test]
fn both_forms_of_a_commitment_hold() {
    // Long enough that characters fall across the pieces in which a file is read.
    let output = format!(
        "{}\u{1f600}\"\\\u{7}\n\u{2028}{}",
        "x".repeat((64 << 10) - 2),
        "ä".repeat(70_000)
    );
    let kept = Kept::new(&[("attempt-1.verify.log", output.as_bytes())]);
    let preimage = json!({"response": output, "query": "make \"x\"", "observed_at": at(0)});
    let hash = sha256(&canonical_json(&preimage).unwrap());
    let plain = sha256(output.as_bytes());
    let check = |digest: String| {
        let mut record = record(1, None, vec![]);
        let entry = json!({"query": "make \"x\"", "observed_at": at(0), "response_sha256": digest});
        record.fields.insert("checks".into(), json!([entry]));
        kept.check(&record).holds()
    };
    for digest in [hash, plain] {
        assert!(check(digest.to_string()));
        assert!(check(digest.to_string().to_uppercase()));
        assert!(check(URL_SAFE_NO_PAD.encode(digest.as_bytes())));
    }
    assert!(!check(sha256(b"other").to_string()));
    assert!(!check(String::new()));
}

#[test]
fn output_that_is_no_text_has_one_form() {
    let output = b"\xff\xfe\xc3";
    let kept = Kept::new(&[("attempt-1.verify.log", output)]);
    let mut good = record(1, None, vec![]);
    good.fields["checks"][0]["response_sha256"] = json!(sha256(output));
    assert!(kept.check(&good).holds());
    good.fields["checks"][0]["response_sha256"] = json!(sha256(b"x"));
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceMismatch)]);
}

#[test]
fn a_rules_answer_may_be_its_excerpt_or_another_file() {
    let kept = Kept::new(&[
        ("attempt-1.verify.log", OUTPUT.as_bytes()),
        ("attempt-1.scope.log", b"all in scope, at length"),
    ]);
    let rule =
        |answer: &str, excerpt: &str| Check::of("repo", "scope", at(0), sha256(answer.as_bytes()), excerpt);
    let more = vec![
        rule("in scope", "in scope"),
        rule("all in scope, at length", "all"),
    ];
    assert!(kept.check(&record(1, None, more)).holds());
    let report = kept.check(&record(1, None, vec![rule("elsewhere", "x")]));
    assert_eq!(codes(&report), [None, Some(Reason::EvidenceMismatch)]);
}

#[test]
fn a_hostile_task_id_leads_nowhere() {
    let kept = Kept::new(&[]);
    fs::create_dir_all(kept.path("outside")).unwrap();
    fs::write(kept.path("outside/attempt-1.verify.log"), OUTPUT).unwrap();
    let absolute = kept.path("outside").display().to_string();
    for task in [
        "../outside",
        "..",
        ".",
        "",
        "t1/../../outside",
        &absolute,
        "a\0b",
        "\u{1b}[2J",
    ] {
        let mut hostile = record(1, None, vec![]);
        hostile.fields["task"]["id"] = json!(task);
        assert_eq!(
            codes(&kept.check(&hostile)),
            [Some(Reason::EvidenceTaskId)],
            "{task:?}"
        );
    }
}

#[test]
fn only_plain_files_in_plain_folders_are_opened() {
    let kept = Kept::new(&[]);
    fs::create_dir_all(kept.path("outside")).unwrap();
    let outside = kept.path("outside/attempt-1.verify.log");
    fs::write(&outside, OUTPUT).unwrap();
    let good = record(1, None, vec![]);
    let file = kept.path("evidence/t1/attempt-1.verify.log");
    symlink(&outside, &file).unwrap();
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceUnreadable)]);
    fs::remove_file(&file).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // It would wait for ever if it were opened.
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceUnreadable)]);
    fs::remove_dir_all(kept.path("evidence/t1")).unwrap();
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceMissing)]);
    symlink(kept.path("outside"), kept.path("evidence/t1")).unwrap();
    assert_eq!(codes(&kept.check(&good)), [Some(Reason::EvidenceUnreadable)]);
}

#[test]
fn a_file_beyond_the_limit_is_not_read_to_its_end() {
    let kept = Kept::new(&[("attempt-1.verify.log", b"")]);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(kept.path("evidence/t1/attempt-1.verify.log"));
    file.unwrap().set_len(FILE_MAX * 1000).unwrap();
    assert_eq!(
        codes(&kept.check(&record(1, None, vec![]))),
        [Some(Reason::EvidenceUnreadable)]
    );
}
