//! Verified work at the gate, in words.

use machine_driver_state::event::{AttemptRef, Event};
use machine_driver_state::id::TaskId;

use super::{Line, counted, kept, of, said};
use crate::style;

/// What an event of the gate says. That the contract forbids a commit is told by `commit_denied`, which follows.
pub(super) fn line(event: &Event, paths: Option<u64>) -> Option<Line> {
    match event {
        Event::GateDenied(_, denied) if denied.code.is_of_the_contract() => None,
        Event::GateDenied(attempt, denied) => Some(refused(attempt, &denied.reason, denied.at_mutation, "")),
        Event::GateEscalated(attempt, denied) => {
            let person = "; you may commit it yourself";
            Some(refused(attempt, &denied.reason, denied.at_mutation, person))
        }
        Event::CommitDenied(attempt, denied) => {
            let text = format!("COMMIT DENIED {}: {}", attempt.task, said(&denied.reason));
            Some(kept(style::BAD, text))
        }
        Event::Commit(attempt, commit) => Some(committed(&attempt.task, commit.commit.short(), paths)),
        Event::CommitEmpty(attempt, _) => Some(of(&attempt.task, style::GOOD, "done: nothing to commit")),
        Event::CommitFailed(attempt, failed) => {
            let which = match (failed.lasting, failed.tries) {
                (true, _) | (false, 1) => String::new(),
                (false, tries) => format!(" (try {tries})"),
            };
            let text = format!("the commit failed{which}: {}", said(&failed.reason));
            Some(of(&attempt.task, style::BAD, &text))
        }
        _ => None,
    }
}

/// `at_mutation`: it had been allowed, and was not any more when the gate was asked once more.
fn refused(attempt: &AttemptRef, reason: &str, at_mutation: bool, and: &str) -> Line {
    let after_all = if at_mutation { " after all" } else { "" };
    let text = format!("not committed{after_all}: {}{and}", said(reason));
    of(&attempt.task, style::WARN, &text)
}

fn committed(task: &TaskId, commit: &str, paths: Option<u64>) -> Line {
    let size = paths.map(|paths| {
        let paths = usize::try_from(paths).unwrap_or(usize::MAX);
        format!(" ({})", counted(paths, "path"))
    });
    let text = format!("done: committed as {commit}{}", size.unwrap_or_default());
    of(task, style::GOOD, &text)
}

#[cfg(test)]
mod tests;
