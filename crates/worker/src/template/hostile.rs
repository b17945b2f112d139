//! Runs what the template makes of a command, with texts that try to get out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const MARKER: &str = "MARKER";

fn shells() -> Vec<&'static str> {
    [
        "/bin/sh",
        "/bin/dash",
        "/bin/bash",
        "/bin/zsh",
        "/bin/ksh",
        "/bin/busybox",
    ]
    .into_iter()
    .filter(|shell| Path::new(shell).exists())
    .collect()
}

const TEXTS: [&str; 73] = [
    "",
    " ",
    "plain",
    "$(>MARKER)",
    "`>MARKER`",
    "\"$(>MARKER)\"",
    "'$(>MARKER)'",
    "'; >MARKER; '",
    "\"; >MARKER; \"",
    "\"'; >MARKER; '\"",
    "'\"; >MARKER; \"'",
    "; >MARKER",
    "\n>MARKER\n",
    "| >MARKER",
    "&& >MARKER",
    "& >MARKER &",
    "> MARKER",
    ">MARKER",
    "<(>MARKER)",
    "}; >MARKER; {",
    "$((a[$(>MARKER)]))",
    "a[$(>MARKER)]",
    "${IFS}>MARKER",
    "${x:=$(>MARKER)}",
    "\\",
    "\\\\",
    "\\'",
    "\\\"",
    "ends with \\",
    "ends with \\\n",
    "\n\n\n",
    "trailing newline\n",
    "\t tab ",
    "*",
    "?",
    "[a-z]*",
    "~",
    "~root",
    "{a,b}",
    "{task}",
    "${MACHINE_TASK}",
    "$MACHINE_TASK",
    "\"${MACHINE_TASK}\"",
    "%s%n%d",
    "-n",
    "-e",
    "--help",
    "-rf /",
    "!!",
    "!$",
    "# comment",
    "#",
    "EOF",
    "EOF\n>MARKER\n",
    "é ü 漢字 🦀",
    "Á\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}",
    "\u{202e}rtl \u{feff}bom\u{200b}",
    "\u{1}\u{2}\u{7f}\u{1b}[2J\r",
    "'",
    "''",
    "\"",
    "\"\"",
    "'\"'\"'",
    "`",
    "$",
    "$$",
    "$(",
    "${",
    "$'\\x41'",
    "a\\nb\\0c\\c",
    "()",
    "() { :; }; >MARKER",
    "%0a>MARKER",
];

fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = TEXTS.map(str::to_owned).into();
    texts.push("x".repeat(100 * 1024));
    texts.push("'\"`$(>MARKER)\\\n".repeat(6_000));
    texts
}

/// Commands that write what they got to `out`, and what they write beside the text.
const CONTEXTS: [(&str, &str, &str); 22] = [
    ("printf '%s' {task} > out", "", ""),
    ("printf '%s' \"{task}\" > out", "", ""),
    ("printf '%s' '{task}' > out", "", ""),
    ("printf '%s' a{task}b > out", "a", "b"),
    ("printf '%s' \"a {task} b\" > out", "a ", " b"),
    ("printf '%s' 'a {task} b' > out", "a ", " b"),
    ("printf '%s' 'a'{task}\"b\" > out", "a", "b"),
    ("printf '%s' \"\\\"{task}\\\"\" > out", "\"", "\""),
    ("printf '%s' \\\\{task} > out", "\\", ""),
    ("printf '%s' '$(x) {task} `y`' > out", "$(x) ", " `y`"),
    (
        "printf '%s' '{\"task\": \"{task}\"}' > out",
        "{\"task\": \"",
        "\"}",
    ),
    ("printf '%s' '{{{task}}}' > out", "{", "}"),
    ("X={task}; printf '%s' \"$X\" > out", "", ""),
    ("X='{task}' && printf '%s' \"${X}\" > out", "", ""),
    ("export X=\"{task}\"; sh -c 'printf %s \"$X\"' > out", "", ""),
    ("sh -c 'printf %s \"$1\"' sh {task} > out", "", ""),
    ("f() { printf '%s' \"$1\"; }; f {task} > out", "", ""),
    ("for t in {task}; do printf '%s' \"$t\"; done > out", "", ""),
    ("case {task} in *) printf '%s' {task} > out;; esac", "", ""),
    ("if true; then (printf '%s' {task}) | cat > out; fi", "", ""),
    ("printf '%s' $(:)\"`:`\"{task} > out <<E\nbody ' \"\nE\n", "", ""),
    ("set -- {task}; printf '%s' \"$1\" > out # it's", "", ""),
];

