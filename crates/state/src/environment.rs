//! The environment of a worker and of a verifier: the driver's own, less what is not theirs, and what the attempt adds.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::id::{SessionId, TaskId};

/// Names and values, each name once.
pub type Variables = Vec<(OsString, OsString)>;

/// The most bytes of a task's text that fit into one variable or argument: Linux allows 131,072 for `NAME=value` with its end
/// (`MAX_ARG_STRLEN`, execve(2)).
pub const TEXT_MAX: usize = 131_000;

/// Taken out unless `env_pass` names them: the driver's own credentials, and the marks by which an agent sees that it was
/// started by another.
const WITHHELD: [&str; 4] = [
    "TELEGRAM_*",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
];

/// Belongs to the attempt: one that was inherited speaks of another run.
const OURS: &str = "MACHINE_*";

/// What one attempt tells its processes.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `MACHINE_TASK`; left out where it is longer than [`TEXT_MAX`].
    pub text: &'a str,
    /// `MACHINE_TASK_FILE`
    pub task_file: &'a Path,
    /// `MACHINE_TASK_ID`
    pub task: &'a TaskId,
    /// `MACHINE_ATTEMPT`
    pub attempt: u32,
    /// `MACHINE_FEEDBACK_FILE`
    pub feedback_file: &'a Path,
    /// `MACHINE_GOAL`
    pub goal_file: &'a Path,
    /// `MACHINE_SESSION`
    pub session: &'a SessionId,
    /// `MACHINE_USAGE_FILE`
    pub usage_file: &'a Path,
}

impl Attempt<'_> {
    /// The whole environment: what of `inherited` passes, and the attempt's own variables.
    #[must_use]
    pub fn environment(
        &self,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        env_pass: &[String],
    ) -> Variables {
        let mut all = passed(inherited, env_pass);
        for (name, value) in self.variables() {
            set(&mut all, name, value);
        }
        all
    }

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&str, OsString)> = vec![
            ("MACHINE_TASK_FILE", self.task_file.into()),
            ("MACHINE_TASK_ID", self.task.as_str().into()),
            ("MACHINE_ATTEMPT", self.attempt.to_string().into()),
            ("MACHINE_FEEDBACK_FILE", self.feedback_file.into()),
            ("MACHINE_GOAL", self.goal_file.into()),
            ("MACHINE_SESSION", self.session.as_str().into()),
            ("MACHINE_USAGE_FILE", self.usage_file.into()),
        ];
        if self.text.len() <= TEXT_MAX {
            variables.push(("MACHINE_TASK", self.text.into()));
        }
        variables
    }
}

/// Whether a command names `MACHINE_TASK`, which is not set where the text is longer than [`TEXT_MAX`].
#[must_use]
pub fn names_task(command: &str) -> bool {
    let longer = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    command.split("MACHINE_TASK").skip(1).any(|rest| !longer(rest))
}

/// Sets a variable, in the place of one that has the name.
pub fn set(variables: &mut Variables, name: &str, value: OsString) {
    variables.retain(|(known, _)| known != name);
    variables.push((name.into(), value));
}

/// The inherited variables that a worker or verifier may see. `env_pass` lets names through that would be taken out; `*`
/// in it matches any run of characters. Of a name that comes twice the first value is kept.
#[must_use]
pub fn passed(inherited: impl IntoIterator<Item = (OsString, OsString)>, env_pass: &[String]) -> Variables {
    let mut all = Variables::new();
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in inherited {
        if may_pass(&name, env_pass) && seen.insert(name.clone()) {
            all.push((name, value));
        }
    }
    all
}

fn may_pass(name: &OsStr, env_pass: &[String]) -> bool {
    let name = name.as_encoded_bytes();
    let withheld = || WITHHELD.iter().any(|pattern| matches(pattern.as_bytes(), name));
    !matches(OURS.as_bytes(), name)
        && (!withheld() || env_pass.iter().any(|pattern| matches(pattern.as_bytes(), name)))
}

/// Whether a name has the form of a pattern, in which `*` is any run of bytes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(after) = after_first(rest, part) else {
            return false;
        };
        rest = after;
    }
    true
}

