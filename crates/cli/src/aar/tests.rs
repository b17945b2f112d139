use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use machine_driver::Exit;
use serde_json::Value;

use super::{keygen, show, sign, verify};
use crate::args::{AarCommand, Cli, Command};
use crate::error;
use crate::me::Me;
use crate::out::Out;
use crate::out::captured::capture;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/aar")
        .join(name)
}

/// How `aar WORDS` ends, and what it writes; paths are relative to the corpus.
fn aar(words: &[&str], json: bool) -> (Exit, String) {
    let line = ["machine-driver", "aar"].iter().chain(words);
    let Command::Aar(command) = Cli::try_parse_from(line).unwrap().command else {
        panic!("{words:?}")
    };
    let me = Me::plain();
    let run = |out: &Out| {
        let done = match &command {
            AarCommand::Keygen(args) => keygen::keygen(args, &me, out),
            AarCommand::Sign(args) => sign::sign(args, &me, out),
            AarCommand::Verify(args) => verify::verify(args, out),
            AarCommand::Show(args) => show::show(args, &me, out),
        };
        done.unwrap_or_else(|failure| error::tell(&failure, out))
    };
    let (exit, stdout, stderr) = capture(json, true, run);
    let text = (stdout + &stderr).replace(corpus("").to_str().unwrap(), "");
    (exit, text)
}

fn verified(files: &[&str], more: &[&str]) -> (Exit, String) {
    let files: Vec<String> = files
        .iter()
        .map(|file| corpus(file).display().to_string())
        .collect();
    let did = corpus("did/org.json").display().to_string();
    let mut words = vec!["verify", "--did-json", &did];
    words.extend(more);
    words.extend(files.iter().map(String::as_str));
    aar(&words, false)
}

#[test]
fn a_verification_as_people_read_it() {
    let mut text = String::new();
    for (files, more) in [
        (&["good/rejected.json"][..], &[][..]),
        (&["good/no-verifier.json"], &["--require", "L2"]),
        (&["attacks/verdict-flipped.json"], &[]),
        (&["attacks/duplicate-verdict.json"], &[]),
        (&["good/terminal-escapes.json"], &[]),
        (&["chain"], &[]),
        (
            &["chain/c1.json", "chain/c2.json", "chain/c4.json"],
            &["--require", "L3"],
        ),
        (
            &[
                "good/verified.json",
                "attacks/verdict-flipped.json",
                "good/self-verified.json",
            ],
            &[],
        ),
    ] {
        let (exit, shown) = verified(files, more);
        text += &format!(
            "$ verify {} {}\n{shown}exit {}\n\n",
            files.join(" "),
            more.join(" "),
            exit.code()
        );
    }
    insta::assert_snapshot!("verify", text);
}

#[test]
fn a_record_as_people_read_it() {
    let path = corpus("good/annotated.json").display().to_string();
    insta::assert_snapshot!("show", aar(&["show", &path], false).1);
}

