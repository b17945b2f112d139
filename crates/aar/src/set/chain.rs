//! The chains that `prior` makes of records: gaps, forks, cut heads and cut tails.

use std::collections::{BTreeMap, HashMap};

use machine_driver_state::id::Digest;

use super::{Chain, End, Fault, Named, SetOptions, SetReport};
use crate::reason::{Reason, Step};
use crate::report::Finding;
use crate::text::brief;

/// Finds the chains, what is wrong with them, and what that means for each record.
pub(super) fn check(set: &mut SetReport, options: &SetOptions) {
    let links = Links::new(&mut set.records);
    let single = links.subjects.len() == 1;
    let missing: Vec<Digest> = options
        .heads
        .iter()
        .copied()
        .filter(|head| !links.places.contains_key(head))
        .collect();
    for (subject, members) in &links.subjects {
        let mut walk = Walk::new(&links, &set.records, subject, members);
        walk.find_faults();
        // A head that no record has can only be put down to a chain where there is one.
        if single && let Some(head) = missing.first() {
            walk.faults.push(cut_tail(*head, vec![]));
        }
        let chain = walk.chain(options);
        let (notes, mut faults) = (walk.notes(&chain), walk.faults);
        notes.into_iter().for_each(|note| note.give(set));
        set.faults.append(&mut faults);
        set.chains.push(chain);
    }
    if !single {
        set.faults
            .extend(missing.into_iter().map(|head| cut_tail(head, vec![])));
    }
}

fn cut_tail(head: Digest, files: Vec<String>) -> Fault {
    Fault {
        code: Reason::ChainTailCut,
        files,
        text: format!("the last record, {head}, is not here: the tail was cut off"),
    }
}

/// What is to be said about one record.
enum Note {
    Holds(usize, String),
    Fails(usize, Reason, String),
}

impl Note {
    fn give(self, set: &mut SetReport) {
        let (place, says) = match self {
            Self::Holds(place, text) => (place, Ok(text)),
            Self::Fails(place, code, text) => (place, Err(Finding::fail(Step::Chain, code, text))),
        };
        let Some(named) = set.records.get_mut(place) else {
            return;
        };
        match says {
            Ok(text) => named.report.pass_chain(text),
            Err(failure) => named.report.fail_chain(failure),
        }
    }
}

/// A record at L0 or above, as far as chains go.
struct Link {
    digest: Digest,
    prior: Prior,
}

#[derive(Clone)]
enum Prior {
    None,
    Digest(Digest),
    /// There is a `prior`, but it is no digest.
    Other(String),
}

struct Links {
    /// By place in the set.
    links: HashMap<usize, Link>,
    /// Where the record with a digest is.
    places: HashMap<Digest, usize>,
    subjects: BTreeMap<String, Vec<usize>>,
    /// Where the same record stands once more.
    copies: HashMap<usize, Vec<usize>>,
}

impl Links {
    /// Takes the records that pass L0, each once: the same record in two files is noted on the second one.
    fn new(records: &mut [Named]) -> Self {
        let mut all = Self {
            links: HashMap::new(),
            places: HashMap::new(),
            subjects: BTreeMap::new(),
            copies: HashMap::new(),
        };
        for (place, named) in records.iter().enumerate() {
            let report = &named.report;
            let (Some(_), Some(digest), Some(record)) = (report.level, report.digest, &report.record) else {
                continue;
            };
            if let Some(&first) = all.places.get(&digest) {
                all.copies.entry(first).or_default().push(place);
                continue;
            }
            let prior = match (record.prior(), record.at(&["prior"])) {
                (Some(digest), _) => Prior::Digest(digest),
                (None, None) => Prior::None,
                (None, Some(_)) => Prior::Other(brief(record.text(&["prior"]).unwrap_or_default())),
            };
            let subject = record.subject().unwrap_or_default().to_owned();
            all.places.insert(digest, place);
            all.links.insert(place, Link { digest, prior });
            all.subjects.entry(subject).or_default().push(place);
        }
        for (&first, copies) in &all.copies {
            let original = records
                .get(first)
                .map(|named| named.name.clone())
                .unwrap_or_default();
            for &copy in copies {
                if let Some(named) = records.get_mut(copy) {
                    let text = format!("the same record as {original}");
                    let note = Finding::note(Step::Chain, Reason::Duplicate, text);
                    named.report.findings.push(note);
                }
            }
        }
        all
    }
}

/// One subject's records.
struct Walk<'a> {
    links: &'a Links,
    records: &'a [Named],
    subject: &'a str,
    members: &'a [usize],
    /// Who follows a digest; none stands for the beginning.
    followers: HashMap<Option<Digest>, Vec<usize>>,
    /// Those whose `prior` is not among the members.
    unresolved: Vec<usize>,
    faults: Vec<Fault>,
    /// What is wrong with single records.
    failing: HashMap<usize, (Reason, String)>,
}

impl<'a> Walk<'a> {
    fn new(links: &'a Links, records: &'a [Named], subject: &'a str, members: &'a [usize]) -> Self {
        let mut walk = Self {
            links,
            records,
            subject,
            members,
            followers: HashMap::new(),
            unresolved: Vec::new(),
            faults: Vec::new(),
            failing: HashMap::new(),
        };
        for &place in members {
            let prior = match walk.prior(place) {
                Prior::None => None,
                Prior::Digest(digest) => {
                    let known = links.places.get(&digest);
                    if known.is_none_or(|place| members.binary_search(place).is_err()) {
                        walk.unresolved.push(place);
                    }
                    Some(digest)
                }
                Prior::Other(_) => {
                    walk.unresolved.push(place);
                    continue;
                }
            };
            walk.followers.entry(prior).or_default().push(place);
        }
        walk
    }