/// What follows the first occurrence of `part`.
fn after_first<'a>(text: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    (0..=text.len()).find_map(|start| text.get(start..).and_then(|rest| rest.strip_prefix(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inherited: &[&str], env_pass: &[&str]) -> Vec<String> {
        let inherited = inherited
            .iter()
            .map(|name| (OsString::from(name), OsString::from("value")));
        let env_pass: Vec<String> = env_pass.iter().map(|name| (*name).to_owned()).collect();
        passed(inherited, &env_pass)
            .into_iter()
            .map(|(name, _)| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn credentials_nesting_marks_and_stale_variables_are_taken_out() {
        let inherited = [
            "PATH",
            "TELEGRAM_BOT_TOKEN",
            "TELEGRAM_",
            "TELEGRAM",
            "CLAUDECODE",
            "CLAUDE_CODE_ENTRYPOINT",
            "CLAUDE_CODE_SSE_PORT",
            "CLAUDE_CODE_OTHER",
            "MACHINE_SESSION",
            "MACHINE_OTHER",
            "ANTHROPIC_API_KEY",
        ];
        let expected = ["PATH", "TELEGRAM", "CLAUDE_CODE_OTHER", "ANTHROPIC_API_KEY"];
        assert_eq!(names(&inherited, &[]), expected);
    }

    #[test]
    fn env_pass_lets_through_what_it_names_and_no_more() {
        let inherited = [
            "TELEGRAM_A",
            "TELEGRAM_B",
            "CLAUDECODE",
            "MACHINE_SESSION",
            "HOME",
        ];
        assert_eq!(names(&inherited, &["TELEGRAM_B"]), ["TELEGRAM_B", "HOME"]);
        assert_eq!(
            names(&inherited, &["TELE*_*"]),
            ["TELEGRAM_A", "TELEGRAM_B", "HOME"]
        );
        assert_eq!(names(&inherited, &["claudecode"]), ["HOME"]);
        assert_eq!(
            names(&inherited, &["*"]),
            ["TELEGRAM_A", "TELEGRAM_B", "CLAUDECODE", "HOME"]
        );
    }

    #[test]
    fn a_star_is_any_run() {
        for (pattern, name, expected) in [
            ("a*", "a", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("*b*", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn the_name_of_the_text_is_told_from_longer_ones() {
        for named in [
            "MACHINE_TASK",
            "a \"$MACHINE_TASK\"",
            "${MACHINE_TASK:-x}",
            "$MACHINE_TASK_ID $MACHINE_TASK",
        ] {
            assert!(names_task(named), "{named}");
        }
        for other in ["", "$MACHINE_TASK_FILE", "$MACHINE_TASKS", "machine_task"] {
            assert!(!names_task(other), "{other}");
        }
    }

    #[test]
    fn each_name_is_there_once_with_the_attempts_value() {
        let task = TaskId::new("t1").unwrap();
        let session = SessionId::new(&"ab".repeat(16)).unwrap();
        let text = "x".repeat(TEXT_MAX + 1);
        let mut attempt = Attempt {
            text: "do it",
            task_file: Path::new("/e/task.txt"),
            task: &task,
            attempt: 3,
            feedback_file: Path::new("/dev/null"),
            goal_file: Path::new("/g/goal.json"),
            session: &session,
            usage_file: Path::new("/e/usage.json"),
        };
        let inherited =
            || ["A", "A", "MACHINE_SESSION", "MACHINE_TASK"].map(|name| (name.into(), OsString::from("old")));
        let mut found = attempt.environment(inherited(), &[]);
        found.sort();
        let expected = [
            ("A", "old"),
            ("MACHINE_ATTEMPT", "3"),
            ("MACHINE_FEEDBACK_FILE", "/dev/null"),
            ("MACHINE_GOAL", "/g/goal.json"),
            ("MACHINE_SESSION", session.as_str()),
            ("MACHINE_TASK", "do it"),
            ("MACHINE_TASK_FILE", "/e/task.txt"),
            ("MACHINE_TASK_ID", "t1"),
            ("MACHINE_USAGE_FILE", "/e/usage.json"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));

        attempt.text = &text;
        let found = attempt.environment(inherited(), &[]);
        assert!(found.iter().all(|(name, _)| name != "MACHINE_TASK"));
    }
}
