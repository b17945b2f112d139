use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::reason::Level;
use crate::testing::{draft, key, principal, verifier};

/// As `aar.mjs sign` works, in as few words.
const TOOL: &str = r#"
import crypto from "node:crypto"; import fs from "node:fs";
const [, , verb, file, flag, keyFile] = process.argv;
if (verb !== "sign" || flag !== "--priv") process.exit(9);
const key = crypto.createPrivateKey({ key: JSON.parse(fs.readFileSync(keyFile, "utf8")), format: "jwk" });
const record = JSON.parse(fs.readFileSync(file, "utf8"));
const sort = (v) => Array.isArray(v) ? v.map(sort) : v && typeof v === "object"
  ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sort(v[k])])) : v;
const value = crypto.sign(null, Buffer.from(JSON.stringify(sort(record))), key).toString("base64url");
record.sig = { alg: "Ed25519", by: record.principal, value };
fs.writeFileSync(file, JSON.stringify(record, null, 2) + "\n");
"#;

struct Place {
    folder: TempDir,
}

impl Place {
    /// With a key, and a tool that `sh` runs in place of Node; `$2` is the record's file.
    fn new(tool: &str) -> Self {
        let place = Self {
            folder: TempDir::new().unwrap(),
        };
        key().write_private(&place.path("key.json")).unwrap();
        fs::write(place.path("tool"), tool).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signer(&self) -> CommandSigner {
        CommandSigner {
            node: "/bin/sh".into(),
            tool: self.path("tool"),
            key: self.path("key.json"),
            principal: principal(),
            public: key().public_key(),
            wall: Duration::from_secs(20),
        }
    }

    fn refusal(&self) -> String {
        match draft("t1").build().unwrap().sign(&self.signer(), None) {
            Err(SignError::ToolFailed { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }
}

/// A tool that leaves `record` signed, with `change` made to it.
fn leaves(change: &str) -> String {
    let signed = draft("t1")
        .build()
        .unwrap()
        .sign(&key().signer(principal()), None)
        .unwrap();
    let text = signed.to_json();
    format!("cat > \"$2\" <<'END'\n{text}END\n{change}\n")
}

#[test]
fn what_comes_back_is_taken_if_it_is_the_same_record_and_holds() {
    let place = Place::new(&leaves(
        "test \"$3\" = --priv && test -r \"$4\" && test \"$1\" = sign",
    ));
    let signed = draft("t1").build().unwrap().sign(&place.signer(), None).unwrap();
    assert_eq!(
        verifier().check(signed.to_json().as_bytes()).level,
        Some(Level::L2)
    );
}

#[test]
fn what_comes_back_otherwise_is_refused() {
    for (tool, expected) in [
        (
            leaves(r#"sed -i 's/make the tests pass/take it easy/' "$2""#),
            "changed the record",
        ),
        (
            leaves(r#"sed -i 's/"reason"/"_x": "y", "reason"/' "$2""#),
            "changed the record",
        ),
        (
            leaves(r#"sed -i 's/"alg": "Ed25519"/"alg": "HS256"/' "$2""#),
            "MAC",
        ),
        (
            leaves(r#"sed -i 's/"by": "did:web:example.org"/"by": "did:web:evil.org"/' "$2""#),
            "someone else",
        ),
        (
            leaves(r#"sed -i 's/"value": "...../"value": "AAAAA/' "$2""#),
            "does not hold",
        ),
        (
            leaves(r#"sed -i 's/"reason"/"aar": "1", "reason"/' "$2""#),
            "twice",
        ),
        (leaves("rm \"$2\""), "nothing that can be read"),
        (leaves("rm \"$2\"; ln -s /etc/hostname \"$2\""), "link"),
        (leaves("rm \"$2\"; mkfifo \"$2\""), "FIFO"),
        (leaves("head -c 2000000 /dev/zero > \"$2\""), "2000000 bytes"),
        (leaves("exit 3"), "status 3"),
        (leaves("kill -9 $$"), "signal 9"),
        (leaves("cat /dev/zero"), "65536 bytes"),
        ("true".to_owned(), "not signed"),
    ] {
        let why = Place::new(&tool).refusal();
        assert!(why.contains(expected), "{tool:.1000}: {why}");
    }
}

#[test]
fn a_tool_that_hangs_is_stopped() {
    let place = Place::new("sleep 1000");
    let signer = place.signer().wall(Duration::from_millis(200));
    let error = draft("t1").build().unwrap().sign(&signer, None).unwrap_err();
    assert!(error.to_string().contains("did not end within 0.2 s"), "{error}");
    assert!(!error.next_step().is_empty());
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new("");
    let load = |tool: &str, key: &str| CommandSigner::load(&place.path(tool), &place.path(key), principal());
    for (tool, key, path) in [("none", "key.json", "none"), ("tool", "none", "none")] {
        let error = load(tool, key).unwrap_err();
        assert!(error.is_missing());
        assert_eq!(
            error.to_string(),
            format!("missing {}", place.path(path).display())
        );
    }
    fs::set_permissions(place.path("key.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let (tool, key_file) = (place.path("tool"), place.path("key.json"));
    let known = CommandSigner::with_key(&tool, &key_file, principal(), key().public_key());
    for refused in [load("tool", "key.json"), known] {
        assert!(matches!(refused, Err(SignError::Permissions { .. })));
    }
}

#[test]
fn nothing_of_the_record_stays_behind() {
    let place = Place::new("echo \"$PWD\" > \"${4%/*}/where\"; exit 1");
    place.refusal();
    let folder = fs::read_to_string(place.path("where")).unwrap();
    assert!(folder.contains("machine-driver-aar-") && !Path::new(folder.trim()).exists());
    assert!(!format!("{:?}", place.signer()).contains("\"d\""));
}

#[test]
fn node_signs_with_a_tool_like_the_reference() {
    let place = Place::new("");
    let tool = place.path("aar.mjs");
    fs::write(&tool, TOOL).unwrap();
    match CommandSigner::load(&tool, &place.path("key.json"), principal()) {
        Err(SignError::Missing { path }) if path == Path::new("node") => {
            eprintln!("skipped: no node on this machine");
        }
        signer => {
            let signed = draft("t1").build().unwrap().sign(&signer.unwrap(), None).unwrap();
            assert_eq!(
                verifier().check(signed.to_json().as_bytes()).level,
                Some(Level::L2)
            );
        }
    }
}
