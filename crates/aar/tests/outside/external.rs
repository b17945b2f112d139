//! The signer that runs a tool, with a tool that keeps to the standard's command line and can be told to misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use machine_driver_aar::{
    CommandSigner, Did, DidDocument, Ed25519Signer, Level, Record, SignError, Unsigned, Verifier,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::document;
use crate::support::{fixtures, json, node, say};

struct Tool {
    _folder: TempDir,
    script: PathBuf,
    key: PathBuf,
}

/// The tool in a folder of its own, in a mode; the corpus's key beside it, for its owner alone.
fn tool(mode: &str) -> Tool {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("sign.mjs");
    let key = folder.path().join("org.jwk");
    fs::copy(fixtures().join("sign.mjs"), &script).unwrap();
    fs::copy(fixtures().join("keys/org.jwk"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.path().join("mode"), mode).unwrap();
    Tool {
        _folder: folder,
        script,
        key,
    }
}

fn principal() -> Did {
    Did::new("did:web:example.com").unwrap()
}

/// A good record of the corpus without its signature.
fn unsigned(name: &str) -> Unsigned {
    let mut value = json(&fixtures().join(name));
    value
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key != "sig" && !key.starts_with('_'));
    Unsigned::of(Record::read(value.to_string().as_bytes()).unwrap()).unwrap()
}

fn has_node() -> bool {
    node("numbers.mjs", &["0"]).is_some()
}

#[test]
fn a_good_tool_signs_as_the_key_itself_does() {
    if !has_node() {
        return;
    }
    let tool = tool("good");
    let external = CommandSigner::load(&tool.script, &tool.key, principal()).unwrap();
    let native = Ed25519Signer::load(&tool.key, principal()).unwrap();
    let verifier = Verifier::new(vec![document("did/org.json")]);
    let names = [
        "verified",
        "rejected",
        "unclear",
        "unicode",
        "terminal-escapes",
        "control-characters",
        "integers",
        "deep",
    ];
    for name in names {
        let unsigned = unsigned(&format!("good/{name}.json"));
        let signed = unsigned.sign(&external, None).unwrap();
        // Ed25519 gives one signature for one message.
        assert_eq!(signed, unsigned.sign(&native, None).unwrap(), "{name}");
        assert_eq!(
            verifier.check(signed.to_json().as_bytes()).level,
            Some(Level::L2),
            "{name}"
        );
    }
    // What it writes beside is not looked at, however much it is.
    let noisy = self::tool("noisy");
    let noisy = CommandSigner::load(&noisy.script, &noisy.key, principal()).unwrap();
    let unsigned = unsigned("good/verified.json");
    assert_eq!(
        unsigned.sign(&noisy, None).unwrap(),
        unsigned.sign(&native, None).unwrap()
    );
    say(&format!(
        "aar: {} records signed by a tool, byte for byte as by the key",
        names.len()
    ));
}

#[test]
fn a_bad_tool_changes_nothing() {
    if !has_node() {
        return;
    }
    let modes = [
        "lie",
        "change",
        "other-key",
        "garbage",
        "empty",
        "silent",
        "fail",
        "huge",
        "gone",
        "unknown-mode",
    ];
    for mode in modes {
        let tool = tool(mode);
        let signer = CommandSigner::load(&tool.script, &tool.key, principal()).unwrap();
        let secret = json(&tool.key)["d"].as_str().unwrap().to_owned();
        match unsigned("good/rejected.json").sign(&signer, None) {
            Err(error @ SignError::ToolFailed { .. }) => {
                assert!(!error.to_string().contains(&secret), "{mode}");
                assert!(!error.is_missing(), "{mode}");
                assert!(error.to_string().contains("sign.mjs"), "{mode}: {error}");
            }
            other => panic!("{mode}: {other:?}"),
        }
    }
    say(&format!("aar: {} kinds of bad tools refused", modes.len() + 1));
}

#[test]
fn a_tool_that_hangs_is_ended() {
    if !has_node() {
        return;
    }
    let tool = tool("hang");
    let signer = CommandSigner::load(&tool.script, &tool.key, principal())
        .unwrap()
        .wall(Duration::from_secs(1));
    let error = unsigned("good/verified.json").sign(&signer, None).unwrap_err();
    assert!(error.to_string().contains("did not end within 1 s"), "{error}");
}

/// A tool with a key of another principal, or none at all.
#[test]
fn what_is_missing_is_named() {
    if !has_node() {
        return;
    }
    let tool = tool("good");
    let gone = tool.key.with_file_name("gone.jwk");
    let error = CommandSigner::load(&tool.script, &gone, principal()).unwrap_err();
    assert!(
        error.is_missing() && error.to_string().contains("gone.jwk"),
        "{error}"
    );
    let error = CommandSigner::load(&gone, &tool.key, principal()).unwrap_err();
    assert!(
        error.is_missing() && error.to_string().contains("gone.jwk"),
        "{error}"
    );
    fs::set_permissions(&tool.key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = CommandSigner::load(&tool.script, &tool.key, principal()).unwrap_err();
    assert!(
        matches!(error, SignError::Permissions { mode: 0o640, .. }),
        "{error}"
    );
    assert_eq!(error.next_step(), format!("chmod 600 {}", tool.key.display()));
}

/// Every private key of the corpus loads, and is the one that its DID document publishes.
#[test]
fn the_keys_of_the_corpus_are_those_of_its_documents() {
    for (name, did) in [
        ("org", "did:web:example.com"),
        ("auditor", "did:web:auditor.example.org"),
        ("other", "did:web:other.example"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.jwk");
        fs::copy(fixtures().join(format!("keys/{name}.jwk")), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let signer = Ed25519Signer::load(&path, Did::new(did).unwrap()).unwrap();
        let published: DidDocument = document(&format!("did/{name}.json"));
        assert_eq!(
            published.keys(),
            [machine_driver_aar::Signer::public_key(&signer).unwrap()]
        );
        assert_eq!(published.id().as_str(), did);
        let secret: Value = json(&path);
        assert!(!format!("{signer:?}").contains(secret["d"].as_str().unwrap()));
    }
}
