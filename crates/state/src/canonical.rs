//! The one byte form of a value that is hashed or signed: RFC 8785 (JSON Canonicalization Scheme).

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::id::Digest;

mod plain;

/// A value has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("could not write a value in its RFC 8785 form")]
#[non_exhaustive]
pub struct CanonicalError {
    source: serde_json::Error,
}

/// The RFC 8785 form of `value`: no white space, keys in order of their UTF-16 units (§3.2.3), numbers as ECMAScript
/// prints them (§3.2.2.3).
///
/// Every number goes through a double, as the RFC has it: integers above 2^53 lose their last digits, so what is
/// hashed must not hold any. A NaN or an infinity inside a value becomes `null`, as `serde_json` writes it.
///
/// # Errors
/// [`CanonicalError`] where `value` cannot be written as JSON, for example because a map has keys that are not texts.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    serde_jcs::to_vec(value).map_err(|source| CanonicalError { source })
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// The SHA-256 of the RFC 8785 form of `value`.
///
/// # Errors
/// As [`canonical_json`].
pub fn digest_of<T: Serialize + ?Sized>(value: &T) -> Result<Digest, CanonicalError> {
    canonical_json(value).map(|bytes| sha256(&bytes))
}

/// As [`digest_of`], by a shorter way where the values allow it.
pub(crate) fn digest_of_fields(fields: &Map<String, Value>) -> Result<Digest, CanonicalError> {
    let mut bytes = Vec::with_capacity(1024);
    match plain::object(fields, &mut bytes) {
        Some(()) => Ok(sha256(&bytes)),
        None => digest_of(fields),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, expected: &str) {
        assert_eq!(
            String::from_utf8(canonical_json(value).unwrap()).unwrap(),
            expected
        );
    }

    /// The example of RFC 8785 §3.2.2 and §3.2.3.
    #[test]
    fn the_examples_of_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        )
        .unwrap();
        check(
            &value,
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
        );
        let value =
            json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        check(
            &value,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}",
        );
    }

    #[test]
    fn nested_objects_are_ordered_too() {
        check(
            &json!({"b": [{"z": 1, "a": {"y": -0.0, "x": 2.0}}], "a": {}}),
            r#"{"a":{},"b":[{"a":{"x":2,"y":0},"z":1}]}"#,
        );
    }

    #[test]
    fn sha256_is_the_one_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").to_string(), expected);
        assert_eq!(digest_of(&json!([1, "a"])).unwrap(), sha256(br#"[1,"a"]"#));
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        let keys_that_are_not_texts = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert!(canonical_json(&keys_that_are_not_texts).is_err());
    }
}
