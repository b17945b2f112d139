//! Records that others can check: one about each task that is resolved, signed, written before the commit that it speaks for.

mod found;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use machine_driver_aar::{
    CanonicalBytes, Draft, Ed25519Signer, Evidence, INTEGER_MAX, PublicKey, Record, RecordFolder, SignError,
    Signature, Signed, Signer, Task, Unsigned, WorkerEvidence,
};
use machine_driver_governor::Found;
use machine_driver_state::change::Change;
use machine_driver_state::did::Did;
use machine_driver_state::event::{AttemptRef, Event, RecordSigned};
use machine_driver_state::goal::{Attest, Goal};
use machine_driver_state::id::Digest;
use machine_driver_state::record::Seal;
use machine_driver_state::usage::Usage;
use serde_json::{Map, Value};

use found::{digest_of_command, outcome_of};

use crate::driver::Driver;
use crate::error::DriverError;
use crate::outcome::{self, chain};

/// Signs what was found, for a goal that names who vouches for it.
#[derive(Debug)]
pub(crate) struct Notary {
    attest: Attest,
    /// One that an embedder brought.
    given: Option<Arc<dyn Signer>>,
    /// The goal's own key, once it could be read.
    loaded: Option<Arc<dyn Signer>>,
    /// The end of the chain in the folder when this run began, before any worker of it could put something there.
    before: Option<Digest>,
}

impl Notary {
    /// None where nobody signs. `records` is the folder, which may not be there yet.
    pub(crate) fn of(goal: &Goal, given: Option<Arc<dyn Signer>>, records: &Path) -> Option<Self> {
        let attest = goal.attest.clone()?;
        let has_signer = given.is_some() || attest.key.is_some();
        let folder = RecordFolder::open(records).ok().filter(|_| has_signer);
        let before = folder.and_then(|folder| {
            folder.sweep();
            folder.head(&attest.subject).ok().flatten()
        });
        has_signer.then_some(Self {
            attest,
            given,
            loaded: None,
            before,
        })
    }

    /// Read again as long as it fails: the operator may mend a key while the driver runs.
    fn signer(&mut self) -> Result<Arc<dyn Signer>, SignError> {
        if let Some(signer) = self.given.as_ref().or(self.loaded.as_ref()) {
            return Ok(Arc::clone(signer));
        }
        let signer = load(&self.attest)?;
        self.loaded = Some(Arc::clone(&signer));
        Ok(signer)
    }
}

fn load(attest: &Attest) -> Result<Arc<dyn Signer>, SignError> {
    let Some(key) = &attest.key else {
        return Err(SignError::refused("goal.json names no aar_priv"));
    };
    match &attest.tool {
        None => Ok(Arc::new(Ed25519Signer::load(key, attest.principal.clone())?)),
        Some(tool) => external(tool, key, attest),
    }
}

#[cfg(feature = "command")]
fn external(tool: &Path, key: &Path, attest: &Attest) -> Result<Arc<dyn Signer>, SignError> {
    let signer = machine_driver_aar::CommandSigner::load(tool, key, attest.principal.clone())?;
    Ok(Arc::new(signer))
}

#[cfg(not(feature = "command"))]
fn external(_tool: &Path, _key: &Path, _attest: &Attest) -> Result<Arc<dyn Signer>, SignError> {
    Err(SignError::refused("this build runs no external signer"))
}

/// Who signs the records of the log: the goal's own key, where it is a native one that can be read.
pub(crate) fn seal_of(goal: &Goal) -> Option<Arc<dyn Seal>> {
    let attest = goal.attest.as_ref().filter(|attest| attest.tool.is_none())?;
    let signer = Ed25519Signer::load(attest.key.as_ref()?, attest.principal.clone()).ok()?;
    Some(Arc::new(LogSeal(signer)))
}

#[derive(Debug)]
struct LogSeal(Ed25519Signer);

impl Seal for LogSeal {
    fn seal(&self, record: &Map<String, Value>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let bytes = CanonicalBytes::of(record)?;
        Ok(self.0.sign(&bytes)?.to_base64url())
    }
}

