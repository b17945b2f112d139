//! What a port answered, in the words of the log.

use machine_driver_governor::audit::Findings;
use machine_driver_state::change::Change;
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, Audited, Event, Interrupted, OutputDigest, Stage, Verified, VerifyFailed, VerifyUnavailable,
    WorkerClass, WorkerExited,
};
use machine_driver_state::id::{ActorId, SessionId};
use machine_driver_state::usage::Usage;
use machine_driver_verify::{Finding, Verdict, VerifyError};
use machine_driver_worker::{Stop, WorkError, WorkReport};

use crate::error::DriverError;
use crate::gate::Judged;

/// Characters of a failed verify's output that the log and goal.json keep.
const TAIL_CHARS: usize = 600;

/// Characters of a reason or detail that the log keeps.
pub(crate) const DETAIL_CHARS: usize = 600;

/// What a worker was seen to do before it ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// It ran.
    pub(crate) started: bool,
    /// What it reported to have used, on the way.
    pub(crate) used: Usage,
}

/// How a worker ended, of which this was seen before; without a result it panicked.
pub(crate) fn of_work(
    attempt: AttemptRef,
    ended: Option<Result<WorkReport, WorkError>>,
    cut: Option<Cut>,
    seen: Seen,
) -> Event {
    match ended {
        Some(Ok(report)) => of_report(attempt, report, cut, seen.used),
        Some(Err(error)) => of_work_error(attempt, &chain(&error), cut, seen),
        None => of_work_error(
            attempt,
            "the worker panicked",
            cut,
            Seen {
                started: true,
                ..seen
            },
        ),
    }
}

fn of_report(attempt: AttemptRef, report: WorkReport, cut: Option<Cut>, used: Usage) -> Event {
    let usage = report.usage.unwrap_or(used);
    let by = match report.stopped {
        Some(Stop::Cancelled) => cut.or(Some(Cut::Stop)),
        Some(Stop::Output) => Some(Cut::Budget),
        _ => None,
    };
    if let Some(by) = by {
        return interrupted(attempt, Stage::Worker, by, usage, report.output.bytes);
    }
    let timed_out = report.timed_out();
    let detail = report
        .detail
        .or(report.usage_note)
        .map(|detail| shortened(&detail, DETAIL_CHARS));
    Event::WorkerExited(
        attempt,
        WorkerExited {
            class: report.class,
            exit: report.exit,
            signal: report.signal,
            timed_out,
            usage,
            output: report.output,
            wall_ms: millis(report.elapsed),
            retry_after_ms: report.retry_after.map(millis),
            detail,
        },
    )
}

/// A worker that could not be run, or whose end nobody saw: one that had started is judged like any other. Where the driver
/// itself cut it off, that is what happened.
fn of_work_error(attempt: AttemptRef, why: &str, cut: Option<Cut>, seen: Seen) -> Event {
    if let Some(by) = cut {
        return interrupted(attempt, Stage::Worker, by, seen.used, 0);
    }
    Event::WorkerExited(
        attempt,
        WorkerExited {
            class: if seen.started {
                WorkerClass::Error
            } else {
                WorkerClass::CouldNotStart
            },
            exit: None,
            signal: None,
            timed_out: false,
            usage: seen.used,
            output: OutputDigest::of(b""),
            wall_ms: 0,
            retry_after_ms: None,
            detail: Some(shortened(why, DETAIL_CHARS)),
        },
    )
}

/// What a verifier said; without a result it panicked.
pub(crate) fn of_verify(
    attempt: AttemptRef,
    verifier: &ActorId,
    ended: Option<Result<Verdict, VerifyError>>,
    cut: Option<Cut>,
    tries: u32,
    judged: Judged,
) -> Event {
    let unavailable = |attempt, reason: &str| unavailable(attempt, verifier, reason, tries);
    match (ended, cut) {
        (Some(Ok(verdict)), _) => of_verdict(attempt, verifier, verdict, judged, unavailable),
        (Some(Err(_)), Some(by)) => interrupted(attempt, Stage::Verify, by, Usage::default(), 0),
        (Some(Err(error)), None) => unavailable(attempt, &chain(&error)),
        (None, _) => unavailable(attempt, "the verifier panicked"),
    }
}

