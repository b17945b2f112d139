//! Box 0 as an operator handles it: a contract is ratified or revoked by command, and a receipt counts only for those whom the
//! operator trusts.
//!
//! Whom they trust lies in a folder of DID documents, `machine-driver/trust/` in the user's configuration unless another is
//! named. A key that goal.json brings along is never trusted for that: a worker could have written it.

mod trust;

use std::path::{Path, PathBuf};

use machine_driver_aar::{Ratified as Signed, SignError, sign_receipt};
use machine_driver_governor::contract::{self, Known, Unratified, not_ratified};
use machine_driver_state::did::Did;
use machine_driver_state::event::{ContractRatified, ContractRevoked, Event, ReceiptSeen};
use machine_driver_state::goal::file::{GoalFile, Governance};
use machine_driver_state::goal::{Contract, Receipt};
use machine_driver_state::id::Digest;
use machine_driver_state::store::{Paths, StoreError};
use machine_driver_state::time::Timestamp;
use serde_json::json;

use crate::clock::{Clock, Timeline};
use crate::error::DriverError;
use crate::hold::Held;
use crate::look::look;
use crate::operator::take;

pub use trust::{foresee, receipt_seen, trust_folder};
pub(crate) use trust::{names, watched};
use trust::{reached, trusted};

/// The most characters of a name.
const NAME_CHARS: usize = 200;

/// Who ratifies, and with what.
#[derive(Debug, Clone, Default)]
pub struct Ratification {
    /// Whose name goes into `ratified_by`.
    pub by: String,
    /// Their private key (JWK), for a signed receipt.
    pub key: Option<PathBuf>,
    /// The folder of those who are trusted, in place of [`trust_folder`].
    pub trust: Option<PathBuf>,
    /// The council that ratified, in place of a person.
    pub council: Option<ByCouncil>,
}

/// What a council has ratified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByCouncil {
    /// The contract's digest that it was asked about: another contract is not what it ratified.
    pub contract: Digest,
    /// SHA-256 of the transcript.
    pub transcript: Digest,
}

/// A contract that was ratified.
#[derive(Debug, Clone)]
pub struct Ratified {
    /// goal.json as it is now.
    pub file: GoalFile,
    /// Whose key signed the receipt, where there is one.
    pub signer: Option<Did>,
    /// Whether it had been revoked.
    pub was_revoked: bool,
    /// Whether an older receipt went.
    pub receipt_removed: bool,
    /// Frozen fields that had been changed since it was last ratified, which this accepts.
    pub thawed: Vec<String>,
}

/// Ratifies the contract of the goal.json at `goal`: the names, and with a key the receipt, are written into it, and recorded
/// before. What was revoked counts again.
///
/// # Errors
/// [`DriverError::Ratification`] where the name or the key cannot ratify it; [`DriverError::Refused`] where nobody could;
/// [`DriverError`] as from a run.
pub fn ratify(
    goal: &Path,
    with: &Ratification,
    clock: impl Clock + 'static,
) -> Result<Ratified, DriverError> {
    let (mut held, timeline) = take(goal, clock)?;
    let now = timeline.now();
    let file = &held.file;
    let old = ratifiable(file, now)?.clone();
    if with.council.is_none() {
        named(&with.by)?;
    }
    may_ratify(file, &old, with)?;
    asks_for_no_more(file, &old, with.key.is_some())?;
    let receipt = sign(file, with, now)?;
    let signer = receipt.as_ref().map(|receipt| receipt.signer.clone());
    if let (Some(signer), Some(proposer)) = (&signer, &old.proposed_by)
        && contract::is_one_name(signer.as_str(), proposer)
    {
        return Err(DriverError::Ratification {
            what: format!("the key is that of {signer}, who proposed the contract"),
            help: "Have it signed with somebody else's key.".into(),
        });
    }
    let ratified = file.with_governance(&Governance {
        mode: None,
        ratified_by: Some(Some(with.by.as_str().into())),
        receipt: Some(receipt.as_ref().map(|receipt| json!(receipt))),
        revoked: Some(None),
    })?;
    is_ratified(&ratified, with.trust.as_deref(), now)?;
    held.opening(now)?;
    let thawed = held.state.thawed().to_vec();
    let was_revoked = old.revoked || held.state.revoked();
    let event = |before, after| {
        Event::ContractRatified(ContractRatified {
            before,
            after,
            contract: ratified.goal().contract_digest,
            by: with.by.clone(),
            signer: signer.as_ref().map(ToString::to_string),
            transcript: with.council.map(|council| council.transcript),
        })
    };
    record(&mut held, &timeline, &ratified, event)?;
    Ok(Ratified {
        file: held.file,
        was_revoked,
        receipt_removed: signer.is_none() && old.receipt.is_some(),
        signer,
        thawed,
    })
}

