//! The records about what the demo did, checked as anyone could.

use machine_driver::aar::{Did, DidDocument, Level, Verifier};
use machine_driver_state::store::Paths;

use super::site::Site;
use crate::aar::found::{Asked, Found};
use crate::aar::input::{Input, documents};
use crate::aar::keygen;
use crate::aar::proof::LogProof;
use crate::aar::tell::tell;
use crate::args::DidArgs;
use crate::error::Failure;
use crate::escape;
use crate::me::{Me, quoted};
use crate::out::Out;
use crate::style::{self, paint};

/// Who signs: a name that no one can ever own (RFC 2606).
pub(super) const PRINCIPAL: &str = "did:web:example.invalid";
pub(super) const SUBJECT: &str = "did:web:example.invalid:machine-driver";

/// The private key, beside goal.json.
pub(super) const KEY: &str = "keys/priv.jwk";

const DOCUMENT: &str = "did.json";

/// Makes the key.
pub(super) fn make_key(site: &Site) -> Result<(), Failure> {
    let principal = Did::new(PRINCIPAL).map_err(|error| Failure::Usage {
        what: format!("{PRINCIPAL}: {error}"),
        help: String::new(),
    })?;
    keygen::write(&principal, &site.folder.join(KEY), &site.folder.join(DOCUMENT)).map(drop)
}

/// Verifies the records as `aar verify` does, and returns what did not go as planned.
pub(super) fn check(site: &Site, me: &Me, out: &Out) -> Result<Vec<String>, Failure> {
    if !site.signed {
        return Ok(Vec::new());
    }
    let paths = Paths::of(&site.goal);
    let documents: Vec<DidDocument> = documents(
        &DidArgs {
            files: vec![site.folder.join(DOCUMENT)],
            dir: None,
        },
        out,
    )?;
    out.say(format!("\n{}", paint(style::STRONG, "What can be proven")));
    out.say(format!("  $ {}", escape::line(&command(site, me))));
    let asked = Asked {
        require: Some(Level::L3),
        evidence: Some(&paths.evidence),
        heads: Vec::new(),
        log: Some(LogProof::read(&paths.log, &documents)?),
    };
    let found = Found::of(
        Input::read(std::slice::from_ref(&paths.aar))?,
        &Verifier::new(documents),
        &asked,
    );
    tell(&found, asked.log.as_ref(), out);
    let mut differences = Vec::new();
    if found.level() != Some(Level::L3) || found.end_proven() != Some(true) {
        differences.push(format!("the records are at {}, not at L3", found.conformance()));
    }
    let rejected = found.records.iter().filter(|one| {
        let record = one.report.record.as_ref();
        record.and_then(|record| record.text(&["verdict"])) == Some("rejected")
    });
    if rejected.count() == 0 {
        differences.push("no record says `rejected`".to_owned());
    }
    Ok(differences)
}

/// What verifies the records, to be typed.
pub(super) fn command(site: &Site, me: &Me) -> String {
    let paths = Paths::of(&site.goal);
    let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
    me.elsewhere(&format!(
        "aar verify {} --did-json {} --evidence {} --log {} --require L3",
        path(&paths.aar),
        path(&site.folder.join(DOCUMENT)),
        path(&paths.evidence),
        path(&paths.log)
    ))
}

/// What to try next.
pub(super) fn proposals(site: &Site, me: &Me) -> Vec<(String, &'static str)> {
    if !site.signed {
        return Vec::new();
    }
    let paths = Paths::of(&site.goal);
    let root = paths.aar.join("root.json");
    vec![
        (
            me.elsewhere(&format!("aar show {}", quoted(&root.to_string_lossy()))),
            "the signed record of what was not done: `rejected`",
        ),
        (
            format!(
                "echo x >> {} && {}",
                quoted(&paths.evidence.join("root/attempt-2.verify.log").to_string_lossy()),
                command(site, me)
            ),
            "change what was kept, and see it named",
        ),
    ]
}
