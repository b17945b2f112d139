//! DID documents: which keys speak for a DID.

use serde_json::{Map, Value};

use crate::did::{Did, DidError};
use crate::json::{self, JsonError, Kind};
use crate::key::{KeyError, PublicKey};
use crate::record::ReadError;
use crate::text::brief;

/// A DID document (W3C DID Core §5), as far as signatures of records need it: its id, and the Ed25519 keys that it lists
/// under `assertionMethod`, by reference or in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DidDocument {
    pub(crate) id: Did,
    pub(crate) keys: Vec<PublicKey>,
    /// The first key of `assertionMethod` that cannot be trusted, and why.
    pub(crate) bad: Option<(String, KeyError)>,
}

/// A file is not a DID document that can be used. Texts in here are foreign: escape them before printing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The file is larger than [`DidDocument::SIZE_MAX`].
    #[error(
        "the file has {bytes} bytes; a DID document has at most {}",
        DidDocument::SIZE_MAX
    )]
    TooLarge {
        /// Bytes in the file.
        bytes: usize,
    },
    /// It is not JSON of the strict kind.
    #[error("{source}")]
    Json {
        /// What the reader says.
        source: ReadError,
    },
    /// Its `id` is not a DID.
    #[error("`id` is `{text}`: {source}")]
    Id {
        /// What it says.
        text: String,
        /// What is wrong with it.
        source: DidError,
    },
    /// A member is not of the shape that DID Core gives it.
    #[error("`{member}` {what}")]
    Member {
        /// Which one.
        member: &'static str,
        /// What is wrong with it, as a clause.
        what: &'static str,
    },
    /// It holds a private key, which is now known to everyone who has the document.
    #[error("the method `{method}` holds a private key (`d`): it must not be used any more")]
    PrivateKey {
        /// The method's id.
        method: String,
    },
}

impl From<JsonError> for DocumentError {
    fn from(error: JsonError) -> Self {
        Self::Json { source: error.into() }
    }
}

impl DidDocument {
    /// The largest file that is read as a DID document, in bytes.
    pub const SIZE_MAX: usize = 64 << 10;

    /// The most entries that a list of methods may have.
    pub const METHODS_MAX: usize = 64;

    /// Reads a document; every key may stand once in an object.
    ///
    /// Methods that hold no Ed25519 JWK are passed over. Keys that cannot be trusted are kept apart, so that a
    /// verification can say why.
    ///
    /// # Errors
    /// [`DocumentError`] where it is too large, not JSON, not of the shape of a DID document, or holds a private key.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > Self::SIZE_MAX {
            return Err(DocumentError::TooLarge { bytes: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|error| DocumentError::Json {
            source: ReadError::NotUtf8 {
                at: error.valid_up_to(),
            },
        })?;
        let fields = json::object(text, Kind::Document)?;
        let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = Did::new(id).map_err(|source| DocumentError::Id {
            text: brief(id),
            source,
        })?;
        let methods = list(&fields, "verificationMethod")?;
        let methods: Vec<Method<'_>> = methods
            .iter()
            .map(|method| Method::read(method, &id))
            .collect::<Result<_, _>>()?;
        let mut document = Self {
            id,
            keys: Vec::new(),
            bad: None,
        };
        for entry in list(&fields, "assertionMethod")? {
            document.assert(entry, &methods)?;
        }
        Ok(document)
    }

    /// Whose document it is.
    #[must_use]
    pub const fn id(&self) -> &Did {
        &self.id
    }

    /// The keys that can be trusted to speak for it.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    fn assert(&mut self, entry: &Value, methods: &[Method<'_>]) -> Result<(), DocumentError> {
        match entry {
            Value::String(reference) => {
                let reference = absolute(reference, &self.id);
                for method in methods.iter().filter(|method| method.id == reference) {
                    self.add(method);
                }
            }
            method => {
                let method = Method::read(method, &self.id)?;
                self.add(&method);
            }
        }
        Ok(())
    }

    fn add(&mut self, method: &Method<'_>) {
        match method.x.map(PublicKey::from_base64url) {
            Some(Ok(key)) if !self.keys.contains(&key) => self.keys.push(key),
            Some(Err(error)) if self.bad.is_none() => self.bad = Some((brief(&method.id), error)),
            _ => {}
        }
    }
}

fn list<'a>(fields: &'a Map<String, Value>, member: &'static str) -> Result<&'a [Value], DocumentError> {
    match fields.get(member) {
        None => Ok(&[]),
        Some(Value::Array(items)) if items.len() <= DidDocument::METHODS_MAX => Ok(items),
        Some(Value::Array(_)) => Err(DocumentError::Member {
            member,
            what: "has more than 64 entries",
        }),
        Some(_) => Err(DocumentError::Member {
            member,
            what: "is not a list",
        }),
    }
}

