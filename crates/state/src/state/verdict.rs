//! What a verifier, or the audit before it, says about an attempt.

use super::apply::Applied;
use super::{Failure, Phase, State, TaskState, Verdict};
use crate::event::{AttemptRef, Verified, VerifyFailed};
use crate::time::Timestamp;

impl State {
    pub(super) fn verified(&mut self, attempt: &AttemptRef, verified: &Verified, at: Timestamp) -> Applied {
        if verified.audit.as_ref().is_some_and(|audit| !audit.holds()) {
            return Err("its change breaks a rule about paths".into());
        }
        let (change, no_change) = (verified.change.clone(), verified.no_change.clone());
        let verdict = Verdict {
            at,
            output: verified.output.clone(),
            failure: None,
            change: change.clone(),
            audit: verified.audit.clone(),
        };
        self.judged(attempt, Phase::Passed { change, no_change }, verdict)?;
        self.audited(verified.audit.as_ref());
        Ok(())
    }

    pub(super) fn verify_failed(
        &mut self,
        attempt: &AttemptRef,
        failed: &VerifyFailed,
        at: Timestamp,
    ) -> Applied {
        let slot = self.under_way(attempt)?.slot;
        let reason = failed.reason.clone();
        let verdict = Verdict {
            at,
            output: failed.output.clone(),
            failure: Some(Failure {
                reason: reason.clone(),
                exit: failed.exit,
                signal: failed.signal,
                timed_out: failed.timed_out,
            }),
            change: failed.change.clone(),
            audit: failed.audit.clone(),
        };
        self.judged(attempt, Phase::Failed { reason }, verdict)?;
        self.audited(failed.audit.as_ref());
        self.with_task(slot, |task| {
            task.failed += 1;
            task.failed_attempt = Some(attempt.attempt);
            task.verify_tail = Some(failed.tail.clone());
        });
        Ok(())
    }

    fn judged(&mut self, attempt: &AttemptRef, phase: Phase, verdict: Verdict) -> Applied {
        let current = self.under_way(attempt)?;
        if !matches!(current.phase, Phase::Exited { .. }) {
            return Err(
                "there is nothing to judge: its worker has not ended, or it was judged already".into(),
            );
        }
        current.phase = phase;
        current.verdict = Some(verdict);
        let slot = current.slot;
        self.with_task(slot, TaskState::judged);
        Ok(())
    }

    pub(super) fn unavailable(
        &mut self,
        attempt: &AttemptRef,
        tries: u32,
        reason: &str,
        at: Timestamp,
    ) -> Applied {
        match &mut self.under_way(attempt)?.phase {
            Phase::Exited {
                unavailable, detail, ..
            } if tries == unavailable.map_or(0, |(tries, _)| tries) + 1 => {
                *unavailable = Some((tries, at));
                *detail = Some(reason.to_owned());
                Ok(())
            }
            _ => Err("no such verify is due".into()),
        }
    }
}
