use serde_json::{Value, json};

use super::*;
use crate::testing::{did, document, draft, forge, key, principal, sign, verifier};

type Change = fn(&mut Value);

fn report_of(value: &Value) -> Report {
    verifier().check(value.to_string().as_bytes())
}

/// The change is signed with the right key, so that only the rule in question can refuse it.
fn check(change: Change, level: Option<Level>, code: Reason) {
    let value = forge(change);
    let report = report_of(&value);
    let failure = report
        .first_failure()
        .unwrap_or_else(|| panic!("{code} holds: {value}"));
    assert_eq!(
        (failure.code, report.level),
        (Some(code), level),
        "{}: {value}",
        failure.text
    );
    let later = report
        .findings
        .iter()
        .skip_while(|finding| finding.outcome != Outcome::Fail);
    assert!(
        later
            .skip(1)
            .all(|finding| finding.outcome == Outcome::NotReached)
    );
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().unwrap().remove(member);
}

#[test]
fn a_good_record_reaches_l2_and_says_why_not_more() {
    let report = verifier().check(sign(draft("t1"), None).to_json().as_bytes());
    assert_eq!(report.level, Some(Level::L2));
    assert_eq!(report.conformance(), "L2");
    assert!(report.first_failure().is_none());
    let why = report.why_not_higher().unwrap();
    assert_eq!((why.step, why.code), (Step::Chain, Some(Reason::ChainNotShown)));
    let steps: Vec<Step> = report
        .findings
        .iter()
        .filter(|finding| finding.outcome != Outcome::Note)
        .map(|finding| finding.step)
        .collect();
    assert_eq!(steps, Step::of_a_record().collect::<Vec<_>>());
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.code == Some(Reason::SamePrincipal))
    );
    assert!(report.reaches(Level::L2) && !report.reaches(Level::L3));
    assert_eq!(report.digest, Some(sign(draft("t1"), None).digest()));
}

#[test]
fn every_member_that_must_be_there_is_missed() {
    for member in [
        "aar",
        "subject",
        "principal",
        "task",
        "verdict",
        "reason",
        "issued",
    ] {
        let mut value = forge(|_| {});
        remove(&mut value, member);
        crate::testing::resign(&mut value);
        let report = report_of(&value);
        assert_eq!(
            report.first_failure().unwrap().code,
            Some(Reason::MemberMissing),
            "{member}"
        );
    }
    check(|v| remove(&mut v["task"], "id"), None, Reason::MemberMissing);
    check(|v| remove(&mut v["task"], "claim"), None, Reason::MemberMissing);
    check(|v| remove(&mut v["sig"], "alg"), None, Reason::MemberMissing);
    check(|v| remove(&mut v["sig"], "by"), None, Reason::MemberMissing);
    check(|v| remove(v, "sig"), None, Reason::Unsigned);
}

#[test]
fn l0_refuses() {
    let l0 = |change, code| check(change, None, code);
    l0(|v| v["subject"] = json!(["did:web:x"]), Reason::MemberType);
    l0(|v| v["task"] = json!("t1"), Reason::MemberType);
    l0(|v| v["checks"] = json!({}), Reason::MemberType);
    l0(|v| v["checks"][0] = json!("x"), Reason::MemberType);
    l0(|v| v["checks"][0]["excerpt"] = json!(null), Reason::MemberType);
    l0(|v| v["verifier"] = json!("did:web:x"), Reason::MemberType);
    l0(|v| v["quality"] = json!(true), Reason::MemberType);
    l0(|v| v["prior"] = json!(null), Reason::MemberType);
    l0(|v| v["sig"] = json!("x"), Reason::MemberType);
    l0(|v| v["sig"]["kid"] = json!("x"), Reason::MemberType);
    l0(|v| v["aar"] = json!("0.03"), Reason::VersionUnknown);
    l0(|v| v["subject"] = json!("example.org"), Reason::NotADid);
    l0(|v| v["principal"] = json!("did:web:"), Reason::NotADid);
    l0(|v| v["verifier"]["id"] = json!("did:web:x#k"), Reason::NotADid);
    l0(|v| v["sig"]["by"] = json!("did:web:x y"), Reason::NotADid);
    l0(|v| v["verdict"] = json!("maybe"), Reason::ValueUnknown);
    l0(|v| v["verdict"] = json!("Verified"), Reason::ValueUnknown);
    l0(|v| v["ground_truth"] = json!(""), Reason::ValueUnknown);
    l0(|v| v["quality"] = json!("great"), Reason::ValueUnknown);
    l0(
        |v| v["verifier"]["independence"] = json!("full"),
        Reason::ValueUnknown,
    );
    l0(|v| v["issued"] = json!("yesterday"), Reason::NotATime);
    l0(|v| v["sig"]["alg"] = json!("HS256"), Reason::AlgorithmMac);
    l0(|v| v["sig"]["alg"] = json!("hmac-sha256"), Reason::AlgorithmMac);
    l0(|v| v["sig"]["alg"] = json!("none"), Reason::AlgorithmUnknown);
    l0(|v| v["sig"]["alg"] = json!("ed25519"), Reason::AlgorithmUnknown);
    l0(
        |v| v["sig"]["by"] = json!("did:web:evil.org"),
        Reason::SignerStranger,
    );
    l0(|v| v["sig"]["by"] = v["subject"].clone(), Reason::SignerStranger);
    // Another principal, for whom the DID that the verifier's id extends does not sign.
    l0(
        |v| {
            v["principal"] = json!("did:web:other.org");
            v["verifier"]["id"] = json!("did:web:third.org:verifier");
        },
        Reason::SignerStranger,
    );
}

