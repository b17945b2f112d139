use machine_driver_state::canonical::sha256;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::event::{
    Commit, CommitDenied, CommitEmpty, CommitFailed, DenialCode, GateAllowed, GateDenied, GateEscalated,
};

use super::*;
use crate::narrate::tests::{attempt, told_of};

fn id(digit: &str) -> ObjectId {
    ObjectId::new(&digit.repeat(40)).unwrap()
}

fn denied(code: DenialCode, at_mutation: bool) -> Event {
    let reason = "why \u{1b}[2J\nnot".to_owned();
    let denied = GateDenied {
        code,
        reason,
        at_mutation,
    };
    Event::GateDenied(attempt(1), denied)
}

fn commit() -> Event {
    let commit = Commit {
        commit: id("1"),
        tree: id("2"),
        parent: Some(id("3")),
    };
    Event::Commit(attempt(1), commit)
}

#[test]
fn what_the_gate_says() {
    let escalated = GateEscalated {
        code: DenialCode::Irreversible,
        reason: "the task is not marked reversible".into(),
        at_mutation: false,
    };
    let forbidden = CommitDenied {
        reason: "the contract is not ratified: \u{202e}".into(),
    };
    let failed = CommitFailed {
        reason: "disk \u{1b}[2J full".into(),
        tries: 1,
        lasting: true,
    };
    let all = [
        (denied(DenialCode::HeldBack, false), None),
        (denied(DenialCode::Budget, true), None),
        (Event::GateEscalated(attempt(1), escalated), None),
        (Event::CommitDenied(attempt(1), forbidden), None),
        (commit(), None),
        (commit(), Some(1)),
        (commit(), Some(2)),
        (
            Event::CommitEmpty(attempt(1), CommitEmpty { tree: id("2") }),
            None,
        ),
        (Event::CommitFailed(attempt(1), failed), None),
    ];
    let text: String = all
        .into_iter()
        .map(|(event, paths)| told_of(event, paths))
        .collect();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    insta::assert_snapshot!("gate", text);
}

#[test]
fn what_another_record_tells_is_not_told_twice() {
    for code in [DenialCode::NotRatified, DenialCode::Revoked, DenialCode::Expired] {
        assert_eq!(told_of(denied(code, false), None), "", "commit_denied follows");
    }
    let allowed = GateAllowed {
        change: Change {
            reference: RefName::new("HEAD").unwrap(),
            parent: None,
            tree: id("2"),
            paths: 7,
        },
        contract: sha256(b"c"),
        needs: 1,
        rollback_ref: None,
        left_over: Vec::new(),
        approved_by: None,
    };
    assert_eq!(
        told_of(Event::GateAllowed(attempt(1), allowed), None),
        "",
        "commit follows"
    );
}

#[test]
fn quiet_keeps_a_denied_commit() {
    let reason = "x".to_owned();
    let line = line(&Event::CommitDenied(attempt(1), CommitDenied { reason }), None).unwrap();
    assert!(line.stays && line.text == "COMMIT DENIED t1: x", "{line:?}");
}