fn run(shell: &str, folder: &TempDir, script: &OsStr, text: &OsStr, path: &OsStr) -> std::process::Output {
    let mut command = Command::new(shell);
    if shell.ends_with("busybox") {
        command.arg("sh");
    }
    command
        .arg("-c")
        .arg(script)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .envs(Placeholder::ALL.map(|p| (p.variable(), text)))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn script_of(command: &str) -> Result<OsString, TemplateError> {
    let template = Template::parse(&CommandLine::Shell(command.to_owned()))?;
    Ok(template.command(|_| unreachable!()).pop().unwrap())
}

#[test]
fn every_text_arrives_byte_for_byte_in_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = 0;
    for (command, before, after) in CONTEXTS {
        let script = script_of(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        for text in hostile_texts() {
            for shell in shells() {
                let output = run(
                    shell,
                    &folder,
                    &script,
                    OsStr::new(&text),
                    OsStr::new("/usr/bin:/bin"),
                );
                assert!(output.status.success(), "{shell}: {command}: {output:?}");
                let out = folder.path().join("out");
                let arrived = fs::read(&out).unwrap();
                assert!(
                    arrived == format!("{before}{text}{after}").as_bytes(),
                    "{shell}: {command}: {text:?}"
                );
                fs::remove_file(out).unwrap();
                assert!(
                    fs::read_dir(&folder).unwrap().next().is_none(),
                    "{shell}: {command}: {text:?} left a file"
                );
                pairs += 1;
            }
        }
    }
    println!(
        "{pairs} pairs of text and place arrived byte for byte, in {:?}",
        shells()
    );
}

#[test]
fn an_array_hands_every_text_over_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 2] = [
        &["printf", "%s", "{task}"],
        &["sh", "-c", "printf %s \"$1\"", "sh", "{task}"],
    ];
    for arguments in commands {
        let template = Template::parse(&CommandLine::Argv(
            arguments.iter().map(|a| (*a).to_owned()).collect(),
        ))
        .unwrap();
        for text in hostile_texts() {
            let argv = template.command(|_| OsString::from(&text));
            let output = Command::new(&argv[0])
                .args(&argv[1..])
                .current_dir(&folder)
                .output()
                .unwrap();
            assert!(output.stdout == text.as_bytes(), "{arguments:?}: {text:?}");
        }
    }
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
}

/// The tests above could see an injection: replacement by text, as the original did it, has many.
#[test]
fn textual_replacement_would_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for text in hostile_texts().iter().filter(|text| text.len() < 1000) {
        let script = CONTEXTS[1].0.replace("{task}", text);
        run(
            "/bin/sh",
            &folder,
            OsStr::new(&script),
            OsStr::new(""),
            OsStr::new("/usr/bin:/bin"),
        );
        seen += usize::from(fs::remove_file(folder.path().join(MARKER)).is_ok());
    }
    assert!(seen >= 4, "{seen}");
}

/// Pieces of commands that shift quoting, evaluate once more, or carry values from place to place.
const PIECES: [&str; 62] = [
    "{task}",
    "{task}",
    "{task}",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "`",
    "$",
    "$(",
    "(",
    ")",
    "((",
    "))",
    "{",
    "}",
    "{{",
    "}}",
    " ",
    " ",
    " ",
    "\n",
    ";",
    "&",
    "|",
    "#",
    "<",
    ">",
    "<<E",
    "\nE\n",
    "=",
    "X=",
    "$X",
    "\"$X\"",
    "${X}",
    "${X:-",
    "$((",
    "[[ ",
    " ]]",
    " -eq ",
    "eval ",
    "sh -c ",
    "bash -c ",
    "bash ",
    "sh ",
    "env ",
    "exec ",
    "command ",
    "printf ",
    "%s ",
    "test ",
    " -v ",
    "set -- ",
    "declare -i ",
    "unset ",
    "f() ",
    "case ",
    " in ",
    " esac",
    "trap ",
    "export ",
];

const FUZZ_TEXTS: [&str; 12] = [
    "$(>MARKER)",
    "`>MARKER`",
    ";>MARKER;",
    "';>MARKER;'",
    "\";>MARKER;\"",
    "\n>MARKER\n",
    "a[$(>MARKER)]",
    "-va[$(>MARKER)]",
    "-c >MARKER",
    ") >MARKER; (",
    "\\\";>MARKER;\\\"'`",
    "'\"`;>MARKER;$(>MARKER)#",
];

/// Only these programs can be found by what the random commands run.
fn few_programs(folder: &TempDir) -> OsString {
    for program in ["sh", "bash", "env", "cat"] {
        let found = ["/bin", "/usr/bin"]
            .map(|f| Path::new(f).join(program))
            .into_iter()
            .find(|p| p.exists());
        if let Some(found) = found {
            std::os::unix::fs::symlink(found, folder.path().join(program)).unwrap();
        }
    }
    folder.path().into()
}

#[test]
fn no_accepted_command_lets_a_text_out() {
    let programs = tempfile::tempdir().unwrap();
    let path = few_programs(&programs);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 6_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let accepted = std::cell::Cell::new(0);
    let piece = proptest::sample::select(&PIECES);
    let commands = proptest::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat());
    let prefixes = proptest::sample::select(&["", "printf %s ", "X={task}; ", "sh -c ", ": "]);
    let texts = proptest::sample::subsequence(&FUZZ_TEXTS, 3);
    let result = runner.run(&(prefixes, commands, texts), |(prefix, rest, texts)| {
        let command = format!("{prefix}{rest}");
        let Ok(script) = script_of(&command) else {
            return Ok(());
        };
        if !command.contains("{task}") {
            return Ok(());
        }
        accepted.set(accepted.get() + 1);
        let folder = tempfile::tempdir().unwrap();
        for text in texts {
            for shell in ["/bin/sh", "/bin/bash"]
                .into_iter()
                .filter(|shell| Path::new(shell).exists())
            {
                run(shell, &folder, &script, OsStr::from_bytes(text.as_bytes()), &path);
                prop_assert!(
                    !folder.path().join(MARKER).exists(),
                    "{}: {:?} with {:?}",
                    shell,
                    command,
                    text
                );
            }
        }
        Ok(())
    });
    result.unwrap();
    println!("{} random commands were accepted and run", accepted.get());
    assert!(
        accepted.get() > 300,
        "too few commands were accepted: {}",
        accepted.get()
    );
}
