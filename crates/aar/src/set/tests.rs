use serde_json::json;

use super::*;
use crate::draft::Draft;
use crate::signed::Signed;
use crate::testing::{at, did, draft, forge, sign, verifier};

type File = (String, Vec<u8>);

/// `t0.json` to `t<n-1>.json`, each with the digest of the one before.
fn chain(length: usize) -> (Vec<File>, Vec<Digest>) {
    let (mut files, mut digests) = (Vec::new(), Vec::new());
    for n in 0..length {
        let signed = sign(draft(&format!("t{n}")), digests.last().copied());
        digests.push(signed.digest());
        files.push(file(&format!("t{n}.json"), &signed));
    }
    (files, digests)
}

fn file(name: &str, signed: &Signed) -> File {
    (name.to_owned(), signed.to_json().into_bytes())
}

fn verify(files: &[File]) -> SetReport {
    verifier().verify_set(files, &SetOptions::default())
}

fn with_heads(files: &[File], heads: &[Digest]) -> SetReport {
    let options = SetOptions {
        heads: heads.to_vec(),
        named_by_task: true,
    };
    verifier().verify_set(files, &options)
}

fn faults(report: &SetReport) -> Vec<(Reason, Vec<&str>)> {
    let names = |fault: &'_ Fault| {
        fault
            .files
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    // Leaked: a test's few names.
    report
        .faults
        .iter()
        .map(|fault| (fault.code, vec![&*names(fault).leak()]))
        .collect()
}

fn levels(report: &SetReport) -> Vec<Option<Level>> {
    report.records.iter().map(|named| named.report.level).collect()
}

#[test]
fn a_whole_chain_is_at_l3_in_any_order_of_files() {
    let (mut files, digests) = chain(5);
    files.swap(0, 3);
    files.swap(1, 4);
    let report = verify(&files);
    assert!(report.holds() && !report.end_proven(), "{:?}", report.faults);
    assert_eq!(report.level(), Some(Level::L3));
    let order: Vec<&str> = report.chains[0]
        .records
        .iter()
        .map(|&at| files[at].0.as_str())
        .collect();
    assert_eq!(order, ["t0.json", "t1.json", "t2.json", "t3.json", "t4.json"]);
    assert_eq!(report.chains[0].head, digests.last().copied());
    assert!(
        report
            .records
            .iter()
            .all(|named| named.report.why_not_higher().is_none())
    );
}

#[test]
fn a_head_proves_the_end_and_shows_a_cut_tail() {
    let (files, digests) = chain(4);
    let last = digests[3];
    let report = with_heads(&files, &[last]);
    assert!(report.holds() && report.end_proven());
    assert_eq!(report.level(), Some(Level::L3));
    // The same head, and the last file gone.
    let report = with_heads(&files[..3], &[last]);
    assert!(!report.holds() && !report.end_proven());
    assert_eq!(levels(&report), [Some(Level::L2); 3]);
    assert_eq!(report.faults[0].code, Reason::ChainTailCut);
    assert!(report.faults[0].text.contains(&last.to_string()));
    // Without a head nobody can know.
    let report = verify(&files[..3]);
    assert!(report.holds() && !report.end_proven());
    // An older head does not prove what came after it.
    assert!(!with_heads(&files, &[digests[2]]).end_proven());
}

#[test]
fn one_record_alone_shows_no_history_unless_a_head_names_it() {
    let (files, digests) = chain(1);
    let report = verify(&files);
    assert_eq!((report.level(), report.holds()), (Some(Level::L2), true));
    let why = report.records[0].report.why_not_higher().unwrap();
    assert_eq!(why.code, Some(Reason::ChainNotShown));
    assert_eq!(with_heads(&files, &digests).level(), Some(Level::L3));
}

#[test]
fn gaps_and_cut_heads_are_named() {
    let (mut files, _) = chain(5);
    files.remove(2);
    let report = verify(&files);
    assert_eq!(faults(&report), [(Reason::ChainGap, vec!["t3.json"])]);
    assert_eq!(levels(&report), [Some(Level::L2); 4]);
    let code = |at: usize| report.records[at].report.first_failure().unwrap().code;
    assert_eq!([code(0), code(2)], [Some(Reason::ChainGap); 2]);
    files.remove(0);
    files.remove(0);
    let report = verify(&files);
    assert_eq!(faults(&report), [(Reason::ChainHeadCut, vec!["t3.json"])]);
    assert_eq!(report.level(), Some(Level::L2));
}

#[test]
fn forks_are_named() {
    let (mut files, digests) = chain(3);
    files.push(file("x.json", &sign(draft("x"), Some(digests[0]))));
    let report = verify(&files);
    assert_eq!(faults(&report), [(Reason::ChainFork, vec!["t1.json x.json"])]);
    assert_eq!(report.level(), Some(Level::L2));
    assert_eq!(report.chains[0].head, None);
    let (mut files, _) = chain(2);
    files.push(file("x.json", &sign(draft("x"), None)));
    assert_eq!(
        faults(&verify(&files)),
        [(Reason::ChainFork, vec!["t0.json x.json"])]
    );
}

