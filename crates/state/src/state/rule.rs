//! Who may do what: halts that stand, approvals, and the trees against which changes are audited.

use super::apply::Applied;
use super::{Run, State};
use crate::event::{
    Approved, Audited, ContractRatified, ContractRevoked, DialChanged, DriverUp, ImportedRule,
    OverrideEffective, OverrideKind, OverrideLifted, OverrideRequested, ReceiptSeen, RequestId,
};
use crate::id::{Digest, TaskId};
use crate::survey::Survey;
use crate::time::Timestamp;

/// What is known of contract, override and audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// The halt that stands.
    halt: Option<Halt>,
    /// Requests that are recorded and not effective yet.
    asked: Vec<(RequestId, OverrideKind)>,
    /// What the last driver found of the contract's receipt.
    receipt: Option<ReceiptSeen>,
    /// Frozen fields of the contract that were changed since it was ratified.
    thawed: Vec<String>,
    /// Whether the contract was revoked by command, and not ratified by command since.
    revoked: bool,
    /// How the tree stood before any worker of this goal could have changed it.
    standing: Option<Survey>,
    /// How the tree stood when it was last seen.
    last: Option<Survey>,
    /// Whether a worker has been at the tree since then.
    worked: bool,
}

/// A halt that stands: no driver starts before it is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The request's id.
    pub id: RequestId,
    /// Who asked for it, as they say.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When that was recorded.
    pub at: Timestamp,
    /// Whether it is effective.
    pub effective: bool,
}

/// A person's leave to commit one work that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The work.
    pub idempotency_key: Digest,
    /// The contract's digest.
    pub contract: Digest,
    /// Who approved it.
    pub by: String,
    /// Until when.
    pub until: Timestamp,
}

impl State {
    /// The halt that stands, where one does.
    #[must_use]
    pub const fn halt(&self) -> Option<&Halt> {
        self.rule.halt.as_ref()
    }

    /// What the last driver found of the contract's receipt.
    #[must_use]
    pub const fn receipt(&self) -> Option<&ReceiptSeen> {
        self.rule.receipt.as_ref()
    }

    /// Frozen fields of the contract that were changed since it was last ratified by command.
    #[must_use]
    pub fn thawed(&self) -> &[String] {
        &self.rule.thawed
    }

    /// Whether the contract was revoked by command, and not ratified by command since: goal.json may not show it any more.
    #[must_use]
    pub const fn revoked(&self) -> bool {
        self.rule.revoked
    }

    /// For a look before a run: what the next driver would find of the contract.
    pub fn foresee(&mut self, receipt: Option<ReceiptSeen>, thawed: &[String]) {
        self.rule.receipt = receipt;
        self.thaw(thawed);
    }

    /// How the tree stood before any worker of this goal could have changed it: what the contract's rules compare with.
    #[must_use]
    pub const fn standing(&self) -> Option<&Survey> {
        self.rule.standing.as_ref()
    }

    /// How the tree stood when it was last seen, where no worker has been at it since: what is different by now is nobody's of ours.
    #[must_use]
    pub fn left_as(&self) -> Option<&Survey> {
        self.rule.last.as_ref().filter(|_| !self.rule.worked)
    }

    /// Whether a request with this id was recorded.
    #[must_use]
    pub fn is_asked(&self, id: &RequestId) -> bool {
        self.rule.asked.iter().any(|(asked, _)| asked == id) || self.halt().is_some_and(|halt| halt.id == *id)
    }

    /// What a driver found when it started. What stood there before any worker is taken once: a later start takes it anew only
    /// where a person says so, since what lies there by then may be a worker's.
    pub(super) fn rule_up(&mut self, up: &DriverUp) {
        self.rule.receipt.clone_from(&up.receipt);
        if up.survey.is_some() {
            self.rule.last.clone_from(&up.survey);
            self.rule.worked = false;
        }
        if self.rule.standing.is_some() && !up.accepts_tree {
            return;
        }
        self.rule.standing.clone_from(&up.survey);
        let under_way = self.current.as_ref().map(|current| current.slot);
        for (slot, task) in self.tasks.iter_mut().enumerate() {
            task.base = up.survey.clone().filter(|_| under_way == Some(slot));
        }
    }

    /// A worker is about to be at the tree. Its task's rules compare with how that stood when the task was first begun.
    pub(super) fn at_the_tree(&mut self, slot: usize) {
        let base = self.rule.last.as_ref().or(self.rule.standing.as_ref()).cloned();
        self.rule.worked = true;
        self.with_task(slot, |task| {
            if task.base.is_none() {
                task.base = base;
            }
        });
    }

