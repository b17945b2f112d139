//! Verifying one record.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::did::{self, Did};
use crate::document::DidDocument;
use crate::key::{KeyError, PublicKey, Signature};
use crate::reason::{Level, Reason, Step};
use crate::record::Record;
use crate::report::{Finding, Outcome, Report};
use crate::structure::{self, Failure, Sig};

/// Verifies records against the DID documents that it was given. It asks nothing of the network, the disk or a clock.
#[derive(Debug, Clone)]
pub struct Verifier {
    signers: HashMap<String, Keys>,
    named: Option<Vec<Did>>,
}

#[derive(Debug, Clone, Default)]
struct Keys {
    good: Vec<PublicKey>,
    bad: Option<(String, KeyError)>,
}

impl Verifier {
    /// A verifier that knows these documents. Several for one DID add up, as those before and after a key's rotation do.
    #[must_use]
    pub fn new(documents: Vec<DidDocument>) -> Self {
        let mut signers: HashMap<String, Keys> = HashMap::new();
        for document in documents {
            let keys = signers.entry(document.id.into()).or_default();
            keys.bad = keys.bad.take().or(document.bad);
            keys.good.extend(document.keys);
        }
        Self { signers, named: None }
    }

    /// Takes another signer than the principal only if it is among these. For documents that were fetched because a
    /// record asked for them: without a name from the operator, anyone could sign about anyone.
    #[must_use]
    pub fn only_named(mut self, signers: Vec<Did>) -> Self {
        self.named = Some(signers);
        self
    }

    /// Verifies one record, from its bytes. A record by itself reaches L2 at most.
    #[must_use]
    pub fn check(&self, bytes: &[u8]) -> Report {
        match Record::read(bytes) {
            Ok(record) => self.check_record(record),
            Err(error) => {
                let failure = (error.reason(), error.to_string().into());
                report(Vec::with_capacity(16), Some((Step::Read, failure)), None)
            }
        }
    }

    /// Verifies a record that was read.
    #[must_use]
    pub fn check_record(&self, record: Record) -> Report {
        let mut found = Vec::with_capacity(20);
        found.push(Finding::pass(Step::Read, "one JSON object of the strict kind"));
        let failed = self.run(&record, &mut found).err();
        report(found, failed, Some(record))
    }

    /// The steps in their order, up to the first that fails.
    fn run(&self, record: &Record, found: &mut Vec<Finding>) -> Result<(), (Step, Failure)> {
        let mut pass = |step, text: Cow<'static, str>| found.push(Finding::pass(step, text));
        let at = |step| move |failure| (step, failure);
        structure::members(record).map_err(at(Step::Members))?;
        let sig = structure::sig(record).map_err(at(Step::Members))?;
        pass(Step::Members, "every member is there and has its type".into());
        structure::version(record).map_err(at(Step::Version))?;
        pass(Step::Version, "AAR v0.02".into());
        structure::identities(record).map_err(at(Step::Identities))?;
        structure::is_did("sig.by", sig.by).map_err(at(Step::Identities))?;
        pass(Step::Identities, "every identity is a DID".into());
        structure::values(record).map_err(at(Step::Values))?;
        pass(Step::Values, "every value is known".into());
        structure::issued(record).map_err(at(Step::Issued))?;
        pass(Step::Issued, "an RFC 3339 time".into());
        structure::algorithm(sig).map_err(at(Step::Algorithm))?;
        pass(Step::Algorithm, structure::ALGORITHM.into());
        let who = self.signer(record, sig).map_err(at(Step::Signer))?;
        pass(Step::Signer, who.into());
        let signature = structure::encoding(sig).map_err(at(Step::Encoding))?;
        pass(Step::Encoding, "64 bytes in base64url".into());
        let keys = self.document(sig).map_err(at(Step::Document))?;
        pass(Step::Document, "the signer's document is at hand".into());
        let keys = keys.usable().map_err(at(Step::Key))?;
        pass(Step::Key, "in `assertionMethod`, canonical, of full order".into());
        holds(record, keys, &signature).map_err(at(Step::Signature))?;
        pass(Step::Signature, "the Ed25519 signature holds".into());
        above_l0(record, found)
    }

