//! The table that a person reads.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use anstyle::Style;
use machine_driver::look::Look;
use machine_driver_governor::dial;
use machine_driver_state::goal::{Status, Task};
use machine_driver_state::state::Approval;
use machine_driver_state::time::Timestamp;

use super::{Row, approvals, last_success, used};
use crate::escape;
use crate::narrate::counted;
use crate::overrides::standing;
use crate::style::{self, paint};
use crate::when;

/// Characters of the reason.
const WHY_CHARS: usize = 100;

/// Approvals that are listed.
const SHOWN: usize = 5;

/// Characters of an id in its column; a longer one moves the rest of its line.
const ID_CHARS: usize = 24;

pub(super) fn text(seen: &Look, rows: &[Row], now: Timestamp) -> String {
    let mut text = head(seen, rows, now) + "\n\n";
    let width = rows
        .iter()
        .map(|row| row.id.len())
        .max()
        .unwrap_or(0)
        .clamp(4, ID_CHARS);
    let heading = format!(
        "  {:<width$}  {:<8}{:>9}  {:<21} {}",
        "task", "status", "attempts", "since", "why"
    );
    text += &(paint(style::FAINT, heading) + "\n");
    for row in rows {
        text += &line(row, width);
    }
    text.push('\n');
    let under = [
        ("halted", seen.state.halt().map(standing)),
        ("mode", mode(seen, now)),
        ("approved", approved(seen, now)),
        ("alerts", alerts(seen)),
        ("budget", Some(budget(seen, now))),
        ("last success", Some(last(seen, now))),
    ];
    for (name, value) in under.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {value}", paint(style::FAINT, format!("{name:<12}")));
    }
    text
}

fn head(seen: &Look, rows: &[Row], now: Timestamp) -> String {
    let goal = seen.file.goal();
    let count = |status: Status| rows.iter().filter(|row| row.status == status).count();
    let mut parts = vec![format!(
        "{} of {} done",
        count(Status::Done),
        counted(rows.len(), "task")
    )];
    parts.extend(
        Some(count(Status::Blocked))
            .filter(|n| *n > 0)
            .map(|n| format!("{n} blocked")),
    );
    parts.push(format!(
        "mode={}",
        dial::word(dial::granted(goal, &seen.state, now).mode)
    ));
    parts.push(match seen.driver {
        Some(0) => "a driver is at work".into(),
        Some(pid) => format!("driver {pid} is at work"),
        None => "no driver is running".into(),
    });
    format!(
        "{}: {}",
        paint(style::STRONG, escape::cut(&goal.name, 80)),
        parts.join(", ")
    )
}

fn line(row: &Row, width: usize) -> String {
    let (style, word) = word(row.status);
    let since = row.since.map(when::moment).unwrap_or_default();
    let commit = row.commit.as_deref().map(|id| format!("commit {}", short(id)));
    let why = row.why.as_deref().map(|why| escape::cut(why, WHY_CHARS));
    let why = why.or(commit).unwrap_or_default();
    let status = paint(style, format!("{word:<8}"));
    let line = format!(
        "  {:<width$}  {status}{:>9}  {since:<21} {why}",
        row.id, row.attempts
    );
    line.trim_end().to_owned() + "\n"
}

/// The first 12 digits of a commit's id; goal.json may hold anything.
fn short(id: &str) -> String {
    escape::line(&id.chars().take(12).collect::<String>())
}

/// Why the mode is not the one asked for.
fn mode(seen: &Look, now: Timestamp) -> Option<String> {
    let granted = dial::granted(seen.file.goal(), &seen.state, now);
    let (mode, because) = (dial::word(granted.mode), granted.because?);
    let asked = dial::word(seen.file.goal().mode);
    Some(format!("{mode}, not {asked}: {}", escape::cut(&because, 300)))
}

/// The commits that a person approved, and until when.
fn approved(seen: &Look, now: Timestamp) -> Option<String> {
    let standing = approvals(seen, now);
    let one = |(task, approval): &(&Task, &Approval)| {
        let (by, until) = (escape::cut(&approval.by, 80), when::moment(approval.until));
        format!("{} until {until}, by {by}", task.id)
    };
    let shown: Vec<String> = standing.iter().take(SHOWN).map(one).collect();
    let more = standing.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("; {more} more")
    } else {
        String::new()
    };
    (!shown.is_empty()).then(|| shown.join("; ") + &more)
}

/// What has not reached a person yet, and through what it is to.
fn alerts(seen: &Look) -> Option<String> {
    let waiting: Vec<_> = seen.state.outbox().waiting().collect();
    let sinks: BTreeSet<&str> = waiting
        .iter()
        .flat_map(|one| &one.sinks)
        .map(String::as_str)
        .collect();
    let sinks: Vec<String> = sinks.into_iter().map(|sink| escape::cut(sink, 80)).collect();
    let then = if seen.driver.is_some() {
        ""
    } else {
        "; the next run sends them"
    };
    (!waiting.is_empty()).then(|| format!("{} waiting: {}{then}", waiting.len(), sinks.join(", ")))
}

fn word(status: Status) -> (Style, &'static str) {
    match status {
        Status::Pending => (Style::new(), "pending"),
        Status::Running => (style::STRONG, "running"),
        Status::Done => (style::GOOD, "done"),
        Status::Blocked => (style::BAD, "blocked"),
    }
}

fn budget(seen: &Look, now: Timestamp) -> String {
    let (limits, spent) = (&seen.file.goal().budget, seen.state.spent());
    let (runs, wall) = used(seen, now);
    let mut parts = vec![
        of(&number(runs, "worker run"), limits.worker_runs_max),
        of(&when::span(wall), limits.wall_max.map(when::span)),
    ];
    let amount = |unknown: u64, text: String| match unknown {
        0 => text,
        runs => format!("{text} ({} unknown)", number(runs, "run")),
    };
    if spent.tokens > 0 || limits.tokens_max.is_some() {
        parts.push(of(
            &amount(spent.runs_without_tokens, format!("{} tokens", spent.tokens)),
            limits.tokens_max,
        ));
    }
    if spent.usd_micros > 0 || limits.usd_micros_max.is_some() {
        let text = amount(
            spent.runs_without_usd,
            format!("{} USD", dollars(spent.usd_micros)),
        );
        parts.push(of(&text, limits.usd_micros_max.map(dollars)));
    }
    if let Some(max) = limits.output_bytes_max {
        parts.push(of(&format!("{} bytes of output", spent.output_bytes), Some(max)));
    }
    parts.join(", ")
}

fn of(used: &str, max: Option<impl Display>) -> String {
    max.map_or_else(|| used.to_owned(), |max| format!("{used} (of {max})"))
}

fn number(count: u64, what: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), what)
}

fn dollars(micros: u64) -> String {
    format!("{}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

fn last(seen: &Look, now: Timestamp) -> String {
    match last_success(seen) {
        None => "none yet".into(),
        Some(at) => format!("{}, {} ago", when::moment(at), when::span(now.since(at))),
    }
}
