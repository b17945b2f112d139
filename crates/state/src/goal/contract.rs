//! Reading `contract` and `budget`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attest::read_did;
use super::error::shown;
use super::keys;
use super::node::{Fields, Node, WHOLE_MAX};
use super::report::{Report, nearest};
use super::{Budget, Contract, Receipt};
use crate::glob::PathGlob;
use crate::id::Digest;
use crate::time::Timestamp;

/// What stands before a glob in `immutable`, where names of fields stand too.
const PATH: &str = "path:";

/// Reads box 0. What is for people alone is checked and left in the file.
pub(super) fn read_contract(node: Node<'_, '_>, report: &mut Report) -> Option<Contract> {
    let fields = node.fields(&keys::CONTRACT, report)?;
    for name in [
        "definition_of_done",
        "constraints",
        "owner",
        "verification_requirements",
    ] {
        check_prose(&fields, name, report);
    }
    if let Some(tests) = fields.optional("acceptance_tests") {
        check_texts(&tests, report);
    }
    let (frozen, immutable) = fields
        .optional("immutable")
        .map(|immutable| read_immutable(&immutable, report))
        .unwrap_or_default();
    let ceiling = fields
        .optional("autonomy_ceiling")
        .and_then(|node| node.whole(0..=5, report));
    Some(Contract {
        autonomy_ceiling: ceiling.and_then(|ceiling| u8::try_from(ceiling).ok()),
        irreversible_min_trust: fields
            .optional("irreversible_min_trust")
            .and_then(|node| node.whole(1..=WHOLE_MAX, report)),
        proposed_by: text(&fields, "proposed_by", report),
        ratified_by: text(&fields, "ratified_by", report),
        expires: fields.optional("expires").and_then(|node| node.moment(report)),
        revoked: fields
            .optional("revoked")
            .is_some_and(|node| read_revoked(node, report).is_some()),
        scope: read_scope(&fields, report),
        immutable,
        frozen,
        fields: digests(&fields),
        require_receipt: fields
            .optional("require_receipt")
            .is_some_and(|node| node.flag(report) == Some(true)),
        receipt: fields
            .optional("receipt")
            .and_then(|node| read_receipt(node, report)),
    })
}

/// What ratifying itself writes is left out.
fn digests(fields: &Fields<'_, '_>) -> BTreeMap<String, Digest> {
    let keys = keys::CONTRACT.keys.iter().filter(|key| !key.is_beside_contract);
    keys.map(|key| key.name)
        .filter_map(|name| Some((name.to_owned(), fields.present(name)?.digest()?)))
        .collect()
}

/// Reads the governor's limits. A limit of 0 is refused: the original read it as "no limit".
pub(super) fn read_budget(node: Node<'_, '_>, report: &mut Report) -> Option<Budget> {
    let fields = node.fields(&keys::BUDGET, report)?;
    let mut count = |name| fields.optional(name).and_then(|node| read_limit(&node, report));
    let (worker_runs_max, tokens_max, output_bytes_max) = (
        count("max_worker_runs"),
        count("max_tokens"),
        count("max_output_bytes"),
    );
    Some(Budget {
        worker_runs_max,
        wall_max: fields.optional("max_wall_seconds").and_then(|node| {
            not_nothing(&node, report)?;
            node.seconds(Duration::from_millis(1), report)
        }),
        tokens_max,
        usd_micros_max: fields
            .optional("max_usd")
            .and_then(|node| read_micros(&node, report)),
        output_bytes_max,
    })
}

fn read_limit(node: &Node<'_, '_>, report: &mut Report) -> Option<u64> {
    not_nothing(node, report)?;
    node.whole(1..=WHOLE_MAX, report)
}

fn read_micros(node: &Node<'_, '_>, report: &mut Report) -> Option<u64> {
    /// A thousand million dollars: far below 2^53 micros, far above any budget.
    const USD_MAX: f64 = 1e9;
    let usd = not_nothing(node, report)?;
    // In the range that is checked here.
    let micros = (0.0..=USD_MAX)
        .contains(&usd)
        .then(|| (usd * 1e6).round() as u64)
        .filter(|micros| *micros > 0);
    if micros.is_none() {
        let message = format!("expected US dollars, at least 0.000001 and at most 1000000000, found {usd}");
        node.wrong(report, message, None);
    }
    micros
}

fn not_nothing(node: &Node<'_, '_>, report: &mut Report) -> Option<f64> {
    let number = node.number(report)?;
    if number == 0.0 {
        let help = "remove the key for no limit".to_owned();
        node.wrong(report, "a limit of 0 must not mean \"no limit\"", Some(help));
        return None;
    }
    Some(number)
}

