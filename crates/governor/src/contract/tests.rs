use std::path::PathBuf;

use machine_driver_state::goal::Receipt;
use machine_driver_state::goal::file::{GoalFile, Place};
use machine_driver_state::id::Digest;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000)
}

/// A goal with this contract; what is null in it is left out.
fn goal(contract: &Value) -> Goal {
    let text = json!({"repo": "/w", "worker_cmd": "true", "verify_cmd": "true", "contract": contract,
                      "tasks": [{"id": "a", "goal": "x"}]});
    let place = Place::unseen(PathBuf::from("/w/goal.json"), PathBuf::from("/w"), None);
    let file = GoalFile::parse(text.to_string().as_bytes(), &place).unwrap();
    file.goal().clone()
}

fn check(contract: &Value) -> Option<Unratified> {
    not_ratified(&goal(contract), Known::default(), now())
}

fn names(proposed: &str, ratified: &str) -> Value {
    json!({"proposed_by": proposed, "ratified_by": ratified})
}

/// The names of a contract that is ratified, and more.
fn with(more: &Value) -> Value {
    let mut contract = names("ann", "bob");
    let more = more.as_object().unwrap().clone();
    contract.as_object_mut().unwrap().extend(more);
    contract
}

fn receipt(by: &str, digest: Digest) -> Value {
    json!({"kind": Receipt::KIND, "digest": digest, "by": by, "at": "2026-11-01T00:00:00Z",
           "signer": "did:web:example.org", "signature": "AA"})
}

#[test]
fn two_different_people_ratify() {
    assert_eq!(check(&names("ann", "bob")), None);
    assert_eq!(
        check(&json!({"proposed_by": "ann"})),
        Some(Unratified::NoRatifier)
    );
    assert_eq!(
        check(&json!({"ratified_by": "bob"})),
        Some(Unratified::NoProposer)
    );
    assert_eq!(check(&json!({})), Some(Unratified::NoProposer));
    assert_eq!(check(&Value::Null), Some(Unratified::Missing));
    for blank in ["", " ", "\u{200b}", "\u{3164}\u{2800}", "\u{e0041}"] {
        assert_eq!(check(&names(blank, "bob")), Some(Unratified::Blank), "{blank:?}");
        assert_eq!(check(&names("ann", blank)), Some(Unratified::Blank), "{blank:?}");
    }
    for same in ["ann", "Ann ", "a\u{200b}nn", "ＡＮＮ", "a nn"] {
        assert_eq!(check(&names("ann", same)), Some(Unratified::Same), "{same}");
    }
    assert_eq!(check(&names("Straße", "STRASSE")), Some(Unratified::Same));
}

/// Ends and representatives of each range that is left out of names.
#[test]
fn invisible_characters_tell_nobody_apart() {
    for invisible in [
        '\u{ad}',
        '\u{34f}',
        '\u{600}',
        '\u{605}',
        '\u{61c}',
        '\u{6dd}',
        '\u{70f}',
        '\u{890}',
        '\u{891}',
        '\u{8e2}',
        '\u{115f}',
        '\u{1160}',
        '\u{17b4}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2064}',
        '\u{2065}',
        '\u{206f}',
        '\u{2800}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{fffb}',
        '\u{fffc}',
        '\u{110bd}',
        '\u{110cd}',
        '\u{13430}',
        '\u{1343f}',
        '\u{13441}',
        '\u{13442}',
        '\u{16fe4}',
        '\u{1bca0}',
        '\u{1d159}',
        '\u{1d173}',
        '\u{1d17a}',
        '\u{e0001}',
        '\u{e007f}',
        '\u{e0100}',
    ] {
        let same = format!("a{invisible}nn{invisible}");
        let found = check(&names("ann", &same));
        assert_eq!(found, Some(Unratified::Same), "{}", invisible.escape_unicode());
        let found = check(&names("ann", &invisible.to_string()));
        assert_eq!(found, Some(Unratified::Blank), "{}", invisible.escape_unicode());
    }
    // Marks that are seen do tell apart.
    for other in ["änn", "ann\u{308}", "ann.", "anñ"] {
        assert_eq!(check(&names("ann", other)), None, "{other}");
    }
}

#[test]
fn revoked_and_expired_contracts_do_not_count() {
    let expires = |at: Timestamp| with(&json!({"expires": at.to_string()}));
    assert_eq!(check(&expires(now())), Some(Unratified::Expired));
    let later = Timestamp::from_millis(now().millis() + 1);
    assert_eq!(check(&expires(later)), None);
    let revoked = with(&json!({"revoked": {"by": "ann", "at": "2026-01-01T00:00:00Z"}}));
    assert_eq!(check(&revoked), Some(Unratified::Revoked));
    // That it was revoked is said first, whatever else is wrong with it.
    let revoked = json!({"revoked": {"by": "ann", "at": "2026-01-01T00:00:00Z"}});
    assert_eq!(check(&revoked), Some(Unratified::Revoked));
}

#[test]
fn where_a_receipt_is_asked_for_names_are_not_enough() {
    let contract = with(&json!({"require_receipt": true}));
    assert_eq!(check(&contract), Some(Unratified::NoReceipt));
    assert_eq!(check(&with(&json!({"require_receipt": false}))), None);
}

