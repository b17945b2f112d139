//! Foreign JSON, read without a step that could change what was signed.
//!
//! `serde_json::Value` by itself keeps the last of two equal keys, and takes keys like `$serde_json::private::Number` for
//! numbers where some dependency turned on `arbitrary_precision`. This reader sees every key and every number itself.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::text::brief;

/// How deep objects and lists may nest.
pub const DEPTH_MAX: usize = 64;

/// The largest integer that a double, and so RFC 8785, keeps: 2^53 - 1 (I-JSON, RFC 7493 §2.2).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The one member of a record that may hold numbers.
const WITH_NUMBERS: &str = "evidence";

/// What kind of file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A record: integers within `evidence` only; nothing below the top that would not be signed.
    Record,
    /// A DID document: any JSON, but every key once.
    Document,
}

/// What a file may not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Depth,
    Duplicate(String),
    Reserved(String),
    /// `sig` or `_…` below the top level.
    Nested(String),
    Fraction,
    TooLarge,
    NumberElsewhere,
}

/// Why a text was not read.
#[derive(Debug)]
pub(crate) enum JsonError {
    Syntax(serde_json::Error),
    NotAnObject,
    Fault {
        fault: Fault,
        line: usize,
        column: usize,
    },
}

/// Reads one object.
pub(crate) fn object(text: &str, kind: Kind) -> Result<Map<String, Value>, JsonError> {
    let found = RefCell::new(None);
    let reader = Reader {
        kind,
        found: &found,
        depth: 0,
        place: Place::Top,
    };
    let mut source = serde_json::Deserializer::from_str(text);
    let value = reader
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value));
    match (value, found.take()) {
        (Ok(Value::Object(fields)), _) => Ok(fields),
        (Ok(_), _) => Err(JsonError::NotAnObject),
        (Err(error), Some(fault)) => Err(JsonError::Fault {
            fault,
            line: error.line(),
            column: error.column(),
        }),
        (Err(error), None) => Err(JsonError::Syntax(error)),
    }
}

/// Whether serde_json, or JavaScript, gives the key a meaning of its own.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with("$serde_json::private::") || key == "__proto__"
}

/// Whether a member of this name is not signed at the top level, and may not stand below it.
pub(crate) fn is_unsigned(key: &str) -> bool {
    key == "sig" || key.starts_with('_')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Numbers,
    Elsewhere,
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    kind: Kind,
    found: &'a RefCell<Option<Fault>>,
    depth: usize,
    place: Place,
}

impl<'a> Reader<'a> {
    fn refuse<E: Error>(&self, fault: Fault) -> E {
        self.found.replace(Some(fault));
        E::custom("refused")
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.refuse(Fault::Depth));
        }
        let depth = self.depth + 1;
        Ok(Self { depth, ..self })
    }

    fn whole<E: Error>(self, size: u64, number: Number) -> Result<Value, E> {
        if self.kind == Kind::Record && self.place != Place::Numbers {
            Err(self.refuse(Fault::NumberElsewhere))
        } else if self.kind == Kind::Record && size > INTEGER_MAX {
            Err(self.refuse(Fault::TooLarge))
        } else {
            Ok(Value::Number(number))
        }
    }

    fn check_key<E: Error>(&self, key: &str) -> Result<(), E> {
        if is_reserved(key) {
            return Err(self.refuse(Fault::Reserved(brief(key))));
        }
        if self.kind == Kind::Record && self.place != Place::Top && is_unsigned(key) {
            return Err(self.refuse(Fault::Nested(brief(key))));
        }
        Ok(())
    }

    fn within(self, key: &str) -> Reader<'a> {
        let place = match self.place {
            Place::Top if key == WITH_NUMBERS => Place::Numbers,
            Place::Top => Place::Elsewhere,
            below => below,
        };
        Self { place, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.whole(value, value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.whole(value.unsigned_abs(), value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match (self.kind, Number::from_f64(value)) {
            (Kind::Document, Some(number)) => Ok(Value::Number(number)),
            _ => Err(self.refuse(Fault::Fraction)),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut item = self.deeper()?;
        if item.place == Place::Top {
            item.place = Place::Elsewhere;
        }
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(item)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.check_key(&key)?;
            let reader = inner.within(&key);
            match fields.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(entries.next_value_seed(reader)?);
                }
                Entry::Occupied(taken) => {
                    return Err(self.refuse(Fault::Duplicate(brief(taken.key()))));
                }
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        match object(text, Kind::Record) {
            Err(JsonError::Fault { fault, .. }) => fault,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn faults_are_named() {
        let key = |key: &str| key.to_owned();
        for (text, expected) in [
            (r#"{"a":"1","a":"1"}"#, Fault::Duplicate(key("a"))),
            (r#"{"x":[{"a":"1","\u0061":"2"}]}"#, Fault::Duplicate(key("a"))),
            (r#"{"_a":"1","_a":"2"}"#, Fault::Duplicate(key("_a"))),
            (
                r#"{"evidence":{"$serde_json::private::Number":"1"}}"#,
                Fault::Reserved(key("$serde_json::private::Number")),
            ),
            (r#"{"__proto__":{}}"#, Fault::Reserved(key("__proto__"))),
            (r#"{"a":{"__proto__":{}}}"#, Fault::Reserved(key("__proto__"))),
            (r#"{"a":{"sig":"x"}}"#, Fault::Nested(key("sig"))),
            (r#"{"a":[{"_x":"x"}]}"#, Fault::Nested(key("_x"))),
            (r#"{"_a":{"_x":"x"}}"#, Fault::Nested(key("_x"))),
            (r#"{"evidence":1.5}"#, Fault::Fraction),
            (r#"{"evidence":1.0}"#, Fault::Fraction),
            (r#"{"evidence":1e3}"#, Fault::Fraction),
            (r#"{"evidence":-0}"#, Fault::Fraction),
            (r#"{"evidence":9007199254740992}"#, Fault::TooLarge),
            (r#"{"evidence":-9007199254740992}"#, Fault::TooLarge),
            (r#"{"evidence":18446744073709551616}"#, Fault::Fraction),
            (r#"{"a":1}"#, Fault::NumberElsewhere),
            (r#"{"a":{"evidence":1}}"#, Fault::NumberElsewhere),
            (&format!(r#"{{"a":{}}}"#, "[".repeat(100)), Fault::Depth),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_allowed_is_read_as_it_is() {
        for text in [
            r#"{"evidence":{"a":[9007199254740991,-9007199254740991,0]},"sig":{"b":null},"_x":[true]}"#,
            &format!(r#"{{"a":{}{}}}"#, "[".repeat(63), "]".repeat(63)),
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Value::Object(object(text, Kind::Record).unwrap()), expected);
        }
        let document = r#"{"a":1.5,"b":{"_x":18446744073709551615}}"#;
        assert!(object(document, Kind::Document).is_ok());
    }

    #[test]
    fn one_object_and_nothing_else() {
        for text in [
            "",
            "{",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"evidence":1e400}"#,
            r#"{"evidence":NaN}"#,
            r#"{"evidence":01}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"x",}"#,
        ] {
            assert!(
                matches!(object(text, Kind::Record), Err(JsonError::Syntax(_))),
                "{text}"
            );
        }
        for text in ["[]", "null", "\"x\""] {
            assert!(
                matches!(object(text, Kind::Record), Err(JsonError::NotAnObject)),
                "{text}"
            );
        }
    }
}
