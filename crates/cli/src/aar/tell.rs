//! What a verification found, for people and for programs.

use machine_driver::aar::{Chain, CheckOutcome, End, EvidenceReport, Finding};
use serde_json::{Value, json};

use super::found::{Found, One};
use super::proof::LogProof;
use super::shown;
use crate::narrate::counted;
use crate::out::Out;
use crate::style::{self, paint};

/// The code of a file that could not be read at all, beside the library's reasons.
pub(crate) const UNREADABLE: &str = "unreadable";

/// Tells everything but the summary line of `--json`.
pub(crate) fn tell(found: &Found, log: Option<&LogProof>, out: &Out) {
    match found.records.as_slice() {
        [one] => in_full(one, out),
        all => all.iter().for_each(|one| in_a_line(one, out)),
    }
    found.records.iter().for_each(|one| out.json(&record_json(one)));
    for (name, why) in &found.unread {
        out.say(format!(
            "{}      {}  {UNREADABLE}: {}",
            bad(),
            shown(name),
            shown(why)
        ));
        out.json(&json!({"type": "record", "file": name, "level": null, "reason": UNREADABLE, "text": why}));
    }
    if found.records.is_empty() && found.unread.is_empty() {
        out.say(format!("{}  there is no record", bad()));
    }
    for wrong in &found.wrong {
        out.say(format!(
            "{}  L3  chain  {}: {}",
            bad(),
            wrong.code,
            shown(&wrong.text)
        ));
        out.json(&json!({"type": "fault", "reason": wrong.code, "files": wrong.files, "text": wrong.text}));
    }
    of_evidence(found, out);
    found
        .chains
        .iter()
        .for_each(|chain| of_chain(chain, found, log, out));
    conclude(found, out);
}

fn bad() -> String {
    paint(style::BAD, "FAIL")
}

/// A line for each check.
fn in_full(one: &One, out: &Out) {
    out.say(paint(style::STRONG, shown(&one.name)));
    one.report
        .findings
        .iter()
        .chain(evidence(one))
        .for_each(|finding| out.say(line(finding)));
}

fn evidence(one: &One) -> impl Iterator<Item = &Finding> {
    one.evidence.iter().flat_map(|evidence| &evidence.findings)
}

/// `ok    L0  signature     the Ed25519 signature holds`
fn line(finding: &Finding) -> String {
    let mark = match finding.outcome {
        CheckOutcome::Pass => paint(style::GOOD, "ok  "),
        CheckOutcome::Fail => bad(),
        CheckOutcome::Note => paint(style::WARN, "note"),
        _ => paint(style::FAINT, "--  "),
    };
    format!(
        "{mark}  {}  {:<12}  {}",
        finding.level,
        finding.step,
        reason(finding)
    )
}

/// `signature-invalid: the signature does not hold`
fn reason(finding: &Finding) -> String {
    let code = finding.code.map(|code| format!("{code}: ")).unwrap_or_default();
    format!("{code}{}", shown(&finding.text))
}

/// One of several: its level, and only what is wrong or odd.
fn in_a_line(one: &One, out: &Out) {
    let name = shown(&one.name);
    let verdict = one
        .report
        .record
        .as_ref()
        .and_then(|record| record.text(&["verdict"]));
    let verdict = shown(verdict.unwrap_or_default());
    match (one.failure(), one.report.level) {
        (Some(failure), _) => out.say(format!(
            "{}      {name}  {}: {}",
            bad(),
            failure.step,
            reason(failure)
        )),
        (None, Some(level)) => out.say(format!(
            "{}  {level}  {name}  {verdict}",
            paint(style::GOOD, "ok  ")
        )),
        (None, None) => out.say(format!("{}      {name}", bad())),
    }
    let is_odd = |finding: &&Finding| {
        let code = finding.code.map(machine_driver::aar::Reason::as_str);
        finding.outcome == CheckOutcome::Note && code != Some("same-principal")
    };
    let findings = one.report.findings.iter().chain(evidence(one));
    findings
        .filter(is_odd)
        .for_each(|finding| out.say(format!("      {}", line(finding))));
}

