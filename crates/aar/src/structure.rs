//! The shape of a record: everything about it that needs no key.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::did;
use crate::key::Signature;
use crate::reason::{Reason, Step};
use crate::record::{Record, SIG};
use crate::text::brief;
use crate::time::is_rfc3339;

/// The version of the standard whose records are known.
pub(crate) const VERSION: &str = "0.02";

/// The one algorithm.
pub(crate) const ALGORITHM: &str = "Ed25519";

/// What a step says that failed.
pub(crate) type Failure = (Reason, Cow<'static, str>);

/// Members that must be there, and their type; then members that may be.
const MEMBERS: [(&[&str], Type, bool); 23] = [
    (&["aar"], Type::Text, true),
    (&["subject"], Type::Text, true),
    (&["principal"], Type::Text, true),
    (&["task"], Type::Object, true),
    (&["task", "id"], Type::Text, true),
    (&["task", "claim"], Type::Text, true),
    (&["verdict"], Type::Text, true),
    (&["reason"], Type::Text, true),
    (&["issued"], Type::Text, true),
    (&["quality"], Type::Text, false),
    (&["ground_truth"], Type::Text, false),
    (&["checks"], Type::List, false),
    (&["verifier"], Type::Object, false),
    (&["verifier", "id"], Type::Text, false),
    (&["verifier", "model"], Type::Text, false),
    (&["verifier", "independence"], Type::Text, false),
    (&["prior"], Type::Text, false),
    (&["log"], Type::Object, false),
    (&["evidence"], Type::Object, false),
    (&["evidence", "patch_sha256"], Type::Text, false),
    (&["evidence", "worker"], Type::Object, false),
    (&["evidence", "worker", "session"], Type::Text, false),
    (&["evidence", "worker", "attempts"], Type::Number, false),
];

const CHECK_TEXTS: [&str; 5] = ["source", "query", "observed_at", "response_sha256", "excerpt"];

const SIG_TEXTS: [&str; 3] = ["alg", "by", "value"];

const VALUES: [(&[&str], &[&str]); 4] = [
    (&["verdict"], &["verified", "rejected", "not_verified", "unclear"]),
    (&["ground_truth"], &["confirmed", "contradicted", "unchecked"]),
    (&["quality"], &["substantive", "shallow", "none"]),
    (
        &["verifier", "independence"],
        &["same_principal", "separate_principal", "third_party"],
    ),
];

#[derive(Clone, Copy)]
enum Type {
    Text,
    Object,
    List,
    Number,
}

impl Type {
    const fn matches(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Text, Value::String(_))
                | (Self::Object, Value::Object(_))
                | (Self::List, Value::Array(_))
                | (Self::Number, Value::Number(_))
        )
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Object => "an object",
            Self::List => "a list",
            Self::Number => "a number",
        }
    }
}

/// The members of `sig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sig<'a> {
    pub(crate) alg: &'a str,
    pub(crate) by: &'a str,
    pub(crate) value: &'a str,
}

/// The steps about what is signed, from [`Step::Members`] to [`Step::Issued`]; what a record without `sig` must pass too.
pub(crate) fn check_unsigned(record: &Record) -> Result<(), (Step, Failure)> {
    let at = |step| move |failure| (step, failure);
    members(record).map_err(at(Step::Members))?;
    version(record).map_err(at(Step::Version))?;
    identities(record).map_err(at(Step::Identities))?;
    values(record).map_err(at(Step::Values))?;
    issued(record).map_err(at(Step::Issued))
}

pub(crate) fn members(record: &Record) -> Result<(), Failure> {
    for (path, expected, required) in MEMBERS {
        match record.at(path) {
            None if required => {
                return Err((
                    Reason::MemberMissing,
                    format!("`{}` is missing", path.join(".")).into(),
                ));
            }
            Some(value) if !expected.matches(value) => return Err(wrong_type(&path.join("."), expected)),
            _ => {}
        }
    }
    let checks = record.at(&["checks"]).and_then(Value::as_array);
    checks.into_iter().flatten().enumerate().try_for_each(check_entry)
}

fn check_entry((index, entry): (usize, &Value)) -> Result<(), Failure> {
    let name = format!("checks[{index}]");
    let Value::Object(entry) = entry else {
        return Err(wrong_type(&name, Type::Object));
    };
    for text in CHECK_TEXTS {
        if entry.get(text).is_some_and(|value| !value.is_string()) {
            return Err(wrong_type(&format!("{name}.{text}"), Type::Text));
        }
    }
    Ok(())
}