#[test]
fn what_is_not_signed_right_is_refused() {
    for (change, code) in [
        (
            (|v| v["reason"] = json!("all is well")) as Change,
            Reason::SignatureInvalid,
        ),
        (|v| v["added"] = json!("x"), Reason::SignatureInvalid),
        (|v| remove(v, "reason2"), Reason::SignatureInvalid),
        (
            |v| v["sig"]["value"] = json!(v["sig"]["value"].as_str().unwrap().to_owned() + "=="),
            Reason::SignatureEncoding,
        ),
        (|v| v["sig"]["value"] = json!("AAAA"), Reason::SignatureEncoding),
        (
            |v| v["sig"]["value"] = json!("A".repeat(86)),
            Reason::SignatureInvalid,
        ),
    ] {
        let mut value = forge(|v| v["reason2"] = json!("x"));
        assert_eq!(report_of(&value).level, Some(Level::L2));
        change(&mut value);
        let report = report_of(&value);
        assert_eq!(
            (report.level, report.first_failure().unwrap().code),
            (None, Some(code)),
            "{value}"
        );
        assert_eq!(report.conformance(), "FAIL");
    }
}

#[test]
fn notes_at_the_top_are_not_signed_and_change_no_digest() {
    let mut value = forge(|_| {});
    let digest = report_of(&value).digest;
    value["_note"] = json!({"by": "anyone"});
    let report = report_of(&value);
    assert_eq!((report.level, report.digest), (Some(Level::L2), digest));
    assert!(report.record.unwrap().to_json().contains("_note"));
}

#[test]
fn levels_above_l0() {
    let (l0, l1) = (Some(Level::L0), Some(Level::L1));
    check(|v| remove(v, "ground_truth"), l0, Reason::GroundTruthMissing);
    check(|v| remove(v, "checks"), l0, Reason::ChecksMissing);
    check(|v| v["checks"] = json!([]), l0, Reason::ChecksMissing);
    for member in ["source", "query", "observed_at", "response_sha256"] {
        let mut value = forge(|_| {});
        remove(&mut value["checks"][0], member);
        crate::testing::resign(&mut value);
        let report = report_of(&value);
        assert_eq!(
            (report.level, report.first_failure().unwrap().code),
            (l0, Some(Reason::ChecksMissing))
        );
    }
    check(
        |v| v["checks"][0]["response_sha256"] = json!("abc"),
        l0,
        Reason::ChecksMissing,
    );
    check(
        |v| v["checks"][0]["observed_at"] = json!("now"),
        l0,
        Reason::ChecksMissing,
    );
    check(|v| remove(v, "verifier"), l1, Reason::VerifierMissing);
    check(|v| remove(&mut v["verifier"], "id"), l1, Reason::VerifierMissing);
    check(
        |v| v["verifier"]["id"] = v["subject"].clone(),
        l1,
        Reason::VerifierIsSubject,
    );
}