impl Driver {
    /// Writes the record about what was found, unless a driver that was killed behind it did, and records that.
    pub(crate) fn attest(
        &mut self,
        attempt: &AttemptRef,
        index: usize,
        found: &Found,
    ) -> Result<(), DriverError> {
        let draft = self.draft(attempt, index, found)?;
        let (record, name) = (draft.build(), attempt.task.clone());
        let unsigned = record.map_err(|error| DriverError::Attest {
            task: name,
            source: error.into(),
        })?;
        let signed = self.written(attempt, &unsigned)?;
        let now = self.timeline.now();
        self.record(now, Event::RecordSigned(attempt.clone(), signed))
    }

    fn written(&mut self, attempt: &AttemptRef, unsigned: &Unsigned) -> Result<RecordSigned, DriverError> {
        let failed = |source: machine_driver_aar::FolderError| DriverError::Attest {
            task: attempt.task.clone(),
            source: source.into(),
        };
        let path = self.held.store.paths().aar.clone();
        let folder = RecordFolder::create(&path).map_err(failed)?;
        if let Some(there) = self.is_there(&folder, attempt, unsigned) {
            return Ok(there);
        }
        let prior = self.prior(&folder);
        let signed = self.sign(unsigned, prior);
        let (record, why) = match &signed {
            Ok(signed) => (signed.record(), None),
            Err(error) => (unsigned.record(), Some(self.why_unsigned(attempt, error))),
        };
        let digest = record.digest().map_err(|error| DriverError::Attest {
            task: attempt.task.clone(),
            source: error.into(),
        })?;
        let written = folder.write(record).map_err(failed)?;
        let file = written.path.file_name().unwrap_or_default();
        Ok(RecordSigned {
            file: file.to_string_lossy().into_owned(),
            sha256: digest,
            prior: prior.filter(|_| why.is_none()),
            unsigned: why,
        })
    }

    /// The record before: as the log knows it, or as the folder tells where one may have been signed by hand since. A
    /// worker can write there too: so a chain that this run begins follows only what was there before.
    fn prior(&mut self, folder: &RecordFolder) -> Option<Digest> {
        let state = &self.held.state;
        let notary = self.notary.as_mut()?;
        if state.is_last_certain() {
            state.last_record()
        } else if state.is_record_waiting() {
            let key = notary.signer().ok()?.public_key();
            let found = key.and_then(|key| last_of_ours(folder, &notary.attest.subject, key));
            found.or(state.last_record())
        } else {
            notary.before
        }
    }

    fn sign(&mut self, unsigned: &Unsigned, prior: Option<Digest>) -> Result<Signed, SignError> {
        let Some(notary) = &mut self.notary else {
            return Err(SignError::refused("nobody signs in this run"));
        };
        unsigned.sign(&*notary.signer()?, prior)
    }

    fn why_unsigned(&self, attempt: &AttemptRef, error: &SignError) -> String {
        let word = if error.is_missing() { "SKIPPED" } else { "FAILED" };
        let text = format!(
            "AAR sign {word} for task {}: {}. {}",
            attempt.task,
            chain(error),
            error.next_step()
        );
        outcome::shortened(&text, outcome::DETAIL_CHARS)
    }

    /// The record that a driver wrote before it was killed: about this very attempt, with the same words, and signed by us.
    /// The log went on since then, so its head is another; without a verdict so is the time.
    fn is_there(
        &mut self,
        folder: &RecordFolder,
        attempt: &AttemptRef,
        unsigned: &Unsigned,
    ) -> Option<RecordSigned> {
        let there = folder.current(&attempt.task).ok()??;
        let prior = there.prior();
        let state = &self.held.state;
        let has_verdict = state.current().is_some_and(|current| current.verdict.is_some());
        let same = |path: &[&str]| there.at(path) == unsigned.record().at(path);
        let names = ["subject", "task", "verdict", "reason", "checks"];
        let is_it = names.iter().all(|name| same(&[name]))
            && same(&["evidence", "worker"])
            && if has_verdict {
                same(&["issued"])
            } else {
                !state.is_record_waiting()
            }
            && (!state.is_last_certain() || prior == state.last_record());
        let key = self.notary.as_mut()?.signer().ok()?.public_key();
        let is_it = is_it && key.is_none_or(|key| holds(&there, key));
        let digest = there.digest().ok().filter(|_| is_it && there.is_signed())?;
        Some(RecordSigned {
            file: format!("{}.json", attempt.task),
            sha256: digest,
            prior,
            unsigned: None,
        })
    }