/// What is kept, where it was asked about, several records were, and all of it holds: the others are named already.
fn of_evidence(found: &Found, out: &Out) {
    let [_, _, ..] = found.records.as_slice() else {
        return;
    };
    let kept: Vec<&One> = found
        .records
        .iter()
        .filter(|one| one.evidence.is_some())
        .collect();
    if !kept.is_empty()
        && kept
            .iter()
            .all(|one| one.evidence.as_ref().is_some_and(EvidenceReport::holds))
    {
        let commitments: usize = kept.iter().map(|one| evidence(one).count()).sum();
        let text = format!(
            "what was kept is what they commit to: {}",
            counted(commitments, "commitment")
        );
        out.say(format!("{}  L1  evidence  {text}", paint(style::GOOD, "ok  ")));
    }
}

fn of_chain(chain: &Chain, found: &Found, log: Option<&LogProof>, out: &Out) {
    let records = counted(chain.records.len(), "record");
    let subject = shown(&chain.subject);
    let end = match (chain.whole, chain.end, log) {
        (false, ..) => "broken",
        (true, End::Proven, Some(log)) if !log.is_sealed => {
            "whole, end proven by the log, which nobody signed"
        }
        (true, End::Proven, Some(_)) => "whole, and ends where the signed log that you named does",
        (true, End::Proven, None) => "whole, and the head that you named is its end",
        (true, _, Some(_)) => {
            "every signature holds, end not proven: the log that you named does not tell of it"
        }
        (true, ..) => {
            "every signature holds, end not proven: name the log with --log, or the last record with --head"
        }
    };
    let mark = match (chain.whole, chain.end) {
        (false, _) => bad(),
        (true, End::Proven) => paint(style::GOOD, "ok  "),
        _ => paint(style::WARN, "note"),
    };
    out.say(format!("{mark}  L3  chain of {subject}: {records}, {end}"));
    let names: Vec<&str> = chain
        .records
        .iter()
        .filter_map(|place| found.records.get(*place))
        .map(|one| one.name.as_str())
        .collect();
    out.json(&json!({
        "type": "chain",
        "subject": chain.subject,
        "records": names,
        "head": chain.head.map(|head| head.to_string()),
        "whole": chain.whole,
        "end_proven": chain.end == End::Proven,
    }));
}

/// `conformance: L2`, and why no more.
fn conclude(found: &Found, out: &Out) {
    let same = found
        .records
        .iter()
        .filter(|one| one.is_of_one_principal())
        .count();
    if same > 0 && found.records.len() > 1 {
        let all = counted(found.records.len(), "record");
        let text =
            format!("{same} of {all}: verifier and principal are one organisation, which vouches for itself");
        out.say(format!(
            "{}  L2  verifier  same-principal: {text}",
            paint(style::WARN, "note")
        ));
    }
    let word = found.conformance();
    let style = if found.level().is_some() {
        style::GOOD
    } else {
        style::BAD
    };
    out.say(format!("conformance: {}", paint(style, &word)));
    if let (Some(level), Some((name, finding))) = (found.level(), found.why_not_higher()) {
        let name = if found.records.len() > 1 {
            format!("{}: ", shown(name))
        } else {
            String::new()
        };
        out.say(format!(
            "not higher than {level}: {name}{}: {}",
            finding.step,
            reason(finding)
        ));
    }
    if let Some(required) = found.require.filter(|required| found.level() < Some(*required)) {
        out.say(format!("required: {required}"));
    }
}

fn record_json(one: &One) -> Value {
    let record = one.report.record.as_ref();
    let why = one.failure().or_else(|| one.report.why_not_higher());
    json!({
        "type": "record",
        "file": one.name,
        "level": one.report.level.filter(|_| one.failure().is_none()),
        "reason": why.and_then(|finding| finding.code),
        "step": why.map(|finding| finding.step),
        "text": why.map(|finding| &finding.text),
        "task": record.and_then(|record| record.task_id()),
        "verdict": record.and_then(|record| record.text(&["verdict"])),
        "same_principal": one.is_of_one_principal(),
        "sha256": one.report.digest.map(|digest| digest.to_string()),
        "findings": one.report.findings,
        "evidence": one.evidence.as_ref().map(|evidence| &evidence.findings),
    })
}
