//! A short way to the RFC 8785 form of what the log's records hold, several times faster than the general one.
//!
//! It knows texts, whole numbers that a double holds exactly, `true`, `false`, `null`, and objects with ASCII keys, where
//! the order of UTF-16 units is that of bytes. For such values nothing of the RFC is open: §3.2.2.2 asks for the escapes
//! that serde_json writes, §3.2.2.3 for plain digits. Anything else is left to `serde_jcs`; a property test holds the two
//! together.

use serde_json::{Map, Value};

/// Whole numbers up to here are exact in a double (2^53), and written without an exponent.
const EXACT: u64 = 1 << 53;

/// Appends the object's form to `out`, or returns `None`, having appended something, where this way does not know it.
pub(super) fn object(fields: &Map<String, Value>, out: &mut Vec<u8>) -> Option<()> {
    let mut entries: Vec<(&String, &Value)> = fields.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
    out.push(b'{');
    for (index, (key, item)) in entries.into_iter().enumerate() {
        if !key.is_ascii() {
            return None;
        }
        if index > 0 {
            out.push(b',');
        }
        text(key, out)?;
        out.push(b':');
        value(item, out)?;
    }
    out.push(b'}');
    Some(())
}

fn value(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::String(string) => text(string, out)?,
        Value::Object(fields) => object(fields, out)?,
        Value::Array(items) => array(items, out)?,
        Value::Number(number) => {
            let whole = number.as_i64().filter(|whole| whole.unsigned_abs() <= EXACT)?;
            serde_json::to_writer(out, &whole).ok()?;
        }
    }
    Some(())
}

fn array(items: &[Value], out: &mut Vec<u8>) -> Option<()> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value(item, out)?;
    }
    out.push(b']');
    Some(())
}

fn text(string: &str, out: &mut Vec<u8>) -> Option<()> {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if string.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(string.as_bytes());
        out.push(b'"');
        Some(())
    } else {
        serde_json::to_writer(out, string).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn plain(value: &Value) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        object(value.as_object()?, &mut out).map(|()| out)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z_]{0,4}",
            any::<String>(),
            proptest::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter),
            proptest::collection::vec((0_u8..=0x80).prop_map(char::from), 0..6).prop_map(String::from_iter),
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any_text().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (
                -3_i64..=3,
                prop_oneof![Just(0_i64), Just(1 << 53), Just(-(1 << 53))]
            )
                .prop_map(|(step, base)| Value::from(base + step)),
            any::<f64>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((any_text(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn where_it_knows_a_value_it_writes_what_serde_jcs_writes(
            entries in proptest::collection::vec((any_text(), any_value()), 0..8),
        ) {
            let value = Value::Object(entries.into_iter().collect());
            if let Some(bytes) = plain(&value) {
                prop_assert_eq!(bytes, serde_jcs::to_vec(&value).unwrap());
            }
        }
    }

    #[test]
    fn it_knows_what_records_hold_and_leaves_the_rest() {
        let known = json!({"b": [1, -2, {"z": null, "a": true}], "a": "\u{1f}\"\\\u{7f}ä\u{1f600}\n", "": 9_007_199_254_740_992_u64});
        assert_eq!(plain(&known).unwrap(), serde_jcs::to_vec(&known).unwrap());
        for left in [
            json!({"a": 1.5}),
            json!({"ä": 1}),
            json!({"a": [{"b": 9_007_199_254_740_993_u64}]}),
            json!({"a": u64::MAX}),
        ] {
            assert_eq!(plain(&left), None, "{left}");
        }
    }
}
