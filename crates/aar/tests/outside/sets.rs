//! A chain of fifty records, and everything that can be done to it.

use std::sync::LazyLock;

use machine_driver_aar::{
    Check, Did, DidDocument, Draft, Ed25519Signer, KeyPair, Level, Outcome, Record, SetOptions, SetReport,
    Signed, Signer as _, Task, Verifier,
};
use machine_driver_state::canonical::sha256;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::time::Timestamp;

use crate::support::{Random, say};

const LENGTH: usize = 50;

type Files = Vec<(String, Vec<u8>)>;

struct Fifty {
    signer: Ed25519Signer,
    verifier: Verifier,
    records: Vec<Signed>,
}

impl Fifty {
    fn files(&self) -> Files {
        self.records
            .iter()
            .enumerate()
            .map(|(at, record)| (name(at), record.to_json().into_bytes()))
            .collect()
    }

    fn head(&self) -> Digest {
        self.records[LENGTH - 1].digest()
    }

    fn check(&self, files: &Files, heads: &[Digest]) -> SetReport {
        let options = SetOptions {
            heads: heads.to_vec(),
            named_by_task: true,
        };
        self.verifier.verify_set(files, &options)
    }

    /// Another record of the same task, which follows the same one.
    fn rival(&self, at: usize) -> Vec<u8> {
        let signed = draft(at, "another claim")
            .build()
            .unwrap()
            .sign(&self.signer, self.records[at].record().prior());
        signed.unwrap().to_json().into_bytes()
    }
}

fn name(at: usize) -> String {
    format!("t{at}.json")
}

fn draft(at: usize, claim: &str) -> Draft {
    let issued = Timestamp::from_millis(1_795_341_600_000 + i64::try_from(at).unwrap() * 60_000);
    Draft {
        subject: Did::new("did:web:example.org:machine-driver").unwrap(),
        principal: Did::new("did:web:example.org").unwrap(),
        verifier: Did::new("did:web:example.org:verifier").unwrap(),
        task: Task {
            id: TaskId::new(&format!("t{at}")).unwrap(),
            claim: claim.to_owned(),
        },
        outcome: Outcome::Verified { head: None },
        checks: vec![Check::of("repo", "make test", issued, sha256(b"ok\n"), "ok\n")],
        issued,
        evidence: None,
    }
}

static FIFTY: LazyLock<Fifty> = LazyLock::new(|| {
    let principal = Did::new("did:web:example.org").unwrap();
    let key = KeyPair::generate().unwrap();
    let signer = key.signer(principal.clone());
    let document = DidDocument::read(key.did_document(signer.principal()).as_bytes()).unwrap();
    let mut records: Vec<Signed> = Vec::new();
    for at in 0..LENGTH {
        let prior = records.last().map(Signed::digest);
        records.push(
            draft(at, "a claim")
                .build()
                .unwrap()
                .sign(&signer, prior)
                .unwrap(),
        );
    }
    Fifty {
        signer,
        verifier: Verifier::new(vec![document]),
        records,
    }
});

fn codes(report: &SetReport) -> Vec<&'static str> {
    report.faults.iter().map(|fault| fault.code.as_str()).collect()
}

