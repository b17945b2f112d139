//! `aar verify`: records checked offline.

use machine_driver::Exit;
use machine_driver::aar::Verifier;
use serde_json::json;

use super::found::{Asked, Found};
use super::input::{self, Input};
use super::proof::LogProof;
use super::shown;
use super::tell::tell;
use crate::app::summary;
use crate::args::VerifyArgs;
use crate::error::Failure;
use crate::out::Out;

/// `aar verify`
pub(crate) fn verify(args: &VerifyArgs, out: &Out) -> Result<Exit, Failure> {
    if args.dids.is_empty() {
        return Err(Failure::Usage {
            what: "nobody's keys are known: neither --did-json nor --did-dir is given".into(),
            help: "Name the signer's DID document, got from where the signer publishes it: `--did-json did.json`.".into(),
        });
    }
    let documents = input::documents(&args.dids, out)?;
    if let Some(dir) = args.evidence.as_deref().filter(|dir| !dir.is_dir()) {
        return Err(Failure::Usage {
            what: format!("{} is not a folder", dir.display()),
            help: "Name the folder with the evidence of all tasks: `--evidence evidence`.".into(),
        });
    }
    let log = args
        .log
        .as_deref()
        .map(|log| LogProof::read(log, &documents))
        .transpose()?;
    let asked = Asked {
        require: args.require.map(Into::into),
        evidence: args.evidence.as_deref(),
        heads: args.head.clone(),
        log,
    };
    let input = Input::read(&args.paths)?;
    if let (Some(path), Some(log)) = (&args.log, &asked.log)
        && log.torn > 0
    {
        let (path, torn) = (shown(&path.to_string_lossy()), log.torn);
        out.warn(format!(
            "{path}: the last line is torn ({torn} bytes) and was not looked at"
        ));
    }
    let found = Found::of(input, &Verifier::new(documents), &asked);
    tell(&found, asked.log.as_ref(), out);
    let exit = found.exit();
    out.json(&summary(
        exit,
        json!({
            "conformance": found.conformance(),
            "required": asked.require,
            "records": found.records.len() + found.unread.len(),
            "faults": found.wrong.len(),
            "end_proven": found.end_proven(),
        }),
    ));
    Ok(exit)
}
