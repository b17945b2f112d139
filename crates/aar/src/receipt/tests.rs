use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use machine_driver_state::canonical::sha256;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::keygen::KeyPair;
use crate::testing::{at, did, key, principal};
use crate::trust::TrustError;

fn ratified() -> Ratified {
    Ratified {
        digest: sha256(b"contract"),
        by: "bob".into(),
        at: at(0),
        transcript_sha256: None,
    }
}

fn receipt() -> Receipt {
    sign_receipt(ratified(), &key().signer(principal())).unwrap()
}

/// A folder that trusts what is written into it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| put(&folder, name, text));
    folder
}

/// Writes a file that others may not write, whatever the umask.
fn put(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn document() -> String {
    key().did_document(&principal())
}

#[test]
fn a_receipt_holds_for_what_was_signed_alone() {
    let folder = folder(&[("did.json", &document())]);
    let trusted = Trusted::read(folder.path()).unwrap();
    let good = receipt();
    trusted.check(&good).unwrap();
    let with_transcript = Ratified {
        transcript_sha256: Some(sha256(b"t")),
        ..ratified()
    };
    let council = sign_receipt(with_transcript, &key().signer(principal())).unwrap();
    trusted.check(&council).unwrap();
    let changed: [(&str, Receipt); 6] = [
        (
            "digest",
            Receipt {
                digest: sha256(b"other"),
                ..good.clone()
            },
        ),
        (
            "by",
            Receipt {
                by: "mallory".into(),
                ..good.clone()
            },
        ),
        (
            "at",
            Receipt {
                at: at(1),
                ..good.clone()
            },
        ),
        (
            "kind",
            Receipt {
                kind: "machine-driver-receipt-2",
                ..good.clone()
            },
        ),
        (
            "transcript added",
            Receipt {
                transcript_sha256: Some(sha256(b"t")),
                ..good.clone()
            },
        ),
        (
            "transcript removed",
            Receipt {
                transcript_sha256: None,
                ..council
            },
        ),
    ];
    for (what, receipt) in changed {
        let found = trusted.check(&receipt);
        assert!(
            matches!(found, Err(ReceiptError::DoesNotHold { .. })),
            "{what}: {found:?}"
        );
    }
    for signature in ["", "AA", &format!("{}=", good.signature)] {
        let signature = signature.to_owned();
        let found = trusted.check(&Receipt {
            signature,
            ..good.clone()
        });
        assert!(matches!(found, Err(ReceiptError::Encoding)), "{found:?}");
    }
}

#[test]
fn only_its_signers_document_counts() {
    let stranger = KeyPair::of_seed(&[8; 32]);
    let other = did("did:web:other.org");
    let folder = folder(&[
        ("did.json", &document()),
        ("other.json", &stranger.did_document(&other)),
    ]);
    let trusted = Trusted::read(folder.path()).unwrap();
    // Signed with a trusted key, in the name of somebody else who is trusted too.
    let lent = sign_receipt(ratified(), &stranger.signer(principal())).unwrap();
    assert!(matches!(
        trusted.check(&lent),
        Err(ReceiptError::DoesNotHold { .. })
    ));
    let unknown = sign_receipt(ratified(), &stranger.signer(did("did:web:nobody.org"))).unwrap();
    let found = trusted.check(&unknown).unwrap_err();
    assert!(matches!(found, ReceiptError::Stranger { .. }), "{found}");
    let own = sign_receipt(ratified(), &stranger.signer(other)).unwrap();
    trusted.check(&own).unwrap();
}

#[test]
fn keys_before_and_after_a_rotation_add_up_and_weak_ones_do_not_count() {
    let newer = KeyPair::of_seed(&[9; 32]);
    let mut weak: Value = serde_json::from_str(&document()).unwrap();
    weak["verificationMethod"][0]["publicKeyJwk"]["x"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let folder = folder(&[("a.json", &weak.to_string())]);
    let trusted = Trusted::read(folder.path()).unwrap();
    assert!(matches!(
        trusted.check(&receipt()),
        Err(ReceiptError::NoKey { .. })
    ));
    put(&folder, "b.json", &document());
    put(&folder, "c.json", &newer.did_document(&principal()));
    let trusted = Trusted::read(folder.path()).unwrap();
    trusted.check(&receipt()).unwrap();
    trusted
        .check(&sign_receipt(ratified(), &newer.signer(principal())).unwrap())
        .unwrap();
    assert_eq!(trusted.documents().count(), 3);
}

#[test]
fn what_others_may_write_does_not_count_and_is_named() {
    let outside = folder(&[("did.json", &document())]);
    let folder = folder(&[("open.json", &document()), ("bad.json", "{"), ("note.txt", "x")]);
    let open = folder.path().join("open.json");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o664)).unwrap();
    symlink(outside.path().join("did.json"), folder.path().join("link.json")).unwrap();
    fs::create_dir(folder.path().join("dir.json")).unwrap();
    let large = " ".repeat(crate::DidDocument::SIZE_MAX + 1);
    put(&folder, "large.json", &large);
    let trusted = Trusted::read(folder.path()).unwrap();
    assert_eq!(trusted.documents().count(), 0);
    let names: Vec<&str> = trusted
        .passed_over()
        .iter()
        .filter_map(|(path, _)| path.file_name()?.to_str())
        .collect();
    assert_eq!(
        names,
        ["bad.json", "dir.json", "large.json", "link.json", "open.json"]
    );
    let said = trusted.check(&receipt()).unwrap_err().to_string();
    for part in [
        "open.json does not count: it can be written to by others (mode 0664)",
        "symbolic link",
        "is a folder",
    ] {
        assert!(said.contains(part), "{said}");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Trusted::read(folder.path()).unwrap_err();
    assert!(matches!(refused, TrustError::Open { .. }), "{refused}");
    assert!(refused.to_string().contains(folder.path().to_str().unwrap()));
}

#[test]
fn a_folder_that_is_not_there_trusts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = Trusted::read(&folder.path().join("none")).unwrap();
    assert!(matches!(
        trusted.check(&receipt()),
        Err(ReceiptError::Stranger { .. })
    ));
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(Trusted::read(&file), Err(TrustError::Io { .. })));
}