fn levels(report: &SetReport) -> Vec<Option<Level>> {
    let mut levels: Vec<_> = report.records.iter().map(|named| named.report.level).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// One fault of this kind about these files, no record at L3, and every signature good.
fn broken(report: &SetReport, code: &str, files: &[String], what: &str) {
    assert_eq!(codes(report), [code], "{what}: {:?}", report.faults);
    assert_eq!(report.faults[0].files, files, "{what}");
    assert_eq!(levels(report), [Some(Level::L2)], "{what}");
    assert!(!report.holds() && !report.end_proven(), "{what}");
}

#[test]
fn a_whole_chain_is_l3_and_its_end_proven_by_its_head_alone() {
    let report = FIFTY.check(&FIFTY.files(), &[]);
    assert_eq!((codes(&report), levels(&report)), (vec![], vec![Some(Level::L3)]));
    assert!(report.holds() && !report.end_proven());
    assert_eq!(report.chains.len(), 1);
    assert_eq!(report.chains[0].records, (0..LENGTH).collect::<Vec<_>>());
    assert_eq!(report.chains[0].head, Some(FIFTY.head()));
    let report = FIFTY.check(&FIFTY.files(), &[FIFTY.head()]);
    assert!(report.holds() && report.end_proven());
    // An older head does not prove the end.
    let report = FIFTY.check(&FIFTY.files(), &[FIFTY.records[LENGTH - 2].digest()]);
    assert!(report.holds() && !report.end_proven());
    // In any order of the files.
    let mut files = FIFTY.files();
    let mut random = Random(50);
    for at in (1..LENGTH).rev() {
        files.swap(at, random.below(at + 1));
    }
    let report = FIFTY.check(&files, &[FIFTY.head()]);
    assert!(report.holds() && report.end_proven() && report.level() == Some(Level::L3));
    let order: Vec<&str> = report.chains[0]
        .records
        .iter()
        .map(|&at| report.records[at].name.as_str())
        .collect();
    assert_eq!(order, (0..LENGTH).map(name).collect::<Vec<_>>());
}

#[test]
fn every_removal_is_named() {
    for at in 0..LENGTH {
        let mut files = FIFTY.files();
        files.remove(at);
        let report = FIFTY.check(&files, &[FIFTY.head()]);
        match at {
            0 => broken(&report, "chain-head-cut", &[name(1)], "the first removed"),
            last if last == LENGTH - 1 => {
                assert_eq!(codes(&report), ["chain-tail-cut"]);
                assert!(!report.holds() && !report.end_proven());
                let unknown = FIFTY.check(&files, &[]);
                assert!(
                    unknown.holds() && !unknown.end_proven(),
                    "no one can tell without the head"
                );
                assert_eq!(levels(&unknown), [Some(Level::L3)]);
            }
            _ => broken(&report, "chain-gap", &[name(at + 1)], "one removed"),
        }
    }
    say(&format!("aar: {LENGTH} removals from a chain of {LENGTH}"));
}

#[test]
fn every_cut_is_named() {
    for cut in 1..LENGTH {
        let head_cut = FIFTY.files().split_off(cut);
        let report = FIFTY.check(&head_cut, &[FIFTY.head()]);
        broken(&report, "chain-head-cut", &[name(cut)], "head cut");

        let mut tail_cut = FIFTY.files();
        tail_cut.truncate(cut);
        let report = FIFTY.check(&tail_cut, &[]);
        assert!(
            report.holds() && !report.end_proven(),
            "a cut tail at {cut}: every signature holds, end not proven"
        );
        let report = FIFTY.check(&tail_cut, &[FIFTY.head()]);
        assert_eq!(codes(&report), ["chain-tail-cut"], "cut at {cut}");
        assert!(!report.holds() && !report.end_proven());
    }
    say(&format!(
        "aar: {} cut heads, {} cut tails",
        LENGTH - 1,
        LENGTH - 1
    ));
}

#[test]
fn every_swap_is_named() {
    let mut random = Random(7);
    let neighbours = (1..LENGTH).map(|at| (at - 1, at));
    let others: Vec<(usize, usize)> = (0..LENGTH)
        .map(|at| (at, (at + 2 + random.below(LENGTH - 3)) % LENGTH))
        .collect();
    let mut count = 0;
    for (one, two) in neighbours.chain(others) {
        for named_by_task in [true, false] {
            let mut files = FIFTY.files();
            let bytes = std::mem::take(&mut files[one].1);
            files[one].1 = std::mem::replace(&mut files[two].1, bytes);
            let options = SetOptions {
                heads: vec![],
                named_by_task,
            };
            let report = FIFTY.verifier.verify_set(&files, &options);
            let mut swapped: Vec<String> = report
                .faults
                .iter()
                .flat_map(|fault| fault.files.clone())
                .collect();
            swapped.sort_unstable();
            let mut expected = vec![name(one), name(two)];
            expected.sort_unstable();
            assert_eq!(codes(&report), ["chain-swap", "chain-swap"], "{one} and {two}");
            assert_eq!(swapped, expected);
            assert!(!report.holds());
            count += 1;
        }
    }
    say(&format!("aar: {count} swaps in a chain of {LENGTH}"));
}

#[test]
fn every_duplicate_is_noted_and_harms_nothing() {
    for at in 0..LENGTH {
        let mut files = FIFTY.files();
        files.push((format!("t{at}.1.json"), files[at].1.clone()));
        let report = FIFTY.check(&files, &[FIFTY.head()]);
        assert!(report.holds() && report.end_proven(), "{at}: {:?}", report.faults);
        assert_eq!(levels(&report), [Some(Level::L3)]);
        let notes = |at: usize| {
            let findings = report.records[at].report.findings.iter();
            findings
                .filter(|finding| {
                    finding
                        .code
                        .is_some_and(|code| code.as_str() == "duplicate-record")
                })
                .count()
        };
        assert_eq!((notes(at), notes(LENGTH)), (0, 1));
        // Under the name of another task it is a swap.
        let last = files.len() - 1;
        files[last].0 = "another.json".to_owned();
        assert_eq!(codes(&FIFTY.check(&files, &[FIFTY.head()])), ["chain-swap"]);
    }
    say(&format!(
        "aar: {LENGTH} duplicates, {LENGTH} of them under another name"
    ));
}

#[test]
fn every_fork_is_named() {
    for at in 0..LENGTH {
        let mut files = FIFTY.files();
        let kept = format!("t{at}.1.json");
        files.push((kept.clone(), FIFTY.rival(at)));
        let report = FIFTY.check(&files, &[FIFTY.head()]);
        broken(&report, "chain-fork", &[name(at), kept], "a fork");
        // A rival in place of the record: what followed the record follows nothing now.
        let mut files = FIFTY.files();
        files[at].1 = FIFTY.rival(at);
        let report = FIFTY.check(&files, &[]);
        if at == LENGTH - 1 {
            assert!(report.holds() && !report.end_proven());
            assert_eq!(codes(&FIFTY.check(&files, &[FIFTY.head()])), ["chain-tail-cut"]);
        } else {
            broken(&report, "chain-gap", &[name(at + 1)], "one replaced");
        }
    }
    say(&format!(
        "aar: {LENGTH} forks, {LENGTH} records replaced by rivals"
    ));
}

#[test]
fn every_edit_is_named_with_its_file() {
    for at in 0..LENGTH {
        let mut files = FIFTY.files();
        let text = String::from_utf8(files[at].1.clone()).unwrap();
        files[at].1 = text.replace("a claim", "b claim").into_bytes();
        let report = FIFTY.check(&files, &[]);
        let (file, finding) = report.first_failure().expect("an edited record fails");
        assert_eq!(
            (file, finding.code.unwrap().as_str()),
            (&name(at)[..], "signature-invalid")
        );
        let expected: &[&str] = match at {
            0 => &["chain-head-cut"],
            last if last == LENGTH - 1 => &[],
            _ => &["chain-gap"],
        };
        assert_eq!(codes(&report), expected);
        assert!(!report.holds());
    }
    say(&format!("aar: {LENGTH} edits in a chain of {LENGTH}"));
}

/// Notes below the signature, and a stranger's files, are no part of a chain.
#[test]
fn notes_and_strangers_do_not_tear_a_chain() {
    let mut files = FIFTY.files();
    for (at, (_, bytes)) in files.iter_mut().enumerate() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text
            .replacen('{', &format!("{{\n  \"_seen\": \"{at}\","), 1)
            .into_bytes();
    }
    let report = FIFTY.check(&files, &[FIFTY.head()]);
    assert!(report.holds() && report.end_proven() && report.level() == Some(Level::L3));

    // Signed by a key that the organisation never had.
    let stranger = KeyPair::generate()
        .unwrap()
        .signer(FIFTY.signer.principal().clone());
    let forged = draft(7, "forged")
        .build()
        .unwrap()
        .sign(&stranger, FIFTY.records[7].record().prior())
        .unwrap();
    files.push(("t7.1.json".to_owned(), forged.to_json().into_bytes()));
    files.push(("t8.1.json".to_owned(), b"{".to_vec()));
    let report = FIFTY.check(&files, &[FIFTY.head()]);
    assert_eq!((codes(&report), report.end_proven()), (vec![], true));
    assert!(!report.holds(), "two files are no records that hold");
    assert_eq!(levels(&report), [None, Some(Level::L3)]);
    let (file, finding) = report.first_failure().unwrap();
    assert_eq!(
        (file, finding.code.unwrap().as_str()),
        ("t7.1.json", "signature-invalid")
    );
}

