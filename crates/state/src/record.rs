//! One line of driver-log.jsonl: an event, its time, and its place in the hash chain.
//!
//! `hash` is the SHA-256 over the RFC 8785 form of the record without `hash` and `sig`; `prev_hash` is inside it, so each
//! record vouches for all before it. The first record's `prev_hash` is `""`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::{CanonicalError, digest_of_fields};
use crate::event::{Event, EventError};
use crate::id::Digest;
use crate::strict;
use crate::time::Timestamp;

/// The longest line that is read, in bytes. The driver's own are below 64 KiB, but for an import of many tasks.
pub const LINE_MAX: usize = 64 << 20;

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of the last record, from 0.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 0 without a gap.
    pub seq: u64,
    /// When the event was recorded.
    pub at: Timestamp,
    /// Hash of the record before it; none for the first.
    pub prev: Option<Digest>,
    /// Which deployment wrote it.
    pub deployment_id: String,
    /// What happened.
    pub event: Event,
    /// Its own hash.
    pub hash: Digest,
    /// Ed25519 over [`Record::sealed_form`], base64url without padding, where the run has a key.
    pub sig: Option<String>,
}

/// Signs records. The key is somebody else's business.
pub trait Seal: std::fmt::Debug + Send + Sync {
    /// The signature over the RFC 8785 form of a record, given without its `sig`: base64url without padding.
    ///
    /// # Errors
    /// Why it could not be made.
    fn seal(&self, record: &Map<String, Value>) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;
}

