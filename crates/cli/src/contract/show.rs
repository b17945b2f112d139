//! `contract show`

use std::path::Path;

use machine_driver::contract::{foresee, in_full};
use machine_driver::look::{Look, look};
use machine_driver::{Clock as _, Exit, SystemClock};
use machine_driver_governor::contract::{Known, not_ratified};
use machine_driver_state::event::ReceiptSeen;
use machine_driver_state::goal::{Contract, Receipt};
use machine_driver_state::time::Timestamp;
use serde_json::{Value, json};

use super::TEXT_CHARS;
use crate::app::summary;
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::out::Out;
use crate::style::{self, paint};
use crate::when;

/// Columns of the names on the left.
const NAME_WIDTH: usize = 12;

/// What is written for people, and shown as it stands.
const PROSE: [&str; 5] = [
    "definition_of_done",
    "constraints",
    "owner",
    "verification_requirements",
    "acceptance_tests",
];

/// `contract show`
pub(super) fn show(path: &Path, trust: Option<&Path>, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let mut seen = look(path)?;
    foresee(&mut seen, trust);
    let now = SystemClock::new().now();
    let goal = seen.file.goal();
    let known = Known::of(&seen.state);
    let why_not = not_ratified(goal, known, now).map(|why| in_full(why, known.receipt));
    for line in lines(&seen, why_not.as_deref(), now) {
        out.say(line);
    }
    let next = match (&goal.contract, &why_not) {
        (None, _) => None,
        (Some(_), Some(_)) => Some(me.on("contract ratify --as WHO", path)),
        (Some(_), None) => Some(me.on("check", path)),
    };
    out.json(&contract_json(&seen, why_not.as_deref(), known.receipt));
    let next: Vec<String> = next.into_iter().collect();
    out.json(&summary(
        Exit::Done,
        json!({"ratified": why_not.is_none(), "contract": goal.contract_digest, "next": next}),
    ));
    next.iter().for_each(|step| out.hint(&format!("`{step}`")));
    Ok(Exit::Done)
}

fn line(name: &str, value: &str) -> String {
    format!("{} {value}", paint(style::FAINT, format!("{name:<NAME_WIDTH$}")))
}

fn lines(seen: &Look, why_not: Option<&str>, now: Timestamp) -> Vec<String> {
    let goal = seen.file.goal();
    let verdict = match why_not {
        None => paint(style::GOOD, "ratified"),
        Some(why) => format!(
            "{}: {}",
            paint(style::WARN, "not ratified"),
            escape::cut(why, TEXT_CHARS)
        ),
    };
    let mut lines = vec![
        line("contract", &verdict),
        line("digest", &goal.contract_digest.to_string()),
    ];
    let Some(contract) = &goal.contract else {
        return lines;
    };
    let name = |name: &Option<String>| {
        let name = name.as_deref().map(|name| escape::cut(name, TEXT_CHARS));
        name.unwrap_or_else(|| "nobody".into())
    };
    lines.push(line("proposed by", &name(&contract.proposed_by)));
    lines.push(line("ratified by", &name(&contract.ratified_by)));
    if let Some(expires) = contract.expires {
        let word = if expires <= now { "expired" } else { "expires" };
        lines.push(line(word, &when::moment(expires)));
    }
    lines.extend(revoked(&seen.file).iter().map(|text| line("revoked", text)));
    lines.push(line("receipt", &receipt_line(contract, seen.state.receipt())));
    lines.extend(limits(contract));
    let thawed = seen.state.thawed();
    if !thawed.is_empty() {
        lines.push(line("changed", &escape::cut(&thawed.join(", "), TEXT_CHARS)));
    }
    lines.extend(prose(&seen.file));
    lines
}

/// Who revoked it, when and why, as goal.json says.
fn revoked(file: &machine_driver_state::goal::file::GoalFile) -> Option<String> {
    let contract = contract_of(file)?;
    let revoked = contract.get("revoked").filter(|revoked| revoked.is_object())?;
    let text = |name: &str| {
        let text = revoked.get(name).and_then(Value::as_str);
        escape::cut(text.unwrap_or("-"), TEXT_CHARS)
    };
    Some(format!("by {}, {}: {}", text("by"), text("at"), text("reason")))
}

