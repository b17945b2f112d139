//! What the unit tests share.

use machine_driver_state::canonical::sha256;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::time::Timestamp;
use serde_json::{Value, json};

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::document::DidDocument;
use crate::draft::{Check, Draft, Outcome, Task};
use crate::keygen::KeyPair;
use crate::signed::Signed;
use crate::signer::Signer;
use crate::verify::Verifier;

pub(crate) const OUTPUT: &str = "3 passed\n";

pub(crate) fn did(text: &str) -> Did {
    Did::new(text).unwrap()
}

pub(crate) fn principal() -> Did {
    did("did:web:example.org")
}

pub(crate) fn key() -> KeyPair {
    KeyPair::of_seed(&[7; 32])
}

pub(crate) fn document() -> DidDocument {
    DidDocument::read(key().did_document(&principal()).as_bytes()).unwrap()
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(vec![document()])
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000 + millis)
}

/// A draft that can be built.
pub(crate) fn draft(task: &str) -> Draft {
    Draft {
        subject: did("did:web:example.org:machine-driver"),
        principal: principal(),
        verifier: did("did:web:example.org:verifier"),
        task: Task {
            id: TaskId::new(task).unwrap(),
            claim: "make the tests pass".into(),
        },
        outcome: Outcome::Verified { head: None },
        checks: vec![Check::of(
            "repo",
            "make test",
            at(0),
            sha256(OUTPUT.as_bytes()),
            OUTPUT,
        )],
        issued: at(5),
        evidence: None,
    }
}

pub(crate) fn sign(draft: Draft, prior: Option<Digest>) -> Signed {
    let signer = key().signer(principal());
    draft.build().unwrap().sign(&signer, prior).unwrap()
}

/// Changes a signed record's members and signs what came out, as someone with the key might who does not keep the rules.
pub(crate) fn forge(change: impl FnOnce(&mut Value)) -> Value {
    let mut value: Value = serde_json::from_str(&sign(draft("t1"), None).to_json()).unwrap();
    change(&mut value);
    resign(&mut value);
    value
}

/// Signs anew whatever is there, if it has a `sig` object.
pub(crate) fn resign(value: &mut Value) {
    let mut signed = value.clone();
    let fields = signed.as_object_mut().unwrap();
    fields.retain(|key, _| key != "sig" && !key.starts_with('_'));
    let bytes = CanonicalBytes::of(&signed).unwrap();
    let signature = key().signer(principal()).sign(&bytes).unwrap();
    if value["sig"].is_object() {
        value["sig"]["value"] = json!(signature.to_base64url());
    }
}
