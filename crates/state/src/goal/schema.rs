//! The JSON Schema of goal.json, for editors. The reader is stricter where a schema cannot be: ids that exist, cycles,
//! folders that are there.

use serde_json::{Map, Value, json};

use super::node::WHOLE_MAX;

/// The JSON Schema (draft 2020-12) of the goal.json that this version reads, pretty, with a newline at its end.
#[must_use]
pub fn schema() -> String {
    let mut schema = object(["repo", "worker_cmd", "tasks"], goal());
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("$id", json!("https://github.com/frontier-infra/machine-driver/schemas/goal.schema.json")),
        ("title", json!("goal.json")),
        ("description", json!("A goal of machine-driver: the contract, the dial, the budget, the tasks, the progress.")),
    ];
    let head: Map<String, Value> = head.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if let Some(body) = schema.as_object_mut() {
        let body = std::mem::take(body);
        schema = head.into_iter().chain(body).collect();
    }
    format!("{schema:#}\n")
}

type Property = (&'static str, Value);

fn goal() -> Vec<Property> {
    vec![
        ("goal", described(name(), "Name of the goal; goes into records and keys. Default: goal.")),
        ("repo", described(words(), "The folder that is worked on; relative to the folder of this file, `~` expands.")),
        ("worker_cmd", described(command(), "The coding agent, one fresh process per attempt: a shell command, or a program and its arguments. {task}, {task_id}, {attempt}, {feedback}, {feedback_file}, {task_file} and {goal_file} are replaced, never parsed.")),
        ("verify_cmd", described(or_null(any_command()), "Ground truth: its exit code decides. Absent, null or blank: nothing can pass.")),
        ("mode", described(json!({"enum": ["propose", "commit"], "default": "propose"}), "The operator's dial.")),
        ("contract", described(or_null(object([], contract())), "Box 0: what is to be reached, and who says so.")),
        ("budget", described(or_null(object([], budget())), "The governor's limits over the whole life of the goal; a breach halts.")),
        ("max_attempts", described(max_attempts(), "Failed verifies before a task is quarantined. Default: 3.")),
        ("tick_seconds", described(json!({"type": "number", "minimum": 0, "maximum": TEN_YEARS, "default": 1}), "Pause between attempts.")),
        ("worker_timeout_seconds", described(or_null(seconds()), "Wall limit of one worker; null: none. Default: 7200.")),
        ("worker_idle_seconds", described(or_null(seconds()), "Stop a worker that wrote nothing for so long. Default: none.")),
        ("verify_timeout_seconds", described(or_null(seconds()), "Wall limit of one verify; null: none. Default: 3600.")),
        ("isolation", described(json!({"const": "in_place"}), "Where the worker works; this version knows one place.")),
        ("env_pass", described(or_null(list(json!({"type": "string", "pattern": "^[^=]*[^=\\s][^=]*$", "maxLength": 256}))), "Names of variables (`*` matches any run of characters) to let through that are otherwise taken out of the environment of worker and verifier.")),
        ("sandbox", described(json!({"const": "off"}), "This version has no sandbox.")),
        ("max_parallel", described(json!({"const": 1}), "This version does one task at a time.")),
        ("deployment_id", described(or_null(name()), "Carried by every record. Default: derived from the goal's name.")),
        ("tasks", described(json!({"type": "array", "minItems": 1, "items": object(["id", "goal"], task())}), "The tasks; their order and `after` are the only order.")),
        ("runs", output(json!({"type": "integer", "minimum": 0}), "Workers started.")),
        ("wall_seconds_used", output(json!({"type": "number", "minimum": 0}), "Time with the driver up.")),
        ("last_success_at", output(json!({"type": ["string", "number"]}), "When a task last passed.")),
        ("checkpoint", output(object(["seq", "hash"], checkpoint()), "The log record that the progress was folded from.")),
    ]
}

fn contract() -> Vec<Property> {
    vec![
        ("definition_of_done", described(prose(), "When the goal is reached, for people and workers.")),
        ("constraints", described(prose(), "What must hold on the way, for people and workers.")),
        ("owner", described(prose(), "Whose goal it is.")),
        ("verification_requirements", described(prose(), "What a verification must show, for people and workers.")),
        ("acceptance_tests", described(or_null(list(text())), "Names or paths of the tests that decide.")),
        ("immutable", described(or_null(list(json!({"enum": contract_fields()}))), "Fields of the contract that are frozen by its digest.")),
        ("autonomy_ceiling", described(or_null(json!({"type": "integer", "minimum": 0, "maximum": 5})), "0: propose only; 1 and up: commit allowed.")),
        ("irreversible_min_trust", described(or_null(count()), "The ceiling that an irreversible action needs; absent: none is enough.")),
        ("proposed_by", described(or_null(text()), "Who wrote the target.")),
        ("ratified_by", described(or_null(text()), "Who ratified it; someone else than who proposed it.")),
        ("expires", described(or_null(moment()), "An expired contract is not ratified any more.")),
        ("revoked", described(or_null(object(["by", "at"], revoked())), "A revoked contract is not ratified any more.")),
    ]
}

fn revoked() -> Vec<Property> {
    vec![
        ("by", described(words(), "Who revoked it.")),
        ("at", described(moment(), "When.")),
        ("reason", described(or_null(text()), "Why.")),
    ]
}

fn budget() -> Vec<Property> {
    vec![
        ("max_worker_runs", described(or_null(count()), "Workers started.")),
        ("max_wall_seconds", described(or_null(seconds()), "Seconds with the driver up.")),
        ("max_tokens", described(or_null(count()), "Tokens that workers report.")),
        ("max_usd", described(or_null(json!({"type": "number", "minimum": 0.000_001, "maximum": 1_000_000_000})), "US dollars that workers report, to the millionth.")),
        ("max_output_bytes", described(or_null(count()), "Bytes that workers write to their output.")),
    ]
}

fn task() -> Vec<Property> {
    let id = json!({"type": "string", "pattern": ID, "maxLength": 128});
    vec![
        ("id", described(id.clone(), "Unique in the goal.")),
        ("goal", described(words(), "What to do, in your words. Data, never syntax.")),
        ("reversible", described(json!({"type": "boolean", "default": false}), "Whether what the task does can be undone.")),
        ("after", described(or_null(list(id)), "Ids of the tasks that must be done before.")),
        ("worker_cmd", described(or_null(command()), "In place of the goal's.")),
        ("verify_cmd", described(or_null(any_command()), "In place of the goal's; null or blank: the goal's.")),
        ("max_attempts", described(max_attempts(), "In place of the goal's.")),
        ("worker_timeout_seconds", described(or_null(seconds()), "In place of the goal's; null: no limit.")),
        ("status", output(json!({"enum": ["pending", "running", "done", "blocked"]}), "How far it is. While the driver is stopped, a task may be set back to `pending`.")),
        ("attempts", output(json!({"type": "integer", "minimum": 0}), "Attempts begun.")),
        ("started", output(json!({"type": ["string", "number"]}), "When the last attempt began.")),
        ("done", output(json!({"type": ["string", "number"]}), "When it passed.")),
        ("reason", output(text(), "Why it is blocked.")),
        ("verify_tail", output(text(), "The end of what the last failed verify wrote.")),
        ("commit", output(text(), "The commit that holds it.")),
    ]
}

fn checkpoint() -> Vec<Property> {
    vec![
        ("seq", described(json!({"type": "integer", "minimum": 0}), "Number of the record.")),
        ("hash", described(json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}), "Hash of the record.")),
    ]
}

