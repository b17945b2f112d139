//! A store that forgets: for embedders that keep their runs elsewhere, and for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Store;
use super::error::StoreError;
use super::journal::{Expected, Opened};
use super::scan::{Each, Entry};
use crate::canonical::sha256;
use crate::event::Event;
use crate::id::Digest;
use crate::record::Record;
use crate::time::Timestamp;

/// A run in memory. Clones are one and the same, so one can be kept to look at what the driver wrote.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    deployment_id: Option<String>,
    records: Vec<Record>,
    goal_json: String,
    snapshots: BTreeMap<Digest, Vec<u8>>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.kept().records.clone()
    }

    /// The last checkpoint.
    #[must_use]
    pub fn goal_json(&self) -> String {
        self.kept().goal_json.clone()
    }

    /// The goal with this digest, as it was.
    #[must_use]
    pub fn snapshot(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.kept().snapshots.get(digest).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is one push or one assignment: a panic elsewhere leaves nothing half done.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&mut self, expected: &Expected, each: &mut Each<'_>) -> Result<Opened, StoreError> {
        let records = self.records();
        let path = || "memory".into();
        if let Some(point) = expected.checkpoint {
            let found = usize::try_from(point.seq).ok().and_then(|seq| records.get(seq));
            match found {
                None => {
                    return Err(StoreError::Cut {
                        path: path(),
                        line: records.len() as u64,
                        expected: point,
                    });
                }
                Some(record) if record.hash != point.hash => {
                    let line = point.seq + 1;
                    return Err(StoreError::OtherChain {
                        path: path(),
                        line,
                        expected: point,
                        found: record.hash,
                    });
                }
                Some(_) => {}
            }
        }
        let opened = Opened {
            records: records.len() as u64,
            head: records.last().map(Record::head),
            torn: 0,
        };
        for record in records {
            let (line, text) = (record.seq + 1, record.line()?);
            let entry = Entry {
                line,
                bytes: text.as_bytes(),
                record,
            };
            each(entry).map_err(|source| StoreError::Fold {
                path: path(),
                line,
                source,
            })?;
        }
        self.kept().deployment_id = Some(expected.deployment_id.clone());
        Ok(opened)
    }

    fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, StoreError> {
        let mut kept = self.kept();
        let Some(deployment_id) = &kept.deployment_id else {
            return Err(StoreError::NotLoaded {
                path: "memory".into(),
            });
        };
        let record = Record::after(kept.records.last().map(Record::head), at, deployment_id, event)?;
        kept.records.push(record.clone());
        Ok(record)
    }

    fn checkpoint(&mut self, goal_json: &str) -> Result<(), StoreError> {
        goal_json.clone_into(&mut self.kept().goal_json);
        Ok(())
    }

    fn save_snapshot(&mut self, goal: &[u8]) -> Result<Digest, StoreError> {
        let digest = sha256(goal);
        self.kept().snapshots.insert(digest, goal.to_vec());
        Ok(digest)
    }
}
