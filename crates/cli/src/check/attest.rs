//! Who would sign records about resolved tasks, and whether they could. None of it stops a run.

use std::path::Path;

use machine_driver::aar::{CommandSigner, Ed25519Signer, RecordFolder, SignError, Signer};
use machine_driver_state::goal::Attest;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::store::Paths;
use serde_json::Value;

use super::{Check, doubtful, good};

/// Whether records are written, and whether they would be signed.
pub(super) fn records(file: &GoalFile) -> Vec<Check> {
    let Some(attest) = &file.goal().attest else {
        return vec![keyless(file)];
    };
    let Some(key) = &attest.key else {
        let line = "none are written: principal and subject are there, but no aar_priv";
        return vec![doubtful("records", line, Some(MAKE.into()))];
    };
    let mut lines = vec![match load(attest, key) {
        Ok(public) => good("records", signed(attest, key, &public)),
        Err(error) => {
            let word = if error.is_missing() { "SKIPPED" } else { "FAILED" };
            let line = format!("would be left unsigned (AAR sign {word}): {error}");
            doubtful("records", line, Some(error.next_step()))
        }
    }];
    lines.extend(folder(&Paths::of(file.path()).aar));
    lines
}

const MAKE: &str = "Make a key with `machine-driver aar keygen`, which says what to put into goal.json.";

/// Not an error: most runs have no key. A half that does nothing is worth a word.
fn keyless(file: &GoalFile) -> Check {
    let goal: Value = serde_json::from_str(file.source()).unwrap_or_default();
    let names = ["aar_priv", "aar_tool", "principal", "subject", "verifier"];
    let given: Vec<&str> = names
        .into_iter()
        .filter(|name| goal.get(name).is_some_and(|v| !v.is_null()))
        .collect();
    if given.is_empty() {
        return good(
            "records",
            "none are written: this goal names no key, and the log is kept all the same",
        );
    }
    let line = format!("none are written: {} alone does nothing", given.join(", "));
    let fix = "Set aar_priv, principal and subject, all three; or none of them.";
    doubtful("records", line, Some(fix.into()))
}

/// The public key, as a did.json has it.
fn load(attest: &Attest, key: &Path) -> Result<String, SignError> {
    let principal = attest.principal.clone();
    let public = match &attest.tool {
        None => Ed25519Signer::load(key, principal)?.public_key(),
        Some(tool) => CommandSigner::load(tool, key, principal)?.public_key(),
    };
    Ok(public.map(|key| key.to_base64url()).unwrap_or_default())
}

fn signed(attest: &Attest, key: &Path, public: &str) -> String {
    let by = match &attest.tool {
        None => format!("with {}; every record of the log too", key.display()),
        Some(tool) => format!(
            "by {} with {}; the log is not signed",
            tool.display(),
            key.display()
        ),
    };
    format!(
        "signed by {} {by} (public key {public}), about {}, verified by {}",
        attest.principal, attest.subject, attest.verifier
    )
}

/// Where they go, if that is there already.
fn folder(path: &Path) -> Option<Check> {
    if path.symlink_metadata().is_err() {
        return None;
    }
    let error = RecordFolder::open(path).err()?;
    let fix = format!(
        "Make {} a folder that you can write to: a run ends where no record can be kept.",
        path.display()
    );
    Some(doubtful("records", error.to_string(), Some(fix)))
}