#[test]
fn a_receipt_is_about_this_contract_by_this_person_and_found_good() {
    for required in [false, true] {
        let bare = with(&json!({"require_receipt": required}));
        let digest = goal(&bare).contract_digest;
        let signed = |by: &str, digest| {
            let mut contract = bare.clone();
            contract["receipt"] = receipt(by, digest);
            goal(&contract)
        };
        let other = signed("bob", machine_driver_state::canonical::sha256(b"another"));
        assert_eq!(asked(&other, None), Some(Unratified::Changed));
        let mallory = signed("mallory", digest);
        assert_eq!(asked(&mallory, None), Some(Unratified::OtherName));
        let mut own = bare.clone();
        own["proposed_by"] = "DID:web:example.org".into();
        own["receipt"] = receipt("bob", goal(&own).contract_digest);
        let own = goal(&own);
        assert_eq!(
            asked(&own, Some(&seen(&own, None))),
            Some(Unratified::Same),
            "the proposer's key, under another name"
        );
        let good = signed("Bob ", digest);
        assert_eq!(
            asked(&good, None),
            Some(Unratified::Untrusted),
            "nobody has looked"
        );
        assert_eq!(asked(&good, Some(&seen(&good, None))), None);
        let bad = seen(&good, Some("nobody is trusted"));
        assert_eq!(asked(&good, Some(&bad)), Some(Unratified::Untrusted));
        let of_another = seen(&signed("bob", digest), None);
        assert_eq!(
            asked(&good, Some(&of_another)),
            Some(Unratified::Untrusted),
            "another was looked at"
        );
    }
}

fn seen(goal: &Goal, why: Option<&str>) -> ReceiptSeen {
    let receipt = goal.contract.as_ref().unwrap().receipt.as_ref().unwrap();
    ReceiptSeen {
        sha256: digest_of(receipt).unwrap(),
        why: why.map(str::to_owned),
    }
}

fn asked(goal: &Goal, receipt: Option<&ReceiptSeen>) -> Option<Unratified> {
    let known = Known {
        receipt,
        ..Known::default()
    };
    not_ratified(goal, known, now())
}

#[test]
fn a_frozen_field_that_was_changed_takes_the_ratification_away() {
    let thawed = ["definition_of_done".to_owned()];
    let known = Known {
        thawed: &thawed,
        ..Known::default()
    };
    let found = not_ratified(&goal(&names("ann", "bob")), known, now());
    assert_eq!(found, Some(Unratified::Thawed));
}

#[test]
fn a_revocation_that_only_the_log_has_counts() {
    let known = Known {
        revoked: true,
        ..Known::default()
    };
    let found = not_ratified(&goal(&names("ann", "bob")), known, now());
    assert_eq!(found, Some(Unratified::Revoked));
}

#[test]
fn what_thaws_is_named() {
    let before = json!({"immutable": ["definition_of_done", "owner", "path:a"], "definition_of_done": "x", "owner": "o"});
    let check = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        let mut after = before.clone();
        change(&mut after);
        let (before, after) = (goal(&before), goal(&after));
        let found = thawed(before.contract.as_ref().unwrap(), after.contract.as_ref());
        assert_eq!(found, expected, "{after:?}");
    };
    check(&|_| (), &[]);
    check(&|after| after["constraints"] = json!("y"), &[]);
    check(
        &|after| after["definition_of_done"] = json!("y"),
        &["definition_of_done"],
    );
    check(
        &|after| after["definition_of_done"] = json!(["x"]),
        &["definition_of_done"],
    );
    check(&|after| after["owner"] = Value::Null, &["owner"]);
    // What freezes is frozen too; what is added to it is not missed.
    check(
        &|after| after["immutable"] = json!(["owner", "path:a"]),
        &["immutable"],
    );
    check(
        &|after| after["immutable"] = json!(["owner", "definition_of_done", "constraints"]),
        &[],
    );
    check(
        &|after| *after = Value::Null,
        &["definition_of_done", "owner", "immutable"],
    );
}

#[test]
fn names_are_compared_as_people_read_them() {
    assert!(is_one_name("ann", "A\u{ad}NN"));
    assert!(!is_one_name("ann", "anna"));
    assert!(is_blank("\u{feff}\t"));
    assert!(begins_with("Coun\u{200b}cil: x", "council:"));
    assert!(!begins_with("councillor", "council:"));
}

#[test]
fn every_reason_has_words_and_a_code() {
    let all = [
        (Unratified::Missing, DenialCode::NotRatified),
        (Unratified::Revoked, DenialCode::Revoked),
        (Unratified::NoProposer, DenialCode::NotRatified),
        (Unratified::NoRatifier, DenialCode::NotRatified),
        (Unratified::Blank, DenialCode::NotRatified),
        (Unratified::Same, DenialCode::NotRatified),
        (Unratified::NoReceipt, DenialCode::NotRatified),
        (Unratified::Changed, DenialCode::NotRatified),
        (Unratified::OtherName, DenialCode::NotRatified),
        (Unratified::Untrusted, DenialCode::NotRatified),
        (Unratified::Thawed, DenialCode::NotRatified),
        (Unratified::Expired, DenialCode::Expired),
    ];
    let words: std::collections::BTreeSet<&str> = all.iter().map(|(why, _)| why.why()).collect();
    assert_eq!(words.len(), all.len());
    for (why, code) in all {
        assert_eq!(why.code(), code, "{why:?}");
    }
}
