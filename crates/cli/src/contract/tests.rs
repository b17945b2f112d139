use std::fs;
use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::args::{Cli, Command};
use crate::out::captured::capture;

fn folder(contract: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goal.json");
    let goal = json!({"goal": "g", "repo": folder.path().to_str().unwrap(), "worker_cmd": "true", "verify_cmd": "true",
                      "contract": contract, "tasks": [{"id": "a", "goal": "x"}]});
    fs::write(&path, goal.to_string()).unwrap();
    (folder, path)
}

/// How a command ends, and all that it says; digests and paths are put into words.
fn said(path: &Path, words: &[&str], flags: &[&str]) -> (Option<Exit>, String) {
    let command = ["machine-driver", "contract"]
        .iter()
        .chain(words)
        .chain(flags)
        .copied();
    let parsed = Cli::try_parse_from(command.chain([path.to_str().unwrap()]))
        .unwrap()
        .command;
    let Command::Contract(command) = parsed else {
        panic!("{parsed:?}")
    };
    let tell = |out: &Out| {
        obey(&command, &Me::plain(), out)
            .map_err(|failure| crate::error::tell(&failure, out))
            .ok()
    };
    let (exit, stdout, stderr) = capture(false, false, tell);
    let text = (stdout + &stderr).replace(path.parent().unwrap().to_str().unwrap(), "/w");
    let hex = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        if hex(word.trim()) {
            word.replace(word.trim(), "DIGEST")
        } else {
            word.to_owned()
        }
    });
    (exit, words.collect())
}

#[test]
fn a_contract_is_shown_whole_and_escaped() {
    let (_folder, path) = folder(&json!({
        "proposed_by": "ann\u{1b}[2J", "ratified_by": "bob", "autonomy_ceiling": 1, "expires": "2020-01-01T00:00:00Z",
        "definition_of_done": ["it is there", "it \u{202e}works"], "scope": ["src/**"],
        "immutable": ["definition_of_done", "path:tests/**"], "require_receipt": true,
        "revoked": {"by": "carl", "at": "2026-01-01T00:00:00Z", "reason": "no\n\u{1b}good"},
    }));
    let (exit, text) = said(&path, &["show"], &[]);
    assert_eq!(exit, Some(Exit::Done));
    assert_eq!(
        text,
        "contract     not ratified: it was revoked\n\
         digest       DIGEST\n\
         proposed by  ann\\e[2J\n\
         ratified by  bob\n\
         expired      2020-01-01 00:00:00Z\n\
         revoked      by carl, 2026-01-01T00:00:00Z: no\\n\\egood\n\
         receipt      none; it asks for one\n\
         ceiling      1; for what cannot be undone: none is enough\n\
         scope        a worker may change only src/**\n\
         immutable    a worker may not change tests/**\n\
         frozen       definition_of_done\n\
         definition_of_done\n  it is there\n  it \\u{202e}works\n  \
         next: `machine-driver contract ratify --as WHO /w/goal.json`\n"
    );
}

#[test]
fn no_contract_is_said_too() {
    let (_folder, path) = folder(&Value::Null);
    let (exit, text) = said(&path, &["show"], &[]);
    assert_eq!(exit, Some(Exit::Done));
    assert_eq!(
        text,
        "contract     not ratified: there is none\ndigest       DIGEST\n"
    );
    let (exit, text) = said(&path, &["ratify"], &["--as", "bob"]);
    assert_eq!(exit, None);
    assert!(
        text.starts_with("error: /w/goal.json: there is no contract\n  next: "),
        "{text}"
    );
}

#[test]
fn a_ratification_says_what_it_is_worth() {
    let (_folder, path) = folder(&json!({"proposed_by": "ann"}));
    let (exit, text) = said(&path, &["ratify"], &["--as", "b\u{202e}ob"]);
    assert_eq!(exit, Some(Exit::Done));
    assert_eq!(
        text,
        "ratified by b\\u{202e}ob: DIGEST\n  \
         no key was given: the names alone say so, and whoever can write goal.json can write names\n  \
         next: `machine-driver check /w/goal.json`\n"
    );
    let (_, digest) = said(&path, &["digest"], &[]);
    assert_eq!(digest, "DIGEST\n");
    let (_, revoked) = said(&path, &["revoke"], &["--as", "carl", "--reason", "-no"]);
    assert!(
        revoked.starts_with("revoked by carl: nothing is committed"),
        "{revoked}"
    );
}