fn receipt_line(contract: &Contract, seen: Option<&ReceiptSeen>) -> String {
    let asked = if contract.require_receipt {
        "; it asks for one"
    } else {
        ""
    };
    let Some(receipt) = &contract.receipt else {
        return format!("none{asked}");
    };
    let found = match seen {
        Some(ReceiptSeen { why: None, .. }) => paint(style::GOOD, "the signature holds"),
        Some(ReceiptSeen { why: Some(why), .. }) => {
            format!(
                "{}: {}",
                paint(style::WARN, "does not count"),
                escape::cut(why, TEXT_CHARS)
            )
        }
        None => paint(style::WARN, "not looked at"),
    };
    format!(
        "by {}, signed by {}, {}: {found}",
        escape::cut(&receipt.by, TEXT_CHARS),
        escape::cut(receipt.signer.as_str(), TEXT_CHARS),
        when::moment(receipt.at)
    )
}

/// What it allows and forbids.
fn limits(contract: &Contract) -> Vec<String> {
    let ceiling = match contract.autonomy_ceiling {
        Some(0) => "0 (propose only)".to_owned(),
        Some(ceiling) => ceiling.to_string(),
        None => "none: propose only".to_owned(),
    };
    let floor = contract.irreversible_min_trust.map_or_else(
        || "none is enough".to_owned(),
        |floor| format!("{floor} is enough"),
    );
    let mut lines = vec![line(
        "ceiling",
        &format!("{ceiling}; for what cannot be undone: {floor}"),
    )];
    let globs = |globs: &[machine_driver_state::glob::PathGlob]| {
        let texts: Vec<String> = globs
            .iter()
            .map(|glob| escape::cut(&glob.to_string(), TEXT_CHARS))
            .collect();
        texts.join(", ")
    };
    if let Some(scope) = &contract.scope {
        let scope = if scope.is_empty() {
            "nothing".to_owned()
        } else {
            globs(scope)
        };
        lines.push(line("scope", &format!("a worker may change only {scope}")));
    }
    if !contract.immutable.is_empty() {
        let text = format!("a worker may not change {}", globs(&contract.immutable));
        lines.push(line("immutable", &text));
    }
    if !contract.frozen.is_empty() {
        let fields = escape::cut(&contract.frozen.join(", "), TEXT_CHARS);
        lines.push(line("frozen", &fields));
    }
    lines
}

/// What is written for people.
fn prose(file: &machine_driver_state::goal::file::GoalFile) -> Vec<String> {
    let Some(contract) = contract_of(file) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for name in PROSE {
        let texts: Vec<&Value> = match contract.get(name) {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Null) | None => continue,
            Some(text) => vec![text],
        };
        lines.push(paint(style::FAINT, name));
        let text = |text: &Value| format!("  {}", escape::cut(text.as_str().unwrap_or_default(), TEXT_CHARS));
        lines.extend(texts.into_iter().map(text));
    }
    lines
}

fn contract_of(file: &machine_driver_state::goal::file::GoalFile) -> Option<Value> {
    let goal: Value = serde_json::from_slice(&file.snapshot()).ok()?;
    goal.get("contract").cloned()
}

fn contract_json(seen: &Look, why_not: Option<&str>, receipt: Option<&ReceiptSeen>) -> Value {
    let goal = seen.file.goal();
    let contract = goal.contract.as_ref();
    let found = |found: &Receipt| {
        json!({"receipt": found, "counts": receipt.is_some_and(|seen| seen.why.is_none()),
               "why_not": receipt.and_then(|seen| seen.why.as_deref())})
    };
    json!({
        "type": "contract",
        "goal": goal.name,
        "ratified": why_not.is_none(),
        "why_not": why_not,
        "digest": goal.contract_digest,
        "proposed_by": contract.and_then(|contract| contract.proposed_by.as_deref()),
        "ratified_by": contract.and_then(|contract| contract.ratified_by.as_deref()),
        "expires": contract.and_then(|contract| contract.expires).map(|at| at.to_string()),
        "revoked": contract.is_some_and(|contract| contract.revoked),
        "require_receipt": contract.is_some_and(|contract| contract.require_receipt),
        "receipt": contract.and_then(|contract| contract.receipt.as_ref()).map(found),
        "thawed": seen.state.thawed(),
        "text": contract_of(&seen.file),
    })
}