/// Every record of the corpus: the level and the reason that its manifest says, and nothing that a terminal acts on.
#[test]
fn the_corpus_gets_the_answers_of_its_manifest() {
    let manifest: Value = serde_json::from_slice(&fs::read(corpus("manifest.json")).unwrap()).unwrap();
    let files = manifest["files"].as_array().unwrap();
    assert!(files.len() > 150, "{}", files.len());
    let mut failed = 0;
    for entry in files {
        let path = corpus(entry["file"].as_str().unwrap()).display().to_string();
        let mut words = vec!["verify".to_owned(), path];
        for did in entry["did"].as_array().unwrap() {
            words.extend([
                "--did-json".to_owned(),
                corpus(did.as_str().unwrap()).display().to_string(),
            ]);
        }
        if words.len() == 2 {
            words.extend([
                "--did-json".to_owned(),
                corpus("did/other.json").display().to_string(),
            ]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (exit, text) = aar(&words, true);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let record = lines.iter().find(|line| line["type"] == "record").unwrap();
        assert_eq!(record["level"], entry["level"], "{entry}");
        if !entry["reason"].is_null() {
            assert_eq!(record["reason"], entry["reason"], "{entry}");
        }
        let expected = if entry["level"].is_null() {
            Exit::NotVerified
        } else {
            Exit::Done
        };
        assert_eq!(exit, expected, "{entry}");
        failed += usize::from(exit == Exit::NotVerified);
        let (_, plain) = aar(&words, false);
        for shown in [&text, &plain] {
            assert!(
                shown.chars().all(|c| c == '\n' || !c.is_control()),
                "{entry}: {shown:?}"
            );
        }
    }
    assert!(failed > 100, "{failed} of {} fail", files.len());
}

#[test]
fn text_from_a_record_reaches_no_terminal_raw() {
    for name in [
        "good/terminal-escapes.json",
        "good/control-characters.json",
        "good/unicode.json",
    ] {
        let path = corpus(name).display().to_string();
        for json in [false, true] {
            let (exit, text) = aar(&["show", &path], json);
            assert_eq!(exit, Exit::Done, "{text}");
            let is_fit =
                |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}'));
            assert!(text.chars().all(is_fit), "{name}: {text:?}");
        }
    }
}

#[test]
fn levels_that_are_asked_for_decide() {
    for (file, level, expected) in [
        ("good/verified.json", "L2", Exit::Done),
        ("good/verified.json", "L3", Exit::NotVerified),
        ("good/no-verifier.json", "L1", Exit::Done),
        ("good/no-verifier.json", "L2", Exit::NotVerified),
        ("good/no-ground-truth.json", "L0", Exit::Done),
        ("good/no-ground-truth.json", "L1", Exit::NotVerified),
        ("chain", "L3", Exit::Done),
    ] {
        assert_eq!(
            verified(&[file], &["--require", level]).0,
            expected,
            "{file} {level}"
        );
    }
}

#[test]
fn a_chain_with_a_hole_fails_unless_less_is_asked_for() {
    let some = ["chain/c1.json", "chain/c3.json"];
    assert_eq!(verified(&some, &[]).0, Exit::Done, "files by themselves");
    let folder = tempfile::tempdir().unwrap();
    for name in ["c1", "c2", "c3", "c4", "c5"] {
        fs::copy(
            corpus(&format!("chain/{name}.json")),
            folder.path().join(format!("{name}.json")),
        )
        .unwrap();
    }
    let dir = folder.path().to_str().unwrap();
    let did = corpus("did/org.json").display().to_string();
    let of = |more: &[&str]| aar(&[&["verify", dir, "--did-json", &did][..], more].concat(), false);
    let (exit, text) = of(&[]);
    assert!(exit == Exit::Done && text.contains("end not proven"), "{text}");
    for (name, code) in [
        ("c5", "chain-tail-cut"),
        ("c1", "chain-head-cut"),
        ("c3", "chain-gap"),
    ] {
        let (from, to) = (
            folder.path().join(format!("{name}.json")),
            folder.path().join("away"),
        );
        let lines = aar(&["verify", dir, "--did-json", &did], true).1;
        let chain = lines
            .lines()
            .find(|line| line.contains("\"type\":\"chain\""))
            .unwrap();
        let head: Value = serde_json::from_str(chain).unwrap();
        fs::rename(&from, &to).unwrap();
        let (exit, text) = of(&["--head", head["head"].as_str().unwrap()]);
        assert!(exit == Exit::NotVerified && text.contains(code), "{name}: {text}");
        let (exit, text) = of(&["--require", "L2"]);
        // Of a cut tail nothing shows where nobody says what the last one is.
        let conformance = if name == "c5" {
            "conformance: L3"
        } else {
            "conformance: L2"
        };
        assert!(exit == Exit::Done && text.contains(conformance), "{name}: {text}");
        fs::rename(&to, &from).unwrap();
        let (exit, text) = of(&["--require", "L3", "--head", head["head"].as_str().unwrap()]);
        assert!(
            exit == Exit::Done && text.contains("you named is its end"),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_folder_with_something_else_in_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let did = corpus("did/org.json").display().to_string();
    let dir = folder.path().to_str().unwrap();
    let (exit, text) = aar(&["verify", dir, "--did-json", &did], false);
    assert!(
        exit == Exit::NotVerified && text.contains("there is no record"),
        "{text}"
    );
    std::os::unix::fs::symlink(corpus("good/verified.json"), folder.path().join("t1.json")).unwrap();
    let (exit, text) = aar(&["verify", dir, "--did-json", &did], false);
    assert!(
        exit == Exit::NotVerified && text.contains("unreadable") && text.contains("symbolic link"),
        "{text}"
    );
}
