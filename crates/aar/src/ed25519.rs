//! The signer with a key in a file (RFC 8037: JWK, `kty` OKP, `crv` Ed25519).

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::dir::open_plain;
use crate::key::{PublicKey, Signature};
use crate::signer::{SignError, Signer};
use crate::text::{from_base64url, secret_from_base64url};

/// The largest file that is read as a key, in bytes.
const SIZE_MAX: usize = 16 << 10;

/// Signs with a private key, which shows in no output.
///
/// The key, and the file's bytes on the way to it, are wiped from memory when they are dropped. Copies that the compiler
/// makes on the stack are beyond the reach of safe code.
pub struct Ed25519Signer {
    principal: Did,
    key: Box<SigningKey>,
}

impl Ed25519Signer {
    /// Reads the key at `path`, for `principal`.
    ///
    /// # Errors
    /// [`SignError`] where the file is missing, a link or not a plain file, open to group or others, larger than 16 KiB,
    /// or not a JWK of an Ed25519 key whose `x` is the public key of its `d`.
    pub fn load(path: &Path, principal: Did) -> Result<Self, SignError> {
        Ok(Self {
            principal,
            key: load(path)?,
        })
    }

    pub(crate) const fn new(key: Box<SigningKey>, principal: Did) -> Self {
        Self { principal, key }
    }
}

impl Signer for Ed25519Signer {
    fn principal(&self) -> &Did {
        &self.principal
    }

    fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError> {
        Ok(Signature::from_bytes(self.key.sign(bytes.as_bytes()).to_bytes()))
    }

    fn public_key(&self) -> Option<PublicKey> {
        Some(PublicKey::of(&self.key))
    }
}

/// Without the private key.
impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer")
            .field("principal", &self.principal)
            .field("public_key", &PublicKey::of(&self.key))
            .finish_non_exhaustive()
    }
}

/// Reads a private key; see [`Ed25519Signer::load`].
pub(crate) fn load(path: &Path) -> Result<Box<SigningKey>, SignError> {
    let file = open_plain(path).map_err(SignError::unreadable("open", path))?;
    let metadata = file.metadata().map_err(SignError::unreadable("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(SignError::Permissions { path, mode });
    }
    let text = read(&file, path)?;
    key_of(&text).map_err(|why| SignError::bad(path, why))
}

/// The file's bytes, in memory that is wiped and was never moved.
fn read(file: &File, path: &Path) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let mut bytes = Zeroizing::new(vec![0; SIZE_MAX + 1]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match (&*file).read(room).map_err(SignError::unreadable("read", path))? {
            0 => break,
            count => length += count,
        }
    }
    if length > SIZE_MAX {
        return Err(SignError::bad(path, "is larger than 16 KiB, and not a key"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The key in a JWK, or what is wrong with it, as a clause that quotes nothing.
fn key_of(text: &[u8]) -> Result<Box<SigningKey>, String> {
    let mut source = serde_json::Deserializer::from_slice(text);
    let jwk = JwkReader
        .deserialize(&mut source)
        .and_then(|jwk| source.end().map(|()| jwk));
    // Only errors of our own are passed on: serde_json's could quote what it read.
    let jwk = jwk.map_err(|error| {
        let text = error.to_string();
        let own = text
            .strip_prefix(OWN)
            .map(|own| own.split(" at line ").next().unwrap_or_default().to_owned());
        own.unwrap_or_else(|| format!("is not a JSON object (line {})", error.line()))
    })?;
    if jwk.kty.as_deref() != Some("OKP") || jwk.crv.as_deref() != Some("Ed25519") {
        return Err("is not a JWK with `kty` OKP and `crv` Ed25519".into());
    }
    let secret = jwk.d.ok_or("has no private key (`d`)")?;
    let public = jwk.x.ok_or("has no public key (`x`)")?;
    let key = Box::new(SigningKey::from_bytes(&secret));
    if key.verifying_key().to_bytes() == public {
        Ok(key)
    } else {
        Err("has an `x` that is not the public key of its `d`".into())
    }
}

/// What errors of the reader begin with that are our own.
const OWN: &str = "key file: ";

#[derive(Default)]
struct Jwk {
    kty: Option<String>,
    crv: Option<String>,
    x: Option<[u8; 32]>,
    d: Option<Zeroizing<[u8; 32]>>,
}

/// Takes `d` from the file's own bytes, so that no copy of its text is made.
struct JwkReader;

impl<'de> DeserializeSeed<'de> for JwkReader {
    type Value = Jwk;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Jwk, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JwkReader {
    type Value = Jwk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON Web Key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Jwk, A::Error> {
        let own = |what: String| A::Error::custom(format_args!("{OWN}{what}"));
        let (mut jwk, mut seen) = (Jwk::default(), Vec::new());
        while let Some(name) = entries.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(own("has a key that stands twice".into()));
            }
            match name.as_str() {
                "kty" => jwk.kty = Some(entries.next_value()?),
                "crv" => jwk.crv = Some(entries.next_value()?),
                "x" => {
                    let text = entries.next_value::<Cow<'_, str>>()?;
                    jwk.x = Some(from_base64url(&text).ok_or_else(|| own(not_a_key("x")))?);
                }
                "d" => {
                    let text = entries.next_value_seed(Borrowed)?;
                    let bytes = text.and_then(secret_from_base64url);
                    jwk.d = Some(bytes.ok_or_else(|| own(not_a_key("d")))?);
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
            seen.push(name);
        }
        Ok(jwk)
    }
}

fn not_a_key(name: &str) -> String {
    format!("has a `{name}` that is not 32 bytes in base64url without padding")
}

/// A text without escapes, where it stands; none for anything else.
struct Borrowed;

impl<'de> DeserializeSeed<'de> for Borrowed {
    type Value = Option<&'de str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Borrowed {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(text))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
#[path = "ed25519/tests.rs"]
mod tests;