#[test]
fn other_forms_that_the_standard_has_are_taken() {
    for change in [
        (|v| {
            v["verdict"] = json!("not_verified");
            v["ground_truth"] = json!("contradicted");
        }) as Change,
        |v| v["checks"][0]["response_sha256"] = json!("HKLiGO18qOQBbF3wK2_cMeQHhAT_UMEoROCOr1X1VFs"),
        |v| remove(&mut v["checks"][0], "excerpt"),
        |v| v["issued"] = json!("2026-06-05T20:14:03Z"),
        |v| v["quality"] = json!("none"),
        |v| v["log"] = json!({"index": "1"}),
        |v| {
            v["ground_truth"] = json!("unchecked");
            remove(v, "checks");
        },
        |v| {
            v["checks"]
                .as_array_mut()
                .unwrap()
                .insert(0, json!({"source": "x"}));
        },
    ] {
        let value = forge(change);
        let report = report_of(&value);
        assert_eq!(
            report.level,
            Some(Level::L2),
            "{value}: {:?}",
            report.first_failure()
        );
    }
    let mut against = forge(|v| v["ground_truth"] = json!("contradicted"));
    let noted = |value: &Value| {
        report_of(value)
            .findings
            .iter()
            .any(|f| f.code == Some(Reason::VerdictAgainstTruth))
    };
    assert!(noted(&against));
    against["verdict"] = json!("rejected");
    crate::testing::resign(&mut against);
    assert!(!noted(&against));
}

#[test]
fn the_verifier_and_who_answers_for_it_may_sign() {
    let auditor = did("did:web:audit.org");
    let theirs = DidDocument::read(key().did_document(&auditor).as_bytes()).unwrap();
    for by in ["did:web:audit.org", "did:web:audit.org:angel"] {
        let mut value = forge(|v| v["sig"]["by"] = json!("did:web:audit.org"));
        value["verifier"]["id"] = json!(by);
        crate::testing::resign(&mut value);
        let bytes = value.to_string();
        let level = |verifier: Verifier| verifier.check(bytes.as_bytes());
        assert_eq!(level(Verifier::new(vec![theirs.clone()])).level, Some(Level::L2));
        let named = Verifier::new(vec![theirs.clone()]).only_named(vec![auditor.clone()]);
        assert_eq!(level(named).level, Some(Level::L2));
        let unnamed = level(Verifier::new(vec![theirs.clone()]).only_named(vec![]));
        assert_eq!(
            unnamed.first_failure().unwrap().code,
            Some(Reason::SignerNotNamed)
        );
    }
    // The principal needs no name.
    let named = verifier().only_named(vec![]);
    assert_eq!(
        named.check(forge(|_| {}).to_string().as_bytes()).level,
        Some(Level::L2)
    );
}

#[test]
fn only_the_signers_own_document_counts() {
    let record = sign(draft("t1"), None).to_json();
    let code = |documents: Vec<DidDocument>| {
        let report = Verifier::new(documents).check(record.as_bytes());
        report.first_failure().and_then(|failure| failure.code)
    };
    let of = |change: Change| {
        let mut value: Value = serde_json::from_str(&key().did_document(&principal())).unwrap();
        change(&mut value);
        DidDocument::read(value.to_string().as_bytes()).unwrap()
    };
    assert_eq!(code(vec![]), Some(Reason::DocumentMissing));
    assert_eq!(
        code(vec![of(|d| d["id"] = json!("did:web:other.org"))]),
        Some(Reason::DocumentMissing)
    );
    assert_eq!(
        code(vec![of(|d| d["assertionMethod"] = json!([]))]),
        Some(Reason::KeyMissing)
    );
    let small = |d: &mut Value| {
        d["verificationMethod"][0]["publicKeyJwk"]["x"] =
            json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    };
    assert_eq!(code(vec![of(small)]), Some(Reason::KeyBad));
    let other = crate::KeyPair::of_seed(&[8; 32]).did_document(&principal());
    let other = DidDocument::read(other.as_bytes()).unwrap();
    assert_eq!(code(vec![other.clone()]), Some(Reason::SignatureInvalid));
    // After a rotation the older document still counts beside the newer one.
    assert_eq!(code(vec![other, document()]), None);
}

#[test]
fn every_byte_counts() {
    let bytes = sign(draft("t1"), None).to_json().into_bytes();
    let (verifier, end) = (verifier(), bytes.len() - 1);
    for at in 0..end {
        for mask in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            let level = verifier.check(&changed).level;
            // A space that became another white space is no change of the record.
            let is_space = changed[at].is_ascii_whitespace() && bytes[at].is_ascii_whitespace();
            assert!(level.is_none() || is_space, "byte {at} with {mask}");
        }
    }
}
