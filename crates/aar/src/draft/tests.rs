use serde_json::Value;

use super::*;
use crate::reason::Level;
use crate::testing::{OUTPUT, at, did, draft, key, principal, sign, verifier};

fn value(draft: Draft) -> Value {
    serde_json::from_str(&draft.build().unwrap().to_json()).unwrap()
}

fn head() -> Option<ObjectId> {
    Some(ObjectId::new(&"0123456789abcdef0123".repeat(2)).unwrap())
}

#[test]
fn verdict_truth_and_reason_follow_from_the_outcome() {
    let rejected = |why| Outcome::Rejected { why, head: head() };
    for (outcome, words, reason) in [
        (
            Outcome::Verified { head: head() },
            ("verified", "confirmed"),
            "verify_cmd exited 0 against repo HEAD 0123456789ab",
        ),
        (
            Outcome::Verified { head: None },
            ("verified", "confirmed"),
            "verify_cmd exited 0 against a repository without commits",
        ),
        (
            rejected(Rejection::Exited(NonZeroI32::new(2).unwrap())),
            ("rejected", "contradicted"),
            "verify_cmd exited 2 against repo HEAD 0123456789ab",
        ),
        (
            rejected(Rejection::Signaled(9)),
            ("rejected", "contradicted"),
            "verify_cmd was ended by signal 9 against repo HEAD 0123456789ab",
        ),
        (
            rejected(Rejection::Stopped("was stopped\nafter 5 s".into())),
            ("rejected", "contradicted"),
            "verify_cmd was stopped after 5 s against repo HEAD 0123456789ab",
        ),
        (
            rejected(Rejection::Rule("changed\u{1b} 2 paths outside its scope".into())),
            ("rejected", "contradicted"),
            "the change changed 2 paths outside its scope against repo HEAD 0123456789ab",
        ),
        (
            Outcome::Unclear {
                why: "no\r\nspace".into(),
            },
            ("unclear", "unchecked"),
            "verify_cmd could not run: no space",
        ),
    ] {
        let value = value(Draft {
            outcome,
            ..draft("t1")
        });
        assert_eq!(
            (value["verdict"].as_str(), value["ground_truth"].as_str()),
            (Some(words.0), Some(words.1))
        );
        assert_eq!(value["reason"], reason);
    }
}

#[test]
fn every_outcome_signs_and_verifies_at_l2() {
    let outcomes = [
        Outcome::Verified { head: head() },
        Outcome::Rejected {
            why: Rejection::Signaled(9),
            head: None,
        },
        Outcome::Unclear { why: "x".into() },
    ];
    for outcome in outcomes {
        let mut draft = draft("t1");
        if matches!(outcome, Outcome::Unclear { .. }) {
            draft.checks.clear();
        }
        let signed = sign(Draft { outcome, ..draft }, None);
        assert_eq!(
            verifier().check(signed.to_json().as_bytes()).level,
            Some(Level::L2)
        );
    }
}

#[test]
fn what_contradicts_itself_is_not_built() {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut changed = draft("t1");
        change(&mut changed);
        changed.build().unwrap_err()
    };
    let own = with(&|d| d.verifier = d.subject.clone());
    assert!(matches!(own, DraftError::VerifierIsSubject { .. }));
    assert!(matches!(with(&|d| d.checks.clear()), DraftError::NoChecks));
    for (member, change) in [
        (
            "checks.source",
            (|d: &mut Draft| d.checks[0].source.clear()) as fn(&mut Draft),
        ),
        ("checks.query", |d| d.checks[0].query.clear()),
    ] {
        assert!(matches!(with(&change), DraftError::Empty { member: found } if found == member));
    }
    let large = with(&|d| d.task.claim = "x".repeat(SIZE_MAX));
    assert!(matches!(large, DraftError::TooLarge { .. }));
    let number = with(&|d| {
        d.evidence = Some(Evidence {
            worker: Some(WorkerEvidence {
                cmd_sha256: None,
                session: None,
                attempts: INTEGER_MAX + 1,
            }),
            ..Evidence::default()
        });
    });
    assert!(matches!(number, DraftError::Number));
}

