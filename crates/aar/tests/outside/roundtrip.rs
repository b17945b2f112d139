//! Whatever the driver may have to say: built, signed, written, read and verified, it is the same.

use machine_driver_aar::{
    Check, Did, DidDocument, Draft, Evidence, KeyPair, Level, Outcome, Record, Rejection, Task, Unsigned,
    Verifier, WorkerEvidence,
};
use machine_driver_state::canonical::{canonical_json, sha256};
use machine_driver_state::change::ObjectId;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::record::Head;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;
use proptest::prelude::*;

use crate::support::{node_verifies, say};

const INTEGER_MAX: u64 = (1 << 53) - 1;

fn did(text: &str) -> Did {
    Did::new(text).unwrap()
}

fn object_id() -> impl Strategy<Value = ObjectId> {
    "[0-9a-f]{40}".prop_map(|text| ObjectId::new(&text).unwrap())
}

/// Any text: most of them short, some with everything that JSON, terminals and UTF-16 make hard.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,60}",
        "\\PC{1,20}",
        prop::collection::vec(any::<char>(), 1..20).prop_map(String::from_iter),
        Just("\u{1b}[2J\u{202e}\u{0}\u{7f}\u{2028}\u{10ffff}\"\\/".to_owned()),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let head = || prop::option::of(object_id());
    let why = prop_oneof![
        (1..256).prop_map(|status: i32| Rejection::Exited(status.try_into().unwrap())),
        (1..65).prop_map(Rejection::Signaled),
        text().prop_map(Rejection::Stopped),
        text().prop_map(Rejection::Rule),
    ];
    prop_oneof![
        head().prop_map(|head| Outcome::Verified { head }),
        (why, head()).prop_map(|(why, head)| Outcome::Rejected { why, head }),
        text().prop_map(|why| Outcome::Unclear { why }),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_102_444_800_000_i64).prop_map(Timestamp::from_millis)
}

fn check() -> impl Strategy<Value = Check> {
    (text(), text(), time(), any::<[u8; 32]>(), ".{0,400}").prop_map(|(source, query, at, digest, output)| {
        Check::of(&source, &query, at, Digest::from_bytes(digest), &output)
    })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let number = || prop_oneof![Just(0), Just(INTEGER_MAX), 0..=INTEGER_MAX];
    let digest = || prop::option::of(any::<[u8; 32]>().prop_map(Digest::from_bytes));
    let worker = prop::option::of(
        (digest(), number()).prop_map(|(cmd_sha256, attempts)| WorkerEvidence {
            cmd_sha256,
            session: None,
            attempts,
        }),
    );
    let usage = prop::option::of((prop::option::of(number()), prop::option::of(number())).prop_map(
        |(tokens, usd_micros)| {
            let mut usage = Usage::default();
            (usage.tokens, usage.usd_micros) = (tokens, usd_micros);
            usage
        },
    ));
    let head = prop::option::of((number(), any::<[u8; 32]>()).prop_map(|(seq, hash)| Head {
        seq,
        hash: Digest::from_bytes(hash),
    }));
    let digests = (digest(), digest(), digest());
    (
        prop::option::of(object_id()),
        prop::option::of(object_id()),
        digests,
        worker,
        usage,
        head,
    )
        .prop_map(
            |(
                base_commit,
                tree,
                (patch_sha256, contract_sha256, verify_cmd_sha256),
                worker,
                usage,
                log_head,
            )| Evidence {
                base_commit,
                tree,
                patch_sha256,
                contract_sha256,
                verify_cmd_sha256,
                worker,
                usage,
                log_head,
            },
        )
}

fn draft() -> impl Strategy<Value = Draft> {
    let checks = prop::collection::vec(check(), 1..4);
    let task = (
        "[A-Za-z0-9][A-Za-z0-9_-]{0,40}",
        prop_oneof![text(), Just(String::new())],
    );
    (task, outcome(), checks, time(), prop::option::of(evidence())).prop_map(
        |((id, claim), outcome, checks, issued, evidence)| Draft {
            subject: did("did:web:example.org:machine-driver"),
            principal: did("did:web:example.org"),
            verifier: did("did:web:example.org:verifier"),
            task: Task {
                id: TaskId::new(&id).unwrap(),
                claim,
            },
            outcome,
            checks,
            issued,
            evidence,
        },
    )
}

const RECORDS: u32 = 512;

#[test]
fn what_is_built_verifies_and_says_the_same() {
    let principal = did("did:web:example.org");
    let key = KeyPair::generate().unwrap();
    let document = key.did_document(&principal);
    let verifier = Verifier::new(vec![DidDocument::read(document.as_bytes()).unwrap()]);
    let other = KeyPair::generate().unwrap();
    let stranger = Verifier::new(vec![
        DidDocument::read(other.did_document(&principal).as_bytes()).unwrap(),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let written = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(RECORDS)
    });
    let ran = runner.run(
        &(draft(), prop::option::of(any::<[u8; 32]>())),
        |(draft, prior)| {
            let prior = prior.map(Digest::from_bytes);
            let unsigned = draft.clone().build().unwrap();
            let signed = unsigned.sign(&key.signer(principal.clone()), prior).unwrap();
            let text = signed.to_json();
            let record = Record::read(text.as_bytes()).unwrap();
            prop_assert_eq!(&record, signed.record());
            prop_assert_eq!(record.to_json(), &text[..]);
            prop_assert_eq!(record.prior(), prior);
            prop_assert_eq!(record.digest().unwrap(), signed.digest());
            prop_assert_eq!(record.task_id(), Some(draft.task.id.as_str()));
            prop_assert_eq!(record.text(&["task", "claim"]), Some(draft.task.claim.as_str()));
            prop_assert!(
                !record
                    .text(&["reason"])
                    .unwrap()
                    .contains(|c: char| c.is_control())
            );
            let report = verifier.check(text.as_bytes());
            prop_assert_eq!(report.level, Some(Level::L2), "{:?}", report.first_failure());
            prop_assert_eq!(stranger.check(text.as_bytes()).level, None);
            // Its signature is over the canonical form of what can be read, and over nothing else.
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(record.digest().unwrap(), sha256(&canonical_json(&value).unwrap()));
            // An unsigned file, read back, can be signed later, and gives the same record.
            let later = Unsigned::of(Record::read(unsigned.to_json().as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(later.sign(&key.signer(principal.clone()), prior).unwrap(), signed);
            std::fs::write(folder.path().join(format!("{}.json", written.get())), &text).unwrap();
            written.set(written.get() + 1);
            Ok(())
        },
    );
    ran.unwrap_or_else(|error| panic!("{error}"));
    let files: Vec<_> = (0..written.get())
        .map(|n| folder.path().join(format!("{n}.json")))
        .collect();
    std::fs::write(folder.path().join("did.json"), document).unwrap();
    let agreed = node_verifies(&folder.path().join("did.json"), &files);
    say(&format!(
        "aar: {} records built, signed, read and verified; {agreed} of them by the second verifier",
        written.get()
    ));
}
