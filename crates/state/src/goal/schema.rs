//! The JSON Schema of goal.json, for editors. The reader is stricter where a schema cannot be: ids that exist, cycles,
//! folders that are there.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Level, Role, Shape};
use super::node::SECONDS_MAX;
use crate::glob::PathGlob;

/// The JSON Schema (draft 2020-12) of the goal.json that this version reads, pretty, with a newline at its end.
#[must_use]
pub fn schema() -> String {
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://github.com/frontier-infra/machine-driver/schemas/goal.schema.json",
        "title": "goal.json",
        "description": "A goal of machine-driver: the contract, the dial, the budget, the tasks, the progress.",
    });
    format!("{:#}\n", joined(head, object(&keys::GOAL)))
}

/// An object with the keys of a level and the operator's notes, and no others.
fn object(level: &Level) -> Value {
    let keys = || {
        level
            .keys
            .iter()
            .filter(|key| !matches!(key.role, Role::Later(_)))
    };
    let required: Vec<&str> = keys().filter(|key| key.is_required).map(|key| key.name).collect();
    let properties: Map<String, Value> = keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let note = json!({"description": "A note of the operator's: kept, and no part of the goal."});
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "patternProperties": {"^(\\$schema$|_|x-)": note},
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let shape = shape(key.shape);
    let shape = if key.is_nullable {
        json!({"anyOf": [shape, {"type": "null"}]})
    } else {
        shape
    };
    let about = json!({"description": key.about});
    let about = if key.role == Role::Progress {
        joined(about, json!({"readOnly": true}))
    } else {
        about
    };
    joined(about, shape)
}

fn shape(shape: Shape) -> Value {
    /// As [`TaskId`](crate::id::TaskId) has it.
    const ID: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$";
    let text = || json!({"type": "string"});
    let words = || json!({"type": "string", "pattern": "\\S"});
    let id = || json!({"type": "string", "pattern": ID, "maxLength": 128});
    let argv = || json!({"type": "array", "minItems": 1, "prefixItems": [words()], "items": text()});
    let list = |items: Value| json!({"type": "array", "items": items});
    let glob = || json!({"type": "string", "pattern": "^[^/!]", "maxLength": PathGlob::MAX});
    let path_rule = || json!({"type": "string", "pattern": "^path:[^/!]"});
    match shape {
        Shape::Text => text(),
        Shape::Words => words(),
        Shape::Name => json!({"type": "string", "pattern": "\\S", "maxLength": 256}),
        Shape::Prose => json!({"anyOf": [text(), list(text())]}),
        Shape::Texts => list(text()),
        Shape::Command => json!({"anyOf": [words(), argv()]}),
        Shape::MaybeCommand => json!({"anyOf": [text(), argv()]}),
        Shape::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Seconds => json!({"type": "number", "minimum": 0.001, "maximum": SECONDS_MAX}),
        Shape::Pause => json!({"type": "number", "minimum": 0, "maximum": SECONDS_MAX}),
        Shape::Usd => json!({"type": "number", "minimum": 0.000_001, "maximum": 1_000_000_000}),
        Shape::Moment => json!({"type": "string", "format": "date-time"}),
        Shape::AnyMoment => json!({"type": ["string", "number"]}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::TaskId => id(),
        Shape::TaskIds => list(id()),
        Shape::Digest => json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        Shape::EnvNames => {
            list(json!({"type": "string", "pattern": "^[^=]*[^=\\s][^=]*$", "maxLength": 256}))
        }
        Shape::Argv => argv(),
        Shape::Did => json!({"type": "string", "pattern": "^did:[a-z0-9]+:", "maxLength": 512}),
        Shape::ChatIds => joined(
            list(
                json!({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "\\S", "maxLength": 256}]}),
            ),
            json!({"minItems": 1}),
        ),
        Shape::Globs => list(glob()),
        Shape::PathRules => list(path_rule()),
        Shape::Immutable => {
            let fields = json!({"enum": keys::CONTRACT.keys.iter().map(|key| key.name).collect::<Vec<_>>()});
            list(json!({"anyOf": [fields, path_rule()]}))
        }
        Shape::Sink => json!({"anyOf": [words(), argv()]}),
        Shape::Signature => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{86}$"}),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::Object(level) => object(level),
        Shape::Objects(level) => joined(list(object(level)), json!({"minItems": 1})),
    }
}

/// One object with the members of both.
fn joined(one: Value, other: Value) -> Value {
    let members = |value| {
        if let Value::Object(map) = value {
            map
        } else {
            Map::new()
        }
    };
    Value::Object(members(one).into_iter().chain(members(other)).collect())
}
