//! Verified work on its way into the repository: the change is read before it is judged, and committed once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use machine_driver_governor::{CommitError, CommitOrder, Committed, Committer, decide};
use machine_driver_state::change::{Change, ObjectId};
use machine_driver_state::control::Control;
use machine_driver_state::event::{AttemptRef, Audited, Commit, CommitFailed, Event, Stage};
use machine_driver_state::state::Phase;

use crate::driver::Driver;
use crate::error::DriverError;
use crate::notice::Notice;
use crate::outcome;

/// What a verifier is about to judge, as far as a commit can hold it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    /// The change.
    pub(crate) change: Option<Change>,
    /// Why no commit can hold it.
    pub(crate) no_change: Option<String>,
    /// What the audit of it found, where rules about paths are asked.
    pub(crate) audit: Option<Audited>,
}

impl Driver {
    /// How the repository stands when a run begins; none where nothing can be committed.
    pub(crate) fn standing(&mut self) -> Option<Change> {
        let committer = self.committer.clone()?;
        let (control, read) = (Control::new(), |control: &Control<'_>| {
            committer.read_change(control)
        });
        let (read, cut) = self.lookout.attend(&self.stop, None, || (), &control, read);
        if let (Some(Err(error)), None) = (&read, cut) {
            let why = outcome::chain(error);
            self.tell(&Notice::NoChange { why: &why });
        }
        read?.ok()
    }

    /// Reads what the verifier is about to judge. Nothing where something was recorded instead: the rules are asked again.
    /// So it is where the driver is stopped meanwhile.
    /// Where it cannot be read, that is recorded as a verify that could not run.
    pub(crate) fn read_change(
        &mut self,
        attempt: &AttemptRef,
        tries: u32,
    ) -> Result<Option<Judged>, DriverError> {
        let is_asked = self.held.state.gate() || self.held.state.records();
        let Some(committer) = self.committer.clone().filter(|_| is_asked) else {
            return Ok(Some(Judged::default()));
        };
        let read = |control: &Control<'_>| committer.read_change(control);
        let (read, cut, _) = self.attended(attempt, Stage::Verify, read)?;
        if let Some(by) = cut {
            self.record_step(outcome::cut_off(attempt.clone(), Stage::Verify, by))?;
            return Ok(None);
        }
        let why = match read {
            Some(Ok(change)) => {
                if self.head_moved(&change)? {
                    return Ok(None); // Told first; then it is asked for again.
                }
                let change = Some(change);
                return Ok(Some(Judged {
                    change,
                    ..Judged::default()
                }));
            }
            Some(Err(CommitError::Refused { why })) => {
                let no_change = Some(outcome::shortened(&why, outcome::DETAIL_CHARS));
                return Ok(Some(Judged {
                    no_change,
                    ..Judged::default()
                }));
            }
            Some(Err(error)) => outcome::chain(&error),
            None => "the committer panicked".into(),
        };
        let now = self.timeline.now();
        let event = outcome::unavailable(attempt.clone(), self.verifier.id(), &why, tries);
        self.record(now, event)?;
        Ok(None)
    }

    /// HEAD moves by this run alone. Whether it was recorded now that it did not.
    fn head_moved(&mut self, change: &Change) -> Result<bool, DriverError> {
        let short = |id: &Option<ObjectId>| id.as_ref().map_or("no commit", ObjectId::short).to_owned();
        let Some(left) = self.held.state.repo_head() else {
            return Ok(false);
        };
        let began = self.held.state.repo_reference();
        let switched = began.filter(|began| **began != change.reference);
        if self.held.state.tampered() || (*left == change.parent && switched.is_none()) {
            return Ok(false);
        }
        let what = match switched {
            Some(began) => format!(
                "HEAD of the repository was switched from {began} to {}",
                change.reference
            ),
            None => format!(
                "HEAD of the repository was moved from {} to {}",
                short(left),
                short(&change.parent)
            ),
        };
        self.tampered(what, None)?;
        Ok(true)
    }

    /// Makes the commit that the gate allowed, unless it was made already, and records what came of it.
    ///
    /// The gate is asked once more first, on what is on disk now.
    pub(crate) fn commit(&mut self, attempt: &AttemptRef, index: usize) -> Result<(), DriverError> {
        let order = match self.held.state.current().map(|current| &current.phase) {
            Some(Phase::Allowed(allowed)) => CommitOrder::of(self.goal(), index, allowed),
            _ => None,
        };
        let order = order.ok_or(DriverError::Rules("there is no commit to make"))?;
        let Some(committer) = self.committer.clone() else {
            let error = CommitError::other("nothing here can commit", "the repository was not found");
            return self.not_committed(attempt, &error);
        };
        match unpanicked(|| committer.made(&order)) {
            Ok(Some(id)) => self.committed(attempt, &order, Committed { id, note: None }),
            Ok(None) => self.commit_now(attempt, index, &order, &committer),
            Err(error) => self.not_committed(attempt, &error),
        }
    }

    fn commit_now(
        &mut self,
        attempt: &AttemptRef,
        index: usize,
        order: &CommitOrder,
        committer: &Arc<dyn Committer>,
    ) -> Result<(), DriverError> {
        let head = self.held.state.head();
        self.look_around()?;
        self.carry_out()?;
        if self.held.state.head() != head || self.stop.asked().is_some() {
            return Ok(()); // That comes first; then the gate is asked.
        }
        let now = self.timeline.now();
        let permit = match decide(self.goal(), &self.held.state, index, now) {
            Ok(permit) => permit,
            Err(denial) => return self.record(now, denial.event(attempt.clone(), true)),
        };
        match unpanicked(|| committer.commit(order, permit)) {
            Ok(committed) => self.committed(attempt, order, committed),
            Err(error) => self.not_committed(attempt, &error),
        }
    }

    fn committed(
        &mut self,
        attempt: &AttemptRef,
        order: &CommitOrder,
        committed: Committed,
    ) -> Result<(), DriverError> {
        let now = self.timeline.now();
        let commit = Commit {
            commit: committed.id,
            tree: order.change.tree.clone(),
            parent: order.change.parent.clone(),
        };
        self.record_next(now, Event::Commit(attempt.clone(), commit))?;
        if let Some(note) = committed.note {
            self.tell(&Notice::BesideCommit { note: &note });
        }
        Ok(())
    }

    fn not_committed(&mut self, attempt: &AttemptRef, error: &CommitError) -> Result<(), DriverError> {
        let now = self.timeline.now();
        let reason = outcome::shortened(&outcome::chain(error), outcome::DETAIL_CHARS);
        let before = match self.held.state.current().map(|current| &current.phase) {
            Some(Phase::Allowed(allowed)) => allowed.failed.as_ref().map_or(0, |(tries, ..)| *tries),
            _ => 0,
        };
        let lasting = matches!(
            error,
            CommitError::Refused { .. } | CommitError::Moved { .. } | CommitError::NotPermitted
        );
        let failed = CommitFailed {
            reason,
            tries: before + 1,
            lasting,
        };
        self.record(now, Event::CommitFailed(attempt.clone(), failed))
    }
}

/// A committer of somebody else's that panics has failed.
fn unpanicked<T>(work: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(CommitError::other(
            "the committer panicked",
            "see what it said on standard error",
        ))
    })
}