    fn draft(&mut self, attempt: &AttemptRef, index: usize, found: &Found) -> Result<Draft, DriverError> {
        let current = self.held.state.current();
        let verdict = current.and_then(|current| current.verdict.clone());
        // A worker says what it used: nothing that it says keeps a record from being written.
        let usage = current.map(|current| Usage {
            tokens: current.usage.tokens.filter(|count| *count <= INTEGER_MAX),
            usd_micros: current.usage.usd_micros.filter(|count| *count <= INTEGER_MAX),
        });
        let change = verdict.as_ref().and_then(|verdict| verdict.change.clone());
        let patch = change.as_ref().and_then(|change| self.patch(attempt, change));
        let goal = self.goal();
        let lost = DriverError::Rules("there is nobody to attest for");
        let attest = self
            .notary
            .as_ref()
            .map(|notary| notary.attest.clone())
            .ok_or(lost)?;
        let task = goal
            .tasks
            .get(index)
            .ok_or(DriverError::Rules("the task is not in the goal"))?;
        let verify_cmd = task.verify_cmd.as_ref().or(goal.verify_cmd.as_ref());
        let worker_cmd = task.worker_cmd.as_ref().unwrap_or(&goal.worker_cmd);
        let base = change.as_ref().and_then(|change| change.parent.clone());
        let outcome = outcome_of(found, verdict.as_ref(), base.clone());
        let checks = verdict
            .iter()
            .flat_map(|verdict| self.checks(attempt, verify_cmd, verdict));
        Ok(Draft {
            subject: attest.subject,
            principal: attest.principal,
            verifier: attest.verifier,
            task: Task {
                id: task.id.clone(),
                claim: task.goal.clone(),
            },
            outcome,
            checks: checks.collect(),
            issued: verdict
                .as_ref()
                .map_or(self.held.state.last_at(), |verdict| verdict.at),
            evidence: Some(Evidence {
                base_commit: base,
                tree: change.map(|change| change.tree),
                patch_sha256: patch,
                contract_sha256: Some(goal.contract_digest),
                verify_cmd_sha256: verify_cmd.map(digest_of_command),
                worker: Some(WorkerEvidence {
                    cmd_sha256: Some(digest_of_command(worker_cmd)),
                    session: attempt.session.clone(),
                    attempts: u64::from(attempt.attempt),
                }),
                usage,
                log_head: self.held.state.head(),
            }),
        })
    }

    /// Keeps the change as a patch, as evidence; nothing stops where that does not work.
    fn patch(&self, attempt: &AttemptRef, change: &Change) -> Option<Digest> {
        let committer = self.committer.clone()?;
        let file = self
            .held
            .evidence_of(&attempt.task)
            .join(format!("attempt-{}.patch", attempt.attempt));
        let kept = committer.patch(change, &file).ok().flatten();
        kept.map(|kept| kept.sha256)
    }
}

/// Whether a record is signed with this key.
fn holds(record: &Record, key: PublicKey) -> bool {
    let value = record.sig().and_then(|sig| sig.get("value")?.as_str());
    let signature = value.and_then(Signature::from_base64url);
    let bytes = record.signed_bytes().ok();
    bytes
        .zip(signature)
        .is_some_and(|(bytes, signature)| key.verifies(bytes.as_bytes(), &signature))
}

/// The end of the chain of records that this key signed: whatever else lies there is nobody's.
fn last_of_ours(folder: &RecordFolder, subject: &Did, key: PublicKey) -> Option<Digest> {
    let records = folder.entries().ok()?.into_iter();
    let records = records.filter_map(|entry| Record::read(&entry.bytes.ok()?).ok());
    let is_ours = |record: &Record| record.subject() == Some(subject.as_str()) && holds(record, key);
    let (mut ends, mut priors) = (BTreeSet::new(), BTreeSet::new());
    for record in records.filter(is_ours) {
        ends.extend(record.digest().ok());
        priors.extend(record.prior());
    }
    let mut ends = ends.difference(&priors);
    ends.next().copied().filter(|_| ends.next().is_none())
}
