//! Verifying records together: each by itself, and the chains that `prior` makes of them.

mod chain;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use machine_driver_state::id::Digest;

use crate::reason::{Level, Reason, Step};
use crate::report::{Finding, Report};
use crate::verify::Verifier;

/// Records that a thread takes at a time.
const BLOCK: usize = 32;

/// What is known about a set beside its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// Digests of records that are known to be the last ones of a chain, as from the log's last `record_signed`. They prove
    /// that no tail was cut off.
    pub heads: Vec<Digest>,
    /// Whether the files are named after their tasks (`TASK.json`, `TASK.N.json`), as a driver's folder has them: then a
    /// file with the record of another task was swapped. Otherwise that is seen only where a file has the name of another
    /// task of the set.
    pub named_by_task: bool,
}

/// A file and what was found about its record. The name is foreign text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Named {
    /// The name that it was given.
    pub name: String,
    /// What was found.
    pub report: Report,
}

/// Whether the last record of a chain is known to be the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// A given head proves it.
    Proven,
    /// Every signature holds, end not proven: a cut tail would look the same.
    NotProven,
}

/// The records about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// Whose: foreign text.
    pub subject: String,
    /// Places in [`SetReport::records`], in the chain's order where it has one.
    pub records: Vec<usize>,
    /// Whether its end is proven.
    pub end: End,
    /// The last record's digest, where there is one last record.
    pub head: Option<Digest>,
    /// Whether there is no gap, fork, cut or swap in it.
    pub whole: bool,
}

/// Something that is wrong with the set rather than with one record. Texts and names are foreign.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The word for it.
    pub code: Reason,
    /// The files that it is about.
    pub files: Vec<String>,
    /// The same in words.
    pub text: String,
}

/// What was found about a set.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SetReport {
    /// Every record, in the order in which they were given.
    pub records: Vec<Named>,
    /// One for each subject that has a record at L0 or above, in order of their names.
    pub chains: Vec<Chain>,
    /// What is wrong with the chains.
    pub faults: Vec<Fault>,
}

impl SetReport {
    /// The lowest level of all; none where one fails, or there is none.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        let levels = self.records.iter().map(|named| named.report.level);
        levels.min().flatten()
    }

    /// Whether every record passes L0, and nothing is wrong with the chains.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty() && self.records.iter().all(|named| named.report.level.is_some())
    }

    /// Whether the end of every chain is proven.
    #[must_use]
    pub fn end_proven(&self) -> bool {
        self.chains.iter().all(|chain| chain.end == End::Proven)
    }

    /// The failure to look at first, with its file: one of the lowest level, so that a record which was changed comes
    /// before those whose chain it tears; of several, that of the first file.
    #[must_use]
    pub fn first_failure(&self) -> Option<(&str, &Finding)> {
        let failures = self.records.iter().filter_map(|named| {
            let finding = named.report.first_failure()?;
            Some((named.name.as_str(), finding))
        });
        failures.min_by_key(|(_, finding)| finding.level)
    }
}

impl Verifier {
    /// Verifies records together, on all cores: names and bytes of files.
    ///
    /// A record's place in the history is checked where it is one of several about its subject, or a head names it: its
    /// `prior` must be the digest of another one that is here, one alone may have none, and no two may have the same.
    /// Records below L0 are no part of a chain, so a stranger's file cannot tear one. A chain with a fault leaves all of
    /// its records at L2.
    #[must_use]
    pub fn verify_set<N, B>(&self, files: &[(N, B)], options: &SetOptions) -> SetReport
    where
        N: AsRef<str> + Sync,
        B: AsRef<[u8]> + Sync,
    {
        let reports = self.check_all(files);
        let names = files.iter().map(|(name, _)| name.as_ref().to_owned());
        let records: Vec<Named> = names
            .zip(reports)
            .map(|(name, report)| Named { name, report })
            .collect();
        let mut set = SetReport {
            records,
            chains: Vec::new(),
            faults: Vec::new(),
        };
        chain::check(&mut set, options);
        swaps(&mut set, options.named_by_task);
        set
    }

    /// Every record by itself, in order.
    fn check_all<N: Sync, B: AsRef<[u8]> + Sync>(&self, files: &[(N, B)]) -> Vec<Report> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = cores.min(files.len().div_ceil(BLOCK));
        if threads < 2 {
            return files
                .iter()
                .map(|(_, bytes)| self.check(bytes.as_ref()))
                .collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                let Some(files) = files.chunks(BLOCK).nth(block) else {
                    return done;
                };
                let reports: Vec<Report> = files
                    .iter()
                    .map(|(_, bytes)| self.check(bytes.as_ref()))
                    .collect();
                done.push((block, reports));
            }
        };
        let mut blocks: Vec<(usize, Vec<Report>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let done = threads.into_iter().map(|thread| {
                // A panic in there goes on out here.
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            done.flatten().collect()
        });
        blocks.sort_unstable_by_key(|(block, _)| *block);
        blocks.into_iter().flat_map(|(_, reports)| reports).collect()
    }
}

/// Files with the record of another task.
fn swaps(set: &mut SetReport, named_by_task: bool) {
    let tasks: HashSet<String> = set
        .records
        .iter()
        .filter_map(|named| task(named).map(str::to_owned))
        .collect();
    for named in &mut set.records {
        let Some(task) = task(named).map(str::to_owned) else {
            continue;
        };
        let file = named.name.rsplit('/').next().unwrap_or_default();
        let Some(stem) = file.strip_suffix(".json") else {
            continue;
        };
        let of_another = named_by_task || tasks.contains(stem);
        if is_name_of(stem, &task) || !of_another {
            continue;
        }
        let text = format!("{} holds the record of the task `{task}`", named.name);
        let code = Reason::ChainSwap;
        named
            .report
            .fail_chain(Finding::fail(Step::Chain, code, text.clone()));
        let files = vec![named.name.clone()];
        set.faults.push(Fault { code, files, text });
    }
}

fn task(named: &Named) -> Option<&str> {
    named.report.level?;
    named.report.record.as_ref()?.task_id()
}

/// Whether a file's stem is the task's id, or that with numbers behind it: `t1`, `t1.1`, and `t1.1.1` where `t1.1` is a
/// task too.
fn is_name_of(stem: &str, task: &str) -> bool {
    stem.strip_prefix(task).is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix('.').is_some_and(|numbers| {
                numbers
                    .split('.')
                    .all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            })
    })
}

#[cfg(test)]
#[path = "set/tests.rs"]
mod tests;