/// A verification method: its full id, and its Ed25519 key, if it has one.
struct Method<'a> {
    id: String,
    x: Option<&'a str>,
}

impl<'a> Method<'a> {
    fn read(method: &'a Value, document: &Did) -> Result<Self, DocumentError> {
        let id = method
            .get("id")
            .and_then(Value::as_str)
            .ok_or(DocumentError::Member {
                member: "verificationMethod",
                what: "has an entry without an `id`",
            })?;
        let id = absolute(id, document);
        let Some(Value::Object(jwk)) = method.get("publicKeyJwk") else {
            return Ok(Self { id, x: None });
        };
        if jwk.contains_key("d") {
            return Err(DocumentError::PrivateKey { method: brief(&id) });
        }
        let is = |name: &str, expected: &str| jwk.get(name).and_then(Value::as_str) == Some(expected);
        let is_ed25519 = is("kty", "OKP") && is("crv", "Ed25519");
        let x = jwk.get("x").and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            id,
            x: is_ed25519.then_some(x),
        })
    }
}

/// DID Core §3.2.2: `#key-1` is relative to the document's id.
fn absolute(reference: &str, document: &Did) -> String {
    if reference.starts_with('#') {
        format!("{document}{reference}")
    } else {
        reference.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keygen::KeyPair;

    fn document() -> (KeyPair, Value) {
        let key = KeyPair::of_seed(&[7; 32]);
        let text = key.did_document(&Did::new("did:web:example.org").unwrap());
        (key, serde_json::from_str(&text).unwrap())
    }

    fn read(value: &Value) -> Result<DidDocument, DocumentError> {
        DidDocument::read(value.to_string().as_bytes())
    }

    #[test]
    fn keys_come_from_assertion_method_alone() {
        let (key, good) = document();
        assert_eq!(read(&good).unwrap().keys(), [key.public_key()]);
        let method = good["verificationMethod"][0].clone();
        for (assertion, keys) in [
            (json!(["#key-1"]), 1),
            (json!(["did:web:example.org#key-1", "#key-1"]), 1),
            (json!([method]), 1),
            (json!([]), 0),
            (json!(["#key-2", "did:web:other.org#key-1"]), 0),
        ] {
            let mut changed = good.clone();
            changed["assertionMethod"] = assertion;
            assert_eq!(read(&changed).unwrap().keys().len(), keys, "{changed}");
        }
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove("assertionMethod");
        changed["authentication"] = json!(["#key-1"]);
        assert_eq!(read(&changed).unwrap().keys(), []);
    }

    #[test]
    fn keys_that_cannot_be_trusted_are_kept_apart() {
        let (_, good) = document();
        for (member, value, is_bad) in [
            ("x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), true),
            ("x", json!("AQ=="), true),
            ("x", json!(1), true),
            ("crv", json!("X25519"), false),
            ("kty", json!("EC"), false),
        ] {
            let mut changed = good.clone();
            changed["verificationMethod"][0]["publicKeyJwk"][member] = value;
            let read = read(&changed).unwrap();
            assert_eq!((read.keys().len(), read.bad.is_some()), (0, is_bad), "{changed}");
        }
    }

    #[test]
    fn other_shapes_and_private_keys_are_refused() {
        let (_, good) = document();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut changed = good.clone();
            change(&mut changed);
            read(&changed).unwrap_err().to_string()
        };
        assert!(with(&|d| d["id"] = json!("example.org")).contains("`id`"));
        assert!(with(&|d| d["verificationMethod"] = json!({})).contains("not a list"));
        assert!(with(&|d| d["assertionMethod"] = json!(vec!["#x"; 65])).contains("64"));
        assert!(with(&|d| d["assertionMethod"] = json!([1])).contains("`id`"));
        let private = with(&|d| d["verificationMethod"][0]["publicKeyJwk"]["d"] = json!("secret"));
        assert!(private.contains("private") && !private.contains("secret"));
        let twice = good
            .to_string()
            .replacen("\"id\"", "\"id\":\"did:web:other.org\",\"id\"", 1);
        assert!(
            DidDocument::read(twice.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
        let large = format!("{good}{}", " ".repeat(DidDocument::SIZE_MAX));
        assert!(matches!(
            DidDocument::read(large.as_bytes()),
            Err(DocumentError::TooLarge { .. })
        ));
    }
}
