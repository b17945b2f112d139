//! What a repository tells about its tests, and PATH about the coding agents that are there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::has;

/// A command, and why this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) command: String,
    pub(super) why: String,
}

impl Found {
    pub(super) fn given(command: &str) -> Self {
        Self::because(command, "as given")
    }

    fn because(command: &str, why: &str) -> Self {
        Self {
            command: command.into(),
            why: why.into(),
        }
    }
}

/// Known agents and how each is run without a terminal, as of 2026-11; in the order in which they are looked for.
const AGENTS: [(&str, &str); 7] = [
    (
        "claude",
        r#"claude -p "{task} (what the tests said last: {feedback})" --output-format stream-json --verbose --permission-mode acceptEdits"#,
    ),
    (
        "codex",
        r#"codex exec --json --sandbox workspace-write "{task} (what the tests said last: {feedback})""#,
    ),
    (
        "gemini",
        r#"gemini -p "{task} (what the tests said last: {feedback})" --approval-mode=yolo -o stream-json"#,
    ),
    (
        "opencode",
        r#"opencode run --format json --auto "{task} (what the tests said last: {feedback})""#,
    ),
    (
        "aider",
        "aider --message-file {task_file} --yes-always --no-auto-commits --no-stream",
    ),
    (
        "goose",
        r#"GOOSE_MODE=auto goose run --no-session --output-format stream-json -t "{task} (what the tests said last: {feedback})""#,
    ),
    (
        "cursor-agent",
        r#"cursor-agent -p "{task} (what the tests said last: {feedback})" --output-format stream-json --force --trust"#,
    ),
];

/// The agents that are looked for.
pub(super) fn names() -> String {
    AGENTS.map(|(name, _)| name).join(", ")
}

/// The first known agent on this PATH.
pub(super) fn agent(path: &OsStr) -> Option<Found> {
    let is_there = |name: &str| std::env::split_paths(path).any(|folder| is_executable(&folder.join(name)));
    let (name, command) = AGENTS.into_iter().find(|(name, _)| is_there(name))?;
    Some(Found::because(command, &format!("{name} is on PATH")))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The command that runs a repository's tests, by the files in its top folder.
pub(super) fn tests(repo: &Path) -> Option<Found> {
    if has(repo, "Cargo.toml") {
        return Some(Found::because("cargo test", "Cargo.toml"));
    }
    if has_npm_test(repo) {
        return Some(Found::because("npm test", "package.json has a test script"));
    }
    let python = ["pytest.ini", "pyproject.toml", "tox.ini", "setup.py", "setup.cfg"];
    if let Some(file) = python.into_iter().find(|file| has(repo, file)) {
        return Some(Found::because("python3 -m pytest -q", file));
    }
    if has(repo, "go.mod") {
        return Some(Found::because("go test ./...", "go.mod"));
    }
    let makefile = ["GNUmakefile", "makefile", "Makefile"]
        .into_iter()
        .find(|file| has_test_target(&repo.join(file)))?;
    Some(Found::because(
        "make test",
        &format!("{makefile} has the target test"),
    ))
}

/// The script that `npm init` writes only says that there is none.
fn has_npm_test(repo: &Path) -> bool {
    let package: Option<Value> = fs::read(repo.join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let script = package
        .as_ref()
        .and_then(|package| package.get("scripts")?.get("test")?.as_str());
    script.is_some_and(|script| !script.trim().is_empty() && !script.contains("no test specified"))
}

fn has_test_target(makefile: &Path) -> bool {
    let text = fs::read_to_string(makefile).unwrap_or_default();
    let is_target = |line: &str| {
        let names = line
            .split_once(':')
            .filter(|(_, rest)| !rest.starts_with('='))
            .map(|(names, _)| names);
        !line.starts_with(['\t', ' ', '#', '.'])
            && names.is_some_and(|names| names.split_whitespace().any(|n| n == "test"))
    };
    text.lines().any(is_target)
}

#[cfg(test)]
mod tests {
    use machine_driver_state::goal::CommandLine;
    use machine_driver_worker::template::Template;

    use super::*;

    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let found = tests(folder.path());
        assert_eq!(found.map(|found| found.command).as_deref(), expected, "{files:?}");
    }

    #[test]
    fn a_repository_tells_its_tests() {
        check(&[], None);
        check(&[("Cargo.toml", "")], Some("cargo test"));
        check(
            &[("package.json", r#"{"scripts":{"test":"vitest"}}"#)],
            Some("npm test"),
        );
        check(
            &[(
                "package.json",
                r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#,
            )],
            None,
        );
        check(&[("package.json", "not json")], None);
        check(&[("pyproject.toml", "")], Some("python3 -m pytest -q"));
        check(&[("go.mod", "module x")], Some("go test ./..."));
        check(
            &[("Makefile", ".PHONY: test\nall test: x\n\tcc\n")],
            Some("make test"),
        );
        check(
            &[("Makefile", "test := 1\n# test: no\n\ttest: no\nattest: y\n")],
            None,
        );
        check(&[("Makefile", "test:\n"), ("Cargo.toml", "")], Some("cargo test"));
    }

    #[test]
    fn an_agent_on_path_is_taken_and_a_file_that_cannot_run_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(agent(folder.path().as_os_str()), None);
        let file = folder.path().join("gemini");
        fs::write(&file, "").unwrap();
        assert_eq!(agent(folder.path().as_os_str()), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let found = agent(folder.path().as_os_str()).unwrap();
        assert!(found.command.starts_with("gemini -p"), "{found:?}");
        assert_eq!(found.why, "gemini is on PATH");
    }

    #[test]
    fn every_agents_command_is_one_that_the_driver_takes() {
        for (name, command) in AGENTS {
            let template = Template::parse(&CommandLine::Shell(command.into()));
            let template = template.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(template.program(), Some(name));
        }
    }
}
