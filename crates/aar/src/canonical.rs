//! A short way to the RFC 8785 form of what records hold, several times faster than the general one.
//!
//! What was read strictly has texts, integers within 2^53 - 1, `true`, `false`, `null`, lists and objects. For those
//! nothing of the RFC is open: §3.2.2.2 asks for the escapes that `serde_json` writes, §3.2.2.3 for plain digits, §3.2.3
//! for keys in the order of their UTF-16 units. Anything else is left to `serde_jcs`; a property test holds the two
//! together.

use std::cmp::Ordering;

use machine_driver_state::canonical::{CanonicalError, canonical_json};
use serde_json::{Map, Value};

use crate::json::INTEGER_MAX;

/// The form of an object with these members, and perhaps one more.
pub(crate) fn object(
    fields: &Map<String, Value>,
    more: Option<(&str, &Value)>,
) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(2048);
    if write_object(fields, more, &mut out).is_some() {
        return Ok(out);
    }
    let mut all = fields.clone();
    all.extend(more.map(|(key, value)| (key.to_owned(), value.clone())));
    canonical_json(&all)
}

/// None, having written something, where this way does not know the value.
fn write_object(fields: &Map<String, Value>, more: Option<(&str, &Value)>, out: &mut Vec<u8>) -> Option<()> {
    let own = fields.iter().map(|(key, value)| (key.as_str(), value));
    let mut entries: Vec<(&str, &Value)> = own.chain(more).collect();
    entries.sort_unstable_by(|(a, _), (b, _)| order(a, b));
    out.push(b'{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out)?;
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Some(())
}

/// UTF-16 and UTF-8 order differently where a character beyond U+FFFF meets one from U+E000 on.
fn order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        a.cmp(b)
    } else {
        a.encode_utf16().cmp(b.encode_utf16())
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::String(text) => write_text(text, out)?,
        Value::Object(fields) => write_object(fields, None, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Number(number) => {
            let whole = number
                .as_i64()
                .filter(|whole| whole.unsigned_abs() <= INTEGER_MAX)?;
            serde_json::to_writer(out, &whole).ok()?;
        }
    }
    Some(())
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        Some(())
    } else {
        serde_json::to_writer(out, text).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000..1000_i64).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop_oneof![any::<String>(), "[a-c\u{e000}\u{1f600}\u{20ac}\"\\\\]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_serde_jcs_writes(value in any_value(), more in any_value()) {
            let fields = json!({"value": value, "\u{e000}": "a", "\u{1f600}": "b"});
            let fields = fields.as_object().unwrap();
            prop_assert_eq!(object(fields, None).unwrap(), canonical_json(fields).unwrap());
            let mut all = fields.clone();
            all.insert("sig".to_owned(), more.clone());
            prop_assert_eq!(object(fields, Some(("sig", &more))).unwrap(), canonical_json(&all).unwrap());
        }
    }

    /// What records hold goes the short way.
    #[test]
    fn records_go_the_short_way() {
        let value =
            json!({"\u{1f600}": [1, -1, null], "ä": {"b": "\u{7f}\u{1}", "a": true}, "\u{e000}": "x"});
        let mut out = Vec::new();
        assert!(write_value(&value, &mut out).is_some());
        let expected =
            "{\"ä\":{\"a\":true,\"b\":\"\u{7f}\\u0001\"},\"\u{1f600}\":[1,-1,null],\"\u{e000}\":\"x\"}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