/// A line is not a record, or not the one that belongs there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not strict JSON.
    #[error("it is not a JSON object of the strict kind: {source}")]
    Json {
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A field that every record has is missing or of the wrong kind.
    #[error("`{field}` is missing or not {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It was changed after it was written.
    #[error("its content has the hash {found}, but it says {stated}")]
    Hash {
        /// What it says.
        stated: Digest,
        /// What it has.
        found: Digest,
    },
    /// The event cannot be read.
    #[error("{source}")]
    Event {
        /// Why.
        #[from]
        source: EventError,
    },
    /// `scope_id` contradicts the event.
    #[error("`scope_id` is {found:?}; expected {expected:?}")]
    Scope {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It is not the record that follows.
    #[error("`{field}` is {found:?}; expected {expected:?}")]
    Chain {
        /// `seq` or `prev_hash`.
        field: &'static str,
        /// What the chain before it asks for.
        expected: String,
        /// What it says.
        found: String,
    },
    /// It cannot be hashed or written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// It cannot be signed.
    #[error("could not sign the record: {source}")]
    Seal {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It cannot be written.
    #[error("could not write the record as JSON")]
    Write {
        /// Why.
        source: serde_json::Error,
    },
}

impl Record {
    /// The record that says `event` after `head`.
    ///
    /// # Errors
    /// [`RecordError`] when the event has no JSON form, which none of ours lacks.
    pub fn after(
        head: Option<Head>,
        at: Timestamp,
        deployment_id: &str,
        event: Event,
    ) -> Result<Self, RecordError> {
        let mut record = Self {
            seq: head.map_or(0, |head| head.seq + 1),
            at,
            prev: head.map(|head| head.hash),
            deployment_id: deployment_id.to_owned(),
            event,
            hash: Digest::from_bytes([0; 32]),
            sig: None,
        };
        record.hash = digest_of_fields(&record.unsealed()?)?;
        Ok(record)
    }

    /// The record's line without the newline.
    ///
    /// # Errors
    /// [`RecordError`] when the event has no JSON form, which none of ours lacks.
    pub fn line(&self) -> Result<String, RecordError> {
        let mut fields = self.sealed_form()?;
        if let Some(sig) = &self.sig {
            fields.insert("sig".into(), sig.clone().into());
        }
        serde_json::to_string(&fields).map_err(|source| RecordError::Write { source })
    }

    /// What a signature covers: the record without `sig`, to be put in its RFC 8785 form.
    ///
    /// # Errors
    /// [`RecordError`] when the event has no JSON form, which none of ours lacks.
    pub fn sealed_form(&self) -> Result<Map<String, Value>, RecordError> {
        let mut fields = self.unsealed()?;
        fields.insert("hash".into(), self.hash.to_string().into());
        Ok(fields)
    }

    /// Signs the record.
    ///
    /// # Errors
    /// [`RecordError::Seal`].
    pub fn seal(&mut self, seal: &dyn Seal) -> Result<(), RecordError> {
        let sig = seal.seal(&self.sealed_form()?);
        self.sig = Some(sig.map_err(|source| RecordError::Seal { source })?);
        Ok(())
    }

    /// Reads a line (without its newline) and checks its hash. Whether it follows the one before it is asked by
    /// [`Record::check_follows`].
    ///
    /// # Errors
    /// [`RecordError`] names what is wrong with it.
    pub fn read(line: &[u8]) -> Result<Self, RecordError> {
        let Checked {
            mut fields,
            hash,
            sig,
        } = checked_fields(line)?;
        let seq = field(&mut fields, "seq", "a number from 0", Value::as_u64)?;
        let at = field(&mut fields, "ts", "a time", |v| {
            Timestamp::parse(v.as_str()?).ok()
        })?;
        let prev = field(&mut fields, "prev_hash", "a SHA-256", previous)?;
        let name = field(&mut fields, "event", "a text", |v| v.as_str().map(str::to_owned))?;
        let deployment_id = field(&mut fields, "deployment_id", "a text", |v| {
            v.as_str().map(str::to_owned)
        })?;
        let scope = field(&mut fields, "scope_id", "a text", |v| {
            v.as_str().map(str::to_owned)
        })?;
        let event = Event::from_fields(&name, fields)?;
        if event.scope() != scope {
            return Err(RecordError::Scope {
                expected: event.scope().to_owned(),
                found: scope,
            });
        }
        Ok(Self {
            seq,
            at,
            prev,
            deployment_id,
            event,
            hash,
            sig,
        })
    }

    /// Whether the record follows `head`.
    ///
    /// # Errors
    /// [`RecordError::Chain`] with the expected and the found value.
    pub fn check_follows(&self, head: Option<Head>) -> Result<(), RecordError> {
        let seq = head.map_or(0, |head| head.seq + 1);
        if self.seq != seq {
            return Err(RecordError::Chain {
                field: "seq",
                expected: seq.to_string(),
                found: self.seq.to_string(),
            });
        }
        let prev = head.map(|head| head.hash);
        if self.prev != prev {
            let text = |digest: Option<Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
            return Err(RecordError::Chain {
                field: "prev_hash",
                expected: text(prev),
                found: text(self.prev),
            });
        }
        Ok(())
    }

    /// Where a chain that ends with this record ends.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// Everything but `hash`, in the order in which a line has it.
    fn unsealed(&self) -> Result<Map<String, Value>, RecordError> {
        let mut fields = Map::new();
        fields.insert("seq".into(), self.seq.into());
        fields.insert("ts".into(), self.at.to_string().into());
        fields.insert(
            "prev_hash".into(),
            self.prev.map_or_else(String::new, |prev| prev.to_string()).into(),
        );
        fields.insert("event".into(), self.event.name().into());
        fields.insert("deployment_id".into(), self.deployment_id.clone().into());
        fields.insert("scope_id".into(), self.event.scope().into());
        fields.extend(
            self.event
                .fields()
                .map_err(|source| RecordError::Write { source })?,
        );
        Ok(fields)
    }
}

/// A record's fields but for these two.
struct Checked {
    fields: Map<String, Value>,
    hash: Digest,
    sig: Option<String>,
}

fn checked_fields(line: &[u8]) -> Result<Checked, RecordError> {
    let mut fields = strict::object(line).map_err(|source| RecordError::Json { source })?;
    let stated = field(&mut fields, "hash", "a SHA-256", |v| {
        Digest::new(v.as_str()?).ok()
    })?;
    let sig = if fields.contains_key("sig") {
        Some(field(
            &mut fields,
            "sig",
            "an Ed25519 signature in base64url",
            signature,
        )?)
    } else {
        None
    };
    let found = digest_of_fields(&fields)?;
    if found == stated {
        Ok(Checked {
            fields,
            hash: stated,
            sig,
        })
    } else {
        Err(RecordError::Hash { stated, found })
    }
}

/// 64 bytes in base64url without padding are 86 characters.
fn signature(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_base64url = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (text.len() == 86 && is_base64url).then(|| text.to_owned())
}

#[expect(
    clippy::option_option,
    reason = "the outer one is for `is it readable`, the inner for `is there one`"
)]
fn previous(value: &Value) -> Option<Option<Digest>> {
    match value.as_str()? {
        "" => Some(None),
        text => Digest::new(text).ok().map(Some),
    }
}

