//! Box 5, the gate: whether verified work may be committed.

use machine_driver_state::change::{Change, ObjectId};
use machine_driver_state::event::{AttemptRef, DenialCode, Event, GateDenied, GateEscalated};
use machine_driver_state::goal::{Goal, Mode, Task};
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::state::{Approval, Phase, State};
use machine_driver_state::time::Timestamp;

use crate::audit::Rules;
use crate::{budget, contract};

/// Leave to make one commit: of this tree, for this task, under this contract.
///
/// Only [`decide`] makes one, and a [`Committer`](crate::Committer) consumes it:
/// ```compile_fail
/// let permit = machine_driver_governor::Permit { .. };
/// ```
#[derive(Debug)]
#[must_use]
pub struct Permit {
    task: TaskId,
    tree: ObjectId,
    contract: Digest,
    needs: u64,
    approved_by: Option<String>,
    rollback: Option<ObjectId>,
}

/// What clears an action.
struct Cleared {
    needs: u64,
    approved_by: Option<String>,
}

impl Permit {
    /// The task.
    #[must_use]
    pub const fn task(&self) -> &TaskId {
        &self.task
    }

    /// The tree that may be committed.
    #[must_use]
    pub const fn tree(&self) -> &ObjectId {
        &self.tree
    }

    /// The contract that allows it.
    #[must_use]
    pub const fn contract(&self) -> Digest {
        self.contract
    }

    /// The autonomy that the commit needs: 1 where it can be undone.
    #[must_use]
    pub const fn needs(&self) -> u64 {
        self.needs
    }

    /// Who approved it, where the contract's ceiling did not clear it.
    #[must_use]
    pub fn approved_by(&self) -> Option<&str> {
        self.approved_by.as_deref()
    }

    /// The commit to go back to in order to undo it.
    #[must_use]
    pub const fn rollback(&self) -> Option<&ObjectId> {
        self.rollback.as_ref()
    }

    /// Whether it is for this order.
    #[must_use]
    pub fn covers(&self, order: &crate::CommitOrder) -> bool {
        self.task == order.task && self.tree == order.change.tree && self.contract == order.contract
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// In one word.
    pub code: DenialCode,
    /// For people, as a clause.
    pub reason: String,
}

impl Denial {
    fn new(code: DenialCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }

    /// Whether a person could allow it where the contract does not by itself.
    #[must_use]
    pub const fn is_for_a_person(&self) -> bool {
        matches!(self.code, DenialCode::Irreversible)
    }