#[test]
fn a_changed_record_fails_and_leaves_a_gap() {
    let (mut files, _) = chain(3);
    let text = String::from_utf8(files[1].1.clone()).unwrap();
    files[1].1 = text
        .replace("make the tests pass", "make the tests fail")
        .into_bytes();
    let report = verify(&files);
    assert_eq!(levels(&report), [Some(Level::L2), None, Some(Level::L2)]);
    assert_eq!(
        report.first_failure().map(|(name, f)| (name, f.code)),
        Some(("t1.json", Some(Reason::SignatureInvalid)))
    );
    assert_eq!(faults(&report), [(Reason::ChainGap, vec!["t2.json"])]);
    assert_eq!(report.level(), None);
}

#[test]
fn a_stranger_cannot_tear_a_chain() {
    let (mut files, digests) = chain(3);
    let mut forged = forge(|v| v["prior"] = json!(digests[0]));
    forged["reason"] = json!("not what was signed");
    files.push(("x.json".into(), forged.to_string().into_bytes()));
    let report = verify(&files);
    assert_eq!(levels(&report)[..3], [Some(Level::L3); 3]);
    assert_eq!(
        (levels(&report)[3], report.faults.len(), report.holds()),
        (None, 0, false)
    );
}

#[test]
fn swapped_files_are_named() {
    let (mut files, _) = chain(3);
    let (one, two) = (files[0].1.clone(), files[1].1.clone());
    (files[0].1, files[1].1) = (two, one);
    let report = verify(&files);
    assert_eq!(
        faults(&report),
        [
            (Reason::ChainSwap, vec!["t0.json"]),
            (Reason::ChainSwap, vec!["t1.json"])
        ]
    );
    assert_eq!(
        levels(&report),
        [Some(Level::L2), Some(Level::L2), Some(Level::L3)]
    );
    // One over another: what it covers is missing, too.
    let (mut files, digests) = chain(3);
    files[0].1 = files[2].1.clone();
    let report = with_heads(&files, &digests[2..]);
    let codes: Vec<Reason> = report.faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [Reason::ChainHeadCut, Reason::ChainSwap]);
}

#[test]
fn kept_records_and_copies_belong_to_their_task() {
    let first = sign(draft("t1"), None);
    let second = sign(draft("t1"), Some(first.digest()));
    let other = sign(draft("t1.1"), Some(second.digest()));
    let files = [
        file("aar/t1.1.1.json", &first),
        file("aar/t1.json", &second),
        file("aar/t1.1.json", &other),
        file("aar/t1.2.json", &second),
    ];
    let report = with_heads(&files, &[other.digest()]);
    assert_eq!(report.level(), Some(Level::L3), "{:?}", report.faults);
    assert!(report.holds() && report.end_proven());
    let copy = &report.records[3].report;
    assert!(
        copy.findings
            .iter()
            .any(|finding| finding.code == Some(Reason::Duplicate))
    );
    // A file of any name is fine where nobody said that they are named by task.
    assert!(verify(&[file("record.json", &first), file("b.json", &second)]).holds());
    assert!(!with_heads(&[file("record.json", &first)], &[]).holds());
}

#[test]
fn subjects_have_chains_of_their_own() {
    let (mut files, digests) = chain(2);
    let of_other = |prior| {
        let subject = did("did:web:example.org:other");
        sign(
            Draft {
                subject,
                ..draft("o")
            },
            prior,
        )
    };
    files.push(file("o.json", &of_other(None)));
    let report = verify(&files);
    assert_eq!(
        levels(&report),
        [Some(Level::L3), Some(Level::L3), Some(Level::L2)]
    );
    assert!(report.holds() && report.chains.len() == 2);
    *files.last_mut().unwrap() = file("o.json", &of_other(Some(digests[0])));
    let report = verify(&files);
    assert_eq!(faults(&report), [(Reason::ChainHeadCut, vec!["o.json"])]);
    assert!(report.faults[0].text.contains("another subject"));
    assert_eq!(report.records[0].report.level, Some(Level::L3));
    // A head that no chain has is the set's loss.
    let lost = Digest::from_bytes([9; 32]);
    let report = with_heads(&files, &[lost]);
    assert!(
        report
            .faults
            .iter()
            .any(|fault| fault.code == Reason::ChainTailCut && fault.files.is_empty())
    );
}

#[test]
fn a_prior_that_is_no_digest_resolves_to_nothing() {
    let value = forge(|v| v["prior"] = json!("\u{1b}]0;x"));
    let report = verify(&[("t1.json".into(), value.to_string().into_bytes())]);
    assert_eq!(faults(&report), [(Reason::ChainHeadCut, vec!["t1.json"])]);
}

#[test]
fn threads_give_the_same_reports_in_the_same_order() {
    let (mut files, _) = chain(3 * BLOCK + 5);
    files[40].1.push(b'x');
    let report = verify(&files);
    assert_eq!(report.records.len(), files.len());
    for (named, (name, bytes)) in report.records.iter().zip(&files) {
        assert_eq!(named.name, *name);
        let alone = verifier().check(bytes);
        assert_eq!(named.report.level.is_some(), alone.level.is_some());
        assert_eq!(named.report.digest, alone.digest);
    }
    let empty: [File; 0] = [];
    assert_eq!(verify(&empty).level(), None);
    let _ = at(0);
}