fn field<T>(
    fields: &mut Map<String, Value>,
    field: &'static str,
    expected: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<T, RecordError> {
    let value = fields.swap_remove(field).as_ref().and_then(read);
    value.ok_or(RecordError::Field { field, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::digest_of;
    use crate::event::GoalComplete;

    fn chain(length: u64) -> Vec<Record> {
        let mut head = None;
        let records = (0..length).map(|n| {
            let event = Event::GoalComplete(GoalComplete { done: n, blocked: 0 });
            let at = Timestamp::from_millis(1_795_341_600_000 + i64::try_from(n).unwrap());
            let record = Record::after(head, at, "d", event).unwrap();
            head = Some(record.head());
            record
        });
        records.collect()
    }

    #[test]
    fn a_line_reads_back_as_itself() {
        for record in chain(3) {
            let line = record.line().unwrap();
            let read = Record::read(line.as_bytes()).unwrap();
            assert_eq!(read, record);
            assert_eq!(read.line().unwrap(), line);
        }
    }

    #[test]
    fn the_first_line_is_as_the_specification_writes_it() {
        let line = chain(1)[0].line().unwrap();
        let start = r#"{"seq":0,"ts":"2026-11-22T10:00:00.000Z","prev_hash":"","event":"goal_complete","deployment_id":"d","#;
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with("\"}"));
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let records = chain(2);
        let (head, line) = (Some(records[0].head()), records[1].line().unwrap());
        for at in 0..line.len() {
            for flip in [0x01, 0x20] {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= flip;
                let read = Record::read(&bytes).and_then(|record| record.check_follows(head));
                assert!(read.is_err(), "byte {at}: {}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn a_signature_stands_beside_the_hash_and_reads_back() {
        let mut record = chain(1).remove(0);
        let bare = record.sealed_form().unwrap();
        record.sig = Some("A".repeat(86));
        assert_eq!(record.sealed_form().unwrap(), bare, "it does not cover itself");
        let line = record.line().unwrap();
        assert!(
            line.ends_with(&format!(r#","sig":"{}"}}"#, "A".repeat(86))),
            "{line}"
        );
        assert_eq!(Record::read(line.as_bytes()).unwrap(), record);
        for bad in [r#""AAA""#, "7", "null", &format!("{:?}", "=".repeat(86))] {
            let line = line.replace(&format!("{:?}", "A".repeat(86)), bad);
            assert!(Record::read(line.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gap_and_a_foreign_predecessor_are_named() {
        let records = chain(3);
        let gap = records[2]
            .check_follows(Some(records[0].head()))
            .unwrap_err()
            .to_string();
        assert_eq!(gap, "`seq` is \"2\"; expected \"1\"");
        let foreign = Head {
            seq: 1,
            hash: records[0].hash,
        };
        let error = records[2].check_follows(Some(foreign)).unwrap_err().to_string();
        assert!(error.starts_with("`prev_hash` is"), "{error}");
        assert!(records[1].check_follows(None).is_err());
    }

    #[test]
    fn an_unknown_event_is_named() {
        let mut fields = chain(1)[0].unsealed().unwrap();
        fields.insert("event".into(), "teleported".into());
        let hash = digest_of(&fields).unwrap();
        fields.insert("hash".into(), hash.to_string().into());
        let error = Record::read(serde_json::to_string(&fields).unwrap().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not know the event `teleported`"), "{error}");
    }
}