    fn name(&self, place: usize) -> String {
        self.records
            .get(place)
            .map(|named| named.name.clone())
            .unwrap_or_default()
    }

    fn names(&self, places: &[usize]) -> Vec<String> {
        places.iter().map(|&place| self.name(place)).collect()
    }

    fn prior(&self, place: usize) -> Prior {
        self.links
            .links
            .get(&place)
            .map_or(Prior::None, |link| link.prior.clone())
    }

    fn digest(&self, place: usize) -> Option<Digest> {
        self.links.links.get(&place).map(|link| link.digest)
    }

    fn find_faults(&mut self) {
        let mut forks: Vec<(Option<Digest>, Vec<usize>)> = self
            .followers
            .iter()
            .filter(|(_, places)| places.len() > 1)
            .map(|(prior, places)| (*prior, places.clone()))
            .collect();
        forks.sort_unstable();
        for (prior, places) in forks {
            let after = match prior.and_then(|prior| self.links.places.get(&prior)) {
                Some(&place) => format!("follow {}", self.name(place)),
                None if prior.is_some() => "follow the same record, which is not here".to_owned(),
                None => "begin the chain".to_owned(),
            };
            let text = format!("{} all {after}", self.names(&places).join(", "));
            self.fault(Reason::ChainFork, &places, text);
        }
        let no_beginning = !self.followers.contains_key(&None);
        let is_head_cut = no_beginning && self.unresolved.len() == 1;
        for place in self.unresolved.clone() {
            let prior = match self.prior(place) {
                Prior::Digest(digest) => self.elsewhere(digest),
                Prior::Other(text) => format!("`{text}`, which is no SHA-256"),
                Prior::None => continue,
            };
            let (code, what) = if is_head_cut {
                (Reason::ChainHeadCut, "the head of the chain was cut off")
            } else {
                (Reason::ChainGap, "a record is missing or was changed")
            };
            let text = format!("`prior` of {} is {prior}: {what}", self.name(place));
            self.fault(code, &[place], text);
        }
    }

    fn elsewhere(&self, digest: Digest) -> String {
        match self.links.places.get(&digest) {
            Some(&place) => format!("{}, a record about another subject", self.name(place)),
            None => format!("{digest}, which is not here"),
        }
    }

    fn fault(&mut self, code: Reason, places: &[usize], text: String) {
        for &place in places {
            self.failing.entry(place).or_insert_with(|| (code, text.clone()));
        }
        let files = self.names(places);
        self.faults.push(Fault { code, files, text });
    }

    /// The members in the chain's order: from each beginning along those that follow.
    fn order(&self) -> Vec<usize> {
        let mut stack: Vec<usize> = self.unresolved.iter().rev().copied().collect();
        stack.extend(self.followers.get(&None).into_iter().flatten().rev());
        let mut order = Vec::with_capacity(self.members.len());
        while let Some(place) = stack.pop() {
            order.push(place);
            // A digest is inside those after it, so there is no way back: this ends.
            let after = self.followers.get(&self.digest(place));
            stack.extend(after.into_iter().flatten().rev());
        }
        order
    }

    fn chain(&self, options: &SetOptions) -> Chain {
        let records = self.order();
        let is_end = |place: &&usize| !self.followers.contains_key(&self.digest(**place));
        let ends: Vec<&usize> = records.iter().filter(is_end).collect();
        let head = match ends.as_slice() {
            [end] => self.digest(**end),
            _ => None,
        };
        let whole = self.faults.is_empty();
        let proven = whole && head.is_some_and(|head| options.heads.contains(&head));
        Chain {
            subject: self.subject.to_owned(),
            records,
            end: if proven { End::Proven } else { End::NotProven },
            head,
            whole,
        }
    }

    /// A copy shares the fate of what it is a copy of.
    fn notes(&self, chain: &Chain) -> Vec<Note> {
        let mut notes = Vec::with_capacity(self.members.len());
        for &first in self.members {
            let copies = self.links.copies.get(&first).into_iter().flatten();
            let places = std::iter::once(&first).chain(copies);
            notes.extend(places.filter_map(|&place| self.note(chain, place, first)));
        }
        notes
    }

    fn note(&self, chain: &Chain, place: usize, first: usize) -> Option<Note> {
        if let Some((code, text)) = self.failing.get(&first) {
            return Some(Note::Fails(place, *code, text.clone()));
        }
        if let Some(fault) = self.faults.first() {
            let text = format!("the chain of its subject is broken: {}", fault.text);
            return Some(Note::Fails(place, fault.code, text));
        }
        match self.prior(first) {
            Prior::Digest(digest) => {
                let before = self.links.places.get(&digest)?;
                Some(Note::Holds(place, format!("follows {}", self.name(*before))))
            }
            _ => {
                let next = self
                    .followers
                    .get(&self.digest(first))
                    .and_then(|next| next.first());
                match next {
                    Some(&next) => Some(Note::Holds(
                        place,
                        format!("the first; {} follows", self.name(next)),
                    )),
                    None if chain.end == End::Proven => Some(Note::Holds(
                        place,
                        "the first and, as is known, the last".to_owned(),
                    )),
                    None => None,
                }
            }
        }
    }
}
