//! Ed25519 (RFC 8032) as it is checked here: strictly.

use std::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::text::{base64url, from_base64url};

/// A public key that is neither of small order nor written in a second way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why 32 bytes are not a public key that can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not 32 bytes of base64url.
    #[error("a key is 32 bytes in base64url without padding")]
    Encoding,
    /// The bytes are no point of the curve.
    #[error("the key is not a point of the curve")]
    NotAPoint,
    /// The point has another encoding, which RFC 8032 §5.1.3 demands.
    #[error("the key is not written in its canonical form")]
    NotCanonical,
    /// The point has small order: signatures for it hold for many messages at once.
    #[error("the key has small order")]
    SmallOrder,
}

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`KeyError`] for what is not a point, not canonical, or of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(key))
    }

    /// Reads the `x` of a JWK (RFC 8037 §2).
    ///
    /// # Errors
    /// [`KeyError`], also where the text is not 32 bytes of base64url without padding.
    pub fn from_base64url(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&from_base64url(text).ok_or(KeyError::Encoding)?)
    }

    /// The public key of a private one, which is canonical and of the full order.
    pub(crate) fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// The key as the `x` of a JWK.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        base64url(self.0.as_bytes())
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        *self.0.as_bytes()
    }

    /// Whether `signature` is this key's over `message`: without the cofactor, with `S` below the group's order, and with
    /// `R` canonical and not of small order, so that no one can turn a signature into another that also holds.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_base64url())
    }
}

/// An Ed25519 signature: 64 bytes, which may or may not hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Reads 64 bytes of base64url without padding.
    #[must_use]
    pub fn from_base64url(text: &str) -> Option<Self> {
        from_base64url(text).map(Self)
    }

    /// The signature as records and log lines hold it.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        base64url(&self.0)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 64] {
        self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64url())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer as _;

    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_alone() {
        let pair = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::of(&pair);
        let signature = Signature::from_bytes(pair.sign(b"abc").to_bytes());
        assert!(key.verifies(b"abc", &signature));
        assert!(!key.verifies(b"abd", &signature));
        assert_eq!(
            Signature::from_base64url(&signature.to_base64url()),
            Some(signature)
        );
        assert_eq!(PublicKey::from_base64url(&key.to_base64url()), Ok(key));
        assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
    }

    #[test]
    fn s_plus_the_order_does_not_hold() {
        // The group's order, little-endian (RFC 8032 §5.1).
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let pair = SigningKey::from_bytes(&[7; 32]);
        let mut bytes = pair.sign(b"abc").to_bytes();
        let mut carry = 0;
        for (byte, add) in bytes[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        let key = PublicKey::of(&pair);
        assert!(!key.verifies(b"abc", &Signature::from_bytes(bytes)));
    }

    #[test]
    fn weak_and_second_encodings_are_refused() {
        let of = |first: u8, middle: u8, last: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (first, last);
            PublicKey::from_bytes(&bytes)
        };
        assert_eq!(of(1, 0, 0), Err(KeyError::SmallOrder));
        assert_eq!(of(0, 0, 0), Err(KeyError::SmallOrder));
        assert_eq!(of(0xec, 0xff, 0x7f), Err(KeyError::SmallOrder));
        // y = p + 1 and y = p: the same points once more.
        assert_eq!(of(0xee, 0xff, 0x7f), Err(KeyError::NotCanonical));
        assert_eq!(of(0xed, 0xff, 0x7f), Err(KeyError::NotCanonical));
        // x = 0 with the sign bit.
        assert_eq!(of(1, 0, 0x80), Err(KeyError::NotCanonical));
        assert_eq!(of(2, 0, 0), Err(KeyError::NotAPoint));
        assert_eq!(PublicKey::from_base64url("AQ"), Err(KeyError::Encoding));
    }
}