/// Whatever may be built can be read back: quotation marks, which a file doubles, are the worst that a text can hold.
#[test]
fn the_largest_record_can_be_read() {
    let mut large = draft("t1");
    large.task.claim = "\"".repeat(ROOM / 2 - 1000);
    let signed = sign(large, None);
    assert_eq!(
        verifier().check(signed.to_json().as_bytes()).level,
        Some(Level::L2)
    );
    let mut deep = draft("t1");
    let check = deep.checks[0].clone();
    deep.checks = vec![check; ROOM / 300];
    if let Ok(unsigned) = deep.build() {
        assert!(unsigned.to_json().len() < SIZE_MAX - 1000);
    }
}

#[test]
fn evidence_is_written_as_the_format_has_it() {
    let digest = |n: u8| Digest::from_bytes([n; 32]);
    let object = |n: &str| ObjectId::new(&n.repeat(40)).unwrap();
    let mut full = draft("t1");
    full.evidence = Some(Evidence {
        base_commit: Some(object("a")),
        tree: Some(object("b")),
        patch_sha256: Some(digest(1)),
        contract_sha256: Some(digest(2)),
        verify_cmd_sha256: Some(digest(3)),
        worker: Some(WorkerEvidence {
            cmd_sha256: Some(digest(4)),
            session: Some(SessionId::new(&"c".repeat(32)).unwrap()),
            attempts: 2,
        }),
        usage: Some(Usage {
            tokens: Some(5),
            usd_micros: None,
        }),
        log_head: Some(Head {
            seq: INTEGER_MAX,
            hash: digest(6),
        }),
    });
    let signed = sign(full, Some(digest(7)));
    let value: Value = serde_json::from_str(&signed.to_json()).unwrap();
    assert_eq!(value["evidence"]["worker"]["attempts"], 2);
    assert_eq!(value["evidence"]["usage"], json!({"tokens": 5}));
    assert_eq!(value["evidence"]["log_head"]["seq"], INTEGER_MAX);
    assert_eq!(value["evidence"]["patch_sha256"], digest(1).to_string());
    assert_eq!(value["prior"], digest(7).to_string());
    assert_eq!(
        verifier().check(signed.to_json().as_bytes()).level,
        Some(Level::L2)
    );
    let mut none = draft("t1");
    none.evidence = Some(Evidence::default());
    assert_eq!(self::value(none)["evidence"], json!({}));
}

#[test]
fn an_excerpt_is_made_safe_wherever_it_comes_from() {
    let mut foreign = draft("t1");
    foreign.checks[0].excerpt = format!("\u{1b}[2J{}", "y".repeat(400));
    let value = value(foreign);
    assert_eq!(value["checks"][0]["excerpt"], "y".repeat(300));
    let check = Check::of("repo", "make", at(0), Digest::from_bytes([0; 32]), OUTPUT);
    assert_eq!(check.excerpt, "3 passed");
}

#[test]
fn a_file_is_signed_later_if_it_is_a_record() {
    let unsigned = draft("t1").build().unwrap();
    let read = Record::read(unsigned.to_json().as_bytes()).unwrap();
    let again = Unsigned::of(read).unwrap();
    let signer = key().signer(principal());
    let (one, two) = (
        unsigned.sign(&signer, None).unwrap(),
        again.sign(&signer, None).unwrap(),
    );
    assert_eq!(one.digest(), two.digest());
    assert!(matches!(
        Unsigned::of(one.record().clone()),
        Err(DraftError::Signed)
    ));
    let other = Record::read(br#"{"aar":"0.02"}"#).unwrap();
    let error = Unsigned::of(other).unwrap_err();
    assert!(matches!(
        error,
        DraftError::NotARecord {
            reason: Reason::MemberMissing,
            ..
        }
    ));
    let stranger = key().signer(did("did:web:other.org"));
    let error = draft("t1").build().unwrap().sign(&stranger, None).unwrap_err();
    assert!(matches!(error, crate::SignError::Principal { .. }));
}

/// What a signer returns is checked where its key is known.
#[test]
fn a_signature_that_does_not_hold_is_not_taken() {
    #[derive(Debug)]
    struct Broken(Did);
    impl crate::Signer for Broken {
        fn principal(&self) -> &Did {
            &self.0
        }
        fn sign(&self, _: &crate::CanonicalBytes) -> Result<crate::Signature, crate::SignError> {
            Ok(crate::Signature::from_bytes([1; 64]))
        }
        fn public_key(&self) -> Option<crate::PublicKey> {
            Some(key().public_key())
        }
    }
    let error = draft("t1")
        .build()
        .unwrap()
        .sign(&Broken(principal()), None)
        .unwrap_err();
    assert!(matches!(error, crate::SignError::DoesNotHold { .. }));
}