fn wrong_type(name: &str, expected: Type) -> Failure {
    let text = format!("`{name}` is not {}", expected.name());
    (Reason::MemberType, text.into())
}

/// The signature's members: three texts and nothing beside them, since nothing covers what stands in there.
pub(crate) fn sig(record: &Record) -> Result<Sig<'_>, Failure> {
    let Some(sig) = record.sig() else {
        return Err((
            Reason::Unsigned,
            "there is no `sig`: the record is not signed".into(),
        ));
    };
    let Value::Object(sig) = sig else {
        return Err(wrong_type(SIG, Type::Object));
    };
    let text = |name: &'static str| match sig.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(wrong_type(&format!("sig.{name}"), Type::Text)),
        None => Err((Reason::MemberMissing, format!("`sig.{name}` is missing").into())),
    };
    let [alg, by, value] = SIG_TEXTS.map(text);
    let found = Sig {
        alg: alg?,
        by: by?,
        value: value?,
    };
    match sig.keys().find(|key| !SIG_TEXTS.contains(&key.as_str())) {
        None => Ok(found),
        Some(key) => {
            let text = format!("`sig.{}` is covered by no signature", brief(key));
            Err((Reason::MemberType, text.into()))
        }
    }
}

pub(crate) fn version(record: &Record) -> Result<(), Failure> {
    match record.text(&["aar"]) {
        Some(VERSION) => Ok(()),
        other => {
            let text = format!("`aar` is `{}`, not `{VERSION}`", brief(other.unwrap_or_default()));
            Err((Reason::VersionUnknown, text.into()))
        }
    }
}

pub(crate) fn identities(record: &Record) -> Result<(), Failure> {
    for path in [&["subject"][..], &["principal"], &["verifier", "id"]] {
        if let Some(text) = record.text(path) {
            is_did(&path.join("."), text)?;
        }
    }
    Ok(())
}

pub(crate) fn is_did(name: &str, text: &str) -> Result<(), Failure> {
    did::check(text).map_err(|error| {
        let text = format!("`{name}` is `{}`: {error}", brief(text));
        (Reason::NotADid, text.into())
    })
}

pub(crate) fn values(record: &Record) -> Result<(), Failure> {
    for (path, allowed) in VALUES {
        if let Some(text) = record.text(path).filter(|text| !allowed.contains(text)) {
            let (name, allowed) = (path.join("."), allowed.join("`, `"));
            let text = format!("`{name}` is `{}`, none of `{allowed}`", brief(text));
            return Err((Reason::ValueUnknown, text.into()));
        }
    }
    Ok(())
}

pub(crate) fn issued(record: &Record) -> Result<(), Failure> {
    let text = record.text(&["issued"]).unwrap_or_default();
    if is_rfc3339(text) {
        Ok(())
    } else {
        let text = format!("`issued` is `{}`, not an RFC 3339 time", brief(text));
        Err((Reason::NotATime, text.into()))
    }
}

pub(crate) fn algorithm(sig: Sig<'_>) -> Result<(), Failure> {
    if sig.alg == ALGORITHM {
        return Ok(());
    }
    let name = sig.alg.to_ascii_uppercase();
    let is_mac = ["HS", "HMAC", "CMAC", "KMAC", "GMAC", "POLY1305"]
        .iter()
        .any(|mac| name.starts_with(mac));
    let name = brief(sig.alg);
    Err(if is_mac {
        let text = format!("`sig.alg` is `{name}`, a MAC: who can check it can forge it");
        (Reason::AlgorithmMac, text.into())
    } else {
        let text = format!("`sig.alg` is `{name}`, not `{ALGORITHM}`");
        (Reason::AlgorithmUnknown, text.into())
    })
}

pub(crate) fn encoding(sig: Sig<'_>) -> Result<Signature, Failure> {
    Signature::from_base64url(sig.value).ok_or((
        Reason::SignatureEncoding,
        "`sig.value` is not 64 bytes in base64url without padding".into(),
    ))
}

/// Whether an entry of `checks` says all that is needed to ask again.
pub(crate) fn is_whole(entry: &Map<String, Value>) -> bool {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    !text("source").is_empty()
        && !text("query").is_empty()
        && is_rfc3339(text("observed_at"))
        && commitment(text("response_sha256")).is_some()
}

/// A SHA-256 in hex (the driver's profile) or base64url without padding (the standard).
pub(crate) fn commitment(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 {
        let digest = machine_driver_state::id::Digest::new(&text.to_ascii_lowercase()).ok()?;
        return Some(*digest.as_bytes());
    }
    crate::text::from_base64url(text)
}