    /// Who the signer is to the record. `sig.by` itself is not signed, so it must be someone whom what is signed names.
    fn signer(&self, record: &Record, sig: Sig<'_>) -> Result<&'static str, Failure> {
        if record.text(&["principal"]) == Some(sig.by) {
            return Ok("signed by the principal");
        }
        let verifier = record.text(&["verifier", "id"]).unwrap_or_default();
        let who = if verifier == sig.by {
            "signed by the verifier"
        } else if did::extends(sig.by, verifier) {
            "signed by who answers for the verifier"
        } else {
            let text = format!("`sig.by` is {}, neither principal nor verifier", sig.by);
            return Err((Reason::SignerStranger, text.into()));
        };
        let is_named = |named: &Vec<Did>| named.iter().any(|did| did.as_str() == sig.by);
        if self.named.as_ref().is_none_or(is_named) {
            Ok(who)
        } else {
            let text = format!("{who}, {}, whom no one named as a signer to trust", sig.by);
            Err((Reason::SignerNotNamed, text.into()))
        }
    }

    fn document(&self, sig: Sig<'_>) -> Result<&Keys, Failure> {
        self.signers.get(sig.by).ok_or_else(|| {
            let text = format!("no DID document with the id {} is at hand", sig.by);
            (Reason::DocumentMissing, text.into())
        })
    }
}

impl Keys {
    fn usable(&self) -> Result<&[PublicKey], Failure> {
        match &self.bad {
            _ if !self.good.is_empty() => Ok(&self.good),
            Some((method, error)) => Err((Reason::KeyBad, format!("{method}: {error}").into())),
            None => {
                let text = "the signer's document has no Ed25519 key in `assertionMethod`";
                Err((Reason::KeyMissing, text.into()))
            }
        }
    }
}

fn holds(record: &Record, keys: &[PublicKey], signature: &Signature) -> Result<(), Failure> {
    let invalid = |text: String| (Reason::SignatureInvalid, text.into());
    let bytes = record
        .signed_bytes()
        .map_err(|error| invalid(error.to_string()))?;
    if keys.iter().any(|key| key.verifies(bytes.as_bytes(), signature)) {
        Ok(())
    } else {
        Err(invalid(
            "the signature does not hold: the record or the key is another".into(),
        ))
    }
}

/// L1 and L2.
fn above_l0(record: &Record, found: &mut Vec<Finding>) -> Result<(), (Step, Failure)> {
    let Some(truth) = record.text(&["ground_truth"]) else {
        let failure = (Reason::GroundTruthMissing, "there is no `ground_truth`".into());
        return Err((Step::GroundTruth, failure));
    };
    found.push(Finding::pass(Step::GroundTruth, format!("`{truth}`")));
    found.extend(contradiction(record, truth));
    let whole = whole_checks(record);
    if whole == 0 && truth != "unchecked" {
        let text = format!("`{truth}` needs an entry in `checks` with source, query, time and digest");
        return Err((Step::Commitments, (Reason::ChecksMissing, text.into())));
    }
    found.push(Finding::pass(Step::Commitments, format!("{whole} committed to")));
    let Some(verifier) = record.text(&["verifier", "id"]) else {
        let failure = (Reason::VerifierMissing, "there is no `verifier.id`".into());
        return Err((Step::Verifier, failure));
    };
    if Some(verifier) == record.subject() {
        let text = "the verifier is the subject: it grades itself";
        return Err((Step::Verifier, (Reason::VerifierIsSubject, text.into())));
    }
    let independence = record.text(&["verifier", "independence"]);
    let text = format!("independence: `{}`", independence.unwrap_or("not said"));
    found.push(Finding::pass(Step::Verifier, text));
    if independence == Some("same_principal") {
        let text = "an organisation vouches for itself";
        found.push(Finding::note(Step::Verifier, Reason::SamePrincipal, text));
    }
    Ok(())
}

fn whole_checks(record: &Record) -> usize {
    let checks = record.at(&["checks"]).and_then(Value::as_array);
    let checks = checks.into_iter().flatten().filter_map(Value::as_object);
    checks.filter(|entry| structure::is_whole(entry)).count()
}

/// The standard binds the two by words only, so it is a note.
fn contradiction(record: &Record, truth: &str) -> Option<Finding> {
    let verdict = record.text(&["verdict"])?;
    let agrees = match verdict {
        "verified" => truth != "contradicted",
        "rejected" | "not_verified" => truth != "confirmed",
        _ => true,
    };
    let text = || format!("the verdict is `{verdict}`, the ground truth `{truth}`");
    (!agrees).then(|| Finding::note(Step::GroundTruth, Reason::VerdictAgainstTruth, text()))
}

/// Puts together what was found: the steps behind a failure are not reached.
fn report(mut findings: Vec<Finding>, failed: Option<(Step, Failure)>, record: Option<Record>) -> Report {
    let level = match &failed {
        None => Some(Level::L2),
        Some((step, _)) => match step.level() {
            Level::L0 => None,
            Level::L1 => Some(Level::L0),
            Level::L2 | Level::L3 => Some(Level::L1),
        },
    };
    match failed {
        None => findings.push(Finding::new(
            Step::Chain,
            Outcome::NotReached,
            Some(Reason::ChainNotShown),
            "a record by itself shows no history",
        )),
        Some((step, (reason, text))) => {
            findings.push(Finding::fail(step, reason, text));
            let rest = Step::of_a_record().filter(|&later| later > step);
            findings.extend(rest.map(|later| Finding::new(later, Outcome::NotReached, None, "not reached")));
        }
    }
    let digest = record.as_ref().and_then(|record| record.digest().ok());
    Report {
        level,
        findings,
        digest,
        record,
    }
}

#[cfg(test)]
#[path = "verify/tests.rs"]
mod tests;