/// Whether anybody could ratify the contract of the goal.json at `goal` now, by command: asked before a council is.
///
/// # Errors
/// Those of [`ratify`], as far as they do not depend on who it is; [`StoreError::Locked`] where a driver runs.
pub fn can_be_ratified(goal: &Path, with_key: bool, now: Timestamp) -> Result<(), DriverError> {
    let seen = look(goal)?;
    if let Some(pid) = seen.driver {
        let path = Paths::of(goal).log;
        let holder = Some(pid).filter(|pid| *pid != 0);
        return Err(StoreError::Locked { path, holder }.into());
    }
    let contract = ratifiable(&seen.file, now)?;
    asks_for_no_more(&seen.file, contract, with_key)
}

/// Revokes the contract: nothing is committed under it until it is ratified again. Anybody may.
///
/// # Errors
/// [`DriverError::Ratification`] where the name or the reason says nothing; [`DriverError::Refused`] where there is no contract
/// or it is revoked already; [`DriverError`] as from a run.
pub fn revoke(
    goal: &Path,
    by: &str,
    reason: &str,
    clock: impl Clock + 'static,
) -> Result<GoalFile, DriverError> {
    let (mut held, timeline) = take(goal, clock)?;
    let file = &held.file;
    let contract = contract_of(file)?;
    named(by)?;
    if contract::is_blank(reason) {
        return Err(DriverError::Ratification {
            what: "a revocation says why".into(),
            help: "Say it with `--reason TEXT`.".into(),
        });
    }
    if contract.revoked {
        return Err(refused(
            file,
            "the contract is revoked already",
            "To let it count again, have it ratified: `machine-driver contract ratify --as WHO`.",
        ));
    }
    let at = timeline.now();
    let revoked = file.with_governance(&Governance {
        revoked: Some(Some(json!({"by": by, "at": at.to_string(), "reason": reason}))),
        ..Governance::default()
    })?;
    held.opening(at)?;
    let event = |before, after| {
        Event::ContractRevoked(ContractRevoked {
            before,
            after,
            by: by.to_owned(),
            reason: reason.to_owned(),
        })
    };
    record(&mut held, &timeline, &revoked, event)?;
    Ok(held.file)
}

/// Records a change of the goal, then makes it.
fn record(
    held: &mut Held,
    timeline: &Timeline,
    changed: &GoalFile,
    event: impl FnOnce(Digest, Digest) -> Event,
) -> Result<(), DriverError> {
    let (before, after) = (held.goal().digest, changed.goal().digest);
    held.store.save_snapshot(&changed.snapshot())?;
    held.append(timeline.now(), event(before, after))?;
    held.file = changed.clone();
    held.state.adopt(held.file.goal());
    held.checkpoint()
}

fn contract_of(file: &GoalFile) -> Result<&Contract, DriverError> {
    file.goal().contract.as_ref().ok_or_else(|| {
        refused(
            file,
            "there is no contract",
            "Write one: `\"contract\": {\"proposed_by\": WHO, \"autonomy_ceiling\": 1}`.",
        )
    })
}

/// The contract, if anybody can ratify it.
fn ratifiable(file: &GoalFile, now: Timestamp) -> Result<&Contract, DriverError> {
    let contract = contract_of(file)?;
    let proposer = contract.proposed_by.as_deref();
    if proposer.is_none_or(contract::is_blank) {
        return Err(refused(
            file,
            "nobody is named in it who proposed it (`proposed_by`)",
            "Write there who wrote the target: whoever ratifies it has to be somebody else.",
        ));
    }
    if contract.expires.is_some_and(|expires| expires <= now) {
        return Err(refused(
            file,
            "the contract has expired",
            "Set a later `expires`, then have it ratified.",
        ));
    }
    Ok(contract)
}