#[test]
fn a_key_signs_for_whom_the_documents_say_it_belongs_to() {
    let folder = folder(&[("did.json", &document())]);
    let trusted = Trusted::read(folder.path()).unwrap();
    let (mine, others) = (folder.path().join("key"), folder.path().join("other"));
    key().write_private(&mine).unwrap();
    KeyPair::of_seed(&[8; 32]).write_private(&others).unwrap();
    let signer = trusted.signer(&mine).unwrap();
    assert_eq!(*signer.principal(), principal());
    trusted
        .check(&sign_receipt(ratified(), &signer).unwrap())
        .unwrap();
    let refused = trusted.signer(&others).unwrap_err();
    assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    assert!(matches!(
        trusted.signer(&folder.path().join("none")),
        Err(SignError::Missing { .. })
    ));
}

/// The bytes as anybody can make them with a JSON library: keys in order, no white space, no signature.
#[test]
fn the_signed_bytes_are_the_members_in_their_order() {
    let bytes = receipt_bytes(&receipt()).unwrap();
    let expected = format!(
        r#"{{"at":"{}","by":"bob","digest":"{}","kind":"machine-driver-receipt-1","signer":"did:web:example.org"}}"#,
        at(0),
        sha256(b"contract")
    );
    assert_eq!(String::from_utf8(bytes.as_bytes().to_vec()).unwrap(), expected);
}

/// A signer of another kind that returns somebody else's signature is found out.
#[test]
fn a_signature_that_does_not_hold_is_not_taken() {
    #[derive(Debug)]
    struct Liar(Did);
    impl Signer for Liar {
        fn principal(&self) -> &Did {
            &self.0
        }
        fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError> {
            KeyPair::of_seed(&[8; 32]).signer(self.0.clone()).sign(bytes)
        }
        fn public_key(&self) -> Option<PublicKey> {
            Some(key().public_key())
        }
    }
    let found = sign_receipt(ratified(), &Liar(principal()));
    assert!(matches!(found, Err(SignError::DoesNotHold { .. })), "{found:?}");
}
