//! What is wrong in a goal.json, shown where it stands.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use machine_driver_state::goal::file::{GoalError, Problem};

use crate::error::next;
use crate::escape;

/// What to do about a goal.json that is not acceptable.
pub(crate) const NEXT: &str = "Mend the file, then `machine-driver check` looks at it again.";

/// What to do about a task that would make it so.
pub(crate) const NEXT_TASK: &str = "Nothing was changed: mend the flags, then add the task again.";

/// Bytes of source shown before and after the place; a goal.json may be one line of 64 MiB.
const BEFORE: usize = 60;
const AFTER: usize = 60;

/// Bytes pointed at, at most.
const POINTED: usize = 40;

/// A help longer than this, in characters, gets a line of its own.
const LABEL: usize = 60;

/// Every problem with its place, and the next step, as terminal text.
pub(crate) fn goal_error(error: &GoalError, step: &str) -> String {
    let renderer = Renderer::styled().term_width(160);
    let mut text = String::new();
    for problem in error.problems() {
        let rendered = renderer.render(&[group(error, problem)]);
        text.extend(
            rendered
                .lines()
                .filter(|line| !is_continuation(line))
                .flat_map(|line| [line, "\n"]),
        );
        text.push('\n');
    }
    if error.uncounted() > 0 {
        text += &format!("and {} more\n", error.uncounted());
    }
    text + &next(step)
}

/// The line `:::` between a place and a source that has no path of its own. The place is written apart from the source
/// because a column counted in a cut and escaped line would not be the file's; a way to give the snippet its column
/// would make this unnecessary.
fn is_continuation(line: &str) -> bool {
    anstream::adapter::strip_str(line).to_string().trim() == ":::"
}

fn group<'a>(error: &'a GoalError, problem: &'a Problem) -> Group<'a> {
    let key = if problem.path().is_empty() {
        String::new()
    } else {
        format!("{}: ", problem.path())
    };
    let title = escape::line(&(key + problem.message()));
    let path = format!(
        "{}:{}:{}",
        escape::line(error.file()),
        problem.line(),
        problem.column()
    );
    let group = Level::ERROR.primary_title(title).element(Origin::path(path));
    let help = problem.help().map(escape::line);
    let (label, below): (Option<String>, Option<String>) = match help {
        Some(help) if help.chars().count() <= LABEL => (Some(help), None),
        help => (None, help),
    };
    let (group, label) = match excerpt(error.text(), problem.span()) {
        None => (group, label),
        Some(excerpt) => {
            let annotation = AnnotationKind::Primary.span(excerpt.span).label(label);
            let snippet = Snippet::source(excerpt.text)
                .line_start(problem.line())
                .fold(false);
            (group.element(snippet.annotation(annotation)), None)
        }
    };
    match label.or(below) {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// A piece of one line of the source, made fit for a terminal, and the place in it.
struct Excerpt {
    text: String,
    span: Range<usize>,
}

fn excerpt(source: &str, span: Range<usize>) -> Option<Excerpt> {
    let start = span.start.min(source.len());
    let before = source.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = source
        .get(start..)?
        .find('\n')
        .map_or(source.len(), |at| start + at);
    if source.is_empty() {
        return None;
    }
    let end = span.end.clamp(start, line_end).min(start + POINTED);
    let from = boundary(source, line_start.max(start.saturating_sub(BEFORE)));
    let to = boundary(source, line_end.min(end + AFTER));
    let end = boundary(source, end).max(start);
    let mut text = String::from(if from > line_start { "…" } else { "" });
    text += &escape::line(source.get(from..start)?);
    let shown_start = text.len();
    text += &escape::line(source.get(start..end)?);
    let shown_end = text.len();
    text += &escape::line(source.get(end..to)?);
    text += if to < line_end { "…" } else { "" };
    // Something has to be pointed at, also behind the last character.
    if shown_end == shown_start && shown_end == text.len() {
        text.push(' ');
    }
    let span = shown_start..shown_end.max(shown_start + usize::from(text.is_char_boundary(shown_start + 1)));
    Some(Excerpt { text, span })
}

/// The last boundary of a character at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use machine_driver_state::goal::file::{GoalFile, Place};

    use super::*;

    fn check(name: &str, source: &[u8]) {
        let place = Place::unseen(PathBuf::from("goal.json"), PathBuf::from("/w"), None);
        let error = GoalFile::parse(source, &place).unwrap_err();
        let text = anstream::adapter::strip_str(&goal_error(&error, NEXT)).to_string();
        assert!(text.lines().all(|line| line.chars().count() < 240), "{text}");
        insta::assert_snapshot!(name, text);
    }

    #[test]
    fn a_typo_is_pointed_at() {
        let source = br#"{
  "repo": ".",
  "worker_cmd": "true",
  "budget": { "max_wall_second": 60, "max_worker_runs": 0 },
  "tasks": [{ "id": "../x", "goal": 7 }]
}"#;
        check("goal_with_typos", source);
    }

    #[test]
    fn nothing_to_point_at() {
        check("goal_empty", b"");
        check("goal_truncated", b"{\n  \"repo\": \".\",\n  \"tasks\": [");
        check("goal_not_utf8", b"{\"repo\": \"\xff\"}");
    }

    #[test]
    fn a_long_and_hostile_line_is_cut_and_escaped() {
        let mut source = br#"{"repo":".","worker_cmd":"true","tasks":[{"id":"a","goal":""#.to_vec();
        source.extend("\u{202e}é".repeat(4000).as_bytes());
        source.extend(br#"","wrong":"#);
        source.extend("\"\u{202e}é\"}]}".as_bytes());
        check("goal_long_line", &source);
    }
}