fn read_revoked(node: Node<'_, '_>, report: &mut Report) -> Option<(String, Timestamp)> {
    let fields = node.fields(&keys::REVOKED, report)?;
    text(&fields, "reason", report);
    let by = fields.required("by", report).and_then(|node| node.words(report));
    let at = fields.required("at", report).and_then(|node| node.moment(report));
    Some((by?.to_owned(), at?))
}

fn text(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> Option<String> {
    fields.optional(name)?.text(report).map(str::to_owned)
}

/// A text or a list of them.
fn check_prose(fields: &Fields<'_, '_>, name: &str, report: &mut Report) {
    match fields.optional(name) {
        Some(node) if node.is_list() => check_texts(&node, report),
        Some(node) => {
            node.text(report);
        }
        None => {}
    }
}

fn check_texts(node: &Node<'_, '_>, report: &mut Report) {
    for item in node.items(report).into_iter().flatten() {
        item.text(report);
    }
}

/// Names of fields, and globs behind `path:`.
fn read_immutable(node: &Node<'_, '_>, report: &mut Report) -> (Vec<String>, Vec<PathGlob>) {
    let (mut frozen, mut paths) = (Vec::new(), Vec::new());
    for item in node.items(report).into_iter().flatten() {
        let Some(entry) = item.text(report) else { continue };
        if let Some(path) = entry.strip_prefix(PATH) {
            paths.extend(read_glob(&item, path, report));
        } else if keys::CONTRACT.key(entry).is_some() {
            frozen.push(entry.to_owned());
        } else {
            let help = nearest(entry, keys::CONTRACT.keys.iter().map(|key| key.name));
            let help = match help {
                Some(name) => format!("did you mean `{name}`? Files are written `path:GLOB`"),
                None => "files are written `path:GLOB`".to_owned(),
            };
            let message = format!("`{}` is no field of the contract", shown(entry));
            item.wrong(report, message, Some(help));
        }
    }
    (frozen, paths)
}

/// Globs behind `path:` alone: a task has no fields of the contract.
pub(super) fn read_path_rules(fields: &Fields<'_, '_>, report: &mut Report) -> Vec<PathGlob> {
    let Some(node) = fields.optional("immutable") else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for item in node.items(report).into_iter().flatten() {
        let Some(entry) = item.text(report) else { continue };
        match entry.strip_prefix(PATH) {
            Some(path) => paths.extend(read_glob(&item, path, report)),
            None => {
                let message = format!("expected `path:GLOB`, found `{}`", shown(entry));
                let help = "a task can only add files to what the contract freezes".to_owned();
                item.wrong(report, message, Some(help));
            }
        }
    }
    paths
}

/// The only paths that may be changed; none where that is not limited.
pub(super) fn read_scope(fields: &Fields<'_, '_>, report: &mut Report) -> Option<Vec<PathGlob>> {
    let mut globs = Vec::new();
    for item in fields.optional("scope")?.items(report)? {
        let Some(entry) = item.text(report) else { continue };
        if entry.starts_with(PATH) {
            let help = format!("write `{}`", shown(entry.trim_start_matches(PATH)));
            item.wrong(report, "a scope is made of globs, without `path:`", Some(help));
            continue;
        }
        globs.extend(read_glob(&item, entry, report));
    }
    Some(globs)
}

fn read_glob(node: &Node<'_, '_>, text: &str, report: &mut Report) -> Option<PathGlob> {
    PathGlob::new(text)
        .map_err(|error| node.wrong(report, format!("`{}` is no glob: {error}", shown(text)), None))
        .ok()
}

fn read_receipt(node: Node<'_, '_>, report: &mut Report) -> Option<Receipt> {
    let fields = node.fields(&keys::RECEIPT, report)?;
    let required = |name, report: &mut Report| fields.required(name, report);
    required("kind", report).and_then(|node| node.word(&[Receipt::KIND], report));
    let by = required("by", report).and_then(|node| node.words(report));
    let at = required("at", report).and_then(|node| node.moment(report));
    let digest = required("digest", report).and_then(|node| read_digest(&node, report));
    let transcript = fields
        .optional("transcript_sha256")
        .and_then(|node| read_digest(&node, report));
    let signature = required("signature", report).and_then(|node| node.words(report));
    required("signer", report);
    Some(Receipt {
        kind: Receipt::KIND,
        digest: digest?,
        by: by?.to_owned(),
        at: at?,
        signer: read_did(&fields, "signer", report)?,
        transcript_sha256: transcript,
        signature: signature?.to_owned(),
    })
}

fn read_digest(node: &Node<'_, '_>, report: &mut Report) -> Option<Digest> {
    let text = node.text(report)?;
    let digest = Digest::new(text);
    if digest.is_err() {
        node.wrong(report, "expected 64 lower-case hex digits", None);
    }
    digest.ok()
}
