use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::keygen::KeyPair;

/// RFC 8037 appendix A.1.
const RFC_8037: &str = r#"{"kty":"OKP","crv":"Ed25519",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn principal() -> Did {
    Did::new("did:web:example.org").unwrap()
}

fn file(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

fn refused(text: &str) -> String {
    let (_folder, path) = file(text, 0o600);
    match Ed25519Signer::load(&path, principal()) {
        Err(SignError::Bad { why, .. }) => why,
        other => panic!("{text}: {other:?}"),
    }
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut jwk: Value = serde_json::from_str(RFC_8037).unwrap();
    change(&mut jwk);
    jwk.to_string()
}

#[test]
fn the_key_of_rfc_8037_signs() {
    for mode in [0o600, 0o400] {
        let (_folder, path) = file(RFC_8037, mode);
        let signer = Ed25519Signer::load(&path, principal()).unwrap();
        let bytes = CanonicalBytes::of("x").unwrap();
        let signature = signer.sign(&bytes).unwrap();
        let key = signer.public_key().unwrap();
        assert_eq!(key.to_base64url(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert!(key.verifies(b"\"x\"", &signature));
        let debug = format!("{signer:?}");
        assert!(debug.contains("11qY") && !debug.contains("nWGx") && !debug.contains("9d, 61"));
    }
}

#[test]
fn other_members_are_passed_over() {
    let text = with(|jwk| jwk["key_ops"] = json!(["sign", {"x": 1}]));
    let (_folder, path) = file(&text, 0o600);
    assert!(Ed25519Signer::load(&path, principal()).is_ok());
}

#[test]
fn what_is_no_key_is_refused_without_quoting_it() {
    for (text, expected) in [
        ("", "JSON"),
        ("[]", "JSON"),
        ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "JSON"),
        (&format!("{RFC_8037} {{}}"), "JSON"),
        (&with(|jwk| jwk["kty"] = json!("EC")), "`kty`"),
        (&with(|jwk| jwk["crv"] = json!("X25519")), "`crv`"),
        (&with(|jwk| drop(jwk.as_object_mut().unwrap().remove("d"))), "`d`"),
        (&with(|jwk| drop(jwk.as_object_mut().unwrap().remove("x"))), "`x`"),
        (
            &with(|jwk| jwk["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")),
            "`d`",
        ),
        (
            &with(|jwk| jwk["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2")),
            "`d`",
        ),
        (
            &with(|jwk| jwk["x"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            "public key of",
        ),
        (&RFC_8037.replace("nWGx", "n\\u0057Gx"), "`d`"),
        (&RFC_8037.replacen('{', r#"{"d":"x","#, 1), "`d`"),
        (&RFC_8037.replacen('{', r#"{"a":1,"a":1,"#, 1), "twice"),
        (&RFC_8037.replace("\"OKP\"", "\"nWGxne_9WmC6hEr0\\q\""), "JSON"),
        (&RFC_8037.replace("\"OKP\"", "12345"), "JSON"),
        (&format!("{RFC_8037}{}", " ".repeat(SIZE_MAX)), "16 KiB"),
    ] {
        let why = refused(text);
        assert!(why.contains(expected), "{text:.90}: {why}");
        assert!(!why.contains("nWGx") && !why.contains("12345"), "{why}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    for mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o644, 0o666] {
        let (_folder, path) = file(RFC_8037, mode);
        let error = Ed25519Signer::load(&path, principal()).unwrap_err();
        assert!(matches!(error, SignError::Permissions { mode: found, .. } if found == mode));
        assert_eq!(error.next_step(), format!("chmod 600 {}", path.display()));
    }
}

#[test]
fn only_a_plain_file_is_opened() {
    let (folder, path) = file(RFC_8037, 0o600);
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for (path, expected) in [
        (&link, "link"),
        (&fifo, "FIFO"),
        (&folder.path().to_owned(), "folder"),
    ] {
        let error = Ed25519Signer::load(path, principal()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let missing = folder.path().join("nothing");
    let error = Ed25519Signer::load(&missing, principal()).unwrap_err();
    assert!(error.is_missing());
    assert_eq!(error.to_string(), format!("missing {}", missing.display()));
}

#[test]
fn a_key_of_ours_loads() {
    let folder = TempDir::new().unwrap();
    let (key, path) = (KeyPair::generate().unwrap(), folder.path().join("a/b/key.json"));
    key.write_private(&path).unwrap();
    let signer = Ed25519Signer::load(&path, principal()).unwrap();
    assert_eq!(signer.public_key(), Some(key.public_key()));
}
