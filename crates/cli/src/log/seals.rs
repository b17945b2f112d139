//! The signatures in a log.

use machine_driver::aar::{CanonicalBytes, DidDocument, PublicKey, Signature};
use machine_driver_state::event::Event;
use machine_driver_state::record::Record;

/// Checks the signatures of a log, record by record.
///
/// A run whose `driver_up` says `sealed` signs all that it records, and so do the operator's commands after it: each of
/// these records needs a signature that holds for a key of `assertionMethod`. What is signed elsewhere must hold too. What
/// happens between two runs may lack one if the next run has no key either: then it was taken away before.
#[derive(Debug)]
pub(crate) struct Seals {
    keys: Vec<PublicKey>,
    /// Whether every record has to have a signature now.
    sealed: bool,
    /// The first record without one that was made between two runs: the next `driver_up` says whether there was a key.
    open: Option<u64>,
    counted: Counted,
}

/// How many records have a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// With one that holds.
    pub(crate) signed: u64,
    /// Without, of runs that had no key.
    pub(crate) unsigned: u64,
}

/// A signature is missing or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("line {line} has no signature, and belongs to a run that signs its log")]
    Missing {
        /// From 1.
        line: u64,
    },
    #[error("line {line} has a signature that holds for none of the keys in the documents")]
    Invalid {
        /// From 1.
        line: u64,
    },
}

impl Seals {
    /// With the keys of these documents.
    pub(crate) fn new(documents: &[DidDocument]) -> Self {
        Self {
            keys: documents.iter().flat_map(DidDocument::keys).copied().collect(),
            sealed: false,
            open: None,
            counted: Counted::default(),
        }
    }

    /// Takes the next record in.
    pub(crate) fn take(&mut self, line: u64, record: &Record) -> Result<(), SealError> {
        if let Event::DriverUp(up) = &record.event {
            self.sealed = up.sealed;
            if let Some(line) = self.open.take().filter(|_| up.sealed) {
                return Err(SealError::Missing { line });
            }
        }
        let Some(sig) = &record.sig else {
            self.counted.unsigned += 1;
            return self.without(line, record);
        };
        self.counted.signed += 1;
        if self.holds(sig, record) {
            Ok(())
        } else {
            Err(SealError::Invalid { line })
        }
    }

    /// The end of the log.
    pub(crate) fn end(self) -> Result<Counted, SealError> {
        match self.open {
            Some(line) => Err(SealError::Missing { line }),
            None => Ok(self.counted),
        }
    }

    fn without(&mut self, line: u64, record: &Record) -> Result<(), SealError> {
        if !self.sealed || self.open.is_some() {
            return Ok(());
        }
        if matches!(
            record.event,
            Event::GoalEdited(_) | Event::Retried(_) | Event::TaskAdded(_)
        ) {
            self.open = Some(line);
            return Ok(());
        }
        Err(SealError::Missing { line })
    }

    fn holds(&self, sig: &str, record: &Record) -> bool {
        let signed = record
            .sealed_form()
            .ok()
            .and_then(|form| CanonicalBytes::of(&form).ok());
        let (Some(bytes), Some(signature)) = (signed, Signature::from_base64url(sig)) else {
            return false;
        };
        self.keys
            .iter()
            .any(|key| key.verifies(bytes.as_bytes(), &signature))
    }
}

#[cfg(test)]
mod tests;
