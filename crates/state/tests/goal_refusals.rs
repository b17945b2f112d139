//! What a goal.json may not say, and the words in which it is told.

use std::path::{Path, PathBuf};

use machine_driver_state::goal::file::{BYTES_MAX, GoalError, GoalFile, Place};

const HEAD: &str = r#""repo": "/r", "worker_cmd": "w""#;
const TASKS: &str = r#""tasks": [{"id": "a", "goal": "x"}]"#;

fn place() -> Place<'static> {
    Place::unseen("goal.json".into(), "/goals".into(), Some("/home/me".into()))
}

fn refusal(text: &str) -> GoalError {
    GoalFile::parse(text.as_bytes(), &place())
        .map(|file| panic!("accepted: {}", file.source()))
        .unwrap_err()
}

/// The whole line that a text is refused with.
#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(refusal(text).to_string(), expected, "for {text}");
}

/// The same without the place, for a document with these members beside the required ones.
#[track_caller]
fn check_member(member: &str, expected: &str) {
    check_told(&format!("{{{HEAD}, {TASKS}, {member}}}"), expected);
}

/// The same for a task with these members beside `id` and `goal`.
#[track_caller]
fn check_task(member: &str, expected: &str) {
    check_told(
        &format!(r#"{{{HEAD}, "tasks": [{{"id": "a", "goal": "x", {member}}}]}}"#),
        expected,
    );
}

#[track_caller]
fn check_told(text: &str, expected: &str) {
    let error = refusal(text);
    let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
    assert_eq!(
        format!("{}: {}{help}", error.path(), error.message()),
        expected,
        "for {text}"
    );
    assert_eq!(
        error.problems().count(),
        1,
        "for {text}: {:?}",
        error.problems().collect::<Vec<_>>()
    );
}

#[track_caller]
fn accept(text: &str) -> GoalFile {
    GoalFile::parse(text.as_bytes(), &place()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    check(
        "",
        "goal.json:1:1: the file is empty; `machine-driver init` writes one",
    );
    check(
        " \n\t",
        "goal.json:1:1: the file is empty; `machine-driver init` writes one",
    );
    check(
        "\u{feff}{}",
        "goal.json:1:1: the file begins with a byte order mark; save it as UTF-8 without one",
    );
    check(
        "{\n  \"goal\": \"x\",\n",
        "goal.json:3:1: the file ends too early: EOF while parsing a value",
    );
    check(
        "{\"goal\": \"x",
        "goal.json:1:11: the file ends too early: EOF while parsing a string",
    );
    check("{\n \"ä\": 1,\n}", "goal.json:3:1: trailing comma");
    check("{\"ä\" 1}", "goal.json:1:6: expected `:`");
    check(
        "{\n  // why\n  \"goal\": 1}",
        "goal.json:2:3: key must be a string; JSON has no comments; a key that begins with `_` can hold one",
    );
    check(
        "{\"a\": NaN}",
        "goal.json:1:7: expected value; JSON has no NaN and no Infinity",
    );
    check("{\"a\": 1e400}", "goal.json:1:11: number out of range");
    check("{} {}", "goal.json:1:4: trailing characters");
    check("[]", "goal.json:1:1: expected an object, found a list");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_offset() {
    let error = GoalFile::parse(b"{\n \"a\": \"\xff\"}", &place()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "goal.json:2:8: the file is not UTF-8: byte 9 is the first that is not"
    );
    let error = GoalFile::parse(&vec![b' '; BYTES_MAX + 1], &place()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "goal.json:1:1: the file has 67108865 bytes; at most 67108864 are allowed"
    );
}

#[test]
fn nesting_cannot_break_the_stack() {
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(1_000_000);
        assert_eq!(refusal(&deep).message(), "it is nested deeper than 127 levels");
    }
    let note = format!(
        "{{{HEAD}, {TASKS}, \"_note\": {}{}}}",
        "[".repeat(126),
        "]".repeat(126)
    );
    accept(&note);
}

#[test]
fn duplicate_keys_name_both_places() {
    check(
        "{\n  \"goal\": \"a\",\n  \"repo\": \"r\",\n  \"goal\" : \"b\"\n}",
        "goal.json:4:3: goal: duplicate key: `goal` stands at 2:3 already",
    );
    check(
        r#"{"tasks": [{"id": "a"}, {"id": "b", "_x": {"y\u0061": 1, "ya": 2}}]}"#,
        "goal.json:1:58: tasks[1]._x.ya: duplicate key: `ya` stands at 1:44 already",
    );
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    check(
        "{\n  \"repo\": \"/r\", \"worker_cmd\": \"w\",\n  \"budget\": {\n    \"max_wall_second\": 5\n  },\n  \
         \"tasks\": [{\"id\": \"a\", \"goal\": \"x\"}]\n}",
        "goal.json:4:5: budget.max_wall_second: `max_wall_second` is no key of budget; \
         did you mean `max_wall_seconds`?",
    );
    check_member(
        r#""maxAttempts": 3"#,
        "maxAttempts: `maxAttempts` is no key of goal.json; did you mean `max_attempts`?",
    );
    check_member(
        r#""max_usd": 3"#,
        "max_usd: `max_usd` is no key of goal.json; it is a key of budget",
    );
    check_member(
        r#""contract": {"qq": 1, "_q": 2}"#,
        "contract.qq: `qq` is no key of contract; its keys are definition_of_done, constraints, owner, \
         verification_requirements, acceptance_tests, immutable, autonomy_ceiling, irreversible_min_trust, \
         proposed_by, ratified_by, expires, revoked, scope, require_receipt, receipt",
    );
    check_member(
        r#""contract": {"revoked": {"by": "a", "at": "2026-01-01T00:00:00Z", "reasons": ""}}"#,
        "contract.revoked.reasons: `reasons` is no key of contract.revoked; did you mean `reason`?",
    );
    check_task(
        r#""depends": []"#,
        "tasks[0].depends: `depends` is no key of a task; its keys are id, goal, \
         reversible, after, worker_cmd, verify_cmd, max_attempts, worker_timeout_seconds, scope, immutable",
    );
    check_task(
        r#""verifyCmd": "x""#,
        "tasks[0].verifyCmd: `verifyCmd` is no key of a task; did you mean `verify_cmd`?",
    );
    check_member(
        "\"\\u001b[2J\": 1",
        "[\"\\u{1b}[2J\"]: `\\u{1b}[2J` is no key of goal.json; its keys are goal, repo, \
         worker_cmd, verify_cmd, mode, contract, budget, max_attempts, tick_seconds, worker_timeout_seconds, \
         worker_idle_seconds, verify_timeout_seconds, isolation, env_pass, sandbox, max_parallel, deployment_id, alerts, tasks, \
         audit_sink, aar_priv, aar_tool, subject, principal, verifier",
    );
}

#[test]
fn features_of_a_later_version_are_refused_by_name() {
    const WHY: &str = "a later one will; remove it: a rule that is not enforced must not look as if it were";
    for (member, path, feature) in [
        (r#""isolation": "checkout""#, "isolation", "checkout isolation"),
        (r#""sandbox": "auto""#, "sandbox", "a sandbox"),
        (r#""sandbox": "required""#, "sandbox", "a sandbox"),
        (r#""sandbox_write": []"#, "sandbox_write", "a sandbox"),
        (r#""max_parallel": 2"#, "max_parallel", "parallel tasks"),
        (r#""agent": "claude""#, "agent", "presets of known agents"),
        (
            r#""alerts": {"ack_within_seconds": 60}"#,
            "alerts.ack_within_seconds",
            "acknowledgement of alerts",
        ),
        (
            r#""alerts": {"telegram": {"user_ids": [7]}}"#,
            "alerts.telegram.user_ids",
            "acknowledgement of alerts",
        ),
    ] {
        check_member(
            member,
            &format!("{path}: this version does not have {feature}; {WHY}"),
        );
    }
}

/// A member of the wrong kind, and what is told.
const WRONG_TYPES: &[(&str, &str)] = &[
    (r#""goal": null"#, "goal: expected a text, found null"),
    (r#""goal": " ""#, "goal: it is empty"),
    (r#""goal": "a\nb""#, "goal: it holds a control character"),
    (r#""contract": []"#, "contract: expected an object, found a list"),
    (r#""budget": 5"#, "budget: expected an object, found a number"),
    (r#""mode": true"#, "mode: expected a text, found true"),
    (
        r#""mode": "comit""#,
        "mode: expected one of `propose`, `commit`, found `comit`; did you mean `commit`?",
    ),
    (
        r#""mode": "COMMIT""#,
        "mode: expected one of `propose`, `commit`, found `COMMIT`; did you mean `commit`?",
    ),
    (
        r#""isolation": "vm""#,
        "isolation: expected one of `in_place`, `checkout`, found `vm`",
    ),
    (r#""env_pass": "A""#, "env_pass: expected a list, found a text"),
    (r#""env_pass": ["A", ""]"#, "env_pass[1]: it is empty"),
    (
        r#""env_pass": ["A=b"]"#,
        "env_pass[0]: the name of a variable holds no `=`",
    ),
    (r#""deployment_id": " ""#, "deployment_id: it is empty"),
    (
        r#""contract": {"acceptance_tests": "x"}"#,
        "contract.acceptance_tests: expected a list, found a text",
    ),
    (
        r#""contract": {"owner": ["x", 1]}"#,
        "contract.owner[1]: expected a text, found a number",
    ),
    (
        r#""contract": {"proposed_by": 1}"#,
        "contract.proposed_by: expected a text, found a number",
    ),
    (
        r#""contract": {"immutable": ["acceptance_test"]}"#,
        "contract.immutable[0]: `acceptance_test` is no field of the contract; did you mean `acceptance_tests`? Files are written `path:GLOB`",
    ),
    (
        r#""contract": {"expires": "2026-11-22"}"#,
        "contract.expires: `2026-11-22` is not an RFC 3339 time; write one like `2026-11-22T10:00:00Z`",
    ),
    (
        r#""contract": {"revoked": true}"#,
        "contract.revoked: expected an object, found true",
    ),
    (
        r#""contract": {"revoked": {"by": "me"}}"#,
        "contract.revoked: the key `at` is missing",
    ),
    (r#""verify_cmd": []"#, "verify_cmd: the command is empty"),
    (r#""verify_cmd": [" "]"#, "verify_cmd[0]: it is empty"),
    (
        r#""verify_cmd": ["a", 1]"#,
        "verify_cmd[1]: expected a text, found a number",
    ),
    (
        r#""verify_cmd": "a\u0000b""#,
        "verify_cmd: it holds a NUL character",
    ),
    (
        r#""verify_cmd": {}"#,
        "verify_cmd: expected a text, found an object",
    ),
    (r#""runs": "7""#, "runs: expected a number, found a text"),
    (
        r#""checkpoint": {"seq": 1, "hash": "ab"}"#,
        "checkpoint.hash: a SHA-256 is 64 lower-case hex digits",
    ),
];

/// What is wrong with a rule about paths, a receipt, or a sink, and what is told.
const WRONG_RULES: &[(&str, &str)] = &[
    (
        r#""contract": {"scope": "src/**"}"#,
        "contract.scope: expected a list, found a text",
    ),
    (
        r#""contract": {"scope": ["a", "path:b"]}"#,
        "contract.scope[1]: a scope is made of globs, without `path:`; write `b`",
    ),
    (
        r#""contract": {"immutable": ["path:../x"]}"#,
        "contract.immutable[0]: `../x` is no glob: paths begin at the root of the tree: no `/` at the front, no `..`, no `.`",
    ),
    (
        r#""contract": {"scope": ["/etc"]}"#,
        "contract.scope[0]: `/etc` is no glob: paths begin at the root of the tree: no `/` at the front, no `..`, no `.`",
    ),
    (
        r#""contract": {"immutable": ["path:!x"]}"#,
        "contract.immutable[0]: `!x` is no glob: a glob cannot say \"all but\": name the paths that are meant",
    ),
    (
        r#""contract": {"immutable": ["tests/**"]}"#,
        "contract.immutable[0]: `tests/**` is no field of the contract; files are written `path:GLOB`",
    ),
    (
        r#""contract": {"require_receipt": "yes"}"#,
        "contract.require_receipt: expected true or false, found a text",
    ),
    (
        r#""contract": {"receipt": true}"#,
        "contract.receipt: expected an object, found true",
    ),
    (
        r#""audit_sink": 1"#,
        "audit_sink: expected a text, found a number",
    ),
    (r#""audit_sink": " ""#, "audit_sink: it is empty"),
    (r#""audit_sink": []"#, "audit_sink: the command is empty"),
];

#[test]
fn wrong_rules_are_told() {
    for (member, expected) in WRONG_RULES {
        check_member(member, expected);
    }
    check_task(
        r#""scope": ["path:x"]"#,
        "tasks[0].scope[0]: a scope is made of globs, without `path:`; write `x`",
    );
    check_task(
        r#""immutable": ["owner"]"#,
        "tasks[0].immutable[0]: expected `path:GLOB`, found `owner`; a task can only add files to what the contract freezes",
    );
}

/// A receipt is whole, and of the kind that this version writes.
#[test]
fn a_receipt_is_whole_or_refused() {
    let whole = serde_json::json!({
        "kind": "machine-driver-receipt-1", "digest": "ab".repeat(32), "by": "bob", "at": "2026-11-22T10:00:00Z",
        "signer": "did:web:bob.example", "signature": "A".repeat(86), "_note": 1,
    });
    let member = |receipt: &serde_json::Value| format!(r#""contract": {{"receipt": {receipt}}}"#);
    accept(&format!("{{{HEAD}, {TASKS}, {}}}", member(&whole)));
    for key in ["kind", "digest", "by", "at", "signer", "signature"] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(key);
        check_member(
            &member(&without),
            &format!("contract.receipt: the key `{key}` is missing"),
        );
    }
    for (key, value, expected) in [
        (
            "kind",
            "machine-driver-receipt-2",
            "contract.receipt.kind: expected one of `machine-driver-receipt-1`, found `machine-driver-receipt-2`; did you mean `machine-driver-receipt-1`?",
        ),
        (
            "digest",
            "AB",
            "contract.receipt.digest: expected 64 lower-case hex digits",
        ),
        (
            "transcript_sha256",
            "x",
            "contract.receipt.transcript_sha256: expected 64 lower-case hex digits",
        ),
        ("by", " ", "contract.receipt.by: it is empty"),
        (
            "at",
            "now",
            "contract.receipt.at: `now` is not an RFC 3339 time; write one like `2026-11-22T10:00:00Z`",
        ),
        (
            "signer",
            "bob",
            "contract.receipt.signer: `bob`: a DID is `did:`, a method of `a-z 0-9`, `:` and an identifier of `A-Z a-z 0-9 . - _ : %XX`",
        ),
        (
            "by_whom",
            "x",
            "contract.receipt.by_whom: `by_whom` is no key of contract.receipt; did you mean `by`?",
        ),
    ] {
        let mut changed = whole.clone();
        changed[key] = value.into();
        check_member(&member(&changed), expected);
    }
}

#[test]
fn wrong_types_name_the_way() {
    let text = format!(
        "{{{HEAD},\n \"tasks\": [{{\"id\": \"a\", \"goal\": \"x\"}},\n  {{\"id\": \"b\",\n    \"goal\": 7}}]}}"
    );
    check(
        &text,
        "goal.json:4:13: tasks[1].goal: expected a text, found a number",
    );
    for (member, expected) in WRONG_TYPES {
        check_member(member, expected);
    }
}

/// What `alerts` may not say.
const ALERTS: &[(&str, &str)] = &[
    ("[]", "alerts: expected an object, found a list"),
    (
        r#"{"telegramm": {}}"#,
        "alerts.telegramm: `telegramm` is no key of alerts; did you mean `telegram`?",
    ),
    (
        r#"{"telegram": {"chatids": []}}"#,
        "alerts.telegram.chatids: `chatids` is no key of alerts.telegram; did you mean `chat_ids`?",
    ),
    (
        r#"{"webhook": {"url": "https://h", "secret": "x"}}"#,
        "alerts.webhook.secret: `secret` is no key of alerts.webhook; did you mean `secret_file`?",
    ),
    (
        r#"{"telegram": true}"#,
        "alerts.telegram: expected an object, found true",
    ),
    (
        r#"{"telegram": {"chat_ids": "7"}}"#,
        "alerts.telegram.chat_ids: expected a list, found a text",
    ),
    (
        r#"{"telegram": {"chat_ids": []}}"#,
        "alerts.telegram.chat_ids: there is no chat in it; name one, or remove the key to take TELEGRAM_CHAT_ID",
    ),
    (
        r#"{"telegram": {"chat_ids": [7, 1.5]}}"#,
        "alerts.telegram.chat_ids[1]: expected the number of a chat, or its name",
    ),
    (
        r#"{"telegram": {"chat_ids": [0]}}"#,
        "alerts.telegram.chat_ids[0]: expected the number of a chat, or its name",
    ),
    (
        r#"{"telegram": {"chat_ids": [9007199254740993]}}"#,
        "alerts.telegram.chat_ids[0]: expected the number of a chat, or its name",
    ),
    (
        r#"{"telegram": {"chat_ids": [-1e30]}}"#,
        "alerts.telegram.chat_ids[0]: expected the number of a chat, or its name",
    ),
    (
        r#"{"telegram": {"chat_ids": [null]}}"#,
        "alerts.telegram.chat_ids[0]: expected a number, found null",
    ),
    (
        r#"{"telegram": {"chat_ids": [" "]}}"#,
        "alerts.telegram.chat_ids[0]: it is empty",
    ),
    (
        r#"{"telegram": {"chat_ids": ["@a\nb"]}}"#,
        "alerts.telegram.chat_ids[0]: it holds a control character",
    ),
    (
        r#"{"telegram": {"token_file": ""}}"#,
        "alerts.telegram.token_file: it is empty",
    ),
    (
        r#"{"telegram": {"token_file": 1}}"#,
        "alerts.telegram.token_file: expected a text, found a number",
    ),
    (
        r#"{"telegram": {"token_file": "~bob/t"}}"#,
        "alerts.telegram.token_file: `~` stands for your own home folder alone; write the whole path, or `./~bob/t` \
         for a folder of that name",
    ),
    (r#"{"webhook": {}}"#, "alerts.webhook: the key `url` is missing"),
    (
        r#"{"webhook": {"url": null}}"#,
        "alerts.webhook.url: expected a text, found null",
    ),
    (r#"{"webhook": {"url": " "}}"#, "alerts.webhook.url: it is empty"),
    (
        r#"{"webhook": {"url": "ftp://h"}}"#,
        "alerts.webhook.url: expected a URL that begins with https:// or http://",
    ),
    (
        r#"{"webhook": {"url": "file:///etc/passwd"}}"#,
        "alerts.webhook.url: expected a URL that begins with https:// or http://",
    ),
    (
        r#"{"webhook": {"url": "https://h/a b"}}"#,
        "alerts.webhook.url: it holds white space or a control character",
    ),
    (
        r#"{"webhook": {"url": "http://h\r\nX: y"}}"#,
        "alerts.webhook.url: it holds white space or a control character",
    ),
    (
        r#"{"webhook": {"url": "http://h", "secret_file": "a\u0000"}}"#,
        "alerts.webhook.secret_file: it holds a NUL character",
    ),
    (
        r#"{"command": "notify"}"#,
        "alerts.command: expected a list, found a text",
    ),
    (r#"{"command": []}"#, "alerts.command: the command is empty"),
    (r#"{"command": [" ", "x"]}"#, "alerts.command[0]: it is empty"),
    (
        r#"{"command": ["x", 1]}"#,
        "alerts.command[1]: expected a text, found a number",
    ),
];

#[test]
fn alerts_say_what_is_wrong_once() {
    for (value, expected) in ALERTS {
        check_member(&format!(r#""alerts": {value}"#), expected);
    }
    check_member(
        r#""chat_ids": [1]"#,
        "chat_ids: `chat_ids` is no key of goal.json; it is a key of alerts.telegram",
    );
    check(
        &format!("{{{HEAD}, {TASKS},\n \"alerts\": {{\n  \"webhook\": {{\"url\": \"x\"}}}}}}"),
        "goal.json:3:22: alerts.webhook.url: expected a URL that begins with https:// or http://",
    );
    let place = Place::unseen("goal.json".into(), "/goals".into(), None);
    let text = format!(r#"{{{HEAD}, {TASKS}, "alerts": {{"telegram": {{"token_file": "~/t"}}}}}}"#);
    let error = GoalFile::parse(text.as_bytes(), &place).unwrap_err();
    assert_eq!(error.path(), "alerts.telegram.token_file");
    assert_eq!(error.message(), "there is no home folder for `~`");
}

/// A member whose number is out of range, and what is told.
const OUT_OF_RANGE: &[(&str, &str)] = &[
    (
        r#""max_attempts": 0"#,
        "max_attempts: expected a whole number from 1 to 100, found 0",
    ),
    (
        r#""max_attempts": 101"#,
        "max_attempts: expected a whole number from 1 to 100, found 101",
    ),
    (
        r#""max_attempts": 2.5"#,
        "max_attempts: expected a whole number from 1 to 100, found 2.5",
    ),
    (
        r#""max_attempts": null"#,
        "max_attempts: expected a number, found null",
    ),
    (
        r#""tick_seconds": -1"#,
        "tick_seconds: expected a number of seconds, 0 or more, found -1",
    ),
    (
        r#""worker_timeout_seconds": 0"#,
        "worker_timeout_seconds: expected a number of seconds, at least 0.001, found 0",
    ),
    (
        r#""worker_idle_seconds": 0.0001"#,
        "worker_idle_seconds: expected a number of seconds, at least 0.001, found 0.0001",
    ),
    (
        r#""verify_timeout_seconds": 1e300"#,
        "verify_timeout_seconds: 1e+300 seconds are more than ten years",
    ),
    (
        r#""budget": {"max_tokens": 0}"#,
        "budget.max_tokens: a limit of 0 must not mean \"no limit\"; remove the key for no limit",
    ),
    (
        r#""budget": {"max_usd": 0.0}"#,
        "budget.max_usd: a limit of 0 must not mean \"no limit\"; remove the key for no limit",
    ),
    (
        r#""budget": {"max_wall_seconds": 0}"#,
        "budget.max_wall_seconds: a limit of 0 must not mean \"no limit\"; remove the key for no limit",
    ),
    (
        r#""budget": {"max_wall_seconds": -5}"#,
        "budget.max_wall_seconds: expected a number of seconds, at least 0.001, found -5",
    ),
    (
        r#""budget": {"max_worker_runs": 1.5}"#,
        "budget.max_worker_runs: expected a whole number of at least 1, found 1.5",
    ),
    (
        r#""budget": {"max_output_bytes": 9007199254740993}"#,
        "budget.max_output_bytes: expected a whole number of at least 1, found 9007199254740993",
    ),
    (
        r#""budget": {"max_usd": 0.0000001}"#,
        "budget.max_usd: expected US dollars, at least 0.000001 and at most 1000000000, found 0.0000001",
    ),
    (
        r#""budget": {"max_usd": -1}"#,
        "budget.max_usd: expected US dollars, at least 0.000001 and at most 1000000000, found -1",
    ),
    (
        r#""contract": {"autonomy_ceiling": 6}"#,
        "contract.autonomy_ceiling: expected a whole number from 0 to 5, found 6",
    ),
    (
        r#""contract": {"irreversible_min_trust": 0}"#,
        "contract.irreversible_min_trust: expected a whole number of at least 1, found 0",
    ),
    (
        r#""max_parallel": 65"#,
        "max_parallel: expected a whole number from 1 to 64, found 65",
    ),
];

#[test]
fn numbers_stay_in_their_range() {
    for (member, expected) in OUT_OF_RANGE {
        check_member(member, expected);
    }
}

#[test]
fn required_keys_are_required() {
    check("{}", "goal.json:1:1: the key `repo` is missing (and 2 more)");
    let all: Vec<String> = refusal(" {\"tasks\": [{}, 5]}")
        .problems()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        all,
        [
            "1:2: the key `repo` is missing",
            "1:2: the key `worker_cmd` is missing",
            "1:13: tasks[0]: the key `id` is missing",
            "1:13: tasks[0]: the key `goal` is missing",
            "1:17: tasks[1]: expected an object, found a number",
        ]
    );
    check_told(
        &format!("{{{HEAD}, \"tasks\": []}}"),
        "tasks: there is no task; add a task, for example with `machine-driver task add`",
    );
    check_told(
        &format!(r#"{{"repo": "/r", "worker_cmd": " ", {TASKS}}}"#),
        "worker_cmd: it is empty",
    );
    check_told(
        &format!(r#"{{"repo": "", "worker_cmd": "w", {TASKS}}}"#),
        "repo: it is empty",
    );
    check_told(
        &format!(r#"{{"repo": "a\u0000", "worker_cmd": "w", {TASKS}}}"#),
        "repo: it holds a NUL character",
    );
}

#[test]
fn tasks_are_checked_one_by_one() {
    check_task(
        r#""status": "finished""#,
        "tasks[0].status: expected one of `pending`, `running`, `done`, `blocked`, found `finished`",
    );
    check_task(
        r#""reversible": "yes""#,
        "tasks[0].reversible: expected true or false, found a text",
    );
    check_task(r#""worker_cmd": """#, "tasks[0].worker_cmd: it is empty");
    check_task(
        r#""max_attempts": 1000"#,
        "tasks[0].max_attempts: expected a whole number from 1 to 100, found 1000",
    );
    check_task(
        r#""started": true"#,
        "tasks[0].started: expected a number, found true",
    );
    let with_id = |id: &str| format!(r#"{{{HEAD}, "tasks": [{{"id": {id}, "goal": "x"}}]}}"#);
    for (id, expected) in [
        (r#""../x""#, "tasks[0].id: `../x`: it starts with `.`"),
        (r#"".git""#, "tasks[0].id: `.git`: it starts with `.`"),
        (r#""""#, "tasks[0].id: ``: it is empty"),
        (
            r#""a\u0000""#,
            "tasks[0].id: `a\\0`: only `A-Z a-z 0-9 . _ -` are allowed",
        ),
        ("1", "tasks[0].id: expected a text, found a number"),
    ] {
        check_told(&with_id(id), expected);
    }
    check_told(
        &format!(r#"{{{HEAD}, "tasks": [{{"id": "a", "goal": "\t "}}]}}"#),
        "tasks[0].goal: it is empty",
    );
    check_told(
        &format!(r#"{{{HEAD}, "tasks": [{{"id": "a", "goal": "x\u0000"}}]}}"#),
        "tasks[0].goal: it holds a NUL character",
    );
}

#[track_caller]
fn check_after(tasks: &[(&str, &str)], expected: &str) {
    let task = |(id, after): &(&str, &str)| format!(r#"{{"id": "{id}", "goal": "x", "after": {after}}}"#);
    let tasks = tasks.iter().map(task).collect::<Vec<_>>().join(", ");
    check_told(&format!(r#"{{{HEAD}, "tasks": [{tasks}]}}"#), expected);
}

#[test]
fn tasks_are_checked_against_each_other() {
    check_after(
        &[("a", "[]"), ("b", "[]"), ("a", "[]")],
        "tasks[2].id: the id `a` is that of tasks[0] already",
    );
    check_after(
        &[("build", "[]"), ("b", r#"["biuld"]"#)],
        "tasks[1].after[0]: there is no task `biuld`; did you mean `build`?",
    );
    check_after(&[("a", r#"["zz"]"#)], "tasks[0].after[0]: there is no task `zz`");
    check_after(
        &[("a", r#""b""#), ("b", "null")],
        "tasks[0].after: expected a list, found a text",
    );
    check_after(
        &[("a", r#"["a"]"#)],
        "tasks[0].after: these tasks wait for each other: a -> a",
    );
    check_after(
        &[
            ("x", r#"["a"]"#),
            ("a", r#"["b"]"#),
            ("b", r#"["a", "y"]"#),
            ("y", "[]"),
        ],
        "tasks[1].after: these tasks wait for each other: a -> b -> a",
    );
}

#[test]
fn a_long_chain_and_a_long_cycle_break_no_stack() {
    let chain = |first: &str| {
        let one = |n: usize| match n {
            0 => format!(r#"{{"id": "t0", "goal": "x"{first}}}"#),
            _ => format!(r#"{{"id": "t{n}", "goal": "x", "after": ["t{}"]}}"#, n - 1),
        };
        format!(
            "{{{HEAD}, \"tasks\": [{}]}}",
            (0..50_000).map(one).collect::<Vec<_>>().join(",")
        )
    };
    assert_eq!(accept(&chain("")).goal().tasks[49_999].after, [49_998]);
    assert_eq!(
        refusal(&chain(r#", "after": ["t49999"]"#)).message(),
        "these tasks wait for each other: t0 -> t49999 -> t49998 -> t49997 -> t49996 -> t49995 -> t49994 -> t49993 \
         -> … -> t0"
    );
}

#[test]
fn many_problems_are_counted() {
    let tasks = (0..1000)
        .map(|n| format!(r#"{{"id": "t{n}", "gaol": "x"}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let error = refusal(&format!("{{{HEAD}, \"tasks\": [{tasks}]}}"));
    assert_eq!((error.problems().count(), error.uncounted()), (20, 1980));
    assert!(error.to_string().ends_with(" (and 1999 more)"), "{error}");
}

#[test]
fn spans_point_into_the_text() {
    let text = format!("{{{HEAD}, {TASKS},\n\"ü\": 1, \"budget\": {{\"max_tokens\": \"many\"}}}}");
    let error = refusal(&text);
    let spans: Vec<&str> = error
        .problems()
        .map(|problem| &error.text()[problem.span()])
        .collect();
    assert_eq!(spans, ["\"ü\"", "\"many\""]);
    assert_eq!(
        error
            .problems()
            .map(|problem| (problem.line(), problem.column()))
            .collect::<Vec<_>>(),
        [(2, 1), (2, 34)]
    );
    assert_eq!(error.text(), text);
}

/// A folder of goal.json, a current directory and a home, with these folders in them.
fn repo(written: &str, folders: &'static [&'static str]) -> Result<PathBuf, String> {
    let folder_at = |path: &Path| {
        folders
            .iter()
            .any(|folder| Path::new(folder) == path)
            .then(|| path.to_owned())
    };
    let place = Place {
        path: "goal.json".into(),
        folder: "/goals".into(),
        cwd: Some("/cwd".into()),
        home: Some("/home/me".into()),
        folder_at: &folder_at,
    };
    let text = format!(r#"{{"repo": "{written}", "worker_cmd": "w", {TASKS}}}"#);
    let file = GoalFile::parse(text.as_bytes(), &place).map_err(|error| error.to_string())?;
    Ok(file.goal().repo.clone())
}

#[test]
fn repo_is_taken_from_the_folder_of_the_goal() {
    assert_eq!(repo("app", &["/goals/app"]), Ok("/goals/app".into()));
    assert_eq!(repo("/srv/app", &["/srv/app", "/cwd/app"]), Ok("/srv/app".into()));
    assert_eq!(repo("~", &["/home/me"]), Ok("/home/me".into()));
    assert_eq!(
        repo("~/app", &["/home/me/app", "/cwd/app"]),
        Ok("/home/me/app".into())
    );
    let told = |written, folders| repo(written, folders).unwrap_err();
    assert_eq!(
        told("app", &["/goals/app", "/cwd/app"]),
        "goal.json:1:10: repo: `app` could be /goals/app or /cwd/app; the first is from the folder of goal.json, \
         the second from the current directory: write the whole path"
    );
    assert_eq!(
        told("app", &["/cwd/app"]),
        "goal.json:1:10: repo: there is no folder /goals/app; paths are taken from the folder of goal.json; \
         there is /cwd/app"
    );
    assert_eq!(
        told("/nowhere", &[]),
        "goal.json:1:10: repo: there is no folder /nowhere"
    );
    assert_eq!(
        told("~root/app", &[]),
        "goal.json:1:10: repo: `~` stands for your own home folder alone; write the whole path, or `./~root/app` \
         for a folder of that name"
    );
}

/// One folder under two names is no ambiguity: `folder_at` says that it is one.
#[test]
fn a_linked_current_directory_is_not_another_folder() {
    let folder_at = |_: &Path| Some(PathBuf::from("/real/app"));
    let place = Place {
        path: "goal.json".into(),
        folder: "/goals".into(),
        cwd: Some("/link".into()),
        home: None,
        folder_at: &folder_at,
    };
    let text = format!(r#"{{"repo": "app", "worker_cmd": "w", {TASKS}}}"#);
    assert_eq!(
        GoalFile::parse(text.as_bytes(), &place).unwrap().goal().repo,
        Path::new("/real/app")
    );
    let text = format!(r#"{{"repo": "~/app", "worker_cmd": "w", {TASKS}}}"#);
    let error = GoalFile::parse(text.as_bytes(), &place).unwrap_err();
    assert_eq!(
        error.to_string(),
        "goal.json:1:10: repo: there is no home folder for `~`; set HOME, or write the whole path"
    );
}

#[test]
fn who_vouches_is_somebody_else_than_who_works() {
    let same =
        r#""aar_priv": "k", "principal": "did:web:a", "subject": "did:web:a:w", "verifier": "did:web:a:w""#;
    check_member(
        same,
        "verifier: `subject` and `verifier` are one; who does the work must not judge it: name another",
    );
    let default = r#""aar_priv": "k", "principal": "did:web:a", "subject": "did:web:a:verifier""#;
    check_member(
        default,
        "subject: `subject` and `verifier` are one; who does the work must not judge it: name another",
    );
    for key in ["subject", "principal", "verifier"] {
        for bad in ["web:a", "did:web:", "did:Web:a", "did:web:a#k"] {
            refused(&format!(r#""{key}": "{bad}""#), key);
        }
    }
}

/// Refused at that key, whatever the words.
#[track_caller]
fn refused(member: &str, key: &str) {
    let text =
        format!(r#"{{"repo": "/r", "worker_cmd": "w", "tasks": [{{"id": "a", "goal": "x"}}], {member}}}"#);
    let place = Place::unseen("/w/goal.json".into(), "/w".into(), None);
    let error = GoalFile::parse(text.as_bytes(), &place)
        .map(drop)
        .map_err(|error| error.to_string());
    assert!(
        error
            .as_ref()
            .is_err_and(|error| error.contains(&format!(": {key}: "))),
        "{error:?}"
    );
}