    pub(super) fn audited(&mut self, audit: Option<&Audited>) {
        if let Some(audit) = audit {
            self.rule.last = Some(audit.survey.clone());
            self.rule.worked = false;
        }
    }

    pub(super) fn thaw(&mut self, fields: &[String]) {
        for field in fields {
            if !self.rule.thawed.contains(field) {
                self.rule.thawed.push(field.clone());
            }
        }
    }

    pub(super) fn contract_ratified(&mut self, ratified: &ContractRatified) -> Applied {
        self.goal_changed_by_command(ratified.before, ratified.after)?;
        self.rule.thawed.clear();
        self.rule.revoked = false;
        Ok(())
    }

    pub(super) fn contract_revoked(&mut self, revoked: &ContractRevoked) -> Applied {
        self.goal_changed_by_command(revoked.before, revoked.after)?;
        self.rule.revoked = true;
        Ok(())
    }

    /// A new chain does not forget what stood.
    pub(super) fn rule_imported(&mut self, rule: &ImportedRule) {
        self.rule.revoked = rule.revoked;
        self.rule.standing.clone_from(&rule.standing);
        self.thaw(&rule.thawed);
        self.rule.halt = rule.halt.as_ref().map(|halt| Halt {
            id: halt.id.clone(),
            by: halt.by.clone(),
            reason: halt.reason.clone(),
            at: halt.at,
            effective: true,
        });
        if rule.tampered {
            self.tampered_before();
        }
    }

    pub(super) fn dial_changed(&mut self, changed: &DialChanged) -> Applied {
        if changed.running && self.run != Run::Up {
            return Err("no driver is up".into());
        }
        if changed.running && changed.to != "propose" {
            return Err("a driver that runs can only be turned down".into());
        }
        self.goal_changed_by_command(changed.before, changed.after)
    }

    /// A command may be the first to write a log.
    fn goal_changed_by_command(&mut self, before: Digest, after: Digest) -> Applied {
        if self.goal_digest.is_none() {
            self.goal_digest = Some(before);
        }
        self.goal_changed(before, after)
    }

    pub(super) fn override_requested(&mut self, requested: &OverrideRequested, at: Timestamp) -> Applied {
        if self.is_asked(&requested.id) {
            return Err("it was asked for already".into());
        }
        self.rule.asked.push((requested.id.clone(), requested.kind));
        if requested.kind == OverrideKind::Halt && self.rule.halt.is_none() {
            self.rule.halt = Some(Halt {
                id: requested.id.clone(),
                by: requested.by.clone(),
                reason: requested.reason.clone(),
                at,
                effective: false,
            });
        }
        Ok(())
    }

    pub(super) fn override_effective(&mut self, effective: &OverrideEffective) -> Applied {
        let before = self.rule.asked.len();
        let is_it = |(id, kind): &(RequestId, OverrideKind)| *id == effective.id && *kind == effective.kind;
        self.rule.asked.retain(|asked| !is_it(asked));
        if self.rule.asked.len() == before {
            return Err("it was not asked for".into());
        }
        if let Some(halt) = &mut self.rule.halt
            && effective.kind == OverrideKind::Halt
        {
            halt.effective = true;
        }
        Ok(())
    }

    pub(super) fn override_lifted(&mut self, _: &OverrideLifted) -> Applied {
        match self.rule.halt.take() {
            Some(_) => {
                self.rule.asked.retain(|(_, kind)| *kind != OverrideKind::Halt);
                Ok(())
            }
            None => Err("no halt stands".into()),
        }
    }

    pub(super) fn approved(&mut self, approved: &Approved) -> Applied {
        let slot = self.slot(&approved.task);
        self.with_task(slot, |task| {
            task.approval = Some(Approval {
                idempotency_key: approved.idempotency_key,
                contract: approved.contract,
                by: approved.by.clone(),
                until: approved.until,
            });
        });
        Ok(())
    }

    /// The halt that stands lets no attempt go on.
    pub(super) fn not_halted(&self) -> Applied {
        match &self.rule.halt {
            Some(halt) => Err(format!("the halt by {} stands", halt.by)),
            None => Ok(()),
        }
    }

    /// The approval that stands for this task's work, if it is the one in force.
    #[must_use]
    pub fn approval(&self, task: &TaskId) -> Option<&Approval> {
        self.task(task)?.approval.as_ref()
    }
}