/// Nobody knows: that is never the worker's fault.
pub(crate) fn unavailable(attempt: AttemptRef, verifier: &ActorId, reason: &str, tries: u32) -> Event {
    let reason = shortened(reason, DETAIL_CHARS);
    let verifier_id = verifier.clone();
    Event::VerifyUnavailable(
        attempt,
        VerifyUnavailable {
            verifier_id,
            reason,
            tries,
        },
    )
}

fn of_verdict(
    attempt: AttemptRef,
    verifier: &ActorId,
    verdict: Verdict,
    judged: Judged,
    unavailable: impl Fn(AttemptRef, &str) -> Event,
) -> Event {
    let (verifier_id, wall_ms, output) = (verifier.clone(), millis(verdict.elapsed), verdict.output);
    match verdict.finding {
        Finding::Passed => Event::Verified(
            attempt,
            Verified {
                verifier_id,
                output,
                wall_ms,
                change: judged.change,
                no_change: judged.no_change,
                audit: judged.audit,
            },
        ),
        Finding::Unavailable { reason } => unavailable(attempt, &reason),
        Finding::Failed { reason } => Event::VerifyFailed(
            attempt,
            VerifyFailed {
                verifier_id,
                reason: shortened(&reason, DETAIL_CHARS),
                exit: verdict.exit,
                signal: verdict.signal,
                timed_out: verdict.timed_out,
                output,
                tail: tail(&verdict.tail),
                wall_ms,
                change: judged.change,
                audit: judged.audit,
            },
        ),
    }
}

/// Work that was cut off before it began, or between two of its steps: nothing was used that no record accounts for.
pub(crate) fn cut_off(attempt: AttemptRef, stage: Stage, by: Cut) -> Event {
    interrupted(attempt, stage, by, Usage::NONE, 0)
}

fn interrupted(attempt: AttemptRef, stage: Stage, by: Cut, usage: Usage, output_bytes: u64) -> Event {
    Event::Interrupted(
        attempt,
        Interrupted {
            by,
            stage,
            usage,
            output_bytes,
            unlogged_wall_ms: 0,
        },
    )
}

/// The attempt's session; every attempt under way has one.
pub(crate) fn session(attempt: &AttemptRef) -> Result<SessionId, DriverError> {
    attempt
        .session
        .clone()
        .ok_or(DriverError::Rules("an attempt without a session"))
}

/// A change that breaks a rule about paths: its verifier was not asked.
pub(crate) fn of_audit(
    attempt: AttemptRef,
    auditor: ActorId,
    findings: &Findings,
    audit: Audited,
    change: Option<Change>,
) -> Event {
    let said = findings.feedback();
    Event::VerifyFailed(
        attempt,
        VerifyFailed {
            verifier_id: auditor,
            reason: shortened(&findings.reason(), DETAIL_CHARS),
            exit: None,
            signal: None,
            timed_out: false,
            output: OutputDigest::of(said.as_bytes()),
            tail: tail(said.as_bytes()),
            wall_ms: 0,
            change,
            audit: Some(audit),
        },
    )
}

/// The end of an output as text: control characters but line ends and tabs are left out.
fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let clean: Vec<char> = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let start = clean.len().saturating_sub(TAIL_CHARS);
    clean.iter().skip(start).collect::<String>().trim_end().to_owned()
}

pub(crate) fn shortened(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// An error with what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = source.source();
    }
    line
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_600_characters_without_escape_codes() {
        assert_eq!(tail(b"\x1b[31mred\x1b[0m\r\n\xff\n"), "[31mred[0m\n\u{fffd}");
        assert_eq!(tail("é".repeat(900).as_bytes()), "é".repeat(600));
        assert_eq!(tail(b""), "");
    }

    #[test]
    fn an_error_is_told_with_its_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] std::fmt::Error);
        assert_eq!(
            chain(&Outer(std::fmt::Error)),
            "outer: inner: an error occurred when formatting an argument"
        );
    }
}
