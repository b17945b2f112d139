//! What a run's log says about its records: which one is the last, and which were left without a signature.

use std::collections::HashSet;
use std::path::Path;

use machine_driver::DriverError;
use machine_driver::aar::{DidDocument, Record};
use machine_driver_state::canonical::digest_of;
use machine_driver_state::event::{Event, RecordSigned};
use machine_driver_state::id::Digest;
use machine_driver_state::store::{RealDisk, StoreError, read_log};

use super::kept::Output;
use crate::error::Failure;
use crate::log::seals::{SealError, Seals};

/// What a log says.
#[derive(Debug)]
pub(crate) struct LogProof {
    /// The last record that was signed by the driver.
    last: Option<Digest>,
    /// File and digest of each that was left without a signature, `prior` and `sig` aside.
    unsigned: Vec<(String, Digest)>,
    /// Whether the log is signed itself; else it says no more than whoever kept it.
    pub(crate) is_sealed: bool,
    /// Bytes of a last line without its end.
    pub(crate) torn: u64,
    /// The hash of each record; none of a log that was begun anew, behind which older records lie.
    hashes: Option<Vec<Digest>>,
    /// What workers and verifiers wrote.
    pub(crate) outputs: Vec<Output>,
}

impl LogProof {
    /// Reads a log: its chain, and its signatures where its runs had a key.
    pub(crate) fn read(path: &Path, documents: &[DidDocument]) -> Result<Self, Failure> {
        // No log would be an empty log, and prove nothing.
        std::fs::metadata(path).map_err(Failure::io("look at", path))?;
        let mut proof = Self {
            last: None,
            unsigned: Vec::new(),
            is_sealed: false,
            torn: 0,
            hashes: Some(Vec::new()),
            outputs: Vec::new(),
        };
        let mut seals = Seals::new(documents);
        let read = read_log(&RealDisk, path, None, &mut |entry| {
            seals.take(entry.line, &entry.record)?;
            proof.outputs.extend(Output::of(&entry.record.event));
            match &entry.record.event {
                Event::Imported(_) => proof.hashes = None,
                Event::RecordSigned(_, signed) => proof.take(signed),
                _ => {}
            }
            if let Some(hashes) = &mut proof.hashes {
                hashes.push(entry.record.hash);
            }
            Ok(())
        });
        proof.torn = read.map_err(|error| of_log(path, error))?.torn;
        let sealed = seals.end().map_err(|error| does_not_hold(path, &error))?;
        proof.is_sealed = sealed.signed > 0;
        Ok(proof)
    }

    /// A record names the end of the log when it was written (`evidence.log_head`): a log without that was cut, or is
    /// another one. Tells so with the record's file. Records about several subjects may come from several logs, of which
    /// only one is named.
    pub(crate) fn lacks(&self, records: &[(String, Record)]) -> Option<(String, String)> {
        let subjects: HashSet<_> = records.iter().map(|(_, record)| record.subject()).collect();
        let hashes = self.hashes.as_ref().filter(|_| subjects.len() == 1)?;
        records.iter().find_map(|(name, record)| {
            let seq = record.at(&["evidence", "log_head", "seq"])?.as_u64()?;
            let hash = record.text(&["evidence", "log_head", "hash"])?;
            let there = usize::try_from(seq).ok().and_then(|seq| hashes.get(seq));
            if there.is_some_and(|there| there.to_string() == hash) {
                return None;
            }
            let line = seq.saturating_add(1);
            let text = format!(
                "the log was cut, or is that of another run: its line {line} is not the one that {name} was written behind"
            );
            Some((name.clone(), text))
        })
    }

    fn take(&mut self, signed: &RecordSigned) {
        if signed.unsigned.is_some() {
            self.unsigned.push((signed.file.clone(), signed.sha256));
        } else {
            self.last = Some(signed.sha256);
        }
    }

    /// The digests with which a chain may end: the last one of the driver's, and those signed later with `aar sign`; and
    /// what of the latter is not here. Where nothing is missing, no tail was cut.
    pub(crate) fn heads(&self, records: impl Iterator<Item = Record>) -> (Vec<Digest>, Vec<String>) {
        let last: Vec<Digest> = self.last.into_iter().collect();
        if self.unsigned.is_empty() {
            return (last, Vec::new());
        }
        let wanted: HashSet<Digest> = self.unsigned.iter().map(|(_, digest)| *digest).collect();
        let (mut heads, mut there) = (last.clone(), HashSet::new());
        for record in records {
            let Some(bare) = bare_digest(&record).filter(|bare| wanted.contains(bare)) else {
                continue;
            };
            there.insert(bare);
            heads.extend(record.digest().ok().filter(|_| record.is_signed()));
        }
        let missing = self.unsigned.iter().filter(|(_, digest)| !there.contains(digest));
        let missing: Vec<String> = missing
            .map(|(file, _)| {
                format!(
                    "the log tells of a record without a signature, then {file}, which is not here, signed or not"
                )
            })
            .collect();
        (if missing.is_empty() { heads } else { last }, missing)
    }
}

/// As the driver wrote it before anyone signed it: without `sig`, and without `prior`, which is set with it.
fn bare_digest(record: &Record) -> Option<Digest> {
    let mut fields = record.fields().clone();
    fields.shift_remove("prior");
    digest_of(&fields).ok()
}

/// An error of reading a log in which signatures were checked.
pub(crate) fn of_log(path: &Path, error: StoreError) -> Failure {
    if let StoreError::Fold { source, .. } = &error
        && let Some(seal) = source.downcast_ref::<SealError>()
    {
        return does_not_hold(path, seal);
    }
    let error = DriverError::from(error);
    if machine_driver::proof::does_not_hold(&error) {
        Failure::DoesNotHold(error)
    } else {
        error.into()
    }
}

pub(crate) fn does_not_hold(path: &Path, error: &SealError) -> Failure {
    Failure::NotVerified {
        what: format!("{} {error}", path.display()),
        help: "Compare with a copy of the log, and see that the documents are those of the one who signs it."
            .into(),
    }
}
