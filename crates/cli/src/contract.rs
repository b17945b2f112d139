//! `contract`: what is to be reached, who says so, and whether that counts.

mod council;
mod show;

use std::path::Path;

use machine_driver::contract::{self, Ratification, Ratified};
use machine_driver::{Exit, SystemClock, read_goal};
use serde_json::json;

use crate::app::summary;
use crate::args::contract::{ContractCommand, RatifyArgs, RevokeArgs};
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::out::Out;
use crate::style::{self, paint};

/// Characters of a name or a text that are shown.
const TEXT_CHARS: usize = 400;

/// `contract …`
pub(crate) fn obey(command: &ContractCommand, me: &Me, out: &Out) -> Result<Exit, Failure> {
    match command {
        ContractCommand::Show(args) => show::show(&args.goal.path, args.trust.dir.as_deref(), me, out),
        ContractCommand::Digest(args) => digest(&args.path, out),
        ContractCommand::Ratify(args) => ratify(args, me, out),
        ContractCommand::Revoke(args) => revoke(args, me, out),
    }
}

/// The digest alone, for scripts.
fn digest(path: &Path, out: &Out) -> Result<Exit, Failure> {
    let file = read_goal(path)?;
    let digest = file.goal().contract_digest;
    out.say(digest);
    out.json(&summary(Exit::Done, json!({"contract": digest})));
    Ok(Exit::Done)
}

fn ratify(args: &RatifyArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let (by, council) = match &args.council {
        Some(command) => {
            let (by, council) = council::ask(args, command, me, out)?;
            (by, Some(council))
        }
        None => (args.by.clone().unwrap_or_default(), None),
    };
    let with = Ratification {
        by,
        key: args.key.clone(),
        trust: args.trust.dir.clone(),
        council,
    };
    let ratified = contract::ratify(&args.goal.path, &with, SystemClock::new())?;
    tell_ratified(&with.by, &ratified, &args.goal.path, me, out);
    Ok(Exit::Done)
}

fn tell_ratified(by: &str, ratified: &Ratified, path: &Path, me: &Me, out: &Out) {
    let goal = ratified.file.goal();
    let digest = goal.contract_digest;
    out.say(format!(
        "{} by {}: {digest}",
        paint(style::GOOD, "ratified"),
        escape::cut(by, TEXT_CHARS)
    ));
    match &ratified.signer {
        Some(signer) => out.say(format!(
            "  receipt signed with the key of {}",
            escape::cut(signer.as_str(), TEXT_CHARS)
        )),
        None => out.note(
            "  no key was given: the names alone say so, and whoever can write goal.json can write names",
        ),
    }
    if ratified.was_revoked {
        out.say("  it had been revoked, and counts again");
    }
    if ratified.receipt_removed {
        out.say("  its older receipt was removed");
    }
    if !ratified.thawed.is_empty() {
        let fields = escape::cut(&ratified.thawed.join(", "), TEXT_CHARS);
        out.say(format!("  with what was changed of its frozen fields: {fields}"));
    }
    let next = me.on("check", path);
    out.json(&summary(
        Exit::Done,
        json!({
            "contract": digest,
            "ratified_by": by,
            "signer": ratified.signer,
            "was_revoked": ratified.was_revoked,
            "receipt_removed": ratified.receipt_removed,
            "thawed": ratified.thawed,
            "next": [next],
        }),
    ));
    out.hint(&format!("`{next}`"));
}

fn revoke(args: &RevokeArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let file = contract::revoke(path, &args.by, &args.reason, SystemClock::new())?;
    out.say(format!(
        "{} by {}: nothing is committed under it until it is ratified again",
        paint(style::WARN, "revoked"),
        escape::cut(&args.by, TEXT_CHARS)
    ));
    let next = me.on("contract ratify --as WHO", path);
    let digest = file.goal().contract_digest;
    out.json(&summary(
        Exit::Done,
        json!({"contract": digest, "revoked_by": args.by, "reason": args.reason, "next": [next]}),
    ));
    out.hint(&format!("to let it count again: `{next}`"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
