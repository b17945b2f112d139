//! What a verification found: the records by themselves, their chains, their evidence, and how it ends.

use std::path::Path;

use machine_driver::Exit;
use machine_driver::aar::{
    Chain, CheckOutcome, End, EvidenceReport, Fault, Finding, Level, Reason, Record, Report, SetOptions,
    Verifier, check_evidence,
};
use machine_driver_state::id::Digest;

use super::input::{Given, Input};
use super::proof::LogProof;

/// One file.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) name: String,
    pub(crate) report: Report,
    pub(crate) evidence: Option<EvidenceReport>,
}

impl One {
    /// What is wrong with it.
    pub(crate) fn failure(&self) -> Option<&Finding> {
        let evidence = self.evidence.iter().flat_map(|evidence| &evidence.findings);
        let failed = |finding: &&Finding| finding.outcome == CheckOutcome::Fail;
        self.report
            .first_failure()
            .filter(|_| self.report.level.is_none())
            .or_else(|| evidence.into_iter().find(failed))
    }

    /// Whether the record says that its verifier and its principal are one.
    pub(crate) fn is_of_one_principal(&self) -> bool {
        self.report
            .findings
            .iter()
            .any(|finding| finding.code == Some(Reason::SamePrincipal))
    }
}

/// Something that is wrong with the whole.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) code: Reason,
    pub(crate) files: Vec<String>,
    pub(crate) text: String,
}

/// What is asked beside the records themselves.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) require: Option<Level>,
    pub(crate) evidence: Option<&'a Path>,
    pub(crate) heads: Vec<Digest>,
    pub(crate) log: Option<LogProof>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) records: Vec<One>,
    /// Files that could not be read, and why.
    pub(crate) unread: Vec<(String, String)>,
    /// Empty where the records were not taken as a chain.
    pub(crate) chains: Vec<Chain>,
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) require: Option<Level>,
}

impl Found {
    /// Verifies. A folder is a chain; so are files where something about a chain is asked.
    pub(crate) fn of(input: Input, verifier: &Verifier, asked: &Asked<'_>) -> Self {
        let is_chain = input.has_folder
            || !asked.heads.is_empty()
            || asked.log.is_some()
            || asked.require == Some(Level::L3);
        let is_folders = input.is_folders;
        let mut found = Self {
            records: Vec::new(),
            unread: Vec::new(),
            chains: Vec::new(),
            wrong: Vec::new(),
            require: asked.require,
        };
        let mut files = Vec::with_capacity(input.files.len());
        for Given { name, bytes } in input.files {
            match bytes {
                Ok(bytes) => files.push((name, bytes)),
                Err(why) => found.unread.push((name, why)),
            }
        }
        if is_chain {
            found.verify_chain(&files, verifier, asked, is_folders);
        } else {
            let one = |(name, bytes): (String, Vec<u8>)| One {
                report: verifier.check(&bytes),
                name,
                evidence: None,
            };
            found.records = files.into_iter().map(one).collect();
        }
        if let Some(dir) = asked.evidence {
            found.check_evidence(dir);
            found.check_outputs(dir, asked.log.as_ref());
        }
        found
    }

    fn verify_chain(
        &mut self,
        files: &[(String, Vec<u8>)],
        verifier: &Verifier,
        asked: &Asked<'_>,
        named_by_task: bool,
    ) {
        let mut heads = asked.heads.clone();
        if let Some(log) = &asked.log {
            let read = |(name, bytes): &(String, Vec<u8>)| Some((name.clone(), Record::read(bytes).ok()?));
            let records: Vec<(String, Record)> = files.iter().filter_map(read).collect();
            self.wrong.extend(log.lacks(&records).map(|(file, text)| Wrong {
                code: Reason::ChainGap,
                files: vec![file],
                text,
            }));
            let (ends, missing) = log.heads(records.into_iter().map(|(_, record)| record));
            heads.extend(ends);
            self.wrong.extend(missing.into_iter().map(|text| Wrong {
                code: Reason::ChainGap,
                files: Vec::new(),
                text,
            }));
        }
        let options = SetOptions { heads, named_by_task };
        let set = verifier.verify_set(files, &options);
        self.records = set
            .records
            .into_iter()
            .map(|named| One {
                name: named.name,
                report: named.report,
                evidence: None,
            })
            .collect();
        self.chains = set.chains;
        self.wrong.extend(set.faults.into_iter().map(
            |Fault {
                 code, files, text, ..
             }| Wrong { code, files, text },
        ));
    }

    fn check_evidence(&mut self, dir: &Path) {
        for one in &mut self.records {
            one.evidence = one
                .report
                .record
                .as_ref()
                .map(|record| check_evidence(record, dir));
        }
    }

    /// The log knows what every attempt wrote, also those that no record is about.
    fn check_outputs(&mut self, dir: &Path, log: Option<&LogProof>) {
        let outputs = log.into_iter().flat_map(|log| &log.outputs);
        let faults = outputs.filter_map(|output| output.fault(dir));
        self.wrong.extend(faults.map(|(file, why)| Wrong {
            code: Reason::EvidenceMismatch,
            text: format!("{file} {why}"),
            files: vec![file],
        }));
    }

    /// The lowest level of all; none where something fails.
    pub(crate) fn level(&self) -> Option<Level> {
        let levels = self
            .records
            .iter()
            .map(|one| one.report.level.filter(|_| one.failure().is_none()));
        let lowest = levels.min().flatten();
        lowest.filter(|_| self.unread.is_empty() && !self.is_chain_broken())
    }

    /// Whether what is wrong with a chain counts: it does, unless no more than a lower level was asked for.
    pub(crate) fn is_chain_broken(&self) -> bool {
        !self.wrong.is_empty() && self.require.is_none_or(|level| level == Level::L3)
    }

    /// `L2`, or `FAIL`.
    pub(crate) fn conformance(&self) -> String {
        self.level()
            .map_or_else(|| "FAIL".to_owned(), |level| level.to_string())
    }

    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        if self.level() >= Some(self.require.unwrap_or(Level::L0)) {
            Exit::Done
        } else {
            Exit::NotVerified
        }
    }

    /// Whether the end of every chain is proven; none where nothing was taken as a chain.
    pub(crate) fn end_proven(&self) -> Option<bool> {
        let proven = self.chains.iter().all(|chain| chain.end == End::Proven);
        (!self.chains.is_empty()).then_some(proven)
    }

    /// The file that is lowest, and why it is no higher.
    pub(crate) fn why_not_higher(&self) -> Option<(&str, &Finding)> {
        let lowest = self.records.iter().min_by_key(|one| one.report.level)?;
        Some((lowest.name.as_str(), lowest.report.why_not_higher()?))
    }
}