const ID: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$";
const TEN_YEARS: u64 = 315_360_000;

/// An object with these members and the operator's notes, and no others.
fn object<const N: usize>(required: [&str; N], properties: Vec<Property>) -> Value {
    let notes = json!({"$schema": {"description": "Kept, and no part of the goal."}});
    let properties = properties.into_iter().map(|(key, value)| (key.to_owned(), value));
    let properties: Value = notes.as_object().cloned().unwrap_or_default().into_iter().chain(properties).collect();
    json!({
        "type": "object",
        "required": required.as_slice(),
        "properties": properties,
        "patternProperties": {"^(_|x-)": {"description": "A note of the operator's: kept, and no part of the goal."}},
        "additionalProperties": false,
    })
}

fn described(mut schema: Value, description: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), description.into());
    }
    schema
}

/// What the driver writes.
fn output(schema: Value, description: &str) -> Value {
    let mut schema = described(or_null(schema), description);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("readOnly".to_owned(), true.into());
    }
    schema
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn words() -> Value {
    json!({"type": "string", "pattern": "\\S"})
}

fn name() -> Value {
    json!({"type": "string", "pattern": "\\S", "maxLength": 256})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn prose() -> Value {
    json!({"anyOf": [text(), list(text()), {"type": "null"}]})
}

fn argv() -> Value {
    json!({"type": "array", "minItems": 1, "prefixItems": [words()], "items": text()})
}

fn command() -> Value {
    json!({"anyOf": [words(), argv()]})
}

fn any_command() -> Value {
    json!({"anyOf": [text(), argv()]})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": WHOLE_MAX})
}

fn max_attempts() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 100})
}

fn seconds() -> Value {
    json!({"type": "number", "minimum": 0.001, "maximum": TEN_YEARS})
}

fn moment() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn contract_fields() -> Vec<&'static str> {
    super::keys::CONTRACT.keys.iter().map(|key| key.name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::keys::{self, Level, Role};
    use super::*;

    fn check(properties: &[Property], level: &Level) {
        let mut written: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
        let known = level.keys.iter().filter(|key| !matches!(key.role, Role::Later(_)));
        let mut known: Vec<&str> = known.map(|key| key.name).collect();
        written.sort_unstable();
        known.sort_unstable();
        assert_eq!(written, known, "schema and reader differ in the keys of {}", level.name);
    }

    #[test]
    fn the_schema_has_the_keys_that_the_reader_knows() {
        check(&goal(), &keys::GOAL);
        check(&contract(), &keys::CONTRACT);
        check(&revoked(), &keys::REVOKED);
        check(&budget(), &keys::BUDGET);
        check(&task(), &keys::TASK);
        check(&checkpoint(), &keys::CHECKPOINT);
    }

    /// `UPDATE_SCHEMA=1 cargo test -p machine-driver-state schema` writes the file anew.
    #[test]
    fn the_schema_in_the_repository_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/goal.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, schema()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == schema(),
            "schemas/goal.schema.json is not the schema of this version; \
             `UPDATE_SCHEMA=1 cargo test -p machine-driver-state schema` writes it anew"
        );
    }
}
