//! What was found, in the words of a record.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::num::NonZeroI32;
use std::path::Path;

use machine_driver_aar::{Check, Outcome, Rejection};
use machine_driver_governor::Found;
use machine_driver_state::canonical::{digest_of, sha256};
use machine_driver_state::change::ObjectId;
use machine_driver_state::event::AttemptRef;
use machine_driver_state::goal::CommandLine;
use machine_driver_state::id::Digest;
use machine_driver_state::state::{Failure, Verdict};

use crate::driver::Driver;

/// Bytes at the end of a verifier's output from which an excerpt is taken.
const EXCERPT_BYTES: u64 = 4096;

impl Driver {
    /// One for the command, and one more for each rule about paths that was asked. Where a rule is broken the command was not
    /// run: then what the rules said stands in its place.
    pub(super) fn checks(
        &self,
        attempt: &AttemptRef,
        verify_cmd: Option<&CommandLine>,
        verdict: &Verdict,
    ) -> Vec<Check> {
        let audit = verdict.audit.as_ref();
        let query = match (audit, verify_cmd) {
            (Some(audit), _) if !audit.holds() => "the audit of the change".to_owned(),
            (_, Some(command)) => text_of(command),
            (_, None) => "a verifier of the embedding program".to_owned(),
        };
        let scope = audit
            .and_then(|audit| audit.scope.as_ref())
            .map(|found| ("scope", found));
        let immutable = audit
            .and_then(|audit| audit.immutable.as_ref())
            .map(|found| ("immutable", found));
        let rules = scope.into_iter().chain(immutable);
        let asked = std::iter::once((query.as_str(), "verify", &verdict.output))
            .chain(rules.map(|(rule, found)| (rule, rule, &found.output)));
        asked
            .map(|(query, what, output)| {
                let name = format!("attempt-{}.{what}.log", attempt.attempt);
                let file = self.held.evidence_of(&attempt.task).join(name);
                Check::of("repo", query, verdict.at, output.sha256, &end_of(&file))
            })
            .collect()
    }
}

pub(super) fn outcome_of(found: &Found, verdict: Option<&Verdict>, head: Option<ObjectId>) -> Outcome {
    match (found, verdict.and_then(|verdict| verdict.failure.as_ref())) {
        (Found::Verified, _) => Outcome::Verified { head },
        (Found::Rejected, Some(failure)) => Outcome::Rejected {
            why: rejection(failure),
            head,
        },
        (Found::Rejected, None) => Outcome::Unclear {
            why: "what it said is not known any more".into(),
        },
        (Found::Unclear { reason }, _) => Outcome::Unclear { why: reason.clone() },
    }
}

fn rejection(failure: &Failure) -> Rejection {
    match (
        failure.timed_out,
        failure.exit.and_then(NonZeroI32::new),
        failure.signal,
    ) {
        (false, Some(exit), _) => Rejection::Exited(exit),
        (false, None, Some(signal)) => Rejection::Signaled(signal),
        _ => Rejection::Stopped(format!("did not pass: {}", failure.reason)),
    }
}

/// SHA-256 of a command: of its text, or of the RFC 8785 form of its arguments.
pub(super) fn digest_of_command(command: &CommandLine) -> Digest {
    match command {
        CommandLine::Shell(text) => sha256(text.as_bytes()),
        CommandLine::Argv(argv) => digest_of(argv).unwrap_or_else(|_| sha256(argv.join("\0").as_bytes())),
    }
}

fn text_of(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Argv(argv) => serde_json::to_string(argv).unwrap_or_default(),
    }
}

/// The end of an output, for people; what counts is its digest.
fn end_of(file: &Path) -> String {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::from(rustix::fs::open(file, flags, rustix::fs::Mode::empty())?);
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(EXCERPT_BYTES)))?;
        let mut end = Vec::new();
        file.take(EXCERPT_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