/// Whether names are enough, or there is a key for a receipt.
fn asks_for_no_more(file: &GoalFile, contract: &Contract, with_key: bool) -> Result<(), DriverError> {
    if contract.require_receipt && !with_key {
        return Err(refused(
            file,
            "the contract asks for a signed receipt (`require_receipt`), and no key was given",
            "Name the key of who ratifies with `--key FILE`.",
        ));
    }
    Ok(())
}

/// A name that can be told from others, on one line.
fn named(by: &str) -> Result<(), DriverError> {
    let what = if contract::is_blank(by) {
        "a blank name says nobody"
    } else if by.chars().count() > NAME_CHARS {
        "the name is too long"
    } else if by.chars().any(char::is_control) {
        "the name holds control characters"
    } else {
        return Ok(());
    };
    Err(DriverError::Ratification {
        what: what.into(),
        help: "Say who you are with `--as WHO`.".into(),
    })
}

/// Whether these may ratify this contract.
fn may_ratify(file: &GoalFile, contract: &Contract, with: &Ratification) -> Result<(), DriverError> {
    let proposer = contract.proposed_by.as_deref().unwrap_or_default();
    if contract::is_one_name(proposer, &with.by) {
        return Err(DriverError::Ratification {
            what: format!(
                "`{}` is who proposed it (`{proposer}`): nobody ratifies their own target",
                with.by
            ),
            help: "Let somebody else look at it and ratify it.".into(),
        });
    }
    match &with.council {
        None if contract::begins_with(&with.by, contract::COUNCIL) => Err(DriverError::Ratification {
            what: format!("`{}` is the name of a council, and none was asked", with.by),
            help: "Ask one: `machine-driver contract ratify --council CMD`.".into(),
        }),
        Some(council) if council.contract != file.goal().contract_digest => Err(refused(
            file,
            "the contract was changed while the council was asked about it",
            "Ask the council again.",
        )),
        _ => Ok(()),
    }
}

/// The receipt, where there is a key.
fn sign(file: &GoalFile, with: &Ratification, now: Timestamp) -> Result<Option<Receipt>, DriverError> {
    let Some(key) = &with.key else { return Ok(None) };
    let failed = |what: String, help: String| DriverError::Ratification { what, help };
    if let Some(place) = reached(file, key) {
        return Err(failed(
            format!(
                "{} lies in {}, where a worker could read it",
                key.display(),
                place.display()
            ),
            "Keep the key of who ratifies where no worker has business.".into(),
        ));
    }
    let folder = with.trust.clone().or_else(trust_folder).unwrap_or_default();
    let help = format!(
        "Put the DID document that belongs to the key into {}, or name another folder with `--trust DIR`.",
        folder.display()
    );
    let trusted = trusted(file, with.trust.as_deref()).map_err(|why| failed(why, help.clone()))?;
    let of_key = |error: SignError| {
        let step = match &error {
            SignError::Refused { .. } => help.clone(),
            other => other.next_step(),
        };
        failed(error.to_string(), step)
    };
    let signer = trusted.signer(key).map_err(of_key)?;
    let receipt = Signed {
        digest: file.goal().contract_digest,
        by: with.by.clone(),
        at: now,
        transcript_sha256: with.council.map(|council| council.transcript),
    };
    sign_receipt(receipt, &signer).map(Some).map_err(of_key)
}

/// The last word is the gate's: what it would not take for ratified is not written.
fn is_ratified(file: &GoalFile, trust: Option<&Path>, now: Timestamp) -> Result<(), DriverError> {
    let receipt = receipt_seen(file, trust);
    let known = Known {
        receipt: receipt.as_ref(),
        ..Known::default()
    };
    match not_ratified(file.goal(), known, now) {
        None => Ok(()),
        Some(why) => Err(refused(
            file,
            &format!("it would not be ratified: {}", in_full(why, receipt.as_ref())),
            "Mend that, then have it ratified.",
        )),
    }
}

/// Why a contract is not ratified, with what was found of its receipt where that is why.
#[must_use]
pub fn in_full(why: Unratified, receipt: Option<&ReceiptSeen>) -> String {
    let more = receipt.and_then(|seen| seen.why.as_deref());
    match more.filter(|_| why == Unratified::Untrusted) {
        Some(more) => format!("{}: {more}", why.why()),
        None => why.why().to_owned(),
    }
}

fn refused(file: &GoalFile, what: &str, help: &str) -> DriverError {
    DriverError::Refused {
        path: file.path().to_owned(),
        what: what.to_owned(),
        help: help.to_owned(),
    }
}
