//! Reading who vouches for what was found: `aar_priv`, `aar_tool`, `subject`, `principal`, `verifier`.

use super::Attest;
use super::alerts::read_path;
use super::error::shown;
use super::node::Fields;
use super::read::Found;
use super::report::Report;
use crate::did::Did;

/// Both subject and principal, or nobody.
pub(super) fn read_attest(fields: &Fields<'_, '_>, found: &Found<'_>, report: &mut Report) -> Option<Attest> {
    let key = read_path(fields, "aar_priv", found, report);
    let tool = read_path(fields, "aar_tool", found, report);
    let subject = read_did(fields, "subject", report);
    let principal = read_did(fields, "principal", report);
    let given = read_did(fields, "verifier", report);
    let (subject, principal) = (subject?, principal?);
    let verifier = match given {
        Some(given) => given,
        None => Did::new(&format!("{principal}:verifier"))
            .map_err(|error| fields.node.wrong(report, format!("`principal`: {error}"), None))
            .ok()?,
    };
    if verifier == subject {
        let place = fields.present("verifier").or_else(|| fields.present("subject"))?;
        let help = "who does the work must not judge it: name another".to_owned();
        place.wrong(report, "`subject` and `verifier` are one", Some(help));
        return None;
    }
    Some(Attest {
        subject,
        principal,
        verifier,
        key,
        tool,
    })
}

pub(super) fn read_did(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> Option<Did> {
    let node = fields.optional(name)?;
    let text = node.words(report)?;
    Did::new(text)
        .map_err(|error| node.wrong(report, format!("`{}`: {error}", shown(text)), None))
        .ok()
}