    /// The record that says so about an attempt; `at_mutation` where it had been allowed first.
    #[must_use]
    pub fn event(self, attempt: AttemptRef, at_mutation: bool) -> Event {
        let is_for_a_person = self.is_for_a_person();
        let Self { code, reason } = self;
        if is_for_a_person {
            Event::GateEscalated(
                attempt,
                GateEscalated {
                    code,
                    reason,
                    at_mutation,
                },
            )
        } else {
            Event::GateDenied(
                attempt,
                GateDenied {
                    code,
                    reason,
                    at_mutation,
                },
            )
        }
    }
}

/// Whether the change that was verified in the attempt under way, at the task with this place in `goal`, may be committed
/// at `now`.
///
/// Asked twice: when it was verified, and again where the commit is made, on what is on disk then.
///
/// # Errors
/// [`Denial`] with the first reason, in the order of the specification: no override, nothing tampered with, a commit asked
/// for, a verifier, its pass for this very attempt and tree, the ceiling or a person's approval, the budget, the audit of the
/// change, and last the contract.
pub fn decide(goal: &Goal, state: &State, index: usize, now: Timestamp) -> Result<Permit, Denial> {
    let task = goal.tasks.get(index);
    let task = task.ok_or_else(|| Denial::new(DenialCode::NotVerified, "there is no such task"))?;
    is_not_overridden(state)?;
    is_asked_for(goal, state, task)?;
    let change = verified(state, index)?;
    is_its_own(state, task, change)?;
    let cleared = is_cleared(goal, state, task, change.parent.is_some(), now)?;
    is_paid_for(goal, state, now)?;
    is_audited(goal, state, index, change)?;
    is_ratified(goal, state, now)?;
    Ok(Permit {
        task: task.id.clone(),
        tree: change.tree.clone(),
        contract: goal.contract_digest,
        needs: cleared.needs,
        approved_by: cleared.approved_by,
        rollback: change.parent.clone(),
    })
}

/// Whether a commit of the task with this place could be allowed at `now`, if it were verified: what the gate will ask
/// besides the work itself.
///
/// # Errors
/// [`Denial`] with the first reason against it.
pub fn foresee(goal: &Goal, state: &State, index: usize, now: Timestamp) -> Result<(), Denial> {
    let task = goal.tasks.get(index);
    let task = task.ok_or_else(|| Denial::new(DenialCode::NotVerified, "there is no such task"))?;
    is_not_overridden(state)?;
    is_asked_for(goal, state, task)?;
    is_not_held_back(state, task)?;
    is_cleared(goal, state, task, true, now)?;
    is_paid_for(goal, state, now)?;
    is_ratified(goal, state, now)
}

/// Whether any task of `goal` could be committed at `now`, whoever approves of what: then there has to be something that
/// commits. A receipt is taken to hold, since whose it is was not looked at yet.
#[must_use]
pub fn could_commit(goal: &Goal, now: Timestamp) -> bool {
    let fresh = State::new();
    let known = contract::Known::default();
    let unratified = contract::not_ratified(goal, known, now);
    let is_cleared = |task: &Task| {
        is_asked_for(goal, &fresh, task).is_ok() && is_cleared(goal, &fresh, task, true, now).is_ok()
    };
    matches!(unratified, None | Some(contract::Unratified::Untrusted))
        && is_paid_for(goal, &fresh, now).is_ok()
        && goal.tasks.iter().any(is_cleared)
}

fn is_not_overridden(state: &State) -> Result<(), Denial> {
    match state.halt() {
        Some(halt) => {
            let reason = format!("{} halts the run: {}", halt.by, halt.reason);
            Err(Denial::new(DenialCode::Overridden, reason))
        }
        None => Ok(()),
    }
}

fn is_asked_for(goal: &Goal, state: &State, task: &Task) -> Result<(), Denial> {
    if state.tampered() {
        let reason = "something was changed behind the driver's back, and nobody has looked since";
        return Err(Denial::new(DenialCode::Tampered, reason));
    }
    if goal.mode != Mode::Commit {
        return Err(Denial::new(DenialCode::NotAsked, "the mode is propose"));
    }
    if task.verify_cmd.is_none() && goal.verify_cmd.is_none() {
        let reason = "there is no verify_cmd, so nothing can be trusted";
        return Err(Denial::new(DenialCode::NoVerifier, reason));
    }
    Ok(())
}

/// The change that a verifier passed in this very attempt.
fn verified(state: &State, index: usize) -> Result<&Change, Denial> {
    let current = state.current().filter(|_| state.current_index() == Some(index));
    let current = current.filter(|current| !current.left_behind() && !current.cut_off);
    let not_verified = || Denial::new(DenialCode::NotVerified, "it was not verified in this attempt");
    match &current.ok_or_else(not_verified)?.phase {
        Phase::Passed {
            change: None,
            no_change,
        } => {
            let why = no_change
                .as_deref()
                .unwrap_or("the change was not read from a git repository");
            Err(Denial::new(DenialCode::NoTree, why))
        }
        phase => phase.change().ok_or_else(not_verified),
    }
}

/// Whether the change is this task's own, on top of what this run knows.
fn is_its_own(state: &State, task: &Task, change: &Change) -> Result<(), Denial> {
    let short = |id: &Option<ObjectId>| id.as_ref().map_or("no commit", ObjectId::short).to_owned();
    match state.repo_head() {
        Some(head) if *head == change.parent => match state.repo_reference() {
            Some(began) if *began != change.reference => {
                let is = &change.reference;
                let reason = format!("HEAD is on {is}, but this run began on {began}: somebody switched");
                Err(Denial::new(DenialCode::HeadMoved, reason))
            }
            _ => is_not_held_back(state, task),
        },
        Some(head) => {
            let (is, was) = (short(&change.parent), short(head));
            let reason = format!("HEAD is at {is}, but this run left it at {was}: somebody else committed");
            Err(Denial::new(DenialCode::HeadMoved, reason))
        }
        None => {
            let reason = "where HEAD stood when the run began is not known";
            Err(Denial::new(DenialCode::HeadMoved, reason))
        }
    }
}

fn is_not_held_back(state: &State, task: &Task) -> Result<(), Denial> {
    match state.held_back().filter(|held| **held != task.id) {
        Some(held) => {
            let reason = format!(
                "`{held}` was left for review, and the tree is not clean since: commit or discard what is there, \
                 and start again"
            );
            Err(Denial::new(DenialCode::HeldBack, reason))
        }
        None => Ok(()),
    }
}

/// The autonomy that the action needs, where the contract's ceiling clears it. What cannot be rolled back is not
/// reversible, whatever the operator says.
fn is_cleared(
    goal: &Goal,
    state: &State,
    task: &Task,
    can_roll_back: bool,
    now: Timestamp,
) -> Result<Cleared, Denial> {
    let by_contract = |needs| Cleared {
        needs,
        approved_by: None,
    };
    let contract = goal.contract.as_ref();
    let ceiling = contract
        .and_then(|contract| contract.autonomy_ceiling)
        .unwrap_or(0);
    let floor = contract.and_then(|contract| contract.irreversible_min_trust);
    if ceiling == 0 {
        let reason = match contract {
            None => "there is no contract, so nothing may be committed",
            Some(_) => "the contract's autonomy_ceiling is 0: propose only",
        };
        return Err(Denial::new(DenialCode::Ceiling, reason));
    }
    if task.reversible && can_roll_back {
        return Ok(by_contract(1));
    }
    if let Some(floor) = floor.filter(|floor| u64::from(ceiling) >= *floor) {
        return Ok(by_contract(floor.max(1)));
    }
    if let Some(approval) = approval(goal, state, task, now) {
        return Ok(Cleared {
            needs: floor.unwrap_or(1).max(1),
            approved_by: Some(approval.by.clone()),
        });
    }
    let what = if task.reversible {
        "there is no commit to go back to, so it cannot be undone"
    } else {
        "the task is not marked reversible"
    };
    let reason = match floor {
        None => {
            format!("{what}, the contract has no irreversible_min_trust, and no approval of a person stands")
        }
        Some(floor) => format!(
            "{what}: that needs an autonomy_ceiling of {floor}, and it is {ceiling}, and no approval of a person stands"
        ),
    };
    Err(Denial::new(DenialCode::Irreversible, reason))
}

/// A person's leave for this very work under this very contract, while it lasts.
fn approval<'s>(goal: &Goal, state: &'s State, task: &Task, now: Timestamp) -> Option<&'s Approval> {
    let approval = state.approval(&task.id)?;
    let is_for_this =
        approval.idempotency_key == task.idempotency_key && approval.contract == goal.contract_digest;
    (is_for_this && now < approval.until).then_some(approval)
}

