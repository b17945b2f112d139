//! Which records were written about resolved tasks.

use super::apply::Applied;
use super::{Phase, State};
use crate::alert::AlertKind;
use crate::event::{AttemptRef, DriverUp, RecordSigned};
use crate::id::{Digest, TaskId};

/// What is known of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// Whether this run writes records.
    records: bool,
    /// The last signed one.
    last: Option<Digest>,
    /// Whether one since then waits for a signature, or got one behind the driver's back.
    waits: bool,
    /// The attempt that the last one is about.
    about: Option<(TaskId, u32)>,
}

impl State {
    /// Whether a record is written about every task that is resolved.
    #[must_use]
    pub const fn records(&self) -> bool {
        self.proof.records
    }

    /// Digest of the last record that was signed.
    #[must_use]
    pub const fn last_record(&self) -> Option<Digest> {
        self.proof.last
    }

    /// Whether [`State::last_record`] is the end of the chain for certain: none is where a record was left unsigned since, and
    /// may have been signed by hand, or where the log does not go back to the first.
    #[must_use]
    pub const fn is_last_certain(&self) -> bool {
        self.proof.last.is_some() && !self.proof.waits
    }

    /// Whether a record was left unsigned since [`State::last_record`], and may have been signed by hand.
    #[must_use]
    pub const fn is_record_waiting(&self) -> bool {
        self.proof.waits
    }

    /// Whether there is a record about this attempt.
    #[must_use]
    pub fn is_recorded(&self, attempt: &AttemptRef) -> bool {
        let about = self.proof.about.as_ref();
        about.is_some_and(|(task, number)| *task == attempt.task && *number == attempt.attempt)
    }

    pub(super) fn proof_up(&mut self, up: &DriverUp) {
        self.proof.records = up.records;
    }

    pub(super) fn record_forgotten(&mut self, task: &TaskId) {
        self.proof.about.take_if(|(about, _)| about == task);
    }

    pub(super) fn record_signed(&mut self, attempt: &AttemptRef, signed: &RecordSigned) -> Applied {
        if !self.proof.records {
            return Err("this run writes no records".into());
        }
        if self.is_recorded(attempt) {
            return Err("there is a record about this attempt already".into());
        }
        if self.current.is_some() {
            let current = self.under_way(attempt)?;
            if current.phase == Phase::Dispatched {
                return Err("nothing was found yet".into());
            }
        }
        let is_signed = signed.unsigned.is_none();
        if is_signed && self.is_last_certain() && signed.prior != self.proof.last {
            return Err("it does not follow the record before it".into());
        }
        self.proof.waits = !is_signed;
        self.proof.about = Some((attempt.task.clone(), attempt.attempt));
        match &signed.unsigned {
            None => {
                self.proof.last = Some(signed.sha256);
                self.settle(AlertKind::Unsigned, None, "records are signed again");
            }
            Some(why) => self.tell(AlertKind::Unsigned, None, why.clone()),
        }
        Ok(())
    }
}