/// Two subjects in one folder are two chains; a `prior` across them is a gap.
#[test]
fn chains_of_two_subjects_stay_apart() {
    let about = |at: usize, subject: &str, prior: Option<Digest>| {
        let mut draft = draft(at, "a claim");
        draft.subject = Did::new(subject).unwrap();
        draft.build().unwrap().sign(&FIFTY.signer, prior).unwrap()
    };
    let (one, two) = ("did:web:example.org:one", "did:web:example.org:two");
    let a = about(0, one, None);
    let b = about(1, two, None);
    let c = about(2, one, Some(a.digest()));
    let d = about(3, two, Some(b.digest()));
    let e = about(4, two, Some(c.digest()));
    let files = |records: &[(usize, &Signed)]| -> Files {
        records
            .iter()
            .map(|(at, record)| (name(*at), record.to_json().into_bytes()))
            .collect()
    };
    let report = FIFTY.check(
        &files(&[(0, &a), (1, &b), (2, &c), (3, &d)]),
        &[c.digest(), d.digest()],
    );
    assert!(report.holds() && report.end_proven() && report.level() == Some(Level::L3));
    assert_eq!(report.chains.len(), 2);
    let report = FIFTY.check(
        &files(&[(0, &a), (1, &b), (2, &c), (3, &d), (4, &e)]),
        &[c.digest()],
    );
    assert_eq!(codes(&report), ["chain-gap"]);
    assert_eq!(report.faults[0].files, [name(4)]);
    let levels: Vec<_> = report.records.iter().map(|named| named.report.level).collect();
    assert_eq!(
        levels,
        [Level::L3, Level::L2, Level::L3, Level::L2, Level::L2].map(Some)
    );
}

/// The chain of the corpus, which the generator made with other code.
#[test]
fn the_chain_of_the_corpus_is_whole() {
    let folder = crate::support::fixtures().join("chain");
    let files: Files = (1..=5)
        .map(|n| {
            (
                format!("c{n}.json"),
                std::fs::read(folder.join(format!("c{n}.json"))).unwrap(),
            )
        })
        .collect();
    let verifier = Verifier::new(vec![crate::corpus::document("did/org.json")]);
    let head = Record::read(&files[4].1).unwrap().digest().unwrap();
    let options = SetOptions {
        heads: vec![head],
        named_by_task: true,
    };
    let report = verifier.verify_set(&files, &options);
    assert!(
        report.holds() && report.end_proven() && report.level() == Some(Level::L3),
        "{:?}",
        report.faults
    );
}