fn is_paid_for(goal: &Goal, state: &State, now: Timestamp) -> Result<(), Denial> {
    match budget::exceeded(&goal.budget, state, now) {
        Some(halt) => Err(Denial::new(DenialCode::Budget, halt.reason)),
        None => Ok(()),
    }
}

/// Whether the rules about paths, as they are now, were asked about the tree that is to be committed, and hold.
fn is_audited(goal: &Goal, state: &State, index: usize, change: &Change) -> Result<(), Denial> {
    let rules = Rules::of(goal, index);
    if rules.is_empty() {
        return Ok(());
    }
    let verdict = state.current().and_then(|current| current.verdict.as_ref());
    let reason = match verdict.and_then(|verdict| verdict.audit.as_ref()) {
        None => "the change was not audited by the rules about paths",
        Some(audit) if audit.rules != rules.digest() => {
            "the rules about paths are others than those that it was audited by"
        }
        Some(audit) if audit.survey.tree.as_ref() != Some(&change.tree) => {
            "the tree that was audited is another"
        }
        Some(audit) if !audit.holds() => "the change breaks a rule about paths",
        Some(_) => return Ok(()),
    };
    Err(Denial::new(DenialCode::NotAudited, reason))
}

/// Box 0.
fn is_ratified(goal: &Goal, state: &State, now: Timestamp) -> Result<(), Denial> {
    match contract::not_ratified(goal, contract::Known::of(state), now) {
        None => Ok(()),
        Some(unratified) => Err(Denial::new(
            unratified.code(),
            format!("the contract is not ratified: {}", unratified.why()),
        )),
    }
}
